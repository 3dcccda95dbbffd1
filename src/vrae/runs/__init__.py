"""A run folder: the model, tables and report of one clustering.

``model/``, ``clusters.csv`` (id, cluster, name, probability, lag), ``embedding.parquet``,
``history.csv`` (one row per epoch), ``metrics.json`` and ``report.html``. A run is written to a
temporary folder and renamed when it is complete.
"""

from __future__ import annotations

from vrae.report import check_report
from vrae.runs.anomaly_tables import (
    long_series_columns,
    score_names,
    score_panel,
    stretch_columns,
    window_scores,
    write_anomalies,
)
from vrae.runs.comparison import Comparison, compare
from vrae.runs.drift_folder import check_drift_folder, write_drift
from vrae.runs.fingerprint import has_changed, ids_of_run
from vrae.runs.reduction_folder import (
    REDUCTION_FILES,
    check_reduction_folder,
    read_codes,
    reduce_to_folder,
    write_series,
)
from vrae.runs.regrouping import edit_run, regroup_run
from vrae.runs.result_tables import (
    doubtful_note,
    embedding_columns,
    embedding_table,
    unassigned_note,
    write_assignments,
    write_descriptions,
    write_embeddings,
)
from vrae.runs.run_folder import (
    CHECKPOINT,
    RUN_FILES,
    TwoPassSource,
    check_run_folder,
    claim_run_folder,
    cluster_in_passes,
    cluster_panel,
    cluster_stream,
    source_of,
)
from vrae.runs.run_metrics import Tally, describe_model, read_metrics
from vrae.runs.run_report import data_name, rebuild_report
from vrae.runs.sample import sample_series, sampling_keys, take_smallest
from vrae.runs.table_files import WRITER, ParquetTable, table_writer, write_columns

__all__ = [
    "CHECKPOINT",
    "REDUCTION_FILES",
    "RUN_FILES",
    "WRITER",
    "Comparison",
    "ParquetTable",
    "Tally",
    "TwoPassSource",
    "check_drift_folder",
    "check_reduction_folder",
    "check_report",
    "check_run_folder",
    "claim_run_folder",
    "cluster_in_passes",
    "cluster_panel",
    "cluster_stream",
    "compare",
    "data_name",
    "describe_model",
    "doubtful_note",
    "edit_run",
    "embedding_columns",
    "embedding_table",
    "has_changed",
    "ids_of_run",
    "long_series_columns",
    "read_codes",
    "read_metrics",
    "rebuild_report",
    "reduce_to_folder",
    "regroup_run",
    "sample_series",
    "sampling_keys",
    "score_names",
    "score_panel",
    "source_of",
    "stretch_columns",
    "table_writer",
    "take_smallest",
    "unassigned_note",
    "window_scores",
    "write_anomalies",
    "write_assignments",
    "write_columns",
    "write_descriptions",
    "write_drift",
    "write_embeddings",
    "write_series",
]
