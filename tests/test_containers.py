"""as_panel reads every container of series, and like returns results in the same container."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from conftest import make_estimator
from vrae import load_model
from vrae.data.containers import TableKind, like
from vrae.data.panel import Panel
from vrae.data.reading import as_panel
from vrae.exceptions import InvalidDataError, InvalidParameterError


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


def test_other_types_are_refused():
    from scipy.sparse import csr_array

    with pytest.raises(InvalidDataError, match="sparse"):
        as_panel(csr_array(np.eye(3)))
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
