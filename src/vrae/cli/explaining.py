"""`vrae explain`: why clusters are clusters, and why a series is in its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vrae.cli.options import AsJson, Model, OnInvalid, Reading, load_fitted, with_groups
from vrae.cli.terminal import print_json, target

if TYPE_CHECKING:
    from vrae.data.panel import Panel

__all__ = ["explain"]


@with_groups
def explain(
    reading: Reading,
    model: Model,
    series: Annotated[
        str | None, typer.Option("--series", metavar="ID", help="Explain this series alone.", show_default=False)
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Write a table with a row a cluster.", show_default=False),
    ] = None,
    on_invalid: OnInvalid = "raise",
    as_json: AsJson = False,
) -> None:
    """Say in words what each cluster does and what sets it apart; or, with --series, why one series is in its cluster.

    Example: vrae explain sales.csv --model runs/sales
    Example: vrae explain sales.csv --model runs/sales --series item17
    """
    from vrae import runs
    from vrae.estimators.clusterer import VRAEClusterer
    from vrae.exceptions import InvalidParameterError

    clusterer = load_fitted(model, on_invalid)
    if not isinstance(clusterer, VRAEClusterer):
        raise InvalidParameterError(
            f"{model} is a {type(clusterer).__name__} without clusters. Use the model of a `vrae cluster` run."
        )
    panel = reading.panel()
    if series is not None:
        found = clusterer.explain(panel, _id_of(panel, series))
        print_json(found.to_dict()) if as_json else typer.echo(str(found))
        return
    described = clusterer.describe(panel)
    if file is not None:
        runs.write_descriptions(described, target(file))
    if as_json:
        print_json([entry.to_dict() for entry in described])
    elif file is None:
        typer.echo("\n".join(map(str, described)))


def _id_of(panel: Panel, text: str) -> Any:
    """Return the id that looks like ``text``: on the command line all ids are text."""
    return next((name for name in panel.ids if str(name) == text), text)
