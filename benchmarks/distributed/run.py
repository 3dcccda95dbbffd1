"""What Ray costs on one machine: embed series from Parquet in this process, and by one and two workers of Ray.

    python benchmarks/distributed/run.py [--series 10000 100000] [--steps 64] [--workers 1 2]

Every line is a process of its own. Its peak of resident memory is that of the driver, which must not grow with the
number of series; the workers' memory is read from /proc while they work. Writes ``results.jsonl`` and ``RESULTS.md``
beside this file.
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
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
FILES = 16  # that the series are written to, each with one row group


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


def train(model: Path, data: Path) -> None:
    from vrae import VRAEClusterer, read_panel

    VRAEClusterer(2, random_state=0, max_epochs=3).fit(read_panel(data / "000.parquet", id="item")).save(model)


# -------------------------------------------------------------------- what is measured


def locally(model: Path, data: Path, out: Path) -> dict[str, float]:
    from vrae import load_model
    from vrae.data.stream import stream_panels
    from vrae.runs import write_assignments

    started, used = time.perf_counter(), time.process_time()
    write_assignments(load_model(model), stream_panels(data, id="item"), out / "assigned.parquet")
    return {"seconds": time.perf_counter() - started, "processor_seconds": time.process_time() - used}


def by_ray(model: Path, data: Path, out: Path, workers: int) -> dict[str, float]:
    import ray

    os.environ["RAY_BACKEND_LOG_LEVEL"] = "fatal"
    from vrae import load_model
    from vrae.distributed import Engine, assign

    before = time.perf_counter()
    ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level="error")
    started, used, first = time.perf_counter(), time.process_time(), []
    peak = Watch()
    assign(
        load_model(model),
        str(data),
        str(out / "assigned"),
        engine=Engine(workers=workers),
        tell=lambda line: first.append(time.perf_counter()),
        part_values=1 << 18,
        id="item",
    )
    ended = time.perf_counter()
    found = {"seconds": ended - started, "ray_start": started - before, **peak.stop()}
    found["processor_seconds"] = time.process_time() - used + found.pop("worker_processor_seconds")
    ray.shutdown()
    # From the first part on, all workers are at work: their rate, without what it takes to start them.
    steady = (len(first) - workers) / len(first) if len(first) > workers else 0.0
    return {**found, "steady_seconds": (ended - first[workers - 1]) / steady if steady else 0.0}


class Watch:
    """Look at Ray's workers twice a second: the most memory that one of them had, and the processor's time of all."""

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


# -------------------------------------------------------------------- and told

HEAD = """# Ray on one machine

`python benchmarks/distributed/run.py`: `assign` with the default network, from {files} Parquet files, {steps} steps a
series; {machine}. "local" is `vrae assign` in one thread. Every line is a process of its own; memory is the peak of the
driver's resident set, and the most that a worker was seen to have. Seconds are without starting Ray, but with starting
its workers; "steady" is the rate from when each worker has done its first part on, without what it takes to start them.
CPU seconds are those of driver and workers, with their start. The machine was shared with other work: load is
that of the minute in which a line began, and where it is more than the workers, CPU seconds tell more than seconds
of the clock.

| series | engine | workers | seconds | series/s | steady series/s | CPU seconds | driver, MiB | a worker, MiB | load |
|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|
"""
LINE = (
    "| {n_series:,} | {engine} | {workers} | {seconds:.1f} | {rate:,.0f} | {steady} | {processor_seconds:.1f} "
    "| {driver_mib:.0f} | {worker} | {load:.1f} |\n"
)


def tell(rows: list[dict[str, Any]]) -> None:
    """Write all that is known so far; what is said below the table is kept."""
    results = HERE / "RESULTS.md"
    notes = results.read_text().rpartition("|\n")[2] if results.exists() else ""
    (HERE / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = HEAD.format(files=FILES, steps=rows[0]["steps"], machine=f"{os.cpu_count()} cores")
    for row in rows:
        steady = f"{row['n_series'] / row['steady_seconds']:,.0f}" if row.get("steady_seconds") else ""
        worker = f"{row['worker_mib']:.0f}" if row.get("worker_mib") else ""
        text += LINE.format(**row, rate=row["n_series"] / row["seconds"], steady=steady, worker=worker)
    results.write_text(text + notes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--steps", type=int, default=64)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for n_series in options.series:
            data = folder / f"data{n_series}"
            # This process stays small: a child's peak begins with its parent's memory.
            in_child(partial(generate, data, n_series, options.steps))
            if not (folder / "model").exists():
                in_child(partial(train, folder / "model", data))
            for workers in (0, *options.workers):
                out = folder / f"out{n_series}-{workers}"
                out.mkdir()
                load = os.getloadavg()[0]
                work = partial(by_ray, workers=workers) if workers else locally
                found = in_child(partial(work, folder / "model", data, out))
                engine = "ray" if workers else "local"
                facts = {"n_series": n_series, "steps": options.steps, "engine": engine, "workers": workers or 1}
                rows.append({**facts, **{k: round(v, 3) for k, v in found.items()}, "load": load})
                print(json.dumps(rows[-1]), flush=True)
                tell(rows)


if __name__ == "__main__":
    main()
