"""Ids of series: numbers, text or dates that can be compared, saved and read back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt

from vrae.data.array_likes import is_missing
from vrae.exceptions import InvalidDataError, name_some

__all__ = ["as_ids", "check_unique", "ids_of", "joined_ids", "text_array", "usable_ids"]

Array = npt.NDArray[Any]

_KINDS = "Ids are text, whole numbers, finite floats, dates or UUIDs."
# Text longer than this may not make an array larger than this.
_LONGEST, _MOST_BYTES = 1000, 1 << 28

_JOIN = "Join the parts of an id to one text, such as 'store/item'."


def as_ids(ids: Any) -> Array:
    """Return ids that were passed by the user as an array of shape (n_series,)."""
    if isinstance(ids, (str, bytes, set, frozenset, dict)) or not isinstance(ids, Iterable):
        raise InvalidDataError(
            f"Pass a list with one id per series. Found ids of type {type(ids).__name__}: {ids!r:.80}."
        )
    masked = isinstance(ids, np.ma.MaskedArray)  # as a list, it shows what is masked
    array = np.asarray(ids) if hasattr(ids, "__array__") and not masked else _array(list(ids))
    return usable_ids(array)


def ids_of(ids: Array | None, n: int) -> Array:
    """Return the ids of ``n`` series: 0, 1, ... by default."""
    if ids is None:
        return np.arange(n)
    if len(ids) != n:
        raise InvalidDataError(f"Found {len(ids)} ids for {n} series. Pass one id per series.")
    return ids


def _array(ids: list[Any]) -> Array:
    """Return an array of objects; np.asarray would change ids of several types, or join tuples."""
    array = np.empty(len(ids), object)
    for index, name in enumerate(ids):
        array[index] = name
    return array


def usable_ids(ids: Array) -> Array:
    """Return ids as an array of numbers, text or dates, or as objects if there are several kinds.

    Raises
    ------
    InvalidDataError
        If an id is missing, or has a type that a file cannot hold.
    """
    if ids.ndim != 1:
        raise _not_single(ids)
    kind = ids.dtype.kind
    if kind == "O":
        return _typed([_plain(name) for name in ids])
    if kind == "T":  # text of any length, since NumPy 2
        return _typed([_plain(name) for name in ids.tolist()])
    if kind == "U":
        _check_text(ids)
    if kind in "biuU":
        return ids
    if kind == "M":
        if np.isnat(ids).any():
            raise _missing("NaT")
        return ids
    if kind != "f" or ids.dtype.itemsize > 8:
        raise InvalidDataError(f"Found ids of type {ids.dtype}. {_KINDS} Convert them to text.")
    if not np.isfinite(ids).all():
        raise _missing(repr(float(ids[~np.isfinite(ids)][0])))
    return ids


def _check_text(ids: Array) -> None:
    """Raise if a text id has half of a surrogate pair, which no file can hold."""
    if not len(ids) or ids.dtype.itemsize == 0:
        return
    codes = np.ascontiguousarray(ids.astype(ids.dtype.newbyteorder("="), copy=False)).view(np.uint32)
    wrong = ((codes >= 0xD800) & (codes <= 0xDFFF)).reshape(len(ids), -1).any(axis=1)
    if wrong.any():
        raise InvalidDataError(
            f"The id {ids[wrong][0].item()!a:.80} holds a character that is not valid Unicode and cannot be saved. "
            f"Rename the series."
        )


def check_unique(ids: Array) -> None:
    """Raise if two series have the same id, or ids that are the same in a file (1 and "1")."""
    if ids.dtype == object:
        listed = ids.tolist()
        repeated = [name for name, count in Counter(listed).items() if count > 1]
        texts = Counter(map(str, listed))
        alike = [name for name in listed if texts[str(name)] > 1]
    else:
        unique, counts = np.unique(ids, return_counts=True)
        repeated, alike = unique[counts > 1].tolist(), []
    if repeated:
        raise InvalidDataError(
            f"Every series needs its own id. These ids appear more than once: {name_some(repeated)}. "
            f"Rename or merge the series."
        )
    if alike:
        raise InvalidDataError(
            f"Every series needs its own id. These ids would be the same in a file: {name_some(alike)}. "
            f"Rename the series, or use text for all ids."
        )


def text_array(texts: list[str]) -> Array:
    """Return text as an array, whose entries all take the space of the longest.

    Raises
    ------
    InvalidDataError
        If a text is so long that the array would fill memory.
    """
    longest = max(texts, key=len, default="")
    if len(longest) > _LONGEST and 4 * len(longest) * len(texts) > _MOST_BYTES:
        raise InvalidDataError(
            f"Among {len(texts):,} ids, labels or static values is one of {len(longest):,} characters: "
            f"{longest!r:.60}. Shorten it, or leave its column out."
        )
    return np.array(texts, dtype=str)


def joined_ids(parts: Sequence[Array]) -> Array:
    """Concatenate ids. Numbers stay numbers if other parts have text."""
    kinds = {part.dtype.kind for part in parts if len(part)}
    if len(kinds) < 2:
        return np.concatenate([part for part in parts if len(part)] or parts[:1])
    return usable_ids(_array([name for part in parts for name in part]))


def _not_single(ids: Array) -> InvalidDataError:
    return InvalidDataError(f"Each id must be a single text or number. Found ids of shape {ids.shape}. {_JOIN}")


def _missing(shown: str) -> InvalidDataError:
    return InvalidDataError(f"Every series needs its own id. Found {shown} among the ids. Pass ids without gaps.")


def _plain(name: Any) -> Any:
    """Return an id as bool, int, float, text or a date of NumPy, or raise."""
    if is_missing(name):
        raise _missing("None or NaN")
    if isinstance(name, np.generic) and name.dtype.kind in "biufU":
        name = name.item()
    if isinstance(name, float) and not np.isfinite(name):
        raise _missing(repr(name))
    if isinstance(name, int) and not -(2**63) <= name < 2**63:
        return str(name)  # no file format holds larger numbers; ids in tables become text too
    if isinstance(name, str):
        _check_text(np.array([name]))
    if isinstance(name, (bool, int, float, str, np.datetime64)):
        return name
    if isinstance(name, UUID) or (isinstance(name, Decimal) and name.is_finite()):
        return str(name)
    if isinstance(name, date):
        return _moment(name)
    hint = _JOIN if isinstance(name, (tuple, list, np.ndarray)) else "Convert it to text."
    raise InvalidDataError(f"The id {name!r:.80} is a {type(name).__name__}. {_KINDS} {hint}")


def _moment(name: date) -> np.datetime64:
    """Convert a date or time of Python or pandas. A zone is converted to UTC, as in tables."""
    if getattr(name, "tzinfo", None) is not None:
        assert isinstance(name, datetime)
        name = name.astimezone(UTC).replace(tzinfo=None)
    # Timestamps of pandas may have nanoseconds.
    return name.to_datetime64() if hasattr(name, "to_datetime64") else np.datetime64(name)


def _typed(names: list[Any]) -> Array:
    """Return plain ids as an array of their common type, or as objects if there is none."""
    kinds = {str if isinstance(name, str) else type(name) for name in names}
    if kinds == {str}:
        return text_array(names)
    if kinds in ({bool}, {np.datetime64}):
        return np.array(names)
    if kinds == {int}:
        return np.array(names, np.int64)
    if kinds and kinds <= {int, float}:
        return np.array(names, np.float64)
    if np.datetime64 in kinds:
        names = [str(name) if isinstance(name, np.datetime64) else name for name in names]
    return _array(names)
