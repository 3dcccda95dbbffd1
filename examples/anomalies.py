"""Draw the picture of docs/how-to/anomalies.md.

    python examples/anomalies.py [--data FOLDER]

Fits to normal heartbeats of ECG5000. Draws four test beats, one normal and three of other kinds,
and the band in which the model expects them. FOLDER holds ucr/ECG5000. The default is VRAE_DATA, or
a download.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from vrae import VRAEAnomalyDetector, load_example
from vrae.plots import plot_anomalies

DOCS = Path(__file__).parent.parent / "docs" / "pictures"
KINDS = {1: "normal", 2: "R-on-T", 3: "premature ventricular", 4: "supraventricular or ectopic"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder with ucr/ECG5000")
    options = parser.parse_args()
    train, labels = load_example("ECG5000", data_dir=options.data, split="train")
    test, kinds = load_example("ECG5000", data_dir=options.data, split="test")
    detector = VRAEAnomalyDetector("auto", random_state=0).fit(train.select(labels == 1))
    # The beat with the median score of its kind, so that none is selected by eye.
    scores = detector.decision_function(test)
    chosen = [of[np.argsort(scores[of])[len(of) // 2]] for of in (np.flatnonzero(kinds == kind) for kind in KINDS)]
    beats = test.select(chosen)
    band = detector.expected_range(beats)
    figure, axes = plt.subplots(2, 2, figsize=(9, 5), sharex=True, sharey=True, layout="constrained")
    for i, ax in enumerate(axes.flat):
        kind, score = KINDS[int(kinds[chosen[i]])], scores[chosen[i]]
        verdict = "anomaly" if score < 0 else "no anomaly"
        plot_anomalies(
            beats[i][:, 0],
            *(edge[i][:, 0] for edge in band),
            title=f"{kind}: {verdict} ({score:+.1f})",
            unit="scaled value",
            legend=i == 2,
            ax=ax,
        )
        ax.label_outer()
    DOCS.mkdir(exist_ok=True)
    figure.savefig(DOCS / "beats.png", dpi=130)
    fractions = {word: float((scores[kinds == kind] < 0).mean()) for kind, word in KINDS.items()}
    print("called anomalies:", ", ".join(f"{word} {value:.1%}" for word, value in fractions.items()))


if __name__ == "__main__":
    main()
