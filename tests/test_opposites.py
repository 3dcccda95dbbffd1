"""Opposites: what was planted is found, with its lag, and nothing is found where nothing is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from vrae import Panel, find_opposites
from vrae.estimators.departures import Courses, align, depart, normal_scores, presence, whiten
from vrae.estimators.opposites import KINDS
from vrae.exceptions import InvalidDataError, InvalidParameterError


def autoregressive(n, time, phi, rng):
    noise = rng.standard_normal((n, time + 100))
    x = np.zeros_like(noise)
    for t in range(1, time + 100):
        x[:, t] = phi * x[:, t - 1] + noise[:, t]
    return x[:, 100:]


def sales(n, time, rng):
    """Items around different levels, with a season that all share."""
    level = rng.uniform(20, 200, n)[:, None]
    season = 1 + 0.4 * np.sin(2 * np.pi * np.arange(time) / 26)
    return rng.poisson(level * season).astype(float)


def with_introduction(X, of, share, step, rng):
    """Add an item that takes a share of item ``of`` from a step on."""
    X = X.copy()
    taken = np.zeros(X.shape[1])
    taken[step:] = rng.binomial(X[of, step:].astype(int), share)
    X[of] -= taken
    return np.vstack([X, taken])


def pairs(found):
    return {frozenset((a, b)) for a, b in zip(found.item.tolist(), found.other.tolist(), strict=True)}


# ---------------------------------------------------------------- planted


def test_an_introduction_that_takes_sales_is_found():
    rng = np.random.default_rng(0)
    X = with_introduction(sales(30, 104, rng), of=7, share=0.5, step=50, rng=rng)
    found = find_opposites(X)
    assert pairs(found) == {frozenset((30, 7))}
    assert (found.item[0], found.other[0], found.kind[0], found.lag[0]) == (30, 7, "introduction", 0)
    assert found.taken[0] == pytest.approx(0.5, abs=0.05)
    assert found.strength[0] < -0.5
    assert found.p_value[0] < found.q_value[0] < 1e-3


def test_a_withdrawal_that_gives_sales_back_is_found():
    rng = np.random.default_rng(1)
    X = with_introduction(sales(30, 104, rng), of=7, share=0.5, step=50, rng=rng)[:, ::-1]
    found = find_opposites(X)
    assert (found.item[0], found.other[0], found.kind[0]) == (30, 7, "withdrawal")
    assert found.taken[0] == pytest.approx(0.5, abs=0.05)


def test_an_introduction_that_takes_nothing_is_not_found():
    rng = np.random.default_rng(2)
    X = sales(30, 104, rng)
    X[3, :40] = 0
    assert len(find_opposites(X)) == 0


@pytest.mark.parametrize("lag", [0, 2, -3])
def test_mirrored_movements_are_found_with_their_lag(lag):
    rng = np.random.default_rng(3)
    X = autoregressive(30, 120, 0.5, rng)
    X[9] = -np.roll(X[4], lag) + 0.5 * rng.standard_normal(120)
    found = find_opposites(X, max_lag=3)
    assert pairs(found) == {frozenset((4, 9))}
    assert found.kind[0] == "movement"
    assert found.lag[0] == (lag if found.item[0] == 4 else -lag)
    assert np.isnan(found.taken[0])


def test_movements_that_go_together_are_not_opposites():
    rng = np.random.default_rng(4)
    X = autoregressive(30, 120, 0.5, rng)
    X[9] = X[4] + 0.3 * rng.standard_normal(120)
    assert len(find_opposites(X)) == 0


def test_two_items_alone_have_no_course_but_can_be_opposites():
    rng = np.random.default_rng(5)
    first = autoregressive(1, 100, 0.3, rng)[0]
    X = np.stack([first, -first + 0.3 * rng.standard_normal(100)])
    assert len(find_opposites(X)) == 1


# ---------------------------------------------------------------- noise


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("time", [52, 120])
def test_independent_series_yield_no_findings_beyond_the_level(phi, time):
    runs = 0
    for seed in range(20):
        X = autoregressive(60, time, phi, np.random.default_rng(seed))
        X -= X.min()
        X[::6, : time // 3] = 0  # introductions
        runs += len(find_opposites(X, max_lag=1)) > 0
    assert runs <= 4  # of 20 at a level of 5 %: more than 4 are rarer than 3 in 1000


def test_trends_that_wander_yield_no_findings_beyond_the_level():
    runs = 0
    for seed in range(20):
        X = np.cumsum(np.random.default_rng(seed).standard_normal((60, 80)), axis=1)
        runs += len(find_opposites(X)) > 0
    assert runs <= 4


def test_a_course_that_all_share_makes_no_opposites():
    # Six items: what is left of each of them without the course leans against all the others.
    runs = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        runs += len(find_opposites(autoregressive(8, 200, 0.3, rng) + 4 * autoregressive(1, 200, 0.7, rng))) > 0
    assert runs <= 4


def test_chance_is_as_rare_as_it_says():
    few = 0
    for seed in range(10):
        found = find_opposites(autoregressive(100, 80, 0.5, np.random.default_rng(seed)), level=1.0)
        few += int((found.p_value < 0.01).sum())
    expected = 0.01 * 10 * 4950
    assert 0.4 * expected < few < 1.2 * expected  # not far too careful either


def test_shuffled_sales_yield_nothing():
    rng = np.random.default_rng(6)
    X = with_introduction(sales(30, 104, rng), of=7, share=0.7, step=50, rng=rng)
    shuffled = rng.permuted(X, axis=1)
    assert len(find_opposites(shuffled)) == 0


# ---------------------------------------------------------------- contract


def test_pairs_are_looked_for_within_groups_only():
    rng = np.random.default_rng(7)
    X = autoregressive(20, 100, 0.3, rng)
    X[1] = -X[0] + 0.3 * rng.standard_normal(100)
    together, apart = np.repeat([0, 1], 10), np.arange(20) % 2
    assert pairs(find_opposites(X, together)) == {frozenset((0, 1))}
    assert len(find_opposites(X, apart)) == 0
    assert find_opposites(X, together).n_pairs == (90, 0)


def test_ids_groups_and_order_come_back():
    rng = np.random.default_rng(8)
    X = autoregressive(20, 100, 0.3, rng)
    X[1] = -X[0] + 0.5 * rng.standard_normal(100)
    X[12] = -X[15] + 0.1 * rng.standard_normal(100)
    kind = np.array(["tea", "soup"], object)[np.repeat([0, 1], 10)]
    panel = Panel.from_arrays(X, ids=[f"item {i}" for i in range(20)], static={"kind": kind})
    found = find_opposites(panel, "kind")
    assert found.group.tolist() == ["soup", "tea"]  # the surest first
    assert found.item.tolist() == ["item 12", "item 0"]
    assert found.other.tolist() == ["item 15", "item 1"]
    assert (np.diff(found.q_value) >= 0).all()
    assert set(found.kind.tolist()) <= set(KINDS)
    assert {len(column) for column in found.columns().values()} == {2}


def test_q_values_are_those_of_benjamini_and_hochberg():
    X = autoregressive(30, 60, 0.3, np.random.default_rng(9))
    found = find_opposites(X, level=1.0)
    p = np.ones(30 * 29 // 2)
    p[: len(found)] = found.p_value
    np.testing.assert_allclose(np.sort(found.q_value), np.sort(false_discovery_control(p))[: len(found)])


def test_groups_of_one_and_of_none_are_left_out():
    X = autoregressive(6, 60, 0.3, np.random.default_rng(10))
    assert find_opposites(X, np.arange(6)).n_pairs == (0, 0)
    groups = np.array(["a", "a", None, "b", float("nan"), None], object)
    assert find_opposites(X, groups).n_pairs == (1, 0)


def test_time_stamps_say_what_stands_beside_what():
    rng = np.random.default_rng(11)
    first = autoregressive(1, 100, 0.3, rng)[0]
    second = -first[20:] + 0.3 * rng.standard_normal(80)
    times = np.concatenate([np.arange(100), np.arange(20, 100)])
    panel = Panel.from_arrays([first, second], ids=["a", "b"], times=times)
    assert np.isnan(align(panel)[1, :20]).all()
    assert find_opposites(panel).lag.tolist() == [0]
    assert len(find_opposites(Panel.from_arrays([first, second], ids=["a", "b"]))) == 0


def test_missing_values_and_series_without_any_do_not_matter():
    rng = np.random.default_rng(12)
    X = autoregressive(20, 150, 0.3, rng)
    X[1] = -X[0] + 0.3 * rng.standard_normal(150)
    X[rng.random(X.shape) < 0.1] = np.nan
    X[5] = np.nan
    X[6] = 3.0
    assert pairs(find_opposites(X)) == {frozenset((0, 1))}


@pytest.mark.parametrize(
    ("groups", "error", "words"),
    [
        ("kindd", InvalidParameterError, "Did you mean 'kind'"),
        (np.zeros(3), InvalidDataError, r"found shape \(3,\)"),
    ],
)
def test_groups_that_do_not_fit_are_refused(groups, error, words):
    panel = Panel.from_arrays(np.ones((4, 20)), static={"kind": np.array(list("aabb"))})
    with pytest.raises(error, match=words):
        find_opposites(panel, groups)


def test_bad_options_are_refused():
    X = np.ones((4, 20))
    with pytest.raises(InvalidDataError, match="one channel"):
        find_opposites(np.ones((4, 2, 20)))
    with pytest.raises(InvalidParameterError, match="max_lag"):
        find_opposites(X, max_lag=-1)
    with pytest.raises(InvalidParameterError, match="season"):
        find_opposites(X, season=1)
    with pytest.raises(InvalidParameterError, match="No column 'kind'"):
        find_opposites(X, "kind")


def test_same_data_same_result():
    X = autoregressive(40, 80, 0.4, np.random.default_rng(13))
    first, second = find_opposites(X, level=1.0), find_opposites(X, level=1.0)
    for name, column in first.columns().items():
        np.testing.assert_array_equal(column, second.columns()[name])


# ---------------------------------------------------------------- parts


def test_presence_knows_an_introduction_from_a_slow_seller():
    rng = np.random.default_rng(14)
    X = np.ones((4, 60))
    X[0, :20] = 0  # introduced
    X[1, -15:] = 0  # withdrawn
    X[2] = rng.random(60) < 0.1  # sells once in ten weeks
    X[2, :12] = 0
    X[3] = -1.0  # 0 is nothing special where values have a sign
    begin, end = presence(X[:3])
    assert begin.tolist() == [20, 0, 0]
    assert end.tolist() == [60, 45, 60]
    assert presence(np.array([[0.0] * 10 + [-1.0] * 30]))[0].tolist() == [0]


def test_a_course_is_what_many_share():
    rng = np.random.default_rng(15)
    shared = np.sin(np.arange(100) / 5)
    X = rng.standard_normal((20, 100))
    assert len(Courses.find(normal_scores(X)).lines) == 0
    X[0] = -X[1]  # two are no course
    assert len(Courses.find(normal_scores(X)).lines) == 0
    found = Courses.find(normal_scores(X + 2 * shared))
    assert len(found.lines) == 1
    assert abs(np.corrcoef(found.lines[0], shared)[0, 1]) > 0.95


def test_whitening_leaves_nothing_of_the_past():
    departures = depart(autoregressive(20, 400, 0.8, np.random.default_rng(16)))
    fresh = whiten(departures)
    echo = (fresh[:, 1:] * fresh[:, :-1]).mean(axis=1)
    assert (departures.rest[:, 1:] * departures.rest[:, :-1]).mean() > 0.6
    assert np.abs(echo).max() < 0.15


def test_a_season_of_the_items_own_is_taken_out():
    rng = np.random.default_rng(17)
    X = autoregressive(2, 104, 0.0, rng)
    wave = 3 * np.tile(rng.standard_normal(13), 8)
    X[0] += wave
    X[1] -= wave
    assert len(find_opposites(X)) == 1
    assert len(find_opposites(X, season=13)) == 0
