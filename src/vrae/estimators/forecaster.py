"""GroupForecaster: forecasts of many items, which learn from each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, NoReturn, Self

import numpy as np
import numpy.typing as npt

from vrae.config import check_flag, check_int
from vrae.data.containers import TableKind
from vrae.data.selection import check_enough
from vrae.describe.words import plural
from vrae.estimators.forecasting.backtest import fit_combination, run_backtests, score_group_numbers
from vrae.estimators.forecasting.calendar_matrix import CalendarMatrix, check_length, season_of
from vrae.estimators.forecasting.combination import check_levels
from vrae.estimators.forecasting.covariate_series import learn_covariates, read_series
from vrae.estimators.forecasting.fitted_items import FittedItems, PreparedItems
from vrae.estimators.forecasting.forecast_tables import ItemQuery, forecast_table
from vrae.estimators.forecasting.hierarchy import check_hierarchy, with_totals
from vrae.estimators.forecasting.plan import ForecastPlan, check_not_frozen, check_template, past_length
from vrae.estimators.forecasting.seasonal_course import choose_categories
from vrae.estimators.forecasting.single_forecasts import check_statsforecast
from vrae.estimators.forecasting.stage import GroupForecast, Stage
from vrae.estimators.head import Head, explain_model_options
from vrae.estimators.head_plots import ForecastPlots
from vrae.estimators.partition import check_clusterer, labels_of
from vrae.estimators.plotting import PlotAccessor
from vrae.estimators.vrae import VRAE
from vrae.exceptions import InvalidParameterError
from vrae.io.folder import Arrays
from vrae.phases import announce, one_phase
from vrae.runtime import seed_of

__all__ = ["GroupForecaster"]

Floats = npt.NDArray[np.float64]


class GroupForecaster(Head):
    """Forecast many items together. Items with few or sparse values learn from their group.

    The forecaster scales each item by its own past. A network learns to complete windows from their
    beginning, and compresses what is known of an item into a latent vector. Items are grouped by
    these vectors. Up to seven forecasts are combined: the item's level, the value of a season ago,
    classical smoothing, the same with a season that is learned from all items, one linear model of
    all items, the same with coefficients for each group, and the network's completion. Backtests
    give their weights for each group, and the errors behind the intervals. A static column, such as
    a department, is used if its items have seasons of their own.

    Parameters
    ----------
    horizon : int, default=13
        Number of steps to forecast.
    n_clusters : int or "auto", default="auto"
        Number of groups. "auto" compares 1, 2, 4, 8 and 12 in backtests; see ``selection_``.
    season_length : int or "auto", default="auto"
        Steps of a season. 1 is none. "auto" takes 24 for hours, 7 for days, 52 for weeks, 12 for
        months and 4 for quarters if the series have dates. Without dates, it is the shortest lag at
        which the values clearly repeat, with a `DataWarning`, or 1.
    level : float or sequence of float, default=80
        Percentages of outcomes that the intervals should contain.
    clusterer : {"kmeans", "gmm", "ward", "hdbscan"} or scikit-learn clusterer, default="kmeans"
        Groups the latent vectors.
    n_backtests : int, default=2
        Number of earlier origins, a horizon apart. Each trains a network.
    classical : bool, default=True
        Forecast each item by itself too (exponential smoothing, ADIDA). Needs
        ``pip install 'vrae[forecast]'``.
    covariates : list of str, optional
        Columns (channels) whose future is known, such as price, promotion and holiday. The values
        to forecast must then not be negative. A covariate that does not lower the error on left-out
        steps is not used.
    model : VRAE or None, default=None
        Template of the networks. None is ``VRAE()``. ``max_lag``, ``level_weight`` and ``scaling``
        must have their defaults.
    random_state : int, RandomState or None, default=None
        An int makes results reproducible. The model uses it too, unless it has its own.

    Attributes
    ----------
    labels_ : ndarray of int64, shape (n_items,)
        Group of every item, by decreasing size. -1 is none.
    n_clusters_ : int
        Number of groups.
    embedding_ : ndarray of float32, shape (n_items, latent_size)
        Latent vectors of the items, from their last steps.
    ids_ : ndarray, shape (n_items,)
        Ids of the items.
    selection_ : list of dict
        For "auto": ``n_clusters`` and ``score``, the mean squared error in backtests, of every
        number tried.
    members_ : tuple of str
        Names of the forecasts that are combined.
    weights_ : ndarray of float64, shape (5, n_clusters_, n_members)
        Weights of the forecasts, for five kinds of items: new (at most 12 observed steps), young,
        established, more than half of the steps zero, and more than four fifths.
    season_length_ : int
        Steps of a season. 1 is none.
    covariate_effects_ : table or dict of str to ndarray, or None
        How covariates change the values: ``covariate``, ``change`` ("+10 %"), ``effect`` ("-14 %"),
        ``low_percent`` and ``high_percent`` (of 80 % of the items), ``used``, ``error_avoided``.
    model_ : VRAE
        The network that was fitted last, to the whole past.

    References
    ----------
    Montero-Manso & Hyndman, "Principles and algorithms for forecasting groups of time series",
    International Journal of Forecasting 2021 (pooled models). Vovk, Gammerman & Shafer,
    "Algorithmic Learning in a Random World", 2005 (intervals).

    Examples
    --------
    >>> import numpy as np
    >>> from vrae import VRAE, GroupForecaster
    >>> X = 10 + np.random.default_rng(0).standard_normal((30, 40))
    >>> forecaster = GroupForecaster(
    ...     horizon=4, n_backtests=1, classical=False, model=VRAE(max_epochs=2), random_state=0
    ... )
    >>> forecaster.fit(X).predict().shape
    (30, 4)
    >>> forecaster.predict(X[:2, :3]).shape  # new items with three steps
    (2, 4)
    """

    embeds_series = False
    plot = PlotAccessor(ForecastPlots)

    @explain_model_options
    def __init__(
        self,
        horizon: int = 13,
        n_clusters: int | Literal["auto"] = "auto",
        *,
        season_length: int | Literal["auto"] = "auto",
        level: float | Sequence[float] = 80,
        clusterer: Any = "kmeans",
        n_backtests: int = 2,
        classical: bool = True,
        covariates: Sequence[str] | None = None,
        model: Any = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.horizon = horizon
        self.n_clusters = n_clusters
        self.season_length = season_length
        self.level = level
        self.clusterer = clusterer
        self.n_backtests = n_backtests
        self.classical = classical
        self.covariates = covariates
        self.model = model
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from the past of items.

        Parameters
        ----------
        X : array (n, steps), list of arrays, table or Panel
            NaN is a missing value. With time stamps, the calendar is the set of distinct stamps.
            Without, all items end at the last step.
        y : None
            Ignored. Present for API consistency.

        Returns
        -------
        self
            Unchanged if anything is raised.

        Raises
        ------
        InvalidDataError
            The calendar has fewer than 3 steps or less than twice the horizon, or there are several
            channels. See also `VRAE.fit`.
        InvalidParameterError
            An option is out of range, or the model is frozen or has an option that forecasts lack.
        MissingDependencyError
            ``classical`` is set, and statsforecast is not installed.
        """
        prepared = self._prepare(X)
        backtests = run_backtests(prepared.calendar, prepared.plan, self.n_backtests)
        n_clusters, selection = self.n_clusters, []
        announce("Groups")
        if n_clusters == "auto":
            selection = score_group_numbers(backtests, len(prepared.indices))
            n_clusters = int(min(selection, key=lambda tried: tried["score"])["n_clusters"])
        with one_phase("Training"):
            stage = Stage.fit(prepared.calendar, prepared.plan)
        announce("Weights")
        groups = stage.group(n_clusters)
        combination = fit_combination(backtests, n_clusters, stage, groups, prepared.calendar)
        return self._summarise(prepared, GroupForecast(stage, groups, combination), selection)

    def _prepare(self, X: Any) -> PreparedItems:
        """Check options and items, and align the items on one calendar."""
        template, levels = self._template(), self._checked_levels()
        panel, covariates = read_series(X, self.covariates)
        panel, indices = template.usable(panel)
        check_enough(panel, indices)
        calendar = CalendarMatrix.from_panel(panel, past_length(self.season_length, self.horizon))
        check_length(calendar, panel.ids, self.horizon)
        if self.n_clusters != "auto" and self.n_clusters > len(indices):
            raise InvalidParameterError(
                f"n_clusters={self.n_clusters} is more than the {len(indices)} usable series. Ask for fewer."
            )
        seed = seed_of(self.random_state)
        if self.model is None or self.model.random_state is None:
            template.set_params(random_state=seed)
        template.set_params(scaling=None)  # windows are scaled already
        season = season_of(calendar, self.season_length)
        plan = ForecastPlan.choose(self.horizon, season, self.clusterer, self.classical, seed, template)
        effects = None
        if covariates is not None:
            effects, calendar = learn_covariates(covariates, panel.ids, calendar, self.horizon, season)
        plan = replace(plan, categories=choose_categories(calendar, plan))
        return PreparedItems(panel, indices, calendar, plan, levels, TableKind.of(X, panel.reading), effects)

    def _summarise(self, prepared: PreparedItems, forecast: GroupForecast, selection: list[dict[str, float]]) -> Self:
        """Become fitted. The model then describes the items instead of the training windows."""
        panel, indices, calendar = prepared.panel, prepared.indices, prepared.calendar
        model, lengths = forecast.stage.model, panel.lengths[indices]
        model.embedding_, model.ids_ = forecast.stage.item_means.astype(np.float32), panel.ids
        model.channels_, model.calendar_, model.reading_ = panel.channels, calendar.calendar, panel.reading
        model.__dict__.pop("n_features_in_", None)  # of the windows
        if (lengths == lengths[0]).all():
            model.n_features_in_ = int(lengths[0])
        self._adopt(forecast)
        self.selection_, self._items_ = selection, FittedItems.of(prepared)
        return self

    def _adopt(self, forecast: GroupForecast) -> None:
        """Set the attributes that describe a forecast."""
        self.forecast_, self.model_ = forecast, forecast.stage.model
        self.embedding_, self.ids_ = self.model_.embedding_, self.model_.ids_
        groups, Z = forecast.groups, self.embedding_.astype(np.float64)
        self.labels_ = labels_of(groups.partition.predict_proba(groups.space(Z)))
        self.n_clusters_, self.members_ = groups.n_groups, forecast.stage.plan.members
        self.weights_, self.season_length_ = forecast.combination.weights, forecast.stage.plan.season

    def _template(self) -> VRAE:
        """Return a model to clone for each network, or raise if it cannot forecast."""
        check_not_frozen(self.model)
        template, _ = self._fitted_template()
        check_template(template)
        return template

    def _checked_levels(self) -> list[float]:
        """Return the levels of the intervals after a check of all options."""
        check_int("horizon", self.horizon, low=1)
        check_int("n_backtests", self.n_backtests, low=1)
        check_clusterer(self.clusterer)
        for name in ("n_clusters", "season_length"):
            if (value := getattr(self, name)) != "auto":
                check_int(name, value, low=1, auto=True)
        if check_flag("classical", self.classical):
            check_statsforecast()
        return check_levels(self.level)

    # ---------------------------------------------------------------- forecasts

    @property
    def covariate_effects_(self) -> Any:
        """A table of how covariates change the values; see the class."""
        self._check_fitted()
        return self._items_.effects_table()

    @property
    def last_time_(self) -> Any:
        """Time stamp of the last step of the items of `fit`. None without times."""
        return self._items_.last_time

    @property
    def next_times_(self) -> npt.NDArray[Any] | None:
        """Time stamps of the steps to forecast, (horizon,). None without a regular step."""
        return self._items_.next_times

    def predict(self, X: Any = None, future: Any = None) -> Floats:
        """Forecast the next steps.

        Parameters
        ----------
        X : array (n, steps), list of arrays, table or Panel, optional
            The past of new or known items, a few steps or more. Default: the items of `fit`.
        future : table or Panel, optional
            Ids, times and covariates of the steps to forecast. Rows after the last value in the
            table of the items serve too. What is not known counts as the mean of the last steps,
            with a warning.

        Returns
        -------
        ndarray of float64, shape (n_items, horizon)
            In input order, in the units of X. Not negative if no value of `fit` was. NaN for a
            series without any observed value.
        """
        return self._forecast(X, (), future)[1]["mean"]

    def predict_proba(self, X: Any = None) -> Floats:
        """Return the probability of every group for every item, shape (n_items, n_clusters_).

        Rows sum to 1. A row of zeros belongs to a series without any observed value.
        """
        query = self._query(X)
        membership = self.forecast_.membership(query.windows)
        membership[query.empty] = 0.0
        return membership

    def predict_table(
        self,
        X: Any = None,
        level: float | Sequence[float] | None = None,
        future: Any = None,
        *,
        hierarchy: Sequence[str] | None = None,
        reconcile: Literal["bottom_up", "mint"] = "bottom_up",
    ) -> Any:
        """Forecast the next steps, with intervals, as a long table.

        Parameters
        ----------
        X : array (n, steps), list of arrays, table or Panel, optional
            See `predict`.
        level : float or sequence of float, optional
            Percentages of outcomes that the intervals should contain. Default: those of the
            estimator.
        future : table or Panel, optional
            See `predict`.
        hierarchy : list of str, optional
            Static columns, the highest first, such as ``["department", "category"]``. The table
            then begins with their totals, and all add up exactly. It has a column ``level``
            ("total", "department", "department/category", "item"), these columns, and ids as text.
        reconcile : {"bottom_up", "mint"}, default="bottom_up"
            "bottom_up" adds up the items. "mint" also forecasts each total by itself, and weighs
            forecasts by the variance of their errors (minimum trace), which changes the items too.

        Returns
        -------
        table of the kind of X, or dict of str to ndarray
            A dict if X is not a table; ``pandas.DataFrame`` and ``polars.DataFrame`` accept it. One
            row per item and step, ``n_items * horizon`` rows. Columns: ``id`` and ``time``, with
            the names of the table (``unique_id``, ``ds``); ``step`` (1, 2, ...); ``mean``; and
            ``lo-80`` and ``hi-80`` for level 80. Days of the week and hours without any value in
            `fit` are skipped. There is no ``time`` if the time stamps follow no regular step; a
            warning says so, and which dates vrae cannot know to be holidays.

        Raises
        ------
        InvalidParameterError
            A level is not above 0 and at most 99.
        """
        self._check_fitted()
        levels = self._items_.levels if level is None else check_levels(level)
        columns = check_hierarchy(hierarchy, reconcile)
        query, forecasts = self._forecast(X, levels, future)
        if columns:
            query, forecasts = with_totals(query, forecasts, self.forecast_, columns, reconcile)
        kind = self._items_.kind if X is None else TableKind.of(X, self.model_.reading_)
        return forecast_table(query, forecasts, kind, self.model_.calendar_.zone if self.model_.calendar_ else None)

    @property
    def score(self) -> NoReturn:
        """Not available, since a test set holds other items, not later steps."""
        raise AttributeError("A test set holds other items, not later steps. See selection_ and weights_.")

    def _forecast(self, X: Any, levels: Sequence[float], future: Any = None) -> tuple[ItemQuery, dict[str, Floats]]:
        """Return the items, and their forecasts by name, each (n_items, horizon)."""
        query = self._query(X)
        return query, self._items_.forecast(query, self.forecast_, levels, future, self.model_)

    def _query(self, X: Any) -> ItemQuery:
        """Return the items of X, or those of `fit`, at their last step."""
        self._check_fitted()
        if X is None:
            return self._items_.query(self.forecast_.stage)
        return self._items_.query_others(X, self.model_, self.forecast_.stage, self.season_length)

    def _result(self) -> str:
        return f"{plural(self.n_clusters_, 'group')}, horizon {self.horizon}"

    # ---------------------------------------------------------------- model directory

    def _state(self) -> tuple[dict[str, Any], Arrays]:
        stage = self.forecast_.stage
        own, arrays = self._items_.state()
        config = {"selection": self.selection_, **own, **stage.plan.saved(), "variation": stage.variation.relative}
        return config, {**self.forecast_.arrays(), **arrays}

    def _restore(self, config: dict[str, Any], arrays: Arrays) -> None:
        self.level = config["levels"]
        self.model.set_params(scaling="series")  # each stage replaces it by None
        plan = ForecastPlan.restore(config, self.horizon, self.clusterer, self.classical, self.model_)
        self._adopt(GroupForecast.from_arrays(arrays, plan, config["variation"], len(self.ids_)))
        self.selection_ = config["selection"]
        self._items_ = FittedItems.from_state(config, arrays, self.ids_, self.horizon)
        self.covariates = self._items_.covariates or None
