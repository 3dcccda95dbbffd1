"""An output never replaces a file that vrae did not write, nor one that the command reads."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from glob import iglob
from inspect import Parameter, signature
from itertools import combinations, islice
from pathlib import Path
from typing import Any, get_type_hints

from vrae.cli.known_results import is_result
from vrae.cli.shared_options import Overwrite
from vrae.cli.terminal import usage_error

__all__ = ["check_outputs", "with_overwrite"]


# Parameters that name a file or a folder to write, and the options that users know.
_FILES = {"file": "--out", "step_scores": "--step-scores", "stretches": "--stretches"}
_FOLDERS = {"folder": "--out", "save": "--save"}
_DATA = ("data", "to")  # parameters that name a file, a folder or a pattern
_READ = (*_DATA, "model", "run", "codes")  # parameters whose folder is read
_FILE_ENDINGS = (".csv", ".html", ".json", ".parquet")
_NO_TABLES = ("export", "report")  # commands that write something else
# Endings of names that promise another format than csv.
_OTHER_FORMATS = (
    *(".xlsx", ".xls", ".xlsm", ".ods", ".json", ".jsonl", ".ndjson", ".html", ".htm", ".xml", ".pdf", ".onnx"),
    *(".gz", ".bz2", ".xz", ".zst", ".zip", ".7z", ".feather", ".arrow", ".ipc", ".orc", ".avro", ".parq", ".pq"),
    *(".npy", ".npz", ".h5", ".hdf5", ".pkl", ".pickle", ".db", ".sqlite", ".tsv", ".ts", ".arff"),
)
_LOOKED_AT = 1000  # files of a pattern


def with_overwrite(command: Callable[..., None]) -> Callable[..., None]:
    """Give the option --overwrite to a command that names a file to write, if it has none."""
    found = signature(command)
    if "overwrite" in found.parameters or found.parameters.keys().isdisjoint(_FILES):
        return command

    @functools.wraps(command)
    def run(**values: Any) -> None:
        del values["overwrite"]  # `check_outputs` has looked at it
        command(**values)

    hints = {**get_type_hints(command, include_extras=True), "overwrite": Overwrite}
    own = Parameter("overwrite", Parameter.KEYWORD_ONLY, default=False)
    parameters = [each.replace(annotation=hints[each.name]) for each in (*found.parameters.values(), own)]
    run.__signature__ = found.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = hints
    return run


def check_outputs(context: Any) -> None:
    """Refuse outputs that cannot be written, or would replace what must stay. Call it first."""
    from vrae.io.atomic import check_writable, is_stream

    values = context.params
    outputs = {
        name: (option, values[name]) for name, option in {**_FILES, **_FOLDERS}.items() if _is_local(values, name)
    }
    for (one, path), (other, place) in combinations(outputs.values(), 2):
        if _name_one_place(path, place) and not is_stream(path):
            raise usage_error(
                f"{one} {path} and {other} {place} name the same place, or one lies in the other. Choose another for "
                f"one of them."
            )
    for name, (option, path) in outputs.items():
        if name in _FOLDERS:
            if str(path) == "-" or path.suffix in _FILE_ENDINGS:
                raise usage_error(f"{option} {path} must be a folder: it gets several files. Give it another name.")
            _check_kept(values, name, option, path)
            check_writable(path)
            continue
        if path.is_dir():
            raise usage_error(f"{option} {path} is a folder. Name a file in it.")
        if context.info_name not in _NO_TABLES and _is_another_format(path):
            raise usage_error(
                f"{option} {path}: a table is written as csv or Parquet. End the name in .csv or .parquet."
            )
        if not is_stream(path) and path.exists():
            _check_not_read(values, name, option, path)
            if not values.get("overwrite"):
                _check_replaced(option, path)
        check_writable(path)


def _name_one_place(one: Path, other: Path) -> bool:
    """Return whether two outputs are one, or one is in the other."""
    found, more = (Path(os.path.realpath(path)) for path in (one, other))
    if sys.platform in ("win32", "darwin"):  # where a.csv and A.csv are one file
        found, more = (Path(str(path).casefold()) for path in (found, more))
    return found.is_relative_to(more) or more.is_relative_to(found)


def _is_local(values: Mapping[str, Any], name: str) -> bool:
    """Return whether a parameter names a place on this machine. Jobs of Ray check their own."""
    path = values.get(name)
    if path is None or (str(path) == "-" and name in _FILES) or "://" in getattr(path, "written", ""):
        return False
    return values.get("engine") != "ray" or name in _FOLDERS


def _is_another_format(path: Path) -> bool:
    ending = path.suffix.lower()
    return ending in _OTHER_FORMATS or (ending == ".parquet" and path.suffix != ending)


def _check_kept(values: Mapping[str, Any], own: str, option: str, folder: Path) -> None:
    """Raise if a folder that will be replaced holds what the command reads."""
    if own == "save":  # which replaces nothing but a model, and `--next-steps` goes on with it
        return
    for name, source in _sources(values):
        if name in _READ and any(_is_in(path, folder) for path in islice(_matching(source), _LOOKED_AT)):
            raise usage_error(f"{option} {folder} holds {source}, which is read. Choose another. Nothing was changed.")


def _check_not_read(parameters: Mapping[str, Any], own: str, spelled: str, path: Path) -> None:
    """Raise if a file is read by the command, which --overwrite does not allow either."""
    others = {name: value for name, value in parameters.items() if name != own}
    if any(_is_read(path, name, source) for name, source in _sources(others)):
        raise usage_error(f"{spelled} {path} is read by this command. Choose another {spelled}. Nothing was changed.")


def _check_replaced(spelled: str, path: Path) -> None:
    """Raise if a file is replaced with --overwrite only."""
    if _is_part(path):
        problem = f"is a part of the run in {path.parent}. Choose another {spelled}, or add --overwrite to replace it."
    elif not os.access(path, os.W_OK):
        problem = f"is read-only. Choose another {spelled}, or add --overwrite to replace it."
    elif not is_result(path):
        problem = f"exists, and is not a result of vrae. Choose another {spelled}, or add --overwrite to replace it."
    else:
        return
    raise usage_error(f"{spelled} {path} {problem} Nothing was changed.")


def _is_part(path: Path) -> bool:
    """Return whether a file belongs to a run, which would not be whole without it."""
    from vrae.io.folder import CONFIG_FILE, WEIGHTS_FILE

    path = Path(os.path.realpath(path))
    if path.name in (CONFIG_FILE, WEIGHTS_FILE) and all(
        (path.parent / n).is_file() for n in (CONFIG_FILE, WEIGHTS_FILE)
    ):
        return True
    has_metrics, has_reduction = ((path.parent / name).is_file() for name in ("metrics.json", "reduction.json"))
    if path.name == "report.html" or not (has_metrics or has_reduction):  # a report can be written again
        return False
    from vrae.runs import REDUCTION_FILES, RUN_FILES

    return (has_metrics and path.name in RUN_FILES) or (has_reduction and path.name in REDUCTION_FILES)


def _sources(parameters: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield all texts and paths among the values of parameters, with their names."""
    for name, value in parameters.items():
        for each in value if isinstance(value, list | tuple) else [value]:
            if isinstance(each, str | Path):
                yield name, str(each)
    if isinstance(run := parameters.get("run"), Path) and parameters.get("data") is None:
        with suppress(OSError, ValueError, RecursionError, AttributeError):  # not a run, as the command says
            source = json.loads((run / "metrics.json").read_bytes()).get("source") or {}
            if source.get("data") not in (None, "-"):  # it came from no file
                yield "data", str(source["data"])


def _matching(source: str) -> Iterator[Path]:
    """Yield the file or folder of a source, or those that match its pattern; see `open_path`."""
    try:
        place = Path(source.removeprefix("file://")).expanduser()
        yield from [place] if place.exists() else map(Path, iglob(str(place), recursive=True))
    except (OSError, ValueError, RuntimeError):  # not a path
        return


def _is_read(path: Path, name: str, source: str) -> bool:
    """Return whether a file is a source, matches its pattern, or is read in a folder.

    A report or a table may lie in the folder of its run.
    """
    if name in _DATA and source == "-":
        return _is_standard_input(path)
    for found in _matching(source):
        if _is_same(found, path) or (name in _READ and found.is_dir() and _is_in(path, found)):
            return name in _DATA or not found.is_dir() or _is_part(path)
    return False


def _is_standard_input(path: Path) -> bool:
    """Return whether a shell opened a file as standard input."""
    try:
        return os.path.samestat(os.fstat(0), path.stat())
    except OSError:
        return False


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _is_in(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
