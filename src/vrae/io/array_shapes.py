"""Descriptions of arrays: their type, and shapes that depend on each other.

A table has a line for each array, such as ``"space.axes": "f8 d s"``: a type of NumPy, then the
length of each axis. A letter is the same length wherever it occurs, ``_`` is any length and ``2``
is two. A name with a question mark is that of an array that may be missing.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vrae.io.folder import Arrays, StoredArrays, shape_of

__all__ = ["check_arrays"]

# Types of safetensors as NumPy names them.
_TYPES = {
    **{"F64": "f8", "F32": "f4", "F16": "f2", "BOOL": "b1"},
    **{f"I{8 * size}": f"i{size}" for size in (1, 2, 4, 8)},
    **{f"U{8 * size}": f"u{size}" for size in (1, 2, 4, 8)},
}


def check_arrays(arrays: Arrays, table: Mapping[str, str], sizes: Mapping[str, int]) -> dict[str, int]:
    """Compare the headers of arrays with a table, before any of them is read.

    ``sizes`` are lengths that are known already, by their letters. Return these and those of the
    arrays.

    Raises
    ------
    ValueError
        An array is missing, or has another type or shape. It says which, and what was expected.
    """
    known = dict(sizes)
    for line, description in table.items():
        name, kind, *axes = line.removesuffix("?"), *description.split()
        if name not in arrays:
            if line.endswith("?"):
                continue
            raise ValueError(f"the array {name} is missing")
        if (found := _type_of(arrays, name)) not in kind.split("|"):
            raise ValueError(f"{name} should have the type {kind}, and has {found}")
        shape = shape_of(arrays, name)
        for axis, length in zip(axes, shape, strict=False):
            if axis != "_" and not axis.isdecimal():
                known.setdefault(axis, length)
        wanted = [int(axis) if axis.isdecimal() else known.get(axis) for axis in axes]
        fits = len(shape) == len(wanted) and all(w in (None, n) for w, n in zip(wanted, shape, strict=True))
        if not fits or 0 in [n for axis, n in zip(axes, shape, strict=True) if axis != "_" and not axis.isdecimal()]:
            expected = ", ".join("any" if length is None else str(length or "1 or more") for length in wanted)
            raise ValueError(f"{name} should have the shape ({expected}), and has {shape}")
    return known


def _type_of(arrays: Arrays, name: str) -> str:
    if isinstance(arrays, StoredArrays):
        stored = arrays.type_of(name)
        return _TYPES.get(stored, stored)
    return np.asarray(arrays[name]).dtype.str[1:]
