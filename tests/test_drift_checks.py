"""What looks wrong with a later table itself: units, ids and missing rows."""

from __future__ import annotations

import numpy as np
import pytest

from vrae.describe.drift_result import LevelChange
from vrae.estimators.drift_checks import alike_ids, more_missing, new_units, other_units


def test_units_are_judged_by_the_median_item() -> None:
    level = np.random.default_rng(0).lognormal(3, 1, 40)
    assert "1/100 of that at the fit" in other_units(level, 0.01 * level)
    assert other_units(level, 4 * level) == ""
    assert other_units(level, np.where(np.arange(40) < 15, 1000, 1) * level) == ""
    noise = np.random.default_rng(1).standard_normal((2, 40))
    assert other_units(noise[0], 100 * noise[1]) == ""  # levels around 0
    change = LevelChange(-1, "", 40, -0.99, -0.99, (-0.5, 0.5), 0.0)
    assert "1/100 of that in the year before" in new_units([change], "in the year before")
    assert new_units([LevelChange(-1, "", 40, 5.0, 5.0, (-0.9, 8.0), 0.5)], "in the weeks before") == ""


@pytest.mark.parametrize(
    ("was", "now"),
    [("{:04}", "{}"), ("{}", "{}.0"), ("A{:03}", "a-{}"), ("SKU-{}", "{}"), ("{}", "{}/DE"), ("{}", "1{}")],
)
def test_ways_to_write_ids(was: str, now: str) -> None:
    gone, new = (np.array([form.format(i) for i in range(10, 60)], object) for form in (was, now))
    assert bool(alike_ids(gone, new, 0)) == (now != "1{}")  # 110 is another item than 10
    assert alike_ids(gone, new, 60) == ""


def test_few_more_missing_rows_are_nothing_to_check() -> None:
    assert more_missing(0.3, 0.39, "weeks") == more_missing(None, 0.9, "weeks") == ""
    assert more_missing(0.3, 0.41, "weeks").startswith("Check the rows: 41.0 % of weeks have no row")
