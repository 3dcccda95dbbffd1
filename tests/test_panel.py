"""Panels are built from every container, selected without loss, and checked."""

from __future__ import annotations

import datetime
import json
import uuid
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.base import BaseEstimator
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score, train_test_split

from vrae import Panel
from vrae.data.calendar import Calendar
from vrae.data.containers import like
from vrae.data.panel import invalid_series
from vrae.data.reading import as_panel, read_panel
from vrae.data.selection import join_panels
from vrae.data.table_options import TableOptions
from vrae.exceptions import InvalidDataError
from vrae.io.plain import ids_from_json, ids_to_json

finite = st.floats(-1e6, 1e6, width=32) | st.just(float("nan"))


@st.composite
def panels(draw: st.DrawFn) -> Panel:
    channels = draw(st.integers(1, 3))
    lengths = draw(st.lists(st.integers(1, 6), min_size=1, max_size=6))
    series = [draw(arrays(np.float32, (channels, length), elements=finite)) for length in lengths]
    ids = draw(st.permutations([f"id{i}" for i in range(len(lengths))]))
    steps = sum(lengths)
    return Panel.from_arrays(series, ids, times=np.arange(steps), static={"store": np.arange(len(lengths)) * 10})


def same(one: Panel, other: Panel) -> bool:
    return (
        np.array_equal(one.values, other.values, equal_nan=True)
        and np.array_equal(one.offsets, other.offsets)
        and np.array_equal(one.ids, other.ids)
        and one.times is not None
        and other.times is not None
        and np.array_equal(one.times, other.times)
        and np.array_equal(one.static["store"], other.static["store"])
        and one.channels == other.channels
    )


# ---------------------------------------------------------------- building


@pytest.mark.parametrize(
    ("X", "lengths", "first"),
    [
        (np.arange(6).reshape(2, 3), [3, 3], [[0, 1, 2]]),
        (np.arange(12).reshape(2, 2, 3), [3, 3], [[0, 1, 2], [3, 4, 5]]),
        ([[1.0, 2.0], [3.0]], [2, 1], [[1, 2]]),
        (([1, 2], np.array([3], np.int8)), [2, 1], [[1, 2]]),
        ([np.array([[1, 2], [3, 4]]), np.array([[5], [6]])], [2, 1], [[1, 2], [3, 4]]),
        (np.array([[1, 2], [3]], dtype=object), [2, 1], [[1, 2]]),
        ([np.array([True, False]), np.array([1, 0])], [2, 2], [[1, 0]]),
    ],
    ids=["2-D", "3-D", "list", "tuple", "list of channels", "object array", "bools"],
)
def test_every_container_becomes_the_same_thing(X, lengths, first):
    panel = as_panel(X)
    assert panel.values.dtype == np.float32
    assert panel.lengths.tolist() == lengths
    assert panel[0].tolist() == first
    assert panel.ids.tolist() == [0, 1]


def test_a_panel_is_returned_unchanged(small_series):
    panel = small_series("panel")
    assert as_panel(panel) is panel


def test_results_have_the_container_of_the_input(kind, small_series):
    X = small_series(kind)
    back = like(X, as_panel(X))
    assert type(back) is type(X)
    pairs = zip(back, X, strict=True)
    assert all(np.allclose(a, b, equal_nan=True) and np.shape(a) == np.shape(b) for a, b in pairs)


def test_channels_are_named():
    assert Panel.from_arrays(np.zeros((2, 3))).channels == ("value",)
    assert Panel.from_arrays(np.zeros((2, 2, 3))).channels == ("value0", "value1")
    assert Panel.from_arrays(np.zeros((2, 2, 3)), channels=("x", "y")).channels == ("x", "y")


def test_access():
    panel = Panel.from_arrays([[1.0, 2.0, np.nan], [4.0]], ids=["a", "b"])
    assert repr(panel) == "Panel(2 series, 1 channel, 1 to 3 steps, 25.0 % missing)"
    assert len(panel) == 2
    assert panel[-1].tolist() == [[4.0]]
    assert [x.shape for x in panel] == [(1, 3), (1, 1)]
    assert panel.position("b") == 1
    assert np.shares_memory(panel[0], panel.values)
    with pytest.raises(IndexError):
        panel[2]
    with pytest.raises(InvalidDataError, match="'c'"):
        panel.position("c")


