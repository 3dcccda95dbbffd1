"""Positions of the series that a slice, a list of positions or a mask selects."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["positions_of"]


def positions_of(index: Any, n: int) -> npt.NDArray[np.int64]:
    """Return the positions, from 0 to ``n - 1``, that an index selects of ``n`` series.

    Parameters
    ----------
    index : slice, array-like of int, or array-like of bool of shape (n,)
        Negative positions count from the end.
    n : int
        Number of series.

    Raises
    ------
    IndexError
        If a position is out of range, a mask has another length, or ``index`` is none of these.
    """
    if isinstance(index, slice):
        return np.arange(n)[index]
    array = np.asarray(index)
    if array.dtype == object and array.size and all(isinstance(value, (bool, np.bool)) for value in array.flat):
        array = array.astype(bool)  # nullable booleans of pandas without gaps
    if array.ndim != 1 or (array.size and array.dtype.kind not in "biu"):
        raise IndexError(
            f"A panel is indexed by a position, a slice, a list of positions or a mask. Found {index!r:.80}. To find "
            f"a series by its id, use panel.position."
        )
    if array.dtype == bool:
        if len(array) != n:
            raise IndexError(f"Found a mask of {len(array)} entries for a panel of {n} series.")
        return np.flatnonzero(array)
    positions = array.astype(np.int64)
    outside = positions[(positions < -n) | (positions >= n)]
    if len(outside):
        raise IndexError(f"Series {outside[0]} is out of range for a panel of {n} series.")
    return positions % n if n else positions
