"""The card of each cluster: its description, typical curve and example series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.describe.clusters import by_typicality
from vrae.describe.curves import MAX_STEPS, ClusterCurve, cluster_curve
from vrae.describe.findings import percent_text
from vrae.describe.phrases import Phrase
from vrae.describe.portraits import Portraits
from vrae.describe.season_words import agrees, told_seasons
from vrae.describe.seasons import Seasons
from vrae.describe.sentences import sentence
from vrae.describe.traits import series_traits
from vrae.describe.words import NOISE, cluster_labels, cluster_name, plural, whole
from vrae.plots.palette import COLORS, cluster_style
from vrae.report.data import Floats, ReportData
from vrae.report.facts import trust_heading
from vrae.report.time_axis import positions_of, step_hours, step_word

__all__ = ["Card", "card_payload", "make_cards", "traits_of_sample"]

_PER_ROW = 4  # small charts in each row of a card
_CURVE_NUMBERS = 120_000  # packed values of all typical curves: three lines a channel
_LEAST_STEPS = 200  # of each
_DESCRIBED = 1500  # series measured for the sentences, over all clusters
_TRUSTED = 0.6  # a cluster found again in fewer refits carries a warning
_CERTAIN = 0.6  # so does one whose series are less certain on average

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Card:
    """What the page shows of one cluster; series are given by their positions in the panel.

    ``told`` are the phrases about months and weekdays of each channel; see `told_seasons`.
    """

    label: int
    name: str
    size: int
    proportion: float
    certainty: float | None
    found_again: float | None
    trust: str  # "Found again" by refits, or the easier "Clustered again"
    sentence: str
    told: list[dict[str, Phrase]]
    typical: list[int]
    random: list[int]
    atypical: list[int]
    curve: ClusterCurve
    averaged: str
    hue: str
    glyph: str

    @property
    def number(self) -> str:
        """The number, where the name does not say it."""
        return "" if self.name == cluster_name(self.label) else str(self.label)

    @property
    def share(self) -> str:
        """The proportion of all series, in words."""
        text = percent_text(self.proportion, limit=0) if self.proportion >= 0.01 else "less than 1 %"
        return text.replace(" %", "\u00a0%")

    @property
    def again(self) -> str:
        """How much of it is found again, in words; empty if that was not measured."""
        return "" if self.found_again is None else percent_text(self.found_again).replace(" ", "\u00a0")

    @property
    def warning(self) -> str:
        """Why not to rely on this cluster; empty if nothing speaks against it."""
        if self.found_again is not None and self.found_again < _TRUSTED:
            return f"{self.trust} only {self.again}: do not rely on it"
        if self.certainty is not None and self.certainty < _CERTAIN:
            return f"Vague: its series fit it with only {whole(100 * self.certainty)}\u00a0% on average"
        return ""


def traits_of_sample(data: ReportData) -> tuple[Indices, dict[str, Floats]]:
    """Measure a random sample of each cluster: which series, and their traits."""
    rng = np.random.default_rng(0)
    labels = cluster_labels(data.labels)
    per_cluster = max(20, _DESCRIBED // len(labels))
    indices = np.concatenate([rng.permutation(np.flatnonzero(data.labels == label))[:per_cluster] for label in labels])
    return indices, series_traits([data.series(i) for i in indices])


def make_cards(
    data: ReportData, indices: Indices, traits: Mapping[str, Floats], seasons: Seasons | None = None
) -> list[Card]:
    """Describe every cluster by the traits of the series at ``indices``; noise comes last.

    ``seasons`` are theirs: what they contradict is not said.
    """
    sizes = data.sizes()
    portraits = Portraits.measured(data.panel, indices, traits)
    labels = cluster_labels(data.labels)
    most = _CURVE_NUMBERS // (3 * data.panel.n_channels * len(labels))
    steps = max(_LEAST_STEPS, min(MAX_STEPS, most))
    return [_card(data, label, sizes[label], indices, portraits, steps, seasons) for label in labels]


def _card(
    data: ReportData, label: int, size: int, indices: Indices, portraits: Portraits, max_steps: int,
    seasons: Seasons | None,
) -> Card:  # fmt: skip
    member = data.labels[indices] == label
    is_noise = label == NOISE
    ordered = by_typicality(data.embedding, np.flatnonzero(data.labels == label))
    typical, rest = ordered[:_PER_ROW], ordered[_PER_ROW:]
    atypical = rest[-_PER_ROW:]
    between = np.random.default_rng(0).permutation(rest[: len(rest) - len(atypical)])[:_PER_ROW]
    known = data.probabilities[ordered][np.isfinite(data.probabilities[ordered])]
    recovered = (data.metrics.get("stability") or {}).get("clusters") or []
    curve = cluster_curve(
        [data.on_calendar(i) for i in indices[member]],
        label,
        lags=None if data.lags is None else data.lags[indices[member]],
        n_members=0,
        adjust=True,
        max_steps=max_steps,
        step_hours=step_hours(data),
    )
    words = sentence(portraits, member, is_true=partial(agrees, seasons, label))
    return Card(
        label=label,
        name=cluster_name(label, data.names),
        size=size,
        proportion=size / data.n_total,
        certainty=float(known.mean()) if len(known) and not is_noise else None,
        found_again=float(recovered[label]) if 0 <= label < len(recovered) else None,
        trust=trust_heading(data),
        sentence=f"{_why_unassigned(data)} {words}" if is_noise else words,
        told=[] if is_noise else told_seasons(portraits, member),
        typical=typical.tolist(),
        random=between.tolist(),
        atypical=atypical.tolist(),
        curve=curve,
        averaged=_averaged(data, curve),
        hue="noise" if is_noise else str(label % len(COLORS)),
        glyph=cluster_style(label).symbol,
    )


def _averaged(data: ReportData, curve: ClusterCurve) -> str:
    """Say over how many steps a point of the curve is a mean; empty for one step."""
    width = round(float(curve.steps[1] - curve.steps[0])) if len(curve.steps) > 1 else 1
    if width == 1:
        return ""
    per_day = 24 / (step_hours(data) or 1e9)
    days = width / per_day if per_day > 1 else 0
    over = plural(round(days), "day") if days and days == round(days) else plural(width, step_word(data))
    return f"Each point of the curve is the mean of {over}."


def _why_unassigned(data: ReportData) -> str:
    """Say why series are in no group: unlike all others, or without any value."""
    blank = ~np.isfinite(data.embedding[data.labels == NOISE]).all(axis=1)
    if blank.all():
        return "These series have no value that could be compared."
    rest = f" Without any value: {int(blank.sum()):,}." if blank.any() else ""
    return f"These series fit none of the groups: they are unlike the series in any of them.{rest}"


def card_payload(data: ReportData, card: Card, place: dict[int, int], base: int | None) -> dict[str, Any]:
    """Return a card for the page's script. Series are numbered by ``place``."""
    Z = data.embedding[data.labels == card.label]
    known = Z[np.isfinite(Z).all(axis=1)]
    return {
        "label": card.label,
        "name": card.name,
        "size": card.size,
        "warning": card.warning,
        "typical": [place[index] for index in card.typical],
        "random": [place[index] for index in card.random],
        "atypical": [place[index] for index in card.atypical],
        "steps": positions_of(data, card.curve.steps, base),
        "middle": np.median(known, axis=0).astype(float).round(4).tolist() if len(known) else None,
    }
