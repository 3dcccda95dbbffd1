"""A sample of the series of Parquet files, drawn where they are: the driver holds no others."""

from __future__ import annotations

from functools import partial

from vrae.data.panel import Panel
from vrae.data.selection import join_panels
from vrae.distributed.parts import Layout, Part
from vrae.distributed.pool import each
from vrae.distributed.series import Series
from vrae.runs.sample import MAX_VALUES, lots, smallest

__all__ = ["sample"]

# The lot below which a series is in the sample is not known beforehand: so many standard deviations more are drawn.
_MARGIN = 6


def sample(series: Series, n_series: int | None, seed: int) -> tuple[Panel, int]:
    """Draw the series that `vrae.runs.sample_series` would draw, wherever they are; only they come here.

    Parameters
    ----------
    series : Series
    n_series : int or None
        None: all of them.
    seed : int

    Returns
    -------
    sample : Panel
    total : int
        Number of series there are.
    """
    n_values = max(1, sum(part.n_values for part in series.parts))
    total, more = max(1, series.n_series), 1  # an estimate; known after the first pass, as a rule the only one
    while True:
        wanted = float("inf") if n_series is None else min(n_series, MAX_VALUES * total / n_values)
        limit = min(1.0, more * (wanted + _MARGIN * wanted**0.5 + _MARGIN**2) / total)
        draw = partial(_below, series.layout, series.parts, limit, seed)
        found = list(each(draw, range(len(series.parts))))
        panels = [panel for panel, _ in found if panel is not None]
        total = sum(n for _, n in found)
        enough = sum(map(len, panels)) >= min(n_series or total, total)
        if enough or limit == 1.0 or sum(panel.values.size for panel in panels) >= MAX_VALUES:
            break
        more *= 2  # the estimate was far off, or the series with low lots are short
    panel = join_panels(panels)
    del found, panels  # as large as it is
    return (panel if n_series is None else smallest(panel, lots(panel.ids, seed), n_series)[0]), total


def _below(layout: Layout, parts: list[Part], limit: float, seed: int, number: int) -> tuple[Panel | None, int]:
    """Return the series of a part whose lots are below the limit, if any, and how many series it has."""
    kept, total = [], 0
    for panel in layout.panels(parts[number]):
        total += len(panel)
        chosen = lots(panel.ids, seed) < limit
        if chosen.any():
            kept.append(panel if chosen.all() else panel.select(chosen))
    return (join_panels(kept) if kept else None), total
