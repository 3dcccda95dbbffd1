"""Describe clusters, and explain why a series is in its cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Panel
from vrae.describe.curves import cluster_curve, quiet_nan
from vrae.describe.grid import Grid
from vrae.describe.phrases import FEW
from vrae.describe.portraits import Portraits
from vrae.describe.results import ClusterDescription, ClusterDescriptions, Details, SeriesExplanation, Window
from vrae.describe.season_words import agrees
from vrae.describe.seasons import when_high
from vrae.describe.sentences import sentence
from vrae.describe.traits import TRAITS, Traits, differences, series_traits
from vrae.describe.words import NOISE, cluster_labels, cluster_name, cluster_title, percent, plain, plural
from vrae.exceptions import InvalidDataError

__all__ = ["by_typicality", "describe_clusters", "explain_series"]

Floats = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.int64]

_SAMPLE = 4096  # series that are compared at most
_MEDOIDS = 3
_WINDOWS = 2
# In standard deviations:
_APART = 0.8  # between the means of a cluster and of the others
_UNUSUAL = 2.5  # between a step of a series and the mean of its cluster
_DECISIVE = 1.0  # between two clusters by which a trait distinguishes them


def describe_clusters(
    panel: Panel, labels: Indices, vectors: Floats, *, shapes: bool = True, names: Mapping[int, str] | None = None
) -> ClusterDescriptions:
    """Describe every cluster of series: 0, 1, ..., and -1 last.

    ``vectors`` (n_series, n_dimensions) are those that were clustered, NaN for a series without.
    ``shapes`` compares series at mean 0 and standard deviation 1, as a model sees them that scales
    each series. ``names`` are those of the clusters.
    """
    indices = _thinned(np.arange(len(panel)))
    sample = panel.select(indices)
    portraits = Portraits.measured(sample, np.arange(len(sample)))
    series, sample_labels = sample.to_list(), labels[indices]
    grid, seasons = Grid.of(sample, shapes), when_high(sample, sample_labels)
    found = ClusterDescriptions()
    hours = None if panel.calendar is None else panel.calendar.hours
    for label in cluster_labels(sample_labels):
        member = sample_labels == label
        everyone = np.flatnonzero(labels == label)
        medoids = tuple(panel.ids[by_typicality(vectors, everyone)[:_MEDOIDS]].tolist())
        windows = _windows_apart(grid, member)
        curve = cluster_curve([series[i] for i in np.flatnonzero(member)], label, step_hours=hours)
        differs = differences(portraits.numbers, member)
        found.append(
            ClusterDescription(
                cluster=label,
                name=cluster_name(label, names),
                size=len(everyone),
                share=len(everyone) / len(panel),
                words=sentence(portraits, member, is_noise=label == NOISE, is_true=partial(agrees, seasons, label)),
                differs="; ".join(map(str, windows)),
                typical=", ".join(map(str, medoids)),
                details=Details(windows, differs, medoids, curve.middle, curve.low, curve.high),
            )
        )
    return found


def by_typicality(vectors: Floats, indices: Indices) -> Indices:
    """Sort series by distance from the centre of their vectors, those without a vector last."""
    known = indices[np.isfinite(vectors[indices]).all(axis=1)]
    distance = _distances_from_centre(vectors[known]) if len(known) else np.empty(0)
    return np.concatenate([known[np.argsort(distance, kind="stable")], np.setdiff1d(indices, known)])


def explain_series(
    panel: Panel,
    row: int,
    labels: Indices,
    probabilities: Floats,
    vectors: Floats,
    n_clusters: int,
    lag: int,
    shapes: bool,
    names: Mapping[int, str] | None = None,
) -> SeriesExplanation:
    """Explain why series number ``row`` of a panel is in its cluster.

    ``probabilities`` are of shape (n_series, n_clusters). For the others, see `describe_clusters`.
    """
    series_id = panel.ids[[row]].tolist()[0]
    if not np.isfinite(vectors[row]).all():
        raise InvalidDataError(f"Series {series_id!r} has no observed value: there is nothing to explain.")
    cluster = int(labels[row])
    centres = [vectors[labels == k].mean(axis=0) if (labels == k).any() else np.inf for k in range(n_clusters)]
    distance = [np.linalg.norm(vectors[row] - centre) for centre in centres]
    runner_up = next((int(k) for k in np.lexsort((distance, -probabilities[row])) if k != cluster), None)

    # Both may be empty: a series may be in no cluster, or have no runner-up.
    members, others = (_thinned(np.flatnonzero((labels == k) & (labels != NOISE))) for k in (cluster, runner_up))
    chosen = np.unique(np.concatenate([[row], members, others]))
    sample = panel.select(chosen)
    at = int(np.searchsorted(chosen, row))
    own, other = np.searchsorted(chosen, members), np.searchsorted(chosen, others)
    traits = series_traits(sample.to_list())
    grid = Grid.of(sample, shapes)
    unit = "steps" if panel.calendar is None else panel.calendar.unit
    is_decided = bool(len(own) and len(other))
    agrees, differs = _reasons(traits, at, own, other, panel.channels, unit) if is_decided else ((), ())
    return SeriesExplanation(
        id=series_id,
        cluster=cluster,
        probability=float(probabilities[row].max(initial=0.0)),
        runner_up=runner_up,
        runner_up_probability=0.0 if runner_up is None else float(probabilities[row, runner_up]),
        typicality=_typicality(vectors, labels, row),
        lag=int(lag),
        level=dict(zip(panel.channels, traits["level"][at].tolist(), strict=True)),
        spread=dict(zip(panel.channels, traits["spread"][at].tolist(), strict=True)),
        agrees=agrees,
        differs=differs,
        decides=_decisive_window(grid, at, own, other) if is_decided else None,
        unusual=_unusual_windows(grid, at, own if len(own) else other),
        title=cluster_title(cluster, names),
        runner_up_title="" if runner_up is None else cluster_title(runner_up, names),
        cluster_size=int((labels == cluster).sum()) if cluster != NOISE else 0,
        unit=unit,
        n_values=int((~np.isnan(sample[at])).any(axis=0).sum()),
    )


def _thinned(indices: Indices) -> Indices:
    return indices[:: max(1, -(-len(indices) // _SAMPLE))]


def _distances_from_centre(vectors: Floats) -> Floats:
    return np.linalg.norm(vectors - vectors.mean(axis=0), axis=1)


def _typicality(vectors: Floats, labels: Indices, row: int) -> float:
    """Return the proportion of a series' cluster that is farther from the centre."""
    if labels[row] == NOISE:
        return 0.0
    members = np.flatnonzero(labels == labels[row])
    distance = _distances_from_centre(vectors[members])
    return float((distance > distance[members == row] + 1e-12).mean())


