"""The report of a run: what the model says of the series, gathered for the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Panel
from vrae.estimators.clusterer import VRAEClusterer
from vrae.estimators.vrae import in_units
from vrae.nn.loss import evidence_lower_bound
from vrae.report import ReportData, Traversal
from vrae.runs.assignment import Assignment

__all__ = ["report_data", "traverse", "write_run_report"]

_DIRECTIONS = 8
_POSITIONS = 11
_REACH = 2.5  # standard deviations to either side: nearly all series lie within
_LONGEST = 2000  # steps that the traversal draws at most

Floats = npt.NDArray[np.float64]


def write_run_report(
    folder: Path,
    title: str,
    clusterer: VRAEClusterer,
    panel: Panel,
    assignment: Assignment,
    metrics: dict[str, Any],
    truth: npt.NDArray[Any] | None,
) -> None:
    """Write the report of series and where they were placed into a run folder."""
    from vrae.report import write_report

    write_report(report_data(title, clusterer, panel, assignment, metrics, truth), folder / "report.html")


def report_data(
    title: str,
    clusterer: VRAEClusterer,
    panel: Panel,
    assignment: Assignment,
    metrics: dict[str, Any],
    truth: npt.NDArray[Any] | None,
) -> ReportData:
    """Gather what a report shows of series and where they were placed."""
    reconstruction, scores, noise = _reviewed(clusterer, panel)
    return ReportData(
        title=title,
        panel=panel,
        labels=assignment.labels,
        probabilities=assignment.probabilities,
        embedding=clusterer.space_(assignment.embedding.astype(np.float64)),  # the map shows what the clusterer saw
        reconstruction=reconstruction,
        lags=assignment.lags if clusterer.max_lag else None,
        history=clusterer.history_,
        selection=clusterer.selection_,
        metrics=metrics,
        truth=truth,
        scores=scores,
        noise=noise,
        traversal=traverse(clusterer),
    )


def _reviewed(clusterer: VRAEClusterer, panel: Panel) -> tuple[Panel, Floats, Floats]:
    """Return the model's version of every series, its score an observed value, and its usual error in one pass.

    These are what ``reconstruct`` and ``score_samples`` would give in two.

    Returns
    -------
    reconstruction : Panel
    scores : ndarray of shape (n_series,)
        Evidence lower bound, nats an observed value; NaN for a series without any.
    noise : ndarray of shape (n_series, n_channels)
        Standard deviation of the model's error, in the user's units.
    """
    seen, rows = clusterer._open(panel)
    values = np.full(panel.values.shape, np.nan, np.float32)
    scores = np.full(len(panel), np.nan)
    noise = np.zeros((len(panel), panel.n_channels))
    for batch, decoded in clusterer._visit(seen, rows, clusterer._decode):
        values[panel.steps_of(batch.rows)] = in_units(batch, decoded.x)
        bound = evidence_lower_bound(decoded, batch.values, batch.mask, clusterer.noise_variance_)
        scores[batch.rows] = (bound / batch.mask.sum(dim=(1, 2)).clamp(min=1)).double().cpu().numpy()
        noise[batch.rows] = batch.spread.numpy() * np.sqrt(clusterer.noise_variance_)
    return panel.with_values(values), scores, noise


def traverse(clusterer: VRAEClusterer) -> Traversal | None:
    """Draw what the model makes of vectors along each main direction of its latent space, all else being average."""
    Z = clusterer.embedding_.astype(np.float64)
    placed = clusterer.space_(Z[np.isfinite(Z).all(axis=1)])  # (n_series, dimensions)
    spread = placed.std(axis=0)[:_DIRECTIONS]
    n_directions = int((spread > 1e-6 * max(spread[0], 1e-12)).sum()) if spread[0] > 0 else 0
    if n_directions == 0:
        return None
    positions = spread[:n_directions, None] * np.linspace(-_REACH, _REACH, _POSITIONS)
    points = np.zeros((n_directions, _POSITIONS, placed.shape[1]))
    points[np.arange(n_directions), :, np.arange(n_directions)] = positions
    back = np.linalg.pinv(clusterer.space_.axes)
    vectors = clusterer.space_.center + points.reshape(-1, placed.shape[1]) @ back
    n_steps = min(clusterer.n_steps_, _LONGEST)
    curves = np.asarray(clusterer.inverse_transform(vectors, n_steps))
    return Traversal(positions, curves.reshape(n_directions, _POSITIONS, -1, n_steps))
