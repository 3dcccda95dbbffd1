"""What the options of estimators may be: one table per class.

`fit` checks options before any work. `vrae.load_model` checks those of a saved estimator, where an
object is the name of its class.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from vrae.config import LARGEST, LARGEST_WEIGHT, check_choice
from vrae.data.scaling import SCALINGS
from vrae.estimators.partition import check_clusterer
from vrae.io.schema import Check, choice, either, flag, list_of, maybe, real, refuse, text, whole
from vrae.train.callbacks import check_callbacks

__all__ = ["OPTIONS", "check_options", "checked", "saved_options"]

_ARCHITECTURES = ("default", "classic", "linear")

# Clusters, neighbours, steps of a forecast: more than a table of results can hold.
_MOST = 1 << 31
_WEIGHT = real(low=0, high=LARGEST_WEIGHT)
_RATE = real(above=0, below=0.5)


def _seed(place: str, value: Any) -> None:
    if value is None or isinstance(value, np.random.RandomState):
        return
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= value < 2**32:
        raise refuse(place, "a whole number from 0 to 2**32 - 1, a RandomState or None", value)


def _loss(place: str, value: Any) -> None:
    if not isinstance(value, nn.Module):
        check_choice(place, value, ("mse", "smooth_l1"))


def _lag(place: str, value: Any) -> None:
    if isinstance(value, (float, np.floating)):
        real(low=0, high=0.5)(place, value)
    else:
        whole(0, LARGEST["max_lag"])(place, value)


def _stopping(place: str, value: Any) -> None:
    if not isinstance(value, (bool, np.bool_)):
        whole(1, LARGEST["max_epochs"])(place, value)


def _verbose(place: str, value: Any) -> None:
    if not isinstance(value, (bool, np.bool_)):
        whole(0, 100)(place, value)


def _levels(place: str, value: Any) -> None:
    level = real(above=0, high=99)
    if isinstance(value, (list, tuple, np.ndarray)):
        list_of(level, most=100)(place, list(value))
    else:
        level(place, value)


def _device(place: str, value: Any) -> None:
    if not isinstance(value, (str, torch.device)):
        raise refuse(place, _A_DEVICE, value)


_A_DEVICE = "the name of a device, such as 'auto', 'cpu' or 'cuda:0'"
_DEVICE = text(40, r"[a-z]+(:\d+)?", _A_DEVICE)

OPTIONS: dict[str, dict[str, Check]] = {
    "VRAE": {
        "latent_size": whole(1, LARGEST["latent_size"], auto=True),
        "hidden_size": whole(1, LARGEST["hidden_size"]),
        "num_layers": whole(1, LARGEST["num_layers"]),
        "cell": choice("lstm", "gru"),
        "architecture": choice(*_ARCHITECTURES),
        "patch_size": whole(1, LARGEST["patch_size"], auto=True),
        "dropout": real(low=0, below=1),
        "max_lag": _lag,
        "pattern_weight": _WEIGHT,
        "level_weight": _WEIGHT,
        "timing": choice("calendar", "free"),
        "scaling": maybe(choice(*SCALINGS)),
        "reconstruction_loss": _loss,
        "beta": _WEIGHT,
        "max_epochs": whole(1, LARGEST["max_epochs"], auto=True),
        "batch_size": whole(1, LARGEST["batch_size"]),
        "optimizer": choice("adam", "sgd"),
        "learning_rate": real(above=0, high=LARGEST_WEIGHT),
        "early_stopping": _stopping,
        "on_invalid": choice("raise", "drop", "keep"),
        "device": _device,
        "precision": choice("float32", "bfloat16", "float16"),
        "random_state": _seed,
        "verbose": _verbose,
        "callbacks": lambda place, value: check_callbacks(value),
    },
    "VRAEClusterer": {
        "n_clusters": whole(1, _MOST, auto=True),
        "clusterer": lambda place, value: check_clusterer(value),
        "false_alarm_rate": maybe(_RATE),
        "random_state": _seed,
    },
    "VRAEAnomalyDetector": {
        "contamination": either("auto", real(above=0, high=0.5)),
        "false_alarm_rate": _RATE,
        "random_state": _seed,
    },
    "VRAENeighbors": {
        "n_neighbors": whole(1, _MOST),
        "algorithm": choice("auto", "exact", "approximate"),
        "random_state": _seed,
    },
    "GroupForecaster": {
        "horizon": whole(1, 1 << 20),
        "n_clusters": whole(1, _MOST, auto=True),
        "season_length": whole(1, 1 << 20, auto=True),
        "level": _levels,
        "clusterer": lambda place, value: check_clusterer(value),
        "n_backtests": whole(1, 1000),
        "classical": flag,
        "covariates": maybe(list_of(text(1000), most=1000)),
        "random_state": _seed,
    },
    "LongSeriesDetector": {
        "window": whole(2, _MOST, auto=True),
        "stride": maybe(whole(1, _MOST)),
        "contamination": either("auto", real(above=0, high=0.5)),
        "false_alarm_rate": _RATE,
    },
}


def check_options(estimator: Any) -> None:
    """Raise an InvalidParameterError if an option of an estimator is not allowed."""
    for name, check in OPTIONS.get(_kind_of(estimator), {}).items():
        check(name, getattr(estimator, name))


def checked(estimator: Any) -> Any:
    """Return an estimator after a check of its options, and of those of its model."""
    check_options(estimator)
    check_options(getattr(estimator, "model", None))
    return estimator


def _kind_of(estimator: Any) -> str:
    """Return the class of an estimator that has a table. Subclasses have that of their base."""
    return next((kind.__name__ for kind in type(estimator).__mro__ if kind.__name__ in OPTIONS), "")


def saved_options(kind: str) -> Mapping[str, Check]:
    """Return what the options of a saved estimator may be."""
    of_a_class = text(200, r"[\w<>]+(\.[\w<>]+)*", "a name")  # of an object, or a choice
    plain: dict[str, Check] = {
        "device": _DEVICE,
        "reconstruction_loss": of_a_class,
        "clusterer": of_a_class,
        "callbacks": maybe(of_a_class),
        "level": maybe(_levels),  # a list is saved under another key
        "random_state": maybe(whole(0, 2**32 - 1)),
    }
    return {name: plain.get(name, check) for name, check in OPTIONS[kind].items()}
