"""Planted pairs are found with their lag. Independent series yield few false findings."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from vrae.data.panel import Panel
from vrae.estimators.cannibalization import KINDS, find_cannibalization
from vrae.estimators.cannibalization.residuals import (
    CommonFactors,
    Residuals,
    align,
    presence,
    prewhiten,
    stable_scores,
)
from vrae.exceptions import DataWarning, InvalidDataError, InvalidParameterError


def autoregressive(n, time, phi, rng):
    noise = rng.standard_normal((n, time + 100))
    x = np.zeros_like(noise)
    for t in range(1, time + 100):
        x[:, t] = phi * x[:, t - 1] + noise[:, t]
    return x[:, 100:]


def sales(n, time, rng):
    """Return items with different levels and a common season."""
    level = rng.uniform(20, 200, n)[:, None]
    season = 1 + 0.4 * np.sin(2 * np.pi * np.arange(time) / 26)
    return rng.poisson(level * season).astype(float)


def with_introduction(X, of, fraction, step, rng):
    """Add an item that takes a fraction of item ``of``, starting at a step."""
    X = X.copy()
    taken = np.zeros(X.shape[1])
    taken[step:] = rng.binomial(X[of, step:].astype(int), fraction)
    X[of] -= taken
    return np.vstack([X, taken])


def pairs(found):
    return {frozenset((a, b)) for a, b in zip(found.item.tolist(), found.other.tolist(), strict=True)}


# ---------------------------------------------------------------- planted


def test_an_introduction_that_takes_sales_is_found():
    rng = np.random.default_rng(0)
    X = with_introduction(sales(30, 104, rng), of=7, fraction=0.5, step=50, rng=rng)
    found = find_cannibalization(X)
    assert pairs(found) == {frozenset((30, 7))}
    assert (found.item[0], found.other[0], found.kind[0], found.lag[0]) == (30, 7, "introduction", 0)
    assert found.taken[0] == pytest.approx(0.5, abs=0.05)
    assert found.strength[0] < -0.5
    assert found.p_value[0] < found.q_value[0] < 1e-3


def test_a_withdrawal_that_returns_sales_is_found():
    rng = np.random.default_rng(1)
    X = with_introduction(sales(30, 104, rng), of=7, fraction=0.5, step=50, rng=rng)[:, ::-1]
    found = find_cannibalization(X)
    assert (found.item[0], found.other[0], found.kind[0]) == (30, 7, "withdrawal")
    assert found.taken[0] == pytest.approx(0.5, abs=0.05)


def test_an_introduction_that_takes_nothing_is_not_found():
    rng = np.random.default_rng(2)
    X = sales(30, 104, rng)
    X[3, :40] = 0
    assert len(find_cannibalization(X)) == 0


@pytest.mark.parametrize("lag", [0, 2, -3])
def test_opposite_movements_are_found_with_their_lag(lag):
    rng = np.random.default_rng(3)
    X = autoregressive(30, 120, 0.5, rng)
    X[9] = -np.roll(X[4], lag) + 0.5 * rng.standard_normal(120)
    found = find_cannibalization(X, max_lag=3)
    assert pairs(found) == {frozenset((4, 9))}
    assert found.kind[0] == "movement"
    assert found.lag[0] == (lag if found.item[0] == 4 else -lag)
    assert np.isnan(found.taken[0])


def test_items_that_move_together_are_not_found():
    rng = np.random.default_rng(4)
    X = autoregressive(30, 120, 0.5, rng)
    X[9] = X[4] + 0.3 * rng.standard_normal(120)
    assert len(find_cannibalization(X)) == 0


def test_a_group_of_two_has_no_common_factor_but_can_be_found():
    rng = np.random.default_rng(5)
    first = autoregressive(1, 100, 0.3, rng)[0]
    X = np.stack([first, -first + 0.3 * rng.standard_normal(100)])
    assert len(find_cannibalization(X)) == 1


def test_introductions_that_ramp_up_are_found_in_most_cases():
    """Half of the sales of 8 of 120 items, in categories of 20, over six steps."""
    right = wrong = 0
    for seed in range(3):
        rng = np.random.default_rng(seed)
        X, groups = sales(120, 104, rng), np.repeat(np.arange(6), 20)
        losers = rng.choice(120, 8, replace=False)
        for loser in losers:
            step = int(rng.integers(30, 75))
            share = 0.5 * np.minimum(1, np.arange(1, 105 - step) / 6)
            taken = np.zeros(104)
            taken[step:] = rng.binomial(X[loser, step:].astype(int), share)
            X[loser] -= taken
            X = np.vstack([X, 2 * taken])
        found = find_cannibalization(X, np.concatenate([groups, groups[losers]]))
        planted = {frozenset((120 + row, int(loser))) for row, loser in enumerate(losers)}
        right += len(planted & pairs(found))
        wrong += len(pairs(found) - planted)
    assert right >= 20  # of 24
    assert wrong <= 2


def test_the_loss_is_attributed_to_one_of_two_introductions():
    rng = np.random.default_rng(20)
    X = with_introduction(sales(30, 104, rng), of=7, fraction=0.6, step=50, rng=rng)
    new = np.zeros(104)
    new[60:] = rng.poisson(40, 44)
    assert pairs(find_cannibalization(np.vstack([X, new]))) == {frozenset((30, 7))}


def test_an_item_can_lose_to_two_introductions():
    rng = np.random.default_rng(21)
    X = with_introduction(sales(30, 104, rng), of=7, fraction=0.5, step=35, rng=rng)
    X = with_introduction(X, of=7, fraction=0.5, step=75, rng=rng)
    assert pairs(find_cannibalization(X)) == {frozenset((30, 7)), frozenset((31, 7))}


def test_a_fall_larger_than_what_the_new_item_sells_is_weaker_evidence():
    rng = np.random.default_rng(22)
    X = sales(30, 104, rng)
    X[7, 50:] = np.round(0.8 * X[7, 50:])
    large, small = np.zeros(104), np.zeros(104)
    large[50:], small[50:] = rng.poisson(60, 54), rng.poisson(1.0, 54) + 1
    strong = find_cannibalization(np.vstack([X, large]), fdr=1.0)
    weak = find_cannibalization(np.vstack([X, small]), fdr=1.0)
    p = [found.p_value[(found.item == 30) & (found.other == 7)][0] for found in (strong, weak)]
    assert p[0] < p[1] / 10


# ---------------------------------------------------------------- returns, losses, dates


def test_one_return_changes_neither_presence_nor_losses():
    rng = np.random.default_rng(0)
    X = with_introduction(sales(30, 104, rng), of=7, fraction=0.5, step=50, rng=rng)
    X[3, 20], X[30, 70] = -2, -1  # returns
    found = find_cannibalization(X)
    assert pairs(found) == {frozenset((30, 7))}
    assert found.taken[0] == pytest.approx(0.5, abs=0.05)
    before = X[7, :50].mean()
    assert found.units[0] == pytest.approx(0.5 * before, rel=0.2)


def test_an_unknown_fraction_is_said():
    losses = np.where(np.arange(80) < 40, 0.0, -10.0) + np.random.default_rng(1).standard_normal((1, 80))
    X = np.vstack([sales(12, 80, np.random.default_rng(2)), losses - 5, np.zeros((1, 80))])
    X[13, 40:] = 30 + np.random.default_rng(3).poisson(5, 40)
    with pytest.warns(DataWarning, match="the fraction taken is not known"):
        found = find_cannibalization(X)
    assert (found.item[0], found.other[0]) == (13, 12)
    assert np.isnan(found.taken[0])
    assert found.units[0] == pytest.approx(10, abs=2)


def test_findings_have_the_date_of_the_introduction():
    rng = np.random.default_rng(0)
    X = with_introduction(sales(30, 104, rng), of=7, fraction=0.5, step=50, rng=rng)
    weeks = np.datetime64("2023-01-02") + 7 * np.arange(104)
    panel = Panel.from_arrays(X, times=np.tile(weeks, 31))
    found = find_cannibalization(panel)
    assert found.when.tolist() == [weeks[50].tolist()]
    assert find_cannibalization(X).when.tolist() == [51]  # the first step is 1
    gone = find_cannibalization(Panel.from_arrays(X[:, ::-1], times=np.tile(weeks, 31)))
    assert (gone.kind[0], gone.when[0]) == ("withdrawal", weeks[53])


def test_movements_have_no_date_and_no_loss():
    rng = np.random.default_rng(7)
    X = autoregressive(20, 100, 0.3, rng)
    X[1] = -X[0] + 0.3 * rng.standard_normal(100)
    found = find_cannibalization(X)
    assert (found.kind[0], found.when[0]) == ("movement", 0)
    assert np.isnan(found.taken[0])
    assert np.isnan(found.units[0])


# ---------------------------------------------------------------- substitutes


def priced():
    rng = np.random.default_rng(23)
    X = autoregressive(20, 100, 0.3, rng)
    X[1] = -X[0] + 0.3 * rng.standard_normal(100)
    static = {
        "price": np.array([10.0, 19.0] + 18 * [15.0]),
        "kind": np.repeat(["tea", "soup"], 10),
        "size": np.array(["S", "M"] * 10),
    }
    return Panel.from_arrays(X, static=static)


def test_only_items_with_similar_values_are_compared():
    panel = priced()
    assert frozenset((0, 1)) in pairs(find_cannibalization(panel, similar="price"))
    found = find_cannibalization(panel, similar={"price": 0.3})
    assert frozenset((0, 1)) not in pairs(found)
    # 0 (10.0) has no pair within 30 %; 1 (19.0) has the 18 of 15.0
    assert found.n_pairs == (18 + 18 * 17 // 2, 0)


def test_several_columns_make_the_groups():
    panel = priced()
    assert find_cannibalization(panel, ["kind", "size"]).n_pairs == (4 * 5 * 4 // 2, 0)
    one, by_name = find_cannibalization(panel, ["kind"]), find_cannibalization(panel, "kind")
    assert frozenset((0, 1)) in pairs(one)
    assert one.group.tolist() == by_name.group.tolist()
    both = find_cannibalization(panel, ["kind", "size"], fdr=1.0)
    assert set(both.group.tolist()) == {"tea / S", "tea / M", "soup / S", "soup / M"}


def test_a_missing_or_textual_value_of_a_similar_column_is_said():
    panel = priced()
    price = panel.static["price"].copy()
    price[0] = np.nan
    missing = Panel.from_arrays(panel.to_padded(), static={"price": price})
    with pytest.warns(DataWarning, match="1 of 20 items have no 'price', for example 0"):
        assert find_cannibalization(missing, similar=["price"]).n_pairs == (19 * 18 // 2, 0)
    with pytest.raises(InvalidDataError, match="'kind' is not numeric"):
        find_cannibalization(panel, similar="kind")
    with pytest.raises(InvalidParameterError, match=r"Did you mean 'price'"):
        find_cannibalization(panel, similar="prise")
    with pytest.raises(InvalidParameterError, match="similar"):
        find_cannibalization(panel, similar={"price": 2})


# ---------------------------------------------------------------- noise


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("time", [52, 120])
def test_independent_series_yield_no_findings_beyond_the_fdr(phi, time):
    runs = 0
    for seed in range(20):
        X = autoregressive(60, time, phi, np.random.default_rng(seed))
        X -= X.min()
        X[::6, : time // 3] = 0  # introductions
        runs += len(find_cannibalization(X, max_lag=1)) > 0
    assert runs <= 4  # of 20 at an FDR of 5 %: the probability of more than 4 is below 0.003


def test_random_walks_yield_no_findings_beyond_the_fdr():
    runs = 0
    for seed in range(20):
        X = np.cumsum(np.random.default_rng(seed).standard_normal((60, 80)), axis=1)
        runs += len(find_cannibalization(X)) > 0
    assert runs <= 4


def test_a_common_factor_yields_no_findings_beyond_the_fdr():
    # Removing the common factor of few items makes the residuals of all pairs negatively
    # correlated.
    runs = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        runs += len(find_cannibalization(autoregressive(8, 200, 0.3, rng) + 4 * autoregressive(1, 200, 0.7, rng))) > 0
    assert runs <= 4


def test_p_values_are_calibrated():
    few = 0
    for seed in range(10):
        found = find_cannibalization(autoregressive(100, 80, 0.5, np.random.default_rng(seed)), fdr=1.0)
        few += int((found.p_value < 0.01).sum())
    expected = 0.01 * 10 * 4950
    assert 0.4 * expected < few < 1.2 * expected  # and not far too conservative either


def test_shuffled_sales_yield_no_findings():
    rng = np.random.default_rng(6)
    X = with_introduction(sales(30, 104, rng), of=7, fraction=0.7, step=50, rng=rng)
    shuffled = rng.permuted(X, axis=1)
    assert len(find_cannibalization(shuffled)) == 0


def test_a_season_seen_twice_yields_no_findings_beyond_the_fdr():
    runs = 0
    for seed in range(10):
        X = autoregressive(60, 104, 0.3, np.random.default_rng(seed))
        runs += len(find_cannibalization(X, season=52)) > 0
    assert runs <= 3


def test_real_changes_at_other_dates_are_the_measure_of_a_fall():
    """Items change their level at random dates; the introductions take nothing."""
    found = 0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        X = sales(120, 104, rng)
        for row in range(0, 120, 2):
            X[row, int(rng.integers(20, 84)) :] *= rng.choice([0.7, 1.4])
        X[::12, :40] = 0
        found += len(find_cannibalization(np.round(X), np.repeat(np.arange(6), 20)))
    assert found <= 2


# ---------------------------------------------------------------- contract


def test_life_cycles_at_times_of_their_own_yield_no_findings_beyond_the_fdr():
    rng, time = np.random.default_rng(4), np.arange(104)
    peak = rng.uniform(-20, 124, (300, 1))  # each item comes slowly, goes slowly, and takes nothing
    level = rng.normal(3.5, 0.8, (300, 1)) + 0.2 * autoregressive(300, 104, 0.5, rng) * np.sqrt(0.75)
    X = rng.poisson(np.exp(level - 5 * ((time - peak) / 70) ** 2)).astype(float)
    assert len(find_cannibalization(X, np.repeat(np.arange(15), 20))) <= 1


def test_an_introduction_that_takes_half_a_year_is_found():
    rng = np.random.default_rng(5)
    X, arrived = sales(60, 104, rng), np.clip((np.arange(104) - 40) / 26, 0, 1)
    taken = rng.binomial(X[7].astype(int), 0.6 * arrived)
    X[7] -= taken
    assert pairs(find_cannibalization(np.vstack([X, taken]))) == {frozenset((60, 7))}


def test_pairs_are_found_within_groups_only():
    rng = np.random.default_rng(7)
    X = autoregressive(20, 100, 0.3, rng)
    X[1] = -X[0] + 0.3 * rng.standard_normal(100)
    together, apart = np.repeat([0, 1], 10), np.arange(20) % 2
    assert pairs(find_cannibalization(X, together)) == {frozenset((0, 1))}
    assert len(find_cannibalization(X, apart)) == 0
    assert find_cannibalization(X, together).n_pairs == (90, 0)


def test_ids_and_groups_are_returned_most_significant_first():
    rng = np.random.default_rng(8)
    X = autoregressive(20, 100, 0.3, rng)
    X[1] = -X[0] + 0.5 * rng.standard_normal(100)
    X[12] = -X[15] + 0.1 * rng.standard_normal(100)
    kind = np.array(["tea", "soup"], object)[np.repeat([0, 1], 10)]
    panel = Panel.from_arrays(X, ids=[f"item {i}" for i in range(20)], static={"kind": kind})
    found = find_cannibalization(panel, "kind")
    assert found.group.tolist() == ["soup", "tea"]  # most significant first
    assert found.item.tolist() == ["item 12", "item 0"]
    assert found.other.tolist() == ["item 15", "item 1"]
    assert (np.diff(found.q_value) >= 0).all()
    assert set(found.kind.tolist()) <= set(KINDS)
    assert {len(column) for column in found.columns().values()} == {2}


def test_q_values_are_those_of_benjamini_and_hochberg():
    X = autoregressive(30, 60, 0.3, np.random.default_rng(9))
    found = find_cannibalization(X, fdr=1.0)
    p = np.ones(30 * 29 // 2)
    p[: len(found)] = found.p_value
    np.testing.assert_allclose(np.sort(found.q_value), np.sort(false_discovery_control(p))[: len(found)])


def test_groups_of_one_and_missing_groups_are_left_out():
    X = autoregressive(6, 60, 0.3, np.random.default_rng(10))
    assert find_cannibalization(X, np.arange(6)).n_pairs == (0, 0)
    groups = np.array(["a", "a", None, "b", float("nan"), None], object)
    assert find_cannibalization(X, groups).n_pairs == (1, 0)


def test_series_are_aligned_by_their_time_stamps():
    rng = np.random.default_rng(11)
    first = autoregressive(1, 100, 0.3, rng)[0]
    second = -first[20:] + 0.3 * rng.standard_normal(80)
    times = np.concatenate([np.arange(100), np.arange(20, 100)])
    panel = Panel.from_arrays([first, second], ids=["a", "b"], times=times)
    assert np.isnan(align(panel)[0][1, :20]).all()
    assert find_cannibalization(panel).lag.tolist() == [0]
    assert len(find_cannibalization(Panel.from_arrays([first, second], ids=["a", "b"]))) == 0


def test_missing_values_empty_and_constant_series_are_accepted():
    rng = np.random.default_rng(12)
    X = autoregressive(20, 150, 0.3, rng)
    X[1] = -X[0] + 0.3 * rng.standard_normal(150)
    X[rng.random(X.shape) < 0.1] = np.nan
    X[5] = np.nan
    X[6] = 3.0
    assert pairs(find_cannibalization(X)) == {frozenset((0, 1))}


@pytest.mark.parametrize(
    ("groups", "error", "words"),
    [
        ("kindd", InvalidParameterError, "Did you mean 'kind'"),
        (np.zeros(3), InvalidDataError, r"shape \(3,\); expected \(4,\)"),
    ],
)
def test_invalid_groups_raise(groups, error, words):
    panel = Panel.from_arrays(np.ones((4, 20)), static={"kind": np.array(list("aabb"))})
    with pytest.raises(error, match=words):
        find_cannibalization(panel, groups)


def test_invalid_options_raise():
    X = np.ones((4, 20))
    with pytest.raises(InvalidDataError, match="one channel"):
        find_cannibalization(np.ones((4, 2, 20)))
    with pytest.raises(InvalidParameterError, match="max_lag"):
        find_cannibalization(X, max_lag=-1)
    with pytest.raises(InvalidParameterError, match="max_lag=20 is not shorter than the series"):
        find_cannibalization(X, max_lag=20)
    with pytest.raises(InvalidParameterError, match="fdr"):
        find_cannibalization(X, fdr=1.5)
    with pytest.raises(InvalidParameterError, match="season"):
        find_cannibalization(X, season=0)
    with pytest.raises(InvalidParameterError, match="season=52 is seen less than twice in 20 steps"):
        find_cannibalization(X, season=52)
    with pytest.raises(InvalidParameterError, match="static='kind' to read_panel"):
        find_cannibalization(X, "kind")


def test_an_fdr_of_one_returns_every_pair_once():
    rng = np.random.default_rng(18)
    X = rng.poisson(9, (8, 40)).astype(float)
    X[0, :12] = 0
    X[1, :22], X[2, 22:] = np.nan, np.nan  # never observed together
    found = find_cannibalization(X, fdr=1.0)
    assert len(pairs(found)) == len(found) == 28
    assert (found.item != found.other).all()


def test_a_lag_may_reach_beyond_the_end_of_the_series():
    X = np.random.default_rng(19).poisson(9, (6, 40)).astype(float)
    X[0, -6:] = 0
    found = find_cannibalization(X, max_lag=10)
    assert found.n_pairs == (15, 5)


def test_results_are_reproducible():
    X = autoregressive(40, 80, 0.4, np.random.default_rng(13))
    first, second = find_cannibalization(X, fdr=1.0), find_cannibalization(X, fdr=1.0)
    for name, column in first.columns().items():
        np.testing.assert_array_equal(column, second.columns()[name])


# ---------------------------------------------------------------- parts


def test_presence_distinguishes_an_introduction_from_a_slow_seller():
    rng = np.random.default_rng(14)
    X = np.ones((4, 60))
    X[0, :20] = 0  # introduced
    X[1, -15:] = 0  # withdrawn
    X[2] = rng.random(60) < 0.1  # one sale in ten weeks on average
    X[2, :12] = 0
    X[3] = -1.0  # with negative values, 0 is a value like any other
    begin, end = presence(X[:3])
    assert begin.tolist() == [20, 0, 0]
    assert end.tolist() == [60, 45, 60]
    assert presence(np.array([[0.0] * 10 + [-1.0] * 30]))[0].tolist() == [0]
    X[3] = 1.0
    X[0, 40] = -1.0  # a return
    assert presence(X)[0].tolist() == [20, 0, 0, 0]


def test_a_common_factor_is_shared_by_many_items():
    rng = np.random.default_rng(15)
    shared = np.sin(np.arange(100) / 5)
    X = rng.standard_normal((20, 100))
    assert len(CommonFactors.estimate(stable_scores(X)).components) == 0
    X[0] = -X[1]  # two items are not enough
    assert len(CommonFactors.estimate(stable_scores(X)).components) == 0
    found = CommonFactors.estimate(stable_scores(X + 2 * shared))
    assert len(found.components) == 1
    assert abs(np.corrcoef(found.components[0], shared)[0, 1]) > 0.95


def test_prewhitening_removes_autocorrelation():
    residuals = Residuals.estimate(autoregressive(20, 400, 0.8, np.random.default_rng(16)))
    innovations = prewhiten(residuals)
    assert (residuals.values[:, 1:] * residuals.values[:, :-1]).mean() > 0.6
    assert np.abs((innovations[:, 1:] * innovations[:, :-1]).mean(axis=1)).max() < 0.15


def test_a_season_that_differs_between_items_is_removed():
    rng = np.random.default_rng(17)
    X = autoregressive(2, 104, 0.0, rng)
    wave = 3 * np.tile(rng.standard_normal(13), 8)
    X[0] += wave
    X[1] -= wave
    assert len(find_cannibalization(X)) == 1
    assert len(find_cannibalization(X, season=13)) == 0
    assert len(find_cannibalization(X, season=1)) == len(find_cannibalization(X, season=None)) == 1
