"""Embed series, assign them to clusters, and score anomalies, on Ray."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

from vrae.distributed.engine import EngineOptions, Log, connected
from vrae.distributed.job import Job, PartResult, model_to_bytes
from vrae.distributed.operations import Assign, Embed, Operation, ScoreAnomalies, ScoreSteps
from vrae.distributed.pool import process_parts, some_lines
from vrae.distributed.series import SeriesParts, find_series
from vrae.distributed.staging import SharedFolder, check_destination, publish, staging_folder
from vrae.estimators.anomaly import VRAEAnomalyDetector
from vrae.estimators.anomaly_ends import note_of_counts
from vrae.estimators.clusterer import VRAEClusterer
from vrae.estimators.head import Head
from vrae.estimators.vrae import VRAE
from vrae.exceptions import InvalidDataError, InvalidParameterError, OutputError, name_some
from vrae.runs import unassigned_note

__all__ = ["assign", "embed", "find_anomalies", "finish_job", "make_job"]


def embed(
    model: VRAE | Head,
    source: Any,
    out: str,
    *,
    engine: EngineOptions | None = None,
    log: Log = lambda message: None,
    **options: Any,
) -> int:
    """Write the latent vector of every series of Parquet files.

    Parameters
    ----------
    model : VRAE, VRAEClusterer, VRAEAnomalyDetector or VRAENeighbors
        A fitted estimator.
    source : path, URL or pyarrow Dataset
        Parquet: a file, a folder, or a pattern such as ``"s3://bucket/sales/*.parquet"``.
    out : str
        Path or URL of the folder to write, which all machines must reach. Its files
        ``part-00000.parquet``, ... hold the rows of ``vrae embed``, in the same order. An earlier
        table is replaced. Unfinished work stays in ``out`` + ``".partial"``. The same call resumes
        it.
    engine : EngineOptions, optional
        Default: all processors of this machine, or of the Ray cluster that is connected.
    log : callable, optional
        Called with a line of text after every part.
    **options
        Options of `vrae.read_panel`.

    Returns
    -------
    int
        Number of series.

    Raises
    ------
    InvalidDataError
        Files cannot be read, or series cannot be used. The message names them.
    InvalidParameterError
        The model does not embed whole series, or an option is out of range.
    OutputError
        ``out`` cannot be written, or holds something else.
    """
    if isinstance(model, Head):
        if not model.embeds_series:
            raise InvalidParameterError(f"A {type(model).__name__} does not embed whole series. Pass another model.")
        model = model.model_
    return sum(part.n_series for part in _run_job(Embed, model, source, {"embedding": out}, engine, log, options))


def assign(
    clusterer: VRAEClusterer,
    source: Any,
    out: str,
    *,
    engine: EngineOptions | None = None,
    log: Log = lambda message: None,
    **options: Any,
) -> int:
    """Assign every series of Parquet files to a cluster: id, cluster, name, probability, lag.

    Parameters
    ----------
    clusterer : VRAEClusterer
        A fitted clusterer.
    source, out, engine, log, **options
        See `embed`.

    Returns
    -------
    int
        Number of series.

    Raises
    ------
    InvalidDataError, OutputError
        See `embed`.
    """
    results = _run_job(Assign, clusterer, source, {"clusters": out}, engine, log, options)
    n_series = sum(part.n_series for part in results)
    if note := unassigned_note(sum(part.summary["unassigned"] for part in results), n_series):
        log(note)
    return n_series


def find_anomalies(
    detector: VRAEAnomalyDetector,
    source: Any,
    out: str,
    steps: str | None = None,
    *,
    engine: EngineOptions | None = None,
    log: Log = lambda message: None,
    **options: Any,
) -> tuple[int, int]:
    """Score the anomaly of every series of Parquet files, and optionally of every time step.

    Parameters
    ----------
    detector : VRAEAnomalyDetector
        A fitted detector.
    source, out, engine, log, **options
        See `embed`.
    steps : str, optional
        Path or URL of a second folder, for a table with one row per time step.

    Returns
    -------
    n_anomalies, n_series : int

    Raises
    ------
    InvalidDataError, OutputError
        See `embed`.
    """
    destinations = {"anomalies": out} if steps is None else {"anomalies": out, "steps": steps}
    operation = ScoreAnomalies if steps is None else ScoreSteps
    results = _run_job(operation, detector, source, destinations, engine, log, options)
    if note := note_of_counts([row for part in results for row in part.summary["ends"]]):
        log(note)
    return sum(part.summary["anomalies"] for part in results), sum(part.n_series for part in results)


def _run_job(
    operation: Callable[[Any], Operation],
    model: VRAE | Head,
    source: Any,
    destinations: Mapping[str, str],
    engine: EngineOptions | None,
    log: Log,
    options: Mapping[str, Any],
) -> list[PartResult]:
    """Apply an operation to all series, and move each table to its destination; see `embed`."""
    engine = engine or EngineOptions()
    for destination in destinations.values():
        check_destination(destination, source)
    with connected(engine), staging_folder(next(iter(destinations.values()))) as staging:
        reading = (model.model_ if isinstance(model, Head) else model).reading_
        series = find_series(source, staging, log, **{"remembered": reading, **options})
        results = finish_job(make_job(operation, model, series, staging), engine, log)
        for table, destination in destinations.items():
            publish(staging, [part.files[table] for part in results], destination)
    return results


def make_job(
    operation: Callable[[Any], Operation], model: VRAE | Head, series: SeriesParts, folder: SharedFolder
) -> Job:
    """Return a job, with a fingerprint of operation, model and layout."""
    files, layout = model_to_bytes(model), series.layout
    options = replace(layout.options, written=None)  # a damaged part lacks some of the times
    fingerprint = sha256(repr((operation, layout.roles, options)).encode())
    for name in sorted(files):
        fingerprint.update(files[name])
    return Job(files, operation, series.parts, layout, folder, fingerprint.hexdigest())


def finish_job(job: Job, engine: EngineOptions, log: Log) -> list[PartResult]:
    """Process all parts that are not finished. An error names the files of failed parts."""
    failures = process_parts(job, engine, log)
    if failures:
        lines = [f"{job.parts[failure.part].name}: {failure.message}" for failure in failures]
        kept = f"\nThe others are finished, and kept in {job.folder.path}." if len(lines) < len(job.parts) else ""
        error = OutputError if all(failure.on_write for failure in failures) else InvalidDataError
        raise error(
            f"{len(failures)} of {len(job.parts)} parts could not be processed.\n  {some_lines(lines)}{kept}"
            f" Fix this and run the same command again: it continues with the remaining parts."
        )
    results = job.results()
    lost = [part.name for part, result in zip(job.parts, results, strict=True) if result is None]
    if lost:
        raise OutputError(f"The results for {name_some(lost)} are no longer in {job.folder.path}. Run it again.")
    return [result for result in results if result is not None]
