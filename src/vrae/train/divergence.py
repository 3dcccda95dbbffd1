"""Divergence of training: detected after an epoch, undone, and retried at a lower learning rate."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.batching import Indices
from vrae.exceptions import DivergenceWarning, TrainingError, name_some, warn

__all__ = ["Diverged", "DivergenceGuard", "broken_batch"]

Floats = npt.NDArray[np.float64]

# An error this many times that of the untrained network is divergence.
_WORSE = 10.0
# The same for the loss: KL may be large while its weight is small.
_MUCH_WORSE = 1000.0
# Each step back divides the learning rate. After this many there is another cause.
_SLOWER = 0.1
_STEPS_BACK = 4


class Diverged(Exception):  # noqa: N818 - a signal within training, never seen outside
    """The epoch diverged, with this loss. ``indices`` is the first batch without a finite loss."""

    def __init__(self, loss: float, indices: Indices | None) -> None:
        super().__init__(loss)
        self.loss = loss
        self.indices = indices


class DivergenceGuard:
    """Detects divergence and keeps track of the reduced learning rate."""

    def __init__(self) -> None:
        self.steps_back = 0
        self._reference: float | None = None  # error of a network that predicts nothing

    @property
    def rate(self) -> float:
        """Return the factor by which the learning rate is reduced."""
        return _SLOWER**self.steps_back

    def check(self, losses: Floats, errors: Floats, batches: list[Indices], n_values: float) -> None:
        """Raise `Diverged` if the losses or errors (n_batches,) of an epoch are too large.

        That is: far above the error of a network that predicts nothing, either the untrained one
        (the error of the very first batch) or zeros (about ``n_values``, the values of a series).
        """
        broken = np.flatnonzero(~np.isfinite(losses))
        if len(broken):
            raise Diverged(float(losses[broken[0]]), batches[broken[0]])
        if self._reference is None:
            self._reference = max(float(errors[0]), n_values)
        sizes = [len(indices) for indices in batches]
        loss, error = (float(np.average(values, weights=sizes)) for values in (losses, errors))
        if error > _WORSE * self._reference or loss > _MUCH_WORSE * self._reference:
            raise Diverged(loss, None)

    def step_back(self, found: Diverged, epoch: int, good_epoch: int, learning_rate: float) -> None:
        """Lower the learning rate, and warn. Raise if all retries failed."""
        rate = learning_rate * self.rate
        if self.steps_back == _STEPS_BACK:
            raise TrainingError(
                f"Training diverged in epoch {epoch} (loss {found.loss:.3g}), and again at every learning rate from "
                f"{learning_rate:g} down to {rate:g}. Check the series for extreme values (scaling='robust' helps), or "
                f"set learning_rate below {rate:g}."
            )
        self.steps_back += 1
        warn(
            f"Training diverged in epoch {epoch} (loss {found.loss:.3g}): learning_rate={rate:g} is too high. Resumed "
            f"from the end of epoch {good_epoch} with {learning_rate * self.rate:g}.",
            DivergenceWarning,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""
        return {"steps_back": self.steps_back, "usual": self._reference}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.steps_back, self._reference = state["steps_back"], state["usual"]


def broken_batch(loss: float, epoch: int, ids: npt.NDArray[Any]) -> TrainingError:
    """Return the error for a batch whose loss is not finite at any learning rate."""
    return TrainingError(
        f"The loss is not finite ({loss}) in epoch {epoch}, and no learning_rate would change that. It began in the "
        f"batch of the series with ids {name_some(ids)}. Check these series for extreme values (scaling='robust' "
        f"brings them into range), or reconstruction_loss, if it is your own."
    )
