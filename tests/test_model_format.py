"""The model directory is a documented format: docs/models.md names everything in it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator

from conftest import make_estimator
from vrae import VRAEClusterer
from vrae.io.model_files import read_model

PAGE = (Path(__file__).parents[1] / "docs" / "models.md").read_text(encoding="utf-8")
NAMES = set(re.findall(r"`([\w.*]+)`", PAGE))
EXAMPLE = next(code for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "safetensors" in code)


def undocumented(folder: Path) -> list[str]:
    config, arrays = read_model(folder)
    model = config["model"]
    keys = [*config, *model, *model["network"], *model["scaler"], *arrays]
    keys += [key for record in model["history"] for key in record]
    return sorted({key for key in keys if not any(fnmatch(key, name) for name in NAMES)})


@pytest.mark.parametrize(
    "options",
    [{}, {"architecture": "linear"}, {"level_weight": 0.5}, {"early_stopping": 1}, {"clusterer": "ward"}],
    ids=lambda options: ", ".join(options) or "default",
)
def test_the_page_names_everything_that_a_clusterer_writes(options, fitted, tmp_path):
    assert undocumented(fitted("VRAEClusterer", "panel", **options).save(tmp_path / "model")) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["VRAE", "VRAEAnomalyDetector", "VRAENeighbors", "GroupForecaster"])
def test_the_page_names_everything_that_other_estimators_write(name, small_series, tmp_path):
    estimator = make_estimator(name)
    if name == "GroupForecaster":
        estimator.set_params(season_length=4)  # with a distribution of seasons
    estimator.fit(small_series("panel", 24))
    assert undocumented(estimator.save(tmp_path / "model")) == []


def test_the_page_names_everything_that_a_head_of_a_frozen_model_writes(fitted, small_series, tmp_path):
    clusterer = VRAEClusterer(2, model=FrozenEstimator(fitted("VRAE", "panel"))).fit(small_series("panel", 9, 7))
    folder = clusterer.save(tmp_path / "model")
    assert "embedding" in read_model(folder)[1]
    assert undocumented(folder) == []


def test_the_example_reads_and_assigns_vectors_without_vrae(fitted, small_series, tmp_path):
    clusterer = fitted("VRAEClusterer", "panel")
    clusterer.save(tmp_path / "model")
    Z = clusterer.model_.transform(small_series("panel", 9, 7))
    np.save(tmp_path / "Z.npy", Z)
    code = (
        "import sys\n"
        "for name in ('vrae', 'torch', 'sklearn'): sys.modules[name] = None\n"
        "import numpy as np\n"
        "Z = np.load('Z.npy')\n"
        f"{EXAMPLE}\n"
        "print(json.dumps([labels.tolist(), {name: z.tolist() for name, z in latent.items()}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    labels, latent = json.loads(done.stdout)
    assert labels == clusterer.predict_proba_from_latent(Z).argmax(axis=1).tolist()
    assert list(latent) == clusterer.ids_.tolist()
    np.testing.assert_allclose(list(latent.values()), clusterer.embedding_, rtol=1e-6)
