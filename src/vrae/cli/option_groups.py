"""Option groups: dataclasses whose fields are options that several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterator, Mapping
from copy import copy
from dataclasses import MISSING, Field, fields, is_dataclass
from inspect import Parameter, Signature, signature
from typing import Annotated, Any, get_args, get_type_hints

import typer
from rich.markup import escape
from typer.models import OptionInfo

__all__ = ["option", "with_groups"]

Command = Callable[..., None]

_DEFAULT = "[dim]\\[default: "
# Shown after the other options of their panel.
_LAST = ("track", "quiet")


def option(panel: str, names: str, metavar: str | None, text: str, *, default: str = "", **others: Any) -> Any:
    """Return an option of Typer.

    Parameters
    ----------
    panel : str
        Panel of the help.
    names : str
        Separated by spaces: ``"--out -o"``.
    metavar : str or None
        Word for the value. None shows its type.
    text : str
        Help.
    default : str, default=""
        Default to show, if Typer does not know it.
    **others
        Other arguments of `typer.Option`.
    """
    shown = f" {_DEFAULT}{default}][/]" if default else ""
    return typer.Option(*names.split(), metavar=metavar, help=escape(text) + shown, rich_help_panel=panel, **others)


def with_groups(
    *, without: Collection[str] = (), defaults: Mapping[str, str] | None = None
) -> Callable[[Command], Command]:
    """Replace each parameter that is an option group by the options of the group.

    Parameters
    ----------
    without : collection of str
        Fields that the command does not have. They keep their defaults.
    defaults : mapping of str to str, optional
        Default shown in the help, by field, where the command has another one than the group says.
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
