"""How many clusters does VRAEClusterer("auto") find, and does it find them again?

    python benchmarks/quality/auto.py [--sets ...] [--seeds 3] [--data FOLDER]

On the labelled sets: the number chosen, and the ARI at that number and at the true one (`regroup`).
On panels of demand, which have no classes: the number chosen, and how well each cluster is found
again by two more fits, with the next two seeds. Adds a row to auto.jsonl for each run that is not
there yet; `table.py` lays them out. One thread, CPU seconds.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from copy import copy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import rows
import torch
from layout import figure, markdown
from run import library_of
from sets import HALF_A, HALF_B, OLD, SUITE, load
from sklearn.metrics.cluster import contingency_matrix
from threadpoolctl import threadpool_limits

from vrae import VRAE, VRAEClusterer, read_panel
from vrae.metrics import agreement

OUT = Path(__file__).parent / "auto.jsonl"
# Panels, with what `read_panel` has to be told.
DEMAND: dict[str, dict[str, Any]] = {
    "online_retail_weekly": {},
    "sales_transactions_weekly": {"value": "W*"},
    "hospital": {},
}
MANY = 6  # classes; few rules find so many
_INTRO = """\
`auto.py`: VRAEClusterer("auto") on the sets above, train and test merged. exact, within one: share of runs in which
the number of clusters is that of the classes, or at most one off. kept: mean ARI at the number chosen, as a share of
the mean ARI at the true number.
"""
_DEMAND = """\
Panels of demand have no classes. Two more fits with other seeds choose their numbers anew. A cluster is found again as
far as the most similar cluster of the other fit shares its members (Jaccard index: shared series over all series of
both; mean of the two fits). same number: the other fits are given the first one's number.
"""


def fitted(X: Any, seed: int) -> VRAEClusterer:
    """Fit and let the clusterer choose the number."""
    return VRAEClusterer("auto", model=VRAE(device="cpu"), random_state=seed).fit(X)


def labelled(name: str, seed: int, folder: str | None) -> rows.Row:
    """Choose the number of clusters of a labelled set."""
    data = load(name, "merged", folder)
    model = fitted(data.X, seed)
    chosen = {"k": data.k, "chosen": model.n_clusters_, **agreement(data.truth, model.labels_)}
    return {**chosen, "ari_known": agreement(data.truth, model.regroup(data.k).labels_)["ari"]}


def demand(name: str, seed: int, folder: str | None) -> rows.Row:
    """Choose the number of clusters of a panel without classes, three times."""
    first, *others = (_demand_fit(name, s, folder) for s in (seed, seed + 1, seed + 2))
    labels, k = first.labels_, first.n_clusters_
    anew = [found_again(labels, other.labels_) for other in others]
    # A copy, because fits are kept for the next seed.
    same = [found_again(labels, copy(other).regroup(k).labels_) for other in others]
    return {
        "n": len(labels),
        "chosen": k,
        "chosen_again": [other.n_clusters_ for other in others],
        "largest": float(np.bincount(labels[labels >= 0]).max() / len(labels)),
        "found_again": np.mean(anew, axis=0).round(4).tolist(),
        "found_again_same_number": np.mean(same, axis=0).round(4).tolist(),
    }


@cache
def _demand_fit(name: str, seed: int, folder: str | None) -> VRAEClusterer:
    root = folder or os.environ.get("VRAE_DATA")
    if not root:
        raise SystemExit("Set VRAE_DATA, or pass --data, to the folder with demand/*.csv.")
    return fitted(read_panel(Path(root) / "demand" / f"{name}.csv", **DEMAND[name]), seed)


def found_again(labels: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return, for each cluster of ``labels``, the best Jaccard index with one of ``others``."""
    known = (labels >= 0) & (others >= 0)
    shared = contingency_matrix(labels[known], others[known])  # (cluster, other cluster)
    union = shared.sum(axis=1)[:, None] + shared.sum(axis=0) - shared
    return (shared / union).max(axis=1)


# ---------------------------------------------------------------- tables


def section(found: list[rows.Row]) -> str:
    """Lay out the rows of auto.jsonl; empty without rows."""
    sets = [row for row in found if row["set"] in SUITE]
    panels = [row for row in found if row["set"] in DEMAND]
    parts = []
    if sets:
        parts += ["## How many clusters\n", _INTRO, _summary(sets), _numbers(sets)]
    if panels:
        parts += ["### Demand\n", _DEMAND, _panels(panels)]
    return "\n".join(parts)


def _summary(found: list[rows.Row]) -> str:
    rest = [name for name in SUITE if name not in OLD]
    body = []
    for title, names in {"all": SUITE, "half A": HALF_A, "half B": HALF_B, "old": OLD, "the others": rest}.items():
        own = [row for row in found if row["set"] in names]
        if not own:
            continue
        off = np.array([abs(row["chosen"] - row["k"]) for row in own])
        many = np.array([row["k"] >= MANY for row in own])
        shares = [f"{np.mean(off == 0):.0%}", f"{np.mean(off <= 1):.0%}"]
        shares.append(f"{np.mean(off[many] <= 1):.0%}" if many.any() else "-")
        at_chosen, at_known = (float(np.mean([row[field] for row in own])) for field in ("ari", "ari_known"))
        line = [title, str(len({row["set"] for row in own})), *shares, figure(at_chosen), figure(at_known)]
        body.append([*line, f"{at_chosen / at_known:.0%}"])
    header = ["", "sets", "exact", "within one", f"within one, {MANY} classes and more"]
    seeds = len({row["seed"] for row in found})
    table = markdown([*header, "ARI, number chosen", "ARI, number known", "kept"], body)
    return f"{table}\nSeeds: {seeds}.\n"


def _numbers(found: list[rows.Row]) -> str:
    body = []
    for name in SUITE:
        own = [row for row in found if row["set"] == name]
        if own:
            aris = [figure(float(np.mean([row[field] for row in own]))) for field in ("ari", "ari_known")]
            body.append([name, str(own[0]["k"]), ", ".join(str(row["chosen"]) for row in own), *aris])
    return markdown(["", "classes", "chosen", "ARI, number chosen", "ARI, number known"], body)


def _panels(found: list[rows.Row]) -> str:
    def of_two(values: list[float]) -> str:
        return f"{np.mean(values):.2f} / {min(values):.2f}"

    body = [
        [
            f"{row['set']}, seed {row['seed']}",
            f"{row['n']:,}",
            str(row["chosen"]),
            ", ".join(map(str, row["chosen_again"])),
            f"{row['largest']:.0%}",
            of_two(row["found_again"]),
            of_two(row["found_again_same_number"]),
        ]
        for row in found
    ]
    header = ["", "series", "chosen", "by the other fits", "largest cluster", "found again, mean / lowest cluster"]
    return markdown([*header, "same number"], body)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=[*SUITE, *DEMAND], metavar="SET", default=[*SUITE, *DEMAND])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", help="folder with ucr/NAME and demand/NAME.csv; default: VRAE_DATA")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    done = rows.keys(rows.read(options.out), ("set", "seed"))
    with threadpool_limits(1):
        for seed in range(options.seeds):
            for name in options.sets:
                if (name, seed) in done:
                    continue
                started = time.process_time()
                row = (demand if name in DEMAND else labelled)(name, seed, options.data)
                seconds = round(time.process_time() - started, 2)
                row = {"set": name, "seed": seed, **row, "seconds": seconds, "version": library_of("VRAE")}
                rows.append(options.out, row)
                print(*row.values(), flush=True)


if __name__ == "__main__":
    main()
