"""Options that several commands have. Each name has one meaning everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from vrae.cli.config_file import Config
from vrae.cli.option_groups import option
from vrae.cli.parsing import as_written, number_or_auto, steps_or_fraction

if TYPE_CHECKING:
    from vrae.data.panel import Panel
    from vrae.distributed import EngineOptions
    from vrae.estimators.vrae import VRAE

__all__ = [
    "CLUSTERING",
    "DATA",
    "MODEL",
    "OUTPUT",
    "SCALE",
    "AsJson",
    "Clusterer",
    "Clusters",
    "Data",
    "DataDir",
    "DataOptions",
    "EngineGroup",
    "FittedModel",
    "Label",
    "Model",
    "ModelOptions",
    "OnInvalid",
    "OutFile",
    "OutFolder",
    "OutTable",
    "Overwrite",
    "Quiet",
    "Run",
    "RunData",
    "Save",
    "Seed",
]

# Panels of the help.
DATA, CLUSTERING, MODEL, OUTPUT, SCALE = "Data", "Clustering", "Model", "Output", "Scale"

# -------------------------------------------------------------------- arguments and data

Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="csv, Parquet, Feather, .ts, .tsv, .arff, .npz or .npy file, a folder of files, or a pattern such as "
        "'sales/*.parquet'. - is standard input.",
        show_default=False,
    ),
]
Run = Annotated[
    Path, typer.Argument(metavar="RUN", help="Folder that `vrae cluster` or `vrae demo` wrote.", show_default=False)
]
RunData = Annotated[str | None, option(DATA, "--data", "DATA", "The series of the run, if they were moved.")]
DataDir = Annotated[
    Path | None,
    option(DATA, "--data-dir", "FOLDER", "Folder with an example data set that is not bundled.", envvar="VRAE_DATA"),
]
Label = Annotated[
    str | None, option(DATA, "--label", "COLUMN", "Column of known classes: for comparison only, never for training.")
]
OnInvalid = Annotated[
    Literal["raise", "keep"],
    option(DATA, "--on-invalid", None, "Series without any value: stop, or keep their rows without a result."),
]

# -------------------------------------------------------------------- models and clusters

Model = Annotated[
    Path, option(MODEL, "--model -m", "FOLDER", "Run folder, or model folder.", show_default=False, envvar="VRAE_MODEL")
]
FittedModel = Annotated[
    Path | None,
    option(MODEL, "--model -m", "FOLDER", "Use this fitted model and train none: a run folder, or a model folder."),
]
Seed = Annotated[
    int,
    option(MODEL, "--seed", "N", "Seed of all random numbers. Same data and seed: same result.", envvar="VRAE_SEED"),
]
Clusters = Annotated[str, option(CLUSTERING, "--clusters -k", "K", "Number of clusters, or 'auto'.")]
Clusterer = Annotated[
    Literal["gmm", "kmeans", "ward", "hdbscan"],
    option(CLUSTERING, "--clusterer", None, "Method that groups the latent vectors. hdbscan chooses K itself."),
]

# -------------------------------------------------------------------- output

OutFile = Annotated[
    Path, option(OUTPUT, "--out -o", "FILE", "csv or .parquet file to write. - is standard output.", parser=as_written)
]
OutTable = Annotated[Path | None, option(OUTPUT, "--out -o", "FILE", "Write the table to this csv or .parquet file.")]
OutFolder = Annotated[Path, option(OUTPUT, "--out -o", "FOLDER", "Folder to write.")]
Overwrite = Annotated[bool, option(OUTPUT, "--overwrite", None, "Replace an earlier result.")]
Save = Annotated[Path | None, option(OUTPUT, "--save", "FOLDER", "Keep the fitted model, for --model.")]
Quiet = Annotated[bool, option(OUTPUT, "--quiet -q", None, "Print no progress, only the result.", envvar="VRAE_QUIET")]
AsJson = Annotated[bool, option(OUTPUT, "--json", None, "Print the result as JSON.")]

# -------------------------------------------------------------------- groups


@dataclass(frozen=True)
class DataOptions:
    """How to read the series of DATA: the options of `vrae.read_panel`."""

    data: Data
    id_: Annotated[str | None, option(DATA, "--id", "COLUMN", "Column that names the series.")] = None
    time: Annotated[
        str | None, option(DATA, "--time", "COLUMN", "Column of dates or numbers that orders the steps of a series.")
    ] = None
    value: Annotated[
        list[str] | None,
        option(DATA, "--value", "COLUMN", "Column of values. Repeat it for several channels. * and ? are wildcards."),
    ] = None
    layout: Annotated[
        Literal["auto", "long", "wide"],
        option(DATA, "--layout", None, "One row per time step (long) or per series (wide)."),
    ] = "auto"
    static: Annotated[
        list[str] | None,
        option(DATA, "--static", "COLUMN", "Column to copy to the results, such as a category. Can be repeated."),
    ] = None
    freq: Annotated[
        str | None,
        option(DATA, "--freq", "STEP", "Regular grid for the steps: 1h, 1d, 1w, 1mo, ... Gaps become missing values."),
    ] = None
    duplicates: Annotated[
        Literal["raise", "sum", "mean", "first", "last"],
        option(DATA, "--duplicates", None, "How to merge rows of the same series and time."),
    ] = "raise"

    def options(self) -> dict[str, Any]:
        """Return the options of `vrae.read_panel` by name."""
        return {
            "id": self.id_,
            "time": self.time,
            "value": self.value or None,
            "layout": self.layout,
            "static": self.static or None,
            "freq": self.freq,
            "duplicates": self.duplicates,
        }

    def panel(self) -> Panel:
        """Read all series."""
        from vrae.data.reading import read_panel
        from vrae.data.stream import without_pipe

        with without_pipe(self.data) as source:
            return read_panel(source, **self.options())

    def panels(self) -> Iterator[Panel]:
        """Read the series in parts, so that they can be larger than memory."""
        from vrae.data.stream import stream_panels

        return stream_panels(self.data, **self.options())


@dataclass(frozen=True)
class ModelOptions:
    """Options of `vrae.VRAE` and its training. None is the default of the model."""

    latent_size: Annotated[
        str | None, option(MODEL, "--latent-size", "N", "Length of the latent vector, or 'auto'.", default="16")
    ] = None
    hidden_size: Annotated[
        int | None, option(MODEL, "--hidden-size", "N", "Width of the recurrent layers.", default="64")
    ] = None
    max_lag: Annotated[
        str | None,
        option(
            MODEL,
            "--max-lag",
            "STEPS",
            "Shift in time that does not matter: steps, or a fraction of the length.",
            default="0",
        ),
    ] = None
    pattern_weight: Annotated[
        float | None,
        option(MODEL, "--pattern-weight", "W", "Weight of local patterns, wherever they occur. 0: off.", default="2"),
    ] = None
    level_weight: Annotated[
        float | None,
        option(
            MODEL, "--level-weight", "W", "Weight of level and spread relative to shape. 0: shape only.", default="0"
        ),
    ] = None
    scaling: Annotated[
        Literal["series", "channel", "robust", "none"] | None,
        option(
            MODEL,
            "--scaling",
            None,
            "Scale each series, each channel, or not. robust: by median and quartiles.",
            default="series",
        ),
    ] = None
    beta: Annotated[float | None, option(MODEL, "--beta", "W", "Weight of the KL divergence.", default="1")] = None
    epochs: Annotated[
        str | None, option(MODEL, "--epochs", "N", "Passes over the series, or 'auto'.", default="auto")
    ] = None
    batch_size: Annotated[int | None, option(MODEL, "--batch-size", "N", "Series per training step.", default="64")] = (
        None
    )
    learning_rate: Annotated[
        float | None, option(MODEL, "--learning-rate", "RATE", "Highest learning rate.", default="0.02")
    ] = None
    early_stopping: Annotated[
        int | None,
        option(
            MODEL,
            "--early-stopping",
            "EPOCHS",
            "Stop when a held-out tenth has not improved for EPOCHS. 0: off.",
            default="0",
        ),
    ] = None
    on_invalid: OnInvalid = "raise"
    device: Annotated[str, option(MODEL, "--device", "DEVICE", "auto, cpu, cuda or mps.", envvar="VRAE_DEVICE")] = (
        "auto"
    )
    precision: Annotated[
        Literal["float32", "bfloat16", "float16"] | None,
        option(MODEL, "--precision", None, "Precision of matrix products on a GPU.", default="float32"),
    ] = None
    seed: Seed = 0
    track: Annotated[
        str | None,
        option(
            OUTPUT,
            "--track",
            "WHERE",
            "Record training: tensorboard=FOLDER, mlflow or mlflow=URI.",
            envvar="VRAE_TRACK",
        ),
    ] = None
    quiet: Quiet = False
    config: Config = None

    def model(self, base: VRAE | None = None, **fixed: Any) -> VRAE:
        """Return an unfitted model with the options that the user gave.

        Parameters
        ----------
        base : VRAE, optional
            Model with the other options, for example a head's ``default_model()``. By default
            ``VRAE()``. It is changed.
        **fixed
            Options that the command sets.
        """
        from vrae.cli.terminal import err
        from vrae.estimators.vrae import VRAE
        from vrae.train.tracking import tracker

        options = {
            **self.given(),
            "device": self.device,
            "on_invalid": self.on_invalid,
            "verbose": int(not self.quiet and err.is_terminal),
            "callbacks": None if self.track is None else [tracker(self.track)],
        }
        return (VRAE() if base is None else base).set_params(**{**options, **fixed})

    def given(self) -> dict[str, Any]:
        """Return the options of network and training that the user gave, by Python name."""
        read: dict[str, Any] = {
            "latent_size": lambda text: number_or_auto("--latent-size", text),
            "max_lag": lambda text: steps_or_fraction("--max-lag", text),
            "scaling": lambda text: None if text == "none" else text,
            "epochs": lambda text: number_or_auto("--epochs", text),
            "early_stopping": lambda epochs: epochs or False,
        }
        names = {"epochs": "max_epochs"}
        others = ("on_invalid", "device", "seed", "track", "quiet", "config")
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in others}
        return {
            names.get(name, name): read.get(name, lambda v: v)(value)
            for name, value in values.items()
            if value is not None
        }


@dataclass(frozen=True)
class EngineGroup:
    """Where the work is done: in this process, or by Ray."""

    engine: Annotated[
        Literal["local", "ray"],
        option(SCALE, "--engine", None, "ray: on several processors or machines. DATA is Parquet."),
    ] = "local"
    address: Annotated[
        str | None, option(SCALE, "--address", "ADDRESS", "Ray cluster to join.", default="start Ray on this machine")
    ] = None
    workers: Annotated[
        int | None, option(SCALE, "--workers", "N", "Ray: number of processes.", default="one per processor")
    ] = None
    gpus: Annotated[
        float | None, option(SCALE, "--gpus", "N", "Ray: GPUs per process, or a fraction of one.", default="0")
    ] = None

    @property
    def is_ray(self) -> bool:
        """Whether Ray does the work. Without Ray, its options are errors."""
        from vrae.exceptions import InvalidParameterError

        given = {"--address": self.address, "--workers": self.workers, "--gpus": self.gpus}
        named = [name for name, value in given.items() if value]
        if named and self.engine != "ray":
            raise InvalidParameterError(f"{named[0]} needs --engine ray.")
        return self.engine == "ray"

    def options(self, train_workers: int = 1) -> EngineOptions:
        """Return the options of the engine."""
        from vrae.distributed import EngineOptions

        return EngineOptions(
            address=self.address, workers=self.workers, gpus=self.gpus or 0.0, train_workers=train_workers
        )
