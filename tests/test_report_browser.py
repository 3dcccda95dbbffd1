"""The report in a real browser: no errors, pointer and keyboard work, and no data runs."""

from __future__ import annotations

import re
from contextlib import nullcontext
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from browser_pages import downloaded, row_ids, title, traces
from report_data import HOSTILE_IDS, NAMES, awkward_cases, dated_panel, make_report_data
from vrae import Panel
from vrae.io.formulas import escape_formulas, safe_cells

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright (the Python package) is not installed")

pytestmark = pytest.mark.slow

TSNE = "input[name=method][value=tsne]"
CHECKS = Path(__file__).with_name("report_checks.js").read_text("utf-8")
OVERVIEW = "Typical curve of every group"


@pytest.mark.parametrize("name", awkward_cases())
def test_opens_clean_in_every_state(open_report, name):
    page = open_report(awkward_cases()[name])
    page.locator(".pick").first.click()
    page.locator(".show").last.click()
    page.locator(".mini").first.click()
    if page.locator("input[name=direction]").count():
        page.locator("input[name=direction]").last.check()
    page.check(TSNE)
    for option in page.locator("#color-by option").all():
        page.select_option("#color-by", option.get_attribute("value"))
    page.check("#own-scale")
    assert page.locator(".card svg.chart path.middle").count() == page.locator(".card").count()
    page.click("#clear")
    assert page.locator("#overview svg.chart path.middle").count() == min(12, page.locator(".card").count())


@pytest.mark.parametrize(("scheme", "width"), [("light", 390), ("dark", 320)])
def test_fits_a_phone(open_report, scheme, width):
    data = make_report_data(
        n_channels=3, ids=[f"an id without any blank {row}".replace(" ", "_") * 3 for row in range(24)]
    )
    page = open_report(data, viewport={"width": width, "height": 740}, color_scheme=scheme)
    page.locator(".pick").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_selecting_a_cluster_updates_series_and_table(open_report):
    page = open_report(make_report_data())
    assert title(page) == OVERVIEW
    assert page.locator("#overview .name").all_inner_texts() == ["Cluster 0", "Cluster 1", "Cluster 2"]
    assert page.locator(".no").count() == 0  # these names say their numbers
    page.click(".pick[data-cluster='1']")
    assert title(page) == "Cluster 1 · 8 series"
    assert sorted(row_ids(page)) == sorted(f"item {row}" for row in range(1, 24, 3))
    drawn = traces(page, "series")
    assert [trace["name"] for trace in drawn[-4:]] == [
        "upper edge",
        "expected range (95 %)",
        "original",
        "reconstruction",
    ]
    assert len(drawn) == 7 + 4
    high, low, model = (page.evaluate(f"document.getElementById('series').data[{i}].y[9]") for i in (7, 8, 10))
    assert high - model == pytest.approx(1.96 * 0.2, abs=1e-3)
    assert model - low == pytest.approx(1.96 * 0.2, abs=1e-3)
    page.click("#table tbody tr:nth-child(3) button")
    assert page.get_attribute("#table tbody tr:nth-child(3)", "aria-current") == "true"
    assert row_ids(page)[2] in page.inner_text("#series-note")
    page.click(".pick[data-cluster='1']")
    assert title(page) == OVERVIEW


def test_works_by_keyboard(open_report):
    page = open_report(make_report_data())
    page.focus(".pick[data-cluster='2']")
    page.keyboard.press("Enter")
    assert title(page) == "Cluster 2 · 8 series"
    page.focus("#clear")
    page.keyboard.press("Space")
    assert title(page) == OVERVIEW


def test_box_and_click_on_the_map(open_report):
    page = open_report(make_report_data(), viewport={"width": 1400, "height": 1100})
    area = page.locator("#map .nsewdrag").first.bounding_box()
    page.mouse.move(area["x"] + 3, area["y"] + 3)
    page.mouse.down()
    page.mouse.move(area["x"] + area["width"] - 3, area["y"] + area["height"] - 3, steps=8)
    page.mouse.up()
    sync_api.expect(page.locator("#selection-title")).to_have_text(re.compile(r"^\d+ series$"))
    assert len(row_ids(page)) > 12
    page.locator("#map .scatterlayer .trace").nth(1).locator("path.point").first.hover(force=True)
    sync_api.expect(page.locator("#map .hoverlayer .hovertext")).to_have_count(1)
    page.mouse.down()
    page.mouse.up()
    sync_api.expect(page.locator("#table tbody tr")).to_have_count(1)
    assert title(page) == row_ids(page)[0]


