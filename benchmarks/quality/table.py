"""Turn results.jsonl, auto.jsonl and promises.jsonl into RESULTS.md and quality.png.

python benchmarks/quality/table.py [--results FILE] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from itertools import combinations
from pathlib import Path

import auto
import numpy as np
import picture
import promise_tables
import rows
from layout import figure, markdown
from methods import METHODS, PEERS
from scipy.stats import rankdata, wilcoxon
from sets import HALF_A, HALF_B, OLD, OTHER, SUITE
from sklearn.metrics import adjusted_rand_score

HERE = Path(__file__).parent
OWN = "VRAE"
TOLERANCE = 0.005  # smaller differences count as ties
ENOUGH = 0.75  # share of the sets that a method needs to be ranked
PUBLISHED = {"RandomNet": "RandomNet, published", "RACER": "RACER, published"}  # columns of published.csv
RANKED = [*PEERS, PUBLISHED["RandomNet"]]
# Shown in this order; RANKED, and parts or variants of them.
ORDER = [*PUBLISHED.values(), *METHODS]
SIZES = [0, 250, 700, 1500]  # series, from this number on
HEAD = """# Clustering quality, measured

Written by `table.py`. [NEIGHBOURS.md](NEIGHBOURS.md) and [LOG.md](LOG.md) say how the defaults were chosen, and why
the figures are optimistic for VRAE. ARI: adjusted Rand index, 1 = the known classes, 0 = chance. NMI: normalised
mutual information. Every method knows the number of clusters and has one setting for all sets. Figures are means over
seeds. Seconds are CPU seconds of one thread on a shared machine: what a clock would show if nothing else ran.

    python benchmarks/quality/run.py --protocol merged test other
    python benchmarks/quality/auto.py
    python benchmarks/quality/promises.py
    python benchmarks/quality/table.py
"""
MERGED = """\
The 56 UCR sets of equal length without gaps, every series z-normalised. Training and test series are clustered and
scored together; of ECG5000 the training series only. Crop is a sample of 6,000 series.

RandomNet (DMKD 2024) and RACER, published: figures from their authors' repositories (Jackxiini/RandomNet,
pcjdhhhh/RACER), in `published.csv`. Theirs are of ECG5000 and Crop as a whole. RACER without this word is our own
short version, run like the others.
"""
LEGEND = """\
rank and wins (best of a set; ties count for all): of the methods that a user could pick, on the {n} sets where all of
them have a figure. VRAE: sets that VRAE won / tied (within .005) / lost against the method, and p of Wilcoxon's signed
ranks. sd: of the ARI over seeds, mean of the sets. self: mean ARI between the labels of two seeds. s: CPU seconds,
median of the sets; most s: the largest. sets: with a figure; means are over these.
"""
GROUPS = """\
Mean ARI of parts of the sets; a dash where a method lacks one. A is every other set in alphabetical order, from the
first; B is the rest. old: the sixteen sets of the first edition, whose defaults were chosen on them. The last columns
are by number of series.
"""
OTHERS = """\
Sets with unequal lengths (GestureMidAirD1, JapaneseVowels, PickupGestureWiimoteZ, PLAID), gaps (DodgerLoopDay) or
several channels (BasicMotions, JapaneseVowels, RacketSports). VRAE gets the series as they are. For the others, gaps
are bridged by straight lines, and series are resampled to the longest, at most 500 steps, and z-normalised.
"""


class Results:
    """Rows of one protocol, by set and method."""

    def __init__(self, results: list[rows.Row], protocol: str, names: list[str] = SUITE) -> None:
        self.cells: dict[tuple[str, str], list[rows.Row]] = defaultdict(list)
        self.sizes: dict[str, int] = {}
        for row in results:
            if row["protocol"] == protocol:
                self.cells[row["set"], row["method"]].append(row)
                self.sizes[row["set"]] = row.get("n") or self.sizes.get(row["set"], 0)
        self.sets = [name for name in names if name in self.sizes]
        self.methods = [m for m in ORDER if any(m == method for _, method in self.cells)]

    def values(self, name: str, method: str, field: str) -> list[float]:
        """Return a field of all seeds that gave a figure."""
        return [row[field] for row in self.cells[name, method] if row.get(field) is not None]

    def means(self, method: str, field: str = "ari", names: list[str] | None = None) -> np.ndarray:
        """Return means over seeds, one a set; NaN where there is none."""
        found = [self.values(name, method, field) for name in (self.sets if names is None else names)]
        return np.array([np.mean(of_set) if of_set else np.nan for of_set in found])

    def table(self, field: str, methods: list[str] | None = None) -> np.ndarray:
        """Return means (set, method)."""
        return np.stack([self.means(m, field) for m in methods or self.methods], axis=1)

    def ranked(self) -> tuple[list[str], np.ndarray]:
        """Return the methods to rank, and the ARI (set, method) where all of them have one."""
        methods = [m for m in self.methods if m in RANKED and np.isfinite(self.means(m)).mean() >= ENOUGH]
        ari = self.table("ari", methods) if methods else np.zeros((0, 0))
        return methods, ari[np.isfinite(ari).all(axis=1)].round(3)

    def seeds(self, method: str) -> str:
        """Return how many seeds are behind a method's figures."""
        counts = {len(self.values(s, method, "ari")) for s in self.sets} - {0}
        return "-".join(str(count) for count in sorted({min(counts), max(counts)})) if counts else "0"


