"""`vrae anomalies`: from a file to tables of series and of steps."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.filterwarnings("ignore::vrae.exceptions.VRAEWarning")


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.fixture
def series(tmp_path: Path, small_series: Any) -> tuple[Path, np.ndarray]:
    X = small_series("2d", 48).astype(np.float64)
    X[5, 9] += 30
    file = tmp_path / "series.csv"
    lines = ["id," + ",".join(f"t{t}" for t in range(X.shape[1]))]
    lines += [f"s{i}," + ",".join(map(str, x)) for i, x in enumerate(X)]
    file.write_text("\n".join(lines) + "\n")
    return file, X


def test_fit_save_and_judge_again(cli, series, tmp_path):
    file, X = series
    out, steps, again = tmp_path / "out.csv", tmp_path / "steps.csv", tmp_path / "again.csv"
    code, _, err = cli(
        "anomalies",
        file,
        "--id",
        "id",
        "--epochs",
        4,
        "--contamination",
        "0.05",
        "--out",
        out,
        "--step-scores",
        steps,
        "--save",
        tmp_path / "m",
    )
    assert code == 0
    assert f"Wrote {out}: 3 of 48 series are anomalies.\n" in err
    assert "The threshold is set so that 5 % of the training series count as anomalous (--contamination).\n" in err
    found = rows(out)
    assert [row["id"] for row in found] == [f"s{i}" for i in range(48)]
    assert found[5]["anomaly"] == "1"
    assert found[5]["step"] == "10"
    assert sum(int(row["anomaly"]) for row in found) == 3
    assert all((float(row["score"]) > 0) == (row["anomaly"] == "1") for row in found)
    walked = rows(steps)
    numbers = [row["score"] for row in found] + [row["deviation"] for row in [*found, *walked]]
    assert all(float(text) == float(f"{float(text):.6g}") for text in numbers)
    assert len(walked) == X.size
    assert [row["step"] for row in walked[:3]] == ["1", "2", "3"]
    assert cli("anomalies", file, "--id", "id", "--model", tmp_path / "m", "--out", again)[0] == 0
    assert rows(again) == found
    code, _, err = cli("anomalies", file, "--id", "id", "--model", tmp_path / "m", "--contamination", "0.1")
    assert (code, "is for training" in err) == (2, True)


def test_long_series_by_windows(cli, tmp_path):
    rng = np.random.default_rng(0)
    x = np.sin(2 * np.pi * np.arange(600) / 25) + 0.05 * rng.standard_normal(600)
    x[400:412] = 0
    file, out = tmp_path / "long.csv", tmp_path / "steps.csv"
    file.write_text("id,at,load\n" + "".join(f"m,{t},{v}\n" for t, v in enumerate(x)))
    code, _, err = cli(
        "anomalies",
        file,
        "--id",
        "id",
        "--time",
        "at",
        "--value",
        "load",
        "--window",
        "auto",
        "--stride",
        3,
        "--epochs",
        15,
        "--out",
        out,
    )
    assert code == 0
    found = rows(out)
    assert len(found) == 600
    assert int(np.argmax([float(row["score"]) for row in found])) in range(390, 422)
    assert "segment" in err
    assert re.search(r"^  m: (39|40|41)\d to (40|41|42)\d, score ", err, re.MULTILINE)  # times, not steps


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--stride", "3"], "--stride needs --window"),
        (["--window", "5", "--step-scores", "s.csv"], "Leave out --step-scores"),
        (["--window", "many"], "--window must be a whole number or 'auto'"),
        (["--contamination", "lots"], "--contamination must be a number"),
        (["--contamination", "0.7"], "--contamination must be"),
        (["--model", "nowhere"], "nowhere"),
    ],
)
def test_bad_usage_says_so_and_writes_nothing(cli, series, tmp_path, options, words):
    out = tmp_path / "out.csv"
    code, _, err = cli("anomalies", series[0], "--id", "id", "--out", out, *options)
    assert (code, words in err, out.exists()) == (2, True, False)


def test_the_model_of_a_cluster_run_judges_series_by_each_other(cli, series, fitted, tmp_path):
    model, out = fitted("VRAEClusterer").save(tmp_path / "clusters"), tmp_path / "out.csv"
    code, _, _ = cli("anomalies", series[0], "--id", "id", "--model", model, "--contamination", "0.25", "--out", out)
    assert code == 0
    assert sum(int(row["anomaly"]) for row in rows(out)) == 12  # a quarter of 48


@pytest.mark.parametrize("command", ["anomalies", "similar", "forecast"])
def test_where_the_model_goes_is_checked_before_training(command, cli, series, tmp_path, monkeypatch):
    def trains(*args: Any) -> None:
        raise AssertionError("a network was trained")

    monkeypatch.setattr("vrae.train.trainer.Trainer.fit", trains)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    code, out, err = cli(command, series[0], "--id", "id", "--save", tmp_path / "mine")
    assert (code, out) == (2, "")
    assert "mine exists and is not a model directory" in err
