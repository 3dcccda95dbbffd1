"""Draw docs/pictures/forecast.png: forecasts of monthly hospital items, and the actual values.

VRAE_DATA=... python benchmarks/forecast/picture.py
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from panels import load

from vrae import GroupForecaster

matplotlib.use("Agg")
HERE = Path(__file__).parent
HORIZON, SHOWN, FEW, ITEMS = 12, 36, 5, 150


def main() -> None:
    import matplotlib.pyplot as plt

    values = load("hospital")
    values = values[np.sort(np.random.default_rng(0).permutation(len(values))[:ITEMS])]
    known, came = values[:, :-HORIZON], values[:, -HORIZON:]
    forecaster = GroupForecaster(HORIZON, season_length=12, n_backtests=1, classical=False, random_state=0).fit(known)
    table = {n: c.reshape(-1, HORIZON) for n, c in forecaster.predict_table(level=80).items()}
    as_new = forecaster.predict(known[:, -FEW:])
    chosen = np.concatenate(
        [
            np.random.default_rng(3).permutation(np.flatnonzero(forecaster.labels_ == group))[
                : 6 // min(3, forecaster.n_clusters_)
            ]
            for group in range(min(3, forecaster.n_clusters_))
        ]
    )[:6]
    figure, axes = plt.subplots(2, 3, figsize=(12, 5.4), sharex=True, layout="constrained")
    past, ahead = np.arange(-SHOWN, 0) + 1, np.arange(1, HORIZON + 1)
    for axis, item in zip(axes.T.ravel(), chosen, strict=False):
        axis.axvspan(0.5, HORIZON + 0.5, color="#f3f4f6", zorder=0)
        axis.fill_between(
            ahead, table["lo-80"][item], table["hi-80"][item], color="#9ecae9", alpha=0.7, lw=0, label="80 % interval"
        )
        axis.plot(past, known[item, -SHOWN:], color="#374151", lw=1.2, label="known")
        axis.plot(ahead, came[item], color="#374151", lw=1.2, ls=":", label="what came")
        axis.plot(ahead, table["mean"][item], color="#1f6fb4", lw=2, label="forecast")
        axis.plot(ahead, as_new[item], color="#d1603d", lw=1.6, ls="--", label=f"forecast from {FEW} months only")
        axis.set_title(f"item {item}, group {forecaster.labels_[item]}", fontsize=10)
        axis.set_ylim(bottom=0)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[-1]:
        axis.set_xlabel("months from the last known one")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=5, frameon=False)
    figure.savefig(HERE.parents[1] / "docs" / "pictures" / "forecast.png", dpi=110)


if __name__ == "__main__":
    main()
