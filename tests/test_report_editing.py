"""Groups that are edited by hand in the report, in a real browser, and the edits that it saves."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from browser_pages import downloaded_edits, row_ids, title
from report_data import NAMES, make_report_data
from vrae import VRAE, Panel, VRAEClusterer
from vrae.estimators.assignment import assign
from vrae.estimators.reporting import gather_report
from vrae.report import CommandLine

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
    page.fill("input.rename", NAMES[1].upper())
    page.keyboard.press("Enter")
    assert "has this name already" in page.inner_text("#edit-status")
    page.click("#rename")
    page.fill("input.rename", "dropped")
    page.keyboard.press("Escape")
    assert downloaded_edits(page)["edits"] == [{"rename": {"0": "<b>Christmas</b>"}}]


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
