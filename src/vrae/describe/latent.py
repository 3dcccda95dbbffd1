"""Describe what changes along a latent dimension."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.describe.results import Traversal
from vrae.describe.traits import TRAITS, series_traits

__all__ = ["describe_traversal"]

Floats = npt.NDArray[np.floating[Any]]


def describe_traversal(dimension: int, values: Floats, series: Floats, *, in_use: bool = True) -> Traversal:
    """Describe how decoded series change along one latent dimension.

    Parameters
    ----------
    dimension : int
        Number of the latent dimension, from 0.
    values : ndarray of shape (n_values,)
        Values of the dimension, ascending.
    series : ndarray of shape (n_values, n_channels, n_steps)
        Decoded series, one for each value.
    in_use : bool, default=True
        Whether the training series differ in this dimension.

    Returns
    -------
    Traversal
        Names up to three traits that differ between the first and the last series.
    """
    return Traversal(dimension, values, series, _changes(series) if in_use else "not in use: constant over all series.")


def _changes(series: Floats) -> str:
    traits = series_traits(list(series))
    mean_spread = np.abs(traits["spread"]).mean(axis=0)
    gains = []
    for name, trait in TRAITS.items():
        least = trait.least * (mean_spread if trait.in_spreads else 1.0) + 1e-12
        gain = (traits[name][-1] - traits[name][0]) / least  # (n_channels,)
        c = int(np.abs(gain).argmax())
        gains.append((float(gain[c]), trait, c))
    parts = [
        (trait.more if gain > 0 else trait.less) + (f" (channel {c})" if series.shape[1] > 1 else "")
        for gain, trait, c in sorted(gains, key=lambda entry: -abs(entry[0]))[:3]
        if abs(gain) >= 1
    ]
    return f"{', '.join(parts)}." if parts else "no single property changes: the shape changes as a whole."
