"""Windows of long series that are compared, and their scores as scores of steps."""

from __future__ import annotations

import itertools
import math
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Panel
from vrae.data.sliding import SlidingWindows, sliding_windows
from vrae.estimators.scores import MIN_SCORES, quantile_threshold, tail_threshold
from vrae.estimators.window_vectors import NO_PLACE, WindowVectors
from vrae.exceptions import InvalidDataError

__all__ = ["Cut", "StepScores", "cut_windows", "mean_of", "n_kept", "score_ends", "thresholds", "to_steps"]

Floats = npt.NDArray[np.float64]

# Each step is in about this many windows, or fewer if there were too many windows.
_OVERLAP, _LEAST_OVERLAP = 16, 4
_MOST_WINDOWS = 50_000
# A window is not judged if a larger fraction of it is missing: in all, or in one gap. Gaps of a few
# steps are always allowed, or windows of few steps would never be judged.
_MOST_MISSING, _LONGEST_GAP = 1 / 2, 1 / 16
_SHORT_GAP = 2
# A step that fewer of its windows judge has the score of a step nearby, as at the ends.
_ENOUGH_JUDGED = 0.5
# A series with this many scores, a window apart, has a threshold of its own in a stream. The first
# window has none there.
_LEAST_OWN = 8


class Cut(NamedTuple):
    """Windows of the series that are long enough.

    Attributes
    ----------
    windows : SlidingWindows
    indices : ndarray of int64, shape (n_long_enough,)
        Positions of these series in the panel.
    values : ndarray of float32, shape (n_windows, size, n_channels)
    positions : ndarray of int64, shape (n_windows,)
        Step of the panel at which each window begins.
    known : ndarray of bool, shape (n_windows, n_views)
        Which windows have enough values to be judged: in all channels together and, if there are
        several, in each.
    """

    windows: SlidingWindows
    indices: npt.NDArray[np.int64]
    values: npt.NDArray[np.float32]
    positions: npt.NDArray[np.int64]
    known: npt.NDArray[np.bool_]

    @property
    def places(self) -> npt.NDArray[np.int64]:
        """Places (n_windows,), ascending: those closer than the size of a window overlap."""
        return self.positions + 2 * self.values.shape[1] * self.windows.owners


class StepScores(NamedTuple):
    """Scores of the steps of a panel, before the threshold is subtracted.

    ``steps`` (total_steps,) and ``by_channel`` (total_steps, n_channels) are means over the windows
    that contain a step. ``trailing`` (total_steps,) are those of the last complete windows, as a
    stream has them.
    """

    steps: Floats
    by_channel: Floats
    trailing: Floats


