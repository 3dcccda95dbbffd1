"""Colours and marker shapes of clusters: the same in every figure, and told apart by colour-blind eyes.

Six hues are Okabe and Ito's; their black and yellow, lost on a dark or a white ground, give way to a wine
red. Beyond seven clusters the hues begin again with another marker: 63 clusters look different.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["COLORS", "MARKERS", "NOISE", "NOISE_COLOR", "Style", "cluster_name", "cluster_style", "rgba"]

NOISE = -1
NOISE_COLOR = "#6F757D"

COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#93295F")

MARKERS = (
    ("o", "circle"),
    ("s", "square"),
    ("^", "triangle-up"),
    ("D", "diamond"),
    ("v", "triangle-down"),
    ("P", "cross"),
    ("X", "x"),
    ("*", "star"),
    ("p", "pentagon"),
)
"""Marker shapes as (matplotlib's name, plotly's name)."""


@dataclass(frozen=True)
class Style:
    """How one cluster is drawn."""

    color: str
    marker: str
    """matplotlib's name of the shape."""
    symbol: str
    """plotly's name of the shape."""


def cluster_style(label: int) -> Style:
    """Return the colour and the marker of a cluster; grey dots for ``-1``."""
    if label == NOISE:
        return Style(NOISE_COLOR, *MARKERS[0])
    marker = MARKERS[label // len(COLORS) % len(MARKERS)]
    return Style(COLORS[label % len(COLORS)], *marker)


def cluster_name(label: int) -> str:
    """Return what a cluster is called in every figure and text."""
    return "Not assigned" if label == NOISE else f"Cluster {label}"


def cluster_labels(labels: npt.ArrayLike) -> list[int]:
    """Return the labels that occur, in ascending order, noise last."""
    found: list[int] = np.unique(np.asarray(labels, int)).tolist()
    return sorted(found, key=lambda label: (label == NOISE, label))


def rgba(color: str, opacity: float) -> str:
    """Return ``#RRGGBB`` as a CSS colour with an opacity."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity:g})"
