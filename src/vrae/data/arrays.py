"""Convert arrays and lists of series to the flat values of a panel."""

from __future__ import annotations

from collections import Counter
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.array_likes import describe, holds_array, is_missing, refuse_sparse, to_numpy
from vrae.data.ids import ids_of
from vrae.data.precision import narrowed
from vrae.exceptions import DataTypeError, InvalidDataError, name_some

__all__ = ["Array", "Ints", "Values", "flatten", "flatten_array", "flatten_list", "to_numbers"]

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Values = npt.NDArray[np.floating[Any]]  # float32, or float64 where float32 is too coarse


def flatten(X: Any, ids: Array | None) -> tuple[Values, Ints]:
    """Return the values (total_steps, n_channels) and lengths of an array or a list of series."""
    refuse_sparse(X)
    if isinstance(X, (list, tuple)) or not holds_array(X):
        return flatten_list(X, ids)
    array = to_numpy(X)
    if array.ndim == 1 and array.dtype != object and not _can_reshape(X):
        raise InvalidDataError(
            f"Found a single series ({type(X).__name__} of {len(array)} values). Pass several: a list of them, an "
            f"array (n_series, n_steps), or a table. One series alone is a list of one, [X]."
        )
    return flatten_list(array, ids) if array.dtype == object and array.ndim else flatten_array(array)


def _can_reshape(X: Any) -> bool:
    """Return whether ``X.reshape(1, -1)`` works; a Series of polars wants a tuple."""
    return isinstance(X, np.ndarray) or type(X).__module__.partition(".")[0] == "torch"


def flatten_array(X: Array) -> tuple[Values, Ints]:
    """Return the values (total_steps, n_channels) and lengths of an array of series."""
    if X.ndim not in (2, 3):
        raise InvalidDataError(
            f"Expected an array (n_series, n_steps) or (n_series, n_channels, n_steps). Found {X.ndim}D array "
            f"of shape {X.shape}. Reshape your data: a single series is X.reshape(1, -1)."
        )
    if 0 in X.shape:
        # scikit-learn's tests expect its own words: features for steps, samples for series.
        what = "series of 0 steps, 0 feature(s)" if len(X) else "no series, 0 sample(s)"
        raise InvalidDataError(
            f"Found an empty array: {what} (shape={X.shape}) while a minimum of 1 is required. Pass at least two "
            f"series, each with at least two steps."
        )
    cube = X[:, None, :] if X.ndim == 2 else X  # (n_series, n_channels, n_steps)
    n_series, n_channels, n_steps = cube.shape
    values, lengths = to_numbers(cube.transpose(0, 2, 1)).reshape(-1, n_channels), np.full(n_series, n_steps)
    found = narrowed(values, lengths)
    return np.array(found, order="C") if np.may_share_memory(found, X) else np.ascontiguousarray(found), lengths


def flatten_list(X: Any, ids: Array | None) -> tuple[Values, Ints]:
    """Return the values (total_steps, n_channels) and lengths of a list of series."""
    if isinstance(X, (str, bytes, bytearray, dict, set, frozenset)) or not hasattr(X, "__iter__"):
        file = " read_panel reads files." if isinstance(X, (str, PathLike)) else ""
        raise DataTypeError(
            f"Expected an array, a list of arrays, a table or a Panel. Found {type(X).__name__}: {X!r:.80}.{file}"
        )
    series = [_series_matrix(x, index, ids) for index, x in enumerate(X)]
    if not series:
        raise InvalidDataError("No series found: the list is empty. Pass at least two series.")
    names = ids_of(ids, len(series))
    empty = [name for name, x in zip(names, series, strict=True) if x.shape[0] == 0]
    if empty:
        raise InvalidDataError(f"Found {len(empty)} series of 0 steps, ids {name_some(empty)}. Remove them.")
    channels = [x.shape[1] for x in series]
    most_common = Counter(channels).most_common(1)[0][0]
    others = [f"{name!r} has {c}" for name, c in zip(names.tolist(), channels, strict=True) if c != most_common]
    if others:
        raise InvalidDataError(
            f"All series need the same number of channels; most have {most_common}, but {', '.join(others[:5])}"
            f"{f' and {len(others) - 5} more' if len(others) > 5 else ''}. Pass each series as (n_steps,) or "
            f"(n_channels, n_steps). If a series lacks a channel, fill its row with NaN."
        )
    lengths = np.array([len(x) for x in series])
    return narrowed(np.concatenate(series), lengths), lengths


def _series_matrix(x: Any, index: int, ids: Array | None) -> Values:
    """Convert a series (n_steps,) or (n_channels, n_steps) to (n_steps, n_channels)."""
    name = ids[index : index + 1].tolist()[0] if ids is not None and index < len(ids) else index
    if isinstance(x, (int, float, np.number)) or is_missing(x):
        raise InvalidDataError(
            f"Series {name!r} is a single value, {describe(x)}. Expected series of shape (n_steps,) or (n_channels, "
            f"n_steps). One series alone is a list of one, [X]."
        )
    try:
        x = to_numbers(to_numpy(x))
    except InvalidDataError as error:
        raise type(error)(f"Series {name!r}: {error}") from None
    except Exception as error:  # of the objects in an array
        raise DataTypeError(f"Series {name!r} cannot be read as numbers: {error!r:.200}") from None
    if x.ndim not in (1, 2):
        raise InvalidDataError(f"Series {name!r} has shape {x.shape}. Expected (n_steps,) or (n_channels, n_steps).")
    return np.ascontiguousarray(np.atleast_2d(x).T)


def to_numbers(X: Array) -> Values:
    """Convert an array to float32 or float64, or raise an error that shows what is no number.

    float32 if it holds every value of the array's type.
    """
    if X.dtype.kind in "mM":
        raise InvalidDataError(
            f"Expected numbers, found dates or times ({X.dtype}). To pass times, use a table with a time column."
        )
    if np.iscomplexobj(X):
        raise InvalidDataError(
            "Complex data not supported: found complex numbers. Pass the real and imaginary parts as two channels."
        )
    try:
        with np.errstate(over="ignore"):  # overflow gives inf, which `invalid_series` reports
            return X.astype(np.float32 if np.can_cast(X.dtype, np.float32) else np.float64, copy=False)
    except TypeError as error:
        raise DataTypeError(
            f"Expected numbers, found {_first_wrong(X)}: {error}. Use NaN for missing values."
        ) from None
    except (ValueError, OverflowError):
        raise InvalidDataError(f"Expected numbers, found {_first_wrong(X)}. Use NaN for missing values.") from None


def _first_wrong(X: Array) -> str:
    for value in X.ravel():
        try:
            float(value)
        except Exception:  # whatever an object raises, it is no number
            plain = value.item() if isinstance(value, np.generic) else value
            return describe(plain)
    return f"values of type {X.dtype}"
