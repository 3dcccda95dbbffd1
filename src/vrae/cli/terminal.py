"""What the commands say, and where."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["INTERRUPTED", "Stopped", "err", "facts_table", "names_as_they_are", "out", "print_json", "target", "teller"]

INTERRUPTED = 130  # exit code after Ctrl-C

out = Console()
err = Console(stderr=True)


class Stopped(SystemExit):
    """The end after Ctrl-C, of which the user has been told already."""

    def __init__(self, message: str) -> None:
        super().__init__(INTERRUPTED)
        err.print(message, markup=False, highlight=False, soft_wrap=True)


def teller(quiet: bool) -> Callable[[str], None]:
    """Return what tells of progress on stderr, or of nothing."""
    return lambda message: None if quiet else err.print(message, markup=False, highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print a value as JSON on stdout."""
    typer.echo(json.dumps(value, indent=2))


def facts_table(facts: dict[str, Any]) -> Table:
    """Return a table with a row a fact."""
    table = Table(show_header=False, box=None)
    for name, fact in facts.items():
        table.add_row(f"[bold]{name}[/]", Text(_words(fact)))  # whatever it holds is no markup
    return table


def target(file: Path) -> Path | None:
    """Return where a table goes: a file, or standard output (None)."""
    return None if str(file) == "-" else file


def _words(fact: Any) -> str:
    if isinstance(fact, dict):
        return ", ".join(f"{name}={value}" for name, value in fact.items())
    return ", ".join(map(str, fact)) if isinstance(fact, list) else str(fact)


def names_as_they_are() -> None:
    """Let standard output take file names that are no text, byte by byte, as other commands do."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="surrogateescape")
