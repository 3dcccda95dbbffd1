"""`vrae reduce` and `vrae restore`: series as a few numbers each, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vrae.cli.configuring import save_config
from vrae.cli.options import (
    AsJson,
    OutFile,
    OutFolder,
    Overwrite,
    Reading,
    Training,
    load_fitted,
    number_or_auto,
    with_groups,
)
from vrae.cli.terminal import facts_table, out, print_json, target, teller

__all__ = ["reduce", "restore"]


@with_groups
def reduce(
    context: typer.Context,
    reading: Reading,
    training: Training,
    latent_size: Annotated[
        str, typer.Option("--latent-size", metavar="N", help="Latent numbers a series, or 'auto'.")
    ] = "auto",
    model: Annotated[
        Path | None,
        typer.Option("--model", "-m", metavar="FOLDER", help="Use this model, and fit none.", show_default=False),
    ] = None,
    folder: OutFolder = Path("runs/reduced"),
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Reduce every series to a few numbers from which `vrae restore` rebuilds it, and tell what is lost.

    Writes codes.parquet (latent vector, level, spread, length), reduction.json and the model.

    Example: vrae reduce sales.csv --id item --time week --value qty --latent-size 8 --out runs/reduced
    """
    from vrae import runs
    from vrae.estimators.vrae import VRAE

    runs.check_reduction_folder(folder, overwrite)
    size = number_or_auto("--latent-size", latent_size)
    fitted = None if model is None else load_fitted(model, training.on_invalid)
    panel = reading.panel()
    teller(training.quiet)(f"Reducing {panel!r}")
    reducer = fitted or VRAE.for_reduction(latent_size=size, **training.options())
    facts = runs.reduce_to_folder(reducer, panel, folder, fit=fitted is None)
    save_config(context, folder)
    if as_json:
        print_json({"folder": str(folder), **facts})
        return
    out.print(facts_table(_told(facts, folder)), highlight=False, soft_wrap=True)


@with_groups
def restore(
    codes: Annotated[Path, typer.Argument(metavar="CODES", help="Folder that `vrae reduce` wrote, or codes.parquet.")],
    model: Annotated[
        Path | None,
        typer.Option("--model", "-m", metavar="FOLDER", help="Default: that beside the codes.", show_default=False),
    ] = None,
    file: OutFile = Path("-"),
) -> None:
    """Rebuild series from their codes: a long table with id, step and values.

    Example: vrae restore runs/reduced --out series.parquet
    """
    from vrae import runs

    beside = (codes if codes.is_dir() else codes.parent) / "model"
    found = runs.read_codes(codes)
    runs.write_series(load_fitted(model or beside).restore(found), target(file))


def _told(facts: dict[str, Any], folder: Path) -> dict[str, str]:
    extra = f" and {facts['extra_size']} for level, spread, length or lag" if facts["extra_size"] else ""
    return {
        "Series": f"{facts['n_series']:,}",
        "Numbers a series": f"{facts['latent_size']}{extra}",
        "Values in, numbers out": f"{facts['values_in']:,} to {facts['numbers_out']:,}, {facts['ratio']:.1f} to 1",
        "Variance kept": f"{100 * facts['kept']:.1f} %",
        "Usual error of a value": f"{facts['typical_error']:.3g}",
        "Folder": str(folder),
    }
