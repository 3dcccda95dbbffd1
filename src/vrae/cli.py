"""The command line. Heavy modules are imported inside the commands, so that ``--help`` answers at once."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from vrae.data.panel import Panel
    from vrae.estimators.clusterer import VRAEClusterer
    from vrae.estimators.vrae import VRAE

__all__ = ["app", "main"]

app = typer.Typer(
    name="vrae",
    help="Cluster unlabelled time series, and see why.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# A source of more is read in parts, and so many of its series are trained on.
_MAX_SERIES = 200_000
_MAX_VALUES = 1 << 27
_TRAIN_SAMPLE = 20_000

_INTERRUPTED = 130  # exit code after Ctrl-C

out = Console()
err = Console(stderr=True)

# ---------------------------------------------------------------- options shared by the commands

Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="csv, Parquet, Feather, .ts, .tsv, .arff, .npz or .npy file, a folder of them, or a 'pattern*'; "
        "- is standard input.",
        show_default=False,
    ),
]
Id = Annotated[str | None, typer.Option("--id", metavar="COLUMN", help="Column that names the series.")]
Time = Annotated[str | None, typer.Option("--time", metavar="COLUMN", help="Column to sort the steps by.")]
Value = Annotated[
    list[str] | None,
    typer.Option("--value", metavar="COLUMN", help="Column with the values; repeat it for channels; * is a wildcard."),
]
Layout = Annotated[Literal["auto", "long", "wide"], typer.Option(help="A row a step (long), or a row a series (wide).")]
Static = Annotated[
    list[str] | None,
    typer.Option("--static", metavar="COLUMN", help="Column kept beside the results; repeatable."),
]
Label = Annotated[
    str | None,
    typer.Option("--label", metavar="COLUMN", help="Known classes: to compare with, never to learn from."),
]
Freq = Annotated[
    str | None,
    typer.Option(metavar="STEP", help="Put rows on a regular grid (1d, 1w, 1mo, 1h, ...); gaps are missing."),
]
Duplicates = Annotated[
    Literal["raise", "sum", "mean", "first", "last"], typer.Option(help="Rows with the same id and time.")
]
OnInvalid = Annotated[
    Literal["raise", "keep"],
    typer.Option(help="Series without any value: stop, or keep their rows without a result."),
]
Model = Annotated[
    Path,
    typer.Option("--model", "-m", metavar="FOLDER", help="Model folder that a run wrote.", show_default=False),
]
OutFile = Annotated[
    Path, typer.Option("--out", "-o", metavar="FILE", help="CSV or .parquet file; - is standard output.")
]
OutFolder = Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Run folder to write.")]
TrainSample = Annotated[
    str,
    typer.Option(
        "--train-sample",
        metavar="N",
        help="Train on so many series, drawn at random, and place all. 'auto': all series, or 20,000 of a large file.",
    ),
]
Clusters = Annotated[str, typer.Option("--clusters", "-k", metavar="K", help="Number of clusters, or 'auto'.")]
Seed = Annotated[int, typer.Option("--seed", help="Same data and seed: same clusters.")]
Epochs = Annotated[str, typer.Option("--epochs", metavar="N", help="Passes over the data, or 'auto'.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the result.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


# ---------------------------------------------------------------- commands


@app.command()
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

    if folder != Path("runs/demo"):
        runs.check_run_folder(folder, overwrite=False)
    panel, labels = load_example(name, data_dir=data_dir)
    known = "auto" if labels is None else str(len(set(labels.tolist())))
    n_clusters = _number_or_auto("--clusters", clusters or known)
    clusterer = _clusterer(n_clusters, seed, "auto", "auto", "raise", quiet)
    title = f"{name}: what {len(panel)} real series do"
    _tell_of(panel, quiet)
    _tell(runs.cluster_panel(clusterer, panel, labels, folder, title), folder, as_json)


@app.command()
def cluster(
    data: Data,
    folder: OutFolder = Path("runs/latest"),
    clusters: Clusters = "auto",
    id_: Id = None,
    time_: Time = None,
    value: Value = None,
    layout: Layout = "auto",
    static: Static = None,
    label: Label = None,
    freq: Freq = None,
    duplicates: Duplicates = "raise",
    on_invalid: OnInvalid = "raise",
    train_sample: TrainSample = "auto",
    seed: Seed = 0,
    epochs: Epochs = "auto",
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Cluster the series of a table or file; write model, tables and report.

    A file of more than 200,000 series, or larger than memory, is read in parts: a random sample of its series is
    learned from, and all of them are placed.

    Example: vrae cluster sales.parquet --id item --time week --value qty --clusters 8 --out runs/sales
    """
    from vrae import runs
    from vrae.data.io import read_panel
    from vrae.data.stream import stream_panels, without_pipe

    runs.check_run_folder(folder, overwrite)
    clusterer = _clusterer(_number_or_auto("--clusters", clusters), seed, epochs, device, on_invalid, quiet)
    options = _table_options(id_, time_, value, layout, static, label, freq, duplicates)
    title = f"Clusters of {'standard input' if data == '-' else Path(data).name}"
    with without_pipe(data) as source:
        n_train = _sample_size(train_sample, source, options)
        if n_train is None:
            panel = read_panel(source, **options)
            _tell_of(panel, quiet)
            metrics = runs.cluster_panel(clusterer, panel, panel.static.get("label"), folder, title)
        else:
            metrics = runs.cluster_stream(
                clusterer, lambda: stream_panels(source, **options), n_train, seed, folder, title, _teller(quiet)
            )
    _tell(metrics, folder, as_json)


