"""Portraits: numbers about a sample of series, of which names of clusters are made.

They are few enough to be saved with a model, so that clusters can be named again after a change
without the series.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.arrays import Array, Ints
from vrae.data.calendar import Calendar, local_times
from vrae.data.panel import Panel
from vrae.describe.curves import bin_means, quiet_nan
from vrae.describe.excursions import excursions
from vrae.describe.recurring import PARTS, recurring_means
from vrae.describe.traits import TRAITS, Traits, series_traits
from vrae.metrics import resample

__all__ = ["SHAPE_POINTS", "Portraits", "middle_of"]

Floats = npt.NDArray[np.floating[Any]]

SHAPE_POINTS = 40
"""Points of the shape of a series."""

_SAMPLE = 2000  # series
_CHANNELS = 4  # with more channels, fewer series are sampled
_LEAST = 100
_VALUES = 1 << 22  # that are measured in all, unless that leaves too few series
_SHAPE_STEPS = 256  # longer series are averaged to at most this many steps first

_LIFE = ("known", "active", "half", "growth", "first", "last", "begin", "finish")
_NEWER = ("once", "burst", "deviation", "since")  # portraits that were saved earlier do not have them
_NUMBERS = (*TRAITS, "change", *_LIFE, *_NEWER)


@dataclass(frozen=True, eq=False)
class Portraits:
    """Numbers about a random sample of series.

    Attributes
    ----------
    rows : ndarray of int64, shape (n_sample,)
        Positions of the series in their panel, ascending.
    channels : tuple of str
    numbers : dict of str to ndarray of shape (n_sample, n_channels)
        The traits of `series_traits`, and:
        ``known`` and ``active``: number of values that are not missing, and of those that are not
        0. ``half``: how many of the largest values make up half of the total; NaN if some are
        negative. ``growth``: rank correlation with time. ``first`` and ``last``: steps of the
        calendar at which the series starts and ends. ``begin`` and ``finish``: those of its first
        and last value that is not 0. ``once`` and ``burst``: month and size of the only excursion;
        see `excursions`. ``deviation``: standard deviation of all values; ``spread`` may be that
        of averages. ``since``: like ``growth``, from the first to the last value that is not 0.
        The last four are NaN in portraits of older models.
    shapes : ndarray of shape (n_sample, n_channels, SHAPE_POINTS)
        Each series from its start to its end, at mean 0 and standard deviation 1.
    recurring : dict of str to ndarray of shape (n_sample, n_channels, n_parts)
        What comes again in every "month" of the year, "weekday" and "hour"; see `recurring_means`.
        Only what the calendar has.
    counts : bool
        Whether all values are whole numbers of 0 or more.
    n_steps : int
        Steps of the calendar, or of the longest series.
    calendar : Calendar or None
        None without dates that have a regular step and are compared.
    start : str
        Time of the first step of the calendar, in UTC if it has a zone.
    """

    rows: Ints
    channels: tuple[str, ...]
    numbers: dict[str, Floats]
    shapes: Floats
    recurring: dict[str, Floats] = field(default_factory=dict)
    counts: bool = False
    n_steps: int = 1
    calendar: Calendar | None = None
    start: str = ""

    @classmethod
    def of(cls, panel: Panel, indices: npt.ArrayLike, seed: int = 0) -> Portraits:
        """Measure a random sample of the series at ``indices``, of at most 2,000.

        Of long series, or of many channels, fewer are measured.
        """
        rng = np.random.default_rng(seed)
        most = min(_SAMPLE, max(_LEAST, _SAMPLE * _CHANNELS // panel.n_channels))
        rows = rng.permutation(np.asarray(indices, np.int64))[:most]
        values = np.cumsum(panel.lengths[rows]) * panel.n_channels
        return cls.measured(panel, np.sort(rows[: max(_LEAST, int(np.searchsorted(values, _VALUES, "right")))]))

    @classmethod
    def measured(cls, panel: Panel, rows: npt.ArrayLike, traits: Traits | None = None) -> Portraits:
        """Measure the series at ``rows``; ``traits`` are theirs if they are known."""
        rows = np.asarray(rows, np.int64)
        sample = panel.select(rows)
        dated = _is_dated(sample)
        first, n_steps = _first_steps(sample, dated)
        series: list[Floats] = list(sample.to_list())
        if traits is None:
            traits = series_traits(series) if series else dict.fromkeys(_NUMBERS, np.empty((0, panel.n_channels)))
        numbers = {**traits, **_life(series, first, panel.n_channels)}
        numbers["once"], numbers["burst"] = _excursions(sample, dated)
        recurring = recurring_means(sample) if dated else {}
        return cls(
            rows=rows,
            channels=panel.channels,
            numbers={name: numbers[name].astype(np.float32) for name in _NUMBERS},
            shapes=_shapes(series, panel.n_channels).astype(np.float32),
            recurring={name: means.astype(np.float32) for name, means in recurring.items()},
            counts=_are_counts(sample),
            n_steps=n_steps,
            calendar=sample.calendar if dated else None,
            start=str(np.asarray(sample.times).min()) if dated else "",
        )

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def aligned(self) -> bool:
        """Whether ``first``, ``begin``, ``finish`` and ``peak`` are steps of a calendar."""
        return self.calendar is not None and self.calendar.aligned

    @property
    def unit(self) -> str:
        """Plural of a step: "weeks", or "steps" without dates."""
        return "steps" if self.calendar is None else self.calendar.unit

    @property
    def steps_per_year(self) -> float:
        """Steps of the calendar in a year; NaN without one."""
        return float("nan") if self.calendar is None else 8766.0 / self.calendar.hours

    def date(self, step: float) -> Array:
        """Return the local time of a step of the calendar, as datetime64."""
        if self.calendar is None:
            raise ValueError("these series have no calendar")
        times = self.calendar.times(self._first_cell + np.array([round(step)]), self._start)
        return np.asarray(local_times(times, self.calendar.zone)[0])

    def spans(self, labels: npt.ArrayLike) -> dict[int, tuple[float, float]]:
        """Return the usual first and last step of each cluster as parts of the calendar, 0 to 1.

        ``labels`` are those of all series of the panel. Empty without a calendar.
        """
        own, last = np.asarray(labels)[self.rows], max(self.n_steps - 1, 1)
        ends = (np.asarray(self.numbers[name][:, 0], np.float64) / last for name in ("first", "last"))
        first, final = ends
        shown = np.unique(own).tolist() if self.aligned else []
        return {k: (float(np.median(first[own == k])), float(np.median(final[own == k]))) for k in shown}

    @cached_property
    def _start(self) -> Array:
        return np.array([self.start], "M8[us]")

    @cached_property
    def _first_cell(self) -> int:
        return 0 if self.calendar is None else int(self.calendar.cells(self._start)[0])

    # ---------------------------------------------------------------- saving

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return what `from_state` takes: values that JSON can hold, and arrays."""
        config = {
            "channels": list(self.channels),
            "numbers": list(_NUMBERS),
            "counts": self.counts,
            "n_steps": self.n_steps,
            "calendar": None if self.calendar is None else self.calendar.to_dict(),
            "start": self.start,
        }
        numbers = np.stack([self.numbers[name] for name in _NUMBERS])  # (n_numbers, n_sample, n_channels)
        return config, {"rows": self.rows, "numbers": numbers, "shapes": self.shapes, **self.recurring}

    @classmethod
    def from_state(cls, config: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Portraits:
        """Return portraits that were saved.

        Raises
        ------
        ValueError
            The parts do not fit together.
        """
        try:
            names = list(map(str, config["numbers"]))
            if missing := set(_NUMBERS) - set(names) - set(_NEWER):
                raise ValueError(f"portraits of series lack {sorted(missing)}")
            channels, rows = tuple(map(str, config["channels"])), np.asarray(arrays["rows"])
            calendar = None if config["calendar"] is None else Calendar(**config["calendar"])
            n, c = len(rows), len(channels)
            expected = {"numbers": (len(names), n, c), "shapes": (n, c, SHAPE_POINTS)}
            expected |= {name: (n, c, parts) for name, parts in PARTS.items() if name in arrays}
            for name, shape in expected.items():
                if arrays[name].shape != shape or arrays[name].dtype.kind != "f":
                    raise ValueError(f"{name} should be numbers of shape {shape}, and is {arrays[name].shape}")
            if rows.ndim != 1 or rows.dtype.kind not in "iu":
                raise ValueError("rows should be whole numbers")
            found = cls(
                rows=rows.astype(np.int64),
                channels=channels,
                numbers={
                    name: arrays["numbers"][names.index(name)] if name in names else np.full((n, c), np.nan, np.float32)
                    for name in _NUMBERS
                },
                shapes=arrays["shapes"],
                recurring={name: arrays[name] for name in PARTS if name in arrays},
                counts=bool(config["counts"]),
                n_steps=int(config["n_steps"]),
                calendar=calendar,
                start=str(config["start"]),
            )
            if calendar is not None:
                found.date(0)  # raises what does not fit
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"portraits of series do not fit together: {error!r}") from None
        return found


