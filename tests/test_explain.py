"""Explanations: what sets planted clusters apart is what is said of them."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

from vrae import Panel, VRAEClusterer, load_model
from vrae.estimators.explain import describe_clusters
from vrae.exceptions import InvalidDataError, InvalidParameterError, NotFittedError

N, STEPS = 40, 60


def two_kinds(kind: str, seed: int = 0) -> tuple[Panel, np.ndarray]:
    """Return noisy waves of two kinds that differ in one thing only, and which kind each is."""
    rng = np.random.default_rng(seed)
    time = np.arange(STEPS)
    wave = np.sin(2 * np.pi * (time / 12 + rng.uniform(0, 1, (N, 1))))
    X = 10 + wave + 0.1 * rng.standard_normal((N, STEPS))
    second = np.arange(N) % 2 == 1
    if kind == "level":
        X[second] += 30
    elif kind == "trend":
        X[second] += 0.15 * time
    elif kind == "spike":
        X[~second, 10] += 12
        X[second, 45] += 12
    elif kind == "second channel":
        X = np.stack([X, 5 + rng.standard_normal((N, STEPS))], axis=1)
        X[second, 1, 20:30] += 6
    ids = [f"s{i}" for i in range(N)]
    return Panel.from_arrays(X.astype(np.float32), ids=ids), second.astype(np.int64)


def described(kind: str, **options):
    panel, labels = two_kinds(kind)
    vectors = panel.to_padded().reshape(N, -1).astype(float)
    return describe_clusters(panel, labels, vectors, **options)


@pytest.mark.parametrize(("kind", "words"), [("level", "higher level"), ("trend", "more of a rise")])
def test_what_is_planted_is_said(kind, words):
    first, second = described(kind)
    assert f"clearly {'a ' if kind == 'level' else ''}{words}" in second.words
    assert words not in first.words
    assert second.differences[kind][0] > 0.9
    assert first.differences[kind][0] < -0.9


def test_a_spike_is_found_at_its_place():
    first, second = described("spike")
    assert any((w.first, w.last) == (10, 10) and w.difference > 0 for w in first.windows)
    assert any((w.first, w.last) == (45, 45) and w.difference < 0 for w in first.windows)
    assert any((w.first, w.last) == (45, 45) and w.difference > 0 for w in second.windows)
    assert "highest point" in second.words


def test_the_channel_is_named():
    window = described("second channel")[1].windows[0]
    assert window.channel == "value1"
    assert window.first in (19, 20, 21)
    assert window.last in (28, 29, 30)


def test_nothing_is_said_where_nothing_differs():
    panel, labels = two_kinds("nothing")
    vectors = panel.to_padded()[:, 0].astype(float)
    for entry in describe_clusters(panel, labels, vectors):
        assert "No single property sets it apart" in entry.words
        assert entry.windows == ()


def test_a_description_adds_up():
    panel, labels = two_kinds("trend")
    labels[:3] = -1
    entries = describe_clusters(panel, labels, panel.to_padded()[:, 0].astype(float))
    assert [e.label for e in entries] == [0, 1, -1]
    assert sum(e.size for e in entries) == N
    assert "fit none of the clusters" in entries[-1].words
    for entry in entries:
        assert set(entry.medoids) <= set(panel.ids[labels == entry.label])
        assert (entry.low <= entry.middle).all()
        assert (entry.middle <= entry.high).all()
        assert entry.words in str(entry)
        assert json.dumps(entry.to_dict())


# ---------------------------------------------------------------- with a model


@pytest.fixture(scope="module")
def spikes() -> tuple[VRAEClusterer, Panel, np.ndarray]:
    panel, kinds = two_kinds("spike")
    clusterer = VRAEClusterer(2, hidden_size=16, max_epochs=60, random_state=0, device="cpu", clusterer="kmeans")
    return clusterer.fit(panel), panel, kinds


@pytest.mark.slow
def test_a_series_is_explained(spikes):
    clusterer, panel, _ = spikes
    found = clusterer.explain(panel, "s5")
    assert found.id == "s5"
    assert found.cluster == clusterer.labels_[5]
    assert found.runner_up == 1 - found.cluster
    assert found.probability == pytest.approx(clusterer.predict_proba(panel)[5].max())
    assert found.probability + found.runner_up_probability == pytest.approx(1)
    assert 0 <= found.typicality <= 1
    assert found.level["value"] == pytest.approx(panel[5].mean(), rel=1e-3)
    assert "s5" in str(found)
    assert json.dumps(found.to_dict())


@pytest.mark.slow
def test_an_odd_step_is_called_unusual(spikes):
    clusterer, panel, _ = spikes
    X = panel.values.copy()
    start = panel.offsets[5]
    X[start + 25] += 9
    found = clusterer.explain(panel.with_values(X), "s5")
    assert any(w.first <= 25 <= w.last and w.difference > 0 for w in found.unusual)


@pytest.mark.slow
def test_a_saved_model_explains_the_same(spikes, tmp_path):
    clusterer, panel, _ = spikes
    clusterer.save(tmp_path / "model")
    again = load_model(tmp_path / "model")
    assert str(again.explain(panel, "s7")) == str(clusterer.explain(panel, "s7"))
    assert [str(e) for e in again.describe(panel)] == [str(e) for e in clusterer.describe(panel)]
    assert str(again.traversal(1)) == str(clusterer.traversal(1))


def test_every_container_is_described_and_explained(kind, fitted, small_series):
    X = small_series(kind)
    clusterer = fitted("VRAEClusterer", kind)
    assert sum(entry.size for entry in clusterer.describe(X)) == len(X)
    assert clusterer.explain(X, "s1" if kind == "panel" else 1).cluster == clusterer.predict(X)[1]


def test_a_traversal_goes_from_low_to_high(fitted):
    model = fitted("VRAE", "3d")
    found = model.traversal(2, n_values=5, n_steps=9)
    assert found.series.shape == (5, 2, 9)
    assert (np.diff(found.values) > 0).all()
    mean = model.embedding_.mean(axis=0)
    np.testing.assert_allclose(found.series[2], model.inverse_transform(mean[None], 9)[0], atol=1e-4)
    assert {len(column) for column in found.to_columns().values()} == {90}
    assert "dimension 2" in str(found)


def test_bad_questions_are_answered(fitted, small_series):
    clusterer, X = fitted("VRAEClusterer", "panel"), small_series("panel")
    with pytest.raises(InvalidDataError, match="No series has the id 'nobody'"):
        clusterer.explain(X, "nobody")
    with pytest.raises(InvalidParameterError, match="0 to 2"):
        clusterer.traversal(3)
    with pytest.raises(InvalidParameterError, match="dimension"):
        clusterer.traversal(-1)
    with pytest.raises(NotFittedError):
        VRAEClusterer().describe(X)


def test_a_series_without_values_cannot_be_explained(fitted, small_series):
    X = small_series("2d")
    clusterer = fitted("VRAEClusterer", "2d", on_invalid="keep")
    X[3] = np.nan
    assert sum(entry.size for entry in clusterer.describe(X)) == len(X)
    with pytest.raises(InvalidDataError, match="no observed value"):
        clusterer.explain(X, 3)


def test_from_the_command_line(cli, fitted, small_series, tmp_path):
    X = small_series("2d")
    np.savez(tmp_path / "X.npz", X=X.astype(np.float32), ids=np.array([f"item{i}" for i in range(len(X))]))
    fitted("VRAEClusterer", "2d").save(tmp_path / "model")

    def run(*arguments):
        return cli("explain", tmp_path / "X.npz", "-m", tmp_path / "model", *arguments)

    code, out, _ = run()
    assert code == 0
    assert "Cluster 0" in out
    code, out, _ = run("--series", "item4", "--json")
    assert json.loads(out)["id"] == "item4"
    code, _, _ = run("--out", str(tmp_path / "clusters.csv"))
    rows = list(csv.DictReader(io.StringIO((tmp_path / "clusters.csv").read_text())))
    assert sum(int(row["size"]) for row in rows) == len(X)
    code, out, err = run("--series", "nobody")
    assert (code, out) == (2, "")
    assert "No series has the id 'nobody'" in err
