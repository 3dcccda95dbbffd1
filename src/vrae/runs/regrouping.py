"""Change the clusters of a finished run, without training."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from vrae._version import __version__
from vrae.data.panel import Panel
from vrae.describe.words import joined, plural
from vrae.estimators.assignment import Assignment
from vrae.estimators.clusterer import VRAEClusterer
from vrae.estimators.partition import labels_of
from vrae.io.atomic import HIDDEN, atomic_directory, only_writer
from vrae.io.model_files import check_replaceable
from vrae.metrics import agreement, raw_kmeans
from vrae.phases import announce
from vrae.report import write_report
from vrae.runs.editing import ClusterNames, apply_edit, read_edits, read_names
from vrae.runs.run_metrics import Tally, add_verdict, write_metrics
from vrae.runs.run_report import MAX_REPORT_SERIES, read_run, report_of_run
from vrae.runs.run_tables import write_clusters
from vrae.runs.sample import sample_series

__all__ = ["edit_run", "regroup_run"]

_REPLACED = ("model", "clusters.csv", "clusters.parquet", "metrics.json", "report.html")


Change = Callable[[VRAEClusterer, Assignment], None]
Also = Callable[[Path], None]  # changes other files of a run, in a copy that then replaces it


def regroup_run(
    run: Path,
    n_clusters: int | Literal["auto"],
    panels: Iterable[Panel] | None,
    notice: str = "",
    names: Path | None = None,
    log: Callable[[str], None] = lambda message: None,
    also: Also = lambda folder: None,
) -> dict[str, Any]:
    """Change the number of clusters of a run, and return its metrics.

    ``names`` is a file with names of the new clusters; see `read_names`. ``log`` is told how many
    changes by hand are discarded. ``also`` changes other files of the run, in the copy that then
    replaces it. For the rest, see `edit_run`.
    """
    given = None if names is None else read_names(names)

    def regroup(clusterer: VRAEClusterer, assignment: Assignment) -> None:
        if discarded := _changes_by_hand(clusterer):
            log(f"Discards {discarded}.")
        clusterer.regroup(n_clusters)
        if given is not None:
            clusterer.rename(given)

    return _change_run(run, regroup, panels, notice, {"n_clusters": n_clusters}, also)


def edit_run(
    run: Path,
    edits: Path | None,
    panels: Iterable[Panel] | None,
    notice: str = "",
    names: Path | None = None,
    typed: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """Merge, split, move or rename clusters of a run, and return its metrics.

    Model, table of clusters, metrics and report are replaced, completely or not at all. All other
    files stay. For ``panels`` and ``notice``, see `rebuild_report`. ``edits`` and ``names`` are
    files; see `read_edits` and `read_names`. ``typed`` are more edits, made after those of the
    file. Names hold after all edits.
    """
    listed = None if edits is None else read_edits(edits)
    given = None if names is None else read_names(names)

    def edit(clusterer: VRAEClusterer, assignment: Assignment) -> None:
        if listed is not None:
            listed.apply(clusterer, assignment)
        as_typed = ClusterNames.of(clusterer)
        for one in typed:
            apply_edit(as_typed.in_edit(one, clusterer), clusterer, assignment)
        if given is not None:
            clusterer.rename(given)

    return _change_run(run, edit, panels, notice)


def _change_run(
    run: Path,
    change: Change,
    panels: Iterable[Panel] | None,
    notice: str,
    options: dict[str, Any] | None = None,
    also: Also = lambda folder: None,
) -> dict[str, Any]:
    """Change the clusterer of a run, and write everything again that depends on its clusters."""
    typed, run = run, run.resolve()  # a link keeps pointing to the run
    check_replaceable(run / "model")
    with only_writer(run):
        metrics, clusterer, assignment = read_run(run)
        announce("Grouping")
        change(clusterer, assignment)
        probabilities = clusterer.predict_proba_from_latent(assignment.embedding)
        labels, own = labels_of(probabilities), probabilities.max(axis=1, initial=0.0)
        assignment = replace(assignment, labels=labels, probabilities=own, names=clusterer.names_)
        tally = Tally()
        tally.add_clusters(assignment, assignment.static.get("label"))
        for earlier in ("ari", "nmi", "n_labelled", "raw_kmeans"):  # of the clusters that are replaced
            metrics.pop(earlier, None)
        metrics |= {"version": __version__, **tally.cluster_metrics(clusterer), "stability": clusterer.stability()}
        metrics["options"] = {**metrics.get("options", {}), **(options or {})}
        panel = None if panels is None else sample_series(panels, MAX_REPORT_SERIES, seed=0)[0]
        if panel is not None and "label" in panel.static:
            baseline = raw_kmeans(panel.to_padded(), clusterer.n_clusters_)
            metrics["raw_kmeans"] = agreement(panel.static["label"], baseline)
        with atomic_directory(run) as folder:
            _copy_others(run, folder)
            clusterer.save(folder / "model")
            write_clusters(run, folder, assignment)
            judged = add_verdict(metrics, clusterer, typed)
            write_metrics(metrics, folder)
            report = report_of_run(clusterer, panel, assignment, metrics, typed, judged)
            write_report(replace(report, notice=notice), folder / "report.html")
            also(folder)
    return metrics


def _changes_by_hand(clusterer: VRAEClusterer) -> str:
    """Count the changes by hand and the user's names, in words; nothing if there are none."""
    n_edits, n_names = len(clusterer.grouping_.edits), len(clusterer.grouping_.own_names)
    counted = [f"{plural(n_edits, 'edit')} by hand"] * bool(n_edits) + [plural(n_names, "name")] * bool(n_names)
    return joined(counted) if counted else ""


def _copy_others(run: Path, folder: Path) -> None:
    """Copy all files of a run but those that are written again."""
    for path in run.iterdir():
        if path.name in _REPLACED or path.name.startswith(HIDDEN):
            continue
        if path.is_dir():
            shutil.copytree(path, folder / path.name, symlinks=True)
        else:
            shutil.copy2(path, folder / path.name, follow_symlinks=False)
