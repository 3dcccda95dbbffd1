"""AUC of anomaly detectors: one class is abnormal in turn, all other classes are normal.

    VRAE_DATA=... python benchmarks/anomaly/run.py [--sets ECG5000 ...] [--methods vrae ...]
    python benchmarks/anomaly/run.py --table

The first adds rows to results.jsonl and skips those that are there. The second writes RESULTS.md.

Train and test file of a set together, of more than 400 series a random 400. Up to four classes, of
different sizes, are the abnormal one in turn. "clean": fitted to half of the normal series, scored
on the other half and the abnormal ones. "mixed": fitted to half of the normal series and, as 7 % of
all, abnormal ones; scored on these series themselves ("own") and on all others ("new"). "ECG5000"
stands for two more tasks with its own split: fitted to the normal beats, and to all beats (42 %
abnormal).
The detector has its default setting for mixed series, and contamination="auto" for clean ones. Its
score does not depend on the weights of the network, so a small one is trained for one epoch here.

Rivals see z-normalised series, gaps filled, brought to the median length, or 10,000 MiniRocket
features of these (aeon), fitted to the same series. The nearest series leaves a series itself out.
"""

from __future__ import annotations

import argparse
import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

from vrae import VRAE, Panel, VRAEAnomalyDetector, load_example
from vrae.exceptions import VRAEWarning
from vrae.metrics import resample

HERE = Path(__file__).parent
RESULTS = HERE / "results.jsonl"
RIVALS = ("1-NN", "LOF", "isolation forest", "PCA")
METHODS = ("vrae", *(f"{rival}, {space}" for rival in RIVALS for space in ("raw", "MiniRocket")))
NAMES = {"vrae": "VRAEAnomalyDetector"}
PARTS = ("clean", "mixed own", "mixed new")
MOST, CLASSES, FRACTION = 400, 4, 0.07
MODEL = VRAE(timing="free", latent_size=1, hidden_size=4, max_epochs=1)
# More classes than series that could be normal of each, or too long for a quick table.
LEFT_OUT = ("FiftyWords", "ShapesAll", "WordSynonyms", "PigAirwayPressure", "Crop")
# Sets whose normal series are many enough to measure a rate of 1 %.
RATES = ("ECG5000", "TwoPatterns", "Crop", "MelbournePedestrian", "FreezerRegularTrain", "PLAID", "ECGFiveDays")


class Task(NamedTuple):
    """Series to fit to and others, each with which are abnormal."""

    part: str
    abnormal: Any
    train: Panel
    of_train: np.ndarray
    new: Panel
    of_new: np.ndarray


def load(name: str) -> tuple[Panel, np.ndarray]:
    panel, labels = load_example(name)
    known = np.flatnonzero([bool((~np.isnan(x)).any()) for x in panel])
    rows = np.sort(np.random.default_rng(0).permutation(known)[:MOST])
    return panel.select(rows), labels[rows]


