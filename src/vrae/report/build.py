"""Render a clustering as one HTML file that works offline."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.describe.alerts import Action
from vrae.describe.seasons import when_high
from vrae.io.atomic import atomic_file
from vrae.io.formulas import are_escaped
from vrae.metrics import DOUBTFUL, labelled
from vrae.plots.maps import METHODS, available_methods
from vrae.plots.palette import COLORS, MARKERS, NOISE_COLOR
from vrae.plots.web import plotly_selection, plotly_training
from vrae.report import facts, page, payload
from vrae.report.anomalous import Anomaly, describe_place, most_anomalous, score_of
from vrae.report.cards import Card, card_payload, make_cards, traits_of_sample
from vrae.report.choosing import Doubt, branches, choices, doubts
from vrae.report.commands import verdict_record
from vrae.report.data import ReportData
from vrae.report.directions import describe_directions, trait_rows
from vrae.report.next_steps import next_steps
from vrae.report.profiles import gather_profiles
from vrae.report.time_axis import positions_of, step_hours, step_word, time_axis

__all__ = ["render_report", "write_report"]

_MAX_POINTS = 200_000  # points on the map
_MAX_ID_BYTES = 3_000_000
_DRAWN_NUMBERS = 600_000  # packed values of original and reconstructed series
_SVG_POINTS = 4000  # a larger map needs WebGL

Indices = npt.NDArray[np.int64]


def render_report(data: ReportData) -> str:
    """Return the report as one HTML page, which requests nothing; no data in it can run."""
    page.check_report()
    measured, traits = traits_of_sample(data)
    seasons = when_high(data.panel, data.labels)
    cards = make_cards(data, measured, traits, seasons)
    by_label = {card.label: card for card in cards}
    anomalies = most_anomalous(data)
    n_directions = 0 if data.traversal is None else len(data.traversal.curves)
    correlations = trait_rows(data, measured, traits, n_directions)
    doubted = doubts(data)
    first = _shown_first(cards, anomalies, doubted)
    points = _points(data, first)
    profiles = gather_profiles(data, seasons, {card.label: card.told for card in cards})
    scripts = [page.plotly_script(), page.script()]
    rendered: str = page.template().render(
        title=data.title,
        verdict=verdict_record(data.verdict, data.commands),
        facts=facts.facts(data),
        trust_numbers=facts.trust_numbers(data),
        notice=data.notice,
        methods=[(method, METHODS[method]) for method in available_methods()],
        cards=cards,
        anomalies=[(a, describe_place(data, a), score_of(data, a)) for a in anomalies],
        ids=data.panel.ids,
        directions=describe_directions(data, correlations, n_directions),
        correlations=correlations,
        largest=max(card.size for card in cards),
        profiles=profiles,
        channels=data.panel.channels,
        doubtful=DOUBTFUL,
        step=step_word(data),
        edit_command=data.commands.text(Action("apply edits")),
        has_scores=data.scores is not None,
        has_lags=data.lags is not None,
        has_noise=data.noise is not None,
        from_model=data.from_model,
        has_training=bool(data.history),
        has_selection=len(data.selection) > 1,
        choices=choices(data),
        tree=branches(data),
        doubts=[(doubt, by_label[doubt.label], by_label.get(doubt.next_label)) for doubt in doubted],
        steps=next_steps(data),
        edited=data.edited,
        found_again=facts.trust_heading(data),
        trust_note=facts.trust_note(data),
        selection_reason=facts.selection_reason(data),
        training_note=facts.training_note(data),
        active_units=data.metrics.get("active_units"),
        latent_size=data.metrics.get("latent_size"),
        details=list(facts.details(data)),
        policy=page.policy(scripts, uses_webgl=len(points) > _SVG_POINTS),
        plotly_js=scripts[0],
        report_js=scripts[1],
        style=page.style(),
        payload=payload.to_json(_payload(data, cards, anomalies, first, points) | {"profiles": profiles.payload()}),
    )
    return rendered


def write_report(data: ReportData, path: str | os.PathLike[str]) -> Path:
    """Write the report to a file, completely or not at all."""
    path = Path(path)
    rendered = render_report(data).encode("utf-8", errors="replace")  # ids may contain lone surrogates
    with atomic_file(path) as partial:
        partial.write_bytes(rendered)
    return path


def _shown_first(cards: Sequence[Card], anomalies: Sequence[Anomaly], doubted: Sequence[Doubt]) -> Indices:
    """Return the series that the page always shows."""
    shown = [anomaly.index for anomaly in anomalies]
    shown += [index for card in cards for index in (*card.typical, *card.atypical, *card.random)]
    return np.array(list(dict.fromkeys([*shown, *(doubt.row for doubt in doubted)])), np.int64)


def _points(data: ReportData, first: Indices) -> Indices:
    """Choose the series of the map and the table: all, or ``first`` and as many as fit."""
    n = len(data.panel)
    id_bytes = sum(len(str(name).encode("utf-8", "replace")) + 3 for name in data.panel.ids.tolist())
    room = min(_MAX_POINTS, n, int(_MAX_ID_BYTES / (id_bytes / n)))
    if room >= n:
        return np.arange(n)
    others = np.setdiff1d(np.random.default_rng(0).permutation(n), first, assume_unique=True)
    return np.sort(np.concatenate([first, others[: max(0, room - len(first))]]))


def _named(truth: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the known labels, with words for the blank, which is not one of them."""
    known = labelled(truth)
    if known.all():
        return truth
    names = zip(truth.tolist(), known.tolist(), strict=True)
    return np.array([str(name) if is_known else "not labelled" for name, is_known in names])


