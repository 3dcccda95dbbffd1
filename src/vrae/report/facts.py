"""The main facts and sentences of the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from vrae.describe.words import NOISE, plain, plural
from vrae.metrics import DOUBTFUL, best_number, is_useful
from vrae.report.data import ReportData

__all__ = ["Fact", "all_numbers", "facts", "selection_reason", "summary", "training_note"]


class Fact(NamedTuple):
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
        doubtful = int(((data.labels == NOISE) | (data.probabilities < DOUBTFUL)).sum())
        percent = 100 * doubtful / len(data.panel)
        part = f"{percent:.1f}\u00a0%" if 0 < percent < 1 else f"{percent:.0f}\u00a0%"
        note = f"mean probability of a series' own cluster; {doubtful:,} doubtful ({part})"
        found.append(Fact("Certainty", f"{100 * known.mean():.0f} %", note))
    stability = data.metrics.get("stability") or {}
    if stability.get("ari") is not None:
        again = "when random halves are clustered again: 1 = the same, 0 = chance"
        grade = _grade(stability["ari"], {0.9: "High", 0.75: "Good", 0.5: "Fair"}, "Low")
        found.append(Fact("Stability", grade, f"agreement {plain(round(stability['ari'], 2))} {again}"))
    score = data.silhouette()
    if score is not None:
        note = f"silhouette {plain(round(score, 2))}: 1 = far apart, 0 = touching"
        grade = _grade(score, {0.5: "Clear", 0.25: "Moderate", 0.1: "Weak"}, "Hardly any")
        found.append(Fact("Separation", grade, note))
    if data.metrics.get("ari") is not None:
        n_labelled = data.metrics.get("n_labelled", data.n_total)
        part = f" of {n_labelled:,} of {data.n_total:,} series" if n_labelled < data.n_total else ""
        note = f"with the known labels{part}: 1 = the same groups, 0 = chance"
        peer = data.metrics.get("raw_kmeans") or {}
        note += f"; k-means has {peer['ari']:.2f}" if "ari" in peer else ""
        found.append(Fact("Agreement", f"{data.metrics['ari']:.2f}", note))
    elif "n_labelled" in data.metrics:
        note = f"{plural(data.metrics['n_labelled'], 'series')} with a known label: too few to compare"
        found.append(Fact("Agreement", "None", note))
    return found


def _grade(value: float, grades: Mapping[float, str], lowest: str) -> str:
    """Return the word for the highest limit that a value reaches."""
    return next((word for limit, word in grades.items() if value >= limit), lowest)


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
    """Say why there are this many clusters, and which other numbers are worth a look."""
    chosen = data.n_clusters
    if not data.selection:
        return f"The number of clusters ({chosen}) was given. With “auto”, vrae tries several and selects one."
    tried = {int(row["n_clusters"]): row for row in data.selection}
    scores = {k: float(row["score"]) for k, row in tried.items()}
    low, high, best = min(scores), max(scores), best_number(data.selection)
    text = f"Only {low} was tried. " if low == high else f"Numbers of clusters from {low} to {high} were tried. "
    text += f"{_compared(best, scores)} {_why_not_the_highest(best, tried)}".strip()
    if chosen != best:
        return f"You chose {chosen}. {text}"
    peaks = [k for k, row in tried.items() if row.get("is_peak") and k != chosen and is_useful(row)]
    peaks.sort(key=lambda k: -scores[k])
    if not peaks:
        return text
    others = " and ".join(f"{k} ({scores[k]:.2f})" for k in peaks[:2])
    return f"{text} Also worth a look: {others}. To change the number: vrae regroup RUN -k {peaks[0]}."


def _compared(best: int, scores: Mapping[int, float]) -> str:
    """Compare the score of a number of clusters with the next best one."""
    others = sorted((k for k in scores if k != best), key=lambda k: -scores[k])
    if not others:
        return f"{best} has the score {scores[best]:.2f}."
    second = others[0]
    if scores[second] > scores[best]:
        return f"{best} was chosen (score {scores[best]:.2f})."
    close = scores[best] - scores[second] < 0.1 * max(np.ptp(list(scores.values())), 1e-12)
    advice = " The two are close: look at both." if close else ""
    return f"{best} has the highest score ({scores[best]:.2f}), ahead of {second} ({scores[second]:.2f}).{advice}"


def _why_not_the_highest(best: int, tried: Mapping[int, Mapping[str, Any]]) -> str:
    """Say why a number with a higher score was not chosen; nothing if there is none."""
    highest = max(tried, key=lambda k: float(tried[k]["score"]))
    if float(tried[highest]["score"]) <= float(tried[best]["score"]):
        return ""
    return (
        f"{highest} scores higher ({tried[highest]['score']:.2f}), but puts {tried[highest]['largest']:.0%} of the "
        f"series into one cluster."
    )


def training_note(data: ReportData) -> str:
    """Summarise the training."""
    if not data.history:
        return "This model has no training history."
    seconds = data.metrics.get("seconds")
    took = "" if seconds is None else f"; the whole run took {_duration(float(seconds))}"
    times = plural(len(data.history), "time")
    return f"The model saw all series {times}{took}. The total loss should fall and then level off."


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def all_numbers(nested: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield nested metrics as (dotted name, text)."""
    for key, value in nested.items():
        if isinstance(value, Mapping):
            yield from all_numbers(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", f"{value:.4g}" if isinstance(value, float) else f"{value}"[:200]
