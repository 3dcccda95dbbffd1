"""`vrae info`: what a run or a saved model is, and how to use it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from vrae.cli.cluster_result import group_table
from vrae.cli.option_groups import argument, option
from vrae.cli.saved_runs import load_fitted
from vrae.cli.shared_options import OUTPUT, AsJson
from vrae.cli.terminal import facts_table, out, print_json

__all__ = ["info"]

# What a saved model does, by its class.
_USES = {
    "VRAEClusterer": ("assign NEW_DATA --model {}", "embed NEW_DATA --model {}"),
    "VRAEAnomalyDetector": ("anomalies NEW_DATA --model {}",),
    "LongSeriesDetector": ("anomalies NEW_DATA --model {}", "anomalies NEXT_STEPS --model {} --next-steps"),
    "VRAENeighbors": ("similar NEW_DATA --model {}",),
    "GroupForecaster": ("forecast NEW_DATA --model {}",),
    "VRAE": ("embed NEW_DATA --model {}", "export {}"),
}
# Roles of columns as the command line names them.
_ROLES = {"id": "names the series", "time": "orders the steps", "static": "copied to the results"}

ModelFolder = Annotated[Path, argument("MODEL", "Run folder, or model folder.")]
Everything = Annotated[bool, option(OUTPUT, "--details", "", "Show all options of the model and its network, too.")]


def info(model: ModelFolder, everything: Everything = False, as_json: AsJson = False) -> None:
    """Show what a run or a model is: its groups, the series it knows, and how to use it.

    Example: vrae info runs/sales
    """
    from vrae.io.folder import read_unchanged
    from vrae.runs import describe_model, read_metrics

    def read() -> tuple[Any, dict[str, Any]]:
        fitted = load_fitted(model)
        return fitted, read_metrics(model) if (model / "metrics.json").is_file() else _own_metrics(fitted)

    fitted, metrics = read_unchanged(model, ("metrics.json",), read)
    forecast = _forecast(fitted)
    facts = {**describe_model(fitted), **forecast}
    if as_json:
        print_json({**facts, **{name: metrics[name] for name in ("title", "names", "data") if name in metrics}})
        return
    if everything:
        out.print(facts_table(facts), highlight=False)
        return
    if "sizes" in metrics:
        out.print(group_table(metrics), highlight=False)
        out.print()
    shown = {"Title": metrics.get("title"), "Model": facts["class"], "Series": _series(fitted, metrics)}
    if forecast:
        shown |= _in_words(forecast, fitted.covariates or ())
    shown |= {"Columns": _columns(fitted), "Report": str(model / "report.html")}
    if not (model / "report.html").is_file():
        del shown["Report"]
    uses = _USES.get(facts["class"], ())
    commands = [f"vrae {use.format(shlex.quote(str(model)))}" for use in uses]
    if "sizes" in metrics and "Report" in shown:
        commands += [shlex.join(["vrae", "explain", str(model)]), shlex.join(["vrae", "regroup", str(model)])]
    lines = {name: "\n".join(fact) if isinstance(fact, list) else fact for name, fact in shown.items() if fact}
    out.print(facts_table(lines), highlight=False, soft_wrap=True)
    for command in commands:  # never wrapped, so that it can be copied
        out.print(f"    {command}", markup=False, highlight=False, soft_wrap=True)


def _own_metrics(fitted: Any) -> dict[str, Any]:
    """Return sizes and names of the groups of a model without a run; nothing without groups."""
    import numpy as np

    labels = getattr(fitted, "labels_", None)
    if labels is None:
        return {}
    sizes = np.bincount(labels[labels >= 0], minlength=fitted.n_clusters_).tolist()
    names = getattr(fitted, "names_", None)
    named = {"names": [names[label] for label in range(len(sizes))]} if names else {}
    return {"sizes": sizes, "n_noise": int((labels < 0).sum()), **named}


def _series(fitted: Any, metrics: dict[str, Any]) -> list[str]:
    """Say what series the model was fitted to."""
    if "data" in metrics:
        return list(metrics["data"])
    model = getattr(fitted, "model_", fitted)
    calendar = model.calendar_
    found = [f"{len(model.ids_):,} series"]
    if hasattr(model, "window_"):
        found = [f"{found[0]}, windows of {model.window_:,} steps"]
    elif not hasattr(fitted, "next_times_"):  # the network of a forecaster sees parts of its items
        found = [f"{found[0]}, median length {model.n_steps_:,} steps"]
    if calendar is None or calendar.freq is None:
        return found
    step = calendar.describe()
    return [*found, f"{step[0].upper()}{step[1:]}"]


def _forecast(fitted: Any) -> dict[str, Any]:
    """Return what a forecaster forecasts, as JSON values. Nothing of other models."""
    from vrae.data.calendar import time_text

    if type(fitted).__name__ != "GroupForecaster":
        return {}
    times, calendar = fitted.next_times_, fitted.model_.calendar_
    zone = None if calendar is None else calendar.zone
    return {
        "horizon": fitted.horizon,
        "season_length": fitted.season_length_,
        "last_time": None if fitted.last_time_ is None else time_text(fitted.last_time_, zone),
        "next_times": None if times is None else [time_text(time, zone) for time in times],
    }


def _in_words(forecast: dict[str, Any], covariates: Sequence[str]) -> dict[str, Any]:
    from vrae.describe.words import plural

    times, season = forecast["next_times"], forecast["season_length"]
    dates = f": {times[0]} to {times[-1]}" if times else ""
    steps = f"{plural(forecast['horizon'], 'step')} after the series of the fit{dates}"
    return {
        "Last step": forecast["last_time"],
        "Forecasts": steps,
        "Season": "none" if season == 1 else plural(season, "step"),
        "Covariates": ", ".join(covariates),
    }


def _columns(fitted: Any) -> list[str]:
    """Say which columns later tables must have."""
    model = getattr(fitted, "model_", fitted)
    reading = model.reading_
    if reading is None:
        return []
    ids = "/".join(reading.id_parts) or reading.id
    named = {"id": ids, "time": reading.time, "static": ", ".join(reading.static or ())}
    found = [f"{column}: {_ROLES[role]}" for role, column in named.items() if column]
    values = ", ".join(map(str, model.channels_))
    return [*found, f"{values}: values"] if reading.layout == "long" else [*found, "one column per step: values"]
