"""Commands about pairs of series: `vrae similar` and `vrae cannibalization`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from vrae.cli.option_groups import option, with_groups
from vrae.cli.phase_display import end_phase
from vrae.cli.saved_runs import load_fitted, load_with_clusters, note_unused
from vrae.cli.shared_options import DataOptions, FittedModel, ModelOptions, OutFile, Quiet, Save
from vrae.cli.terminal import logger_for, target, usage_error, written
from vrae.phases import announce

__all__ = ["cannibalization", "similar"]

NEIGHBORS, CANNIBALIZATION = "Neighbors", "Cannibalization"


@with_groups()
def similar(
    *,
    data: DataOptions,
    neighbors: Annotated[int, option(NEIGHBORS, "--neighbors -n", "N", "Neighbors per series.")] = 5,
    to: Annotated[
        str | None, option(NEIGHBORS, "--to", "DATA", "Search among these series, read with the same options as DATA.")
    ] = None,
    model: FittedModel = None,
    options: ModelOptions,
    file: OutFile = Path("-"),
    save: Save = None,
) -> None:
    """Find the most similar series of each series.

    Writes one row per pair: id, rank, neighbor, distance, lag. The lag says by how many steps a
    series runs behind its neighbor. Of dated series, its column names the unit, such as lag_weeks.

    vrae searches among the series of --to. Without --to, it searches among the series that --model
    was saved with (--save), or else among DATA, where no series is its own neighbor. Without
    --model, vrae trains on the series that it searches among.

    Example: vrae similar sales.csv -n 5 --out similar.csv
    Example: vrae similar new.csv --to sales.csv --save runs/similar --out similar.csv
    Example: vrae similar newer.csv --model runs/similar --out similar.csv
    """
    from sklearn.frozen import FrozenEstimator

    from vrae import runs
    from vrae.estimators.neighbors import VRAENeighbors
    from vrae.estimators.option_tables import checked

    log = logger_for(options.quiet)
    checked(VRAENeighbors(neighbors, model=options.model(), random_state=options.seed))
    fitted = None if model is None else load_fitted(model, options.on_invalid)
    panel = data.panel(model=fitted, log=log)
    among = panel if to is None else replace(data, data=to).panel(model=fitted, log=log)
    note_unused(options, model, log)
    if not (isinstance(fitted, VRAENeighbors) and to is None) and neighbors > (most := len(among) - (to is None)):
        other = "other " if to is None else ""
        raise usage_error(f"--neighbors {neighbors} is more than the {most:,} {other}training series. Ask for fewer.")
    if isinstance(fitted, VRAENeighbors) and to is None:
        estimator, own = fitted, False
    else:
        estimator, own = VRAENeighbors(neighbors, random_state=options.seed), to is None
        if fitted is None:
            estimator.model = options.model(estimator.default_model())
        else:
            estimator.model = FrozenEstimator(fitted)
        estimator.fit(among)
    announce("Searching")
    found = estimator.similar(None if own else panel, neighbors)
    if save is not None:
        estimator.save(save)
    from vrae.describe.words import plural

    columns = found.columns()
    unit = "steps" if panel.calendar is None else panel.calendar.unit
    if unit != "steps":
        columns[f"lag_{unit.replace(' ', '_')}"] = columns.pop("lag")
    runs.write_columns(columns, target(file))
    end_phase()
    n_series = len(among if own else panel)
    log(written(file, f"{n_series:,} series, {plural(neighbors, 'neighbor')} each"))


@with_groups()
def cannibalization(
    *,
    data: DataOptions,
    group: Annotated[
        list[str] | None,
        option(
            CANNIBALIZATION,
            "--group",
            "COLUMN",
            "Compare items with the same value here, such as a category. Can be repeated.",
        ),
    ] = None,
    similar: Annotated[
        list[str] | None,
        option(
            CANNIBALIZATION,
            "--similar",
            "COLUMN[=SHARE]",
            "Compare items with similar numbers here, such as a price: they differ by at most this share of the "
            "larger one, 0.5 if left out. Can be repeated.",
        ),
    ] = None,
    model: Annotated[
        Path | None,
        option(CANNIBALIZATION, "--model -m", "FOLDER", "Compare items in the same cluster of this fitted model."),
    ] = None,
    max_lag: Annotated[
        int, option(CANNIBALIZATION, "--max-lag", "STEPS", "Largest shift in time between two items.")
    ] = 0,
    season: Annotated[
        int, option(CANNIBALIZATION, "--season", "STEPS", "Steps of a season that differs between items, 1 for none.")
    ] = 1,
    fdr: Annotated[
        float, option(CANNIBALIZATION, "--fdr", "RATE", "False discovery rate: expected fraction of wrong pairs.")
    ] = 0.05,
    file: OutFile = Path("-"),
    quiet: Quiet = False,
) -> None:
    """Find pairs of items that take sales from each other.

    Writes one row per pair: group, item, other, kind, when, lag, strength, taken, units, p_value,
    q_value. The most significant pair comes first. Of an introduction, "when" is the first step
    with the new item, "taken" is the share of its sales that the other one lost, and "units" is the
    same a step. vrae compares items within the groups of a column or the clusters of a model;
    without either, it compares every item with every other. If columns say which items can replace
    each other, pass them as --group and --similar.

    Example: vrae cannibalization sales.csv --group category --out pairs.csv
    Example: vrae cannibalization sales.csv --group category --similar price=0.3 --out pairs.csv
    Example: vrae cannibalization sales.parquet --id item --time week --group category --max-lag 2
    Example: vrae cannibalization sales.csv --model runs/sales --out pairs.csv
    """
    from vrae import runs
    from vrae.estimators.cannibalization import find_cannibalization

    if group is not None and model is not None:
        raise usage_error("--group and --model both define the groups. Leave out one of them.")
    within = _similar_columns(similar or [])
    clusterer = None if model is None else load_with_clusters(model, "keep", every=True)
    panel = data.panel(model=clusterer, log=logger_for(quiet), static=[*(group or ()), *within])
    groups: Any = group if clusterer is None else clusterer.predict(panel)
    found = find_cannibalization(panel, groups, similar=within, max_lag=max_lag, season=season, fdr=fdr)
    runs.write_columns(found.columns(), target(file))
    end_phase()
    n_movements, n_shifts = found.n_pairs
    rate = f" Expect {100 * fdr:g} % of the pairs found to be wrong." if len(found) else ""
    facts = (
        f"{len(found)} of {n_movements:,} pairs take sales from each other ({n_shifts:,} were also tested for an "
        f"introduction or a withdrawal)"
    )
    logger_for(quiet)(written(file, facts) + rate)


def _similar_columns(similar: list[str]) -> dict[str, float]:
    """Return the largest difference of each column of --similar."""
    from vrae.estimators.cannibalization import SIMILAR_WITHIN

    within = {}
    for text in similar:
        name, _, share = text.partition("=")
        try:
            within[name] = float(share) if share else SIMILAR_WITHIN
        except ValueError:
            within[name] = -1.0
        if not 0 <= within[name] <= 1:
            raise usage_error(f"--similar {text}: {share!r} is not a share between 0 and 1, as in --similar price=0.3.")
    return within
