"""The clusters of series, with everything that a table or a report says about each of them."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vrae.data.batching import Batch, Indices
from vrae.data.panel import Panel
from vrae.describe.words import cluster_name
from vrae.estimators.partition import LatentSpace, labels_of
from vrae.estimators.vrae import VRAE

__all__ = ["OWN_COLUMNS", "Assignment", "Clustered", "assign", "names_of", "static_name"]

OWN_COLUMNS = ("id", "cluster", "name", "probability", "lag")
"""First columns of a table of clusters. Static columns follow."""


class Clustered(Protocol):
    """What a fitted clusterer offers here."""

    model_: VRAE
    space_: LatentSpace
    embedding_: npt.NDArray[np.float32]
    selection_: list[dict[str, Any]]
    names_: dict[int, str]

    def embed_and_assign(
        self, panel: Panel, indices: Indices
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return latent vectors, the probabilities of every cluster, and how much is known."""

    def predict_proba_from_latent(self, Z: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return the probabilities of every cluster for latent vectors."""


@dataclass(frozen=True)
class Assignment:
    """The clusters of series, with arrays of shape (n_series,).

    A label of -1 is no cluster, with probability 0. ``lags`` are steps; see `VRAE.lags`.
    ``embedding`` (n_series, latent_size) is NaN for a series without any observed value. ``names``
    are those of the clusters.
    """

    ids: npt.NDArray[Any]
    labels: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]
    lags: npt.NDArray[np.int64]
    static: dict[str, npt.NDArray[Any]]
    embedding: npt.NDArray[np.float32]
    names: dict[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def n_unassigned(self) -> int:
        """Number of series without a cluster."""
        return int((self.labels < 0).sum())

    def select(self, indices: Indices) -> Assignment:
        """Return some of the series."""
        static = {name: column[indices] for name, column in self.static.items()}
        arrays = {name: part[indices] for name, part in vars(self).items() if name not in ("static", "names")}
        return replace(self, static=static, **arrays)

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return the columns of a table: `OWN_COLUMNS` and static columns.

        A static column that is called like one of the others gets the ending ``_static``.
        """
        own = (self.ids, self.labels, names_of(self.labels, self.names), self.probabilities.round(4), self.lags)
        columns = dict(zip(OWN_COLUMNS, own, strict=True))
        for name, column in self.static.items():
            columns[static_name(name, columns)] = np.asarray(column)
        return columns


def names_of(labels: npt.NDArray[np.int64], names: Mapping[int, str]) -> npt.NDArray[np.object_]:
    """Return the name of the cluster of every series (n_series,)."""
    known, place = np.unique(labels, return_inverse=True)
    texts = np.empty(len(known), object)
    texts[:] = [cluster_name(label, names) for label in known.tolist()]
    return texts[place]


def static_name(name: str, taken: Container[str]) -> str:
    """Return the name of a static column in a table that has other columns."""
    while name in taken:
        name += "_static"
    return name


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
        Z, probabilities, _ = clusterer.embed_and_assign(panel, indices)
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
        names=clusterer.names_,
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
