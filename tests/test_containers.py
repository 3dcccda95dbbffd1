"""as_panel reads every container of series, and like returns results in the same container."""

from __future__ import annotations

import array
import decimal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import coo_matrix, csr_array

from conftest import make_estimator
from vrae import load_model
from vrae.data.columns import Table
from vrae.data.containers import TableKind, like
from vrae.data.frames import from_frame
from vrae.data.identity import with_joined_id
from vrae.data.panel import Panel
from vrae.data.reading import as_panel
from vrae.exceptions import DataTypeError, InvalidDataError, InvalidParameterError


def doubled(X):
    panel = as_panel(X)
    return like(X, panel.with_values(panel.values * 2))


def test_a_panel_passes_through_uncopied():
    panel = Panel.from_arrays([[1.0], [2.0, 3.0]])
    assert as_panel(panel) is panel
    assert like(panel, panel) is panel


@settings(max_examples=40)
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


@settings(max_examples=40)
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


# ---------------------------------------------------------------- arrays of other libraries


class ArrayLike:
    """What numpy can read, such as an array of xarray."""

    def __init__(self, values: Any):
        self.values = values

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        if isinstance(self.values, Exception):
            raise self.values
        return self.values


def masked(shape: tuple[int, ...], kind: str = "f8") -> np.ma.MaskedArray[Any, Any]:
    values = np.arange(1, 1 + np.prod(shape)).reshape(shape).astype(kind)
    return np.ma.array(np.where(values == 1, -9999, values).astype(kind), mask=values == 1)


# Each has two series with values 1 to 6, of which the first is missing.
MISSING: dict[str, Any] = {
    "masked floats": lambda: masked((2, 3)),
    "masked integers": lambda: masked((2, 3), "i4"),
    "masked objects": lambda: masked((2, 3), "O"),
    "masked 3-D": lambda: masked((2, 1, 3)),
    "list of masked arrays": lambda: list(masked((2, 3))),
    "lists of masked channels": lambda: [[x] for x in masked((2, 3))],
    "array of masked arrays": lambda: _objects(list(masked((2, 3)))),
    "masked value": lambda: [[np.ma.masked, 2.0, 3.0], [4, 5, 6]],
    "pandas Int64": lambda: _split(pd.Series([None, 2, 3, 4, 5, 6], dtype="Int64")),
    "pandas Float64": lambda: _split(pd.Series([None, 2, 3, 4, 5, 6], dtype="Float64")),
    "pandas with Arrow": lambda: _split(pd.Series([None, 2, 3, 4, 5, 6], dtype="int64[pyarrow]")),
    "pandas objects": lambda: _split(pd.Series([pd.NA, 2, 3, 4, 5, 6], dtype=object)),
    "pandas sparse": lambda: _split(pd.Series(pd.arrays.SparseArray([np.nan, 2, 3, 4, 5, 6]))),
    "polars": lambda: _split(pl.Series([None, 2, 3, 4, 5, 6])),
    "polars decimals": lambda: _split(pl.Series([None, *map(decimal.Decimal, range(2, 7))])),
    "polars of lists": lambda: pl.Series([[None, 2, 3], [4, 5, 6]]),
    "pyarrow": lambda: [pa.array([None, 2, 3]), pa.chunked_array([[4], [5, 6]])],
    "objects with NA": lambda: np.array([[pd.NA, 2, 3], [4, 5, 6]], object),
    "objects with None": lambda: np.array([[None, 2, 3], [4, 5, 6]], object),
    "array-like": lambda: ArrayLike(np.array([[np.nan, 2, 3], [4, 5, 6]])),
    "list of array-likes": lambda: [ArrayLike(np.array([np.nan, 2, 3])), ArrayLike(np.array([4, 5, 6]))],
    "array module": lambda: [array.array("d", [np.nan, 2, 3]), array.array("f", [4, 5, 6])],
    "memoryview": lambda: np.array([[np.nan, 2, 3], [4, 5, 6]]).data,
}


def _objects(series: list[Any]) -> Any:
    cells = np.empty(len(series), object)
    for row, x in enumerate(series):
        cells[row] = x
    return cells


def _split(column: Any) -> list[Any]:
    return [column[:3], column[3:]]


