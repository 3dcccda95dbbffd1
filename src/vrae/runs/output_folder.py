"""Folders that a command writes as a whole: what must not be replaced."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from vrae.exceptions import OutputError

__all__ = ["check_output_folder"]


def check_output_folder(out: Path, overwrite: bool, files: Collection[str], what: str, gets: str) -> None:
    """Refuse a folder with other content than ``files``. Call it before long work.

    ``what`` is the earlier result that it may hold, and ``gets`` what it gets, for the messages.
    """
    if out.suffix in (".parquet", ".csv", ".html"):
        raise OutputError(f"--out {out} must be a folder: it gets {gets}.")
    if not out.exists():
        return
    names = {path.name for path in out.iterdir()} if out.is_dir() else {out.name}
    if names - set(files) or not out.is_dir():
        raise OutputError(f"{out} exists and holds something else. Choose another --out. Nothing was changed.")
    if names and not overwrite:
        raise OutputError(
            f"{out} holds an earlier {what}. Choose another --out, or add --overwrite to replace it. Nothing was "
            f"changed."
        )
