"""LongSeriesDetector: anomalous stretches of long series, and of series that go on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator

from vrae._version import __version__
from vrae.data.calendar import Calendar
from vrae.data.containers import is_table, like
from vrae.data.later_times import on_calendar_of_model
from vrae.data.panel import Panel, invalid_series
from vrae.data.reading import as_panel
from vrae.data.selection import match_channels
from vrae.data.sliding import WindowLength, choose_window
from vrae.data.table_options import TableOptions
from vrae.estimators.arguments import as_numbers
from vrae.estimators.option_tables import check_options
from vrae.estimators.series_ends import SeriesEnds
from vrae.estimators.series_scale import SeriesScale, Tail, bridge, scale_of, soften, soften_panel, tails_of
from vrae.estimators.state import restore_ids
from vrae.estimators.stretches import Stretch, find_stretches
from vrae.estimators.window_cuts import StepScores, cut_windows, mean_of, n_kept, score_ends, thresholds, to_steps
from vrae.estimators.window_vectors import NO_PLACE, WindowVectors
from vrae.exceptions import (
    DataWarning,
    InvalidDataError,
    InvalidParameterError,
    NotFittedError,
    name_some,
    shortened,
    warn,
)
from vrae.io.folder import Arrays, nested, shaped, subset
from vrae.io.model_files import write_model
from vrae.io.plain import ids_to_json
from vrae.phases import announce
from vrae.runtime import SafeInForks

__all__ = ["LongSeriesDetector"]

Floats = npt.NDArray[np.float64]

# Windows have the length, and twice the length.
_SIZES = 1, 2
# Least length of all series together, in windows; and for the longer windows, in the shorter ones.
_LEAST_LENGTH, _LEAST_FOR_LONGER = 3, 10
# Options that a saved detector keeps, and results with their types.
_OPTIONS = ("window", "stride", "contamination", "false_alarm_rate")
_RESULTS = {"window": int, "window_reason": str, "offset": float}


class LongSeriesDetector(SafeInForks, BaseEstimator):  # type: ignore[misc]
    """Find the anomalous stretches of long series.

    Each series is cut into overlapping windows of the period, and of twice the period. A window is
    compared with the windows that it does not overlap, and its score is the distance to the third
    nearest: in the pattern statistics of the model, in its course, and in the values it holds. All
    windows have one scale, so a changed level is found as well as a changed shape. The score of a
    step is the mean over the windows that contain it. No network is trained.

    Parameters
    ----------
    window : int or "auto", default="auto"
        Length of a window in steps. "auto" is the period of the series; see ``window_reason_``.
    stride : int or None, default=None
        Steps from one window to the next. None is about a sixteenth of the window, and more for
        series of more than 50,000 windows. It has no common divisor with the window, so that
        windows begin at all phases of the period.
    contamination : float or "auto", default=0.05
        A float in (0, 0.5] is the fraction of steps to call anomalous. "auto" sets the threshold
        from ``false_alarm_rate`` by extreme value theory, as in `VRAEAnomalyDetector`. It needs at
        least 20 windows, end to end.
    false_alarm_rate : float, default=0.01
        For "auto": the fraction of normal windows that may be called anomalous, in (0, 0.5).

    Attributes
    ----------
    window_ : int
        Length of a window, in steps.
    window_reason_ : str
        Where the length comes from, such as "the period".
    scores_ : ndarray of float64, shape (total_steps,)
        Scores of the steps of the fitted series, one series after another. Above 0: anomalous.
    channel_scores_ : ndarray of float64, shape (total_steps, n_channels)
        Scores of each channel. Equal to ``scores_`` for one channel.
    stretches_ : list of Stretch
        The anomalous stretches (id, start, end, score, channel), highest score first.
    ids_ : ndarray, shape (n_series,)
        Ids of the fitted series.

    Examples
    --------
    >>> import numpy as np
    >>> from vrae import LongSeriesDetector
    >>> x = np.sin(np.arange(2000) * 2 * np.pi / 50)
    >>> x[1200:1230] = 0.3
    >>> detector = LongSeriesDetector().fit(x)
    >>> detector.window_, detector.window_reason_
    (50, 'the period')
    >>> stretch = detector.stretches_[0]
    >>> 1150 < stretch.start < 1210 < stretch.end < 1280
    True
    """

    embeds_series: ClassVar[bool] = False
    window_: int
    window_reason_: str
    offset_: float

    def __init__(
        self,
        window: int | Literal["auto"] = "auto",
        stride: int | None = None,
        contamination: float | Literal["auto"] = 0.05,
        false_alarm_rate: float = 0.01,
    ) -> None:
        self.window = window
        self.stride = stride
        self.contamination = contamination
        self.false_alarm_rate = false_alarm_rate

    # ---------------------------------------------------------------- fit

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn what the windows of series usually look like, and score the series.

        Parameters
        ----------
        X : array (n_steps,), (n, n_steps) or (n, channels, n_steps), list of arrays, table or Panel
            NaN is a missing value. Windows with a gap of more than a sixteenth of their steps (and
            more than two), or with more than half of their values missing, are not judged. Steps
            that are in no other window have the score NaN.
        y : None
            Ignored. Present for API consistency.

        Returns
        -------
        self

        Raises
        ------
        InvalidDataError
            The series are too short for their windows, or hold infinite values.
        InvalidParameterError
            An option is out of range.
        """
        check_options(self)
        panel = _as_long_panel(X)
        invalid_series(panel)  # refuses infinite values, and no series
        length = self._choose(panel)
        scales = [scale_of(series.T) for series in panel]
        soft, missing = soften_panel(panel, scales)
        announce("Scoring")
        vectors, scored = self._learn(soft, missing, length.steps)
        threshold, by_series = thresholds(scored, panel, length.steps, self.contamination, self.false_alarm_rate)
        self.window_, self.window_reason_ = length
        self.vectors_, self.scales_ = vectors, scales
        self.offset_, self.stream_offsets_ = threshold, by_series
        self.ids_, self.channels_, self.ends_ = panel.ids, panel.channels, SeriesEnds.of(panel)
        self.calendar_, self.reading_ = panel.calendar, panel.reading
        self.scores_, self.channel_scores_ = scored.steps - threshold, scored.by_channel - threshold
        self.stretches_ = find_stretches(panel, self.scores_, self.channel_scores_, gap=length.steps // 2)
        self._fitted_values = panel.values
        self.tails_ = tails_of(soft, missing, n_kept(max(_SIZES) * length.steps))
        return self

    def _choose(self, panel: Panel) -> WindowLength:
        if isinstance(self.window, str) and self.window == "auto":
            length = choose_window(panel)
        else:
            length = WindowLength(int(self.window), "as given")
        if self.stride is not None and self.stride > length.steps:
            raise InvalidParameterError(
                f"stride={self.stride} is larger than the window of {length.steps} steps, so some steps would be in no "
                f"window."
            )
        long_enough = panel.lengths >= length.steps
        total = int(panel.lengths[long_enough].sum())
        if total < _LEAST_LENGTH * length.steps:
            raise InvalidDataError(
                f"Found {len(panel)} series of up to {panel.lengths.max():,} steps. Windows of {length.steps} steps "
                f"({length.reason}) need at least {_LEAST_LENGTH * length.steps:,} to be compared with each other. "
                f"Pass a shorter window, or use VRAEAnomalyDetector for many short series."
            )
        if not long_enough.all():
            warn(
                f"{(~long_enough).sum()} series are shorter than a window of {length.steps} steps and have no scores: "
                f"ids {name_some(panel.ids[~long_enough])}.",
                DataWarning,
            )
        return length

    def _learn(self, soft: Panel, missing: npt.NDArray[np.bool_], steps: int) -> tuple[list[WindowVectors], StepScores]:
        """Fit vectors of windows of each size, and score all steps."""
        vectors, parts = [], []
        for size in (times * steps for times in _SIZES):
            if size > steps and soft.lengths[soft.lengths >= size].sum() < _LEAST_FOR_LONGER * steps:
                continue
            if (cut := cut_windows(soft, missing, size, self.stride)) is None or not cut.known.any():
                continue
            fitted, scores = WindowVectors.fit(cut.values, cut.places, cut.known)
            vectors.append(fitted)
            parts.append((cut, scores))
        if not vectors:
            raise InvalidDataError(
                f"Every window of {steps} steps has a gap of more than a sixteenth of it, or lacks more than half of "
                f"its values, so there is nothing to compare. Pass a longer window, or series with smaller gaps."
            )
        return vectors, to_steps(soft, parts)

    # ---------------------------------------------------------------- other series

    def score_steps(self, X: Any) -> Any:
        """Return the score of each step of series. Above 0: anomalous.

        Parameters
        ----------
        X : array (n_steps,), (n, n_steps) or (n, channels, n_steps), list of arrays, table or Panel
            Series with a fitted id have its level and spread; others have their own.

        Returns
        -------
        Array of shape (n_steps,), or the container of X with one channel
            NaN for series shorter than a window, and where too many values are missing.
        """
        panel, steps, _ = self.score_panel(X)
        found = replace(panel, values=steps[:, None].astype(np.float32), channels=("score",))
        if isinstance(X, np.ndarray) and X.ndim in (1, 3) and X.dtype != object:
            return steps if X.ndim == 1 else found.to_padded()
        return found if is_table(X) else like(X, found)

    def find(self, X: Any) -> list[Stretch]:
        """Return the anomalous stretches of series, highest score first; see `score_steps`."""
        return find_stretches(*self.score_panel(X), gap=self.window_ // 2)

    def score_panel(self, X: Any) -> tuple[Panel, Floats, Floats]:
        """Return series as a panel, and the scores of their steps and of each channel."""
        self._check_fitted()
        panel = on_calendar_of_model(_as_long_panel(X, self.reading_), self.calendar_)
        panel = match_channels(panel, self.channels_, len(self.channels_))
        fitted = getattr(self, "_fitted_values", None)  # a loaded detector does not have them
        if fitted is not None and np.array_equal(fitted, panel.values, equal_nan=True):
            return panel, self.scores_, self.channel_scores_
        invalid_series(panel)
        known = dict(zip(self.ids_.tolist(), self.scales_, strict=True))
        scales = [known.get(own) or scale_of(x.T) for own, x in zip(panel.ids.tolist(), panel, strict=True)]
        soft, missing = soften_panel(panel, scales)
        parts = []
        for vectors in self.vectors_:
            cut = cut_windows(soft, missing, vectors.size, self.stride)
            if cut is not None:
                parts.append((cut, vectors(cut.values, np.full(len(cut.values), NO_PLACE), cut.known)))
        if not parts:
            raise InvalidDataError(
                f"Found series of up to {panel.lengths.max():,} steps, and windows have {self.window_}. Pass longer "
                f"series, or the next steps of a fitted series to update."
            )
        scored = to_steps(soft, parts)
        return panel, scored.steps - self.offset_, scored.by_channel - self.offset_

    # ---------------------------------------------------------------- a stream

    def update(self, steps: Any, series_id: Any = None) -> Floats:
        """Score the next steps of a fitted series, as they arrive.

        Memory is bounded: the detector keeps a few windows of each series. The score of a step is
        that of the windows that end with it, so it does not depend on how many steps arrive at
        once. What is usual does not change; call `fit` to learn it again. The threshold is that of
        the series, if it had at least 9 windows end to end (21 with ``contamination="auto"``).

        Parameters
        ----------
        steps : array (n_new,) or (n_channels, n_new)
            In the units of the fitted series. NaN is a missing value.
        series_id : optional
            Id of the series. Needed if several were fitted.

        Returns
        -------
        ndarray of float64, shape (n_new,)
            Above 0: anomalous for this series. NaN while too many values are missing; see `fit`.
        """
        self._check_fitted()
        index = self._index_of(series_id)
        x = np.atleast_2d(as_numbers("steps", steps, np.float64)).T  # (n_new, n_channels)
        if x.ndim != 2 or x.shape[1] != len(self.channels_) or np.isinf(x).any():
            raise InvalidDataError(
                f"update takes finite numbers or NaN of shape (n_new,) or ({len(self.channels_)}, n_new); found shape "
                f"{np.shape(steps)}."
            )
        self.ends_.move(index, len(x))
        return self._update(index, x)[:, 0]

    def update_panel(self, X: Any) -> tuple[Panel, Floats, Floats]:
        """Score the next steps of several fitted series; see `update` and `score_panel`.

        Times must be later than those that were seen. A gap counts as missing, with a warning.
        """
        self._check_fitted()
        panel = on_calendar_of_model(_as_long_panel(X, self.reading_), self.calendar_)
        panel = match_channels(panel, self.channels_, len(self.channels_))
        invalid_series(panel)
        rows = [self._index_of(series_id) for series_id in panel.ids.tolist()]  # before anything changes
        gaps = self.ends_.missing_before(panel, rows)
        scores = np.concatenate([self._update(*new) for new in zip(rows, (x.T for x in panel), gaps, strict=True)])
        self.ends_.move_to(panel, rows)
        return panel, scores[:, 0], scores[:, 1:]

    def _update(self, index: int, x: npt.NDArray[np.floating], gap: int = 0) -> Floats:
        """Return the scores of the next steps (n_new, n_channels), and of each channel."""
        if len(x) == 0:
            return np.zeros((0, 1 + x.shape[1]))
        tail, n_new = self.tails_[index], len(x)
        kept = n_kept(max(_SIZES) * self.window_)
        x = np.concatenate([np.full((min(gap, kept), x.shape[1]), np.nan), x])
        values = np.concatenate([tail.values, bridge(soften(x, self.scales_[index]), tail.values[-1])])
        missing = np.concatenate([tail.missing, np.isnan(x)])
        scores = [score_ends(vectors, values, missing, n_new) for vectors in self.vectors_]
        self.tails_[index] = Tail(values[-kept:].copy(), missing[-kept:].copy())
        return mean_of(scores) - self.stream_offsets_[index]

    def _index_of(self, series_id: Any) -> int:
        if series_id is None and len(self.ids_) == 1:
            return 0
        if series_id is None or np.ndim(series_id) or series_id not in self.ids_:
            what = "series_id is needed" if series_id is None else f"No fitted series has the id {shortened(series_id)}"
            raise InvalidDataError(f"{what}. Known ids: {name_some(self.ids_)}.")
        return int(np.flatnonzero(self.ids_ == series_id)[0])

    # ---------------------------------------------------------------- saving

    def save(self, path: str | Path) -> Path:
        """Write the fitted detector to a directory, for `vrae.load_model`.

        The series and their scores are not kept, but what `score_steps` and `update` need.
        """
        self._check_fitted()
        config = {
            "class": type(self).__name__,
            "vrae_version": __version__,
            "options": {name: getattr(self, name) for name in _OPTIONS},
            **{name: getattr(self, f"{name}_") for name in _RESULTS},
            "stream_offset": self.stream_offsets_.tolist(),
            "sizes": [vectors.size for vectors in self.vectors_],
            "channels": self.channels_,
            "calendar": None if self.calendar_ is None else self.calendar_.to_dict(),
            "reading": None if self.reading_ is None else self.reading_.to_dict(),
            **self.ends_.to_json(),
            "tail_lengths": [len(tail.missing) for tail in self.tails_],
            **ids_to_json(self.ids_),
        }
        arrays = {
            "level": np.stack([scale.level for scale in self.scales_]),
            "spread": np.stack([scale.spread for scale in self.scales_]),
            "tail_values": np.concatenate([tail.values for tail in self.tails_]),
            "tail_missing": np.concatenate([tail.missing for tail in self.tails_]),
        }
        return write_model(path, config, {**arrays, **nested({f"windows{v.size}": v.arrays() for v in self.vectors_})})

    @classmethod
    def from_state(cls, config: dict[str, Any], arrays: Arrays) -> Self:
        """Rebuild a detector from the content of a model directory."""
        self = cls(**config["options"])
        for name, kind in _RESULTS.items():
            setattr(self, f"{name}_", kind(config[name]))
        self.channels_ = tuple(config["channels"])
        self.calendar_ = None if config["calendar"] is None else Calendar(**config["calendar"])
        self.reading_ = None if config["reading"] is None else TableOptions.from_dict(config["reading"])
        self.ids_, self.ends_ = restore_ids(config), SeriesEnds.from_json(config, self.calendar_)
        self.stream_offsets_ = np.full(len(self.ids_), config["stream_offset"], float)  # early models have one for all
        n_channels, lengths = len(self.channels_), [int(length) for length in config["tail_lengths"]]
        level, spread = (shaped(name, arrays, (len(self.ids_), n_channels)) for name in ("level", "spread"))
        self.scales_ = [SeriesScale(*parts) for parts in zip(level, spread, strict=True)]
        values = shaped("tail_values", arrays, (sum(lengths), n_channels))
        missing = shaped("tail_missing", arrays, (sum(lengths), n_channels))
        self.tails_ = list(map(Tail, *(np.split(steps, np.cumsum(lengths)[:-1]) for steps in (values, missing))))
        parts = {size: subset(arrays, f"windows{size}") for size in config["sizes"]}
        self.vectors_ = [WindowVectors.from_arrays(size, n_channels, own) for size, own in parts.items()]
        return self

    # ---------------------------------------------------------------- parts

    def _check_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise NotFittedError("This LongSeriesDetector is not fitted yet. Call fit first, or load_model.")

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "vectors_")


def _as_long_panel(X: Any, remembered: TableOptions | None = None) -> Panel:
    is_one = isinstance(X, np.ndarray) and X.ndim == 1 and X.dtype != object
    return as_panel(X[None] if is_one else X, remembered)
