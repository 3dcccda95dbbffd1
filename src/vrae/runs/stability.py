"""Whether the clusters would be found again."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.estimators.clusterer import VRAEClusterer
from vrae.estimators.partition import fit_partition, labels_of
from vrae.evaluate import agreement

__all__ = ["stability"]

_ROUNDS = 10
_SAMPLE = 2000  # series that are grouped again and again


def stability(clusterer: VRAEClusterer, seed: int = 0) -> dict[str, Any] | None:
    """Group random halves of the latent vectors anew, and compare with the clusters that were found.

    The network is not trained again: what is tried is whether the groups depend on which series happened to be there.

    Parameters
    ----------
    clusterer : VRAEClusterer
        Fitted in this session: a clusterer that was passed in as an object is needed itself.
    seed : int

    Returns
    -------
    dict or None
        ``ari``: mean adjusted Rand index; ``clusters``: for each cluster the mean Jaccard overlap with the most
        similar group of each round, 0 to 1; ``rounds``. None where there is nothing to compare: one cluster, or
        fewer than two series a cluster.

    References
    ----------
    Hennig, "Cluster-wise assessment of cluster stability", Computational Statistics & Data Analysis 2007, who holds
    a cluster with an overlap below .6 not to be trusted, and one above .85 to be highly stable.
    """
    Z = clusterer.embedding_.astype(np.float64)
    rows = np.flatnonzero(np.isfinite(Z).all(axis=1))
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(rows)[:_SAMPLE])
    vectors, labels, k = clusterer.space_(Z[rows]), clusterer.labels_[rows], clusterer.n_clusters_
    half = len(rows) // 2
    if k < 2 or half < 2 * k:
        return None
    scores, overlaps = [], []
    for number in range(_ROUNDS):
        part = vectors[np.sort(rng.permutation(len(rows))[:half])]
        again = labels_of(fit_partition(part, k, clusterer.clusterer, number).predict_proba(vectors))
        scores.append(agreement(labels, again)["ari"])
        overlaps.append(_overlaps(labels, again, k))
    mean = np.mean(overlaps, axis=0).round(4)
    return {"ari": round(float(np.mean(scores)), 4), "clusters": mean.tolist(), "rounds": _ROUNDS}


def _overlaps(labels: npt.NDArray[np.int64], again: npt.NDArray[np.int64], k: int) -> npt.NDArray[np.float64]:
    """Return for each of ``k`` clusters its largest Jaccard overlap with one of the new groups, shape (k,)."""
    kept = (labels >= 0) & (again >= 0)
    shared = np.zeros((k, int(again.max(initial=0)) + 1))
    np.add.at(shared, (labels[kept], again[kept]), 1)
    sizes = np.bincount(labels[labels >= 0], minlength=k)[:, None]
    others = np.bincount(again[again >= 0], minlength=shared.shape[1])
    either = np.maximum(sizes + others - shared, 1)
    best: npt.NDArray[np.float64] = (shared / either).max(axis=1)
    return best
