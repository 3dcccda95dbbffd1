"""Measure the cost of Ray on one machine, compared with this process alone.

    python benchmarks/distributed/run.py [--most 1000000] [--again]

Each measurement runs in its own process. Its peak resident memory is that of the driver, which must
not grow with the number of series. The memory of workers is read from /proc while they run. The
tables that Ray writes are compared row by row with those of a single process. Measurements in
``results.jsonl`` are not repeated, unless with ``--again``. Writes ``results.jsonl`` and
``RESULTS.md`` next to this file.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
RUNS = (  # series, steps, task, numbers of Ray workers
    (10_000, 64, "assign", (1, 2)),
    (100_000, 64, "assign", (1, 2)),
    (100_000, 64, "embed", (2,)),
    (100_000, 64, "anomalies", (2,)),
    (50_000, 156, "assign", (1, 2)),
    (1_000_000, 64, "assign", (2,)),
)
_STEADY = 5  # seconds; rates over less are not shown
FILES = 16  # number of files with series, each with one row group


def generate(folder: Path, n_series: int, steps: int) -> None:
    """Write noisy waves: ``item`` and ``values``, a list column."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir()
    rng = np.random.default_rng(0)
    for number, rows in enumerate(np.array_split(np.arange(n_series), FILES)):
        phase, pace = rng.random((2, len(rows), 1))
        waves = np.sin(2 * np.pi * ((2 + 6 * (pace > 0.5)) * np.arange(steps) / steps + phase))
        values = (100 + 20 * waves + 6 * rng.standard_normal(waves.shape)).astype(np.float32)
        lists = pa.ListArray.from_arrays(np.arange(len(rows) + 1, dtype=np.int32) * steps, pa.array(values.ravel()))
        names = pa.array([f"item{i:09}" for i in rows])
        pq.write_table(pa.table({"item": names, "values": lists}), folder / f"{number:03}.parquet")


def difference(local: Path, distributed: Path) -> dict[str, float]:
    """Return the largest difference between two tables, which may differ by rounding only."""
    import pyarrow.parquet as pq

    a, b = pq.read_table(local), pq.read_table(distributed)
    assert a.num_rows == b.num_rows
    assert a.column_names == b.column_names
    largest = 0.0
    for name in a.column_names:
        if a[name].type in ("float", "double"):
            x, y = a[name].to_numpy(), b[name].to_numpy()
            assert (np.isnan(x) == np.isnan(y)).all(), name
            largest = max(largest, float(np.nanmax(np.abs(x - y))))
        else:
            assert a[name].equals(b[name].cast(a[name].type)), name
    return {"difference": largest, "compared": a.num_rows}


def train(models: Path, data: Path) -> None:
    from vrae import VRAE, VRAEAnomalyDetector, VRAEClusterer, read_panel

    panel = read_panel(data / "000.parquet", id="item")
    clusterer = VRAEClusterer(2, model=VRAE(max_epochs=3), random_state=0).fit(panel)
    clusterer.save(models / "assign")
    clusterer.save(models / "embed")
    VRAEAnomalyDetector(0.05, model=VRAE(beta=0.3, learning_rate=5e-3, max_epochs=3), random_state=0).fit(panel).save(
        models / "anomalies"
    )


# -------------------------------------------------------------------- measurements


def locally(task: str, models: Path, data: Path, out: Path) -> dict[str, float]:
    from vrae import load_model, runs
    from vrae.data.stream import stream_panels

    anomalies = partial(runs.write_anomalies, tell=print)
    write = {"assign": runs.write_assignments, "embed": runs.write_embeddings, "anomalies": anomalies}[task]
    started, used = time.perf_counter(), time.process_time()
    model = load_model(models / task)
    write(model.model_ if task == "embed" else model, stream_panels(data, id="item"), out / "table.parquet")
    return {"seconds": time.perf_counter() - started, "processor_seconds": time.process_time() - used}


