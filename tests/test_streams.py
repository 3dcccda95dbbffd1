"""Standard streams that are closed or cannot hold the result, and a folder that is gone."""

import io
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

ASSIGN = ("assign", "data.csv", "--model", "model", "--quiet")


@pytest.fixture
def place(fitted, tmp_path: Path, monkeypatch) -> Path:
    rows = np.random.default_rng(0).standard_normal((12, 8))
    lines = [f"é{i}," + ",".join(map(str, row)) for i, row in enumerate(rows)]
    text = "\n".join(["id," + ",".join(f"t{i}" for i in range(8)), *lines]) + "\n"
    (tmp_path / "data.csv").write_text(text, encoding="utf-8")
    fitted("VRAEClusterer", "2d").save(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
@pytest.mark.parametrize(("closed", "code"), [(">&-", 2), ("<&-", 0), ("2>&-", 0), ("<&- >&- 2>&-", 2)])
def test_streams_that_a_shell_closed(closed, code):
    script = f'"$0" -m vrae --help {closed}'
    done = subprocess.run(["sh", "-c", script, sys.executable], capture_output=True, text=True)
    assert done.returncode == code
    assert done.stderr == ("Error: Standard output: Bad file descriptor.\n" if closed == ">&-" else "")


def test_a_result_for_standard_output_that_is_closed(cli, place, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    done = cli(*ASSIGN)
    assert (done.code, done.err) == (2, "Error: Standard output: Bad file descriptor.\n")
    assert cli(*ASSIGN, "--out", "new.csv").code == 0
    assert (place / "new.csv").read_text(encoding="utf-8").count("\n") == 13


def test_characters_that_standard_output_lacks(cli, place, monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "ascii"))
    done = cli(*ASSIGN)
    assert done.code == 2
    assert done.err.startswith("Error: Standard output has the encoding ascii, which lacks the character '\\xe9'.")


@pytest.mark.skipif(os.name == "nt", reason="needs pipes of Unix")
def test_a_reader_that_has_seen_enough(cli, place, monkeypatch):
    read, write = os.pipe()
    os.close(read)
    pipe = os.fdopen(write, "w")
    monkeypatch.setattr(sys, "stdout", pipe)
    done = cli(*ASSIGN)
    assert (done.code, done.err) == (0, "")
    with suppress(BrokenPipeError):
        pipe.close()


def test_a_working_directory_that_is_gone(cli, place, monkeypatch):
    def getcwd() -> str:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(os, "getcwd", getcwd)
    done = cli("cluster", place / "data.csv", "-k", 2, "--epochs", 1, "--quiet", "--out", "run")
    assert (done.code, done.said.count("\n")) == (2, 1)
    assert "The working directory does not exist any more." in done.said
