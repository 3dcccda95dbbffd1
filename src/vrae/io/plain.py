"""Options, ids and times as JSON values, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["ID_TYPE", "ids_from_json", "ids_to_json", "option_to_json", "times_from_json", "times_to_json"]


# Characters of an array of text. All entries take as much memory as the longest.
_LARGEST_TEXT = 1 << 28


def ids_to_json(ids: npt.NDArray[Any]) -> dict[str, Any]:
    """Return the ids of a panel as JSON: numbers and text unchanged, dates in ISO format."""
    if ids.dtype.kind == "M":
        return {"ids": np.datetime_as_string(ids).tolist(), "ids_type": ids.dtype.str}
    if ids.dtype.kind in "biuf":
        return {"ids": ids.tolist(), "ids_type": ids.dtype.str}
    return {"ids": ids.tolist(), "ids_type": "O" if ids.dtype == object else "U"}


ID_TYPE = r"[OU]|\|b1|[<>|][iuf][1248]|[<>]M8\[\d*\w+\]"
"""Pattern of what `ids_to_json` gives as ``ids_type``."""


def ids_from_json(ids: list[Any], kind: str) -> npt.NDArray[Any]:
    """Invert `ids_to_json`. Other types are refused, such as text of a gigabyte per id."""
    if not re.fullmatch(ID_TYPE, kind):
        raise ValueError(f"ids_type {kind!r} is unknown")
    longest = max(map(len, ids), default=0) if kind == "U" else 0
    if kind == "O" or longest * len(ids) > _LARGEST_TEXT:  # NumPy would turn numbers into text, or take too much memory
        names = np.empty(len(ids), object)
        names[:] = ids
        return names
    return np.array(ids, kind)


def times_to_json(name: str, times: npt.NDArray[Any] | None) -> dict[str, Any]:
    """Return times as the JSON entries ``name``, with dates in ISO format, and ``name_type``."""
    if times is None:
        return {name: None, f"{name}_type": None}
    texts = times.astype("U") if times.dtype.kind == "M" else times
    return {name: texts.tolist(), f"{name}_type": times.dtype.str}


def times_from_json(name: str, config: Mapping[str, Any]) -> npt.NDArray[Any] | None:
    """Invert `times_to_json`. Without the entry, as in early models, there are no times."""
    times = config.get(name)
    return None if times is None else np.array(times).astype(config[f"{name}_type"])


def option_to_json(value: Any) -> Any:
    """Return an option as JSON. An object that is not plain data is replaced by its class name."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, np.random.RandomState)):
        return None  # callbacks and generators belong to the run, not to the model
    return f"{type(value).__module__}.{type(value).__qualname__}"
