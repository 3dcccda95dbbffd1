"""Turn results.jsonl and promises.jsonl into RESULTS.md and quality.png.

python benchmarks/quality/table.py [--results FILE] [--out FOLDER]
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from itertools import combinations
from pathlib import Path

import numpy as np
import picture
import promise_tables
import rows
from methods import METHODS, PEERS
from scipy.stats import rankdata, wilcoxon
from sets import SETS
from sklearn.metrics import adjusted_rand_score

TOLERANCE = 0.005  # smaller differences count as ties
HEAD = """# Clustering quality, measured

Written by `table.py`. How the defaults were found, and why these figures are optimistic for VRAE, is in
[LOG.md](LOG.md). ARI: adjusted Rand index, 1 = the known classes, 0 = chance. NMI: normalised mutual information. All
methods know the number of clusters, and none has a setting of its own for a set. Figures are means over seeds. Seconds
are CPU seconds of one thread, taken on a shared two-core machine: what a clock would show if nothing else ran.

    python benchmarks/quality/run.py --protocol merged test whole
    python benchmarks/quality/promises.py
    python benchmarks/quality/table.py
"""
LEGEND = """\
rank: mean rank of the methods without ablations. won / even / lost: sets against R-Clustering, even within .005. worst:
lowest ARI of any set minus that of raw k-means. sd: of the ARI over seeds, mean of the sets. self: mean ARI between the
labels of two seeds. s: CPU seconds, median of the sets; most s: the largest; x: median ratio to a peer's.
"""


class Results:
    """Rows of one protocol, by set and method."""

    def __init__(self, results: list[rows.Row], protocol: str) -> None:
        self.cells: dict[tuple[str, str], list[rows.Row]] = defaultdict(list)
        for row in results:
            if row["protocol"] == protocol:
                self.cells[row["set"], row["method"]].append(row)
        self.sets = [name for name in SETS if any(name == s for s, _ in self.cells)]
        self.methods = [m for m in METHODS if any(m == method for _, method in self.cells)]

    def values(self, name: str, method: str, field: str) -> list[float]:
        """Return a field of all seeds that gave a figure."""
        return [row[field] for row in self.cells[name, method] if row.get(field) is not None]

    def mean(self, name: str, method: str, field: str) -> float:
        """Return a field's mean over the seeds; NaN without any."""
        found = self.values(name, method, field)
        return float(np.mean(found)) if found else np.nan

    def table(self, field: str, methods: list[str] | None = None) -> np.ndarray:
        """Return means (set, method)."""
        return np.array([[self.mean(s, m, field) for m in methods or self.methods] for s in self.sets])

    def complete(self) -> list[str]:
        """Return the methods that have a figure for every set."""
        found = self.table("ari")
        return [m for m, column in zip(self.methods, found.T, strict=True) if not np.isnan(column).any()]

    def seeds(self, method: str) -> str:
        """Return how many seeds are behind a method's figures."""
        counts = [len(self.values(s, method, "ari")) for s in self.sets]
        return str(min(counts)) if min(counts) == max(counts) else f"{min(counts)}-{max(counts)}"


