"""What the main directions of the map mean: their correlation with the traits of series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.describe.traits import TRAITS, Trait
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

    trait: Trait
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
    """Correlate the traits that vary with directions (Spearman's rank correlation).

    ``traits`` (n_measured, n_channels) are those of the series at ``measured``.
    """
    Z = data.embedding[measured][:, :n_directions]
    usable = np.asarray(np.isfinite(Z).all(axis=1))
    if usable.sum() < 4:
        return []
    ranks = _ranks(Z[usable])
    found = []
    for name, trait in TRAITS.items():
        values = traits[name][usable]
        known = values[np.isfinite(values)]
        unit = np.nanmedian(traits["spread"]) if trait.in_spreads else 1.0
        if not len(known) or not np.std(known) > _VARIES * unit:
            continue
        by_channel = _ranks(values).T @ ranks / len(ranks)  # (n_channels, n_directions)
        strongest = np.abs(by_channel).argmax(axis=0)
        correlations = np.take_along_axis(by_channel, strongest[None], axis=0)[0].round(2).tolist()
        channels = [str(data.panel.channels[c]) for c in strongest] if data.panel.n_channels > 1 else []
        found.append(TraitRow(trait, correlations, channels))
    return found


def _ranks(values: Floats) -> npt.NDArray[np.float64]:
    """Return the ranks within each column, standardised; 0 for a constant column."""
    from scipy.stats import rankdata

    ranks: Any = rankdata(np.nan_to_num(values), axis=0)
    ranks = ranks - ranks.mean(axis=0)
    return np.asarray(ranks / np.maximum(ranks.std(axis=0), 1e-12))


def _meaning(rows: Sequence[TraitRow], direction: int) -> str:
    """Name the two traits that correlate most with a direction."""
    found = sorted(((row.correlations[direction], row.trait) for row in rows), key=lambda entry: -abs(entry[0]))
    parts = [trait.words(correlation) for correlation, trait in found[:2] if abs(correlation) >= _NOTABLE]
    if not parts:
        return "Correlates with none of the simple properties below: look at the curve."
    return f"To the right: {' and '.join(parts)}."
