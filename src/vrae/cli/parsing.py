"""Values of options that Typer cannot parse by their types."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

__all__ = ["as_written", "folder_for_parts", "number_or_auto", "steps_or_fraction"]


class _AsWritten(type(Path())):  # type: ignore[misc]  # the path class of this system
    """A path that remembers its text, since a path turns the two slashes of a URL into one."""

    written: str


def as_written(text: Any) -> Path:
    """Return the path of a file, or a stand-in for a URL."""
    path: Path = _AsWritten(text)
    path.written = str(text)  # type: ignore[attr-defined]
    return path


def folder_for_parts(file: Path) -> str:
    """Return where several processes write a table: a folder, or a URL."""
    from vrae.exceptions import InvalidParameterError

    place: str = getattr(file, "written", str(file))
    if place == "-" or place.endswith((".csv", ".gz")):
        raise InvalidParameterError(
            f"--engine ray writes a folder of Parquet files, which all machines must reach; found --out {place}. "
            f"Name one, such as --out result.parquet."
        )
    return place


def number_or_auto(option: str, text: str) -> int | Literal["auto"]:
    """Read a whole number or "auto"."""
    from vrae.exceptions import InvalidParameterError

    if text == "auto":
        return "auto"
    try:
        return int(text)
    except ValueError:
        raise InvalidParameterError(f"{option} must be a whole number or 'auto'; found {text!r}.") from None


def steps_or_fraction(option: str, text: str) -> int | float:
    """Read a number of steps such as "3", or a fraction such as "0.25"."""
    from vrae.exceptions import InvalidParameterError

    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    raise InvalidParameterError(
        f"{option} must be a number of steps, or a fraction of the length such as 0.5; found {text!r}."
    )
