"""Write RESULTS.md from precision.jsonl and scale.jsonl: python benchmarks/neighbours/table.py."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
METHODS = ("Euclidean", "DTW", "MiniRocket", "MiniRocket, cosine", "VRAE")
HALF = ("MiniRocket, half", "VRAE, half")


def read(name: str) -> list[dict[str, object]]:
    path = HERE / name
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def precision() -> list[str]:
    """Return the table of the sets: means over seeds, "-" where a method was not run."""
    rows = read("precision.jsonl")
    found: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        found.setdefault(str(row["set"]), {}).setdefault(str(row["method"]), []).append(float(str(row["precision"])))
    methods = (*METHODS, *HALF)
    means = {
        name: {m: float(np.mean(own[m])) for m in methods if m in own}
        for name, own in sorted(found.items())
        if all(m in own for m in methods if m != "DTW")
    }
    if not means:
        return []
    size = {str(row["set"]): row["n"] for row in rows}
    lines = ["| set | series | " + " | ".join(methods) + " |", "|---|---|" + "---|" * len(methods)]
    lines += [f"| {name} | {size[name]} | " + " | ".join(_cells(own)) + " |" for name, own in means.items()]
    names = list(means)
    parts = {"all": names, "half A": names[::2], "half B": names[1::2]}
    parts["with DTW"] = [name for name in names if "DTW" in means[name]]
    for part, chosen in parts.items():
        averages = {m: np.mean([means[n][m] for n in chosen]) for m in methods if all(m in means[n] for n in chosen)}
        lines.append(f"| **mean, {part}** | {len(chosen)} sets | " + " | ".join(_cells(averages)) + " |")
    n_seeds = min(len(own["VRAE"]) for name, own in found.items() if name in means)
    return [
        f"VRAE: mean of {n_seeds} seeds, default setting for all sets. The last two columns: fitted to half of the",
        "series, the other half are the queries. Half A is every other set in alphabetical order, from the first.",
        "",
        *lines,
    ]


def _cells(own: dict[str, float]) -> list[str]:
    """Return the figures of a row. The best of each kind of query is bold."""
    cells = []
    for methods in (METHODS, HALF):
        best = max(own[m] for m in methods if m in own)
        for m in methods:
            value = f"{own[m]:.3f}" if m in own else "-"
            cells.append(f"**{value}**" if m in own and own[m] >= best - 5e-4 else value)
    return cells


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
