"""The verdict on a clustering: one paragraph in plain words, and alerts.

Command line, report and Python share it. What to do is an `Action`; the reader's way to do it, a
command or a line of Python, is found elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vrae.describe.alerts import Alert, alerts_of
from vrae.describe.findings import FIRM, SHAKY, Found, percent_text
from vrae.describe.words import joined, plural
from vrae.metrics import is_useful

__all__ = ["Verdict", "peaks", "verdict"]

_NAMED = 3  # clusters in the paragraph


@dataclass(frozen=True)
class Verdict:
    """A paragraph in plain words, and alerts with the gravest first."""

    text: str
    alerts: tuple[Alert, ...] = ()


def verdict(found: Found) -> Verdict:
    """Say what was found, how far to trust it and what to do next.

    Parameters
    ----------
    found : Found

    Returns
    -------
    Verdict
    """
    alerts = tuple(alerts_of(found))
    n, k = found.n_series, sum(size > 0 for size in found.sizes)
    if k == 0:
        return Verdict(f"No groups: none of the {plural(n, 'series')} is similar enough to others.", alerts)
    if k == 1:
        text = f"One group holds all {plural(n, 'series')}: nothing was found that separates them."
        return Verdict(f"{text} {_next(found, alerts)}", alerts)
    parts = [_groups(found, k), _trust(found), _between(found), _next(found, alerts)]
    return Verdict(" ".join(part for part in parts if part), alerts)


def peaks(selection: Sequence[Mapping[str, Any]], chosen: int) -> list[int]:
    """Return other numbers of clusters that are worth a look, the best first."""
    useful = [row for row in selection if row.get("is_peak") and is_useful(row) and row["n_clusters"] != chosen]
    return [int(row["n_clusters"]) for row in sorted(useful, key=lambda row: -row["score"])]


def _groups(found: Found, k: int) -> str:
    """Say how many groups there are, and name the largest."""
    n = found.n_series
    order = sorted((label for label in range(len(found.sizes)) if found.sizes[label]), key=lambda i: -found.sizes[i])
    shown = order[:_NAMED]
    named = [f"{found.name(i)} with {found.sizes[i]:,} series ({percent_text(found.sizes[i] / n)})" for i in shown]
    rest = len(order) - len(shown)
    more = f", and {rest} smaller one{'s' * (rest > 1)}" if rest else ""
    listed = ", ".join(named) if rest else joined(named)
    if not found.is_clear:
        return f"No clear groups. A split of the {n:,} series into {k} gives {listed}{more}."
    return f"{n:,} series fall into {k} groups: {listed}{more}."


def _trust(found: Found) -> str:
    """Say which groups can be relied on."""
    if not found.stability:
        return "How far to trust them was not measured."
    again = "the model is fitted again to half of the series" if found.refitted else "half of the series are grouped"
    shaky = [label for label, part in enumerate(found.stability) if part < SHAKY and found.sizes[label]]
    parts = [part for label, part in enumerate(found.stability) if found.sizes[label]]
    low, high = percent_text(min(parts)), percent_text(max(parts))
    span = low if low == high else f"{low} to {high}"
    if not shaky and not found.is_clear:
        return f"The same split is found again ({span}) when {again}, but it separates little. Do not act on it."
    if not shaky:
        rely = "You can rely on them" if min(parts) >= FIRM else "They hold fairly well"
        return f"{rely}: {span} of each group is found again when {again}."
    if len(shaky) == len(parts):
        return f"Do not rely on single groups: only {span} of each is found again when {again}."
    firm = [found.name(label) for label in range(len(found.sizes)) if found.sizes[label] and label not in shaky]
    if len(firm) <= len(shaky):
        return (
            f"Rely on {joined(firm)} only: of the other {len(shaky)}, less than {percent_text(SHAKY)} is found again "
            f"when {again}."
        )
    weak = joined([found.name(label) for label in shaky])
    return f"Do not rely on {weak}: less than {percent_text(SHAKY)} is found again when {again}. The others hold."


def _between(found: Found) -> str:
    """Say how many series could be in two groups, or in none."""
    parts = []
    if found.n_doubtful - found.n_noise > 0:
        n = found.n_doubtful - found.n_noise
        parts.append(f"{n:,} {'series lie' if n > 1 else 'series lies'} between two groups")
    if found.n_noise:
        parts.append(f"{found.n_noise:,} {'have' if found.n_noise > 1 else 'has'} no group")
    return f"{joined(parts)}." if parts else ""


def _next(found: Found, alerts: Sequence[Alert]) -> str:
    """Say what to do next: what the gravest alert advises, or how to go on."""
    if alerts:
        return f"Next: {alerts[0].advice}."
    if not found.is_clear:
        return "Next: try another number of groups, and look whether one of them tells you something."
    return "Next: look at the groups below, give them your own names, and assign new series to them."
