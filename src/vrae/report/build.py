"""From a finished clustering to one HTML file that opens anywhere, offline."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.evaluate import DOUBTFUL
from vrae.persistence import atomic_file
from vrae.plots import plotly_selection, plotly_training
from vrae.plots.maps import METHODS, available_methods
from vrae.plots.palette import COLORS, MARKERS, NOISE_COLOR
from vrae.report import page, payload, words
from vrae.report.cards import Card, make_cards, traits_of_sample
from vrae.report.data import Floats, ReportData
from vrae.report.directions import describe_directions, trait_rows
from vrae.report.unusual import Unusual, most_unusual, place_in_words

__all__ = ["render_report", "write_report"]

_MAX_POINTS = 200_000  # points on the map
_MAX_ID_BYTES = 3_000_000
_DRAWN_NUMBERS = 600_000  # of original and reconstructed series
_SVG_POINTS = 4000  # up to here the map needs no WebGL

Rows = npt.NDArray[np.int64]


def render_report(data: ReportData) -> str:
    """Return the report as one HTML page.

    Parameters
    ----------
    data : ReportData

    Returns
    -------
    str
        Self-contained: no request to anywhere, and no data that runs.
    """
    page.check_report()
    measured, traits = traits_of_sample(data)
    cards = make_cards(data, measured, traits)
    by_label = {card.label: card for card in cards}
    unusual = most_unusual(data)
    n_directions = 0 if data.traversal is None else len(data.traversal.curves)
    correlations = trait_rows(data, measured, traits, n_directions)
    first = _shown_first(cards, unusual)
    points = _points(data, first)
    scripts = [page.plotly_script(), page.script()]
    rendered: str = page.template().render(
        title=data.title,
        summary=words.summary(data),
        facts=words.facts(data),
        methods=[(method, METHODS[method]) for method in available_methods()],
        cards=cards,
        unusual=[(item, place_in_words(data, item), by_label[int(data.labels[item.row])]) for item in unusual],
        ids=data.panel.ids,
        directions=describe_directions(data, correlations, n_directions),
        correlations=correlations,
        largest=max(card.size for card in cards),
        channels=data.panel.channels,
        doubtful=DOUBTFUL,
        has_scores=data.scores is not None,
        has_lags=data.lags is not None,
        from_model=data.from_model,
        has_training=bool(data.history),
        has_selection=_has_selection(data),
        selection_reason=words.selection_reason(data),
        training_note=words.training_note(data),
        active_units=data.metrics.get("active_units"),
        latent_size=data.metrics.get("latent_size"),
        details=list(words.all_numbers(data.metrics)),
        policy=page.policy(scripts, uses_webgl=len(points) > _SVG_POINTS),
        plotly_js=scripts[0],
        report_js=scripts[1],
        style=page.style(),
        payload=payload.to_json(_payload(data, cards, unusual, first, points)),
    )
    return rendered


def write_report(data: ReportData, path: str | os.PathLike[str]) -> Path:
    """Write the report to a file; there is never half a report.

    Parameters
    ----------
    data : ReportData
    path : path-like
        Replaced if it is there.

    Returns
    -------
    Path

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    path = Path(path)
    rendered = render_report(data).encode("utf-8", errors="replace")  # ids may hold halves of characters
    with atomic_file(path) as partial:
        partial.write_bytes(rendered)
    return path


def _has_selection(data: ReportData) -> bool:
    return len(data.selection) > 1


def _shown_first(cards: Sequence[Card], unusual: Sequence[Unusual]) -> Rows:
    """Return the series that the page shows whatever else it has room for."""
    on_cards = [row for card in cards for row in (*card.typical, *card.unusual, *card.random)]
    return np.array(list(dict.fromkeys([*(item.row for item in unusual), *on_cards])), np.int64)


def _points(data: ReportData, first: Rows) -> Rows:
    """Choose the series of the map and the table: all, or what fits; those shown elsewhere on the page come first."""
    n = len(data.panel)
    id_bytes = sum(len(str(name).encode("utf-8", "replace")) + 3 for name in data.panel.ids.tolist())
    room = min(_MAX_POINTS, n, int(_MAX_ID_BYTES / (id_bytes / n)))
    if room >= n:
        return np.arange(n)
    others = np.setdiff1d(np.random.default_rng(0).permutation(n), first, assume_unique=True)
    return np.sort(np.concatenate([first, others[: max(0, room - len(first))]]))


