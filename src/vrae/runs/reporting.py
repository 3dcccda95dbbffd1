"""The report of a run: what the model says of the series, gathered for the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from vrae.data.batching import collate, inference_rows
from vrae.data.panel import Panel
from vrae.estimators.clusterer import VRAEClusterer
from vrae.report import ReportData, Traversal
from vrae.runs.assignment import Assignment

__all__ = ["report_data", "traverse", "write_run_report"]

_BATCH = 1024
_DIRECTIONS = 8
_POSITIONS = 11
_REACH = 2.5  # standard deviations to either side: nearly all series lie within
_LONGEST = 2000  # steps that the traversal draws at most


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
    starts = panel.offsets[:-1]
    observed = np.add.reduceat((~np.isnan(panel.values)).sum(axis=1), starts)
    return ReportData(
        title=title,
        panel=panel,
        labels=assignment.labels,
        probabilities=assignment.probabilities,
        embedding=clusterer.space_(assignment.embedding.astype(np.float64)),  # the map shows what the clusterer saw
        reconstruction=clusterer.reconstruct(panel),
        lags=assignment.lags if clusterer.max_lag else None,
        history=clusterer.history_,
        selection=clusterer.selection_,
        metrics=metrics,
        truth=truth,
        scores=clusterer.score_samples(panel) / np.maximum(observed, 1),
        noise=usual_errors(clusterer, panel),
        traversal=traverse(clusterer),
    )


def usual_errors(clusterer: VRAEClusterer, panel: Panel) -> npt.NDArray[np.float64]:
    """Return the standard deviation of the model's error of each series, (n_series, n_channels), in its units."""
    spreads = np.ones((len(panel), panel.n_channels))
    for rows in inference_rows(panel.lengths, np.arange(len(panel)), _BATCH):
        spreads[rows] = collate(panel, rows, clusterer.scaler_, torch.device("cpu")).spread.numpy()
    return spreads * np.sqrt(clusterer.noise_variance_)


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
