"""What all estimators share: the options, ``fit`` and the model directory.

An estimator adds its own idea by overriding `BaseVRAE._fit_latent`, which gets the latent vectors of the
training series, and, if that leaves it with a fitted state, `_state` and `_restore`.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils import Tags
from torch import Tensor

from vrae.config import NetworkConfig, check_choice
from vrae.data.batching import Batch, Rows, collate, inference_rows
from vrae.data.containers import as_panel
from vrae.data.panel import Panel, invalid_series
from vrae.data.scaling import Scaler
from vrae.data.selection import drop_invalid, hide_level_ends
from vrae.estimators.options import Options
from vrae.estimators.saving import device_here, ids_of, plain, plain_ids
from vrae.estimators.sizing import choose_latent_size, set_axes
from vrae.exceptions import (
    InvalidDataError,
    NotFittedError,
    PosteriorCollapseWarning,
    name_some,
)
from vrae.nn.loss import active_units, pointwise_loss
from vrae.nn.model import Decoded, VRAENetwork, build_network, network_of
from vrae.persistence import shaped, write_model
from vrae.runtime import autocast, resolve_device, seed_of, side_by_side, torch_generator, work_threads
from vrae.train.callbacks import Record, check_callbacks
from vrae.train.loop import Trainer, TrainingData
from vrae.train.notebook import progress

__all__ = ["BaseVRAE", "check_enough"]

Result = TypeVar("Result")

# Series that go through the network at once when nothing is trained.
_INFERENCE_BATCH = 128
# Steps, and series, from which statistics of the training series are worked out.
_SAMPLE_STEPS = 1 << 22
_SAMPLE_SERIES = 4096


@dataclass(kw_only=True, eq=False, repr=False)
class BaseVRAE(Options):
    """Training and use of the network, shared by all estimators of vrae.

    Its options are those of `Options`.

    Attributes
    ----------
    embedding_ : ndarray of float32, shape (n_series, latent_size)
        Latent vectors (posterior means) of the training series.
    ids_ : ndarray, shape (n_series,)
        Their ids.
    history_ : list of dict
        A record an epoch; see `Callback`.
    active_units_ : int
        Latent dimensions in use: those whose posterior mean varies by more than .01 between series.
    size_curve_ : list of dict
        For ``latent_size="auto"``: ``latent_size``, ``error``, ``score`` and ``doubt`` of every size tried.
    network_ : VRAENetwork
    scaler_ : Scaler
    noise_variance_ : float
        Mean squared error of the reconstruction, in scaled units, an observed value.
    n_steps_ : int
        Median length of the training series.
    n_features_in_ : int
        scikit-learn's word for the values of a training series, steps times channels; only where all have the same
        length. Other series may still be of any length.
    """

    # ---------------------------------------------------------------- fit

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train the network on series.

        Parameters
        ----------
        X : array (n, steps) or (n, channels, steps), list of arrays, table or Panel
            NaN is a missing value.
        y : ignored
            There for scikit-learn's sake.

        Returns
        -------
        self

        Raises
        ------
        InvalidDataError
            Nothing to learn from: empty, a single series, series of one step, without any observed value
            (see ``on_invalid``), or with infinities.
        InvalidParameterError
            An option is out of range or unknown.
        TrainingError
            The loss became infinite or NaN.
        """
        panel, rows = self._usable(X)
        check_enough(panel, rows)
        return self._learn(panel, rows, anew=True)

    def _learn(self, panel: Panel, rows: Rows, anew: bool) -> Self:
        """Train the network, from the start or on, and do what the estimator is for."""
        seed = seed_of(self.random_state)
        device = resolve_device(self.device, self.precision)
        scaler = Scaler(self.scaling)
        size: Any = self.latent_size if anew else self.network_.config.latent_size
        curve: list[dict[str, float]] = []
        if size == "auto":
            size, curve = choose_latent_size(panel, rows, scaler.fit(panel))
        network_config = self._network_config(panel, rows, size)
        training_config = self._training_config(len(rows))
        if not anew:
            training_config = training_config.going_on()
        error = pointwise_loss(self.reconstruction_loss)
        callbacks = check_callbacks(self.callbacks) + ([progress()] if self.verbose else [])
        self._check_own_options(len(rows))
        before = vars(self).copy()
        try:
            if anew:
                self._forget()
                self.scaler_ = scaler.fit(panel)
                self.size_curve_ = curve
                self.network_: VRAENetwork = build_network(network_config, seed).to(device)
                if network_config.linear_path:
                    set_axes(self.network_.linear, panel, rows, self.scaler_)
            else:
                self.network_ = copy.deepcopy(self.network_)
            hidden = self._hidden_steps(panel)
            seen = panel if hidden is None else panel.with_values(np.where(hidden[:, None], np.nan, panel.values))
            patterns = self._patterns(seen, rows, seed if anew else None)
            if anew and patterns is not None and not network_config.linear_path:
                observed = (~np.isnan(panel.values)).sum() / len(panel)  # a series, as the loss weighs them
                weight = training_config.pattern_weight * observed / network_config.n_patterns
                self.network_.begin_with_patterns(patterns[rows].to(device), weight, training_config.beta)
            trainer = Trainer(self.network_, training_config, error, callbacks, seed)
            epochs = self._train(trainer, TrainingData(panel, rows, self.scaler_, patterns, hidden))
            past: list[Record] = getattr(self, "history_", [])
            self.history_ = past + [{**record, "epoch": len(past) + record["epoch"]} for record in epochs]
            self.network_.eval()
            self._describe_training_series(seen, rows, patterns)
            self._fit_latent(self.embedding_, rows, seed)
        except BaseException:  # also Ctrl-C: half a fit must not look like one
            self._forget()
            self.__dict__.update(before)
            raise
        self._warn_of_collapse()
        return self

    def _train(self, trainer: Trainer, data: TrainingData) -> list[Record]:
        """Train the network: here, unless `_trained_by` says otherwise."""
        elsewhere: Callable[[Trainer, TrainingData], list[Record]] | None = getattr(self, "_elsewhere", None)
        if elsewhere is not None:
            return elsewhere(trainer, data)
        with work_threads(trainer.device, self.hidden_size) as threads, trainer.network.at_work(threads):
            return trainer.fit(data)

    @contextmanager
    def _trained_by(self, train: Callable[[Trainer, TrainingData], list[Record]]) -> Iterator[None]:
        """Have somebody else do what ``trainer.fit(data)`` does, for a while; see `vrae.distributed.fit`."""
        self._elsewhere = train
        try:
            yield
        finally:
            del self._elsewhere

    @classmethod
    def _sharing(cls, model: BaseVRAE, *own: Any) -> Self:
        """Return an estimator with own options, and the options and the network of a fitted model.

        What the model knows of its own training series is not taken over: `_describe_training_series` is to be called.
        """
        self = cls(*own, **{f.name: getattr(model, f.name) for f in fields(Options)})
        for name in ("network_", "scaler_", "history_", "size_curve_"):
            setattr(self, name, getattr(model, name))
        return self

    def _forget(self) -> None:
        """Remove what an earlier fit, or half a fit, has left."""
        for name in [n for n in vars(self) if n.endswith("_") and not n.startswith("_")]:
            delattr(self, name)

    def _fit_latent(self, Z: npt.NDArray[np.float32], rows: Rows, seed: int) -> None:
        """Do what the estimator is for with the latent vectors (n_series, latent); valid ones at ``rows``."""

    def _hidden_steps(self, panel: Panel) -> npt.NDArray[np.bool_] | None:
        """Mark the steps (total_steps,) that the encoder may not see in training, so that it learns to complete."""
        return None

    def _check_own_options(self, n_series: int) -> None:
        """Raise before training what would otherwise be found after it."""

    def _usable(self, X: Any) -> tuple[Panel, Rows]:
        """Return the panel of X as the model sees it, and the rows that hold anything."""
        check_choice("on_invalid", self.on_invalid, ("raise", "drop", "keep"))
        panel = as_panel(X)
        if self.on_invalid == "drop":
            panel = drop_invalid(panel)
        invalid = invalid_series(panel)
        if invalid.any() and self.on_invalid == "raise":
            raise InvalidDataError(
                f"Found {invalid.sum()} of {len(panel)} series without any observed value (all NaN), ids "
                f"{name_some(panel.ids[invalid])}. Pass on_invalid='drop' to leave them out, or "
                f"on_invalid='keep' to keep their rows without a result."
            )
        if self.max_lag:  # a shifted series stands still where it came from
            panel = hide_level_ends(panel)
        return panel, np.flatnonzero(~invalid)

    def _patterns(self, panel: Panel, rows: Rows, seed: int | None) -> Tensor | None:
        """Return the pattern statistics of every series, (n_series, n_patterns); with a seed, fit them to a sample."""
        n_patterns = self.network_.config.n_patterns
        if not n_patterns:
            return None
        patterns = torch.zeros(len(panel), n_patterns)
        fitted = rows[:0] if seed is None else self._fit_patterns(panel, _sample(panel, rows), seed, patterns)
        statistics = self.network_.statistics
        rest = np.setdiff1d(rows, fitted, assume_unique=True)
        for batch, found in self._visit(panel, rest, lambda b: statistics(b.values, b.mask, b.lengths, b.scale)):
            patterns[torch.from_numpy(batch.rows)] = found.cpu()
        return patterns

    def _fit_patterns(self, panel: Panel, sampled: Rows, seed: int, patterns: Tensor) -> Rows:
        """Fit the pattern statistics to series; enter theirs into ``patterns``, and return their rows."""
        device = next(self.network_.parameters()).device
        parts = inference_rows(panel.lengths, sampled, _INFERENCE_BATCH)
        batches = [collate(panel, part, self.scaler_, torch.device("cpu")) for part in parts]
        statistics = self.network_.statistics.cpu()
        series = [(b.values, b.mask, b.lengths) for b in batches]
        scale = torch.cat([b.scale for b in batches]).cpu()
        with work_threads(torch.device("cpu"), self.hidden_size):
            of_sample = statistics.fit(series, scale, torch_generator(seed))
        statistics.to(device)
        patterns[torch.from_numpy(np.concatenate(parts))] = of_sample
        return sampled

    def _describe_training_series(self, panel: Panel, rows: Rows, patterns: Tensor | None) -> None:
        """Embed the training series; learn how far reconstructions are off, and the usual level and spread."""
        self.ids_ = panel.ids
        self.n_steps_ = int(np.median(panel.lengths[rows]))
        self._count_features(panel, rows)
        self.embedding_ = self._embed(panel, rows, patterns)
        self.active_units_ = active_units(torch.from_numpy(self.embedding_[rows]))
        squares = observed = 0.0
        levels, spreads = [], []
        for batch, decoded in self._visit(panel, _sample(panel, rows), self._decode, patterns):
            squares += float(((decoded.x - batch.values) ** 2 * batch.mask).sum())
            observed += float(batch.mask.sum())
            levels.append(batch.level)
            spreads.append(batch.spread)
        self.noise_variance_ = max(squares / observed, 1e-8)
        self.typical_level_ = torch.cat(levels).median(dim=0).values.numpy()  # (channel,)
        self.typical_spread_ = torch.cat(spreads).median(dim=0).values.numpy()  # (channel,)

    def _count_features(self, panel: Panel, rows: Rows) -> None:
        """Note how many values a series has, where that is one number."""
        self.__dict__.pop("n_features_in_", None)
        lengths = panel.lengths[rows]
        if (lengths == lengths[0]).all():
            self.n_features_in_ = int(lengths[0]) * panel.n_channels

    def _warn_of_collapse(self) -> None:
        if self.active_units_ == 0:
            warnings.warn(
                f"Posterior collapse: none of the latent dimensions ({self.latent_size}) differs between the series "
                f"(KL {self.history_[-1]['kl']:.3g} nats), so neither will their clusters. Lower beta "
                f"(now {self.beta:g}), raise kl_warmup (now {self.kl_warmup:g}) or train longer "
                f"({len(self.history_)} epochs now). Series that are all alike give this too.",
                PosteriorCollapseWarning,
                stacklevel=3,
            )

    # ---------------------------------------------------------------- use

    def _check_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(
                f"This {type(self).__name__} is not fitted yet. Call fit first, or load_model for a saved one."
            )

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "network_")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True  # a missing value; infinities are refused
        return tags

    def _open(self, X: Any) -> tuple[Panel, Rows]:
        """Check X against the fitted model; return its panel and the rows that can be used."""
        self._check_fitted()
        panel, rows = self._usable(X)
        expected = self.network_.config.n_channels
        if panel.n_channels != expected:
            raise InvalidDataError(f"The model was fitted to {expected} channel(s) a series; found {panel.n_channels}.")
        return panel, rows

    def _visit(
        self, panel: Panel, rows: Rows, compute: Callable[[Batch], Result], patterns: Tensor | None = None
    ) -> Iterator[tuple[Batch, Result]]:
        """Yield ``compute(batch)`` for the series at ``rows``, in batches of similar length."""
        device = next(self.network_.parameters()).device

        def visit(part: Rows) -> tuple[Batch, Result]:
            with work_threads(device, self.hidden_size), torch.inference_mode(), autocast(device, self.precision):
                batch = self._with_level(collate(panel, part, self.scaler_, device, patterns))
                return batch, compute(batch)

        parts = inference_rows(panel.lengths, rows, _INFERENCE_BATCH)
        yield from side_by_side(visit, parts, device, self.hidden_size)

    def _with_level(self, batch: Batch) -> Batch:
        """Add patterns that the network could not work out itself: it does not see level and spread."""
        if batch.patterns is not None or not self.network_.config.level_weight:
            return batch
        return replace(batch, patterns=self.network_.statistics(batch.values, batch.mask, batch.lengths, batch.scale))

    def _decode(self, batch: Batch) -> Decoded:
        return self.network_(batch.values, batch.mask, batch.lengths, batch.patterns)

    def _per_series(
        self,
        panel: Panel,
        rows: Rows,
        compute: Callable[[Batch], Tensor],
        empty: npt.NDArray[Any],
        patterns: Tensor | None = None,
    ) -> npt.NDArray[Any]:
        """Fill ``empty`` (one row a series) with ``compute(batch)`` at ``rows``."""
        for batch, result in self._visit(panel, rows, compute, patterns):
            empty[batch.rows] = result.float().cpu().numpy()
        return empty

    def _embed(self, panel: Panel, rows: Rows, patterns: Tensor | None = None) -> npt.NDArray[np.float32]:
        def mean(batch: Batch) -> Tensor:
            return self.network_.encode(batch.values, batch.mask, batch.lengths, batch.patterns)[0]

        empty = np.full((len(panel), self.network_.config.latent_size), np.nan, np.float32)
        return self._per_series(panel, rows, mean, empty, patterns)

    # ---------------------------------------------------------------- model directory

    def save(self, path: str | Path) -> Path:
        """Write the fitted model into a directory: JSON and safetensors, no pickle; see `vrae.load_model`.

        Parameters
        ----------
        path : str or Path
            An older model of that name is replaced when the new one is complete.

        Returns
        -------
        Path

        Raises
        ------
        NotFittedError, OutputError
        """
        from vrae import __version__

        self._check_fitted()
        own_state, own_arrays = self._state()
        config = {
            "class": type(self).__name__,
            "vrae_version": __version__,
            "options": {name: plain(value) for name, value in self.get_params(deep=False).items()},
            "network": self.network_.config.to_dict(),
            "scaler": self.scaler_.to_dict(),
            "history": self.history_,
            "noise_variance": self.noise_variance_,
            "n_steps": self.n_steps_,
            "active_units": self.active_units_,
            "size_curve": self.size_curve_,
            "n_features_in": getattr(self, "n_features_in_", None),
            **plain_ids(self.ids_),
            **own_state,
        }
        arrays = {
            **{f"network.{name}": t.cpu().numpy() for name, t in self.network_.state_dict().items()},
            "embedding": self.embedding_,
            "typical_level": self.typical_level_,
            "typical_spread": self.typical_spread_,
            **own_arrays,
        }
        return write_model(path, config, arrays)

    @classmethod
    def _from_state(cls, config: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Self:
        """Rebuild the estimator that `save` wrote."""
        known = {f.name for f in fields(cls)}
        self = cls(**{name: value for name, value in config["options"].items() if name in known})
        self.scaler_ = Scaler.from_dict(config["scaler"])
        prefix = "network."
        weights = {n.removeprefix(prefix): torch.from_numpy(a) for n, a in arrays.items() if n.startswith(prefix)}
        self.network_ = network_of(NetworkConfig.from_dict(config["network"]), weights)
        self.network_.to(device_here(self.device)).eval()
        self.history_ = config["history"]
        self.noise_variance_ = config["noise_variance"]
        self.n_steps_ = config["n_steps"]
        self.active_units_ = config["active_units"]
        self.size_curve_ = config.get("size_curve", [])
        if config.get("n_features_in") is not None:
            self.n_features_in_ = int(config["n_features_in"])
        self.ids_ = ids_of(config["ids"], config["ids_type"])
        size, channels = self.network_.config.latent_size, self.network_.config.n_channels
        self.embedding_ = shaped("embedding", arrays, (len(self.ids_), size))
        self.typical_level_ = shaped("typical_level", arrays, (channels,))
        self.typical_spread_ = shaped("typical_spread", arrays, (channels,))
        self._restore(config, arrays)
        return self

    def _state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return what the estimator itself has learned, as JSON values and arrays."""
        return {}, {}

    def _restore(self, config: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> None:
        """Take back what `_state` gave."""


def check_enough(panel: Panel, rows: Rows) -> None:
    """Raise if the usable series, at ``rows``, are too few or too short to learn from."""
    if len(rows) < 2:
        raise InvalidDataError(
            f"Found {len(rows)} usable series (n_samples = 1 is not enough): learning what series have in "
            f"common takes at least 2. For one long series, cut it into windows first."
        )
    if panel.lengths[rows].max() < 2:
        raise InvalidDataError(
            "Every series has one step only (1 feature(s)): there is no course in time to learn. Pass longer "
            "series, or use an ordinary clusterer on the values."
        )


def _sample(panel: Panel, rows: Rows) -> Rows:
    """Return evenly spaced rows: so many that the sample's size is bounded."""
    share = max(len(rows) / _SAMPLE_SERIES, panel.lengths[rows].sum() / _SAMPLE_STEPS, 1.0)
    return rows[:: math.ceil(share)]
