"""Who is in which cluster: a cross-table with a static column or with known labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vrae.data.calendar import time_text
from vrae.describe.words import cluster_labels, cluster_name, percent, plain
from vrae.exceptions import InvalidDataError, InvalidParameterError
from vrae.metrics import labelled

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MISSING", "CrossTable", "cross_table"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.floating[Any]]

MISSING = "no value"
"""Category of the series without a value in the column."""

_MOST = 12  # categories, or different numbers that count as categories
_ASSOCIATED = 0.1  # Cramér's V below which nothing is said
_SIGNIFICANT = 0.01  # p-value of the chi-squared test
_RESIDUAL = 3.0  # adjusted standardised residual that stands out
_ENOUGH = 5  # series in a cell that stands out


@dataclass(frozen=True, eq=False)
class CrossTable:
    """Counts of series by cluster and by category of a column.

    Attributes
    ----------
    column : str
    kind : str
        "category", "number" or "date". Numbers and dates are divided into quarters.
    labels : list of int
        The clusters, in the order of the rows; noise last.
    categories : tuple of str
        The most frequent ones; then, if there are any, the others and those without a value.
    counts : ndarray of int64, shape (n_clusters, n_categories)
    medians : list of str
        For numbers and dates: the median of each cluster and, at the end, of all series.
    names : mapping of int to str
        Names of the clusters.
    n_others : int
        Number of categories that are counted as "other".
    """

    column: str
    kind: str
    labels: list[int]
    categories: tuple[str, ...]
    counts: npt.NDArray[np.int64]
    medians: list[str]
    names: Mapping[int, str]
    n_others: int = 0

    @property
    def shares(self) -> Floats:
        """Share of each category in each cluster, shape (n_clusters, n_categories)."""
        return np.asarray(self.counts / np.maximum(self.counts.sum(axis=1, keepdims=True), 1))

    @property
    def shares_of_all(self) -> Floats:
        """Share of each category among all series, shape (n_categories,)."""
        return np.asarray(self.counts.sum(axis=0) / self.counts.sum())

    @property
    def lift(self) -> Floats:
        """Share in the cluster divided by the share of all: 2 is twice as frequent as expected."""
        return np.asarray(self.shares / self.shares_of_all)

    @property
    def residuals(self) -> Floats:
        """Adjusted standardised residuals: beyond 3, more than chance explains (Haberman 1973)."""
        total = self.counts.sum()
        row, of_all = self.counts.sum(axis=1, keepdims=True) / total, self.shares_of_all
        expected = total * row * of_all
        error = np.sqrt(expected * (1 - row) * (1 - of_all))
        return np.where(error > 0, (self.counts - expected) / np.where(error > 0, error, 1.0), 0.0)

    @property
    def association(self) -> float:
        """Cramér's V, 0 to 1 = the cluster decides the category; 0 if chance may explain it."""
        from scipy.stats import chi2_contingency
        from scipy.stats.contingency import association

        if min(self.counts.shape) < 2:
            return 0.0
        if chi2_contingency(self.counts, correction=False).pvalue > _SIGNIFICANT:
            return 0.0
        return float(association(self.counts, method="cramer", correction=False))

    def name(self, label: int) -> str:
        """Return the name of a cluster."""
        return cluster_name(label, self.names)

    def sentence(self) -> str:
        """Say in one sentence what stands out most; empty if nothing does."""
        return next(iter(self.sentences()), "")

    def sentences(self, most: int = 4) -> list[str]:
        """Say what stands out most in each cluster, a sentence each, the clearest first."""
        if self.association < _ASSOCIATED:
            return []
        apart = self.shares - self.shares_of_all
        notable = (np.abs(self.residuals) >= _RESIDUAL) & ((self.counts >= _ENOUGH) | (apart < 0))
        notable[:, _MOST if self.n_others else len(self.categories) :][:, :1] = False
        # What a cluster has says more than what it lacks, except for the clearest difference.
        size = np.where(notable, np.abs(apart), 0.0)
        size = np.where((apart < 0) & (size < size.max(initial=0.0)), 0.1 * size, size)
        best = size.argmax(axis=1)
        order = np.argsort(-size.max(axis=1), kind="stable")[:most]
        told = [row for row in order.tolist() if size[row, best[row]] > 0]
        lacks = [row for row in told if apart[row, best[row]] < 0]
        kept = told[:1] + [row for row in told[1:] if row not in lacks]
        return [self._about(row, int(best[row])) for row in kept]

    def _about(self, row: int, place: int) -> str:
        """Say how frequent a category is in a cluster; of numbers, what their median is."""
        group = f"“{self.name(self.labels[row])}”"
        if self.medians and self.categories[place] != MISSING:
            return f"{self.column}: the median is {self.medians[row]} in {group}, {self.medians[-1]} in all series."
        parts = (self.shares[row, place], self.shares_of_all[place])
        here, everywhere = (percent(part).replace(" ", "\N{NO-BREAK SPACE}") for part in parts)
        what = f"{self.column} “{self.categories[place]}”"
        if self.categories[place] == MISSING:
            what = f"{self.column} without a value"
        return f"{what}: {here} of {group}, {everywhere} of all series."

    def to_pandas(self, show: str = "count") -> pd.DataFrame:
        """Return a table with a row per cluster and a column per category.

        Parameters
        ----------
        show : {"count", "share", "lift", "residual"}, default="count"
            Numbers of series; shares of the cluster, 0 to 1; how often the category is as frequent
            as among all series; adjusted standardised residuals. Counts and shares have a last row
            for all series.
        """
        import pandas as pd

        tables: dict[str, Array] = {
            "count": np.vstack([self.counts, self.counts.sum(axis=0)]),
            "share": np.vstack([self.shares, self.shares_of_all]),
            "lift": self.lift,
            "residual": self.residuals,
        }
        if not isinstance(show, str) or show not in tables:
            raise InvalidParameterError(f"show={show!r:.80} must be one of {', '.join(map(repr, tables))}.")
        values = tables[show]
        rows = [*map(self.name, self.labels), "All series"][: len(values)]
        return pd.DataFrame(
            values, pd.Index(rows, name="cluster"), pd.Index(self.categories, name=self.column, dtype=object)
        )


