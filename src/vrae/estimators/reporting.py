"""Gather what the report shows: a fitted clusterer and its series in, `ReportData` out."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Panel
from vrae.estimators.assignment import Assignment, Clustered
from vrae.estimators.vrae import VRAE
from vrae.nn.loss import log_likelihood
from vrae.report import DirectionCurves, ReportData
from vrae.train.inference import in_units

__all__ = ["direction_curves", "gather_report", "report_data"]

_DIRECTIONS = 8
_POSITIONS = 11
_REACH = 2.5  # standard deviations to each side: almost all series are within
_MAX_STEPS = 2000  # of a decoded curve

Floats = npt.NDArray[np.float64]


def gather_report(
    title: str,
    clusterer: Clustered,
    panel: Panel,
    assignment: Assignment,
    metrics: dict[str, Any],
    truth: npt.NDArray[Any] | None,
) -> ReportData:
    """Gather the report of a panel. ``assignment`` has its clusters, in the same order."""
    reconstruction, scores, noise = _reconstruct(clusterer.model_, panel, assignment.embedding)
    shown = {"panel": panel, "reconstruction": reconstruction, "scores": scores, "noise": noise}
    return report_data(title, clusterer, assignment, metrics, truth, **shown)


def report_data(
    title: str,
    clusterer: Clustered,
    assignment: Assignment,
    metrics: dict[str, Any],
    truth: npt.NDArray[Any] | None,
    **series: Any,
) -> ReportData:
    """Return what a report shows, with ``series``: its panel, reconstruction, scores and noise."""
    model = clusterer.model_
    return ReportData(
        title=title,
        labels=assignment.labels,
        probabilities=assignment.probabilities,
        embedding=clusterer.space_(assignment.embedding.astype(np.float64)),  # the map shows what was clustered
        lags=assignment.lags if model.network_.config.max_lag else None,
        history=model.history_,
        selection=clusterer.selection_,
        metrics=metrics,
        truth=truth,
        traversal=direction_curves(clusterer),
        **series,
    )


def _reconstruct(model: VRAE, panel: Panel, Z: npt.NDArray[np.float32]) -> tuple[Panel, Floats, Floats]:
    """Decode series from their latent vectors. Return reconstruction, scores and noise.

    Scores (n_series,) are mean log-likelihoods per observed value in nats, NaN without any. Noise
    (n_series, n_channels) is the deviation of the model's error, in the units of the data.
    """
    values = np.full(panel.values.shape, np.nan, panel.values.dtype)
    scores = np.full(len(panel), np.nan)
    noise = np.zeros((len(panel), panel.n_channels))
    opened, indices = model.open(panel)
    for batch, x in model.inference_.reconstructions(opened, indices, Z):
        values[panel.steps_of(batch.indices)] = in_units(batch, x, values.dtype)
        observed = batch.mask.sum(dim=(1, 2))
        likelihood = log_likelihood(x, batch.values, batch.mask, model.noise_variance_)
        scores[batch.indices] = (likelihood / observed).double().cpu().numpy()
        noise[batch.indices] = batch.spread.numpy() * np.sqrt(model.noise_variance_)
    return panel.with_values(values), scores, noise


def direction_curves(clusterer: Clustered) -> DirectionCurves | None:
    """Decode latent vectors along each main direction of the map, all others at their means.

    None if all latent vectors are equal.
    """
    space, model = clusterer.space_, clusterer.model_
    Z = clusterer.embedding_.astype(np.float64)
    points = space(Z[np.isfinite(Z).all(axis=1)])  # (n_series, dimensions)
    spread = points.std(axis=0)[:_DIRECTIONS]
    n_directions = int((spread > 1e-6 * max(spread[0], 1e-12)).sum()) if spread[0] > 0 else 0
    if n_directions == 0:
        return None
    positions = spread[:n_directions, None] * np.linspace(-_REACH, _REACH, _POSITIONS)
    grid = np.zeros((n_directions, _POSITIONS, points.shape[1]))
    grid[np.arange(n_directions), :, np.arange(n_directions)] = positions
    vectors = space.center + grid.reshape(-1, points.shape[1]) @ np.linalg.pinv(space.axes)
    n_steps = min(model.n_steps_, _MAX_STEPS)
    curves = model.inverse_transform(vectors, n_steps)
    return DirectionCurves(positions, curves.reshape(n_directions, _POSITIONS, -1, n_steps))
