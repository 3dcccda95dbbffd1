"""Items to forecast, and the table of their forecasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vrae.data.calendar import zoned_times
from vrae.data.containers import TableKind
from vrae.estimators.forecasting.covariates import CovariateEffects
from vrae.estimators.forecasting.forecast_windows import ForecastWindows
from vrae.exceptions import DataWarning, warn

__all__ = ["ItemQuery", "forecast_table"]


class ItemQuery(NamedTuple):
    """Items to forecast, at their last step."""

    ids: npt.NDArray[Any]
    windows: ForecastWindows
    empty: npt.NDArray[np.bool_]  # items without any observed value
    times: npt.NDArray[Any] | None  # (horizon,), time stamps to forecast, if they are regular
    shift: int  # steps by which their horizon is later than that of the fitted items
    nonnegative: npt.NDArray[np.bool_]  # items without forecasts below 0
    date_notes: Sequence[str] = ()  # what a reader of the times should know
    effects: CovariateEffects | None = None  # of covariates, which the windows lack
    static: Mapping[str, npt.NDArray[Any]] = MappingProxyType({})  # (n,) each
    columns: Mapping[str, npt.NDArray[Any]] = MappingProxyType({})  # more columns of the table, (n,) each


def forecast_table(
    query: ItemQuery, forecasts: Mapping[str, npt.NDArray[np.float64]], kind: TableKind | None, zone: str | None
) -> Any:
    """Return a long table: a row per item and step. A dict of arrays without a ``kind``.

    Warns if there are no time stamps although the items have some, or if some may not occur.
    """
    for note in query.date_notes:
        warn(note, DataWarning)
    n, horizon = forecasts["mean"].shape
    columns = {"id": np.repeat(query.ids, horizon)}
    columns |= {name: np.repeat(column, horizon) for name, column in query.columns.items()}
    columns |= {"step": np.tile(np.arange(1, horizon + 1), n)}
    if query.times is not None:
        columns["time"] = np.tile(query.times, n)
    columns |= {name: values.ravel() for name, values in forecasts.items()}
    if kind is not None:
        return kind.table(columns, zone)
    return {**columns, "time": zoned_times(columns["time"], zone)} if "time" in columns else columns
