"""Our clusters beside those of other methods, on the user's own series."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.config import check_int
from vrae.data.panel import Panel, invalid_series
from vrae.estimators.clusterer import VRAEClusterer
from vrae.evaluate import agreement, resample, separation
from vrae.exceptions import InvalidDataError, InvalidParameterError, did_you_mean
from vrae.optional import check_installed
from vrae.runs.peers import PEERS, Peer

__all__ = ["METHODS", "Comparison", "compare"]

METHODS = ("vrae", *PEERS)

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

# Share of the series that is clustered again to see whether the clusters depend on which ones happened to be there.
_PART = 0.8
_LEAST_STEPS = 9  # the shortest series that every peer takes


@dataclass(frozen=True)
class Comparison:
    """How methods do on the same series.

    Attributes
    ----------
    rows : list of dict
        A method each: ``method``, ``clusters``, ``silhouette``, ``stability``, ``seconds``, with known classes ``ari``
        and ``nmi``, and ``with NAME``, its agreement (adjusted Rand index) with the clusters of each method. None where
        there is no figure.
    notes : list of str
        What was done to the series for a method, and what failed.
    """

    rows: list[dict[str, Any]]
    notes: list[str]

    def to_columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return the rows as columns; what there is no figure for is NaN."""
        names = list(self.rows[0])
        return {n: np.array([np.nan if row[n] is None else row[n] for row in self.rows]) for n in names}


@dataclass(frozen=True)
class _Method:
    """A method, ready to cluster some of the series: rows to labels."""

    name: str
    cluster: Callable[[Labels, int], Labels]
    warm: Callable[[], None] = lambda: None


def compare(
    clusterer: VRAEClusterer,
    panel: Panel,
    truth: npt.NDArray[Any] | None,
    methods: Sequence[str] = METHODS,
    rounds: int = 2,
    seed: int = 0,
    tell: Callable[[str], None] = lambda message: None,
) -> Comparison:
    """Cluster a panel by several methods, and measure.

    Parameters
    ----------
    clusterer : VRAEClusterer
        Ours; if its number of clusters is "auto", the peers get the number that it chooses.
    panel : Panel
    truth : ndarray of shape (n_series,) or None
        Known classes; to compare with, never to learn from.
    methods : sequence of str
        Of `METHODS`.
    rounds : int
        Random parts, four fifths of the series each, that every method clusters again: ``stability`` is the mean
        agreement with its clusters of all of them.
    seed : int
    tell : callable, optional
        Is given a line on what is being done.

    Returns
    -------
    Comparison
    """
    for name in methods:
        if name not in METHODS:
            raise InvalidParameterError(f"methods: unknown method {name!r}.{did_you_mean(name, METHODS)}")
    if len(set(methods)) < len(methods) or not methods:
        raise InvalidParameterError(f"methods must be one or more different ones of {', '.join(METHODS)}.")
    check_int("rounds", rounds, low=0)
    if any(name in PEERS and PEERS[name].of_aeon for name in methods):
        check_installed("aeon", "aeon", "A comparison with k-Shape, KASBA or R-Clustering", "Or leave them out.")
    if invalid_series(panel).any():
        bad = panel.ids[invalid_series(panel)].tolist()
        raise InvalidDataError(f"{len(bad)} series have no observed value, such as {bad[0]!r}. Leave them out.")
    if "vrae" in methods or clusterer.n_clusters == "auto":
        tell("Clustering by VRAE")
    k, ours, our_seconds = _number(clusterer, panel, "vrae" in methods)
    X, notes = _for_peers(panel)
    n = len(panel)
    if not 2 <= k < n:
        raise InvalidParameterError(f"A comparison needs 2 to {n - 1} clusters; found {k}. Ask for them by --clusters.")
    flat = X.reshape(n, -1)
    parts = [np.sort(np.random.default_rng([seed, r]).permutation(n)[: round(_PART * n)]) for r in range(rounds)]
    labels: dict[str, Labels] = {}
    rows: list[dict[str, Any]] = []
    for key in methods:
        method = _ours(clusterer, panel, k) if key == "vrae" else _peer(PEERS[key], X, k)
        tell(f"Measuring {method.name}" if key == "vrae" else f"Clustering by {method.name}")
        row: dict[str, Any] = dict.fromkeys(("method", "clusters", "silhouette", "stability", "seconds"))
        row["method"] = method.name
        rows.append(row)
        try:
            method.warm()
            started = time.perf_counter()
            if key == "vrae" and ours is not None:
                found, seconds = ours, our_seconds
            else:
                found = method.cluster(np.arange(n), seed)
                seconds = time.perf_counter() - started
            row["seconds"] = round(seconds, 2)
            again = [agreement(found[part], method.cluster(part, seed + 1 + r))["ari"] for r, part in enumerate(parts)]
        except Exception as error:  # another library's failure is a result, not the end
            if key == "vrae":
                raise
            row["seconds"] = None
            notes.append(f"{method.name} gave no clusters: {type(error).__name__}: {str(error).splitlines()[0][:200]}")
            continue
        labels[method.name] = found
        row["clusters"] = len(np.unique(found[found >= 0]))
        row["silhouette"] = _rounded(separation(flat, found, seed))
        row["stability"] = _rounded(float(np.mean(again))) if again else None
    for row in rows:
        own = labels.get(row["method"])
        if truth is not None:
            scores: dict[str, Any] = {"ari": None, "nmi": None} if own is None else agreement(truth, own)
            row |= {name: _rounded(scores[name]) for name in ("ari", "nmi")}
        for other in [r["method"] for r in rows]:
            alike = None if own is None or other not in labels else agreement(own, labels[other])["ari"]
            row[f"with {other}"] = _rounded(alike)
    return Comparison(rows, notes)


