"""Measure the series embedded per second as their number, length and channels grow.

    python benchmarks/speed/embedding.py [--n ...] [--lengths ...] [--channels ...]

Compared with the encoder's recurrent layers alone, on the same batches, padded and folded
beforehand, in the same run. CPU seconds, so that other work on the machine hardly matters.
``exponent`` is the slope of log time over log n.
"""

from __future__ import annotations

import argparse
import json
import math
import time
import warnings

import numpy as np
import torch

from vrae import VRAE, Panel
from vrae.data.batching import collate, inference_batches
from vrae.exceptions import VRAEWarning
from vrae.nn.encoder import fold


def walks(n: int, length: int, channels: int) -> Panel:
    """Draw random walks."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((n, length, channels), np.float32).cumsum(axis=1)
    return Panel.from_arrays(values.transpose(0, 2, 1))


def fitted(panel: Panel, **options: float) -> VRAE:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VRAEWarning)
        return VRAE(max_epochs=1, random_state=0, device="cpu", **options).fit(panel)


def embed_seconds(model: VRAE, panel: Panel) -> float:
    started = time.process_time()
    model.transform(panel)
    return time.process_time() - started


def bare_seconds(model: VRAE, panel: Panel) -> float:
    """Return the seconds of torch's recurrent layers, as large as the encoder's, alone."""
    network, indices = model.network_, np.arange(len(panel))
    width = network.encoder.rnn.forwards[0].input_size
    bare = torch.nn.LSTM(width, network.config.hidden_size, batch_first=True, bidirectional=True)
    total = 0.0
    for part in inference_batches(panel.lengths, indices, 128):
        batch = collate(panel, part, model.scaler_, torch.device("cpu"))
        p = network.config.patch_size
        x = fold(batch.values, p)
        if network.config.mask_input:
            x = torch.cat([x, fold(batch.mask, p)], dim=2)
        with torch.inference_mode():
            started = time.process_time()
            bare(x)
            total += time.process_time() - started
    return total


def measure(what: str, panel: Panel, models: dict[str, VRAE]) -> dict[str, float]:
    n, seconds = len(panel), {}
    row: dict[str, object] = {"what": what, "n": n, "length": int(panel.lengths.max()), "channels": panel.n_channels}
    for name, model in models.items():
        seconds[name] = min(embed_seconds(model, panel) for _ in range(2))
        bare = min(bare_seconds(model, panel) for _ in range(2))
        row |= {
            f"{name}, series/s": round(n / seconds[name]),
            f"{name}, share of bare RNN": round(bare / seconds[name], 2),
        }
    print(json.dumps(row), flush=True)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, nargs="+", default=[500, 5000, 50_000])
    parser.add_argument("--lengths", type=int, nargs="+", default=[100, 1000, 10_000, 100_000])
    parser.add_argument("--channels", type=int, nargs="+", default=[1, 4, 16, 64])
    options = parser.parse_args()
    torch.set_num_threads(1)
    kinds = {"default": {}, "no patterns": {"pattern_weight": 0}}
    train = walks(300, 140, 1)
    models = {name: fitted(train, **kind) for name, kind in kinds.items()}
    found = [measure("number", walks(n, 140, 1), models) for n in options.n]
    for name in models:
        times = [seconds[name] for seconds in found]
        slope = np.polyfit(np.log(options.n), np.log(times), 1)[0] if len(times) > 1 else math.nan
        print(json.dumps({"what": "number", "model": name, "exponent": round(float(slope), 3)}), flush=True)
    for length in options.lengths:
        panel = walks(max(2, min(2000, 2_000_000 // length)), length, 1)
        measure("length", panel, {name: fitted(panel.select(np.arange(2)), **kind) for name, kind in kinds.items()})
    for channels in options.channels:
        panel = walks(max(20, 1000 // channels), 140, channels)
        measure("channels", panel, {name: fitted(panel.select(np.arange(10)), **kind) for name, kind in kinds.items()})


if __name__ == "__main__":
    main()