@pytest.mark.parametrize("kind", MISSING)
def test_what_is_masked_or_null_is_missing(kind):
    X = MISSING[kind]()
    for panel in (as_panel(X), Panel.from_arrays(X)):
        np.testing.assert_array_equal(panel.values.ravel(), [np.nan, 2, 3, 4, 5, 6])
        assert panel.lengths.tolist() == [3, 3]
    back = like(X, panel)
    np.testing.assert_array_equal([np.ravel(x) for x in back], [[np.nan, 2, 3], [4, 5, 6]])


@pytest.mark.parametrize("path", ["sales.csv", Path("sales.csv")])
def test_a_path_is_no_series(path):
    with pytest.raises(DataTypeError, match=r"Found .*sales\.csv.*\. read_panel reads files\."):
        as_panel(path)


def test_tensors_of_any_kind():
    torch = pytest.importorskip("torch")
    kinds = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn)
    for kind in kinds:
        x = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).to(kind)
        for X in (x, list(x), [[x[0]], [x[1]]]):
            assert as_panel(X).values.ravel().tolist() == [1, 2, 3, 4, 5, 6]
    x = torch.ones(2, 3, requires_grad=True)
    for X in (x, list(x), torch.nn.Parameter(x.detach()), [[x[0], x[1]]]):
        assert (as_panel(X).values == 1).all()
        assert np.shape(like(X, as_panel(X))) == np.shape([[np.ones(3)] * 2]) if isinstance(X[0], list) else (2, 3)
    for wrong, words in ((torch.ones(2, 3).to_sparse(), "sparse"), (torch.ones(2, 3, device="meta"), "meta")):
        with pytest.raises(DataTypeError, match=words):
            as_panel(wrong)
    with pytest.raises(InvalidDataError, match=r"reshape\(1, -1\)"):
        as_panel(torch.ones(3))


class Unprintable:
    def __float__(self) -> float:
        raise RuntimeError("no")

    __repr__ = __float__  # type: ignore[assignment]


ODD: dict[str, tuple[Any, str]] = {
    "ragged channels": ([[[1, 2], [3]], [[1, 2], [3, 4]]], "Series 0: .*different lengths"),
    "numbers": ([1, 2, 3], "Series 0 is a single value, 1 "),
    "numpy numbers": (list(np.ones(3)), "Series 0 is a single value, 1.0 "),
    "None": ([None], "Series 0 is a single value, None"),
    "NA": ([np.ones(3), pd.NA], "Series 1 is a single value"),
    "text": (["abc", "d"], "Series 0: Expected numbers, found 'abc'"),
    "bytes": ([b"abc"], "Series 0: Expected numbers, found b'abc'"),
    "dicts": ([{"a": 1}], "found an object of type dict"),
    "sets": ([{1, 2}], "found an object of type set"),
    "generators": ([(x for x in [1])], "found an object of type generator"),
    "sparse list": ([csr_array(np.eye(3))], "Series 0: .*sparse"),
    "sparse": (csr_array(np.eye(3)), "sparse"),
    "coo": (coo_matrix(np.eye(3)), "sparse"),
    "set": ({1, 2}, "set"),
    "bytearray": (bytearray(b"abc"), "bytearray"),
    "large integers": ([[10**5000, 1]], "integer beyond the range"),
    "broken array": (ArrayLike(RuntimeError("out of reach")), "out of reach"),
    "broken arrays": ([ArrayLike(RuntimeError("out of reach"))], "Series 0: .*out of reach"),
    "broken number": ([[Unprintable()]], "Series 0 cannot be read as numbers|found an object of type Unprintable"),
    "records": (np.zeros((2, 3), [("a", float), ("b", int)]), "tuple"),
    "no dimension": (np.array(1.0), "0D array"),
    "dates": ([np.array(["2024"], "M8[D]")], "Series 0: Expected numbers, found dates"),
    "dates of pandas": ([pd.Series(pd.date_range("2024", periods=2))], "Series 0: Expected numbers, found dates"),
    "categories": ([pd.Series(["a", "b"], dtype="category")], "found 'a'"),
    "complex": ([np.ones(3, complex)], "Series 0: Complex"),
    "values of a dict": ({"a": 1}.values(), "Series 0 is a single value"),
    "type": (int, "Found type"),
}


@pytest.mark.parametrize("kind", ODD)
def test_every_other_input_is_refused_in_words(kind):
    X, words = ODD[kind]
    for read in (as_panel, Panel.from_arrays, make_estimator("VRAEClusterer", max_epochs=1).fit):
        with pytest.raises(InvalidDataError, match=words):
            read(X)


