"""Download files of the UCR and UEA archives from Zenodo.

Addresses are built here, use https and never leave Zenodo. Only requested names become paths. The
size and checksum of each file must match the archive's record. The record comes from the same
site, so the checksum detects transfer errors; against forgery, only the site's certificate helps.
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
_RECORD_TIMEOUT = 4.0  # seconds, short: without a network, the user should not wait
_FILE_TIMEOUT = 60.0  # seconds without a byte
_MAX_RECORD_BYTES = 1 << 20
_MAX_FILE_BYTES = 4 << 30
_CHUNK_BYTES = 1 << 20


def fetch_files(record: int, names: Collection[str], folder: Path) -> list[str]:
    """Download those of the named files that a Zenodo record lists, and return their names."""
    with _open(f"{_SITE}api/records/{record:d}", _RECORD_TIMEOUT) as response:
        text = response.read(_MAX_RECORD_BYTES + 1)
    try:
        listed = {entry["key"]: (int(entry["size"]), str(entry["checksum"])) for entry in json.loads(text)["files"]}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"record {record} of {_SITE} cannot be read ({error!r})") from None
    found = [name for name in names if name in listed]
    for name in found:
        _fetch(record, name, *listed[name], folder / name)
    return found


def _fetch(record: int, name: str, size: int, checksum: str, target: Path) -> None:
    if not 0 < size <= _MAX_FILE_BYTES:
        raise ValueError(f"the record lists {name} with {size:,} bytes; at most {_MAX_FILE_BYTES:,} are allowed")
    kind, _, expected = checksum.partition(":")
    if kind != "md5":  # the only kind that Zenodo uses
        raise ValueError(f"{name} has a checksum of the unknown kind {kind!r}")
    digest = hashlib.md5(usedforsecurity=False)
    received = 0
    address = f"{_SITE}api/records/{record:d}/files/{name}/content"
    with _open(address, _FILE_TIMEOUT) as response, target.open("wb") as file:
        while received <= size and (chunk := response.read(_CHUNK_BYTES)):
            received += len(chunk)
            digest.update(chunk)
            file.write(chunk)
    if received != size or digest.hexdigest() != expected:
        target.unlink()
        problem = f"received {received:,} of {size:,} bytes" if received != size else "its checksum is wrong"
        raise ValueError(f"{name} is damaged: {problem}")


def _open(address: str, timeout: float) -> Any:
    response = urlopen(Request(address, headers={"Accept": "*/*", "User-Agent": "vrae"}), timeout=timeout)
    if not response.geturl().startswith(_SITE):
        response.close()
        raise ValueError(f"{address} redirects to {response.geturl()}, which is not {_SITE}")
    return response
