"""The methods compared: ``(X (n, t), k, seed, new=None)`` to labels of ``new``, or of ``X``."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import StandardScaler

from vrae import VRAE, VRAEClusterer
from vrae.estimators.partition import LatentSpace, fit_partition, labels_of

Method = Callable[..., np.ndarray]


def kmeans(X: np.ndarray, k: int, seed: int, new: np.ndarray | None = None) -> np.ndarray:
    """k-means on the values, best of 10 starts."""
    model = KMeans(k, n_init=10, random_state=seed).fit(X)
    return model.labels_ if new is None else model.predict(new)


def gmm(X: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Gaussian mixture with full covariances on the values' leading 10 principal components."""
    Z = PCA(10, random_state=seed).fit_transform(X)
    return GaussianMixture(k, n_init=5, random_state=seed).fit_predict(Z / Z[:, 0].std())


def kshape(X: np.ndarray, k: int, seed: int) -> np.ndarray:
    """k-Shape (Paparrizos & Gravano 2015), aeon's, one start, as in the published comparisons."""
    from aeon.clustering import KShape

    return KShape(k, random_state=seed).fit_predict(X[:, None].astype(np.float64))


def kasba(X: np.ndarray, k: int, seed: int) -> np.ndarray:
    """KASBA (Holder & Bagnall), aeon's defaults."""
    from aeon.clustering import KASBA

    return KASBA(k, random_state=seed).fit_predict(X[:, None].astype(np.float64))


def kmedoids_msm(X: np.ndarray, k: int, seed: int) -> np.ndarray:
    """k-medoids (PAM) with the MSM distance (Holder et al. 2023), aeon's defaults."""
    from aeon.clustering import TimeSeriesKMedoids

    return TimeSeriesKMedoids(k, distance="msm", random_state=seed).fit_predict(X[:, None].astype(np.float64))


def kmeans_dtw(X: np.ndarray, k: int, seed: int) -> np.ndarray:
    """k-means with dynamic time warping and barycentres, aeon's; one start, at most 10 rounds."""
    from aeon.clustering import TimeSeriesKMeans

    model = TimeSeriesKMeans(k, distance="dtw", n_init=1, max_iter=10, random_state=seed)
    return model.fit_predict(X.astype(np.float64))


def r_clustering(X: np.ndarray, k: int, seed: int, new: np.ndarray | None = None) -> np.ndarray:
    """R-Clustering (Marco-Blanco & Cuevas 2024): MiniRocket, scaling, PCA, k-means."""
    from aeon.transformations.collection.convolution_based import MiniRocket

    rocket, scaler = MiniRocket(n_kernels=500, random_state=seed, n_jobs=1), StandardScaler()
    features = scaler.fit_transform(rocket.fit_transform(_three_axes(X)))
    share = PCA().fit(features).explained_variance_ratio_
    kept = max(2, int(np.argmax(share < 0.01)) if (share < 0.01).any() else len(share))
    pca = PCA(kept).fit(features)
    model = KMeans(k, n_init=10, random_state=seed).fit(pca.transform(features))
    if new is None:
        return model.labels_
    return model.predict(pca.transform(scaler.transform(rocket.transform(_three_axes(new)))))


def _three_axes(X: np.ndarray) -> np.ndarray:
    return (X[:, None] if X.ndim == 2 else X).astype(np.float32)  # (n, channels, t)


def classic_vrae(X: np.ndarray, k: int, seed: int) -> np.ndarray:
    """``VRAE.classic()``, then k-means on the latent vectors."""
    return kmeans(VRAE.classic(random_state=seed, device="cpu").fit_transform(X), k, seed)


def vrae(X: np.ndarray, k: int, seed: int, new: np.ndarray | None = None, **options: Any) -> np.ndarray:
    """``VRAEClusterer`` with its defaults, or with options."""
    model = VRAEClusterer(k, model=VRAE(device="cpu", **options), random_state=seed).fit(X)
    return model.labels_ if new is None else model.predict(new)


def patterns_only(X: np.ndarray, k: int, seed: int) -> np.ndarray:
    """The pattern statistics and the default's mixture without the network between them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one epoch has learned nothing, and need not
        model = VRAE(max_epochs=1, random_state=seed, device="cpu").fit(X)
    x = torch.from_numpy(X.astype(np.float32))[:, :, None]  # (n, t, 1)
    found = model.network_.statistics(x, torch.ones_like(x), torch.full((len(X),), X.shape[1]))
    statistics = found.double().numpy()  # (n, n_patterns)
    space = LatentSpace.fit(statistics)
    vectors = space(statistics)
    return labels_of(fit_partition(vectors, k, "gmm", seed).predict_proba(vectors))


# Shown in tables under these names, in this order.
METHODS: dict[str, Method] = {
    "k-means": kmeans,
    "k-Shape": kshape,
    "KASBA": kasba,
    "k-medoids-MSM": kmedoids_msm,
    "R-Clustering": r_clustering,
    "classic VRAE": classic_vrae,
    "VRAE": vrae,
    "VRAE, no patterns": partial(vrae, pattern_weight=0),
    "patterns, no network": patterns_only,
    "VRAE, max_lag=0.5": partial(vrae, max_lag=0.5),
    "GMM": gmm,
}
# Those that a user could pick; the others are parts or variants of VRAE.
PEERS = list(METHODS)[:7]
# What is run when --methods does not say: the comparison of each protocol.
DEFAULTS = {
    "merged": list(METHODS)[:9],
    "test": ["k-means", "R-Clustering", "VRAE"],
    "whole": ["k-means", "GMM", "k-Shape", "R-Clustering", "VRAE"],
}
# Whose version is noted with a result; vrae's own if it is not here.
LIBRARY = {
    "k-means": "scikit-learn",
    "GMM": "scikit-learn",
    "k-Shape": "aeon",
    "KASBA": "aeon",
    "k-medoids-MSM": "aeon",
    "R-Clustering": "aeon",
}
