"""How far clusters are found again: when the model is fitted again, and when it is not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import clone

from vrae.data.batching import Indices
from vrae.data.panel import Panel
from vrae.estimators.grouping import Grouping
from vrae.estimators.partition import LatentSpace, fit_partition, labels_of
from vrae.estimators.vrae import VRAE
from vrae.io.folder import Arrays
from vrae.metrics import agreement
from vrae.runtime import ordered_map, resolve_device, seed_of

__all__ = ["Refits", "cluster_again", "cluster_stability", "found_again"]

# Without refits, random halves of at most this many vectors are clustered this many times.
_SAMPLE = 2000
_ROUNDS = 10
# A refit takes half of the series, and at most this many.
_REFITTED = 1000

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Refits:
    """Latent vectors of models that were fitted again, each to other series.

    ``rows`` (n_refits, n) are positions among all series, ``vectors`` (n_refits, n, dimensions) are
    in the latent space of the model that was fitted to these series. They are all that it takes to
    measure the stability of any number of clusters.
    """

    rows: Labels
    vectors: Floats

    @classmethod
    def fit(cls, model: VRAE, panel: Panel, indices: Indices) -> Self | None:
        """Fit a model like this one to two disjoint random halves of the series at ``indices``.

        None if a half has fewer than four series.
        """
        size = min(len(indices) // 2, _REFITTED)
        if size < 4:
            return None
        seed = seed_of(model.random_state)
        order = np.random.default_rng(seed).permutation(indices)
        rows = np.sort([order[:size], order[size : 2 * size]], axis=1)

        def refit(number: int) -> Floats:
            return _compared_after_fit(model, panel.select(rows[number]), (seed + 1 + number) % 2**32)

        device = resolve_device(model.device, model.precision)
        vectors = list(ordered_map(refit, range(len(rows)), device, model.hidden_size))  # both at once
        width = max(part.shape[1] for part in vectors)  # differs if the size of the latent space is chosen
        padded = [np.pad(part, ((0, 0), (0, width - part.shape[1]))) for part in vectors]
        return cls(rows, np.stack(padded))

    @classmethod
    def from_arrays(cls, arrays: Arrays, n_series: int) -> Self:
        """Rebuild from `arrays`. A ValueError is raised by what does not fit ``n_series``."""
        rows, vectors = arrays["rows"], arrays["vectors"]
        fits = rows.ndim == 2 and vectors.ndim == 3 and rows.shape == vectors.shape[:2]
        if not fits or rows.dtype.kind != "i" or rows.min(initial=0) < 0 or rows.max(initial=0) >= n_series:
            raise ValueError("the arrays of the refits do not fit the series")
        return cls(rows, vectors)

    def arrays(self) -> Arrays:
        """Return the arrays to save."""
        return dict(vars(self))

    def stability(self, labels: Labels, n_clusters: int, clusterer: Any, n_parts: int) -> dict[str, Any] | None:
        """Compare labels (n_series,) with the clusters of each refit; see `cluster_stability`."""
        groups = (
            (labels[rows], labels_of(fit_partition(vectors, n_parts, clusterer, number).predict_proba(vectors)))
            for number, (rows, vectors) in enumerate(zip(self.rows, self.vectors, strict=True))
        )
        if n_clusters < 2 or self.rows.shape[1] < 2 * n_parts:
            return None
        return {**_compared(groups, n_clusters, n_parts), "refits": len(self.rows)}


def found_again(
    refits: Refits | None, grouping: Grouping, labels: Labels, n_clusters: int, clusterer: Any, n_parts: int
) -> dict[str, Any] | None:
    """Measure how far clusters of the series of a grouping are found again: by refits, if known.

    ``labels`` (n_series,) are these clusters, which may be others than those of the grouping.
    """
    if refits is not None:
        return refits.stability(labels, n_clusters, clusterer, n_parts)
    return cluster_stability(grouping.vectors, labels[grouping.known], n_clusters, clusterer, n_parts)


def cluster_stability(
    vectors: Floats, labels: Labels, n_clusters: int, clusterer: Any, n_parts: int, seed: int = 0
) -> dict[str, Any] | None:
    """Cluster random halves of vectors (n, dimensions) again, and compare with labels (n,).

    ``n_parts`` groups are found again. There are more of them than clusters if some clusters were
    merged by hand. Groups are then put together again: each joins the cluster that has most of it.

    Return the mean adjusted Rand index, and for each cluster the mean Jaccard overlap with the most
    similar group of each round: do not trust a cluster below 0.6; above 0.85 it is highly stable
    (Hennig, "Cluster-wise assessment of cluster stability", Computational Statistics & Data
    Analysis 2007). None for one cluster, or fewer than four series per cluster.
    """
    rng = np.random.default_rng(seed)
    sample = np.sort(rng.permutation(len(vectors))[:_SAMPLE])
    vectors, labels = vectors[sample], labels[sample]
    half = len(sample) // 2
    if n_clusters < 2 or half < 2 * n_parts:
        return None
    halves = [vectors[np.sort(rng.permutation(len(sample))[:half])] for _ in range(_ROUNDS)]
    groups = (
        (labels, labels_of(fit_partition(part, n_parts, clusterer, number).predict_proba(vectors)))
        for number, part in enumerate(halves)
    )
    return {**_compared(groups, n_clusters, n_parts), "refits": 0}


def cluster_again(model: VRAE, panel: Panel, n_clusters: int, clusterer: Any, seed: int) -> Labels:
    """Return the labels (n,) that a fit of a model like this one to all series of a panel gives."""
    vectors = _compared_after_fit(model, panel, seed)
    return labels_of(fit_partition(vectors, n_clusters, clusterer, seed).predict_proba(vectors))


def _compared_after_fit(model: VRAE, panel: Panel, seed: int) -> Floats:
    """Fit a model like this one as far as clusters depend on it.

    Return what they compare, (n, d).
    """
    model = clone(model).set_params(callbacks=None, verbose=0, random_state=seed)
    everything = np.arange(len(panel))
    places = model.neighbour_part(panel, everything)
    if places is not None:
        return (places - places.mean(dim=0)).double().numpy()
    Z = model.fit_panel(panel, everything).embedding_.astype(np.float64)  # (n, latent)
    return LatentSpace.fit(Z, model.network_)(Z)


def _compared(groups: Iterable[tuple[Labels, Labels]], n_clusters: int, n_parts: int) -> dict[str, Any]:
    """Compare pairs of labels of the same series: the clusters, and groups found again."""
    scores, overlaps = [], []
    for labels, again in groups:
        found = _overlaps(labels, again, n_clusters)
        if n_parts > n_clusters:  # a cluster that was not merged is compared with single groups, as before
            again = _put_together(labels, again, n_clusters)
            found = np.maximum(found, _overlaps(labels, again, n_clusters))
        scores.append(agreement(labels, again)["ari"])
        overlaps.append(found)
    with np.errstate(invalid="ignore"):
        mean = np.nan_to_num(np.nanmean(overlaps, axis=0)).round(4)
    return {"ari": round(float(np.mean(scores)), 4), "clusters": mean.tolist(), "rounds": len(scores)}


def _put_together(labels: Labels, again: Labels, n_clusters: int) -> Labels:
    """Join groups: each becomes part of the cluster that has most of it."""
    shared = np.zeros((n_clusters, int(again.max(initial=0)) + 1))
    kept = (labels >= 0) & (again >= 0)
    np.add.at(shared, (labels[kept], again[kept]), 1)
    return np.append(shared.argmax(axis=0), -1)[again]


def _overlaps(labels: Labels, again: Labels, n_clusters: int) -> Floats:
    """Return the largest Jaccard overlap of each cluster with one of the new groups."""
    kept = (labels >= 0) & (again >= 0)
    shared = np.zeros((n_clusters, int(again.max(initial=0)) + 1))
    np.add.at(shared, (labels[kept], again[kept]), 1)
    sizes = np.bincount(labels[labels >= 0], minlength=n_clusters)[:, None]
    others = np.bincount(again[again >= 0], minlength=shared.shape[1])
    union = np.maximum(sizes + others - shared, 1)
    best: Floats = (shared / union).max(axis=1)
    return best
