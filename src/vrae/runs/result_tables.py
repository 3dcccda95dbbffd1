"""Result tables with one row per series: clusters and latent vectors; and one row per cluster."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Panel
from vrae.describe import ClusterDescription
from vrae.estimators.clusterer import VRAEClusterer
from vrae.estimators.head import Head
from vrae.estimators.vrae import VRAE
from vrae.runs.assignment import assign, model_of
from vrae.runs.table_files import Columns, table_writer, write_columns

__all__ = [
    "embedding_columns",
    "embedding_table",
    "write_assignments",
    "write_descriptions",
    "write_embeddings",
    "write_history",
]


def write_assignments(clusterer: VRAEClusterer, panels: Iterable[Panel], target: Path | None) -> None:
    """Assign the series of all panels to clusters.

    Parameters
    ----------
    clusterer : VRAEClusterer
        Fitted.
    panels : iterable of Panel
    target : Path or None
        Gets id, cluster, probability, lag and static columns; see `table_writer`.
    """
    with table_writer(target) as write:
        for panel in panels:
            write(assign(clusterer, panel).columns())


def write_embeddings(model: VRAE | Head, panels: Iterable[Panel], target: Path | None) -> None:
    """Embed the series of all panels.

    Parameters
    ----------
    model : VRAE, or an estimator that has one
        Fitted.
    panels : iterable of Panel
    target : Path or None
        Gets id, vrae0, vrae1, ... and static columns; see `table_writer`.
    """
    with table_writer(target) as write:
        for panel in panels:
            write(embedding_table(model, panel))


def embedding_table(model: VRAE | Head, panel: Panel) -> Columns:
    """Return the table of `write_embeddings` for one panel."""
    model = model_of(model)
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


def write_history(model: VRAE, target: Path) -> None:
    """Write the training history, one row per epoch. NaN where a record has no value."""
    names = list(dict.fromkeys(name for record in model.history_ for name in record))
    write_columns({name: np.array([record.get(name, np.nan) for record in model.history_]) for name in names}, target)
