"""What changed since a clusterer was fitted, measured with later series."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vrae.data.ids import joined_ids
from vrae.data.panel import Panel
from vrae.data.timing import Timing
from vrae.describe.drift_result import (
    AT_THE_FIT,
    TOO_LITTLE,
    WITHOUT_GROUP,
    Drift,
    DriftItems,
    LevelChange,
    ShareChange,
    levels_in_words,
    shares_in_words,
)
from vrae.describe.words import cluster_name, plural
from vrae.estimators.drift_checks import alike_ids, more_missing, new_units, other_units
from vrae.estimators.drift_later import Fitted, Later, gather
from vrae.estimators.drift_levels import corrected_levels, levels_beside_the_fit, levels_beside_the_past, mark_levels
from vrae.estimators.drift_tests import ShareTest, Sides, energy_test, holm, share_test, shares_of, unlike_test
from vrae.estimators.partition import labels_of

__all__ = ["drift_of"]

# A share that moved by less is no finding, however many series there are. Nor are latent vectors
# that differ by less; see benchmarks/drift.
_LEAST_SHARE, _LEAST_EFFECT = 0.02, 0.02
# A table that has grown moves shares and vectors by itself.
_LEAST_GROWN_SHARE, _LEAST_GROWN_EFFECT = 0.05, 0.05
_GROWN = 0.02
# But a group that nearly halved or doubled changed, however small it is. If the table has grown,
# only what is gone and new counts here: growth alone has halved a group of 5 %.
_FACTOR = 1.8

# Dates can be compared if the table begins at most this fraction of the training calendar later,
# and ends at most this fraction later. Or if it moved by whole years, to so many days.
_LOST, _ADDED = 0.05, 0.3
_NEAR_A_YEAR = 10
_YEAR = 365.25

# Series with less than this fraction of the usual length are not compared.
_SHORT = 0.5
# New series that are short are in no share, if they are at most this fraction of all.
_MOST_LEFT_OUT = 0.5

# Shares can change if this part of the series has a group, relative to the fit.
_LEAST_GROUPED = 0.5

# An item moved for sure if both clusters have this probability.
_SURE = 0.8


@dataclass(frozen=True)
class _Window:
    """How the dates or lengths of both tables compare."""

    caveat: str = ""
    outgrown: str = ""
    is_grown: bool = False


def drift_of(clusterer: Fitted, panels: Iterable[Panel], alpha: float) -> Drift:
    """Compare later series, in one or more panels, with those that a clusterer was fitted to."""
    later = gather(clusterer, panels)
    window = _compare_windows(clusterer, later)
    before, n_clusters = clusterer.labels_, clusterer.n_clusters_
    now = labels_of(later.probabilities)
    has_ids, sides = later.is_named, later.sides
    left_out = _left_out(later, now, sides)
    counted = np.where(left_out, -1, now)
    test = share_test(before, counted, sides, n_clusters)
    effect, pattern_p = energy_test(clusterer.embedding_, np.where(left_out[:, None], np.nan, later.Z), sides)
    n_series = int(np.isfinite(later.Z).all(axis=1).sum())
    n_unlike, rate, unlike_p = int(later.unlike.sum()), clusterer.false_alarm_rate, 1.0
    belonging = clusterer.belonging_
    judged = rate is not None and belonging is not None
    if rate is not None and belonging is not None:
        unlike_p = unlike_test(n_unlike, n_series, rate, len(belonging.references))
    at_fit = _levels_at_fit(clusterer)
    levels, level_words = _levels(clusterer, later, at_fit, sides, window)
    level_p = [float(corrected_levels(levels).min())] if levels else []
    corrected = holm([test.p_value, unlike_p, pattern_p, *level_p])
    least_share = _LEAST_GROWN_SHARE if window.is_grown else _LEAST_SHARE
    least_effect = _LEAST_GROWN_EFFECT if window.is_grown else _LEAST_EFFECT
    found = [p <= alpha and not window.caveat for p in corrected]
    # If the shares changed, the clearest of them did.
    is_clear = found[0] & (test.p_values <= np.maximum(alpha, test.p_values.min(initial=1.0)))
    is_large = _is_large(test, before, counted, sides, least_share, window.is_grown)
    is_told = _have_groups(before, now)
    shares = _shares(clusterer, test, is_clear, is_large, is_told)
    moved = any(share.changed for share in shares)
    if levels:
        levels = mark_levels(levels, alpha, found[3])
    checks = _checks(clusterer, later, at_fit, window, levels, level_words)
    # Other shares alone make vectors differ, so then it says nothing more.
    is_unlike, differs = found[1], found[2] and effect >= least_effect and not moved
    return Drift(
        shares=shares,
        items=_items(clusterer, later, now, sides, left_out),
        names=clusterer.names_,
        n_series=n_series,
        n_unlike=n_unlike,
        unlike_rate=rate if judged else None,
        unlike_p_value=unlike_p,
        pattern_effect=effect,
        pattern_p_value=pattern_p,
        alpha=alpha,
        findings=(
            *_findings(shares, n_unlike, n_series, rate or 0.0, is_unlike, differs),
            *([levels_in_words(levels, level_words)] if any(level.changed for level in levels) else ()),
        ),
        caveat=window.caveat,
        fit_again="" if checks else _reason(is_unlike, differs, window),
        has_ids=has_ids,
        levels=tuple(levels),
        level_words=level_words,
        n_moved_by_chance=later.n_moved if has_ids and not window.caveat else None,
        checks=checks,
        share_rule=_rule(least_share, window.is_grown),
    )


def _left_out(later: Later, now: npt.NDArray[np.int64], sides: Sides) -> npt.NDArray[np.bool_]:
    """Return which series are in no share, (n_series,): new ones of which too little is known.

    None if most series are such: the others do not show that nothing changed.
    """
    is_new = np.zeros(len(now), bool)
    is_new[sides.only_now] = True
    left_out = later.short & is_new & (now >= 0)
    return left_out & (left_out.sum() <= _MOST_LEFT_OUT * (now >= 0).sum())


def _have_groups(before: npt.NDArray[np.int64], now: npt.NDArray[np.int64]) -> bool:
    """Return whether enough series have a group: shares of few others say nothing of all."""
    return bool(np.mean(now >= 0) >= _LEAST_GROUPED * np.mean(before >= 0))


def _is_large(
    test: ShareTest,
    before: npt.NDArray[np.int64],
    now: npt.NDArray[np.int64],
    sides: Sides,
    least_share: float,
    is_grown: bool,
) -> npt.NDArray[np.bool_]:
    """Return of which clusters the share moved far enough to matter, (n_clusters,)."""
    first, second = test.shares
    is_large = np.abs(second - first) >= least_share
    if is_grown and sides.pairs.size:
        now = now.copy()
        now[sides.pairs[1]] = before[sides.pairs[0]]
        second = shares_of(np.bincount(now[now >= 0], minlength=len(first)))
    elif is_grown:
        second = first  # none is known to be gone
    return np.asarray(is_large | (np.maximum(first, second) >= _FACTOR * np.minimum(first, second)))


def _rule(least_share: float, is_grown: bool) -> str:
    """Say which shares count as changed."""
    return (
        f"A share counts as changed if the change is beyond chance, and is {100 * least_share:g} points or more or a "
        f"factor of {_FACTOR:g} or more."
        + (" For the factor, only items that are gone or new count." if is_grown else "")
    )


def _checks(
    clusterer: Fitted,
    later: Later,
    at_fit: npt.NDArray[np.float64],
    window: _Window,
    levels: list[LevelChange],
    level_words: str,
) -> tuple[str, ...]:
    """Say what looks wrong with the later table itself."""
    found, sides, texts = [], later.sides, later.texts
    if later.is_named:
        if later.past is not None or not window.caveat:
            first, second = sides.pairs
            found.append(other_units(at_fit[first], later.levels[second]))
        found.append(new_units(levels, level_words) if later.past is not None else "")
        found.append(alike_ids(texts[0][sides.only_before], texts[1][sides.only_now], sides.pairs.shape[1]))
    calendar = clusterer.model_.calendar_
    if calendar is not None:
        found.append(more_missing(calendar.absent, later.absent, calendar.unit))
    return tuple(check for check in found if check)


def _levels_at_fit(clusterer: Fitted) -> npt.NDArray[np.float64]:
    """Return the levels of training series that have a portrait, (n_series,); NaN for others."""
    known = np.full(len(clusterer.ids_), np.nan)
    if clusterer.portraits_ is not None:
        known[clusterer.portraits_.rows] = clusterer.portraits_.numbers["level"][:, 0]
    return known


def _levels(
    clusterer: Fitted, later: Later, at_fit: npt.NDArray[np.float64], sides: Sides, window: _Window
) -> tuple[list[LevelChange], str]:
    """Compare levels of items in both tables, and say with what. Empty if that is not possible."""
    names = [cluster_name(k, clusterer.names_) for k in range(clusterer.n_clusters_)]
    if window.caveat or not later.is_named or clusterer.model_.network_.config.n_channels > 1:
        return [], ""
    if later.past is not None and later.changes is not None and later.change_labels is not None:
        return levels_beside_the_past(later.changes, later.change_labels, later.past, names), later.past.words
    if np.isnan(at_fit).all() or np.isnan(later.levels).all():
        return [], ""
    first, second = sides.pairs
    # Those that changed cluster are left out: by chance, they return to what is usual for them.
    stayed = clusterer.labels_[first] == labels_of(later.probabilities)[second]
    labels = np.where(stayed, clusterer.labels_[first], -1)
    return levels_beside_the_fit(at_fit[first], later.levels[second], labels, names), AT_THE_FIT


def _compare_windows(clusterer: Fitted, later: Later) -> _Window:
    """Say whether later series cover what the training series covered."""
    timing = clusterer.model_.scaler_.timing
    if timing is not None and later.start is not None:
        return _compare_dates(timing, later)
    usual, found = clusterer.model_.n_steps_, float(np.median(later.lengths)) if len(later.lengths) else 0.0
    if found < _SHORT * usual:
        return _Window(
            f"The new series have {found:.0f} steps and those of the fit {usual:,}: too few to compare. Pass the table "
            f"with its past, not the new steps alone."
        )
    return _Window(is_grown=abs(found / usual - 1) > _GROWN)


def _compare_dates(timing: Timing, later: Later) -> _Window:
    first, last = np.datetime64(timing.start), np.datetime64(timing.end)
    day = np.timedelta64(1, "D")
    span, lost, added = ((b - a) / day for a, b in ((first, last), (first, later.start), (last, later.end)))
    span = max(float(span), 1e-9)
    years = [round(float(part) / _YEAR) for part in (lost, added)]
    whole = all(abs(float(part) - n * _YEAR) <= _NEAR_A_YEAR for part, n in zip((lost, added), years, strict=True))
    if years[0] > 0 and years[0] == years[1] and whole:
        return _Window()  # the same seasons, one or more years later
    if lost > _LOST * span:
        return _Window(
            f"The new table begins at {later.start.astype('M8[D]')} and that of the fit at {first.astype('M8[D]')}. "
            f"The groups compare series by date, so a change cannot be told from the missing dates. Pass the table "
            f"with its past."
        )
    if added > _ADDED * span and not whole:
        outgrown = f"{100 * added / (span + added):.0f} % of the dates are newer than the model"
        return _Window(
            "The new dates are too many to tell a change of the series from the season.", outgrown, is_grown=True
        )
    return _Window(is_grown=abs(added - lost) > _GROWN * span)


def _shares(
    clusterer: Fitted,
    test: ShareTest,
    is_clear: npt.NDArray[np.bool_],
    is_large: npt.NDArray[np.bool_],
    is_told: bool,
) -> tuple[ShareChange, ...]:
    first, second = test.shares
    return tuple(
        ShareChange(
            cluster=k,
            name=cluster_name(k, clusterer.names_),
            n_before=int(test.counts[0, k]),
            n_now=int(test.counts[1, k]),
            before=float(first[k]),
            now=float(second[k]),
            p_value=float(test.p_values[k]),
            changed=bool(is_clear[k] & is_large[k] & is_told),
            remark="" if not is_clear[k] else WITHOUT_GROUP if not is_told else "" if is_large[k] else TOO_LITTLE,
        )
        for k in range(clusterer.n_clusters_)
    )


def _items(
    clusterer: Fitted, later: Later, now: npt.NDArray[np.int64], sides: Sides, left_out: npt.NDArray[np.bool_]
) -> DriftItems:
    """Return the items of the new table, and those that are gone."""
    n, gone = len(now), sides.only_before if later.is_named else sides.only_before[:0]
    earlier = np.full(n, -1, np.int64)
    earlier[sides.pairs[1]] = clusterer.labels_[sides.pairs[0]]
    status = np.full(n, "new" if later.is_named else "unknown", "<U7")
    status[sides.pairs[1]] = "same"
    moved = (earlier >= 0) & (now >= 0) & (earlier != now)
    status[moved], status[later.unlike] = "moved", "unlike"
    probability = later.probabilities.max(axis=1, initial=0.0)
    rows = np.flatnonzero((earlier >= 0) & (now >= 0))
    place = np.full(n, -1)
    place[sides.pairs[1]] = sides.pairs[0]
    held = clusterer.predict_proba_from_latent(clusterer.embedding_[place[rows]])
    sure = np.zeros(n, bool)
    sure[rows] = (held[np.arange(len(rows)), earlier[rows]] >= _SURE) & (probability[rows] >= _SURE)
    known = clusterer.ids_[gone]
    none = np.full(len(known), -1, np.int64)
    return DriftItems(
        ids=joined_ids([later.ids, known]),
        status=np.concatenate([status, np.full(len(known), "gone")]),
        before=np.concatenate([earlier, clusterer.labels_[gone]]),
        now=np.concatenate([now, none]),
        probability=np.concatenate([probability, np.zeros(len(known))]),
        sure=np.concatenate([sure, np.zeros(len(known), bool)]),
        left_out=np.concatenate([left_out, np.zeros(len(known), bool)]),
    )


def _findings(
    shares: tuple[ShareChange, ...], n_unlike: int, n_series: int, rate: float, is_unlike: bool, differs: bool
) -> tuple[str, ...]:
    found = []
    if is_unlike:
        found.append(
            f"{n_unlike:,} of {plural(n_series, 'series')} ({100 * n_unlike / n_series:.1f} %) are unlike all training "
            f"series; {100 * rate:g} % would be by chance."
        )
    if any(share.changed for share in shares):
        found.append(shares_in_words(shares))
    if differs:
        found.append("The shapes or the timing of the series differ from those of the fit.")
    return tuple(found)


def _reason(is_unlike: bool, differs: bool, window: _Window) -> str:
    """Say why to fit again. Shares that moved between known groups are no reason."""
    if is_unlike:
        return "there are series of a kind that the model does not know"
    if differs:
        return "the groups describe series that have changed"
    return window.outgrown