def _reasons(
    traits: Traits, at: int, own: Indices, other: Indices, channels: Sequence[str], unit: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return traits that support the own cluster, and those that support the other one."""
    found = []
    few = min(traits["length"][at, 0], np.median(traits["length"][own])) <= FEW
    for name, trait in TRAITS.items():
        if few and name not in ("level", "length"):
            continue  # a few values have no shape
        values = np.nan_to_num(traits[name])
        here, there = np.median(values[own], axis=0), np.median(values[other], axis=0)
        within = np.sqrt((values[own].var(axis=0) + values[other].var(axis=0)) / 2)
        least = trait.smallest(np.nanmedian(traits["spread"], axis=0))
        decisive = (np.abs(here - there) >= least) & (np.abs(here - there) >= _DECISIVE * within)
        nearer = (np.abs(values[at] - there) - np.abs(values[at] - here)) / np.maximum(within, least)
        for c in np.flatnonzero(decisive):
            noun = trait.name + (f" of {channels[c]}" if len(channels) > 1 else "")
            own_value, usual, elsewhere = (_value(name, v[c], unit) for v in (values[at], here, there))
            sides = f"this cluster ({usual})", f"the next closest ({elsewhere})"
            near, far = sides if nearer[c] > 0 else sides[::-1]
            found.append((float(nearer[c]), f"its {noun} is {own_value}, nearer to {near} than to {far}"))
    supports = [words for score, words in sorted(found, reverse=True) if score > 0.5]
    differs = [words for score, words in sorted(found) if score < -0.5]
    return tuple(supports[:3]), tuple(differs[:3])


def _value(name: str, value: float, unit: str) -> str:
    """Format a trait; positions and proportions as a percentage."""
    if name == "length":
        return plural(round(value), unit.removesuffix("s"))
    return percent(value) if name in ("peak", "trough", "zeros", "missing") else plain(value)


def _windows_apart(grid: Grid, member: npt.NDArray[np.bool_]) -> tuple[Window, ...]:
    """Return where a cluster differs from all others."""
    if member.sum() < 2 or (~member).sum() < 2:
        return ()
    with quiet_nan():
        within = np.sqrt((grid.deviation(member) ** 2 + grid.deviation(~member) ** 2) / 2)
    apart = (grid.mean(member) - grid.mean(~member)) / _floored(within, grid)  # (n_channels, n_points)
    return tuple(grid.windows(apart, np.abs(apart) >= _APART))[:_WINDOWS]


def _decisive_window(grid: Grid, at: int, own: Indices, other: Indices) -> Window | None:
    """Return where a series is nearest to its own cluster, compared with the other."""
    here, there = grid.mean(own), grid.mean(other)
    nearer = np.nan_to_num((grid.values[at] - there) ** 2 - (grid.values[at] - here) ** 2)
    return next(grid.windows(nearer, (nearer > 0) & (nearer >= 0.25 * nearer.max())), None)


def _unusual_windows(grid: Grid, at: int, own: Indices) -> tuple[Window, ...]:
    """Return where a series differs from the others of its cluster."""
    others = own[own != at]
    if len(others) < 3:
        return ()
    difference = (grid.values[at] - grid.mean(others)) / _floored(grid.deviation(others), grid)
    return tuple(grid.windows(difference, np.abs(difference) >= _UNUSUAL))[:_WINDOWS]


def _floored(deviation: Floats, grid: Grid) -> Floats:
    """Keep steps at which hardly anything happens from counting for much."""
    return np.asarray(np.maximum(deviation, 0.1 * np.nanstd(grid.values) + 1e-12))
