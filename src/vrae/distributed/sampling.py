"""Draw a sample from the series of Parquet files. Workers read them and send only the sample."""

from __future__ import annotations

from functools import partial

from vrae.data.panel import Panel
from vrae.data.selection import join_panels
from vrae.distributed.parts import Layout, Part
from vrae.distributed.pool import ordered_tasks
from vrae.distributed.series import SeriesParts
from vrae.runs import sampling_keys, take_smallest
from vrae.runs.sample import MAX_VALUES

__all__ = ["draw_sample"]

# The largest key of the sample is unknown beforehand: keys are drawn up to an estimate plus this
# many standard deviations.
_MARGIN = 6


def draw_sample(series: SeriesParts, n_series: int | None, seed: int) -> tuple[Panel, int]:
    """Draw the same series that `vrae.runs.sample_series` would draw.

    Parameters
    ----------
    series : SeriesParts
    n_series : int or None
        Number of series to draw. None: all of them.
    seed : int

    Returns
    -------
    sample : Panel
    total : int
        Number of all series.
    """
    n_values = max(1, sum(part.n_values for part in series.parts))
    # The total is an estimate until the first pass, which is usually the only one.
    total, factor = max(1, series.n_series), 1
    while True:
        wanted = float("inf") if n_series is None else min(n_series, MAX_VALUES * total / n_values)
        limit = min(1.0, factor * (wanted + _MARGIN * wanted**0.5 + _MARGIN**2) / total)
        select = partial(_below, series.layout, series.parts, limit, seed)
        found = list(ordered_tasks(select, range(len(series.parts))))
        panels = [panel for panel, _ in found if panel is not None]
        total = sum(n for _, n in found)
        enough = sum(map(len, panels)) >= min(n_series or total, total)
        if enough or limit == 1.0 or sum(panel.values.size for panel in panels) >= MAX_VALUES:
            break
        factor *= 2  # the estimate was far off, or the drawn series are short
    panel = join_panels(panels)
    del found, panels  # as large as the sample
    if n_series is None:
        return panel, total
    return take_smallest(panel, sampling_keys(panel.ids, seed), n_series)[0], total


def _below(layout: Layout, parts: list[Part], limit: float, seed: int, number: int) -> tuple[Panel | None, int]:
    """Return the series of a part with keys below the limit, if any, and the number of all."""
    kept, total = [], 0
    for panel in layout.panels(parts[number]):
        total += len(panel)
        chosen = sampling_keys(panel.ids, seed) < limit
        if chosen.any():
            kept.append(panel if chosen.all() else panel.select(chosen))
    return (join_panels(kept) if kept else None), total
