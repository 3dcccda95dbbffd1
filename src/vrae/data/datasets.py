"""Load example data sets: those that come with aeon, and those of the UCR and UEA archives."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import replace
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.error import URLError
from urllib.request import Request, urlopen

import numpy as np
import numpy.typing as npt

from vrae.data.archives import read_arff, read_ts, read_ucr_tsv
from vrae.data.panel import Panel
from vrae.data.selection import join_panels
from vrae.exceptions import (
    DatasetUnavailableError,
    InvalidDataError,
    InvalidParameterError,
    OutputError,
    check_installed,
    did_you_mean,
)
from vrae.io.atomic import atomic_directory

__all__ = ["Example", "list_examples", "load_example"]

Split = Literal["train", "test"]

_BUNDLED = (
    *("OSULeaf", "GunPoint", "ItalyPowerDemand", "ArrowHead", "BasicMotions", "JapaneseVowels"),
    *("PickupGestureWiimoteZ", "ACSF1", "PBS_dataset"),
)
_READERS = {".ts": read_ts, ".tsv": read_ucr_tsv, ".arff": read_arff}

_SITE = "https://zenodo.org/"
_RECORD_TIMEOUT = 4.0  # seconds, short: without a network, the user should not wait
_FILE_TIMEOUT = 60.0  # seconds without a byte
_MAX_RECORD_BYTES = 1 << 20
_MAX_FILE_BYTES = 4 << 30
_CHUNK_BYTES = 1 << 20


class Example(NamedTuple):
    """A data set and its known classes.

    Attributes
    ----------
    panel : Panel
        ``static["label"]`` repeats the classes. ``static["split"]`` is "train" or "test".
    labels : ndarray of shape (n_series,) or None
        Known classes, as text or integers. None if the data set has no classes (PBS_dataset).
    """

    panel: Panel
    labels: npt.NDArray[Any] | None


def list_examples() -> list[str]:
    """Return the names of the data sets that come with aeon (``vrae[aeon]``), without a network."""
    return list(_BUNDLED) if find_spec("aeon") is not None else []


def load_example(name: str = "OSULeaf", data_dir: str | Path | None = None, split: Split | None = None) -> Example:
    """Load a data set of the UCR or UEA archive.

    The data set is searched in ``data_dir``, among those that come with aeon (`list_examples`), in
    the folder named by the environment variable ``VRAE_DATA``, and in the user's cache. If it is in
    none of them, it is downloaded to the cache.

    Parameters
    ----------
    name : str, default="OSULeaf"
        Name in the archive. "PBS_dataset", a series of 204 monthly numbers of prescriptions, is
        returned as 17 series of 12 months.
    data_dir : str or Path, optional
        A folder with ``NAME/NAME_TRAIN.tsv`` and ``NAME/NAME_TEST.tsv`` (or ``.ts``, ``.arff``),
        directly or in its subfolders ``ucr`` and ``uea``.
    split : {"train", "test"}, optional
        Part to load. By default, both: the training series, then the test series.

    Returns
    -------
    Example
        ``(panel, labels)``. Ids are 0, 1, 2, ...

    Raises
    ------
    DatasetUnavailableError
        If the data set is not on disk and cannot be downloaded.
    MissingDependencyError
        If the data set is not on disk and aeon, which provides it, is not installed.
    InvalidDataError
        If a file is damaged.
    InvalidParameterError
        If ``split`` is unknown, or the data set has no such part.

    Examples
    --------
    >>> panel, labels = load_example("GunPoint", split="train")
    >>> panel
    Panel(50 series, 1 channel, 150 steps, 0.0 % missing)
    """
    if split not in (None, "train", "test"):
        raise InvalidParameterError(f"Unknown split={split!r}.{did_you_mean(str(split), ['train', 'test'])}")
    if name == "PBS_dataset":
        return _load_prescriptions(split)
    folder = next((found for found in _folders(name, data_dir) if _file(found, name, "train")), None)
    if folder is None:
        _check_aeon()
        folder = _download(name)
    splits: list[Split] = ["train", "test"] if split is None else [split]
    return _join({part: _read(folder, name, part) for part in splits})


def _folders(name: str, data_dir: str | Path | None) -> Iterator[Path]:
    """Yield the folders to search for a data set, in order."""
    if not re.fullmatch(r"\w+", name):  # a name, not a path
        return

    def below(root: str | Path | None) -> list[Path]:
        return [Path(root).expanduser() / part / name for part in ("", "ucr", "uea")] if root else []

    yield from below(data_dir)
    if name in list_examples():
        yield _bundled_folder() / name
    yield from below(os.environ.get("VRAE_DATA"))
    yield _cache() / name


def _check_aeon() -> None:
    otherwise = "Or set the environment variable VRAE_DATA to a folder that holds it."
    check_installed("aeon", "aeon", "Example data that is not on this machine", otherwise)


def _bundled_folder() -> Path:
    spec = find_spec("aeon")  # importing it would take seconds
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(next(iter(spec.submodule_search_locations))) / "datasets" / "data"


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "vrae"


def _file(folder: Path, name: str, part: Split) -> Path | None:
    files = (folder / f"{name}_{part.upper()}{suffix}" for suffix in _READERS)
    return next((file for file in files if file.is_file()), None)


def _read(folder: Path, name: str, part: Split) -> Panel:
    file = _file(folder, name, part)
    if file is None:
        raise DatasetUnavailableError(
            f"{folder} holds the training series of {name}, but no {name}_{part.upper()} file "
            f"({', '.join(_READERS)}). Add it, or pass split='train'."
        )
    return _READERS[file.suffix](file)


def _join(parts: dict[Split, Panel]) -> Example:
    if len({panel.n_channels for panel in parts.values()}) > 1:
        raise InvalidDataError("The training and the test file have different numbers of channels.")
    known = all("label" in panel.static for panel in parts.values())  # regression data sets have targets
    panels: list[Panel] = []
    for part, panel in parts.items():
        ids = np.arange(len(panel)) + sum(len(earlier) for earlier in panels)
        static = {"label": panel.static["label"]} if known else {}
        panels.append(replace(panel, ids=ids, static={**static, "split": np.repeat(part, len(panel))}))
    joined = join_panels(panels)
    return Example(joined, joined.static.get("label"))


def _load_prescriptions(split: Split | None) -> Example:
    if split is not None:
        raise InvalidParameterError("PBS_dataset has no training and test parts. Leave split= out.")
    _check_aeon()
    months = np.loadtxt(_bundled_folder() / "PBS_dataset" / "PBS_dataset.csv", delimiter=",", skiprows=1, usecols=1)
    years = months.reshape(-1, 12)  # July to June, from 1991 on
    names = [f"{year}-{year + 1}" for year in range(1991, 1991 + len(years))]
    return Example(Panel.from_arrays(years, ids=names), None)


# -------------------------------------------------------------------- download
#
# Addresses are built here, use https and never leave Zenodo. Only requested names become paths. The
# checksums come from the same site: they detect transfer errors. Against forgery, only the site's
# certificate helps.


def _download(name: str) -> Path:
    """Download a data set to the cache and return its folder. Nothing incomplete is kept."""
    from aeon.datasets.tsc_datasets import tsc_zenodo  # takes seconds to import
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    if name not in tsc_zenodo:
        raise DatasetUnavailableError(_unknown(name, list(tsc_zenodo)))
    target = _cache() / name
    wanted = [f"{name}_{part}{suffix}" for suffix in _READERS for part in ("TRAIN", "TEST")]
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    console = Console(stderr=True, force_jupyter=False)  # rich needs one more package for notebooks
    try:
        with tempfile.TemporaryDirectory() as scratch, Progress(*columns, console=console, transient=True) as bar:
            bar.add_task(f"Downloading {name} to {_cache()}")
            found = _fetch_files(tsc_zenodo[name], wanted, Path(scratch))
            if not any("_TRAIN" in file for file in found):
                raise ValueError(f"its record lists none of the files {', '.join(wanted)}")
            with atomic_directory(target) as folder:
                for file in found:
                    shutil.copyfile(Path(scratch) / file, folder / file)
    except (OSError, ValueError, OutputError) as error:
        reason = f"no network: {error.reason}" if isinstance(error, URLError) else str(error)
        raise DatasetUnavailableError(_unavailable(name, reason)) from None
    return target


def _unavailable(name: str, reason: str) -> str:
    return (
        f"The data set {name} is not on this machine and could not be downloaded ({reason:.200}). "
        f"Set the environment variable VRAE_DATA, or pass --data-dir (data_dir=), to a folder that holds "
        f"{name}/{name}_TRAIN.tsv and {name}/{name}_TEST.tsv (or .ts, .arff). Or run once with a network: the "
        f"download is kept in {_cache()}. Data sets that need no network: {', '.join(list_examples())}."
    )


def _unknown(name: str, archive: list[str]) -> str:
    near = get_close_matches(name, [*_BUNDLED, *archive], n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return (
        f"No example data set is called {name!r}.{hint} Installed with aeon: {', '.join(_BUNDLED)}. Use the names "
        f"of the UCR and UEA archives for others. Read your own files with vrae.read_panel."
    )


def _fetch_files(record: int, names: Collection[str], folder: Path) -> list[str]:
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
