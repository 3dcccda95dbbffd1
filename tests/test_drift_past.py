"""The past within a later table, read in one panel or in several."""

from __future__ import annotations

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

from vrae import VRAE, Panel, VRAEClusterer
from vrae.data.calendar import Calendar
from vrae.estimators.drift import drift_of
from vrae.estimators.drift_later import gather
from vrae.estimators.drift_past import Past, other_end, texts_of
from vrae.exceptions import DataWarning

N_ITEMS, N_STEPS = 20, 80
MODEL = SimpleNamespace(scaler_=SimpleNamespace(timing=None), n_steps_=7000)  # what a past needs of one


def weekly(n_steps: int, first: int = 0, n: int = N_ITEMS) -> Panel:
    """Return weekly series of two kinds, the first item of which has the number ``first``."""
    rng = np.random.default_rng(first)
    period = np.where(np.arange(n) % 2, 20, 5)[:, None]
    X = 10 + np.sin(2 * np.pi * np.arange(n_steps) / period) + 0.1 * rng.standard_normal((n, n_steps))
    times = np.datetime64("2022-01-03", "us") + np.arange(n_steps) * np.timedelta64(7, "D")
    calendar = Calendar.from_freq("W-MON", times)
    return Panel.from_arrays(X, ids=np.arange(first, first + n), times=np.tile(times, n), calendar=calendar)


def without_dates(panel: Panel) -> Panel:
    return Panel.from_arrays(panel.to_padded()[:, 0], ids=panel.ids)


@pytest.fixture(scope="module")
def dated() -> VRAEClusterer:
    return VRAEClusterer(2, model=VRAE(max_epochs=2), random_state=0).fit(weekly(N_STEPS, 1, 2 * N_ITEMS))


@pytest.fixture(scope="module")
def undated() -> VRAEClusterer:
    fitted = without_dates(weekly(N_STEPS, 1, 2 * N_ITEMS))
    return VRAEClusterer(2, model=VRAE(max_epochs=2), random_state=0).fit(fitted)


@pytest.mark.parametrize("n_steps", [N_STEPS, N_STEPS + 4])
def test_series_that_end_later_than_those_before_are_said(dated: VRAEClusterer, n_steps: int) -> None:
    panels = [weekly(n_steps, 1), weekly(N_STEPS + 8, 1 + N_ITEMS)]
    with pytest.warns(DataWarning, match="not compared.* series 21 ends at 2023-09-04, later than those before"):
        found = drift_of(dated, iter(panels), 0.05)
    assert found.levels == ()
    assert found.n_moved_by_chance is None
    assert drift_of(dated, iter(panels[::-1]), 0.05).levels[0].n_items > 0  # in this order, all is known


def test_series_without_dates_of_other_lengths_are_said(undated: VRAEClusterer) -> None:
    panels = [without_dates(weekly(n, first)) for n, first in ((N_STEPS + 8, 1), (N_STEPS + 7, 1 + N_ITEMS))]
    with pytest.warns(DataWarning, match="series 21 has 87 steps, and those before it have 88"):
        assert drift_of(undated, iter(panels), 0.05).levels == ()
    alike = [panels[0], without_dates(weekly(N_STEPS + 8, 1 + N_ITEMS))]
    assert drift_of(undated, iter(alike), 0.05).levels[0].n_items == 2 * N_ITEMS


def test_changes_of_many_long_series_take_little_memory() -> None:
    values = np.random.default_rng(0).gamma(4, 1, (400, 8760)).astype(np.float32)
    panel = Panel.from_arrays(values, ids=np.arange(400))
    past = Past.of(MODEL, panel)  # type: ignore[arg-type]
    assert past is not None
    tracemalloc.start()
    found = past.changes(panel)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6  # all sums and numbers of values at once are 56 MB, and more to make them
    new, before = (values[:, start : start + 1760].mean(axis=1) for start in (7000, 5240))
    np.testing.assert_allclose(found[:, 0], np.log(new / before), atol=1e-4)


def test_whole_numbers_with_decimals_are_the_same_items(dated: VRAEClusterer) -> None:
    later = weekly(N_STEPS + 8, 1, 2 * N_ITEMS)
    for ids in (later.ids.astype(float), np.array([f"{i}.0" for i in later.ids])):
        found = dated.drift(Panel(later.values, later.offsets, ids, later.times, calendar=later.calendar))
        assert "new" not in found.counts
        assert found.checks == ()
        assert found.levels[0].n_items == 2 * N_ITEMS


def test_a_table_with_1_and_1_0_keeps_both() -> None:
    both, one = np.array(["1", "1.0"]), np.array([1])
    assert texts_of(both, one) == [["1", "1.0"], ["1"]]
    assert texts_of(np.array(["1.0", "v2.0", "2.50"]), one) == [["1", "v2.0", "2.50"], ["1"]]


def test_panels_of_a_table_are_matched_as_the_whole_table() -> None:
    ids = np.array(["1", "1.0", *map(str, range(2, N_ITEMS))])
    fitted = weekly(N_STEPS)
    fitted = Panel(fitted.values, fitted.offsets, ids, fitted.times, calendar=fitted.calendar)
    clusterer = VRAEClusterer(2, model=VRAE(max_epochs=2), random_state=0).fit(fitted)
    assert clusterer.labels_[0] != clusterer.labels_[1]
    table = weekly(N_STEPS + 8)
    later = Panel(table.values, table.offsets, ids, table.times, calendar=table.calendar)
    found = gather(clusterer, [later.select([0]), later.select(slice(1, None))])
    np.testing.assert_array_equal(found.change_labels, clusterer.labels_)
    np.testing.assert_array_equal(found.sides.pairs, np.tile(np.arange(N_ITEMS), (2, 1)))


def test_what_differs_at_the_end_of_a_panel_is_said(dated: VRAEClusterer, undated: VRAEClusterer) -> None:
    table = weekly(N_STEPS + 8, 1)
    past, counted = Past.of(dated.model_, table), Past.of(undated.model_, without_dates(table))
    assert other_end(past, dated.model_, table) == ""
    assert other_end(past, dated.model_, without_dates(table)) == (
        "series 1 has no dates, and those before it have. Pass all series with dates."
    )
    assert other_end(past, dated.model_, without_dates(table).select([])) == ""
    assert other_end(counted, undated.model_, table) == ""
    assert "series 1 has 87 steps, and those before it have 88" in other_end(
        counted, undated.model_, weekly(N_STEPS + 7, 1)
    )
    assert other_end(past, dated.model_, weekly(N_STEPS + 9, 1)).endswith(
        "Sort the series so that one with the latest end comes first."
    )
