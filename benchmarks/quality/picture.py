"""The picture of the quality benchmark: mean ranks, and the spread over sets."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import studentized_range

OURS, OTHERS = "#b2432f", "#52616b"


def draw(ari: np.ndarray, ranks: np.ndarray, methods: list[str], folder: Path) -> Path:
    """Draw ARI (set, method) and mean ranks (method,) into quality.png."""
    figure, (above, below) = plt.subplots(2, 1, figsize=(9, 8.2), height_ratios=(1, 1.25), layout="constrained")
    _critical_difference(above, ranks, methods, len(ari))
    _spread(below, ari, methods)
    path = folder / "quality.png"
    figure.savefig(path, dpi=130)
    plt.close(figure)
    return path


def _color(method: str) -> str:
    return OURS if method == "VRAE" else OTHERS


def _critical_difference(axis: plt.Axes, ranks: np.ndarray, methods: list[str], n_sets: int) -> None:
    """Draw mean ranks. A bar joins those that do not differ by the Nemenyi test (Demsar 2006)."""
    k = len(methods)
    difference = studentized_range.ppf(0.95, k, np.inf) / np.sqrt(2) * np.sqrt(k * (k + 1) / (6 * n_sets))
    order = np.argsort(ranks)
    for place, i in enumerate(order):
        left = place < (k + 1) // 2
        level = -1 - (place if left else k - 1 - place)
        end = 0.75 if left else k + 0.25
        axis.plot([ranks[i], ranks[i], end], [0, level, level], color=_color(methods[i]), lw=1.2)
        text = f"{methods[i]}  {ranks[i]:.2f}" if left else f"{ranks[i]:.2f}  {methods[i]}"
        axis.text(
            end - 0.05 if left else end + 0.05,
            level,
            text,
            ha="right" if left else "left",
            va="center",
            color=_color(methods[i]),
            weight="bold" if methods[i] == "VRAE" else "normal",
        )
    reach = 0.0
    level = -0.25
    for start in range(k):
        together = [i for i in order[start:] if ranks[i] - ranks[order[start]] < difference]
        last = ranks[together[-1]]
        if len(together) > 1 and last > reach:
            axis.plot([ranks[order[start]] - 0.03, last + 0.03], [level, level], color="black", lw=3.5)
            reach, level = last, level - 0.22
    axis.plot([1, k], [0, 0], color="black", lw=1)
    for rank in range(1, k + 1):
        axis.plot([rank, rank], [0, 0.12], color="black", lw=1)
        axis.text(rank, 0.2, str(rank), ha="center", va="bottom")
    axis.set(xlim=(-1.2, k + 2.2), ylim=(-(k + 1) // 2 - 0.8, 1.3), title="Mean rank by ARI, 1 = best")
    axis.plot([1, 1 + difference], [0.95, 0.95], color="black", lw=2)
    axis.text(
        1 + difference + 0.1, 0.95, f"critical difference {difference:.2f} ({n_sets} sets, Nemenyi 5 %)", va="center"
    )
    axis.axis("off")


def _spread(axis: plt.Axes, ari: np.ndarray, methods: list[str]) -> None:
    order = np.argsort(ari.mean(axis=0))
    boxes = axis.boxplot(ari[:, order], orientation="horizontal", widths=0.55, showfliers=False, patch_artist=True)
    rng = np.random.default_rng(0)
    for place, i in enumerate(order):
        boxes["boxes"][place].set(facecolor=_color(methods[i]), alpha=0.25)
        boxes["medians"][place].set(color=_color(methods[i]), lw=2)
        height = place + 1 + rng.uniform(-0.16, 0.16, len(ari))
        axis.plot(ari[:, i], height, "o", ms=4, color=_color(methods[i]), alpha=0.8)
        axis.plot(ari[:, i].mean(), place + 1, "D", ms=7, color=_color(methods[i]), mec="white")
    axis.set_yticks(range(1, len(order) + 1), [f"{methods[i]}  {ari[:, i].mean():.3f}" for i in order])
    axis.set(xlabel="ARI; a dot a data set, diamond and number: mean", xlim=(-0.06, 1.02))
    axis.spines[["top", "right"]].set_visible(False)
