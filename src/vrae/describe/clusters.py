"""Describe clusters: typical curve, most typical series, and what sets each one apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Panel
from vrae.describe.curves import cluster_curve
from vrae.describe.results import ClusterDescription, Window
from vrae.describe.segments import find_windows, on_one_grid, thinned
from vrae.describe.sentences import sentence
from vrae.describe.traits import differences, series_traits
from vrae.describe.words import NOISE, cluster_labels

__all__ = ["by_typicality", "describe_clusters"]

Floats = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.int64]

_MEDOIDS = 3
_WINDOWS = 2
_APART = 0.8  # standard deviations between the means of a cluster and of the others


def describe_clusters(
    panel: Panel, labels: Indices, vectors: Floats, *, shapes: bool = True
) -> list[ClusterDescription]:
    """Describe every cluster of series.

    Parameters
    ----------
    panel : Panel
        The series. If there are more than 4,096, evenly spaced ones are compared.
    labels : ndarray of int64, shape (n_series,)
        Cluster of each series; -1 is none.
    vectors : ndarray of shape (n_series, n_dimensions)
        Vectors that were clustered; NaN for a series without one.
    shapes : bool, default=True
        Compare series at mean 0 and standard deviation 1, as a model sees them that scales each
        series.

    Returns
    -------
    list of ClusterDescription
        Clusters 0, 1, ..., and -1 last.
    """
    indices = thinned(np.arange(len(panel)))
    sample = panel.select(indices)
    series, sample_labels = sample.to_list(), labels[indices]
    traits = series_traits(series)
    aligned = on_one_grid(sample, shapes=shapes)  # (n_sample, n_channels, n_points)
    found = []
    for label in cluster_labels(sample_labels):
        member = sample_labels == label
        curve = cluster_curve([series[i] for i in np.flatnonzero(member)], label)
        everyone = np.flatnonzero(labels == label)
        typical = by_typicality(vectors, everyone)[:_MEDOIDS]
        found.append(
            ClusterDescription(
                label=label,
                size=len(everyone),
                proportion=len(everyone) / len(panel),
                words=sentence(traits, member, panel.channels, is_noise=label == NOISE),
                windows=_windows_apart(aligned, member, sample),
                differences=differences(traits, member),
                medoids=tuple(panel.ids[typical].tolist()),
                middle=curve.middle,
                low=curve.low,
                high=curve.high,
            )
        )
    return found


def by_typicality(vectors: Floats, indices: Indices) -> Indices:
    """Order the series of a cluster from the most to the least typical.

    Parameters
    ----------
    vectors : ndarray of shape (n_series, n_dimensions)
        Vectors of all series.
    indices : ndarray of int64, shape (n_members,)
        The series of the cluster.

    Returns
    -------
    ndarray of int64, shape (n_members,)
        ``indices`` by distance from the cluster's centre; series without a vector come last.
    """
    known = indices[np.isfinite(vectors[indices]).all(axis=1)]
    distance = np.linalg.norm(vectors[known] - vectors[known].mean(axis=0), axis=1) if len(known) else np.empty(0)
    return np.concatenate([known[np.argsort(distance, kind="stable")], np.setdiff1d(indices, known)])


def _windows_apart(aligned: Floats, member: npt.NDArray[np.bool_], panel: Panel) -> tuple[Window, ...]:
    if member.all() or member.sum() < 2 or (~member).sum() < 2:
        return ()
    inside, outside = aligned[member], aligned[~member]
    within = np.sqrt((inside.var(axis=0) + outside.var(axis=0)) / 2)
    gap = inside.mean(axis=0) - outside.mean(axis=0)  # (n_channels, n_points)
    # The floor keeps steps at which hardly anything happens from counting for much.
    apart = gap / np.maximum(within, 0.1 * aligned.std() + 1e-12)
    return tuple(find_windows(apart, np.abs(apart) >= _APART, panel))[:_WINDOWS]
