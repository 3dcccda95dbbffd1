"""Forecasts that add up: items, categories, departments and the total.

Bottom-up adds up the items. Minimum trace also forecasts each total by itself, from the sum of its
items, and makes both agree: each gives way by the variance of its errors. Wickramasuriya,
Athanasopoulos & Hyndman, "Optimal forecast reconciliation for hierarchical and grouped time series
through trace minimization", Journal of the American Statistical Association 2019. The intervals of
totals are always those of their own forecasts, around the means that add up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.linalg import splu

from vrae.config import check_choice
from vrae.estimators.forecasting.calendar_matrix import CalendarMatrix
from vrae.estimators.forecasting.categories import as_text, is_empty
from vrae.estimators.forecasting.forecast_tables import ItemQuery
from vrae.estimators.forecasting.forecast_windows import windows_at
from vrae.estimators.forecasting.stage import GroupForecast
from vrae.exceptions import DataWarning, InvalidDataError, InvalidParameterError, name_some, warn

__all__ = ["Hierarchy", "check_hierarchy", "minimum_trace", "with_totals"]

Floats = npt.NDArray[np.float64]
Reconcile = Literal["mint", "bottom_up"]

# Level of the intervals whose widths stand for the variance of errors.
_WIDTH = 80.0
# Label of items whose column is empty, and the id of the total of all.
_UNKNOWN, _TOTAL = "unknown", "total"


@dataclass(frozen=True)
class Hierarchy:
    """Totals of items by columns, each within those before it."""

    columns: tuple[str, ...]  # the highest first
    paths: tuple[tuple[str, ...], ...]  # labels of each total; () is the total of all items
    sums: sparse.csr_array  # (n_totals, n_items), 1 where an item belongs to a total
    labels: npt.NDArray[Any]  # (n_items, n_columns)

    @classmethod
    def of(cls, columns: Sequence[str], static: Mapping[str, npt.NDArray[Any]], n_items: int) -> Self:
        """Return the totals by static columns of ``n_items`` items."""
        absent = [name for name in columns if name not in static]
        if absent:
            raise InvalidDataError(
                f"hierarchy= needs the static columns {name_some(absent)}. Those of the items are: "
                f"{name_some(list(static)) if static else 'none'}. Name columns that are constant in each series with "
                f"static=."
            )
        labels = np.empty((n_items, len(columns)), object)
        for c, name in enumerate(columns):
            labels[:, c] = [_UNKNOWN if is_empty(value) else as_text(value) for value in static[name]]
            if empty := sum(map(is_empty, static[name])):
                warn(f"{empty:,} items have no {name!r}. They are in {_UNKNOWN!r}.", DataWarning)
        paths: list[tuple[str, ...]] = [()]
        rows, owners = [np.zeros(n_items, np.int64)], [np.arange(n_items)]
        for depth in range(1, len(columns) + 1):
            own = list(map(tuple, labels[:, :depth]))
            position = {path: len(paths) + k for k, path in enumerate(sorted(set(own)))}
            paths += position
            rows.append(np.array([position[path] for path in own], np.int64))
            owners.append(np.arange(n_items))
        where = np.concatenate(rows), np.concatenate(owners)
        sums = sparse.csr_array((np.ones(len(where[0])), where), shape=(len(paths), n_items))
        return cls(tuple(columns), tuple(paths), sums, labels)

    def level(self, path: tuple[str, ...]) -> str:
        """Return the name of the level of a total."""
        return "/".join(self.columns[: len(path)]) or _TOTAL


def check_hierarchy(hierarchy: Any, reconcile: Any) -> list[str]:
    """Return the columns of a hierarchy as a list, after a check of both options; [] for None."""
    check_choice("reconcile", reconcile, ("mint", "bottom_up"))
    if hierarchy is None:
        if reconcile != "bottom_up":
            raise InvalidParameterError(
                f"reconcile={reconcile!r} needs hierarchy=, the columns of the totals: without them there is nothing "
                f"to add up."
            )
        return []
    columns = [hierarchy] if isinstance(hierarchy, str) else list(hierarchy)
    if not columns or not all(isinstance(name, str) for name in columns) or len(set(columns)) < len(columns):
        raise InvalidParameterError(
            f"hierarchy={hierarchy!r:.200} must be names of static columns, each once, the highest first, such as "
            f"['department', 'category']."
        )
    return columns


def with_totals(
    query: ItemQuery,
    forecasts: Mapping[str, Floats],
    forecast: GroupForecast,
    columns: Sequence[str],
    reconcile: Reconcile = "bottom_up",
) -> tuple[ItemQuery, dict[str, Floats]]:
    """Return a query and forecasts of totals and items, the totals first, that add up exactly.

    The rows of ``query`` are those of a table: it has other columns, and no windows of the totals.
    """
    hierarchy = Hierarchy.of(columns, query.static, len(query.ids))
    levels = [float(name[3:]) for name in forecasts if name.startswith("lo-")]
    mint = reconcile == "mint"
    totals = _forecast_totals(query, forecast, hierarchy, [*levels, _WIDTH] if mint else levels)
    items = np.nan_to_num(forecasts["mean"])
    if mint or query.effects is not None:
        plain = forecast.forecast(query.windows, query.shift, [_WIDTH])  # without covariates
        before = hierarchy.sums @ np.nan_to_num(plain["mean"])
        factor = np.where(before > 0, hierarchy.sums @ items / np.where(before > 0, before, 1.0), 1.0)
        totals = {name: values * factor for name, values in totals.items()}  # what covariates do to the items
    if mint:
        variance = [_variance(plain) * _ratio(items, plain["mean"]) ** 2, _variance(totals)]
        items = minimum_trace(items, totals["mean"], variance[0], variance[1], hierarchy.sums)
        np.maximum(items, 0.0, out=items, where=query.nonnegative[:, None])
    items = _summable(items)
    mean = np.concatenate([hierarchy.sums @ items, items])
    nonnegative = np.concatenate([hierarchy.sums @ ~query.nonnegative == 0, query.nonnegative])
    found = {"mean": mean}
    for name, values in forecasts.items():
        if name != "mean":
            center = np.concatenate([totals["mean"], forecasts["mean"]])
            found[name] = _moved(np.concatenate([totals[name], values]), center, mean, nonnegative)
    unknown = np.concatenate([np.zeros(len(hierarchy.paths), bool), query.empty])
    for values in found.values():
        values[unknown] = np.nan
    return _query_of_all(query, hierarchy, unknown), found


def minimum_trace(
    items: Floats, totals: Floats, item_variance: Floats, total_variance: Floats, sums: sparse.csr_array
) -> Floats:
    """Return forecasts (n_items, horizon) of items whose sums agree with forecasts of totals.

    Parameters
    ----------
    items : ndarray, shape (n_items, horizon)
    totals : ndarray, shape (n_totals, horizon)
    item_variance, total_variance : ndarray, shape (n_items,) and (n_totals,)
        Variances of their errors.
    sums : sparse array, shape (n_totals, n_items)

    Notes
    -----
    The usual formula inverts a matrix of all items. By the Woodbury identity, one of the totals
    alone is enough, so that there can be any number of items.
    """
    floor = 1e-9 * max(float(item_variance.max(initial=0.0)), float(total_variance.max(initial=0.0)), 1e-30)
    gain = sums.multiply(np.maximum(item_variance, floor)[None]).tocsr()
    system = (gain @ sums.T + sparse.diags_array(np.maximum(total_variance, floor))).tocsc()
    return np.asarray(items + gain.T @ splu(system).solve(totals - sums @ items))


# -------------------------------------------------------------------- parts


def _forecast_totals(
    query: ItemQuery, forecast: GroupForecast, hierarchy: Hierarchy, levels: Sequence[float]
) -> dict[str, Floats]:
    """Forecast totals from the sums of what is known of their items, without covariates."""
    history = query.windows.scale.inverse_transform(query.windows.history)
    known = ~np.isnan(history)
    some = hierarchy.sums @ known > 0
    values = np.where(some, hierarchy.sums @ np.where(known, history, 0.0), np.nan)
    stage = forecast.stage
    windows = windows_at(CalendarMatrix(values), values.shape[1], stage.plan, stage.variation)
    windows = replace(windows, origin=np.full(len(windows), query.windows.origin[0] if len(query.ids) else 0))
    return forecast.forecast(windows, query.shift, levels)


def _variance(forecasts: Mapping[str, Floats]) -> Floats:
    """Return the variance of errors by the widths of intervals, up to a factor."""
    width = np.nan_to_num(forecasts[f"hi-{_WIDTH:g}"] - forecasts[f"lo-{_WIDTH:g}"])
    return np.asarray((width**2).mean(axis=1))


def _ratio(mean: Floats, plain: Floats) -> Floats:
    """Return by how much covariates change the mean of each item, (n,)."""
    before = np.nan_to_num(plain).sum(axis=1)
    return np.where(before > 0, mean.sum(axis=1) / np.where(before > 0, before, 1.0), 1.0)


def _moved(bound: Floats, center: Floats, mean: Floats, nonnegative: npt.NDArray[np.bool_]) -> Floats:
    """Return bounds around other means: in proportion where none is negative, so that 0 stays 0."""
    shifted = mean + (bound - center)
    bound = np.maximum(bound, 0.0)
    ratio = np.divide(mean, center, out=np.ones_like(mean), where=center > 0)
    ratio[np.isclose(ratio, 1.0, rtol=0, atol=1e-9)] = 1.0  # rounded for sums alone
    moved = np.where(center > 0, bound * ratio, bound + mean)
    moved = np.where(bound < center, np.minimum(moved, mean), np.maximum(moved, mean))
    return np.where(nonnegative[:, None], moved, shifted)


def _summable(values: Floats) -> Floats:
    """Round values so that sums of any of them are exact, in any order."""
    largest = float(np.abs(values).sum(axis=0).max(initial=0.0))
    if not largest > 0:
        return values
    unit = 2.0 ** (np.ceil(np.log2(largest)) - 50)
    return np.asarray(np.round(values / unit) * unit)


def _query_of_all(query: ItemQuery, hierarchy: Hierarchy, empty: npt.NDArray[np.bool_]) -> ItemQuery:
    """Return a query whose ids are those of totals and items, with a column for each level."""
    n, m = len(query.ids), len(hierarchy.paths)
    ids = np.array(
        ["/".join(path) or _TOTAL for path in hierarchy.paths] + [str(i) for i in query.ids.tolist()], object
    )
    level = np.array([*map(hierarchy.level, hierarchy.paths), *["item"] * n], object)
    labels = np.full((m + n, len(hierarchy.columns)), None, object)
    for row, path in enumerate(hierarchy.paths):
        labels[row, : len(path)] = path
    labels[m:] = hierarchy.labels
    columns = {"level": level, **{name: labels[:, c] for c, name in enumerate(hierarchy.columns)}}
    return query._replace(ids=ids, empty=empty, columns=columns)
