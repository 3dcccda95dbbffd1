"""Other numbers of clusters, and the two clusters that are closest, for those who read a result."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vrae.describe.naming import cluster_names
from vrae.describe.portraits import Portraits
from vrae.describe.verdict import peaks
from vrae.describe.words import cluster_name
from vrae.estimators.assignment import Assignment, Clustered
from vrae.estimators.grouping import Grouping
from vrae.estimators.partition import fit_partition, labels_of, takes_number
from vrae.report import Alternative
from vrae.runtime import seed_of

__all__ = ["Grouped", "alternatives", "closest_pair"]

_MOST = 4  # alternatives
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


def alternatives(clusterer: Grouped, assignment: Assignment) -> tuple[Alternative, ...]:
    """Group the training series into other numbers of clusters, without training.

    ``assignment`` has the series of the report. The clusterer's own number is one of them, with the
    clusters that it has now. Empty if it finds the number itself, or there is no choice.
    """
    if not takes_number(clusterer.clusterer):
        return ()
    known = np.isfinite(clusterer.embedding_).all(axis=1)
    vectors = clusterer.space_(clusterer.embedding_[known].astype(np.float64))
    rows = {int(row["n_clusters"]): row for row in clusterer.selection_}
    found = [_current(clusterer, assignment, rows)]
    for k in _numbers(clusterer, len(vectors)):
        found.append(_alternative(clusterer, assignment, rows.get(k, {}), k, vectors))
    return tuple(sorted(found, key=lambda one: one.n_clusters)) if len(found) > 1 else ()


def _numbers(clusterer: Grouped, n_series: int) -> list[int]:
    """Return the numbers to show: the best peaks of the curve, else numbers near the own one."""
    chosen = clusterer.n_clusters_
    near = [k for k in (chosen + 1, chosen - 1, 2 * chosen) if 2 <= k <= n_series // _PER_CLUSTER]
    if not clusterer.selection_:
        return near
    best = peaks(clusterer.selection_, chosen, _MOST)
    scored = [int(row["n_clusters"]) for row in sorted(clusterer.selection_, key=lambda row: -row["score"])]
    # A curve with a single peak has neighbours that are nearly as good.
    fill = [k for k in scored if k != chosen and k not in best]
    return [*best, *fill][: max(2, len(best))]


def _alternative(
    clusterer: Grouped, assignment: Assignment, row: dict[str, Any], k: int, vectors: Floats
) -> Alternative:
    seed = seed_of(clusterer.random_state)
    if clusterer.clusterer not in ("kmeans", "gmm"):
        vectors = vectors[np.sort(np.random.default_rng(seed).permutation(len(vectors))[:_SAMPLE])]
    partition = fit_partition(vectors, k, clusterer.clusterer, seed)

    def group(Z: npt.NDArray[np.float32]) -> Labels:
        found = np.full(len(Z), -1)
        known = np.isfinite(Z).all(axis=1)
        if known.any():
            found[known] = labels_of(partition.predict_proba(clusterer.space_(Z[known].astype(np.float64))))
        return found

    labels = group(clusterer.embedding_)
    n = partition.n_clusters
    names = {label: cluster_name(label) for label in range(n)}
    if clusterer.portraits_ is not None:
        names = dict(enumerate(cluster_names(clusterer.portraits_, labels[clusterer.portraits_.rows], n)))
    return Alternative(k, row.get("score"), row.get("stability"), _sizes(labels, n), names, group(assignment.embedding))


def _current(clusterer: Grouped, assignment: Assignment, rows: dict[int, dict[str, Any]]) -> Alternative:
    k = clusterer.n_clusters_
    row = {} if clusterer.grouping_.is_edited else rows.get(k, {})
    sizes = _sizes(clusterer.labels_, k)
    return Alternative(k, row.get("score"), row.get("stability"), sizes, clusterer.names_, assignment.labels)


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
