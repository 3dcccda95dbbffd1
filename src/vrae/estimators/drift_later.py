"""Later series beside a fit: what is kept of them, panel by panel, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vrae.data.ids import joined_ids
from vrae.data.panel import Ints, Panel, invalid_series
from vrae.data.selection import observed_steps
from vrae.describe.portraits import Portraits
from vrae.estimators.assignment import Clustered
from vrae.estimators.belonging import Belonging
from vrae.estimators.drift_past import Past, mean_levels, other_end, rows_of, texts_of
from vrae.estimators.partition import labels_of
from vrae.exceptions import DataWarning, InvalidDataError, warn

__all__ = ["Fitted", "Later", "gather"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

# Levels, and moves by chance, are found from at most this many items.
_LEVEL_ITEMS = 2000


class Fitted(Clustered, Protocol):
    """What a fitted clusterer offers here, in addition."""

    ids_: npt.NDArray[Any]
    labels_: Ints
    n_clusters_: int
    false_alarm_rate: float | None
    belonging_: Belonging | None
    portraits_: Portraits | None


@dataclass
class Later:
    """Later series: arrays with one row each, and what is known of all of them."""

    ids: npt.NDArray[Any]
    Z: npt.NDArray[np.float32]
    probabilities: Floats
    unlike: Bools
    lengths: Ints
    short: Bools  # too little is known for a cluster
    levels: Floats
    past: Past | None = None
    changes: Floats | None = None  # of levels, of some items
    change_labels: Ints | None = None
    n_moved: int | None = None
    start: Any = None
    end: Any = None
    is_named: bool = True
    absent: float | None = None  # fraction of the steps without a row


def gather(clusterer: Fitted, panels: Iterable[Panel]) -> Later:
    """Embed later series part by part. Only vectors, labels and levels stay in memory."""
    parts: list[tuple[npt.NDArray[Any], ...]] = []
    stamps, named, n_absent, n_steps = [], True, 0.0, 0
    beside = _BesideThePast(clusterer)
    for given in panels:
        panel, indices = clusterer.model_.open(given)
        Z, probabilities = clusterer.embed_and_assign(panel, indices)
        unlike = _unlike(clusterer, Z, probabilities, indices)
        beside.add(panel)
        parts.append((panel.ids, Z, probabilities, unlike, panel.lengths[indices], _short(clusterer, panel)))
        if panel.calendar is not None:
            n_absent, n_steps = n_absent + panel.calendar.absent * len(panel.values), n_steps + len(panel.values)
        named &= _has_names(panel, clusterer)
        if panel.times is not None and panel.times.dtype.kind == "M" and len(panel.times):
            stamps += [panel.times.min(), panel.times.max()]
    if not sum(len(part[0]) for part in parts):
        raise InvalidDataError("No series found: the input is empty. Pass the table of the new period.")
    ids, *arrays = ([part[column] for part in parts] for column in range(6))
    Z, probabilities, unlike, lengths, short = (np.concatenate(column) for column in arrays)
    later = Later(joined_ids(ids), Z, probabilities, unlike, lengths, short, np.concatenate(beside.levels))
    later.is_named = named
    later.start, later.end = (min(stamps), max(stamps)) if stamps else (None, None)
    later.absent = n_absent / n_steps if n_steps else None
    beside.write(later)
    return later


class _BesideThePast:
    """Levels of items, and the clusters of some just before the fit, as panels of a table come."""

    def __init__(self, clusterer: Fitted) -> None:
        self.clusterer, n = clusterer, len(clusterer.ids_)
        self.place = {text: row for row, text in enumerate(texts_of(clusterer.ids_)[0])}
        self.is_sampled = np.zeros(n + 1, bool)  # the last one is no item
        self.is_sampled[np.random.default_rng(0).permutation(n)[:_LEVEL_ITEMS]] = True
        self.past: Past | None = None
        self.levels: list[Floats] = []
        self.changes: list[Floats] = []
        self.labels: list[Ints] = []
        self.n_moved = self.n_known = 0
        self.other_end = ""

    def add(self, panel: Panel) -> None:
        """Take the next series. The first ones show which steps are new."""
        model = self.clusterer.model_
        if not any(map(len, self.levels)):
            self.past = Past.of(model, panel)
        elif not self.other_end:
            self.other_end = other_end(self.past, model, panel)
        self.levels.append(mean_levels(panel, self.past))
        if self.past is None or self.other_end:
            return
        rows = rows_of(panel.ids, self.place)
        some = self.is_sampled[rows]
        sample, labels = panel.select(some), np.append(self.clusterer.labels_, -1)[rows[some]]
        self.changes.append(self.past.changes(sample))
        self.labels.append(labels)
        self.n_moved += _n_moved_before(self.clusterer, self.past, sample, labels)
        self.n_known += int((rows >= 0).sum())

    def write(self, later: Later) -> None:
        """Write what was found of all series."""
        if self.other_end:
            warn(f"Levels are not compared, nor are moves by chance known: {self.other_end}", DataWarning)
            later.levels[:] = np.nan
        elif self.past is not None:
            later.past, later.changes = self.past, np.concatenate(self.changes)
            later.change_labels = np.concatenate(self.labels)
            # Some items were looked at, so all are in proportion.
            later.n_moved = round(self.n_moved * self.n_known / max(len(later.change_labels), 1))


def _unlike(clusterer: Fitted, Z: npt.NDArray[np.float32], probabilities: Floats, indices: Ints) -> Bools:
    """Return which series are unlike all training series."""
    unlike = np.zeros(len(Z), bool)
    if clusterer.belonging_ is not None and clusterer.false_alarm_rate is not None:
        unlike[indices] = ~probabilities[indices].any(axis=1)
        unlike[unlike] = clusterer.predict_proba_from_latent(Z[unlike]).any(axis=1)  # others are noise of hdbscan
    return unlike


def _short(clusterer: Fitted, panel: Panel) -> Bools:
    """Return which series are clearly shorter than the training series."""
    if clusterer.belonging_ is None:
        return np.zeros(len(panel), bool)
    return clusterer.belonging_.known_share(observed_steps(panel)) < 1


def _n_moved_before(clusterer: Fitted, past: Past, panel: Panel, labels: Ints) -> int:
    """Count the items that changed cluster in as many steps as are new, just before the fit."""
    cut, rows = past.without(panel, 2 * past.n_new)
    if not len(rows):
        return 0
    known = np.flatnonzero(~invalid_series(cut))  # nothing may be known of an item that early
    earlier = labels_of(clusterer.embed_and_assign(cut, known)[1])
    return int(((earlier >= 0) & (labels[rows] >= 0) & (earlier != labels[rows])).sum())


def _has_names(panel: Panel, clusterer: Fitted) -> bool:
    """Return whether ids are names of items, and not the numbers that arrays get."""
    both = (panel.ids, clusterer.ids_)
    numbers = all(ids.dtype.kind in "iu" and np.array_equal(ids, np.arange(len(ids))) for ids in both)
    reading = clusterer.model_.reading_
    return not numbers or (reading is not None and bool(reading.id))
