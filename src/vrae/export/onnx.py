"""An ONNX file of a fitted model: raw series in, latent vectors out, on any ONNX runtime.

The graph is made by tracing. torch's newer exporter, which starts from ``torch.export``, gives
recurrent layers a fixed batch or length (torch 2.13); see docs/decisions/0009.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vrae.data.scaling import CONSTANT, IQR_OF_NORMAL, Scaler
from vrae.exceptions import Silence, check_installed
from vrae.io.atomic import atomic_file, check_file
from vrae.nn.model import VRAENetwork
from vrae.nn.views import observed_around

__all__ = ["export_onnx"]

_OPSET = 17
# ONNX operators that torch's tracing exporter does not translate.
_UNTRANSLATED = {"aten::asinh": "Asinh", "aten::atanh": "Atanh"}
# About the older exporter, and sizes that could be constant: see the tests.
_EXPORTER = Silence(module=r"torch\.(onnx|jit)\b")
_CALLED = Silence(DeprecationWarning, "You are using the legacy TorchScript")
_TRACED = Silence(torch.jit.TracerWarning)  # type: ignore[attr-defined]


def export_onnx(network: VRAENetwork, scaler: Scaler, path: str | Path, facts: dict[str, str]) -> Path:
    """Write the path from raw series to latent vectors, and ``facts`` about it, as an ONNX file."""
    check_installed("onnx", "onnx", "An ONNX file")
    import onnx

    target = check_file(path)
    model = onnx.load_from_string(_trace(Embedding(copy.deepcopy(network).cpu(), scaler).eval()))
    for key, value in facts.items():
        model.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(model, full_check=True)
    with atomic_file(target) as file:
        onnx.save(model, file)
    return target


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
    with _translations(), _EXPORTER(), _CALLED(), _TRACED(), torch.no_grad():
        torch.onnx.export(
            embedding,
            (values, lengths),
            file,  # type: ignore[arg-type]
            input_names=["values", "lengths"],
            output_names=["latent"],
            dynamic_axes={"values": batch_and_time, "lengths": {0: "batch"}, "latent": {0: "batch"}},
            opset_version=_OPSET,
            dynamo=False,
        )
    return file.getvalue()


@contextmanager
def _translations() -> Iterator[None]:
    """Register translations of operators that the exporter lacks, temporarily."""
    exporter: Any = torch.onnx
    for operator, name in _UNTRANSLATED.items():
        exporter.register_custom_op_symbolic(operator, lambda graph, x, name=name: graph.op(name, x), _OPSET)
    try:
        yield
    finally:
        for operator in _UNTRANSLATED:
            exporter.unregister_custom_op_symbolic(operator, _OPSET)


# -------------------------------------------------------------------- the graph


class Embedding(nn.Module):
    """`vrae.VRAE.transform` as tensor operations: mask, scaling, pattern statistics and encoder.

    `vrae.data.scaling.Scaler` works on arrays. The modules below give the same result for a padded
    batch of tensors. A test compares them.
    """

    def __init__(self, network: VRAENetwork, scaler: Scaler) -> None:
        super().__init__()
        self.network = network
        self.scaling: nn.Module
        if scaler.scaling is None:
            self.scaling = _Constant([0.0], [1.0])
        elif scaler.scaling == "channel":
            self.scaling = _Constant(scaler.level, scaler.spread)
        else:
            self.scaling = _Robust() if scaler.scaling == "robust" else _OfSeries(scaler)

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Return latent vectors (batch, latent) of raw values (batch, time, channel).

        NaN is a missing value, and the latent vector of a series without any observed value.
        """
        inside = torch.arange(values.shape[1], device=values.device) < lengths[:, None]  # (batch, time)
        observed = inside[:, :, None] & ~values.isnan()  # (batch, time, channel)
        empty = observed.sum(dim=(1, 2)) == 0  # (batch,)
        if self.network.config.max_lag:
            observed = _without_level_ends(values, observed, lengths)
        level, spread = self.scaling(values, observed)  # (batch, channel), float64
        scaled = (values.double() - level[:, None]) / spread[:, None]
        x = torch.where(observed, scaled, 0.0).float()  # (batch, time, channel)
        mask = observed.float()
        patterns = None
        if self.network.config.n_patterns:
            scale = torch.stack([level, spread], dim=1).float()  # (batch, 2, channel)
            patterns = self.network.statistics(x, mask, lengths, scale)  # (batch, n_patterns)
        mean, _ = self.network.encode(x, mask, lengths, patterns)
        return mean.masked_fill(empty[:, None], torch.nan)


