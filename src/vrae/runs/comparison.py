"""Compare vrae's clusters with those of other methods on the user's own series."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.preprocessing import StandardScaler

from vrae.config import check_int
from vrae.data.batching import Indices
from vrae.data.panel import Panel, invalid_series
from vrae.estimators.clusterer import VRAEClusterer
from vrae.estimators.stability import cluster_again
from vrae.exceptions import (
    InvalidDataError,
    InvalidParameterError,
    Silence,
    check_installed,
    did_you_mean,
    first_line,
    name_some,
)
from vrae.metrics import agreement, labelled, resample, separation
from vrae.phases import advance, announce, one_phase
from vrae.runtime import one_thread

__all__ = ["METHODS", "PEERS", "Comparison", "Peer", "compare"]

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

# The shortest series that every peer accepts.
_MIN_STEPS = 9
_INTERNALS = Silence(module=r"(aeon|numba|numpy|scipy|sklearn)\b")


@dataclass(frozen=True)
class Peer:
    """Another method: from series (n, channel, time), number of clusters, seed to labels (n,)."""

    name: str
    cluster: Callable[[Floats, int, int], Any]
    needs_aeon: bool = False  # an optional package that compiles its functions on the first call


def _kmeans(X: Floats, k: int, seed: int) -> Any:
    """Lloyd's algorithm on the values, the best of 10 starts."""
    return KMeans(k, n_init=10, random_state=seed).fit_predict(X.reshape(len(X), -1))


def _kshape(X: Floats, k: int, seed: int) -> Any:
    """Paparrizos & Gravano, "k-Shape", SIGMOD 2015."""
    from aeon.clustering import KShape

    return KShape(k, random_state=seed).fit_predict(X)


def _kasba(X: Floats, k: int, seed: int) -> Any:
    """Holder & Bagnall, "Rock the KASBA", 2024."""
    from aeon.clustering import KASBA

    return KASBA(k, random_state=seed).fit_predict(X)


def _r_clustering(X: Floats, k: int, seed: int) -> Any:
    """Marco-Blanco & Cuevas, "Time series clustering with random convolutional kernels", DMKD 2024.

    MiniRocket features, standardised; principal components with at least 1 % of the variance each;
    k-means.
    """
    from aeon.transformations.collection.convolution_based import MiniRocket

    rocket = MiniRocket(n_kernels=500, random_state=seed, n_jobs=1)
    features = StandardScaler().fit_transform(rocket.fit_transform(X.astype(np.float32)))
    pca = PCA().fit(features)
    kept = max(2, int((pca.explained_variance_ratio_ >= 0.01).sum()))
    return KMeans(k, n_init=10, random_state=seed).fit_predict(pca.transform(features)[:, :kept])


PEERS = {
    "kmeans": Peer("k-means", _kmeans),
    "kshape": Peer("k-Shape", _kshape, needs_aeon=True),
    "kasba": Peer("KASBA", _kasba, needs_aeon=True),
    "rclustering": Peer("R-Clustering", _r_clustering, needs_aeon=True),
}
METHODS = ("vrae", *PEERS)

# From positions of series and a seed to labels.
Cluster = Callable[[Indices, int], Labels]


