"""Group latent vectors, and say to which group new ones belong.

A latent vector is looked at in the space of what it generates (`LatentSpace`): two vectors are near each other if
they say nearly the same about the series. Whatever found the groups, one of two rules places a new vector there: a
mixture of normal distributions (k-means is one), or a vote of the nearest training vectors (Ward, HDBSCAN and any
other clusterer, which have no rule of their own). Both are a few arrays, so both can be saved without pickle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from sklearn.base import clone

from vrae.config import check_choice
from vrae.estimators.mixture import Mixture, fit_kmeans, fit_mixture
from vrae.exceptions import InvalidParameterError

__all__ = [
    "CLUSTERERS",
    "LatentSpace",
    "Leading",
    "NeighbourVote",
    "Partition",
    "check_clusterer",
    "choose_partition",
    "fit_partition",
    "labels_of",
    "order_as",
    "partition_from_arrays",
]

CLUSTERERS = ("gmm", "kmeans", "ward", "hdbscan")

# k groups span k - 1 dimensions at most, but the leading ones are not theirs alone. Mixtures in d, 1.25 d, 1.5 d and
# 2 d leading dimensions propose groups, where d is k - 1, within bounds.
_SPANS = (1.0, 1.25, 1.5, 2.0)
_FEWEST, _MOST = 4, 8

# Vectors on which groups are found; all are placed afterwards.
_FIT_SAMPLE = 20_000

# The number of groups is chosen on so many vectors, from fewer starts: only the winner is fitted with care.
_MOST_CLUSTERS = 15
_CHOICE_SAMPLE = 2_000
_CHOICE_STARTS = 3
_NEARLY = 0.9
_VOTERS = 5

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class LatentSpace:
    """Principal axes of what latent vectors generate: ``(Z - center) @ axes``, largest variance first.

    Attributes
    ----------
    center : ndarray of shape (latent,)
    axes : ndarray of shape (latent, dimensions)
        Scaled such that the first dimension has variance 1.
    """

    center: Floats
    axes: Floats

    @classmethod
    def fit(cls, Z: Floats, generated: Floats) -> LatentSpace:
        """Find the axes for vectors (n, latent) that generate ``Z @ generated``, (latent, m)."""
        center = Z.mean(axis=0)
        said = (Z - center) @ generated  # (n, m)
        variance, axes = np.linalg.eigh(said.T @ said / len(Z))  # ascending: (m,), (m, m)
        used = max(1, int((variance > 1e-8 * variance[-1]).sum()))
        scale = 1 / np.sqrt(variance[-1]) if variance[-1] > 0 else 1.0
        return cls(center, generated @ axes[:, ::-1][:, :used] * scale)

    def __call__(self, Z: Floats) -> Floats:
        """Return vectors (n, latent) in this space, (n, dimensions)."""
        return (Z - self.center) @ self.axes

    def arrays(self) -> Arrays:
        """Return everything there is to save."""
        return {"center": self.center, "axes": self.axes}


class Partition(Protocol):
    """A rule that places vectors in groups 0 .. n_clusters - 1, or in none."""

    @property
    def n_clusters(self) -> int:
        """Number of groups."""

    def predict_proba(self, X: Floats) -> Floats:
        """Return probabilities (n, n_clusters); a row of zeros belongs to no group."""

    def ordered(self, order: Labels) -> Partition:
        """Return the same groups, group ``order[0]`` first."""

    def arrays(self) -> Arrays:
        """Return everything there is to save."""


@dataclass(frozen=True)
class Leading:
    """A mixture that looks at the leading dimensions only."""

    mixture: Mixture

    @property
    def n_clusters(self) -> int:
        """Number of components."""
        return self.mixture.n_clusters

    def predict_proba(self, X: Floats) -> Floats:
        """Return the components' responsibilities for vectors (n, dimensions), (n, k)."""
        return self.mixture.predict_proba(X[:, : self.mixture.means.shape[1]])

    def ordered(self, order: Labels) -> Leading:
        """Return the same components in another order."""
        return Leading(self.mixture.ordered(order))

    def arrays(self) -> Arrays:
        """Return the mixture's arrays."""
        return self.mixture.arrays()


