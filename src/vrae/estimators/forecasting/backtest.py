"""Forecasts tried from origins in the past: what number of groups to take, and which forecasts to trust."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from vrae.estimators.forecasting.combination import Combination
from vrae.estimators.forecasting.stage import Plan, Seen, Stage
from vrae.estimators.forecasting.windows import Course, Floats, windows_at

__all__ = ["Backtest", "combined", "origins", "tried_numbers"]

# Numbers of groups that are tried; each group should have about so many items at least.
_TRIED = (1, 2, 4, 8, 12)
_ITEMS_A_GROUP = 20
# Times at which new items are looked at in a backtest.
_LOOKS = 4


def origins(course: Course, plan: Plan, n_backtests: int) -> list[int]:
    """Return the origins of backtests, a horizon apart; at each, a horizon was known, and two steps at least."""
    wanted = [course.n_steps - plan.horizon * back for back in range(1, n_backtests + 1)]
    return [origin for origin in wanted if origin >= max(plan.horizon, 2)]


@dataclass
class Backtest:
    """A stage at an earlier origin, and what it is tried on.

    Attributes
    ----------
    stage : Stage
        Fitted to what was known then.
    whole : Seen
        The items with a future, with all that was known of them.
    new : list of (int, Seen)
        New items, so many steps after the origin: those introduced around it, where items begin while the calendar
        runs; else old ones of which only a few steps are looked at.
    """

    stage: Stage
    whole: Seen
    new: list[tuple[int, Seen]]

    @classmethod
    def run(cls, course: Course, origin: int, plan: Plan, options: dict[str, Any]) -> Self:
        """Fit a stage at an origin; ``options`` are the network's."""
        past = course.until(origin)
        stage = Stage.fit(past, plan, options)

        def look(shift: int, keep: npt.NDArray[np.int64] | None = None, among: Any = True) -> Seen:
            windows = windows_at(course, origin + shift, plan.n_context, plan.horizon, stage.variation, keep)
            known = ~np.isnan(windows.context).all(axis=1) & ~np.isnan(windows.future).all(axis=1)
            return stage.look(windows.select(np.flatnonzero(known & among)))

        if not past.shows_beginnings():
            steps = np.random.default_rng(plan.seed).uniform(0, np.log(plan.new_until + 1), len(course.values))
            return cls(stage, look(0), [(0, look(0, np.exp(steps).astype(np.int64)))])
        shifts = range(0, min(plan.horizon, course.n_steps - origin), max(1, plan.horizon // _LOOKS))
        begun = {shift: course.first > max(0, origin + shift - plan.new_until - 1) for shift in shifts}
        new = [(shift, look(shift, among=begun[shift])) for shift in shifts]
        return cls(stage, look(0), [(shift, seen) for shift, seen in new if len(seen.windows)])

    def error(self, n_clusters: int) -> float:
        """Return the mean squared scaled error of the models of so many groups."""
        forecast, _ = self.stage.by_group(self.whole, self.stage.grouped(n_clusters))
        return float(np.nanmean((forecast - self.whole.windows.future) ** 2))


def tried_numbers(backtests: list[Backtest], n_items: int) -> list[dict[str, float]]:
    """Return how each number of groups did: ``n_clusters`` and ``score``, the mean squared error of group models."""
    tried = [k for k in _TRIED if k == 1 or k <= n_items // _ITEMS_A_GROUP]
    if backtests[0].stage.plan.clusterer == "hdbscan":
        tried = [1]  # it finds its own number
    selection = []
    for k in tried:
        selection.append({"n_clusters": k, "score": float(np.mean([b.error(k) for b in backtests]))})
    return selection


def combined(backtests: list[Backtest], n_clusters: int, membership: Floats) -> Combination:
    """Learn weights and errors from all backtests; ``membership`` (n_items, n_groups) is that of today."""
    members, future, groups, age = [], [], [], []
    for backtest in backtests:
        grouped = backtest.stage.grouped(n_clusters)
        for shift, seen in [(0, backtest.whole), *backtest.new]:
            members.append(backtest.stage.members(seen, grouped, shift)[0])
            future.append(seen.windows.future)
            groups.append(membership[seen.windows.item])
            age.append(seen.windows.age)
    return Combination.fit(
        np.concatenate(members, axis=1),
        np.concatenate(future),
        np.concatenate(groups),
        np.concatenate(age),
        backtests[0].stage.plan.new_until,
    )
