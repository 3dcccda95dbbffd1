"""Cluster series on Ray: learn from a sample, and place all of them where they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from hashlib import sha256
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from vrae.data.panel import Panel
from vrae.distributed.applying import finish, job_of, publish, workshop_of
from vrae.distributed.engine import Engine, connected
from vrae.distributed.sampling import sample
from vrae.distributed.series import Series, find_series
from vrae.distributed.training import fit
from vrae.distributed.verbs import Place
from vrae.distributed.work import Done, Folder, load_bytes, model_bytes
from vrae.estimators.clusterer import VRAEClusterer
from vrae.exceptions import InvalidParameterError
from vrae.runs import Tally, check_run_folder, cluster_in_passes, table_writer

__all__ = ["cluster"]

# Clusterers that say of a series on its own where it belongs. The others compare all with all.
_SHARED = ("gmm", "kmeans")


def cluster(
    clusterer: VRAEClusterer,
    source: Any,
    out: str | Path,
    n_train: int | None = 20_000,
    *,
    engine: Engine | None = None,
    title: str = "Clusters",
    tell: Callable[[str], None] = lambda message: None,
    seed: int = 0,
    overwrite: bool = False,
    resume: bool = False,
    origin: dict[str, Any] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Cluster the series of Parquet files, and write a run folder.

    Parameters
    ----------
    clusterer : VRAEClusterer
        Not fitted. Its ``clusterer`` is "gmm" or "kmeans".
    source : path, URL or pyarrow Dataset
        See `embed`.
    out : path
        Run folder, which all machines must reach. Up to a million series, it is what ``vrae cluster`` writes; of more,
        ``clusters.parquet`` and ``embedding.parquet`` are folders of files ``part-00000.parquet``, ... Until all is
        done, the model and what is placed are kept in ``out`` + ".partial", and the same call goes on from there.
    n_train : int or None, default 20_000
        Series to learn from, drawn at random; the number of clusters is chosen on them, and the report shows them.
        None: all, which must fit into this process.
    engine : Engine, optional
        With several ``train_workers``, these learn together, see `fit`.
    title : str
        Of the report.
    tell : callable, optional
        Is given a line as the work goes on.
    seed : int, default 0
        Of the sample.
    overwrite : bool, default False
        Replace an earlier run.
    resume : bool, default False
        Go on with training in one process that was stopped; see `vrae.train.checkpoint.Checkpoint`.
    origin : dict, optional
        Where the series came from; kept for ``vrae report``.
    **options
        As in `vrae.read_panel`; ``label`` too.

    Returns
    -------
    dict
        What ``metrics.json`` holds.

    Raises
    ------
    InvalidParameterError
        A clusterer that would have to see all series at once.
    InvalidDataError, OutputError
        See `embed`.
    """
    if clusterer.clusterer not in _SHARED:
        raise InvalidParameterError(
            f"clusterer={clusterer.clusterer!r} groups series by comparing all of them with each other, and cannot be "
            f"divided: on a sample its groups would be those of the sample. Use 'gmm' or 'kmeans' with engine 'ray', "
            f"or cluster a sample on one machine."
        )
    engine = engine or Engine()
    check_run_folder(Path(out), overwrite, resume)
    with connected(engine), workshop_of(str(out)) as workshop:
        series = find_series(source, workshop, tell, **options)
        passes = _OnRay(series, workshop, engine, tell, n_train, seed)
        return cluster_in_passes(clusterer, passes, Path(out), title, tell, origin)


@dataclass(frozen=True)
class _OnRay:
    """Passes over series that others read; none of their rows come here but the sample's."""

    series: Series
    workshop: Folder
    engine: Engine
    tell: Callable[[str], None]
    n_train: int | None
    seed: int

    def sample(self) -> tuple[Panel, int]:
        return sample(self.series, self.n_train, self.seed)

    def fit(self, clusterer: VRAEClusterer, sample: Panel) -> VRAEClusterer:
        """Fit, or take what an interrupted run has learned from the same series already."""
        kept = Folder(self.workshop.system, self.workshop.at("part-model"))
        of = _fingerprint(clusterer, sample)
        if self.workshop.read_json("part-model.json") == {"of": of}:
            self.tell("An interrupted run has learned from these series already.")
            files = {name: _read(kept, name) for name in kept.names()}
            fitted: VRAEClusterer = load_bytes(files).set_params(**clusterer.get_params(deep=False))
            return fitted
        fit(clusterer, sample, engine=self.engine, storage=self.workshop.path)
        kept.create()
        for name, content in model_bytes(clusterer).items():
            with kept.system.open_output_stream(kept.at(name)) as file:
                file.write(content)
        self.workshop.write_json("part-model.json", {"of": of})
        return clusterer

    def place(self, clusterer: VRAEClusterer, folder: Path, suffix: str) -> Tally:
        job = job_of(Place, clusterer, self.series, self.workshop)
        done = finish(job, self.engine, self.tell)
        for table in Place.tables:
            files = [part.files[table] for part in done]
            if suffix == "csv":  # so few that one file holds them
                _join(self.workshop, files, folder / f"{table}.{suffix if table == 'clusters' else 'parquet'}")
            else:
                publish(self.workshop, files, str(folder / f"{table}.parquet"))
        return _total(done)


def _total(done: list[Done]) -> Tally:
    return reduce(add, (Tally.from_dict(part.summary) for part in done), Tally())


def _join(folder: Folder, files: list[str], target: Path) -> None:
    """Write the rows of several Parquet files into one table, in order."""
    with table_writer(target) as write:
        for file in files:
            with folder.system.open_input_file(folder.at(file)) as opened:
                table = pq.read_table(opened)
            write({name: table[name].to_numpy() for name in table.column_names})


def _read(folder: Folder, name: str) -> bytes:
    with folder.system.open_input_file(folder.at(name)) as file:
        content: bytes = file.read()
        return content


def _fingerprint(clusterer: VRAEClusterer, sample: Panel) -> str:
    options = {name: value for name, value in clusterer.get_params(deep=False).items() if name != "callbacks"}
    told = sha256(repr(sorted(options.items())).encode())
    told.update(repr(sample.ids.tolist()).encode("utf-8", "replace"))
    told.update(np.ascontiguousarray(sample.values).tobytes())
    return told.hexdigest()
