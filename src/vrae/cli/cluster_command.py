"""`vrae cluster`, `vrae demo` and `vrae compare`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table

from vrae.cli.cluster_result import show_clusters
from vrae.cli.config_file import save_config
from vrae.cli.option_groups import number_or_auto, option, with_groups
from vrae.cli.phase_display import end_phase
from vrae.cli.shared_options import (
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
from vrae.cli.stopping import resumable
from vrae.cli.terminal import err, logger_for, out, print_json, usage_error, written
from vrae.phases import announce

if TYPE_CHECKING:
    from vrae.data.panel import Panel
    from vrae.data.stream import OpenedSource
    from vrae.distributed import EngineOptions
    from vrae.estimators.clusterer import VRAEClusterer
    from vrae.runs import Comparison

__all__ = ["cluster", "compare", "demo"]

Log = Callable[[str], None]
Also = Callable[[Path], None]  # writes more files into the folder of a run

# Folders by default. A complete run in one of them is replaced by the next.
LATEST, _LATEST_DEMO = Path("runs/latest"), Path("runs/demo")

# A larger source is read in parts, and trained on a sample of this number of series.
_MAX_SERIES = 200_000
_MAX_VALUES = 1 << 27
_TRAIN_SAMPLE = 20_000
# What `vrae compare` compares.
_METHODS = "vrae,kmeans,kshape,kasba,rclustering"

TrainSample = Annotated[
    str, option(SCALE, "--train-sample", "N", "Train on N random series, and assign all. auto: 20,000 of a large file.")
]
TrainWorkers = Annotated[
    int,
    option(SCALE, "--train-workers", "N", "Ray: number of processes that train together. 1 trains in this process."),
]
Resume = Annotated[
    bool, option(OUTPUT, "--resume", "", "Continue a run that was stopped. Without one, start from the beginning.")
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
    clusters: Clusters = "auto",
    seed: Seed = 0,
    folder: OutFolder = _LATEST_DEMO,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Cluster an example, and write a report: the quickest way to see what vrae does.

    vrae chooses the number of clusters, unless you do. The known classes of the example are used
    only for the scores at the end.

    Example: vrae demo
    Example: vrae demo GunPoint -k 2
    """
    from vrae import runs
    from vrae.data.datasets import load_example
    from vrae.estimators.clusterer import VRAEClusterer
    from vrae.estimators.option_tables import checked

    runs.check_report()
    n_clusters = number_or_auto("--clusters", clusters)
    clusterer = checked(VRAEClusterer(n_clusters, model=ModelOptions().model(), random_state=seed))
    announce("Reading")
    panel, labels = load_example(name, data_dir=data_dir)
    tell(panel.overview(), logger_for(quiet))
    with runs.claim_run_folder(folder, overwrite=False, rolling=folder == _LATEST_DEMO):
        metrics = runs.cluster_panel(clusterer, panel, labels, folder, name, {"example": name})
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
    folder: OutFolder = LATEST,
    overwrite: Overwrite = False,
    resume: Resume = False,
    checkpoint_every: CheckpointEvery = 1.0,
    as_json: AsJson = False,
    engine: EngineGroup,
    train_sample: TrainSample = "auto",
    train_workers: TrainWorkers = 1,
) -> None:
    """Find groups of similar series in a file, and write a report.

    vrae recognises the columns of most tables and says what it read. Where it is wrong, name them
    with --id, --time and --value. Every other option has a working default.

    The result is a folder with report.html, clusters.csv, the model and more. The next run replaces
    the one in runs/latest. To keep a run, name its folder with --out.

    A file of more than 200,000 series, or larger than memory, is read in parts. vrae then trains on
    a random sample of the series and assigns all of them.

    Training is saved to the run folder at intervals. After Ctrl-C or a crash, run the same command
    with --resume. It continues and gives the same result.

    Example: vrae cluster sales.csv
    Example: vrae cluster sales.parquet --id item --time week --value qty -k 8 --out runs/sales
    Example: vrae cluster 's3://sales/*.parquet' --id item --time week --engine ray
    """
    from vrae import runs
    from vrae.estimators.clusterer import VRAEClusterer
    from vrae.estimators.option_tables import checked
    from vrae.train.checkpoint import Checkpoint

    runs.check_report()
    if train_workers != 1 and not engine.is_ray:
        raise usage_error("--train-workers needs --engine ray.")
    if resume and overwrite:
        raise usage_error("--resume continues a run, and --overwrite starts over. Leave out one of them.")
    sample_size = number_or_auto("--train-sample", train_sample, low=2)
    n_clusters, rolling = number_or_auto("--clusters", clusters), folder == LATEST
    model = options.model()
    estimator = checked(VRAEClusterer(n_clusters, clusterer=clusterer, model=model, random_state=options.seed))
    ray = engine.options(train_workers) if engine.is_ray else None
    log = logger_for(options.quiet)
    saving = Checkpoint(folder / runs.CHECKPOINT, checkpoint_every, resume=resume, log=log)
    # Data errors come first: the folder is claimed when the series have been read.
    with (
        resumable(saving),
        _opened(data, label, sample_size, estimator, ray, log) as series,
        runs.claim_run_folder(folder, overwrite, resume, rolling=rolling),
    ):
        if rolling and not (overwrite or resume) and (folder / "metrics.json").exists():
            log(f"Replacing the earlier run in {folder}. --out FOLDER keeps both.")
        if train_workers == 1:  # processes that train together save and resume by themselves
            estimator.model.set_params(callbacks=[*(estimator.model.callbacks or []), saving])
        title, also = runs.data_name(data.data), partial(save_config, context, folder)
        metrics = series.cluster(estimator, folder, title, log, also, overwrite=overwrite or rolling, resume=resume)
    show_clusters(metrics, folder, as_json)


