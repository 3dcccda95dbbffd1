"""A sample of series, drawn while they pass by once."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Panel
from vrae.data.selection import join_panels

__all__ = ["MAX_VALUES", "lots", "sample_series", "smallest"]

# Values of a sample; of very long series it holds fewer than asked for.
MAX_VALUES = 1 << 26


def sample_series(panels: Iterable[Panel], n_series: int, seed: int) -> tuple[Panel, int]:
    """Draw series at random, each as likely as any other, and keep their order.

    Every series draws a lot by its id, and those with the lowest stay: so the sample depends on the seed and the ids
    alone, not on how the series are cut into panels, nor on who reads which of them.

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
    kept: list[Panel] = []
    keys = np.zeros(0)
    limit, total = np.inf, 0
    for panel in panels:
        drawn = lots(panel.ids, seed)
        total += len(panel)
        chosen = drawn < limit
        if not chosen.any():
            continue
        kept.append(panel if chosen.all() else panel.select(chosen))
        keys = np.append(keys, drawn[chosen])
        if len(keys) > 2 * n_series or sum(part.values.size for part in kept) > 2 * MAX_VALUES:
            smaller, keys = smallest(join_panels(kept), keys, n_series)
            limit = keys.max() if len(keys) < total else np.inf
            kept = [smaller]
    return smallest(join_panels(kept), keys, n_series)[0], total


def lots(ids: npt.NDArray[Any], seed: int) -> npt.NDArray[np.float64]:
    """Draw a number from 0 to 1 for every id (n,), the same wherever the id comes up with this seed."""
    key = str(seed).encode()
    digests = b"".join(
        blake2b(str(name).encode("utf-8", "replace"), digest_size=8, key=key).digest() for name in ids.tolist()
    )
    return np.frombuffer(digests, "<u8") / 2.0**64


def smallest(panel: Panel, keys: npt.NDArray[np.float64], n_series: int) -> tuple[Panel, npt.NDArray[np.float64]]:
    """Return the series of a panel with the lowest lots, in order, and their lots; fewer where they are long."""
    order = np.argsort(keys)
    room = int(np.searchsorted(np.cumsum(panel.lengths[order]) * panel.n_channels, MAX_VALUES, side="right"))
    rows = np.sort(order[: min(n_series, max(room, 2))])
    return (panel, keys) if len(rows) == len(panel) else (panel.select(rows), keys[rows])
