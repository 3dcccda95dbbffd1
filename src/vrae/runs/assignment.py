"""Where the series belong, and the numbers that sum it up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Panel
from vrae.estimators.base import BaseVRAE
from vrae.estimators.clusterer import VRAEClusterer
from vrae.estimators.forecaster import GroupForecaster
from vrae.evaluate import DOUBTFUL, agreement_of_counts, separation

__all__ = ["Assignment", "Tally", "assign", "describe_model"]


@dataclass(frozen=True)
class Assignment:
    """Where the series of a panel belong.

    Attributes
    ----------
    ids : ndarray, shape (n_series,)
    labels : ndarray of int64, shape (n_series,)
        -1: none.
    probabilities : ndarray, shape (n_series,)
        Of the series' own cluster; 0 where there is none.
    lags : ndarray of int64, shape (n_series,)
        Steps; see `VRAE.lags`.
    static : dict of str to ndarray
        The panel's static columns.
    embedding : ndarray of float32, shape (n_series, latent_size)
        The latent vectors by which they were placed.
    """

    ids: npt.NDArray[Any]
    labels: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]
    lags: npt.NDArray[np.int64]
    static: dict[str, npt.NDArray[Any]]
    embedding: npt.NDArray[np.float32]

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return the table's columns by name."""
        return {
            "id": self.ids,
            "cluster": self.labels,
            "probability": self.probabilities.round(4),
            "lag": self.lags,
            **{name: np.asarray(column) for name, column in self.static.items()},
        }


def assign(clusterer: VRAEClusterer, panel: Panel, Z: npt.NDArray[np.float32] | None = None) -> Assignment:
    """Place every series of a panel in a cluster of a fitted model; ``Z`` are its latent vectors, if known."""
    from vrae.estimators.partition import labels_of

    Z = np.asarray(clusterer.transform(panel)) if Z is None else Z
    probabilities = clusterer.place(Z)  # (n_series, n_clusters)
    lagged = clusterer.network_.config.max_lag > 0  # where lags are not learned, decoding for them is all in vain
    return Assignment(
        ids=panel.ids,
        labels=labels_of(probabilities),
        probabilities=probabilities.max(axis=1, initial=0.0),
        lags=clusterer.lags(panel) if lagged else np.zeros(len(panel), np.int64),
        static=dict(panel.static),
        embedding=Z,
    )


@dataclass
class Tally:
    """Counts over assignments, panel after panel; of parts of the series, they add up to those of all."""

    n_series: int = 0
    n_values: int = 0
    n_missing: int = 0
    shortest: int = 0
    longest: int = 0
    n_channels: int = 0
    probability: float = 0.0
    n_doubtful: int = 0
    sizes: Counter[int] = field(default_factory=Counter)
    known: Counter[tuple[str, int]] = field(default_factory=Counter)  # series by class and cluster

    def add(self, panel: Panel, assignment: Assignment, truth: npt.NDArray[Any] | None = None) -> None:
        """Count the series of one panel; ``truth``, shape (n_series,), are known classes."""
        self.shortest = min(self.shortest or int(panel.lengths.min()), int(panel.lengths.min()))
        self.longest = max(self.longest, int(panel.lengths.max()))
        self.n_channels = panel.n_channels
        self.n_series += len(panel)
        self.n_values += panel.values.size
        self.n_missing += sum(int(np.isnan(part).sum()) for part in panel.slices())
        self.probability += float(assignment.probabilities.sum())
        self.n_doubtful += int((assignment.probabilities < DOUBTFUL).sum())
        self.sizes.update(assignment.labels.tolist())
        if truth is not None:
            self.known.update(zip(map(str, truth.tolist()), assignment.labels.tolist(), strict=True))

    def __add__(self, other: Tally) -> Tally:
        """Return the counts of both."""
        if not self.n_series or not other.n_series:
            return self if self.n_series else other
        total = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        total |= {"shortest": min(self.shortest, other.shortest), "longest": max(self.longest, other.longest)}
        return Tally(**{**total, "n_channels": self.n_channels})

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as JSON-ready values."""
        known = [[*pair, count] for pair, count in self.known.items()]
        return {**{f.name: getattr(self, f.name) for f in fields(self)}, "sizes": [*self.sizes.items()], "known": known}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Self:
        """Return the counts that `to_dict` told."""
        known = Counter({(name, label): count for name, label, count in state["known"]})
        return cls(**{**state, "sizes": Counter(dict(state["sizes"])), "known": known})

    def metrics(
        self, clusterer: VRAEClusterer, seconds: float, labels: npt.NDArray[np.int64] | None = None
    ) -> dict[str, Any]:
        """Sum a clustering up in JSON-ready numbers; ``labels`` are the training series'."""
        from vrae import __version__

        last = clusterer.history_[-1]
        vectors = clusterer.space_(clusterer.embedding_.astype(np.float64))
        metrics: dict[str, Any] = {
            "version": __version__,
            "n_series": self.n_series,
            "n_channels": self.n_channels,
            "shortest": self.shortest,
            "longest": self.longest,
            "missing_share": round(self.n_missing / self.n_values, 6),
            "n_clusters": clusterer.n_clusters_,
            "sizes": [self.sizes.get(label, 0) for label in range(clusterer.n_clusters_)],
            "n_noise": self.sizes.get(-1, 0),
            "silhouette": separation(vectors, clusterer.labels_ if labels is None else labels),
            "mean_probability": self.probability / self.n_series,
            "doubtful_share": self.n_doubtful / self.n_series,
            "latent_size": clusterer.network_.config.latent_size,
            "active_units": clusterer.active_units_,
            "epochs": len(clusterer.history_),
            "reconstruction": last["reconstruction"],
            "kl": last["kl"],
            "noise_variance": clusterer.noise_variance_,
            "seconds": round(seconds, 2),
            "selection": clusterer.selection_,
            "options": {k: v for k, v in clusterer.get_params(deep=False).items() if _is_plain(v)},
        }
        if self.known:
            metrics.update(agreement_of_counts(self._in_both()))
        return metrics

    def _in_both(self) -> npt.NDArray[np.int64]:
        """Return how many series are in each class (row) and cluster (column)."""
        classes, labels = (sorted(set(names)) for names in zip(*self.known, strict=True))
        return np.array([[self.known[name, label] for label in labels] for name in classes], np.int64)


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float, str))


def describe_model(model: BaseVRAE) -> dict[str, Any]:
    """Tell in JSON-ready facts what a fitted model is."""
    config = model.network_.config
    facts: dict[str, Any] = {
        "class": type(model).__name__,
        "fitted to": f"{len(model.ids_)} series, median length {model.n_steps_}, {config.n_channels} channel(s)",
        "epochs": len(model.history_),
        "latent dimensions in use": f"{model.active_units_} of {config.latent_size}",
        "parameters": sum(p.numel() for p in model.network_.parameters()),
    }
    if isinstance(model, (VRAEClusterer, GroupForecaster)):
        facts["clusters"] = model.n_clusters_
        facts["sizes"] = np.bincount(model.labels_[model.labels_ >= 0], minlength=model.n_clusters_).tolist()
    facts["network"] = config.to_dict()
    facts["options"] = {k: v for k, v in model.get_params(deep=False).items() if _is_plain(v)}
    return facts
