"""Data reduction: series as short codes, series from codes, and the error of the round trip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from vrae.data.batching import Batch, Indices, inference_batches
from vrae.data.panel import Panel
from vrae.data.precision import float_type
from vrae.estimators.fitting import FittedVRAE
from vrae.exceptions import InvalidDataError, name_some
from vrae.nn.lag import shift
from vrae.train.inference import BATCH_SIZE

__all__ = ["Codes", "ReductionReport", "reduce_panel", "report_reduction", "restore_panel"]

Floats = npt.NDArray[np.float32]

# Levels and spreads that differ between series by less than this fraction of the typical spread are
# constants of the data set and not part of a code.
_SAME = 1e-3


@dataclass(frozen=True, eq=False, repr=False)
class Codes:
    """Series as a few numbers each. With the model, `VRAE.restore` rebuilds the series.

    Attributes
    ----------
    ids : ndarray, shape (n_series,)
    lengths : ndarray of int64, shape (n_series,)
        Steps.
    level, spread : ndarrays of float64, shape (n_series, n_channels)
        What scaling removed. 0 and 1 where scaling is not per series.
    lags : ndarray of int64, shape (n_series,)
        Steps; see `VRAE.lags`.
    latent : ndarray of float32, shape (n_series, latent_size)
        NaN for a series without any observed value.
    """

    ids: npt.NDArray[Any]
    lengths: npt.NDArray[np.int64]
    level: npt.NDArray[np.float64]
    spread: npt.NDArray[np.float64]
    lags: npt.NDArray[np.int64]
    latent: Floats

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"Codes({len(self)} series, {self.latent.shape[1]} latent numbers each)"

    def to_columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return columns by name: id, length, lag, level0, spread0, ..., vrae0, vrae1, ..."""
        columns = {"id": self.ids, "length": self.lengths, "lag": self.lags}
        for c in range(self.level.shape[1]):
            columns |= {f"level{c}": self.level[:, c], f"spread{c}": self.spread[:, c]}
        return columns | {f"vrae{d}": self.latent[:, d] for d in range(self.latent.shape[1])}

    @classmethod
    def from_columns(cls, columns: Mapping[str, npt.NDArray[Any]]) -> Codes:
        """Build codes from the columns that `to_columns` returned. Other columns are ignored.

        Raises
        ------
        InvalidDataError
            Columns are missing or hold invalid values.
        """

        def numbered(name: str) -> npt.NDArray[np.float64]:
            count = next(d for d in range(len(columns) + 1) if f"{name}{d}" not in columns)
            found = [np.asarray(columns[f"{name}{d}"], np.float64) for d in range(count)]
            return np.stack(found, axis=1) if found else np.zeros((0, 0))

        level, spread, latent = numbered("level"), numbered("spread"), numbered("vrae")
        needed = ("id", "length", "lag", "level0", "spread0", "vrae0")
        missing = [name for name in needed if name not in columns]
        if missing or level.shape != spread.shape:
            raise InvalidDataError(
                f"These are not codes: the columns {name_some(missing or ['level', 'spread'])} are missing or do not "
                f"fit together. Codes are the table that `vrae reduce` wrote."
            )
        ids, lengths = np.asarray(columns["id"]), np.asarray(columns["length"])
        if len(ids) == 0:
            raise InvalidDataError("These codes hold no series: the table is empty.")
        if lengths.dtype.kind not in "iu" or (lengths < 1).any():
            raise InvalidDataError("The column 'length' must hold whole numbers of at least 1: steps of each series.")
        lags = np.asarray(columns["lag"]).astype(np.int64)
        return cls(ids, lengths.astype(np.int64), level, spread, lags, latent.astype(np.float32))


@dataclass(frozen=True)
class ReductionReport:
    """Size and error of a data reduction.

    Attributes
    ----------
    n_series, n_channels : int
    latent_size : int
        Latent numbers per series.
    extra_size : int
        Further numbers needed to rebuild a series in its own units: level, spread, length and lag,
        as far as they differ between series.
    values_in : int
        Number of observed values.
    numbers_out : int
        ``n_series * (latent_size + extra_size)``.
    ratio : float
        ``values_in / numbers_out``.
    error : float
        Mean squared error per observed value, in scaled units.
    kept : float
        Fraction of the variance of the series around their own levels that is kept: 1 minus the
        relative error.
    typical_error : float
        Root mean squared error of the median series, in the units of the data.
    """

    n_series: int
    n_channels: int
    latent_size: int
    extra_size: int
    values_in: int
    numbers_out: int
    ratio: float
    error: float
    kept: float
    typical_error: float

    def to_dict(self) -> dict[str, Any]:
        """Return the figures by name."""
        return asdict(self)

    def __str__(self) -> str:
        extra = f" + {self.extra_size} for level, spread, length or lag" if self.extra_size else ""
        return (
            f"{self.n_series:,} series: {self.values_in:,} values became {self.numbers_out:,} numbers "
            f"({self.latent_size}{extra} a series), {self.ratio:.1f} to 1. Rebuilt series keep {100 * self.kept:.1f} % "
            f"of the variance; the median error is {self.typical_error:.3g} per value."
        )


