"""Training is logged: to the run folder, to TensorBoard and to MLflow."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from vrae import VRAE
from vrae.cli import app
from vrae.exceptions import InvalidParameterError, MissingDependencyError
from vrae.train import tracking
from vrae.train.callbacks import Callback
from vrae.train.tracking import MLflowTracker, TensorBoardTracker

pytestmark = pytest.mark.filterwarnings("ignore::vrae.exceptions.PosteriorCollapseWarning")

SCALARS = {"loss", "reconstruction", "kl", "patterns", "kl_weight", "learning_rate", "seconds"}


@pytest.fixture(autouse=True)
def local_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # MLflow prefers a database: another package


class Fail(Callback):
    """Raise after the first epoch."""

    def on_epoch_end(self, trainer: Any, record: Any) -> None:
        raise RuntimeError("on request")


def read_tensorboard(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {name: [(e.step, e.value) for e in events.Scalars(name)] for name in events.Tags()["scalars"]}


def test_tensorboard_gets_the_history(small_series, tiny, tmp_path):
    pytest.importorskip("tensorboard", reason="the extra vrae[tracking] is not installed")
    model = VRAE(**tiny, callbacks=[TensorBoardTracker(tmp_path)])
    model.fit(small_series("2d")).fit(small_series("2d"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fit1", "fit2"]
    found = read_tensorboard(tmp_path / "fit2")
    assert set(found) == SCALARS
    for name in ("loss", "kl"):
        assert [step for step, _ in found[name]] == [1, 2]
        np.testing.assert_allclose([v for _, v in found[name]], [r[name] for r in model.history_], rtol=1e-6)


def test_mlflow_gets_the_history(small_series, tiny, tmp_path):
    mlflow = pytest.importorskip("mlflow", reason="the extra vrae[tracking] is not installed")
    tracker = MLflowTracker("waves", "first", tmp_path.as_uri())
    model = VRAE(**tiny, callbacks=[tracker]).fit(small_series("2d"))
    client = mlflow.tracking.MlflowClient(tmp_path.as_uri())
    run = client.get_run(tracker.run_id)
    assert client.get_experiment(run.info.experiment_id).name == "waves"
    assert (run.info.run_name, run.info.status) == ("first", "FINISHED")
    assert run.data.params["hidden_size"] == "8"
    assert run.data.params["learning_rate"] == "0.02"
    assert set(run.data.metrics) == SCALARS
    history = client.get_metric_history(tracker.run_id, "loss")
    assert [(m.step, m.value) for m in history] == [(r["epoch"], r["loss"]) for r in model.history_]
    assert mlflow.active_run() is None


def test_failed_training_is_a_failed_run(small_series, tiny, tmp_path):
    mlflow = pytest.importorskip("mlflow", reason="the extra vrae[tracking] is not installed")
    tracker = MLflowTracker(tracking_uri=tmp_path.as_uri())
    with pytest.raises(RuntimeError, match="on request"):
        VRAE(**tiny, callbacks=[tracker, Fail()]).fit(small_series("2d"))
    run = mlflow.tracking.MlflowClient(tmp_path.as_uri()).get_run(tracker.run_id)
    assert run.info.status == "FAILED"


def test_a_place_that_mlflow_cannot_write_to_is_an_error(small_series, tiny, tmp_path):
    pytest.importorskip("mlflow", reason="the extra vrae[tracking] is not installed")
    model = VRAE(**tiny, callbacks=[MLflowTracker(tracking_uri="nonsense://here")])
    with pytest.raises(InvalidParameterError, match="MLflow cannot write to nonsense://here"):
        model.fit(small_series("2d"))
    assert not hasattr(model, "network_")


@pytest.mark.parametrize(("text", "package"), [("tensorboard=logs", "tensorboard"), ("mlflow", "mlflow")])
def test_a_missing_package_is_a_one_line_error_before_any_work(text, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError) as caught:
        tracking.tracker(text)
    assert f"needs the package {package}: pip install 'vrae[tracking]'." in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_tracker_is_refused():
    for text in ("tensorbord=logs", "tensorboard", "wandb"):  # misspelt, without a folder, unknown
        with pytest.raises(
            InvalidParameterError, match=r"Unknown tracker.*Known: tensorboard=FOLDER, mlflow, mlflow=URI"
        ):
            tracking.tracker(text)


@pytest.mark.slow
def test_the_command_logs_to_the_run_folder_and_to_tensorboard(small_series, tmp_path):
    pytest.importorskip("tensorboard", reason="the extra vrae[tracking] is not installed")
    np.savez(tmp_path / "X.npz", X=small_series("2d", 12))
    options = ["--clusters", "2", "--epochs", "2", "--quiet", "--device", "cpu", "--out", str(tmp_path / "run")]
    done = CliRunner().invoke(
        app, ["cluster", str(tmp_path / "X.npz"), *options, "--track", f"tensorboard={tmp_path}/logs"]
    )
    assert done.exit_code == 0, done.output
    with (tmp_path / "run" / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    scalars = read_tensorboard(tmp_path / "logs" / "fit1")
    np.testing.assert_allclose([float(r["loss"]) for r in rows], [v for _, v in scalars["loss"]], rtol=1e-6)
