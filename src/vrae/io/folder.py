"""A folder of two files, ``config.json`` and ``weights.safetensors``, without pickle.

Models and training checkpoints are such folders. The JSON file records the checksum of the other.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from vrae.exceptions import ModelFileError, OutputError, VRAEError
from vrae.io.atomic import atomic_directory

__all__ = [
    "CONFIG_FILE",
    "WEIGHTS_FILE",
    "Arrays",
    "StoredArrays",
    "check_pair",
    "nested",
    "read_folder",
    "read_unchanged",
    "shape_of",
    "shaped",
    "subset",
    "write_folder",
]

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "weights.safetensors"

# Times that a folder is read if it is replaced each time.
_TRIES = 100
_CHECKSUM = "weights_sha256"
# Bytes of a config: so many, and more for each row of the longest array, whose ids it may hold.
_LARGEST_CONFIG = 1 << 24
_BYTES_PER_ID = 2048
_MOST = 1 << 30

Content = TypeVar("Content")
Arrays = MutableMapping[str, npt.NDArray[Any]]


class StoredArrays(Arrays):
    """The arrays of a file. Each is read when it is used, so a file cannot ask for more memory."""

    def __init__(self, file: Any, names: dict[str, str], finite: bool, checksum: str = "") -> None:
        self._file = file  # of safetensors' safe_open
        self._names = names  # of arrays in the file
        self._finite = finite  # whether to refuse others
        self._read: dict[str, npt.NDArray[Any]] = {}
        self._parts: list[StoredArrays] = []
        self.checksum = checksum  # of the file

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        if name not in self._read:
            self._read[name] = self._stored(self._names[name])
        return self._read[name]

    def _stored(self, name: str) -> npt.NDArray[Any]:
        from safetensors import SafetensorError

        try:
            array: npt.NDArray[Any] = self._file.get_tensor(name)
        except (SafetensorError, TypeError, AttributeError) as error:  # a dtype that numpy lacks
            raise ValueError(f"{name} cannot be read: {error}") from error
        if self._finite and array.dtype.kind == "f" and not _is_usable(name, array):
            raise ValueError(f"{name} holds values that are not finite")
        return array

    def __setitem__(self, name: str, array: npt.NDArray[Any]) -> None:
        self._read[name] = array
        self._names.setdefault(name, "")

    def __delitem__(self, name: str) -> None:
        del self._names[name]
        self._read.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of an array without reading it."""
        if name in self._read:
            return self._read[name].shape
        return tuple(self._file.get_slice(self._names[name]).get_shape())

    def type_of(self, name: str) -> str:
        """Return the type of an array, such as "F32", without reading it."""
        if name in self._read:
            return self._read[name].dtype.str[1:]
        return str(self._file.get_slice(self._names[name]).get_dtype())

    def unused(self) -> set[str]:
        """Return the names, in the file, of arrays that nobody has read."""
        names = {stored for name, stored in self._names.items() if name not in self._read}
        for part in self._parts:
            names -= set(part._names.values()) - part.unused()
        return names

    def rename(self, old: str, new: str) -> None:
        """Change the name of an array without reading it."""
        self._names[new] = self._names.pop(old)
        if old in self._read:
            self._read[new] = self._read.pop(old)

    def within(self, start: str) -> StoredArrays:
        """Return the arrays whose names begin with ``start``, without it."""
        names = {name.removeprefix(start): stored for name, stored in self._names.items() if name.startswith(start)}
        part = StoredArrays(self._file, names, self._finite)
        part._read = {name.removeprefix(start): a for name, a in self._read.items() if name.startswith(start)}
        self._parts.append(part)
        return part


def _is_usable(name: str, array: npt.NDArray[Any]) -> bool:
    """Return whether the values of an array are finite. Some arrays may hold NaN.

    Rows of an embedding belong to series without any value. Portraits, and windows of long series,
    lack what is not known.
    """
    kind, _, last = name.rpartition(".")
    if last == "embedding" or (kind.startswith("windows") and last in ("references", "level")):
        return not np.isinf(array).any()
    return name.startswith("portraits.") or bool(np.isfinite(array).all())


