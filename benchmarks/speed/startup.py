"""Time until something happens: `import vrae`, `vrae --help` and the first fit of a process.

    python benchmarks/speed/startup.py [--rounds 7]

Wall seconds of the first two beside an empty Python process. CPU seconds of a first fit beside the
same fit again in the same process: the difference is what a process pays once. ``without cache``
is the very first fit after an installation, before numba has kept any compiled code.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import vrae": [sys.executable, "-c", "import vrae"],
    "vrae --help": [sys.executable, "-m", "vrae", "--help"],
}

FITS = """
import json, sys, time
import numpy as np
from vrae import VRAE
X = np.random.default_rng(0).standard_normal((100, 140)).cumsum(1)
seconds = [time.process_time()]
for _ in range(3):
    VRAE(random_state=0, device="cpu").fit(X)
    seconds.append(time.process_time())
print(json.dumps([seconds[0], *np.diff(seconds), "torch._dynamo" in sys.modules]))
"""


def seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def first_fits(rounds: int, cache: bool) -> dict[str, object]:
    """Return medians of the CPU seconds of imports, of the first fit and of the third."""
    found = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as empty:
            environment = dict(os.environ) if cache else {**os.environ, "NUMBA_CACHE_DIR": empty}
            command = [sys.executable, "-W", "ignore", "-c", FITS]
            output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
            found.append(json.loads(output))
    imports, first, _, third, compiler = (statistics.median(column) for column in zip(*found, strict=True))
    return {
        "benchmark": "first fit" if cache else "first fit, without cache",
        "imports_cpu_s": round(imports, 2),
        "first_cpu_s": round(first, 2),
        "third_cpu_s": round(third, 2),
        "once_cpu_s": round(first - third, 2),
        "imports_torch_dynamo": bool(compiler),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    for command in COMMANDS.values():
        seconds(command)  # warm up
    times = {name: [seconds(command) for _ in range(rounds)] for name, command in COMMANDS.items()}
    empty = statistics.median(times["python -c pass"])
    for name, runs in times.items():
        median = statistics.median(runs)
        print(json.dumps({"benchmark": name, "wall_s": round(median, 3), "ratio_to_empty": round(median / empty, 1)}))
    for cache in (True, False):
        print(json.dumps(first_fits(rounds if cache else 2, cache)), flush=True)


if __name__ == "__main__":
    main()
