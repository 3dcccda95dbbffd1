"""A data file that changed after a run is noticed by later commands."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vrae.runs.fingerprint import fingerprint, has_changed

pytestmark = pytest.mark.filterwarnings("default::vrae.exceptions.VRAEWarning")


def write(file: Path, X: np.ndarray, first: int = 0) -> None:
    with file.open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(["item", *(f"w{t}" for t in range(X.shape[1]))])
        writer.writerows([f"item{first + i}", *map(float, x)] for i, x in enumerate(X))


@pytest.fixture
def run(cli: Any, small_series: Any, tmp_path: Path) -> Path:
    write(tmp_path / "sales.csv", small_series("2d", 24))
    out = tmp_path / "run"
    assert cli("cluster", tmp_path / "sales.csv", "-k", 2, "--epochs", 1, "-q", "--out", out).code == 0
    return out


def test_files_folders_and_patterns_have_a_fingerprint(tmp_path):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(name)
    one = fingerprint(str(tmp_path / "a.csv"))
    assert one is not None
    assert (one["files"], one["bytes"]) == (1, 5)
    both = fingerprint(str(tmp_path))
    assert both == fingerprint(str(tmp_path / "*.csv"))
    assert both is not None
    assert both["files"] == 2
    shutil.copy(tmp_path / "a.csv", tmp_path / "c.csv")
    assert fingerprint(str(tmp_path / "c.csv")) == one
    (tmp_path / "a.csv").write_text("A.csv")
    assert has_changed({"fingerprint": one}, str(tmp_path / "a.csv"))
    assert not has_changed({"fingerprint": one}, str(tmp_path / "c.csv"))


@pytest.mark.parametrize("data", ["-", "s3://bucket/x.csv", "nowhere.csv", "nowhere/*.csv"])
def test_what_cannot_be_read_has_none(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert fingerprint(data) is None
    assert not has_changed({"fingerprint": {"files": 1}}, data)
    assert not has_changed({}, data)


def test_content_counts_up_to_a_limit_and_the_size_beyond(tmp_path, monkeypatch):
    monkeypatch.setattr("vrae.runs.fingerprint._MOST_BYTES", 4)
    (tmp_path / "x").write_text("abcdef")
    first = fingerprint(str(tmp_path / "x"))
    (tmp_path / "x").write_text("abcdeX")
    assert fingerprint(str(tmp_path / "x")) == first
    (tmp_path / "x").write_text("abcdefg")
    assert fingerprint(str(tmp_path / "x")) != first


def test_the_same_file_says_nothing(cli, run, tmp_path):
    assert json.loads((run / "metrics.json").read_text())["source"]["fingerprint"]["files"] == 1
    for words in (["report", run], ["explain", run]):
        assert cli(*words).said == ""
    (tmp_path / "sales.csv").rename(tmp_path / "moved.csv")
    assert cli("report", run, "--data", tmp_path / "moved.csv").said == ""


def test_other_values_are_told_and_shown_on_the_report(cli, run, small_series, tmp_path):
    write(tmp_path / "sales.csv", small_series("2d", 24) + 1)
    for words in (["report", run], ["explain", run, "item3"], ["regroup", run, "-k", 3]):
        done = cli(*words)
        assert done.code == 0, done
        assert "Warning: sales.csv has changed since this run: the same series, with other values." in done.err
    assert "has changed since this run" in (run / "report.html").read_text(encoding="utf-8")


def test_new_and_missing_series_are_named_and_left_out(cli, run, small_series, tmp_path):
    write(tmp_path / "sales.csv", small_series("2d", 24), first=2)
    done = cli("report", run)
    assert done.code == 0, done
    assert "2 series new and left out ('item24', 'item25'), 2 series missing ('item0', 'item1')" in done.err
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "item2" in page
    assert "run vrae cluster again" in page


def test_a_file_of_other_series_is_not_taken_for_the_run(cli, run, small_series, tmp_path):
    write(tmp_path / "sales.csv", small_series("2d", 24), first=100)
    done = cli("report", run)
    assert done.code == 0
    assert "holds none of the series of this run" in done.err
    done = cli("explain", run)
    assert done.code == 2
    assert "holds none of the series of this run" in done.err


def test_what_the_run_assumed_is_not_told_again(cli, tmp_path):
    rows = [f"shop{i},2024-01-{day:02},{day % (2 + i % 3)}" for i in range(12) for day in range(1, 25)]
    (tmp_path / "sales.csv").write_text("\n".join(["shop,day,qty", *rows, ""]))
    out = tmp_path / "run"
    done = cli("cluster", tmp_path / "sales.csv", "-k", 2, "--epochs", 1, "--out", out)
    assert "Took 'day'" in done.err
    assert cli("report", out).said == ""
