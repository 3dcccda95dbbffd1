"""What a clustering found, as plain numbers: the input of the verdict and its alerts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import floor
from typing import Any

from vrae.describe.words import cluster_name, whole

__all__ = ["FIRM", "MOST", "SHAKY", "Found", "percent_text"]

# How much of a cluster must be found again to rely on it, and to use it at all (Hennig,
# "Cluster-wise assessment of cluster stability", Computational Statistics & Data Analysis 2007).
FIRM = 0.85
SHAKY = 0.6
# Share of the series in one cluster that is too many.
MOST = 0.6

_NEARLY_ALL = 0.85
_APART = 0.25  # silhouette below which there is no substantial structure
_TOUCHING = 0.1
_FEW = 30  # series, of which groups are examples and no rule
_MOSTLY = 0.5


@dataclass(frozen=True)
class Found:
    """What a clustering found, as plain numbers.

    Attributes
    ----------
    sizes : sequence of int
        Number of series in cluster 0, 1, ...
    names : mapping of int to str
    n_noise, n_doubtful : int
        Series without a cluster, and series whose cluster is doubtful.
    stability : sequence of float
        How much of each cluster is found again, 0 to 1; empty if that was not measured.
    refitted : bool
        Whether the model was fitted again for it.
    silhouette : float or None
    missing : float
        Fraction of the values that are missing.
    gaps : sequence of float
        The same of the usual series of each cluster; empty if it is not known.
    mixed : sequence of int
        Clusters that hold series that are mostly 0 and others that seldom are.
    selection, history : sequence of dict
        Numbers of clusters tried, and epochs of the training.
    closest : tuple or None
        The two clusters with the closest centres, and the fraction of their series halfway between.
    volume : sequence of float
        Share of each cluster in the sum of all values, if values are counts; else empty.
    others : sequence of int
        Other numbers of clusters that stand the same tests, the best first.
    merges : sequence of tuple
        Pairs of clusters that are firmer as one.
    edited : bool
        Whether clusters were changed or named by hand. Another number would discard that.
    """

    sizes: Sequence[int]
    names: Mapping[int, str] = field(default_factory=dict)
    n_noise: int = 0
    n_doubtful: int = 0
    stability: Sequence[float] = ()
    refitted: bool = False
    silhouette: float | None = None
    missing: float = 0.0
    gaps: Sequence[float] = ()
    mixed: Sequence[int] = ()
    selection: Sequence[Mapping[str, Any]] = ()
    history: Sequence[Mapping[str, Any]] = ()
    closest: tuple[int, int, float] | None = None
    volume: Sequence[float] = ()
    others: Sequence[int] = ()
    merges: Sequence[tuple[int, int]] = ()
    edited: bool = False

    @property
    def n_series(self) -> int:
        """Number of all series."""
        return sum(self.sizes) + self.n_noise

    @property
    def largest(self) -> int:
        """The cluster with most series."""
        return max(range(len(self.sizes)), key=lambda label: self.sizes[label])

    @property
    def is_clear(self) -> bool:
        """Whether the clusters say something: they are apart, even in size and found again."""
        return not (self.is_one or self.is_touching) and self.found_again is not False

    @property
    def is_solid(self) -> bool:
        """Whether there is enough to rely on: the harder test, series, values, and few left out."""
        enough = self.n_series >= _FEW and self.missing <= _MOSTLY and self.n_noise <= _MOSTLY * self.n_series
        return self.refitted and enough

    @property
    def share(self) -> float:
        """Part of the series that is in the largest cluster."""
        return max(self.sizes, default=0) / max(self.n_series, 1)

    @property
    def is_one(self) -> bool:
        """Whether one cluster holds nearly all series, or most of them without being apart."""
        apart = self.silhouette is None or self.silhouette >= _APART
        return self.share >= _NEARLY_ALL or (self.share > MOST and not apart)

    @property
    def is_touching(self) -> bool:
        """Whether clusters run into each other."""
        return self.silhouette is not None and self.silhouette < _TOUCHING

    @property
    def found_again(self) -> bool | None:
        """Whether most series are in clusters that are found again; None if not measured."""
        if not self.stability:
            return None
        found = sum(size * part for size, part in zip(self.sizes, self.stability, strict=True))
        return found >= 0.5 * sum(self.sizes)

    @property
    def again(self) -> str:
        """How it was tested whether a cluster stays, in words: part of it "is found again when"."""
        return f"{'is found again' if self.refitted else 'comes back'} {self.when}"

    @property
    def when(self) -> str:
        """The condition of that test. Without refits it is the easier one."""
        if self.refitted:
            return "when vrae learns from half of the series"
        return "when half of the series are grouped again"

    @property
    def present(self) -> list[int]:
        """Clusters with at least one series."""
        return [label for label, size in enumerate(self.sizes) if size]

    @property
    def shaky(self) -> list[int]:
        """Clusters that are not found again."""
        return [label for label in self.present if self.stability and self.stability[label] < SHAKY]

    def name(self, label: int) -> str:
        """Return how to call a cluster in a sentence."""
        name = cluster_name(label, self.names)
        return name if name == cluster_name(label) else f"“{name}”"

    def numbered(self, label: int) -> str:
        """Return how to call a cluster where its number is needed."""
        name = self.name(label)
        return name if name == cluster_name(label) else f"{name} (group {label})"


def percent_text(part: float, limit: float = SHAKY) -> str:
    """Format a part of 1, never rounded to all or nothing, nor up to the ``limit``."""
    if 0 < part < 0.01:
        return f"{100 * part:.1f} %" if part >= 0.001 else "less than 0.1 %"
    shown = min(100 * part, 99) if part < 1 else 100
    just_below = part < limit <= whole(shown) / 100  # what is below the limit looks so
    return f"{floor(shown) if just_below else whole(shown)} %"
