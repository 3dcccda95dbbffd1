"""Names of clusters, numbers and counts as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import floor

import numpy as np
import numpy.typing as npt

__all__ = [
    "NOISE",
    "cluster_labels",
    "cluster_name",
    "cluster_title",
    "joined",
    "percent",
    "plain",
    "plural",
    "share_text",
    "whole",
]

NOISE = -1
"""Label of the series that belong to no cluster."""


def cluster_name(label: int, names: Mapping[int, str] | None = None) -> str:
    """Return the name of a cluster, by default "Cluster 0", ... and "Not assigned"."""
    return (names or {}).get(label, "Not assigned" if label == NOISE else f"Cluster {label}")


def cluster_title(label: int, names: Mapping[int, str] | None = None) -> str:
    """Return a cluster with number and name, within a sentence: "cluster 3 · Peaks in December"."""
    if label == NOISE:
        return "no cluster"
    name, number = cluster_name(label, names), f"cluster {label}"
    return number if name.lower() == number else f"{number} · {name}"


def cluster_labels(labels: npt.ArrayLike) -> list[int]:
    """Return the distinct labels in ascending order, with noise last."""
    found: list[int] = np.unique(np.asarray(labels, int)).tolist()
    return sorted(found, key=lambda label: (label == NOISE, label))


def plain(number: float) -> str:
    """Format a number for reading: three digits, thousands separators and a minus sign."""
    if not np.isfinite(number):
        return "unknown"
    text = f"{float(f'{number:.3g}'):,.0f}" if 1000 <= abs(number) < 1e15 else f"{number:.3g}"
    return text.replace("-", "\N{MINUS SIGN}") if text.strip("-0.") else "0"


def percent(fraction: float) -> str:
    """Format a fraction as a whole percentage: "12 %"."""
    if 0 < fraction < 0.005:
        return "less than 1 %"
    return "more than 99 %" if 0.995 <= fraction < 1 else f"{whole(100 * fraction)} %"


def share_text(part: int, total: int) -> str:
    """Format a part of a total: with a decimal below one percent, else as a whole percentage."""
    share = 100 * part / total
    return f"{share:.1f} %" if share < 1 else f"{whole(share)} %"


def whole(number: float) -> int:
    """Round to a whole number, halves up: as the scripts of a page do, unlike Python."""
    return floor(number + 0.5)


def plural(number: int, noun: str) -> str:
    """Format a count with its noun."""
    ending = "" if number == 1 or noun.endswith("s") else "s"
    return f"{number:,} {noun}{ending}"


def joined(parts: Sequence[str]) -> str:
    """Join at least one part with commas and a final "and"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
