"""One part at a time: read, worked on, written, and only then entered as done.

Whoever works on a part writes under a name of its own, and enters that name into ``part-00007.json`` as the last act.
So a worker that dies leaves nothing that counts, one that was believed dead cannot do harm, and whoever comes next goes
on with the parts that have no entry.
"""

from __future__ import annotations

import json
import socket
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pyarrow import fs

from vrae.distributed.parts import Layout, Part
from vrae.distributed.verbs import Verb
from vrae.estimators.vrae import VRAE
from vrae.exceptions import VRAEError
from vrae.persistence import load_model
from vrae.runs.tables import ParquetTable

# A part that ends its worker each time, for want of memory for example, is given up after so many.
_ATTEMPTS = 3

# Lines of a message before the rest is counted.
_LISTED = 5

__all__ = ["Done", "Folder", "Job", "Trouble", "listed", "load_bytes", "model_bytes", "no_room", "reason_of", "work_on"]

Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Folder:
    """A folder that all machines reach."""

    system: fs.FileSystem
    path: str

    def at(self, name: str) -> str:
        """Return the path of a file in it."""
        return f"{self.path}/{name}"

    def create(self) -> None:
        """Make the folder, if it is not there."""
        self.system.create_dir(self.path, recursive=True)

    def names(self) -> list[str]:
        """Return the names of its files and folders."""
        return [f.base_name for f in self.system.get_file_info(fs.FileSelector(self.path, allow_not_found=True))]

    def read_json(self, name: str) -> Any:
        """Return what a file holds; None if there is none, or none that can be read."""
        try:
            with self.system.open_input_file(self.at(name)) as file:
                return json.loads(file.read())
        except (OSError, ValueError):
            return None

    def write_json(self, name: str, value: Any) -> None:
        """Write a file, all or nothing."""
        text = json.dumps(value).encode()
        hidden = self.at(f".{name}.{uuid.uuid4().hex}")
        try:
            with self.system.open_output_stream(hidden) as file:
                file.write(text)
            self.system.move(hidden, self.at(name))
        except OSError:
            self.remove([hidden.rpartition("/")[2]])
            raise

    def remove(self, names: Iterable[str]) -> None:
        """Delete files, if they are there."""
        for name in names:
            with suppress(OSError):
                self.system.delete_file(self.at(name))


@dataclass(frozen=True)
class Done:
    """The entry of a part that is done: its tables' files, its number of series, and the verb's numbers."""

    files: dict[str, str]
    n_series: int
    summary: dict[str, Any]


@dataclass(frozen=True)
class Job:
    """What is to be done with which parts, and where the results go.

    Attributes
    ----------
    model : mapping of str to bytes
        The files of a model directory.
    verb : callable
        Takes the model, and returns a `Verb` for one part.
    parts : sequence of Part
    layout : Layout
    folder : Folder
    of : str
        Fingerprint of all but the parts.
    """

    model: Files
    verb: Callable[[Any], Verb]
    parts: Sequence[Part]
    layout: Layout
    folder: Folder
    of: str

    def done(self) -> list[Done | None]:
        """Return the entry of every part; None where it is not done, or not with this very work."""
        there = set(self.folder.names())
        return [self._done(number, there) for number in range(len(self.parts))]

    def _done(self, number: int, there: set[str]) -> Done | None:
        entry = self.folder.read_json(_entry(number)) if _entry(number) in there else None
        if entry is None or entry.pop("digest", None) != self.parts[number].digest(self.of):
            return None
        done = Done(**entry)
        # A driver that ended as it moved the tables away has left entries without them.
        return done if there.issuperset(done.files.values()) else None

    def to_do(self) -> list[int]:
        """Return the parts that are not done yet."""
        return [number for number, done in enumerate(self.done()) if done is None]

    def attempt(self, number: int) -> bool:
        """Note that a part is begun; False if that was noted too often, and nothing came of it."""
        notes = [self.folder.at(f"part-{number:05}.attempt-{n}") for n in range(_ATTEMPTS)]
        found = self.folder.system.get_file_info(notes)
        free = [note for note, info in zip(notes, found, strict=True) if info.type == fs.FileType.NotFound]
        for note in free[:1]:
            self.folder.system.open_output_stream(note).close()
        return bool(free)

    def forget_attempts(self) -> None:
        """Begin to count anew: a driver that was ended is no fault of a part."""
        for name in self.folder.names():
            if ".attempt-" in name:
                self.folder.system.delete_file(self.folder.at(name))


@dataclass(frozen=True)
class Trouble:
    """A part that could not be done, and whether that is for want of a place to write."""

    part: int
    message: str
    place: bool


def work_on(job: Job, model: VRAE, number: int) -> Trouble | None:
    """Do one part; what is wrong with its rows, or with the place to write to, is returned and stops no other."""
    part, attempt = job.parts[number], uuid.uuid4().hex[:8]
    verb = job.verb(model)
    files = {table: f"{table}-{number:05}-{attempt}.parquet" for table in verb.tables}
    try:
        if not job.attempt(number):
            message = f"{_ATTEMPTS} workers ended while they worked on it, perhaps for want of memory"
            return Trouble(number, message, place=False)
        n_series = _write(job, verb, files, job.layout.panels(part))
        entry = {"files": files, "n_series": n_series, "summary": verb.summary()}
        job.folder.write_json(_entry(number), {**entry, "digest": part.digest(job.of)})
    except (OSError, NotImplementedError) as error:  # the latter says that a store can only be read
        job.folder.remove(files.values())
        return no_room(number, job.folder.path, error)
    except VRAEError as error:
        job.folder.remove(files.values())
        return Trouble(number, str(error), place=False)
    return None


def _write(job: Job, verb: Verb, files: dict[str, str], panels: Iterator[Any]) -> int:
    n_series = 0
    with ExitStack() as open_files:
        writers = {
            table: open_files.enter_context(
                ParquetTable(open_files.enter_context(job.folder.system.open_output_stream(job.folder.at(file))))
            )
            for table, file in files.items()
        }
        for panel in panels:
            for table, columns in verb(panel).items():
                writers[table].write(columns)
            n_series += len(panel)
    return n_series


def no_room(number: int, path: str, error: Exception) -> Trouble:
    """Return what is told of a place that a part cannot be written to."""
    return Trouble(number, f"could not write to {path} on {socket.gethostname()}: {reason_of(error)}", place=True)


def reason_of(error: BaseException) -> str:
    """Return the system's words for an error of a place, without its path and number."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def listed(lines: Sequence[str]) -> str:
    """Write a few lines of a message below each other, and count the rest."""
    more = [f"and {len(lines) - _LISTED} more"] if len(lines) > _LISTED else []
    return "\n  ".join([*lines[:_LISTED], *more])


def _entry(number: int) -> str:
    return f"part-{number:05}.json"


# -------------------------------------------------------------------- the model on its way


def model_bytes(model: VRAE) -> Files:
    """Return the files of a model directory."""
    with TemporaryDirectory(prefix="vrae-") as name:
        return {file.name: file.read_bytes() for file in model.save(Path(name) / "model").iterdir()}


def load_bytes(files: Files) -> Any:
    """Return the model of these files, on the device that there is here."""
    with TemporaryDirectory(prefix="vrae-") as name:
        for file, content in files.items():
            (Path(name) / file).write_bytes(content)
        return load_model(name)
