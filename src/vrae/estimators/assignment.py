"""The clusters of series, with everything that a table or a report says about each of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vrae.data.batching import Batch, Indices
from vrae.data.panel import Panel
from vrae.estimators.partition import LatentSpace, labels_of
from vrae.estimators.vrae import VRAE

__all__ = ["Assignment", "Clustered", "assign"]


class Clustered(Protocol):
    """What a fitted clusterer offers here."""

    model_: VRAE
    space_: LatentSpace
    embedding_: npt.NDArray[np.float32]
    selection_: list[dict[str, Any]]

    def embed_and_assign(
        self, panel: Panel, indices: Indices
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
        """Return latent vectors, and the probabilities of every cluster."""

    def predict_proba_from_latent(self, Z: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return the probabilities of every cluster for latent vectors."""


@dataclass(frozen=True)
class Assignment:
    """The clusters of series, with arrays of shape (n_series,).

    A label of -1 is no cluster, with probability 0. ``lags`` are steps; see `VRAE.lags`.
    ``embedding`` (n_series, latent_size) is NaN for a series without any observed value.
    """

    ids: npt.NDArray[Any]
    labels: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]
    lags: npt.NDArray[np.int64]
    static: dict[str, npt.NDArray[Any]]
    embedding: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def n_unassigned(self) -> int:
        """Number of series without a cluster."""
        return int((self.labels < 0).sum())

    def select(self, indices: Indices) -> Assignment:
        """Return some of the series."""
        static = {name: column[indices] for name, column in self.static.items()}
        arrays = {name: part[indices] for name, part in vars(self).items() if name != "static"}
        return replace(self, static=static, **arrays)

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return the columns of a table: id, cluster, probability, lag and static columns."""
        return {
            "id": self.ids,
            "cluster": self.labels,
            "probability": self.probabilities.round(4),
            "lag": self.lags,
            **{name: np.asarray(column) for name, column in self.static.items()},
        }


def assign(
    clusterer: Clustered, panel: Panel, Z: npt.NDArray[np.float32] | None = None, *, every: bool = False
) -> Assignment:
    """Assign series of a panel to clusters, without those that the model drops.

    With known latent vectors ``Z`` (n_series, latent_size), no series is encoded again. Then, or if
    ``every``, a series unlike all training series gets a cluster too.
    """
    model = clusterer.model_
    panel, indices = model.open(panel)
    if Z is None and not every:
        Z, probabilities = clusterer.embed_and_assign(panel, indices)
    else:
        Z = model.inference_.embed(panel, indices) if Z is None else Z
        probabilities = clusterer.predict_proba_from_latent(Z)  # (n_series, n_clusters)
    return Assignment(
        ids=panel.ids,
        labels=labels_of(probabilities),
        probabilities=probabilities.max(axis=1, initial=0.0),
        lags=_lags(model, panel, indices, Z),
        static=dict(panel.static),
        embedding=Z,
    )


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
