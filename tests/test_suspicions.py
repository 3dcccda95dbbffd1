"""What can be read but probably means something else is said."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from vrae import VRAE, VRAEAnomalyDetector, read_panel
from vrae.exceptions import DataWarning, InvalidDataError

WEEKS = pd.date_range("2023-01-02", periods=30, freq="W-MON")


def table(**columns: object) -> pd.DataFrame:
    items = np.repeat([f"i{i}" for i in range(6)], 30)
    qty = np.random.default_rng(0).integers(1, 20, 180)
    return pd.DataFrame({"item": items, "week": np.tile(WEEKS, 6), "qty": qty}).assign(**columns)


def read(frame: pd.DataFrame, **options: object) -> object:
    return read_panel(frame, **{"id": "item", "time": "week", "value": "qty", **options})  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [-9999, -999.0])
def test_a_number_that_stands_for_a_missing_value(number):
    frame = table()
    frame["qty"] = frame["qty"].astype(float)
    frame.loc[[3, 40, 99], "qty"] = number
    with pytest.warns(DataWarning, match=rf"is 3 times .* pass missing={number:g}"):
        read(frame)
    read(frame, missing=number)  # without a warning
    frame.loc[:, "qty"] *= 100  # values as low as that
    read(frame.assign(qty=frame["qty"] - 5000))


def test_ids_that_differ_in_blanks_or_case():
    frame = table()
    frame.loc[frame["item"] == "i1", "item"] = "I0 "
    with pytest.warns(DataWarning, match="differ in blanks or case"):
        read(frame)


def test_groups_that_differ_in_blanks_or_case():
    groups = np.repeat(["Garden", "garden ", "Kitchen"], 60)
    with pytest.warns(DataWarning, match=r"Values 'Garden', 'garden ' in column 'category' .* different groups"):
        read(table(category=groups))
    read(table(category=np.repeat(["Garden", "Gardening", "Kitchen"], 60)))


@pytest.mark.parametrize("name", ["day", None])
def test_dates_down_and_items_across(name):
    days = pd.date_range("2025-01-01", periods=20).strftime("%Y-%m-%d")
    values = np.random.default_rng(0).random((20, 4))
    frame = pd.DataFrame(values, columns=["Surgery", "Oncology", "Cardiology", "Emergency"])
    frame.insert(0 if name else 4, "day", days)
    with pytest.warns(DataWarning, match="'day' holds another date in each row.*'Surgery' to 'Emergency', a series"):
        read_panel(frame, id=name, layout="wide")
    hours = pd.DataFrame(values, columns=[f"h{hour}" for hour in range(4)])
    read_panel(hours.assign(day=days), id=name, layout="wide")  # the profile of each day
    read_panel(frame.assign(day=days[0]), layout="wide")  # the date of an export


@pytest.mark.parametrize("name", ["Total", "Gesamtergebnis"])
def test_a_series_of_totals(name):
    frame = table()
    total = frame.groupby("week", as_index=False)["qty"].sum().assign(item=name)
    with pytest.warns(DataWarning, match=f"{name}.* looks like totals"):
        read(pd.concat([total, frame]))


def test_day_numbers_of_a_spreadsheet_and_codes_of_dates():
    days = (WEEKS - pd.Timestamp("1899-12-30")).days.to_numpy()
    with pytest.warns(DataWarning, match="day numbers of Excel"):
        read(table(week=np.tile(days, 6)))
    months = np.tile([2300 + 100 * (m // 12) + m % 12 + 1 for m in range(30)], 6)  # YYMM
    with pytest.warns(DataWarning, match="stand for dates.*or pass date_format="):
        read(table(week=months))


@pytest.mark.parametrize(("unit", "words"), [("s", "seconds"), ("ms", "milliseconds"), ("ns", "nanoseconds")])
def test_times_that_are_counted_since_1970(unit, words):
    counted = WEEKS.as_unit(unit).to_numpy().astype(np.int64)
    with pytest.warns(DataWarning, match=rf"look like {words} since 1970\. .* convert them to dates\.$"):
        read(table(week=np.tile(counted, 6)))


def test_readings_of_counters():
    frame = table()
    counted = frame.groupby("item")["qty"].cumsum()
    with pytest.warns(DataWarning, match=r"The values 'qty' of .* go up from step to step.*the differences\."):
        read(frame.assign(qty=counted))
    read(frame.assign(qty=counted).iloc[:60])  # two series may have a trend
    read(frame.assign(qty=np.tile(np.arange(30), 6)))  # a step each
    read(frame.assign(qty=counted.where(counted % 5 > 0, 0)))  # that begin again and again


def test_an_obvious_long_table_needs_no_names():
    with pytest.warns(DataWarning, match="Took 'week' .* for the time and 'item' for the id"):
        panel = read_panel(table())
    assert len(panel) == 6


def test_an_id_of_several_series_names_the_other_column():
    with pytest.raises(InvalidDataError, match="name 'shop' with id= too"):
        read(pd.concat([table(shop="north"), table(shop="south")]))


def test_dates_that_a_model_does_not_know_are_said():
    later = table(week=np.tile(WEEKS + pd.Timedelta("210D"), 6))
    model = VRAE(max_epochs=1, latent_size=2).fit(read(table()))
    with pytest.warns(DataWarning, match="100 % of the steps are outside the dates of the training series"):
        model.transform(read(later))
    detector = VRAEAnomalyDetector(model=None).set_params(model__max_epochs=1).fit(read(table()))
    detector.predict(read(later))  # it compares patterns alone, and warns of nothing


@pytest.mark.parametrize("option", ["value", "static"])
def test_several_columns_in_one_name(option):
    frame = table(price=1.5, shop="s")
    with pytest.raises(InvalidDataError, match=r"No column 'qty, price' .* one by one: repeat the option"):
        read(frame, **{option: ["qty, price"]})
    with pytest.raises(InvalidDataError, match=r"No column 'qty,prize' in the pandas table\. (Did|Its)"):
        read(frame, **{option: ["qty,prize"]})


@pytest.mark.parametrize("name", ["Summe aller Artikel", "Total (all)", "Total b", "Zwischensumme b:"])
def test_a_series_that_is_the_sum_of_others(name):
    frame = table()
    frame["shop"] = np.where(frame["item"] < "i3", "a", "b")
    part = frame[frame["shop"] == "b"] if "b" in name.split()[-1] and "(" not in name else frame
    total = part.groupby("week", as_index=False)["qty"].sum().assign(item=name, shop="b")
    with pytest.warns(DataWarning, match=r"The id .* looks like totals"):
        read(pd.concat([frame, total]))
    read(pd.concat([frame, total.assign(qty=total["qty"] // 3)]))  # a product of this name


def test_sums_of_groups_that_no_column_names():
    frame = table()
    groups = frame.groupby(["week", frame["item"] < "i3"], as_index=False)["qty"].sum()
    totals = groups.assign(item=np.tile(["Total A", "Total B"], len(groups) // 2))
    with pytest.warns(DataWarning, match=r"Ids 'Total A', 'Total B' .* look like totals\. They are read"):
        read(pd.concat([frame, totals]))


@pytest.mark.parametrize("name", ["{:02}. KW/2024", "2024, KW {:02}", "{:02}.2024 (KW)", "Wo 2024.{}"])
def test_columns_that_look_like_dates(name):
    names = [name.format(week) for week in range(11, 21)]
    wide = pd.DataFrame(np.arange(30).reshape(3, 10), columns=names)
    wide.insert(0, "item", ["a", "b", "c"])
    with pytest.warns(DataWarning, match=rf"such as '{re.escape(names[0])}' look like dates.*2024-W05"):
        assert read_panel(wide, id="item").times is None
    plain = wide.rename(columns=dict(zip(names, [f"sales 2024_{week}" for week in range(11, 21)], strict=True)))
    read_panel(plain, id="item")  # without a warning


def test_a_table_of_one_column_per_series_is_to_be_transposed():
    across = table().pivot(index="week", columns="item", values="qty").reset_index()
    say = "If each (column|of its channels) is a series, transpose the table"
    with pytest.raises(InvalidDataError, match=say):
        read_panel(across)
    with pytest.raises(InvalidDataError, match=say):
        read_panel(across, time="week")
    panel = read_panel(across, time="week", value="i*")
    with pytest.raises(InvalidDataError, match=say):
        VRAE(max_epochs=1).fit(panel)
    with pytest.raises(InvalidDataError, match="holds the values") as caught:
        read_panel(table(more=1.5, most=2.5).rename(columns={"qty": "some"}), id="item", time="week")
    assert "transpose" not in str(caught.value)
