"""The main facts and sentences of the page."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from vrae.data.calendar import time_text
from vrae.describe.findings import SHAKY, percent_text
from vrae.describe.training_words import judge_training
from vrae.describe.words import NOISE, cluster_name, joined, plain, plural
from vrae.metrics import DOUBTFUL, best_number
from vrae.report.data import ReportData
from vrae.report.time_axis import step_word

__all__ = [
    "Fact",
    "all_numbers",
    "details",
    "facts",
    "heading",
    "selection_reason",
    "training_note",
    "trust_heading",
    "trust_note",
    "trust_numbers",
]

_SHOWN_CHANNELS = 6
_LONG, _LONG_WORD = 14, 8  # characters of a fact, or of one word of it, that are set in small type


class Fact(NamedTuple):
    """A tile on the first screen."""

    name: str
    value: str
    note: str = ""

    @property
    def is_long(self) -> bool:
        """Whether the value needs smaller type."""
        return len(self.value) > _LONG or max(map(len, self.value.split()), default=0) > _LONG_WORD


def heading(data: str, n_clusters: int, is_clear: bool = True) -> str:
    """Return the title of a report: the name of the data, and the number of groups."""
    found = plural(n_clusters, "group") if is_clear or n_clusters < 2 else "no clear groups"
    return f"{data}: {found if n_clusters else 'no groups'}"


def facts(data: ReportData) -> list[Fact]:
    """Return the tiles of the first screen."""
    found = [_series_fact(data), _period_fact(data), _cluster_fact(data), _trust_fact(data), _doubtful_fact(data)]
    found += [_filled_fact(data), _channel_fact(data), _label_fact(data)]
    return [fact for fact in found if fact is not None]


def _series_fact(data: ReportData) -> Fact:
    lengths, counted = data.panel.lengths, data.metrics
    low, high = int(lengths.min()), int(lengths.max())
    if _shows_part(data) and "shortest" in counted:
        low, high = counted["shortest"], counted["longest"]
    unit = step_word(data)
    note = f"{plural(low, unit)} long" if low == high else f"{low:,} to {high:,} {unit}s long"
    if low != high:
        note += f", half of them {plural(int(np.median(lengths)), unit)} or more"
    if len(data.panel) < data.n_total:
        note += f". This page shows {len(data.panel):,} of them, chosen at random"
    return Fact("Series", f"{data.n_total:,}", note)


def _period_fact(data: ReportData) -> Fact | None:
    """Return the first and the last date, and the step of the calendar."""
    if data.times is None or data.from_model or not len(data.times):
        return None
    panel, calendar = data.panel, data.panel.calendar
    first, last = (time_text(time, None) for time in (data.times.min(), data.times.max()))
    step = "" if calendar is None or calendar.freq is None else calendar.describe()
    zone = f", {panel.zone}" if panel.zone else ""
    note = f"{step[:1].upper()}{step[1:]}{zone}" if step else f"No regular step{zone}"
    return Fact("Period", f"{first} to {last}", note)


def _cluster_fact(data: ReportData) -> Fact:
    sizes = data.sizes()
    noise = sizes.pop(NOISE, 0)
    notes = []
    if sizes:
        low, high = min(sizes.values()), max(sizes.values())
        each = " each" if len(sizes) > 1 else ""
        notes.append(f"{low:,} series{each}" if low == high else f"{low:,} to {high:,} series each")
    if noise:
        notes.append(f"{noise:,} series have none")
    return Fact("Groups", f"{len(sizes)}", "; ".join(notes))


def _trust_fact(data: ReportData) -> Fact | None:
    """Return how much of the clusters is found again."""
    stability = data.metrics.get("stability") or {}
    sizes = data.sizes()
    parts = {label: part for label, part in enumerate(stability.get("clusters") or []) if sizes.get(label)}
    if not parts:
        return None
    low, high = min(parts.values()), max(parts.values())
    value = percent_text(low) if percent_text(low) == percent_text(high) else f"{_number(low)} to {percent_text(high)}"
    how = "in a refit on half of the series" if stability.get("refits") else "among half of the series"
    how += "" if stability.get("refits") else f". {trust_note(data)}"
    weakest = cluster_name(min(parts, key=lambda label: parts[label]), data.names)
    least = f"; least: {weakest}" if low < SHAKY else ""
    note = f"of each group, {how.rstrip('.')}. Below {percent_text(SHAKY)}: do not rely on it{least}"
    return Fact(trust_heading(data), value, note)


def trust_heading(data: ReportData) -> str:
    """Return how to call the part of a cluster that stays. The two tests differ."""
    refits = (data.metrics.get("stability") or {}).get("refits")
    return "Found again" if refits else "Clustered again"


def trust_note(data: ReportData) -> str:
    """Explain that heading."""
    if (data.metrics.get("stability") or {}).get("refits"):
        return "How much of a group comes back when the model learns from other halves of the series."
    harder = "a report with the series also fits the model again, which is the harder test"
    if data.commands.language == "python":
        harder = "stability(X) also fits the model again, which is the harder test"
    return f"Only the clustering was repeated; {harder}."


def _doubtful_fact(data: ReportData) -> Fact | None:
    if not np.isfinite(data.probabilities).any():
        return None
    share = data.metrics.get("doubtful_share")
    if share is None:
        share = float(((data.labels == NOISE) | (data.probabilities < DOUBTFUL)).mean())
    n = round(share * data.n_total)
    noise = data.sizes().get(NOISE, 0)
    note = "series that fit two groups about equally" + (", or none" if noise else "")
    part = f" ({percent_text(share)})" if n else ""
    return Fact("Doubtful", f"{n:,}{part}", note)


def _filled_fact(data: ReportData) -> Fact:
    missing = data.panel.missing_share()
    if _shows_part(data):
        missing = data.metrics.get("missing_share", missing)
    absent = _filled_in(data)
    notes = [f"{percent_text(missing)} of the values are missing"] if missing else []
    if absent:
        unit = "steps" if data.panel.calendar is None else data.panel.calendar.unit
        notes.append(f"{percent_text(absent)} of {unit} had no row and count as {_fill_value(data)}")
    return Fact("Filled", percent_text(max(1 - missing - absent, 0.0)), "; ".join(notes) or "no missing values")


def _filled_in(data: ReportData) -> float:
    """Return the part of the steps that had no row and got a value."""
    known = data.metrics.get("filled_in")
    return float(data.panel.overview().filled_in if known is None else known["share"])


def _fill_value(data: ReportData) -> str:
    known = data.metrics.get("filled_in")
    return plain(float((data.panel.overview().fill or 0.0) if known is None else known["value"]))


def _channel_fact(data: ReportData) -> Fact | None:
    channels = [str(name) for name in data.panel.channels]
    if len(channels) == 1:
        return None if channels == ["value"] else Fact("Values", channels[0], "one value per step")
    shown = channels[: _SHOWN_CHANNELS + (len(channels) == _SHOWN_CHANNELS + 1)]
    more = [] if len(shown) == len(channels) else [f"{len(channels) - len(shown)} more"]
    return Fact("Channels", f"{len(channels)}", joined([*shown, *more]))


def _label_fact(data: ReportData) -> Fact | None:
    """Return the agreement with known labels."""
    if data.metrics.get("ari") is not None:
        n_labelled = data.metrics.get("n_labelled", data.n_total)
        part = f" of {n_labelled:,} of {data.n_total:,} series" if n_labelled < data.n_total else ""
        note = f"with the known labels{part}: 1 = the same groups, 0 = chance"
        peer = data.metrics.get("raw_kmeans") or {}
        if "ari" in peer:
            note += f"; k-means with {plural(data.n_chosen, 'group')} on the raw series has {peer['ari']:.2f}"
        return Fact("Agreement", f"{data.metrics['ari']:.2f}", note)
    if "n_labelled" in data.metrics:
        note = f"{plural(data.metrics['n_labelled'], 'series')} with a known label: too few to compare"
        return Fact("Agreement", "None", note)
    return None


def _shows_part(data: ReportData) -> bool:
    """Return whether the panel is not that of all series."""
    return data.from_model or len(data.panel) < data.n_total


def _number(part: float) -> str:
    return percent_text(part).removesuffix(" %")


def trust_numbers(data: ReportData) -> list[Fact]:
    """Return the numbers behind the verdict, for readers who know them."""
    found = []
    score = data.silhouette()
    if score is not None:
        note = "mean silhouette: 1 = groups far apart, 0 = touching, below 0.25 hardly any structure"
        found.append(Fact("Separation", plain(round(score, 2)), note))
    stability = data.metrics.get("stability") or {}
    if stability.get("ari") is not None:
        halves = "models that learned from half of the series" if stability.get("refits") else "random halves"
        note = f"adjusted Rand index with the groups of {halves}: 1 = the same, 0 = chance"
        found.append(Fact("Agreement of halves", plain(round(stability["ari"], 2)), note))
    for label, part in enumerate(stability.get("clusters") or []):
        note = "mean overlap (Jaccard) with the most similar group of each half"
        found.append(Fact(cluster_name(label, data.names), percent_text(part), note))
    known = data.probabilities[np.isfinite(data.probabilities)]
    if len(known):
        note = "mean probability of a series' own group, if the groups are right. It does not say that they are."
        found.append(Fact("Probability", percent_text(float(known.mean())), note))
    return found


def selection_reason(data: ReportData) -> str:
    """Say why there are this many groups."""
    chosen = data.n_chosen
    if data.edited and len(data.selection) < 2:
        return f"You changed the groups by hand: there are {chosen} now."
    if not data.selection:
        return f"You asked for {plural(chosen, 'group')}. Left to itself, vrae tries many numbers and takes the best."
    tried = {int(row["n_clusters"]): row for row in data.selection}
    scores = {k: float(row["score"]) for k, row in tried.items()}
    low, high, best = min(scores), max(scores), best_number(data.selection)
    text = f"Only {low} was tried. " if low == high else f"vrae tried {low} to {high} groups. "
    text += f"{_compared(best, scores, data.verdict.others)} {_why_not_the_highest(best, tried)}".strip()
    if data.edited:
        return f"You changed the groups by hand: there are {chosen} now. Before that, {text[:1].lower()}{text[1:]}"
    return text if chosen == best else f"You chose {chosen}. {text}"


def _compared(best: int, scores: Mapping[int, float], worth: Collection[int]) -> str:
    """Compare the score of a number of clusters with the next best one."""
    others = sorted((k for k in scores if k != best), key=lambda k: -scores[k])
    if not others:
        return f"{best} has the score {scores[best]:.2f}."
    second = others[0]
    if scores[second] > scores[best]:
        return f"{best} was chosen (score {scores[best]:.2f})."
    close = scores[best] - scores[second] < 0.1 * max(np.ptp(list(scores.values())), 1e-12)
    advice = " The two are close: look at both." if close and second in worth else ""
    return f"{best} has the highest score ({scores[best]:.2f}), ahead of {second} ({scores[second]:.2f}).{advice}"


def _why_not_the_highest(best: int, tried: Mapping[int, Mapping[str, Any]]) -> str:
    """Say why a number with a higher score was not chosen; nothing if there is none."""
    highest = max(tried, key=lambda k: float(tried[k]["score"]))
    if float(tried[highest]["score"]) <= float(tried[best]["score"]):
        return ""
    return (
        f"{highest} scores higher ({tried[highest]['score']:.2f}), but puts {percent_text(tried[highest]['largest'])} "
        f"of the series into one group."
    )


def training_note(data: ReportData) -> str:
    """Summarise the training."""
    seconds = data.metrics.get("seconds")
    took = "" if seconds is None or not data.history else f" Training and grouping took {_duration(float(seconds))}."
    return f"{judge_training(data.history).words}{took}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def details(data: ReportData) -> Iterator[tuple[str, str]]:
    """Yield numbers and settings of the run, without what the page shows elsewhere."""
    shown = ("verdict", "alternatives", "names", "data", "selection", "title")
    yield from all_numbers({name: value for name, value in data.metrics.items() if name not in shown})


def all_numbers(nested: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield nested metrics as (dotted name, text)."""
    for key, value in nested.items():
        if isinstance(value, Mapping):
            yield from all_numbers(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", f"{value:.4g}" if isinstance(value, float) else f"{value}"[:200]
