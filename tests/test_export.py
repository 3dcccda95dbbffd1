"""The ONNX file of a model gives the same vectors as ``transform``, without vrae."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from vrae import VRAE, Panel
from vrae.cli import app
from vrae.data.calendar import Calendar
from vrae.data.reading import as_panel
from vrae.exceptions import InvalidParameterError, MissingDependencyError, NotFittedError, OutputError

pytest.importorskip("onnx", reason="the extra vrae[onnx] is not installed")
ort = pytest.importorskip("onnxruntime", reason="the extra vrae[onnx] is not installed")

# Options that change the graph, with series that use them.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "default": ("panel", {}),
    "gaps, robust": ("missing", {"scaling": "robust"}),
    "channels, two layers, level": ("list of channels", {"num_layers": 2, "level_weight": 0.5}),
    "scaled by channel": ("3d", {"scaling": "channel", "latent_size": 4}),
    "unscaled gru, last state": ("2d", {"cell": "gru", "architecture": "classic", "scaling": None}),
    "single steps, no patterns": ("list", {"patch_size": 1, "pattern_weight": 0.0}),
    "lags": ("list", {"max_lag": 3}),
    "principal axes": ("missing", {"architecture": "linear", "pattern_weight": 0.0}),
}


def padded(X: Any) -> dict[str, np.ndarray]:
    """Return the graph's inputs. Padding is not NaN, since it may be anything."""
    panel = as_panel(X)
    values = np.full((len(panel), panel.lengths.max(), panel.n_channels), 1e9, np.float32)
    for row, (first, end) in enumerate(zip(panel.offsets[:-1], panel.offsets[1:], strict=True)):
        values[row, : end - first] = panel.values[first:end]
    return {"values": values, "lengths": panel.lengths.astype(np.int64)}


def damaged(X: Any, seed: int) -> Panel:
    """Return series with gaps, constant ends, one constant series and one outlier."""
    rng = np.random.default_rng(seed)
    panel = as_panel(X)
    values = panel.values.copy()
    values[rng.random(len(values)) < 0.15, 0] = np.nan
    first = panel.offsets[:-1]
    values[first[0] : first[0] + 3] = 7.0  # constant before it starts
    values[first[1] - 4 : first[1]] = 2.0  # and after it ends
    values[first[1] : first[2]] = 4.0  # constant throughout
    values[first[2], :] = 100.0
    return panel.with_values(values)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, fitted: Any) -> Callable[[str], tuple[VRAE, Any]]:
    """Return ``exported(variant)``: the model, and its file in onnxruntime."""

    @cache
    def open_file(variant: str) -> tuple[VRAE, Any]:
        kind, options = VARIANTS[variant]
        model = fitted("VRAE", kind, **options)
        path = model.export_onnx(tmp_path_factory.mktemp("onnx") / "encoder.onnx")
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = 1
        return model, ort.InferenceSession(path, settings, providers=["CPUExecutionProvider"])

    return open_file


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_graph_equals_transform(variant, exported, small_series):
    model, session = exported(variant)
    kind = VARIANTS[variant][0]
    for n, seed in ((12, 0), (1, 1), (7, 2)):
        X = small_series(kind, n, seed)
        found = session.run(["latent"], padded(X))[0]
        np.testing.assert_allclose(found, model.transform(X), atol=1e-4)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_graph_equals_transform_for_lengths_and_gaps_not_seen_in_training(variant, exported, small_series):
    model, session = exported(variant)
    X = damaged(small_series(VARIANTS[variant][0], 9, 3), 4)
    longer = damaged(np.tile(small_series("3d" if X.n_channels == 2 else "2d", 5, 5), 7), 6)
    for panel in (X, longer):
        found = session.run(["latent"], padded(panel))[0]
        np.testing.assert_allclose(found, model.transform(panel), atol=1e-4)
    assert longer.lengths.max() == 112


def test_a_series_without_observed_values_is_a_row_of_nan(exported):
    _, session = exported("default")
    values = np.full((2, 8, 1), np.nan, np.float32)
    values[1, 2] = 1.0
    found = session.run(None, {"values": values, "lengths": np.array([8, 8])})[0]
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1]).all()


def test_the_file_describes_itself_and_is_the_only_one(fitted, tmp_path):
    model = fitted("VRAEClusterer", "panel").model_
    path = model.export_onnx(tmp_path / "deep" / "encoder.onnx")
    assert [p.name for p in path.parent.iterdir()] == ["encoder.onnx"]
    session = ort.InferenceSession(path)
    assert session.get_modelmeta().custom_metadata_map["class"] == "VRAE"
    assert [(i.name, i.type, i.shape) for i in session.get_inputs()] == [
        ("values", "tensor(float)", ["batch", "time", 1]),
        ("lengths", "tensor(int64)", ["batch"]),
    ]
    assert [(o.name, o.type, o.shape) for o in session.get_outputs()] == [("latent", "tensor(float)", ["batch", 3])]


def test_a_failed_export_is_an_error_and_writes_nothing(fitted, tmp_path, monkeypatch):
    with pytest.raises(NotFittedError):
        VRAE().export_onnx(tmp_path / "a.onnx")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="is a file, not a folder"):
        fitted().export_onnx(tmp_path / "file" / "a.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(
        MissingDependencyError, match=r"An ONNX file needs the package onnx: pip install 'vrae\[onnx\]'"
    ):
        fitted().export_onnx(tmp_path / "a.onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_the_command_writes_the_file(fitted, small_series, tmp_path):
    clusterer = fitted("VRAEClusterer", "3d")
    clusterer.save(tmp_path / "run" / "model")
    file = tmp_path / "encoder.onnx"
    done = CliRunner().invoke(app, ["export", str(tmp_path / "run"), "--out", str(file), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {
        "file": str(file),
        "values": "float32 (batch, time, 2)",
        "lengths": "int64 (batch,)",
        "latent": "float32 (batch, 3)",
    }
    found = ort.InferenceSession(file).run(["latent"], padded(small_series("3d", 5, 9)))[0]
    np.testing.assert_allclose(found, clusterer.model_.transform(small_series("3d", 5, 9)), atol=1e-4)


def test_only_warnings_of_the_exporter_are_silenced(fitted, tmp_path, monkeypatch):
    export = torch.onnx.export

    def noisy(*args: Any, **options: Any) -> None:
        warnings.warn("mine", UserWarning, stacklevel=1)
        export(*args, **options)

    monkeypatch.setattr(torch.onnx, "export", noisy)
    with pytest.warns(UserWarning, match="mine") as found:
        fitted("VRAE", "2d").export_onnx(tmp_path / "model.onnx")
    assert [str(one.message) for one in found] == ["mine"]


def test_a_model_that_knows_dates_is_refused_with_what_to_do(cli, tiny, tmp_path):
    days = np.datetime64("2024-01-01", "us") + np.arange(21) * np.timedelta64(1, "D")
    X = np.random.default_rng(0).standard_normal((8, 21)).cumsum(axis=1)
    model = VRAE(**tiny).fit(Panel.from_arrays(X, times=np.tile(days, 8), calendar=Calendar("D", origin=str(days[0]))))
    with pytest.raises(InvalidParameterError, match="with timing set to free"):
        model.export_onnx(tmp_path / "encoder.onnx")
    model.save(tmp_path / "model")
    done = cli("export", tmp_path / "model", "--out", tmp_path / "encoder.onnx")
    assert (done.code, "Fit it with --timing free." in done.err) == (2, True), done.err
