"""Time the phases of whole commands: processor and elapsed seconds, and peak memory.

    python benchmarks/speed/commands.py --data FOLDER [--only NAME ...] [--sets NAME ...]

Every line is a process of its own that runs ``vrae`` with its defaults, from its first import to
its last file. FOLDER holds ``ucr/ECG5000``, ``ucr/OSULeaf`` (with ``_TRAIN.tsv``) and
``demand/online_retail_weekly.csv``; the 50,000 series are drawn from ECG5000. Rows are kept in
commands.jsonl, where a new row replaces an older one, and the table goes to COMMANDS.md.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROWS, TABLE = HERE / "commands.jsonl", HERE / "COMMANDS.md"
RETAIL = "online_retail_weekly"
BUNDLED, GENERATED = "bundled", "50,000 generated"
SETS = ("OSULeaf", "ECG5000", RETAIL, GENERATED)
# What the estimator's own `fit` does. The rest of the command is outside of it.
FIT = ("Patterns", "Preparation", "Training", "Grouping")
COMMANDS = {
    "cluster": ["cluster", "{data}", "--out", "{run}"],
    "assign": ["assign", "{data}", "--model", "{run}", "--out", "{folder}/assigned.csv"],
    "anomalies": ["anomalies", "{data}", "--out", "{folder}/anomalies.csv"],
    "forecast": ["forecast", "{data}", "--out", "{folder}/forecast.csv"],
    "similar": ["similar", "{data}", "--out", "{folder}/similar.csv"],
    "compare": ["compare", "{data}", "--clusters", "5", "--out", "{folder}/compare.csv"],
}
# Modules are compiled once, as in any installation; some machines forbid it.
INSTALLED = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
# The peers of `vrae compare` would take an hour for 50,000 series.
LEFT_OUT = {("compare", GENERATED)}


def seconds() -> float:
    """Return the processor seconds of this process and its children."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def timed(words: list[str], out: Path) -> None:
    """Run ``vrae`` in this process, and write when each of its phases began."""
    marks: list[tuple[str, float, float]] = []

    from vrae.cli import phase_display

    begin = phase_display.PhaseDisplay.begin

    def noted(self: phase_display.PhaseDisplay, phase: str) -> None:
        marks.append((phase, seconds(), time.monotonic()))
        begin(self, phase)

    phase_display.PhaseDisplay.begin = noted  # type: ignore[method-assign]
    sys.argv = ["vrae", *words]
    from vrae.__main__ import run

    try:
        run()
    finally:
        marks.append(("end", seconds(), time.monotonic()))
        out.write_text(json.dumps({"marks": marks, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))


def measure(words: list[str], limit: float) -> dict[str, Any]:
    """Run a command in a process of its own, and return its row. It is stopped at the limit."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "marks.json"
        started = time.monotonic()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, __file__, "--timed", str(out), *words]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=limit, env=INSTALLED)
        except subprocess.TimeoutExpired:
            return {"limit": limit}
        wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            raise SystemExit(f"vrae {' '.join(words)} failed:\n{done.stderr}")
        found = json.loads(out.read_text())
    marks, phases = found["marks"], {}
    phases["Starting"] = [marks[0][1], marks[0][2] - started]
    for (phase, cpu, clock), (_, next_cpu, next_clock) in itertools.pairwise(marks):
        earlier = phases.get(phase, [0.0, 0.0])
        phases[phase] = [earlier[0] + next_cpu - cpu, earlier[1] + next_clock - clock]
    cpu = sum(after[:2]) - sum(before[:2])
    return {
        "cpu": round(cpu, 1),
        "wall": round(wall, 1),
        "peak_mib": round(found["peak"] / 1024),
        "phases": {name: [round(part, 2) for part in pair] for name, pair in phases.items()},
        "load": round(os.getloadavg()[0], 1),
    }


def generated(data: Path, folder: Path) -> Path:
    """Write 50,000 beats of ECG5000, each scaled and noised a little, as one Parquet file."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    sys.path.insert(0, str(HERE))
    from growth import drawn

    values, _ = drawn(50_000, str(data / "ucr"))
    lists = pa.FixedSizeListArray.from_arrays(pa.array(values.astype(np.float32).ravel()), values.shape[1])
    path = folder / "generated.parquet"
    pq.write_table(pa.table({"id": np.arange(len(values)), "values": lists}), path)
    return path


def file_of(name: str, data: Path, folder: Path) -> Path:
    """Return the file of a data set. Only the one that is generated is written first."""
    if name == GENERATED:
        return generated(data, folder)
    return data / "demand" / f"{name}.csv" if name == RETAIL else data / "ucr" / name / f"{name}_TRAIN.tsv"


def chosen(every: list[tuple[str, str]], only: list[str] | None, names: list[str] | None) -> list[tuple[str, str]]:
    """Return the commands and data sets to run. ``assign`` needs the run of ``cluster``."""
    commands = {*(only or [command for command, _ in every])}
    if "assign" in commands:
        commands.add("cluster")
    return [
        (command, name)
        for command, name in every
        if command in commands and (not names or name in names) and (command, name) not in LEFT_OUT
    ]


def fit_seconds(row: dict[str, Any]) -> float:
    return sum(row["phases"].get(name, [0.0])[0] for name in FIT)


def table(rows: Iterable[dict[str, Any]]) -> str:
    """Return the table of all rows."""
    lines = [
        "# Whole commands",
        "",
        "`python benchmarks/speed/commands.py --data FOLDER`: processor seconds, elapsed seconds and peak memory of",
        "whole commands with their defaults, on two cores. The fit is what the estimator's own `fit` does: patterns,",
        "training and grouping. Phases are in processor seconds.",
        "",
        "| command | data | CPU, s | elapsed, s | memory, MiB | fit | outside of the fit | phases |",
        "|---|---|---:|---:|---:|---:|---:|---|",
    ]
    for row in rows:
        if "limit" in row:
            lines.append(f"| {row['command']} | {row['data']} | | > {row['limit']:.0f} | | | | |")
            continue
        fit = fit_seconds(row)
        phases = ", ".join(f"{name.lower()} {pair[0]:.1f}" for name, pair in row["phases"].items() if name != "end")
        lines.append(
            f"| {row['command']} | {row['data']} | {row['cpu']} | {row['wall']} | {row['peak_mib']} | {fit:.1f} "
            f"| {row['cpu'] - fit:.1f} | {phases} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    if sys.argv[1:2] == ["--timed"]:
        timed(sys.argv[3:], Path(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=["demo", *COMMANDS])
    parser.add_argument("--sets", nargs="+", choices=[BUNDLED, *SETS])
    parser.add_argument("--limit", type=float, default=600, help="elapsed seconds of a command")
    arguments = parser.parse_args()
    kept = [json.loads(line) for line in ROWS.read_text().splitlines()] if ROWS.exists() else []
    rows = {(row["command"], row["data"]): row for row in kept}
    every = [("demo", BUNDLED), *((command, name) for name in SETS for command in COMMANDS)]
    with tempfile.TemporaryDirectory() as folder:
        for name, pairs in itertools.groupby(chosen(every, arguments.only, arguments.sets), key=lambda pair: pair[1]):
            path = None if name == BUNDLED else file_of(name, arguments.data, Path(folder))
            for command, _ in pairs:
                words = COMMANDS.get(command, ["demo", "--out", "{folder}/demo"])
                filled = [word.format(data=path, folder=folder, run=f"{folder}/run {name}") for word in words]
                rows[command, name] = {"command": command, "data": name, **measure(filled, arguments.limit)}
                print(json.dumps(rows[command, name]), flush=True)
    found = [rows[key] for key in sorted(rows, key=lambda key: every.index(key) if key in every else len(every))]
    ROWS.write_text("".join(json.dumps(row) + "\n" for row in found))
    TABLE.write_text(table(found))


if __name__ == "__main__":
    main()
