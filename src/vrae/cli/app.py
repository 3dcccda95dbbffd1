"""All commands together, and how errors and warnings are shown."""

from __future__ import annotations

import errno
import gc
import inspect
import os
import re
import shlex
import sys
import warnings
from collections.abc import Collection
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import Annotated, Any

import typer
from rich.markup import escape
from typer.core import TyperCommand

from vrae._version import __version__
from vrae.cli.anomalies_command import anomalies
from vrae.cli.clock import start_clock
from vrae.cli.cluster_command import cluster, compare, demo
from vrae.cli.config_file import options_by_name
from vrae.cli.drift_command import drift
from vrae.cli.forecast_command import forecast
from vrae.cli.info_command import info
from vrae.cli.model_commands import assign, embed, export
from vrae.cli.option_groups import in_home, refuse_underscores
from vrae.cli.outputs import check_outputs, with_overwrite
from vrae.cli.pair_commands import cannibalization, similar
from vrae.cli.phase_display import PhaseDisplay
from vrae.cli.reduce_commands import reduce, restore
from vrae.cli.run_commands import edit, explain, regroup, report
from vrae.cli.stopping import stopped_words
from vrae.cli.terminal import (
    INTERRUPTED,
    Stopped,
    accept_any_file_name,
    drop_unwritten_messages,
    err,
    replace_closed_streams,
)
from vrae.io.formulas import escape_formulas
from vrae.io.interrupts import Outputs, recording
from vrae.phases import listening

__all__ = ["app", "in_command_words", "main"]


# Standard output cannot be written.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)


class _Command(TyperCommand):
    """A command that shows its phases, and whose messages name options as the user writes them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given = list(args)
        rest: list[str] = super().parse_args(ctx, args)
        refuse_underscores(given, self.params, ctx.params)
        ctx.params |= {name: in_home(value) for name, value in ctx.params.items()}
        return rest

    def invoke(self, ctx: Any) -> Any:
        _OPTIONS.set(frozenset(options_by_name(self)))
        check_outputs(ctx)
        start_clock()
        with PhaseDisplay(err, quiet=ctx.params.get("quiet", False)) as display, listening(display):
            return super().invoke(ctx)


def _help(command: Any) -> str:
    """Return the docstring with one line per paragraph, so that it fits any terminal."""
    paragraphs = inspect.cleandoc(command.__doc__).replace("\nExample:", "\n\nExample:").split("\n\n")
    return escape("\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs))


app = typer.Typer(
    name="vrae",
    help="Find groups of similar time series, and see why they are similar.\n\n"
    "Start with: vrae demo. Then with your own file: vrae cluster sales.csv",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 done, 2 bad usage or data, 130 Ctrl-C, 1 a fault of vrae. "
    "Results go to stdout, everything else to stderr.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
_PANELS = {
    "Clusters": (demo, cluster, regroup, edit, report, explain, compare),
    "Models": (assign, drift, embed, info, export),
    "Other tasks": (anomalies, similar, cannibalization, forecast, reduce, restore),
}
for _panel, _commands in _PANELS.items():
    for _function in _commands:
        app.command(cls=_Command, help=_help(_function), rich_help_panel=_panel)(with_overwrite(_function))


@app.callback(invoke_without_command=True)
def _before(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
    escaped: Annotated[
        bool,
        typer.Option(
            "--escape-formulas",
            envvar="VRAE_ESCAPE_FORMULAS",
            help="In csv tables, put an apostrophe before text that a spreadsheet would run, such as '=cmd()'.",
        ),
    ] = False,
) -> None:
    if escaped:
        context.with_resource(escape_formulas())
    if version:
        typer.echo(f"vrae {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line. Exit codes: 0 done, 2 bad usage or data, 130 Ctrl-C, 1 our fault."""
    replace_closed_streams()
    drop_unwritten_messages()
    start_clock(with_process=True)
    accept_any_file_name()
    with recording() as outputs:
        _run(outputs)


def _run(outputs: Outputs) -> None:
    try:
        with warnings.catch_warnings():
            warnings.showwarning = partial(_show, set())
            try:
                app()
            finally:
                sys.stdout.flush()  # a full disk is found here, and not when Python has ended
    except SystemExit as stop:
        if stop.code == INTERRUPTED and not isinstance(stop, Stopped):  # newer versions of Typer report Ctrl-C this way
            raise Stopped(stopped_words(outputs)) from None
        if type(sys.stdout).__name__.endswith("PacifyFlushWrapper"):  # of click, after a BrokenPipeError
            sys.exit(0)
        raise
    except BrokenPipeError:  # the reader has seen enough, such as `head`
        _close_stdout()
        sys.exit(0)
    except KeyboardInterrupt:
        raise Stopped(stopped_words(outputs)) from None
    except Exception as error:
        from vrae.exceptions import VRAEError

        if isinstance(error, UnicodeEncodeError) and not error.encoding.startswith("utf"):  # files are UTF-8
            _say(
                "[bold red]Error:[/]",
                f"Standard output has the encoding {sys.stdout.encoding}, which lacks the character "
                f"{error.object[error.start]!a}. Set PYTHONIOENCODING=utf-8, or write to a file with --out.",
            )
            sys.exit(2)
        is_of_python = isinstance(error, FileNotFoundError) and error.strerror == os.strerror(errno.ENOENT)
        if isinstance(error, OSError) and is_of_python and error.filename is None:  # of os.getcwd
            _say("[bold red]Error:[/]", "The working directory does not exist any more. Change to another one.")
            sys.exit(2)
        if isinstance(error, OSError) and (error.filename is not None or error.errno in _FULL):
            place = _close_stdout() if error.filename is None else error.filename
            _say("[bold red]Error:[/]", f"{place}: {error.strerror}.")
            sys.exit(2)  # the fault of the file or the disk, not of vrae
        if not isinstance(error, VRAEError):
            err.print("[bold red]Internal error.[/] This is a fault in vrae. Please report it:", highlight=False)
            err.print_exception()
            sys.exit(1)
        _say("[bold red]Error:[/]", in_command_words(str(error), _OPTIONS.get()))
        sys.exit(2)
    finally:
        gc.freeze()  # Python would search all objects once more at its end, for a good second


