"""The command line. Commands import heavy modules when they run, so that ``--help`` is fast."""

import vrae.cli.clock  # noqa: F401  # first of all: it starts the clock of the process
from vrae.cli.app import app, main

__all__ = ["app", "main"]
