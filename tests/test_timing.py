"""When series are high: groups by season, weekday and hour; and which columns hold the values."""

# mypy: disable-error-code="union-attr, arg-type, index"
# Panels of these tests have times and a calendar, which others need not have.

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from vrae import VRAE, Panel, VRAEClusterer, read_panel
from vrae.data.calendar import Calendar
from vrae.data.timing import Timing
from vrae.exceptions import DataWarning, InvalidDataError

# ---------------------------------------------------------------- groups


def agreement(X: Any, truth: Any, epochs: int = 4, **options: Any) -> float:
    """Return the adjusted Rand index of two clusters with the true ones."""
    model = VRAE(max_epochs=epochs, random_state=0, **options)
    labels = VRAEClusterer(2, model=model, random_state=0).fit(X).labels_
    return float(adjusted_rand_score(truth, labels))


def seasonal_items() -> tuple[pd.DataFrame, np.ndarray]:
    """Return weekly sales of summer and winter items, launched at different weeks."""
    rng = np.random.default_rng(1)
    weeks, t = pd.date_range("2023-01-02", periods=130, freq="W-MON"), np.arange(130)
    rows = []
    for item in range(60):
        rate = np.exp(rng.normal(3.2, 0.7)) * (1 + 0.8 * np.cos(2 * np.pi * (t - 26 * (item % 2)) / 52))
        rows += [(f"S{item:02}", weeks[w], float(rng.poisson(rate[w]))) for w in range(rng.integers(0, 52), 130)]
    return pd.DataFrame(rows, columns=["item", "week", "qty"]), np.arange(60) % 2


@pytest.fixture(scope="module")
def seasonal() -> tuple[dict[str, Panel], np.ndarray]:
    long, truth = seasonal_items()
    wide = long.pivot(index="item", columns="week", values="qty").reset_index()
    read = {"long": read_panel(long, id="item", time="week", value="qty"), "wide": read_panel(wide, id="item")}
    return read, truth


@pytest.mark.parametrize("layout", ["long", "wide"])
def test_summer_and_winter_items_are_two_groups(layout, seasonal):
    panels, truth = seasonal
    assert agreement(panels[layout], truth) > 0.9


def test_long_and_wide_tables_give_the_same_vectors(seasonal):
    panels, _ = seasonal
    model = VRAE(max_epochs=1, random_state=0)
    long, wide = (model.fit(panels[layout]).embedding_ for layout in ("long", "wide"))
    np.testing.assert_array_equal(long, wide)


def test_without_the_calendar_their_launches_hide_the_season():
    """Items on sale for two years each: where in its season an item starts and ends is chance."""
    rng = np.random.default_rng(1)
    weeks, t = pd.date_range("2022-01-03", periods=156, freq="W-MON"), np.arange(156)
    rows = []
    for item in range(60):
        rate = np.exp(rng.normal(3.2, 0.7)) * (1 + 0.8 * np.cos(2 * np.pi * (t - 26 * (item % 2)) / 52))
        first = rng.integers(0, 52)
        rows += [(f"S{item:02}", weeks[w], float(rng.poisson(rate[w]))) for w in range(first, first + 104)]
    panel, truth = read_panel(pd.DataFrame(rows, columns=["unique_id", "ds", "y"])), np.arange(60) % 2
    assert agreement(panel, truth) > 0.9
    assert agreement(panel, truth, timing="free") < 0.3


def by_day(weekend: bool) -> np.ndarray:
    """Return 8 weeks of daily values that are high on weekdays or at the weekend."""
    days = pd.date_range("2024-01-01", periods=56)
    return np.where((days.weekday >= 5) == weekend, 10.0, 4.0)


def by_hour(night: bool) -> np.ndarray:
    hours = pd.date_range("2024-01-01", periods=96, freq="h")
    return np.where(((hours.hour < 7) | (hours.hour >= 19)) == night, 10.0, 4.0)


