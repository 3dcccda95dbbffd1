"""All models of one origin: the network, the groups and the linear models, fitted to the past."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from vrae.estimators.forecasting.calendar_matrix import CalendarMatrix
from vrae.estimators.forecasting.classical import seasonal_naive, smoothed_level
from vrae.estimators.forecasting.completion import decode_future, encode_contexts, fit_completion
from vrae.estimators.forecasting.forecast_windows import (
    ForecastWindows,
    age_class,
    training_windows,
    windows_at,
)
from vrae.estimators.forecasting.item_groups import ItemGroups, group_membership
from vrae.estimators.forecasting.item_scale import CLIP, typical_variation
from vrae.estimators.forecasting.plan import ForecastPlan
from vrae.estimators.forecasting.pooled import PooledModel, group_curves, seasonal_change
from vrae.estimators.partition import LatentSpace, fit_partition
from vrae.estimators.vrae import VRAE

__all__ = ["Observed", "Stage"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Observed:
    """Windows, and all that a stage computes from them without groups.

    Attributes
    ----------
    windows : ForecastWindows
    mean, variance : ndarray of shape (n, latent)
        Of the latent vectors given the contexts.
    forecasts : ndarray of shape (n_members - 2, n, horizon)
        Scaled forecasts without groups: the first ones of ``ForecastPlan.members``.
    """

    windows: ForecastWindows
    mean: Floats
    variance: Floats
    forecasts: Floats


class _Training(NamedTuple):
    """Training windows and their latent vectors, and mean and variance of those of the items."""

    windows: ForecastWindows
    Z: Floats
    mean: Floats
    variance: Floats


@dataclass
class Stage:
    """The network and the pooled model of one origin. `group` adds groups.

    Attributes
    ----------
    plan : ForecastPlan
    variation : float
        `typical_variation` of the items.
    model : VRAE
        Completes windows.
    pooled : PooledModel
        The linear model without groups.
    items : ForecastWindows
        All items at the origin.
    level_decay : ndarray of shape (n_classes,)
        See `ForecastWindows.level_decay`.
    """

    plan: ForecastPlan
    variation: float
    model: VRAE
    pooled: PooledModel
    items: ForecastWindows
    level_decay: Floats
    _training: _Training | None = None

    @classmethod
    def fit(cls, calendar: CalendarMatrix, plan: ForecastPlan) -> Self:
        """Fit network and pooled model to a calendar that ends at the origin."""
        n_context, horizon = plan.n_context, plan.horizon
        variation = typical_variation(calendar.values)
        rng = np.random.default_rng(plan.seed)
        windows = training_windows(calendar, n_context, horizon, variation, rng)
        items = windows_at(calendar, calendar.n_steps, n_context, horizon, variation)
        model = fit_completion(plan.model, windows)
        training = _Training(windows, encode_contexts(model, windows)[0], *encode_contexts(model, items))
        pooled, decay = PooledModel.fit(windows, plan.season), windows.level_decay(plan.new_until)
        return cls(plan, variation, model, pooled, items, decay, training)

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
        membership = group_membership(found, proportions)
        size = membership.sum(axis=0)[:, None] + 1e-9
        center = membership.T @ data.mean / size
        variance = membership.T @ (data.mean**2 + data.variance) / size - center**2
        of_windows = group_membership(partition.predict_proba(space(data.Z)), proportions)
        change = _change_per_origin(data.windows, of_windows, plan)
        model = PooledModel.fit(data.windows, plan.season, of_windows, change)
        curves = group_curves(self.items, membership)
        return ItemGroups(space, partition, proportions, center, np.clip(variance, 1e-3, None), curves, model)

    def observe(self, windows: ForecastWindows) -> Observed:
        """Encode windows, and forecast them without groups."""
        plan = self.plan
        is_new = windows.age <= plan.new_until
        settled = self.level_decay[age_class(windows.age)] * is_new * windows.scale.zero
        level = np.broadcast_to(settled[:, None], windows.future.shape)  # a new item's level after it decayed
        forecasts = [level]
        if plan.season > 1:
            forecasts.append(np.where(is_new[:, None], level, seasonal_naive(windows, plan.season)))
        if plan.classical:
            forecasts.append(smoothed_level(windows))
        forecasts.append(self.pooled.predict(windows))
        return Observed(windows, *encode_contexts(self.model, windows), np.stack(forecasts))

    def forecast_by_group(self, observed: Observed, groups: ItemGroups, shift: int = 0) -> tuple[Floats, Floats]:
        """Forecast with the linear models of the groups.

        Returns
        -------
        forecast : ndarray of float64, shape (n, horizon)
            Scaled.
        membership : ndarray of float64, shape (n, n_groups)
        """
        membership = groups.membership(observed.mean)
        change = groups.seasonal_change(membership, self.plan.season, self.plan.horizon, shift)
        return groups.model.predict(observed.windows, membership, change), membership

    def forecast_members(self, observed: Observed, groups: ItemGroups, shift: int = 0) -> tuple[Floats, Floats]:
        """Compute all forecasts that are combined.

        Parameters
        ----------
        observed : Observed
        groups : ItemGroups
        shift : int, default=0
            Steps between the origin of the stage and that of the windows.

        Returns
        -------
        members : ndarray of float64, shape (n_members, n, horizon)
            Scaled, in the order of ``ForecastPlan.members``.
        membership : ndarray of float64, shape (n, n_groups)
        """
        grouped, membership = self.forecast_by_group(observed, groups, shift)
        Z = groups.posterior_mean(observed.mean, observed.variance, membership)
        completed = decode_future(self.model, Z, self.plan.n_context, self.plan.horizon)
        return np.clip(np.concatenate([observed.forecasts, [grouped, completed]]), -CLIP, CLIP), membership

    @property
    def _data(self) -> _Training:
        if self._training is None:
            raise RuntimeError("a loaded stage has no training windows")
        return self._training


def _change_per_origin(windows: ForecastWindows, membership: Floats, plan: ForecastPlan) -> Floats:
    """Return the seasonal change of the groups before the origin of each window, (n, horizon)."""
    change = np.zeros((len(windows), plan.horizon))
    for origin in np.unique(windows.origin):
        at = np.flatnonzero(windows.origin == origin)
        curves = group_curves(windows.select(at), membership[at])
        change[at] = membership[at] @ seasonal_change(curves, plan.season, plan.horizon)
    return change
