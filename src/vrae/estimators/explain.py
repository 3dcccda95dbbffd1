"""Why a cluster is a cluster, why a series is in it, and what a latent dimension does: numbers, and words for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vrae.config import check_int
from vrae.data.batching import Rows
from vrae.data.panel import Panel
from vrae.estimators.explanations import ClusterDescription, SeriesExplanation, Traversal, Window
from vrae.estimators.partition import labels_of
from vrae.evaluate import resample
from vrae.exceptions import InvalidDataError, InvalidParameterError

if TYPE_CHECKING:
    from vrae.estimators.clusterer import VRAEClusterer
    from vrae.estimators.vrae import VRAE

__all__ = ["describe_clusters", "explain_series", "traverse"]

Floats = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.int64]
Traits = Mapping[str, Floats]

# Series that are looked at to describe clusters, and points to which their courses are brought.
_SAMPLE = 4096
_POINTS = 200
_MEDOIDS = 3
_WINDOWS = 2
# A step sets a cluster apart if means differ by so many standard deviations; a step of a series is unusual in its
# cluster beyond so many; a trait tells two clusters apart if their medians do by so many.
_APART, _UNUSUAL, _TELLING = 0.8, 2.5, 1.0


# -------------------------------------------------------------------- clusters


def describe_clusters(
    panel: Panel, labels: Labels, vectors: Floats, *, shapes: bool = True
) -> list[ClusterDescription]:
    """Describe the clusters of series.

    Parameters
    ----------
    panel : Panel
    labels : ndarray of int64, shape (n_series,)
        -1 is none.
    vectors : ndarray of shape (n_series, d)
        By which the series were placed; NaN for those that could not be.
    shapes : bool
        Compare courses brought to one level and spread, as a clusterer sees them that scales each series.

    Returns
    -------
    list of ClusterDescription
        0, 1, ..., and -1 at the end.
    """
    from vrae.plots.compute import cluster_course
    from vrae.report.describe import by_typicality, differences, sentence, series_traits

    rows = _spaced(np.arange(len(panel)))
    sample = panel.select(rows)
    series, own = sample.to_list(), labels[rows]
    traits = series_traits(series)
    courses = _courses(sample, shapes)  # (sample, channel, point)
    found = []
    for label in sorted(np.unique(own).tolist(), key=lambda k: (k < 0, k)):
        member = own == label
        size = int((labels == label).sum())
        course = cluster_course([series[i] for i in np.flatnonzero(member)], label)
        typical = by_typicality(vectors, np.flatnonzero(labels == label))[:_MEDOIDS]
        found.append(
            ClusterDescription(
                label=int(label),
                size=size,
                share=size / len(panel),
                words=sentence(traits, member, panel.channels, is_noise=label < 0),
                windows=_windows_apart(courses, member, sample),
                differences=differences(traits, member),
                medoids=tuple(panel.ids[typical].tolist()),
                middle=course.middle,
                low=course.low,
                high=course.high,
            )
        )
    return found


def _windows_apart(courses: Floats, member: npt.NDArray[np.bool_], panel: Panel) -> tuple[Window, ...]:
    if member.all() or member.sum() < 2 or (~member).sum() < 2:
        return ()
    inside, outside = courses[member], courses[~member]
    within = np.sqrt((inside.var(axis=0) + outside.var(axis=0)) / 2)
    gap = inside.mean(axis=0) - outside.mean(axis=0)  # (channel, point)
    # A step at which hardly anything ever happens must not count for a lot.
    apart = gap / np.maximum(within, 0.1 * courses.std() + 1e-12)
    return tuple(_windows(apart, np.abs(apart) >= _APART, panel))[:_WINDOWS]


# -------------------------------------------------------------------- one series


def explain_series(clusterer: VRAEClusterer, panel: Panel, rows: Rows, series_id: Any) -> SeriesExplanation:
    """Explain where the series of a panel with this id belongs; those at ``rows`` hold anything."""
    from vrae.report.describe import series_traits

    row = panel.position(series_id)
    if row not in rows:
        raise InvalidDataError(f"Series {series_id!r} has no observed value: there is nothing to explain.")
    Z = clusterer._embed(panel, rows)
    probabilities = clusterer.place(Z)
    labels = labels_of(probabilities)
    vectors = clusterer.space_(Z.astype(np.float64))
    cluster = int(labels[row])
    distance = _distances(vectors, labels, clusterer.n_clusters_, row)
    order = [int(k) for k in np.lexsort((distance, -probabilities[row])) if k != cluster]
    runner = order[0] if order else None

    groups = {k: _spaced(np.flatnonzero(labels == k)) for k in (cluster, runner) if k is not None and k >= 0}
    chosen = np.unique(np.concatenate([[row], *groups.values()]))
    sample = panel.select(chosen)
    place = {k: np.searchsorted(chosen, members) for k, members in groups.items()}
    at = int(np.searchsorted(chosen, row))
    traits = series_traits(sample.to_list())
    agrees: tuple[str, ...]
    differs: tuple[str, ...]
    courses = _courses(sample, clusterer.scaler_.scaling in ("series", "robust"))
    own, other = place.get(cluster), None if runner is None else place.get(runner)
    if other is None or len(other) == 0 or own is None:
        agrees, differs, decides = (), (), None
    else:
        agrees, differs = _reasons(traits, at, own, other, panel.channels)
        decides = _decides(courses, at, own, other, sample)
    return SeriesExplanation(
        id=panel.ids[row],
        cluster=cluster,
        probability=float(probabilities[row].max(initial=0.0)),
        runner_up=runner,
        runner_up_probability=0.0 if runner is None else float(probabilities[row, runner]),
        typicality=_typicality(vectors, labels, row),
        lag=int(clusterer.lags(panel.select([row]))[0]),
        level={c: float(v) for c, v in zip(panel.channels, traits["level"][at], strict=True)},
        spread={c: float(v) for c, v in zip(panel.channels, traits["spread"][at], strict=True)},
        agrees=agrees,
        differs=differs,
        decides=decides,
        unusual=() if own is None else _unusual(courses, at, own, sample),
    )


def _distances(vectors: Floats, labels: Labels, n_clusters: int, row: int) -> Floats:
    """Return how far a series is from the middle of each cluster, (n_clusters,); infinite for an empty one."""
    middles = [vectors[labels == k].mean(axis=0) if (labels == k).any() else np.inf for k in range(n_clusters)]
    return np.array([np.linalg.norm(vectors[row] - middle) for middle in middles])


def _typicality(vectors: Floats, labels: Labels, row: int) -> float:
    if labels[row] < 0:
        return 0.0
    own = vectors[labels == labels[row]]
    distance = np.linalg.norm(own - own.mean(axis=0), axis=1)
    return float((distance > np.linalg.norm(vectors[row] - own.mean(axis=0)) + 1e-12).mean())


def _reasons(
    traits: Traits, at: int, own: Rows, other: Rows, channels: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return traits that speak for a series' own cluster, and those for the other one, the strongest first."""
    from vrae.report.describe import TRAITS, plain

    found = []
    for name, trait in TRAITS.items():
        values = np.nan_to_num(traits[name])
        here, there = np.median(values[own], axis=0), np.median(values[other], axis=0)
        within = np.sqrt((values[own].var(axis=0) + values[other].var(axis=0)) / 2)
        least = trait.least * (np.nanmedian(traits["spread"], axis=0) if trait.in_spreads else 1.0)
        telling = (np.abs(here - there) >= least) & (np.abs(here - there) >= _TELLING * within)
        nearer = (np.abs(values[at] - there) - np.abs(values[at] - here)) / np.maximum(within, least)
        for c in np.flatnonzero(telling):
            noun = getattr(trait, "name", name) + (f" of {channels[c]}" if len(channels) > 1 else "")
            words = f"{noun} {plain(values[at, c])} (usual {plain(here[c])}, there {plain(there[c])})"
            found.append((float(nearer[c]), words))
    agrees = [words for score, words in sorted(found, reverse=True) if score > 0.5]
    differs = [words for score, words in sorted(found) if score < -0.5]
    return tuple(agrees[:3]), tuple(differs[:3])


