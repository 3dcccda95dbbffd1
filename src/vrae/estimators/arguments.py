"""Arguments of methods, checked before they are used."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.exceptions import InvalidDataError, shortened

__all__ = ["as_numbers"]


def as_numbers(name: str, value: Any, kind: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return an array of a type of numbers. Raise an InvalidDataError for others."""
    try:
        return np.asarray(value, kind)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidDataError(f"{name} must be an array of numbers ({error}); found {shortened(value)}.") from None
