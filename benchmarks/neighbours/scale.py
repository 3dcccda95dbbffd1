"""Time per query among 100,000 generated series, exact and approximate, and its recall.

    python benchmarks/neighbours/scale.py [--series 100000] [--queries 1000]

The series: 200 shapes (sums of three waves), each with its own phase jitter, noise and amplitude,
64 steps. The model learns from 2,000 of them. A query is embedded and searched for, on one thread,
alone and among many. Writes scale.jsonl; see table.py.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from sklearn.frozen import FrozenEstimator

from vrae import VRAENeighbors


def generate(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shapes = np.random.default_rng(0)
    frequency, phase, size = shapes.uniform(1, 6, (3, 200)), shapes.uniform(0, 6.3, (3, 200)), shapes.random((3, 200))
    shape = rng.integers(200, size=n)
    time_ = np.linspace(0, 2 * np.pi, 64)
    X = np.zeros((n, 64))
    for f, p, s in zip(frequency, phase, size, strict=True):
        jitter = rng.normal(0, 0.2, n)
        X += s[shape][:, None] * np.sin(f[shape][:, None] * time_ + (p[shape] + jitter)[:, None])
    return X + rng.normal(0, 0.15, X.shape)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--algorithms", nargs="+", default=["exact", "approximate"])
    options = parser.parse_args()
    X, queries = generate(options.series, 1), generate(options.queries, 2)
    model = VRAENeighbors(10, random_state=0).fit(X[:2000])
    out = Path(__file__).parent / "scale.jsonl"
    out.write_text("")
    exact = None
    start = time.perf_counter()
    among = VRAENeighbors(10, model=FrozenEstimator(model.model_)).fit(X)
    embedded = time.perf_counter() - start
    for algorithm in options.algorithms:
        among.__dict__.pop("_index", None)
        among.algorithm_ = algorithm
        start = time.perf_counter()
        among.kneighbors(queries[:2])  # builds the index
        built = time.perf_counter() - start
        start = time.perf_counter()
        among.kneighbors(queries[:1])
        one = time.perf_counter() - start
        start = time.perf_counter()
        rows = among.kneighbors(queries, return_distance=False)
        seconds = time.perf_counter() - start
        exact = rows if exact is None else exact
        recall = np.mean([len(np.intersect1d(a, b)) / 10 for a, b in zip(rows, exact, strict=True)])
        row = {
            "algorithm": algorithm,
            "series": options.series,
            "embed_all_s": round(embedded, 1),
            "index_s": round(built, 1),
            "one_query_ms": round(1000 * one, 2),
            "query_of_many_ms": round(1000 * seconds / options.queries, 3),
            "recall@10": round(float(recall), 4),
        }
        with out.open("a") as file:
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
