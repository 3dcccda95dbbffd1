"""Cluster series, and write a complete run folder or none."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vrae.data.overview import Overview
from vrae.data.panel import Panel, invalid_series
from vrae.estimators.assignment import Assignment, assign
from vrae.estimators.clusterer import VRAEClusterer
from vrae.exceptions import OutputError, name_some
from vrae.io.atomic import HIDDEN, atomic_directory, is_there, only_writer
from vrae.io.model_files import check_checkpoint_replaceable, check_replaceable
from vrae.metrics import agreement, raw_kmeans
from vrae.phases import advance, announce, one_phase
from vrae.report import write_report
from vrae.runs.fingerprint import fingerprint
from vrae.runs.output_folder import is_marked
from vrae.runs.result_tables import embedding_columns, map_panels, without_dropped, write_model
from vrae.runs.run_metrics import Tally, add_verdict, write_metrics
from vrae.runs.run_report import MAX_REPORT_SERIES, gather_run_report
from vrae.runs.sample import sample_series
from vrae.runs.table_files import table_writer, write_columns

__all__ = [
    "CHECKPOINT",
    "RUN_FILES",
    "TwoPassSource",
    "check_run_folder",
    "claim_run_folder",
    "cluster_in_passes",
    "cluster_panel",
    "cluster_stream",
    "source_of",
]

# Folder in which training is saved until the run is complete.
CHECKPOINT = "checkpoint"

# All that a run folder holds.
RUN_FILES = {
    *("clusters.csv", "clusters.parquet", "config.toml", "embedding.parquet"),
    *("history.csv", "metrics.json", "model", "report.html"),
}
# A table with more rows than a spreadsheet opens is written as Parquet.
_CSV_ROWS = 1_000_000

Log = Callable[[str], None]
Also = Callable[[Path], None]  # writes more files into a folder before it moves into place
Labels = npt.NDArray[Any]
Facts = dict[str, Any]


@contextmanager
def claim_run_folder(out: Path, overwrite: bool, resume: bool = False, *, rolling: bool = False) -> Iterator[None]:
    """Keep other processes away from a run folder while it is written; see `check_run_folder`."""
    with only_writer(out):
        check_run_folder(out, overwrite, resume, rolling=rolling)
        yield


def check_run_folder(out: Path, overwrite: bool, resume: bool = False, *, rolling: bool = False) -> None:
    """Refuse a folder with other content, or an earlier run. Call it before long work.

    With ``rolling``, a complete run may be replaced if vrae wrote all of its files.
    """
    if not is_there(out):
        return
    folder = out.is_dir()
    names = {path.name for path in out.iterdir() if not path.name.startswith(HIDDEN)} if folder else set()
    complete, interrupted = is_marked(out / "metrics.json", '"n_series"'), CHECKPOINT in names
    foreign = names - RUN_FILES - {CHECKPOINT}
    if not folder or (names and not complete and (foreign or not interrupted)):
        problem = "exists and is not a run folder. Choose another --out."
    elif overwrite and foreign:
        some = name_some(sorted(foreign))
        problem = f"contains files that vrae did not write: {some}. Move them away, or choose another --out."
    elif overwrite or (resume and interrupted) or not names or (rolling and not (resume or foreign or interrupted)):
        check_replaceable(out / "model")
        check_checkpoint_replaceable(out / CHECKPOINT)
        return
    elif interrupted:
        problem = "holds an interrupted run. Add --resume to continue it, or --overwrite to start over."
    elif resume:
        problem = (
            "holds a complete run, so there is nothing to resume. Replace --resume by --overwrite to run it again."
        )
    else:
        problem = "holds an earlier run. Choose another --out, or add --overwrite to replace it."
    raise OutputError(f"{out} {problem} Nothing was changed.")


def source_of(data: str, options: Facts) -> Facts:
    """Describe where series were read from and how, so that a report can be written again."""
    local = data != "-" and "://" not in data
    place = os.path.abspath(data) if local else data
    return {"data": place, "options": options, "fingerprint": fingerprint(place)}


def cluster_panel(
    clusterer: VRAEClusterer,
    panel: Panel,
    truth: Labels | None,
    out: Path,
    title: str,
    source: Facts | None = None,
    also: Also = lambda folder: None,
) -> Facts:
    """Cluster a panel, and write a run folder, completely or not at all. Return its metrics.

    ``truth`` (n_series,) are known classes to compare with. ``source`` is kept for `vrae report`;
    see `source_of`. ``also`` writes more files into the folder, before it moves into place.
    """
    started = time.perf_counter()
    clusterer.fit(panel)
    if truth is not None and clusterer.model_.on_invalid == "drop":
        truth = truth[~invalid_series(panel)]
    panel = without_dropped(clusterer.model_, panel)
    assignment = assign(clusterer, panel, clusterer.embedding_)
    tally = Tally()
    tally.add(panel, assignment, truth)
    metrics = tally.metrics(clusterer, time.perf_counter() - started)
    metrics |= {**_about_data(panel.overview()), **_comparisons(clusterer, panel, truth, title, source)}
    judged = add_verdict(metrics, clusterer, out)
    announce("Report")
    with atomic_directory(out) as folder:
        write_model(clusterer, folder)
        write_columns(assignment.columns(), folder / "clusters.csv")
        write_columns(embedding_columns(assignment.ids, assignment.embedding), folder / "embedding.parquet")
        write_metrics(metrics, folder)
        report = gather_run_report(clusterer, panel, assignment, metrics, out, truth, judged)
        write_report(report, folder / "report.html")
        also(folder)
    return metrics


class TwoPassSource(Protocol):
    """Series that are read twice: once for a sample to train on, and once to assign them all."""

    @property
    def overview(self) -> Overview | None:
        """Facts about all series, once they have been read, if they were read here."""

    def sample(self) -> tuple[Panel, int]:
        """Return the series to train on, and the number of all series."""

    def fit(self, clusterer: VRAEClusterer, sample: Panel) -> VRAEClusterer:
        """Return the clusterer, fitted to the sample."""

    def assign_all(self, clusterer: VRAEClusterer, folder: Path, suffix: str) -> Tally:
        """Write ``clusters`` (suffix: csv or parquet) and ``embedding.parquet`` into a folder."""


def cluster_in_passes(
    clusterer: VRAEClusterer,
    series: TwoPassSource,
    out: Path,
    title: str,
    log: Log = lambda message: None,
    source: Facts | None = None,
    also: Also = lambda folder: None,
) -> Facts:
    """Fit a clusterer to a sample, assign all series, and write a run folder. Return its metrics.

    Counts are over all series. The silhouette and the k-means baseline are computed on the sample,
    which has ``n_trained`` series. The report shows up to 20,000 of them. For ``also``, see
    `cluster_panel`.
    """
    started = time.perf_counter()
    announce("Reading")
    sample, total = series.sample()
    log(f"Training on {len(sample):,} of {total:,} series: {sample!r}")
    clusterer = series.fit(clusterer, sample)
    sample = without_dropped(clusterer.model_, sample)
    with atomic_directory(out) as folder:
        write_model(clusterer, folder)
        announce("Assigning")
        tally = series.assign_all(clusterer, folder, "csv" if total <= _CSV_ROWS else "parquet")
        metrics = tally.metrics(clusterer, time.perf_counter() - started)
        metrics["n_trained"] = len(sample)
        if series.overview is not None:
            metrics |= _about_data(series.overview)
        metrics |= _comparisons(clusterer, sample, sample.static.get("label"), title, source)
        judged = add_verdict(metrics, clusterer, out)
        announce("Report")
        write_metrics(metrics, folder)
        indices = np.arange(0, len(sample), -(-len(sample) // MAX_REPORT_SERIES))
        shown = sample if len(indices) == len(sample) else sample.select(indices)
        assignment = assign(clusterer, shown, clusterer.embedding_[indices])
        report = gather_run_report(clusterer, shown, assignment, metrics, out, shown.static.get("label"), judged)
        write_report(report, folder / "report.html")
        also(folder)
    return metrics


def cluster_stream(
    clusterer: VRAEClusterer,
    panels: Callable[[], Iterable[Panel]],
    n_train: int,
    seed: int,
    out: Path,
    title: str,
    log: Log = lambda message: None,
    source: Facts | None = None,
    also: Also = lambda folder: None,
) -> Facts:
    """Cluster more series than fit into memory; see `cluster_in_passes`.

    ``panels`` returns the same panels each time. Their static column ``label``, if there is one,
    holds known classes.
    """
    return cluster_in_passes(clusterer, _Stream(panels, n_train, seed), out, title, log, source, also)


@dataclass
class _Stream:
    """A stream of panels, read twice in this process."""

    panels: Callable[[], Iterable[Panel]]
    n_train: int
    seed: int
    total: int | None = None  # number of series, once they have been read
    overview: Overview | None = None

    def sample(self) -> tuple[Panel, int]:
        sample, self.total = sample_series(self.panels(), self.n_train, self.seed)
        return sample, self.total

    def fit(self, clusterer: VRAEClusterer, sample: Panel) -> VRAEClusterer:
        return clusterer.fit(sample)

    def assign_all(self, clusterer: VRAEClusterer, folder: Path, suffix: str) -> Tally:
        def work(panel: Panel) -> tuple[Panel, Assignment]:
            return panel, assign(clusterer, panel, every=True)

        tally = Tally()
        with (
            table_writer(folder / f"clusters.{suffix}") as write_clusters,
            table_writer(folder / "embedding.parquet") as write_embedding,
        ):
            for panel, assignment in map_panels(clusterer.model_, work, self.panels()):
                write_clusters(assignment.columns())
                write_embedding(embedding_columns(assignment.ids, assignment.embedding))
                tally.add(panel, assignment, assignment.static.get("label"))
                self.overview = panel.overview() if self.overview is None else self.overview.merged(panel.overview())
                advance(tally.n_series, self.total, "series")
        return tally


def _about_data(overview: Overview) -> Facts:
    """Return what was read, in words, and the part of the steps that had no row and got a value."""
    filled = {"filled_in": {"share": overview.filled_in, "value": overview.fill}} if overview.filled_in else {}
    return {"data": overview.lines(), **filled}


def _comparisons(
    clusterer: VRAEClusterer, panel: Panel, truth: Labels | None, title: str, source: Facts | None
) -> Facts:
    """Return the metrics that take further clusterings, the title and the source."""
    with one_phase("Stability"):
        metrics = {"title": title, "stability": clusterer.stability(panel), "source": source}
    if truth is not None:
        metrics["raw_kmeans"] = agreement(truth, raw_kmeans(panel.to_padded(), clusterer.n_clusters_))
    return metrics
