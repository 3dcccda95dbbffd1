"""Progress in a notebook: a bar below the cell that moves, with no widgets to install."""

from __future__ import annotations

import sys
import time
from html import escape
from typing import TYPE_CHECKING, Any

from vrae.train.callbacks import Callback, ProgressBar, Record, numbers_of

if TYPE_CHECKING:
    from vrae.train.loop import Trainer

__all__ = ["NotebookProgress", "in_notebook", "progress"]


def in_notebook() -> bool:
    """Whether this runs in a Jupyter kernel; imports nothing that is not there already."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell"


def progress() -> Callback:
    """Return what shows progress here: in a notebook, or in a terminal."""
    return NotebookProgress() if in_notebook() else ProgressBar()


class NotebookProgress(Callback):
    """A bar below the cell: epoch, loss, reconstruction, KL and the time left."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._started = 0.0

    def on_train_begin(self, trainer: Trainer) -> None:
        """Show the empty bar."""
        from IPython.display import HTML, display

        self._started = time.monotonic()
        self._handle = display(HTML(self._bar(0, trainer.config.max_epochs, "")), display_id=True)

    def on_epoch_end(self, trainer: Trainer, record: Record) -> None:
        """Move the bar on."""
        from IPython.display import HTML

        if self._handle is None:
            return
        done, total = int(record["epoch"]), trainer.config.max_epochs
        passed = time.monotonic() - self._started
        left = passed / done * (total - done)
        words = f"{numbers_of(record)} · {passed:.0f} s, {left:.0f} s left"
        self._handle.update(HTML(self._bar(done, total, words)))

    @staticmethod
    def _bar(done: int, total: int, words: str) -> str:
        return (
            f'<label style="font-variant-numeric: tabular-nums">Training, epoch {done}/{total} '
            f'<progress value="{done}" max="{total}"></progress> {escape(words)}</label>'
        )
