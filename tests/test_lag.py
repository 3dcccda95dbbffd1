"""Shifts in time are found and undone exactly."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vrae.nn.lag import best_lags, largest_lags, random_lags, shift


def padded(series: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return series (time, channel) as one batch, padded with 99, and their lengths."""
    lengths = [len(x) for x in series]
    batch = np.full((len(series), max(lengths), series[0].shape[1]), 99.0, np.float32)
    for row, x in enumerate(series):
        batch[row, : len(x)] = x
    return torch.from_numpy(batch), torch.tensor(lengths)


def inside(x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    return (torch.arange(x.shape[1]) < lengths[:, None])[:, :, None].expand_as(x).float()


def shifted(lags: list[int], lengths: list[int], channels: int = 1, seed: int = 0):
    """Return (x, mask, reference, lengths): x is the reference, noise, ``lags`` steps later."""
    rng = np.random.default_rng(seed)
    originals = [rng.standard_normal((length, channels)) for length in lengths]
    reference, n = padded(originals)
    x, _ = padded([np.roll(o, lag, axis=0) for o, lag in zip(originals, lags, strict=True)])
    return x, inside(x, n), reference, n


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("lengths", [[40] * 5, [40, 17, 23, 8, 40]], ids=["equal lengths", "unequal lengths"])
def test_known_shifts_are_found(lengths, channels):
    lags = [0, 5, -7, 3, -16]
    x, mask, reference, n = shifted(lags, lengths, channels)
    assert best_lags(x, mask, reference, n, max_lag=20).tolist() == lags


def test_known_shifts_are_found_despite_missing_values():
    lags = [0, 9, -4, 13]
    x, mask, reference, n = shifted(lags, [40, 33, 28, 40], channels=2)
    mask = mask * (torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) < 0.7)
    noisy = torch.where(mask == 1, x, torch.full_like(x, 50.0))
    assert best_lags(noisy, mask, reference, n, max_lag=20).tolist() == lags


def test_lags_stay_within_max_lag_and_half_of_the_length():
    x, mask, reference, n = shifted([12, 2, -3], [40, 40, 6])
    found = best_lags(x, mask, reference, n, max_lag=4)
    assert found[1:].tolist() == [2, found[2]]
    assert (found.abs() <= torch.tensor([4, 4, 3])).all()
    assert largest_lags(torch.tensor([1, 2, 9, 100]), 20).tolist() == [0, 1, 4, 20]


@settings(max_examples=60)
@given(
    lengths=st.lists(st.integers(1, 15), min_size=1, max_size=4),
    channels=st.integers(1, 2),
    max_lag=st.integers(1, 9),
    seed=st.integers(0, 10_000),
)
def test_no_lag_fits_better_than_the_one_found(lengths, channels, max_lag, seed):
    rng = np.random.default_rng(seed)
    x, n = padded([rng.standard_normal((length, channels)) for length in lengths])
    reference, _ = padded([rng.standard_normal((length, channels)) for length in lengths])
    mask = inside(x, n) * torch.from_numpy(rng.random(x.shape) < 0.8)
    found = best_lags(x, mask, reference, n, max_lag)
    for row, length in enumerate(lengths):
        own, seen, r = (t[row, :length].double().numpy() for t in (x, mask, reference))
        most = min(max_lag, length // 2)
        errors = {lag: (seen * (own - np.roll(r, lag, axis=0)) ** 2).sum() for lag in range(-most, most + 1)}
        assert errors[int(found[row])] <= min(errors.values()) + 1e-4


@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    lag=st.integers(-30, 30),
)
@settings(max_examples=50)
def test_shift_there_and_back_is_identity(lengths, lag):
    x, n = padded([np.arange(2.0 * length).reshape(length, 2) for length in lengths])
    lags = torch.full_like(n, lag)
    there = shift(x, lags, n)
    for row, length in enumerate(lengths):
        np.testing.assert_array_equal(there[row, :length], np.roll(x[row, :length], lag, axis=0))
    assert torch.equal(shift(there, -lags, n), x)


def test_a_constant_series_is_not_shifted():
    for value, steps in itertools.product((0.0, 1.0, 0.3, -37.7), (1, 2, 31, 100)):  # 0.3 is not exact in binary
        x = torch.full((3, steps, 1), value)
        n = torch.full((3,), steps)
        assert best_lags(x, torch.ones_like(x), torch.full_like(x, value), n, 10).tolist() == [0, 0, 0]
        assert best_lags(x, torch.ones_like(x), torch.zeros_like(x), n, 10).tolist() == [0, 0, 0]


def test_random_lags_are_uniform_over_the_allowed_range():
    n = torch.full((6000,), 20)
    drawn = random_lags(n, 3, torch.Generator().manual_seed(0))
    values, counts = drawn.unique(return_counts=True)
    assert values.tolist() == [-3, -2, -1, 0, 1, 2, 3]
    assert (counts - 6000 / 7).abs().max() < 120
    assert torch.equal(drawn, random_lags(n, 3, torch.Generator().manual_seed(0)))
    assert random_lags(torch.ones(50).long(), 3, torch.Generator().manual_seed(0)).unique().tolist() == [0]
