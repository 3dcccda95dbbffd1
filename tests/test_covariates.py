"""Known future covariates: planted effects are found, noise is left out, tables are read."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from conftest import TINY_FORECASTER as TINY
from vrae import GroupForecaster, Panel, load_model, read_panel
from vrae.data import covariate_panels
from vrae.data.covariate_panels import place_on_steps, read_covariates, read_with_covariates, split_covariates
from vrae.data.files import open_path
from vrae.data.reading import table_options
from vrae.estimators.forecasting.covariate_model import EffectModel, choose_covariates
from vrae.estimators.forecasting.covariates import Covariate, CovariateEffects, covariate_blocks
from vrae.exceptions import DataWarning, InvalidDataError, InvalidParameterError

N, T, H = 30, 52, 4
ROLES: dict[str, Any] = {"id": "item", "time": "week", "value": "qty"}
WEEKS = pd.date_range("2023-01-02", periods=T + H, freq="W-MON")


def planted(seed=0, n=N, steps=T + H, elasticity=-1.5, lift=0.6):
    """Return sales, prices, promotions and expected sales, each (n, steps)."""
    rng = np.random.default_rng(seed)
    price = rng.uniform(2, 9, (n, 1)) * np.where(rng.random((n, steps)) < 0.2, 0.8, 1.0)
    promo = (rng.random((n, steps)) < 0.15).astype(float)
    level = np.exp(rng.uniform(2, 4, (n, 1)))
    mean = level * (price / price.max(axis=1, keepdims=True)) ** elasticity * np.exp(lift * promo)
    return rng.poisson(mean).astype(float), price, promo, mean


def long_table(first=0, last=T, **more):
    sales, price, promo, _ = planted()
    columns = {"qty": sales, "price": price, "promo": promo, **more}
    table = {"item": np.repeat([f"i{i}" for i in range(N)], last - first), "week": np.tile(WEEKS[first:last], N)}
    return pd.DataFrame({**table, **{name: values[:, first:last].ravel() for name, values in columns.items()}})


def rmse(found, actual):
    return float(np.sqrt(np.mean((found - actual) ** 2)))


@pytest.fixture(scope="module")
def past():
    return long_table()


@pytest.fixture(scope="module")
def future():
    return long_table(T, T + H).drop(columns="qty")


@pytest.fixture(scope="module")
def forecaster(past):
    noise = (np.random.default_rng(9).random(len(past)) < 0.2).astype(int)
    panel = read_panel(past.assign(noise=noise), **{**ROLES, "value": ["qty", "price", "promo", "noise"]})
    with pytest.warns(DataWarning, match="Left out of the covariates: 'noise' .forecasts of steps"):
        return GroupForecaster(H, covariates=["price", "promo", "noise"], **TINY).fit(panel)


# -------------------------------------------------------------------- effects


def test_planted_effects_are_found_and_noise_is_not():
    sales, price, promo, _ = planted()
    noise = np.random.default_rng(1).random(sales.shape)
    x = np.stack([np.log(price / np.median(price, axis=1, keepdims=True)), promo, noise], axis=2)
    kept, gain = choose_covariates(sales, x, 13)
    assert kept == [0, 1]
    assert gain[0] > 0.05
    model = EffectModel.fit(sales, x[:, :, kept], 13)
    assert model.common == pytest.approx([-1.5, 0.6], abs=0.1)
    assert (np.abs(model.common - [-1.5, 0.6]) < 4 * model.error).all()
    assert model.own.std(axis=0).max() < 0.15  # all items have the same


def test_items_may_have_effects_of_their_own():
    rng = np.random.default_rng(0)
    promo = (rng.random((60, 104)) < 0.15).astype(float)
    own = rng.normal(0.8, 0.4, (60, 1))
    sales = rng.poisson(60 * np.exp(own * promo)).astype(float)
    found = EffectModel.fit(sales, promo[:, :, None], 13).own[:, 0]
    assert np.corrcoef(found, own[:, 0])[0, 1] > 0.9
    assert rmse(found, own[:, 0]) < 0.15


def test_what_all_items_do_is_not_the_effect_of_a_promotion():
    rng = np.random.default_rng(0)
    season = 0.5 * np.sin(2 * np.pi * np.arange(104) / 13)
    promo = (rng.random((60, 104)) < 0.1 + 0.3 * (season > 0.2)).astype(float)  # mostly when sales are high
    sales = rng.poisson(20 * np.exp(season + 0.3 * promo)).astype(float)
    assert EffectModel.fit(sales, promo[:, :, None], 13).common == pytest.approx([0.3], abs=0.08)


def test_a_holiday_is_the_same_for_all_items():
    rng = np.random.default_rng(0)
    holiday = np.zeros((30, 104))
    holiday[:, [5, 27, 40, 61, 77, 95]] = 1
    sales = rng.poisson(20 * np.exp(0.5 * holiday + rng.normal(0, 0.05, 104))).astype(float)
    kept, _ = choose_covariates(sales, holiday[:, :, None], 13)
    assert kept == [0]
    assert EffectModel.fit(sales, holiday[:, :, None], 13).common == pytest.approx([0.5], abs=0.12)


@pytest.mark.parametrize("kind", ["flag", "price", "walk"])
def test_noise_is_left_out(kind):
    left_out = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        sales = rng.poisson(np.exp(rng.normal(1, 1, (40, 1))) * np.exp(rng.normal(0, 0.5, (40, 60)))).astype(float)
        x = {
            "flag": (rng.random((40, 60)) < 0.1) * 1.0,
            "price": np.where(rng.random((40, 60)) < 0.2, np.log(0.8), 0.0),
            "walk": rng.normal(0, 0.05, (40, 60)).cumsum(axis=1),
        }[kind]
        left_out += not choose_covariates(sales, x[:, :, None], 12)[0]
    assert left_out >= 9


@pytest.mark.parametrize(
    ("values", "kind", "change"),
    [
        ([0.0, 1, 0, np.nan], "flag", "0 -> 1"),
        ([-1.0, 1, 1, 1], "flag", "-1 -> 1"),
        ([2.0, 2.5, 3, 2], "ratio", "+10 %"),
        ([4.0, 5, 5, 5], "ratio", "+10 %"),
        ([-3.0, 0, 2, 4], "number", "+2"),
    ],
)
def test_how_covariates_enter(values, kind, change):
    found = Covariate.describe("x", np.array([values]))
    assert found.kind == kind
    assert found.change[0] == change


def test_sizes_of_blocks():
    assert [covariate_blocks(season) for season in (1, 4, 5, 7, 12, 24, 52, 365)] == [12, 12, 15, 14, 12, 24, 13, 13]


def test_effects_are_a_table_for_buyers(forecaster):
    table = forecaster.covariate_effects_
    assert table["covariate"].tolist() == ["price", "promo", "noise"]
    assert table["change"].tolist() == ["+10 %", "0 -> 1", "0 -> 1"]
    assert table["effect_percent"] == pytest.approx([-13, 82, 0], abs=6)
    assert table["effect"].tolist()[2] == "none"
    assert table["used"].tolist() == [True, True, False]
    assert (table["low_percent"] <= table["high_percent"]).all()
    assert GroupForecaster().covariates is None


# -------------------------------------------------------------------- forecasts


def test_the_future_of_covariates_lowers_the_error(forecaster, future, past):
    mean = planted()[3][:, T:]
    found = forecaster.predict(future=future)
    plain = GroupForecaster(H, **TINY).fit(read_panel(past, **ROLES)).predict()
    assert rmse(found, mean) < 0.5 * rmse(plain, mean)
    with pytest.warns(DataWarning, match="120 of 'price', 120 of 'promo'.*last steps.*Pass them with future="):
        unknown = forecaster.predict()
    assert rmse(unknown, mean) < 1.15 * rmse(plain, mean)
    table = forecaster.predict_table(future=future)
    assert np.array_equal(table["mean"].reshape(N, H), found)
    assert (table["lo-80"] <= table["mean"]).all()
    inside = (planted()[0][:, T:].ravel() >= table["lo-80"]) & (planted()[0][:, T:].ravel() <= table["hi-80"])
    assert 0.65 < inside.mean() < 0.93


def test_saved_and_new_items(forecaster, future, past, tmp_path):
    loaded = load_model(forecaster.save(tmp_path / "m"))
    expected = forecaster.predict(future=future)
    assert loaded.covariates == ["price", "promo", "noise"]
    assert np.array_equal(loaded.predict(future=future), expected)
    assert loaded.covariate_effects_["effect"].tolist() == forecaster.covariate_effects_["effect"].tolist()
    some = past[past["item"].isin(["i7", "i3"])]
    values = ["qty", "price", "promo"]
    panel = read_panel(some, **{**ROLES, "value": values})
    assert np.allclose(loaded.predict(panel, future=future), expected[[7, 3]][np.argsort(panel.ids)[::-1]], rtol=1e-4)
    renamed = read_panel(some.assign(item="new" + some["item"]), **{**ROLES, "value": values})
    later = future.assign(item="new" + future["item"])
    assert np.allclose(loaded.predict(renamed, future=later), loaded.predict(panel, future=future), rtol=0.1)
    with pytest.warns(DataWarning, match="values of the past of covariates, these are not known: 104 of 'price'"):
        loaded.predict(read_panel(some, **ROLES), future=future)


def test_rows_after_the_last_value_are_the_future(forecaster, future):
    sales = planted()[0]
    sales[:, T:] = np.nan
    table = long_table(0, T + H, qty=sales)
    with pytest.warns(DataWarning, match="Took"):
        found = GroupForecaster(H, covariates=["price", "promo"], **TINY).fit(table)
    known = found.predict()
    assert known.shape == (N, H)
    assert np.allclose(known, forecaster.predict(future=future), rtol=0.05)
    assert found.predict_table()["week"].iloc[0] == WEEKS[T]
    assert isinstance(found.covariate_effects_, pd.DataFrame)
    assert np.allclose(found.predict(table), known, rtol=1e-4)


def test_a_price_never_seen_counts_as_the_furthest_that_was(forecaster, future):
    with pytest.warns(DataWarning, match="120 future values of 'price' are further.*furthest that was"):
        far = forecaster.predict(future=future.assign(price=1e6))
    assert np.isfinite(far).all()


def test_arrays_and_an_array_of_the_future():
    sales, price, promo, mean = planted()
    X = np.stack([sales, price, promo], axis=1)
    found = GroupForecaster(H, covariates=["value1", "value2"], **TINY).fit(X[:, :, :T])
    assert rmse(found.predict(future=X[:, 1:, T:]), mean[:, T:]) < 0.2 * mean.std()


def test_a_scale_does_not_matter():
    sales, _, promo, _ = planted(n=20)
    raw, ids, nothing = promo[:, :, None], np.arange(20), np.full((20, 3, 1), np.nan)
    one, other = (CovariateEffects.fit(["promo"], sales * k, raw, nothing, ids, 13) for k in (1, 1e-4))
    assert one.common == pytest.approx(other.common, abs=0.01)


# -------------------------------------------------------------------- reading


def test_a_step_without_a_row_has_no_sales_and_no_price(past):
    sparse = past[(past["item"] != "i1") | (past["week"] != WEEKS[9])]
    panel = read_with_covariates(sparse, table_options(**ROLES, fill=0), ["price", "promo"])
    target, covariates = split_covariates(panel, ["price", "promo"])
    assert target.channels == ("qty",)
    assert target[1][0, 9] == 0
    assert np.isnan(covariates[1][:, 9]).all()
    repeated = pd.concat([past, past])
    with pytest.warns(DataWarning, match="Merged 1,560 rows that repeat"):
        panel = read_with_covariates(repeated, table_options(**ROLES, duplicates="sum"), ["price"])
    assert panel[0][0, 0] == 2 * past["qty"].iloc[0]  # sales add up, prices do not
    assert panel[0][1, 0] == pytest.approx(past["price"].iloc[0])


def test_filled_steps_end_with_the_last_value():
    sales = planted()[0]
    sales[:, T:] = np.nan
    table = long_table(0, T + H, qty=sales)
    table = table[(table["item"] != "i2") | (table["week"] < WEEKS[T - 3])]  # no row for the future, or just before
    target, covariates = split_covariates(
        read_with_covariates(table, table_options(**ROLES, fill=0), ["price", "promo"]), ["price", "promo"]
    )
    assert target.times is not None
    assert covariates.times is not None
    assert target.times.max() == WEEKS[T - 1]
    assert target.lengths.tolist() == [T] * N
    assert target[2][0, -3:].tolist() == [0, 0, 0]
    assert covariates.times.max() == WEEKS[-1]


def test_holidays_without_an_id_hold_for_all(past):
    model = read_panel(past, **ROLES)
    days = pd.DataFrame({"week": WEEKS[T:], "promo": [0, 1, 0, 0]})
    panel = read_covariates(days, model.reading, ["promo"], model.calendar)
    placed = place_on_steps(panel, model.ids, WEEKS[T:].to_numpy(), H, model.calendar)
    assert placed.shape == (N, H, 1)
    assert (placed[:, :, 0] == [0, 1, 0, 0]).all()


def test_a_switch_is_usually_off(forecaster):
    weeks, plan = pd.DatetimeIndex(WEEKS[T - 4 : T]), pd.DatetimeIndex(WEEKS[T : T + H])

    def mean_of(past: list[float], promo: list[float]) -> Any:
        start = pd.DataFrame({"item": "new", "week": weeks, "qty": 20.0, "price": np.nan, "promo": past})
        ahead = pd.DataFrame({"item": "new", "week": plan, "price": np.nan, "promo": promo})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return forecaster.predict(start, future=ahead)[0]

    effects = pd.DataFrame(forecaster.covariate_effects_).set_index("covariate")["effect_percent"]
    effect = effects["promo"] / 100
    off, on = [0.0] * H, [0.0, 1.0] + [0.0] * (H - 2)
    for past in ([0.0] * 4, [np.nan] * 4):
        plain, planned = mean_of(past, off), mean_of(past, on)
        assert planned[1] == pytest.approx((1 + effect) * plain[1], rel=0.02)
        assert planned[0] == pytest.approx(plain[0], rel=0.02)
    assert mean_of([1.0] * 4, off) == pytest.approx(mean_of([0.0] * 4, off) / (1 + effect), rel=0.02)


def test_what_covariates_cannot_be(past, future, forecaster):
    wide = past.pivot(index="item", columns="week", values="qty").reset_index()
    wide.columns = [str(name) for name in wide.columns]
    cases = [
        (lambda: GroupForecaster(H, covariates=["prise"], **TINY).fit(past), "No column 'prise'.*'price'"),
        (lambda: GroupForecaster(H, covariates=["item"], **TINY).fit(wide), "one row per series and step"),
        (lambda: GroupForecaster(H, covariates=[3], **TINY).fit(past), "covariates.* must be"),
        (lambda: GroupForecaster(H, covariates=["a", "a"], **TINY).fit(past), "each once"),
        (
            lambda: GroupForecaster(H, covariates=["price"], **TINY).fit(
                Panel.from_arrays(np.ones((5, 3, 40)), channels=("qty", "price", "promo"))
            ),
            "one channel of values beside the covariates 'price'",
        ),
        (
            lambda: forecaster.predict(future=future.assign(week=future["week"] + pd.Timedelta(days=70))),
            "no row for the",
        ),
        (lambda: forecaster.predict(future=future.assign(item="x" + future["item"])), "no row for the.*ids are 'xi0'"),
        (lambda: forecaster.predict(future=future.assign(price=np.nan, promo=np.nan)), "no value of.*all are empty"),
        (
            lambda: forecaster.predict(future=future.drop(columns=["item", "week"])),
            "No column 'week'.*'price', 'promo'",
        ),
        (
            lambda: GroupForecaster(H, covariates=["price"], **TINY).fit(past.set_index(["item", "week"])),
            "Which column of the pandas table.*'qty', 'promo' beside",
        ),
        (lambda: GroupForecaster(H, covariates=["day"], **TINY).fit(past.assign(day="Monday")), "'day'.*no numbers"),
        (lambda: forecaster.predict(future=future.drop(columns=["price", "promo"])), "none of the covariates"),
    ]
    for call, words in cases:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises((InvalidDataError, InvalidParameterError), match=words):
                call()
    negative = past.assign(qty=past["qty"] - 100)
    panel = read_panel(negative, **{**ROLES, "value": ["qty", "price"]})
    with pytest.raises(InvalidDataError, match=r"need values of at least 0.*in 30 of 30 series: ids 'i0'"):
        GroupForecaster(H, covariates=["price"], **TINY).fit(panel)


def test_the_command(cli, tmp_path, past, future, monkeypatch):
    past.to_csv(tmp_path / "sales.csv", index=False)
    future.to_csv(tmp_path / "plan.csv", index=False)
    options = ["--id", "item", "--time", "week", "--value", "qty", "--horizon", H, "-k", 1, "--season", 1]
    options += ["--no-classical", "--epochs", 1, "--pattern-weight", 0, "--covariate", "price", "--covariate", "promo"]
    plan = ["--future", tmp_path / "plan.csv"]
    opened = []

    def open_and_count(path, options):
        opened.append(path)
        return open_path(path, options)

    with monkeypatch.context() as counted:
        counted.setattr(covariate_panels, "open_path", open_and_count)
        done = cli(
            "forecast", tmp_path / "sales.csv", *options, *plan, "--save", tmp_path / "m", "-o", tmp_path / "a.csv"
        )
    assert done.code == 0, done.err
    assert opened == [tmp_path / "sales.csv", tmp_path / "plan.csv"]  # each once
    assert "Effects: price +10 %: -1" in done.err
    found = pd.read_csv(tmp_path / "a.csv")
    assert rmse(found["mean"].to_numpy().reshape(N, H), planted()[3][:, T:]) < 6
    again = cli("forecast", tmp_path / "sales.csv", "--model", tmp_path / "m", *plan, "-o", tmp_path / "b.csv")
    assert again.code == 0, again.err
    assert pd.read_csv(tmp_path / "b.csv")["mean"].to_numpy() == pytest.approx(found["mean"].to_numpy(), rel=1e-3)
    done = cli("forecast", tmp_path / "sales.csv", *options[:-4], *plan)
    assert done.code == 2
    assert "Name their columns: --covariate" in done.err
    for changed, words in (
        (pd.concat([future, future]), "plan.csv: Found .*'i0' at 2024-01-01, .*Keep one row for each"),
        (future.drop(columns="item"), "plan.csv: Found .*no column 'item', so it holds for all series"),
        (future.assign(week=future["week"] + pd.Timedelta(days=700)), "--future .*plan.csv has no row for the steps"),
        (future.drop(columns="promo"), f"{N * H} of 'promo'.*Add or correct them in --future .*plan.csv"),
        (future.assign(price=-1.0), "or are 0 or less where all others are above 0: .*'price'"),
    ):
        changed.to_csv(tmp_path / "plan.csv", index=False)
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            done = cli("forecast", tmp_path / "sales.csv", "--model", tmp_path / "m", *plan, "-o", tmp_path / "c.csv")
        assert re.search(words, " ".join(done.err.split())), done.err
        assert "--duplicates" not in done.err
        (tmp_path / "c.csv").unlink(missing_ok=True)
    for changed, words in (
        (future.drop(columns=["price", "promo"]), "none of the covariates 'price', 'promo'"),
        (future.assign(price="cheap"), "'price' of .*plan.csv hold no numbers"),
        (future.assign(week=future["week"] + pd.Timedelta(days=700)), "--future .*plan.csv has no row for the steps"),
        (future.assign(item="x" + future["item"]), "no row for the items"),
    ):
        changed.to_csv(tmp_path / "plan.csv", index=False)
        with monkeypatch.context() as untrained:
            untrained.setattr(GroupForecaster, "fit", lambda *_: pytest.fail("trained first"))
            done = cli("forecast", tmp_path / "sales.csv", *options, *plan, "-o", tmp_path / "c.csv")
        assert done.code == 2
        assert re.search(words, " ".join(done.err.split())), done.err
    done = cli("forecast", tmp_path / "sales.csv", "--model", tmp_path / "m", "--seed", 3, "--track", "mlflow")
    assert "Note: --track, --seed have no effect" in done.err
