"""Forecasts of items in groups: planted seasons are found, and every item comes back in order."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

from vrae import VRAE, GroupForecaster, Panel, load_model, read_panel
from vrae.estimators.forecasting.calendar_matrix import CalendarMatrix
from vrae.estimators.forecasting.combination import Combination, Traits
from vrae.estimators.forecasting.forecast_windows import ItemScale, Variation, typical_variation, windows_at
from vrae.estimators.forecasting.plan import ForecastPlan
from vrae.exceptions import (
    DataWarning,
    InvalidDataError,
    InvalidParameterError,
    MissingDependencyError,
    NotFittedError,
)
from vrae.io.folder import read_folder, write_folder
from vrae.nn.model import build_network

SEASON, HORIZON, N, T = 12, 6, 90, 60
QUICK_MODEL: dict[str, Any] = {
    "hidden_size": 24,
    "latent_size": 6,
    "learning_rate": 0.01,
    "max_epochs": 8,
    "device": "cpu",
}
QUICK: dict[str, Any] = {"season_length": SEASON, "n_backtests": 1, "random_state": 0, "model": VRAE(**QUICK_MODEL)}
TINY_MODEL: dict[str, Any] = {**QUICK_MODEL, "hidden_size": 8, "latent_size": 3, "max_epochs": 1}
TINY: dict[str, Any] = {**QUICK, "classical": False, "model": VRAE(**TINY_MODEL)}


def planted(seed=0, n=N):
    """Items of three groups, each with a season of its own, at levels from 1 to 100: (n, T)."""
    rng = np.random.default_rng(seed)
    group = np.arange(n) % 3
    wave = np.sin(2 * np.pi * (np.arange(T) / SEASON + group[:, None] / 3))
    level = np.exp(rng.uniform(0, np.log(100), (n, 1)))
    return level * (1 + 0.5 * wave + 0.1 * rng.standard_normal((n, T))), group


def plan_of(horizon, n_context, season=1, n_history=None):
    """Return a plan without a model, for windows."""
    return ForecastPlan(horizon, n_context, n_history or n_context, season, "kmeans", 0, VRAE(), ("level",))


def error(forecast, actual, known):
    """Mean over items of the error, relative to the item's own spread."""
    return float(np.mean(np.sqrt(np.mean((forecast - actual) ** 2, axis=1)) / known.std(axis=1)))


@pytest.fixture(scope="module")
def seasons():
    X, group = planted()
    return GroupForecaster(HORIZON, **QUICK).fit(X[:, :-HORIZON]), X, group


@pytest.fixture(scope="module")
def small():
    return GroupForecaster(3, **TINY).fit(planted(n=24)[0][:, :40])


# -------------------------------------------------------------------- planted truth


@pytest.mark.slow
def test_planted_seasons_are_forecast(seasons):
    forecaster, X, _ = seasons
    known, actual = X[:, :-HORIZON], X[:, -HORIZON:]
    found = error(forecaster.predict(), actual, known)
    assert found < 0.5 * error(known.mean(axis=1, keepdims=True) + np.zeros((1, HORIZON)), actual, known)
    assert found < 0.45  # noise alone makes .27


@pytest.mark.slow
def test_new_items_get_the_season_of_their_group(seasons):
    forecaster, *_ = seasons
    X, _ = planted(seed=7)
    known, actual = X[:, -HORIZON - 5 : -HORIZON], X[:, -HORIZON:]
    own_mean = np.repeat(known.mean(axis=1, keepdims=True), HORIZON, axis=1)
    found = forecaster.predict(known)  # less than half a season
    assert error(found, actual, X) < 0.75 * error(own_mean, actual, X)
    probability = forecaster.predict_proba(known)
    assert np.allclose(probability.sum(axis=1), 1)


