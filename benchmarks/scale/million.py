"""Cluster, embed and assign a million series of a Parquet file in bounded memory.

    python benchmarks/scale/million.py [--series 100000 300000 1000000] [--steps 64] [--threads 2]
        [--tasks "vrae cluster" ...]

Each line of work is a process of its own, whose peak of resident memory the operating system tells.
Writes ``results.jsonl`` and ``RESULTS.md`` next to this file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
CHUNK = 50_000  # series generated, and written as a row group, at a time
FAMILIES = ("slow wave", "fast wave", "sawtooth", "trend", "bump", "step")


def family(kind: int, time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return clean series, one per row (n, steps), for a random phase in [0, 1) each."""
    phase = rng.random((len(time), 1))
    courses: tuple[Callable[[], np.ndarray], ...] = (
        lambda: np.sin(2 * np.pi * (2 * time + phase)),
        lambda: np.sin(2 * np.pi * (8 * time + phase)),
        lambda: 2 * ((3 * time + phase) % 1) - 1,
        lambda: 2 * time - 1 + 0.2 * phase,
        lambda: 2 * np.exp(-(((time - 0.2 - 0.6 * phase) / 0.1) ** 2)) - 0.5,
        lambda: np.where(time > 0.2 + 0.6 * phase, 1.0, -1.0),
    )
    return courses[kind]()


def generate(path: Path, n_series: int, steps: int) -> None:
    """Write a table of ``item`` and ``values``, a list column, chunk by chunk."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    schema = pa.schema({"item": pa.string(), "values": pa.list_(pa.float32())})
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, n_series, CHUNK):
            n = min(CHUNK, n_series - start)
            kinds = rng.integers(len(FAMILIES), size=n)
            time = np.broadcast_to(np.arange(steps) / steps, (n, steps))
            series = np.empty((n, steps))
            for kind in range(len(FAMILIES)):
                series[kinds == kind] = family(kind, time[kinds == kind], rng)
            series = 20 * series + 100 + 6 * rng.standard_normal(series.shape)
            offsets = pa.array(np.arange(n + 1, dtype=np.int32) * steps)
            values = pa.ListArray.from_arrays(offsets, pa.array(series.astype(np.float32).ravel()))
            names = pa.array([f"item{i:07}" for i in range(start, start + n)])
            writer.write_table(pa.table([names, values], schema=schema))


# -------------------------------------------------------------------- what is measured


def read_only(data: Path, model: Path, out: Path) -> None:
    """Look at every value of the file, and do nothing else."""
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    for batch in ds.dataset(data).to_batches(columns=["values"]):
        pc.sum(batch.column(0).flatten())


def panels_only(data: Path, model: Path, out: Path) -> None:
    from vrae.data.stream import stream_panels

    for panel in stream_panels(data, id="item"):
        panel.missing_share()


def embed(data: Path, model: Path, out: Path) -> None:
    vrae("embed", data, "--id", "item", "--model", model, "--out", out / "embedding.parquet")


def assign(data: Path, model: Path, out: Path) -> None:
    vrae("assign", data, "--id", "item", "--model", model, "--out", out / "assigned.parquet")


def cluster(data: Path, model: Path, out: Path) -> None:
    options = ["--clusters", len(FAMILIES), "--train-sample", 20_000, "--quiet"]
    vrae("cluster", data, "--id", "item", *options, "--out", out / "run")


def vrae(*arguments: Any) -> None:
    from vrae.cli import app

    app([str(argument) for argument in arguments], standalone_mode=False)


TASKS = {
    "read the file (Arrow)": read_only,
    "read panels": panels_only,
    "vrae embed": embed,
    "vrae assign": assign,
    "vrae cluster": cluster,
}
MODELS: dict[str, dict[str, Any]] = {"default": {}, "no patterns": {"pattern_weight": 0}}
NO_MODEL = ("read the file (Arrow)", "read panels", "vrae cluster")  # the last fits its own


def fit(data: Path, model: Path, out: Path, **options: Any) -> None:
    from vrae import VRAE, VRAEClusterer, read_panel

    VRAEClusterer(len(FAMILIES), model=VRAE(**options), random_state=0).fit(read_panel(data, id="item")).save(model)


# -------------------------------------------------------------------- a process each


def measure(work: Callable[[Path], None], threads: int, pipe: Any) -> None:
    """Run some work in this process, and send its seconds and its peak memory."""
    import torch

    torch.set_num_threads(threads)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as out:
        started, cpu = time.perf_counter(), time.process_time()
        work(Path(out))
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    pipe.send({"seconds": seconds, "cpu_seconds": cpu, "peak_mib": peak / 2**20})


def in_child(work: Callable[[Path], None], threads: int) -> dict[str, float]:
    """Run work in a fresh process, because a child's peak begins with its parent's memory."""
    context = get_context("spawn")
    mine, theirs = context.Pipe()
    child = context.Process(target=measure, args=(work, threads, theirs))
    child.start()
    theirs.close()
    try:
        found: dict[str, float] = mine.recv()
    except EOFError:
        raise SystemExit(f"{work} failed") from None
    child.join()
    return found


def key(row: dict[str, Any]) -> tuple[Any, ...]:
    model, task = list(MODELS).index(row["model"] or "default"), list(TASKS).index(row["task"])
    return row["steps"], row["n_series"], model, task


def keep(row: dict[str, Any]) -> None:
    """Put a row in the place of an earlier one of the same work."""
    file = HERE / "results.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    rows = sorted([*(r for r in rows if key(r) != key(row)), row], key=key)
    file.write_text("".join(json.dumps(r) + "\n" for r in rows))
    (HERE / "RESULTS.md").write_text(HEAD + "".join(LINE.format(**r) for r in rows) + growth(rows) + FOOT)


def growth(rows: list[dict[str, Any]]) -> str:
    """Say how the time of `vrae cluster` grows, on a machine without other work."""
    own = [r for r in rows if r["task"] == "vrae cluster" and r["steps"] == 64 and r.get("load", 9) < 2]
    if len(own) < 2:
        return ""
    n, cpu = np.log([[r["n_series"], r["cpu_seconds"]] for r in own]).T
    slope = (own[-1]["cpu_seconds"] - own[0]["cpu_seconds"]) / (own[-1]["n_series"] - own[0]["n_series"])
    fixed = own[0]["cpu_seconds"] - slope * own[0]["n_series"]
    return (
        f"\nThe processor seconds of `vrae cluster` grow with the number of series to the power of "
        f"{np.polyfit(n, cpu, 1)[0]:.2f}: {1e6 * slope:.0f} s for each million, and {fixed:.0f} s that do not depend "
        f"on it (start, fit, stability, report).\n"
    )


HEAD = """# Scale

