"""Draw docs/pictures/similar.png: python benchmarks/neighbours/picture.py."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from vrae import VRAENeighbors, load_example

DOCS = Path(__file__).parents[2] / "docs"
ONE, OTHER, GREY = "#0072b2", "#d55e00", "#999999"


def similar() -> None:
    panel, _ = load_example("OSULeaf", split="train")
    model = VRAENeighbors(3, random_state=0).fit(panel)
    found = model.similar()
    figure, axes = plt.subplots(3, 4, figsize=(11, 5.4), sharex=True, sharey=True, layout="constrained")
    for row, query in enumerate((0, 70, 140)):
        name = panel.ids[query]
        x = panel[query][0]
        axes[row, 0].plot(x, color=ONE, lw=1.4)
        axes[row, 0].set_title(f"series {name}", fontsize=10, loc="left")
        mine = np.flatnonzero(found.query == name)
        for ax, at in zip(axes[row, 1:], mine, strict=True):
            other = panel[panel.position(found.neighbor[at])][0]
            ax.plot(x, color=GREY, lw=0.9)
            ax.plot(other, color=OTHER, lw=1.4)
            text = (
                f"{found.rank[at]}: series {found.neighbor[at]}, distance {found.distance[at]:.2f}, lag {found.lag[at]}"
            )
            ax.set_title(text, fontsize=9, loc="left")
    figure.supxlabel("step", fontsize=10)
    figure.suptitle("OSULeaf: a leaf's outline (blue, grey) and the three most similar ones (orange)", fontsize=11)
    figure.savefig(DOCS / "pictures" / "similar.png", dpi=110)


if __name__ == "__main__":
    similar()
