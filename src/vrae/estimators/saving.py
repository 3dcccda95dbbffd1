"""What JSON can hold of a fitted estimator, and back."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from vrae.exceptions import InvalidParameterError
from vrae.runtime import resolve_device

__all__ = ["device_here", "ids_of", "plain", "plain_ids"]


def device_here(device: str) -> torch.device:
    """Return the device that a saved model asks for, or the CPU where there is no such device."""
    try:
        return resolve_device(device)
    except InvalidParameterError:
        return torch.device("cpu")


def plain_ids(ids: npt.NDArray[Any]) -> dict[str, Any]:
    """Turn ids into JSON: numbers and texts as they are, dates in ISO form, all else as text."""
    if ids.dtype.kind == "M":
        return {"ids": np.datetime_as_string(ids).tolist(), "ids_type": ids.dtype.str}
    if ids.dtype.kind in "biuf":
        return {"ids": ids.tolist(), "ids_type": ids.dtype.str}
    names = [i if isinstance(i, (bool, int, float, str)) else str(i) for i in ids.tolist()]
    return {"ids": names, "ids_type": "O" if ids.dtype == object else "U"}


def ids_of(ids: list[Any], kind: str) -> npt.NDArray[Any]:
    """Undo `plain_ids`; a file may not ask for other types, such as texts of a gigabyte each."""
    if not re.fullmatch(r"[OU]|\|b1|[<>|][iuf][1248]|[<>]M8\[\d*\w+\]", kind):
        raise ValueError(f"ids_type {kind!r} is unknown")
    return np.asarray(ids).astype(kind)


def plain(value: Any) -> Any:
    """Turn an option into JSON; an object that is not plain data is saved by its name alone."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, np.random.RandomState)):
        return None  # callbacks and generators belong to the run, not to the model
    return f"{type(value).__module__}.{type(value).__qualname__}"
