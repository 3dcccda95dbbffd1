"""A random sample of a stream of series, drawn in one pass."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Panel
from vrae.data.selection import join_panels
from vrae.phases import advance

__all__ = ["MAX_VALUES", "sample_series", "sampling_keys", "take_smallest"]

# Maximum number of values in a sample. If series are very long, it has fewer of them.
MAX_VALUES = 1 << 26

Keys = npt.NDArray[np.float64]


def sample_series(panels: Iterable[Panel], n_series: int, seed: int) -> tuple[Panel, int]:
    """Draw a simple random sample of series, in their order. Return it and the number of series.

    The sample holds the series with the smallest `sampling_keys`, or all if there are no more than
    ``n_series``. It depends on the seed and the ids only, not on how the series are divided into
    panels or which process reads them.
    """
    kept: list[Panel] = []
    keys = np.zeros(0)
    limit, total = np.inf, 0
    for panel in panels:
        drawn = sampling_keys(panel.ids, seed)
        total += len(panel)
        advance(total, None, "series")
        chosen = drawn < limit
        if not chosen.any():
            continue
        kept.append(panel if chosen.all() else panel.select(chosen))
        keys = np.append(keys, drawn[chosen])
        if len(keys) > 2 * n_series or sum(part.values.size for part in kept) > 2 * MAX_VALUES:
            smaller, keys = take_smallest(join_panels(kept), keys, n_series)
            limit = keys.max() if len(keys) < total else np.inf
            kept = [smaller]
    return take_smallest(join_panels(kept), keys, n_series)[0], total


def sampling_keys(ids: npt.NDArray[Any], seed: int) -> Keys:
    """Hash each id to a number in [0, 1), shape (n,). The same id and seed give the same number."""
    key = str(seed).encode()
    digests = b"".join(
        blake2b(str(name).encode("utf-8", "replace"), digest_size=8, key=key).digest() for name in ids.tolist()
    )
    return np.frombuffer(digests, "<u8") / 2.0**64


def take_smallest(panel: Panel, keys: Keys, n_series: int) -> tuple[Panel, Keys]:
    """Keep the series with the smallest keys, in order, and at most `MAX_VALUES` values."""
    order = np.argsort(keys)
    room = int(np.searchsorted(np.cumsum(panel.lengths[order]) * panel.n_channels, MAX_VALUES, side="right"))
    indices = np.sort(order[: min(n_series, max(room, 2))])
    return (panel, keys) if len(indices) == len(panel) else (panel.select(indices), keys[indices])
