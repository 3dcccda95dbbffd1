"""Fit, predict, save and load in one process for hours, and report memory and open files.

A line every ten seconds to the file named by --out: minutes, rounds, resident memory in MiB, open
file descriptors, threads. The last line has the slope of memory by least squares over the second
half, when caches are warm.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import tempfile
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vrae import VRAE, VRAEAnomalyDetector, VRAEClusterer, VRAENeighbors, load_model, read_panel
from vrae.train.checkpoint import Checkpoint

_EVERY = 10.0  # seconds from one line to the next


def one_round(number: int, folder: Path) -> None:
    """Do what a service does that learns and answers, with other series every time."""
    rng = np.random.default_rng(number)
    lengths = rng.integers(20, 60, 24)
    series = [np.sin(np.arange(n) * rng.choice([0.3, 1.1])) + 0.2 * rng.standard_normal(n) for n in lengths]
    options: dict[str, Any] = {"latent_size": 4, "hidden_size": 16, "max_epochs": 2, "random_state": 0, "device": "cpu"}
    kinds = (VRAE, VRAEClusterer, VRAEAnomalyDetector, VRAENeighbors)
    kind = kinds[number % len(kinds)]
    callbacks = [Checkpoint(folder / "training", every_epochs=1, resume=False)]
    model = kind(**options, callbacks=callbacks).fit(series)
    model.save(folder / "model")
    again = load_model(folder / "model")
    for _ in range(5):
        again.transform(series)
        again.reconstruct(series)
        again.score_samples(series)
    table = folder / "series.csv"
    rows = [f"{i},{t},{x}" for i, one in enumerate(series) for t, x in enumerate(one)]
    table.write_text("\n".join(["unique_id,ds,y", *rows]))
    again.transform(read_panel(table))


def state(started: float, rounds: int) -> dict[str, float]:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "minutes": round((time.monotonic() - started) / 60, 2),
        "rounds": rounds,
        "rss_mib": round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1),
        "files": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "soak.jsonl")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    found: list[dict[str, float]] = []
    rounds, started, told = 0, time.monotonic(), 0.0
    with tempfile.TemporaryDirectory() as scratch:
        while time.monotonic() - started < 60 * arguments.minutes:
            one_round(rounds, Path(scratch))
            rounds += 1
            if time.monotonic() - told >= _EVERY:
                gc.collect()
                found.append(state(started, rounds))
                told = time.monotonic()
                arguments.out.write_text("".join(json.dumps(line) + "\n" for line in found))
        left = sorted(path.name for path in Path(scratch).iterdir())
    late = found[len(found) // 2 :]
    slope = np.polyfit([line["minutes"] for line in late], [line["rss_mib"] for line in late], 1)[0]
    summary = {
        **found[-1],
        "mib_an_hour": round(60 * float(slope), 1),
        "kib_a_round": round(
            1024 * float(np.polyfit([i["rounds"] for i in late], [i["rss_mib"] for i in late], 1)[0]), 2
        ),
        "files_at_first": found[0]["files"],
        "left_in_folder": left,
    }
    with arguments.out.open("a") as file:
        file.write(json.dumps(summary) + "\n")
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
