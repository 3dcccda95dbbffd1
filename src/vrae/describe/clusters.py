"""Describe clusters, and explain why a series is in its cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Panel
from vrae.describe.curves import cluster_curve
from vrae.describe.grid import Grid
from vrae.describe.results import ClusterDescription, SeriesExplanation, Window
from vrae.describe.sentences import sentence
from vrae.describe.traits import TRAITS, Traits, differences, series_traits
from vrae.describe.words import NOISE, cluster_labels, plain
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
    panel: Panel, labels: Indices, vectors: Floats, *, shapes: bool = True
) -> list[ClusterDescription]:
    """Describe every cluster of series: 0, 1, ..., and -1 last.

    ``vectors`` (n_series, n_dimensions) are those that were clustered, NaN for a series without.
    ``shapes`` compares series at mean 0 and standard deviation 1, as a model sees them that scales
    each series.
    """
    indices = _thinned(np.arange(len(panel)))
    sample = panel.select(indices)
    series, sample_labels = sample.to_list(), labels[indices]
    traits = series_traits(series)
    grid = Grid.of(sample, shapes)
    found = []
    for label in cluster_labels(sample_labels):
        member = sample_labels == label
        curve = cluster_curve([series[i] for i in np.flatnonzero(member)], label)
        everyone = np.flatnonzero(labels == label)
        medoids = by_typicality(vectors, everyone)[:_MEDOIDS]
        found.append(
            ClusterDescription(
                label=label,
                size=len(everyone),
                proportion=len(everyone) / len(panel),
                words=sentence(traits, member, panel.channels, is_noise=label == NOISE),
                windows=_windows_apart(grid, member),
                differences=differences(traits, member),
                medoids=tuple(panel.ids[medoids].tolist()),
                middle=curve.middle,
                low=curve.low,
                high=curve.high,
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
    is_decided = bool(len(own) and len(other))
    agrees, differs = _reasons(traits, at, own, other, panel.channels) if is_decided else ((), ())
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
    traits: Traits, at: int, own: Indices, other: Indices, channels: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return traits that support the own cluster, and those that support the other one."""
    found = []
    for name, trait in TRAITS.items():
        values = np.nan_to_num(traits[name])
        here, there = np.median(values[own], axis=0), np.median(values[other], axis=0)
        within = np.sqrt((values[own].var(axis=0) + values[other].var(axis=0)) / 2)
        least = trait.smallest(np.nanmedian(traits["spread"], axis=0))
        decisive = (np.abs(here - there) >= least) & (np.abs(here - there) >= _DECISIVE * within)
        nearer = (np.abs(values[at] - there) - np.abs(values[at] - here)) / np.maximum(within, least)
        for c in np.flatnonzero(decisive):
            noun = trait.name + (f" of {channels[c]}" if len(channels) > 1 else "")
            words = f"{noun} {plain(values[at, c])} (this cluster {plain(here[c])}, next closest {plain(there[c])})"
            found.append((float(nearer[c]), words))
    agrees = [words for score, words in sorted(found, reverse=True) if score > 0.5]
    differs = [words for score, words in sorted(found) if score < -0.5]
    return tuple(agrees[:3]), tuple(differs[:3])


def _windows_apart(grid: Grid, member: npt.NDArray[np.bool_]) -> tuple[Window, ...]:
    """Return where a cluster differs from all others."""
    inside, outside = grid.values[member], grid.values[~member]
    if len(inside) < 2 or len(outside) < 2:
        return ()
    within = np.sqrt((inside.var(axis=0) + outside.var(axis=0)) / 2)
    gap = inside.mean(axis=0) - outside.mean(axis=0)  # (n_channels, n_points)
    apart = gap / _floored(within, grid)
    return tuple(grid.windows(apart, np.abs(apart) >= _APART))[:_WINDOWS]


def _decisive_window(grid: Grid, at: int, own: Indices, other: Indices) -> Window | None:
    """Return where a series is nearest to its own cluster, compared with the other."""
    here, there = grid.values[own].mean(axis=0), grid.values[other].mean(axis=0)
    nearer = (grid.values[at] - there) ** 2 - (grid.values[at] - here) ** 2  # (n_channels, n_points)
    return next(grid.windows(nearer, (nearer > 0) & (nearer >= 0.25 * nearer.max())), None)


def _unusual_windows(grid: Grid, at: int, own: Indices) -> tuple[Window, ...]:
    """Return where a series differs from the others of its cluster."""
    others = grid.values[own[own != at]]
    if len(others) < 3:
        return ()
    difference = (grid.values[at] - others.mean(axis=0)) / _floored(others.std(axis=0), grid)
    return tuple(grid.windows(difference, np.abs(difference) >= _UNUSUAL))[:_WINDOWS]


def _floored(deviation: Floats, grid: Grid) -> Floats:
    """Keep steps at which hardly anything happens from counting for much."""
    return np.maximum(deviation, 0.1 * grid.values.std() + 1e-12)
