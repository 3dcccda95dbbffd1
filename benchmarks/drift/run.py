"""False alarms and power of `VRAEClusterer.drift`, beside simple tests.

    python benchmarks/drift/run.py [--seeds 2]
    python benchmarks/drift/run.py --table

The first adds rows to results.jsonl, the second writes RESULTS.md. What is there already is not run
again. Each set is split at random in two: the clusterer is fitted to one half of at most 300
series, and the other half is the later table. "none": it is as it is. "new": 10 % are series of one
class that was taken out before. "gone": the series of the largest class are gone. "share": the
share of the largest class is 15 points more. "pairs": the same items in another window of time,
where it was drawn at random which window is the earlier one: nothing changed.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import chi2_contingency, ks_2samp, mannwhitneyu

HERE = Path(__file__).parent
sys.path += [str(HERE.parent / "quality"), str(HERE.parent / "forecast")]

import panels  # noqa: E402
import sets  # noqa: E402

from vrae import Panel, VRAEClusterer  # noqa: E402
from vrae.exceptions import VRAEWarning  # noqa: E402

RESULTS = HERE / "results.jsonl"
MOST = 600
UCR = [
    *("CBF", "Crop", "DistalPhalanxTW", "ECG200", "ECG5000", "FiftyWords", "GunPointAgeSpan", "ItalyPowerDemand"),
    *("MedicalImages", "MelbournePedestrian", "MiddlePhalanxTW", "MoteStrain", "OSULeaf", "Plane", "Strawberry"),
    *("SwedishLeaf", "SyntheticControl", "Trace", "TwoLeadECG", "TwoPatterns"),
]
DEMAND = sorted(panels.PANELS)
JOBS = [(name, change) for change in ("none", "new", "gone", "share") for name in UCR]
JOBS += [(name, change) for change in ("none", "pairs") for name in DEMAND]
METHODS = ("drift", "chi-square", "distance", "KS")
WORDS = {
    "drift": "`drift`",
    "chi-square": "chi-square on counts",
    "distance": "distance to the nearest centroid",
    "KS": "KS per PCA axis, Bonferroni",
}
ALPHA = 0.05


def series(name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Return series (n, t) and their classes, if there are any."""
    if name in panels.PANELS:
        X = panels.load(name)
        return X[(~np.isnan(X)).sum(axis=1) >= 30], None
    found = sets.load(name, "merged")
    return found.X, found.truth


def tables(name: str, change: str, rng: np.random.Generator) -> tuple[Panel, Panel] | None:
    """Return the table of the fit and the later one."""
    X, truth = series(name)
    order = rng.permutation(len(X))[:MOST]
    X, truth = X[order], None if truth is None else truth[order]
    half = len(X) // 2
    if change == "pairs":
        width = X.shape[1] * 3 // 4
        early, late = X[:, :width], X[:, -width:]
        kept = ((~np.isnan(early)).sum(axis=1) > 10) & ((~np.isnan(late)).sum(axis=1) > 10)
        swapped = rng.random(kept.sum()) < 0.5
        first = np.where(swapped[:, None], late[kept], early[kept])
        second = np.where(swapped[:, None], early[kept], late[kept])
        ids = [f"item{i}" for i in range(len(first))]
        return Panel.from_arrays(first, ids=ids), Panel.from_arrays(second, ids=ids)
    A, B = np.arange(half), np.arange(half, 2 * half)
    if change != "none":
        assert truth is not None
        kinds, counts = np.unique(truth, return_counts=True)
        largest, other = kinds[counts.argmax()], kinds[counts.argmin()]
        if change == "new":
            if len(kinds) < 3:
                return None
            A, news, old = A[truth[A] != other], np.flatnonzero(truth == other), B[truth[B] != other]
            B = np.concatenate([old, news[: max(1, round(len(old) / 9))]])
            if len(B) - len(old) < 5:
                return None
        elif change == "gone":
            B = B[truth[B] != largest]
        else:
            own, rest = B[truth[B] == largest], B[truth[B] != largest]
            share = min(len(own) / len(B) + 0.15, 0.95)
            B = np.concatenate([own, rest[: round(len(own) * (1 - share) / share)]])
    names = np.arange(len(X)).astype(str)
    return Panel.from_arrays(X[A], ids=names[A]), Panel.from_arrays(X[B], ids=names[B])


