"""VRAENeighbors: scikit-learn's contract, ids, lags, and the model directory."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator

from conftest import make_estimator
from vrae import Panel, VRAENeighbors, load_model
from vrae.estimators.neighbors import ApproximateSearch, ExactSearch, choose_search
from vrae.exceptions import DataWarning, InvalidParameterError, MissingDependencyError, NotFittedError
from vrae.nn.lag import pair_lags

pytestmark = pytest.mark.filterwarnings("ignore::vrae.exceptions.PosteriorCollapseWarning")


@pytest.fixture
def neighbors(fitted: Any) -> Any:
    return fitted("VRAENeighbors", "panel", n_neighbors=3, max_epochs=10)


def brute_force(Z: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return distances and positions of the nearest other vectors."""
    distances = np.linalg.norm(Z[:, None] - Z, axis=2)
    np.fill_diagonal(distances, np.inf)
    return np.sort(distances, axis=1)[:, :k], np.argsort(distances, axis=1)[:, :k]


# ---------------------------------------------------------------- neighbours


def test_training_series_are_not_their_own_neighbours(neighbors):
    vectors = neighbors.space_(neighbors.embedding_.astype(np.float64))
    distances, indices = neighbors.kneighbors()
    expected = brute_force(vectors, 3)
    np.testing.assert_allclose(distances, expected[0], atol=1e-9)
    np.testing.assert_array_equal(indices, expected[1])
    np.testing.assert_array_equal(neighbors.kneighbors(return_distance=False), indices)


def test_a_training_series_as_a_query_finds_itself(neighbors, small_series):
    distances, indices = neighbors.kneighbors(small_series("panel"), n_neighbors=1)
    assert indices.ravel().tolist() == list(range(12))
    assert distances.max() < 1e-4


def test_the_table_has_exact_ids_in_order(neighbors):
    found = neighbors.similar(n_neighbors=2)
    distances, indices = neighbors.kneighbors(n_neighbors=2)
    assert found.query.tolist() == [f"s{i}" for i in range(12) for _ in range(2)]
    assert found.rank.tolist() == [1, 2] * 12
    assert found.neighbor.tolist() == [f"s{i}" for i in indices.ravel()]
    np.testing.assert_array_equal(found.distance, distances.ravel())
    assert list(found.columns()) == ["id", "rank", "neighbor", "distance", "lag"]


def test_slow_waves_find_slow_waves_and_fast_ones_fast_ones(neighbors):
    _, indices = neighbors.kneighbors()
    assert ((indices % 2) == (np.arange(12) % 2)[:, None]).mean() > 0.8


def test_impossible_numbers_of_neighbours_are_refused(neighbors):
    for k in (0, 12, 1.5):
        with pytest.raises(InvalidParameterError, match="n_neighbors"):
            neighbors.kneighbors(n_neighbors=k)


def test_a_query_can_ask_for_all_training_series(neighbors, small_series):
    _, indices = neighbors.kneighbors(small_series("panel", n=2, seed=5), n_neighbors=12)
    assert (np.sort(indices, axis=1) == np.arange(12)).all()


def test_series_without_values_have_no_neighbours(small_series):
    X = small_series("2d")
    X[4] = np.nan
    model = make_estimator("VRAENeighbors", n_neighbors=2, on_invalid="keep").fit(X)
    distances, indices = model.kneighbors()
    assert np.isnan(distances[4]).all()
    assert (indices[4] == -1).all()
    assert 4 not in indices
    assert 4 not in model.similar().query


# ---------------------------------------------------------------- saved, and with another model


def test_a_loaded_estimator_gives_the_same_neighbours(neighbors, small_series, tmp_path):
    loaded = load_model(neighbors.save(tmp_path / "model"))
    new = small_series("panel", n=5, seed=3)
    for name, column in neighbors.similar(new).columns().items():
        np.testing.assert_array_equal(loaded.similar(new).columns()[name], column)
    np.testing.assert_array_equal(loaded.kneighbors()[1], neighbors.kneighbors()[1])


