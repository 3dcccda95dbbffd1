"""The command line. Heavy modules are imported inside the commands, so that ``--help`` answers at once."""

from vrae.cli.app import app, main

__all__ = ["app", "main"]
