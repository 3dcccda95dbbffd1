"""Gather what the report shows: a fitted clusterer and its series in, `ReportData` out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Panel
from vrae.describe.findings import Found
from vrae.describe.verdict import Verdict, verdict
from vrae.estimators.alternatives import (
    Grouped,
    alternatives,
    closest_pair,
    firm_merges,
    is_changed,
    numbers_worth_a_look,
)
from vrae.estimators.assignment import Assignment, Clustered
from vrae.estimators.local_density import LocalDensity, reference_rows
from vrae.estimators.partition import LatentSpace
from vrae.estimators.vrae import VRAE
from vrae.metrics import DOUBTFUL
from vrae.report import Commands, DirectionCurves, NextBest, PythonLines, ReportData
from vrae.train.inference import in_units

__all__ = ["counts_of", "direction_curves", "gather_report", "judge", "map_space", "report_data", "usualness"]

_DIRECTIONS = 8
_POSITIONS = 11
_LEAST = 0.005  # of the variance; a direction with less is not shown
_REACH = 2.5  # standard deviations to each side: almost all series are within
_MAX_STEPS = 2000  # of a decoded curve
_UNUSUAL = 0.05  # of the series may be unusual
_SELDOM, _MOSTLY = 0.1, 0.75  # of the values of a series are 0
_ENOUGH = 10  # series of a cluster, of which a fifth says something
_REFERENCES = 1000  # that tell what is usual

Floats = npt.NDArray[np.float64]


def gather_report(
    title: str,
    clusterer: Grouped,
    panel: Panel,
    assignment: Assignment,
    metrics: dict[str, Any],
    truth: npt.NDArray[Any] | None,
    **page: Any,
) -> ReportData:
    """Gather the report of a panel. ``assignment`` has its clusters, in the same order.

    For ``page``, see `report_data`.
    """
    reconstruction, noise = _reconstruct(clusterer.model_, panel, assignment.embedding)
    scores = usualness(clusterer.embedding_, assignment.embedding)
    shown: dict[str, Any] = {"panel": panel, "reconstruction": reconstruction, "scores": scores, "noise": noise}
    metrics = {"missing_share": panel.missing_share(), **metrics}
    return report_data(title, clusterer, assignment, metrics, truth, **shown, **page)


def report_data(
    title: str,
    clusterer: Grouped,
    assignment: Assignment,
    metrics: dict[str, Any],
    truth: npt.NDArray[Any] | None,
    *,
    commands: Commands | None = None,
    judged: Verdict | None = None,
    notice: str = "",
    **series: Any,
) -> ReportData:
    """Return what a report shows, with ``series``: its panel, reconstruction, scores and noise.

    ``commands`` say how the reader does what the page advises; by default in Python. ``judged`` is
    what `judge` returned, if it was called. ``notice`` is shown on the first screen.
    """
    model, Z = clusterer.model_, assignment.embedding
    metrics = {**counts_of(assignment, clusterer.n_clusters_), **metrics}
    alike, alike_sizes = clusterer.grouping_.groups_of_same(Z)
    return ReportData(
        title=title,
        labels=assignment.labels,
        probabilities=assignment.probabilities,
        embedding=map_space(clusterer)(Z.astype(np.float64)),
        lags=assignment.lags if model.network_.config.max_lag else None,
        history=model.history_,
        selection=clusterer.selection_,
        metrics=metrics,
        truth=truth,
        traversal=direction_curves(clusterer),
        names=clusterer.names_,
        halves=clusterer.grouping_.halves(Z, assignment.labels),
        tree=clusterer.tree_,
        alternatives=alternatives(clusterer, assignment),
        verdict=judged or judge(clusterer, metrics),
        commands=commands or PythonLines(),
        next_best=_next_best(clusterer, assignment),
        alike=alike,
        alike_sizes=tuple(alike_sizes.tolist()),
        own_names=clusterer.grouping_.own_names,
        edited=is_changed(clusterer),
        notice=notice,
        **series,
    )


def judge(clusterer: Grouped, metrics: dict[str, Any]) -> Verdict:
    """Return the verdict on the clusters of a run with these metrics."""
    stability = metrics.get("stability") or {}
    grouping = clusterer.grouping_
    n_series = sum(metrics["sizes"]) + metrics["n_noise"]
    again = tuple(stability.get("clusters") or ())
    found = Found(
        sizes=metrics["sizes"],
        names=clusterer.names_,
        n_noise=metrics["n_noise"],
        n_doubtful=round(metrics["doubtful_share"] * n_series),
        stability=again,
        refitted=bool(stability.get("refits")),
        silhouette=metrics.get("silhouette"),
        missing=metrics.get("missing_share", 0.0),
        gaps=_gaps(clusterer),
        mixed=_mixed(clusterer),
        selection=clusterer.selection_,
        history=clusterer.model_.history_,
        closest=closest_pair(grouping.vectors, clusterer.labels_[grouping.known]),
        volume=_volumes(clusterer),
        others=numbers_worth_a_look(clusterer),
        edited=is_changed(clusterer),
    )
    if found.is_clear:
        found = replace(found, merges=firm_merges(clusterer, again))
    return verdict(found)


def _gaps(clusterer: Grouped) -> list[float]:
    """Return which part of its values the usual series of each cluster lacks; empty if unknown."""
    portraits = clusterer.portraits_
    if portraits is None:
        return []
    missing, labels = portraits.numbers["missing"].mean(axis=1), clusterer.labels_[portraits.rows]
    return [float(np.median(missing[labels == k])) if k in labels else 0.0 for k in range(clusterer.n_clusters_)]


def _mixed(clusterer: Grouped) -> list[int]:
    """Return clusters of series mostly 0 and series seldom 0, if level does not count."""
    portraits = clusterer.portraits_
    if portraits is None or clusterer.model_.level_weight:
        return []
    zeros, labels = portraits.numbers["zeros"].mean(axis=1), clusterer.labels_[portraits.rows]
    groups = [(k, zeros[labels == k]) for k in range(clusterer.n_clusters_)]
    ends = [(k, np.quantile(part, (0.2, 0.8))) for k, part in groups if len(part) >= _ENOUGH]
    return [k for k, (low, high) in ends if low <= _SELDOM and high >= _MOSTLY]


def _volumes(clusterer: Grouped) -> list[float]:
    """Return the share of each cluster in the sum of all values; empty if values are no counts."""
    portraits = clusterer.portraits_
    if portraits is None or not portraits.counts or len(portraits.channels) > 1:
        return []
    sums = np.nan_to_num(portraits.numbers["level"] * portraits.numbers["known"])[:, 0].astype(np.float64)
    labels = clusterer.labels_[portraits.rows]
    shares = np.bincount(labels[labels >= 0], sums[labels >= 0], minlength=clusterer.n_clusters_)
    return (shares / shares.sum()).tolist() if shares.sum() > 0 else []


def counts_of(assignment: Assignment, n_clusters: int) -> dict[str, Any]:
    """Count series by cluster, and those that are doubtful, as in the metrics of a run."""
    labels = assignment.labels
    return {
        "sizes": np.bincount(labels[labels >= 0], minlength=n_clusters).tolist(),
        "n_noise": assignment.n_unassigned,
        "doubtful_share": float((assignment.probabilities < DOUBTFUL).mean()),
    }


def _next_best(clusterer: Grouped, assignment: Assignment) -> NextBest:
    """Return the most probable cluster of every series other than its own."""
    probabilities = clusterer.predict_proba_from_latent(assignment.embedding)  # (n_series, n_clusters)
    assigned = np.flatnonzero(assignment.labels >= 0)
    probabilities[assigned, assignment.labels[assigned]] = -1.0
    if probabilities.shape[1] == 0:
        return NextBest(np.full(len(probabilities), -1), np.zeros(len(probabilities)))
    best = probabilities.max(axis=1, initial=0.0)
    return NextBest(np.where(best > 0, probabilities.argmax(axis=1), -1), best)


def usualness(trained: npt.NDArray[np.float32], Z: npt.NDArray[np.float32]) -> Floats:
    """Return how usual latent vectors (n_series, latent_size) are among those of training series.

    0 is usual, -3 is three spreads away; NaN without a vector. The errors of reconstructions tell
    less: they are largest for noisy series, of which there are many.
    """
    scores, known = np.full(len(Z), np.nan), np.flatnonzero(np.isfinite(Z).all(axis=1))
    references = np.flatnonzero(np.isfinite(trained).all(axis=1))
    if len(references) < 2 or not len(known):
        return scores
    scores[known] = -LocalDensity.fit(trained[reference_rows(references, _REFERENCES)], _UNUSUAL)(Z[known])
    return scores


def _reconstruct(model: VRAE, panel: Panel, Z: npt.NDArray[np.float32]) -> tuple[Panel, Floats]:
    """Decode series from their latent vectors. Return the reconstruction and the noise.

    Noise (n_series, n_channels) is the deviation of the model's error, in the units of the data.
    """
    values = np.full(panel.values.shape, np.nan, panel.values.dtype)
    noise = np.zeros((len(panel), panel.n_channels))
    opened, indices = model.open(panel)
    for batch, x in model.inference_.reconstructions(opened, indices, Z):
        values[panel.steps_of(batch.indices)] = in_units(batch, x, values.dtype)
        noise[batch.indices] = batch.spread.numpy() * np.sqrt(model.noise_variance_)
    return panel.with_values(values), noise


def map_space(clusterer: Clustered) -> LatentSpace:
    """Return the space of the clusters, turned to the principal axes of the training series.

    Distances stay. The map shows what was clustered, and its directions are the dimensions.
    """
    space = clusterer.space_
    Z = clusterer.embedding_.astype(np.float64)
    points = space(Z[np.isfinite(Z).all(axis=1)])  # (n_series, dimensions)
    centred = points - points.mean(axis=0)
    axes = np.linalg.eigh(centred.T @ centred)[1][:, ::-1]  # by decreasing variance
    # The sign of an eigenvector is arbitrary. A positive largest entry makes runs agree.
    turned = axes * np.where(np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[None], axis=0) < 0, -1, 1)
    return LatentSpace(space.center, space.axes @ turned)


def direction_curves(clusterer: Clustered) -> DirectionCurves | None:
    """Decode latent vectors along each main direction of the map, all others at their means.

    Directions in which series hardly differ are left out. None if all latent vectors are equal.
    """
    space, model = map_space(clusterer), clusterer.model_
    Z = clusterer.embedding_.astype(np.float64)
    points = space(Z[np.isfinite(Z).all(axis=1)])  # (n_series, dimensions)
    variance = points.var(axis=0)
    n_directions = int((variance[:_DIRECTIONS] > _LEAST * variance.sum()).sum())
    if n_directions == 0:
        return None
    spread = np.sqrt(variance[:n_directions])
    positions = spread[:, None] * np.linspace(-_REACH, _REACH, _POSITIONS)
    grid = np.zeros((n_directions, _POSITIONS, points.shape[1]))
    grid[np.arange(n_directions), :, np.arange(n_directions)] = positions
    vectors = space.center + grid.reshape(-1, points.shape[1]) @ np.linalg.pinv(space.axes)
    n_steps = min(model.n_steps_, _MAX_STEPS)
    curves = model.inverse_transform(vectors, n_steps)
    return DirectionCurves(positions, curves.reshape(n_directions, _POSITIONS, -1, n_steps))