@pytest.mark.parametrize("ids", [["a", "b"], [7, 3], [0.5, 1.5], np.array([1, "b"], object)], ids=str)
def test_ids_of_any_kind_come_back(ids):
    panel = Panel.from_arrays([[1.0, 2.0], [3.0]], ids)
    assert panel.ids.tolist() == list(ids)
    assert panel.select([1, 0]).ids.tolist() == [ids[1], ids[0]]


# ---------------------------------------------------------------- ids


DAYS = [datetime.date(2024, 1, day) for day in (1, 2, 3)]
UUIDS = [uuid.UUID(int=number) for number in range(3)]
USABLE: dict[str, tuple[Any, list[Any]]] = {
    "int": ([3, 1, 2], [3, 1, 2]),
    "small int": (np.array([3, 1, 2], np.int8), [3, 1, 2]),
    "large int": (np.arange(3, dtype=np.uint64) + 2**63, [2**63, 2**63 + 1, 2**63 + 2]),
    "beyond 64 bits": ([2**70, 1, 2], [str(2**70), 1, 2]),
    "float": ([0.5, 1, 2], [0.5, 1.0, 2.0]),
    "text": (["b", "a", "c"], ["b", "a", "c"]),
    "numpy text": (np.array(["b", "a", "c"]), ["b", "a", "c"]),
    "text of any length": (np.array(["b", "a"], np.dtypes.StringDType()), ["b", "a"]),
    "bool": ([True, False], [True, False]),
    "text and numbers": ([1, "b", 2.5], [1, "b", 2.5]),
    "dates": (DAYS, DAYS),
    "timestamps": (pd.date_range("2024", periods=2), [datetime.datetime(2024, 1, day) for day in (1, 2)]),
    "list of timestamps": ([pd.Timestamp("2024", tz="UTC")], [datetime.datetime(2024, 1, 1)]),
    "uuid": (UUIDS, [str(name) for name in UUIDS]),
    "decimal": ([Decimal("1.50"), Decimal(2)], ["1.50", "2"]),
    "pandas": (pd.Series(["b", "a"], index=[7, 8]), ["b", "a"]),
    "polars": (pl.Series(["b", "a"]), ["b", "a"]),
    "tensor": (torch.arange(3), [0, 1, 2]),
    "keys": ({"b": 1, "a": 2}.keys(), ["b", "a"]),
}


@pytest.mark.parametrize("kind", USABLE)
def test_usable_ids_come_back_from_json(kind):
    given, expected = USABLE[kind]
    ids = Panel.from_arrays(np.zeros((len(expected), 4)), given).ids
    assert ids.tolist() == expected
    assert [type(name) for name in ids.tolist()] == [type(name) for name in expected]
    state = json.loads(json.dumps(ids_to_json(ids), allow_nan=False))
    again = ids_from_json(state["ids"], state["ids_type"])
    assert again.dtype == ids.dtype
    assert again.tolist() == expected
    assert [type(name) for name in again.tolist()] == [type(name) for name in expected]


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ([np.nan, 1.0, 2.0], "nan|NaN"),
        ([np.inf, 1.0, 2.0], "inf"),
        ([None, "b", "c"], "None"),
        ([pd.NA, 1, 2], "None or NaN"),
        (np.array(["2024", "NaT", "2023"], "M8[D]"), "NaT"),
        (np.ma.array([1, 2, 3], mask=[1, 0, 0]), "None or NaN"),
        (pl.Series([1, None, 3]), "nan"),
        (np.arange(3, dtype=np.longdouble), "float128|longdouble"),
        (list(np.arange(3, dtype=np.longdouble)), "longdouble"),
        ([1j, 2, 3], "complex"),
        ([b"a", b"b", b"c"], "bytes"),
        (np.array([b"a", b"b", b"c"]), "S1"),
        (list(pd.timedelta_range(0, periods=3, freq="D")), "Timedelta"),
        ([np.timedelta64(number, "ns") for number in range(3)], "timedelta64"),
        (pd.period_range("2024", periods=3, freq="M"), "Period"),
        ([object()] * 3, "object"),
        ([("a", 1), ("a", 2), ("b",)], "tuple.*'store/item'"),
        (pd.MultiIndex.from_product([["a"], [1, 2, 3]]), "tuple.*'store/item'"),
        ([1, "1", 2], "same in a file: 1, '1'"),
        ([True, "True", 2], "same in a file"),
        ([1, True, 2], "more than once"),
        (["\ud800", "b", "c"], "Unicode"),
        ("abc", "list with one id per series"),
        ({"a", "b", "c"}, "list with one id per series"),
        (3, "list with one id per series"),
        (np.ones((3, 1)), r"shape \(3, 1\)"),
    ],
    ids=lambda part: part if isinstance(part, str) else type(part).__name__,
)
def test_ids_that_cannot_be_saved_are_refused(ids, words):
    with pytest.raises(InvalidDataError, match=words):
        Panel.from_arrays(np.zeros((3, 4)), ids)


