"""`vrae forecast`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from vrae.cli.option_groups import number_or_auto, option, with_groups
from vrae.cli.phase_display import end_phase
from vrae.cli.saved_runs import load_fitted, note_unused
from vrae.cli.shared_options import Clusterer, Clusters, DataOptions, FittedModel, ModelOptions, OutFile, Save
from vrae.cli.terminal import logger_for, target, usage_error, written
from vrae.phases import announce

if TYPE_CHECKING:
    from vrae.data.panel import Panel
    from vrae.estimators.forecaster import GroupForecaster

__all__ = ["forecast"]

FORECAST = "Forecast"

Columns = dict[str, Any]

Horizon = Annotated[
    int | None, option(FORECAST, "--horizon", "STEPS", "Steps to forecast.", default="13, or the model's")
]
Levels = Annotated[
    list[str] | None,
    option(FORECAST, "--level", "PERCENT", "Coverage of the intervals. Can be repeated, or 80,95.", default="80"),
]
Season = Annotated[
    str, option(FORECAST, "--season", "STEPS", "Steps of a season, 1 for none, or 'auto': from the time stamps.")
]
Classical = Annotated[
    bool,
    option(FORECAST, "--classical/--no-classical", "", "Also forecast each item on its own (needs vrae[forecast])."),
]


# Forecasting scales items itself, and needs every step in its place.
@with_groups(without=("max_lag", "level_weight", "scaling"))
def forecast(
    *,
    data: DataOptions,
    horizon: Horizon = None,
    level: Levels = None,
    season: Season = "auto",
    classical: Classical = True,
    clusters: Clusters = "auto",
    clusterer: Clusterer = "kmeans",
    model: FittedModel = None,
    options: ModelOptions,
    file: OutFile = Path("-"),
    save: Save = None,
) -> None:
    """Forecast many items together: each learns from the items that are like it.

    Items may be new, sell rarely or have gaps. Writes one row per item and future step: id, step,
    time (if DATA has dates), mean, lo-80, hi-80. With --model, nothing is trained, and DATA may be
    items that the model does not know.

    Example: vrae forecast sales.parquet --id item --time week --value qty --horizon 13 -o next.csv
    Example: vrae forecast sales.csv --season 52 --level 80,95 --save models/sales -o next.csv
    Example: vrae forecast new_items.csv --model models/sales -o next.csv
    """
    from vrae import runs
    from vrae.estimators.forecaster import GroupForecaster

    levels = _levels(level)
    log = logger_for(options.quiet)
    if model is not None:
        forecaster = _fitted(model, horizon, save, options.on_invalid)
        chosen = {
            "--season": season != "auto",
            "--no-classical": not classical,
            "--clusters": clusters != "auto",
            "--clusterer": clusterer != "kmeans",
        }
        note_unused(options, model, log, *(flag for flag, given in chosen.items() if given))
        panel = data.panel(model=forecaster, log=log)
        announce("Forecasting")
        columns = forecaster.predict_table(panel, levels)
    else:
        forecaster = GroupForecaster(
            13 if horizon is None else horizon,
            number_or_auto("--clusters", clusters),
            season_length=number_or_auto("--season", season),
            level=80 if levels is None else levels,
            clusterer=clusterer,
            classical=classical,
            random_state=options.seed,
        )
        forecaster.model = options.model(forecaster.default_model())
        panel = data.panel(log=log)
        forecaster.fit(panel)
        announce("Forecasting")
        columns = forecaster.predict_table()
        if save is not None:
            forecaster.save(save)
        sizes = ", ".join(str((forecaster.labels_ == group).sum()) for group in range(forecaster.n_clusters_))
        end_phase()
        log(f"Groups of items that learn together: {forecaster.n_clusters_} (sizes {sizes})")
    wanted = columns["step"] <= (horizon or forecaster.horizon)
    columns = {name: column[wanted] for name, column in columns.items()}
    runs.write_columns(_with_id_columns(columns, panel), target(file))
    end_phase()
    n_steps = int(columns["step"].max(initial=1))
    log(written(file, f"{len(columns['step']) // n_steps:,} items, {n_steps:,} steps each"))


def _with_id_columns(columns: Columns, panel: Panel) -> Columns:
    """Return a table whose joined ids are columns again, such as store and item."""
    from vrae.data.identity import split_ids

    parts = None if panel.reading is None else split_ids(columns["id"], panel.reading.id_parts)
    if parts is None or set(parts) & set(columns):
        return columns
    return {**parts, **{name: column for name, column in columns.items() if name != "id"}}


def _fitted(model: Path, horizon: int | None, save: Path | None, on_invalid: str) -> GroupForecaster:
    from vrae.config import check_int
    from vrae.estimators.forecaster import GroupForecaster

    forecaster = load_fitted(model, on_invalid)
    if save is not None:
        raise usage_error(f"--save is for training, but --model {model} is trained already. Leave it out.")
    if not isinstance(forecaster, GroupForecaster):
        raise usage_error(
            f"{model} is a {type(forecaster).__name__}, not a forecaster. Train one with "
            f"`vrae forecast DATA --save FOLDER`."
        )
    if horizon is not None and check_int("--horizon", horizon, low=1) > forecaster.horizon:
        raise usage_error(
            f"--horizon {horizon} is too long: {model} forecasts {forecaster.horizon} steps. Ask for fewer, or leave "
            f"out --model."
        )
    return forecaster


def _levels(texts: list[str] | None) -> list[float] | None:
    if texts is None:
        return None
    try:
        return [float(part) for text in texts for part in text.replace(",", " ").split()]
    except ValueError:
        raise usage_error(f"--level must be numbers between 0 and 100; found {', '.join(texts)!r}.") from None
