"""`vrae cluster`, `vrae demo` and `vrae compare`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from vrae.cli.config_file import save_config
from vrae.cli.option_groups import number_or_auto, option, with_groups
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
    OutTable,
    Overwrite,
    Quiet,
    Seed,
    tell,
)
from vrae.cli.terminal import Stopped, err, facts_table, logger_for, out, print_json, usage_error

if TYPE_CHECKING:
    from vrae.data.stream import OpenedSource
    from vrae.estimators.clusterer import VRAEClusterer
    from vrae.runs import Comparison

__all__ = ["cluster", "compare", "demo", "show_clusters"]

# A larger source is read in parts, and trained on a sample of this number of series.
_MAX_SERIES = 200_000
_MAX_VALUES = 1 << 27
_TRAIN_SAMPLE = 20_000

TrainSample = Annotated[
    str, option(SCALE, "--train-sample", "N", "Train on N random series, and assign all. auto: 20,000 of a large file.")
]
TrainWorkers = Annotated[
    int,
    option(SCALE, "--train-workers", "N", "Ray: number of processes that train together. 1 trains in this process."),
]
Resume = Annotated[
    bool, option(OUTPUT, "--resume", None, "Continue a run that was stopped. Without one, start from the beginning.")
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
    from vrae.metrics import n_classes

    runs.check_report()
    with runs.claim_run_folder(folder, overwrite=folder == Path("runs/demo")):
        panel, labels = load_example(name, data_dir=data_dir)
        known = "auto" if labels is None else str(n_classes(labels))
        n_clusters = number_or_auto("--clusters", clusters or known)
        model = ModelOptions(quiet=quiet).model()
        clusterer = VRAEClusterer(n_clusters, model=model, random_state=seed)
        tell(panel.overview(), logger_for(quiet))
        metrics = runs.cluster_panel(clusterer, panel, labels, folder, f"Clusters of {name}", {"example": name})
    show_clusters(metrics, folder, as_json)


@with_groups()
def cluster(
    context: typer.Context,
    *,
    data: DataOptions,
    label: Label = None,
    clusters: Clusters = "auto",
    clusterer: Clusterer = "kmeans",
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
    from vrae.exceptions import TrainingInterrupted
    from vrae.train.checkpoint import Checkpoint

    runs.check_report()
    if train_workers > 1 and not engine.is_ray:
        raise usage_error("--train-workers needs --engine ray.")
    ray = engine.options(train_workers) if engine.is_ray else None
    log = logger_for(options.quiet)
    with runs.claim_run_folder(folder, overwrite, resume):
        model = options.model()
        if train_workers == 1:  # processes that train together save and resume by themselves
            saving = Checkpoint(folder / runs.CHECKPOINT, checkpoint_every, resume=resume, log=log)
            model.set_params(callbacks=[*(model.callbacks or []), saving])
        n_clusters = number_or_auto("--clusters", clusters)
        estimator = VRAEClusterer(n_clusters, clusterer=clusterer, model=model, random_state=options.seed)
        reading = {**data.options(), "label": label}
        title = f"Clusters of {'standard input' if data.data == '-' else Path(data.data).name}"
        run = {"out": folder, "title": title, "log": log}
        try:
            if ray is None:
                metrics = _cluster_here(estimator, data.data, reading, train_sample, **run)
            else:
                run |= {"engine": ray, "overwrite": overwrite, "resume": resume}
                metrics = _cluster_on_ray(estimator, data.data, reading, train_sample, **run)
            save_config(context, folder)
        except TrainingInterrupted as stop:
            given = [word for word in sys.argv[1:] if word not in ("--resume", "--overwrite")]
            raise Stopped(f"{stop}\nTo resume: {shlex.join(['vrae', *given, '--resume'])}") from None
    show_clusters(metrics, folder, as_json)


def _cluster_here(
    clusterer: VRAEClusterer, data: str, reading: dict[str, Any], train_sample: str, **run: Any
) -> dict[str, Any]:
    from vrae import runs
    from vrae.data.stream import open_data, without_pipe

    run["source"] = runs.source_of(data, reading)
    with without_pipe(data) as source:
        opened = open_data(source, **reading)
        n_train = _training_size(train_sample, opened)
        if n_train is not None:
            return runs.cluster_stream(clusterer, opened.panels, n_train, clusterer.random_state, **run)
        panel = opened.panel()
        tell(panel.overview(), run.pop("log"))
        return runs.cluster_panel(clusterer, panel, panel.static.get("label"), **run)


def _cluster_on_ray(
    clusterer: VRAEClusterer, data: str, reading: dict[str, Any], train_sample: str, **run: Any
) -> dict[str, Any]:
    from vrae import distributed
    from vrae.data.stream import open_data
    from vrae.runs import source_of

    source = distributed.open_parquet(data, **reading)
    run |= {"seed": clusterer.random_state, "origin": source_of(data, reading)}
    n_train = _training_size(train_sample, open_data(source, **reading))
    return distributed.cluster(clusterer, source, n_train=n_train, **run, **reading)


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
    n_series, n_labelled = metrics["n_series"], metrics.get("n_labelled")
    if n_labelled not in (None, n_series):
        err.print(
            f"Note: {n_series - n_labelled:,} of {n_series:,} series have no known class. Scores are of the others.",
            highlight=False,
            soft_wrap=True,
        )
    if as_json:
        print_json({"report": str(report), **metrics})
        return
    facts = {"Clusters": metrics["n_clusters"], "Sizes": metrics["sizes"]}
    if metrics["n_noise"]:
        facts["In no cluster"] = metrics["n_noise"]
    if "n_trained" in metrics:
        facts["Trained on"] = f"{metrics['n_trained']:,} of {metrics['n_series']:,} series"
    part = "" if n_labelled in (None, n_series) else f"{n_labelled:,} of {n_series:,} series labelled: "
    if part and "ari" not in metrics:
        facts["Agreement with the known classes"] = f"{part}too few to compare"
    if "ari" in metrics:
        scores = f"{part}ARI {metrics['ari']:.3f}, NMI {metrics['nmi']:.3f}"
        if peer := metrics.get("raw_kmeans"):
            scores += f"   (k-means on the raw series: ARI {peer['ari']:.3f}, NMI {peer['nmi']:.3f})"
        facts["Agreement with the known classes"] = scores
    if timed:
        facts["Time"] = f"{metrics['seconds']:.0f} s"
    out.print(facts_table(facts), highlight=False, soft_wrap=True)
    out.print(Text.assemble((" Report  ", "bold"), str(report)), soft_wrap=True)  # never wrapped, so it can be copied


@with_groups()
def compare(
    *,
    data: DataOptions,
    label: Label = None,
    sample: Annotated[
        int, option("Comparison", "--sample", "N", "If there are more than N series, take N at random.")
    ] = 1000,
    methods: Annotated[
        str, option("Comparison", "--methods", "LIST", "Methods, separated by commas.")
    ] = "vrae,kmeans,kshape,kasba,rclustering",
    rounds: Annotated[
        int, option("Comparison", "--rounds", "N", "Random subsets that are clustered again to measure stability.")
    ] = 2,
    clusters: Clusters = "auto",
    clusterer: Clusterer = "kmeans",
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
    from vrae.estimators.clusterer import VRAEClusterer
    from vrae.metrics import n_classes

    check_int("--sample", sample, low=3)
    log = logger_for(options.quiet or as_json)
    panel = data.panel(label=label, log=log)
    total = len(panel)
    if total > sample:
        panel, _ = runs.sample_series([panel], sample, options.seed)
    truth = panel.static.get("label")
    n_clusters = number_or_auto("--clusters", clusters)
    if n_clusters == "auto" and truth is not None and n_classes(truth) > 1:
        n_clusters = n_classes(truth)
    estimator = VRAEClusterer(n_clusters, clusterer=clusterer, model=options.model(), random_state=options.seed)
    names = [name.strip() for name in methods.split(",")]
    found = runs.compare(estimator, panel, truth, names, rounds, options.seed, log)
    if len(panel) < total:
        found.notes.insert(0, f"{len(panel):,} of {total:,} series, drawn at random (--sample).")
    if file is not None:
        runs.write_columns(found.to_columns(), file)
    if as_json:
        print_json({"rows": found.rows, "notes": found.notes})
    else:
        _show(found)


def _show(found: Comparison) -> None:
    scores = ["ARI", "NMI"] if "ari" in found.rows[0] else []
    heads = ["Method", "Clusters", "Silhouette", "Stability", *scores, "Seconds"]
    _print_table(heads, [[row[head.lower()] for head in heads] for row in found.rows])
    out.print("\nAgreement between the methods (adjusted Rand index, 1 = the same clusters)")
    names = [row["method"] for row in found.rows]
    _print_table(["", *names], [[row["method"], *(row[f"with {name}"] for name in names)] for row in found.rows])
    for note in found.notes:
        err.print(f"Note: {note}", markup=False, highlight=False, soft_wrap=True)


def _print_table(heads: list[str], rows: list[list[Any]]) -> None:
    table = Table(box=None)
    for number, head in enumerate(heads):
        table.add_column(head, justify="right" if number else "left")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    out.print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
