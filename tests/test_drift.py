"""What changed since a fit: nothing where nothing changed, and what was planted."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from vrae import VRAE, Panel, VRAEClusterer, load_model, read_panel
from vrae.cli.app import app
from vrae.describe.drift_result import LevelChange, levels_in_words
from vrae.estimators.drift import drift_of
from vrae.estimators.drift_levels import corrected_levels, levels_beside_the_fit, mark_levels
from vrae.estimators.drift_tests import Sides, energy_test, holm, share_test, unlike_test
from vrae.exceptions import InvalidParameterError, NotFittedError, OutputError
from vrae.report import render_drift
from vrae.runs import check_drift_folder

STEPS = 48


def waves(n: int, share: float, seed: int, first: int = 0) -> Panel:
    """Return slow and fast waves with noise; ``share`` of them are slow."""
    rng = np.random.default_rng(seed)
    period = np.where(np.arange(n) < round(share * n), 24, 6)[:, None]
    phase = rng.uniform(0, 1, (n, 1))
    X = np.sin(2 * np.pi * (np.arange(STEPS) / period + phase)) + 0.3 * rng.standard_normal((n, STEPS))
    return Panel.from_arrays(X, ids=[f"item{i}" for i in range(first, first + n)])


def joined(*panels: Panel) -> Panel:
    X = np.concatenate([panel.to_padded()[:, 0] for panel in panels])
    return Panel.from_arrays(X, ids=np.concatenate([panel.ids for panel in panels]))


@pytest.fixture(scope="module")
def clusterer() -> VRAEClusterer:
    return VRAEClusterer(2, model=VRAE(max_epochs=20), random_state=0).fit(waves(120, 0.3, 0))


def slow(clusterer: VRAEClusterer) -> int:
    return int(np.argmin(np.bincount(clusterer.labels_)))


def test_nothing_is_found_where_nothing_changed(clusterer: VRAEClusterer) -> None:
    found = clusterer.drift(waves(120, 0.3, 1))
    assert not found.changed
    assert found.fit_again == ""
    assert found.verdict == "Nothing changed beyond chance. The model can stay in use."
    assert found.counts.get("same", 0) + found.counts.get("unlike", 0) >= 118
    assert "120 items in both tables" in repr(found)


def test_a_share_that_moved_is_found_by_name(clusterer: VRAEClusterer) -> None:
    clusterer.rename({slow(clusterer): "Slow"})
    found = clusterer.drift(waves(200, 0.6, 2, first=1000))
    share = found.shares[slow(clusterer)]
    assert found.changed
    assert share.changed
    assert share.p_value < 0.01
    assert share.before == pytest.approx(0.3)
    assert share.now == pytest.approx(0.6, abs=0.02)
    assert "Slow holds 60 % of the series instead of 30 %" in found.verdict
    assert found.verdict.startswith("No id of the table is known to the model: 'item1000' is new, 'item0' is gone. ")
    assert found.counts == {"new": 200 - found.n_unlike, "gone": 120} | (
        {"unlike": found.n_unlike} if found.n_unlike else {}
    )


def test_a_vanished_kind_is_found(clusterer: VRAEClusterer) -> None:
    found = clusterer.drift(waves(100, 0.0, 3, first=1000))
    assert found.shares[slow(clusterer)].changed
    assert found.shares[slow(clusterer)].n_now == 0


def test_a_new_kind_is_found_and_asks_for_a_new_fit(clusterer: VRAEClusterer) -> None:
    rng = np.random.default_rng(4)
    walks = Panel.from_arrays(
        np.sign(rng.standard_normal((25, STEPS))).cumsum(axis=1), ids=[f"new{i}" for i in range(25)]
    )
    found = clusterer.drift(joined(waves(120, 0.3, 5), walks))
    assert found.n_unlike >= 10
    assert "unlike all training series" in found.verdict
    assert found.fit_again == "there are series of a kind that the model does not know"
    table = found.to_pandas()
    assert (table.status[table.id.str.startswith("new")] == "unlike").sum() >= 10


def test_shares_of_the_few_series_with_a_group_are_no_finding(clusterer: VRAEClusterer) -> None:
    rng = np.random.default_rng(4)
    walks = np.sign(rng.standard_normal((150, STEPS))).cumsum(axis=1)
    new = Panel.from_arrays(walks, ids=[f"new{i}" for i in range(len(walks))])
    found = clusterer.drift(joined(waves(40, 1.0, 5), new))
    assert found.n_unlike > 0.5 * found.n_series
    assert "unlike all training series" in found.verdict
    assert " holds " not in found.verdict
    assert not any(share.changed for share in found.shares)
    assert "most series have no group" in repr(found)
    assert "<td>most series have no group</td>" in render_drift(found, "Walks")
    assert " holds " in clusterer.drift(waves(40, 1.0, 5)).verdict  # they all have one


def test_large_changes_have_separators() -> None:
    assert levels_in_words([LevelChange(-1, "", 9, 982.29, 0.0, None, 0.0, changed=True)], "before").startswith(
        "The level of the items is 98,229 % higher"
    )


def test_items_that_moved_are_named(clusterer: VRAEClusterer) -> None:
    before = waves(120, 0.3, 0)
    now = waves(120, 0.4, 0)  # items 36 to 47 become slow
    table = clusterer.drift(now).to_pandas()
    moved = set(table.id[table.sure & (table.status == "moved")])
    assert moved <= {f"item{i}" for i in range(36, 48)}
    assert len(moved) >= 10
    assert list(before.ids) == list(table.id)
    assert table.sure[(table.status == "same") & (table.probability > 0.99)].mean() > 0.9


def test_rows_of_arrays_are_no_items(clusterer: VRAEClusterer) -> None:
    fitted = VRAEClusterer(2, model=VRAE(max_epochs=2), random_state=0).fit(waves(40, 0.3, 0).to_padded())
    found = fitted.drift(waves(40, 0.3, 1).to_padded())
    assert not found.has_ids
    assert "no ids" in repr(found)
    assert "moved" not in found.counts


def test_new_steps_alone_are_not_compared(clusterer: VRAEClusterer) -> None:
    few = [series[0, :6] for series in waves(60, 0.9, 6)]
    found = clusterer.drift(Panel.from_arrays(few, ids=[f"item{i}" for i in range(60)]))
    assert not found.changed
    assert "too few to compare" in found.verdict
    assert not found.tested
    assert "can stay in use" not in found.verdict


def dated(n_weeks: int, first: int = 0) -> Panel:
    rng = np.random.default_rng(first)
    weeks = pd.date_range("2022-01-03", periods=160, freq="W-MON")[first : first + n_weeks]
    month = weeks.month.to_numpy()
    high = [np.isin(month, (11, 12)), np.isin(month, (6, 7))]
    rows = [pd.DataFrame({"item": f"i{i}", "week": weeks, "qty": rng.poisson(5 + 20 * high[i % 2])}) for i in range(60)]
    return read_panel(pd.concat(rows), id="item", time="week")


def test_a_table_of_dates_without_its_past_is_not_judged() -> None:
    fitted = VRAEClusterer(2, model=VRAE(max_epochs=5), random_state=0).fit(dated(104))
    assert not fitted.drift(dated(108)).changed
    found = fitted.drift(dated(80, first=26))
    assert not found.changed
    assert found.caveat.startswith("The new table begins at 2022-07-04")


def test_false_alarms_of_the_tests_have_the_stated_rate() -> None:
    rng = np.random.default_rng(0)
    found = []
    for trial in range(200):
        labels, later = rng.integers(0, 4, 150), rng.integers(0, 4, 150)
        sides = Sides.of(np.arange(150).astype(str).astype(object), np.arange(50, 200).astype(str).astype(object))
        later[:100] = np.where(rng.random(100) < 0.7, labels[50:], later[:100])
        found.append(share_test(labels, later, sides, 4, trial).p_value <= 0.05)
    assert np.mean(found) <= 0.09
    energy = [
        energy_test(rng.standard_normal((40, 3)), rng.standard_normal((40, 3)), Sides.unrelated(40, 40), i)[1]
        for i in range(100)
    ]
    assert np.mean(np.array(energy) <= 0.05) <= 0.12


def test_items_that_are_gone_are_drawn_from_all() -> None:
    rng = np.random.default_rng(0)
    labels, ids = rng.choice(3, 300, p=[0.5, 0.3, 0.2]), np.arange(300).astype(str).astype(object)
    stayed = labels != 0
    test = share_test(labels, labels[stayed], Sides.of(ids, ids[stayed]), 3)
    assert test.p_value < 0.001
    assert test.shares[:, 0] == pytest.approx([(labels == 0).mean(), 0])
    chance = []
    for trial in range(60):
        stayed = rng.random(300) < 0.6
        chance.append(share_test(labels, labels[stayed], Sides.of(ids, ids[stayed]), 3, trial).p_value <= 0.05)
    assert np.mean(chance) <= 0.12


def test_all_shares_together_find_more_than_each_alone() -> None:
    rng, together, alone = np.random.default_rng(0), [], []
    usual, changed = [0.3, 0.3, 0.2, 0.2], [0.4, 0.2, 0.27, 0.13]
    for trial in range(40):
        labels, later = rng.choice(4, 300, p=usual), rng.choice(4, 300, p=changed)
        test = share_test(labels, later, Sides.unrelated(300, 300), 4, trial)
        together.append(test.p_value <= 0.01)
        alone.append(test.p_values.min() <= 0.01)
    assert np.mean(together) > max(0.7, np.mean(alone))


def test_the_rate_of_unlike_series_is_known_from_few_references() -> None:
    assert unlike_test(0, 100, 0.01, 100) == 1.0
    assert unlike_test(5, 200, 0.01, 60) > unlike_test(5, 200, 0.01, 2000)
    assert unlike_test(20, 200, 0.01, 500) < 1e-4
    assert holm([0.04, 0.01, 0.5]) == pytest.approx([0.08, 0.03, 0.5])


def test_bad_use(clusterer: VRAEClusterer, tmp_path: Path) -> None:
    with pytest.raises(NotFittedError):
        VRAEClusterer().drift(waves(10, 0.3, 0))
    with pytest.raises(InvalidParameterError, match="alpha"):
        clusterer.drift(waves(10, 0.3, 0), alpha=2)
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(OutputError, match="something else"):
        check_drift_folder(tmp_path, overwrite=True)


def test_the_page_escapes_ids(clusterer: VRAEClusterer) -> None:
    panel = waves(40, 0.9, 8, first=0)
    ids = [f"<b>{i}" for i in range(40)]
    page = render_drift(clusterer.drift(Panel.from_arrays(panel.to_padded()[:, 0], ids=ids)), "What <changed>")
    assert "<b>" not in page.replace("<body>", "")
    assert "<script" not in page
    assert "&lt;changed&gt;" in page


def test_command(clusterer: VRAEClusterer, tmp_path: Path) -> None:
    clusterer.save(tmp_path / "model")
    panel = waves(120, 0.6, 2)
    panel.to_pandas().to_csv(tmp_path / "new.csv", index=False)
    common = [str(tmp_path / "new.csv"), "--id", "unique_id", "--time", "step", "--model", str(tmp_path / "model")]
    result = CliRunner().invoke(app, ["drift", *common, "--out", str(tmp_path / "june")])
    assert result.exit_code == 0, result.output
    assert "of the series instead of 30 %" in result.stdout
    assert "Fit again" not in result.stdout  # the groups are the same
    assert {path.name for path in (tmp_path / "june").iterdir()} == {"drift.csv", "drift.html", "shares.csv"}
    assert len(pd.read_csv(tmp_path / "june" / "drift.csv")) == 120
    again = CliRunner().invoke(app, ["drift", *common, "--out", str(tmp_path / "june")])
    assert again.exit_code != 0
    assert isinstance(again.exception, OutputError)
    assigned = CliRunner().invoke(app, ["assign", *common, "--out", str(tmp_path / "a.csv")])
    assert "vrae drift" in assigned.stderr
    assert load_model(tmp_path / "model").drift(panel).changed
    panel.to_pandas().query("step < 6").to_csv(tmp_path / "new.csv", index=False)
    facts = json.loads(CliRunner().invoke(app, ["drift", *common, "--json"]).stdout)
    assert facts["changed"] is None
    assert facts["tested"] is False
    assert facts["left_out"] == 0


def sales(n_weeks: int, seed: int = 0) -> pd.DataFrame:
    """Return weekly sales of 40 items, high in winter or in summer, whose levels do not change."""
    rng = np.random.default_rng(seed)
    weeks = pd.date_range("2021-01-04", periods=200, freq="W-MON")
    high = [np.isin(weeks.month, months) for months in ((11, 12), (6, 7))]
    rows = [
        pd.DataFrame({"item": f"i{i:02}", "week": weeks, "qty": rng.poisson(20.0 + 60 * high[i % 2])})
        for i in range(40)
    ]
    return pd.concat(rows)[lambda table: table.week < weeks[n_weeks]]


@pytest.fixture(scope="module")
def seasonal() -> VRAEClusterer:
    return VRAEClusterer(2, model=VRAE(max_epochs=2), random_state=0).fit(
        read_panel(sales(172), id="item", time="week")
    )


def later_sales(factor: float, is_changed: str = "") -> Panel:
    """Return the sales with four weeks more, of which some items sell less or more."""
    table = sales(176)
    new = (table.week >= sales(173).week.max()) & table.item.str[-1].isin(list(is_changed))
    table["qty"] = np.where(new, (factor * table.qty).round(), table.qty)
    return read_panel(table, id="item", time="week")


def test_levels_that_did_not_change_are_not_found(seasonal: VRAEClusterer) -> None:
    found = seasonal.drift(later_sales(1.0))
    assert not found.changed
    assert "in the same 4 weeks of the year before (95 % of earlier changes" in repr(found)
    assert abs(found.levels[0].change) < 0.05
    assert found.n_moved_by_chance is not None
    assert f"By chance about {found.n_moved_by_chance} do" in repr(found)


def test_a_level_that_all_items_lost_is_said(seasonal: VRAEClusterer) -> None:
    found = seasonal.drift(later_sales(0.6, "0123456789"))
    assert found.levels[0].change == pytest.approx(-0.4, abs=0.03)
    assert "The level of the items is 40 % lower than in the same 4 weeks of the year before." in found.verdict
    assert found.fit_again == ""
    assert not found.to_pandas("shares").level_changed.any()  # no group is special


def test_the_level_of_a_group_is_said_by_name(seasonal: VRAEClusterer) -> None:
    found = seasonal.drift(later_sales(2.0, "02468"))
    winter = int(seasonal.labels_[list(seasonal.ids_).index("i00")])
    assert [level.cluster for level in found.levels if level.changed] == [winter]
    assert seasonal.names_[winter] in found.verdict
    table = found.to_pandas("shares").set_index("cluster")
    assert table.level_change[winter] == pytest.approx(1.0, abs=0.1)
    assert abs(table.level_change[1 - winter]) < 0.1


def test_levels_of_the_same_window_are_compared_with_the_fit() -> None:
    rng, fitted = np.random.default_rng(0), waves(60, 0.3, 0).to_padded()[:, 0] + 5
    ids = [f"item{i}" for i in range(60)]
    clusterer = VRAEClusterer(2, model=VRAE(max_epochs=2), random_state=0).fit(Panel.from_arrays(fitted, ids=ids))
    same = clusterer.drift(Panel.from_arrays(fitted * (1 + 0.02 * rng.standard_normal((60, 1))), ids=ids))
    less = clusterer.drift(Panel.from_arrays(0.6 * fitted, ids=ids))
    assert not same.changed
    assert "The level of the items is 40 % lower than at the fit." in less.verdict
    assert same.n_moved_by_chance is None


def test_levels_are_found_by_chance_at_the_stated_rate() -> None:
    rng, found = np.random.default_rng(0), []
    for _ in range(100):
        before = rng.lognormal(3, 1, 80)
        now = before * rng.lognormal(0, 0.8, 80)
        levels = levels_beside_the_fit(before, now, rng.integers(0, 4, 80), list("abcd"))
        is_found = bool(corrected_levels(levels).min() <= 0.05)
        found.append(any(level.changed for level in mark_levels(levels, 0.05, is_found)))
    assert np.mean(found) <= 0.09


def test_levels_of_several_channels_or_unknown_items_are_not_compared() -> None:
    X = np.random.default_rng(0).standard_normal((40, 2, 20))
    fitted = VRAEClusterer(2, model=VRAE(max_epochs=2), random_state=0).fit(
        Panel.from_arrays(X, ids=list(range(1, 41)))
    )
    found = fitted.drift(Panel.from_arrays(2 * X, ids=list(range(1, 41))))
    assert found.levels == ()
    assert found.to_pandas("shares").level_change.isna().all()


@pytest.mark.filterwarnings("ignore:100 % of the steps are outside")
def test_items_without_a_past_have_none(seasonal: VRAEClusterer) -> None:
    parts = [later_sales(1.0), read_panel(sales(176).query("week > '2024-05-01'"), id="item", time="week")]
    parts[1] = parts[1].select(slice(0, 5))
    new = Panel(
        parts[1].values,
        parts[1].offsets,
        np.array([f"n{i}" for i in range(5)]),
        parts[1].times,
        calendar=parts[1].calendar,
    )
    found = drift_of(seasonal, iter([parts[0], new]), 0.05)
    assert found.counts["new"] + found.counts.get("unlike", 0) >= 5
    assert found.n_moved_by_chance is not None


@pytest.mark.filterwarnings("ignore:100 % of the steps are outside")
def test_a_table_of_new_items_alone_is_compared(seasonal: VRAEClusterer) -> None:
    later = later_sales(1.0)
    renamed = dataclasses.replace(later, ids=np.array([f"new {name}" for name in later.ids]))
    found = drift_of(seasonal, iter([renamed]), 0.05)
    assert found.counts["new"] + found.counts.get("unlike", 0) == len(later)
    assert found.counts["gone"] == len(seasonal.ids_)


def test_other_units_are_said_before_anything_else(seasonal: VRAEClusterer) -> None:
    panel = later_sales(1.0)
    found = seasonal.drift(
        Panel(1000 * panel.values, panel.offsets, panel.ids, panel.times, panel.channels, calendar=panel.calendar)
    )
    assert found.verdict.startswith("Check the units: the level of the items is 1,000 times that at the fit")
    assert not found.tested
    assert "can stay in use" not in found.verdict
    new = seasonal.drift(later_sales(100.0, "0123456789"))
    assert new.verdict.startswith("Check the units of the new steps")
    assert len(new.checks) == 1  # the past is as it was
    assert new.fit_again == ""


def test_ids_that_look_alike_are_shown(clusterer: VRAEClusterer) -> None:
    panel = waves(120, 0.3, 0)
    renamed = Panel.from_arrays(panel.to_padded()[:, 0], ids=[f"X-{name}" for name in panel.ids])
    found = clusterer.drift(renamed)
    assert found.verdict.startswith("Check the ids: no id of the table is known to the model")
    assert "'X-item0' here, 'item0' at the fit" in found.verdict
    assert "can stay in use" not in found.verdict


def test_rows_that_are_missing_are_said() -> None:
    fitted = VRAEClusterer(2, model=VRAE(max_epochs=2), random_state=0).fit(dated(60))
    table = dated(60).to_pandas().sample(frac=0.6, random_state=0)
    found = fitted.drift(read_panel(table, id="unique_id", time=table.columns[1], fill=0, freq="W-MON"))
    assert found.verdict.startswith("Check the rows: ")
    assert "of weeks have no row, and 0.0 % at the fit" in found.verdict


def test_a_level_within_chance_is_called_that(clusterer: VRAEClusterer) -> None:
    everyone = LevelChange(-1, "", 40, 0.16, 0.16, (-0.11, 0.12), 0.015)
    summer = LevelChange(0, "Summer", 20, 0.88, 0.72, (-0.3, 0.69), 0.019)
    small = LevelChange(1, "Winter", 20, -0.02, -0.2, (-0.18, 0.2), 0.04)
    levels = tuple(mark_levels([everyone, summer, small], 0.05, False))
    lines = dataclasses.replace(clusterer.drift(waves(120, 0.3, 1)), levels=levels, level_words="before").level_lines()
    assert lines[0].endswith("+12 %; unusual, but within chance for four questions).")
    assert lines[1:] == ["Level of Summer: +88 % (unusual, but within chance for four questions)."]
    found = tuple(mark_levels([everyone, dataclasses.replace(summer, p_value=1e-5), small], 0.05, True))
    assert [level.changed for level in found] == [False, True, False]
    assert "less than 10 %" in mark_levels([dataclasses.replace(everyone, change=0.05), summer], 0.05, False)[0].remark


def test_equal_levels_are_no_change() -> None:
    before = np.random.default_rng(0).lognormal(3, 1, 80)
    levels = levels_beside_the_fit(before.astype(np.float32).astype(float), before, np.arange(80) % 2, list("ab"))
    assert levels[0].p_value == 1.0


def test_an_item_without_early_values_is_compared(seasonal: VRAEClusterer) -> None:
    later = later_sales(1.0)
    values = later.values.copy()
    values[: int(later.lengths[0]) - 6] = np.nan
    found = drift_of(seasonal, iter([later.with_values(values)]), 0.05)
    assert found.n_moved_by_chance is not None
