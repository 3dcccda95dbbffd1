"""Load any saved estimator from its directory."""

from __future__ import annotations

import os
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from vrae.estimators.saved_arrays import check_arrays
from vrae.estimators.saved_schema import check_config
from vrae.estimators.state import restore_model
from vrae.exceptions import InvalidParameterError, ModelFileError, did_you_mean, name_some, shortened
from vrae.io.folder import CONFIG_FILE, WEIGHTS_FILE, StoredArrays, check_pair, subset
from vrae.io.migrations import FORMAT_VERSION, migrate
from vrae.io.model_files import read_model
from vrae.runtime import safe_in_forks

__all__ = ["load_model"]

# The only classes that a model directory can name.
_CLASSES = {
    "VRAE": "vrae.estimators.vrae",
    "VRAEAnomalyDetector": "vrae.estimators.anomaly",
    "VRAEClusterer": "vrae.estimators.clusterer",
    "VRAENeighbors": "vrae.estimators.neighbors",
    "GroupForecaster": "vrae.estimators.forecaster",
    "LongSeriesDetector": "vrae.estimators.long_series",
}


@safe_in_forks
def load_model(path: str | Path) -> Any:
    """Load a fitted estimator from the directory that its ``save`` wrote.

    Parameters
    ----------
    path : str or Path
        A model directory, of this or an older version, or the folder of a run.

    Returns
    -------
    VRAE, VRAEClusterer, VRAEAnomalyDetector, VRAENeighbors, GroupForecaster or LongSeriesDetector
        The class that was saved. On the CPU, or on the device that its ``device`` option names if
        this machine has it.

    Raises
    ------
    ModelFileError
        Not a model directory, corrupt, of an unknown class, or written by a newer version.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise InvalidParameterError(f"load_model takes the path of a model directory; found {shortened(path)}.")
    path = Path(path)
    with suppress(OSError):  # a name that is too long, as `read_model` says
        if (path / "model" / CONFIG_FILE).is_file() and not (path / CONFIG_FILE).is_file():
            path /= "model"  # of a run folder
    config, arrays = read_model(path)
    name = str(config.get("class"))
    if name not in _CLASSES:
        raise ModelFileError(f"{path}: unknown class {name!r} in {CONFIG_FILE}.{did_you_mean(name, list(_CLASSES))}")
    saved_class = getattr(import_module(_CLASSES[name]), name)
    try:
        _bring_up_to_date(path, config, arrays)
        check_arrays(config, arrays)
        if name == "VRAE":
            estimator = restore_model(saved_class, config["model"], subset(arrays, "model"))
        else:
            estimator = saved_class.from_state(config, arrays)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, IndexError, OverflowError) as error:
        raise ModelFileError(
            f"{path}: {CONFIG_FILE} and {WEIGHTS_FILE} do not fit together ({error}). Was a file swapped or "
            f"edited? Save the model again."
        ) from error
    check_pair(path, config, arrays)  # last, since other messages say more
    if unused := sorted(arrays.unused()):
        raise ModelFileError(f"{path / WEIGHTS_FILE} holds arrays that no {name} has: {name_some(unused)}.")
    return estimator


def _bring_up_to_date(path: Path, config: dict[str, Any], arrays: StoredArrays) -> None:
    """Make the newest format of a config, and raise if it is not as vrae writes it."""
    version = config["format_version"]
    try:
        migrate(config, arrays)
        check_config(config, others=version < FORMAT_VERSION)
    except InvalidParameterError as error:
        raise ModelFileError(
            f"{path / CONFIG_FILE} is not as vrae writes it. {error} Was it edited? Save the model again."
        ) from None
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        if version == FORMAT_VERSION:
            raise
        raise ModelFileError(
            f"{path / CONFIG_FILE} says format_version {version}, but lacks what such a model has "
            f"({type(error).__name__}: {error}). Was it edited? Save the model again."
        ) from None
