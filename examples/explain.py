"""Explain clusters of hand movements, and draw what latent dimensions do.

python examples/explain.py [docs/pictures]
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from vrae import VRAEClusterer, load_example


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/pictures")
    folder.mkdir(parents=True, exist_ok=True)
    panel, _ = load_example("GunPoint", split="train")
    clusterer = VRAEClusterer(3, random_state=0).fit(panel)
    for entry in clusterer.describe(panel):
        print(entry)
    print(clusterer.explain(panel, panel.ids[3]))
    used = np.argsort(-clusterer.embedding_.var(axis=0))[:3]
    figure, axes = plt.subplots(1, len(used), figsize=(10.8, 3.2), sharey=True, layout="constrained")
    for ax, dimension in zip(axes, used, strict=True):
        found = clusterer.model_.traversal(int(dimension))
        print(found)
        for value, series, shade in zip(
            found.values, found.series[:, 0], np.linspace(0, 1, len(found.values)), strict=True
        ):
            ax.plot(series, color=plt.cm.viridis(0.9 * shade), label=f"{value:.1f}")
        ax.set(title=f"Latent dimension {dimension}", xlabel="step")
        ax.spines[["top", "right"]].set_visible(False)
    axes[-1].legend(
        title="value", fontsize=8, title_fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5)
    )
    figure.savefig(folder / "traversal.png", dpi=130)


if __name__ == "__main__":
    main()