def _close_stdout() -> str:
    """Drop what could not be written, which Python would try again at its end. Return its name."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return "Standard output"


def _show(
    shown: set[str],
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: Any = None,
    line: Any = None,
) -> None:
    """Show warnings of vrae in one line, each once, and those of other libraries as they are."""
    if str(message) in shown:
        return
    shown.add(str(message))
    if category.__module__ != "vrae.exceptions":
        err.print(warnings.formatwarning(message, category, filename, lineno), markup=False, highlight=False, end="")
        return
    _say("[bold yellow]Warning:[/]", in_command_words(str(message), _OPTIONS.get()))


def _say(head: str, message: str) -> None:
    """Print a message in one line. The message is not markup, since it can quote anything."""
    err.print(head, end=" ")
    err.print(message, markup=False, highlight=False, soft_wrap=True)


# -------------------------------------------------------------------- wording of messages

# Options of the command that is running.
_OPTIONS: ContextVar[frozenset[str]] = ContextVar("options of the command", default=frozenset())

# Options that have another name in Python.
_RENAMED = {
    "every_minutes": "checkpoint-every",
    "max_epochs": "epochs",
    "n_clusters": "clusters",
    "n_neighbors": "neighbors",
    "random_state": "seed",
    "season_length": "season",
    "step": "stride",
}
_NAME = r"(?<![\w'\"./-])([a-z]+(?:_[a-z]+)*)"
# time='week', freq=7 or id= (which ends a sentence). Lists and calls stay as they are.
_ASSIGNED = re.compile(
    _NAME + r"=(?![\[({])(?:'([^']*)'|\"([^\"]*)\"|([\w+-]+(?:\.\w+)*))?(?P<more>(?:(?:, | or )\"[^\"]*\")*)"
)
# pattern_weight anywhere, and beta in "beta must be ..." at the beginning of a sentence
_MENTIONED = re.compile(
    r"(?<![\w'\"./-])([a-z]+(?:_[a-z]+)+)(?![\w'\"/=-]|\.\w)|(?:^|(?<=[.:?] ))([a-z]+)(?= must be |: unknown value )"
)
# Choices and names that only Python has.
_PHRASES = {
    "on_invalid='drop' to leave them out, or ": "",
    "resume=False (--overwrite)": "--overwrite",
    " See covariate_effects_.": "",
    "use VRAEAnomalyDetector for many short series": "leave out --window for many short series",
    ", for example in read_panel": "",
    ", or pass algorithm='exact' to silence this warning": "",
    "use LongSeriesDetector, or cut it": "use `vrae anomalies --window auto`, or cut it",
    "or the next steps of a fitted series to update": "or --next-steps if they follow the series of the model",
    " to read_panel.": ".",
    "with timing set to free": "with --timing free",
    "the folder that save() wrote": "the folder of a `vrae cluster` run, or that --save wrote",
    "score_steps (on the command line, --model without --next-steps)": "--model without --next-steps",
}
_COMMANDS = {
    "VRAEClusterer": "cluster",
    "VRAEAnomalyDetector": "anomalies",
    "VRAENeighbors": "similar",
    "GroupForecaster": "forecast",
    "LongSeriesDetector": "anomalies --window",
}
_CLASS = re.compile(rf"(?<=is a )({'|'.join(_COMMANDS)})\b")


def in_command_words(message: str, options: Collection[str]) -> str:
    """Replace Python arguments in a message by ``options`` of the command: "train-sample"."""

    def option(name: str) -> str | None:
        found = _RENAMED.get(name, name).replace("_", "-")
        return f"--{found}" if found in options else None

    def assigned(found: re.Match[str]) -> str:
        name = option(found[1])
        if name is None:
            return found[0]
        value = next((part for part in found.groups()[1:4] if part is not None), "True")
        if value in ("True", "False"):
            return name if value == "True" else name.replace("--", "--no-", 1)
        return f"{name} {shlex.quote(value)}" + found["more"].replace('"', "")

    for phrase, replacement in _PHRASES.items():
        message = message.replace(phrase, replacement)
    message = _CLASS.sub(lambda found: f"model of `vrae {_COMMANDS[found[0]]}`", message)
    message = _ASSIGNED.sub(assigned, message)
    return _MENTIONED.sub(lambda found: option(found[1] or found[2]) or found[0], message)
