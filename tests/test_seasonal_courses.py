"""Seasons that items have in common, and what follows from them: weights, intervals, categories."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vrae import VRAE, GroupForecaster, load_model, read_panel
from vrae.estimators.forecasting.backtest import run_backtests
from vrae.estimators.forecasting.calendar_matrix import CalendarMatrix
from vrae.estimators.forecasting.categories import Categories
from vrae.estimators.forecasting.combination import Combination, Traits
from vrae.estimators.forecasting.forecast_windows import Variation, windows_at
from vrae.estimators.forecasting.plan import ForecastPlan
from vrae.estimators.forecasting.season_search import find_season
from vrae.estimators.forecasting.season_width import season_width
from vrae.estimators.forecasting.seasonal_course import SeasonalCourses, choose_categories
from vrae.estimators.forecasting.stage import Stage
from vrae.exceptions import DataWarning

SEASON, HORIZON, N, T = 12, 6, 80, 60
TINY: dict[str, Any] = {
    "n_clusters": 1,
    "n_backtests": 1,
    "random_state": 0,
    "model": VRAE(hidden_size=8, latent_size=3, max_epochs=1, device="cpu"),
}
USUAL = Variation(0.5, 10.0)
PLAN = ForecastPlan.choose(HORIZON, SEASON, "kmeans", True, 0, VRAE())


def sales(seed: int = 0, noise: float = 0.3, strength: float = 0.4, n: int = N) -> tuple[Any, Any]:
    """Return items (n, T) of two departments with opposite seasons, and the course of the first."""
    rng = np.random.default_rng(seed)
    course = strength * np.array([-1, -1, -0.5, 0, 0, 0.5, 1, 1.5, 1, 0, -0.5, -1])
    sign = np.where(np.arange(n) % 2, 1, -1)[:, None]
    level = np.exp(rng.uniform(1, 5, (n, 1)))
    X = level * (1 + sign * np.resize(course, T) + noise * rng.standard_normal((n, T)))
    return np.maximum(X, 0), course


def windows_of(X: Any, plan: ForecastPlan = PLAN, static: Any = None) -> Any:
    return windows_at(CalendarMatrix(X, static=static or {}), X.shape[1], plan, USUAL)


def departments(n: int = N) -> dict[str, Any]:
    names = np.array(["toys" if i % 2 else "garden" for i in range(n)], object)
    return {"department": names, "shelf": np.random.default_rng(1).permutation(names)}


# -------------------------------------------------------------------- courses


def test_courses_are_learned_from_all_items():
    X, course = sales()
    windows = windows_of(X)
    found = SeasonalCourses.fit(windows, PLAN, np.random.default_rng(0)).courses(windows)
    found = found / np.abs(windows.scale.zero)[:, None]  # relative to the level
    truth = np.where(np.arange(N) % 2, 1, -1)[:, None] * course
    own = (X / X.mean(axis=1, keepdims=True)).reshape(N, T // SEASON, SEASON).mean(axis=1) - 1
    assert np.abs(found - truth).mean() < 0.6 * np.abs(own - truth).mean()


def test_noise_has_no_course():
    X, _ = sales(strength=0.0)
    windows = windows_of(X)
    found = SeasonalCourses.fit(windows, PLAN, np.random.default_rng(0)).courses(windows)
    assert np.abs(found).mean() < 0.25  # of a standard deviation


def test_the_category_says_the_course_of_a_new_item():
    X, course = sales()
    static = departments()
    plan = replace(PLAN, categories=Categories("department", ("garden", "toys")))
    courses = SeasonalCourses.fit(windows_of(X, plan, static), plan, np.random.default_rng(0))
    start = np.full((3, 2), 5.0)
    known = {"department": np.array(["garden", "toys", "books"], object)}
    garden, toys, books = courses.courses(windows_of(start, plan, known))
    assert np.corrcoef(toys, course)[0, 1] > 0.95
    assert np.corrcoef(garden, course)[0, 1] < -0.95
    assert np.abs(books).max() < 0.5 * np.abs(toys).max()


def test_later_origins_are_at_later_steps_of_the_season():
    X, _ = sales(noise=0.02)
    calendar = CalendarMatrix(X)
    courses = SeasonalCourses.fit(windows_at(calendar, 48, PLAN, USUAL), PLAN, np.random.default_rng(0))
    later = courses.later(5).courses(windows_at(calendar, 53, PLAN, USUAL))
    known = courses.courses(windows_at(calendar, 48, PLAN, USUAL))
    assert np.allclose(later, np.roll(known, -5, axis=1), atol=0.25)
    assert np.abs(later - known).mean() > 0.5


def test_the_column_that_foretells_courses_is_chosen():
    X, _ = sales()
    calendar = CalendarMatrix(X, static=departments())
    chosen = choose_categories(calendar, PLAN)
    assert chosen is not None
    assert chosen.column == "department"
    assert choose_categories(CalendarMatrix(sales(strength=0.0)[0], static=departments()), PLAN) is None
    alone = {"item": np.array([f"item {i}" for i in range(N)], object)}
    assert choose_categories(CalendarMatrix(X, static=alone), PLAN) is None


@pytest.mark.parametrize("classical", [True, False])
def test_a_forecaster_uses_departments_and_keeps_them(classical, tmp_path):
    X, course = sales(noise=0.1)
    months = pd.date_range("2020-01-01", periods=T, freq="MS")
    names = np.repeat(departments()["department"], T)
    table = pd.DataFrame({"id": np.repeat(np.arange(N), T), "month": np.tile(months, N), "sold": X.ravel()})
    panel = read_panel(table.assign(department=names), id="id", time="month", value="sold", static=["department"])
    forecaster = GroupForecaster(HORIZON, classical=classical, **TINY).fit(panel)
    assert forecaster.season_length_ == SEASON
    new = pd.DataFrame({"id": ["a", "b"], "month": months[-1], "sold": 10.0, "department": ["garden", "toys"]})
    items = read_panel(new, id="id", time="month", value="sold", static=["department"])
    garden, toys = forecaster.predict(items)
    assert np.corrcoef(toys, course[:HORIZON])[0, 1] > 0.9
    assert np.corrcoef(garden, course[:HORIZON])[0, 1] < -0.9
    with pytest.warns(DataWarning, match=r"1 item of another 'department'.*'books'"):
        forecaster.predict(
            read_panel(
                new.assign(department=["books", "toys"]), id="id", time="month", value="sold", static=["department"]
            )
        )
    with pytest.warns(DataWarning, match="static column 'department', which these items lack"):
        forecaster.predict(read_panel(new.drop(columns="department"), id="id", time="month", value="sold"))
    loaded = load_model(forecaster.save(tmp_path / "model"))
    assert np.array_equal(loaded.predict(items), forecaster.predict(items))
    assert np.array_equal(loaded.predict(), forecaster.predict())


# -------------------------------------------------------------------- season without dates


@pytest.mark.parametrize("season", [4, 7, 12, 24])
def test_a_season_without_dates_is_found(season):
    rng = np.random.default_rng(season)
    course = rng.standard_normal((50, season))
    X = np.tile(course, 80 // season + 1)[:, :80] + rng.standard_normal((50, 80)) + 0.02 * np.arange(80)
    X[rng.random(X.shape) < 0.1] = np.nan
    assert find_season(X) == season


@pytest.mark.parametrize("n", [2, 50])
def test_noise_trends_and_random_walks_have_no_season(n):
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((20, n, 60))
    walks = np.cumsum(rng.standard_normal((20, n, 60)), axis=2)
    found = [find_season(X) > 1 for X in [*noise, *walks, *(noise + 0.5 * np.arange(60))]]
    assert np.mean(found) < 0.05
    assert find_season(np.ones((n, 60))) == 1
    assert find_season(np.full((n, 60), np.nan)) == 1


def test_a_season_without_dates_is_said():
    X, _ = sales(noise=0.1)
    with pytest.warns(DataWarning, match=r"repeat every 12 steps.*season_length=12.*season_length=1"):
        forecaster = GroupForecaster(HORIZON, **TINY).fit(X)
    assert forecaster.season_length_ == SEASON
    assert GroupForecaster(HORIZON, season_length=1, **TINY).fit(X).season_length_ == 1


# -------------------------------------------------------------------- intervals


def test_intervals_hold_at_every_age():
    X, _ = sales(noise=0.4, n=200)
    forecaster = GroupForecaster(HORIZON, season_length=SEASON, **TINY).fit(X[:, :-HORIZON])
    actual = X[:, -HORIZON:]
    for age in (1, 3, 6, 9, 12, 18, 30):
        table = forecaster.predict_table(X[:, -HORIZON - age : -HORIZON], level=80)
        low, high = (table[name].reshape(actual.shape) for name in ("lo-80", "hi-80"))
        assert 0.7 < ((actual >= low) & (actual <= high)).mean() < 0.9, age


def test_a_restless_part_of_the_season_has_wider_intervals():
    rng = np.random.default_rng(0)
    restless = np.resize(np.repeat([1.0, 3.0], SEASON), 6 * SEASON)  # every other 12 of 24 steps
    X = 50 + 5 * restless * rng.standard_normal((60, 6 * SEASON))
    plan = ForecastPlan.choose(HORIZON, 2 * SEASON, "kmeans", False, 0, TINY["model"])
    for known, is_restless in ((5 * SEASON, True), (6 * SEASON, False)):
        calendar = CalendarMatrix(X[:, :known])
        stage = Stage.fit(calendar, plan)
        width = season_width(calendar, [known - HORIZON], stage, 0.0)
        assert (width.min() > 1.8) if is_restless else (width.max() < 1.05)


def test_a_combination_of_an_early_model_keeps_its_results():
    rng = np.random.default_rng(0)
    quantiles = np.sort(rng.standard_normal((1, 4, 199)), axis=2)
    factor = np.array([3.0, 2.5, 2.0, 1.5, 1.2, 1.1, 1.0])
    arrays = {"new_until": np.array([12]), "weights": rng.random((2, 1, 3)), "age_factor": factor}
    found = Combination.from_arrays({**arrays, "quantiles": quantiles})
    ages = np.array([1, 2, 4, 8, 9, 16, 17, 32, 33, 100])
    kind = np.where(ages > 12, rng.integers(1, 5, len(ages)), 0)
    traits = Traits(np.ones((len(ages), 1)), ages, kind, rng.integers(0, 2, len(ages)))
    expected = factor[[0, 1, 2, 3, 4, 4, 5, 5, 6, 6]]
    assert np.allclose(found.error(0.9, traits), expected[:, None] * quantiles[0, :, 179])
    members = rng.random((3, len(ages), 4))
    weights = arrays["weights"][(ages > 12).astype(int), 0]
    assert np.allclose(found.predict(members, traits), np.einsum("nm,mnh->nh", weights, members))


def test_backtests_draw_every_age():
    X, _ = sales(n=150)
    plan = replace(PLAN, model=VRAE(**TINY["model"].get_params()).set_params(scaling=None, random_state=0))
    (backtest,) = run_backtests(CalendarMatrix(X), plan, 1)
    ages = np.concatenate([part.windows.age for part in (backtest.items, *backtest.shortened)])
    assert set(range(1, plan.n_context + 1)) <= set(ages.tolist())
