"""Clusters of latent vectors, and rules that assign new vectors to them.

`LatentSpace` says what is compared: the part of the vectors that keeps neighbours together, or, if
there is none, what the vectors say about the patterns. Whatever found the clusters, one of two
rules assigns a new vector: a mixture of normal distributions (k-means is one), or a vote of the
nearest training vectors (Ward, HDBSCAN and other clusterers without a rule of their own). Both are
a few arrays, so both can be saved without pickle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone

from vrae.config import check_choice
from vrae.estimators.mixture import N_INIT, Mixture, fit_kmeans, fit_mixture
from vrae.exceptions import DataWarning, InvalidParameterError, warn
from vrae.io.folder import Arrays, shape_of, shaped
from vrae.nn.model import VRAENetwork

__all__ = [
    "CLUSTERERS",
    "KNNPartition",
    "LatentSpace",
    "Partition",
    "check_clusterer",
    "fit_partition",
    "labels_of",
    "match_order",
    "partition_from_arrays",
    "takes_number",
    "warn_of_fewer_clusters",
]

CLUSTERERS = ("gmm", "kmeans", "ward", "hdbscan")

# k clusters span at most k - 1 dimensions, but the leading ones contain other variation too.
# Mixtures in d, 1.25 d, 1.5 d and 2 d leading dimensions are candidates, where d is k - 1 within
# bounds.
_SPANS = (1.0, 1.25, 1.5, 2.0)
_FEWEST, _MOST = 4, 8

# Clusters are found on at most this many vectors. All are assigned afterwards.
_FIT_SAMPLE = 20_000

_N_NEIGHBORS = 5

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LatentSpace:
    """The vectors that are compared: ``(Z - center) @ axes``."""

    center: Floats  # (latent,)
    axes: Floats  # (latent, dimensions)

    @classmethod
    def fit(cls, Z: Floats, network: VRAENetwork | None = None) -> LatentSpace:
        """Choose what to compare of vectors (n, latent).

        The neighbour part, if the network has one; else the principal axes of what the vectors say
        about the patterns. Without a pattern head, the vectors themselves are compared.
        """
        size = network.config.neighbour_size if network is not None else 0
        if size:
            return cls(Z.mean(axis=0), np.eye(Z.shape[1])[:, :size])
        head = getattr(network, "latent_to_patterns", None)
        decoding = np.eye(Z.shape[1]) if head is None else head.weight.detach().double().cpu().numpy().T  # (latent, m)
        center = Z.mean(axis=0)
        decoded = (Z - center) @ decoding  # (n, m)
        variance, axes = np.linalg.eigh(decoded.T @ decoded / len(Z))  # ascending: (m,), (m, m)
        used = max(1, int((variance > 1e-8 * variance[-1]).sum()))
        scale = 1 / np.sqrt(variance[-1]) if variance[-1] > 0 else 1.0  # the first dimension has variance 1
        return cls(center, decoding @ axes[:, ::-1][:, :used] * scale)

    @classmethod
    def from_arrays(cls, arrays: Arrays, latent_size: int) -> LatentSpace:
        """Rebuild the space from its `arrays`. Other shapes raise a ValueError."""
        axes = shaped("axes", arrays, (latent_size, shape_of(arrays, "axes")[-1]))
        return cls(shaped("center", arrays, (latent_size,)), axes)

    def __call__(self, Z: Floats) -> Floats:
        """Return vectors (n, latent) in this space, (n, dimensions)."""
        return (Z - self.center) @ self.axes

    def arrays(self) -> Arrays:
        """Return the arrays to save."""
        return dict(vars(self))


@dataclass(frozen=True)
class KNNPartition:
    """Training vectors (n, d) with labels (n,). The nearest vote by inverse distance."""

    vectors: Floats
    labels: Labels

    @property
    def n_clusters(self) -> int:
        """Number of clusters. Noise (-1) is none."""
        return int(self.labels.max(initial=-1)) + 1

    def predict_proba(self, X: Floats) -> Floats:
        """Return the fractions of votes (n, n_clusters). Votes for noise are the rest up to 1."""
        from sklearn.neighbors import NearestNeighbors

        index = NearestNeighbors(n_neighbors=min(_N_NEIGHBORS, len(self.vectors))).fit(self.vectors)
        distance, neighbour = index.kneighbors(X)  # both (n, voters)
        # A training vector is its own nearest neighbour, so its own label decides.
        weight = 1 / np.maximum(distance, 1e-12 + 1e-9 * np.abs(self.vectors).max())
        weight /= weight.sum(axis=1, keepdims=True)
        votes = np.zeros((len(X), self.n_clusters + 1))  # the last column is noise
        np.add.at(votes, (np.arange(len(X))[:, None], self.labels[neighbour]), weight)
        noise = votes[:, -1] > votes[:, :-1].max(axis=1, initial=0.0)
        votes[noise] = 0.0
        return votes[:, :-1]

    def ordered(self, order: Labels) -> KNNPartition:
        """Return these clusters in this order; vectors of those that it leaves out become noise."""
        place = np.full(self.n_clusters + 1, -1)  # the last entry keeps noise at -1
        place[order] = np.arange(len(order))
        return KNNPartition(self.vectors, place[self.labels])

    def arrays(self) -> Arrays:
        """Return the arrays to save."""
        return dict(vars(self))


# A rule that assigns vectors to clusters, or to none: a row of zeros in `predict_proba`.
Partition = Mixture | KNNPartition


def partition_from_arrays(arrays: Arrays) -> Partition:
    """Rebuild a rule from its ``arrays()``."""
    return Mixture(**arrays) if "means" in arrays else KNNPartition(**arrays)


def labels_of(probabilities: Floats) -> Labels:
    """Return the most likely cluster of each row, or -1 for a row of zeros."""
    if probabilities.shape[1] == 0:
        return np.full(len(probabilities), -1)
    return np.where(probabilities.any(axis=1), probabilities.argmax(axis=1), -1)


def match_order(labels: Labels, earlier: Labels, n_clusters: int) -> Labels:
    """Return clusters (n_clusters,) in the order of the earlier ones they overlap most."""
    from scipy.optimize import linear_sum_assignment

    both = (labels >= 0) & (earlier >= 0)
    shared = np.zeros((n_clusters, int(earlier.max(initial=-1)) + 1))
    np.add.at(shared, (labels[both], earlier[both]), 1)
    own, theirs = linear_sum_assignment(shared, maximize=True)
    place = np.full(n_clusters, shared.shape[1])
    place[own] = theirs
    return np.argsort(place, kind="stable")


def fit_partition(X: Floats, n_clusters: int, clusterer: Any, seed: int, n_init: int = N_INIT) -> Partition:
    """Find clusters of vectors (n, dimensions) of a `LatentSpace`, the largest first.

    "hdbscan" and clusterers without such a parameter ignore ``n_clusters``. Clusters without any
    vector are left out: there may be fewer than asked for.
    """
    sample = X[np.sort(np.random.default_rng(seed).permutation(len(X))[:_FIT_SAMPLE])]
    if clusterer == "gmm":
        partition: Partition = _most_agreed_mixture(sample, n_clusters, seed, n_init)
    elif clusterer == "kmeans":
        partition = fit_kmeans(sample, n_clusters, seed, n_init)
    else:
        estimator = _estimator(clusterer, n_clusters, seed)
        if clusterer == "hdbscan":
            estimator.set_params(min_samples=min(5, len(sample)))
        partition = KNNPartition(sample, _fit_labels(sample, estimator))
    labels = labels_of(partition.predict_proba(X))
    sizes = np.bincount(labels[labels >= 0], minlength=partition.n_clusters)
    order = np.argsort(-sizes, kind="stable")
    return partition.ordered(order[sizes[order] > 0])


def _most_agreed_mixture(X: Floats, n_clusters: int, seed: int, n_init: int) -> Mixture:
    """Fit mixtures in several subspaces, and return the one that agrees most with the others."""
    from sklearn.metrics import adjusted_rand_score

    d = min(max(n_clusters - 1, _FEWEST), _MOST)
    dimensions = sorted({min(round(d * span), X.shape[1]) for span in _SPANS})
    candidates = [fit_mixture(X[:, :d], n_clusters, seed, n_init) for d in dimensions]
    labels = [labels_of(p.predict_proba(X)) for p in candidates]
    agreement = [sum(adjusted_rand_score(own, other) for other in labels) for own in labels]
    return candidates[int(np.argmax(agreement))]


def check_clusterer(clusterer: Any, n_clusters: Any = "auto") -> None:
    """Raise if ``clusterer`` is unknown, or cannot find this number of clusters."""
    if isinstance(clusterer, str):
        check_choice("clusterer", clusterer, CLUSTERERS)
    elif isinstance(clusterer, type) or not (hasattr(clusterer, "fit_predict") and hasattr(clusterer, "get_params")):
        raise InvalidParameterError(
            f"clusterer must be one of {', '.join(CLUSTERERS)} or a scikit-learn clusterer; found {clusterer!r:.80}."
        )
    if n_clusters != "auto" and not takes_number(clusterer):
        raise InvalidParameterError(
            f"clusterer={clusterer!r:.80} finds the number of clusters itself, and cannot find {n_clusters}. Choose "
            f"another clusterer, such as 'kmeans', or n_clusters='auto'."
        )


def takes_number(clusterer: Any) -> bool:
    """Return whether a clusterer can be told the number of clusters."""
    if isinstance(clusterer, str):
        return clusterer != "hdbscan"
    known = _estimator(clusterer, 1, 0).get_params()
    return "n_clusters" in known or "n_components" in known


def _estimator(clusterer: Any, n_clusters: int, seed: int) -> Any:
    """Return an unfitted scikit-learn clusterer, with the options that it has."""
    from sklearn.cluster import HDBSCAN, AgglomerativeClustering

    if isinstance(clusterer, str):
        return AgglomerativeClustering(n_clusters) if clusterer == "ward" else HDBSCAN(copy=True)
    known = clusterer.get_params()
    wanted = {"n_clusters": n_clusters, "n_components": n_clusters, "random_state": seed}
    # A seed of the user stays.
    filled = {k: v for k, v in wanted.items() if k in known and (k != "random_state" or known[k] is None)}
    return clone(clusterer).set_params(**filled)


def _fit_labels(X: Floats, estimator: Any) -> Labels:
    labels = np.asarray(estimator.fit_predict(X))
    found = np.unique(labels[labels >= 0])
    return np.where(labels >= 0, np.searchsorted(found, labels), -1).astype(np.int64)


def warn_of_fewer_clusters(found: int, wanted: int) -> None:
    """Warn that there are fewer clusters than were asked for."""
    warn(
        f"Found {found} cluster{'s' * (found != 1)}, and {wanted} were asked for: the series have no more distinct "
        f"groups. Identical series cause this.",
        DataWarning,
    )
