"""How strongly each item falls as another one appears: regressions with autocorrelated noise.

The scores of an item are a level, a multiple of the course of the other item's presence, the common
factors, a season, and noise. The noise is white noise and a first-order autoregression. Its
proportions are not known: several are tried, and the results are averaged by how likely they make
the item. Loadings on the factors have a normal prior with the variance that they have on average,
so the factors explain no more of a step than is plausible.

With persistent noise, what counts is the change around the introduction. A slow decline is no
evidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Design", "Shifts", "estimate_shifts"]

# Autocorrelation of the persistent noise, and its fraction of the variance.
_NOISES = ((0.0, 0.0), (0.8, 0.3), (0.8, 0.7), (0.95, 0.3), (0.95, 0.7))
# Largest size of an array of whitened regressors.
_BLOCK_SIZE = 20_000_000

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Design:
    """What explains the items besides the presence of another one."""

    base: Floats  # (n_base, time): the level, seasonal waves, and common factors
    precision: Floats  # (n_base,), of the prior of their coefficients, relative to the noise
    n_fitted: int  # number of base courses without a prior


@dataclass(frozen=True)
class Shifts:
    """The fall of items (n,) with each of q courses, in units of their scores."""

    t: Floats  # (n, q), t statistics; large if the item falls
    standard_error: Floats  # (n, q)
    df: Floats  # (n,), degrees of freedom


def estimate_shifts(scores: Floats, observed: Mask, courses: Floats, design: Design) -> Shifts:
    """Regress items (n, time) on each of the ``courses`` (q, time) of presence, one at a time."""
    masks, of_item = np.unique(observed, axis=0, return_inverse=True)
    of_item = of_item.reshape(-1)
    size = max(1, _BLOCK_SIZE // (masks.shape[1] * (len(design.base) + len(courses))))
    t, precision = np.zeros((len(scores), len(courses))), np.zeros((len(scores), len(courses)))
    df = np.maximum(observed.sum(axis=1) - 1.0 - design.n_fitted, 1)
    for start in range(0, len(masks), size):
        own = np.flatnonzero((of_item >= start) & (of_item < start + size))
        fits = [
            _Fit(noise, masks[start : start + size]).shifts(scores[own], of_item[own] - start, courses, design, df[own])
            for noise in _NOISES
        ]
        log_likelihood = np.stack([fit[2] for fit in fits])
        weights = np.exp(log_likelihood - log_likelihood.max(axis=0))
        weights /= weights.sum(axis=0)
        t[own] = (weights * np.stack([fit[0] for fit in fits])).sum(axis=0)
        precision[own] = (weights * np.stack([fit[1] for fit in fits])).sum(axis=0)
    return Shifts(t, 1 / np.maximum(precision, 1e-12), df)


class _Fit:
    """Generalized least squares with one kind of noise, for patterns (m, time) of observed steps.

    A Kalman filter turns the noise into independent innovations, and skips missing values.
    """

    def __init__(self, noise: tuple[float, float], masks: Mask) -> None:
        self.phi, persistent = noise
        self.observed = masks.astype(np.float64)
        self.gains, self.variances = np.zeros(masks.shape), np.ones(masks.shape)
        P = np.full(len(masks), persistent)  # variance of the persistent noise, given the past
        for step in range(masks.shape[1]):
            self.variances[:, step] = P + 1 - persistent
            self.gains[:, step] = self.observed[:, step] * P / self.variances[:, step]
            P = self.phi**2 * P * (1 - self.gains[:, step]) + (1 - self.phi**2) * persistent

    def innovations(self, x: Floats, rows: npt.NDArray[np.int64]) -> Floats:
        """Whiten x (r, time, q) or (1, time, q). Row i has the pattern ``rows[i]``."""
        gains, observed = self.gains[rows], self.observed[rows]
        weights = observed / np.sqrt(self.variances[rows])
        expected = np.zeros((len(rows), x.shape[2]))
        out = np.empty((len(rows), *x.shape[1:]))
        for step in range(x.shape[1]):
            surprise = x[:, step] - expected
            out[:, step] = weights[:, step, None] * surprise
            expected = self.phi * (expected + gains[:, step, None] * surprise)
        return out

    def shifts(
        self, scores: Floats, of_item: npt.NDArray[np.int64], courses: Floats, design: Design, df: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Return t statistics, 1 / standard errors and log-likelihoods (n, q)."""
        n_masks, n_base = len(self.observed), len(design.base)
        regressors = np.concatenate([design.base, courses]).T[None]
        W = self.innovations(regressors, np.arange(n_masks))  # (m, time, base + q)
        Y = self.innovations(scores[:, :, None], of_item)[:, :, 0]
        t, precision, log_likelihood = (np.zeros((len(scores), len(courses))) for _ in range(3))
        log_variances = (np.log(self.variances) * self.observed).sum(axis=1)
        for mask in range(n_masks):
            own = np.flatnonzero(of_item == mask)
            B, C, y = W[mask, :, :n_base], W[mask, :, n_base:], Y[own]
            A = B.T @ B + np.diag(design.precision)
            BC, yB = B.T @ C, y @ B
            explained = np.linalg.solve(A, BC)
            weight = np.maximum((C**2).sum(axis=0) - (BC * explained).sum(axis=0), 1e-9)  # (q,)
            slope = (y @ C - yB @ explained) / weight
            rest = (y**2).sum(axis=1) - (yB * np.linalg.solve(A, yB.T).T).sum(axis=1)
            variance = np.maximum(rest[:, None] - slope**2 * weight, 1e-9) / df[own, None]
            precision[own] = np.sqrt(weight / variance)
            t[own] = -slope * precision[own]
            determinants = log_variances[mask] + np.linalg.slogdet(A)[1] + np.log(weight)
            log_likelihood[own] = -0.5 * (df[own, None] * np.log(variance) + determinants)
        return t, precision, log_likelihood
