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
from vrae.plots.palette import COLORS, MARKERS
from vrae.report.data import Floats, ReportData

__all__ = ["PER_ROW", "Card", "make_cards", "traits_of_sample"]

PER_ROW = 4
"""Number of small charts in each row of a card."""
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
    """Measure a random sample of each cluster.

    Returns
    -------
    indices : ndarray of int64, shape (n_sample,)
        Which series were measured, cluster by cluster.
    traits : dict of str to ndarray of shape (n_sample, n_channels)
        See `vrae.describe.series_traits`.
    """
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
    typical, rest = ordered[:PER_ROW], ordered[PER_ROW:]
    atypical = rest[-PER_ROW:]
    between = np.random.default_rng(0).permutation(rest[: len(rest) - len(atypical)])[:PER_ROW]
    known = data.probabilities[ordered][np.isfinite(data.probabilities[ordered])]
    return Card(
        label=label,
        name=cluster_name(label),
        tag=tag,
        size=size,
        proportion=size / data.n_total,
        certainty=f"{100 * known.mean():.0f} %" if len(known) and not is_noise else "",
        stability=_stability(data, label),
        sentence=sentence(traits, member, data.panel.channels, is_noise=is_noise),
        typical=typical.tolist(),
        random=between.tolist(),
        atypical=atypical.tolist(),
        curve=_curve(data, label, indices[member]),
        hue="noise" if is_noise else str(label % len(COLORS)),
        glyph=MARKERS[0 if is_noise else label // len(COLORS) % len(MARKERS)][1],
    )


def _curve(data: ReportData, label: int, indices: Indices) -> ClusterCurve:
    return cluster_curve(
        [data.series(i) for i in indices],
        label,
        lags=None if data.lags is None else data.lags[indices],
        n_members=0,
        adjust=True,
        max_steps=_CURVE_STEPS,
    )


def _stability(data: ReportData, label: int) -> str:
    """Format how much of the cluster is recovered from random halves, if that was measured."""
    found = (data.metrics.get("stability") or {}).get("clusters") or []
    return f"{100 * found[label]:.0f} %" if 0 <= label < len(found) else ""
