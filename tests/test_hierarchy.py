"""Forecasts that add up over static columns, at every level and in every order of sums."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from conftest import TINY_FORECASTER as TINY
from vrae import GroupForecaster, Panel, load_model, read_panel
from vrae.data.reading import read_source, table_options, with_static
from vrae.estimators.forecasting.hierarchy import Hierarchy, _summable, minimum_trace
from vrae.exceptions import DataWarning, InvalidDataError, InvalidParameterError

N, T, H = 24, 40, 3
COLUMNS = ["department", "category"]
LEVELS = {"total": ["step"], "department": ["step", "department"], "department/category": ["step", *COLUMNS]}


def sales():
    """Return a long table of items in two departments of up to three categories."""
    rng = np.random.default_rng(0)
    weeks = pd.date_range("2024-01-01", periods=T, freq="W-MON")
    level = np.exp(rng.uniform(0, 4, N))
    return pd.DataFrame(
        {
            "item": np.repeat([f"i{i}" for i in range(N)], T),
            "week": np.tile(weeks, N),
            "qty": rng.poisson(np.repeat(level, T)),
            "department": np.repeat([("food", "toys")[i % 2] for i in range(N)], T),
            "category": np.repeat([("a", "b", "c")[i % 3] for i in range(N)], T),
        }
    )


@pytest.fixture(scope="module")
def forecaster():
    return GroupForecaster(H, **TINY).fit(read_panel(sales(), id="item", time="week", value="qty"))


def check_sums(table):
    table = pd.DataFrame(table)
    items = table[table["level"] == "item"]
    for level, keys in LEVELS.items():
        added = items.groupby(keys)["mean"].sum().sort_index()
        assert (table[table["level"] == level].set_index(keys)["mean"].sort_index() == added).all()
        backwards = items[::-1].groupby(keys)["mean"].sum().sort_index()
        assert (backwards == added).all()
    return table


# -------------------------------------------------------------------- the method


def dense_minimum_trace(items, totals, item_variance, total_variance, sums):
    """Return the formula of Wickramasuriya et al. (2019), with a matrix of all series."""
    S = np.concatenate([sums, np.eye(sums.shape[1])])
    weight = np.diag(1 / np.concatenate([total_variance, item_variance]))
    return np.linalg.solve(S.T @ weight @ S, S.T @ weight @ np.concatenate([totals, items]))


def test_minimum_trace_is_the_formula_of_the_paper():
    rng = np.random.default_rng(0)
    sums = np.array([[1, 1, 1, 1, 1.0], [1, 1, 0, 0, 0], [0, 0, 1, 1, 1]])
    items, totals = rng.uniform(0, 9, (5, 4)), rng.uniform(0, 30, (3, 4))
    variances = rng.uniform(0.1, 3, 5), rng.uniform(0.1, 9, 3)
    found = minimum_trace(items, totals, *variances, sparse.csr_array(sums))
    assert np.allclose(found, dense_minimum_trace(items, totals, *variances, sums))
    certain = minimum_trace(items, totals, variances[0], np.array([1e3, 1e-6, 1e-6]), sparse.csr_array(sums))
    assert np.allclose(sums[1:] @ certain, totals[1:], atol=1e-3)


def test_sums_are_exact_in_any_order():
    rng = np.random.default_rng(0)
    values = _summable(rng.lognormal(0, 8, (500, 2)))
    assert all(
        values[rng.permutation(500)].cumsum(axis=0)[-1].tolist() == values.sum(axis=0).tolist() for _ in range(9)
    )
    assert np.array_equal(_summable(np.zeros((3, 2))), np.zeros((3, 2)))


def test_totals_of_each_level():
    static = {"department": np.array(["x", "y", "x", None], object), "category": np.array([1, 1, 2, 2])}
    with pytest.warns(DataWarning, match="1 items have no 'department'"):
        found = Hierarchy.of(COLUMNS, static, 4)
    assert found.paths == (
        (),
        ("unknown",),
        ("x",),
        ("y",),
        ("unknown", "2"),
        ("x", "1"),
        ("x", "2"),
        ("y", "1"),
    )
    assert (found.sums @ np.array([1.0, 10, 100, 1000])).tolist() == [1111, 1000, 101, 10, 1000, 1, 100, 10]


# -------------------------------------------------------------------- forecasts


def base_bounds(forecaster, name):
    return forecaster.predict_table(level=[50, 95])[name].reshape(N, H)


@pytest.mark.parametrize("reconcile", ["mint", "bottom_up"])
def test_forecasts_add_up(forecaster, reconcile):
    table = check_sums(forecaster.predict_table(hierarchy=COLUMNS, reconcile=reconcile, level=[50, 95]))
    assert table["level"].unique().tolist() == ["total", "department", "department/category", "item"]
    assert len(table) == (1 + 2 + 6 + N) * H
    assert table["id"].iloc[0] == "total"
    for level in (50, 95):
        assert (table[f"lo-{level}"] <= table["mean"]).all()
        assert (table["mean"] <= table[f"hi-{level}"]).all()
    assert (table["lo-95"] >= 0).all()
    items, base = table[table["level"] == "item"], forecaster.predict()
    assert (items["lo-95"].to_numpy().reshape(N, H)[base_bounds(forecaster, "lo-95") == 0] == 0).all()
    difference = np.abs(items["mean"].to_numpy().reshape(N, H) - base)
    assert difference.max() < (1e-9 if reconcile == "bottom_up" else 0.5 * base.max())
    # Items add up independently, so that the relative width of a total is smaller than theirs.
    width = (table["hi-95"] - table["lo-95"]) / table["mean"]
    assert width[table["level"] == "total"].mean() < 0.7 * width[table["level"] == "item"].mean()


def test_a_total_that_is_known_better_moves_its_items():
    rng = np.random.default_rng(1)
    weeks = np.arange(T) + np.zeros((20, 1))
    X = rng.poisson(3 + 2 * np.sin(weeks / 3)).astype(float)  # what all do is clear in the sum alone
    panel = Panel.from_arrays(X[:, :-H], static={"kind": np.array(["x"] * 20)})
    found = GroupForecaster(H, **TINY).fit(panel)
    items = (
        pd.DataFrame(found.predict_table(hierarchy=["kind"], reconcile="mint"))
        .query("level == 'item'")["mean"]
        .to_numpy()
    )
    assert not np.allclose(items.reshape(20, H), found.predict(), rtol=1e-3)


def test_saved_and_other_items(forecaster, tmp_path):
    loaded = load_model(forecaster.save(tmp_path / "m"))
    expected = forecaster.predict_table(hierarchy=COLUMNS)
    found = loaded.predict_table(hierarchy=COLUMNS)
    assert all(np.array_equal(found[name], expected[name]) for name in expected if name not in COLUMNS)
    some = sales().query("item in ['i1', 'i4', 'i5']")
    table = check_sums(loaded.predict_table(some, hierarchy=COLUMNS))
    assert (table["level"] == "item").sum() == 3 * H
    assert "week" in table


@pytest.mark.parametrize("reconcile", ["mint", "bottom_up"])
def test_covariates_count_in_totals(reconcile):
    rng = np.random.default_rng(0)
    promo = (rng.random((N, T + H)) < 0.2).astype(float)
    promo[:, T:] = 1  # on promotion from now on, all of them
    X = rng.poisson(10 * np.exp(0.7 * promo)).astype(float)
    parts = np.stack([X, promo], axis=1)
    panel = Panel.from_arrays(parts[:, :, :T], channels=("qty", "promo"), static={"kind": np.array(["x", "y"] * 12)})
    found = GroupForecaster(H, covariates=["promo"], **TINY).fit(panel)
    table = pd.DataFrame(found.predict_table(future=promo[:, None, T:], hierarchy=["kind"], reconcile=reconcile))
    total = table[table["level"] == "total"]["mean"].mean()
    assert total == pytest.approx(N * 10 * np.exp(0.7), rel=0.15)


def test_what_is_no_hierarchy(forecaster):
    for hierarchy, words in (
        (["brand"], "static columns 'brand'.*'department', 'category'"),
        ([], "must be names of static columns"),
        (["department", "department"], "each once"),
    ):
        with pytest.raises((InvalidDataError, InvalidParameterError), match=words):
            forecaster.predict_table(hierarchy=hierarchy)
    with pytest.raises(InvalidParameterError, match="reconcile"):
        forecaster.predict_table(hierarchy=["department"], reconcile="ols")
    with pytest.raises(InvalidParameterError, match="reconcile='mint' needs hierarchy="):
        forecaster.predict_table(reconcile="mint")


def test_a_department_that_is_called_unknown_is_not_empty():
    static = {"department": np.array(["unknown", "toys", "unknown"])}
    assert Hierarchy.of(["department"], static, 3).paths == ((), ("toys",), ("unknown",))  # warnings are errors here
    with pytest.warns(DataWarning, match="1 items have no 'department'"):
        Hierarchy.of(["department"], {"department": np.array(["unknown", "toys", ""])}, 3)


def test_columns_that_a_table_shows_by_itself_stay(tmp_path):
    file = tmp_path / "sales.csv"
    sales().assign(store="007", brand="x").to_csv(file, index=False)
    options = table_options(id="item", time="week", value="qty")
    opened, found = with_static(file, options, ["store"])
    assert set(found.static or ()) == {"department", "category", "brand", "store"}
    file.unlink()  # it is not read again
    assert read_source(opened, found).static["store"].tolist() == ["007"] * N
    assert with_static(file, options, []) == (file, options)
    named = table_options(id="item", time="week", value="qty", static="brand")
    opened, found = with_static(file, named, ["store"])
    assert (opened, found.static) == (file, ("brand", "store"))


def test_the_command(cli, tmp_path):
    sales().to_csv(tmp_path / "sales.csv", index=False)
    options = ["--id", "item", "--time", "week", "--value", "qty", "--horizon", H, "-k", 1, "--season", 1]
    levels = ["--hierarchy", "department", "--hierarchy", "category"]
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        done = cli(
            "forecast",
            tmp_path / "sales.csv",
            *options,
            *levels,
            "--no-classical",
            "--pattern-weight",
            0,
            "--epochs",
            1,
            "-o",
            tmp_path / "f.csv",
        )
    assert done.code == 0, done.err
    assert f"{1 + 2 + 6 + N} items and totals, {H} steps each" in done.err
    table = check_sums(pd.read_csv(tmp_path / "f.csv", float_precision="round_trip"))
    assert list(table)[:6] == ["id", "level", "department", "category", "step", "time"]
