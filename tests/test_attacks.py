"""Kills, full disks, busy writers, hostile names: each ends as docs/reliability.md says.

How often each is tried depends on VRAE_FUZZ (`amount.py`). `benchmarks/reliability/attacks.py` runs
these tests, and others, with many more tries, and writes a table of tries and failures.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amount import IS_QUICK, cases, times
from report_data import HOSTILE_IDS, make_report_data
from test_report import Page, page_of
from vrae import Panel, load_model
from vrae.cli import main

pytestmark = pytest.mark.slow

RESULTS = ("clusters.csv", "embedding.parquet", "model/weights.safetensors")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    waves = np.sin(np.arange(40) * rng.choice([0.3, 0.7, 1.3], (40, 1)))
    np.save(tmp_path / "X.npy", waves + rng.normal(0, 0.3, waves.shape))
    return tmp_path / "X.npy"


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ---------------------------------------------------------------- kills of a command


@pytest.fixture(scope="module")
def start() -> Callable[..., Any]:
    """Return a function that starts a command in a process that has imported vrae already."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        pytest.skip("needs processes that fork")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["vrae.cli", "vrae.cli.cluster_command", "vrae.report", "sklearn.mixture"])

    def begin(*arguments: Any) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["vrae", *map(str, arguments)])
            process = context.Process(target=main)
            process.start()  # with this argv
        return process

    return begin


def results(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in RESULTS}


@pytest.mark.skipif(IS_QUICK, reason="takes long, so only with VRAE_FUZZ; test_checkpoint.py kills the training")
def test_a_command_that_is_killed_at_random_moments_resumes_to_the_same(start, data, tmp_path, record_property):
    options = [data, "-k", 3, "--epochs", 30, "--seed", 0, "--checkpoint-every", 0, "--quiet", "--out"]
    whole, run = tmp_path / "whole", tmp_path / "run"
    for _ in range(2):  # the first process also starts the server
        began = time.monotonic()
        process = start("cluster", *options, whole, "--overwrite")
        process.join()
        assert process.exitcode == 0
    life, moments = time.monotonic() - began, np.random.default_rng()  # any moment must work

    def is_killed(process: Any) -> bool:
        process.join(moments.uniform(0.05, 1.1) * life)
        alive: bool = process.is_alive()
        process.kill()
        process.join()
        assert alive or process.exitcode == 0
        return alive

    kills = complete = 0
    while kills < times(quick=1, nightly=300):
        kills += is_killed(start("cluster", *options, run, "--resume"))
        if (run / "metrics.json").exists():  # it came to its end, or almost
            assert results(run) == results(whole)
            kills += is_killed(start("cluster", *options, run, "--overwrite"))
            assert results(run) == results(whole)
            shutil.rmtree(run)
            complete += 1
    process = start("cluster", *options, run, "--resume")
    process.join()
    assert process.exitcode == 0
    assert results(run) == results(whole)
    assert {path.name for path in tmp_path.iterdir()} == {"X.npy", "whole", "run"}
    record_property("tries", kills)
    record_property("complete", complete)


# ---------------------------------------------------------------- full disks


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Return a function that gives the disk so many bytes."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", place], capture_output=True).returncode:
        pytest.skip("no permission to mount a small disk")

    def resized(size: int) -> Path:
        subprocess.run(["mount", "-o", f"remount,size={size}", place], check=True)
        return place

    yield resized
    subprocess.run(["umount", "--lazy", place], check=True)


_ON_A_DISK: dict[str, list[Any]] = {
    "cluster": ["-k", 2, "--epochs", 1],
    "embed": ["--model", "model"],
    "anomalies": ["--epochs", 1],
}