@app.command()
def assign(
    data: Data,
    model: Model,
    file: OutFile = Path("-"),
    id_: Id = None,
    time_: Time = None,
    value: Value = None,
    layout: Layout = "auto",
    static: Static = None,
    freq: Freq = None,
    duplicates: Duplicates = "raise",
    on_invalid: OnInvalid = "raise",
) -> None:
    """Place new series in the clusters of a model. A file may be larger than memory.

    Example: vrae assign new.csv --model runs/sales/model --out assigned.csv
    Example: zcat new.csv.gz | vrae assign - --model runs/sales/model > assigned.csv
    """
    from vrae import runs
    from vrae.data.stream import stream_panels
    from vrae.estimators.clusterer import VRAEClusterer
    from vrae.exceptions import InvalidParameterError

    clusterer = _load(model, on_invalid)
    if not isinstance(clusterer, VRAEClusterer):
        raise InvalidParameterError(
            f"{model} is a {type(clusterer).__name__} without clusters. Use the model of a `vrae cluster` run, "
            f"or `vrae embed`."
        )
    options = _table_options(id_, time_, value, layout, static, None, freq, duplicates)
    runs.write_assignments(clusterer, stream_panels(data, **options), _target(file))


@app.command()
def embed(
    data: Data,
    model: Model,
    file: OutFile = Path("-"),
    id_: Id = None,
    time_: Time = None,
    value: Value = None,
    layout: Layout = "auto",
    static: Static = None,
    freq: Freq = None,
    duplicates: Duplicates = "raise",
    on_invalid: OnInvalid = "raise",
) -> None:
    """Write the latent vector of every series: id, vrae0, vrae1, ... A file may be larger than memory.

    Example: vrae embed new.parquet --model runs/sales/model --out embedding.parquet
    """
    from vrae import runs
    from vrae.data.stream import stream_panels

    estimator = _load(model, on_invalid)
    options = _table_options(id_, time_, value, layout, static, None, freq, duplicates)
    runs.write_embeddings(estimator, stream_panels(data, **options), _target(file))


@app.command()
def info(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model folder, or the run folder around it.")],
    as_json: AsJson = False,
) -> None:
    """Tell what a model is: its options, what it was fitted to, its clusters.

    Example: vrae info runs/sales/model
    """
    from vrae.runs import describe_model

    facts = describe_model(_load(model, "raise"))
    if as_json:
        _print_json(facts)
        return
    table = Table(show_header=False, box=None)
    for name, fact in facts.items():
        table.add_row(f"[bold]{name}[/]", _words(fact))
    out.print(table)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.", is_eager=True)] = False,
) -> None:
    if version:
        from vrae import __version__

        typer.echo(f"vrae {__version__}")
        raise typer.Exit