@pytest.mark.slow
def test_intervals_contain_about_their_level(seasons):
    forecaster, X, _ = seasons
    table = forecaster.predict_table(level=[50, 90])
    actual = X[:, -HORIZON:].ravel()
    for level, low, high in ((50, 0.38, 0.65), (90, 0.82, 0.97)):
        inside = (actual >= table[f"lo-{level}"]) & (actual <= table[f"hi-{level}"])
        assert low < inside.mean() < high
    assert (table["lo-90"] <= table["lo-50"]).all()
    assert (table["hi-50"] <= table["hi-90"]).all()


@pytest.mark.slow
def test_noise_is_forecast_flat():
    X = 50 + 5 * np.random.default_rng(0).standard_normal((60, 48))
    forecast = GroupForecaster(HORIZON, **QUICK).fit(X).predict()
    assert forecast.std(axis=1).mean() < 0.35 * 5
    assert abs(forecast.mean() - 50) < 1


def test_items_at_other_origins_have_the_season_of_their_dates():
    X, _ = planted()
    months = pd.date_range("2020-01-01", periods=T, freq="MS").to_numpy("datetime64[us]")

    def until(end: int) -> Panel:
        return Panel.from_arrays(X[:, end - 24 : end], times=np.tile(months[end - 24 : end], N))

    forecaster = GroupForecaster(HORIZON, **QUICK).fit(Panel.from_arrays(X[:, :42], times=np.tile(months[:42], N)))
    usual = error(forecaster.predict(until(42)), X[:, 42:48], X)
    for end in (36, 40, 47, 54):
        assert error(forecaster.predict(until(end)), X[:, end : end + HORIZON], X) < 1.5 * usual


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_items_without_spread_are_in_the_units_of_the_others(unit):
    X = planted(n=24)[0][:, :40]
    X[0], X[1] = 0, 7
    forecaster = GroupForecaster(3, **TINY).fit(X * unit)
    nothing = np.zeros((1, 40))
    assert forecaster.predict_table(nothing)["hi-80"].max() < 50 * unit
    # Training rounds otherwise in other units, and more or less so by the processor.
    assert np.allclose(forecaster.predict() / unit, GroupForecaster(3, **TINY).fit(X).predict(), rtol=5e-3, atol=5e-3)


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e6])
def test_an_item_without_a_sale_has_the_spread_of_those_that_sell_least(unit):
    rng = np.random.default_rng(0)
    sold = np.concatenate([rng.poisson(400, (90, 30)), rng.poisson(0.5, (10, 30))]).astype(float)
    nothing = ItemScale.fit(np.zeros((1, 30)), typical_variation(unit * sold))
    assert 0.3 * unit < nothing.spread[0] < 1.5 * unit


def test_an_outlier_does_not_dominate_the_scale():
    series = 10 + np.random.default_rng(0).standard_normal((1, 30))
    spoiled = series.copy()
    spoiled[0, 11] = 1e6
    clean, found = ItemScale.fit(series, Variation(0.1, 1.0)), ItemScale.fit(spoiled, Variation(0.1, 1.0))
    assert abs(found.level[0] - clean.level[0]) < 1
    assert found.spread[0] < 3 * clean.spread[0]


def test_the_best_member_gets_the_weight_and_errors_their_size():
    rng = np.random.default_rng(0)
    n, horizon = 600, 4
    truth = rng.standard_normal((n, horizon))
    age = np.where(np.arange(n) < 200, 3, 30)
    noise = np.where(age[:, None] == 3, 1.0, 0.2) * rng.standard_normal((n, horizon))
    members = np.stack([np.zeros((n, horizon)), truth + noise])
    traits = Traits(np.ones((n, 1)), age, np.where(age > 12, 2, 0), np.zeros(n, np.int64))
    combination = Combination.fit(members, truth, traits, np.zeros(n, bool))
    assert combination.weights.sum(axis=2) == pytest.approx(1)
    assert combination.weights[2, 0, 1] > 0.8
    assert combination.weights[0, 0, 1] < 0.7
    assert (combination.age_factor[2] > 1.5 * combination.age_factor[8]).all()
    old = Traits(np.ones((1, 1)), np.array([30]), np.array([2]), np.array([0]))
    width = [combination.error(p, old)[0] for p in (0.1, 0.9)]
    assert np.allclose(width, np.array([[-1.28], [1.28]]) * 0.2, atol=0.12)


