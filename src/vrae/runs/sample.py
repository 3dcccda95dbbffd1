"""A sample of series, drawn while they pass by once."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Panel
from vrae.data.selection import join_panels

__all__ = ["sample_series"]

# Values of a sample; of very long series it holds fewer than asked for.
_MAX_VALUES = 1 << 26


def sample_series(panels: Iterable[Panel], n_series: int, seed: int) -> tuple[Panel, int]:
    """Draw series at random, each as likely as any other, and keep their order.

    Every series gets a random number, and those with the smallest stay: so the sample depends on the seed and the
    order of the series, not on how they are cut into panels.

    Parameters
    ----------
    panels : iterable of Panel
        At least one series in all.
    n_series : int
        All are taken if there are no more.
    seed : int

    Returns
    -------
    sample : Panel
    total : int
        Number of series that passed by.
    """
    rng = np.random.default_rng(seed)
    kept: list[Panel] = []
    keys = np.zeros(0)
    limit, total = np.inf, 0
    for panel in panels:
        drawn = rng.random(len(panel))
        total += len(panel)
        chosen = drawn < limit
        if not chosen.any():
            continue
        kept.append(panel if chosen.all() else panel.select(chosen))
        keys = np.append(keys, drawn[chosen])
        if len(keys) > 2 * n_series or sum(part.values.size for part in kept) > 2 * _MAX_VALUES:
            smaller, keys = _smallest(join_panels(kept), keys, n_series)
            limit = keys.max() if len(keys) < total else np.inf
            kept = [smaller]
    return _smallest(join_panels(kept), keys, n_series)[0], total


def _smallest(panel: Panel, keys: npt.NDArray[np.float64], n_series: int) -> tuple[Panel, npt.NDArray[np.float64]]:
    order = np.argsort(keys)
    room = int(np.searchsorted(np.cumsum(panel.lengths[order]) * panel.n_channels, _MAX_VALUES, side="right"))
    rows = np.sort(order[: min(n_series, max(room, 2))])
    return (panel, keys) if len(rows) == len(panel) else (panel.select(rows), keys[rows])
