"""Load what earlier commands saved: models, and the series of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vrae.cli.shared_options import ModelOptions
from vrae.cli.terminal import usage_error

if TYPE_CHECKING:
    from vrae.data.panel import Panel
    from vrae.estimators.clusterer import VRAEClusterer
    from vrae.estimators.vrae import VRAE

__all__ = ["load_fitted", "load_vrae", "load_with_clusters", "note_unused", "series_of_run"]


def load_fitted(model: Path, on_invalid: str = "raise") -> Any:
    """Load the estimator of a model folder, or of the run folder around it."""
    from vrae.estimators.loading import load_model

    inside = model / "model"
    estimator = load_model(inside if inside.is_dir() else model)
    getattr(estimator, "model_", estimator).set_params(on_invalid=on_invalid)
    return estimator


def load_vrae(model: Path, on_invalid: str = "raise") -> VRAE:
    """Load a model that embeds series, without the estimator around it; see `load_fitted`."""
    estimator = load_fitted(model, on_invalid)
    if not getattr(estimator, "embeds_series", True):
        raise usage_error(f"{model} is a {type(estimator).__name__}, which does not embed whole series.")
    return getattr(estimator, "model_", estimator)


def load_with_clusters(model: Path, on_invalid: str = "raise", *, every: bool = False) -> VRAEClusterer:
    """Load an estimator that has clusters; see `load_fitted`.

    With ``every``, it gives a cluster also to series that are unlike all training series.
    """
    from vrae.estimators.clusterer import VRAEClusterer

    clusterer = load_fitted(model, on_invalid)
    if not isinstance(clusterer, VRAEClusterer):
        raise usage_error(
            f"{model} is a {type(clusterer).__name__}, which has no clusters. Use the folder of a `vrae cluster` run."
        )
    if every:
        clusterer.set_params(false_alarm_rate=None)
    return clusterer


def note_unused(options: ModelOptions, model: Path | None, log: Callable[[str], None], *others: str) -> None:
    """Tell the user which options have no effect on a fitted model: the model's own, and others."""
    flags = [f"--{name}".replace("max_epochs", "epochs").replace("_", "-") for name in options.given()]
    flags += others
    if model is not None and flags:
        verb = "has" if len(flags) == 1 else "have"
        log(f"Note: {', '.join(flags)} {verb} no effect, since {model} is fitted already.")


def series_of_run(run: Path, data: str | None, data_dir: Path | None) -> tuple[Iterable[Panel] | None, str]:
    """Find the series that a run clustered: now in ``data``, or where they were.

    Returns them, or None and a sentence that says why there are none.
    """
    from vrae.data.datasets import load_example
    from vrae.data.stream import stream_panels
    from vrae.exceptions import DatasetUnavailableError
    from vrae.runs import read_metrics

    source = read_metrics(run).get("source") or {}
    options = source.get("options") or {}
    if data is not None:
        return stream_panels(data, **options), ""
    if "example" in source:
        try:
            panel, labels = load_example(source["example"], data_dir=data_dir)
        except DatasetUnavailableError as error:
            return None, str(error)
        static = dict(panel.static) if labels is None else {**panel.static, "label": labels}
        return [replace(panel, static=static)], ""
    place = source.get("data")
    if place is None or place == "-":
        return None, "The series of this run did not come from a file."
    if "*" in place or "://" in place or Path(place).exists():
        return stream_panels(place, **options), ""
    return None, f"The series are no longer at {place}."
