"""How a user changes clusters that were found: merge, split, move, rename."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from vrae.data.ids import as_ids
from vrae.describe.portraits import Portraits
from vrae.estimators.arguments import as_numbers
from vrae.estimators.grouping import Grouping
from vrae.exceptions import (
    DataWarning,
    InvalidDataError,
    InvalidParameterError,
    did_you_mean,
    name_some,
    shortened,
    warn,
)
from vrae.runtime import SafeInForks

__all__ = ["Adjustable"]


class Adjustable(SafeInForks):
    """Methods of a clusterer that change its clusters, and neither its model nor its options.

    They take milliseconds. `predict` and `save` respect them, `regroup` and `fit` undo them. A
    cluster is given by its number, or by its name in ``names_``.
    """

    if TYPE_CHECKING:  # what the clusterer has
        ids_: npt.NDArray[Any]
        embedding_: npt.NDArray[np.float32]
        grouping_: Grouping
        portraits_: Portraits | None
        _check_fitted: Any

    @property
    def names_(self) -> dict[int, str]:
        """Names of clusters 0, 1, .... They are made when they are asked for."""
        return self.grouping_.names(self.portraits_)

    @property
    def tree_(self) -> npt.NDArray[np.float64]:
        """How the clusters merge; see `cluster_tree`."""
        return self.grouping_.tree

    def merge(self, clusters: Sequence[int | str]) -> Self:
        """Make one cluster of several.

        It gets the smallest of their numbers, and higher numbers close the gaps. A probability is
        the sum of those of the merged clusters. If just one of them has a name of yours, the merged
        cluster keeps it.

        Parameters
        ----------
        clusters : sequence of int or str
            Two or more clusters, by number or name.

        Returns
        -------
        self
            With new ``labels_``, ``n_clusters_``, ``tree_`` and ``names_``.

        Raises
        ------
        NotFittedError
            If the clusterer has not been fitted.
        InvalidParameterError
            If a cluster does not exist, or there are fewer than two.

        Examples
        --------
        >>> from vrae import VRAE, VRAEClusterer, load_example
        >>> X, labels = load_example("ItalyPowerDemand", split="train")
        >>> clusterer = VRAEClusterer(4, model=VRAE(max_epochs=2), random_state=0).fit(X)
        >>> clusterer.merge([1, 3]).n_clusters_
        3
        >>> clusterer.rename({0: "Winter", 1: "Summer"}).merge(["Winter", "Summer"]).n_clusters_
        2
        """
        self._check_fitted()
        given = clusters if isinstance(clusters, Iterable) and not isinstance(clusters, str) else [clusters]
        return self._take(self.grouping_.merged([self._number_of(cluster) for cluster in given]))

    def split(self, cluster: int | str, into: int = 2) -> Self:
        """Divide a cluster by k-means of its latent vectors.

        The largest part keeps the number and your name. The others get the next free numbers, by
        decreasing size. The parts share the probability of their cluster.

        Parameters
        ----------
        cluster : int or str
            Number or name.
        into : int, default=2
            Number of parts.

        Returns
        -------
        self
            With new ``labels_``, ``n_clusters_``, ``tree_`` and ``names_``.

        Raises
        ------
        NotFittedError
            If the clusterer has not been fitted.
        InvalidParameterError
            If the cluster does not exist, or ``into`` is less than 2.
        InvalidDataError
            If the cluster has fewer distinct series than parts.

        Examples
        --------
        >>> from vrae import VRAE, VRAEClusterer, load_example
        >>> X, labels = load_example("ItalyPowerDemand", split="train")
        >>> clusterer = VRAEClusterer(2, model=VRAE(max_epochs=2), random_state=0).fit(X)
        >>> clusterer.split(0, into=3).n_clusters_
        4
        """
        self._check_fitted()
        return self._take(self.grouping_.split(self._number_of(cluster), into))

    def move(self, ids: Any, to: int | str) -> Self:
        """Move training series to another cluster.

        New series follow: if the nearest training series of a new one was moved, it goes to the
        same cluster. A series takes the probability of its old cluster along. A cluster that
        loses all of its series disappears, with a warning, and higher numbers close the gap.

        Parameters
        ----------
        ids : sequence
            Ids of training series, as in ``ids_``. For arrays: their positions, from 0. A single id
            works too, and so do numbers as text. Series with equal latent vectors move together,
            with a warning.
        to : int or str
            An existing cluster, by number or name.

        Returns
        -------
        self
            With new ``labels_``, ``n_clusters_``, ``tree_`` and ``names_``.

        Raises
        ------
        NotFittedError
            If the clusterer has not been fitted.
        InvalidDataError
            If no training series has an id, or one has no observed value.
        InvalidParameterError
            If the cluster does not exist.

        Examples
        --------
        >>> from vrae import VRAE, VRAEClusterer, load_example
        >>> X, labels = load_example("ItalyPowerDemand", split="train")
        >>> clusterer = VRAEClusterer(2, model=VRAE(max_epochs=2), random_state=0).fit(X)
        >>> clusterer.move([5, 8], to=1).labels_[[5, 8]]
        array([1, 1])
        """
        self._check_fitted()
        rows, number = self._rows_of(ids), self._number_of(to)
        Z, before = self.embedding_[rows], self.grouping_
        grouping = before.moved(Z, number)
        others = np.setdiff1d(before.alike(Z), rows)
        others = others[before.labels[others] != number]
        if len(others):
            warn(
                f"Series with the same latent vectors move too: ids {name_some(self.ids_[others])}. They are "
                f"identical, or the model sees no difference.",
                DataWarning,
            )
        return self._take(grouping)

    def move_vectors(self, Z: npt.NDArray[np.float32], to: int | str) -> Self:
        """Move series by their latent vectors, also series that the model was not fitted to.

        Parameters
        ----------
        Z : ndarray of shape (n, latent_size)
            As ``model_.transform`` returns them.
        to : int or str
            An existing cluster, by number or name.

        Returns
        -------
        self
            See `move`.

        Raises
        ------
        NotFittedError
            If the clusterer has not been fitted.
        InvalidDataError
            If Z has another shape, or is not finite.
        InvalidParameterError
            If the cluster does not exist.
        """
        self._check_fitted()
        Z, latent_size = as_numbers("Z", Z, np.float32), self.embedding_.shape[1]
        if Z.ndim != 2 or Z.shape[1] != latent_size or not len(Z) or not np.isfinite(Z).all():
            raise InvalidDataError(
                f"Z must have shape (n, {latent_size}) and finite values; found shape {Z.shape}. A series without any "
                f"observed value has no cluster and cannot be moved."
            )
        return self._take(self.grouping_.moved(Z, self._number_of(to)))

    def rename(self, names: Mapping[int, str | None] | Mapping[str, str | None]) -> Self:
        """Give names to clusters.

        Names are kept in ``names_``, tables, charts and saved models. They stay with their clusters
        when others are merged or split.

        Parameters
        ----------
        names : dict of int or str to str
            New names by number or present name: one line of at most 80 characters for each of some
            clusters. None brings the automatic name back.

        Returns
        -------
        self
            With new ``names_``.

        Raises
        ------
        NotFittedError
            If the clusterer has not been fitted.
        InvalidParameterError
            If a cluster does not exist, two get the same name, or a name is empty or too long.

        Examples
        --------
        >>> from vrae import VRAE, VRAEClusterer, load_example
        >>> X, labels = load_example("ItalyPowerDemand", split="train")
        >>> clusterer = VRAEClusterer(2, model=VRAE(max_epochs=2), random_state=0).fit(X)
        >>> clusterer.rename({0: "Winter"}).names_[0]
        'Winter'
        """
        self._check_fitted()
        if isinstance(names, Mapping):
            names = self._by_number(names)
        return self._take(self.grouping_.renamed(names))

    # ---------------------------------------------------------------- parts

    def _take(self, grouping: Grouping) -> Self:
        """Take over a grouping, and set the public attributes from it."""
        self.grouping_ = grouping
        self.labels_, self.n_clusters_, self.selection_ = grouping.labels, grouping.n_clusters, grouping.selection
        return self

    def _number_of(self, cluster: Any) -> Any:
        """Return the number of a cluster that is given by its name; anything else as it is."""
        if not isinstance(cluster, str):
            return cluster
        numbers = {name: number for number, name in self.names_.items()}
        if cluster not in numbers:
            raise InvalidParameterError(
                f"No cluster is named {shortened(cluster)}.{did_you_mean(cluster[:80], list(numbers))}"
            )
        return numbers[cluster]

    def _by_number(self, names: Mapping[Any, str | None]) -> dict[Any, str | None]:
        """Return names by the numbers of their clusters, each of which is named once."""
        found: dict[Any, str | None] = {}
        for cluster, name in names.items():
            number = self._number_of(cluster)
            if number in found:
                raise InvalidParameterError(
                    f"Cluster {number} is named twice: {shortened(found[number])} and {shortened(name)}."
                )
            found[number] = name
        return found

    def _rows_of(self, ids: Any) -> npt.NDArray[np.int64]:
        """Return the positions of ids of training series, each once."""
        wanted, own = as_ids([ids] if isinstance(ids, (str, bytes)) or np.ndim(ids) == 0 else ids), self.ids_
        if wanted.dtype == bool and own.dtype != bool:
            raise InvalidDataError("ids must be the ids of series; found True and False. Pass ids_[mask] instead.")
        if own.dtype.kind == "M" and wanted.dtype.kind in "MU":
            with suppress(ValueError):  # text that is no date is among no ids
                wanted = wanted.astype(own.dtype)
        position, names = {name: row for row, name in enumerate(own.tolist())}, wanted.tolist()
        position = {str(name): row for name, row in position.items()} | position  # as text: as in a file
        unknown = [name for name in names if name not in position]
        if unknown:
            raise InvalidDataError(
                f"{len(unknown)} of {len(names)} ids are not those of training series: {name_some(unknown)}. Known "
                f"ids: {name_some(own)}."
            )
        if not names:
            raise InvalidDataError("ids is empty: name one or more series to move.")
        rows = np.unique([position[name] for name in names])
        blank = rows[~np.isfinite(self.embedding_[rows]).all(axis=1)]
        if len(blank):
            raise InvalidDataError(
                f"Series without any observed value have no cluster and cannot be moved: ids "
                f"{name_some(self.ids_[blank])}."
            )
        return rows
