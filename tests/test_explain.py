"""Explanations by fitted estimators. `test_cli` has those on the command line."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from test_describe import two_kinds
from vrae import VRAE, Panel, VRAEClusterer, load_model
from vrae.exceptions import InvalidDataError, InvalidParameterError, NotFittedError
from vrae.runs import write_descriptions


@pytest.fixture(scope="module")
def spikes() -> tuple[VRAEClusterer, Panel, np.ndarray]:
    panel, kinds = two_kinds("spike")
    model = VRAE(hidden_size=16, max_epochs=60, device="cpu")
    return VRAEClusterer(2, clusterer="kmeans", model=model, random_state=0).fit(panel), panel, kinds


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
    title = f"cluster {found.cluster} · {clusterer.names_[found.cluster]}"
    assert str(found).startswith(f"Series s5: {title}, probability ")
    assert json.dumps(found.to_dict())


def test_a_series_of_one_value_is_said_to_be_a_guess(fitted, small_series):
    X = small_series("2d")
    clusterer = fitted("VRAEClusterer", "2d", false_alarm_rate=None)
    X[3, 1:] = np.nan
    found = clusterer.explain(X, 3)
    one, whole = str(found), str(clusterer.explain(X, 1))
    assert "It has 1 value, too few for a shape: its cluster is a guess." in one
    assert "typical" not in one
    assert "guess" not in whole
    assert "More typical than" in whole
    assert "its cluster" not in str(replace(found, cluster=-1, title="", unusual=()))  # noise, as of HDBSCAN


@pytest.mark.slow
def test_an_anomalous_step_is_named(spikes):
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
    assert str(again.model_.traversal(1)) == str(clusterer.model_.traversal(1))


def test_every_container_is_described_and_explained(kind, fitted, small_series):
    X = small_series(kind)
    clusterer = fitted("VRAEClusterer", kind)
    assert sum(entry.size for entry in clusterer.describe(X)) == len(X)
    assert clusterer.explain(X, "s1" if kind == "panel" else 1).cluster == clusterer.predict(X)[1]


def test_descriptions_have_the_names_of_the_clusters(fitted, small_series):
    X = small_series("2d")
    clusterer = fitted("VRAEClusterer", "2d", false_alarm_rate=None)
    found = clusterer.describe(X)
    assert [entry.name for entry in found] == list(clusterer.names_.values())
    assert len(set(clusterer.names_.values())) == clusterer.n_clusters_ == 2
    table = pd.DataFrame(found)
    assert table.columns.tolist() == ["cluster", "name", "size", "share", "words", "differs", "typical"]


def test_a_traversal_goes_from_low_to_high(fitted):
    model = fitted("VRAE", "3d")
    found = model.traversal(2, n_values=5, n_steps=9)
    assert found.series.shape == (5, 2, 9)
    assert (np.diff(found.values) > 0).all()
    mean = model.embedding_.mean(axis=0)
    np.testing.assert_allclose(found.series[2], model.inverse_transform(mean[None], 9)[0], atol=1e-4)
    assert {len(column) for column in found.to_columns().values()} == {90}
    assert "dimension 2" in str(found)


def test_unknown_ids_and_dimensions_are_refused(fitted, small_series):
    clusterer, X = fitted("VRAEClusterer", "panel"), small_series("panel")
    with pytest.raises(InvalidDataError, match="No series has the id 'nobody'"):
        clusterer.explain(X, "nobody")
    with pytest.raises(InvalidParameterError, match="0 to 2"):
        clusterer.model_.traversal(3)
    with pytest.raises(InvalidParameterError, match="dimension"):
        clusterer.model_.traversal(-1)
    with pytest.raises(NotFittedError):
        VRAEClusterer().describe(X)


def test_a_series_without_values_cannot_be_explained(fitted, small_series):
    X = small_series("2d")
    clusterer = fitted("VRAEClusterer", "2d", on_invalid="keep")
    X[3] = np.nan
    assert sum(entry.size for entry in clusterer.describe(X)) == len(X)
    with pytest.raises(InvalidDataError, match="no observed value"):
        clusterer.explain(X, 3)


def test_descriptions_can_be_written_as_a_table(fitted, small_series, tmp_path):
    X = small_series("2d")
    write_descriptions(fitted("VRAEClusterer").describe(X), tmp_path / "clusters.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "clusters.csv").read_text())))
    assert [row["cluster"] for row in rows] == ["0", "1"]
    assert [row["name"] for row in rows] == list(fitted("VRAEClusterer").names_.values())
    assert sum(int(row["size"]) for row in rows) == len(X)
