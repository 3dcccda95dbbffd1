"""All models of one origin: the network, the groups and the linear models, fitted to the past."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from vrae.estimators.forecasting.calendar_matrix import CalendarMatrix
from vrae.estimators.forecasting.combination import Combination, Traits
from vrae.estimators.forecasting.forecast_windows import (
    AGES,
    CLIP,
    ForecastWindows,
    Variation,
    age_class,
    training_windows,
    typical_variation,
    windows_at,
)
from vrae.estimators.forecasting.plan import ForecastPlan
from vrae.estimators.forecasting.pooled import PooledModel, group_curves, seasonal_change
from vrae.estimators.forecasting.seasonal_course import SeasonalCourses
from vrae.estimators.forecasting.single_forecasts import (
    decode_future,
    encode_contexts,
    fit_completion,
    recent_level,
    seasonal_naive,
    smoothing,
)
from vrae.estimators.partition import LatentSpace, Partition, fit_partition, partition_from_arrays
from vrae.estimators.vrae import VRAE
from vrae.io.folder import Arrays, nested, shaped, subset

__all__ = ["GroupForecast", "ItemGroups", "Observed", "Stage"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ItemGroups:
    """Groups of items with similar latent vectors, and what is known of an item from its group."""

    space: LatentSpace  # in which latent vectors are compared
    partition: Partition
    proportions: Floats  # (n_groups,), fractions of the items
    center: Floats  # (n_groups, latent), mean of the members' latent vectors
    variance: Floats  # (n_groups, latent)
    curves: Floats  # (n_groups, n_context), mean scaled curves before the origin
    model: PooledModel  # with coefficients for each group

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return len(self.proportions)

    def membership(self, Z: Floats) -> Floats:
        """Return the probability of each group, (n, n_groups), for latent vectors (n, latent)."""
        return _membership(self.partition.predict_proba(self.space(Z)), self.proportions)

    def seasonal_change(self, membership: Floats, season: int, horizon: int, shift: int) -> Floats:
        """Return how the groups changed a season before a horizon ``shift`` steps later.

        Beyond the steps that are known, the last season goes on.
        """
        curves = self.curves
        if shift and 1 < season <= curves.shape[1]:
            last = curves[:, -season:]
            steps = np.arange(curves.shape[1]) + shift
            beyond = last[:, (steps - curves.shape[1]) % season]
            known = curves[:, np.clip(steps, 0, curves.shape[1] - 1)]
            curves = np.where((steps >= 0) & (steps < curves.shape[1]), known, beyond)
        return np.asarray(membership @ seasonal_change(curves, season, horizon))

    def posterior_mean(self, mean: Floats, variance: Floats, membership: Floats) -> Floats:
        """Return latent vectors (n, latent) with the group's distribution as prior, not N(0, 1).

        The group then fills in what a short context leaves open.
        """
        prior_mean, prior_variance = membership @ self.center, membership @ self.variance
        evidence = np.maximum(1 / variance - 1, 0)  # precision that the context adds to the prior N(0, 1)
        # mean / variance is the evidence times its own mean, since the mean of the prior is 0.
        return np.asarray((mean / variance + prior_mean / prior_variance) / (evidence + 1 / prior_variance))


def _membership(probabilities: Floats, proportions: Floats) -> Floats:
    """Normalise the rows of (n, n_groups). An item of no group gets the groups' proportions."""
    has_group = probabilities.sum(axis=1, keepdims=True) > 0
    membership = np.where(has_group, probabilities, proportions)
    return np.asarray(membership / membership.sum(axis=1, keepdims=True))


class Observed(NamedTuple):
    """Windows, and all that a stage computes from them without groups."""

    windows: ForecastWindows
    mean: Floats  # (n, latent), of the latent vectors given the contexts
    variance: Floats  # (n, latent)
    forecasts: dict[str, Floats]  # by name of the member, each (n, horizon), scaled


class _Training(NamedTuple):
    """Training windows and their latent vectors, and mean and variance of those of the items."""

    windows: ForecastWindows
    Z: Floats
    mean: Floats
    variance: Floats