@dataclass(frozen=True)
class _Series:
    """What to cluster: a panel, or a source that is read in parts, here or on Ray."""

    origin: dict[str, Any]
    reading: dict[str, Any]
    opened: OpenedSource
    n_train: int | None
    panel: Panel | None = None
    ray: EngineOptions | None = None

    def cluster(
        self, clusterer: VRAEClusterer, out: Path, title: str, log: Log, also: Also, **replacing: bool
    ) -> dict[str, Any]:
        """Write a run folder, and return its metrics. ``replacing`` are options for Ray."""
        from vrae import runs

        seed: Any = clusterer.random_state
        if self.panel is not None:
            truth = self.panel.static.get("label")
            return runs.cluster_panel(clusterer, self.panel, truth, out, title, self.origin, also)
        if self.ray is None:
            assert self.n_train is not None
            opened, n_train = self.opened.panels, self.n_train
            return runs.cluster_stream(clusterer, opened, n_train, seed, out, title, log, self.origin, also)
        from vrae import distributed

        options: Any = {"n_train": self.n_train, "seed": seed, "log": log, "origin": self.origin, "also": also}
        options |= replacing
        return distributed.cluster(
            clusterer, self.opened.source, out=out, title=title, engine=self.ray, **options, **self.reading
        )


@contextmanager
def _opened(
    data: DataOptions,
    label: str | None,
    sample_size: int | Literal["auto"],
    clusterer: VRAEClusterer,
    ray: EngineOptions | None,
    log: Log,
) -> Iterator[_Series]:
    """Read the series, or open what is read in parts. Errors in the data are raised here."""
    from vrae.data.selection import check_enough
    from vrae.data.stream import open_data, without_pipe
    from vrae.runs import source_of

    announce("Reading")
    reading = {**data.options(), "label": label}
    origin = source_of(data.data, reading)
    if ray is not None:
        from vrae import distributed

        opened = open_data(distributed.open_parquet(data.data, **reading), **reading)
        yield _Series(origin, reading, opened, _training_size(sample_size, opened), ray=ray)
        return
    with without_pipe(data.data) as source:
        opened = open_data(source, **reading)
        n_train, panel = _training_size(sample_size, opened), None
        if n_train is None:
            panel = opened.panel()
            check_enough(*clusterer.model.usable(panel))
            tell(panel.overview(), log)
        yield _Series(origin, reading, opened, n_train, panel)


def _training_size(sample_size: int | Literal["auto"], opened: OpenedSource) -> int | None:
    """Return the number of series to train on. None: all, and they fit into memory."""
    if sample_size != "auto":
        return sample_size
    return _TRAIN_SAMPLE if opened.is_large(_MAX_SERIES, _MAX_VALUES) else None


@with_groups()
def compare(
    *,
    data: DataOptions,
    label: Label = None,
    sample: Annotated[
        int, option("Comparison", "--sample", "N", "If there are more than N series, take N at random.")
    ] = 1000,
    methods: Annotated[
        list[str] | None,
        option("Comparison", "--methods", "LIST", f"Methods, separated by commas. Default: {_METHODS}."),
    ] = None,
    rounds: Annotated[
        int, option("Comparison", "--rounds", "N", "Random halves that are clustered again to measure stability.")
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
    again in random halves of the series. ARI and NMI measure agreement with the known classes.

    Example: vrae compare sales.csv --id item --time week --value qty --clusters 6 --out compare.csv
    """
    from vrae import runs
    from vrae.config import check_int
    from vrae.describe.words import plural
    from vrae.estimators.clusterer import VRAEClusterer
    from vrae.estimators.option_tables import checked
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
    model = options.model()
    estimator = checked(VRAEClusterer(n_clusters, clusterer=clusterer, model=model, random_state=options.seed))
    names = [name.strip() for text in methods or [_METHODS] for name in text.split(",")]
    found = runs.compare(estimator, panel, truth, names, rounds, options.seed)
    if len(panel) < total:
        found.notes.insert(0, f"{len(panel):,} of {total:,} series, drawn at random (--sample).")
    if file is not None:
        runs.write_columns(found.to_columns(), file)
        end_phase()
        log(written(file, plural(len(found.rows), "method")))
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
