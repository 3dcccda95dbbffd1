"""Explain why one series is in its cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Panel
from vrae.describe.results import SeriesExplanation, Window
from vrae.describe.segments import find_windows, on_one_grid, thinned
from vrae.describe.traits import TRAITS, Traits, series_traits
from vrae.describe.words import plain
from vrae.exceptions import InvalidDataError

__all__ = ["explain_series"]

Floats = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.int64]

_WINDOWS = 2
_UNUSUAL = 2.5  # standard deviations between a step of a series and the mean of its cluster
_DECISIVE = 1.0  # standard deviations between two clusters by which a trait distinguishes them


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
    """Explain why one series of a panel is in its cluster.

    Parameters
    ----------
    panel : Panel
        The series and others to compare it with.
    row : int
        Position of the series in the panel.
    labels : ndarray of int64, shape (n_series,)
        Cluster of each series; -1 is none.
    probabilities : ndarray of shape (n_series, n_clusters)
    vectors : ndarray of shape (n_series, n_dimensions)
        Vectors that were clustered; NaN for a series without one.
    n_clusters : int
    lag : int
        Shift of the series in steps.
    shapes : bool
        Compare series at mean 0 and standard deviation 1, as a model sees them that scales each
        series.

    Returns
    -------
    SeriesExplanation

    Raises
    ------
    InvalidDataError
        The series has no vector because it has no observed value.
    """
    series_id = panel.ids[[row]].tolist()[0]
    if not np.isfinite(vectors[row]).all():
        raise InvalidDataError(f"Series {series_id!r} has no observed value: there is nothing to explain.")
    cluster = int(labels[row])
    distance = _distances(vectors, labels, n_clusters, row)
    order = [int(k) for k in np.lexsort((distance, -probabilities[row])) if k != cluster]
    runner_up = order[0] if order else None

    groups = {k: thinned(np.flatnonzero(labels == k)) for k in (cluster, runner_up) if k is not None and k >= 0}
    chosen = np.unique(np.concatenate([[row], *groups.values()]))
    sample = panel.select(chosen)
    places = {k: np.searchsorted(chosen, members) for k, members in groups.items()}
    at = int(np.searchsorted(chosen, row))
    traits = series_traits(sample.to_list())
    aligned = on_one_grid(sample, shapes=shapes)  # (n_sample, n_channels, n_points)
    own, other = places.get(cluster), None if runner_up is None else places.get(runner_up)
    agrees: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()
    decides = None
    if own is not None and other is not None and len(other):
        agrees, differs = _reasons(traits, at, own, other, panel.channels)
        decides = _decisive_window(aligned, at, own, other, sample)
    return SeriesExplanation(
        id=series_id,
        cluster=cluster,
        probability=float(probabilities[row].max(initial=0.0)),
        runner_up=runner_up,
        runner_up_probability=0.0 if runner_up is None else float(probabilities[row, runner_up]),
        typicality=_typicality(vectors, labels, row),
        lag=int(lag),
        level={c: float(v) for c, v in zip(panel.channels, traits["level"][at], strict=True)},
        spread={c: float(v) for c, v in zip(panel.channels, traits["spread"][at], strict=True)},
        agrees=agrees,
        differs=differs,
        decides=decides,
        unusual=() if own is None else _unusual_windows(aligned, at, own, sample),
    )


def _distances(vectors: Floats, labels: Indices, n_clusters: int, row: int) -> Floats:
    """Return the distance to each cluster's centre, (n_clusters,); infinite for an empty one."""
    centres = [vectors[labels == k].mean(axis=0) if (labels == k).any() else np.inf for k in range(n_clusters)]
    return np.array([np.linalg.norm(vectors[row] - centre) for centre in centres])


def _typicality(vectors: Floats, labels: Indices, row: int) -> float:
    if labels[row] < 0:
        return 0.0
    own = vectors[labels == labels[row]]
    distance = np.linalg.norm(own - own.mean(axis=0), axis=1)
    return float((distance > np.linalg.norm(vectors[row] - own.mean(axis=0)) + 1e-12).mean())


def _reasons(
    traits: Traits, at: int, own: Indices, other: Indices, channels: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return traits that support the own cluster, and those that support the other one."""
    found = []
    for name, trait in TRAITS.items():
        values = np.nan_to_num(traits[name])
        here, there = np.median(values[own], axis=0), np.median(values[other], axis=0)
        within = np.sqrt((values[own].var(axis=0) + values[other].var(axis=0)) / 2)
        least = trait.least * (np.nanmedian(traits["spread"], axis=0) if trait.in_spreads else 1.0)
        decisive = (np.abs(here - there) >= least) & (np.abs(here - there) >= _DECISIVE * within)
        nearer = (np.abs(values[at] - there) - np.abs(values[at] - here)) / np.maximum(within, least)
        for c in np.flatnonzero(decisive):
            noun = trait.name + (f" of {channels[c]}" if len(channels) > 1 else "")
            words = f"{noun} {plain(values[at, c])} (this cluster {plain(here[c])}, next closest {plain(there[c])})"
            found.append((float(nearer[c]), words))
    agrees = [words for score, words in sorted(found, reverse=True) if score > 0.5]
    differs = [words for score, words in sorted(found) if score < -0.5]
    return tuple(agrees[:3]), tuple(differs[:3])


def _decisive_window(aligned: Floats, at: int, own: Indices, other: Indices, panel: Panel) -> Window | None:
    """Return where a series is nearest to its own cluster, compared with the other."""
    here, there = aligned[own].mean(axis=0), aligned[other].mean(axis=0)
    nearer = (aligned[at] - there) ** 2 - (aligned[at] - here) ** 2  # (n_channels, n_points)
    notable = nearer >= 0.25 * max(float(nearer.max()), 0.0)
    return next(find_windows(nearer, notable & (nearer > 0), panel), None)


def _unusual_windows(aligned: Floats, at: int, own: Indices, panel: Panel) -> tuple[Window, ...]:
    """Return where a series differs from the others of its cluster."""
    others = aligned[own[own != at]]
    if len(others) < 3:
        return ()
    scale = np.maximum(others.std(axis=0), 0.1 * aligned.std() + 1e-12)
    difference = (aligned[at] - others.mean(axis=0)) / scale
    return tuple(find_windows(difference, np.abs(difference) >= _UNUSUAL, panel))[:_WINDOWS]
