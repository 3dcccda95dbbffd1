"""Change the number of clusters of a finished run, without training."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn.metrics.cluster import contingency_matrix

from vrae._version import __version__
from vrae.data.panel import Panel
from vrae.estimators.clusterer import VRAEClusterer
from vrae.estimators.partition import labels_of
from vrae.io.atomic import atomic_directory, only_writer
from vrae.metrics import DOUBTFUL, agreement, agreement_of_counts, raw_kmeans, separation
from vrae.runs.rebuild import RunTables, load_clusterer, rebuild_report
from vrae.runs.run_metrics import read_metrics, stability, write_metrics
from vrae.runs.run_report import MAX_REPORT_SERIES
from vrae.runs.sample import sample_series

__all__ = ["regroup_run"]

_REPLACED = {"clusters.csv", "clusters.parquet", "metrics.json", "model", "report.html"}

Labels = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.float64]


def regroup_run(run: Path, n_clusters: int | Literal["auto"], panels: Iterable[Panel] | None) -> dict[str, Any]:
    """Change the number of clusters of a run; see `VRAEClusterer.regroup`.

    Model, table of clusters, metrics and report are replaced, completely or not at all. All other
    files stay.

    Parameters
    ----------
    run : Path
        A run folder.
    n_clusters : int or "auto"
    panels : iterable of Panel, or None
        The series of the run; see `rebuild_report`.

    Returns
    -------
    dict
        The content of ``metrics.json``.

    Raises
    ------
    InvalidDataError, InvalidParameterError, ModelFileError, OutputError
        As `rebuild_report`. Also if there are fewer series than clusters, or another process is
        writing the run.
    """
    with only_writer(run):
        metrics, clusterer, tables = read_metrics(run), load_clusterer(run), RunTables(run)
        clusterer.set_params(n_clusters=n_clusters).regroup(n_clusters)
        everything = tables.at(np.arange(len(tables)))
        probabilities = clusterer.predict_proba_from_latent(everything.embedding)
        labels, own = labels_of(probabilities), probabilities.max(axis=1, initial=0.0)
        panel = None if panels is None else sample_series(panels, MAX_REPORT_SERIES, seed=0)[0]
        metrics |= _cluster_metrics(clusterer, labels, own)
        metrics["options"] = {**metrics.get("options", {}), "n_clusters": n_clusters}
        metrics |= _agreement(labels, everything.static.get("label"))
        metrics.pop("raw_kmeans", None)
        if panel is not None and "label" in panel.static:
            baseline = raw_kmeans(panel.to_padded(), clusterer.n_clusters_)
            metrics["raw_kmeans"] = agreement(panel.static["label"], baseline)
        with atomic_directory(run) as folder:
            _copy_others(run, folder)
            clusterer.save(folder / "model")
            _write_clusters(run, folder, {"cluster": labels, "probability": own.round(4)})
            write_metrics(metrics, folder)
            rebuild_report(folder, None if panel is None else [panel])
    return metrics


def _cluster_metrics(clusterer: VRAEClusterer, labels: Labels, own: Probabilities) -> dict[str, Any]:
    """Return the metrics that depend on the clusters; see `Tally.metrics`."""
    k = clusterer.n_clusters_
    vectors = clusterer.space_(clusterer.embedding_.astype(np.float64))
    return {
        "version": __version__,
        "n_clusters": k,
        "sizes": np.bincount(labels[labels >= 0], minlength=k).tolist(),
        "n_noise": int((labels < 0).sum()),
        "silhouette": separation(vectors, clusterer.labels_),
        "mean_probability": float(own.mean()),
        "doubtful_share": float((own < DOUBTFUL).mean()),
        "selection": clusterer.selection_,
        "stability": stability(clusterer),
    }


def _agreement(labels: Labels, truth: npt.NDArray[Any] | None) -> dict[str, float]:
    if truth is None:
        return {}
    return agreement_of_counts(contingency_matrix(truth.astype(str), labels, dtype=np.int64))


def _copy_others(run: Path, folder: Path) -> None:
    for path in run.iterdir():
        if path.name in _REPLACED:
            continue
        if path.is_dir():
            shutil.copytree(path, folder / path.name, symlinks=True)
        else:
            shutil.copy2(path, folder / path.name, follow_symlinks=False)


def _write_clusters(run: Path, folder: Path, changed: dict[str, npt.NDArray[Any]]) -> None:
    """Write the table of clusters with new columns. All other cells stay as they are, as text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    name = "clusters.parquet"
    if (run / name).exists():
        with (run / name).open("rb") as file:  # Arrow opens only names in UTF-8
            table = pq.read_table(file)
        for column, values in changed.items():
            table = table.set_column(table.column_names.index(column), column, pa.array(values))
        with (folder / name).open("wb") as file:
            pq.write_table(table, file)
        return
    name = "clusters.csv"
    with (
        (run / name).open(newline="", encoding="utf-8") as source,
        (folder / name).open("w", newline="", encoding="utf-8") as target,
    ):
        reader, writer = csv.reader(source), csv.writer(target, lineterminator="\n")
        head = next(reader)
        writer.writerow(head)
        columns = [(head.index(column), values.tolist()) for column, values in changed.items()]
        for index, row in enumerate(reader):
            for position, values in columns:
                row[position] = values[index]
            writer.writerow(row)
