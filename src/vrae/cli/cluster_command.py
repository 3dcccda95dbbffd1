"""`vrae cluster` and `vrae demo`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from vrae.cli.config_file import save_config
from vrae.cli.option_groups import option, with_groups
from vrae.cli.parsing import number_or_auto
from vrae.cli.shared_options import (
    CLUSTERING,
    OUTPUT,
    SCALE,
    AsJson,
    Clusterer,
    Clusters,
    DataDir,
    DataOptions,
    EngineGroup,
    Label,
    ModelOptions,
    OutFolder,
    Overwrite,
    Quiet,
    Seed,
)
from vrae.cli.terminal import Stopped, logger_for, out, print_json

if TYPE_CHECKING:
    from vrae.data.stream import OpenedSource
    from vrae.estimators.clusterer import VRAEClusterer

__all__ = ["cluster", "demo", "show_clusters"]

# A larger source is read in parts, and trained on a sample of this number of series.
_MAX_SERIES = 200_000
_MAX_VALUES = 1 << 27
_TRAIN_SAMPLE = 20_000

TrainSample = Annotated[
    str,
    option(
        SCALE,
        "--train-sample",
        "N",
        "Train on N random series, and assign all. auto: 20,000 of a large file.",
    ),
]
TrainWorkers = Annotated[
    int,
    option(SCALE, "--train-workers", "N", "Ray: number of processes that train together. 1 trains in this process."),
]
Resume = Annotated[
    bool,
    option(OUTPUT, "--resume", None, "Continue a run that was stopped. Without one, start from the beginning."),
]
CheckpointEvery = Annotated[
    float,
    option(OUTPUT, "--checkpoint-every", "MINUTES", "Time between two saves of the training. 0: after every step."),
]


def demo(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A bundled data set, or any other of the UCR and UEA archives.")
    ] = "OSULeaf",
    data_dir: DataDir = None,
    clusters: Annotated[
        str,
        option(CLUSTERING, "--clusters -k", "K", "Number of clusters, or 'auto'.", default="number of known classes"),
    ] = "",
    seed: Seed = 0,
    folder: OutFolder = Path("runs/demo"),
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Cluster a bundled data set, and write a report.

    The known classes set the number of clusters, unless you do. Otherwise, they are used only for
    the scores at the end.

    Example: vrae demo
    Example: vrae demo GunPoint --clusters auto
    """
    from vrae import runs
    from vrae.data.datasets import load_example
    from vrae.estimators.clusterer import VRAEClusterer

    runs.check_report()
    with runs.claim_run_folder(folder, overwrite=folder == Path("runs/demo")):
        panel, labels = load_example(name, data_dir=data_dir)
        known = "auto" if labels is None else str(len(set(labels.tolist())))
        n_clusters = number_or_auto("--clusters", clusters or known)
        model = ModelOptions(quiet=quiet).model()
        clusterer = VRAEClusterer(n_clusters, model=model, random_state=seed)
        logger_for(quiet)(f"Clustering {panel!r}")
        metrics = runs.cluster_panel(clusterer, panel, labels, folder, f"Clusters of {name}", {"example": name})
    show_clusters(metrics, folder, as_json)


