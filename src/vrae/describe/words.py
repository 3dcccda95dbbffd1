"""Numbers, counts and scores as text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = [
    "NOISE",
    "cluster_labels",
    "cluster_name",
    "joined",
    "plain",
    "plural",
    "separation_word",
    "stability_word",
]

NOISE = -1
"""Label of the series that belong to no cluster."""


def cluster_name(label: int) -> str:
    """Return the default name of a cluster."""
    return "Not assigned" if label == NOISE else f"Cluster {label}"


def cluster_labels(labels: npt.ArrayLike) -> list[int]:
    """Return the distinct labels in ascending order, with noise last."""
    found: list[int] = np.unique(np.asarray(labels, int)).tolist()
    return sorted(found, key=lambda label: (label == NOISE, label))


def plain(number: float) -> str:
    """Format a number for reading: three digits, thousands separators and a minus sign.

    Examples
    --------
    >>> plain(1234.5), plain(0.12345), plain(float("nan"))
    ('1,234', '0.123', 'unknown')
    """
    if not np.isfinite(number):
        return "unknown"
    text = f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"
    if "e" in text:
        text = f"{number:.2g}"
    return text.replace("-", "\N{MINUS SIGN}") if text.strip("-0.") else "0"


def plural(number: int, noun: str) -> str:
    """Format a count with its noun.

    Examples
    --------
    >>> plural(1, "step"), plural(1200, "step"), plural(3, "series")
    ('1 step', '1,200 steps', '3 series')
    """
    ending = "" if number == 1 or noun.endswith("s") else "s"
    return f"{number:,} {noun}{ending}"


def joined(parts: Sequence[str]) -> str:
    """Join at least one part with commas and a final "and".

    Examples
    --------
    >>> joined(["a", "b", "c"])
    'a, b and c'
    """
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def separation_word(silhouette: float) -> str:
    """Return a word for a mean silhouette."""
    for limit, word in ((0.5, "Clear"), (0.25, "Moderate"), (0.1, "Weak")):
        if silhouette >= limit:
            return word
    return "Hardly any"


def stability_word(agreement: float) -> str:
    """Return a word for the agreement (adjusted Rand index) of repeated clusterings."""
    for limit, word in ((0.9, "High"), (0.75, "Good"), (0.5, "Fair")):
        if agreement >= limit:
            return word
    return "Low"
