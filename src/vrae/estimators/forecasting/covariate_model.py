"""How values depend on covariates such as price and promotion: one model of all items.

A value is the level of its item in its block of steps, times the effects of the covariates, times
what all items do at that step. Levels are eliminated exactly, as in conditional Poisson regression
(quasi-Poisson: the variance of an item is a multiple of its mean). What all items do has a normal
prior, so that a covariate that is the same in all items, such as a holiday, is left to explain it.
Effects of single items deviate from the common ones by as much as the data show (empirical Bayes).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

__all__ = ["EffectModel", "choose_covariates"]

Floats = npt.NDArray[np.float64]

# Precision of what all items do at a step: a standard deviation of about 30 %.
_COMMON_PRECISION = 10.0
# Precision of effects on the log scale: weak, against separation (never sold without promotion).
_EFFECT_PRECISION = 1.0
_STEPS, _LARGEST_CHANGE, _CONVERGED = 25, 0.5, 1e-5
# Deviations of items are estimated from at least this many items.
_FEWEST_ITEMS = 10
# One item counts at most this much, in squared standard errors, in the spread of deviations.
_MOST_OF_ITEM = 25.0
_FOLDS = 4
# Which covariates help is found with a sample of at most this many items.
_MOST_ITEMS = 3000
# A covariate stays if it lowers the error on blocks that were left out by as many standard errors.
_CLEARLY = 1.64


class _Blocks(NamedTuple):
    """Values and covariates in blocks of consecutive steps; what is unknown has the weight 0."""

    y: Floats  # (n, blocks, block)
    x: Floats  # (n, blocks, block, p)
    known: npt.NDArray[np.bool_]  # (n, blocks, block)

    @classmethod
    def cut(cls, values: Floats, x: Floats, size: int) -> Self:
        """Cut matrices (n, n_steps), (n, n_steps, p) from their ends on."""
        before = -values.shape[1] % size
        values = np.pad(values, ((0, 0), (before, 0)), constant_values=np.nan)
        x = np.pad(x, ((0, 0), (before, 0), (0, 0)))
        y = values.reshape(len(values), -1, size)
        known = ~np.isnan(y)
        known &= (np.nansum(y, axis=2) > 0)[:, :, None]  # a block of zeros says nothing of effects
        return cls(np.where(known, y, 0.0), x.reshape(*y.shape, x.shape[2]), known)

    def of(self, blocks: npt.NDArray[np.int64], columns: list[int]) -> _Blocks:
        """Return some blocks and covariates."""
        return _Blocks(self.y[:, blocks], self.x[:, blocks][..., columns], self.known[:, blocks])


@dataclass
class EffectModel:
    """Effects on the log scale, of all items and of each."""

    common: Floats  # (p,)
    error: Floats  # (p,), standard errors of ``common``
    own: Floats  # (n, p), of each item

    @classmethod
    def fit(cls, values: Floats, x: Floats, size: int) -> Self:
        """Fit to values (n, n_steps), NaN where unknown, and covariates (n, n_steps, p)."""
        blocks = _Blocks.cut(values, x, size)
        fitted = _fit(blocks, _weights(blocks))
        return cls(fitted.effect, fitted.error, fitted.effect + _deviations(blocks, fitted))


class _Fitted(NamedTuple):
    effect: Floats  # (p,)
    error: Floats  # (p,)
    course: Floats  # (blocks, block), what all items do, on the log scale
    weight: Floats  # (n,), one divided by the dispersion of each item


def _means(blocks: _Blocks, effect: Floats, course: Floats) -> Floats:
    """Return the expected values (n, blocks, block), with levels such that blocks have their sums.

    ``effect`` is (p,), or (n, 1, p) for effects of each item.
    """
    linear = (blocks.x @ effect if effect.ndim == 1 else np.einsum("nbtp,nqp->nbt", blocks.x, effect)) + course
    relative = np.where(blocks.known, np.exp(np.clip(linear, -20, 20)), 0.0)
    total = relative.sum(axis=2, keepdims=True)
    return np.asarray(relative * blocks.y.sum(axis=2, keepdims=True) / np.where(total > 0, total, 1.0))


def _dispersion(blocks: _Blocks, mean: Floats) -> Floats:
    """Return the dispersion of each item (n,), those of few steps shrunk to the typical one."""
    squared = np.where(mean > 0, (blocks.y - mean) ** 2 / np.where(mean > 0, mean, 1.0), 0.0).sum(axis=(1, 2))
    free = np.maximum(blocks.known.sum(axis=(1, 2)) - blocks.known.any(axis=2).sum(axis=1), 0)
    has = free > 0
    typical = float(np.median(squared[has] / free[has])) if has.any() else 1.0
    return np.asarray(np.maximum((squared + 5 * typical) / (free + 5), 1e-3 * typical + 1e-12))


def _weights(blocks: _Blocks) -> Floats:
    """Return one divided by the dispersion of each item, without effects."""
    zero = np.zeros(blocks.x.shape[3])
    return 1 / _dispersion(blocks, _means(blocks, zero, np.zeros(blocks.y.shape[1:])))


def _centred(blocks: _Blocks, mean: Floats) -> Floats:
    """Return the covariates less their weighted mean in each block: levels are eliminated."""
    total = mean.sum(axis=2)
    center = np.einsum("nbt,nbtp->nbp", mean, blocks.x) / np.where(total > 0, total, 1.0)[..., None]
    return np.asarray(blocks.x - center[:, :, None])


def _fit(blocks: _Blocks, weight: Floats, fixed: Floats | None = None) -> _Fitted:
    """Fit effects and the common course by Newton's method. ``fixed`` effects stay as they are."""
    p = blocks.x.shape[3]
    effect = np.zeros(p) if fixed is None else fixed
    course, inverse = np.zeros(blocks.y.shape[1:]), np.zeros((p, p))
    for step in range(_STEPS):
        mean = _means(blocks, effect, course)
        if step == 3 and fixed is None:  # effects widen the dispersion as long as they are not known
            weight = 1 / _dispersion(blocks, mean)
        weighted = weight[:, None, None] * mean
        residual = weight[:, None, None] * (blocks.y - mean)
        curvature = weighted.sum(axis=0) + _COMMON_PRECISION
        gradient = residual.sum(axis=0) - _COMMON_PRECISION * course
        change = np.zeros(p)
        if fixed is None and p:
            x = _centred(blocks, mean)
            between = np.einsum("nbt,nbtp->btp", weighted, x)
            own = np.einsum("nbt,nbtp,nbtq->pq", weighted, x, x) + _EFFECT_PRECISION * np.eye(p)
            own -= np.einsum("btp,btq->pq", between / curvature[..., None], between)
            slope = np.einsum("nbt,nbtp->p", residual, x) - _EFFECT_PRECISION * effect
            slope -= np.einsum("btp,bt->p", between, gradient / curvature)
            inverse = np.linalg.inv(own)
            change = np.clip(inverse @ slope, -_LARGEST_CHANGE, _LARGEST_CHANGE)
            gradient = gradient - between @ change
        effect = effect + change
        course = course + np.clip(gradient / curvature, -_LARGEST_CHANGE, _LARGEST_CHANGE)
        if step > 3 and np.abs(change).max(initial=0.0) < _CONVERGED:
            break
    return _Fitted(effect, np.sqrt(np.diag(inverse)), course, weight)


