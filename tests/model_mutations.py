"""Mutated model folders: wrong types, signs, sizes and lengths, missing and additional keys.

Every mutation is a valid JSON file, or valid arrays with the right checksum. Only the content is
wrong, or only looks so.
"""

from __future__ import annotations

import copy
import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy

__all__ = ["Mutation", "mutations_of_arrays", "mutations_of_config"]

_MISSING = object()
_DEEP: Any = json.loads("[" * 60 + "]" * 60)
# Values that a key may get, whatever it had.
_JUNK: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 2, 7, 10**9, 10**18, 2**63, 10**400, 1.5, -0.5, 1e300, -1e300),
    *(float("nan"), float("inf"), -float("inf"), "", "x", "\x00", "..", "a" * 1000),
    *([], [1], ["x"], [None], {}, {"a": 1}, _DEEP, [[1, 2], [3]]),
)


class Mutation(NamedTuple):
    """A model folder with one wrong part, and what is wrong."""

    what: str
    config: dict[str, Any]
    arrays: dict[str, Any] | None = None  # None: those of the model

    def write(self, folder: Path) -> None:
        """Write it over a copy of the model."""
        config = self.config
        if self.arrays is not None:
            safetensors.numpy.save_file(self.arrays, folder / "weights.safetensors")
            checksum = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
            config = {**config, "weights_sha256": checksum}
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def mutations_of_config(config: dict[str, Any], count: int, seed: int) -> Iterator[Mutation]:
    """Yield a random sample of all mutations of a config, or of metrics."""
    found = [(path, value) for path in _paths(config) for value in _variants(_at(config, path))]
    found += [(path, _MISSING) for path in _paths(config) if isinstance(path[-1], str)]
    rng = random.Random(seed)
    for path, value in rng.sample(found, min(count, len(found))):
        changed = copy.deepcopy(config)
        parent = _at(changed, path[:-1])
        if value is _MISSING:
            del parent[path[-1]]
        else:
            parent[path[-1]] = value
        shown = "missing" if value is _MISSING else "huge" if type(value) is int and value > 2**64 else repr(value)[:60]
        yield Mutation(f"{'.'.join(map(str, path))}: {shown}", changed)


def mutations_of_arrays(config: dict[str, Any], arrays: dict[str, Any], count: int, seed: int) -> Iterator[Mutation]:
    """Yield a random sample of all mutations of arrays. Weights of networks are a quarter."""
    rng = random.Random(seed)
    weights = [name for name in arrays if ".network." in name or ".statistics." in name]
    others = [name for name in arrays if name not in weights]
    for _ in range(count):
        name = rng.choice(weights if weights and rng.random() < 0.25 else others)
        what, changed = rng.choice(list(_changes(arrays[name])))
        kept = {other: array for other, array in arrays.items() if other != name}
        mutated = kept if changed is None else {**kept, name: np.ascontiguousarray(changed)}
        yield Mutation(f"{name}: {what}", config, mutated)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the places of all values, of lists the first and the last one."""
    if path and path != ("weights_sha256",):
        yield path
    if isinstance(value, dict):
        for key in value:
            yield from _paths(value[key], (*path, key))
    elif isinstance(value, list) and value:
        for index in sorted({0, len(value) - 1}):
            yield from _paths(value[index], (*path, index))


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def _variants(value: Any) -> Iterator[Any]:
    yield from _JUNK
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, (int, float)):
        yield from (value + 1, value - 1, -value, value * 2, value * 1000, str(value), float(value), [value])
    elif isinstance(value, str):
        yield from (value + "x", value.upper(), value[:-1], [value], value * 3)
    elif isinstance(value, list):
        yield from (value[:-1], value + value[-1:], [*value, "x"], [*value, None], value[::-1], value + value)
        yield from ([value], value[:1], [*value, -1], [*value, 1e300], dict(enumerate(value)))
    elif isinstance(value, dict):
        yield from ({**value, "extra": 1}, {**value, "": None}, [value], {key: value[key] for key in list(value)[1:]})
        yield {key.upper(): entry for key, entry in value.items()}


def _changes(array: np.ndarray[Any, Any]) -> Iterator[tuple[str, np.ndarray[Any, Any] | None]]:
    filled = np.nan_to_num(array)
    yield "missing", None
    yield "flat", array.ravel()
    yield "transposed", array.T
    yield "zeros", np.zeros_like(array)
    yield from ((kind, filled.astype(kind)) for kind in ("f4", "f8", "f2", "i8", "u1", "bool"))
    if array.ndim == 0:
        yield "with an axis", array[None]
    else:
        yield from (("a row less", array[:-1]), ("a column less", array[..., :-1]), ("no row", array[:0]))
        yield "a row more", np.concatenate([array, array[-1:]])
        yield "reversed", array[::-1]
    limits = np.iinfo(array.dtype) if array.dtype.kind in "iu" else None
    if limits is not None:
        values: tuple[float, ...] = (-1, 7, 10**9, limits.max, limits.min)
        values = tuple(value for value in values if limits.min <= value <= limits.max)
    else:
        values = (1e30, -1e30, -1.0, 1e-30, np.nan) if array.dtype.kind == "f" else ()
    for value in values:
        first = array.copy()
        first.flat[:1] = value
        yield f"first {value}", first
        yield f"all {value}", np.full_like(array, value)
