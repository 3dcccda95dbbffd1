"""`vrae export`: a model for programs without vrae."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vrae.cli.options import AsJson, load_fitted
from vrae.cli.terminal import facts_table, out, print_json

__all__ = ["export"]


def export(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model folder, or the run folder around it.")],
    file: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="ONNX file to write.")] = Path(
        "encoder.onnx"
    ),
    as_json: AsJson = False,
) -> None:
    """Write what `vrae embed` computes as an ONNX file: raw series in, latent vectors out, without Python.

    Scaling and pattern statistics are inside; batch and length are free; NaN is a missing value.

    Example: vrae export runs/sales/model --out encoder.onnx
    """
    fitted = load_fitted(model)
    config = fitted.network_.config
    fitted.export_onnx(file)
    facts = {
        "file": str(file),
        "values": f"float32 (batch, time, {config.n_channels})",
        "lengths": "int64 (batch,)",
        "latent": f"float32 (batch, {config.latent_size})",
    }
    if as_json:
        print_json(facts)
        return
    out.print(facts_table(facts), highlight=False, soft_wrap=True)