def test_joined_panels_keep_the_kinds_of_their_ids():
    numbers, names = Panel.from_arrays(np.zeros((2, 3)), [1, 2]), Panel.from_arrays(np.zeros((1, 3)), ["a"])
    assert join_panels([numbers, names]).ids.tolist() == [1, 2, "a"]
    assert join_panels([numbers.select([]), names]).ids.tolist() == ["a"]
    with pytest.raises(InvalidDataError, match="same in a file"):
        join_panels([numbers, Panel.from_arrays(np.zeros((1, 3)), ["1"])])


# ---------------------------------------------------------------- selecting series


def labelled(n: int = 12) -> Panel:
    """A panel with every part: three channels, unequal lengths, times, static column, calendar."""
    rng = np.random.default_rng(0)
    series = [rng.normal(size=(3, 4 + row % 3)) for row in range(n)]
    steps = sum(x.shape[1] for x in series)
    return Panel.from_arrays(
        series,
        [f"s{row}" for row in range(n)],
        times=np.datetime64("2024-07-01T22:00", "us") + np.arange(steps) * np.timedelta64(1, "D"),
        channels=("x", "y", "z"),
        static={"row": np.arange(n)},
        calendar=Calendar("D", "Europe/Berlin"),
        reading=TableOptions(id="item"),
    )