def by_ray(task: str, models: Path, data: Path, out: Path, workers: int) -> dict[str, float]:
    import ray

    os.environ["RAY_BACKEND_LOG_LEVEL"] = "fatal"
    # By default, Ray's workers have low priority.
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112
    from vrae import distributed, load_model

    run = {"assign": distributed.assign, "embed": distributed.embed, "anomalies": distributed.find_anomalies}[task]
    before = time.perf_counter()
    ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level="error")
    started, used, first = time.perf_counter(), time.process_time(), []
    peak = Watch()
    run(
        load_model(models / task),
        str(data),
        str(out / "table.parquet"),
        engine=distributed.EngineOptions(workers=workers),
        log=lambda line: first.append(time.perf_counter()),
        part_values=1 << 18,
        id="item",
    )
    ended = time.perf_counter()
    found = {"seconds": ended - started, "ray_start": started - before, **peak.stop()}
    found["processor_seconds"] = time.process_time() - used + found.pop("worker_processor_seconds")
    ray.shutdown()
    # The rate without the time to start workers: from when each has finished its first part.
    steady = (len(first) - workers) / len(first) if len(first) > workers else 0.0
    return {**found, "steady_seconds": (ended - first[workers - 1]) / steady if steady else 0.0}


class Watch:
    """Watch Ray's workers: the peak memory of the largest one, and the CPU time of all."""

    def __init__(self) -> None:
        self._peak, self._ticks, self._stop = 0.0, dict[str, int](), threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._stop.wait(0.5):
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    if (process / "cmdline").read_text().startswith("ray::MapWorker"):
                        pages = int((process / "statm").read_text().split()[1])
                        self._peak = max(self._peak, pages * os.sysconf("SC_PAGE_SIZE") / 2**20)
                        times = (process / "stat").read_text().rpartition(")")[2].split()
                        self._ticks[process.name] = int(times[11]) + int(times[12])
                except (OSError, IndexError):
                    continue

    def stop(self) -> dict[str, float]:
        self._stop.set()
        self._thread.join()
        seconds = sum(self._ticks.values()) / os.sysconf("SC_CLK_TCK")
        return {"worker_mib": self._peak, "worker_processor_seconds": seconds}


def child(work: Any, pipe: Any) -> None:
    warnings.simplefilter("ignore")
    found = work()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    pipe.send({**(found or {}), "driver_mib": peak / 2**20})


def in_child(work: Any) -> dict[str, float]:
    mine, theirs = (context := get_context("spawn")).Pipe()
    process = context.Process(target=child, args=(work, theirs))
    process.start()
    theirs.close()
    found: dict[str, float] = mine.recv()
    process.join()
    return found


# -------------------------------------------------------------------- results

HEAD = """# Ray on one machine

`python benchmarks/distributed/run.py`: the default network, {files} Parquet files, {machine}.
"local" is `vrae assign`, `vrae embed` or `vrae anomalies` in one thread. Each measurement runs in
its own process. Memory is the peak resident set of the driver, and of the largest worker. Seconds
include starting the workers, but not Ray itself. "Steady" is the rate from when each worker has
finished its first part; it is left out below five seconds. CPU seconds are those of driver and
workers, including their start. Other work ran on the machine; "load" is the load average at the
start. Where load and workers exceed the number of cores, compare CPU seconds, not seconds.
"Difference" is the largest between a number of Ray's table and of the local one, over all rows. Ids,
clusters and order are the same in all rows, or the command fails.

| {columns} |
|{rule}
"""
COLUMNS = (
    *("task", "series", "steps", "engine", "workers", "seconds", "series/s", "steady series/s", "CPU seconds"),
    *("CPU ms per series", "driver, MiB", "largest worker, MiB", "load", "difference"),
)
LINE = (
    "| {task} | {n_series:,} | {steps} | {engine} | {workers} | {seconds:.1f} | {rate:,.0f} | {steady} "
    "| {processor_seconds:.1f} | {each:.2f} | {driver_mib:.0f} | {worker} | {load:.1f} | {largest} |\n"
)


