"""After Ctrl-C a command says what is true: complete, to be resumed, or nothing was written."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import wait_for
from vrae.io.atomic import HIDDEN, atomic_directory, atomic_file, check_writable, only_writer
from vrae.io.interrupts import interrupts_held

pytestmark = pytest.mark.filterwarnings("ignore::vrae.exceptions.VRAEWarning")

CLUSTER = ("cluster", "data.csv", "-k", 2, "--epochs", 2, "--out", "new/run", "-q")


@pytest.fixture
def place(fitted, tmp_path, monkeypatch):
    """Return a working directory with data.csv and the folder of a model."""
    X = np.random.default_rng(0).standard_normal((12, 8))
    rows = [f"s{i}," + ",".join(map(str, x)) for i, x in enumerate(X)]
    (tmp_path / "data.csv").write_text("\n".join(["id," + ",".join(f"t{i}" for i in range(8)), *rows, ""]))
    fitted("VRAEClusterer", "2d").save(tmp_path / "model")
    monkeypatch.setattr("vrae.runs.run_folder._comparisons", lambda *args: {"title": "Waves", "source": None})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names() -> list[str]:
    return sorted(str(path) for path in Path().rglob("*"))


@pytest.fixture
def ctrl_c(monkeypatch):
    """Return ``ctrl_c("module.function")``, which interrupts when the function is called."""

    def at(function: str, before: bool = True, patch: pytest.MonkeyPatch = monkeypatch) -> None:
        module, _, name = function.rpartition(".")
        work = getattr(importlib.import_module(module), name)

        def interrupted(*args: Any, **options: Any) -> Any:
            if before:
                signal.raise_signal(signal.SIGINT)
            result = work(*args, **options)
            if not before:
                signal.raise_signal(signal.SIGINT)
            return result

        patch.setattr(function, interrupted)

    return at


@pytest.mark.parametrize(
    "function",
    [
        "vrae.runs.run_folder.fingerprint",
        "vrae.runs.run_folder.check_run_folder",
        "vrae.runs.run_folder.write_report",
        "vrae.cli.config_file._write",
        "vrae.io.atomic._keep_modes",
    ],
)
def test_until_the_run_is_in_its_place_nothing_is_written(function, cli, place, ctrl_c):
    before = names()
    ctrl_c(function)
    done = cli(*CLUSTER)
    assert (done.code, done.err) == (130, "Stopped. Nothing was written.\n")
    assert names() == before
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("function", ["vrae.io.atomic.record_complete", "vrae.cli.cluster_command.show_clusters"])
def test_from_then_on_the_run_is_complete(function, cli, place, ctrl_c):
    ctrl_c(function)
    done = cli(*CLUSTER)
    assert (done.code, done.err) == (130, "Stopped. Complete: new/run. Nothing else was written.\n")
    assert {path.name for path in Path("new/run").iterdir()} >= {"config.toml", "metrics.json", "report.html"}
    assert [name for name in names() if HIDDEN in name or "checkpoint" in name] == []


def test_regroup_changes_the_configuration_with_the_clusters(cli, place, ctrl_c):
    assert cli(*CLUSTER).code == 0
    before = {name: Path(name).read_bytes() for name in names() if Path(name).is_file()}
    ctrl_c("vrae.runs.regrouping.write_report", before=False)
    done = cli("regroup", "new/run", "-k", 3, "-q")
    assert (done.code, done.err) == (130, "Stopped. Nothing was written.\n")
    assert {name: Path(name).read_bytes() for name in names() if Path(name).is_file()} == before


def test_training_that_was_saved_is_named_with_the_line_that_resumes_it(cli, place, ctrl_c, monkeypatch):
    command = (*CLUSTER, "--checkpoint-every", 0)
    with monkeypatch.context() as patch:
        ctrl_c("vrae.runs.run_folder.assign", patch=patch)
        done = cli(*command)
    resume = "To resume: vrae cluster data.csv -k 2 --epochs 2 --out new/run -q --checkpoint-every 0 --resume"
    words = ["Stopped. The training is saved in new/run/checkpoint.", resume]
    assert (done.code, done.err.splitlines()) == (130, words)
    assert cli(*command, "--resume").code == 0
    assert not Path("new/run/checkpoint").exists()


def test_ctrl_c_in_training_saves_it(cli, place, ctrl_c):
    ctrl_c("vrae.train.trainer.training_loss")
    done = cli(*CLUSTER)
    first, second = done.err.splitlines()
    assert first == "Training was stopped in epoch 1 of 2 and saved in new/run/checkpoint."
    assert second == "To resume: vrae cluster data.csv -k 2 --epochs 2 --out new/run -q --resume"


def test_what_standard_output_got_is_called_a_part(cli, place, ctrl_c):
    ctrl_c("vrae.runs.result_tables.advance")
    done = cli("assign", "data.csv", "--model", "model", "-q")
    assert done.err == "Stopped. Standard output got only a part of the result.\n"
    assert done.out.count("\n") == 13


def test_a_saved_model_is_named_and_an_unwritten_table_is_not(cli, place, ctrl_c):
    ctrl_c("vrae.runs.write_anomalies")
    done = cli("anomalies", "data.csv", "--epochs", 1, "--save", "detector", "--out", "new/a.csv", "-q")
    assert done.err == "Stopped. Complete: detector. Nothing else was written.\n"
    assert not Path("new").exists()


def test_a_held_interrupt_comes_afterwards():
    steps = []

    def work() -> None:
        with interrupts_held():
            with interrupts_held():
                signal.raise_signal(signal.SIGINT)
                steps.append(1)
            steps.append(2)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert steps == [1, 2]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_new_parent_folders_go_with_an_output_that_is_not_written(cli, place):
    check_writable(place / "a" / "b" / "c.csv")
    with only_writer(place / "a" / "run"):
        pass
    for writer in (atomic_directory, atomic_file):
        with pytest.raises(ZeroDivisionError), writer(place / "a" / "b" / "c"):
            raise ZeroDivisionError
    (place / "bad.csv").write_text("id,t0,t1\na,1,x\nb,2,3\n")
    for command in (["assign", "--model", "model"], ["anomalies"], ["cluster"], ["reduce"], ["forecast"]):
        assert cli(command[0], "bad.csv", *command[1:], "--out", "a/b/c").code == 2
    assert not Path("a").exists()


def test_ctrl_c_while_modules_are_imported_is_no_traceback():
    code = (
        "import signal, sys\n"
        "class Stop:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'vrae.cli': signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Stop())\n"
        "from vrae.__main__ import run\n"
        "run()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "Stopped. Nothing was written.\n")


NEEDS_UNIX = pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")


@NEEDS_UNIX
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
@pytest.mark.parametrize(("at", "said"), [("cli", "Stopped. Nothing was written.\n"), ("fork", "")])
def test_a_scheduler_that_ends_the_process_stops_it_as_ctrl_c_does(at, said, name):
    script = """
