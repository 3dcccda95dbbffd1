"""Files: full and read-only disks, vanished files, unusual names, several and killed writers."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import make_series
from sound_files import FILES
from vrae import load_model, read_panel
from vrae.exceptions import InvalidDataError, InvalidParameterError, ModelFileError, OutputError
from vrae.io.atomic import HIDDEN, atomic_directory, atomic_file, only_writer
from vrae.runs import table_writer

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # Python 3.12

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")


def in_child(work: Callable[[], None]) -> str:
    """Do something in another process, and return the exception that it raised, as text."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            os.write(write, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(1)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        message = pipe.read().decode()
    os.waitpid(child, 0)
    return message


def started(work: Callable[[], None]) -> int:
    """Start something in another process, and return its id."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(1)
    return child


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ---------------------------------------------------------------- killed writers


@forks
@pytest.mark.parametrize("kind", ["file", "directory"])
def test_a_killed_writer_leaves_the_old_content_and_the_next_one_cleans_up(kind, tmp_path):
    target = tmp_path / "result"
    atomic = atomic_file if kind == "file" else atomic_directory

    def write(text: str, wait: bool = False) -> None:
        with atomic(target) as new:
            (new if kind == "file" else new / "part").write_text(text)
            if wait:
                (tmp_path / "ready").touch()
                time.sleep(60)

    write("old")
    child = started(lambda: write("new", wait=True))
    while not (tmp_path / "ready").exists():
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    (tmp_path / "ready").unlink()
    assert (target if kind == "file" else target / "part").read_text() == "old"
    assert [path for path in tmp_path.iterdir() if path.name.startswith(HIDDEN)] != []
    write("newer")
    assert (target if kind == "file" else target / "part").read_text() == "newer"
    assert [path.name for path in tmp_path.iterdir()] == ["result"]


@forks
def test_a_reader_always_finds_the_old_folder_or_the_new_one(tmp_path):
    target = tmp_path / "model"

    def write(number: int) -> None:
        with atomic_directory(target) as folder:
            for name in "ab":
                (folder / name).write_text(str(number))

    write(0)

    def keep_writing() -> None:
        for number in range(1, 10_000):
            write(number)

    child = started(keep_writing)
    missing = torn = 0
    ends = time.monotonic() + 0.5
    while time.monotonic() < ends:
        try:
            opened = os.open(target, os.O_RDONLY)  # of one moment
            texts = []
            for name in "ab":
                with open(os.open(name, os.O_RDONLY, dir_fd=opened)) as file:
                    texts.append(file.read())
            os.close(opened)
            torn += len(set(texts)) != 1
        except FileNotFoundError:
            missing += not target.exists()  # a replaced folder may vanish while it is read
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert torn == 0
    assert missing == 0 or sys.platform != "linux"


# ---------------------------------------------------------------- several writers


def test_a_target_has_one_writer(tmp_path):
    with only_writer(tmp_path / "run"):
        with pytest.raises(OutputError, match=rf"run is being written by another process \(process {os.getpid()} on "):
            only_writer(tmp_path / "run").__enter__()
        with only_writer(tmp_path / "other"):
            pass
    with only_writer(tmp_path / "run"):
        pass
    assert list(tmp_path.iterdir()) == []


@forks
def test_the_lock_of_a_dead_process_blocks_nobody(tmp_path):
    def hold() -> None:
        with only_writer(tmp_path / "run"):
            (tmp_path / "ready").touch()
            time.sleep(60)

    child = started(hold)
    while not (tmp_path / "ready").exists():
        time.sleep(0.01)
    with pytest.raises(OutputError, match=rf"process {child} on"):
        only_writer(tmp_path / "run").__enter__()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert len(list(tmp_path.glob(f"{HIDDEN}*"))) == 1  # the file remains, and locks nothing
    with only_writer(tmp_path / "run"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["ready"]


def test_concurrent_writers_leave_one_complete_result(tmp_path):
    target = tmp_path / "model"
    failed: list[Exception] = []

    def write(number: int) -> None:
        try:
            for _ in range(20):
                with atomic_directory(target) as folder:
                    for name in "abc":
                        (folder / name).write_text(str(number))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(set(content(target).values())) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


# ---------------------------------------------------------------- full, read-only, vanished


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Yield a folder that every user of the machine may enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@forks
@pytest.mark.parametrize("exists", [True, False], ids=["an older model", "nothing"])
def test_a_full_disk_leaves_what_was_there(exists, fitted, tmp_path):
    """The operating system refuses every byte after the hundredth, as on a full disk."""
    import resource

    model = fitted("VRAE")
    if exists:
        model.save(tmp_path / "model")
    before = content(tmp_path)

    def save() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        model.save(tmp_path / "model")

    message = in_child(save)
    assert message.startswith("OutputError: Could not write")
    assert "Free some space" in message
    assert content(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == (["model"] if exists else [])


@forks
@pytest.mark.parametrize("name", ["table.csv", "table.parquet"])
def test_a_full_disk_leaves_the_old_table(name, tmp_path):
    import resource

    (tmp_path / name).write_bytes(b"old")

    def write() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        with table_writer(tmp_path / name) as rows:
            for first in range(0, 1_000_000, 100_000):
                rows({"id": np.arange(first, first + 100_000)})

    message = in_child(write)
    assert message.startswith(f"OutputError: Could not write {tmp_path / name}")
    assert "Free some space" in message
    assert content(tmp_path) == {name: b"old"}


@forks
@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="needs root, to become another user")
def test_folders_and_files_of_another_user(open_folder, fitted):
    model = fitted("VRAE")
    model.save(open_folder / "model")
    mine = open_folder / "mine"
    mine.mkdir(mode=0o755)
    secret = mine / "secret.npy"
    np.save(secret, np.zeros((3, 9)))
    secret.chmod(0o600)
    (open_folder / "model" / "weights.safetensors").chmod(0o600)

    def as_nobody(work: Callable[[], Any]) -> str:
        def change() -> None:
            os.setgid(65534)
            os.setuid(65534)
            work()

        return in_child(change)

    message = as_nobody(lambda: model.save(mine / "model"))
    assert message.startswith("OutputError")
    assert "Permission denied" in message
    message = as_nobody(lambda: load_model(open_folder / "model"))
    assert message.startswith("ModelFileError")
    assert "Permission denied" in message
    message = as_nobody(lambda: read_panel(secret))
    assert message.startswith("InvalidDataError")
    assert "secret.npy" in message
    message = as_nobody(lambda: only_writer(mine / "run").__enter__())
    assert message.startswith("OutputError")
    assert sorted(content(open_folder)) == ["mine/secret.npy", "model/config.json", "model/weights.safetensors"]


def test_a_file_that_vanishes_is_named(fitted, tmp_path, monkeypatch):
    folder = fitted("VRAE").save(tmp_path / "model")
    look = Path.is_file

    def vanishing(path: Path) -> bool:
        there = look(path)
        if path.name == "weights.safetensors":
            path.unlink()
        return there

    monkeypatch.setattr(Path, "is_file", vanishing)
    with pytest.raises(ModelFileError, match=r"model cannot be read|is damaged"):
        load_model(folder)


def test_a_missing_source_is_named(tmp_path):
    with pytest.raises(InvalidDataError, match=r"gone\.csv"):
        read_panel(tmp_path / "gone.csv")


def test_a_table_that_cannot_be_finished_leaves_the_old_one(tmp_path):
    def write() -> None:
        with table_writer(tmp_path / "table.csv") as rows:
            rows({"id": np.arange(3)})
            raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "table.csv").write_text("old\n")
    with pytest.raises(OutputError, match=r"table\.csv.*No space left.*Free some space"):
        write()
    assert content(tmp_path) == {"table.csv": b"old\n"}


# ---------------------------------------------------------------- names

NAMES = {
    "long": b"n" * 255,
    "not UTF-8": b"run\xff\xfe",
    "spaces and quotes": b" a 'run' \"of\" mine\n",
    "a dash": b"-rf",
    "reserved on Windows": b"con",
    "an emoji": "📈".encode(),
}


@pytest.mark.parametrize("name", NAMES)
def test_names_that_the_system_allows_work(name, fitted, tmp_path):
    path = tmp_path / os.fsdecode(NAMES[name])
    assert type(load_model(fitted("VRAE").save(path))).__name__ == "VRAE"
    with only_writer(path), atomic_file(path / "table") as new:
        new.write_text("x")
    assert [os.fsencode(p.name) for p in tmp_path.iterdir()] == [NAMES[name]]


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".ts", ".csv", ".csv.gz", ".parquet", ".feather"])
def test_files_whose_names_are_not_text_are_read_or_refused_by_name(suffix, tmp_path):
    for number, name in enumerate((b"\xff/x", b"\xff", b"run\xff[/x]")):  # the folder, the file and both
        path = tmp_path / str(number) / os.fsdecode(name + suffix.encode())
        path.parent.mkdir(parents=True)
        with atomic_file(path) as new:
            new.write_bytes(FILES[f"x{suffix}"])
        for asked in (path, path.parent):
            if suffix in (".npy", ".npz", ".ts"):
                assert len(read_panel(asked)) >= 2
            else:
                with pytest.raises(InvalidDataError, match="not UTF-8 text") as caught:
                    read_panel(asked)
                assert path.name in str(caught.value)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz", ".ts"])
def test_data_that_vanishes_is_named(suffix, tmp_path, monkeypatch):
    """Another process may remove a file between the listing of its folder and its opening."""
    path = tmp_path / f"x{suffix}"
    path.write_bytes(FILES[path.name])
    look = Path.stat

    def vanishing(file: Path, **options: Any) -> os.stat_result:
        found = look(file, **options)
        if file.name == path.name and stat.S_ISREG(found.st_mode):
            path.unlink()
        return found

    monkeypatch.setattr(Path, "stat", vanishing)
    with pytest.raises(InvalidDataError, match=rf"x\{suffix}"):
        read_panel(path)


@pytest.mark.parametrize("name", ["n" * 256, "a/" * 3000 + "model"], ids=["a name", "a path"])
def test_too_long_names_are_refused(name, fitted, tmp_path):
    with pytest.raises(OutputError, match="File name too long"):
        fitted("VRAE").save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["n" * 256, "a\0b", "folder", 5, None, b"x"], ids=lambda name: f"{name!a:.9}")
def test_places_that_cannot_be_written_or_read_are_named(name, fitted, tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").touch()
    monkeypatch.chdir(tmp_path)
    clusterer = fitted("VRAEClusterer", "2d")
    monkeypatch.setattr(type(clusterer), "stability", lambda *_: pytest.fail("the place is checked before the work"))
    for write in (clusterer.save, lambda path: clusterer.report(make_series("2d"), path)):
        with pytest.raises((OutputError, InvalidParameterError)):
            write(name)
    with pytest.raises((ModelFileError, InvalidParameterError)):
        load_model(name)
    with pytest.raises((OutputError, InvalidParameterError)):
        fitted("VRAE").export_onnx(name)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_reserved_names_are_refused_on_windows(tmp_path, monkeypatch):
    monkeypatch.setattr("vrae.io.atomic._WINDOWS", True)
    for name in ("CON", "nul.csv", "Com1.parquet", "lpt9"):
        for writes in (atomic_file, atomic_directory, only_writer):
            with pytest.raises(OutputError, match=f"Windows keeps the name '{name}'"):
                writes(tmp_path / name).__enter__()
        with atomic_file(tmp_path / f"a{name}") as new:
            new.write_text("x")


@pytest.mark.parametrize("name", ["table.csv", "table.parquet"])
def test_lone_surrogates_in_an_id_are_escaped(name, tmp_path):
    for dtype in (str, object):
        with table_writer(tmp_path / name) as rows:
            rows({"id": np.array(["\ud800a", "b"], dtype=dtype), "x": np.arange(2)})
        panel = read_panel(tmp_path / name, layout="wide", id="id")
        assert panel.ids.tolist() == [r"\ud800a", "b"]


def test_results_have_the_permissions_of_the_users_umask(tmp_path):
    before = os.umask(0o027)
    try:
        with atomic_directory(tmp_path / "run") as folder:
            (folder / "part").touch()
        with atomic_file(tmp_path / "table") as new:
            new.touch()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "table").stat().st_mode) == 0o640
