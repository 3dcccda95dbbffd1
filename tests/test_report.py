"""The report as text: what it says, what it carries, and that no data in it can run."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from report_data import HOSTILE_IDS, awkward_cases, make_report_data
from vrae import Panel
from vrae.evaluate import separation
from vrae.exceptions import InvalidDataError, OutputError
from vrae.report import build, describe, payload, render_report, write_report


class Page(HTMLParser):
    """What a browser would see: elements, scripts and text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.words: list[str] = []
        self._inside = ""
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._inside = tag
            if tag == "script":
                self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag):
        self._inside = "" if tag == self._inside else self._inside

    def handle_data(self, data):
        if self._inside == "script":
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)
        elif not self._inside:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    @property
    def data(self) -> dict:
        return json.loads(next(text for attributes, text in self.scripts if attributes.get("id") == "data"))

    @property
    def policy(self) -> str:
        return next(a["content"] for _, a in self.tags if a.get("http-equiv") == "Content-Security-Policy")


def page_of(data) -> Page:
    return Page(render_report(data))


@pytest.fixture(scope="module")
def page():
    return page_of(make_report_data(truth=np.array(["<i>u</i>", "v", "w"] * 8)))


# ------------------------------------------------------------------------------- safety


def test_only_the_known_scripts_may_run(page):
    running = [text for attributes, text in page.scripts if attributes.get("type") != "application/json"]
    hashes = {f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in running}
    policy = dict(part.strip().split(" ", 1) for part in page.policy.split(";"))
    assert set(policy["script-src"].split()) == hashes
    assert len(running) == 2
    assert policy["default-src"] == "'none'"


def test_nothing_is_fetched(page):
    for _, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "action", "data"):
            assert (attributes.get(name) or "#").startswith(("#", "data:"))
    assert not [attributes for tag, attributes in page.tags if any(name.startswith("on") for name in attributes)]


def test_hostile_names_stay_text():
    n = len(HOSTILE_IDS)
    values = Panel.from_arrays(np.random.default_rng(0).normal(size=(n, 2, 9))).values
    panel = Panel(values, 9 * np.arange(n + 1), np.array(HOSTILE_IDS), channels=(HOSTILE_IDS[0], HOSTILE_IDS[1]))
    data = make_report_data(n=n, panel=panel, truth=np.array(HOSTILE_IDS), title=HOSTILE_IDS[0])
    data = replace(data, metrics={HOSTILE_IDS[0]: HOSTILE_IDS[1]})
    hostile, harmless = page_of(data), page_of(replace(data, title="x", metrics={"x": "y"}))
    assert hostile.data["ids"] == list(HOSTILE_IDS)
    assert hostile.data["channels"] == list(HOSTILE_IDS[:2])
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in harmless.tags]
    assert len(hostile.scripts) == 3
    assert HOSTILE_IDS[0] in hostile.text
    assert "49" not in payload.to_json({"ids": HOSTILE_IDS})


def test_json_cannot_leave_its_script():
    text = payload.to_json({"a": "</script><!--\u2028&"})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"a": "</script><!--\u2028&"}


# ------------------------------------------------------------------------------- contents


def test_first_screen_states_the_main_facts(page):
    text = page.text
    assert "24 series were grouped into 3 clusters" in text
    assert "40 steps each, 1 channel, no missing values" in text
    assert "of 8 series each" in text
    assert re.search(r"Certainty \d+ %", text)
    assert re.search(r"doubtful \(\d+ %\)", text)
    assert re.search(r"silhouette 0\.\d+", text)


def test_every_cluster_has_a_card_and_a_button(page):
    assert [a["data-card"] for tag, a in page.tags if tag == "article"] == ["0", "1", "2"]
    picks = [a for _, a in page.tags if (a.get("class") or "").startswith("pick")]
    assert [a["data-cluster"] for a in picks] == ["0", "1", "2"]


@pytest.mark.parametrize("name", awkward_cases())
def test_awkward_states_are_rendered(name):
    page = page_of(awkward_cases()[name])
    assert "nan" not in page.text.lower().split()
    assert page.data["ids"]
    assert len(page.data["clusters"]) == sum(tag == "article" for tag, _ in page.tags)