@with_groups()
def cluster(
    context: typer.Context,
    *,
    data: DataOptions,
    label: Label = None,
    clusters: Clusters = "auto",
    clusterer: Clusterer = "gmm",
    options: ModelOptions,
    folder: OutFolder = Path("runs/latest"),
    overwrite: Overwrite = False,
    resume: Resume = False,
    checkpoint_every: CheckpointEvery = 1.0,
    as_json: AsJson = False,
    engine: EngineGroup,
    train_sample: TrainSample = "auto",
    train_workers: TrainWorkers = 1,
) -> None:
    """Cluster series, and write a run folder: model, tables and report.

    A file of more than 200,000 series, or larger than memory, is read in parts. vrae then trains on
    a random sample of the series and assigns all of them.

    Training is saved to the run folder at intervals. After Ctrl-C or a crash, run the same command
    with --resume. It continues and gives the same result.

    Example: vrae cluster sales.parquet --id item --time week --value qty -k 8 --out runs/sales
    Example: vrae cluster 's3://sales/*.parquet' --id item --time week --engine ray
    """
    from vrae import runs
    from vrae.estimators.clusterer import VRAEClusterer
    from vrae.exceptions import InvalidParameterError, TrainingInterrupted
    from vrae.train.checkpoint import Checkpoint

    runs.check_report()
    if train_workers > 1 and not engine.is_ray:
        raise InvalidParameterError("--train-workers needs --engine ray.")
    ray = engine.options(train_workers) if engine.is_ray else None
    log = logger_for(options.quiet)
    with runs.claim_run_folder(folder, overwrite, resume):
        model = options.model()
        if train_workers == 1:  # processes that train together save and resume by themselves
            saving = Checkpoint(folder / runs.CHECKPOINT, checkpoint_every, resume=resume, log=log)
            model.set_params(callbacks=[*(model.callbacks or []), saving])
        estimator = VRAEClusterer(
            number_or_auto("--clusters", clusters), clusterer=clusterer, model=model, random_state=options.seed
        )
        title = f"Clusters of {'standard input' if data.data == '-' else Path(data.data).name}"
        job = (estimator, data, label, train_sample, folder, title, log)
        try:
            if ray is None:
                metrics = _cluster_here(*job)
            else:
                metrics = _cluster_on_ray(*job, engine=ray, overwrite=overwrite, resume=resume)
            save_config(context, folder)
        except TrainingInterrupted as stop:
            raise Stopped(f"{stop}\n{_how_to_resume()}") from None
    show_clusters(metrics, folder, as_json)


def _cluster_here(
    clusterer: VRAEClusterer,
    data: DataOptions,
    label: str | None,
    train_sample: str,
    folder: Path,
    title: str,
    log: Callable[[str], None],
) -> dict[str, Any]:
    from vrae import runs
    from vrae.data.stream import open_data, without_pipe

    reading = {**data.options(), "label": label}
    origin = runs.source_of(data.data, reading)
    with without_pipe(data.data) as source:
        opened = open_data(source, **reading)
        n_train = _training_size(train_sample, opened)
        if n_train is not None:
            seed = clusterer.random_state
            return runs.cluster_stream(clusterer, opened.panels, n_train, seed, folder, title, log, origin)
        panel = opened.panel()
        log(f"Clustering {panel!r}")
        return runs.cluster_panel(clusterer, panel, panel.static.get("label"), folder, title, origin)


def _cluster_on_ray(
    clusterer: VRAEClusterer,
    data: DataOptions,
    label: str | None,
    train_sample: str,
    folder: Path,
    title: str,
    log: Callable[[str], None],
    **others: Any,
) -> dict[str, Any]:
    from vrae import distributed
    from vrae.data.stream import open_data
    from vrae.runs import source_of

    reading = {**data.options(), "label": label}
    source = distributed.open_parquet(data.data, **reading)
    return distributed.cluster(
        clusterer,
        source,
        folder,
        _training_size(train_sample, open_data(source, **reading)),
        title=title,
        log=log,
        seed=clusterer.random_state,
        origin=source_of(data.data, reading),
        **others,
        **reading,
    )


def _how_to_resume() -> str:
    """Return the command line that resumes this one."""
    given = [word for word in sys.argv[1:] if word not in ("--resume", "--overwrite")]
    return f"To resume: {shlex.join(['vrae', *given, '--resume'])}"


def _training_size(text: str, opened: OpenedSource) -> int | None:
    """Return the number of series to train on. None: all, and they fit into memory."""
    from vrae.config import check_int

    n_train = number_or_auto("--train-sample", text)
    if n_train != "auto":
        return check_int("--train-sample", n_train, low=2)
    return _TRAIN_SAMPLE if opened.is_large(_MAX_SERIES, _MAX_VALUES) else None


def show_clusters(metrics: dict[str, Any], folder: Path, as_json: bool, timed: bool = True) -> None:
    """Print the metrics of a run, and where its report is."""
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
        scores = f"ARI {metrics['ari']:.3f}, NMI {metrics['nmi']:.3f}"
        if "raw_kmeans" in metrics:
            peer = metrics["raw_kmeans"]
            scores += f"   (k-means on the raw series: ARI {peer['ari']:.3f}, NMI {peer['nmi']:.3f})"
        table.add_row("[bold]Agreement with the known classes[/]", scores)
    if timed:
        table.add_row("[bold]Time[/]", f"{metrics['seconds']:.0f} s")
    out.print(table, highlight=False, soft_wrap=True)
    out.print(Text.assemble((" Report  ", "bold"), str(report)), soft_wrap=True)  # never wrapped, so it can be copied
