"""Group latent vectors, and say to which group new ones belong.

Whatever found the groups, one of two rules places a new vector: a mixture of normal distributions (k-means is
one with equal weights and equal spherical spread), or a vote of the nearest training vectors (Ward, HDBSCAN and
any other clusterer, which have no rule of their own). Both are a few arrays, so both can be saved without pickle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy.special import softmax
from sklearn.base import clone

from vrae.config import check_choice
from vrae.exceptions import InvalidParameterError

__all__ = [
    "CLUSTERERS",
    "Mixture",
    "NeighbourVote",
    "Partition",
    "choose_partition",
    "fit_partition",
    "labels_of",
    "partition_from_arrays",
]

CLUSTERERS = ("gmm", "kmeans", "ward", "hdbscan")

# Restarts of k-means and of the mixture: the best of them is far less a matter of the seed than one alone.
_N_INIT = 10

# Share of the overall variance added to every variance of the mixture, so that no component shrinks to a point.
_RIDGE = 0.05

_VOTERS = 5

# n_clusters="auto" tries 2 to this many, and judges on so many vectors.
_MOST_CLUSTERS = 15
_SILHOUETTE_SAMPLE = 2000

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


class Partition(Protocol):
    """A rule that places latent vectors in groups 0 .. n_clusters - 1, or in none."""

    @property
    def n_clusters(self) -> int:
        """Number of groups."""

    def predict_proba(self, Z: Floats) -> Floats:
        """Return probabilities (n, n_clusters); a row of zeros belongs to no group."""

    def ordered(self, order: Labels) -> Partition:
        """Return the same groups, group ``order[0]`` first."""

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return everything there is to save."""


@dataclass(frozen=True)
class Mixture:
    """A mixture of normal distributions: weights (k,), means (k, d), covariances (k, d, d)."""

    weights: Floats
    means: Floats
    covariances: Floats

    @property
    def n_clusters(self) -> int:
        """Number of components."""
        return len(self.means)

    def log_joint(self, Z: Floats) -> Floats:
        """Return log(weight * density), (n, k)."""
        columns = []
        for weight, mean, covariance in zip(self.weights, self.means, self.covariances, strict=True):
            chol = np.linalg.cholesky(covariance)
            whitened = np.linalg.solve(chol, (Z - mean).T)  # (d, n)
            log_det = 2 * np.log(np.diag(chol)).sum()
            columns.append(np.log(weight) - 0.5 * ((whitened**2).sum(axis=0) + log_det))
        return np.stack(columns, axis=1) - 0.5 * Z.shape[1] * np.log(2 * np.pi)

    def predict_proba(self, Z: Floats) -> Floats:
        """Return the components' responsibilities, (n, k)."""
        return softmax(self.log_joint(Z), axis=1)  # type: ignore[no-any-return]

    def ordered(self, order: Labels) -> Mixture:
        """Return the same components in another order."""
        return Mixture(self.weights[order], self.means[order], self.covariances[order])

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return weights, means and covariances."""
        return {"weights": self.weights, "means": self.means, "covariances": self.covariances}


@dataclass(frozen=True)
class NeighbourVote:
    """Training vectors (n, d) with their labels (n,); the nearest few vote, the nearer the louder."""

    vectors: Floats
    labels: Labels

    @property
    def n_clusters(self) -> int:
        """Number of groups; noise (-1) is none."""
        return int(self.labels.max(initial=-1)) + 1

    def predict_proba(self, Z: Floats) -> Floats:
        """Return the shares of the vote, (n, n_clusters); votes for noise are the rest up to 1."""
        from sklearn.neighbors import NearestNeighbors

        index = NearestNeighbors(n_neighbors=min(_VOTERS, len(self.vectors))).fit(self.vectors)
        distance, neighbour = index.kneighbors(Z)  # both (n, voters)
        # A training vector has itself as nearest neighbour, so its own label decides.
        weight = 1 / np.maximum(distance, 1e-12 + 1e-9 * np.abs(self.vectors).max())
        weight /= weight.sum(axis=1, keepdims=True)
        votes = np.zeros((len(Z), self.n_clusters + 1))  # the last column is noise
        np.add.at(votes, (np.arange(len(Z))[:, None], self.labels[neighbour]), weight)
        noise = votes[:, -1] > votes[:, :-1].max(axis=1, initial=0.0)
        votes[noise] = 0.0
        return votes[:, :-1]

    def ordered(self, order: Labels) -> NeighbourVote:
        """Return the same groups in another order."""
        place = np.append(np.argsort(order), -1)  # the last entry is where noise, -1, stays
        return NeighbourVote(self.vectors, place[self.labels])

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return vectors and labels."""
        return {"vectors": self.vectors, "labels": self.labels}


def partition_from_arrays(arrays: dict[str, npt.NDArray[Any]]) -> Partition:
    """Build the rule whose ``arrays()`` these are."""
    if "means" in arrays:
        return Mixture(**arrays)
    return NeighbourVote(**arrays)


def labels_of(probabilities: Floats) -> Labels:
    """Return the likeliest group of each row, or -1 for a row of zeros."""
    if probabilities.shape[1] == 0:
        return np.full(len(probabilities), -1)
    return np.where(probabilities.any(axis=1), probabilities.argmax(axis=1), -1)


