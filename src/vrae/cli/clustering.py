"""`vrae demo` and `vrae cluster`."""

from __future__ import annotations

import functools
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from vrae.cli.configuring import save_config
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
from vrae.cli.terminal import Stopped, out, print_json, teller

if TYPE_CHECKING:
    from vrae.estimators.clusterer import VRAEClusterer

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

Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with a run that was stopped; from the start, if there is none.")
]
SaveEvery = Annotated[
    float,
    typer.Option(
        "--save-every", metavar="MINUTES", help="Time from one save of the training to the next; 0: after every step."
    ),
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

    runs.check_report()
    with runs.claim_run_folder(folder, overwrite=folder == Path("runs/demo")):
        panel, labels = load_example(name, data_dir=data_dir)
        known = "auto" if labels is None else str(len(set(labels.tolist())))
        n_clusters = number_or_auto("--clusters", clusters or known)
        clusterer = VRAEClusterer(n_clusters, **Training(seed=seed, quiet=quiet).options())
        title = f"{name}: what {len(panel)} real series do"
        teller(quiet)(f"Clustering {panel!r}")
        metrics = runs.cluster_panel(clusterer, panel, labels, folder, title, {"example": name})
    _tell(metrics, folder, as_json)


@with_groups
def cluster(
    context: typer.Context,
    reading: Reading,
    training: Training,
    far: Far,
    label: Label = None,
    folder: OutFolder = Path("runs/latest"),
    clusters: Clusters = "auto",
    train_sample: TrainSample = "auto",
    train_workers: TrainWorkers = 1,
    overwrite: Overwrite = False,
    resume: Resume = False,
    save_every: SaveEvery = 1.0,
    as_json: AsJson = False,
) -> None:
    """Cluster the series of a table or file; write model, tables and report.

    A file of more than 200,000 series, or larger than memory, is read in parts: a random sample of its series is
    learned from, and all of them are placed.

    Training is saved as it goes, in --out. After Ctrl-C, or whatever else ended it, the same command with --resume
    goes on from there, and comes to the same result.

    Example: vrae cluster sales.parquet --id item --time week --value qty --clusters 8 --out runs/sales

    Example: vrae cluster 's3://sales/*.parquet' --id item --time week --value qty --engine ray --address auto
    """
    from vrae import runs
    from vrae.estimators.clusterer import VRAEClusterer
    from vrae.exceptions import InvalidParameterError, TrainingInterrupted
    from vrae.train.checkpoint import Checkpoint

    runs.check_report()
    if train_workers > 1 and not far.is_ray:
        raise InvalidParameterError("--train-workers belongs to --engine ray.")
    engine = far.ray(train_workers) if far.is_ray else None
    tell = teller(training.quiet)
    with runs.claim_run_folder(folder, overwrite, resume):
        checkpoint = Checkpoint(folder / runs.CHECKPOINT, save_every, resume=resume, tell=tell)
        # Processes that train together save what they need themselves, and go on by themselves.
        kept = [checkpoint] if train_workers == 1 else []
        chosen = training.options()
        chosen["callbacks"] = [*(chosen["callbacks"] or []), *kept]
        clusterer = VRAEClusterer(number_or_auto("--clusters", clusters), **chosen)
        options = {**reading.options(), "label": label}
        told: dict[str, Any] = {
            "title": f"Clusters of {'standard input' if reading.data == '-' else Path(reading.data).name}",
            "tell": tell,
            "origin": runs.source_of(reading.data, options),
        }
        try:
            if engine is not None:
                from vrae import distributed

                data = distributed.open_parquet(reading.data, **options)
                n_train = _sample_size(train_sample, data, options)
                metrics = distributed.cluster(
                    clusterer,
                    data,
                    folder,
                    n_train,
                    engine=engine,
                    seed=training.seed,
                    overwrite=overwrite,
                    resume=resume,
                    **told,
                    **options,
                )
            else:
                metrics = _cluster_here(clusterer, reading.data, options, train_sample, training.seed, folder, **told)
            save_config(context, folder)
        except TrainingInterrupted as stop:
            raise Stopped(f"{stop}\n{_resuming()}") from None
    _tell(metrics, folder, as_json)


def _cluster_here(
    clusterer: VRAEClusterer,
    data: str,
    options: dict[str, Any],
    train_sample: str,
    seed: int,
    folder: Path,
    title: str,
    tell: Callable[[str], None],
    origin: dict[str, Any],
) -> dict[str, Any]:
    from vrae import runs
    from vrae.data.io import read_panel
    from vrae.data.stream import stream_panels, without_pipe

    with without_pipe(data) as source:
        n_train = _sample_size(train_sample, source, options)
        if n_train is None:
            panel = read_panel(source, **options)
            tell(f"Clustering {panel!r}")
            return runs.cluster_panel(clusterer, panel, panel.static.get("label"), folder, title, origin)
        parts = functools.partial(stream_panels, source, **options)
        return runs.cluster_stream(clusterer, parts, n_train, seed, folder, title, tell, origin)


def _resuming() -> str:
    """Return the command line with which the user goes on."""
    given = [word for word in sys.argv[1:] if word not in ("--resume", "--overwrite")]
    return f"To go on: {shlex.join(['vrae', *given, '--resume'])}"


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
    out.print(table, highlight=False, soft_wrap=True)
    out.print(Text.assemble((" Report  ", "bold"), str(report)), soft_wrap=True)  # whole, to be copied, however long
