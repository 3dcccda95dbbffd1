"""An output never replaces a file that vrae did not write, nor one that the command reads."""

from __future__ import annotations

import csv
import functools
from collections.abc import Callable, Iterator, Mapping
from glob import iglob
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, get_type_hints

from vrae.cli.shared_options import Overwrite
from vrae.cli.terminal import usage_error

__all__ = ["check_outputs", "with_overwrite"]


# Parameters that name a file to write, and the options that users know.
_OUTPUTS = {"file": "--out", "step_scores": "--step-scores", "stretches": "--stretches"}
_DATA = ("data", "to")  # parameters that name a file, a folder or a pattern

# Columns by which a table of vrae is known. A command may replace its earlier results.
_TABLES = (
    {"cluster", "probability"},
    {"vrae0", "vrae1"},
    {"anomaly", "score"},
    {"stretch", "start", "end", "score"},
    {"rank", "neighbor", "distance"},
    {"item", "other", "q_value"},
    {"step", "mean"},
    {"method", "silhouette", "seconds"},
)
_PAGE = b"\xc2\xb7 vrae</title>"  # end of the title of a report
_HEAD = 1 << 16  # bytes


def with_overwrite(command: Callable[..., None]) -> Callable[..., None]:
    """Give the option --overwrite to a command that names a file to write, if it has none."""
    found = signature(command)
    if "overwrite" in found.parameters or found.parameters.keys().isdisjoint(_OUTPUTS):
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

    for name, spelled in _OUTPUTS.items():
        path = context.params.get(name)
        if path is None or str(path) == "-" or "://" in getattr(path, "written", ""):
            continue
        if context.params.get("engine") == "ray":  # a folder, which the job checks
            continue
        if path.is_dir():
            raise usage_error(f"{spelled} {path} is a folder. Name a file in it.")
        if not is_stream(path) and path.exists() and not context.params.get("overwrite"):
            _check_replaced(context.params, name, spelled, path)
        check_writable(path)


def _check_replaced(parameters: Mapping[str, Any], own: str, spelled: str, path: Path) -> None:
    others = {name: value for name, value in parameters.items() if name != own}
    if any(_is_read(path, source, name in _DATA) for name, source in _sources(others)):
        problem = f"is read by this command. Choose another {spelled}."
    elif not _is_result(path):
        problem = f"exists, and is not a result of vrae. Choose another {spelled}, or add --overwrite to replace it."
    else:
        return
    raise usage_error(f"{spelled} {path} {problem} Nothing was changed.")


def _sources(parameters: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield all texts and paths among the values of parameters, with their names."""
    for name, value in parameters.items():
        for each in value if isinstance(value, list | tuple) else [value]:
            if isinstance(each, str | Path):
                yield name, str(each)


def _is_read(path: Path, source: str, is_data: bool) -> bool:
    """Return whether a file is a source, matches its pattern, or lies in its folder of data."""
    try:
        place = Path(source)
        if place.is_dir():
            return is_data and path.resolve().is_relative_to(place.resolve())
        return any(Path(found).samefile(path) for found in ([place] if place.exists() else iglob(source)))
    except (OSError, ValueError):  # not a path
        return False


def _is_result(path: Path) -> bool:
    """Return whether a file is empty, or a table or report that vrae wrote."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return False
    if not head:
        return True
    if path.suffix == ".parquet":
        return _is_table(set(_parquet_columns(path)))
    if path.suffix in (".html", ".htm"):
        return _PAGE in head
    first = head.partition(b"\n")[0].decode(errors="replace")
    return _is_table(set(next(csv.reader([first]), [])))


def _is_table(columns: set[str]) -> bool:
    return any(known <= columns for known in _TABLES)


def _parquet_columns(path: Path) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as file:
            return list(pq.read_schema(file).names)
    except (pa.ArrowException, OSError, ValueError):
        return []
