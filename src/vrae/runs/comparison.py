"""Compare vrae's clusters with those of other methods on the user's own series."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone

from vrae.config import check_int
from vrae.data.panel import Panel, invalid_series
from vrae.estimators.clusterer import VRAEClusterer
from vrae.estimators.vrae import VRAE
from vrae.exceptions import InvalidDataError, InvalidParameterError, check_installed, did_you_mean, name_some
from vrae.metrics import agreement, resample, separation
from vrae.runs.peers import PEERS, Peer

__all__ = ["METHODS", "Comparison", "compare"]

METHODS = ("vrae", *PEERS)

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int64]

# Stability: each method clusters random subsets of this fraction of the series again.
_SUBSET = 0.8
# The shortest series that every peer accepts.
_MIN_STEPS = 9


@dataclass(frozen=True)
class Comparison:
    """Results of several methods on the same series.

    Attributes
    ----------
    rows : list of dict
        One per method: ``method``, ``clusters``, ``silhouette``, ``stability``, ``seconds``; with
        known classes, ``ari`` and ``nmi``; and ``with NAME``, the agreement (adjusted Rand index)
        with the clusters of each method. None where there is no value.
    notes : list of str
        How series were changed for a method, and which methods failed.
    """

    rows: list[dict[str, Any]]
    notes: list[str]

    def to_columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return the rows as columns. NaN where there is no value."""
        names = list(self.rows[0])
        return {n: np.array([np.nan if row[n] is None else row[n] for row in self.rows]) for n in names}


@dataclass(frozen=True)
class _Method:
    """A method that can cluster some of the series.

    Attributes
    ----------
    name : str
    cluster : callable
        From indices and a seed to labels.
    warm_up : callable
        Runs before the time is taken.
    """

    name: str
    cluster: Callable[[Indices, int], Labels]
    warm_up: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class _Outcome:
    """Labels of all series and of each subset, and the seconds that the former took."""

    labels: Labels
    subset_labels: list[Labels]
    seconds: float


def compare(
    clusterer: VRAEClusterer,
    panel: Panel,
    truth: npt.NDArray[Any] | None,
    methods: Sequence[str] = METHODS,
    rounds: int = 2,
    seed: int = 0,
    log: Callable[[str], None] = lambda message: None,
) -> Comparison:
    """Cluster a panel by several methods, and measure the results.

    Parameters
    ----------
    clusterer : VRAEClusterer
        If its number of clusters is "auto", the other methods get the number that it selects.
    panel : Panel
    truth : ndarray of shape (n_series,) or None
        Known classes, to compare with. No method learns from them.
    methods : sequence of str
        From `METHODS`.
    rounds : int, default=2
        Number of random subsets, four fifths of the series each, that every method clusters again.
        ``stability`` is the mean agreement with the clusters of all series.
    seed : int, default=0
    log : callable, optional
        Gets progress messages.

    Returns
    -------
    Comparison

    Raises
    ------
    InvalidDataError
        A series has no observed value.
    InvalidParameterError
        A method is unknown or given twice, or there are too few or too many clusters.
    MissingDependencyError
        A method needs aeon, which is not installed.
    """
    _check(panel, methods, rounds)
    ours = "vrae" in methods
    if ours or clusterer.n_clusters == "auto":
        log("Clustering by VRAE")
        started = time.perf_counter()
        labels = clusterer.fit(panel).labels_
        first = _Outcome(labels, [], time.perf_counter() - started)
        k = clusterer.n_clusters_
    else:
        first, k = None, int(clusterer.n_clusters)
    n = len(panel)
    if not 2 <= k < n:
        raise InvalidParameterError(f"A comparison needs 2 to {n - 1} clusters; found {k}. Set the number of clusters.")
    X, notes = _prepare_for_peers(panel)
    subsets = [np.sort(np.random.default_rng([seed, r]).permutation(n)[: round(_SUBSET * n)]) for r in range(rounds)]
    names: list[str] = []
    outcomes: list[_Outcome | None] = []
    for key in methods:
        method = _vrae(clusterer, panel, k) if key == "vrae" else _peer(PEERS[key], X, k)
        log(f"Measuring {method.name}" if key == "vrae" else f"Clustering by {method.name}")
        names.append(method.name)
        try:
            outcomes.append(_run(method, n, subsets, seed, first if key == "vrae" else None))
        except Exception as error:  # the failure of another library is a result
            if key == "vrae":
                raise
            outcomes.append(None)
            reason = (str(error).splitlines() or [""])[0][:200]
            notes.append(f"{method.name} found no clusters: {type(error).__name__}: {reason}")
    return Comparison(_table(names, outcomes, X.reshape(n, -1), truth, subsets, seed), notes)


