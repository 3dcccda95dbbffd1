"""Standard streams that are closed or cannot hold the result, and a folder that is gone."""

import io
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import numpy as np
import pytest
from rich.console import Console

from conftest import wait_for
from vrae.cli.phase_display import PhaseDisplay
from vrae.cli.terminal import drop_unwritten_messages
from vrae.phases import announce, listening

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


def without_reader() -> TextIO:
    """Return a pipe whose reader has ended."""
    read, write = os.pipe()
    os.close(read)
    return os.fdopen(write, "w", encoding="utf-8")


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
@pytest.mark.parametrize("command", [ASSIGN, ("info", "model")])
def test_a_reader_that_has_seen_enough(cli, place, monkeypatch, command):
    pipe = without_reader()
    monkeypatch.setattr(sys, "stdout", pipe)
    done = cli(*command)
    assert (done.code, done.err.count("\n")) == (0, command[0] == "info")  # which tells its phase
    with suppress(BrokenPipeError):
        pipe.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("where", ["a pipe", "/dev/full"])
def test_messages_that_cannot_be_written_are_dropped_and_the_work_goes_on(cli, place, monkeypatch, where):
    stream = without_reader() if where == "a pipe" else open(where, "w", encoding="utf-8")  # noqa: SIM115
    monkeypatch.setattr(sys, "stderr", stream)
    assert cli("assign", "data.csv", "--model", "model", "--out", "new.csv").code == 0
    assert (place / "new.csv").read_text(encoding="utf-8").count("\n") == 13
    assert cli("assign", "none.csv", "--model", "model").code == 2
    stream.close()


@pytest.mark.skipif(os.name == "nt", reason="needs a terminal of Unix")
def test_a_terminal_that_closes_while_a_phase_is_shown(monkeypatch):
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        drop_unwritten_messages()
        console = Console(stderr=True, force_terminal=True, force_interactive=True)
        with PhaseDisplay(console, quiet=False) as display, listening(display):
            announce("Reading")
            wait_for(b"Starting", ours)
            os.close(ours)
            announce("Training")
            console.print("a message")


def test_a_working_directory_that_is_gone(cli, place, monkeypatch):
    def getcwd() -> str:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(os, "getcwd", getcwd)
    done = cli("cluster", place / "data.csv", "-k", 2, "--epochs", 1, "--quiet", "--out", "run")
    assert (done.code, done.said.count("\n")) == (2, 1)
    assert "The working directory does not exist any more." in done.said