def test_search_finds_an_id(open_report):
    page = open_report(make_report_data())
    page.fill("#search", "item 17")
    assert title(page) == "item 17"
    assert row_ids(page) == ["item 17"]
    page.fill("#search", "M 23")
    assert page.eval_on_selector_all("#found option", "all => all.map(o => o.value)") == ["item 23"]
    page.press("#search", "Enter")
    assert title(page) == "item 23"
    page.fill("#search", "nowhere")
    page.press("#search", "Enter")
    assert page.inner_text("#search-note") == "No id like “nowhere”"
    assert title(page) == OVERVIEW


def test_table_sorts(open_report):
    page = open_report(make_report_data())
    page.click(".pick[data-cluster='0']")
    page.click("[data-sort=id]")
    assert row_ids(page) == [f"item {row}" for row in range(0, 24, 3)]
    page.click("[data-sort=id]")
    assert row_ids(page) == [f"item {row}" for row in range(21, -1, -3)]


def test_download_has_the_right_rows(open_report):
    data = make_report_data(truth=np.array(["u", "v", "w"] * 8))
    page = open_report(data)
    page.click(".pick[data-cluster='2']")
    head, *rows = downloaded(page)
    assert data.scores is not None
    assert data.lags is not None
    assert head == ["id", "cluster", "name", "probability", "lag", "level", "anomaly_score", "known label"]
    found = {row[0]: row for row in rows}
    assert set(found) == {f"item {row}" for row in range(2, 24, 3)}
    for row in range(2, 24, 3):
        _, cluster, name, probability, lag, level, score, label = found[f"item {row}"]
        assert float(level) == pytest.approx(data.panel[row].mean(), abs=1e-3)
        assert float(score) == pytest.approx(-data.scores[row], abs=1e-3)
        assert (cluster, name, int(lag), label) == ("2", "Cluster 2", data.lags[row], "w")
        assert float(probability) == pytest.approx(data.probabilities[row], abs=1e-4)


