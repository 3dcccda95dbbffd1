"""`vrae anomalies --window`: anomalous stretches of long series."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vrae.cli.phase_display import end_phase
from vrae.cli.saved_runs import flags_of
from vrae.cli.shared_options import DataOptions, ModelOptions
from vrae.cli.terminal import target, written

if TYPE_CHECKING:
    from vrae.data.panel import Panel
    from vrae.estimators.long_series import LongSeriesDetector
    from vrae.estimators.stretches import Stretch

__all__ = ["LongSeriesTask", "log_stretches", "note_few_long", "note_no_network"]

# Number of anomalous stretches that are printed.
_MOST_STRETCHES = 5
# Fewer series than this, of at least so many steps, are probably meant to be searched inside.
_FEW, _LONG = 10, 1000


@dataclass(frozen=True)
class LongSeriesTask:
    """The series of a command, and where its results go."""

    data: DataOptions
    file: Path
    stretches: Path | None
    save: Path | None
    log: Callable[[str], None]

    def fit(self, window: Any, stride: int | None, contamination: Any, false_alarm_rate: float) -> LongSeriesDetector:
        """Fit a detector to the series, and write their scores."""
        from vrae.estimators.long_series import LongSeriesDetector
        from vrae.estimators.option_tables import checked

        detector = checked(LongSeriesDetector(window, stride, contamination, false_alarm_rate))
        panel = self.data.panel(log=self.log)
        detector.fit(panel)
        if self.save is not None:
            detector.save(self.save)
        end_phase()
        self.log(f"Windows of {detector.window_:,} steps: {detector.window_reason_}.")
        self._write(panel, detector.scores_, detector.channel_scores_, detector.stretches_)
        return detector

    def score(self, detector: LongSeriesDetector, next_steps: bool) -> None:
        """Write the scores of other series, or of the next steps of the fitted ones."""
        from vrae.estimators.stretches import find_stretches
        from vrae.phases import announce

        panel = self.data.panel(model=detector, log=self.log)
        announce("Scoring")
        if next_steps:
            panel, scores, by_channel = detector.update_panel(panel)
            if self.save is not None:
                detector.save(self.save)
        else:
            panel, scores, by_channel = detector.score_panel(panel)
        found = find_stretches(panel, scores, by_channel, gap=detector.window_ // 2)
        self._write(panel, scores, by_channel, found)

    def _write(self, panel: Panel, scores: Any, by_channel: Any, stretches: Sequence[Stretch]) -> None:
        from vrae import runs

        columns = runs.long_series_columns(panel, scores, by_channel)
        names = [name for name in columns if name.startswith("score")]
        runs.write_columns(columns, target(self.file), names)
        if self.stretches is not None:
            runs.write_columns(runs.stretch_columns(stretches, panel.channels), target(self.stretches), ["score"])
        end_phase()
        log_stretches(stretches, self.file, self.log, with_channel=panel.n_channels > 1)
        _log_not_judged(scores, by_channel, self.log)


def log_stretches(
    stretches: Sequence[Stretch], file: Path, log: Callable[[str], None], with_channel: bool = False
) -> None:
    """Say how many stretches were found, and name the first ones."""
    end_phase()
    log(written(file, f"{len(stretches):,} anomalous stretch{'es' * (len(stretches) != 1)}"))
    for stretch in stretches[:_MOST_STRETCHES]:
        log(f"  {stretch}{f', {stretch.channel}' * with_channel}")


def _log_not_judged(scores: Any, by_channel: Any, log: Callable[[str], None]) -> None:
    """Say how many steps have no score, and how many have none in a channel."""
    import numpy as np

    unknown = np.isnan(scores)
    partly = int((np.isnan(by_channel).any(axis=1) & ~unknown).sum())
    parts = [f"{int(unknown.sum()):,} have no score"] * bool(unknown.any())
    parts += [f"{partly:,} have a score in some channels only"] * bool(partly)
    if parts:
        log(f"Of {len(scores):,} steps, {' and '.join(parts)}: too many values around them are missing.")


def note_no_network(options: ModelOptions, log: Callable[[str], None]) -> None:
    """Say that options of the network have no effect on windows."""
    if flags := flags_of(options):
        verb = "has" if len(flags) == 1 else "have"
        log(f"Note: {', '.join(flags)} {verb} no effect, since --window trains no network.")


def note_few_long(panel: Panel, log: Callable[[str], None]) -> None:
    """Say how to search inside series if they are few and long, since each counts as a whole."""
    if 0 < len(panel) < _FEW and (panel.lengths >= _LONG).all():
        log(
            f"Note: each of the {len(panel)} series, of {panel.lengths.min():,} steps or more, counts as a whole. "
            f"To find anomalous stretches inside them, pass --window auto."
        )
