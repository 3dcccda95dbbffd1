"""The clock of a command. It starts with the process, so it counts imports too."""

from __future__ import annotations

import time
from contextvars import ContextVar

__all__ = ["duration", "elapsed", "start_clock"]

# This module is imported first. Until then Python has computed and not waited, so the time of the
# processor is about the time that passed.
_PROCESS_STARTED = time.monotonic() - time.process_time()

_STARTED: ContextVar[float | None] = ContextVar("start of the command", default=None)


def start_clock(with_process: bool = False) -> None:
    """Start the clock when the process started, or now unless it is running."""
    if with_process:
        _STARTED.set(_PROCESS_STARTED)
    elif _STARTED.get() is None:
        _STARTED.set(time.monotonic())


def elapsed() -> float:
    """Return the seconds since the command started."""
    started = _STARTED.get()
    return 0.0 if started is None else time.monotonic() - started


def duration(seconds: float) -> str:
    """Return a duration in words: "0.4 s", "12 s", "3 min 20 s" or "2 h 5 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