def test_the_download_escapes_formulas_as_the_tables_of_the_run(open_report):
    ids = ["=cmd()", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r", "-5", "+1e3", "plain", "7", "a=b", "-"]
    for escaped in (True, False):
        with escape_formulas() if escaped else nullcontext():
            page = open_report(make_report_data(n=12, n_clusters=1, ids=ids, truth=np.array(ids)))
            expected = safe_cells(list(ids))
        page.click(".pick")
        head, *rows = downloaded(page)
        found = {row[0]: row for row in rows}
        assert set(found) == set(expected)
        assert all(row[-1] in (row[0], "not labelled") for row in rows)
        assert {float(row[head.index("lag")]) for row in rows} <= set(range(-3, 4))


def test_hostile_names_are_shown_and_never_run(open_report):
    n = len(HOSTILE_IDS)
    values = Panel.from_arrays(np.random.default_rng(0).normal(size=(n, 2, 9))).values
    panel = Panel(values, 9 * np.arange(n + 1), np.array(HOSTILE_IDS), channels=HOSTILE_IDS[:2])
    data = make_report_data(n=n, n_clusters=1, panel=panel, truth=np.array(HOSTILE_IDS), title=HOSTILE_IDS[0])
    page = open_report(data)
    assert page.inner_text("h1") == HOSTILE_IDS[0]
    page.select_option("#color-by", "0")
    page.click(".pick")
    assert sorted(row_ids(page)) == sorted(HOSTILE_IDS)
    assert sorted(row[0] for row in downloaded(page)[1:]) == sorted(HOSTILE_IDS)
    for name in HOSTILE_IDS:
        page.fill("#search", name.replace("\u2028", ""))
        page.press("#search", "Enter")
    for point in page.locator("#map path.point").all()[:n]:
        point.hover(force=True)
    assert page.evaluate("window.hacked") is None
    assert page.locator("img:not([src^='data:'])").count() == 0
    assert page.locator("#table b, #table a, #map a, #map img").count() == 0


NO_WEBGL = """{
  const original = HTMLCanvasElement.prototype.getContext;
  HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
    return kind.includes("webgl") ? null : original.call(this, kind, ...rest);
  };
}"""


@pytest.mark.parametrize("script", ["", NO_WEBGL], ids=["as it is", "without WebGL"])
def test_a_large_map_is_drawn_and_says_what_part(open_report, monkeypatch, script):
    monkeypatch.setattr("vrae.report.build._SVG_POINTS", 50)
    monkeypatch.setattr("vrae.report.payload.MAX_FITTED", 100)
    page = open_report(make_report_data(n=150), script)
    kinds = page.evaluate("[...new Set(document.getElementById('map').data.map(t => t.type))]")
    shown = sum(trace["n"] for trace in traces(page, "map"))
    note = page.inner_text("#map-note")
    if kinds == ["scattergl"]:
        assert (shown, script) == (150, "")
    else:
        assert shown == 50
        assert "50 of 150 points are drawn" in note
    page.click(".pick[data-cluster='1']")
    page.check(TSNE)
    assert "Fitted to 100 random series" in page.inner_text("#map-note")


def test_slider_moves_the_curve(open_report):
    page = open_report(make_report_data())

    def curve() -> list[float]:
        return [float(y) for y in re.findall(r" (-?[\d.]+)(?=[LMh])", page.get_attribute("#traversal path.now", "d"))]

    middle = curve()
    words = page.inner_text("#position-words")
    assert words == "the average of all series"
    page.focus("#position")
    page.keyboard.press("End")
    end = curve()
    assert np.ptp(end) == pytest.approx(1.5 * np.ptp(middle), rel=0.02)  # waves of height 2 became 3 high
    assert page.get_attribute("#position", "aria-valuetext") == "2.5 on the map's axis"
    page.keyboard.press("Home")
    assert np.ptp(curve()) == pytest.approx(0.5 * np.ptp(middle), rel=0.02)
    page.check("input[name=direction][value='1']")
    assert page.locator(".meaning:visible").inner_text().startswith("Direction 2, up the map: ")
    page.locator("#marks button").first.click()
    assert page.input_value("#position") not in ("0", "50")
    assert page.locator(".correlations td.is-chosen").count() == page.locator(".correlations tbody tr").count()


def test_anomalies_are_marked_and_lead_to_the_map(open_report):
    data = make_report_data()
    assert data.scores is not None
    values = data.reconstruction.values.copy()
    values[data.panel.offsets[np.argmin(data.scores)] + 20] += 9
    page = open_report(replace(data, reconstruction=data.reconstruction.with_values(values)))
    assert page.locator(".anomaly").count() == 12
    assert page.locator(".anomaly svg.chart rect.place").count() == 1  # where one stands out
    worst = f"item {np.argmin(data.scores)}"
    assert page.locator(".anomaly button").first.inner_text() == worst
    page.locator(".anomaly button").first.click()
    assert title(page) == worst
    page.select_option("#color-by", "score")
    assert page.evaluate("document.getElementById('map').data[0].marker.colorbar.title.text") == "Anomaly score"
    assert "few series are like this one" in page.inner_text("#map-note")


def test_prints_on_paper_and_comes_back(open_report, tmp_path):
    page = open_report(make_report_data(), viewport={"width": 1400, "height": 900}, color_scheme="dark")
    before = page.evaluate("document.querySelector('#map .main-svg').clientWidth")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    too_wide = "[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > 715).length"
    assert page.evaluate(too_wide) == 0
    assert not page.locator("#download").is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    sync_api.expect(page.locator("html.printing")).to_have_count(0)
    page.wait_for_function(f"document.querySelector('#map .main-svg').clientWidth === {before}")
    paper = page.pdf(path=tmp_path / "report.pdf", format="A4", print_background=True)
    assert 2 <= paper.count(b"/Type /Page\n") <= 9


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_and_everything_has_a_name(open_report, scheme):
    page = open_report(make_report_data(n_channels=2), color_scheme=scheme)
    page.click(".pick[data-cluster='1']")
    assert page.evaluate(f"{CHECKS}.poor()") == []
    assert page.evaluate(f"{CHECKS}.nameless()") == []
    ids = page.eval_on_selector_all("[id]", "all => all.map(e => e.id)")
    assert len(ids) == len(set(ids))
    for attribute in ("aria-labelledby", "for"):
        for target in page.eval_on_selector_all(
            f"[{attribute}]", f"all => all.map(e => e.getAttribute('{attribute}'))"
        ):
            assert page.locator(f"[id='{target}']").count() == 1, target
    levels = page.eval_on_selector_all("h1, h2, h3, h4", "all => all.map(e => Number(e.tagName[1]))")
    assert levels[0] == 1
    assert max(b - a for a, b in pairwise(levels)) <= 1


def test_channels_can_be_chosen(open_report):
    page = open_report(make_report_data(n_channels=12))
    page.click(".pick[data-cluster='1']")
    page.select_option("#channel", "11")
    assert page.evaluate("document.getElementById('series').layout.yaxis.title.text") == "value11"
    before = page.get_attribute(".card path.middle", "d")
    page.select_option("#card-channel", "7")
    assert page.get_attribute(".card path.middle", "d") != before


def test_every_chart_has_axis_titles(open_report):
    page = open_report(make_report_data())
    page.click(".pick[data-cluster='1']")
    for figure in ("map", "series", "figure-training", "figure-selection"):
        axes = page.evaluate(
            "id => Object.entries(document.getElementById(id).layout).filter(([k]) => /^[xy]axis/.test(k))"
            ".map(([k, axis]) => axis.title?.text ?? '')",
            figure,
        )
        assert len(axes) >= 2
        assert any(axes) if figure == "figure-training" else all(axes)  # its charts share the axis below
    for card in page.locator(".card svg.chart:has(.band), .anomaly svg.chart, #traversal svg").all():
        assert {"step", "value"} <= set(card.locator("text").all_text_contents())


def map_names(page) -> list[str]:
    return page.evaluate("document.getElementById('map').layout.annotations.map(a => a.text)")


def test_names_are_everywhere(open_report):
    data = make_report_data(names=NAMES, truth=np.array(["u", "v", "w"] * 8))
    page = open_report(data, viewport={"width": 1400, "height": 1000})
    december = "Peaks in December"
    assert page.inner_text(".pick[data-cluster='0'] .name") == december
    assert page.inner_text(".pick[data-cluster='0'] .no") == "0"
    assert page.locator(".card h3 .name").all_inner_texts() == list(NAMES.values())
    assert page.locator("#overview .name").all_inner_texts() == list(NAMES.values())
    assert f"0 · {december}" in map_names(page)
    assert f"0 · {december}" in page.evaluate("document.getElementById('map').data[0].customdata[0]")
    assert set(page.locator(".anomaly .name").all_inner_texts()) <= set(NAMES.values())
    assert f"Go to 0 · {december}" in page.eval_on_selector_all(
        "#marks button", "all => all.map(b => b.getAttribute('aria-label'))"
    )
    page.click(".pick[data-cluster='0']")
    assert title(page) == f"0 · {december} · 8 series"
    assert page.locator("#table tbody .name").first.inner_text() == december
    assert downloaded(page)[1][1:3] == ["0", december]


def test_a_name_on_the_map_selects_its_group(open_report):
    page = open_report(make_report_data(names=NAMES), viewport={"width": 1400, "height": 1000})
    page.locator("#map .annotation-text-g").nth(map_names(page).index("1 · Steady, high volume")).click()
    assert title(page) == "1 · Steady, high volume · 8 series"


def test_many_groups_stay_distinguishable(open_report):
    names = {label: f"Kind {label:02d} of behaviour" for label in range(14)}
    page = open_report(make_report_data(n=140, n_clusters=14, names=names), viewport={"width": 1400, "height": 1000})
    assert page.locator("#overview .small").count() == 12
    page.click("#overview-all")
    assert page.locator("#overview .name").all_inner_texts() == list(names.values())
    assert page.inner_text("#overview-all") == "Show fewer"
    shown = map_names(page)
    assert len(shown) == len(set(shown)) > 7
    overlap = page.evaluate(f"{CHECKS}.overlapping('#map .annotation-text-g')")
    assert overlap == []
    looks = page.eval_on_selector_all(
        ".pick .glyph", "all => all.map(g => g.getAttribute('class') + g.firstChild.getAttribute('href'))"
    )
    assert len(set(looks)) == 14


def test_dates_are_on_every_axis(open_report):
    page = open_report(make_report_data(panel=dated_panel(), lags=None), viewport={"width": 1400, "height": 1000})
    for chart in page.locator(".card .curve svg, .anomaly svg.chart, #overview svg.chart").all():
        texts = " ".join(chart.locator("text").all_text_contents())
        assert re.search(r"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct) 2024", texts), texts
        assert "step" not in texts
    assert "date" in page.locator(".card .curve svg").first.locator("text").all_text_contents()
    slider = page.locator("#traversal text").all_text_contents()
    assert {"week from the start", "1"} <= set(slider)
    page.click(".pick[data-cluster='1']")
    axis = page.evaluate("document.getElementById('series').layout.xaxis")
    assert (axis["type"], axis["title"]["text"]) == ("date", "date")


def test_weeks_are_counted_where_series_are_shifted(open_report):
    page = open_report(make_report_data(panel=dated_panel()))
    texts = page.locator(".card .curve svg").first.locator("text").all_text_contents()
    assert {"week", "1"} <= set(texts)
    assert page.inner_text("[data-sort=lag]") == "Shift, weeks"


def test_numbers_on_axes_differ_at_any_level(open_report):
    panel = make_report_data().panel
    high = Panel(panel.values.astype(np.float64) + 3e9, panel.offsets, panel.ids)
    page = open_report(make_report_data(panel=high))
    texts = page.locator(".card .curve svg").first.locator("text").all_text_contents()
    assert "2,999,999,990 +" in texts
    assert len(texts) == len(set(texts))
    page.click(".pick[data-cluster='1']")
    ticks = page.locator("#series .ytick text").all_text_contents()
    assert len(ticks) == len(set(ticks)) >= 3
    levels = page.locator("#table tbody td:nth-child(5)").all_inner_texts()
    assert len(set(levels)) > 4
