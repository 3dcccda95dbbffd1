"""Forecasts of items in groups: what was planted is forecast, noise is not, and every row comes back."""

from __future__ import annotations

import json
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from vrae import GroupForecaster, Panel, load_model, read_panel
from vrae.estimators.forecasting.combination import Combination
from vrae.estimators.forecasting.windows import Course, Scale, windows_at
from vrae.exceptions import InvalidDataError, InvalidParameterError, MissingDependencyError, NotFittedError
from vrae.nn.model import build_network

SEASON, HORIZON, N, T = 12, 6, 90, 60
QUICK = {
    "season_length": SEASON,
    "n_backtests": 1,
    "hidden_size": 24,
    "latent_size": 6,
    "learning_rate": 0.01,
    "max_epochs": 8,
    "device": "cpu",
    "random_state": 0,
}
TINY = {**QUICK, "hidden_size": 8, "latent_size": 3, "max_epochs": 1, "classical": False}


def planted(seed=0, n=N):
    """Items of three groups, each with a season of its own, at levels from 1 to 100: (n, T)."""
    rng = np.random.default_rng(seed)
    group = np.arange(n) % 3
    wave = np.sin(2 * np.pi * (np.arange(T) / SEASON + group[:, None] / 3))
    level = np.exp(rng.uniform(0, np.log(100), (n, 1)))
    return level * (1 + 0.5 * wave + 0.1 * rng.standard_normal((n, T))), group


def error(forecast, actual, known):
    """Mean over items of the error beside the item's own spread."""
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
def test_short_lives_get_the_season_of_their_group(seasons):
    forecaster, *_ = seasons
    X, _ = planted(seed=7)
    seen, actual = X[:, -HORIZON - 5 : -HORIZON], X[:, -HORIZON:]
    own_mean = np.repeat(seen.mean(axis=1, keepdims=True), HORIZON, axis=1)
    found = forecaster.predict(seen)  # less than half a season was seen
    assert error(found, actual, X) < 0.75 * error(own_mean, actual, X)
    probability = forecaster.predict_proba(seen)
    assert np.allclose(probability.sum(axis=1), 1)


@pytest.mark.slow
def test_intervals_hold_about_what_they_say(seasons):
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


def test_an_outlier_does_not_rule_the_scale():
    series = 10 + np.random.default_rng(0).standard_normal((1, 30))
    spoiled = series.copy()
    spoiled[0, 11] = 1e6
    clean, found = Scale.of(series, 0.1), Scale.of(spoiled, 0.1)
    assert abs(found.level[0] - clean.level[0]) < 1
    assert found.spread[0] < 3 * clean.spread[0]


def test_the_best_member_gets_the_weight_and_errors_their_size():
    rng = np.random.default_rng(0)
    n, horizon = 600, 4
    truth = rng.standard_normal((n, horizon))
    age = np.where(np.arange(n) < 200, 3, 30)
    noise = np.where(age[:, None] == 3, 1.0, 0.2) * rng.standard_normal((n, horizon))
    members = np.stack([np.zeros((n, horizon)), truth + noise])
    combination = Combination.fit(members, truth, np.ones((n, 1)), age, new_until=12)
    assert combination.weights.sum(axis=2) == pytest.approx(1)
    assert combination.weights[1, 0, 1] > 0.8
    assert combination.weights[0, 0, 1] < 0.7
    assert combination.age_factor[2] > 1.5 * combination.age_factor[5]
    width = [combination.error(p, np.ones((1, 1)), np.array([30]))[0] for p in (0.1, 0.9)]
    assert np.allclose(width, np.array([[-1.28], [1.28]]) * 0.2, atol=0.12)


# -------------------------------------------------------------------- nothing is seen of the future


def test_the_encoder_sees_nothing_that_is_hidden(small):
    network = build_network(small.network_.config, seed=1)
    x = torch.randn(4, 20, 1, generator=torch.Generator().manual_seed(0))
    mask, lengths = torch.ones_like(x), torch.full((4,), 20)
    seen = mask.clone()
    seen[:, 12:] = 0
    patterns = torch.zeros(4, network.config.n_patterns)
    other = x.clone()
    other[:, 12:] += 5
    first = network(x, mask, lengths, patterns, seen=seen)
    second = network(other, mask, lengths, patterns, seen=seen)
    assert torch.equal(first.x, second.x)
    assert not torch.equal(first.x, network(other, mask, lengths, patterns).x)


def test_windows_know_their_past_only():
    values = np.arange(40.0).reshape(2, 20)
    later = values.copy()
    later[:, 12:] = 999
    first, second = (windows_at(Course(v), 12, 10, 4, 1.0) for v in (values, later))
    assert np.array_equal(first.context, second.context)
    assert np.array_equal(first.scale.spread, second.scale.spread)


# -------------------------------------------------------------------- contracts


