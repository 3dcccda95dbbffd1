"""Measure lags, joint dynamics of channels, the number of clusters, and damaged series.

    python benchmarks/quality/promises.py [--promises lag joint motions number robustness]
        [--methods ...] [--seeds 3]

Adds a row to promises.jsonl for each run that is not there yet; `table.py` lays them out. One
thread, CPU seconds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import methods
import numpy as np
import rows
import synthetic
import torch
from robustness import robustness
from sets import OLD, load, znorm
from sklearn.metrics import silhouette_score
from threadpoolctl import threadpool_limits

from vrae import VRAE, VRAEClusterer, load_example
from vrae.metrics import agreement, raw_kmeans, resample

Job = tuple[dict[str, Any], Callable[[], dict[str, Any]]]  # what identifies a row, and what finds the rest of it

LAG_SETS = ["CBF", "Trace", "OSULeaf", "Plane", "ECG5000", "ArrowHead"]
LAG_METHODS = ["k-means", "k-Shape", "R-Clustering", "VRAE"]
MOTIONS = ["BasicMotions", "RacketSports", "JapaneseVowels"]
MOST_CLUSTERS = 15


def lag(seed: int, folder: str | None) -> Iterator[Job]:
    """Shift every series at random: what is left of the ARI, and does the model find the shifts?"""
    for name in LAG_SETS:
        data = load(name, "merged", folder)
        for kind in ("none", "circular", "linear"):
            X, lags = shifted(data.X, kind, seed)
            for method in LAG_METHODS:
                run = methods.METHODS[method]
                yield (
                    {"promise": "lag", "set": name, "shift": kind, "method": method, "seed": seed},
                    lambda run=run, X=X, data=data: agreement(data.truth, run(X, data.k, seed)),
                )
            yield (
                {"promise": "lag", "set": name, "shift": kind, "method": "VRAE, max_lag=0.5", "seed": seed},
                lambda X=X, lags=lags, data=data: aligned(X, lags, data.truth, data.k, seed),
            )


def shifted(X: np.ndarray, kind: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Shift series (n, t): "circular" by any lag, "linear" by up to a quarter, ends held."""
    n, t = X.shape
    rng = np.random.default_rng([seed, 7])
    if kind == "none":
        return X, np.zeros(n, int)
    most = t // 2 if kind == "circular" else t // 4
    lags = rng.integers(-most, most + 1, n)
    source = np.arange(t) - lags[:, None]  # (n, t)
    source = source % t if kind == "circular" else source.clip(0, t - 1)
    return znorm(np.take_along_axis(X, source, axis=1)), lags


