"""Options that only the command line has are checked before the series are read."""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.filterwarnings("ignore::vrae.exceptions.VRAEWarning")

CASES = {
    "cluster data.csv --checkpoint-every -1": "--checkpoint-every must be a finite number",
    "cluster data.csv --train-sample 1": "--train-sample must be a whole number of at least 2",
    "cluster data.csv --train-workers 0": "--train-workers needs --engine ray",
    "cluster data.csv --workers 0": "--workers needs --engine ray",
    "cluster data.csv --gpus 0": "--gpus needs --engine ray",
    "cluster data.csv -k 0": "--clusters must be a whole number of at least 1 or 'auto'",
    "cluster data.csv --seed -1": "--seed",
    "cluster data.csv --resume --overwrite": "Leave out one of them",
    "cluster data.csv --device nope": "unknown value 'nope'",
    "cluster data.csv --precision bfloat16 --device cpu": "needs a GPU",
    "cluster data.csv --out -": "must be a folder",
    "cluster data.csv --out run.csv": "must be a folder",
    "cluster data.csv --out s3://bucket/run": "s3:/bucket/run is the URL of a store",
    "cluster data.csv --track mlflow=": "Unknown tracker 'mlflow='",
    "cluster data.csv --track tensorboard=file": "file is a file, not a folder",
    "cluster data.csv --track tensorboard=file/logs": "file is a file, not a folder",
    "cluster data.csv --date-format ''": "--date-format is empty",
    "demo --data-dir nowhere": "--data-dir",
    "demo -k 0": "--clusters must be a whole number of at least 1 or 'auto'",
    "anomalies data.csv --out a.xlsx": "a table is written as csv or Parquet",
    "anomalies data.csv --out a.csv.gz": "a table is written as csv or Parquet",
    "anomalies data.csv --out a.PARQUET": "a table is written as csv or Parquet",
    "anomalies data.csv --step-scores a.json": "a table is written as csv or Parquet",
    "anomalies data.csv --window 5 --stretches -": "standard output is for --out",
    "anomalies data.csv --save file/detector": "file is a file, not a folder",
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return a working directory with data.csv and a file."""
    np.savetxt(tmp_path / "data.csv", np.random.default_rng(0).standard_normal((12, 8)), delimiter=",")
    (tmp_path / "file").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("line", CASES)
def test_an_option_is_checked_before_the_series_are_read(line, cli, place):
    before = sorted(path.name for path in Path().rglob("*"))
    done = cli(*(word.strip("'") for word in line.split(" ")))
    assert done.code == 2, done
    assert CASES[line] in done.said
    assert "Reading" not in done.err
    assert sorted(path.name for path in Path().rglob("*")) == before


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("similar data.csv -n 12", "--neighbors 12 is more than the 11 other training series"),
        ("compare data.csv -k 12 --methods kmeans", "needs 2 to 11 clusters; found 12"),
    ],
)
def test_a_number_of_series_is_checked_before_training(line, words, cli, place):
    done = cli(*line.split(" "))
    assert (done.code, done.said.count("Error:")) == (2, 1)
    assert words in done.said
    assert "Training" not in done.err
    assert "Patterns" not in done.err


def test_a_server_that_is_not_there_is_one_message(cli, place, monkeypatch):
    for name in (
        "http_proxy",
        "https_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
        "no_proxy",
        "NO_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    done = cli("cluster", "data.csv", "--track", f"mlflow=http://127.0.0.1:{port}")
    assert done.code == 2
    assert f"No MLflow server answers at http://127.0.0.1:{port}" in done.said
