"""VRAENeighbors: the series that are most like this one."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import torch

from vrae.config import check_choice, check_flag, check_int
from vrae.data.batching import Rows, collate
from vrae.data.panel import Panel
from vrae.estimators.opposites import Opposites, find_opposites
from vrae.estimators.partition import LatentSpace, choose_partition, labels_of
from vrae.estimators.search import Approximate, Exact, choose_search, pynndescent
from vrae.estimators.vrae import VRAE
from vrae.exceptions import InvalidParameterError
from vrae.nn.lag import pair_lags
from vrae.runtime import seed_of

__all__ = ["Similar", "VRAENeighbors"]

# Pairs, and their padded steps, whose lags are found at once.
_LAG_PAIRS = 4096
_LAG_STEPS = 1 << 21

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Similar:
    """The nearest series of every query, a row a pair: query after query, nearest first.

    Attributes
    ----------
    query, neighbor : ndarray, shape (n_pairs,)
        Ids.
    rank : ndarray of int64
        1 is the nearest.
    distance : ndarray of float64
        Between what their latent vectors say; 0 is the same.
    lag : ndarray of int64
        Steps that the query runs behind its neighbour, by the cross-correlation of the two series; negative: ahead.
    """

    query: npt.NDArray[Any]
    rank: npt.NDArray[np.int64]
    neighbor: npt.NDArray[Any]
    distance: Floats
    lag: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.query)

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return the columns by name, as tables take them: ``pandas.DataFrame(similar.columns())``."""
        return {
            "id": self.query,
            "rank": self.rank,
            "neighbor": self.neighbor,
            "distance": self.distance.round(6),
            "lag": self.lag,
        }


