"""`vrae forecast`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from vrae.cli.option_groups import number_or_auto, option, with_groups
from vrae.cli.phase_display import end_phase
from vrae.cli.saved_runs import load_fitted, note_unused
from vrae.cli.shared_options import (
    Clusterer,
    Clusters,
    DataOptions,
    FittedModel,
    Log,
    ModelOptions,
    OutFile,
    Save,
)
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
Covariates = Annotated[
    list[str] | None,
    option(
        FORECAST,
        "--covariate",
        "COLUMN",
        "Column whose future is known, such as price, promotion or holiday. Repeat it for several.",
    ),
]
Future = Annotated[
    Path | None,
    option(
        FORECAST,
        "--future",
        "FILE",
        "Ids, times and covariates of the steps to forecast. Default: rows of DATA after the last value.",
        show_default=False,
    ),
]
HierarchyColumns = Annotated[
    list[str] | None,
    option(
        FORECAST,
        "--hierarchy",
        "COLUMN",
        "Column of totals, such as a department; repeat it, the highest first. Forecasts then add up.",
    ),
]
Reconcile = Annotated[
    Literal["bottom_up", "mint"],
    option(FORECAST, "--reconcile", None, "Totals: added up from items, or forecast too and weighed (minimum trace)."),
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
    covariates: Covariates = None,
    future: Future = None,
    hierarchy: HierarchyColumns = None,
    reconcile: Reconcile = "bottom_up",
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
    Example: vrae forecast sales.csv --covariate price --covariate promo --future plan.csv -o n.csv
    Example: vrae forecast sales.csv --hierarchy department --hierarchy category -o next.csv
    Example: vrae forecast new_items.csv --model models/sales -o next.csv
    """
    from vrae import runs
    from vrae.describe.words import plural
    from vrae.estimators.forecaster import GroupForecaster
    from vrae.estimators.forecasting.covariate_series import read_future
    from vrae.estimators.forecasting.hierarchy import check_hierarchy
    from vrae.estimators.option_tables import checked

    levels = _levels(level)
    log = logger_for(options.quiet)
    check_hierarchy(hierarchy, reconcile)
    if future is not None and model is None and not covariates:
        raise usage_error("--future has values of covariates. Name their columns: --covariate price.")
    if model is not None:
        forecaster = _fitted(model, horizon, save, options.on_invalid)
        chosen = {
            "--season": season != "auto",
            "--no-classical": not classical,
            "--clusters": clusters != "auto",
            "--clusterer": clusterer != "kmeans",
            "--covariate": covariates is not None,
            "--seed": options.seed != 0,
        }
        note_unused(options, model, log, *(flag for flag, given in chosen.items() if given))
        if future is not None and not forecaster.covariates:
            raise usage_error(f"--future has values of covariates, but {model} was fitted without. Leave it out.")
        known = forecaster.covariates or ()
        panel = data.panel(model=forecaster, log=log, static=hierarchy or (), covariates=known)
        announce("Forecasting")
        columns = forecaster.predict_table(panel, levels, future, hierarchy=hierarchy, reconcile=reconcile)
    else:
        forecaster = GroupForecaster(
            13 if horizon is None else horizon,
            number_or_auto("--clusters", clusters),
            season_length=number_or_auto("--season", season),
            level=80 if levels is None else levels,
            clusterer=clusterer,
            classical=classical,
            covariates=covariates,
            random_state=options.seed,
        )
        forecaster.model = options.model(forecaster.default_model())
        checked(forecaster)
        panel = data.panel(log=log, static=hierarchy or (), covariates=covariates or ())
        plan = None
        if future is not None:  # before the training, which takes long
            plan = read_future(future, panel, covariates or (), forecaster.horizon)
        forecaster.fit(panel)
        if save is not None:  # whatever is wrong with the future, the training is not lost
            forecaster.save(save)
        announce("Forecasting")
        columns = forecaster.predict_table(future=plan, hierarchy=hierarchy, reconcile=reconcile)
        sizes = ", ".join(str((forecaster.labels_ == group).sum()) for group in range(forecaster.n_clusters_))
        end_phase()
        log(f"Groups of items that learn together: {forecaster.n_clusters_} (sizes {sizes})")
        _tell_effects(forecaster, log)
    wanted = columns["step"] <= (horizon or forecaster.horizon)
    columns = {name: column[wanted] for name, column in columns.items()}
    runs.write_columns(_with_id_columns(columns, panel), target(file))
    end_phase()
    n_steps = int(columns["step"].max(initial=1))
    n_series = len(columns["step"]) // n_steps
    what = f"{n_series:,} items and totals" if hierarchy else plural(n_series, "item")
    log(written(file, f"{what}, {plural(n_steps, 'step')} each"))


def _tell_effects(forecaster: GroupForecaster, log: Log) -> None:
    """Log how covariates change the values, such as "price +10 %: -14 %"."""
    effects = forecaster.covariate_effects_
    if effects is not None:
        rows = zip(effects["covariate"], effects["change"], effects["effect"], strict=True)
        log("Effects: " + "; ".join(f"{name} {change}: {effect}" for name, change, effect in rows))


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
        raise usage_error(f"--level must be numbers above 0 and up to 99; found {', '.join(texts)!r}.") from None
