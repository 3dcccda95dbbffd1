"""Training that runs away: noticed after an epoch, taken back to an epoch that was good, and slowed down."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.batching import Rows
from vrae.exceptions import DivergenceWarning, TrainingError, name_some

__all__ = ["Diverged", "Guard", "broken_batch"]

# So many times worse than the untrained network is no learning any more.
_WORSE = 10.0
# KL, which counts for little at first, may be large for a while, but not as large as this.
_MUCH_WORSE = 1000.0
# Each step back divides the learning rate; after so many there is another reason.
_SLOWER = 0.1
_STEPS_BACK = 4


class Diverged(Exception):  # noqa: N818 - a signal within training, never seen outside
    """The epoch came to nothing.

    Attributes
    ----------
    loss : float
        Of the first batch that was off, or of the epoch.
    rows : ndarray of int64 or None
        The first batch whose loss was not finite.
    """

    def __init__(self, loss: float, rows: Rows | None) -> None:
        super().__init__(loss)
        self.loss = loss
        self.rows = rows


class Guard:
    """Tells training that runs away from training that is only slow, and how much slower it is to go on.

    Attributes
    ----------
    rate : float
        Share of the learning rate that is left.
    """

    def __init__(self) -> None:
        self.steps_back = 0
        self._usual: float | None = None

    @property
    def rate(self) -> float:
        """Return the share of the learning rate that is left."""
        return _SLOWER**self.steps_back

    def check(
        self,
        losses: npt.NDArray[np.float64],
        errors: npt.NDArray[np.float64],
        batches: list[Rows],
        n_values: float,
    ) -> None:
        """Look at an epoch's losses and reconstruction errors, one a batch.

        An error is too large if it is far above that of a network that says nothing: the untrained one, whose error the
        very first batch has, or zeros, whose error is about ``n_values``, the values of a series.

        Raises
        ------
        Diverged
        """
        broken = np.flatnonzero(~np.isfinite(losses))
        if len(broken):
            raise Diverged(float(losses[broken[0]]), batches[broken[0]])
        if self._usual is None:
            self._usual = max(float(errors[0]), n_values)
        sizes = [len(rows) for rows in batches]
        loss, error = (float(np.average(values, weights=sizes)) for values in (losses, errors))
        if error > _WORSE * self._usual or loss > _MUCH_WORSE * self._usual:
            raise Diverged(loss, None)

    def step_back(self, found: Diverged, epoch: int, good_epoch: int, learning_rate: float) -> None:
        """Slow down after the last good epoch, and tell the user.

        Raises
        ------
        TrainingError
            That was tried often enough.
        """
        rate = learning_rate * self.rate
        if self.steps_back == _STEPS_BACK:
            raise TrainingError(
                f"Training ran away in epoch {epoch} (loss {found.loss:.3g}), and again at every learning rate from "
                f"{learning_rate:g} down to {rate:g}. Look at the series for extreme values (scaling='robust' helps), "
                f"set learning_rate below {rate:g}, or max_grad_norm=1."
            )
        self.steps_back += 1
        warnings.warn(
            f"Training ran away in epoch {epoch} (loss {found.loss:.3g}): learning_rate={rate:g} is too high. Went "
            f"back to the end of epoch {good_epoch}, and on with {learning_rate * self.rate:g}.",
            DivergenceWarning,
            stacklevel=7,  # past the loop and the estimator, to the user's line
        )

    def state_dict(self) -> dict[str, Any]:
        """Return what it knows."""
        return {"steps_back": self.steps_back, "usual": self._usual}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.steps_back, self._usual = state["steps_back"], state["usual"]


def broken_batch(loss: float, epoch: int, ids: npt.NDArray[Any]) -> TrainingError:
    """Return the error for series whose loss is not finite whatever the learning rate."""
    return TrainingError(
        f"The loss is not finite ({loss}) in epoch {epoch}, and no learning_rate would change that. It began in the "
        f"batch of the series with ids {name_some(ids)}. Look at these series for extreme values (scaling='robust' "
        f"brings them into range), or at reconstruction_loss, if it is your own."
    )
