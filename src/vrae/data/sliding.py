"""Cut long series into sliding windows, and average results of windows over time steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from vrae.config import check_int
from vrae.data.panel import Ints, Panel, offsets_of
from vrae.data.scaling import IQR_OF_NORMAL
from vrae.exceptions import InvalidDataError, InvalidParameterError

__all__ = ["SlidingWindows", "WindowLength", "choose_window", "dominant_period", "lagged_products", "sliding_windows"]

# By default, each step is in about this many windows.
_OVERLAP = 16
# A peak of the autocorrelation is clear if it is this high and stands out by this much, and by half
# as much as the clearest one does.
_LEAST_PEAK = 0.1
_CLEAR = 0.5
# Longest period, and length of a window without a period, relative to the longest series.
_LONGEST = 1 / 10
_WITHOUT_PERIOD = 1 / 50
# Bounds of a window, in steps. A shorter period is repeated, and the second bound is for windows
# without a period only.
_LEAST_WINDOW, _MOST_WINDOW = 16, 128
# Values further from the median, in spreads, are cut off: a few large values hide a period.
_CUT = 4.0
# A spread about the trend below this fraction of that of the series is rounding error.
_ROUNDING = 1e-6
# Maximum number of steps and of series that the period is computed from.
_PERIOD_STEPS = 1 << 18
_PERIOD_SERIES = 256


class WindowLength(NamedTuple):
    """Length of a window in steps, and where it comes from, in words."""

    steps: int
    reason: str


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

        Few windows contain the first and the last steps of a series, so their averages would vary
        more. With one value per window, these steps get the average of the step that is half a
        window inside.

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
        values, per_window = np.asarray(values, np.float64), False
        if len(values) == len(self.panel) and values.ndim == 1:
            values, per_window = np.repeat(values, self.panel.lengths), True
        steps = _step_positions(self.source, self.owners, self.starts, self.panel.lengths)
        columns = values.reshape(len(steps), -1)
        mean = np.empty((len(self.source.values), columns.shape[1]))
        for c, column in enumerate(columns.T):
            known = ~np.isnan(column)
            total = np.bincount(steps[known], column[known], minlength=len(mean))
            count = np.bincount(steps[known], minlength=len(mean))
            mean[:, c] = np.where(count, total / np.maximum(count, 1), np.nan)
        if per_window:
            mean = mean[self._inside()]
        return mean[:, 0] if values.ndim == 1 else mean

    def _inside(self) -> npt.NDArray[np.int64]:
        """Return each position in ``source.values``, moved half a window inside at the ends."""
        first, lengths = self.source.offsets[:-1], self.source.lengths
        longest = np.zeros(len(lengths), np.int64)  # window of each series
        np.maximum.at(longest, self.owners, self.panel.lengths)
        half = np.minimum(longest // 2, (lengths - 1) // 2)
        low, high = first + half, first + lengths - 1 - half
        return np.clip(np.arange(len(self.source.values)), np.repeat(low, lengths), np.repeat(high, lengths))


def sliding_windows(panel: Panel, size: int | Literal["auto"] = "auto", step: int | None = None) -> SlidingWindows:
    """Cut each series into overlapping windows.

    Parameters
    ----------
    panel : Panel
    size : int or "auto", default="auto"
        Length of a window, in steps. "auto" is that of `choose_window`. A series shorter than this
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

    Examples
    --------
    >>> from vrae import Panel
    >>> from vrae.data.sliding import sliding_windows
    >>> cut = sliding_windows(Panel.from_arrays([range(10)], ids=["a"]), size=4, step=3)
    >>> cut.panel.ids.tolist()
    ['a@0', 'a@3', 'a@6']
    """
    size = choose_window(panel).steps if size == "auto" else check_int("window", size, low=2, auto=True)
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


def choose_window(panel: Panel) -> WindowLength:
    """Choose the length of windows for series: their period, if there is one.

    A period of less than 16 steps is repeated until it has 16. Without a period of at most a tenth
    of the longest series, a window is a fiftieth of it, from 16 to 128 steps.

    Examples
    --------
    >>> from vrae import Panel
    >>> from vrae.data.sliding import choose_window
    >>> choose_window(Panel.from_arrays([[0, 1, 2, 5, 2, 1, 0] * 40]))
    WindowLength(steps=21, reason='3 times the period of 7 steps')
    """
    longest = int(panel.lengths.max())
    period = _first_clear_peak(panel)
    if period is None:
        steps = int(np.clip(round(_WITHOUT_PERIOD * longest), _LEAST_WINDOW, _MOST_WINDOW))
        return WindowLength(steps, f"no period found in series of up to {longest:,} steps")
    times = -(-_LEAST_WINDOW // period)
    return WindowLength(
        times * period, "the period" if times == 1 else f"{times} times the period of {period} step{'s' * (period > 1)}"
    )


def dominant_period(panel: Panel) -> int:
    """Return the period, in steps, at which the series repeat.

    It is the first clear peak of the mean autocorrelation, at up to a tenth of the longest series:
    one that stands out at least half as much as the clearest one, since multiples of the period are
    peaks too. A moving average is subtracted first, so that a trend does not hide the peaks.

    Raises
    ------
    InvalidDataError
        If no period is found. `choose_window` has an answer then.
    """
    period = _first_clear_peak(panel)
    if period is None:
        raise InvalidDataError(
            f"No period found in series of up to {panel.lengths.max()} steps. Pass the number of steps of a window."
        )
    return period


def _first_clear_peak(panel: Panel) -> int | None:
    from scipy.signal import find_peaks

    longest = int(_LONGEST * min(panel.lengths.max(), _PERIOD_STEPS))
    products, counts = np.zeros((2, longest + 2))
    for index in range(0, len(panel), -(-len(panel) // _PERIOD_SERIES)):
        for x in panel[index][:, :_PERIOD_STEPS]:
            own, pairs = _autocovariance(x.astype(np.float64), longest + 2)
            products[: len(own)] += own
            counts[: len(pairs)] += pairs
    correlation = products / np.maximum(counts, 1)
    if correlation[0] <= 0:
        return None
    correlation = correlation / correlation[0]
    peaks, found = find_peaks(correlation, prominence=_LEAST_PEAK)
    usable = (correlation[peaks] > _LEAST_PEAK) & (peaks > 1)
    peaks, prominence = peaks[usable], found["prominences"][usable]
    if len(peaks) == 0:
        return None
    return int(peaks[prominence >= _CLEAR * prominence.max()][0])


def _autocovariance(x: npt.NDArray[np.float64], n_lags: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return sums of products of a series with itself, lag after lag, and their numbers.

    The trend is taken off first: roughly by medians, so that outliers can be cut, and then as the
    mean over up to twice the longest lag.
    """
    observed = ~np.isnan(x)
    if not observed.any():
        return np.zeros(1), np.zeros(1)
    steps, size = np.arange(len(x)), float(x[observed].std())
    pieces = np.array_split(np.flatnonzero(observed), max(1, 2 * len(x) // n_lags))
    pieces = [piece for piece in pieces if len(piece)]
    x = x - np.interp(steps, [piece.mean() for piece in pieces], [np.median(x[piece]) for piece in pieces])
    low, high = np.quantile(x[observed], (0.25, 0.75))
    spread = (high - low) / IQR_OF_NORMAL or float(x[observed].std())
    if spread <= _ROUNDING * size:  # a straight line, or constant
        return np.zeros(1), np.zeros(1)
    x = np.where(observed, np.clip(x / spread, -_CUT, _CUT), 0.0)
    half = np.minimum(np.minimum(steps, steps[::-1]), n_lags)  # as many steps before as after
    total, count = (np.concatenate([[0.0], np.cumsum(part)]) for part in (x, observed))
    mean = (total[steps + half + 1] - total[steps - half]) / np.maximum(
        count[steps + half + 1] - count[steps - half], 1
    )
    x = np.where(observed, x - mean, 0.0)
    kept = min(n_lags, len(x))
    return lagged_products(x)[:kept], lagged_products(observed)[:kept]


def lagged_products(x: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the sums of products of x (n,) with itself at lags 0 to n - 1."""
    length = 2 * len(x)
    return np.asarray(np.fft.irfft(np.abs(np.fft.rfft(x, length)) ** 2, length)[: len(x)])


def _step_positions(panel: Panel, owners: Ints, starts: Ints, sizes: Ints) -> Ints:
    """Return the positions in ``panel.values`` of the steps of all windows, one after another."""
    ends = np.cumsum(sizes)
    return np.arange(ends[-1]) + np.repeat(panel.offsets[:-1][owners] + starts - (ends - sizes), sizes)
