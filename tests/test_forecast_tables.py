"""Dates of forecasts: those that can occur, and a warning where there are none."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.tseries.holiday import USFederalHolidayCalendar

from vrae import VRAE, GroupForecaster, Panel, load_model, read_panel
from vrae.estimators.forecasting.calendar_matrix import CalendarMatrix, infer_season_length, season_of
from vrae.exceptions import DataWarning

TINY: dict[str, Any] = {
    "n_clusters": 1,
    "n_backtests": 1,
    "classical": False,
    "random_state": 0,
    "model": VRAE(hidden_size=8, latent_size=3, pattern_weight=0.0, max_epochs=1, device="cpu"),
}
MONDAY = "2023-01-02"


def days(pattern, n=140):
    """Return the days from a Monday on whose weekday is in a pattern, such as "012345"."""
    every = pd.date_range(MONDAY, periods=n)
    return every[[str(day.weekday()) in pattern for day in every]]


def hours(opened, n_days=28):
    """Return the hours from a Monday on at which ``opened(weekday, hour)``."""
    every = pd.date_range(MONDAY, periods=24 * n_days, freq="h")
    return every[[bool(opened(time.weekday(), time.hour)) for time in every]]


def table(times, n_items=6, of_item=lambda i, times: times):
    """Return sales of items at these times as a long table."""
    rng = np.random.default_rng(0)
    parts = [
        pd.DataFrame({"item": f"i{i}", "day": of_item(i, times), "qty": rng.poisson(20, len(of_item(i, times)))})
        for i in range(n_items)
    ]
    return pd.concat(parts, ignore_index=True)


def panel(times, fill=None, **options):
    return read_panel(table(times, **options), id="item", time="day", value="qty", fill=fill)


def ahead(times, horizon):
    """Return the matrix of a panel and the next times as text."""
    matrix = CalendarMatrix.from_panel(panel(times), 10_000)
    found = matrix.next_times(horizon)
    assert found is not None
    return matrix, pd.DatetimeIndex(found)


@pytest.mark.parametrize(
    ("pattern", "freq", "season"),
    [
        ("012345", pd.offsets.CustomBusinessDay(weekmask="Mon Tue Wed Thu Fri Sat"), 6),
        ("12345", pd.offsets.CustomBusinessDay(weekmask="Tue Wed Thu Fri Sat"), 5),
        ("024", pd.offsets.CustomBusinessDay(weekmask="Mon Wed Fri"), 3),
        ("56", pd.offsets.CustomBusinessDay(weekmask="Sat Sun"), 2),
        ("01234", pd.offsets.BDay(), 5),
        ("0123456", pd.offsets.Day(), 7),
    ],
)
def test_weekdays_without_values_are_skipped(pattern, freq, season):
    times = days(pattern)
    matrix, found = ahead(times, 15)
    assert (found == pd.date_range(times[-1] + freq, periods=15, freq=freq)).all()
    assert matrix.n_steps == len(times)
    assert infer_season_length(matrix) == season
    assert matrix.date_notes(np.arange(6)) == []


def test_filled_days_are_no_days_of_sales():
    times = days("012345")
    known = panel(times, fill=0)
    assert known.lengths.tolist() == [139] * 6  # with Sundays
    matrix = CalendarMatrix.from_panel(known, 10_000)
    assert matrix.n_steps == len(times)
    found = pd.DatetimeIndex(matrix.next_times(14))
    assert 6 not in found.weekday
    assert matrix.date_notes(known.ids) == []
    explicit = Panel.from_arrays(list(known), ids=known.ids, times=known.times)  # zeros that were measured
    assert CalendarMatrix.from_panel(explicit, 10_000).open_steps is None


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_hours_without_values_are_skipped(zone):
    shop = hours(lambda weekday, hour: weekday < 6 and 9 <= hour < 18)
    times = shop if zone is None else shop.tz_localize(zone)
    matrix = CalendarMatrix.from_panel(panel(times), 10_000)
    found = pd.DatetimeIndex(matrix.next_times(30))
    found = found if zone is None else found.tz_localize("UTC").tz_convert(zone).tz_localize(None)
    opening = pd.offsets.CustomBusinessHour(start="09:00", end="18:00", weekmask="Mon Tue Wed Thu Fri Sat")
    assert (found == pd.date_range(shop[-1] + opening, periods=30, freq=opening)).all()
    assert infer_season_length(matrix) == 9
    with pytest.warns(DataWarning, match="season_length=24 counts.* 9 is taken"):
        assert season_of(matrix, 24) == 9
    assert season_of(matrix, 9) == 9


def test_a_short_saturday_makes_a_season_of_a_week():
    matrix, found = ahead(hours(lambda weekday, hour: 9 <= hour < (18 if weekday < 5 else 13) and weekday < 6), 60)
    saturday = found[found.weekday == 5]
    assert len(saturday)
    assert saturday.hour.max() == 12
    assert infer_season_length(matrix) == 5 * 9 + 4


def test_a_few_weeks_of_rare_sales_close_nothing():
    rng = np.random.default_rng(1)
    every = days("0123456", 60)
    kept = every[np.sort(rng.choice(60, 20, replace=False))]
    matrix = CalendarMatrix.from_panel(panel(kept), 10_000)
    assert matrix.open_steps is None
    (note,) = matrix.date_notes(np.arange(6))
    assert "have no value in any series" in note


@pytest.mark.parametrize("freq", ["SMS-15", "SME-15", "SMS-10", "MS", "ME", "BMS", "BME", "QE-DEC", "BYE-DEC", "W-SUN"])
def test_dates_of_months_and_halves(freq):
    times = pd.date_range("1990-01-31", periods=36, freq=freq)
    _, found = ahead(times, 8)
    assert (found == pd.date_range(times[-1], periods=9, freq=freq)[1:]).all()


def test_half_months_are_a_step_that_can_be_named():
    rows = table(pd.date_range("2023-01-01", periods=36, freq="D"))
    found = read_panel(rows, id="item", time="day", value="qty", freq="SMS", duplicates="sum")
    assert found.lengths.tolist() == [3] * 6
    assert found.calendar is not None
    assert found.calendar.unit == "half-months"


def test_what_dates_cannot_say_is_said():
    closed = pd.offsets.CustomBusinessDay(calendar=USFederalHolidayCalendar())
    matrix = CalendarMatrix.from_panel(panel(pd.date_range(MONDAY, periods=150, freq=closed)), 10_000)
    (note,) = matrix.date_notes(np.arange(6))
    assert "5 of the last 155 business days have no value in any series" in note
    assert "2023-07-04" in note
    mixed = panel(days("0123456"), of_item=lambda i, times: times[times.weekday < 6] if i < 2 else times)
    matrix = CalendarMatrix.from_panel(mixed, 10_000)
    (note,) = matrix.date_notes(mixed.ids)
    assert "2 of 6 series never have a value on Sundays" in note
    assert "'i0', 'i1'" in note


def test_items_that_ended_are_named():
    days_ = days("0123456")
    ended = panel(days_, of_item=lambda i, times: times[: -20 * (i < 2) or None])
    matrix = CalendarMatrix.from_panel(ended, 10_000)
    (note,) = matrix.ended_notes(ended.ids, 13)
    assert note.startswith("2 items have no value after 2023-05-01 or earlier ('i0', 'i1'), and the forecasts go on")
    assert "Pass fill=0" in note
    assert matrix.ended_notes(ended.ids, 20) == []
    filled = panel(days_, fill=0, of_item=lambda i, times: times[: -20 * (i < 2) or None])
    assert CalendarMatrix.from_panel(filled, 10_000).ended_notes(filled.ids, 13) == []


def test_a_table_without_dates_says_so(tmp_path):
    rng = np.random.default_rng(0)
    times = np.sort(rng.choice(10_000_000, 40, replace=False)).astype("M8[s]")
    X = rng.poisson(9, (4, 40)).astype(float)
    irregular = Panel.from_arrays(X, times=np.tile(times, 4))
    forecaster = GroupForecaster(4, **TINY).fit(irregular)
    for each in (forecaster, load_model(forecaster.save(tmp_path / "m"))):
        with pytest.warns(DataWarning, match="steps but no times.*no regular step"):
            assert "time" not in each.predict_table()
    with pytest.warns(DataWarning, match="steps but no times"):
        forecaster.predict_table(irregular.select([0]))
    forecaster.predict()  # has no dates, and so no warning: warnings are errors here
    never_had_times = CalendarMatrix.from_panel(Panel.from_arrays(X), 100)
    assert never_had_times.date_notes(np.arange(4)) == []


def test_a_shop_without_sundays(tmp_path):
    known = panel(days("012345"))
    forecaster = GroupForecaster(8, **TINY).fit(known)
    assert forecaster.forecast_.stage.plan.season == 6
    loaded = load_model(forecaster.save(tmp_path / "m"))
    later = panel(days("012345", 147))
    for each in (forecaster, loaded):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = each.predict_table()
            after = each.predict_table(later)
        assert pd.DatetimeIndex(found["time"][:8]).weekday.tolist() == [0, 1, 2, 3, 4, 5, 0, 1]
        assert pd.DatetimeIndex(after["time"][:2]).astype(str).tolist() == ["2023-05-29", "2023-05-30"]
    assert forecaster._query(later).shift == 6
    with pytest.warns(DataWarning, match="8 values are on days or at hours.*left out"):
        loaded.predict(panel(days("0123456", 14), n_items=4))


def test_the_command_says_what_dates_cannot_say(cli, tmp_path):
    rows = table(days("01234", 60))
    rows[rows["day"] != "2023-02-20"].to_csv(tmp_path / "sales.csv", index=False)
    options = ["--id", "item", "--time", "day", "--value", "qty", "--horizon", 5, "-k", 1, "--no-classical"]
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # the command prints them
        done = cli(
            "forecast",
            tmp_path / "sales.csv",
            *options,
            "--pattern-weight",
            0,
            "--epochs",
            1,
            "-o",
            tmp_path / "next.csv",
        )
    assert done.code == 0, done.err
    assert "1 of the last 44 business days have no value in any series, such as 2023-02-20" in done.err
    assert pd.read_csv(tmp_path / "next.csv")["time"].iloc[0] == "2023-03-03"
