"""`vrae compare`: all methods get the same series and number of clusters."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from vrae import VRAE, Panel, VRAEClusterer
from vrae.exceptions import InvalidDataError, InvalidParameterError
from vrae.runs import compare
from vrae.runs.comparison import PEERS, Peer


def quick(n_clusters="auto"):
    model = VRAE(max_epochs=1, hidden_size=8, device="cpu")
    return VRAEClusterer(n_clusters, model=model, random_state=0)


def slow_and_fast(n: int = 30, uneven: bool = False) -> tuple[Panel, np.ndarray]:
    rng = np.random.default_rng(0)
    kinds = np.arange(n) % 2
    X = [np.sin(2 * np.pi * np.arange(24 - (i % 5 if uneven else 0)) / (24, 6)[k]) for i, k in enumerate(kinds)]
    X = [x + 0.05 * rng.standard_normal(len(x)) for x in X]
    if uneven:
        X[3][4:7] = np.nan
    return Panel.from_arrays(X, ids=[f"s{i}" for i in range(n)]), kinds


def test_a_method_that_finds_the_classes_has_the_best_scores():
    panel, kinds = slow_and_fast()
    found = compare(quick(2), panel, kinds, ["kmeans"], rounds=2)
    (row,) = found.rows
    assert row["method"] == "k-means"
    assert (row["clusters"], row["ari"], row["nmi"], row["stability"], row["with k-means"]) == (2, 1, 1, 1, 1)
    assert row["silhouette"] > 0.5
    assert found.notes == []


def test_all_methods_get_the_number_of_clusters_that_vrae_selects():
    panel, _ = slow_and_fast()
    found = compare(quick(), panel, None, ["vrae", "kmeans"], rounds=0)
    ours, theirs = found.rows
    assert ours["clusters"] == theirs["clusters"]
    assert ours["with k-means"] == theirs["with VRAE"]
    assert ours["stability"] is None
    assert "ari" not in ours


def test_notes_say_how_series_were_changed_for_other_methods():
    panel, kinds = slow_and_fast(uneven=True)
    found = compare(quick(2), panel, kinds, ["kmeans"], rounds=0)
    assert "resampled to 22 steps (originals: 20 to 24)" in found.notes[0]
    assert "3 steps were interpolated" in found.notes[1]
    assert found.rows[0]["clusters"] == 2


def test_a_method_that_fails_keeps_its_row_and_leaves_a_note(monkeypatch):
    def broken(X, k, seed):
        raise ValueError("too hot")

    monkeypatch.setitem(PEERS, "kshape", Peer("k-Shape", broken))
    panel, kinds = slow_and_fast()
    found = compare(quick(2), panel, kinds, ["kshape", "kmeans"], rounds=0)
    assert found.rows[0]["clusters"] is None
    assert found.rows[0]["ari"] is None
    assert found.rows[1]["ari"] == 1
    assert found.notes == ["k-Shape found no clusters: ValueError: too hot"]
    assert np.isnan(found.to_columns()["ari"][0])


def test_bad_input_is_refused():
    panel, kinds = slow_and_fast()
    with pytest.raises(InvalidParameterError, match="unknown method 'kmean'"):
        compare(VRAEClusterer(2), panel, kinds, ["kmean"])
    with pytest.raises(InvalidParameterError, match="2 to 29 clusters; found 1"):
        compare(VRAEClusterer(1), panel, kinds, ["kmeans"])
    X = panel.values.copy()
    X[:24] = np.nan
    with pytest.raises(InvalidDataError, match="'s0'"):
        compare(VRAEClusterer(2), panel.with_values(X), kinds, ["kmeans"])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::numba.core.errors.NumbaTypeSafetyWarning")  # in aeon
@pytest.mark.parametrize("name", ["kshape", "kasba", "rclustering"])
def test_every_peer_clusters(name):
    panel, _ = slow_and_fast(12)
    labels = np.asarray(PEERS[name].cluster(panel.to_padded().astype(float), 2, 0))
    assert labels.shape == (12,)
    assert set(labels.tolist()) <= {0, 1}


def test_from_the_command_line(cli, tmp_path):
    panel, kinds = slow_and_fast()
    np.savez(tmp_path / "X.npz", X=panel.to_padded()[:, 0], y=kinds)

    def run(*arguments):
        return cli("compare", tmp_path / "X.npz", *arguments)

    table = tmp_path / "compare.csv"
    code, out, err = run("--methods", "kmeans", "--rounds", 0, "--out", table, "--sample", 20)
    assert code == 0
    assert "1.000" in out
    assert "20 of 30 series, drawn at random" in err
    assert next(csv.DictReader(table.read_text().splitlines()))["method"] == "k-means"
    code, out, _ = run("--methods", "kmeans", "--rounds", 0, "--json", "--quiet")
    assert json.loads(out)["rows"][0]["ari"] == 1
    code, out, err = run("--methods", "dtw")
    assert (code, out) == (2, "")
    assert "unknown method 'dtw'" in err
