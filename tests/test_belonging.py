"""Which new series are unlike all training series: false alarms, new kinds, few series, files."""

from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load, save
from scipy.spatial.distance import cdist

from vrae.estimators.belonging import MIN_REFERENCES, Belonging, reference_indices, tail_limit


def proportions(series):
    """Return simple pattern statistics (n, 120): how often series rise by more than thresholds."""
    series = (series - series.mean(axis=1, keepdims=True)) / series.std(axis=1, keepdims=True)
    thresholds = np.linspace(-2, 2, 12)
    rises = [series[:, lag:] - series[:, :-lag] for lag in range(1, 11)]
    return np.hstack([(rise[:, :, None] > thresholds).mean(axis=1) for rise in rises])


def fitted(statistics, rate=0.01):
    return Belonging.fit(statistics, np.full(len(statistics), 100), rate)


def is_new(belonging, statistics):
    return belonging.is_new(statistics, np.full(len(statistics), 100))


def waves(n, rng, shape=np.sin, noise=0.2, n_steps=100):
    period, phase = rng.uniform(12, 30, (n, 1)), rng.uniform(0, 2 * np.pi, (n, 1))
    return shape(2 * np.pi * np.arange(n_steps) / period + phase) + noise * rng.standard_normal((n, n_steps))


def sawtooth(angle):
    return angle / np.pi % 2 - 1


def uneven(angle):
    return np.sin(angle) + 0.4 * np.sin(2 * angle)


def square(angle):
    return np.sign(np.sin(angle))


@pytest.mark.parametrize(("n", "draws"), [(12, 60), (25, 40), (60, 30), (300, 8)])
def test_false_alarms_are_as_rare_as_stated(n, draws):
    rng = np.random.default_rng(0)
    new, known = 0, 400 * draws
    for _ in range(draws):
        belonging = fitted(proportions(waves(n, rng)))
        new += is_new(belonging, proportions(waves(400, rng))).sum()
    # Expected are at most 1 %. Alarms of one draw depend on each other, hence the wide bound.
    assert new / known <= 0.02


def test_a_higher_rate_gives_more_alarms():
    rng = np.random.default_rng(0)
    references, others = proportions(waves(400, rng)), proportions(waves(2000, rng))
    alarms = [is_new(fitted(references, rate), others).mean() for rate in (0.001, 0.01, 0.1)]
    assert alarms[0] < alarms[1] < alarms[2]
    assert 0.03 < alarms[2] < 0.15
    assert alarms[1] < 0.02


@pytest.mark.parametrize("n", [25, 300])
def test_new_kinds_are_found(n):
    rng = np.random.default_rng(1)
    belonging = fitted(proportions(waves(n, rng)))
    kinds = {
        "sawtooth": waves(40, rng, sawtooth),
        "square": waves(40, rng, square),
        "noise": rng.standard_normal((40, 100)),
        "random walk": rng.standard_normal((40, 100)).cumsum(axis=1),
    }
    found = {kind: is_new(belonging, proportions(series)).mean() for kind, series in kinds.items()}
    assert min(found.values()) >= 0.95, found


def test_series_near_a_regular_kind_are_found_by_their_isolation():
    rng = np.random.default_rng(2)
    noise, regular = rng.standard_normal((200, 30)), waves(200, rng, noise=0.02, n_steps=30)
    belonging = fitted(proportions(np.vstack([noise, regular])))
    new = proportions(waves(40, rng, uneven, noise=0.02, n_steps=30))
    distance, isolation = belonging.limits
    # Series of noise are far from each other, so a distance alone says little.
    assert is_new(replace(belonging, limits=np.array([distance, np.inf])), new).mean() < 0.8
    assert is_new(replace(belonging, limits=np.array([np.inf, isolation])), new).mean() > 0.9
    assert is_new(belonging, new).mean() > 0.9
    assert is_new(belonging, proportions(rng.standard_normal((400, 30)))).mean() < 0.03


def test_limits_come_from_references_without_themselves():
    rng = np.random.default_rng(13)
    belonging = fitted(proportions(waves(40, rng)))
    between = cdist(belonging.references, belonging.references)
    distance, isolation = [], []
    for own in range(40):
        others = np.delete(np.arange(40), own)
        # The first neighbour is the reference itself.
        scales = np.sort(between[np.ix_(others, others)], axis=1)[:, 10]
        distance.append(between[own, others].min())
        isolation.append((between[own, others] / scales).min())
    expected = [tail_limit(np.array(scores), 0.005) for scores in (distance, isolation)]
    np.testing.assert_allclose(belonging.limits, expected, rtol=1e-5)


