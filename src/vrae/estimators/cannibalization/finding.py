"""Find pairs of items in which one sells more when the other sells less."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from vrae.config import check_int, check_real
from vrae.data.panel import Panel, invalid_series
from vrae.data.reading import as_panel
from vrae.estimators.cannibalization.opposition import MovementTest, level_shift_scores, recalibrate
from vrae.estimators.cannibalization.residuals import CommonFactors, Residuals, align, normal_scores, presence
from vrae.estimators.head_plots import PairPlots
from vrae.estimators.plotting import PlotAccessor
from vrae.exceptions import InvalidDataError, InvalidParameterError, did_you_mean
from vrae.phases import advance, announce

__all__ = ["KINDS", "Cannibalization", "find_cannibalization"]

# Number of pairs that are tested at once, and largest number of candidates kept in memory.
_BLOCK_PAIRS = 1 << 20
_MAX_CANDIDATES = 2_000_000

KINDS = ("movement", "introduction", "withdrawal")

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Pairs = npt.NDArray[np.void]


@dataclass(frozen=True)
class Cannibalization:
    """Pairs of items that take sales from each other, most significant first.

    Attributes
    ----------
    group : ndarray of shape (n_found,)
        Group of the two items.
    item, other : ndarray of shape (n_found,)
        Ids of the two items. Of an introduction or a withdrawal, ``item`` is the one that was
        introduced or withdrawn.
    kind : ndarray of str, shape (n_found,)
        "movement": the items move in opposite directions. "introduction": ``other`` falls when
        ``item`` is introduced. "withdrawal": ``other`` rises when ``item`` is withdrawn.
    lag : ndarray of int64, shape (n_found,)
        Number of steps by which ``other`` lags ``item``. Negative if it leads.
    strength : ndarray of float64, shape (n_found,)
        Correlation, between -1 and 0. Of a movement: between the two items. Of an introduction or
        a withdrawal: between ``other`` and the presence of ``item``.
    taken : ndarray of float64, shape (n_found,)
        Fraction of its level that ``other`` loses while ``item`` is present, relative to the rest
        of the group. NaN for movements, and for groups with negative values.
    p_value : ndarray of float64, shape (n_found,)
        p-value of the pair, corrected for the number of lags.
    q_value : ndarray of float64, shape (n_found,)
        Expected proportion of false discoveries among the pairs up to this one (Benjamini &
        Hochberg). Corrected for all pairs of the same kind of test and for the number of tests.
    n_pairs : tuple of int
        Number of pairs tested for opposite movements, and number of pairs tested for level shifts.
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

    plot = PlotAccessor(PairPlots)

    def __len__(self) -> int:
        return len(self.item)

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return the columns of a table by name, for example for ``pandas.DataFrame``."""
        columns = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "n_pairs"}
        return columns | {"strength": self.strength.round(4), "taken": self.taken.round(4)}


# Pairs of items, as indices of series. A kind above 0 was found by the test of level shifts.
_PAIR = np.dtype(
    [(name, np.int64) for name in ("item", "other", "kind", "lag")]
    + [(name, np.float64) for name in ("strength", "taken", "p", "q")]
)


def _pairs(**columns: Any) -> Pairs:
    """Return pairs from their columns, or from one value for all pairs. ``q`` follows later."""
    pairs = np.zeros(len(columns["other"]), _PAIR)
    for name, values in columns.items():
        pairs[name] = values
    return pairs


def find_cannibalization(
    X: Any, groups: Any = None, *, max_lag: int = 0, season: int | None = None, fdr: float = 0.05
) -> Cannibalization:
    """Find pairs of items that take sales from each other.

    All pairs of items within a group are tested, in two ways. The *movement* test looks for items
    that go up and down in opposition. The *level shift* test looks for items that fall when another
    one is introduced, or rise when it is withdrawn. Level, spread, distribution and the common
    factors of the items are removed first, and autocorrelation is accounted for. If all pairs of a
    group vary more than chance explains, p-values are based on that empirical null distribution.

    Parameters
    ----------
    X : array of shape (n_series, n_steps), list of arrays, table or Panel
        Series with one channel. They are aligned by their time stamps. Series without time stamps
        all start at the first step.
    groups : array of shape (n_series,) or str, optional
        Group of every series, or the name of a column of ``Panel.static``. Series whose group is
        None or NaN are left out. By default, all series are one group.
    max_lag : int, default=0
        Largest lag between two items, in steps. Every additional lag costs statistical power.
    season : int, optional
        Length in steps of a season that differs between items, for example 52 weeks. A season that
        the items share is removed without this option.
    fdr : float, default=0.05
        False discovery rate, between 0 and 1. Pairs with a ``q_value`` up to this are returned.

    Returns
    -------
    Cannibalization

    Raises
    ------
    InvalidDataError
        If there are several channels or infinite values, or ``groups`` has the wrong shape.
    InvalidParameterError
        If a column is unknown or an option is out of range.

    References
    ----------
    Haugh, "Checking the independence of two covariance-stationary time series", JASA 1976.
    Benjamini & Hochberg, "Controlling the false discovery rate", JRSS B 1995.
    Devlin & Roeder, "Genomic control for association studies", Biometrics 1999.

    Examples
    --------
    >>> import numpy as np
    >>> from vrae import find_cannibalization
    >>> sales = np.random.default_rng(0).poisson(50, (20, 60)).astype(float)
    >>> sales[0, :30] = 0  # introduced in week 30
    >>> sales[1, 30:] *= 0.4
    >>> found = find_cannibalization(sales)
    >>> int(found.item[0]), int(found.other[0]), str(found.kind[0]), float(found.taken[0].round(1))
    (0, 1, 'introduction', 0.6)
    """
    panel = as_panel(X)
    check_int("max_lag", max_lag, low=0)
    check_real("fdr", fdr, low=0, high=1)
    if season is not None:
        check_int("season", season, low=2)
    if panel.n_channels != 1:
        raise InvalidDataError(
            f"Cannibalization is found between series with one channel; these have {panel.n_channels}. Select one."
        )
    names, codes = _encode_groups(panel, groups)
    codes = np.where(invalid_series(panel), -1, codes)
    aligned = align(panel)
    n_steps = aligned.shape[1]
    if max_lag and max_lag >= n_steps:
        raise InvalidParameterError(f"max_lag={max_lag} is not shorter than the series ({n_steps} steps). Lower it.")
    begin, end = presence(aligned)
    always_present = (begin == 0) & (end == n_steps) & (codes >= 0)
    common = CommonFactors.estimate(normal_scores(aligned[always_present], season))
    found, n_pairs = [np.empty(0, _PAIR)], np.zeros(2, np.int64)
    announce("Comparing")
    for code in range(len(names)):
        advance(code, len(names), "groups")
        indices = np.flatnonzero(codes == code)
        if len(indices) < 2:
            continue
        group = _Group(aligned[indices], begin[indices], end[indices], common)
        n_pairs += group.n_pairs()
        for part in (*group.movements(max_lag, season, fdr), *group.level_shifts(max_lag, season, fdr)):
            part["item"], part["other"] = indices[part["item"]], indices[part["other"]]
            found.append(part)
        if sum(map(len, found)) > _MAX_CANDIDATES:
            found = [_most_significant(np.concatenate(found))]
    pairs = _control_fdr(_most_significant(np.concatenate(found)), n_pairs, fdr)
    return Cannibalization(
        group=names[codes[pairs["item"]]],
        item=panel.ids[pairs["item"]],
        other=panel.ids[pairs["other"]],
        kind=np.array(KINDS)[pairs["kind"]],
        lag=pairs["lag"],
        strength=pairs["strength"],
        taken=pairs["taken"],
        p_value=pairs["p"],
        q_value=pairs["q"],
        n_pairs=(int(n_pairs[0]), int(n_pairs[1])),
    )


def _encode_groups(panel: Panel, groups: Any) -> tuple[npt.NDArray[Any], Ints]:
    """Return the names of the groups and the code of each series' group, -1 for none."""
    if groups is None:
        return np.array(["all"]), np.zeros(len(panel), np.int64)
    if isinstance(groups, str):
        if not panel.static:
            raise InvalidParameterError(
                f"No static column {groups!r}: the panel has none. Pass static={groups!r} to read_panel."
            )
        if groups not in panel.static:
            raise InvalidParameterError(f"No static column {groups!r}.{did_you_mean(groups, list(panel.static))}")
        groups = panel.static[groups]
    groups = np.asarray(groups)
    if groups.shape != (len(panel),):
        raise InvalidDataError(
            f"groups has shape {groups.shape}; expected ({len(panel)},). Pass one group for each series."
        )
    missing = np.array([name is None or name != name for name in groups.tolist()], bool)
    codes = np.full(len(panel), -1)
    code_of: dict[Any, int] = {}
    for index in np.flatnonzero(~missing):  # in order of first appearance
        codes[index] = code_of.setdefault(groups[index], len(code_of))
    return np.array(list(code_of), dtype=groups.dtype), codes


