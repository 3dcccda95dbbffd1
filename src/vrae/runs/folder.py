"""Cluster series, and leave a complete run folder or none."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Panel
from vrae.estimators.clusterer import VRAEClusterer
from vrae.evaluate import agreement, raw_kmeans
from vrae.exceptions import OutputError, name_some
from vrae.runs.assignment import Tally, assign
from vrae.runs.reporting import write_run_report
from vrae.runs.sample import sample_series
from vrae.runs.stability import stability
from vrae.runs.tables import embedding_columns, table_writer, write_history
from vrae.storage import HIDDEN, atomic_directory, is_there, only_writer

__all__ = [
    "CHECKPOINT",
    "Passes",
    "check_run_folder",
    "claim_run_folder",
    "cluster_in_passes",
    "cluster_panel",
    "cluster_stream",
]

# Series that a report of more shows.
_REPORT_SERIES = 20_000
# Where training is saved until the run is complete.
CHECKPOINT = "checkpoint"
_RESULTS = {
    *("clusters.csv", "clusters.parquet", "config.toml", "embedding.parquet"),
    *("history.csv", "metrics.json", "model", "report.html"),
}
# More rows than a spreadsheet opens are written as Parquet.
_CSV_ROWS = 1_000_000


@contextmanager
def claim_run_folder(out: Path, overwrite: bool, resume: bool = False) -> Iterator[None]:
    """Keep other processes away from a run folder while it is made; see `check_run_folder`.

    Raises
    ------
    OutputError
        Also if another process is at it.
    """
    with only_writer(out):
        check_run_folder(out, overwrite, resume)
        yield


def check_run_folder(out: Path, overwrite: bool, resume: bool = False) -> None:
    """Refuse a place that holds something else, before any work is done.

    Raises
    ------
    OutputError
        A file, a folder of something else, an earlier run without ``overwrite``, or one that was stopped without
        ``resume``.
    """
    if not is_there(out):
        return
    if not out.is_dir():
        raise OutputError(f"{out} exists and is not a run folder. Choose another --out; nothing was changed.")
    names = {path.name for path in out.iterdir() if not path.name.startswith(HIDDEN)}
    complete, stopped = "metrics.json" in names, CHECKPOINT in names
    foreign = names - _RESULTS - {CHECKPOINT}
    if names and not complete and (foreign or not stopped):
        raise OutputError(f"{out} exists and is not a run folder. Choose another --out; nothing was changed.")
    if overwrite and foreign:
        raise OutputError(
            f"{out} holds files that no run wrote: {name_some(sorted(foreign))}. Move them away, or choose another "
            f"--out; nothing was changed."
        )
    if overwrite or (resume and stopped) or not names:
        return
    if stopped:
        raise OutputError(
            f"{out} holds a run that was stopped. Add --resume to go on with it, or --overwrite to begin anew; nothing "
            f"was changed."
        )
    if resume:
        raise OutputError(
            f"{out} holds a complete run: there is nothing to go on with. --overwrite, in place of --resume, makes it "
            f"again; nothing was changed."
        )
    raise OutputError(
        f"{out} holds an earlier run. Choose another --out, or add --overwrite to replace it; nothing was changed."
    )


def cluster_panel(
    clusterer: VRAEClusterer,
    panel: Panel,
    truth: npt.NDArray[Any] | None,
    out: Path,
    title: str,
    source: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Cluster a panel and write a run folder, all or nothing.

    Parameters
    ----------
    clusterer : VRAEClusterer
        Is fitted to all series of the panel.
    panel : Panel
    truth : ndarray of shape (n_series,) or None
        Known classes, to compare with.
    out : Path
    title : str
        Of the report.
    source : dict, optional
        Where the series came from, see `source_of`; kept for `rebuild_report`.

    Returns
    -------
    dict
        What ``metrics.json`` holds.
    """
    started = time.perf_counter()
    clusterer.fit(panel)
    assignment = assign(clusterer, panel)
    tally = Tally()
    tally.add(panel, assignment, truth)
    metrics = tally.metrics(clusterer, time.perf_counter() - started, assignment.labels)
    metrics |= {"title": title, "stability": stability(clusterer), "source": source}
    _add_baseline(metrics, clusterer, panel, truth)
    with atomic_directory(out) as folder:
        clusterer.save(folder / "model")
        write_history(clusterer, folder / "history.csv")
        with table_writer(folder / "clusters.csv") as write:
            write(assignment.columns())
        with table_writer(folder / "embedding.parquet") as write:
            write(embedding_columns(clusterer, panel.ids, clusterer.embedding_))
        _write_metrics(metrics, folder)
        write_run_report(folder, title, clusterer, panel, assignment, metrics, truth)
    return metrics


