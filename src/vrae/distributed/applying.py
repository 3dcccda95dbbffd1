"""Embed, place and judge series on Ray: a table of one row a series, in parts."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from pyarrow import fs

from vrae.distributed.engine import Engine, connected
from vrae.distributed.pool import finish_parts
from vrae.distributed.series import Series, find_series
from vrae.distributed.source import file_system
from vrae.distributed.verbs import Assign, Embed, Judge, JudgeSteps
from vrae.distributed.work import Done, Folder, Job, Trouble, listed, model_bytes, reason_of
from vrae.estimators.anomaly import VRAEAnomalyDetector
from vrae.estimators.clusterer import VRAEClusterer
from vrae.estimators.vrae import VRAE
from vrae.exceptions import InvalidDataError, OutputError, name_some
from vrae.persistence import atomic_directory

__all__ = ["assign", "do", "embed", "find_anomalies", "workshop_of"]

Tell = Callable[[str], None]


def _say_nothing(message: str) -> None:
    pass


def embed(
    model: VRAE, source: Any, out: str, *, engine: Engine | None = None, tell: Tell = _say_nothing, **options: Any
) -> int:
    """Write the latent vector of every series of Parquet files.

    Parameters
    ----------
    model : VRAE
        Fitted.
    source : path, URL or pyarrow Dataset
        Parquet: a file, a folder, or a pattern such as ``"s3://bucket/sales/*.parquet"``.
    out : str
        Path or URL of the folder to write, of Parquet files ``part-00000.parquet``, ... whose rows, one after the
        other, are those of ``vrae embed``. All machines must reach it. An earlier one is replaced. Until all is done,
        what is done stands in ``out`` + ``".partial"``, and the same call goes on from there.
    engine : Engine, optional
    tell : callable, optional
        Is given a line as the work goes on.
    **options
        As in `vrae.read_panel`.

    Returns
    -------
    int
        Number of series.

    Raises
    ------
    InvalidDataError
        Files that cannot be read, or series that cannot be used, with their names.
    OutputError
        ``out`` cannot be written, or holds something else.
    """
    return sum(done.n_series for done in do(Embed, model, source, {"embedding": out}, engine, tell, options))


def assign(
    clusterer: VRAEClusterer,
    source: Any,
    out: str,
    *,
    engine: Engine | None = None,
    tell: Tell = _say_nothing,
    **options: Any,
) -> int:
    """Place every series of Parquet files in a cluster: id, cluster, probability, lag; see `embed`."""
    return sum(done.n_series for done in do(Assign, clusterer, source, {"clusters": out}, engine, tell, options))


def find_anomalies(
    detector: VRAEAnomalyDetector,
    source: Any,
    out: str,
    steps: str | None = None,
    *,
    engine: Engine | None = None,
    tell: Tell = _say_nothing,
    **options: Any,
) -> tuple[int, int]:
    """Judge every series of Parquet files, and each of its steps if there is a place ``steps`` for them; see `embed`.

    Returns
    -------
    n_anomalies, n_series : int
    """
    places = {"anomalies": out} if steps is None else {"anomalies": out, "steps": steps}
    done = do(Judge if steps is None else JudgeSteps, detector, source, places, engine, tell, options)
    return sum(part.summary["anomalies"] for part in done), sum(part.n_series for part in done)


def do(
    verb: Callable[[Any], Any],
    model: VRAE,
    source: Any,
    places: Mapping[str, str],
    engine: Engine | None,
    tell: Tell,
    options: Mapping[str, Any],
) -> list[Done]:
    """Do something with all series, and put each table in its place; see `embed`."""
    engine = engine or Engine()
    for place in places.values():
        _check_place(place)
    with connected(engine), workshop_of(next(iter(places.values()))) as workshop:
        series = find_series(source, workshop, tell, **options)
        job = job_of(verb, model, series, workshop)
        done = finish(job, engine, tell)
        for table, place in places.items():
            publish(workshop, [part.files[table] for part in done], place)
    return done


def job_of(verb: Callable[[Any], Any], model: VRAE, series: Series, folder: Folder) -> Job:
    """Return what there is to do."""
    files = model_bytes(model)
    of = sha256(repr((verb, series.layout.roles, series.layout.options)).encode())
    for name in sorted(files):
        of.update(files[name])
    return Job(files, verb, series.parts, series.layout, folder, of.hexdigest())


def finish(job: Job, engine: Engine, tell: Tell) -> list[Done]:
    """Do all parts.

    Raises
    ------
    InvalidDataError, OutputError
        Some could not be done. The message names their files, and what was wrong.
    """
    troubles = finish_parts(job, engine, tell)
    if troubles:
        raise _error_of(job, troubles)
    done = job.done()
    lost = [job.parts[number].name for number, entry in enumerate(done) if entry is None]
    if lost:
        raise OutputError(f"What was written of {name_some(lost)} is no longer in {job.folder.path}. Run it again.")
    return [entry for entry in done if entry is not None]


def _error_of(job: Job, troubles: list[Trouble]) -> Exception:
    said = [f"{job.parts[trouble.part].name}: {trouble.message}" for trouble in troubles]
    kind = OutputError if all(trouble.place for trouble in troubles) else InvalidDataError
    return kind(
        f"{len(troubles)} of {len(job.parts)} parts could not be done.\n  {listed(said)}"
        + (f"\nThe others are done, and kept in {job.folder.path}." if len(said) < len(job.parts) else "")
        + " Put this right; the same command goes on from there."
    )


# -------------------------------------------------------------------- places


@contextmanager
def workshop_of(place: str) -> Iterator[Folder]:
    """Give the folder in which the work on ``place`` is kept until all is done; it is gone then, and only then.

    Raises
    ------
    OutputError
        It cannot be made.
    """
    system, path = file_system(place)
    folder = Folder(system, path.rstrip("/") + ".partial")
    try:
        folder.create()
    except (OSError, NotImplementedError) as error:
        raise _not_reached(folder.path, error) from error
    try:
        yield folder
    except BaseException as error:
        if not any(name.startswith(("part-", "sorted")) and name.endswith(".json") for name in folder.names()):
            system.delete_dir(folder.path)  # nothing in it that could be gone on from
        if isinstance(error, OSError):
            raise OutputError(
                f"Could not write {error.filename or folder.path}: {reason_of(error)}. Put this right; "
                f"the same command goes on from what is done."
            ) from error
        raise
    system.delete_dir(folder.path)


def _not_reached(path: str, error: Exception) -> OutputError:
    return OutputError(f"Could not write {path}: {reason_of(error)}. Choose another --out; nothing was changed.")


def publish(workshop: Folder, files: list[str], place: str) -> None:
    """Move finished files to where they are wanted, in order: ``part-00000.parquet``, ..."""
    system, path = file_system(place)
    names = [f"part-{number:05}.parquet" for number in range(len(files))]
    if isinstance(system, fs.LocalFileSystem):
        with atomic_directory(Path(path)) as folder:
            for file, name in zip(files, names, strict=True):
                _bring(workshop, file, Folder(system, str(folder)), name)
        return
    target = Folder(system, path.rstrip("/"))
    target.create()
    for name in target.names():  # of an earlier one
        system.delete_file(target.at(name))
    for file, name in zip(files, names, strict=True):
        _bring(workshop, file, target, name)


def _bring(workshop: Folder, file: str, target: Folder, name: str) -> None:
    """Move a file; a second table may be wanted on another disk, or in another store, than the work is done on."""
    here = isinstance(target.system, fs.LocalFileSystem) and isinstance(workshop.system, fs.LocalFileSystem)
    if here:
        shutil.move(workshop.at(file), target.at(name))
    elif target.system.equals(workshop.system):
        target.system.move(workshop.at(file), target.at(name))
    else:
        with (
            workshop.system.open_input_stream(workshop.at(file)) as source,
            target.system.open_output_stream(target.at(name)) as copy,
        ):
            shutil.copyfileobj(source, copy)


def _check_place(place: str) -> None:
    """Refuse a place that holds something else, before any work is done."""
    system, path = file_system(place)
    try:
        info = system.get_file_info(path)
        if info.type == fs.FileType.NotFound:
            return
        names = Folder(system, path).names() if info.type == fs.FileType.Directory else [path]
    except OSError as error:
        raise _not_reached(path, error) from error
    foreign = [name for name in names if not (name.startswith("part-") and name.endswith(".parquet"))]
    if foreign or info.type != fs.FileType.Directory:
        raise OutputError(
            f"{place} exists and holds something else than such a table in parts: {name_some(foreign, 3)}. Choose "
            f"another --out; nothing was changed."
        )
