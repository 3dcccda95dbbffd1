"""Panels are built from every container, selected without loss, and checked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vrae import Panel
from vrae.data.containers import like
from vrae.data.panel import invalid_series
from vrae.data.reading import as_panel
from vrae.exceptions import InvalidDataError

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


# ---------------------------------------------------------------- round trips


@settings(max_examples=60, deadline=None)
@given(panel=panels(), data=st.data())
def test_a_permutation_and_its_inverse_cancel(panel, data):
    order = np.array(data.draw(st.permutations(range(len(panel)))))
    there = panel.select(order)
    assert there.ids.tolist() == panel.ids[order].tolist()
    assert all(np.array_equal(there[i], panel[r], equal_nan=True) for i, r in enumerate(order))
    assert same(there.select(np.argsort(order)), panel)


@settings(max_examples=60, deadline=None)
@given(panel=panels(), data=st.data())
def test_a_mask_selects_as_positions_do(panel, data):
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(panel), max_size=len(panel))))
    rows = np.flatnonzero(mask)
    assert same(panel.select(mask), panel.select(rows))
    assert np.array_equal(panel.values[panel.steps_of(rows)], panel.select(mask).values, equal_nan=True)


@settings(max_examples=60, deadline=None)
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


def test_invalid_series_are_marked_and_infinite_ones_named():
    X = [[np.nan, np.nan], [1.0, np.nan], [np.nan]]
    assert invalid_series(Panel.from_arrays(X)).tolist() == [True, False, True]
    with pytest.raises(InvalidDataError, match=r"2 of 3 series, ids 'b', 'c'"):
        invalid_series(Panel.from_arrays([[1.0], [np.inf], [1e300]], ids=["a", "b", "c"]))


def test_long_lists_of_names_are_capped():
    with pytest.raises(InvalidDataError, match=r"0, 1, 2, 3, 4 and 95 more"):
        invalid_series(Panel.from_arrays(np.full((100, 3), np.inf)))
