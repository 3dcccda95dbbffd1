"""VRAENeighbors: scikit-learn's contract, ids, lags, and the model directory."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest
import torch

from vrae import Panel, VRAENeighbors, load_model
from vrae.estimators.search import Approximate, Exact, choose_search
from vrae.exceptions import (
    DataWarning,
    InvalidParameterError,
    MissingDependencyError,
    NotFittedError,
    PosteriorCollapseWarning,
)
from vrae.nn.lag import pair_lags


@pytest.fixture(scope="module")
def neighbors(small_series, tiny):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PosteriorCollapseWarning)
        return VRAENeighbors(3, **{**tiny, "max_epochs": 10}).fit(small_series("panel"))


def brute(Z, k):
    distances = np.linalg.norm(Z[:, None] - Z, axis=2)
    np.fill_diagonal(distances, np.inf)
    return np.sort(distances, axis=1)[:, :k], np.argsort(distances, axis=1)[:, :k]


def test_neighbours_of_the_training_series_leave_out_themselves(neighbors):
    vectors = neighbors.space_(neighbors.embedding_.astype(np.float64))
    distances, rows = neighbors.kneighbors()
    expected = brute(vectors, 3)
    np.testing.assert_allclose(distances, expected[0], atol=1e-9)
    np.testing.assert_array_equal(rows, expected[1])
    np.testing.assert_array_equal(neighbors.kneighbors(return_distance=False), rows)


def test_the_nearest_of_a_known_series_is_itself(neighbors, small_series):
    distances, rows = neighbors.kneighbors(small_series("panel"), n_neighbors=1)
    assert rows.ravel().tolist() == list(range(12))
    assert distances.max() < 1e-4


def test_the_table_has_exact_ids_in_order(neighbors):
    found = neighbors.similar(n_neighbors=2)
    distances, rows = neighbors.kneighbors(n_neighbors=2)
    assert found.query.tolist() == [f"s{i}" for i in range(12) for _ in range(2)]
    assert found.rank.tolist() == [1, 2] * 12
    assert found.neighbor.tolist() == [f"s{i}" for i in rows.ravel()]
    np.testing.assert_array_equal(found.distance, distances.ravel())
    assert list(found.columns()) == ["id", "rank", "neighbor", "distance", "lag"]


def test_kinds_of_waves_find_their_own_kind(neighbors):
    _, rows = neighbors.kneighbors()
    assert ((rows % 2) == (np.arange(12) % 2)[:, None]).mean() > 0.8


@pytest.mark.parametrize("k", [0, 12, 1.5])
def test_so_many_neighbours_there_are_not(neighbors, k):
    with pytest.raises(InvalidParameterError, match="n_neighbors"):
        neighbors.kneighbors(n_neighbors=k)


def test_a_query_can_have_all_training_series(neighbors, small_series):
    _, rows = neighbors.kneighbors(small_series("panel", n=2, seed=5), n_neighbors=12)
    assert (np.sort(rows, axis=1) == np.arange(12)).all()


def test_saved_and_loaded_gives_the_same(neighbors, small_series, tmp_path):
    loaded = load_model(neighbors.save(tmp_path / "model"))
    new = small_series("panel", n=5, seed=3)
    for name, column in neighbors.similar(new).columns().items():
        np.testing.assert_array_equal(loaded.similar(new).columns()[name], column)
    np.testing.assert_array_equal(loaded.kneighbors()[1], neighbors.kneighbors()[1])


def test_gaps_survive_the_model_directory(small_series, tiny, tmp_path):
    X = small_series("missing")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PosteriorCollapseWarning)
        model = VRAENeighbors(2, **tiny).fit(X)
    loaded = load_model(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(loaded.series_.values, model.series_.values)


def test_other_series_by_the_same_model(neighbors, fitted, small_series):
    others = Panel.from_arrays(small_series("list", n=6, seed=4), ids=list("abcdef"))
    found = VRAENeighbors.of(neighbors, others, 2).similar(small_series("panel"))
    assert set(found.neighbor.tolist()) <= set("abcdef")
    clusterer = fitted("VRAEClusterer")
    own = VRAENeighbors.of(clusterer, small_series("2d"), 2)
    assert len(own.similar()) == 24
    assert not hasattr(own, "partition_")


def test_series_without_values_have_no_neighbours(small_series, tiny):
    X = small_series("2d")
    X[4] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PosteriorCollapseWarning)
        model = VRAENeighbors(2, on_invalid="keep", **tiny).fit(X)
    distances, rows = model.kneighbors()
    assert np.isnan(distances[4]).all()
    assert (rows[4] == -1).all()
    assert 4 not in rows
    assert 4 not in model.similar().query


def test_copies_are_neighbours_but_nobody_is_its_own():
    vectors = np.repeat(np.arange(4.0), 3)[:, None]
    rows = np.arange(12)
    distances, found = Exact(vectors, rows).query(vectors, 2, rows)
    assert (distances == 0).all()
    assert not (found == rows[:, None]).any()
    assert (found // 3 == rows[:, None] // 3).all()


@pytest.mark.slow
def test_the_approximate_search_misses_little():
    # Not among what `make test` installs: its first call compiles for five minutes.
    pytest.importorskip("pynndescent", reason="pynndescent is not installed: pip install 'vrae[neighbors]'")
    rng = np.random.default_rng(0)
    vectors, queries = rng.standard_normal((3000, 6)), rng.standard_normal((200, 6))
    _, exact = Exact(vectors, np.arange(3000)).query(queries, 10, None)
    _, near = Approximate(vectors, np.arange(3000), 0).query(queries, 10, None)
    _, again = Approximate(vectors, np.arange(3000), 0).query(queries, 10, None)
    assert np.mean([len(np.intersect1d(a, b)) for a, b in zip(exact, near, strict=True)]) > 9
    np.testing.assert_array_equal(near, again)


def test_what_auto_comes_to(monkeypatch):
    assert choose_search("auto", 50_000) == "exact"
    assert choose_search("exact", 10**6) == "exact"
    monkeypatch.setitem(sys.modules, "pynndescent", None)
    with pytest.warns(DataWarning, match=r"vrae\[neighbors\]"):
        assert choose_search("auto", 50_001) == "exact"


def test_approximate_without_its_package_is_refused(monkeypatch, small_series, tiny):
    monkeypatch.setitem(sys.modules, "pynndescent", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'vrae\[neighbors\]'"):
        VRAENeighbors(2, "approximate", **tiny).fit(small_series("2d"))


def test_not_fitted_and_bad_options(small_series, tiny):
    with pytest.raises(NotFittedError):
        VRAENeighbors().kneighbors()
    with pytest.raises(InvalidParameterError, match="algorithm"):
        VRAENeighbors(2, "aproximate", **tiny).fit(small_series("2d"))


@pytest.mark.parametrize("lag", [0, 3, -5])
def test_lags_are_those_that_were_planted(lag):
    rng = np.random.default_rng(0)
    long = np.convolve(rng.standard_normal(82), np.ones(3), "valid")
    reference, x = long[20:60], long[20 - lag : 60 - lag]  # x runs ``lag`` steps behind
    x, reference = (torch.from_numpy(s - s.mean())[None, :, None] for s in (x, reference))
    assert pair_lags(x, reference, torch.tensor([20])).tolist() == [lag]
    assert pair_lags(x, reference, torch.tensor([0])).tolist() == [0]


def test_lags_of_unequal_lengths_and_of_constants():
    wave = torch.sin(torch.arange(30) / 3)[None, :, None]
    short = wave[:, 4:20]
    assert pair_lags(short, wave, torch.tensor([8])).tolist() == [-4]
    assert pair_lags(torch.zeros(1, 9, 1), wave, torch.tensor([4])).tolist() == [0]


def test_opposites_by_groups_and_by_clusters(neighbors):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((12, 60))
    X[1] = -X[0] + 0.2 * rng.standard_normal(60)
    found = neighbors.opposites(X, np.zeros(12))
    assert (found.item.tolist(), found.other.tolist()) == ([0], [1])
    assert neighbors.opposites(X).n_pairs[0] <= 66
