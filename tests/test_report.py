"""The report as text: what it says, what it carries, and that no data in it can run."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest

from report_data import HOSTILE_IDS, awkward_cases, make_report_data
from vrae import Panel, read_panel
from vrae.data.calendar import Calendar
from vrae.describe.curves import cluster_curve
from vrae.describe.findings import Found
from vrae.describe.verdict import Verdict, verdict
from vrae.exceptions import InvalidDataError, OutputError
from vrae.metrics import separation
from vrae.report import (
    Alternative,
    CommandLine,
    NextBest,
    PythonLines,
    anomalous,
    choosing,
    facts,
    payload,
    render_report,
    write_report,
)
from vrae.report.cards import traits_of_sample
from vrae.report.directions import describe_directions, trait_rows


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
    def data(self) -> dict[str, Any]:
        return json.loads(next(text for attributes, text in self.scripts if attributes.get("id") == "data"))

    @property
    def policy(self) -> str:
        return next(a["content"] or "" for _, a in self.tags if a.get("http-equiv") == "Content-Security-Policy")


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
    assert "Series 24 40 steps long" in text
    assert "Filled 100 % no missing values" in text
    assert "Groups 3 8 series each" in text
    assert re.search(r"Doubtful \d+ \(\d+ %\) series that fit two groups", text)
    assert re.search(r"Separation 0\.\d+ mean silhouette", text)
    assert "It does not say that they are." in text  # of probabilities
    assert "Period" not in text


def test_period_and_lengths_are_in_the_words_of_the_calendar():
    times = np.tile(np.datetime64("2024-01-01") + 7 * np.arange(40), 24)
    plain = make_report_data().panel
    panel = Panel(plain.values, plain.offsets, plain.ids, times, calendar=Calendar("W-MON", origin="2024-01-01"))
    text = page_of(make_report_data(panel=panel)).text
    assert "Period 2024-01-01 to 2024-09-30 Weekly (Mondays)" in text
    assert "Series 24 40 weeks long" in text


def test_channels_are_named():
    panel = Panel.from_arrays(np.ones((24, 2, 5)), channels=("price", "units"))
    assert "Channels 2 price and units" in page_of(make_report_data(panel=panel)).text
    one = Panel.from_arrays(np.ones((24, 1, 5)), channels=("units",))
    assert "Values units one value per step" in page_of(make_report_data(panel=one)).text


def test_verdict_and_alerts_come_first():
    found = Found([10, 8, 6], {0: "Busy", 1: "Calm", 2: "<b>Odd</b>"}, stability=[0.9, 0.9, 0.3], refitted=True)
    data = make_report_data(verdict=verdict(found), commands=CommandLine("runs/my sales"), notice="The file changed.")
    page = page_of(data)
    assert page.text.index("The file changed.") < page.text.index("24 series fall into 3 groups: “Busy”")
    assert page.text.index("Do not rely on “<b>Odd</b>”") < page.text.index("All series at a glance")
    assert page.text.index("30 % of “<b>Odd</b>” (group 2)") < page.text.index("Series 24")
    assert "vrae explain 'runs/my sales'" in page.text


def test_choice_shows_what_other_numbers_give():
    labels = np.arange(24) % 3
    now = Alternative(3, 0.5, (0.9, 0.8, 0.7), (8, 8, 8), {0: "Slow", 1: "Medium", 2: "Fast"}, labels)
    fewer = Alternative(2, 0.4, (0.9, 0.3), (16, 8), {0: "Slower", 1: "Faster"}, (labels == 2).astype(int))
    tree = np.array([[0, 1, 1.0, 2], [2, 3, 2.0, 3]])
    parts: dict[str, Any] = {"names": now.names, "commands": CommandLine("run"), "metrics": {"sizes": [8, 8, 8]}}
    data = make_report_data(alternatives=(fewer, now), tree=tree, **parts)
    text = page_of(data).text
    weak = "1 of 2 groups is not found again"
    assert f"2 groups score 0.40 {weak} vrae regroup run -k 2 Copy Slower 16 Faster 8" in text
    assert "3 groups now score 0.50 at least 70 % of each group is found again Slow 8" in text
    assert "worth a look score" not in text
    assert "Change the number of groups" not in text
    advised = page_of(replace(data, verdict=Verdict("", others=(2,)))).text
    assert "2 groups worth a look score 0.40" in advised
    assert advised.count("vrae regroup run -k 2") == 2  # here, and among the next steps
    edited = page_of(replace(data, edited=True)).text
    assert "vrae regroup" not in edited
    assert "Another number would discard your changes by hand." in edited
    assert "The closest two are 0 · Slow and 1 · Medium . To merge them:" in text
    assert "vrae edit run --merge 0,1" in text


def test_curves_of_alternatives_are_drawn_in_the_channel_that_tells_most():
    cube = np.random.default_rng(0).normal(size=(24, 2, 30))
    labels = np.arange(24) % 2
    cube[labels == 1, 1] += 20 * np.sin(np.arange(30))
    both = [Alternative(2, None, (), (12, 12), {}, labels), Alternative(3, None, (), (12, 12, 0), {}, labels)]
    data = make_report_data(
        panel=Panel.from_arrays(cube), n_channels=2, n_clusters=2, alternatives=tuple(both), lags=None
    )
    curves = [group.curve for group in choosing.choices(data)[0].groups]
    expected = choosing._path(cluster_curve(list(cube[labels == 1]), n_members=0, adjust=True).middle[1])
    assert curves[1] == expected


def test_doubtful_series_are_listed_with_the_next_best():
    probabilities = np.full(24, 0.9)
    probabilities[[5, 7]] = 0.55, 0.45
    next_best = NextBest(np.full(24, 0), 1 - probabilities)
    page = page_of(make_report_data(probabilities=probabilities, next_best=next_best))
    assert [page.data["ids"][point] for point in page.data["doubts"]] == ["item 7", "item 5"]
    assert "These 2 series fit two groups about equally" in page.text
    assert "item 7 Cluster 1 45 % Cluster 0 55 %" in page.text
    assert "check by hand" not in page_of(make_report_data(probabilities=np.ones(24), next_best=next_best)).text


def test_every_cluster_has_a_card(page):
    assert [a["data-card"] for tag, a in page.tags if tag == "article"] == ["0", "1", "2"]


@pytest.mark.parametrize("name", awkward_cases())
def test_awkward_states_are_rendered(name):
    page = page_of(awkward_cases()[name])
    assert "nan" not in page.text.lower().split()
    assert page.data["ids"]
    assert len(page.data["clusters"]) == sum(tag == "article" for tag, _ in page.tags)


def test_words_of_awkward_states():
    cases = awkward_cases()
    noise = page_of(cases["all noise"]).text
    assert "Groups 0 24 series have none" in noise
    assert "These series fit none of the groups" in noise
    bare = page_of(cases["bare"])
    assert "You asked for 3 groups" in bare.text
    assert "no training history" in bare.text
    assert bare.data["figures"] == {}
    assert not [a for _, a in bare.tags if a.get("id") in ("figure-training", "figure-selection")]
    assert not [a for _, a in bare.tags if a.get("data-sort") == "lag"]
    assert "1 to 5,000 steps long, half of them" in page_of(cases["unequal lengths"]).text
    assert "Doubtful" not in page_of(cases["no probabilities"]).text
    assert not {"anomalies-title", "directions-title"} & {a.get("id") for _, a in bare.tags}
    alone = page_of(cases["from the model alone"])
    assert "were not available" in alone.text
    assert "most unusual" not in alone.text
    assert "were not available" not in bare.text


def test_reason_for_the_number_of_clusters():
    reason = facts.selection_reason
    best = make_report_data()
    assert "3 has the highest score (0.50), ahead of 2 (0.40)." in reason(best)
    other = replace(best, selection=[{"n_clusters": 2, "score": 0.9}, {"n_clusters": 3, "score": 0.1}])
    assert reason(other).startswith("You chose 3. vrae tried 2 to 3 groups. 2 has the highest score (0.90)")
    rows = [
        {"n_clusters": 2, "score": 0.9, "silhouette": 0.9, "largest": 0.81, "is_peak": True},
        {"n_clusters": 3, "score": 0.5, "silhouette": 0.5, "largest": 0.4, "is_peak": False},
        {"n_clusters": 4, "score": 0.3, "silhouette": 0.4, "largest": 0.3, "is_peak": False},
        {"n_clusters": 5, "score": 0.4, "silhouette": 0.4, "largest": 0.3, "is_peak": True},
    ]
    text = reason(replace(best, selection=rows))
    assert "3 was chosen (score 0.50). 2 scores higher (0.90), but puts 81 % of the series into one group." in text
    close = replace(best, selection=[{"n_clusters": k, "score": s} for k, s in ((2, 0.495), (3, 0.5), (4, 0.1))])
    assert "look at both" not in reason(close)  # 2 may not stand the tests
    assert "look at both" in reason(replace(close, verdict=Verdict("", others=(2,))))
    edited = reason(replace(close, edited=True))
    assert edited.startswith("You changed the groups by hand: there are 3 now. Before that, vrae tried 2 to 4 groups.")


def test_times_and_numbers_are_said_in_plain_words():
    metrics = {"seconds": 29.2, "latent_size": 16, "active_units": 16, "ari": 0.5, "raw_kmeans": {"ari": 0.1}}
    text = page_of(make_report_data(metrics=metrics)).text
    assert "Training and grouping took 29 seconds." in text
    assert "The model describes each series by 16 numbers. Directions are" in text
    assert "k-means with 3 groups on the raw series has 0.10" in text
    assert "certain" not in text
    text = page_of(make_report_data(metrics={**metrics, "active_units": 9})).text
    assert "by 16 numbers, of which 9 carry information. Directions" in text


def test_the_title_does_not_promise_groups_that_are_none():
    assert facts.heading("noise", 50) == "noise: 50 groups"
    assert facts.heading("noise", 50, is_clear=False) == "noise: no clear groups"
    assert facts.heading("noise", 0, is_clear=False) == "noise: no groups"


def test_rows_that_are_not_there_and_count_as_0_are_told():
    filled = {"missing_share": 0.0, "filled_in": {"share": 0.082, "value": 0.0}}
    text = page_of(make_report_data(metrics=filled)).text
    assert "Filled 92 % 8 % of steps had no row and count as 0" in text
    assert "no missing values" not in text
    days = np.arange("2024-01-01", "2024-02-10", dtype="datetime64[D]")
    rows = [(f"item {i}", day, i) for i in range(24) for j, day in enumerate(days) if (i + j) % 13 or not j]
    panel = read_panel(pd.DataFrame(rows, columns=["item", "day", "n"]), id="item", time="day", value="n", fill=0)
    text = page_of(make_report_data(panel=panel, lags=None)).text  # without metrics, it is known from the panel
    assert re.search(r"Filled 9[23] % [78] % of days had no row and count as 0", text)


def test_a_long_word_of_a_fact_has_small_type():
    assert facts.Fact("Values", "Aufnahmen").is_long
    assert not facts.Fact("Values", "2 to 3 days").is_long


def test_shares_are_rounded_as_in_the_verdict():
    labels = np.repeat([0, 1], [21, 3])  # 87.5 and 12.5 %
    text = page_of(make_report_data(labels=labels)).text
    assert "21 series · 88 %" in text
    assert "3 series · 13 %" in text


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


def test_same_data_same_page():
    assert render_report(make_report_data()) == render_report(make_report_data())


def test_what_is_found_again_is_on_the_first_screen():
    found = {"ari": 0.93, "clusters": [0.99, 0.95, 0.41], "rounds": 2, "refits": 2}
    text = page_of(make_report_data(metrics={"stability": found}, names={2: "Odd"})).text
    assert "Found again 41 to 99 % of each group, in a refit on half of the series" in text
    assert "least: Odd" in text
    assert "Agreement of halves 0.93" in text
    assert "Found again" not in page_of(make_report_data(metrics={"stability": None})).text


def test_the_easier_test_has_a_name_of_its_own():
    found = {"ari": 0.93, "clusters": [0.99, 0.95, 0.41], "rounds": 10, "refits": 0}
    for commands, harder in ((CommandLine("run"), "a report with the series"), (PythonLines(), "stability(X)")):
        text = page_of(make_report_data(metrics={"stability": found}, commands=commands)).text
        assert "Clustered again 41 to 99 % of each group, among half of the series. Only the clustering was" in text
        assert f"{harder} also fits the model again, which is the harder test" in text
        assert "clustered again 95 %" in text
        assert "Clustered again only 41 %: do not rely on it" in text
        assert "found again" not in text.lower()


def test_counts_are_those_of_all_series_where_a_sample_is_shown():
    metrics = {"n_series": 6000, "sizes": [3000, 2000, 1000], "shortest": 5, "longest": 99, "missing_share": 0.25}
    page = page_of(make_report_data(metrics=metrics))
    assert "Series 6,000 5 to 99 steps long" in page.text
    assert "This page shows 24 of them" in page.text
    assert "Filled 75 % 25 % of the values are missing" in page.text
    assert "Groups 3 1,000 to 3,000 series each" in page.text
    assert [c["size"] for c in page.data["clusters"]] == [3000, 2000, 1000]


def test_silhouette_only_where_it_means_something():
    Z = np.array([[0.0], [0.1], [9.0], [9.1], [np.nan]])
    clear = separation(Z, np.array([0, 0, 1, 1, 1]))
    assert clear is not None
    assert clear > 0.9
    for labels in ([0, 0, 0, 0, 0], [-1, -1, -1, -1, -1], [0, 1, 2, 3, 4]):
        assert separation(Z, np.array(labels)) is None


# ------------------------------------------------------------------------------- anomalies


def test_the_lowest_scores_come_first_and_their_place_is_found():
    data = make_report_data()
    values = data.reconstruction.values.copy()
    values[data.panel.offsets[5] + 20 : data.panel.offsets[5] + 23] += 9
    scores = np.zeros(24)
    scores[[5, 7]] = -3, -2
    scores[9] = np.nan
    planted = replace(data, panel=data.panel.with_values(values), scores=scores)
    found = anomalous.most_anomalous(planted)
    assert [item.index for item in found][:2] == [5, 7]
    assert len(found) == 12
    assert 9 not in [item.index for item in found]
    assert found[0].first <= 20 <= found[0].last
    assert found[0].times > 20
    assert anomalous.describe_place(planted, found[0]).startswith("Largest error from step 21 to 22: ")


def test_series_of_few_values_are_left_out():
    data = make_report_data()
    values = data.panel.values.copy()
    values[data.panel.offsets[4] + 2 : data.panel.offsets[5]] = np.nan
    scores = np.zeros(24)
    scores[4] = -9
    found = anomalous.most_anomalous(replace(data, panel=data.panel.with_values(values), scores=scores))
    assert 4 not in [item.index for item in found]


def test_the_worst_place_names_its_channel_and_needs_a_value():
    x, model, noise = np.zeros((2, 60)), np.zeros((2, 60)), np.array([1.0, 0.1])
    x[1, 30] = 1
    assert anomalous.worst_place(x, model, noise)[:3] == (1, 30, 31)
    assert np.isnan(anomalous.worst_place(x * np.nan, model, noise)[3])


def test_where_no_place_stands_out_it_says_so():
    item = anomalous.Anomaly(index=0, channel=0, first=1, last=2, times=1.4)
    assert "No place stands out" in anomalous.describe_place(make_report_data(), item)


def test_time_stamps_of_a_place_are_dates():
    data = awkward_cases()["dates and a static column"]
    item = anomalous.Anomaly(index=3, channel=0, first=1, last=2, times=3.14)
    assert anomalous.describe_place(data, item) == (
        "Largest error from 2024-01-08 to 2024-01-15: 3.1 times the typical error."
    )


# ------------------------------------------------------------------------------- directions


def test_a_direction_is_named_after_the_traits_that_correlate_with_it():
    rng = np.random.default_rng(0)
    slope = rng.normal(size=200)
    series = slope[:, None] * np.linspace(-3, 3, 30) + rng.normal(size=(200, 30))
    panel = Panel.from_arrays(series)
    Z = np.stack([5 * slope, rng.normal(size=200)], axis=1)
    data = make_report_data(n=200, n_clusters=1, panel=panel, embedding=Z)
    rows = trait_rows(data, *traits_of_sample(data), 2)
    trend = next(row for row in rows if row.trait.name == "rise from start to end")
    assert trend.correlations[0] > 0.8
    assert abs(trend.correlations[1]) < 0.3
    assert not {"length", "proportion of missing values"} & {row.trait.name for row in rows}  # these are all alike
    first, second = describe_directions(data, rows, 2)
    assert "a stronger upward trend" in first.meaning
    assert first.explained > 0.9
    assert "none of the simple properties" in second.meaning


def test_the_channel_that_is_meant_is_said():
    rng = np.random.default_rng(0)
    level = rng.normal(size=100)
    cube = rng.normal(size=(100, 2, 20))
    cube[:, 1] += 9 * level[:, None]
    panel = Panel.from_arrays(cube, channels=("calm", "moved"))
    data = make_report_data(n=100, n_clusters=1, n_channels=2, panel=panel, embedding=np.stack([level, level], axis=1))
    row = next(row for row in trait_rows(data, *traits_of_sample(data), 1) if row.trait.name == "level")
    assert row.channels == ["moved"]


# ------------------------------------------------------------------------------- packing


def test_levels_are_means_of_what_was_observed():
    panel = Panel.from_arrays([[1.0, np.nan, 3.0], [np.nan, np.nan], [1e8, -1e8, 1.0]])
    (found,) = payload.levels(panel)
    np.testing.assert_array_equal(found, [2, np.nan, 0])  # of the last, float32 keeps rounding only
    assert len(payload.levels(Panel.from_arrays(np.ones((2, 5, 4))))) == 5


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
    rows, packed = payload.drawn_lines(data.panel, data.reconstruction, None, np.arange(200)[::-1], budget=2 * 40 * 50)
    assert rows.tolist() == list(range(199, 149, -1))
    assert len(unpack(packed["values"])) == 2 * 40 * 50
    assert packed["base"] is None


def test_dates_travel_as_seconds():
    data = awkward_cases()["dates and a static column"]
    _, packed = payload.drawn_lines(data.panel, data.reconstruction, data.times, np.arange(2), budget=10**6)
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


# ------------------------------------------------------------------------------- size


@pytest.mark.slow
def test_two_hundred_thousand_series_fit(tmp_path, monkeypatch):
    monkeypatch.setattr(payload, "MAX_FITTED", 300)
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
    assert page.data["maps"][1]["note"].startswith("fitted to 300 random series")