def cluster_stream(
    clusterer: VRAEClusterer,
    panels: Callable[[], Iterable[Panel]],
    n_train: int,
    seed: int,
    out: Path,
    title: str,
    tell: Callable[[str], None] = lambda message: None,
    source: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Cluster more series than fit into memory, and write a run folder, all or nothing.

    The series pass by twice: once to draw a sample, to which the clusterer is fitted, and once to be embedded and
    placed. The report shows the sample, at most 20,000 series of it.

    Parameters
    ----------
    clusterer : VRAEClusterer
    panels : callable
        Returns the panels, the same each time; classes, if known, are their static column ``label``.
    n_train : int
        Series to train on.
    seed : int
        Of the sample.
    out : Path
        ``clusters.parquet`` takes the place of ``clusters.csv`` where there are over a million series.
    title : str
        Of the report.
    tell : callable, optional
        Is given a line on how many series are trained on.
    source : dict, optional
        See `cluster_panel`.

    Returns
    -------
    dict
        What ``metrics.json`` holds: counts are over all series; ``n_trained`` is the size of the sample, on which
        the silhouette and the k-means baseline are worked out.
    """
    return cluster_in_passes(clusterer, _Streamed(panels, n_train, seed), out, title, tell, source)


class Passes(Protocol):
    """Series that pass by twice, wherever they are and whoever looks at them."""

    def sample(self) -> tuple[Panel, int]:
        """Return the series to train on, and how many there are in all."""

    def fit(self, clusterer: VRAEClusterer, sample: Panel) -> VRAEClusterer:
        """Return the clusterer, fitted to the sample."""

    def place(self, clusterer: VRAEClusterer, folder: Path, suffix: str) -> Tally:
        """Write ``clusters`` (csv or parquet, by the suffix) and ``embedding.parquet`` into a folder."""


def cluster_in_passes(
    clusterer: VRAEClusterer,
    passes: Passes,
    out: Path,
    title: str,
    tell: Callable[[str], None] = lambda message: None,
    source: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Draw a sample of the series, fit a clusterer to it, and place all of them; see `cluster_stream`."""
    started = time.perf_counter()
    sample, total = passes.sample()
    tell(f"Training on {len(sample):,} of {total:,} series: {sample!r}")
    clusterer = passes.fit(clusterer, sample)
    with atomic_directory(out) as folder:
        clusterer.save(folder / "model")
        write_history(clusterer, folder / "history.csv")
        tally = passes.place(clusterer, folder, "csv" if total <= _CSV_ROWS else "parquet")
        truth = sample.static.get("label")
        metrics = tally.metrics(clusterer, time.perf_counter() - started)
        metrics["n_trained"] = len(sample)
        metrics |= {"title": title, "stability": stability(clusterer), "source": source}
        _add_baseline(metrics, clusterer, sample, truth)
        _write_metrics(metrics, folder)
        rows = np.arange(0, len(sample), -(-len(sample) // _REPORT_SERIES))
        shown = sample if len(rows) == len(sample) else sample.select(rows)
        known = None if truth is None else np.asarray(truth)[rows]
        assignment = assign(clusterer, shown, clusterer.embedding_[rows])
        write_run_report(folder, title, clusterer, shown, assignment, metrics, known)
    return metrics


class _Streamed:
    """Passes over a stream of panels, in this process."""

    def __init__(self, panels: Callable[[], Iterable[Panel]], n_train: int, seed: int) -> None:
        self._panels, self._n_train, self._seed = panels, n_train, seed

    def sample(self) -> tuple[Panel, int]:
        return sample_series(self._panels(), self._n_train, self._seed)

    def fit(self, clusterer: VRAEClusterer, sample: Panel) -> VRAEClusterer:
        return clusterer.fit(sample)

    def place(self, clusterer: VRAEClusterer, folder: Path, suffix: str) -> Tally:
        """Write a row for every series as they pass by, and count them."""
        tally = Tally()
        with (
            table_writer(folder / f"clusters.{suffix}") as write_cluster,
            table_writer(folder / "embedding.parquet") as write_embedding,
        ):
            for panel in self._panels():
                assignment = assign(clusterer, panel)
                write_cluster(assignment.columns())
                write_embedding(embedding_columns(clusterer, panel.ids, assignment.embedding))
                tally.add(panel, assignment, panel.static.get("label"))
        return tally


def _add_baseline(
    metrics: dict[str, Any], clusterer: VRAEClusterer, panel: Panel, truth: npt.NDArray[Any] | None
) -> None:
    if truth is not None:
        metrics["raw_kmeans"] = agreement(truth, raw_kmeans(panel.to_padded(), clusterer.n_clusters_))


def _write_metrics(metrics: dict[str, Any], folder: Path) -> None:
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
