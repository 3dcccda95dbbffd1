"""Whether the answers hold: names and clusters after a refit, and the time that changes take.

For every data set the default clusterer is fitted with several seeds. Clusters of two fits are the
same cluster if more than 60 % of their series agree (Jaccard). Printed for each data set: how many
clusters of the first fit are found again, how many of these keep their name, what ``stability`` had
said, and the milliseconds of rename, merge, split, move and regroup.

    VRAE_DATA=... python benchmarks/answers/run.py
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vrae import Panel, VRAEClusterer, load_example, read_panel

DATA = Path(os.environ["VRAE_DATA"])
DEMAND = ("online_retail_weekly", "carparts", "hospital")
SHAPES = ("OSULeaf", "SwedishLeaf", "Trace", "ECG5000", "FaceFour", "ItalyPowerDemand", "Computers", "Wine")
SEEDS = (1, 2, 3)
SAME = 0.6


def main() -> None:
    heads = ["data", "groups", "found again", "stability said", "keep their name"]
    heads += ["rename", "merge", "split", "move", "regroup"]
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    for name in (*DEMAND, *SHAPES):
        panel = read_panel(DATA / "demand" / f"{name}.csv") if name in DEMAND else load_example(name, data_dir=DATA)[0]
        print(row(name, panel), flush=True)


def row(name: str, panel: Panel) -> str:
    clusterer = VRAEClusterer(random_state=0).fit(panel)
    said = clusterer.stability(panel)
    k = clusterer.n_clusters_
    overlaps, kept, matched = [], 0, 0
    for seed in SEEDS:
        again = VRAEClusterer(k, random_state=seed).fit(panel)
        overlap = jaccard(clusterer.labels_, again.labels_)
        overlaps.append(overlap.max(axis=1))
        for cluster, other in enumerate(overlap.argmax(axis=1)):
            if overlap[cluster, other] > SAME:
                matched += 1
                kept += clusterer.names_[cluster] == again.names_[int(other)]
    told = "-" if said is None else f"{np.mean(said['clusters']):.2f}"
    cells = [name, k, f"{np.mean(overlaps):.2f}", told, f"{kept} of {matched}", *milliseconds(clusterer)]
    return f"| {' | '.join(map(str, cells))} |"


def jaccard(labels: npt.NDArray[np.int64], others: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the overlap of every cluster with every other one, (n_clusters, n_others)."""
    first, second = (np.arange(part.max() + 1)[:, None] == part for part in (labels, others))
    shared = (first[:, None] & second).sum(axis=2)
    union = (first[:, None] | second).sum(axis=2)
    return np.asarray(shared / union)


def milliseconds(clusterer: VRAEClusterer) -> list[str]:
    ids = clusterer.ids_[np.flatnonzero(clusterer.labels_ == 0)[:3]]
    changes: list[Callable[[], object]] = [
        lambda: clusterer.rename({0: "First"}),
        lambda: clusterer.merge([0, 1]),
        lambda: clusterer.split(0),
        lambda: clusterer.move(ids, to=1),
        lambda: clusterer.regroup(3),
    ]
    found = []
    for change in changes:
        started = time.perf_counter()
        change()
        found.append(f"{1000 * (time.perf_counter() - started):.0f} ms")
    return found


if __name__ == "__main__":
    main()