def tasks(name: str) -> Iterator[Task]:
    panel, labels = load(name)
    rng = np.random.default_rng(0)
    kinds, counts = np.unique(labels, return_counts=True)
    usable = [i for i in np.argsort(-counts, kind="stable") if counts[i] >= 6 and len(labels) - counts[i] >= 20]
    places = np.linspace(0, len(usable) - 1, min(CLASSES, len(usable))).round().astype(int)
    for kind in kinds[[usable[place] for place in places]]:
        odd, normal = (rng.permutation(np.flatnonzero(own)) for own in (labels == kind, labels != kind))
        half, rest = np.split(normal, [len(normal) // 2])
        few = min(max(2, round(len(half) * FRACTION / (1 - FRACTION))), len(odd) // 2)
        for part, fitted, new in (
            ("clean", half, [*rest, *odd]),
            ("mixed", [*half, *odd[:few]], [*rest, *odd[few:]]),
        ):
            fitted, new = np.sort(fitted), np.sort(new)
            yield Task(part, kind, panel.select(fitted), labels[fitted] == kind, panel.select(new), labels[new] == kind)


def beats() -> Iterator[Task]:
    """Yield two tasks with ECG5000's own split: normal beats, and all of them."""
    (train, own), (test, new) = (load_example("ECG5000", split=split) for split in ("train", "test"))
    usual = own[0] if (own == own[0]).mean() > 0.5 else np.unique(own)[0]
    normal = own == usual
    yield Task("clean", "split", train.select(normal), ~normal[normal], test, new != usual)
    yield Task("mixed", "split", train, ~normal, test, new != usual)


def unusual(method: str, task: Task, contamination: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """Return scores of fitted and of other series; higher is more unusual."""
    if method == "vrae":
        given = contamination or ("auto" if task.part == "clean" else 0.05)
        if given == "auto" and len(task.train) < 20:
            given = 0.05
        detector = VRAEAnomalyDetector(given, model=MODEL, random_state=0).fit(task.train)
        return -detector.scores_, -detector.score_samples(task.new)
    rival, space = method.split(", ")
    A, B = features(task, space)
    if rival == "PCA":
        center = A.mean(axis=0)
        axes = np.linalg.svd(A - center, full_matrices=False)[2][: min(16, len(A) - 1, A.shape[1] - 1)].T
        return tuple((((X - center) - (X - center) @ axes @ axes.T) ** 2).sum(axis=1) for X in (A, B))  # type: ignore[return-value]
    if rival == "1-NN":
        search = NearestNeighbors(n_neighbors=1).fit(A)
        return search.kneighbors()[0][:, 0], search.kneighbors(B)[0][:, 0]
    if rival == "LOF":
        lof = LocalOutlierFactor(novelty=True, n_neighbors=min(20, len(A) - 1)).fit(A)
        return -lof.negative_outlier_factor_, -lof.score_samples(B)
    forest = IsolationForest(random_state=0).fit(A)
    return -forest.score_samples(A), -forest.score_samples(B)


LAST: dict[str, Any] = {}  # the features of the last task, since several methods use them


def features(task: Task, space: str) -> tuple[np.ndarray, np.ndarray]:
    """Return features of fitted and of other series."""
    if LAST.get("task") is not task:
        LAST.clear()
        LAST["task"] = task
    if space not in LAST:
        A, B = (flat(panel, task.train) for panel in (task.train, task.new))
        if space == "MiniRocket":
            from aeon.transformations.collection.convolution_based import MiniRocket

            transformer = MiniRocket(10_000, random_state=0).fit(A[:, None])
            A, B = (np.asarray(transformer.transform(part[:, None])) for part in (A, B))
        LAST[space] = A, B
    return LAST[space]  # type: ignore[no-any-return]


def flat(panel: Panel, train: Panel) -> np.ndarray:
    """Return z-normalised series of one length, (n, n_steps), without gaps."""
    n_steps, found = max(int(np.median(train.lengths)), 9), []
    for x in panel:
        steps, known = np.arange(x.shape[1]), ~np.isnan(x[0])
        values = np.interp(steps, steps[known], x[0, known].astype(np.float64))
        found.append(resample(values[None, None], n_steps)[0, 0])
    X = np.stack(found)
    X -= X.mean(axis=1, keepdims=True)
    return (X / np.maximum(X.std(axis=1, keepdims=True), 1e-9)).astype(np.float32)


def run(name: str, methods: list[str]) -> list[dict[str, Any]]:
    """Return the mean AUC of methods over the classes of a set."""
    found: dict[str, dict[str, list[float]]] = {method: {part: [] for part in PARTS} for method in methods}
    for task in tasks(name):
        for method in methods:
            own, new = unusual(method, task)
            part = "clean" if task.part == "clean" else "mixed new"
            found[method][part].append(float(roc_auc_score(task.of_new, new)))
            if task.part == "mixed":
                found[method]["mixed own"].append(float(roc_auc_score(task.of_train, own)))
    means = {m: {part: round(float(np.mean(values)), 4) for part, values in found[m].items()} for m in methods}
    return [{"set": name, "method": method, **means[method]} for method in methods]


def run_beats(method: str) -> dict[str, Any]:
    clean, mixed = beats()
    row: dict[str, Any] = {"set": "ECG5000 split", "method": method}
    row["clean"] = round(float(roc_auc_score(clean.of_new, unusual(method, clean)[1])), 4)
    row["mixed new"] = round(float(roc_auc_score(mixed.of_new, unusual(method, mixed)[1])), 4)
    if method == "vrae":
        row["stated"] = round(float(roc_auc_score(mixed.of_new, unusual(method, mixed, 0.42)[1])), 4)
    return row


def run_rate(name: str) -> dict[str, Any]:
    """Return which fraction of held-out normal series is called outliers, at a stated 1 %."""
    panel, labels = load_example(name)
    rng = np.random.default_rng(0)
    known = np.flatnonzero([bool((~np.isnan(x)).any()) for x in panel])
    kinds, counts = np.unique(labels[known], return_counts=True)
    rows = known if name != "ECG5000" else known[labels[known] == kinds[counts.argmax()]]
    found, n_train = [], min(len(rows) // 2, 600)
    for _ in range(3):
        order = rng.permutation(rows)
        train, new = panel.select(np.sort(order[:n_train])), panel.select(np.sort(order[n_train : n_train + 2000]))
        detector = VRAEAnomalyDetector("auto", model=MODEL, random_state=0).fit(train)
        found.append(float((detector.predict(new) == -1).mean()))
    return {"set": name, "method": "rate", "n_train": n_train, "n_new": len(new), "rates": np.round(found, 4).tolist()}


def read() -> list[dict[str, Any]]:
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def table() -> str:
    """Return the rows as Markdown."""
    rows = read()
    by = {(row["set"], row["method"]): row for row in rows}
    sets = sorted(name for name, method in by if method == "vrae" and name != "ECG5000 split")
    sets = [name for name in sets if all((name, method) in by for method in METHODS)]
    lines = [
        "# Anomalies: results",
        "",
        "*Written by `python benchmarks/anomaly/run.py --table`; how it was done stands at the head of `run.py`,",
        "what was tried in [LOG.md](LOG.md). Long series: [LONG.md](LONG.md).*",
        "",
        f"## Area under the ROC curve, mean of {len(sets)} sets",
        "",
        "Half A are the sets at odd places of the alphabet, half B the others. In brackets: A, B.",
        "",
        "| method | clean | mixed, the series themselves | mixed, new series |",
        "|---|---|---|---|",
    ]
    for method in METHODS:
        cells = [cell([by[name, method][part] for name in sets]) for part in PARTS]
        lines.append(f"| {NAMES.get(method, method)} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "ECG5000 with its own split, AUC on the test part:",
        "",
        "| method | normal beats | all beats, 42 % abnormal |",
    ]
    lines.append("|---|---|---|")
    for method in METHODS:
        if (row := by.get(("ECG5000 split", method))) is not None:
            stated = f" ({row['stated']:.3f} with contamination=0.42)" if "stated" in row else ""
            lines.append(f"| {NAMES.get(method, method)} | {row['clean']:.4f} | {row['mixed new']:.3f}{stated} |")
    lines += ["", '## Rate of false alarms, stated 1 % (`contamination="auto"`)', ""]
    lines += ["Fitted to random normal series, asked about others; three draws.", ""]
    lines += ["| set | fitted to | asked about | called outliers | mean |", "|---|---|---|---|---|"]
    for row in (row for row in rows if row["method"] == "rate"):
        rates = ", ".join(f"{100 * rate:.2f} %" for rate in row["rates"])
        mean = 100 * float(np.mean(row["rates"]))
        lines.append(f"| {row['set']} | {row['n_train']} | {row['n_new']} | {rates} | {mean:.2f} % |")
    best = {part: max(METHODS[1:], key=lambda m, p=part: np.mean([by[n, m][p] for n in sets])) for part in PARTS}  # type: ignore[misc]
    lines += ["", "## By set: VRAEAnomalyDetector / best rival on the mean", ""]
    lines += ["| set | " + " | ".join(f"{part}, {best[part]}" for part in PARTS) + " |", "|---|---|---|---|"]
    for name in sets:
        cells = [f"{by[name, 'vrae'][part]:.3f} / {by[name, best[part]][part]:.3f}" for part in PARTS]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def cell(values: list[float]) -> str:
    return f"{np.mean(values):.3f} ({np.mean(values[::2]):.3f}, {np.mean(values[1::2]):.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+")
    parser.add_argument("--methods", nargs="+", choices=(*METHODS, "rate"), default=(*METHODS, "rate"))
    parser.add_argument("--table", action="store_true", help="write RESULTS.md and stop")
    options = parser.parse_args()
    if options.table:
        (HERE / "RESULTS.md").write_text(table())
        return
    warnings.simplefilter("ignore", VRAEWarning)
    folder = Path(os.environ["VRAE_DATA"]) / "ucr"
    sets = options.sets or [p.name for p in sorted(folder.iterdir()) if p.name not in LEFT_OUT]
    done = {(row["set"], row["method"]) for row in read()}
    methods = [method for method in options.methods if method != "rate"]
    for name in sets:
        missing = [method for method in methods if (name, method) not in done]
        write(run(name, missing) if missing else [])
        if name == "ECG5000":
            write([run_beats(method) for method in methods if ("ECG5000 split", method) not in done])
    for name in RATES if "rate" in options.methods else ():
        if (folder / name).is_dir() and (name, "rate") not in done:
            write([run_rate(name)])


def write(rows: list[dict[str, Any]]) -> None:
    with RESULTS.open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    for row in rows:
        print(row, flush=True)


if __name__ == "__main__":
    main()