def _decides(courses: Floats, at: int, own: Rows, other: Rows, panel: Panel) -> Window | None:
    here, there = courses[own].mean(axis=0), courses[other].mean(axis=0)
    nearer = (courses[at] - there) ** 2 - (courses[at] - here) ** 2  # (channel, point)
    worth = nearer >= 0.25 * max(float(nearer.max()), 0.0)
    return next(_windows(nearer, worth & (nearer > 0), panel), None)


def _unusual(courses: Floats, at: int, own: Rows, panel: Panel) -> tuple[Window, ...]:
    others = courses[own[own != at]]
    if len(others) < 3:
        return ()
    scale = np.maximum(others.std(axis=0), 0.1 * courses.std() + 1e-12)
    departure = (courses[at] - others.mean(axis=0)) / scale
    return tuple(_windows(departure, np.abs(departure) >= _UNUSUAL, panel))[:_WINDOWS]


# -------------------------------------------------------------------- latent dimensions


def traverse(model: VRAE, dimension: int, n_values: int, n_steps: int | None) -> Traversal:
    """Decode series along a latent dimension, from two standard deviations below its mean to two above."""
    from vrae.report.describe import TRAITS, series_traits

    latent = model.network_.config.latent_size
    if check_int("dimension", dimension, low=0) >= latent:
        raise InvalidParameterError(
            f"dimension must be one of 0 to {latent - 1}, the model's latent dimensions; found {dimension}."
        )
    check_int("n_values", n_values, low=2)
    known = model.embedding_[np.isfinite(model.embedding_).all(axis=1)].astype(np.float64)
    mean, deviation = known.mean(axis=0), known.std(axis=0)
    Z = np.tile(mean, (n_values, 1))
    Z[:, dimension] += np.linspace(-2, 2, n_values) * deviation[dimension]
    decoded = model.inverse_transform(Z, n_steps)
    series = decoded.reshape(n_values, -1, decoded.shape[-1])
    traits = series_traits(list(series))
    usual = np.abs(traits["spread"]).mean(axis=0)
    gains = []
    for name, trait in TRAITS.items():
        gain = (traits[name][-1] - traits[name][0]) / (trait.least * (usual if trait.in_spreads else 1.0) + 1e-12)
        c = int(np.abs(gain).argmax())
        gains.append((float(gain[c]), trait, c))
    parts = []
    for gain, trait, c in sorted(gains, key=lambda entry: -abs(entry[0]))[:3]:
        if abs(gain) >= 1:
            parts.append((trait.more if gain > 0 else trait.less) + (f" (channel {c})" if series.shape[1] > 1 else ""))
    if deviation[dimension] ** 2 < 0.01:
        words = "not in use: no series differs from the others in it."
    else:
        words = f"{', '.join(parts)}." if parts else "no single property changes: the course does as a whole."
    return Traversal(dimension, Z[:, dimension], series, words)


