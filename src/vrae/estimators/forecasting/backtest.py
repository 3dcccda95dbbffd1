"""Backtests: forecasts from earlier origins decide on the number of groups and on the weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from vrae.estimators.forecasting.calendar_matrix import CalendarMatrix
from vrae.estimators.forecasting.combination import Combination, Traits
from vrae.estimators.forecasting.forecast_windows import windows_at
from vrae.estimators.forecasting.plan import ForecastPlan
from vrae.estimators.forecasting.season_width import season_width
from vrae.estimators.forecasting.stage import ItemGroups, Observed, Stage
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

    New items come with the steps from the origin to theirs: they are the items introduced around
    the origin, if the calendar shows introductions. All items with a context that is shortened to
    some age stand for every age that forecasts may be asked for.
    """

    stage: Stage
    items: Observed
    new_items: list[tuple[int, Observed]]
    shortened: list[Observed]

    @classmethod
    def run(cls, calendar: CalendarMatrix, origin: int, plan: ForecastPlan) -> Self:
        """Fit a stage at an origin, and compute its forecasts without groups."""
        past = calendar.up_to(origin)
        stage = Stage.fit(past, plan)
        rng = np.random.default_rng(plan.seed)

        def observe(shift: int = 0, ages: tuple[int, int] | None = None, among: Any = True) -> Observed:
            at, max_age = origin + shift, None
            if ages is not None:
                steps = rng.uniform(np.log(ages[0]), np.log(ages[1] + 1), len(calendar.values))
                max_age = np.exp(steps).astype(np.int64)
            windows = windows_at(calendar, at, plan, stage.variation, max_age)
            return stage.observe(windows.select(np.flatnonzero(windows.known() & among)), shift)

        new_items: list[tuple[int, Observed]] = []
        as_many = np.ones(len(calendar.values), bool)
        if past.has_introductions():
            last = min(plan.horizon, calendar.n_steps - origin)
            for shift in range(0, last, max(1, plan.horizon // _NEW_ORIGINS)):
                is_new = calendar.first_observed > max(0, origin + shift - plan.new_until - 1)
                new_items.append((shift, observe(shift, among=is_new)))
            new_items = [(shift, new) for shift, new in new_items if len(new.windows)]
            # Introductions say more about new items than shortened pasts do: there are no fewer.
            n_new = sum(len(new.windows) for _, new in new_items)
            as_many = rng.permutation(len(as_many)) < n_new
        shortened = [
            observe(ages=(1, plan.new_until), among=as_many),
            observe(ages=(plan.new_until + 1, plan.n_context)),
        ]
        return cls(stage, observe(), new_items, [each for each in shortened if len(each.windows)])

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


def fit_combination(
    backtests: list[Backtest], n_clusters: int, stage: Stage, groups: ItemGroups, calendar: CalendarMatrix
) -> Combination:
    """Estimate weights and errors for the final groups of the final stage.

    The group of an item is as uncertain as its window makes it: that is how forecasts find it.
    """
    members, future, traits, shortened = [], [], [], []
    plan = stage.plan
    for backtest in backtests:
        own_groups = backtest.stage.group(n_clusters)
        tried = [(shift, each, False) for shift, each in ((0, backtest.items), *backtest.new_items)]
        for shift, observed, is_shortened in [*tried, *((0, each, True) for each in backtest.shortened)]:
            windows = observed.windows
            members.append(backtest.stage.forecast_members(observed, own_groups, shift)[0])
            future.append(windows.future)
            traits.append(Traits.of(windows, stage.membership(windows, groups), plan.new_until, plan.season))
            shortened.append(np.full(len(windows), is_shortened))
    joined = Traits(*(np.concatenate(parts) for parts in zip(*traits, strict=True)))
    found = Combination.fit(np.concatenate(members, axis=1), np.concatenate(future), joined, np.concatenate(shortened))
    at_season = [name.startswith("seasonal") for name in plan.members]
    origins = [int(backtest.items.windows.origin[0]) for backtest in backtests]
    seasonal_weight = float(found.weights[2][:, at_season].sum(axis=1).mean())
    width = [season_width(calendar, origins, stage, weight) for weight in (0.0, seasonal_weight)]
    return replace(found, season_width=np.stack(width))
