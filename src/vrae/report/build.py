"""From a finished clustering to one HTML file that opens anywhere, offline."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Panel
from vrae.evaluate import DOUBTFUL, separation
from vrae.exceptions import InvalidDataError
from vrae.persistence import atomic_file
from vrae.plots import plotly_selection, plotly_training
from vrae.plots.compute import Course, cluster_course
from vrae.plots.palette import COLORS, MARKERS, NOISE, NOISE_COLOR, cluster_labels, cluster_name
from vrae.report import describe, payload

__all__ = ["ReportData", "render_report", "write_report"]

_MAX_POINTS = 200_000  # points on the map
_MAX_ID_BYTES = 3_000_000
_DRAWN_NUMBERS = 600_000  # of original and reconstructed series
_CARD_STEPS = 120
_PER_CARD = 4  # most typical and least typical series shown on a card
_DESCRIBED = 6000  # series measured for the sentences, over all clusters
_SVG_POINTS = 4000  # up to here the map needs no WebGL


@dataclass(frozen=True)
class ReportData:
    """What a report shows.

    Attributes
    ----------
    title : str
    panel : Panel
        The series as the user gave them.
    labels : ndarray of int, shape (n_series,)
        Cluster of every series; -1 = not assigned.
    probabilities : ndarray of shape (n_series,)
        Probability of the series' own cluster; NaN = unknown.
    embedding : ndarray of shape (n_series, latent_size)
        Latent vectors; a row of NaN is a series that could not be embedded.
    reconstruction : Panel
        The model's version of each series, in the user's units: same ids, lengths and channels.
    lags : ndarray of int, shape (n_series,), or None
        Steps by which a series is late against its reconstruction.
    history : list of dict
        One an epoch: ``epoch``, ``loss``, ``reconstruction``, ``kl``, ``kl_weight``, perhaps
        ``validation_loss`` and ``seconds``.
    selection : list of dict
        The numbers of clusters tried, each with ``n_clusters`` and ``score``; empty when it was given.
    metrics : dict
        ``silhouette``, ``active_units``, ``latent_size``, ``seconds``, ``version``, ``options``, ``ari``,
        ``nmi``, ...; all optional, nested dicts are fine.
    truth : ndarray of shape (n_series,), or None
        Known labels: they only colour the map.
    """

    title: str
    panel: Panel
    labels: npt.NDArray[np.integer[Any]]
    probabilities: npt.NDArray[np.floating[Any]]
    embedding: npt.NDArray[np.floating[Any]]
    reconstruction: Panel
    lags: npt.NDArray[np.integer[Any]] | None
    history: list[dict[str, Any]]
    selection: list[dict[str, Any]]
    metrics: dict[str, Any]
    truth: npt.NDArray[Any] | None

    def __post_init__(self) -> None:
        n = len(self.panel)
        for name in ("labels", "probabilities", "embedding", "reconstruction", "lags", "truth"):
            part = getattr(self, name)
            if part is not None and len(part) != n:
                raise InvalidDataError(f"A report needs one entry a series: {name} has {len(part)} for {n} series.")
        if n == 0:
            raise InvalidDataError("A report needs at least one series; the panel is empty.")
        if not np.array_equal(self.panel.offsets, self.reconstruction.offsets):
            raise InvalidDataError("The reconstruction must have the same lengths as the series, in the same order.")


@dataclass(frozen=True)
class Fact:
    """One of the main facts on the first screen."""

    name: str
    value: str
    note: str


@dataclass(frozen=True)
class Card:
    """What the page says of one cluster."""

    label: int
    name: str
    size: int
    share: float
    certainty: str
    sentence: str
    typical: list[int]
    unusual: list[int]
    course: Course
    hue: str
    glyph: str


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
    cards = _cards(data)
    points = _points(data, cards)
    uses_webgl = len(points) > _SVG_POINTS
    scripts = [_plotly_js(), _asset("report.js")]
    page: str = _template().render(
        title=data.title,
        summary=_summary(data),
        facts=_facts(data),
        cards=cards,
        largest=max(card.size for card in cards),
        channels=data.panel.channels,
        doubtful=DOUBTFUL,
        has_lags=data.lags is not None,
        has_training=bool(data.history),
        has_selection=_has_selection(data),
        selection_reason=_selection_reason(data),
        training_note=_training_note(data),
        details=list(_flat(data.metrics)),
        policy=_policy(scripts, uses_webgl=uses_webgl),
        plotly_js=scripts[0],
        report_js=scripts[1],
        style=_asset("report.css"),
        payload=payload.to_json(_payload(data, cards, points)),
    )
    return page


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
    page = render_report(data).encode("utf-8", errors="replace")  # ids may hold halves of characters
    with atomic_file(path) as partial:
        partial.write_bytes(page)
    return path


# ---------------------------------------------------------------------------------------- words


def _facts(data: ReportData) -> list[Fact]:
    """Return the tiles of the first screen."""
    facts = [Fact("Series", f"{len(data.panel):,}", _shape_note(data.panel)), _cluster_fact(data)]
    known = data.probabilities[np.isfinite(data.probabilities)]
    if len(known):
        doubtful = int(_is_doubtful(data).sum())
        share = _percent(doubtful, len(data.panel))
        note = f"mean probability of a series' own cluster; {doubtful:,} doubtful ({share})"
        facts.append(Fact("Certainty", f"{100 * known.mean():.0f} %", note))
    score = _silhouette(data)
    if score is not None:
        note = f"silhouette {describe.plain(round(score, 2))}: 1 = far apart, 0 = touching"
        facts.append(Fact("Separation", describe.separation_word(score), note))
    if data.metrics.get("ari") is not None:
        facts.append(_agreement_fact(data.metrics))
    return facts


def _agreement_fact(metrics: Mapping[str, Any]) -> Fact:
    note = "with the known labels (adjusted Rand index: 1 = the same groups, 0 = chance)"
    peer = metrics.get("raw_kmeans")
    if isinstance(peer, Mapping) and "ari" in peer:
        note += f"; k-means on the raw series {peer['ari']:.2f}"
    return Fact("Agreement", f"{metrics['ari']:.2f}", note)


def _shape_note(panel: Panel) -> str:
    low, high = int(panel.lengths.min()), int(panel.lengths.max())
    steps = f"{describe.plural(low, 'step')} each" if low == high else f"{low:,} to {high:,} steps"
    missing = panel.missing_share()
    gaps = "no missing values" if missing == 0 else f"{max(100 * missing, 0.1):.1f} % of values missing"
    return f"{steps}, {describe.plural(panel.n_channels, 'channel')}, {gaps}"


def _cluster_fact(data: ReportData) -> Fact:
    sizes = np.unique(data.labels[data.labels != NOISE], return_counts=True)[1]
    noise = int((data.labels == NOISE).sum())
    notes = []
    if len(sizes):
        low, high = int(sizes.min()), int(sizes.max())
        each = " each" if len(sizes) > 1 else ""
        notes.append(f"of {low:,} series{each}" if low == high else f"of {low:,} to {high:,} series")
    if noise:
        notes.append(f"{noise:,} series not assigned")
    return Fact("Clusters", f"{len(sizes)}", "; ".join(notes))


def _summary(data: ReportData) -> str:
    """Say what was done and what came out, in a sentence or two."""
    n_clusters = len(np.unique(data.labels[data.labels != NOISE]))
    what = f"{describe.plural(len(data.panel), 'series')} {'was' if len(data.panel) == 1 else 'were'}"
    if n_clusters == 0:
        return f"{what} examined and none could be assigned to a cluster: no group of alike series stood out."
    groups = describe.plural(n_clusters, "cluster")
    return f"{what} grouped into {groups}: series in one cluster follow a similar course over time."


def _selection_reason(data: ReportData) -> str:
    """Say why this number of clusters was taken."""
    chosen = _chosen(data)
    if not data.selection:
        return f"The number of clusters ({chosen}) was given, not searched for."
    scores = {int(row["n_clusters"]): float(row["score"]) for row in data.selection}
    span = f"{min(scores)} to {max(scores)}" if len(scores) > 1 else f"{min(scores)}"
    ranked = sorted(scores, key=lambda k: -scores[k])
    text = f"Every number of clusters from {span} was tried" if len(scores) > 1 else f"Only {span} was tried"
    if chosen not in scores:
        return f"{text}; the result has {chosen}."
    if chosen != ranked[0]:
        return f"{text}. {chosen} was chosen; the score alone is highest at {ranked[0]}."
    text += f". {chosen} has the highest score ({scores[chosen]:.3g})"
    if len(ranked) == 1:
        return f"{text}."
    margin = scores[chosen] - scores[ranked[1]]
    close = margin < 0.1 * max(np.ptp(list(scores.values())), 1e-12)
    advice = " The two are close: look at both." if close else ""
    return f"{text}, before {ranked[1]} ({scores[ranked[1]]:.3g}).{advice}"


def _training_note(data: ReportData) -> str:
    """Say how training went."""
    if not data.history:
        return "No record of the training came with this model."
    parts = [f"The model saw all series {describe.plural(len(data.history), 'time')}"]
    if data.metrics.get("seconds") is not None:
        parts.append(f"the whole run took {_duration(float(data.metrics['seconds']))}")
    text = "; ".join(parts) + ". The total loss should fall and then level off."
    active, size = data.metrics.get("active_units"), data.metrics.get("latent_size")
    if active is not None and size is not None:
        text += f" Each series is summed up in {size} numbers, of which {active} tell the series apart."
    return text


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def _percent(part: int, whole: int) -> str:
    share = 100 * part / whole
    return f"{share:.1f} %" if 0 < share < 1 else f"{share:.0f} %"


def _flat(nested: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Walk through nested metrics as (dotted name, text)."""
    for key, value in nested.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", f"{value:.4g}" if isinstance(value, float) else f"{value}"[:200]