def test_words_of_awkward_states():
    cases = awkward_cases()
    assert "1 series was grouped into 1 cluster" in page_of(cases["one series"]).text
    noise = page_of(cases["all noise"]).text
    assert "none could be assigned" in noise
    assert "These series fit none of the clusters" in noise
    bare = page_of(cases["bare"])
    assert "The number of clusters (3) was given" in bare.text
    assert "No record of the training" in bare.text
    assert bare.data["figures"] == {}
    assert not [a for _, a in bare.tags if a.get("id") in ("figure-training", "figure-selection")]
    assert not [a for _, a in bare.tags if a.get("data-sort") == "lag"]
    assert "1 to 5,000 steps" in page_of(cases["unequal lengths"]).text
    assert "Certainty" not in page_of(cases["no probabilities"]).text


def test_reason_for_the_number_of_clusters():
    reason = build._selection_reason
    best = make_report_data()
    assert "3 has the highest score (0.5), before 2 (0.4)." in reason(best)
    other = replace(best, selection=[{"n_clusters": 2, "score": 0.9}, {"n_clusters": 3, "score": 0.1}])
    assert reason(other).endswith("3 was chosen; the score alone is highest at 2.")
    close = replace(best, selection=[{"n_clusters": k, "score": s} for k, s in ((2, 0.495), (3, 0.5), (4, 0.1))])
    assert "look at both" in reason(close)


def test_parts_must_fit_together():
    data = make_report_data()
    with pytest.raises(InvalidDataError, match="labels has 3 for 24 series"):
        replace(data, labels=np.zeros(3, int))
    with pytest.raises(InvalidDataError, match="same lengths"):
        replace(data, reconstruction=make_report_data(lengths=np.full(24, 39)).panel)


def test_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = write_report(make_report_data(), tmp_path / "new" / "report.html")
    assert path.read_text("utf-8").startswith("<!doctype html>")
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]
    with pytest.raises(OutputError, match="Could not write"):
        write_report(make_report_data(), path / "below a file.html")
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_half_characters_in_ids_do_not_stop_it(tmp_path):
    data = make_report_data(n=2, n_clusters=1, ids=["\ud800 half", "whole"])
    assert "half" in write_report(data, tmp_path / "r.html").read_text("utf-8")


def test_same_data_same_page():
    assert render_report(make_report_data()) == render_report(make_report_data())


# ------------------------------------------------------------------------------- packing


def unpack(packed):
    return np.frombuffer(base64.b64decode(packed["data"]), f"<{packed['type']}")


def test_lines_survive_packing():
    lines = [np.array([1.0, np.nan, 3.0]), np.array([]), np.array([1e6, -1e6]), np.array([7.0]), np.array([np.nan])]
    packed = payload.pack_lines(lines)
    count, low, high, values = (unpack(packed[name]) for name in ("count", "low", "high", "values"))
    start = 0
    for i, line in enumerate(lines):
        codes = values[start : start + count[i]].astype(float)
        start += count[i]
        codes[codes == 65535] = np.nan
        np.testing.assert_allclose(low[i] + codes / 65534 * (high[i] - low[i]), line, rtol=1e-4)


def test_drawn_series_keep_to_their_budget():
    data = make_report_data(n=200)
    rows, packed = payload.drawn_lines(data.panel, data.reconstruction, np.arange(200)[::-1], budget=2 * 40 * 50)
    assert rows.tolist() == list(range(199, 149, -1))
    assert len(unpack(packed["values"])) == 2 * 40 * 50
    assert packed["base"] is None


def test_dates_travel_as_seconds():
    data = awkward_cases()["dates and a static column"]
    _, packed = payload.drawn_lines(data.panel, data.reconstruction, np.arange(2), budget=10**6)
    assert packed["base"] == 1000 * int(np.datetime64("2024-01-01", "s").astype(int))
    assert unpack(packed["positions"])[:3].tolist() == [0, 7 * 86400, 14 * 86400]


def test_columns_to_colour_by():
    rng = np.random.default_rng(0)
    number, few, many, text = payload.colorings(
        {
            "price": rng.normal(size=90),
            "size": np.arange(90) % 3,
            "shop": np.array([f"shop {i % 40}" for i in range(90)]),
            "kind": np.array(["a", None, "b"] * 30, object),
        }
    )
    assert number["kind"] == "number"
    assert few["categories"] == ["0", "1", "2"]
    assert len(many["categories"]) == 20
    assert many["categories"][-1] == "other (21 more)"
    assert unpack(many["codes"]).max() == 19
    assert text["categories"] == ["None", "a", "b"]


# ------------------------------------------------------------------------------- describing


def traits_of(*groups):
    series = [np.atleast_2d(x) for group in groups for x in group]
    owner = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    return describe.series_traits(series), owner


