"""VRAENeighbors: the most similar series."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import torch

from vrae.config import check_choice, check_flag, check_int
from vrae.data.batching import Indices, collate, inference_batches
from vrae.data.panel import Panel
from vrae.estimators.head import Embedded, SeriesHead, explain_model_options
from vrae.estimators.head_plots import NeighborPlots
from vrae.estimators.partition import LatentSpace
from vrae.estimators.plotting import PlotAccessor
from vrae.estimators.vector_search import ApproximateSearch, ExactSearch, choose_search, pynndescent
from vrae.exceptions import InvalidParameterError
from vrae.io.folder import Arrays, nested, shaped, subset
from vrae.nn.lag import pair_lags
from vrae.phases import advance
from vrae.runtime import ordered_map, seed_of

__all__ = ["Similar", "VRAENeighbors"]

# Largest number of pairs whose lags are computed at once, in one thread. More leave the cache.
_LAG_PAIRS = 512

Floats = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Similar:
    """The nearest series of every query, one row per pair: query after query, nearest first.

    Attributes
    ----------
    query, neighbor : ndarray, shape (n_pairs,)
        Ids.
    rank : ndarray of int64
        1 is the nearest.
    distance : ndarray of float64
        Distance of latent vectors and pattern statistics. 0 is identical.
    lag : ndarray of int64
        Steps by which the query runs behind its neighbor, by cross-correlation. Negative: ahead.
    """

    query: npt.NDArray[Any]
    rank: npt.NDArray[np.int64]
    neighbor: npt.NDArray[Any]
    distance: Floats
    lag: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.query)

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return the columns by name, for example for ``pandas.DataFrame(similar.columns())``."""
        own = {"id": self.query, "rank": self.rank, "neighbor": self.neighbor}
        return {**own, "distance": self.distance.round(6), "lag": self.lag}