@dataclass(frozen=True)
class _Group:
    """Items (n, time) of one group, their presence, and the common factors of all groups."""

    X: Floats
    begin: Ints
    end: Ints
    common: CommonFactors

    @cached_property
    def always_present(self) -> npt.NDArray[np.bool_]:
        return (self.begin == 0) & (self.end == self.X.shape[1])

    def n_pairs(self) -> tuple[int, int]:
        """Return the number of all pairs, and of those with an introduction or a withdrawal."""
        n, n_present = len(self.X), int(self.always_present.sum())
        n_all = n * (n - 1) // 2
        return n_all, n_all - n_present * (n_present - 1) // 2

    def movements(self, max_lag: int, season: int | None, fdr: float) -> Iterator[Pairs]:
        """Yield pairs of items that may move in opposite directions."""
        time = np.arange(self.X.shape[1])
        present = (time >= self.begin[:, None]) & (time < self.end[:, None])
        X = np.where(present, self.X, np.nan)
        test = MovementTest.prepare(Residuals.estimate(X, season, self.common, self.always_present))
        n, lags = len(self.X), sorted(range(-max_lag, max_lag + 1), key=abs)
        scales = {lag: test.null_scale(lag) for lag in lags}
        size = max(1, _BLOCK_PAIRS // n)
        for start in range(0, n, size):
            items, others = np.arange(n)[start : start + size], np.arange(n)[start:]
            best = _BestLag((len(items), len(others)))
            for lag in lags:
                z, correlations = test.z_scores(items, others, lag)
                best.update(z / scales[lag], correlations, lag)
            p = np.minimum(norm.sf(best.z) * len(lags), 1)
            a, b = np.nonzero((p <= fdr) & (others > items[:, None]))
            strength = np.minimum(best.correlations[a, b], 0)
            yield _pairs(
                item=items[a], other=others[b], lag=best.lags[a, b], strength=strength, taken=np.nan, p=p[a, b]
            )

    def level_shifts(self, max_lag: int, season: int | None, fdr: float) -> Iterator[Pairs]:
        """Yield pairs in which one item may fall at an introduction, or rise at a withdrawal."""
        n_steps = self.X.shape[1]
        introduced, withdrawn = np.flatnonzero(self.begin > 0), np.flatnonzero(self.end < n_steps)
        if len(introduced) + len(withdrawn) == 0:
            return
        residuals = Residuals.estimate(self.X, season, self.common, self.always_present)
        n_events = (self.begin > 0).astype(np.int64) + (self.end < n_steps)  # of each item
        for kind, sign, steps, items in ((1, 1, self.begin, introduced), (2, -1, self.end, withdrawn)):
            for item in items.tolist():
                first = int(steps[item])
                best = _BestLag((len(self.X),))
                for step in range(first, min(first + max_lag + 1, n_steps)):
                    z, correlations = level_shift_scores(residuals, item, step, sign)
                    best.update(recalibrate(z), correlations, step - first)
                p = np.minimum(norm.sf(best.z) * (max_lag + 1) * (n_events[item] + n_events), 1)
                others = np.flatnonzero((p <= fdr) & (np.arange(len(p)) != item))
                yield _pairs(
                    item=item,
                    other=others,
                    kind=kind,
                    lag=best.lags[others],
                    strength=np.minimum(best.correlations[others], 0),
                    taken=[self._fraction_taken(item, o, first + int(best.lags[o]), sign) for o in others],
                    p=p[others],
                )

    def _fraction_taken(self, item: int, other: int, step: int, sign: int) -> float:
        """Return the fraction that an item loses after (1) or before (-1) a step.

        The change of the rest of the group is the reference.
        """
        if (self.X < 0).any():
            return np.nan
        rest = self._total - np.nan_to_num(self.X[item]) - np.nan_to_num(self.X[other])
        ratios = []
        for series in (self.X[other], rest):
            before, after = _mean(series[:step]), _mean(series[step:])
            absent, present = (before, after) if sign == 1 else (after, before)
            ratios.append(present / absent if absent > 0 else np.nan)
        return 1 - (ratios[0] / ratios[1] if ratios[1] > 0 else ratios[0])

    @cached_property
    def _total(self) -> Floats:
        return np.nansum(self.X, axis=0)


class _BestLag:
    """The lag with the largest z-score of each pair."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.z = np.full(shape, -np.inf)
        self.correlations = np.zeros(shape)
        self.lags = np.zeros(shape, np.int64)

    def update(self, z: Floats, correlations: Floats, lag: int) -> None:
        better = z > self.z
        self.z[better], self.correlations[better] = z[better], correlations[better]
        self.lags[better] = lag


def _mean(values: Floats) -> float:
    """Return the mean of the observed values, NaN if there are none."""
    return float(np.nanmean(values)) if not np.isnan(values).all() else np.nan


def _most_significant(pairs: Pairs) -> Pairs:
    """Keep the most significant finding of each pair and test, and at most 2,000,000 in total."""
    kept = _first_of_pair(pairs[np.lexsort((pairs["kind"], pairs["p"]))], by_test=True)
    return kept[np.argsort(kept["p"], kind="stable")[:_MAX_CANDIDATES]]


def _first_of_pair(pairs: Pairs, *, by_test: bool) -> Pairs:
    """Keep the first entry of each pair of items, or the first of each test."""
    low, high = np.minimum(pairs["item"], pairs["other"]), np.maximum(pairs["item"], pairs["other"])
    _, first = np.unique(np.stack([low, high, by_test & (pairs["kind"] > 0)], axis=1), axis=0, return_index=True)
    return pairs[np.sort(first)]


def _control_fdr(pairs: Pairs, n_pairs: Ints, fdr: float) -> Pairs:
    """Compute q-values (Benjamini & Hochberg) and keep the pairs with a q-value up to ``fdr``.

    The correction is over all pairs tested, by each test on its own, and the tests share the error
    rate between them (Bonferroni). Pairs that are not among the candidates have p-values above
    ``fdr`` and do not affect the q-values below it.
    """
    for test in np.flatnonzero(n_pairs):
        own = np.flatnonzero((pairs["kind"] > 0) == test)
        own = own[np.argsort(pairs["p"][own], kind="stable")]
        ranked = pairs["p"][own] * n_pairs[test] / np.arange(1, len(own) + 1)
        pairs["q"][own] = np.minimum(np.minimum.accumulate(ranked[::-1])[::-1] * np.count_nonzero(n_pairs), 1)
    order = np.lexsort((pairs["p"], pairs["q"]))
    return _first_of_pair(pairs[order[pairs["q"][order] <= fdr]], by_test=False)
