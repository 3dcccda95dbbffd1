"""Planted cannibalization in real and generated sales: how much of it is found, and what else is.

    python benchmarks/cannibalization/planted.py [--repeats 4] [--resume]

Panels: sales_transactions_weekly (811 products, 52 weeks), online_retail_weekly (1,684 products
observed in at least 100 of 106 weeks), hospital (767 counts, 84 months) and generated series (400
items, 104 weeks: three seasons, a common course, autocorrelated levels, negative binomial counts).
Categories of 40 items are random. 20 pairs are planted in each repeat, in items that sell at least
four units a step:

- introduction: an item loses a fraction of its sales, unit by unit at random, to a new item that is
  introduced at a random step, in the middle half. The new item sells the same number again to other
  customers. "ramp": the fraction rises over six steps.
- nothing taken: the same new items, but nobody loses to them.
- promotion: in a quarter of the steps, in runs of two on average, an item loses the fraction to
  another one of its category, which sells the same number again to other customers.
- slow movement: the fraction moves slowly up and down, and the other item sells what the first
  loses.

Halves: the method was chosen on "development": even rows of the first two panels, even seeds of the
generated one. "held back" are the odd ones. Nothing was chosen on hospital; both of its halves are
unseen.

Measures: a finding about a planted item is right if it names the two items of a planted pair.
Recall: of the planted pairs. Wrong: mean over repeats of the proportion of wrong ones among
findings about planted items (0 without findings). "Pearson, as many": the pairs with the lowest
Pearson correlations of the raw series within categories, as many as find_cannibalization found.
"Pearson + BH": those with a one-sided p-value that Benjamini & Hochberg's procedure accepts at the
same rate. AP: average precision of the ranking of all pairs. Writes planted.jsonl and RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control
from scipy.stats import t as student

from vrae import find_cannibalization

HERE = Path(__file__).parent
PANELS = ("sales", "online retail", "hospital", "generated")
KINDS = ("introduction", "ramp", "nothing taken", "promotion", "slow movement")
HALVES = ("development", "held back")
FRACTIONS = (0.3, 0.5, 0.7)
FDR = 0.05
N_PLANTED = 20

Pair = tuple[int, int]


# ---------------------------------------------------------------- data


def read(name: str, folder: Path) -> np.ndarray:
    """Return a real panel (n, time)."""
    if name == "sales":
        sales = pd.read_csv(folder / "sales_transactions_weekly.csv")
        return sales[[f"W{week}" for week in range(52)]].to_numpy(float)
    if name == "hospital":
        return pd.read_csv(folder / "hospital.csv").select_dtypes("number").to_numpy(float)
    X = pd.read_csv(folder / "online_retail_weekly.csv").iloc[:, 1:].to_numpy(float)
    return X[(~np.isnan(X)).sum(axis=1) >= 100]


def autoregression(phi: np.ndarray, time: int, rng: np.random.Generator) -> np.ndarray:
    x = np.zeros((len(phi), time + 50))
    for step in range(1, time + 50):
        x[:, step] = phi * x[:, step - 1] + np.sqrt(1 - phi**2) * rng.standard_normal(len(phi))
    return x[:, 50:]


def generate(seed: int, n: int = 400, time: int = 104) -> np.ndarray:
    rng = np.random.default_rng([99, seed])
    phase = rng.choice([0, 0.1, 0.5], n)[:, None]
    season = 0.3 * np.sin(2 * np.pi * (np.arange(time) / 52 + phase))
    own = rng.uniform(0.1, 0.35, n)[:, None] * autoregression(rng.uniform(0.3, 0.97, n), time, rng)
    common = 0.15 * autoregression(np.array([0.8]), time, rng) * rng.uniform(0.5, 1.5, n)[:, None]
    mean = np.exp(rng.normal(2.5, 1, n)[:, None] + season + own + common)
    k = rng.uniform(3, 30, n)[:, None] * np.ones_like(mean)
    return rng.negative_binomial(k, k / (k + mean)).astype(float)


def base(panel: str, half: str, seed: int, folder: Path) -> np.ndarray:
    number = HALVES.index(half)
    return generate(2 * seed + number) if panel == "generated" else read(panel, folder)[number::2]


# ---------------------------------------------------------------- planting


def introduce(X: np.ndarray, kind: str, fraction: float, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Return series with 20 new ones, their categories, and the planted pairs (20, 2)."""
    X, time = X.copy(), X.shape[1]
    whole = (~np.isnan(X)).all(axis=1) & (np.nanmean(X, axis=1) >= 4)
    losers = rng.choice(np.flatnonzero(whole), N_PLANTED, replace=False)
    new = np.zeros((N_PLANTED, time))
    for row, loser in enumerate(losers):
        step = int(rng.integers(time // 4, 3 * time // 4 + 1))
        arrived = np.minimum(1, np.arange(1, time - step + 1) / (6 if kind == "ramp" else 1))
        taken = rng.binomial(X[loser, step:].astype(int), fraction * arrived)
        if kind != "nothing taken":
            X[loser, step:] -= taken
        new[row, step:] = taken + rng.poisson(taken.mean() * arrived / arrived.mean())
    category = rng.permutation(len(X)) // 40
    pairs = np.stack([losers, len(X) + np.arange(N_PLANTED)], axis=1)
    return np.vstack([X, new]), np.concatenate([category, category[losers]]), pairs


def oppose(X: np.ndarray, kind: str, fraction: float, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Return series of which 20 pairs move in opposition, their categories, and the pairs."""
    X, time = X.copy(), X.shape[1]
    category, mean = rng.permutation(len(X)) // 40, np.nanmean(X, axis=1)
    free = (~np.isnan(X)).all(axis=1) & (mean >= 4)
    pairs = []
    for loser in rng.permutation(np.flatnonzero(free)):
        near = free & (category == category[loser]) & (mean > mean[loser] / 4) & (mean < 4 * mean[loser])
        near[loser] = False
        if len(pairs) == N_PLANTED or not free[loser] or not near.any():
            continue
        winner = int(rng.choice(np.flatnonzero(near)))
        free[[loser, winner]] = False
        taken = rng.binomial(X[loser].astype(int), fraction * intensity(kind, time, rng))
        X[loser] -= taken
        X[winner] += taken
        if kind == "promotion" and taken.any():
            X[winner] += np.where(taken > 0, rng.poisson(taken[taken > 0].mean(), time), 0)
        pairs.append((min(loser, winner), max(loser, winner)))
    return X, category, np.array(pairs)


def intensity(kind: str, time: int, rng: np.random.Generator) -> np.ndarray:
    if kind == "slow movement":
        return 1 / (1 + np.exp(-2 * autoregression(np.array([0.8]), time, rng)[0]))
    on = np.zeros(time, bool)
    for step in range(1, time):
        on[step] = rng.random() < (0.5 if on[step - 1] else 1 / 6)
    return on.astype(float)


# ---------------------------------------------------------------- methods


def find(X: np.ndarray, groups: np.ndarray, fdr: float = FDR) -> list[Pair]:
    found = find_cannibalization(X, groups, fdr=fdr)
    return [(min(pair), max(pair)) for pair in zip(found.item.tolist(), found.other.tolist(), strict=True)]


def pearson(X: np.ndarray, groups: np.ndarray) -> tuple[list[Pair], int]:
    """Return all pairs, the most negative correlation first, and how many of them BH accepts."""
    rows, p, r = [], [], []
    for group in np.unique(groups):
        own = np.flatnonzero(groups == group)
        a, b = np.triu_indices(len(own), 1)
        with np.errstate(all="ignore"):
            correlation = np.nan_to_num(np.corrcoef(np.nan_to_num(X[own])))[a, b]
        df = X.shape[1] - 2
        rows.append(np.stack([own[a], own[b]], axis=1))
        r.append(correlation)
        p.append(student.cdf(correlation * np.sqrt(df / np.maximum(1 - correlation**2, 1e-12)), df))
    order = np.argsort(np.concatenate(r), kind="stable")
    accepted = int((false_discovery_control(np.concatenate(p)) <= FDR).sum())
    return [(int(a), int(b)) for a, b in np.concatenate(rows)[order]], accepted


def average_precision(ranking: list[Pair], truth: set[Pair]) -> float:
    hits = np.array([pair in truth for pair in ranking])
    return float((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].sum() / max(len(truth), 1))


def score(found: list[Pair], truth: set[Pair], planted: set[int], n: int) -> dict[str, float]:
    right = len(truth & set(found))
    wrong = sum(pair not in truth and not planted.isdisjoint(pair) for pair in found)
    return {"found": len(found), "recall": right / n, "wrong": wrong / max(right + wrong, 1)}


# ---------------------------------------------------------------- runs


def measure(panel: str, half: str, kind: str, fraction: float, seed: int, folder: Path) -> dict[str, object]:
    rng = np.random.default_rng([seed, int(100 * fraction)])
    plant = oppose if kind in ("promotion", "slow movement") else introduce
    X, groups, pairs = plant(base(panel, half, seed, folder), kind, fraction, rng)
    planted = set(pairs[:, 1].tolist()) | (set(pairs[:, 0].tolist()) if plant is oppose else set())
    truth = set() if kind == "nothing taken" else {(int(a), int(b)) for a, b in pairs}
    start = time.perf_counter()
    mine = find(X, groups)
    seconds = time.perf_counter() - start
    ranking, accepted = pearson(X, groups)
    row: dict[str, object] = {"panel": panel, "half": half, "kind": kind, "fraction": fraction, "seed": seed}
    row |= {"seconds": round(seconds, 2), "vrae": score(mine, truth, planted, len(pairs))}
    row["as many"] = score(ranking[: len(mine)], truth, planted, len(pairs))
    row["BH"] = score(ranking[:accepted], truth, planted, len(pairs))
    if truth:
        row["AP"] = {
            "vrae": average_precision(find(X, groups, 1.0), truth),
            "Pearson": average_precision(ranking, truth),
        }
    return row


def nothing_planted(folder: Path, repeats: int) -> list[dict[str, object]]:
    rows = []
    for panel in ("sales", "online retail"):
        X = read(panel, folder)
        X = X[(~np.isnan(X)).all(axis=1)]
        for where in ("categories of 40", "one group"):
            for data in ("real", "shifted", "shuffled"):
                mine, theirs, seconds = [], [], 0.0
                for repeat in range(repeats):
                    rng = np.random.default_rng(repeat)
                    Y = rng.permuted(X, axis=1) if data == "shuffled" else X
                    if data == "shifted":
                        Y = np.stack([np.roll(x, int(rng.integers(X.shape[1]))) for x in X])
                    groups = rng.permutation(len(X)) // 40 if where != "one group" else np.zeros(len(X))
                    start = time.perf_counter()
                    mine.append(len(find(Y, groups)))
                    seconds = max(seconds, time.perf_counter() - start)
                    theirs.append(pearson(Y, groups)[1])
                row = {"panel": panel, "groups": where, "data": data, "vrae": mine, "Pearson": theirs}
                rows.append({"unplanted": True, **row, "seconds": round(seconds, 1)})
    return rows


def table(rows: list[dict[str, object]]) -> str:
    lines = ["# Planted cannibalization", "", *(__doc__ or "").split("\n\n", 2)[2].splitlines(), ""]
    planted = pd.json_normalize([row for row in rows if "unplanted" not in row])
    rivals = "Pearson, as many | Pearson + BH"
    head = f"| kind | fraction | findings | recall: vrae | {rivals} | wrong: vrae | {rivals} | AP: vrae | Pearson |"
    for half in ("held back", "development"):
        own = planted[planted.half == half]
        lines += [f"## {half.capitalize()}", "", f"{own.seed.nunique()} repeats. Means.", ""]
        for panel in ("all panels", *PANELS):
            part = own if panel == "all panels" else own[own.panel == panel]
            lines += [f"### {panel.capitalize()}", "", head, "|---" * 11 + "|"]
            means = part.groupby(["kind", "fraction"]).mean(numeric_only=True)
            for kind in KINDS:
                for fraction in FRACTIONS:
                    lines.append(line(kind, fraction, means.loc[(kind, fraction)]))
            lines.append("")
    lines += ["## Nothing planted", "", "Number of findings in each repeat, in real series, in the same series"]
    lines += ["shifted circularly by random numbers of steps, and with their steps shuffled.", ""]
    lines += ["| panel | groups | data | vrae | Pearson + BH | seconds of vrae |", "|---|---|---|---|---|---|"]
    for row in rows:
        if "unplanted" in row:
            counts = [", ".join(map(str, row[name])) for name in ("vrae", "Pearson")]  # type: ignore[call-overload]
            lines.append(
                f"| {row['panel']} | {row['groups']} | {row['data']} | {' | '.join(counts)} | {row['seconds']} |"
            )
    return "\n".join(lines) + "\n"


def line(kind: str, fraction: float, mean: pd.Series) -> str:
    cells = [kind, f"{fraction:.0%}", f"{mean['vrae.found']:.1f}"]
    true = kind != "nothing taken"
    for name in ("recall", "wrong"):
        for method in ("vrae", "as many", "BH"):
            cells.append(f"{mean[f'{method}.{name}']:.2f}" if true or name == "wrong" else "")
    cells += [f"{mean[f'AP.{method}']:.2f}" if true else "" for method in ("vrae", "Pearson")]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--resume", action="store_true", help="keep the rows of planted.jsonl")
    parser.add_argument("--data", default=os.environ.get("VRAE_DATA"), help="folder with demand/; default: VRAE_DATA")
    options = parser.parse_args()
    folder, file = Path(options.data) / "demand", HERE / "planted.jsonl"
    kept = file.read_text().splitlines() if options.resume and file.exists() else []
    rows = [json.loads(text) for text in kept]
    keys = ("panel", "half", "kind", "fraction", "seed")
    done = {tuple(row[key] for key in keys) for row in rows if "unplanted" not in row}
    with file.open("w") as out:
        out.writelines(f"{text}\n" for text in kept)
        for case in [
            (panel, half, kind, fraction, seed)
            for seed in range(options.repeats)
            for panel in PANELS
            for half in HALVES
            for kind in KINDS
            for fraction in FRACTIONS
        ]:
            if case not in done:
                rows.append(measure(*case, folder))
                print(json.dumps(rows[-1]), file=out, flush=True)
        if not any("unplanted" in row for row in rows):
            rows += nothing_planted(folder, 2)
            out.writelines(f"{json.dumps(row)}\n" for row in rows if "unplanted" in row)
    (HERE / "RESULTS.md").write_text(table(rows))


if __name__ == "__main__":
    main()
