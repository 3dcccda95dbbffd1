"""The main facts and sentences of the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vrae.describe.words import NOISE, plain, plural, separation_word, stability_word
from vrae.report.data import ReportData

__all__ = ["Fact", "all_numbers", "facts", "percent", "selection_reason", "summary", "training_note"]


@dataclass(frozen=True)
class Fact:
    """A tile on the first screen."""

    name: str
    value: str
    note: str


def summary(data: ReportData) -> str:
    """Summarise the result in a sentence or two."""
    what = f"{plural(data.n_total, 'series')} {'was' if data.n_total == 1 else 'were'}"
    if data.n_clusters == 0:
        return f"{what} examined and none could be assigned to a cluster: no group of similar series stood out."
    groups = plural(data.n_clusters, "cluster")
    text = f"{what} grouped into {groups}: series in one cluster have a similar shape over time."
    if len(data.panel) < data.n_total:
        text += f" This page shows {len(data.panel):,} of {data.n_total:,} series, chosen at random."
    return text


def facts(data: ReportData) -> list[Fact]:
    """Return the tiles of the first screen."""
    found = [Fact("Series", f"{data.n_total:,}", _shape_note(data)), _cluster_fact(data)]
    known = data.probabilities[np.isfinite(data.probabilities)]
    if len(known):
        doubtful = int(data.is_doubtful.sum())
        note = (
            f"mean probability of a series' own cluster; {doubtful:,} doubtful ({percent(doubtful, len(data.panel))})"
        )
        found.append(Fact("Certainty", f"{100 * known.mean():.0f} %", note))
    stability = data.metrics.get("stability")
    if isinstance(stability, Mapping) and stability.get("ari") is not None:
        note = (
            f"agreement {plain(round(stability['ari'], 2))} when random halves are clustered again: "
            f"1 = the same, 0 = chance"
        )
        found.append(Fact("Stability", stability_word(stability["ari"]), note))
    score = data.silhouette()
    if score is not None:
        note = f"silhouette {plain(round(score, 2))}: 1 = far apart, 0 = touching"
        found.append(Fact("Separation", separation_word(score), note))
    if data.metrics.get("ari") is not None:
        found.append(_agreement_fact(data.metrics))
    return found


def _agreement_fact(metrics: Mapping[str, Any]) -> Fact:
    note = "with the known labels: 1 = the same groups, 0 = chance"
    peer = metrics.get("raw_kmeans")
    if isinstance(peer, Mapping) and "ari" in peer:
        note += f"; k-means has {peer['ari']:.2f}"
    return Fact("Agreement", f"{metrics['ari']:.2f}", note)


def _shape_note(data: ReportData) -> str:
    """Format lengths, channels and gaps: of all series if they were counted, else of the sample."""
    panel, counted = data.panel, data.metrics
    low, high = int(panel.lengths.min()), int(panel.lengths.max())
    missing = panel.missing_share()
    if (data.from_model or len(panel) < data.n_total) and "shortest" in counted:
        low, high, missing = counted["shortest"], counted["longest"], counted["missing_share"]
    steps = f"{plural(low, 'step')} each" if low == high else f"{low:,} to {high:,} steps"
    gaps = "no missing values" if missing == 0 else f"{max(100 * missing, 0.1):.1f} % of values missing"
    return f"{steps}, {plural(panel.n_channels, 'channel')}, {gaps}"


def _cluster_fact(data: ReportData) -> Fact:
    sizes = data.sizes()
    noise = sizes.pop(NOISE, 0)
    notes = []
    if sizes:
        low, high = min(sizes.values()), max(sizes.values())
        each = " each" if len(sizes) > 1 else ""
        notes.append(f"of {low:,} series{each}" if low == high else f"of {low:,} to {high:,} series")
    if noise:
        notes.append(f"{noise:,} series not assigned")
    return Fact("Clusters", f"{len(sizes)}", "; ".join(notes))


def selection_reason(data: ReportData) -> str:
    """Say why this number of clusters was selected."""
    chosen = data.n_clusters
    if not data.selection:
        return f"The number of clusters ({chosen}) was given. With “auto”, vrae tries several and selects one."
    scores = {int(row["n_clusters"]): float(row["score"]) for row in data.selection}
    span = f"{min(scores)} to {max(scores)}" if len(scores) > 1 else f"{min(scores)}"
    ranked = sorted(scores, key=lambda k: -scores[k])
    text = f"Every number of clusters from {span} was tried" if len(scores) > 1 else f"Only {span} was tried"
    if chosen not in scores:
        return f"{text}; the result has {chosen}."
    if chosen != ranked[0]:
        return f"{text}. {chosen} was chosen; the score alone is highest at {ranked[0]}."
    text += f". {chosen} has the highest score ({scores[chosen]:.3g})"
    if len(ranked) == 1:
        return f"{text}."
    margin = scores[chosen] - scores[ranked[1]]
    close = margin < 0.1 * max(np.ptp(list(scores.values())), 1e-12)
    advice = " The two are close: look at both." if close else ""
    return f"{text}, ahead of {ranked[1]} ({scores[ranked[1]]:.3g}).{advice}"


def training_note(data: ReportData) -> str:
    """Summarise the training."""
    if not data.history:
        return "This model has no training history."
    parts = [f"The model saw all series {plural(len(data.history), 'time')}"]
    if data.metrics.get("seconds") is not None:
        parts.append(f"the whole run took {_duration(float(data.metrics['seconds']))}")
    return "; ".join(parts) + ". The total loss should fall and then level off."


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def percent(part: int, whole: int) -> str:
    """Format a proportion in per cent, with one decimal below 1 %."""
    value = 100 * part / whole
    return f"{value:.1f}\u00a0%" if 0 < value < 1 else f"{value:.0f}\u00a0%"


def all_numbers(nested: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield nested metrics as (dotted name, text)."""
    for key, value in nested.items():
        if isinstance(value, Mapping):
            yield from all_numbers(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", f"{value:.4g}" if isinstance(value, float) else f"{value}"[:200]