def test_a_single_column_is_told_to_bring_others():
    for X in (pd.Series([1.0, 2]), pl.Series([1.0, 2]), pa.array([1, 2]), pd.Index([1, 2]), array.array("d", [1, 2])):
        with pytest.raises(InvalidDataError, match=r"Found a single series .* of 2 values.*\[X\]") as caught:
            as_panel(X)
        assert "reshape" not in str(caught.value)


def test_other_types_are_refused():
    others: tuple[Any, ...] = (3, None, "sales.csv", np.ones(3), pd.Series([1.0, 2]), {"a": 1}, {1, 2}, iter([]))
    for X in others:
        with pytest.raises(InvalidDataError):
            as_panel(X)


def test_arrays_need_no_table_library():
    code = (
        "import sys, numpy as np; from vrae.data.containers import like;"
        "from vrae.data.reading import as_panel;"
        "X = np.ones((2, 3)); like(X, as_panel(X)); like([X], as_panel([X]));"
        # scikit-learn imports pandas and pyarrow by itself where they are installed
        "print([m for m in ('polars', 'pyarrow.dataset', 'vrae.data.columns') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---------------------------------------------------------------- what sktime calls mtypes


def cube() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((6, 2, 9)).astype(np.float32)


def multiindex(X: np.ndarray, steps: Any = None, names: tuple[str | None, str | None] = ("instances", "timepoints")):
    steps = range(X.shape[2]) if steps is None else steps
    index = pd.MultiIndex.from_product([range(len(X)), steps], names=names)
    return pd.DataFrame(X.transpose(0, 2, 1).reshape(-1, X.shape[1]), columns=["a", "b"][: X.shape[1]], index=index)


def df_list(X: np.ndarray, make: Any = pd.DataFrame) -> list[Any]:
    return [make(dict(zip("ab", x, strict=False))) for x in X]


def nested(X: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({name: [pd.Series(x[c]) for x in X] for c, name in enumerate("ab"[: X.shape[1]])})


MTYPES = {
    "numpy3D": lambda X: X,
    "df-list": df_list,
    "df-list, polars": lambda X: df_list(X, pl.DataFrame),
    "df-list, pyarrow": lambda X: df_list(X, pa.table),
    "pd-multiindex": multiindex,
    "pd-multiindex without names": lambda X: multiindex(X, names=(None, None)),
    "pd-multiindex, days": lambda X: multiindex(X, pd.date_range("2024-01-30", periods=X.shape[2])),
    "pd-multiindex, months": lambda X: multiindex(X, pd.period_range("2024-01", periods=X.shape[2], freq="M")),
    "nested_univ": nested,
}


@pytest.mark.parametrize("mtype", MTYPES)
def test_mtypes_of_sktime_are_the_same_panel(mtype):
    panel = as_panel(MTYPES[mtype](cube()))
    np.testing.assert_array_equal(panel.to_padded(), cube())
    assert panel.ids.tolist() == list(range(6))
    if mtype != "numpy3D":
        assert panel.channels == ("a", "b")
    if "days" in mtype:
        assert panel.times is not None
        assert panel.times[:3].astype("datetime64[D]").astype(str).tolist() == [
            "2024-01-30",
            "2024-01-31",
            "2024-02-01",
        ]
    if "months" in mtype:  # a period becomes the time at which it begins
        assert panel.times is not None
        assert panel.times[:3].astype("datetime64[D]").astype(str).tolist() == [
            "2024-01-01",
            "2024-02-01",
            "2024-03-01",
        ]


@pytest.mark.filterwarnings("ignore::vrae.exceptions.PosteriorCollapseWarning")
@pytest.mark.parametrize("mtype", MTYPES)
def test_every_estimator_takes_them(mtype):
    X, options = cube(), {"max_epochs": 1, "pattern_weight": 0.0}
    results = {"VRAE": "score_samples", "VRAEClusterer": "predict_proba", "VRAEAnomalyDetector": "score_samples"}
    for name, method in results.items():
        fitted = make_estimator(name, **options).fit(MTYPES[mtype](X))
        np.testing.assert_array_equal(getattr(fitted, method)(X), getattr(fitted, method)(MTYPES[mtype](X)))
        assert len(fitted.embedding_) == 6
    neighbors = make_estimator("VRAENeighbors", n_neighbors=2, **options).fit(MTYPES[mtype](X))
    np.testing.assert_array_equal(neighbors.kneighbors(X)[1], neighbors.kneighbors(MTYPES[mtype](X))[1])
    forecaster = make_estimator("GroupForecaster", season_length=1, **options)
    one = forecaster.fit(MTYPES[mtype](X[:, :1])).predict()
    np.testing.assert_allclose(one, forecaster.fit(X[:, :1]).predict(), rtol=1e-6)


@pytest.mark.parametrize("mtype", [name for name in MTYPES if name != "nested_univ"])
def test_mtypes_come_back_as_they_were(mtype):
    X = MTYPES[mtype](cube())
    back = doubled(X)
    assert type(back) is type(X)
    for one, other in [(X, back)] if not isinstance(X, list) else zip(X, back, strict=True):
        assert type(one) is type(other)
        if isinstance(one, pd.DataFrame):
            pd.testing.assert_frame_equal(other, one * 2)
        elif not isinstance(one, np.ndarray):
            assert _columns(other) == {name: [2 * v for v in values] for name, values in _columns(one).items()}


def test_rows_of_tables_in_a_list_are_sorted_by_time_and_restored():
    days = [pd.DatetimeIndex(["2024-01-02", "2024-01-01"], name="day"), pd.DatetimeIndex(["2024-01-03"], name="day")]
    frames = [
        pd.DataFrame({"note": ["late", "early"], "sold": [1.0, 2.0]}, index=days[0]),
        pd.DataFrame({"sold": [3], "note": ["last"]}, index=days[1]),
    ]
    panel = as_panel(frames)
    assert panel.values.ravel().tolist() == [2, 1, 3]
    assert panel.channels == ("sold",)
    back = like(frames, panel.with_values(panel.values + 10))
    assert [frame["sold"].tolist() for frame in back] == [[11, 12], [13]]
    assert [frame["note"].tolist() for frame in back] == [["late", "early"], ["last"]]
    assert all(one.index.equals(other.index) for one, other in zip(frames, back, strict=True))
    by_ds = [pl.DataFrame({"ds": [2, 1], "y": [1.0, 2.0], "price": [9.0, 9.0]})] * 2
    assert as_panel(by_ds).values.ravel().tolist() == [2, 1, 2, 1]
    split = [rows for _, rows in pd.DataFrame({"id": list("abab"), "y": [1.0, 2, 3, 4]}).groupby("id")]
    assert as_panel(split).times is None  # their index numbers the rows of the larger table


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        (
            [pd.DataFrame({"a": [1.0]}), pd.DataFrame({"b": [1.0]})],
            "first table has 'a'; the tables at positions 1 differ and have 'b'",
        ),
        ([pd.DataFrame({"a": [1.0]}), np.ones(3)], "ndarray at position 1"),
        ([pl.DataFrame({"a": [1.0]}), pl.DataFrame({"a": [1.0]}).lazy()], "LazyFrame at position 1"),
        ([pl.DataFrame({"a": [1.0]}), pl.DataFrame({"a": []})], "0 steps, the tables at positions 1"),
        ([pd.DataFrame({"a": ["x", "y"]})], "no number column"),
        ([pd.DataFrame({"a": [1.0, 2.0]}), pd.DataFrame({"a": [1.0, "much"]})], "'much' in row 3 .series 1"),
    ],
)
def test_lists_of_tables_that_cannot_be_read(frames, words):
    with pytest.raises(InvalidDataError, match=words):
        as_panel(frames)


