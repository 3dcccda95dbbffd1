"""`vrae similar` and `vrae opposites`: what one series has to do with another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from vrae.cli.options import OutFile, Reading, Training, load_fitted, with_groups
from vrae.cli.terminal import target, teller

__all__ = ["opposites", "similar"]


@with_groups
def similar(
    reading: Reading,
    training: Training,
    model: Annotated[
        Path | None,
        typer.Option("--model", "-m", metavar="FOLDER", help="Model of series to look among. None: learn from DATA."),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="DATA", help="Look among these series, read as DATA is, instead of the model's."),
    ] = None,
    neighbors: Annotated[int, typer.Option("--neighbors", "-k", metavar="K", help="Neighbours of each series.")] = 5,
    level: Annotated[
        float, typer.Option("--level", help="What level and spread count beside shape, if a model is learned.")
    ] = 0.0,
    save: Annotated[
        Path | None, typer.Option("--save", metavar="FOLDER", help="Keep the model, with the series looked among.")
    ] = None,
    file: OutFile = Path("-"),
) -> None:
    """Find the series most like each series of DATA: id, rank, neighbor, distance, lag.

    Neighbours are looked for among the series of --to; without it among those that the model keeps, if --save wrote it;
    else among those of DATA, of which none is its own neighbour. Without --model, one is learned from these series.

    Example: vrae similar sales.csv -k 5 --out similar.csv
    Example: vrae similar new.csv --to sales.csv --save runs/similar --out similar.csv
    Example: vrae similar newer.csv --model runs/similar --out similar.csv
    Example: vrae similar sales.csv --model runs/sales/model --out similar.csv
    """
    from vrae import runs
    from vrae.estimators.neighbors import VRAENeighbors

    tell = teller(training.quiet)
    panel = reading.panel()
    among = panel if to is None else replace(reading, data=to).panel()
    fitted = None if model is None else load_fitted(model, training.on_invalid)
    own = to is None  # DATA is looked among itself
    if fitted is None:
        tell(f"Learning from {among!r}")
        estimator = VRAENeighbors(neighbors, level_weight=level, **training.options()).fit(among)
    elif isinstance(fitted, VRAENeighbors) and to is None:
        estimator, own = fitted, False
    else:
        estimator = VRAENeighbors.of(fitted, among)
    found = estimator.similar(None if own else panel, neighbors)
    if save is not None:
        estimator.save(save)
    with runs.table_writer(target(file)) as write:
        write(found.columns())


@with_groups
def opposites(
    reading: Reading,
    group: Annotated[
        str | None,
        typer.Option("--group", metavar="COLUMN", help="Look among series that have the same value in this column."),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option("--model", "-m", metavar="FOLDER", help="Look among series of the same cluster of this model."),
    ] = None,
    max_lag: Annotated[
        int, typer.Option("--max-lag", metavar="STEPS", help="Steps by which one may run behind the other.")
    ] = 0,
    season: Annotated[
        int | None,
        typer.Option("--season", metavar="STEPS", help="Length of a season, to be taken out of every series."),
    ] = None,
    level: Annotated[float, typer.Option("--level", help="Share of chance findings to put up with.")] = 0.05,
    file: OutFile = Path("-"),
) -> None:
    """Find pairs of which one does more when the other does less: what one takes from the other.

    Writes group, item, other, kind, lag, strength, taken, p_value and q_value; the surest pair first. Pairs are looked
    for within the groups of a column, within the clusters of a model, or among all series. Name a column if you can,
    one that says what could replace what.

    Example: vrae opposites sales.csv --group category --out opposites.csv
    Example: vrae opposites sales.parquet --id item --time week --value qty --group category --max-lag 2
    Example: vrae opposites sales.csv --model runs/sales/model --out opposites.csv
    """
    from vrae import runs
    from vrae.estimators.clusterer import VRAEClusterer
    from vrae.estimators.opposites import find_opposites
    from vrae.exceptions import InvalidParameterError

    if group is not None and model is not None:
        raise InvalidParameterError("--group and --model both say what the groups are. Give one of them.")
    if group is not None and group not in (reading.static or []):
        reading = replace(reading, static=[*(reading.static or []), group])
    panel = reading.panel()
    groups: Any = group
    if model is not None:
        clusterer = load_fitted(model, "keep")
        if not isinstance(clusterer, VRAEClusterer):
            raise InvalidParameterError(
                f"{model} is a {type(clusterer).__name__} without clusters. Use the model of a `vrae cluster` run."
            )
        groups = clusterer.predict(panel)
    found = find_opposites(panel, groups, max_lag=max_lag, season=season, level=level)
    with runs.table_writer(target(file)) as write:
        write(found.columns())
    n_movements, n_comings = found.n_pairs
    teller(str(file) == "-")(
        f"{len(found)} of {n_movements:,} pairs are opposites ({n_comings:,} of them with an item that came or went); "
        f"about {100 * level:g} % of these findings are to be put down to chance."
    )
