"""Up to which times a detector has seen its series, and whether new steps follow them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from vrae.data.calendar import Calendar, time_text
from vrae.data.panel import Panel
from vrae.exceptions import DataWarning, InvalidDataError, warn
from vrae.io.plain import times_from_json, times_to_json

__all__ = ["SeriesEnds"]


@dataclass(frozen=True)
class SeriesEnds:
    """The time of the last step of each series."""

    times: npt.NDArray[Any] | None  # (n_series,)
    calendar: Calendar | None

    @classmethod
    def of(cls, panel: Panel) -> Self:
        """Return the ends of the series of a panel."""
        return cls(None if panel.times is None else panel.times[panel.offsets[1:] - 1], panel.calendar)

    def missing_before(self, panel: Panel, rows: Sequence[int]) -> list[int]:
        """Return how many steps are missing between ``rows`` and the series of a panel.

        A warning names gaps, which only a calendar with a regular step shows.

        Raises
        ------
        InvalidDataError
            A series begins with a step that was seen already, or an older one.
        """
        none = [0] * len(panel)
        if self.times is None and panel.times is not None and self.calendar is not None:  # an early model
            warn("This model does not know when its series ended, so nothing checks that steps are next.", DataWarning)
        if self.times is None or panel.times is None or self.times.dtype.kind != panel.times.dtype.kind:
            return none
        seen, first = self.times[list(rows)], panel.times[panel.offsets[:-1]]
        if (old := first <= seen).any():
            raise InvalidDataError(
                f"{_ends(old, panel, seen, first)}. Leave out what was seen already. To score series as a whole, use "
                f"score_steps (on the command line, --model without --next-steps)."
            )
        if self.calendar is None or self.calendar.freq is None:
            return none
        missing = np.maximum(self.calendar.cells(first) - self.calendar.cells(seen) - 1, 0)
        if missing.any():
            warn(f"{_ends(missing > 0, panel, seen, first)}. The steps between count as missing.", DataWarning)
        return [int(count) for count in missing]

    def move_to(self, panel: Panel, rows: Sequence[int]) -> None:
        """Take the last times of the series of a panel for ``rows``; move on if it has none."""
        if panel.times is None:
            for row, n_steps in zip(rows, panel.lengths.tolist(), strict=True):
                self.move(row, n_steps)
        elif self.times is not None and self.times.dtype.kind == panel.times.dtype.kind:
            self.times[list(rows)] = panel.times[panel.offsets[1:] - 1]

    def move(self, row: int, n_steps: int) -> None:
        """Move on by steps without times. Without a regular step, the last time stays as it is."""
        if self.times is not None and n_steps and self.calendar is not None and self.calendar.freq is not None:
            self.times[row] = self.calendar.after(self.times[row], n_steps)[-1]

    def to_json(self) -> dict[str, Any]:
        """Return entries of a model directory."""
        return times_to_json("last_times", self.times)

    @classmethod
    def from_json(cls, config: dict[str, Any], calendar: Calendar | None) -> Self:
        """Rebuild what `to_json` returned. Early models lack it."""
        return cls(times_from_json("last_times", config), calendar)


def _ends(where: npt.NDArray[np.bool_], panel: Panel, seen: npt.NDArray[Any], first: npt.NDArray[Any]) -> str:
    """Say of the first series ``where`` something is wrong when it ended and goes on."""
    row, others = int(where.argmax()), int(where.sum()) - 1
    end, start = (time_text(times[row], panel.zone) for times in (seen, first))
    more = f" (like {others:,} more)" if others else ""
    return f"Series {str(panel.ids[row])!r}{more} was seen up to {end}, and its next steps begin with {start}"
