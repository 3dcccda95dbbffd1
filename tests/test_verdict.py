"""The verdict on a clustering: what it says, what it warns of, and that it does not praise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vrae.describe.alerts import Action, passes
from vrae.describe.findings import Found, percent_text
from vrae.describe.training_words import judge_training
from vrae.describe.verdict import peaks, verdict
from vrae.estimators.alternatives import closest_pair
from vrae.report.commands import CommandLine

NAMES = {0: "Peaks in December", 1: "Steady", 2: "Declining", 3: "Sells a few weeks a year"}


def found(**parts: Any) -> Found:
    """Return a good clustering; ``parts`` replace what is good about it."""
    good: dict[str, Any] = {
        "sizes": [100, 60, 40],
        "names": NAMES,
        "stability": [0.9, 0.95, 0.88],
        "refitted": True,
        "silhouette": 0.5,
    }
    return Found(**{**good, **parts})


def kinds(**parts: Any) -> list[str]:
    return [alert.kind for alert in verdict(found(**parts)).alerts]


def only_alert(**parts: Any) -> Any:
    (alert,) = verdict(found(**parts)).alerts
    return alert


def curve(values: list[float], **more: Any) -> list[dict[str, Any]]:
    return [{"epoch": e, "loss": loss, "kl_weight": 1.0, **more} for e, loss in enumerate(values, 1)]


def tried(**rows: Any) -> list[dict[str, Any]]:
    """Return a selection: ``k5={"score": 0.4}`` and so on."""
    plain = {"silhouette": 0.4, "stability": 0.5, "largest": 0.4, "is_peak": False}
    return [{"n_clusters": int(k[1:]), **plain, **row} for k, row in rows.items()]


# ------------------------------------------------------------------------------- the paragraph


def test_a_good_clustering_is_told_in_a_paragraph():
    result = verdict(found(n_doubtful=3))
    assert result.text == (
        "200 series fall into 3 groups: “Peaks in December” (100 series, 50 %), “Steady” (60, 30 %) and “Declining” "
        "(40, 20 %). You can rely on them: 88 to 95 % of each is found again when vrae learns from half of the series. "
        "3 series lie between two groups. Next: look at the groups below, give them your own names, and assign new "
        "series to them."
    )
    assert result.alerts == ()


def test_of_many_groups_the_largest_are_named():
    text = verdict(found(sizes=[90, 10, 50, 20, 30], stability=[0.9] * 5, names={})).text
    assert "5 groups: Cluster 0 (90 series, 45 %), Cluster 2 (50, 25 %), Cluster 4 (30, 15 %), and 2 smaller" in text
    assert "90 % of each is found again" in text


def test_counts_have_a_volume():
    text = verdict(found(volume=[0.1, 0.75, 0.15])).text
    assert (
        "“Peaks in December” (100 series, 50 %, with about 10 % of the volume), “Steady” (60, 30 %, volume 75 %)"
        in text
    )


def test_only_firm_groups_are_praised():
    text = verdict(found(stability=[0.9, 0.3, 0.9])).text
    assert "Do not rely on “Steady”: less than 60 % is found again" in text
    assert "You can rely" not in text
    text = verdict(found(stability=[0.9, 0.3, 0.5])).text
    assert "Rely on “Peaks in December” only: of the other 2, less than 60 %" in text
    text = verdict(found(stability=[0.55, 0.5, 0.55])).text
    assert "Do not rely on single groups: only 50 to 55 % of each" in text
    assert "They hold fairly well: 70 to 90 %" in verdict(found(stability=[0.9, 0.7, 0.9])).text


@pytest.mark.parametrize(
    "parts",
    [
        {"sizes": [180, 15, 5], "silhouette": 0.1, "stability": [0.99, 0.97, 0.98]},
        {"sizes": [180, 15, 5], "silhouette": 0.9, "stability": [0.99, 0.97, 0.98]},
        {"silhouette": 0.05},
        {"stability": [0.3, 0.2, 0.1]},
    ],
    ids=["weak and one holds most", "one holds nearly all", "touching", "never found again"],
)
def test_a_useless_split_is_no_clear_groups(parts):
    result = verdict(found(**parts))
    assert not result.is_clear
    assert result.text.startswith("No clear groups: ")
    assert result.text.endswith(" Do not act on the groups below.")
    assert result.text.count(". ") == 1  # two sentences
    assert "ely on" not in result.text
    assert "fairly well" not in result.text
    assert not any(name in result.text for name in NAMES.values())


def test_many_groups_of_noise_are_not_listed():
    names = {label: f"Group of noise {label}" for label in range(50)}
    rows = tried(**{f"k{k}": {"score": 0.1, "is_peak": True, "silhouette": 0.04} for k in (20, 50)})
    result = verdict(
        found(sizes=[4] * 50, names=names, stability=[0.2] * 40 + [0.7] * 10, silhouette=0.04, selection=rows)
    )
    assert result.text == (
        "No clear groups: the 200 series do not fall into groups that are apart. Do not act on the groups below."
    )
    (alert,) = result.alerts  # and a single command
    assert alert.action == Action("describe")
    assert alert.text.count("Group of noise") == 3
    assert alert.text.endswith(", and part of 37 more.")


def test_none_and_one_group():
    assert verdict(found(sizes=[], stability=(), n_noise=9)).text.startswith("No groups: none of the 9 series")
    asked = verdict(found(sizes=[200], stability=()))
    assert asked.text.startswith("One group holds all 200 series. Next:")
    one = verdict(found(sizes=[200], stability=(), selection=tried(k2={"score": 0.1})))
    assert one.text.startswith("One group holds all 200 series: nothing was found that separates them. Next:")
    assert "not measured" in verdict(found(stability=())).text


def test_without_a_refit_it_says_so():
    good, weak = (verdict(found(refitted=False, stability=[part] * 3)) for part in (0.95, 0.5))
    assert "They hold fairly well: 95 % of each comes back when half of the series are grouped again." in good.text
    for text in (good.text, weak.text, *(alert.text for alert in weak.alerts)):
        assert "found again" not in text
        assert "rely on them" not in text


# ------------------------------------------------------------------------------- alerts


def test_one_cluster_that_holds_most():
    alert = only_alert(sizes=[140, 40, 20], others=[5, 6])
    assert alert.kind == "one holds most"
    assert alert.text == "“Peaks in December” (group 0) holds 70 % of the series."
    assert alert.action == Action("regroup", {"n_clusters": 5})
    assert only_alert(sizes=[140, 40, 20]).action == Action("describe")  # no other number passes
    assert kinds(sizes=[120, 50, 30]) == []


def test_a_cluster_that_is_not_found_again():
    alert = only_alert(stability=[0.9, 0.28, 0.9])
    assert (
        alert.text == "Found again only in part when vrae learns from half of the series: 28 % of “Steady” (group 1)."
    )
    assert "by chance" in alert.why
    assert alert.action == Action("describe")
    assert alert.advice.endswith("treat it with care")
    assert only_alert(stability=[0.9, 0.28, 0.9], merges=[(0, 2), (1, 2)]).action == Action("merge", {"labels": (1, 2)})
    several = {"others": [7, 5], "merges": [(1, 2)]}  # another number comes first, but not after changes by hand
    assert only_alert(stability=[0.9, 0.28, 0.9], **several).action == Action("regroup", {"n_clusters": 7})
    assert only_alert(stability=[0.9, 0.28, 0.9], **several, edited=True).action.name == "merge"
    assert kinds(stability=[0.6, 0.9, 0.9]) == []


def test_many_clusters_that_are_not_found_again_are_listed_by_name():
    alert = only_alert(sizes=[60, 50, 40, 30, 20], stability=[0.55, 0.54, 0.53, 0.52, 0.51], names=NAMES)
    assert alert.text.endswith(
        "of the series: 51 % of Cluster 4, 52 % of “Sells a few weeks a year” (group 3), 53 % of “Declining” (group "
        "2), and part of 2 more."
    )
    four = only_alert(sizes=[60, 50, 40, 30], stability=[0.55, 0.54, 0.53, 0.52], names=NAMES).text
    assert four.endswith(" and 55 % of “Peaks in December” (group 0).")


def test_clusters_that_look_alike():
    alert = only_alert(closest=(1, 2, 0.2), stability=[0.9, 0.7, 0.7], merges=[(1, 2)])
    assert alert.kind == "look alike"
    assert alert.action == Action("merge", {"labels": (1, 2)})
    assert "“Steady” (group 1) and “Declining” (group 2) look alike: 20 %" in alert.text
    assert kinds(closest=(1, 2, 0.1), stability=[0.9, 0.7, 0.7], merges=[(1, 2)]) == []
    assert kinds(closest=(1, 2, 0.2), merges=[(1, 2)]) == []  # both are found again
    assert kinds(closest=(1, 2, 0.2), stability=[0.7] * 3, merges=[(0, 1)]) == []  # as one, they would not pass


def test_the_same_advice_is_not_given_twice():
    assert kinds(closest=(1, 2, 0.2), stability=[0.9, 0.3, 0.9], merges=[(1, 2)]) == ["not found again"]


def test_training_that_did_not_settle():
    alert = only_alert(history=curve(np.linspace(9, 1, 20).tolist()))
    assert alert.text == "Training was still improving when it stopped, after 20 passes."
    assert alert.action == Action("train", {"epochs": 40})
    rising = only_alert(history=curve([9, 5, 3, 2, 4, 6, 8, 8]))
    assert rising.action.values["learning_rate"] < 0.02
    assert kinds(history=curve([9.0 * 0.6**e for e in range(20)])) == []


def test_series_without_a_group_and_gaps():
    assert only_alert(n_noise=40).text == "40 series (17 %) have no group."
    assert kinds(n_noise=20) == []
    assert only_alert(missing=0.31).action == Action("fill", {"fill": 0})
    assert kinds(missing=0.2) == []


def test_a_group_of_rare_and_frequent_series_is_told():
    alert = only_alert(mixed=[1])
    assert alert.text == "“Steady” (group 1) holds series that are mostly 0 and others that seldom are."
    assert alert.action == Action("train", {"level_weight": 1})
    line = CommandLine("runs/sales", {"data": "sales.csv"}).text(alert.action)
    assert line == "vrae cluster --config runs/sales/config.toml --level-weight 1 -o runs/sales-again"


def test_gaps_of_single_groups_are_told():
    alert = only_alert(missing=0.17, gaps=[0.02, 0.75, 0.0])
    assert alert.text == "Missing: 75 % of the values of “Steady” (group 1)."
    assert alert.action == Action("fill", {"fill": 0})
    assert kinds(missing=0.17, gaps=[0.4, 0.5, 0.0]) == []
    assert only_alert(missing=0.31, gaps=[0.02, 0.75, 0.0]).text == "31 % of the values are missing."


@pytest.mark.parametrize("option", ["gaps", "mixed", "stability"])
def test_of_many_groups_in_an_alert_three_are_named(option):
    def text(n: int) -> str:
        of = {"gaps": [0.6] * n, "mixed": range(n), "stability": [0.5] * n + [0.9] * (6 - n)}
        return only_alert(sizes=[40] * 6, names={}, **{"stability": [0.9] * 6, option: of[option]}).text

    assert "Cluster 3" in text(4)
    assert "Cluster 3" not in text(5)
    assert "2 more" in text(5)


def test_tiny_clusters_and_few_series():
    assert kinds(sizes=[500, 600, 400, 9], stability=[0.9] * 4) == ["tiny groups"]
    assert kinds(sizes=[8, 7, 6]) == ["few series"]
    few = only_alert(sizes=[4] * 50, stability=[0.9] * 50, others=[4])
    assert few.action == Action("regroup", {"n_clusters": 4})
    assert few.text == "There are 50 groups for only 200 series: about 4 series in each."
    assert only_alert(sizes=[4] * 10, stability=[0.9] * 10).action == Action("describe")


def test_the_gravest_alert_comes_first_and_is_the_next_step():
    result = verdict(found(sizes=[150, 30, 20], stability=[0.9, 0.2, 0.9], missing=0.5))
    assert [alert.kind for alert in result.alerts] == ["gaps", "one holds most", "not found again"]
    assert kinds(sizes=[150, 30, 20], stability=[0.9, 0.2, 0.9], missing=0.51) == ["gaps"]
    assert result.text.endswith(f"Next: {result.alerts[0].advice}.")


# ------------------------------------------------------------------------------- parts


def test_training_in_words():
    flat = [9.0, 5, 3, 2, 1.2, 1.1, 1.05, 1.02, 1.01, 1.005, 1.001, 1]
    assert judge_training(curve(flat)).words == "Training stopped improving after 5 of 12 passes over the series."
    assert judge_training(curve([8.0, 6.0])).words == "Training took 2 passes over the series. Its error fell by 25 %."
    assert judge_training([]).settled
    assert not judge_training(curve([9.0, float("nan")])).settled
    # While the weight of the KL divergence rises, the loss says little.
    warm = [{"loss": 1.0 + e, "reconstruction": 9.0 * 0.5**e, "kl_weight": e / 10} for e in range(10)]
    assert judge_training(warm).settled


def test_alternatives_are_peaks_and_close_seconds_that_differ():
    rows = tried(
        k4={"score": 0.39, "is_peak": True},
        k5={"score": 0.38},
        k11={"score": 0.29, "is_peak": True},
        k12={"score": 0.28, "is_peak": True},
        k17={"score": 0.25, "is_peak": True},
        k30={"score": 0.2, "is_peak": True, "largest": 0.9},
    )
    assert peaks(rows, 4) == [5, 11, 17]
    assert peaks([], 4) == []
    good: dict[str, Any] = {"sizes": [50] * 4, "stability": [0.9] * 4, "selection": rows}
    assert "groups would be" not in verdict(found(**good)).text  # the curve alone does not suffice
    result = verdict(found(**good, others=[5, 11]))
    assert result.text.endswith("names. 5 groups would be nearly as good.")
    assert result.others == (5, 11)
    assert "groups would be" not in verdict(found(**good, others=[11])).text  # that is not nearly as good
    edited = verdict(found(**good, others=[5, 11], edited=True))
    assert edited.others == ()
    assert "groups would be" not in edited.text


@pytest.mark.parametrize(
    ("parts", "may"),
    [
        ({}, True),
        ({"stability": [0.9, 0.9, 0.59]}, False),
        ({"stability": ()}, False),
        ({"sizes": [130, 40, 30]}, False),
        ({"sizes": [100, 100, 0]}, False),
        ({"sizes": [5, 4, 4]}, False),
        ({"silhouette": 0.05}, False),
    ],
    ids=["good", "one is weak", "not measured", "one holds most", "one is empty", "few series", "touching"],
)
def test_what_would_send_the_reader_away_again_is_not_suggested(parts, may):
    assert passes(found(**parts)) == may


def test_the_closest_pair_is_the_one_with_series_in_between():
    rng = np.random.default_rng(0)
    blob = rng.normal(size=(400, 2))
    far = rng.normal((30, 0), size=(200, 2))
    vectors = np.concatenate([blob, far])
    labels = np.concatenate([(blob[:, 0] > 0).astype(int), np.full(200, 2)])  # half of one blob each
    first, second, between = closest_pair(vectors, labels)  # type: ignore[misc]
    assert (first, second) == (0, 1)
    assert between > 0.15
    apart = closest_pair(vectors, np.where(labels == 2, 1, 0))
    assert apart is not None
    assert apart[2] == 0
    assert closest_pair(vectors, np.zeros(600, int)) is None


def test_parts_of_all_are_never_rounded_to_all_or_nothing():
    texts = [percent_text(part) for part in (0, 0.0004, 0.004, 0.5, 0.998, 1)]
    assert texts == ["0 %", "less than 0.1 %", "0.4 %", "50 %", "99 %", "100 %"]


@pytest.mark.parametrize("parts", [{"sizes": [10, 6, 4]}, {"n_noise": 900}, {"missing": 0.7}, {"refitted": False}])
def test_little_data_are_nothing_to_rely_on(parts):
    assert "You can rely" in verdict(found()).text
    assert "You can rely" not in verdict(found(**parts)).text


def test_series_in_no_group_are_not_counted_as_grouped():
    assert verdict(found(n_noise=900)).text.startswith("200 of 1,100 series fall into 3 groups")


def test_what_is_below_the_limit_looks_so():
    assert (percent_text(0.5999), percent_text(0.6), percent_text(0.596)) == ("59 %", "60 %", "59 %")
    assert (percent_text(15 / 120), percent_text(0.625)) == ("13 %", "63 %")  # as the page's script rounds