@dataclass(frozen=True)
class NeighbourVote:
    """Training vectors (n, d) with their labels (n,); the nearest few vote, the nearer the louder."""

    vectors: Floats
    labels: Labels

    @property
    def n_clusters(self) -> int:
        """Number of groups; noise (-1) is none."""
        return int(self.labels.max(initial=-1)) + 1

    def predict_proba(self, X: Floats) -> Floats:
        """Return the shares of the vote, (n, n_clusters); votes for noise are the rest up to 1."""
        from sklearn.neighbors import NearestNeighbors

        index = NearestNeighbors(n_neighbors=min(_VOTERS, len(self.vectors))).fit(self.vectors)
        distance, neighbour = index.kneighbors(X)  # both (n, voters)
        # A training vector has itself as nearest neighbour, so its own label decides.
        weight = 1 / np.maximum(distance, 1e-12 + 1e-9 * np.abs(self.vectors).max())
        weight /= weight.sum(axis=1, keepdims=True)
        votes = np.zeros((len(X), self.n_clusters + 1))  # the last column is noise
        np.add.at(votes, (np.arange(len(X))[:, None], self.labels[neighbour]), weight)
        noise = votes[:, -1] > votes[:, :-1].max(axis=1, initial=0.0)
        votes[noise] = 0.0
        return votes[:, :-1]

    def ordered(self, order: Labels) -> NeighbourVote:
        """Return the same groups in another order."""
        place = np.append(np.argsort(order), -1)  # the last entry is where noise, -1, stays
        return NeighbourVote(self.vectors, place[self.labels])

    def arrays(self) -> Arrays:
        """Return vectors and labels."""
        return {"vectors": self.vectors, "labels": self.labels}


def partition_from_arrays(arrays: Arrays) -> Partition:
    """Build the rule whose ``arrays()`` these are."""
    if "means" in arrays:
        return Leading(Mixture(**arrays))
    return NeighbourVote(**arrays)


def labels_of(probabilities: Floats) -> Labels:
    """Return the likeliest group of each row, or -1 for a row of zeros."""
    if probabilities.shape[1] == 0:
        return np.full(len(probabilities), -1)
    return np.where(probabilities.any(axis=1), probabilities.argmax(axis=1), -1)


def order_as(labels: Labels, earlier: Labels, n_clusters: int) -> Labels:
    """Return groups (n_clusters,) in the order of the earlier ones that they share most vectors with; new ones last."""
    from scipy.optimize import linear_sum_assignment

    both = (labels >= 0) & (earlier >= 0)
    shared = np.zeros((n_clusters, int(earlier.max(initial=-1)) + 1))
    np.add.at(shared, (labels[both], earlier[both]), 1)
    own, theirs = linear_sum_assignment(shared, maximize=True)
    place = np.full(n_clusters, shared.shape[1])
    place[own] = theirs
    return np.argsort(place, kind="stable")


def fit_partition(X: Floats, n_clusters: int, clusterer: Any, seed: int) -> Partition:
    """Find groups in vectors; the largest comes first.

    Parameters
    ----------
    X : ndarray of shape (n, dimensions)
        As `LatentSpace` gives them.
    n_clusters : int
        At most n. Taken by all but "hdbscan", which finds its own number, and an estimator without such a
        parameter.
    clusterer : {"gmm", "kmeans", "ward", "hdbscan"} or scikit-learn clusterer
    seed : int

    Returns
    -------
    Partition

    """
    sample = X[np.sort(np.random.default_rng(seed).permutation(len(X))[:_FIT_SAMPLE])]
    if isinstance(clusterer, str) and clusterer == "gmm":
        partition: Partition = _most_agreed_mixture(sample, n_clusters, seed)
    elif isinstance(clusterer, str) and clusterer == "kmeans":
        partition = Leading(fit_kmeans(sample, n_clusters, seed))
    else:
        estimator = _estimator(clusterer, n_clusters, seed)
        if clusterer == "hdbscan":
            estimator.set_params(min_samples=min(5, len(sample)))
        partition = NeighbourVote(sample, _fit_labels(sample, estimator))
    labels = labels_of(partition.predict_proba(X))
    sizes = np.bincount(labels[labels >= 0], minlength=partition.n_clusters)
    return partition.ordered(np.argsort(-sizes, kind="stable"))