`python benchmarks/scale/million.py`: series in six noisy families; one Parquet file with a list column. `vrae cluster`
trains on a sample of 20,000, assigns all series, and writes the tables and the report.
Every line is a process of its own, and memory its peak resident set; Python with torch alone takes some 300 MiB of
it. "no patterns" is a model with `pattern_weight=0`. Where the machine was shared (its load when the line began is in
`results.jsonl`), seconds of the processor tell more than seconds of the clock.

| series | steps | file, MiB | task | model | threads | seconds | series/s | processor seconds | peak memory, MiB |
|---:|---:|---:|---|---|---:|---:|---:|---:|---:|
"""
LINE = (
    "| {n_series:,} | {steps} | {file_mib:.0f} | {task} | {model} | {threads} | {seconds:.1f} | {series_per_s:,.0f} "
    "| {cpu_seconds:.1f} | {peak_mib:.0f} |\n"
)
FOOT = """
Lines of one thread, and all of `vrae embed` and `vrae assign`, are older than those of `vrae cluster`: two panels of
4,096 series are now computed at once, while a third is read and the last is written, and the statistics are faster. Of
the time of assigning, six sevenths go into the network and its statistics; the rest into reading, checks of ids and
values, and writing. What is remembered of a series that has passed is 8 bytes, by which an id that comes back is found.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, nargs="+", default=[100_000, 300_000, 1_000_000])
    parser.add_argument("--steps", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generate(folder / "train.parquet", 5000, options.steps)
        for model in options.models if set(options.tasks) - set(NO_MODEL) else ():
            in_child(partial(fit, folder / "train.parquet", folder / model, **MODELS[model]), options.threads)
        for n_series in options.series:
            data = folder / f"{n_series}.parquet"
            generate(data, n_series, options.steps)
            for model, task in product(options.models, options.tasks):
                if task in NO_MODEL and model != options.models[0]:
                    continue
                load = os.getloadavg()[0]
                found = in_child(partial(TASKS[task], data, folder / model), options.threads)
                row = {
                    "task": task,
                    "model": "" if task in NO_MODEL else model,
                    "n_series": n_series,
                    "steps": options.steps,
                    "file_mib": data.stat().st_size / 2**20,
                    "series_per_s": n_series / found["seconds"],
                    **found,
                    "threads": options.threads,
                    "machine": f"{os.cpu_count()} cores, {platform.machine()}",
                    "load": load,
                }
                keep({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()})
                print(json.dumps(row), flush=True)
            data.unlink()


if __name__ == "__main__":
    main()
