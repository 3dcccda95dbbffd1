"""Write the report of a finished run again, with the series or without them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Panel
from vrae.estimators.clusterer import VRAEClusterer
from vrae.estimators.loading import load_model
from vrae.exceptions import InvalidDataError, InvalidParameterError, ModelFileError, name_some
from vrae.report import ReportData, write_report
from vrae.runs.assignment import Assignment, kept_indices
from vrae.runs.run_metrics import read_metrics
from vrae.runs.run_report import MAX_REPORT_SERIES, direction_curves, gather_report
from vrae.runs.sample import sample_series

__all__ = ["RunTables", "load_clusterer", "rebuild_report", "source_of"]

_MAX_STEPS = 1000  # of a series that is decoded because the original is not available
_OWN_COLUMNS = ("id", "cluster", "probability", "lag")


def rebuild_report(
    run: Path, panels: Iterable[Panel] | None, out: Path | None = None, title: str | None = None
) -> Path:
    """Write the report of a run again.

    Parameters
    ----------
    run : Path
        A run folder.
    panels : iterable of Panel, or None
        The series of the run, or some of them. None: they are not available. The report then shows
        their reconstructions, and says so.
    out : Path, optional
        The report file. Default: ``report.html`` in the run folder.
    title : str, optional
        Default: the title of the run.

    Returns
    -------
    Path
        The report file.

    Raises
    ------
    InvalidDataError
        Some of the series are not part of the run.
    InvalidParameterError, ModelFileError, OutputError
        The run folder is not complete, or the report cannot be written.
    """
    metrics = read_metrics(run)
    clusterer = load_clusterer(run)
    title = title or metrics.get("title") or f"Clusters of {run.name}"
    tables = RunTables(run)
    if panels is None:
        data = _report_without_series(title, clusterer, tables, metrics)
    else:
        panel = sample_series(panels, MAX_REPORT_SERIES, seed=0)[0]
        panel = panel.select(kept_indices(clusterer.model_, panel))
        data = gather_report(title, clusterer, panel, tables.of(panel.ids), metrics, panel.static.get("label"))
    return write_report(data, out or run / "report.html")


def load_clusterer(run: Path) -> VRAEClusterer:
    """Load the clusterer of a run folder.

    Raises
    ------
    InvalidParameterError
        The model has no clusters.
    ModelFileError
        There is no model that can be loaded.
    """
    clusterer = load_model(run / "model")
    if not isinstance(clusterer, VRAEClusterer):
        raise InvalidParameterError(f"{run / 'model'} is a {type(clusterer).__name__}, which has no clusters.")
    return clusterer


class RunTables:
    """The tables of a run folder.

    Parameters
    ----------
    run : Path

    Raises
    ------
    ModelFileError
        A table is missing or damaged.
    """

    def __init__(self, run: Path) -> None:
        try:
            self._clusters = _read_table(run, "clusters")
            self._embedding = _read_table(run, "embedding")
        except (OSError, ValueError) as error:
            raise ModelFileError(f"{run}: the tables of the run cannot be read ({error}). Cluster again.") from None
        self._index_of = {str(name): index for index, name in enumerate(self._clusters["id"].tolist())}

    def __len__(self) -> int:
        return len(self._index_of)

    def of(self, ids: npt.NDArray[Any]) -> Assignment:
        """Return the clusters of series by their ids. Ids are compared as text.

        Raises
        ------
        InvalidDataError
            Some of the series are not part of the run.
        """
        unknown = [name for name in ids.tolist() if str(name) not in self._index_of]
        if unknown:
            raise InvalidDataError(
                f"{len(unknown)} of {len(ids)} series were not in this run, ids {name_some(unknown)}. Pass the data "
                f"that were clustered, or assign new series with `vrae assign`."
            )
        return self.at(np.array([self._index_of[str(name)] for name in ids.tolist()], np.int64), ids)

    def at(self, rows: npt.NDArray[np.int64], ids: npt.NDArray[Any] | None = None) -> Assignment:
        """Return the clusters of the series in these rows of the tables.

        Parameters
        ----------
        rows : ndarray of int64
        ids : ndarray of shape (n_rows,), optional
            Replace the ids of the tables, which may have lost their type.
        """
        table = {name: column[rows] for name, column in self._clusters.items()}
        vectors = [column[rows] for name, column in self._embedding.items() if name != "id"]
        return Assignment(
            ids=table["id"] if ids is None else ids,
            labels=table["cluster"].astype(np.int64),
            probabilities=table["probability"].astype(np.float64),
            lags=table["lag"].astype(np.int64),
            static={name: column for name, column in table.items() if name not in _OWN_COLUMNS},
            embedding=np.stack(vectors, axis=1).astype(np.float32),
        )


def _read_table(run: Path, name: str) -> dict[str, npt.NDArray[Any]]:
    """Read a table of a run, CSV or Parquet, as columns."""
    import pyarrow.csv
    import pyarrow.parquet

    parquet = run / f"{name}.parquet"
    is_parquet = parquet.exists()
    with (parquet if is_parquet else run / f"{name}.csv").open("rb") as file:  # Arrow opens only names in UTF-8
        table = pyarrow.parquet.read_table(file) if is_parquet else pyarrow.csv.read_csv(file)
    return {column: table[column].to_numpy() for column in table.column_names}


def _report_without_series(
    title: str, clusterer: VRAEClusterer, tables: RunTables, metrics: dict[str, Any]
) -> ReportData:
    """Gather a report from the model and the tables alone."""
    model = clusterer.model_
    shuffled = np.random.default_rng(0).permutation(len(tables))
    assignment = tables.at(np.sort(shuffled[:MAX_REPORT_SERIES]))
    label = assignment.static.pop("label", None)
    Z = assignment.embedding
    known = np.isfinite(Z).all(axis=1)
    decoded = model.inverse_transform(Z[known], min(model.n_steps_, _MAX_STEPS))
    curves = np.full((len(Z), *decoded.shape[1:]), np.nan, np.float32)
    curves[known] = decoded
    panel = Panel.from_arrays(curves, ids=assignment.ids.tolist(), static=assignment.static)
    return ReportData(
        title=title,
        panel=panel,
        labels=assignment.labels,
        probabilities=assignment.probabilities,
        embedding=clusterer.space_(Z.astype(np.float64)),
        reconstruction=panel,
        lags=assignment.lags if model.network_.config.max_lag else None,
        history=model.history_,
        selection=clusterer.selection_,
        metrics=metrics,
        truth=label,
        traversal=direction_curves(clusterer),
        from_model=True,
    )


def source_of(data: str, options: dict[str, Any]) -> dict[str, Any]:
    """Describe where series were read from and how, so that a report can be written again."""
    local = data != "-" and "://" not in data
    return {"data": os.path.abspath(data) if local else data, "options": options}
