"""Covariates of the series of a forecaster: learned in `fit`, and applied to forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from vrae.data.calendar import Calendar, time_text
from vrae.data.containers import is_table
from vrae.data.covariate_panels import place_on_steps, read_covariates, read_with_covariates, split_covariates
from vrae.data.panel import Panel
from vrae.data.reading import as_panel
from vrae.data.table_options import TableOptions
from vrae.estimators.forecasting.calendar_matrix import CalendarMatrix
from vrae.estimators.forecasting.covariates import CovariateEffects, covariate_blocks
from vrae.estimators.forecasting.forecast_tables import ItemQuery
from vrae.exceptions import InvalidDataError, InvalidParameterError, name_some, unsaid

__all__ = [
    "FuturePlan",
    "check_covariates",
    "future_factors",
    "learn_covariates",
    "open_series",
    "read_future",
    "read_series",
    "split_series",
    "without_covariates",
]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FuturePlan:
    """Future values of covariates that were read."""

    panel: Panel
    name: str  # of the file, or the argument, for messages

    @classmethod
    def read(cls, future: Any, reading: TableOptions | None, names: Sequence[str], calendar: Calendar | None) -> Self:
        """Read a table or panel of future values."""
        name = f"future={str(future)!r}" if isinstance(future, (str, PathLike)) else "future="
        return cls(read_covariates(future, reading, names, calendar), name)

    def at(self, ids: npt.NDArray[Any], times: Any, horizon: int, calendar: Calendar | None) -> Floats:
        """Return the values at the steps to forecast, or raise if there are none."""
        given = place_on_steps(self.panel, ids, times, horizon, calendar)
        if np.isnan(given).all():
            raise InvalidDataError(_nothing_known(self.name, self.panel, ids, times))
        return given


def check_covariates(covariates: Any) -> list[str]:
    """Return the names of covariates as a list, or raise if one is no name, or twice there."""
    names = [covariates] if isinstance(covariates, str) else list(covariates or ())
    if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise InvalidParameterError(
            f"covariates={covariates!r:.200} must be names of columns, each once, such as ['price', 'promo']."
        )
    return names


def open_series(X: Any, names: Sequence[str], remembered: TableOptions | None = None) -> Any:
    """Return X, or a panel with covariates as its last channels if there are any."""
    if not names:
        return X
    if not is_table(X):
        return read_with_covariates(X, TableOptions(), names)
    return read_with_covariates(X, TableOptions() if remembered is None else remembered.recalled(), names)


def learn_covariates(
    covariates: Panel, ids: npt.NDArray[Any], calendar: CalendarMatrix, horizon: int, season: int
) -> tuple[CovariateEffects, CalendarMatrix]:
    """Return the effects of covariates, and the calendar matrix without them.

    ``covariates`` has all steps, ``calendar`` those up to the end of the series ``ids``.
    """
    raw = _past(covariates, ids, calendar)
    times = calendar.next_times(horizon)
    future = place_on_steps(covariates, ids, times, horizon, calendar.calendar)
    if times is None:
        future[:] = np.nan
    block = covariate_blocks(season)
    effects = CovariateEffects.fit(covariates.channels, calendar.values, raw, future, ids, block)
    return effects, replace(calendar, values=calendar.values / effects.of_past(raw))


def without_covariates(
    effects: CovariateEffects, covariates: Panel, ids: npt.NDArray[Any], calendar: CalendarMatrix, times: Any
) -> tuple[CovariateEffects, CalendarMatrix]:
    """Return what `learn_covariates` does, for items of known effects and their next ``times``."""
    raw = _past(covariates, ids, calendar)
    factors, found = effects.of_items(ids, raw, ~np.isnan(calendar.values))
    if times is not None:
        future = place_on_steps(covariates, ids, times, len(times), calendar.calendar)
        found = replace(found, future=future)
    return found, replace(calendar, values=calendar.values / factors)


def future_factors(query: ItemQuery, future: Any, reading: TableOptions | None, calendar: Any, horizon: int) -> Floats:
    """Return by how much covariates change the forecasts of items, (n, horizon).

    ``future`` has their values; what it lacks is taken from the table of the items.
    """
    effects = query.effects
    assert effects is not None
    known = effects.future
    if future is not None:
        plan = future if isinstance(future, FuturePlan) else FuturePlan.read(future, reading, effects.names, calendar)
        given = plan.at(query.ids, query.times, horizon, calendar)
        known = known.copy()
        for c, name in enumerate(plan.panel.channels):
            if name in effects.names:
                k = effects.names.index(name)
                known[:, :, k] = np.where(np.isnan(given[:, :, c]), known[:, :, k], given[:, :, c])
    return effects.of_future(known, None if future is None else plan.name)


def read_future(future: Any, panel: Panel, names: Sequence[str], horizon: int) -> FuturePlan:
    """Read the future of a panel with covariates, before a forecaster is trained.

    Raises
    ------
    InvalidDataError
        It has no value that forecasts of the panel could use.
    """
    series, _ = split_series(panel, names)
    with unsaid():  # `fit` and the forecast say it
        matrix = CalendarMatrix.from_panel(series, horizon)
        times = matrix.next_times(horizon)
    plan = FuturePlan.read(future, panel.reading, names, matrix.calendar)
    plan.at(panel.ids, times, horizon, matrix.calendar)
    return plan


def read_series(X: Any, covariates: Any) -> tuple[Panel, Panel | None]:
    """Return the series of X to forecast and their covariates, None without any."""
    names = check_covariates(covariates)
    return split_series(as_panel(open_series(X, names)), names)


def split_series(panel: Panel, names: Sequence[str]) -> tuple[Panel, Panel | None]:
    """Return the series to forecast and their covariates, None without any."""
    return split_covariates(panel, names) if names else (panel, None)


def _nothing_known(name: str, panel: Panel, wanted: npt.NDArray[Any], steps: Any) -> str:
    """Say why future values are none of those that are needed."""
    own = {str(series) for series in panel.ids.tolist()}
    if np.isnan(panel.values).all():
        return f"{name} has no value of the covariates {name_some(panel.channels)}: all are empty."
    if own != {"*"} and not own & {str(series) for series in wanted.tolist()}:
        ids = f"its ids are {name_some(panel.ids)}, and those of the forecasts {name_some(wanted)}"
        return f"{name} has no row for the items to forecast: {ids}."
    if panel.times is None or steps is None or panel.times.dtype.kind != steps.dtype.kind:
        return f"{name} has no value for the steps to forecast."
    first, last = (
        " to ".join(time_text(end, panel.zone) for end in (times.min(), times.max())) for times in (panel.times, steps)
    )
    return f"{name} has no row for the steps to forecast: its times are {first}, and those of the forecasts {last}."


def _past(covariates: Panel, ids: npt.NDArray[Any], calendar: CalendarMatrix) -> Floats:
    return place_on_steps(covariates, ids, calendar.times, calendar.n_steps, calendar.calendar, at_end=True)
