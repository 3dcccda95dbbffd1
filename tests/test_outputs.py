"""An output never replaces what vrae did not write, wherever it points."""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vrae import load_model
from vrae.exceptions import OutputError
from vrae.io.atomic import HIDDEN, atomic_directory, atomic_file

posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX files")


@pytest.fixture
def place(fitted, tmp_path, monkeypatch):
    """Return a working directory with data.csv and the folder of a model."""
    np.savetxt(tmp_path / "data.csv", np.random.default_rng(0).standard_normal((12, 8)), delimiter=",")
    fitted("VRAEClusterer", "2d").save(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("link", ["none", "symbolic", "hard"])
@pytest.mark.parametrize("data", ["data.csv", "./data.csv", "*.csv", "."])
def test_the_input_is_never_the_output(link, data, cli, place):
    before = (place / "data.csv").read_bytes()
    out = place / "data.csv"
    if link != "none":
        out = place / "linked.csv"
        out.symlink_to("data.csv") if link == "symbolic" else out.hardlink_to(place / "data.csv")
    if data == "." and link == "symbolic":
        data = "data.csv"
    done = cli("assign", data, "--model", "model", "--out", out)
    assert (done.code, done.said.count("\n")) == (2, 1)
    assert "is read by this command" in done.said
    assert (place / "data.csv").read_bytes() == before


def test_other_files_need_overwrite_and_earlier_results_do_not(cli, place):
    (place / "letter.txt").write_text("Dear")
    command = ["assign", "data.csv", "--model", "model", "--out"]
    done = cli(*command, "letter.txt")
    assert done.code == 2
    assert "is not a result of vrae" in done.said
    assert (place / "letter.txt").read_text() == "Dear"
    assert cli(*command, "letter.txt", "--overwrite").code == 0
    for name in ("new.csv", "new.parquet"):
        assert [cli(*command, name).code for _ in range(2)] == [0, 0]


_AGAIN: dict[str, list[Any]] = {
    "assign": ["--model", "model"],
    "embed": ["--model", "model"],
    "anomalies": ["--epochs", 1],
    "similar": ["--epochs", 1],
    "forecast": ["--horizon", 2, "--no-classical", "--epochs", 1],
    "compare": ["--methods", "kmeans", "-k", 2],
}


@pytest.mark.parametrize("command", _AGAIN)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_command_replaces_its_own_earlier_result(command, suffix, cli, place):
    values = np.random.default_rng(0).standard_normal((12, 8))
    header = ",".join(["id", *(f"t{i}" for i in range(8))])
    rows = [f"s{i}," + ",".join(map(str, row)) for i, row in enumerate(values)]
    (place / "data.csv").write_text("\n".join([header, *rows]) + "\n")
    for _ in range(2):
        done = cli(command, "data.csv", *_AGAIN[command], "--out", f"result{suffix}")
        assert done.code == 0, done.said


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_tables_of_steps_of_clusters_and_of_rebuilt_series_are_known_again(suffix, cli, place, small_series):
    np.savetxt(place / "waves.csv", small_series("2d", 12), delimiter=",")
    detector = ["anomalies", "waves.csv", "--epochs", 1, "--out", f"a{suffix}", "--step-scores", f"steps{suffix}"]
    assert cli("cluster", "waves.csv", "-k", 2, "--epochs", 1, "--out", "run").code == 0
    assert cli("reduce", "waves.csv", "--epochs", 1, "--latent-size", 2, "--out", "red").code == 0
    for command in (detector, ["explain", "run", "--out", f"e{suffix}"], ["restore", "red", "--out", f"r{suffix}"]):
        for _ in range(2):
            done = cli(*command)
            assert done.code == 0, done.said


def test_the_home_folder_of_outputs_is_that_of_the_user(cli, place, monkeypatch):
    monkeypatch.setenv("HOME", str(place))
    monkeypatch.setenv("USERPROFILE", str(place))
    done = cli("assign", "~/data.csv", "--model=~/model", "--out=~/new.csv", "--quiet")
    assert done.code == 0, done.said
    assert (place / "new.csv").is_file()
    assert not (place / "~").exists()
    (place / "notes").mkdir()
    (place / "notes" / "mine").touch()
    done = cli("forecast", "data.csv", "--save=~/notes", "--out=~/new.csv")
    assert (done.code, "is not a model directory" in done.said, "Reading" in done.err) == (2, True, False), done.said


def test_a_graph_is_known_again(cli, place, fitted):
    pytest.importorskip("onnx")
    fitted("VRAE", "2d").save(place / "free")
    for _ in range(2):
        done = cli("export", "free", "--out", "encoder.onnx")
        assert done.code == 0, done.said
    (place / "encoder.onnx").write_bytes(b"another graph")
    assert "is not a result of vrae" in cli("export", "free", "--out", "encoder.onnx").said


@pytest.mark.parametrize("values", ["3,4", "0.5,0.25", "1.23456789012,2.3456789012", "0.1,0.30000001192092896"])
def test_series_of_the_user_are_not_taken_for_rebuilt_ones(values, cli, place):
    assert cli("reduce", "data.csv", "--epochs", 1, "--latent-size", 2, "--out", "red").code == 0
    text = "id,step,value\n" + "".join(f"a,{step},{value}\n" for step, value in enumerate(values.split(","), 1))
    (place / "mine.csv").write_text(text)
    done = cli("restore", "red", "--out", "mine.csv")
    assert (done.code, (place / "mine.csv").read_text()) == (2, text)
    assert "is not a result of vrae" in done.said


def test_what_is_read_is_not_replaced_by_a_folder_or_in_one(cli, place):
    assert cli("cluster", "data.csv", "-k", 2, "--epochs", 1, "--out", "run").code == 0
    assert cli("reduce", "data.csv", "--epochs", 1, "--latent-size", 2, "--out", "red").code == 0
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    for command in (
        ["reduce", "data.csv", "--model", "red", "--out", "red", "--overwrite"],
        ["cluster", "run/embedding.parquet", "--out", "run", "--overwrite"],
        ["cluster", "run/*.parquet", "--out", "run", "--overwrite"],
        ["drift", "data.csv", "--model", "run", "--out", "run", "--overwrite"],
        ["assign", "data.csv", "--model", "run", "--out", "run/clusters.csv"],
        ["anomalies", "data.csv", "--out", "a.csv", "--step-scores", "./a.csv"],
    ):
        done = cli(*command)
        assert (done.code, done.said.count("\n")) == (2, 1), done.said
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before
    assert cli("report", "run", "--out", "run/other.html").code == 0


def test_what_is_read_is_not_replaced_with_overwrite_either(cli, place, monkeypatch):
    assert cli("cluster", "data.csv", "-k", 2, "--epochs", 1, "--out", "run").code == 0
    assert cli("reduce", "data.csv", "--epochs", 1, "--latent-size", 2, "--out", "red").code == 0
    deep = place / "a" / "b" / "deep.csv"
    deep.parent.mkdir(parents=True)
    deep.write_bytes((place / "data.csv").read_bytes())
    (place / "link.csv").symlink_to("data.csv")
    monkeypatch.setenv("HOME", str(place))
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    for command in (
        ["assign", "data.csv", "--model", "model", "--out", "link.csv"],
        ["assign", "link.csv", "--model", "model", "--out", "data.csv"],
        ["assign", "~/data.csv", "--model", "model", "--out", "data.csv"],
        ["assign", "data.csv", "--model", "model", "--out=~/data.csv"],
        ["assign", "a/**/*.csv", "--model", "model", "--out", deep],
        ["assign", "a", "--model", "model", "--out", deep],
        ["assign", "data.csv", "--model", "model", "--out", "model/weights.safetensors"],
        ["assign", "data.csv", "--model", "run", "--out", "run/model/weights.safetensors"],
        ["assign", "data.csv", "--model", "run", "--out", "run/clusters.csv"],
        ["explain", "run", "--out", "run/clusters.csv"],
        ["explain", "run", "--out", "data.csv"],  # the run says where its series are
        ["report", "run", "--out", "data.csv"],
        ["restore", "red", "--out", "red/codes.parquet"],
        ["export", "model", "--out", "model/config.json"],
    ):
        done = cli(*command, "--overwrite")
        assert (done.code, done.said.count("\n"), "is read by this command" in done.said) == (2, 1, True), done.said
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before
    assert [cli("assign", "data.csv", "--model", "run", "--out", "run/own.csv").code for _ in range(2)] == [0, 0]


def test_a_run_that_does_not_know_its_files_reads_none_of_a_name(cli, place):
    (place / "run").mkdir()
    (place / "run" / "metrics.json").write_text('{"source": {"example": "GunPoint"}}')
    (place / "None").write_text("mine")
    assert "is not a result of vrae" in cli("explain", "run", "--out", "None").said


@posix
def test_standard_input_that_is_the_output(place):
    with (place / "data.csv").open() as data:
        command = [sys.executable, "-m", "vrae", "assign", "-", "--model", "model", "--out", "data.csv", "--overwrite"]
        done = subprocess.run(command, stdin=data, capture_output=True, text=True, check=False)
    assert (done.returncode, "is read by this command" in done.stderr) == (2, True), done.stderr


def test_a_part_of_a_run_and_what_is_read_only_are_kept(cli, place, monkeypatch):
    (place / "run").mkdir()
    (place / "run" / "metrics.json").write_text("{}")
    command = ["assign", "data.csv", "--model", "model", "--out"]
    for name in ("run/clusters.csv", "run/config.toml", "run/assigned.csv", "mine.csv"):
        (place / name).write_text("id,cluster,probability\n")
    assert cli(*command, "run/assigned.csv").code == 0
    for name in ("run/clusters.csv", "run/config.toml"):
        done = cli(*command, name)
        assert (done.code, "is a part of the run in run" in done.said) == (2, True)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "mine.csv")
    done = cli(*command, "mine.csv")
    assert (done.code, "mine.csv is read-only" in done.said) == (2, True)
    assert cli(*command, "mine.csv", "--overwrite").code == 0


