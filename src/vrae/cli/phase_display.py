"""Show the phases of a command: one live line on a terminal, one plain line a phase elsewhere."""

from __future__ import annotations

import gc
import sys
import time
from contextvars import ContextVar
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from vrae.cli.clock import duration, elapsed

__all__ = ["PhaseDisplay", "end_display", "end_phase"]

# Imports take a moment. Of a command without another phase, they leave no line.
_FIRST = "Starting"
# Where no line is live, a long phase says how far it is after this number of seconds.
_REMINDER = 30.0
# Before this number of seconds, an estimate of the remaining time jumps too much.
_ESTIMATE = 5.0


class PhaseDisplay:
    """A listener to the phases of `vrae.phases`, and a context in which it shows them.

    Parameters
    ----------
    console : Console
        Where to show them. A line is live if this is a terminal.
    quiet : bool
        Whether to show nothing.
    """

    def __init__(self, console: Console, quiet: bool) -> None:
        self._console, self._quiet = console, quiet
        self._phase = self._text = ""
        self._share: float | None = None
        self._began = self._told = time.monotonic()
        self._first: tuple[float, float] | None = None  # the first known share of the phase, and when
        self._live: Live | None = None
        self._spinner = Spinner("dots" if console.encoding.startswith("utf") else "line")

    def __enter__(self) -> Self:
        self._token = _DISPLAY.set(self)
        if not self._quiet and self._console.is_interactive and sys.stderr.isatty():
            options: dict[str, Any] = {"transient": True, "redirect_stdout": False, "refresh_per_second": 8}
            self._live = Live(console=self._console, get_renderable=self._line, **options)
            self._live.start()
        self.begin(_FIRST)
        return self

    def __exit__(self, kind: Any, *rest: Any) -> None:
        self.stop(done=kind is None)
        _DISPLAY.reset(self._token)

    def begin(self, phase: str) -> None:
        """Show that a phase begins. One that goes on is not shown again."""
        self._text, self._share, self._first = "", None, None
        if phase == self._phase:
            return
        if self._phase == _FIRST and not gc.isenabled():  # see `vrae.__main__`
            gc.freeze()  # modules stay to the end
            gc.enable()
        self.end_phase()
        self._phase = phase
        self._began = self._told = time.monotonic()
        if not self._quiet and self._live is None:
            self._print(f"[{duration(elapsed())}] {phase}")

    def advance(self, text: str, share: float | None) -> None:
        """Show how far the phase is."""
        self._text, self._share, now = text, share, time.monotonic()
        if share is not None and self._first is None:
            self._first = share, now
        if not self._quiet and self._live is None and now - self._told > _REMINDER:
            self._told = now
            self._print(f"[{duration(elapsed())}] {self._phase}: {text}{self._remaining()}")

    def end_phase(self) -> None:
        """Leave a line about the current phase."""
        seconds = time.monotonic() - self._began
        if self._phase and self._live is not None:
            self._print(f"{self._phase:<12} {duration(seconds):>8}")
        self._phase = self._text = ""

    def stop(self, done: bool = True) -> None:
        """Leave the terminal to others. The line of a phase that failed disappears."""
        if done and self._phase != _FIRST:
            self.end_phase()
        if self._live is not None:
            self._live.stop()
            self._live = None
            self._quiet = True

    def _line(self) -> Table:
        """Return the live line: a spinner, the phase, how far it is and the time."""
        text = Text(self._phase, style="bold", no_wrap=True, overflow="ellipsis")
        text.append(f"  {self._text}{self._remaining()}", style="not bold")
        since = time.monotonic() - self._began if self._phase else elapsed()
        line = Table.grid(padding=(0, 1))
        line.add_row(self._spinner, text, Text(duration(since), style="dim"))
        return line

    def _remaining(self) -> str:
        if self._first is None or self._share is None:
            return ""
        share, since = self._first
        now = time.monotonic()
        if self._share <= share or now - self._began < _ESTIMATE:
            return ""
        return f", {duration((1 - self._share) * (now - since) / (self._share - share))} left"

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


_DISPLAY: ContextVar[PhaseDisplay | None] = ContextVar("display of phases", default=None)


def end_phase() -> None:
    """Leave a line about the current phase, since what follows are its results."""
    display = _DISPLAY.get()
    if display is not None:
        display.end_phase()


def end_display() -> None:
    """Stop showing phases, since results follow."""
    display = _DISPLAY.get()
    if display is not None:
        display.stop()
