"""The report of a run: gathered for the page, and written again with the series or without them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Panel
from vrae.describe.verdict import Verdict
from vrae.estimators.assignment import Assignment
from vrae.estimators.clusterer import VRAEClusterer
from vrae.estimators.insight import MAX_REPORT_SERIES
from vrae.estimators.loading import load_model
from vrae.estimators.reporting import gather_report, report_data
from vrae.exceptions import InvalidDataError, InvalidParameterError, ModelFileError, name_some
from vrae.io.folder import read_unchanged
from vrae.phases import announce
from vrae.report import CommandLine, ReportData, heading, write_report
from vrae.runs.result_tables import without_dropped
from vrae.runs.run_metrics import read_metrics
from vrae.runs.run_tables import positions, read_assignment
from vrae.runs.sample import sample_series

__all__ = [
    "MAX_REPORT_SERIES",
    "data_name",
    "gather_run_report",
    "load_clusterer",
    "read_run",
    "rebuild_report",
    "report_of_run",
]

_MAX_DECODED = 1000  # of a series that is decoded because the original is not available


def rebuild_report(
    run: Path,
    panels: Iterable[Panel] | None,
    out: Path | None = None,
    title: str | None = None,
    notice: str = "",
    typed: Path | None = None,
) -> Path:
    """Write the report of a run again, to ``report.html`` or to ``out``, and return the file.

    ``panels`` are the series of the run, or some of them. None: they are not available. The report
    then shows their reconstructions, and says so. It shows ``notice`` at its beginning. Commands in
    it name the folder as the user ``typed`` it, by default ``run``.
    """
    metrics, clusterer, everything = read_run(run)
    panel = None if panels is None else sample_series(panels, MAX_REPORT_SERIES, seed=0)[0]
    data = report_of_run(clusterer, panel, everything, metrics, typed or run)
    return write_report(replace(data, title=title or data.title, notice=notice), out or run / "report.html")


def report_of_run(
    clusterer: VRAEClusterer,
    panel: Panel | None,
    everything: Assignment,
    metrics: dict[str, Any],
    run: Path,
    judged: Verdict | None = None,
) -> ReportData:
    """Gather the report of a run from its parts; see `rebuild_report`.

    ``everything`` has all series of the run, ``panel`` those to show. ``judged`` is the verdict on
    the clusters, if it is known.
    """
    announce("Report")
    if panel is None:
        return _report_without_series(clusterer, everything, metrics, run, judged)
    panel = without_dropped(clusterer.model_, panel)
    found = _look_up(everything, panel.ids)
    return gather_run_report(clusterer, panel, found, metrics, run, panel.static.get("label"), judged)


def gather_run_report(
    clusterer: VRAEClusterer,
    panel: Panel,
    assignment: Assignment,
    metrics: dict[str, Any],
    run: Path,
    truth: npt.NDArray[Any] | None,
    judged: Verdict | None = None,
) -> ReportData:
    """Gather the report of a run. ``run`` is its folder as the user typed it."""
    commands = CommandLine(str(run), metrics.get("source") or {})
    data = gather_report("", clusterer, panel, assignment, metrics, truth, commands=commands, judged=judged)
    return _with_title(data, metrics, run)


def data_name(data: str) -> str:
    """Return a name for DATA of the command line: that of its file or folder, without ending."""
    parts = [part for part in data.replace("\\", "/").split("/") if part.strip(".") and not set("*?[") & set(part)]
    name = parts[-1] if parts else ""
    return name.split(".")[0] or name if data != "-" and name else "Series"


def _with_title(data: ReportData, metrics: dict[str, Any], run: Path) -> ReportData:
    """Add a title that says what was found."""
    name = str(metrics.get("title") or run.name).removeprefix("Clusters of ")
    return replace(data, title=heading(name, data.n_chosen, data.verdict.is_clear))


def read_run(run: Path) -> tuple[dict[str, Any], VRAEClusterer, Assignment]:
    """Return metrics, clusterer and tables of a run, after a check that they belong together.

    They are those of one run, also if another process changes it meanwhile.
    """
    return read_unchanged(run, ("metrics.json",), lambda: _read_parts(run))


def _read_parts(run: Path) -> tuple[dict[str, Any], VRAEClusterer, Assignment]:
    metrics, clusterer, everything = read_metrics(run), load_clusterer(run), read_assignment(run)
    n_clusters, size = clusterer.n_clusters_, clusterer.model_.network_.config.latent_size
    if metrics["n_clusters"] != n_clusters or everything.labels.max(initial=-1) >= n_clusters:
        raise ModelFileError(
            f"{run}: the model has {n_clusters} clusters, and metrics.json or the table of clusters has others. Were "
            f"files of another run copied here? Cluster again."
        )
    if everything.embedding.shape[1] != size:
        raise ModelFileError(
            f"{run}: the model has {size} latent dimensions, and embedding.parquet {everything.embedding.shape[1]}. "
            f"Was a file of another run copied here? Cluster again."
        )
    return metrics, clusterer, everything


def load_clusterer(run: Path) -> VRAEClusterer:
    """Load the clusterer of a run folder."""
    clusterer = load_model(run / "model")
    if not isinstance(clusterer, VRAEClusterer):
        raise InvalidParameterError(f"{run / 'model'} is a {type(clusterer).__name__}, which has no clusters.")
    return clusterer


def _look_up(everything: Assignment, ids: npt.NDArray[Any]) -> Assignment:
    """Return the clusters of series by their ids, compared as text."""
    rows = positions(everything.ids, ids)
    unknown = ids[rows < 0]
    if len(unknown):
        raise InvalidDataError(
            f"{len(unknown)} of {len(ids)} series were not in this run, ids {name_some(unknown)}. Pass the data "
            f"that were clustered, or assign new series with `vrae assign`."
        )
    return everything.select(rows)


def _report_without_series(
    clusterer: VRAEClusterer,
    everything: Assignment,
    metrics: dict[str, Any],
    run: Path,
    judged: Verdict | None,
) -> ReportData:
    """Gather a report from the model and the tables alone."""
    model = clusterer.model_
    shuffled = np.random.default_rng(0).permutation(len(everything))
    assignment = everything.select(np.sort(shuffled[:MAX_REPORT_SERIES]))
    label = assignment.static.pop("label", None)
    Z = assignment.embedding
    known = np.isfinite(Z).all(axis=1)
    decoded = model.inverse_transform(Z[known], min(model.n_steps_, _MAX_DECODED))
    curves = np.full((len(Z), *decoded.shape[1:]), np.nan, decoded.dtype)
    curves[known] = decoded
    panel = Panel.from_arrays(curves, ids=assignment.ids.tolist(), static=assignment.static)
    commands = CommandLine(str(run), metrics.get("source") or {})
    shown: dict[str, Any] = {
        "panel": panel,
        "reconstruction": panel,
        "from_model": True,
        "commands": commands,
        "judged": judged,
    }
    return _with_title(report_data("", clusterer, assignment, metrics, label, **shown), metrics, run)
