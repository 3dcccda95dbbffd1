"""Categories of items, from a static column such as the department."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Panel
from vrae.describe.words import plural
from vrae.exceptions import DataWarning, name_some, warn

__all__ = ["Categories", "as_text", "is_empty", "static_columns", "warn_of_unknown"]

Ints = npt.NDArray[np.int64]

# A column of fewer items per value on average has no categories.
_MIN_ITEMS = 4


@dataclass(frozen=True)
class Categories:
    """The values of a static column. Items of other values have no category."""

    column: str
    names: tuple[str, ...]

    @classmethod
    def candidates(cls, static: Mapping[str, npt.NDArray[Any]]) -> list[Self]:
        """Return the columns of text (n_items,) that divide the items."""
        found = []
        for name, column in static.items():
            names = sorted({value for value in column if value is not None})
            if 1 < len(names) <= len(column) / _MIN_ITEMS:
                found.append(cls(name, tuple(names)))
        return found

    def codes(self, static: Mapping[str, npt.NDArray[Any]], n_items: int) -> Ints:
        """Return the position of the category of each item, (n_items,). -1 for none."""
        if self.column not in static:
            return np.full(n_items, -1)
        position = {name: code for code, name in enumerate(self.names)}
        return np.array([position.get(value, -1) for value in static[self.column]], np.int64)


def warn_of_unknown(categories: Categories, static: Mapping[str, npt.NDArray[Any]]) -> None:
    """Warn of items whose category is not known, since they get the season of all items."""
    column = categories.column
    if column not in static:
        warn(
            f"The forecasts use the static column {column!r}, which these items lack. They get the season of all "
            f"items. Add the column to the table.",
            DataWarning,
        )
        return
    names = static[column]
    unknown = np.flatnonzero(categories.codes(static, len(names)) < 0)
    if len(unknown):
        found = sorted({"(empty)" if names[row] is None else repr(names[row]) for row in unknown})
        warn(
            f"{plural(len(unknown), 'item')} of another {column!r} than those of the fit get the season of all items: "
            f"{name_some(found)}.",
            DataWarning,
        )


def static_columns(panel: Panel) -> dict[str, npt.NDArray[Any]]:
    """Return the static columns of a panel as text, None where they are empty."""
    return {
        name: np.array([None if is_empty(value) else as_text(value) for value in column], object)
        for name, column in panel.static.items()
    }


def is_empty(value: Any) -> bool:
    """Return whether a value of a static column is missing."""
    return value is None or value != value or str(value) == ""


def as_text(value: Any) -> str:
    """Return a value as text. Tables with empty cells hold whole numbers as 1.0."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
