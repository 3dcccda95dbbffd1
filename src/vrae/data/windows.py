"""Cut long series into windows that overlap, and bring what is said of windows back to steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from vrae.config import check_int
from vrae.data.panel import Panel
from vrae.exceptions import InvalidDataError, InvalidParameterError

__all__ = ["Windows", "dominant_period", "windows"]

# Windows overlap so much by default that each step lies in about this many of them.
_OVERLAP = 16
# A correlation with itself below this is no period.
_LEAST_CORRELATION = 0.1
# Steps of a series from which its period is worked out.
_PERIOD_STEPS = 1 << 18
_PERIOD_SERIES = 256


@dataclass(frozen=True)
class Windows:
    """Windows of the series of a panel.

    Attributes
    ----------
    panel : Panel
        The windows, as series of their own; id "a@30" begins at step 30 of series "a".
    source : Panel
        The series that they were cut from.
    owners, starts : ndarray of int64, shape (n_windows,)
        Row of the series that a window is from, and the step at which it begins there.
    """

    panel: Panel
    source: Panel
    owners: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]

    def to_steps(self, values: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Average over all windows that a step lies in.

        Parameters
        ----------
        values : ndarray of shape (n_windows,), or (steps of all windows, n_channels)
            A number a window, or one for each of its steps as in ``panel.values``. NaN is left out.

        Returns
        -------
        ndarray of float64, shape (steps of all series,) or (steps of all series, n_channels)
            In the order of ``source.values``; NaN where no window says anything.
        """
        values = np.asarray(values, np.float64)
        if len(values) == len(self.panel) and values.ndim == 1:
            values = np.repeat(values, self.panel.lengths)
        steps = _places(self.source, self.owners, self.starts, self.panel.lengths)
        columns = values.reshape(len(steps), -1)
        mean = np.empty((len(self.source.values), columns.shape[1]))
        for c, column in enumerate(columns.T):
            said = ~np.isnan(column)
            total = np.bincount(steps[said], column[said], minlength=len(mean))
            count = np.bincount(steps[said], minlength=len(mean))
            mean[:, c] = np.where(count, total / np.maximum(count, 1), np.nan)
        return mean[:, 0] if values.ndim == 1 else mean


def windows(panel: Panel, size: int | Literal["auto"] = "auto", step: int | None = None) -> Windows:
    """Cut every series into windows.

    Parameters
    ----------
    panel : Panel
    size : int or "auto", default "auto"
        Steps of a window; "auto" takes the period that dominates, see `dominant_period`. A series of fewer steps is
        one window.
    step : int, optional
        Steps from one window's begin to the next one's; default: a sixteenth of the size. The last window of a series
        ends with it, so each step lies in a window.

    Returns
    -------
    Windows

    Raises
    ------
    InvalidParameterError
        Not whole numbers of at least 2 and 1, or steps that no window would cover.

    Examples
    --------
    >>> from vrae import Panel
    >>> from vrae.data.windows import windows
    >>> cut = windows(Panel.from_arrays([range(10)], ids=["a"]), size=4, step=3)
    >>> cut.panel.ids.tolist()
    ['a@0', 'a@3', 'a@6']
    """
    size = dominant_period(panel) if size == "auto" else check_int("window", size, low=2, auto=True)
    step = max(1, size // _OVERLAP) if step is None else check_int("step", step, low=1)
    if step > size:
        raise InvalidParameterError(
            f"step={step} is larger than the window of {size} steps: some steps would be in none."
        )
    lengths = panel.lengths
    counts = 1 + -(-np.maximum(lengths - size, 0) // step)  # (n_series,)
    owners = np.repeat(np.arange(len(panel)), counts)
    number = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)  # of a window within its series
    starts = np.minimum(number * step, np.maximum(lengths - size, 0)[owners])
    sizes = np.minimum(size, lengths[owners])
    places = _places(panel, owners, starts, sizes)
    names = np.char.add(np.char.add(panel.ids.astype(str)[owners], "@"), starts.astype(str))
    cut = Panel(
        values=panel.values[places],
        offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        ids=names,
        channels=panel.channels,
    )
    return Windows(cut, panel, owners, starts)


def dominant_period(panel: Panel) -> int:
    """Return the period, in steps, at which series repeat themselves most: the highest peak of their autocorrelation.

    The autocorrelations of the series (of many: of a sample) are averaged, and the first peak within a tenth of the
    highest one is taken: multiples of a period are periods too. Gaps count as the mean.

    Raises
    ------
    InvalidDataError
        Nothing repeats.
    """
    longest = int(min(panel.lengths.max(), _PERIOD_STEPS))
    products, power = np.zeros(longest), 0.0
    for row in range(0, len(panel), -(-len(panel) // _PERIOD_SERIES)):
        series = panel[row]
        x = series[:_PERIOD_STEPS].astype(np.float64)
        observed = ~np.isnan(x)
        count = observed.sum(axis=0)
        x = np.where(observed, x - np.nansum(x, axis=0) / np.maximum(count, 1), 0.0)
        x /= np.maximum(np.sqrt((x**2).sum(axis=0)), 1e-30)  # all series and channels count alike
        spectrum = np.abs(np.fft.rfft(x, 2 * len(x), axis=0)) ** 2
        products[: len(x)] += np.fft.irfft(spectrum.sum(axis=1))[: len(x)]
        power += float((x**2).sum())
    correlation = products / max(power, 1e-30)
    # Fewer products make a later lag: without this, the first of equal peaks would always be higher.
    correlation = correlation * longest / np.maximum(longest - np.arange(longest), longest / 2)
    inner = correlation[1:-1]
    peaks = 1 + np.flatnonzero((inner > correlation[:-2]) & (inner >= correlation[2:]))
    peaks = peaks[(peaks >= 4) & (peaks <= longest // 2)]
    if len(peaks) == 0 or correlation[peaks].max() < _LEAST_CORRELATION:
        raise InvalidDataError(
            f"No period found in series of up to {longest} steps, so window='auto' does not know how long a window "
            f"should be. Give its number of steps."
        )
    highest = correlation[peaks].max()
    return int(peaks[correlation[peaks] >= 0.9 * highest][0])


def _places(
    panel: Panel, owners: npt.NDArray[np.int64], starts: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return where the steps of windows lie in the panel's values, window after window."""
    ends = np.cumsum(sizes)
    return np.arange(ends[-1]) + np.repeat(panel.offsets[:-1][owners] + starts - (ends - sizes), sizes)
