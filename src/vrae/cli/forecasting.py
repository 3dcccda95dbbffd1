"""`vrae forecast`: what items will do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vrae.cli.options import OutFile, Reading, Training, model_folder, number_or_auto, with_groups
from vrae.cli.terminal import target, teller

__all__ = ["forecast"]

_HORIZON = 13

Horizon = Annotated[
    int | None,
    typer.Option("--horizon", "-n", metavar="N", help="Steps to forecast. Default: 13, or the model's."),
]
Levels = Annotated[
    list[str] | None,
    typer.Option("--level", metavar="PERCENT", help="Size of the intervals; repeatable, or 80,95. Default: 80."),
]
Fitted = Annotated[
    Path | None,
    typer.Option("--model", "-m", metavar="FOLDER", help="Model of an earlier forecast: nothing is learned from DATA."),
]
SaveModel = Annotated[
    Path | None, typer.Option("--save-model", metavar="FOLDER", help="Where to keep the model, for new items.")
]
Groups = Annotated[str, typer.Option("--clusters", "-k", metavar="K", help="Number of groups, or 'auto'.")]
Season = Annotated[
    str, typer.Option("--season", metavar="N", help="Steps of a season, 1 for none, or 'auto': by the time stamps.")
]
Classical = Annotated[
    bool, typer.Option("--classical/--no-classical", help="Forecast each item by itself too (needs vrae[forecast]).")
]


@with_groups
def forecast(
    reading: Reading,
    training: Training,
    horizon: Horizon = None,
    file: OutFile = Path("-"),
    level: Levels = None,
    clusters: Groups = "auto",
    season: Season = "auto",
    classical: Classical = True,
    model: Fitted = None,
    save_model: SaveModel = None,
) -> None:
    """Forecast items in groups: also those that are new, sell little or have gaps.

    One row a step to come: id, step, time (if DATA has one), mean, lo-80, hi-80. With --model, DATA are items seen for
    some steps, and only read.

    Example: vrae forecast sales.parquet --id item --time week --value qty --horizon 13 --out forecast.csv
    Example: vrae forecast sales.csv --season 52 --level 80,95 --save-model models/sales --out forecast.csv
    Example: vrae forecast new_items.csv --model models/sales --out new_items_forecast.csv
    """
    from vrae import runs
    from vrae.estimators.forecaster import GroupForecaster

    levels = _levels(level)
    tell = teller(training.quiet)
    if model is not None:
        forecaster = _fitted(model, horizon, save_model).set_params(on_invalid=training.on_invalid)
        columns = forecaster.predict_table(reading.panel(), levels)
    else:
        forecaster = GroupForecaster(
            _HORIZON if horizon is None else horizon,
            number_or_auto("--clusters", clusters),
            season_length=number_or_auto("--season", season),
            level=80 if levels is None else levels,
            classical=classical,
            **training.options(),
        )
        panel = reading.panel()
        tell(f"Forecasting {forecaster.horizon} steps of {panel!r}")
        columns = forecaster.fit(panel).predict_table()
        if save_model is not None:
            forecaster.save(save_model)
        sizes = ", ".join(str((forecaster.labels_ == group).sum()) for group in range(forecaster.n_clusters_))
        tell(f"Groups: {forecaster.n_clusters_} (sizes {sizes})")
    columns = {name: c[columns["step"] <= (horizon or forecaster.horizon)] for name, c in columns.items()}
    with runs.table_writer(target(file)) as write:
        write(columns)


def _fitted(model: Path, horizon: int | None, save_model: Path | None) -> Any:
    from vrae.config import check_int
    from vrae.estimators.forecaster import GroupForecaster
    from vrae.exceptions import InvalidParameterError
    from vrae.persistence import load_model

    forecaster = load_model(model_folder(model))
    if save_model is not None:
        raise InvalidParameterError("--save-model goes with a forecast that learns from DATA, not with --model.")
    if not isinstance(forecaster, GroupForecaster):
        raise InvalidParameterError(
            f"{model} is a {type(forecaster).__name__}, not a forecaster. Make one with "
            f"`vrae forecast DATA --save-model FOLDER`."
        )
    if horizon is not None and check_int("--horizon", horizon, low=1) > forecaster.horizon:
        raise InvalidParameterError(
            f"--horizon {horizon} is too long: {model} forecasts {forecaster.horizon} steps. Ask for fewer, or leave "
            f"out --model."
        )
    return forecaster


def _levels(texts: list[str] | None) -> list[float] | None:
    from vrae.exceptions import InvalidParameterError

    if texts is None:
        return None
    try:
        return [float(part) for text in texts for part in text.replace(",", " ").split()]
    except ValueError:
        raise InvalidParameterError(f"--level must be numbers between 0 and 100; found {', '.join(texts)!r}.") from None
