"""`vrae assign`, `vrae embed` and `vrae info`: what a fitted model says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vrae.cli.options import AsJson, Model, OnInvalid, OutFile, Reading, load_fitted, model_folder, with_groups
from vrae.cli.terminal import facts_table, out, print_json, target

__all__ = ["assign", "embed", "info"]


@with_groups
def assign(reading: Reading, model: Model, file: OutFile = Path("-"), on_invalid: OnInvalid = "raise") -> None:
    """Place new series in the clusters of a model. A file may be larger than memory.

    Example: vrae assign new.csv --model runs/sales/model --out assigned.csv
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
    runs.write_assignments(clusterer, reading.panels(), target(file))


@with_groups
def embed(reading: Reading, model: Model, file: OutFile = Path("-"), on_invalid: OnInvalid = "raise") -> None:
    """Write the latent vector of every series: id, vrae0, vrae1, ... A file may be larger than memory.

    Example: vrae embed new.parquet --model runs/sales/model --out embedding.parquet
    """
    from vrae import runs

    runs.write_embeddings(load_fitted(model, on_invalid), reading.panels(), target(file))


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
