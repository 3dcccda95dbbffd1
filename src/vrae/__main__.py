"""``python -m vrae``: the command line."""

from vrae.cli import main

main()