def markdown(header: list[str], body: list[list[str]]) -> str:
    """Lay out a table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(line) + " |" for line in body]) + "\n"


def figure(value: float, digits: int = 3) -> str:
    """Write a number; a dash where there is none."""
    return "-" if np.isnan(value) else f"{value:.{digits}f}"


def per_set(results: Results, field: str) -> str:
    """Lay out the means of a field, a line a set and their mean; the best of a line in bold."""
    table = results.table(field)
    body = []
    for name, line in zip(results.sets, table, strict=True):
        best = np.nanmax(line)
        cells = [f"**{figure(v)}**" if v > best - 0.0005 else figure(v) for v in line]
        body.append([name, *cells])
    body.append(["**mean**", *(f"**{figure(v)}**" for v in table.mean(axis=0))])
    body.append(["seeds", *(results.seeds(m) for m in results.methods)])
    return markdown(["", *results.methods], body)


def ranks(table: np.ndarray) -> np.ndarray:
    """Return mean ranks of the columns (method), 1 = best; equal to three digits is equal."""
    return np.mean([rankdata(-line.round(3)) for line in table], axis=0)


def summary(results: Results, stability: dict[str, float], reference: str = "R-Clustering") -> str:
    """Lay out what all sets say of each method together."""
    methods = results.complete()
    ari = results.table("ari", methods)
    seconds = results.table("seconds", methods)
    against = results.table("ari", [reference])[:, 0] if reference in methods else np.full(len(ari), np.nan)
    raw = results.table("ari", ["k-means"])[:, 0]
    ranked = [m for m in methods if m in PEERS]
    rank = dict(zip(ranked, ranks(results.table("ari", ranked)), strict=True))
    spread = [np.mean([np.std(results.values(s, m, "ari")) for s in results.sets]) for m in methods]

    def ratio(column: int, peer: str) -> str:
        return figure(np.median(seconds[:, column] / seconds[:, methods.index(peer)]), 1) if peer in methods else "-"

    body = []
    for i, method in enumerate(methods):
        difference = ari[:, i] - against
        wins, losses = (difference > TOLERANCE).sum(), (difference < -TOLERANCE).sum()
        body.append(
            [
                method,
                figure(ari[:, i].mean()),
                figure(results.table("nmi", [method]).mean()),
                figure(rank.get(method, np.nan), 2),
                "-" if method == reference else f"{wins} / {len(ari) - wins - losses} / {losses}",
                figure((ari[:, i] - raw).min()),
                figure(float(spread[i])) if results.seeds(method) != "1" else "-",
                figure(stability.get(method, np.nan)),
                figure(float(np.median(seconds[:, i])), 1),
                figure(float(seconds[:, i].max()), 1),
                ratio(i, "KASBA"),
                ratio(i, "k-Shape"),
                results.seeds(method),
            ]
        )
    header = "method, ARI, NMI, rank, won / even / lost, worst, sd, self, s, most s, x KASBA, x k-Shape, seeds"
    text = markdown(header.split(", "), body)
    if "VRAE" in methods and reference in methods:
        p = wilcoxon(ari[:, methods.index("VRAE")], against).pvalue
        text += f"\nVRAE against {reference}, Wilcoxon's signed ranks over the {len(ari)} sets: p = {p:.3f}.\n"
    return text


def self_agreement(labels: list[rows.Row], sets: list[str]) -> dict[str, float]:
    """Return each method's mean ARI between the labels of two seeds, over all sets."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in labels:
        if row["protocol"] == "merged":
            found[row["method"], row["set"]].append(row["labels"])
    means: dict[str, float] = {}
    for method in METHODS:
        runs = [found[method, name] for name in sets]
        if runs and all(len(of_set) > 1 for of_set in runs):
            pairs = [[adjusted_rand_score(list(a), list(b)) for a, b in combinations(r, 2)] for r in runs]
            means[method] = float(np.mean([np.mean(of_set) for of_set in pairs]))
    return means


def missing(results: list[rows.Row]) -> str:
    """Name the runs that gave no figure."""
    lines = [
        f"- {r['method']} on {r['set']} ({r['protocol']}, seed {r['seed']}): {r['reason']}"
        for r in results
        if r.get("reason")
    ]
    return "\nWithout a result:\n\n" + "\n".join(lines) + "\n" if lines else ""


def report(results: list[rows.Row], labels: list[rows.Row], promises: list[rows.Row]) -> str:
    """Return the whole of RESULTS.md."""
    merged, test, whole = (Results(results, protocol) for protocol in ("merged", "test", "whole"))
    versions = sorted({row["version"] for row in results})
    parts = [HEAD, f"Code: {', '.join(versions)} (of vrae also a digest of its `nn`, `train` and `estimators`).\n"]
    if merged.sets:
        parts += [
            "## Train and test merged\n",
            LEGEND,
            summary(merged, self_agreement(labels, merged.sets)),
            "![Critical difference and spread](quality.png)\n",
            "### ARI\n",
            per_set(merged, "ari"),
            "### NMI\n",
            per_set(merged, "nmi"),
        ]
    if test.sets:
        parts += ["## Fitted to train, scored on test\n", "### NMI\n", per_set(test, "nmi"), "### ARI\n"]
        parts += [per_set(test, "ari")]
    if whole.sets:
        parts += ["## ECG5000, all 5000 series\n", ecg5000(whole)]
    parts += [missing(results), promise_tables.markdown(promises, markdown, figure)]
    return "\n".join(part for part in parts if part)


def ecg5000(whole: Results) -> str:
    """Lay out mean, standard deviation and range over the seeds."""
    body = []
    for m in whole.methods:
        ari, nmi = whole.values("ECG5000", m, "ari"), whole.values("ECG5000", m, "nmi")
        span = f"{min(ari):.3f} to {max(ari):.3f}" if ari else "-"
        sd = figure(float(np.std(ari))) if len(ari) > 1 else "-"
        scores = [figure(float(np.mean(v))) if v else "-" for v in (ari, nmi)]
        body.append([m, scores[0], sd, span, scores[1], figure(whole.mean("ECG5000", m, "seconds"), 1), str(len(ari))])
    return markdown(["method", "ARI", "sd", "range", "NMI", "s", "seeds"], body)


def main() -> None:
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=here / "results.jsonl")
    parser.add_argument("--out", type=Path, default=here)
    options = parser.parse_args()
    results = rows.read(options.results)
    labels = rows.read(options.results.with_name("labels.jsonl"))
    promises = rows.read(options.results.with_name("promises.jsonl"))
    (options.out / "RESULTS.md").write_text(report(results, labels, promises), encoding="utf-8")
    merged = Results(results, "merged")
    methods = [m for m in merged.complete() if m in PEERS]
    if len(methods) > 2:
        picture.draw(merged.table("ari", methods), ranks(merged.table("ari", methods)), methods, options.out)


if __name__ == "__main__":
    main()
