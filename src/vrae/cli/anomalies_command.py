"""`vrae anomalies`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from vrae.cli.long_anomalies import LongSeriesTask, log_stretches, note_few_long, note_no_network
from vrae.cli.option_groups import as_written, folder_for_parts, fraction_or_auto, number_or_auto, option, with_groups
from vrae.cli.phase_display import end_phase
from vrae.cli.saved_runs import load_fitted, note_unused
from vrae.cli.shared_options import OUTPUT, DataOptions, EngineGroup, FittedModel, ModelOptions, OutFile, Save
from vrae.cli.terminal import logger_for, target, usage_error, written
from vrae.phases import announce

if TYPE_CHECKING:
    from vrae.data.panel import Panel
    from vrae.estimators.anomaly import VRAEAnomalyDetector

__all__ = ["anomalies"]

ANOMALIES = "Anomalies"

_STRETCHES_HELP = "With --window: also write the anomalous stretches, one row each."
Stretches = Annotated[Path | None, option(OUTPUT, "--stretches", "FILE", _STRETCHES_HELP, parser=as_written)]
_STEPS_HELP = "Also write the deviation of each time step from its expected value."
StepScores = Annotated[Path | None, option(OUTPUT, "--step-scores", "FILE", _STEPS_HELP, parser=as_written)]
Contamination = Annotated[
    str | None,
    option(
        ANOMALIES,
        "--contamination",
        "FRACTION",
        "Fraction of anomalies, up to 0.5, or 'auto': by --false-alarm-rate.",
        "0.05",
    ),
]
FalseAlarmRate = Annotated[
    float | None,
    option(ANOMALIES, "--false-alarm-rate", "RATE", "Fraction of normal series to call anomalies.", "0.01"),
]
Window = Annotated[
    str | None,
    option(
        ANOMALIES, "--window", "STEPS", "Long series: score the steps by windows of this length. 'auto': the period."
    ),
]
NextSteps = Annotated[
    bool,
    option(ANOMALIES, "--next-steps", "", "DATA are the next steps of the long series that --model was fitted to."),
]
Stride = Annotated[
    int | None,
    option(ANOMALIES, "--stride", "STEPS", "Steps from one window to the next.", "about a sixteenth of the window"),
]

_LEARNED = (
    "The model was fitted to series with these ids. If they are the same series, it may have learned their anomalies, "
    "and the steps it names can be wrong. To find the steps, leave --model out."
)


@with_groups(defaults={"beta": "0.3", "learning_rate": "0.005", "timing": "free"})
def anomalies(
    *,
    data: DataOptions,
    contamination: Contamination = None,
    false_alarm_rate: FalseAlarmRate = None,
    window: Window = None,
    stride: Stride = None,
    next_steps: NextSteps = False,
    model: FittedModel = None,
    options: ModelOptions,
    file: OutFile = Path("-"),
    step_scores: StepScores = None,
    stretches: Stretches = None,
    save: Save = None,
    engine: EngineGroup,
) -> None:
    """Find anomalous series, and the time steps that make them anomalous.

    Writes one row per series: id, anomaly (1 or 0), score (above 0: anomaly), the step with the
    largest deviation from its expected value, and that deviation in standard deviations.

    Without --model, vrae trains on DATA. A saved detector (--save) scores new series, and DATA can
    then be larger than memory. With the model of a `vrae cluster` run, nothing is trained, and DATA
    defines what is normal.

    With --window, writes one row per time step of long series instead: id, step, time, anomaly and
    score. Each window is compared with the others, and no network is trained.

    Example: vrae anomalies beats.csv --out anomalies.csv --step-scores steps.parquet
    Example: vrae anomalies normal.csv --contamination auto --save detector --out normal-scores.csv
    Example: vrae anomalies new.parquet --model detector --out anomalies.csv
    Example: vrae anomalies sensor.csv --id machine --time at --window auto --stretches found.csv
    """
    log = logger_for(options.quiet)
    on_invalid = options.on_invalid if window is None else "keep"  # a gap can be longer than a window
    fitted = None if model is None else load_fitted(model, on_invalid)
    task = _AnomalyTask(data, options, log, fitted, model, contamination, false_alarm_rate, file, save)
    is_long = window is not None if fitted is None else task.is_long
    for_training: dict[str, Any] = {"--contamination": contamination, "--false-alarm-rate": false_alarm_rate}
    for_training |= {} if next_steps else {"--save": save}
    _check_usage(task.detector, model, window, stride, step_scores, for_training, engine.is_ray)
    if (next_steps or stretches is not None) and not is_long:
        raise usage_error(
            "--next-steps and --stretches are for long series: --window without a model, or the --model of such a fit."
        )
    if next_steps and fitted is None:
        raise usage_error("--next-steps needs --model: the detector that was fitted to the steps before.")
    if str(stretches) == str(file) == "-":
        raise usage_error("--stretches must be a file: standard output is for --out.")
    if is_long:
        task.long_series(window, stride, stretches, next_steps)
    elif task.detector is not None and engine.is_ray:
        note_unused(options, model, log)
        _score_on_ray(task.detector, data, engine, file, step_scores, options.quiet)
    elif window is None:
        task.whole_series(step_scores)
    else:
        task.windows(window, stride)


@dataclass(frozen=True)
class _AnomalyTask:
    """The options of `vrae anomalies` that all of its three ways of working have."""

    data: DataOptions
    options: ModelOptions
    log: Callable[[str], None]
    fitted: Any
    model: Path | None
    contamination: str | None
    false_alarm_rate: float | None
    file: Path
    save: Path | None

    @property
    def detector(self) -> Any:
        """The fitted estimator, if it is a detector."""
        from vrae.estimators.anomaly import VRAEAnomalyDetector

        return self.fitted if self.is_long or isinstance(self.fitted, VRAEAnomalyDetector) else None

    @property
    def is_long(self) -> bool:
        """Whether the fitted estimator is a detector of long series."""
        from vrae.estimators.long_series import LongSeriesDetector

        return isinstance(self.fitted, LongSeriesDetector)

    def long_series(self, window: str | None, stride: int | None, stretches: Path | None, next_steps: bool) -> None:
        """Score the steps of long series."""
        task = LongSeriesTask(self.data, self.file, stretches, self.save, self.log)
        detector = self.fitted
        if detector is None:
            note_no_network(self.options, self.log)
            detector = task.fit(number_or_auto("--window", str(window)), stride, *self._threshold())
        else:
            note_unused(self.options, self.model, self.log, *(["--window"] if window is not None else []))
            task.score(detector, next_steps=next_steps)
        if not next_steps:
            self.log(_rule(detector, "steps"))

    def whole_series(self, step_scores: Path | None) -> None:
        """Score series, in parts if the detector is fitted already."""
        from vrae import runs

        note_unused(self.options, self.model, self.log)
        detector, panels = self.detector, self.data.panels(self.fitted, self.log)
        notes: list[str] = []
        if detector is None:
            detector = self._unfitted(self.options.on_invalid)
            panel = self.data.panel(model=self.fitted, log=self.log)
            note_few_long(panel, self.log)
            self._fit(detector, panel)
            panels = iter([panel])
            if self.fitted is not None and not set(panel.ids.tolist()).isdisjoint(self.fitted.ids_.tolist()):
                notes.append(_LEARNED)
        found, total = runs.write_anomalies(detector, panels, target(self.file), step_scores, tell=notes.append)
        end_phase()
        for line in (written(self.file, f"{found:,} of {total:,} series are anomalies"), *notes, _rule(detector)):
            self.log(line)

    def windows(self, window: str, stride: int | None) -> None:
        """Score the steps of long series by a model of series: each window is a series."""
        from vrae import runs
        from vrae.data.sliding import sliding_windows
        from vrae.estimators.stretches import find_stretches

        note_unused(self.options, self.model, self.log)
        detector, size = self.detector, number_or_auto("--window", window)
        if size == "auto" and detector is not None:
            size = detector.model_.n_steps_
        new = self._unfitted("keep") if detector is None else None
        windows = sliding_windows(self.data.panel(model=self.fitted, log=self.log), size, stride)
        if new is not None:
            detector = self._fit(new, windows.panel)
        announce("Scoring")
        columns = runs.window_scores(detector, windows)
        runs.write_columns(columns, target(self.file), runs.score_names(windows.source.channels))
        log_stretches(find_stretches(windows.source, columns["score"]), self.file, self.log)
        self.log(_rule(detector, "windows"))

    def _unfitted(self, on_invalid: str) -> VRAEAnomalyDetector:
        """Return a detector to fit. Its options are checked before the series are read."""
        from sklearn.frozen import FrozenEstimator

        from vrae.estimators.anomaly import VRAEAnomalyDetector
        from vrae.estimators.option_tables import checked

        detector = VRAEAnomalyDetector(*self._threshold(), random_state=self.options.seed)
        if self.fitted is None:
            detector.model = self.options.model(detector.default_model(), on_invalid=on_invalid)
        else:
            detector.model = FrozenEstimator(self.fitted)  # used as it is
        checked(detector)
        return detector

    def _fit(self, detector: VRAEAnomalyDetector, panel: Panel) -> VRAEAnomalyDetector:
        """Fit a detector to a panel, save it if asked for, and return it."""
        detector.fit(panel)
        if self.save is not None:
            detector.save(self.save)
        return detector

    def _threshold(self) -> tuple[Any, float]:
        """Return both options of the threshold, and say if one of them has no effect."""
        share, rate = self.contamination, self.false_alarm_rate
        if rate is not None and share != "auto":
            self.log("Note: --false-alarm-rate has no effect without --contamination auto.")
        return (
            0.05 if share is None else fraction_or_auto("--contamination", share),
            0.01 if rate is None else rate,
        )


def _rule(detector: Any, what: str = "series") -> str:
    """Say what the number of anomalies follows from."""
    if detector.contamination == "auto":
        rate = f"{100 * detector.false_alarm_rate:g} %"
        return f"Of new normal {what}, about {rate} would count as anomalous (--false-alarm-rate)."
    share = f"{100 * detector.contamination:g} %"
    return f"The threshold is set so that {share} of the training {what} count as anomalous (--contamination)."


def _check_usage(
    detector: Any,
    model: Path | None,
    window: str | None,
    stride: int | None,
    step_scores: Path | None,
    for_training: dict[str, Any],
    is_ray: bool,
) -> None:
    if stride is not None and window is None:
        raise usage_error("--stride needs --window: the length of a window in steps, or 'auto'.")
    if window is not None and step_scores is not None:
        raise usage_error("With --window, --out has one row per time step already. Leave out --step-scores.")
    if str(step_scores) == "-":
        raise usage_error("--step-scores must be a file: standard output is for --out.")
    if is_ray and (detector is None or window is not None):
        raise usage_error(
            "--engine ray needs a fitted detector, and no --window. Fit a detector to some series on one machine "
            "(vrae anomalies SOME --save detector), then pass --model detector."
        )
    given = [name for name, value in for_training.items() if value is not None]
    if detector is not None and given:
        raise usage_error(f"{given[0]} is for training. The threshold of {model} is fixed.")


def _score_on_ray(
    detector: VRAEAnomalyDetector,
    data: DataOptions,
    engine: EngineGroup,
    file: Path,
    step_scores: Path | None,
    quiet: bool,
) -> None:
    from vrae import distributed

    log = logger_for(quiet)
    by_series, by_step = folder_for_parts(file), None if step_scores is None else folder_for_parts(step_scores)
    found, total = distributed.find_anomalies(
        detector, data.data, by_series, by_step, engine=engine.options(), log=log, **data.options(detector)
    )
    log(written(file, f"{found:,} of {total:,} series are anomalies"))
    log(_rule(detector))
