"""Steps of a calendar at which no series of a table has a row: the shop was closed."""

from __future__ import annotations

import numpy as np

from vrae.data.arrays import Array, Ints
from vrae.data.calendar import Calendar, time_text
from vrae.data.table_options import TableOptions
from vrae.exceptions import DataWarning, warn

__all__ = ["closed_cells"]

# With fewer rows in a step, on average, one without any row may be chance.
_ROWS = 20
# More steps than this fraction without a row are usual, such as Sundays.
_MOST = 0.1
_SHOWN = 5  # in a message


def closed_cells(calendar: Calendar, times: Array, n_rows: int, options: TableOptions) -> Ints | None:
    """Return the steps of a calendar that ``fill`` leaves missing, and warn of them.

    They have no row, although the table has so many rows that this is not chance. ``times`` are
    those of the ``n_rows`` rows, each at least once. Of a part of a table, the steps are known.
    """
    if options.fill is None or options.closed is not None:
        return options.closed
    occupied = np.unique(calendar.cells(times))
    span = float(occupied[-1]) - float(occupied[0]) + 1
    n_closed = span - len(occupied)
    if not 0 < n_closed <= _MOST * span or n_rows < _ROWS * len(occupied):
        return np.empty(0, np.int64)
    closed = np.setdiff1d(np.arange(occupied[0], occupied[-1] + 1), occupied, assume_unique=True)
    shown = ", ".join(time_text(time, calendar.zone) for time in calendar.times(closed[:_SHOWN], times))
    shown += f" and {len(closed) - _SHOWN:,} more" if len(closed) > _SHOWN else ""
    one = len(closed) == 1
    warn(
        f"No series has a row in {len(closed):,} of the {calendar.unit}: {shown}. {'It stays' if one else 'They stay'} "
        f"missing instead of {options.fill:g}, since everything was probably closed then. If not, add rows of "
        f"{options.fill:g}.",
        DataWarning,
    )
    return closed
