"""The methods compared: ``(X (n, t), k, seed, new=None)`` to labels of ``new``, or of ``X``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from sklearn.cluster import HDBSCAN, AgglomerativeClustering, KMeans
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import StandardScaler

from vrae import VRAE, VRAEClusterer

Method = Callable[..., np.ndarray]


# ---------------------------------------------------------------- peers


def kmeans(X: np.ndarray, k: int, seed: int, new: np.ndarray | None = None) -> np.ndarray:
    """k-means on the values, those of all channels side by side, best of 10 starts."""
    model = KMeans(k, n_init=10, random_state=seed).fit(X.reshape(len(X), -1))
    return model.labels_ if new is None else model.predict(new.reshape(len(new), -1))


def kshape(X: np.ndarray, k: int, seed: int) -> np.ndarray:
    """k-Shape (Paparrizos & Gravano 2015), aeon's, one start, as in the published comparisons."""
    from aeon.clustering import KShape

    return KShape(k, random_state=seed).fit_predict(X[:, None].astype(np.float64))


def kasba(X: np.ndarray, k: int, seed: int) -> np.ndarray:
    """KASBA (Holder & Bagnall), aeon's defaults."""
    from aeon.clustering import KASBA

    return KASBA(k, random_state=seed).fit_predict(X[:, None].astype(np.float64))


def kmeans_dtw(X: np.ndarray, k: int, seed: int) -> np.ndarray:
    """k-means with dynamic time warping and barycentres, aeon's; one start, at most 10 rounds."""
    from aeon.clustering import TimeSeriesKMeans

    model = TimeSeriesKMeans(k, distance="dtw", n_init=1, max_iter=10, random_state=seed)
    return model.fit_predict(X.astype(np.float64))


def r_clustering(X: np.ndarray, k: int, seed: int, new: np.ndarray | None = None) -> np.ndarray:
    """R-Clustering (Marco-Blanco & Cuevas 2024): MiniRocket, scaling, PCA, k-means."""
    features, of_new = _rocket(X, seed, new)
    pca = _leading(features)
    model = KMeans(k, n_init=10, random_state=seed).fit(pca.transform(features))
    return model.labels_ if of_new is None else model.predict(pca.transform(of_new))


def racer(X: np.ndarray, k: int, seed: int) -> np.ndarray:
    """RACER (github.com/pcjdhhhh/RACER, 2026): MiniRocket, then a consensus of six partitions.

    k-means, Ward and a Gaussian mixture, each on principal components and on 10 numbers of UMAP.
    """
    features, _ = _rocket(X, seed)
    partitions = []
    for Z in (_leading(features).transform(features), _umap(features, seed)):
        Z = Z.astype(np.float64)
        partitions += [
            KMeans(k, n_init=10, random_state=seed).fit_predict(Z),
            AgglomerativeClustering(k).fit_predict(Z),
            GaussianMixture(k, random_state=seed).fit_predict(Z),
        ]
    return consensus(partitions, k, seed)


def consensus(partitions: list[np.ndarray], k: int, seed: int, rounds: int = 200) -> np.ndarray:
    """Return one partition of partitions (n,), by matrix factorisation (Li, Ding & Jordan 2007).

    M (n, n), the share of partitions in which two series are together, is approximated by
    Q S Q^T, with Q (n, k) orthogonal and not negative. M is never formed: M = H H^T.
    """
    rng = np.random.default_rng(seed)
    H = np.hstack([np.eye(k)[labels] for labels in partitions]) / np.sqrt(len(partitions))  # (n, 6 k)
    Q, S = rng.random((len(H), k)), np.diag(rng.random(k))
    for _ in range(rounds):
        up = H @ (H.T @ Q) @ S
        Q *= np.sqrt(up / (Q @ (Q.T @ up) + 1e-8))
        up, inner = Q.T @ (H @ (H.T @ Q)), Q.T @ Q
        S *= np.sqrt(up / (inner @ S @ inner + 1e-8))
    return (Q @ np.sqrt(S)).argmax(axis=1)


