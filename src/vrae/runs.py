"""A run folder: the model, the tables and the report that one clustering leaves behind.

``model/``, ``clusters.csv`` (id, cluster, probability, lag), ``embedding.parquet``, ``metrics.json`` and
``report.html``. A run is written under another name and moved into place when it is complete.
"""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Panel
from vrae.estimators.clusterer import VRAEClusterer
from vrae.estimators.vrae import VRAE
from vrae.evaluate import agreement, separation
from vrae.exceptions import OutputError
from vrae.persistence import atomic_directory, atomic_file

__all__ = [
    "Assignment",
    "assign",
    "check_run_folder",
    "cluster_metrics",
    "write_assignment",
    "write_embedding",
    "write_run",
]

# A series whose own cluster is less likely than this is called doubtful.
DOUBTFUL = 0.6


@dataclass(frozen=True)
class Assignment:
    """Where the series of a panel belong.

    Attributes
    ----------
    ids : ndarray, shape (n_series,)
    labels : ndarray of int64, shape (n_series,)
        -1: none.
    probabilities : ndarray, shape (n_series,)
        Of the series' own cluster; 0 where there is none.
    lags : ndarray of int64, shape (n_series,)
        Steps; see `VRAE.lags`.
    static : dict of str to ndarray
        The panel's static columns.
    """

    ids: npt.NDArray[Any]
    labels: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]
    lags: npt.NDArray[np.int64]
    static: dict[str, npt.NDArray[Any]]

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return the table's columns by name."""
        return {
            "id": self.ids,
            "cluster": self.labels,
            "probability": self.probabilities.round(4),
            "lag": self.lags,
            **{name: np.asarray(column) for name, column in self.static.items()},
        }


def assign(clusterer: VRAEClusterer, panel: Panel) -> Assignment:
    """Place every series of a panel in a cluster of a fitted model."""
    probabilities = clusterer.predict_proba(panel)  # (n_series, n_clusters)
    return Assignment(
        ids=panel.ids,
        labels=clusterer.predict(panel),
        probabilities=probabilities.max(axis=1, initial=0.0),
        lags=clusterer.lags(panel),
        static=dict(panel.static),
    )


def cluster_metrics(
    clusterer: VRAEClusterer,
    panel: Panel,
    assignment: Assignment,
    seconds: float,
    truth: npt.NDArray[Any] | None = None,
) -> dict[str, Any]:
    """Sum a clustering up in JSON-ready numbers."""
    from vrae import __version__

    labels = assignment.labels
    last = clusterer.history_[-1]
    metrics: dict[str, Any] = {
        "version": __version__,
        "n_series": len(panel),
        "n_channels": panel.n_channels,
        "shortest": int(panel.lengths.min()),
        "longest": int(panel.lengths.max()),
        "missing_share": round(panel.missing_share(), 6),
        "n_clusters": clusterer.n_clusters_,
        "sizes": np.bincount(labels[labels >= 0], minlength=clusterer.n_clusters_).tolist(),
        "n_noise": int((labels < 0).sum()),
        "silhouette": separation(clusterer.embedding_, labels),
        "mean_probability": float(assignment.probabilities.mean()),
        "doubtful_share": float((assignment.probabilities < DOUBTFUL).mean()),
        "latent_size": clusterer.latent_size,
        "active_units": clusterer.active_units_,
        "epochs": len(clusterer.history_),
        "reconstruction": last["reconstruction"],
        "kl": last["kl"],
        "noise_variance": clusterer.noise_variance_,
        "seconds": round(seconds, 2),
        "selection": clusterer.selection_,
        "options": {k: v for k, v in clusterer.get_params(deep=False).items() if _is_plain(v)},
    }
    if truth is not None:
        metrics.update(agreement(truth, labels))
    return metrics


def check_run_folder(out: Path, overwrite: bool) -> None:
    """Refuse a place that holds something else, before any work is done.

    Raises
    ------
    OutputError
        A file, a folder of something else, or an earlier run without ``overwrite``.
    """
    if not out.exists():
        return
    if not out.is_dir() or (any(out.iterdir()) and not (out / "metrics.json").is_file()):
        raise OutputError(f"{out} exists and is not a run folder. Choose another --out; nothing was changed.")
    if any(out.iterdir()) and not overwrite:
        raise OutputError(
            f"{out} holds an earlier run. Choose another --out, or add --overwrite to replace it; nothing was changed."
        )


def write_run(
    out: Path,
    title: str,
    clusterer: VRAEClusterer,
    panel: Panel,
    assignment: Assignment,
    metrics: dict[str, Any],
    truth: npt.NDArray[Any] | None = None,
) -> Path:
    """Write a run folder, all or nothing; return the path of its report."""
    from vrae.report import ReportData, write_report

    with atomic_directory(out) as folder:
        clusterer.save(folder / "model")
        write_assignment(assignment, folder / "clusters.csv")
        write_embedding(clusterer, panel.ids, clusterer.embedding_, folder / "embedding.parquet")
        (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
        data = ReportData(
            title=title,
            panel=panel,
            labels=assignment.labels,
            probabilities=assignment.probabilities,
            embedding=clusterer.embedding_,
            reconstruction=clusterer.reconstruct(panel),
            lags=assignment.lags if clusterer.max_lag else None,
            history=clusterer.history_,
            selection=clusterer.selection_,
            metrics=metrics,
            truth=truth,
        )
        write_report(data, folder / "report.html")
    return out / "report.html"


def write_assignment(assignment: Assignment, target: Path | None) -> None:
    """Write a CSV or Parquet file by the name's ending; None is CSV to standard output."""
    _write_table(assignment.columns(), target)


def write_embedding(model: VRAE, ids: npt.NDArray[Any], Z: npt.NDArray[np.float32], target: Path | None) -> None:
    """Write latent vectors, one row a series: id, vrae0, vrae1, ..."""
    names = model.get_feature_names_out()
    _write_table({"id": ids, **{str(name): Z[:, d] for d, name in enumerate(names)}}, target)


def _write_table(columns: dict[str, npt.NDArray[Any]], target: Path | None) -> None:
    if target is None:
        _write_csv(columns, sys.stdout)
        return
    with atomic_file(target) as partial:
        if target.suffix == ".parquet":
            import pyarrow as pa
            import pyarrow.parquet as pq

            pq.write_table(
                pa.table({n: pa.array(c.tolist()) if c.dtype == object else c for n, c in columns.items()}),
                partial,
            )
        else:
            with partial.open("w", newline="", encoding="utf-8") as file:
                _write_csv(columns, file)


def _write_csv(columns: dict[str, npt.NDArray[Any]], file: TextIO) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float, str))


def describe_model(model: VRAE) -> dict[str, Any]:
    """Tell in JSON-ready facts what a fitted model is."""
    config = model.network_.config
    facts: dict[str, Any] = {
        "class": type(model).__name__,
        "fitted to": f"{len(model.ids_)} series, median length {model.n_steps_}, {config.n_channels} channel(s)",
        "epochs": len(model.history_),
        "latent dimensions in use": f"{model.active_units_} of {config.latent_size}",
        "parameters": sum(p.numel() for p in model.network_.parameters()),
    }
    if isinstance(model, VRAEClusterer):
        facts["clusters"] = model.n_clusters_
        facts["sizes"] = np.bincount(model.labels_[model.labels_ >= 0], minlength=model.n_clusters_).tolist()
    facts["network"] = config.to_dict()
    facts["options"] = {k: v for k, v in model.get_params(deep=False).items() if _is_plain(v)}
    return facts
