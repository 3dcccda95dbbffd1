"""Series as they come: values missing, series cut short, spikes. What is left of the ARI?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import methods
import numpy as np
from sets import OLD, load

from vrae.metrics import agreement, raw_kmeans, resample

Job = tuple[dict[str, Any], Callable[[], dict[str, Any]]]

# What is done to every series; blocks of missing values are three a series.
DAMAGES = [
    "none",
    "10 % missing",
    "30 % missing",
    "50 % missing",
    "10 % missing in blocks",
    "30 % missing in blocks",
    "50 % missing in blocks",
    "cut to 60-100 %",
    "1 % spikes",
]
_BLOCKS = 3
_SPIKE = 10  # standard deviations


def robustness(seed: int, folder: str | None) -> Iterator[Job]:
    """Cluster damaged series. Peers get gaps interpolated and cut series stretched."""
    for name in OLD:
        data = load(name, "merged", folder)
        for damage in DAMAGES:
            X = damaged(data.X, damage, seed)[:, None]  # (n, 1, t), NaN where missing or cut off
            own = uneven(X[:, 0]) if damage.startswith("cut") else X
            even = resample(X, X.shape[2])[:, 0]
            for method, run in {
                "k-means": lambda X=X, k=data.k: raw_kmeans(X, k, seed),
                "R-Clustering": lambda even=even, k=data.k: methods.r_clustering(even, k, seed),
                "VRAE": lambda X=own, k=data.k: methods.vrae(X, k, seed),
                "VRAE, robust": lambda X=own, k=data.k: methods.vrae(X, k, seed, scaling="robust"),
            }.items():
                if method == "VRAE, robust" and damage not in ("none", "1 % spikes"):
                    continue
                yield (
                    {"promise": "robustness", "set": name, "damage": damage, "method": method, "seed": seed},
                    lambda run=run, truth=data.truth: agreement(truth, run()),
                )


def uneven(X: np.ndarray) -> list[np.ndarray]:
    """Take the padding off series (n, t): arrays of their own length."""
    return [series[: int(np.isfinite(series).sum())] for series in X]


def damaged(X: np.ndarray, damage: str, seed: int) -> np.ndarray:
    """Return series (n, t) with values missing (NaN), or their ends, or with spikes in them."""
    rng = np.random.default_rng([seed, DAMAGES.index(damage)])
    n, t = X.shape
    time = np.arange(t)
    if damage == "none":
        return X
    if damage.startswith("cut"):
        length = rng.integers(round(0.6 * t), t + 1, n)[:, None]  # (n, 1)
        begin = (rng.random((n, 1)) * (t - length + 1)).astype(int)
        moved = np.take_along_axis(X, np.minimum(begin + time, t - 1), axis=1)
        return np.where(time < length, moved, np.nan)
    if damage.endswith("spikes"):
        sign = rng.choice([-1, 1], X.shape)
        return X + np.where(rng.random(X.shape) < 0.01, sign * _SPIKE * X.std(axis=1, keepdims=True), 0)
    share = int(damage.split()[0]) / 100
    if not damage.endswith("blocks"):
        gone = rng.random(X.shape).argsort(axis=1) < round(share * t)
    else:  # blocks of equal length with random room between them
        size = max(1, round(share * t / _BLOCKS))
        begin = np.sort(rng.integers(0, t - _BLOCKS * size + 1, (n, _BLOCKS)), axis=1) + size * np.arange(_BLOCKS)
        gone = ((time >= begin[..., None]) & (time < begin[..., None] + size)).any(axis=1)
    return np.where(gone, np.nan, X)
