"""Wall time of `vrae --help` and `import vrae` compared with an empty Python process.

python benchmarks/speed/startup.py [--rounds 7]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import vrae": [sys.executable, "-c", "import vrae"],
    "vrae --help": [sys.executable, "-m", "vrae", "--help"],
}


def seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


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


if __name__ == "__main__":
    main()