def _without_level_ends(values: Tensor, observed: Tensor, lengths: Tensor) -> Tensor:
    """Treat all but one of the equal values at either end as missing; see `hide_level_ends`."""
    n_steps = values.shape[1]
    time = torch.arange(n_steps, device=values.device)
    following = torch.cat([values[:, 1:], values[:, -1:]], dim=1)
    moves = (values != following).any(dim=2) & (time < lengths[:, None] - 1)  # (batch, time): the next step differs
    first = torch.where(moves, time, n_steps).amin(dim=1, keepdim=True)  # (batch, 1)
    last = torch.where(moves, time, -1).amax(dim=1, keepdim=True)
    moving = ((time >= first) & (time <= last + 1)) | (last < 0)  # a constant series is left unchanged
    return observed & moving[:, :, None]


class _Constant(nn.Module):
    """Level and spread of each channel: those of all training series, or 0 and 1."""

    def __init__(self, level: Any, spread: Any) -> None:
        super().__init__()
        self.level: Tensor
        self.spread: Tensor
        self.register_buffer("level", torch.as_tensor(level, dtype=torch.float64))  # (channel,) or (1,)
        self.register_buffer("spread", torch.as_tensor(spread, dtype=torch.float64))

    def forward(self, values: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        zeros = torch.zeros_like(values[:, 0]).double()  # (batch, channel)
        return zeros + self.level, zeros + self.spread


class _OfSeries(nn.Module):
    """Mean and deviation of each series. A value next to a gap stands for half of it."""

    def __init__(self, scaler: Scaler) -> None:
        super().__init__()
        self.common = None if scaler.level is None else _Constant(scaler.level, scaler.spread)
        self.bridges_gaps = scaler.bridges_gaps

    def forward(self, values: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        weights = _represented_steps(observed) if self.bridges_gaps else observed.double()  # (batch, time, channel)
        values = torch.where(observed, values, 0.0).double()
        if self.common is None:
            return _mean_and_deviation(values, weights, over=(1,))
        alike = (values - self.common.level) / self.common.spread
        level, spread = _mean_and_deviation(alike, weights, over=(1, 2))  # (batch, 1)
        return self.common.level + self.common.spread * level, self.common.spread * spread


class _Robust(nn.Module):
    """Median and interquartile range of each series and channel."""

    def forward(self, values: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        values = values.double()
        ordered = torch.where(observed, values, torch.inf).sort(dim=1).values  # observed values first
        count = observed.sum(dim=1)  # (batch, channel)
        low, level, high = (_quantile(ordered, count, q) for q in (0.25, 0.5, 0.75))
        spread = (high - low) / IQR_OF_NORMAL
        departures = torch.where(observed, (values - level[:, None]).abs(), 0.0)
        mean_departure = departures.sum(dim=1) / count.clamp(min=1)
        spread = torch.where(spread > CONSTANT * level.abs(), spread, mean_departure)
        return level, _safe(spread, level)


def _quantile(ordered: Tensor, count: Tensor, q: float) -> Tensor:
    """Return an interpolated quantile of the first ``count`` (batch, channel) of sorted values."""
    place = (q * (count - 1).clamp(min=0).double())[:, None]  # (batch, 1, channel)
    below = place.floor().long()
    above = torch.minimum(below + 1, (count - 1).clamp(min=0)[:, None])
    low, high = ordered.gather(1, below), ordered.gather(1, above)
    found = (low + (place - below.double()) * (high - low))[:, 0]  # (batch, channel)
    return torch.where(count > 0, found, 0.0)


def _mean_and_deviation(values: Tensor, weights: Tensor, over: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    total = weights.sum(dim=over, keepdim=True).clamp(min=1)
    level = (values * weights).sum(dim=over, keepdim=True) / total
    squares = ((values - level) * (values - level) * weights).sum(dim=over, keepdim=True) / total
    level, spread = level[:, 0], squares.sqrt()[:, 0]
    return level, _safe(spread, level)


def _represented_steps(observed: Tensor) -> Tensor:
    """Return the steps that each value represents: itself and half of the gap on either side."""
    n_steps = observed.shape[1]
    time = torch.arange(n_steps, device=observed.device)[None, :, None].expand_as(observed)
    before, after = observed_around(observed)
    # The previous step looks back, the next step looks ahead.
    earlier = torch.cat([torch.full_like(before[:, :1], -1), before[:, :-1]], dim=1)
    later = torch.cat([after[:, 1:], torch.zeros_like(after[:, :1]) + n_steps], dim=1)
    gap_before = torch.where(earlier >= 0, time - earlier - 1, 0)
    gap_after = torch.where(later < n_steps, later - time - 1, 0)
    return torch.where(observed, 1 + (gap_before + gap_after).double() / 2, 0.0)


def _safe(spread: Tensor, level: Tensor) -> Tensor:
    return torch.where(spread > CONSTANT * level.abs().clamp(min=1e-30), spread, 1.0)