# ---------------------------------------------------------------------------------------- numbers


def _chosen(data: ReportData) -> int:
    return len(np.unique(data.labels[data.labels != NOISE]))


def _has_selection(data: ReportData) -> bool:
    return len(data.selection) > 1


def _is_doubtful(data: ReportData) -> npt.NDArray[np.bool_]:
    doubtful: npt.NDArray[np.bool_] = (data.labels == NOISE) | (data.probabilities < DOUBTFUL)
    return doubtful


def _silhouette(data: ReportData) -> float | None:
    given = data.metrics.get("silhouette")
    if given is None:
        return separation(data.embedding, data.labels)
    return float(given) if np.isfinite(given) else None


def _cards(data: ReportData) -> list[Card]:
    """Describe every cluster; the traits are measured once, on a sample of each."""
    rng = np.random.default_rng(0)
    labels = cluster_labels(data.labels)
    per_cluster = max(20, _DESCRIBED // len(labels))
    members = {label: np.flatnonzero(data.labels == label) for label in labels}
    sample = {label: rng.permutation(rows)[:per_cluster] for label, rows in members.items()}
    traits = describe.series_traits([_series(data.panel, row) for rows in sample.values() for row in rows])
    owner = np.repeat(labels, [len(rows) for rows in sample.values()])
    cards = []
    for label in labels:
        ordered = describe.by_typicality(data.embedding, members[label])
        text = describe.sentence(traits, owner == label, data.panel.channels, is_noise=label == NOISE)
        cards.append(_card(data, label, ordered, sample[label], text))
    return cards


def _card(
    data: ReportData, label: int, ordered: npt.NDArray[np.int64], sample: npt.NDArray[np.int64], text: str
) -> Card:
    known = data.probabilities[ordered][np.isfinite(data.probabilities[ordered])]
    course = cluster_course(
        [_series(data.panel, row) for row in sample],
        label,
        lags=None if data.lags is None else data.lags[sample],
        n_members=0,
        adjust=True,
        max_steps=_CARD_STEPS,
    )
    return Card(
        label=label,
        name=cluster_name(label),
        size=len(ordered),
        share=len(ordered) / len(data.panel),
        certainty=f"{100 * known.mean():.0f} %" if len(known) and label != NOISE else "",
        sentence=text,
        typical=ordered[:_PER_CARD].tolist(),
        unusual=ordered[_PER_CARD:][-_PER_CARD:].tolist(),
        course=course,
        hue="noise" if label == NOISE else str(label % len(COLORS)),
        glyph=MARKERS[0 if label == NOISE else label // len(COLORS) % len(MARKERS)][1],
    )


def _series(panel: Panel, row: int) -> npt.NDArray[np.float64]:
    return panel[int(row)].T.astype(np.float64)


def _points(data: ReportData, cards: list[Card]) -> npt.NDArray[np.int64]:
    """Choose the series of the map and the table: all, or what fits; those on the cards first."""
    n = len(data.panel)
    id_bytes = sum(len(str(name).encode("utf-8", "replace")) + 3 for name in data.panel.ids.tolist())
    room = min(_MAX_POINTS, n, int(_MAX_ID_BYTES / (id_bytes / n)))
    if room >= n:
        return np.arange(n)
    shown = np.unique([row for card in cards for row in (*card.typical, *card.unusual)])
    others = np.setdiff1d(np.random.default_rng(0).permutation(n), shown, assume_unique=True)
    return np.sort(np.concatenate([shown, others[: max(0, room - len(shown))]]))


def _payload(data: ReportData, cards: list[Card], points: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Arrange all that the page's script needs; series are named by their place among ``points``."""
    place = {int(row): number for number, row in enumerate(points)}
    first = [row for card in cards for row in (*card.typical, *card.unusual)]
    others = np.setdiff1d(np.random.default_rng(1).permutation(points), first, assume_unique=True)
    drawn, lines = payload.drawn_lines(
        data.panel, data.reconstruction, np.concatenate([np.array(first, np.int64), others]), _DRAWN_NUMBERS
    )
    columns = {} if data.truth is None else {"known label": np.asarray(data.truth)[points]}
    columns |= {name: np.asarray(column)[points] for name, column in data.panel.static.items()}
    return {
        "n_series": len(data.panel),
        "channels": [str(name) for name in data.panel.channels],
        "colors": COLORS,
        "noise_color": NOISE_COLOR,
        "symbols": [symbol for _, symbol in MARKERS],
        "webgl": len(points) > _SVG_POINTS,
        "svg_points": _SVG_POINTS,
        "clusters": [
            {
                "label": card.label,
                "name": card.name,
                "size": card.size,
                "typical": [place[row] for row in card.typical],
                "unusual": [place[row] for row in card.unusual],
                "steps": card.course.steps.tolist(),
            }
            for card in cards
        ],
        "courses": payload.pack_courses([card.course for card in cards]),
        "ids": [str(name) for name in data.panel.ids[points].tolist()],
        "labels": payload.pack(data.labels[points], "i4"),
        "probabilities": payload.pack_scaled(data.probabilities[points]),
        "lags": None if data.lags is None else payload.pack(data.lags[points], "i4"),
        "colorings": payload.colorings(columns),
        "maps": payload.latent_maps(data.embedding[points]),
        "drawn": payload.pack([place[int(row)] for row in drawn], "u4"),
        "lines": lines,
        "figures": _figures(data),
    }


def _figures(data: ReportData) -> dict[str, Any]:
    """Return the figures that are drawn as they are: training, choice of k."""
    figures = {}
    if data.history:
        figures["training"] = plotly_training(data.history)
    if _has_selection(data):
        figures["selection"] = plotly_selection(data.selection, chosen=_chosen(data))
    return {name: json.loads(figure.to_json()) for name, figure in figures.items()}


# ---------------------------------------------------------------------------------------- page


def _policy(scripts: list[str], *, uses_webgl: bool) -> str:
    """Return the Content-Security-Policy: only these scripts run, and nothing is fetched.

    plotly compiles its WebGL drawing at run time, for which a page of many points must allow
    ``unsafe-eval``; a page of few points is drawn as SVG and does without.
    """
    sources = " ".join(_hash(script) for script in scripts)
    if uses_webgl:
        sources += " 'unsafe-eval'"
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {sources}",
            "style-src 'unsafe-inline'",  # plotly writes styles as it draws
            "img-src data: blob:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


@cache
def _plotly_js() -> str:
    from plotly.offline import get_plotlyjs

    source: str = get_plotlyjs()
    return source.replace("</script", "<\\/script")


@cache
def _asset(name: str) -> str:
    return files("vrae.report").joinpath(name).read_text("utf-8")


@cache
def _template() -> Any:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_asset("template.html"))
