"""Training on several processes at once, by Ray Train."""

from __future__ import annotations

from typing import Any

from vrae.distributed.engine import Engine
from vrae.estimators.base import BaseVRAE

__all__ = ["fit"]


def fit(estimator: BaseVRAE, X: Any, *, engine: Engine) -> BaseVRAE:
    """Fit."""
    return estimator.fit(X)
