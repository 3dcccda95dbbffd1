"""Figures of estimators that group series: ``VRAEClusterer().plot`` and parts of others."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.config import check_flag, check_int
from vrae.describe.words import NOISE
from vrae.estimators.alternatives import numbers_worth_a_look
from vrae.estimators.partition import labels_of
from vrae.estimators.plotting import Backend, Plots, check_drawing, numbered_names
from vrae.exceptions import InvalidParameterError
from vrae.plots.maps import Method

__all__ = ["ClusterPlots", "GroupPlots"]


class GroupPlots(Plots):
    """Figures of the groups of an estimator, from what it learned."""

    _word = "Cluster"
    _criterion = "score (higher is better)"
    _how_to_select = "Fit with n_clusters='auto'."

    def _names(self) -> dict[int, str]:
        """Return the names of the groups, with their numbers."""
        given = getattr(self._owner, "names_", None)
        n_groups = self._owner.n_clusters_
        return numbered_names(given or {label: f"{self._word} {label}" for label in range(n_groups)}, self._word)

    def map(self, *, method: Method = "pca", backend: Backend = "matplotlib", ax: Any = None) -> Any:
        """Draw a map of the training series, coloured by group: similar series are close together.

        Parameters
        ----------
        method : {"pca", "tsne", "umap"}, default="pca"
            How latent vectors become points. "pca" keeps distances, the others neighbours.
        backend : {"matplotlib", "plotly"}, default="matplotlib"
        ax : matplotlib Axes, optional
            Where to draw. Default: a new figure.

        Returns
        -------
        matplotlib Axes or plotly Figure
        """
        self._model()
        options = {"method": method, "names": self._names(), "ax": ax}
        return self._draw_map(backend, self._vectors(), self._owner.labels_, **options)

    def sizes(self, *, backend: Backend = "matplotlib", ax: Any = None) -> Any:
        """Draw the number of series in each group.

        Parameters
        ----------
        backend : {"matplotlib", "plotly"}, default="matplotlib"
        ax : matplotlib Axes, optional
            Where to draw. Default: a new figure.

        Returns
        -------
        matplotlib Axes or plotly Figure
        """
        self._model()
        return self._draw("cluster_sizes", backend, self._owner.labels_, names=self._names(), ax=ax)

    def selection(self, *, backend: Backend = "matplotlib", ax: Any = None) -> Any:
        """Draw the score of each number of groups that was tried, with the chosen one marked.

        Parameters
        ----------
        backend : {"matplotlib", "plotly"}, default="matplotlib"
        ax : matplotlib Axes, optional
            Where to draw. Default: a new figure.

        Returns
        -------
        matplotlib Axes or plotly Figure

        Raises
        ------
        InvalidParameterError
            The number was given, so no other was tried.
        """
        self._model()
        if not self._owner.selection_:
            raise InvalidParameterError(
                f"The number of clusters, {self._owner.n_clusters_}, was given, so no other was tried. "
                f"{self._how_to_select}"
            )
        worth = numbers_worth_a_look(self._owner) if hasattr(self._owner, "grouping_") else None
        options = {
            "chosen": self._owner.n_clusters_,
            "criterion": self._criterion,
            "alternatives": worth,
            "ax": ax,
        }
        return self._draw("selection", backend, self._owner.selection_, **options)

    def _vectors(self) -> npt.NDArray[np.float64]:
        """Return the vectors (n_series, dimensions) that were grouped."""
        vectors: npt.NDArray[np.float64] = self._owner.embedding_.astype(np.float64)
        return vectors


class ClusterPlots(GroupPlots):
    """Figures of a fitted `VRAEClusterer`.

    Each draws with matplotlib, or with plotly if ``backend="plotly"``, and returns the figure of
    that library. Both need ``pip install 'vrae[report]'``. Clusters have their names and numbers.
    """

    _how_to_select = "regroup('auto') tries 2, 3, ... clusters, without training again."

    def courses(self, X: Any, *, adjust: bool = False, n_members: int = 5, backend: Backend = "matplotlib") -> Any:
        """Draw the typical curve of every cluster.

        Line: median. Band: the middle 80 % of the series. Thin lines: single series. Series on one
        calendar are drawn by date, others from their start.

        Parameters
        ----------
        X : array (n, steps) or (n, channels, steps), list of arrays, table or Panel
            The training series, or new ones to be assigned first.
        adjust : bool, default=False
            Rescale each series to its cluster's median level and spread, so that the figure shows
            shape.
        n_members : int, default=5
            Number of thin lines per cluster.
        backend : {"matplotlib", "plotly"}, default="matplotlib"

        Returns
        -------
        matplotlib or plotly Figure
            One chart per cluster, or one row per cluster and one column per channel.
        """
        model = self._model()
        check_drawing(backend)
        check_flag("adjust", adjust)
        check_int("n_members", n_members, low=0)
        panel, indices = model.open(X)
        labels = labels_of(self._owner._embedded(panel, indices)[1])
        shown = panel.select(indices)
        lags = model.lags(shown) if model.network_.config.max_lag else None
        options = {"names": self._names(), "lags": lags, "adjust": adjust, "n_members": n_members}
        return self._draw("courses", backend, shown, labels[indices], **options)

    def tree(self, *, backend: Backend = "matplotlib", ax: Any = None) -> Any:
        """Draw how alike the clusters are: the tree in which they would merge.

        Parameters
        ----------
        backend : {"matplotlib", "plotly"}, default="matplotlib"
        ax : matplotlib Axes, optional
            Where to draw. Default: a new figure.

        Returns
        -------
        matplotlib Axes or plotly Figure
        """
        self._model()
        return self._draw("tree", backend, self._owner.tree_, self._owner.labels_, names=self._names(), ax=ax)

    def reconstructions(self, X: Any, n_series: int = 6, *, backend: Backend = "matplotlib") -> Any:
        """Draw series and what the model makes of them: the most typical one of each cluster.

        Parameters
        ----------
        X : array (n, steps) or (n, channels, steps), list of arrays, table or Panel
            The training series, or new ones to be assigned first.
        n_series : int, default=6
            Number of series, from all clusters in turn.
        backend : {"matplotlib", "plotly"}, default="matplotlib"

        Returns
        -------
        matplotlib or plotly Figure
            One chart per series, or one row per series and one column per channel.
        """
        model = self._model()
        check_drawing(backend)
        check_int("n_series", n_series, low=1)
        panel, indices = model.open(X)
        Z, probabilities = self._owner._embedded(panel, indices)
        labels = labels_of(probabilities)
        vectors = self._owner.space_(Z[indices].astype(np.float64))
        rows = indices[_typical(vectors, labels[indices])[:n_series]]
        shown, names = panel.select(rows), {NOISE: "not assigned", **self._names()}
        titles = [
            f"Series {name} ({names[label]})"
            for name, label in zip(shown.ids.tolist(), labels[rows].tolist(), strict=True)
        ]
        options = {"titles": titles, "max_series": n_series}
        return self._draw("reconstructions", backend, shown, model.reconstruct(shown), **options)

    def _vectors(self) -> npt.NDArray[np.float64]:
        vectors: npt.NDArray[np.float64] = self._owner.space_(super()._vectors())
        return vectors


def _typical(vectors: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return positions of series (n_series,): the one nearest to the mean of each cluster first.

    Then the second ones of all clusters, and so on. Those without a cluster are last.
    """
    order = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        away = np.linalg.norm(vectors[members] - vectors[members].mean(axis=0), axis=1)
        turn = np.arange(len(members)) if label >= 0 else np.full(len(members), len(labels))
        order += list(zip(turn.tolist(), [label] * len(members), members[np.argsort(away)].tolist(), strict=True))
    return np.array([member for *_, member in sorted(order)], np.int64)
