"""Tests of whether later series differ from those of a fit by more than chance.

Items of both tables are compared with themselves. If nothing changed, it is a matter of chance
which of the two observations of an item came first, and which items are gone or new. So items of
both tables change sides at random, and who is gone and new is drawn anew (a permutation test). The
number of series matters only where counts are drawn or a bounded sample is compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["ShareTest", "Sides", "energy_test", "holm", "share_test", "shares_of", "unlike_test"]

_DRAWS = 1999  # of counts
_ENERGY_DRAWS = 499
_ENERGY_SAMPLE = 500  # series of each table

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sides:
    """Which rows of an earlier and a later table are the same items.

    ``pairs`` (2, n_pairs) are positions in both tables. ``only_before`` and ``only_now`` are those
    of the other items.
    """

    pairs: Ints
    only_before: Ints
    only_now: Ints

    @classmethod
    def of(cls, before: npt.NDArray[np.object_], now: npt.NDArray[np.object_]) -> Sides:
        """Match ids (n,), as text."""
        place = {name: row for row, name in enumerate(before.tolist())}
        matched = np.array([place.get(name, -1) for name in now.tolist()], np.int64)
        both = np.flatnonzero(matched >= 0)
        pairs = np.stack([matched[both], both])
        return cls(pairs, np.setdiff1d(np.arange(len(before)), pairs[0]), np.flatnonzero(matched < 0))

    @classmethod
    def unrelated(cls, n_before: int, n_now: int) -> Sides:
        """Return the sides of tables of which no series is known to be the same."""
        return cls(np.zeros((2, 0), np.int64), np.arange(n_before), np.arange(n_now))

    def among(self, before: npt.NDArray[np.bool_], now: npt.NDArray[np.bool_]) -> Sides:
        """Keep some rows of both tables. An item of which one row is left is no pair."""
        first, second = before[self.pairs[0]], now[self.pairs[1]]
        alone_before, alone_now = self.pairs[0][first & ~second], self.pairs[1][second & ~first]
        return Sides(
            self.pairs[:, first & second],
            np.concatenate([self.only_before[before[self.only_before]], alone_before]),
            np.concatenate([self.only_now[now[self.only_now]], alone_now]),
        )

    def sample(self, most: int, rng: np.random.Generator) -> Sides:
        """Keep at most ``most`` rows of each table, drawn at random."""
        n_pairs = self.pairs.shape[1]
        largest = n_pairs + max(len(self.only_before), len(self.only_now))
        kept = min(1.0, most / max(largest, 1))

        def some(rows: Ints) -> Ints:
            return np.sort(rng.permutation(rows)[: round(kept * len(rows))])

        return Sides(self.pairs[:, some(np.arange(n_pairs))], some(self.only_before), some(self.only_now))


class ShareTest(NamedTuple):
    """How many series clusters have, and whether their shares differ by more than chance."""

    counts: Ints  # (2, n_clusters), before and now
    p_values: Floats  # (n_clusters,), corrected for the number of clusters (Benjamini & Hochberg)
    p_value: float  # of all shares together

    @property
    def shares(self) -> Floats:
        """Shares of the clusters before and now, (2, n_clusters)."""
        return shares_of(self.counts)


def shares_of(counts: Ints) -> Floats:
    """Return the shares of clusters from the number of series in each, (..., n_clusters)."""
    return np.asarray(counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1))


def share_test(before: Ints, now: Ints, sides: Sides, n_clusters: int, seed: int = 0) -> ShareTest:
    """Compare the shares of clusters in two tables.

    One test of all shares says whether any changed: the sum of their squared differences, each
    divided by its variance under chance. The p-values of clusters say which.

    Parameters
    ----------
    before, now : ndarray of int64, shape (n,)
        Labels, -1 for none. Those do not count.
    sides : Sides
    n_clusters : int
    seed : int
    """
    from scipy.stats import false_discovery_control

    counts = np.stack([np.bincount(labels[labels >= 0], minlength=n_clusters) for labels in (before, now)])
    n_before, n_now = counts.sum(axis=1).tolist()
    if not n_before or not n_now:
        return ShareTest(counts, np.ones(n_clusters), 1.0)
    sides, rng = sides.among(before >= 0, now >= 0), np.random.default_rng(seed)
    first, second = before[sides.pairs[0]], now[sides.pairs[1]]
    alone = [np.bincount(part, minlength=n_clusters) for part in (before[sides.only_before], now[sides.only_now])]
    pairs = np.zeros((n_clusters, n_clusters), np.int64)  # (before, now)
    np.add.at(pairs, (first, second), 1)

    def differences(stay: Floats, swapped: Ints, gone: Ints, new: Ints) -> Floats:
        """Return differences (draw, cluster) of items that stay, are gone and are new."""
        return np.asarray((stay + swapped / 2 + new) / n_now - (stay - swapped / 2 + gone) / n_before)

    stay = (pairs.sum(axis=0) + pairs.sum(axis=1)) / 2
    moved = pairs.sum(axis=0) - pairs.sum(axis=1)
    observed = differences(stay[None], moved[None], alone[0][None], alone[1][None])[0]
    gone, new = _dealt(pairs.sum(axis=1), alone[0], alone[1], rng)
    drawn = differences(stay + alone[0] + alone[1] - gone - new, _swapped(pairs, rng), gone, new)
    as_large = (np.abs(drawn) >= np.abs(observed) - 1e-12).sum(axis=0)
    p_values = np.asarray(false_discovery_control((1 + as_large) / (1 + _DRAWS)), np.float64)
    variance = np.maximum((drawn**2).mean(axis=0), 1e-300)
    total, totals = (observed**2 / variance).sum(), (drawn**2 / variance).sum(axis=1)
    return ShareTest(counts, p_values, float((1 + (totals >= total - 1e-9 * total).sum()) / (1 + _DRAWS)))


def _swapped(pairs: Ints, rng: np.random.Generator) -> Ints:
    """Let pairs change sides; return later counts less earlier ones, (draw, cluster)."""
    found = np.zeros((_DRAWS, len(pairs)), np.int64)
    changed = np.triu(pairs + pairs.T, 1)
    for one, other in np.argwhere(changed):
        n = int(changed[one, other])
        gain = 2 * rng.binomial(n, 0.5, _DRAWS) - n
        found[:, one] += gain
        found[:, other] -= gain
    return found


def _dealt(stay: Ints, gone: Ints, new: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Draw which of all items (n_clusters,) are gone and new, each (draw, cluster)."""
    items, n_gone, n_new = stay + gone + new, int(gone.sum()), int(new.sum())
    first = rng.multivariate_hypergeometric(items, n_gone, _DRAWS, method="marginals").astype(np.int64)
    second = [rng.multivariate_hypergeometric(items - drawn, n_new, method="marginals") for drawn in first]
    return first, np.array(second, np.int64)


