"""Which shares count as changed, and which items count in them."""

from __future__ import annotations

import numpy as np
import pytest

from vrae import VRAE, Panel, VRAEClusterer
from vrae.estimators.drift import _is_large
from vrae.estimators.drift_tests import Sides, share_test
from vrae.report import render_drift

N, SLOW, STEPS = 200, 16, 48


def waves(n_steps: int) -> list[np.ndarray]:
    """Return slow and fast waves; the first ``SLOW`` are slow, and begin alike for all lengths."""
    rng = np.random.default_rng(0)
    period, phase = np.where(np.arange(N) < SLOW, 24, 6)[:, None], rng.uniform(0, 1, (N, 1))
    noise = 0.3 * rng.standard_normal((N, 60))[:, :n_steps]
    return list(np.sin(2 * np.pi * (np.arange(n_steps) / period + phase)) + noise)


def table(series: list[np.ndarray], first: int = 0) -> Panel:
    return Panel.from_arrays(series, ids=[f"item{i}" for i in range(first, first + len(series))])


@pytest.fixture(scope="module")
def clusterer() -> VRAEClusterer:
    return VRAEClusterer(2, model=VRAE(max_epochs=2), random_state=0).fit(table(waves(STEPS)))


@pytest.fixture(scope="module")
def slow(clusterer: VRAEClusterer) -> int:
    found = clusterer.labels_[0]
    assert (clusterer.labels_ == found).sum() == SLOW
    return int(found)


def test_a_small_group_that_more_than_halved_changed(clusterer: VRAEClusterer, slow: int) -> None:
    found = clusterer.drift(table(waves(STEPS + 4)[10:], first=10))  # a longer table: 5 points count
    small, large = found.shares[slow], found.shares[1 - slow]
    assert -0.05 < small.difference < -0.045
    assert small.changed
    assert found.changed
    assert small.name in found.verdict
    assert large.p_value < 0.01
    assert (large.changed, large.remark) == (False, "more than chance, but too little to count")
    assert "is 5 points or more or a factor of 1.8 or more. For the factor, only items that are gone" in repr(found)
    assert "(\N{MINUS SIGN}4.8)" in repr(found)
    page = render_drift(found, "Longer")
    assert "\N{MINUS SIGN}4.8" in page
    assert "is 5 points or more" in page
    assert "<td>too little</td>" in page


def test_a_longer_table_alone_halves_no_group() -> None:
    before, now, ids = np.repeat([0, 1], [380, 20]), np.repeat([0, 1], [391, 9]), np.arange(400).astype(object)

    def large(now: np.ndarray, sides: Sides, least_share: float, is_grown: bool) -> list[bool]:
        test = share_test(before, now, sides, 2)
        return _is_large(test, before, now, sides, least_share, is_grown).tolist()

    both, unknown = Sides.of(ids, ids), Sides.unrelated(400, 400)
    assert large(now, both, 0.02, is_grown=False) == [True, True]
    assert large(now, both, 0.05, is_grown=True) == [False, False]
    assert large(now, unknown, 0.05, is_grown=True) == [False, False]
    assert large(before[:389], Sides.of(ids, ids[:389]), 0.05, is_grown=True) == [False, True]


def test_new_items_of_few_steps_count_in_no_share(clusterer: VRAEClusterer, slow: int) -> None:
    begun = [series[-8:] for series in waves(STEPS)[-30:]]
    found = clusterer.drift(table([*waves(STEPS), *begun]))
    assert [share.n_now for share in found.shares] == [share.n_before for share in found.shares]
    assert not found.changed
    assert found.counts["new"] == 30
    assert found.to_pandas().left_out.tolist() == [False] * N + [True] * 30
    assert "Too few steps are known of 30 new items: the shares leave them out." in repr(found)
    assert "(0.0)" in repr(found)  # neither +0.0 nor -0.0


def test_new_items_that_are_left_out_have_a_group(clusterer: VRAEClusterer, slow: int) -> None:
    begun = [series[-8:] for series in waves(STEPS)[SLOW : N - 1]]
    unlike = list(np.sign(np.random.default_rng(1).standard_normal((5, STEPS))).cumsum(axis=1))
    found = clusterer.drift(table([*waves(STEPS)[SLOW:], *begun, *unlike], first=SLOW))  # all slow ones are gone
    counts = (found.items.now >= 0) & ~found.items.left_out
    assert counts.sum() < 0.5 * found.n_series  # and nearly all of the others are left out
    assert found.shares[slow].changed


def test_a_table_of_short_series_alone_is_compared(clusterer: VRAEClusterer, slow: int) -> None:
    short = waves(34)
    later = [*6 * short[:SLOW], *short[-100:]]
    for panel in (later, table(later, first=1000), table([*short[:SLOW], *later], first=N - SLOW)):
        found = clusterer.drift(panel)
        assert found.shares[slow].changed
        assert found.shares[slow].now > 0.4
        assert not found.items.left_out.any()
        assert "Nothing changed" not in found.verdict