def test_an_index_of_two_names_is_not_a_time():
    names = pd.MultiIndex.from_product([["north", "south"], ["tea", "milk"]], names=["region", "product"])
    with pytest.raises(InvalidDataError, match="long or wide"):
        as_panel(pd.DataFrame(np.ones((4, 5)), index=names))
    codes = pd.MultiIndex.from_product([["north", "south"], [17, 18]], names=["region", "product_id"])
    with pytest.raises(InvalidDataError, match="long or wide"):
        as_panel(pd.DataFrame(np.ones((4, 5)), index=codes))


# ---------------------------------------------------------------- ids of several parts


def sales(*ids: Any, dates: Any = None, **columns: Any) -> Any:
    """A Series of pandas with levels of ids, and dates as the last level."""
    names = [*("store", "item", "size")[: len(ids)], "date"]
    dates = pd.date_range("2024-01-01", periods=4) if dates is None else dates
    index = pd.MultiIndex.from_product([*ids, dates], names=names)
    return pd.Series(np.arange(len(index), dtype=float), index, **columns)


@pytest.mark.parametrize("name", [None, "qty"])
def test_a_series_with_item_and_date_reads_as_its_frame(name):
    series = sales(["b", "a"], name=name)
    panel, frame = as_panel(series), as_panel(series.to_frame(name or "value"))
    assert panel.channels == frame.channels == (name or "value",)
    assert panel.ids.tolist() == frame.ids.tolist() == ["b", "a"]
    np.testing.assert_array_equal(panel.to_padded(), frame.to_padded())
    np.testing.assert_array_equal(panel.times, frame.times)
    back = doubled(series)
    pd.testing.assert_series_equal(back, series * 2, check_dtype=False)
    kind = TableKind.of(series)
    assert kind is not None
    assert (kind.library, kind.id, kind.time) == ("pandas", "store", "date")


