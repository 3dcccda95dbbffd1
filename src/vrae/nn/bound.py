"""The importance-weighted bound: how likely the network finds a series, judged by several latent vectors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vrae.nn.lag import shift
from vrae.nn.model import VRAENetwork

__all__ = ["Judged", "judge", "worst_stretch"]


@dataclass(frozen=True)
class Judged:
    """What several draws of the latent vector say about series.

    Attributes
    ----------
    bound : Tensor, shape (batch,)
        Importance-weighted lower bound of log p(x), nats.
    mean, variance : Tensor, shape (batch, time, channel)
        Of the decoded series over the draws, in scaled units; the noise of single values is not in the variance.
    pattern_error : Tensor, shape (batch,)
        Mean squared error of what the pattern head says; 0 without such a head.
    latent : Tensor, shape (batch, latent)
        Mean of the latent vector.
    """

    bound: Tensor
    mean: Tensor
    variance: Tensor
    pattern_error: Tensor
    latent: Tensor


def judge(
    network: VRAENetwork,
    x: Tensor,
    mask: Tensor,
    lengths: Tensor,
    patterns: Tensor | None,
    noise: Tensor,
    noise_variance: float,
) -> Judged:
    """Decode draws of the latent vectors, and weigh them by how well they explain the series.

    ``log 1/K sum_k p(x | z_k) p(z_k) / q(z_k | x)`` with z_k from q: Burda, Grosse & Salakhutdinov, "Importance
    Weighted Autoencoders", ICLR 2016, eq. 8. It rises to log p(x) with K; K = 1 is a draw of the evidence lower bound.

    Parameters
    ----------
    network : VRAENetwork
    x, mask : Tensor, shape (batch, time, channel)
    lengths : Tensor of int64, shape (batch,)
    patterns : Tensor of shape (batch, n_patterns), or None
        The series' own statistics.
    noise : Tensor, shape (K, latent)
        Standard normal; the same draws for every series, so that its result does not depend on its company.
    noise_variance : float
        Of a value around its reconstruction, in scaled units.

    Returns
    -------
    Judged
    """
    decoded = network(x, mask, lengths, patterns)
    deviation = torch.exp(0.5 * decoded.log_variance)  # (batch, latent)
    observed = mask.sum(dim=(1, 2))  # (batch,)
    constant = -0.5 * observed * math.log(2 * math.pi * noise_variance) + 0.5 * decoded.log_variance.sum(dim=1)
    total, squares, weights = torch.zeros_like(x), torch.zeros_like(x), []
    for draw in noise:  # one at a time: memory stays that of a batch
        z = decoded.mean + deviation * draw  # (batch, latent)
        series = shift(network.decode(z, x.shape[1]), decoded.lags, lengths)  # (batch, time, channel)
        departure = series - decoded.x  # small numbers: their squares lose no digits
        total, squares = total + departure, squares + departure**2
        error = ((series - x) ** 2 * mask).sum(dim=(1, 2))
        weights.append(constant - 0.5 * (error / noise_variance + (z**2).sum(dim=1) - (draw**2).sum()))
    bound = torch.logsumexp(torch.stack(weights), dim=0) - math.log(len(noise))  # (batch,)
    mean = total / len(noise)
    pattern_error = torch.zeros_like(bound)
    if patterns is not None and decoded.patterns is not None:
        pattern_error = ((decoded.patterns - patterns) ** 2).mean(dim=1)
    variance = (squares / len(noise) - mean**2).clamp(min=0)
    return Judged(bound, decoded.x + mean, variance, pattern_error, decoded.mean)


def worst_stretch(squares: Tensor, lengths: Tensor, width: int) -> Tensor:
    """Return the largest mean over ``width`` consecutive steps, or over all of a shorter series.

    Parameters
    ----------
    squares : Tensor, shape (batch, time)
        0 beyond the end of a series.
    lengths : Tensor of int64, shape (batch,)
    width : int

    Returns
    -------
    Tensor of float64, shape (batch,)
    """
    window = min(width, squares.shape[1])
    total = torch.nn.functional.pad(squares.double().cumsum(dim=1), (1, 0))  # (batch, time + 1)
    return (total[:, window:] - total[:, :-window]).amax(dim=1) / lengths.clamp(max=width)
