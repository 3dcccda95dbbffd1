"""Cut long series into sliding windows, and average results of windows over time steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from vrae.config import check_int
from vrae.data.panel import Ints, Panel, offsets_of
from vrae.exceptions import InvalidDataError, InvalidParameterError

__all__ = ["SlidingWindows", "dominant_period", "sliding_windows"]

# By default, each step is in about this many windows.
_OVERLAP = 16
# A peak of the autocorrelation below this is not a period.
_MIN_CORRELATION = 0.1
# Maximum number of steps and of series that the period is computed from.
_PERIOD_STEPS = 1 << 18
_PERIOD_SERIES = 256


@dataclass(frozen=True)
class SlidingWindows:
    """Sliding windows of the series of a panel.

    Attributes
    ----------
    panel : Panel
        The windows, each as a series. The window "a@30" begins at step 30 of series "a".
    source : Panel
        The original series.
    owners : ndarray of int64, shape (n_windows,)
        Index of the series of each window.
    starts : ndarray of int64, shape (n_windows,)
        Step of the series at which each window begins.
    """

    panel: Panel
    source: Panel
    owners: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]

    def to_steps(self, values: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Average over all windows that contain a step.

        Parameters
        ----------
        values : ndarray of shape (n_windows,) or (total_steps of panel, n_channels)
            One value per window, or one per step of each window, as in ``panel.values``. NaN is
            ignored.

        Returns
        -------
        ndarray of float64, shape (total_steps of source,) or (total_steps of source, n_channels)
            Means in the order of ``source.values``. NaN for steps without any value.
        """
        values = np.asarray(values, np.float64)
        if len(values) == len(self.panel) and values.ndim == 1:
            values = np.repeat(values, self.panel.lengths)
        steps = _step_positions(self.source, self.owners, self.starts, self.panel.lengths)
        columns = values.reshape(len(steps), -1)
        mean = np.empty((len(self.source.values), columns.shape[1]))
        for c, column in enumerate(columns.T):
            known = ~np.isnan(column)
            total = np.bincount(steps[known], column[known], minlength=len(mean))
            count = np.bincount(steps[known], minlength=len(mean))
            mean[:, c] = np.where(count, total / np.maximum(count, 1), np.nan)
        return mean[:, 0] if values.ndim == 1 else mean


def sliding_windows(panel: Panel, size: int | Literal["auto"] = "auto", step: int | None = None) -> SlidingWindows:
    """Cut each series into overlapping windows.

    Parameters
    ----------
    panel : Panel
    size : int or "auto", default="auto"
        Length of a window, in steps. "auto" uses the `dominant_period`. A series shorter than this
        becomes one window.
    step : int, optional
        Steps between the starts of consecutive windows. By default, a sixteenth of ``size``. The
        last window of a series ends with the series, so each step is in at least one window.

    Returns
    -------
    SlidingWindows

    Raises
    ------
    InvalidParameterError
        If ``size`` is not an integer of at least 2, ``step`` not one of at least 1, or ``step``
        exceeds ``size``.
    InvalidDataError
        If ``size="auto"`` and no period is found.

    Examples
    --------
    >>> from vrae import Panel
    >>> from vrae.data.sliding import sliding_windows
    >>> cut = sliding_windows(Panel.from_arrays([range(10)], ids=["a"]), size=4, step=3)
    >>> cut.panel.ids.tolist()
    ['a@0', 'a@3', 'a@6']
    """
    size = dominant_period(panel) if size == "auto" else check_int("window", size, low=2, auto=True)
    step = max(1, size // _OVERLAP) if step is None else check_int("step", step, low=1)
    if step > size:
        raise InvalidParameterError(
            f"step={step} is larger than the window of {size} steps, so some steps would be in no window."
        )
    lengths = panel.lengths
    counts = 1 + -(-np.maximum(lengths - size, 0) // step)  # (n_series,)
    owners = np.repeat(np.arange(len(panel)), counts)
    number = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)  # within its series
    starts = np.minimum(number * step, np.maximum(lengths - size, 0)[owners])
    sizes = np.minimum(size, lengths[owners])
    positions = _step_positions(panel, owners, starts, sizes)
    names = np.char.add(np.char.add(panel.ids.astype(str)[owners], "@"), starts.astype(str))
    windows = Panel(
        values=panel.values[positions],
        offsets=offsets_of(sizes),
        ids=names,
        channels=panel.channels,
        calendar=panel.calendar,
        reading=panel.reading,
    )
    return SlidingWindows(windows, panel, owners, starts)


def dominant_period(panel: Panel) -> int:
    """Estimate the period, in steps, at which the series repeat.

    It is a peak of the mean autocorrelation: the first one that reaches 90 % of the highest, since
    multiples of the period are peaks too. Gaps are filled with the mean.
    """
    longest = int(min(panel.lengths.max(), _PERIOD_STEPS))
    products, power = np.zeros(longest), 0.0
    for index in range(0, len(panel), -(-len(panel) // _PERIOD_SERIES)):
        x = panel[index].T[:_PERIOD_STEPS].astype(np.float64)  # (n_steps, n_channels)
        observed = ~np.isnan(x)
        count = observed.sum(axis=0)
        x = np.where(observed, x - np.nansum(x, axis=0) / np.maximum(count, 1), 0.0)
        x /= np.maximum(np.sqrt((x**2).sum(axis=0)), 1e-30)  # equal weights for all series and channels
        spectrum = np.abs(np.fft.rfft(x, 2 * len(x), axis=0)) ** 2
        products[: len(x)] += np.fft.irfft(spectrum.sum(axis=1))[: len(x)]
        power += float((x**2).sum())
    correlation = products / max(power, 1e-30)
    # Longer lags sum fewer products. Correct for this, or the first of equal peaks would be higher.
    correlation = correlation * longest / np.maximum(longest - np.arange(longest), longest / 2)
    inner = correlation[1:-1]
    peaks = 1 + np.flatnonzero((inner > correlation[:-2]) & (inner >= correlation[2:]))
    peaks = peaks[(peaks >= 4) & (peaks <= longest // 2)]
    highest = correlation[peaks].max(initial=0.0)
    if highest < _MIN_CORRELATION:
        raise InvalidDataError(
            f"No period found in series of up to {longest} steps, so window='auto' cannot choose a length. "
            f"Pass the number of steps of a window."
        )
    return int(peaks[correlation[peaks] >= 0.9 * highest][0])


def _step_positions(panel: Panel, owners: Ints, starts: Ints, sizes: Ints) -> Ints:
    """Return the positions in ``panel.values`` of the steps of all windows, one after another."""
    ends = np.cumsum(sizes)
    return np.arange(ends[-1]) + np.repeat(panel.offsets[:-1][owners] + starts - (ends - sizes), sizes)
