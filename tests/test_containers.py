"""as_panel takes what users have, and like gives it back."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vrae.data.containers import as_panel, like
from vrae.data.panel import Panel
from vrae.exceptions import InvalidDataError


def doubled(X):
    panel = as_panel(X)
    return like(X, panel.with_values(panel.values * 2))


def test_a_panel_passes_through_uncopied():
    panel = Panel.from_arrays([[1.0], [2.0, 3.0]])
    assert as_panel(panel) is panel
    assert like(panel, panel) is panel


@settings(max_examples=40, deadline=None)
@given(
    st.one_of(
        arrays(np.float32, (3, 4)),
        arrays(np.float32, (2, 3, 4)),
        arrays(np.int16, (1, 1)),
        arrays(float, (2, 1, 1)),
    )
)
def test_arrays_round_trip(X):
    back = like(X, as_panel(X))
    assert back.dtype == np.float32
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(back, X.astype(np.float32))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.lists(st.integers(1, 6), min_size=1, max_size=5), st.booleans(), st.randoms())
def test_lists_round_trip(channels, lengths, flat, random):
    shapes = [(n,) if flat else (channels, n) for n in lengths]
    X = [np.arange(np.prod(shape), dtype=np.float32).reshape(shape) * random.random() for shape in shapes]
    back = like(X, as_panel(X))
    assert isinstance(back, list)
    for one, other in zip(X, back, strict=True):
        np.testing.assert_array_equal(np.float32(one), other)


def test_tuples_object_arrays_and_torch_tensors():
    X = (np.ones(2), np.ones(3))
    assert [len(x) for x in doubled(X)] == [2, 3]
    assert isinstance(doubled(X), tuple)
    ragged = np.empty(2, object)
    ragged[:] = X
    assert doubled(ragged).dtype == object
    torch = pytest.importorskip("torch")
    assert like(torch.ones(2, 3), as_panel(torch.ones(2, 3))).shape == (2, 3)


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_tables_round_trip(make):
    long = make(
        {
            "note": list("pqrs"),
            "shop": list("xyyx"),
            "unique_id": list("baab"),
            "ds": [2, 2, 1, 1],
            "y": [1.0, 2, 3, 4],
        }
    )
    wide = make({"item": ["b", "a"], "w1": [1, 2], "w2": [3.5, None]})
    lists = make({"item": ["b", "a"], "x": [[1.0, 2.0], [3.0]]})
    for table in (long, wide, lists):
        back = doubled(table)
        assert type(back) is type(table)
        assert list(_columns(back)) == list(_columns(table))
    assert _columns(doubled(long))["y"] == [2, 4, 6, 8]
    assert _columns(doubled(long))["note"] == list("pqrs")
    assert _columns(doubled(wide))["w1"] == [2, 4]
    assert _columns(doubled(wide))["w2"][0] == 7
    assert [list(x) for x in _columns(doubled(lists))["x"]] == [[2, 4], [6]]


def _columns(table):
    return table.to_pydict() if isinstance(table, pa.Table) else {name: list(table[name]) for name in table.columns}


def test_pandas_keeps_its_index_and_the_names_of_its_columns():
    frame = pd.DataFrame(np.ones((2, 3)), index=["x", "y"])
    back = doubled(frame)
    assert as_panel(frame).ids.tolist() == ["x", "y"]
    assert back.index.tolist() == ["x", "y"]
    assert back.columns.tolist() == [0, 1, 2]
    assert (back == 2).all(axis=None)
    rows = pd.DataFrame({"unique_id": list("ab"), "ds": [1, 1], "y": [1.0, 2]}).set_index(["unique_id", "ds"])
    assert doubled(rows)["y"].tolist() == [2, 4]


def test_a_panel_of_another_shape_is_refused():
    other = Panel.from_arrays(np.ones((3, 2)))
    table = pd.DataFrame(np.ones((2, 2)))
    for X in (np.ones((2, 2)), [np.ones(2), np.ones(1), np.ones(2)], [np.ones(2)], table):
        with pytest.raises(InvalidDataError, match="Cannot put"):
            like(X, other)


def test_what_is_none_of_these_is_refused():
    from scipy.sparse import csr_array

    with pytest.raises(InvalidDataError, match="sparse"):
        as_panel(csr_array(np.eye(3)))
    for X in (3, None, "sales.csv", np.ones(3), pd.Series([1.0, 2]), {"a": 1}, {1, 2}, iter([])):
        with pytest.raises(InvalidDataError):
            as_panel(X)


def test_arrays_need_no_table_library():
    code = (
        "import sys, numpy as np; from vrae.data.containers import as_panel, like;"
        "X = np.ones((2, 3)); like(X, as_panel(X)); like([X], as_panel([X]));"
        # scikit-learn imports pandas and pyarrow by itself where they are installed
        "print([m for m in ('polars', 'pyarrow.dataset', 'vrae.data.columns') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
