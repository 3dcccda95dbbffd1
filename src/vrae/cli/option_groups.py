"""Declare options, groups of options that several commands share, and read values of options.

An option group is a dataclass whose fields are options.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import MISSING, Field, fields, is_dataclass
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

import typer
from rich.markup import escape
from typer.models import OptionInfo

from vrae.cli.terminal import usage_error

__all__ = [
    "argument",
    "as_written",
    "folder_for_parts",
    "fraction_or_auto",
    "in_home",
    "model_folder",
    "number_or_auto",
    "option",
    "refuse_underscores",
    "steps_or_fraction",
    "with_groups",
]

Command = Callable[..., None]

_DEFAULT = "[dim]\\[default: "
# Shown after the other options of their panel.
_LAST = ("track", "quiet")


def option(panel: str, names: str, metavar: str | None, text: str, default: str = "", **others: Any) -> Any:
    """Return an option of Typer with names such as "--out -o", in a panel of the help.

    Without a metavar, the help shows the type; that of a flag is "". ``default`` is shown where
    Typer does not know it.
    """
    shown = f" {_DEFAULT}{default}][/]" if default else ""
    return typer.Option(*names.split(), metavar=metavar, help=escape(text) + shown, rich_help_panel=panel, **others)


def argument(metavar: str, text: str) -> Any:
    """Return an argument of Typer."""
    return typer.Argument(metavar=metavar, help=text, show_default=False)


def with_groups(
    *, without: Collection[str] = (), defaults: Mapping[str, str] | None = None
) -> Callable[[Command], Command]:
    """Replace each parameter that is an option group by the options of the group.

    Fields in ``without`` keep their defaults. ``defaults`` are those that the help shows, by field,
    where the command has another one than the group says.
    """

    def decorate(command: Command) -> Command:
        hints = get_type_hints(command, include_extras=True)
        groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
        parameters: list[Parameter] = []
        for name, parameter in signature(command).parameters.items():
            if name in groups:
                parameters += _parameters_of(groups[name], without, defaults or {})
            else:
                parameters.append(parameter.replace(annotation=hints[name], kind=Parameter.KEYWORD_ONLY))
        parameters.sort(key=lambda parameter: parameter.name in _LAST)

        @functools.wraps(command)
        def run(**values: Any) -> None:
            for name, group in groups.items():
                values[name] = group(**{f.name: values.pop(f.name) for f in fields(group) if f.name in values})
            command(**values)

        run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate


def _parameters_of(group: Any, without: Collection[str], defaults: Mapping[str, str]) -> Iterator[Parameter]:
    hints = get_type_hints(group, include_extras=True)
    field: Field[Any]
    for field in fields(group):
        if field.name in without:
            continue
        hint = hints[field.name]
        if field.name in defaults:
            hint = _with_default(hint, defaults[field.name])
        value = Parameter.empty if field.default is MISSING else field.default
        yield Parameter(field.name, Parameter.KEYWORD_ONLY, default=value, annotation=hint)


def _with_default(hint: Any, text: str) -> Any:
    """Return the annotation of an option whose help shows another default."""
    kind, found = get_args(hint)
    changed: OptionInfo = copy(found)
    changed.help = str(found.help).partition(_DEFAULT)[0] + f"{_DEFAULT}{text}][/]"
    return Annotated[kind, changed]


# -------------------------------------------------------------------- values


def refuse_underscores(arguments: Sequence[str], parameters: Iterable[Any], values: Mapping[str, Any]) -> None:
    """Raise if a number on the command line is written as 1_0, which Python reads as 10.

    ``values`` are those that were read, by the name of their parameter.
    """
    for parameter in parameters:
        found = values.get(parameter.name)
        parts = found if isinstance(found, (list, tuple)) else [found]
        if not any(isinstance(part, (int, float)) and not isinstance(part, bool) for part in parts):
            continue
        for name, written in _written(arguments, parameter):
            if "_" in written:
                raise usage_error(f"{name} must be a number; found {written!r}.")


def _written(arguments: Sequence[str], parameter: Any) -> Iterator[tuple[str, str]]:
    """Yield how the values of an option are written: names, and texts."""
    is_given = False
    for place, argument in enumerate(arguments):
        flag, equals, text = argument.partition("=")
        short = argument[:2] if argument[1:2] != "-" else ""
        if flag in parameter.opts:
            is_given = True
            yield flag, text if equals else "".join(arguments[place + 1 : place + 2])
        elif short in parameter.opts:  # -n10
            is_given = True
            yield short, argument[2:]
    variable = parameter.envvar
    if not is_given and isinstance(variable, str):
        yield variable, os.environ.get(variable, "")


def in_home(value: Any) -> Any:
    """Return a path with ~ expanded, as shells do except after --out=; anything else as it is."""
    if not isinstance(value, Path):
        return value
    try:
        return value.expanduser()
    except RuntimeError:  # of a user who does not exist
        return value


class _AsWritten(type(Path())):  # type: ignore[misc]  # the path class of this system
    """A path that remembers its text, since a path turns the two slashes of a URL into one."""

    written: str


def as_written(text: Any) -> Path:
    """Return the path of a file, or a stand-in for a URL."""
    path: Path = _AsWritten(text)
    path.written = str(text)  # type: ignore[attr-defined]
    return path


def model_folder(text: Any) -> Path:
    """Return a folder in which a model may be saved. Training takes long, so vrae checks before."""
    from vrae.io.model_files import check_replaceable

    path: Path = in_home(Path(text))
    check_replaceable(path)
    return path


def folder_for_parts(file: Path) -> str:
    """Return where several processes write a table: a folder, or a URL."""
    place: str = getattr(file, "written", str(file))
    if place == "-" or place.endswith((".csv", ".gz")):
        raise usage_error(
            f"--engine ray writes a folder of Parquet files, which all machines must reach; found --out {place}. "
            f"Name one, such as --out result.parquet."
        )
    return place


def number_or_auto(option: str, text: str, low: int = 1) -> int | Literal["auto"]:
    """Read a whole number of at least ``low``, or "auto"."""
    from vrae.config import check_int

    if text == "auto":
        return "auto"
    return check_int(option, _number(option, text, (int,), "a whole number or 'auto'"), low=low, auto=True)


def fraction_or_auto(option: str, text: str) -> float | Literal["auto"]:
    """Read a number or "auto"."""
    return "auto" if text == "auto" else _number(option, text, (float,), "a number or 'auto'")


def steps_or_fraction(option: str, text: str) -> int | float:
    """Read a number of steps such as "3", or a fraction such as "0.25"."""
    return _number(option, text, (int, float), "a number of steps, or a fraction of the length such as 0.5")


def _number(option: str, text: str, kinds: tuple[type, ...], wanted: str) -> Any:
    for kind in kinds:
        with suppress(ValueError):
            return kind(text.replace("_", "x"))  # Python reads 1_0 as 10
    raise usage_error(f"{option} must be {wanted}; found {text!r}.")
