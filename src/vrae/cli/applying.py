"""`vrae assign`, `vrae embed` and `vrae info`: what a fitted model says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vrae.cli.options import (
    AsJson,
    Far,
    Model,
    OnInvalid,
    OutFile,
    Quiet,
    Reading,
    folder_of_parts,
    load_fitted,
    model_folder,
    with_groups,
)
from vrae.cli.terminal import facts_table, out, print_json, target, teller

__all__ = ["assign", "embed", "info"]


@with_groups
def assign(
    reading: Reading,
    model: Model,
    far: Far,
    file: OutFile = Path("-"),
    on_invalid: OnInvalid = "raise",
    quiet: Quiet = False,
) -> None:
    """Place new series in the clusters of a model. A file may be larger than memory.

    Example: vrae assign new.csv --model runs/sales/model --out assigned.csv

    Example: vrae assign 's3://sales/*.parquet' --model runs/sales/model --engine ray --out s3://results/assigned

    Example: zcat new.csv.gz | vrae assign - --model runs/sales/model > assigned.csv
    """
    from vrae import runs
    from vrae.estimators.clusterer import VRAEClusterer
    from vrae.exceptions import InvalidParameterError

    clusterer = load_fitted(model, on_invalid)
    if not isinstance(clusterer, VRAEClusterer):
        raise InvalidParameterError(
            f"{model} is a {type(clusterer).__name__} without clusters. Use the model of a `vrae cluster` run, "
            f"or `vrae embed`."
        )
    if not far.is_ray:
        runs.write_assignments(clusterer, reading.panels(), target(file))
        return
    from vrae import distributed

    place, tell = folder_of_parts(file), teller(quiet)
    n = distributed.assign(clusterer, reading.data, place, engine=far.ray(), tell=tell, **reading.options())
    tell(f"{n:,} series in {place}")


@with_groups
def embed(
    reading: Reading,
    model: Model,
    far: Far,
    file: OutFile = Path("-"),
    on_invalid: OnInvalid = "raise",
    quiet: Quiet = False,
) -> None:
    """Write the latent vector of every series: id, vrae0, vrae1, ... A file may be larger than memory.

    Example: vrae embed new.parquet --model runs/sales/model --out embedding.parquet
    """
    from vrae import runs

    fitted = load_fitted(model, on_invalid)
    if not far.is_ray:
        runs.write_embeddings(fitted, reading.panels(), target(file))
        return
    from vrae import distributed

    place, tell = folder_of_parts(file), teller(quiet)
    n = distributed.embed(fitted, reading.data, place, engine=far.ray(), tell=tell, **reading.options())
    tell(f"{n:,} series in {place}")


def info(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model folder, or the run folder around it.")],
    as_json: AsJson = False,
) -> None:
    """Tell what a model is: its options, what it was fitted to, its clusters.

    Example: vrae info runs/sales/model
    """
    from vrae.persistence import load_model
    from vrae.runs import describe_model

    facts = describe_model(load_model(model_folder(model)))
    if as_json:
        print_json(facts)
        return
    out.print(facts_table(facts))
