"""Changes of level that `VRAEClusterer.drift` finds in real panels, as they are and planted.

    VRAE_DATA=... python benchmarks/drift/levels.py

Four panels, at most 400 items of each. The table ends at several steps, its last ones are new: the
clusterer was fitted to what was before. "as it is": a change of the real sales would be
true, so this is no pure count of false alarms. "generated": 300 items whose seasons and noise do
not change. Found: at 5 %, as if nothing else was tested. Writes LEVELS.md.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "forecast"))

import panels  # noqa: E402

from vrae import Panel, VRAEClusterer  # noqa: E402
from vrae.data.calendar import Calendar  # noqa: E402
from vrae.estimators.drift_levels import corrected_levels, levels_beside_the_past, mark_levels  # noqa: E402
from vrae.estimators.drift_past import Past  # noqa: E402

NEW = {52: (4, 9, 13), 12: (1, 3, 6)}
WORDS = {
    "none": "as it is",
    "less": "all 40 % less",
    "more": "all 25 % more",
    "double": "largest group doubles",
    "some": "a third of the items doubles, of any group",
}


def generated(seed: int) -> np.ndarray:
    """Return weekly sales (300, 130) of three seasons with noise, whose levels do not change."""
    rng = np.random.default_rng(seed)
    weeks, peak = np.arange(130), rng.choice([5, 25, 48], 300)[:, None]
    season = 1 + 2 * np.exp(-((((weeks - peak + 26) % 52) - 26) ** 2) / 40)
    level = rng.lognormal(2, 1, (300, 1))
    return rng.poisson(level * season * rng.gamma(4, 0.25, (300, 130))).astype(float)


def table(values: np.ndarray, season: int) -> Panel:
    """Return sales (n, steps) as a panel with dates."""
    calendar = Calendar.from_freq("W-MON" if season == 52 else "MS", np.array(["2018-01-01"], "M8[us]"))
    times = calendar.times(np.arange(values.shape[1]), np.array(["2018-01-01"], "M8[us]"))
    ids = [f"item{i}" for i in range(len(values))]
    return Panel.from_arrays(values, ids=ids, times=np.tile(times, len(values)), calendar=calendar)


def changed(values: np.ndarray, change: str, n_new: int, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the later table with a change of its last steps."""
    values = values.copy()
    if change in ("less", "more"):
        values[:, -n_new:] *= {"less": 0.6, "more": 1.25}[change]
    elif change != "none":
        rows = labels == 0 if change == "double" else rng.random(len(values)) < 1 / 3
        values[rows, -n_new:] *= 2.0
    return values


def found(values: np.ndarray, season: int, n_new: int, labels: np.ndarray) -> tuple[bool, bool]:
    """Return whether the level of all items changed, and that of a group."""
    panel = table(values, season)
    end = panel.times[panel.lengths[0] - 1 - n_new]  # type: ignore[index]
    model = SimpleNamespace(scaler_=SimpleNamespace(timing=SimpleNamespace(end=str(end))))
    past = Past.of(model, panel)  # type: ignore[arg-type]
    assert past is not None
    n_clusters = int(labels.max()) + 1
    levels = levels_beside_the_past(past.changes(panel), labels, past, [str(k) for k in range(n_clusters)])
    levels = mark_levels(levels, 0.05, bool(corrected_levels(levels).min() <= 0.05))
    return levels[0].changed, any(level.changed for level in levels[1:])


def main() -> None:
    warnings.simplefilter("ignore")
    sets = {name: (panels.load(name), season) for name, (_, season) in panels.PANELS.items()}
    sets |= {f"generated, seed {seed}": (generated(seed), 52) for seed in range(2)}
    lines = [
        "# Levels of items: results",
        "",
        "*Written by `python benchmarks/drift/levels.py`, which says how. Tables in which the level of all items, or",
        "that of a group, changed at 5 %.*",
        "",
        "| panel | tables | " + " | ".join(f"{words}: all / a group" for words in WORDS.values()) + " |",
        "|---|---|" + "---|" * len(WORDS),
    ]
    for name, (values, season) in sets.items():
        values = values[(~np.isnan(values)).sum(axis=1) >= 30]
        values = values[np.random.default_rng(0).permutation(len(values))[:400]]
        rng, count = np.random.default_rng(0), {change: [] for change in WORDS}
        for n_new in NEW[season]:
            for end in range(values.shape[1], max(values.shape[1] // 2, 40), -max(n_new, 9)):
                sold = values[(~np.isnan(values[:, : end - n_new])).any(axis=1), :end]  # items known before
                labels = VRAEClusterer(random_state=0).fit(table(sold[:, :-n_new], season)).labels_
                for change in WORDS:
                    later = changed(sold, change, n_new, labels, rng)
                    count[change].append(found(later, season, n_new, labels))
        cells = (" / ".join(str(sum(part)) for part in zip(*rows, strict=True)) for rows in count.values())
        lines.append(f"| {name} | {len(count['none'])} | " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    (HERE / "LEVELS.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
