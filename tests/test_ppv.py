"""Proportions of positive values: the compiled loop, torch and a count by hand give the same."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from vrae.nn.ppv import STEEPNESS, _in_torch, proportions

TAPS, REACH = 9, 4


def kernels_of(n_channels: int, rng: np.random.Generator) -> np.ndarray:
    """Return a few kernels, each on some channels and of either sign: (kernel, channel, tap)."""
    kernels = np.zeros((20, n_channels, TAPS), np.float32)
    triples = list(itertools.combinations(range(TAPS), 3))
    for kernel in kernels:
        taps = np.full(TAPS, -1.0)
        taps[list(triples[rng.integers(len(triples))])] = 2.0
        chosen = rng.permutation(n_channels)[: rng.integers(1, n_channels + 1)]
        kernel[chosen] = rng.choice([-1, 1], (len(chosen), 1)) * taps
    return kernels


@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("circular", [False, True])
def test_compiled_loop_torch_and_numpy_agree(n_channels, circular):
    rng = np.random.default_rng(0)
    steps, dilations = np.array([30, 1, 17, 29, 2]), (1, 4)
    values = rng.standard_normal((5, n_channels, 30)).astype(np.float32)
    values[np.broadcast_to((np.arange(30) >= steps[:, None])[:, None], values.shape)] = 0
    kernels = np.stack([kernels_of(n_channels, rng) for _ in dilations])
    thresholds = rng.standard_normal((*kernels.shape[:2], 2)).astype(np.float32)
    x, n, w, least = (torch.from_numpy(a) for a in (values, steps, kernels, thresholds))
    found = proportions(x, n, w, dilations, least, circular)
    by_torch = _in_torch(x, n, w, dilations, least, circular)
    by_hand = np.zeros((5, 2, 2, kernels.shape[1]))
    for row, place, threshold, kernel in np.ndindex(by_hand.shape):
        length = steps[row]
        for step in range(length):
            at = step + dilations[place] * np.arange(-REACH, REACH + 1)  # steps under the taps
            window = values[row][:, at % length] * (circular | ((at >= 0) & (at < length)))  # (channel, tap)
            above = (window * kernels[place, kernel]).sum() - thresholds[place, kernel, threshold]
            by_hand[row, place, threshold, kernel] += np.clip(STEEPNESS * above / 6 + 0.5, 0, 1) / length
    np.testing.assert_allclose(found, by_hand.reshape(5, -1), atol=2e-5)
    np.testing.assert_allclose(by_torch, by_hand.reshape(5, -1), atol=2e-5)


def test_proportions_do_not_depend_on_the_other_series_of_a_batch():
    rng = np.random.default_rng(1)
    x = torch.from_numpy(rng.standard_normal((6, 1, 40)).astype(np.float32))
    n, w = torch.tensor([40, 3, 40, 17, 33, 40]), torch.from_numpy(kernels_of(1, rng)[None])
    thresholds = torch.zeros(1, w.shape[1], 1)
    together = proportions(x, n, w, (1,), thresholds, False)
    alone = torch.cat([proportions(x[i : i + 1], n[i : i + 1], w, (1,), thresholds, False) for i in range(6)])
    assert torch.equal(together, alone)


def test_fours_hold_every_kernel_once():
    from vrae.nn.ppv_loop import _HEAVY, _ORDER, _PAIRS, _THIRDS

    assert sorted(_ORDER.ravel()) == list(range(84))
    for pair, thirds, order in zip(_PAIRS, _THIRDS, _ORDER, strict=True):
        assert [sorted([*pair, third]) for third in thirds] == _HEAVY[order].tolist()


@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.parametrize("circular", [False, True])
def test_all_84_kernels_of_long_series(n_channels, circular):
    """Longer than the tile that passes through all kernels together, with two thresholds."""
    rng = np.random.default_rng(2)
    taps = np.full((84, TAPS), -1.0, np.float32)
    for kernel, heavy in enumerate(itertools.combinations(range(TAPS), 3)):
        taps[kernel, list(heavy)] = 2
    kernels = np.repeat(taps[None, :, None], n_channels, axis=2)
    steps, dilations = torch.tensor([4097, 8192, 9000, 5]), (1, 700)
    values = rng.standard_normal((4, n_channels, 9000)).astype(np.float32)
    values[np.broadcast_to((np.arange(9000) >= steps.numpy()[:, None])[:, None], values.shape)] = 0
    w = torch.from_numpy(np.concatenate([kernels, kernels]).reshape(2, 84, n_channels, TAPS))
    thresholds = torch.from_numpy(rng.standard_normal((2, 84, 2)).astype(np.float32))
    x = torch.from_numpy(values)
    found = proportions(x, steps, w, dilations, thresholds, circular)
    by_torch = _in_torch(x, steps, w, dilations, thresholds, circular)
    np.testing.assert_allclose(found, by_torch, atol=2e-5)
