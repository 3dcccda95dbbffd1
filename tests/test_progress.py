"""What a notebook shows of fitted estimators, and the progress of training."""

from __future__ import annotations

import sys
import types
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from vrae import VRAE, VRAEClusterer
from vrae.plots.summary import summary_html
from vrae.train.progress import NotebookProgress, ProgressBar, progress

pytestmark = pytest.mark.filterwarnings("ignore::vrae.exceptions.VRAEWarning")


def shown(estimator: Any) -> str:
    return str(estimator._repr_mimebundle_()["text/html"])


def test_a_fitted_clusterer_shows_its_clusters(fitted: Any) -> None:
    text = shown(fitted("VRAEClusterer", "panel"))
    assert "VRAEClusterer, fitted" in text
    assert "12 series, median length" in text
    assert "2 clusters" in text
    assert text.count("<circle") == 12
    assert text.count("<rect") == 2
    assert "latent_size" in text  # scikit-learn's table of options, with the model's
    assert "VRAE, fitted" in shown(fitted("VRAE", "3d"))
    assert "2 channels" in shown(fitted("VRAE", "3d"))


def test_the_summary_is_valid_html_without_links_or_scripts() -> None:
    class Check(HTMLParser):
        open: list[str] = []  # noqa: RUF012

        def handle_starttag(self, tag: str, attrs: Any) -> None:
            assert tag != "script"
            assert not {"src", "href"} & {name for name, _ in attrs}
            self.open.append(tag)

        def handle_startendtag(self, tag: str, attrs: Any) -> None:
            pass

        def handle_endtag(self, tag: str) -> None:
            assert self.open.pop() == tag

    check = Check()
    Z = np.random.default_rng(0).normal(size=(30, 3))
    text = summary_html("VRAE<3>", Z, np.arange(30) % 15 - 1, ["30 series & more"])
    check.feed(text)
    assert check.open == []
    assert "VRAE&lt;3&gt;, fitted" in text
    assert "30 series &amp; more" in text
    assert text.count("<circle") == 30
    assert "and 3 more" in text
    assert "<rect" not in summary_html("VRAE", Z, None, [])


def test_an_unfitted_estimator_shows_its_options_only() -> None:
    assert "fitted</b>" not in shown(VRAEClusterer(3))


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
