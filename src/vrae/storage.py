"""Writing so that nothing is lost: whole or not at all, durable, and by one writer at a time.

What is new is written into a hidden folder, the workshop, beside its place, brought to the disk, and moved into place
by one rename. Whenever a process dies, the old content is there, or the new one; a workshop that a killed process left
is cleared away by the next writer of that place.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path

from vrae.exceptions import OutputError

__all__ = ["HIDDEN", "atomic_directory", "atomic_file", "is_there", "only_writer"]

# How the names of workshops and locks begin; their owner may find them in a folder at any time.
HIDDEN = ".vrae-"

_WINDOWS = os.name == "nt"
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_URL = re.compile(r"[a-z][a-z0-9+.-]+:[/\\]")  # a path has one slash where a URL has two
_IN_USE = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)
_OCCUPIED = (errno.ENOTEMPTY, errno.EEXIST)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_EXCHANGE = 2  # RENAME_EXCHANGE of Linux's renameat2(2)


@contextmanager
def atomic_directory(target: Path) -> Iterator[Path]:
    """Give a new folder to write into; it takes the place of ``target`` when all went well, or vanishes.

    Raises
    ------
    OutputError
        The disk is full, or the place cannot be written.
    """
    with _workshop(target) as workshop:
        folder = workshop / "new"
        folder.mkdir()
        yield folder
        _bring_to_disk(folder)
        _move_folder(folder, target, workshop / "old")
        _bring_to_disk(target.parent, deep=False)


@contextmanager
def atomic_file(target: Path) -> Iterator[Path]:
    """Give a new file's path to write to; it takes the place of ``target`` when all went well, or vanishes.

    Raises
    ------
    OutputError
        The disk is full, or the place cannot be written.
    """
    with _workshop(target) as workshop:
        yield workshop / target.name
        _bring_to_disk(workshop / target.name)
        os.replace(workshop / target.name, target)
        _bring_to_disk(target.parent, deep=False)


@contextmanager
def only_writer(target: Path) -> Iterator[None]:
    """Keep other processes from writing to a place that takes long to fill.

    The operating system holds the lock and lets go of it with the process, however that ends: the lock of a dead
    process holds nobody up. Who holds it is written into a hidden file beside ``target``.

    Raises
    ------
    OutputError
        Another process is writing there; or the place cannot be written, its name is kept for a device for example.
    """
    _refuse_name(target)
    path = target.absolute().parent / f"{_hidden_name(target)}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = _locked(path)
    except OSError as error:
        raise _not_written(target, error) from error
    if lock is None:
        with suppress(OSError):
            owner = path.read_text(encoding="utf-8").strip()
        raise OutputError(
            f"{target} is being written by another process ({owner or 'one that has only begun'}). Wait until it is "
            f"done, or choose another --out; nothing was changed."
        )
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(lock)


def is_there(target: Path) -> bool:
    """Tell whether there is anything at a place that is to be written to.

    Raises
    ------
    OutputError
        The place cannot be looked at; its name is too long, for example, or it is a URL.
    """
    _refuse_name(target)
    try:
        return target.exists()
    except OSError as error:
        raise _not_written(target, error) from error


# ---------------------------------------------------------------- parts


def _hidden_name(target: Path) -> str:
    """Return a short name that belongs to a place and to this machine, however long the place's own name is."""
    place = f"{socket.gethostname()}\0{target.name}".encode(errors="surrogateescape")
    return HIDDEN + blake2b(place, digest_size=6).hexdigest()


@contextmanager
def _workshop(target: Path) -> Iterator[Path]:
    """Give a hidden folder beside ``target``, on the same disk; it is gone afterwards."""
    workshop: Path | None = None
    _refuse_name(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _clear_away_after_the_dead(target)
        prefix = f"{_hidden_name(target)}-{os.getpid()}-"
        workshop = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
        yield workshop
    except OSError as error:
        raise _not_written(target, error) from error
    finally:
        if workshop is not None:
            shutil.rmtree(workshop, ignore_errors=True)


def _refuse_name(target: Path) -> None:
    if _URL.match(str(target)):
        raise OutputError(
            f"{target} is the URL of a store, which this cannot write to. Name a file or folder of this machine. "
            f"(`vrae assign`, `embed` and `anomalies` write to a store with --engine ray.)"
        )
    if _WINDOWS and _DEVICES.fullmatch(target.name):
        raise OutputError(f"{target} cannot be written: Windows keeps the name {target.name!r} for a device.")


def _not_written(target: Path, error: OSError) -> OutputError:
    advice = " Free some space or choose another place." if error.errno in _FULL else ""
    return OutputError(f"Could not write {target}: {error.strerror or error}.{advice}")


def _clear_away_after_the_dead(target: Path) -> None:
    """Remove workshops of processes of this machine that ended without a chance to do so."""
    for path in target.parent.glob(f"{_hidden_name(target)}-*"):
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


def _bring_to_disk(path: Path, deep: bool = True) -> None:
    """Wait until the disk holds what was written: a rename may reach it earlier."""
    if _WINDOWS:
        return
    for each in (path, *(path.rglob("*") if deep else ())):
        file = os.open(each, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)


def _move_folder(folder: Path, target: Path, old: Path) -> None:
    """Move a folder into place; what was there before is at ``old``, or at ``folder``, afterwards."""
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
    """Let two folders change places in one step, where the system can: there is no moment without either."""
    if sys.platform != "linux":
        return False
    import ctypes

    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):  # another C library
        return False
    here = -100  # AT_FDCWD: paths are as for everybody
    return rename(here, os.fsencode(one), here, os.fsencode(other), _EXCHANGE) == 0


def _locked(path: Path) -> int | None:
    """Open a file and lock it: return its descriptor, or None if somebody else has it."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(file)
            if os.fstat(file).st_ino == os.stat(path).st_ino:
                _sign_or_remove(file, path)
                return file
        except FileNotFoundError:
            pass
        except OSError as error:
            os.close(file)
            if error.errno in _IN_USE:
                return None
            raise
        os.close(file)  # the last owner removed it while we waited for it: it locks nothing


def _sign_or_remove(file: int, path: Path) -> None:
    try:
        _sign(file)
    except OSError:  # the disk is full
        with suppress(OSError):
            path.unlink()
        raise


def _lock(file: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(file, 1 << 20, os.SEEK_SET)  # far beyond the text, which others may read
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _sign(file: int) -> None:
    os.ftruncate(file, 0)
    os.lseek(file, 0, os.SEEK_SET)
    os.write(file, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