@pytest.mark.parametrize(("shape", "freq"), [(by_day, "D"), (by_hour, "h")])
def test_weekdays_and_nights_are_groups_whenever_series_start(shape, freq):
    rng = np.random.default_rng(0)
    frames = []
    for item in range(24):
        values = shape(bool(item % 2))
        values = (values + rng.normal(0, 1.5, len(values))) * rng.uniform(1, 9)
        start = rng.integers(0, 20)
        dates = pd.date_range("2024-01-01", periods=len(values), freq=freq)
        frames.append(pd.DataFrame({"unique_id": f"s{item}", "ds": dates[start:], "y": values[start:]}))
    assert agreement(pd.concat(frames), np.arange(24) % 2) > 0.9


def test_hours_are_those_of_the_zone():
    """The same hours on the clock, in the summer and the winter of a zone."""
    rng = np.random.default_rng(0)
    frames = []
    for item in range(24):
        start = "2024-01-10" if item % 4 < 2 else "2024-07-10"
        hours = pd.date_range(start, periods=96, freq="h", tz="America/New_York")
        y = np.where((hours.hour < 12) == bool(item % 2), 10.0, 4.0) + rng.normal(0, 1, 96)
        frames.append(pd.DataFrame({"unique_id": f"s{item}", "ds": hours, "y": y}))
    panel = read_panel(pd.concat(frames))
    profile = Timing.of(panel.calendar, panel.times)
    hour = profile._codes(panel.times[None])[0][1][0]
    assert profile.views[0] == "hour"
    assert hour.tolist() == [*range(24)] * 4 * 24
    assert agreement(panel, np.arange(24) % 2) > 0.9


@pytest.mark.parametrize("options", [{}, {"fill": 0.0}])
def test_items_that_sell_every_second_and_every_fifth_week(options):
    """Tables of shops have no row where nothing was sold: these weeks are still there."""
    rng = np.random.default_rng(0)
    weeks = pd.date_range("2023-01-02", periods=100, freq="W-MON")
    rows = [
        (item, day, 5 + rng.standard_normal())
        for item in range(30)
        for week, day in enumerate(weeks)
        if (week + item) % (2 if item < 15 else 5) == 0
    ]
    panel = read_panel(pd.DataFrame(rows, columns=["unique_id", "ds", "y"]), **options)
    assert panel.calendar.freq == "W-MON"
    week = np.timedelta64(7, "D")
    assert all((np.diff(own) == week).all() for own in np.split(panel.times, panel.offsets[1:-1]))
    assert agreement(panel, np.repeat([0, 1], 15), epochs=8) > 0.9


def test_time_does_not_matter_without_dates(small_series):
    X = small_series("2d", 12)
    fit = lambda data, timing: VRAE(max_epochs=2, random_state=0, timing=timing).fit(data)  # noqa: E731
    free, calendar = fit(X, "free"), fit(X, "calendar")
    np.testing.assert_array_equal(free.embedding_, calendar.embedding_)
    assert free.scaler_.timing is calendar.scaler_.timing is None
    numbered = pd.DataFrame(
        {"unique_id": np.repeat(np.arange(12), 16), "ds": np.tile(np.arange(16), 12), "y": X.ravel()}
    )
    np.testing.assert_array_equal(fit(numbered, "calendar").embedding_, calendar.embedding_)
    dated = numbered.assign(ds=np.tile(pd.date_range("2024-01-01", periods=16), 12))
    np.testing.assert_array_equal(fit(dated, "free").embedding_, calendar.embedding_)
    assert fit(dated, "calendar").scaler_.timing is not None
    since_launch = read_panel(dated, align="start")
    assert fit(since_launch, "calendar").scaler_.timing is None


def test_a_model_that_compares_by_date_says_that_there_are_none(small_series):
    X = small_series("2d", 12)
    dates = np.tile(pd.date_range("2024-01-01", periods=16), 12)
    dated = pd.DataFrame({"unique_id": np.repeat(np.arange(12), 16), "ds": dates, "y": X.ravel()})
    model = VRAE(max_epochs=1, random_state=0).fit(dated)
    with pytest.warns(DataWarning, match="compares series by date, but these have no dates"):
        model.transform(X)


# ---------------------------------------------------------------- profiles

