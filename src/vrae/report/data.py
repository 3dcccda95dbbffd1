"""What a report is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Panel
from vrae.evaluate import DOUBTFUL, separation
from vrae.exceptions import InvalidDataError
from vrae.plots.palette import NOISE, cluster_labels

__all__ = ["ReportData", "Traversal"]

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Traversal:
    """What the model draws as it goes along one direction of the map after the other, all else being average.

    Attributes
    ----------
    positions : ndarray of shape (n_directions, n_positions)
        Coordinates in ``ReportData.embedding``, ascending.
    curves : ndarray of shape (n_directions, n_positions, n_channels, n_steps)
        In the user's units.
    """

    positions: Floats
    curves: Floats


@dataclass(frozen=True)
class ReportData:
    """What a report shows.

    Attributes
    ----------
    title : str
    panel : Panel
        The series as the user gave them.
    labels : ndarray of int, shape (n_series,)
        Cluster of every series; -1 = not assigned.
    probabilities : ndarray of shape (n_series,)
        Probability of the series' own cluster; NaN = unknown.
    embedding : ndarray of shape (n_series, latent_size)
        Latent vectors; a row of NaN is a series that could not be embedded.
    reconstruction : Panel
        The model's version of each series, in the user's units: same ids, lengths and channels.
    lags : ndarray of int, shape (n_series,), or None
        Steps by which a series is late against its reconstruction.
    history : list of dict
        One an epoch: ``epoch``, ``loss``, ``reconstruction``, ``kl``, ``kl_weight``, perhaps
        ``validation_loss`` and ``seconds``.
    selection : list of dict
        The numbers of clusters tried, each with ``n_clusters`` and ``score``; empty when it was given.
    metrics : dict
        ``silhouette``, ``stability``, ``active_units``, ``latent_size``, ``seconds``, ``version``, ``options``,
        ``ari``, ``nmi``, ``n_series`` and ``sizes`` (of all series, where the report shows a sample), ...; all
        optional, nested dicts are fine.
    truth : ndarray of shape (n_series,), or None
        Known labels: they only colour the map.
    scores : ndarray of shape (n_series,), or None
        Evidence lower bound an observed value, in nats: lower is more unusual. NaN = unknown.
    noise : ndarray of shape (n_series, n_channels), or None
        Standard deviation of the model's error, in the user's units: the width of the band around a
        reconstruction.
    traversal : Traversal or None
    from_model : bool
        The series were not at hand: ``panel`` holds the model's version of them.
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
    traversal: Traversal | None = None
    from_model: bool = False

    def __post_init__(self) -> None:
        n = len(self.panel)
        for name in ("labels", "probabilities", "embedding", "reconstruction", "lags", "truth", "scores", "noise"):
            part = getattr(self, name)
            if part is not None and len(part) != n:
                raise InvalidDataError(f"A report needs one entry a series: {name} has {len(part)} for {n} series.")
        if n == 0:
            raise InvalidDataError("A report needs at least one series; the panel is empty.")
        if not np.array_equal(self.panel.offsets, self.reconstruction.offsets):
            raise InvalidDataError("The reconstruction must have the same lengths as the series, in the same order.")

    @property
    def n_total(self) -> int:
        """Number of series that were clustered; the panel may be a sample of them."""
        return max(int(self.metrics.get("n_series") or 0), len(self.panel))

    @property
    def n_clusters(self) -> int:
        """Number of clusters that hold series."""
        return len(np.unique(self.labels[self.labels != NOISE]))

    @property
    def is_doubtful(self) -> npt.NDArray[np.bool_]:
        """Which series belong to no cluster for sure, shape (n_series,)."""
        doubtful: npt.NDArray[np.bool_] = (self.labels == NOISE) | (self.probabilities < DOUBTFUL)
        return doubtful

    def sizes(self) -> dict[int, int]:
        """Return the number of all series in each cluster that the panel shows, noise last."""
        counted = {label: int((self.labels == label).sum()) for label in cluster_labels(self.labels)}
        known = self.metrics.get("sizes")
        if self.n_total == len(self.panel) or not known:
            return counted
        everywhere = {**dict(enumerate(known)), NOISE: int(self.metrics.get("n_noise") or 0)}
        return {label: max(everywhere.get(label, 0), size) for label, size in counted.items()}

    def silhouette(self) -> float | None:
        """Return how far apart the clusters lie, -1 to 1, where that has a meaning."""
        given = self.metrics.get("silhouette")
        if given is None:
            return separation(self.embedding, self.labels)
        return float(given) if np.isfinite(given) else None

    def series(self, row: int) -> npt.NDArray[np.float64]:
        """Return a series, shape (n_channels, n_steps)."""
        return self.panel[int(row)].T.astype(np.float64)
