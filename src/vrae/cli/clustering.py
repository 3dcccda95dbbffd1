"""`vrae demo` and `vrae cluster`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from vrae.cli.options import (
    AsJson,
    Far,
    OutFolder,
    Overwrite,
    Quiet,
    Reading,
    Seed,
    Training,
    number_or_auto,
    with_groups,
)
from vrae.cli.terminal import out, print_json, teller

__all__ = ["cluster", "demo"]

# A source of more is read in parts, and so many of its series are trained on.
_MAX_SERIES = 200_000
_MAX_VALUES = 1 << 27
_TRAIN_SAMPLE = 20_000

Clusters = Annotated[str, typer.Option("--clusters", "-k", metavar="K", help="Number of clusters, or 'auto'.")]
TrainSample = Annotated[
    str,
    typer.Option(
        "--train-sample",
        metavar="N",
        help="Train on so many series, drawn at random, and place all. 'auto': all series, or 20,000 of a large file.",
    ),
]
TrainWorkers = Annotated[
    int, typer.Option("--train-workers", metavar="N", help="Ray: processes that train together; 1 trains in this one.")
]
Label = Annotated[
    str | None,
    typer.Option("--label", metavar="COLUMN", help="Known classes: to compare with, never to learn from."),
]


def demo(
    name: Annotated[str, typer.Argument(help="A bundled data set, or any of the UCR/UEA archive's.")] = "OSULeaf",
    data_dir: Annotated[
        Path | None, typer.Option(envvar="VRAE_DATA", help="Folder with the data set, if it is not bundled.")
    ] = None,
    folder: OutFolder = Path("runs/demo"),
    clusters: Clusters = "",
    seed: Seed = 0,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Cluster real data that comes along, and write a report.

    The number of clusters is that of the known classes, unless --clusters says otherwise; the classes are used for
    nothing else but the scores at the end.

    Example: vrae demo; vrae demo GunPoint --clusters auto
    """
    from vrae import runs
    from vrae.data.examples import load_example
    from vrae.estimators.clusterer import VRAEClusterer

    if folder != Path("runs/demo"):
        runs.check_run_folder(folder, overwrite=False)
    panel, labels = load_example(name, data_dir=data_dir)
    known = "auto" if labels is None else str(len(set(labels.tolist())))
    n_clusters = number_or_auto("--clusters", clusters or known)
    clusterer = VRAEClusterer(n_clusters, **Training(seed=seed, quiet=quiet).options())
    title = f"{name}: what {len(panel)} real series do"
    teller(quiet)(f"Clustering {panel!r}")
    _tell(runs.cluster_panel(clusterer, panel, labels, folder, title, {"example": name}), folder, as_json)


@with_groups
def cluster(
    reading: Reading,
    training: Training,
    far: Far,
    label: Label = None,
    folder: OutFolder = Path("runs/latest"),
    clusters: Clusters = "auto",
    train_sample: TrainSample = "auto",
    train_workers: TrainWorkers = 1,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Cluster the series of a table or file; write model, tables and report.

    A file of more than 200,000 series, or larger than memory, is read in parts: a random sample of its series is
    learned from, and all of them are placed.

    Example: vrae cluster sales.parquet --id item --time week --value qty --clusters 8 --out runs/sales

    Example: vrae cluster 's3://sales/*.parquet' --id item --time week --value qty --engine ray --address auto
    """
    from vrae import runs
    from vrae.data.io import read_panel
    from vrae.data.stream import stream_panels, without_pipe
    from vrae.estimators.clusterer import VRAEClusterer
    from vrae.exceptions import InvalidParameterError

    runs.check_run_folder(folder, overwrite)
    clusterer = VRAEClusterer(number_or_auto("--clusters", clusters), **training.options())
    options = {**reading.options(), "label": label}
    origin = runs.source_of(reading.data, options)
    title = f"Clusters of {'standard input' if reading.data == '-' else Path(reading.data).name}"
    tell = teller(training.quiet)
    if train_workers > 1 and not far.is_ray:
        raise InvalidParameterError("--train-workers belongs to --engine ray.")
    if far.is_ray:
        from vrae import distributed

        data = distributed.open_parquet(reading.data, **options)
        metrics = distributed.cluster(
            clusterer,
            data,
            folder,
            _sample_size(train_sample, data, options),
            engine=far.ray(train_workers),
            title=title,
            tell=tell,
            seed=training.seed,
            overwrite=overwrite,
            origin=origin,
            **options,
        )
        _tell(metrics, folder, as_json)
        return
    with without_pipe(reading.data) as source:
        n_train = _sample_size(train_sample, source, options)
        if n_train is None:
            panel = read_panel(source, **options)
            tell(f"Clustering {panel!r}")
            metrics = runs.cluster_panel(clusterer, panel, panel.static.get("label"), folder, title, origin)
        else:
            metrics = runs.cluster_stream(
                clusterer, lambda: stream_panels(source, **options), n_train, training.seed, folder, title, tell, origin
            )
    _tell(metrics, folder, as_json)


def _sample_size(text: str, source: Any, options: dict[str, Any]) -> int | None:
    """Return how many series to train on; None: all, and they fit into memory."""
    from vrae.config import check_int
    from vrae.data.stream import is_large

    n_train = number_or_auto("--train-sample", text)
    if n_train != "auto":
        return check_int("--train-sample", n_train, low=2)
    return _TRAIN_SAMPLE if is_large(source, _MAX_SERIES, _MAX_VALUES, **options) else None


def _tell(metrics: dict[str, Any], folder: Path, as_json: bool) -> None:
    report = folder / "report.html"
    if as_json:
        print_json({"report": str(report), **metrics})
        return
    table = Table(box=None, show_header=False)
    table.add_row("[bold]Clusters[/]", str(metrics["n_clusters"]))
    table.add_row("[bold]Sizes[/]", ", ".join(map(str, metrics["sizes"])))
    if metrics["n_noise"]:
        table.add_row("[bold]In no cluster[/]", str(metrics["n_noise"]))
    if "n_trained" in metrics:
        table.add_row("[bold]Trained on[/]", f"{metrics['n_trained']:,} of {metrics['n_series']:,} series")
    if "ari" in metrics:
        peer = metrics["raw_kmeans"]
        table.add_row(
            "[bold]Agreement with the known classes[/]",
            f"ARI {metrics['ari']:.3f}, NMI {metrics['nmi']:.3f}"
            f"   (k-means on the raw series: ARI {peer['ari']:.3f}, NMI {peer['nmi']:.3f})",
        )
    table.add_row("[bold]Time[/]", f"{metrics['seconds']:.0f} s")
    table.add_row("[bold]Report[/]", str(report))
    out.print(table, highlight=False, soft_wrap=True)
