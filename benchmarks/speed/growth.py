"""Seconds, memory and agreement with the classes as the number of series grows.

    python benchmarks/speed/growth.py [--n 500 2000 10000 50000] [--limit 600] [--memory 6]
        [--data-dir FOLDER]

Series are drawn from ECG5000 (140 steps, five classes), each scaled and noised a little so that
none is there twice. Every line is a process of its own, on one thread; what a library compiles on
its first call is not counted. A line is the median time and the mean agreement of three seeds, or
of fewer: no further seed begins after a minute of CPU time. A method that passes the limit of
seconds, or would take more than ``--memory`` GiB, is not tried at larger numbers. Rows are kept in
growth.jsonl, and what is there is not run again; the table goes to GROWTH.md.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import adjusted_rand_score

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "quality"))

import methods  # noqa: E402
import rows  # noqa: E402
from sets import load  # noqa: E402
from worker import ONE_THREAD  # noqa: E402

ROWS, TABLE = HERE / "growth.jsonl", HERE / "GROWTH.md"
METHODS = {
    **{name: methods.METHODS[name] for name in ("k-means", "R-Clustering", "RACER", "k-Shape", "KASBA")},
    "k-means-DTW": lambda X, k, seed: methods.kmeans_dtw(X[:, None], k, seed),
    "VRAE": methods.METHODS["VRAE"],
}
CLUSTERS = 5
SEEDS = 3
ENOUGH = 60  # CPU seconds of a line after which no further seed begins


def drawn(n: int, folder: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Return values (n, 140) and classes (n)."""
    data, rng = load("ECG5000", "whole", folder), np.random.default_rng(0)
    picked = rng.permutation(len(data.X))[:n] if n <= len(data.X) else rng.integers(0, len(data.X), n)
    X = data.X[picked] * rng.uniform(0.9, 1.1, (n, 1)) + rng.normal(0, 0.05, (n, data.X.shape[1]))
    return X, data.truth[picked]


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # MiB


def one(method: str, n: int, folder: str | None) -> rows.Row:
    """Run one line in this process."""
    torch.set_num_threads(1)
    X, truth = drawn(n, folder)
    METHODS[method](X[:40], 2, 0)  # compiles
    neighbours = time_neighbours() if method == "VRAE" else []
    before = peak()
    cpu: list[float] = []
    ari: list[float] = []
    for seed in range(SEEDS):
        begun = time.process_time()
        labels = METHODS[method](X, CLUSTERS, seed)
        cpu.append(time.process_time() - begun)
        ari.append(float(adjusted_rand_score(truth, labels)))
        if sum(cpu) > ENOUGH:
            break
    return {
        "method": method,
        "n": n,
        "seeds": len(cpu),
        "cpu": round(statistics.median(cpu), 2),
        "peak_mib": round(peak()),
        "grew_mib": round(peak() - before),
        "ari": round(statistics.mean(ari), 3),
        "each_ari": [round(each, 3) for each in ari],
        **({"neighbours": round(sum(neighbours) / sum(cpu), 3)} if neighbours else {}),
    }


def time_neighbours() -> list[float]:
    """Note the CPU seconds that each fit takes for the graph of neighbours and its loss."""
    from vrae.estimators import fitting

    noted: list[float] = []
    place = fitting.place_neighbours

    def timed(*arguments: Any, **options: Any) -> None:
        begun = time.process_time()
        place(*arguments, **options)
        noted.append(time.process_time() - begun)

    fitting.place_neighbours = timed  # type: ignore[assignment]
    return noted


def line(method: str, n: int, limit: float, memory: float, folder: str | None) -> rows.Row:
    """Run one line in a process of its own, and stop it at the limits."""
    words = [sys.executable, __file__, "--one", method, "--n", str(n), *(["--data-dir", folder] if folder else [])]
    words += ["--memory", str(memory)]
    alone = os.environ | dict.fromkeys(ONE_THREAD, "1")
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=limit, env=alone)
    except subprocess.TimeoutExpired:
        return {"method": method, "n": n, "limit": limit}
    if "MemoryError" in done.stderr:
        return {"method": method, "n": n, "memory": memory}
    if done.returncode:
        raise SystemExit(f"{method}, {n} series: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def table(known: list[rows.Row]) -> str:
    numbers = sorted({row["n"] for row in known})
    found = {(row["method"], row["n"]): row for row in known}
    lines = [
        "# Growth",
        "",
        "Written by `python benchmarks/speed/growth.py`, which says how: beats of ECG5000, 140 steps, five clusters,",
        "one thread. CPU seconds (with nothing else running a clock shows as many), peak memory of the whole process",
        'in MiB, adjusted Rand index: median and mean of three seeds, of fewer above a minute. ">": stopped at the',
        'limit; "-": not run. exponent: slope of log time over log n.',
        "",
        "| | " + " | ".join(f"{n:,}" for n in numbers) + " | exponent |",
        "|---|" + "---|" * (len(numbers) + 1),
    ]
    for method in METHODS:
        cells = [_cell(found.get((method, n))) for n in numbers]
        lines.append(f"| {method} | " + " | ".join(cells) + f" | {_exponent(method, known)} |")
    shares = [(n, found["VRAE", n]["neighbours"]) for n in numbers if "neighbours" in found.get(("VRAE", n), {})]
    if shares:
        text = ", ".join(f"{share:.2f} ({n:,})" for n, share in shares)
        lines += ["", f"Share of VRAE's time that the graph of neighbours and its loss take: {text}."]
    return "\n".join(lines) + "\n"


def _cell(row: rows.Row | None) -> str:
    if row is None:
        return "-"
    if "limit" in row:
        return f"> {row['limit']:.0f} s"
    if "memory" in row:
        return f"> {row['memory']:g} GiB"
    return f"{row['cpu']:,.1f} s, {row['peak_mib']:,} MiB, {row['ari']:.2f}"


def _exponent(method: str, known: list[rows.Row]) -> str:
    own = [(row["n"], row["cpu"]) for row in known if row["method"] == method and "cpu" in row]
    if len(own) < 2:
        return "-"
    n, seconds = np.log(np.array(own).T)
    return f"{np.polyfit(n, seconds, 1)[0]:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, nargs="+", default=[500, 2000, 10_000, 50_000])
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--limit", type=float, default=600, help="seconds of the clock for a line")
    parser.add_argument("--memory", type=float, default=6, help="GiB that a line may take")
    parser.add_argument("--data-dir", help="where the UCR archive is; else it is downloaded")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        most = int(options.memory * 2**30)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
        print(json.dumps(one(options.one, options.n[0], options.data_dir)))
        return
    found = {(row["method"], row["n"]): row for row in rows.read(ROWS)}
    for method in options.methods:
        for n in sorted(options.n):
            if (method, n) not in found:
                found[method, n] = line(method, n, options.limit, options.memory, options.data_dir)
                rows.append(ROWS, found[method, n])
                print(json.dumps(found[method, n]), flush=True)
            if {"limit", "memory"} & {*found[method, n]}:
                break
    TABLE.write_text(table([*found.values()]), encoding="utf-8")
    print(TABLE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
