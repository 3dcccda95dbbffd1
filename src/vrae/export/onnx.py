"""An ONNX file of a fitted model: raw series in, latent vectors out, on any ONNX runtime.

The graph is made by tracing. torch's newer exporter, which starts from ``torch.export``, gives
recurrent layers a fixed batch or length (torch 2.13); see docs/decisions/0009.
"""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from vrae.data.scaling import Scaler
from vrae.exceptions import check_installed
from vrae.export.embedding import Embedding
from vrae.io.atomic import atomic_file
from vrae.nn.model import VRAENetwork

__all__ = ["INPUTS", "OUTPUT", "export_onnx"]

INPUTS = ("values", "lengths")
OUTPUT = "latent"

_OPSET = 17
# ONNX operators that torch's tracing exporter does not translate.
_UNTRANSLATED = {"aten::asinh": "Asinh", "aten::atanh": "Atanh"}


def export_onnx(network: VRAENetwork, scaler: Scaler, path: str | Path, facts: dict[str, str]) -> Path:
    """Write the path from raw series to latent vectors as an ONNX file, atomically.

    Parameters
    ----------
    network : VRAENetwork
    scaler : Scaler
    path : str or Path
    facts : dict of str
        Metadata of the file.

    Returns
    -------
    Path

    Raises
    ------
    MissingDependencyError, OutputError
    """
    check_installed("onnx", "onnx", "An ONNX file")
    import onnx

    model = onnx.load_from_string(_trace(Embedding(copy.deepcopy(network).cpu(), scaler).eval()))
    for key, value in facts.items():
        model.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(model, full_check=True)
    with atomic_file(Path(path)) as file:
        onnx.save(model, file)
    return Path(path)


def _trace(embedding: Embedding) -> bytes:
    """Trace an example through the module and return the serialised graph."""
    config = embedding.network.config
    # Several patches, unequal lengths and a gap. None of these numbers may end up in the graph.
    n_steps = 5 * config.patch_size + 1
    values = torch.linspace(0, 1, 3 * n_steps * config.n_channels).reshape(3, n_steps, config.n_channels).sin()
    values[0, 2] = torch.nan
    lengths = torch.tensor([n_steps, n_steps - 1, n_steps - 2])
    batch_and_time = {0: "batch", 1: "time"}
    file = io.BytesIO()
    with _translations(), warnings.catch_warnings(), torch.no_grad():
        # Warnings about the older exporter, and about sizes that could be constant. Tests cover
        # both.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            embedding,
            (values, lengths),
            file,  # type: ignore[arg-type]
            input_names=list(INPUTS),
            output_names=[OUTPUT],
            dynamic_axes={"values": batch_and_time, "lengths": {0: "batch"}, OUTPUT: {0: "batch"}},
            opset_version=_OPSET,
            dynamo=False,
        )
    return file.getvalue()


@contextmanager
def _translations() -> Iterator[None]:
    """Register translations of operators that the exporter lacks, temporarily."""

    def translation(name: str) -> Any:
        return lambda graph, x: graph.op(name, x)

    exporter: Any = torch.onnx
    for operator, name in _UNTRANSLATED.items():
        exporter.register_custom_op_symbolic(operator, translation(name), _OPSET)
    try:
        yield
    finally:
        for operator in _UNTRANSLATED:
            exporter.unregister_custom_op_symbolic(operator, _OPSET)
