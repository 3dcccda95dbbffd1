"""The evidence lower bound (ELBO), written once.

The loss of a series sums over its observed values and over the latent dimensions:
``reconstruction / (2 sigma^2) + beta * w(step) * KL``. The loss of a batch is the mean over its
series. In training ``2 sigma^2 = 1``, so the reconstruction term is the sum of squared errors and
``beta`` alone sets the balance.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vrae.exceptions import InvalidParameterError
from vrae.nn.model import Decoded

__all__ = [
    "LossTerms",
    "active_units",
    "evidence_lower_bound",
    "kl_divergence",
    "log_likelihood",
    "pointwise_loss",
    "reconstruction_loss",
    "training_loss",
]

Pointwise = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class LossTerms:
    """Means over a batch: the loss that is minimised and its unweighted parts."""

    loss: Tensor
    reconstruction: Tensor
    kl: Tensor
    patterns: Tensor


def pointwise_loss(name: str | nn.Module) -> Pointwise:
    """Return a function of (prediction, target) that gives one error per value.

    The ``reduction`` of a torch loss module is ignored.
    """
    if isinstance(name, nn.Module):
        return _Unreduced(name)
    return {"mse": nn.MSELoss(reduction="none"), "smooth_l1": nn.SmoothL1Loss(reduction="none")}[name]


class _Unreduced:
    """Call a loss module without reduction, since only observed values may be summed."""

    def __init__(self, module: nn.Module) -> None:
        self.module = copy.copy(module)  # the user's module keeps its reduction
        self.module.reduction = "none"  # type: ignore[assignment]

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        try:
            values = self.module(prediction, target)
        except TypeError as error:
            raise InvalidParameterError(
                f"reconstruction_loss: {type(self.module).__name__} cannot be called with (prediction, target) alone "
                f"({error})."
            ) from None
        if values.shape != target.shape:
            raise InvalidParameterError(
                f"reconstruction_loss: {type(self.module).__name__} must return one error per value with "
                f"reduction='none', shape {tuple(target.shape)}; found shape {tuple(values.shape)}."
            )
        return values


def reconstruction_loss(decoded: Tensor, x: Tensor, mask: Tensor, error: Pointwise) -> Tensor:
    """Sum the error over observed values: three (batch, time, channel) -> (batch,)."""
    # Zeroed before the loss, not after: a masked step then has no gradient instead of 0 * inf.
    observed = mask.bool()
    values = error(decoded.masked_fill(~observed, 0.0), x.masked_fill(~observed, 0.0))
    return (values * mask).sum(dim=(1, 2))


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, 1)), two (batch, latent) -> (batch,), nats.

    Kingma & Welling 2014, appendix B.
    """
    return 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(dim=1)


def training_loss(
    decoded: Decoded,
    x: Tensor,
    mask: Tensor,
    error: Pointwise,
    kl_weight: float,
    patterns: Tensor | None = None,
    pattern_weight: float = 0.0,
) -> LossTerms:
    """Put the terms together, for series (batch, time, channel).

    ``kl_weight`` is ``beta * w(step)``. ``patterns`` (batch, n_patterns) is the target of the
    pattern head; ``pattern_weight`` weighs its mean squared error relative to that of the series.
    """
    reconstruction = reconstruction_loss(decoded.x, x, mask, error)  # (batch,)
    kl = kl_divergence(decoded.mean, decoded.log_variance)  # (batch,)
    missed = torch.zeros_like(kl)
    if patterns is not None and decoded.patterns is not None:
        # Weighted by the number of observed values, so that the balance does not depend on the
        # length.
        missed = mask.sum(dim=(1, 2)) * ((decoded.patterns - patterns) ** 2).mean(dim=1)
    loss = reconstruction + kl_weight * kl + pattern_weight * missed
    return LossTerms(loss.mean(), reconstruction.mean(), kl.mean(), missed.mean())


def evidence_lower_bound(decoded: Decoded, x: Tensor, mask: Tensor, noise_variance: float) -> Tensor:
    """Return log p(x | z = mean) - KL of each series (batch,), in nats.

    See `log_likelihood` and `kl_divergence`.
    """
    likelihood = log_likelihood(decoded.x, x, mask, noise_variance)
    return likelihood - kl_divergence(decoded.mean, decoded.log_variance)


def log_likelihood(reconstruction: Tensor, x: Tensor, mask: Tensor, noise_variance: float) -> Tensor:
    """Return the log-likelihood of the observed values of each series (batch,), in nats.

    The observation model is a normal distribution around the reconstruction with variance
    ``noise_variance``, whichever loss the network was trained with.
    """
    squares = reconstruction_loss(reconstruction, x, mask, nn.MSELoss(reduction="none"))
    observed = mask.sum(dim=(1, 2))
    return -0.5 * (squares / noise_variance + observed * math.log(2 * math.pi * noise_variance))


def active_units(means: Tensor, threshold: float = 0.01) -> int:
    """Count latent dimensions with Var_x E[z_d | x] > threshold (Burda et al. 2016, 5.2)."""
    if len(means) < 2:
        return 0
    return int((means.var(dim=0) > threshold).sum())
