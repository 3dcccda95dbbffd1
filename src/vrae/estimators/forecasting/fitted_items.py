"""The items of a forecaster: before it is fitted, afterwards, and others that it forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from vrae.data.batching import Indices
from vrae.data.containers import TableKind
from vrae.data.later_times import on_calendar_of_model
from vrae.data.panel import Panel
from vrae.data.reading import as_panel
from vrae.estimators.forecasting.calendar_matrix import CalendarMatrix
from vrae.estimators.forecasting.categories import warn_of_unknown
from vrae.estimators.forecasting.covariate_series import (
    future_factors,
    open_series,
    split_series,
    without_covariates,
)
from vrae.estimators.forecasting.covariates import CovariateEffects
from vrae.estimators.forecasting.forecast_tables import ItemQuery
from vrae.estimators.forecasting.forecast_windows import windows_at
from vrae.estimators.forecasting.open_steps import OpenSteps
from vrae.estimators.forecasting.plan import ForecastPlan, past_length
from vrae.estimators.forecasting.stage import GroupForecast, Stage
from vrae.estimators.vrae import VRAE
from vrae.exceptions import DataWarning, InvalidParameterError, warn
from vrae.io.folder import Arrays, nested, shaped, subset
from vrae.io.plain import times_from_json, times_to_json

__all__ = ["FittedItems", "PreparedItems", "open_items"]

# Up to these fractions of all values, and of an item's, negative ones are exceptions: returns.
_RARE, _RARE_OF_ITEM = 0.02, 0.1


Floats = npt.NDArray[np.float64]


class PreparedItems(NamedTuple):
    """What `GroupForecaster.fit` needs to know before there is a network."""

    panel: Panel
    indices: Indices  # of the items with observed values
    calendar: CalendarMatrix
    plan: ForecastPlan
    levels: list[float]
    kind: TableKind | None
    effects: CovariateEffects | None = None


@dataclass(frozen=True)
class FittedItems:
    """What a forecaster knows of its items, apart from their windows."""

    ids: npt.NDArray[Any]
    empty: npt.NDArray[np.bool_]  # items without any observed value
    levels: list[float]  # of the intervals
    nonnegative: npt.NDArray[np.bool_]  # items whose values are not negative, apart from rare ones such as returns
    kind: TableKind | None
    last_time: Any  # time stamp of the last step, if there are times
    next_times: npt.NDArray[Any] | None  # (horizon,)
    open_steps: OpenSteps | None
    date_notes: list[str]
    effects: CovariateEffects | None
    static: dict[str, npt.NDArray[Any]]

    @classmethod
    def of(cls, prepared: PreparedItems) -> Self:
        """Return what is kept of the items of a fit."""
        panel, calendar = prepared.panel, prepared.calendar
        return cls(
            panel.ids,
            np.isin(np.arange(len(panel)), prepared.indices, invert=True),
            prepared.levels,
            _nonnegative_items(calendar.values),
            prepared.kind,
            None if calendar.times is None else calendar.times[-1],
            calendar.next_times(prepared.plan.horizon),
            calendar.open_steps,
            calendar.notes(panel.ids, prepared.plan.horizon),
            prepared.effects,
            dict(calendar.static),
        )

    @property
    def covariates(self) -> list[str]:
        """Names of the covariates."""
        return [] if self.effects is None else self.effects.names

    def effects_table(self) -> Any:
        """Return how covariates change the values, as a table of the kind of the items."""
        if self.effects is None:
            return None
        table = self.effects.table()
        return table if self.kind is None else self.kind.table(table)

    def query(self, stage: Stage) -> ItemQuery:
        """Return the items at their last step."""
        known = (self.nonnegative, self.date_notes, self.effects, self.static)
        return ItemQuery(self.ids, stage.items, self.empty, self.next_times, 0, *known)

    def query_others(self, X: Any, model: VRAE, stage: Stage, season_length: int | Literal["auto"]) -> ItemQuery:
        """Return the items of X at their last step."""
        panel, covariates = open_items(X, model, self.covariates)
        panel, indices = model.usable(panel)
        plan = stage.plan
        n_past = past_length(season_length, plan.horizon)
        calendar = CalendarMatrix.from_panel(panel, n_past, model.calendar_, self.open_steps)
        times, shift = calendar.horizon_after(plan.horizon, self.next_times)
        effects = self.effects
        if effects is not None and covariates is not None:
            effects, calendar = without_covariates(effects, covariates, panel.ids, calendar, times)
        if plan.categories:
            warn_of_unknown(plan.categories, calendar.static)
        windows = windows_at(calendar, calendar.n_steps, plan, stage.variation)
        empty = np.isin(np.arange(len(panel)), indices, invert=True)
        nonnegative = _are_nonnegative(calendar.values) & self.nonnegative.any()
        known = (nonnegative, calendar.notes(panel.ids, plan.horizon), effects, calendar.static)
        return ItemQuery(panel.ids, windows, empty, times, shift, *known)

    def forecast(
        self, query: ItemQuery, forecast: GroupForecast, levels: Sequence[float], future: Any, model: VRAE
    ) -> dict[str, Floats]:
        """Return forecasts by name, each (n, horizon), in the user's units."""
        if future is not None and query.effects is None:
            raise InvalidParameterError("future= has values of covariates, but the forecaster has none: covariates=.")
        found = forecast.forecast(query.windows, query.shift, levels)
        if query.effects is not None:
            horizon = forecast.stage.plan.horizon
            factors = future_factors(query, future, model.reading_, model.calendar_, horizon)
            found = {name: values * factors for name, values in found.items()}
        for values in found.values():
            np.maximum(values, 0.0, out=values, where=query.nonnegative[:, None])
            values[query.empty] = np.nan
        return found

    # ---------------------------------------------------------------- model directory

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return JSON values and arrays to save, except the ids."""
        covariates = None
        arrays: Arrays = {}
        if self.effects is not None:
            covariates, arrays = self.effects.state()
        config = {
            "table": self.kind and asdict(self.kind),
            "levels": self.levels,
            "nonnegative": bool(self.nonnegative.any()),
            "open_steps": self.open_steps and self.open_steps.to_dict(),
            "date_notes": self.date_notes,
            "covariates": covariates,
            "static": {name: column.tolist() for name, column in self.static.items()},
            **times_to_json("last_time", None if self.last_time is None else np.asarray(self.last_time)[None]),
            **times_to_json("next_times", self.next_times),
        }
        flags = {"empty": self.empty.astype(np.uint8), "nonnegative": self.nonnegative.astype(np.uint8)}
        return config, {**nested({"covariates": arrays}), **flags}

    @classmethod
    def from_state(cls, config: dict[str, Any], arrays: Arrays, ids: npt.NDArray[Any], horizon: int) -> Self:
        """Rebuild what `state` returned. Early models lack what came later."""
        table, covariates = config.get("table"), config.get("covariates")
        open_steps, effects = config.get("open_steps"), None
        if covariates:
            effects = CovariateEffects.from_state(covariates, subset(arrays, "covariates"), ids, horizon)
        last_time = times_from_json("last_time", config)
        return cls(
            ids,
            shaped("empty", arrays, ids.shape) == 1,
            config["levels"],
            shaped("nonnegative", arrays, ids.shape) == 1
            if "nonnegative" in arrays
            else np.full(ids.shape, config["nonnegative"]),
            TableKind(**{name: value and str(value) for name, value in table.items()}) if table else None,
            None if last_time is None else last_time[0],
            times_from_json("next_times", config),
            OpenSteps.from_dict(open_steps) if open_steps else None,
            [str(note) for note in config.get("date_notes", ())],
            effects,
            {name: np.array(column, object) for name, column in config.get("static", {}).items()},
        )


def open_items(X: Any, model: VRAE, names: Sequence[str]) -> tuple[Panel, Panel | None]:
    """Return the items of X, read as those of a fitted model, and their covariates ``names``."""
    panel = as_panel(open_series(X, names, model.reading_), model.reading_)
    return split_series(on_calendar_of_model(panel, model.calendar_), names)


def _nonnegative_items(values: Floats) -> npt.NDArray[np.bool_]:
    """Return which items (n,) of values (n_items, n_steps) have no forecast below 0, and say so.

    Sales have returns, but none below 0 are expected. Of other quantities, such as temperatures,
    some values are negative and hardly any is exactly 0.
    """
    found = _are_nonnegative(values)
    values = values[found]
    n_negative = int((values < 0).sum())
    if n_negative > min(_RARE * (~np.isnan(values)).sum(), (values == 0).sum()):
        return np.zeros_like(found)
    if n_negative:
        warn(
            f"Values below 0, such as returns: {n_negative:,}. The fit uses them, but no forecast of an item that "
            f"rarely has one is below 0.",
            DataWarning,
        )
    return found


def _are_nonnegative(values: Floats) -> npt.NDArray[np.bool_]:
    """Return which items (n,) have no negative values, apart from rare ones."""
    n_negative, n_known = (values < 0).sum(axis=1), (~np.isnan(values)).sum(axis=1)
    return (n_negative <= np.maximum(_RARE_OF_ITEM * n_known, 1)) & (n_negative <= (values > 0).sum(axis=1))
