"""Typical curves show the data as they are: their waves, and nothing below zero."""

import numpy as np
import pytest

from vrae.describe.curves import MAX_STEPS, cluster_curve, steps_of_mean


def test_hours_keep_their_waves():
    hours = np.arange(1007)
    series = [(2 + np.sin(2 * np.pi * hours / 24))[None] for _ in range(4)]
    curve = cluster_curve(series, step_hours=1.0)
    assert len(curve.steps) == 1007
    power = np.abs(np.fft.rfft(curve.middle[0] - curve.middle[0].mean()))
    assert power.argmax() == round(1007 / 24)


@pytest.mark.parametrize(
    ("n_steps", "step_hours", "width"),
    [
        (1007, 1.0, 1),
        (6000, 1.0, 4),  # six points a day
        (8760, 1.0, 24),  # six hours would hide the day
        (8760, None, 6),  # nothing is known of a day
        (20_000, 24.0, 14),  # days: whole weeks
        (100 * 365 * 24 * 4, 0.25, 24 * 4 * 28),  # quarter hours: whole weeks
        (MAX_STEPS, 168.0, 1),
    ],
)
def test_means_are_a_small_part_of_a_rhythm_or_all_of_it(n_steps, step_hours, width):
    assert steps_of_mean(n_steps, MAX_STEPS, step_hours) == width


def test_counts_stay_at_zero_or_above():
    rng = np.random.default_rng(0)
    season = np.where(np.arange(104) % 52 > 45, 40.0, 0.2)
    series = [rng.poisson(level * season)[None].astype(float) for level in (0.2, 1, 3, 10, 30)]
    curve = cluster_curve(series, adjust=True)
    assert curve.low.min() >= 0
    assert curve.middle.min() == 0  # weeks without sales stay so


def test_series_below_zero_get_one_spread():
    t = np.sin(np.arange(60) / 5)
    curve = cluster_curve([(size * t + 100 * size - 300)[None] for size in (1.0, 2.0, 3.0)], adjust=True)
    assert np.ptp(curve.middle[0]) == pytest.approx(4, abs=0.2)
    assert np.allclose(curve.low, curve.high)


def test_a_last_mean_of_few_steps_is_not_drawn():
    days = np.arange(365)
    week = np.where(days % 7 < 2, 0.0, 10.0)  # ends on a day of 0
    curve = cluster_curve([week[None]] * 4, max_steps=60)
    assert np.nanmin(curve.middle) == np.nanmax(curve.middle)
    assert np.isnan(curve.middle[0]).tolist() == [False] * 52 + [True]
    late = [np.where(days < 3, np.nan, week)[None]] * 4  # begins within a week
    assert np.isnan(cluster_curve(late, max_steps=60).middle[0]).tolist() == [True] + [False] * 51 + [True]
    assert np.isfinite(cluster_curve([week[None, :9]], max_steps=2).middle).all()  # two means are all there is
