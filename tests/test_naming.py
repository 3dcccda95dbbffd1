"""Names of clusters: true, different, short, the same after small changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vrae import Panel
from vrae.data.calendar import Calendar
from vrae.describe import Portraits, cluster_names
from vrae.describe.shapes import shape_phrase

N = 30  # series of a kind

Maker = Callable[[np.random.Generator], np.ndarray]


def on_calendar(series: list[Any], start: str, freq: str, first: list[int] | None = None, **parts: Any) -> Panel:
    """Return series on one calendar, which start at these of its steps."""
    first = first or [0] * len(series)
    lengths = [np.shape(x)[-1] for x in series]
    axis = pd.date_range(start, periods=max(map(sum, zip(first, lengths, strict=True))), freq=freq)
    times = axis.to_numpy().astype("M8[us]")
    times = np.concatenate([times[at : at + n] for at, n in zip(first, lengths, strict=True)])
    return replace(Panel.from_arrays(series, times=times, **parts), calendar=Calendar.from_freq(freq, times))


def kinds(makers: Sequence[Maker], seed: int = 0, n: int = N) -> tuple[list[np.ndarray], np.ndarray]:
    """Return ``n`` series of each kind, and their kinds."""
    rng = np.random.default_rng(seed)
    return [make(rng) for make in makers for _ in range(n)], np.repeat(np.arange(len(makers)), n)


def named(panel: Panel, labels: np.ndarray) -> list[str]:
    portraits = Portraits.of(panel, np.arange(len(panel)))
    return cluster_names(portraits, labels[portraits.rows], int(labels.max()) + 1)


# ------------------------------------------------------------------------------- dated

WEEKS = np.arange(104)
YEAR = 2 * np.pi * WEEKS / 52.18


def sales(mean: np.ndarray) -> Maker:
    return lambda rng: rng.poisson(rng.uniform(0.5, 2) * np.maximum(mean, 0)).astype(float)


WEEKLY: dict[str, Maker] = {
    "Highest from June to August": sales(20 + 15 * np.cos(YEAR - 3.4)),
    "Peaks in December": sales(5 + 60.0 * (WEEKS % 52 >= 48)),
    "Steady": sales(np.full(104, 30.0)),
    "Growing": sales(5 + 40 * WEEKS / 104),
    "Declining": sales(45 - 40 * WEEKS / 104),
    "Active in a few weeks a year": lambda rng: np.where(rng.random(104) < 0.12, rng.poisson(9, 104) + 1.0, 0.0),
}


def weekly(seed: int = 0) -> tuple[Panel, np.ndarray]:
    series, labels = kinds(list(WEEKLY.values()), seed)
    return on_calendar(series, "2023-01-02", "W-MON"), labels


def test_sales_are_named_by_what_they_do():
    assert named(*weekly()) == list(WEEKLY)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_names_do_not_depend_on_the_draw(seed):
    assert named(*weekly(seed)) == list(WEEKLY)


def test_names_survive_a_change_of_a_fifth_of_the_series():
    panel, labels = weekly()
    portraits = Portraits.of(panel, np.arange(len(panel)))
    rng = np.random.default_rng(0)
    for _ in range(20):
        some = np.where(rng.random(len(labels)) < 0.8, labels, -1)
        assert cluster_names(portraits, some, len(WEEKLY)) == list(WEEKLY)


def test_a_peak_in_one_of_two_years_is_no_season():
    once = 5 + 60.0 * (WEEKS >= 100)
    series, labels = kinds([sales(once), sales(np.full(104, 30.0))])
    name = named(on_calendar(series, "2023-01-02", "W-MON"), labels)[0]
    assert name == "High in December 2024"


def test_a_peak_of_few_members_is_no_season():
    makers = [WEEKLY["Peaks in December"], *[WEEKLY["Steady"]] * 2]
    series, kind = kinds(makers)
    name = named(on_calendar(series, "2023-01-02", "W-MON"), np.minimum(kind, 0))[0]
    assert "December" not in name


def test_a_mixture_of_growing_and_declining_is_not_steady():
    weak = [lambda rng, slope=slope: 100 + slope * WEEKS + rng.normal(0, 1, 104) for slope in (0.2, -0.3)]
    series, _ = kinds([*weak, WEEKLY["Peaks in December"]])
    name = named(on_calendar(series, "2023-01-02", "W-MON"), np.repeat([0, 0, 1], N))[0]
    assert not name.startswith(("Steady", "All year round"))


def test_a_mixture_with_mostly_zeros_is_not_all_year_round():
    rare = WEEKLY["Active in a few weeks a year"]
    series, _ = kinds([lambda rng: rng.poisson(20 * rng.exponential(1, 104)), rare, WEEKLY["Peaks in December"]])
    panel = on_calendar(series, "2023-01-02", "W-MON")
    assert named(panel, np.repeat([0, 1, 2], N))[0].startswith("All year round")
    assert not named(panel, np.repeat([0, 0, 1], N))[0].startswith(("Steady", "All year round"))


def test_half_a_year_has_no_months():
    series, labels = kinds([WEEKLY["Peaks in December"]])
    short = [x[26:52] for x in series]
    assert "December" not in named(on_calendar(short, "2023-07-03", "W-MON"), labels)[0].split()[-1:]


def test_monthly_and_quarterly_series_have_seasons():
    t = np.arange(48)
    series, labels = kinds([sales(10 + 40.0 * (t % 12 == 3)), sales(np.full(48, 30.0))])
    assert named(on_calendar(series, "2020-01-01", "MS"), labels) == ["Peaks in April", "Steady"]
    t = np.arange(16)
    series, labels = kinds([sales(20 + 80.0 * (t % 4 == 3)), sales(np.full(16, 60.0))])
    assert named(on_calendar(series, "2020-01-01", "QS"), labels)[0] == "Peaks in the fourth quarter"


def test_lives_have_dates():
    rng = np.random.default_rng(0)
    series, first, labels = [], [], []
    for _ in range(N):
        late, early = int(rng.integers(84, 92)), int(rng.integers(52, 62))
        lives = [(late, 150 - late), (0, early), (0, 150), (int(rng.integers(30, 36)), 28), (0, 0), (0, 0)]
        lives[4] = (int(rng.integers(0, 147)), int(rng.integers(1, 3)))
        lives[5] = (int(rng.integers(0, 110)), int(rng.integers(9, 18)))
        for kind, (at, length) in enumerate(lives):
            growth = 1 + 5 * np.arange(length) / length if kind == 0 else 1
            series.append(rng.poisson(20 * growth * np.ones(length)).astype(float))
            first.append(at)
            labels.append(kind)
    found = named(on_calendar(series, "2022-01-03", "W-MON", first), np.array(labels))
    assert found[:5] == [
        "Launched around September 2023, growing",
        "Ended around January 2023",
        "Steady",
        "Only around August 2022 to February 2023",
        "Seen in 1 or 2 weeks only",
    ]
    assert found[5].startswith("Lasts 8 to ")


def together(curve: np.ndarray, noise: float = 1.0) -> Maker:
    """Return series that follow one curve around 100."""
    return lambda rng: 100 + curve + noise * rng.standard_normal(len(curve))


def name_of(curve: np.ndarray, start: str, freq: str, noise: float = 1.0) -> str:
    return named(on_calendar(kinds([together(curve, noise)])[0], start, freq), np.zeros(N, int))[0]


@pytest.mark.parametrize(
    ("curve", "freq", "expected"),
    [
        (np.linspace(0, 90, 12), "MS", "Growing"),
        (np.linspace(0, -90, 12), "MS", "Declining"),
        (np.linspace(0, 90, 52), "W-MON", "Growing"),
        (np.linspace(0, 90, 23), "MS", "Growing"),
        (np.exp(np.arange(80) / 15), "W-MON", "Growing"),
        (80.0 * (np.arange(56) >= 28), "W-MON", "Growing"),
        (200.0 * (np.arange(56) == 28), "W-MON", "High in July 2023"),
        (-90.0 * (np.arange(20) == 9), "MS", "Low in October 2023"),
    ],
)
def test_less_than_two_years_have_trends_and_single_months(curve, freq, expected):
    assert name_of(curve, "2023-01-01", freq) == expected


def test_a_step_after_zeros_is_a_launch():
    curve = np.where(np.arange(22) < 8, -100.0, 0.0)
    assert name_of(curve, "2021-01-01", "MS", noise=0.0) == "Launched in September 2021"


@pytest.mark.parametrize("n", [52, 60, 104, 156])
def test_walks_waves_and_noise_that_series_share_are_no_season(n):
    words = ("Peaks", "Highest", "Lowest", "High in", "Low in", "rhythm")
    wrong = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        for curve in (rng.standard_normal(n).cumsum(), rng.standard_normal(n), np.sin(np.arange(n) / 3.5 + seed)):
            name = name_of(10 * curve, "2023-01-02", "W-MON")
            wrong += [name] * any(word in name for word in words)
    assert len(wrong) <= 2 * (n >= 104)  # two years can be alike by chance


@pytest.mark.parametrize("freq", ["MS", "W-MON", "D"])
def test_a_month_is_a_peak_if_all_years_have_it(freq):
    axis = pd.date_range("2021-01-01", "2023-12-31", freq=freq)
    month, year = axis.month.to_numpy(), axis.year.to_numpy()
    always, once = 100.0 * (month == 12), 100.0 * ((month == 12) & (year == 2022))
    gaps = np.where((month == 7) & (year != 2022), np.nan, 0.0)
    start = str(axis[0].date())
    assert name_of(always, start, freq) == "Peaks in December"
    assert name_of(always + gaps, start, freq) == "Peaks in December"
    assert name_of(once, start, freq) == "High in December 2022"
    assert name_of(once + gaps, start, freq) == "High in December 2022"
    assert name_of(100.0 * ((month == 12) & (year > 2021)), start, freq) == "High in single months"
    assert name_of(100.0 * (month == 7) + np.where(month == 12, np.nan, 0.0), start, freq) == "Peaks in July"
    two = year < 2023
    assert name_of(always[two] + np.linspace(0, 60, two.sum()), start, freq) == "Peaks in December"


def test_quarters_are_quarters():
    quarter = np.arange(16) % 4
    assert name_of(50.0 * (quarter == 3), "2020-01-01", "QS") == "Peaks in the fourth quarter"
    assert name_of(-50.0 * (quarter == 0), "2020-01-01", "QS") == "Lowest in the first quarter"
    assert name_of(50.0 * (quarter // 2 == 1), "2020-01-01", "QS") == "Peaks in the third and fourth quarters"


@pytest.mark.parametrize("n", [200, 365, 1096])
def test_closed_days_are_named(n):
    day = pd.date_range("2021-01-01", periods=n).dayofweek.to_numpy()

    def closed(*days: int, to: float = 0.0) -> str:
        def make(rng: np.random.Generator) -> np.ndarray:
            return np.where(np.isin(day, days), to, 1.0) * rng.normal(100, 10, n)

        return named(on_calendar(kinds([make])[0], "2021-01-01", "D"), np.zeros(N, int))[0]

    assert closed(6) == "Zero on Sundays"
    assert closed(0) == "Zero on Mondays"
    assert closed(6, 0) == "Zero on Sundays and Mondays"
    assert closed(5, 6) == "Zero on weekends"
    assert closed(6, to=0.4) == "Lowest on Sundays"
    assert closed(5, 6, to=0.5) == "Lower on weekends"
    assert closed() == "Steady"


def test_closed_hours_are_named():
    hour = np.arange(24 * 28) % 24
    curve = np.where(hour < 4, -100.0, 0.0)
    make = [lambda rng: np.where(hour < 4, 0.0, 1.0) * rng.normal(100, 10, len(hour))]
    assert named(on_calendar(kinds(make)[0], "2024-03-04", "h"), np.zeros(N, int)) == ["Zero at night"]
    assert name_of(curve / 2, "2024-03-04", "h") == "Lower at night"
    assert name_of(curve[:40], "2024-03-04", "h").split()[0] not in ("Zero", "Lower", "Peaks")


@pytest.mark.parametrize(("spread", "expected"), [(4, "Ended around August 2024"), (20, "Ended around mid-2024")])
def test_an_end_has_its_month_if_most_series_end_within_two(spread, expected):
    rng = np.random.default_rng(0)
    series = [rng.normal(100, 5, 136 + int(at)) for at in rng.integers(-spread, spread + 1, N)]
    whole = [rng.normal(100, 5, 208) for _ in range(N)]
    names = named(on_calendar([*series, *whole], "2022-01-03", "W-MON"), np.repeat([0, 1], N))
    assert names == [expected, "Steady"]


def test_older_portraits_have_names():
    portraits = Portraits.of(weekly()[0], np.arange(6 * N))
    config, arrays = portraits.state()
    config = {**config, "numbers": config["numbers"][:-4]}
    arrays = {**arrays, "numbers": arrays["numbers"][:-4]}
    del arrays["alike"]
    again = Portraits.from_state(config, arrays)
    assert cluster_names(again, weekly()[1], len(WEEKLY)) == list(WEEKLY)


def meters(seed: int = 0, zone: str | None = None) -> tuple[Panel, np.ndarray]:
    hours = np.arange(24 * 28)
    hour, weekend = hours % 24, hours // 24 % 7 >= 5
    day, evening, morning = (np.exp(-(((hour - at) / wide) ** 2)) for at, wide in ((13, 4), (19, 2), (7, 1.5)))
    means = [
        2 + 0.3 * day + 3 * day * ~weekend,
        2 + 0.3 * day + 3 * day * weekend,
        1 + 3 * evening + 2.5 * morning,
        1 + 3.0 * ((hour < 6) | (hour >= 23)),
        1 + 3 * evening,
    ]
    makers = [lambda rng, m=m: rng.uniform(0.5, 2) * m + 0.2 * rng.standard_normal(len(m)) for m in means]
    series, labels = kinds(makers, seed)
    panel = on_calendar(series, "2024-03-04", "h")
    assert panel.calendar is not None
    return (replace(panel, calendar=replace(panel.calendar, zone=zone)) if zone else panel), labels


def test_meters_are_named_by_week_and_day():
    assert named(*meters()) == [
        "Lower on weekends",
        "Higher on weekends",
        "Peaks in the morning and evening",
        "Higher at night",
        "Peaks in the evening",
    ]


def test_hours_are_those_of_the_zone():
    assert named(*meters(zone="Asia/Tokyo"))[4] == "Peaks at night"  # 19:00 in UTC is 04:00 in Tokyo


def test_a_zone_and_numbers_as_times_are_no_obstacle():
    series, labels = kinds([sales(5 + 40 * WEEKS / 104), sales(45 - 40 * WEEKS / 104)])
    times = np.tile(np.arange(104), len(series))
    panel = replace(Panel.from_arrays(series, times=times), calendar=Calendar(1, None, 0))
    assert named(panel, labels) == ["Rises", "Falls"]
    irregular = replace(on_calendar(series, "2023-01-02", "W-MON"), calendar=None)
    assert named(irregular, labels) == ["Rises", "Falls"]


# ------------------------------------------------------------------------------- undated


def noisy(curve: np.ndarray) -> Maker:
    return lambda rng: curve + 0.1 * np.ptp(curve) * rng.standard_normal(len(curve)) / 2 + 1e-9


def test_shapes_are_named():
    t = np.linspace(0, 1, 80)
    shapes = {
        "Rises": t,
        "Falls": -t,
        "One peak late": np.exp(-(((t - 0.75) / 0.06) ** 2)),
        "Falls, then rises": (t - 0.5) ** 2,
        "Two peaks": np.exp(-(((t - 0.25) / 0.06) ** 2)) + np.exp(-(((t - 0.7) / 0.06) ** 2)),
        "Steps up early": 1.0 * (t > 0.25),
    }
    series, labels = kinds([noisy(curve) for curve in shapes.values()])
    found = named(Panel.from_arrays(series), labels)
    assert found[:3] == ["Rises", "Falls", "One peak late"]
    assert found[4:] == ["Two peaks", "Steps up early"]
    assert found[3] in ("Falls, then rises", "Wide trough")


def test_series_that_are_not_alike_have_no_shape():
    rng = np.random.default_rng(0)
    assert shape_phrase(rng.standard_normal((50, 40))) is None
    assert shape_phrase(np.zeros((5, 40))) is None


def test_waves_without_a_common_phase_are_counted():
    def wave(rng: np.random.Generator) -> np.ndarray:
        return np.sin(2 * np.pi * (np.arange(100) / 33 + rng.random())) + 0.02 * rng.standard_normal(100)

    def quick(rng: np.random.Generator) -> np.ndarray:
        return np.sin(2 * np.pi * (np.arange(100) / 4.7 + rng.random())) + 0.02 * rng.standard_normal(100)

    series, labels = kinds([wave, quick])
    found = named(Panel.from_arrays(series), labels)
    assert found == ["About 3 regular waves", "Many regular waves"]


def test_equal_names_are_told_apart_by_what_differs():
    t = np.linspace(0, 1, 60)
    series, labels = kinds([noisy(10 * t + 5), noisy(1000 * t + 500)])
    low, high = named(Panel.from_arrays(series), labels)
    assert low.startswith("Rises, ")
    assert high.startswith("Rises, ")
    assert "lower level" in low or "low level" in low
    assert "higher level" in high or "high level" in high


# ------------------------------------------------------------------------------- special


def test_series_without_a_shape_are_not_given_one():
    short = [np.arange(1.0 + i % 3) for i in range(30)]
    flat = [np.full(20, 5.0)] * 30
    none = [np.zeros(20)] * 30
    gone = [np.full(20, np.nan)] * 30
    once = [np.eye(20)[i % 20] for i in range(30)]
    panel = Panel.from_arrays([*short, *flat, *none, *gone, *once])
    found = named(panel, np.repeat(np.arange(5), 30))
    assert found == ["Only 1 to 3 values", "Constant", "Always zero", "No values", "Active in 1 value only"]


def test_equal_clusters_have_different_names():
    panel = Panel.from_arrays(np.tile(np.arange(9.0), (6, 1)))
    assert named(panel, np.repeat([0, 1, 2], 2)) == ["Rises", "Rises (2)", "Rises (3)"]


def test_one_cluster_noise_and_clusters_outside_the_sample_have_names():
    panel, labels = weekly()
    portraits = Portraits.of(panel, np.arange(len(panel)))
    assert cluster_names(portraits, np.where(labels == 3, 0, -1), 1) == ["Growing"]
    assert cluster_names(portraits, np.where(labels == 3, 1, -1), 3) == ["Cluster 0", "Growing", "Cluster 2"]
    assert cluster_names(portraits, np.full(len(labels), -1), 0) == []


def test_a_cluster_is_named_by_the_channel_that_sets_it_apart():
    def calm(rng: np.random.Generator) -> np.ndarray:
        return rng.standard_normal((3, 60))

    def tilted(rng: np.random.Generator) -> np.ndarray:
        x = rng.standard_normal((3, 60))
        x[1] += np.linspace(0, 12, 60)
        return x

    series, labels = kinds([calm, tilted])
    found = named(Panel.from_arrays(series, channels=("heat", "load", "flow")), labels)
    assert found[1] == "load: rises"
    assert found[0].startswith("load: ")


def test_what_is_true_of_all_channels_needs_no_channel():
    def both(maker: Maker) -> Maker:
        return lambda rng: np.stack([maker(rng), maker(rng)])

    series, labels = kinds([both(WEEKLY[name]) for name in ("Peaks in December", "Growing")])
    panel = on_calendar(series, "2023-01-02", "W-MON", channels=("shop", "web"))
    assert named(panel, labels) == ["Peaks in December", "Growing"]


# ------------------------------------------------------------------------------- saved


def test_portraits_are_a_sample_and_come_back():
    panel, labels = weekly()
    usable = np.arange(10, len(panel))
    portraits = Portraits.of(panel, usable, seed=1)
    assert portraits.rows.tolist() == usable.tolist()
    config, arrays = portraits.state()
    again = Portraits.from_state(json.loads(json.dumps(config)), arrays)
    assert cluster_names(again, labels[again.rows], 6) == cluster_names(portraits, labels[portraits.rows], 6)
    assert all(array.dtype.kind in "if" for array in arrays.values())


def test_large_panels_are_sampled():
    panel = Panel.from_arrays(np.random.default_rng(0).standard_normal((3000, 4)))
    portraits = Portraits.of(panel, np.arange(3000))
    assert len(portraits) == 2000
    assert (np.diff(portraits.rows) > 0).all()
    assert not np.array_equal(portraits.rows, Portraits.of(panel, np.arange(3000), seed=1).rows)
    wide = Panel.from_arrays(np.random.default_rng(0).standard_normal((300, 200, 4)))
    assert len(Portraits.of(wide, np.arange(300))) == 100
    long = Panel.from_arrays(np.ones((200, 30_000), np.float32))
    assert len(Portraits.of(long, np.arange(200))) == (1 << 22) // 30_000


@pytest.mark.parametrize(
    "damage",
    [
        lambda config, arrays: config.pop("channels"),
        lambda config, arrays: config.update(calendar={"freq": "nonsense"}),
        lambda config, arrays: config.update(calendar={"unknown": 1}),
        lambda config, arrays: config.update(start="yesterday"),
        lambda config, arrays: config.update(numbers=["level"]),
        lambda config, arrays: arrays.pop("shapes"),
        lambda config, arrays: arrays.update(shapes=arrays["shapes"][:, :, :3]),
        lambda config, arrays: arrays.update(month=arrays["month"][:5]),
        lambda config, arrays: arrays.update(rows=arrays["rows"].astype(float)),
    ],
)
def test_damaged_portraits_are_refused(damage):
    config, arrays = Portraits.of(weekly()[0], np.arange(9)).state()
    damage(config, arrays)
    with pytest.raises(ValueError, match=r".+"):
        Portraits.from_state(config, arrays)


# ------------------------------------------------------------------------------- always


@st.composite
def panels(draw) -> Panel:
    """Return random series, dated or not, with gaps, zeros and equal ones among them."""
    rng = np.random.default_rng(draw(st.integers(0, 1 << 16)))
    n, channels = draw(st.integers(2, 25)), draw(st.integers(1, 3))
    series, first = [], []
    for _ in range(n):
        x = rng.standard_normal((channels, int(rng.integers(1, draw(st.sampled_from([2, 12, 80]))))))
        kind = rng.integers(5)
        x = np.zeros_like(x) if kind == 0 else np.cumsum(x, axis=1) if kind == 1 else x
        x = np.where(rng.random(x.shape) < 0.3, np.nan, x) if kind == 2 else np.abs(np.round(x)) if kind == 3 else x
        series.append(1e9 * x if draw(st.booleans()) else x)
        first.append(int(rng.integers(0, 60)))
    freq = draw(st.sampled_from([None, "h", "D", "W-SUN", "MS", "QS", "YS"]))
    names = tuple(draw(st.lists(st.text(min_size=1, max_size=60), min_size=channels, max_size=channels, unique=True)))
    if freq is None:
        return Panel.from_arrays(series, channels=names)
    return on_calendar(series, "2020-02-03", freq, first, channels=names)


@settings(max_examples=60)
@given(panels(), st.data())
def test_names_are_different_short_and_never_empty(panel, data):
    n_clusters = data.draw(st.integers(1, 6))
    labels = np.array(data.draw(st.lists(st.integers(-1, n_clusters - 1), min_size=len(panel), max_size=len(panel))))
    portraits = Portraits.of(panel, np.arange(len(panel)))
    names = cluster_names(portraits, labels, n_clusters)
    assert len(set(names)) == n_clusters
    assert all(0 < len(name.strip()) <= 60 for name in names)
    assert cluster_names(portraits, labels, n_clusters) == names
