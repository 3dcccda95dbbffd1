"""The choice of the number of clusters: what others would give, the tree, and doubtful series."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vrae.describe.alerts import Action
from vrae.describe.curves import ClusterCurve, cluster_curve
from vrae.describe.findings import SHAKY, percent_text
from vrae.describe.words import NOISE, cluster_name
from vrae.metrics import DOUBTFUL
from vrae.plots.palette import COLORS, cluster_style
from vrae.report.data import Alternative, Floats, ReportData
from vrae.report.time_axis import step_hours

__all__ = ["Branches", "Choice", "Doubt", "Group", "branches", "choices", "doubts", "hue_of"]

_SAMPLE = 600  # series for the curves of an alternative
_STEPS = 60  # points of a small curve
_SHOWN = 12  # groups of an alternative
_WIDTH, _HEIGHT = 100, 34  # of a small curve
_MOST_DOUBTS = 50


class Group(NamedTuple):
    """A group of an alternative. ``hue`` and ``glyph`` are those of the cluster it is most of."""

    name: str
    size: int
    curve: str
    hue: str


class Choice(NamedTuple):
    """A number of clusters, what it gives, and the command that changes to it.

    ``trust`` says in words how much of its groups is found again. ``is_advised`` numbers are worth
    a look.
    """

    n_clusters: int
    is_chosen: bool
    is_advised: bool
    score: float | None
    trust: str
    groups: list[Group]
    n_more: int
    command: str


class Leaf(NamedTuple):
    """A cluster in the tree."""

    label: int
    name: str
    size: int
    hue: str
    glyph: str


class Branches(NamedTuple):
    """The tree of clusters: leaves from top to bottom, lines in a box of 100 by their number."""

    leaves: list[Leaf]
    lines: list[str]
    closest: tuple[str, str]
    command: str


class Doubt(NamedTuple):
    """A doubtful series: its cluster, the next best one, and both probabilities."""

    row: int
    label: int
    probability: float
    next_label: int
    next_probability: float


def choices(data: ReportData) -> list[Choice]:
    """Return what each number of clusters gives, by their number."""
    rng = np.random.default_rng(0)
    sample = np.sort(rng.permutation(len(data.panel))[:_SAMPLE])
    return [_choice(data, alternative, sample) for alternative in data.alternatives]


def _choice(data: ReportData, found: Alternative, sample: npt.NDArray[np.int64]) -> Choice:
    is_chosen = found.n_clusters == data.n_chosen
    by_size = sorted(range(len(found.sizes)), key=lambda label: -found.sizes[label])
    shown = [label for label in by_size if (found.labels == label).any()][:_SHOWN]
    curves = [_curve(data, found.labels, label, sample) for label in shown]
    channel = _telling_channel([curve.middle for curve in curves])
    groups = [
        Group(
            cluster_name(label, found.names),
            found.sizes[label],
            _path(curve.middle[channel]),
            hue_of(_most_of(data.labels, found.labels == label)),
        )
        for label, curve in zip(shown, curves, strict=True)
    ]
    regroup = Action("regroup", {"n_clusters": found.n_clusters})
    command = "" if is_chosen or data.edited else data.commands.text(regroup)
    n_more = len(found.sizes) - len(shown)
    is_advised = found.n_clusters in data.verdict.others
    return Choice(
        found.n_clusters, is_chosen, is_advised, found.score, _trust(found.found_again), groups, n_more, command
    )


def _trust(parts: Sequence[float]) -> str:
    """Say how much of the groups is found again."""
    if not parts:
        return ""
    weak = sum(part < SHAKY for part in parts)
    least = f"at least {percent_text(min(parts))} of each group is found again"
    return f"{weak} of {len(parts)} groups {'is' if weak == 1 else 'are'} not found again" if weak else least


def _curve(
    data: ReportData, labels: npt.NDArray[np.integer[Any]], label: int, sample: npt.NDArray[np.int64]
) -> ClusterCurve:
    members = sample[labels[sample] == label]
    if len(members) < 5:  # a rare one
        members = np.flatnonzero(labels == label)[:20]
    lags = None if data.lags is None else data.lags[members]
    series = [data.on_calendar(index) for index in members]
    return cluster_curve(
        series, label, lags=lags, n_members=0, adjust=True, max_steps=_STEPS, step_hours=step_hours(data)
    )


def _telling_channel(curves: Sequence[Floats]) -> int:
    """Return the channel in which curves (n_channels, n_steps) differ most, for their spread."""
    n_steps = min((curve.shape[1] for curve in curves), default=0)
    if n_steps == 0 or curves[0].shape[0] == 1:
        return 0
    cube = np.nan_to_num(np.stack([curve[:, :n_steps] for curve in curves]))  # (n_groups, n_channels, n_steps)
    between = cube.std(axis=0).mean(axis=1) / (cube.std(axis=(0, 2)) + 1e-12)
    return int(between.argmax())


def _path(middle: Floats) -> str:
    """Return a curve (n_steps,) as an SVG path, with gaps."""
    known = middle[np.isfinite(middle)]
    if not len(known):
        return ""
    low, spread = known.min(), np.ptp(known) or 1.0
    x = np.linspace(2, _WIDTH - 2, len(middle)) if len(middle) > 1 else np.array([_WIDTH / 2])
    y = _HEIGHT - 3 - (middle - low) / spread * (_HEIGHT - 6)
    words, drawing = [], False
    for place, value in zip(x, y, strict=True):
        if np.isfinite(value):
            words.append(f"{'L' if drawing else 'M'}{place:.1f} {value:.1f}")
        drawing = bool(np.isfinite(value))
    # A single point is drawn as a dot by a round cap.
    return "".join(words) + ("h.01" if len(words) == 1 else "")


def _most_of(labels: npt.NDArray[np.integer[Any]], member: npt.NDArray[np.bool_]) -> int:
    """Return the cluster that most of these series are in."""
    found, counts = np.unique(labels[member], return_counts=True)
    return int(found[counts.argmax()])


def hue_of(label: int) -> str:
    """Return the suffix of the style class with the colour of a cluster."""
    return "noise" if label == NOISE else str(label % len(COLORS))


# ------------------------------------------------------------------------------- tree


def branches(data: ReportData) -> Branches | None:
    """Lay out the tree of clusters; None without one, or if it is not that of these clusters."""
    from scipy.cluster.hierarchy import leaves_list

    numbers = [label for label, size in enumerate(data.run_sizes) if size]
    if data.tree is None or len(numbers) < 2 or len(data.tree) != len(numbers) - 1:
        return None
    order = leaves_list(data.tree).tolist()
    leaves = [_leaf(data, numbers[leaf]) for leaf in order]
    first, second = (numbers[int(leaf)] for leaf in sorted(data.tree[0, :2]))
    merge = Action("merge", {"labels": (first, second)})
    names = (_numbered(first, data), _numbered(second, data))
    return Branches(leaves, list(_lines(data.tree, order)), names, data.commands.text(merge))


def _leaf(data: ReportData, label: int) -> Leaf:
    size = data.run_sizes[label]
    return Leaf(label, _numbered(label, data), size, hue_of(label), cluster_style(label).symbol)


def _numbered(label: int, data: ReportData) -> str:
    """Return number and name of a cluster."""
    name = cluster_name(label, data.names)
    return name if name == cluster_name(label) else f"{label} · {name}"


def _lines(tree: Floats, order: list[int]) -> Iterator[str]:
    """Yield one path per merge: leaves at the right, at 100, and the root at the left, at 2."""
    highest = float(tree[-1, 2]) or 1.0
    places = {leaf: (100.0, row + 0.5) for row, leaf in enumerate(order)}
    for number, (a, b, distance) in enumerate(tree[:, :3].tolist()):
        (x1, y1), (x2, y2) = places[int(a)], places[int(b)]
        x = 2 + 96 * (1 - distance / highest)
        yield f"M{x1:.1f} {y1:.2f}H{x:.1f}V{y2:.2f}H{x2:.1f}"
        places[len(order) + number] = (x, (y1 + y2) / 2)


# ------------------------------------------------------------------------------- doubts


def doubts(data: ReportData) -> list[Doubt]:
    """Return the series whose cluster is least certain, the most doubtful first."""
    if data.next_best is None:
        return []
    doubtful = np.flatnonzero((data.labels != NOISE) & (data.probabilities < DOUBTFUL))
    ranked = doubtful[np.argsort(data.probabilities[doubtful], kind="stable")][:_MOST_DOUBTS]
    return [
        Doubt(
            int(index),
            int(data.labels[index]),
            float(data.probabilities[index]),
            int(data.next_best.labels[index]),
            float(data.next_best.probabilities[index]),
        )
        for index in ranked
    ]