def cross_table(
    column: str, values: npt.ArrayLike, labels: npt.ArrayLike, names: Mapping[int, str] | None = None
) -> CrossTable:
    """Count the series by cluster and by category of a column.

    Parameters
    ----------
    column : str
        Name of the column.
    values : array of shape (n_series,)
        Text, flags, numbers or dates. None, NaN and blanks are missing.
    labels : array of int, shape (n_series,)
        Cluster of each series, -1 = not assigned.
    names : mapping of int to str, optional
        Names of the clusters.
    """
    values, labels = np.asarray(values), np.asarray(labels, int)
    if values.shape != labels.shape or labels.ndim != 1 or not len(labels):
        raise InvalidDataError(
            f"Column {column!r} must have one value per series. Found shape {values.shape} for {len(labels)} series."
        )
    known = labelled(values)
    numbers = _as_numbers(values, known)
    medians, n_others, kind = [], 0, "category"
    if numbers is not None and len(np.unique(numbers[known])) > _MOST:
        kind = "date" if numbers.dtype.kind == "M" else "number"
        found, codes = _quarters(numbers, known)
        groups = [labels == label for label in cluster_labels(labels)]
        medians = [_median(numbers[group & known]) for group in [*groups, np.ones(len(labels), bool)]]
    elif numbers is not None:
        found, codes = _by_value(numbers, known)
    else:
        found, codes, n_others = _by_frequency(np.array([str(value) for value in values.tolist()]), known)
    if not known.all():
        found, codes = [*found, MISSING], np.where(known, codes, len(found))
    shown = cluster_labels(labels)
    counts = np.array([np.bincount(codes[labels == label], minlength=len(found)) for label in shown])
    return CrossTable(column, kind, shown, tuple(found), counts, medians, dict(names or {}), n_others)


def _as_numbers(values: Array, known: Array) -> Array | None:
    """Return a column as float64 or datetime64, with any value where it is missing, or None."""
    if values.dtype.kind == "M":
        return values
    if values.dtype.kind in "iuf":
        return values.astype(np.float64)
    if values.dtype.kind != "O" or not known.any():
        return None
    listed = values[known].tolist()
    if any(isinstance(value, (bool, np.bool)) or not isinstance(value, (int, float, np.number)) for value in listed):
        return None
    numbers = np.full(len(values), np.nan)
    numbers[known] = listed
    return numbers


def _quarters(numbers: Array, known: Array) -> tuple[list[str], Array]:
    """Divide numbers at their quartiles. Equal quartiles are one."""
    observed = np.sort(numbers[known])
    edges = np.unique(observed[[len(observed) * q // 4 for q in (1, 2, 3)]])
    codes = np.searchsorted(edges, numbers, side="right")
    kept, codes = np.unique(codes[known], return_inverse=True)
    ends = [(numbers[known][codes == code].min(), numbers[known][codes == code].max()) for code in range(len(kept))]
    names = [_text(low) if low == high else f"{_text(low)} to {_text(high)}" for low, high in ends]
    return names, _placed(codes, known)


def _by_value(numbers: Array, known: Array) -> tuple[list[str], Array]:
    """Return the different numbers in ascending order, with the code of each series."""
    different, codes = np.unique(numbers[known], return_inverse=True)
    return [_exact(value) for value in different], _placed(codes, known)


def _by_frequency(texts: Array, known: Array) -> tuple[list[str], Array, int]:
    """Return the most frequent texts and "other", the code of each series, the number of others."""
    names, codes, counts = np.unique(texts[known], return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    kept = order[:_MOST] if len(order) > _MOST + 1 else order  # "other" is never a single one
    place = np.full(len(names), len(kept))
    place[kept] = np.arange(len(kept))
    shown, rest = names[kept].tolist(), len(names) - len(kept)
    return [*shown, f"other ({rest:,})"] if rest else shown, _placed(place[codes], known), rest


def _placed(codes: Array, known: Array) -> Array:
    """Return codes of the known series at their places among all."""
    placed = np.zeros(len(known), np.int64)
    placed[known] = codes
    return placed


def _median(numbers: Array) -> str:
    if not len(numbers):
        return "unknown"
    middle = np.sort(numbers)[(len(numbers) - 1) // 2] if numbers.dtype.kind == "M" else np.median(numbers)
    return _text(middle)


def _text(value: Any) -> str:
    return time_text(value, None) if isinstance(value, np.datetime64) else plain(float(value))


def _exact(value: Any) -> str:
    """Return a number that is a category, such as a year or the number of a shop."""
    if isinstance(value, np.datetime64):
        return time_text(value, None)
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.6g}"
