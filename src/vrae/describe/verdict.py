"""The verdict on a clustering: one paragraph in plain words, and alerts.

Command line, report and Python share it. What to do is an `Action`; the reader's way to do it, a
command or a line of Python, is found elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vrae.describe.alerts import ABOUT_DATA, Alert, alerts_of
from vrae.describe.findings import FIRM, SHAKY, Found, percent_text
from vrae.describe.words import joined, plural
from vrae.metrics import is_useful

__all__ = ["Verdict", "peaks", "verdict"]

_NAMED = 3  # clusters in the paragraph
_NEARLY = 0.9  # of the best score
_APART = 1.3  # ratio of two numbers of clusters


@dataclass(frozen=True)
class Verdict:
    """A paragraph in plain words, alerts with the gravest first, and whether groups are clear.

    ``others`` are the other numbers of groups that are worth a look, the best first.
    """

    text: str
    alerts: tuple[Alert, ...] = ()
    is_clear: bool = True
    others: tuple[int, ...] = ()


def verdict(found: Found) -> Verdict:
    """Say what was found, how far to trust it and what to do next.

    Parameters
    ----------
    found : Found

    Returns
    -------
    Verdict
    """
    alerts = alerts_of(found)
    n, k = found.n_series, len(found.present)
    others = () if found.edited else tuple(found.others)
    if k == 0:
        return Verdict(f"No groups: none of the {plural(n, 'series')} is similar enough to others.", alerts, False)
    if k == 1:
        why = ": nothing was found that separates them" if found.selection else ""  # else nobody looked
        text = f"One group holds all {plural(n, 'series')}{why}."
        return Verdict(f"{text} {_next(found, alerts)}", alerts, False, others)
    if not found.is_clear:
        return Verdict(f"{_not_clear(found)} {_next_without_groups(alerts, others)}", alerts, False, others)
    parts = [_groups(found, k), _trust(found), _between(found), _next(found, alerts)]
    return Verdict(" ".join(part for part in parts if part), alerts, True, others)


def peaks(selection: Sequence[Mapping[str, Any]], chosen: int, most: int = 4) -> list[int]:
    """Return other numbers of clusters that may be worth a look, the best first.

    Peaks of the curve, and numbers that are nearly as good as the best. Of numbers that are close
    to each other, the best stands for all. The curve does not tell whether each cluster is found
    again: of a fitted clusterer, only some of these are suggested.
    """
    useful = [row for row in selection if is_useful(row)]
    best = max((row["score"] for row in useful), default=0.0)
    worth = [row for row in useful if row.get("is_peak") or row["score"] >= _NEARLY * best]
    found: list[int] = []
    for row in sorted(worth, key=lambda row: -row["score"]):
        k = int(row["n_clusters"])
        if k != chosen and all(max(k, other) >= _APART * min(k, other) for other in found):
            found.append(k)
    return found[:most]


def _groups(found: Found, k: int) -> str:
    """Say how many groups there are, and name the largest."""
    n = found.n_series
    order = sorted(found.present, key=lambda label: -found.sizes[label])
    shown = order if k <= _NAMED + 1 else order[:_NAMED]
    named = [f"{found.name(label)} {_size(found, label, number)}" for number, label in enumerate(shown)]
    more = f", and {k - len(shown)} smaller ones" if k > len(shown) else ""
    listed = ", ".join(named) if more else joined(named)
    inside = f"{n - found.n_noise:,} of {n:,}" if found.n_noise > n / 2 else f"{n:,}"
    return f"{inside} series fall into {k} groups: {listed}{more}."


def _not_clear(found: Found) -> str:
    """Say why there are no clear groups, without naming one."""
    if found.is_one:
        share = percent_text(found.share, limit=0)
        return f"No clear groups: one group holds {share} of the {found.n_series:,} series."
    if found.is_touching:
        return f"No clear groups: the {found.n_series:,} series do not fall into groups that are apart."
    come = "are found again" if found.refitted else "come back"
    return f"No clear groups: the {found.n_series:,} series do not fall into groups that {come} {found.when}."


def _next_without_groups(alerts: Sequence[Alert], others: Sequence[int]) -> str:
    """Say what to do where there are no clear groups."""
    about_data = [alert.advice for alert in alerts if alert.kind in ABOUT_DATA]
    advice = [*about_data, *(f"look at {k} groups instead" for k in others)]
    return f"Next: {advice[0]}." if advice else "Do not act on the groups below."


def _size(found: Found, label: int, number: int) -> str:
    size = found.sizes[label]
    text = f"{size:,}{' series' * (number == 0)}, {percent_text(size / found.n_series, limit=0)}"
    if found.volume:
        share = percent_text(found.volume[label], limit=0)
        text += f", with about {share} of the volume" if number == 0 else f", volume {share}"
    return f"({text})"


def _trust(found: Found) -> str:
    """Say which groups can be relied on."""
    if not found.stability:
        return "How far to trust them was not measured."
    shaky, again = found.shaky, found.again
    parts = [found.stability[label] for label in found.present]
    low, high = percent_text(min(parts)), percent_text(max(parts))
    span = low if low == high else f"{low.removesuffix(' %')} to {high}"
    least = percent_text(SHAKY)
    if not shaky:
        rely = "You can rely on them" if min(parts) >= FIRM and found.is_solid else "They hold fairly well"
        return f"{rely}: {span} of each {again}."
    if len(shaky) == len(parts):
        return f"Do not rely on single groups: only {span} of each {again}."
    firm = [found.name(label) for label in found.present if label not in shaky]
    if len(firm) <= len(shaky):
        others = f"the other {len(shaky)}" if len(shaky) > 1 else "the other one"
        return f"Rely on {joined(firm)} only: of {others}, less than {least} {again}."
    named = [found.name(label) for label in shaky]
    weak = joined(named if len(named) <= _NAMED else [*named[:_NAMED], f"{len(named) - _NAMED} more"])
    return f"Do not rely on {weak}: less than {least} {again}. The others hold."


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
    if len(found.present) == 1:
        return "Next: find series that are unlike the others."
    scores = {int(row["n_clusters"]): row["score"] for row in found.selection}
    own = scores.get(len(found.sizes), 0.0)
    nearly = [k for k in found.others if _NEARLY * own <= scores.get(k, 0.0) <= own and not found.edited]
    if not nearly:
        return "Next: look at the groups below, give them your own names, and assign new series to them."
    return f"Next: look at the groups below and give them your own names. {nearly[0]} groups would be nearly as good."
