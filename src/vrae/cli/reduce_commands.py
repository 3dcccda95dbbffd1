"""`vrae reduce` and `vrae restore`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from vrae.cli.config_file import save_config
from vrae.cli.option_groups import argument, option, with_groups
from vrae.cli.phase_display import end_phase
from vrae.cli.saved_runs import load_vrae, note_unused
from vrae.cli.shared_options import (
    MODEL,
    AsJson,
    DataOptions,
    FittedModel,
    ModelOptions,
    OutFile,
    OutFolder,
    Overwrite,
    Quiet,
)
from vrae.cli.terminal import facts_table, logger_for, out, print_json, target, written
from vrae.phases import announce

__all__ = ["reduce", "restore"]

# What `VRAE.for_reduction` sets. Its principal axes do not support shifts in time.
_DEFAULTS = {
    "latent_size": "auto",
    "pattern_weight": "0",
    "beta": "0.0001",
    "learning_rate": "0.003",
    "early_stopping": "20",
}


@with_groups(without=("max_lag",), defaults=_DEFAULTS)
def reduce(
    context: typer.Context,
    *,
    data: DataOptions,
    model: FittedModel = None,
    options: ModelOptions,
    folder: OutFolder = Path("runs/reduced"),
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Reduce each series to a few numbers, from which `vrae restore` rebuilds it.

    Writes codes.parquet (latent vector, level, spread and length of each series), the model, and
    reduction.json, which says what is lost.

    Example: vrae reduce sales.csv --id item --time week --latent-size 8 --out runs/reduced
    """
    from vrae import runs
    from vrae.estimators.option_tables import checked
    from vrae.estimators.vrae import VRAE

    runs.check_reduction_folder(folder, overwrite)
    log = logger_for(options.quiet)
    if model is None:
        reducer = checked(options.model(VRAE.for_reduction(), random_state=options.seed))
    else:
        reducer = load_vrae(model, options.on_invalid)
    note_unused(options, model, log)
    panel = data.panel(model=None if model is None else reducer, log=log)
    also = partial(save_config, context, folder)
    facts = runs.reduce_to_folder(reducer, panel, folder, fit=model is None, also=also)
    if as_json:
        print_json({"folder": str(folder), **facts})
    else:
        out.print(facts_table(_summary(facts, folder)), highlight=False, soft_wrap=True)


@with_groups()
def restore(
    codes: Annotated[Path, argument("CODES", "Folder that `vrae reduce` wrote, or its codes.parquet.")],
    model: Annotated[
        Path | None,
        option(
            MODEL, "--model -m", "FOLDER", "Model that the codes were made with.", default="model, next to the codes"
        ),
    ] = None,
    file: OutFile = Path("-"),
    quiet: Quiet = False,
) -> None:
    """Rebuild series from their codes, as a long table: id, step and values.

    Example: vrae restore runs/reduced --out series.parquet
    """
    from vrae import runs

    announce("Restoring")
    own = (codes if codes.is_dir() else codes.parent) / "model"
    found = runs.read_codes(codes)
    panel = load_vrae(model or own).restore(found)
    runs.write_series(panel, target(file))
    end_phase()
    logger_for(quiet)(written(file, f"{len(panel):,} series, {len(panel.values):,} steps"))


def _summary(facts: dict[str, Any], folder: Path) -> dict[str, str]:
    extra = f" and {facts['extra_size']} for level, spread, length or lag" if facts["extra_size"] else ""
    return {
        "Series": f"{facts['n_series']:,}",
        "Numbers per series": f"{facts['latent_size']}{extra}",
        "Values in, numbers out": f"{facts['values_in']:,} to {facts['numbers_out']:,}, {facts['ratio']:.1f} to 1",
        "Variance kept": f"{100 * facts['kept']:.1f} %",
        "Typical error of a value": f"{facts['typical_error']:.3g}",
        "Folder": str(folder),
    }
