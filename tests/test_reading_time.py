"""Dated tables, long and wide, whole and in parts: one calendar, the same panel, and its words."""

# mypy: disable-error-code="union-attr, arg-type, index"
# Panels of these tests have times and a calendar, which others need not have.

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vrae import VRAE, Panel, read_panel
from vrae.data import stream
from vrae.data.containers import like
from vrae.data.selection import join_panels
from vrae.data.stream import stream_panels
from vrae.exceptions import DataWarning, InvalidDataError, InvalidParameterError

STEPS = ("D", "W-MON", "W-SUN", "MS", "ME", "B", "QS-JAN", "h", "30min")


@pytest.fixture(autouse=True)
def no_warning() -> Any:
    """Regular dates are read without a word: a warning fails a test that does not expect it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def matrix_table(n: int = 6, steps: int = 24, freq: str = "W-MON", start: str = "2024-01-01") -> pd.DataFrame:
    """Return a wide table: a row per series, a column per date."""
    rng = np.random.default_rng(0)
    dates = pd.date_range(start, periods=steps, freq=freq)
    wide = pd.DataFrame(rng.integers(1, 90, (n, steps)) / 2, columns=dates.astype(str))
    wide.insert(0, "item", [f"i{k}" for k in range(n)])
    return wide


def melted(wide: pd.DataFrame) -> pd.DataFrame:
    """Return the long table of a wide one. NaN stays a row."""
    long = wide.melt("item", var_name="date", value_name="y")
    long = long.assign(date=pd.to_datetime(long["date"]))
    return long.sort_values(["item", "date"], ignore_index=True)  # ids appear in the same order


def read_long(table: pd.DataFrame, **options: Any) -> Panel:
    return read_panel(table, id="item", time="date", value="y", **options)


def assert_same(found: Panel, expected: Panel, *, absent: bool = False) -> None:
    """Check that panels are equal, also in their calendar."""
    np.testing.assert_array_equal(found.offsets, expected.offsets)
    np.testing.assert_array_equal(found.values, expected.values)
    assert found.ids.tolist() == expected.ids.tolist()
    np.testing.assert_array_equal(found.times, expected.times)
    assert found.calendar.without_rows(0) == expected.calendar.without_rows(0)
    if absent:
        assert found.calendar.absent == pytest.approx(expected.calendar.absent)


def holes(wide: pd.DataFrame, *, starts: bool = True, gaps: bool = True, ends: bool = True) -> pd.DataFrame:
    """Return a wide table without some values: before a launch, after an end, and in between."""
    rng, wide = np.random.default_rng(3), wide.copy()
    n_steps = wide.shape[1] - 1
    for row in range(len(wide)):
        if gaps:
            wide.iloc[row, 1 + rng.choice(np.arange(2, n_steps - 2), 3, replace=False)] = np.nan
        if starts:
            wide.iloc[row, 1 : 1 + rng.integers(0, n_steps // 3)] = np.nan
        if ends:
            wide.iloc[row, wide.shape[1] - rng.integers(0, n_steps // 3) :] = np.nan
    wide.iloc[0, 1:3] = 4.0  # one series shows the first date, and one the last
    wide.iloc[1, -3:] = 5.0
    return wide


# ---------------------------------------------------------------- long and wide


@pytest.mark.parametrize("freq", STEPS)
@pytest.mark.parametrize(
    "what",
    [{"starts": False, "gaps": False, "ends": False}, {"gaps": False, "ends": False}, {"starts": False}, {}],
    ids=["full", "launches", "ends and gaps", "all"],
)
def test_long_and_wide_tables_give_the_same_panel(freq, what):
    wide = holes(matrix_table(freq=freq), **what)
    long = melted(wide)
    panel = read_panel(wide, id="item")
    assert panel.calendar.freq == freq
    assert_same(read_long(long), panel)  # the empty cells are rows without a value
    assert_same(read_long(long.dropna()), panel)  # they are no rows
    shuffled = long.sample(frac=1, random_state=0)
    assert_same(read_long(shuffled.sort_values("item", kind="stable")), panel)


def test_series_begin_with_their_first_value_and_end_with_their_last():
    wide = matrix_table(3, 8)
    wide.iloc[0, 1:4] = np.nan
    wide.iloc[1, 6:] = np.nan
    wide.iloc[2, 4] = np.nan
    panel = read_panel(wide, id="item")
    assert panel.lengths.tolist() == [5, 5, 8]
    weeks = panel.times.astype("M8[D]").astype(str)
    assert (weeks[0], weeks[4], weeks[5], weeks[9]) == ("2024-01-22", "2024-02-19", "2024-01-01", "2024-01-29")
    assert np.isnan(panel[2][0]).tolist() == [False] * 3 + [True] + [False] * 4


def test_a_series_without_any_value_stays():
    wide = matrix_table(4, 8)
    wide.iloc[2, 1:] = np.nan
    panel = read_panel(wide, id="item")
    assert panel.lengths.tolist() == [8] * 4
    assert_same(read_long(melted(wide)), panel)


def test_a_week_without_a_column_is_missing_in_all_series():
    wide = matrix_table(4, 12)
    panel = read_panel(wide.drop(columns=wide.columns[5]), id="item")
    assert panel.lengths.tolist() == [12] * 4
    assert np.isnan(panel.values.reshape(4, 12)).sum(axis=0).tolist() == [0] * 4 + [4] + [0] * 7
    assert_same(read_long(melted(wide.drop(columns=wide.columns[5]))), panel)
    assert panel.calendar.absent == pytest.approx(1 / 12)


def test_columns_of_a_wide_table_may_be_in_any_order():
    wide = matrix_table(4, 12)
    assert_same(read_panel(wide[["item", *wide.columns[:0:-1]]], id="item"), read_panel(wide, id="item"))


@pytest.mark.parametrize("what", [{}, {"starts": False}])
def test_fill_goes_from_the_first_row_to_the_end_of_the_table(what):
    wide = holes(matrix_table(), **what)
    panel = read_panel(wide, id="item", fill=0)
    assert not np.isnan(panel.values).any()
    last = panel.times[panel.offsets[1:] - 1]
    assert (last == panel.times.max()).all()  # an item that no longer sells sells 0
    assert_same(read_long(melted(wide).dropna(), fill=0), panel)
    first = wide.iloc[:, 1:].notna().to_numpy().argmax(axis=1)
    assert panel.lengths.tolist() == (24 - first).tolist()


def test_fill_keeps_cells_of_long_tables_that_are_empty():
    """A row without a value is a missing value. Only a step without a row is filled."""
    long = melted(matrix_table(2, 6))
    long.loc[2, "y"] = np.nan
    panel = read_long(long.drop(index=[3]), fill=0)
    assert np.isnan(panel.values[2, 0])
    assert panel.values[3, 0] == 0


@pytest.mark.parametrize("freq", [None, "1w"])
def test_a_number_that_stands_for_missing(freq):
    wide = holes(matrix_table())
    coded = wide.fillna(-9999.0)
    expected = read_panel(wide, id="item")
    assert_same(read_panel(coded, id="item", missing=-9999, freq=freq), expected)
    assert_same(read_long(melted(coded), missing=-9999, freq=freq), expected)
    with pytest.warns(DataWarning, match="-9999 is .* times"):
        assert read_panel(coded, id="item").lengths.tolist() == [24] * 6  # it is a number, and this is said
    lists = pd.DataFrame({"item": ["a", "b"], "x": [[1.0, -9999.0], [3.0, 4.0]]})
    assert np.isnan(read_panel(lists, id="item", missing=-9999).values[1, 0])


def test_series_can_be_compared_from_their_starts():
    wide = holes(matrix_table(), gaps=False)
    launched = read_long(melted(wide).dropna(), align="start")
    assert not launched.calendar.aligned
    assert "series are compared from their starts" in launched.overview().lines()[1]
    np.testing.assert_array_equal(launched.values, read_panel(wide, id="item").values)
    assert not read_panel(wide, id="item", align="start").calendar.aligned
    numbers = pd.DataFrame({"item": ["a", "a", "b", "b"], "date": [1, 2, 5, 6], "y": [1.0, 2.0, 3.0, 4.0]})
    assert not read_long(numbers).calendar.aligned
    assert read_long(numbers, align="calendar").calendar.aligned
    with pytest.raises(InvalidParameterError, match="align"):
        read_long(numbers, align="left")


# ---------------------------------------------------------------- numbers that are dates


@pytest.mark.parametrize(
    ("numbers", "freq", "first", "last"),
    [
        ([202311, 202312, 202401, 202402], "MS", "2023-11-01", "2024-02-01"),
        ([20231130, 20231201, 20231202, 20231204], "D", "2023-11-30", "2023-12-04"),
        ([202350, 202351, 202352, 202401], "W-MON", "2023-12-11", "2024-01-01"),
    ],
)
def test_numbers_of_the_calendar_are_dates(numbers, freq, first, last):
    long = pd.DataFrame({"item": np.repeat(["a", "b"], 4), "date": numbers * 2, "y": np.arange(8.0)})
    panel = read_long(long)
    assert panel.calendar.freq == freq
    assert panel.times.astype("M8[D]").astype(str)[[0, -1]].tolist() == [first, last]
    wide = pd.DataFrame(np.arange(8.0).reshape(2, 4), columns=[str(n) for n in numbers])
    wide.insert(0, "item", ["a", "b"])
    assert_same(read_panel(wide, id="item"), panel)


def test_a_step_of_one_does_not_turn_months_into_numbers():
    """202312 is followed by 202401, and not by 88 months without a row."""
    months = pd.DataFrame({"unique_id": "a", "ds": [202311, 202312, 202401, 202402], "y": range(4)})
    assert len(read_panel(months).values) == 4
    with pytest.raises(InvalidParameterError, match="freq=1 is not a time step"):
        read_panel(months, freq=1)


def test_numbers_that_are_no_dates_stay_numbers():
    long = pd.DataFrame({"item": "a", "date": [1, 2, 3, 5], "y": np.arange(4.0)})
    panel = read_long(long)
    assert panel.times.tolist() == [1, 2, 3, 4, 5]
    assert panel.calendar.freq == 1
    years = read_long(long.assign(date=[2019, 2020, 2021, 2023]))
    assert (years.calendar.freq, len(years.values)) == (1, 5)


# ---------------------------------------------------------------- zones


def test_days_of_a_zone_are_one_step_each_across_clock_changes():
    days = pd.date_range("2024-03-25", periods=14, tz="Europe/Berlin")
    long = pd.DataFrame({"item": "a", "date": days, "y": np.arange(14.0)})
    panel = read_long(long)
    assert (panel.calendar.freq, panel.calendar.zone) == ("D", "Europe/Berlin")
    assert len(panel.values) == 14
    lines = panel.overview().lines()
    assert lines[1] == "Daily, 2024-03-25 to 2024-04-07 (Europe/Berlin)"


def test_weeks_of_a_zone_hold_the_hours_of_its_days():
    hours = pd.date_range("2024-03-25", "2024-04-07 23:00", freq="h", tz="Europe/Berlin")
    panel = read_long(pd.DataFrame({"item": "a", "date": hours, "y": 1.0}), freq="1d", duplicates="sum")
    assert panel.values.ravel().tolist() == [24.0] * 6 + [23.0] + [24.0] * 7  # clocks skip an hour on 31 March
    panel = read_long(pd.DataFrame({"item": "a", "date": hours, "y": 1.0}), freq="1w", duplicates="sum")
    assert panel.values.ravel().tolist() == [167.0, 168.0]


# ---------------------------------------------------------------- back to tables


NAMES = {"id": "item", "time": "date", "value": "y"}


def test_a_long_table_gets_its_rows_back_in_order():
    long = melted(holes(matrix_table())).sample(frac=1, random_state=1).assign(shop="north")
    panel = read_long(long)
    back = like(long, panel.with_values(panel.values * 2))
    pd.testing.assert_frame_equal(back, long.assign(y=long["y"] * 2), check_dtype=False)


def test_columns_get_their_own_channels_back():
    long = melted(matrix_table()).assign(z=lambda t: t["y"] + 100)
    panel = read_panel(long, id="item", time="date", value=["y", "z"])
    turned = replace(panel, values=panel.values[:, ::-1], channels=("z", "y"))
    pd.testing.assert_frame_equal(like(long, turned), long, check_dtype=False)


def test_joined_ids_are_joined_again_for_the_way_back():
    long = melted(matrix_table()).assign(shop=lambda t: t["item"].str[1:].astype(int) % 2, item="x")
    long["item"] = np.repeat(list("aabbcc"), 24)
    panel = read_panel(long, id=["shop", "item"], time="date", value="y")
    assert panel.ids.tolist() == ["0/a", "1/a", "0/b", "1/b", "0/c", "1/c"]
    pd.testing.assert_frame_equal(like(long, panel), long, check_dtype=False)


def test_a_wide_table_gets_its_cells_back():
    wide = holes(matrix_table()).assign(shop="north")
    wide = wide[["shop", *wide.columns[:-1][::-1]]]  # latest first
    panel = read_panel(wide, id="item")
    back = like(wide, panel.with_values(panel.values * 2))
    assert back.columns.tolist() == wide.columns.tolist()
    dates = panel.times.max().astype("M8[D]").astype(str)
    np.testing.assert_array_equal(back[dates], 2 * wide[dates])
    assert back[["shop", "item"]].equals(wide[["shop", "item"]])
    np.testing.assert_array_equal(back.iloc[:, 1:-1].to_numpy(float), 2 * wide.iloc[:, 1:-1].to_numpy(float))


@pytest.mark.filterwarnings("ignore::vrae.exceptions.PosteriorCollapseWarning")
def test_reconstructions_have_the_rows_of_the_table():
    """Gaps are completed, and there is nothing before the first value or after the last."""
    wide = holes(matrix_table())
    long = melted(wide).sample(frac=1, random_state=1)
    model = VRAE(max_epochs=1, latent_size=2, hidden_size=8, random_state=0).fit(read_long(long))
    rows = model.reconstruct(long)
    assert rows[["item", "date"]].equals(long[["item", "date"]])
    given = long.sort_values(["item", "date"])
    inside = (given.groupby("item")["y"].ffill().notna() & given.groupby("item")["y"].bfill().notna())[long.index]
    assert inside.sum() > long["y"].notna().sum()
    np.testing.assert_array_equal(rows["y"].notna(), inside)
    cells = like(wide, model.reconstruct(read_panel(wide, id="item"))).set_index("item")
    aligned = rows.pivot(index="item", columns="date", values="y")
    np.testing.assert_allclose(cells.to_numpy(float), aligned.to_numpy(float), rtol=1e-5)


# ---------------------------------------------------------------- in parts


def gapped(lengths: list[int], step: str, seed: int = 0) -> pd.DataFrame:
    """Return a long table sorted by series, with staggered starts and gaps between dates."""
    rng = np.random.default_rng(seed)
    dates = pd.date_range("2024-01-01", periods=8 + 4 * max(lengths), freq=step)
    frames = [
        pd.DataFrame({"item": f"i{k:03}", "date": dates[rng.integers(0, 8) + np.cumsum(rng.integers(1, 4, n))]})
        for k, n in enumerate(lengths)
    ]
    table = pd.concat(frames, ignore_index=True)
    return table.assign(y=rng.integers(0, 100, len(table)) / 4)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lengths=st.lists(st.integers(1, 9), min_size=2, max_size=15),
    step=st.sampled_from(["D", "W-MON", "MS", "h", "B"]),
    options=st.sampled_from([{}, {"fill": 0.0}, {"freq": "1w", "duplicates": "sum"}, {"align": "start"},
                             {"freq": "1mo", "fill": 0.0, "duplicates": "mean"}]),
    size=st.integers(1, 20),
)  # fmt: skip
def test_tables_in_parts_are_on_one_calendar(lengths, step, options, size, tmp_path_factory):
    table = gapped(lengths, step)
    path = tmp_path_factory.mktemp("parts") / "table.parquet"
    table.to_parquet(path, row_group_size=11)
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore", DataWarning)  # few rows may show no step
        whole = read_panel(path, **NAMES, **options)
        patch.setattr(stream, "_WHOLE_VALUES", 0)
        panels = list(stream_panels(path, series_per_panel=size, **NAMES, **options))
    assert_same(join_panels(panels), whole)
    assert {len(panel) for panel in panels[:-1]} <= {size}


@pytest.mark.parametrize("options", [{}, {"fill": 0.0}])
def test_csv_in_parts_is_filled_to_the_end_of_the_table(options, tmp_path, monkeypatch):
    path: Path = tmp_path / "table.csv"
    gapped([9, 1, 4, 6, 2, 8], "W-MON").to_csv(path, index=False)
    whole = read_panel(path, **NAMES, **options)
    monkeypatch.setattr(stream, "_WHOLE_VALUES", 0)
    panels = list(stream_panels(path, series_per_panel=2, **NAMES, **options))
    assert len(panels) == 3
    assert_same(join_panels(panels), whole)
    if options:
        assert len({panel.times[-1] for panel in panels}) == 1


@pytest.mark.parametrize("weeks", [1, 2])
def test_phases_are_moved_alike_in_parts(weeks, tmp_path, monkeypatch):
    """Weeks that begin on other days in other series. The earliest day is in the last series."""
    starts = [pd.Timestamp("2024-01-03") + pd.Timedelta(days=k % 3) for k in range(8)] + [pd.Timestamp("2024-01-02")]
    dates = [pd.date_range(start, periods=20, freq=f"{7 * weeks}D") for start in starts]
    table = pd.concat([pd.DataFrame({"item": f"i{k}", "date": own, "y": 1.0}) for k, own in enumerate(dates)])
    table.to_parquet(tmp_path / "table.parquet")
    with pytest.warns(DataWarning, match="moved to the beginning of their steps"):
        whole = read_panel(tmp_path / "table.parquet", **NAMES)
    assert whole.calendar.freq == ("W-TUE" if weeks == 1 else "2W-TUE")
    assert not whole.calendar.ends
    assert whole.lengths.tolist() == [20] * 9
    monkeypatch.setattr(stream, "_WHOLE_VALUES", 0)
    with pytest.warns(DataWarning, match="moved to the beginning of their steps"):
        panels = list(stream_panels(tmp_path / "table.parquet", series_per_panel=2, **NAMES))
    assert_same(join_panels(panels), whole)


def test_one_row_on_any_day_of_a_week_is_read_alike_in_parts(tmp_path, monkeypatch):
    """The earliest day is no Monday."""
    rng = np.random.default_rng(0)
    weeks = pd.date_range("2024-01-01", periods=30, freq="W-MON")
    dates = [weeks + pd.to_timedelta(rng.integers(1, 5, 30), unit="D") for _ in range(6)]
    table = pd.concat([pd.DataFrame({"item": f"i{k}", "date": own, "y": 1.0}) for k, own in enumerate(dates)])
    table.to_parquet(tmp_path / "table.parquet")
    with pytest.warns(DataWarning, match="moved to the beginning of their steps"):
        whole = read_panel(tmp_path / "table.parquet", **NAMES)
    monkeypatch.setattr(stream, "_WHOLE_VALUES", 0)
    with pytest.warns(DataWarning, match="moved to the beginning of their steps"):
        panels = list(stream_panels(tmp_path / "table.parquet", series_per_panel=2, **NAMES))
    assert whole.calendar.freq == "W-MON"
    assert_same(join_panels(panels), whole)


def test_facts_about_parts_are_those_of_the_whole(tmp_path, monkeypatch):
    path = tmp_path / "table.parquet"
    gapped([9, 1, 4, 6, 2, 8], "W-MON").to_parquet(path)
    whole = read_panel(path, id="item", time="date").overview()
    monkeypatch.setattr(stream, "_WHOLE_VALUES", 0)
    total = None
    for panel in stream_panels(path, series_per_panel=2, id="item", time="date"):
        total = panel.overview() if total is None else total.merged(panel.overview())
    assert total is not None
    assert total.lines() == whole.lines()


# ---------------------------------------------------------------- what is said of a table


def test_three_lines_say_what_was_read():
    wide = matrix_table(4, 12)
    wide.iloc[0, 3] = np.nan
    lines = read_long(melted(wide).dropna()).overview().lines()
    assert lines == [
        "4 series of 12 steps, named by item",
        "Weekly (Mondays), 2024-01-01 to 2024-03-18",
        "1 channel: 'y'; 2.1 % of weeks have no row",
    ]


def test_a_series_that_ends_before_the_others_is_said():
    long = melted(matrix_table(10, 60, "D"))
    gone = long.drop(long.index[(long["item"] == "i3") & (long["date"] > "2024-02-10")])
    found = read_long(gone).overview()
    said = "1 of 10 series ends before the others: 'i3', after 2024-02-10"
    assert found.lines()[1] == f"Daily, 2024-01-01 to 2024-02-29; {said}"
    assert "ends" not in read_long(gone, fill=0).overview().lines()[1]  # it goes on
    later = long.drop(long.index[(long["item"] == "i3") & (long["date"] > "2024-02-24")])
    assert "ends" not in read_long(later).overview().lines()[1]
    more = gone.drop(gone.index[(gone["item"] == "i5") & (gone["date"] > "2024-02-03")])
    said = "2 of 10 series end before the others, such as 'i3', after 2024-02-10 or earlier"
    assert read_long(more).overview().lines()[1].endswith(said)
    usual = more.drop(more.index[(more["item"] == "i7") & (more["date"] > "2024-02-10")])
    assert "end before" not in read_long(usual).overview().lines()[1]
    whole = read_long(more)
    total = whole[:4].overview().merged(whole[4:].overview())
    assert total.lines()[1] == whole.overview().lines()[1]


def test_a_series_too_short_for_a_shape_is_said():
    long = melted(matrix_table(10, 60, "D"))
    short = read_long(long.drop(long.index[(long["item"] == "i3") & (long["date"] > "2024-01-03")]))
    said = "; 1 of 10 series has 3 steps or fewer, too few for a shape: 'i3'"
    assert short.overview().lines()[0] == f"10 series of 3 to 60 steps, named by item{said}"
    assert short[:4].overview().merged(short[4:].overview()).lines()[0].endswith(said)
    assert short[4:].overview().merged(short[:4].overview()).lines()[0].endswith(said)
    four = read_long(long.drop(long.index[(long["item"] == "i3") & (long["date"] > "2024-01-04")]))
    assert "shape" not in four.overview().lines()[0]
    new = long[(long["date"] < "2024-01-04") | long["item"].isin(["i0", "i1"])]  # most items are new
    assert "shape" not in read_long(new).overview().lines()[0]


def test_lines_tell_empty_cells_from_steps_without_a_row():
    long = melted(matrix_table(4, 12))
    long.loc[5, "y"] = np.nan
    both = read_long(long.drop(index=[3])).overview().lines()[2]
    assert both == "1 channel: 'y'; 2.1 % of weeks have no row, 2.1 % of values are missing"
    assert read_long(long).overview().lines()[2] == "1 channel: 'y'; 2.1 % of values are missing"
    assert read_long(melted(matrix_table())).overview().lines()[2] == "1 channel: 'y'; 0.0 % of values are missing"


def test_weeks_without_any_of_their_days_have_no_row():
    days = pd.date_range("2024-01-01", periods=60).delete(range(20, 40))
    long = pd.DataFrame({"item": "a", "date": days, "y": 1.0})
    lines = read_long(long, freq="1w", duplicates="sum").overview().lines()
    assert lines[0] == "1 series of 9 steps, named by item"
    assert lines[2] == "1 channel: 'y'; 22.2 % of weeks have no row"


def test_lines_of_other_times():
    assert Panel.from_arrays(np.ones((2, 3))).overview().lines() == [
        "2 series of 3 steps",
        "No times: steps are in the order of the data",
        "1 channel: 'value'; 0.0 % of values are missing",
    ]
    numbers = pd.DataFrame({"item": "a", "date": [1, 2, 3, 5], "y": np.arange(4.0)})
    lines = read_long(numbers).overview().lines()
    assert lines[1:] == [
        "Every 1, 1 to 5; series are compared from their starts",
        "1 channel: 'y'; 20.0 % of steps have no row",
    ]
    hours = pd.date_range("2024-01-01 06:30", periods=5, freq="h")
    lines = read_long(pd.DataFrame({"item": "a", "date": hours, "y": 1.0})).overview().lines()
    assert lines[1] == "Hourly, 2024-01-01 06:30 to 2024-01-01 10:30"
    with pytest.warns(DataWarning, match="no regular step"):
        lines = read_long(pd.DataFrame({"item": "a", "date": hours[[0, 1, 2, 4]] + pd.to_timedelta(
            [0, 7, 13, 44], unit="s"), "y": 1.0})).overview().lines()  # fmt: skip
    assert lines[1] == "No regular step, 2024-01-01 06:30 to 2024-01-01 10:30:44: rows are read as neighbours"


def test_times_need_a_time_column():
    numbered = pd.DataFrame({"item": ["a", "b"], "w1": [1.0, 2.0], "w2": [3.0, 4.0], "w3": [3.0, 4.0]})
    for option in ({"freq": "1d"}, {"align": "start"}):
        with pytest.raises(InvalidParameterError, match=r"needs times.*not named by dates"):
            read_panel(numbered, id="item", **option)
    ordered = pd.DataFrame({"item": ["a", "a", "b", "b"], "y": np.arange(4.0)})
    with pytest.raises(InvalidParameterError, match="needs a time column"):
        read_panel(ordered, id="item", freq="1d")


def test_columns_in_one_step_are_refused():
    with pytest.raises(InvalidDataError, match="Several columns of the pandas table are in one step of freq='MS'"):
        read_panel(matrix_table(), id="item", freq="1mo")


def test_a_repeated_date_is_named_and_no_freq_that_nobody_passed():
    wide = pd.DataFrame([[1.0, 2.0, 3.0]] * 2, columns=["2024-01-01", "2024-01-02", "2024-01-02 "])
    with pytest.raises(InvalidDataError, match=r"in one step, the first two at 2024-01-02.*duplicates=") as caught:
        read_panel(wide)
    assert "freq" not in str(caught.value)


@pytest.mark.parametrize("how", ["sum", "mean", "first", "last"])
def test_columns_in_one_step_are_merged_like_rows(how):
    wide = holes(matrix_table(steps=90, freq="D"), gaps=False)
    options = {"freq": "MS", "duplicates": how}
    long = melted(wide)  # with its empty cells
    np.testing.assert_allclose(read_panel(wide, id="item", **options).values, read_long(long, **options).values)


def test_the_share_of_filled_steps_is_that_of_the_long_table():
    wide = holes(matrix_table())
    found, expected = read_panel(wide, id="item", fill=0), read_long(melted(wide).dropna(), fill=0)
    assert found.overview().lines()[2].partition(";")[2] == expected.overview().lines()[2].partition(";")[2]
    assert_same(found, expected, absent=True)


@pytest.mark.parametrize("freq", ["1s", "1ms"])
def test_a_wide_table_has_the_limit_of_steps_of_a_long_one(freq):
    with pytest.raises(InvalidDataError, match=r"freq='m?s' would make .* steps from 300 rows"):
        read_panel(matrix_table(5, 60, "D"), id="item", freq=freq)


def test_fill_that_cannot_be_used_is_said():
    dates = pd.to_datetime(["2024-01-01", "2024-01-05", "2024-03-17 05:01:07", "2024-05-03"], format="ISO8601")
    table = pd.DataFrame({"item": np.repeat(["a", "b"], 4), "date": list(dates) * 2, "y": 1.0})
    with pytest.warns(DataWarning, match="no regular step.*fill=0 is not used"):
        read_long(table, fill=0)


# ---------------------------------------------------------------- labels of pandas


def labelled(labels: Any) -> pd.DataFrame:
    return pd.DataFrame(np.arange(2.0 * len(labels)).reshape(2, -1), columns=labels)


@pytest.mark.parametrize("index", [False, True])
def test_labels_keep_their_zone(index):
    days = pd.date_range("2024-03-29", periods=5, tz="Europe/Berlin")  # clocks change on the 31st
    wide = labelled(days)
    panel = read_panel(wide.assign(item=["a", "b"]) if index else wide)
    assert (panel.calendar.freq, panel.calendar.zone) == ("D", "Europe/Berlin")
    assert pd.DatetimeIndex(panel.times[:5]).tz_localize("UTC").tz_convert("Europe/Berlin").tolist() == days.tolist()


def test_labels_that_are_periods_begin_with_their_first_day():
    panel = read_panel(labelled(pd.period_range("2024-01-01", periods=5, freq="W")))
    assert (panel.calendar.freq, str(panel.times[0])[:10]) == ("W-MON", "2024-01-01")
    assert read_panel(labelled(pd.period_range("2024-01", periods=5, freq="M"))).calendar.freq == "MS"


def test_labels_of_two_levels_are_those_of_the_only_value_column():
    long = melted(matrix_table())
    expected = read_long(long)
    for wide in (long.pivot(index="item", columns="date", values=["y"]), long.set_index(["item", "date"]).unstack()):
        assert_same(read_panel(wide), expected)
        assert_same(read_panel(wide.reset_index(), id="item"), expected)
        back = like(wide, expected.with_values(expected.values * 2))
        pd.testing.assert_frame_equal(back, wide * 2, check_dtype=False)
    two = long.assign(z=1.0).set_index(["item", "date"]).unstack()
    with pytest.raises(InvalidDataError, match=r"2 levels, with 'y', 'z' in the first.*table\['y'\]"):
        read_panel(two)


# ---------------------------------------------------------------- times that cannot be used


FAR = pa.array([2**55 + day for day in range(4)]).cast(pa.timestamp("s"))
UNUSABLE = {
    "beyond microseconds": (FAR, "far beyond the years 1 to 9999"),
    "year 20000": (pa.array([568971820800] * 4).cast(pa.timestamp("s", "Europe/Berlin")), "Years go from 1 to 9999"),
    "years before 0": (pa.array([-(2**60), 0, 1, 2**60]).cast(pa.timestamp("us")), "Years go from 1 to 9999"),
    "unknown zone": (pa.array([0, 1, 2, 3]).cast(pa.timestamp("us", "Mars/X")), "zone 'Mars/X', which is not known"),
    "large numbers": (
        pa.array([2**63 + step for step in range(4)], pa.uint64()),
        r"up to 9223372036854775811.*2\*\*63",
    ),
    "infinite": (pa.array([1.0, 2.0, 3.0, np.inf]), "infinite in some rows"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_times_that_cannot_be_used_are_refused_in_words(name):
    times, words = UNUSABLE[name]
    with pytest.raises(InvalidDataError, match=words):
        read_panel(pa.table({"item": ["a"] * 4, "date": times, "y": [1, 2, 3, 4]}), id="item", time="date")


def test_a_value_of_fill_is_a_finite_number():
    with pytest.raises(InvalidParameterError, match="fill must be a finite number; found inf"):
        read_panel(matrix_table(), id="item", fill=float("inf"))


def test_fill_needs_no_dates_in_a_wide_table():
    wide = pd.DataFrame({"item": ["a", "b"], "w1": [1.0, np.nan], "w2": [np.nan, 2.0], "w3": [3.0, np.nan]})
    panel = read_panel(wide, fill=0)
    np.testing.assert_array_equal(panel.values.ravel(), [1, 0, 3, np.nan, 2, 0])


# -------------------------------------------------------------------- closed


def weekly_sales(n_items, closed=(30, 31)):
    """Sales of items in 60 weeks. Half of the rows are absent, and in two weeks all of them."""
    rng = np.random.default_rng(0)
    weeks = pd.date_range("2024-01-01", periods=60, freq="W-MON")
    sold = rng.random((n_items, 60)) < 0.5
    sold[:, list(closed)] = False
    item, week = np.nonzero(sold)
    return pd.DataFrame({"item": [f"i{i:03}" for i in item], "week": weeks[week], "qty": 1.0 + week})


def test_weeks_without_any_row_are_closed_and_not_without_sales(tmp_path, monkeypatch):
    table = weekly_sales(50)
    with pytest.warns(DataWarning, match=r"No series has a row in 2 of the weeks: 2024-07-29, 2024-08-05\. They stay"):
        panel = read_panel(table, id="item", time="week", value="qty", fill=0)
    closed = np.isin(panel.times, np.array(["2024-07-29", "2024-08-05"], "M8[us]"))
    assert np.isnan(panel.values[closed]).all()
    assert not np.isnan(panel.values[~closed]).any()
    assert panel.calendar.absent == pytest.approx((panel.values == 0).mean())
    wide = table.pivot_table(index="item", columns="week", values="qty").rename_axis(None, axis=1).reset_index()
    with pytest.warns(DataWarning, match="No series has a row in 2 of the weeks"):
        assert_same(read_panel(wide, id="item", fill=0), panel)
    table.to_csv(tmp_path / "sales.csv", index=False)
    options = {"id": "item", "time": "week", "value": "qty", "fill": 0}
    monkeypatch.setattr(stream, "_WHOLE_VALUES", 0)  # read in parts
    with pytest.warns(DataWarning, match="No series has a row in 2 of the weeks"):
        parts = list(stream_panels(tmp_path / "sales.csv", series_per_panel=20, **options))
    assert len(parts) == 3
    np.testing.assert_array_equal(np.concatenate([part.values for part in parts]), panel.values)


@pytest.mark.parametrize(("n_items", "closed"), [(3, (30, 31)), (50, range(4, 60, 7))], ids=["few rows", "usual"])
def test_steps_without_a_row_by_chance_or_habit_are_filled(n_items, closed):
    panel = read_panel(weekly_sales(n_items, closed), id="item", time="week", value="qty", fill=0)
    assert not np.isnan(panel.values).any()
