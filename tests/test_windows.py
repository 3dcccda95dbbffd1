"""Sliding windows cover every step, and their results are assigned to the right steps."""

from __future__ import annotations

import numpy as np
import pytest

from vrae import Panel
from vrae.data.sliding import choose_window, dominant_period, sliding_windows
from vrae.exceptions import InvalidDataError, InvalidParameterError


@pytest.fixture
def panel() -> Panel:
    rng = np.random.default_rng(0)
    return Panel.from_arrays([rng.normal(size=(2, n)) for n in (50, 7, 23)], ids=["a", "b", "c"])


@pytest.mark.parametrize(("size", "step"), [(10, 3), (10, 10), (7, 1), (60, 5)])
def test_windows_are_pieces_of_their_series_and_cover_every_step(panel, size, step):
    cut = sliding_windows(panel, size, step)
    covered = np.zeros(len(panel.values), int)
    for row, (owner, start) in enumerate(zip(cut.owners, cut.starts, strict=True)):
        piece = cut.panel[row]
        n_steps = piece.shape[1]
        assert n_steps == min(size, panel.lengths[owner])
        np.testing.assert_array_equal(piece, panel[owner][:, start : start + n_steps])
        assert cut.panel.ids[row] == f"{panel.ids[owner]}@{start}"
        first = panel.offsets[owner] + start
        covered[first : first + n_steps] += 1
    assert covered.min() >= 1
    # Values of the steps of windows are assigned to these steps, in every channel.
    np.testing.assert_allclose(cut.to_steps(cut.panel.values), panel.values, atol=1e-6)


def test_scores_of_windows_are_averaged_where_they_overlap(panel):
    cut = sliding_windows(panel, 10, 5)
    marked = np.where(cut.panel.ids == "a@20", 1.0, 0.0)
    steps = cut.to_steps(marked)
    assert steps.shape == (80,)
    np.testing.assert_allclose(np.flatnonzero(steps), np.arange(20, 30))
    np.testing.assert_allclose(steps[20:30], 0.5)
    marked[:] = np.nan
    assert np.isnan(cut.to_steps(marked)).all()


def test_the_dominant_period():
    time = np.arange(400)
    rng = np.random.default_rng(0)
    wave = np.sin(2 * np.pi * time / 37) + 0.5 * np.sin(4 * np.pi * time / 37 + 1) + 0.3 * rng.normal(size=400)
    wave[100:110] = np.nan
    panel = Panel.from_arrays([wave, wave[:200] * 100 + 5])
    assert abs(dominant_period(panel) - 37) <= 1
    assert sliding_windows(panel, "auto").panel.lengths[0] == dominant_period(panel)


def test_the_first_clear_peak_is_the_period_whatever_else_is_in_the_series():
    time, rng = np.arange(3000), np.random.default_rng(0)
    day, week = np.sin(2 * np.pi * time / 24), (time // 24 % 7 < 5) * 1.0
    x = day + week + 0.3 * rng.normal(size=3000) + 0.01 * time  # a trend of thirty times its size
    x[1000:1003] += 500
    x[2000:2050] = np.nan
    assert dominant_period(Panel.from_arrays(x[None])) == 24
    assert choose_window(Panel.from_arrays(x[None])) == (24, "the period")


@pytest.mark.parametrize("period", [2, 5, 7])
def test_a_short_period_is_repeated(period):
    x = np.tile(np.arange(period) == 0, 600 // period).astype(float)
    length = choose_window(Panel.from_arrays(x[None]))
    assert (length.steps % period, length.steps // period) == (0, -(-16 // period))
    assert f"times the period of {period} steps" in length.reason


@pytest.mark.parametrize(("n", "steps"), [(200, 16), (3000, 60), (50_000, 128)])
def test_without_a_period_the_window_is_a_fraction_of_the_series(n, steps):
    x = np.random.default_rng(0).normal(size=n).cumsum()
    assert choose_window(Panel.from_arrays(x[None])).steps == steps
    assert "no period found" in choose_window(Panel.from_arrays(np.linspace(0, 1, n)[None])).reason
    assert choose_window(Panel.from_arrays(np.full((1, n), 3.0))).steps == steps


def test_no_period():
    with pytest.raises(InvalidDataError, match="No period"):
        dominant_period(Panel.from_arrays(np.linspace(0, 1, 200)[None]))


def test_ends_are_averaged_like_the_middle():
    x = Panel.from_arrays(np.zeros((1, 400)))
    cut = sliding_windows(x, 40, 1)
    noise = np.random.default_rng(0).normal(size=(200, len(cut.panel)))
    steps = np.array([cut.to_steps(row) for row in noise])
    middle = steps[:, 100:300].std()
    assert steps[:, :5].std() < 2 * middle  # the first step itself is in one window only: 6 times
    np.testing.assert_array_equal(steps[:, 0], steps[:, 20])
    np.testing.assert_array_equal(steps[:, -1], steps[:, -21])


@pytest.mark.parametrize(("size", "step", "words"), [(1, 1, "window"), (10, 0, "step"), (10, 11, "in no window")])
def test_invalid_windows(panel, size, step, words):
    with pytest.raises(InvalidParameterError, match=words):
        sliding_windows(panel, size, step)
