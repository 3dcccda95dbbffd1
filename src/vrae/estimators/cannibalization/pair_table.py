"""Tables of candidate pairs: their columns, their order, and the false discovery rate."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["NO_PAIRS", "BestLag", "Pairs", "control_fdr", "make_pairs", "most_significant"]

# Largest number of candidates kept in memory.
MAX_CANDIDATES = 2_000_000

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Pairs = npt.NDArray[np.void]

# Pairs of items, as indices of series. A kind above 0 was found by the test of level shifts.
_PAIR = np.dtype(
    [(name, np.int64) for name in ("item", "other", "kind", "lag")]
    + [(name, np.float64) for name in ("strength", "p", "q")]
)
NO_PAIRS: Pairs = np.empty(0, _PAIR)


def make_pairs(**columns: Any) -> Pairs:
    """Return pairs from their columns, or from one value for all pairs. ``q`` follows later."""
    pairs = np.zeros(len(columns["other"]), _PAIR)
    for name, values in columns.items():
        pairs[name] = values
    return pairs


class BestLag:
    """The lag with the largest z-score of each pair."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.z = np.full(shape, -np.inf)
        self.correlations = np.zeros(shape)
        self.lags = np.zeros(shape, np.int64)

    def update(self, z: Floats, correlations: Floats, lag: int) -> None:
        """Replace pairs whose z-score is larger at this lag."""
        better = z > self.z
        self.z[better], self.correlations[better] = z[better], correlations[better]
        self.lags[better] = lag


def most_significant(pairs: Pairs) -> Pairs:
    """Keep the most significant finding of each pair and test, and at most 2,000,000 in total."""
    kept = _first_of_pair(pairs[np.lexsort((pairs["kind"], pairs["p"]))], by_test=True)
    return kept[np.argsort(kept["p"], kind="stable")[:MAX_CANDIDATES]]


def _first_of_pair(pairs: Pairs, *, by_test: bool) -> Pairs:
    """Keep the first entry of each pair of items, or the first of each test."""
    low, high = np.minimum(pairs["item"], pairs["other"]), np.maximum(pairs["item"], pairs["other"])
    _, first = np.unique(np.stack([low, high, by_test & (pairs["kind"] > 0)], axis=1), axis=0, return_index=True)
    return pairs[np.sort(first)]


def control_fdr(pairs: Pairs, n_pairs: Ints, fdr: float) -> Pairs:
    """Compute q-values (Benjamini & Hochberg) and keep the pairs with a q-value up to ``fdr``.

    The correction is over all pairs tested, by each test on its own, and the tests share the error
    rate between them (Bonferroni). Pairs that are not among the candidates have p-values above
    ``fdr`` and do not affect the q-values below it. Among equal q-values, the pair of which fewer
    are expected by chance comes first.
    """
    for test in np.flatnonzero(n_pairs):
        own = np.flatnonzero((pairs["kind"] > 0) == test)
        own = own[np.argsort(pairs["p"][own], kind="stable")]
        ranked = pairs["p"][own] * n_pairs[test] / np.arange(1, len(own) + 1)
        pairs["q"][own] = np.minimum(np.minimum.accumulate(ranked[::-1])[::-1] * np.count_nonzero(n_pairs), 1)
    expected = pairs["p"] * n_pairs[(pairs["kind"] > 0).astype(np.int64)]  # false pairs as significant as this
    order = np.lexsort((expected, pairs["q"]))
    return _first_of_pair(pairs[order[pairs["q"][order] <= fdr]], by_test=False)
