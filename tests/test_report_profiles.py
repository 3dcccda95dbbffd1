"""When groups are high and who is in them: numbers of the page, and the page in a browser."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from report_data import HOSTILE_IDS, make_report_data
from vrae import Panel
from vrae.data.calendar import Calendar
from vrae.report import ReportData, render_report, write_report
from vrae.report.profiles import gather_profiles

CHROMIUM = shutil.which("chromium")
CHECKS = Path(__file__).with_name("report_checks.js").read_text("utf-8")
WEEKS = np.datetime64("2022-01-03") + 7 * np.arange(104)


def dated(
    times: np.ndarray = WEEKS, freq: str = "W-MON", n: int = 24, static: dict[str, Any] | None = None, **parts: Any
) -> ReportData:
    """Return series of three clusters: high in December, high in June, and steady."""
    rng = np.random.default_rng(0)
    month = (times.astype("M8[D]") + 3).astype("M8[M]").astype(int) % 12
    levels = np.stack([1 + 3 * (month == 11), 1 + 3 * (month == 5), np.ones(len(times))])
    labels = np.arange(n) % 3
    X = levels[labels] * rng.normal(1, 0.05, (n, len(times))) * rng.uniform(1, 100, (n, 1))
    panel = Panel.from_arrays(
        X, times=np.tile(times, n), static=static or {}, calendar=Calendar(freq, origin=str(times[0]))
    )
    names = {0: "Peaks in December", 1: "Summer", 2: "Steady"}
    return make_report_data(n=n, panel=panel, lags=None, names=names, **parts)


def hourly(**parts: Any) -> ReportData:
    return dated(np.datetime64("2024-03-04T00") + np.arange(24 * 14), "h", **parts)


THEMES = {"theme": np.where(np.arange(24) % 3 == 0, "Christmas", "home"), "price": np.arange(24) * 1.5}


# -------------------------------------------------------------------- numbers of the page


def test_seasons_of_the_page():
    seasons = gather_profiles(dated()).seasons
    assert seasons is not None
    assert seasons["labels"] == [0, 1, 2]
    assert [profile["view"] for profile in seasons["profiles"]] == ["month"]
    first, second, third = seasons["profiles"][0]["sentences"][0]
    assert first.startswith("Highest in December (")
    assert second.startswith("Highest in June (")
    assert third == "About the same in every month."
    calendar = seasons["calendar"]
    assert calendar["names"][0] == "week of 2022-01-03"
    assert len(calendar["values"][0][0]) == 104
    assert [text for _, text in calendar["ticks"]][:2] == ["Jan 2022", "Apr 2022"]
    assert all(0 <= place < 1 for place, _ in calendar["ticks"])


@pytest.mark.parametrize(
    ("times", "freq", "texts"),
    [
        (np.datetime64("2024-03-04") + np.arange(14), "D", ["4 Mar 2024", "6 Mar", "8 Mar"]),
        (np.datetime64("2024-03-04T00") + np.arange(24), "h", ["4 Mar 2024", "03:00", "06:00"]),
        (np.datetime64("2020-01", "M") + np.arange(60), "MS", ["2020", "2021", "2022", "2023", "2024"]),
        (np.datetime64("1930", "Y") + np.arange(90), "YS", ["1930", "1940", "1950"]),
    ],
)
def test_the_axis_has_few_round_dates(times, freq, texts):
    seasons = gather_profiles(dated(times.astype("M8[s]"), freq)).seasons
    assert seasons is not None
    found = [text for _, text in seasons["calendar"]["ticks"]]
    assert found[: len(texts)] == texts
    assert len(found) <= 9


def test_the_most_telling_season_comes_first():
    data = hourly()
    hour = np.arange(24 * 14) % 24
    peaks = data.panel.values * np.tile(np.where(hour == 8, 9.0, 1.0), 24)[:, None]
    seasons = gather_profiles(dated(WEEKS, static={})).seasons
    assert seasons is not None
    assert seasons["first"] == 0
    panel = data.panel.with_values(peaks)
    found = gather_profiles(make_report_data(panel=panel, lags=None)).seasons
    assert found is not None
    assert found["profiles"][found["first"]]["view"] == "hour"
    week = next(profile for profile in found["profiles"] if profile["view"] == "hour of the week")
    assert week["sentences"][0][0].startswith("About the same on every weekday. Highest at 08:00")


def test_one_year_is_said_to_be_one():
    seasons = gather_profiles(dated(WEEKS[:53])).seasons
    assert seasons is not None
    assert "each month about once" in seasons["note"]
    two_years = gather_profiles(dated()).seasons
    assert two_years is not None
    assert two_years["note"] == ""


def test_tables_of_the_page():
    profiles = gather_profiles(dated(static=THEMES))
    assert [table["name"] for table in profiles.tables] == ["theme", "price"]
    assert profiles.findings == [
        (0, "theme “Christmas”: 100\N{NO-BREAK SPACE}% of “Peaks in December”, 33\N{NO-BREAK SPACE}% of all series.")
    ]
    assert profiles.tables[0]["counts"] == [[0, 8], [8, 0], [8, 0]]


def test_columns_that_group_nothing_are_left_out():
    names = np.array([f"product {i}" for i in range(24)])
    static = {"name": names, "country": np.full(24, "UK"), "label": THEMES["theme"]}
    assert [table["name"] for table in gather_profiles(dated(static=static)).tables] == ["label"]
    known = gather_profiles(dated(static=static, truth=THEMES["theme"]))
    assert [table["name"] for table in known.tables] == ["known label"]


def test_without_dates_and_columns_there_is_nothing():
    html = render_report(make_report_data())
    assert "when-title" not in html
    assert "who-title" not in html
    html = render_report(make_report_data(truth=np.array(["x", "y", "z"] * 8)))
    assert "when-title" not in html
    assert "who-title" in html


# -------------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright (the Python package) is not installed")
    if CHROMIUM is None:
        pytest.skip("Debian's chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def open_report(browser, tmp_path):
    """Return a function that opens a report, in which nothing may go wrong."""
    troubles: list[str] = []
    pages = []

    def open_(data, **options):
        page = browser.new_page(**options)
        pages.append(page)
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("dialog", lambda dialog: troubles.append(dialog.message))
        page.goto(write_report(data, tmp_path / f"{len(pages)}.html").as_uri())
        page.wait_for_selector("html[data-ready]", state="attached")
        return page

    yield open_
    for page in pages:
        page.close()
    assert troubles == []


@pytest.mark.slow
def test_the_heat_map_tells_date_and_value(open_report):
    page = open_report(dated(), viewport={"width": 1440, "height": 900})
    strips = page.locator(".heat-strip")
    assert strips.count() == 3
    assert page.locator(".heat-name").first.inner_text() == "0 · Peaks in December"
    assert strips.first.locator("rect").count() == 104
    label = strips.first.get_attribute("aria-label")
    assert re.match(r"0 · Peaks in December by week. Highest from the week of \d{4}-1[12]-\d\d to the week of", label)
    strips.first.scroll_into_view_if_needed()
    box = strips.first.bounding_box()
    december = np.flatnonzero(np.datetime64("2022-12-05") == WEEKS)[0]
    page.mouse.move(box["x"] + (december + 0.5) / 104 * box["width"], box["y"] + 5)
    assert re.fullmatch(
        r"0 · Peaks in December\nweek of 2022-12-05: [23]\.\d times its average", page.inner_text("#heat-tip")
    )
    colour = strips.first.locator("rect").nth(int(december)).evaluate("node => getComputedStyle(node).fill")
    steady = strips.nth(2).locator("rect").nth(int(december)).evaluate("node => getComputedStyle(node).fill")
    assert colour != steady
    page.mouse.move(5, 5)
    assert page.locator("#heat-tip").is_hidden()


@pytest.mark.slow
def test_the_heat_map_works_by_keyboard_and_by_touch(open_report):
    page = open_report(dated(), viewport={"width": 390, "height": 800}, has_touch=True)
    strip = page.locator(".heat-strip").first
    strip.focus()
    page.keyboard.press("ArrowLeft")
    assert f"week of {WEEKS[102]}" in page.inner_text("#heat-tip")
    strip.tap(position={"x": 2, "y": 5})
    assert f"week of {WEEKS[0]}" in page.inner_text("#heat-tip")
    tip = page.locator("#heat-tip").bounding_box()
    assert tip["x"] >= 0
    assert tip["x"] + tip["width"] <= 390


@pytest.mark.slow
def test_seasons_can_be_chosen(open_report):
    page = open_report(hourly(), viewport={"width": 1200, "height": 900})
    page.check("input[name=season][value='1']", force=True)
    assert page.inner_text("#season-title") == "On a typical day"
    assert page.locator(".season").count() == 3
    assert page.locator(".season").first.locator(".bars rect").count() == 24
    page.check("input[name=season][value='2']", force=True)
    assert page.locator(".season").first.locator(".cells rect").count() == 168
    assert page.locator(".season title").first.text_content().startswith("Monday 00:00: ")


@pytest.mark.slow
def test_the_table_shows_the_chosen_column(open_report):
    page = open_report(dated(static=THEMES))
    heads = page.locator("#crosstab thead th")
    assert heads.all_inner_texts() == ["Group", "home", "Christmas", "series"]
    rows = page.locator("#crosstab tbody tr")
    assert rows.first.locator("td").all_inner_texts() == ["0 %", "100 %", "8"]
    assert rows.last.locator("td").all_inner_texts() == ["67 %", "33 %", "24"]
    assert page.locator("#crosstab td.up").all_inner_texts() == ["100 %"]
    assert rows.first.locator("td").nth(1).get_attribute("title") == "8 of 8 series; 3.0 times the share of all series"
    page.select_option("#crosstab-column", "1")
    assert heads.all_inner_texts()[-2:] == ["median", "series"]
    page.click("[data-finding='0']")
    assert heads.all_inner_texts()[1] == "home"


@pytest.mark.slow
def test_edits_by_hand_keep_the_groups_of_the_run(open_report):
    page = open_report(dated(static=THEMES), viewport={"width": 1440, "height": 900})
    assert page.locator(".before-edits:visible").count() == 0
    page.click("#edit-mode")
    for box in page.locator("[data-tick]").all()[:2]:
        box.check()
    page.click("#merge")
    assert page.locator(".before-edits:visible").count() == 2
    assert page.locator("#heat .heat-name").all_inner_texts() == ["0 · Peaks in December", "1 · Summer", "2 · Steady"]
    page.click("#undo")
    assert page.locator(".before-edits:visible").count() == 0


@pytest.mark.slow
def test_hostile_names_are_shown_and_never_run(open_report):
    column = np.array([HOSTILE_IDS[i % 3] for i in range(24)])
    data = dated(static={HOSTILE_IDS[1]: column})
    page = open_report(data)
    assert page.locator("#crosstab-column option").inner_text() == HOSTILE_IDS[1]
    assert sorted(page.locator("#crosstab thead th").all_inner_texts()[1:4]) == sorted(HOSTILE_IDS[:3])
    assert page.evaluate("window.hacked") is None


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 900, 390])
@pytest.mark.parametrize("make", [dated, hourly])
def test_fits_every_screen(open_report, make, width, scheme):
    categories = np.array([f"a rather long category with the number {i % 14}" for i in range(120)])
    page = open_report(
        make(n=120, static={"category": categories, "price": np.arange(120.0)}),
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
    )
    for radio in page.locator("input[name=season]").all():
        radio.check(force=True)
        assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate(f"{CHECKS}.poor()") == []
    assert page.evaluate(f"{CHECKS}.nameless()") == []
    for axis in page.locator(".heat-axis").all():
        texts = [text.bounding_box() for text in axis.locator("span:visible").all()]
        assert all(a["x"] + a["width"] <= b["x"] for a, b in pairwise(texts))


@pytest.mark.slow
def test_channels_can_be_chosen(open_report):
    data = dated()
    values = np.stack([data.panel.values[:, 0], -data.panel.values[:, 0]], axis=1)
    plain = Panel(values, data.panel.offsets, data.panel.ids, channels=("sold", "returned"))
    panel = replace(plain, times=data.panel.times, calendar=data.panel.calendar)
    page = open_report(make_report_data(panel=panel, lags=None))
    before = page.locator(".season p").first.inner_text()
    page.select_option("#season-channel", "1")
    assert "times its average" in before
    assert "standard deviations" in page.locator(".season p").first.inner_text()
