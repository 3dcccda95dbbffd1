"""`vrae similar` and `vrae cannibalization` from file to file."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from vrae import load_model

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
    assert "1 of 90 pairs" in err
    table = pd.read_csv(tmp_path / "o.csv")
    assert list(table) == ["group", "item", "other", "kind", "lag", "strength", "taken", "p_value", "q_value"]
    assert table[["group", "item", "other", "kind"]].to_numpy().tolist() == [["tea", "p0", "p1", "introduction"]]


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

    code, out, err = cli("similar", sales, *options, "--model", model)
    assert code == 0, err
    first = [line.split(",") for line in out.splitlines()[1::2]]
    assert all(row[0] == row[2] for row in first)  # it knows these series: each is its own nearest
    assert len(load_model(model).ids_) == 20

    code, out, err = cli("similar", sales, *options, "--model", model, "--to", sales)
    assert code == 0, err
    assert len(out.splitlines()) == 41


def test_more_neighbors_than_series_are_one_message(cli, sales, tmp_path):
    code, _, err = cli("similar", sales, "--id", "item", "--epochs", 1, "-n", 20, "--out", tmp_path / "s.csv")
    assert code == 2
    assert "--neighbors 20 is more than the 19 other training series" in err
    assert not (tmp_path / "s.csv").exists()
