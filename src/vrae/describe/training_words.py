"""How a training went, in words: from its history alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

__all__ = ["Training", "judge_training"]

# A training has settled if this much of its improvement came before this part of its passes was
# over. A loss that falls along a straight line reaches 95 % after 95 % of the passes.
_IMPROVED = 0.95
_PASSES = 0.9
_EARLY = 0.8
# Fewer passes than this, over many series each, show no trend.
_FEWEST = 6
# A loss that ends this much above its best, as a part of the whole improvement, got worse.
_WORSE = 0.1


class Training(NamedTuple):
    """What is known of a training. ``epochs`` is the number of passes to try instead, if any."""

    words: str
    settled: bool
    epochs: int | None = None


def judge_training(history: Sequence[Mapping[str, Any]]) -> Training:
    """Say whether training settled. ``history`` has one record per pass over the series."""
    n = len(history)
    if n == 0:
        return Training("This model has no training history.", settled=True)
    curve = _curve(history)
    passes = f"{n:,} pass{'es' * (n != 1)}"
    if not all(map(math.isfinite, curve)):
        return Training(f"Training broke down: its error is not a number after {passes}.", False)
    first, best = curve[0], min(curve)
    gained = first - best
    if n < _FEWEST:
        fell = f" Its error fell by {100 * gained / abs(first):.0f} %." if gained > 0 and first else ""
        return Training(f"Training took {passes} over the series.{fell}", settled=True)
    if curve[-1] - best > _WORSE * gained:
        words = f"The error was lowest after {1 + curve.index(best)} of {passes} and rose again: training is unstable."
        return Training(words, settled=False)
    reached = 1 + next(i for i, loss in enumerate(curve) if loss <= first - _IMPROVED * gained)
    if reached > _PASSES * n:
        return Training(f"Training was still improving when it stopped, after {passes}.", False, 2 * n)
    verb = "stopped improving" if reached <= _EARLY * n else "improved little"
    return Training(f"Training {verb} after {reached} of {passes} over the series.", settled=True)


def _curve(history: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return the curve to judge by: that of held-out series, else the loss.

    While the weight of the KL divergence rises, the loss rises with it. The error of the
    reconstruction then says more.
    """
    weights = {record.get("kl_weight") for record in history}
    names = ("validation_loss", "loss" if len(weights) == 1 else "reconstruction", "loss")
    name = next((name for name in names if all(name in record for record in history)), None)
    return [float(record[name]) for record in history] if name else [0.0] * len(history)
