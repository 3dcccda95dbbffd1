"""Level and spread are correct, finite and exactly invertible."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from vrae import Panel
from vrae.data.batching import Batch, collate
from vrae.data.scaling import SCALINGS, Scaler
from vrae.exceptions import InvalidParameterError

ALL = (*SCALINGS, None)


def scaled(X: Any, scaling: str | None) -> Batch:
    panel = Panel.from_arrays(X)
    return collate(panel, np.arange(len(panel)), Scaler(scaling).fit(panel), torch.device("cpu"))


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape)


def test_series_get_mean_0_and_deviation_1():
    X = 50 + 7 * noise(4, 30)
    batch = scaled(X, "series")
    for row in range(4):
        own = batch.values[row][batch.mask[row] == 1].double().numpy()
        assert own.mean() == pytest.approx(0, abs=1e-5)
        assert own.std() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(batch.level[:, 0], X.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(batch.spread[:, 0], X.std(axis=1), rtol=1e-5)


def test_channels_of_a_series_keep_the_differences_between_them():
    X = noise(40, 2, 30)
    X[:20, 0] += 3
    X[20:, 1] *= 4
    batch = scaled(X, "series")
    together = batch.values.numpy()
    np.testing.assert_allclose(together.mean(axis=(1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(together.std(axis=(1, 2)), 1, rtol=1e-5)
    assert (together[:20, :, 0].mean(axis=1) > together[20:, :, 0].mean(axis=1).max()).mean() > 0.9
    assert (together[20:, :, 1].std(axis=1) > together[:20, :, 1].std(axis=1).max()).all()


def test_units_of_channels_do_not_matter():
    X = noise(6, 2, 30)
    units = np.array([[1e-3], [1e4]])
    np.testing.assert_allclose(scaled(X * units + units, "series").values, scaled(X, "series").values, atol=1e-4)


def test_channels_keep_the_differences_between_series():
    levels = np.array([[0], [100]])
    X = [noise(2, 5) + levels, 10 + noise(2, 9) * 3 + levels]
    batch = scaled(X, "channel")
    together = np.concatenate(X, axis=1)
    np.testing.assert_allclose(batch.level, np.tile(together.mean(axis=1), (2, 1)), rtol=1e-5)
    np.testing.assert_allclose(batch.spread, np.tile(together.std(axis=1), (2, 1)), rtol=1e-5)


def test_robust_is_median_and_interquartile_range():
    X = noise(3, 41)
    batch = scaled(X, "robust")
    low, median, high = np.quantile(X, (0.25, 0.5, 0.75), axis=1)
    np.testing.assert_allclose(batch.level[:, 0], median, rtol=1e-5)
    np.testing.assert_allclose(batch.spread[:, 0], (high - low) / 1.349, rtol=1e-5)


def test_an_outlier_affects_only_the_scaling_that_is_not_robust():
    X = noise(1, 100)
    spiked = X.copy()
    spiked[0, 50] = 1e6
    assert scaled(spiked, "robust").spread.item() == pytest.approx(scaled(X, "robust").spread.item(), rel=0.1)
    assert scaled(spiked, "series").spread.item() > 1e4


def test_robust_scaling_of_a_mostly_constant_series_still_scales():
    X = np.zeros((1, 50))
    X[0, [10, 30]] = [40.0, 60.0]  # intermittent sales: the interquartile range is 0
    assert 1 < scaled(X, "robust").spread.item() < 60
    assert scaled(X, "robust").values.abs().max() < 100


def test_none_leaves_values_as_they_are():
    X = 50 + noise(3, 10)
    assert torch.equal(scaled(X, None).values[:, :, 0], torch.tensor(X, dtype=torch.float32))


@pytest.mark.filterwarnings("ignore:scaling=None leaves")
@pytest.mark.parametrize("scaling", ALL)
@pytest.mark.parametrize("value", [0.0, 1e-6, 3.3, -1e30])
def test_constant_series_and_missing_channels_stay_finite(scaling, value):
    X = np.full((2, 2, 12), value)
    X[1, 1] = np.nan  # a channel without any value
    batch = scaled(X, scaling)
    assert torch.isfinite(batch.values).all()
    assert (batch.spread > 0).all()
    if scaling is not None:
        assert batch.values.abs().max() < 1e-3


@pytest.mark.parametrize("scaling", ["series", "robust", "channel"])
@pytest.mark.parametrize("level", [1e4, -1e6])
def test_a_huge_level_does_not_hide_the_shape(scaling, level):
    wave = np.sin(np.linspace(0, 12, 60))
    X = np.stack([level + 10 * wave, level - 10 * wave])
    values = scaled(X, scaling).values[0, :, 0].numpy()
    assert np.corrcoef(values, wave)[0, 1] > 0.999
    assert 0.5 < values.std() < 2


@pytest.mark.parametrize(
    ("scaling", "size"),
    [(scaling, size) for scaling in ALL for size in (1e-20, 1.0, 1e20) if scaling or size < 1e12],  # clipped above that
)
def test_scaling_is_undone_to_float32(scaling, size):
    X = (size * (3 + noise(5, 2, 20))).astype(np.float32)
    X[0, :, 4] = np.nan
    batch = scaled(X, scaling)
    assert torch.isfinite(batch.values).all()
    back = batch.values.double() * batch.spread[:, None] + batch.level[:, None]
    observed = batch.mask.bool().numpy()
    expected = X.transpose(0, 2, 1)
    np.testing.assert_allclose(back.numpy()[observed], expected[observed], rtol=0, atol=5e-7 * 10 * size)


@pytest.mark.parametrize("scaling", ALL)
def test_state_survives_json(scaling):
    panel = Panel.from_arrays(5 + noise(4, 2, 9))
    before = Scaler(scaling).fit(panel)
    after = Scaler.from_dict(json.loads(json.dumps(before.to_dict())))
    cpu, rows = torch.device("cpu"), np.arange(4)
    assert torch.equal(collate(panel, rows, before, cpu).values, collate(panel, rows, after, cpu).values)


def test_scale_hardly_depends_on_where_the_gaps_are():
    """Most of a peak is missing. The values next to the gap represent it."""
    time = np.arange(60)
    curve = (np.sin(2 * np.pi * time / 60) + 5).astype(np.float32)
    observed = ~((time > 8) & (time < 22))
    by_values = curve[observed].mean(), curve[observed].std()
    level, spread = Scaler("series").statistics(curve[None, :, None], observed[None, :, None])
    assert abs(level[0, 0] - 5) < 0.2 * abs(by_values[0] - 5)
    assert abs(spread[0, 0] - curve.std()) < abs(by_values[1] - curve.std())


def test_a_value_represents_half_of_the_adjacent_gaps():
    values = np.array([0, 8, 0, 0, 4, 0, 0], np.float32)[None, :, None]
    observed = np.array([0, 1, 0, 0, 1, 1, 0], bool)[None, :, None]
    level, _ = Scaler("series").statistics(values, observed)
    assert level[0, 0] == pytest.approx((8 * 2 + 4 * 2 + 0 * 1) / 5)


def test_unknown_scaling_names_the_alternatives():
    with pytest.raises(InvalidParameterError, match=r"'serie'.*Did you mean 'series'.*channel, robust"):
        Scaler("serie")