def middle_of(values: Floats) -> float:
    """Return the median of values that are not missing; NaN without any."""
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else float("nan")


def _is_dated(panel: Panel) -> bool:
    dated = panel.times is not None and panel.times.dtype.kind == "M" and len(panel) > 0
    return dated and panel.calendar is not None and isinstance(panel.calendar.freq, str)


def _first_steps(panel: Panel, dated: bool) -> tuple[Ints, int]:
    """Return the step at which each series starts, and how many steps there are."""
    first = np.zeros(len(panel), np.int64)
    if dated and panel.calendar is not None and panel.calendar.aligned and panel.times is not None:
        first = panel.calendar.cells(panel.times[panel.offsets[:-1]])
        first = first - first.min()
    return first, int((first + panel.lengths).max(initial=1))


def _excursions(panel: Panel, dated: bool) -> tuple[Floats, Floats]:
    if dated:
        return excursions(panel)
    shape = (len(panel), panel.n_channels)
    return np.full(shape, np.nan), np.zeros(shape)


def _are_counts(panel: Panel) -> bool:
    known = panel.values[np.isfinite(panel.values)]
    return bool(len(known) and known.min() >= 0 and (known == np.floor(known)).all())


def _life(series: list[Floats], first: Ints, n_channels: int) -> dict[str, Floats]:
    """Measure when each channel of each series is active, and whether it grows."""
    found: dict[str, Floats] = {name: np.zeros((len(series), n_channels)) for name in (*_LIFE, "deviation", "since")}
    for i, x in enumerate(series):
        active = np.nan_to_num(x) != 0
        found["known"][i] = (~np.isnan(x)).sum(axis=1)
        found["active"][i] = active.sum(axis=1)
        found["begin"][i] = first[i] + active.argmax(axis=1)
        found["finish"][i] = first[i] + x.shape[1] - 1 - active[:, ::-1].argmax(axis=1)
        found["first"][i] = first[i]
        found["last"][i] = first[i] + x.shape[1] - 1
        found["half"][i] = [_half_of_total(line[~np.isnan(line)]) for line in x]
        short = bin_means(x, -(-x.shape[1] // _SHAPE_STEPS))
        found["growth"][i] = [_rank_correlation(line[~np.isnan(line)]) for line in short]
        for c, line in enumerate(short):
            alive = np.trim_zeros(line[~np.isnan(line)])
            found["since"][i, c] = found["growth"][i, c] if len(alive) == len(line) else _rank_correlation(alive)
        with quiet_nan():
            found["deviation"][i] = np.nanstd(x.astype(np.float64), axis=1)
    return found


def _half_of_total(line: Floats) -> float:
    """Return how many of the largest values make up half of the total."""
    if len(line) == 0 or line.min() < 0 or line.max() == 0:
        return float("nan")
    total = np.cumsum(np.sort(line.astype(np.float64))[::-1])
    return float(np.searchsorted(total, total[-1] / 2) + 1)


def _rank_correlation(line: Floats) -> float:
    """Return Spearman's correlation of a line with time; 0 if it is constant."""
    from scipy.stats import rankdata

    if len(line) < 3 or line.min() == line.max():
        return 0.0
    time = np.arange(len(line)) - (len(line) - 1) / 2
    ranks = rankdata(line) - (len(line) + 1) / 2
    return float(ranks @ time / np.sqrt((ranks @ ranks) * (time @ time)))


def _shapes(series: list[Floats], n_channels: int) -> Floats:
    """Return series at one length, with mean 0 and standard deviation 1."""
    found = np.zeros((len(series), n_channels, SHAPE_POINTS))
    for i, x in enumerate(series):
        found[i] = resample(_at_most(x)[None], SHAPE_POINTS)[0]
    found -= found.mean(axis=2, keepdims=True)
    spread = found.std(axis=2, keepdims=True)
    return np.asarray(found / np.where(spread > 0, spread, 1.0))


def _at_most(x: Floats) -> Floats:
    """Average a series (n_channels, n_steps) to at most `SHAPE_POINTS` steps."""
    return bin_means(x, max(1, x.shape[1] // SHAPE_POINTS))
