"""Convert array-like objects of other libraries to NumPy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.exceptions import DataTypeError, InvalidDataError, first_line

__all__ = ["describe", "holds_array", "is_dated_series", "is_indexed_series", "is_missing", "refuse_sparse", "to_numpy"]

Array = npt.NDArray[Any]

# None of these has an order of steps that can be relied on, or holds numbers itself.
_NOT_ARRAYS = (str, bytes, bytearray, dict, set, frozenset)


def holds_array(X: Any) -> bool:
    """Return whether ``X`` is an array of some library, or a buffer that NumPy can read."""
    return hasattr(X, "__array__") or isinstance(X, memoryview) or type(X).__module__ == "array"


def to_numpy(X: Any) -> Array:
    """Return an array, a tensor, a column or nested lists as a NumPy array.

    Values that are masked, null or ``pandas.NA`` become NaN.
    """
    if isinstance(X, _NOT_ARRAYS):
        raise DataTypeError(f"Expected numbers, found {describe(X)}.")
    refuse_sparse(X)
    try:
        if isinstance(X, np.ma.MaskedArray):
            return _unmasked(X)
        if type(X).__module__.partition(".")[0] == "torch":
            X = _tensor(X)
        array = np.asarray(_plain_nested(X))
    except InvalidDataError:
        raise
    except ValueError as error:
        if "inhomogeneous" in str(error) or "sequence" in str(error):
            raise InvalidDataError("Its rows have different lengths. All channels need the same steps.") from None
        raise InvalidDataError(f"{describe(X)} cannot be read as numbers: {first_line(error)}.") from None
    except Exception as error:  # every library has errors of its own
        raise DataTypeError(f"{describe(X)} cannot be read as numbers: {first_line(error)}.") from None
    return _without_missing(array) if array.dtype == object and array.ndim else array


def is_indexed_series(X: Any) -> bool:
    """Return whether ``X`` is a Series of pandas whose index has levels, such as item and date."""
    return _is_pandas_series(X) and getattr(X.index, "nlevels", 1) > 1


def is_dated_series(X: Any) -> bool:
    """Return whether ``X`` is a Series of pandas with an index of times."""
    return _is_pandas_series(X) and type(X.index).__name__ in ("DatetimeIndex", "PeriodIndex")


def _is_pandas_series(X: Any) -> bool:
    return type(X).__name__ == "Series" and hasattr(X, "index") and hasattr(X, "to_frame")


def refuse_sparse(X: Any) -> None:
    """Raise if ``X`` is a sparse matrix of SciPy."""
    if hasattr(X, "tocsr"):
        raise DataTypeError(
            "Found a sparse matrix; sparse data is not supported. Pass X.toarray() if it fits into memory."
        )


def describe(X: Any) -> str:
    """Return the type of an object for a message, and the object itself if it is plain."""
    value = X.item() if isinstance(X, np.generic) else X
    if isinstance(value, int) and abs(value) > 10**60:
        return "an integer beyond the range of floats"  # Python refuses to print long ones
    is_plain = isinstance(value, (str, bytes, int, float, complex, type(None)))
    return f"{value!r:.60} ({type(value).__name__})" if is_plain else f"an object of type {type(value).__name__}"


def is_missing(value: Any) -> bool:
    """Return whether a single value is None, NaN, NaT, ``pandas.NA`` or masked."""
    if value is None or value is np.ma.masked or type(value).__name__ == "NAType":
        return True
    return type(value).__name__ == "NaTType" or (isinstance(value, (float, np.generic)) and bool(value != value))


def _unmasked(X: np.ma.MaskedArray[Any, Any]) -> Array:
    """Return a masked array with NaN where it is masked."""
    data: Array = np.asarray(X.data)
    if data.dtype.kind not in "biufO":
        return data  # dates and others are refused later
    wide = data.astype(np.float64) if data.dtype.kind in "biu" else data
    filled = np.where(np.asarray(X.mask), np.nan, wide).astype(wide.dtype)
    return _without_missing(filled) if filled.dtype == object else filled


def _plain_nested(X: Any) -> Any:
    """Return nested lists whose arrays are NumPy's, without masks, which NumPy would ignore."""
    if X is np.ma.masked:
        return np.nan
    if not isinstance(X, (list, tuple)):
        return X
    kinds = set(map(type, X))
    if not any(issubclass(kind, (list, tuple)) or _needs_conversion(kind) for kind in kinds):
        return X
    return [_plain_nested(x) if isinstance(x, (list, tuple)) else _converted(x) for x in X]


def _needs_conversion(kind: type) -> bool:
    return hasattr(kind, "__array__") and kind is not np.ndarray and not issubclass(kind, np.generic)


def _converted(x: Any) -> Any:
    if x is np.ma.masked:
        return np.nan
    return to_numpy(x) if _needs_conversion(type(x)) else x


def _tensor(X: Any) -> Any:
    """Return a tensor of PyTorch in a form that NumPy can read."""
    if not hasattr(X, "detach"):
        return X
    dense = X.detach().cpu()
    if str(dense.layout) != "torch.strided":
        raise DataTypeError("Found a sparse tensor; sparse data is not supported. Pass X.to_dense().")
    # NumPy has no bfloat16 and no floats of 8 bits.
    return dense.float() if dense.is_floating_point() and dense.element_size() < 4 else dense


def _without_missing(X: Array) -> Array:
    """Return an array of objects with NaN for None, ``pandas.NA`` and masked values."""
    flat = X.ravel()
    missing = np.fromiter((is_missing(value) for value in flat), bool, len(flat))
    if missing.any():
        flat = flat.copy()
        flat[missing] = np.nan
    return flat.reshape(X.shape)
