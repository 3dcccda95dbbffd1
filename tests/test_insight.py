"""``clusterer.report``: the page from Python."""

from __future__ import annotations

import copy
import inspect
import pydoc
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

from conftest import make_estimator
from vrae import VRAE, GroupForecaster, VRAEAnomalyDetector, VRAEClusterer, VRAENeighbors, load_model, read_panel
from vrae.exceptions import DataWarning, InvalidDataError, MissingDependencyError, NotFittedError, VRAEError

pytestmark = pytest.mark.filterwarnings("ignore::vrae.exceptions.PosteriorCollapseWarning")


@pytest.fixture(scope="module")
def sales() -> Any:
    weeks = pd.date_range("2024-01-01", periods=30, freq="W-MON")
    rng = np.random.default_rng(0)
    rows = [
        pd.DataFrame({"item": f"item {i}", "week": weeks, "sold": 20 + 9 * np.sin(np.arange(30) / (1 + i % 2)) + noise})
        for i, noise in enumerate(rng.standard_normal((16, 30)))
    ]
    return read_panel(pd.concat(rows), id="item", time="week", value="sold")


@pytest.fixture(scope="module")
def clusterer(sales: Any) -> VRAEClusterer:
    return make_estimator("VRAEClusterer").fit(sales)


def test_the_report_has_names_ids_and_dates(clusterer, sales, tmp_path):
    named = copy.deepcopy(clusterer).rename({1: "Two seasons"})
    path = named.report(sales, tmp_path / "out.html", title="Sales & more")
    assert path == tmp_path / "out.html"
    page = path.read_text(encoding="utf-8")
    for words in ("Sales &amp; more", "Two seasons", "item 15", "2024", "sold"):
        assert words in page
    assert [file.name for file in tmp_path.iterdir()] == ["out.html"]


def test_the_report_of_many_series_shows_a_sample_and_says_so(clusterer, sales, tmp_path, monkeypatch):
    monkeypatch.setattr("vrae.estimators.insight.MAX_REPORT_SERIES", 10)
    with pytest.warns(DataWarning, match="shows 10 of 16 series, chosen at random"):
        page = clusterer.report(sales, tmp_path / "out.html").read_text(encoding="utf-8")
    assert "This page shows 10 of them, chosen at random" in page
    shown = sum(f'"item {i}"' in page for i in range(16))
    assert shown == 10


def test_new_series_are_assigned_first(clusterer, sales, tmp_path):
    new = sales.select([3, 5, 8])
    assert clusterer.report(new, tmp_path / "out.html").exists()
    assert not clusterer._is_fitted_to(new)


def test_what_cannot_be_written_leaves_nothing(clusterer, sales, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(VRAEError):
        clusterer.report(sales, tmp_path / "file" / "out.html")
    assert (tmp_path / "file").read_text() == "mine"
    monkeypatch.setattr("vrae.report.build.render_report", lambda data: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        clusterer.report(sales, tmp_path / "out.html")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


@pytest.mark.filterwarnings("ignore:The model compares series by date")
def test_errors_are_those_of_python(clusterer, sales, tmp_path, monkeypatch):
    with pytest.raises(NotFittedError, match="not fitted"):
        VRAEClusterer(2).report(sales, tmp_path / "out.html")
    with pytest.raises(InvalidDataError, match="1 channel a series; found 2"):
        clusterer.report(np.zeros((3, 2, 9)), tmp_path / "out.html")
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'vrae\[report\]'"):
        clusterer.report(sales, tmp_path / "out.html")
    assert list(tmp_path.iterdir()) == []


def test_a_saved_clusterer_writes_the_same_report(clusterer, sales, tmp_path):
    again = load_model(clusterer.save(tmp_path / "model"))
    first, second = (each.report(sales, tmp_path / "out.html").read_text("utf-8") for each in (clusterer, again))
    assert first == second


@pytest.mark.parametrize("estimator", [VRAE, VRAEClusterer, VRAEAnomalyDetector, VRAENeighbors, GroupForecaster])
def test_help_lists_the_options_of_an_estimator(estimator):
    text = pydoc.plain(pydoc.render_doc(estimator))
    head = text[: text.index("Method resolution order")]
    for name, parameter in inspect.signature(estimator).parameters.items():
        assert parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        assert f" {name} : " in head
        assert f"{name}:" in head.partition("Parameters")[0]  # the signature
