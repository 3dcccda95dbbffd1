"""`vrae drift`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from vrae.cli.config_file import CONFIG_FILE
from vrae.cli.option_groups import option, with_groups
from vrae.cli.phase_display import end_phase
from vrae.cli.saved_runs import load_with_clusters
from vrae.cli.shared_options import OUTPUT, AsJson, DataOptions, Model, Overwrite, Quiet
from vrae.cli.terminal import echo, logger_for, print_json

if TYPE_CHECKING:
    from vrae.estimators.clusterer import VRAEClusterer

__all__ = ["drift"]


@with_groups()
def drift(
    *,
    data: DataOptions,
    model: Model,
    folder: Annotated[
        Path | None, option(OUTPUT, "--out -o", "FOLDER", "Folder to write: drift.html, drift.csv and shares.csv.")
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Say what changed since a model was fitted: shares of the clusters, items, new kinds.

    DATA is the table of the new period, with its past: the weeks that were clustered, and the new
    ones. Items are recognised by their ids. DATA can be larger than memory.

    Example: vrae drift sales-june.csv --model runs/sales
    Example: vrae drift sales-june.csv --model runs/sales --out runs/june
    """
    from vrae import runs
    from vrae.estimators.drift import drift_of
    from vrae.phases import announce, listening

    if folder is not None:
        runs.check_report()
        runs.check_drift_folder(folder, overwrite)
    log, clusterer = logger_for(quiet), load_with_clusters(model, "keep")
    announce("Comparing")
    with listening(None):  # parts of a panel
        found = drift_of(clusterer, data.panels(clusterer, log), 0.05)
    end_phase()
    command = _fit_again(data, model, clusterer)
    if folder is not None:
        runs.write_drift(found, folder, f"What changed since {model.name}", command)
    if as_json:
        shares = {name: column.tolist() for name, column in found.share_columns().items()}
        changed = found.changed or (False if found.tested else None)  # what was not tested is not known
        told = {"changed": changed, "tested": found.tested, "checks": list(found.checks)}
        facts = {"verdict": found.verdict, "fit_again": found.fit_again, "share_rule": found.share_rule}
        left_out = int(found.items.left_out.sum())
        print_json({**told, **facts, "items": found.counts, "left_out": left_out, "shares": shares})
        return
    echo("\n".join([*found.lines(), *([f"Fit again with: {command}"] if found.fit_again else [])]))
    if folder is not None:
        log(f"Wrote {folder}: drift.html, drift.csv and shares.csv.")


def _fit_again(data: DataOptions, model: Path, clusterer: VRAEClusterer) -> str:
    """Return the command that clusters the new data as the run was made."""
    config = model / CONFIG_FILE
    if config.is_file():
        options = ["--config", str(config), *data.words(), "--out", str(model), "--overwrite"]
    else:  # a model on its own knows its columns, and is no place for a run
        options = [*data.words(clusterer.model_.reading_), "--out", f"{model}-again"]
    return shlex.join(["vrae", "cluster", data.data, *options])
