"""Parquet wherever it lies: a file, a folder, a pattern, or a URL of any store that Arrow or fsspec knows."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import quote

import pyarrow.dataset as ds
from pyarrow import fs

from vrae.data.columns import Table, reading
from vrae.data.io import table_options
from vrae.data.sources import open_source
from vrae.exceptions import InvalidDataError, InvalidParameterError

__all__ = ["file_system", "open_parquet"]

_WILD = "*?["


def open_parquet(source: Any, **options: Any) -> Table:
    """Open Parquet files, without reading more than the first of them.

    Parameters
    ----------
    source : path, URL or pyarrow Dataset
        A file, a folder, or a pattern such as ``"s3://bucket/sales/*.parquet"``.
    **options
        As in `vrae.read_panel`.

    Returns
    -------
    Table
        All rows; what is asked of its columns is answered by the first ones.

    Raises
    ------
    InvalidDataError
        There is nothing, or it cannot be read.
    InvalidParameterError
        It is not Parquet.
    """
    if isinstance(source, (str, os.PathLike)) and "://" in str(source):
        source = _of_url(str(source))
    elif isinstance(source, (str, os.PathLike)):
        source = os.path.abspath(os.path.expanduser(source))  # a worker may run in another folder
    opened = open_source(source, table_options(**options))
    data = None if opened is None else opened.head.data
    if (
        opened is None
        or not isinstance(data, ds.FileSystemDataset)
        or not isinstance(data.format, ds.ParquetFileFormat)
    ):
        raise InvalidParameterError(
            f"The engine 'ray' reads Parquet files, which can be read in parts from many machines; found "
            f"{source!s:.200}. Write the series as Parquet, or leave --engine out."
        )
    return opened.head


def file_system(place: str) -> tuple[fs.FileSystem, str]:
    """Return the file system of a path or URL, and the path there.

    Raises
    ------
    InvalidParameterError
        Neither Arrow nor fsspec knows the kind of URL, or it names what only one process sees.
    """
    if "://" not in place:
        return fs.LocalFileSystem(), os.path.abspath(os.path.expanduser(place))
    try:
        found: tuple[fs.FileSystem, str] = fs.FileSystem.from_uri(_quoted(place))
        return found
    except (ValueError, OSError) as error:
        first = str(error).strip()
    try:
        import fsspec

        filesystem, path = fsspec.core.url_to_fs(place)
    except (ImportError, ValueError) as error:
        reason = str(error) if "Unrecognized filesystem" in first else first
        raise InvalidParameterError(
            f"Cannot open {place}: {reason.rstrip('.')}. Look at the address, or install the package of its store."
        ) from None
    if "memory" in filesystem.protocol:
        raise InvalidParameterError(
            f"{place} is the memory of one process, which the workers of Ray do not see. Name a place that all "
            f"machines reach."
        )
    return fs.PyFileSystem(fs.FSSpecHandler(filesystem)), path


def _quoted(url: str) -> str:
    """Return a URL as Arrow wants it: spaces and wildcards in its path are none of the URL's own marks."""
    path, mark, query = url.partition("?")
    if "=" not in query:  # a wildcard
        path, mark, query = url, "", ""
    return quote(path, safe="/:@%*+,;=~&$!'()") + mark + query


def _of_url(url: str) -> Table:
    filesystem, path = file_system(url)
    base, pattern = path, ""
    if any(mark in path for mark in _WILD):
        first = min(path.find(mark) for mark in _WILD if mark in path)
        base, pattern = path[:first].rpartition("/")[0], path
    with reading(url):
        info = filesystem.get_file_info(base)
        if info.type == fs.FileType.File:
            files = [base]
        elif info.type == fs.FileType.Directory:
            everything = filesystem.get_file_info(fs.FileSelector(base, recursive=True))
            files = sorted(f.path for f in everything if f.is_file and _is_wanted(f.path, pattern))
        else:
            files = []
        if files:
            return Table(url, ds.dataset(files, format="parquet", filesystem=filesystem))
    raise InvalidDataError(f"No such file or folder, or no Parquet files there: {url}.")


def _is_wanted(path: str, pattern: str) -> bool:
    if pattern:
        return fnmatchcase(path, pattern)
    return path.lower().endswith((".parquet", ".pq", ".parq")) and not path.rpartition("/")[2].startswith(("_", "."))
