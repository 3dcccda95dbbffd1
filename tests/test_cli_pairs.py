"""`vrae similar` and `vrae cannibalization` from file to file."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vrae import VRAE, VRAEClusterer, load_model
from vrae.estimators import cannibalization

pytestmark = pytest.mark.filterwarnings("ignore::vrae.exceptions.VRAEWarning")


@pytest.fixture
def sales(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.poisson(50, (20, 60)).astype(float)
    X[1, 30:] -= rng.binomial(X[1, 30:].astype(int), 0.6)
    X[0, :30] = 0
    table = pd.DataFrame(X, columns=[f"w{week}" for week in range(60)])
    table.insert(0, "shelf", ["tea", "tea"] * 5 + ["soup"] * 10)
    table.insert(0, "item", [f"p{row}" for row in range(20)])
    table.to_csv(tmp_path / "sales.csv", index=False)
    return tmp_path / "sales.csv"


def test_pairs_within_a_column_are_written(cli, sales, tmp_path):
    code, _, err = cli("cannibalization", sales, "--id", "item", "--group", "shelf", "--out", tmp_path / "o.csv")
    assert code == 0, err
    assert f"Wrote {tmp_path / 'o.csv'}: 1 of 90 pairs" in err
    table = pd.read_csv(tmp_path / "o.csv")
    assert list(table) == [
        *("group", "item", "other", "kind", "when", "lag"),
        *("strength", "taken", "units", "p_value", "q_value"),
    ]
    assert table.when.tolist() == [31]
    assert table[["group", "item", "other", "kind"]].to_numpy().tolist() == [["tea", "p0", "p1", "introduction"]]


def test_pairs_have_similar_numbers_and_dates(cli, tmp_path):
    rng = np.random.default_rng(0)
    X = rng.poisson(50, (20, 60)).astype(float)
    X[1, 30:] -= rng.binomial(X[1, 30:].astype(int), 0.6)
    X[0, :30] = 0
    weeks = pd.date_range("2024-01-01", periods=60, freq="W-MON")
    names = np.repeat([f"p{row}" for row in range(20)], 60)
    columns = {"item": names, "week": np.tile(weeks, 20), "qty": X.ravel()}
    columns |= {"shelf": np.repeat(["tea", "soup"], 600), "price": np.repeat([4.0, 3.0] * 10, 60)}
    pd.DataFrame(columns).to_csv(tmp_path / "long.csv", index=False)
    options = ("cannibalization", tmp_path / "long.csv", "--value", "qty", "--group", "shelf")
    code, out, err = cli(*options, "--similar", "price", "--quiet")
    assert code == 0, err
    table = pd.read_csv(io.StringIO(out))
    assert table[["item", "other", "when"]].to_numpy().tolist() == [["p0", "p1", "2024-07-29"]]
    code, out, err = cli(*options, "--similar", "price=0.2", "--season", 1)
    assert (code, len(out.splitlines())) == (0, 1), err
    assert re.search("^0 of [0-9]+ pairs take sales from each other", err, re.MULTILINE)
    code, out, err = cli(*options, "--similar", "price=cheap")
    assert (code, out) == (2, "")
    assert "--similar price=cheap: 'cheap' is not a share between 0 and 1" in err


def test_an_unknown_column_is_one_message(cli, sales, tmp_path):
    code, out, err = cli("cannibalization", sales, "--id", "item", "--group", "shelv", "--out", tmp_path / "o.csv")
    assert (code, out) == (2, "")
    assert "shelv" in err
    assert "Traceback" not in err
    assert not (tmp_path / "o.csv").exists()


def test_similar_learns_saves_and_is_asked_again(cli, sales, tmp_path):
    model = tmp_path / "model"
    options = ["--id", "item", "-n", 2, "--quiet"]
    code, _, err = cli("similar", sales, *options, "--epochs", 1, "--save", model, "--out", tmp_path / "s.csv")
    assert code == 0, err
    table = pd.read_csv(tmp_path / "s.csv")
    assert list(table) == ["id", "rank", "neighbor", "distance", "lag"]
    assert table.id.tolist() == [f"p{row}" for row in range(20) for _ in range(2)]
    assert (table.id != table.neighbor).all()

    done = cli("similar", sales, *options[:-1], "--model", model, "--out", tmp_path / "s.csv")
    assert done.said.endswith(f"Wrote {tmp_path / 's.csv'}: 20 series, 2 neighbors each.\n")

    code, out, err = cli("similar", sales, *options, "--model", model)
    assert code == 0, err
    first = [line.split(",") for line in out.splitlines()[1::2]]
    assert all(row[0] == row[2] for row in first)  # it knows these series: each is its own nearest
    assert len(load_model(model).ids_) == 20

    code, out, err = cli("similar", sales, *options, "--model", model, "--to", sales)
    assert code == 0, err
    assert len(out.splitlines()) == 41


def test_lags_of_dated_series_are_in_the_unit_of_the_calendar(cli, tmp_path):
    weeks = pd.date_range("2024-01-01", periods=30, freq="W-MON")
    x = np.sin(np.arange(40) / 3)
    series = {f"s{shift}": x[shift : shift + 30] + 0.01 * shift for shift in range(6)}
    rows = [(name, week, value) for name, values in series.items() for week, value in zip(weeks, values, strict=True)]
    pd.DataFrame(rows, columns=["item", "week", "qty"]).to_csv(tmp_path / "dated.csv", index=False)
    code, out, err = cli("similar", tmp_path / "dated.csv", "--epochs", 1, "-n", 1)
    assert code == 0, err
    assert out.splitlines()[0] == "id,rank,neighbor,distance,lag_weeks"


def test_more_neighbors_than_series_are_one_message(cli, sales, tmp_path):
    code, _, err = cli("similar", sales, "--id", "item", "--epochs", 1, "-n", 20, "--out", tmp_path / "s.csv")
    assert code == 2
    assert "--neighbors 20 is more than the 19 other training series" in err
    assert not (tmp_path / "s.csv").exists()


def test_series_of_a_new_kind_are_left_out_by_assign_alone(cli, tmp_path, monkeypatch):
    """`vrae assign` gives them no cluster, and says so; other commands use the nearest one."""
    rng = np.random.default_rng(0)
    phase, period = rng.uniform(0, 6, (60, 1)), np.where(np.arange(60) % 2, 9.0, 20.0)[:, None]
    X = np.sin(2 * np.pi * np.arange(50) / period + phase) + 0.2 * rng.standard_normal((60, 50))
    new = (np.arange(50) / 7 + rng.uniform(0, 1, (8, 1))) % 1
    VRAEClusterer(2, model=VRAE(max_epochs=2), random_state=0).fit(X).save(tmp_path / "model")
    np.save(tmp_path / "new.npy", new)
    options = (tmp_path / "new.npy", "--model", tmp_path / "model")
    code, out, err = cli("assign", *options)
    assert code == 0, err
    assert pd.read_csv(io.StringIO(out)).cluster.tolist() == [-1] * 8
    assert "8 of 8 series have no cluster (-1)" in err
    done = cli("assign", *options, "--all")
    code, out, err = done.code, done.out, done.said
    clusters = pd.read_csv(io.StringIO(out)).cluster
    assert (code, err.splitlines()[0], err.count("\n")) == (0, "8 series of 50 steps", 5)
    assert clusters.min() >= 0
    asked: list[Any] = []
    monkeypatch.setattr(cannibalization, "find_cannibalization", lambda panel, groups, **_: asked.append(groups))
    cli("cannibalization", *options, "--out", tmp_path / "pairs.csv")
    assert asked[0].tolist() == clusters.tolist()


def test_series_that_have_only_begun_are_said_to_be_guesses(cli, tmp_path):
    X = np.sin(np.arange(50) / np.where(np.arange(20) % 2, 2.0, 5.0)[:, None] + np.arange(20)[:, None])
    VRAEClusterer(2, model=VRAE(max_epochs=1), random_state=0).fit(X).save(tmp_path / "model")
    np.save(tmp_path / "new.npy", X[:6, :3] + 0.01)
    code, out, err = cli("assign", tmp_path / "new.npy", "--model", tmp_path / "model")
    assert code == 0, err
    assert pd.read_csv(io.StringIO(out)).probability.max() < 0.6
    assert "6 of 6 series have a cluster with a probability below 0.6" in err
