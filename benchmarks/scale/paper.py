"""Compute what a hundred million series of 156 steps cost, from measured rates.

    python benchmarks/scale/paper.py [--series 100_000_000] [--price 0.05]

Rates are those of ``../distributed/results.jsonl`` (``run.py --steps 156 --again``) and of
``results.jsonl`` (``million.py``). Prints a table for ``docs/scaling.md``. The price of a core hour
is an assumption: put in your own.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
STEPS = 156
LATENT = 16  # numbers of 4 bytes of a series in embedding.parquet
MACHINES, CORES = 4, 16


def read(file: Path, **facts: Any) -> list[dict[str, Any]]:
    rows = (json.loads(line) for line in file.read_text().splitlines())
    return [row for row in rows if facts.items() <= row.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=100_000_000)
    parser.add_argument("--price", type=float, default=0.05, help="of a core hour")
    options = parser.parse_args()
    n, cores = options.series, MACHINES * CORES
    facts: dict[str, Any] = {"task": "assign", "steps": STEPS}
    (local,) = read(HERE.parent / "distributed" / "results.jsonl", engine="local", **facts)
    (ray,) = read(HERE.parent / "distributed" / "results.jsonl", engine="ray", workers=2, **facts)
    (panels,) = read(HERE / "results.jsonl", task="read panels", n_series=1_000_000)
    clustered = [r for r in read(HERE / "results.jsonl", task="vrae cluster", steps=64) if r.get("load", 9) < 2]

    size = n * local["file_mib"] * 2**20 / local["n_series"]
    assign = n * ray["processor_seconds"] / ray["n_series"]
    sample = n * panels["cpu_seconds"] / panels["n_series"] * STEPS / panels["steps"]
    a, b = ((row["n_series"], row["cpu_seconds"]) for row in clustered)
    fixed = a[1] - a[0] * (b[1] - a[1]) / (b[0] - a[0])
    total = assign + sample + fixed
    hours = total / 3600

    seconds = (assign + sample) / cores  # of the workers
    pace = f"{2 * size / seconds / 1e6:.0f} MB/s"
    alone = 1000 * local["processor_seconds"] / local["n_series"]
    both = 1000 * ray["processor_seconds"] / ray["n_series"]
    lines = [
        ("Parquet", f"{n:,} x {size / n:.0f} bytes", f"{size / 1e9:.0f} GB"),
        ("read, twice", f"2 x {size / 1e9:.0f} GB", f"{2 * size / 1e9:.0f} GB"),
        ("latent vectors, written", f"{n:,} x {LATENT} x 4 bytes", f"{n * LATENT * 4 / 1e9:.1f} GB"),
        ("assigning, one process", f"{n:,} x {alone:.2f} ms", f"{n * alone / 3.6e6:.1f} core hours"),
        ("assigning, two workers of Ray", f"{n:,} x {both:.2f} ms", f"{assign / 3600:.1f} core hours"),
        ("reading for the sample", f"{sample / n * 1000:.3f} ms each", f"{sample / 3600:.1f} core hours"),
        ("start, fit, stability, report", "once", f"{fixed:.0f} s on one core"),
        ("together", "with two workers of Ray", f"{hours:.1f} core hours"),
        ("money", f"{options.price} a core hour", f"{hours * options.price:.2f}"),
        (f"{MACHINES} machines of {CORES} cores", "and the fit", f"{(seconds + fixed) / 60:.0f} minutes"),
        ("what they read meanwhile", f"{2 * size / 1e9:.0f} GB / {seconds:.0f} s", pace),
    ]
    print("| | from | |\n|---|---|---:|")
    for line in lines:
        print(f"| {' | '.join(line)} |")


if __name__ == "__main__":
    main()
