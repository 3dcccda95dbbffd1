"""From scores to a verdict: where the unusual begins. Higher scores are more unusual here."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["FEWEST_SCORES", "share_threshold", "tail_threshold"]

Floats = npt.NDArray[np.float64]

# Scores that a tail can be told from.
FEWEST_SCORES = 20
# The tail: the largest tenth of the scores, and so many of them at least.
_TAIL = 0.1
_FEWEST_EXCESSES = 10
# Beyond these shapes a fit to few excesses is luck: below, it puts an end to the tail; above, the tail has no mean.
_SHAPES = (-0.5, 0.9)


def share_threshold(scores: Floats, share: float) -> float:
    """Return the score that a share of all scores (n,) lies above."""
    return float(np.quantile(scores, 1 - share))


def tail_threshold(scores: Floats, rate: float) -> float:
    """Return the score that usual series pass with a given probability, by peaks over a threshold.

    The excesses over a high score are fitted with a generalised Pareto distribution, so the rate may be smaller than
    one in the number of scores: Coles, "An Introduction to Statistical Modeling of Extreme Values", 2001, section 4.3;
    for anomalies Siffer et al., "Anomaly Detection in Streams with Extreme Value Theory", KDD 2017.

    Parameters
    ----------
    scores : ndarray of shape (n,)
        Of series that nothing was fitted to; at least `FEWEST_SCORES`.
    rate : float
        False alarms among usual series, in (0, 1).
    """
    from scipy.stats import genpareto

    n_tail = min(max(round(_TAIL * len(scores)), _FEWEST_EXCESSES), len(scores) // 2)
    ordered = np.sort(scores)
    start = ordered[-n_tail - 1]
    excesses = ordered[-n_tail:] - start
    share = n_tail / len(scores)
    if rate >= share or excesses.mean() <= 1e-12 * max(1.0, abs(start)):
        return share_threshold(scores, rate)
    shape, _, scale = genpareto.fit(excesses, floc=0)
    if not _SHAPES[0] <= shape <= _SHAPES[1]:
        shape, _, scale = genpareto.fit(excesses, f0=float(np.clip(shape, *_SHAPES)), floc=0)
    return float(start + genpareto.isf(rate / share, shape, scale=scale))