@dataclass(eq=False, repr=False)
class VRAENeighbors(VRAE):
    """Find the series that are most like others, by the latent vectors of a variational recurrent auto-encoder.

    Two series are near each other if what their latent vectors generate is nearly the same (see `LatentSpace`): the
    space in which `VRAEClusterer` finds its groups. All options of `BaseVRAE` can be set too, by name. The model keeps
    the training series, since they are what it answers with.

    Parameters
    ----------
    n_neighbors : int, default=5
        Neighbours of each series, unless a method is told another number.
    algorithm : {"auto", "exact", "approximate"}, default="auto"
        "exact" looks at all training series. "approximate" follows a graph of neighbours (PyNNDescent), which misses a
        few and is far faster among very many; it needs ``pip install 'vrae[neighbors]'``. "auto" is exact up to 50,000
        training series, and approximate beyond, if that package is there; if not it stays exact, and warns.

    Attributes
    ----------
    algorithm_ : {"exact", "approximate"}
        What "auto" came to.
    space_ : LatentSpace
        The space in which distances are measured.
    series_ : Panel
        The training series.

    References
    ----------
    Dong, Charikar & Li, "Efficient k-nearest neighbor graph construction for generic similarity measures", WWW 2011.

    Examples
    --------
    >>> from vrae import VRAENeighbors, load_example
    >>> X, labels = load_example("ItalyPowerDemand", split="train")
    >>> neighbors = VRAENeighbors(3, max_epochs=2, random_state=0).fit(X)
    >>> distances, rows = neighbors.kneighbors(X)
    >>> rows.shape, bool((rows[:, 0] == range(67)).all())
    ((67, 3), True)
    >>> len(neighbors.similar())
    201
    """

    n_neighbors: int = 5
    algorithm: Literal["auto", "exact", "approximate"] = "auto"
    _: KW_ONLY

    # ---------------------------------------------------------------- neighbours

    def kneighbors(self, X: Any = None, n_neighbors: int | None = None, return_distance: bool = True) -> Any:
        """Return the nearest training series of every series.

        Parameters
        ----------
        X : array (n, steps) or (n, channels, steps), list of arrays, table or Panel, optional
            Default: the training series, each without itself.
        n_neighbors : int, optional
            Default: the estimator's own.
        return_distance : bool, default=True

        Returns
        -------
        distances : ndarray of float64, shape (n_series, n_neighbors)
            Only if ``return_distance``; nearest first. NaN for a series without any value.
        rows : ndarray of int64, shape (n_series, n_neighbors)
            Positions among the training series: ``ids_[rows]`` are their ids. -1 for a series without any value.

        Raises
        ------
        InvalidParameterError
            There are not so many neighbours.
        """
        self._check_fitted()
        check_flag("return_distance", return_distance)
        k = self._checked_number(self.n_neighbors if n_neighbors is None else n_neighbors, X is None)
        distances, rows = self._nearest(self.embedding_ if X is None else self._vectors_of(X)[1], k, X is None)
        return (distances, rows) if return_distance else rows

    def similar(self, X: Any = None, n_neighbors: int | None = None) -> Similar:
        """Return the nearest training series of every series as one table: ids, rank, distance and lag.

        Parameters
        ----------
        X, n_neighbors
            See `kneighbors`.

        Returns
        -------
        Similar
            ``n_neighbors`` rows a series, in the order of the series. A series without any value has none.
        """
        self._check_fitted()
        panel, Z = (self.series_, self.embedding_) if X is None else self._vectors_of(X)
        k = self._checked_number(self.n_neighbors if n_neighbors is None else n_neighbors, X is None)
        distances, rows = self._nearest(Z, k, X is None)
        found = rows.ravel() >= 0
        queries, theirs = np.repeat(np.arange(len(panel)), k)[found], rows.ravel()[found]
        return Similar(
            query=panel.ids[queries],
            rank=np.tile(np.arange(1, k + 1), len(panel))[found],
            neighbor=self.ids_[theirs],
            distance=distances.ravel()[found],
            lag=self._lags_between(panel, queries, theirs),
        )

    def _vectors_of(self, X: Any) -> tuple[Panel, npt.NDArray[np.float32]]:
        panel, rows = self._open(X)
        return panel, self._embed(panel, rows)

    def _checked_number(self, n_neighbors: int, without_itself: bool) -> int:
        k = check_int("n_neighbors", n_neighbors, low=1)
        there = len(self._index.rows) - without_itself
        if k > there:
            others = "other training series" if without_itself else "training series"
            raise InvalidParameterError(f"n_neighbors={k} is more than the {there} {others} there are. Ask for fewer.")
        return k

    def _nearest(self, Z: npt.NDArray[np.float32], k: int, without_itself: bool) -> tuple[Floats, Rows]:
        """Return distances and training rows (n, k) of the neighbours of latent vectors (n, latent)."""
        distances, rows = np.full((len(Z), k), np.nan), np.full((len(Z), k), -1)
        known = np.flatnonzero(np.isfinite(Z).all(axis=1))
        if len(known):
            vectors = self.space_(Z[known].astype(np.float64))
            distances[known], rows[known] = self._index.query(vectors, k, known if without_itself else None)
        return distances, rows

    def _lags_between(self, panel: Panel, queries: Rows, theirs: Rows) -> Rows:
        """Return the lag of series of a panel behind training series, pair by pair."""
        lags = np.zeros(len(queries), np.int64)
        cpu = torch.device("cpu")
        lengths = np.maximum(panel.lengths[queries], self.series_.lengths[theirs])
        largest = np.minimum(panel.lengths[queries], self.series_.lengths[theirs]) // 2
        if self.network_.config.max_lag:
            largest = np.minimum(largest, self.network_.config.max_lag)
        order = np.argsort(lengths, kind="stable")
        start = 0
        while start < len(order):
            # The longest pair of the part decides how much room each of them takes.
            ahead = order[start : start + _LAG_PAIRS]
            room = int(np.searchsorted(lengths[ahead] * np.arange(1, len(ahead) + 1), _LAG_STEPS, side="right"))
            part = ahead[: max(1, room)]
            both = [
                collate(owner, rows[part], self.scaler_, cpu)
                for owner, rows in ((panel, queries), (self.series_, theirs))
            ]
            x, reference = ((b.values - _mean(b.values, b.mask)) * b.mask for b in both)
            lags[part] = pair_lags(x, reference, torch.from_numpy(largest[part])).numpy()
            start += len(part)
        return lags

    # ---------------------------------------------------------------- opposites

    def opposites(self, X: Any, groups: Any = None, **options: Any) -> Opposites:
        """Return pairs of items of one group whose departures from the group's course are mirrored.

        One sells more when the other sells less: what happens when one takes the place of the other (cannibalisation).

        Parameters
        ----------
        X : array (n, steps) or (n, channels, steps), list of arrays, table or Panel
        groups : array of shape (n_series,) or str, optional
            Group of every series, or the name of a column of ``Panel.static``. Default: the clusters that a Gaussian
            mixture finds in the latent vectors. Items that take sales from each other need not sell alike: where there
            is a column that says what could replace what, it is the better group.
        **options
            See `vrae.estimators.opposites.find_opposites`.

        Returns
        -------
        Opposites
        """
        panel, Z = self._vectors_of(X)
        return find_opposites(panel, self._clusters(Z) if groups is None else groups, **options)

    def _clusters(self, Z: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
        known = np.isfinite(self.embedding_).all(axis=1)
        vectors = self.space_(self.embedding_[known].astype(np.float64))
        partition, _ = choose_partition(vectors, "gmm", seed_of(self.random_state))
        labels = np.full(len(Z), -1)
        rows = np.flatnonzero(np.isfinite(Z).all(axis=1))
        if len(rows):
            labels[rows] = labels_of(partition.predict_proba(self.space_(Z[rows].astype(np.float64))))
        return labels

    # ---------------------------------------------------------------- fit

    def _check_own_options(self, n_series: int) -> None:
        check_choice("algorithm", self.algorithm, ("auto", "exact", "approximate"))
        check_int("n_neighbors", self.n_neighbors, low=1)
        if self.algorithm == "approximate":
            pynndescent()

    @classmethod
    def of(cls, model: VRAE, X: Any, n_neighbors: int = 5, algorithm: Any = "auto") -> Self:
        """Return an estimator that looks among other series by a model that is fitted already.

        Parameters
        ----------
        model : VRAE
            Or a clusterer; its network is shared, not copied.
        X : array (n, steps) or (n, channels, steps), list of arrays, table or Panel
            The series to look among, instead of the model's training series.
        n_neighbors, algorithm
            See the class.

        Returns
        -------
        VRAENeighbors

        Raises
        ------
        NotFittedError, InvalidDataError, InvalidParameterError
        """
        panel, rows = model._open(X)
        self = cls._sharing(model, n_neighbors, algorithm)
        self._check_own_options(len(rows))
        self._describe_training_series(panel, rows, None)
        self._fit_latent(self.embedding_, rows, 0)
        self._keep(panel)
        return self

    def _keep(self, panel: Panel) -> None:
        self.series_ = Panel(panel.values, panel.offsets, panel.ids, channels=panel.channels)

    def _learn(self, panel: Panel, rows: Rows, anew: bool) -> Self:
        super()._learn(panel, rows, anew)
        self._keep(panel)
        return self

    def _fit_latent(self, Z: npt.NDArray[np.float32], rows: Rows, seed: int) -> None:
        self.space_ = LatentSpace.fit(Z[rows].astype(np.float64), self._generated())
        self.algorithm_ = choose_search(self.algorithm, len(rows))
        self.__dict__.pop("_index", None)

    @cached_property
    def _index(self) -> Exact | Approximate:
        """What searches the training series; built when first asked, and never saved."""
        rows = np.flatnonzero(np.isfinite(self.embedding_).all(axis=1))
        vectors = self.space_(self.embedding_[rows].astype(np.float64))
        return (
            Exact(vectors, rows)
            if self.algorithm_ == "exact"
            else Approximate(vectors, rows, seed_of(self.random_state))
        )

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_index"}

    def _state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        observed = ~np.isnan(self.series_.values)
        arrays = {f"space.{name}": a for name, a in self.space_.arrays().items()}
        arrays |= {
            "series.values": np.where(observed, self.series_.values, 0),  # a model directory holds no NaN
            "series.observed": np.packbits(observed),
            "series.offsets": self.series_.offsets,
        }
        return {"channels": list(self.series_.channels), "algorithm": self.algorithm_}, arrays

    def _restore(self, config: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> None:
        self.space_ = LatentSpace(arrays["space.center"], arrays["space.axes"])
        values = arrays["series.values"].copy()
        observed = np.unpackbits(arrays["series.observed"], count=values.size).reshape(values.shape)
        values[observed == 0] = np.nan
        self.series_ = Panel(values, arrays["series.offsets"], self.ids_, channels=tuple(config["channels"]))
        # What was approximate is so here too, or says what it lacks.
        self.algorithm_ = config["algorithm"]


def _mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the mean of observed values (batch, 1, channel)."""
    return (values * mask).sum(dim=1, keepdim=True) / mask.sum(dim=1, keepdim=True).clamp(min=1)
