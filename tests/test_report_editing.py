"""Groups that are edited by hand in the report, in a real browser, and the edits that it saves."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from browser_pages import downloaded_edits, row_ids, title
from report_data import NAMES, make_report_data
from vrae import VRAE, Panel, VRAEClusterer, load_model, runs
from vrae.estimators.assignment import assign
from vrae.estimators.reporting import gather_report
from vrae.report import CommandLine
from vrae.runs.run_report import report_of_run
from vrae.runs.run_tables import read_assignment

pytest.importorskip("playwright.sync_api", reason="playwright (the Python package) is not installed")

pytestmark = pytest.mark.slow

WIDE = {"viewport": {"width": 1400, "height": 1000}}
BOTH = np.tile([0, 0, 0, 1, 1, 1], 4).astype(np.uint8)


def editable(**parts: Any):
    """Return a report of a run: named groups of 8 series, of which some would split."""
    options = {"names": NAMES, "halves": BOTH, "commands": CommandLine("runs/sales")}
    return make_report_data(**{**options, **parts})


def listed(page) -> list[str]:
    """Return what the list of groups says: name, number and size of each."""
    return page.eval_on_selector_all(
        ".pick",
        "all => all.map(p => [p.querySelector('.name').textContent, p.dataset.cluster,"
        " p.querySelector('.count').textContent].join(' | '))",
    )


def tick(page, *labels: int) -> None:
    for label in labels:
        page.check(f"[data-tick='{label}']")


def groups_of(page) -> dict[str, str]:
    """Return the title of the group in which the map shows each series."""
    script = "document.getElementById('map').data.flatMap(t => (t.text ?? []).map(id => [id, t.name]))"
    return dict(page.evaluate(script))


def test_groups_are_merged_everywhere(open_report):
    page = open_report(editable(), **WIDE)
    page.click("#edit-mode")
    assert page.is_disabled("#merge")
    tick(page, 0, 2)
    page.click("#merge")
    merged = "Peaks in December + Launched in mid-2025, growing"
    assert listed(page) == [f"{merged} | 0 | 16", "Steady, high volume | 1 | 8"]
    assert page.locator(".card h3 .name").all_inner_texts() == [merged, NAMES[1]]
    card = page.locator(".card").first
    assert card.locator(".curve path.middle").count() == 2  # both typical curves, and which is whose
    assert card.locator(".edited .key").all_inner_texts() == [NAMES[0], NAMES[2]]
    assert not card.locator(".sentence").is_visible()
    assert page.locator("#overview .small").count() == 2
    assert "16 series" in card.inner_text()
    page.click(".pick[data-cluster='0']")
    assert title(page) == f"0 · {merged} · 16 series"
    assert set(groups_of(page).values()) == {f"0 · {merged}"[:30] + "…", "1 · Steady, high volume"}
    assert downloaded_edits(page) == {
        "format": "vrae edits",
        "version": 1,
        "sizes": [8, 8, 8],
        "edits": [{"merge": [0, 2]}],
    }


def test_numbers_close_the_gap_and_new_parts_come_last(open_report):
    page = open_report(editable(n=40, n_clusters=5, names={}, halves=np.arange(40) // 5 % 3 == 0), **WIDE)
    page.click("#edit-mode")
    tick(page, 1, 3)
    page.click("#merge")
    assert [row.split(" | ")[1] for row in listed(page)] == ["0", "1", "2", "3"]
    tick(page, 3)  # was cluster 4
    page.uncheck("[data-tick='1']")
    page.click("#split")
    sizes = {row.split(" | ")[1]: row.split(" | ")[2] for row in listed(page)}
    assert sizes == {"0": "8", "1": "16", "2": "8", "3": "5", "4": "3"}
    assert page.locator(".card").count() == 5
    assert downloaded_edits(page)["edits"] == [{"merge": [1, 3]}, {"split": 3}]


def test_what_was_edited_is_not_split(open_report):
    page = open_report(editable(), **WIDE)
    page.click("#edit-mode")
    tick(page, 1)
    assert page.is_enabled("#split")
    page.click("#split")
    assert listed(page)[-1].startswith("Steady, high volume, part 2 | 3 | ")
    tick(page, 1)
    assert page.is_disabled("#split")
    assert "only once the edits are applied" in page.inner_text("#edit-status")
    none = open_report(editable(halves=None), **WIDE)
    none.click("#edit-mode")
    assert not none.is_visible("#split")


def test_a_group_is_renamed_in_place_by_keyboard(open_report):
    page = open_report(editable(), **WIDE)
    page.focus("#edit-mode")
    page.keyboard.press("Enter")
    page.focus("[data-tick='0']")
    page.keyboard.press("Space")
    page.focus("#rename")
    page.keyboard.press("Enter")
    page.keyboard.type("<b>Christmas</b>")
    page.keyboard.press("Enter")
    assert listed(page)[0].startswith("<b>Christmas</b> | 0")
    assert page.evaluate("document.activeElement.dataset.cluster") == "0"
    assert page.locator(".card h3 .name").first.inner_text() == "<b>Christmas</b>"
    page.click("#rename")
    page.fill("input.rename", "dropped")
    page.keyboard.press("Escape")
    assert downloaded_edits(page)["edits"] == [{"rename": {"0": "<b>Christmas</b>"}}]


def renamed(page, label: int, name: str) -> str:
    """Rename a group, and return what the page says."""
    for ticked in page.query_selector_all("[data-tick]:checked"):
        ticked.uncheck()
    tick(page, label)
    page.click("#rename")
    page.fill("input.rename", name)
    page.keyboard.press("Enter")
    return page.inner_text("#edit-status")


def test_names_have_the_rules_of_the_library(open_report):
    page = open_report(editable(own_names={2: NAMES[2]}), **WIDE)
    page.click("#edit-mode")
    refused = {
        " \u00a0\u200d": "needs a letter",
        "a\u0007b": "contains U+0007",
        "A\u200bB": "contains U+200B",
        "x" * 81: "at most 80 characters",
        "not  ASSIGNED": "without a group",
        f"{NAMES[2].upper()}\u00a0": f"2 · {NAMES[2]} has this name already. To swap names",
    }
    for name, words in refused.items():
        assert words in renamed(page, 0, name)
    assert page.locator("#edits li").count() == 0
    said = renamed(page, 0, NAMES[1].upper())
    assert f"Number 1, which had this name, is now “{NAMES[1]} (1)”" in said
    renamed(page, 2, f"{NAMES[1]} (1)")
    assert [row.split(" | ")[0] for row in listed(page)] == [
        NAMES[1].upper(),
        f"{NAMES[1]} (cluster 1)",
        f"{NAMES[1]} (1)",
    ]
    renamed(page, 0, "\u2003\U0001f469\u200d\U0001f467 at\u00a0home ")
    assert downloaded_edits(page)["edits"][-1] == {"rename": {"0": "\U0001f469\u200d\U0001f467 at home"}}


def test_identical_series_move_together(open_report):
    alike = np.zeros(24, np.int64)
    alike[[0, 3, 6]], alike[[2, 5, 8, 11, 14, 17, 20, 23]] = 1, 2  # all of group 2 are identical
    page = open_report(editable(halves=None, alike=alike, alike_sizes=(0, 3, 8)), **WIDE)
    page.fill("#search", "item 3")
    page.select_option("#move-to", "1")
    page.click("#move")
    assert "Moved 3 series to 1 · Steady, high volume. 3 identical series move together." in page.inner_text("#edits")
    assert [row.split(" | ")[2] for row in listed(page)] == ["5", "11", "8"]
    page.fill("#search", "item 20")
    page.select_option("#move-to", "0")
    page.click("#move")
    said = page.inner_text("#edit-status")
    assert "That would leave nothing of 2" in said
    assert "8 identical series move together. Merge it with 0" in said
    (edit,) = downloaded_edits(page)["edits"]
    assert (sorted(edit["move"]), edit["to"]) == (["item 0", "item 3", "item 6"], 1)


def test_identical_series_that_the_page_does_not_hold_are_counted(open_report):
    alike = np.zeros(24, np.int64)
    alike[2] = 1
    metrics = {"n_series": 124, "sizes": [8, 8, 108], "n_noise": 0}
    page = open_report(editable(halves=None, alike=alike, alike_sizes=(0, 101), metrics=metrics), **WIDE)
    page.fill("#search", "item 2")
    page.locator("#search").press("Enter")
    page.select_option("#move-to", "1")
    page.click("#move")
    assert [row.split(" | ")[2] for row in listed(page)] == ["8", "109", "7"]


def test_selected_series_are_moved(open_report):
    page = open_report(editable(), **WIDE)
    page.fill("#search", "item 3")
    page.select_option("#move-to", "2")
    page.click("#move")
    assert [row.split(" | ")[2] for row in listed(page)] == ["7", "8", "9"]
    assert groups_of(page)["item 3"].startswith("2 · ")
    assert "1 series moved here by hand" in page.locator(".card").nth(2).inner_text()
    assert page.locator("#table tbody td").nth(2).inner_text() == "by hand"
    assert downloaded_edits(page)["edits"] == [{"move": ["item 3"], "to": 2}]
    page.click(".pick[data-cluster='1']")
    assert not page.is_visible("#move")  # a whole group is merged instead


def test_the_last_series_of_a_group_stays(open_report):
    labels = np.r_[0, np.arange(23) % 2 + 1]
    page = open_report(editable(labels=labels, halves=None), **WIDE)
    page.fill("#search", "item 0")
    page.select_option("#move-to", "1")
    page.click("#move")
    assert "would leave nothing of 0 · Peaks in December" in page.inner_text("#edit-status")
    assert page.locator("#edits li").count() == 0


def test_edits_are_undone_and_the_page_asks_before_it_closes(open_report):
    asks = "dispatchEvent(new Event('beforeunload', {cancelable: true}))"
    page = open_report(editable(), **WIDE)
    before = listed(page), page.locator(".cards").inner_text()
    page.click("#edit-mode")
    tick(page, 0, 1)
    page.click("#merge")
    page.click("#split", force=True)  # disabled: nothing happens
    assert page.evaluate(asks) is False
    page.click("#undo")
    assert (listed(page), page.locator(".cards").inner_text()) == before
    assert page.evaluate(asks) is True
    assert page.inner_text("#edit-status").startswith("Undone: Merged 0 · Peaks in December and 1 · Steady")
    tick(page, 0, 1)
    page.click("#merge")
    assert page.evaluate(asks) is False
    downloaded_edits(page)
    assert page.evaluate(asks) is True
    assert page.inner_text("#editing .command code") == "vrae edit runs/sales edits.json"
    page.click("#undo-all")
    assert page.locator("#edits li").count() == 0
    assert (listed(page), page.locator(".cards").inner_text()) == before


def test_shift_click_ticks_groups(open_report):
    page = open_report(editable(), **WIDE)
    for label in (0, 1):
        page.click(f".pick[data-cluster='{label}']", modifiers=["Shift"])
    assert page.is_visible("#editing")
    page.click("#merge")
    assert len(listed(page)) == 2
    assert row_ids(page) == []


def test_a_page_made_in_python_writes_python(open_report):
    page = open_report(make_report_data(halves=BOTH), **WIDE)
    page.click("#edit-mode")
    tick(page, 0, 2)
    page.click("#merge")
    tick(page, 1)
    page.uncheck("[data-tick='0']")
    page.click("#split")
    assert page.inner_text("#editing .command code").splitlines() == ["clusterer.merge([0, 2])", "clusterer.split(1)"]
    assert not page.is_visible("#download-edits")


KEYS = [UUID(int=row) for row in range(24)]
DAYS = np.datetime64("2024-01-01") + np.arange(24)
IDS: dict[str, tuple[Any, str]] = {
    "whole numbers": (np.arange(24) * 7, "[21]"),
    "fractions": (np.arange(24) / 4, "[0.75]"),
    "text": ([f'"{row}"' for row in range(24)], r'["\"3\""]'),
    "days": (DAYS, '["2024-01-04"]'),
    "nanoseconds": ((DAYS + np.timedelta64(90, "m")).astype("M8[ns]"), '["2024-01-04 01:30:00"]'),
    "keys": (KEYS, f'["{KEYS[3]}"]'),
    "mixed": ([1.5 + row if row == 3 else f"s{row}" for row in range(24)], "[4.5]"),
}


@pytest.mark.filterwarnings("ignore::vrae.exceptions.VRAEWarning")
@pytest.mark.parametrize("kind", IDS)
def test_the_python_lines_of_a_page_run(kind, open_report):
    ids, shown = IDS[kind]
    waves = make_report_data().panel
    series = [waves[row] for row in range(24)]
    tiny = VRAE(latent_size=3, hidden_size=8, max_epochs=2, batch_size=8, device="cpu")
    panel = Panel.from_arrays(series, ids=ids)
    clusterer = VRAEClusterer(3, model=tiny, random_state=0).fit(panel)
    data = gather_report("Waves", clusterer, panel, assign(clusterer, panel, clusterer.embedding_), {}, None)
    page = open_report(data, **WIDE)
    page.fill("#search", page.evaluate("JSON.parse(document.getElementById('data').textContent).ids[3]"))
    to = (int(clusterer.labels_[3]) + 1) % 3
    page.select_option("#move-to", str(to))
    page.click("#move")
    line = page.inner_text("#editing .command code")
    assert line == f"clusterer.move({shown}, to={to})"
    exec(line, {"clusterer": clusterer})
    assert clusterer.labels_[3] == to


@pytest.mark.filterwarnings("ignore::vrae.exceptions.VRAEWarning")
def test_page_and_library_agree_about_identical_series(open_report, tmp_path):
    rng = np.random.default_rng(0)
    kinds = [30 * ["wave"], 25 * ["noise"], 20 * ["zero"], 15 * ["trend"]]
    steps = np.arange(48)
    shapes = {"wave": np.sin(steps / 3) * 9, "noise": 0 * steps, "zero": 0 * steps, "trend": steps / 3}
    names = [name for part in kinds for name in part]
    series = [shapes[name] + (name != "zero") * rng.normal(size=48) for name in names]
    panel = Panel.from_arrays(series, ids=[f"{name}{row}" for row, name in enumerate(names)])
    tiny = VRAE(latent_size=4, hidden_size=16, max_epochs=3, batch_size=16, device="cpu", random_state=0)
    runs.cluster_panel(VRAEClusterer(4, model=tiny, random_state=0), panel, None, tmp_path / "run", "Waves")
    before = load_model(tmp_path / "run")
    zeros = np.flatnonzero([name == "zero" for name in names])
    label = int(before.labels_[zeros[0]])
    assert (before.labels_[zeros] == label).all()
    page = open_report(report_of(tmp_path / "run", panel), **WIDE)
    page.fill("#search", f"zero{zeros[0]}")
    to = (label + 1) % 4
    page.select_option("#move-to", str(to))
    page.click("#move")
    if (before.labels_ == label).sum() == len(zeros):
        assert "That would leave nothing of" in page.inner_text("#edit-status")
    else:
        assert "20 identical series move together" in page.inner_text("#edits")
    renamed(page, 2, "Chosen")
    (tmp_path / "edits.json").write_text(json.dumps(downloaded_edits(page)))
    shown = [row.split(" | ") for row in listed(page)]
    metrics = runs.edit_run(tmp_path / "run", tmp_path / "edits.json", None)
    assert metrics["sizes"] == [int(size) for _, _, size in shown]
    assert metrics["names"][2] == "Chosen" == shown[2][0]


def report_of(run, panel):
    """Return the report of a run."""
    return report_of_run(load_model(run), panel, read_assignment(run), runs.read_metrics(run), run)


@pytest.mark.filterwarnings("ignore::vrae.exceptions.VRAEWarning")
def test_the_library_makes_of_the_edits_what_the_page_shows(open_report):
    rng = np.random.default_rng(0)
    waves = [np.sin(np.arange(30) / (1 + row % 4)) + 0.3 * rng.normal(size=30) for row in range(60)]
    panel = Panel.from_arrays(waves, ids=[f"item {row}" for row in range(60)])
    tiny = VRAE(latent_size=3, hidden_size=8, max_epochs=2, batch_size=8, device="cpu")
    clusterer = VRAEClusterer(4, model=tiny, random_state=0).fit(panel)
    found = assign(clusterer, panel, clusterer.embedding_)
    data = gather_report("Waves", clusterer, panel, found, {}, None, commands=CommandLine("runs/waves"))
    page = open_report(data, **WIDE)
    page.click("#edit-mode")
    tick(page, 2)
    page.click("#split")
    tick(page, 0, 3)
    page.click("#merge")
    page.uncheck("[data-tick='0']")
    other = next(i for i, label in enumerate(clusterer.labels_) if label == 1)
    page.fill("#search", f"item {other}")
    page.select_option("#move-to", "0")
    page.click("#move")
    content = downloaded_edits(page)
    assert content["sizes"] == np.bincount(clusterer.labels_).tolist()
    for edit in content["edits"]:
        if "merge" in edit:
            clusterer.merge(edit["merge"])
        elif "split" in edit:
            clusterer.split(edit["split"])
        else:
            clusterer.move(edit["move"], to=edit["to"])
    shown = groups_of(page)
    numbers = [int(re.findall(r"\d+", shown[f"item {row}"])[0]) for row in range(60)]  # "0 · name" or "Cluster 0"
    assert numbers == clusterer.labels_.tolist()
