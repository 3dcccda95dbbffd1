"""`vrae compare`: all methods get the same series and number of clusters."""

from __future__ import annotations

import csv
import json
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vrae import VRAE, Panel, VRAEClusterer
from vrae.estimators.stability import cluster_again
from vrae.exceptions import InvalidDataError, InvalidParameterError
from vrae.metrics import agreement, agreement_of_counts, labelled, n_classes
from vrae.runs import compare, read_metrics
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


def test_vrae_clusters_a_half_again_as_a_fit_to_it_would():
    panel, _ = slow_and_fast()
    half = panel.select(np.arange(0, 30, 2))
    model = VRAE(max_epochs=1, hidden_size=8, device="cpu", random_state=3)
    whole = VRAEClusterer(3, model=model, random_state=3).fit(half)
    np.testing.assert_array_equal(whole.labels_, cluster_again(model, half, 3, whole.clusterer, 3))


def test_the_largest_seed_is_a_seed():
    panel, _ = slow_and_fast()
    found = compare(quick(2), panel, None, ["kmeans"], seed=2**32 - 1)
    assert found.rows[0]["stability"] == 1
    assert found.notes == []


def test_few_series_have_no_stability():
    panel, _ = slow_and_fast(6)
    found = compare(quick(2), panel, None, ["vrae", "kmeans"])
    assert [row["stability"] for row in found.rows] == [None, None]
    assert found.notes[-1] == "Stability takes 8 series or more for 2 clusters; found 6."


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


def test_only_warnings_of_the_libraries_of_peers_are_silenced(monkeypatch):
    def noisy(X, k, seed):
        warnings.warn("mine", UserWarning, stacklevel=1)
        for module in ("aeon.clustering", "sklearn.base", "numpy._core.fromnumeric", "scipy.linalg"):
            warnings.warn_explicit("theirs", RuntimeWarning, "file.py", 1, module)
        return np.arange(len(X)) % k

    monkeypatch.setitem(PEERS, "kmeans", Peer("noisy", noisy))
    with pytest.warns(UserWarning, match="mine") as found:
        compare(VRAEClusterer(2), slow_and_fast()[0], None, ["kmeans"], rounds=0)
    assert [str(one.message) for one in found] == ["mine"]


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
    assert f"Wrote {table}: 1 method.\n" in err
    assert next(csv.DictReader(table.read_text().splitlines()))["method"] == "k-means"
    code, out, _ = run("--methods", "kmeans", "--rounds", 0, "--json", "--quiet")
    assert json.loads(out)["rows"][0]["ari"] == 1
    code, _, err = run("--methods", "kmeans", "--methods", "kasba, kmeans")  # all of them count
    assert code == 2
    assert "different names" in err
    code, out, err = run("--methods", "dtw")
    assert (code, out) == (2, "")
    assert "unknown method 'dtw'" in err


# -------------------------------------------------------------------- incomplete classes


@pytest.mark.parametrize("blank", [None, "", " ", np.nan, "nan"])
def test_a_blank_is_no_class(blank):
    truth = np.array(["a", blank, "b", "a", blank], object)
    assert labelled(truth).tolist() == [True, False, True, True, False]
    assert n_classes(truth) == 2
    assert agreement(truth, [0, 0, 1, 0, 1]) == {"ari": 1, "nmi": 1}
    assert agreement([blank] * 3, [0, 1, 1]) == {}


def test_a_missing_number_or_date_is_no_class():
    assert labelled(np.array([1.0, np.nan])).tolist() == [True, False]
    assert labelled(np.array(["2024-01-01", "NaT"], "M8[D]")).tolist() == [True, False]
    assert labelled(np.array([0, 1])).all()


@pytest.mark.parametrize("classes", [[0, 0, 0, 0], [0, 0, 1, 1], [0, 1, 2, 3]])
def test_scores_from_counts_are_those_of_scikit_learn(classes):
    labels = np.array([0, 0, 1, 1])
    counts = np.zeros((4, 2), np.int64)
    np.add.at(counts, (classes, labels), 1)
    assert agreement_of_counts(counts) == pytest.approx(agreement(classes, labels))


def test_scores_are_those_of_the_labelled_series():
    panel, kinds = slow_and_fast()
    truth = np.where(np.arange(30) % 3, kinds, np.nan)
    found = compare(quick(2), panel, truth, ["kmeans"], rounds=0)
    assert (found.rows[0]["ari"], found.rows[0]["nmi"]) == (1, 1)
    assert found.notes == ["ARI and NMI compare the 20 of 30 series that are labelled."]
    found = compare(quick(2), panel, np.full(30, ""), ["kmeans"], rounds=0)
    assert "ari" not in found.rows[0]
    assert "0 of 30 series are labelled" in found.notes[0]


def labelled_csv(tmp_path, known: list[Any]) -> str:
    panel, _ = slow_and_fast(24)
    values = {f"w{i}": column for i, column in enumerate(panel.to_padded()[:, 0].T)}
    pd.DataFrame({"item": panel.ids, "cls": known, **values}).to_csv(tmp_path / "x.csv", index=False)
    return str(tmp_path / "x.csv")


RUN = ("--id", "item", "--value", "w*", "--label", "cls")


@pytest.mark.parametrize("kind", ["number", "text"])
def test_a_run_scores_the_labelled_series_and_says_how_many(kind, cli, tmp_path):
    names = np.arange(24) % 2 if kind == "number" else np.array(["slow", "fast"])[np.arange(24) % 2]
    known = [None if i % 3 == 0 else name for i, name in enumerate(names)]
    run = tmp_path / "run"
    done = cli("cluster", labelled_csv(tmp_path, known), *RUN, "-k", 2, "--epochs", 1, "--out", run)
    assert "16 of 24 series labelled: ARI" in " ".join(done.out.split())
    metrics = read_metrics(run)
    assert metrics["n_labelled"] == 16
    table = pd.read_csv(run / "clusters.csv")
    clear = table["label"].notna()
    expected = agreement(table["label"][clear], table["cluster"][clear])
    assert {name: metrics[name] for name in ("ari", "nmi")} == pytest.approx(expected)
    assert "of 16 of 24 series" in (run / "report.html").read_text(encoding="utf-8")
    assert "not labelled" in (run / "report.html").read_text(encoding="utf-8")
    done = cli("regroup", run, "-k", 3)
    assert "16 of 24 series labelled: ARI" in " ".join(done.out.split())
    assert read_metrics(run)["n_labelled"] == 16


def test_a_run_without_any_label_has_no_scores_and_says_so(cli, tmp_path):
    run = tmp_path / "run"
    done = cli("cluster", labelled_csv(tmp_path, [None] * 24), *RUN, "-k", 2, "--epochs", 1, "--out", run)
    assert "0 of 24 series labelled: too few to compare" in " ".join(done.out.split())
    assert "ari" not in read_metrics(run)
    assert "too few to compare" in (run / "report.html").read_text(encoding="utf-8")


def test_the_number_of_known_classes_is_without_the_blank(cli, tmp_path):
    known = [None if i % 3 == 0 else i % 2 for i in range(24)]
    done = cli("compare", labelled_csv(tmp_path, known), *RUN, "--methods", "kmeans", "--json")
    assert json.loads(done.out)["rows"][0]["clusters"] == 2
