"""How far clusters are found again when some of the series are clustered."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.estimators.partition import fit_partition, labels_of
from vrae.metrics import agreement

__all__ = ["cluster_stability"]

# Random halves of at most this many vectors are clustered this many times.
_SAMPLE = 2000
_ROUNDS = 10

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


def cluster_stability(
    vectors: Floats, labels: Labels, n_clusters: int, clusterer: Any, seed: int = 0
) -> dict[str, Any] | None:
    """Cluster random halves of vectors (n, dimensions) again, and compare with labels (n,).

    Return the mean adjusted Rand index, and for each cluster the mean Jaccard overlap with the most
    similar group of each round: do not trust a cluster below 0.6; above 0.85 it is highly stable
    (Hennig, "Cluster-wise assessment of cluster stability", Computational Statistics & Data
    Analysis 2007). None for one cluster, or fewer than four series per cluster.
    """
    rng = np.random.default_rng(seed)
    sample = np.sort(rng.permutation(len(vectors))[:_SAMPLE])
    vectors, labels, k = vectors[sample], labels[sample], n_clusters
    half = len(sample) // 2
    if k < 2 or half < 2 * k:
        return None
    scores, overlaps = [], []
    for number in range(_ROUNDS):
        part = vectors[np.sort(rng.permutation(len(sample))[:half])]
        again = labels_of(fit_partition(part, k, clusterer, number).predict_proba(vectors))
        scores.append(agreement(labels, again)["ari"])
        overlaps.append(_overlaps(labels, again, k))
    mean = np.mean(overlaps, axis=0).round(4)
    return {"ari": round(float(np.mean(scores)), 4), "clusters": mean.tolist(), "rounds": _ROUNDS}


def _overlaps(labels: Labels, again: Labels, k: int) -> npt.NDArray[np.float64]:
    """Return the largest Jaccard overlap of each cluster with one of the new groups, shape (k,)."""
    kept = (labels >= 0) & (again >= 0)
    shared = np.zeros((k, int(again.max(initial=0)) + 1))
    np.add.at(shared, (labels[kept], again[kept]), 1)
    sizes = np.bincount(labels[labels >= 0], minlength=k)[:, None]
    others = np.bincount(again[again >= 0], minlength=shared.shape[1])
    union = np.maximum(sizes + others - shared, 1)
    best: npt.NDArray[np.float64] = (shared / union).max(axis=1)
    return best
