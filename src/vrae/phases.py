"""The phases of long work, such as reading and training, told to a listener. By default to none.

Work in other threads looks here whether it should stop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from threading import Event
from typing import Protocol, TypeVar

__all__ = ["Listener", "advance", "announce", "check_stopped", "listening", "one_phase", "stoppable"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Listener(Protocol):
    """Shows phases to a user."""

    def begin(self, phase: str) -> None:
        """Show that a phase begins, and that the one before it is done."""

    def advance(self, text: str, share: float | None) -> None:
        """Show how far the phase is: in words, and as a fraction if that is known."""


class _Inside:
    """A listener inside of a larger phase: phases become a part of its text."""

    def __init__(self, outer: Listener) -> None:
        self._outer, self._phase = outer, ""

    def begin(self, phase: str) -> None:
        self._phase = phase.lower()
        self._outer.advance(self._phase, None)

    def advance(self, text: str, share: float | None) -> None:
        self._outer.advance(": ".join(filter(None, [self._phase, text])), None)


# Each thread and each context has its own: nothing is set for the whole process.
_LISTENER: ContextVar[Listener | None] = ContextVar("listener to phases", default=None)
_STOPS: ContextVar[tuple[Event, ...]] = ContextVar("events that end the work", default=())


@contextmanager
def listening(listener: Listener | None) -> Iterator[None]:
    """Tell the phases of the work inside to a listener."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def announce(phase: str) -> None:
    """Say that a phase begins."""
    listener = _LISTENER.get()
    if listener is not None:
        listener.begin(phase)


def advance(done: int, total: int | None, unit: str, share: float | None = None) -> None:
    """Say how much of the current phase is done.

    Parameters
    ----------
    done : int
        What is done, counted in ``unit``.
    total : int or None
        What there is to do. None if that is not known.
    unit : str
        Plural of what is counted, such as "series".
    share : float, optional
        Fraction of the phase that is done, to estimate the time that is left.

    Raises
    ------
    CancelledError
        See `check_stopped`.
    """
    check_stopped()
    listener = _LISTENER.get()
    if listener is None:
        return
    of_all = "" if total is None else f" of {total:,}"
    listener.advance(f"{done:,}{of_all} {unit}", share)


@contextmanager
def one_phase(name: str) -> Iterator[None]:
    """Announce a phase. Phases that begin inside are shown as parts of it."""
    announce(name)
    listener = _LISTENER.get()
    with listening(None if listener is None else _Inside(listener)):
        yield


def stoppable(work: Callable[[Item], Result], stop: Event) -> Callable[[Item], Result]:
    """Return work for another thread, which ends early once ``stop`` is set.

    It runs in a copy of the context of this call: with its listener, and what it silences.
    """

    def run(item: Item) -> Result:
        _STOPS.set((*_STOPS.get(), stop))
        return work(item)

    def run_in_copy(item: Item) -> Result:
        return here.copy().run(run, item)

    here = copy_context()
    return run_in_copy


def check_stopped() -> None:
    """Raise if nobody waits for the work of this thread any more, as after Ctrl-C.

    Raises
    ------
    CancelledError
        The thread ends quietly.
    """
    if any(stop.is_set() for stop in _STOPS.get()):
        raise CancelledError
