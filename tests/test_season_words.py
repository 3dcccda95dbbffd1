"""Sentences, names and seasonal profiles say the same about months and hours, and say it once."""

from dataclasses import replace

import numpy as np
import pytest

from vrae import Panel
from vrae.data.calendar import Calendar
from vrae.describe.naming import cluster_names
from vrae.describe.phrases import Phrase, phrases
from vrae.describe.portraits import Portraits
from vrae.describe.season_words import agrees, season_sentence, standing_out, told_seasons
from vrae.describe.seasons import when_high
from vrae.describe.sentences import sentence
from vrae.describe.time_words import hours_phrase, months_phrase

WEEKS = np.arange("2023-01-02", "2026-01-01", 7, dtype="M8[D]")


def weekly(means, channel="value", n=12):
    rng = np.random.default_rng(0)
    series = [rng.poisson(rng.uniform(0.5, 2) * mean).astype(float) for mean in means for _ in range(n)]
    panel = Panel.from_arrays(series, times=np.tile(WEEKS.astype("M8[us]"), len(series)), channels=[channel])
    assert panel.times is not None
    return replace(panel, calendar=Calendar.from_freq("W-MON", panel.times)), np.repeat(np.arange(len(means)), n)


def months():
    return WEEKS.astype("M8[M]").astype(int) % 12


def told_of(panel, labels, label=0):
    portraits = Portraits.of(panel, np.arange(len(panel)))
    return sentence(portraits, labels[portraits.rows] == label)


def test_the_profile_names_the_months_of_the_name():
    summer = 10 + 60.0 * (months() == 7) + 38.0 * (months() == 8)
    panel, labels = weekly([summer, np.full(len(WEEKS), 40.0)])
    portraits, seasons = Portraits.of(panel, np.arange(len(panel))), when_high(panel, labels)
    assert seasons is not None
    own = told_seasons(portraits, labels == 0)[0]["month"]
    levels = next(levels for levels in seasons.profiles if levels.bins.view == "month")
    text = season_sentence(levels, 0, 0, True, own)
    assert own.text == cluster_names(portraits, labels, 2)[0]
    assert text.split(" (")[0].replace("Highest", "Peaks") == own.text
    assert agrees(seasons, 0, own, 0)
    assert not agrees(seasons, 1, own, 0)  # the other cluster has no season
    assert standing_out(levels, 1, 0, True) == ([], [])
    wrong = Phrase("month", "Peaks in March", 1.0, ("March",))
    assert season_sentence(levels, 0, 0, True, wrong) == season_sentence(levels, 0, 0, True)


def test_a_launched_group_has_no_months():
    t = np.arange(len(WEEKS))
    launched = np.where(t < 78, 0.0, 30 * (1 - np.exp(-(t - 78) / 30)))
    panel, labels = weekly([launched, np.full(len(WEEKS), 40.0)])
    portraits = Portraits.of(panel, np.arange(len(panel)))
    found = phrases(portraits, labels == 0, 0)
    assert found[0].text.startswith("Launched")
    assert "month" not in [phrase.kind for phrase in found]


def test_zeros_after_the_end_are_no_length():
    t = np.arange(len(WEEKS))
    panel, labels = weekly([np.where(t < 80, 30 * np.exp(-t / 40), 0.0), np.full(len(WEEKS), 40.0)])
    text = told_of(panel, labels)
    assert "157 weeks" not in text
    assert "to December 2025" not in text


def test_a_direction_is_said_once_and_the_change_is_that_of_the_curve():
    t = np.linspace(0, 1, len(WEEKS))
    panel, labels = weekly([60 * (1 - t) + 1, np.full(len(WEEKS), 30.0)])
    text = told_of(panel, labels).split(" Compared")[0].lower()
    assert sum(text.count(word) for word in ("declin", "falls", "down by")) == 1
    change = float(text.split("by about ")[1].split(" ")[0])
    assert 40 < change < 80


def test_levels_have_the_name_of_their_column():
    means = [np.full(len(WEEKS), 10.0), np.full(len(WEEKS), 90.0)]
    panel, labels = weekly(means, "Menge")
    assert " Menge a week (mostly " in told_of(panel, labels)
    panel, labels = weekly(means)
    assert "at a level around " in told_of(panel, labels)


def test_two_peaks_of_different_series_are_one_or_the_other():
    panel, labels = weekly([5 + 60.0 * (months() == 7), 5 + 60.0 * (months() == 11), np.full(len(WEEKS), 30.0)])
    portraits = Portraits.of(panel, np.arange(len(panel)))
    merged = np.array([0, 0, 1])[labels]
    assert cluster_names(portraits, merged, 2)[0] == "Peaks in August or December"
    both, labels = weekly([5 + 60.0 * (months() == 7) + 60.0 * (months() == 11)])
    portraits = Portraits.of(both, np.arange(len(both)))
    assert " or " not in cluster_names(portraits, labels, 1)[0]


def test_noise_has_no_two_months():
    assert months_phrase(np.random.default_rng(0).normal(size=(60, 12))) is None


HOURS = np.arange(24)
SUN = np.clip(np.sin((HOURS - 6) / 12 * np.pi), 0, None)


@pytest.mark.parametrize(
    ("day", "words"),
    [
        (-SUN, "Lower around noon"),
        (SUN**0.6, "High around noon"),
        ((HOURS >= 8) & (HOURS < 18), "Higher by day"),
        (-1.0 * ((HOURS >= 9) & (HOURS < 18)), "Lower by day"),
        ((HOURS < 6) | (HOURS >= 22), "Higher at night"),
        (np.sin(2 * np.pi * HOURS / 6), "Four peaks a day"),
        (-1.0 * (HOURS % 4 == 1), "Six dips a day"),
        (-1.0 * (HOURS % 12 == 11), "Two dips a day"),
        (np.isin(HOURS, [8, 13, 20]), "Peaks in the morning and afternoon"),
    ],
)
def test_the_shorter_part_of_a_day_is_named(day, words):
    profile = np.asarray(day, float)
    profile = (profile - profile.mean()) / profile.std()
    found = hours_phrase(np.tile(profile, (10, 1)))
    assert found is not None
    assert found.words == words


def test_months_that_come_again_within_a_year_are_counted():
    thirds = np.sin(2 * np.pi * (np.arange(12) + 0.25) / 4)
    found = months_phrase(np.tile(thirds / thirds.std(), (10, 1)))
    assert found is not None
    assert (found.words, found.bins) == ("Three peaks a year", ())


def test_an_ended_group_is_no_declining_one():
    t, rng = np.arange(len(WEEKS)), np.random.default_rng(0)
    ends = rng.integers(45, 120, 30)
    means = [50 * (t < end) * (1 - 0.6 * np.clip((t - end + 20) / 20, 0, 1)) for end in ends]
    series = [rng.poisson(mean).astype(float) for mean in means]
    panel = Panel.from_arrays([*series, *np.full((12, len(t)), 40.0)], times=np.tile(WEEKS.astype("M8[us]"), 42))
    assert panel.times is not None
    panel, labels = replace(panel, calendar=Calendar.from_freq("W-MON", panel.times)), np.repeat([0, 1], [30, 12])
    portraits = Portraits.of(panel, np.arange(len(panel)))
    assert cluster_names(portraits, labels, 2)[0].startswith("Ended")
    assert "eclining" not in told_of(panel, labels)
    assert "by about" not in told_of(panel, labels)
