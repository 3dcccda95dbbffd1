"""A folder about what changed since a fit: drift.html, drift.csv (items) and shares.csv."""

from __future__ import annotations

from pathlib import Path

from vrae.describe.drift_result import Drift
from vrae.io.atomic import atomic_directory
from vrae.report import render_drift
from vrae.runs.output_folder import check_output_folder
from vrae.runs.table_files import write_columns

__all__ = ["check_drift_folder", "write_drift"]

_FILES = {"drift.csv", "drift.html", "shares.csv"}


def check_drift_folder(out: Path, overwrite: bool) -> None:
    """Refuse a folder with other content. Call it before long work."""
    mark = "drift.html", "· vrae</title>"
    check_output_folder(out, overwrite, _FILES, mark, "comparison", "drift.html, drift.csv and shares.csv")


def write_drift(drift: Drift, out: Path, title: str, command: str) -> None:
    """Write the page and both tables, completely or not at all."""
    rendered = render_drift(drift, title, command).encode("utf-8", errors="replace")
    with atomic_directory(out) as folder:
        write_columns(drift.item_columns(), folder / "drift.csv")
        write_columns(drift.share_columns(), folder / "shares.csv")
        (folder / "drift.html").write_bytes(rendered)
