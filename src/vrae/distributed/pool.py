"""The parts of a job on Ray Data: an actor a worker, which loads the model once and takes one part after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from tempfile import gettempdir
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.dataset as ds

from vrae.data.columns import reading
from vrae.data.roles import Roles
from vrae.data.sources import scan_options
from vrae.distributed.engine import Engine, ray_module
from vrae.distributed.work import Folder, Job, Trouble, listed, load_bytes, no_room, reason_of, work_on
from vrae.exceptions import InvalidDataError, OutputError, VRAEError, name_some

__all__ = ["check_ids", "each", "finish_parts", "sort_by_id"]

_PAUSE = 1.0  # seconds before a part that could not be written is tried once more

Batch = dict[str, npt.NDArray[Any]]


class _Worker:
    """Holds the model; a batch is the number of one part."""

    def __init__(self, job: Any) -> None:
        self._job: Job = ray_module().get(job)

    @cached_property
    def _model(self) -> Any:
        return load_bytes(self._job.model)

    def __call__(self, batch: Batch) -> Batch:
        troubles = [self._do(int(number)) or Trouble(-1, "", place=False) for number in batch["part"]]
        return {
            "part": batch["part"],
            "message": np.array([trouble.message for trouble in troubles], dtype=np.str_),
            "place": np.array([trouble.place for trouble in troubles]),
        }

    def _do(self, number: int) -> Trouble | None:
        trouble = self._try(number)
        if trouble is None or not trouble.place:
            return trouble
        time.sleep(_PAUSE)
        return self._try(number)

    def _try(self, number: int) -> Trouble | None:
        try:
            model = self._model
        except OSError as error:
            return no_room(number, gettempdir(), error)
        return work_on(self._job, model, number)


def finish_parts(job: Job, engine: Engine, tell: Callable[[str], None]) -> list[Trouble]:
    """Do the parts that are not done yet; what went wrong for want of a place is tried once more.

    Returns
    -------
    list of Trouble
        Parts that could not be done, in order.
    """
    ray = ray_module()
    job.forget_attempts()
    waiting = job.to_do()
    if not waiting:
        return []
    least, most = (engine.workers, engine.workers) if engine.workers else (1, _room(engine))
    results = _of_numbers(waiting).map_batches(
        _Worker,
        fn_constructor_args=(ray.put(job),),
        batch_size=1,
        compute=ray_module("ray.data").ActorPoolStrategy(
            min_size=min(least, len(waiting)), max_size=min(most, len(waiting)), max_tasks_in_flight_per_actor=2
        ),
        num_cpus=1,
        num_gpus=engine.gpus or None,
    )
    troubles = []
    for n, row in enumerate(results.iter_rows(), 1):
        tell(f"{n:,} of {len(waiting):,} parts")
        if row["message"]:
            troubles.append(Trouble(int(row["part"]), str(row["message"]), bool(row["place"])))
    return sorted(troubles, key=lambda trouble: trouble.part)


def each(work: Callable[[int], Any], numbers: Sequence[int]) -> Iterator[Any]:
    """Yield ``work(number)`` for every number, in order, done by Ray tasks; few results wait at a time.

    Raises
    ------
    VRAEError
        Some of the work raised it; all that is wrong is told at once, after the last number.
    """
    troubles: list[VRAEError] = []
    ray_data = ray_module("ray.data")
    context = ray_data.DataContext.get_current()
    before, context.execution_options.preserve_order = context.execution_options.preserve_order, True
    try:
        for row in _of_numbers(numbers).map(lambda row: {"found": [_tried(work, int(row["part"]))]}).iter_rows():
            found, trouble = row["found"][0]
            if trouble is not None:
                troubles.append(trouble)
            elif not troubles:
                yield found
    finally:
        context.execution_options.preserve_order = before
    if troubles:
        raise _together(troubles)


def _tried(work: Callable[[int], Any], number: int) -> tuple[Any, VRAEError | None]:
    """Do it; an error is returned: one that is raised ends all tasks, and comes to the driver without its kind."""
    try:
        return work(number), None
    except VRAEError as error:
        return None, error


def _together(troubles: list[VRAEError]) -> VRAEError:
    messages = list(dict.fromkeys(map(str, troubles)))
    if len(messages) == 1:
        return troubles[0]
    return InvalidDataError(f"Several parts cannot be used.\n  {listed(messages)}")


def _of_numbers(numbers: Sequence[int]) -> Any:
    ray_data = ray_module("ray.data")
    context = ray_data.DataContext.get_current()
    context.enable_progress_bars = False
    return ray_data.from_items([{"part": n} for n in numbers], override_num_blocks=len(numbers))


def _room(engine: Engine) -> int:
    """Return how many workers there may be: one a processor, or a share of a GPU."""
    there = ray_module().cluster_resources()
    return max(1, int(there.get("GPU", 0) / engine.gpus if engine.gpus else there.get("CPU", 1)))


# -------------------------------------------------------------------- rows that are not in order


def _rows(data: ds.FileSystemDataset, columns: Sequence[str]) -> Any:
    """Return the rows of all files as a Ray Dataset, read where they are needed."""
    files, schema, names = list(data.get_fragments()), data.schema, list(dict.fromkeys(columns))

    def read(batch: Batch) -> Iterator[pa.Table]:
        for number in batch["part"]:
            file = files[int(number)]
            for rows in file.to_batches(schema=schema, columns=names, **scan_options(file)):
                yield pa.Table.from_batches([rows])

    return _of_numbers(range(len(files))).map_batches(read, batch_size=1)


@contextmanager
def _explained(data: ds.FileSystemDataset, columns: Sequence[str]) -> Iterator[None]:
    """Where Ray says no more than that something broke, say which files cannot be read, or that there is no room."""
    try:
        yield
    except ray_module("ray.exceptions").RayError as error:
        files, names = list(data.get_fragments()), list(dict.fromkeys(columns))

        def read_through(number: int) -> None:
            with reading(str(files[number].path)):
                for _ in files[number].to_batches(schema=data.schema, columns=names, **scan_options(files[number])):
                    pass

        list(each(read_through, range(len(files))))
        if isinstance(cause := getattr(error, "cause", None), OSError):
            raise OutputError(f"The rows cannot be sorted: {reason_of(cause)}.") from error
        raise


def sort_by_id(data: ds.FileSystemDataset, roles: Roles, folder: Folder) -> None:
    """Write the rows of a long table anew into files in order, those of a series together and in order of time."""
    with _explained(data, roles.all):
        ordered = _rows(data, roles.all).sort([roles.id, roles.time])
        ordered.write_parquet(folder.path, filesystem=folder.system)


def check_ids(data: ds.FileSystemDataset, id_column: str) -> None:
    """Raise if an id is in several rows.

    Raises
    ------
    InvalidDataError
        The message has some of these ids.
    """
    counted = _rows(data, [id_column]).groupby(id_column).count()
    several = ray_module("ray.data.expressions").col("count()") > 1
    with _explained(data, [id_column]):
        again = [row[id_column] for row in counted.filter(expr=several).take(6)]
    if again:
        raise InvalidDataError(
            f"Ids {name_some(again)} stand more than once in column {id_column!r}, which is read as wide (a row a "
            f"series). Name a column without repeats with id=. If a row is a step in time, name its time with time=."
        )
