"""Tables with one row per series: clusters and latent vectors. And one row per cluster or epoch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vrae.data.batching import Batch, Indices
from vrae.data.panel import Panel, invalid_series
from vrae.describe import ClusterDescription
from vrae.estimators.clusterer import VRAEClusterer
from vrae.estimators.head import Head
from vrae.estimators.partition import labels_of
from vrae.estimators.vrae import VRAE
from vrae.runs.table_files import Columns, table_writer, write_columns

__all__ = [
    "Assignment",
    "assign",
    "embedding_columns",
    "embedding_table",
    "without_dropped",
    "write_assignments",
    "write_descriptions",
    "write_embeddings",
    "write_model",
]


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

    def columns(self) -> Columns:
        """Return the columns of a table: id, cluster, probability, lag and static columns."""
        return {
            "id": self.ids,
            "cluster": self.labels,
            "probability": self.probabilities.round(4),
            "lag": self.lags,
            **{name: np.asarray(column) for name, column in self.static.items()},
        }


def assign(
    clusterer: VRAEClusterer, panel: Panel, Z: npt.NDArray[np.float32] | None = None, *, every: bool = False
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


def without_dropped(model: VRAE, panel: Panel) -> Panel:
    """Return the series that a model does not drop; see its ``on_invalid``."""
    return panel.select(~invalid_series(panel)) if model.on_invalid == "drop" else panel


def write_assignments(clusterer: VRAEClusterer, panels: Iterable[Panel], target: Path | None) -> str:
    """Write the clusters of all series: id, cluster, probability, lag and static columns.

    Return what there is to say about series without a cluster.
    """
    n_series = n_unassigned = 0
    with table_writer(target) as write:
        for panel in panels:
            assignment = assign(clusterer, panel)
            n_series, n_unassigned = n_series + len(assignment.ids), n_unassigned + assignment.n_unassigned
            write(assignment.columns())
    return unassigned_note(n_unassigned, n_series)


def unassigned_note(n_unassigned: int, n_series: int) -> str:
    """Say how many series have no cluster, and why; nothing if all have one."""
    if not n_unassigned:
        return ""
    return (
        f"{n_unassigned:,} of {n_series:,} series have no cluster (-1): they are unlike all training series, or have "
        f"no values. Look at them. --all gives them their nearest cluster; for a cluster of their own, run vrae "
        f"cluster on old and new series together."
    )


def write_embeddings(model: VRAE | Head, panels: Iterable[Panel], target: Path | None) -> None:
    """Write the latent vectors of all series: id, vrae0, vrae1, ... and static columns."""
    with table_writer(target) as write:
        for panel in panels:
            write(embedding_table(model, panel))


def embedding_table(model: VRAE | Head, panel: Panel) -> Columns:
    """Return the table of `write_embeddings` for one panel."""
    model = model.model_ if isinstance(model, Head) else model
    panel, indices = model.open(panel)
    static = {name: np.asarray(column) for name, column in panel.static.items()}
    return {**embedding_columns(panel.ids, model.inference_.embed(panel, indices)), **static}


def embedding_columns(ids: npt.NDArray[Any], Z: npt.NDArray[np.float32]) -> Columns:
    """Return latent vectors (n_series, latent_size) as columns: id, vrae0, vrae1, ..."""
    return {"id": ids, **{f"vrae{d}": column for d, column in enumerate(Z.T)}}


def write_descriptions(descriptions: Sequence[ClusterDescription], target: Path | None) -> None:
    """Write one row per cluster: its size, description, typical series and traits."""
    rows = [entry.to_dict() for entry in descriptions]
    write_columns({name: np.array([row[name] for row in rows]) for name in rows[0]}, target)


def write_model(estimator: VRAE | Head, folder: Path) -> None:
    """Write ``model/`` and ``history.csv``: one row per epoch, NaN where a record has no value."""
    estimator.save(folder / "model")
    history = (estimator.model_ if isinstance(estimator, Head) else estimator).history_
    names = dict.fromkeys(name for record in history for name in record)
    columns = {name: np.array([record.get(name, np.nan) for record in history]) for name in names}
    write_columns(columns, folder / "history.csv")


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
