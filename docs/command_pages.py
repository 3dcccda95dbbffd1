"""Make a page of each command from the command line itself: usage, options by panel, examples."""

from __future__ import annotations

import inspect
import re
from functools import cache
from typing import Any

import typer
from rich.text import Text

from vrae.cli import app

__all__ = ["command_pages"]

# Pages that show a command in use.
_IN_USE = {
    "demo": "start.md",
    "cluster": "how-to/messy-table.md",
    "regroup": "how-to/number-of-clusters.md",
    "edit": "how-to/edit-clusters.md",
    "report": "report.md",
    "explain": "how-to/explain.md",
    "compare": "how-to/compare.md",
    "assign": "how-to/assign.md",
    "embed": "how-to/assign.md",
    "info": "how-to/save.md",
    "export": "models.md",
    "anomalies": "how-to/anomalies.md",
    "similar": "how-to/similar.md",
    "cannibalization": "how-to/cannibalization.md",
    "forecast": "how-to/forecast.md",
    "reduce": "how-to/reduce.md",
    "restore": "how-to/reduce.md",
}

# What click adds to the help of an option: its default, and the variable that sets it.
_ADDED = re.compile(r"\s+\[((?:env var|default|required)[^\]]*)\]$")


@cache
def command_pages() -> dict[str, str]:
    """Return the page of each command, by its name, in the order of the help."""
    commands: Any = typer.main.get_command(app)
    functions = [found.callback for found in app.registered_commands]
    return {
        name: _page(name, command, inspect.getdoc(function) or "")
        for (name, command), function in zip(commands.commands.items(), functions, strict=True)
    }


def _page(name: str, command: Any, doc: str) -> str:
    paragraphs, examples = _parts(doc)
    context = typer.Context(command, info_name=f"vrae {name}")
    usage = re.sub(r"[{}]", "", command.get_usage(context).removeprefix("Usage: "))
    rows = [(p.rich_help_panel, p.param_type_name, *p.get_help_record(context)) for p in command.params]
    arguments = [(name.removesuffix(" <str>"), text) for _, kind, name, text in rows if kind == "argument"]
    parts = [f"# vrae {name}", *paragraphs, f"```\n{usage}\n```"]
    if arguments:
        parts.append(_table("argument", arguments))
    if examples:
        parts += ["## Examples", "```\n" + "\n".join(examples) + "\n```"]
    options = [(panel or "Other", name, text) for panel, kind, name, text in rows if kind == "option"]
    for panel in sorted({panel for panel, *_ in options}, key=[panel for panel, *_ in options].index):
        parts += [f"## {panel}", _table("option", [(name, text) for of, name, text in options if of == panel])]
    more = f"[In use](../{_IN_USE[name]}) · " if name in _IN_USE else ""
    parts.append(f"{more}[All commands](../commands.md) · `vrae {name} -h` prints this in a terminal.")
    return "\n\n".join(parts) + "\n"


def _parts(doc: str) -> tuple[list[str], list[str]]:
    """Return the paragraphs of a docstring, and the commands of its examples."""
    text, *examples = re.split(r"^Example: ", doc, flags=re.MULTILINE)
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    return [p for p in paragraphs if p], [" ".join(example.split()) for example in examples]


def _table(head: str, rows: list[tuple[str, str]]) -> str:
    cells = [f"| {_names(name)} | {_text(text)} |" for name, text in rows]
    return "\n".join([f"| {head} | what it does |", "|---|---|", *cells])


def _names(record: str) -> str:
    """Return "-o, --out FOLDER" with the names as code, and choices with commas."""
    names = re.sub(r"(?<![\w-])--?[a-z][\w-]*", r"`\g<0>`", record)
    return re.sub(r"<(.*?)>", lambda found: found[1].replace("|", ", "), names)


def _text(help_text: str) -> str:
    """Return the help of an option, its variable and its default as Markdown."""
    added = _ADDED.search(help_text)
    text = Text.from_markup(help_text[: added.start()] if added else help_text).plain
    text, _, default = text.partition(" [default: ")
    notes = dict(note.partition(": ")[::2] for note in added[1].split("; ")) if added else {}
    default = default.removesuffix("]") or notes.get("default", "")
    text = re.sub(r"[|*_<]", r"\\\g<0>", text)
    if variable := notes.get("env var"):
        text += f" Variable: `{variable}`."
    return f"{text} *Default: {default}.*" if default else text