HOURS = np.datetime64("2024-01-01", "us") + np.arange(24 * 28) * np.timedelta64(1, "h")


def profile_of(values: Any, times: Any = HOURS, calendar: Calendar | None = None) -> tuple[Timing, dict[str, Any]]:
    """Return the timing of a calendar, and the profile of one series by view."""
    timing = Timing.of(calendar or Calendar("h", None, str(times[0])), times)
    values = np.asarray(values, float)
    found = timing.profile(np.nan_to_num(values)[None, :, None], ~np.isnan(values)[None, :, None], times[None])
    sizes = np.cumsum([{"hour": 24, "weekday": 7, "month": 12, "part": 24}[view] for view in timing.views])
    return timing, dict(zip(timing.views, np.split(found[0], sizes[:-1]), strict=True))


def test_views_are_longer_than_a_step_and_shorter_than_the_calendar():
    def views(freq: str, n: int) -> tuple[str, ...]:
        times = pd.date_range("2024-01-01", periods=n, freq=freq).to_numpy()
        return Timing.of(Calendar(freq, None, str(times[0])), times).views

    assert views("h", 200) == ("hour", "weekday", "part")
    assert views("D", 200) == ("weekday", "part")
    assert views("D", 400) == ("weekday", "month", "part")
    assert views("W-MON", 20) == ("part",)
    assert views("W-MON", 60) == ("month", "part")
    assert views("MS", 24) == ("month", "part")


def test_squares_sum_to_the_explained_variance():
    hour = np.arange(len(HOURS)) % 24
    _, found = profile_of(np.where(hour < 12, 3.0, 8.0))  # all of the variance is of the hour
    assert np.square(found["hour"]).sum() == pytest.approx(1, abs=0.08)  # shrunk by what chance explains
    assert np.square(found["weekday"]).sum() == pytest.approx(0, abs=1e-6)
    assert (found["hour"][:12] < 0).all()
    assert (found["hour"][12:] > 0).all()
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 2.5, len(hour))  # as much variance again
    _, half = profile_of(np.where(hour < 12, 3.0, 8.0) + noise)
    assert np.square(half["hour"]).sum() == pytest.approx(0.5, abs=0.06)


def test_noise_shrinks_to_almost_nothing():
    rng = np.random.default_rng(0)
    sums = []
    for _ in range(40):
        _, found = profile_of(rng.standard_normal(len(HOURS)))
        sums.append([np.square(values).sum() for values in found.values()])
    assert np.mean(sums) < 0.02
    assert np.max(sums) < 0.1


@settings(max_examples=60)
@given(
    values=st.lists(st.floats(-1e6, 1e6, width=32) | st.just(np.nan), min_size=1, max_size=60),
    freq=st.sampled_from(["h", "D", "W-MON", "MS"]),
)
def test_profiles_are_bounded(values, freq):
    times = pd.date_range("2022-01-01", periods=80, freq=freq).to_numpy()
    timing = Timing.of(Calendar(freq, None, str(times[0])), times)
    given_, own = np.array(values), times[: len(values)]
    found = timing.profile(np.nan_to_num(given_)[None, :, None], ~np.isnan(given_)[None, :, None], own[None])
    assert found.shape == (1, timing.n_bins)
    assert np.isfinite(found).all()
    assert np.square(found).sum() <= len(timing.views) * (1 + 1e-5)


def test_missing_values_and_padding_change_nothing():
    rng = np.random.default_rng(0)
    values = rng.standard_normal(len(HOURS)) + (np.arange(len(HOURS)) % 24 < 12)
    gaps = rng.random(len(HOURS)) < 0.3
    timing, _ = profile_of(values)
    kept = timing.profile(values[~gaps][None, :, None], np.ones((1, (~gaps).sum(), 1), bool), HOURS[~gaps][None])
    noise = np.where(gaps, 1e6, values)
    hidden = timing.profile(noise[None, :, None], ~gaps[None, :, None], HOURS[None])
    np.testing.assert_allclose(hidden, kept, atol=1e-6)
    longer = np.append(noise, np.full(50, -1e6))
    observed, times = np.append(~gaps, np.zeros(50, bool)), np.append(HOURS, np.repeat(HOURS[-1:], 50))
    padded = timing.profile(longer[None, :, None], observed[None, :, None], times[None])
    np.testing.assert_array_equal(padded, hidden)


