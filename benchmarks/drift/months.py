"""What `VRAEClusterer.drift` says of a table that grows month by month, with and without changes.

    VRAE_DATA=... python benchmarks/drift/months.py

online_retail_weekly, 106 weeks: the clusterer is fitted to the first weeks, and the later table is
the same with 4, 9 or 13 weeks more, as a planner gets it each month. "none" is the table as it is:
a change of the real sales would be true, so this is no count of false alarms. In the others a
change is planted in the later table: "new": a tenth of the items sell in the last weeks alone, ten
times as much as before. "gone": all items of the largest group are missing. "season": all weeks
come 8 weeks later. "less", "double": levels of the new weeks. Writes MONTHS.md, with the items that
changed cluster in the table as it is, and the number that `drift` expects by chance.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "forecast"))

import panels  # noqa: E402

from vrae import Panel, VRAEClusterer  # noqa: E402
from vrae.data.calendar import Calendar  # noqa: E402

FITTED, LATER, ITEMS = 78, (4, 9, 13), 800
WORDS = {
    "none": "as it is",
    "new": "a tenth sells in the last weeks alone",
    "gone": "largest group gone",
    "season": "all 8 weeks later",
    "less": "all items sell 40 % less in the new weeks",
    "double": "the largest group sells twice as much in the new weeks",
}


def table(values: np.ndarray, names: np.ndarray) -> Panel:
    """Return sales (n, weeks) as a panel with dates."""
    weeks = np.datetime64("2009-11-30", "us") + 7 * np.arange(values.shape[1]) * np.timedelta64(1, "D")
    calendar = Calendar.from_freq("W-MON", weeks)
    return Panel.from_arrays(values, ids=names, times=np.tile(weeks, len(values)), calendar=calendar)


def changed(values: np.ndarray, change: str, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the later table (n, weeks) with a change, NaN for items that are gone."""
    values = values.copy()
    if change == "new":
        some = rng.permutation(len(values))[: len(values) // 10]
        usual = np.nanmean(values[some], axis=1, keepdims=True)
        values[some] = 0.0
        values[some, -8:] = 10 * usual * rng.uniform(0.5, 1.5, (len(some), 8))
    elif change == "gone":
        values[labels == 0] = np.nan
    elif change == "season":
        values = np.roll(values, 8, axis=1)
    elif change == "less":
        values[:, FITTED:] *= 0.6
    elif change == "double":
        values[labels == 0, FITTED:] *= 2.0
    return values


def main() -> None:
    warnings.simplefilter("ignore")
    values = panels.load("online_retail_weekly")
    values = values[(~np.isnan(values[:, :FITTED])).sum(axis=1) >= 30]
    names = np.array([f"item{i}" for i in range(len(values))])
    lines = [
        "# A table that grows month by month",
        "",
        "*Written by `python benchmarks/drift/months.py`, which says how. Changes found at 5 %, three draws of 800",
        "items.*",
        "",
        "| change in the later table | " + " | ".join(f"{weeks} weeks more" for weeks in LATER) + " |",
        "|---" * (len(LATER) + 1) + "|",
    ]
    found: dict[str, list[list[bool]]] = {change: [[] for _ in LATER] for change in WORDS}
    moves: list[list[str]] = [[] for _ in LATER]
    for seed in range(3):
        rng = np.random.default_rng(seed)
        rows = np.sort(rng.permutation(len(values))[:ITEMS])
        fitted = VRAEClusterer(random_state=seed).fit(table(values[rows, :FITTED], names[rows]))
        for change in WORDS:
            for place, weeks in enumerate(LATER):
                later = changed(values[rows, : FITTED + weeks], change, fitted.labels_, rng)
                kept = ~np.isnan(later).all(axis=1)
                drift = fitted.drift(table(later[kept], names[rows][kept]))
                found[change][place].append(drift.changed)
                if change == "none":
                    moves[place].append(f"{drift.counts.get('moved', 0)} ({drift.n_moved_by_chance})")
                print(seed, change, weeks, drift.changed, drift.findings, flush=True)
    for change, words in WORDS.items():
        lines.append(f"| {words} | " + " | ".join(f"{sum(f)} of {len(f)}" for f in found[change]) + " |")
    lines.append("| items that moved (by chance) | " + " | ".join(", ".join(part) for part in moves) + " |")
    (HERE / "MONTHS.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
