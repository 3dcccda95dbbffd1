"""The importance-weighted bound (IWAE) of the log-likelihood of series."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vrae.nn.lag import shift
from vrae.nn.model import VRAENetwork

__all__ = ["ImportanceWeighted", "importance_weighted"]


@dataclass(frozen=True)
class ImportanceWeighted:
    """Statistics of series over several samples of their latent vectors."""

    bound: Tensor  # (batch,), lower bound of log p(x), in nats
    mean: Tensor  # (batch, time, channel), of the decoded series over the samples, in scaled units
    variance: Tensor  # likewise, without observation noise
    pattern_error: Tensor  # (batch,), mean squared error of the pattern head; 0 without one
    latent: Tensor  # (batch, latent), mean of the latent vector


def importance_weighted(
    network: VRAENetwork,
    x: Tensor,
    mask: Tensor,
    lengths: Tensor,
    patterns: Tensor | None,
    noise: Tensor,
    noise_variance: float,
) -> ImportanceWeighted:
    """Decode several samples of the latent vectors and weight them by importance.

    ``log 1/K sum_k p(x | z_k) p(z_k) / q(z_k | x)`` with z_k from q: Burda, Grosse & Salakhutdinov,
    "Importance Weighted Autoencoders", ICLR 2016, eq. 8. It rises to log p(x) with K. K = 1 is a
    sample of the evidence lower bound.

    ``noise`` (K, latent) is standard normal, and the same for every series, so that a result does
    not depend on its batch. ``noise_variance`` is that of a value around its reconstruction, in
    scaled units. See `VRAENetwork.forward` for the other arguments.
    """
    decoded = network(x, mask, lengths, patterns)
    deviation = torch.exp(0.5 * decoded.log_variance)  # (batch, latent)
    observed = mask.sum(dim=(1, 2))  # (batch,)
    constant = -0.5 * observed * math.log(2 * math.pi * noise_variance) + 0.5 * decoded.log_variance.sum(dim=1)
    total, squares, weights = torch.zeros_like(x), torch.zeros_like(x), []
    for sample in noise:  # one at a time: memory stays that of a batch
        z = decoded.mean + deviation * sample  # (batch, latent)
        series = shift(network.decode(z, x.shape[1]), decoded.lags, lengths)  # (batch, time, channel)
        departure = series - decoded.x  # small numbers, so squares keep their digits
        total, squares = total + departure, squares + departure**2
        error = ((series - x) ** 2 * mask).sum(dim=(1, 2))
        weights.append(constant - 0.5 * (error / noise_variance + (z**2).sum(dim=1) - (sample**2).sum()))
    bound = torch.logsumexp(torch.stack(weights), dim=0) - math.log(len(noise))  # (batch,)
    mean = total / len(noise)
    pattern_error = torch.zeros_like(bound)
    if patterns is not None and decoded.patterns is not None:
        pattern_error = ((decoded.patterns - patterns) ** 2).mean(dim=1)
    variance = (squares / len(noise) - mean**2).clamp(min=0)
    return ImportanceWeighted(bound, decoded.x + mean, variance, pattern_error, decoded.mean)
