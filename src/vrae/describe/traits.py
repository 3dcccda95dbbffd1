"""Traits: measurable properties of a series that have a plain name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.describe.curves import bin_means, quiet_nan

__all__ = ["TRAITS", "Trait", "Traits", "differences", "series_traits"]

Floats = npt.NDArray[np.floating[Any]]
Traits = Mapping[str, Floats]

_TRAIT_STEPS = 256  # longer series are averaged down to at most this many points


@dataclass(frozen=True)
class Trait:
    """A property of a series that has a plain name, and words for more or less of it.

    ``least`` is the smallest difference worth mentioning. If ``in_spreads``, it is in units of the
    median standard deviation of a series.
    """

    name: str
    more: str
    less: str
    least: float
    in_spreads: bool = False

    def smallest(self, spread: Any) -> Any:
        """Return the smallest difference worth mentioning, given the spread of the series."""
        return self.least * (spread if self.in_spreads else 1.0)

    def words(self, difference: float, *, is_clear: bool = False) -> str:
        """Return the words for a positive or a negative difference: "a clearly higher level"."""
        words = self.more if difference > 0 else self.less
        if not is_clear:
            return words
        rest = words.removeprefix("an ").removeprefix("a ")
        return f"clearly {words}" if rest == words else f"a clearly {rest}"


TRAITS: dict[str, Trait] = {
    "level": Trait("level", "a higher level", "a lower level", 0.2, in_spreads=True),
    "spread": Trait("size of swings", "larger swings", "smaller swings", 0.2, in_spreads=True),
    "trend": Trait("rise from start to end", "a stronger upward trend", "a stronger downward trend", 0.15),
    "season": Trait("regularity of rhythm", "a more regular rhythm", "a less regular rhythm", 0.1),
    "peak": Trait("position of the highest point", "a later highest point", "an earlier highest point", 0.08),
    "trough": Trait("position of the lowest point", "a later lowest point", "an earlier lowest point", 0.08),
    "spikiness": Trait("sharpness of peaks", "sharper peaks", "flatter peaks", 0.25),
    "cycles": Trait("number of ups and downs", "more ups and downs", "fewer ups and downs", 0.5),
    "roughness": Trait("step-to-step change", "larger step-to-step changes", "a smoother curve", 0.02),
    "zeros": Trait("proportion of zeros", "more zeros", "fewer zeros", 0.02),
    "length": Trait("length", "longer series", "shorter series", 1),
    "missing": Trait("proportion of missing values", "more missing values", "fewer missing values", 0.005),
}


def series_traits(series: Sequence[Floats]) -> dict[str, Floats]:
    """Measure the traits of series (n_channels, n_steps), each of shape (n_series, n_channels).

    ``change`` is how much higher the last tenth is than the first, in the units of the data.
    ``peak`` and ``trough`` are positions from 0 (first step) to 1 (last step). ``spikiness`` and
    ``roughness`` are in standard deviations of the series. ``cycles`` counts full swings up and
    down. ``season`` is the autocorrelation at the strongest rhythm, 0 to 1.
    """
    measured = [_traits_of(x) for x in series]
    return {name: np.array([traits[name] for traits in measured]) for name in measured[0]}


def _traits_of(x: Floats) -> dict[str, Floats]:
    n_channels, n_steps = x.shape
    missing = np.isnan(x).mean(axis=1)
    zeros = (x == 0).mean(axis=1)
    x = bin_means(x.astype(np.float64), -(-n_steps // _TRAIT_STEPS))  # squares of 1e30 are inf in float32
    time = np.linspace(-1.0, 1.0, x.shape[1]) if x.shape[1] > 1 else np.zeros(1)
    with quiet_nan(), np.errstate(divide="ignore", invalid="ignore"):
        level = np.nanmean(x, axis=1)
        spread = np.nanstd(x, axis=1)
        centred = (x - level[:, None]) / np.where(spread > 0, spread, 1.0)[:, None]
        trend = np.nanmean(centred * time, axis=1) / max(np.sqrt(np.mean(time**2)), 1e-12)
        return {
            "level": level,
            "spread": spread,
            "trend": trend,
            "change": np.array([_change(line[~np.isnan(line)]) for line in x]),
            "peak": np.where(np.isnan(x), -np.inf, x).argmax(axis=1) / max(x.shape[1] - 1, 1),
            "trough": np.where(np.isnan(x), np.inf, x).argmin(axis=1) / max(x.shape[1] - 1, 1),
            "spikiness": np.nanmax(np.abs(centred), axis=1),
            "roughness": np.nanmean(np.abs(np.diff(centred, axis=1)), axis=1) if x.shape[1] > 1 else 0 * level,
            "cycles": np.array([_cycles(line) for line in centred]),
            "season": np.array([_season(line) for line in centred]),
            "zeros": zeros,
            "length": np.full(n_channels, float(n_steps)),
            "missing": missing,
        }


def _change(line: Floats) -> float:
    """Return the mean of the last tenth of a line minus that of the first; NaN without values."""
    tenth = max(1, len(line) // 10)
    return float(line[-tenth:].mean() - line[:tenth].mean()) if len(line) else float("nan")


def _cycles(line: Floats) -> float:
    """Count the swings of a line of mean 0 and standard deviation 1, ignoring small wiggles."""
    sides = np.sign(line[np.abs(line) > 0.35])  # drops NaN as well
    return float((np.diff(sides) != 0).sum() / 2)


def _season(line: Floats) -> float:
    """Return the highest autocorrelation of a line of mean 0 after it first falls below 0."""
    known = np.nan_to_num(line)
    n = len(known)
    power = np.abs(np.fft.rfft(known, 2 * n)) ** 2
    r = np.fft.irfft(power)[: n // 2 + 1] / max(float(known @ known), 1e-12)
    r = r * n / (n - np.arange(len(r)))  # a larger lag overlaps with less of the line
    below = np.flatnonzero(r < 0)
    return float(np.clip(r[below[0] :].max(), 0, 1)) if len(below) else 0.0


def differences(traits: Traits, member: npt.NDArray[np.bool_]) -> dict[str, Floats]:
    """Compare the traits of a cluster with those of all other series (Cliff's delta).

    Each result (n_channels,) is 1 where every member has more than every other series, -1 where
    every member has less, and 0 where the medians hardly differ.
    """
    from scipy.stats import rankdata

    inside, outside = int(member.sum()), int((~member).sum())
    if not inside or not outside:
        return {name: np.zeros(traits[name].shape[1]) for name in TRAITS}
    with quiet_nan():
        median_spread = np.nanmedian(traits["spread"], axis=0)
        found = {}
        for name, trait in TRAITS.items():
            values = traits[name]
            ranks = rankdata(np.nan_to_num(values), axis=0)
            delta = 2 * (ranks[member].mean(axis=0) - (inside + 1) / 2) / outside - 1
            gap = np.abs(np.nanmedian(values[member], axis=0) - np.nanmedian(values[~member], axis=0))
            found[name] = np.where(gap >= trait.smallest(median_spread), delta, 0.0)
    return found
