"""`--config`: read the options of a command from a TOML file, and save them with the results.

Values of the file become defaults before the other options are parsed, so the command line wins.
"""

from __future__ import annotations

import json
import os
import shlex
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from vrae._version import __version__
from vrae.cli.terminal import usage_error

__all__ = ["CONFIG_FILE", "Config", "change_config", "options_by_name", "save_config"]

CONFIG_FILE = "config.toml"

_LARGEST = 1 << 20  # bytes

# Options of one call and not of its result: "overwrite" in a file would be a trap.
_OF_THE_CALL = ("config", "overwrite", "resume", "json", "help")
# A run that is made again must not go where the first one is.
_NOT_SAVED = (*_OF_THE_CALL, "out")
# Options that name a file or a folder.
_PATHS = ("data", "to", "model", "save")


def _read(context: typer.Context, file: Path | None) -> Path | None:
    if file is None:
        return None
    from vrae.exceptions import did_you_mean

    try:
        if (size := file.stat().st_size) > _LARGEST:
            raise ValueError(f"no file of options has {size:,} bytes")
        found = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # not UTF-8, and no TOML, are ValueErrors
        reason = error.strerror if isinstance(error, OSError) else error
        raise usage_error(f"--config {file} cannot be read as TOML: {reason}.") from None
    known = {key: parameter for key, parameter in options_by_name(context.command).items() if key not in _OF_THE_CALL}
    context.default_map = {}
    for key, value in found.items():
        parameter = known.get(key.replace("_", "-"))
        if parameter is None:
            raise usage_error(f"{file}: unknown option {key!r}.{did_you_mean(key, sorted(known))}")
        context.default_map[parameter.name] = _checked(value, parameter, f"{file}: {key}")
    return file


Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        envvar="VRAE_CONFIG",
        help="TOML file with options by name. The command line wins.",
        is_eager=True,
        callback=_read,
        show_default=False,
    ),
]


def save_config(context: typer.Context, folder: Path, written: Path) -> None:
    """Write the options of a command with its results, which will be in ``folder``.

    ``written`` is where they are now. Paths are absolute, so that the file can be used from
    anywhere.
    """
    values = {key: context.params.get(parameter.name) for key, parameter in options_by_name(context.command).items()}
    given = {key: value for key, value in values.items() if key not in _NOT_SAVED and value not in (None, [], ())}
    lines = [_line(key, _from_anywhere(key, value)) for key, value in given.items()]
    command = str(context.info_name)
    again = ["vrae", command, "--config", str(folder / CONFIG_FILE), "--out", f"{folder}-again"]
    data = " < DATA" if given.get("data") == "-" else ""
    _write([f"# vrae {command}, version {__version__}. Repeat with: {shlex.join(again)}{data}", *lines], written)


def _from_anywhere(key: str, value: Any) -> Any:
    """Return the value of an option, with an absolute path."""
    text = str(value)
    if key == "track":  # tensorboard=FOLDER, mlflow=URI or mlflow=FOLDER
        kind, equals, place = text.partition("=")
        is_path = place and "://" not in place and (kind == "tensorboard" or "/" in place)
        return f"{kind}{equals}{os.path.abspath(place)}" if is_path else text
    return value if key not in _PATHS or text == "-" or "://" in text else os.path.abspath(text)


def change_config(folder: Path, option: str, value: Any) -> None:
    """Change an option in the file that `save_config` wrote, if it is there."""
    try:
        lines = (folder / CONFIG_FILE).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return
    others = [line for line in lines if not line.startswith(f"{option} = ")]
    _write([*others, _line(option, value)], folder)


def _write(lines: list[str], folder: Path) -> None:
    from vrae.io.atomic import atomic_file

    with atomic_file(folder / CONFIG_FILE) as file:
        # TOML is text. File names that are not lose characters.
        file.write_text("\n".join([*lines, ""]), encoding="utf-8", errors="replace")


def options_by_name(command: Any) -> dict[str, Any]:
    """Return the parameters of a command by the names that users know: "train-sample", "data"."""
    return {
        max((o for o in parameter.opts if o.startswith("--")), default=str(parameter.name)).lstrip("-"): parameter
        for parameter in command.params
    }


def _checked(value: Any, parameter: Any, name: str) -> Any:
    """Return a value of the file as the option's parser takes it: text, except flags and lists."""
    if getattr(parameter, "is_flag", False):
        if not isinstance(value, bool):
            raise usage_error(f"{name} must be true or false; found {value!r}.")
        return value
    is_list = getattr(parameter, "multiple", False)
    parts = value if is_list and isinstance(value, list) else [value]
    if not all(isinstance(part, (str, int, float)) and not isinstance(part, bool) for part in parts):
        wanted = "text, or a list of texts" if is_list else "text or a number"
        raise usage_error(f"{name} must be {wanted}; found {parts if is_list else value!r}.")
    return [str(part) for part in parts] if is_list else str(value)


def _line(option: str, value: Any) -> str:
    # Numbers, text and lists of text are written as in JSON.
    return f"{option} = {json.dumps(value, ensure_ascii=False, default=str)}"
