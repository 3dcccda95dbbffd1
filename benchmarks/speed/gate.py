"""Fail if what users wait for became slower, relative to a reference in the same run.

    python benchmarks/speed/gate.py [--rounds 5] [--update]

The reference is work that does not involve vrae: an LSTM of torch's forwards and backwards, a sort
and a product of matrices. Each task runs between two of its runs, in CPU seconds of one thread, and
the median of the rounds counts, so the ratios hardly depend on the machine or on what else it does.
A task that takes more than 1.3 times the ratio in ``gate.json`` fails: exit code 1. ``--update``
keeps the ratios of this run, when it is known why they are others.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from embedding import walks
from threadpoolctl import threadpool_limits

from vrae import VRAE, VRAEClusterer, read_panel
from vrae.estimators.partition import fit_partition

KEPT = Path(__file__).with_name("gate.json")
MOST = 1.3  # the noise of a busy machine is a few per cent


def reference() -> None:
    generator = torch.Generator().manual_seed(0)
    layer = torch.nn.LSTM(28, 64, batch_first=True)
    x = torch.randn(64, 10, 28, generator=generator)
    for _ in range(30):
        layer(x)[0].square().sum().backward()
    rng = np.random.default_rng(0)
    np.sort(rng.standard_normal(1_000_000))
    wide = rng.standard_normal((400, 400))
    for _ in range(10):
        wide @ wide


def tasks(folder: Path) -> dict[str, Callable[[], object]]:
    """Return what is timed, ready to be called again and again."""
    one, four = walks(1000, 140, 1), walks(100, 140, 4)
    few = one.select(np.arange(200))
    options = {"random_state": 0, "device": "cpu"}
    model, of_four = VRAE(max_epochs=1, **options).fit(few), VRAE(max_epochs=1, **options).fit(four)
    vectors = np.random.default_rng(0).standard_normal((500, 16)) * np.linspace(3, 0.1, 16)
    table = folder / "series.csv"
    lines = [f"item{i},{t},{x:.6g}" for i, series in enumerate(few.slices()) for t, x in enumerate(series[:, 0])]
    table.write_text("\n".join(["unique_id,ds,y", *lines]))
    return {
        "fit and cluster 200 series": lambda: VRAEClusterer(3, model=VRAE(max_epochs=10, **options)).fit(few),
        "embed 1,000 series": lambda: model.transform(one),
        "embed 100 series of 4 channels": lambda: of_four.transform(four),
        "reconstruct and score 200 series": lambda: (model.reconstruct(few), model.score_samples(few)),
        "find 5 clusters among 500 vectors": lambda: fit_partition(vectors, 5, "gmm", 0),
        "read 28,000 rows of csv": lambda: read_panel(table),
    }


def seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def measure(rounds: int) -> dict[str, float]:
    """Return the median ratio of each task to the reference."""
    ratios: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        work = tasks(Path(folder))
        for warm in (reference, *work.values()):
            warm()
        for _ in range(rounds):
            before = seconds(reference)
            for name, task in work.items():
                own, after = seconds(task), seconds(reference)
                ratios.setdefault(name, []).append(2 * own / (before + after))
                before = after
    return {name: round(statistics.median(each), 3) for name, each in ratios.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--update", action="store_true", help="keep the ratios of this run")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    with threadpool_limits(1):
        found = measure(options.rounds)
    if options.update:
        KEPT.write_text(json.dumps(found, indent=1) + "\n")
    kept = json.loads(KEPT.read_text())
    slower = [name for name, ratio in found.items() if ratio > MOST * kept.get(name, 0.0)]
    for name, ratio in found.items():
        relative = ratio / kept[name] if name in kept else None
        row = {"benchmark": name, "ratio_to_reference": ratio, "relative_to_kept": relative and round(relative, 2)}
        print(json.dumps({**row, "slower": name in slower}))
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
