"""The clusters that series are assigned to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vrae.data.batching import Batch, Indices
from vrae.data.panel import Panel, invalid_series
from vrae.estimators.clusterer import VRAEClusterer
from vrae.estimators.head import Head
from vrae.estimators.partition import labels_of
from vrae.estimators.vrae import VRAE

__all__ = ["Assignment", "assign", "kept_indices", "model_of"]


@dataclass(frozen=True)
class Assignment:
    """The cluster of every series of a panel.

    Attributes
    ----------
    ids : ndarray, shape (n_series,)
    labels : ndarray of int64, shape (n_series,)
        Cluster. -1 is none.
    probabilities : ndarray of float64, shape (n_series,)
        Probability of the series' own cluster. 0 if there is none.
    lags : ndarray of int64, shape (n_series,)
        Steps; see `VRAE.lags`.
    static : dict of str to ndarray of shape (n_series,)
        Static columns of the panel.
    embedding : ndarray of float32, shape (n_series, latent_size)
        Latent vectors. NaN for a series without any observed value.
    """

    ids: npt.NDArray[Any]
    labels: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]
    lags: npt.NDArray[np.int64]
    static: dict[str, npt.NDArray[Any]]
    embedding: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.ids)

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return the columns of a table: id, cluster, probability, lag and static columns."""
        return {
            "id": self.ids,
            "cluster": self.labels,
            "probability": self.probabilities.round(4),
            "lag": self.lags,
            **{name: np.asarray(column) for name, column in self.static.items()},
        }


def assign(clusterer: VRAEClusterer, panel: Panel, Z: npt.NDArray[np.float32] | None = None) -> Assignment:
    """Assign every series of a panel to a cluster.

    Parameters
    ----------
    clusterer : VRAEClusterer
        Fitted.
    panel : Panel
    Z : ndarray of float32, shape (n_series, latent_size), optional
        Latent vectors of the series, if they are known. Then no series is encoded again.

    Returns
    -------
    Assignment
        Without the series that the model drops (``on_invalid="drop"``).
    """
    model = clusterer.model_
    panel, indices = model.open(panel)
    if Z is None:
        Z = model.inference_.embed(panel, indices)
    probabilities = clusterer.predict_proba_from_latent(Z)  # (n_series, n_clusters)
    return Assignment(
        ids=panel.ids,
        labels=labels_of(probabilities),
        probabilities=probabilities.max(axis=1, initial=0.0),
        lags=_lags(model, panel, indices, Z),
        static=dict(panel.static),
        embedding=Z,
    )


def model_of(estimator: VRAE | Head) -> VRAE:
    """Return the model of an estimator that has one, or the model itself."""
    return estimator.model_ if isinstance(estimator, Head) else estimator


def kept_indices(model: VRAE, panel: Panel) -> Indices:
    """Return the positions of the series that a model does not drop; see its ``on_invalid``."""
    return np.flatnonzero(~invalid_series(panel)) if model.on_invalid == "drop" else np.arange(len(panel))


def _lags(model: VRAE, panel: Panel, indices: Indices, Z: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Return what `VRAE.lags` returns, from known latent vectors."""
    inference, latent = model.inference_, torch.from_numpy(Z)

    def compute(batch: Batch) -> Tensor:
        z = latent[torch.from_numpy(batch.indices)].to(inference.device)
        return inference.network.reconstruct(z, batch.values, batch.mask, batch.lengths)[1]

    lags = np.zeros(len(panel), np.int64)
    if model.network_.config.max_lag:
        inference.per_series(panel, indices, compute, lags)
    return lags
