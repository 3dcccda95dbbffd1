"""What the main directions of the map mean: their correlation with the traits of series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.describe.traits import TRAITS
from vrae.report.data import Floats, ReportData

__all__ = ["Direction", "TraitRow", "describe_directions", "trait_rows"]

_NOTABLE = 0.3  # correlation
_VARIES = 0.01  # standard deviation below which a trait gets no row


@dataclass(frozen=True)
class Direction:
    """One dimension of the embedding: number, proportion of the variance and meaning in words."""

    number: int
    explained: float
    meaning: str


@dataclass(frozen=True)
class TraitRow:
    """A trait, its rank correlation with each direction, and the channel of the strongest one."""

    name: str
    more: str
    less: str
    correlations: list[float]
    channels: list[str]


def describe_directions(data: ReportData, rows: Sequence[TraitRow], n_directions: int) -> list[Direction]:
    """Describe the first directions by the correlations from `trait_rows`."""
    variances = np.nanvar(data.embedding.astype(np.float64), axis=0)
    explained = variances / max(variances.sum(), 1e-300)
    return [Direction(d + 1, float(explained[d]), _meaning(rows, d)) for d in range(n_directions)]


def trait_rows(
    data: ReportData, measured: npt.NDArray[np.int64], traits: Mapping[str, Floats], n_directions: int
) -> list[TraitRow]:
    """Correlate traits with directions (Spearman's rank correlation).

    Parameters
    ----------
    data : ReportData
    measured : ndarray of int64, shape (n_measured,)
        Which series were measured.
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
    """Whether a trait differs noticeably between series."""
    values = traits[name][usable]
    known = values[np.isfinite(values)]
    if not len(known):
        return False
    unit = np.nanmedian(traits["spread"]) if TRAITS[name].in_spreads else 1.0
    return bool(np.std(known) > _VARIES * unit)


def _ranks(values: Floats) -> npt.NDArray[np.float64]:
    """Return the ranks within each column, standardised; 0 for a constant column."""
    from scipy.stats import rankdata

    ranks: Any = rankdata(np.nan_to_num(values), axis=0)
    ranks = ranks - ranks.mean(axis=0)
    return np.asarray(ranks / np.maximum(ranks.std(axis=0), 1e-12))


def _meaning(rows: Sequence[TraitRow], direction: int) -> str:
    """Name the two traits that correlate most with a direction."""
    ranked = sorted(rows, key=lambda row: -abs(row.correlations[direction]))[:2]
    parts = [
        row.more if row.correlations[direction] > 0 else row.less
        for row in ranked
        if abs(row.correlations[direction]) >= _NOTABLE
    ]
    if not parts:
        return "Correlates with none of the simple properties below: look at the curve."
    return f"To the right: {' and '.join(parts)}."
