"""How training series are grouped: the rule that assigns them, changes by hand, and names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.config import check_int
from vrae.describe.naming import cluster_names
from vrae.describe.portraits import Portraits
from vrae.describe.words import NOISE, cluster_name
from vrae.estimators.cluster_names import all_names, checked_names
from vrae.estimators.cluster_number import check_curve, score_numbers
from vrae.estimators.edits import Edit, Edited, Merge, Move, Split, are_same, edits_from_arrays, groups_of_same
from vrae.estimators.mixture import Mixture
from vrae.estimators.partition import (
    LatentSpace,
    Partition,
    fit_partition,
    labels_of,
    match_order,
    partition_from_arrays,
    takes_number,
    warn_of_fewer_clusters,
)
from vrae.exceptions import DataWarning, InvalidDataError, InvalidParameterError, name_some, shortened, warn
from vrae.io.folder import Arrays, nested, shaped, subset
from vrae.metrics import best_number

__all__ = ["Grouping", "cluster_tree"]

# The seed of a split does not depend on that of the fit. A split of a loaded model, and the one
# that a report shows before it is made, are the same.
_SPLIT_SEED = 0

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Grouping:
    """The clusters of series, and the rule that assigns new ones. Changes give a new grouping.

    ``embedding`` (n_series, latent_size) are latent vectors, NaN for a series without any value.
    ``labels`` (n_series,) are clusters, -1 for none. ``selection`` are the scores of numbers of
    clusters, found with the clusterer ``scored``. ``own_names`` are those that the user gave.
    """

    embedding: npt.NDArray[np.float32]
    space: LatentSpace
    partition: Partition
    labels: Labels
    selection: list[dict[str, Any]]
    scored: Any
    edits: tuple[Edit, ...] = ()
    own_names: dict[int, str] = field(default_factory=dict)
    _named: list[tuple[Portraits | None, dict[int, str]]] = field(default_factory=list, init=False, repr=False)

    @classmethod
    def fit(
        cls,
        embedding: npt.NDArray[np.float32],
        space: LatentSpace,
        n_clusters: Any,
        clusterer: Any,
        seed: int,
        *,
        earlier: Labels | None = None,
        selection: Sequence[dict[str, Any]] = (),
        least: int = 1,
    ) -> Grouping:
        """Find clusters of latent vectors.

        ``earlier`` labels (n_series,) decide their order. ``selection`` is the curve of these
        vectors, if it is known. "auto" finds ``least`` clusters or more.
        """
        known = np.isfinite(embedding).all(axis=1)
        vectors = space(embedding[known].astype(np.float64))  # (n, dimensions)
        if n_clusters == "auto":
            selection = selection or score_numbers(vectors, clusterer, seed)
            partition = fit_partition(vectors, max(best_number(selection), least), clusterer, seed)
        else:
            partition = fit_partition(vectors, n_clusters, clusterer, seed)
            if takes_number(clusterer) and partition.n_clusters < n_clusters:
                warn_of_fewer_clusters(partition.n_clusters, n_clusters)
        found = labels_of(partition.predict_proba(vectors))
        if earlier is not None:
            partition = partition.ordered(match_order(found, earlier[known], partition.n_clusters))
            found = labels_of(partition.predict_proba(vectors))
        labels = np.full(len(embedding), NOISE)
        labels[known] = found
        return cls(embedding, space, partition, labels, list(selection), clusterer)

    # ---------------------------------------------------------------- what it says

    @property
    def n_clusters(self) -> int:
        """Number of clusters."""
        return self.rule.n_clusters

    @property
    def n_parts(self) -> int:
        """Number of clusters before any was merged, but after all splits."""
        return self.partition.n_clusters + sum(edit.n_more for edit in self.edits if isinstance(edit, Split))

    @property
    def is_edited(self) -> bool:
        """Whether clusters were merged or split, or series moved."""
        return bool(self.edits)

    @cached_property
    def rule(self) -> Partition | Edited:
        """The rule that assigns vectors: the partition that was found, with all edits."""
        return Edited(self.partition, self.edits) if self.edits else self.partition

    @cached_property
    def known(self) -> Labels:
        """Positions of the series with a latent vector."""
        return np.flatnonzero(np.isfinite(self.embedding).all(axis=1))

    @cached_property
    def vectors(self) -> Floats:
        """Their vectors in the space, (n, dimensions)."""
        return self.space(self.embedding[self.known].astype(np.float64))

    @cached_property
    def tree(self) -> Floats:
        """How the clusters merge; see `cluster_tree`."""
        return cluster_tree(self.vectors, self.labels[self.known])

    def predict_proba(self, Z: npt.NDArray[np.float32]) -> Floats:
        """Return the probability of each cluster for latent vectors (n, latent_size); 0 for NaN."""
        probabilities = np.zeros((len(Z), self.n_clusters))
        known = np.flatnonzero(np.isfinite(Z).all(axis=1))
        if len(known):
            probabilities[known] = self.rule.predict_proba(self.space(Z[known].astype(np.float64)))
        return probabilities

    def names(self, portraits: Portraits | None) -> dict[int, str]:
        """Return the name of every cluster: the user's, or one made of portraits of the series."""
        if not self._named or self._named[-1][0] is not portraits:
            self._named[:] = [(portraits, self._names_from(portraits))]
        return self._named[-1][1]

    def _names_from(self, portraits: Portraits | None) -> dict[int, str]:
        automatic = [cluster_name(number) for number in range(self.n_clusters)]
        if portraits is not None and self.n_clusters:
            automatic = cluster_names(portraits, self.labels[portraits.rows], self.n_clusters)
        return all_names(automatic, self.own_names)

    def halves(self, Z: npt.NDArray[np.float32] | None = None, labels: Labels | None = None) -> npt.NDArray[np.uint8]:
        """Return 1 where a series would get the new number if its cluster were split in two.

        Of the training series, or of series with other latent vectors Z (n, latent_size) and labels
        (n,). 0 in a cluster that cannot be split.
        """
        Z, labels = self.embedding if Z is None else Z, self.labels if labels is None else labels
        halves = np.zeros(len(Z), np.uint8)
        for cluster in range(self.n_clusters):
            rows, parts = np.flatnonzero(labels == cluster), self._parts(cluster, 2)
            if parts is not None and len(rows):
                vectors = self.space(Z[rows].astype(np.float64))
                halves[rows] = parts.predict_proba(vectors).argmax(axis=1)
        return halves

    # ---------------------------------------------------------------- changes

    def merged(self, clusters: Sequence[int]) -> Grouping:
        """Return the grouping in which these clusters are one, with the smallest of their numbers.

        Higher numbers close the gaps. The merged cluster keeps a name of the user if it has one.
        """
        given = list(clusters) if isinstance(clusters, Iterable) else [clusters]
        numbers = sorted({self._number("merge", cluster) for cluster in given})
        if len(numbers) < 2:
            raise InvalidParameterError(
                f"clusters must be a list of two or more different clusters; found {shortened(given)}."
            )
        return self._merged_into(numbers[1:], numbers[0])

    def split(self, cluster: int, into: int = 2) -> Grouping:
        """Return the grouping in which a cluster is divided by k-means.

        The largest part keeps the number and the name, the others get the next free numbers.
        """
        cluster, into = self._number("split", cluster), check_int("into", into, low=2)
        parts = self._parts(cluster, into)
        if parts is None:
            raise InvalidDataError(
                f"Cluster {cluster} cannot be split into {shortened(into)} parts: it has fewer distinct series than "
                f"that. Ask for fewer parts, or split another cluster."
            )
        edit, labels = Split(cluster, parts), self.labels.copy()
        labels[self.known] = edit.relabel(labels[self.known], self.vectors, self.n_clusters)
        return replace(self, edits=(*self.edits, edit), labels=labels)

    def moved(self, Z: npt.NDArray[np.float32], to: int) -> Grouping:
        """Return the grouping in which series with these latent vectors are in cluster ``to``.

        Identical series move together. A cluster that loses all of its series disappears, and
        higher numbers close the gap.
        """
        to = self._number("move", to)
        vectors = self.space(Z.astype(np.float64))
        last = self.edits[-1] if self.edits else None
        if isinstance(last, Move):
            edits = (*self.edits[:-1], last.then(vectors, to))
        else:
            edits = (*self.edits, Move(vectors, np.full(len(vectors), to), self.vectors))
        labels = self.labels.copy()
        labels[self.alike(Z)] = to
        changed = replace(self, edits=edits, labels=labels)
        empty = [number for number in np.setdiff1d(self.labels, labels).tolist() if number != NOISE]
        return changed._without(empty, to) if empty else changed

    def alike(self, Z: npt.NDArray[np.float32]) -> Labels:
        """Return the positions of series that have one of these latent vectors (n, latent_size)."""
        return self.known[are_same(self.vectors, self.space(Z.astype(np.float64)))]

    def groups_of_same(self, Z: npt.NDArray[np.float32]) -> tuple[Labels, Labels]:
        """Return groups of series that move together, by their latent vectors Z (n, latent_size).

        Groups (n,) are 1, 2, ..., and 0 for a series that moves alone. The sizes of groups 0, 1,
        ... are those among the training series, or among these if there are more.
        """
        known = np.flatnonzero(np.isfinite(Z).all(axis=1))
        groups = groups_of_same(np.vstack([self.space(Z[known].astype(np.float64)), self.vectors]))
        own, training = np.split(groups, [len(known)])
        here, there = (np.bincount(part, minlength=groups.max(initial=0) + 1) for part in (own, training))
        sizes = np.where(here > 0, np.maximum(here, there), 0)
        sizes[0] = 0
        numbers = np.where(sizes > 1, np.cumsum(sizes > 1), 0)
        found = np.zeros(len(Z), np.int64)
        found[known] = numbers[own]
        return found, np.append(0, sizes[sizes > 1])

    def renamed(self, names: Mapping[int, str | None]) -> Grouping:
        """Return the grouping in which clusters have these names. None is the automatic name."""
        if not isinstance(names, Mapping):
            raise InvalidParameterError(f"names must be a dict such as {{0: 'Christmas'}}; found {shortened(names)}.")
        given = {self._number("rename", key): name for key, name in names.items()}
        return replace(self, own_names=checked_names(given, self.own_names))

    def following(self, other: Grouping, earlier: Labels) -> Grouping:
        """Return this grouping, found after another one, with the names that the user gave there.

        A name stays with the cluster that shares most series with its own: more than half of the
        series that are in either, by ``earlier`` labels (n_series,) of the other grouping. Other
        names are forgotten, and so are edits, with a warning.
        """
        if other.is_edited:
            warn(
                "The clusters were found again: what was merged, split or moved before is forgotten. Do it again, or "
                "fit without changing the clusters.",
                DataWarning,
            )
        kept: dict[int, str] = {}
        lost: list[str] = []
        for number, name in other.own_names.items():
            rows = earlier == number
            inside = np.bincount(self.labels[rows & (self.labels >= 0)], minlength=self.n_clusters)
            either = rows.sum() + np.bincount(self.labels[self.labels >= 0], minlength=self.n_clusters) - inside
            same = np.flatnonzero(2 * inside > either).tolist()  # at most one
            kept |= dict.fromkeys(same, name)
            lost += [name] * (not same)
        if lost:
            warn(f"No cluster shares most series with {name_some(lost)}: these names are forgotten.", DataWarning)
        return replace(self, own_names=kept)

    # ---------------------------------------------------------------- saving

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return what `from_state` takes: JSON values and arrays."""
        parts = {"space": self.space.arrays(), "partition": self.partition.arrays()}
        parts |= {f"edits.{number}": edit.arrays() for number, edit in enumerate(self.edits)}
        names = {str(number): name for number, name in self.own_names.items()}
        config = {"selection": self.selection, "n_edits": len(self.edits), "names": names}
        return config, {"labels": self.labels, **nested(parts)}

    @classmethod
    def from_state(
        cls, config: dict[str, Any], arrays: Arrays, embedding: npt.NDArray[np.float32], clusterer: Any
    ) -> Grouping:
        """Rebuild a grouping that was found with a clusterer. A ValueError is raised by misfits."""
        space = LatentSpace.from_arrays(subset(arrays, "space"), embedding.shape[1])
        labels = shaped("labels", arrays, (len(embedding),))
        partition, curve = partition_from_arrays(subset(arrays, "partition")), check_curve(config["selection"])
        found = cls(embedding, space, partition, labels, curve, clusterer)
        saved: list[Arrays] = []
        while edit := subset(arrays, f"edits.{len(saved)}"):
            saved.append(edit)
        if len(saved) != config["n_edits"]:
            raise ValueError("there are more or fewer edits than the config says")
        grouping = replace(found, edits=edits_from_arrays(saved, partition.n_clusters, found.vectors))
        if found.partition.predict_proba(found.vectors[:1]).shape != (1, partition.n_clusters):
            raise ValueError("the arrays of the partition have different sizes")
        if labels.dtype.kind != "i" or not ((labels >= NOISE) & (labels < grouping.n_clusters)).all():
            raise ValueError("the labels are not those of the clusters")
        return grouping.renamed({int(number): name for number, name in config["names"].items()})

    # ---------------------------------------------------------------- parts

    def _parts(self, cluster: int, into: int) -> Mixture | None:
        """Divide a cluster, the largest part first. None if it has too few distinct series."""
        X = self.vectors[self.labels[self.known] == cluster]
        if len(X) < into:
            return None
        parts = fit_partition(X, into, "kmeans", _SPLIT_SEED)
        return parts if isinstance(parts, Mixture) and parts.n_clusters == into else None

    def _number(self, what: str, cluster: Any) -> int:
        is_whole = isinstance(cluster, (int, np.integer)) and not isinstance(cluster, bool)
        if not is_whole or not 0 <= cluster < self.n_clusters:
            last = self.n_clusters - 1
            known = f"The clusters are 0 to {last}." if last > 0 else "The only cluster is 0." if last == 0 else ""
            raise InvalidParameterError(f"{what}: there is no cluster {shortened(cluster)}. {known}".rstrip())
        return int(cluster)

    def _without(self, empty: list[int], to: int) -> Grouping:
        """Return the grouping without clusters whose last series were moved to cluster ``to``."""
        several = len(empty) > 1
        warn(
            f"Cluster{'s' * several} {', '.join(map(str, empty))} {'have' if several else 'has'} no series left and "
            f"{'disappear' if several else 'disappears'}. Higher numbers move up.",
            DataWarning,
        )
        names = {number: name for number, name in self.own_names.items() if number not in empty}
        return replace(self, own_names=names)._merged_into(empty, to)

    def _merged_into(self, clusters: Sequence[int], to: int) -> Grouping:
        """Return the grouping in which clusters are part of cluster ``to``."""
        place = np.arange(self.n_clusters) - np.searchsorted(clusters, np.arange(self.n_clusters))
        place[list(clusters)] = place[to]
        merge, names = Merge(place), dict[int, list[str]]()
        for number, name in self.own_names.items():
            names.setdefault(int(place[number]), []).append(name)
        kept = {number: found[0] for number, found in names.items() if len(found) == 1}
        return replace(self, edits=(*self.edits, merge), labels=merge.relabel(self.labels), own_names=kept)


def cluster_tree(X: Floats, labels: Labels) -> Floats:
    """Return how clusters merge, (n_clusters - 1, 4), in the format of SciPy's ``linkage``.

    Clusters are compared by the means of their vectors (n, dimensions), and groups of clusters by
    average linkage.
    """
    from scipy.cluster.hierarchy import linkage

    found = np.unique(labels[labels >= 0])
    if len(found) < 2:
        return np.zeros((0, 4))
    means = np.stack([X[labels == cluster].mean(axis=0) for cluster in found])
    tree: Floats = linkage(means, "average")
    return tree