def test_new_does_not_depend_on_the_batch():
    rng = np.random.default_rng(3)
    belonging = fitted(proportions(waves(50, rng)))
    mixed = proportions(np.vstack([waves(5, rng), waves(5, rng, square)]))
    one_by_one = [belonging.novelty(row[None])[0] for row in mixed]
    np.testing.assert_allclose(belonging.novelty(mixed), one_by_one, rtol=1e-6)


def test_training_series_are_not_new():
    rng = np.random.default_rng(4)
    unusual = waves(1, rng, square, noise=0.0)
    references = proportions(np.vstack([waves(80, rng), unusual]))
    belonging = fitted(references)
    rounded = references + 1e-7 * rng.standard_normal(references.shape)
    assert not is_new(belonging, rounded).any()


def test_one_unusual_training_series_hides_no_others():
    scores = np.random.default_rng(5).exponential(size=80)
    unusual = np.where(scores == scores.max(), 1e3, scores)
    assert tail_limit(unusual, 0.01) == tail_limit(scores, 0.01)


def test_clearly_shorter_series_are_not_judged():
    rng = np.random.default_rng(14)
    belonging, others = fitted(proportions(waves(50, rng))), proportions(waves(3, rng, square))
    assert belonging.is_new(others, np.array([100, 91, 89])).tolist() == [True, True, False]


@pytest.mark.parametrize("n", [1, 2, MIN_REFERENCES - 1])
def test_too_few_series_cannot_tell_what_is_new(n):
    rng = np.random.default_rng(6)
    belonging = fitted(proportions(waves(n, rng)))
    assert not is_new(belonging, proportions(waves(10, rng, square))).any()


@pytest.mark.parametrize("n", [MIN_REFERENCES, 200])
def test_identical_series(n):
    rng = np.random.default_rng(7)
    one = proportions(waves(1, rng))
    belonging = fitted(np.repeat(one, n, axis=0))
    assert not is_new(belonging, one + 1e-7 * rng.standard_normal((5, one.shape[1]))).any()
    assert is_new(belonging, proportions(waves(5, rng, square))).all()


def test_a_statistic_without_variation_does_not_dominate():
    rng = np.random.default_rng(8)
    constant = np.full((100, 1), 0.5)
    belonging = fitted(np.hstack([proportions(waves(100, rng)), constant]))
    nearly = np.hstack([proportions(waves(200, rng)), constant[:1].repeat(200, axis=0) + 0.01])
    assert is_new(belonging, nearly).mean() < 0.04


def test_saved_and_restored():
    rng = np.random.default_rng(9)
    belonging = fitted(proportions(waves(30, rng)))
    restored = Belonging.from_arrays(load(save(belonging.arrays())), 120)
    others = proportions(waves(50, rng, square))
    np.testing.assert_array_equal(restored.novelty(others), belonging.novelty(others))


@pytest.mark.parametrize("name", ["weights", "references", "scales", "limits", "shortest"])
def test_arrays_that_do_not_fit_are_refused(name):
    arrays = fitted(proportions(waves(20, np.random.default_rng(10)))).arrays()
    with pytest.raises(ValueError, match="should have the shape"):
        Belonging.from_arrays({**arrays, name: arrays[name][..., :-1]}, 120)


def test_the_same_series_give_the_same_result():
    references = proportions(waves(40, np.random.default_rng(11)))
    first, second = (fitted(references).arrays() for _ in range(2))
    assert all((first[name] == second[name]).all() for name in first)


def test_references_are_a_sample():
    few, many = np.arange(5, 40), np.arange(5_000)
    np.testing.assert_array_equal(reference_indices(few), few)
    chosen = reference_indices(many)
    assert len(np.unique(chosen)) == 2_000
    assert (np.diff(chosen) > 0).all()


@pytest.mark.parametrize("n", [10, 30, 100])
@pytest.mark.parametrize("rate", [0.005, 0.05])
def test_the_limit_is_exact_for_exponential_tails(n, rate):
    scores = np.random.default_rng(12).exponential(size=(20_000, n))
    exceeded = np.exp([-tail_limit(own, rate) for own in scores]).mean()
    assert exceeded == pytest.approx(rate, rel=0.05)
