"""Process the parts of a job with Ray Data. Each worker loads the model once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from tempfile import gettempdir
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from vrae.data.columns import reading
from vrae.data.roles import Roles
from vrae.data.sources import scan_options
from vrae.distributed.engine import EngineOptions, Log, ray_module
from vrae.distributed.job import Job, PartFailure, model_from_bytes, process_part, write_failure
from vrae.distributed.staging import SharedFolder, error_reason
from vrae.exceptions import InvalidDataError, OutputError, VRAEError, name_some

__all__ = ["check_ids", "ordered_tasks", "process_parts", "some_lines", "sort_by_id"]

_PAUSE = 1.0  # seconds before a failed write is tried again
_SHOWN_LINES = 5  # of a message; the rest are counted


class _Worker:
    """An actor that holds the model. Its rows are the numbers of parts."""

    def __init__(self, job: Any) -> None:
        self._job: Job = ray_module().get(job)

    @cached_property
    def _model(self) -> Any:
        return model_from_bytes(self._job.model)

    def __call__(self, row: dict[str, int]) -> dict[str, Any]:
        number = int(row["part"])
        failure = self._try(number)
        if failure is not None and failure.on_write:
            time.sleep(_PAUSE)
            failure = self._try(number)
        return dict(vars(failure or PartFailure(number, "")))

    def _try(self, number: int) -> PartFailure | None:
        try:
            model = self._model
        except OSError as error:
            return write_failure(number, gettempdir(), error)
        return process_part(self._job, model, number)


def process_parts(job: Job, engine: EngineOptions, log: Log) -> list[PartFailure]:
    """Process the parts that are not finished. Return the failures, in the order of the parts."""
    ray = ray_module()
    job.clear_attempts()
    pending = job.pending()
    if not pending:
        return []
    # One worker per CPU, or per fraction of a GPU.
    available = ray.cluster_resources()
    room = available.get("GPU", 0) / engine.gpus if engine.gpus else available.get("CPU", 1)
    fewest, most = (engine.workers, engine.workers) if engine.workers else (1, max(1, int(room)))
    rows = _dataset_of(pending).map(
        _Worker,
        fn_constructor_args=(ray.put(job),),
        compute=ray_module("ray.data").ActorPoolStrategy(
            min_size=min(fewest, len(pending)), max_size=min(most, len(pending)), max_tasks_in_flight_per_actor=2
        ),
        num_cpus=1,
        num_gpus=engine.gpus or None,
    )
    failures = []
    for n, row in enumerate(rows.iter_rows(), 1):
        log(f"{n:,} of {len(pending):,} parts")
        if row["message"]:
            failures.append(PartFailure(**row))
    return sorted(failures, key=lambda failure: failure.part)


def ordered_tasks(work: Callable[[int], Any], numbers: Sequence[int]) -> Iterator[Any]:
    """Yield ``work(number)`` for each number, in order, computed by Ray tasks.

    Few results are in memory at a time. All `VRAEError` are reported together, after the last.
    """
    errors: list[VRAEError] = []
    context = ray_module("ray.data").DataContext.get_current()
    before, context.execution_options.preserve_order = context.execution_options.preserve_order, True
    try:
        for row in _dataset_of(numbers).map(lambda row: {"outcome": [_attempt(work, int(row["part"]))]}).iter_rows():
            result, error = row["outcome"][0]
            if error is not None:
                errors.append(error)
            elif not errors:
                yield result
    finally:
        context.execution_options.preserve_order = before
    messages = list(dict.fromkeys(map(str, errors)))
    if len(messages) > 1:
        raise InvalidDataError(f"Several parts cannot be used.\n  {some_lines(messages)}")
    if errors:
        raise errors[0]


def _attempt(work: Callable[[int], Any], number: int) -> tuple[Any, VRAEError | None]:
    """Return the result or the error. A raised error would end all tasks and lose its type."""
    try:
        return work(number), None
    except VRAEError as error:
        return None, error


def some_lines(lines: Sequence[str]) -> str:
    """Join the first lines of a message with indented line breaks, and count the rest."""
    more = [f"and {len(lines) - _SHOWN_LINES} more"] if len(lines) > _SHOWN_LINES else []
    return "\n  ".join([*lines[:_SHOWN_LINES], *more])


def _dataset_of(numbers: Sequence[int]) -> Any:
    """Return a Ray Dataset of part numbers, one row per block, so that each is a task."""
    ray_data = ray_module("ray.data")
    ray_data.DataContext.get_current().enable_progress_bars = False
    return ray_data.from_items([{"part": n} for n in numbers], override_num_blocks=len(numbers))


# -------------------------------------------------------------------- unsorted rows


def _scan(file: ds.ParquetFileFragment, schema: pa.Schema, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    return file.to_batches(schema=schema, columns=list(dict.fromkeys(columns)), **scan_options(file))


def _rows(data: ds.FileSystemDataset, columns: Sequence[str]) -> Any:
    """Return the rows of all files as a Ray Dataset. Workers read them."""
    files, schema = list(data.get_fragments()), data.schema

    def read(batch: dict[str, Any]) -> Iterator[pa.Table]:
        for rows in _scan(files[int(batch["part"][0])], schema, columns):
            yield pa.Table.from_batches([rows])

    return _dataset_of(range(len(files))).map_batches(read, batch_size=1)


@contextmanager
def _explained(data: ds.FileSystemDataset, columns: Sequence[str]) -> Iterator[None]:
    """Replace an error of Ray by its cause: a file that cannot be read or written."""
    try:
        yield
    except ray_module("ray.exceptions").RayError as error:
        files, schema = list(data.get_fragments()), data.schema

        def read_through(number: int) -> None:
            with reading(str(files[number].path)):
                for _ in _scan(files[number], schema, columns):
                    pass

        list(ordered_tasks(read_through, range(len(files))))
        if isinstance(cause := getattr(error, "cause", None), OSError):
            raise OutputError(f"The rows cannot be sorted: {error_reason(cause)}.") from error
        raise


def sort_by_id(data: ds.FileSystemDataset, roles: Roles, folder: SharedFolder) -> None:
    """Write the rows of a long table to new files, sorted by id and time."""
    with _explained(data, roles.all):
        _rows(data, roles.all).sort([roles.id, roles.time]).write_parquet(folder.path, filesystem=folder.system)


def check_ids(data: ds.FileSystemDataset, id_column: str) -> None:
    """Raise an error that names ids which appear in several rows."""
    counted = _rows(data, [id_column]).groupby(id_column).count()
    several = ray_module("ray.data.expressions").col("count()") > 1
    with _explained(data, [id_column]):
        repeated = [row[id_column] for row in counted.filter(expr=several).take(6)]
    if repeated:
        raise InvalidDataError(
            f"Ids {name_some(repeated)} appear more than once in column {id_column!r}, which is read as wide (one row "
            f"per series). Name a column without repeats with id=. If each row is a time step, name the time column "
            f"with time=."
        )