def test_scale_level_and_batch_change_nothing():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((3, len(HOURS), 2)) + (np.arange(len(HOURS)) % 24 < 12)[:, None]
    timing, _ = profile_of(X[0, :, 0])
    everything = timing.profile(X, np.ones_like(X, bool), np.tile(HOURS, (3, 1)))
    assert everything.shape == (3, 2 * timing.n_bins)
    for row in range(3):
        alone = timing.profile(1000 + 7 * X[[row]], np.ones((1, *X.shape[1:]), bool), HOURS[None])
        np.testing.assert_allclose(alone[0], everything[row], atol=1e-5)


def test_steps_outside_the_calendar_of_the_model_count_in_no_part():
    timing, inside = profile_of(np.sin(np.arange(len(HOURS)) / 100))
    values = np.sin(np.arange(len(HOURS)) / 100)[None, :, None]
    later = timing.profile(values, np.ones_like(values, bool), (HOURS + np.timedelta64(365, "D"))[None])
    assert np.square(inside["part"]).sum() > 0.5
    assert not later[0, -24:].any()


def test_timing_is_saved():
    timing, _ = profile_of(np.arange(len(HOURS)), calendar=Calendar("h", "Europe/Berlin", str(HOURS[0])))
    assert Timing.from_dict(timing.to_dict()) == timing
    assert timing.zone == "Europe/Berlin"


# ---------------------------------------------------------------- value columns of long tables


def long_table(**columns: Any) -> pd.DataFrame:
    """Return a weekly table of 6 items and 20 weeks with further columns."""
    weeks = pd.date_range("2024-01-01", periods=20, freq="W-MON")
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"item": np.repeat([f"i{k}" for k in range(6)], 20), "date": np.tile(weeks, 6)})
    for name, values in columns.items():
        table[name] = rng.random(120) if values is None else values
    return table


def read(table: pd.DataFrame, **options: Any) -> Panel:
    return read_panel(table, id="item", time="date", **options)


def test_several_number_columns_are_listed_and_not_guessed():
    with pytest.raises(InvalidDataError, match=r"Which column .* 'temp', 'hum', 'wind'.*value=") as raised:
        read(long_table(temp=None, hum=None, wind=None))
    assert "for a channel each" in str(raised.value)
    assert read(long_table(temp=None, hum=None), value=["temp", "hum"]).channels == ("temp", "hum")


@pytest.mark.parametrize("name", ["qty", "Sales", "value", "demand", "units_sold"])
def test_a_usual_name_is_taken_and_said(name):
    with pytest.warns(DataWarning, match=rf"Took '{name}'.*by its name.*left out 'price'.*value="):
        assert read(long_table(price=None, **{name: None})).channels == (name,)


def test_two_usual_names_are_not_guessed():
    with pytest.raises(InvalidDataError, match="Which column"):
        read(long_table(qty=None, sales=None))


def test_codes_are_no_channels_and_this_is_said():
    """A store is the same all along in each series, the month in all series at a time."""
    weeks = pd.date_range("2024-01-01", periods=20, freq="W-MON")
    table = long_table(store_nbr=np.repeat(np.arange(6) % 4, 20), month=np.tile(weeks.month, 6), measured=None)
    said = r"Took 'measured'.*'store_nbr' \(the same all along in every series\), 'month' \(the same in all series"
    with pytest.warns(DataWarning, match=said):
        assert read(table).channels == ("measured",)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read(table, value="measured").channels == ("measured",)
        assert read(table, value=["measured", "month"]).channels == ("measured", "month")


