"""What the page says and shows of each cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vrae.plots.compute import Course, cluster_course
from vrae.plots.palette import COLORS, MARKERS, NOISE, cluster_labels, cluster_name
from vrae.report import describe
from vrae.report.data import Floats, ReportData

__all__ = ["PER_ROW", "Card", "make_cards", "traits_of_sample"]

PER_ROW = 4  # small charts in each row of a card
_COURSE_STEPS = 120
_DESCRIBED = 6000  # series measured for the sentences, over all clusters

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Card:
    """What the page says of one cluster; rows are those of the panel."""

    label: int
    name: str
    tag: str
    size: int
    share: float
    certainty: str
    stability: str
    sentence: str
    typical: list[int]
    random: list[int]
    unusual: list[int]
    course: Course
    hue: str
    glyph: str


def traits_of_sample(data: ReportData) -> tuple[Rows, dict[str, Floats]]:
    """Measure a sample of each cluster; return the rows, cluster after cluster, and their traits."""
    rng = np.random.default_rng(0)
    labels = cluster_labels(data.labels)
    per_cluster = max(20, _DESCRIBED // len(labels))
    rows = np.concatenate([rng.permutation(np.flatnonzero(data.labels == label))[:per_cluster] for label in labels])
    return rows, describe.series_traits([data.series(row) for row in rows])


def make_cards(data: ReportData, rows: Rows, traits: Mapping[str, Floats]) -> list[Card]:
    """Describe every cluster by the traits of the series at ``rows``; noise comes last."""
    sizes = data.sizes()
    labels = cluster_labels(data.labels)
    tags = describe.tags(traits, data.labels[rows], [label for label in labels if label != NOISE])
    return [_card(data, label, sizes[label], tags.get(label, ""), rows, traits) for label in labels]


def _card(data: ReportData, label: int, size: int, tag: str, rows: Rows, traits: Mapping[str, Floats]) -> Card:
    member = data.labels[rows] == label
    is_noise = label == NOISE
    ordered = describe.by_typicality(data.embedding, np.flatnonzero(data.labels == label))
    typical, rest = ordered[:PER_ROW], ordered[PER_ROW:]
    unusual = rest[-PER_ROW:]
    between = np.random.default_rng(0).permutation(rest[: len(rest) - len(unusual)])[:PER_ROW]
    known = data.probabilities[ordered][np.isfinite(data.probabilities[ordered])]
    return Card(
        label=label,
        name=cluster_name(label),
        tag=tag,
        size=size,
        share=size / data.n_total,
        certainty=f"{100 * known.mean():.0f} %" if len(known) and not is_noise else "",
        stability=_stability(data, label),
        sentence=describe.sentence(traits, member, data.panel.channels, is_noise=is_noise),
        typical=typical.tolist(),
        random=between.tolist(),
        unusual=unusual.tolist(),
        course=_course(data, label, rows[member]),
        hue="noise" if is_noise else str(label % len(COLORS)),
        glyph=MARKERS[0 if is_noise else label // len(COLORS) % len(MARKERS)][1],
    )


def _course(data: ReportData, label: int, rows: Rows) -> Course:
    return cluster_course(
        [data.series(row) for row in rows],
        label,
        lags=None if data.lags is None else data.lags[rows],
        n_members=0,
        adjust=True,
        max_steps=_COURSE_STEPS,
    )


def _stability(data: ReportData, label: int) -> str:
    """Write how much of the cluster is found again when it is grouped anew, if that was tried."""
    found = (data.metrics.get("stability") or {}).get("clusters") or []
    return f"{100 * found[label]:.0f} %" if 0 <= label < len(found) else ""