def choose_partition(X: Floats, clusterer: Any, seed: int) -> tuple[Partition, list[dict[str, float]]]:
    """Find groups and their number: the smallest whose groups are about as far apart as those of any other number.

    Splitting a group that stands well apart from all others changes the variance ratio little, in either direction; so
    of numbers whose ratio is within a tenth of the largest, the fewest groups are taken.

    Returns
    -------
    partition : Partition
    selection : list of dict of str to float
        ``n_clusters`` and ``score`` of every number tried: the variance ratio of Caliński & Harabasz (1974), higher is
        better; empty if the clusterer finds its own number.
    """
    from sklearn.metrics import calinski_harabasz_score

    if not _takes_number(clusterer):
        return fit_partition(X, 1, clusterer, seed), []
    sample = X[np.sort(np.random.default_rng(seed).permutation(len(X))[:_CHOICE_SAMPLE])]
    selection = []
    for k in range(2, min(_MOST_CLUSTERS, len(sample) - 1, int(np.sqrt(len(sample))) + 1) + 1):
        if isinstance(clusterer, str) and clusterer == "gmm":
            partition: Partition = _most_agreed_mixture(sample, k, seed, _CHOICE_STARTS)
        else:
            partition = fit_partition(sample, k, clusterer, seed)
        labels = labels_of(partition.predict_proba(sample))
        several = 2 <= len(np.unique(labels)) < len(labels)
        score = float(calinski_harabasz_score(sample, labels)) if several else 0.0
        selection.append({"n_clusters": k, "score": score})
    # Of two series, or three, there is nothing to choose from.
    enough = _NEARLY * max((tried["score"] for tried in selection), default=0.0)
    best = min((tried["n_clusters"] for tried in selection if tried["score"] >= enough), default=1)
    return fit_partition(X, int(best), clusterer, seed), selection


def _most_agreed_mixture(X: Floats, n_clusters: int, seed: int, n_init: int = 10) -> Leading:
    """Fit mixtures in several numbers of leading dimensions; return the one that the others agree with most."""
    from sklearn.metrics import adjusted_rand_score

    d = min(max(n_clusters - 1, _FEWEST), _MOST)
    dimensions = sorted({min(round(d * span), X.shape[1]) for span in _SPANS})
    proposals = [Leading(fit_mixture(X[:, :d], n_clusters, seed, n_init)) for d in dimensions]
    labels = [labels_of(p.predict_proba(X)) for p in proposals]
    agreement = [sum(adjusted_rand_score(own, other) for other in labels) for own in labels]
    return proposals[int(np.argmax(agreement))]


def check_clusterer(clusterer: Any) -> None:
    """Raise if ``clusterer`` is neither the name of one nor a scikit-learn clusterer."""
    if isinstance(clusterer, str):
        check_choice("clusterer", clusterer, CLUSTERERS)
    elif isinstance(clusterer, type) or not (hasattr(clusterer, "fit_predict") and hasattr(clusterer, "get_params")):
        raise InvalidParameterError(
            f"clusterer must be one of {', '.join(CLUSTERERS)} or a scikit-learn clusterer; found {clusterer!r:.80}."
        )


def _takes_number(clusterer: Any) -> bool:
    if isinstance(clusterer, str):
        return clusterer != "hdbscan"
    known = _estimator(clusterer, 1, 0).get_params()
    return "n_clusters" in known or "n_components" in known


def _estimator(clusterer: Any, n_clusters: int, seed: int) -> Any:
    from sklearn.cluster import HDBSCAN, AgglomerativeClustering

    if isinstance(clusterer, str):
        return AgglomerativeClustering(n_clusters) if clusterer == "ward" else HDBSCAN(copy=True)
    known = clusterer.get_params()
    wanted = {"n_clusters": n_clusters, "n_components": n_clusters, "random_state": seed}
    # What the user seeded stays seeded so.
    filled = {k: v for k, v in wanted.items() if k in known and (k != "random_state" or known[k] is None)}
    return clone(clusterer).set_params(**filled)


def _fit_labels(X: Floats, estimator: Any) -> Labels:
    labels = np.asarray(estimator.fit_predict(X))
    found = np.unique(labels[labels >= 0])
    return np.where(labels >= 0, np.searchsorted(found, labels), -1).astype(np.int64)
