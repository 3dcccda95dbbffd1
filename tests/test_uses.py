"""Each use of vrae has a page with its command, a picture, measured figures and a test."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from vrae import VRAE, VRAEClusterer

ROOT = Path(__file__).parents[1]

# Page, command, rivals of its tables, a test that fails if the use stops working. A rival of "" is
# said to be missing in the text.
USES = {
    "cluster": ("method/which-tool.md", "", ["k-means", "R-Clustering"], "test_uses::test_clusters_are_found"),
    "several channels": (
        "how-to/several-channels.md",
        "vrae cluster",
        ["k-means", "R-Clustering"],
        "test_uses::test_channels_that_move_together_or_apart_are_told_from_each_other",
    ),
    "explain": ("how-to/explain.md", "vrae explain", [], "test_explain::test_a_series_is_explained"),
    "next month": (
        "how-to/next-month.md",
        "vrae drift",
        ["chi-square", "KS per PCA axis"],
        "test_drift::test_a_share_that_moved_is_found_by_name",
    ),
    "anomalies": (
        "how-to/anomalies.md",
        "vrae anomalies",
        ["nearest series", "LOF", "isolation forest", "PCA error"],
        "test_anomaly::test_planted_spikes_and_shapes_have_the_lowest_scores_and_are_located",
    ),
    "long series": (
        "how-to/long-series.md",
        "vrae anomalies",
        ["matrix profile", "isolation forest", "rolling z-score"],
        "test_long_series::test_every_kind_of_anomaly_is_found",
    ),
    "similar": (
        "how-to/similar.md",
        "vrae similar",
        ["DTW", "Euclidean", "MiniRocket"],
        "test_neighbors::test_neighbours_of_new_series_are_of_their_kind",
    ),
    "cannibalization": (
        "how-to/cannibalization.md",
        "vrae cannibalization",
        ["Pearson"],
        "test_cannibalization::test_an_introduction_that_takes_sales_is_found",
    ),
    "forecast": (
        "how-to/forecast.md",
        "vrae forecast",
        ["seasonal naive", "ETS", "Theta", "LightGBM"],
        "test_forecaster::test_planted_seasons_are_forecast",
    ),
    "new items": (
        "how-to/forecast.md",
        "vrae forecast",
        ["own mean", "nearest raw neighbors"],
        "test_forecaster::test_new_items_get_the_season_of_their_group",
    ),
    "reduce": (
        "how-to/reduce.md",
        "vrae reduce",
        ["PCA"],
        "test_reduction::test_sixteen_numbers_rebuild_unseen_series_better_than_pca",
    ),
}
# Each page says where vrae is not first, in a paragraph or an item of a list with a figure.
LOSES = re.compile(r"^(?:- )?\*\*Where it loses\.\*\*(?:(?!\n\n|\n- )[^\d])*\d", re.MULTILINE)


@pytest.mark.parametrize("use", USES)
def test_a_use_has_a_page_and_a_test(use):
    page, command, rivals, test = USES[use]
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert not command or any(line.startswith(f"{command} ") for line in text.splitlines())
    assert use == "cluster" or re.search(r"!\[[^\]]+\]\(\.\./pictures/[\w-]+\.png\)", text)
    tables = "\n".join(line for line in text.splitlines() if line.startswith("|"))
    assert [rival for rival in rivals if rival not in tables] == []
    assert LOSES.search(text), "no paragraph with a figure begins with **Where it loses.**"
    file, name = test.split("::")
    assert f"def {name}(" in (ROOT / "tests" / f"{file}.py").read_text(encoding="utf-8")


def test_other_words_are_not_taken_for_where_vrae_loses():
    assert LOSES.search("Text.\n\n**Where it loses.** On all sets,\nby .1.\n")
    for text in ("It finds more. The season is behind.", "**Where it loses.** Nowhere.\n\nOn 5 sets it is first."):
        assert LOSES.search(text) is None


def test_clusters_are_found():
    rng, kind = np.random.default_rng(0), np.repeat([0, 1, 2], 20)
    step, start = np.arange(60), rng.integers(5, 35, (60, 1))
    inside = (step >= start) & (step < start + 20)
    along = (step - start) / 20  # a box, a ramp up and a ramp down, anywhere
    shape = np.select([kind[:, None] == k for k in range(3)], [np.full((60, 60), 0.7), along, 1 - along])
    X = inside * shape + 0.05 * rng.standard_normal((60, 60))
    labels = VRAEClusterer(3, model=VRAE(max_epochs=5), random_state=0).fit_predict(X)
    assert adjusted_rand_score(kind, labels) > 0.8


def test_channels_that_move_together_or_apart_are_told_from_each_other():
    rng, sign = np.random.default_rng(0), np.repeat([1.0, -1.0], 30)
    first = np.cumsum(rng.standard_normal((60, 50)), axis=1)
    first = (first - first.mean(axis=1, keepdims=True)) / first.std(axis=1, keepdims=True)
    X = np.stack([first, sign[:, None] * first], axis=1) + 0.2 * rng.standard_normal((60, 2, 50))

    def found(series: np.ndarray) -> float:
        clusterer = VRAEClusterer(2, model=VRAE(max_epochs=5), random_state=0)
        return float(adjusted_rand_score(sign, clusterer.fit_predict(series)))

    assert found(X) > 0.9
    assert found(X[:, 1]) < 0.2  # a channel alone says nothing