def reduce_panel(model: FittedVRAE, panel: Panel, indices: Indices) -> Codes:
    """Return the codes of a panel. Codes of series outside ``indices`` are NaN."""
    inference, shape = model.inference_, (len(panel), panel.n_channels)
    level, spread, lags = np.zeros(shape), np.ones(shape), np.zeros(len(panel), np.int64)
    latent = np.full((len(panel), model.network_.config.latent_size), np.nan, np.float32)

    def encode(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        if model.network_.config.max_lag:  # lags are found by decoding
            decoded = inference.forward(batch)
            return decoded.mean, decoded.lags
        return inference.encode(batch)[0], torch.zeros_like(batch.lengths)

    for batch, (mean, lag) in inference.batches(panel, indices, encode):
        level[batch.indices], spread[batch.indices] = batch.level.numpy(), batch.spread.numpy()
        latent[batch.indices], lags[batch.indices] = mean.float().cpu().numpy(), lag.cpu().numpy()
    return Codes(panel.ids, panel.lengths, level, spread, lags, latent)


def restore_panel(model: FittedVRAE, codes: Codes) -> Panel:
    """Rebuild series from their codes, in their own units."""
    config = model.network_.config
    if codes.latent.shape[1] != config.latent_size or codes.level.shape[1] != config.n_channels:
        raise InvalidDataError(
            f"The codes have {codes.latent.shape[1]} latent numbers and {codes.level.shape[1]} channel(s); the model "
            f"has {config.latent_size} and {config.n_channels}. Use the model that they were made with."
        )
    offsets = np.concatenate([[0], np.cumsum(codes.lengths)]).astype(np.int64)
    known = np.flatnonzero(np.isfinite(codes.latent).all(axis=1))
    dtype = float_type(codes.level[known], codes.spread[known])
    values = np.full((int(offsets[-1]), config.n_channels), np.nan, dtype)
    panel = Panel(values, offsets, codes.ids)
    device = model.inference_.device
    for part in inference_batches(panel.lengths, known, BATCH_SIZE):
        lengths = torch.from_numpy(codes.lengths[part]).to(device)
        with torch.inference_mode():
            series = model.network_.decode(torch.from_numpy(codes.latent[part]).to(device), int(lengths.max()))
            if config.max_lag:
                series = shift(series, torch.from_numpy(codes.lags[part]).to(device), lengths)
        scaled = series.double().cpu().numpy() * codes.spread[part][:, None] + codes.level[part][:, None]
        inside = np.arange(scaled.shape[1]) < codes.lengths[part][:, None]  # (batch, time)
        values[panel.steps_of(part)] = scaled[inside].astype(dtype)
    return panel


def report_reduction(model: FittedVRAE, panel: Panel, codes: Codes) -> ReductionReport:
    """Compare a panel with the series rebuilt from its codes."""
    rebuilt = restore_panel(model, codes)
    owner = np.repeat(np.arange(len(panel)), panel.lengths)
    observed = ~np.isnan(panel.values) & ~np.isnan(rebuilt.values)
    missed = np.where(observed, panel.values.astype(np.float64) - rebuilt.values, 0.0)
    departure = np.where(observed, panel.values - codes.level[owner], 0.0)
    scaled = missed / codes.spread[owner]
    count = np.maximum(np.bincount(owner, observed.sum(axis=1), len(panel)), 1)
    total = float(np.square(departure / codes.spread[owner]).sum())
    latent, extra = codes.latent.shape[1], _extra_size(model, codes)
    values_in, out = int((~np.isnan(panel.values)).sum()), len(panel) * (latent + extra)
    return ReductionReport(
        n_series=len(panel),
        n_channels=panel.n_channels,
        latent_size=latent,
        extra_size=extra,
        values_in=values_in,
        numbers_out=out,
        ratio=values_in / out,
        error=float(np.square(scaled).sum() / max(int(observed.sum()), 1)),
        kept=1 - float(np.square(scaled).sum()) / total if total > 0 else 1.0,
        typical_error=float(np.median(np.sqrt(np.bincount(owner, np.square(missed).sum(axis=1), len(panel)) / count))),
    )


def _extra_size(model: FittedVRAE, codes: Codes) -> int:
    """Count the numbers that differ between series, in addition to the latent ones."""
    known = np.isfinite(codes.latent).all(axis=1)
    if not known.any():
        return 0
    usual = np.median(codes.spread[known], axis=0)
    of_level, of_spread = ((np.ptp(a[known], axis=0) > _SAME * usual).sum() for a in (codes.level, codes.spread))
    if model.scaler_.scaling == "series":  # all channels are scaled together
        of_level, of_spread = min(of_level, 1), min(of_spread, 1)
    varying = np.ptp(codes.lengths) > 0, np.ptp(codes.lags) > 0
    return int(of_level + of_spread + sum(varying))