def unlike_test(n_unlike: int, n_series: int, rate: float, n_references: int) -> float:
    """Return the p-value of the number of series that are unlike all training series.

    The limit was set so that a fraction ``rate`` exceeds it, from ``n_references`` series. From so
    few, the true rate is known as a beta distribution, so the number is beta-binomial.
    """
    from scipy.stats import betabinom

    n = n_references + 1
    return float(betabinom.sf(n_unlike - 1, n_series, rate * n, (1 - rate) * n)) if n_unlike and n_series else 1.0


def energy_test(
    before: npt.NDArray[np.floating], now: npt.NDArray[np.floating], sides: Sides, seed: int = 0
) -> tuple[float, float]:
    """Compare the distributions of vectors (n, dimensions) of two tables.

    Returns
    -------
    effect : float
        Energy distance over twice the mean distance between the tables, 0 to 1 (Székely & Rizzo,
        "Energy statistics", Journal of Statistical Planning and Inference 2013).
    p_value : float
    """
    from scipy.spatial.distance import cdist

    rng = np.random.default_rng(seed)
    sides = sides.among(np.isfinite(before).all(axis=1), np.isfinite(now).all(axis=1)).sample(_ENERGY_SAMPLE, rng)
    n_pairs, n_first, n_second = sides.pairs.shape[1], len(sides.only_before), len(sides.only_now)
    n_before, n_now = n_pairs + n_first, n_pairs + n_second
    if min(n_before, n_now) < 2:
        return 0.0, 1.0
    rows = (before[sides.pairs[0]], now[sides.pairs[1]], before[sides.only_before], now[sides.only_now])
    vectors = np.concatenate(rows).astype(np.float64)
    distances = cdist(vectors, vectors)
    is_before = np.zeros((1 + _ENERGY_DRAWS, len(vectors)), bool)
    for row in is_before:
        own = rng.random(n_pairs) < 0.5
        rest = rng.permutation(np.arange(n_first + n_second) < n_first)
        row[:] = np.concatenate([own, ~own, rest])
    is_before[0] = np.repeat([True, False, True, False], [n_pairs, n_pairs, n_first, n_second])
    weights = np.where(is_before, 1 / n_before, -1 / n_now)  # (draw, vector)
    energy = -((weights @ distances) * weights).sum(axis=1)
    between = distances[is_before[0]][:, ~is_before[0]].mean()
    p_value = (energy >= energy[0] - 1e-12 * max(between, 1e-300)).sum() / len(energy)
    return float(max(energy[0], 0.0) / (2 * between)) if between > 0 else 0.0, float(p_value)


def holm(p_values: list[float]) -> list[float]:
    """Return p-values corrected for their number (Holm, Scand J Statist 1979)."""
    order = np.argsort(p_values)
    n, found, least = len(p_values), [1.0] * len(p_values), 0.0
    for rank, place in enumerate(order.tolist()):
        least = max(least, min(1.0, (n - rank) * p_values[place]))
        found[place] = least
    return found
