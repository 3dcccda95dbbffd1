"""`vrae report`: the report of a finished run, made again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vrae.cli.options import AsJson, Quiet
from vrae.cli.terminal import out, print_json, teller

if TYPE_CHECKING:
    from vrae.data.panel import Panel

__all__ = ["report"]


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that a run wrote.", show_default=False)],
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="DATA", help="The series that were clustered, if they lie elsewhere now."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Where to write; default: RUN/report.html.")
    ] = None,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="Another title.")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(envvar="VRAE_DATA", help="Folder with an example data set that is not bundled.")
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Make the report of a run again: with another title, or after an update.

    The series are read from where they lay when they were clustered. Without them the report shows what the model
    knows of them, and says so.

    Example: vrae report runs/sales
    Example: vrae report runs/sales --data archive/sales.parquet --title "Sales, spring" --out spring.html
    """
    from vrae import runs

    runs.check_report()
    source = runs.read_metrics(run).get("source") or {}
    panels, why_not = _series(source, data, data_dir)
    if panels is None:
        teller(quiet)(
            f"{why_not} The report shows the model's version of them instead; point to them with --data for all of it."
        )
    written = str(runs.rebuild_report(run, panels, file, title))
    if as_json:
        print_json({"report": written})
        return
    out.print(written, markup=False, highlight=False, soft_wrap=True)


def _series(source: dict[str, Any], data: str | None, data_dir: Path | None) -> tuple[Iterable[Panel] | None, str]:
    """Return the series of a run, or None and why they cannot be had; what the user names must be there."""
    from vrae.data.stream import stream_panels

    options = source.get("options") or {}
    if data is not None:
        return stream_panels(data, **options), ""
    if "example" in source:
        from vrae.data.examples import load_example
        from vrae.exceptions import DatasetUnavailableError

        try:
            panel, labels = load_example(source["example"], data_dir=data_dir)
        except DatasetUnavailableError as error:
            return None, f"{error}"
        static = dict(panel.static) if labels is None else {**panel.static, "label": labels}
        return [replace(panel, static=static)], ""
    place = source.get("data")
    if place is None or place == "-":
        return None, "The series came from elsewhere than a file."
    if "*" in place or "://" in place or Path(place).exists():
        return stream_panels(place, **options), ""
    return None, f"The series are no longer at {place}."
