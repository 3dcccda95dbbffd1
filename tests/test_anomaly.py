"""Anomalies: what was planted is found, where it was planted, and nothing much is found where nothing is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone, is_outlier_detector

from vrae import VRAE, Panel, VRAEAnomalyDetector, load_model
from vrae.estimators.threshold import share_threshold, tail_threshold
from vrae.estimators.unusual import Majority
from vrae.exceptions import InvalidDataError, InvalidParameterError
from vrae.nn.bound import worst_stretch

pytestmark = pytest.mark.filterwarnings("ignore::vrae.exceptions.PosteriorCollapseWarning")


def waves(n: int, seed: int, n_steps: int = 60) -> np.ndarray:
    """Return noisy waves of one period and any phase, (n, n_steps)."""
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, 1, (n, 1))
    return 10 + np.sin(2 * np.pi * (np.arange(n_steps) / 20 + phase)) + 0.1 * rng.standard_normal((n, n_steps))


@pytest.fixture(scope="module")
def detector() -> VRAEAnomalyDetector:
    return VRAEAnomalyDetector(0.05, random_state=0, max_epochs=40).fit(waves(150, 0))


@pytest.fixture
def quick(fitted: Any, tiny: dict[str, Any]) -> Any:
    return lambda X, **options: VRAEAnomalyDetector(**{**tiny, **options}).fit(X)


# ---------------------------------------------------------------- planted


@pytest.mark.slow
def test_planted_spikes_and_shapes_are_the_most_unusual_and_in_their_place(detector):
    X = waves(60, 1)
    X[3, 41] += 4  # a spike
    X[7, 20:40] = 10  # a wave that stops for a while
    X[11] = 10 + np.sin(2 * np.pi * np.arange(60) / 7)  # another period
    scores = detector.score_samples(X)
    assert sorted(np.argsort(scores)[:3].tolist()) == [3, 7, 11]
    assert (detector.predict(X)[[3, 7, 11]] == -1).all()
    away = np.abs(detector.step_scores(X))
    assert away.shape == X.shape
    assert away[3].argmax() == 41
    assert away[3].max() > 5
    assert away[7].argmax() in range(20, 40)
    band = detector.explain(X, width=3)
    outside = np.less(X, band.low) | np.greater(X, band.high)
    np.testing.assert_array_equal(outside, away > 3)
    assert outside[3, 41]
    usual = np.setdiff1d(np.arange(60), [3, 7, 11])
    assert outside[usual].mean() < 0.02


@pytest.mark.slow
def test_usual_series_pass_the_tail_threshold_as_rarely_as_stated():
    rate = 0.03
    detector = VRAEAnomalyDetector("auto", false_alarm_rate=rate, random_state=0, max_epochs=15).fit(waves(600, 0, 30))
    found = (detector.predict(waves(2000, 5, 30)) == -1).mean()
    # 200 series were held out to learn it: their own chance is three standard errors.
    assert found <= rate + 3 * np.sqrt(rate / 200)


def test_the_tail_threshold_is_right_beyond_the_scores_it_was_learned_from():
    rng = np.random.default_rng(0)
    found = [tail_threshold(rng.exponential(size=2000), 0.001) for _ in range(30)]
    assert abs(np.median(found) - np.log(1000)) < 0.4
    assert tail_threshold(np.ones(50), 0.01) == 1.0
    scores = np.arange(100.0)
    assert tail_threshold(scores, 0.3) == share_threshold(scores, 0.3)


def test_the_majority_is_not_moved_by_two_fifths_of_others():
    rng = np.random.default_rng(0)
    Z = np.concatenate([rng.standard_normal((300, 5)), 0.2 * rng.standard_normal((200, 5)) + 6])
    majority, limit = Majority.fit(Z)
    assert np.abs(majority.center).max() < 0.3
    inside = majority.distance(Z) <= limit
    assert inside[:300].mean() > 0.9
    assert not inside[300:].any()


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
    away = detector.step_scores(X)
    assert type(away) is type(X)
    for one, x in zip(away, X, strict=True):
        assert np.shape(one) == np.shape(x)
        np.testing.assert_array_equal(np.isnan(one), np.isnan(x))
    assert all(np.isfinite(part).all() for edge in detector.explain(X) for part in edge)


@pytest.mark.parametrize("kind", ["missing", "list of channels"])
def test_company_does_not_change_a_score(quick, kind, small_series):
    X = small_series(kind)
    detector = quick(X)
    whole = detector.score_samples(X)
    alone = np.concatenate([detector.score_samples(X[row : row + 1]) for row in range(len(X))])
    np.testing.assert_allclose(alone, whole, atol=1e-3)


def test_company_does_not_change_the_score_of_a_series_of_few_steps(quick, small_series):
    detector = quick(small_series("2d"))
    x = small_series("2d", 1)[0]
    short = [x[:n] for n in (1, 2, 3, 4)]
    together = detector.score_samples([*short, x])
    for series, score in zip(short, together, strict=False):
        np.testing.assert_allclose(detector.score_samples([series]), [score], rtol=1e-4)


def test_the_worst_stretch_of_a_short_series_is_all_of_it():
    squares = torch.tensor([[4.0, 0, 0, 0, 0], [1, 2, 0, 0, 0], [0, 3, 3, 9, 0]])
    found = worst_stretch(squares, torch.tensor([1, 2, 5]), 3)
    np.testing.assert_allclose(found, [4, 1.5, 5])
    np.testing.assert_allclose(worst_stretch(squares[:1, :1], torch.tensor([1]), 3), [4])


@pytest.mark.parametrize("contamination", [0.1, "auto"])
def test_saved_and_loaded_it_says_the_same(quick, small_series, tmp_path, contamination):
    X = small_series("list", 72)
    detector = quick(X, contamination=contamination)
    loaded = load_model(detector.save(tmp_path / "model"))
    assert isinstance(loaded, VRAEAnomalyDetector)
    assert loaded.offset_ == detector.offset_
    np.testing.assert_array_equal(loaded.scores_, detector.scores_)
    np.testing.assert_allclose(loaded.score_samples(X), detector.score_samples(X))
    np.testing.assert_array_equal(loaded.predict(X), detector.predict(X))


@pytest.mark.parametrize("contamination", [0.1, "auto"])
def test_a_fitted_network_serves_as_a_detector(quick, small_series, tiny, contamination):
    X = small_series("list", 72)
    model = VRAE(**tiny, beta=0.3).fit(X)
    detector = VRAEAnomalyDetector.of(model, X, contamination)
    assert detector.network_ is model.network_
    assert np.isfinite(detector.score_samples(X)).all()
    if contamination != "auto":  # nothing is held out: the very same as a detector that was fitted
        np.testing.assert_array_equal(detector.scores_, quick(X, contamination=contamination).scores_)


def test_a_series_without_values_gets_no_verdict(quick, small_series):
    X = small_series("2d")
    X[4] = np.nan
    detector = quick(X, on_invalid="keep")
    assert detector.predict(X)[4] == 0
    assert np.isnan(detector.score_samples(X)[4])
    assert np.isnan(detector.step_scores(X)[4]).all()
    assert (detector.predict(X)[:4] != 0).all()


@pytest.mark.parametrize("options", [{"local_patterns": 0.0}, {"max_lag": 3}, {"scaling": None}, {"level_weight": 1.0}])
def test_every_way_through_the_network_gives_scores(quick, small_series, options):
    X = small_series("2d")
    detector = quick(X, **options)
    assert np.isfinite(detector.score_samples(X)).all()
    assert np.isfinite(detector.step_scores(X)).all()


def test_series_that_are_all_alike_are_no_error(quick):
    detector = quick(np.tile(np.sin(np.arange(16.0)), (10, 1)))
    assert np.isfinite(detector.scores_).all()


def test_learning_goes_on(quick, small_series, tiny):
    detector = VRAEAnomalyDetector(**tiny)
    panel = Panel.from_arrays(small_series("2d"), ids=[f"a{i}" for i in range(12)])
    later = Panel.from_arrays(small_series("2d", seed=1), ids=[f"b{i}" for i in range(12)])
    detector.partial_fit(panel).partial_fit(later)
    assert detector.scores_.shape == (24,)


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


def test_too_few_series_for_a_tail(quick, small_series):
    with pytest.raises(InvalidDataError, match="60 series at least; found 12"):
        quick(small_series("2d"), contamination="auto")


def test_a_band_needs_a_width(quick, small_series):
    X = small_series("2d")
    with pytest.raises(InvalidParameterError, match="width"):
        quick(X).explain(X, width=0)
