"""The shares of pattern statistics: the compiled loop, torch, and a count by hand say the same."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from vrae.nn.shares import STEEPNESS, _in_torch, shares

TAPS, REACH = 9, 4


def kernels_of(n_channels: int, rng: np.random.Generator) -> np.ndarray:
    """A few kernels, each on some of the channels and with either sign: (kernel, channel, tap)."""
    kernels = np.zeros((20, n_channels, TAPS), np.float32)
    triples = list(itertools.combinations(range(TAPS), 3))
    for kernel in kernels:
        taps = np.full(TAPS, -1.0)
        taps[list(triples[rng.integers(len(triples))])] = 2.0
        chosen = rng.permutation(n_channels)[: rng.integers(1, n_channels + 1)]
        kernel[chosen] = rng.choice([-1, 1], (len(chosen), 1)) * taps
    return kernels


@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("dilation", [1, 4])
def test_three_ways_to_count_agree(n_channels, dilation):
    rng = np.random.default_rng(0)
    room = REACH * dilation
    padded = rng.standard_normal((5, n_channels, room + 30 + room)).astype(np.float32)
    steps, kernels = np.array([30, 1, 17, 29, 2]), kernels_of(n_channels, rng)
    thresholds = rng.standard_normal((len(kernels), 2)).astype(np.float32)
    tensors = (torch.from_numpy(a) for a in (padded, steps, kernels))
    x, n, w = tensors
    found = shares(x, n, w, dilation, torch.from_numpy(thresholds))
    by_torch = _in_torch(x, n, w, dilation, torch.from_numpy(thresholds))
    by_hand = np.zeros((5, 2, len(kernels)))
    for row, threshold, kernel in np.ndindex(by_hand.shape):
        for step in range(steps[row]):
            window = padded[row, :, step : step + 2 * room + 1 : dilation]  # (channel, tap)
            above = (window * kernels[kernel]).sum() - thresholds[kernel, threshold]
            by_hand[row, threshold, kernel] += np.clip(STEEPNESS * above / 6 + 0.5, 0, 1) / steps[row]
    np.testing.assert_allclose(found, by_hand.reshape(5, -1), atol=2e-5)
    np.testing.assert_allclose(by_torch, by_hand.reshape(5, -1), atol=2e-5)


def test_a_series_has_its_own_shares_whoever_stands_beside_it():
    rng = np.random.default_rng(1)
    x = torch.from_numpy(rng.standard_normal((6, 1, 48)).astype(np.float32))
    n, w = torch.full((6,), 40), torch.from_numpy(kernels_of(1, rng))
    thresholds = torch.zeros(len(w), 1)
    together = shares(x, n, w, 1, thresholds)
    alone = torch.cat([shares(x[i : i + 1], n[:1], w, 1, thresholds) for i in range(6)])
    assert torch.equal(together, alone)
