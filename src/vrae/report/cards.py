"""The card of each cluster: its description, typical curve and example series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vrae.describe.clusters import by_typicality
from vrae.describe.curves import ClusterCurve, cluster_curve
from vrae.describe.sentences import sentence, tags
from vrae.describe.traits import series_traits
from vrae.describe.words import NOISE, cluster_labels, cluster_name
from vrae.plots.palette import COLORS, cluster_style
from vrae.report.data import Floats, ReportData

__all__ = ["Card", "make_cards", "traits_of_sample"]

_PER_ROW = 4  # small charts in each row of a card
_CURVE_STEPS = 120
_DESCRIBED = 6000  # series measured for the sentences, over all clusters

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Card:
    """What the page shows of one cluster; series are given by their positions in the panel."""

    label: int
    name: str
    tag: str
    size: int
    proportion: float
    certainty: str
    stability: str
    sentence: str
    typical: list[int]
    random: list[int]
    atypical: list[int]
    curve: ClusterCurve
    hue: str
    glyph: str


def traits_of_sample(data: ReportData) -> tuple[Indices, dict[str, Floats]]:
    """Measure a random sample of each cluster: which series, and their traits."""
    rng = np.random.default_rng(0)
    labels = cluster_labels(data.labels)
    per_cluster = max(20, _DESCRIBED // len(labels))
    indices = np.concatenate([rng.permutation(np.flatnonzero(data.labels == label))[:per_cluster] for label in labels])
    return indices, series_traits([data.series(i) for i in indices])


def make_cards(data: ReportData, indices: Indices, traits: Mapping[str, Floats]) -> list[Card]:
    """Describe every cluster by the traits of the series at ``indices``; noise comes last."""
    sizes = data.sizes()
    labels = cluster_labels(data.labels)
    found = tags(traits, data.labels[indices], [label for label in labels if label != NOISE])
    return [_card(data, label, sizes[label], found.get(label, ""), indices, traits) for label in labels]


def _card(data: ReportData, label: int, size: int, tag: str, indices: Indices, traits: Mapping[str, Floats]) -> Card:
    member = data.labels[indices] == label
    is_noise = label == NOISE
    ordered = by_typicality(data.embedding, np.flatnonzero(data.labels == label))
    typical, rest = ordered[:_PER_ROW], ordered[_PER_ROW:]
    atypical = rest[-_PER_ROW:]
    between = np.random.default_rng(0).permutation(rest[: len(rest) - len(atypical)])[:_PER_ROW]
    known = data.probabilities[ordered][np.isfinite(data.probabilities[ordered])]
    recovered = (data.metrics.get("stability") or {}).get("clusters") or []  # proportion in random halves
    curve = cluster_curve(
        [data.on_calendar(i) for i in indices[member]],
        label,
        lags=None if data.lags is None else data.lags[indices[member]],
        n_members=0,
        adjust=True,
        max_steps=_CURVE_STEPS,
    )
    return Card(
        label=label,
        name=cluster_name(label),
        tag=tag,
        size=size,
        proportion=size / data.n_total,
        certainty=f"{100 * known.mean():.0f} %" if len(known) and not is_noise else "",
        stability=f"{100 * recovered[label]:.0f} %" if 0 <= label < len(recovered) else "",
        sentence=sentence(traits, member, data.panel.channels, is_noise=is_noise),
        typical=typical.tolist(),
        random=between.tolist(),
        atypical=atypical.tolist(),
        curve=curve,
        hue="noise" if is_noise else str(label % len(COLORS)),
        glyph=cluster_style(label).symbol,
    )
