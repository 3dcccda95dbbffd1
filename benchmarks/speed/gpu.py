"""Compare a GPU with the CPU: pattern statistics, embedding and training, in series per second.

    python benchmarks/speed/gpu.py [--device cuda] [--shrink 1] [--out gpu.jsonl]

One JSON record per line. On the GPU pattern statistics are a torch convolution, on the CPU the
compiled loop; ``statistics differ by`` is the largest difference between both, of proportions from
0 to 1, and ``latent vectors differ by`` that of latent vectors. Wall seconds, after a warm-up, best
of three. Larger batches give a GPU more to do at once. Takes a few minutes. ``--device cpu --shrink
20`` checks the script without a GPU.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from embedding import walks

from vrae import VRAE, Panel
from vrae.data import batching
from vrae.data.batching import collate, inference_batches
from vrae.exceptions import VRAEWarning
from vrae.nn import ppv
from vrae.train import inference
from vrae.train.inference import Inference

# Series, steps and channels of the panels that are embedded.
SHAPES = [(20_000, 140, 1), (5_000, 140, 4), (2_000, 1000, 1), (100, 10_000, 1)]
TRAINED = (4_000, 140, 1)
EMBEDDED_TOGETHER = [128, 1024, 8192]  # 128 is the size in use
TRAINED_TOGETHER = [64, 512]
PRECISIONS = ["float32", "bfloat16"]


class Record:
    """Print records, and keep them in a file."""

    def __init__(self, out: Path | None) -> None:
        self.out, self.started = out, time.perf_counter()

    def __call__(self, **facts: object) -> None:
        line = json.dumps({**facts, "elapsed_s": round(time.perf_counter() - self.started)})
        print(line, flush=True)
        if self.out:
            with self.out.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


def seconds(work: Callable[[], object], device: torch.device, rounds: int = 3) -> float:
    """Return the best wall time, after a warm-up."""
    best = np.inf
    for turn in range(rounds + 1):
        wait(device)
        started = time.perf_counter()
        work()
        wait(device)
        if turn:
            best = min(best, time.perf_counter() - started)
    return best


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def fit(panel: Panel, **options: object) -> VRAE:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VRAEWarning)
        return VRAE(random_state=0, **options).fit(panel)


def at_size(batch_size: int) -> None:
    """Let batches of inference hold this many series, and as many steps as on the CPU for each."""
    inference.BATCH_SIZE = batch_size
    batching._MAX_STEPS = (1 << 18) * batch_size // 128


def compare_statistics(panel: Panel, model: VRAE, device: torch.device, record: Record) -> None:
    """Compare the compiled loop on the CPU with the convolution, there and on the device."""
    statistics, part = model.network_.statistics, inference_batches(panel.lengths, np.arange(len(panel)), 512)[0]
    batch = collate(panel, part, model.scaler_, torch.device("cpu"))
    arguments = batch.values.transpose(1, 2).contiguous(), batch.lengths, statistics.kernels[0]
    rest = statistics.dilations, statistics.thresholds[0], statistics.circular
    there = [tensor.to(device) for tensor in arguments], [rest[0], rest[1].to(device), rest[2]]
    few = [tensor[:8] for tensor in arguments[:2]]  # a convolution is slow on a CPU
    cpu = torch.device("cpu")
    ways = {
        "compiled loop, CPU": (lambda: ppv.proportions(*arguments, *rest), cpu, len(part)),
        "convolution, CPU": (lambda: ppv.by_convolution(*few, arguments[2], *rest), cpu, len(few[0])),
        f"convolution, {device}": (lambda: ppv.by_convolution(*there[0], *there[1]), device, len(part)),
    }
    if device == cpu:
        ways.popitem()
    with torch.inference_mode():
        loop = ppv.proportions(*arguments, *rest)
        for name, (work, where, n) in ways.items():
            record(
                what="statistics",
                how=name,
                **shape(panel),
                series_per_s=round(n / seconds(work, where)),
                **{"statistics differ by": float((work().cpu() - loop[:n]).abs().max())},
            )


def compare_embedding(panel: Panel, model: VRAE, device: torch.device, record: Record) -> None:
    everything = np.arange(len(panel))
    at_size(128)
    on_cpu = Inference(model.network_, model.scaler_)
    expected = on_cpu.embed(panel, everything)
    spent = seconds(lambda: on_cpu.embed(panel, everything), torch.device("cpu"))
    record(what="embedding", device="cpu", batch=128, **shape(panel), series_per_s=round(len(panel) / spent))
    network = copy.deepcopy(model.network_).to(device)
    for precision in PRECISIONS:
        for size in EMBEDDED_TOGETHER:
            at_size(size)
            there = Inference(network, model.scaler_, precision)
            spent = seconds(lambda there=there: there.embed(panel, everything), device)
            record(
                what="embedding",
                device=str(device),
                precision=precision,
                batch=size,
                **shape(panel),
                series_per_s=round(len(panel) / spent),
                **{"latent vectors differ by": float(np.abs(there.embed(panel, everything) - expected).max())},
            )
    at_size(128)


def compare_training(panel: Panel, device: torch.device, record: Record) -> None:
    on_gpu = device.type != "cpu"
    for where, precision in [("cpu", "float32"), *((str(device), p) for p in PRECISIONS if on_gpu or p == "float32")]:
        for size in TRAINED_TOGETHER:
            started = time.perf_counter()
            model = fit(panel, device=where, precision=precision, batch_size=size, max_epochs=4)
            spent = min(float(epoch["seconds"]) for epoch in model.history_)
            record(
                what="training",
                device=where,
                precision=precision,
                batch=size,
                **shape(panel),
                series_per_s=round(len(panel) / spent),
                fit_s=round(time.perf_counter() - started, 2),
                last_loss=round(float(model.history_[-1]["loss"]), 3),
            )


def shape(panel: Panel) -> dict[str, int]:
    return {"n": len(panel), "steps": int(panel.lengths.max()), "channels": panel.n_channels}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--shrink", type=int, default=1, help="Divide the numbers of series by this")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    device, record = torch.device(options.device), Record(options.out)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    record(what="machine", device=name, torch=torch.__version__, threads=torch.get_num_threads())
    for n, steps, channels in SHAPES:
        panel = walks(max(16, n // options.shrink), steps, channels)
        model = fit(panel.select(np.arange(16)), device="cpu", max_epochs=1)
        compare_statistics(panel, model, device, record)
        compare_embedding(panel, model, device, record)
    n, steps, channels = TRAINED
    compare_training(walks(n // options.shrink, steps, channels), device, record)


if __name__ == "__main__":
    main()
