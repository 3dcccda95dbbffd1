"""Which items are compared: those of one group, with similar values of numeric columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.config import check_real
from vrae.data.array_likes import is_missing
from vrae.data.panel import Panel
from vrae.exceptions import DataWarning, InvalidDataError, InvalidParameterError, did_you_mean, warn

__all__ = ["SIMILAR_WITHIN", "Similarity", "encode_groups"]

Ints = npt.NDArray[np.int64]

# Largest difference of two similar values, as a fraction of the larger one.
SIMILAR_WITHIN = 0.5


def encode_groups(panel: Panel, groups: Any) -> tuple[npt.NDArray[Any], Ints]:
    """Return the names of the groups and the code of each series' group, -1 for none.

    Several columns make a group of each combination of their values, named by both.
    """
    if groups is None:
        return np.array(["all"]), np.zeros(len(panel), np.int64)
    if isinstance(groups, str):
        groups = static_column(panel, groups)
    elif _are_columns(panel, groups):
        columns = [static_column(panel, name) for name in groups]
        rows = list(zip(*(column.tolist() for column in columns), strict=True))
        groups = np.array(
            [None if any(map(is_missing, row)) else " / ".join(map(str, row)) for row in rows], dtype=object
        )
    groups = np.asarray(groups)
    if groups.shape != (len(panel),):
        raise InvalidDataError(
            f"groups has shape {groups.shape}; expected ({len(panel)},). Pass one group for each series."
        )
    missing = np.array([is_missing(name) for name in groups.tolist()], bool)
    codes = np.full(len(panel), -1)
    code_of: dict[Any, int] = {}
    for index in np.flatnonzero(~missing):  # in order of first appearance
        codes[index] = code_of.setdefault(groups[index], len(code_of))
    return np.array(list(code_of), dtype=groups.dtype), codes


def static_column(panel: Panel, name: str) -> npt.NDArray[Any]:
    """Return a static column, or raise with the known ones."""
    if not panel.static:
        raise InvalidParameterError(
            f"No static column {name!r}: the panel has none. Pass static={name!r} to read_panel."
        )
    if name not in panel.static:
        raise InvalidParameterError(f"No static column {name!r}.{did_you_mean(name, list(panel.static))}")
    return panel.static[name]


@dataclass(frozen=True)
class Similarity:
    """Values (n, n_columns) by which items can replace each other, and tolerances (n_columns,)."""

    values: npt.NDArray[np.float64]
    within: npt.NDArray[np.float64]

    @classmethod
    def of(cls, panel: Panel, similar: str | Sequence[str] | Mapping[str, float] | None) -> Similarity:
        """Take the columns of the panel that were asked for."""
        if similar is None:
            similar = {}
        if not isinstance(similar, Mapping):
            names = [similar] if isinstance(similar, str) else list(similar)
            similar = dict.fromkeys(names, SIMILAR_WITHIN)
        for name, within in similar.items():
            check_real(f"similar[{name!r}]", within, low=0, high=1)
        columns = [_numbers(panel, name) for name in similar]
        values = np.stack(columns, axis=1) if columns else np.empty((len(panel), 0))
        return cls(values, np.array(list(similar.values()), np.float64))

    def known(self) -> npt.NDArray[np.bool_]:
        """Say of each item whether all its values are known. The others are not compared."""
        return np.asarray(~np.isnan(self.values).any(axis=1))

    def allowed(self, items: Ints, others: Ints) -> npt.NDArray[np.bool_]:
        """Return which items (a,) and others (b,) are similar in all columns, (a, b)."""
        out = np.ones((len(items), len(others)), bool)
        for values, within in zip(self.values.T, self.within, strict=True):
            a, b = values[items, None], values[others]
            out &= np.abs(a - b) <= within * np.maximum(np.abs(a), np.abs(b)) * (1 + 1e-12)
        return out


def _numbers(panel: Panel, name: str) -> npt.NDArray[np.float64]:
    column = static_column(panel, name)
    try:
        values = np.array([np.nan if is_missing(v) else float(v) for v in column.tolist()])
    except (TypeError, ValueError):
        raise InvalidDataError(
            f"Column {name!r} is not numeric, so no two items are similar in it. Use it as a group instead."
        ) from None
    missing = np.flatnonzero(~np.isfinite(values))
    if len(missing):
        warn(
            f"{len(missing)} of {len(panel)} items have no {name!r}, for example {panel.ids[missing[0]]}. "
            "They are compared with no other item.",
            DataWarning,
        )
    return np.where(np.isfinite(values), values, np.nan)


def _are_columns(panel: Panel, groups: Any) -> bool:
    """Say whether ``groups`` is a list of column names rather than one group per series."""
    if not isinstance(groups, (list, tuple)) or not groups or not all(isinstance(name, str) for name in groups):
        return False
    return len(groups) != len(panel) or all(name in panel.static for name in groups)
