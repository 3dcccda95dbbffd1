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


@pytest.fixture
def long_table(tmp_path: Path) -> Path:
    """Two machines with a period of a day: the load of one is missing its peak on 2024-02-10."""
    rng = np.random.default_rng(0)
    hours = np.datetime64("2024-01-01T00", "h") + np.arange(24 * 60)
    load = np.sin(2 * np.pi * np.arange(24 * 60) / 24) + 0.05 * rng.standard_normal((2, 24 * 60))
    load[0, 24 * 40 : 24 * 41] = np.minimum(load[0, 24 * 40 : 24 * 41], 0)
    file = tmp_path / "long.csv"
    machines = zip(("a", "b"), load, strict=True)
    lines = [f"{name},{at},{value:.4f}" for name, x in machines for at, value in zip(hours, x, strict=True)]
    file.write_text("\n".join(["id,at,load", *lines, ""]))
    return file


COLUMNS = ("--id", "id", "--time", "at", "--value", "load")


def test_long_series_by_windows(cli, long_table, tmp_path):
    from vrae import LongSeriesDetector, read_panel

    out, stretches = tmp_path / "steps.csv", tmp_path / "stretches.csv"
    command = ("anomalies", long_table, *COLUMNS, "--window", "auto", "--out", out, "--stretches", stretches)
    code, _, err = cli(*command, "--contamination", "0.02")
    assert code == 0
    assert "Windows of 24 steps: the period.\n" in err
    assert "2 % of the training steps count as anomalous" in err
    assert re.search(r"^  a: 2024-02-(08|09|10).* to 2024-02-1[01].*, score ", err, re.MULTILINE)
    found, first = rows(out), rows(stretches)[0]
    assert list(found[0]) == ["id", "step", "time", "anomaly", "score"]
    assert len(found) == 2 * 24 * 60
    top = found[int(np.argmax([float(row["score"]) for row in found]))]
    assert (top["id"], top["time"][:10]) == ("a", "2024-02-10")
    assert (first["stretch"], first["id"]) == ("1", "a")
    assert first["start"] <= top["time"] <= first["end"]
    assert cli(*command, "--contamination", "0.02")[0] == 0  # replaces its own tables
    panel = read_panel(str(long_table), id="id", time="at", value="load")
    expected = LongSeriesDetector(contamination=0.02).fit(panel)
    np.testing.assert_allclose([float(row["score"]) for row in found], expected.scores_, rtol=1e-4, atol=1e-4)


def test_steps_that_cannot_be_judged_are_counted(cli, long_table, tmp_path):
    lines = long_table.read_text().splitlines()
    long_table.write_text("\n".join([*lines[:1000], *lines[1030:], ""]))
    code, _, err = cli("anomalies", long_table, *COLUMNS, "--window", "24", "--out", tmp_path / "steps.csv")
    n_unknown = sum(row["score"] == "nan" for row in rows(tmp_path / "steps.csv"))
    assert (code, n_unknown) == (0, 30)
    assert f"Of 2,880 steps, {n_unknown} have no score: too many values around them are missing.\n" in err


def test_a_saved_detector_scores_new_series_and_next_steps(cli, long_table, tmp_path):
    model, out = tmp_path / "m", tmp_path / "steps.csv"
    code, _, err = cli("anomalies", long_table, *COLUMNS, "--window", 24, "--epochs", 3, "--save", model, "--out", out)
    assert (code, "--epochs has no effect, since --window trains no network" in err) == (0, True)
    new, again = tmp_path / "new.csv", tmp_path / "again.csv"
    hours = np.datetime64("2024-03-01T00", "h") + np.arange(96)
    load = np.sin(2 * np.pi * np.arange(96) / 24)
    load[60:] = 0.9  # stuck
    new.write_text("\n".join(["id,at,load", *(f"a,{at},{x:.4f}" for at, x in zip(hours, load, strict=True)), ""]))
    code, _, err = cli("anomalies", new, "--model", model, "--next-steps", "--out", again)
    assert code == 0
    anomalies = [row["anomaly"] for row in rows(again)]
    assert (anomalies[:48].count("1"), anomalies[72:].count("1")) == (0, 24)
    assert "threshold" not in err
    assert cli("anomalies", new, "--model", model, "--next-steps", "--save", model, "--out", again)[0] == 0
    code, _, err = cli("anomalies", new, "--model", model, "--next-steps", "--save", model, "--out", again)
    assert (code, "'a' was seen up to 2024-03-04 23:00, and its next steps begin with 2024-03-01." in err) == (2, True)
    assert cli("anomalies", long_table, "--model", model, "--out", again)[0] == 0
    assert len(rows(again)) == 2 * 24 * 60
    code, shown, _ = cli("info", model)
    assert (code, "windows of 24 steps" in shown, "--next-steps" in shown) == (0, True, True)
    assert "which does not embed whole series" in cli("embed", new, "--model", model)[2]


def test_windows_with_the_model_of_other_series(cli, long_table, fitted, tmp_path):
    model, out = fitted("VRAEAnomalyDetector").save(tmp_path / "m"), tmp_path / "steps.csv"
    assert cli("anomalies", long_table, *COLUMNS, "--window", "auto", "--model", model, "--out", out)[0] == 0
    assert list(rows(out)[0]) == ["id", "step", "time", "anomaly", "score", "deviation"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--stride", "3"], "--stride needs --window"),
        (["--window", "5", "--step-scores", "s.csv"], "Leave out --step-scores"),
        (["--next-steps"], "--next-steps and --stretches are for long series"),
        (["--stretches", "s.csv"], "--next-steps and --stretches are for long series"),
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


@pytest.mark.parametrize("window", [(), ("--window", "24")])
def test_what_has_no_effect_and_what_would_find_more(cli, long_table, tmp_path, window):
    command = ("anomalies", long_table, *COLUMNS, "--epochs", 1, "--out", tmp_path / "o.csv", *window)
    code, _, err = cli(*command, "--false-alarm-rate", "0.3")
    assert (code, "Note: --false-alarm-rate has no effect without --contamination auto.\n" in err) == (0, True)
    assert ("of the 2 series, of 1,440 steps or more, counts as a whole." in err) == (not window)


def test_the_model_of_a_cluster_run_judges_series_by_each_other(cli, series, fitted, tmp_path):
    model, out = fitted("VRAEClusterer").save(tmp_path / "clusters"), tmp_path / "out.csv"
    code, _, err = cli("anomalies", series[0], "--id", "id", "--model", model, "--contamination", "0.25", "--out", out)
    assert code == 0
    assert "learned" not in err  # it knows none of them
    assert sum(int(row["anomaly"]) for row in rows(out)) == 12  # a quarter of 48


def test_a_model_of_the_same_series_may_have_learned_their_anomalies(cli, series, tmp_path):
    file, options = series[0], ("--id", "id")
    run, out = tmp_path / "run", tmp_path / "out.csv"
    assert cli("cluster", file, *options, "--clusters", 2, "--epochs", 2, "--out", run)[0] == 0
    code, _, err = cli("anomalies", file, *options, "--model", run, "--out", out)
    assert code == 0
    assert "fitted to series with these ids. If they are the same series, it may have learned their anomalies" in err
    code, _, err = cli("anomalies", file, *options, "--epochs", 2, "--out", out)
    assert code == 0
    assert "learned" not in err


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
