"""Configuration of a network and of its training: frozen dataclasses that convert to JSON.

All values are checked here. A message names the option, what was found and what is allowed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from numbers import Integral, Real
from typing import Any, Self

from vrae.exceptions import InvalidParameterError, did_you_mean, shortened

__all__ = [
    "LARGEST",
    "LARGEST_WEIGHT",
    "NetworkConfig",
    "TrainingConfig",
    "check_choice",
    "check_flag",
    "check_int",
    "check_real",
]


# Largest values of options. Beyond them, no memory and no patience is enough.
_MOST_STEPS = 1 << 31
LARGEST = {
    "n_channels": 1 << 20,
    "n_steps": _MOST_STEPS,
    "patch_size": 1 << 20,
    "latent_size": 1 << 16,
    "hidden_size": 1 << 16,
    "num_layers": 64,
    "max_lag": _MOST_STEPS,
    "max_epochs": 1_000_000,
    "batch_size": _MOST_STEPS,
}
# Of a term of the loss, and of the learning rate. Much larger ones leave float32.
LARGEST_WEIGHT = 1e9


class _JSONConfig:
    """Conversion to and from a dictionary.

    Unknown and missing keys are errors, except keys marked ``later``, which older models lack.
    """

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)  # type: ignore[call-overload]

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Self:
        known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
        needed = {name for name, f in known.items() if not f.metadata.get("later")}
        if not isinstance(state, dict) or not needed <= set(state) <= set(known):
            found = sorted(state) if isinstance(state, dict) else state
            raise InvalidParameterError(
                f"{cls.__name__}: expected the keys {sorted(known)}; found {shortened(found, 240)}."
            )
        return cls(**state)


# Learning rate of continued training, relative to that of the first fit.
_CONTINUED_RATE = 0.3


@dataclass(frozen=True, kw_only=True)
class NetworkConfig(_JSONConfig):
    """Everything that determines the shape of a network. `vrae.VRAE` explains the options."""

    n_channels: int
    n_steps: int  # length of the learned decoder inputs, in folded steps
    patch_size: int = 1
    mask_input: bool = False  # the encoder also reads the mask
    latent_size: int = 16
    hidden_size: int = 64
    num_layers: int = 1
    cell: str = "lstm"
    bidirectional: bool = False
    pooling: str = "last"
    dropout: float = 0.0
    feed_latent: bool = False  # the decoder reads z at every step
    max_lag: int = 0  # steps; 0 = off
    n_patterns: int = 0  # components of the pattern statistics; 0 = no patterns and no second head
    pattern_dilations: tuple[int, ...] = ()
    n_channel_pairs: int = 0  # channel pairs whose cross-correlations join the pattern statistics
    level_weight: float = 0.0  # weight of level and spread among the statistics
    linear_path: bool = field(default=False, metadata={"later": True})  # principal axes next to the network
    pattern_thresholds: int = field(default=0, metadata={"later": True})  # per kernel; 0: older models
    scale_differences: bool = False  # pattern statistics see differences of variance 1
    neighbour_size: int = 0  # latent dimensions that keep neighbours together, the first ones
    n_timing: int = 0  # values among the statistics that say when a series is high

    def __post_init__(self) -> None:
        for name in ("n_channels", "n_steps", "patch_size", "latent_size", "hidden_size", "num_layers"):
            object.__setattr__(self, name, check_int(name, getattr(self, name), low=1, high=LARGEST[name]))
        for name in ("max_lag", "n_patterns", "n_channel_pairs", "pattern_thresholds", "neighbour_size", "n_timing"):
            object.__setattr__(self, name, check_int(name, getattr(self, name), low=0, high=_MOST_STEPS))
        for name in ("mask_input", "bidirectional", "feed_latent", "linear_path", "scale_differences"):
            check_flag(name, getattr(self, name))
        if not isinstance(self.pattern_dilations, (list, tuple)):
            raise InvalidParameterError(f"pattern_dilations must be a list; found {shortened(self.pattern_dilations)}.")
        longest = self.n_steps * self.patch_size  # a kernel that reaches further sees nothing
        dilations = [check_int("pattern_dilations", d, low=1, high=longest) for d in self.pattern_dilations]
        object.__setattr__(self, "pattern_dilations", tuple(dilations))  # JSON knows lists only
        check_choice("cell", self.cell, ("lstm", "gru"))
        check_choice("pooling", self.pooling, ("mean", "last"))
        check_real("level_weight", self.level_weight, low=0, high=LARGEST_WEIGHT)
        object.__setattr__(self, "dropout", check_real("dropout", self.dropout, low=0, below=1))
        if self.neighbour_size >= self.latent_size or (self.neighbour_size and not self.n_patterns):
            raise InvalidParameterError(
                f"neighbour_size={self.neighbour_size} must be below latent_size={self.latent_size}, and needs pattern "
                f"statistics; found n_patterns={self.n_patterns}."
            )


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(_JSONConfig):
    """How a network is trained. `vrae.VRAE` explains the options."""

    max_epochs: int
    batch_size: int = 32
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    lr_schedule: str = "constant"
    max_grad_norm: float | None = 5.0
    beta: float = 1.0
    kl_warmup: float = 0.0  # fraction of the steps over which the KL weight rises from 0 to beta
    pattern_weight: float = 0.0
    patience: int | None = None  # epochs without improvement before training stops
    precision: str = "float32"

    def __post_init__(self) -> None:
        for name in ("max_epochs", "batch_size"):
            object.__setattr__(self, name, check_int(name, getattr(self, name), low=1, high=LARGEST[name]))
        check_choice("optimizer", self.optimizer, ("adam", "sgd"))
        check_real("learning_rate", self.learning_rate, above=0, high=LARGEST_WEIGHT)
        check_choice("lr_schedule", self.lr_schedule, ("constant", "cosine"))
        if self.max_grad_norm is not None:
            check_real("max_grad_norm", self.max_grad_norm, above=0)
        check_real("beta", self.beta, low=0, high=LARGEST_WEIGHT)
        check_real("kl_warmup", self.kl_warmup, low=0, high=1)
        check_real("pattern_weight", self.pattern_weight, low=0, high=LARGEST_WEIGHT)
        if self.patience is not None:
            check_int("early_stopping", self.patience, low=1, high=LARGEST["max_epochs"])
        check_choice("precision", self.precision, ("float32", "bfloat16", "float16"))

    def continued(self) -> TrainingConfig:
        """Return the configuration of continued training: a lower learning rate, no warm-up."""
        return replace(self, learning_rate=self.learning_rate * _CONTINUED_RATE, kl_warmup=0.0)


def check_int(name: str, value: Any, *, low: int, high: int | None = None, auto: bool = False) -> int:
    """Return ``value`` as an int, or raise if it is not a whole number of at least ``low``.

    ``high`` is the largest one that makes sense. ``auto`` makes the message mention "auto" as an
    alternative.
    """
    ok = isinstance(value, Integral) and not isinstance(value, bool)
    if not ok or value < low:
        other = " or 'auto'" if auto else ""
        raise InvalidParameterError(
            f"{name} must be a whole number of at least {low}{other}; found {shortened(value)}."
        )
    if high is not None and value > high:
        raise InvalidParameterError(f"{name} must be at most {high:,}; found {shortened(value)}.")
    return int(value)


def check_real(
    name: str,
    value: Any,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> float:
    """Return ``value`` as a float, or raise if it is not a finite number within the bounds."""
    bounds = {"at least": low, "at most": high, "above": above, "below": below}
    holds = {"at least": float.__ge__, "at most": float.__le__, "above": float.__gt__, "below": float.__lt__}
    ok = not isinstance(value, bool) and isinstance(value, Real) and _is_finite(value)
    if not ok or not all(holds[w](float(value), float(b)) for w, b in bounds.items() if b is not None):
        finite = {word: bound for word, bound in bounds.items() if bound is not None and math.isfinite(bound)}
        words = " and ".join(f"{word} {bound:g}" for word, bound in finite.items())
        raise InvalidParameterError(f"{name} must be a finite number{words and f' {words}'}; found {shortened(value)}.")
    return float(value)


def _is_finite(value: Real) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond the largest float
        return False


def check_choice(name: str, value: Any, choices: Sequence[str]) -> str:
    """Return ``value``, or raise if it is not one of ``choices``."""
    if not isinstance(value, str) or value not in choices:
        near = did_you_mean(value if isinstance(value, str) else "", choices)
        raise InvalidParameterError(f"{name}: unknown value {shortened(value)}.{near}")
    return value


def check_flag(name: str, value: Any) -> bool:
    """Return ``value``, or raise if it is neither True nor False."""
    if not isinstance(value, bool):
        raise InvalidParameterError(f"{name} must be True or False; found {shortened(value)}.")
    return value