def _payload(
    data: ReportData, cards: Sequence[Card], anomalies: Sequence[Anomaly], first: Indices, points: Indices
) -> dict[str, Any]:
    """Gather the data for the page's script. Series are numbered by their place in ``points``."""
    place = {int(index): number for number, index in enumerate(points)}
    others = np.setdiff1d(np.random.default_rng(1).permutation(points), first, assume_unique=True)
    wanted = np.concatenate([first, others])
    drawn, lines = payload.drawn_lines(data.panel, data.reconstruction, data.times, wanted, _DRAWN_NUMBERS)
    columns = {} if data.truth is None else {"known label": _named(data.truth)[points]}
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
        "clusters": [card_payload(data, card, place, lines["base"]) for card in cards],
        "sizes": data.run_sizes,
        "halves": None if data.halves is None else payload.pack(data.halves[points], "u1"),
        "alike": payload.pack(data.alike[points], "u4") if data.alike is not None and data.alike.any() else None,
        "alike_sizes": list(data.alike_sizes),
        "own_names": data.own_names,
        "language": data.commands.language,
        "escape_formulas": are_escaped(),
        "time": time_axis(data),
        "curves_dated": data.common_steps is not None,
        "curves": payload.pack_lines(  # in the order (cluster, part, channel)
            [line for card in cards for part in (card.curve.low, card.curve.middle, card.curve.high) for line in part]
        ),
        **_ids(data, points),
        "labels": payload.pack(data.labels[points], "i4"),
        "probabilities": payload.pack_scaled(data.probabilities[points]),
        "levels": [] if data.from_model else [payload.pack_scaled(x[points]) for x in payload.levels(data.panel)],
        "scores": None if data.scores is None else payload.pack_scaled(-data.scores[points]),
        "lags": None if data.lags is None else payload.pack(data.lags[points], "i4"),
        "colorings": payload.colorings(columns),
        "maps": payload.latent_maps(data.embedding[points]),
        "drawn": payload.pack([place[int(index)] for index in drawn], "u4"),
        "lines": lines,
        "noise": None if data.noise is None else payload.pack(data.noise[drawn].ravel(), "f4"),
        "anomalies": [_anomaly(data, anomaly, place, lines["base"]) for anomaly in anomalies],
        "traversal": _traversal(data, lines["base"]),
        "figures": _figures(data),
        "doubts": [place[doubt.row] for doubt in doubts(data)],
    }


def _ids(data: ReportData, points: Indices) -> dict[str, Any]:
    """Return the ids as text, and those that are numbers as Python writes them."""
    ids = data.panel.ids[points]
    if ids.dtype.kind == "M" and np.datetime_data(ids.dtype)[0] == "ns":
        ids = ids.astype("M8[us]")  # nanoseconds would become numbers
    names = ids.tolist()
    numbers = [repr(name) if isinstance(name, (bool, int, float)) else None for name in names]
    is_needed = data.commands.language == "python" and any(numbers)
    return {"ids": [str(name) for name in names], "literals": numbers if is_needed else None}


def _traversal(data: ReportData, base: int | None) -> dict[str, Any] | None:
    """Return the curves along directions: on the calendar, where most series cover all of it."""
    if data.traversal is None:
        return None
    packed = payload.pack_directions(data.traversal, step_hours(data))
    n_steps = data.traversal.curves.shape[3]
    is_dated = base is not None and data.common_steps is not None and len(data.common_steps[1]) == n_steps
    steps = positions_of(data, np.array(packed["steps"]), base) if is_dated else packed["steps"]
    return {**packed, "steps": steps, "dated": is_dated}


def _anomaly(data: ReportData, anomaly: Anomaly, place: dict[int, int], base: int | None) -> dict[str, Any]:
    """Return an anomaly, its place in the units of the lines: steps, or seconds since ``base``."""
    first, last = anomaly.first, anomaly.last
    if base is not None and data.times is not None:
        start = int(data.panel.offsets[anomaly.index])
        stamps = data.times[[start + first, start + last]].astype("datetime64[s]").astype(np.int64)
        first, last = (stamps - base // 1000).tolist()
    shown = {"first": first, "last": last} if anomaly.stands_out else {}
    return {"point": place[anomaly.index], "channel": anomaly.channel, **shown}


def _figures(data: ReportData) -> dict[str, Any]:
    """Return the ready-made figures: training history and choice of the number of clusters."""
    figures = {}
    if data.history:
        figures["training"] = plotly_training(data.history)
    if len(data.selection) > 1:
        criterion = "score (higher is better)"
        marked = data.verdict.others
        figure = plotly_selection(data.selection, chosen=data.n_chosen, criterion=criterion, alternatives=marked)
        figure.update_traces(hovertemplate="%{x} groups: %{y:.3f} (%{customdata})<extra></extra>")
        figures["selection"] = figure.update_xaxes(title_text="number of groups")
    return {name: json.loads(figure.to_json()) for name, figure in figures.items()}
