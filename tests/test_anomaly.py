"""Anomalies: planted ones are found, in their place, and few normal series are called anomalous."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from sklearn.base import clone, is_outlier_detector
from sklearn.frozen import FrozenEstimator

from conftest import make_estimator
from vrae import VRAE, Panel, VRAEAnomalyDetector, load_model
from vrae.estimators.local_density import LocalDensity, reference_rows
from vrae.estimators.scores import quantile_threshold, tail_threshold
from vrae.exceptions import InvalidDataError, InvalidParameterError, NotFittedError
from vrae.io.folder import write_folder

pytestmark = pytest.mark.filterwarnings("ignore::vrae.exceptions.PosteriorCollapseWarning")


def waves(n: int, seed: int, n_steps: int = 60) -> np.ndarray:
    """Return noisy waves of one period and any phase, (n, n_steps)."""
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, 1, (n, 1))
    return 10 + np.sin(2 * np.pi * (np.arange(n_steps) / 20 + phase)) + 0.1 * rng.standard_normal((n, n_steps))


def detector_of(max_epochs: int, **options: Any) -> VRAEAnomalyDetector:
    """Return a detector with the default model, but for the number of epochs."""
    return VRAEAnomalyDetector(**options, random_state=0).set_params(model__max_epochs=max_epochs)


@pytest.fixture(scope="module")
def detector() -> VRAEAnomalyDetector:
    return detector_of(40, contamination=0.05).fit(waves(150, 0))


@pytest.fixture
def quick() -> Callable[..., Any]:
    """Return a function that fits a detector with a tiny model."""
    return lambda X, **options: make_estimator("VRAEAnomalyDetector", **options).fit(X)


# ---------------------------------------------------------------- planted anomalies


@pytest.mark.slow
def test_planted_spikes_and_shapes_have_the_lowest_scores_and_are_located(detector):
    X = waves(60, 1)
    X[3, 41] += 4  # a spike
    X[7, 20:40] = 10  # a wave that stops for a while
    X[11] = 10 + np.sin(2 * np.pi * np.arange(60) / 7)  # another period
    scores = detector.score_samples(X)
    assert sorted(np.argsort(scores)[:3].tolist()) == [3, 7, 11]
    assert (detector.predict(X)[[3, 7, 11]] == -1).all()
    deviation = np.abs(detector.step_scores(X))
    assert deviation.shape == X.shape
    assert deviation[3].argmax() == 41
    assert deviation[3].max() > 5
    assert deviation[7].argmax() in range(20, 40)
    band = detector.expected_range(X, width=3)
    outside = np.less(X, band.low) | np.greater(X, band.high)
    np.testing.assert_array_equal(outside, deviation > 3)
    assert outside[3, 41]
    normal = np.setdiff1d(np.arange(60), [3, 7, 11])
    assert outside[normal].mean() < 0.02


@pytest.mark.slow
def test_the_false_alarm_rate_is_kept():
    rate = 0.03
    detector = detector_of(15, contamination="auto", false_alarm_rate=rate).fit(waves(600, 0, 30))
    found = (detector.predict(waves(2000, 5, 30)) == -1).mean()
    # The threshold comes from 600 series: three standard errors of such a sample.
    assert abs(found - rate) <= 3 * np.sqrt(rate / 600)


def test_the_tail_threshold_extrapolates_beyond_the_largest_score():
    rng = np.random.default_rng(0)
    found = [tail_threshold(rng.exponential(size=2000), 0.001) for _ in range(30)]
    assert abs(np.median(found) - np.log(1000)) < 0.4
    assert tail_threshold(np.ones(50), 0.01) == 1.0
    scores: Any = np.arange(100.0)
    assert tail_threshold(scores, 0.3) == quantile_threshold(scores, 0.3)


def of_kinds(n: int, seed: int, n_kinds: int = 4) -> np.ndarray:
    """Return vectors (n, 20) of several kinds, one three times as wide as the others."""
    rng = np.random.default_rng(seed)
    kinds = 8 * np.random.default_rng(99).standard_normal((n_kinds, 20))
    kind = rng.integers(n_kinds, size=n)
    return kinds[kind] + np.where(kind == 0, 3.0, 1.0)[:, None] * rng.standard_normal((n, 20))


def auc(anomalies: np.ndarray, normal: np.ndarray) -> float:
    return float((anomalies[:, None] > normal).mean())


def test_several_kinds_of_normal_are_normal_and_what_lies_between_them_is_not():
    density = LocalDensity.fit(of_kinds(200, 0), None)
    normal, between = density(of_kinds(200, 1)), density(np.zeros((50, 20)) + 0.1 * of_kinds(50, 2))
    assert auc(between, normal) > 0.97
    assert abs(np.median(normal)) < 0.5
    assert 0.5 < np.subtract(*np.quantile(normal, [0.75, 0.25])) / 1.35 < 2


@pytest.mark.parametrize("n_anomalies", [10, 20])
def test_anomalies_that_are_alike_do_not_vouch_for_each_other(n_anomalies):
    alike = 5 + 0.3 * np.random.default_rng(5).standard_normal((n_anomalies, 20))
    X = np.concatenate([of_kinds(200, 0, 2), alike])
    scores = LocalDensity.fit(X, 0.1).scores
    assert auc(scores[200:], scores[:200]) > 0.95


def test_references_have_scores_like_those_of_new_vectors():
    X = np.random.default_rng(0).standard_normal((150, 400))  # more statistics than series
    density = LocalDensity.fit(X, None)
    new = density(np.random.default_rng(1).standard_normal((300, 400)))
    assert abs(np.median(new) - np.median(density.scores)) < 1  # without cross-fitting: 13
    np.testing.assert_array_equal(density(X), density.scores)


def test_new_normal_series_look_no_more_anomalous_than_those_of_a_small_fit():
    beyond = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        season = 0.5 * np.sin(2 * np.pi * (np.arange(104) - rng.normal(0, 3, (1300, 1))) / 52)
        X = rng.poisson(np.exp(rng.normal(3, 1, (1300, 1)) + season + 0.2 * rng.standard_normal((1300, 104))))
        detector = VRAEAnomalyDetector("auto", model=VRAE(max_epochs=1), random_state=0).fit(X[:300].astype(float))
        beyond.append(np.mean(detector.score_samples(X[300:].astype(float)) < np.median(detector.scores_)))
    assert 0.4 < np.mean(beyond) < 0.62  # five parts for cross-fitting: 0.7


def test_a_reference_keeps_few_of_many_series():
    rows = reference_rows(np.arange(0, 10_000, 2), 2048)
    assert len(rows) == 2048
    assert (np.diff(rows) > 0).all()
    assert (rows % 2 == 0).all()


# ---------------------------------------------------------------- scikit-learn's contract


def test_contract(quick, kind, small_series):
    X = small_series(kind)
    detector = quick(X, contamination=0.25)
    assert is_outlier_detector(detector)
    scores, verdict = detector.score_samples(X), detector.predict(X)
    assert scores.shape == verdict.shape == (12,)
    np.testing.assert_allclose(scores, detector.scores_, atol=1e-4)
    np.testing.assert_allclose(detector.decision_function(X), scores - detector.offset_)
    np.testing.assert_array_equal(verdict, np.where(detector.decision_function(X) < 0, -1, 1))
    assert (verdict == -1).sum() == 3
    np.testing.assert_array_equal(clone(detector).fit_predict(X), verdict)
    deviation = detector.step_scores(X)
    assert type(deviation) is type(X)
    for one, x in zip(deviation, X, strict=True):
        assert np.shape(one) == np.shape(x)
        np.testing.assert_array_equal(np.isnan(one), np.isnan(x))
    assert all(np.isfinite(part).all() for edge in detector.expected_range(X) for part in edge)
    together, steps = detector.score_series_and_steps(X)
    np.testing.assert_array_equal(together, scores)
    for one, alone in zip(steps, deviation, strict=True):
        np.testing.assert_array_equal(one, alone)


@pytest.mark.parametrize("kind", ["missing", "list of channels"])
def test_a_score_does_not_depend_on_the_other_series(quick, kind, small_series):
    X = small_series(kind)
    detector = quick(X)
    together = detector.score_samples(X)
    alone = np.concatenate([detector.score_samples(X[row : row + 1]) for row in range(len(X))])
    np.testing.assert_allclose(alone, together, atol=1e-3)


def test_the_score_of_a_short_series_does_not_depend_on_the_other_series(quick, small_series):
    detector = quick(small_series("2d"))
    x = small_series("2d", 1)[0]
    short = [x[:n] for n in (1, 2, 3, 4)]
    together = detector.score_samples([*short, x])
    for series, score in zip(short, together, strict=False):
        np.testing.assert_allclose(detector.score_samples([series]), [score], rtol=1e-4)


@pytest.mark.parametrize("contamination", [0.1, "auto"])
def test_a_loaded_detector_gives_the_same_scores(quick, small_series, tmp_path, contamination):
    X = small_series("list", 72)
    detector = quick(X, contamination=contamination)
    loaded = load_model(detector.save(tmp_path / "model"))
    assert isinstance(loaded, VRAEAnomalyDetector)
    assert loaded.offset_ == detector.offset_
    np.testing.assert_array_equal(loaded.scores_, detector.scores_)
    np.testing.assert_allclose(loaded.score_samples(X), detector.score_samples(X))
    np.testing.assert_array_equal(loaded.predict(X), detector.predict(X))


@pytest.mark.parametrize("contamination", [0.1, "auto"])
def test_a_detector_can_use_a_fitted_model(quick, small_series, tiny, contamination):
    X = small_series("list", 72)
    model = VRAE(**tiny, beta=0.3).fit(X)
    detector = VRAEAnomalyDetector(contamination, model=FrozenEstimator(model), random_state=0).fit(X)
    assert detector.model_ is model
    assert np.isfinite(detector.score_samples(X)).all()
    if contamination != "auto":  # nothing is held out: a detector that fits the model itself finds the same
        np.testing.assert_array_equal(detector.scores_, quick(X, contamination=contamination).scores_)


def test_series_beyond_the_references_are_scored_too(quick, small_series, monkeypatch):
    monkeypatch.setattr("vrae.estimators.anomaly._MOST_REFERENCES", 30)
    X = small_series("2d", 72)
    detector = quick(X, contamination=0.1)
    assert len(detector.reference_.vectors) == 30
    assert np.isfinite(detector.scores_).all()
    np.testing.assert_allclose(detector.score_samples(X), detector.scores_, atol=1e-4)


def test_a_detector_of_an_older_version_says_that_it_must_be_fitted_again(quick, small_series, tmp_path):
    X = small_series("2d")
    detector = quick(X)
    folder = detector.save(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    arrays = load_file(folder / "weights.safetensors")
    arrays = {name: array for name, array in arrays.items() if not name.startswith(("reference.", "weights"))}
    arrays["reference.center"] = np.zeros(3)
    del config["weights_sha256"]
    write_folder(folder, {**config, "format_version": 6}, arrays)
    loaded = load_model(folder)
    np.testing.assert_array_equal(loaded.scores_, detector.scores_)
    np.testing.assert_allclose(loaded.step_scores(X), detector.step_scores(X))
    for refused in (loaded.predict, loaded.decision_function, loaded.score_samples):
        with pytest.raises(NotFittedError, match="Fit it again"):
            refused(X)


def test_a_series_without_values_gets_no_verdict(quick, small_series):
    X = small_series("2d")
    X[4] = np.nan
    detector = quick(X, on_invalid="keep")
    assert detector.predict(X)[4] == 0
    assert np.isnan(detector.score_samples(X)[4])
    assert np.isnan(detector.step_scores(X)[4]).all()
    assert (detector.predict(X)[:4] != 0).all()


def test_models_of_every_kind_give_scores(quick, small_series):
    X = small_series("2d")
    for options in ({"pattern_weight": 0.0}, {"max_lag": 3}, {"scaling": None}, {"level_weight": 1.0}):
        detector = quick(X, **options)
        assert np.isfinite(detector.score_samples(X)).all(), options
        assert np.isfinite(detector.step_scores(X)).all(), options
        together, steps = detector.score_series_and_steps(X)
        np.testing.assert_array_equal(together, detector.score_samples(X))
        np.testing.assert_array_equal(steps, detector.step_scores(X))


def test_identical_series_are_no_error(quick):
    detector = quick(np.tile(np.sin(np.arange(16.0)), (10, 1)))
    assert np.isfinite(detector.scores_).all()


def test_training_can_continue(small_series):
    detector = make_estimator("VRAEAnomalyDetector")
    panel = Panel.from_arrays(small_series("2d"), ids=[f"a{i}" for i in range(12)])
    later = Panel.from_arrays(small_series("2d", seed=1), ids=[f"b{i}" for i in range(12)])
    detector.partial_fit(panel)
    np.testing.assert_array_equal(detector.scores_, clone(detector).fit(panel).scores_)
    detector.partial_fit(later)
    assert detector.ids_.tolist() == [*panel.ids, *later.ids]
    assert detector.scores_.shape == (24,)
    np.testing.assert_allclose(detector.score_samples(later), detector.scores_[12:], atol=1e-4)
    clone(detector).set_params(contamination="auto").partial_fit(Panel.from_arrays(small_series("2d", 30)))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"contamination": 0.0}, "contamination"),
        ({"contamination": 0.6}, "contamination"),
        ({"contamination": "yes"}, "contamination"),
        ({"contamination": "auto", "false_alarm_rate": 0.0}, "false_alarm_rate"),
    ],
)
def test_bad_options(quick, small_series, options, words):
    with pytest.raises(InvalidParameterError, match=words):
        quick(small_series("2d", 72), **options)


def test_too_few_series_to_estimate_a_tail(quick, small_series):
    with pytest.raises(InvalidDataError, match="at least 20 series; found 12"):
        quick(small_series("2d"), contamination="auto")


def test_a_band_needs_a_width(quick, small_series):
    X = small_series("2d")
    with pytest.raises(InvalidParameterError, match="width"):
        quick(X).expected_range(X, width=0)
