"""The number of clusters: a curve over many numbers, and the one that is best supported."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import entr

from vrae.estimators.partition import fit_partition, labels_of, takes_number
from vrae.metrics import is_useful

__all__ = ["check_curve", "score_numbers"]

# Every number up to 20 is tried, as long as a cluster has 4 series on average. Then come wider
# steps, up to the first score that is clearly below the best one.
_EVERY = 20
_NUMBERS = (*range(2, _EVERY + 1), 24, 30, 36, 42, 50, 60)
_SERIES_PER_CLUSTER = 4
_CLEARLY_BELOW = 2 / 3  # of the best

# The curve is computed on a sample of the vectors, with few starts.
_SAMPLE = 2_000
_STARTS = 3
_ROUNDS = 2  # pairs of halves

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


def score_numbers(X: Floats, clusterer: Any, seed: int) -> list[dict[str, Any]]:
    """Score numbers of clusters of vectors (n, dimensions).

    The score is ``separation * sqrt(stability) * evenness``. Separation is the mean silhouette
    (Rousseeuw 1987). Stability is the agreement between the clusters of two random halves of the
    vectors, each extended to all vectors, as adjusted Rand index (Lange, Roth, Braun & Buhmann,
    "Stability-Based Validation of Clustering Solutions", Neural Computation 2004). Evenness is the
    entropy of the sizes of the clusters, divided by its largest possible value.

    Returns
    -------
    list of dict
        By ascending ``n_clusters``, with ``score``, ``silhouette``, ``stability``, ``evenness``,
        ``largest`` (the share of the largest cluster) and ``is_peak`` (whether the score exceeds
        that of its neighbours). From 20 on, it ends with the first score below two thirds of the
        best one that `is_useful`. Empty if the clusterer finds the number itself, or there is no
        choice.
    """
    if not takes_number(clusterer):
        return []
    from sklearn.metrics import pairwise_distances, silhouette_score

    rng = np.random.default_rng(seed)
    sample = X[np.sort(rng.permutation(len(X))[:_SAMPLE])]
    halves = [np.array_split(rng.permutation(len(sample)), 2) for _ in range(_ROUNDS)]
    distance = pairwise_distances(sample)
    curve: list[dict[str, Any]] = []
    most = max(2, len(sample) // _SERIES_PER_CLUSTER)
    for k in itertools.takewhile(lambda k: k <= most and k < len(sample), _NUMBERS):
        labels = _labels(sample, sample, k, clusterer, seed)
        shares = np.bincount(labels[labels >= 0], minlength=1) / len(labels)
        several = 2 <= len(np.unique(labels)) < len(labels)
        separation = float(silhouette_score(distance, labels, metric="precomputed")) if several else 0.0
        stability = float(np.mean([_agreement(sample, pair, k, clusterer, seed) for pair in halves]))
        evenness = float(entr(shares).sum() / np.log(k))
        curve.append(
            {
                "n_clusters": k,
                "score": max(separation, 0.0) * max(stability, 0.0) ** 0.5 * evenness,
                "silhouette": separation,
                "stability": stability,
                "evenness": evenness,
                "largest": float(shares.max()),
            }
        )
        best = max((tried["score"] for tried in curve if is_useful(tried)), default=0.0)
        if k >= _EVERY and curve[-1]["score"] < _CLEARLY_BELOW * best:
            break
    scores = np.array([-np.inf, *(tried["score"] for tried in curve), -np.inf])
    is_peak = (scores[1:-1] > scores[:-2]) & (scores[1:-1] >= scores[2:])
    return [{**tried, "is_peak": bool(peak)} for tried, peak in zip(curve, is_peak, strict=True)]


def check_curve(curve: Any) -> list[dict[str, Any]]:
    """Return a curve that was read from a file. Raise a ValueError if it is none."""
    entries = curve if isinstance(curve, list) else [curve]
    for tried in entries:
        numbers = list(tried.values()) if isinstance(tried, dict) else ["nothing"]
        known = isinstance(tried, dict) and {"n_clusters", "score"} <= set(tried)
        finite = all(isinstance(number, (int, float)) and np.isfinite(number) for number in numbers)
        if not known or not finite or not isinstance(tried["n_clusters"], int) or tried["n_clusters"] < 1:
            raise ValueError("the selection holds something else than numbers of clusters and their scores")
    return entries


def _agreement(X: Floats, halves: list[Labels], k: int, clusterer: Any, seed: int) -> float:
    """Return how far the clusters of two halves agree on all vectors."""
    from sklearn.metrics import adjusted_rand_score

    if min(len(half) for half in halves) < k:
        return 0.0
    first, second = (_labels(X[half], X, k, clusterer, seed) for half in halves)
    return float(adjusted_rand_score(first, second))


def _labels(X: Floats, of: Floats, k: int, clusterer: Any, seed: int) -> Labels:
    """Find k clusters of X, and return the labels of other vectors."""
    return labels_of(fit_partition(X, k, clusterer, seed, _STARTS).predict_proba(of))
