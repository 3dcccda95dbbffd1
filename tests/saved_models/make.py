"""Write a model directory of the current format version, with series and expected results.

    python tests/saved_models/make.py

Run it once per format version, when that version is released. Later code must open the directory,
not write it again.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from vrae import VRAE, VRAEClusterer, read_panel
from vrae.io.migrations import FORMAT_VERSION

HERE = Path(__file__).parent


def series() -> np.ndarray:
    """Return sines of two periods in two channels, with gaps: (24, 2, 30)."""
    rng = np.random.default_rng(0)
    phase = rng.uniform(0, 2 * np.pi, (24, 1, 1))
    period = np.where(np.arange(24) % 2, 6.0, 15.0)[:, None, None]
    X = np.sin(2 * np.pi * np.arange(30) / period + phase + np.array([0.0, 1.0])[:, None])
    X += 0.1 * rng.standard_normal(X.shape)
    X[rng.random(X.shape) < 0.05] = np.nan
    return X.astype(np.float32)


def sales() -> pd.DataFrame:
    """Return weekly sales of 24 items in summer and winter, with gaps and a column for the shop."""
    rng = np.random.default_rng(1)
    weeks = pd.date_range("2023-01-02", periods=70, freq="W-MON")
    rows = []
    for item in range(24):
        rate = 20 * (1 + 0.8 * np.cos(2 * np.pi * (np.arange(70) - 26 * (item % 2)) / 52))
        begins = int(rng.integers(0, 15))
        rows += [(f"i{item:02d}", item % 3, weeks[t], int(rng.poisson(rate[t]))) for t in range(begins, 70)]
    table = pd.DataFrame(rows, columns=["item", "shop", "week", "sold"])
    return table[rng.random(len(table)) > 0.1]


def edited(X: np.ndarray, folder: Path) -> None:
    """Write a clusterer whose clusters were split, merged and renamed, and series moved."""
    model = VRAE(latent_size=3, hidden_size=8, max_epochs=40, device="cpu")
    clusterer = VRAEClusterer(3, model=model, false_alarm_rate=None, random_state=0).fit(X)
    clusterer.split(0).merge([1, 2]).move([0, 1], to=1).rename({0: "First", 2: "Täglich"})
    clusterer.save(folder / "edited")
    names = [clusterer.names_[cluster] for cluster in range(clusterer.n_clusters_)]
    new = X[::-1][:, :, ::-1].copy()
    np.savez_compressed(
        folder / "edited.npz",
        X=new,
        labels=clusterer.labels_,
        probabilities=clusterer.predict_proba(new),
        names=names,
    )


def main() -> None:
    X = series()
    model = VRAE(latent_size=3, hidden_size=8, max_epochs=40, max_lag=5, device="cpu")
    clusterer = VRAEClusterer(2, model=model, random_state=0).fit(X)
    folder = HERE / f"v{FORMAT_VERSION}"
    clusterer.save(folder / "model")
    np.savez_compressed(
        folder / "expected.npz",
        X=X,
        labels=clusterer.labels_,
        embedding=clusterer.embedding_,
        bound=clusterer.model_.score_samples(X),
    )
    table = sales()
    panel = read_panel(table, id="item", time="week", value="sold", static="shop")
    dated = VRAEClusterer(2, model=VRAE(latent_size=4, hidden_size=8, device="cpu"), random_state=0).fit(panel)
    dated.save(folder / "dated")
    table.assign(label=table["item"].map(dict(zip(dated.ids_, dated.labels_, strict=True)))).to_csv(
        folder / "dated.csv", index=False
    )
    edited(X, folder)
    print(folder, np.bincount(clusterer.labels_), clusterer.labels_)


if __name__ == "__main__":
    main()