def _number(clusterer: VRAEClusterer, panel: Panel, wanted: bool) -> tuple[int, Labels | None, float]:
    """Return the number of clusters for all, and our labels and seconds where ours had to be fitted for that."""
    if clusterer.n_clusters != "auto" and not wanted:
        return int(clusterer.n_clusters), None, 0.0
    started = time.perf_counter()
    labels = clusterer.fit(panel).labels_
    return clusterer.n_clusters_, labels, time.perf_counter() - started


def _ours(clusterer: VRAEClusterer, panel: Panel, k: int) -> _Method:
    from sklearn.base import clone

    def cluster(rows: Labels, seed: int) -> Labels:
        own: VRAEClusterer = clone(clusterer).set_params(n_clusters=k, random_state=seed)
        return own.fit(panel.select(rows)).labels_

    return _Method("VRAE", cluster)


def _peer(peer: Peer, X: Floats, k: int) -> _Method:
    def run(series: Floats, count: int, seed: int) -> Labels:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on how a library is written inside
            return np.asarray(peer.cluster(series, count, seed)).astype(np.int64)

    def cluster(rows: Labels, seed: int) -> Labels:
        return run(X[rows], k, seed)

    def warm() -> None:
        if peer.of_aeon:  # for half a minute, the first time: that is no part of the method
            run(np.random.default_rng(0).standard_normal((12, X.shape[1], 32)), 2, 0)

    return _Method(peer.name, cluster, warm)


def _for_peers(panel: Panel) -> tuple[Floats, list[str]]:
    """Return the series complete, of one length and z-normalised, (n, channel, time), and what was done for that."""
    padded, lengths = panel.to_padded(), panel.lengths
    notes = []
    missing = int(sum(np.isnan(part).any(axis=1).sum() for part in panel.slices()))
    steps = max(int(np.median(lengths)), _LEAST_STEPS)
    if (lengths != steps).any():
        notes.append(
            f"The other methods take series of one length only: theirs were stretched to {steps} steps "
            f"(here: {lengths.min()} to {lengths.max()})."
        )
    if missing:
        notes.append(f"The other methods take no missing values: {missing:,} steps were filled by interpolation.")
    X = resample(padded, steps)
    X -= X.mean(axis=2, keepdims=True)
    spread = X.std(axis=2, keepdims=True)
    return X / np.where(spread > 1e-8, spread, 1.0), notes


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else round(figure, 4)
