"""`vrae anomalies`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from vrae.cli.option_groups import option, with_groups
from vrae.cli.parsing import as_written, folder_for_parts, number_or_auto
from vrae.cli.saved_runs import load_fitted, note_unused
from vrae.cli.shared_options import OUTPUT, DataOptions, EngineGroup, FittedModel, ModelOptions, OutFile, Save
from vrae.cli.terminal import logger_for, target

if TYPE_CHECKING:
    from vrae.data.panel import Panel
    from vrae.data.sliding import SlidingWindows
    from vrae.estimators.anomaly import VRAEAnomalyDetector

__all__ = ["anomalies"]

ANOMALIES = "Anomalies"

# Number of anomalous segments that are printed.
_MOST_SEGMENTS = 5

StepScores = Annotated[
    Path | None,
    option(
        OUTPUT,
        "--step-scores",
        "FILE",
        "Also write the deviation of each time step from its expected value.",
        parser=as_written,
    ),
]
Contamination = Annotated[
    str | None,
    option(
        ANOMALIES,
        "--contamination",
        "FRACTION",
        "Fraction of anomalies, up to 0.5, or 'auto': by --false-alarm-rate.",
        default="0.05",
    ),
]
FalseAlarmRate = Annotated[
    float | None,
    option(ANOMALIES, "--false-alarm-rate", "RATE", "Fraction of normal series to call anomalies.", default="0.01"),
]
Window = Annotated[
    str | None,
    option(
        ANOMALIES,
        "--window",
        "STEPS",
        "Long series: score the steps by windows of this length. 'auto': the period.",
    ),
]
Stride = Annotated[
    int | None,
    option(ANOMALIES, "--stride", "STEPS", "Steps from one window to the next.", default="a sixteenth of the window"),
]


@with_groups(defaults={"beta": "0.3", "learning_rate": "0.005"})
def anomalies(
    *,
    data: DataOptions,
    contamination: Contamination = None,
    false_alarm_rate: FalseAlarmRate = None,
    window: Window = None,
    stride: Stride = None,
    model: FittedModel = None,
    options: ModelOptions,
    file: OutFile = Path("-"),
    step_scores: StepScores = None,
    save: Save = None,
    engine: EngineGroup,
) -> None:
    """Find anomalous series, and the time steps that make them anomalous.

    Writes one row per series: id, anomaly (1 or 0), score (above 0: anomaly), the step with the
    largest deviation from its expected value, and that deviation in standard deviations.

    Without --model, vrae trains on DATA. A saved detector (--save) scores new series, and DATA can
    then be larger than memory. With the model of a `vrae cluster` run, nothing is trained, and DATA
    defines what is normal.

    Example: vrae anomalies beats.csv --out anomalies.csv --step-scores steps.parquet
    Example: vrae anomalies normal.csv --contamination auto --save detector --out normal-scores.csv
    Example: vrae anomalies new.parquet --model detector --out anomalies.csv
    Example: vrae anomalies sensor.csv --id machine --time at --window auto --out steps.csv
    """
    from vrae.data.sliding import sliding_windows
    from vrae.estimators.anomaly import VRAEAnomalyDetector

    log = logger_for(options.quiet)
    on_invalid = options.on_invalid if window is None else "keep"  # a gap can be longer than a window
    fitted = None if model is None else load_fitted(model, on_invalid)
    detector = fitted if isinstance(fitted, VRAEAnomalyDetector) else None
    for_training = {"--contamination": contamination, "--false-alarm-rate": false_alarm_rate, "--save": save}
    _check_usage(detector, model, window, stride, step_scores, for_training, engine.is_ray)
    if model is not None:
        note_unused(options.given(), model, log)
    if detector is not None and engine.is_ray:
        _score_on_ray(detector, data, engine, file, step_scores, log)
        return
    windows = None
    if window is not None:
        size = number_or_auto("--window", window)
        if size == "auto" and detector is not None:
            size = detector.model_.n_steps_
        windows = sliding_windows(data.panel(), size, stride)
    panels = data.panels() if windows is None else iter([windows.panel])
    if detector is None:
        panel = data.panel() if windows is None else windows.panel
        log(f"Learning what is normal in {panel!r}")
        detector = VRAEAnomalyDetector(
            _fraction(contamination),
            0.01 if false_alarm_rate is None else false_alarm_rate,
            random_state=options.seed,
        )
        detector.model = _model_of(detector, fitted, options, on_invalid)
        detector.fit(panel)
        panels = iter([panel])
        if save is not None:
            detector.save(save)
    if windows is None:
        _write_series(detector, panels, file, step_scores, log)
    else:
        _write_steps(detector, windows, file, log)


def _check_usage(
    detector: VRAEAnomalyDetector | None,
    model: Path | None,
    window: str | None,
    stride: int | None,
    step_scores: Path | None,
    for_training: dict[str, Any],
    is_ray: bool,
) -> None:
    from vrae.exceptions import InvalidParameterError

    if stride is not None and window is None:
        raise InvalidParameterError("--stride needs --window: the length of a window in steps, or 'auto'.")
    if window is not None and step_scores is not None:
        raise InvalidParameterError("With --window, --out has one row per time step already. Leave out --step-scores.")
    if is_ray and (detector is None or window is not None):
        raise InvalidParameterError(
            "--engine ray needs a fitted detector, and no --window. Fit a detector to some series on one machine "
            "(vrae anomalies SOME --save detector), then pass --model detector."
        )
    given = [name for name, value in for_training.items() if value is not None]
    if detector is not None and given:
        raise InvalidParameterError(f"{given[0]} is for training. The threshold of {model} is fixed.")


def _model_of(detector: VRAEAnomalyDetector, fitted: Any, options: ModelOptions, on_invalid: str) -> Any:
    """Return the model of a new detector: a fitted one that is used as it is, or one to train."""
    from sklearn.frozen import FrozenEstimator

    if fitted is not None:
        return FrozenEstimator(fitted)
    return options.model(detector.default_model(), on_invalid=on_invalid)


def _write_series(
    detector: VRAEAnomalyDetector,
    panels: Iterator[Panel],
    file: Path,
    step_scores: Path | None,
    log: Callable[[str], None],
) -> None:
    from vrae import runs

    found, total = runs.write_anomalies(detector, panels, target(file), step_scores)
    log(f"{found:,} of {total:,} series are anomalies.")


def _write_steps(
    detector: VRAEAnomalyDetector, windows: SlidingWindows, file: Path, log: Callable[[str], None]
) -> None:
    from vrae import runs

    columns = runs.window_scores(detector, windows)
    runs.write_columns(columns, target(file))
    segments = runs.find_segments(columns)
    log(f"{len(segments):,} anomalous segment{'s' * (len(segments) != 1)}.")
    for name, first, last, score in segments[:_MOST_SEGMENTS]:
        log(f"  {name}: steps {first:,} to {last:,}, score {score:.2f}")


def _score_on_ray(
    detector: VRAEAnomalyDetector,
    data: DataOptions,
    engine: EngineGroup,
    file: Path,
    step_scores: Path | None,
    log: Callable[[str], None],
) -> None:
    from vrae import distributed

    by_series, by_step = folder_for_parts(file), None if step_scores is None else folder_for_parts(step_scores)
    found, total = distributed.find_anomalies(
        detector, data.data, by_series, by_step, engine=engine.options(), log=log, **data.options()
    )
    log(f"{found:,} of {total:,} series are anomalies.")


def _fraction(contamination: str | None) -> float | Literal["auto"]:
    from vrae.exceptions import InvalidParameterError

    if contamination is None:
        return 0.05
    if contamination == "auto":
        return "auto"
    try:
        return float(contamination)
    except ValueError:
        raise InvalidParameterError(f"--contamination must be a number or 'auto'; found {contamination!r}.") from None
