"""RESULTS.md of the rows in results/."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from panels import PANELS

ORDER = (
    "vrae",
    "seasonal naive",
    "ETS",
    "Theta",
    "MSTL + ETS",
    "LightGBM",
    "one global model",
    "random groups",
    "no groups, else as vrae",
)


def write_table(here: Path) -> None:
    """Write the means over origins, for each panel and over all."""
    rows = [json.loads(p.read_text()) for p in sorted((here / "results").glob("*-?.json"))]
    panels = [p for p in PANELS if any(r["panel"] == p for r in rows)]
    text = [
        "# Forecasts of four panels\n",
        "Last 13 weeks (12 months) held out, from up to two origins a horizon apart (those measured are at the end);",
        "means over items, then origins. Written by `benchmarks/forecast/run.py`. RMSSE and MASE: errors relative to",
        "the one-step changes of the item's own past; lower is better. Items that never sold or changed before the",
        "origin have neither and are left out. Low sellers: the quarter with the smallest mean. Of larger panels 1,000",
        "items drawn at random.\n",
    ]
    for measure, title in (
        ("rmsse", "RMSSE"),
        ("mase", "MASE"),
        ("rmsse_low", "RMSSE of low sellers"),
        ("mase_low", "MASE of low sellers"),
    ):
        text += [f"\n## {title}\n", "| | " + " | ".join(panels) + " | mean |", "|---" * (len(panels) + 2) + "|"]
        members = sorted({m for r in rows for m in r["methods"] if m.startswith("member")})
        for method in (*ORDER, *members):
            means = [_mean(rows, panel, method, measure) for panel in panels]
            cells = ["-" if m is None else f"{m:.4f}" for m in means]
            known = [m for m in means if m is not None]
            mean = f"{np.mean(known):.4f}" if len(known) == len(panels) else "-"
            text.append(f"| {method} | " + " | ".join(cells) + f" | {mean} |")
    text += ["\n## Share of outcomes inside the intervals of vrae\n", "| | 80 % | 95 % |", "|---|---|---|"]
    for panel in panels:
        shares = [_mean(rows, panel, "vrae", f"coverage_{level}") for level in (80, 95)]
        text.append(f"| {panel} | " + " | ".join(f"{100 * s:.1f} %" for s in shares if s is not None) + " |")
    ages = sorted({int(m.rsplit("_", 1)[1]) for r in rows for m in r["methods"]["vrae"] if "_age_" in m})
    text += [
        "\n## Share of outcomes inside 80 % intervals, by what is known\n",
        "Complete items, of which only the last steps are shown to the fitted forecaster.\n",
        "| | " + " | ".join(f"{age} steps" for age in ages) + " |",
        "|---" * (len(ages) + 1) + "|",
    ]
    for row in rows:
        shares = [row["methods"]["vrae"].get(f"coverage_80_age_{age}") for age in ages]
        cells = ["-" if s is None else f"{100 * s:.1f} %" for s in shares]
        text.append(f"| {row['panel']}, origin {row['origin']} | " + " | ".join(cells) + " |")
    text += ["\n## Groups\n", "| panel | origin | items | groups chosen | sizes |", "|---|---|---|---|---|"]
    for row in rows:
        own = row["methods"]["vrae"]
        sizes = ", ".join(map(str, own["sizes"]))
        text.append(f"| {row['panel']} | {row['origin']} | {row['items']} | {own['n_clusters']} | {sizes} |")
    text += [f"\nOf {r['panel']}, origin {r['origin']}: {r['note']}" for r in rows if "note" in r]
    (here / "RESULTS.md").write_text("\n".join(text) + "\n")


def _mean(rows: list[dict], panel: str, method: str, measure: str) -> float | None:
    own = [r["methods"][method][measure] for r in rows if r["panel"] == panel and method in r["methods"]]
    return float(np.mean(own)) if own else None
