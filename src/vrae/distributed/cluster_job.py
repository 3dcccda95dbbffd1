"""Cluster series on Ray: fit a model to a sample, and assign all series where they are stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator

from vrae.data.panel import Panel
from vrae.distributed.engine import EngineOptions, Log, connected
from vrae.distributed.job import model_from_bytes, model_to_bytes
from vrae.distributed.model_jobs import finish_job, make_job
from vrae.distributed.operations import AssignAndEmbed
from vrae.distributed.ray_trainer import fit
from vrae.distributed.series import SeriesParts, draw_sample, find_series
from vrae.distributed.staging import SharedFolder, publish, staging_folder
from vrae.estimators.clusterer import VRAEClusterer
from vrae.exceptions import InvalidParameterError
from vrae.runs import Tally, check_run_folder, cluster_in_passes, table_writer

__all__ = ["cluster"]

# Clusterers that assign each series on its own. The others compare all series with each other.
_INDEPENDENT = ("gmm", "kmeans")


def cluster(
    clusterer: VRAEClusterer,
    source: Any,
    out: str | Path,
    n_train: int | None = 20_000,
    *,
    engine: EngineOptions | None = None,
    title: str = "Clusters",
    log: Log = lambda message: None,
    seed: int = 0,
    overwrite: bool = False,
    resume: bool = False,
    origin: dict[str, Any] | None = None,
    also: Callable[[Path], None] = lambda folder: None,
    **options: Any,
) -> dict[str, Any]:
    """Cluster the series of Parquet files, and write a run folder.

    Parameters
    ----------
    clusterer : VRAEClusterer
        Not fitted. Its ``clusterer`` must be "gmm" or "kmeans".
    source : path, URL or pyarrow Dataset
        See `embed`.
    out : path
        Run folder, which all machines must reach, with the content of a ``vrae cluster`` run. Above
        a million series, ``clusters.parquet`` and ``embedding.parquet`` are folders of files
        ``part-00000.parquet``, ... The model and unfinished work stay in ``out`` + ``".partial"``.
        The same call resumes it.
    n_train : int or None, default=20_000
        Number of series to fit to, drawn at random. The number of clusters is chosen from them, and
        the report shows them. None takes all, which must fit into memory.
    engine : EngineOptions, optional
        With several ``train_workers``, these train together; see `fit`.
    title : str, default="Clusters"
        Title of the report.
    log : callable, optional
        Called with a line of text as work proceeds.
    seed : int, default=0
        Seed of the sample.
    overwrite : bool, default=False
        Replace an earlier run.
    resume : bool, default=False
        Resume training in one process; see `vrae.train.checkpoint.Checkpoint`.
    origin : dict, optional
        Where the series came from, for ``vrae report``.
    also : callable, optional
        Called with the folder before it moves into place, to write more files.
    **options
        Options of `vrae.read_panel`, and ``label``.

    Returns
    -------
    dict
        The content of ``metrics.json``.

    Raises
    ------
    InvalidParameterError
        The clusterer compares all series with each other.
    InvalidDataError, OutputError
        See `embed`.
    """
    if clusterer.clusterer not in _INDEPENDENT:
        raise InvalidParameterError(
            f"clusterer={clusterer.clusterer!r} compares all series with each other, which parts of the data cannot "
            f"do: its clusters would be those of the sample. Use 'gmm' or 'kmeans' with engine 'ray', or cluster a "
            f"sample on one machine."
        )
    engine = engine or EngineOptions()
    check_run_folder(Path(out), overwrite, resume)
    with connected(engine), staging_folder(str(out)) as staging:
        series = find_series(source, staging, log, **options)
        passes = _PartedSource(series, staging, engine, log, n_train, seed)
        return cluster_in_passes(clusterer, passes, Path(out), title, log, origin, also)


@dataclass(frozen=True)
class _PartedSource:
    """A `vrae.runs.TwoPassSource` that workers read. Only the sample is sent to this process."""

    series: SeriesParts
    staging: SharedFolder
    engine: EngineOptions
    log: Log
    n_train: int | None
    seed: int
    overview: None = None  # workers read the series

    def sample(self) -> tuple[Panel, int]:
        return draw_sample(self.series, self.n_train, self.seed)

    def fit(self, clusterer: VRAEClusterer, sample: Panel) -> VRAEClusterer:
        """Fit the clusterer, or load what an interrupted run has fitted to the same series."""
        kept = SharedFolder(self.staging.system, self.staging.at("part-model"))
        record = {"fingerprint": _fingerprint(clusterer, sample)}
        if self.staging.read_json("part-model.json") == record:
            self.log("Using the model that an interrupted run has fitted to these series.")
            files = {name: kept.read_bytes(name) for name in kept.names()}
            fitted: VRAEClusterer = model_from_bytes(files).set_params(**clusterer.get_params(deep=False))
            return fitted
        fit(clusterer, sample, engine=self.engine, storage=self.staging.path)
        kept.create()
        for name, content in model_to_bytes(clusterer).items():
            kept.write_bytes(name, content)
        self.staging.write_json("part-model.json", record)
        return clusterer

    def assign_all(self, clusterer: VRAEClusterer, folder: Path, suffix: str) -> Tally:
        """Write both tables in parts, then join or move them into the folder."""
        job = make_job(AssignAndEmbed, clusterer, self.series, self.staging)
        results = finish_job(job, self.engine, self.log)
        for table in AssignAndEmbed.tables:
            files = [part.files[table] for part in results]
            if suffix == "csv":  # few series: one file per table
                _join(self.staging, files, folder / f"{table}.{suffix if table == 'clusters' else 'parquet'}")
            else:
                publish(self.staging, files, str(folder / f"{table}.parquet"))
        return sum((Tally.from_dict(part.summary) for part in results), Tally())


def _join(folder: SharedFolder, files: list[str], target: Path) -> None:
    """Write the rows of several Parquet files into one table, in order."""
    with table_writer(target) as write:
        for file in files:
            with folder.system.open_input_file(folder.at(file)) as opened:  # a path may look like a partition
                table = pq.read_table(opened)
            write({name: table[name].to_numpy() for name in table.column_names})


def _fingerprint(clusterer: VRAEClusterer, sample: Panel) -> str:
    """Return a hash of series, options (except callbacks) and the weights of a frozen model."""
    options = clusterer.get_params()
    if clusterer.model is None:
        options |= {f"model__{name}": value for name, value in clusterer.default_model().get_params().items()}
        del options["model"]
    plain = [(name, value) for name, value in sorted(options.items()) if not isinstance(value, BaseEstimator)]
    found = sha256(repr([pair for pair in plain if not pair[0].endswith("callbacks")]).encode())
    if isinstance(clusterer.model, FrozenEstimator):
        for name, content in sorted(model_to_bytes(clusterer.model.estimator).items()):
            found.update(name.encode() + content)
    found.update(repr(sample.ids.tolist()).encode("utf-8", "replace"))
    found.update(np.ascontiguousarray(sample.values).tobytes())
    return found.hexdigest()