@pytest.mark.parametrize("empty", [np.full(120, np.nan), np.full(120, None)], ids=["nan", "none"])
def test_a_column_without_any_value_is_no_channel(empty):
    """Also beside one that is the same in all series, and if its name is a usual one of values."""
    said = r"Took 'load'.*left out 'sales' \(without any value\)"
    for load in (None, np.tile(np.arange(20.0), 6)):
        with pytest.warns(DataWarning, match="Took 'load'" if load is not None else said):
            assert read(long_table(load=load, sales=empty)).channels == ("load",)
    with pytest.raises(InvalidDataError, match=r"Found 'temp', 'hum'\. Name"):
        read(long_table(temp=None, hum=None, sales=empty))
    with pytest.raises(InvalidDataError, match=r"Found 'load', 'sales'\. Name"):
        read(long_table(load=empty, sales=empty))


def test_one_number_column_needs_no_word():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read(long_table(whatever=None)).channels == ("whatever",)
        # Whole numbers that differ are measured, even if there is no other column.
        assert read(long_table(sold=np.arange(120) % 7)).channels == ("sold",)


def test_only_codes_are_listed():
    with pytest.raises(InvalidDataError, match=r"Which column .* 'store', 'shelf'"):
        read(long_table(store=np.repeat(np.arange(6), 20), shelf=np.repeat(np.arange(6) % 2, 20)))


def test_y_is_the_value_of_a_long_table():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = long_table(y=None, price=None).rename(columns={"item": "unique_id", "date": "ds"})
        assert read_panel(table).channels == ("y",)


# ---------------------------------------------------------------- value columns of wide tables


def wide_table(names: list[str], **columns: Any) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    steps = pd.DataFrame(rng.random((5, len(names))), columns=names)
    return pd.concat([pd.DataFrame({"item": list("abcde")}), steps, pd.DataFrame(columns, index=range(5))], axis=1)


@pytest.mark.parametrize(
    "names",
    [
        [f"w{i}" for i in range(1, 11)],
        ["2024_" + str(i) for i in range(1, 7)],
        [str(d.date()) for d in pd.date_range("2024-01-01", periods=8)],
    ],
)
def test_columns_not_named_like_steps_are_left_out_and_said(names):
    table = wide_table(names, price=2.5, shelf=7)
    said = f"Left out the columns 'price', 'shelf' .*not named like the steps '{names[0]}' to '{names[-1]}'.*value="
    with pytest.warns(DataWarning, match=said):
        panel = read_panel(table)
    assert panel.lengths.tolist() == [len(names)] * 5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_panel(table, value=names).lengths.tolist() == [len(names)] * 5
        everything = read_panel(table, value=["price", "shelf", *names])
    assert everything.lengths.tolist() == [len(names) + 2] * 5


@pytest.mark.parametrize("names", [["Jan", "Feb", "Mar", "Apr"], ["enero 2023", "febrero 2023", "marzo 2023"]])
def test_a_column_of_totals_is_no_step(names):
    table = wide_table(names, Total=9.0)
    with pytest.warns(DataWarning, match=r"Left out 'Total' of .* named like totals and is no step.*value="):
        panel = read_panel(table)
    assert panel.lengths.tolist() == [len(names)] * 5
    assert (panel.calendar is not None) == ("enero 2023" in names)
    assert read_panel(table, value=[*names, "Total"]).lengths.tolist() == [len(names) + 1] * 5
    with pytest.warns(DataWarning, match=r"Left out 'Total', 'Sum' of .* are named like totals and are no steps"):
        read_panel(table.assign(Sum=9.0))


def test_numbers_in_names_that_are_also_months_are_no_dates():
    for word in ("out ", "out. ", "gen"):
        table = wide_table([f"{word}{n}" for n in (10, 11, 12)])
        assert read_panel(table).times is None


def test_columns_of_a_wide_table_are_in_order_of_their_numbers():
    table = wide_table([f"w{i}" for i in range(1, 11)])
    text_order = table[["item", *sorted(table.columns[1:])]]
    assert list(text_order.columns[:3]) == ["item", "w1", "w10"]
    np.testing.assert_array_equal(read_panel(text_order).values, read_panel(table).values)


def test_names_that_show_no_order_keep_theirs():
    table = wide_table(["first", "second", "third", "fourth"])
    panel = read_panel(table)
    np.testing.assert_allclose(panel[0][0], table.iloc[0, 1:].to_numpy(float), rtol=1e-6)
