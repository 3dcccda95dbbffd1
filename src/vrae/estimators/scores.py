"""Thresholds of anomaly scores: from a fraction of series, or from the rate of false alarms."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["MIN_SCORES", "quantile_threshold", "tail_threshold"]

Floats = npt.NDArray[np.float64]

# Fewest scores from which a tail can be estimated.
MIN_SCORES = 20
# The tail: the largest tenth of the scores, at least this number.
_TAIL = 0.1
_MIN_EXCESSES = 10
# Fitted shapes outside this range are chance: lower ones bound the tail, higher ones have no mean.
_SHAPES = (-0.5, 0.9)


def quantile_threshold(scores: Floats, fraction: float) -> float:
    """Return the score that this fraction of all scores (n,) exceeds."""
    return float(np.quantile(scores, 1 - fraction))


def tail_threshold(scores: Floats, rate: float) -> float:
    """Return the score that normal series exceed with a probability in (0, 1).

    The scores (n,), at least `MIN_SCORES`, belong to series that nothing was fitted to. A
    generalised Pareto distribution is fitted to the excesses over a high score, so the rate may be
    smaller than one divided by the number of scores: Coles, "An Introduction to Statistical
    Modeling of Extreme Values", 2001, section 4.3; for anomalies Siffer et al., "Anomaly Detection
    in Streams with Extreme Value Theory", KDD 2017.
    """
    from scipy.stats import genpareto

    n_tail = min(max(round(_TAIL * len(scores)), _MIN_EXCESSES), len(scores) // 2)
    ordered = np.sort(scores)
    start = ordered[-n_tail - 1]
    excesses = ordered[-n_tail:] - start
    fraction = n_tail / len(scores)
    if rate >= fraction or excesses.mean() <= 1e-12 * max(1.0, abs(start)):
        return quantile_threshold(scores, rate)
    shape, _, scale = genpareto.fit(excesses, floc=0)
    if not _SHAPES[0] <= shape <= _SHAPES[1]:
        shape, _, scale = genpareto.fit(excesses, f0=float(np.clip(shape, *_SHAPES)), floc=0)
    return float(start + genpareto.isf(rate / fraction, shape, scale=scale))
