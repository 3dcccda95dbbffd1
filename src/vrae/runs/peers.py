"""Clustering methods to compare with, called as their documentation does.

Each takes series (n, channel, time) of equal length, and returns labels (n,).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["PEERS", "Peer"]

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Peer:
    """A method to compare with.

    Attributes
    ----------
    name : str
        Name in tables.
    cluster : callable
        From series (n, channel, time), number of clusters and seed to labels (n,).
    needs_aeon : bool
        It is part of aeon, an optional package that compiles its functions on the first call.
    """

    name: str
    cluster: Callable[[Floats, int, int], Any]
    needs_aeon: bool = False


def _kmeans(X: Floats, k: int, seed: int) -> Any:
    """Lloyd's algorithm on the values, the best of 10 starts."""
    from sklearn.cluster import KMeans

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
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

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
