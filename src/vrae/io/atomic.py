"""Atomic, durable writes with one writer at a time.

New content is written into a hidden staging folder next to its target, flushed to disk, and moved
into place by one rename. If the process dies, the target holds either the old content or the new.
The next writer of the same target removes staging folders that a killed process left behind.
Ctrl-C waits while content is moved and while staging folders are removed. Parent folders that were
made for a target disappear with it if it is not written.

Links are followed, and modes are kept. Pipes and devices are written to as they are. A folder that
cannot be moved, such as a mount point, is filled file by file: each is the old one or the new one.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

from vrae.exceptions import InvalidParameterError, OutputError, shortened
from vrae.io.interrupts import interrupts_held, record_complete, streaming
from vrae.io.locks import locked

__all__ = [
    "HIDDEN",
    "atomic_directory",
    "atomic_file",
    "check_file",
    "check_folders",
    "check_writable",
    "is_stream",
    "is_there",
    "only_writer",
    "parents_of",
]

# Prefix of staging folders and lock files, which users may see next to their results.
HIDDEN = ".vrae-"

_WINDOWS = os.name == "nt"
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
Made = TypeVar("Made")

_URL = re.compile(r"[a-z][a-z0-9+.-]+:[/\\]")  # Path() turns the two slashes of a URL into one
_DESCRIPTORS = ("/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/self/fd/")
_OCCUPIED = (errno.ENOTEMPTY, errno.EEXIST)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_EXCHANGE = 2  # RENAME_EXCHANGE of Linux's renameat2(2)
_TRIES = 10  # to make a folder in a parent that another process removes, since it made it in vain


@contextmanager
def atomic_directory(target: Path) -> Iterator[Path]:
    """Yield a new folder that replaces ``target`` on success and is removed on failure."""
    _refuse_name(target)
    typed, target = target, _followed(target)
    with _staging(target) as staging:
        folder = staging / "new"
        folder.mkdir()
        try:
            yield folder
        except OutputError as error:  # about a part, which is in its final place for the user
            raise OutputError(str(error).replace(str(folder), str(typed))) from error
        _keep_modes(folder, target)
        _flush(folder)
        with interrupts_held():
            if _cannot_move(target):
                _fill(target, folder, staging)
            else:
                _move_folder(folder, target, staging / "old")
            _in_place(typed, _place(target))


@contextmanager
def atomic_file(target: Path) -> Iterator[Path]:
    """Yield a path whose file replaces ``target`` on success and is removed on failure."""
    _refuse_name(target)
    if is_stream(target):
        try:
            with streaming(str(target)):
                yield target
        except OSError as error:
            raise _not_written(target, error) from error
        return
    typed, target = target, _followed(target)
    with _staging(target) as staging:
        partial = staging / target.name
        yield partial
        _keep_modes(partial, target)
        _flush(partial)
        with interrupts_held():
            os.replace(partial, target)
            _in_place(typed, target.parent)


@contextmanager
def only_writer(target: Path) -> Iterator[None]:
    """Lock a target that takes long to write against other processes.

    The operating system holds the lock and releases it when the process ends, so the lock of a dead
    process blocks nobody. A hidden file next to ``target`` names the owner.
    """
    _refuse_name(target)
    place = _followed(target.absolute())
    path = _place(place) / f"{_hidden_name(place)}.lock"
    with parents_of(path):
        lock: int | None = None
        try:
            try:
                with interrupts_held():
                    lock = _retried(lambda: locked(path), path)
            except OSError as error:
                raise _not_written(target, error) from error
            if lock is None:
                raise _in_use(target, path)
            yield
        finally:
            if lock is not None:
                with interrupts_held():
                    path.unlink(missing_ok=True)
                    os.close(lock)


def check_writable(target: Path) -> None:
    """Raise if a file or a folder could not be written. Call it before long work."""
    _refuse_name(target)
    check_folders(target, target.parents)
    if not is_stream(target):
        with _staging(_followed(target)):
            pass


def check_file(target: Any) -> Path:
    """Return the path of a file to write. Raise if it is none, or could not be written."""
    if not isinstance(target, (str, os.PathLike)):
        raise InvalidParameterError(f"path must be the path of a file to write; found {shortened(target)}.")
    path = Path(target)
    if is_there(path) and path.is_dir():
        raise OutputError(f"{path} is a folder. Name a file in it.")
    check_writable(path)
    return path


def check_folders(target: Path, folders: Iterable[Path]) -> None:
    """Raise if one of the folders that a target needs is a file."""
    for folder in folders:
        if is_there(folder) and not folder.is_dir():
            raise OutputError(f"{target} cannot be written: {folder} is a file, not a folder. Choose another place.")


def is_stream(target: Path) -> bool:
    """Return whether a target is a pipe or a device, which is written to and not replaced."""
    if str(target).startswith(_DESCRIPTORS):
        return True
    try:
        return target.exists() and not (target.is_file() or target.is_dir())
    except OSError:
        return False


def is_there(target: Path) -> bool:
    """Return whether an output target exists."""
    _refuse_name(target)
    try:
        return target.exists()
    except OSError as error:
        raise _not_written(target, error) from error


@contextmanager
def parents_of(target: Path) -> Iterator[None]:
    """Remove parent folders that were made in this context, if nothing is in them in the end."""
    try:
        missing = [folder for folder in target.parents if not folder.exists()]
    except OSError:  # a name that is too long
        missing = []
    try:
        yield
    finally:
        for folder in missing:  # the innermost first
            with suppress(OSError):
                folder.rmdir()


# ---------------------------------------------------------------- parts


def _in_use(target: Path, lock: Path) -> OutputError:
    owner = ""
    with suppress(OSError):
        owner = lock.read_text(encoding="utf-8").strip()
    return OutputError(
        f"{target} is being written by another process ({owner or 'one that has only begun'}). Wait until it is "
        f"done, or choose another --out; nothing was changed."
    )


def _in_place(typed: Path, parent: Path) -> None:
    """Flush the folder around a target that is in its place now, and record it as typed."""
    _flush(parent, deep=False)
    if not any(part.startswith(HIDDEN) for part in typed.parts):  # else it is a part of a larger result
        record_complete(typed)


def _followed(target: Path) -> Path:
    """Return the file or folder that a link, "." or ".." stands for."""
    try:
        if not target.is_symlink() and target.name not in ("", ".."):
            return target
        place = Path(os.path.realpath(target))
        is_circular = place.is_symlink()
    except OSError as error:
        raise _not_written(target, error) from error
    if is_circular:
        raise OutputError(f"{target} is a link that leads back to itself. Remove it, or choose another place.")
    return place


def _cannot_move(target: Path) -> bool:
    """Return whether a target is a folder that this process cannot replace by another one."""
    if not target.is_dir():
        return False
    return os.path.ismount(target) or not os.access(target.parent, os.W_OK | os.X_OK) or _is_current(target)


def _is_current(folder: Path) -> bool:
    """Return whether this is the working directory: a shell would stay in the one moved away."""
    try:
        return folder.samefile(Path.cwd())
    except OSError:
        return False


def _place(target: Path) -> Path:
    """Return the folder for hidden files: on the same disk as the target, and writable."""
    return target if _cannot_move(target) else target.parent


def _keep_modes(new: Path, old: Path) -> None:
    """Give a file or folder, and all that is in it, the modes of what it replaces."""
    inside = [path.relative_to(new) for path in new.rglob("*")] if new.is_dir() else []
    for name in (Path(), *inside):
        if (old / name).exists():
            shutil.copymode(old / name, new / name)


def _fill(target: Path, folder: Path, staging: Path) -> None:
    """Move the content of a folder into another, and remove what was there before."""
    names = {path.name for path in folder.iterdir()}
    for name in sorted(names):
        _move(folder / name, target / name, staging / f"old-{name}")
    for path in target.iterdir():
        if path.name not in names and not path.name.startswith(HIDDEN):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _move(path: Path, target: Path, old: Path) -> None:
    if path.is_dir():
        _move_folder(path, target, old)
    else:
        os.replace(path, target)


def _hidden_name(target: Path) -> str:
    """Return a short hidden name, unique to a target and this machine."""
    place = f"{socket.gethostname()}\0{target.name}".encode(errors="surrogateescape")
    return HIDDEN + blake2b(place, digest_size=6).hexdigest()


@contextmanager
def _staging(target: Path) -> Iterator[Path]:
    """Yield a temporary hidden folder next to ``target``, on the same disk."""
    staging: Path | None = None
    _refuse_name(target)
    with parents_of(target):
        try:
            with interrupts_held():
                staging = _retried(lambda: _new_staging(target), target)
            yield staging
        except OSError as error:
            raise _not_written(target, error) from error
        finally:
            if staging is not None:
                with interrupts_held():
                    shutil.rmtree(staging, ignore_errors=True)


def _new_staging(target: Path) -> Path:
    _remove_stale_staging(target)
    prefix = f"{_hidden_name(target)}-{os.getpid()}-"
    return Path(tempfile.mkdtemp(prefix=prefix, dir=_place(target)))


def _retried(make: Callable[[], Made], target: Path) -> Made:
    """Make something in the parent folder of a target, which is made first."""
    for _ in range(_TRIES - 1):
        with suppress(FileNotFoundError):
            target.parent.mkdir(parents=True, exist_ok=True)
            return make()
    target.parent.mkdir(parents=True, exist_ok=True)
    return make()


def _refuse_name(target: Path) -> None:
    if _URL.match(str(target)):
        raise OutputError(
            f"{target} is the URL of a store, which this cannot write to. Name a file or folder of this machine. "
            f"(`vrae assign`, `embed` and `anomalies` write to a store with --engine ray.)"
        )
    if "\0" in str(target):
        raise OutputError(f"{str(target)!a} cannot be written: no name may hold a null character.")
    if _WINDOWS and _DEVICES.fullmatch(target.name):
        raise OutputError(f"{target} cannot be written: Windows keeps the name {target.name!r} for a device.")


def _not_written(target: Path, error: OSError) -> OutputError:
    advice = " Free some space or choose another place." if error.errno in _FULL else ""
    return OutputError(f"Could not write {target}: {error.strerror or error}.{advice}")


def _remove_stale_staging(target: Path) -> None:
    """Remove staging folders of processes of this machine that were killed."""
    for path in _place(target).glob(f"{_hidden_name(target)}-*"):
        owner = path.name.split("-")[2]
        if owner.isdigit() and not _is_alive(int(owner)):
            shutil.rmtree(path, ignore_errors=True)


def _is_alive(process: int) -> bool:
    if _WINDOWS:  # os.kill would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _flush(path: Path, deep: bool = True) -> None:
    """Flush to disk: a rename may otherwise reach the disk before the content."""
    if _WINDOWS:
        return
    for each in (path, *(path.rglob("*") if deep else ())):
        file = os.open(each, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)


def _move_folder(folder: Path, target: Path, old: Path) -> None:
    """Move a folder into place. The previous content ends up at ``old`` or at ``folder``."""
    if not target.exists():
        try:
            os.replace(folder, target)
        except OSError as error:
            if error.errno not in _OCCUPIED:
                raise
        else:
            return
    if _exchanged(folder, target):
        return
    os.replace(target, old)
    try:
        os.replace(folder, target)
    except OSError:
        os.replace(old, target)
        raise


def _exchanged(one: Path, other: Path) -> bool:
    """Swap two folders atomically where the system supports it, and return whether it did."""
    if sys.platform != "linux":
        return False
    import ctypes

    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):  # another C library
        return False
    here = -100  # AT_FDCWD: relative paths start at the working directory
    return rename(here, os.fsencode(one), here, os.fsencode(other), _EXCHANGE) == 0