def cut_windows(panel: Panel, missing: npt.NDArray[np.bool_], size: int, stride: int | None) -> Cut | None:
    """Cut the series that are long enough into windows; None if no series is.

    ``missing`` (total_steps, n_channels) are the values that ``panel`` bridges.
    """
    indices = np.flatnonzero(panel.lengths >= size)
    if len(indices) == 0:
        return None
    chosen = panel.select(indices)
    if stride is None:
        enough = min(size // _LEAST_OVERLAP, len(chosen.values) // _MOST_WINDOWS)
        usual = max(1, size // _OVERLAP, enough)
        # With a common divisor, windows would begin at some phases of the period only, and those of
        # a stream, which begin at all, would be unlike them.
        near = itertools.chain(range(usual, usual // 2, -1), itertools.count(usual + 1))
        stride = next(steps for steps in near if math.gcd(steps, size) == 1)
    windows = sliding_windows(chosen, size, stride)
    positions = panel.offsets[indices[windows.owners]] + windows.starts
    values = windows.panel.values.reshape(-1, size, panel.n_channels)
    return Cut(windows, indices, values, positions, _known(missing, positions, size, panel.offsets[1:-1]))


def _longest_gap(size: int) -> int:
    """Return the length of the longest gap that windows of a size may have."""
    return min(size - 1, max(_SHORT_GAP, int(_LONGEST_GAP * size)))


def n_kept(size: int) -> int:
    """Return how many steps a stream keeps.

    These are a window, and the steps before it that show whether it begins within a long gap.
    """
    return size + _longest_gap(size)


def _known(
    missing: npt.NDArray[np.bool_],
    positions: npt.NDArray[np.int64],
    size: int,
    borders: npt.NDArray[np.int64],
    ahead: bool = True,
) -> npt.NDArray[np.bool_]:
    """Return which windows (n_windows, n_views) have enough values; see `Cut`.

    A straight line across a long gap is like no usual window, so it would be called anomalous. A
    window with a part of a gap counts the whole gap. Gaps do not cross the first steps of series,
    ``borders``. Without ``ahead``, what comes after a window does not matter.
    """
    longest = _longest_gap(size)
    until = _counts(missing)
    too_long = until[longest + 1 :] - until[: -longest - 1] > longest  # from this step on
    for border in borders:
        too_long[max(0, border - longest) : border] = False
    begun = _counts(too_long)
    first, last = np.maximum(positions - longest, 0), positions + size - (0 if ahead else longest)
    known = until[positions + size] - until[positions] <= _MOST_MISSING * size
    known &= begun[np.minimum(last, len(too_long))] == begun[first]
    return known if known.shape[1] == 1 else np.column_stack([known.all(axis=1), known])


def _counts(marked: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return how many steps are marked before each, and in all: (n_steps + 1, n_channels)."""
    return np.concatenate([np.zeros((1, marked.shape[1]), np.int64), np.cumsum(marked, axis=0)])


def to_steps(panel: Panel, parts: list[tuple[Cut, npt.NDArray[np.float32]]]) -> StepScores:
    """Turn scores of windows of several sizes into scores of steps.

    Each part has the scores (n_windows, n_views) of its windows: of all channels together and, if
    there are several, of each. The largest one counts. NaN: not judged.
    """
    steps, channels, trailing = [], [], []
    for cut, views in parts:
        at = panel.steps_of(cut.indices)
        largest = np.fmax.reduce(views, axis=1).astype(np.float64)  # NaN where there is no score
        found = np.full((1 + panel.n_channels, len(panel.values)), np.nan)
        for row, column in zip(found, [largest, *views[:, -panel.n_channels :].T], strict=True):
            row[at] = _means(cut, column)
        steps.append(found[0])
        channels.append(found[1:].T)
        trailing.append(_trailing(panel, cut, largest))
    return StepScores(mean_of(steps), mean_of(channels), mean_of(trailing))


def _means(cut: Cut, scores: npt.NDArray[np.floating]) -> Floats:
    """Return the mean (n_steps,) of the scores of the windows that contain a step.

    Few windows judge the steps beside a gap, so their means would vary more. These steps have the
    mean of the nearest step that enough windows judge, up to half a window away.
    """
    means, judged = cut.windows.to_steps(scores), ~np.isnan(scores)
    if judged.all():
        return means
    share, source, size = cut.windows.to_steps(judged), cut.windows.source, cut.values.shape[1]
    first = (source.offsets[cut.windows.owners] + cut.windows.starts)[judged]
    begin, end = (np.bincount(steps, minlength=len(means) + 1) for steps in (first, first + size))
    is_in_none = np.cumsum(begin - end)[:-1] == 0
    means[is_in_none] = np.nan  # also at the ends
    few, enough = np.flatnonzero(~is_in_none & (share < _ENOUGH_JUDGED)), np.flatnonzero(share >= _ENOUGH_JUDGED)
    if len(enough) == 0:
        return means
    after = np.searchsorted(enough, few)
    before, after = enough[np.maximum(after - 1, 0)], enough[np.minimum(after, len(enough) - 1)]
    nearest = np.where(np.abs(few - before) <= np.abs(after - few), before, after)
    owners = np.searchsorted(source.offsets, [few, nearest], side="right")
    is_near = (np.abs(few - nearest) <= size // 2) & (owners[0] == owners[1])
    means[few[is_near]] = means[nearest[is_near]]
    return means


def mean_of(parts: list[Floats]) -> Floats:
    """Return the mean over the parts that are not NaN."""
    stacked = np.stack(parts)
    known = ~np.isnan(stacked)
    total: Floats = np.where(known, stacked, 0.0).sum(axis=0)
    count = known.sum(axis=0)
    return np.where(count, total / np.maximum(count, 1), np.nan)


def _trailing(panel: Panel, cut: Cut, scores: Floats) -> Floats:
    """Return, for each step (total_steps,), the score of the last window that ends by then."""
    found = np.full(len(panel.values), np.nan)
    lengths = panel.lengths[cut.indices]
    at = panel.steps_of(cut.indices)
    ends = cut.positions + cut.values.shape[1] - 1
    latest = np.searchsorted(ends, at, side="right") - 1
    own = np.repeat(np.arange(len(lengths)), lengths)
    is_own = (latest >= 0) & (cut.windows.owners[np.maximum(latest, 0)] == own)
    found[at[is_own]] = scores[latest[is_own]]
    return found


def score_ends(
    vectors: WindowVectors, values: npt.NDArray[np.float32], missing: npt.NDArray[np.bool_], n_new: int
) -> Floats:
    """Return the scores of the windows that end with each of the last steps.

    The result (n_new, 1 + n_channels) has the score of the step, and of each channel.
    """
    n_channels = values.shape[1]
    scores = np.full((n_new, 1 + n_channels), np.nan)
    first = max(0, len(values) - n_new - vectors.size + 1)
    if len(values) - first < vectors.size:
        return scores
    windows = np.lib.stride_tricks.sliding_window_view(values[first:], vectors.size, axis=0).transpose(0, 2, 1)
    no_borders = np.zeros(0, np.int64)
    known = _known(missing, first + np.arange(len(windows)), vectors.size, no_borders, ahead=False)
    views = vectors(windows, np.full(len(windows), NO_PLACE), known)
    scores[n_new - len(views) :] = np.column_stack([np.fmax.reduce(views, axis=1), views[:, -n_channels:]])
    return scores


def thresholds(
    scored: StepScores, panel: Panel, size: int, contamination: float | Literal["auto"], false_alarm_rate: float
) -> tuple[float, Floats]:
    """Return the score above which a step is anomalous, and those (n_series,) of streams.

    Windows of irregular series are further from their nearest. With a common threshold, many usual
    steps of a stream of theirs would be anomalous, and none of a regular series. Series with few
    windows have the common one.
    """
    options = size, contamination, false_alarm_rate
    parts = np.split(scored.trailing, panel.offsets[1:-1])
    least = MIN_SCORES if contamination == "auto" else _LEAST_OWN
    by_series = np.full(len(parts), _threshold(parts, *options))
    for row, own in enumerate(parts):
        if len(_apart(own, size)) >= least:
            by_series[row] = _threshold([own], *options)
    return _threshold(np.split(scored.steps, panel.offsets[1:-1]), *options), by_series


def _threshold(
    scores: list[Floats], size: int, contamination: float | Literal["auto"], false_alarm_rate: float
) -> float:
    """Return the threshold for the scores of steps of series, (n_steps,) each.

    With ``contamination="auto"``, one step per window counts, since those of one window are alike.
    """
    if contamination != "auto":
        known = np.concatenate(scores)
        return quantile_threshold(known[np.isfinite(known)], contamination)
    apart = np.concatenate([_apart(own, size) for own in scores])
    if len(apart) < MIN_SCORES:
        raise InvalidDataError(
            f"contamination='auto' needs at least {MIN_SCORES} windows, end to end; found {len(apart)} of {size} "
            f"steps. Pass the fraction of anomalous steps instead, such as contamination=0.05."
        )
    return tail_threshold(apart, false_alarm_rate)


def _apart(scores: Floats, size: int) -> Floats:
    """Return the known scores of a series (n_steps,) at steps that are one window apart."""
    apart = scores[size // 2 :: size]
    return apart[np.isfinite(apart)]
