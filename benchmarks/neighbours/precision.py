"""Precision of the ten nearest neighbours: the proportion that has the query's class.

    python benchmarks/neighbours/precision.py [--sets ...] [--seeds 3]

Train and test file together; of more than 500 series a random 500, the same for all methods. Every
series is a query, its neighbours are the others. Euclidean and DTW distances are between
z-normalised series, missing values filled in by interpolation, shorter series stretched to the
longest one's length for all but DTW, which has a band of 10 % of the length (aeon). MiniRocket:
10,000 features (aeon), Euclidean or cosine distance. "VRAE, half" and "MiniRocket, half" are fitted
to every other series, and the rest are the queries: new series. VRAE has its default setting for
all sets. Rows go to precision.jsonl; what is there already is not run again. RESULTS.md is written
by table.py.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vrae import Panel, VRAENeighbors, load_example
from vrae.metrics import resample

sys.path.insert(0, str(Path(__file__).parents[1] / "quality"))
from sets import SUITE

MOST, K = 500, 10
# DTW with more cells than this takes minutes a set, and is left out.
MOST_CELLS = 5e9

# The sets of the quality benchmark, and those with gaps and unequal lengths.
SETS = sorted([*SUITE, "DodgerLoopDay", "GestureMidAirD1", "PLAID", "PickupGestureWiimoteZ"])


def load(name: str, folder: str | None) -> tuple[Panel, np.ndarray]:
    panel, labels = load_example(name, data_dir=folder)
    known = np.array([bool((~np.isnan(x)).any()) for x in panel])
    rows = np.flatnonzero(known)
    rows = np.sort(np.random.default_rng(0).permutation(rows)[:MOST])
    return panel.select(rows), labels[rows]


def filled(panel: Panel) -> list[np.ndarray]:
    """Return z-normalised series (t_i,) without gaps."""
    series = []
    for x in panel:
        steps, known = np.arange(x.shape[1]), ~np.isnan(x[0])
        x = np.interp(steps, steps[known], x[0, known].astype(np.float64))
        series.append((x - x.mean()) / (x.std() or 1))
    return series


def stretched(panel: Panel) -> np.ndarray:
    """Return z-normalised series of one length (n, steps)."""
    series = filled(panel)
    longest = max(map(len, series))
    return np.stack([resample(x[None, None], longest)[0, 0] for x in series])


def fit_vrae(panel: Panel, seed: int) -> VRAENeighbors:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return VRAENeighbors(K, random_state=seed).fit(panel)


def nearest(X: np.ndarray, metric: str = "euclidean") -> np.ndarray:
    from sklearn.neighbors import NearestNeighbors

    return NearestNeighbors(n_neighbors=K, metric=metric).fit(X).kneighbors(return_distance=False)


def minirocket(X: np.ndarray, train: slice) -> np.ndarray:
    from aeon.transformations.collection.convolution_based import MiniRocket

    X = X[:, None].astype(np.float32)
    return np.asarray(MiniRocket(10_000, random_state=0, n_jobs=1).fit(X[train]).transform(X))


def vrae(panel: Panel, seed: int) -> np.ndarray:
    return fit_vrae(panel, seed).kneighbors(return_distance=False)


def euclidean(panel: Panel, seed: int) -> np.ndarray:
    return nearest(stretched(panel))


def minirocket_euclidean(panel: Panel, seed: int) -> np.ndarray:
    return nearest(minirocket(stretched(panel), slice(None)))


def minirocket_cosine(panel: Panel, seed: int) -> np.ndarray:
    return nearest(minirocket(stretched(panel), slice(None)), "cosine")


def dtw(panel: Panel, seed: int) -> np.ndarray | None:
    from aeon.distances import dtw_pairwise_distance

    if len(panel) ** 2 / 2 * 0.2 * float(panel.lengths.max()) ** 2 > MOST_CELLS:
        return None
    distances = dtw_pairwise_distance(filled(panel), window=0.1)
    np.fill_diagonal(distances, np.inf)
    return np.argsort(distances, axis=1, kind="stable")[:, :K]


def vrae_half(panel: Panel, seed: int) -> np.ndarray:
    model = fit_vrae(panel.select(np.arange(0, len(panel), 2)), seed)
    return 2 * model.kneighbors(panel.select(np.arange(1, len(panel), 2)), return_distance=False)


def minirocket_half(panel: Panel, seed: int) -> np.ndarray:
    from sklearn.neighbors import NearestNeighbors

    X = minirocket(stretched(panel), slice(None, None, 2))
    return 2 * NearestNeighbors(n_neighbors=K).fit(X[::2]).kneighbors(X[1::2], return_distance=False)


METHODS: dict[str, Callable[[Panel, int], np.ndarray | None]] = {
    "Euclidean": euclidean,
    "MiniRocket": minirocket_euclidean,
    "MiniRocket, cosine": minirocket_cosine,
    "VRAE": vrae,
    "MiniRocket, half": minirocket_half,
    "VRAE, half": vrae_half,
    "DTW": dtw,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--seeds", type=int, default=3, help="of VRAE; the others have no chance in them")
    parser.add_argument("--data", help="folder with ucr/NAME; default: VRAE_DATA")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "precision.jsonl")
    options = parser.parse_args()
    rows = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.exists() else []
    done = {(row["set"], row["method"], row["seed"]) for row in rows}
    for seed in range(options.seeds):
        for name in options.sets:
            for method in options.methods:
                if (name, method, seed) in done or (seed and not method.startswith("VRAE")):
                    continue
                panel, labels = load(name, options.data)
                start = time.perf_counter()
                found = METHODS[method](panel, seed)
                if found is None:
                    continue
                queries = labels if len(found) == len(labels) else labels[1::2]
                row = {"set": name, "method": method, "seed": seed, "n": len(panel)}
                row["precision"] = round(float((labels[found] == queries[:, None]).mean()), 4)
                row["seconds"] = round(time.perf_counter() - start, 2)
                with options.out.open("a") as file:
                    file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
