"""Change the number of clusters of a finished run, without training."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from vrae._version import __version__
from vrae.data.panel import Panel
from vrae.estimators.partition import labels_of
from vrae.io.atomic import atomic_directory, only_writer
from vrae.io.model_files import check_replaceable
from vrae.metrics import agreement, raw_kmeans
from vrae.runs.run_metrics import Tally, add_verdict, read_metrics, write_metrics
from vrae.runs.run_report import MAX_REPORT_SERIES, load_clusterer, rebuild_report
from vrae.runs.run_tables import read_assignment, write_clusters
from vrae.runs.sample import sample_series

__all__ = ["regroup_run"]

_REPLACED = ("clusters.csv", "clusters.parquet", "metrics.json", "report.html")


def regroup_run(
    run: Path, n_clusters: int | Literal["auto"], panels: Iterable[Panel] | None, notice: str = ""
) -> dict[str, Any]:
    """Change the number of clusters of a run, and return its metrics.

    Model, table of clusters, metrics and report are replaced, completely or not at all. All other
    files stay. For ``panels`` and ``notice``, see `rebuild_report`.
    """
    typed, run = run, run.resolve()  # a link keeps pointing to the run
    check_replaceable(run / "model")
    with only_writer(run):
        metrics, clusterer, assignment = read_metrics(run), load_clusterer(run), read_assignment(run)
        clusterer.regroup(n_clusters)
        probabilities = clusterer.predict_proba_from_latent(assignment.embedding)
        labels, own = labels_of(probabilities), probabilities.max(axis=1, initial=0.0)
        tally = Tally()
        tally.add_clusters(replace(assignment, labels=labels, probabilities=own), assignment.static.get("label"))
        for earlier in ("ari", "nmi", "n_labelled", "raw_kmeans"):  # of the clusters that are replaced
            metrics.pop(earlier, None)
        metrics |= {"version": __version__, **tally.cluster_metrics(clusterer), "stability": clusterer.stability()}
        metrics["options"] = {**metrics.get("options", {}), "n_clusters": n_clusters}
        panel = None if panels is None else sample_series(panels, MAX_REPORT_SERIES, seed=0)[0]
        if panel is not None and "label" in panel.static:
            baseline = raw_kmeans(panel.to_padded(), clusterer.n_clusters_)
            metrics["raw_kmeans"] = agreement(panel.static["label"], baseline)
        with atomic_directory(run) as folder:
            for path in run.iterdir():
                if path.name in _REPLACED:
                    continue
                if path.is_dir():
                    shutil.copytree(path, folder / path.name, symlinks=True)
                else:
                    shutil.copy2(path, folder / path.name, follow_symlinks=False)
            clusterer.save(folder / "model")
            write_clusters(run, folder, labels, own, clusterer.names_)
            add_verdict(metrics, clusterer, typed)
            write_metrics(metrics, folder)
            rebuild_report(folder, None if panel is None else [panel], notice=notice, typed=typed)
    return metrics
