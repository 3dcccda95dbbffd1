"""Descriptions of clusters, series and latent dimensions: planted differences are named."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from vrae import Panel, read_panel
from vrae.data.calendar import Calendar
from vrae.describe import (
    Portraits,
    by_typicality,
    cluster_curve,
    cluster_curves,
    cluster_names,
    describe_clusters,
    describe_traversal,
    differences,
    explain_series,
    sentence,
    series_traits,
)
from vrae.describe.curves import MAX_STEPS, bin_means, series_list
from vrae.describe.words import cluster_labels, cluster_name, cluster_title, joined, percent, plain, plural
from vrae.exceptions import InvalidDataError

N, STEPS = 40, 60


def two_kinds(kind: str, seed: int = 0) -> tuple[Panel, np.ndarray]:
    """Return noisy waves of two kinds that differ in one thing only, and which kind each is."""
    rng = np.random.default_rng(seed)
    time = np.arange(STEPS)
    wave = np.sin(2 * np.pi * (time / 12 + rng.uniform(0, 1, (N, 1))))
    X = 10 + wave + 0.1 * rng.standard_normal((N, STEPS))
    second = np.arange(N) % 2 == 1
    if kind == "level":
        X[second] += 30
    elif kind == "trend":
        X[second] += 0.15 * time
    elif kind == "spike":
        X[~second, 10] += 12
        X[second, 45] += 12
    elif kind == "second channel":
        X = np.stack([X, 5 + rng.standard_normal((N, STEPS))], axis=1)
        X[second, 1, 20:30] += 6
    ids = [f"s{i}" for i in range(N)]
    return Panel.from_arrays(X.astype(np.float32), ids=ids), second.astype(np.int64)


def described(kind: str, **options):
    panel, labels = two_kinds(kind)
    vectors = panel.to_padded().reshape(N, -1).astype(float)
    return describe_clusters(panel, labels, vectors, **options)


@pytest.mark.parametrize(("kind", "words"), [("level", "higher level"), ("trend", "stronger upward trend")])
def test_a_planted_difference_is_named(kind, words):
    first, second = described(kind)
    assert f"a clearly {words}" in second.words
    assert words not in first.words
    assert second.differences[kind][0] > 0.9
    assert first.differences[kind][0] < -0.9


def test_a_spike_is_found_at_its_place():
    first, second = described("spike")
    assert any((w.first, w.last) == (10, 10) and w.difference > 0 for w in first.windows)
    assert any((w.first, w.last) == (45, 45) and w.difference < 0 for w in first.windows)
    assert any((w.first, w.last) == (45, 45) and w.difference > 0 for w in second.windows)
    assert "highest point" in second.words


def test_the_channel_is_named():
    window = described("second channel")[1].windows[0]
    assert window.channel == "value1"
    assert window.first in (19, 20, 21)
    assert window.last in (28, 29, 30)


def test_no_property_is_named_where_nothing_differs():
    panel, labels = two_kinds("nothing")
    vectors = panel.to_padded()[:, 0].astype(float)
    for entry in describe_clusters(panel, labels, vectors):
        assert "No single property sets it apart" in entry.words
        assert entry.windows == ()


def test_descriptions_are_consistent():
    panel, labels = two_kinds("trend")
    labels[:3] = -1
    entries = describe_clusters(panel, labels, panel.to_padded()[:, 0].astype(float))
    assert [e.label for e in entries] == [0, 1, -1]
    assert sum(e.size for e in entries) == N
    assert sum(e.proportion for e in entries) == pytest.approx(1)
    assert entries[-1].name == "Not assigned"
    assert "fit none of the clusters" in entries[-1].words
    for entry in entries:
        assert set(entry.medoids) <= set(panel.ids[labels == entry.label])
        assert (entry.low <= entry.middle).all()
        assert (entry.middle <= entry.high).all()
        assert entry.words in str(entry)
        assert json.dumps(entry.to_dict())


def test_descriptions_make_a_readable_table():
    panel, labels = two_kinds("trend")
    names = {0: "Flat", 1: "Growing"}
    found = describe_clusters(panel, labels, panel.to_padded()[:, 0].astype(float), names=names)
    for table in (pd.DataFrame(found), found.to_pandas()):
        assert table.columns.tolist() == ["cluster", "name", "size", "share", "words", "differs", "typical"]
        assert table["name"].tolist() == ["Flat", "Growing"]
        assert table["size"].sum() == N
        assert table["typical"].str.fullmatch(r"s\d+, s\d+, s\d+").all()
    assert str(found[1]).startswith("Cluster 1 · Growing: 20 series (50 %). ")
    assert str(found) == f"{found[0]}\n{found[1]}" == repr(found)
    assert "<td>Growing</td>" in found._repr_html_()
    assert found[1].to_dict()["name"] == "Growing"
    assert (found[1].label, found[1].proportion) == (1, 0.5)


def dated(series, first, freq="W-MON", start="2023-01-02") -> Panel:
    """Return series whose first steps are these steps of a calendar."""
    longest = max(at + len(x) for at, x in zip(first, series, strict=True))
    axis = pd.date_range(start, periods=longest, freq=freq).to_numpy().astype("M8[us]")
    times = np.concatenate([axis[at : at + len(x)] for at, x in zip(first, series, strict=True)])
    panel = Panel.from_arrays(series, times=times)
    return replace(panel, calendar=Calendar.from_freq(freq, times))


def test_steps_of_a_calendar_are_dates_and_only_those_of_the_cluster():
    rng = np.random.default_rng(0)
    long = [rng.poisson(20, 100).astype(float) for _ in range(20)]
    for x in long[:10]:
        x[30:34] += 90
    short = [rng.poisson(20, 8).astype(float) for _ in range(10)]
    panel = dated([*long, *short], [*[0] * 20, *range(10)])
    labels = np.repeat([0, 1, 2], 10)
    peaked, _, new = describe_clusters(panel, labels, rng.normal(size=(30, 2)))
    assert str(peaked.windows[0]).startswith("higher from 2023-07-31 to 2023-08-2")
    assert "usually 100 weeks long, from January 2023 to November 2024" in peaked.words
    assert "usually 8 weeks long" in new.words
    assert all(window.last < 17 for window in new.windows)  # the cluster ends with step 16


def test_steps_may_be_numbers():
    rng = np.random.default_rng(0)
    values = np.stack([rng.normal(size=400) + 5 * (i % 2) * (np.arange(400) < 50) for i in range(20)])
    item, week = np.divmod(np.arange(values.size), 400)
    panel = read_panel(pd.DataFrame({"id": item, "week": week, "y": values.ravel()}), id="id", time="week", value="y")
    _, high = describe_clusters(panel, np.arange(20) % 2, rng.normal(size=(20, 2)))
    assert "higher" in str(high.windows[0])


def test_series_of_different_lengths_have_no_steps_in_common():
    rng = np.random.default_rng(0)
    series = [np.linspace(0, 1 - 2 * (i % 2), 40 + i) + 0.1 * rng.normal(size=40 + i) for i in range(20)]
    rising, _ = describe_clusters(Panel.from_arrays(series), np.arange(20) % 2, rng.normal(size=(20, 2)))
    assert rising.windows[0].place.endswith("% of the way")
    assert "value" not in str(rising.windows[0])


def test_a_cluster_of_single_values_says_so():
    series = [np.full(1 + i % 2, float(i)) for i in range(6)] + [np.arange(30.0) + i for i in range(6)]
    panel = dated(series, [*range(6), *[0] * 6])
    few, _ = describe_clusters(panel, np.repeat([0, 1], 6), np.zeros((12, 2)))
    assert few.words.startswith("Seen in 1 or 2 weeks only; too few values for a shape")
    assert few.windows == ()


# ------------------------------------------------------------------------------- one series


def explained(kind: str, index: int, panel: Panel | None = None):
    own, labels = two_kinds(kind)
    panel = own if panel is None else panel
    probabilities = 0.2 + 0.6 * np.eye(2)[labels]
    vectors = np.eye(2)[labels] + 0.01 * np.random.default_rng(0).standard_normal((N, 2))
    names = {0: "Low", 1: "High"}
    return explain_series(panel, index, labels, probabilities, vectors, n_clusters=2, lag=3, shapes=True, names=names)


def test_the_planted_level_supports_the_cluster():
    found = explained("level", 5)
    assert (found.id, found.cluster, found.runner_up, found.lag) == ("s5", 1, 0, 3)
    assert (found.probability, found.runner_up_probability) == pytest.approx((0.8, 0.2))
    assert 0 <= found.typicality <= 1
    assert found.agrees[0].startswith("its level is 40")
    assert found.differs == ()
    text = str(found)
    assert text.startswith("Series s5: cluster 1 · High, probability 0.8.\nNext closest: cluster 0 · Low, ")
    assert text.endswith("It is 3 steps late.")
    assert "Its mean is 40, the standard deviation " in text
    assert "of value" not in text
    assert "For this cluster: its level is 40, nearer to this cluster (40) than to the next closest (10)." in text
    assert json.loads(json.dumps(found.to_dict()))["agrees"] == list(found.agrees)


def test_the_planted_spike_decides_and_another_one_is_unusual():
    panel, _ = two_kinds("spike")
    values = panel.values.copy()
    values[panel.offsets[5] + 25] += 9
    found = explained("spike", 5, panel.with_values(values))
    assert found.decides is not None
    assert found.decides.first <= 45 <= found.decides.last or found.decides.first <= 10 <= found.decides.last
    assert any(window.first <= 25 <= window.last and window.difference > 0 for window in found.unusual)


@pytest.mark.parametrize(
    ("typicality", "size", "text"),
    [
        (0.0, 2157, "It is the least typical of its 2,157 series."),
        (2156 / 2157, 2157, "It is the most typical of its 2,157 series."),
        (0.004, 2157, "It is among the least typical of its 2,157 series."),
        (0.43, 2157, "More typical than 43 % of its 2,157 series."),
        (0.0, 1, "It is the only series of its cluster."),
    ],
)
def test_typicality_reads_sensibly(typicality, size, text):
    found = replace(explained("level", 5), typicality=typicality, cluster_size=size)
    assert text in str(found).splitlines()


def test_the_lag_is_in_the_unit_of_the_calendar():
    panel, _ = two_kinds("level")
    weekly = dated(panel.to_padded()[:, 0], [0] * N)
    found = explained("level", 5, replace(weekly, ids=panel.ids))
    assert str(found).endswith("It is 3 weeks late.")
    assert str(replace(found, lag=-2)).endswith("It is 2 weeks early.")
    assert str(replace(found, lag=1)).endswith("It is 1 week late.")
    assert "late" not in str(replace(found, lag=0))


def test_a_series_without_a_vector_is_not_explained():
    panel, labels = two_kinds("level")
    vectors = np.full((N, 2), np.nan)
    with pytest.raises(InvalidDataError, match="Series 's3' has no observed value"):
        explain_series(panel, 3, labels, np.zeros((N, 2)), vectors, n_clusters=2, lag=0, shapes=True)


def test_one_cluster_has_no_runner_up():
    panel, _ = two_kinds("level")
    vectors = np.random.default_rng(0).standard_normal((N, 2))
    found = explain_series(panel, 3, np.zeros(N, int), np.ones((N, 1)), vectors, n_clusters=1, lag=0, shapes=True)
    assert (found.runner_up, found.runner_up_probability, found.decides) == (None, 0.0, None)


# ------------------------------------------------------------------------------- latent dimensions


def test_a_traversal_names_what_changes():
    series = (np.linspace(-2, 2, 5)[:, None] * np.linspace(0, 1, 30))[:, None]
    found = describe_traversal(1, np.linspace(-2, 2, 5), series)
    assert "a stronger upward trend" in found.words
    assert str(found).startswith("Latent dimension 1, from \N{MINUS SIGN}2 to 2: ")
    assert {len(column) for column in found.to_columns().values()} == {150}
    assert describe_traversal(1, found.values, series, in_use=False).words.startswith("not in use")
    assert describe_traversal(1, found.values, 0 * series).words.startswith("no single property")


# ------------------------------------------------------------------------------- typical curves


@pytest.fixture
def series():
    rng = np.random.default_rng(0)
    made = [rng.normal(size=(2, length)) for length in (1, 30, 40, 900, 25, 31)]
    made[1][0, 3:9] = np.nan
    made[2][:] = np.nan
    return made


LABELS = np.array([0, 0, 1, 1, -1, 1])


def test_bin_means_ignore_gaps():
    x = np.array([[1.0, np.nan, 3.0, 5.0, np.nan, np.nan, 7.0]])
    np.testing.assert_array_equal(bin_means(x, 2), [[1.0, 4.0, np.nan, 7.0]])


def test_curve_is_the_median_with_a_band(series):
    x = np.arange(12.0) + np.arange(-5, 6)[:, None]
    curve = cluster_curve([row[None] for row in x], label=2)
    np.testing.assert_allclose(curve.middle[0], np.arange(12.0))
    np.testing.assert_allclose(curve.high - curve.low, 8.0)
    assert curve.title() == "Cluster 2 · 11 series"
    assert curve.title({2: "leaf"}) == "leaf · 11 series"


def test_curve_takes_lags_out():
    wave = np.sin(np.arange(60) / 5)
    lags = np.array([0, 3, -4, 6])
    late = [wave[None, 10 - lag : 50 - lag] for lag in lags]
    curve = cluster_curve(late, lags=lags)
    np.testing.assert_allclose(curve.middle[0, 6:34], wave[16:44])


def test_adjusted_curve_shows_shape_whatever_the_level():
    shape = np.sin(np.arange(50) / 4)
    group = [(scale * shape + 7 * scale)[None] for scale in (1.0, 10.0, 1000.0)]
    curve = cluster_curve(group, adjust=True)
    np.testing.assert_allclose(curve.low, curve.high)
    np.testing.assert_allclose(curve.middle[0], 10 * shape + 70)


def test_curves_of_awkward_series(series):
    curves = cluster_curves(series, LABELS)
    assert [curve.label for curve in curves] == [0, 1, -1]
    assert all(curve.middle.shape == (2, len(curve.steps)) for curve in curves)
    assert max(len(curve.steps) for curve in curves) <= MAX_STEPS
    with pytest.raises(InvalidDataError, match="3 labels for 6 series"):
        cluster_curves(series, [0, 1, 2])


def test_one_very_long_series_does_not_squeeze_the_curve():
    short = [np.arange(40.0)[None]] * 6
    curve = cluster_curve([*short, np.zeros((1, 100_000))])
    np.testing.assert_array_equal(curve.steps, np.arange(40))


def test_a_panel_is_listed_like_its_series(small_series):
    panel = small_series("panel", 4)
    from_panel = series_list(panel)
    from_list = series_list(small_series("list", 4))
    assert [x.shape for x in from_panel] == [x.shape for x in from_list] == [(1, n) for n in panel.lengths]
    np.testing.assert_allclose(np.hstack(from_panel), np.hstack(from_list), rtol=1e-6)


# ------------------------------------------------------------------------------- sentences


def traits_of(*groups):
    series = [np.atleast_2d(x) for group in groups for x in group]
    owner = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    return series_traits(series), owner


def portraits_of(*groups, channels=()):
    series = [np.atleast_2d(x) for group in groups for x in group]
    owner = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    return Portraits.measured(Panel.from_arrays(series, channels=channels), np.arange(len(series))), owner


def test_rhythm_is_told_from_noise():
    rng = np.random.default_rng(0)
    measured = series_traits([np.sin(np.arange(100))[None], rng.normal(size=(1, 100)), np.ones((1, 9))])
    assert measured["season"][0] > 0.9
    assert measured["season"][1] < 0.5
    assert measured["season"][2] == 0


def test_sentence_says_what_is_there():
    rng = np.random.default_rng(0)
    time = np.linspace(0, 1, 50)
    rising = [10 * time + 100 + rng.normal(size=50) / 9 for _ in range(9)]
    falling = [-10 * time + 100 + rng.normal(size=50) / 9 for _ in range(9)]
    portraits, owner = portraits_of(rising, falling)
    text = sentence(portraits, owner == 0)
    assert text.startswith("Rises by about 9.2")  # the whole way, and said once
    assert " up by " not in text
    assert "highest at the end" in text
    assert "lowest at the start" in text
    assert "a clearly stronger upward trend" in text


def test_sentence_names_the_channel_that_differs():
    rng = np.random.default_rng(0)
    calm = [np.vstack([rng.normal(size=40), rng.normal(size=40)]) for _ in range(9)]
    loud = [np.vstack([rng.normal(size=40), 50 + 9 * rng.normal(size=40)]) for _ in range(9)]
    portraits, owner = portraits_of(calm, loud, channels=("x", "y"))
    text = sentence(portraits, owner == 1)
    assert text.startswith("In y: ")
    assert "a clearly higher level in y" in text


def test_sentence_of_special_series():
    flat, owner = portraits_of([np.full(9, 5.0)] * 3, [np.arange(9.0)] * 3)
    assert sentence(flat, owner == 0) == "Constant at about 5."
    empty, owner = portraits_of([np.full(9, np.nan)] * 2, [np.arange(9.0)] * 2)
    assert sentence(empty, owner == 0) == "No observed values."
    alone, owner = portraits_of([np.array([3.0])])
    assert sentence(alone, owner == 0).startswith("Only 1 value; too few values for a shape")


def test_a_difference_too_small_for_the_eye_is_not_named():
    rng = np.random.default_rng(0)
    base = [rng.normal(size=60) for _ in range(20)]
    base = [(x - x.mean()) / x.std() for x in base]
    traits, owner = traits_of(base[:10], [x + 1e-5 for x in base[10:]])
    found = differences(traits, owner == 1)
    assert found["level"] == 0
    assert found["spread"] == 0


def test_differences_lie_between_minus_one_and_one():
    traits, owner = traits_of([np.arange(9.0) + 100] * 4, [np.arange(9.0)] * 5)
    assert differences(traits, owner == 0)["level"] == 1
    assert differences(traits, owner == 1)["level"] == -1


@pytest.mark.parametrize("factor", [1e-30, 1e30, 1e38])
def test_squares_beyond_float32_change_no_description(factor):
    t = np.linspace(0, 1, 60, dtype=np.float32)
    rng = np.random.default_rng(0)
    noise = rng.uniform(0, 0.1, (40, 60)).astype(np.float32)
    groups = [t + noise[:20], 0.3 - 3 * np.exp(-(((t - 0.5) / 0.1) ** 2)) + noise[20:]]
    plainly, owner = portraits_of(*groups)
    scaled, _ = portraits_of(*(np.float32(factor) * group for group in groups))
    for name in ("level", "spread", "change"):
        np.testing.assert_allclose(scaled.numbers[name], factor * plainly.numbers[name], rtol=1e-4, atol=1e-6 * factor)
    for name in ("trend", "cycles", "roughness", "growth"):
        np.testing.assert_allclose(scaled.numbers[name], plainly.numbers[name], rtol=1e-3, atol=1e-5)
    assert cluster_names(scaled, owner, 2) == cluster_names(plainly, owner, 2)
    assert sentence(scaled, owner == 0).split()[0] == sentence(plainly, owner == 0).split()[0]


def test_most_typical_first_and_unknown_last():
    Z = np.array([[0.0], [9.0], [1.0], [np.nan], [-1.5]])
    assert by_typicality(Z, np.arange(5)).tolist() == [2, 0, 4, 1, 3]
    assert by_typicality(Z, np.array([3])).tolist() == [3]


# ------------------------------------------------------------------------------- words


def test_names_and_order():
    assert cluster_labels([2, -1, 0, 2]) == [0, 2, -1]
    assert [cluster_name(label) for label in (3, -1)] == ["Cluster 3", "Not assigned"]
    assert [cluster_title(label, {2: "Growing"}) for label in (2, 3, -1)] == [
        "cluster 2 · Growing",
        "cluster 3",
        "no cluster",
    ]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (-0.0, "0"),
        (12.345, "12.3"),
        (-12.345, "\N{MINUS SIGN}12.3"),
        (1234567.8, "1,230,000"),
        (0.00012, "0.00012"),
        (1.234e-7, "1.23e\N{MINUS SIGN}07"),
        (np.nan, "unknown"),
    ],
)
def test_numbers_for_reading(number, text):
    assert plain(number) == text


def test_counts_and_lists_for_reading():
    assert [plural(1, "step"), plural(1200, "step"), plural(3, "series")] == ["1 step", "1,200 steps", "3 series"]
    assert [percent(x) for x in (0, 0.001, 0.124, 0.999, 1)] == [
        "0 %",
        "less than 1 %",
        "12 %",
        "more than 99 %",
        "100 %",
    ]
    assert [joined(["a"]), joined(["a", "b", "c"])] == ["a", "a, b and c"]
