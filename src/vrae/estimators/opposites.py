"""Opposites: pairs of items of which one does more when the other does less (cannibalisation, in sales)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from vrae.config import check_int, check_real
from vrae.data.containers import as_panel
from vrae.data.panel import Panel, invalid_series
from vrae.estimators.departures import Courses, align, depart, normal_scores, presence
from vrae.estimators.mirrored import Levels, Movements, beside_usual
from vrae.exceptions import InvalidDataError, InvalidParameterError, did_you_mean

__all__ = ["KINDS", "Opposites", "find_opposites"]

# Pairs that are compared at once, and candidates that are remembered at most.
_BLOCK_PAIRS = 1 << 20
_MOST_CANDIDATES = 2_000_000

KINDS = ("movement", "introduction", "withdrawal")

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Opposites:
    """Pairs of items whose departures from their group's course are mirrored, the surest first.

    Attributes
    ----------
    group : ndarray, shape (n_found,)
    item, other : ndarray
        Ids. For an introduction or withdrawal, ``item`` is the one that came or went.
    kind : ndarray of str
        "movement": they go up and down against each other. "introduction": the other falls when the item appears.
        "withdrawal": the other rises when the item is gone.
    lag : ndarray of int64
        Steps that the other runs behind the item; negative: ahead.
    strength : ndarray of float64
        Correlation, -1 to 0: of the two items' movements, or of the other item with the item's being there.
    taken : ndarray of float64
        Introduction and withdrawal: the share of its own level that the other lacks while the item is there, beside all
        others of the group. NaN for movements, and where values may be negative.
    p_value : ndarray of float64
        Of the pair: over all lags.
    q_value : ndarray of float64
        Corrected over all pairs that were tested in this way (Benjamini & Hochberg), and for there being two ways: of
        all pairs up to here, this share is expected to be chance.
    n_pairs : tuple of int
        Pairs whose movements were compared, and pairs of which one item was introduced or withdrawn.
    """

    group: npt.NDArray[Any]
    item: npt.NDArray[Any]
    other: npt.NDArray[Any]
    kind: npt.NDArray[np.str_]
    lag: Ints
    strength: Floats
    taken: Floats
    p_value: Floats
    q_value: Floats
    n_pairs: tuple[int, int]

    def __len__(self) -> int:
        return len(self.item)

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return the columns by name, as tables take them: ``pandas.DataFrame(opposites.columns())``."""
        return {
            "group": self.group,
            "item": self.item,
            "other": self.other,
            "kind": self.kind,
            "lag": self.lag,
            "strength": self.strength.round(4),
            "taken": self.taken.round(4),
            "p_value": self.p_value,
            "q_value": self.q_value,
        }


@dataclass(frozen=True)
class _Candidates:
    """Pairs (rows of the panel) that may be mirrored; p-values are the pair's own."""

    item: Ints
    other: Ints
    kind: Ints
    lag: Ints
    strength: Floats
    taken: Floats
    p: Floats
    q: Floats

    def __getitem__(self, chosen: Any) -> _Candidates:
        return _Candidates(**{name: values[chosen] for name, values in vars(self).items()})

    @classmethod
    def join(cls, parts: list[_Candidates]) -> _Candidates:
        return cls(**{name: np.concatenate([vars(part)[name] for part in parts]) for name in cls.__annotations__})


