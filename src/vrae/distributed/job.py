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

__all__ = ["Job", "PartFailure", "PartResult", "model_from_bytes", "model_to_bytes", "process_part", "write_failure"]

# A part whose worker ends this many times, for example for lack of memory, is given up.
_ATTEMPTS = 3


@dataclass(frozen=True)
class PartResult:
    """The record of a finished part. ``files`` holds the file of every table."""

    files: dict[str, str]
    n_series: int
    summary: dict[str, Any]


@dataclass(frozen=True)
class PartFailure:
    """Why a part could not be processed: its output (``on_write``), or else its series."""

    part: int
    message: str
    on_write: bool = False


@dataclass(frozen=True)
class Job:
    """An operation on all parts of a table, and where its results go."""

    model: Mapping[str, bytes]  # of a model directory
    operation: Callable[[Any], Operation]
    parts: Sequence[Part]
    layout: Layout
    folder: SharedFolder
    fingerprint: str  # of everything except the parts

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
        for info in self.folder.system.get_file_info(notes):
            if info.type == fs.FileType.NotFound:
                self.folder.system.open_output_stream(info.path).close()
                return True
        return False

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
            return PartFailure(number, f"{_ATTEMPTS} workers ended while they processed it, perhaps for lack of memory")
        n_series = _write_tables(job.folder, operation, files, job.layout.panels(part))
        record = {"files": files, "n_series": n_series, "summary": operation.summary()}
        job.folder.write_json(_record_name(number), {**record, "digest": part.digest(job.fingerprint)})
    except (OSError, NotImplementedError) as error:  # NotImplementedError: the store is read-only
        job.folder.remove(files.values())
        return write_failure(number, job.folder.path, error)
    except VRAEError as error:
        job.folder.remove(files.values())
        return PartFailure(number, str(error))
    return None


def _write_tables(folder: SharedFolder, operation: Operation, files: dict[str, str], panels: Iterator[Panel]) -> int:
    n_series = 0
    with ExitStack() as stack:
        writers = {}
        for table, file in files.items():
            stream = stack.enter_context(folder.system.open_output_stream(folder.at(file)))
            writers[table] = stack.enter_context(ParquetTable(stream))
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


def _record_name(number: int) -> str:
    return f"part-{number:05}.json"


# -------------------------------------------------------------------- models as bytes


def model_to_bytes(model: VRAE | Head) -> dict[str, bytes]:
    """Return the files of a model directory, by name."""
    with TemporaryDirectory(prefix="vrae-") as name:
        return {file.name: file.read_bytes() for file in model.save(Path(name) / "model").iterdir()}


def model_from_bytes(files: Mapping[str, bytes]) -> Any:
    """Return the model that `model_to_bytes` saved, on a device of this machine."""
    with TemporaryDirectory(prefix="vrae-") as name:
        for file, content in files.items():
            (Path(name) / file).write_bytes(content)
        return load_model(name)
