"""Five more data sets: long, gapped, of many classes, or of unequal length.

    python benchmarks/quality/others.py [--seeds 2] [--data FOLDER]

Two choices were made with an eye on them, too: how many axes a mixture of many clusters looks at,
and the number of dilations (LOG.md, sections 2 and 8). All others were made on the 16.

Train and test series together, number of clusters known, defaults. VRAE gets the series as they
are; its peers, which take neither gaps nor unequal lengths, get them bridged and resampled to one
length, 500 steps at most, each of mean 0 and variance 1. Rows go to others.jsonl, what is there is
not run again; OTHERS.md has the table.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import methods
import numpy as np
import rows
import torch
from layout import figure, markdown
from sets import MOST_STEPS, znorm
from threadpoolctl import threadpool_limits

from vrae import load_example
from vrae.metrics import agreement, resample

HERE = Path(__file__).parent
SETS = ("ACSF1", "DodgerLoopDay", "GestureMidAirD1", "PickupGestureWiimoteZ", "PLAID")
NAMES = ("k-means", "k-Shape", "KASBA", "R-Clustering", "VRAE")


def measure(name: str, method: str, seed: int, folder: str | None) -> rows.Row:
    """Cluster a set once."""
    panel, labels = load_example(name, data_dir=folder)
    truth = np.unique(labels, return_inverse=True)[1]
    padded = panel.to_padded()  # (n, 1, longest)
    even = znorm(resample(padded, min(padded.shape[2], MOST_STEPS)))[:, 0]  # (n, steps)
    started = time.process_time()
    found = methods.METHODS[method](panel if method == "VRAE" else even, int(truth.max()) + 1, seed)
    return {**agreement(truth, found), "seconds": round(time.process_time() - started, 2)}


def write_table(found: list[rows.Row]) -> None:
    """Write means over seeds, a line a set."""
    lines = [f"# {(__doc__ or '').splitlines()[0]}\n", *(__doc__ or "").splitlines()[4:]]
    means = np.array(
        [[np.mean([r["ari"] for r in found if r["set"] == s and r["method"] == m]) for m in NAMES] for s in SETS]
    )
    body = [
        [name, *map(figure, line)] for name, line in zip((*SETS, "mean"), (*means, means.mean(axis=0)), strict=True)
    ]
    lines += ["", "Mean adjusted Rand index over seeds.", "", markdown(["", *NAMES], body)]
    (HERE / "OTHERS.md").write_text("\n".join(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--data", help="folder with ucr/NAME; default: VRAE_DATA, else downloaded")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    out = HERE / "others.jsonl"
    done = rows.keys(rows.read(out), ("set", "method", "seed"))
    with threadpool_limits(1):
        for seed in range(options.seeds):
            for job in ((name, method, seed) for name in SETS for method in NAMES):
                if job not in done:
                    row = {**dict(zip(("set", "method", "seed"), job, strict=True)), **measure(*job, options.data)}
                    rows.append(out, row)
                    print(*row.values(), flush=True)
    write_table(rows.read(out))


if __name__ == "__main__":
    main()
