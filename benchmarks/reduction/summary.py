"""Turn rows of results into RESULTS.md and docs/pictures/reduction.png."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from panels import DEMAND
from sets import OLD as SETS

PICTURE = Path(__file__).parents[2] / "docs" / "pictures" / "reduction.png"
SIZES = (2, 4, 8, 16, 20)
EVEN = 0.005  # smaller relative differences count as ties

HEAD = """# Data reduction, measured

Written by `run.py`, one command:

    python benchmarks/reduction/run.py

Mean squared error of series that were not seen in training (test files of the 16 UCR sets; every second item of the
demand panels), every series z-normalised, so that 1 is what keeping nothing costs. `VRAE` is
`VRAE.for_reduction(latent_size=N)` with nothing else set, one setting for all sets; `PCA` is scikit-learn's with N
components, or as many as the training series allow. Neither has to store level and spread, which are 0 and 1 here. On
data in its own units both would store two numbers more; `PCA + 2` is the harsher comparison, in which only VRAE has to.
What was tried is in [LOG.md](LOG.md), and why the figures of the 16 are a little optimistic; the demand panels were not
looked at before the setting was fixed.
"""

Cells = dict[tuple[str, int | str, str], list[dict[str, Any]]]


def write(results: list[dict[str, Any]], path: Path) -> None:
    """Write the tables and the picture."""
    cells: Cells = defaultdict(list)
    for row in results:
        cells[row["set"], row["size"], row["method"]].append(row)
    sizes = [size for size in SIZES if any(key[1] == size for key in cells)]
    text = [HEAD, *_wins(cells, sizes), *(_table(cells, size) for size in sizes), _auto(cells)]
    path.write_text("\n".join(text), encoding="utf-8")
    draw(cells, PICTURE)


def _error(cells: Cells, name: str, size: int | str, method: str) -> float:
    found = [row["error"] for row in cells[name, size, method]]
    return float(np.mean(found)) if found else np.nan


def _count(ratios: list[float]) -> str:
    known = np.array([r for r in ratios if np.isfinite(r)])
    won, lost = (known < 1 - EVEN).sum(), (known > 1 + EVEN).sum()
    return f"{won} / {len(known) - won - lost} / {lost} ({(known < 1).sum()} of {len(known)} below)"


def _wins(cells: Cells, sizes: list[int]) -> list[str]:
    lines = [
        "## Against PCA: sets won / even (within 0.5 %) / lost, of the 16\n",
        "The mean ratio is the geometric one.\n",
        "| numbers | VRAE, PCA | mean ratio | VRAE, PCA + 2 | axes alone, PCA | network better than its axes |",
        "|---|---|---|---|---|---|",
    ]
    for size in sizes:

        def ratios(own: str, other: str, size: int = size) -> list[float]:
            return [_error(cells, n, size, own) / _error(cells, n, size, other) for n in SETS]

        helped = sum(r < 1 - EVEN for r in ratios("VRAE", "axes alone"))
        mean = np.exp(np.nanmean(np.log(ratios("VRAE", "PCA"))))
        lines.append(
            f"| {size} | {_count(ratios('VRAE', 'PCA'))} | {mean:.3f} | {_count(ratios('VRAE', 'PCA + 2'))} "
            f"| {_count(ratios('axes alone', 'PCA'))} | {helped} sets |"
        )
    return [*lines, ""]


def _table(cells: Cells, size: int) -> str:
    lines = [
        f"## {size} numbers a series\n",
        "| set | series | steps | PCA | VRAE | ratio | axes alone | PCA + 2 | seconds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in [*SETS, *DEMAND]:
        found = cells[name, size, "VRAE"]
        if not found:
            continue
        pca, own, axes, more = (_error(cells, name, size, m) for m in ("PCA", "VRAE", "axes alone", "PCA + 2"))
        seconds = np.mean([row["seconds"] for row in found])
        lines.append(
            f"| {name} | {found[0]['n']} | {found[0]['length']} | {pca:.5f} | {own:.5f} | {own / pca:.3f} "
            f"| {axes:.5f} | {more:.5f} | {seconds:.1f} |"
        )
    return "\n".join([*lines, ""])


def _auto(cells: Cells) -> str:
    lines = [
        '## `latent_size="auto"`\n',
        "| set | steps | numbers chosen | ratio | error | PCA |",
        "|---|---|---|---|---|---|",
    ]
    for name in [*SETS, *DEMAND]:
        for row in cells[name, "auto", "VRAE"][:1]:
            pca = _error(cells, name, "auto", "PCA")
            ratio = row["length"] / row["kept"]
            lines.append(f"| {name} | {row['length']} | {row['kept']} | {ratio:.1f} | {row['error']:.5f} | {pca:.5f} |")
    return "\n".join([*lines, ""])


def draw(cells: Cells, path: Path) -> None:
    """Draw error by size: four sets, and the ratio to PCA over all."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shown = [name for name in ("ECG5000", "TwoLeadECG") if cells[name, 16, "VRAE"]]
    figure, panels = plt.subplots(1, len(shown) + 1, figsize=(3.6 * (len(shown) + 1), 3.4), layout="constrained")
    panels = np.atleast_1d(panels)
    for ax, name in zip(panels, shown, strict=False):
        for method, colour, style in (("PCA", "#888888", "--"), ("VRAE", "#0b6fa4", "-")):
            ax.plot(
                SIZES, [_error(cells, name, s, method) for s in SIZES], style, color=colour, marker="o", label=method
            )
        ax.set(title=name, xlabel="numbers a series", yscale="log", xticks=SIZES)
        ax.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("error of test series (1 = keeping nothing)")
    panels[0].legend(frameon=False)
    for ax in panels[:-1]:
        ax.yaxis.set_minor_formatter("")
    ax = panels[-1]
    for name in SETS:
        ratios = [_error(cells, name, s, "VRAE") / _error(cells, name, s, "PCA") for s in SIZES]
        ax.plot(SIZES, ratios, color="#0b6fa4", alpha=0.35, linewidth=1)
    ax.axhline(1, color="#888888", linestyle="--")
    ax.set(title="All 16 sets: VRAE and PCA", xlabel="numbers a series", ylabel="error / PCA's", xticks=SIZES)
    ax.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)
