"""Draw the picture of docs/how-to/long-series.md.

    python examples/long_series.py

Makes eight weeks of half-hourly demand with a quiet holiday, a sensor that hangs and a noisier
night, and draws the stretches that LongSeriesDetector finds.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from vrae import LongSeriesDetector

DOCS = Path(__file__).parent.parent / "docs" / "pictures"
DAY, DAYS = 48, 56
PLANTED = {"holiday": (23 * DAY, DAY), "sensor hangs": (34 * DAY + 16, 14), "noise": (45 * DAY + 30, 30)}


def demand() -> np.ndarray:
    """Return demand of each half hour: two peaks a day, other weekends."""
    rng, hour = np.random.default_rng(0), np.arange(DAY) / 2
    workday = 2 + 8 * np.exp(-(((hour - 8) / 2) ** 2)) + 10 * np.exp(-(((hour - 18) / 3) ** 2))
    weekend = 3 + 7 * np.exp(-(((hour - 15) / 5) ** 2))
    x = np.concatenate([workday if day % 7 < 5 else weekend for day in range(DAYS)])
    x = x * (1 + 0.05 * rng.normal(size=len(x))) + 0.3 * rng.normal(size=len(x))
    (holiday, length), (hangs, short), (noise, long) = PLANTED.values()
    x[holiday : holiday + length] = 2 + 0.35 * (x[holiday : holiday + length] - 2)
    x[hangs : hangs + short] = x[hangs]
    x[noise : noise + long] += 1.5 * rng.normal(size=long)
    return x


def main() -> None:
    x = demand()
    detector = LongSeriesDetector().fit(x)
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(9, 4.5), sharex=True, layout="constrained", height_ratios=(2, 1)
    )
    days = np.arange(len(x)) / DAY
    above.plot(days, x, linewidth=0.8)
    below.plot(days, detector.scores_, linewidth=0.8)
    below.axhline(0, color="grey", linewidth=0.8)
    for stretch in detector.stretches_:
        for ax in (above, below):
            ax.axvspan((stretch.start - 1) / DAY, stretch.end / DAY, color="tab:orange", alpha=0.25)
    for name, (first, length) in PLANTED.items():
        above.annotate(name, ((first + length / 2) / DAY, x.max() * 1.02), ha="center")
    above.set(ylabel="demand", ylim=(0, x.max() * 1.12), title=f"Windows of {detector.window_} steps")
    below.set(xlabel="day", ylabel="score")
    DOCS.mkdir(exist_ok=True)
    figure.savefig(DOCS / "long-series.png", dpi=130)
    for stretch in detector.stretches_:
        print(f"day {stretch.start / DAY:.1f} to {stretch.end / DAY:.1f}, score {stretch.score:.1f}")


if __name__ == "__main__":
    main()
