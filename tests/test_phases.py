"""Phases of long work: who is told, and what a terminal and a pipe show."""

from __future__ import annotations

import os
import pty
import pydoc
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import pytest
import torch
from rich.console import Console

from vrae import VRAE, VRAEClusterer
from vrae.cli.clock import duration, elapsed, start_clock
from vrae.cli.phase_display import PhaseDisplay
from vrae.phases import advance, announce, listening, one_phase

pytestmark = pytest.mark.filterwarnings("ignore::vrae.exceptions.VRAEWarning")

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Notes:
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        self.phases: list[str] = []
        self.texts: list[str] = []
        self.shares: list[float | None] = []

    def begin(self, phase: str) -> None:
        self.phases.append(phase)

    def advance(self, text: str, share: float | None) -> None:
        self.texts.append(text)
        self.shares.append(share)


def test_a_fit_tells_its_phases_to_a_listener_and_to_nobody_else(tiny, small_series, capfd):
    clusterer = VRAEClusterer(2, model=VRAE(**tiny))
    with listening(notes := Notes()):
        clusterer.fit(small_series("2d"))
    assert notes.phases[:3] == ["Patterns", "Training", "Grouping"]
    assert "1 of 2 passes" in notes.texts
    assert 1.0 in notes.shares
    before = len(notes.texts)
    clusterer.fit(small_series("2d"))
    assert len(notes.texts) == before
    assert capfd.readouterr() == ("", "")


def test_phases_inside_of_a_phase_are_parts_of_it():
    with listening(notes := Notes()):
        with one_phase("Stability"):
            announce("Training")
            advance(3, 20, "passes", 0.15)
        announce("Report")
        advance(1200, None, "series")
    assert notes.phases == ["Stability", "Report"]
    assert notes.texts == ["training", "training: 3 of 20 passes", "1,200 series"]
    assert notes.shares == [None, None, None]


def test_a_listener_belongs_to_its_context():
    with listening(notes := Notes()):
        thread = threading.Thread(target=announce, args=["elsewhere"])
        thread.start()
        thread.join()
        with listening(None):
            announce("nobody")
        announce("here")
    announce("later")
    assert notes.phases == ["here"]


def shown(tmp_path: Path, quiet: bool = False) -> str:
    with (tmp_path / "err.txt").open("w+", encoding="utf-8") as file:
        console = Console(file=file, force_terminal=False)
        with PhaseDisplay(console, quiet) as display, listening(display):
            announce("Reading")
            advance(1, 2, "series")
            announce("Training")
            announce("Training")
        file.seek(0)
        return file.read()


def test_a_pipe_gets_one_plain_line_a_phase(tmp_path):
    lines = shown(tmp_path).splitlines()
    assert [line.partition("] ")[2] for line in lines] == ["Starting", "Reading", "Training"]
    assert all(re.fullmatch(r"\[[\d.a-z ]+\] \w+", line) for line in lines)
    assert shown(tmp_path, quiet=True) == ""


def test_a_long_phase_reports_to_a_pipe_from_time_to_time(tmp_path, monkeypatch):
    monkeypatch.setattr("vrae.cli.phase_display._REMINDER", -1.0)
    assert "] Reading: 1 of 2 series\n" in shown(tmp_path)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_durations_in_words(seconds, words):
    assert duration(seconds) == words


def test_the_clock_starts_with_the_process():
    code = "from vrae.cli.clock import elapsed, start_clock; start_clock(with_process=True); print(elapsed())"
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0 < float(done.stdout) <= time.monotonic() - began
    start_clock()
    assert elapsed() >= 0


# ---------------------------------------------------------------- a terminal


class Shown(NamedTuple):
    """What a command showed on a terminal: bytes, and for each part of them when it came."""

    code: int
    said: bytes
    times: list[tuple[int, float]]  # length of `said`, and seconds since the start
    silence: float  # most processor time that it used from one part to the next

    def seconds(self, text: bytes) -> float:
        """Return when the last such text came."""
        return next(time for length, time in self.times if length > self.said.rindex(text))