def test_sentence_says_what_is_there():
    rng = np.random.default_rng(0)
    time = np.linspace(0, 1, 50)
    rising = [10 * time + 100 + rng.normal(size=50) / 9 for _ in range(9)]
    falling = [-10 * time + 100 + rng.normal(size=50) / 9 for _ in range(9)]
    traits, owner = traits_of(rising, falling)
    text = describe.sentence(traits, owner == 0, ["sales"])
    assert text.startswith("Smooth series that rise by about 1")
    assert "highest at the end" in text
    assert "lowest at the start" in text
    assert "clearly more of a rise" in text


def test_sentence_names_the_channel_that_differs():
    rng = np.random.default_rng(0)
    calm = [np.vstack([rng.normal(size=40), rng.normal(size=40)]) for _ in range(9)]
    loud = [np.vstack([rng.normal(size=40), 50 + 9 * rng.normal(size=40)]) for _ in range(9)]
    traits, owner = traits_of(calm, loud)
    text = describe.sentence(traits, owner == 1, ["x", "y"])
    assert text.startswith("In y: ")
    assert "a higher level in y" in text


def test_sentence_of_special_series():
    flat, owner = traits_of([np.full(9, 5.0)] * 3, [np.arange(9.0)] * 3)
    assert describe.sentence(flat, owner == 0, ["v"]).startswith("Constant series at about 5")
    empty, owner = traits_of([np.full(9, np.nan)] * 2, [np.arange(9.0)] * 2)
    assert describe.sentence(empty, owner == 0, ["v"]).startswith("No observed values")
    alone, owner = traits_of([np.array([3.0])])
    assert describe.sentence(alone, owner == 0, ["v"]) == "Constant series at about 3."


def test_a_difference_too_small_for_the_eye_is_not_named():
    rng = np.random.default_rng(0)
    base = [rng.normal(size=60) for _ in range(20)]
    base = [(x - x.mean()) / x.std() for x in base]
    traits, owner = traits_of(base[:10], [x + 1e-5 for x in base[10:]])
    found = describe.differences(traits, owner == 1)
    assert found["level"] == 0
    assert found["spread"] == 0


def test_differences_lie_between_minus_one_and_one():
    traits, owner = traits_of([np.arange(9.0) + 100] * 4, [np.arange(9.0)] * 5)
    assert describe.differences(traits, owner == 0)["level"] == 1
    assert describe.differences(traits, owner == 1)["level"] == -1


def test_most_typical_first_and_unknown_last():
    Z = np.array([[0.0], [9.0], [1.0], [np.nan], [-1.5]])
    assert describe.by_typicality(Z, np.arange(5)).tolist() == [2, 0, 4, 1, 3]
    assert describe.by_typicality(Z, np.array([3])).tolist() == [3]


def test_silhouette_only_where_it_means_something():
    Z = np.array([[0.0], [0.1], [9.0], [9.1], [np.nan]])
    assert separation(Z, np.array([0, 0, 1, 1, 1])) > 0.9
    for labels in ([0, 0, 0, 0, 0], [-1, -1, -1, -1, -1], [0, 1, 2, 3, 4]):
        assert separation(Z, np.array(labels)) is None


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (-0.0, "0"),
        (12.345, "12.3"),
        (-12.345, "\N{MINUS SIGN}12.3"),
        (1234567.8, "1,234,568"),
        (0.00012, "0.00012"),
        (np.nan, "unknown"),
    ],
)
def test_numbers_for_reading(number, text):
    assert describe.plain(number) == text


# ------------------------------------------------------------------------------- size


@pytest.mark.slow
def test_two_hundred_thousand_series_fit(tmp_path, monkeypatch):
    monkeypatch.setattr(payload, "_MAX_TSNE", 300)
    n = 200_000
    rng = np.random.default_rng(0)
    values = rng.normal(size=(n * 20, 1)).astype(np.float32)
    panel = Panel(
        values,
        20 * np.arange(n + 1),
        np.array([f"store-{i % 97:02d}/item-{i:07d}" for i in range(n)]),
        static={name: rng.integers(0, 9, n) for name in ("region", "category", "year")},
    )
    data = make_report_data(
        n=n,
        panel=panel,
        labels=rng.integers(0, 60, n),
        embedding=rng.normal(size=(n, 8)),
        probabilities=rng.random(n),
        truth=rng.integers(0, 5, n),
    )
    path = write_report(data, tmp_path / "report.html")
    assert path.stat().st_size < 15e6
    page = Page(path.read_text("utf-8"))
    assert "'unsafe-eval'" in page.policy  # plotly's WebGL
    assert page.data["n_series"] == n
    assert page.data["maps"][1]["note"] == f"a random 300 of {len(page.data['ids']):,} series"
