"""GroupForecaster: what items will do, learned from the items that they are like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, asdict, dataclass, fields
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from vrae.config import check_flag, check_int, check_real
from vrae.data.containers import TableKind
from vrae.data.panel import Panel
from vrae.estimators.base import BaseVRAE, check_enough
from vrae.estimators.forecasting.backtest import Backtest, combined, origins, tried_numbers
from vrae.estimators.forecasting.classical import check_statsforecast
from vrae.estimators.forecasting.combination import Combination
from vrae.estimators.forecasting.saved import stage_arrays, stage_from_arrays
from vrae.estimators.forecasting.stage import Groups, Plan, Stage
from vrae.estimators.forecasting.windows import Course, Floats, Windows, windows_at
from vrae.estimators.options import Options
from vrae.estimators.partition import check_clusterer, labels_of
from vrae.exceptions import InvalidDataError, InvalidParameterError, name_some
from vrae.runtime import seed_of

__all__ = ["GroupForecaster"]

# Steps of a season, by the time from one step to the next.
_SEASONS = {"h": 24, "D": 7, "W": 52, "M": 12, "Q": 4}
# Steps before the origin that are looked at, at least.
_CONTEXT = 16
# Steps of the past that training windows are taken from, in contexts and horizons.
_MEMORY = 8


@dataclass(eq=False, repr=False)
class GroupForecaster(BaseVRAE):
    """Forecast many items together: short, sparse and new ones are read with what their group has taught.

    Each item is scaled by its own past. A network that has learned to complete series from their beginning sums up
    what was seen of an item in a latent vector; items are grouped by these. One linear model for all items, and each
    group's departure from it, the network's own completion, the item's level and classical forecasts are combined
    with weights that did well in backtests, for each group. The errors of the backtests give the intervals.

    All options of `BaseVRAE` can be set too, by name, but ``max_lag``, ``level_weight`` and ``scaling``.

    Parameters
    ----------
    horizon : int, default=13
        Steps to forecast.
    n_clusters : int or "auto", default="auto"
        Number of groups. "auto": of 1, 2, 4, 8 and 12 the number that did best in backtests.
    season_length : int or "auto", default="auto"
        Steps of a season; 1 is none. "auto": 24 for hours, 7 for days, 52 for weeks, 12 for months, 4 for quarters,
        where the panel has time stamps; else 1.
    level : float or sequence of float, default=80
        Per cent of the outcomes that an interval is to hold.
    clusterer : {"gmm", "kmeans", "ward", "hdbscan"} or scikit-learn clusterer, default="gmm"
        What groups the latent vectors.
    n_backtests : int, default=2
        Origins in the past, a horizon apart, from which forecasts are tried. Each one trains a network.
    classical : bool, default=True
        Forecast each item by itself too (smoothing, ADIDA). Needs ``pip install 'vrae[forecast]'``.

    Attributes
    ----------
    labels_ : ndarray of int64, shape (n_items,)
        Group of every item.
    n_clusters_ : int
    selection_ : list of dict
        For "auto": ``n_clusters`` and ``score``, the mean squared error in backtests, of every number tried.
    members_ : tuple of str
        Names of the forecasts that are combined.
    weights_ : ndarray, shape (2, n_clusters_, n_members)
        Their weights, for new items (12 observed steps at most) and for all others.
    ids_, embedding_, history_, network_, active_units_
        See `BaseVRAE`; of the items, seen from the last step.

    References
    ----------
    Montero-Manso & Hyndman, "Principles and algorithms for forecasting groups of time series", International Journal
    of Forecasting 2021 (pooled models). Vovk, Gammerman & Shafer, "Algorithmic Learning in a Random World", 2005
    (intervals).

    Examples
    --------
    >>> import numpy as np
    >>> from vrae import GroupForecaster
    >>> X = 10 + np.random.default_rng(0).standard_normal((30, 40))
    >>> forecaster = GroupForecaster(horizon=4, max_epochs=2, n_backtests=1, classical=False, random_state=0)
    >>> forecaster.fit(X).predict().shape
    (30, 4)
    >>> forecaster.predict(X[:2, :3]).shape  # new items, seen for three steps
    (2, 4)
    """

    horizon: int = 13
    n_clusters: int | Literal["auto"] = "auto"
    _: KW_ONLY
    season_length: int | Literal["auto"] = "auto"
    level: float | Sequence[float] = 80
    clusterer: Any = "gmm"
    n_backtests: int = 2
    classical: bool = True

    # ---------------------------------------------------------------- fit

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from items up to now.

        Parameters
        ----------
        X : array (n, steps), list of arrays, table or Panel
            NaN is a missing value. With time stamps all items lie on one calendar, the distinct stamps; without, all
            end now.
        y : ignored

        Returns
        -------
        self
            As it was before, if anything is raised.

        Raises
        ------
        InvalidDataError
            The longest item has less than twice ``horizon`` steps, or than 3; several channels; or see `BaseVRAE.fit`.
        InvalidParameterError
        MissingDependencyError
            statsforecast is not installed, and ``classical`` is set.
        """
        horizon, levels = self._checked_options()
        panel, rows = self._usable(X)
        course = self._course(panel, horizon)
        self._check_items(course, panel, rows, horizon)
        plan = self._plan(course, horizon)
        options = self._network_options(plan.seed)
        backtests = [Backtest.run(course, origin, plan, options) for origin in origins(course, plan, self.n_backtests)]
        selection: list[dict[str, float]] = []
        if self.n_clusters == "auto":
            selection = tried_numbers(backtests, len(rows))
        best = min(selection, key=lambda tried: tried["score"])["n_clusters"] if selection else self.n_clusters
        stage = Stage.fit(course, plan, options)
        groups = stage.grouped(int(best))
        membership = groups.membership(stage.network.encode(stage.items)[0])
        combination = combined(backtests, int(best), membership)
        self._forget()
        self._adopt(stage, groups, combination)
        self._count_features(panel, rows)
        self.ids_, self.selection_ = panel.ids, selection
        self.nonnegative_ = bool(np.nanmin(course.values) >= 0)
        self.next_times_, self._levels_ = course.next_times(horizon), levels
        self._empty_ = np.isin(np.arange(len(panel)), rows, invert=True)
        self._kind_ = TableKind.of(X)
        return self

    def _adopt(self, stage: Stage, groups: Groups, combination: Combination) -> None:
        self.stage_, self.groups_, self.combination_ = stage, groups, combination
        network = stage.network
        learned = {n: v for n, v in vars(network).items() if n.endswith("_") and not n.startswith("_")}
        self.__dict__.update(learned)  # of the network; what is said of items takes the place of what is of windows
        self.n_steps_ = stage.plan.n_context + stage.plan.horizon
        z = network.encode(stage.items)[0]
        self.embedding_ = z.astype(np.float32)
        self.labels_ = labels_of(groups.partition.predict_proba(groups.space(z)))
        self.n_clusters_, self.members_ = len(groups.shares), stage.plan.members
        self.weights_ = combination.weights

    def _checked_options(self) -> tuple[int, list[float]]:
        horizon = check_int("horizon", self.horizon, low=1)
        check_int("n_backtests", self.n_backtests, low=1)
        check_clusterer(self.clusterer)
        if self.n_clusters != "auto":
            check_int("n_clusters", self.n_clusters, low=1, auto=True)
        if self.season_length != "auto":
            check_int("season_length", self.season_length, low=1, auto=True)
        for name, usual in (("max_lag", 0), ("level_weight", 0), ("scaling", "series")):
            if getattr(self, name) != usual:
                raise InvalidParameterError(
                    f"{name}={getattr(self, name)!r} does not go with forecasts, which need every item on its own "
                    f"scale and every step in its place. Leave {name} at {usual!r}."
                )
        if check_flag("classical", self.classical):
            check_statsforecast()
        return horizon, check_levels(self.level)

    def _course(self, panel: Panel, horizon: int) -> Course:
        longest = (
            4 * max(366, 2 * horizon) if self.season_length == "auto" else 4 * max(self.season_length, 2 * horizon)
        )
        return Course.of(panel, longest + _MEMORY * horizon)

    def _check_items(self, course: Course, panel: Panel, rows: npt.NDArray[np.int64], horizon: int) -> None:
        check_enough(panel, rows)
        if course.n_steps < 3:
            raise InvalidDataError(
                f"The series cover {course.n_steps} steps; a forecast takes 3 at least, two to learn from and one to "
                f"try it on. Pass a longer past."
            )
        if course.n_steps < 2 * horizon:
            raise InvalidDataError(
                f"horizon={horizon} is too long: the series cover {course.n_steps} steps, and trying forecasts in the "
                f"past takes twice the horizon. Ask for horizon={course.n_steps // 2} at most, or pass a longer past."
            )
        if self.n_clusters != "auto" and self.n_clusters > len(rows):
            raise InvalidParameterError(
                f"n_clusters={self.n_clusters} is more than the {len(rows)} series that can be grouped. Ask for fewer."
            )
        early = ~np.isnan(course.values[:, : course.n_steps - horizon]).all(axis=1)
        late = ~np.isnan(course.values[:, course.n_steps - horizon :]).all(axis=1)
        if (early & late).sum() < 2:
            raise InvalidDataError(
                f"Fewer than 2 series have values both before and within the last {horizon} steps (ids of some others: "
                f"{name_some(panel.ids[~(early & late)])}): no forecast can be tried. Ask for a shorter horizon."
            )

    def _plan(self, course: Course, horizon: int) -> Plan:
        season = _season_of(course.times) if self.season_length == "auto" else int(self.season_length)
        n_context = max(season, 2 * horizon, _CONTEXT)
        return Plan(horizon, n_context, season, self.clusterer, self.classical, seed_of(self.random_state))

    def _network_options(self, seed: int) -> dict[str, Any]:
        names = {f.name for f in fields(Options)}
        return {**{n: getattr(self, n) for n in names}, "scaling": None, "random_state": seed}

    # ---------------------------------------------------------------- use

    def predict(self, X: Any = None) -> Floats:
        """Return forecasts of the next steps.

        Parameters
        ----------
        X : array (n, steps), list of arrays, table or Panel, optional
            Items seen up to now, new ones or known ones; a few steps are enough. Default: the items of `fit`.

        Returns
        -------
        ndarray of float64, shape (n_items, horizon)
            In order of the items, in their units. Where no value of `fit` was negative, none here is. NaN for a series
            without any observed value.
        """
        return self._forecast(X, ())[1]["mean"]

    def predict_proba(self, X: Any = None) -> Floats:
        """Return the probability of each group for each item, (n_items, n_clusters_)."""
        _, windows, empty, _ = self._seen(X)
        membership = self.groups_.membership(self.stage_.network.encode(windows)[0])
        membership[empty] = 0.0
        return membership

    def predict_table(self, X: Any = None, level: float | Sequence[float] | None = None) -> Any:
        """Return forecasts with intervals as a long table.

        Parameters
        ----------
        X
            See `predict`.
        level : float or sequence of float, optional
            Default: that of the estimator.

        Returns
        -------
        table of the kind of X (default: of what was fitted), or dict of str to ndarray
            A dict if X is no table; ``pandas.DataFrame`` and ``polars.DataFrame`` take it as it is. Columns, of
            ``n_items * horizon`` rows, item after item: ``id`` and ``time``, or what a table calls them (``unique_id``,
            ``ds``), the latter where the stamps keep a rhythm; ``step`` (1, 2, ...); ``mean``, and ``lo-80`` and
            ``hi-80`` for level 80.

        Raises
        ------
        InvalidParameterError
            A level is not between 0 and 100.
        """
        self._check_fitted()
        levels = self._levels_ if level is None else check_levels(level)
        ids, found, times = self._forecast(X, levels)
        horizon = self.stage_.plan.horizon
        columns: dict[str, npt.NDArray[Any]] = {
            "id": np.repeat(ids, horizon),
            "step": np.tile(np.arange(1, horizon + 1), len(ids)),
        }
        if times is not None:
            columns["time"] = np.tile(times, len(ids))
        columns |= {name: values.ravel() for name, values in found.items()}
        kind = self._kind_ if X is None else TableKind.of(X)
        return columns if kind is None else kind.table(columns)

    def _forecast(
        self, X: Any, levels: Sequence[float]
    ) -> tuple[npt.NDArray[Any], dict[str, Floats], npt.NDArray[Any] | None]:
        ids, windows, empty, (times, shift) = self._seen(X)
        members, membership = self.stage_.members(self.stage_.look(windows), self.groups_, shift)
        mean = self.combination_.predict(members, membership, windows.age)
        scaled = {"mean": mean}
        for level in levels:
            for side, probability in (("lo", 0.5 - level / 200), ("hi", 0.5 + level / 200)):
                edge = mean + self.combination_.error(probability, membership, windows.age)
                scaled[f"{side}-{level:g}"] = np.minimum(edge, mean) if side == "lo" else np.maximum(edge, mean)
        found = {name: windows.scale.undo(values) for name, values in scaled.items()}
        for values in found.values():
            if self.nonnegative_:
                np.maximum(values, 0.0, out=values)
            values[empty] = np.nan
        return ids, found, times

    def _seen(
        self, X: Any
    ) -> tuple[npt.NDArray[Any], Windows, npt.NDArray[np.bool_], tuple[npt.NDArray[Any] | None, int]]:
        """Return ids, windows at the items' last step, which of them are empty, the times to come, and the shift."""
        self._check_fitted()
        stage = self.stage_
        if X is None:
            return self.ids_, stage.items, self._empty_, (self.next_times_, 0)
        panel, rows = self._usable(X)
        course = self._course(panel, stage.plan.horizon)
        windows = windows_at(course, course.n_steps, stage.plan.n_context, stage.plan.horizon, stage.variation)
        empty = np.ones(len(panel), bool)
        empty[rows] = False
        times = course.next_times(stage.plan.horizon)
        known = self.next_times_
        if known is None or course.times is None or known.dtype.kind != course.times.dtype.kind:
            return panel.ids, windows, empty, (times, 0)
        # Steps by which these items end later than those of fit; an earlier end is taken as it is.
        shift = int((course.times[-1] >= known).sum())
        if len(known) > 1:
            gap = known[-1] - known[-2]
            if shift == len(known):
                shift += int((course.times[-1] - known[-1]) // gap)
            if times is None and shift == 0 and known[0] - course.times[-1] < 2 * gap:
                times = known  # one step alone has no rhythm, but ends where those of fit did
        return panel.ids, windows, empty, (times, shift)

    # ---------------------------------------------------------------- model directory

    def _state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        plan = self.stage_.plan
        times = self.next_times_
        config = {
            "selection": self.selection_,
            "table": self._kind_ and asdict(self._kind_),
            "levels": self._levels_,
            "nonnegative": self.nonnegative_,
            "season": plan.season,
            "n_context": plan.n_context,
            "variation": self.stage_.variation,
            "next_times": None if times is None else times.astype("U" if times.dtype.kind == "M" else "f8").tolist(),
            "next_times_type": None if times is None else times.dtype.str,
        }
        arrays = stage_arrays(self.stage_, self.groups_, self.combination_)
        return config, {**arrays, "empty": self._empty_.astype(np.uint8)}

    def _restore(self, config: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> None:
        self.level = config["levels"]
        plan = Plan(self.horizon, config["n_context"], config["season"], self.clusterer, self.classical, 0)
        options = self._network_options(0)
        stage, groups, combination = stage_from_arrays(self, plan, options, config["variation"], arrays)
        self._adopt(stage, groups, combination)
        self.selection_, self._levels_ = config["selection"], config["levels"]
        self.nonnegative_, self._empty_ = config["nonnegative"], arrays["empty"] == 1
        table, times = config.get("table"), config["next_times"]
        self._kind_ = TableKind(**{name: value and str(value) for name, value in table.items()}) if table else None
        self.next_times_ = None if times is None else np.array(times).astype(config["next_times_type"])


def check_levels(level: Any) -> list[float]:
    """Return levels of intervals, or raise if one is not a per cent."""
    levels = list(level) if isinstance(level, (list, tuple, np.ndarray)) else [level]
    return [check_real("level", one, above=0, below=100) for one in levels]


def _season_of(times: npt.NDArray[Any] | None) -> int:
    """Return the steps of a season by the usual time between steps; 1 where it says nothing."""
    if times is None or times.dtype.kind != "M" or len(times) < 3:
        return 1
    hours = np.median(np.diff(times).astype("timedelta64[s]").astype(np.float64)) / 3600
    ranges = {"h": (1, 1), "D": (24, 24), "W": (168, 168), "M": (24 * 28, 24 * 31), "Q": (24 * 89, 24 * 92)}
    found = [_SEASONS[unit] for unit, (low, high) in ranges.items() if low <= hours <= high]
    return found[0] if found else 1
