"""Load what earlier commands saved: models, and the series of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from vrae.cli.shared_options import ModelOptions
from vrae.cli.terminal import usage_error
from vrae.phases import announce

if TYPE_CHECKING:
    from vrae.data.panel import Panel
    from vrae.estimators.clusterer import VRAEClusterer
    from vrae.estimators.vrae import VRAE

__all__ = ["RunSeries", "flags_of", "load_fitted", "load_vrae", "load_with_clusters", "note_unused", "series_of_run"]


def load_fitted(model: Path, on_invalid: str = "raise") -> Any:
    """Load the estimator of a model folder, or of the run folder around it."""
    from vrae.estimators.loading import load_model

    inside = model / "model"
    estimator = load_model(inside if inside.is_dir() else model)
    embedding = getattr(estimator, "model_", estimator)
    if hasattr(embedding, "on_invalid"):
        embedding.set_params(on_invalid=on_invalid)
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


def flags_of(options: ModelOptions) -> list[str]:
    """Return the options of network and training that the user gave, as on the command line."""
    return [f"--{name}".replace("max_epochs", "epochs").replace("_", "-") for name in options.given()]


def note_unused(options: ModelOptions, model: Path | None, log: Callable[[str], None], *others: str) -> None:
    """Tell the user which options have no effect on a fitted model: the model's own, and others."""
    flags = [*flags_of(options), *(["--track"] if options.track else []), *others]
    if model is not None and flags:
        verb = "has" if len(flags) == 1 else "have"
        log(f"Note: {', '.join(flags)} {verb} no effect, since {model} is fitted already.")


class RunSeries(NamedTuple):
    """The series of a run: ``panels``, or None and the reason why there are none.

    ``notice`` says how their file differs from the one that was clustered. It is empty if nothing
    is known to differ.
    """

    panels: Iterable[Panel] | None
    reason: str = ""
    notice: str = ""


def series_of_run(run: Path, data: str | None, data_dir: Path | None) -> RunSeries:
    """Find the series that a run clustered: now in ``data``, or where they were.

    If their file has changed, a warning says so, and series that the run does not know are left
    out.
    """
    from vrae.data.datasets import load_example
    from vrae.exceptions import DatasetUnavailableError
    from vrae.runs import read_metrics

    source = read_metrics(run).get("source") or {}
    if data is not None:
        return _from_files(run, source, data)
    if "example" in source:
        announce("Reading")
        try:
            panel, labels = load_example(source["example"], data_dir=data_dir)
        except DatasetUnavailableError as error:
            return RunSeries(None, str(error))
        static = dict(panel.static) if labels is None else {**panel.static, "label": labels}
        return RunSeries([replace(panel, static=static)])
    place = source.get("data")
    if place is None or place == "-":
        return RunSeries(None, "The series of this run did not come from a file.")
    if "*" in place or "://" in place or Path(place).exists():
        return _from_files(run, source, place)
    return RunSeries(None, f"The series are no longer at {place}.")


def _from_files(run: Path, source: dict[str, Any], data: str) -> RunSeries:
    """Open the files of a run, and compare them with what was clustered."""
    from vrae.data.stream import stream_panels
    from vrae.exceptions import DataWarning, name_some, warn
    from vrae.runs import has_changed, ids_of_run

    reading = load_fitted(run).model_.reading_
    remembered = {} if reading is None else {"remembered": reading}  # what was assumed then holds now
    options = {**(source.get("options") or {}), **remembered}

    def panels() -> Iterator[Panel]:
        return _without_known_warnings(stream_panels(data, **options))

    if not has_changed(source, data):
        return RunSeries(_read(panels()))
    known = ids_of_run(run)
    announce("Comparing")
    there = {str(name) for panel in panels() for name in panel.ids.tolist()}
    if not there & known:
        return RunSeries(None, f"{data} holds none of the series of this run.")
    counted = {"new and left out": there - known, "missing": known - there}
    parts = [f"{len(ids):,} series {word} ({name_some(sorted(ids))})" for word, ids in counted.items() if ids]
    found = ", ".join(parts) or "the same series, with other values"
    notice = (
        f"{Path(data).name} has changed since this run: {found}. The clusters are those of the earlier data. To "
        f"cluster the data as they are now, run vrae cluster again."
    )
    warn(notice, DataWarning)
    return RunSeries(_only(_read(panels()), known), "", notice)


def _without_known_warnings(panels: Iterable[Panel]) -> Iterator[Panel]:
    """Yield panels, and do not say again what was assumed and left out: the run has said it."""
    from vrae.exceptions import DataWarning, unsaid

    parts, done = iter(panels), object()
    known = ".* is not UTF-8 text|Left out .* of "
    while True:
        with unsaid(DataWarning, known):  # not across a yield, since it holds for the caller too
            panel: Any = next(parts, done)
        if panel is done:
            return
        yield panel


def _read(panels: Iterable[Panel]) -> Iterator[Panel]:
    """Yield panels, and announce it when the first of them is read."""
    announce("Reading")
    yield from panels


def _only(panels: Iterable[Panel], known: set[str]) -> Iterator[Panel]:
    """Yield the series with a known id."""
    for panel in panels:
        rows = [row for row, name in enumerate(panel.ids.tolist()) if str(name) in known]
        if rows:
            yield panel if len(rows) == len(panel) else panel.select(rows)
