"""Precision of the ten nearest neighbours: the proportion that has the query's class.

    python benchmarks/neighbours/precision.py [--sets ...] [--seeds 3]

Train and test file together; of more than 500 series a random 500, the same for all methods. Every
series is a query, its neighbours are the others. Euclidean and DTW distances are between
z-normalised series, missing values filled in by interpolation, shorter series stretched to the
longest one's length for the Euclidean distance; DTW has a band of 10 % of the length (aeon) and
takes unequal lengths as they are. VRAE has its default setting for all sets. Rows go to
precision.jsonl; what is there already is not run again. RESULTS.md is written by table.py.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vrae import Panel, VRAENeighbors, load_example
from vrae.metrics import resample

SETS = [
    "ACSF1",
    "ArrowHead",
    "BME",
    "CBF",
    "Coffee",
    "DistalPhalanxTW",
    "DodgerLoopDay",
    "ECG200",
    "ECG5000",
    "GestureMidAirD1",
    "GunPoint",
    "ItalyPowerDemand",
    "Lightning2",
    "MiddlePhalanxTW",
    "OSULeaf",
    "PLAID",
    "PickupGestureWiimoteZ",
    "Plane",
    "ProximalPhalanxTW",
    "Trace",
    "TwoLeadECG",
]
MOST, K = 500, 10


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


def vrae(panel: Panel, seed: int) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = VRAENeighbors(K, random_state=seed).fit(panel)
    return model.kneighbors(return_distance=False)


def euclidean(panel: Panel, seed: int) -> np.ndarray:
    from sklearn.neighbors import NearestNeighbors

    series = filled(panel)
    longest = max(map(len, series))
    X = np.stack([resample(x[None, None], longest)[0, 0] for x in series])
    return NearestNeighbors(n_neighbors=K).fit(X).kneighbors(return_distance=False)


def dtw(panel: Panel, seed: int) -> np.ndarray:
    from aeon.distances import dtw_pairwise_distance

    distances = dtw_pairwise_distance(filled(panel), window=0.1)
    np.fill_diagonal(distances, np.inf)
    return np.argsort(distances, axis=1, kind="stable")[:, :K]


METHODS: dict[str, Callable[[Panel, int], np.ndarray]] = {"Euclidean": euclidean, "DTW": dtw, "VRAE": vrae}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--seeds", type=int, default=3, help="of VRAE; the others have no chance in them")
    parser.add_argument("--data", help="folder with ucr/NAME; default: VRAE_DATA")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "precision.jsonl")
    options = parser.parse_args()
    rows = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.exists() else []
    done = {(row["set"], row["method"], row["seed"]) for row in rows}
    for seed in range(options.seeds):
        for name in options.sets:
            for method, find in METHODS.items():
                if (name, method, seed) in done or (seed and method != "VRAE"):
                    continue
                panel, labels = load(name, options.data)
                start = time.perf_counter()
                found = find(panel, seed)
                row = {"set": name, "method": method, "seed": seed, "n": len(panel)}
                row["precision"] = round(float((labels[found] == labels[:, None]).mean()), 4)
                row["seconds"] = round(time.perf_counter() - start, 2)
                with options.out.open("a") as file:
                    file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
