"""Shifts in time. Recording starts at an arbitrary point, which should not decide the cluster.

Shifts are circular within the length of each series: steps that leave at the end enter at the
start. A lag of ``l`` means that a series runs ``l`` steps behind its reference: ``x[t] =
reference[t - l]``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vrae.nn.noise import RandomSource, uniform

__all__ = ["best_lags", "largest_lags", "pair_lags", "random_lags", "shift"]


# Correlations above this are alike: identical series with a trace of noise.
_LARGEST = 0.9999


def shift(x: Tensor, lags: Tensor, lengths: Tensor) -> Tensor:
    """Delay series (batch, time, channel) by ``lags`` (batch,) steps. Padding stays in place."""
    time = torch.arange(x.shape[1], device=x.device)  # (time,)
    source = (time - lags[:, None]) % lengths[:, None]  # (batch, time)
    source = torch.where(time < lengths[:, None], source, time)
    return x.gather(1, source[:, :, None].expand_as(x))


def largest_lags(lengths: Tensor, max_lag: int) -> Tensor:
    """Return the largest lag of each series (batch,). More than half the length would be a lead."""
    return torch.clamp(lengths // 2, max=max_lag)


def random_lags(lengths: Tensor, max_lag: int, generator: RandomSource) -> Tensor:
    """Draw a lag for every series (batch,), uniform over the allowed range."""
    largest = largest_lags(lengths, max_lag)
    place = uniform(lengths.shape, generator, lengths.device)  # (batch,)
    return (place * (2 * largest + 1)).long() - largest


def best_lags(x: Tensor, mask: Tensor, reference: Tensor, lengths: Tensor, max_lag: int) -> Tensor:
    """Find the lag with the smallest squared error between each series and its reference.

    ``sum_t m[t] (x[t] - r[t-l])^2 = sum m x^2 - 2 corr(m x, r)[l] + corr(m, r^2)[l]``: two
    cross-correlations by FFT, in O(T log T) for all lags together. Only observed values count.
    Three (batch, time, channel) -> (batch,).
    """
    time = x.shape[1]
    width = 2 * time  # wide enough to avoid wrap-around in the FFT
    inside = torch.arange(time, device=x.device) < lengths[:, None]  # (batch, time)
    reference = reference.detach().masked_fill(~inside[:, :, None], 0.0)

    def spectrum(series: Tensor) -> Tensor:
        return torch.fft.rfft(series.detach().float(), n=width, dim=1)

    product = spectrum(mask) * spectrum(reference**2).conj() - 2 * spectrum(mask * x) * spectrum(reference).conj()
    linear = torch.fft.irfft(product.sum(dim=2), n=width, dim=1)  # (batch, width): error at each linear lag

    largest = largest_lags(lengths, max_lag)  # (batch,)
    lags = torch.arange(-min(max_lag, time // 2), min(max_lag, time // 2) + 1, device=x.device)  # (lag,)
    # A circular lag of l is the linear lags l and l - length together.
    ahead = lags % lengths[:, None]  # (batch, lag), 0 .. length - 1
    error = linear.gather(1, ahead) + linear.gather(1, (ahead - lengths[:, None]) % width)
    error = error.masked_fill(lags.abs() > largest[:, None], torch.inf)
    # Errors that differ by rounding only: the smallest lag wins, so a constant series is not
    # shifted.
    rounding = 1e-5 * linear.abs().amax(dim=1, keepdim=True) + 1e-12  # (batch, 1)
    error = error + rounding * ((lags != 0) + lags.abs() / width)
    return lags[error.argmin(dim=1)]


def pair_lags(x: Tensor, reference: Tensor, largest: Tensor, mask: Tensor, reference_mask: Tensor) -> Tensor:
    """Find the lag at which two series correlate most clearly, without wrap-around.

    x (batch, time, channel) and reference (batch, reference_time, channel) are 0 where not observed
    (``mask``). ``largest`` (batch,) bounds the lags (batch,); the smallest of equally good ones
    wins. The correlation r of a lag is that of the n steps which both have: two parts of one trend
    have other means. Fisher's ``atanh(r) sqrt(n)`` says how far r is from chance, so that a short
    overlap does not win by chance.
    """
    width = x.shape[1] + reference.shape[1]  # wide enough to avoid wrap-around in the FFT

    def spectrum(series: Tensor) -> Tensor:
        return torch.fft.rfft(series.double(), n=width, dim=1)

    ones, own, squares = (spectrum(part) for part in (mask, x, x**2))
    other_ones, other, other_squares = (spectrum(part).conj() for part in (reference_mask, reference, reference**2))
    products = (ones * other_ones, own * other, own * other_ones, ones * other)
    count, cross, first, second = (torch.fft.irfft(part, n=width, dim=1) for part in products)
    energy, other_energy = (
        torch.fft.irfft(part, n=width, dim=1) for part in (squares * other_ones, ones * other_squares)
    )
    n = count.clamp(min=1.0)  # (batch, width, channel)
    covariance = (cross - first * second / n).sum(dim=2)  # (batch, width)
    variance, other_variance = (
        (power - total**2 / n).sum(dim=2).clamp(min=0.0) for power, total in ((energy, first), (other_energy, second))
    )
    # A part without variance correlates with nothing. Its rounding errors must not.
    scale = torch.sqrt(variance * other_variance)
    least = 1e-6 * torch.sqrt((x**2).sum(dim=(1, 2)) * (reference**2).sum(dim=(1, 2)))[:, None] + 1e-12
    r = torch.where(scale > least, covariance / scale.clamp(min=1e-12), 0.0).clamp(-_LARGEST, _LARGEST)
    clarity = torch.atanh(r) * count.sum(dim=2).clamp(min=0.0).sqrt()
    reach = min(int(largest.max()), width // 2)
    lags = torch.arange(-reach, reach + 1, device=x.device)  # (lag,)
    found = clarity[:, lags % width].masked_fill(lags.abs() > largest[:, None], -torch.inf)
    # Values that differ by rounding only: the smallest lag wins.
    rounding = 1e-5 * clarity.abs().amax(dim=1, keepdim=True) + 1e-12  # (batch, 1)
    return lags[(found - rounding * ((lags != 0) + lags.abs() / width)).argmax(dim=1)]
