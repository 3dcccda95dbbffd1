"""Reconstruction error of unseen series by the size of the code, compared with PCA.

    python benchmarks/reduction/run.py [--sets ...] [--sizes 2 4 8 16 20 auto] [--seeds 1]

Fitted on the train file, scored on the test file, every series z-normalised beforehand for all
methods alike: level and spread are 0 and 1, so nobody has to store them. A row of results for each;
what is there already is not run again. Afterwards RESULTS.md and docs/pictures/reduction.png are
written from all rows.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "quality"))

import rows  # noqa: E402
import summary  # noqa: E402
from panels import DEMAND, load  # noqa: E402
from sets import OLD as SETS  # noqa: E402
from sklearn.decomposition import PCA  # noqa: E402

from vrae import VRAE  # noqa: E402

KEY = ("set", "size", "method", "seed")


def pca_error(X: np.ndarray, new: np.ndarray, size: int) -> float:
    """Return the mean squared error of PCA, with at most as many components as there can be."""
    pca = PCA(min(size, len(X) - 1, X.shape[1])).fit(X)
    return float(((pca.inverse_transform(pca.transform(new)) - new) ** 2).mean())


def axes_error(model: VRAE, new: np.ndarray) -> float:
    """Return the error of the linear path alone."""
    x = torch.from_numpy(new.astype(np.float32))[:, :, None]
    path = model.network_.linear
    with torch.inference_mode():
        return float((path.decode(path.encode(x, torch.ones_like(x)), x.shape[1]) - x).square().mean())


def measure(name: str, size: int | str, seed: int, folder: str | None) -> list[dict[str, Any]]:
    """Return the rows of one set, size and seed."""
    X, new = load(name, folder)
    shape = {"set": name, "n": len(X), "length": X.shape[1]}
    found = []

    def add(method: str, error: float, seconds: float, kept: int) -> None:
        row = {**shape, "size": size, "method": method, "seed": seed, "kept": kept}
        found.append({**row, "error": error, "seconds": round(seconds, 2)})

    started = time.process_time()
    model = VRAE.for_reduction(latent_size=size, random_state=seed, device="cpu").fit(X)
    error = float(((model.reconstruct(new) - new) ** 2).mean())
    kept = model.network_.config.latent_size
    add("VRAE", error, time.process_time() - started, kept)
    if seed == 0:
        add("axes alone", axes_error(model, new), 0.0, kept)
        for more in (0, 2):
            started = time.process_time()
            error = pca_error(X, new, kept + more)
            add("PCA" if not more else "PCA + 2", error, time.process_time() - started, kept + more)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=[*SETS, *DEMAND])
    parser.add_argument("--sizes", nargs="+", default=["16", "20", "8", "4", "2", "auto"])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--data", help="folder with ucr/NAME and demand/; default: VRAE_DATA")
    parser.add_argument("--out", type=Path, default=HERE / "results.jsonl")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    done = rows.keys(rows.read(options.out), KEY)
    for seed, size, name in itertools.product(range(options.seeds), options.sizes, options.sets):
        wanted = size if size == "auto" else int(size)
        if (name, wanted, "VRAE", seed) in done:
            continue
        found = measure(name, wanted, seed, options.data)
        for row in found:
            if tuple(row[name] for name in KEY) not in done:
                rows.append(options.out, row)
        errors = {row["method"]: row["error"] for row in found}
        print(f"{name:28} {size:>4} seed {seed}  " + "  ".join(f"{m} {e:.5f}" for m, e in errors.items()), flush=True)
    summary.write(rows.read(options.out), HERE / "RESULTS.md")


if __name__ == "__main__":
    main()
