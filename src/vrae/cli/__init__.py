"""The command line. Commands import heavy modules when they run, so that ``--help`` is fast."""

from vrae.cli.app import app, main

__all__ = ["app", "main"]
