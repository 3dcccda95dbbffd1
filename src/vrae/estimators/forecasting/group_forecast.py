"""Everything that forecasts items: a stage, its groups, and the combination of the forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from vrae.estimators.forecasting.combination import Combination
from vrae.estimators.forecasting.completion import encode_contexts
from vrae.estimators.forecasting.forecast_windows import AGES, ForecastWindows
from vrae.estimators.forecasting.item_groups import ItemGroups
from vrae.estimators.forecasting.item_scale import ItemScale
from vrae.estimators.forecasting.plan import ForecastPlan
from vrae.estimators.forecasting.pooled import PooledModel
from vrae.estimators.forecasting.stage import Stage
from vrae.estimators.partition import LatentSpace, partition_from_arrays
from vrae.io.folder import Arrays, nested, shaped, subset

__all__ = ["GroupForecast"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class GroupForecast:
    """A fitted forecast of items.

    Attributes
    ----------
    stage : Stage
        Network and linear model of the last origin.
    groups : ItemGroups
    combination : Combination
    """

    stage: Stage
    groups: ItemGroups
    combination: Combination

    def membership(self, windows: ForecastWindows) -> Floats:
        """Return the probability of each group for windows, (n, n_groups)."""
        return self.groups.membership(encode_contexts(self.stage.model, windows)[0])

    def forecast(self, windows: ForecastWindows, shift: int, levels: Sequence[float]) -> dict[str, Floats]:
        """Forecast the future of windows.

        Parameters
        ----------
        windows : ForecastWindows
        shift : int
            Steps between the origin of the stage and that of the windows.
        levels : sequence of float
            Percentages of outcomes that the intervals should contain.

        Returns
        -------
        dict of str to ndarray of float64, shape (n, horizon)
            ``mean``, and for example ``lo-80`` and ``hi-80``, in the user's units.
        """
        observed, age = self.stage.observe(windows), windows.age
        members, membership = self.stage.forecast_members(observed, self.groups, shift)
        mean = self.combination.predict(members, membership, age)
        scaled = {"mean": mean}
        for level in levels:
            bounds = self.combination.interval(level, mean, membership, age)
            scaled[f"lo-{level:g}"], scaled[f"hi-{level:g}"] = bounds
        return {name: windows.scale.inverse_transform(values) for name, values in scaled.items()}

    def arrays(self) -> Arrays:
        """Return the arrays to save: everything that was learned, except the network."""
        items, groups = self.stage.items, self.groups
        return nested(
            {
                "pooled": self.stage.pooled.arrays(),
                "group_model": groups.model.arrays(),
                "space": groups.space.arrays(),
                "partition": groups.partition.arrays(),
                "combination": self.combination.arrays(),
                "groups": {
                    "proportions": groups.proportions,
                    "center": groups.center,
                    "variance": groups.variance,
                    **_with_gaps("curves", groups.curves),
                },
                "items": {
                    "level": items.scale.level,
                    "spread": items.scale.spread,
                    "origin": items.origin,
                    "level_decay": self.stage.level_decay,
                    **_with_gaps("context", items.context),
                },
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
            ItemScale(shaped("level", items, (n_items,)), shaped("spread", items, (n_items,))),
            np.arange(n_items),
            shaped("origin", items, (n_items,)),
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
        stage = Stage(plan, variation, plan.model, pooled, windows, decay)
        return cls(stage, groups, Combination.from_arrays(subset(arrays, "combination")))


def _with_gaps(name: str, values: npt.NDArray[Any]) -> Arrays:
    """Return values with 0 for NaN, and a mask: a model directory has finite values only."""
    return {name: np.nan_to_num(values), f"{name}_known": (~np.isnan(values)).astype(np.uint8)}


def _restore_gaps(name: str, arrays: Arrays) -> npt.NDArray[Any]:
    return np.where(arrays[f"{name}_known"] == 1, arrays[name], np.nan)