def _check(panel: Panel, methods: Sequence[str], rounds: int) -> None:
    for name in methods:
        if name not in METHODS:
            raise InvalidParameterError(f"methods: unknown method {name!r}.{did_you_mean(name, METHODS)}")
    if len(set(methods)) < len(methods) or not methods:
        raise InvalidParameterError(f"methods must be one or more different names from {', '.join(METHODS)}.")
    check_int("rounds", rounds, low=0)
    if any(name in PEERS and PEERS[name].needs_aeon for name in methods):
        check_installed("aeon", "aeon", "A comparison with k-Shape, KASBA or R-Clustering", "Or leave them out.")
    invalid = invalid_series(panel)
    if invalid.any():
        raise InvalidDataError(
            f"Found {invalid.sum()} of {len(panel)} series without any observed value, ids "
            f"{name_some(panel.ids[invalid])}. Leave them out."
        )


def _run(method: _Method, n: int, subsets: Sequence[Indices], seed: int, known: _Outcome | None) -> _Outcome:
    """Cluster all series, unless their labels are known, and each subset."""
    method.warm_up()
    started = time.perf_counter()
    labels = method.cluster(np.arange(n), seed) if known is None else known.labels
    seconds = time.perf_counter() - started if known is None else known.seconds
    return _Outcome(labels, [method.cluster(subset, seed + 1 + r) for r, subset in enumerate(subsets)], seconds)


def _table(
    names: Sequence[str],
    outcomes: Sequence[_Outcome | None],
    vectors: Floats,
    truth: npt.NDArray[Any] | None,
    subsets: Sequence[Indices],
    seed: int,
) -> list[dict[str, Any]]:
    """Return the rows of a `Comparison`. An outcome of None is a method that failed."""
    rows = []
    for name, outcome in zip(names, outcomes, strict=True):
        row: dict[str, Any] = {"method": name}
        row |= dict.fromkeys(("clusters", "silhouette", "stability", "seconds"))
        if truth is not None:
            row |= {"ari": None, "nmi": None}
        row |= {f"with {other}": None for other in names}
        if outcome is not None:
            labels = outcome.labels
            again = [
                agreement(labels[subset], found)["ari"]
                for subset, found in zip(subsets, outcome.subset_labels, strict=True)
            ]
            row["clusters"] = len(np.unique(labels[labels >= 0]))
            row["silhouette"] = _rounded(separation(vectors, labels, seed))
            row["stability"] = _rounded(float(np.mean(again))) if again else None
            row["seconds"] = round(outcome.seconds, 2)
            if truth is not None:
                row |= {score: _rounded(value) for score, value in agreement(truth, labels).items()}
            for other, theirs in zip(names, outcomes, strict=True):
                if theirs is not None:
                    row[f"with {other}"] = _rounded(agreement(labels, theirs.labels)["ari"])
        rows.append(row)
    return rows


def _vrae(clusterer: VRAEClusterer, panel: Panel, k: int) -> _Method:
    def cluster(indices: Indices, seed: int) -> Labels:
        own: VRAEClusterer = clone(clusterer).set_params(n_clusters=k, random_state=seed)
        if isinstance(own.model, VRAE):
            own.model.random_state = seed
        return own.fit(panel.select(indices)).labels_

    return _Method("VRAE", cluster)


def _peer(peer: Peer, X: Floats, k: int) -> _Method:
    def run(series: Floats, n_clusters: int, seed: int) -> Labels:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the internals of another library
            return np.asarray(peer.cluster(series, n_clusters, seed)).astype(np.int64)

    def cluster(indices: Indices, seed: int) -> Labels:
        return run(X[indices], k, seed)

    def warm_up() -> None:
        if peer.needs_aeon:  # aeon compiles for half a minute on the first call
            run(np.random.default_rng(0).standard_normal((12, X.shape[1], 32)), 2, 0)

    return _Method(peer.name, cluster, warm_up)


def _prepare_for_peers(panel: Panel) -> tuple[Floats, list[str]]:
    """Fill, resample and z-normalise series to (n, channel, time), and describe the changes."""
    padded, lengths = panel.to_padded(), panel.lengths
    notes = []
    missing = int(sum(np.isnan(part).any(axis=1).sum() for part in panel.slices()))
    steps = max(int(np.median(lengths)), _MIN_STEPS)
    if (lengths != steps).any():
        notes.append(
            f"The other methods need series of equal length: theirs were resampled to {steps} steps "
            f"(originals: {lengths.min()} to {lengths.max()})."
        )
    if missing:
        notes.append(f"The other methods accept no missing values: {missing:,} steps were interpolated.")
    X = resample(padded, steps)
    X -= X.mean(axis=2, keepdims=True)
    spread = X.std(axis=2, keepdims=True)
    return X / np.where(spread > 1e-8, spread, 1.0), notes


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
