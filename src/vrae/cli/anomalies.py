"""`vrae anomalies`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from vrae.cli.options import (
    Far,
    OutFile,
    Reading,
    Training,
    as_written,
    folder_of_parts,
    load_fitted,
    number_or_auto,
    with_groups,
)
from vrae.cli.terminal import target, teller

__all__ = ["anomalies"]

# Stretches of steps that are named.
_NAMED = 5

Fitted = Annotated[
    Path | None,
    typer.Option(
        "--model",
        "-m",
        metavar="FOLDER",
        help="A detector that --save wrote, or another model. None: learn from DATA.",
    ),
]
Save = Annotated[Path | None, typer.Option(metavar="FOLDER", help="Keep the fitted detector, for --model.")]
Steps = Annotated[
    Path | None,
    typer.Option(
        "--steps",
        metavar="FILE",
        parser=as_written,
        help="Also write a row a step: how far it is from what was expected.",
    ),
]
Contamination = Annotated[
    str | None,
    typer.Option(
        metavar="SHARE",
        help="Share of the series to call anomalies, up to 0.5 (default 0.05); or 'auto': by --false-alarm-rate.",
    ),
]
FalseAlarms = Annotated[
    float | None,
    typer.Option(metavar="RATE", help="Share of usual series that may be called anomalies (default 0.01)."),
]
Window = Annotated[
    str | None,
    typer.Option(
        metavar="N", help="Long series: judge windows of N steps; 'auto' is their period. Writes a row a step."
    ),
]
WindowStep = Annotated[
    int | None, typer.Option("--step", metavar="M", help="Steps from one window to the next (default: N / 16).")
]
Scaling = Annotated[
    Literal["series", "channel", "robust", "none"],
    typer.Option(help="'series' compares shapes; 'channel' and 'none' also see an unusual level."),
]


@with_groups
def anomalies(
    reading: Reading,
    training: Training,
    far: Far,
    model: Fitted = None,
    file: OutFile = Path("-"),
    steps: Steps = None,
    contamination: Contamination = None,
    false_alarm_rate: FalseAlarms = None,
    window: Window = None,
    step: WindowStep = None,
    scaling: Scaling = "series",
    save: Save = None,
) -> None:
    """Find series that are unlike the others, and the steps that make them so.

    Writes a row a series: id, anomaly (1 or 0), score (above 0: anomaly), the step furthest from what was expected,
    and how far, in standard deviations. With a detector as --model, a file may be larger than memory. With another
    model, that of a `vrae cluster` run for example, nothing is trained, and DATA itself says what is usual.

    Example: vrae anomalies beats.csv --out anomalies.csv --steps steps.parquet

    Example: vrae anomalies normal.csv --contamination auto --save detector --out normal-scores.csv

    Example: vrae anomalies new.parquet --model detector --out anomalies.csv

    Example: vrae anomalies sales.csv --model runs/sales --out anomalies.csv

    Example: vrae anomalies sensor.csv --id machine --time at --value load --window auto --out steps.csv
    """
    from vrae import runs
    from vrae.data.windows import windows
    from vrae.estimators.anomaly import VRAEAnomalyDetector
    from vrae.exceptions import InvalidParameterError

    tell = teller(training.quiet)
    if step is not None and window is None:
        raise InvalidParameterError("--step belongs to --window: give the number of steps of a window, or 'auto'.")
    if window is not None and steps is not None:
        raise InvalidParameterError("With --window the table --out has a row a step already; leave --steps out.")
    size = None if window is None else number_or_auto("--window", window)
    cut = None
    fitted = None if model is None else load_fitted(model, training.on_invalid)
    settled = isinstance(fitted, VRAEAnomalyDetector)
    if far.is_ray and (not settled or window is not None):
        raise InvalidParameterError(
            "--engine ray judges whole series by a detector that is fitted already. Fit one to some series on one "
            "machine (vrae anomalies SOME --save detector), and pass --model detector, without --window."
        )
    if isinstance(fitted, VRAEAnomalyDetector):
        fitting = {"--contamination": contamination, "--false-alarm-rate": false_alarm_rate, "--save": save}
        given = [name for name, value in fitting.items() if value is not None]
        if given:
            raise InvalidParameterError(f"{given[0]} belongs to fitting; the threshold of {model} is settled.")
        detector = fitted
        if far.is_ray:
            _judge_on_ray(detector, reading, far, file, steps, tell)
            return
        if size is not None:
            cut = windows(reading.panel(), detector.n_steps_ if size == "auto" else size, step)
    else:
        panel = reading.panel()
        cut = None if size is None else windows(panel, size, step)
        tell(f"Learning what is usual in {panel!r}" + (f", {len(cut.panel):,} windows" if cut else ""))
        own = (_share(contamination), 0.01 if false_alarm_rate is None else false_alarm_rate)
        # A gap longer than a window is no reason to stop.
        on_invalid = training.on_invalid if cut is None else "keep"
        source = panel if cut is None else cut.panel
        if fitted is not None:
            detector = VRAEAnomalyDetector.of(fitted.set_params(on_invalid=on_invalid), source, *own)
        else:
            options = {**training.options(), "scaling": None if scaling == "none" else scaling}
            detector = VRAEAnomalyDetector(*own, **{**options, "on_invalid": on_invalid}).fit(source)
        if save is not None:
            detector.save(save)
    if cut is not None:
        detector.set_params(on_invalid="keep")
        columns = runs.window_steps(detector, cut)
        runs.write_columns(columns, target(file))
        _tell_stretches(runs.stretches(columns), tell)
        return
    panels = reading.panels() if settled else iter([panel])
    found, total = runs.write_anomalies(detector, panels, target(file), steps)
    tell(f"{found:,} of {total:,} series are anomalies.")


def _judge_on_ray(
    detector: Any, reading: Reading, far: Far, file: Path, steps: Path | None, tell: Callable[[str], None]
) -> None:
    from vrae import distributed

    place, of_steps = folder_of_parts(file), None if steps is None else folder_of_parts(steps)
    found, total = distributed.find_anomalies(
        detector, reading.data, place, of_steps, engine=far.ray(), tell=tell, **reading.options()
    )
    tell(f"{found:,} of {total:,} series are anomalies.")


def _share(contamination: str | None) -> float | Literal["auto"]:
    from vrae.exceptions import InvalidParameterError

    if contamination in (None, "auto"):
        return "auto" if contamination else 0.05
    try:
        return float(str(contamination))
    except ValueError:
        raise InvalidParameterError(f"--contamination must be a number or 'auto'; found {contamination!r}.") from None


def _tell_stretches(found: list[tuple[Any, int, int, float]], tell: Callable[[str], None]) -> None:
    tell(f"{len(found):,} stretch{'es' * (len(found) != 1)} of unusual steps.")
    for name, first, last, score in found[:_NAMED]:
        tell(f"  {name}: steps {first:,} to {last:,}, score {score:.2f}")
