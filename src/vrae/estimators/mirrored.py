"""How surely is one item's departure the mirror of another's? Two tests, each over many pairs at once.

*Movement*: what cannot be foretold of one item from its own past is compared with the same of the other, at several
lags (Haugh's way). Only one of the two has to be foretold well for the test to hold.

*Level*: when one item is introduced (or withdrawn), does the other fall (or rise) at the same time, and stay there?

Both answer in normal deviates: 0 is usual, 3 is rare, without regard to how many pairs were looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm
from scipy.stats import t as student

from vrae.estimators.departures import Departures, whiten

__all__ = ["Levels", "Movements", "beside_usual"]

# Steps that two items have to share.
_FEWEST_SHARED = 12
# Steps on each side of a change of level.
_FEWEST_SIDE = 4
# Deviates from which on their usual spread is told; on fewer it would be chance.
_FEWEST_TO_JUDGE = 30
_TAILS = (0.25, 0.1, 0.05, 0.02, 0.01)
_FEWEST_IN_TAIL = 8
# Items among which the usual spread of pairs is looked up.
_JUDGED = 300

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Movements:
    """Mirrored movements of items (n, time): correlations of what their own past does not say."""

    fresh: Floats  # (n, time), mean 0 and variance 1 a row
    observed: npt.NDArray[np.bool_]
    restless: Floats  # (n, time): variance just before and after each step
    echoes: Floats  # (n, lag): autocorrelation that is left
    loadings: Floats  # (n, course); see `Departures`

    @classmethod
    def of(cls, departures: Departures) -> Movements:
        """Take out of departures what each item's own past says."""
        fresh, observed = whiten(departures), departures.observed
        time = fresh.shape[1]
        count = np.maximum(observed.sum(axis=1), 1)
        lags = range(1, max(2, time // 4))
        echoes = [(fresh[:, lag:] * fresh[:, : time - lag]).sum(axis=1) / count for lag in lags]
        return cls(fresh, observed, _restless(fresh, observed), np.stack(echoes, axis=1), departures.loadings)

    def compare(self, rows: Ints, others: Ints, lag: int) -> tuple[Floats, Floats]:
        """Compare items at ``rows`` (a,) with ``others`` (b,), which run ``lag`` steps behind.

        The sum of products is set beside the larger of two variances: the one of two items as restless at one time as
        at another, and the one of how restless they were just before and after. What autocorrelation is left in both
        widens it (Bartlett).

        Returns
        -------
        deviates : ndarray of shape (a, b)
            High where mirrored; -inf where too few steps are shared.
        correlations : ndarray of shape (a, b)
        """
        time = self.fresh.shape[1]
        early, late = slice(0, time - abs(lag)), slice(abs(lag), time)
        mine, theirs = (early, late) if lag >= 0 else (late, early)
        x, y = self.fresh[rows, mine], self.fresh[others, theirs]  # (a, time), (b, time)
        m, k = self.observed[rows, mine].astype(np.float64), self.observed[others, theirs].astype(np.float64)
        x2, y2 = x**2, y**2
        restless = self.restless[rows, mine] @ self.restless[others, theirs].T
        shared = m @ k.T  # (a, b)
        usable = shared >= _FEWEST_SHARED
        n = np.maximum(shared, _FEWEST_SHARED)
        own = (x2 @ k.T) * (m @ y2.T)
        variance = np.maximum(np.maximum(own / n, restless), 1e-12)
        left = np.maximum(1 + 2 * self.echoes[rows] @ self.echoes[others].T, 1)
        products = x @ y.T
        correlations = products / np.sqrt(np.maximum(own, 1e-12))
        surprising = -products / np.sqrt(n * variance * left)  # in units of a correlation
        if lag == 0:
            surprising -= np.maximum(self.loadings[rows] @ self.loadings[others].T, 0)
        surprising = np.clip(surprising, -1 + 1e-12, 1 - 1e-12)
        t = surprising * np.sqrt((n - 2) / (1 - surprising**2))
        return np.where(usable, _deviates(t, n - 2), -np.inf), correlations

    def usual_spread(self, lag: int, seed: int = 0) -> float:
        """Return the spread that deviates have among pairs at a lag, 1 or more; see `usual_spread`."""
        n = len(self.fresh)
        rows = np.sort(np.random.default_rng(seed).permutation(n)[:_JUDGED])
        deviates, _ = self.compare(rows, rows, lag)
        return usual_spread(deviates[np.triu_indices(len(rows), 1)])


@dataclass(frozen=True)
class Levels:
    """Changes of level of items at a given step."""

    departures: Departures

    def falls(self, item: int, step: int, sign: int) -> tuple[Floats, Floats]:
        """Test, for each item, whether its level changes at a step, beside the courses that it shares.

        A regression of each item on the courses and on a step. The variance is the larger of the usual one and White's
        (restless before, or after), widened by an autoregression of order one of the residuals, whose coefficient is
        corrected for the shortness of the series (Kendall 1954).

        Parameters
        ----------
        item : int
            The one that was introduced or withdrawn then.
        step : int
        sign : {1, -1}
            1: look for falls; -1: for rises.

        Returns
        -------
        deviates : ndarray of shape (n,)
            High where the level falls; -inf where too little was observed on either side.
        correlations : ndarray of shape (n,)
            Between the item and the step, beside the courses.
        """
        scores, loadings = self.departures.scores, self.departures.loadings
        observed = self.departures.observed.astype(np.float64)
        after = np.arange(scores.shape[1]) >= step
        sides = np.minimum(observed[:, after].sum(axis=1), observed[:, ~after].sum(axis=1))
        level = _beside(self.departures, observed * after)  # (n, time): the step beside the courses
        rest = _beside(self.departures, scores)
        weight = np.maximum((level * after).sum(axis=1), 1e-9)
        change = (rest * after).sum(axis=1) / weight
        residual = rest - change[:, None] * level
        n, taken_out = observed.sum(axis=1), len(self.departures.lines) + 2
        widen = _widening(residual, taken_out / np.maximum(n, 1))
        usual = (residual**2).sum(axis=1) / np.maximum(n - taken_out, 1) / weight
        whites = (level**2 * residual**2).sum(axis=1) / weight**2 * n / np.maximum(n - taken_out, 1)
        error = np.sqrt(np.maximum(np.maximum(usual, whites), 1e-9) * widen)
        df = np.minimum(n - taken_out, weight**2 / np.maximum((level**4).sum(axis=1), 1e-12)) / widen
        # What the item itself does is part of the courses, and so is missing from the others.
        share = step / len(after)
        built_in = np.maximum(loadings @ loadings[item], 0) / np.sqrt(share * (1 - share))
        t = (-sign * change - built_in) / error
        usable = (sides >= _FEWEST_SIDE) & (df >= 2)
        correlations = sign * change * np.sqrt(weight / np.maximum((rest**2).sum(axis=1), 1e-9))
        return np.where(usable, _deviates(t, np.maximum(df, 2)), -np.inf), correlations


def _beside(departures: Departures, x: Floats) -> Floats:
    """Return rows (n, time) without their mean and the courses, by regression where observed.

    How much an item has of a course is known beforehand to be about as much as items have of it: a ridge regression, in
    which the courses take out no more of a step than they would be likely to make.
    """
    time = x.shape[1]
    observed = departures.observed.astype(np.float64)
    design = np.concatenate([np.ones((1, time)), departures.lines * np.sqrt(time)])  # (1 + n_courses, time)
    ridge = np.diag(np.concatenate([[1e-6], max(1 - departures.shares.sum(), 0.1) / departures.shares]))
    grams = np.einsum("nt,qt,rt->nqr", observed, design, design, optimize=True)
    slopes = np.linalg.solve(grams + ridge, ((x * observed) @ design.T)[:, :, None])[:, :, 0]
    return (x - slopes @ design) * observed


def _restless(fresh: Floats, observed: npt.NDArray[np.bool_]) -> Floats:
    """Return the mean square of the two steps before and the two after each step, in rows (n, time)."""
    total, count = np.zeros_like(fresh), np.zeros_like(fresh)
    for lag in (1, 2):
        for here, there in ((slice(lag, None), slice(None, -lag)), (slice(None, -lag), slice(lag, None))):
            total[:, here] += fresh[:, there] ** 2
            count[:, here] += observed[:, there]
    return np.where(observed, np.where(count > 0, total / np.maximum(count, 1), 1), 0)


def _widening(rest: Floats, cost: Floats) -> Floats:
    """Return by how much autocorrelation widens the variance of a mean of rows (n, time), 1 or more."""
    phi = (rest[:, 1:] * rest[:, :-1]).sum(axis=1) / np.maximum((rest**2).sum(axis=1), 1e-12)
    phi = np.clip(phi + cost * (1 + 3 * phi), 0, 0.95)  # each mean that was taken out costs (1 + 3 phi) / n
    return (1 + phi) / (1 - phi)


def usual_spread(deviates: npt.NDArray[np.float64]) -> float:
    """Return the spread of the bulk of deviates, 1 or more: what all pairs share says nothing about one of them.

    By the quartiles, so that a few true findings do not matter; genomic control (Devlin & Roeder 1999).
    """
    known = deviates[np.isfinite(deviates)]
    if len(known) < _FEWEST_TO_JUDGE:
        return 1.0
    quartiles = np.quantile(known, (0.25, 0.75))
    return max(1.0, float(quartiles[1] - quartiles[0]) / 1.349)


def beside_usual(deviates: Floats) -> Floats:
    """Set deviates (n,) of one step beside what all items do at it: where many fall, a fall says less.

    As `usual_spread`, and by as much of the upper tail as eight items or more lie in.
    """
    known = deviates[np.isfinite(deviates)]
    if len(known) < _FEWEST_TO_JUDGE:
        return deviates
    middle = max(0.0, float(np.median(known)))
    upper = [share for share in _TAILS if len(known) * share >= _FEWEST_IN_TAIL]
    reach = [(float(np.quantile(known, 1 - share)) - middle) / norm.isf(share) for share in upper]
    return (deviates - middle) / max([usual_spread(known), *reach])


def _deviates(t: Floats, df: Floats) -> Floats:
    """Turn values of Student's distribution into normal deviates of the same rarity."""
    upper = student.sf(np.abs(t), df)
    return np.sign(t) * norm.isf(np.maximum(upper, 1e-300))
