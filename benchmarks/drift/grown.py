"""Does `VRAEClusterer.drift` find half of a small group gone, in a table that has grown?

    VRAE_DATA=... python benchmarks/drift/grown.py

The clusterer is fitted to the first steps of a table of at most 500 items, and the later table is
the same with 4, 9 or 13 steps more. "none" is the table as it is: if a change is found in real
sales, it may be a true one.
"half": every second item of the smallest group with 20 items or more is gone, if that group has at
most a tenth of the items. The rule with a factor (a group that nearly halved or doubled changed) is
compared with the rule of points alone. Writes GROWN.md. Tables that `drift` does not test are left
out.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path += [str(HERE.parent / "forecast"), str(HERE)]

import months  # noqa: E402
import panels  # noqa: E402

from vrae import VRAEClusterer  # noqa: E402
from vrae.estimators import drift  # noqa: E402

ITEMS, LATER, SEEDS = 500, (4, 9, 13), range(3)
FITTED = {  # steps of the fit
    "generated, one year": 52,
    "generated, 18 months": 78,
    "online_retail_weekly": 78,
    "sales_transactions_weekly": 39,
    "hospital": 60,
    "carparts": 38,
}
RULES = {"points alone": np.inf, "with the factor": drift._FACTOR}


def generated(rng: np.random.Generator, weeks: int = 104) -> np.ndarray:
    """Return weekly sales (n, weeks) of five kinds, of which a fifth begin in the first year."""
    week = np.arange(weeks)

    def season(middle: int, width: float) -> np.ndarray:
        distance = np.abs(week % 52 - middle)
        return np.exp(-0.5 * (np.minimum(distance, 52 - distance) / width) ** 2)

    shapes = np.array(
        [
            np.ones(weeks),
            0.4 + 2.2 * season(29, 4.5),
            0.5 + 4 * season(50, 2.2),
            0.4 + 2.5 * season(17, 3),
            0.5 + 1.2 * week / weeks,
        ]
    )
    kinds = rng.choice(5, ITEMS, p=[0.45, 0.25, 0.15, 0.1, 0.05])
    noise = np.exp(rng.normal(0, 0.25, (ITEMS, weeks)))
    values = rng.poisson(np.exp(rng.normal(4, 1.2, (ITEMS, 1))) * shapes[kinds] * noise).astype(float)
    begin = np.where(rng.random(ITEMS) < 0.2, rng.integers(10, 40, ITEMS), 0)
    values[week < begin[:, None]] = np.nan
    return values


def kept_items(labels: np.ndarray) -> np.ndarray | None:
    """Return the items that are left if half of a small group is gone; None without one."""
    counts = np.bincount(labels[labels >= 0])
    small = np.flatnonzero((counts >= 20) & (counts <= 0.1 * len(labels)))
    if not len(small):
        return None
    gone = np.flatnonzero(labels == small[counts[small].argmin()])[::2]
    return np.setdiff1d(np.arange(len(labels)), gone)


def trials(name: str, seed: int) -> list[tuple[str, str, bool, bool]]:
    """Return change, rule, and whether anything and a share was found, of one fit."""
    rng, n = np.random.default_rng(seed), FITTED[name]
    values = generated(rng) if name.startswith("generated") else panels.load(name)
    values = values[(~np.isnan(values[:, :n])).sum(axis=1) >= 12]
    values = values[np.sort(rng.permutation(len(values))[:ITEMS])]
    names = np.array([f"item{i}" for i in range(len(values))])
    fitted = VRAEClusterer(random_state=seed).fit(months.table(values[:, :n], names))
    changes = {"none": np.arange(len(values)), "half": kept_items(fitted.labels_)}
    found = []
    for more in (more for more in LATER if n + more <= values.shape[1]):
        for change, rows in changes.items():
            for rule, factor in RULES.items():
                if rows is not None:
                    drift._FACTOR = factor
                    result = fitted.drift(months.table(values[rows, : n + more], names[rows]))
                    if not result.caveat:
                        found.append((change, rule, result.changed, any(share.changed for share in result.shares)))
    return found


def main() -> None:
    warnings.simplefilter("ignore")
    lines = [
        "# A small group that halves in a table that has grown",
        "",
        "*Written by `python benchmarks/drift/grown.py`, which says how. Tables with a share that was called changed,",
        f"of all tables, at 5 %; {len(SEEDS)} seeds. In brackets: with any finding.*",
        "",
        "| table | " + " | ".join(f"{change}: {rule}" for change in ("none", "half") for rule in RULES) + " |",
        "|---" * (1 + 2 * len(RULES)) + "|",
    ]
    everything = []
    for name in [*FITTED, "all"]:
        found = [trial for seed in SEEDS for trial in trials(name, seed)] if name in FITTED else everything
        everything = [*everything, *found]
        cells = []
        for change in ("none", "half"):
            for rule in RULES:
                own = [trial[2:] for trial in found if trial[:2] == (change, rule)]
                shares, all_ = sum(share for _, share in own), sum(changed for changed, _ in own)
                cells.append(f"{shares} of {len(own)} ({all_})" if own else "no small group")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    (HERE / "GROWN.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
