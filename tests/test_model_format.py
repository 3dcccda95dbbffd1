"""The model folder is a documented format: docs/models.md names all there is in it, and its example needs no vrae."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest

from vrae.estimators.anomaly import VRAEAnomalyDetector
from vrae.estimators.forecaster import GroupForecaster
from vrae.estimators.neighbors import VRAENeighbors
from vrae.persistence import read_model

PAGE = (Path(__file__).parents[1] / "docs" / "models.md").read_text(encoding="utf-8")
NAMES = set(re.findall(r"`([\w.*]+)`", PAGE))
EXAMPLE = next(code for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "safetensors" in code)


def undocumented(folder: Path) -> list[str]:
    config, arrays = read_model(folder)
    keys = [*config, *config["network"], *config["scaler"], *arrays]
    keys += [key for record in config["history"] for key in record]
    return sorted({key for key in keys if not any(fnmatch(key, name) for name in NAMES)})


@pytest.mark.parametrize(
    "options",
    [{}, {"linear_path": True, "level_weight": 0.5}, {"early_stopping": 1}, {"clusterer": "ward"}],
    ids=lambda options: ", ".join(options) or "default",
)
def test_the_page_names_all_that_a_clusterer_writes(options, fitted, tmp_path):
    assert undocumented(fitted("VRAEClusterer", "panel", **options).save(tmp_path / "model")) == []


@pytest.mark.slow
@pytest.mark.parametrize("estimator", [VRAEAnomalyDetector, VRAENeighbors, GroupForecaster])
def test_the_page_names_all_that_other_estimators_write(estimator, small_series, tiny, tmp_path):
    own = {"horizon": 2, "classical": False} if estimator is GroupForecaster else {}
    model = estimator(**own, **tiny).fit(small_series("panel", 24))
    assert undocumented(model.save(tmp_path / "model")) == []


def test_the_example_reads_vectors_and_places_new_ones_without_vrae(fitted, small_series, tmp_path):
    model = fitted("VRAEClusterer", "panel")
    model.save(tmp_path / "model")
    Z = model.transform(small_series("panel", 9, 7))
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
    assert labels == model.place(Z).argmax(axis=1).tolist()
    assert list(latent) == model.ids_.tolist()
    np.testing.assert_allclose(list(latent.values()), model.embedding_, rtol=1e-6)
