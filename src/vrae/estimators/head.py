"""Estimators that have a model: what clusterer, detector, neighbours and forecaster share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import Tags
from sklearn.utils.metadata_routing import UNUSED

from vrae.data.batching import Indices
from vrae.data.panel import Panel
from vrae.data.selection import check_enough
from vrae.estimators.fitted_repr import FittedRepr
from vrae.estimators.fitting import TrainerLike
from vrae.estimators.option_tables import check_options
from vrae.estimators.options import VRAEOptions
from vrae.estimators.state import restore_ids, restore_model, save_model
from vrae.estimators.vrae import VRAE
from vrae.exceptions import InvalidParameterError, NotFittedError
from vrae.io.folder import Arrays, shaped, subset
from vrae.io.plain import ids_to_json
from vrae.runtime import SafeInForks

__all__ = ["Embedded", "Head", "SeriesHead", "clone_model", "explain_model_options"]

_MODEL_OPTIONS = frozenset(f.name for f in fields(VRAEOptions))

Constructor = Callable[..., None]


@dataclass(frozen=True, eq=False)
class Embedded:
    """A fitted model and the series that a head is fitted to."""

    model: VRAE
    panel: Panel
    indices: Indices  # of the series with observed values
    is_frozen: bool = False  # the model was fitted to other series

    @cached_property
    def latent(self) -> npt.NDArray[np.float32]:
        """Latent vectors (n_series, latent_size), NaN for series without any observed value."""
        if self.is_frozen:
            return self.model.inference_.embed(self.panel, self.indices)
        return self.model.embedding_


def explain_model_options(constructor: Constructor) -> Constructor:
    """Make a constructor point to ``model=VRAE(...)`` when it gets an option of the model."""

    @functools.wraps(constructor)
    def checked(self: Any, *args: Any, **options: Any) -> None:
        misplaced = {name: options[name] for name in _misplaced(self, options)}
        if misplaced:
            name, given = type(self).__name__, ", ".join(f"{option}={value!r}" for option, value in misplaced.items())
            raise TypeError(
                f"{name}() has no option {next(iter(misplaced))!r}: it belongs to the model. "
                f"Write {name}(model=VRAE({given}))."
            )
        constructor(self, *args, **options)

    return checked


def _misplaced(head: Any, options: Iterable[str]) -> list[str]:
    """Return which of these options belong to the model and not to the head."""
    return [name for name in options if name in _MODEL_OPTIONS.difference(head._get_param_names())]


def clone_model(model: VRAE) -> VRAE:
    """Return an unfitted copy of a model that calls the same callbacks."""
    copy: VRAE = clone(model)
    copy.callbacks = model.callbacks  # clone() copies them, and the user's own would never be called
    return copy


class Head(SafeInForks, FittedRepr, BaseEstimator):  # type: ignore[misc]
    """Base of the estimators that have a model.

    Attributes
    ----------
    model_ : VRAE
        The fitted model.
    embedding_ : ndarray of float32, shape (n_series, latent_size)
        Latent vectors of the series that the estimator was fitted to.
    ids_ : ndarray, shape (n_series,)
        Their ids.
    """

    model: Any
    random_state: Any
    model_: VRAE
    embedding_: npt.NDArray[np.float32]
    ids_: npt.NDArray[Any]

    # Whether the model embeds whole series. A forecaster's model embeds windows of scaled series.
    embeds_series: ClassVar[bool] = True

    def default_model(self) -> VRAE:
        """Return the model that ``model=None`` stands for."""
        return VRAE()

    def set_params(self, **params: Any) -> Self:
        """Set options of this estimator, and of its model as ``model__name``.

        Parameters
        ----------
        **params
            Options by name. With ``model=None``, ``model__name`` changes a copy of the default
            model.

        Returns
        -------
        self
        """
        if misplaced := _misplaced(self, params):
            name = misplaced[0]
            raise InvalidParameterError(f"{name!r} is an option of the model. Write set_params(model__{name}=...).")
        if params.get("model", self.model) is None and any(name.startswith("model__") for name in params):
            params["model"] = self.default_model()
        before = self.model
        try:
            super().set_params(**params)
        except (TypeError, ValueError):
            self.model = before
            raise
        return self

    def save(self, path: str | Path) -> Path:
        """Write the fitted estimator and its model to a directory; see `VRAE.save`."""
        self._check_fitted()
        config, arrays = self._state()
        vectors, ids = self.model_.embedding_, self.model_.ids_
        if not (np.array_equal(self.embedding_, vectors, equal_nan=True) and np.array_equal(self.ids_, ids)):
            # The model is frozen: it was fitted to other series.
            config, arrays = {**config, **ids_to_json(self.ids_)}, {**arrays, "embedding": self.embedding_}
        ids, digest = getattr(self, "_digest", (None, None))
        if ids is self.ids_:  # else there are more series than those of `fit`
            config = {**config, "digest": digest}
        return save_model(path, self, self.model_, config, arrays)

    @classmethod
    def from_state(cls, config: dict[str, Any], arrays: Arrays) -> Self:
        """Rebuild the estimator from the content of a model directory."""
        known = set(cls._get_param_names())
        self = cls(**{name: value for name, value in config["options"].items() if name in known})
        self.model_ = restore_model(VRAE, config["model"], subset(arrays, "model"))
        self.model = clone(self.model_)
        if self.model.random_state == self.random_state:  # the head's own
            self.model.random_state = None
        self.embedding_, self.ids_ = self.model_.embedding_, self.model_.ids_
        if "embedding" in arrays:
            self.ids_ = restore_ids(config)
            self.embedding_ = shaped("embedding", arrays, (len(self.ids_), self.model_.embedding_.shape[1]))
        self._restore(config, arrays)
        self._digest = (self.ids_, config.get("digest"))
        return self

    @property
    def n_features_in_(self) -> int:
        """Values per training series, if all have the same length; see `VRAE`."""
        return self.model_.n_features_in_

    # ---------------------------------------------------------------- for subclasses

    def _fitted_template(self) -> tuple[VRAE, bool]:
        """Check all options. Return a model to fit, or a fitted one, and whether it is fitted."""
        check_options(self)
        if isinstance(self.model, FrozenEstimator):
            model = self.model.estimator
            if isinstance(model, Head) and model.embeds_series:
                model._check_fitted()
                model = model.model_
            if not isinstance(model, VRAE):
                raise InvalidParameterError(f"model must be a VRAE; found a frozen {type(model).__name__}.")
            model.check_fitted()
            return model, True
        if self.model is not None and not isinstance(self.model, VRAE):
            raise InvalidParameterError(
                f"model must be a VRAE, a FrozenEstimator of one, or None; found {self.model!r:.80}."
            )
        model = self.default_model() if self.model is None else clone_model(self.model)
        if model.random_state is None:
            model.random_state = self.random_state
        check_options(model)
        return model, False

    def _state(self) -> tuple[dict[str, Any], Arrays]:
        """Return what the head has learned in addition to its model, as JSON values and arrays."""
        return {}, {}

    def _restore(self, config: dict[str, Any], arrays: Arrays) -> None:
        """Restore what `_state` returned."""

    def _facts(self) -> list[str]:
        return [self._result(), *self.model_.facts()]

    def _check_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(
                f"This {type(self).__name__} is not fitted yet. Call fit first, or load_model for a saved one."
            )

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True  # infinite values are refused
        return tags


class SeriesHead(Head):
    """Base of the heads that learn from the latent vectors of whole series."""

    # Arguments of `fit` that are no metadata of series, for scikit-learn's metadata routing.
    __metadata_request__fit: ClassVar[dict[str, Any]] = {"trainer": UNUSED}

    def fit(self, X: Any, y: Any = None, *, trainer: TrainerLike | None = None) -> Self:
        """Fit the model to series, or take a frozen one, and learn from the latent vectors.

        Parameters
        ----------
        X : array (n, steps) or (n, channels, steps), list of arrays, table or Panel
            NaN is a missing value.
        y : None
            Ignored. Present for API consistency.
        trainer : object, optional
            See `VRAE.fit`.

        Returns
        -------
        self
            Unchanged if anything is raised.

        Raises
        ------
        InvalidDataError, InvalidParameterError, TrainingError
            See `VRAE.fit`.
        """
        model, is_fitted = self._fitted_template()
        panel, indices = model.open(X) if is_fitted else model.usable(X)
        check_enough(panel, indices)
        self._check_options(panel, indices)
        if not is_fitted:
            model.fit_panel(panel, indices, trainer=trainer)
            model.remember(panel, indices)
        self._learn(Embedded(model, panel, indices, is_fitted))
        self._digest = (self.ids_, _digest_of(panel))
        return self

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Train the model further on new series, and learn again; see `VRAE.partial_fit`."""
        return self._learn(self._extend(X))

    def _is_fitted_to(self, panel: Panel) -> bool:
        """Return whether the series of a panel are those of `fit`, in their order."""
        ids, digest = getattr(self, "_digest", (None, None))
        return ids is self.ids_ and len(ids) == len(panel) and digest == _digest_of(panel)

    def score(self, X: Any, y: Any = None) -> float:
        """Return the evidence lower bound of series, per observed value; see `VRAE.score`."""
        self._check_fitted()
        return self.model_.score(X)

    def _extend(self, X: Any) -> Embedded:
        """Train the model further, on X and replayed series, and embed both."""
        model, is_frozen = self._fitted_template()
        if is_frozen:
            raise InvalidParameterError("A frozen model cannot be trained further. Pass a VRAE as model, or call fit.")
        if self.__sklearn_is_fitted__():
            # Current options, results of the last fit. Training replaces results, and changes none.
            learned = {name: value for name, value in vars(self.model_).items() if name.endswith("_")}
            model.__dict__.update(learned)
        panel = model.extend(X)
        indices = np.arange(len(panel))
        self._check_options(panel, indices)
        return Embedded(model, panel, indices)

    def _check_options(self, panel: Panel, indices: Indices) -> None:
        """Raise before training what would otherwise be found after it."""

    def _learn(self, found: Embedded) -> Self:
        """Learn from latent vectors, and take over what was found."""
        raise NotImplementedError


def _digest_of(panel: Panel) -> str:
    """Return a digest of the values, lengths and times of all series."""
    digest = blake2b(panel.offsets.tobytes(), digest_size=16)
    for part in panel.slices():
        digest.update(part.tobytes())
    if panel.times is not None:
        digest.update(panel.times.tobytes())
    return digest.hexdigest()