def test_missing_values_survive_the_model_directory(small_series, fitted, tmp_path):
    model = fitted("VRAENeighbors", "missing")
    loaded = load_model(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(loaded.series_.values, model.series_.values)


def test_a_fitted_model_finds_neighbours_among_other_series(neighbors, fitted, small_series):
    others = Panel.from_arrays(small_series("list", n=6, seed=4), ids=list("abcdef"))
    among_others = VRAENeighbors(2, model=FrozenEstimator(neighbors)).fit(others)
    assert among_others.model_ is neighbors.model_
    assert set(among_others.similar(small_series("panel")).neighbor.tolist()) <= set("abcdef")
    clusterer = fitted("VRAEClusterer")
    own = VRAENeighbors(2, model=FrozenEstimator(clusterer)).fit(small_series("2d"))
    assert len(own.similar()) == 24
    assert not hasattr(own, "partition_")


# ---------------------------------------------------------------- search


def test_identical_series_are_neighbours_but_none_is_its_own():
    vectors = np.repeat(np.arange(4.0), 3)[:, None]
    indices = np.arange(12)
    distances, found = ExactSearch(vectors, indices).query(vectors, 2, indices)
    assert (distances == 0).all()
    assert not (found == indices[:, None]).any()
    assert (found // 3 == indices[:, None] // 3).all()


@pytest.mark.slow
def test_the_approximate_search_misses_few_neighbours():
    # `make test` does not install it: its first call compiles for five minutes.
    pytest.importorskip("pynndescent", reason="pynndescent is not installed: pip install 'vrae[neighbors]'")
    rng = np.random.default_rng(0)
    vectors, queries = rng.standard_normal((3000, 6)), rng.standard_normal((200, 6))
    _, exact = ExactSearch(vectors, np.arange(3000)).query(queries, 10, None)
    _, near = ApproximateSearch(vectors, np.arange(3000), 0).query(queries, 10, None)
    _, again = ApproximateSearch(vectors, np.arange(3000), 0).query(queries, 10, None)
    assert np.mean([len(np.intersect1d(a, b)) for a, b in zip(exact, near, strict=True)]) > 9
    np.testing.assert_array_equal(near, again)


def test_auto_warns_before_a_slow_exact_search(monkeypatch):
    assert choose_search("auto", 50_000) == "exact"
    assert choose_search("exact", 10**6) == "exact"
    monkeypatch.setitem(sys.modules, "pynndescent", None)
    with pytest.warns(DataWarning, match=r"vrae\[neighbors\]"):
        assert choose_search("auto", 50_001) == "exact"


def test_approximate_search_without_its_package_is_refused(monkeypatch, small_series):
    monkeypatch.setitem(sys.modules, "pynndescent", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'vrae\[neighbors\]'"):
        make_estimator("VRAENeighbors", algorithm="approximate").fit(small_series("2d"))


def test_not_fitted_and_bad_options(small_series):
    with pytest.raises(NotFittedError):
        VRAENeighbors().kneighbors()
    with pytest.raises(InvalidParameterError, match="algorithm"):
        make_estimator("VRAENeighbors", algorithm="aproximate").fit(small_series("2d"))


# ---------------------------------------------------------------- lags


@pytest.mark.parametrize("lag", [0, 3, -5])
def test_planted_lags_are_found(lag):
    rng = np.random.default_rng(0)
    long = np.convolve(rng.standard_normal(82), np.ones(3), "valid")
    pair = long[20 - lag : 60 - lag], long[20:60]  # the first is ``lag`` steps behind
    x, reference = (torch.from_numpy(s - s.mean())[None, :, None] for s in pair)
    assert pair_lags(x, reference, torch.tensor([20])).tolist() == [lag]
    assert pair_lags(x, reference, torch.tensor([0])).tolist() == [0]


def test_lags_of_unequal_lengths_and_of_constants():
    wave = torch.sin(torch.arange(30) / 3)[None, :, None]
    short = wave[:, 4:20]
    assert pair_lags(short, wave, torch.tensor([8])).tolist() == [-4]
    assert pair_lags(torch.zeros(1, 9, 1), wave, torch.tensor([4])).tolist() == [0]
