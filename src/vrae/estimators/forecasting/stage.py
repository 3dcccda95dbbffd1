"""All that can forecast from one origin: a network, groups, and pooled models, fitted to what was known there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

from vrae.data.batching import Batch
from vrae.data.panel import Panel
from vrae.estimators.base import BaseVRAE
from vrae.estimators.forecasting.classical import intermittent_or_smoothed, seasonal_naive
from vrae.estimators.forecasting.pooled import PooledModel, group_courses, season_ahead
from vrae.estimators.forecasting.windows import (
    CLIP,
    Course,
    Floats,
    Windows,
    age_class,
    training_windows,
    usual_variation,
    windows_at,
)
from vrae.estimators.partition import LatentSpace, Partition, fit_partition
from vrae.runtime import work_threads

__all__ = ["Completion", "Groups", "Plan", "Seen", "Stage"]

_DECODE_ROWS = 4096
# Up to so many observed steps an item is new.
_NEW = 12


@dataclass(frozen=True)
class Plan:
    """What is to be forecast, and from what.

    Attributes
    ----------
    horizon, n_context, season : int
        Steps ahead, steps before the origin that are looked at, steps of a season (1: none).
    clusterer : str or scikit-learn clusterer
    classical : bool
        Forecast each item by itself, too.
    seed : int
    """

    horizon: int
    n_context: int
    season: int
    clusterer: Any
    classical: bool
    seed: int

    @property
    def new_until(self) -> int:
        """Items with no more observed steps than this are new."""
        return min(_NEW, self.n_context // 2)

    @property
    def members(self) -> tuple[str, ...]:
        """Names of the forecasts that are combined."""
        seasonal = ("seasonal naive",) if self.season > 1 else ()
        classical = ("smoothing",) if self.classical else ()
        return ("level", *seasonal, *classical, "pooled", "group", "completion")


@dataclass(kw_only=True, eq=False, repr=False)
class Completion(BaseVRAE):
    """A network that sees the context of a window and gives back all of it, the future too."""

    hidden_share: tuple[int, int] = (0, 1)  # steps of the context, steps of the window

    def _hidden_steps(self, panel: Panel) -> npt.NDArray[np.bool_]:
        n_context, n_steps = self.hidden_share
        return np.tile(np.arange(n_steps) >= n_context, len(panel))

    def _warn_of_collapse(self) -> None:
        """Say nothing: where items have nothing in common, backtests leave groups out."""

    def encode(self, windows: Windows) -> tuple[Floats, Floats]:
        """Return mean and variance, each (n, latent), of the latent vectors given the contexts alone."""
        panel = windows.panel()
        mean = np.zeros((len(panel), self.network_.config.latent_size))
        variance = np.ones_like(mean)

        def encoded(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
            return self.network_.encode(batch.values, batch.mask, batch.lengths, batch.patterns)

        for batch, (found, log_variance) in self._visit(panel, np.arange(len(panel)), encoded):
            mean[batch.rows] = found.double().cpu().numpy()
            variance[batch.rows] = log_variance.double().exp().cpu().numpy()
        return mean, variance

    def decode_future(self, z: Floats, n_context: int, horizon: int) -> Floats:
        """Return what comes after the context, (n, horizon), by latent vectors (n, latent)."""
        device = next(self.network_.parameters()).device
        future = np.empty((len(z), horizon))
        with work_threads(device, self.hidden_size), torch.inference_mode():
            for start in range(0, len(z), _DECODE_ROWS):
                part = torch.from_numpy(z[start : start + _DECODE_ROWS].astype(np.float32)).to(device)
                decoded = self.network_.decode(part, n_context + horizon)[:, n_context:, 0]
                future[start : start + _DECODE_ROWS] = decoded.double().cpu().numpy()
        return future


@dataclass(frozen=True)
class Groups:
    """Groups of items by what their contexts say, and how their members do.

    Attributes
    ----------
    space : LatentSpace
    partition : Partition
    shares : ndarray, shape (n_groups,)
        Of the items; the membership of an item that belongs nowhere.
    center, variance : ndarray, shape (n_groups, latent)
        Of the members' latent vectors.
    courses : ndarray, shape (n_groups, n_context)
        Mean scaled courses before the origin.
    model : PooledModel
    """

    space: LatentSpace
    partition: Partition
    shares: Floats
    center: Floats
    variance: Floats
    courses: Floats
    model: PooledModel

    def membership(self, z: Floats) -> Floats:
        """Return the probability of each group, (n, n_groups), for latent vectors (n, latent)."""
        return _membership(self.partition.predict_proba(self.space(z)), self.shares)

    def ahead(self, membership: Floats, season: int, horizon: int, shift: int = 0) -> Floats:
        """Return what the groups did a season ago, (n, horizon), ``shift`` steps after the origin."""
        courses = np.concatenate([self.courses, np.full((len(self.courses), shift), np.nan)], axis=1)[:, shift:]
        return np.asarray(membership @ season_ahead(courses, season, horizon))

    def believe(self, mean: Floats, variance: Floats, membership: Floats) -> Floats:
        """Return latent vectors (n, latent) with the group's distribution as prior, in place of N(0, 1).

        What few steps leave open is then filled in by the group, not by the average of all items.
        """
        prior_mean, prior_variance = membership @ self.center, membership @ self.variance
        evidence = np.maximum(1 / variance - 1, 0)  # what the context adds to the network's own prior
        # mean / variance is evidence times the evidence's own mean: the prior N(0, 1) adds nothing to it.
        return np.asarray((mean / variance + prior_mean / prior_variance) / (evidence + 1 / prior_variance))


@dataclass(frozen=True)
class Seen:
    """Windows, and all that a stage says of them whatever the groups are.

    Attributes
    ----------
    windows : Windows
    mean, variance : ndarray, shape (n, latent)
        Of the latent vectors given the contexts.
    alone : ndarray, shape (n_members - 2, n, horizon)
        Scaled forecasts without groups: the first ones of ``Plan.members``.
    """

    windows: Windows
    mean: Floats
    variance: Floats
    alone: Floats


@dataclass
class Stage:
    """Network and pooled model of one origin; `grouped` adds groups.

    Attributes
    ----------
    plan : Plan
    variation : float
        Usual standard deviation beside the mean size of values.
    network : Completion
    pooled : PooledModel
        Without groups.
    items : Windows
        All items at the origin.
    fading : ndarray, shape (n_classes,)
        See `Windows.fading`.
    """

    plan: Plan
    variation: float
    network: Completion
    pooled: PooledModel
    items: Windows
    fading: Floats
    _training: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def fit(cls, course: Course, plan: Plan, options: dict[str, Any]) -> Self:
        """Fit to a course whose end is the origin; ``options`` are the network's."""
        n_context, horizon = plan.n_context, plan.horizon
        variation = usual_variation(course.values)
        windows = training_windows(course, n_context, horizon, variation, np.random.default_rng(plan.seed))
        network = Completion(**options, hidden_share=(n_context, n_context + horizon))
        panel = windows.panel(with_future=True)
        network._learn(panel, np.arange(len(panel)), anew=True)
        items = windows_at(course, course.n_steps, n_context, horizon, variation)
        stage = cls(
            plan, variation, network, PooledModel.fit(windows, plan.season), items, windows.fading(plan.new_until)
        )
        stage._training = {
            "windows": windows,
            "z": network.encode(windows)[0],
            "items": network.encode(items),
        }
        return stage

    def grouped(self, n_clusters: int) -> Groups:
        """Find groups of the items at the origin, and fit each group's model."""
        plan, (z, variance) = self.plan, self._training["items"]
        space = LatentSpace.fit(z, self._generated())
        partition = fit_partition(space(z), n_clusters, plan.clusterer, plan.seed)
        found = partition.predict_proba(space(z))
        shares = (found.sum(axis=0) + 1e-9) / (found.sum() + 1e-9 * max(found.shape[1], 1))
        membership = _membership(found, shares)
        weight = membership.sum(axis=0)[:, None] + 1e-9
        center = membership.T @ z / weight
        spread = membership.T @ (z**2 + variance) / weight - center**2
        courses = group_courses(self.items, membership)
        windows: Windows = self._training["windows"]
        of_windows = _membership(partition.predict_proba(space(self._training["z"])), shares)
        ahead = np.zeros((len(windows), plan.horizon))
        for origin in np.unique(windows.origin):
            rows = np.flatnonzero(windows.origin == origin)
            own = group_courses(windows.select(rows), of_windows[rows])
            ahead[rows] = of_windows[rows] @ season_ahead(own, plan.season, plan.horizon)
        model = PooledModel.fit(windows, plan.season, of_windows, ahead)
        return Groups(space, partition, shares, center, np.clip(spread, 1e-3, None), courses, model)

    def look(self, windows: Windows) -> Seen:
        """Return what the network, the pooled model and classical models say of windows."""
        plan = self.plan
        new = windows.age <= plan.new_until
        settled = self.fading[age_class(windows.age)] * new * windows.scale.zero
        level = np.broadcast_to(settled[:, None], windows.future.shape)  # an item's own, once it has settled
        forecasts = [level]
        if plan.season > 1:
            forecasts.append(np.where(new[:, None], level, seasonal_naive(windows, plan.season)))
        if plan.classical:
            forecasts.append(intermittent_or_smoothed(windows))
        forecasts.append(self.pooled.predict(windows))
        return Seen(windows, *self.network.encode(windows), np.stack(forecasts))

    def by_group(self, seen: Seen, groups: Groups, shift: int = 0) -> tuple[Floats, Floats]:
        """Return the scaled forecasts of the groups' models, (n, horizon), and the membership (n, n_groups)."""
        membership = groups.membership(seen.mean)
        ahead = groups.ahead(membership, self.plan.season, self.plan.horizon, shift)
        return groups.model.predict(seen.windows, membership, ahead), membership

    def members(self, seen: Seen, groups: Groups, shift: int = 0) -> tuple[Floats, Floats]:
        """Return the scaled forecasts (n_members, n, horizon) in order of ``plan.members``, and the membership."""
        grouped, membership = self.by_group(seen, groups, shift)
        z = groups.believe(seen.mean, seen.variance, membership)
        completed = self.network.decode_future(z, self.plan.n_context, self.plan.horizon)
        return np.clip(np.concatenate([seen.alone, [grouped, completed]]), -CLIP, CLIP), membership

    def _generated(self) -> Floats:
        network = self.network.network_
        if not network.config.n_patterns:
            return np.eye(network.config.latent_size)
        return np.asarray(network.latent_to_patterns.weight.detach().double().cpu().numpy().T)


def _membership(found: Floats, shares: Floats) -> Floats:
    """Give an item that belongs to no group the groups' shares."""
    somewhere = found.sum(axis=1, keepdims=True) > 0
    membership = np.where(somewhere, found, shares)
    return np.asarray(membership / membership.sum(axis=1, keepdims=True))
