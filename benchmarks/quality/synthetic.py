"""Series of two channels whose clusters differ only in how the channels move together.

Every channel of every cluster is a draw of the same process, so a channel alone says nothing about
the cluster.
"""

from __future__ import annotations

import numpy as np

TASKS = ["together or opposed", "leading or lagging", "three kinds", "waves"]
_STEPS, _OF_EACH, _LAG, _NOISE = 120, 100, 6, 0.2


def pairs(task: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return series (n, 2, t) and their clusters (n,).

    Parameters
    ----------
    task : str
        "together or opposed": the second channel is the first, or its mirror image. "leading or
        lagging": it is six steps ahead of it, or behind. "three kinds": together, opposed, or
        another draw. "waves": sine waves of random frequency and phase, the second a quarter of a
        period ahead, or behind.
    seed : int
    """
    rng = np.random.default_rng([seed, TASKS.index(task)])
    k = 3 if task == "three kinds" else 2
    n = k * _OF_EACH
    clusters = rng.permutation(np.repeat(np.arange(k), _OF_EACH))
    sign = np.where(clusters == 0, 1.0, -1.0)[:, None]
    if task == "waves":
        time = np.arange(_STEPS)
        phase = rng.uniform(0, 2 * np.pi, (n, 1)) + 2 * np.pi * rng.uniform(0.03, 0.08, (n, 1)) * time
        first, second = np.sin(phase), np.sin(phase + sign * np.pi / 2)
    else:
        long, other = _smooth(rng, n), _smooth(rng, n)
        first = long[:, _LAG:-_LAG]
        if task == "leading or lagging":
            second = np.where(sign > 0, long[:, 2 * _LAG :], long[:, : -2 * _LAG])
        else:
            second = np.where(clusters[:, None] < 2, sign * first, other[:, _LAG:-_LAG])
    X = np.stack([first, second], axis=1)
    return X + _NOISE * rng.standard_normal(X.shape), clusters


def _smooth(rng: np.random.Generator, n: int) -> np.ndarray:
    """Draw smooth stationary noise of variance about 1, (n, steps and a lag on either side)."""
    width = 25
    kernel = np.exp(-0.5 * (np.arange(-width, width + 1) / 5) ** 2)
    kernel /= np.sqrt((kernel**2).sum())
    noise = rng.standard_normal((n, _STEPS + 2 * _LAG + 2 * width))
    return np.array([np.convolve(row, kernel, mode="valid") for row in noise])
