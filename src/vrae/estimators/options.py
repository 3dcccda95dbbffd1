"""The options of `vrae.VRAE`, and the configurations that they give for some series."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import nn

from vrae.config import NetworkConfig, TrainingConfig, check_choice, check_int, check_real
from vrae.data.batching import Indices
from vrae.data.panel import Panel
from vrae.data.timing import Timing
from vrae.exceptions import InvalidParameterError
from vrae.nn.comovement import n_channel_pairs
from vrae.nn.model import VRAENetwork
from vrae.nn.patterns import dilations_for, thresholds_for
from vrae.runtime import SafeInForks
from vrae.train.callbacks import Callback

__all__ = ["ARCHITECTURES", "VRAEOptions"]

# patch_size="auto": about this many recurrent steps for a series of median length ...
_RNN_STEPS = 10
# ... and never more than this for the longest one.
_MAX_RNN_STEPS = 2048
# max_epochs="auto": about this many training steps, and at least one epoch ...
_TRAINING_STEPS = 200
# ... or up to this many times as many with early stopping.
_EARLY_STOPPING_FACTOR = 3
# Components of the pattern statistics that are kept.
_PATTERN_COMPONENTS = 32
# Latent dimensions that keep neighbours together: half of all, and at most this many.
_NEIGHBOUR_SIZE = 8
# Numbers of a network: 4 GiB, and training keeps four times as many.
_MOST_WEIGHTS = 1 << 30
# Longer gradients are clipped to this norm.
_MAX_GRAD_NORM = 5.0


@dataclass(frozen=True)
class Architecture:
    """What the option ``architecture`` fixes."""

    bidirectional: bool = True  # the encoder reads in both directions
    pooling: str = "mean"  # summary of the encoder's hidden states, or "last"
    feed_latent: bool = True  # the decoder reads the latent vector at every step, not only at first
    linear_path: bool = False  # principal axes carry what they can, and the network the rest
    kl_warmup: float = 0.3  # fraction of training over which the weight of the KL rises to beta
    lr_schedule: str = "cosine"  # rises briefly, then falls to almost zero; or "constant"


ARCHITECTURES = {
    "default": Architecture(),
    "classic": Architecture(
        bidirectional=False, pooling="last", feed_latent=False, kl_warmup=0.0, lr_schedule="constant"
    ),
    "linear": Architecture(linear_path=True, kl_warmup=0.0),
}


@dataclass(kw_only=True, eq=False, repr=False)
class VRAEOptions(SafeInForks, BaseEstimator):  # type: ignore[misc]
    """The constructor of `vrae.VRAE`, which documents the options."""

    latent_size: int | Literal["auto"] = 16
    hidden_size: int = 64
    num_layers: int = 1
    cell: str = "lstm"
    architecture: str = "default"
    patch_size: int | Literal["auto"] = "auto"
    dropout: float = 0.0
    max_lag: int | float = 0
    pattern_weight: float = 2.0
    level_weight: float = 0.0
    timing: str = "calendar"
    scaling: str | None = "series"
    reconstruction_loss: str | nn.Module = "mse"
    beta: float = 1.0
    max_epochs: int | Literal["auto"] = "auto"
    batch_size: int = 64
    optimizer: str = "adam"
    learning_rate: float = 2e-2
    early_stopping: bool | int = False
    on_invalid: str = "raise"
    device: str = "auto"
    precision: str = "float32"
    random_state: int | np.random.RandomState | None = None
    verbose: int = 0
    callbacks: list[Callback] | None = None

    def network_config(
        self, panel: Panel, indices: Indices, latent_size: Any, timing: Timing | None = None
    ) -> NetworkConfig:
        """Return the configuration of a network for the series at ``indices``."""
        lengths = panel.lengths[indices]
        median, longest = int(np.median(lengths)), int(lengths.max())
        has_patterns = check_real("pattern_weight", self.pattern_weight, low=0) > 0
        dilations = dilations_for(median) if has_patterns else ()
        patch_size: Any = self.patch_size
        if patch_size == "auto":
            patch_size = max(math.ceil(median / _RNN_STEPS), math.ceil(longest / _MAX_RNN_STEPS))
        check_int("patch_size", patch_size, low=1, auto=True)
        check_int("latent_size", latent_size, low=1, auto=True)
        architecture = self._architecture()
        keeps_neighbours = has_patterns and latent_size > 1 and not architecture.linear_path
        config = NetworkConfig(
            n_channels=panel.n_channels,
            n_steps=math.ceil(longest / patch_size),
            patch_size=patch_size,
            # Complete series in single steps have nothing to mask: the textbook network.
            mask_input=bool(patch_size > 1 or panel.missing_share() > 0),
            latent_size=latent_size,
            hidden_size=self.hidden_size,
            num_layers=self.num_layers,
            cell=self.cell,
            bidirectional=architecture.bidirectional,
            pooling=architecture.pooling,
            dropout=self.dropout,
            feed_latent=architecture.feed_latent,
            max_lag=self._max_lag_steps(median),
            n_patterns=_PATTERN_COMPONENTS if has_patterns else 0,
            pattern_dilations=dilations,
            pattern_thresholds=thresholds_for(len(dilations)) if dilations else 0,
            n_channel_pairs=n_channel_pairs(panel.n_channels) if has_patterns else 0,
            level_weight=self._checked_level_weight(),
            scale_differences=has_patterns,
            neighbour_size=min(_NEIGHBOUR_SIZE, (latent_size + 1) // 2) if keeps_neighbours else 0,
            linear_path=architecture.linear_path,
            n_timing=0 if timing is None or not has_patterns else timing.n_bins * panel.n_channels,
        )
        _check_size(config)
        return config

    def timing_of(self, panel: Panel) -> Timing | None:
        """Return what to look at in the time stamps of series; None if time does not matter."""
        check_choice("timing", self.timing, ("calendar", "free"))
        calendar = panel.calendar
        if self.timing == "free" or self.max_lag or not self.pattern_weight or calendar is None or panel.times is None:
            return None
        if not calendar.aligned or not isinstance(calendar.freq, str) or panel.times.max() == panel.times.min():
            return None
        return Timing.of(calendar, panel.times)

    def training_config(self, n_series: int) -> TrainingConfig:
        """Return the configuration of training on this number of series."""
        check_int("batch_size", self.batch_size, low=1)
        max_epochs: Any = self.max_epochs
        if max_epochs == "auto":
            steps = _TRAINING_STEPS * (_EARLY_STOPPING_FACTOR if self.early_stopping else 1)
            max_epochs = math.ceil(steps / math.ceil(n_series / self.batch_size))
        else:
            check_int("max_epochs", max_epochs, low=1, auto=True)
        patience = 10 if self.early_stopping is True else self.early_stopping
        if not isinstance(self.reconstruction_loss, nn.Module):
            check_choice("reconstruction_loss", self.reconstruction_loss, ("mse", "smooth_l1"))
        architecture = self._architecture()
        return TrainingConfig(
            max_epochs=max_epochs,
            batch_size=self.batch_size,
            optimizer=self.optimizer,
            learning_rate=self.learning_rate,
            lr_schedule=architecture.lr_schedule,
            max_grad_norm=_MAX_GRAD_NORM,
            beta=self.beta,
            kl_warmup=architecture.kl_warmup,
            pattern_weight=self.pattern_weight,
            patience=None if patience is False else patience,
            precision=self.precision,
        )

    def _architecture(self) -> Architecture:
        found = ARCHITECTURES[check_choice("architecture", self.architecture, list(ARCHITECTURES))]
        if found.linear_path and self.max_lag:
            raise InvalidParameterError(
                f"architecture='linear' does not support max_lag={self.max_lag!r}: principal axes depend on the "
                f"position of each step. Set max_lag=0, or choose another architecture."
            )
        return found

    def _checked_level_weight(self) -> float:
        weight = check_real("level_weight", self.level_weight, low=0)
        if weight and not self.pattern_weight:
            raise InvalidParameterError(
                f"level_weight={weight:g} needs pattern_weight above 0: level and spread are part of the pattern "
                f"statistics."
            )
        if weight and self.scaling not in ("series", "robust"):
            raise InvalidParameterError(
                f"level_weight={weight:g} needs scaling='series' or 'robust'; with scaling={self.scaling!r} the values "
                f"contain level and spread already."
            )
        return weight

    def _max_lag_steps(self, median_length: int) -> int:
        if isinstance(self.max_lag, float):
            return math.ceil(check_real("max_lag", self.max_lag, low=0, high=0.5) * median_length)
        return check_int("max_lag", self.max_lag, low=0)


def _check_size(config: NetworkConfig) -> None:
    """Raise before any memory is taken if a network would be larger than anybody can train."""
    with torch.device("meta"):
        network = VRAENetwork(config)
    count = sum(weights.numel() for weights in network.state_dict().values())
    if count > _MOST_WEIGHTS:
        raise InvalidParameterError(
            f"These options make a network of {count:,} numbers, and more than {_MOST_WEIGHTS:,} do not fit into "
            f"memory. Lower hidden_size={config.hidden_size}, num_layers={config.num_layers}, "
            f"latent_size={config.latent_size} or patch_size={config.patch_size}."
        )
