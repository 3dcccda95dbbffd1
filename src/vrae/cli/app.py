"""The commands together, and what becomes of their errors."""

from __future__ import annotations

import sys
import warnings
from typing import Annotated, Any

import typer

from vrae.cli.anomalies import anomalies
from vrae.cli.applying import assign, embed, info
from vrae.cli.clustering import cluster, demo
from vrae.cli.comparing import compare
from vrae.cli.explaining import explain
from vrae.cli.exporting import export
from vrae.cli.forecasting import forecast
from vrae.cli.pairs import opposites, similar
from vrae.cli.reducing import reduce, restore
from vrae.cli.reporting import report
from vrae.cli.terminal import INTERRUPTED, Stopped, err, names_as_they_are
from vrae.formulas import escape_formulas

__all__ = ["app", "main"]

app = typer.Typer(
    name="vrae",
    help="Cluster unlabelled time series, and see why.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 done, 2 bad usage or data, 130 Ctrl-C, 1 a fault of vrae. Results: stdout; all else: stderr.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in (
    *(demo, cluster, report, assign, embed, explain, compare),
    *(anomalies, similar, opposites, forecast, reduce, restore, info, export),
):
    app.command()(_command)


@app.callback(invoke_without_command=True)
def _before(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.", is_eager=True)] = False,
    escaped: Annotated[
        bool,
        typer.Option(
            "--escape-formulas",
            envvar="VRAE_ESCAPE_FORMULAS",
            help="In csv tables, put an apostrophe before text that a spreadsheet would run: '=cmd()'.",
        ),
    ] = False,
) -> None:
    if escaped:
        context.with_resource(escape_formulas())
    if version:
        from vrae import __version__

        typer.echo(f"vrae {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; exit with 0 (done), 2 (bad usage or data), 130 (Ctrl-C) or 1 (our fault)."""
    names_as_they_are()
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show
            app()
    except Stopped:
        raise
    except SystemExit as stop:
        if stop.code == INTERRUPTED:  # so newer versions of typer tell of Ctrl-C
            err.print("Stopped. Nothing was written.")
        raise
    except KeyboardInterrupt:
        err.print("Stopped. Nothing was written.")
        sys.exit(INTERRUPTED)
    except Exception as error:
        from vrae.exceptions import VRAEError

        if isinstance(error, OSError) and error.filename is not None:  # the place is at fault, not the program
            _say("[bold red]Error:[/]", f"{error.filename}: {error.strerror}.")
            sys.exit(2)
        if not isinstance(error, VRAEError):
            err.print("[bold red]Internal error.[/] This is a fault in vrae, please report it:", highlight=False)
            err.print_exception()
            sys.exit(1)
        _say("[bold red]Error:[/]", str(error))
        sys.exit(2)


def _show(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: Any = None,
    line: str | None = None,
) -> None:
    """Tell of what the user should know in one line; warnings of other libraries stay as they are."""
    if category.__module__ != "vrae.exceptions":
        err.print(warnings.formatwarning(message, category, filename, lineno), markup=False, highlight=False, end="")
        return
    _say("[bold yellow]Warning:[/]", str(message))


def _say(head: str, message: str) -> None:
    """Print a message behind its head, in one line; what it quotes is no markup."""
    err.print(head, end=" ")
    err.print(message, markup=False, highlight=False, soft_wrap=True)
