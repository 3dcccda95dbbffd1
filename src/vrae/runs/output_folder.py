"""Folders that a command writes as a whole: what must not be replaced."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from vrae.exceptions import OutputError
from vrae.io.model_files import check_replaceable

__all__ = ["check_output_folder", "is_marked"]

_PART = 1 << 16  # bytes of a file among which its mark is


def check_output_folder(
    out: Path, overwrite: bool, files: Collection[str], mark: tuple[str, str], what: str, gets: str
) -> None:
    """Refuse a folder with other content than ``files``. Call it before long work.

    ``mark`` is a file, and a text by which it is known. ``what`` is the earlier result that the
    folder may hold, and ``gets`` what it gets, for the messages.
    """
    if out.suffix in (".parquet", ".csv", ".html"):
        raise OutputError(f"--out {out} must be a folder: it gets {gets}.")
    if not out.exists():
        return
    names = {path.name for path in out.iterdir()} if out.is_dir() else {out.name}
    if names - set(files) or not out.is_dir() or (names and not is_marked(out / mark[0], mark[1])):
        raise OutputError(f"{out} exists and holds something else. Choose another --out. Nothing was changed.")
    if names and not overwrite:
        raise OutputError(
            f"{out} holds an earlier {what}. Choose another --out, or add --overwrite to replace it. Nothing was "
            f"changed."
        )
    if "model" in names:
        check_replaceable(out / "model")


def is_marked(file: Path, text: str) -> bool:
    """Return whether a file has a text near its beginning, as one that vrae wrote."""
    try:
        with file.open("rb") as content:
            return text.encode() in content.read(_PART)
    except OSError:
        return False