def ranks(ari: np.ndarray) -> np.ndarray:
    """Return mean ranks of the columns (method), 1 = best."""
    return np.mean([rankdata(-line) for line in ari], axis=0)


def mean(values: np.ndarray) -> float:
    """Return the mean of the values that are there."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else np.nan


def per_set(results: Results, field: str) -> str:
    """Lay out the means of a field, a line a set and their mean; the best of a line in bold."""
    table = results.table(field)
    body = []
    for name, line in zip(results.sets, table, strict=True):
        best = np.nanmax(line)
        body.append([name, *(f"**{figure(v)}**" if v > best - 0.0005 else figure(v) for v in line)])
    body.append(["**mean**", *(f"**{figure(v)}**" for v in table.mean(axis=0))])
    body.append(["seeds", *(results.seeds(m) for m in results.methods)])
    return markdown(["", *results.methods], body)


def summary(results: Results, stability: dict[str, float]) -> str:
    """Lay out what all sets say of each method together."""
    ranked, common = results.ranked()
    best = common >= common.max(axis=1, keepdims=True)
    rank = dict(zip(ranked, ranks(common), strict=True)) if len(common) else {}
    wins = dict(zip(ranked, best.sum(axis=0), strict=True))
    body = []
    for m in results.methods:
        ari, seconds = results.means(m), results.means(m, "seconds")
        spread = [np.std(results.values(s, m, "ari")) for s in results.sets if results.values(s, m, "ari")]
        timed = seconds[np.isfinite(seconds)]
        body.append(
            [
                f"**{m}**" if m == OWN else m,
                figure(mean(ari)),
                figure(mean(results.means(m, "nmi"))),
                figure(rank.get(m, np.nan), 2),
                str(wins.get(m, "-")),
                *versus(results.means(OWN), ari),
                figure(float(np.mean(spread))) if results.seeds(m) != "1" else "-",
                figure(stability.get(m, np.nan)),
                figure(float(np.median(timed)), 1) if len(timed) else "-",
                figure(float(timed.max()), 1) if len(timed) else "-",
                str(int(np.isfinite(ari).sum())),
                results.seeds(m),
            ]
        )
    header = "method, ARI, NMI, rank, wins, VRAE, p, sd, self, s, most s, sets, seeds"
    return f"{LEGEND.format(n=len(common))}\n{markdown(header.split(', '), body)}"


def versus(own: np.ndarray, other: np.ndarray) -> tuple[str, str]:
    """Compare two methods' ARI, one a set: won / tied / lost by the first, and a p-value."""
    difference = (own - other)[np.isfinite(own - other)]
    if not difference.any():  # no figures, or the same method
        return "-", "-"
    won, lost = int((difference > TOLERANCE).sum()), int((difference < -TOLERANCE).sum())
    p = wilcoxon(difference).pvalue
    return f"{won} / {len(difference) - won - lost} / {lost}", "< .001" if p < 0.001 else figure(p)