def test_a_parent_that_is_a_file_is_named_before_the_work(cli, place):
    (place / "runs").write_text("")
    for command in (["cluster"], ["reduce"], ["anomalies", "--save", "runs/det"], ["assign", "--model", "model"]):
        done = cli(command[0], "data.csv", *command[1:], *([] if "--save" in command else ["--out", "runs/sub/new"]))
        assert done.code == 2
        assert "runs is a file, not a folder" in done.said
        assert "Reading" not in done.err
    assert "runs is a file, not a folder" in cli("demo").said


@posix
def test_pipes_and_devices_are_written_to(cli, place):
    os.mkfifo("pipe")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(Path("pipe").read_bytes()))
    reader.start()
    done = cli("assign", "data.csv", "--model", "model", "--out", "pipe")
    reader.join(timeout=60)
    assert done.code == 0, done.said
    assert read[0].count(b"\n") == 13
    assert stat.S_ISFIFO((place / "pipe").stat().st_mode)
    assert cli("assign", "data.csv", "--model", "model", "--out", os.devnull).code == 0
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_standard_output_on_a_full_disk_is_one_message(place):
    for command in (["assign", "data.csv", "--model", "model", "-q"], ["info", "model", "--json"], ["--help"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run([sys.executable, "-m", "vrae", *command], stdout=full, stderr=subprocess.PIPE)
        said = [line for line in done.stderr.decode().splitlines() if not line.startswith("[")]
        assert (done.returncode, said) == (2, ["Error: Standard output: No space left on device."]), command


@posix
def test_links_are_followed_and_modes_are_kept(fitted, tmp_path):
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "real.csv").chmod(0o600)
    (tmp_path / "link.csv").symlink_to("real.csv")
    with atomic_file(tmp_path / "link.csv") as new:
        new.write_text("new")
    assert (tmp_path / "link.csv").is_symlink()
    assert ((tmp_path / "real.csv").read_text(), mode(tmp_path / "real.csv")) == ("new", 0o600)

    (tmp_path / "folder").mkdir(0o700)
    (tmp_path / "to_folder").symlink_to("folder")
    clusterer = fitted("VRAEClusterer", "2d")
    clusterer.save(tmp_path / "to_folder")
    assert (tmp_path / "to_folder").is_symlink()
    assert mode(tmp_path / "folder") == 0o700
    (tmp_path / "folder" / "weights.safetensors").chmod(0o640)
    clusterer.save(tmp_path / "to_folder")
    assert mode(tmp_path / "folder" / "weights.safetensors") == 0o640
    assert load_model(tmp_path / "folder").n_clusters_ == clusterer.n_clusters_


@posix
def test_a_link_that_leads_back_to_itself(cli, place):
    Path("one.csv").symlink_to("two.csv")
    Path("two.csv").symlink_to("one.csv")
    Path("loop").symlink_to("loop")
    train = ["anomalies", "data.csv", "--epochs", 1]
    for command in (
        ["assign", "data.csv", "--model", "model", "--out", "one.csv"],
        [*train, "--out", "a.csv", "--save", "loop"],
        [*train, "--out", "one.csv", "--save", "new"],
    ):
        done = cli(*command)
        assert (done.code, done.said.count("\n")) == (2, 1)
        assert "is a link that leads back to itself" in done.said
    assert Path("one.csv").is_symlink()
    assert not Path("new").exists()


def test_the_working_directory_is_filled_and_not_replaced(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    (folder / "sub").mkdir(parents=True)
    (folder / "old").write_text("old")
    monkeypatch.chdir(folder)
    inode = folder.stat().st_ino
    for target in (Path(), Path("."), folder):
        with atomic_directory(target) as new:
            (new / "sub").mkdir()
            (new / "sub" / "a").write_text("a")
            (new / "b").write_text("b")
        assert sorted(path.name for path in Path.cwd().iterdir()) == ["b", "sub"]
        assert (Path("sub") / "a").read_text() == "a"
        assert folder.stat().st_ino == inode

    def fail() -> None:
        with atomic_directory(folder) as new:
            (new / "c").write_text("c")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert sorted(path.name for path in folder.iterdir()) == ["b", "sub"]


@pytest.mark.parametrize("out", [".", "../run"])
def test_a_run_in_the_working_directory(out, cli, place, monkeypatch):
    (place / "run").mkdir()
    monkeypatch.chdir(place / "run")
    command = ["cluster", "../data.csv", "-k", 2, "--epochs", 1, "--out", out]
    done = cli(*command)
    assert done.code == 0, done.said
    assert (Path.cwd() / "metrics.json").exists()
    assert cli(*command).code == 2
    assert cli(*command, "--overwrite").code == 0
    assert [path for path in (place / "run").iterdir() if path.name.startswith(HIDDEN)] == []
    assert [path for path in place.iterdir() if path.name.startswith(HIDDEN)] == []


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounts a disk")
def test_a_run_on_a_mount_point(cli, place):
    (place / "out").mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", "out"], capture_output=True).returncode:
        pytest.skip("cannot mount here")
    try:
        command = ["cluster", "data.csv", "-k", 2, "--epochs", 1, "--out", "out"]
        done = cli(*command)
        assert done.code == 0, done.said
        assert "metrics.json" in os.listdir("out")
        assert cli(*command, "--overwrite").code == 0
        assert [name for name in os.listdir("out") if name.startswith(HIDDEN)] == []
    finally:
        subprocess.run(["umount", "out"], check=True)


def test_an_output_is_checked_before_the_work(cli, place):
    (place / "file").write_text("")
    done = cli("anomalies", "data.csv", "--epochs", 1, "--out", "file/a.csv")
    assert done.code == 2
    assert "Scoring" not in done.err
    with pytest.raises(OutputError), atomic_file(place / "file" / "a.csv"):
        pass


def test_folders_that_only_have_the_names_of_a_result_are_kept(cli, place):
    files = ["run/metrics.json", "run/config.toml", "run/history.csv", "stopped/checkpoint/notes.txt"]
    files += ["red/reduction.json", "red/config.toml", "drift/drift.csv", "drift/drift.html"]
    for name in files:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text('{"mine": 1}')
    for command in (
        ["cluster", "data.csv", "--out", "run", "--overwrite"],
        ["cluster", "data.csv", "--out", "run"],
        ["cluster", "data.csv", "--out", "stopped", "--overwrite"],
        ["reduce", "data.csv", "--out", "red", "--overwrite"],
        ["drift", "data.csv", "--model", "model", "--out", "drift", "--overwrite"],
    ):
        done = cli(*command)
        assert (done.code, "exists and" in done.said, "Training" in done.err) == (2, True, False), done.said
    assert all((place / name).read_text() == '{"mine": 1}' for name in files)


def test_an_output_in_another_output_is_refused(cli, place):
    for out in ("found/table.csv", "found/sub/../table.csv"):
        done = cli("anomalies", "data.csv", "--save", "found", "--out", out)
        assert (done.code, "one lies in the other" in done.said) == (2, True)
    assert not (place / "found").exists()
