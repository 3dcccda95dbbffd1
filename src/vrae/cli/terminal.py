"""Output of the commands: results to stdout, everything else to stderr."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from vrae.cli.phase_display import end_display

__all__ = [
    "INTERRUPTED",
    "Stopped",
    "accept_any_file_name",
    "drop_unwritten_messages",
    "echo",
    "err",
    "facts_table",
    "logger_for",
    "out",
    "print_json",
    "replace_closed_streams",
    "target",
    "usage_error",
    "written",
]

INTERRUPTED = 130  # exit code after Ctrl-C

# Control characters, which ids and names of columns may hold, as text.
_SHOWN = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


class _Console(Console):
    """A console on which control characters of a text are shown and not obeyed."""

    def render(self, *given: Any, **options: Any) -> Iterator[Segment]:
        for text, style, control in super().render(*given, **options):
            yield Segment(text if control else text.translate(_SHOWN), style, control)


class _Results(_Console):
    """The console of results, which follow the phases."""

    def print(self, *objects: Any, **options: Any) -> None:
        end_display()
        super().print(*objects, **options)

    def on_broken_pipe(self) -> None:
        raise  # the BrokenPipeError, which `main` expects; rich would end with code 1


out = _Results()
err = _Console(stderr=True)


class Stopped(SystemExit):
    """End after Ctrl-C. The user has already been told."""

    def __init__(self, message: str) -> None:
        super().__init__(INTERRUPTED)
        err.print(message, markup=False, highlight=False, soft_wrap=True)


def logger_for(quiet: bool) -> Callable[[str], None]:
    """Return a function that prints a line to stderr, or nothing if ``quiet``."""
    return lambda message: None if quiet else err.print(message, markup=False, highlight=False, soft_wrap=True)


def usage_error(message: str) -> Exception:
    """Return an error about arguments. Its class is slow to import, and ``--help`` must be fast."""
    from vrae.exceptions import InvalidParameterError

    return InvalidParameterError(message)


def print_json(value: Any) -> None:
    """Print a value as JSON to stdout."""
    echo(json.dumps(value, indent=2))


def echo(text: str) -> None:
    """Print a result to stdout. Control characters, as in an id, are shown and not obeyed."""
    end_display()
    typer.echo(text.translate(_SHOWN))


def facts_table(facts: dict[str, Any]) -> Table:
    """Return a table with one row per fact."""
    table = Table(show_header=False, box=None)
    for name, fact in facts.items():
        if isinstance(fact, dict):
            fact = [f"{key}={value}" for key, value in fact.items()]
        text = ", ".join(map(str, fact)) if isinstance(fact, list) else str(fact)
        table.add_row(f"[bold]{name}[/]", Text(text))  # not a string: it could contain markup
    return table


def target(file: Path) -> Path | None:
    """Return where to write a table: a file, or None for stdout."""
    if str(file) != "-":
        return file
    if sys.stdout.isatty():  # rows and a live line would overwrite each other
        end_display()
    return None


def written(file: Path, facts: str) -> str:
    """Return the last line about a table: what is in it, and where it is."""
    return f"Wrote {file}: {facts}." if str(file) != "-" else f"{facts}."


class _Closed(io.TextIOBase):
    """Standard output of a process that was started without it."""

    def write(self, text: str) -> int:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


def replace_closed_streams() -> None:
    """Open standard streams that the process was started without, as after ``>&-`` in a shell.

    Otherwise, the next file that is opened would be taken for standard output.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = _Closed()


class _Messages(io.FileIO):
    """Standard error. What cannot be written is dropped, since the work matters more."""

    def write(self, data: Any) -> int:
        with suppress(OSError):
            return super().write(data) or len(data)
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())  # also for libraries that are not of Python
        return len(data)


def drop_unwritten_messages() -> None:
    """Let the work go on when the reader of the messages ends, or their disk is full."""
    raw = getattr(sys.stderr, "buffer", None)
    raw = getattr(raw, "raw", raw)
    if isinstance(sys.stderr, io.TextIOWrapper) and type(raw) is io.FileIO:  # else the console of Windows
        messages = io.BufferedWriter(_Messages(raw.fileno(), "w", closefd=False))
        sys.stderr = io.TextIOWrapper(messages, sys.stderr.encoding, sys.stderr.errors, line_buffering=True)


def accept_any_file_name() -> None:
    """Let stdout print file names that are not valid text, byte by byte, as other commands do."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="surrogateescape")
