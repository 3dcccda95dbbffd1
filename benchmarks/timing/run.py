"""Does it matter when dated series are high? Made-up panels, and UCR sets taken for daily series.

    python benchmarks/timing/run.py [--weight W] [--seeds 3]
    python benchmarks/timing/run.py --ucr [--timing free]

Prints the ARI of `vrae.VRAEClusterer` at the true number of clusters. ``--weight`` replaces the
weight of timing among the statistics.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

from vrae import VRAE, Panel, VRAEClusterer, read_panel
from vrae.data.calendar import Calendar
from vrae.nn import patterns

sys.path.insert(0, str(Path(__file__).parents[1] / "quality"))
import sets

Made = tuple[np.ndarray, pd.DatetimeIndex, int]  # values (n, t), dates, largest shift of a start


def _year(t: np.ndarray, group: np.ndarray, period: float, apart: float) -> np.ndarray:
    return np.cos(2 * np.pi * (t - apart * group[:, None]) / period)


def summer_and_winter(rng: np.random.Generator, y: np.ndarray) -> Made:
    t = np.arange(156)
    rate = np.exp(rng.normal(2.2, 0.7, (len(y), 1))) * (1 + 0.6 * _year(t, y, 52, 26))
    return rng.poisson(rate), pd.date_range("2023-01-02", periods=156, freq="W-MON"), 60


def six_months_apart(rng: np.random.Generator, y: np.ndarray) -> Made:
    t = np.arange(48)
    trend = rng.normal(size=(len(y), 1)) * t * 0.1
    X = 20 + 5 * _year(t, y, 12, 6) + 2 * rng.normal(size=(len(y), 48)) + trend
    return X, pd.date_range("2021-01-01", periods=48, freq="MS"), 18


def weekday_and_weekend(rng: np.random.Generator, y: np.ndarray) -> Made:
    days = pd.date_range("2024-01-01", periods=180)
    own = (days.dayofweek.to_numpy() >= 5)[None] == (y[:, None] == 1)
    return rng.poisson(np.exp(rng.normal(2, 0.5, (len(y), 1))) * np.where(own, 1.5, 0.7)), days, 60


def tuesday_and_friday(rng: np.random.Generator, y: np.ndarray) -> Made:
    days = pd.date_range("2024-01-01", periods=120)
    own = days.dayofweek.to_numpy()[None] == 1 + 3 * y[:, None]
    return 10 + 3 * own + rng.normal(size=own.shape), days, 40


def day_and_night(rng: np.random.Generator, y: np.ndarray) -> Made:
    hours = pd.date_range("2024-01-01", periods=24 * 21, freq="h")
    X = 5 + _year(hours.hour.to_numpy(), y, 24, 12) + 0.7 * rng.normal(size=(len(y), len(hours)))
    return X, hours, 200


def a_break_a_year_later(rng: np.random.Generator, y: np.ndarray) -> Made:
    t = np.arange(156)
    X = 10 + 2 * rng.normal(size=(len(y), 156)) + 4 * (t >= 55 + 52 * y[:, None])
    return X, pd.date_range("2021-01-04", periods=156, freq="W-MON"), 45


def a_peak_a_year_later(rng: np.random.Generator, y: np.ndarray) -> Made:
    t = np.arange(130)
    X = 10 + 2 * rng.normal(size=(len(y), 130)) + 12 * np.exp(-0.5 * ((t - 50 - 52 * y[:, None]) / 1.5) ** 2)
    return X, pd.date_range("2022-01-03", periods=130, freq="W-MON"), 40


def patterns_alone(rng: np.random.Generator, y: np.ndarray) -> Made:
    t = np.arange(150)
    X = np.sin(2 * np.pi * t / np.where(y[:, None], 9.3, 14.7) + rng.uniform(0, 6, (len(y), 1)))
    return X + 0.5 * rng.normal(size=X.shape), pd.date_range("2024-01-01", periods=150), 50


MADE: list[Callable[[np.random.Generator, np.ndarray], Made]] = [
    summer_and_winter,
    six_months_apart,
    weekday_and_weekend,
    tuesday_and_friday,
    day_and_night,
    a_break_a_year_later,
    a_peak_a_year_later,
    patterns_alone,
]


def panel_of(make: Callable[[np.random.Generator, np.ndarray], Made], seed: int) -> tuple[Panel, np.ndarray]:
    """Return a panel of a long table whose series start at different dates, and the true groups."""
    rng, y = np.random.default_rng(seed), np.arange(120) % 2
    X, dates, latest = make(rng, y)
    starts = rng.integers(0, latest, len(y))
    parts = [pd.DataFrame({"item": i, "date": dates[s:], "value": X[i, s:]}) for i, s in enumerate(starts)]
    return read_panel(pd.concat(parts), id="item", time="date", value="value"), y


def made_up(seeds: int) -> None:
    """Print the ARI with and without timing on every made-up panel."""
    print(f"{'panel':24} calendar  free")
    for make in MADE:
        found: dict[str, list[float]] = {"calendar": [], "free": []}
        for seed in range(seeds):
            panel, y = panel_of(make, seed)
            for timing, scores in found.items():
                labels = VRAEClusterer(2, model=VRAE(timing=timing), random_state=seed).fit(panel).labels_
                scores.append(adjusted_rand_score(y, labels))
        print(f"{make.__name__:24} {np.mean(found['calendar']):8.2f} {np.mean(found['free']):5.2f}", flush=True)


def taken_for_daily(timing: str) -> None:
    """Print the mean ARI on UCR sets of moderate size whose series start on the same day."""
    scores = {}
    for name in sets.SUITE:
        data = sets.load(name, "merged")
        panel = Panel.from_arrays(data.X)
        n_steps = int(panel.lengths.max())
        if len(panel) > 1200 or n_steps > 1000:
            continue
        days = np.datetime64("2023-01-02", "us") + np.arange(n_steps) * np.timedelta64(1, "D")
        times = np.tile(days, len(panel))
        panel = replace(panel, times=times, calendar=Calendar.from_freq("D", times))
        labels = VRAEClusterer(data.k, model=VRAE(timing=timing), random_state=0).fit(panel).labels_
        scores[name] = adjusted_rand_score(data.truth, labels)
        print(f"{name:32} {scores[name]:.3f}", flush=True)
    halves = [np.mean([s for name, s in scores.items() if name in half]) for half in (sets.HALF_A, sets.HALF_B)]
    print(f"{len(scores)} sets: {np.mean(list(scores.values())):.3f} (half A {halves[0]:.3f}, half B {halves[1]:.3f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weight", type=float)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ucr", action="store_true")
    parser.add_argument("--timing", default="calendar")
    options = parser.parse_args()
    if options.weight is not None:
        patterns._TIMING_WEIGHT = options.weight
    taken_for_daily(options.timing) if options.ucr else made_up(options.seeds)


if __name__ == "__main__":
    main()