# ---------------------------------------------------------------- parts


def _clusterer(
    n_clusters: int | Literal["auto"], seed: int, epochs: str, device: str, on_invalid: str, quiet: bool
) -> VRAEClusterer:
    from vrae.estimators.clusterer import VRAEClusterer

    return VRAEClusterer(
        n_clusters,
        max_epochs=_number_or_auto("--epochs", epochs),
        device=device,
        on_invalid=on_invalid,
        random_state=seed,
        verbose=int(not quiet and err.is_terminal),
    )


def _sample_size(text: str, source: Any, options: dict[str, Any]) -> int | None:
    """Return how many series to train on; None: all, and they fit into memory."""
    from vrae.config import check_int
    from vrae.data.stream import is_large

    n_train = _number_or_auto("--train-sample", text)
    if n_train != "auto":
        return check_int("--train-sample", n_train, low=2)
    return _TRAIN_SAMPLE if is_large(source, _MAX_SERIES, _MAX_VALUES, **options) else None


def _teller(quiet: bool) -> Callable[[str], None]:
    return lambda message: None if quiet else err.print(message, highlight=False, soft_wrap=True)


def _tell_of(panel: Panel, quiet: bool) -> None:
    _teller(quiet)(f"Clustering {panel!r}")


def _tell(metrics: dict[str, Any], folder: Path, as_json: bool) -> None:
    report = folder / "report.html"
    if as_json:
        _print_json({"report": str(report), **metrics})
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


def _table_options(
    id_: str | None,
    time_: str | None,
    value: list[str] | None,
    layout: Literal["auto", "long", "wide"],
    static: list[str] | None,
    label: str | None,
    freq: str | None,
    duplicates: Literal["raise", "sum", "mean", "first", "last"],
) -> dict[str, Any]:
    """Return the options of `vrae.read_panel`."""
    return {
        "id": id_,
        "time": time_,
        "value": value or None,
        "layout": layout,
        "static": static or None,
        "label": label,
        "freq": freq,
        "duplicates": duplicates,
    }


def _load(model: Path, on_invalid: str) -> VRAE:
    from vrae.estimators.vrae import VRAE
    from vrae.persistence import load_model

    inside = model / "model"
    estimator = load_model(inside if inside.is_dir() else model)
    assert isinstance(estimator, VRAE)
    return estimator.set_params(on_invalid=on_invalid)


def _number_or_auto(option: str, text: str) -> int | Literal["auto"]:
    from vrae.exceptions import InvalidParameterError

    if text == "auto":
        return "auto"
    try:
        return int(text)
    except ValueError:
        raise InvalidParameterError(f"{option} must be a whole number or 'auto'; found {text!r}.") from None


def _target(file: Path) -> Path | None:
    return None if str(file) == "-" else file


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2))


def _words(fact: Any) -> str:
    if isinstance(fact, dict):
        return ", ".join(f"{name}={value}" for name, value in fact.items())
    return ", ".join(map(str, fact)) if isinstance(fact, list) else str(fact)


def main() -> None:
    """Run the command line; exit with 0 (done), 2 (bad usage or data), 130 (Ctrl-C) or 1 (our fault)."""
    try:
        app()
    except SystemExit as stop:
        if stop.code == _INTERRUPTED:  # so newer versions of typer tell of Ctrl-C
            err.print("Stopped. Nothing was written.")
        raise
    except KeyboardInterrupt:
        err.print("Stopped. Nothing was written.")
        sys.exit(_INTERRUPTED)
    except Exception as error:
        from vrae.exceptions import VRAEError

        if not isinstance(error, VRAEError):
            err.print("[bold red]Internal error.[/] This is a fault in vrae, please report it:", highlight=False)
            err.print_exception()
            sys.exit(1)
        err.print("[bold red]Error:[/]", end=" ")
        err.print(str(error), markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
