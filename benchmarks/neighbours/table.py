"""Write RESULTS.md from precision.jsonl and scale.jsonl: python benchmarks/neighbours/table.py."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
METHODS = ("Euclidean", "DTW", "VRAE")


def read(name: str) -> list[dict[str, object]]:
    path = HERE / name
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def precision() -> list[str]:
    rows = read("precision.jsonl")
    if not rows:
        return []
    lines = ["| set | series | " + " | ".join(METHODS) + " |", "|---|---|" + "---|" * len(METHODS)]
    means: dict[str, list[float]] = {method: [] for method in METHODS}
    seeds = set()
    for name in sorted({str(row["set"]) for row in rows}):
        own = [row for row in rows if row["set"] == name]
        found = {m: [float(str(row["precision"])) for row in own if row["method"] == m] for m in METHODS}
        if not all(found.values()):
            continue
        seeds.add(len(found["VRAE"]))
        best = max(np.mean(values) for values in found.values())
        cells = []
        for method, values in found.items():
            mean = float(np.mean(values))
            means[method].append(mean)
            cells.append(f"**{mean:.3f}**" if mean >= best - 5e-4 else f"{mean:.3f}")
        lines.append(f"| {name} | {own[0]['n']} | " + " | ".join(cells) + " |")
    lines.append("| **mean** | | " + " | ".join(f"{np.mean(values):.3f}" for values in means.values()) + " |")
    won = np.argmax(np.array([means[method] for method in METHODS]), axis=0)
    lines.append("| best on | | " + " | ".join(str(int((won == m).sum())) for m in range(len(METHODS))) + " |")
    return [f"VRAE: mean of {min(seeds)} seeds or more, default setting for all sets.", "", *lines]


def scale() -> list[str]:
    rows = read("scale.jsonl")
    if not rows:
        return []
    names = list(rows[0])
    head = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    return [*head, *["| " + " | ".join(str(row[name]) for name in names) + " |" for row in rows]]


def main() -> None:
    text = ["# Neighbours", "", "## Precision of the ten nearest, by class (`precision.py`)", "", *precision(), ""]
    text += ["## Search among 100,000 generated series, on one thread (`scale.py`)", "", *scale()]
    (HERE / "RESULTS.md").write_text("\n".join(text).rstrip() + "\n")


if __name__ == "__main__":
    main()
