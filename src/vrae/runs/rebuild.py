"""Make the report of a finished run again, with the series or without them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Panel
from vrae.estimators.clusterer import VRAEClusterer
from vrae.exceptions import InvalidDataError, InvalidParameterError, ModelFileError, name_some
from vrae.persistence import load_model
from vrae.report import ReportData, write_report
from vrae.runs.assignment import Assignment
from vrae.runs.reporting import report_data, traverse
from vrae.runs.sample import sample_series

__all__ = ["read_metrics", "rebuild_report", "source_of"]

# Series that a report of more shows.
_REPORT_SERIES = 20_000
_LONGEST = 1000  # steps of a course that the model draws by itself
_OWN_COLUMNS = ("id", "cluster", "probability", "lag")


def read_metrics(run: Path) -> dict[str, Any]:
    """Return what a run folder's ``metrics.json`` holds.

    Raises
    ------
    InvalidParameterError
        The folder is not one that a run wrote.
    """
    try:
        metrics: dict[str, Any] = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidParameterError(
            f"{run} is not a run folder: no metrics.json that can be read ({type(error).__name__}). Name the folder "
            f"that `vrae cluster` or `vrae demo` wrote."
        ) from None
    return metrics


def rebuild_report(
    run: Path, panels: Iterable[Panel] | None, out: Path | None = None, title: str | None = None
) -> Path:
    """Write the report of a run anew.

    Parameters
    ----------
    run : Path
        A run folder.
    panels : iterable of Panel, or None
        The series of the run, or some of them. None: they are not at hand. The report then draws the model's version
        of each, and says so.
    out : Path, optional
        Where to write; default: the run folder's ``report.html``.
    title : str, optional
        Default: the run's own.

    Returns
    -------
    Path
        Of the report.

    Raises
    ------
    InvalidDataError
        The panels hold series that the run did not.
    InvalidParameterError, ModelFileError, OutputError
        The run folder is not complete, or the report cannot be written.
    """
    metrics = read_metrics(run)
    clusterer = load_model(run / "model")
    if not isinstance(clusterer, VRAEClusterer):
        raise InvalidParameterError(f"{run / 'model'} is a {type(clusterer).__name__}: it has no clusters to report.")
    title = title or metrics.get("title") or f"Clusters of {run.name}"
    placed = _Placed(run)
    if panels is None:
        data = _without_series(title, clusterer, placed, metrics)
    else:
        panel = sample_series(panels, _REPORT_SERIES, seed=0)[0]
        data = report_data(title, clusterer, panel, placed.of(panel.ids), metrics, panel.static.get("label"))
    return write_report(data, out or run / "report.html")


class _Placed:
    """The tables of a run: where each series was placed, by its id as text."""

    def __init__(self, run: Path) -> None:
        try:
            self.clusters = _read(run, "clusters")
            self.embedding = _read(run, "embedding")
        except (OSError, ValueError) as error:
            raise ModelFileError(f"{run}: the tables of the run cannot be read ({error}). Run it again.") from None
        self.row_of = {str(name): row for row, name in enumerate(self.clusters["id"].tolist())}

    def of(self, ids: npt.NDArray[Any]) -> Assignment:
        """Return where the series of these ids were placed.

        Raises
        ------
        InvalidDataError
            Some were not in the run.
        """
        strange = [name for name in ids.tolist() if str(name) not in self.row_of]
        if strange:
            raise InvalidDataError(
                f"{len(strange)} of {len(ids)} series were not in this run, ids {name_some(strange)}. Point to the "
                f"data that were clustered, or place new series with `vrae assign`."
            )
        return self.at(np.array([self.row_of[str(name)] for name in ids.tolist()], np.int64), ids)

    def at(self, rows: npt.NDArray[np.int64], ids: npt.NDArray[Any] | None = None) -> Assignment:
        """Return where the series at these rows of the tables were placed."""
        table = {name: column[rows] for name, column in self.clusters.items()}
        vectors = [column[rows] for name, column in self.embedding.items() if name != "id"]
        return Assignment(
            ids=table["id"] if ids is None else ids,
            labels=table["cluster"].astype(np.int64),
            probabilities=table["probability"].astype(np.float64),
            lags=table["lag"].astype(np.int64),
            static={name: column for name, column in table.items() if name not in _OWN_COLUMNS},
            embedding=np.stack(vectors, axis=1).astype(np.float32),
        )


def _read(run: Path, name: str) -> dict[str, npt.NDArray[Any]]:
    """Read a table of the run, csv or Parquet, as columns."""
    import pyarrow.csv
    import pyarrow.parquet

    parquet = run / f"{name}.parquet"
    is_parquet = parquet.exists()
    with (parquet if is_parquet else run / f"{name}.csv").open("rb") as file:  # Arrow takes names in UTF-8 only
        table = pyarrow.parquet.read_table(file) if is_parquet else pyarrow.csv.read_csv(file)
    return {column: table[column].to_numpy() for column in table.column_names}


def _without_series(title: str, clusterer: VRAEClusterer, placed: _Placed, metrics: dict[str, Any]) -> ReportData:
    """Gather a report from the model and the tables alone."""
    everyone = np.random.default_rng(0).permutation(len(placed.row_of))
    assignment = placed.at(np.sort(everyone[:_REPORT_SERIES]))
    label = assignment.static.pop("label", None)
    Z = assignment.embedding
    known = np.isfinite(Z).all(axis=1)
    drawn = np.asarray(clusterer.inverse_transform(Z[known], min(clusterer.n_steps_, _LONGEST)))
    curves = np.full((len(Z), *drawn.shape[1:]), np.nan, np.float32)
    curves[known] = drawn
    panel = Panel.from_arrays(curves, ids=assignment.ids.tolist(), static=assignment.static)
    return ReportData(
        title=title,
        panel=panel,
        labels=assignment.labels,
        probabilities=assignment.probabilities,
        embedding=clusterer.space_(Z.astype(np.float64)),
        reconstruction=panel,
        lags=assignment.lags if clusterer.max_lag else None,
        history=clusterer.history_,
        selection=clusterer.selection_,
        metrics=metrics,
        truth=label,
        traversal=traverse(clusterer),
        from_model=True,
    )


def source_of(data: str, options: dict[str, Any]) -> dict[str, Any]:
    """Describe where series came from and how they were read, so that the report can be made again."""
    local = data != "-" and "://" not in data
    return {"data": os.path.abspath(data) if local else data, "options": options}