def aligned(X: np.ndarray, lags: np.ndarray, truth: np.ndarray, k: int, seed: int) -> dict[str, Any]:
    """Cluster with lag-invariance; compare the lags found with those applied.

    ``copies``: median error, in steps, of the lag between a series and a copy of it that was
    shifted once more. ``cluster``: median error of the lags of different series, after the median
    offset of their cluster.
    """
    model = VRAEClusterer(k, model=VRAE(max_lag=0.5, device="cpu"), random_state=seed).fit(X)
    found, t = model.model_.lags(X), X.shape[1]
    again = np.random.default_rng([seed, 8]).integers(-(t // 2), t // 2, len(X))
    copies = np.take_along_axis(X, (np.arange(t) - again[:, None]) % t, axis=1)
    own = np.abs(around(model.model_.lags(copies) - found - again, t))
    offsets = around(found - lags, t)
    for c in range(k):
        here = model.labels_ == c
        offsets[here] = around(offsets[here] - middle(offsets[here], t), t)
    return {
        **agreement(truth, model.labels_),
        "copies": float(np.median(own)),
        "cluster": float(np.median(np.abs(offsets))),
        "length": t,
        "patch_size": model.network_.config.patch_size,
    }


def around(lags: np.ndarray, t: int) -> np.ndarray:
    """Bring circular lags between -t / 2 and t / 2."""
    return (lags + t // 2) % t - t // 2


def middle(lags: np.ndarray, t: int) -> int:
    """Return the circular median: the lag from which the others are least far away in sum."""
    if not len(lags):
        return 0
    distance = np.abs(around(lags[:, None] - np.arange(t), t)).sum(axis=0)
    return int(distance.argmin())


def joint(seed: int, folder: str | None) -> Iterator[Job]:
    """Cluster series of two channels that differ only in how the channels move together."""
    for task in synthetic.TASKS:
        X, truth = synthetic.pairs(task, seed)
        k = int(truth.max()) + 1
        flat = znorm(X).reshape(len(X), -1)
        for method, run in {
            "VRAE": lambda X=X, k=k: methods.vrae(X, k, seed),
            "VRAE, first channel": lambda X=X, k=k: methods.vrae(X[:, 0], k, seed),
            "VRAE, second channel": lambda X=X, k=k: methods.vrae(X[:, 1], k, seed),
            "k-means": lambda flat=flat, k=k: methods.kmeans(flat, k, seed),
            "R-Clustering": lambda X=X, k=k: methods.r_clustering(X, k, seed),
        }.items():
            yield (
                {"promise": "joint", "set": task, "method": method, "seed": seed},
                lambda run=run, truth=truth: agreement(truth, run()),
            )


def motions(seed: int, folder: str | None) -> Iterator[Job]:
    """Cluster real series of many channels, of unequal length in JapaneseVowels."""
    for name in MOTIONS:
        panel, labels = load_example(name, data_dir=folder)
        padded = panel.to_padded()  # (n, channels, longest)
        truth = np.unique(labels, return_inverse=True)[1]
        k, even = int(truth.max()) + 1, znorm(resample(padded, padded.shape[2]))
        for method, run in {
            "VRAE": lambda panel=panel, k=k: methods.vrae(panel, k, seed),
            "k-means": lambda padded=padded, k=k: raw_kmeans(padded, k, seed),
            "R-Clustering": lambda even=even, k=k: methods.r_clustering(even, k, seed),
            "k-means-DTW": lambda even=even, k=k: methods.kmeans_dtw(even, k, seed),
        }.items():
            yield (
                {"promise": "motions", "set": name, "method": method, "seed": seed},
                lambda run=run, truth=truth: agreement(truth, run()),
            )


def number(seed: int, folder: str | None) -> Iterator[Job]:
    """Choose the number of clusters."""
    for name in OLD:
        data = load(name, "merged", folder)
        for method, run in {"VRAE": auto, "k-means, silhouette": auto_kmeans}.items():
            yield (
                {"promise": "number", "set": name, "method": method, "seed": seed},
                lambda run=run, data=data: {"k": data.k, **run(data.X, data.truth, seed)},
            )


def auto(X: np.ndarray, truth: np.ndarray, seed: int) -> dict[str, Any]:
    """Let the clusterer choose."""
    model = VRAEClusterer("auto", model=VRAE(device="cpu"), random_state=seed).fit(X)
    return {"chosen": model.n_clusters_, **agreement(truth, model.labels_)}


def auto_kmeans(X: np.ndarray, truth: np.ndarray, seed: int) -> dict[str, Any]:
    """Take the k-means with the best silhouette on the values, in the same range."""
    most = min(MOST_CLUSTERS, int(np.sqrt(len(X))) + 1)
    tried = [methods.kmeans(X, k, seed) for k in range(2, most + 1)]
    best = max(tried, key=lambda labels: silhouette_score(X, labels, sample_size=2000, random_state=seed))
    return {"chosen": int(best.max()) + 1, **agreement(truth, best)}


PROMISES = {"lag": lag, "joint": joint, "motions": motions, "number": number, "robustness": robustness}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--promises", nargs="+", choices=list(PROMISES), default=list(PROMISES))
    parser.add_argument("--methods", nargs="+", help="only these")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", help="folder with ucr/NAME and uea/NAME; default: VRAE_DATA, else downloaded")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "promises.jsonl")
    options = parser.parse_args()
    torch.set_num_threads(1)
    names = ("promise", "set", "shift", "damage", "method", "seed")
    done = rows.keys(rows.read(options.out), names)
    with threadpool_limits(1):
        for seed in range(options.seeds):
            for promise in options.promises:
                for key, run in PROMISES[promise](seed, options.data):
                    unwanted = options.methods and key["method"] not in options.methods
                    if unwanted or tuple(key.get(name) for name in names) in done:
                        continue
                    started = time.process_time()
                    result = run()
                    row = {**key, **result, "seconds": round(time.process_time() - started, 2)}
                    rows.append(options.out, row)
                    print(*row.values(), flush=True)


if __name__ == "__main__":
    main()