def write_folder(target: Path, config: dict[str, Any], arrays: Arrays) -> None:
    """Write ``config.json`` and ``weights.safetensors`` atomically."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    with atomic_directory(target) as folder:
        try:
            save_file({name: np.asarray(a, order="C") for name, a in arrays.items()}, folder / WEIGHTS_FILE)
        except SafetensorError as error:  # it hides the system's error, a full disk for example
            number = re.search(r"\(os error (\d+)\)", str(error))
            raise (OSError(int(number[1]), os.strerror(int(number[1]))) if number else error) from error
        text = json.dumps({**config, _CHECKSUM: _checksum(folder / WEIGHTS_FILE)}, indent=2, allow_nan=False)
        if len(text) > _most_bytes(np.shape(a) for a in arrays.values()):
            raise OutputError(
                f"{target} cannot be saved: {CONFIG_FILE} would have {len(text):,} bytes. Use shorter ids."
            )
        (folder / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")
        shutil.copymode(folder / CONFIG_FILE, folder / WEIGHTS_FILE)  # safetensors lets only the owner read


def read_folder(folder: Path, kind: str, hint: str, finite: bool = False) -> tuple[dict[str, Any], StoredArrays]:
    """Read the two files that `write_folder` wrote. Call `check_pair` afterwards.

    They are read again if another process replaced the folder meanwhile. ``kind`` and ``hint`` say
    what the folder should be and how to get one, for the messages. With ``finite``, arrays with
    other values are refused when they are used.
    """
    files = CONFIG_FILE, WEIGHTS_FILE
    config, opened, checksum = read_unchanged(folder, files, lambda: _read_pair(folder, kind, hint))
    names = {name: name for name in opened.keys()}  # noqa: SIM118
    return config, StoredArrays(opened, names, finite, checksum)


def read_unchanged(folder: Path, files: Sequence[str], read: Callable[[], Content]) -> Content:
    """Return ``read()``, again if another process replaced the folder or its files meanwhile."""
    for left in reversed(range(_TRIES)):
        before = _identity(folder, files)
        try:
            found = read()
        except VRAEError:
            if not left or _identity(folder, files) == before:
                raise
        else:
            if not left or _identity(folder, files) == before:
                return found
    raise AssertionError("the last try returns or raises")


def _identity(folder: Path, files: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Return what changes when a folder is replaced."""
    found = []
    for path in (folder, *(folder / name for name in files)):
        try:
            state = path.stat()
        except (OSError, ValueError):  # ValueError: a null character in the path
            found.append((0, 0))
        else:
            found.append((state.st_ino, state.st_mtime_ns))
    return tuple(found)


def _read_pair(folder: Path, kind: str, hint: str) -> tuple[dict[str, Any], Any, str]:
    from safetensors import SafetensorError

    config_file, weights_file = folder / CONFIG_FILE, folder / WEIGHTS_FILE
    try:
        for file in (config_file, weights_file):
            if not file.is_file():
                found = f"{file.name} is not there" if folder.exists() else "there is no such folder"
                raise ModelFileError(f"{folder} is not a vrae {kind}: {found}. {hint}")
        if (size := config_file.stat().st_size) > _LARGEST_CONFIG:
            opened = _opened(weights_file)
            shapes = [opened.get_slice(name).get_shape() for name in opened.keys()]  # noqa: SIM118
            if size > _most_bytes(shapes):
                raise ModelFileError(f"{config_file} is not vrae's: no {kind} needs {size:,} bytes.")
        config = json.loads(config_file.read_text(encoding="utf-8"), parse_constant=_no_constant)
        if not isinstance(config, dict) or "format_version" not in config:
            raise ModelFileError(f"{config_file} is damaged or not vrae's: it holds no format_version.")
        opened = _opened(weights_file)
        checksum = _checksum(weights_file) if _CHECKSUM in config else ""
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{config_file} is damaged or not vrae's ({error}). Copy or save it again.") from None
    except (SafetensorError, KeyError) as error:  # KeyError: a dtype that numpy lacks
        raise ModelFileError(f"{weights_file} is damaged ({error}). Copy or save the {kind} again.") from None
    except OSError as error:
        raise ModelFileError(f"{folder} cannot be read: {error.strerror or error}.") from None
    return config, opened, checksum


def _opened(weights_file: Path) -> Any:
    from safetensors import safe_open

    with weights_file.open("rb"):  # safetensors reports every obstacle as a missing file
        return safe_open(weights_file, framework="numpy")


def _most_bytes(shapes: Iterable[Sequence[int]]) -> int:
    """Return how large a config may be next to arrays of these shapes."""
    n_rows = max((shape[0] for shape in shapes if shape and math.prod(shape)), default=0)
    return min(_LARGEST_CONFIG + _BYTES_PER_ID * n_rows, _MOST)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def check_pair(folder: Path, config: dict[str, Any], arrays: StoredArrays) -> None:
    """Raise if the weights file is not the one that ``config.json`` was written with."""
    expected = config.get(_CHECKSUM)  # formats 1 and 2 have none
    if expected is not None and expected != arrays.checksum:
        raise ModelFileError(
            f"{folder / WEIGHTS_FILE} is damaged, or another model's: it is not the file that {CONFIG_FILE} was "
            f"written with. Copy or save the model again."
        )


def shaped(name: str, arrays: Arrays, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return an array, or raise a ValueError if it has another shape."""
    if (found := shape_of(arrays, name)) != shape:
        raise ValueError(f"{name} should have the shape {shape}, and has {found}")
    return arrays[name]


def shape_of(arrays: Arrays, name: str) -> tuple[int, ...]:
    """Return the shape of an array."""
    return arrays.shape(name) if isinstance(arrays, StoredArrays) else arrays[name].shape


def subset(arrays: Arrays, prefix: str) -> Arrays:
    """Return the arrays whose names start with ``prefix.``, without it."""
    start = f"{prefix}."
    if isinstance(arrays, StoredArrays):
        return arrays.within(start)
    return {name.removeprefix(start): a for name, a in arrays.items() if name.startswith(start)}


def nested(parts: Mapping[str, Mapping[str, npt.NDArray[Any]]]) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of several parts under the names ``part.name``; the inverse of `subset`."""
    return {f"{part}.{name}": array for part, own in parts.items() for name, array in own.items()}


def _checksum(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
