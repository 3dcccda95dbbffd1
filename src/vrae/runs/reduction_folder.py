"""A folder of reduced series: codes, model and error. Rebuilt series as a table."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from math import floor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vrae.data.panel import Panel
from vrae.estimators.reduction import Codes, report_reduction
from vrae.estimators.vrae import VRAE
from vrae.exceptions import DataWarning, InvalidDataError, warn
from vrae.io.atomic import atomic_directory
from vrae.phases import announce
from vrae.runs.output_folder import check_output_folder
from vrae.runs.result_tables import write_model
from vrae.runs.table_files import step_columns, table_writer, write_columns

__all__ = ["REDUCTION_FILES", "check_reduction_folder", "read_codes", "reduce_to_folder", "write_series"]

# All that the folder of a reduction holds.
REDUCTION_FILES = {"codes.parquet", "config.toml", "history.csv", "model", "reduction.json"}
# Steps that are written at once.
_STEPS = 1 << 20
# A warning says if less than this fraction of the variance is kept: more is lost.
_LITTLE_KEPT = 0.5


def check_reduction_folder(out: Path, overwrite: bool) -> None:
    """Refuse a folder with other content. Call it before long work."""
    mark = "reduction.json", '"numbers_out"'
    check_output_folder(
        out, overwrite, REDUCTION_FILES, mark, "reduction", "codes.parquet, reduction.json and the model"
    )


def reduce_to_folder(
    model: VRAE, panel: Panel, out: Path, *, fit: bool, also: Callable[[Path], None] = lambda folder: None
) -> dict[str, Any]:
    """Write ``codes.parquet`` and ``reduction.json``, and return the content of the latter.

    With ``fit``, the model is fitted to the panel first, and saved with its history. ``also``
    writes more files into the folder, before it moves into place.
    """
    if fit:
        model.fit(panel)
    announce("Reducing")
    codes = model.reduce(panel)
    report = {**report_reduction(model, panel, codes).to_dict(), "size_curve": model.size_curve_}
    with atomic_directory(out) as folder:
        if fit:
            write_model(model, folder)
        write_columns(codes.to_columns(), folder / "codes.parquet")
        (folder / "reduction.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        also(folder)
    if report["kept"] < _LITTLE_KEPT:
        size = report["latent_size"]
        warn(
            f"The codes keep {floor(100 * max(report['kept'], 0))} % of the variance of the series, so rebuilt series "
            f"lack most of what varies. If that is more than noise, train on these series with a larger latent_size "
            f"(now {size}).",
            DataWarning,
        )
    return report


def read_codes(path: Path) -> Codes:
    """Read codes from the file or folder that `reduce_to_folder` wrote."""
    file = path / "codes.parquet" if path.is_dir() else path
    if not file.is_file():
        raise InvalidDataError(
            f"{file} does not exist. Pass the folder that `vrae reduce` wrote, or its codes.parquet."
        )
    try:
        with file.open("rb") as opened:  # Arrow itself opens only names in UTF-8
            table = pq.read_table(opened)
    except (pa.ArrowException, OSError) as error:
        raise InvalidDataError(f"{file} is not a Parquet file, or it is damaged ({error}).") from None
    return Codes.from_columns({name: table[name].to_numpy() for name in table.column_names})


def write_series(panel: Panel, target: Path | None) -> None:
    """Write series as a long table: id, step (1, 2, ...) and one column per channel."""
    ends = np.searchsorted(panel.offsets, np.arange(_STEPS, panel.offsets[-1] + _STEPS, _STEPS), side="right") - 1
    cuts = np.unique(np.concatenate([[0], ends, [len(panel)]]))
    with table_writer(target) as write:
        for first, last in pairwise(cuts):
            part = panel.select(np.arange(first, last))
            write({**step_columns(part), **dict(zip(part.channels, part.values.T, strict=True))})
