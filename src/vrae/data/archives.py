"""Read the file formats of the UCR and UEA archives: ``.ts``, ``.arff`` and ``.tsv``.

aeon reads these formats too. But it lower-cases class names, reads blank lines and comments as
series and drops the integers of files with time stamps, and its error messages name no line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt

from vrae.data.ids import text_array
from vrae.data.panel import Array, Panel
from vrae.exceptions import InvalidDataError

__all__ = ["is_number", "read_arff", "read_ts", "read_ucr_tsv"]

_Series = npt.NDArray[np.float64]


def read_ucr_tsv(path: Path) -> Panel:
    """Read a ``.tsv`` file of the UCR archive: label, then values, separated by tabs.

    NaN at the end of a line pads a shorter series and is removed.
    """
    series, labels = [], []
    with _located_errors(path) as position:
        for position.line, line in _text_lines(path):
            label, *fields = re.split(r"\t|[ ,]+", line)
            values = _numbers(fields)
            observed = np.flatnonzero(~np.isnan(values))
            labels.append(label)
            series.append(values[: observed[-1] + 1] if len(observed) else values)
    return _panel(series, labels, path)


def read_ts(path: Path) -> Panel:
    """Read a ``.ts`` file. Labels are in ``static["label"]``, regression targets in "target".

    Commas separate values; colons separate channels and the label. Time stamps are dropped.
    """
    series, labels = [], []
    true: set[str] = set()  # keys of the header
    with _located_errors(path) as position:
        lines = _text_lines(path)
        for position.line, line in lines:
            if not line.startswith(("#", "@", "%")):
                raise InvalidDataError("found values before the @data line. Is this a .ts file?")
            key, _, rest = line.lower().partition(" ")
            if key == "@data":
                break
            if rest.strip().startswith("true"):
                true.add(key)
        labelled = true & {"@classlabel", "@targetlabel"}
        for position.line, line in lines:
            if line.startswith(("#", "%")):
                continue
            *channels, label = _drop_times(line) if "@timestamps" in true else line.split(":")
            if labelled:
                labels.append(label.strip())
            else:
                channels.append(label)
            series.append(_matrix(channels))
    return _panel(series, labels, path, "target" if "@targetlabel" in true else "label")


def _drop_times(line: str) -> list[str]:
    """Split a line at colons outside parentheses. Keep only the values of ``(time, value)``."""
    return re.sub(r"\(([^()]*)\)", _value_of, line).split(":")


def _value_of(stamped: re.Match[str]) -> str:
    _, comma, value = stamped[1].rpartition(",")
    if not comma or ":" in value:
        raise InvalidDataError(f"found {stamped[0]!r:.60}, expected a time and a value: (time,value).")
    return value


def read_arff(path: Path) -> Panel:
    """Read a Weka ``.arff`` file. Several channels are in a relational attribute."""
    series, labels = [], []
    attribute = ""
    with _located_errors(path) as position:
        lines = _text_lines(path)
        for position.line, line in lines:
            if not line.startswith(("@", "%")):
                raise InvalidDataError("found values before the @data line. Is this an .arff file?")
            if line.lower().startswith("@data"):
                break
            attribute = line if line.lower().startswith("@attribute") else attribute
        labelled = attribute.rstrip().endswith("}")  # the last attribute lists the classes
        for position.line, line in lines:
            if line.startswith("%"):
                continue
            values, label = line.rsplit(",", 1) if labelled else (line, "")
            if labelled:
                labels.append(label.strip(" '\""))
            series.append(_matrix(values.strip(" '\"").split("\\n")))
    return _panel(series, labels, path)


# -------------------------------------------------------------------- shared by all formats


@contextmanager
def _located_errors(path: Path) -> Iterator[SimpleNamespace]:
    """Prefix error messages with the file and the line."""
    position = SimpleNamespace(line=0)
    try:
        yield position
    except UnicodeDecodeError:
        raise InvalidDataError(f"{path} is not UTF-8 text after line {position.line}. Save it as UTF-8.") from None
    except (ValueError, OSError) as error:
        raise InvalidDataError(f"{path}, line {position.line}: {error}") from None


def _text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the number, from 1, and the stripped text of each line that is not blank."""
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, line.strip()


def _numbers(fields: list[str]) -> _Series:
    fields = ["nan" if field.strip() in ("?", "") else field for field in fields]
    try:
        return np.array(fields, dtype=np.float64)
    except ValueError:
        wrong = next(field for field in fields if not is_number(field))
        raise InvalidDataError(f"found {wrong!r:.60}, expected a number. Write missing values as NaN or ?.") from None


def is_number(field: str) -> bool:
    """Return whether a field can be read as a number."""
    try:
        float(field)
    except ValueError:
        return False
    return True


def _matrix(channels: list[str]) -> _Series:
    """Return the values of one series, shape (n_channels, n_steps)."""
    rows = [_numbers(channel.split(",")) for channel in channels]
    lengths = sorted({len(row) for row in rows})
    if len(lengths) != 1:
        found = f"channels of {lengths[0]} to {lengths[-1]} steps" if lengths else "no values"
        raise InvalidDataError(f"found {found} in one series. All channels of a series need the same length.")
    return np.stack(rows)


def _panel(series: list[_Series], labels: list[str], path: Path, name: str = "label") -> Panel:
    if not series:
        raise InvalidDataError(f"No series found: {path} has no lines of data. Pass at least two series.")
    try:
        return Panel.from_arrays(series, static={name: _typed(labels)} if labels else {})
    except InvalidDataError as error:
        raise InvalidDataError(f"{path}: {error}") from None


def _typed(labels: list[str]) -> Array:
    """Convert labels to int64 or float64 if all of them are numbers. Otherwise keep the text."""
    try:
        return np.array([int(label) for label in labels], np.int64)
    except (ValueError, OverflowError):
        pass
    try:
        values = np.array([float(label) for label in labels])
    except ValueError:
        return text_array(labels)
    whole = np.isfinite(values).all() and (values == np.round(values)).all()
    return values.astype(np.int64) if whole else values
