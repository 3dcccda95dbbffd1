"""The options of every estimator, and what they come to for given series."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from sklearn.base import BaseEstimator
from torch import nn

from vrae.config import NetworkConfig, TrainingConfig, check_choice, check_flag, check_int, check_real
from vrae.data.batching import Rows
from vrae.data.panel import Panel
from vrae.exceptions import InvalidParameterError
from vrae.nn.comovement import n_channel_pairs
from vrae.nn.patterns import dilations_for, thresholds_for
from vrae.train.callbacks import Callback

__all__ = ["Options"]

# "auto": patches such that the RNN takes about this many steps over a series of median length ...
_RNN_STEPS = 10
# ... and never more than this over the longest one.
_MAX_RNN_STEPS = 2048
# "auto": training takes about this many steps, but shows every series at least once.
_TRAINING_STEPS = 100
# ... or up to so many times as many, where series held out say when to stop.
_STOPPED_LATER = 3
# Components of the pattern statistics that are kept.
_PATTERN_COMPONENTS = 32


@dataclass(kw_only=True, eq=False, repr=False)
class Options(BaseEstimator):  # type: ignore[misc]
    """Options that all estimators of vrae share.

    Parameters
    ----------
    latent_size : int or "auto", default=16
        Numbers that sum up a series. "auto": as many as tell series that were left out from noise, 32 at most; the
        curve is in ``size_curve_``, see `vrae.estimators.axes.size_curve`.
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
        Share of the recurrent layers' outputs that are dropped in training, in [0, 1); of a series the same at every
        step.
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
    level_weight : float, default=0.0
        What level and spread of a series, in proportion to others', count beside its shape: 0 compares shapes only, 1
        makes both count alike. Needs ``local_patterns``, and a ``scaling`` that takes level and spread out: "series" or
        "robust".
    linear_path : bool, default=False
        Principal axes carry what they can from the series to the latent vector and back, and the recurrent network
        what they leave; see `vrae.VRAE.for_reduction`. Not together with ``max_lag``.
    scaling : {"series", "channel", "robust"} or None, default="series"
        See `vrae.data.scaling.Scaler`.
    max_epochs : int or "auto", default="auto"
        Times that every series is shown. "auto": as many as make about 100 steps; with ``early_stopping`` up to 300.
    batch_size : int, default=64
        Series a step.
    optimizer : {"adam", "sgd"}, default="adam"
    learning_rate : float, default=2e-2
    lr_schedule : {"cosine", "constant"}, default="cosine"
        "cosine": a short rise, then a fall to nearly zero.
    max_grad_norm : float or None, default=5.0
        Longer gradients are cut to this norm.
    early_stopping : bool or int, default=False
        Hold out a tenth of the series and stop when their loss has not improved for that many epochs (True:
        10). The held-out series get their latent vectors like all others.
    on_invalid : {"raise", "drop", "keep"}, default="raise"
        A series without any observed value: raise an error that names it; leave it out with a warning, so that
        results have no row for it; or keep its row and give it NaN, and no cluster.
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
    """

    latent_size: int | Literal["auto"] = 16
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
    level_weight: float = 0.0
    linear_path: bool = False
    scaling: str | None = "series"
    max_epochs: int | Literal["auto"] = "auto"
    batch_size: int = 64
    optimizer: str = "adam"
    learning_rate: float = 2e-2
    lr_schedule: str = "cosine"
    max_grad_norm: float | None = 5.0
    early_stopping: bool | int = False
    on_invalid: str = "raise"
    device: str = "auto"
    precision: str = "float32"
    random_state: int | np.random.RandomState | None = None
    verbose: int = 0
    callbacks: list[Callback] | None = None

    def _network_config(self, panel: Panel, rows: Rows, latent_size: Any) -> NetworkConfig:
        lengths = panel.lengths[rows]
        median, longest = int(np.median(lengths)), int(lengths.max())
        dilations = dilations_for(median) if self.local_patterns else ()
        patch_size: Any = self.patch_size
        if patch_size == "auto":
            patch_size = max(math.ceil(median / _RNN_STEPS), math.ceil(longest / _MAX_RNN_STEPS))
        check_int("patch_size", patch_size, low=1, auto=True)
        return NetworkConfig(
            n_channels=panel.n_channels,
            n_steps=math.ceil(longest / patch_size),
            patch_size=patch_size,
            # Complete series in single steps leave nothing to mask: this is then the textbook network.
            mask_input=bool(patch_size > 1 or panel.missing_share() > 0),
            latent_size=check_int("latent_size", latent_size, low=1, auto=True),
            hidden_size=self.hidden_size,
            num_layers=self.num_layers,
            cell=self.cell,
            bidirectional=self.bidirectional,
            pooling=self.pooling,
            dropout=self.dropout,
            feed_latent=self.feed_latent,
            max_lag=self._max_lag_steps(median),
            n_patterns=_PATTERN_COMPONENTS if check_real("local_patterns", self.local_patterns, low=0) else 0,
            pattern_dilations=dilations,
            pattern_thresholds=thresholds_for(len(dilations)) if dilations else 0,
            n_channel_pairs=n_channel_pairs(panel.n_channels) if self.local_patterns else 0,
            level_weight=self._checked_level_weight(),
            linear_path=self._checked_linear_path(),
        )

    def _checked_level_weight(self) -> float:
        weight = check_real("level_weight", self.level_weight, low=0)
        if weight and not self.local_patterns:
            raise InvalidParameterError(
                f"level_weight={weight:g} needs local_patterns, which is 0: level and spread are learned with them."
            )
        if weight and self.scaling not in ("series", "robust"):
            raise InvalidParameterError(
                f"level_weight={weight:g} needs scaling='series' or 'robust'; with scaling={self.scaling!r} the values "
                f"hold level and spread already."
            )
        return weight

    def _checked_linear_path(self) -> bool:
        if check_flag("linear_path", self.linear_path) and self.max_lag:
            raise InvalidParameterError(
                f"linear_path=True cannot go with max_lag={self.max_lag!r}: axes know each step by its place. "
                f"Set one of them to 0."
            )
        return self.linear_path

    def _max_lag_steps(self, median_length: int) -> int:
        if isinstance(self.max_lag, float):
            return math.ceil(check_real("max_lag", self.max_lag, low=0, high=0.5) * median_length)
        return check_int("max_lag", self.max_lag, low=0)

    def _training_config(self, n_series: int) -> TrainingConfig:
        check_int("batch_size", self.batch_size, low=1)
        max_epochs: Any = self.max_epochs
        if max_epochs == "auto":
            steps = _TRAINING_STEPS * (_STOPPED_LATER if self.early_stopping else 1)
            max_epochs = math.ceil(steps / math.ceil(n_series / self.batch_size))
        else:
            check_int("max_epochs", max_epochs, low=1, auto=True)
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