class VRAENeighbors(SeriesHead):
    """Find the most similar series by their latent vectors and pattern statistics.

    Two series are close if they contain the same patterns and their latent vectors are close. Half
    of the distance is that of the latent vectors, in the space where `VRAEClusterer` finds its
    clusters. The other half is that of the pattern statistics, which also say how new series
    differ. The estimator keeps the training series, since they are its answers.

    Parameters
    ----------
    n_neighbors : int, default=5
        Neighbors per series, unless a method gets another number.
    algorithm : {"auto", "exact", "approximate"}, default="auto"
        "exact" compares with all training series. "approximate" follows a graph of neighbors
        (PyNNDescent): much faster with very many series, but it misses a few; it needs
        ``pip install 'vrae[neighbors]'``. "auto" is exact up to 50,000 training series.
    model : VRAE, FrozenEstimator or None, default=None
        The model. None is ``VRAE()``. ``FrozenEstimator(fitted)`` uses a fitted model as it is.
    random_state : int, RandomState or None, default=None
        An int makes results reproducible. The model uses it too, unless it has its own.

    Attributes
    ----------
    algorithm_ : {"exact", "approximate"}
        The algorithm in use.
    series_ : Panel
        The training series.
    embedding_ : ndarray of float32, shape (n_series, latent_size)
        Latent vectors of the training series.
    patterns_ : ndarray of float32, shape (n_series, n_patterns), or None
        Their pattern statistics, if the model has any.
    ids_ : ndarray, shape (n_series,)
        Ids of the training series.
    model_ : VRAE
        The fitted model.

    References
    ----------
    Dong, Charikar & Li, "Efficient k-nearest neighbor graph construction for generic similarity
    measures", WWW 2011.

    Examples
    --------
    >>> from vrae import VRAE, VRAENeighbors, load_example
    >>> X, labels = load_example("ItalyPowerDemand", split="train")
    >>> neighbors = VRAENeighbors(3, model=VRAE(max_epochs=2), random_state=0).fit(X)
    >>> distances, indices = neighbors.kneighbors(X)
    >>> indices.shape, bool((indices[:, 0] == range(67)).all())
    ((67, 3), True)
    >>> len(neighbors.similar())
    201
    """

    plot = PlotAccessor(NeighborPlots)

    @explain_model_options
    def __init__(
        self,
        n_neighbors: int = 5,
        algorithm: Literal["auto", "exact", "approximate"] = "auto",
        *,
        model: Any = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.algorithm = algorithm
        self.model = model
        self.random_state = random_state

    def kneighbors(
        self, X: Any = None, n_neighbors: int | None = None, return_distance: bool = True, *, align: bool = False
    ) -> Any:
        """Return the nearest training series of every series.

        Parameters
        ----------
        X : array (n, steps) or (n, channels, steps), list of arrays, table or Panel, optional
            Default: the training series, each without itself.
        n_neighbors : int, optional
            Default: the number of the estimator.
        return_distance : bool, default=True
        align : bool, default=False
            Also return by how many steps each series runs behind each of its neighbors.

        Returns
        -------
        distances : ndarray of float64, shape (n_series, n_neighbors)
            Only if ``return_distance``; nearest first. NaN for a series without any observed value.
        indices : ndarray of int64, shape (n_series, n_neighbors)
            Positions among the training series: ``ids_[indices]`` are their ids. -1 for a series
            without any observed value.
        lags : ndarray of int64, shape (n_series, n_neighbors)
            Only if ``align``; see `Similar`. 0 where there is no neighbor.

        Raises
        ------
        InvalidParameterError
            There are fewer neighbors.
        """
        self._check_fitted()
        check_flag("return_distance", return_distance)
        check_flag("align", align)
        panel, distances, indices = self._search(X, n_neighbors)
        found = [distances, indices] if return_distance else [indices]
        if align:
            lags = np.zeros(indices.shape, np.int64)
            queries, places = np.nonzero(indices >= 0)
            lags[queries, places] = self._lags_between(panel, queries, indices[queries, places])
            found.append(lags)
        return tuple(found) if len(found) > 1 else indices

    def similar(self, X: Any = None, n_neighbors: int | None = None) -> Similar:
        """Return the nearest training series as a table: ids, rank, distance and lag.

        Parameters
        ----------
        X, n_neighbors
            See `kneighbors`.

        Returns
        -------
        Similar
            ``n_neighbors`` rows per series, in the order of the series. A series without any
            observed value has none.
        """
        panel, distances, indices = self._search(X, n_neighbors)
        k, found = indices.shape[1], indices.ravel() >= 0
        queries, theirs = np.repeat(np.arange(len(panel)), k)[found], indices.ravel()[found]
        return Similar(
            query=panel.ids[queries],
            rank=np.tile(np.arange(1, k + 1), len(panel))[found],
            neighbor=self.ids_[theirs],
            distance=distances.ravel()[found],
            lag=self._lags_between(panel, queries, theirs),
        )

    # ---------------------------------------------------------------- parts

    def _result(self) -> str:
        return f"{self.algorithm_} search among them"

    def _learn(self, found: Embedded) -> Self:
        panel = found.panel
        space = LatentSpace.fit(found.latent[found.indices].astype(np.float64), found.model.network_)
        self.algorithm_ = choose_search(self.algorithm, len(found.indices))
        self.model_, self.embedding_, self.ids_, self.space_ = found.model, found.latent, panel.ids, space
        compares = found.model.network_.config.neighbour_size > 0
        self.patterns_ = found.model.inference_.patterns(panel, found.indices).numpy() if compares else None
        self.series_ = Panel(panel.values, panel.offsets, panel.ids, channels=panel.channels)
        is_regular = panel.times is not None and panel.calendar is not None and panel.calendar.freq is not None
        self._starts = np.asarray(panel.times)[panel.offsets[:-1]] if is_regular else None
        self.__dict__.pop("_index", None)
        return self

    def dated_series(self, indices: Indices) -> Panel:
        """Return the training series at these positions, with their times if these are regular."""
        panel, starts, calendar = self.series_.select(indices), self._starts, self.model_.calendar_
        if starts is None or calendar is None:
            return panel
        cells = [cell + np.arange(n) for cell, n in zip(calendar.cells(starts[indices]), panel.lengths, strict=True)]
        times = calendar.times(np.concatenate(cells), starts)
        return replace(panel, times=times, calendar=calendar, reading=self.model_.reading_)

    def _search(self, X: Any, n_neighbors: int | None) -> tuple[Panel, Floats, Indices]:
        """Return the queries, and distances and positions (n, k) of their neighbors."""
        self._check_fitted()
        k = check_int("n_neighbors", self.n_neighbors if n_neighbors is None else n_neighbors, low=1)
        if k > (there := len(self._index.indices) - (X is None)):
            others = "other training series" if X is None else "training series"
            raise InvalidParameterError(f"n_neighbors={k} is more than the {there} {others}. Ask for fewer.")
        panel, Z, patterns = self.series_, self.embedding_, self.patterns_
        if X is not None:
            panel, indices = self.model_.open(X)
            computed = None if patterns is None else self.model_.inference_.patterns(panel, indices)
            Z = self.model_.inference_.embed(panel, indices, computed)
            patterns = None if computed is None else computed.numpy()
        distances, neighbors = np.full((len(Z), k), np.nan), np.full((len(Z), k), -1)
        known = np.flatnonzero(np.isfinite(Z).all(axis=1))
        if len(known):
            vectors = self._vectors(Z, patterns, known)
            distances[known], neighbors[known] = self._index.query(vectors, k, known if X is None else None)
        return panel, distances, neighbors

    def _vectors(self, Z: Vectors, patterns: Vectors | None, rows: Indices) -> Floats:
        """Return what is compared, (row, dimensions), of latent vectors and pattern statistics.

        Both parts have a mean variance of 1 per dimension. They count the same as a whole.
        """
        latent = self.space_(Z[rows].astype(np.float64))
        if patterns is None:
            return latent
        metric = self.model_.network_.neighbours.metric.double().cpu().numpy()  # (n_patterns, n_patterns)
        compared = patterns[rows].astype(np.float64) @ metric
        return np.concatenate([latent, compared * np.sqrt(latent.shape[1] / compared.shape[1])], axis=1)

    def _lags_between(self, panel: Panel, queries: Indices, theirs: Indices) -> Indices:
        """Return the lag of series of a panel behind training series, pair by pair."""
        lags, done = np.zeros(len(queries), np.int64), 0
        cpu, config = torch.device("cpu"), self.model_.network_.config
        lengths = np.maximum(panel.lengths[queries], self.series_.lengths[theirs])
        largest = np.minimum(panel.lengths[queries], self.series_.lengths[theirs]) // 2
        if config.max_lag:
            largest = np.minimum(largest, config.max_lag)

        def lags_of(part: Indices) -> Indices:
            both = [
                collate(owner, indices[part], self.model_.scaler_, cpu)
                for owner, indices in ((panel, queries), (self.series_, theirs))
            ]
            x, reference = ((b.values - _mean(b.values, b.mask)) * b.mask for b in both)
            return pair_lags(x, reference, torch.from_numpy(largest[part]), *(b.mask for b in both)).numpy()

        parts = inference_batches(lengths, np.arange(len(queries)), _LAG_PAIRS)
        for part, found in zip(parts, ordered_map(lags_of, parts, cpu, hidden_size=1), strict=True):
            lags[part] = found
            done += len(part)
            advance(done, len(queries), "pairs")
        return lags

    @cached_property
    def _index(self) -> ExactSearch | ApproximateSearch:
        """Search structure over the training series; built on first use and never saved."""
        indices = np.flatnonzero(np.isfinite(self.embedding_).all(axis=1))
        vectors = self._vectors(self.embedding_, self.patterns_, indices)
        if self.algorithm_ == "exact":
            return ExactSearch(vectors, indices)
        return ApproximateSearch(vectors, indices, seed_of(self.random_state))

    def _check_options(self, panel: Panel, indices: Indices) -> None:
        check_choice("algorithm", self.algorithm, ("auto", "exact", "approximate"))
        check_int("n_neighbors", self.n_neighbors, low=1)
        if self.algorithm == "approximate":
            pynndescent()

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_index"}

    def _state(self) -> tuple[dict[str, Any], Arrays]:
        observed = ~np.isnan(self.series_.values)
        series = {
            "values": np.where(observed, self.series_.values, 0),  # a model directory holds no NaN
            "observed": np.packbits(observed),
            "offsets": self.series_.offsets,
        }
        config: dict[str, Any] = {"channels": list(self.series_.channels), "algorithm": self.algorithm_}
        if self._starts is not None:
            config["starts_type"] = self._starts.dtype.str
            series["starts"] = self._starts.view(np.int64) if self._starts.dtype.kind == "M" else self._starts
        own = {} if self.patterns_ is None else {"patterns": self.patterns_}
        return config, {**nested({"space": self.space_.arrays(), "series": series}), **own}

    def _restore(self, config: dict[str, Any], arrays: Arrays) -> None:
        self.space_ = LatentSpace.from_arrays(subset(arrays, "space"), self.embedding_.shape[1])
        series = subset(arrays, "series")
        values = series["values"].copy()
        packed = shaped("observed", series, (-(-values.size // 8),))
        observed = np.unpackbits(packed, count=values.size).reshape(values.shape)
        values[observed == 0] = np.nan
        self.series_ = Panel(values, series["offsets"], self.ids_, channels=tuple(config["channels"]))
        self.algorithm_ = config["algorithm"]
        self.patterns_ = None  # estimators of format 6 and older compare latent vectors alone
        if "patterns" in arrays:
            n_patterns = self.model_.network_.config.n_patterns
            self.patterns_ = shaped("patterns", arrays, (len(self.ids_), n_patterns))
        self._starts = None
        if "starts" in series:
            self._starts = shaped("starts", series, self.ids_.shape).astype(config["starts_type"])


def _mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the mean of observed values (batch, 1, channel)."""
    return (values * mask).sum(dim=1, keepdim=True) / mask.sum(dim=1, keepdim=True).clamp(min=1)