@dataclass
class Stage:
    """The network and the pooled model of one origin. `group` adds groups."""

    plan: ForecastPlan
    variation: Variation  # of the items
    model: VRAE  # completes windows
    pooled: PooledModel  # without groups
    items: ForecastWindows  # all items at the origin
    level_decay: Floats  # (n_classes,), see `ForecastWindows.level_decay`
    courses: SeasonalCourses | None  # of the seasonal member
    _training: _Training | None = None

    @classmethod
    def fit(cls, calendar: CalendarMatrix, plan: ForecastPlan) -> Self:
        """Fit network and pooled model to a calendar that ends at the origin."""
        variation = typical_variation(calendar.values)
        rng = np.random.default_rng(plan.seed)
        windows = training_windows(calendar, plan, variation, rng)
        items = windows_at(calendar, calendar.n_steps, plan, variation)
        model = fit_completion(plan.model, windows)
        training = _Training(windows, encode_contexts(model, windows)[0], *encode_contexts(model, items))
        pooled, decay = PooledModel.fit(windows, plan.season), windows.level_decay(plan.new_until)
        courses = SeasonalCourses.fit(items, plan, rng) if plan.seasonal_member else None
        return cls(plan, variation, model, pooled, items, decay, courses, training)

    @property
    def _data(self) -> _Training:
        if self._training is None:
            raise RuntimeError("a loaded stage has no training windows")
        return self._training

    @property
    def item_means(self) -> Floats:
        """Latent means of the items at the origin, (n_items, latent)."""
        return self._data.mean

    def group(self, n_clusters: int) -> ItemGroups:
        """Find groups of the items at the origin, and fit the linear model of each."""
        plan, data = self.plan, self._data
        space = LatentSpace.fit(data.mean, self.model.network_)
        partition = fit_partition(space(data.mean), n_clusters, plan.clusterer, plan.seed)
        found = partition.predict_proba(space(data.mean))
        proportions = (found.sum(axis=0) + 1e-9) / (found.sum() + 1e-9 * max(found.shape[1], 1))
        membership = _membership(found, proportions)
        size = membership.sum(axis=0)[:, None] + 1e-9
        center = membership.T @ data.mean / size
        variance = membership.T @ (data.mean**2 + data.variance) / size - center**2
        of_windows = _membership(partition.predict_proba(space(data.Z)), proportions)
        change = _change_per_origin(data.windows, of_windows, plan)
        model = PooledModel.fit(data.windows, plan.season, of_windows, change)
        curves = group_curves(self.items, membership)
        return ItemGroups(space, partition, proportions, center, np.clip(variance, 1e-3, None), curves, model)

    def observe(self, windows: ForecastWindows, shift: int = 0) -> Observed:
        """Encode windows, and forecast them without groups.

        The origin of the windows is ``shift`` steps after that of the stage.
        """
        season, is_new = self.plan.season, windows.age <= self.plan.new_until
        settled = self.level_decay[age_class(windows.age)] * is_new * windows.scale.zero
        level = np.broadcast_to(settled[:, None], windows.future.shape)  # a new item's level after it decayed
        forecasts = {"level": level, "pooled": self.pooled.predict(windows)}
        if "seasonal naive" in self.plan.members:
            forecasts["seasonal naive"] = seasonal_naive(windows, season, level)
        if "smoothing" in self.plan.members:
            forecasts["smoothing"] = smoothing(windows)
        if self.courses is not None and (name := self.plan.seasonal_member) is not None:
            level_of = smoothing if name == "seasonal smoothing" else recent_level
            forecasts[name] = self.courses.later(shift).forecast(windows, level_of)
        return Observed(windows, *encode_contexts(self.model, windows), forecasts)

    def membership(self, windows: ForecastWindows, groups: ItemGroups) -> Floats:
        """Return the probability of each group for windows, (n, n_groups)."""
        return groups.membership(encode_contexts(self.model, windows)[0])

    def forecast_by_group(self, observed: Observed, groups: ItemGroups, shift: int = 0) -> tuple[Floats, Floats]:
        """Return scaled forecasts (n, horizon) of the groups' models, and membership (n, n_groups).

        The origin of the windows is ``shift`` steps after that of the stage.
        """
        membership = groups.membership(observed.mean)
        change = groups.seasonal_change(membership, self.plan.season, self.plan.horizon, shift)
        return groups.model.predict(observed.windows, membership, change), membership

    def forecast_members(self, observed: Observed, groups: ItemGroups, shift: int = 0) -> tuple[Floats, Floats]:
        """Return all scaled forecasts (n_members, n, horizon), and membership (n, n_groups).

        The forecasts are in the order of ``ForecastPlan.members``.
        """
        grouped, membership = self.forecast_by_group(observed, groups, shift)
        Z = groups.posterior_mean(observed.mean, observed.variance, membership)
        completed = decode_future(self.model, Z, self.plan.n_context, self.plan.horizon)
        forecasts = {**observed.forecasts, "group": grouped, "completion": completed}
        return np.clip([forecasts[name] for name in self.plan.members], -CLIP, CLIP), membership