def on_terminal(*arguments: Any, stdout: Any = None) -> Shown:
    """Run a command in a terminal.

    Silence is counted in processor time of the command, since a busy machine makes every program
    wait.
    """
    ours, theirs = pty.openpty()
    plain = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "TERM")}
    environment = {**plain, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "vrae", *map(str, arguments)]
    began = time.monotonic()
    process = psutil.Popen(command, env=environment, stdout=stdout or theirs, stderr=theirs, stdin=theirs)
    os.close(theirs)
    said, times, silence, used = b"", [], 0.0, 0.0
    try:
        while part := os.read(ours, 1 << 16):
            said += part
            times.append((len(said), time.monotonic() - began))
            before, used = used, sum(process.cpu_times()[:2])
            silence = max(silence, used - before)
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(ours)
    return Shown(process.wait(), said, times, silence)


@pytest.fixture
def data(tmp_path: Path, small_series: Any) -> Path:
    np.savez(tmp_path / "X.npz", X=small_series("2d", 24))
    return tmp_path / "X.npz"


@pytest.mark.slow
def test_a_terminal_shows_a_live_line_and_leaves_one_line_a_phase(data, tmp_path):
    shown = on_terminal("cluster", data, "-k", 2, "--epochs", 90, "--out", tmp_path / "run")
    text = CONTROL.sub("", shown.said.decode()).replace("\r", "\n")
    assert shown.code == 0, text
    assert shown.silence < 2.0
    left = re.findall(r"^(\w+) +(?:\d+ min )?[\d.]+ s\s*$", text, re.MULTILINE)
    phases = ["Starting", "Reading", "Patterns", "Training", "Grouping", "Stability", "Report"]
    assert [name for name in left if name != "Time"] == phases
    assert "of 90 passes" in text
    told = re.search(r"^Time +(?:(\d+) min )?([\d.]+) s", text, re.MULTILINE)
    assert told is not None
    assert abs(60 * int(told[1] or 0) + float(told[2]) - shown.seconds(b"Time ")) < 1.5  # the last digit is rounded
    after = shown.said[shown.said.rindex(b"Report ") :]
    assert b"\x1b[2K" not in after  # the live line is gone when results are there


@pytest.mark.slow
def test_rows_to_a_terminal_do_not_meet_a_live_line(data, tmp_path):
    model = VRAEClusterer(2, model=VRAE(max_epochs=1)).fit(np.load(data)["X"]).save(tmp_path / "model")
    shown = on_terminal("assign", data, "--model", model)
    assert shown.code == 0
    rows = shown.said[shown.said.index(b"id,cluster") :]
    assert b"\x1b[2K" not in rows
    with (tmp_path / "out.csv").open("wb") as file:
        shown = on_terminal("assign", data, "--model", model, stdout=file)
    assert shown.code == 0
    assert b"\x1b[2K" in shown.said
    assert (tmp_path / "out.csv").read_bytes().startswith(b"id,cluster")
    assert b"\x1b" not in (tmp_path / "out.csv").read_bytes()


@pytest.mark.parametrize(
    ("options", "step"), [({}, "placement.neighbour_loss"), ({"pattern_weight": 0.0}, "trainer.Trainer.train_step")]
)
def test_ctrl_c_ends_both_refits_at_their_next_step(options, step, tiny, monkeypatch):
    X = np.sin(np.arange(20) * np.where(np.arange(40) % 2, 0.3, 1.5)[:, None])
    found = VRAEClusterer(2, model=VRAE(**{**tiny, **options}), random_state=0).fit(X)
    found.model_.set_params(max_epochs=100)
    before, n_threads, steps = torch.get_num_threads(), threading.active_count(), []
    called: Any = pydoc.locate(f"vrae.train.{step}")
    main = threading.main_thread()

    def interrupted(*given: Any) -> Any:
        steps.append(threading.current_thread())
        if len(steps) == 3:
            signal.pthread_kill(main.ident or 0, signal.SIGINT)
        time.sleep(0.01)
        return called(*given)

    monkeypatch.setattr(f"vrae.train.{step}", interrupted)
    monkeypatch.setattr("vrae.train.placement._STEPS", 300)
    torch.set_num_threads(2)
    try:
        with pytest.raises(KeyboardInterrupt):
            found.stability(X)
    finally:
        torch.set_num_threads(before)
    assert main not in steps
    assert len(steps) < 50  # of 600
    assert threading.active_count() == n_threads
    assert found.refits_ is None