def find_opposites(
    X: Any, groups: Any = None, *, max_lag: int = 0, season: int | None = None, level: float = 0.05
) -> Opposites:
    """Find pairs of items of one group whose departures from the group's course are mirrored.

    Of each item is taken out its level and spread, its season if you say how long it is, and the course of the group's
    other items. What is left is compared with that of every other item of the group, as normal scores, in two ways:
    movements against each other (autocorrelation taken out), and a fall of level when an item is introduced (a rise
    when it is withdrawn). Where all pairs of a group scatter more than they should, for reasons that they share, the
    usual scatter is the measure.

    Parameters
    ----------
    X : array (n, steps), list of arrays, table or Panel
        One channel. Series with time stamps are put on the time they share; those without begin together.
    groups : array of shape (n_series,) or str, optional
        Group of every series, or the name of a column of ``Panel.static``. Series whose group is None or NaN are left
        out. Default: all are one group.
    max_lag : int, default=0
        Steps by which one may run behind the other. Every lag costs a little certainty.
    season : int, optional
        Steps of a season of the items' own, such as 52 weeks. What all of a group share goes without it.
    level : float, default=0.05
        Pairs with a ``q_value`` up to this are returned: the share of chance findings to put up with.

    Returns
    -------
    Opposites

    Raises
    ------
    InvalidDataError
        Several channels, infinite values, or groups that do not fit the series.
    InvalidParameterError
        An unknown column, or an option out of range.

    References
    ----------
    Haugh, "Checking the independence of two covariance-stationary time series", JASA 1976. Benjamini & Hochberg,
    "Controlling the false discovery rate", JRSS B 1995. Devlin & Roeder, "Genomic control for association studies",
    Biometrics 1999.
    """
    panel = as_panel(X)
    check_int("max_lag", max_lag, low=0)
    check_real("level", level, low=0, high=1)
    if season is not None:
        check_int("season", season, low=2)
    if panel.n_channels != 1:
        raise InvalidDataError(f"Opposites are looked for in one channel; found {panel.n_channels}. Choose one.")
    names, codes = _groups_of(panel, groups)
    codes = np.where(invalid_series(panel), -1, codes)
    aligned = align(panel)
    begin, end = presence(aligned)
    steady = (begin == 0) & (end == aligned.shape[1]) & (codes >= 0)
    common = Courses.find(normal_scores(aligned[steady], season))
    found, n_pairs = [_nothing()], np.zeros(2, np.int64)
    for code in range(len(names)):
        rows = np.flatnonzero(codes == code)
        if len(rows) < 2:
            continue
        group = _Group(aligned[rows], begin[rows], end[rows], common)
        n_pairs += group.n_pairs()
        for part in (*group.movements(max_lag, season, level), *group.level_changes(max_lag, season, level)):
            found.append(replace(part, item=rows[part.item], other=rows[part.other]))
        if sum(len(kept.p) for kept in found) > _MOST_CANDIDATES:
            found = [_surest(_Candidates.join(found))]
    pairs = _corrected(_surest(_Candidates.join(found)), n_pairs, level)
    return Opposites(
        group=names[codes[pairs.item]],
        item=panel.ids[pairs.item],
        other=panel.ids[pairs.other],
        kind=np.array(KINDS)[pairs.kind],
        lag=pairs.lag,
        strength=pairs.strength,
        taken=pairs.taken,
        p_value=pairs.p,
        q_value=pairs.q,
        n_pairs=(int(n_pairs[0]), int(n_pairs[1])),
    )


def _groups_of(panel: Panel, groups: Any) -> tuple[npt.NDArray[Any], Ints]:
    """Return the groups' names, and each series' group as a position among them; -1 is none."""
    if groups is None:
        return np.array(["all"]), np.zeros(len(panel), np.int64)
    if isinstance(groups, str):
        if groups not in panel.static:
            raise InvalidParameterError(
                f"No column {groups!r} is kept beside the series.{did_you_mean(groups, list(panel.static))}"
                if panel.static
                else f"No column {groups!r} is kept beside the series, nor any other. Pass static={groups!r} to "
                f"read_panel."
            )
        groups = panel.static[groups]
    groups = np.asarray(groups)
    if groups.shape != (len(panel),):
        raise InvalidDataError(f"groups must be one a series, shape ({len(panel)},); found shape {groups.shape}.")
    none = np.array([name is None or name != name for name in groups.tolist()], bool)
    codes = np.full(len(panel), -1)
    places: dict[Any, int] = {}
    for row in np.flatnonzero(~none):  # in the order in which they come
        codes[row] = places.setdefault(groups[row], len(places))
    return np.array(list(places), dtype=groups.dtype), codes