def _payload(
    data: ReportData, cards: Sequence[Card], unusual: Sequence[Unusual], first: Rows, points: Rows
) -> dict[str, Any]:
    """Arrange all that the page's script needs; series are named by their place among ``points``."""
    place = {int(row): number for number, row in enumerate(points)}
    others = np.setdiff1d(np.random.default_rng(1).permutation(points), first, assume_unique=True)
    drawn, lines = payload.drawn_lines(data.panel, data.reconstruction, np.concatenate([first, others]), _DRAWN_NUMBERS)
    columns = {} if data.truth is None else {"known label": np.asarray(data.truth)[points]}
    for name, column in data.panel.static.items():
        if name != "label" or data.truth is None:  # else it is the known label
            columns[name] = np.asarray(column)[points]
    return {
        "n_series": data.n_total,
        "channels": [str(name) for name in data.panel.channels],
        "from_model": data.from_model,
        "colors": COLORS,
        "noise_color": NOISE_COLOR,
        "symbols": [symbol for _, symbol in MARKERS],
        "webgl": len(points) > _SVG_POINTS,
        "svg_points": _SVG_POINTS,
        "clusters": [_cluster(data, card, place) for card in cards],
        "courses": payload.pack_courses([card.course for card in cards]),
        "ids": [str(name) for name in data.panel.ids[points].tolist()],
        "labels": payload.pack(data.labels[points], "i4"),
        "probabilities": payload.pack_scaled(data.probabilities[points]),
        "levels": [] if data.from_model else [payload.pack_scaled(x[points]) for x in payload.levels(data.panel)],
        "scores": None if data.scores is None else payload.pack_scaled(-data.scores[points]),
        "lags": None if data.lags is None else payload.pack(data.lags[points], "i4"),
        "colorings": payload.colorings(columns),
        "maps": payload.latent_maps(data.embedding[points]),
        "drawn": payload.pack([place[int(row)] for row in drawn], "u4"),
        "lines": lines,
        "noise": None if data.noise is None else payload.pack(data.noise[drawn].ravel(), "f4"),
        "unusual": [_unusual(data, item, place, lines["base"]) for item in unusual],
        "traversal": None if data.traversal is None else payload.pack_traversal(data.traversal),
        "figures": _figures(data),
    }


def _cluster(data: ReportData, card: Card, place: dict[int, int]) -> dict[str, Any]:
    return {
        "label": card.label,
        "name": card.name,
        "size": card.size,
        "typical": [place[row] for row in card.typical],
        "random": [place[row] for row in card.random],
        "unusual": [place[row] for row in card.unusual],
        "steps": card.course.steps.tolist(),
        "middle": _middle(data.embedding[data.labels == card.label]),
    }


def _middle(Z: Floats) -> list[float] | None:
    """Return the median of vectors (n, latent_size), if any is known."""
    known = Z[np.isfinite(Z).all(axis=1)]
    return np.median(known, axis=0).astype(float).round(4).tolist() if len(known) else None


def _unusual(data: ReportData, item: Unusual, place: dict[int, int], base: int | None) -> dict[str, Any]:
    """Return one unusual series; its place is in the units of the drawn lines: steps, or seconds since ``base``."""
    first, last = item.first, item.last
    if base is not None and data.panel.times is not None:
        start = int(data.panel.offsets[item.row])
        stamps = data.panel.times[[start + first, start + last]].astype("datetime64[s]").astype(np.int64)
        first, last = (stamps - base // 1000).tolist()
    return {"point": place[item.row], "channel": item.channel, "first": first, "last": last}


def _figures(data: ReportData) -> dict[str, Any]:
    """Return the figures that are drawn as they are: training, choice of k."""
    figures = {}
    if data.history:
        figures["training"] = plotly_training(data.history)
    if _has_selection(data):
        figures["selection"] = plotly_selection(
            data.selection, chosen=data.n_clusters, criterion="score (higher is better)"
        )
    return {name: json.loads(figure.to_json()) for name, figure in figures.items()}
