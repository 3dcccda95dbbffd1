"""Forecast new items of online_retail_weekly from their first 4, 8 and 13 weeks.

    VRAE_DATA=... python benchmarks/forecast/cold_start.py

A model is fitted to what was known at weeks 45, 60 and 75. It forecasts the next 13 weeks of items
that are introduced after week 8, and whose first weeks end within 15 weeks of that origin. The
peers know as much. The error is the root mean squared error of the 13 weeks divided by the root
mean squared one-step change over the item's whole life. Rows go to results/cold_start.json; the
table is COLD_START.md.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
from panels import load
from sklearn.neighbors import NearestNeighbors

from vrae import GroupForecaster, Panel

HERE = Path(__file__).parent
HORIZON, SEASON, AGES, ORIGINS, SPAN = 13, 52, (4, 8, 13), (45, 60, 75), 15
MOST_ITEMS, NEIGHBOURS = 1500, 10


def library(known: np.ndarray, age: int) -> tuple[np.ndarray, np.ndarray]:
    """Return scaled windows of ``age`` steps, and the 13 steps after each, of all known items."""
    stretches = np.lib.stride_tricks.sliding_window_view(known, age + HORIZON, axis=1)[:, ::3].reshape(
        -1, age + HORIZON
    )
    stretches = stretches[~np.isnan(stretches).any(axis=1)]
    level = stretches[:, :age].mean(axis=1, keepdims=True)
    stretches = stretches[level[:, 0] > 0] / level[level[:, 0] > 0]
    return stretches[:, :age], np.minimum(stretches[:, age:], 10)


def main() -> None:
    warnings.simplefilter("ignore")
    values = load("online_retail_weekly")
    first = np.argmax(~np.isnan(values), axis=1)
    rows: dict[int, dict[str, list[float]]] = {age: {} for age in AGES}
    for origin in ORIGINS:
        known = values[:, :origin]
        old = np.flatnonzero((~np.isnan(known)).any(axis=1))
        old = np.sort(np.random.default_rng(0).permutation(old)[:MOST_ITEMS])
        known = known[old]
        panel = Panel.from_arrays(known, times=np.tile(np.arange(origin), len(known)))
        season = SEASON if origin >= SEASON else 1  # less than a year shows none
        forecaster = GroupForecaster(HORIZON, season_length=season, n_backtests=1, random_state=0).fit(panel)
        for age in AGES:
            seen, came = library(known, age)
            index = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(seen)
            for now in range(origin, origin + SPAN):
                new = np.flatnonzero((first > 8) & (first + age == now))
                future = values[new, now : now + HORIZON]
                change = np.sqrt(np.nanmean(np.diff(values[new], axis=1) ** 2, axis=1))
                start = values[new, now - age : now]
                level = np.nanmean(start, axis=1)
                fine = ~np.isnan(future).all(axis=1) & (change > 0) & ~np.isnan(start).any(axis=1)
                if not fine.any():
                    continue
                new, future, change, start, level = (x[fine] for x in (new, future, change, start, level))
                items = Panel.from_arrays(start, times=np.tile(np.arange(now - age, now), len(new)))
                scaled = start / np.where(level > 0, level, 1)[:, None]
                near = index.kneighbors(scaled, return_distance=False)
                forecasts = {
                    "vrae": forecaster.predict(items),
                    "mean of all items": level[:, None] * came.mean(axis=0),
                    "own mean": np.repeat(level[:, None], HORIZON, axis=1),
                    f"{NEIGHBOURS} nearest raw neighbours": level[:, None] * came[near].mean(axis=1),
                }
                for method, forecast in forecasts.items():
                    error = np.sqrt(np.nanmean((forecast - future) ** 2, axis=1)) / change
                    rows[age].setdefault(method, []).extend(error.tolist())
        print(origin, {a: {m: round(float(np.mean(e)), 4) for m, e in r.items()} for a, r in rows.items()}, flush=True)
    table = {a: {m: {"error": float(np.mean(e)), "items": len(e)} for m, e in r.items()} for a, r in rows.items()}
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / "cold_start.json").write_text(json.dumps(table, indent=1) + "\n")
    text = [
        "# New items of online_retail_weekly\n",
        "Error of the next 13 weeks, by how many first weeks were seen; lower is better. Written by",
        "`benchmarks/forecast/cold_start.py`, which says how.\n",
        "| | " + " | ".join(f"{age} weeks" for age in AGES) + " |",
        "|---" * (len(AGES) + 1) + "|",
        *(f"| {m} | " + " | ".join(f"{table[a][m]['error']:.4f}" for a in AGES) + " |" for m in table[AGES[0]]),
        "| items | " + " | ".join(str(table[a]["vrae"]["items"]) for a in AGES) + " |",
    ]
    (HERE / "COLD_START.md").write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
