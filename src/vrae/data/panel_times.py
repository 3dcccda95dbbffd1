"""The parts that a user passes for a panel: times as time stamps or numbers, and named parts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np

from vrae.data.arrays import Array
from vrae.exceptions import InvalidDataError, shortened

__all__ = ["as_panel_times", "check_parts"]

_WAY = "Pass datetime64, datetime objects or finite numbers: one per step."


def as_panel_times(times: Any) -> tuple[Array, str | None]:
    """Return times (total_steps,) as datetime64 or numbers, and their zone if they have one.

    Times of a zone become UTC.

    Raises
    ------
    InvalidDataError
        Times are text or something else, are missing or infinite, or mix zones.
    """
    array = np.asarray(times)
    zone = None
    if array.dtype == object:
        array, zone = _stamps(array)
    if array.dtype.kind not in "Miuf":
        raise InvalidDataError(f"The times of a panel are of type {array.dtype}. {_WAY}")
    if array.dtype.kind == "M" and np.isnat(array).any():
        raise InvalidDataError(f"{np.isnat(array).sum()} times of the panel are missing (NaT). {_WAY}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InvalidDataError(f"{(~np.isfinite(array)).sum()} times of the panel are NaN or infinite. {_WAY}")
    if array.dtype == np.uint64 and array.max(initial=0) >= 2**63:
        raise InvalidDataError(f"Times of the panel go up to {array.max()}. Numbers of 2**63 and more are too large.")
    return array, zone


def _stamps(array: Array) -> tuple[Array, str | None]:
    """Convert datetime objects to datetime64; in UTC if they have a zone."""
    import pandas as pd
    import pyarrow as pa

    wrong = [value for value in array.ravel() if not isinstance(value, (date, np.datetime64))]
    if wrong:
        raise InvalidDataError(f"The times of a panel hold {wrong[0]!r:.80}. {_WAY}")
    try:
        index = pd.DatetimeIndex(array).as_unit("us")
        zone = None if index.tz is None else pa.scalar(index[0]).type.tz
    except (TypeError, ValueError, OverflowError):
        raise InvalidDataError(f"The times of a panel have several zones, or one that is not known. {_WAY}") from None
    return np.asarray((index if zone is None else index.tz_convert("UTC").tz_localize(None)).to_numpy()), zone


def check_parts(times: Any, channels: Any, static: Any) -> None:
    """Raise an InvalidDataError for parts of a panel that have not the form of such a part."""
    if times is not None and np.ndim(times) != 1:
        raise InvalidDataError(f"The times of a panel have shape {np.shape(times)}. {_WAY}")
    is_list = isinstance(channels, (list, tuple)) and all(isinstance(name, str) for name in channels)
    if not is_list:
        raise InvalidDataError(f"The channels of a panel are a tuple of names; found {shortened(channels)}.")
    if not isinstance(static, Mapping) or not all(np.ndim(column) == 1 for column in static.values()):
        raise InvalidDataError(
            f"The static columns of a panel are a dict with one value per series for each name; found "
            f"{shortened(static)}."
        )
