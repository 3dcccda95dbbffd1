"""Summary of a fitted estimator for notebooks: HTML without scripts or external files.

Text has the colour of the notebook, light or dark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.describe.findings import percent_text
from vrae.describe.words import share_text
from vrae.plots.charts import decimate
from vrae.plots.maps import project
from vrae.plots.palette import cluster_style

__all__ = ["GroupRow", "groups_html", "options_html", "summary_html"]

Floats = npt.NDArray[np.floating[Any]]

_POINTS = 400  # on the map, a thumbnail
_WIDTH, _HEIGHT = 260, 180
_LINE_WIDTH, _LINE_HEIGHT = 130, 30  # of a typical curve
_LINE_POINTS = 160  # the lowest and the highest of each run: others would look like waves
_LINE_CHANNELS = 4
_SHORT_WIDTH = 62  # of the curve of one of several channels
_ROWS = 20
_FONT = "font:13px system-ui,sans-serif"


@dataclass(frozen=True)
class GroupRow:
    """A group of series: its label, name and size, typical curve and how far it is found again.

    ``curve`` (n_channels, n_steps) is None if there is none, ``found_again`` (0 to 1) if unknown.
    ``span`` is where the curve starts and ends on a calendar that all groups share, 0 to 1.
    """

    label: int
    name: str
    size: int
    curve: Floats | None = None
    found_again: float | None = None
    span: tuple[float, float] = (0.0, 1.0)


def summary_html(title: str, embedding: Floats, facts: Sequence[str]) -> str:
    """Return facts as plain text, and a map of the embedding (n_series, latent_size)."""
    items = "".join(f"<li>{escape(fact)}</li>" for fact in facts)
    return (
        f'<div style="display:flex;flex-wrap:wrap;gap:24px;align-items:center;{_FONT};margin-bottom:8px">'
        f'<div><b>{escape(title)}</b><ul style="margin:4px 0;padding-left:18px">{items}</ul></div>'
        f"{_map(embedding)}</div>"
    )


def groups_html(
    title: str, rows: Sequence[GroupRow], note: str, channels: Sequence[str] = (), trust: str = "found again"
) -> str:
    """Return one table row per group: name, size, typical curve and how far it is found again.

    ``channels`` are the names of the channels of the curves. ``trust`` is the head of the last
    column.
    """
    total = max(sum(row.size for row in rows), 1)
    largest = max((row.size for row in rows), default=1)
    curves = [row.curve for row in rows if row.curve is not None]
    limits = _limits(curves) if curves else None
    has_trust = any(row.found_again is not None for row in rows)
    of = f" ({escape(', '.join(channels[:_LINE_CHANNELS]))})" if len(channels) > 1 else ""
    heads = ["", "group", "series"] + [f"typical curve{of}"] * bool(curves) + [escape(trust)] * has_trust
    body = "".join(_row(row, total, largest, limits, has_trust) for row in rows[:_ROWS])
    more = f"<div>and {len(rows) - _ROWS} more groups</div>" if len(rows) > _ROWS else ""
    cells = "".join(f'<th style="{_CELL};font-weight:600;opacity:.75">{head}</th>' for head in heads)
    return (
        f'<div style="{_FONT};margin-bottom:8px"><b>{escape(title)}</b>'
        f'<table style="border-collapse:collapse;margin:6px 0;{_FONT}"><thead><tr>{cells}</tr></thead>'
        f'<tbody>{body}</tbody></table>{more}<div style="opacity:.75">{escape(note)}</div></div>'
    )


_CELL = "text-align:left;padding:2px 12px 2px 0;border:0;background:none"
_SHAKY = 0.6  # found again in less than this: do not trust


def _row(row: GroupRow, total: int, largest: int, limits: Floats | None, has_trust: bool) -> str:
    color = cluster_style(row.label).color
    swatch = f'<span style="display:inline-block;width:11px;height:11px;border-radius:6px;background:{color}"></span>'
    width = max(2, round(60 * row.size / largest))
    bar = f'<span style="display:inline-block;width:{width}px;height:9px;background:{color};opacity:.7"></span>'
    cells = [swatch, escape(row.name), f"{bar} {row.size:,} ({share_text(row.size, total)})"]
    if limits is not None:
        cells.append("" if row.curve is None else _lines(row.curve, row.span, limits, color))
    if has_trust:
        cells.append("" if row.found_again is None else _trust(row.found_again))
    inside = "".join(f'<td style="{_CELL}">{cell}</td>' for cell in cells)
    return f"<tr>{inside}</tr>"


def _trust(found_again: float) -> str:
    text = percent_text(found_again)
    return f"<b>{text}, do not rely on it</b>" if found_again < _SHAKY else text


def _limits(curves: Sequence[Floats]) -> Floats:
    """Return lowest and highest value of each channel over all curves, (n_channels, 2)."""
    together = np.concatenate(curves, axis=1)
    return np.stack([together.min(axis=1), together.max(axis=1)], axis=1)


def _lines(curve: Floats, span: tuple[float, float], limits: Floats, color: str) -> str:
    """Draw a curve (n_channels, n_steps), one channel after another.

    Groups have the same scale, and the same calendar: ``span`` is the part that a curve covers.
    """
    shown = min(len(curve), _LINE_CHANNELS)
    width = _LINE_WIDTH if shown == 1 else _SHORT_WIDTH
    start, end = span
    lines = []
    for c in range(shown):
        low, high = limits[c]
        steps = decimate(curve[c], _LINE_POINTS)
        x = 2 + width * c + start * (width - 8) + (end - start) * steps / max(curve.shape[1] - 1, 1) * (width - 8)
        y = _LINE_HEIGHT - 3 - (curve[c, steps] - low) / max(high - low, 1e-12) * (_LINE_HEIGHT - 6)
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        lines.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.8"/>')
    return _svg(width * shown, _LINE_HEIGHT, "Typical curve", "".join(lines))


def options_html(parts: Mapping[str, Mapping[str, Any]]) -> str:
    """Return options by name, folded away: those of the estimator and of its model."""
    lists = []
    for title, options in parts.items():
        items = "".join(f"<li>{escape(f'{name}={value!r}'[:200])}</li>" for name, value in options.items())
        lists.append(f'<div><b>{escape(title)}</b><ul style="margin:4px 0;padding-left:18px">{items}</ul></div>')
    inside = "".join(lists)
    return (
        f'<details style="{_FONT}"><summary style="opacity:.75">Options</summary>'
        f'<div style="display:flex;flex-wrap:wrap;gap:24px">{inside}</div></details>'
    )


def _map(Z: Floats) -> str:
    """Draw vectors (n_series, latent_size) in their two main directions."""
    indices = np.sort(np.random.default_rng(0).permutation(len(Z))[:_POINTS])
    shown = project(Z[indices], "pca")
    if not len(shown.indices):
        return ""
    low, span = shown.points.min(axis=0), np.maximum(np.ptp(shown.points, axis=0), 1e-12)
    at = 6 + (shown.points - low) / span * [_WIDTH - 12, _HEIGHT - 12]
    color = cluster_style(0).color
    dots = "".join(f'<circle cx="{x:.1f}" cy="{_HEIGHT - y:.1f}" r="2.6" fill="{color}" opacity=".75"/>' for x, y in at)
    return _svg(_WIDTH, _HEIGHT, "Map of the series in the two main directions of their latent vectors", dots)


def _svg(width: int, height: int, name: str, inside: str) -> str:
    return (
        f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" aria-label="{name}" '
        f'style="font-size:12px;fill:currentColor;vertical-align:middle"><title>{name}</title>{inside}</svg>'
    )
