"""Dates are recognised however they are written, or refused where they can be read in two ways."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrae.data.columns import Table
from vrae.data.dates import Times, as_times, column_dates
from vrae.data.reading import read_panel
from vrae.data.stream import stream_panels
from vrae.exceptions import DataWarning, InvalidDataError, InvalidParameterError


def times(values: Any, name: str = "ds", date_format: str | None = None) -> Times:
    table = Table("the table", ds.dataset(pa.table({name: values})))
    return as_times(table.read([name])[name], name, table, date_format)


def texts(found: Times) -> list[str]:
    """Return the times as text, without a time of 0."""
    return [str(stamp).removesuffix("T00:00:00.000000") for stamp in found.stamps]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (["2024-01", "2024-02"], ["2024-01-01", "2024-02-01"]),
        (["2024/01/31", "2024/2/1"], ["2024-01-31", "2024-02-01"]),
        (["31.01.2024", "1.2.2024"], ["2024-01-31", "2024-02-01"]),
        (["03.04.2024", "04.05.24"], ["2024-04-03", "2024-05-04"]),
        (["31/01/2024", "03/04/2024"], ["2024-01-31", "2024-04-03"]),
        (["03/04/2024", "01/31/2024"], ["2024-03-04", "2024-01-31"]),
        (["03-04-2024", "31-12-2024"], ["2024-04-03", "2024-12-31"]),
        (["Jan 2024", "February 2024"], ["2024-01-01", "2024-02-01"]),
        (["31 Jan 2024", "1 Sept. 2024"], ["2024-01-31", "2024-09-01"]),
        (["31-Jan-24", "01-MAY-99"], ["2024-01-31", "1999-05-01"]),
        (["Jan-24", "Dec-68"], ["2024-01-01", "2068-12-01"]),
        (["Jan 31, 2024", "July 4, 2024"], ["2024-01-31", "2024-07-04"]),
        (["1991 Jul", "1991 Aug"], ["1991-07-01", "1991-08-01"]),
        (["ene-23", "ago-23", "dic-23"], ["2023-01-01", "2023-08-01", "2023-12-01"]),
        (["jan/23", "set/23", "out/23"], ["2023-01-01", "2023-09-01", "2023-10-01"]),
        (["gennaio 2023", "maggio 2023"], ["2023-01-01", "2023-05-01"]),
        (["15 de marzo de 2023", "1 de octubre de 2023"], ["2023-03-15", "2023-10-01"]),
        (["Jan-24", "Feb 24", "Mar-'24", "Apr'24"], ["2024-01-01", "2024-02-01", "2024-03-01", "2024-04-01"]),
        (["out-23", "set'23", "gen-'24"], ["2023-10-01", "2023-09-01", "2024-01-01"]),
        (["1 mrt. 2023"], ["2023-03-01"]),
        (["maart 2023"], ["2023-03-01"]),
        (["févr. 2023", "août 2023"], ["2023-02-01", "2023-08-01"]),
        (["2024-W05", "2024-W6"], ["2024-01-29", "2024-02-05"]),
        (["2024W05", "2020W53"], ["2024-01-29", "2020-12-28"]),
        (["KW05/2024", "KW 6/2024"], ["2024-01-29", "2024-02-05"]),
        (["2024-KW05", "2024 KW 52"], ["2024-01-29", "2024-12-23"]),
        (["2024-W05-1", "2024-W05-7"], ["2024-01-29", "2024-02-04"]),
        (["2024Q1", "2024-Q4"], ["2024-01-01", "2024-10-01"]),
        (["Q1 2024", "Q2/2024"], ["2024-01-01", "2024-04-01"]),
        (["2024-01-31 12:30:15,25", "2024-01-31T12:30"], ["2024-01-31T12:30:15.250000", "2024-01-31T12:30:00.000000"]),
        (["01/31/2024 1:05 PM", "01/31/2024 12:05 a.m."], ["2024-01-31T13:05:00.000000", "2024-01-31T00:05:00.000000"]),
        (["31.12.2023 24:00"], ["2024-01-01"]),
        (["20240131 06:00"], ["2024-01-31T06:00:00.000000"]),
        (["1492-10-12", "3000-01-01"], ["1492-10-12", "3000-01-01"]),
        (["12.10.1492", "01.01.3000"], ["1492-10-12", "3000-01-01"]),
        ([20240131, 20240201], ["2024-01-31", "2024-02-01"]),
        ([20240131.0, 20240201.0], ["2024-01-31", "2024-02-01"]),
        (["20240131", "20240201"], ["2024-01-31", "2024-02-01"]),
        ([202401, 202412], ["2024-01-01", "2024-12-01"]),
        ([202401, 202413], ["2024-01-01", "2024-03-25"]),
        ([202001, 202053], ["2019-12-30", "2020-12-28"]),
    ],
)
def test_dates_are_recognised(written, expected):
    found = times(written)
    assert texts(found) == expected
    assert found.zone is None


@pytest.mark.parametrize("values", [[2023, 2024], ["2023", "2024"], [1, 52], [202400, 202401], [202401, 202453], [1e9]])
def test_other_numbers_stay_numbers(values):
    assert times(values).stamps.tolist() == [float(value) for value in values]


@pytest.mark.parametrize("name", ["week", "Kalenderwoche", "KW", "wk_2", "semaine", "YearWeek"])
def test_six_digits_are_weeks_in_a_column_of_weeks(name):
    assert texts(times([202401, 202405], name)) == ["2024-01-01", "2024-01-29"]
    assert texts(times([202401, 202405], "kwh")) == ["2024-01-01", "2024-05-01"]


@pytest.mark.parametrize(
    ("written", "formats"),
    [
        ("03/04/2024", ("%d/%m/%Y", "%m/%d/%Y")),
        ("03-04-2024", ("%d-%m-%Y", "%m-%d-%Y")),
        ("31/01/24", ("%d/%m/%y", "%m/%d/%y")),
    ],
)
def test_dates_that_can_be_read_in_two_ways_are_refused(written, formats):
    with pytest.raises(InvalidDataError, match="two ways") as error:
        times([written])
    for date_format in formats:
        assert f'date_format="{date_format}"' in str(error.value)
    assert texts(times([written], date_format=formats[0])) in (["2024-04-03"], ["2024-01-31"])
    with pytest.raises(InvalidDataError, match="two ways"):
        column_dates([written, written])


@pytest.mark.parametrize(
    ("values", "wrong", "row"),
    [
        (["2024-01-31", "2024-02-30"], "2024-02-30", 1),
        (["31.01.2024", "x"], "x", 1),
        (["März 2023", "Märzen 2023"], "Märzen 2023", 1),
        (["Jan 24", "out. 10"], "out. 10", 1),
        (["2024-W52", "2024-W53"], "2024-W53", 1),
        (["2024-01-31 25:00"], "2024-01-31 25:00", 0),
        (["2024-01-31 00:00+01:00", "2024-01-31 00:00"], "2024-01-31 00:00", 1),
        (["31/01/2024", "01/31/2024"], "01/31/2024", 1),
    ],
)
def test_what_is_no_date_is_shown_with_its_row(values, wrong, row):
    with pytest.raises(InvalidDataError) as error:
        times(values)
    assert f"{wrong!r} in row {row}, counted from 0" in str(error.value)


def test_offsets_give_a_zone():
    assert times(["2024-01-31T00:00:00Z", "2024-01-31 01:00 UTC"]).zone == "UTC"
    found = times(["2024-01-31 00:00:00.5+02:00", "2024-01-31 01:00:00.5+02:00"])
    assert (found.zone, texts(found)[0]) == ("+02:00", "2024-01-30T22:00:00.500000")
    assert times(["2024-01-31 00:00-0330"]).zone == "-03:30"
    # Days on a clock with summer time, as they are written.
    days = times(["2024-03-30 00:00+01:00", "2024-04-01 00:00+02:00"])
    assert (days.zone, texts(days)) == (None, ["2024-03-30", "2024-04-01"])
    hours = times(["2024-03-30 00:00+01:00", "2024-04-01 01:00+02:00"])
    assert (hours.zone, texts(hours)) == ("UTC", ["2024-03-29T23:00:00.000000", "2024-03-31T23:00:00.000000"])


def test_nanoseconds_are_kept():
    for mark in ("T", " "):
        assert str(times([f"2024-01-31{mark}00:00:00.123456789"]).stamps[0]).endswith(".123456789")


def test_a_date_format_of_the_user():
    assert texts(times(["05/03/2024"], date_format="%d/%m/%Y")) == ["2024-03-05"]
    assert texts(times(["2024-W05"], date_format="%G-W%V")) == ["2024-01-29"]
    assert texts(times([31012024.0], date_format="%d%m%Y")) == ["2024-01-31"]
    assert times(["2024-01-31 00:00 +0200"], date_format="%Y-%m-%d %H:%M %z").zone == "+02:00"
    with pytest.raises(InvalidDataError, match=r"'3 May' in row 1, counted from 0, which is not date_format='%Y'"):
        times(["2024", "3 May"], date_format="%Y")
    for wrong in ("%Q", "%V", "%d%d"):
        with pytest.raises(InvalidParameterError, match="date_format="):
            times(["2024-01-01"], date_format=wrong)
    assert texts(times(pd.to_datetime(["2024-01-31"]), date_format="%d")) == ["2024-01-31"]  # dates already


def test_columns_named_by_dates():
    named = {
        "2024-01-31": "2024-01-31",
        "Jan 2024": "2024-01-01",
        "2024-W05": "2024-01-29",
        "202401": "2024-01-01",
        "31.01.2024": "2024-01-31",
    }
    for name, day in named.items():
        found = column_dates([name])
        assert found is not None
        assert texts(found) == [day]
    for names in (["1", "52"], ["0", "23"], ["w1", "w52"], ["2023", "2024"], ["2024-01-01", "total"], ["a"], [""], []):
        assert column_dates(names) is None
    odd = column_dates(["05/03/2024", "06/03/2024"], "%d/%m/%Y")
    assert odd is not None
    assert texts(odd) == ["2024-03-05", "2024-03-06"]


def test_columns_of_written_dates_are_times_and_not_ids(tmp_path):
    (tmp_path / "x.csv").write_text("day,sold\n31.01.2024,5\n01.02.2024,6\n")
    with pytest.raises(InvalidDataError, match="column of dates, 'day'"):
        read_panel(tmp_path / "x.csv")
    panel = read_panel(tmp_path / "x.csv", time="day")
    assert panel.times is not None
    assert panel.values.ravel().tolist() == [5, 6]


def test_a_csv_keeps_what_a_date_format_needs(tmp_path):
    (tmp_path / "x.csv").write_text("unique_id,ds,y\na,2024-03-05,1\na,2024-04-05,2\n")
    panel = read_panel(tmp_path / "x.csv", date_format="%Y-%d-%m")
    assert panel.times is not None
    assert panel.times.astype("M8[D]").astype(str).tolist() == ["2024-05-03", "2024-05-04"]
    (tmp_path / "x.csv").write_text("unique_id,ds,y\na,2024-03-05T00:00:00+02:00,1\na,2024-03-06T00:00:00+02:00,2\n")
    panel = read_panel(tmp_path / "x.csv")
    assert panel.calendar is not None
    assert panel.calendar.zone == "+02:00"


@given(st.lists(st.dates(date(1, 1, 1), date(9999, 12, 30)), min_size=1, max_size=5), st.sampled_from("-/."))
def test_any_day_is_read_back(days, mark):
    for written in ("{0:04}{3}{1:02}{3}{2:02}", "{2}{3}{1}{3}{0:04}"):
        try:
            found = times([written.format(day.year, day.month, day.day, mark) for day in days])
        except InvalidDataError as error:
            assert "two ways" in str(error)  # noqa: PT017
            assert all(day.day <= 12 for day in days)
            continue
        assert (found.stamps == np.array(days, "M8[D]")).all()


def test_a_zone_of_the_user_is_that_of_hours_and_days():
    hours = pd.date_range("2024-03-01", periods=24 * 40, freq="h", tz="Europe/Berlin")  # clocks change within
    table = pd.DataFrame({"at": [time.isoformat() for time in hours], "load": np.arange(float(len(hours)))})
    with pytest.warns(DataWarning, match="have several offsets from UTC.*Hours and days are those of UTC"):
        as_written = read_panel(table, time="at", value="load")
    assert as_written.times is not None
    assert (as_written.zone, str(as_written.times[0])) == ("UTC", "2024-02-29T23:00:00.000000")
    local = read_panel(table, time="at", value="load", timezone="Europe/Berlin")
    assert local.reading is not None
    assert (local.zone, local.reading.timezone) == ("Europe/Berlin", "Europe/Berlin")
    np.testing.assert_array_equal(local.times, as_written.times)
    naive = read_panel(
        table.assign(at=hours.tz_localize(None)), time="at", value="load", freq="h", timezone="Europe/Berlin"
    )
    np.testing.assert_array_equal(naive.times, local.times)
    written = [f"2024-03-{day:02}T00:00:00+01:00" for day in range(1, 32)]
    written += [f"2024-04-{day:02}T00:00:00+02:00" for day in range(1, 10)]
    days = read_panel(table.iloc[:40].assign(at=written), time="at", value="load", timezone="Europe/Berlin")
    assert days.calendar is not None
    assert (days.calendar.describe(), days.calendar.zone) == ("daily", "Europe/Berlin")
    wrong: Any
    for wrong in ("Berlin", "", 3):
        with pytest.raises(InvalidParameterError, match=r"is not known\. Pass a name"):
            read_panel(table, time="at", value="load", timezone=wrong)
    with pytest.raises(InvalidParameterError, match="applies to dates"):
        read_panel(table.assign(at=np.arange(len(table))), time="at", value="load", timezone="UTC")
    with pytest.raises(InvalidParameterError, match="timezone='UTC' needs times"):
        read_panel(pd.DataFrame({"a": ["x", "y"], "b": [1.0, 2], "c": [2.0, 3]}), layout="wide", timezone="UTC")


def of_months(written: Any) -> pd.DataFrame:
    rows = {"item": np.repeat(["a", "b"], len(written)), "t": np.tile(written, 2), "qty": np.arange(2 * len(written))}
    return pd.DataFrame(rows)


def step_of(source: Any, **options: Any) -> Any:
    calendar = read_panel(source, id="item", **options).calendar
    return None if calendar is None else calendar.freq


@pytest.mark.parametrize("separator", [",", ";"])
def test_months_with_a_point(tmp_path, separator):
    written = [f"{month % 12 + 1:02}.{2019 + month // 12}" for month in range(24)]
    assert texts(times(written))[::12] == ["2019-01-01", "2020-01-01"]
    frame = of_months(written)
    frame.to_csv(tmp_path / "sales.csv", index=False, sep=separator)
    for source in (frame, tmp_path / "sales.csv"):
        assert step_of(source, time="t") == "MS"
    streamed = next(stream_panels(tmp_path / "sales.csv", id="item", time="t"))
    assert streamed.times is not None
    assert (np.diff(streamed.times[:24].astype("M8[M]")).astype(int) == 1).all()
    wide = frame.pivot(index="item", columns="t", values="qty").reset_index()
    assert step_of(wide) == "MS"
    decimals = frame.assign(t=frame["t"].astype(float))
    with pytest.raises(InvalidDataError, match=r'number 1.2019.*date_format="%m.%Y", or keep them as text'):
        read_panel(decimals, id="item", time="t")
    assert step_of(decimals, time="t", date_format="%m.%Y") == "MS"


def test_weeks_with_a_point():
    frame = of_months([f"{week:02}.2024" for week in range(1, 21)])
    with pytest.raises(InvalidDataError, match=r'weeks with their years, such as 20.2024.*"%V.%G"'):
        read_panel(frame, id="item", time="t")
    assert step_of(frame, time="t", date_format="%V.%G") == "W-MON"
    with pytest.raises(InvalidDataError, match=r'"%V\.%G"'):
        times(["01.2024", "02.2024"], name="KW")


def test_decimals_that_are_no_months():
    assert times([1.2, 2.2, 3.2]).stamps.dtype == np.float64
    assert times(["0.5", "12.2023"]).stamps.tolist() == [0.5, 12.2023]


@pytest.mark.parametrize(
    ("first", "rest", "step"),
    [
        ("01/2023 [Stk]", "%m/%Y [Stk]", "MS"),
        ("Umsatz 01.2023", "Umsatz %m.%Y", "MS"),
        ("qty_2023-01-01", "qty_%Y-%m-%d", "MS"),
        ("Sales Jan 2023 (pcs)", "Sales %b %Y (pcs)", "MS"),
        ("qty_202301", "qty_%Y%m", "MS"),
    ],
)
def test_words_around_the_dates_of_columns(first, rest, step):
    months = pd.date_range("2023-01-01", periods=9, freq="MS")
    names = [month.strftime(rest) for month in months]
    assert names[0] == first
    wide = pd.DataFrame(np.arange(27).reshape(3, 9), columns=names)
    wide.insert(0, "item", ["a", "b", "c"])
    assert step_of(wide) == step
    panel = read_panel(wide[["item", *names[::-1]]], id="item")
    np.testing.assert_array_equal(panel.values[:9, 0], np.arange(9))


def test_columns_with_words_around_dates_that_can_be_read_in_two_ways():
    assert column_dates(["a 03/04/2024", "a 04/04/2024", "b 05/04/2024"]) is None
    with pytest.raises(InvalidDataError, match="'03/04/2024', which can be read in two ways"):
        column_dates(["qty 03/04/2024", "qty 04/05/2024"])
    assert column_dates(["qty 03/04/2024", "qty 04/05/2024"], "%d/%m/%Y") is not None
    assert column_dates(["x_", "x_1"]) is None
