"""A folder of two files, ``config.json`` and ``weights.safetensors``, without pickle.

Models and training checkpoints are such folders. The JSON file records the checksum of the other.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.exceptions import ModelFileError
from vrae.io.atomic import atomic_directory

__all__ = [
    "CONFIG_FILE",
    "WEIGHTS_FILE",
    "Arrays",
    "check_pair",
    "nested",
    "read_folder",
    "shaped",
    "subset",
    "write_folder",
]

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "weights.safetensors"

# Times that a folder is read if it is replaced each time.
_TRIES = 100
_CHECKSUM = "weights_sha256"
_FOUND = "weights_sha256 found"  # of the file that was read
_LARGEST_CONFIG = 1 << 30  # bytes: the ids of about ten million training series

Arrays = dict[str, npt.NDArray[Any]]


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
        (folder / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")
        shutil.copymode(folder / CONFIG_FILE, folder / WEIGHTS_FILE)  # safetensors lets only the owner read


def read_folder(folder: Path, kind: str, hint: str) -> tuple[dict[str, Any], Arrays]:
    """Read the two files that `write_folder` wrote. Call `check_pair` afterwards.

    They are read again if another process replaced the folder meanwhile. ``kind`` and ``hint`` say
    what the folder should be and how to get one, for the messages.
    """
    for left in reversed(range(_TRIES)):
        before = _identity(folder)
        try:
            found = _read_pair(folder, kind, hint)
        except ModelFileError:
            if not left or _identity(folder) == before:
                raise
        else:
            if not left or _identity(folder) == before:
                return found
    raise AssertionError("the last try returns or raises")


def _identity(folder: Path) -> tuple[tuple[int, int], ...]:
    """Return what changes when a folder is replaced."""
    found = []
    for path in (folder, folder / CONFIG_FILE, folder / WEIGHTS_FILE):
        try:
            state = path.stat()
        except OSError:
            found.append((0, 0))
        else:
            found.append((state.st_ino, state.st_mtime_ns))
    return tuple(found)


def _read_pair(folder: Path, kind: str, hint: str) -> tuple[dict[str, Any], Arrays]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    config_file, weights_file = folder / CONFIG_FILE, folder / WEIGHTS_FILE
    try:
        for file in (config_file, weights_file):
            if not file.is_file():
                found = f"{file.name} is not there" if folder.exists() else "there is no such folder"
                raise ModelFileError(f"{folder} is not a vrae {kind}: {found}. {hint}")
        if (size := config_file.stat().st_size) > _LARGEST_CONFIG:
            raise ModelFileError(f"{config_file} is not vrae's: no {kind} needs {size:,} bytes.")
        config = json.loads(config_file.read_text(encoding="utf-8"))
        if not isinstance(config, dict) or "format_version" not in config:
            raise ModelFileError(f"{config_file} is damaged or not vrae's: it holds no format_version.")
        with weights_file.open("rb"):  # safetensors reports every obstacle as a missing file
            arrays = load_file(weights_file)
        config[_FOUND] = _checksum(weights_file)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{config_file} is damaged or not vrae's ({error}). Copy or save it again.") from None
    except (SafetensorError, KeyError) as error:  # KeyError: a dtype that numpy lacks
        raise ModelFileError(f"{weights_file} is damaged ({error}). Copy or save the {kind} again.") from None
    except OSError as error:
        raise ModelFileError(f"{folder} cannot be read: {error.strerror or error}.") from None
    return config, arrays


def check_pair(folder: Path, config: dict[str, Any]) -> None:
    """Raise if the weights file is not the one that ``config.json`` was written with."""
    expected = config.get(_CHECKSUM)  # models older than 0.1.0 have none
    if expected is not None and expected != config[_FOUND]:
        raise ModelFileError(
            f"{folder / WEIGHTS_FILE} is damaged, or another model's: it is not the file that {CONFIG_FILE} was "
            f"written with. Copy or save the model again."
        )


def shaped(name: str, arrays: Arrays, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return an array, or raise a ValueError if it has another shape."""
    if arrays[name].shape != shape:
        raise ValueError(f"{name} should have the shape {shape}, and has {arrays[name].shape}")
    return arrays[name]


def subset(arrays: Arrays, prefix: str) -> Arrays:
    """Return the arrays whose names start with ``prefix.``, without it."""
    start = f"{prefix}."
    return {name.removeprefix(start): a for name, a in arrays.items() if name.startswith(start)}


def nested(parts: dict[str, Arrays]) -> Arrays:
    """Return the arrays of several parts under the names ``part.name``; the inverse of `subset`."""
    return {f"{part}.{name}": array for part, own in parts.items() for name, array in own.items()}


def _checksum(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