# -------------------------------------------------------------------- parts


def _spaced(rows: Rows) -> Rows:
    return rows[:: max(1, -(-len(rows) // _SAMPLE))]


def _courses(panel: Panel, shapes: bool) -> Floats:
    """Return series on one grid, (n_series, channel, point), each at one level and spread where ``shapes`` says so."""
    X = resample(panel.to_padded(), min(_POINTS, int(np.median(panel.lengths))))
    if not shapes:
        return X
    centred = X - X.mean(axis=2, keepdims=True)
    spread = centred.std(axis=(1, 2), keepdims=True)
    return centred / np.where(spread > 0, spread, 1.0)


def _windows(departure: Floats, notable: npt.NDArray[np.bool_], panel: Panel) -> Iterator[Window]:
    """Yield runs of notable points on one side, (channel, point) both, those with the most departure first."""
    n_steps, points = int(np.median(panel.lengths)), departure.shape[1]
    found = []
    for c, line in enumerate(np.where(notable, np.sign(departure), 0)):
        cuts = np.flatnonzero(np.diff(line)) + 1
        for run in np.split(np.arange(points), cuts):
            if line[run[0]]:
                found.append((float(np.abs(departure[c, run]).sum()), c, run))
    for _, c, run in sorted(found, key=lambda entry: (-entry[0], entry[1], entry[2][0])):
        first, last = (round(float(p) * (n_steps - 1) / max(points - 1, 1)) for p in (run[0], run[-1]))
        yield Window(panel.channels[c], first, last, n_steps, float(departure[c, run].mean()))