INDEXES: dict[str, Any] = {
    "slice": slice(2, 4),
    "list": [2, 3],
    "negative": [-10, -9],
    "array": np.array([2, 3], np.uint8),
    "mask": np.arange(12) // 2 == 1,
    "list of bools": [row in (2, 3) for row in range(12)],
    "pandas mask": pd.Series(np.arange(12) // 2 == 1),
    "nullable mask": pd.array(np.arange(12) // 2 == 1, dtype="boolean"),
    "polars": pl.Series([2, 3]),
    "tensor": torch.tensor([2, 3]),
    "as scikit-learn does": (np.array([2, 3]), ...),
}


@pytest.mark.parametrize("kind", INDEXES)
def test_an_index_of_several_series_gives_a_panel_with_all_its_parts(kind):
    panel = labelled()
    part = panel[INDEXES[kind]]
    assert isinstance(part, Panel)
    assert part.ids.tolist() == ["s2", "s3"]
    assert part.static["row"].tolist() == [2, 3]
    assert part.channels == panel.channels
    assert part.calendar is panel.calendar
    assert part.reading is panel.reading
    assert part.times is not None
    assert panel.times is not None
    assert part.times[0] == panel.times[panel.offsets[2]]
    for row, x in zip((2, 3), part, strict=True):
        np.testing.assert_array_equal(x, panel[row])


def test_a_single_index_gives_a_series_of_channels_and_steps():
    panel = labelled()
    assert panel.shape == (12, 3, 6)
    singles: tuple[Any, ...] = (1, np.int64(1), torch.tensor(1), -11, (1, ...))
    for index in singles:
        assert panel[index].shape == (3, 5)
    assert [x.shape for x in panel[:3]] == [(3, 4), (3, 5), (3, 6)]
    assert panel[::-1].ids[0] == "s11"
    assert len(panel[[]]) == 0


@pytest.mark.parametrize(
    ("index", "words"),
    [
        (12, "12 is out of range"),
        ([3, -13], "-13 is out of range"),
        ([True, False], "mask of 2 entries"),
        ("s1", "panel.position"),
        (["s1"], "panel.position"),
        (True, "Found True"),
        (1.0, "Found 1.0"),
        ([0.5], "Found"),
        (None, "Found None"),
        ((0, 1), "one index"),
        (np.ones((2, 2), int), "Found"),
    ],
    ids=str,
)
def test_other_indexes_are_refused(index, words):
    with pytest.raises(IndexError, match=words):
        labelled()[index]


class Recorder(BaseEstimator):  # type: ignore[misc]
    """An estimator that wants a Panel with labels that belong to it."""

    def __init__(self, option: int = 0):
        self.option = option

    def fit(self, X: Any, y: Any = None) -> Recorder:
        assert isinstance(X, Panel)
        assert y is None or X.static["row"].tolist() == list(y)
        return self

    def score(self, X: Any, y: Any = None) -> float:
        self.fit(X, y)
        return float(len(X))


def test_splits_of_scikit_learn_are_panels():
    panel, rows = labelled(), np.arange(12)
    train, test, train_rows, test_rows = train_test_split(panel, rows, random_state=0)
    for part, expected in ((train, train_rows), (test, test_rows)):
        assert isinstance(part, Panel)
        assert part.static["row"].tolist() == expected.tolist()
        assert part.n_channels == 3
    assert cross_val_score(Recorder(), panel, rows, cv=KFold(3)).tolist() == [4, 4, 4]
    assert GridSearchCV(Recorder(), {"option": [0, 1]}, cv=3).fit(panel, rows).best_score_ == 4


def test_head_are_the_first_series():
    assert labelled().head().ids.tolist() == ["s0", "s1", "s2", "s3", "s4"]
    assert len(labelled(3).head()) == 3
    assert len(labelled().head(0)) == 0


# ---------------------------------------------------------------- showing series


def test_a_table_of_pandas_has_local_times_channels_and_static_columns():
    table = labelled(2).to_pandas()
    assert list(table.columns) == ["unique_id", "ds", "x", "y", "z", "row"]
    assert table["unique_id"].tolist() == ["s0"] * 4 + ["s1"] * 5
    assert str(table["ds"].iloc[0]) == "2024-07-02 00:00:00+02:00"  # 22:00 in UTC
    assert table["row"].tolist() == [0] * 4 + [1] * 5
    np.testing.assert_array_equal(table["y"][4:], labelled(2)[1][1])
    plain = Panel.from_arrays([[1.0, 2.0], [3.0]]).to_pandas()
    assert plain["step"].tolist() == [1, 2, 1]
    assert plain["value"].tolist() == [1, 2, 3]
    with pytest.raises(InvalidDataError, match="several columns 'value'"):
        Panel.from_arrays([[1.0]], static={"value": np.zeros(1)}).to_pandas()


def test_notebooks_show_the_first_series():
    page = labelled()._repr_html_()
    for word in ("12 series", "<th>y</th>", "<td>s4</td>", "<td>2024-07-02</td>", "7 more series"):
        assert word in page
    many = Panel.from_arrays(np.full((2, 6, 3), np.nan), ids=["<b>", "&"])._repr_html_()
    assert "&lt;b&gt;" in many
    assert "2 more channels: value4, value5" in many
    assert "<td>100 %</td>" in many
    assert "0 series" in labelled()[:0]._repr_html_()


def test_a_plot_has_a_line_per_series_and_channel():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    ax = labelled().plot(2)
    assert [line.get_label() for line in ax.lines][:4] == ["s0, x", "s0, y", "s0, z", "s1, x"]
    assert np.asarray(ax.lines[0].get_xdata())[0] == np.datetime64("2024-07-02")
    assert len(Panel.from_arrays([[1.0, 2.0]]).plot(ax=ax).lines) == 7
    plt.close("all")


# ---------------------------------------------------------------- round trips


@settings(max_examples=60)
@given(panel=panels(), data=st.data())
def test_a_permutation_and_its_inverse_cancel(panel, data):
    order = np.array(data.draw(st.permutations(range(len(panel)))))
    there = panel.select(order)
    assert there.ids.tolist() == panel.ids[order].tolist()
    assert all(np.array_equal(there[i], panel[r], equal_nan=True) for i, r in enumerate(order))
    assert same(there.select(np.argsort(order)), panel)


@settings(max_examples=60)
@given(panel=panels(), data=st.data())
def test_a_mask_selects_as_positions_do(panel, data):
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(panel), max_size=len(panel))))
    rows = np.flatnonzero(mask)
    assert same(panel.select(mask), panel.select(rows))
    assert np.array_equal(panel.values[panel.steps_of(rows)], panel.select(mask).values, equal_nan=True)