def groups(results: Results) -> str:
    """Lay out mean ARI of halves, of the old sets, and by number of series."""
    parts = {"all": SUITE, "A": HALF_A, "B": HALF_B, "old": OLD, "others": [n for n in SUITE if n not in OLD]}
    for low, high in zip(SIZES, [*SIZES[1:], None], strict=True):
        title = f"< {high}" if low == 0 else f"{low:,}-{high - 1:,}" if high else f"{low:,} and more"
        parts[title] = [n for n in results.sets if low <= results.sizes[n] < (high or np.inf)]
    body = []
    for m in results.methods:
        cells = [figure(float(np.mean(results.means(m, names=names)))) if names else "-" for names in parts.values()]
        body.append([f"**{m}**" if m == OWN else m, *cells])
    header = ["ARI", *(f"{title} ({len(names)})" for title, names in parts.items())]
    return f"{GROUPS}\n{markdown(header, body)}"


def self_agreement(labels: list[rows.Row]) -> dict[str, float]:
    """Return each method's mean ARI between the labels of two seeds, over the sets with several."""
    found: dict[tuple[str, str], list[list[str]]] = defaultdict(list)
    for row in labels:
        found[row["method"], row["set"]].append(list(row["labels"]))
    by_method: dict[str, list[float]] = defaultdict(list)
    for (method, _), runs in found.items():
        if len(runs) > 1:
            by_method[method].append(float(np.mean([adjusted_rand_score(a, b) for a, b in combinations(runs, 2)])))
    return {method: float(np.mean(of_sets)) for method, of_sets in by_method.items()}


def missing(results: list[rows.Row]) -> str:
    """Name the runs that gave no figure."""
    lines = [
        f"- {r['method']} on {r['set']} ({r['protocol']}, seed {r['seed']}): {r['reason']}"
        for r in results
        if r.get("reason")
    ]
    return "## Without a result\n\n" + "\n".join(lines) + "\n" if lines else ""


def published() -> list[rows.Row]:
    """Return the figures of published.csv as rows."""
    with (HERE / "published.csv").open(newline="") as file:
        return [
            {"set": line["set"], "protocol": "merged", "method": method, "seed": 0, "ari": float(line[column])}
            for line in csv.DictReader(file)
            for column, method in PUBLISHED.items()
        ]


def report(results: list[rows.Row], labels: list[rows.Row], found: list[rows.Row], promises: list[rows.Row]) -> str:
    """Return the whole of RESULTS.md; ``found`` are the rows of auto.jsonl."""
    merged, test = Results([*results, *published()], "merged"), Results(results, "test")
    other = Results(results, "other", OTHER)
    versions = sorted({row["version"] for row in results})
    parts = [HEAD, f"Code: {', '.join(versions)} (of vrae also a digest of its `nn`, `train` and `estimators`).\n"]
    parts += ["## Train and test merged\n", MERGED, summary(merged, self_agreement(labels))]
    parts += ["![Critical difference and spread](quality.png)\n", "### Where\n", groups(merged)]
    parts += ["### ARI of each set\n", per_set(merged, "ari")]
    if test.sets:
        parts += ["## Fitted to train, scored on test\n", "### NMI\n", per_set(test, "nmi")]
        parts += ["### ARI\n", per_set(test, "ari")]
    if other.sets:
        parts += ["## Unequal lengths, gaps, several channels\n", OTHERS, "### ARI\n", per_set(other, "ari")]
        parts += ["### NMI\n", per_set(other, "nmi")]
    parts += [auto.section(found), missing(results), EARLIER, promise_tables.markdown(promises, markdown, figure)]
    return "\n".join(part for part in parts if part)


EARLIER = """
The tables below were measured with the first edition's default (a mixture on the pattern statistics), and have not
been run again. [NEIGHBOURS.md](NEIGHBOURS.md) has damaged series with the present one.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=HERE / "results.jsonl")
    parser.add_argument("--out", type=Path, default=HERE)
    options = parser.parse_args()
    results = rows.read(options.results)
    labels, found, promises = (
        rows.read(options.results.with_name(f"{name}.jsonl")) for name in ("labels", "auto", "promises")
    )
    (options.out / "RESULTS.md").write_text(report(results, labels, found, promises), encoding="utf-8")
    methods, ari = Results([*results, *published()], "merged").ranked()
    if len(methods) > 2 and len(ari):
        picture.draw(ari, ranks(ari), methods, options.out)


if __name__ == "__main__":
    main()
