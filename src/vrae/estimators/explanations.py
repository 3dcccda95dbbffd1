"""What explanations hold, how they print, and how they become tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["ClusterDescription", "SeriesExplanation", "Traversal", "Window"]

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Window:
    """A stretch of steps in which something departs from something else.

    Attributes
    ----------
    channel : str
    first, last : int
        Steps, from 0, of a series of usual length.
    n_steps : int
        That length.
    difference : float
        Mean departure in standard deviations; positive is higher.
    """

    channel: str
    first: int
    last: int
    n_steps: int
    difference: float

    def __str__(self) -> str:
        place = f"step {self.first}" if self.first == self.last else f"steps {self.first} to {self.last}"
        side = "higher" if self.difference > 0 else "lower"
        return f"{side} in {place} of {self.channel} (by {abs(self.difference):.1f} standard deviations)"


@dataclass(frozen=True, eq=False)
class ClusterDescription:
    """A cluster for readers.

    Attributes
    ----------
    label, size : int
    share : float
        Of all series.
    words : str
        What its series do, and what sets them apart from all others.
    windows : tuple of Window
        Steps and channels in which its shape departs most from the others'.
    differences : dict of str to ndarray of shape (n_channels,)
        How far each trait (level, trend, spikiness, ...) sets it apart, -1 to 1 (Cliff's delta).
    medoids : tuple
        Ids of its most typical series.
    middle, low, high : ndarray of shape (n_channels, n_points)
        Typical course: median, and 10 % and 90 % quantiles, in the data's units.
    """

    label: int
    size: int
    share: float
    words: str
    windows: tuple[Window, ...]
    differences: dict[str, Floats]
    medoids: tuple[Any, ...]
    middle: Floats
    low: Floats
    high: Floats

    def __str__(self) -> str:
        name = f"Cluster {self.label}" if self.label >= 0 else "In no cluster"
        lines = [f"{name}: {self.size:,} series ({100 * self.share:.0f} %). {self.words}"]
        lines += [f"  Shape: {window}." for window in self.windows]
        return "\n".join([*lines, f"  Most typical: {', '.join(map(str, self.medoids))}."])

    def to_dict(self) -> dict[str, Any]:
        """Return what there is to say as a row of a table, without the course."""
        return {
            "cluster": self.label,
            "size": self.size,
            "share": round(self.share, 4),
            "words": self.words,
            "steps": "; ".join(map(str, self.windows)),
            "medoids": ", ".join(map(str, self.medoids)),
            **{name: round(float(delta[np.abs(delta).argmax()]), 3) for name, delta in self.differences.items()},
        }


@dataclass(frozen=True)
class SeriesExplanation:
    """Why a series is in its cluster.

    Attributes
    ----------
    id : Any
    cluster : int
        -1 is none.
    probability : float
    runner_up : int or None
        The cluster that would be next; None if there is only one.
    runner_up_probability : float
    typicality : float
        Share of the cluster's series that lie farther from its middle, 0 to 1.
    lag : int
        Steps; see `VRAE.lags`.
    level, spread : dict of str to float
        Mean and standard deviation of each channel.
    agrees, differs : tuple of str
        Traits by which it belongs to its cluster rather than to the runner-up, and those that speak for that.
    decides : Window or None
        Where its course is nearest to its cluster's in comparison with the runner-up's.
    unusual : tuple of Window
        Where it departs from what its cluster does.
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
            lines.append(f"Next: cluster {self.runner_up}, probability {self.runner_up_probability:.3f}.")
        if self.cluster >= 0:
            lines.append(f"More typical than {100 * self.typicality:.0f} % of its cluster.")
        lines += [f"Speaks for it: {reason}." for reason in self.agrees]
        if self.decides is not None:
            first, last = self.decides.first, self.decides.last
            lines.append(f"Speaks for it: its course in steps {first} to {last} of {self.decides.channel}.")
        lines += [f"Speaks for cluster {self.runner_up}: {reason}." for reason in self.differs]
        lines += [f"Unusual in its cluster: {window}." for window in self.unusual]
        level = {c: 0.0 if abs(v) < 1e-6 * self.spread[c] else v for c, v in self.level.items()}  # rounding noise
        usual = ", ".join(f"{c} {level[c]:.4g} ± {self.spread[c]:.3g}" for c in level)
        return "\n".join([*lines, f"Level and spread: {usual}. Lag: {self.lag} steps."])

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready values."""
        name = self.id.item() if hasattr(self.id, "item") else self.id
        texts = {
            "decides": None if self.decides is None else str(self.decides),
            "unusual": list(map(str, self.unusual)),
        }
        return {**vars(self), "id": name, "agrees": list(self.agrees), "differs": list(self.differs), **texts}


@dataclass(frozen=True, eq=False)
class Traversal:
    """What a latent dimension does: series decoded along it, all other dimensions at their means.

    Attributes
    ----------
    dimension : int
    values : ndarray of shape (n_values,)
        Of the latent dimension.
    series : ndarray of shape (n_values, n_channels, n_steps)
        At the level and spread usual for the training series.
    words : str
    """

    dimension: int
    values: Floats
    series: Floats
    words: str

    def __str__(self) -> str:
        return f"Latent dimension {self.dimension}, from {self.values[0]:.2f} to {self.values[-1]:.2f}: {self.words}"

    def to_columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return a long table: value of the dimension, channel, step, decoded value."""
        _, channels, steps = self.series.shape
        grid = np.meshgrid(self.values, np.arange(channels), np.arange(steps), indexing="ij")
        names = ("value", "channel", "step")
        return {**{k: g.ravel() for k, g in zip(names, grid, strict=True)}, "decoded": self.series.ravel()}
