"""The report of a run: what it says of the model, how stable clusters are, and that it can be made again."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vrae import Panel, VRAEClusterer, runs
from vrae.exceptions import InvalidDataError, InvalidParameterError, ModelFileError
from vrae.runs.reporting import report_data, traverse
from vrae.runs.stability import stability

pytestmark = pytest.mark.filterwarnings("ignore::vrae.exceptions.VRAEWarning")


@pytest.fixture(scope="module")
def panel(small_series: Any) -> Panel:
    plain = small_series("panel", 24)
    shops = np.array(["north", "south"] * 12)
    return Panel(plain.values, plain.offsets, plain.ids, static={"shop": shops, "label": np.arange(24) % 2})


@pytest.fixture(scope="module")
def run(panel: Panel, tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    clusterer = VRAEClusterer(2, **tiny)
    runs.cluster_panel(clusterer, panel, panel.static["label"], folder, "Waves", {"example": "nothing"})
    return folder


def contents(report: Path) -> dict[str, Any]:
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', report.read_text("utf-8"), re.S)
    assert found
    return json.loads(found[1])


def planted(apart: float) -> VRAEClusterer:
    """Return a clusterer fitted to three groups of latent vectors, without a network."""
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1, 2], 60)
    clusterer = VRAEClusterer(3)
    clusterer.embedding_ = (apart * np.eye(4)[group] + rng.normal(size=(180, 4))).astype(np.float32)
    clusterer.network_ = None
    clusterer._generated = lambda: np.eye(4)  # type: ignore[method-assign]
    clusterer._fit_latent(clusterer.embedding_, np.arange(180), 0)
    return clusterer


def test_planted_groups_are_stable_and_noise_is_not() -> None:
    clear, none = stability(planted(9)), stability(planted(0))
    assert clear is not None
    assert none is not None
    assert clear["ari"] > 0.98
    assert min(clear["clusters"]) > 0.98
    assert none["ari"] < 0.6
    assert min(none["clusters"]) < 0.6
    assert stability(planted(9)) == clear


def test_one_cluster_has_no_stability() -> None:
    clusterer = planted(9)
    clusterer.n_clusters_ = 1
    assert stability(clusterer) is None


def test_one_pass_gives_what_the_methods_give(fitted: Any, panel: Panel) -> None:
    clusterer = fitted("VRAEClusterer", "panel")
    assignment = runs.assign(clusterer, panel)
    data = report_data("x", clusterer, panel, assignment, {}, None)
    observed = np.array([np.isfinite(series).sum() for series in panel])
    np.testing.assert_allclose(data.scores, clusterer.score_samples(panel) / observed, rtol=1e-4)
    np.testing.assert_allclose(data.reconstruction.values, clusterer.reconstruct(panel).values, rtol=1e-4)
    spread = np.array([series.std() for series in panel])
    np.testing.assert_allclose(data.noise[:, 0], spread * np.sqrt(clusterer.noise_variance_), rtol=1e-3)


def test_a_traversal_goes_along_the_map_and_nowhere_else(fitted: Any) -> None:
    clusterer = fitted("VRAEClusterer", "2d")
    found = traverse(clusterer)
    assert found is not None
    placed = clusterer.space_(clusterer.embedding_.astype(float))
    assert len(found.curves) == placed.shape[1]
    # The middle of every direction is the same: what the model draws of the average.
    average = clusterer.inverse_transform(clusterer.space_.center[None], clusterer.n_steps_)
    for curves in found.curves:
        np.testing.assert_allclose(curves[len(curves) // 2, 0], average[0], rtol=1e-4, atol=1e-5)
        assert np.abs(curves[0] - curves[-1]).max() > 0
    np.testing.assert_allclose(found.positions[0, -1], 2.5 * placed[:, 0].std(), rtol=1e-6)


def test_a_report_can_be_made_again(run: Path, panel: Panel, tmp_path: Path) -> None:
    again = runs.rebuild_report(run, [panel], tmp_path / "again.html")
    first, second = contents(run / "report.html"), contents(again)
    for part in ("ids", "labels", "lines", "scores", "clusters", "colorings", "traversal"):
        assert first[part] == second[part], part
    assert '<h1 dir="auto">Waves</h1>' in again.read_text("utf-8")
    named = runs.rebuild_report(run, [panel], tmp_path / "named.html", title="Spring").read_text("utf-8")
    assert '<h1 dir="auto">Spring</h1>' in named


def test_some_of_the_series_are_enough(run: Path, panel: Panel, tmp_path: Path) -> None:
    report = runs.rebuild_report(run, [panel.select([3, 7])], tmp_path / "some.html")
    assert contents(report)["ids"] == ["s3", "s7"]
    assert "This page shows 2 of 24 series" in report.read_text("utf-8")


def test_without_the_series_it_says_so(run: Path, tmp_path: Path) -> None:
    report = runs.rebuild_report(run, None, tmp_path / "alone.html")
    text, data = report.read_text("utf-8"), contents(report)
    assert "The series themselves were not at hand" in text
    assert "11 to 20 steps" in text  # counted by the run
    assert data["labels"] == contents(run / "report.html")["labels"]
    assert data["from_model"]
    assert data["levels"] == []
    assert data["scores"] is None
    assert [c["name"] for c in data["colorings"]] == ["known label", "shop"]


def test_other_series_are_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match="1 of 2 series were not in this run, ids 'stranger'"):
        runs.rebuild_report(run, [Panel.from_arrays(np.eye(2, 9), ids=["s1", "stranger"])], tmp_path / "no.html")
    with pytest.raises(InvalidParameterError, match="not a run folder"):
        runs.rebuild_report(tmp_path, None)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "metrics.json").write_text("{}")
    with pytest.raises(ModelFileError):
        runs.rebuild_report(tmp_path / "broken", None)
    assert [p.name for p in tmp_path.iterdir()] == ["broken"]


@pytest.mark.slow
def test_the_command(cli: Any, panel: Panel, tmp_path: Path) -> None:
    np.savez(tmp_path / "X.npz", X=panel.to_padded(), ids=panel.ids.astype(str))
    folder = tmp_path / "run"
    assert cli("cluster", tmp_path / "X.npz", "-k", 2, "--epochs", 1, "--quiet", "--out", folder)[0] == 0
    before = contents(folder / "report.html")
    code, told, _ = cli("report", folder)
    assert (code, told.strip()) == (0, str(folder / "report.html"))
    assert contents(folder / "report.html")["lines"] == before["lines"]

    moved = (tmp_path / "X.npz").rename(tmp_path / "Y.npz")
    code, _, said = cli("report", folder, "--out", tmp_path / "alone.html")
    assert code == 0
    assert f"no longer at {tmp_path / 'X.npz'}" in said
    assert contents(tmp_path / "alone.html")["from_model"]
    assert cli("report", folder, "--data", moved)[0] == 0
    assert not contents(folder / "report.html")["from_model"]

    code, out, said = cli("report", folder, "--data", tmp_path / "gone.npz")
    assert (code, out) == (2, "")
    assert "gone.npz" in said
    assert "Traceback" not in said
