"""Compare pattern statistics and the whole embedding with aeon's MiniRocket transform.

    python benchmarks/speed/minirocket.py [--lengths 140 1000 10000] [--channels 1 4] [--rounds 9]

Random walks, as many features for both, one thread. The three alternate, and medians of CPU seconds
count. aeon looks at the series alone, vrae at the series and their differences, half the features
each. ``statistics`` are those of `vrae.nn.patterns`, with differences and correlations of channels.
``embedding`` is `VRAE.transform`: scaling, statistics and the network.

``limit`` is the time of the arithmetic alone. A feature needs five operations at each step: add,
subtract, maximum, minimum, add. A compiled loop does them on an array in the first-level cache, in
the same rounds. ``share`` is that time divided by the time of the statistics. Series with several
channels need more operations, which it does not count.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable

os.environ |= {"NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # before they are imported: no thread waits busily

import numpy as np
import torch
from aeon.transformations.collection.convolution_based import MiniRocket
from embedding import fitted, walks
from numba import njit

from vrae import VRAE, Panel
from vrae.data.batching import collate, inference_batches
from vrae.train.inference import BATCH_SIZE

# Values per panel, and series that models are fitted to.
VALUES = 1_000_000
FITTED = 64


@njit(fastmath=True)
def clip_all(one, other, repeats):
    """Do what a feature needs at each step, again and again."""
    total, three = np.float32(0), np.float32(3)
    for repeat in range(repeats):
        least, clipped = np.float32(repeat), np.float32(0)
        for step in range(len(one)):
            clipped += min(max(one[step] + other[step] - least, -three), three)
        total += clipped
    return total


def limit_seconds(operations: int) -> float:
    """Return the CPU seconds of one feature at one step, times ``operations``."""
    one, other = (np.random.default_rng(seed).standard_normal(2048).astype(np.float32) for seed in (0, 1))
    clip_all(one, other, 1)
    repeats = 20_000
    return seconds(lambda: clip_all(one, other, repeats)) / (repeats * len(one)) * operations


def seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def measure(length: int, channels: int, rounds: int) -> dict[str, object]:
    n = max(16, VALUES // (length * channels))
    panel = walks(n, length, channels)
    model = fitted(panel.select(np.arange(min(n, FITTED))))
    patterns = model.network_.statistics
    n_features = patterns.thresholds.numel()
    X = panel.values.reshape(n, length, channels).transpose(0, 2, 1).astype(np.float32)
    X = (X - X.mean(axis=2, keepdims=True)) / X.std(axis=2, keepdims=True)
    rocket = MiniRocket(n_kernels=n_features, random_state=0, n_jobs=1).fit(X[:FITTED])
    works = {
        "MiniRocket": lambda: rocket.transform(X),
        "statistics": statistics_of(model, panel),
        "embedding": lambda: model.transform(panel),
        "limit": None,
    }
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, work in works.items():
            spent = seconds(work) if work else limit_seconds(n * n_features * length)
            if turn:  # the first one warms up
                times[name].append(spent)
    medians = {name: statistics.median(of_rounds) for name, of_rounds in times.items()}
    return {
        "length": length,
        "channels": channels,
        "n": n,
        "features": n_features,
        "features of MiniRocket": rocket.transform(X[:1]).shape[1],
        **{f"{name}, us a series": round(spent / n * 1e6, 1) for name, spent in medians.items()},
        "MiniRocket / statistics": round(medians["MiniRocket"] / medians["statistics"], 2),
        "MiniRocket / embedding": round(medians["MiniRocket"] / medians["embedding"], 2),
        "share": round(medians["limit"] / medians["statistics"], 2),
    }


def statistics_of(model: VRAE, panel: Panel) -> Callable[[], None]:
    """Return a function that computes the statistics of batches that are scaled already."""
    cpu, found = torch.device("cpu"), model.network_.statistics
    parts = inference_batches(panel.lengths, np.arange(len(panel)), BATCH_SIZE)
    batches = [collate(panel, part, model.scaler_, cpu) for part in parts]

    def work() -> None:
        with torch.inference_mode():
            for batch in batches:
                found.raw(batch.values, batch.mask, batch.lengths)

    return work


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[140, 1000, 10_000])
    parser.add_argument("--channels", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for length in options.lengths:
        for channels in options.channels:
            print(json.dumps(measure(length, channels, options.rounds)), flush=True)


if __name__ == "__main__":
    main()
