"""The first screen, the choice of the number of groups and the commands, in a real browser."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from report_data import HOSTILE_IDS, make_report_data
from vrae.describe.findings import Found
from vrae.describe.verdict import verdict
from vrae.report import Alternative, CommandLine, NextBest, ReportData, write_report

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright (the Python package) is not installed")
CHROMIUM = shutil.which("chromium")
if CHROMIUM is None:
    pytest.skip("Debian's chromium is not installed", allow_module_level=True)

pytestmark = pytest.mark.slow

CHECKS = Path(__file__).with_name("report_checks.js").read_text("utf-8")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


def worried(**parts: Any) -> ReportData:
    """Return a report with alerts, alternatives, a tree and doubtful series."""
    names = {
        0: "Peaks in December",
        1: "Sells only a few weeks a year and then for very long not at all",
        2: HOSTILE_IDS[2],
    }
    labels = np.arange(24) % 3
    probabilities = np.where(np.arange(24) < 4, 0.45, 0.99)
    alternatives = tuple(
        Alternative(k, 0.3, (0.8,) * k, tuple(np.bincount(labels % k, minlength=k)), names, labels % k) for k in (2, 3)
    )
    found = Found([8, 8, 8], names, stability=[0.9, 0.2, 0.9], refitted=True, missing=0.4, others=[2])
    return make_report_data(
        **{
            "names": names,
            "probabilities": probabilities,
            "next_best": NextBest((labels + 1) % 3, 1 - probabilities),
            "alternatives": alternatives,
            "tree": np.array([[0, 1, 1.0, 2], [2, 3, 2.0, 3]]),
            "verdict": verdict(found),
            "commands": CommandLine("runs/a folder with a very long name that does not fit", {"data": "sales.csv"}),
            **parts,
        }
    )


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Return a function that opens a report; at the end nothing may have gone wrong."""
    troubles: list[str] = []
    contexts = []

    def open_(data, **options):
        context = browser.new_context(**options)
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: troubles.append(message.text) if "GL Driver" not in message.text else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.goto(write_report(data, tmp_path / f"report{len(contexts)}.html").as_uri())
        page.wait_for_selector("html[data-ready]", state="attached")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert troubles == []


def test_verdict_and_alerts_are_on_the_first_screen(opened):
    page = opened(worried(), viewport={"width": 1440, "height": 900})
    for part in (".verdict", ".alert >> nth=0", ".facts"):
        box = page.locator(part).bounding_box()
        assert box["y"] + box["height"] < 900, part
    kinds = page.eval_on_selector_all(".alert", "all => all.map(a => a.dataset.kind)")
    assert kinds == ["gaps", "not found again", "few series"]
    assert page.locator(".alert .warning").count() == 3
    size = page.eval_on_selector(".alert .what", "p => parseFloat(getComputedStyle(p).fontSize)")
    assert size >= 14


@pytest.mark.parametrize(("scheme", "width"), [("light", 390), ("dark", 320)])
def test_nothing_is_cut_on_a_phone(opened, scheme, width):
    page = opened(worried(), viewport={"width": width, "height": 740}, color_scheme=scheme)
    for part in page.locator("details").all():
        part.locator("summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    too_wide = (
        "all => all.filter(e => e.getClientRects().length && e.getBoundingClientRect().right > innerWidth + 1)"
        ".map(e => e.className)"
    )
    parts = ".verdict, .alert *:not(pre *), .facts *, .choices > li, .tree li, .command"
    assert page.eval_on_selector_all(parts, too_wide) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_and_everything_has_a_name(opened, scheme):
    page = opened(worried(), color_scheme=scheme)
    for part in page.locator("details").all():
        part.locator("summary").click()
    assert page.evaluate(f"{CHECKS}.poor()") == []
    assert page.evaluate(f"{CHECKS}.nameless()") == []


def test_commands_are_copied(opened):
    page = opened(worried())
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    command = page.locator(".alert .command").first
    command.locator(".copy").click()
    sync_api.expect(command.locator(".copy")).to_have_text("Copied")
    text = command.locator("code").inner_text()
    assert re.match(r"vrae cluster --config 'runs/a folder .*' --fill 0", text)
    assert page.evaluate("navigator.clipboard.readText()") == text
    sync_api.expect(command.locator(".copy")).to_have_text("Copy")


def test_a_browser_without_a_clipboard_copies_the_selection(opened):
    page = opened(worried())
    page.evaluate("delete Navigator.prototype.clipboard")
    page.locator(".alert .copy").first.click()
    assert page.evaluate("getSelection().toString()") == page.locator(".alert code").first.inner_text()


def test_training_curves_fill_their_place_when_opened(opened):
    page = opened(make_report_data(), viewport={"width": 1300, "height": 900})
    assert not page.locator("#figure-training").is_visible()
    page.click("details.folded summary")
    sync_api.expect(page.locator("#figure-training .main-svg").first).to_be_visible()
    width = "document.querySelector('#figure-training .main-svg').clientWidth"
    page.wait_for_function(f"{width} > 1000")


def test_a_doubtful_series_leads_to_its_curve(opened):
    page = opened(worried())
    assert page.locator(".doubts tbody tr").count() == 4
    page.locator(".doubt").nth(1).click()
    assert page.locator(".doubt").nth(1).inner_text() in page.inner_text("#selection-title")


def test_alternatives_and_tree_are_drawn(opened):
    page = opened(worried())
    heads = page.locator(".choices h4").all_inner_texts()
    assert heads == ["2 groups worth a look", "3 groups now"]
    assert page.locator(".small-curves svg path[d^=M]").count() == 5
    assert page.locator(".choices .command").count() == 1  # none for the present number
    assert page.locator(".tree path").count() == 2
    rows = [box["y"] + box["height"] / 2 for box in (li.bounding_box() for li in page.locator(".tree li").all())]
    tree = page.locator(".tree > svg").bounding_box()
    assert rows == pytest.approx([tree["y"] + 28 * (row + 0.5) for row in range(3)], abs=2)


def test_hostile_names_stay_text(opened):
    names = dict(enumerate(HOSTILE_IDS[:3]))
    data = worried(names=names, title=HOSTILE_IDS[0], notice=HOSTILE_IDS[1], commands=CommandLine(HOSTILE_IDS[3]))
    page = opened(data)
    assert page.evaluate("window.hacked") is None
    assert page.inner_text(".notice") == HOSTILE_IDS[1]
    assert page.locator(".tree b, .alert a, .small-curves b, header img").count() == 0
