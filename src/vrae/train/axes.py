"""Principal axes that generalise to unseen series, and the number of axes that the data support.

The covariance of few series describes those few better than series in general. It is shrunk towards
covariances that are typical of time series: stationary, tapered (related over short spans only) and
warped (events happen a little earlier or later). The amount of shrinkage is chosen by the error on
series that were left out. With many series it is close to zero, and the axes are those of ordinary
principal component analysis.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Axes", "choose_size", "fit_axes", "size_curve"]

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

# Candidate shrinkages of the covariance.
_SHRINKAGES = (0.0, 0.01, 0.03, 0.1, 0.25, 0.5, 1.0)
_FOLDS = 5
# Values per series to choose shrinkage and size, and to compute axes. More are averaged in bins.
_COARSE, _FINE = 192, 1024
# Spans within which steps are related, as fractions of the length.
_SHORT, _LONG = 0.03, 0.1
# Nats per series that a latent dimension must save.
_WORTH = 1.0
# Rounds of filling missing values from the axes and computing the axes again.
_FILLS = 5


@dataclass(frozen=True)
class Axes:
    """Principal axes, largest variance first."""

    center: Floats  # (time, channel)
    vectors: Floats  # (time, channel, size), orthonormal
    variances: Floats  # (size,), of the series along each axis


def fit_axes(X: Floats, observed: Mask, size: int) -> Axes:
    """Compute the principal axes of series (n_series, time, channel), ignored where not observed.

    Axes beyond the span of the data have zero variance. Shrinkage: Ledoit & Wolf, "A
    well-conditioned estimator for large-dimensional covariance matrices", Journal of Multivariate
    Analysis 2004. Tapering: Gaspari & Cohn, Quarterly Journal of the Royal Meteorological Society
    1999.
    """
    steps, n_channels = X.shape[1:]
    coarse = _Binned.of(X, observed, _COARSE)
    largest = min(size, coarse.values.shape[1])
    errors = [left_out.error[:, largest - 1].mean() for left_out in _leave_out(coarse, largest)]
    shrinkage = _SHRINKAGES[int(np.argmin(errors))] if errors else 0.0
    fine = _Binned.of(X, observed, _FINE)
    within = min(size, fine.values.shape[1])
    variances, vectors = _leading(fine.covariance(shrinkage), within)
    cube = vectors.reshape(-1, n_channels, within).repeat(fine.width, axis=0)[:steps]  # (time, channel, within)
    flat = np.linalg.qr(cube.reshape(-1, within))[0]
    flat = _pad(flat * np.sign((flat * cube.reshape(-1, within)).sum(axis=0)), size)
    center = fine.center.reshape(-1, n_channels).repeat(fine.width, axis=0)[:steps]
    return Axes(center, flat.reshape(steps, n_channels, size), _pad(variances * fine.width, size))


def size_curve(X: Floats, observed: Mask, largest: int) -> list[dict[str, float]]:
    """Measure how well each number of axes describes series that were left out.

    Principal axes with normal noise are the optimum of a linear variational autoencoder, whose
    evidence lower bound has a closed form (Tipping & Bishop, "Probabilistic principal component
    analysis", Journal of the Royal Statistical Society B 1999; Lucas et al., "Don't blame the
    ELBO", NeurIPS 2019). So no network has to be trained for each size.

    Each entry holds ``latent_size``; ``error``, the mean squared error relative to that of the mean
    curve; ``score``, the bound in nats per observed value minus one nat per series and axis (Akaike
    1974); ``doubt``, the standard error of the difference from the best score.
    """
    coarse = _Binned.of(X, observed, _COARSE)
    largest = min(largest, len(X) - 2, coarse.values.shape[1] // 2)
    if largest < 1:
        return []
    # Medians throughout, since a few outliers must not decide.
    best = max(_leave_out(coarse, largest), key=lambda c: np.median(c.score, axis=0).max(), default=None)
    if best is None:
        return []
    scores = best.score - _WORTH * np.arange(1, largest + 1) / coarse.seen.sum(axis=1)[:, None]  # (n_series, size)
    score = np.median(scores, axis=0)  # (size,)
    behind = scores[:, [int(score.argmax())]] - scores  # (n_series, size)
    spread = 1.4826 * np.median(np.abs(behind - np.median(behind, axis=0)), axis=0)
    doubt = spread / np.sqrt(len(X))
    error = best.error.mean(axis=0) / best.baseline
    curve = np.stack([error, score.max() - np.median(behind, axis=0), doubt], axis=1).tolist()
    return [{"latent_size": d, "error": e, "score": s, "doubt": u} for d, (e, s, u) in enumerate(curve, start=1)]


def choose_size(curve: list[dict[str, float]]) -> int:
    """Return the smallest size whose score is within one standard error of the best, as in CART."""
    if not curve:
        return 1
    top = max(entry["score"] for entry in curve)
    return int(next(e["latent_size"] for e in curve if top - e["score"] <= e["doubt"]))


@dataclass(frozen=True)
class _LeftOut:
    """Errors and scores (n_series, size) of one shrinkage on series that were left out."""

    error: Floats
    score: Floats
    baseline: float


def _leave_out(data: _Binned, largest: int) -> Iterator[_LeftOut]:
    """Yield errors and scores for each shrinkage; nothing with too few series to leave any out."""
    n, width = data.values.shape
    if n < 4:
        return
    folds = np.array_split(np.random.default_rng(0).permutation(n), min(_FOLDS, n // 2))
    rests = [data.select(np.setdiff1d(np.arange(n), fold)) for fold in folds]
    sizes = np.arange(1, largest + 1)
    for shrinkage in _SHRINKAGES:
        error, score, baseline = np.zeros((n, largest)), np.zeros((n, largest)), 0.0
        for fold, rest in zip(folds, rests, strict=True):
            covariance = rest.covariance(shrinkage)
            variances, vectors = _leading(covariance, largest)
            total = np.trace(covariance)
            floor = 1e-6 * total / width + 1e-12
            noise = np.maximum((total - variances.cumsum()) / np.maximum(width - sizes, 1), floor)  # (size,)
            variances = np.maximum(variances, noise)
            departures = data.values[fold] - rest.center  # (fold, width)
            along = departures @ vectors  # (fold, size)
            seen = data.seen[fold]
            count = seen.sum(axis=1)[:, None]
            left = np.empty_like(along)
            for d in range(largest):
                departures = departures - along[:, [d]] * vectors[:, d]
                left[:, d] = (departures**2 * seen).sum(axis=1)
            error[fold] = left / count
            explained = (np.log(variances) + along**2 / variances).cumsum(axis=1)
            bound = explained + (count - sizes) * np.log(noise) + left / noise + count * np.log(2 * np.pi)
            score[fold] = -0.5 * bound / count
            baseline += float((((data.values[fold] - rest.center) ** 2 * seen).sum(axis=1) / count[:, 0]).sum()) / n
        yield _LeftOut(error, score, max(baseline, 1e-12))


@dataclass(frozen=True)
class _Binned:
    """Complete series averaged in bins of ``width`` steps: values (n_series, bins * channel)."""

    values: Floats
    seen: Mask
    n_channels: int
    width: int

    @classmethod
    def of(cls, X: Floats, observed: Mask, most: int) -> _Binned:
        n, steps, n_channels = X.shape
        width = -(-steps // max(2, most // n_channels))
        padding = ((0, 0), (0, -steps % width), (0, 0))
        shape = (n, -1, width, n_channels)
        count = np.pad(observed, padding).reshape(shape).sum(axis=2)  # (n, bins, channel)
        total = np.pad(np.where(observed, X, 0.0), padding).reshape(shape).sum(axis=2)
        seen = (count > 0).reshape(n, -1)
        values = (total / np.maximum(count, 1)).reshape(n, -1)
        return cls(_filled(values, seen), seen, n_channels, width)

    @property
    def center(self) -> Floats:
        """Mean curve (bins * channel,)."""
        return self.values.mean(axis=0)

    def select(self, rows: npt.NDArray[np.int64]) -> _Binned:
        """Return some of the series."""
        return _Binned(self.values[rows], self.seen[rows], self.n_channels, self.width)

    def covariance(self, shrinkage: float) -> Floats:
        """Return the covariance (width, width), shrunk by a factor from 0 to 1."""
        departures = self.values - self.center
        own = departures.T @ departures / len(departures)
        return own if shrinkage == 0 else (1 - shrinkage) * own + shrinkage * self._target(own)

    def _target(self, own: Floats) -> Floats:
        """Return the target of shrinkage: a mean of structured covariances."""
        c, bins = self.n_channels, len(own) // self.n_channels
        if bins < 3:
            return np.diag(np.diag(own))
        lag = np.abs(np.subtract.outer(np.arange(bins), np.arange(bins))).repeat(c, axis=0).repeat(c, axis=1)
        slope = np.gradient(self.values.reshape(-1, bins, c), axis=1).reshape(len(self.values), -1)
        slopes = slope.T @ slope / len(slope)
        short, long = (np.exp(-0.5 * (lag / (share * bins)) ** 2) for share in (_SHORT, _LONG))
        # Shifting a series in time by a smooth random w(t) changes it by x'(t) w(t).
        warped = [_of_trace(slopes * kernel, np.trace(own)) for kernel in (short, long)]
        return (_stationary(own, c) + own * short + warped[0] + warped[1]) / 4


def _stationary(covariance: Floats, n_channels: int) -> Floats:
    """Return the covariance whose correlations depend on the lag alone."""
    c, bins = n_channels, len(covariance) // n_channels
    deviation = np.sqrt(np.maximum(np.diag(covariance), 1e-12))
    blocks = covariance.reshape(bins, c, bins, c)
    by_lag = np.array([np.trace(blocks, offset=k, axis1=0, axis2=2) for k in range(bins)]) / bins  # (lag, c, c)
    usual = np.sqrt(np.maximum(np.diag(by_lag[0]), 1e-12))
    by_lag = by_lag / np.outer(usual, usual)
    later = np.subtract.outer(np.arange(bins), np.arange(bins)).T  # (from, to)
    correlation = np.where((later >= 0)[:, :, None, None], by_lag[abs(later)], by_lag[abs(later)].swapaxes(2, 3))
    return correlation.transpose(0, 2, 1, 3).reshape(bins * c, bins * c) * np.outer(deviation, deviation)


def _of_trace(matrix: Floats, trace: Any) -> Floats:
    own = np.trace(matrix)
    return matrix * (trace / own) if own > 0 else matrix


def _leading(covariance: Floats, count: int) -> tuple[Floats, Floats]:
    """Return the leading eigenvalues (count,) and eigenvectors (width, count), signs fixed."""
    from scipy.linalg import eigh

    width = len(covariance)
    values, vectors = eigh(covariance, subset_by_index=(width - count, width - 1))
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    largest = np.abs(vectors).argmax(axis=0)
    return values, vectors * np.sign(vectors[largest, np.arange(count)])


def _filled(values: Floats, seen: Mask) -> Floats:
    """Fill missing values with the mean curve, then with predictions from the leading axes."""
    if seen.all():
        return values
    count = seen.sum(axis=0)
    usual = np.where(seen, values, 0.0).sum() / max(int(seen.sum()), 1)
    center = (np.where(seen, values, 0.0).sum(axis=0) + usual) / (count + 1)  # rarely observed steps are shrunk
    filled = np.where(seen, values, center)
    size = max(1, min(8, len(values) // 4, values.shape[1] // 4))
    for _ in range(_FILLS):
        center = filled.mean(axis=0)
        departures = filled - center
        covariance = departures.T @ departures / len(departures)
        variances, vectors = _leading(covariance, size)
        noise = max((np.trace(covariance) - variances.sum()) / values.shape[1], 1e-12)
        shrunk = variances / (variances + noise)
        filled = np.where(seen, values, center + (departures @ vectors * shrunk) @ vectors.T)
    return filled


def _pad(values: Floats, size: int) -> Floats:
    """Fill the last axis with zeros up to ``size``."""
    return np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, size - values.shape[-1])])
