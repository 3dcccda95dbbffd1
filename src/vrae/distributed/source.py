"""Open Parquet: a file, a folder, a pattern, or a URL of any store that Arrow or fsspec knows."""

from __future__ import annotations

import os
import re
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import quote

import pyarrow.dataset as ds
from pyarrow import fs

from vrae.data.columns import Table, reading
from vrae.data.reading import table_options
from vrae.data.sources import open_source
from vrae.exceptions import InvalidDataError, InvalidParameterError, name_some

__all__ = ["file_system", "open_parquet"]


def open_parquet(source: Any, **options: Any) -> Table:
    """Open Parquet: a pyarrow Dataset, or the path, URL or pattern of files. See `vrae.read_panel`.

    Only the first file is read. Kinds of columns are decided by its first rows.
    """
    if isinstance(source, (str, os.PathLike)):
        # Workers may run in another folder, so a path is absolute.
        source = _of_url(str(source)) if "://" in str(source) else os.path.abspath(os.path.expanduser(source))
    given = table_options(**options)
    if given.id_parts:
        raise InvalidParameterError(
            f"The engine 'ray' reads one id column; found {name_some(given.id_parts)}. Join them to one column in the "
            f"files, or leave --engine out."
        )
    opened = open_source(source, given)
    if opened is None or not isinstance(getattr(opened.head.data, "format", None), ds.ParquetFileFormat):
        raise InvalidParameterError(
            f"The engine 'ray' reads Parquet files, which can be read in parts from many machines; found "
            f"{source!s:.200}. Convert the series to Parquet, or leave --engine out."
        )
    return opened.head


def file_system(location: str) -> tuple[fs.FileSystem, str]:
    """Return the file system of a path or URL, and the path there.

    Raises `InvalidParameterError` if neither Arrow nor fsspec knows it, or it is private memory.
    """
    if "://" not in location:
        return fs.LocalFileSystem(), os.path.abspath(os.path.expanduser(location))
    try:
        found: tuple[fs.FileSystem, str] = fs.FileSystem.from_uri(_quoted(location))
        return found
    except (ValueError, OSError) as error:
        first = str(error).strip()
    try:
        import fsspec

        filesystem, path = fsspec.core.url_to_fs(location)
    except (ImportError, ValueError) as error:
        reason = str(error) if "Unrecognized filesystem" in first else first
        raise InvalidParameterError(
            f"Cannot open {location}: {reason.rstrip('.')}. Check the address, or install the package of its store."
        ) from None
    if "memory" in filesystem.protocol:
        raise InvalidParameterError(
            f"{location} is the memory of one process, which the workers of Ray do not see. Name a folder that "
            f"all machines reach."
        )
    return fs.PyFileSystem(fs.FSSpecHandler(filesystem)), path


def _quoted(url: str) -> str:
    """Return a URL in Arrow's form: spaces and wildcards in its path are quoted."""
    path, mark, query = url.partition("?")
    if "=" not in query:  # a wildcard
        path, mark, query = url, "", ""
    return quote(path, safe="/:@%*+,;=~&$!'()") + mark + query


def _of_url(url: str) -> Table:
    filesystem, path = file_system(url)
    stem = re.split(r"[*?\[]", path, maxsplit=1)[0]
    base, pattern = (path, "") if stem == path else (stem.rpartition("/")[0], path)
    with reading(url):
        info = filesystem.get_file_info(base)
        files = [base] if info.type == fs.FileType.File else []
        if info.type == fs.FileType.Directory:
            everything = filesystem.get_file_info(fs.FileSelector(base, recursive=True))
            files = sorted(f.path for f in everything if f.is_file and _is_wanted(f.path, pattern))
        if files:
            return Table(url, ds.dataset(files, format="parquet", filesystem=filesystem))
    raise InvalidDataError(f"No such file or folder, or no Parquet files there: {url}.")


def _is_wanted(path: str, pattern: str) -> bool:
    if pattern:
        return fnmatchcase(path, pattern)
    return path.lower().endswith((".parquet", ".pq", ".parq")) and not path.rpartition("/")[2].startswith(("_", "."))