def _rocket(X: np.ndarray, seed: int, new: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray | None]:
    """Return standardised features of MiniRocket (500 kernels) of the series, and of new ones."""
    from aeon.transformations.collection.convolution_based import MiniRocket

    rocket, scaler = MiniRocket(n_kernels=500, random_state=seed, n_jobs=1), StandardScaler()
    features = scaler.fit_transform(rocket.fit_transform(_three_axes(X)))
    return features, None if new is None else scaler.transform(rocket.transform(_three_axes(new)))


def _leading(features: np.ndarray) -> PCA:
    """Return principal components, those before the first with less than 1 % of the variance."""
    share = PCA().fit(features).explained_variance_ratio_
    return PCA(max(2, int(np.argmax(share < 0.01)) if (share < 0.01).any() else len(share))).fit(features)


def _umap(X: np.ndarray, seed: int, **options: Any) -> np.ndarray:
    """Return vectors of 10 numbers that keep neighbours together (McInnes & Healy 2018)."""
    from umap import UMAP

    return UMAP(n_components=10, random_state=seed, n_jobs=1, **options).fit_transform(X)


def _three_axes(X: np.ndarray) -> np.ndarray:
    return (X[:, None] if X.ndim == 2 else X).astype(np.float32)  # (n, channels, t)


# ---------------------------------------------------------------- vrae, and parts of it


def vrae(X: Any, k: int, seed: int, new: np.ndarray | None = None, **options: Any) -> np.ndarray:
    """``VRAEClusterer`` with its defaults, or with options."""
    model = VRAEClusterer(k, model=VRAE(device="cpu", **options), random_state=seed).fit(X)
    return model.labels_ if new is None else model.predict(new)


def classic_vrae(X: np.ndarray, k: int, seed: int) -> np.ndarray:
    """``VRAE.classic()``, then k-means on the latent vectors."""
    return kmeans(VRAE.classic(random_state=seed, device="cpu").fit_transform(X), k, seed)


def patterns_only(X: np.ndarray, k: int, seed: int) -> np.ndarray:
    """k-means on the pattern statistics, without the network."""
    return kmeans(_statistics(X, seed), k, seed)


def patterns_hdbscan(X: np.ndarray, k: int, seed: int) -> np.ndarray:
    """HDBSCAN on UMAP of the pattern statistics; noise is a group of its own.

    HDBSCAN finds its own number of clusters: of several smallest sizes, the one whose number is
    nearest to k.
    """
    Z = _umap(_statistics(X, seed), seed, min_dist=0.0)
    tried = [HDBSCAN(size, copy=True).fit_predict(Z) for size in (5, 10, 20, 40, 80) if size <= len(X) // 2]
    return min(tried, key=lambda labels: abs(int(labels.max()) + 1 - k))


def _statistics(X: np.ndarray, seed: int) -> np.ndarray:
    """Return the pattern statistics (n, n_patterns) that a fit starts with. Nothing is trained."""
    model = VRAE(random_state=seed, device="cpu")
    patterns = model._prepare(*model.usable(X), hidden=None).data.patterns
    assert patterns is not None
    return patterns.double().numpy()


# Shown in tables under these names, in this order.
METHODS: dict[str, Method] = {
    "k-means": kmeans,
    "k-Shape": kshape,
    "KASBA": kasba,
    "R-Clustering": r_clustering,
    "RACER": racer,
    "classic VRAE": classic_vrae,
    "VRAE": vrae,
    "VRAE, no patterns": partial(vrae, pattern_weight=0),
    "patterns, no network": patterns_only,
    "patterns, UMAP, HDBSCAN": patterns_hdbscan,
}
# Those that a user could pick; the others are parts or variants of VRAE.
PEERS = list(METHODS)[:7]
# What is run when --methods does not say: the comparison of each protocol.
DEFAULTS = {
    "merged": list(METHODS),
    "test": ["k-means", "R-Clustering", "VRAE"],
    "other": ["k-means", "R-Clustering", "RACER", "VRAE"],
}
# Get series of unequal length, with gaps, as they are.
AS_THEY_ARE = {"VRAE", "VRAE, no patterns"}
# Whose version is noted with a result; vrae's own if it is not here.
LIBRARY = {
    "k-means": "scikit-learn",
    "k-Shape": "aeon",
    "KASBA": "aeon",
    "R-Clustering": "aeon",
    "RACER": "umap-learn",
}
