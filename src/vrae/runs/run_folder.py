"""Cluster series, and write a complete run folder or none."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Panel
from vrae.estimators.clusterer import VRAEClusterer
from vrae.exceptions import OutputError, name_some
from vrae.io.atomic import HIDDEN, atomic_directory, is_there, only_writer
from vrae.metrics import agreement, raw_kmeans
from vrae.report import write_report
from vrae.runs.assignment import Assignment, assign, kept_indices
from vrae.runs.result_tables import embedding_columns, write_history
from vrae.runs.run_metrics import Tally, stability, write_metrics
from vrae.runs.run_report import MAX_REPORT_SERIES, gather_report
from vrae.runs.sample import sample_series
from vrae.runs.table_files import table_writer, write_columns

__all__ = [
    "CHECKPOINT",
    "TwoPassSource",
    "check_run_folder",
    "claim_run_folder",
    "cluster_in_passes",
    "cluster_panel",
    "cluster_stream",
]

CHECKPOINT = "checkpoint"
"""Folder in which training is saved until the run is complete."""

_RESULTS = {
    *("clusters.csv", "clusters.parquet", "config.toml", "embedding.parquet"),
    *("history.csv", "metrics.json", "model", "report.html"),
}
# A table with more rows than a spreadsheet opens is written as Parquet.
_CSV_ROWS = 1_000_000

Log = Callable[[str], None]
Labels = npt.NDArray[Any]


@contextmanager
def claim_run_folder(out: Path, overwrite: bool, resume: bool = False) -> Iterator[None]:
    """Keep other processes away from a run folder while it is written; see `check_run_folder`.

    Raises
    ------
    OutputError
        Also if another process is writing it.
    """
    with only_writer(out):
        check_run_folder(out, overwrite, resume)
        yield


def check_run_folder(out: Path, overwrite: bool, resume: bool = False) -> None:
    """Refuse a folder with other content. Call it before long work.

    Raises
    ------
    OutputError
        ``out`` is a file, a folder with other content, an earlier run without ``overwrite``, or an
        interrupted run without ``resume``.
    """
    if not is_there(out):
        return
    if not out.is_dir():
        raise OutputError(f"{out} exists and is not a run folder. Choose another --out. Nothing was changed.")
    names = {path.name for path in out.iterdir() if not path.name.startswith(HIDDEN)}
    complete, interrupted = "metrics.json" in names, CHECKPOINT in names
    foreign = names - _RESULTS - {CHECKPOINT}
    if names and not complete and (foreign or not interrupted):
        raise OutputError(f"{out} exists and is not a run folder. Choose another --out. Nothing was changed.")
    if overwrite and foreign:
        raise OutputError(
            f"{out} contains files that vrae did not write: {name_some(sorted(foreign))}. Move them away, or choose "
            f"another --out. Nothing was changed."
        )
    if overwrite or (resume and interrupted) or not names:
        return
    if interrupted:
        raise OutputError(
            f"{out} holds an interrupted run. Add --resume to continue it, or --overwrite to start over. Nothing was "
            f"changed."
        )
    if resume:
        raise OutputError(
            f"{out} holds a complete run, so there is nothing to resume. Replace --resume by --overwrite to run it "
            f"again. Nothing was changed."
        )
    raise OutputError(
        f"{out} holds an earlier run. Choose another --out, or add --overwrite to replace it. Nothing was changed."
    )


def cluster_panel(
    clusterer: VRAEClusterer,
    panel: Panel,
    truth: Labels | None,
    out: Path,
    title: str,
    source: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Cluster a panel, and write a run folder, completely or not at all.

    Parameters
    ----------
    clusterer : VRAEClusterer
        Is fitted to all series of the panel.
    panel : Panel
    truth : ndarray of shape (n_series,) or None
        Known classes, to compare with.
    out : Path
        The run folder.
    title : str
        Title of the report.
    source : dict, optional
        Where the series came from; see `source_of`. Kept for `rebuild_report`.

    Returns
    -------
    dict
        The content of ``metrics.json``.
    """
    started = time.perf_counter()
    panel, truth = _fit(clusterer, panel, truth)
    assignment = assign(clusterer, panel, clusterer.embedding_)
    tally = Tally()
    tally.add(panel, assignment, truth)
    metrics = tally.metrics(clusterer, time.perf_counter() - started)
    metrics |= _comparisons(clusterer, panel, truth, title, source)
    with atomic_directory(out) as folder:
        _write_model(clusterer, folder)
        write_columns(assignment.columns(), folder / "clusters.csv")
        write_columns(embedding_columns(assignment.ids, assignment.embedding), folder / "embedding.parquet")
        write_metrics(metrics, folder)
        _write_report(folder, title, clusterer, panel, assignment, metrics, truth)
    return metrics


class TwoPassSource(Protocol):
    """Series that are read twice: once for a sample to train on, and once to assign them all."""

    def sample(self) -> tuple[Panel, int]:
        """Return the series to train on, and the number of all series."""

    def fit(self, clusterer: VRAEClusterer, sample: Panel) -> VRAEClusterer:
        """Return the clusterer, fitted to the sample."""

    def assign_all(self, clusterer: VRAEClusterer, folder: Path, suffix: str) -> Tally:
        """Write ``clusters`` (suffix: csv or parquet) and ``embedding.parquet`` into a folder."""


