"""Fit and embed a few very long series together with a thousand short ones.

    python benchmarks/speed/long_series.py [--long 6] [--steps 1000000] [--short 1000]

Random walks, short ones of 50 to 200 steps. Prints wall and CPU seconds, and the peak memory of the
process with the series themselves.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
import warnings
from collections.abc import Callable

import numpy as np

from vrae import VRAE
from vrae.exceptions import VRAEWarning


def measured(what: str, work: Callable[[], object]) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    facts = {"what": what, "wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        json.dumps(
            {name: f if name == "what" else round(f, 1) for name, f in facts.items()} | {"peak_mib": round(peak)}
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--long", type=int, default=6)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--short", type=int, default=1000)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    lengths = [*[options.steps] * options.long, *rng.integers(50, 200, options.short).tolist()]
    series = [rng.standard_normal(length).cumsum() for length in lengths]
    model = VRAE(random_state=0, device="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VRAEWarning)
        measured("fit", lambda: model.fit(series))
    measured("transform", lambda: model.transform(series))


if __name__ == "__main__":
    main()
