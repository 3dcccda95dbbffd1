"""A forecaster as named arrays, and back: nothing of it needs a pickle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vrae.estimators.forecasting.combination import Combination
from vrae.estimators.forecasting.pooled import PooledModel
from vrae.estimators.forecasting.stage import Completion, Groups, Plan, Stage
from vrae.estimators.forecasting.windows import AGES, Scale, Windows
from vrae.estimators.partition import LatentSpace, partition_from_arrays

if TYPE_CHECKING:
    from vrae.estimators.base import BaseVRAE

__all__ = ["stage_arrays", "stage_from_arrays"]

Arrays = dict[str, npt.NDArray[Any]]


def stage_arrays(stage: Stage, groups: Groups, combination: Combination) -> Arrays:
    """Return all that was learned, but the network, by name."""
    items = stage.items
    parts: dict[str, Arrays] = {
        "pooled": stage.pooled.arrays(),
        "group_model": groups.model.arrays(),
        "space": groups.space.arrays(),
        "partition": groups.partition.arrays(),
        "combination": combination.arrays(),
        "groups": {
            "shares": groups.shares,
            "center": groups.center,
            "variance": groups.variance,
            **_with_gaps("courses", groups.courses),
        },
        "items": {
            "level": items.scale.level,
            "spread": items.scale.spread,
            "origin": items.origin,
            "fading": stage.fading,
            **_with_gaps("context", items.context),
        },
    }
    return {f"{part}.{name}": array for part, own in parts.items() for name, array in own.items()}


def stage_from_arrays(
    network: BaseVRAE, plan: Plan, options: dict[str, Any], variation: float, arrays: Arrays
) -> tuple[Stage, Groups, Combination]:
    """Take back what `stage_arrays` gave; ``network`` is an estimator with the loaded network."""

    def part(name: str) -> Arrays:
        prefix = name + "."
        return {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}

    items, own = part("items"), part("groups")
    context = _gaps_back("context", items)
    windows = Windows(
        context,
        np.full((len(context), plan.horizon), np.nan),
        Scale(items["level"], items["spread"]),
        np.arange(len(context)),
        items["origin"],
    )
    completion = Completion(**options, hidden_share=(plan.n_context, plan.n_context + plan.horizon))
    fitted = {name: value for name, value in vars(network).items() if name.endswith("_") and name[0] != "_"}
    completion.__dict__.update(fitted)
    groups = Groups(
        LatentSpace(**part("space")),
        partition_from_arrays(part("partition")),
        own["shares"],
        own["center"],
        own["variance"],
        _gaps_back("courses", own),
        PooledModel.from_arrays(part("group_model")),
    )
    fading = items.get("fading", np.zeros(len(AGES)))  # models of before did not know it
    stage = Stage(plan, variation, completion, PooledModel.from_arrays(part("pooled")), windows, fading)
    return stage, groups, Combination.from_arrays(part("combination"))


def _with_gaps(name: str, values: npt.NDArray[Any]) -> Arrays:
    """Mark what is missing and make it 0: a model directory holds finite values only."""
    return {name: np.nan_to_num(values), f"{name}_known": (~np.isnan(values)).astype(np.uint8)}


def _gaps_back(name: str, arrays: Arrays) -> npt.NDArray[Any]:
    return np.where(arrays[f"{name}_known"] == 1, arrays[name], np.nan)
