"""Errors and warnings. Each message says what was found, where, and what to do about it.

VRAEError
├── InvalidDataError (ValueError)         the series, or the table or file they came from
│   └── DataTypeError (TypeError)         a type that holds no numbers: a sparse matrix, a dict
├── InvalidParameterError (ValueError)    an option that is out of range, unknown or mistyped
├── NotFittedError (scikit-learn's)       a method that needs ``fit`` first
├── TrainingError (RuntimeError)          training cannot continue, for example a non-finite loss
├── ModelFileError                        a model directory: missing, foreign, corrupt or too new
├── OutputError                           a result that cannot be written: folder in use, disk full
├── DatasetUnavailableError               an example data set that cannot be found or downloaded
└── MissingDependencyError (ImportError)  an optional package that a feature needs

VRAEWarning (UserWarning)
├── PosteriorCollapseWarning              the latent vectors carry almost no information
├── DivergenceWarning                     training diverged and resumed at a lower learning rate
└── DataWarning                           usable data with a property that the user should know

TrainingInterrupted (KeyboardInterrupt)   Ctrl-C, after training was saved
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any
from weakref import WeakSet

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
    "SharedContext",
    "Silence",
    "TrainingError",
    "TrainingInterrupted",
    "VRAEError",
    "VRAEWarning",
    "check_installed",
    "did_you_mean",
    "first_line",
    "name_some",
    "shortened",
    "unsaid",
    "warn",
]


class VRAEError(Exception):
    """Base of every error that vrae raises on purpose."""


class InvalidDataError(VRAEError, ValueError):
    """The series, or the table or file they came from, cannot be used."""


class DataTypeError(InvalidDataError, TypeError):
    """The data has a type that holds no numbers. scikit-learn expects a TypeError here."""


class InvalidParameterError(VRAEError, ValueError):
    """An option is out of range, unknown or of the wrong type."""


class NotFittedError(VRAEError, SklearnNotFittedError):  # type: ignore[misc]
    """A fitted model is needed: call ``fit`` or ``load_model`` first."""


class TrainingError(VRAEError, RuntimeError):
    """Training cannot continue."""


class ModelFileError(VRAEError):
    """A model directory is missing, foreign, corrupt or of an unknown version."""


class OutputError(VRAEError):
    """A result cannot be written."""


class DatasetUnavailableError(VRAEError):
    """An example data set is not on disk and cannot be downloaded."""


class MissingDependencyError(VRAEError, ImportError):
    """An optional package is not installed."""


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C stopped training after it was saved. The message says how to resume."""


class VRAEWarning(UserWarning):
    """Base of every warning of vrae."""


class PosteriorCollapseWarning(VRAEWarning):
    """The latent vectors carry almost no information about the series."""


class DivergenceWarning(VRAEWarning):
    """Training diverged. It resumed from the last good epoch at a lower learning rate."""


class DataWarning(VRAEWarning):
    """The data can be used, but has a property that the user should know."""


def name_some(names: Iterable[Any], limit: int = 5) -> str:
    """List a few names and count the rest: ``'a', 'b', 'c' and 4 more``."""
    names = list(names)
    # numpy scalars print as np.str_('a'). An id should look as it does in the user's file.
    shown = ", ".join(shortened(n.item() if hasattr(n, "item") else n, 240) for n in names[:limit])  # paths are long
    rest = len(names) - limit
    return f"{shown} and {rest} more" if rest > 0 else shown


def shortened(value: Any, longest: int = 80) -> str:
    """Return a value as text for a message, of at most ``longest`` characters."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, or lists in lists in lists
        return f"a {type(value).__name__} that is too long to show"
    text = " ".join(text.split()) if "\n" in text else text  # a table or an array has several lines
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def first_line(error: BaseException, longest: int = 300) -> str:
    """Return the first line of an error of another library, without its last dot; else its type."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:longest].rstrip(" .!")


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """Return the end of a message about an unknown ``name``: the closest match and known names."""
    near = get_close_matches(str(name), known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    more = f" and {len(known) - 20} more" if len(known) > 20 else ""
    return f"{hint} Known: {', '.join(known[:20])}{more}."


def check_installed(package: str, extra: str, purpose: str, otherwise: str = "") -> None:
    """Raise if an optional package is not installed, without importing it.

    Parameters
    ----------
    package : str
        As in ``import package``.
    extra : str
        The extra of vrae that installs it.
    purpose : str
        What needs the package. Starts the message.
    otherwise : str, default=""
        A sentence on how to do without the package. Ends the message.

    Raises
    ------
    MissingDependencyError
    """
    found = sys.modules[package] if package in sys.modules else find_spec(package)
    if found is None:
        message = f"{purpose} needs the package {package}: pip install 'vrae[{extra}]'. {otherwise}"
        raise MissingDependencyError(message.rstrip())


# The warnings of vrae that this thread does not give now: a category, and how messages begin.
_UNSAID: ContextVar[tuple[tuple[type[VRAEWarning], str], ...]] = ContextVar("unsaid", default=())


def warn(message: str, category: type[VRAEWarning]) -> None:
    """Warn at the user's own line: the first stack frame outside this package."""
    if any(issubclass(category, kind) and re.match(text, message) for kind, text in _UNSAID.get()):
        return
    package = str(Path(__file__).parent)
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(package):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


@contextmanager
def unsaid(category: type[VRAEWarning] = VRAEWarning, message: str = "") -> Iterator[None]:
    """Give no warnings of vrae whose text matches ``message``, in this thread alone."""
    before = _UNSAID.set((*_UNSAID.get(), (category, message)))
    try:
        yield
    finally:
        _UNSAID.reset(before)


class _Entered:
    """Stands for a context that was entered."""


class SharedContext:
    """A context that holds while any thread of the process is inside, and ends with the last one.

    Ctrl-C may come at any moment. Then a context that was not left dies with its frame, and the
    next one to be left ends it.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside: WeakSet[_Entered] = WeakSet()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Hold until the context ends."""
        own = _Entered()
        try:
            with self._lock:
                self._inside.add(own)
                self._hold()
            yield
        finally:
            with self._lock:
                self._inside.discard(own)
                if not self._inside:
                    self._end()

    def _hold(self) -> None:
        """Make it hold, if it does not already."""
        raise NotImplementedError

    def _end(self) -> None:
        """Put back what was before."""
        raise NotImplementedError


class Silence(SharedContext):
    """Silences warnings of another package while any thread of the process is inside.

    `warnings.catch_warnings` puts back the list of filters that it found. Between threads, that
    list may hold the filters of another one, which then stay. Here the last one to leave takes out
    this filter alone. Others are silenced too while a thread is inside, so be precise.

    Parameters
    ----------
    category : type, default=Warning
    message, module : str, default=""
        Regular expressions for the beginning of the text, and of the module that is blamed.
    """

    def __init__(self, category: type[Warning] = Warning, message: str = "", module: str = "") -> None:
        super().__init__()
        self._filter = ("ignore", re.compile(message, re.IGNORECASE), category, re.compile(module), 0)
        self._lists: list[Any] = []  # that got the filter: `catch_warnings` of others puts in copies

    def _hold(self) -> None:
        filters: Any = warnings.filters
        if not any(found is self._filter for found in filters):
            filters.insert(0, self._filter)
            self._lists.append(filters)

    def _end(self) -> None:
        for filters in (*self._lists, warnings.filters):
            filters[:] = [found for found in filters if found is not self._filter]
        self._lists = []