@dataclass(frozen=True)
class _Group:
    """Items (n, time) of one group, where each is introduced and withdrawn, and the courses of all items."""

    X: Floats
    begin: Ints
    end: Ints
    common: Courses

    @property
    def steady(self) -> npt.NDArray[np.bool_]:
        """Items that are there all the time."""
        return (self.begin == 0) & (self.end == self.X.shape[1])

    def n_pairs(self) -> tuple[int, int]:
        """Return how many pairs there are, and of how many an item is introduced or withdrawn."""
        n, n_steady = len(self.X), int(self.steady.sum())
        every = n * (n - 1) // 2
        return every, every - n_steady * (n_steady - 1) // 2

    def movements(self, max_lag: int, season: int | None, level: float) -> Iterator[_Candidates]:
        """Yield pairs that may move against each other."""
        time = np.arange(self.X.shape[1])
        there = (time >= self.begin[:, None]) & (time < self.end[:, None])
        movements = Movements.of(depart(np.where(there, self.X, np.nan), season, self.common, self.steady))
        n, lags = len(self.X), sorted(range(-max_lag, max_lag + 1), key=abs)
        spreads = {lag: movements.usual_spread(lag) for lag in lags}
        size = max(1, _BLOCK_PAIRS // n)
        for start in range(0, n, size):
            rows, others = np.arange(n)[start : start + size], np.arange(n)[start:]
            best = _Best((len(rows), len(others)))
            for lag in lags:
                deviates, correlations = movements.compare(rows, others, lag)
                best.see(deviates / spreads[lag], correlations, lag)
            p = np.minimum(norm.sf(best.deviates) * len(lags), 1)
            a, b = np.nonzero((p <= level) & (others > rows[:, None]))
            yield _Candidates(
                item=rows[a],
                other=others[b],
                kind=np.zeros(len(a), np.int64),
                lag=best.lags[a, b],
                strength=np.minimum(best.correlations[a, b], 0),
                taken=np.full(len(a), np.nan),
                p=p[a, b],
                q=p[a, b],
            )

    def level_changes(self, max_lag: int, season: int | None, level: float) -> Iterator[_Candidates]:
        """Yield pairs of which one may fall when the other is introduced, or rise when it is withdrawn."""
        came, went = np.flatnonzero(self.begin > 0), np.flatnonzero(self.end < self.X.shape[1])
        if len(came) + len(went) == 0:
            return
        levels = Levels(depart(self.X, season, self.common, self.steady))
        times = (self.begin > 0).astype(np.int64) + (self.end < self.X.shape[1])  # that an item comes or goes
        for kind, sign, steps, items in ((1, 1, self.begin, came), (2, -1, self.end, went)):
            for item in items.tolist():
                best = _Best((len(self.X),))
                for lag in range(max_lag + 1):
                    deviates, correlations = levels.falls(item, int(steps[item]) + lag, sign)
                    best.see(beside_usual(deviates), correlations, lag)
                p = np.minimum(norm.sf(best.deviates) * (max_lag + 1) * (times[item] + times), 1)
                p[item] = 1
                others = np.flatnonzero(p <= level)
                yield _Candidates(
                    item=np.full(len(others), item),
                    other=others,
                    kind=np.full(len(others), kind),
                    lag=best.lags[others],
                    strength=np.minimum(best.correlations[others], 0),
                    taken=np.array([self._taken(item, o, int(steps[item] + best.lags[o]), sign) for o in others]),
                    p=p[others],
                    q=p[others],
                )

    def _taken(self, item: int, other: int, step: int, sign: int) -> float:
        """Return the share that an item lacks after a step (1), or before it (-1), beside the rest."""
        if (self.X < 0).any():
            return np.nan
        rest = self._total - np.nan_to_num(self.X[item]) - np.nan_to_num(self.X[other])
        ratio = []
        for series in (self.X[other], rest):
            before, after = float(np.nanmean(series[:step])), float(np.nanmean(series[step:]))
            without, beside = (before, after) if sign == 1 else (after, before)
            ratio.append(beside / without if without > 0 else np.nan)
        return 1 - (ratio[0] / ratio[1] if ratio[1] > 0 else ratio[0])

    @cached_property
    def _total(self) -> Floats:
        return np.nansum(self.X, axis=0)


class _Best:
    """The lag at which each pair's deviate is largest."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.deviates = np.full(shape, -np.inf)
        self.correlations = np.zeros(shape)
        self.lags = np.zeros(shape, np.int64)

    def see(self, deviates: Floats, correlations: Floats, lag: int) -> None:
        better = deviates > self.deviates
        self.deviates[better], self.correlations[better] = deviates[better], correlations[better]
        self.lags[better] = lag


def _nothing() -> _Candidates:
    whole, real = np.empty(0, np.int64), np.empty(0)
    return _Candidates(whole, whole, whole, whole, real, real, real, real)


def _surest(candidates: _Candidates) -> _Candidates:
    """Keep the surest finding of each pair and way of testing; so many at most that memory is bounded."""
    kept = _first_of_pair(candidates, np.lexsort((candidates.kind, candidates.p)), candidates.kind > 0)
    return kept[np.argsort(kept.p, kind="stable")[:_MOST_CANDIDATES]]


def _first_of_pair(candidates: _Candidates, order: Ints, way: npt.NDArray[Any]) -> _Candidates:
    """Keep, in the given order, the first of each pair (of each way)."""
    low, high = np.minimum(candidates.item, candidates.other), np.maximum(candidates.item, candidates.other)
    pairs = np.stack([low, high, way.astype(np.int64)], axis=1)[order]
    _, first = np.unique(pairs, axis=0, return_index=True)
    return candidates[order[np.sort(first)]]


def _corrected(candidates: _Candidates, n_pairs: Ints, level: float) -> _Candidates:
    """Correct p-values over all pairs that were tested in their way (Benjamini & Hochberg); keep those up to the level.

    Two ways of testing share the level between them. Pairs that are not among the candidates have p-values above
    ``level``, which changes nothing for those below.
    """
    q = np.ones(len(candidates.p))
    for way in np.flatnonzero(n_pairs):
        own = np.flatnonzero((candidates.kind > 0) == way)
        own = own[np.argsort(candidates.p[own], kind="stable")]
        ranked = candidates.p[own] * n_pairs[way] / np.arange(1, len(own) + 1)
        q[own] = np.minimum(np.minimum.accumulate(ranked[::-1])[::-1] * np.count_nonzero(n_pairs), 1)
    corrected = replace(candidates, q=q)
    order = np.lexsort((candidates.p, q))
    order = order[q[order] <= level]
    return _first_of_pair(corrected, order, np.zeros(len(q)))