import os, signal, sys
import vrae.__main__, vrae.cli
def main():
    if sys.argv[1] == "cli" or os.fork() == 0:
        signal.raise_signal(signal.Signals[sys.argv[2]])
        os._exit(7)
    os._exit(os.waitstatus_to_exitcode(os.wait()[1]) + 100)
vrae.cli.main = main
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
vrae.__main__.run()
"""
    done = subprocess.run([sys.executable, "-c", script, at, name], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130 if at == "cli" else 100 - signal.Signals[name], said)


@NEEDS_UNIX
def test_a_scheduler_stops_a_command_in_the_background_of_a_script_too():
    script = """
import os, signal
import vrae.__main__, vrae.cli
def main():
    os.kill(os.getpid(), signal.SIGINT)  # as a shell started it: Ctrl-C is for the foreground
    print("goes on", flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    os._exit(7)
vrae.cli.main = main
signal.signal(signal.SIGINT, signal.SIG_IGN)
vrae.__main__.run()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "goes on\n", "Stopped. Nothing was written.\n")


@NEEDS_UNIX
def test_a_terminal_that_closes_stops_a_command_as_ctrl_c_does(tmp_path):
    script = """
import os, signal, sys, time
import vrae.__main__, vrae.cli
os.open(os.ttyname(0), os.O_RDWR)  # the terminal of this session
def main():
    try:
        print("started", flush=True)
        time.sleep(60)
    finally:
        os.kill(os.getpid(), signal.SIGHUP)  # of the shell, which ends too
        print("saved", file=sys.stderr, flush=True)
        open(sys.argv[1], "w").close()
vrae.cli.main = main
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
vrae.__main__.run()
"""
    ours, theirs = os.openpty()
    words = [sys.executable, "-c", script, tmp_path / "saved"]
    with subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True) as process:
        os.close(theirs)
        wait_for(b"started", ours)
        os.close(ours)
    assert (process.returncode, (tmp_path / "saved").exists()) == (130, True)
