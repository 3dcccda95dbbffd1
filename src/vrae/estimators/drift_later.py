"""Later series beside a fit: what is kept of them, panel by panel, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vrae.data.ids import joined_ids
from vrae.data.panel import Ints, Panel, invalid_series
from vrae.describe.portraits import Portraits
from vrae.estimators.assignment import Clustered
from vrae.estimators.belonging import Belonging
from vrae.estimators.drift_past import Past, mean_levels, other_end, texts_of, whole_texts
from vrae.estimators.drift_tests import Sides
from vrae.estimators.partition import labels_of
from vrae.exceptions import DataWarning, InvalidDataError, warn

__all__ = ["Fitted", "Later", "gather"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Texts = npt.NDArray[np.object_]

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
    texts: tuple[Texts, Texts]  # ids, at the fit and now
    sides: Sides
    past: Past | None = None
    changes: Floats | None = None  # of levels, of some items
    change_labels: Ints | None = None
    n_moved: int | None = None
    start: Any = None
    end: Any = None
    is_named: bool = True  # otherwise, no series is known to be the same
    absent: float | None = None  # fraction of the steps without a row


def gather(clusterer: Fitted, panels: Iterable[Panel]) -> Later:
    """Embed later series part by part. Only vectors, labels and levels stay in memory."""
    parts: list[tuple[npt.NDArray[Any], ...]] = []
    stamps, named, n_absent, n_steps = [], True, 0.0, 0
    beside = _BesideThePast(clusterer)
    for given in panels:
        panel, indices = clusterer.model_.open(given)
        Z, probabilities, known = clusterer.embed_and_assign(panel, indices)
        unlike = _unlike(clusterer, Z, probabilities, indices)
        beside.add(panel)
        parts.append((panel.ids, Z, probabilities, unlike, panel.lengths[indices], known < 1))
        if panel.calendar is not None:
            n_absent, n_steps = n_absent + panel.calendar.absent * len(panel.values), n_steps + len(panel.values)
        named &= _has_names(panel, clusterer)
        if panel.times is not None and panel.times.dtype.kind == "M" and len(panel.times):
            stamps += [panel.times.min(), panel.times.max()]
    if not sum(len(part[0]) for part in parts):
        raise InvalidDataError("No series found: the input is empty. Pass the table of the new period.")
    names, *arrays = ([part[column] for part in parts] for column in range(6))
    ids, levels = joined_ids(names), np.concatenate(beside.levels)
    Z, probabilities, unlike, lengths, short = (np.concatenate(column) for column in arrays)
    before, now = (np.array(text, object) for text in texts_of(clusterer.ids_, ids))
    sides = Sides.of(before, now) if named else Sides.unrelated(len(before), len(now))
    later = Later(ids, Z, probabilities, unlike, lengths, short, levels, (before, now), sides, is_named=named)
    later.start, later.end = (min(stamps), max(stamps)) if stamps else (None, None)
    later.absent = n_absent / n_steps if n_steps else None
    beside.write(later)
    return later


class _BesideThePast:
    """Levels of items, and the clusters of some just before the fit, as panels of a table come."""

    def __init__(self, clusterer: Fitted) -> None:
        self.clusterer = clusterer
        self.sample = np.sort(np.random.default_rng(0).permutation(len(clusterer.ids_))[:_LEVEL_ITEMS])
        self.texts = set(whole_texts(clusterer.ids_[self.sample]))
        self.past: Past | None = None
        self.levels: list[Floats] = []
        self.changes: list[Floats] = []
        self.earlier: list[Ints] = []  # clusters just before the fit
        self.rows: list[Ints] = []  # of these series, among all later ones
        self.other_end = ""

    def add(self, panel: Panel) -> None:
        """Take the next series. The first ones show which steps are new."""
        model = self.clusterer.model_
        if not any(map(len, self.levels)):
            self.past = Past.of(model, panel)
        elif not self.other_end:
            self.other_end = other_end(self.past, model, panel)
        n_before = sum(map(len, self.levels))
        self.levels.append(mean_levels(panel, self.past))
        if self.past is None or self.other_end:
            return
        # Which items these are is known only with all ids. This finds those of the sample, or more.
        some = np.flatnonzero([text in self.texts for text in whole_texts(panel.ids)])
        sample = panel.select(some)
        self.changes.append(self.past.changes(sample))
        self.earlier.append(_labels_before(self.clusterer, self.past, sample))
        self.rows.append(n_before + some)

    def write(self, later: Later) -> None:
        """Write what was found of all series."""
        if self.other_end:
            warn(f"Levels are not compared, nor are moves by chance known: {self.other_end}", DataWarning)
            later.levels[:] = np.nan
        elif self.past is not None:
            at_fit = np.full(len(later.ids), -1, np.int64)
            at_fit[later.sides.pairs[1]] = later.sides.pairs[0]
            items = at_fit[np.concatenate(self.rows)]
            known = np.isin(items, self.sample)
            labels, earlier = self.clusterer.labels_[items[known]], np.concatenate(self.earlier)[known]
            later.past, later.changes, later.change_labels = self.past, np.concatenate(self.changes)[known], labels
            n_moved = int(((earlier >= 0) & (labels >= 0) & (earlier != labels)).sum())
            # Some items were looked at, so all are in proportion.
            later.n_moved = round(n_moved * later.sides.pairs.shape[1] / max(len(labels), 1))


def _unlike(clusterer: Fitted, Z: npt.NDArray[np.float32], probabilities: Floats, indices: Ints) -> Bools:
    """Return which series are unlike all training series."""
    unlike = np.zeros(len(Z), bool)
    if clusterer.belonging_ is not None and clusterer.false_alarm_rate is not None:
        unlike[indices] = ~probabilities[indices].any(axis=1)
        unlike[unlike] = clusterer.predict_proba_from_latent(Z[unlike]).any(axis=1)  # others are noise of hdbscan
    return unlike


def _labels_before(clusterer: Fitted, past: Past, panel: Panel) -> Ints:
    """Return the clusters (n_series,) as many steps before the fit as are new, -1 for none."""
    found = np.full(len(panel), -1, np.int64)
    cut, rows = past.without(panel, 2 * past.n_new)
    if len(rows):
        known = np.flatnonzero(~invalid_series(cut))  # nothing may be known of an item that early
        found[rows] = labels_of(clusterer.embed_and_assign(cut, known)[1])
    return found


def _has_names(panel: Panel, clusterer: Fitted) -> bool:
    """Return whether ids are names of items, and not the numbers that arrays get."""
    both = (panel.ids, clusterer.ids_)
    numbers = all(ids.dtype.kind in "iu" and np.array_equal(ids, np.arange(len(ids))) for ids in both)
    reading = clusterer.model_.reading_
    return not numbers or (reading is not None and bool(reading.id))
