"""Backtests: forecasts from earlier origins decide on the number of groups and on the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from vrae.estimators.forecasting.calendar_matrix import CalendarMatrix
from vrae.estimators.forecasting.combination import Combination
from vrae.estimators.forecasting.forecast_windows import windows_at
from vrae.estimators.forecasting.plan import ForecastPlan
from vrae.estimators.forecasting.stage import Observed, Stage
from vrae.phases import one_phase

__all__ = ["Backtest", "fit_combination", "run_backtests", "score_group_numbers"]

Floats = npt.NDArray[np.float64]

# Numbers of groups to compare. Each group should have at least this many items on average.
_GROUP_NUMBERS = (1, 2, 4, 8, 12)
_ITEMS_PER_GROUP = 20
# Number of origins of new items in a backtest.
_NEW_ORIGINS = 4


@dataclass
class Backtest:
    """A stage of an earlier origin, and the items with a known future to try it on.

    New items come with the steps from the origin to theirs. They are the items introduced around
    the origin, or, if the calendar shows few introductions, all items with a shortened context.
    """

    stage: Stage
    items: Observed
    new_items: list[tuple[int, Observed]]

    @classmethod
    def run(cls, calendar: CalendarMatrix, origin: int, plan: ForecastPlan) -> Self:
        """Fit a stage at an origin, and compute its forecasts without groups."""
        past = calendar.up_to(origin)
        stage = Stage.fit(past, plan)

        def observe(shift: int, max_age: npt.NDArray[np.int64] | None = None, among: Any = True) -> Observed:
            at = origin + shift
            windows = windows_at(calendar, at, plan, stage.variation, max_age)
            return stage.observe(windows.select(np.flatnonzero(windows.known() & among)))

        if not past.has_introductions():
            steps = np.random.default_rng(plan.seed).uniform(0, np.log(plan.new_until + 1), len(calendar.values))
            return cls(stage, observe(0), [(0, observe(0, np.exp(steps).astype(np.int64)))])
        new_items = []
        for shift in range(0, min(plan.horizon, calendar.n_steps - origin), max(1, plan.horizon // _NEW_ORIGINS)):
            is_new = calendar.first_observed > max(0, origin + shift - plan.new_until - 1)
            new_items.append((shift, observe(shift, among=is_new)))
        return cls(stage, observe(0), [(shift, new) for shift, new in new_items if len(new.windows)])

    def error(self, n_clusters: int) -> float:
        """Return the mean squared scaled error of the linear models of this number of groups."""
        forecast, _ = self.stage.forecast_by_group(self.items, self.stage.group(n_clusters))
        return float(np.nanmean((forecast - self.items.windows.future) ** 2))


def run_backtests(calendar: CalendarMatrix, plan: ForecastPlan, n_backtests: int) -> list[Backtest]:
    """Run backtests from origins a horizon apart, the latest first.

    At least a horizon, and two steps, are known at each origin.
    """
    origins = [calendar.n_steps - plan.horizon * back for back in range(1, n_backtests + 1)]
    found = []
    for number, origin in enumerate(origins, 1):
        if origin >= max(plan.horizon, 2):
            with one_phase(f"Backtest {number}"):
                found.append(Backtest.run(calendar, origin, plan))
    return found


def score_group_numbers(backtests: list[Backtest], n_items: int) -> list[dict[str, float]]:
    """Return ``n_clusters`` and ``score``, the mean squared error, of each number of groups."""
    numbers = [k for k in _GROUP_NUMBERS if k == 1 or k <= n_items // _ITEMS_PER_GROUP]
    if backtests[0].stage.plan.clusterer == "hdbscan":
        numbers = [1]  # it finds its own number
    return [{"n_clusters": k, "score": float(np.mean([b.error(k) for b in backtests]))} for k in numbers]


def fit_combination(backtests: list[Backtest], n_clusters: int, membership: Floats) -> Combination:
    """Estimate weights and errors of the final groups, of ``membership`` (n_items, n_groups)."""
    members, future, groups, age = [], [], [], []
    for backtest in backtests:
        own_groups = backtest.stage.group(n_clusters)
        for shift, observed in [(0, backtest.items), *backtest.new_items]:
            members.append(backtest.stage.forecast_members(observed, own_groups, shift)[0])
            future.append(observed.windows.future)
            groups.append(membership[observed.windows.item])
            age.append(observed.windows.age)
    return Combination.fit(
        np.concatenate(members, axis=1),
        np.concatenate(future),
        np.concatenate(groups),
        np.concatenate(age),
        backtests[0].stage.plan.new_until,
    )
