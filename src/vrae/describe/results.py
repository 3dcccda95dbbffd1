"""Results of the descriptions: what they hold and how they print."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import InitVar, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vrae.describe.phrases import FEW
from vrae.describe.words import cluster_title, percent, plain, plural

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ClusterDescription", "ClusterDescriptions", "Details", "SeriesExplanation", "Traversal", "Window"]

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
    time : str, optional
        The first and the last step in words, if they have dates.
    relative : bool
        Whether series have different lengths: steps are parts of the way from start to end then.
    several_channels : bool
        Whether the channel has to be named.
    """

    channel: str
    first: int
    last: int
    n_steps: int
    difference: float
    time: str | None = None
    relative: bool = False
    several_channels: bool = False

    @property
    def place(self) -> str:
        """The steps, their dates or parts of the way, and the channel, in words."""
        return f"{self._steps}{f' of {self.channel}' if self.several_channels else ''}"

    @property
    def _steps(self) -> str:
        if self.time is not None:
            return self.time
        if self.relative:
            low, high = (round(100 * step / max(self.n_steps - 1, 1)) for step in (self.first, self.last))
            return f"at {low} % of the way" if low == high else f"from {low} to {high} % of the way"
        return f"in step {self.first}" if self.first == self.last else f"in steps {self.first} to {self.last}"

    def __str__(self) -> str:
        side = "higher" if self.difference > 0 else "lower"
        return f"{side} {self.place} (by {abs(self.difference):.1f} standard deviations)"


@dataclass(frozen=True, eq=False)
class Details:
    """What a description holds beyond a row of a table; see `ClusterDescription`."""

    windows: tuple[Window, ...]
    differences: dict[str, Floats]
    medoids: tuple[Any, ...]
    middle: Floats
    low: Floats
    high: Floats


class _HasDetails:
    _details: Details  # not a field: tables are made of fields


@dataclass(frozen=True, eq=False)
class ClusterDescription(_HasDetails):
    """Description of a cluster.

    The fields ``cluster``, ``name``, ``size``, ``share``, ``words``, ``differs`` and ``typical``
    are the columns of a table. The other attributes hold arrays and objects.

    Attributes
    ----------
    cluster : int
        Label; -1 is none. Also as ``label``.
    name : str
    size : int
    share : float
        Size as a proportion of all series, 0 to 1. Also as ``proportion``.
    words : str
        What its series look like and how they differ from all others.
    differs : str
        ``windows`` in words.
    typical : str
        ``medoids`` as text.
    windows : tuple of Window
        Steps and channels in which its shape differs most from that of the others.
    differences : dict of str to ndarray of shape (n_channels,)
        How far each trait (level, trend, spikiness, ...) sets it apart, -1 to 1 (Cliff's delta).
    medoids : tuple
        Ids of its most typical series.
    middle, low, high : ndarray of shape (n_channels, n_points)
        Typical curve: median, 10 % and 90 % quantiles, in the units of the data.
    """

    cluster: int
    name: str
    size: int
    share: float
    words: str
    differs: str
    typical: str
    details: InitVar[Details]

    def __post_init__(self, details: Details) -> None:
        object.__setattr__(self, "_details", details)

    @property
    def label(self) -> int:
        """Label of the cluster; -1 is none."""
        return self.cluster

    @property
    def proportion(self) -> float:
        """Size as a proportion of all series, 0 to 1."""
        return self.share

    @property
    def windows(self) -> tuple[Window, ...]:
        """Steps and channels in which the shape differs most from that of the others."""
        return self._details.windows

    @property
    def differences(self) -> dict[str, Floats]:
        """How far each trait sets the cluster apart, -1 to 1 (Cliff's delta)."""
        return self._details.differences

    @property
    def medoids(self) -> tuple[Any, ...]:
        """Ids of the most typical series."""
        return self._details.medoids

    @property
    def middle(self) -> Floats:
        """Median curve (n_channels, n_points), in the units of the data."""
        return self._details.middle

    @property
    def low(self) -> Floats:
        """Curve of the 10 % quantile."""
        return self._details.low

    @property
    def high(self) -> Floats:
        """Curve of the 90 % quantile."""
        return self._details.high

    def __str__(self) -> str:
        title = self.name if self.cluster < 0 else cluster_title(self.cluster, {self.cluster: self.name})
        size = f"{plural(self.size, 'series')} ({percent(self.share)})"
        lines = [f"{title[0].upper()}{title[1:]}: {size}. {self.words}"]
        lines += [f"  Shape: {window}." for window in self.windows]
        return "\n".join([*lines, f"  Most typical: {self.typical}."])

    def to_dict(self) -> dict[str, Any]:
        """Return one row of a table with the traits, without the typical curve."""
        return {
            "cluster": self.cluster,
            "name": self.name,
            "size": self.size,
            "proportion": round(self.share, 4),
            "words": self.words,
            "steps": self.differs,
            "medoids": self.typical,
            **{name: round(float(delta[np.abs(delta).argmax()]), 3) for name, delta in self.differences.items()},
        }


