"""Seconds until a network reconstructs ECG5000 as well as the classic one does after 40 epochs.

    python benchmarks/speed/to_error.py [--data FOLDER] [--rounds 3]

Both are trained on the 500 training series in turn, in one run, each round with its own seed. The
error is the mean squared error of the training series' reconstructions from the mean of the latent
vector, in scaled units (``noise_variance_``); it is measured after training, so that measuring
costs nothing. The fast network has the same latent size (20) and is trained a given number of
epochs; the first number of the list that reaches the error counts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings

from vrae import VRAE, load_example
from vrae.exceptions import VRAEWarning

EPOCHS = (5, 10, 15, 20, 30, 40, 60)
FAST = {"latent_size": 20, "pattern_weight": 0, "learning_rate": 0.01, "batch_size": 32, "beta": 0.1}


def fit(model: VRAE, panel: object) -> tuple[float, float]:
    """Return seconds and error of a fit."""
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VRAEWarning)
        model.fit(panel)
    return time.perf_counter() - started, model.noise_variance_


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder with ucr/ECG5000; default: VRAE_DATA")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    panel, _ = load_example("ECG5000", data_dir=options.data, split="train")
    fit(VRAE.classic(max_epochs=1, random_state=0), panel), fit(VRAE(max_epochs=1, random_state=0, **FAST), panel)
    ratios = []
    for seed in range(options.rounds):
        seconds, goal = fit(VRAE.classic(random_state=seed), panel)
        for epochs in EPOCHS:
            ours, error = fit(VRAE(max_epochs=epochs, random_state=seed, **FAST), panel)
            if error <= goal:
                break
        ratios.append(seconds / ours if error <= goal else 0.0)
        row = {"seed": seed, "classic_s": seconds, "goal": goal, "epochs": epochs, "ours_s": ours, "error": error}
        print(json.dumps({k: round(v, 4) for k, v in row.items()}), flush=True)
    print(
        json.dumps({"benchmark": "seconds to the classic error, ratio", "ratio": round(statistics.median(ratios), 2)})
    )


if __name__ == "__main__":
    main()
