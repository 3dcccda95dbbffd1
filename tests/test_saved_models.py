"""Models of every format version open: each directory in saved_models gives the same results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vrae import load_model
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
