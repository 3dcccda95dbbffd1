"""load_example reads installed data, a folder, the cache or a download, but nothing incomplete."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest

from vrae.data import datasets
from vrae.data.datasets import Example, list_examples, load_example
from vrae.exceptions import DatasetUnavailableError, InvalidDataError, InvalidParameterError

DATA = os.environ.get("VRAE_DATA")


@pytest.fixture(autouse=True)
def _own_places(monkeypatch, tmp_path):
    """Hide the user's cache and data."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("VRAE_DATA", raising=False)


def no_network(*args, **kwargs):
    raise URLError("Name or service not known")


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setattr(datasets, "urlopen", no_network)


def write(folder: Path, name: str = "Toy", parts: tuple[str, ...] = ("TRAIN", "TEST")) -> None:
    folder.mkdir(parents=True)
    for part in parts:
        (folder / f"{name}_{part}.tsv").write_text("1\t1\t2\t3\n2\t4\t5\tNaN\n")


@pytest.mark.parametrize("name", list_examples())
def test_every_listed_example_loads_without_a_network(name, offline):
    example = load_example(name)
    assert isinstance(example, Example)
    panel, labels = example
    assert len(panel) > 10
    assert np.isfinite(panel.values).all()
    if name == "PBS_dataset":
        assert labels is None
    else:
        assert labels is not None
        assert len(labels) == len(panel)
        np.testing.assert_array_equal(panel.static["label"], labels)


def test_splits_join_in_order(offline):
    assert load_example().panel.lengths.tolist() == [427] * 442
    train, test, both = (load_example("JapaneseVowels", split=split) for split in ("train", "test", None))
    assert [len(part.panel) for part in (train, test, both)] == [270, 370, 640]
    np.testing.assert_array_equal(both.labels, np.concatenate([train.labels, test.labels]))
    np.testing.assert_array_equal(both.panel[300], test.panel[30])
    assert np.unique(both.panel.static["split"], return_counts=True)[1].tolist() == [370, 270]


def test_classes_keep_their_names():
    labels = load_example("BasicMotions").labels
    assert labels is not None
    assert set(labels) == {"Standing", "Running", "Walking", "Badminton"}


def test_folders_are_searched_in_order(tmp_path, monkeypatch, offline):
    write(tmp_path / "given" / "ucr" / "Toy")
    assert len(load_example("Toy", data_dir=tmp_path / "given").panel) == 4
    write(tmp_path / "env" / "Toy")
    monkeypatch.setenv("VRAE_DATA", str(tmp_path / "env"))
    np.testing.assert_array_equal(load_example("Toy", split="test").labels, [1, 2])
    write(tmp_path / "cache" / "vrae" / "Toy2", "Toy2")
    assert len(load_example("Toy2").panel) == 4
    write(tmp_path / "given" / "OSULeaf", "OSULeaf")
    assert len(load_example("OSULeaf", data_dir=tmp_path / "given").panel) == 4
    assert len(load_example("OSULeaf").panel) == 442


def test_an_incomplete_data_set_says_what_is_missing(tmp_path, offline):
    write(tmp_path / "Toy", parts=("TRAIN",))
    assert len(load_example("Toy", data_dir=tmp_path, split="train").panel) == 2
    with pytest.raises(DatasetUnavailableError, match="no Toy_TEST file"):
        load_example("Toy", data_dir=tmp_path)
    (tmp_path / "Toy" / "Toy_TEST.tsv").write_text("1\tx\n")
    with pytest.raises(InvalidDataError, match=r"Toy_TEST.tsv, line 1: found 'x'"):
        load_example("Toy", data_dir=tmp_path)


def test_without_a_network_the_alternatives_are_named(tmp_path, offline):
    with pytest.raises(DatasetUnavailableError) as error:
        load_example("ECG5000")
    for words in (
        "no network",
        "VRAE_DATA",
        "--data-dir",
        "ECG5000/ECG5000_TRAIN.tsv",
        "OSULeaf",
        str(tmp_path),
    ):
        assert words in str(error.value)
    assert not (tmp_path / "cache").exists()


GOOD = b"@problemName Toy\n@classLabel true 1 2\n@data\n1,2,3:1\n4,5,6:2\n"


class Answer(io.BytesIO):
    def __init__(self, content: bytes, address: str) -> None:
        super().__init__(content)
        self.address = address

    def geturl(self) -> str:
        return self.address


