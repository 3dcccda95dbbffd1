"""Files of the UCR and UEA archives from Zenodo: over https, from nowhere else, and whole.

Only names that we ask for become paths, the address is built here, and a file counts once its size and checksum are
those that the archive's record states. The record comes from the same place: this finds what broke or was cut off on
the way, not a fraud at the source; the connection's certificate is what stands against that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

__all__ = ["fetch_files"]

_SITE = "https://zenodo.org/"
_FIRST_ANSWER = 4.0  # seconds until a machine without a network is told so
_SILENCE = 60.0  # seconds without a byte
_LARGEST_RECORD = 1 << 20  # bytes
_LARGEST_FILE = 4 << 30
_CHUNK = 1 << 20


def fetch_files(record: int, names: Collection[str], folder: Path) -> list[str]:
    """Download those of a record's files that are asked for.

    Parameters
    ----------
    record : int
        Number of the record on Zenodo.
    names : collection of str
        File names; the record need not have all.
    folder : Path
        An existing folder.

    Returns
    -------
    list of str
        Names of the files that are there now, none of them half.

    Raises
    ------
    OSError
        No network, or the site does not answer.
    ValueError
        What came is not what the record states.
    """
    with _opened(f"{_SITE}api/records/{record:d}", _FIRST_ANSWER) as answer:
        text = answer.read(_LARGEST_RECORD + 1)
    try:
        stated = {entry["key"]: (int(entry["size"]), str(entry["checksum"])) for entry in json.loads(text)["files"]}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"record {record} of {_SITE} cannot be read ({error!r})") from None
    found = [name for name in names if name in stated]
    for name in found:
        _fetch(record, name, *stated[name], folder / name)
    return found


def _fetch(record: int, name: str, size: int, checksum: str, target: Path) -> None:
    if not 0 < size <= _LARGEST_FILE:
        raise ValueError(f"{name} is said to have {size:,} bytes; at most {_LARGEST_FILE:,} are taken")
    kind, _, expected = checksum.partition(":")
    if kind != "md5":  # Zenodo states no other
        raise ValueError(f"{name} has a checksum of the unknown kind {kind!r}")
    digest = hashlib.md5(usedforsecurity=False)
    received = 0
    with _opened(f"{_SITE}api/records/{record:d}/files/{name}/content", _SILENCE) as answer, target.open("wb") as file:
        while received <= size and (chunk := answer.read(_CHUNK)):
            received += len(chunk)
            digest.update(chunk)
            file.write(chunk)
    if received != size or digest.hexdigest() != expected:
        target.unlink()
        raise ValueError(f"{name} came damaged: {received:,} of {size:,} bytes, or not those that the record states")


def _opened(address: str, timeout: float) -> Any:
    answer = urlopen(Request(address, headers={"Accept": "*/*", "User-Agent": "vrae"}), timeout=timeout)
    if not answer.geturl().startswith(_SITE):
        answer.close()
        raise ValueError(f"{address} leads to {answer.geturl()}, which is not {_SITE}")
    return answer
