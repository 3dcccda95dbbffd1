"""`vrae compare`: our clusters beside those of other methods."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from vrae.cli.clustering import Clusters, Label
from vrae.cli.options import AsJson, Reading, Training, number_or_auto, with_groups
from vrae.cli.terminal import err, out, print_json, teller

if TYPE_CHECKING:
    from vrae.runs import Comparison

__all__ = ["compare"]


@with_groups
def compare(
    reading: Reading,
    training: Training,
    label: Label = None,
    clusters: Clusters = "auto",
    methods: Annotated[
        str, typer.Option("--methods", metavar="LIST", help="Separated by commas.")
    ] = "vrae,kmeans,kshape,kasba,rclustering",
    rounds: Annotated[
        int, typer.Option("--rounds", metavar="N", help="Parts of the series that are clustered again for stability.")
    ] = 2,
    series: Annotated[
        int, typer.Option("--series", metavar="N", help="Of more series, take so many at random.")
    ] = 1000,
    file: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Write the table, csv or Parquet.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare our clusters with k-means, k-Shape, KASBA and R-Clustering on your own series.

    All methods get the same number of clusters: --clusters, else the number of known classes, else the one that VRAE
    chooses. Silhouette: how far apart the clusters are, on the z-normalised series, which is the ground of k-means.
    Stability: whether a method finds its clusters again in four fifths of the series. ARI and NMI: agreement with the
    known classes.

    Example: vrae compare sales.csv --id item --time week --value qty --clusters 6 --out compare.csv
    """
    from vrae import runs
    from vrae.config import check_int
    from vrae.data.io import read_panel
    from vrae.estimators.clusterer import VRAEClusterer

    check_int("--series", series, low=3)
    panel = read_panel(reading.data, **{**reading.options(), "label": label})
    total, truth = len(panel), panel.static.get("label")
    if total > series:
        panel, _ = runs.sample_series([panel], series, training.seed)
        truth = panel.static.get("label")
    wanted = number_or_auto("--clusters", clusters)
    if wanted == "auto" and truth is not None:
        wanted = len(set(truth.tolist()))
    clusterer = VRAEClusterer(wanted, **training.options())
    names = [name.strip() for name in methods.split(",")]
    found = runs.compare(clusterer, panel, truth, names, rounds, training.seed, teller(training.quiet or as_json))
    if len(panel) < total:
        found.notes.insert(0, f"{len(panel):,} of {total:,} series, drawn at random (--series).")
    if file is not None:
        with runs.table_writer(file) as write:
            write(found.to_columns())
    if as_json:
        print_json({"rows": found.rows, "notes": found.notes})
        return
    _show(found)


def _show(found: Comparison) -> None:
    known = "ari" in found.rows[0]
    table = Table(box=None)
    heads = ["Method", "Clusters", "Silhouette", "Stability", *(["ARI", "NMI"] if known else []), "Seconds"]
    for head in heads:
        table.add_column(head, justify="left" if head == "Method" else "right")
    for row in found.rows:
        table.add_row(*(_figure(row[head.lower()]) for head in heads))
    out.print(table)
    out.print("\nAgreement between the methods (adjusted Rand index, 1 = the same clusters)")
    pairs = Table(box=None)
    names = [row["method"] for row in found.rows]
    for head in ["", *names]:
        pairs.add_column(head, justify="right" if head else "left")
    for row in found.rows:
        pairs.add_row(row["method"], *(_figure(row[f"with {name}"]) for name in names))
    out.print(pairs)
    for note in found.notes:
        err.print(f"Note: {note}", markup=False, highlight=False, soft_wrap=True)


def _figure(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
