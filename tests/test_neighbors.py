"""VRAENeighbors: scikit-learn's contract, ids, lags, and the model directory."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator

from conftest import make_estimator
from vrae import VRAE, Panel, VRAENeighbors, load_model
from vrae.estimators.vector_search import ApproximateSearch, ExactSearch, choose_search
from vrae.exceptions import DataWarning, InvalidParameterError, MissingDependencyError, NotFittedError
from vrae.io.model_files import read_model, write_model
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
    vectors = neighbors._vectors(neighbors.embedding_, neighbors.patterns_, np.arange(12))
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


def test_neighbors_of_version_6_compare_latent_vectors_alone(neighbors, small_series, tmp_path):
    folder = neighbors.save(tmp_path / "model")
    config, arrays = read_model(folder)
    del arrays["patterns"]  # what version 6 wrote
    write_model(tmp_path / "old", {**config, "format_version": 6}, dict(arrays))
    old = load_model(tmp_path / "old")
    assert old.patterns_ is None
    expected = brute_force(neighbors.space_(neighbors.embedding_.astype(np.float64)), 3)
    np.testing.assert_array_equal(old.kneighbors()[1], expected[1])
    np.testing.assert_allclose(old.kneighbors(small_series("panel"), 1)[0], 0, atol=1e-4)


def test_a_model_without_patterns_compares_latent_vectors(fitted):
    model = fitted("VRAENeighbors", "panel", pattern_weight=0.0)
    assert model.patterns_ is None
    assert model.kneighbors()[1].shape == (12, 5)


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


@pytest.fixture(scope="module")
def kinds() -> tuple[VRAENeighbors, np.ndarray, np.ndarray]:
    """Return neighbors among half of the series of four kinds, the other half, and its kinds."""
    rng = np.random.default_rng(0)
    kind, t = np.arange(160) % 4, np.arange(80)
    start, period = rng.integers(10, 50, 160), np.array([16.0, 16.0, 16.0, 12.0])[kind]
    age = t - start[:, None]
    wave = 2 * np.pi * age / period[:, None]
    shapes = np.stack([np.sin(wave), np.sign(np.sin(wave)), (wave / (2 * np.pi)) % 1, np.sin(wave) ** 3], axis=1)
    X = shapes[np.arange(160), kind] * ((age >= 0) & (age < 32)) + 0.3 * rng.standard_normal((160, 80))
    model = VRAENeighbors(10, model=VRAE(max_epochs=2), random_state=0).fit(X[:80])
    return model, X[80:], kind[80:]


def test_neighbours_of_new_series_are_of_their_kind(kinds):
    neighbors, X, kind = kinds
    found = neighbors.kneighbors(X, return_distance=False)
    raw = np.argsort(np.linalg.norm(X[:, None] - neighbors.series_.values.reshape(80, 80), axis=2))[:, :10]
    precision, euclidean = ((np.arange(80)[indices] % 4 == kind[:, None]).mean() for indices in (found, raw))
    print(precision, euclidean)
    assert precision > euclidean + 0.3
    assert precision > 0.8


def test_statistics_and_latent_vectors_count_the_same(kinds):
    neighbors, _, _ = kinds
    vectors = neighbors._vectors(neighbors.embedding_, neighbors.patterns_, np.arange(80))
    size = neighbors.model_.network_.config.neighbour_size
    of_latent, of_patterns = vectors[:, :size].var(axis=0).sum(), vectors[:, size:].var(axis=0).sum()
    assert of_patterns == pytest.approx(of_latent, rel=0.2)


def test_align_finds_planted_shifts_of_series_with_gaps_and_unequal_lengths(kinds):
    rng = np.random.default_rng(3)
    walk = np.cumsum(rng.standard_normal((6, 140)), axis=1)
    panel = Panel.from_arrays([row[30:110] for row in walk])
    neighbors = VRAENeighbors(1, model=FrozenEstimator(kinds[0])).fit(panel)
    shifts = np.array([0, 3, -5, 12, -9, 1])
    lengths = 80 - 6 * (np.arange(6) % 2)
    later = [row[30 - lag : 30 - lag + n] for row, lag, n in zip(walk, shifts, lengths, strict=True)]
    for row in later:
        row[rng.random(len(row)) < 0.1] = np.nan
    distances, indices, lags = neighbors.kneighbors(later, 6, align=True)
    own = indices == np.arange(6)[:, None]
    assert lags[own].tolist() == shifts.tolist()
    assert distances.shape == lags.shape == (6, 6)
    np.testing.assert_array_equal(neighbors.kneighbors(later, 6, False, align=True)[1], lags)
    np.testing.assert_array_equal(neighbors.similar(later, 6).lag, lags.ravel())


def test_align_has_no_lag_where_there_is_no_neighbour(small_series, fitted):
    X = small_series("2d")
    X[4] = np.nan
    model = make_estimator("VRAENeighbors", n_neighbors=2, on_invalid="keep").fit(X)
    _, indices, lags = model.kneighbors(align=True)
    assert lags.shape == indices.shape
    assert (lags[4] == 0).all()
    with pytest.raises(InvalidParameterError, match="align"):
        model.kneighbors(align="yes")


@pytest.mark.parametrize("lag", [0, 3, -5])
def test_planted_lags_are_found(lag):
    rng = np.random.default_rng(0)
    long = np.convolve(rng.standard_normal(82), np.ones(3), "valid")
    pair = long[20 - lag : 60 - lag], long[20:60]  # the first is ``lag`` steps behind
    x, reference = (torch.from_numpy(s - s.mean())[None, :, None] for s in pair)
    masks = torch.ones_like(x), torch.ones_like(reference)
    assert pair_lags(x, reference, torch.tensor([20]), *masks).tolist() == [lag]
    assert pair_lags(x, reference, torch.tensor([0]), *masks).tolist() == [0]


def test_lags_of_unequal_lengths_and_of_constants():
    wave = torch.sin(torch.arange(30) / 3)[None, :, None]
    short = wave[:, 4:20]
    masks = torch.ones_like(short), torch.ones_like(wave)
    assert pair_lags(short, wave, torch.tensor([8]), *masks).tolist() == [-4]
    constant = torch.zeros(1, 9, 1)
    assert pair_lags(constant, wave, torch.tensor([4]), torch.ones_like(constant), masks[1]).tolist() == [0]
