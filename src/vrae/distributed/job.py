"""Process one part at a time: read it, apply an operation, write its tables, record it as finished.

A worker writes tables under unique names. When a part is complete, it records these names in
``part-00007.json``. If a worker dies, its incomplete tables are ignored. If it was only believed
dead, its tables do not collide with those of its replacement. Resuming a job means processing the
parts that have no record.
"""

from __future__ import annotations

import socket
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pyarrow import fs

from vrae.data.panel import Panel
from vrae.distributed.operations import Operation
from vrae.distributed.parts import Layout, Part
from vrae.distributed.staging import SharedFolder, error_reason
from vrae.estimators.head import Head
from vrae.estimators.loading import load_model
from vrae.estimators.vrae import VRAE
from vrae.exceptions import VRAEError
from vrae.runs import ParquetTable

# A part whose worker ends this many times, for example for lack of memory, is given up.
_ATTEMPTS = 3

# Lines of a message that are shown; the rest are counted.
_SHOWN_LINES = 5

__all__ = [
    "Job",
    "PartFailure",
    "PartResult",
    "model_from_bytes",
    "model_to_bytes",
    "process_part",
    "some_lines",
    "write_failure",
]

Files = Mapping[str, bytes]


@dataclass(frozen=True)
class PartResult:
    """The record of a finished part.

    Attributes
    ----------
    files : dict of str to str
        File of every table.
    n_series : int
    summary : dict
        The operation's summary.
    """

    files: dict[str, str]
    n_series: int
    summary: dict[str, Any]


@dataclass(frozen=True)
class PartFailure:
    """Why a part could not be processed.

    Attributes
    ----------
    part : int
    message : str
    on_write : bool
        Whether the output could not be written; otherwise the series are at fault.
    """

    part: int
    message: str
    on_write: bool


@dataclass(frozen=True)
class Job:
    """An operation on all parts of a table, and where its results go.

    Attributes
    ----------
    model : mapping of str to bytes
        The files of a model directory.
    operation : callable
        Takes the model, and returns an `Operation` for one part.
    parts : sequence of Part
    layout : Layout
    folder : SharedFolder
        Staging folder.
    fingerprint : str
        Identifies everything except the parts.
    """

    model: Files
    operation: Callable[[Any], Operation]
    parts: Sequence[Part]
    layout: Layout
    folder: SharedFolder
    fingerprint: str

    def results(self) -> list[PartResult | None]:
        """Return the record of every part. None: not finished, or finished by another job."""
        names = set(self.folder.names())
        return [self._result(number, names) for number in range(len(self.parts))]

    def _result(self, number: int, names: set[str]) -> PartResult | None:
        record = self.folder.read_json(_record_name(number)) if _record_name(number) in names else None
        if record is None or record.pop("digest", None) != self.parts[number].digest(self.fingerprint):
            return None
        result = PartResult(**record)
        # A driver that was killed while it moved tables leaves records without files.
        return result if names.issuperset(result.files.values()) else None

    def pending(self) -> list[int]:
        """Return the parts that are not finished."""
        return [number for number, result in enumerate(self.results()) if result is None]

    def start_attempt(self, number: int) -> bool:
        """Record that a part is started. Return False if it was started too often before."""
        notes = [self.folder.at(f"part-{number:05}.attempt-{n}") for n in range(_ATTEMPTS)]
        found = self.folder.system.get_file_info(notes)
        free = [note for note, info in zip(notes, found, strict=True) if info.type == fs.FileType.NotFound]
        for note in free[:1]:
            self.folder.system.open_output_stream(note).close()
        return bool(free)

    def clear_attempts(self) -> None:
        """Reset the count of attempts: some may have ended because the driver was killed."""
        for name in self.folder.names():
            if ".attempt-" in name:
                self.folder.system.delete_file(self.folder.at(name))


def process_part(job: Job, model: VRAE | Head, number: int) -> PartFailure | None:
    """Process one part. Return what is wrong with its series or its output, if anything."""
    part, attempt = job.parts[number], uuid.uuid4().hex[:8]
    operation = job.operation(model)
    files = {table: f"{table}-{number:05}-{attempt}.parquet" for table in operation.tables}
    try:
        if not job.start_attempt(number):
            message = f"{_ATTEMPTS} workers ended while they processed it, perhaps for lack of memory"
            return PartFailure(number, message, on_write=False)
        n_series = _write_tables(job, operation, files, job.layout.panels(part))
        record = {"files": files, "n_series": n_series, "summary": operation.summary()}
        job.folder.write_json(_record_name(number), {**record, "digest": part.digest(job.fingerprint)})
    except (OSError, NotImplementedError) as error:  # NotImplementedError: the store is read-only
        job.folder.remove(files.values())
        return write_failure(number, job.folder.path, error)
    except VRAEError as error:
        job.folder.remove(files.values())
        return PartFailure(number, str(error), on_write=False)
    return None


def _write_tables(job: Job, operation: Operation, files: dict[str, str], panels: Iterator[Panel]) -> int:
    n_series = 0
    with ExitStack() as open_files:
        writers = {
            table: open_files.enter_context(
                ParquetTable(open_files.enter_context(job.folder.system.open_output_stream(job.folder.at(file))))
            )
            for table, file in files.items()
        }
        for panel in panels:
            tables = operation(panel)
            for table, columns in tables.items():
                writers[table].write(columns)
            n_series += len(tables[operation.tables[0]]["id"])
    return n_series


def write_failure(number: int, path: str, error: Exception) -> PartFailure:
    """Return the failure of a part whose output cannot be written."""
    message = f"could not write to {path} on {socket.gethostname()}: {error_reason(error)}"
    return PartFailure(number, message, on_write=True)


def some_lines(lines: Sequence[str]) -> str:
    """Join the first lines of a message with indented line breaks, and count the rest."""
    more = [f"and {len(lines) - _SHOWN_LINES} more"] if len(lines) > _SHOWN_LINES else []
    return "\n  ".join([*lines[:_SHOWN_LINES], *more])


def _record_name(number: int) -> str:
    return f"part-{number:05}.json"


# -------------------------------------------------------------------- models as bytes


def model_to_bytes(model: VRAE | Head) -> Files:
    """Return the files of a model directory, by name."""
    with TemporaryDirectory(prefix="vrae-") as name:
        return {file.name: file.read_bytes() for file in model.save(Path(name) / "model").iterdir()}


def model_from_bytes(files: Files) -> Any:
    """Return the model that `model_to_bytes` saved, on a device of this machine."""
    with TemporaryDirectory(prefix="vrae-") as name:
        for file, content in files.items():
            (Path(name) / file).write_bytes(content)
        return load_model(name)
