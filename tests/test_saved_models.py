"""Models of every format version open: each directory in saved_models gives the same results."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vrae import load_model
from vrae.exceptions import ModelFileError
from vrae.io.migrations import FORMAT_VERSION

FOLDERS = sorted((Path(__file__).parent / "saved_models").glob("v*"))


def test_there_is_a_directory_of_every_version():
    assert [folder.name for folder in FOLDERS] == [f"v{version}" for version in range(1, FORMAT_VERSION + 1)]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_saved_model_gives_its_expected_results(folder):
    clusterer = load_model(folder / "model")
    model = clusterer.model_
    with np.load(folder / "expected.npz") as expected:
        np.testing.assert_array_equal(clusterer.predict(expected["X"]), expected["labels"])
        np.testing.assert_array_equal(clusterer.labels_, expected["labels"])
        np.testing.assert_allclose(model.transform(expected["X"]), expected["embedding"], atol=1e-4)
        np.testing.assert_allclose(model.score_samples(expected["X"]), expected["bound"], rtol=1e-3)
        assert model.reconstruct(expected["X"]).shape == expected["X"].shape
    assert clusterer.n_clusters_ == 2


@pytest.mark.parametrize("folder", [f for f in FOLDERS if (f / "dated").exists()], ids=lambda folder: folder.name)
def test_a_saved_model_remembers_how_its_table_was_read(folder):
    clusterer, table = load_model(folder / "dated"), pd.read_csv(folder / "dated.csv", parse_dates=["week"])
    expected = table.groupby("item", sort=False)["label"].first()
    later = table[["sold", "week", "shop", "item"]].iloc[::-1]  # columns and rows in another order
    found = pd.Series(clusterer.predict(later), later["item"].unique())
    pd.testing.assert_series_equal(found.sort_index(), expected.sort_index(), check_names=False)
    assert clusterer.model_.calendar_.describe() == "weekly (Mondays)"


@pytest.mark.parametrize("folder", [f for f in FOLDERS if (f / "edited").exists()], ids=lambda folder: folder.name)
def test_a_saved_model_remembers_how_its_clusters_were_edited(folder):
    clusterer = load_model(folder / "edited")
    with np.load(folder / "edited.npz") as expected:
        np.testing.assert_array_equal(clusterer.labels_, expected["labels"])
        np.testing.assert_allclose(clusterer.predict_proba(expected["X"]), expected["probabilities"], atol=1e-4)
        own = {0: "First", 2: "Täglich"}
        assert clusterer.grouping_.own_names == own
        assert {number: name for number, name in enumerate(expected["names"].tolist()) if number in own} == own
    assert clusterer.grouping_.is_edited
    assert clusterer.portraits_ is not None
    assert len(set(clusterer.names_.values())) == 3
    assert clusterer.regroup(3).grouping_.own_names == {}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_saved_model_chooses_the_number_of_clusters_again(folder, tmp_path):
    shutil.copytree(folder / "model", tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    older = {"n_clusters": 7, "score": 1e3}
    newer = {"silhouette": 0.4, "stability": 0.9, "evenness": 0.9, "largest": 0.4, "is_peak": True}
    is_older = config["format_version"] < 4
    config["selection"] = [older if is_older else {**older, **newer, "n_clusters": 3}]
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    clusterer = load_model(tmp_path / "model").regroup("auto")
    assert clusterer.n_clusters_ == (clusterer.n_clusters_ if is_older else 3)
    assert all("stability" in tried for tried in clusterer.selection_)
    assert clusterer.tree_.shape == (clusterer.n_clusters_ - 1, 4)


@pytest.mark.parametrize("selection", [5, "x", [1], [{}], [{"n_clusters": 3}], [{"n_clusters": 3, "score": None}]])
def test_a_damaged_selection_is_refused(selection, tmp_path):
    shutil.copytree(FOLDERS[-1] / "model", tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    (tmp_path / "model" / "config.json").write_text(json.dumps({**config, "selection": selection}))
    with pytest.raises(ModelFileError, match=r"config.json is not as vrae writes it. selection"):
        load_model(tmp_path / "model")