@pytest.mark.parametrize("make", [lambda x: x, lambda x: x.to_frame("qty")])
def test_more_levels_of_an_index_are_one_id(make):
    panel = as_panel(make(sales(["s", "n"], [7, 5])))
    assert panel.ids.tolist() == ["s/7", "s/5", "n/7", "n/5"]
    assert {name: column.tolist() for name, column in panel.static.items()} == {
        "store": ["s", "s", "n", "n"],
        "item": [7, 5, 7, 5],
    }
    assert panel.n_channels == 1
    assert panel.lengths.tolist() == [4, 4, 4, 4]
    three = as_panel(make(sales(["s"], ["tea"], ["L", "M"], dates=[1, 2, 3])))
    assert three.ids.tolist() == ["s/tea/L", "s/tea/M"]
    assert three.lengths.tolist() == [3, 3]
    back = doubled(make(sales(["s", "n"], [7, 5])))
    assert type(back) is type(make(sales(["s"])))
    assert np.ravel(back).tolist() == [2.0 * value for value in range(16)]


def test_levels_without_steps_name_the_rows_of_a_wide_table():
    index = pd.MultiIndex.from_product([["n", "s"], ["tea", "milk"], ["L", "M"]], names=["region", "item", "size"])
    panel = as_panel(pd.DataFrame(np.ones((8, 5)), index))
    assert panel.ids[:2].tolist() == ["n/tea/L", "n/tea/M"]
    assert panel.lengths.tolist() == [5] * 8


def parts_table(**columns: Any) -> Table:
    return from_frame(pd.DataFrame(columns))


def joined(store: Any, item: Any) -> list[str]:
    table = with_joined_id(parts_table(store=store, item=item, qty=np.arange(len(store))), ["store", "item"])
    assert table.parts == ("store", "item")
    assert table.columns == ["store", "item", "qty", "store/item"]
    assert with_joined_id(table, ["store", "item"]) is table
    return table.read(["store/item"])["store/item"].to_pylist()


def test_id_columns_are_joined_without_collisions():
    assert joined(["a", "b", "a"], [1, 2, 1]) == ["a/1", "b/2", "a/1"]
    assert joined([1.0, 2.0], [True, False]) == ["1/True", "2/False"]
    assert joined(pd.to_datetime(["2024-01-31", "2024-02-29"]), ["x", "y"]) == ["2024-01-31/x", "2024-02-29/y"]
    assert joined(["a/b", "a"], ["c", "b/c"]) == ["a/b | c", "a | b/c"]
    assert joined(["a |", "a", "/"], ["b", "| b", "c"]) == ["a | :: b", "a :: | b", "/ :: c"]


@pytest.mark.parametrize(
    ("columns", "parts", "words"),
    [
        ({"store": ["a", None], "item": [1, 2]}, ["store", "item"], "id is missing in 1 row .*'store'"),
        ({"store": ["a", "b"], "item": [1, np.nan]}, ["store", "item"], "id is missing in 1 row .*'item'"),
        ({"store": ["a", "b"], "item": [1, 2]}, ["store", "itm"], "No column 'itm'.*Did you mean 'item'"),
        ({"store": ["a", "b"], "item": [1, 2]}, ["store", "store"], "named twice"),
        ({"store": ["a"], "item": [1], "store/item": ["x"]}, ["store", "item"], "has a column 'store/item' already"),
        ({"store": ["a/ | :: ~ b"], "item": ["x"]}, ["store", "item"], "cannot be joined"),
        ({"store": [[1.0]], "item": ["x"]}, ["store", "item"], "'store'.*list"),
    ],
    ids=str,
)
def test_id_columns_that_cannot_be_joined(columns, parts, words):
    with pytest.raises(InvalidDataError, match=words):
        with_joined_id(parts_table(**columns), parts)


