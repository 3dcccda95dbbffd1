"""What the main directions of the map mean: how they go together with what can be seen of a series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.report.data import Floats, ReportData
from vrae.report.describe import TRAITS

__all__ = ["Direction", "TraitRow", "describe_directions", "trait_rows"]

_WORTH_A_WORD = 0.3
_VARIES = 0.01  # a trait of a smaller standard deviation is not worth a row; in spreads where it counts in them


@dataclass(frozen=True)
class Direction:
    """One dimension of the embedding: its share of all variation, 0 to 1, and what it goes together with."""

    number: int
    share: float
    meaning: str


@dataclass(frozen=True)
class TraitRow:
    """One property of series: its rank correlation with each direction, and the channel where it is strongest."""

    name: str
    more: str
    less: str
    correlations: list[float]
    channels: list[str]


def describe_directions(data: ReportData, rows: Sequence[TraitRow], n_directions: int) -> list[Direction]:
    """Sum up what each of the first directions means; ``rows`` from `trait_rows`."""
    variances = np.nanvar(data.embedding.astype(np.float64), axis=0)
    shares = variances / max(variances.sum(), 1e-300)
    return [Direction(d + 1, float(shares[d]), _meaning(rows, d)) for d in range(n_directions)]


def trait_rows(
    data: ReportData, measured: npt.NDArray[np.int64], traits: Mapping[str, Floats], n_directions: int
) -> list[TraitRow]:
    """Correlate traits with directions (Spearman's rank correlation).

    Parameters
    ----------
    data : ReportData
    measured : ndarray of int, shape (n_measured,)
        Which series the traits are of.
    traits : mapping of str to ndarray of shape (n_measured, n_channels)
    n_directions : int

    Returns
    -------
    list of TraitRow
        Traits that do not vary are left out.
    """
    Z = data.embedding[measured][:, :n_directions]
    usable = np.asarray(np.isfinite(Z).all(axis=1))
    names = [name for name in TRAITS if _varies(name, traits, usable)]
    if usable.sum() < 4 or not names:
        return []
    ranks = _ranks(Z[usable])
    found = []
    for name in names:
        by_channel = _ranks(traits[name][usable]).T @ ranks / len(ranks)  # (n_channels, n_directions)
        strongest = np.abs(by_channel).argmax(axis=0)
        values = np.take_along_axis(by_channel, strongest[None], axis=0)[0]
        places = [str(data.panel.channels[c]) for c in strongest] if data.panel.n_channels > 1 else []
        trait = TRAITS[name]
        found.append(TraitRow(trait.name, trait.more, trait.less, values.round(2).tolist(), places))
    return found


def _varies(name: str, traits: Mapping[str, Floats], usable: npt.NDArray[np.bool_]) -> bool:
    """Whether a trait differs between series by more than rounding, or than anyone would speak of."""
    values = traits[name][usable]
    known = values[np.isfinite(values)]
    if not len(known):
        return False
    usual = np.nanmedian(traits["spread"]) if TRAITS[name].in_spreads else 1.0
    return bool(np.std(known) > _VARIES * usual)


def _ranks(values: Floats) -> npt.NDArray[np.float64]:
    """Return the ranks within each column, of mean 0 and standard deviation 1; 0 for a column that does not vary."""
    from scipy.stats import rankdata

    ranks: Any = rankdata(np.nan_to_num(values), axis=0)
    ranks = ranks - ranks.mean(axis=0)
    return np.asarray(ranks / np.maximum(ranks.std(axis=0), 1e-12))


def _meaning(rows: Sequence[TraitRow], direction: int) -> str:
    """Name the two properties that rise or fall along a direction most."""
    ranked = sorted(rows, key=lambda row: -abs(row.correlations[direction]))[:2]
    parts = [
        row.more if row.correlations[direction] > 0 else row.less
        for row in ranked
        if abs(row.correlations[direction]) >= _WORTH_A_WORD
    ]
    if not parts:
        return "Goes together with none of the simple properties below: look at the curve."
    return f"To the right: {' and '.join(parts)}."
