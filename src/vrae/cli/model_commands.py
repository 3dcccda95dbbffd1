"""Commands that apply a fitted model: `vrae assign`, `embed` and `export`."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from vrae.cli.option_groups import argument, folder_for_parts, option, with_groups
from vrae.cli.phase_display import end_phase
from vrae.cli.saved_runs import load_vrae, load_with_clusters
from vrae.cli.shared_options import (
    CLUSTERING,
    OUTPUT,
    AsJson,
    DataOptions,
    EngineGroup,
    Model,
    OnInvalid,
    OutFile,
    Quiet,
)
from vrae.cli.terminal import facts_table, logger_for, out, print_json, target, written

if TYPE_CHECKING:
    from vrae.estimators.clusterer import VRAEClusterer

__all__ = ["assign", "embed", "export"]

# Clusters that are listed with their sizes, at most.
_MOST_CLUSTERS = 5

ModelFolder = Annotated[Path, argument("MODEL", "Run folder, or model folder.")]


@with_groups()
def assign(
    *,
    data: DataOptions,
    on_invalid: OnInvalid = "raise",
    model: Model,
    every: Annotated[
        bool, option(CLUSTERING, "--all", "", "Assign also series that are unlike all training series.")
    ] = False,
    file: OutFile = Path("-"),
    quiet: Quiet = False,
    engine: EngineGroup,
) -> None:
    """Assign new series to the clusters of a model.

    Writes one row per series: id, cluster, name, probability, lag. Cluster -1 is none: the series
    is unlike all that the model was trained on. DATA can be larger than memory.

    Example: vrae assign new.csv --model runs/sales --out assigned.csv
    Example: vrae assign 's3://sales/*.parquet' --model runs/sales --engine ray --out s3://results/assigned
    Example: zcat new.csv.gz | vrae assign - --model runs/sales > assigned.csv
    """
    from vrae import runs

    log, clusterer = logger_for(quiet), load_with_clusters(model, on_invalid, every=every)
    if engine.is_ray:
        _write_parts("assign", clusterer, data, file, engine, log)
        return
    sizes, n_doubtful = runs.write_assignments(clusterer, data.panels(clusterer, log), target(file))
    end_phase()
    log(written(file, _sizes_in_words(sizes, clusterer)))
    for note in (runs.unassigned_note(sizes[-1], sizes.total()), runs.doubtful_note(n_doubtful, sizes.total())):
        if note:
            log(note)
    named = "NEW_DATA" if data.data == "-" else data.data  # a pipe is read once
    command = shlex.join(["vrae", "drift", named, "--model", str(model)])
    log(f"What changed since the fit, and whether it is more than chance: {command}")


def _sizes_in_words(sizes: Counter[int], clusterer: VRAEClusterer) -> str:
    """Return how many series there are, and in which clusters, the largest first."""
    from vrae.describe.words import cluster_name, plural

    ranked = sorted(sizes.items(), key=lambda entry: (-entry[1], entry[0]))
    parts = [f"{cluster_name(label, clusterer.names_)}: {size:,}" for label, size in ranked[:_MOST_CLUSTERS]]
    if rest := ranked[_MOST_CLUSTERS:]:
        parts.append(f"{plural(len(rest), 'other group')}: {sum(size for _, size in rest):,}")
    return f"{sizes.total():,} series ({'; '.join(parts)})"


@with_groups()
def embed(
    *,
    data: DataOptions,
    on_invalid: OnInvalid = "raise",
    model: Model,
    file: OutFile = Path("-"),
    quiet: Quiet = False,
    engine: EngineGroup,
) -> None:
    """Write the latent vector of every series.

    The columns are id, vrae0, vrae1, ... DATA can be larger than memory.

    Example: vrae embed new.parquet --model runs/sales --out embedding.parquet
    """
    from vrae import runs

    log, encoder = logger_for(quiet), load_vrae(model, on_invalid)
    if engine.is_ray:
        _write_parts("embed", encoder, data, file, engine, log)
        return
    n_series = runs.write_embeddings(encoder, data.panels(encoder, log), target(file))
    end_phase()
    log(written(file, f"{n_series:,} series, {encoder.network_.config.latent_size} numbers each"))


def _write_parts(
    task: str, model: Any, data: DataOptions, file: Path, engine: EngineGroup, log: Callable[[str], None]
) -> None:
    """Write one row per series by Ray, as a folder of tables."""
    from vrae import distributed

    place, write_parts = folder_for_parts(file), getattr(distributed, task)
    n_series = write_parts(model, data.data, place, engine=engine.options(), log=log, **data.options(model))
    log(f"{n_series:,} series in {place}")


def export(
    model: ModelFolder,
    file: Annotated[Path, option(OUTPUT, "--out -o", "FILE", "ONNX file to write.")] = Path("encoder.onnx"),
    as_json: AsJson = False,
) -> None:
    """Export a model as an ONNX file, for programs without Python.

    The file computes what `vrae embed` does: raw series in, latent vectors out. Scaling and pattern
    statistics are included. Series can have any number and length, and NaN is a missing value.

    Example: vrae export runs/sales --out encoder.onnx
    """
    fitted = load_vrae(model)
    config = fitted.network_.config
    fitted.export_onnx(file)
    facts = {
        "file": str(file),
        "values": f"float32 (batch, time, {config.n_channels})",
        "lengths": "int64 (batch,)",
        "latent": f"float32 (batch, {config.latent_size})",
    }
    print_json(facts) if as_json else out.print(facts_table(facts), highlight=False, soft_wrap=True)
