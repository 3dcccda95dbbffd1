"""Forecast new items of known departments from their first 4, 8 and 13 weeks.

    python benchmarks/forecast/cold_category.py

Four generated panels (`planted.py`). A model is fitted to three quarters of the items, up to 26
weeks before the end, with the department as a static column. The others are new at that week. The
peers know as much. The error is the root mean squared error of the next 13 weeks divided by the
root mean squared one-step change over the item's whole life. Rows go to
results/cold_category.json; the table is COLD_CATEGORY.md.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from cold_start import AGES, HORIZON, NEIGHBOURS, SEASON, library
from planted import store_sales
from sklearn.neighbors import NearestNeighbors

from vrae import GroupForecaster

HERE = Path(__file__).parent
# Seed, departments, stores and weeks.
PANELS = ((20, 20, 20, 143), (21, 30, 14, 117), (22, 12, 30, 156), (23, 40, 8, 130))


def table(values: np.ndarray, department: np.ndarray, start: int, with_department: bool = True) -> pd.DataFrame:
    """Return items (n, weeks) as a long table that begins ``start`` weeks after the first."""
    n, n_weeks = values.shape
    weeks = pd.date_range("2020-01-06", periods=start + n_weeks, freq="W-MON")[start:]
    rows = {"unique_id": np.repeat([f"item{i}" for i in range(n)], n_weeks), "ds": np.tile(weeks, n)}
    rows["y"] = values.ravel()
    if with_department:
        rows["department"] = np.repeat([f"department {d}" for d in department], n_weeks)
    return pd.DataFrame(rows)


def category_course(old: np.ndarray, old_department: np.ndarray, start: np.ndarray, department: np.ndarray, now: int):
    """Return the course of each item's department a year ago, at the item's level, (n, horizon)."""
    forecast = np.zeros((len(start), HORIZON))
    age = start.shape[1]
    for own in np.unique(department):
        members = old[old_department == own]
        course = (members / np.maximum(members.mean(axis=1, keepdims=True), 1e-9)).mean(axis=0)
        at, then = department == own, slice(now - SEASON, now - SEASON + HORIZON)
        level = start[at].mean(axis=1) / max(course[now - SEASON - age : now - SEASON].mean(), 1e-6)
        forecast[at] = level[:, None] * course[then]
    return forecast


def nearest(old: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Return what followed the most similar stretches of old items, (n, horizon)."""
    seen, came = library(old, start.shape[1])
    own = start.mean(axis=1, keepdims=True)
    index = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(seen)
    near = index.kneighbors(start / np.maximum(own, 1e-9), return_distance=False)
    return own * came[near].mean(axis=1)


def main() -> None:
    warnings.simplefilter("ignore")
    rows: dict[str, dict[str, list[float]]] = {str(age): {} for age in AGES}
    for seed, n_departments, n_stores, n_weeks in PANELS:
        values, department = store_sales(seed, n_departments, n_stores, n_weeks)
        new = np.random.default_rng(seed).random(len(values)) < 0.25
        origin = n_weeks - 2 * HORIZON
        known = values[~new][:, :origin]
        forecaster = GroupForecaster(HORIZON, random_state=0).fit(table(known, department[~new], 0))
        change = np.sqrt((np.diff(values[new], axis=1) ** 2).mean(axis=1))
        for age in AGES:
            now = origin + age
            start, future = values[new][:, origin:now], values[new][:, now : now + HORIZON]
            own_mean = np.repeat(start.mean(axis=1, keepdims=True), HORIZON, axis=1)
            peers = known, department[~new], start, department[new], now
            forecasts = {
                "vrae": forecaster.predict(table(start, department[new], origin)),
                "vrae, department not known": forecaster.predict(table(start, department[new], origin, False)),
                "course of the department a year ago": category_course(*peers),
                "own mean": own_mean,
                f"{NEIGHBOURS} nearest raw neighbours": nearest(known, start),
            }
            for method, forecast in forecasts.items():
                error = np.sqrt(((forecast - future) ** 2).mean(axis=1)) / change
                rows[str(age)].setdefault(method, []).append(float(error.mean()))
        print(seed, {a: {m: round(e[-1], 3) for m, e in each.items()} for a, each in rows.items()}, flush=True)
    (HERE / "results" / "cold_category.json").write_text(json.dumps(rows, indent=1) + "\n")
    text = [
        "# New items of known departments\n",
        "Error of the next 13 weeks, by how many first weeks were seen; lower is better. Mean of four generated",
        "panels (in brackets: each). Written by `benchmarks/forecast/cold_category.py`, which says how.\n",
        "| | " + " | ".join(f"{age} weeks" for age in AGES) + " |",
        "|---" * (len(AGES) + 1) + "|",
    ]
    for method in rows["4"]:
        cells = [
            f"{np.mean(rows[str(age)][method]):.3f} ({', '.join(f'{e:.2f}' for e in rows[str(age)][method])})"
            for age in AGES
        ]
        text.append(f"| {method} | " + " | ".join(cells) + " |")
    (HERE / "COLD_CATEGORY.md").write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
