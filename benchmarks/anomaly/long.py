"""Long series: are anomalous stretches found?

    python benchmarks/anomaly/long.py FOLDER            writes long.jsonl and LONG.md
    python benchmarks/anomaly/long.py FOLDER --table    writes LONG.md from the rows that are there

FOLDER holds ucr/ and anomaly/ (see DATA in CONTRIBUTING.md). `planted.py` says how the series are
made. All methods are fitted to the series that they judge, without labels, with the window that
`window="auto"` chooses. Their windows have the same stride, a sixteenth of the window (the matrix
profile: every step), and a step has the mean of the windows that contain it. Gaps are bridged by
straight lines.

AUC: of the steps, with the labels of the planted stretches. Wide: the same with stretches widened
to a tenth of the series together, as NAB labels. Found: the highest step is in a wide stretch.
Halves: bases at even and at odd positions of their sorted names. The settings were chosen with both
in view. LONG_LOG.md says what choosing on one half gives on the other.

The matrix profile is that of stumpy 1.14.1, which is no dependency of vrae.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from planted import BASES, Planted, all_series, several_channels
from scipy.spatial.distance import cdist
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score

from vrae import VRAE, LongSeriesDetector, Panel, VRAEAnomalyDetector
from vrae.data.sliding import SlidingWindows, sliding_windows

HERE = Path(__file__).parent
ROWS = HERE / "long.jsonl"
NAME = "135_UCR_Anomaly_InternalBleeding16"
RULE = 100  # steps: the archive counts a step this close to the anomaly as found
Floats = np.ndarray


def ours(X: Floats, size: int) -> Floats:
    return LongSeriesDetector(window=size).fit(Panel.from_arrays(X[None])).scores_


def model_on_windows(X: Floats, size: int) -> Floats:
    """Score windows as whole series, as vrae did before: VRAEAnomalyDetector."""
    cut = cut_of(X, size)
    model = VRAE(beta=0.3, learning_rate=5e-3, timing="free", scaling="channel", random_state=0)
    return cut.to_steps(-VRAEAnomalyDetector(model=model).fit(cut.panel).score_samples(cut.panel))


def matrix_profile(normalize: bool, times: int = 1) -> Callable[[Floats, int], Floats]:
    """Return the largest matrix profile of the channels, each scaled by its spread."""

    def score(X: Floats, size: int) -> Floats:
        import stumpy

        size *= times
        scaled = X / np.maximum(X.std(axis=1, keepdims=True), 1e-12)
        profiles = [stumpy.stump(x, size, normalize=normalize)[:, 0].astype(float) for x in scaled]
        cut = sliding_windows(Panel.from_arrays(X[None]), size, 1)
        return cut.to_steps(np.max(profiles, axis=0))

    return score


def isolation_forest(X: Floats, size: int) -> Floats:
    scaled = (X - X.mean(axis=1, keepdims=True)) / np.maximum(X.std(axis=1, keepdims=True), 1e-12)
    cut = cut_of(scaled, size)
    windows = cut.panel.to_padded().reshape(len(cut.panel), -1)
    return cut.to_steps(-IsolationForest(random_state=0).fit(windows).score_samples(windows))


def rolling_z(X: Floats, size: int) -> Floats:
    scores = []
    for x in X:
        around = pd.Series(x).rolling(size, center=True, min_periods=1)
        scores.append(((x - around.mean()).abs() / around.std().clip(lower=1e-9)).fillna(0))
    return np.max(scores, axis=0)


METHODS = {
    "LongSeriesDetector": ours,
    "VRAEAnomalyDetector on windows": model_on_windows,
    "matrix profile, raw": matrix_profile(normalize=False),
    "matrix profile, raw, twice the window": matrix_profile(normalize=False, times=2),
    "matrix profile, z-normalised": matrix_profile(normalize=True),
    "isolation forest on windows": isolation_forest,
    "rolling z-score": rolling_z,
}


def cut_of(X: Floats, size: int) -> SlidingWindows:
    return sliding_windows(Panel.from_arrays(X[None]), size)


def bridged(X: Floats) -> Floats:
    return np.stack([pd.Series(x).interpolate(limit_direction="both").to_numpy() for x in X])


def judge(planted: Planted, scores: Floats) -> dict[str, float]:
    wide = planted.wide
    return {
        "auc": float(roc_auc_score(planted.labels, scores)),
        "wide": float(roc_auc_score(wide, scores)),
        "found": float(wide[int(np.nanargmax(scores))]),
    }


def tasks(folder: Path) -> Iterator[tuple[str, str, Floats, Planted]]:
    for planted in all_series(folder):
        yield "one channel", planted.name, planted.values[None], planted
    for n_channels in (3, 8):
        for seed in range(10):
            X, planted = several_channels(seed, n_channels)
            yield planted.name, str(seed), X, planted


def run(folder: Path) -> None:
    done = {(row["kind"], row["name"], row["method"]) for row in rows()}
    for kind, name, X, planted in tasks(folder):
        window = LongSeriesDetector().fit(Panel.from_arrays(X[None])).window_
        for method, score in METHODS.items():
            if (kind, name, method) in done:
                continue
            start = time.perf_counter()
            scores = score(bridged(X), window)
            row = {"kind": kind, "name": name, "method": method, "window": window, **judge(planted, scores)}
            row["seconds"] = round(time.perf_counter() - start, 2)
            with ROWS.open("a") as file:
                file.write(json.dumps(row) + "\n")
        print(kind, name, window, flush=True)


def rows() -> list[dict]:
    return [json.loads(line) for line in ROWS.read_text().splitlines()] if ROWS.exists() else []


# -------------------------------------------------------------------- tables


def table(found: pd.DataFrame) -> list[str]:
    half = {base: position % 2 for position, base in enumerate(sorted(BASES))}
    one = found[found.kind == "one channel"].assign(half=lambda part: part.name.str.split(":").str[0].map(half))
    lines = [
        "| method | mean AUC | even half | odd half | wide | even half | odd half | found | seconds a series |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for method in METHODS:
        own = one[one.method == method]
        cells = [own[k].mean() for k in ("auc",)] + [own[own.half == h].auc.mean() for h in (0, 1)]
        cells += [own.wide.mean()] + [own[own.half == h].wide.mean() for h in (0, 1)]
        text = " | ".join(f"{cell:.3f}" for cell in cells)
        lines.append(f"| {method} | {text} | {int(own.found.sum())} of {len(own)} | {own.seconds.median():.1f} |")
    lines += ["", "## Several channels", "", "| method | 3 channels: AUC | found | 8 channels: AUC | found |"]
    lines += ["|---|---|---|---|---|"]
    for method in METHODS:
        cells = []
        for kind in ("3 channels", "8 channels"):
            own = found[(found.kind == kind) & (found.method == method)]
            cells += [f"{own.auc.mean():.3f}", f"{int(own.found.sum())} of {len(own)}"]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    lines += [
        "",
        "## Each series",
        "",
        f"| series | window | {' | '.join(METHODS)} |",
        "|---" * (2 + len(METHODS)) + "|",
    ]
    for name, own in one.groupby("name", sort=False):
        aucs = " | ".join(f"{own[own.method == method].auc.mean():.2f}" for method in METHODS)
        lines.append(f"| {name} | {own.window.iloc[0]} | {aucs} |")
    return lines


def archive(folder: Path) -> list[str]:
    """Fit to the train part of the UCR anomaly archive's file, and judge the test part."""
    parts = ("TRAIN", "TEST")
    read = [np.genfromtxt(folder / "anomaly" / f"{NAME}_{p}.csv", delimiter=",", names=True) for p in parts]
    train, test = (part["value"] for part in read)
    begin, end = np.flatnonzero(read[1]["is_anomaly"])[[0, -1]]
    lines = [
        f"{len(train)} training steps, {len(test)} test steps (the first {len(train)} are the training part and are "
        f"not scored), anomaly at steps {begin} to {end}.",
        "",
        "| window | method | highest step | away | found |",
        "|---|---|---|---|---|",
    ]
    chosen = LongSeriesDetector().fit(train).window_
    sizes = ((chosen, "auto: no period up to a tenth"), (184, "the period"), (92, "half of it"), (368, "twice"))
    for size, words in sizes:
        known, new = (shapes(part, size) for part in (train, test))
        cut = sliding_windows(Panel.from_arrays(test[None]), size)
        scores = {
            "LongSeriesDetector": LongSeriesDetector(window=size).fit(train).score_steps(test),
            "nearest training window, z-normalised": cut.to_steps(cdist(new, known).min(axis=1)),
        }
        for method, steps in scores.items():
            top = len(train) + int(steps[len(train) :].argmax())
            away = max(begin - top, top - end, 0)
            lines.append(f"| {size} ({words}) | {method} | {top} | {away} | {'yes' if away <= RULE else 'no'} |")
    return lines


def shapes(x: Floats, size: int) -> Floats:
    X = cut_of(x[None], size).panel.to_padded()[:, 0].astype(np.float64)
    return (X - X.mean(axis=1, keepdims=True)) / X.std(axis=1, keepdims=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if not options.table:
        run(options.folder)
    lines = [
        "# Long series: results",
        "",
        "*Written by `python benchmarks/anomaly/long.py`; how it was done stands at its head, and what was tried in",
        "[LONG_LOG.md](LONG_LOG.md).*",
        "",
        f"## Planted anomalies: {len(BASES)} bases, three series each, three anomalies each",
        "",
        *table(pd.DataFrame(rows())),
        "",
        f"## {NAME} of the UCR anomaly archive",
        "",
        *archive(options.folder),
    ]
    (HERE / "LONG.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
