"""Ctrl-C: what it must not cut in two, and what had been written when it came."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Outputs", "interrupts_held", "record_complete", "record_kept", "recording", "streaming"]


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Let Ctrl-C wait until the end of this context, and do then what it does elsewhere."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield  # other threads are never interrupted
        return
    arrived: list[tuple[Any, ...]] = []
    signal.signal(signal.SIGINT, lambda *details: arrived.append(details))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if arrived:
            before(*arrived[-1])


@dataclass
class Outputs:
    """What has been written: complete results, beginnings of streams, and parts to continue."""

    complete: list[str] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


# Each thread and each context has its own: nothing is set for the whole process.
_OUTPUTS: ContextVar[Outputs | None] = ContextVar("outputs that have been written", default=None)


@contextmanager
def recording() -> Iterator[Outputs]:
    """Record the outputs that are written in this context."""
    found = Outputs()
    token = _OUTPUTS.set(found)
    try:
        yield found
    finally:
        _OUTPUTS.reset(token)


def record_complete(target: Path) -> None:
    """Record that a file or folder is in its place, complete."""
    if (outputs := _OUTPUTS.get()) is not None:
        outputs.complete.append(str(target))


def record_kept(folder: str) -> None:
    """Record a folder of finished parts, from which the same work can continue."""
    if (outputs := _OUTPUTS.get()) is not None:
        outputs.kept.append(folder)


@contextmanager
def streaming(name: str) -> Iterator[None]:
    """Record a stream, whose content cannot be taken back: begun at first, complete in the end."""
    outputs = _OUTPUTS.get()
    if outputs is None:
        yield
        return
    outputs.begun.append(name)
    yield
    outputs.begun.remove(name)
    outputs.complete.append(name)