def cluster_stream(
    clusterer: VRAEClusterer,
    panels: Callable[[], Iterable[Panel]],
    n_train: int,
    seed: int,
    out: Path,
    title: str,
    log: Log = lambda message: None,
    source: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Cluster more series than fit into memory, and write a run folder, completely or not at all.

    The series are read twice: once to draw a sample, to which the clusterer is fitted, and once to
    embed and assign all of them. The report shows the sample, up to 20,000 series.

    Parameters
    ----------
    clusterer : VRAEClusterer
    panels : callable
        Returns an iterable of panels, the same each time. Their static column ``label``, if there
        is one, holds known classes.
    n_train : int
        Number of series to train on.
    seed : int
        Seed of the sample.
    out : Path
        The run folder. For more than a million series, ``clusters.parquet`` replaces
        ``clusters.csv``.
    title : str
        Title of the report.
    log : callable, optional
        Gets a message about the size of the sample.
    source : dict, optional
        See `cluster_panel`.

    Returns
    -------
    dict
        The content of ``metrics.json``. Counts are over all series. The silhouette and the k-means
        baseline are computed on the sample, which has ``n_trained`` series.
    """
    return cluster_in_passes(clusterer, _Stream(panels, n_train, seed), out, title, log, source)


def cluster_in_passes(
    clusterer: VRAEClusterer,
    series: TwoPassSource,
    out: Path,
    title: str,
    log: Log = lambda message: None,
    source: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Fit a clusterer to a sample, and assign all series; see `cluster_stream`."""
    started = time.perf_counter()
    sample, total = series.sample()
    log(f"Training on {len(sample):,} of {total:,} series: {sample!r}")
    clusterer = series.fit(clusterer, sample)
    sample = _kept(clusterer, sample)
    with atomic_directory(out) as folder:
        _write_model(clusterer, folder)
        tally = series.assign_all(clusterer, folder, "csv" if total <= _CSV_ROWS else "parquet")
        metrics = tally.metrics(clusterer, time.perf_counter() - started)
        metrics["n_trained"] = len(sample)
        metrics |= _comparisons(clusterer, sample, sample.static.get("label"), title, source)
        write_metrics(metrics, folder)
        indices = np.arange(0, len(sample), -(-len(sample) // MAX_REPORT_SERIES))
        shown = sample if len(indices) == len(sample) else sample.select(indices)
        assignment = assign(clusterer, shown, clusterer.embedding_[indices])
        _write_report(folder, title, clusterer, shown, assignment, metrics, shown.static.get("label"))
    return metrics


class _Stream:
    """A stream of panels, read twice in this process."""

    def __init__(self, panels: Callable[[], Iterable[Panel]], n_train: int, seed: int) -> None:
        self._panels, self._n_train, self._seed = panels, n_train, seed

    def sample(self) -> tuple[Panel, int]:
        return sample_series(self._panels(), self._n_train, self._seed)

    def fit(self, clusterer: VRAEClusterer, sample: Panel) -> VRAEClusterer:
        return clusterer.fit(sample)

    def assign_all(self, clusterer: VRAEClusterer, folder: Path, suffix: str) -> Tally:
        tally = Tally()
        with (
            table_writer(folder / f"clusters.{suffix}") as write_clusters,
            table_writer(folder / "embedding.parquet") as write_embedding,
        ):
            for panel in self._panels():
                assignment = assign(clusterer, panel)
                write_clusters(assignment.columns())
                write_embedding(embedding_columns(assignment.ids, assignment.embedding))
                tally.add(panel, assignment, assignment.static.get("label"))
        return tally


def _fit(clusterer: VRAEClusterer, panel: Panel, truth: Labels | None) -> tuple[Panel, Labels | None]:
    """Fit a clusterer, and return the series and classes that it did not drop."""
    clusterer.fit(panel)
    if truth is not None:
        truth = truth[kept_indices(clusterer.model_, panel)]
    return _kept(clusterer, panel), truth


def _kept(clusterer: VRAEClusterer, panel: Panel) -> Panel:
    indices = kept_indices(clusterer.model_, panel)
    return panel if len(indices) == len(panel) else panel.select(indices)


def _comparisons(
    clusterer: VRAEClusterer, panel: Panel, truth: Labels | None, title: str, source: dict[str, Any] | None
) -> dict[str, Any]:
    """Return the metrics that take further clusterings, the title and the source."""
    metrics = {"title": title, "stability": stability(clusterer), "source": source}
    if truth is not None:
        metrics["raw_kmeans"] = agreement(truth, raw_kmeans(panel.to_padded(), clusterer.n_clusters_))
    return metrics


def _write_model(clusterer: VRAEClusterer, folder: Path) -> None:
    clusterer.save(folder / "model")
    write_history(clusterer.model_, folder / "history.csv")


def _write_report(
    folder: Path,
    title: str,
    clusterer: VRAEClusterer,
    panel: Panel,
    assignment: Assignment,
    metrics: dict[str, Any],
    truth: Labels | None,
) -> None:
    write_report(gather_report(title, clusterer, panel, assignment, metrics, truth), folder / "report.html")
