"""What a notebook shows: fitted estimators, and training as it goes."""

from __future__ import annotations

import sys
import types
from html.parser import HTMLParser
from typing import Any

import pytest

from vrae import VRAE, VRAEClusterer
from vrae.train.callbacks import ProgressBar
from vrae.train.notebook import NotebookProgress, progress

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
    assert "latent_size" in text  # scikit-learn's options are still there
    assert "VRAE, fitted" in shown(fitted("VRAE", "3d"))
    assert "2 channels" in shown(fitted("VRAE", "3d"))


def test_the_summary_is_whole_and_fetches_nothing(fitted: Any) -> None:
    from vrae.estimators.summary import summary_html

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
    check.feed(summary_html(fitted("VRAEClusterer", "2d")))
    assert check.open == []


def test_one_that_is_not_fitted_shows_its_options_only() -> None:
    assert "fitted</b>" not in shown(VRAEClusterer(3))


def test_training_in_a_notebook_moves_one_bar(tiny: Any, small_series: Any, monkeypatch: pytest.MonkeyPatch) -> None:
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
