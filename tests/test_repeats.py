"""Rows that repeat an id and a time are told apart, or refused with the reason."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from vrae import read_panel
from vrae.data.stream import stream_panels
from vrae.exceptions import DataWarning, InvalidDataError

ZONE = "Europe/Berlin"


def local(freq: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Return two series on the clock of a night with an hour twice, and their times in UTC."""
    times = pd.date_range("2024-10-26 12:00", "2024-10-27 12:00", freq=freq, tz=ZONE)
    wall = np.tile(times.tz_localize(None), 2)
    table = pd.DataFrame({"id": np.repeat(["a", "b"], len(times)), "t": wall, "y": np.arange(2.0 * len(times))})
    return table, times.tz_convert("UTC").tz_localize(None).to_numpy()


@pytest.mark.parametrize("freq", ["h", "10min"])
def test_an_hour_that_comes_twice(freq, tmp_path):
    table, times = local(freq)
    table.to_csv(tmp_path / "local.csv", index=False)
    turns = np.argsort(np.tile(np.arange(len(times)), 2), kind="stable")
    mixed = table.sort_values("t", kind="stable") if freq == "h" else table.iloc[turns]
    for source in (table, mixed, tmp_path / "local.csv"):
        with pytest.warns(DataWarning, match=r"Clocks of Europe/Berlin go back on 2024-10-27"):
            panel = read_panel(source, id="id", time="t", timezone=ZONE)
        assert panel.times is not None
        np.testing.assert_array_equal(panel.times, np.tile(times, 2).astype("M8[us]"))
        np.testing.assert_array_equal(panel.values[:, 0], np.arange(2 * len(times)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = list(stream_panels(tmp_path / "local.csv", series_per_panel=1, id="id", time="t", timezone=ZONE))
    assert [part.lengths.tolist() for part in parts] == [[len(times)], [len(times)]]


def test_an_hour_that_comes_twice_in_an_unclear_order():
    table, _ = local("10min")
    for unclear in (table.sort_values("t", kind="stable"), table.drop(88)):
        with pytest.raises(InvalidDataError, match=r"2024-10-27 02:\d0. On this day.* with their offset"):
            read_panel(unclear, id="id", time="t", timezone=ZONE)


def test_an_hour_that_comes_twice_without_a_zone_asks_for_it():
    table, _ = local("10min")
    said = r"in one hour of Sunday, 2024-10-27\. If clocks went back then, name the zone"
    with pytest.raises(InvalidDataError, match=said):
        read_panel(table, id="id", time="t")
    with pytest.warns(DataWarning, match=f"Merged 12 rows .*{said}"):
        read_panel(table, id="id", time="t", duplicates="mean")
    other = pd.concat([table, table.iloc[:1]])
    with pytest.raises(InvalidDataError) as refused:
        read_panel(other, id="id", time="t")
    assert "clocks" not in str(refused.value)
    wall = pd.date_range("2023-10-01", "2024-11-01", freq="h", tz=ZONE).tz_localize(None)
    with pytest.raises(InvalidDataError, match=r"in one hour of a Sunday of each year, such as 2023-10-29\. If"):
        read_panel(pd.DataFrame({"id": "a", "t": wall, "y": 1.5}), id="id", time="t")


@pytest.mark.parametrize("hours", [np.arange(8, 18), [f"{hour}:30" for hour in range(8, 18)]])
def test_a_time_of_day_in_another_column(hours, tmp_path):
    days = np.repeat(pd.date_range("2024-01-01", periods=5), 10)
    table = pd.DataFrame({"id": "a", "day": days, "hour": np.tile(hours, 5), "calls": np.arange(50) % 7 + 20})
    table.to_csv(tmp_path / "table.csv", index=False)
    for source in (table, tmp_path / "table.csv"):  # in a csv, 8:30 is a time
        with pytest.raises(InvalidDataError, match=r"Column 'hour' looks like the time of day of 'day'\. Join both"):
            read_panel(source, id="id", time="day", value="calls")


def test_days_of_months_beside_their_year():
    days = pd.date_range("2024-01-01", periods=90)
    table = pd.DataFrame({"id": "a", "year": days.year, "month": days.month, "day": days.day, "y": 1.5})
    with pytest.raises(InvalidDataError, match=r"'year' looks like the year of 'day'\. Join them .* as 2024-01-31"):
        read_panel(table, id="id", time="day", value="y")
    with pytest.raises(InvalidDataError, match=r"'day', 1 to 31, are days or hours without their date"):
        read_panel(table.drop(columns="year"), id="id", time="day", value="y")


def test_days_of_a_month_beside_their_year():
    days = np.tile(np.arange(1, 32), 2)
    table = pd.DataFrame({"id": "a", "year": np.repeat([2023, 2024], 31), "day": days, "y": 1.5})
    with pytest.raises(InvalidDataError, match=r"'year' looks like the year of 'day'\..* such as 2024-01-31, and"):
        read_panel(table, id="id", time="day", value="y")
    weeks = table.rename(columns={"day": "week"})
    with pytest.raises(InvalidDataError, match=r"'year' looks like the year of 'week'\..* such as 2024-W05, and"):
        read_panel(weeks, id="id", time="week", value="y")


@pytest.mark.parametrize("times", [np.arange(1, 13), pd.date_range("2024-01-01", periods=12).to_numpy()])
def test_long_whole_numbers_beside_repeats_are_no_parts_of_dates(times):
    receipts = 10**17 + np.arange(24)  # float64 holds none of them exactly
    table = pd.DataFrame({"id": "a", "t": np.tile(times, 2), "receipt": receipts, "qty": np.arange(24) % 7})
    with pytest.warns(DataWarning, match="Merged 12 rows"):
        panel = read_panel(table, id="id", time="t", value="qty", duplicates="sum")
    assert panel.lengths.tolist() == [12]
    with pytest.raises(InvalidDataError, match="Found 12 rows"):
        read_panel(table, id="id", time="t", value="qty")


def test_other_repeats_are_refused_in_local_time():
    table, _ = local("h")
    once = table.iloc[:12]
    with pytest.raises(InvalidDataError, match=r"'a' at 2024-10-26 13:00.*duplicates="):
        read_panel(pd.concat([once, once.iloc[[1]]]), id="id", time="t", timezone=ZONE)
    zoned = once.assign(t=once["t"].dt.tz_localize(ZONE))
    with pytest.raises(InvalidDataError, match=r"'a' at 2024-10-26 13:00.*duplicates="):
        read_panel(pd.concat([zoned, zoned.iloc[[1]]]), id="id", time="t")


@pytest.mark.parametrize(
    ("time", "n_parts", "example"), [("part", 52, "2024-W05"), ("part", 12, "2024-05"), ("year", 12, "2024-05")]
)
def test_a_year_in_another_column(time, n_parts, example):
    parts = np.tile(np.arange(1, n_parts + 1), 4)
    table = pd.DataFrame(
        {"id": np.repeat(["a", "b"], 2 * n_parts), "year": np.repeat([2023, 2024, 2023, 2024], n_parts)}
    )
    table = table.assign(part=parts, qty=np.arange(len(parts)) % 7)
    with pytest.raises(
        InvalidDataError, match=rf"column 'year' looks like the year of 'part'.* such as {example}, and"
    ):
        read_panel(table, id="id", time=time, value="qty")
    repeated = pd.concat([table, table.iloc[:1]])
    with pytest.raises(InvalidDataError, match="duplicates="):
        read_panel(repeated, id="id", time=time, value="qty")
    n_more = 2 * n_parts if time == "part" else len(table) - 4
    said = f"Merged {n_more} rows that repeat" + (".* looks like the year of 'part'" if time == "part" else "")
    with pytest.warns(DataWarning, match=said):
        read_panel(table, id="id", time=time, value="qty", duplicates="sum")


@pytest.mark.parametrize(("n_parts", "words"), [(52, "weeks .* such as 2024-W05"), (12, "months .* such as 2024-05")])
def test_weeks_and_months_without_their_year_are_said(n_parts, words):
    parts = np.arange(3 * n_parts) % n_parts + 1
    table = pd.DataFrame({"id": "a", "part": parts, "qty": np.arange(len(parts)) % 7})
    said = rf"If the numbers in column 'part', 1 to {n_parts}, are {words}"
    with pytest.raises(InvalidDataError, match=said):
        read_panel(table, id="id", time="part")
    with pytest.warns(DataWarning, match=rf"Merged {2 * n_parts} rows .* duplicates='sum'\. {said}"):
        read_panel(table, id="id", time="part", duplicates="sum")
    year = table.iloc[n_parts - 5 : 2 * n_parts - 5]  # no number comes twice, but they begin again
    with pytest.warns(DataWarning, match=rf"go from {n_parts} to 1 within series\. {said}"):
        read_panel(year, id="id", time="part")
    read_panel(table.iloc[:n_parts], id="id", time="part")
    read_panel(table.iloc[:n_parts].sample(frac=1, random_state=0), id="id", time="part")  # in no order
