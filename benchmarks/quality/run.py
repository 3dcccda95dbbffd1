"""Run clustering methods on data sets. Results that are there already are not run again.

    python benchmarks/quality/run.py [--sets ...] [--methods ...] [--protocol merged test other]
        [--seeds 5] [--limit 600]

Every method runs on one thread of one process. The number of clusters is known to all of them;
labels are used only to score. A run that takes longer than --limit seconds gets a row without
figures and the reason. Results of an older version of the code stay until their lines are removed
from the file. The labels found in merged sets go to labels.jsonl next to it. Needs the extra
"benchmark".
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
from importlib.metadata import version
from pathlib import Path

import rows
from methods import DEFAULTS, LIBRARY, METHODS
from sets import PROTOCOLS
from worker import Worker

import vrae

KEY = ("set", "protocol", "method", "seed")


def library_of(method: str) -> str:
    """Return a method's library and version; for vrae also a digest of the code."""
    library = LIBRARY.get(method, "vrae")
    if library != "vrae":
        return f"{library} {version(library)}"
    digest = hashlib.sha1(usedforsecurity=False)
    for room in ("nn", "train", "estimators"):
        for file in sorted((Path(vrae.__file__).parent / room).glob("*.py")):
            digest.update(file.read_bytes())
    return f"vrae {vrae.__version__} {digest.hexdigest()[:8]}"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", help="default: all of the protocol")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), metavar="METHOD", help="; ".join(METHODS))
    parser.add_argument("--protocol", nargs="+", choices=PROTOCOLS, default=["merged"])
    parser.add_argument("--seeds", type=int, default=5, help="0, 1, ... up to this number")
    parser.add_argument("--limit", type=float, default=600, help="seconds that one run may take")
    parser.add_argument("--data", help="folder with ucr/NAME and uea/NAME; default: VRAE_DATA, else downloaded")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results.jsonl")
    return parser.parse_args()


def main() -> None:
    options = parse()
    done = rows.keys(rows.read(options.out), KEY)
    worker = Worker(options.data)
    # Seeds in the outer loop: a run that is stopped early has covered all sets.
    for seed, protocol in itertools.product(range(options.seeds), options.protocol):
        names, methods = options.sets or PROTOCOLS[protocol], options.methods or DEFAULTS[protocol]
        for name, method in itertools.product(names, methods):
            job = (name, protocol, method, seed)
            if job in done:
                continue
            result = worker.run(job, options.limit)
            labels = result.pop("labels", None)
            if labels is not None:
                rows.append(
                    options.out.with_name("labels.jsonl"), {**dict(zip(KEY, job, strict=True)), "labels": labels}
                )
            row = {**dict(zip(KEY, job, strict=True)), **result, "version": library_of(method)}
            rows.append(options.out, row)
            score = result.get("reason") or f"ARI {result['ari']:.3f}  NMI {result['nmi']:.3f}"
            print(f"{name:28} {protocol:6} {method:23} {seed}  {score}  {result['seconds'] or 0:.1f} s", flush=True)
    worker.stop()


if __name__ == "__main__":
    main()
