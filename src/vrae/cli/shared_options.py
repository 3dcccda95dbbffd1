"""Options that several commands have. Each name has one meaning everywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from vrae.cli.config_file import Config
from vrae.cli.option_groups import argument, as_written, model_folder, number_or_auto, option, steps_or_fraction
from vrae.cli.phase_display import end_phase
from vrae.cli.terminal import usage_error
from vrae.phases import announce

if TYPE_CHECKING:
    from vrae.data.overview import Overview
    from vrae.data.panel import Panel
    from vrae.distributed import EngineOptions
    from vrae.estimators.vrae import VRAE

__all__ = [
    "CLUSTERING",
    "MODEL",
    "OUTPUT",
    "SCALE",
    "AsJson",
    "Clusterer",
    "Clusters",
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
    "tell",
]

Log = Callable[[str], None]

# Panels of the help.
DATA, CLUSTERING, MODEL, OUTPUT, SCALE = "Data", "Clustering", "Model", "Output", "Scale"
_data, _model, _output, _scale = (partial(option, panel) for panel in (DATA, MODEL, OUTPUT, SCALE))

# -------------------------------------------------------------------- arguments and data

Data = Annotated[
    str,
    argument(
        "DATA",
        "csv, Excel, Parquet, Feather, JSON lines, .ts, .tsv, .arff, .npz or .npy file, a folder, or a pattern such as "
        "'sales/*.parquet'. - is standard input.",
    ),
]
Run = Annotated[Path, argument("RUN", "Folder that `vrae cluster` or `vrae demo` wrote.")]
RunData = Annotated[str | None, _data("--data", "DATA", "The series of the run, if they were moved.")]
DataDir = Annotated[
    Path | None,
    _data(
        "--data-dir",
        "FOLDER",
        "Folder with an example data set that is not bundled.",
        envvar="VRAE_DATA",
        exists=True,
        file_okay=False,
    ),
]
Label = Annotated[
    str | None, _data("--label", "COLUMN", "Column of known classes: for comparison only, never for training.")
]
OnInvalid = Annotated[
    Literal["raise", "keep"],
    _data("--on-invalid", None, "Series without any value: stop, or keep their rows without a result."),
]

# -------------------------------------------------------------------- models and clusters

Model = Annotated[
    Path, _model("--model -m", "FOLDER", "Run folder, or model folder.", show_default=False, envvar="VRAE_MODEL")
]
FittedModel = Annotated[
    Path | None,
    _model("--model -m", "FOLDER", "Use this fitted model and train none: a run folder, or a model folder."),
]
Seed = Annotated[
    int,
    _model(
        "--seed",
        "N",
        "Seed of all random numbers. Same data and seed: same result.",
        envvar="VRAE_SEED",
        min=0,
        max=(1 << 32) - 1,
    ),
]
Clusters = Annotated[str, option(CLUSTERING, "--clusters -k", "K", "Number of clusters, or 'auto'.")]
Clusterer = Annotated[
    Literal["kmeans", "gmm", "ward", "hdbscan"],
    option(CLUSTERING, "--clusterer", None, "Method that groups the latent vectors. hdbscan chooses K itself."),
]

# -------------------------------------------------------------------- output

OutFile = Annotated[
    Path, _output("--out -o", "FILE", "csv or .parquet file to write. - is standard output.", parser=as_written)
]
OutTable = Annotated[Path | None, _output("--out -o", "FILE", "Write the table to this csv or .parquet file.")]
OutFolder = Annotated[Path, _output("--out -o", "FOLDER", "Folder to write.")]
Overwrite = Annotated[
    bool, _output("--overwrite", "", "Replace an earlier folder of results, or a file that vrae did not write.")
]
Save = Annotated[Path | None, _output("--save", "FOLDER", "Keep the fitted model, for --model.", parser=model_folder)]
Quiet = Annotated[bool, _output("--quiet -q", "", "Print no progress, only the result.", envvar="VRAE_QUIET")]
AsJson = Annotated[bool, _output("--json", "", "Print the result as JSON.")]

# -------------------------------------------------------------------- groups


@dataclass(frozen=True)
class DataOptions:
    """How to read the series of DATA: the options of `vrae.read_panel`.

    A fitted model remembers how its table was read. Options then only change that.
    """

    data: Data
    id_: Annotated[
        list[str] | None, _data("--id", "COLUMN", "Column that names the series. Repeat it for several (store, item).")
    ] = None
    time: Annotated[
        list[str] | None, _data("--time", "COLUMN", "Column of dates or numbers that orders the steps of a series.")
    ] = None
    value: Annotated[
        list[str] | None,
        _data("--value", "COLUMN", "Column of values. Repeat it for several channels. * and ? are wildcards."),
    ] = None
    layout: Annotated[
        Literal["auto", "long", "wide"], _data("--layout", None, "One row per time step (long) or per series (wide).")
    ] = "auto"
    static: Annotated[
        list[str] | None,
        _data("--static", "COLUMN", "Column to copy to the results, such as a category. Can be repeated."),
    ] = None
    freq: Annotated[
        str | None,
        _data("--freq", "STEP", "Step of the calendar: 1h, 1d, B, 1w, W-SUN, 1mo, ...", "found from the times"),
    ] = None
    align: Annotated[
        Literal["calendar", "start"] | None,
        _data("--align", None, "Compare series by date, or from their starts.", "calendar for dates"),
    ] = None
    fill: Annotated[
        float | None, _data("--fill", "VALUE", "Value of steps without a row, such as 0 for sales.", "missing")
    ] = None
    missing: Annotated[
        float | None, _data("--missing", "VALUE", "Number that stands for a missing value, such as -9999.")
    ] = None
    duplicates: Annotated[
        Literal["raise", "sum", "mean", "first", "last"],
        _data("--duplicates", None, "How to merge rows of the same series and time."),
    ] = "raise"
    decimal: Annotated[str | None, _data("--decimal", "SIGN", "Decimal sign of numbers.", "recognised")] = None
    thousands: Annotated[
        str | None, _data("--thousands", "SIGN", "Separator of thousands in numbers.", "recognised")
    ] = None
    date_format: Annotated[
        str | None, _data("--date-format", "FORMAT", "Format of dates, such as %d/%m/%Y.", "recognised")
    ] = None
    encoding: Annotated[str | None, _data("--encoding", "NAME", "Encoding of text, such as cp1252.", "UTF-8")] = None
    timezone: Annotated[
        str | None,
        _data("--timezone", "ZONE", "Zone of hours and days, such as Europe/Berlin.", "that of the times"),
    ] = None

    def __post_init__(self) -> None:
        """Raise if an option is empty or has too many values, before anything is read."""
        if empty := [name for name in ("date_format", "encoding", "freq", "timezone") if getattr(self, name) == ""]:
            raise usage_error(f"--{empty[0].replace('_', '-')} is empty. Leave it out, or give it a value.")
        times = self.time or []
        if len(times) > 1:
            raise usage_error(f"--time names one column; found {', '.join(times)}. Join them to one column.")

    def options(self, model: Any = None) -> dict[str, Any]:
        """Return the options of `vrae.read_panel` that the user gave, and what a model knows."""
        options = ((f.name.rstrip("_"), getattr(self, f.name), f.default) for f in fields(self)[1:])
        given: dict[str, Any] = {name: value for name, value, default in options if value != default}
        if "time" in given:
            given["time"] = given["time"][0]
        if "freq" in given:
            with suppress(ValueError):
                given["freq"] = float(given["freq"])
        remembered = getattr(getattr(model, "model_", model), "reading_", None)
        return given if remembered is None else {**given, "remembered": remembered}

    def words(self, remembered: Any = None) -> list[str]:
        """Return the options as words of a command line, with those that a model remembers."""
        known = {} if remembered is None else {**vars(remembered), "id": remembered.id_parts or remembered.id}
        found: list[str] = []
        for own in fields(self)[1:]:
            value, name = getattr(self, own.name), own.name.rstrip("_")
            value = known.get(name) if value == own.default else value
            each = list(value) if isinstance(value, list | tuple) else [value]
            found += [f"--{name.replace('_', '-')}={part}" for part in each if part not in (None, own.default)]
        return found

    def panel(
        self,
        label: str | None = None,
        model: Any = None,
        log: Log | None = None,
        static: Sequence[str] = (),
        covariates: Sequence[str] = (),
    ) -> Panel:
        """Read all series, and tell what was read.

        Columns ``static`` are kept beside those of the options, or those that the table shows by
        itself. ``covariates`` become the last channels.
        """
        from vrae.data.reading import read_source, table_options, with_static
        from vrae.data.stream import without_pipe

        announce("Reading")
        with without_pipe(self.data) as source:
            opened, options = with_static(source, table_options(**self.options(model), label=label), static)
            if covariates:
                from vrae.data.covariate_panels import read_with_covariates

                panel = read_with_covariates(opened, options, covariates)
            else:
                panel = read_source(opened, options)
        tell(panel.overview(), log)
        return panel

    def panels(self, model: Any = None, log: Log | None = None) -> Iterator[Panel]:
        """Read the series in parts, so that they can be larger than memory. Tell what was read."""
        from vrae.data.stream import stream_panels

        total = None
        for panel in stream_panels(self.data, **self.options(model)):
            total = panel.overview() if total is None else total.merged(panel.overview())
            yield panel
        tell(total, log)


def tell(overview: Overview | None, log: Log | None) -> None:
    """Log what was read."""
    end_phase()
    if overview is not None and log is not None:
        for line in overview.lines():
            log(line)


@dataclass(frozen=True)
class ModelOptions:
    """Options of `vrae.VRAE` and its training. None is the default of the model."""

    latent_size: Annotated[
        str | None, _model("--latent-size", "N", "Length of the latent vector, or 'auto'.", "16")
    ] = None
    hidden_size: Annotated[int | None, _model("--hidden-size", "N", "Width of the recurrent layers.", "64")] = None
    max_lag: Annotated[
        str | None,
        _model("--max-lag", "STEPS", "Shift in time that does not matter: steps, or a fraction of the length.", "0"),
    ] = None
    pattern_weight: Annotated[
        float | None, _model("--pattern-weight", "W", "Weight of local patterns, wherever they occur. 0: off.", "2")
    ] = None
    level_weight: Annotated[
        float | None, _model("--level-weight", "W", "Weight of level and spread relative to shape. 0: shape only.", "0")
    ] = None
    timing: Annotated[
        Literal["calendar", "free"] | None,
        _model("--timing", None, "Whether it matters when dated series are high. free: patterns alone.", "calendar"),
    ] = None
    scaling: Annotated[
        Literal["series", "channel", "robust", "none"] | None,
        _model(
            "--scaling", None, "Scale each series, each channel, or not. robust: by median and quartiles.", "series"
        ),
    ] = None
    beta: Annotated[float | None, _model("--beta", "W", "Weight of the KL divergence.", "1")] = None
    epochs: Annotated[str | None, _model("--epochs", "N", "Passes over the series, or 'auto'.", "auto")] = None
    batch_size: Annotated[int | None, _model("--batch-size", "N", "Series per training step.", "64")] = None
    learning_rate: Annotated[float | None, _model("--learning-rate", "RATE", "Highest learning rate.", "0.02")] = None
    early_stopping: Annotated[
        int | None,
        _model("--early-stopping", "EPOCHS", "Stop when a held-out tenth has not improved for EPOCHS. 0: off.", "0"),
    ] = None
    on_invalid: OnInvalid = "raise"
    device: Annotated[str, _model("--device", "DEVICE", "auto, cpu, cuda or mps.", envvar="VRAE_DEVICE")] = "auto"
    precision: Annotated[
        Literal["float32", "bfloat16", "float16"] | None,
        _model("--precision", None, "Precision of matrix products on a GPU.", "float32"),
    ] = None
    seed: Seed = 0
    track: Annotated[
        str | None,
        _output("--track", "WHERE", "Record training: tensorboard=FOLDER, mlflow or mlflow=URI.", envvar="VRAE_TRACK"),
    ] = None
    quiet: Quiet = False
    config: Config = None

    def __post_init__(self) -> None:
        """Raise if this machine lacks the device, before the series are read."""
        if self.device != "auto" or self.precision is not None:
            from vrae.runtime import resolve_device

            resolve_device(self.device, self.precision or "float32")

    def model(self, base: VRAE | None = None, **fixed: Any) -> VRAE:
        """Return an unfitted model: ``base``, changed, or ``VRAE()``, with the user's options.

        ``fixed`` are options that the command sets.
        """
        from vrae.estimators.vrae import VRAE
        from vrae.train.tracking import tracker

        options = {
            **self.given(),
            "device": self.device,
            "on_invalid": self.on_invalid,
            "callbacks": None if self.track is None else [tracker(self.track)],
        }
        return (VRAE() if base is None else base).set_params(**{**options, **fixed})

    def given(self) -> dict[str, Any]:
        """Return the options of network and training that the user gave, by Python name."""
        others = ("on_invalid", "device", "seed", "track", "quiet", "config")
        given = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in others}
        given = {name: value for name, value in given.items() if value is not None}
        read: dict[str, Callable[[Any], Any]] = {
            "latent_size": partial(number_or_auto, "--latent-size"),
            "max_lag": partial(steps_or_fraction, "--max-lag"),
            "scaling": lambda text: None if text == "none" else text,
            "epochs": partial(number_or_auto, "--epochs"),
            "early_stopping": lambda epochs: epochs or False,
        }
        found = {name: read[name](value) if name in read else value for name, value in given.items()}
        return {name.replace("epochs", "max_epochs"): value for name, value in found.items()}


@dataclass(frozen=True)
class EngineGroup:
    """Where the work is done: in this process, or by Ray."""

    engine: Annotated[
        Literal["local", "ray"], _scale("--engine", None, "ray: on several processors or machines. DATA is Parquet.")
    ] = "local"
    address: Annotated[
        str | None, _scale("--address", "ADDRESS", "Ray cluster to join.", "start Ray on this machine")
    ] = None
    workers: Annotated[int | None, _scale("--workers", "N", "Ray: number of processes.", "one per processor")] = None
    gpus: Annotated[float | None, _scale("--gpus", "N", "Ray: GPUs per process, or a fraction of one.", "0")] = None

    @property
    def is_ray(self) -> bool:
        """Whether Ray does the work. Without Ray, its options are errors."""
        given = {"--address": self.address, "--workers": self.workers, "--gpus": self.gpus}
        named = [name for name, value in given.items() if value is not None]
        if named and self.engine != "ray":
            raise usage_error(f"{named[0]} needs --engine ray.")
        return self.engine == "ray"

    def options(self, train_workers: int = 1) -> EngineOptions:
        """Return the options of the engine."""
        from vrae.distributed import EngineOptions

        return EngineOptions(
            address=self.address, workers=self.workers, gpus=self.gpus or 0.0, train_workers=train_workers
        )
