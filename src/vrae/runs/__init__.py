"""A run folder: the model, the tables and the report that one clustering leaves behind.

``model/``, ``clusters.csv`` (id, cluster, probability, lag), ``embedding.parquet``, ``history.csv`` (a row an epoch),
``metrics.json`` and ``report.html``. A run is written under another name and moved into place when it is complete.
"""

from vrae.report import check_report
from vrae.runs.anomalies import judge_panel, stretches, window_steps, write_anomalies, write_columns
from vrae.runs.assignment import Assignment, Tally, assign, describe_model
from vrae.runs.comparison import Comparison, compare
from vrae.runs.folder import (
    CHECKPOINT,
    Passes,
    check_run_folder,
    claim_run_folder,
    cluster_in_passes,
    cluster_panel,
    cluster_stream,
)
from vrae.runs.rebuild import read_metrics, rebuild_report, source_of
from vrae.runs.reduction import check_reduction_folder, read_codes, reduce_to_folder, write_series
from vrae.runs.sample import sample_series
from vrae.runs.tables import embedding_table, table_writer, write_assignments, write_descriptions, write_embeddings

__all__ = [
    "CHECKPOINT",
    "Assignment",
    "Comparison",
    "Passes",
    "Tally",
    "assign",
    "check_reduction_folder",
    "check_report",
    "check_run_folder",
    "claim_run_folder",
    "cluster_in_passes",
    "cluster_panel",
    "cluster_stream",
    "compare",
    "describe_model",
    "embedding_table",
    "judge_panel",
    "read_codes",
    "read_metrics",
    "rebuild_report",
    "reduce_to_folder",
    "sample_series",
    "source_of",
    "stretches",
    "table_writer",
    "window_steps",
    "write_anomalies",
    "write_assignments",
    "write_columns",
    "write_descriptions",
    "write_embeddings",
    "write_series",
]
