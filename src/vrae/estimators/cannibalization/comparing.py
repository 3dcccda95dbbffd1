"""All pairs of items of each group, compared by both tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from vrae.estimators.cannibalization.attribution import Attribution
from vrae.estimators.cannibalization.level_shifts import (
    PlaceboNull,
    ShiftGroup,
    presence_courses,
    rising_steps,
    sales_levels,
    shifted,
)
from vrae.estimators.cannibalization.losses import Losses
from vrae.estimators.cannibalization.opposition import MovementTest
from vrae.estimators.cannibalization.pair_table import (
    MAX_CANDIDATES,
    NO_PAIRS,
    BestLag,
    Pairs,
    make_pairs,
    most_significant,
)
from vrae.estimators.cannibalization.residuals import (
    CommonFactors,
    Residuals,
    presence,
    seasonal_waves,
    stable_scores,
)
from vrae.estimators.cannibalization.substitutes import Similarity
from vrae.exceptions import DataWarning, warn
from vrae.phases import advance

__all__ = ["Comparison"]

# Number of pairs that are tested at once.
_BLOCK_PAIRS = 1 << 20
# Items that take longer than this to arrive or to leave are compared with placebos as slow as they.
_MOST_SUDDEN = 12

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Comparison:
    """Items (n, time) on one time axis, their groups, and the options."""

    X: Floats
    codes: Ints
    similarity: Similarity
    max_lag: int
    season: int | None
    fdr: float

    @cached_property
    def presence(self) -> tuple[Ints, Ints]:
        """Step at which each item is introduced, and after which it is withdrawn."""
        return presence(self.X)

    @cached_property
    def always_present(self) -> npt.NDArray[np.bool_]:
        """Say which items are present from the first step to the last."""
        begin, end = self.presence
        return np.asarray((begin == 0) & (end == self.X.shape[1]))

    @cached_property
    def courses(self) -> Floats:
        """See `presence_courses`."""
        return presence_courses(self.X, *self.presence)

    @cached_property
    def event_kind(self) -> Ints:
        """1 for items that were introduced, 2 for other items that were withdrawn, else 0."""
        begin, end = self.presence
        return np.where(begin > 0, 1, np.where(end < self.X.shape[1], 2, 0))

    def candidates(self, n_groups: int) -> tuple[Pairs, Ints]:
        """Return the pairs with a p-value up to ``fdr``, and the number of pairs of each test."""
        members = [np.flatnonzero(self.codes == code) for code in range(n_groups)]
        members = [items for items in members if len(items) > 1]
        common = CommonFactors.estimate(stable_scores(self.X[self.always_present & (self.codes >= 0)], self.season))
        found, n_pairs = [NO_PAIRS], np.zeros(2, np.int64)
        for number, items in enumerate(members):
            advance(number, len(members), "groups")
            n_pairs += self._count(items)
            found += self._movements(items, common)
            if sum(map(len, found)) > MAX_CANDIDATES:
                found = [most_significant(np.concatenate(found))]
        for kind in (1, 2):
            if any((self.event_kind[items] == kind).any() for items in members):
                found += self._level_shifts(members, common, kind)
        return most_significant(np.concatenate(found)), n_pairs

    def _count(self, items: Ints) -> Ints:
        """Return the number of all pairs, and of those with an introduction or a withdrawal."""
        event = self.event_kind[items] > 0
        size = max(1, _BLOCK_PAIRS // len(items))
        total = with_event = both = 0
        for start in range(0, len(items), size):
            rows = slice(start, start + size)
            allowed = self.similarity.allowed(items[rows], items)
            total += int(allowed.sum()) - len(items[rows])  # not with itself
            with_event += int(allowed[event[rows]].sum()) - int(event[rows].sum())
            both += int(allowed[event[rows]][:, event].sum()) - int(event[rows].sum())
        return np.array([total // 2, with_event - both // 2])

    def _movements(self, items: Ints, common: CommonFactors) -> Iterator[Pairs]:
        """Yield pairs of items that may move in opposite directions."""
        begin, end = (steps[items, None] for steps in self.presence)
        time = np.arange(self.X.shape[1])
        X = np.where((time >= begin) & (time < end), self.X[items], np.nan)
        n_fitted = 0 if self.season is None else len(seasonal_waves(len(time), self.season))
        residuals = Residuals.estimate(X, self.season, common, self.always_present[items])
        test = MovementTest.prepare(residuals, n_fitted)
        n, lags = len(items), sorted(range(-self.max_lag, self.max_lag + 1), key=abs)
        scales = {lag: test.null_scale(lag) for lag in lags}
        size = max(1, _BLOCK_PAIRS // n)
        for start in range(0, n, size):
            first, second = np.arange(n)[start : start + size], np.arange(n)[start:]
            best = BestLag((len(first), len(second)))
            for lag in lags:
                z, correlations = test.z_scores(first, second, lag)
                best.update(z / scales[lag], correlations, lag)
            p = np.minimum(norm.sf(best.z) * len(lags), 1)
            wanted = (p <= self.fdr) & (second > first[:, None])
            a, b = np.nonzero(wanted & self.similarity.allowed(items[first], items[second]))
            strength = np.minimum(best.correlations[a, b], 0)
            yield make_pairs(
                item=items[first[a]], other=items[second[b]], lag=best.lags[a, b], strength=strength, p=p[a, b]
            )

    def _level_shifts(self, members: list[Ints], common: CommonFactors, kind: int) -> Iterator[Pairs]:
        """Yield pairs in which one item may fall at an introduction, or rise at a withdrawal."""
        begin, end = self.presence
        levels = sales_levels(self.X, begin, end)
        rising = np.where((self.event_kind == kind) & (self.codes >= 0), rising_steps(self.courses), 0)
        is_slow = (rising > _MOST_SUDDEN).astype(int)
        dates = begin if kind == 1 else end
        prepared, scores = [], []
        for number, items in enumerate(members):
            advance(number, len(members), "groups")
            group = ShiftGroup.prepare(items, self.X[items], begin[items], end[items], common, self.season, kind)
            prepared.append(group)
            events = items[self.event_kind[items] == kind]
            lags = shifted(self.courses[events], self.max_lag)
            scores.append((events, [group.z_scores(courses, levels[events]) for _, courses in lags]))
        nulls = [PlaceboNull(prepared)]
        if is_slow.any():  # slow courses follow each other by chance more often than sudden ones
            n_rising = int(np.median(rising[is_slow > 0]))
            nulls.append(PlaceboNull([group.with_placebo(n_rising) for group in prepared]))
            half = self.courses >= 0.5
            middle = half.argmax(axis=1) if kind == 1 else half.shape[1] - half[:, ::-1].argmax(axis=1)
            dates = np.where(is_slow, middle, dates)
        suspects = [np.empty(0, np.int64)]
        for items, (events, by_lag) in zip(members, scores, strict=True):
            allowed = self._allowed(items, events)
            for z in by_lag:
                for column, event in enumerate(events.tolist()):
                    z[:, column] = nulls[is_slow[event]].standardize(z[:, column], int(dates[event]))
                suspects.append(items[(PlaceboNull.suspects(z) & allowed).any(axis=1)])
        for null in nulls:
            null.leave_out(np.concatenate(suspects))
        for group, (events, by_lag) in zip(prepared, scores, strict=True):
            yield self._shift_pairs(group, events, by_lag, [nulls[slow] for slow in is_slow[events]])

    def _allowed(self, items: Ints, events: Ints) -> npt.NDArray[np.bool_]:
        return self.similarity.allowed(items, events) & (items[:, None] != events)

    def _shift_pairs(self, group: ShiftGroup, events: Ints, by_lag: list[Floats], nulls: list[PlaceboNull]) -> Pairs:
        """Return the pairs of one group with p-values up to ``fdr``; a null for each event."""
        items = group.items
        best = BestLag((len(items), len(events)))
        for lag, z in enumerate(by_lag):
            best.update(z, -z, lag)
        allowed = self._allowed(items, events)
        levels = sales_levels(self.X[events], *(steps[events] for steps in self.presence))
        attribution = Attribution(group, self.courses[events], levels, self.max_lag)
        strongest = np.where(allowed, best.z, -np.inf).max(axis=1, initial=-np.inf)
        added = attribution.explain_once(best, allowed, np.flatnonzero(PlaceboNull.suspects(strongest)))
        # Two items with an event each are tested twice.
        n_tests = (self.max_lag + 1) * (1 + (self.event_kind[items] > 0))
        p = np.ones(best.z.shape)
        for column, null in enumerate(nulls):
            p[:, column] = np.minimum(null.p_values(best.z[:, column]) * n_tests, 1)
        p[~np.isfinite(best.z)] = 1
        p[norm.sf(added) > self.fdr] = 1  # another event explains the fall as well
        a, b = np.nonzero((p <= self.fdr) & allowed)
        z = np.maximum(best.z[a, b], 0)
        n = np.maximum((~np.isnan(self.X[items[a]])).sum(axis=1), 3)
        strength = -z / np.sqrt(z**2 + n - 2)
        lags = best.lags[a, b]
        return make_pairs(item=events[b], other=items[a], kind=group.kind, lag=lags, strength=strength, p=p[a, b])

    def losses(self, pairs: Pairs, ids: npt.NDArray[Any]) -> tuple[Floats, Floats]:
        """Return the units a step and the fraction that ``other`` loses, NaN for movements."""
        losses = Losses(self.X, *self.presence, self.codes, self.courses)
        both = np.full((len(pairs), 2), np.nan)
        for index in np.flatnonzero(pairs["kind"] > 0).tolist():
            pair = pairs[index]
            both[index] = losses.of_pair(int(pair["item"]), int(pair["other"]), int(pair["lag"]))
        unknown = np.flatnonzero(np.isfinite(both[:, 0]) & np.isnan(both[:, 1]))
        if len(unknown):
            name = ids[pairs["other"][unknown[0]]]
            warn(
                f"Of {len(unknown)} pairs, the fraction taken is not known, because the item sold nothing on balance "
                f"without the other one, for example {name}. `units` has its loss.",
                DataWarning,
            )
        return both[:, 0], both[:, 1]

    def event_times(self, pairs: Pairs, stamps: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
        """Return when the item of each pair was introduced, or was there for the last time."""
        begin, end = (steps[pairs["item"]] for steps in self.presence)
        step = np.where(pairs["kind"] == 2, end - 1, begin)
        if stamps is None:
            return np.where(pairs["kind"] > 0, step + 1, 0)
        none = np.array("NaT", stamps.dtype) if stamps.dtype.kind == "M" else np.nan
        return np.where(pairs["kind"] > 0, stamps[step], none)