def _change_per_origin(windows: ForecastWindows, membership: Floats, plan: ForecastPlan) -> Floats:
    """Return the seasonal change of the groups before the origin of each window, (n, horizon)."""
    change = np.zeros((len(windows), plan.horizon))
    for origin in np.unique(windows.origin):
        at = np.flatnonzero(windows.origin == origin)
        curves = group_curves(windows.select(at), membership[at])
        change[at] = membership[at] @ seasonal_change(curves, plan.season, plan.horizon)
    return change


@dataclass(frozen=True)
class GroupForecast:
    """Everything that forecasts items: a stage, its groups, and how forecasts are combined."""

    stage: Stage
    groups: ItemGroups
    combination: Combination

    def membership(self, windows: ForecastWindows) -> Floats:
        """Return the probability of each group for windows, (n, n_groups)."""
        return self.stage.membership(windows, self.groups)

    def forecast(self, windows: ForecastWindows, shift: int, levels: Sequence[float]) -> dict[str, Floats]:
        """Return ``mean``, ``lo-80``, ``hi-80``, ... (n, horizon), in the user's units.

        The origin of the windows is ``shift`` steps after that of the stage.
        """
        members, membership = self.stage.forecast_members(self.stage.observe(windows, shift), self.groups, shift)
        plan = self.stage.plan
        traits = Traits.of(windows, membership, plan.new_until, plan.season)
        mean = self.combination.predict(members, traits)
        scaled = {"mean": mean}
        for level in levels:
            bounds = self.combination.interval(level, mean, traits)
            scaled[f"lo-{level:g}"], scaled[f"hi-{level:g}"] = bounds
        return {name: windows.scale.inverse_transform(values) for name, values in scaled.items()}

    def arrays(self) -> Arrays:
        """Return the arrays to save: everything that was learned, except the network."""
        items, groups = self.stage.items, self.groups
        own = {"proportions": groups.proportions, "center": groups.center, "variance": groups.variance}
        scale = {"level": items.level, "spread": items.spread, "origin": items.origin, "category": items.category}
        scale["typical_spread"] = np.array([self.stage.variation.spread])
        past = {**_with_gaps("context", items.context), **_with_gaps("earlier", items.earlier)}
        return nested(
            {
                "pooled": self.stage.pooled.arrays(),
                "group_model": groups.model.arrays(),
                "space": groups.space.arrays(),
                "partition": groups.partition.arrays(),
                "combination": self.combination.arrays(),
                "groups": {**own, **_with_gaps("curves", groups.curves)},
                "items": {**scale, "level_decay": self.stage.level_decay, **past},
                "courses": self.stage.courses.arrays() if self.stage.courses else {},
            }
        )

    @classmethod
    def from_arrays(cls, arrays: Arrays, plan: ForecastPlan, variation: float, n_items: int) -> Self:
        """Rebuild a forecast from its `arrays`. The model of the plan is the fitted one."""
        items, own = subset(arrays, "items"), subset(arrays, "groups")
        shaped("context", items, (n_items, plan.n_context))
        windows = ForecastWindows(
            _restore_gaps("context", items),
            np.full((n_items, plan.horizon), np.nan),
            shaped("level", items, (n_items,)),
            shaped("spread", items, (n_items,)),
            np.arange(n_items),
            shaped("origin", items, (n_items,)),
            # Early models keep the context alone.
            _restore_gaps("earlier", items) if "earlier" in items else np.zeros((n_items, 0)),
            items["category"] if "category" in items else np.full(n_items, -1),
        )
        groups = ItemGroups(
            LatentSpace.from_arrays(subset(arrays, "space"), plan.model.network_.config.latent_size),
            partition_from_arrays(subset(arrays, "partition")),
            own["proportions"],
            own["center"],
            own["variance"],
            _restore_gaps("curves", own),
            PooledModel.from_arrays(subset(arrays, "group_model")),
        )
        decay = items.get("level_decay", np.zeros(len(AGES)))  # early models lack it
        pooled = PooledModel.from_arrays(subset(arrays, "pooled"))
        courses = subset(arrays, "courses")
        seasons = SeasonalCourses.from_arrays(courses) if courses else None
        # Early models took 1 for an item without any spread.
        usual = Variation(variation, float(items["typical_spread"][0]) if "typical_spread" in items else 1.0)
        stage = Stage(plan, usual, plan.model, pooled, windows, decay, seasons)
        return cls(stage, groups, Combination.from_arrays(subset(arrays, "combination")))


def _with_gaps(name: str, values: npt.NDArray[Any]) -> Arrays:
    """Return values with 0 for NaN, and a mask: a model directory has finite values only."""
    return {name: np.nan_to_num(values), f"{name}_known": (~np.isnan(values)).astype(np.uint8)}


def _restore_gaps(name: str, arrays: Arrays) -> npt.NDArray[Any]:
    return np.where(arrays[f"{name}_known"] == 1, arrays[name], np.nan)
