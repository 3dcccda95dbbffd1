"""Model directories: writing them safely, reading them whatever version wrote them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from vrae.exceptions import InvalidParameterError, ModelFileError, OutputError, shortened
from vrae.io.atomic import HIDDEN, is_there
from vrae.io.folder import CONFIG_FILE, WEIGHTS_FILE, Arrays, StoredArrays, read_folder, write_folder
from vrae.io.migrations import FORMAT_VERSION, OLDER_VERSIONS

__all__ = ["check_checkpoint_replaceable", "check_replaceable", "read_model", "write_model"]

# Characters of a config among which its version and its class are.
_START = 1 << 16


def write_model(path: str | Path, config: dict[str, Any], arrays: Arrays) -> Path:
    """Write a model directory atomically. An older model of the same name is replaced."""
    if not isinstance(path, (str, os.PathLike)):
        raise InvalidParameterError(f"save takes the path of a folder; found {shortened(path)}.")
    target = Path(path)
    check_replaceable(target)
    write_folder(target, {"format_version": FORMAT_VERSION, **config}, arrays)
    return target


def check_replaceable(target: Path) -> None:
    """Raise if a model written to ``target`` would replace anything but a model."""
    if is_there(target) and not _holds_only(target, '"class"'):
        raise OutputError(
            f"{target} exists and is not a model directory, or not only that. Choose another name, or move the other "
            f"files away."
        )


def check_checkpoint_replaceable(target: Path) -> None:
    """Raise if a checkpoint written to ``target`` would replace anything but a checkpoint."""
    if is_there(target) and not _holds_only(target, '"origin"'):
        raise OutputError(
            f"{target} exists and is not the folder of a checkpoint, or not only that. Choose another folder, or move "
            f"the other files away. Nothing was changed."
        )


def _holds_only(target: Path, key: str) -> bool:
    """Return whether a target is an empty folder, or holds a model and nothing else.

    ``key`` is one that its config has near its beginning.
    """
    if not target.is_dir():
        return False
    names = {path.name for path in target.iterdir() if not path.name.startswith(HIDDEN)}
    if not names:
        return True
    if names != {CONFIG_FILE, WEIGHTS_FILE}:
        return False
    try:
        with (target / CONFIG_FILE).open(encoding="utf-8") as file:
            start = file.read(_START)
    except (OSError, ValueError):
        return False
    return '"format_version"' in start and key in start


def read_model(path: str | Path) -> tuple[dict[str, Any], StoredArrays]:
    """Read the two files of a model directory as they are, whatever their format version."""
    folder = Path(path)
    config, arrays = read_folder(folder, "model", "A model is the folder that save() wrote.", finite=True)
    version = config.get("format_version")
    writer = str(config.get("vrae_version", "unknown"))[:40]
    if type(version) is not int or version not in (*OLDER_VERSIONS, FORMAT_VERSION):
        raise ModelFileError(
            f"{folder} has format_version {shortened(version)}; this version of vrae reads up to {FORMAT_VERSION}. "
            f"Install the version of vrae that wrote it (vrae {writer}) or a newer one."
        )
    return config, arrays