@dataclass(frozen=True)
class Comparison:
    """Results of several methods on the same series.

    ``rows`` has one dict per method: ``method``, ``clusters``, ``silhouette``, ``stability``,
    ``seconds``; with known classes, ``ari`` and ``nmi``; and ``with NAME``, the agreement (adjusted
    Rand index) with the clusters of each method. None where there is no value. ``notes`` say how
    series were changed for a method, and which methods failed.
    """

    rows: list[dict[str, Any]]
    notes: list[str]

    def to_columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return the rows as columns. NaN where there is no value."""
        names = list(self.rows[0])
        return {n: np.array([np.nan if row[n] is None else row[n] for row in self.rows]) for n in names}


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
) -> Comparison:
    """Cluster a panel by several methods, and measure the results.

    If the clusterer's number of clusters is "auto", the other methods get the number that it
    selects. Known classes ``truth`` (n_series,) are for comparison only. ``stability`` is the mean
    agreement with the clusters of ``rounds`` random halves of the series.
    """
    _check(panel, methods, rounds)
    first, n = None, len(panel)
    k = clusterer.n_clusters
    if k != "auto":
        _check_number(k, n)
    if "vrae" in methods or k == "auto":
        started = time.perf_counter()
        with one_phase("VRAE"):
            first = clusterer.fit(panel).labels_, time.perf_counter() - started
        k = clusterer.n_clusters_
    _check_number(k, n)
    X, notes = _prepare_for_peers(panel)
    half = n // 2
    if rounds and half < 2 * k:
        notes.append(f"Stability takes {4 * k} series or more for {k} clusters; found {n}.")
        rounds = 0
    subsets = [np.sort(np.random.default_rng([seed, r]).permutation(n)[:half]) for r in range(rounds)]
    outcomes: dict[str, _Outcome | None] = {}
    for key in methods:
        if key == "vrae":
            with one_phase("VRAE again"):
                outcomes["VRAE"] = _measure(_vrae(clusterer, panel, k), n, subsets, seed, first)
            continue
        name = PEERS[key].name
        try:
            with one_phase(name):
                outcomes[name] = _measure(_peer(PEERS[key], X, k), n, subsets, seed)
        except Exception as error:  # the failure of another library is a result
            outcomes[name] = None
            notes.append(f"{name} found no clusters: {type(error).__name__}: {first_line(error)}")
    notes.extend(_label_notes(truth))
    vectors = X.reshape(n, -1)
    announce("Scores")
    return Comparison([_row(name, outcomes, vectors, truth, subsets, seed) for name in outcomes], notes)


def _label_notes(truth: npt.NDArray[Any] | None) -> list[str]:
    """Say how many series have a known class, unless all have one."""
    if truth is None:
        return []
    known = int(labelled(truth).sum())
    if known < 2:
        return [f"{known} of {len(truth)} series are labelled: no agreement with the known classes can be measured."]
    if known < len(truth):
        return [f"ARI and NMI compare the {known} of {len(truth)} series that are labelled."]
    return []


def _check_number(k: int, n: int) -> None:
    if not 2 <= k < n:
        raise InvalidParameterError(f"A comparison needs 2 to {n - 1} clusters; found {k}. Set the number of clusters.")


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


def _measure(
    cluster: Cluster, n: int, subsets: Sequence[Indices], seed: int, first: tuple[Labels, float] | None = None
) -> _Outcome:
    """Cluster all series, unless their labels and time are known, and each subset."""
    if first is None:
        started = time.perf_counter()
        first = cluster(np.arange(n), seed), time.perf_counter() - started
    labels, seconds = first
    again = []
    for r, subset in enumerate(subsets, 1):
        advance(r, len(subsets), "halves")
        again.append(cluster(subset, (seed + r) % 2**32))
    return _Outcome(labels, again, seconds)


def _row(
    name: str,
    outcomes: dict[str, _Outcome | None],
    vectors: Floats,
    truth: npt.NDArray[Any] | None,
    subsets: Sequence[Indices],
    seed: int,
) -> dict[str, Any]:
    """Return a row of a `Comparison`. An outcome of None is a method that failed."""
    scores = () if truth is None or labelled(truth).sum() < 2 else ("ari", "nmi")
    others = {f"with {other}": None if found is None else found.labels for other, found in outcomes.items()}
    row: dict[str, Any] = {"method": name}
    row |= dict.fromkeys(("clusters", "silhouette", "stability", "seconds", *scores, *others))
    outcome = outcomes[name]
    if outcome is None:
        return row
    labels = outcome.labels
    pairs = zip(subsets, outcome.subset_labels, strict=True)
    again = [agreement(labels[subset], found)["ari"] for subset, found in pairs]
    row["clusters"] = len(np.unique(labels[labels >= 0]))
    row["silhouette"] = separation(vectors, labels, seed)
    row["stability"] = float(np.mean(again)) if again else None
    if truth is not None:
        row |= agreement(truth, labels)
    row |= {other: agreement(labels, theirs)["ari"] for other, theirs in others.items() if theirs is not None}
    rounded = {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}
    return {**rounded, "seconds": round(outcome.seconds, 2)}


def _vrae(clusterer: VRAEClusterer, panel: Panel, k: int) -> Cluster:
    def cluster(indices: Indices, seed: int) -> Labels:
        part = panel.select(indices)
        if isinstance(clusterer.model, FrozenEstimator):  # a frozen model stays as it is
            own: VRAEClusterer = clone(clusterer).set_params(n_clusters=k, random_state=seed)
            return own.fit(part).labels_
        return cluster_again(clusterer.model_, part, k, clusterer.clusterer, seed)

    return cluster


def _peer(peer: Peer, X: Floats, k: int) -> Cluster:
    def run(series: Floats, n_clusters: int, seed: int) -> Labels:
        with one_thread(), _INTERNALS():  # one thread for each method: their seconds are compared
            return np.asarray(peer.cluster(series, n_clusters, seed)).astype(np.int64)

    if peer.needs_aeon:  # aeon compiles for half a minute on the first call, which no time should include
        run(np.random.default_rng(0).standard_normal((12, X.shape[1], 32)), 2, 0)
    return lambda indices, seed: run(X[indices], k, seed)


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