# -------------------------------------------------------------------- no model sees the future


def test_the_encoder_does_not_see_hidden_steps(small):
    network = build_network(small.model_.network_.config, seed=1)
    x = torch.randn(4, 20, 1, generator=torch.Generator().manual_seed(0))
    mask, lengths = torch.ones_like(x), torch.full((4,), 20)
    visible = mask.clone()
    visible[:, 12:] = 0
    patterns = torch.zeros(4, network.config.n_patterns)
    other = x.clone()
    other[:, 12:] += 5
    first = network(x, mask, lengths, patterns, visible=visible)
    second = network(other, mask, lengths, patterns, visible=visible)
    assert torch.equal(first.x, second.x)
    assert not torch.equal(first.x, network(other, mask, lengths, patterns).x)


def test_windows_are_scaled_by_their_past_only():
    values = np.arange(40, dtype=np.float64).reshape(2, 20)
    later = values.copy()
    later[:, 12:] = 999
    first, second = (windows_at(CalendarMatrix(v), 12, plan_of(4, 10), Variation(1.0, 1.0)) for v in (values, later))
    assert np.array_equal(first.context, second.context)
    assert np.array_equal(first.scale.spread, second.scale.spread)


# -------------------------------------------------------------------- contracts


def test_items_come_back_in_order_with_ids_and_times():
    rng = np.random.default_rng(0)
    weeks = pd.date_range("2024-01-01", periods=30, freq="7D")
    rows = [
        {"item": name, "week": week, "sold": rng.poisson(4)}
        for number, name in enumerate(["z", "a", "m", "b"])
        for week in weeks[5 * number :]
    ]
    panel = read_panel(pd.DataFrame(rows).sample(frac=1, random_state=0), id="item", time="week", value="sold")
    forecaster = GroupForecaster(4, **{**TINY, "season_length": "auto"}).fit(panel)
    assert forecaster.forecast_.stage.plan.season == 52
    table = forecaster.predict_table()
    assert table["id"].tolist() == np.repeat(panel.ids, 4).tolist()
    assert table["step"].tolist() == [1, 2, 3, 4] * 4
    ahead = pd.date_range(weeks[-1] + pd.Timedelta(days=7), periods=4, freq="7D")
    assert (pd.to_datetime(table["time"][:4]) == ahead).all()
    assert np.array_equal(table["mean"].reshape(4, 4), forecaster.predict())
    assert (forecaster.predict() >= 0).all()
    late = Panel.from_arrays([[4.0]], times=np.array([weeks[-1]], "datetime64[us]"))
    assert (pd.to_datetime(forecaster.predict_table(late)["time"]) == ahead).all()
    alone = forecaster.predict(panel.select([2]))  # the same item by itself
    assert np.allclose(alone, forecaster.predict()[2], rtol=1e-4)


@pytest.mark.parametrize("kind", ["array", "list", "missing", "wide table"])
def test_any_container(kind, small):
    X = planted(seed=3, n=10)[0][:, :30]
    if kind == "list":
        X = [x[-length:] for x, length in zip(X, [1, 2, 3, 5, 8, 13, 30, 1, 2, 3], strict=True)]
    if kind == "missing":
        X[np.random.default_rng(0).random(X.shape) < 0.4] = np.nan
    if kind == "wide table":
        X = pd.DataFrame(X, index=[f"item{i}" for i in range(10)])
    forecast = small.predict(X)
    assert forecast.shape == (10, 3)
    assert np.isfinite(forecast).all()


