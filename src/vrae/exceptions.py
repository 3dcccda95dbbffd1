"""Errors and warnings: each says what was found, where, and what to do about it.

VRAEError
├── InvalidDataError (ValueError)         the series themselves, or the table or file they came in
│   └── DataTypeError (TypeError)         of a type that holds no numbers: a sparse matrix, a dict
├── InvalidParameterError (ValueError)    an option: out of range, unknown, of the wrong type
├── NotFittedError (scikit-learn's)       a method that needs ``fit`` first
├── TrainingError (RuntimeError)          training cannot go on, for example a non-finite loss
├── ModelFileError                        a model directory that is missing, foreign, corrupt or too new
├── OutputError                           a result that cannot be written: folder in use, disk full
├── DatasetUnavailableError               an example data set that is neither on disk nor downloadable
└── MissingDependencyError (ImportError)  an optional package that a feature needs

VRAEWarning (UserWarning)
├── PosteriorCollapseWarning              the latent vector carries next to nothing
├── DivergenceWarning                     training ran away, and went on from its last good epoch, more slowly
└── DataWarning                           data that works, but that the user should know of

TrainingInterrupted (KeyboardInterrupt)   Ctrl-C, after training was saved
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from sklearn.exceptions import NotFittedError as SklearnNotFittedError

__all__ = [
    "DataTypeError",
    "DataWarning",
    "DatasetUnavailableError",
    "DivergenceWarning",
    "InvalidDataError",
    "InvalidParameterError",
    "MissingDependencyError",
    "ModelFileError",
    "NotFittedError",
    "OutputError",
    "PosteriorCollapseWarning",
    "TrainingError",
    "TrainingInterrupted",
    "VRAEError",
    "VRAEWarning",
]


class VRAEError(Exception):
    """Base of every error that vrae raises on purpose."""


class InvalidDataError(VRAEError, ValueError):
    """The series, or the table or file that they came in, cannot be used."""


class DataTypeError(InvalidDataError, TypeError):
    """The data, or a value in it, is of a type that holds no numbers; scikit-learn expects a TypeError here."""


class InvalidParameterError(VRAEError, ValueError):
    """An option is out of range, unknown or of the wrong type."""


class NotFittedError(VRAEError, SklearnNotFittedError):  # type: ignore[misc]
    """A fitted model is needed: call ``fit`` or ``load_model`` first."""


class TrainingError(VRAEError, RuntimeError):
    """Training cannot go on."""


class ModelFileError(VRAEError):
    """A model directory is missing, foreign, corrupt or of an unknown version."""


class OutputError(VRAEError):
    """A result cannot be written."""


class DatasetUnavailableError(VRAEError):
    """An example data set is neither on disk nor can it be downloaded."""


class MissingDependencyError(VRAEError, ImportError):
    """An optional package is not installed."""


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C stopped training after it was saved; the message says how to go on."""


class VRAEWarning(UserWarning):
    """Base of every warning of vrae."""


class PosteriorCollapseWarning(VRAEWarning):
    """The latent vector carries next to nothing about the series."""


class DivergenceWarning(VRAEWarning):
    """Training ran away; it went back to its last good epoch, and on at a lower learning rate."""


class DataWarning(VRAEWarning):
    """The data can be used, but there is something in it to know of."""


def name_some(names: Iterable[Any], limit: int = 5) -> str:
    """Write a few names out and count the rest: ``'a', 'b', 'c' and 4 more``."""
    names = list(names)
    # numpy scalars print as np.str_('a'); a user's id should look as it does in the user's file.
    shown = ", ".join(repr(n.item() if hasattr(n, "item") else n) for n in names[:limit])
    rest = len(names) - limit
    return f"{shown} and {rest} more" if rest > 0 else shown


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """End a message about an unknown ``name``: the nearest known one, and all of them, or the first of many."""
    near = get_close_matches(str(name), known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    more = f" and {len(known) - 20} more" if len(known) > 20 else ""
    return f"{hint} Known: {', '.join(known[:20])}{more}."
