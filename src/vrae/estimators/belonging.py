"""Which new series are unlike everything that a model was trained on.

Series are compared by all of their pattern statistics, not by the few components of them that the
network sees. The components describe how training series differ. A new kind of series differs in
other ways. References, a sample of the training series, are kept. A new series has two scores:

- *distance*: the distance to the nearest reference.
- *isolation*: the smallest ratio between the distance to a reference and that reference's own
  distance to its tenth nearest neighbour, as in the local outlier factor (Breunig et al., "LOF",
  SIGMOD 2000). It finds regular series among noisy ones, where distances are large.

A series is new if either score exceeds its limit. Limits are set from the scores that references
have without themselves, so no series has to be held out. That is fair only for scores to which
nothing was fitted closely. Reconstruction errors are not such scores: they are much smaller for
training series than for other series of the same kind.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cache

import numpy as np
import numpy.typing as npt

from vrae.data.batching import Indices
from vrae.data.panel import Panel
from vrae.data.selection import observed_steps
from vrae.io.folder import Arrays, shaped

__all__ = ["MIN_REFERENCES", "Belonging", "are_among", "reference_indices", "tail_limit", "tempered"]

# Most references, and fewest from which a limit can be estimated.
_MOST_REFERENCES = 2_000
MIN_REFERENCES = 10

# Statistics are projected on so many random directions. Distances stay the same to about
# 1 / sqrt(2 * 256) = 4 % (Johnson & Lindenstrauss 1984; Dasgupta & Gupta 2003).
_DIMENSIONS = 256

# A statistic varies by at least this much, divided by the root of the number of references.
# Proportions are between 0 and 1. Without a floor, one that happened to be almost constant in
# training would outweigh all others.
_LEAST_DEVIATION = 0.25

# The scale of a reference is the distance to this neighbour. Identical references have at least
# this fraction of the usual scale.
_NEIGHBOUR = 10
_LEAST_SCALE = 1e-3

# The tail of the scores: the largest tenth, at least fifteen, at most half.
_TAIL = 0.1
_LEAST_TAIL = 15
# The largest hundredth, at least one, may be unusual itself. How large it is has no influence.
_UNUSUAL = 0.01

# A series is judged if it has this fraction of the steps of a short reference, one with fewer steps
# than 99 % of them.
_SHORTER = 0.9
_SHORT = 0.01

# Rounding differs between batches, so distances below this are none, and no limit is below it.
_ROUNDING = 0.1

# Latent vectors of one series in different batches differ by less than this.
_SAME = 1e-4

# A limit that no score reaches. Saved models hold no infinite numbers.
_NEVER = 1e30

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Belonging:
    """References, and the limits beyond which a series belongs to none of them."""

    weights: npt.NDArray[np.float32]  # (n_statistics,)
    references: npt.NDArray[np.float32]  # (n_references, dimensions), weighted and projected
    scales: Floats  # (n_references,), distance of each to its tenth nearest reference
    limits: Floats  # (2,), of distance and isolation
    shortest: Floats  # (1,), steps with a value below which a series is not judged

    @classmethod
    def fit(cls, statistics: npt.NDArray[np.floating], sizes: npt.NDArray[np.integer], rate: float = 0.01) -> Belonging:
        """Learn what training series look like.

        Parameters
        ----------
        statistics : ndarray of shape (n_references, n_statistics)
            All pattern statistics of the references, before principal components are taken. For a
            model without patterns: latent vectors. See `reference_indices`.
        sizes : ndarray of int, shape (n_references,)
            Number of steps with a value.
        rate : float, default=0.01
            Fraction of series of a known kind that may be called new, in (0, 0.5).

        Returns
        -------
        Belonging
            With fewer than `MIN_REFERENCES` references, no series is new.
        """
        raw = np.asarray(statistics, np.float64)
        n = len(raw)
        shortest = np.array([_SHORTER * np.quantile(sizes, _SHORT)])
        weights = (1 / np.sqrt(raw.var(axis=0) + _LEAST_DEVIATION**2 / n)).astype(np.float32)
        references = _project(raw, weights)
        if n < MIN_REFERENCES:
            return cls(weights, references, np.ones(n), np.full(2, _NEVER), shortest)
        return cls(weights, references, *_scales_and_limits(references, rate), shortest)

    def at(self, rate: float) -> Belonging:
        """Return the same references with the limits of another rate; see `fit`."""
        if len(self.references) < MIN_REFERENCES:
            return self
        return replace(self, limits=_scales_and_limits(self.references, rate)[1])

    @classmethod
    def from_arrays(cls, arrays: Arrays, n_statistics: int) -> Belonging:
        """Rebuild from ``arrays()``. Shapes that do not fit raise a ValueError."""
        n = len(arrays["references"])
        if n == 0 or not all((arrays[name] > 0).all() for name in ("scales", "limits")):
            raise ValueError("scales and limits of the references must be positive")
        return cls(
            shaped("weights", arrays, (n_statistics,)),
            shaped("references", arrays, (n, _DIMENSIONS)),
            shaped("scales", arrays, (n,)),
            shaped("limits", arrays, (2,)),
            shaped("shortest", arrays, (1,)),
        )

    def arrays(self) -> Arrays:
        """Return the arrays to save."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def novelty(self, statistics: npt.NDArray[np.floating]) -> Floats:
        """Return how unlike the references series are (n,), from statistics (n, n_statistics).

        The larger of both scores, relative to its limit. A reference has 0; above 1 is new. Call it
        for a batch: it needs memory for n times 2,000 distances.
        """
        projected = _project(statistics, self.weights)
        between = _distances(projected, self.references)  # (n, n_references)
        scores = np.column_stack([between.min(axis=1), (between / self.scales).min(axis=1)])
        return (scores / self.limits).max(axis=1)

    def known_fraction(self, panel: Panel) -> Floats:
        """Return what fraction (n,) of the steps needed to be judged each series has; at most 1."""
        return np.minimum(observed_steps(panel) / self.shortest, 1.0)

    def is_new(self, statistics: npt.NDArray[np.floating], sizes: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
        """Return which series are new (n,); see `fit` for the parameters.

        A series that is clearly shorter than the references is not called new: its statistics
        differ for that reason alone.
        """
        return (self.novelty(statistics) > 1) & (sizes >= self.shortest)


def tempered(probabilities: Floats, known: Floats) -> Floats:
    """Return probabilities (n, n_clusters), closer to each other the smaller ``known`` (n,) is.

    The most likely cluster stays the same, and so does the sum of each row.
    """
    share = known[:, None]
    return np.asarray(share * probabilities + (1 - share) * probabilities.mean(axis=1, keepdims=True))


def reference_indices(indices: Indices, seed: int = 0) -> Indices:
    """Return a random sample of training series to serve as references: at most 2,000, sorted."""
    return np.sort(np.random.default_rng(seed).permutation(indices)[:_MOST_REFERENCES])


def are_among(Z: npt.NDArray[np.float32], known: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Return which latent vectors (n, latent) are those of known series (n_known, latent)."""
    from scipy.spatial import cKDTree

    if len(Z) == 0:
        return np.zeros(0, np.bool_)
    tree = cKDTree(known[np.isfinite(known).all(axis=1)])
    return np.isfinite(tree.query(Z, distance_upper_bound=_SAME)[0])


def tail_limit(scores: Floats, rate: float) -> float:
    """Return the limit that a further score of the same distribution exceeds at a given rate.

    Of n scores, the m largest exceed the next one, u. A further score exceeds u with probability
    (m + 1) / (n + 1), whatever the distribution. If the tail is exponential, it then exceeds u + c
    s with probability (1 + c)^-k. Here s is the sum of the excesses of the k smallest of the m
    scores, plus m - k times the largest of these: the others are censored, so that a few unusual
    series do not hide all others like them. s is a gamma variable, and the probability includes
    that it is uncertain (Lawless, "Statistical Models and Methods for Lifetime Data", 2003, section
    4.1).
    """
    n = len(scores)
    m = min(max(round(_TAIL * n), _LEAST_TAIL), n // 2)
    k = m - min(max(round(_UNUSUAL * n), 1), m - 1)
    u, *tail = np.sort(scores)[-m - 1 :]
    excesses = np.array(tail[:k]) - u
    s = excesses.sum() + (m - k) * excesses[-1]
    c = ((m + 1) / ((n + 1) * rate)) ** (1 / k) - 1
    return float(u + max(c, 0.0) * s)


def _scales_and_limits(references: npt.NDArray[np.float32], rate: float) -> tuple[Floats, Floats]:
    """Return the scales (n,) of references (n, dimensions), and both limits at a rate."""
    n = len(references)
    between = _distances(references, references)  # (n, n)
    np.fill_diagonal(between, np.inf)
    k = min(_NEIGHBOUR, n - 2)
    nearest = np.partition(between, (0, k - 1, k), axis=1)
    distance, scales, without_one = nearest[:, 0], nearest[:, k - 1], nearest[:, k]  # each (n,)
    least = max(_LEAST_SCALE * float(np.median(scales)), _ROUNDING)
    # Without series i, the scale of its neighbour j is the distance to the next nearest.
    left_out = np.where(between <= scales, without_one, scales)  # (i, j)
    isolation = (between / np.maximum(left_out, least)).min(axis=1)
    # Two scores are two chances of a false alarm. Each gets half of the rate.
    limits = [tail_limit(scores, rate / 2) for scores in (distance, isolation)]
    return np.maximum(scales, least), np.maximum(limits, _ROUNDING)


def _project(statistics: npt.NDArray[np.floating], weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return weighted statistics in random directions, (n, dimensions)."""
    weighted = np.multiply(statistics, weights, dtype=np.float32)
    projected: npt.NDArray[np.float32] = np.matmul(weighted, _directions(len(weights)))
    return projected


@cache
def _directions(n_statistics: int) -> npt.NDArray[np.float32]:
    """Return random directions (n_statistics, dimensions).

    They are the same in every version: numpy's `RandomState` is frozen.
    """
    drawn = np.random.RandomState(0).standard_normal((n_statistics, _DIMENSIONS)) / np.sqrt(_DIMENSIONS)
    directions: npt.NDArray[np.float32] = drawn.astype(np.float32)
    return directions


def _distances(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> Floats:
    center = b.mean(axis=0)  # around it, float32 is precise enough, and twice as fast as float64
    a, b = a - center, b - center
    lengths = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1)
    squares = lengths - 2 * a @ b.T
    squares[squares < 8 * np.finfo(np.float32).eps * lengths] = 0  # less is rounding
    return np.sqrt(squares).astype(np.float64)
