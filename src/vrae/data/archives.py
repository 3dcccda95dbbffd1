"""Files of the research archives: ``.ts``, ``.arff`` and UCR's ``.tsv``.

aeon reads these too, but lower-cases class names, takes blank lines and comments for series, drops the
integers of files with time stamps, and fails with messages that do not say where.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Panel
from vrae.exceptions import InvalidDataError

__all__ = ["read_arff", "read_ts", "read_ucr_tsv", "text_lines"]

_Series = npt.NDArray[np.float64]


def read_ucr_tsv(path: Path) -> Panel:
    """Read a file of the UCR archive: a series a line, label first, then values, with tabs between.

    NaN at the end of a line is the end of a shorter series; NaN within is a missing value.

    Returns
    -------
    Panel
        One channel; labels in ``static["label"]``.

    Raises
    ------
    InvalidDataError
        Empty, not text, or text where a number should be; names the line.
    """
    series, labels = [], []
    with _naming(path) as place:
        for place.line, line in text_lines(path):
            label, *fields = re.split(r"\t|[ ,]+", line)
            labels.append(label)
            series.append(_without_tail(_numbers(fields)))
    return _panel(series, labels, path)


def _without_tail(values: _Series) -> _Series:
    observed = np.flatnonzero(~np.isnan(values))
    return values[: observed[-1] + 1] if len(observed) else values


def read_ts(path: Path) -> Panel:
    """Read a ``.ts`` file: values between commas, channels and the label between colons.

    Series may be unequal in length, miss values (``?`` or ``NaN``), have many channels, and carry time
    stamps, ``(time, value)``, which are dropped. A regression target comes back as ``static["target"]``.

    Raises
    ------
    InvalidDataError
        Empty, not text, no ``@data`` line, or series that do not fit the header; names the line.
    """
    series, labels = [], []
    header: dict[str, str] = {}
    with _naming(path) as place:
        lines = text_lines(path)
        for place.line, line in lines:
            if not line.startswith(("#", "@", "%")):
                raise InvalidDataError("found values before the line @data; is this a .ts file?")
            key, _, rest = line.lower().partition(" ")
            if key == "@data":
                break
            header[key] = rest.strip()
        labelled = _starts_true(header.get("@classlabel")) or _starts_true(header.get("@targetlabel"))
        stamped = _starts_true(header.get("@timestamps"))
        for place.line, line in lines:
            if line.startswith(("#", "%")):
                continue
            *channels, label = _split_stamped(line) if stamped else line.split(":")
            if labelled:
                labels.append(label.strip())
            else:
                channels.append(label)
            series.append(_matrix(channels))
    return _panel(series, labels, path, "target" if _starts_true(header.get("@targetlabel")) else "label")


def _starts_true(value: str | None) -> bool:
    return value is not None and value.startswith("true")


def _split_stamped(line: str) -> list[str]:
    """Split at the colons outside brackets, and keep the values of ``(time, value)`` pairs."""
    parts = re.split(r":(?![^(]*\))", line)
    return [",".join(re.findall(r",([^,()]*)\)", part)) if "(" in part else part for part in parts]


def read_arff(path: Path) -> Panel:
    """Read a Weka ``.arff`` file of equal-length series, univariate or with a relational attribute.

    Raises
    ------
    InvalidDataError
        Empty, not text, no ``@data`` line, or text where a number should be; names the line.
    """
    series, labels = [], []
    attribute = ""
    with _naming(path) as place:
        lines = text_lines(path)
        for place.line, line in lines:
            if not line.startswith(("@", "%")):
                raise InvalidDataError("found values before the line @data; is this an .arff file?")
            if line.lower().startswith("@data"):
                break
            attribute = line if line.lower().startswith("@attribute") else attribute
        labelled = attribute.rstrip().endswith("}")  # the last attribute is a choice of classes
        for place.line, line in lines:
            if line.startswith("%"):
                continue
            values, label = line.rsplit(",", 1) if labelled else (line, "")
            if labelled:
                labels.append(label.strip(" '\""))
            series.append(_matrix(values.strip(" '\"").split("\\n")))
    return _panel(series, labels, path)


# -------------------------------------------------------------------- shared


@dataclass
class _Place:
    line: int = 0


@contextmanager
def _naming(path: Path) -> Iterator[_Place]:
    """Put the file and the line in front of whatever is found wrong in it."""
    place = _Place()
    try:
        yield place
    except UnicodeDecodeError:
        raise InvalidDataError(f"{path} is not UTF-8 text after line {place.line}. Save it as UTF-8.") from None
    except (ValueError, OSError) as error:
        raise InvalidDataError(f"{path}, line {place.line}: {error}") from None


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not blank, stripped, with their numbers from 1.

    Raises
    ------
    UnicodeDecodeError
        Not UTF-8.
    """
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, line.strip()


def _numbers(fields: list[str]) -> _Series:
    fields = ["nan" if field.strip() in ("?", "") else field for field in fields]
    try:
        return np.array(fields, dtype=np.float64)
    except ValueError:
        wrong = next(field for field in fields if not _is_number(field))
        raise InvalidDataError(f"found {wrong!r:.60} where a number should be. Missing values are NaN or ?.") from None


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _matrix(channels: list[str]) -> _Series:
    """Turn the text of each channel into (n_channels, n_steps)."""
    rows = [_numbers(channel.split(",")) for channel in channels]
    lengths = sorted({len(row) for row in rows})
    if len(lengths) != 1:
        found = f"channels of {lengths[0]} to {lengths[-1]} steps" if lengths else "no values"
        raise InvalidDataError(f"found {found} in one series; all its channels need the same steps.")
    return np.stack(rows)


def _panel(series: list[_Series], labels: list[str], path: Path, name: str = "label") -> Panel:
    if not series:
        raise InvalidDataError(f"No series found: {path} has no lines of data. Pass at least two series.")
    static = {name: _tidy(labels)} if labels else {}
    try:
        return Panel.from_arrays(series, static=static)
    except InvalidDataError as error:
        raise InvalidDataError(f"{path}: {error}") from None


def _tidy(labels: list[str]) -> npt.NDArray[Any]:
    """Return labels as whole numbers, else as numbers, where all of them are; as text otherwise."""
    kinds: tuple[Callable[[str], Any], ...] = (int, float)
    for kind in kinds:
        try:
            values = np.array([kind(label) for label in labels])
        except (ValueError, OverflowError):
            continue
        whole = kind is float and np.isfinite(values).all() and (values == np.round(values)).all()
        return values.astype(np.int64) if whole else values
    return np.array(labels)
