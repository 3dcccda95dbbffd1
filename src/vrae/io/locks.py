"""A lock file: one process writes at a time. The system releases the lock of a dead process."""

from __future__ import annotations

import errno
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path

__all__ = ["locked"]

_IN_USE = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)


def locked(path: Path) -> int | None:
    """Open and lock a file. Return its descriptor, or None if another process holds the lock."""
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
        os.close(file)  # the last owner removed the file while we waited, so it locks nothing


def _sign_or_remove(file: int, path: Path) -> None:
    try:
        os.ftruncate(file, 0)
        os.lseek(file, 0, os.SEEK_SET)
        os.write(file, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    except OSError:  # the disk is full
        with suppress(OSError):
            path.unlink()
        raise


def _lock(file: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(file, 1 << 20, os.SEEK_SET)  # past the text, which other processes may read
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
