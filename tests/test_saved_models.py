"""Yesterday's files open today: every directory under saved_models says what it said when it was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vrae import load_model
from vrae.persistence import FORMAT_VERSION

FOLDERS = sorted((Path(__file__).parent / "saved_models").glob("v*"))


def test_the_present_version_is_kept():
    assert f"v{FORMAT_VERSION}" in [folder.name for folder in FOLDERS]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_an_old_model_says_what_it_said(folder):
    model = load_model(folder / "model")
    with np.load(folder / "expected.npz") as expected:
        np.testing.assert_array_equal(model.predict(expected["X"]), expected["labels"])
        np.testing.assert_allclose(model.transform(expected["X"]), expected["embedding"], atol=1e-4)
        np.testing.assert_allclose(model.score_samples(expected["X"]), expected["bound"], rtol=1e-3)
        assert model.reconstruct(expected["X"]).shape == expected["X"].shape
    assert model.n_clusters_ == 2
