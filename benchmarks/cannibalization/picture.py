"""Draw docs/pictures/cannibalization.png.

VRAE_DATA=... python benchmarks/cannibalization/picture.py
"""

from __future__ import annotations

import os
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from vrae import Panel, find_cannibalization

DOCS = Path(__file__).parents[2] / "docs"
ONE, OTHER, GREY = "#0072b2", "#d55e00", "#999999"


def plant() -> Panel:
    """Return 40 real products and a new one that takes 60 % of product 0 from week 34."""
    sales = pd.read_csv(Path(os.environ["VRAE_DATA"]) / "demand" / "sales_transactions_weekly.csv")
    X = sales[[f"W{week}" for week in range(52)]].to_numpy(float)
    rng = np.random.default_rng(4)
    X = X[rng.choice(np.flatnonzero(X.mean(axis=1) >= 8), 40, replace=False)]
    taken = rng.binomial(X[0, 34:].astype(int), 0.6)
    X[0, 34:] -= taken
    new = np.concatenate([np.zeros(34), taken + rng.poisson(taken.mean(), 18)])
    return Panel.from_arrays(np.vstack([X, new]), ids=[*(f"product {i}" for i in range(40)), "new product"])


def draw_series(ax: plt.Axes, panel: Panel) -> None:
    *others, new = (series[0] for series in panel)
    ax.plot(np.transpose(others[1:]), color=GREY, lw=0.4, alpha=0.6)
    ax.plot(new, color=OTHER, lw=1.8, label="new product")
    ax.plot(others[0], color=ONE, lw=1.8, label="product 0")
    ax.axvline(34, color="black", lw=0.8, ls=":")
    ax.set(xlabel="week", ylabel="sold", title="41 products of one category")
    ax.legend(frameon=False, fontsize=9)


def draw_p_values(ax: plt.Axes, panel: Panel) -> None:
    found, every = find_cannibalization(panel), find_cannibalization(panel, fdr=1.0)
    own = every.item == "new product"
    log_p = -np.log10(every.p_value)
    ax.scatter(every.strength[~own], log_p[~own], s=9, color=GREY, label="other pairs")
    ax.scatter(every.strength[own], log_p[own], s=18, color=OTHER, label="pairs with the new product")
    for item, other, s, p in zip(found.item, found.other, found.strength, found.p_value, strict=True):
        place = {"xytext": (8, -3), "textcoords": "offset points"}
        ax.annotate(f"{item} and {other}", (s, -np.log10(p)), fontsize=9, **place)
    ax.set(xlabel="strength", ylabel="-log10 of the p-value", title=f"{len(found)} of 820 pairs found at 5 % FDR")
    ax.legend(frameon=False, fontsize=9)


def main() -> None:
    panel = plant()
    figure, axes = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
    draw_series(axes[0], panel)
    draw_p_values(axes[1], panel)
    figure.savefig(DOCS / "pictures" / "cannibalization.png", dpi=110)


if __name__ == "__main__":
    main()
