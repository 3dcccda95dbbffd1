"""Options that several commands have.

A group of them is a dataclass whose fields are Typer options; `with_groups` gives a command, in place of a parameter
that is a group, the options of that group.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from vrae.cli.configuring import Config

if TYPE_CHECKING:
    from vrae.data.panel import Panel
    from vrae.distributed import Engine
    from vrae.estimators.vrae import VRAE

__all__ = [
    "AsJson",
    "Data",
    "Device",
    "Epochs",
    "Far",
    "Model",
    "OnInvalid",
    "OutFile",
    "OutFolder",
    "Overwrite",
    "Quiet",
    "Reading",
    "Seed",
    "Track",
    "Training",
    "as_written",
    "folder_of_parts",
    "load_fitted",
    "model_folder",
    "number_or_auto",
    "with_groups",
]

Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="csv, Parquet, Feather, .ts, .tsv, .arff, .npz or .npy file, a folder of them, or a 'pattern*'; "
        "- is standard input.",
        show_default=False,
    ),
]
Model = Annotated[
    Path,
    typer.Option(
        "--model",
        "-m",
        metavar="FOLDER",
        envvar="VRAE_MODEL",
        help="Model folder that a run wrote.",
        show_default=False,
    ),
]


class _AsWritten(type(Path())):  # type: ignore[misc]  # the path of this system
    """A path that remembers how it was written: it has one slash where a URL has two or three."""

    written: str


def as_written(text: Any) -> Path:
    """Return the path of a file, or what stands for a URL."""
    path: Path = _AsWritten(text)
    path.written = str(text)  # type: ignore[attr-defined]
    return path


OutFile = Annotated[
    Path,
    typer.Option("--out", "-o", metavar="FILE", parser=as_written, help="CSV or .parquet file; - is standard output."),
]
OutFolder = Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Run folder to write.")]
OnInvalid = Annotated[
    Literal["raise", "keep"],
    typer.Option(help="Series without any value: stop, or keep their rows without a result."),
]
Seed = Annotated[int, typer.Option("--seed", envvar="VRAE_SEED", help="Same data and seed: same result.")]
Epochs = Annotated[str, typer.Option("--epochs", metavar="N", help="Passes over the data, or 'auto'.")]
Device = Annotated[str, typer.Option(envvar="VRAE_DEVICE", help="auto, cpu, cuda or mps.")]
Track = Annotated[
    str | None,
    typer.Option(
        "--track",
        metavar="WHERE",
        envvar="VRAE_TRACK",
        help="Follow training in 'tensorboard=FOLDER', 'mlflow' or 'mlflow=URI'.",
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", envvar="VRAE_QUIET", help="No progress, only the result.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@dataclass(frozen=True)
class Reading:
    """How to read the series of DATA; the options of `vrae.read_panel`."""

    data: Data
    id_: Annotated[str | None, typer.Option("--id", metavar="COLUMN", help="Column that names the series.")] = None
    time: Annotated[str | None, typer.Option("--time", metavar="COLUMN", help="Column to sort the steps by.")] = None
    value: Annotated[
        list[str] | None,
        typer.Option(
            "--value", metavar="COLUMN", help="Column with the values; repeat it for channels; * is a wildcard."
        ),
    ] = None
    layout: Annotated[
        Literal["auto", "long", "wide"], typer.Option(help="A row a step (long), or a row a series (wide).")
    ] = "auto"
    static: Annotated[
        list[str] | None,
        typer.Option("--static", metavar="COLUMN", help="Column kept beside the results; repeatable."),
    ] = None
    freq: Annotated[
        str | None,
        typer.Option(metavar="STEP", help="Put rows on a regular grid (1d, 1w, 1mo, 1h, ...); gaps are missing."),
    ] = None
    duplicates: Annotated[
        Literal["raise", "sum", "mean", "first", "last"], typer.Option(help="Rows with the same id and time.")
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
        """Return all series."""
        from vrae.data.io import read_panel

        return read_panel(self.data, **self.options())

    def panels(self) -> Iterator[Panel]:
        """Yield the series in parts; the whole may be larger than memory."""
        from vrae.data.stream import stream_panels

        return stream_panels(self.data, **self.options())


@dataclass(frozen=True)
class Training:
    """How a model is fitted; options of the estimators."""

    seed: Seed = 0
    epochs: Epochs = "auto"
    device: Device = "auto"
    on_invalid: OnInvalid = "raise"
    quiet: Quiet = False
    track: Track = None
    config: Config = None

    def options(self) -> dict[str, Any]:
        """Return the options of the estimators by name."""
        from vrae.cli.terminal import err
        from vrae.train.tracking import tracker

        return {
            "max_epochs": number_or_auto("--epochs", self.epochs),
            "device": self.device,
            "on_invalid": self.on_invalid,
            "random_state": self.seed,
            "verbose": int(not self.quiet and err.is_terminal),
            "callbacks": None if self.track is None else [tracker(self.track)],
        }


@dataclass(frozen=True)
class Far:
    """Where the work is done: in this process, or by Ray."""

    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="'ray': on many processors or machines; DATA is Parquet.")
    ] = "local"
    address: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Ray cluster to join; none: Ray on this machine.")
    ] = None
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Ray: processes that hold the model (default: one a processor).")
    ] = None
    gpus: Annotated[float, typer.Option(metavar="G", help="Ray: GPUs of each of these, or a share of one.")] = 0.0

    @property
    def is_ray(self) -> bool:
        """Whether Ray does the work; options that are for Ray alone are refused where it does not."""
        from vrae.exceptions import InvalidParameterError

        given = {"--address": self.address, "--workers": self.workers, "--gpus": self.gpus}
        named = [name for name, value in given.items() if value]
        if named and self.engine != "ray":
            raise InvalidParameterError(f"{named[0]} belongs to --engine ray.")
        return self.engine == "ray"

    def ray(self, train_workers: int = 1) -> Engine:
        """Return the engine."""
        from vrae.distributed import Engine

        return Engine(address=self.address, workers=self.workers, gpus=self.gpus, train_workers=train_workers)


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command, in place of each parameter that is an option group, the fields of the group as options."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    parameters: list[Parameter] = []
    for name, parameter in signature(command).parameters.items():
        if name in groups:
            parameters += _parameters_of(groups[name])
        else:
            parameters.append(parameter.replace(annotation=hints[name], kind=Parameter.KEYWORD_ONLY))

    @functools.wraps(command)
    def run(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{f.name: values.pop(f.name) for f in fields(group)})
        command(**values)

    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _parameters_of(group: Any) -> Iterator[Parameter]:
    hints = get_type_hints(group, include_extras=True)
    field: Field[Any]
    for field in fields(group):
        default = Parameter.empty if field.default is MISSING else field.default
        yield Parameter(field.name, Parameter.KEYWORD_ONLY, default=default, annotation=hints[field.name])


def model_folder(model: Path) -> Path:
    """Return the model folder: the one given, or that in the run folder given."""
    inside = model / "model"
    return inside if inside.is_dir() else model


def load_fitted(model: Path, on_invalid: str = "raise") -> VRAE:
    """Load the model of a model folder, or of the run folder around it."""
    from vrae.estimators.vrae import VRAE
    from vrae.exceptions import InvalidParameterError
    from vrae.persistence import load_model

    estimator = load_model(model_folder(model))
    if not isinstance(estimator, VRAE):
        raise InvalidParameterError(f"{model} is a {type(estimator).__name__}; this command cannot use it.")
    return estimator.set_params(on_invalid=on_invalid)


def folder_of_parts(file: Path) -> str:
    """Return the place of a table that many write; it is a folder, or a URL."""
    from vrae.exceptions import InvalidParameterError

    place: str = getattr(file, "written", str(file))
    if place == "-" or place.endswith((".csv", ".gz")):
        raise InvalidParameterError(
            f"--engine ray writes a folder of Parquet files, which all machines must reach; found --out {place}. "
            f"Name one, such as --out result.parquet."
        )
    return place


def number_or_auto(option: str, text: str) -> int | Literal["auto"]:
    """Read the value of an option that is a whole number or "auto"."""
    from vrae.exceptions import InvalidParameterError

    if text == "auto":
        return "auto"
    try:
        return int(text)
    except ValueError:
        raise InvalidParameterError(f"{option} must be a whole number or 'auto'; found {text!r}.") from None
