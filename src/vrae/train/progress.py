"""Progress of training: a bar in the terminal, or below the cell of a notebook."""

from __future__ import annotations

import sys
import time
from html import escape
from typing import Any

from vrae.train.callbacks import Callback, Record, TrainingRun

__all__ = ["NotebookProgress", "ProgressBar", "in_notebook", "progress"]


def progress() -> Callback:
    """Return the progress callback for this environment."""
    return NotebookProgress() if in_notebook() else ProgressBar()


def in_notebook() -> bool:
    """Return whether this runs in a Jupyter kernel, without importing anything."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell"


class NotebookProgress(Callback):
    """A bar below the cell: epoch, loss, reconstruction, KL and remaining time."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._started = 0.0

    def on_train_begin(self, trainer: TrainingRun) -> None:
        """Show the empty bar."""
        from IPython.display import HTML, display

        self._started = time.monotonic()
        self._handle = display(HTML(self._bar(0, trainer.config.max_epochs, "")), display_id=True)

    def on_epoch_end(self, trainer: TrainingRun, record: Record) -> None:
        """Advance the bar."""
        from IPython.display import HTML

        done, total = int(record["epoch"]), trainer.config.max_epochs
        passed = time.monotonic() - self._started
        left = passed / done * (total - done)
        words = f"{_figures(record)} · {passed:.0f} s, {left:.0f} s left"
        self._handle.update(HTML(self._bar(done, total, words)))

    @staticmethod
    def _bar(done: int, total: int, words: str) -> str:
        return (
            f'<label style="font-variant-numeric: tabular-nums">Training, epoch {done}/{total} '
            f'<progress value="{done}" max="{total}"></progress> {escape(words)}</label>'
        )


class ProgressBar(Callback):
    """A bar in the terminal: epoch, loss, reconstruction, KL and remaining time."""

    def __init__(self) -> None:
        self._progress: Any = None
        self._task: Any = None

    def on_train_begin(self, trainer: TrainingRun) -> None:
        """Show the empty bar."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("[bold]Training[/]  epoch {task.completed}/{task.total}"),
            BarColumn(),
            TextColumn("{task.fields[numbers]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._progress.start()
        self._task = self._progress.add_task("train", total=trainer.config.max_epochs, numbers="")

    def on_epoch_end(self, trainer: TrainingRun, record: Record) -> None:
        """Advance the bar."""
        self._progress.update(self._task, completed=record["epoch"], numbers=_figures(record))

    def on_train_end(self, trainer: TrainingRun) -> None:
        """Restore the terminal."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


def _figures(record: Record) -> str:
    """Return the main figures of a record as text."""
    names = (("loss", "loss"), ("reconstruction", "reconstruction"), ("KL", "kl"))
    return " ".join(f"{name} {record[key]:.4g}" for name, key in names)
