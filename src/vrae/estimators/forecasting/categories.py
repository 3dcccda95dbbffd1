"""Categories of items, from a static column such as the department."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Panel

__all__ = ["Categories", "static_columns"]

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


def static_columns(panel: Panel) -> dict[str, npt.NDArray[Any]]:
    """Return the static columns of a panel as text, None where they are empty."""
    return {
        name: np.array([None if is_empty(value) else str(value) for value in column], object)
        for name, column in panel.static.items()
    }


def is_empty(value: Any) -> bool:
    """Return whether a value of a static column is missing."""
    return value is None or value != value or str(value) == ""
