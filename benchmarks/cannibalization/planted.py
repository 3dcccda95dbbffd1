"""Planted cannibalization in real weekly sales: how much of it is found, and what else is.

    python benchmarks/cannibalization/planted.py [--repeats 5]

Data: sales_transactions_weekly (811 products, 52 weeks). In each repeat, 40 products that sell at
least four units a week lose a fraction of their sales, unit by unit at random, to a new product
that is introduced in a random week (13 to 39). The new product sells the same number again to
other customers. Groups ("categories") of 40 products are random; the new product is in the
category of the product that it takes sales from. "one group": no categories, all 851 products in
one group.

Measures: a finding that names a new product is right if it also names the product that it takes
sales from, and wrong otherwise. Recall is the fraction of the 40 that was found; precision is the
fraction of right ones among these findings. Findings between two real products are listed
separately, because nobody knows whether they are right. Methods: find_cannibalization with its
defaults; Pearson correlation of the raw series, one-sided, with Benjamini & Hochberg at the same
false discovery rate; random pairs, as many as find_cannibalization returns. Without planted
products: number of findings in the real series, in the same series with the weeks of every
product shuffled, and in the same series with every product shifted circularly by a random number
of weeks, which preserves autocorrelation. Writes planted.json and RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control
from scipy.stats import t as student

from vrae import find_cannibalization

HERE = Path(__file__).parent
FRACTIONS = (0.1, 0.2, 0.3, 0.5, 0.7)
FDR = 0.05


def plant(X: np.ndarray, fraction: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return series (851, 52), their categories, and 40 products that lose sales to the last 40."""
    X, weeks = X.copy(), X.shape[1]
    losers = rng.choice(np.flatnonzero(X.mean(axis=1) >= 4), 40, replace=False)
    new = np.zeros((40, weeks))
    for row, loser in enumerate(losers):
        week = int(rng.integers(13, 40))
        taken = rng.binomial(X[loser, week:].astype(int), fraction)
        X[loser, week:] -= taken
        new[row, week:] = taken + rng.poisson(taken.mean(), weeks - week)
    category = rng.permutation(len(X)) // 40
    return np.vstack([X, new]), np.concatenate([category, category[losers]]), losers


def find(X: np.ndarray, groups: np.ndarray) -> set[tuple[int, int]]:
    found = find_cannibalization(X, groups, fdr=FDR)
    return {(min(pair), max(pair)) for pair in zip(found.item.tolist(), found.other.tolist(), strict=True)}


def pearson(X: np.ndarray, groups: np.ndarray) -> set[tuple[int, int]]:
    first, second, p = [], [], []
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        a, b = np.triu_indices(len(rows), 1)
        with np.errstate(invalid="ignore"):
            r = np.nan_to_num(np.corrcoef(X[rows]))[a, b]
        df = X.shape[1] - 2
        first.append(rows[a])
        second.append(rows[b])
        p.append(student.cdf(r * np.sqrt(df / np.maximum(1 - r**2, 1e-12)), df))
    found = np.flatnonzero(false_discovery_control(np.concatenate(p)) <= FDR)
    return set(zip(np.concatenate(first)[found].tolist(), np.concatenate(second)[found].tolist(), strict=True))


def at_random(groups: np.ndarray, n: int, rng: np.random.Generator) -> set[tuple[int, int]]:
    pairs: set[tuple[int, int]] = set()
    while len(pairs) < n:
        a = int(rng.integers(len(groups)))
        b = int(rng.choice(np.flatnonzero(groups == groups[a])))
        if a != b:
            pairs.add((min(a, b), max(a, b)))
    return pairs


def score(found: set[tuple[int, int]], losers: np.ndarray, n_real: int) -> dict[str, int]:
    truth = {(int(loser), n_real + row) for row, loser in enumerate(losers)}
    involved = {pair for pair in found if pair[1] >= n_real}
    return {"right": len(truth & found), "wrong": len(involved - truth), "real": len(found) - len(involved)}


def planted(X: np.ndarray, fraction: float, whole: bool, repeats: int) -> list[dict[str, object]]:
    total: dict[str, dict[str, int]] = {}
    for repeat in range(repeats):
        rng = np.random.default_rng([repeat, int(100 * fraction)])
        Y, groups, losers = plant(X, fraction, rng)
        groups = np.zeros_like(groups) if whole else groups
        mine = find(Y, groups)
        methods = {
            "find_cannibalization": mine,
            "Pearson + BH": pearson(Y, groups),
            "random pairs": at_random(groups, len(mine), rng),
        }
        for method, found in methods.items():
            for name, count in score(found, losers, len(X)).items():
                own = total.setdefault(method, {})
                own[name] = own.get(name, 0) + count
    where = "one group" if whole else "categories of 40"
    return [
        {"groups": where, "fraction": fraction, "method": m, "planted": 40 * repeats, **t} for m, t in total.items()
    ]


def unplanted(X: np.ndarray, repeats: int) -> list[dict[str, object]]:
    rows = []
    for where in ("categories of 40", "one group"):
        for data in ("real", "shifted", "shuffled"):
            counts: dict[str, list[int]] = {"find_cannibalization": [], "Pearson + BH": []}
            for repeat in range(repeats):
                rng = np.random.default_rng(repeat)
                Y = rng.permuted(X, axis=1) if data == "shuffled" else X
                if data == "shifted":
                    Y = np.stack([np.roll(x, int(rng.integers(52))) for x in X])
                groups = rng.permutation(len(X)) // 40 if where != "one group" else np.zeros(len(X))
                counts["find_cannibalization"].append(len(find(Y, groups)))
                counts["Pearson + BH"].append(len(pearson(Y, groups)))
            rows += [{"groups": where, "data": data, "method": m, "findings": c} for m, c in counts.items()]
    return rows


def table(results: dict[str, list[dict[str, object]]]) -> str:
    lines = ["# Planted cannibalization", "", *(__doc__ or "").split("\n\n", 2)[2].splitlines(), ""]
    repeats = int(results["planted"][0]["planted"]) // 40  # type: ignore[call-overload]
    lines += [f"{repeats} repeats.", ""]
    lines += ["| groups | fraction taken | method | recall | precision | right | wrong | between real products |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    for row in results["planted"]:
        right, wrong = int(row["right"]), int(row["wrong"])  # type: ignore[call-overload]
        precision = f"{right / (right + wrong):.2f}" if right + wrong else "none"
        lines.append(
            f"| {row['groups']} | {row['fraction']:.0%} | {row['method']} | {right / int(row['planted']):.2f} | "  # type: ignore[call-overload]
            f"{precision} | {right} | {wrong} | {row['real']} |"
        )
    lines += [
        "",
        "Nothing planted: number of findings in each repeat.",
        "",
        "| groups | data | method | findings |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {r['groups']} | {r['data']} | {r['method']} | {', '.join(map(str, r['findings']))} |"  # type: ignore[call-overload]
        for r in results["unplanted"]
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--data", default=os.environ.get("VRAE_DATA"), help="folder with demand/; default: VRAE_DATA")
    options = parser.parse_args()
    sales = pd.read_csv(Path(options.data) / "demand" / "sales_transactions_weekly.csv")
    X = sales[[f"W{week}" for week in range(52)]].to_numpy(float)
    results = {
        "planted": [row for whole in (False, True) for f in FRACTIONS for row in planted(X, f, whole, options.repeats)],
        "unplanted": unplanted(X, options.repeats),
    }
    (HERE / "planted.json").write_text(json.dumps(results, indent=1) + "\n")
    (HERE / "RESULTS.md").write_text(table(results))


if __name__ == "__main__":
    main()
