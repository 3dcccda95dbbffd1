"""VRAEClusterer: groups of series that do alike."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn.base import ClusterMixin

from vrae.config import check_int
from vrae.data.batching import Rows
from vrae.estimators.explain import describe_clusters, explain_series
from vrae.estimators.explanations import ClusterDescription, SeriesExplanation
from vrae.estimators.partition import (
    LatentSpace,
    check_clusterer,
    choose_partition,
    fit_partition,
    labels_of,
    order_as,
    partition_from_arrays,
)
from vrae.estimators.vrae import VRAE
from vrae.exceptions import InvalidParameterError
from vrae.persistence import shaped

__all__ = ["VRAEClusterer"]


@dataclass(eq=False, repr=False)
class VRAEClusterer(ClusterMixin, VRAE):  # type: ignore[misc]
    """Cluster series by the latent vectors of a variational recurrent auto-encoder.

    All options of `BaseVRAE` can be set too, by name.

    Parameters
    ----------
    n_clusters : int or "auto", default="auto"
        "auto" tries 2, 3, ... and compares the variance between clusters with that within them (Caliński & Harabasz);
        of numbers within a tenth of the best it takes the smallest. The curve is in ``selection_``.
    clusterer : {"gmm", "kmeans", "ward", "hdbscan"} or scikit-learn clusterer, default="gmm"
        What groups the latent vectors. "gmm": a Gaussian mixture with one covariance for all components.
        "hdbscan" finds its own number of clusters, and noise (-1).

    Attributes
    ----------
    labels_ : ndarray of int64, shape (n_series,)
        Cluster of every training series, 0 .. n_clusters_ - 1 by falling size; -1 is none. `partial_fit` keeps the
        numbers that clusters have.
    n_clusters_ : int
    selection_ : list of dict
        For "auto": ``n_clusters`` and ``score`` of every number tried.
    space_ : LatentSpace
        The space in which the latent vectors are grouped.
    partition_ : Partition
        The rule that places a vector of that space.

    Examples
    --------
    >>> from vrae import VRAEClusterer, load_example
    >>> X, labels = load_example("ItalyPowerDemand", split="train")
    >>> clusterer = VRAEClusterer(2, max_epochs=2, random_state=0)
    >>> clusterer.fit_predict(X).shape
    (67,)
    """

    n_clusters: int | Literal["auto"] = "auto"
    clusterer: Any = "gmm"
    _: KW_ONLY

    def predict(self, X: Any) -> npt.NDArray[np.int64]:
        """Return the cluster of every series, shape (n_series,); -1 is none."""
        return labels_of(self.predict_proba(X))

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Return the probability of every cluster for every series, shape (n_series, n_clusters_).

        Rows sum to 1; a row of zeros belongs to no cluster.
        """
        panel, rows = self._open(X)
        return self.place(self._embed(panel, rows))

    def place(self, Z: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return the probability of every cluster for latent vectors that are known already.

        Parameters
        ----------
        Z : ndarray of shape (n, latent_size)
            As `transform` gives them. A row of NaN belongs to no cluster.

        Returns
        -------
        ndarray of float64, shape (n, n_clusters_)
        """
        self._check_fitted()
        probabilities = np.zeros((len(Z), self.n_clusters_))
        rows = np.flatnonzero(np.isfinite(Z).all(axis=1))
        if len(rows):
            probabilities[rows] = self.partition_.predict_proba(self.space_(Z[rows].astype(np.float64)))
        return probabilities

    def describe(self, X: Any) -> list[ClusterDescription]:
        """Say of every cluster what its series do, and what sets them apart.

        Parameters
        ----------
        X : array (n, steps) or (n, channels, steps), list of arrays, table or Panel
            The training series, or others that are to be placed.

        Returns
        -------
        list of ClusterDescription
            Clusters 0, 1, ..., and -1, the series that belong to none, at the end; print them.
        """
        panel, rows = self._open(X)
        Z = self._embed(panel, rows)
        vectors = self.space_(Z.astype(np.float64))
        shapes = self.scaler_.scaling in ("series", "robust")
        return describe_clusters(panel, labels_of(self.place(Z)), vectors, shapes=shapes)

    def explain(self, X: Any, series_id: Any) -> SeriesExplanation:
        """Say why one series is in its cluster, beside the others of X.

        Parameters
        ----------
        X : array (n, steps) or (n, channels, steps), list of arrays, table or Panel
        series_id : Any
            Of arrays: its number, from 0.

        Raises
        ------
        InvalidDataError
            No series has this id, or it holds no observed value.
        """
        panel, rows = self._open(X)
        return explain_series(self, panel, rows, series_id)

    def _check_own_options(self, n_series: int) -> None:
        if self.n_clusters != "auto":
            check_int("n_clusters", self.n_clusters, low=1, auto=True)
            if self.n_clusters > n_series:
                raise InvalidParameterError(
                    f"n_clusters={self.n_clusters} is more than the {n_series} series that can be clustered. "
                    f"Ask for fewer."
                )
        check_clusterer(self.clusterer)

    def _fit_latent(self, Z: npt.NDArray[np.float32], rows: Rows, seed: int) -> None:
        vectors = Z[rows].astype(np.float64)
        earlier = labels_of(self.place(Z))[rows] if hasattr(self, "partition_") else None
        self.space_ = LatentSpace.fit(vectors, self._generated())
        self.selection_: list[dict[str, float]] = []
        if self.n_clusters == "auto":
            self.partition_, self.selection_ = choose_partition(self.space_(vectors), self.clusterer, seed)
        else:
            self.partition_ = fit_partition(self.space_(vectors), self.n_clusters, self.clusterer, seed)
        if earlier is not None:
            found = labels_of(self.partition_.predict_proba(self.space_(vectors)))
            self.partition_ = self.partition_.ordered(order_as(found, earlier, self.partition_.n_clusters))
        self.n_clusters_ = self.partition_.n_clusters
        self.labels_ = labels_of(self.place(Z))

    def _state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        parts = {"space": self.space_.arrays(), "partition": self.partition_.arrays()}
        arrays = {f"{part}.{name}": a for part, own in parts.items() for name, a in own.items()}
        return {"selection": self.selection_}, {"labels": self.labels_, **arrays}

    def _restore(self, config: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> None:
        def part(prefix: str) -> dict[str, npt.NDArray[Any]]:
            return {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}

        self.space_ = LatentSpace(**part("space."))
        self.partition_ = partition_from_arrays(part("partition."))
        self.n_clusters_ = self.partition_.n_clusters
        self.selection_ = config["selection"]
        self.labels_ = shaped("labels", arrays, self.ids_.shape)
        if self.place(self.embedding_[:1]).shape[1] != self.n_clusters_:  # also raises where parts do not fit
            raise ValueError("the partition's arrays are of different sizes")
