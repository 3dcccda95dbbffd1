"""The report on narrow screens: nothing is cut, fingers have room, results appear in view."""

from __future__ import annotations

from pathlib import Path

import pytest

from browser_pages import title
from report_data import NAMES, make_report_data

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright (the Python package) is not installed")

pytestmark = pytest.mark.slow

CHECKS = Path(__file__).with_name("report_checks.js").read_text("utf-8")
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.mark.parametrize("width", [320, 390, 720, 900, 1180, 1440])
def test_nothing_is_cut_at_any_width(open_report, width):
    data = make_report_data(n=60, n_clusters=10, n_channels=3, names={0: "A name of many words " * 3})
    page = open_report(data, viewport={"width": width, "height": 844})
    wide = "document.documentElement.scrollWidth"
    assert page.evaluate(wide) == width
    page.click("#edit-mode")
    page.check("[data-tick='0']")
    page.check("[data-tick='1']")
    page.click("#merge")
    page.locator(".mini").first.click()
    assert page.evaluate(wide) == width
    assert page.evaluate(f"{CHECKS}.cut()") == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_tap_on_a_phone_shows_the_result_there(open_report, scheme):
    page = open_report(make_report_data(n=40, names=NAMES), color_scheme=scheme, **PHONE)
    page.locator("#map").scroll_into_view_if_needed()
    before = page.evaluate("scrollY")
    x, y = page.evaluate(f"{CHECKS}.placeOfPoint(5)")
    page.touchscreen.tap(x, y)
    sheet = page.locator(".selection")
    sync_api.expect(sheet).to_be_in_viewport(ratio=0.99)
    assert page.locator("#series .main-svg").first.is_visible()
    assert abs(page.evaluate("scrollY") - before) < 300
    page.tap("#clear")
    assert not sheet.is_visible()
    small = page.locator(".mini").nth(9)
    small.tap()
    sync_api.expect(sheet).to_be_in_viewport(ratio=0.99)
    assert title(page) == small.get_attribute("title")
    page.wait_for_function("el => el.getBoundingClientRect().bottom < innerHeight / 2 + 40", arg=small.element_handle())
    assert page.evaluate(f"{CHECKS}.poor()") == []


def test_fingers_have_room(open_report):
    page = open_report(make_report_data(n=40, names=NAMES), **PHONE)
    page.tap("#edit-mode")
    page.tap(".pick[data-cluster='1']")
    assert page.evaluate(f"{CHECKS}.small(40)") == []
