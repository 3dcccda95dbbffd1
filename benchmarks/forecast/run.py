"""Errors of forecasts on four panels of real items, compared with peers and controls.

    VRAE_DATA=... python benchmarks/forecast/run.py             # all panels without a result
    VRAE_DATA=... python benchmarks/forecast/run.py hospital-1  # one panel, from its later origin

Each panel is forecast from two origins. Rows go to results/PANEL-ORIGIN.json; the table is
RESULTS.md.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
from panels import PANELS, load, low_sellers, one_step_changes, scores
from peers import PEERS
from sklearn.base import BaseEstimator, ClusterMixin

from vrae import GroupForecaster, Panel
from vrae.estimators.forecasting.backtest import fit_combination, run_backtests, score_group_numbers
from vrae.estimators.forecasting.stage import GroupForecast, Stage
from vrae.estimators.partition import fit_partition, labels_of

HERE = Path(__file__).parent
LEVELS = (80, 95)
AGES = (4, 8, 13, 20, 26, 39)  # known steps of items whose past is cut
# Larger panels are sampled: AutoETS and three networks per origin take minutes.
MOST_ITEMS = 1000


class RandomGroups(ClusterMixin, BaseEstimator):
    """The control: groups of the same sizes as the real ones, with random members."""

    def __init__(self, n_clusters: int = 2, random_state: int = 0) -> None:
        self.n_clusters = n_clusters
        self.random_state = random_state

    def fit(self, X: np.ndarray, y: object = None) -> RandomGroups:
        labels = labels_of(fit_partition(X, self.n_clusters, "gmm", self.random_state).predict_proba(X))
        self.labels_ = np.random.default_rng(self.random_state).permutation(labels)
        return self


def by_age(forecaster: GroupForecaster, known: np.ndarray, actual: np.ndarray) -> dict[int, float]:
    """Return the share of outcomes in 80 % intervals if few steps of complete items are known."""
    found = {}
    for age in (age for age in AGES if age < known.shape[1]):
        rows = ~np.isnan(known[:, -age:]).any(axis=1)
        table = forecaster.predict_table(Panel.from_arrays(known[rows, -age:]), level=80)
        low, high = (table[name].reshape(-1, actual.shape[1]) for name in ("lo-80", "hi-80"))
        inside = (actual[rows] >= low) & (actual[rows] <= high)
        found[age] = float(inside[~np.isnan(actual[rows])].mean())
    return found


def run(name: str, back: int, seed: int = 0) -> dict:
    """Measure all forecasts of a panel from one origin, ``back`` horizons before its end."""
    horizon, season = PANELS[name]
    values = load(name)
    origin = values.shape[1] - horizon * back
    known, actual = values[:, :origin], values[:, origin : origin + horizon]
    rows = np.flatnonzero(~np.isnan(known).all(axis=1) & ~np.isnan(actual).all(axis=1))
    rows = np.sort(np.random.default_rng(seed).permutation(rows)[:MOST_ITEMS])
    known, actual = known[rows], actual[rows]
    squared, absolute = one_step_changes(known)
    low = low_sellers(known, np.arange(len(known)))
    found: dict[str, dict] = {}

    def enter(method: str, forecast: np.ndarray, started: float, **more: float) -> None:
        each = scores(actual, forecast, squared, absolute)
        found[method] = {
            "rmsse": float(np.nanmean(each[0])),
            "mase": float(np.nanmean(each[1])),
            "rmsse_low": float(np.nanmean(each[0][low])),
            "mase_low": float(np.nanmean(each[1][low])),
            "seconds": round(time.perf_counter() - started, 1),
            **more,
        }

    for method, peer in PEERS.items():
        started = time.perf_counter()
        enter(method, peer(known, horizon, season), started)

    started = time.perf_counter()
    own_season = season if known.shape[1] >= season else 1  # half a year shows none
    forecaster = GroupForecaster(horizon, season_length=own_season, random_state=seed, level=LEVELS)
    prepared = forecaster._prepare(Panel.from_arrays(known))
    calendar, plan = prepared.calendar, prepared.plan
    backtests = run_backtests(calendar, plan, 2)
    stage = Stage.fit(calendar, plan)
    selection = score_group_numbers(backtests, len(known))
    chosen = int(min(selection, key=lambda tried: tried["score"])["n_clusters"])
    control = max(chosen, 2)  # with one group, random members are the same
    variants = {
        "vrae": (chosen, plan),
        "no groups, else as vrae": (1, plan),
        "random groups": (control, replace(plan, clusterer=RandomGroups())),
    }
    for method, (n_clusters, own) in variants.items():
        for each in (stage, *(b.stage for b in backtests)):
            each.plan = own
        groups = stage.group(n_clusters)
        combination = fit_combination(backtests, n_clusters, stage, groups, calendar)
        forecaster._summarise(prepared, GroupForecast(stage, groups, combination), selection)
        table = {n: c.reshape(-1, horizon) for n, c in forecaster.predict_table(level=LEVELS).items()}
        inside = ~np.isnan(actual)
        coverage = {
            f"coverage_{level}": float(
                ((actual >= table[f"lo-{level}"]) & (actual <= table[f"hi-{level}"]))[inside].mean()
            )
            for level in LEVELS
        }
        widths = {"n_clusters": groups.n_groups, **coverage}
        if method == "vrae":
            widths |= {f"coverage_80_age_{age}": value for age, value in by_age(forecaster, known, actual).items()}
        enter(method, table["mean"], started, **widths)
        if method == "vrae":
            members, _ = stage.forecast_members(stage.observe(stage.items), groups)
            for member, scaled in zip(plan.members, members, strict=True):
                label = {"pooled": "one global model"}.get(member, f"member: {member}")
                enter(label, np.maximum(stage.items.scale.inverse_transform(scaled), 0.0), started)
            found["vrae"]["weights"] = forecaster.weights_.mean(axis=1).round(3).tolist()
            found["vrae"]["sizes"] = np.bincount(forecaster.labels_, minlength=groups.n_groups).tolist()
    return {
        "panel": name,
        "origin": origin,
        "items": len(rows),
        "low_sellers": int(low.sum()),
        "selection": selection,
        "methods": found,
    }


def main() -> None:
    warnings.simplefilter("ignore")
    for wanted in sys.argv[1:] or [f"{name}-{back}" for back in (1, 2) for name in PANELS]:
        path = HERE / "results" / f"{wanted}.json"
        if not path.exists():
            name, back = wanted.rsplit("-", 1)
            row = run(name, int(back))
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(row, indent=1) + "\n")
            print(name, row["origin"], flush=True)
            for method, each in row["methods"].items():
                numbers = {k: round(v, 4) for k, v in each.items() if isinstance(v, float)}
                print(f"  {method:26s}", numbers, flush=True)
    from table import write_table

    write_table(HERE)


if __name__ == "__main__":
    main()
