"""The command line: exit codes, one clear message, and nothing half-written."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vrae
from conftest import TINY_FORECASTER
from vrae import GroupForecaster, load_model, read_panel
from vrae.exceptions import VRAEWarning

pytestmark = pytest.mark.filterwarnings("ignore::vrae.exceptions.VRAEWarning")

VERBS = (
    *("demo", "cluster", "regroup", "edit", "report", "explain", "compare", "assign", "embed", "info", "export"),
    *("anomalies", "similar", "cannibalization", "forecast", "reduce", "restore"),
)
# What the command line says about the series of `data`.
READ = (
    "24 series of 16 steps\nNo times: steps are in the order of the data\n"
    "1 channel: 'value'; 0.0 % of values are missing\n"
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, small_series: Any) -> Path:
    """Return a folder with the same 24 series as ``.npz``, wide ``.csv`` and ``.npy``."""
    folder = tmp_path_factory.mktemp("data")
    X = small_series("2d", 24).astype(np.float32)
    ids = np.array([f"item{i}" for i in range(24)])
    np.savez(folder / "X.npz", X=X, ids=ids, y=np.arange(24) % 2)
    np.save(folder / "X.npy", X)
    with (folder / "X.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["item", *(f"w{t}" for t in range(X.shape[1]))])
        writer.writerows([name, *map(float, x)] for name, x in zip(ids, X, strict=True))
    return folder


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """Return the folder of one small run of `vrae cluster`."""
    from typer.testing import CliRunner

    from vrae.cli import app

    folder = tmp_path_factory.mktemp("runs") / "first"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VRAEWarning)
        options = ["--clusters", "2", "--epochs", "1", "--quiet", "--device", "cpu", "--out", str(folder)]
        done = CliRunner().invoke(app, ["cluster", str(data / "X.npz"), *options])
    assert done.exit_code == 0, done.output
    return folder


def in_folder(run: Path) -> Any:
    """Return the metrics of a run without what depends on the machine and on its folder."""
    metrics = json.loads((run / "metrics.json").read_text().replace(str(run), "RUN"))
    return {**metrics, "seconds": 0}


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def one_message(done: Any, *words: str) -> None:
    """Exit code 2, one message on stderr with these words, no traceback and nothing on stdout."""
    assert done.code == 2, done
    assert done.out == ""
    assert "Traceback" not in done.err
    assert "Internal error" not in done.err
    assert [word for word in words if word not in done.err] == []


# ---------------------------------------------------------------- help


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_names_all_commands(flag, cli):
    done = cli(flag)
    assert done.code == 0
    assert [verb for verb in VERBS if verb not in done.out] == []


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_explains_itself_with_an_example(verb, cli):
    done = cli(verb, "-h")
    assert done.code == 0
    assert f" {verb} [OPTIONS]" in done.out
    assert f"Example: vrae {verb}" in done.out


def test_version(cli):
    assert cli("--version") == (0, f"vrae {vrae.__version__}\n", "")


def test_import_and_help_load_nothing_heavy():
    code = (
        "import sys, vrae\n"
        "after_import = [m for m in HEAVY if m in sys.modules]\n"
        "sys.argv = ['vrae', '--help']\n"
        "try:\n    from vrae.cli import main; main()\n"
        "except SystemExit as stop: assert not stop.code\n"
        "print(after_import, [m for m in HEAVY if m in sys.modules], file=sys.stderr)"
    )
    heavy = "HEAVY = ['torch', 'numpy', 'sklearn', 'scipy', 'pandas', 'polars', 'pyarrow', 'aeon', 'plotly']\n"
    done = subprocess.run([sys.executable, "-c", heavy + code], capture_output=True, text=True, check=True)
    assert done.stderr.split("\n")[-2] == "[] []"


# ---------------------------------------------------------------- the way through


def test_a_run_folder_holds_model_tables_and_report(run_folder):
    assert sorted(p.name for p in run_folder.iterdir()) == [
        "clusters.csv",
        "config.toml",
        "embedding.parquet",
        "history.csv",
        "metrics.json",
        "model",
        "report.html",
    ]
    rows = rows_of((run_folder / "clusters.csv").read_text())
    assert [row["id"] for row in rows] == [f"item{i}" for i in range(24)]
    assert list(rows[0])[:5] == ["id", "cluster", "name", "probability", "lag"]
    assert {row["cluster"] for row in rows} <= {"0", "1"}
    assert all(0.5 <= float(row["probability"]) <= 1 for row in rows)
    metrics = json.loads((run_folder / "metrics.json").read_text())
    assert metrics["n_series"] == sum(metrics["sizes"]) == 24
    assert {"ari", "nmi", "raw_kmeans", "n_clusters", "silhouette"} <= set(metrics)
    import pyarrow.parquet as pq

    table = pq.read_table(run_folder / "embedding.parquet")
    assert table.column_names[:2] == ["id", "vrae0"]
    assert table.num_rows == 24
    assert (run_folder / "report.html").read_text(encoding="utf-8").lstrip().lower().startswith("<!doctype html>")


@pytest.mark.parametrize("name", ["X.npz", "X.csv"])
def test_assign_gives_what_cluster_gave(name, cli, data, run_folder, tmp_path):
    extra = ["--id", "item"] if name == "X.csv" else []
    done = cli("assign", data / name, *extra, "--model", run_folder / "model", "--out", tmp_path / "new.csv")
    read = READ if name == "X.npz" else READ.replace("steps\n", "steps, named by item\n", 1)
    assert (done.code, done.out) == (0, "")
    sizes = load_model(run_folder / "model").names_.items()
    table = rows_of((run_folder / "clusters.csv").read_text())
    parts = [f"{name}: {sum(row['cluster'] == str(k) for row in table)}" for k, name in sizes]  # the largest first
    wrote = f"{read}Wrote {tmp_path / 'new.csv'}: 24 series ({'; '.join(parts)}).\n"
    assert done.said.startswith(wrote)
    assert done.said.endswith(f"vrae drift {data / name} --model {run_folder / 'model'}\n")
    assert [line.split()[-1] for line in done.err.splitlines() if line not in done.said] == ["Starting", "Assigning"]
    columns = ("id", "cluster", "probability", "lag")
    expected = rows_of((run_folder / "clusters.csv").read_text())
    found = rows_of((tmp_path / "new.csv").read_text())
    assert [[row[c] for c in columns] for row in found] == [[row[c] for c in columns] for row in expected]
    assert [p.name for p in tmp_path.iterdir()] == ["new.csv"]


@pytest.mark.parametrize("verb", ["assign", "embed"])
def test_a_dash_or_nothing_is_standard_output(verb, cli, data, run_folder):
    done = cli(verb, data / "X.npz", "-m", run_folder, "-o", "-")
    assert (done.code, done.said[: len(READ)], done.said[len(READ) :][:9]) == (0, READ, "24 series")
    assert len(rows_of(done.out)) == 24
    assert cli(verb, data / "X.npz", "-m", run_folder, "--quiet") == (0, done.out, "")


def test_embed_writes_parquet_and_the_models_vectors(cli, data, run_folder, tmp_path):
    import pyarrow.parquet as pq

    done = cli("embed", data / "X.npy", "--model", run_folder / "model", "--out", tmp_path / "deep" / "Z.parquet")
    wrote = f"Wrote {tmp_path / 'deep' / 'Z.parquet'}: 24 series, 16 numbers each.\n"
    assert (done.code, done.out, done.said) == (0, "", READ + wrote)
    table = pq.read_table(tmp_path / "deep" / "Z.parquet").to_pandas()
    Z = load_model(run_folder / "model").model_.transform(np.load(data / "X.npy"))
    np.testing.assert_array_equal(table.drop(columns="id").to_numpy(), Z)
    assert table["id"].tolist() == list(range(24))


def test_many_clusters_are_summed_up():
    from collections import Counter
    from types import SimpleNamespace

    from vrae.cli.model_commands import _sizes_in_words

    clusterer: Any = SimpleNamespace(names_={k: f"Kind {k}" for k in range(9)})
    sizes = Counter({k: 1000 - k for k in range(7)} | {-1: 3})
    assert _sizes_in_words(sizes, clusterer) == (
        "6,982 series (Kind 0: 1,000; Kind 1: 999; Kind 2: 998; Kind 3: 997; Kind 4: 996; 3 other groups: 1,992)"
    )


def test_a_run_says_once_what_encoding_was_assumed(cli, small_series, tmp_path, monkeypatch):
    warnings.filterwarnings("always", ".* is not UTF-8 text")  # until the end of the test
    monkeypatch.chdir(tmp_path)
    X = small_series("2d", 12)
    lines = ["größe," + ",".join(f"w{t}" for t in range(X.shape[1]))]
    lines += [f"Stück {i}," + ",".join(map(str, x)) for i, x in enumerate(X.tolist())]
    (tmp_path / "old.csv").write_text("\n".join(lines), encoding="cp1252")
    done = cli("cluster", "old.csv", "--id", "größe", "-k", "3", "--epochs", "1", "--out", "run")
    assert done.code == 0, done.err
    assert "Name its encoding with --encoding if letters are wrong." in done.err
    for arguments in (["regroup", "run", "-k", "2"], ["explain", "run", "Stück 3"], ["edit", "run", "--merge", "0,1"]):
        done = cli(*arguments)
        assert done.code == 0, done.err
        assert "UTF-8" not in done.err
    assert "not UTF-8" in cli("assign", "old.csv", "--model", "run", "--out", "new.csv").err  # maybe another file


def test_a_run_says_once_which_columns_were_left_out(cli, small_series, tmp_path, monkeypatch):
    warnings.filterwarnings("always", "Left out ")  # until the end of the test
    monkeypatch.chdir(tmp_path)
    table = pd.DataFrame(small_series("2d", 12)).add_prefix("w")
    table.assign(Total=table.sum(axis=1)).rename_axis("item").to_csv("old.csv")
    done = cli("cluster", "old.csv", "-k", "3", "--epochs", "1", "--out", "run")
    assert done.code == 0, done.err
    assert "Left out 'Total'" in done.err
    assert "Name the columns of values with --value" in done.err
    for arguments in (["regroup", "run", "-k", "2"], ["explain", "run", "3"], ["edit", "run", "--merge", "0,1"]):
        done = cli(*arguments)
        assert done.code == 0, done.err
        assert "Left out" not in done.err


def test_info(cli, run_folder):
    names = json.loads((run_folder / "metrics.json").read_text())["names"]
    done = cli("info", run_folder)
    assert done.code == 0
    told = ["24 series of 16 steps", *names, "Title", " X", f"vrae assign NEW_DATA --model {run_folder}"]
    assert [words for words in told if words not in done.out] == []
    assert "latent" not in done.out
    done = cli("info", run_folder / "model")  # without the run
    told = ["24 series, median length 16 steps", *names, "vrae embed NEW_DATA"]
    assert [words for words in told if words not in done.out] == []
    assert "latent_size" in cli("info", run_folder, "--details").out
    facts = json.loads(cli("info", run_folder / "model", "--json").out)
    assert facts["class"] == "VRAEClusterer"
    assert facts["clusters"] == 2
    assert facts["names"] == names


def test_info_names_columns_and_what_a_model_is_for(cli, tmp_path):
    lines = [f"s{i},2024-01-{day:02},{i % 2 * day % 5}" for i in range(8) for day in range(1, 15)]
    (tmp_path / "sales.csv").write_text("\n".join(["shop,day,qty", *lines, ""]))
    model = tmp_path / "detector"
    options = [
        "--id",
        "shop",
        "--time",
        "day",
        "--value",
        "qty",
        "--epochs",
        1,
        "--save",
        model,
        "-o",
        tmp_path / "o.csv",
    ]
    assert cli("anomalies", tmp_path / "sales.csv", *options).code == 0
    done = cli("info", model)
    told = [
        "shop: names the series",
        "day: orders the steps",
        "qty: values",
        "Daily",
        f"anomalies NEW_DATA --model {model}",
    ]
    assert [words for words in told if words not in done.out] == []


def test_info_says_what_a_forecaster_forecasts(cli, tmp_path):
    days = np.arange("2024-01-01", "2024-02-06", dtype="M8[D]").astype(str)
    lines = [f"s{i},{day},{(i + 1) * (5 + t % 7)}" for i in range(4) for t, day in enumerate(days)]
    (tmp_path / "sales.csv").write_text("\n".join(["item,day,qty", *lines, ""]))
    options = {**TINY_FORECASTER, "horizon": 3, "season_length": 7}
    GroupForecaster(**options).fit(read_panel(tmp_path / "sales.csv", id="item", time="day")).save(tmp_path / "model")
    done = cli("info", tmp_path / "model")
    assert done.code == 0, done.err
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    told = ["Series 4 series", "Daily", "Season 7 steps", "Last step 2024-02-05"]
    told.append("Forecasts 3 steps after the series of the fit: 2024-02-06 to 2024-02-08")
    assert [words for words in told if words not in lines] == []
    facts = json.loads(cli("info", tmp_path / "model", "--json").out)
    assert (facts["horizon"], facts["season_length"], facts["fitted to"]) == (3, 7, "4 series, 1 channel(s)")
    assert facts["next_times"] == ["2024-02-06", "2024-02-07", "2024-02-08"]
    assert facts["last_time"] == "2024-02-05"


def test_regroup_gives_what_cluster_would_have_given(cli, data, run_folder, tmp_path):
    options = ["--clusters", 3, "--epochs", 1, "--quiet", "--device", "cpu"]
    assert cli("cluster", data / "X.npz", *options, "--out", tmp_path / "three").code == 0
    shutil.copytree(run_folder, tmp_path / "run")
    (tmp_path / "run" / "notes.txt").write_text("mine")
    done = cli("regroup", tmp_path / "run", "-k", 3, "--json")
    assert (done.code, done.said) == (0, "")
    for name in ("clusters.csv", "embedding.parquet"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "three" / name).read_bytes()
    found = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert in_folder(tmp_path / "run") == in_folder(tmp_path / "three")
    told = json.loads(done.out)
    assert told.pop("wall_seconds") > 0
    assert told == {"report": str(tmp_path / "run" / "report.html"), **found}
    assert load_model(tmp_path / "run" / "model").n_clusters_ == 3
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"
    assert tomllib.loads((tmp_path / "run" / "config.toml").read_text())["clusters"] == "3"


def test_regroup_keeps_ids_as_text_and_does_without_the_series(cli, data, tmp_path):
    X = np.load(data / "X.npy")
    lines = [f"00{i},{','.join(map(str, x))}" for i, x in enumerate(X[:9])]
    head = ",".join(["item", *(f"w{t}" for t in range(X.shape[1]))])
    (tmp_path / "x.csv").write_text("\n".join([head, *lines, ""]))
    run = tmp_path / "run"
    assert cli("cluster", tmp_path / "x.csv", "--id", "item", "-k", 2, "--epochs", 1, "-q", "--out", run).code == 0
    done = cli("report", run)  # finds 001 in the data
    assert (done.code, done.out, done.said) == (0, f"{run / 'report.html'}\n", "")
    (tmp_path / "x.csv").unlink()
    done = cli("regroup", run, "-k", 3)
    assert done.code == 0
    assert "no longer at" in done.err
    assert [row["id"] for row in rows_of((run / "clusters.csv").read_text())] == [f"00{i}" for i in range(9)]
    before = (run / "clusters.csv").read_bytes()
    one_message(cli("regroup", run, "-k", 10, "-q"), "--clusters 10 is more than the 9 series")
    assert (run / "clusters.csv").read_bytes() == before
    one_message(cli("explain", run), "no longer at", "--data")


def test_regroup_joins_tables_by_id_and_follows_links(cli, run_folder, tmp_path, monkeypatch):
    for name in ("plain", "sorted", "real"):
        shutil.copytree(run_folder, tmp_path / name)
    head, *lines = (tmp_path / "sorted" / "clusters.csv").read_text().splitlines()
    (tmp_path / "sorted" / "clusters.csv").write_text("\n".join([head, *reversed(lines), ""]))
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for name in ("plain", "sorted", "link"):
        assert cli("regroup", tmp_path / name, "-k", 3, "-q").code == 0
    found = [sorted((tmp_path / n / "clusters.csv").read_text().splitlines()) for n in ("plain", "sorted", "real")]
    assert found[0] == found[1] == found[2]
    assert (tmp_path / "link").is_symlink()
    monkeypatch.chdir(tmp_path / "plain")
    assert cli("regroup", ".", "-k", 4, "-q").code == 0


def test_regroup_refuses_damaged_runs_and_leaves_them_alone(cli, run_folder, tmp_path):
    run = tmp_path / "run"
    text = (run_folder / "clusters.csv").read_text()
    for damage in (text.replace(",lag", ",delay"), text[: len(text) // 2]):
        shutil.copytree(run_folder, run)
        (run / "clusters.csv").write_text(damage)
        one_message(cli("regroup", run, "-k", 3), "the tables of the run cannot be read")
        assert (run / "clusters.csv").read_text() == damage
        shutil.rmtree(run)
    shutil.copytree(run_folder, run)
    (run / "model" / "notes.txt").write_text("mine")
    one_message(cli("regroup", run, "-k", 3), f"{run / 'model'} exists", "move the other files away")
    assert (run / "model" / "notes.txt").read_text() == "mine"
    assert (run / "clusters.csv").read_text() == text


def test_explain_reads_the_series_of_the_run(cli, data, run_folder, tmp_path):
    done = cli("explain", run_folder)
    assert (done.code, done.said) == (0, "")
    assert done.out.startswith("Cluster 0 · ")
    done = cli("explain", run_folder, "item17")
    assert (done.code, done.said) == (0, "")
    assert done.out.startswith("Series item17: cluster ")
    assert json.loads(cli("explain", run_folder, "item17", "--json").out)["id"] == "item17"
    one_message(cli("explain", run_folder, "item99"), "'item99'")
    one_message(cli("explain", data), "not a run folder")
    done = cli("explain", run_folder, "--out", tmp_path / "words.csv", "--json")
    assert (done.code, done.said) == (0, f"Wrote {tmp_path / 'words.csv'}: 2 clusters.\n")
    assert [entry["cluster"] for entry in json.loads(done.out)] == [0, 1]
    assert [row["cluster"] for row in rows_of((tmp_path / "words.csv").read_text())] == ["0", "1"]


def test_explain_a_series_of_a_large_run(cli, run_folder, monkeypatch):
    whole = cli("explain", run_folder, "item17")
    monkeypatch.setattr("vrae.cli.run_commands._MAX_SERIES", 4)
    done = cli("explain", run_folder, "item17")
    assert "Compared with 4 of 24 series" in done.err
    assert done.out.splitlines()[0] == whole.out.splitlines()[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [("GunPoint", ["-k", 2]), ("BasicMotions", []), ("PBS_dataset", []), ("PBS_dataset", ["-k", 2])],
)
def test_demo_ends_in_a_report(name, options, cli, tmp_path, monkeypatch):
    monkeypatch.setattr("vrae.estimators.options._TRAINING_STEPS", 10)
    done = cli("demo", name, "--out", tmp_path / "demo", "--quiet", "--json", *options)
    assert done.code == 0, done
    told = json.loads(done.out)
    assert Path(told["report"]) == tmp_path / "demo" / "report.html"
    assert Path(told["report"]).is_file()
    assert ("ari" in told) == ("raw_kmeans" in told) == (name != "PBS_dataset")
    if name == "GunPoint":
        assert told["n_clusters"] == 2


# ---------------------------------------------------------------- what goes wrong


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    folder = tmp_path / "bad"
    folder.mkdir()
    X = np.random.default_rng(0).standard_normal((4, 6))
    X[2] = np.nan
    np.savez(folder / "missing.npz", X=X, ids=["a", "b", "c", "d"])
    X[2] = np.inf
    np.savez(folder / "infinite.npz", X=X, ids=["a", "b", "c", "d"])
    np.save(folder / "one.npy", X[:1])
    np.save(folder / "step.npy", X[:2, :1])
    (folder / "text.csv").write_text("unique_id,ds,y\na,1,5\na,2,x7\nb,1,3\nb,2,4\n")
    (folder / "twice.csv").write_text("unique_id,ds,y\na,1,5\na,1,6\nb,1,3\nb,2,4\n")
    (folder / "broken.npz").write_bytes(b"PK\x03\x04 and then nothing")
    (folder / "empty.csv").write_text("")
    return folder


BAD = {
    "missing.npz": ["'c'", "all missing", "on"],
    "infinite.npz": ["'c'", "inf"],
    "one.npy": ["1 usable series"],
    "step.npy": ["one step"],
    "text.csv": ["'y'", "x7"],
    "twice.csv": ["'a'"],
    "broken.npz": ["broken.npz"],
    "empty.csv": ["empty.csv"],
    "nowhere.csv": ["nowhere.csv"],
}


@pytest.mark.parametrize("name", BAD)
def test_bad_data_is_one_message_and_leaves_nothing(name, cli, bad, tmp_path):
    done = cli("cluster", bad / name, "--epochs", 1, "--quiet", "--out", tmp_path / "runs" / "new")
    one_message(done, *BAD[name])
    assert done.err.count("Error:") == 1
    assert not (tmp_path / "runs" / "new").exists()
    assert [p for p in tmp_path.rglob("*") if ".vrae-" in p.name] == []


def test_bad_data_can_be_kept(cli, bad, tmp_path):
    arguments = ["--epochs", 1, "--clusters", 2, "--quiet", "--on-invalid", "keep", "--out", tmp_path / "run"]
    assert cli("cluster", bad / "missing.npz", *arguments).code == 0
    rows = rows_of((tmp_path / "run" / "clusters.csv").read_text())
    assert [row["id"] for row in rows if row["cluster"] == "-1"] == ["c"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--clusters", "many"], ["--clusters", "'many'"]),
        (["--clusters", "0"], ["--clusters must be", "0"]),
        (["--clusters", "25"], ["--clusters 25 is more", "24 series"]),
        (["--epochs", "0"], ["--epochs must be"]),
        (["--epochs", "x"], ["--epochs", "'x'"]),
        (["--device", "gpu"], ["--device", "'gpu'", "cuda"]),
        (["--seed", "-1"], ["--seed"]),
        (["--max-lag", "0.7"], ["--max-lag must be"]),
        (["--max-lag", "few"], ["--max-lag must be a number of steps", "'few'"]),
        (["--pattern-weight", "0", "--level-weight", "1"], ["--level-weight 1 needs --pattern-weight"]),
        (["--clusterer", "dbscan"], ["dbscan", "gmm"]),
        (["--workers", "2"], ["--workers needs --engine ray"]),
        (["--cluster", "3"], ["--cluster", "--clusters"]),
        (["--layout", "tall"], ["tall", "wide"]),
        (["--value", "nothing"], ["nothing"]),
    ],
    ids=lambda value: " ".join(value) if value and value[0].startswith("--") else "",
)
def test_bad_options_are_one_message(arguments, words, cli, data, tmp_path):
    name = "X.csv" if "--value" in arguments else "X.npz"
    one_message(cli("cluster", data / name, "--out", tmp_path / "run", *arguments), *words)
    assert list(tmp_path.iterdir()) == []


def test_unknown_commands_and_missing_arguments(cli, data):
    one_message(cli("clutser", data / "X.npz"), "clutser", "cluster")
    one_message(cli("cluster"), "DATA")
    one_message(cli("assign", data / "X.npz"), "--model")


@pytest.mark.parametrize("verb", ["assign", "embed", "info"])
def test_what_is_not_a_model_is_refused(verb, cli, data, tmp_path):
    target = [] if verb == "info" else ["--out", tmp_path / "new.csv"]
    for place, words in [(tmp_path / "nowhere", "no such folder"), (data, "config.json is not there")]:
        arguments = [place] if verb == "info" else [data / "X.npz", "--model", place]
        one_message(cli(verb, *arguments, *target), str(place), words)
    assert list(tmp_path.iterdir()) == []


def test_other_data_than_the_model_was_fitted_to(cli, run_folder, tmp_path):
    np.save(tmp_path / "two.npy", np.zeros((3, 2, 9)))
    one_message(
        cli("assign", tmp_path / "two.npy", "--model", run_folder, "--out", tmp_path / "new.csv"),
        "fitted to 1 channel",
        "2",
    )
    assert [p.name for p in tmp_path.iterdir()] == ["two.npy"]


def test_an_earlier_run_is_kept_unless_told_otherwise(cli, data, tmp_path):
    again = ["cluster", data / "X.npy", "--clusters", 2, "--epochs", 1, "--quiet", "--out", tmp_path / "run"]
    assert cli(*again).code == 0
    before = {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir() if p.is_file()}
    one_message(cli(*again, "--seed", 5), "earlier run", "--overwrite")
    assert {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir() if p.is_file()} == before
    assert cli(*again, "--seed", 5, "--overwrite").code == 0
    assert (tmp_path / "run" / "embedding.parquet").read_bytes() != before["embedding.parquet"]
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
def test_a_folder_of_something_else_is_never_touched(overwrite, cli, data, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    one_message(cli("cluster", data / "X.npz", "--out", tmp_path / "thesis", *overwrite), "not a run folder")
    assert [p.name for p in (tmp_path / "thesis").iterdir()] == ["chapter.txt"]


def test_the_default_folder_rolls_on_but_never_over_files_of_others(cli, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    again = ["cluster", data / "X.npy", "-k", 2, "--epochs", 1]
    assert cli(*again).code == 0
    first = (tmp_path / "runs" / "latest" / "embedding.parquet").read_bytes()
    done = cli(*again, "--seed", 5)
    assert done.code == 0
    assert "Replacing the earlier run in runs/latest" in done.err
    latest = tmp_path / "runs" / "latest"
    assert (latest / "embedding.parquet").read_bytes() != first
    one_message(cli(*again, "--resume", "-q"), "complete run")
    for foreign in (latest / "notes.txt", latest / "model" / "notes.txt"):
        foreign.write_text("mine")
        one_message(
            cli(*again, "-q"), "runs/latest", "Nothing was changed" if foreign.parent == latest else "other files away"
        )
        one_message(cli(*again, "-q", "--overwrite"), "runs/latest")
        assert foreign.read_text() == "mine"
        foreign.unlink()
    (latest / "metrics.json").unlink()  # no complete run
    one_message(cli(*again, "-q"), "not a run folder")


def test_bad_data_are_told_before_the_folder(cli, data, bad, tmp_path):
    run = tmp_path / "run"
    assert cli("cluster", data / "X.npz", "-k", 2, "--epochs", 1, "-q", "--out", run).code == 0
    before = {path.name: path.stat().st_mtime_ns for path in [run, *run.iterdir()]}
    for name, words in BAD.items():
        done = cli("cluster", bad / name, "--quiet", "--out", run)
        one_message(done, *words)
        assert "earlier run" not in done.err
    one_message(cli("cluster", data / "X.npz", "-q", "--out", run), "holds an earlier run")
    assert {path.name: path.stat().st_mtime_ns for path in [run, *run.iterdir()]} == before


def test_a_failure_while_writing_leaves_nothing(cli, data, tmp_path, monkeypatch):
    def full(*args: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vrae.runs.run_folder.write_report", full)
    arguments = ["--clusters", 2, "--epochs", 1, "--quiet", "--out", tmp_path / "run"]
    one_message(cli("cluster", data / "X.npz", *arguments), "No space left", "Free some space")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_while_training_leaves_nothing(cli, data, tmp_path, monkeypatch):
    def interrupt(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vrae.train.trainer.Trainer.run_epoch", interrupt)
    done = cli("cluster", data / "X.npz", "--quiet", "--out", tmp_path / "run")
    assert done.code == 130
    assert "Nothing was written" in done.err
    assert "Traceback" not in done.err
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_saves_and_resume_comes_to_the_same(cli, data, run_folder, tmp_path, monkeypatch):
    from vrae.train.trainer import Trainer

    options = ["--clusters", 2, "--epochs", 3, "--seed", 1]
    assert cli("cluster", data / "X.npz", *options, "--quiet", "--out", tmp_path / "whole").code == 0
    step = Trainer.train_step

    def interrupted(trainer: Trainer, *batch: Any) -> Any:
        if trainer.step == 2:
            signal.raise_signal(signal.SIGINT)
        return step(trainer, *batch)

    arguments = ["cluster", data / "X.npz", *options, "--out", tmp_path / "run"]
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_step", interrupted)
        done = cli(*arguments)
    assert (done.code, done.out) == (130, "")
    assert [word for word in ("stopped in epoch", "To resume: vrae cluster", "--resume") if word not in done.err] == []
    assert "Nothing was written" not in done.err
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["checkpoint"]
    one_message(cli(*arguments, "-q"), "interrupted", "--resume", "--overwrite")
    one_message(
        cli(*arguments, "-q", "--resume", "--seed", 2),
        "--seed was",
        "other model",
        "start over with --overwrite.",
    )
    done = cli(*arguments, "--resume")
    assert done.code == 0
    assert "Resuming in epoch" in done.err
    for name in ("clusters.csv", "model/weights.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == sorted(p.name for p in run_folder.iterdir())
    one_message(cli(*arguments, "-q", "--resume"), "complete run", "--overwrite")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run", "whole"]


def test_resume_of_nothing_begins(cli, data, tmp_path):
    done = cli("cluster", data / "X.npz", "-k", 2, "--epochs", 1, "-q", "--resume", "--out", tmp_path / "run")
    assert done.code == 0
    assert (tmp_path / "run" / "metrics.json").is_file()


def test_names_that_are_no_text_and_names_that_look_like_markup(data, tmp_path, monkeypatch, capfdbinary):
    from vrae.cli import main

    monkeypatch.setenv("NO_COLOR", "1")

    def run(*arguments: Any) -> tuple[int, bytes, bytes]:
        monkeypatch.setattr(sys, "argv", ["vrae", *map(str, arguments)])
        assert isinstance(sys.stdout, io.TextIOWrapper)
        sys.stdout.reconfigure(errors="strict")  # as outside of tests
        try:
            main()
        except SystemExit as stop:
            return int(stop.code or 0), *capfdbinary.readouterr()
        return 0, *capfdbinary.readouterr()

    source, out = (tmp_path / os.fsdecode(name) for name in (b"X\xff[bold].npz", b"run\xff[/b]"))
    shutil.copy(data / "X.npz", source)
    code, told, err = run("cluster", source, "-k", 2, "--epochs", 1, "-q", "--out", out)
    assert code == 0, err
    assert os.fsencode(out / "report.html") in told
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([source.name, out.parent.name])
    code, _, told = run("cluster", "--config", out / "config.toml", "--out", tmp_path / "again")
    assert (code, told.count(b"Error: No such file")) == (2, 1)
    code, told, _ = run("report", out)
    assert (code, told) == (0, os.fsencode(out / "report.html") + b"\n")
    assert run("assign", tmp_path / os.fsdecode(b"no\xff[bold].csv"), "--model", out)[0] == 2
    assert run("assign", source, "--model", out, "--out", tmp_path / os.fsdecode(b"\xff[bold].csv"))[0] == 0


def test_two_runs_into_one_folder(cli, data, tmp_path):
    from vrae.io.atomic import only_writer

    arguments = ["cluster", data / "X.npz", "-k", 2, "--epochs", 1, "-q", "--out", tmp_path / "run"]
    with only_writer(tmp_path / "run"):
        one_message(cli(*arguments), "written by another process", f"process {os.getpid()}")
        one_message(cli(*arguments, "--overwrite"), "written by another process")
    assert list(tmp_path.iterdir()) == []
    assert cli(*arguments).code == 0
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_a_fault_of_ours_is_told_apart(cli, data, monkeypatch, tmp_path):
    def fault(*args: Any) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("vrae.train.trainer.Trainer.run_epoch", fault)
    done = cli("cluster", data / "X.npz", "--quiet", "--out", tmp_path / "run")
    assert done.code == 1
    assert "Internal error" in done.err
    assert list(tmp_path.iterdir()) == []


def test_exit_code_of_a_real_process(data, tmp_path):
    command = [sys.executable, "-m", "vrae", "assign", data / "X.npz", "--model", tmp_path / "nowhere"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("escaped", [False, True])
def test_cells_that_a_spreadsheet_would_run_are_escaped_on_request(escaped, cli, fitted, small_series, tmp_path):
    ids = ["=cmd|'/c calc'!A1", "+1+1", "-5", "-x", "@sum", "\tx", "plain", "7"]
    series = dict(zip(ids, small_series("2d", len(ids)), strict=True))
    lines = ["id,step,value", *(f'"{name}",{step},{v}' for name, x in series.items() for step, v in enumerate(x))]
    (tmp_path / "x.csv").write_text("\n".join(lines) + "\n")
    model, out = fitted("VRAEClusterer").save(tmp_path / "m"), tmp_path / "out.csv"
    before = ["--escape-formulas"] if escaped else []
    words = ["assign", tmp_path / "x.csv", "--id", "id", "--time", "step", "--value", "value", "--model", model]
    assert cli(*before, *words, "--out", out).code == 0
    with out.open(newline="") as lines:
        found = [row["id"] for row in csv.DictReader(lines)]
    expected = [f"'{name}" if escaped and name not in ("-5", "plain", "7") else name for name in ids]
    assert found == expected
