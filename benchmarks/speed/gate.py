"""Fail if what users wait for became slower, relative to a reference in the same run.

    python benchmarks/speed/gate.py [--rounds 5] [--only WORD ...] [--update]

The reference is work that does not involve vrae: an LSTM of torch's forwards and backwards, a sort
and a product of matrices. Each task runs between two of its runs, in CPU seconds of one thread, and
the median of the rounds counts, so the ratios hardly depend on the machine or on what else it does.
Whole commands are processes of their own, from the first import to the last file, in at most three
rounds. A task that takes more than 1.3 times the ratio in ``gate.json`` fails: exit code 1.
``--update`` keeps the ratios of this run, when it is known why they are others. ``--only`` takes
the tasks whose names contain one of some words.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from embedding import walks
from threadpoolctl import threadpool_limits

from vrae import VRAE, VRAEClusterer, load_example, read_panel
from vrae.estimators.partition import fit_partition

KEPT = Path(__file__).with_name("gate.json")
MOST = 1.3  # the noise of a busy machine is a few per cent
COMMAND_ROUNDS = 3
# Commands that use what another one has written.
NEEDED = {"vrae assign": "vrae cluster"}
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


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
    one, four, longer = walks(1000, 140, 1), walks(100, 140, 4), walks(20, 10_000, 1)
    few = one.select(np.arange(200))
    options = {"random_state": 0, "device": "cpu"}
    model, of_four = VRAE(max_epochs=1, **options).fit(few), VRAE(max_epochs=1, **options).fit(four)
    vectors = np.random.default_rng(0).standard_normal((500, 16)) * np.linspace(3, 0.1, 16)
    table = folder / "series.csv"
    few.to_pandas().to_csv(table, index=False)
    return {
        "fit and cluster 200 series": lambda: VRAEClusterer(3, model=VRAE(max_epochs=10, **options)).fit(few),
        "embed 1,000 series": lambda: model.transform(one),
        "embed 20 series of 10,000 steps": lambda: model.transform(longer),
        "embed 100 series of 4 channels": lambda: of_four.transform(four),
        "reconstruct and score 200 series": lambda: (model.reconstruct(few), model.score_samples(few)),
        "find 5 clusters among 500 vectors": lambda: fit_partition(vectors, 5, "gmm", 0),
        "read 28,000 rows of csv": lambda: read_panel(table),
    }


def commands(folder: Path) -> dict[str, Callable[[], object]]:
    """Return whole commands, on a packaged data set, in the order in which they need each other."""
    panel, _ = load_example("ItalyPowerDemand")
    csv = folder / "italy.csv"
    panel.to_pandas().to_csv(csv, index=False)
    return {
        "vrae --help": partial(vrae, "--help"),
        "vrae cluster": partial(vrae, "cluster", csv, "--out", folder / "run", "--overwrite"),
        "vrae assign": partial(vrae, "assign", csv, "--model", folder / "run", "--out", folder / "assigned.csv"),
    }


def vrae(*words: object) -> None:
    call = [sys.executable, "-m", "vrae", *map(str, words)]
    subprocess.run(call, check=True, env=os.environ | ONE_THREAD, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def spent() -> float:
    """Return the CPU seconds of this process and of its children."""
    return sum(sum(resource.getrusage(whose)[:2]) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def seconds(work: Callable[[], object]) -> float:
    before = spent()
    work()
    return spent() - before


def measure(rounds: int, only: list[str]) -> dict[str, float]:
    """Return the median ratio of each task to the reference."""
    ratios: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole, work = commands(folder), tasks(folder)
        work = {name: task for name, task in {**work, **whole}.items() if any(word in name for word in only)}
        needed = {name: whole[name] for name in map(NEEDED.get, work) if name is not None and name not in work}
        for warm in (*needed.values(), reference, *work.values()):
            warm()
        for number in range(rounds):
            before = seconds(reference)
            for name, task in work.items():
                if name in whole and number >= COMMAND_ROUNDS:
                    continue
                own, after = seconds(task), seconds(reference)
                ratios.setdefault(name, []).append(2 * own / (before + after))
                before = after
    return {name: round(statistics.median(each), 3) for name, each in ratios.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", metavar="WORD", default=[""])
    parser.add_argument("--update", action="store_true", help="keep the ratios of this run")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    with threadpool_limits(1):
        found = measure(options.rounds, options.only)
    kept = json.loads(KEPT.read_text())
    if options.update:
        kept |= found
        KEPT.write_text(json.dumps(kept, indent=1) + "\n")
    slower = [name for name, ratio in found.items() if ratio > MOST * kept.get(name, 0.0)]
    for name, ratio in found.items():
        relative = ratio / kept[name] if name in kept else None
        row = {"benchmark": name, "ratio_to_reference": ratio, "relative_to_kept": relative and round(relative, 2)}
        print(json.dumps({**row, "slower": name in slower}))
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