@settings(max_examples=60)
@given(panel=panels())
def test_lists_and_padded_arrays_hold_all_values(panel):
    again = Panel.from_arrays(panel.to_list(), panel.ids, times=panel.times, static=panel.static)
    assert same(again, panel)
    padded = panel.to_padded()
    assert padded.shape == (len(panel), panel.n_channels, panel.lengths.max())
    for row, length in enumerate(panel.lengths):
        assert np.array_equal(padded[row, :, :length], panel[row], equal_nan=True)
        assert np.isnan(padded[row, :, length:]).all()


def test_an_empty_selection_is_a_panel_of_nothing():
    none = Panel.from_arrays([[1.0, 2.0], [3.0]]).select([])
    assert len(none) == 0
    assert none.to_padded().shape == (0, 1, 0)
    assert "0 series" in repr(none)


def test_other_values_same_series(small_series):
    panel = small_series("panel")
    doubled = panel.with_values(2 * panel.values)
    assert doubled.ids is panel.ids
    np.testing.assert_array_equal(doubled[3], 2 * panel[3])


# ---------------------------------------------------------------- what does not fit


@pytest.mark.parametrize(
    ("X", "ids", "words"),
    [
        (np.zeros(5), None, ["1D", "(5,)", "reshape(1, -1)"]),
        (np.zeros((2, 2, 2, 2)), None, ["4D", "(n_series, n_channels, n_steps)"]),
        (np.zeros((0, 5)), None, ["empty", "(0, 5)"]),
        (np.zeros((5, 0)), None, ["empty", "(5, 0)"]),
        ([], None, ["empty"]),
        ([[1.0], [], [2.0]], ["a", "b", "c"], ["0 steps", "'b'"]),
        ([np.zeros((2, 4)), np.zeros((3, 4)), np.zeros((2, 5))], list("abc"), ["'b' has 3", "most have 2"]),
        ([[1.0, 2.0], ["x", 3.0]], ["a", "b"], ["'b'", "'x'"]),
        ([[1.0], np.zeros((1, 1, 1))], ["a", "b"], ["'b'", "(1, 1, 1)"]),
        (np.array([["1", "a"]]), None, ["numbers", "a"]),
        (np.zeros((2, 3), complex), None, ["omplex"]),
        ([[1.0], [2.0]], ["a"], ["1 ids", "2 series"]),
        ([[1.0], [2.0]], ["a", "a"], ["'a'", "more than once"]),
        ([[1.0], [2.0]], np.array(["a", None], object), ["None"]),
        ([[1.0], [2.0]], [(1, 2), (1, 3)], ["(1, 2)", "tuple", "Join the parts"]),
        ("text", None, ["'text'", "str"]),
        (7, None, ["int", "7"]),
        (None, None, ["NoneType"]),
        ({"a": [1.0]}, None, ["dict"]),
    ],
)
def test_invalid_input_is_named(X, ids, words):
    with pytest.raises(InvalidDataError) as caught:
        Panel.from_arrays(X, ids)
    assert [word for word in words if word not in str(caught.value)] == []


def test_parts_that_do_not_fit_are_refused():
    values, ids = np.zeros((3, 1), np.float32), np.arange(2)
    with pytest.raises(InvalidDataError, match="do not fit"):
        Panel(values, np.array([0, 3]), ids)
    with pytest.raises(InvalidDataError, match=r"do not fit together.*4"):
        Panel(values, np.array([0, 2, 4]), ids)
    with pytest.raises(InvalidDataError, match="shape"):
        Panel(values[:, 0], np.array([0, 2, 3]), ids)