def test_rows_come_back_in_order_with_ids_and_times():
    rng = np.random.default_rng(0)
    weeks = pd.date_range("2024-01-01", periods=30, freq="7D")
    rows = [
        {"item": name, "week": week, "sold": rng.poisson(4)}
        for number, name in enumerate(["z", "a", "m", "b"])
        for week in weeks[5 * number :]
    ]
    panel = read_panel(pd.DataFrame(rows).sample(frac=1, random_state=0), id="item", time="week", value="sold")
    forecaster = GroupForecaster(4, **{**TINY, "season_length": "auto"}).fit(panel)
    assert forecaster.stage_.plan.season == 52
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
    kept = GroupForecaster(3, **{**TINY, "on_invalid": "keep"}).fit(np.vstack([planted(n=9)[0], np.full(T, np.nan)]))
    assert np.isnan(kept.predict()[9]).all()
    assert np.isfinite(kept.predict()[:9]).all()
    assert np.isnan(kept.predict(nothing)[0]).all()


def test_items_that_sell_now_and_then():
    rng = np.random.default_rng(0)
    X = rng.poisson(3, (40, 36)) * (rng.random((40, 36)) < 0.15)
    X[0], X[1] = 0, 7  # never sold; always alike
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
        ({"max_lag": 3}, np.ones((5, 40)), "max_lag=3 does not go with forecasts"),
        ({"scaling": "robust"}, np.ones((5, 40)), "scaling='robust' does not go"),
        ({}, np.ones((1, 40)), "Found 1 usable series"),
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


def test_times_without_a_rhythm_are_left_out():
    panel = Panel.from_arrays([[1.0, 2, 3]], times=np.array([0, 1, 5]))
    assert Course.of(panel, 10).next_times(2) is None
    months = np.array(["2024-01-31", "2024-02-29", "2024-03-31"], "datetime64[us]")
    ahead = Course.of(Panel.from_arrays([[1.0, 2, 3]], times=months), 10).next_times(2)
    assert ahead.astype("datetime64[D]").astype(str).tolist() == ["2024-04-30", "2024-05-31"]  # ends of months
    months = np.array(["2024-01-30", "2024-02-29", "2024-03-31"], "datetime64[us]")
    assert Course.of(Panel.from_arrays([[1.0, 2, 3]], times=months), 10).next_times(1) is None
    months = np.array(["2023-11-01", "2023-12-01", "2024-01-01"], "datetime64[us]")
    ahead = Course.of(Panel.from_arrays([[1.0, 2, 3]], times=months), 10).next_times(2)
    assert ahead.tolist() == np.array(["2024-02-01", "2024-03-01"], "datetime64[us]").tolist()


# -------------------------------------------------------------------- the command


def test_the_command_writes_a_table_and_forecasts_new_items_by_its_model(cli, tmp_path):
    X = planted(n=24)[0][:, :40]
    frame = pd.DataFrame(X, columns=[f"w{i}" for i in range(40)])
    frame.insert(0, "item", [f"item{i}" for i in range(24)])
    frame.to_csv(tmp_path / "sales.csv", index=False)
    frame[["item", "w0", "w1", "w2"]].head(5).to_csv(tmp_path / "new.csv", index=False)
    options = ["--season", "12", "--epochs", "1", "--no-classical", "--level", "80,95", "--quiet"]
    kept = ["--save-model", tmp_path / "m", "--out", tmp_path / "f.csv"]
    code, *output = cli("forecast", tmp_path / "sales.csv", "-n", "4", *options, *kept)
    assert code == 0, output
    table = pd.read_csv(tmp_path / "f.csv")
    assert table.columns.tolist() == ["id", "step", "mean", "lo-80", "hi-80", "lo-95", "hi-95"]
    assert table["id"].tolist() == np.repeat(frame["item"], 4).tolist()
    by_model = ["--model", tmp_path / "m", "-n", "2", "--out", tmp_path / "n.parquet"]
    code, *output = cli("forecast", tmp_path / "new.csv", *by_model)
    assert code == 0, output
    assert len(pd.read_parquet(tmp_path / "n.parquet")) == 10
    assert "GroupForecaster" in cli("info", tmp_path / "m")[1]
    assert cli("embed", tmp_path / "new.csv", "--model", tmp_path / "m")[0] == 2
    for arguments, words in (
        (["new.csv", "-n", "4"], "too long"),
        (["new.csv", "--model", tmp_path / "m", "-n", "9"], "--horizon 9 is too long"),
        (["sales.csv", "--level", "all"], "--level must be numbers"),
        (["sales.csv", "--model", tmp_path], "not a vrae model"),
    ):
        code, *output = cli("forecast", tmp_path / arguments[0], *arguments[1:], "--out", tmp_path / "no.csv")
        assert code == 2
        assert words in "".join(output)
        assert not (tmp_path / "no.csv").exists()
