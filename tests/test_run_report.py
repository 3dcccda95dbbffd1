"""Run folders: their numbers, stability, and reports that can be written again."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from vrae import VRAE, Panel, VRAEClusterer, load_model, runs
from vrae.estimators.assignment import assign
from vrae.estimators.partition import fit_partition, labels_of
from vrae.estimators.reporting import direction_curves, gather_report, map_space, usualness
from vrae.estimators.stability import cluster_stability
from vrae.exceptions import InvalidDataError, InvalidParameterError, ModelFileError
from vrae.nn.model import VRAENetwork
from vrae.plots.maps import project
from vrae.runs import run_report

pytestmark = pytest.mark.filterwarnings("ignore::vrae.exceptions.VRAEWarning")


@pytest.fixture(scope="module")
def panel(small_series: Any) -> Panel:
    plain = small_series("panel", 24)
    shops = np.array(["north", "south"] * 12)
    return Panel(plain.values, plain.offsets, plain.ids, static={"shop": shops, "label": np.arange(24) % 2})


@pytest.fixture(scope="module")
def run(panel: Panel, tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    clusterer = VRAEClusterer(2, model=VRAE(**tiny))
    runs.cluster_panel(clusterer, panel, panel.static["label"], folder, "Waves", {"example": "nothing"})
    return folder


def contents(report: Path) -> dict[str, Any]:
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', report.read_text("utf-8"), re.S)
    assert found
    return json.loads(found[1])


def planted_stability(distance: float, n_clusters: int = 3) -> dict[str, Any] | None:
    """Return the stability of clusters of vectors that form three groups."""
    rng = np.random.default_rng(0)
    vectors = distance * np.eye(4)[np.repeat([0, 1, 2], 60)] + rng.normal(size=(180, 4))
    labels = labels_of(fit_partition(vectors, n_clusters, "gmm", 0).predict_proba(vectors))
    return cluster_stability(vectors, labels, n_clusters, "gmm", n_clusters)


def test_planted_groups_are_stable_and_noise_is_not() -> None:
    clear, none = planted_stability(9), planted_stability(0)
    assert clear is not None
    assert none is not None
    assert clear["ari"] > 0.98
    assert min(clear["clusters"]) > 0.98
    assert none["ari"] < 0.6
    assert min(none["clusters"]) < 0.6
    assert planted_stability(9) == clear


def test_the_most_unusual_vectors_have_the_lowest_scores() -> None:
    rng = np.random.default_rng(0)
    Z = (9 * np.eye(4)[np.repeat([0, 1, 2], 200)] + rng.normal(size=(600, 4))).astype(np.float32)
    Z[[3, 250, 599]] = [[4, 4, 4, 4], [9, 0, 0, 7], [-6, 0, 0, 0]]
    Z[7] = np.nan
    scores = usualness(Z, Z)
    assert set(np.argsort(scores)[:3].tolist()) == {3, 250, 599}
    assert (np.isnan(scores) == (np.arange(600) == 7)).all()
    assert np.nanmedian(scores) == pytest.approx(0, abs=0.05)
    np.testing.assert_allclose(usualness(Z, Z[[3, 20]]), scores[[3, 20]])  # of a part of the series
    assert np.isnan(usualness(Z[:1], Z[:1])).all()


def test_one_cluster_has_no_stability() -> None:
    assert planted_stability(9, n_clusters=1) is None


def test_decoding_once_gives_what_the_methods_give(fitted: Any, panel: Panel) -> None:
    clusterer = fitted("VRAEClusterer", "panel")
    model = clusterer.model_
    assignment = assign(clusterer, panel)
    np.testing.assert_array_equal(assignment.embedding, model.transform(panel))
    data = gather_report("x", clusterer, panel, assignment, {}, None)
    reconstruction = model.reconstruct(panel)
    np.testing.assert_allclose(data.reconstruction.values, reconstruction.values, rtol=1e-4)
    assert data.noise is not None
    assert data.scores is not None
    deviation = np.array([series.std() for series in panel]) * np.sqrt(model.noise_variance_)
    np.testing.assert_allclose(data.noise[:, 0], deviation, rtol=1e-3)


def test_known_latent_vectors_give_the_same_assignment(fitted: Any, panel: Panel) -> None:
    clusterer = fitted("VRAEClusterer", "panel", max_lag=3)
    found = assign(clusterer, panel)
    again = assign(clusterer, panel, found.embedding)
    for name in ("labels", "probabilities", "lags"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    np.testing.assert_array_equal(found.lags, clusterer.model_.lags(panel))
    assert found.lags.any()


@pytest.mark.parametrize("way", ["panel", "stream"])
def test_a_run_embeds_each_series_once(
    way: str, panel: Panel, tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []
    encode = VRAENetwork.encode

    def counting(network: Any, x: Any, *rest: Any) -> Any:
        if not network.training:
            encoded.append(len(x))
        return encode(network, x, *rest)

    monkeypatch.setattr(VRAENetwork, "encode", counting)
    clusterer = VRAEClusterer(2, model=VRAE(**tiny, max_lag=2))
    if way == "panel":
        runs.cluster_panel(clusterer, panel, panel.static["label"], tmp_path / "run", "Waves")
        assert sum(encoded) == len(panel)  # refits for stability encode none
    else:
        runs.cluster_stream(clusterer, lambda: [panel], 10, 0, tmp_path / "run", "Waves")
        assert sum(encoded) == 10 + len(panel)  # the sample, and all series


def test_dropped_series_are_in_no_table(panel: Panel, tiny: Any, tmp_path: Path) -> None:
    values = panel.values.copy()
    values[panel.steps_of([3])] = np.nan
    broken = panel.with_values(values)
    model = VRAE(**tiny, on_invalid="drop")
    runs.cluster_panel(VRAEClusterer(2, model=model), broken, broken.static["label"], tmp_path / "a", "Waves")
    runs.cluster_stream(VRAEClusterer(2, model=model), lambda: [broken], 24, 0, tmp_path / "b", "Waves")
    kept = [f"s{i}" for i in range(24) if i != 3]
    for name in ("a", "b"):
        assert runs.read_metrics(tmp_path / name)["n_series"] == 23
        assert contents(tmp_path / name / "report.html")["ids"] == kept
        again = runs.rebuild_report(tmp_path / name, [broken], tmp_path / f"{name}.html")
        assert contents(again)["ids"] == kept


def test_metrics_hold_the_options_of_clusterer_and_model(run: Path, tiny: Any) -> None:
    options = runs.read_metrics(run)["options"]
    assert (options["n_clusters"], options["clusterer"]) == (2, "kmeans")
    assert options["model"]["hidden_size"] == tiny["hidden_size"]
    assert options["model"]["random_state"] == 0


def test_the_embedding_table_of_a_head_is_that_of_its_model(fitted: Any, panel: Panel) -> None:
    clusterer = fitted("VRAEClusterer", "panel")
    table = runs.embedding_table(clusterer, panel)
    assert list(table) == ["id", "vrae0", "vrae1", "vrae2", "shop", "label"]
    np.testing.assert_array_equal(np.stack(list(table.values())[1:4], axis=1), clusterer.model_.transform(panel))


def test_models_and_heads_are_described(fitted: Any) -> None:
    plain = runs.describe_model(fitted("VRAE", "panel"))
    assert plain["class"] == "VRAE"
    assert plain["fitted to"] == "12 series, median length 15, 1 channel(s)"
    assert "clusters" not in plain
    head = runs.describe_model(fitted("VRAEClusterer", "panel"))
    assert (head["class"], head["clusters"], sum(head["sizes"])) == ("VRAEClusterer", 2, 12)
    assert (head["options"]["n_clusters"], head["options"]["model"]["latent_size"]) == (2, 3)
    assert head["parameters"] == plain["parameters"]


def test_direction_curves_follow_the_main_directions_of_the_map(fitted: Any) -> None:
    clusterer = fitted("VRAEClusterer", "2d")
    found = direction_curves(clusterer)
    assert found is not None
    Z = clusterer.embedding_.astype(float)
    points = map_space(clusterer)(Z)
    shown = project(points, "pca")
    np.testing.assert_allclose(shown.points, points[:, :2] - points[:, :2].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(pdist(points), pdist(clusterer.space_(Z)), atol=1e-6)  # only turned
    share = points.var(axis=0) / points.var(axis=0).sum()
    assert len(found.curves) == (share > 0.005).sum()
    # The middle of every direction decodes the mean latent vector.
    average = clusterer.model_.inverse_transform(clusterer.space_.center[None], clusterer.model_.n_steps_)
    for curves in found.curves:
        np.testing.assert_allclose(curves[len(curves) // 2, 0], average[0], rtol=1e-4, atol=1e-5)
        assert np.abs(curves[0] - curves[-1]).max() > 0
    np.testing.assert_allclose(found.positions[0, -1], 2.5 * points[:, 0].std(), rtol=1e-6)


def test_a_report_can_be_written_again(run: Path, panel: Panel, tmp_path: Path) -> None:
    again = runs.rebuild_report(run, [panel], tmp_path / "again.html")
    first, second = contents(run / "report.html"), contents(again)
    for part in ("ids", "labels", "lines", "scores", "clusters", "colorings", "traversal"):
        assert first[part] == second[part], part
    assert '<h1 dir="auto">Waves: 2 groups</h1>' in again.read_text("utf-8")
    named = runs.rebuild_report(run, [panel], tmp_path / "named.html", title="Spring").read_text("utf-8")
    assert '<h1 dir="auto">Spring</h1>' in named


def test_some_of_the_series_suffice_for_a_report(run: Path, panel: Panel, tmp_path: Path) -> None:
    report = runs.rebuild_report(run, [panel.select([3, 7])], tmp_path / "some.html")
    assert contents(report)["ids"] == ["s3", "s7"]
    assert "This page shows 2 of them" in report.read_text("utf-8")


def test_a_report_without_the_series_says_so(run: Path, tmp_path: Path) -> None:
    report = runs.rebuild_report(run, None, tmp_path / "alone.html")
    text, data = report.read_text("utf-8"), contents(report)
    assert "The series were not available" in text
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
def test_the_report_command(cli: Any, panel: Panel, tmp_path: Path) -> None:
    np.savez(tmp_path / "X.npz", X=panel.to_padded(), ids=panel.ids.astype(str))
    folder = tmp_path / "run"
    assert cli("cluster", tmp_path / "X.npz", "-k", 2, "--epochs", 1, "--quiet", "--out", folder)[0] == 0
    before = contents(folder / "report.html")
    code, out, _ = cli("report", folder)
    assert (code, out.strip()) == (0, str(folder / "report.html"))
    assert contents(folder / "report.html")["lines"] == before["lines"]

    moved = (tmp_path / "X.npz").rename(tmp_path / "Y.npz")
    code, _, err = cli("report", folder, "--out", tmp_path / "alone.html")
    assert code == 0
    assert f"no longer at {tmp_path / 'X.npz'}" in err
    assert contents(tmp_path / "alone.html")["from_model"]
    assert cli("report", folder, "--data", moved)[0] == 0
    assert not contents(folder / "report.html")["from_model"]

    code, out, err = cli("report", folder, "--data", tmp_path / "gone.npz")
    assert (code, out) == (2, "")
    assert "gone.npz" in err
    assert "Traceback" not in err


def test_refits_are_kept_and_measure_every_number_of_clusters(panel: Panel, tiny: Any, tmp_path: Path) -> None:
    clusterer = VRAEClusterer(2, model=VRAE(**tiny), random_state=0).fit(panel)
    latent_only = clusterer.stability()
    assert latent_only is not None
    assert latent_only["refits"] == 0
    found = clusterer.stability(panel)
    assert found is not None
    assert found["refits"] == 2
    assert clusterer.stability() == found
    again = load_model(clusterer.save(tmp_path / "model"))
    assert again.stability() == found
    three = again.regroup(3).stability()
    assert three is not None
    assert len(three["clusters"]) == 3
    with pytest.raises(InvalidDataError, match="training series, in their order"):
        clusterer.stability(panel.select(np.arange(20)))
    with pytest.raises(InvalidDataError, match="not these"):  # the same ids
        clusterer.stability(panel.with_values(panel.values[::-1] + 3))
    assert clusterer.stability() == found  # what was known is kept


def test_merged_clusters_are_found_again_as_well_as_their_parts() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat([0, 1, 2], 60)
    vectors = 9 * np.eye(4)[groups] + rng.normal(size=(180, 4))
    merged = cluster_stability(vectors, np.minimum(groups, 1), 2, "kmeans", 3)
    assert merged is not None
    assert min(merged["clusters"]) > 0.98


def test_a_run_is_read_whole_while_another_process_changes_it(run: Path, tmp_path: Path, monkeypatch: Any) -> None:
    now, later = tmp_path / "now", tmp_path / "later"
    for folder in (now, later):
        shutil.copytree(run, folder)
    runs.regroup_run(later, 2 if runs.read_metrics(run)["n_clusters"] != 2 else 3, None)
    load = run_report.load_clusterer

    def replaced_meanwhile(folder: Path) -> VRAEClusterer:
        if later.exists():
            now.rename(tmp_path / "earlier")
            later.rename(now)
        return load(folder)

    monkeypatch.setattr(run_report, "load_clusterer", replaced_meanwhile)
    metrics, clusterer, assignment = run_report.read_run(now)
    assert metrics["n_clusters"] == clusterer.n_clusters_ == assignment.labels.max() + 1
    assert metrics["n_clusters"] != runs.read_metrics(run)["n_clusters"]
