"""What all estimators share: the options, ``fit`` and the model directory.

An estimator adds its own idea by overriding `BaseVRAE._fit_latent`, which gets the latent vectors of the
training series, and, if that leaves it with a fitted state, `_state` and `_restore`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from vrae.config import NetworkConfig, TrainingConfig, check_choice, check_int, check_real
from vrae.data.batching import Batch, Rows, collate, inference_rows
from vrae.data.containers import as_panel
from vrae.data.panel import Panel, invalid_series
from vrae.data.scaling import Scaler
from vrae.exceptions import (
    InvalidDataError,
    InvalidParameterError,
    NotFittedError,
    PosteriorCollapseWarning,
    name_some,
)
from vrae.nn.loss import active_units, pointwise_loss
from vrae.nn.model import Decoded, build_network
from vrae.nn.patterns import dilations_for
from vrae.persistence import write_model
from vrae.runtime import autocast, resolve_device, seed_of, torch_generator
from vrae.train.callbacks import Callback, ProgressBar, check_callbacks
from vrae.train.loop import Trainer, TrainingData

__all__ = ["BaseVRAE"]

Result = TypeVar("Result")

# "auto": patches such that the RNN takes about this many steps over a series of median length ...
_RNN_STEPS = 20
# ... and never more than this over the longest one.
_MAX_RNN_STEPS = 2048
# "auto": training takes about this many steps, but shows every series at least once.
_TRAINING_STEPS = 300
# Series that go through the network at once when nothing is trained.
_INFERENCE_BATCH = 128
# Components of the pattern statistics that are kept.
_PATTERN_COMPONENTS = 32
# Steps, and series, from which statistics of the training series are worked out.
_SAMPLE_STEPS = 1 << 22
_SAMPLE_SERIES = 4096


@dataclass(kw_only=True, eq=False, repr=False)
class BaseVRAE(BaseEstimator):  # type: ignore[misc]
    """Options and training shared by all estimators of vrae.

    Parameters
    ----------
    latent_size : int, default=16
        Numbers that sum up a series.
    hidden_size : int, default=64
        Width of the recurrent layers.
    num_layers : int, default=1
        Recurrent layers of encoder and decoder.
    cell : {"lstm", "gru"}, default="lstm"
        Recurrent cell.
    bidirectional : bool, default=True
        The encoder reads in both directions.
    pooling : {"mean", "last"}, default="mean"
        What sums up the encoder's pass: the mean of its hidden states, or the last one.
    patch_size : int or "auto", default="auto"
        Consecutive steps that enter the recurrent network together. "auto" chooses it by the lengths; 1 is the
        textbook network, and the slowest.
    dropout : float, default=0.0
        Share of the recurrent outputs that are dropped in training, in [0, 1).
    feed_latent : bool, default=True
        The decoder sees the latent vector at every step, not only in its initial state.
    reconstruction_loss : {"mse", "smooth_l1"} or torch.nn.Module, default="mse"
        Error of a value; summed over the observed values of a series.
    beta : float, default=1.0
        Weight of the KL divergence beside the sum of errors.
    kl_warmup : float, default=0.3
        Share of training over which that weight rises from 0.
    max_lag : int or float, default=0
        Largest shift in time, in steps (int) or as a share of the median length (float, up to 0.5), that does
        not matter: series that differ by a (circular) shift get the same latent vector. 0 switches it off.
    local_patterns : float, default=2.0
        What the patterns that a series is made of, wherever they stand in it, count beside its course:
        statistics of them join the encoder's summary, and a second head has to give them back. 0 switches
        them off.
    scaling : {"series", "channel", "robust"} or None, default="series"
        See `vrae.data.scaling.Scaler`.
    max_epochs : int or "auto", default="auto"
        Times that every series is shown. "auto": as many as make about 300 steps.
    batch_size : int, default=64
        Series a step.
    optimizer : {"adam", "sgd"}, default="adam"
    learning_rate : float, default=5e-3
    lr_schedule : {"cosine", "constant"}, default="cosine"
        "cosine": a short rise, then a fall to nearly zero.
    max_grad_norm : float or None, default=5.0
        Longer gradients are cut to this norm.
    early_stopping : bool or int, default=False
        Hold out a tenth of the series and stop when their loss has not improved for that many epochs (True:
        10). The held-out series get their latent vectors like all others.
    on_invalid : {"raise", "keep"}, default="raise"
        A series without any observed value: raise an error that names it, or keep its row and give it NaN,
        and no cluster.
    device : str, default="auto"
        "auto" (CUDA if there is one, else the CPU), "cpu", "cuda", "mps".
    precision : {"float32", "bfloat16", "float16"}, default="float32"
        Of the matrix products; weights stay float32.
    random_state : int, RandomState or None, default=None
        Same data, options, device and int: same result.
    verbose : int, default=0
        1 shows a progress bar on stderr.
    callbacks : list of Callback, optional
        See `vrae.train.callbacks.Callback`.

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
    network_ : VRAENetwork
    scaler_ : Scaler
    noise_variance_ : float
        Mean squared error of the reconstruction, in scaled units, an observed value.
    n_steps_ : int
        Median length of the training series.
    """

    latent_size: int = 16
    hidden_size: int = 64
    num_layers: int = 1
    cell: str = "lstm"
    bidirectional: bool = True
    pooling: str = "mean"
    patch_size: int | Literal["auto"] = "auto"
    dropout: float = 0.0
    feed_latent: bool = True
    reconstruction_loss: str | nn.Module = "mse"
    beta: float = 1.0
    kl_warmup: float = 0.3
    max_lag: int | float = 0
    local_patterns: float = 2.0
    scaling: str | None = "series"
    max_epochs: int | Literal["auto"] = "auto"
    batch_size: int = 64
    optimizer: str = "adam"
    learning_rate: float = 5e-3
    lr_schedule: str = "cosine"
    max_grad_norm: float | None = 5.0
    early_stopping: bool | int = False
    on_invalid: str = "raise"
    device: str = "auto"
    precision: str = "float32"
    random_state: int | np.random.RandomState | None = None
    verbose: int = 0
    callbacks: list[Callback] | None = None

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
        check_choice("on_invalid", self.on_invalid, ("raise", "keep"))
        panel = as_panel(X)
        rows = self._usable_rows(panel)
        _check_enough(panel, rows)
        seed = seed_of(self.random_state)
        network_config = self._network_config(panel, rows)
        training_config = self._training_config(len(rows))
        self._check_own_options(len(rows))
        callbacks = check_callbacks(self.callbacks) + ([ProgressBar()] if self.verbose else [])

        self.scaler_ = Scaler(self.scaling).fit(panel)
        self.network_ = build_network(network_config, seed).to(resolve_device(self.device))
        trainer = Trainer(self.network_, training_config, pointwise_loss(self.reconstruction_loss), callbacks, seed)
        patterns = self._patterns(panel, rows, seed)
        self.history_ = trainer.fit(TrainingData(panel, rows, self.scaler_, patterns))
        self.network_.eval()

        self.ids_ = panel.ids
        self.n_steps_ = int(np.median(panel.lengths[rows]))
        self._describe_training_series(panel, rows, patterns)
        self.embedding_ = self._embed(panel, rows, patterns)
        self.active_units_ = active_units(torch.from_numpy(self.embedding_[rows]))
        self._warn_of_collapse()
        self._fit_latent(self.embedding_, rows, seed)
        return self

    def _fit_latent(self, Z: npt.NDArray[np.float32], rows: Rows, seed: int) -> None:
        """Do what the estimator is for with the latent vectors (n_series, latent); valid ones at ``rows``."""

    def _check_own_options(self, n_series: int) -> None:
        """Raise before training what would otherwise be found after it."""

    def _usable_rows(self, panel: Panel) -> Rows:
        invalid = invalid_series(panel)
        if invalid.any() and self.on_invalid == "raise":
            raise InvalidDataError(
                f"Found {invalid.sum()} of {len(panel)} series without any observed value (all NaN), ids "
                f"{name_some(panel.ids[invalid])}. Remove them, or pass on_invalid='keep' to keep their rows "
                f"without a result."
            )
        return np.flatnonzero(~invalid)

    def _network_config(self, panel: Panel, rows: Rows) -> NetworkConfig:
        lengths = panel.lengths[rows]
        median, longest = int(np.median(lengths)), int(lengths.max())
        patch_size: Any = self.patch_size
        if patch_size == "auto":
            patch_size = max(math.ceil(median / _RNN_STEPS), math.ceil(longest / _MAX_RNN_STEPS))
        check_int("patch_size", patch_size, low=1)
        return NetworkConfig(
            n_channels=panel.n_channels,
            n_steps=math.ceil(longest / patch_size),
            patch_size=patch_size,
            # Complete series in single steps leave nothing to mask: this is then the textbook network.
            mask_input=bool(patch_size > 1 or panel.missing_share() > 0),
            latent_size=self.latent_size,
            hidden_size=self.hidden_size,
            num_layers=self.num_layers,
            cell=self.cell,
            bidirectional=self.bidirectional,
            pooling=self.pooling,
            dropout=self.dropout,
            feed_latent=self.feed_latent,
            max_lag=self._max_lag_steps(median),
            n_patterns=_PATTERN_COMPONENTS if check_real("local_patterns", self.local_patterns, low=0) else 0,
            pattern_dilations=dilations_for(median) if self.local_patterns else (),
        )

    def _max_lag_steps(self, median_length: int) -> int:
        if isinstance(self.max_lag, float):
            return math.ceil(check_real("max_lag", self.max_lag, low=0, high=0.5) * median_length)
        return check_int("max_lag", self.max_lag, low=0)

    def _training_config(self, n_series: int) -> TrainingConfig:
        check_int("batch_size", self.batch_size, low=1)
        max_epochs: Any = self.max_epochs
        if max_epochs == "auto":
            max_epochs = math.ceil(_TRAINING_STEPS / math.ceil(n_series / self.batch_size))
        patience = 10 if self.early_stopping is True else self.early_stopping
        if not isinstance(self.reconstruction_loss, nn.Module):
            check_choice("reconstruction_loss", self.reconstruction_loss, ("mse", "smooth_l1"))
        return TrainingConfig(
            max_epochs=max_epochs,
            batch_size=self.batch_size,
            optimizer=self.optimizer,
            learning_rate=self.learning_rate,
            lr_schedule=self.lr_schedule,
            max_grad_norm=self.max_grad_norm,
            beta=self.beta,
            kl_warmup=self.kl_warmup,
            pattern_weight=self.local_patterns,
            patience=None if patience is False else patience,
            precision=self.precision,
        )

    def _patterns(self, panel: Panel, rows: Rows, seed: int) -> Tensor | None:
        """Fit the pattern statistics to a sample; return those of every series, (n_series, n_patterns)."""
        n_patterns = self.network_.config.n_patterns
        if not n_patterns:
            return None
        device = next(self.network_.parameters()).device
        sampled = _sample(panel, rows)
        parts = inference_rows(panel.lengths, sampled, _INFERENCE_BATCH)
        batches = [collate(panel, part, self.scaler_, torch.device("cpu")) for part in parts]
        statistics = self.network_.statistics.cpu()
        of_sample = statistics.fit([(b.values, b.mask, b.lengths) for b in batches], torch_generator(seed))
        statistics.to(device)
        patterns = torch.zeros(len(panel), n_patterns)
        patterns[torch.from_numpy(np.concatenate(parts))] = of_sample
        rest = np.setdiff1d(rows, sampled, assume_unique=True)
        for batch, found in self._visit(panel, rest, lambda b: statistics(b.values, b.mask, b.lengths)):
            patterns[torch.from_numpy(batch.rows)] = found.cpu()
        return patterns

    def _describe_training_series(self, panel: Panel, rows: Rows, patterns: Tensor | None) -> None:
        """Learn from a sample how far reconstructions are off, and the usual level and spread."""
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

    def _warn_of_collapse(self) -> None:
        if self.active_units_ == 0:
            warnings.warn(
                f"Posterior collapse: none of the {self.latent_size} latent dimensions differs between the "
                f"series (KL {self.history_[-1]['kl']:.3g} nats), so neither will their clusters. Lower beta "
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

    def _open(self, X: Any) -> tuple[Panel, Rows]:
        """Check X against the fitted model; return its panel and the rows that can be used."""
        self._check_fitted()
        panel = as_panel(X)
        rows = self._usable_rows(panel)
        expected = self.network_.config.n_channels
        if panel.n_channels != expected:
            raise InvalidDataError(f"The model was fitted to {expected} channel(s) a series; found {panel.n_channels}.")
        return panel, rows

    def _visit(
        self, panel: Panel, rows: Rows, compute: Callable[[Batch], Result], patterns: Tensor | None = None
    ) -> Iterator[tuple[Batch, Result]]:
        """Yield ``compute(batch)`` for the series at ``rows``, in batches of similar length."""
        device = next(self.network_.parameters()).device
        for part in inference_rows(panel.lengths, rows, _INFERENCE_BATCH):
            batch = collate(panel, part, self.scaler_, device, patterns)
            # Entered for each batch: a mode that is on while a generator waits is on for its caller too.
            with torch.inference_mode(), autocast(device, self.precision):
                result = compute(batch)
            yield batch, result

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
            "options": {name: _plain(value) for name, value in self.get_params(deep=False).items()},
            "network": self.network_.config.to_dict(),
            "scaler": self.scaler_.to_dict(),
            "history": self.history_,
            "noise_variance": self.noise_variance_,
            "n_steps": self.n_steps_,
            "active_units": self.active_units_,
            "ids": self.ids_.tolist(),
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
        self.network_ = build_network(NetworkConfig.from_dict(config["network"]), seed=0)
        prefix = "network."
        weights = {n.removeprefix(prefix): torch.from_numpy(a) for n, a in arrays.items() if n.startswith(prefix)}
        self.network_.load_state_dict(weights)
        self.network_.to(_device_here(self.device)).eval()
        self.history_ = config["history"]
        self.noise_variance_ = config["noise_variance"]
        self.n_steps_ = config["n_steps"]
        self.active_units_ = config["active_units"]
        self.ids_ = np.asarray(config["ids"])
        self.embedding_ = arrays["embedding"]
        self.typical_level_ = arrays["typical_level"]
        self.typical_spread_ = arrays["typical_spread"]
        self._restore(config, arrays)
        return self

    def _state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return what the estimator itself has learned, as JSON values and arrays."""
        return {}, {}

    def _restore(self, config: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> None:
        """Take back what `_state` gave."""


def _check_enough(panel: Panel, rows: Rows) -> None:
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


def _device_here(device: str) -> torch.device:
    """Return the device that a saved model asks for, or the CPU where there is no such device."""
    try:
        return resolve_device(device)
    except InvalidParameterError:
        return torch.device("cpu")


def _plain(value: Any) -> Any:
    """Turn an option into JSON; an object that is not plain data is saved by its name alone."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, np.random.RandomState)):
        return None  # callbacks and generators belong to the run, not to the model
    return f"{type(value).__module__}.{type(value).__qualname__}"
