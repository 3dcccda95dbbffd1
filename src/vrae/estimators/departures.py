"""What items of a group do apart from the group: the series that opposites are looked for in.

Arrays in, arrays out; a row an item, a column a step of the time that all share, NaN where nothing was observed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri
from scipy.stats import rankdata

from vrae.data.panel import Panel

__all__ = ["Courses", "Departures", "align", "depart", "normal_scores", "presence", "whiten"]

# A course is what so many items share at least; of two or three, it would be what they do to each other.
_SHARERS = 6
_MOST_COURSES = 8
# Items in which courses are looked for, and times that chance is tried.
_COURSE_SAMPLE = 2_000
_TURNS = 10
# Steps on each side of an introduction or withdrawal.
_FEWEST_STEPS = 4
# A beginning without sales is an introduction if chance would make so long a one this rarely.
_BY_CHANCE = 1e-3
# Largest order of the autoregression that is taken out.
_MAX_ORDER = 4

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_ALL = slice(None)


@dataclass(frozen=True)
class Departures:
    """Items (n, time), and what is left of them without the courses that they share.

    Attributes
    ----------
    scores : ndarray of shape (n, time)
        The items as normal scores; see `normal_scores`.
    observed : ndarray of bool, shape (n, time)
    lines : ndarray of shape (n_courses, time)
        The courses.
    shares : ndarray of shape (n_courses,)
        What each of them explains of the items' variance.
    rest : ndarray of shape (n, time)
        What is left of the scores, with mean 0 and variance 1; 0 where nothing was observed.
    loadings : ndarray of shape (n, n_courses)
        Each item's part in the courses. Two items' rests are mirrored by the product of their loadings even if they
        have nothing to do with each other: what one does is part of a course, which is taken out of the other.
    """

    scores: Floats
    observed: npt.NDArray[np.bool_]
    lines: Floats
    shares: Floats
    rest: Floats
    loadings: Floats


def align(panel: Panel) -> Floats:
    """Return the series (n, time) of a panel of one channel on the time they share.

    By the panel's time stamps; without them, all begin at the same step.
    """
    if panel.times is None:
        return panel.to_padded()[:, 0].astype(np.float64)
    grid, column = np.unique(panel.times, return_inverse=True)
    X = np.full((len(panel), len(grid)), np.nan)
    X[np.repeat(np.arange(len(panel)), panel.lengths), column] = panel.values[:, 0]
    return X


def presence(X: Floats) -> tuple[Ints, Ints]:
    """Return where each item is introduced, and where it is withdrawn.

    An item is absent where nothing is observed and, if no value is negative (sales, counts), where it is 0 for longer
    than its later zeros make likely.

    Returns
    -------
    begin, end : ndarray of int64, shape (n,)
        It is present in ``X[i, begin[i] : end[i]]``: all the time, (0, time), unless it was introduced or withdrawn.
    """
    time = X.shape[1]
    there = ~np.isnan(X)
    if not (X < 0).any():
        there &= X != 0
    some = there.any(axis=1)
    first = np.where(some, there.argmax(axis=1), 0)
    end = np.where(some, time - there[:, ::-1].argmax(axis=1), time)
    span = np.maximum(end - first, 1)
    # Zeros among the steps between the first sale and the last; half a zero more, since none seen is not none ever.
    zeros = (span - there.sum(axis=1) + 0.5) / (span + 1)
    long_enough = np.maximum(np.log(_BY_CHANCE) / np.log(zeros), _FEWEST_STEPS)
    lasting = span >= 2 * _FEWEST_STEPS
    introduced = lasting & (first >= long_enough)
    withdrawn = lasting & (time - end >= long_enough)
    return np.where(introduced, first, 0), np.where(withdrawn, end, time)


@dataclass(frozen=True)
class Courses:
    """What many items do in common.

    Attributes
    ----------
    lines : ndarray of shape (n_courses, time)
        Orthonormal.
    sizes : ndarray of shape (n_courses,)
        Their singular values among the standardised items that they were found in.
    shares : ndarray of shape (n_courses,)
        Of the variance of those items.
    """

    lines: Floats
    sizes: Floats
    shares: Floats

    @classmethod
    def find(cls, Z: Floats, seed: int = 0) -> Courses:
        """Find the courses of standardised items (n, time): the leading principal components.

        As many as are larger than chance makes them (parallel analysis, Horn 1965, with items turned round in time by
        random amounts, which leaves them their autocorrelation), even without the five items that have most of them.
        """
        rng = np.random.default_rng(seed)
        Z = Z[np.sort(rng.permutation(len(Z))[:_COURSE_SAMPLE])]
        n, time = Z.shape
        if n < _SHARERS:
            return cls(np.empty((0, time)), np.empty(0), np.empty(0))
        by_chance = max(_largest(_turned(Z, rng)) for _ in range(_TURNS))
        loadings, sizes, lines = np.linalg.svd(Z, full_matrices=False)
        shared = np.sqrt(np.sort(loadings**2, axis=0)[: 1 - _SHARERS].sum(axis=0)) * sizes
        found = (shared > by_chance) & (np.arange(len(sizes)) < _MOST_COURSES)
        return cls(lines[found], sizes[found], sizes[found] ** 2 / (n * time))


def depart(
    X: Floats,
    season: int | None = None,
    common: Courses | None = None,
    steady: npt.NDArray[np.bool_] | slice = _ALL,
) -> Departures:
    """Take from items (n, time) the courses that they share.

    Parameters
    ----------
    X : ndarray of shape (n, time)
    season : int, optional
        Steps; see `normal_scores`.
    common : Courses, optional
        To be taken out before the courses of these items are looked for: those of more items than these.
    steady : ndarray of bool, shape (n,), optional
        Items whose courses are looked for, all by default. One that comes or goes makes a course of its own.
    """
    scores, observed = normal_scores(X, season), ~np.isnan(X)
    courses = [] if common is None else [common]
    rest, loadings = scores, []
    for last in range(len(courses) + 1):
        known = Courses.find(rest[steady]) if last == len(courses) else courses[last]
        rest, part = _take_out(rest, observed, known)
        courses[last:] = [known]
        loadings.append(part)
        spread = np.sqrt((rest**2).sum(axis=1) / np.maximum(observed.sum(axis=1), 1))
        rest = _standard(rest, observed)
    return Departures(
        scores,
        observed,
        lines=np.concatenate([known.lines for known in courses]),
        shares=np.concatenate([known.shares for known in courses]),
        rest=rest,
        loadings=np.concatenate(loadings, axis=1) / np.maximum(spread, 1e-2)[:, None],
    )


def normal_scores(X: Floats, season: int | None = None) -> Floats:
    """Replace the values of each item (n, time) by normal quantiles of their ranks (van der Waerden).

    The smallest is about -2 and the largest 2, whatever an item's level, spread and distribution; the mean is 0 and the
    variance 1. With a season, the mean of each of its phases is 0 too. 0 where nothing was observed.
    """
    observed = ~np.isnan(X)
    ranks = rankdata(X, axis=1, nan_policy="omit")
    scores = ndtri(ranks / (observed.sum(axis=1, keepdims=True) + 1))
    return _standard(scores if season is None else _without_season(scores, season), observed)


def _take_out(Z: Floats, observed: npt.NDArray[np.bool_], courses: Courses) -> tuple[Floats, Floats]:
    """Return items (n, time) without courses, by regression, and their loadings (n, n_courses)."""
    lines = courses.lines
    fits = Z @ lines.T  # (n, n_courses)
    grams = np.einsum("nt,qt,rt->nqr", observed.astype(np.float64), lines, lines, optimize=True)
    slopes = np.linalg.solve(grams + 1e-3 * np.eye(len(lines)), fits[:, :, None])[:, :, 0]
    rest = np.where(observed, Z - slopes @ lines, 0)
    return rest, fits / np.maximum(courses.sizes, 1e-12)


def _turned(Z: Floats, rng: np.random.Generator) -> Floats:
    """Turn each row round in time by a random number of steps."""
    columns = (np.arange(Z.shape[1]) + rng.integers(Z.shape[1], size=len(Z))[:, None]) % Z.shape[1]
    return np.take_along_axis(Z, columns, axis=1)


def _largest(Z: Floats) -> float:
    """Return the largest singular value."""
    gram = Z @ Z.T if len(Z) < Z.shape[1] else Z.T @ Z
    return float(np.sqrt(max(np.linalg.eigvalsh(gram)[-1], 0)))


def _without_season(X: Floats, season: int) -> Floats:
    """Take out the mean of each phase of the season, where it was observed twice or more."""
    X = X.copy()
    for phase in range(season):
        same = X[:, phase::season]  # a view
        known = ~np.isnan(same)
        count = known.sum(axis=1, keepdims=True)
        same -= np.where(count >= 2, np.where(known, same, 0).sum(axis=1, keepdims=True) / np.maximum(count, 1), 0)
    return X


def _standard(X: Floats, observed: npt.NDArray[np.bool_]) -> Floats:
    """Return rows with mean 0 and standard deviation 1; 0 where nothing was observed, and for a constant row."""
    count = np.maximum(observed.sum(axis=1, keepdims=True), 1)
    Z = np.where(observed, X, 0)
    Z = np.where(observed, Z - Z.sum(axis=1, keepdims=True) / count, 0)
    spread = np.sqrt((Z**2).sum(axis=1, keepdims=True) / count)
    return np.where(spread > 1e-9, Z / np.maximum(spread, 1e-9), 0)


def whiten(departures: Departures) -> Floats:
    """Take out of each item what its own past says, (n, time): an autoregression of the order that BIC chooses."""
    x, observed = departures.rest, departures.observed
    count = np.maximum(observed.sum(axis=1), 2)
    highest = min(_MAX_ORDER, x.shape[1] // 8)
    gamma = np.stack([(x[:, lag:] * x[:, : x.shape[1] - lag]).sum(axis=1) / count for lag in range(highest + 1)])
    gamma[0] = np.maximum(gamma[0], 1e-12)
    error, phi = gamma[0].copy(), np.zeros((highest, len(x)))
    best, chosen = count * np.log(error), phi
    for order in range(1, highest + 1):  # Levinson and Durbin, all items together
        ahead = gamma[order] - (phi[: order - 1] * gamma[order - 1 : 0 : -1]).sum(axis=0)
        kappa = np.clip(ahead / error, -0.99, 0.99)
        phi = phi.copy()
        phi[: order - 1] -= kappa * phi[: order - 1][::-1].copy()
        phi[order - 1] = kappa
        error = error * (1 - kappa**2)
        criterion = count * np.log(error) + order * np.log(count)
        chosen = np.where(criterion < best, phi, chosen)
        best = np.minimum(criterion, best)
    predicted = np.zeros_like(x)
    for lag in range(1, highest + 1):
        predicted[:, lag:] += chosen[lag - 1][:, None] * x[:, :-lag]
    return _standard(x - predicted, observed)
