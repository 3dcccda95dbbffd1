"""Results of the descriptions: what they hold and how they print."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.describe.words import cluster_name

__all__ = ["ClusterDescription", "SeriesExplanation", "Traversal", "Window"]

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Window:
    """A range of steps in which one curve differs from another.

    Attributes
    ----------
    channel : str
    first, last : int
        First and last step, counted from 0, of a calendar or in a series of median length.
    n_steps : int
        Number of these steps.
    difference : float
        Mean difference in standard deviations; positive is higher.
    dates : tuple of str, optional
        Dates of the first and the last step.
    """

    channel: str
    first: int
    last: int
    n_steps: int
    difference: float
    dates: tuple[str, str] | None = None

    @property
    def place(self) -> str:
        """The dates in words, or the steps, counted from 1 there."""
        if self.dates is not None:
            return f"on {self.dates[0]}" if self.first == self.last else f"from {self.dates[0]} to {self.dates[1]}"
        first, last = self.first + 1, self.last + 1
        return f"in step {first}" if first == last else f"in steps {first} to {last}"

    def __str__(self) -> str:
        side = "higher" if self.difference > 0 else "lower"
        return f"{side} {self.place} of {self.channel} (by {abs(self.difference):.1f} standard deviations)"


@dataclass(frozen=True, eq=False)
class ClusterDescription:
    """Description of a cluster.

    Attributes
    ----------
    label, size : int
    proportion : float
        Size as a proportion of all series, 0 to 1.
    words : str
        What its series look like and how they differ from all others.
    windows : tuple of Window
        Steps and channels in which its shape differs most from that of the others.
    differences : dict of str to ndarray of shape (n_channels,)
        How far each trait (level, trend, spikiness, ...) sets it apart, -1 to 1 (Cliff's delta).
    medoids : tuple
        Ids of its most typical series.
    middle, low, high : ndarray of shape (n_channels, n_points)
        Typical curve: median, 10 % and 90 % quantiles, in the units of the data.
    """

    label: int
    size: int
    proportion: float
    words: str
    windows: tuple[Window, ...]
    differences: dict[str, Floats]
    medoids: tuple[Any, ...]
    middle: Floats
    low: Floats
    high: Floats

    def __str__(self) -> str:
        lines = [f"{cluster_name(self.label)}: {self.size:,} series ({100 * self.proportion:.0f} %). {self.words}"]
        lines += [f"  Shape: {window}." for window in self.windows]
        return "\n".join([*lines, f"  Most typical: {', '.join(map(str, self.medoids))}."])

    def to_dict(self) -> dict[str, Any]:
        """Return one row of a table, without the typical curve."""
        return {
            "cluster": self.label,
            "size": self.size,
            "proportion": round(self.proportion, 4),
            "words": self.words,
            "steps": "; ".join(map(str, self.windows)),
            "medoids": ", ".join(map(str, self.medoids)),
            **{name: round(float(delta[np.abs(delta).argmax()]), 3) for name, delta in self.differences.items()},
        }


@dataclass(frozen=True)
class SeriesExplanation:
    """Explanation of why a series is in its cluster.

    Attributes
    ----------
    id : Any
    cluster : int
        Label; -1 is none.
    probability : float
        Probability of the cluster.
    runner_up : int or None
        The next closest cluster; None if there is only one.
    runner_up_probability : float
    typicality : float
        Proportion of the cluster's series that are farther from its centre, 0 to 1.
    lag : int
        Shift in steps; see `VRAE.lags`.
    level, spread : dict of str to float
        Mean and standard deviation of each channel.
    agrees, differs : tuple of str
        Traits that support its cluster, and traits that support the runner-up instead.
    decides : Window or None
        Where its shape matches its cluster much better than the runner-up.
    unusual : tuple of Window
        Where it differs from the other series of its cluster.
    """

    id: Any
    cluster: int
    probability: float
    runner_up: int | None
    runner_up_probability: float
    typicality: float
    lag: int
    level: dict[str, float]
    spread: dict[str, float]
    agrees: tuple[str, ...]
    differs: tuple[str, ...]
    decides: Window | None
    unusual: tuple[Window, ...]

    def __str__(self) -> str:
        where = f"cluster {self.cluster}" if self.cluster >= 0 else "no cluster"
        lines = [f"Series {self.id}: {where}, probability {self.probability:.3f}."]
        if self.runner_up is not None:
            lines.append(f"Next closest: cluster {self.runner_up}, probability {self.runner_up_probability:.3f}.")
        if self.cluster >= 0:
            lines.append(f"More typical than {100 * self.typicality:.0f} % of its cluster.")
        lines += [f"Supports this cluster: {reason}." for reason in self.agrees]
        if self.decides is not None:
            lines.append(f"Supports this cluster: its shape {self.decides.place} of {self.decides.channel}.")
        lines += [f"Supports cluster {self.runner_up}: {reason}." for reason in self.differs]
        lines += [f"Unusual for its cluster: {window}." for window in self.unusual]
        level = {c: 0.0 if abs(v) < 1e-6 * self.spread[c] else v for c, v in self.level.items()}  # rounding noise
        channels = ", ".join(f"{c} {level[c]:.4g} ± {self.spread[c]:.3g}" for c in level)
        return "\n".join([*lines, f"Level and spread: {channels}. Lag: {self.lag} steps."])

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as values that JSON can hold."""
        return {
            **vars(self),
            "agrees": list(self.agrees),
            "differs": list(self.differs),
            "decides": None if self.decides is None else str(self.decides),
            "unusual": list(map(str, self.unusual)),
        }


@dataclass(frozen=True, eq=False)
class Traversal:
    """Series decoded along one latent dimension, with all other dimensions at their means.

    Attributes
    ----------
    dimension : int
    values : ndarray of shape (n_values,)
        Values of the latent dimension.
    series : ndarray of shape (n_values, n_channels, n_steps)
        Decoded series, at the typical level and spread of the training series.
    words : str
        What changes from the lowest to the highest value.
    """

    dimension: int
    values: Floats
    series: Floats
    words: str

    def __str__(self) -> str:
        return f"Latent dimension {self.dimension}, from {self.values[0]:.2f} to {self.values[-1]:.2f}: {self.words}"

    def to_columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return a long table: value of the dimension, channel, step (1, 2, ...), decoded value."""
        _, channels, steps = self.series.shape
        grid = np.meshgrid(self.values, np.arange(channels), np.arange(1, steps + 1), indexing="ij")
        names = ("value", "channel", "step")
        return {**{k: g.ravel() for k, g in zip(names, grid, strict=True)}, "decoded": self.series.ravel()}
