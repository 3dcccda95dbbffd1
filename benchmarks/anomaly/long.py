"""One long series: is the highest-scoring step the anomaly?

    python benchmarks/anomaly/long.py FOLDER [--seeds 5]     writes LONG.md

FOLDER holds 135_UCR_Anomaly_InternalBleeding16_TRAIN.csv and _TEST.csv (KDD_TSAD_135 of the UCR
anomaly archive: blood pressure; columns value, is_anomaly). The detector is fitted to windows of
the train part only; the archive's rule counts a step within 100 steps of the anomaly as found. For
comparison, on the same windows: the distance to the nearest training window (as in a matrix profile
of test against train) and the error of 16 principal axes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA

from vrae import Panel, VRAEAnomalyDetector
from vrae.data.sliding import SlidingWindows, dominant_period, sliding_windows

NAME = "135_UCR_Anomaly_InternalBleeding16"
RULE = 100  # steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    read = [
        np.genfromtxt(options.folder / f"{NAME}_{part}.csv", delimiter=",", names=True) for part in ("TRAIN", "TEST")
    ]
    train, test = (Panel.from_arrays(part["value"][None], ids=["pressure"]) for part in read)
    begin, end = np.flatnonzero(read[1]["is_anomaly"])[[0, -1]]
    period = dominant_period(train)
    lines = [
        "# One long series: results",
        "",
        "*Written by `python benchmarks/anomaly/long.py`; how it was done stands at its head.*",
        "",
        f"{len(read[0])} training steps, {len(read[1])} test steps (the first {len(read[0])} are the training part and "
        f"are not scored), anomaly at steps {begin} to {end}. The period that `window='auto'` finds: {period} steps.",
        "",
        "| window | method | seed | highest step | away | found |",
        "|---|---|---|---|---|---|",
    ]
    for size in (period, period // 2, 2 * period):
        learned, judged = sliding_windows(train, size), sliding_windows(test, size)
        A, B = flat(learned), flat(judged)
        pca = PCA(16, random_state=0).fit(A)
        scores = {
            ("nearest training window", ""): cdist(B, A).min(axis=1),
            ("PCA, 16 axes: error", ""): ((B - pca.inverse_transform(pca.transform(B))) ** 2).sum(axis=1),
        }
        for seed in range(options.seeds):
            detector = VRAEAnomalyDetector(random_state=seed).fit(learned.panel)
            scores["VRAEAnomalyDetector", str(seed)] = -detector.decision_function(judged.panel)
        for (method, seed), score in scores.items():
            steps = judged.to_steps(score)
            steps[: len(read[0])] = -np.inf
            top = int(steps.argmax())
            away = max(begin - top, top - end, 0)
            words = "the period" if size == period else "half of it" if size < period else "twice"
            lines.append(
                f"| {size} ({words}) | {method} | {seed} | {top} | {away} | {'yes' if away <= RULE else 'no'} |"
            )
            print(lines[-1], flush=True)
    (Path(__file__).parent / "LONG.md").write_text("\n".join(lines) + "\n")


def flat(cut: SlidingWindows) -> np.ndarray:
    """Return z-normalised windows, (n, size)."""
    X = cut.panel.to_padded()[:, 0].astype(np.float64)
    return (X - X.mean(axis=1, keepdims=True)) / X.std(axis=1, keepdims=True)


if __name__ == "__main__":
    main()
