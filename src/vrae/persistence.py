"""The model directory: ``config.json`` and ``weights.safetensors``, and nothing that could run.

``config.json`` holds ``format_version``, the estimator's class name, its options and its fitted state;
``weights.safetensors`` holds every tensor and array by name. A directory is written under another name and
moved into place when it is complete, so a reader finds the old model or the new one, never half of one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vrae.exceptions import ModelFileError, OutputError, did_you_mean
from vrae.storage import atomic_directory, atomic_file, is_there

if TYPE_CHECKING:
    from vrae.estimators.base import BaseVRAE

__all__ = [
    "FORMAT_VERSION",
    "atomic_directory",
    "atomic_file",
    "check_pair",
    "load_model",
    "read_folder",
    "read_model",
    "shaped",
    "write_folder",
    "write_model",
]

FORMAT_VERSION = 2

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "weights.safetensors"

_CHECKSUM = "weights_sha256"
_LARGEST_CONFIG = 1 << 30  # bytes; the ids of some ten million training series

Arrays = dict[str, npt.NDArray[Any]]

# The only classes that a model directory can bring to life.
_CLASSES = {
    "VRAE": "vrae.estimators.vrae",
    "VRAEAnomalyDetector": "vrae.estimators.anomaly",
    "VRAEClusterer": "vrae.estimators.clusterer",
    "VRAENeighbors": "vrae.estimators.neighbors",
    "GroupForecaster": "vrae.estimators.forecaster",
}


def load_model(path: str | Path) -> BaseVRAE:
    """Load a fitted estimator from the directory that its ``save`` wrote.

    Parameters
    ----------
    path : str or Path
        A model directory.

    Returns
    -------
    BaseVRAE
        Of the class that was saved: `VRAE`, `VRAEClusterer`, ...; on the CPU, or on the device that its
        ``device`` option names if there is one here.

    Raises
    ------
    ModelFileError
        Not a model directory, corrupt, of an unknown class, or written by a newer version.
    """
    from importlib import import_module

    config, arrays = read_model(path)
    name = str(config.get("class"))
    if name not in _CLASSES:
        raise ModelFileError(f"{path}: unknown class {name!r} in {CONFIG_FILE}.{did_you_mean(name, list(_CLASSES))}")
    estimator_class = getattr(import_module(_CLASSES[name]), name)
    try:
        for version in range(config["format_version"], FORMAT_VERSION):
            _MIGRATIONS[version](config, arrays)
        estimator = estimator_class._from_state(config, arrays)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, IndexError, OverflowError) as error:
        raise ModelFileError(
            f"{path}: {CONFIG_FILE} and {WEIGHTS_FILE} do not fit together ({error}). Was a file swapped or "
            f"edited? Save the model again."
        ) from error
    check_pair(Path(path), config)  # last: whatever else is wrong says more
    return estimator


def write_model(path: str | Path, config: dict[str, Any], arrays: Arrays) -> Path:
    """Write a model directory, all or nothing; an older model of the same name is replaced.

    Raises
    ------
    OutputError
        The place cannot be written, or holds something that is not a model.
    """
    target = Path(path)
    if is_there(target) and not _is_replaceable(target):
        raise OutputError(f"{target} exists and is not a model directory, or not only that. Choose another name.")
    write_folder(target, {"format_version": FORMAT_VERSION, **config}, arrays)
    return target


def write_folder(target: Path, config: dict[str, Any], arrays: Arrays) -> None:
    """Write ``config.json`` and ``weights.safetensors``, all or nothing; the one knows the other's checksum."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    with atomic_directory(target) as folder:
        try:
            save_file({name: np.asarray(a, order="C") for name, a in arrays.items()}, folder / WEIGHTS_FILE)
        except SafetensorError as error:  # it hides the operating system's, a full disk for example, in its words
            number = re.search(r"\(os error (\d+)\)", str(error))
            raise (OSError(int(number[1]), os.strerror(int(number[1]))) if number else error) from error
        text = json.dumps({**config, _CHECKSUM: _checksum(folder / WEIGHTS_FILE)}, indent=2, allow_nan=False)
        (folder / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")


def _is_replaceable(target: Path) -> bool:
    """Tell whether a place is an empty folder, or a folder with nothing but a model of ours in it."""
    if not target.is_dir():
        return False
    names = {path.name for path in target.iterdir()}
    if not names:
        return True
    if names != {CONFIG_FILE, WEIGHTS_FILE}:
        return False
    try:
        return {"format_version", "class"} <= set(json.loads((target / CONFIG_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return False


def read_model(path: str | Path) -> tuple[dict[str, Any], Arrays]:
    """Read a model directory's two files.

    Raises
    ------
    ModelFileError
        See `load_model`.
    """
    folder = Path(path)
    config, arrays = read_folder(folder, "model", "A model is the folder that save() wrote.")
    version = config.get("format_version")
    if version not in (*_MIGRATIONS, FORMAT_VERSION):
        raise ModelFileError(
            f"{folder} has format_version {version!r}; this version of vrae reads up to {FORMAT_VERSION}. "
            f"Install the version of vrae that wrote it (vrae {config.get('vrae_version', 'unknown')}) or a newer one."
        )
    # Rows of NaN in the embedding are series without any observed value.
    broken = [n for n, a in arrays.items() if n != "embedding" and a.dtype.kind == "f" and not np.isfinite(a).all()]
    if broken:
        raise ModelFileError(f"{folder / WEIGHTS_FILE} holds values that are not finite: {', '.join(broken[:5])}.")
    return config, arrays


def read_folder(folder: Path, kind: str, hint: str) -> tuple[dict[str, Any], Arrays]:
    """Read the two files that `write_folder` wrote; see also `check_pair`.

    Parameters
    ----------
    folder : Path
    kind, hint : str
        What the folder should be, and how one comes by it, for the messages.

    Raises
    ------
    ModelFileError
        A file is missing, damaged, or not the other's; the message says which and how.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    config_file, weights_file = folder / CONFIG_FILE, folder / WEIGHTS_FILE
    try:
        for file in (config_file, weights_file):
            if not file.is_file():
                found = f"{file.name} is not there" if folder.exists() else "there is no such folder"
                raise ModelFileError(f"{folder} is not a vrae {kind}: {found}. {hint}")
        if (size := config_file.stat().st_size) > _LARGEST_CONFIG:
            raise ModelFileError(f"{config_file} is not vrae's: {size:,} bytes are more than any {kind} needs.")
        config = json.loads(config_file.read_text(encoding="utf-8"))
        if not isinstance(config, dict) or "format_version" not in config:
            raise ModelFileError(f"{config_file} is damaged or not vrae's: it holds no format_version.")
        with weights_file.open("rb"):  # safetensors takes any obstacle for a file that is not there
            arrays = load_file(weights_file)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{config_file} is damaged or not vrae's ({error}). Copy or save it again.") from None
    except (SafetensorError, KeyError) as error:  # safetensors answers a type that numpy lacks with a KeyError
        raise ModelFileError(f"{weights_file} is damaged ({error}). Copy or save the {kind} again.") from None
    except OSError as error:
        raise ModelFileError(f"{folder} cannot be read: {error.strerror or error}.") from None
    return config, arrays


def check_pair(folder: Path, config: dict[str, Any]) -> None:
    """Refuse a weights file that is not the one that ``config.json`` was written with.

    Raises
    ------
    ModelFileError
    """
    expected = config.get(_CHECKSUM)  # models of before 0.1.0 have none
    if expected is not None and expected != _checksum(folder / WEIGHTS_FILE):
        raise ModelFileError(
            f"{folder / WEIGHTS_FILE} is damaged, or another model's: it is not the file that {CONFIG_FILE} was "
            f"written with. Copy or save the model again."
        )


def shaped(name: str, arrays: Arrays, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return an array, or raise a ValueError if it has another shape."""
    if arrays[name].shape != shape:
        raise ValueError(f"{name} should have the shape {shape}, and has {arrays[name].shape}")
    return arrays[name]


def _checksum(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _from_1(config: dict[str, Any], arrays: Arrays) -> None:
    """Format 2: level, spread and correlations of channels among the statistics; scales that bridge gaps."""
    config["scaler"]["bridges_gaps"] = False
    config["network"] |= {"level_weight": 0.0, "n_channel_pairs": 0}
    if config["network"]["n_patterns"]:
        arrays["network.statistics.pairs"] = np.zeros((0, 2), np.int64)
        arrays["network.statistics.usual_scale"] = np.zeros((2, 0), np.float32)


# From each older format to the next one, in place.
_MIGRATIONS: dict[int, Callable[[dict[str, Any], Arrays], None]] = {1: _from_1}