def p_values(fitted: VRAEClusterer, later: Panel) -> dict[str, float]:
    """Return the p-values of the simple tests."""
    Z, P, _ = fitted.embed_and_assign(*fitted.model_.open(later))
    before, now = fitted.labels_, np.where(P.any(axis=1), P.argmax(axis=1), -1)
    k = fitted.n_clusters_
    counts = np.array([np.bincount(labels[labels >= 0], minlength=k) for labels in (before, now)])
    counts = counts[:, counts.any(axis=0)]
    space = [fitted.space_(vectors.astype(np.float64)) for vectors in (fitted.embedding_, Z)]
    means = np.stack([space[0][before == c].mean(axis=0) for c in range(k)])
    near = [np.linalg.norm(part[:, None] - means, axis=2).min(axis=1) for part in space]
    center = fitted.embedding_.mean(axis=0)
    axes = np.linalg.svd(fitted.embedding_ - center, full_matrices=False)[2][:8]
    ks = min(ks_2samp((fitted.embedding_ - center) @ axis, (Z - center) @ axis).pvalue for axis in axes)
    return {
        "chi-square": float(chi2_contingency(counts).pvalue) if counts.shape[1] > 1 else 1.0,
        "distance": float(mannwhitneyu(*near).pvalue),
        "KS": float(min(1.0, ks * len(axes))),
    }


def run(name: str, change: str, seed: int) -> dict[str, Any] | None:
    found = tables(name, change, np.random.default_rng(seed))
    if found is None:
        return None
    fitted = VRAEClusterer(random_state=seed).fit(found[0])
    drift = fitted.drift(found[1], alpha=ALPHA)
    flags = {method: p <= ALPHA for method, p in p_values(fitted, found[1]).items()}
    row = {"set": name, "change": change, "seed": seed, "n": len(found[1]), "drift": drift.changed, **flags}
    return row | {
        "unlike": drift.n_unlike,
        "unlike_found": drift.changed and any("unlike" in text for text in drift.findings),
        "effect": round(drift.pattern_effect, 4),
    }


def table() -> str:
    rows = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    halves: dict[str, Callable[[str], bool]] = {
        "even": lambda name: (UCR if name in UCR else DEMAND).index(name) % 2 == 0,
        "odd": lambda name: (UCR if name in UCR else DEMAND).index(name) % 2 == 1,
    }
    lines = [
        "# What changed since a fit: results",
        "",
        "*Written by `python benchmarks/drift/run.py --table`; see the head of `run.py`, and [LOG.md](LOG.md) for what",
        "was tried. The fraction of trials in which something was found at 5 %, on sets in even and odd places of",
        "their sorted names. In the rows of none, nothing changed: about 5 % or less is right.*",
        "",
        "| change | half | trials | " + " | ".join(WORDS.values()) + " |",
        "|---|---|---|" + "---|" * len(METHODS),
    ]
    said = {
        "none": "none: random halves",
        "pairs": "none: same items, windows swapped",
        "share": "share + 15 points",
        "gone": "largest kind gone",
        "new": "new kind, 10 %",
    }
    for change, words in said.items():
        for half, holds in halves.items():
            own = [row for row in rows if row["change"] == change and holds(row["set"])]
            if own:
                cells = " | ".join(f"{100 * np.mean([row[m] for row in own]):.0f} %" for m in METHODS)
                lines.append(f"| {words} | {half} | {len(own)} | {cells} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.table:
        (HERE / "RESULTS.md").write_text(table())
        return
    warnings.simplefilter("ignore", VRAEWarning)
    done = [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    known = {(row["set"], row["change"], row["seed"]) for row in done}
    for seed in range(options.seeds):
        for name, change in JOBS:
            if (name, change, seed) not in known and (row := run(name, change, seed)) is not None:
                with RESULTS.open("a") as file:
                    file.write(
                        json.dumps(
                            {
                                key: value.item() if isinstance(value, np.generic) else value
                                for key, value in row.items()
                            }
                        )
                        + "\n"
                    )


if __name__ == "__main__":
    main()
