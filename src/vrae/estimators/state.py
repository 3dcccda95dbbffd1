"""A fitted estimator as JSON values and arrays, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator

from vrae._version import __version__
from vrae.config import NetworkConfig
from vrae.data.calendar import Calendar
from vrae.data.ids import check_unique, usable_ids
from vrae.data.scaling import Scaler
from vrae.data.table_options import TableOptions
from vrae.estimators.fitting import FittedVRAE
from vrae.exceptions import InvalidParameterError
from vrae.io.folder import Arrays, nested, shape_of, shaped, subset
from vrae.io.model_files import write_model
from vrae.io.plain import ids_from_json, ids_to_json, option_to_json
from vrae.nn.model import load_network
from vrae.runtime import resolve_device
from vrae.train.callbacks import Record

__all__ = ["restore_ids", "restore_model", "save_model"]

Config = dict[str, Any]
Model = TypeVar("Model", bound=FittedVRAE)


# Records of epochs that are saved.
_MOST_EPOCHS = 20_000

# Attributes of a model that are JSON values, without their underscore.
_FACTS = ("history", "noise_variance", "n_steps", "active_units")


def save_model(
    path: str | Path,
    estimator: BaseEstimator,
    model: FittedVRAE,
    config: Config | None = None,
    arrays: Arrays | None = None,
) -> Path:
    """Write an estimator and its model to a directory.

    ``config`` and ``arrays`` hold what the estimator has learned in addition to its model. A model
    on its own is both ``estimator`` and ``model``.
    """
    own = {} if estimator is model else {"options": _options(estimator)}
    facts = {"class": type(estimator).__name__, "vrae_version": __version__, **own, **(config or {})}
    model_config, model_arrays = _model_state(model)
    return write_model(path, {**facts, "model": model_config}, {**nested({"model": model_arrays}), **(arrays or {})})


def _options(estimator: BaseEstimator) -> Config:
    return {k: option_to_json(value) for k, value in estimator.get_params(deep=False).items() if k != "model"}


def _model_state(model: FittedVRAE) -> tuple[Config, Arrays]:
    config = {
        "options": _options(model),
        "network": model.network_.config.to_dict(),
        "scaler": model.scaler_.to_dict(),
        **{name: getattr(model, f"{name}_") for name in _FACTS},
        "history": _thinned(model.history_),
        "size_curve": model.size_curve_,
        "n_features_in": getattr(model, "n_features_in_", None),
        "reading": None if model.reading_ is None else model.reading_.to_dict(),
        "channels": model.channels_,
        "calendar": None if model.calendar_ is None else model.calendar_.to_dict(),
        **ids_to_json(model.ids_),
    }
    arrays = {
        **nested({"network": {name: t.cpu().numpy() for name, t in model.network_.state_dict().items()}}),
        "embedding": model.embedding_,
        "typical_level": model.typical_level_,
        "typical_spread": model.typical_spread_,
    }
    return config, arrays


def restore_model(model_class: type[Model], config: Config, arrays: Arrays) -> Model:
    """Rebuild a model from the part of a directory that `save_model` wrote for it."""
    model = model_class(**config["options"])
    model.scaler_ = Scaler.from_dict(config["scaler"])
    weights = subset(arrays, "network")
    model.network_ = load_network(
        NetworkConfig.from_dict(config["network"]),
        {name: shape_of(weights, name) for name in weights},
        lambda name: torch.from_numpy(weights[name]),
    )
    model.network_.to(_device_here(model.device)).eval()
    for name in _FACTS:
        setattr(model, f"{name}_", config[name])
    model.size_curve_ = config.get("size_curve", [])
    if config.get("n_features_in") is not None:
        model.n_features_in_ = int(config["n_features_in"])
    model.ids_ = restore_ids(config)
    model.reading_ = None if config["reading"] is None else TableOptions.from_dict(config["reading"])
    model.calendar_ = None if config["calendar"] is None else Calendar(**config["calendar"])
    model.channels_ = tuple(config["channels"] or ())
    size, channels = model.network_.config.latent_size, model.network_.config.n_channels
    model.embedding_ = shaped("embedding", arrays, (len(model.ids_), size))
    model.typical_level_ = shaped("typical_level", arrays, (channels,))
    model.typical_spread_ = shaped("typical_spread", arrays, (channels,))
    return model


def restore_ids(config: Config) -> npt.NDArray[Any]:
    """Return the ids of a config. A ValueError is raised if a panel cannot have them."""
    ids = usable_ids(ids_from_json(config["ids"], config["ids_type"]))
    check_unique(ids)
    return ids


def _thinned(history: list[Record]) -> list[Record]:
    """Return the records of epochs, or an even sample of them if the file would become large."""
    if len(history) <= _MOST_EPOCHS:
        return history
    return [history[row] for row in np.linspace(0, len(history) - 1, _MOST_EPOCHS).round().astype(int)]


def _device_here(device: str) -> torch.device:
    """Return the device that a saved model asks for, or the CPU if this machine lacks it."""
    try:
        return resolve_device(device)
    except InvalidParameterError:
        return torch.device("cpu")
