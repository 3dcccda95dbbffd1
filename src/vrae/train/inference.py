"""A trained network applied to panels: batches go in, one result per series comes out in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vrae.data.batching import Batch, Indices, collate, inference_batches
from vrae.data.panel import Panel
from vrae.data.scaling import Scaler
from vrae.nn.model import Decoded, VRAENetwork
from vrae.nn.patterns import PatternStatistics
from vrae.phases import advance
from vrae.runtime import autocast, ordered_map, work_threads

__all__ = ["BATCH_SIZE", "Inference", "in_units", "pattern_table", "statistics_of"]

Result = TypeVar("Result")

# Statistics (batch, statistic) and sizes (batch,) of series to one bool each.
Judge = Callable[[npt.NDArray[np.float32], npt.NDArray[np.int64]], npt.NDArray[np.bool_]]

# Series per batch.
BATCH_SIZE = 128


@dataclass(frozen=True)
class Inference:
    """A network and its scaler, without training. ``precision`` is that of matrix products."""

    network: VRAENetwork
    scaler: Scaler
    precision: str = "float32"

    @property
    def device(self) -> torch.device:
        """Device of the network."""
        return next(self.network.parameters()).device

    def batches(
        self, panel: Panel, indices: Indices, compute: Callable[[Batch], Result], patterns: Tensor | None = None
    ) -> Iterator[tuple[Batch, Result]]:
        """Yield ``(batch, compute(batch))`` for batches of similar length.

        ``patterns`` (n_series, n_patterns) are those of the panel, if already computed.
        """
        device = self.device

        def visit(part: Indices) -> tuple[Batch, Result]:
            with autocast(device, self.precision):
                batch = collate(panel, part, self.scaler, device, patterns)
                return batch, compute(batch)

        yield from map_batches(panel, indices, visit, device, self.network.config.hidden_size)

    def per_series(
        self,
        panel: Panel,
        indices: Indices,
        compute: Callable[[Batch], Tensor],
        empty: npt.NDArray[Any],
        patterns: Tensor | None = None,
    ) -> npt.NDArray[Any]:
        """Fill ``empty``, which has one row per series, with ``compute(batch)`` at ``indices``."""
        for batch, result in self.batches(panel, indices, compute, patterns):
            empty[batch.indices] = result.float().cpu().numpy()
        return empty

    def embed(self, panel: Panel, indices: Indices, patterns: Tensor | None = None) -> npt.NDArray[np.float32]:
        """Return latent means (n_series, latent_size). Rows outside ``indices`` are NaN."""

        def mean(batch: Batch) -> Tensor:
            return self.encode(batch)[0]

        empty = np.full((len(panel), self.network.config.latent_size), np.nan, np.float32)
        return self.per_series(panel, indices, mean, empty, patterns)

    def embed_and_judge(
        self, panel: Panel, indices: Indices, judge: Judge
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """Return latent means as `embed` does, and a judgement of each series (n_series,).

        ``judge`` gets what `raw_statistics` returns, of a batch. It is False outside ``indices``.
        """

        def both(batch: Batch) -> Tensor:
            raw = self.raw(batch)
            mean = self.encode(self.with_raw(batch, raw))[0].float()
            judged = torch.from_numpy(judge(raw.float().cpu().numpy(), _observed(batch))).to(mean)
            return torch.cat([mean, judged[:, None]], dim=1)

        empty = np.full((len(panel), self.network.config.latent_size + 1), np.nan, np.float32)
        found = self.per_series(panel, indices, both, empty)
        return np.ascontiguousarray(found[:, :-1]), found[:, -1] == 1

    def raw_statistics(self, panel: Panel, indices: Indices) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Return all pattern statistics of the series at ascending indices, and their sizes.

        The statistics (n, statistic) are not reduced to principal components. Without patterns they
        are the latent means. The size of a series (n,) is the number of steps with a value.
        """
        batches = list(self.batches(panel, indices, self.raw))
        order = np.argsort(np.concatenate([batch.indices for batch, _ in batches]))
        statistics = np.concatenate([raw.float().cpu().numpy() for _, raw in batches])
        return statistics[order], np.concatenate([_observed(batch) for batch, _ in batches])[order]

    def raw(self, batch: Batch) -> Tensor:
        """Return all pattern statistics of a batch, (batch, statistic); see `raw_statistics`."""
        if not self.network.config.n_patterns:
            return self.network.encode(batch.values, batch.mask, batch.lengths)[0]
        found: Tensor = self.network.statistics.raw(batch.values, batch.mask, batch.lengths, batch.scale, batch.timing)
        return found

    def with_raw(self, batch: Batch, raw: Tensor) -> Batch:
        """Return a batch whose patterns are known from what `raw` returned of it."""
        return replace(batch, patterns=self.network.statistics.reduce(raw)) if self.network.config.n_patterns else batch

    def patterns_of(self, batch: Batch) -> Tensor | None:
        """Return the pattern statistics of a batch, (batch, n_patterns): the known ones, if any."""
        if batch.patterns is not None or not self.network.config.n_patterns:
            return batch.patterns
        return statistics_of(self.network.statistics, batch)

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return means and logarithms of variances, both (batch, latent_size)."""
        return self.network.encode(batch.values, batch.mask, batch.lengths, self.patterns_of(batch))

    def forward(self, batch: Batch) -> Decoded:
        """Encode and decode a batch."""
        return self.network(batch.values, batch.mask, batch.lengths, self.patterns_of(batch))

    def reconstructions(
        self, panel: Panel, indices: Indices, Z: npt.NDArray[np.float32]
    ) -> Iterator[tuple[Batch, Tensor]]:
        """Yield batches and their reconstructions (batch, time, channel) from known latent vectors.

        ``Z`` (n_series, latent_size) is what `embed` returned, so that no series is encoded twice.
        """
        latent = torch.from_numpy(Z)

        def decode(batch: Batch) -> Tensor:
            z = latent[torch.from_numpy(batch.indices)].to(self.device)
            return self.network.reconstruct(z, batch.values, batch.mask, batch.lengths)[0]

        yield from self.batches(panel, indices, decode)

    def patterns(self, panel: Panel, indices: Indices) -> Tensor:
        """Return pattern statistics (n_series, n_patterns). Rows outside ``indices`` are zero."""
        return pattern_table(self.network.statistics, panel, indices, self.scaler, self.device)


def _observed(batch: Batch) -> npt.NDArray[np.int64]:
    """Return the number of steps with a value of each series, (batch,)."""
    return (batch.mask > 0).any(dim=2).sum(dim=1).cpu().numpy()


def map_batches(
    panel: Panel, indices: Indices, visit: Callable[[Indices], Result], device: torch.device, hidden_size: int = 1
) -> Iterator[Result]:
    """Yield ``visit(part)`` for batches of similar length, without gradients, in a fixed order."""

    def quietly(part: Indices) -> Result:
        with work_threads(device, hidden_size), torch.inference_mode():
            return visit(part)

    parts = inference_batches(panel.lengths, indices, BATCH_SIZE)
    done = 0
    for part, found in zip(parts, ordered_map(quietly, parts, device, hidden_size), strict=True):
        yield found
        done += len(part)
        advance(done, len(indices), "series")


def statistics_of(statistics: PatternStatistics, batch: Batch) -> Tensor:
    """Return the pattern statistics of a batch, (batch, n_patterns)."""
    found: Tensor = statistics(batch.values, batch.mask, batch.lengths, batch.scale, batch.timing)
    return found


def pattern_table(
    statistics: PatternStatistics, panel: Panel, indices: Indices, scaler: Scaler, device: torch.device
) -> Tensor:
    """Return pattern statistics (n_series, n_patterns); zero outside ``indices``."""

    def visit(part: Indices) -> tuple[Indices, Tensor]:
        return part, statistics_of(statistics, collate(panel, part, scaler, device)).cpu()

    table = torch.zeros(len(panel), statistics.components.shape[1])
    for part, found in map_batches(panel, indices, visit, device):
        table[torch.from_numpy(part)] = found
    return table


def in_units(batch: Batch, x: Tensor, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return decoded series end to end, (steps, channel), in their own units.

    ``dtype``, float32 or float64, is that of their panel.
    """
    series = x.double().cpu() * batch.spread[:, None] + batch.level[:, None]
    inside = torch.arange(series.shape[1]) < batch.lengths.cpu()[:, None]  # (batch, time)
    return series[inside].to(torch.float32 if dtype == np.float32 else torch.float64).numpy()
