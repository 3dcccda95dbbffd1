"""Folders on disk or in an object store: where tables are written, and where they are moved."""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from vrae.distributed.source import file_system
from vrae.exceptions import OutputError, name_some
from vrae.io.atomic import atomic_directory, parents_of
from vrae.io.interrupts import interrupts_held, record_kept
from vrae.runs import WRITER

__all__ = ["TRAINING", "SharedFolder", "check_destination", "error_reason", "publish", "staging_folder"]

# Folder of Ray Train in a folder for unfinished work.
TRAINING = "training"

# Files from which an interrupted job resumes.
_RESUMABLE = ("part-", "sorted")
# All files of a folder for unfinished work, and all of a finished table.
_UNFINISHED = re.compile(rf"\.?(part-\d+|part-model|sorted)(\..*)?|[a-z]+-\d{{5,}}-[0-9a-f]{{8}}\.parquet|{TRAINING}")
_FINISHED = re.compile(r"part-\d{5,}\.parquet")
_LOOKED_AT = 100  # files of a finished table


@dataclass(frozen=True)
class SharedFolder:
    """A folder that all machines reach."""

    system: fs.FileSystem
    path: str

    def at(self, name: str) -> str:
        """Return the path of a file in the folder."""
        return f"{self.path}/{name}"

    def create(self) -> None:
        """Create the folder, if it does not exist."""
        self.system.create_dir(self.path, recursive=True)

    def names(self) -> list[str]:
        """Return the names of its files and folders."""
        return [f.base_name for f in self.system.get_file_info(fs.FileSelector(self.path, allow_not_found=True))]

    def read_bytes(self, name: str) -> bytes:
        """Return the content of a file."""
        with self.system.open_input_file(self.at(name)) as file:
            return bytes(file.read())

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write a file."""
        with self.system.open_output_stream(self.at(name)) as file:
            file.write(content)

    def read_json(self, name: str) -> Any:
        """Return the content of a JSON file, or None if the file is missing or unreadable."""
        with suppress(OSError, ValueError):
            return json.loads(self.read_bytes(name))
        return None

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file atomically."""
        hidden = f".{name}.{uuid.uuid4().hex}"
        try:
            self.write_bytes(hidden, json.dumps(value).encode())
            self.system.move(self.at(hidden), self.at(name))
        except OSError:
            self.remove([hidden])
            raise

    def remove(self, names: Iterable[str]) -> None:
        """Delete files, if they exist."""
        for name in names:
            with suppress(OSError):
                self.system.delete_file(self.at(name))


def error_reason(error: BaseException) -> str:
    """Return the system's description of a file error, without path and number."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


@contextmanager
def staging_folder(destination: str) -> Iterator[SharedFolder]:
    """Yield a folder for unfinished work, next to ``destination``. Delete it on success.

    After an error it stays if it holds finished parts, so that the same call can resume.
    """
    system, path = file_system(destination)
    folder = SharedFolder(system, path.rstrip("/") + ".partial")
    try:
        names = folder.names()
    except OSError as error:
        raise _not_writable(folder.path, error) from error
    if foreign := [name for name in names if not _UNFINISHED.fullmatch(name)]:
        raise OutputError(
            f"{folder.path} is needed for unfinished work, and holds something else: {name_some(foreign, 3)}. Move it "
            f"away, or choose another --out; nothing was changed."
        )
    with parents_of(Path(folder.path)) if isinstance(system, fs.LocalFileSystem) else nullcontext():
        try:
            folder.create()
        except (OSError, NotImplementedError) as error:
            raise _not_writable(folder.path, error) from error
        yield from _kept_if_unfinished(folder)


def _kept_if_unfinished(folder: SharedFolder) -> Iterator[SharedFolder]:
    """Yield a folder, and delete it afterwards unless it holds finished parts of failed work."""
    try:
        yield folder
    except BaseException as error:
        with interrupts_held():
            if any(name.startswith(_RESUMABLE) and name.endswith(".json") for name in folder.names()):
                record_kept(folder.path)
            else:
                folder.system.delete_dir(folder.path)
        if isinstance(error, OSError):
            raise OutputError(
                f"Could not write {error.filename or folder.path}: {error_reason(error)}. Fix this and run the same "
                f"command again; finished parts are kept."
            ) from error
        raise
    with interrupts_held():
        folder.system.delete_dir(folder.path)


def check_destination(destination: str, source: Any = None) -> None:
    """Raise an OutputError if the destination holds anything but an earlier table of vrae in parts.

    ``source`` is what is read, which is never replaced.
    """
    system, path = file_system(destination)
    try:
        info = system.get_file_info(path)
        if info.type == fs.FileType.NotFound:
            return
        folder = SharedFolder(system, path.rstrip("/"))
        names = folder.names() if info.type == fs.FileType.Directory else [path]
        foreign = [name for name in names if not _FINISHED.fullmatch(name)]
        foreign = foreign or [name for name in sorted(names)[:_LOOKED_AT] if not _is_of_vrae(folder, name)]
    except OSError as error:
        raise _not_writable(path, error) from error
    if foreign or info.type != fs.FileType.Directory:
        raise OutputError(
            f"{destination} exists and is not a folder of part-*.parquet files of vrae: found {name_some(foreign, 3)}. "
            f"Choose another --out; nothing was changed."
        )
    if isinstance(source, str | Path) and _lies_in(str(source), system, path):
        raise OutputError(f"{destination} holds {source}, which is read. Choose another --out; nothing was changed.")


def _is_of_vrae(folder: SharedFolder, name: str) -> bool:
    """Return whether a Parquet file says that vrae wrote it."""
    try:
        with folder.system.open_input_file(folder.at(name)) as file:
            return WRITER.items() <= (pq.read_schema(file).metadata or {}).items()
    except pa.ArrowException:
        return False


def _lies_in(source: str, system: fs.FileSystem, path: str) -> bool:
    """Return whether a file, folder or pattern lies in a folder."""
    other, place = file_system(source)
    if isinstance(system, fs.LocalFileSystem) and isinstance(other, fs.LocalFileSystem):
        return Path(place).resolve().is_relative_to(Path(path).resolve())
    return other.equals(system) and f"{place}/".startswith(f"{path.rstrip('/')}/")


def publish(staging: SharedFolder, files: Sequence[str], destination: str) -> None:
    """Move finished files to their destination, in order, as ``part-00000.parquet``, ..."""
    system, path = file_system(destination)
    if isinstance(system, fs.LocalFileSystem):
        with atomic_directory(Path(path)) as folder:
            _move(staging, files, SharedFolder(system, str(folder)))
        return
    target = SharedFolder(system, path.rstrip("/"))
    target.create()
    for name in target.names():  # files of an earlier table
        system.delete_file(target.at(name))
    _move(staging, files, target)


def _move(staging: SharedFolder, files: Sequence[str], target: SharedFolder) -> None:
    local = isinstance(target.system, fs.LocalFileSystem) and isinstance(staging.system, fs.LocalFileSystem)
    for number, file in enumerate(files):
        source, destination = staging.at(file), target.at(f"part-{number:05}.parquet")
        if local:
            shutil.move(source, destination)  # also to another disk
        elif target.system.equals(staging.system):
            target.system.move(source, destination)
        else:
            fs.copy_files(source, destination, staging.system, target.system)


def _not_writable(path: str, error: Exception) -> OutputError:
    return OutputError(f"Could not write {path}: {error_reason(error)}. Choose another --out; nothing was changed.")
