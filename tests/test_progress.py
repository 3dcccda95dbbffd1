"""What a notebook shows of fitted estimators, and the progress of training."""

from __future__ import annotations

import copy
import sys
import types
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from vrae import VRAE, VRAEClusterer
from vrae.estimators.plotting import numbered_name
from vrae.plots.summary import GroupRow, groups_html, summary_html
from vrae.train.progress import NotebookProgress, ProgressBar, progress

pytestmark = pytest.mark.filterwarnings("ignore::vrae.exceptions.VRAEWarning")


def shown(estimator: Any) -> str:
    return str(estimator._repr_mimebundle_()["text/html"])


class Check(HTMLParser):
    """Fail for scripts, links, and elements that are not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        assert tag != "script"
        assert not {"src", "href"} & {name for name, _ in attrs}
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_fitted_clusterer_shows_its_clusters(fitted: Any) -> None:
    clusterer = fitted("VRAEClusterer", "panel")
    text = shown(clusterer)
    Check(text)
    assert "VRAEClusterer, fitted to 12 series: 2 groups" in text
    for label, size in enumerate(np.bincount(clusterer.labels_)):
        assert numbered_name(label, clusterer.names_[label]) in text
        assert f"{size} ({100 * size / 12:.0f} %)" in text
    assert text.count("<polyline") == 2
    assert ">clustered again</th>" in text
    assert "only the clustering was repeated; stability(X) also fits the model again" in text
    assert "found again" not in text.lower()  # that is the harder test
    assert "latent_size=3" in text  # options, with the model's


def test_how_far_clusters_are_found_again_is_measured_once_per_grouping(
    fitted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clusterer = copy.deepcopy(fitted("VRAEClusterer", "panel"))
    measured: list[int] = []
    monkeypatch.setattr(VRAEClusterer, "stability", lambda self: measured.append(self.n_clusters_))
    for n_clusters in (3, 3, 2):
        if clusterer.n_clusters_ != n_clusters:
            clusterer.regroup(n_clusters)
        shown(clusterer)
    assert measured == [3, 2]


def test_a_cluster_that_is_not_found_again_is_not_praised() -> None:
    rows = [GroupRow(0, "a", 9, None, 0.97), GroupRow(1, "b", 1, None, 0.28), GroupRow(-1, "Not assigned", 2)]
    text = groups_html("title", rows, "note")
    Check(text)
    assert "97 %" in text
    assert "<b>28 %, do not rely on it</b>" in text
    assert "typical curve" not in text


def test_long_lists_of_groups_say_how_many_there_are() -> None:
    rows = [GroupRow(label, f"<{label}>", 5, np.ones((6, 9))) for label in range(33)]
    text = groups_html("VRAE<3>", rows, "a & b")
    Check(text)
    assert "and 13 more groups" in text
    assert "&lt;0&gt;" in text
    assert "a &amp; b" in text


def test_every_fitted_estimator_says_what_was_found(fitted: Any) -> None:
    for name, words in {
        "VRAE": "latent dimensions in use",
        "VRAEAnomalyDetector": "with scores below",
        "VRAENeighbors": "exact search among them",
        "GroupForecaster": "1 group, horizon 2",
    }.items():
        estimator = fitted(name, "2d")
        text = shown(estimator)
        Check(text)
        assert f"{name}, fitted to 12 series" in text
        assert words in text
        assert repr(estimator).startswith(f"<{name}(")
        assert f"fitted to 12 series: {estimator._result()}>" in repr(estimator)
        assert text.count("<circle") == 12
    assert "2 channels" in shown(fitted("VRAE", "3d"))


def test_summaries_of_values_are_text() -> None:
    text = summary_html("VRAE<3>", np.full((4, 2), np.nan), ["30 series & more"])
    Check(text)
    assert "VRAE&lt;3&gt;" in text
    assert "30 series &amp; more" in text


def test_an_unfitted_estimator_shows_its_options_only() -> None:
    assert "fitted to" not in shown(VRAEClusterer(3))
    assert repr(VRAEClusterer(3)) == "VRAEClusterer(n_clusters=3)"


def test_training_in_a_notebook_updates_one_bar(tiny: Any, small_series: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def display(html: str, display_id: bool) -> Any:
        seen.append(html)
        return types.SimpleNamespace(update=seen.append)

    class ZMQInteractiveShell:
        pass

    fake = types.ModuleType("IPython")
    fake.get_ipython = ZMQInteractiveShell  # type: ignore[attr-defined]
    screen = types.ModuleType("IPython.display")
    screen.HTML, screen.display = str, display  # type: ignore[attr-defined]
    assert isinstance(progress(), ProgressBar)
    monkeypatch.setitem(sys.modules, "IPython", fake)
    monkeypatch.setitem(sys.modules, "IPython.display", screen)
    assert isinstance(progress(), NotebookProgress)
    VRAE(**{**tiny, "verbose": 1}).fit(small_series("2d"))
    assert len(seen) == 1 + 2
    assert "epoch 2/2" in seen[-1]
    assert "KL" in seen[-1]
    assert "0 s left" in seen[-1]
