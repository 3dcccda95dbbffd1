"""The data that a report shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.calendar import local_times
from vrae.data.panel import Panel
from vrae.describe.verdict import Verdict
from vrae.describe.words import NOISE, cluster_labels
from vrae.exceptions import InvalidDataError
from vrae.metrics import separation
from vrae.report.commands import Commands, PythonLines

__all__ = ["Alternative", "DirectionCurves", "NextBest", "ReportData"]

Floats = npt.NDArray[np.floating[Any]]

_PER_SERIES = (
    "labels",
    "probabilities",
    "embedding",
    "reconstruction",
    "lags",
    "truth",
    "scores",
    "noise",
    "halves",
    "alike",
)


@dataclass(frozen=True)
class DirectionCurves:
    """Series decoded along each main direction of the map, all other directions at their means.

    ``positions`` (n_directions, n_positions) are coordinates in the embedding, ascending.
    ``curves`` (n_directions, n_positions, n_channels, n_steps) are in the units of the data.
    """

    positions: Floats
    curves: Floats


@dataclass(frozen=True)
class Alternative:
    """Another number of clusters, and what it gives.

    Attributes
    ----------
    n_clusters : int
    score : float or None
        As in ``selection``; None if this number was not scored.
    found_again : tuple of float
        How much of each cluster is found again by models that were fitted again; empty without.
    sizes : tuple of int
        Number of training series in clusters 0, 1, ...
    names : dict of int to str
    labels : ndarray of shape (n_series,)
        Clusters of the series of the report.
    """

    n_clusters: int
    score: float | None
    found_again: tuple[float, ...]
    sizes: tuple[int, ...]
    names: dict[int, str]
    labels: npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class NextBest:
    """The next best cluster of every series, -1 for none, and its probability: (n_series,)."""

    labels: npt.NDArray[np.integer[Any]]
    probabilities: Floats


@dataclass(frozen=True)
class ReportData:
    """The data that a report shows. Arrays have one entry per series of ``panel``.

    Attributes
    ----------
    labels, probabilities
        Cluster of every series, -1 = not assigned, and its probability, NaN = unknown.
    embedding : ndarray of shape (n_series, latent_size)
        Latent vectors; a row of NaN is a series that could not be embedded.
    reconstruction : Panel
        Reconstructed series, in the units of the data: same ids, lengths and channels.
    lags
        Steps by which a series is late relative to its reconstruction.
    history, selection : list of dict
        Epochs of the training, and the numbers of clusters tried with their ``score``.
    metrics : dict
        All optional; may be nested: ``silhouette``, ``stability``, ``active_units``,
        ``latent_size``, ``seconds``, ``version``, ``options``, ``ari``, ``nmi``, and, where the
        report shows a sample, ``n_series`` and ``sizes`` of all series.
    truth
        Known labels. They only colour the map.
    scores
        How usual each series is: 0 is usual, -3 is three spreads farther from its nearest series
        than is usual. NaN = unknown.
    noise : ndarray of shape (n_series, n_channels)
        Standard deviation of the model's error, in the units of the data: the width of the band
        around a reconstruction.
    from_model : bool
        The series were not available; ``panel`` holds their reconstructions.
    names : dict of int to str
        Names of the clusters. A cluster without one is "Cluster 0", ...
    halves : ndarray of shape (n_series,), dtype uint8
        1 where a series would get the new number if its cluster were split in two. None: the page
        offers no split.
    tree : ndarray of shape (n_clusters - 1, 4), optional
        How the clusters merge, in the format of `scipy.cluster.hierarchy.linkage`.
    alternatives : tuple of Alternative
        Other numbers of clusters, and the one that was chosen, by their number.
    verdict : Verdict
        What the first screen says.
    commands : Commands
        How the reader does what the page advises.
    next_best : NextBest, optional
    alike : ndarray of shape (n_series,), optional
        Groups of series with the same latent vector, 1, 2, ..., which move together; 0 for others.
    alike_sizes : tuple of int
        Sizes of groups 0, 1, ... among all series of the run.
    own_names : dict of int to str
        Those of ``names`` that the user gave.
    edited : bool
        Whether clusters were changed or named by hand, which another number would discard.
    notice : str
        Something that concerns the whole page, such as that the data changed since the run.
    """

    title: str
    panel: Panel
    labels: npt.NDArray[np.integer[Any]]
    probabilities: Floats
    embedding: Floats
    reconstruction: Panel
    lags: npt.NDArray[np.integer[Any]] | None
    history: list[dict[str, Any]]
    selection: list[dict[str, Any]]
    metrics: dict[str, Any]
    truth: npt.NDArray[Any] | None
    scores: Floats | None = None
    noise: Floats | None = None
    traversal: DirectionCurves | None = None
    from_model: bool = False
    names: dict[int, str] = field(default_factory=dict)
    halves: npt.NDArray[np.uint8] | None = None
    tree: Floats | None = None
    alternatives: tuple[Alternative, ...] = ()
    verdict: Verdict = field(default_factory=lambda: Verdict(""))
    commands: Commands = field(default_factory=PythonLines)
    next_best: NextBest | None = None
    alike: npt.NDArray[np.integer[Any]] | None = None
    alike_sizes: tuple[int, ...] = ()
    own_names: dict[int, str] = field(default_factory=dict)
    edited: bool = False
    notice: str = ""

    def __post_init__(self) -> None:
        n = len(self.panel)
        for name in _PER_SERIES:
            part = getattr(self, name)
            if part is not None and len(part) != n:
                raise InvalidDataError(f"A report needs one entry per series: {name} has {len(part)} for {n} series.")
        if n == 0:
            raise InvalidDataError("A report needs at least one series; the panel is empty.")
        if not np.array_equal(self.panel.offsets, self.reconstruction.offsets):
            raise InvalidDataError("The reconstruction must have the same lengths as the series, in the same order.")

    @property
    def n_total(self) -> int:
        """Number of clustered series; the panel may be a sample of them."""
        return max(int(self.metrics.get("n_series") or 0), len(self.panel))

    @property
    def n_clusters(self) -> int:
        """Number of non-empty clusters."""
        return len(np.unique(self.labels[self.labels != NOISE]))

    @property
    def n_chosen(self) -> int:
        """Number of clusters of the run, also of those without a series here."""
        return len(self.run_sizes)

    @cached_property
    def run_sizes(self) -> list[int]:
        """Sizes of clusters 0, 1, ... of the run, also of those without a series here."""
        known = self.metrics.get("sizes")
        assigned = self.labels[self.labels != NOISE]
        return [int(size) for size in (known or np.bincount(assigned))]

    def sizes(self) -> dict[int, int]:
        """Return the size of each cluster among all series, noise last."""
        counted = {label: int((self.labels == label).sum()) for label in cluster_labels(self.labels)}
        known = self.metrics.get("sizes")
        if self.n_total == len(self.panel) or not known:
            return counted
        everywhere = {**dict(enumerate(known)), NOISE: int(self.metrics.get("n_noise") or 0)}
        return {label: max(everywhere.get(label, 0), size) for label, size in counted.items()}

    def silhouette(self) -> float | None:
        """Return the mean silhouette, -1 to 1, or None if it is undefined."""
        given = self.metrics.get("silhouette")
        if given is None:
            return separation(self.embedding, self.labels)
        return float(given) if np.isfinite(given) else None

    @cached_property
    def times(self) -> npt.NDArray[Any] | None:
        """Dates of all steps of the panel, on the clock of its zone; None without dates."""
        times = self.panel.times
        return local_times(times, self.panel.zone) if times is not None and times.dtype.kind == "M" else None

    @cached_property
    def common_steps(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]] | None:
        """First step of each series among those of one calendar, and their times; None without."""
        found = None if self.times is None or self.lags is not None else self.panel.common_steps()
        return found and (found[0], local_times(found[1], self.panel.zone))

    def on_calendar(self, index: int) -> npt.NDArray[np.float64]:
        """Return one series (n_channels, n_steps), on a calendar with NaN before its first step."""
        series = self.series(index)
        if self.common_steps is None:
            return series
        return np.pad(series, ((0, 0), (int(self.common_steps[0][index]), 0)), constant_values=np.nan)

    def series(self, index: int) -> npt.NDArray[np.float64]:
        """Return one series, shape (n_channels, n_steps)."""
        return self.panel[int(index)].astype(np.float64)
