"""What a fitted clusterer says about its clusters: in words, in numbers and as a report."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sklearn.frozen import FrozenEstimator

from vrae.config import check_real
from vrae.data.batching import Indices
from vrae.data.panel import Panel
from vrae.describe import ClusterDescriptions, SeriesExplanation, describe_clusters, explain_series
from vrae.describe.drift_result import Drift
from vrae.describe.tables_of_clusters import cross_table
from vrae.describe.words import NOISE, cluster_name, plural
from vrae.estimators.assignment import Assignment, assign
from vrae.estimators.cluster_plots import ClusterPlots
from vrae.estimators.drift import drift_of
from vrae.estimators.fitted_repr import FittedRepr
from vrae.estimators.partition import labels_of
from vrae.estimators.plotting import PlotAccessor, numbered_name
from vrae.estimators.reporting import counts_of, gather_report
from vrae.estimators.stability import Refits, found_again
from vrae.exceptions import DataWarning, InvalidDataError, InvalidParameterError, name_some, warn
from vrae.io.atomic import check_file
from vrae.metrics import separation
from vrae.plots.charts import cluster_sizes
from vrae.plots.summary import GroupRow, groups_html
from vrae.report import check_report, write_report
from vrae.runtime import SafeInForks

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MAX_REPORT_SERIES", "Insight"]

MAX_REPORT_SERIES = 20_000
"""A report of more series than this shows a sample of them."""
_MAX_STEPS = 2000  # of a decoded curve


class Insight(SafeInForks, FittedRepr):
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
        names_: Any
        tree_: Any
        random_state: Any
        portraits_: Any
        grouping_: Any
        selection_: list[dict[str, Any]]
        embed_and_assign: Any
        predict_proba_from_latent: Any
        _check_fitted: Any
        _is_fitted_to: Any

    plot = PlotAccessor(ClusterPlots)

    def describe(self, X: Any) -> ClusterDescriptions:
        """Describe every cluster: what its series do, and how they differ from the others.

        Parameters
        ----------
        X : array (n, steps) or (n, channels, steps), list of arrays, table or Panel
            The training series, or new ones to be assigned first.

        Returns
        -------
        ClusterDescriptions
            A list: clusters 0, 1, ..., then -1, the series without a cluster. It prints as text;
            ``to_pandas()`` is a table with one row a cluster.
        """
        self._check_fitted()
        panel, indices = self.model_.open(X)
        Z, probabilities = self._embedded(panel, indices)
        labels = labels_of(probabilities)
        vectors = self.space_(Z.astype(np.float64))
        return describe_clusters(panel, labels, vectors, shapes=self._compares_shapes, names=self.names_)

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
        Z, probabilities = self._embedded(panel, indices)
        return explain_series(
            panel,
            row,
            labels_of(probabilities),
            probabilities,
            self.space_(Z.astype(np.float64)),
            self.n_clusters_,
            lag=int(self.model_.lags(panel.select([row]))[0]),
            shapes=self._compares_shapes,
            names=self.names_,
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
        if X is not None:
            panel, indices = self.model_.open(X)
            if not self._are_training_series(panel, indices):
                raise InvalidDataError(
                    f"Stability is measured with the {len(self.ids_)} training series, in their order; found "
                    f"{len(panel)} series that are not these. Pass the data that the clusterer was fitted to."
                )
            if not isinstance(self.model, FrozenEstimator):  # a frozen model stays as it is
                self.refits_ = Refits.fit(self.model_, panel, indices)
        grouping = self.grouping_
        return found_again(self.refits_, grouping, self.labels_, self.n_clusters_, self.clusterer, grouping.n_parts)

    def report(self, X: Any, path: str | os.PathLike[str], title: str | None = None) -> Path:
        """Write the report: one HTML page that works offline.

        Parameters
        ----------
        X : array (n, steps) or (n, channels, steps), list of arrays, table or Panel
            The training series, or new ones to be assigned first. Of more than 20,000, the page
            shows a random sample; it counts all of them. With the training series, `stability` is
            measured first, unless it was before; this takes seconds.
        path : str or path
            File to write. It is replaced when the new one is complete.
        title : str, optional
            Title of the page. Default: the number of groups.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        MissingDependencyError
            The extra ``vrae[report]`` is not installed.
        NotFittedError, InvalidDataError, OutputError
        """
        self._check_fitted()
        check_report()
        file = check_file(path)
        panel, _ = self.model_.open(X)
        found = assign(self, panel, self.embedding_ if self._is_fitted_to(panel) else None)
        if self.refits_ is None and self._is_fitted_to(panel):
            self.stability(panel)
        metrics = {**self._metrics(), **_counts(panel, found, self.n_clusters_)}
        if len(panel) > MAX_REPORT_SERIES:
            warn(
                f"The report shows {MAX_REPORT_SERIES:,} of {len(panel):,} series, chosen at random. The sizes of "
                f"clusters count all of them.",
                DataWarning,
            )
            rows = np.sort(np.random.default_rng(0).permutation(len(panel))[:MAX_REPORT_SERIES])
            panel, found = panel.select(rows), found.select(rows)
        data = gather_report(title or "", self, panel, found, metrics, panel.static.get("label"))
        if title is None:
            groups = f"{plural(self.n_clusters_, 'group')} of series"
            data = replace(data, title=groups if data.verdict.is_clear else "Series without clear groups")
        return write_report(data, file)

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

    def drift(self, X: Any, *, alpha: float = 0.05) -> Drift:
        """Compare later series with those of the fit: what changed, and whether to fit again.

        Parameters
        ----------
        X : array (n, steps) or (n, channels, steps), list of arrays, table or Panel
            The table of the new period, with its past: series are compared whole, as `predict` sees
            them. Items are recognised by their ids.
        alpha : float, default=0.05
            Probability that anything is found where nothing changed.

        Returns
        -------
        Drift
            It prints as text. ``verdict`` says it in a few sentences, ``shares`` how the shares of
            the clusters moved, and ``to_pandas()`` what became of each item.

        Raises
        ------
        NotFittedError, InvalidDataError, InvalidParameterError
        """
        self._check_fitted()
        check_real("alpha", alpha, above=0, below=1)
        return drift_of(self, [X], alpha)  # type: ignore[arg-type]

    # ---------------------------------------------------------------- parts

    @property
    def _compares_shapes(self) -> bool:
        return self.model_.scaler_.scaling in ("series", "robust")

    def _are_training_series(self, panel: Panel, indices: Indices) -> bool:
        """Return whether these are the series of `fit`, by their values or by their vectors."""
        if self._is_fitted_to(panel):
            return True
        if not np.array_equal(panel.ids, self.ids_):  # else the model may be one that keeps no digest
            return False
        return np.allclose(self.model_.inference_.embed(panel, indices), self.embedding_, atol=1e-3, equal_nan=True)

    def _embedded(self, panel: Panel, indices: Indices) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
        """Return latent vectors and probabilities; at once for the training series."""
        if self._is_fitted_to(panel):
            return self.embedding_, self.predict_proba_from_latent(self.embedding_)
        found: tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]] = self.embed_and_assign(panel, indices)[:2]
        return found

    def _metrics(self) -> dict[str, Any]:
        """Return the quality of the clusters, as in the metrics of a run."""
        model = self.model_
        return {
            "silhouette": separation(self.space_(self.embedding_.astype(np.float64)), self.labels_),
            "stability": self._known_stability(),
            "latent_size": model.network_.config.latent_size,
            "active_units": model.active_units_,
            "epochs": len(model.history_),
        }

    def _result(self) -> str:
        return plural(len(np.unique(self.labels_[self.labels_ >= 0])), "group")

    def _summary_html(self) -> str:
        """Return a table of the clusters: name, size, typical curve, and how far to trust each."""
        rows, trust = [], self._known_stability()
        curves = self._typical_curves()
        spans = {} if self.portraits_ is None else self.portraits_.spans(self.labels_)
        for label, size in cluster_sizes(self.labels_):
            again = None if trust is None or label == NOISE else float(trust["clusters"][label])
            name = numbered_name(label, cluster_name(label, self.names_))
            rows.append(GroupRow(label, name, size, curves.get(label), again, spans.get(label, (0.0, 1.0))))
        title, head = f"{type(self).__name__}, {self._fit_title()}", "found again"
        if trust is not None and not trust.get("refits"):
            head = "clustered again"
        return groups_html(title, rows, _how_found_again(trust), self.model_.channels_, head)

    def _known_stability(self) -> dict[str, Any] | None:
        """Return what `stability` returns, measured once for the clusters of now."""
        refits = getattr(self, "refits_", None)
        known = self.__dict__.get("_measured")
        if known is None or known[0] is not self.labels_ or known[1] is not refits:
            known = self._measured = (self.labels_, refits, self.stability())
        found: dict[str, Any] | None = known[2]
        return found

    def _typical_curves(self) -> dict[int, npt.NDArray[np.float64]]:
        """Decode the mean latent vector of each cluster, to (n_channels, n_steps)."""
        known = np.isfinite(self.embedding_).all(axis=1)
        labels = np.unique(self.labels_[known & (self.labels_ >= 0)])
        if not len(labels):
            return {}
        means = np.stack([self.embedding_[known & (self.labels_ == label)].mean(axis=0) for label in labels])
        decoded = self.model_.inverse_transform(means, min(self.model_.n_steps_, _MAX_STEPS))
        series = decoded.reshape(len(labels), -1, decoded.shape[-1]).astype(np.float64)
        return dict(zip(labels.tolist(), series, strict=True))


def _counts(panel: Panel, found: Assignment, n_clusters: int) -> dict[str, Any]:
    """Count all series of a report, as in the metrics of a run."""
    return {
        **counts_of(found, n_clusters),
        "n_series": len(panel),
        "missing_share": panel.missing_share(),
        "shortest": int(panel.lengths.min()),
        "longest": int(panel.lengths.max()),
    }


def _how_found_again(trust: dict[str, Any] | None) -> str:
    """Say how it was measured how far clusters are found again, and what else there is to see."""
    more = "More: plot.courses(X), plot.map(), describe(X), report(X, 'report.html')."
    if trust is None:
        return more
    if trust.get("refits"):
        return f"Found again: overlap with the groups of {trust['refits']} models fitted again. {more}"
    how = "only the clustering was repeated; stability(X) also fits the model again, which is the harder test."
    return f"Clustered again: {how} {more}"
