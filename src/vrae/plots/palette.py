"""Colours and markers of clusters: the same in every figure, and safe for colour-blind readers.

Six hues are from Okabe and Ito. Their black and yellow are hard to see on a dark or a white
background and are replaced by a wine red. Beyond seven clusters the hues repeat with another
marker, which gives 63 distinct styles.
"""

from __future__ import annotations

from typing import NamedTuple

from vrae.describe.words import NOISE

__all__ = ["COLORS", "INK", "MARKERS", "NOISE_COLOR", "Style", "cluster_style", "rgba"]

INK = "#2B3138"
NOISE_COLOR = "#6F757D"
COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#93295F")
MARKERS = (  # names in matplotlib and in plotly
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


class Style(NamedTuple):
    """How a cluster is drawn: colour as ``#RRGGBB``, marker in matplotlib, symbol in plotly."""

    color: str
    marker: str
    symbol: str


def cluster_style(label: int) -> Style:
    """Return the colour and the marker of a cluster; grey dots for ``-1``."""
    if label == NOISE:
        return Style(NOISE_COLOR, *MARKERS[0])
    return Style(COLORS[label % len(COLORS)], *MARKERS[label // len(COLORS) % len(MARKERS)])


def rgba(color: str, opacity: float) -> str:
    """Return ``#RRGGBB`` as a CSS colour with an opacity."""
    red, green, blue = bytes.fromhex(color[1:])
    return f"rgba({red}, {green}, {blue}, {opacity:g})"