def _deviations(blocks: _Blocks, fitted: _Fitted) -> Floats:
    """Return by how much the effects of each item deviate, (n, p), shrunk to 0."""
    n, p = len(blocks.y), blocks.x.shape[3]
    deviation = np.zeros((n, p))
    precision = np.full(p, np.inf)
    for step in range(4):
        mean = _means(blocks, (fitted.effect + deviation)[:, None], fitted.course)
        x = _centred(blocks, mean)
        curvature = np.einsum("n,nbt,nbtp,nbtq->npq", fitted.weight, mean, x, x, optimize=True)
        slope = np.einsum("n,nbt,nbtp->np", fitted.weight, blocks.y - mean, x, optimize=True)
        if step == 0:
            precision = _precision(slope, np.einsum("npp->np", curvature))
            if not np.isfinite(precision).any():
                return deviation
            precision = np.where(np.isfinite(precision), precision, 1e12)
        system = curvature + np.diag(precision)
        change = np.linalg.solve(system, (slope - precision * deviation)[..., None])[..., 0]
        deviation = deviation + np.clip(change, -_LARGEST_CHANGE, _LARGEST_CHANGE)
    return deviation


def _precision(slope: Floats, curvature: Floats) -> Floats:
    """Return the precision (p,) of the deviations of items, infinite if they show none."""
    found = np.full(slope.shape[1], np.inf)
    for k, (g, h) in enumerate(zip(slope.T, curvature.T, strict=True)):
        known = h > 1e-9 * max(float(h.max(initial=0.0)), 1e-30)
        if known.sum() < _FEWEST_ITEMS:
            continue
        excess = float(np.minimum(g[known] ** 2 / h[known], _MOST_OF_ITEM).sum()) - known.sum()
        if excess > 0:
            found[k] = h[known].sum() / excess
    return found


