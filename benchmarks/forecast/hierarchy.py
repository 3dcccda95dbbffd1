"""Forecasts that add up: error at each level, against totals forecast by themselves and added up.

    VRAE_DATA=... python benchmarks/forecast/hierarchy.py

Items of online_retail_weekly are in a category by the first three signs of their StockCode, and in
a department by the first two: codes of one range are often of one kind. The other panels have no
such codes. Their items are put into 3 departments of 4 categories each (k-means of
their scaled courses before the held-out horizon), a hierarchy made for this table. "by themselves"
does not add up. RMSSE over the series of a level, weighted equally; the last horizon is held out.
Rows go to results/hierarchy.json; the table is HIERARCHY.md.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from panels import PANELS, load, one_step_changes, scores
from sklearn.cluster import KMeans

from vrae import GroupForecaster, Panel
from vrae.estimators.forecasting.hierarchy import Hierarchy, _forecast_totals

HERE = Path(__file__).parent
ITEMS = 300
LEVELS = ("total", "department", "department/category", "item")
METHODS = ("by themselves", "bottom_up", "mint")


def static_of(name: str, known: np.ndarray, codes: np.ndarray) -> dict[str, np.ndarray]:
    """Return department and category of each item."""
    if name == "online_retail_weekly":
        return {"department": np.array([c[:2] for c in codes]), "category": np.array([c[:3] for c in codes])}
    course = np.nan_to_num(known) / (np.nan_to_num(known).mean(axis=1, keepdims=True) + 1e-9)
    category = KMeans(12, n_init=3, random_state=0).fit_predict(np.clip(course, 0, 5))
    return {"department": (category % 3).astype(str), "category": category.astype(str)}


def codes_of(name: str) -> np.ndarray:
    """Return the first column of a panel."""
    import os

    import pyarrow.csv

    table = pyarrow.csv.read_csv(Path(os.environ["VRAE_DATA"]) / "demand" / f"{name}.csv")
    return np.array([str(code) for code in table[table.column_names[0]].to_pylist()])


def run(name: str) -> dict[str, Any]:
    """Measure all methods on a panel."""
    horizon, season = PANELS[name]
    values, codes = load(name), codes_of(name)
    rows = ~np.isnan(values[:, :-horizon]).all(axis=1) & ~np.isnan(values[:, -horizon:]).any(axis=1)
    rows = np.sort(np.random.default_rng(0).permutation(np.flatnonzero(rows))[:ITEMS])
    values, codes = values[rows], codes[rows]
    known, actual = values[:, :-horizon], values[:, -horizon:]
    static = static_of(name, known, codes)
    options = {"n_clusters": 1, "season_length": season, "n_backtests": 1, "classical": False, "random_state": 0}
    forecaster = GroupForecaster(horizon, **options).fit(Panel.from_arrays(known, static=static))
    hierarchy = Hierarchy.of(("department", "category"), static, len(known))
    totals = [hierarchy.sums @ np.nan_to_num(part) for part in (known, actual)]
    past, future = (np.concatenate(pair) for pair in zip(totals, (known, actual), strict=True))
    level = np.array([*map(hierarchy.level, hierarchy.paths), *["item"] * len(known)])
    query, items = forecaster._forecast(None, [80.0])
    alone = _forecast_totals(query, forecaster.forecast_, hierarchy, [80.0])
    found = {"by themselves": {key: np.concatenate([alone[key], items[key]]) for key in items}}
    for method in METHODS[1:]:
        table = forecaster.predict_table(hierarchy=["department", "category"], reconcile=method)
        found[method] = {key: table[key].reshape(-1, horizon) for key in items}
    sizes = one_step_changes(past)
    row: dict[str, Any] = {"panel": name, "series": {each: int((level == each).sum()) for each in LEVELS}}
    for method, forecast in found.items():
        error = scores(future, forecast["mean"], *sizes)[0]
        inside = (future >= forecast["lo-80"]) & (future <= forecast["hi-80"])
        row[method] = {
            each: {"rmsse": float(np.nanmean(error[level == each])), "coverage": float(inside[level == each].mean())}
            for each in LEVELS
        }
    return row


def main() -> None:
    warnings.simplefilter("ignore")
    rows = []
    for name in PANELS:
        rows.append(run(name))
        print(rows[-1], flush=True)
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / "hierarchy.json").write_text(json.dumps(rows, indent=1) + "\n")
    (HERE / "HIERARCHY.md").write_text(text(rows))


def text(rows: list[dict[str, Any]]) -> str:
    """Return the tables of all results."""
    head = "| | " + " | ".join(LEVELS) + " |\n" + "|---" * (len(LEVELS) + 1) + "|"
    lines = [
        "# Forecasts that add up\n",
        "RMSSE by level; lower is better. In brackets, how many outcomes the 80 % intervals contain. Written by",
        "`benchmarks/forecast/hierarchy.py`, which says how the hierarchies were made.\n",
    ]
    for row in [*rows, None]:
        lines += [f"## {row['panel'] if row else 'Mean of the panels'}\n", head]
        for method in METHODS:
            each = [row] if row else rows
            cells = []
            for level in LEVELS:
                error = np.mean([one[method][level]["rmsse"] for one in each])
                coverage = np.mean([one[method][level]["coverage"] for one in each])
                cells.append(f"{error:.3f} ({100 * coverage:.0f} %)")
            lines.append(f"| {method.replace('_', '-')} | " + " | ".join(cells) + " |")
        if row:
            lines.append("| series | " + " | ".join(str(row["series"][level]) for level in LEVELS) + " |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