def fit_partition(Z: Floats, n_clusters: int, clusterer: Any, seed: int) -> Partition:
    """Find groups in latent vectors; the largest comes first.

    Parameters
    ----------
    Z : ndarray of shape (n, latent)
    n_clusters : int
        At most n. Taken by all but "hdbscan", which finds its own number, and an estimator without such a
        parameter.
    clusterer : {"gmm", "kmeans", "ward", "hdbscan"} or scikit-learn clusterer
    seed : int

    Returns
    -------
    Partition

    Raises
    ------
    InvalidParameterError
        Not a clusterer.
    """
    if isinstance(clusterer, str) and clusterer == "gmm":
        partition: Partition = _fit_mixture(Z, n_clusters, seed)
    elif isinstance(clusterer, str) and clusterer == "kmeans":
        partition = _fit_kmeans(Z, n_clusters, seed)
    else:
        partition = NeighbourVote(Z, _fit_labels(Z, _estimator(clusterer, n_clusters, seed)))
    labels = labels_of(partition.predict_proba(Z))
    sizes = np.bincount(labels[labels >= 0], minlength=partition.n_clusters)
    return partition.ordered(np.argsort(-sizes, kind="stable"))


def choose_partition(Z: Floats, clusterer: Any, seed: int) -> tuple[Partition, list[dict[str, float]]]:
    """Find groups and their number: the one whose groups have the best silhouette.

    Returns
    -------
    partition : Partition
    selection : list of dict
        ``n_clusters`` and ``score`` (mean silhouette on a sample, -1 to 1) of every number tried; empty if
        the clusterer finds its own number.
    """
    from sklearn.metrics import silhouette_score

    if not _takes_number(clusterer):
        return fit_partition(Z, 1, clusterer, seed), []
    sample = np.random.default_rng(seed).permutation(len(Z))[:_SILHOUETTE_SAMPLE]
    tried: list[tuple[float, Partition]] = []
    selection = []
    for k in range(2, min(_MOST_CLUSTERS, len(Z) - 1, int(np.sqrt(len(Z))) + 1) + 1):
        partition = fit_partition(Z, k, clusterer, seed)
        labels = labels_of(partition.predict_proba(Z))[sample]
        several = 2 <= len(np.unique(labels)) < len(labels)
        score = float(silhouette_score(Z[sample], labels)) if several else -1.0
        tried.append((score, partition))
        selection.append({"n_clusters": k, "score": score})
    if not tried:  # two series: nothing to choose from
        return fit_partition(Z, 1, clusterer, seed), []
    return max(tried, key=lambda pair: pair[0])[1], selection


def _takes_number(clusterer: Any) -> bool:
    if isinstance(clusterer, str):
        return clusterer != "hdbscan"
    known = _estimator(clusterer, 1, 0).get_params()
    return "n_clusters" in known or "n_components" in known


def _fit_mixture(Z: Floats, n_clusters: int, seed: int) -> Mixture:
    from sklearn.mixture import GaussianMixture

    ridge = _RIDGE * float(Z.var(axis=0).mean()) + 1e-6
    model = GaussianMixture(n_clusters, covariance_type="tied", reg_covar=ridge, n_init=_N_INIT, random_state=seed)
    model.fit(Z)
    covariances = np.broadcast_to(model.covariances_, (n_clusters, *model.covariances_.shape))
    return Mixture(model.weights_, model.means_, np.array(covariances))


def _fit_kmeans(Z: Floats, n_clusters: int, seed: int) -> Mixture:
    from sklearn.cluster import KMeans

    model = KMeans(n_clusters, n_init=_N_INIT, random_state=seed).fit(Z)
    spread = model.inertia_ / Z.size + 1e-6  # variance within groups, the same in all directions
    covariances = np.tile(spread * np.eye(Z.shape[1]), (n_clusters, 1, 1))
    return Mixture(np.full(n_clusters, 1 / n_clusters), model.cluster_centers_, covariances)


def _estimator(clusterer: Any, n_clusters: int, seed: int) -> Any:
    from sklearn.cluster import HDBSCAN, AgglomerativeClustering

    if clusterer == "ward":
        return AgglomerativeClustering(n_clusters, linkage="ward")
    if clusterer == "hdbscan":
        return HDBSCAN(copy=True)
    if not hasattr(clusterer, "fit_predict") or not hasattr(clusterer, "get_params"):
        raise InvalidParameterError(
            f"clusterer must be one of {', '.join(CLUSTERERS)} or a scikit-learn clusterer; found {clusterer!r:.80}."
        )
    known = clusterer.get_params()
    wanted = {"n_clusters": n_clusters, "n_components": n_clusters, "random_state": seed}
    # What the user set on the estimator stays; only what was left open is filled in.
    filled = {k: v for k, v in wanted.items() if k in known and (k != "random_state" or known[k] is None)}
    return clone(clusterer).set_params(**filled)


def _fit_labels(Z: Floats, estimator: Any) -> Labels:
    labels = np.asarray(estimator.fit_predict(Z))
    found = np.unique(labels[labels >= 0])
    return np.where(labels >= 0, np.searchsorted(found, labels), -1).astype(np.int64)