def test_items_of_one_step_and_of_none(small):
    forecast = small.predict(np.array([[5.0], [500.0]]))
    assert np.allclose(forecast[1], 100 * forecast[0], rtol=1e-3)  # nothing else is known of them
    assert (forecast[0] > 1).all()
    assert (forecast[0] < 15).all()
    nothing = np.array([[np.nan, np.nan], [3.0, 4.0]])
    with pytest.raises(InvalidDataError, match="without any observed value"):
        small.predict(nothing)
    keeping = {**TINY, "model": VRAE(**TINY_MODEL, on_invalid="keep")}
    kept = GroupForecaster(3, **keeping).fit(np.vstack([planted(n=9)[0], np.full(T, np.nan)]))
    assert np.isnan(kept.predict()[9]).all()
    assert np.isfinite(kept.predict()[:9]).all()
    assert np.isnan(kept.predict(nothing)[0]).all()


def test_intermittent_demand():
    rng = np.random.default_rng(0)
    X = rng.poisson(3, (40, 36)) * (rng.random((40, 36)) < 0.15)
    X[0], X[1] = 0, 7  # never sold; constant
    forecaster = GroupForecaster(4, **{**TINY, "classical": True}).fit(X)
    table = forecaster.predict_table(level=80)
    assert (table["mean"] >= 0).all()
    assert (table["lo-80"] >= 0).all()
    assert np.isfinite(table["hi-80"]).all()
    forecast = forecaster.predict()
    assert forecast[0].max() < 0.05 * max(1, X.max())
    assert np.allclose(forecast[1], 7, rtol=0.3)


def test_negative_values_may_be_forecast(small):
    X = -planted(n=24)[0][:, :40]
    assert (GroupForecaster(3, **TINY).fit(X).predict() < 0).mean() > 0.9
    assert (small.predict() >= 0).all()


def test_returns_are_not_forecast_but_discounts_are(tmp_path):
    sales, _ = planted(n=30)
    rng = np.random.default_rng(0)
    sales[rng.random(sales.shape) < 0.2] = 0
    sales[0, -20:] = 0  # ended, after a return
    sales[[0, 1, 2], [-21, -3, -9]] = -80
    sales[3] *= -1  # a line of discounts
    with pytest.warns(DataWarning, match="Values below 0, such as returns: 3."):
        forecaster = GroupForecaster(HORIZON, **TINY).fit(sales)
    low = forecaster.predict_table(level=80)["lo-80"].reshape(30, HORIZON)
    assert (np.delete(low, 3, axis=0) >= 0).all()
    assert forecaster.predict()[3].max() < 0
    others = forecaster.predict_table(sales[:4], level=80)["lo-80"].reshape(4, HORIZON)
    assert (others[:3] >= 0).all()
    assert others[3].max() < 0
    forecaster.save(tmp_path / "model")
    again = load_model(tmp_path / "model").predict_table(level=80)["lo-80"]
    np.testing.assert_array_equal(again, low.ravel())


def test_same_seed_same_forecast(small, global_random_state):
    before = global_random_state()
    again = GroupForecaster(3, **TINY).fit(planted(n=24)[0][:, :40])
    assert global_random_state() == before
    assert np.array_equal(again.predict(), small.predict())


