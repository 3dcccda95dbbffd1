"""`vrae compare`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from rich.table import Table

from vrae.cli.option_groups import option, with_groups
from vrae.cli.parsing import number_or_auto
from vrae.cli.shared_options import AsJson, Clusterer, Clusters, DataOptions, Label, ModelOptions, OutTable
from vrae.cli.terminal import err, logger_for, out, print_json

if TYPE_CHECKING:
    from vrae.runs import Comparison

__all__ = ["compare"]

COMPARISON = "Comparison"


@with_groups()
def compare(
    *,
    data: DataOptions,
    label: Label = None,
    sample: Annotated[
        int,
        option(COMPARISON, "--sample", "N", "If there are more than N series, take N at random."),
    ] = 1000,
    methods: Annotated[
        str,
        option(COMPARISON, "--methods", "LIST", "Methods, separated by commas."),
    ] = "vrae,kmeans,kshape,kasba,rclustering",
    rounds: Annotated[
        int,
        option(COMPARISON, "--rounds", "N", "Random subsets that are clustered again to measure stability."),
    ] = 2,
    clusters: Clusters = "auto",
    clusterer: Clusterer = "gmm",
    options: ModelOptions,
    file: OutTable = None,
    as_json: AsJson = False,
) -> None:
    """Compare vrae with k-means, k-Shape, KASBA and R-Clustering on your own series.

    All methods get the same number of clusters: --clusters, else the number of known classes, else
    the number that vrae chooses. Silhouette measures how far apart the clusters are in the
    z-normalised series, where k-means works. Stability measures whether a method finds its clusters
    again in four fifths of the series. ARI and NMI measure agreement with the known classes.

    Example: vrae compare sales.csv --id item --time week --value qty --clusters 6 --out compare.csv
    """
    from vrae import runs
    from vrae.config import check_int
    from vrae.data.reading import read_panel
    from vrae.data.stream import without_pipe
    from vrae.estimators.clusterer import VRAEClusterer

    check_int("--sample", sample, low=3)
    with without_pipe(data.data) as source:
        panel = read_panel(source, **data.options(), label=label)
    total = len(panel)
    if total > sample:
        panel, _ = runs.sample_series([panel], sample, options.seed)
    truth = panel.static.get("label")
    n_clusters = number_or_auto("--clusters", clusters)
    if n_clusters == "auto" and truth is not None:
        n_clusters = len(set(truth.tolist()))
    estimator = VRAEClusterer(n_clusters, clusterer=clusterer, model=options.model(), random_state=options.seed)
    names = [name.strip() for name in methods.split(",")]
    log = logger_for(options.quiet or as_json)
    found = runs.compare(estimator, panel, truth, names, rounds, options.seed, log)
    if len(panel) < total:
        found.notes.insert(0, f"{len(panel):,} of {total:,} series, drawn at random (--sample).")
    if file is not None:
        runs.write_columns(found.to_columns(), file)
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
        table.add_row(*(_cell(row[head.lower()]) for head in heads))
    out.print(table)
    out.print("\nAgreement between the methods (adjusted Rand index, 1 = the same clusters)")
    pairs = Table(box=None)
    names = [row["method"] for row in found.rows]
    for head in ["", *names]:
        pairs.add_column(head, justify="right" if head else "left")
    for row in found.rows:
        pairs.add_row(row["method"], *(_cell(row[f"with {name}"]) for name in names))
    out.print(pairs)
    for note in found.notes:
        err.print(f"Note: {note}", markup=False, highlight=False, soft_wrap=True)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
