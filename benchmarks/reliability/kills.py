"""Kill `vrae cluster` at random moments, resume, and compare with an undisturbed run.

The moment is drawn over the whole life of the process: start-up, training, the writing of results.
The file named by --out has a line a kill, with what stood in the run folder; a line a complete run,
with the results that are not the same, byte by byte; and a line for all. Seconds are of a machine
that others use too.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = ("clusters.csv", "embedding.parquet", "model/weights.safetensors")


def command(data: Path, out: Path, *more: str) -> list[str]:
    options = ["--clusters", "3", "--epochs", "40", "--seed", "0", "--checkpoint-every", "0", "--quiet"]
    return [sys.executable, "-m", "vrae", "cluster", str(data), *options, "--out", str(out), *more]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "kills.jsonl")
    arguments = parser.parse_args()
    arguments.out.write_text("")

    def tell(**line: Any) -> None:
        print(json.dumps(line), flush=True)
        with arguments.out.open("a") as file:
            file.write(json.dumps(line) + "\n")

    moments = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        rng = np.random.default_rng(0)
        waves = np.sin(np.arange(60) * rng.choice([0.3, 0.7, 1.3], (150, 1)))
        np.save(folder / "X.npy", waves + rng.normal(0, 0.3, waves.shape))
        started = time.perf_counter()
        subprocess.run(command(folder / "X.npy", folder / "whole"), check=True, stdout=subprocess.DEVNULL)
        life = time.perf_counter() - started
        kills = completed = 0
        begun = time.perf_counter()
        while True:
            from_nothing, run_started = not (folder / "run").exists(), time.perf_counter()
            run = subprocess.Popen(command(folder / "X.npy", folder / "run", "--resume"), stdout=subprocess.DEVNULL)
            try:
                run.wait(moments.uniform(0.2, 1) * life if kills < arguments.kills else None)
            except subprocess.TimeoutExpired:
                run.send_signal(signal.SIGKILL)
                run.wait()
                kills += 1
                left = _state(folder / "run")
                tell(kill=kills, left=left)
                if left == "complete":
                    completed += 1
                    _check(folder, completed, tell)
                continue
            if run.returncode != 0:
                sys.exit(f"exit code {run.returncode}")
            if from_nothing:  # others on the machine may have come, or gone
                life = time.perf_counter() - run_started
            completed += 1
            _check(folder, completed, tell)
            left = [path.name for path in folder.iterdir() if path.name not in ("X.npy", "whole")]
            if left:
                sys.exit(f"left behind: {left}")
            if kills >= arguments.kills:
                break
        seconds = time.perf_counter() - begun
        tell(kills=kills, complete_runs=completed, seconds=round(seconds), seconds_of_a_run=round(life, 1))


def _state(run: Path) -> str:
    """Say what a killed process left."""
    if (run / "metrics.json").exists():
        return "complete"
    config = run / "checkpoint" / "config.json"
    if not config.exists():
        return "nothing"
    pairs = dict(json.loads(config.read_text())["state"]["pairs"])
    return f"saved at step {pairs['step']}"


def _check(folder: Path, number: int, tell: Callable[..., None]) -> None:
    """Compare a complete run with the one left in peace; then remove it, to begin once more."""
    differ = [
        name for name in RESULTS if (folder / "run" / name).read_bytes() != (folder / "whole" / name).read_bytes()
    ]
    tell(complete_run=number, not_the_same=differ)
    if differ:
        sys.exit(1)
    shutil.rmtree(folder / "run")


if __name__ == "__main__":
    main()