def test_columns_with_an_index_of_times_keep_their_times():
    series = [
        pd.Series([1.0, 2.0, 3.0], pd.date_range("2024-01-01", periods=3)),
        pd.Series([4.0, 5.0], pd.date_range("2024-02-01", periods=2), name="other"),
    ]
    panel = as_panel(series)
    assert panel.channels == ("value",)
    assert panel.times is not None
    assert panel.times.astype("M8[D]").astype(str).tolist()[2:4] == ["2024-01-03", "2024-02-01"]
    back = doubled(series)
    for one, other in zip(series, back, strict=True):
        pd.testing.assert_series_equal(other, one * 2, check_dtype=False, check_freq=False)


# ---------------------------------------------------------------- results in the table of the input


NIXTLA = {
    "unique_id": np.repeat(["b", "a", "c", "d"], 8),
    "ds": np.tile(pd.date_range("2024-01-31", periods=8, freq="ME"), 4),
    "y": np.random.default_rng(0).standard_normal(32),
}
TABLES = {
    "pandas": lambda: pd.DataFrame(NIXTLA),
    "pandas, indexed": lambda: pd.DataFrame(NIXTLA).set_index(["unique_id", "ds"]),
    "polars": lambda: pl.DataFrame(NIXTLA),
    "pyarrow": lambda: pa.Table.from_pandas(pd.DataFrame(NIXTLA)),
}


@pytest.mark.filterwarnings("ignore::vrae.exceptions.PosteriorCollapseWarning")
@pytest.mark.parametrize("name", TABLES)
def test_forecast_tables_have_the_library_and_names_of_the_input(name, tmp_path):
    X = TABLES[name]()
    forecaster = make_estimator("GroupForecaster", max_epochs=1).fit(X)
    for table in (
        forecaster.predict_table(),
        forecaster.predict_table(X),
        load_model(forecaster.save(tmp_path / "model")).predict_table(),
    ):
        assert type(table) is type(X)
        columns = _columns(table)
        assert list(columns) == ["unique_id", "step", "ds", "mean", "lo-80", "hi-80"]
        assert columns["unique_id"] == list("bbaaccdd")
        assert [str(time)[:10] for time in columns["ds"][:2]] == ["2024-09-30", "2024-10-31"]
        np.testing.assert_allclose(columns["mean"], forecaster.predict().ravel())
    assert isinstance(forecaster.predict_table(as_panel(X)), dict)


def test_id_and_time_names_do_not_replace_other_columns():
    kind = TableKind.of(multiindex(cube()[:, :1], names=("mean", "step")))
    assert kind is not None
    assert (kind.id, kind.time) == ("mean", "step")
    columns = {"id": ["a"], "step": [1], "time": [7], "mean": [0.5]}
    assert _columns(kind.table(columns)) == columns


def test_a_model_file_cannot_name_a_module_to_load():
    with pytest.raises(InvalidParameterError, match="library"):
        TableKind("antigravity", "unique_id", "ds")


@pytest.mark.filterwarnings("ignore::vrae.exceptions.PosteriorCollapseWarning")
@pytest.mark.parametrize("name", TABLES)
def test_results_per_step_are_tables_with_all_columns_and_rows(name):
    X = TABLES[name]()
    detector = make_estimator("VRAEAnomalyDetector", max_epochs=1).fit(X)
    for table in (detector.model_.reconstruct(X), detector.step_scores(X), *detector.expected_range(X)):
        assert type(table) is type(X)
        assert list(_columns(table)) == list(_columns(X))
        if isinstance(X, pd.DataFrame):
            pd.testing.assert_index_equal(table.index, X.index)
        else:
            assert _columns(table)["ds"] == _columns(X)["ds"]
        assert np.isfinite(np.array(_columns(table)["y"])).all()
    assert detector.ids_.tolist() == list("bacd")
    assert detector.predict(X).shape == detector.score_samples(X).shape == (4,)
