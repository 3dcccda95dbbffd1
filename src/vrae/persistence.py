"""The model directory: ``config.json`` and ``weights.safetensors``, and nothing that could run.

``config.json`` holds ``format_version``, the estimator's class name, its options and its fitted state;
``weights.safetensors`` holds every tensor and array by name. A directory is written under another name and
moved into place when it is complete, so a reader finds the old model or the new one, never half of one.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vrae.exceptions import ModelFileError, OutputError, did_you_mean

if TYPE_CHECKING:
    from vrae.estimators.base import BaseVRAE

__all__ = [
    "FORMAT_VERSION",
    "atomic_directory",
    "atomic_file",
    "load_model",
    "read_model",
    "write_model",
]

FORMAT_VERSION = 2

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "weights.safetensors"

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
        return estimator_class._from_state(config, arrays)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise ModelFileError(
            f"{path}: {CONFIG_FILE} and {WEIGHTS_FILE} do not fit together ({error}). Was a file swapped or "
            f"edited? Save the model again."
        ) from error


def write_model(path: str | Path, config: dict[str, Any], arrays: Arrays) -> Path:
    """Write a model directory, all or nothing; an older model of the same name is replaced.

    Raises
    ------
    OutputError
        The place cannot be written, or holds something that is not a model.
    """
    from safetensors.numpy import save_file

    target = Path(path)
    if target.exists() and not _is_replaceable(target):
        raise OutputError(f"{target} exists and is not a model directory, or not only that. Choose another name.")
    text = json.dumps({"format_version": FORMAT_VERSION, **config}, indent=2, allow_nan=False)
    with atomic_directory(target) as folder:
        save_file({name: np.ascontiguousarray(a) for name, a in arrays.items()}, folder / WEIGHTS_FILE)
        (folder / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")
    return target


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
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    folder = Path(path)
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            found = "there is no such folder" if not folder.exists() else f"{name} is not there"
            raise ModelFileError(f"{folder} is not a vrae model: {found}. A model is the folder that save() wrote.")
    try:
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        version = config["format_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelFileError(f"{folder / CONFIG_FILE} is damaged or not vrae's ({error}).") from None
    if version not in (*_MIGRATIONS, FORMAT_VERSION):
        raise ModelFileError(
            f"{folder} has format_version {version!r}; this version of vrae reads up to {FORMAT_VERSION}. "
            f"Install the version of vrae that wrote it (vrae {config.get('vrae_version', 'unknown')}) or a newer one."
        )
    try:
        arrays = load_file(folder / WEIGHTS_FILE)
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"{folder / WEIGHTS_FILE} is damaged ({error}). Copy or save the model again.") from None
    # Rows of NaN in the embedding are series without any observed value.
    broken = [n for n, a in arrays.items() if n != "embedding" and a.dtype.kind == "f" and not np.isfinite(a).all()]
    if broken:
        raise ModelFileError(f"{folder / WEIGHTS_FILE} holds values that are not finite: {', '.join(broken[:5])}.")
    return config, arrays


def _from_1(config: dict[str, Any], arrays: Arrays) -> None:
    """Format 2: level, spread and correlations of channels among the statistics; scales that bridge gaps."""
    config["scaler"]["bridges_gaps"] = False
    config["network"] |= {"level_weight": 0.0, "n_channel_pairs": 0}
    if config["network"]["n_patterns"]:
        arrays["network.statistics.pairs"] = np.zeros((0, 2), np.int64)
        arrays["network.statistics.usual_scale"] = np.zeros((2, 0), np.float32)


# From each older format to the next one, in place.
_MIGRATIONS: dict[int, Callable[[dict[str, Any], Arrays], None]] = {1: _from_1}


@contextmanager
def atomic_directory(target: Path) -> Iterator[Path]:
    """Give a new folder to write into; it takes the place of ``target`` when all went well, or vanishes.

    Raises
    ------
    OutputError
        The disk is full, or the place cannot be written.
    """
    with _workshop(target) as workshop:
        folder = workshop / "new"
        folder.mkdir()
        yield folder
        if not target.exists():
            os.replace(folder, target)
            return
        os.replace(target, workshop / "old")
        try:
            os.replace(folder, target)
        except OSError:
            os.replace(workshop / "old", target)
            raise


@contextmanager
def atomic_file(target: Path) -> Iterator[Path]:
    """Give a new file's path to write to; it takes the place of ``target`` when all went well, or vanishes.

    Raises
    ------
    OutputError
        The disk is full, or the place cannot be written.
    """
    with _workshop(target) as workshop:
        yield workshop / target.name
        os.replace(workshop / target.name, target)


@contextmanager
def _workshop(target: Path) -> Iterator[Path]:
    """Give a hidden folder beside ``target``, on the same disk; it is gone afterwards."""
    workshop: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        workshop = Path(tempfile.mkdtemp(prefix=".vrae-", dir=target.parent))
        yield workshop
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        advice = " Free some space or choose another place." if full else ""
        raise OutputError(f"Could not write {target}: {error.strerror or error}.{advice}") from error
    finally:
        if workshop is not None:
            shutil.rmtree(workshop, ignore_errors=True)