class ClusterDescriptions(list[ClusterDescription]):
    """Descriptions of all clusters: a list that prints as text and shows as a table.

    ``pandas.DataFrame(descriptions)`` and `to_pandas` have one row a cluster.
    """

    def __init__(self, descriptions: Iterable[ClusterDescription] = ()) -> None:
        super().__init__(descriptions)

    def __str__(self) -> str:
        return "\n".join(map(str, self))

    __repr__ = __str__

    def to_pandas(self) -> pd.DataFrame:
        """Return a table: cluster, name, size, share, words, differs and typical."""
        import pandas as pd

        return pd.DataFrame(list(self))

    def _repr_html_(self) -> str:
        """Return the table for notebooks."""
        import pandas as pd

        table = self.to_pandas().assign(share=[percent(entry.share) for entry in self])
        with pd.option_context("display.max_colwidth", None):
            return str(table.to_html(index=False, justify="left"))


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
    title, runner_up_title : str
        The two clusters with their names.
    cluster_size : int
        Number of series in its cluster.
    unit : str
        Plural of a step: "weeks", or "steps" without dates.
    n_values : int
        Number of its steps with a value. With 3 or fewer, it has no shape.
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
    title: str = ""
    runner_up_title: str = ""
    cluster_size: int = 0
    unit: str = "steps"
    n_values: int = 0

    def __str__(self) -> str:
        title = self.title or cluster_title(self.cluster)
        lines = [f"Series {self.id}: {title}, probability {_probability(self.probability)}."]
        if self.runner_up is not None:
            other = self.runner_up_title or cluster_title(self.runner_up)
            lines.append(f"Next closest: {other}, probability {_probability(self.runner_up_probability)}.")
        if self.cluster >= 0 and 0 < self.n_values <= FEW:
            lines.append(f"It has {plural(self.n_values, 'value')}, too few for a shape: its cluster is a guess.")
        elif self.cluster >= 0:
            lines.append(self._typicality)
        lines += [f"For this cluster: {reason}." for reason in self.agrees]
        if self.decides is not None:
            lines.append(f"For this cluster: its shape {self.decides.place}.")
        lines += [f"For cluster {self.runner_up}: {reason}." for reason in self.differs]
        lines += [f"Unusual for its cluster: it is {window}." for window in self.unusual]
        level = {c: 0.0 if abs(v) < 1e-6 * self.spread[c] else v for c, v in self.level.items()}  # rounding noise
        for c, mean in level.items():
            whose = f"The mean of {c}" if len(level) > 1 else "Its mean"
            lines.append(f"{whose} is {plain(mean)}, the standard deviation {plain(self.spread[c])}.")
        if self.lag:
            side = "late" if self.lag > 0 else "early"
            lines.append(f"It is {plural(abs(self.lag), self.unit.removesuffix('s'))} {side}.")
        return "\n".join(lines)

    @property
    def _typicality(self) -> str:
        n = self.cluster_size
        if n == 1:
            return "It is the only series of its cluster."
        of = f"its {n:,} series" if n else "its cluster"
        farther = round(self.typicality * n)
        if n and farther in (0, n - 1):
            return f"It is the {'most' if farther else 'least'} typical of {of}."
        if self.typicality < 0.01:
            return f"It is among the least typical of {of}."
        return f"More typical than {100 * min(self.typicality, 0.99):.0f} % of {of}."

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as values that JSON can hold."""
        return {
            **vars(self),
            "agrees": list(self.agrees),
            "differs": list(self.differs),
            "decides": None if self.decides is None else str(self.decides),
            "unusual": list(map(str, self.unusual)),
        }


def _probability(value: float) -> str:
    return plain(round(value, 3))


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
        low, high = plain(round(float(self.values[0]), 2)), plain(round(float(self.values[-1]), 2))
        return f"Latent dimension {self.dimension}, from {low} to {high}: {self.words}"

    def to_columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return a long table: value of the dimension, channel, step, decoded value."""
        _, channels, steps = self.series.shape
        grid = np.meshgrid(self.values, np.arange(channels), np.arange(steps), indexing="ij")
        names = ("value", "channel", "step")
        return {**{k: g.ravel() for k, g in zip(names, grid, strict=True)}, "decoded": self.series.ravel()}
