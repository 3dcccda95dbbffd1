"""Format versions of model directories, and how an older one becomes the next.

Version 7: neighbors are compared by their pattern statistics too.
Version 6: a clusterer remembers how its clusters were edited and what they are called.
Version 5: a model remembers how its table was read, and when its series are high.
Version 4: latent vectors have a neighbour part; pattern statistics scale differences.
Version 3: a head stores its model under "model", since heads have a model instead of being one.
Version 2: pattern statistics include level, spread and cross-correlations; scales bridge gaps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from vrae.io.folder import StoredArrays

__all__ = ["FORMAT_VERSION", "OLDER_VERSIONS", "migrate"]

FORMAT_VERSION = 7

Config = dict[str, Any]


def migrate(config: Config, arrays: StoredArrays) -> None:
    """Bring a model directory of any known version to `FORMAT_VERSION`, in place."""
    for version in range(config["format_version"], FORMAT_VERSION):
        _STEPS[version](config, arrays)


def _from_1(config: Config, arrays: StoredArrays) -> None:
    config["scaler"]["bridges_gaps"] = False
    config["network"] |= {"level_weight": 0.0, "n_channel_pairs": 0}
    if config["network"]["n_patterns"]:
        arrays["network.statistics.pairs"] = np.zeros((0, 2), np.int64)
        arrays["network.statistics.usual_scale"] = np.zeros((2, 0), np.float32)


# Parts of a version-2 config that belong to the model, whatever class was saved.
_MODEL_FACTS = (
    *("network", "scaler", "history", "noise_variance", "n_steps", "active_units"),
    *("size_curve", "n_features_in", "ids", "ids_type"),
)
_MODEL_ARRAYS = ("network.", "embedding", "typical_level", "typical_spread")
# Beginnings of the names of a head's arrays, in version 2 and now.
_RENAMED_ARRAYS = {
    "yardstick.": "reference.",
    "groups.shares": "groups.proportions",
    "groups.courses": "groups.curves",
    "items.fading": "items.level_decay",
    "pooled.departures": "pooled.group_coefficients",
    "group_model.departures": "group_model.group_coefficients",
}
# Options of version 2 that belong to a head.
_HEAD_OPTIONS = (
    *("n_clusters", "clusterer", "contamination", "false_alarm_rate", "n_neighbors", "algorithm"),
    *("horizon", "season_length", "level", "n_backtests", "classical", "covariates"),
)


def _from_2(config: Config, arrays: StoredArrays) -> None:
    options = config.pop("options")
    model = {"options": _model_options(options)}
    model |= {name: config.pop(name) for name in _MODEL_FACTS if name in config}
    config |= {"options": {name: value for name, value in options.items() if name in _HEAD_OPTIONS}, "model": model}
    config["options"]["random_state"] = options.get("random_state")
    for name in list(arrays):
        old = next((old for old in _RENAMED_ARRAYS if name.startswith(old)), None)
        if name.startswith(_MODEL_ARRAYS):
            arrays.rename(name, f"model.{name}")
        elif old is not None:
            arrays.rename(name, _RENAMED_ARRAYS[old] + name.removeprefix(old))
    if config["class"] == "VRAE":  # it stores itself as a head stores its model
        del config["options"]


def _model_options(options: Config) -> Config:
    """Return version-2 options as options of `vrae.VRAE`."""
    dropped = ("kl_warmup", "lr_schedule", "max_grad_norm", "bidirectional", "pooling", "feed_latent", "linear_path")
    kept = {name: value for name, value in options.items() if name not in (*_HEAD_OPTIONS, *dropped)}
    kept["pattern_weight"] = kept.pop("local_patterns", 0.0)
    if options.get("linear_path"):
        kept["architecture"] = "linear"
    elif not options.get("feed_latent", True) and not options.get("bidirectional", True):
        kept["architecture"] = "classic"
    return kept


def _from_3(config: Config, arrays: StoredArrays) -> None:
    network = config["model"]["network"]
    config["model"]["network"] = {"neighbour_size": 0, "scale_differences": False, **network}
    if config["class"] == "VRAEClusterer":
        config["selection"] = []  # scores of another kind


def _from_4(config: Config, arrays: StoredArrays) -> None:
    model = config["model"]
    model["network"]["n_timing"] = 0
    model["scaler"]["timing"] = None
    model |= {"reading": None, "channels": None, "calendar": None}


def _from_5(config: Config, arrays: StoredArrays) -> None:
    if config["class"] == "VRAEClusterer":
        config |= {"n_edits": 0, "names": {}, "portraits": None}


def _from_6(config: Config, arrays: StoredArrays) -> None:
    """Leave neighbors without statistics, and detectors without what older scores refer to.

    Neighbors stay those of the latent vectors. A detector must be fitted again to score series.
    """
    if config["class"] == "VRAEAnomalyDetector":
        for name in [name for name in arrays if name.startswith("reference.")]:
            del arrays[name]


_STEPS: dict[int, Callable[[Config, StoredArrays], None]] = {
    **{1: _from_1, 2: _from_2, 3: _from_3, 4: _from_4, 5: _from_5, 6: _from_6},
}
OLDER_VERSIONS = tuple(_STEPS)
