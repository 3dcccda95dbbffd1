"""numba's compiler, as the loops of this package use it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

__all__ = ["compiled"]


def compiled(function: Callable[..., Any], **options: Any) -> Any:
    """Compile a loop that does not hold up other threads, once for all times where the result can be kept."""
    try:
        return njit(function, cache=True, nogil=True, **options)
    except RuntimeError:  # no folder to keep it in
        return njit(function, nogil=True, **options)
