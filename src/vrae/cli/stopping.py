"""What a command says after Ctrl-C: what is complete, what can be continued, or that nothing is."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vrae.cli.terminal import Stopped

if TYPE_CHECKING:
    from vrae.io.interrupts import Outputs
    from vrae.train.checkpoint import Checkpoint

__all__ = ["resumable", "stopped_words"]

_STDOUT = "standard output"
_AGAIN = "Run the same call again to resume."  # in Python


def stopped_words(outputs: Outputs) -> str:
    """Say what a command had written when it was stopped."""
    complete = [name for name in dict.fromkeys(outputs.complete) if name == _STDOUT or Path(name).exists()]
    words = ["Stopped."]
    if outputs.begun:
        words.append(f"{' and '.join(outputs.begun)} got only a part of the result.".capitalize())
    if outputs.kept:
        kept = " and ".join(outputs.kept)
        words.append(f"Finished parts are kept in {kept}. Run the same command again: it continues with the others.")
    if complete:
        words.append(f"Complete: {', '.join(complete)}. Nothing else was written.")
    return " ".join(words) if len(words) > 1 else "Stopped. Nothing was written."


@contextmanager
def resumable(saving: Checkpoint) -> Iterator[None]:
    """Say after Ctrl-C how to resume, if training was saved and the run is not complete."""
    from vrae.exceptions import TrainingInterrupted

    try:
        yield
    except KeyboardInterrupt as stop:
        if not saving.is_saved:
            raise
        when = str(stop).removesuffix(_AGAIN).strip() if isinstance(stop, TrainingInterrupted) else "Stopped."
        where = "" if isinstance(stop, TrainingInterrupted) else f" The training is saved in {saving.folder}."
        given = [word for word in sys.argv[1:] if word not in ("--resume", "--overwrite")]
        raise Stopped(f"{when}{where}\nTo resume: {shlex.join(['vrae', *given, '--resume'])}") from None
