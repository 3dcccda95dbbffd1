"""Callbacks that log training to TensorBoard or MLflow. The packages are imported on first use."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from vrae.exceptions import InvalidParameterError, check_installed, did_you_mean
from vrae.io.atomic import check_folders
from vrae.train.callbacks import Callback, Record, TrainingRun

__all__ = ["MLflowTracker", "TensorBoardTracker", "tracker"]

_ANSWER_SECONDS = 10


class TensorBoardTracker(Callback):
    """Log the record of every epoch as TensorBoard scalars.

    Parameters
    ----------
    log_dir : str or Path
        Every fit writes a new folder there: ``fit1``, ``fit2``, ...

    Raises
    ------
    MissingDependencyError
        The extra ``vrae[tracking]`` is not installed.

    Examples
    --------
    >>> from vrae import VRAE
    >>> from vrae.train.tracking import TensorBoardTracker
    >>> model = VRAE(callbacks=[TensorBoardTracker("logs")])  # then: tensorboard --logdir logs
    """

    def __init__(self, log_dir: str | Path) -> None:
        check_installed("tensorboard", "tracking", "TensorBoardTracker")
        self.log_dir = Path(log_dir)
        self._writer: Any = None

    def on_train_begin(self, trainer: TrainingRun) -> None:
        """Open a folder and log the configuration."""
        from torch.utils.tensorboard import SummaryWriter

        number = 1
        while (self.log_dir / f"fit{number}").exists():
            number += 1
        self._writer = SummaryWriter(str(self.log_dir / f"fit{number}"))
        rows = "\n".join(f"| {name} | {value} |" for name, value in _options_of(trainer).items())
        self._writer.add_text("options", f"| option | value |\n|---|---|\n{rows}")

    def on_epoch_end(self, trainer: TrainingRun, record: Record) -> None:
        """Log the record."""
        for name, value in record.items():
            if name != "epoch":
                self._writer.add_scalar(name, value, int(record["epoch"]))

    def on_train_end(self, trainer: TrainingRun) -> None:
        """Close the folder."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class MLflowTracker(Callback):
    """Log the record of every epoch as metrics of an MLflow run.

    Every fit starts a new run. MLflow's active run and global settings are not changed.

    Parameters
    ----------
    experiment : str, default="vrae"
        Created if it does not exist.
    run_name : str, optional
    tracking_uri : str, optional
        A server or a folder. Default: MLflow's own setting, for example MLFLOW_TRACKING_URI.

    Attributes
    ----------
    run_id : str or None
        Id of the last fit's run.

    Raises
    ------
    MissingDependencyError
        The extra ``vrae[tracking]`` is not installed.
    """

    def __init__(self, experiment: str = "vrae", run_name: str | None = None, tracking_uri: str | None = None) -> None:
        check_installed("mlflow", "tracking", "MLflowTracker")
        self.experiment = experiment
        self.run_name = run_name
        self.tracking_uri = tracking_uri
        self.run_id: str | None = None
        self._client: Any = None

    def on_train_begin(self, trainer: TrainingRun) -> None:
        """Start a run and log the configuration."""
        from mlflow.entities import Param
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient

        try:
            client = MlflowClient(self.tracking_uri)
            known = client.get_experiment_by_name(self.experiment)
            number = known.experiment_id if known is not None else client.create_experiment(self.experiment)
            self.run_id = client.create_run(number, run_name=self.run_name).info.run_id
        except MlflowException as error:
            place = self.tracking_uri or "its configured location"
            raise InvalidParameterError(f"MLflow cannot write to {place}: {error.message}") from error
        self._client = client
        params = [Param(name, str(value)) for name, value in _options_of(trainer).items()]
        self._client.log_batch(self.run_id, params=params)

    def on_epoch_end(self, trainer: TrainingRun, record: Record) -> None:
        """Log the record."""
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        metrics = [Metric(name, value, now, int(record["epoch"])) for name, value in record.items() if name != "epoch"]
        self._client.log_batch(self.run_id, metrics=metrics)

    def on_train_end(self, trainer: TrainingRun) -> None:
        """End the run: FINISHED, or FAILED if training failed."""
        if self._client is not None:
            complete = trainer.stopping or len(trainer.history) == trainer.config.max_epochs
            self._client.set_terminated(self.run_id, "FINISHED" if complete else "FAILED")
            self._client = None


def tracker(text: str) -> Callback:
    """Return the tracker for ``tensorboard=FOLDER``, ``mlflow`` or ``mlflow=URI``."""
    name, _, place = text.partition("=")
    if name == "mlflow" and text != "mlflow=":
        _check_server(place)
        return MLflowTracker(tracking_uri=place or None)
    if name == "tensorboard" and place:
        check_folders(Path(place), (Path(place), *Path(place).parents))
        return TensorBoardTracker(place)
    raise InvalidParameterError(
        f"Unknown tracker {text!r}.{did_you_mean(text, ('tensorboard=FOLDER', 'mlflow', 'mlflow=URI'))}"
    )


def _check_server(address: str) -> None:
    """Raise if no server answers at a URL: MLflow would try again for minutes."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or getproxies():
        return
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname or "", port), timeout=_ANSWER_SECONDS).close()
    except (OSError, ValueError) as error:
        raise InvalidParameterError(f"No MLflow server answers at {address}: {error}.") from None


def _options_of(trainer: TrainingRun) -> dict[str, Any]:
    return {**trainer.network.config.to_dict(), **trainer.config.to_dict()}
