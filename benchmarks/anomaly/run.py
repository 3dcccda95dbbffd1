"""AUC and average precision of anomaly detectors: series of other classes are the anomalies.

    python benchmarks/anomaly/run.py [--jobs "ECG5000 clean" ...] [--seeds 5]
    python benchmarks/anomaly/run.py --table

The first adds rows to results.jsonl, the second writes RESULTS.md from them.

"clean": fitted to the training series of one class, the largest (in ECG5000: 1, the normal beats).
"unlabelled": fitted to all training series. Scored on the whole test split: series of other classes
are the anomalies. What is in results.jsonl already is not run again. Series come z-normalised;
peers see them brought to the median length. One setting for all sets.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.svm import OneClassSVM

from vrae import Panel, VRAEAnomalyDetector, load_example
from vrae.exceptions import VRAEWarning
from vrae.metrics import resample

HERE = Path(__file__).parent
RESULTS = HERE / "results.jsonl"
CLEAN = (
    *("ECG5000", "ECG200", "ItalyPowerDemand", "ProximalPhalanxTW", "MiddlePhalanxTW", "DistalPhalanxTW", "OSULeaf"),
    *("PLAID", "Trace", "Plane", "GunPoint", "CBF", "Lightning2", "TwoLeadECG"),
)
UNLABELLED = ("ECG5000", "DistalPhalanxTW", "ECG200")  # their largest class is the majority
JOBS = [*(f"{name} clean" for name in CLEAN), *(f"{name} unlabelled" for name in UNLABELLED)]
METHODS = ("vrae", "IsolationForest", "LOF", "OneClassSVM", "PCA 16", "1-NN")
WORDS = {"vrae": "VRAEAnomalyDetector", "PCA 16": "PCA, 16 axes: error", "1-NN": "nearest training series"}


def unusual(method: str, seed: int, train: Panel, test: Panel) -> np.ndarray:
    """Return a score of every test series, higher is more unusual."""
    if method == "vrae":
        return -VRAEAnomalyDetector(random_state=seed).fit(train).score_samples(test)
    n_steps = int(np.median(train.lengths))
    A, B = flat(train, n_steps), flat(test, n_steps)
    if method == "PCA 16":
        pca = PCA(min(16, len(A) - 1), random_state=seed).fit(A)
        return ((B - pca.inverse_transform(pca.transform(B))) ** 2).sum(axis=1)
    if method == "1-NN":
        return NearestNeighbors(n_neighbors=1).fit(A).kneighbors(B)[0][:, 0]
    detectors: dict[str, Callable[[], Any]] = {
        "IsolationForest": lambda: IsolationForest(random_state=seed),
        "LOF": lambda: LocalOutlierFactor(novelty=True, n_neighbors=min(20, len(A) - 1)),
        "OneClassSVM": OneClassSVM,
    }
    return -detectors[method]().fit(A).score_samples(B)


def flat(panel: Panel, n_steps: int) -> np.ndarray:
    """Return z-normalised series of one length, (n, n_steps)."""
    X = resample(panel.to_padded(), n_steps)[:, 0]
    X -= X.mean(axis=1, keepdims=True)
    return X / np.maximum(X.std(axis=1, keepdims=True), 1e-9)


def run(job: str, method: str, seed: int) -> dict[str, Any]:
    name, protocol = job.split()
    train, labels = load_example(name, split="train")
    test, test_labels = load_example(name, split="test")
    kinds, counts = np.unique(labels, return_counts=True)
    usual = kinds[counts.argmax()]
    if protocol == "clean":
        train = train.select(labels == usual)
    truth = test_labels != usual
    started = time.perf_counter()
    scores = unusual(method, seed, train, test)
    return {
        "job": job,
        "method": method,
        "seed": seed,
        "auc": float(roc_auc_score(truth, scores)),
        "ap": float(average_precision_score(truth, scores)),
        "n_train": len(train),
        "anomalies_in_train": float((labels != usual).mean()) if protocol == "unlabelled" else 0.0,
        "n_test": len(test),
        "anomalies_in_test": float(truth.mean()),
        "seconds": round(time.perf_counter() - started, 1),
    }


def read() -> list[dict[str, Any]]:
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def table() -> str:
    """Return the rows as Markdown."""
    rows = read()
    lines = [
        "# Anomalies: results",
        "",
        "*Written by `python benchmarks/anomaly/run.py --table`. Area under the ROC curve / average precision;",
        "mean over the seeds, for ECG5000 with the standard deviation of the AUC. How it was done: see the head of",
        "`run.py`; what was tried: [LOG.md](LOG.md). One long series: [LONG.md](LONG.md).*",
        "",
        "| set, fitted to | series | anomalies in test | seeds | "
        + " | ".join(WORDS.get(m, m) for m in METHODS)
        + " |",
        "|---|---|---|---|" + "---|" * len(METHODS),
    ]
    means: dict[str, list[list[float]]] = {"clean": [], "unlabelled": []}
    for job in JOBS:
        own = [row for row in rows if row["job"] == job]
        by = {m: [r for r in own if r["method"] == m] for m in METHODS}
        if not all(by.values()):
            continue
        name, protocol = job.split()
        means[protocol].append([float(np.mean([r["auc"] for r in by[m]])) for m in METHODS])
        first = by["vrae"][0]
        words = "all" if protocol == "unlabelled" else "one class"
        best = max(means[protocol][-1])
        cells = [cell(by[m], name == "ECG5000", means[protocol][-1][i] >= best - 5e-4) for i, m in enumerate(METHODS)]
        lines.append(
            f"| {name}, {words} | {first['n_train']} | {first['anomalies_in_test']:.0%} | {len(by['vrae'])} | "
            + " | ".join(cells)
            + " |"
        )
    for protocol, values in means.items():
        if values:
            average = np.mean(values, axis=0)
            lines.append(
                f"| **mean AUC, {protocol}, {len(values)} sets** | | | | "
                + " | ".join(f"{a:.3f}" for a in average)
                + " |"
            )
    return "\n".join(lines) + "\n"


def cell(rows: list[dict[str, Any]], spread: bool, best: bool) -> str:
    auc, ap = (np.array([row[key] for row in rows]) for key in ("auc", "ap"))
    text = f"{auc.mean():.4f} ± {auc.std():.4f}" if spread else f"{auc.mean():.3f}"
    return (f"**{text}**" if best else text) + f" / {ap.mean():.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=JOBS, metavar="JOB")
    parser.add_argument("--seeds", type=int, default=5, help="0, 1, ... up to this number")
    parser.add_argument("--table", action="store_true", help="write RESULTS.md and stop")
    options = parser.parse_args()
    if options.table:
        (HERE / "RESULTS.md").write_text(table())
        return
    warnings.simplefilter("ignore", VRAEWarning)
    done = {(row["job"], row["method"], row["seed"]) for row in read()}
    for seed, job, method in itertools.product(range(options.seeds), options.jobs, METHODS):
        if (job, method, seed) in done or (seed and method not in ("vrae", "IsolationForest")):
            continue  # the others know no chance
        row = run(job, method, seed)
        with RESULTS.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(f"{job:30} {method:18} {seed}  AUC {row['auc']:.4f}  AP {row['ap']:.4f}  {row['seconds']} s", flush=True)


if __name__ == "__main__":
    main()
