"""GroupForecaster: forecasts of many items, which learn from each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal, NamedTuple, NoReturn, Self

import numpy as np
import numpy.typing as npt
from sklearn.frozen import FrozenEstimator

from vrae.config import check_flag, check_int
from vrae.data.batching import Indices
from vrae.data.containers import TableKind
from vrae.data.later_times import on_calendar_of_model
from vrae.data.panel import Panel
from vrae.describe.words import plural
from vrae.estimators.fitting import check_enough
from vrae.estimators.forecasting.backtest import fit_combination, run_backtests, score_group_numbers
from vrae.estimators.forecasting.calendar_matrix import (
    CalendarMatrix,
    check_length,
    infer_season_length,
    season_in_steps,
)
from vrae.estimators.forecasting.combination import check_levels
from vrae.estimators.forecasting.forecast_tables import ItemQuery, forecast_table
from vrae.estimators.forecasting.forecast_windows import windows_at
from vrae.estimators.forecasting.open_steps import OpenSteps
from vrae.estimators.forecasting.plan import ForecastPlan, check_template, past_length
from vrae.estimators.forecasting.single_forecasts import check_statsforecast
from vrae.estimators.forecasting.stage import GroupForecast, Stage
from vrae.estimators.head import Head, explain_model_options
from vrae.estimators.head_plots import ForecastPlots
from vrae.estimators.partition import check_clusterer, labels_of
from vrae.estimators.plotting import PlotAccessor
from vrae.estimators.vrae import VRAE
from vrae.exceptions import InvalidParameterError
from vrae.io.folder import Arrays, shaped
from vrae.phases import announce, one_phase
from vrae.runtime import seed_of

__all__ = ["GroupForecaster"]

Floats = npt.NDArray[np.float64]


class PreparedItems(NamedTuple):
    """What `GroupForecaster.fit` needs to know before there is a network."""

    panel: Panel
    indices: Indices  # of the items with observed values
    calendar: CalendarMatrix
    plan: ForecastPlan
    levels: list[float]
    kind: TableKind | None


class GroupForecaster(Head):
    """Forecast many items together. Items with few or sparse values learn from their group.

    The forecaster scales each item by its own past. A network learns to complete windows from their
    beginning, and compresses what is known of an item into a latent vector. Items are grouped by
    these vectors. Up to six forecasts are combined: the item's level, the value of a season ago,
    classical smoothing, one linear model of all items, the same with coefficients for each group,
    and the network's completion. Backtests give their weights for each group, and the errors behind
    the intervals.

    Parameters
    ----------
    horizon : int, default=13
        Number of steps to forecast.
    n_clusters : int or "auto", default="auto"
        Number of groups. "auto" compares 1, 2, 4, 8 and 12 in backtests; see ``selection_``.
    season_length : int or "auto", default="auto"
        Steps of a season. 1 is none. "auto" takes 24 for hours, 7 for days, 52 for weeks, 12 for
        months and 4 for quarters if the series have time stamps, else 1.
    level : float or sequence of float, default=80
        Percentages of outcomes that the intervals should contain.
    clusterer : {"kmeans", "gmm", "ward", "hdbscan"} or scikit-learn clusterer, default="kmeans"
        Groups the latent vectors.
    n_backtests : int, default=2
        Number of earlier origins, a horizon apart. Each trains a network.
    classical : bool, default=True
        Forecast each item by itself too (exponential smoothing, ADIDA). Needs
        ``pip install 'vrae[forecast]'``.
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
    weights_ : ndarray of float64, shape (2, n_clusters_, n_members)
        Weights of the forecasts, for new items (at most 12 observed steps) and for all others.
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
        combination = fit_combination(backtests, n_clusters, groups.membership(stage.item_means))
        return self._summarise(prepared, GroupForecast(stage, groups, combination), selection)

    def _prepare(self, X: Any) -> PreparedItems:
        """Check options and items, and align the items on one calendar."""
        template, levels = self._template(), self._checked_levels()
        panel, indices = template.usable(X)
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
        given = self.season_length
        season = infer_season_length(calendar) if given == "auto" else season_in_steps(calendar, int(given))
        plan = ForecastPlan.choose(self.horizon, season, self.clusterer, self.classical, seed, template)
        return PreparedItems(panel, indices, calendar, plan, levels, TableKind.of(X, panel.reading))

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
        self.selection_, self._levels_, self._kind_ = selection, prepared.levels, prepared.kind
        self.nonnegative_ = bool(np.nanmin(calendar.values) >= 0)
        self.next_times_, self._open_steps_ = calendar.next_times(self.horizon), calendar.open_steps
        self._date_notes_ = calendar.date_notes(panel.ids)
        self._empty_ = np.isin(np.arange(len(panel)), indices, invert=True)
        return self

    def _adopt(self, forecast: GroupForecast) -> None:
        """Set the attributes that describe a forecast."""
        self.forecast_, self.model_ = forecast, forecast.stage.model
        self.embedding_, self.ids_ = self.model_.embedding_, self.model_.ids_
        groups, Z = forecast.groups, self.embedding_.astype(np.float64)
        self.labels_ = labels_of(groups.partition.predict_proba(groups.space(Z)))
        self.n_clusters_, self.members_ = groups.n_groups, forecast.stage.plan.members
        self.weights_ = forecast.combination.weights

    def _template(self) -> VRAE:
        """Return a model to clone for each network, or raise if it cannot forecast."""
        if isinstance(self.model, FrozenEstimator):
            raise InvalidParameterError(
                "GroupForecaster cannot use a frozen model: it trains several networks, each on windows of the past. "
                "Pass model=VRAE(...) with the same options."
            )
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

    def predict(self, X: Any = None) -> Floats:
        """Forecast the next steps.

        Parameters
        ----------
        X : array (n, steps), list of arrays, table or Panel, optional
            The past of new or known items, a few steps or more. Default: the items of `fit`.

        Returns
        -------
        ndarray of float64, shape (n_items, horizon)
            In input order, in the units of X. Not negative if no value of `fit` was. NaN for a
            series without any observed value.
        """
        return self._forecast(X, ())[1]["mean"]

    def predict_proba(self, X: Any = None) -> Floats:
        """Return the probability of every group for every item, shape (n_items, n_clusters_).

        Rows sum to 1. A row of zeros belongs to a series without any observed value.
        """
        query = self._query(X)
        membership = self.forecast_.membership(query.windows)
        membership[query.empty] = 0.0
        return membership

    def predict_table(self, X: Any = None, level: float | Sequence[float] | None = None) -> Any:
        """Forecast the next steps, with intervals, as a long table.

        Parameters
        ----------
        X : array (n, steps), list of arrays, table or Panel, optional
            See `predict`.
        level : float or sequence of float, optional
            Percentages of outcomes that the intervals should contain. Default: those of the
            estimator.

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
            A level is not between 0 and 100.
        """
        self._check_fitted()
        levels = self._levels_ if level is None else check_levels(level)
        query, forecasts = self._forecast(X, levels)
        kind = self._kind_ if X is None else TableKind.of(X, self.model_.reading_)
        return forecast_table(query, forecasts, kind, self.model_.calendar_.zone if self.model_.calendar_ else None)

    @property
    def score(self) -> NoReturn:
        """Not available, since a test set holds other items, not later steps."""
        raise AttributeError("A test set holds other items, not later steps. See selection_ and weights_.")

    def _forecast(self, X: Any, levels: Sequence[float]) -> tuple[ItemQuery, dict[str, Floats]]:
        """Return the items, and their forecasts by name, each (n_items, horizon)."""
        query = self._query(X)
        forecasts = self.forecast_.forecast(query.windows, query.shift, levels)
        for values in forecasts.values():
            if self.nonnegative_:
                np.maximum(values, 0.0, out=values)
            values[query.empty] = np.nan
        return query, forecasts

    def _query(self, X: Any) -> ItemQuery:
        """Return the items of X, or those of `fit`, at their last step."""
        self._check_fitted()
        stage, plan = self.forecast_.stage, self.forecast_.stage.plan
        if X is None:
            return ItemQuery(self.ids_, stage.items, self._empty_, self.next_times_, 0, self._date_notes_)
        panel, indices = self.model_.usable(X, self.model_.reading_)
        fitted = self.model_.calendar_
        panel = on_calendar_of_model(panel, fitted)
        n_past = past_length(self.season_length, plan.horizon)
        calendar = CalendarMatrix.from_panel(panel, n_past, fitted, self._open_steps_)
        windows = windows_at(calendar, calendar.n_steps, plan, stage.variation)
        empty = np.isin(np.arange(len(panel)), indices, invert=True)
        times, shift = calendar.horizon_after(plan.horizon, self.next_times_)
        return ItemQuery(panel.ids, windows, empty, times, shift, calendar.date_notes(panel.ids))

    def _result(self) -> str:
        return f"{plural(self.n_clusters_, 'group')}, horizon {self.horizon}"

    # ---------------------------------------------------------------- model directory

    def _state(self) -> tuple[dict[str, Any], Arrays]:
        stage, times = self.forecast_.stage, self.next_times_
        config = {
            "selection": self.selection_,
            "table": self._kind_ and asdict(self._kind_),
            "levels": self._levels_,
            "nonnegative": self.nonnegative_,
            **stage.plan.saved(),
            "variation": stage.variation,
            "open_steps": self._open_steps_ and self._open_steps_.to_dict(),
            "date_notes": self._date_notes_,
            "next_times": None if times is None else (times.astype("U") if times.dtype.kind == "M" else times).tolist(),
            "next_times_type": None if times is None else times.dtype.str,
        }
        return config, {**self.forecast_.arrays(), "empty": self._empty_.astype(np.uint8)}

    def _restore(self, config: dict[str, Any], arrays: Arrays) -> None:
        self.level = config["levels"]
        self.model.set_params(scaling="series")  # each stage replaces it by None
        plan = ForecastPlan.restore(config, self.horizon, self.clusterer, self.classical, self.model_)
        self._adopt(GroupForecast.from_arrays(arrays, plan, config["variation"], len(self.ids_)))
        self.selection_, self._levels_ = config["selection"], config["levels"]
        self.nonnegative_ = config["nonnegative"]
        self._empty_ = shaped("empty", arrays, self.ids_.shape) == 1
        table, times, open_steps = config.get("table"), config["next_times"], config.get("open_steps")
        self._open_steps_ = OpenSteps.from_dict(open_steps) if open_steps else None
        self._date_notes_ = [str(note) for note in config.get("date_notes", ())]  # early models lack both
        self._kind_ = TableKind(**{name: value and str(value) for name, value in table.items()}) if table else None
        self.next_times_ = None if times is None else np.array(times).astype(config["next_times_type"])
