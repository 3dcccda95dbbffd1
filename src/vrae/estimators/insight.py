"""What a fitted clusterer says about its clusters: in words, in numbers and as a report."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.frozen import FrozenEstimator

from vrae.describe import ClusterDescription, SeriesExplanation, describe_clusters, explain_series
from vrae.describe.tables_of_clusters import cross_table
from vrae.estimators.assignment import assign
from vrae.estimators.partition import labels_of
from vrae.estimators.reporting import gather_report
from vrae.estimators.stability import Refits, cluster_stability
from vrae.exceptions import InvalidDataError, InvalidParameterError, name_some
from vrae.metrics import separation
from vrae.plots.summary import summary_html
from vrae.report import check_report, write_report

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Insight"]


class Insight:
    """Methods of a clusterer that change nothing and tell what was found."""

    if TYPE_CHECKING:  # what the clusterer has
        model: Any
        model_: Any
        ids_: Any
        refits_: Refits | None
        space_: Any
        clusterer: Any
        embedding_: Any
        labels_: Any
        n_clusters_: int
        names_: dict[int, str]
        selection_: list[dict[str, Any]]
        embed_and_assign: Any
        predict_proba_from_latent: Any
        _check_fitted: Any

    def describe(self, X: Any) -> list[ClusterDescription]:
        """Describe every cluster: what its series do, and how they differ from the others.

        Parameters
        ----------
        X : array (n, steps) or (n, channels, steps), list of arrays, table or Panel
            The training series, or new ones to be assigned first.

        Returns
        -------
        list of ClusterDescription
            Clusters 0, 1, ..., then -1, the series without a cluster. They print as text.
        """
        self._check_fitted()
        panel, indices = self.model_.open(X)
        Z, probabilities = self.embed_and_assign(panel, indices)
        labels = labels_of(probabilities)
        return describe_clusters(panel, labels, self.space_(Z.astype(np.float64)), shapes=self._compares_shapes)

    def explain(self, X: Any, series_id: Any) -> SeriesExplanation:
        """Explain why one series is in its cluster, compared with the other series of X.

        Parameters
        ----------
        X : array (n, steps) or (n, channels, steps), list of arrays, table or Panel
        series_id : Any
            Id of the series. For arrays: its number, from 0.

        Raises
        ------
        InvalidDataError
            No series has this id, or it has no observed value.
        """
        self._check_fitted()
        panel, indices = self.model_.open(X)
        row = panel.position(series_id)
        if row not in indices:
            raise InvalidDataError(f"Series {series_id!r} has no observed value: there is nothing to explain.")
        Z, probabilities = self.embed_and_assign(panel, indices)
        return explain_series(
            panel,
            row,
            labels_of(probabilities),
            probabilities,
            self.space_(Z.astype(np.float64)),
            self.n_clusters_,
            lag=int(self.model_.lags(panel.select([row]))[0]),
            shapes=self._compares_shapes,
        )

    def stability(self, X: Any = None) -> dict[str, Any] | None:
        """Measure how far each cluster is found again.

        Parameters
        ----------
        X : array (n, steps) or (n, channels, steps), list of arrays, table or Panel, optional
            The training series. The model is then fitted again to two random halves of them, at
            most 1,000 series each. This takes seconds. The latent vectors of these models are kept,
            also by `save`, for later calls. Default: refits that are known already. Else, only the
            clustering is repeated, on ten random halves of the latent vectors.

        Returns
        -------
        dict or None
            ``ari``: mean adjusted Rand index between the clusters and those found again.
            ``clusters``: for each cluster, the mean Jaccard overlap with the most similar group
            found again. Do not trust a cluster below 0.6; above 0.85 it is highly stable (Hennig,
            "Cluster-wise assessment of cluster stability", Computational Statistics & Data
            Analysis 2007). ``refits``: number of models that were fitted again, 0 if none.
            ``rounds``: number of comparisons. None for one cluster, or too few series.

        Raises
        ------
        InvalidDataError
            X are not the training series.
        """
        self._check_fitted()
        if X is not None and not isinstance(self.model, FrozenEstimator):
            panel, indices = self.model_.open(X)
            if not np.array_equal(panel.ids, self.ids_):
                raise InvalidDataError(
                    f"Stability is measured with the {len(self.ids_)} training series, in their order; found "
                    f"{len(panel)} series. Pass the data that the clusterer was fitted to."
                )
            self.refits_ = Refits.fit(self.model_, panel, indices)
        refits: Refits | None = getattr(self, "refits_", None)
        if refits is not None:
            return refits.stability(self.labels_, self.n_clusters_, self.clusterer)
        known = np.isfinite(self.embedding_).all(axis=1)
        vectors = self.space_(self.embedding_[known].astype(np.float64))
        return cluster_stability(vectors, self.labels_[known], self.n_clusters_, self.clusterer)

    def report(self, X: Any, path: str | os.PathLike[str], title: str = "Clusters") -> Path:
        """Write the report: one HTML page that works offline.

        Parameters
        ----------
        X : array (n, steps) or (n, channels, steps), list of arrays, table or Panel
            The training series, or new ones to be assigned first.
        path : str or path
            File to write.
        title : str, default="Clusters"

        Returns
        -------
        Path
            The file.
        """
        self._check_fitted()
        check_report()
        panel, _ = self.model_.open(X)
        found = assign(self, panel)
        network, model = self.model_.network_.config, self.model_
        metrics = {
            "silhouette": separation(self.space_(self.embedding_.astype(np.float64)), self.labels_),
            "stability": self.stability(),
            "latent_size": network.latent_size,
            "active_units": model.active_units_,
            "epochs": len(model.history_),
        }
        return write_report(gather_report(title, self, panel, found, metrics, panel.static.get("label")), path)

    def crosstab(self, X: Any, column: Any, show: str = "count") -> pd.DataFrame:
        """Tell who is in which cluster: series by cluster and by category of a column.

        Parameters
        ----------
        X : table or Panel, or arrays
            The training series, or new ones to be assigned first.
        column : str or array of shape (n_series,)
            Name of a static column of X, or one value per series, such as known labels.
        show : {"count", "share", "lift", "residual"}, default="count"
            ``count``: numbers of series. ``share``: shares of the cluster, 0 to 1. ``lift``: the
            share divided by that of all series; 2 is twice as frequent. ``residual``: adjusted
            standardised residuals; beyond 3, the difference is more than chance.

        Returns
        -------
        pandas.DataFrame
            A row per cluster, by name, and a column per category: the 12 most frequent ones, then
            "other" and "no value" if there are any. Numbers are divided into quarters. Counts and
            shares have a last row, "All series".

        Raises
        ------
        InvalidParameterError
            X has no such static column, or ``show`` is none of these.
        InvalidDataError
            ``column`` does not have one value per series.

        Examples
        --------
        >>> import numpy as np
        >>> from vrae import VRAE, VRAEClusterer
        >>> waves = np.sin(np.arange(30) / np.repeat([[1], [4]], 10, axis=0))
        >>> clusterer = VRAEClusterer(2, model=VRAE(max_epochs=2), random_state=0).fit(waves)
        >>> clusterer.crosstab(waves, np.repeat(["fast", "slow"], 10)).loc["All series"].tolist()
        [10, 10]
        """
        self._check_fitted()
        panel, _ = self.model_.open(X)
        name, values = str(getattr(column, "name", None) or "value"), column
        if isinstance(column, str):
            if column not in panel.static:
                known = f"It has {name_some(panel.static)}." if panel.static else "It has none."
                raise InvalidParameterError(
                    f"column={column!r} is not a static column of X. {known} Name it with static= when you read a "
                    f"table, or pass one value per series."
                )
            name, values = column, panel.static[column]
        table = cross_table(name, values, assign(self, panel).labels, self.names_)
        return table.to_pandas(show)

    # ---------------------------------------------------------------- parts

    @property
    def _compares_shapes(self) -> bool:
        return self.model_.scaler_.scaling in ("series", "robust")

    def _html_repr(self) -> str:
        """Return a summary of the clusters above scikit-learn's table of options."""
        options: str = super()._html_repr()  # type: ignore[misc]
        if not self.__sklearn_is_fitted__():  # type: ignore[attr-defined]
            return options
        known = len(np.unique(self.labels_[self.labels_ >= 0]))
        facts = self.model_.facts()
        facts.insert(1, f"{known} cluster{'s' * (known != 1)}")
        return summary_html(type(self).__name__, self.embedding_, self.labels_, facts) + options
