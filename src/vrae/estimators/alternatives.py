"""Other numbers of clusters, and merges: what they give, and which of them may be advised.

A number of clusters is advised only if its own verdict would not send the reader away again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vrae.describe.alerts import passes
from vrae.describe.findings import MOST, SHAKY, Found
from vrae.describe.naming import cluster_names
from vrae.describe.portraits import Portraits
from vrae.describe.verdict import peaks
from vrae.describe.words import cluster_name
from vrae.estimators.assignment import Assignment, Clustered
from vrae.estimators.grouping import Grouping
from vrae.estimators.partition import Partition, fit_partition, labels_of, takes_number
from vrae.estimators.stability import Refits, found_again
from vrae.report import Alternative
from vrae.runtime import seed_of

__all__ = ["Grouped", "alternatives", "closest_pair", "firm_merges", "is_changed", "numbers_worth_a_look"]

_MOST_NUMBERS = 4  # alternatives
_MOST_WEAK = 10  # clusters for which a merge is tried
_PER_CLUSTER = 4  # series
_SAMPLE = 5000  # series to group, with clusterers that compare all pairs

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


class Grouped(Clustered, Protocol):
    """What a fitted clusterer tells about its clusters."""

    clusterer: Any
    random_state: Any
    n_clusters_: int
    labels_: Labels
    names_: dict[int, str]
    tree_: Floats
    portraits_: Portraits | None
    grouping_: Grouping
    refits_: Refits | None


@dataclass(frozen=True)
class _Tried:
    """Another number of clusters of the training series, and whether it may be advised."""

    n_clusters: int
    partition: Partition
    labels: Labels
    score: float | None
    found_again: tuple[float, ...]  # of each cluster, by refits; empty without
    passes: bool


def numbers_worth_a_look(clusterer: Grouped) -> tuple[int, ...]:
    """Return the other numbers of clusters that may be advised, the best first.

    Each is a peak of the curve or nearly as good as the best, no cluster of it holds most series,
    and each is found again. Empty after changes by hand, which another number would discard.
    """
    if is_changed(clusterer):
        return ()
    worth = peaks(clusterer.selection_, clusterer.n_clusters_, _MOST_NUMBERS)
    passed = {one.n_clusters for one in _tried(clusterer) if one.passes}
    return tuple(k for k in worth if k in passed)


def is_changed(clusterer: Grouped) -> bool:
    """Return whether clusters were merged, split or named by hand, or series moved."""
    return clusterer.grouping_.is_edited or bool(clusterer.grouping_.own_names)


def alternatives(clusterer: Grouped, assignment: Assignment) -> tuple[Alternative, ...]:
    """Group the training series into other numbers of clusters, without training.

    ``assignment`` has the series of the report. The clusterer's own number is one of them, with the
    clusters that it has now. Empty if it finds the number itself, or there is no choice.
    """
    tried = _tried(clusterer)
    found = [_current(clusterer, assignment), *(_alternative(clusterer, assignment, one) for one in tried)]
    return tuple(sorted(found, key=lambda one: one.n_clusters)) if tried else ()


def _tried(clusterer: Grouped) -> tuple[_Tried, ...]:
    """Group the training series into other numbers of clusters, once for the clusters of now."""
    known = vars(clusterer).get("_numbers_tried")
    if known is None or known[0] is not clusterer.labels_ or known[1] is not clusterer.refits_:
        known = (clusterer.labels_, clusterer.refits_, tuple(_try_numbers(clusterer)))
        vars(clusterer)["_numbers_tried"] = known
    found: tuple[_Tried, ...] = known[2]
    return found


def _try_numbers(clusterer: Grouped) -> list[_Tried]:
    if not takes_number(clusterer.clusterer):
        return []
    rows = {int(row["n_clusters"]): row for row in clusterer.selection_}
    vectors = clusterer.grouping_.vectors
    return [_try(clusterer, k, rows.get(k, {}), vectors) for k in _numbers(clusterer, len(vectors))]


def _numbers(clusterer: Grouped, n_series: int) -> list[int]:
    """Return the numbers to show: the best peaks of the curve, else numbers near the own one."""
    chosen = clusterer.n_clusters_
    near = [k for k in (chosen + 1, chosen - 1, 2 * chosen) if 2 <= k <= n_series // _PER_CLUSTER]
    if not clusterer.selection_:
        return near
    best = peaks(clusterer.selection_, chosen, _MOST_NUMBERS)
    scored = [int(row["n_clusters"]) for row in sorted(clusterer.selection_, key=lambda row: -row["score"])]
    # A curve with a single peak has neighbours that are nearly as good.
    fill = [k for k in scored if k != chosen and k not in best]
    return [*best, *fill][: max(2, len(best))]


def _try(clusterer: Grouped, k: int, row: dict[str, Any], vectors: Floats) -> _Tried:
    seed = seed_of(clusterer.random_state)
    if clusterer.clusterer not in ("kmeans", "gmm"):
        vectors = vectors[np.sort(np.random.default_rng(seed).permutation(len(vectors))[:_SAMPLE])]
    partition = fit_partition(vectors, k, clusterer.clusterer, seed)
    labels = _group(clusterer, partition, clusterer.embedding_)
    again = _found_again(clusterer, labels, partition.n_clusters, partition.n_clusters)
    found = _found(labels, partition.n_clusters, again, row.get("silhouette"))
    may_be_advised = partition.n_clusters == k and passes(found)
    return _Tried(k, partition, labels, row.get("score"), again if clusterer.refits_ else (), may_be_advised)


def _found(labels: Labels, n_clusters: int, again: Sequence[float], silhouette: float | None) -> Found:
    n_noise = int((labels < 0).sum())
    return Found(_sizes(labels, n_clusters), n_noise=n_noise, stability=again, silhouette=silhouette)


def _found_again(clusterer: Grouped, labels: Labels, n_clusters: int, n_parts: int) -> tuple[float, ...]:
    """Return how much of each cluster is found again: by refits if there are some."""
    measured = found_again(clusterer.refits_, clusterer.grouping_, labels, n_clusters, clusterer.clusterer, n_parts)
    return () if measured is None else tuple(measured["clusters"])


def _group(clusterer: Grouped, partition: Partition, Z: npt.NDArray[np.float32]) -> Labels:
    """Return the clusters of latent vectors (n, latent_size), -1 for NaN."""
    found = np.full(len(Z), -1)
    known = np.isfinite(Z).all(axis=1)
    if known.any():
        found[known] = labels_of(partition.predict_proba(clusterer.space_(Z[known].astype(np.float64))))
    return found


def _alternative(clusterer: Grouped, assignment: Assignment, one: _Tried) -> Alternative:
    n = one.partition.n_clusters
    names = {label: cluster_name(label) for label in range(n)}
    if clusterer.portraits_ is not None:
        names = dict(enumerate(cluster_names(clusterer.portraits_, one.labels[clusterer.portraits_.rows], n)))
    labels = _group(clusterer, one.partition, assignment.embedding)
    return Alternative(one.n_clusters, one.score, one.found_again, _sizes(one.labels, n), names, labels)


def _current(clusterer: Grouped, assignment: Assignment) -> Alternative:
    k, grouping = clusterer.n_clusters_, clusterer.grouping_
    scores = {int(row["n_clusters"]): row["score"] for row in clusterer.selection_}
    again = _found_again(clusterer, clusterer.labels_, k, grouping.n_parts) if clusterer.refits_ else ()
    score = None if grouping.is_edited else scores.get(k)
    return Alternative(k, score, again, _sizes(clusterer.labels_, k), clusterer.names_, assignment.labels)


def firm_merges(clusterer: Grouped, again: Sequence[float]) -> tuple[tuple[int, int], ...]:
    """Return pairs of clusters that are worth merging, the firmest first.

    ``again`` is how much of each cluster is found again. Considered are the closest two clusters,
    and each weak one with its nearest. A pair is returned if it is found again as one, does not
    hold most series, and no other cluster gets weak.
    """
    if len(again) != clusterer.n_clusters_ or len(again) < 3:
        return ()
    vectors, labels = clusterer.grouping_.vectors, clusterer.labels_[clusterer.grouping_.known]
    weak = {label for label, part in enumerate(again) if part < SHAKY and (labels == label).any()}
    closest = closest_pair(vectors, labels)
    pairs = {_nearest(vectors, labels, label) for label in sorted(weak)[:_MOST_WEAK]}
    pairs |= set() if closest is None else {closest[:2]}
    parts = {pair: _firmness(clusterer, pair, len(weak - set(pair))) for pair in sorted(pairs)}
    return tuple(sorted((pair for pair in parts if parts[pair] >= SHAKY), key=lambda pair: -parts[pair]))


def _firmness(clusterer: Grouped, pair: tuple[int, int], n_weak: int) -> float:
    """Return how much of two clusters is found again as one, 0 if their merge does not pass."""
    merged = clusterer.grouping_.merged(pair)
    again = _found_again(clusterer, merged.labels, merged.n_clusters, merged.n_parts)
    found = _found(merged.labels, merged.n_clusters, again, None)
    if not again or found.share > MOST or len(found.shaky) > n_weak:
        return 0.0
    return again[min(pair)]


def _nearest(vectors: Floats, labels: Labels, label: int) -> tuple[int, int]:
    """Return a cluster and the one whose centre is closest, the smaller number first."""
    others = [int(other) for other in np.unique(labels[labels >= 0]) if other != label]
    centre = vectors[labels == label].mean(axis=0)
    away = [float(np.linalg.norm(vectors[labels == other].mean(axis=0) - centre)) for other in others]
    first, second = sorted((label, others[int(np.argmin(away))]))
    return first, second


def _sizes(labels: Labels, n_clusters: int) -> tuple[int, ...]:
    return tuple(np.bincount(labels[labels >= 0], minlength=n_clusters).tolist())


def closest_pair(vectors: Floats, labels: Labels) -> tuple[int, int, float] | None:
    """Return the two clusters between which most series lie, and how many of theirs: a fraction.

    ``vectors`` (n, dimensions) have clusters ``labels`` (n,). Each cluster is compared with the one
    whose centre is closest. A series lies between two centres if it is in the middle third of the
    line that joins them. None without two clusters.
    """
    numbers = np.unique(labels[labels >= 0])
    if len(numbers) < 2:
        return None
    centres = np.stack([vectors[labels == number].mean(axis=0) for number in numbers])
    distance = np.linalg.norm(centres[:, None] - centres[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    pairs = {tuple(sorted((i, int(nearest)))) for i, nearest in enumerate(distance.argmin(axis=1))}
    between = {(i, j): _halfway(vectors, labels, numbers[[i, j]], centres[[i, j]]) for i, j in sorted(pairs)}
    i, j = max(between, key=lambda pair: between[pair])
    return int(numbers[i]), int(numbers[j]), between[i, j]


def _halfway(vectors: Floats, labels: Labels, pair: Labels, centres: Floats) -> float:
    """Return the fraction of two clusters' series in the middle third between their centres."""
    line = centres[1] - centres[0]
    length = float(line @ line)
    if length == 0:
        return 1.0
    place = (vectors[np.isin(labels, pair)] - centres[0]) @ line / length  # 0 and 1 at the centres
    return float(((place > 1 / 3) & (place < 2 / 3)).mean())