def write_results(rows: list[dict[str, Any]]) -> None:
    """Write all measurements so far. Text below the table is kept."""
    results = HERE / "RESULTS.md"
    notes = results.read_text().rpartition("|\n")[2] if results.exists() else ""
    rows.sort(key=lambda row: [row[name] for name in ("steps", "n_series", "task", "engine", "workers")])
    (HERE / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    rule = "".join("---|" if name in ("task", "engine") else "---:|" for name in COLUMNS)
    text = HEAD.format(files=FILES, machine=f"{os.cpu_count()} cores", columns=" | ".join(COLUMNS), rule=rule)
    for row in rows:
        steady = f"{row['n_series'] / row['steady_seconds']:,.0f}" if row.get("steady_seconds", 0) > _STEADY else ""
        worker = f"{row['worker_mib']:.0f}" if row.get("worker_mib") else ""
        largest = f"{row['difference']:.1g}" if "difference" in row else ""
        each = 1000 * row["processor_seconds"] / row["n_series"]
        rate = row["n_series"] / row["seconds"]
        text += LINE.format(**row, rate=rate, steady=steady, worker=worker, largest=largest, each=each)
    results.write_text(text + notes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=100_000, help="leave out measurements with more series")
    parser.add_argument("--steps", type=int, help="leave out measurements with other lengths")
    parser.add_argument("--again", action="store_true", help="repeat measurements")
    options = parser.parse_args()
    rows = known()
    with tempfile.TemporaryDirectory() as name:
        for n_series, steps, task, workers in RUNS:
            facts = {"task": task, "n_series": n_series, "steps": steps}
            lines = [("local", 1), *(("ray", n) for n in workers)]
            have = [(row["engine"], row["workers"]) for row in rows if facts.items() <= row.items()]
            missing = lines if options.again else [line for line in lines if line not in have]
            if not missing or n_series > options.most or options.steps not in (None, steps):
                continue
            for row in measure(Path(name), facts, lines, missing):
                rows = [old for old in rows if not same(old, row)] + [row]
                print(json.dumps(row), flush=True)
                write_results(rows)
    write_results(rows)


def known() -> list[dict[str, Any]]:
    """Return the measurements in ``results.jsonl``."""
    file = HERE / "results.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return all(a[name] == b[name] for name in ("task", "n_series", "steps", "engine", "workers"))


def measure(
    folder: Path, facts: dict[str, Any], lines: list[tuple[str, int]], missing: list[tuple[str, int]]
) -> Iterator[dict[str, Any]]:
    """Yield missing measurements. The local one is always repeated, for comparison."""
    task, n_series, steps = facts.values()
    data, models = folder / f"data{n_series}-{steps}", folder / f"models-{steps}"
    # Keep this process small: the peak of a child starts at the memory of its parent.
    if not data.exists():
        in_child(partial(generate, data, n_series, steps))
    if not models.exists():
        in_child(partial(train, models, data))
    size = sum(file.stat().st_size for file in data.iterdir()) / 2**20
    for engine, workers in lines:
        if (engine, workers) not in missing and engine != "local":
            continue
        out = folder / f"{task}{n_series}-{steps}-{engine}-{workers}"
        out.mkdir()
        load = os.getloadavg()[0]
        work = partial(by_ray, workers=workers) if engine == "ray" else locally
        found = in_child(partial(work, task, models, data, out))
        if engine == "ray":
            local = folder / f"{task}{n_series}-{steps}-local-1"
            compared = in_child(partial(difference, local / "table.parquet", out / "table.parquet"))
            found |= {name: compared[name] for name in ("difference", "compared")}
        if (engine, workers) in missing:
            numbers = {name: round(value, 9) for name, value in found.items()}
            yield {**facts, "file_mib": size, "engine": engine, "workers": workers, **numbers, "load": round(load, 2)}


if __name__ == "__main__":
    main()
