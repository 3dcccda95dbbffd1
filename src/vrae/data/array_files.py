"""Read ``.npy`` and ``.npz`` files without pickles. Headers are checked before memory is taken."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as numpy_format

from vrae.data.arrays import to_numbers
from vrae.data.packed import check_members
from vrae.data.panel import Array, Panel
from vrae.data.precision import narrowed
from vrae.exceptions import InvalidDataError, first_line, name_some

__all__ = ["read_arrays"]

npy: Any = numpy_format  # without types

_NAMES = ("X", "values", "offsets", "ids", "y")
_KINDS = "biufUSM"  # of arrays that can be read


def read_arrays(file: Path) -> Panel:
    """Read ``.npy``, or ``.npz`` with ``X`` (or ``values``, ``offsets``), ``ids`` and ``y``."""
    arrays = _load_arrays(file)
    if "values" in arrays and "offsets" in arrays:
        return _flat_panel(arrays, file)
    X = arrays["X"]
    if "y" in arrays and arrays["y"].shape != X.shape[:1]:
        raise InvalidDataError(f"Found y of shape {arrays['y'].shape} for X of shape {X.shape} in {file}.")
    try:
        return Panel.from_arrays(X, arrays.get("ids"), static=_labels(arrays))
    except InvalidDataError as error:
        raise InvalidDataError(f"{file}: {error}") from None


def _load_arrays(file: Path) -> dict[str, Array]:
    try:
        if zipfile.is_zipfile(file):
            return _load_members(file)
        return {"X": _load_array(lambda: file.open("rb"), file, file.stat().st_size)}
    except InvalidDataError:
        raise
    except Exception as error:  # a damaged header can raise any exception
        reason = first_line(error)
        hint = (
            "It holds Python objects, which are never read. Save series of unequal length as numbers, in flat "
            "'values' and 'offsets'."
            if "pickle" in reason
            else "The file may be truncated or not written by NumPy. Save it again with numpy.savez."
        )
        raise InvalidDataError(f"Cannot read {file}: {reason}. {hint}") from None


def _load_members(file: Path) -> dict[str, Array]:
    """Return the arrays of a ``.npz`` file that are used. If there is only one, it is X."""
    members = check_members(file)
    names = [member.filename.removesuffix(".npy") for member in members]
    if len(set(names)) < len(names):
        raise InvalidDataError(f"{file} holds two arrays of the same name. Save it again with numpy.savez.")
    if "X" not in names and not {"values", "offsets"} <= set(names):
        if len(names) != 1:
            raise InvalidDataError(
                f"Expected the array 'X', or 'values' and 'offsets', in {file}. Found {name_some(names)}."
            )
        names = ["X"]
    with zipfile.ZipFile(file) as archive:
        return {
            name: _load_array(partial(archive.open, member), file, member.file_size)
            for name, member in zip(names, members, strict=True)
            if name in _NAMES
        }


def _load_array(opened: Callable[[], IO[bytes]], file: Path, size: int) -> Array:
    """Read an array from ``size`` bytes with its header, if these are what the header says."""
    with opened() as stream:
        version = npy.read_magic(stream)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read_header(stream)
        left = size - stream.tell()
    n_bytes = math.prod(shape, start=dtype.itemsize)  # of Python, which does not overflow
    if dtype.hasobject:
        raise ValueError("found a pickle")
    if dtype.kind not in _KINDS or not dtype.itemsize:
        raise InvalidDataError(f"{file} holds an array of type {dtype}. Save series as numbers.")
    if not 0 <= n_bytes <= left:
        raise InvalidDataError(
            f"The header of {file} says that an array has shape {shape} and type {dtype}, which is {n_bytes:,} bytes, "
            f"and {left:,} bytes follow. The file may be truncated, or not written by NumPy. Save it again with "
            f"numpy.savez."
        )
    with opened() as stream:
        return np.asarray(npy.read_array(stream, allow_pickle=False))


def _flat_panel(arrays: dict[str, Array], file: Path) -> Panel:
    values, offsets = arrays["values"], arrays["offsets"]
    whole = offsets.ndim == 1 and len(offsets) > 1 and np.issubdtype(offsets.dtype, np.integer)
    offsets = offsets.astype(np.int64) if whole else offsets  # differences of unsigned numbers are never negative
    if not whole or values.ndim == 0 or offsets[0] != 0 or (np.diff(offsets) <= 0).any() or offsets[-1] != len(values):
        raise InvalidDataError(
            f"The offsets in {file} must be increasing integers from 0 to the number of steps in 'values', "
            f"which has the shape {values.shape}. Series i is values[offsets[i]:offsets[i + 1]]."
        )
    if not np.issubdtype(values.dtype, np.number) or np.iscomplexobj(values) or values.ndim not in (1, 2):
        raise InvalidDataError(
            f"Expected real numbers of shape (total_steps,) or (total_steps, n_channels) as 'values' in "
            f"{file}. Found {values.dtype} of shape {values.shape}."
        )
    ids = arrays.get("ids", np.arange(len(offsets) - 1))
    flat = narrowed(to_numbers(values).reshape(len(values), -1), np.diff(offsets))
    return Panel(flat, offsets, ids, static=_labels(arrays))


def _labels(arrays: dict[str, Array]) -> dict[str, Array]:
    return {"label": arrays["y"]} if "y" in arrays else {}
