"""Messages in the words of the command line: ``--time week`` and not ``time='week'``."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection
from contextvars import ContextVar

__all__ = ["in_command_words", "options_of_command"]

# Options of the command that is running.
options_of_command: ContextVar[frozenset[str]] = ContextVar("options_of_command", default=frozenset())

# Options that have another name in Python.
_RENAMED = {
    "max_epochs": "epochs",
    "n_clusters": "clusters",
    "n_neighbors": "neighbors",
    "random_state": "seed",
    "season_length": "season",
    "step": "stride",
}
_NAME = r"(?<![\w'\"./-])([a-z]+(?:_[a-z]+)*)"
# time='week', freq=7 or id= (which ends a sentence). Lists and calls stay as they are.
_ASSIGNED = re.compile(_NAME + r"=(?![\[({])(?:'([^']*)'|\"([^\"]*)\"|([\w+-]+(?:\.\w+)*))?")
# pattern_weight anywhere, and beta in "beta must be ..." at the beginning of a sentence
_MENTIONED = re.compile(
    r"(?<![\w'\"./-])([a-z]+(?:_[a-z]+)+)(?![\w'\"/=-]|\.\w)|(?:^|(?<=[.:?] ))([a-z]+)(?= must be |: unknown value )"
)
# Choices that only Python has.
_PHRASES = {
    "on_invalid='drop' to leave them out, or ": "",
    "resume=False (--overwrite)": "--overwrite",
}


def in_command_words(message: str, options: Collection[str]) -> str:
    """Replace Python arguments in a message by options.

    Parameters
    ----------
    message : str
    options : collection of str
        Options of the command, without dashes: "train-sample". Other names are not replaced.
    """

    def option(name: str) -> str | None:
        found = _RENAMED.get(name, name).replace("_", "-")
        return f"--{found}" if found in options else None

    def assigned(found: re.Match[str]) -> str:
        name = option(found[1])
        if name is None:
            return found[0]
        value = next((part for part in found.groups()[1:] if part is not None), "True")
        if value in ("True", "False"):
            return name if value == "True" else name.replace("--", "--no-", 1)
        return f"{name} {shlex.quote(value)}"

    for phrase, replacement in _PHRASES.items():
        message = message.replace(phrase, replacement)
    message = _ASSIGNED.sub(assigned, message)
    return _MENTIONED.sub(lambda found: option(found[1] or found[2]) or found[0], message)