def test_saved_and_loaded_gives_the_same(small, tmp_path):
    small.save(tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    new = planted(seed=5, n=4)[0][:, :5]
    assert np.array_equal(loaded.predict(), small.predict())
    assert np.array_equal(loaded.predict(new), small.predict(new))
    for level in (None, 95):
        ours, theirs = small.predict_table(new, level), loaded.predict_table(new, level)
        assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    assert np.array_equal(loaded.labels_, small.labels_)
    assert json.loads((tmp_path / "model" / "config.json").read_text())["class"] == "GroupForecaster"


def test_a_loaded_forecaster_can_be_fitted_again(small, tmp_path):
    loaded = load_model(small.save(tmp_path / "model"))
    assert np.array_equal(clone(loaded).fit(planted(n=24)[0][:, :40]).predict(), small.predict())


def test_models_of_version_2_still_load(small, tmp_path):
    config, arrays = read_folder(small.save(tmp_path / "model"), "model", "")
    names = {
        "groups.proportions": "groups.shares",
        "groups.curves": "groups.courses",
        "groups.curves_known": "groups.courses_known",
        "items.level_decay": "items.fading",
        "pooled.group_coefficients": "pooled.departures",
        "group_model.group_coefficients": "group_model.departures",
    }
    model = config.pop("model")
    old_options = {**model.pop("options"), "scaling": "series", "local_patterns": 2.0, "feed_latent": True}
    del old_options["pattern_weight"], old_options["architecture"]
    config |= {**model, "format_version": 2, "options": {**old_options, **config["options"]}}
    old_arrays = {names.get(name, name.removeprefix("model.")): array for name, array in arrays.items()}
    write_folder(tmp_path / "old", {k: v for k, v in config.items() if k != "weights_sha256"}, old_arrays)
    old = load_model(tmp_path / "old")
    assert np.array_equal(old.predict(), small.predict())
    assert old.get_params()["season_length"] == SEASON
    assert old.get_params()["model"].get_params()["latent_size"] == 3
    assert old.ids_.tolist() == small.ids_.tolist()


def test_the_model_describes_the_items(small):
    assert small.model_.embedding_ is small.embedding_
    assert small.embedding_.shape == (24, 3)
    assert len(small.ids_) == len(small.labels_) == 24
    assert small.model_.n_features_in_ == 40
    assert small.model_.n_steps_ == 16 + 3  # context and horizon
    assert small.weights_.shape == (5, small.n_clusters_, len(small.members_))


def test_a_seed_of_the_model_is_its_own(small):
    X = planted(n=24)[0][:, :40]
    other = GroupForecaster(3, **{**TINY, "model": VRAE(**TINY_MODEL, random_state=9)}).fit(X)
    assert not np.array_equal(other.predict(), small.predict())
    again = clone(GroupForecaster(3, **TINY)).set_params(model__random_state=9).fit(X)
    assert np.array_equal(again.predict(), other.predict())


def test_a_collapse_in_backtests_is_no_warning():  # warnings are errors here
    GroupForecaster(3, **{**TINY, "model": VRAE(**TINY_MODEL, beta=1e4, pattern_weight=0.0)}).fit(
        planted(n=24)[0][:, :40]
    )


def test_a_forecaster_has_neither_score_nor_partial_fit():
    assert not hasattr(GroupForecaster(), "score")
    assert not hasattr(GroupForecaster(), "partial_fit")
    with pytest.raises(TypeError, match=r"GroupForecaster\(model=VRAE\(latent_size=8\)\)"):
        GroupForecaster(3, latent_size=8)


def test_a_failed_fit_leaves_the_earlier_one(small):
    earlier = small.predict()
    with pytest.raises(InvalidDataError):
        small.fit(np.ones((3, 4)))
    assert np.array_equal(small.predict(), earlier)


# -------------------------------------------------------------------- clear errors


@pytest.mark.parametrize(
    ("options", "X", "words"),
    [
        ({"horizon": 30}, np.ones((5, 40)), "horizon=30 is too long.*cover 40 steps.*horizon=20"),
        ({"horizon": 0}, np.ones((5, 40)), "horizon must be a whole number of at least 1"),
        ({"level": 120}, np.ones((5, 40)), "level must be"),
        ({"n_clusters": 9}, np.ones((5, 40)), "n_clusters=9 is more than the 5"),
        ({"model": VRAE(max_lag=3)}, np.ones((5, 40)), "does not support max_lag=3"),
        ({"model": VRAE(level_weight=1.0)}, np.ones((5, 40)), "does not support level_weight=1.0"),
        ({"model": VRAE(scaling="robust")}, np.ones((5, 40)), "does not support scaling='robust'"),
        ({"model": FrozenEstimator(VRAE())}, np.ones((5, 40)), "cannot use a frozen model"),
        ({}, np.ones((1, 40)), "Found 1 usable series"),
        ({"horizon": 5}, np.where(np.arange(20) < 12, np.nan, np.ones((4, 20))), "Found 0 windows.*first 15 steps"),
        ({}, np.ones((5, 2, 40)), "2 channels"),
    ],
)
def test_what_cannot_be_forecast(options, X, words):
    with pytest.raises((InvalidDataError, InvalidParameterError), match=words):
        GroupForecaster(**{"horizon": 3, **TINY, **options}).fit(X)


def test_not_fitted_and_not_installed(monkeypatch):
    with pytest.raises(NotFittedError):
        GroupForecaster(3).predict()
    monkeypatch.setitem(sys.modules, "statsforecast", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'vrae\[forecast\]'"):
        GroupForecaster(3, **{**TINY, "classical": True}).fit(np.ones((5, 40)))


def test_irregular_times_are_left_out():
    panel = Panel.from_arrays([[1.0, 2, 3]], times=np.array([0, 1, 100]))
    assert CalendarMatrix.from_panel(panel, 10).next_times(2) is None
    months = np.array(["2024-01-31", "2024-02-29", "2024-03-31"], "datetime64[us]")
    ahead = CalendarMatrix.from_panel(Panel.from_arrays([[1.0, 2, 3]], times=months), 10).next_times(2)
    assert ahead is not None
    assert ahead.astype("datetime64[D]").astype(str).tolist() == ["2024-04-30", "2024-05-31"]  # ends of months
    months = np.array(["2024-01-30", "2024-02-29", "2024-03-31"], "datetime64[us]")
    assert CalendarMatrix.from_panel(Panel.from_arrays([[1.0, 2, 3]], times=months), 10).next_times(1) is None
    months = np.array(["2023-11-01", "2023-12-01", "2024-01-01"], "datetime64[us]")
    ahead = CalendarMatrix.from_panel(Panel.from_arrays([[1.0, 2, 3]], times=months), 10).next_times(2)
    assert ahead is not None
    assert ahead.tolist() == np.array(["2024-02-01", "2024-03-01"], "datetime64[us]").tolist()


def test_integer_times_survive_a_save(tmp_path):
    start, step = 1_700_000_000_000_000_001, 86_400_000_000_000  # nanoseconds since 1970, which floats cannot hold
    panel = Panel.from_arrays(planted(n=24)[0][:, :40], times=np.tile(start + step * np.arange(40), 24))
    forecaster = GroupForecaster(3, **TINY).fit(panel)
    loaded = load_model(forecaster.save(tmp_path / "model"))
    assert loaded.last_time_ == start + 39 * step
    assert loaded.next_times_.tolist() == [start + step * k for k in (40, 41, 42)]
    assert loaded.predict_table()["time"][:3].tolist() == loaded.next_times_.tolist()


@pytest.mark.parametrize(("zone", "freq"), [("Europe/Berlin", "D"), ("Europe/Berlin", "h"), ("UTC", "MS"), (None, "D")])
def test_clocks_of_zones_end_with_the_year_9999(zone, freq):
    times = pd.date_range(end=pd.Timestamp("9999-12-30").as_unit("us"), periods=40, freq=freq, unit="us", tz=zone)
    rows = pd.DataFrame({"unique_id": np.repeat(["a", "b", "c"], 40), "ds": [*times] * 3})
    rows["y"] = planted(n=3)[0][:, :40].ravel()
    if zone is None:
        assert "ds" in GroupForecaster(3, **TINY).fit(rows).predict_table()
        return
    with pytest.warns(DataWarning, match="beyond the year 9999"):
        forecaster = GroupForecaster(3, **TINY).fit(rows)
    assert "ds" not in forecaster.predict_table()
    assert "ds" in forecaster.predict_table(rows.groupby("unique_id").head(30))


# -------------------------------------------------------------------- the command


def test_the_command_writes_a_table_and_forecasts_new_items_by_its_model(cli, tmp_path):
    X = planted(n=24)[0][:, :40]
    frame = pd.DataFrame(X, columns=[f"w{i}" for i in range(40)])
    frame.insert(0, "item", [f"item{i}" for i in range(24)])
    frame.to_csv(tmp_path / "sales.csv", index=False)
    frame[["item", "w0", "w1", "w2"]].head(5).to_csv(tmp_path / "new.csv", index=False)
    options = ["--season", "12", "--epochs", "1", "--no-classical", "--level", "80,95", "--quiet"]
    kept = ["--save", tmp_path / "m", "--out", tmp_path / "f.csv"]
    code, *output = cli("forecast", tmp_path / "sales.csv", "--horizon", "4", *options, *kept)
    assert code == 0, output
    table = pd.read_csv(tmp_path / "f.csv")
    assert table.columns.tolist() == ["id", "step", "mean", "lo-80", "hi-80", "lo-95", "hi-95"]
    assert table["id"].tolist() == np.repeat(frame["item"], 4).tolist()
    by_model = ["--model", tmp_path / "m", "--horizon", "2", "--out", tmp_path / "n.parquet"]
    code, *output = cli("forecast", tmp_path / "new.csv", *by_model)
    assert code == 0, output
    assert len(pd.read_parquet(tmp_path / "n.parquet")) == 10
    frame[["item", "w0", "w1", "w2"]].head(1).to_csv(tmp_path / "one.csv", index=False)
    told = cli("forecast", tmp_path / "one.csv", *by_model[:2], "--horizon", "1", "--out", tmp_path / "one_f.csv")[2]
    assert "one_f.csv: 1 item, 1 step each." in told
    assert "GroupForecaster" in cli("info", tmp_path / "m")[1]
    assert cli("embed", tmp_path / "new.csv", "--model", tmp_path / "m")[0] == 2
    for arguments, words in (
        (["new.csv", "--horizon", "4"], "too long"),
        (["new.csv", "--model", tmp_path / "m", "--horizon", "9"], "--horizon 9 is too long"),
        (["sales.csv", "--level", "all"], "--level must be numbers"),
        (["sales.csv", "--model", tmp_path], "not a vrae model"),
    ):
        code, *output = cli("forecast", tmp_path / arguments[0], *arguments[1:], "--out", tmp_path / "no.csv")
        assert code == 2
        assert words in "".join(output)
        assert not (tmp_path / "no.csv").exists()


def test_joined_ids_are_columns_again_in_the_table_of_the_command_line(cli, tmp_path):
    weeks = pd.date_range("2024-01-01", periods=20, freq="W-MON")
    rng = np.random.default_rng(0)
    rows = [(s, f"p{i}", week, rng.poisson(9)) for s in ("north", "south") for i in range(6) for week in weeks]
    pd.DataFrame(rows, columns=["store", "item", "week", "qty"]).to_csv(tmp_path / "sales.csv", index=False)
    options = ["--id", "store", "--id", "item", "--time", "week", "--value", "qty", "--horizon", 2]
    done = cli(
        "forecast", tmp_path / "sales.csv", *options, "-k", 1, "--no-classical", "--epochs", 1, "--save", tmp_path / "m"
    )
    assert done.code == 0, done.err
    table = pd.read_csv(io.StringIO(done.out))
    assert list(table)[:4] == ["store", "item", "step", "time"]
    assert table.iloc[:3, :3].to_numpy().tolist() == [["north", "p0", 1], ["north", "p0", 2], ["north", "p1", 1]]
    again = cli("forecast", tmp_path / "sales.csv", "--model", tmp_path / "m")
    assert again.out == done.out
