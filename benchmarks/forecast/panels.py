"""The four panels, and the errors that are compared."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import pyarrow.csv

# Steps held out and steps of a season.
PANELS = {
    "sales_transactions_weekly": (13, 52),
    "carparts": (12, 12),
    "hospital": (12, 12),
    "online_retail_weekly": (13, 52),
}


def load(name: str) -> np.ndarray:
    """Return a panel as an array (n_items, n_steps), NaN where nothing was observed."""
    folder = os.environ.get("VRAE_DATA")
    if not folder:
        raise SystemExit("Set VRAE_DATA to the folder with demand/*.csv.")
    table = pyarrow.csv.read_csv(Path(folder) / "demand" / f"{name}.csv")
    names = table.column_names[1:]
    if name == "sales_transactions_weekly":
        names = [n for n in names if n[0] == "W"]
    return np.stack([table[n].to_numpy().astype(float) for n in names], axis=1)


def one_step_changes(known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return root mean squared and mean absolute one-step change since the first sale, each (n,).

    NaN for an item that never sold or never changed: it has no RMSSE or MASE.
    """
    squared, absolute = np.full(len(known), np.nan), np.full(len(known), np.nan)
    for row, series in enumerate(known):
        series = series[~np.isnan(series)]
        sold = np.flatnonzero(series)
        if len(sold) and len(series) - sold[0] > 1:
            change = np.diff(series[sold[0] :])
            if change.any():
                squared[row], absolute[row] = np.sqrt(np.mean(change**2)), np.mean(np.abs(change))
    return squared, absolute


def low_sellers(known: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return which of the items at ``rows`` are in the quarter that sold least per step."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        mean = np.nanmean(known[rows], axis=1)
    return mean <= np.nanquantile(mean, 0.25)


def scores(actual: np.ndarray, forecast: np.ndarray, squared: np.ndarray, absolute: np.ndarray) -> np.ndarray:
    """Return RMSSE and MASE of each item, (2, n)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        error = actual - forecast
        return np.stack([np.sqrt(np.nanmean(error**2, axis=1)) / squared, np.nanmean(np.abs(error), axis=1) / absolute])