@pytest.mark.parametrize("command", _ON_A_DISK)
def test_a_disk_that_is_full_at_a_random_byte_keeps_what_was_there(
    command, disk, data, cli, fitted, tmp_path, monkeypatch, record_property
):
    monkeypatch.chdir(tmp_path)
    fitted("VRAEClusterer").save("model")
    place = disk(16 << 20)
    arguments = [command, data, *_ON_A_DISK[command], "--quiet", "--out"]
    arguments.append(place / ("run" if command == "cluster" else "result.csv"))
    assert cli(*arguments).code == 0
    before = files(place)
    sizes = np.random.default_rng()  # any size must work
    refused = 0
    for _ in range(times(quick=1, nightly=100)):
        state = os.statvfs(place)
        used = (state.f_blocks - state.f_bfree) * state.f_frsize  # in whole pages: a disk cannot be smaller
        disk(used + int(sizes.integers(1, used + 8192)))  # room for a part of the next result
        done = cli(*arguments, "--overwrite")
        refused += done.code != 0
        if done.code:
            assert done.code == 2
            assert done.said.count("Error:") == 1
            assert "No space left" in done.said
            assert files(place) == before
        before = files(place)
    assert [path.name for path in place.iterdir()] == [arguments[-1].name]
    record_property("tries", times(quick=1, nightly=100))


# ---------------------------------------------------------------- the default estimator


_DEFAULT_FIT = """if True:
    import sys, warnings
    import numpy as np, torch
    from vrae import VRAEClusterer
    warnings.simplefilter("ignore")
    torch.set_num_threads(int(sys.argv[1]))
    for number, X in enumerate(np.load("X.npz").values()):
        VRAEClusterer(random_state=number).fit(list(X)).save(f"{sys.argv[2]}{number}")
"""


@pytest.mark.skipif(IS_QUICK, reason="takes long, so only with VRAE_FUZZ; test_determinism.py has one such fit")
def test_the_default_estimator_learns_the_same_bits_in_other_processes(tmp_path, record_property):
    rng = np.random.default_rng()
    panels = []
    for _ in range(times(quick=0, nightly=20)):
        n, length, channels = rng.integers(12, 40), rng.integers(10, 60), rng.integers(1, 3)
        X = rng.standard_normal((n, channels, length)).cumsum(axis=2) * rng.choice([1.0, 100.0])
        X[rng.random(X.shape) < rng.choice([0, 0.1])] = np.nan
        panels.append(X)
    np.savez(tmp_path / "X.npz", *panels)
    running = []
    for threads, name in ((1, "one"), (2, "two")):
        environment = {**os.environ, "PYTHONHASHSEED": str(threads), "OMP_WAIT_POLICY": "passive"}
        environment.pop("OMP_NUM_THREADS", None)
        command = [sys.executable, "-c", _DEFAULT_FIT, str(threads), name]
        running.append(subprocess.Popen(command, cwd=tmp_path, env=environment))
    assert [process.wait() for process in running] == [0, 0]
    for number in range(len(panels)):
        one, two = (load_model(tmp_path / f"{name}{number}") for name in ("one", "two"))
        np.testing.assert_array_equal(one.labels_, two.labels_)
        weights = [tmp_path / f"{name}{number}" / "weights.safetensors" for name in ("one", "two")]
        assert weights[0].read_bytes() == weights[1].read_bytes()
    record_property("tries", len(panels))


# ---------------------------------------------------------------- hostile names

_PIECES = st.sampled_from(
    [*HOSTILE_IDS, "<!--", "]]>", "</title>", "</style>", "\\u003c/script", "&lt;script&gt;", "<svg/onload=x>", "\x00"]
)


def page_about(name: str, n: int) -> Page:
    """Return a report in which this name is everywhere."""
    ids = np.array([f"{row}{name}" for row in range(n)])
    plain = make_report_data(n=n, n_clusters=1, lengths=np.full(n, 9)).panel
    panel = Panel(plain.values, plain.offsets, ids, channels=(name,))
    return page_of(make_report_data(n=n, n_clusters=1, panel=panel, truth=ids, title=name, names={0: name}))


@cache
def harmless_tags(n: int) -> list[str]:
    return [tag for tag, _ in page_about("harmless", n).tags]


@cases(quick=6, nightly=1000)
@given(parts=st.lists(st.one_of(_PIECES, st.text(max_size=8)), min_size=1, max_size=5), n=st.integers(2, 5))
def test_names_stay_text_in_the_report(parts, n):
    name = "".join(parts)
    page = page_about(name, n)
    assert [tag for tag, _ in page.tags] == harmless_tags(n)
    assert page.data["ids"] == np.array([f"{row}{name}" for row in range(n)]).tolist()
    assert len(page.scripts) == 3
