"""Draw the pictures of docs/similar.md: python benchmarks/neighbours/picture.py; the second needs VRAE_DATA."""

from __future__ import annotations

import os
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from vrae import Panel, VRAENeighbors, find_opposites, load_example

DOCS = Path(__file__).parents[2] / "docs"
ONE, OTHER, GREY = "#0072b2", "#d55e00", "#999999"


def similar() -> None:
    panel, _ = load_example("OSULeaf", split="train")
    model = VRAENeighbors(3, random_state=0, device="cpu").fit(panel)
    found = model.similar()
    figure, axes = plt.subplots(3, 4, figsize=(11, 5.4), sharex=True, sharey=True, layout="constrained")
    for row, query in enumerate((0, 70, 140)):
        name = panel.ids[query]
        x = panel[query][:, 0]
        axes[row, 0].plot(x, color=ONE, lw=1.4)
        axes[row, 0].set_title(f"series {name}", fontsize=10, loc="left")
        mine = np.flatnonzero(found.query == name)
        for ax, at in zip(axes[row, 1:], mine, strict=True):
            other = panel[panel.position(found.neighbor[at])][:, 0]
            ax.plot(x, color=GREY, lw=0.9)
            ax.plot(other, color=OTHER, lw=1.4)
            text = (
                f"{found.rank[at]}: series {found.neighbor[at]}, distance {found.distance[at]:.2f}, lag {found.lag[at]}"
            )
            ax.set_title(text, fontsize=9, loc="left")
    figure.supxlabel("step", fontsize=10)
    figure.suptitle("OSULeaf: a leaf's outline (blue, grey) and the three most similar ones (orange)", fontsize=11)
    figure.savefig(DOCS / "similar.png", dpi=110)


def opposites() -> None:
    sales = pd.read_csv(Path(os.environ["VRAE_DATA"]) / "demand" / "sales_transactions_weekly.csv")
    X = sales[[f"W{week}" for week in range(52)]].to_numpy(float)
    rng = np.random.default_rng(4)
    X = X[rng.choice(np.flatnonzero(X.mean(axis=1) >= 8), 40, replace=False)]
    taken = rng.binomial(X[0, 34:].astype(int), 0.6)
    X[0, 34:] -= taken
    new = np.concatenate([np.zeros(34), taken + rng.poisson(taken.mean(), 18)])
    panel = Panel.from_arrays(np.vstack([X, new]), ids=[*(f"product {i}" for i in range(40)), "new product"])
    found = find_opposites(panel)
    print(found.columns())
    figure, axes = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
    axes[0].plot(X[1:].T, color=GREY, lw=0.4, alpha=0.6)
    axes[0].plot(new, color=OTHER, lw=1.8, label="new product")
    axes[0].plot(X[0], color=ONE, lw=1.8, label="product 0")
    axes[0].axvline(34, color="black", lw=0.8, ls=":")
    axes[0].set(xlabel="week", ylabel="sold", title="41 products of one category")
    axes[0].legend(frameon=False, fontsize=9)
    everything = find_opposites(panel, level=1.0)
    own = everything.item == "new product"
    axes[1].scatter(
        everything.strength[~own], -np.log10(everything.p_value[~own]), s=9, color=GREY, label="other pairs"
    )
    axes[1].scatter(
        everything.strength[own],
        -np.log10(everything.p_value[own]),
        s=18,
        color=OTHER,
        label="pairs with the new product",
    )
    for item, other, s, p in zip(found.item, found.other, found.strength, found.p_value, strict=True):
        axes[1].annotate(
            f"{item} and {other}", (s, -np.log10(p)), xytext=(8, -3), textcoords="offset points", fontsize=9
        )
    axes[1].set(xlabel="strength", ylabel="-log10 of the p-value", title=f"{len(found)} of 820 pairs found at 5 %")
    axes[1].legend(frameon=False, fontsize=9)
    figure.savefig(DOCS / "opposites.png", dpi=110)


if __name__ == "__main__":
    opposites()
    similar()