# -------------------------------------------------------------------- which covariates help


def choose_covariates(values: Floats, x: Floats, size: int) -> tuple[list[int], Floats]:
    """Return the covariates that lower the error on blocks of steps that were left out.

    Covariates that do not are left out one by one, the least useful first.

    Returns
    -------
    kept : list of int
    gain : ndarray, shape (p,)
        Fraction by which each lowers the error that is left without it. 0 or less: not at all.
    """
    if len(values) > _MOST_ITEMS:
        some = np.sort(np.random.default_rng(0).permutation(len(values))[:_MOST_ITEMS])
        values, x = values[some], x[some]
    blocks = _Blocks.cut(values, x, size)
    weight = _weights(blocks)
    kept, gain = list(range(x.shape[2])), np.zeros(x.shape[2])
    while kept:
        whole = _left_out(blocks, weight, kept)
        clear = []
        for k in kept:
            clearly, gain[k] = _improvement(whole, _left_out(blocks, weight, [j for j in kept if j != k]))
            clear.append(clearly)
        worst = int(np.argmin(clear))
        if clear[worst] > _CLEARLY:
            break
        kept.pop(worst)
    return kept, gain


def _left_out(blocks: _Blocks, weight: Floats, columns: list[int]) -> Floats:
    """Return the deviance (n, blocks, block) of blocks from effects of the others.

    What all items do at a step is estimated from the blocks themselves, and its prior counts.
    """
    n_blocks = blocks.y.shape[1]
    deviance = np.zeros(blocks.y.shape)
    for fold in range(min(_FOLDS, n_blocks)):
        out = np.arange(fold, n_blocks, _FOLDS)
        others = np.setdiff1d(np.arange(n_blocks), out)
        train, test = blocks.of(others, columns), blocks.of(out, columns)
        effect = _fit(train, weight).effect if columns and len(others) else np.zeros(len(columns))
        course = _fit(test, weight, effect).course
        mean = _means(test, effect, course)
        log = np.log(np.where(test.y > 0, test.y, 1.0) / np.where(mean > 0, mean, 1.0))
        own = 2 * weight[:, None, None] * (np.where(test.y > 0, test.y * log, 0.0) - (test.y - mean))
        share = test.known / np.maximum(test.known.sum(axis=0), 1)
        deviance[:, out] = np.where(test.known, own, 0.0) + share * _COMMON_PRECISION * course**2
    return deviance


def _improvement(whole: Floats, without: Floats) -> tuple[float, float]:
    """Return by how many standard errors and by what fraction a covariate lowers the deviance.

    Errors of an item, and errors at a step, are related: the larger standard error counts.
    """
    gain = without - whole
    total = float(gain.sum())
    by_item, by_step = gain.sum(axis=(1, 2)), gain.sum(axis=0).ravel()
    spread = max(float(np.sqrt(len(each)) * each.std()) for each in (by_item, by_step))
    clearly = total / spread if spread > 0 else (np.inf if total > 0 else -np.inf)
    return clearly, total / max(float(without.sum()), 1e-30)
