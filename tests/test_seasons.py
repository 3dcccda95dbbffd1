"""When clusters are high: planted rhythms are found on local clocks, and chance finds none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from vrae import Panel, read_panel
from vrae.describe.season_words import level_words, season_sentence
from vrae.describe.seasons import Seasons, when_high
from vrae.describe.time_bins import hours_of_step, seasonal_bins


def panel_of(times: pd.DatetimeIndex, levels: list[np.ndarray], noise: float = 0.1, **options: Any) -> Panel:
    """Return twelve series of very different sizes for each of the levels, in turn."""
    rng = np.random.default_rng(0)
    frames = [
        pd.DataFrame(
            {"id": f"{group}-{i:02d}", "ds": times, "y": 10.0**i % 977 * level * rng.normal(1, noise, len(times))}
        )
        for i in range(12)
        for group, level in enumerate(levels)
    ]
    return read_panel(pd.concat(frames, ignore_index=True), id="id", time="ds", value="y", **options)


def groups_of(panel: Panel) -> np.ndarray:
    return np.array([int(name.split("-")[0]) for name in panel.ids])


def measured(panel: Panel) -> Seasons:
    found = when_high(panel, groups_of(panel))
    assert found is not None
    return found


def sentences(seasons: Seasons, view: str) -> list[str]:
    levels = next(levels for levels in seasons.profiles if levels.bins.view == view)
    return [season_sentence(levels, row, 0, seasons.is_ratio[0]) for row in range(len(seasons.labels))]


def views(seasons: Seasons) -> list[str]:
    return [levels.bins.view for levels in seasons.profiles]


WEEKS = pd.date_range("2022-01-03", periods=156, freq="W-MON")


def test_a_peak_in_december_is_found_and_size_does_not_matter():
    december = np.where((WEEKS + pd.Timedelta(days=3)).month == 12, 4.0, 1.0)
    seasons = measured(panel_of(WEEKS, [december, np.ones(len(WEEKS))]))
    assert views(seasons) == ["month"]
    assert seasons.is_ratio == (True,)
    month = seasons.profiles[0]
    assert month.bins.names[month.values[0, 0].argmax()] == "December"
    assert month.values[0, 0].max() == pytest.approx(4 / (15 / 12), rel=0.1)  # the mean of eleven 1 and a 4
    assert month.values.mean(axis=2) == pytest.approx(1, abs=1e-6)
    peak, flat = sentences(seasons, "month")
    assert peak.startswith("Highest in December (3.")
    assert flat == "About the same in every month."


def test_growth_over_years_is_no_season():
    growing = np.linspace(1, 4, len(WEEKS))
    seasons = measured(panel_of(WEEKS, [growing]))
    assert sentences(seasons, "month") == ["About the same in every month."]
    assert seasons.repeats


def test_a_single_year_is_said_to_be_one():
    times = pd.date_range("2023-01-01", periods=12, freq="MS")
    seasons = measured(panel_of(times, [np.where(times.month == 7, 3.0, 1.0)]))
    assert not seasons.repeats
    assert sentences(seasons, "month")[0].startswith("Highest in July")


def test_weeks_named_by_their_last_day_are_in_the_same_month():
    ends = WEEKS + pd.Timedelta(days=6)  # Sundays
    december = np.where((WEEKS + pd.Timedelta(days=3)).month == 12, 4.0, 1.0)
    by_start, by_end = measured(panel_of(WEEKS, [december])), measured(panel_of(ends, [december], freq="W-SUN"))
    assert np.allclose(by_start.profiles[0].values, by_end.profiles[0].values, atol=1e-6)
    assert by_end.calendar is not None
    assert by_end.calendar.bins.names[0] == "January 2022"


DAYS = pd.date_range("2024-01-01", periods=70, freq="D")


def test_weekdays_are_found_in_daily_data():
    weekend = np.where(DAYS.dayofweek >= 5, 3.0, 1.0)
    seasons = measured(panel_of(DAYS, [weekend, 4 - weekend]))
    assert views(seasons) == ["weekday"]
    first, second = sentences(seasons, "weekday")
    assert first.startswith("Highest on Saturday and Sunday (1.9 times its average), lowest on ")
    assert second.startswith("Highest from Monday to Friday")


def test_business_days_have_five_weekdays():
    times = pd.date_range("2024-01-01", periods=60, freq="B")
    seasons = measured(panel_of(times, [np.where(times.dayofweek == 4, 2.0, 1.0)]))
    weekday = next(levels for levels in seasons.profiles if levels.bins.view == "weekday")
    assert np.isnan(weekday.values[0, 0, 5:]).all()
    assert sentences(seasons, "weekday")[0].startswith("Highest on Friday")


HOURS = pd.date_range("2024-03-04", periods=24 * 14, freq="h")


def test_hours_and_weekdays_are_found_in_hourly_data():
    office = np.where((HOURS.dayofweek < 5) & (HOURS.hour >= 9) & (HOURS.hour < 12), 5.0, 1.0)
    seasons = measured(panel_of(HOURS, [office]))
    assert views(seasons) == ["weekday", "hour", "hour of the week"]
    assert sentences(seasons, "hour")[0].startswith("Highest from 09:00 to 11:00")
    both = next(levels for levels in seasons.profiles if levels.bins.view == "hour of the week")
    high = [name for name, value in zip(both.bins.names, both.values[0, 0], strict=True) if value > 2]
    assert high == [
        f"{day} {h:02d}:00" for day in ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday") for h in (9, 10, 11)
    ]


@pytest.mark.parametrize(("start", "what"), [("2024-03-25", "forward"), ("2024-10-21", "back")])
def test_hours_are_those_of_the_local_clock_when_clocks_change(start, what):
    times = pd.date_range(start, periods=24 * 14, freq="h", tz="Europe/Berlin")
    seasons = measured(panel_of(times, [np.where(times.hour == 8, 6.0, 1.0)]))
    hour = next(levels for levels in seasons.profiles if levels.bins.view == "hour")
    assert hour.bins.names[hour.values[0, 0].argmax()] == "08:00"
    assert np.delete(hour.values[0, 0], 8) == pytest.approx(24 / 29, rel=0.1)  # no hour beside it is higher


def test_the_day_is_a_day_of_the_zone():
    times = pd.date_range("2024-01-01", periods=24 * 21, freq="h", tz="Asia/Tokyo")
    seasons = measured(panel_of(times, [np.where(times.dayofweek == 6, 4.0, 1.0)]))
    assert sentences(seasons, "weekday")[0].startswith("Highest on Sunday")
    assert seasons.calendar is not None
    assert seasons.calendar.bins.names[0] == "Monday 2024-01-01"


def test_quarters_of_an_hour_and_steps_of_three_hours():
    fine = pd.date_range("2024-05-01", periods=4 * 24 * 3, freq="15min")
    assert sentences(measured(panel_of(fine, [np.where(fine.hour == 5, 4.0, 1.0)])), "hour")[0].startswith(
        "Highest at 05:00"
    )
    coarse = pd.date_range("2024-05-01", periods=8 * 20, freq="3h")
    seasons = measured(panel_of(coarse, [np.where(coarse.hour == 6, 4.0, 1.0)]))
    hour = next(levels for levels in seasons.profiles if levels.bins.view == "hour")
    assert hour.bins.names == tuple(f"{h:02d}:00" for h in range(0, 24, 3))
    assert sentences(seasons, "hour")[0].startswith("Highest at 06:00")


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (pd.date_range("2024-01-01", periods=9, freq="MS"), []),
        (pd.date_range("2024-01-01", periods=13, freq="D"), []),
        (pd.date_range("2024-01-01", periods=14, freq="D"), ["weekday"]),
        (pd.date_range("2024-01-01", periods=47, freq="h"), []),
        (pd.date_range("2024-01-01", periods=48, freq="h"), ["hour"]),
        (pd.date_range("2024-01-01", periods=60, freq="2D"), []),
        (pd.date_range("2020-01-01", periods=20, freq="QS"), []),
        (pd.date_range("2000-01-01", periods=20, freq="YS"), []),
        (pd.date_range("2024-01-01", periods=400, freq="D"), ["month", "weekday"]),
    ],
)
def test_short_spans_and_long_steps_say_nothing(times, expected):
    seasons = measured(panel_of(times, [np.ones(len(times))]))
    assert views(seasons) == expected
    assert seasons.calendar is not None


def test_series_that_differ_have_no_common_rhythm():
    rng = np.random.default_rng(0)
    own = rng.lognormal(0, 1, (8, 7))[:, DAYS.dayofweek]  # every series has a rhythm of its own
    seasons = when_high(Panel.from_arrays(own, times=np.tile(DAYS.to_numpy(), 8)), np.zeros(8, int))
    assert seasons is not None
    assert sentences(seasons, "weekday") == ["No common rhythm: its series differ."]


def test_noise_has_no_season():
    seasons = measured(panel_of(DAYS, [np.ones(len(DAYS))] * 6, noise=0.5))
    assert set(sentences(seasons, "weekday")) == {"About the same on every weekday."}


def test_gaps_and_late_starts_are_left_out():
    weekend = np.where(DAYS.dayofweek >= 5, 3.0, 1.0)
    panel = panel_of(DAYS, [weekend, np.ones(len(DAYS))])
    values = panel.values.copy()
    values[np.random.default_rng(0).random(values.shape) < 0.4] = np.nan
    values[panel.offsets[1] - 50 : panel.offsets[1]] = np.nan
    values[panel.offsets[3] : panel.offsets[4]] = np.nan  # a series without values
    seasons = measured(panel.with_values(values))
    assert sentences(seasons, "weekday")[0].startswith("Highest on Saturday and Sunday")
    assert sentences(seasons, "weekday")[1] == "About the same on every weekday."


def test_series_that_cover_too_little_of_a_year_say_so():
    starts = [0] * 6 + [140] * 6
    series = [np.ones(len(WEEKS) - start) for start in starts]
    times = np.concatenate([WEEKS.to_numpy()[start:] for start in starts])
    panel = Panel.from_arrays(series, times=times)
    seasons = when_high(panel, np.repeat([0, 1], 6))
    assert seasons is not None
    assert sentences(seasons, "month")[1] == "Too few of its series cover a year."


def test_the_calendar_is_blank_where_no_series_exists():
    starts = [0] * 4 + [100] * 4
    panel = Panel.from_arrays(
        [np.ones(len(WEEKS) - s) for s in starts],
        times=np.concatenate([WEEKS.to_numpy()[s:] for s in starts]),
    )
    seasons = when_high(panel, np.repeat([0, 1], 4))
    assert seasons is not None
    assert seasons.calendar is not None
    late = seasons.calendar.values[1, 0]
    assert seasons.calendar.bins.view == "month"  # 156 weeks are more than the page has columns
    assert np.isnan(late).sum() == pytest.approx(100 * 7 / 30.4, abs=1)
    assert late[-1] == pytest.approx(1)


@pytest.mark.parametrize(
    ("times", "view", "n"),
    [
        (WEEKS[:104], "week", 104),
        (DAYS, "day", 70),
        (pd.date_range("2024-01-01", periods=365, freq="D"), "week", 52),
        (pd.date_range("2010-01-01", periods=3650, freq="D"), "month", 120),
        (pd.date_range("1990-01-01", periods=400, freq="MS"), "year", 33),
        (HOURS, "day", 14),
        (pd.date_range("2024-01-01", periods=30, freq="h"), "hour", 30),
        (pd.date_range("2024-01-01", periods=96, freq="15min"), "step", 96),
    ],
)
def test_the_calendar_has_the_shortest_parts_that_fit(times, view, n):
    calendar = measured(panel_of(times, [np.ones(len(times))])).calendar
    assert calendar is not None
    assert len(calendar.bins.names) == n
    assert calendar.bins.view == view if view != "step" else calendar.bins.view in ("step", "minute")


def test_times_without_a_calendar_have_seasons_too():
    panel = panel_of(DAYS, [np.where(DAYS.dayofweek == 2, 5.0, 1.0)])
    plain = Panel(panel.values, panel.offsets, panel.ids, panel.times)
    assert plain.calendar is None
    assert hours_of_step(None, np.asarray(plain.times)) == 24
    seasons = when_high(plain, groups_of(panel))
    assert seasons is not None
    assert sentences(seasons, "weekday")[0].startswith("Highest on Wednesday")


def test_values_below_zero_are_told_in_standard_deviations():
    panel = panel_of(DAYS, [np.where(DAYS.dayofweek == 6, 8.0, -1.0)])
    seasons = measured(panel)
    assert seasons.is_ratio == (False,)
    assert "standard deviations above its average" in sentences(seasons, "weekday")[0]


def test_small_swings_around_a_high_level_are_told_in_standard_deviations():
    seasons = measured(panel_of(DAYS, [np.where(DAYS.dayofweek == 6, 1.01, 1.0)], noise=0.001))
    assert seasons.is_ratio == (False,)
    assert sentences(seasons, "weekday")[0].startswith("Highest on Sunday (2")


def test_rare_sales_have_a_season():
    rng = np.random.default_rng(0)
    chance = np.where(DAYS.dayofweek == 4, 0.4, 0.03)
    series = [(rng.random(len(DAYS)) < chance).astype(float) for _ in range(80)]
    panel = Panel.from_arrays(series, times=np.tile(DAYS.to_numpy(), 80))
    seasons = when_high(panel, np.zeros(80, int))
    assert seasons is not None
    assert sentences(seasons, "weekday")[0].startswith("Highest on Friday")


def test_rare_sales_beside_steady_ones_have_no_season_by_chance():
    rng = np.random.default_rng(0)
    rare = [(rng.random(len(DAYS)) < 0.06).astype(float) for _ in range(150)]
    steady = [rng.normal(10, 1, len(DAYS)) for _ in range(600)]
    panel = Panel.from_arrays([*rare, *steady], times=np.tile(DAYS.to_numpy(), 750))
    seasons = when_high(panel, np.repeat([0, 1], [150, 600]))
    assert seasons is not None
    assert set(sentences(seasons, "weekday")) == {"About the same on every weekday."}
    assert seasons.profiles[0].values[0].max() < 1.4


def test_series_of_zeros_are_left_out():
    panel = Panel.from_arrays(np.zeros((4, len(DAYS))), times=np.tile(DAYS.to_numpy(), 4))
    seasons = when_high(panel, np.array([0, 0, 1, -1]))
    assert seasons is not None
    assert seasons.labels == [0, 1, -1]
    assert seasons.profiles == ()


def test_every_channel_has_its_own_season():
    weekend = np.where(DAYS.dayofweek >= 5, 3.0, 1.0)
    pair = np.stack([weekend, 4 - weekend])
    panel = Panel.from_arrays([pair * (i + 1) for i in range(5)], times=np.tile(DAYS.to_numpy(), 5))
    seasons = when_high(panel, np.zeros(5, int))
    assert seasons is not None
    weekday = seasons.profiles[0]
    assert weekday.values.shape == (1, 2, 7)
    assert season_sentence(weekday, 0, 0, True).startswith("Highest on Saturday and Sunday")
    assert season_sentence(weekday, 0, 1, True).startswith("Highest from Monday to Friday")


def test_no_dates_no_seasons():
    arrays = np.random.default_rng(0).random((4, 40))
    assert when_high(Panel.from_arrays(arrays), np.zeros(4, int)) is None
    numbered = Panel.from_arrays(arrays, times=np.tile(np.arange(40), 4))
    assert when_high(numbered, np.zeros(4, int)) is None


def test_a_single_step_has_nothing_to_show():
    panel = Panel.from_arrays(np.ones((3, 1)), times=np.full(3, np.datetime64("2024-01-01")))
    seasons = when_high(panel, np.zeros(3, int))
    assert seasons is not None
    assert (seasons.profiles, seasons.calendar) == ((), None)
    assert list(seasonal_bins(None, np.asarray(panel.times))) == []


@pytest.mark.parametrize(
    ("value", "is_ratio", "words"),
    [
        (0.01, True, "almost nothing"),
        (0.6, True, "40\N{NO-BREAK SPACE}% below its average"),
        (1.0, True, "the same as its average"),
        (1.25, True, "25\N{NO-BREAK SPACE}% above its average"),
        (2.64, True, "2.6 times its average"),
        (-1.5, False, "1.5 standard deviations below its average"),
    ],
)
def test_levels_in_words(value, is_ratio, words):
    assert level_words(value, is_ratio) == words


def test_a_rhythm_faster_than_a_day_names_all_of_its_hours():
    hours = pd.date_range("2024-01-01", periods=24 * 14, freq="h")
    seasons = measured(panel_of(hours, [1 + 0.8 * np.sin(2 * np.pi * np.arange(len(hours)) / 6)], noise=0.01))
    (text,) = sentences(seasons, "hour")
    assert text.startswith("Highest at 01:00, 07:00, 13:00 and 19:00 (")
    assert ", lowest at 04:00, 10:00, 16:00 and 22:00 (" in text


def test_a_year_is_told_from_the_steps_in_which_series_lived():
    week, rng = np.arange(len(WEEKS)), np.random.default_rng(0)
    ends = rng.integers(80, 150, 12)
    season = 1 + 0.5 * np.sin(2 * np.pi * week / 52)
    ended = np.stack([np.where(week < end, season, 0.0) for end in ends])
    labels = np.zeros(12, int)
    whole, cut = (
        when_high(Panel.from_arrays(10 * x, times=np.tile(WEEKS.to_numpy(), 12)), labels)
        for x in (np.tile(season, (12, 1)), ended)
    )
    assert whole is not None
    assert cut is not None
    np.testing.assert_allclose(cut.profiles[0].values, whole.profiles[0].values, atol=0.06)
    peaks = np.where(WEEKS.month == 12, 5.0, 0.0)  # zeros that come again are part of a season
    sold = when_high(Panel.from_arrays(np.tile(peaks, (12, 1)), times=np.tile(WEEKS.to_numpy(), 12)), labels)
    assert sold is not None
    assert sold.profiles[0].values[0, 0].argmax() == 11
    assert sold.profiles[0].values[0, 0, :10].max() < 0.1


def test_a_last_week_of_three_days_is_not_drawn():
    days = pd.date_range("2025-01-01", "2025-12-31", freq="D")
    calendar = measured(panel_of(days, [np.where(days.dayofweek < 5, 1.2, 0.1)])).calendar
    assert calendar is not None
    assert calendar.bins.names[0] == "week of 2025-01-06"
    assert calendar.bins.names[-1] == "week of 2025-12-22"
    assert calendar.bins.starts is not None
    assert len(calendar.bins.starts) == calendar.values.shape[2] == 51
    assert np.abs(calendar.values - 1).max() < 0.15