class Site:
    """A replacement for Zenodo: a record of two files, with one fault."""

    def __init__(self, **wrong: Any) -> None:
        self.wrong = wrong
        self.asked: list[str] = []

    def __call__(self, request: Any, timeout: float) -> Answer:
        address = request.full_url
        self.asked.append(address)
        if not address.endswith("/content"):
            checksum = self.wrong.get("checksum", f"md5:{hashlib.md5(GOOD).hexdigest()}")
            entry = {"size": self.wrong.get("size", len(GOOD)), "checksum": checksum}
            names = ["ECG5000_TRAIN.ts", "ECG5000_TEST.ts", "../../escaped", "/etc/escaped", "ECG5000_eq.ts"]
            record = json.dumps({"files": [{"key": name, **entry} for name in names]}).encode()
            return Answer(self.wrong.get("record", record), self.wrong.get("leads_to", address))
        if "ECG5000_TEST" in address and "error" in self.wrong:
            raise self.wrong["error"]
        return Answer(self.wrong.get("content", GOOD), self.wrong.get("content_from", address))


def test_a_download_is_checked_and_kept(tmp_path, monkeypatch):
    site = Site()
    monkeypatch.setattr(datasets, "urlopen", site)
    assert len(load_example("ECG5000").panel) == 4
    assert all(address.startswith("https://zenodo.org/api/records/") for address in site.asked)
    assert len(site.asked) == 3, "two files were asked for, and no other"
    assert [path.name for path in (tmp_path / "cache" / "vrae").iterdir()] == ["ECG5000"]
    names = sorted(path.name for path in (tmp_path / "cache" / "vrae" / "ECG5000").iterdir())
    assert names == ["ECG5000_TEST.ts", "ECG5000_TRAIN.ts"]
    monkeypatch.setattr(datasets, "urlopen", no_network)
    assert len(load_example("ECG5000").panel) == 4


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "connection lost": ({"error": URLError("connection lost")}, "connection lost"),
    "cut off": ({"content": GOOD[:-3]}, "is damaged"),
    "a byte changed": ({"content": GOOD.replace(b"5", b"6")}, "is damaged"),
    "too much": ({"content": GOOD + b"more"}, "is damaged"),
    "endless": ({"size": 1 << 50}, "bytes; at most"),
    "no size": ({"size": None}, "cannot be read"),
    "another checksum": ({"checksum": "crc:1"}, "unknown kind 'crc'"),
    "no record": ({"record": b"<html>"}, "cannot be read"),
    "no files": ({"record": b'{"files": []}'}, "none of the files"),
    "an endless record": ({"record": b" " * (2 << 20)}, "cannot be read"),
    "led astray": ({"leads_to": "http://zenodo.org/"}, "is not https://zenodo.org/"),
    "content led astray": ({"content_from": "https://evil.org/x"}, "is not https://zenodo.org/"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_faulty_download_leaves_nothing(name, tmp_path, monkeypatch):
    wrong, words = WRONG[name]
    monkeypatch.setattr(datasets, "urlopen", Site(**wrong))
    with pytest.raises(DatasetUnavailableError, match=re.escape(words)):
        load_example("ECG5000")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(("name", "near"), [("OSULeav", "OSULeaf"), ("ECG500", "ECG5000"), ("../etc", None)])
def test_unknown_names(name, near, monkeypatch):
    monkeypatch.setattr(datasets, "urlopen", lambda *_, **__: pytest.fail("asked the network"))
    with pytest.raises(DatasetUnavailableError, match=f"Did you mean '{near}'" if near else "No example"):
        load_example(name)


def test_unknown_split():
    with pytest.raises(InvalidParameterError, match="Did you mean 'train'"):
        load_example(split="trian")  # type: ignore[arg-type]  # misspelt on purpose
    with pytest.raises(InvalidParameterError, match="PBS_dataset"):
        load_example("PBS_dataset", split="train")


@pytest.mark.data
@pytest.mark.parametrize(("name", "n_series"), [("ECG5000", 5000), ("PLAID", 1074), ("RacketSports", 303)])
def test_archive_on_disk(name, n_series, offline):
    panel, labels = load_example(name, data_dir=DATA)
    assert labels is not None
    assert len(panel) == len(labels) == n_series