@pytest.mark.parametrize("channels", [("a",), ("a", "a"), ("a", "b", "c")])
def test_every_channel_has_a_name_of_its_own(channels):
    with pytest.raises(InvalidDataError, match="2 channels needs as many different names"):
        Panel.from_arrays(np.zeros((3, 2, 4)), channels=channels)


SPRING: Any = pd.date_range("2024-03-29", periods=4)


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
@pytest.mark.parametrize("kind", ["index", "objects", "list"])
def test_times_of_any_kind_become_time_stamps(kind, zone):
    index = SPRING.tz_localize(zone)
    times = {"index": index, "objects": np.array(list(index), object), "list": index.to_pydatetime().tolist()}[kind]
    panel = Panel.from_arrays(np.zeros((1, 4)), times=times)
    assert panel.times is not None
    assert panel.times.dtype.kind == "M"
    assert panel.calendar == (None if zone is None else Calendar(zone=zone))
    assert pd.DatetimeIndex(panel.to_pandas()["ds"]).tolist() == index.tolist()


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (["2024-01-01"] * 4, "of type <U10"),
        (np.array(["a", "b", "c", "d"], object), "hold 'a'"),
        (np.array([SPRING[0], SPRING[1].tz_localize("UTC")] * 2, object), "several zones"),
        (np.array(["NaT"] * 4, "M8[us]"), "4 times of the panel are missing"),
        ([1.0, 2.0, 3.0, np.inf], "1 times of the panel are NaN or infinite"),
        (np.arange(4, dtype="u8") + 2**63, r"up to 9223372036854775811.*2\*\*63"),
        (np.arange(4).astype("m8[s]"), r"of type timedelta64\[s\]"),
    ],
)
def test_times_that_cannot_be_used_are_refused(times, words):
    with pytest.raises(InvalidDataError, match=words):
        Panel.from_arrays(np.zeros((1, 4)), times=times)


def test_invalid_series_are_marked_and_infinite_ones_named():
    X = [[np.nan, np.nan], [1.0, np.nan], [np.nan]]
    assert invalid_series(Panel.from_arrays(X)).tolist() == [True, False, True]
    with pytest.raises(InvalidDataError, match=r"2 of 3 series, ids 'b', 'c'"):
        invalid_series(Panel.from_arrays([[1.0], [np.inf], [1e300]], ids=["a", "b", "c"]))


def test_series_are_valid_wherever_a_part_of_the_values_ends(monkeypatch):
    rng = np.random.default_rng(0)
    shares = zip([1, 7, 2, 3, 9, 4], [0, 0, 1, 0.5, 0, 0], strict=True)
    X = [np.where(rng.random(n) < share, np.nan, 1.0) for n, share in shares]
    expected = [bool(np.isnan(series).all()) for series in X]
    for size in range(1, 28):
        monkeypatch.setattr("vrae.data.panel._SLICE_VALUES", size)
        assert invalid_series(Panel.from_arrays(X)).tolist() == expected


def test_long_lists_of_names_are_capped():
    with pytest.raises(InvalidDataError, match=r"0, 1, 2, 3, 4 and 95 more"):
        invalid_series(Panel.from_arrays(np.full((100, 3), np.inf)))


def test_what_was_read_is_told_in_three_lines():
    weeks = np.arange("2024-01-01", "2024-02-12", 7, "M8[D]")
    table = {"item": [*"aaaa", *"bbb"], "week": weeks[[0, 1, 3, 5, 2, 3, 4]], "qty": [1, 2, None, 4, 5, 6, 7]}
    panel = read_panel(pa.table(table), id="item", time="week")
    assert panel.summary() == [
        "2 series of 3 to 6 steps, named by item",
        "Weekly (Mondays), 2024-01-01 to 2024-02-05",
        "1 channel: 'qty'; 22.2 % of weeks have no row, 11.1 % of values are missing",
    ]
    parts = [panel.select([0]).overview(), panel.select([]).overview(), panel.select([1]).overview()]
    for first, second, third in (parts, parts[::-1], (parts[1], parts[0], parts[2])):
        assert first.merged(second).merged(third).lines()[1] == panel.summary()[1]
