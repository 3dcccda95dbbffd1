"""Training followed from elsewhere: callbacks for TensorBoard and MLflow, which are imported when one is made."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vrae.exceptions import InvalidParameterError, did_you_mean
from vrae.optional import check_installed
from vrae.train.callbacks import Callback, Record

if TYPE_CHECKING:
    from vrae.train.loop import Trainer

__all__ = ["MLflowTracker", "TensorBoardTracker", "tracker"]


class TensorBoardTracker(Callback):
    """Write every epoch's record as scalars that TensorBoard shows.

    Parameters
    ----------
    log_dir : str or Path
        Every fit writes a folder of its own there: ``fit1``, ``fit2``, ...

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

    def on_train_begin(self, trainer: Trainer) -> None:
        """Open a folder, and note how the network is made and trained."""
        from torch.utils.tensorboard import SummaryWriter

        number = 1
        while (self.log_dir / f"fit{number}").exists():
            number += 1
        self._writer = SummaryWriter(str(self.log_dir / f"fit{number}"))
        rows = "\n".join(f"| {name} | {value} |" for name, value in _options_of(trainer).items())
        self._writer.add_text("options", f"| option | value |\n|---|---|\n{rows}")

    def on_epoch_end(self, trainer: Trainer, record: Record) -> None:
        """Write the record."""
        for name, value in record.items():
            if name != "epoch":
                self._writer.add_scalar(name, value, int(record["epoch"]))

    def on_train_end(self, trainer: Trainer) -> None:
        """Close the folder."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class MLflowTracker(Callback):
    """Write every epoch's record as metrics of an MLflow run.

    The run is this tracker's own: MLflow's active run and global settings are left alone.

    Parameters
    ----------
    experiment : str, default="vrae"
        Made if there is none of that name.
    run_name : str, optional
    tracking_uri : str, optional
        A server or a folder; default: what MLflow is set to, for example by MLFLOW_TRACKING_URI.

    Attributes
    ----------
    run_id : str or None
        Of the last fit's run.

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

    def on_train_begin(self, trainer: Trainer) -> None:
        """Begin a run, and note how the network is made and trained."""
        from mlflow.entities import Param
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient

        try:
            client = MlflowClient(self.tracking_uri)
            known = client.get_experiment_by_name(self.experiment)
            number = known.experiment_id if known is not None else client.create_experiment(self.experiment)
            self.run_id = client.create_run(number, run_name=self.run_name).info.run_id
        except MlflowException as error:
            place = self.tracking_uri or "the place that MLflow is set to"
            raise InvalidParameterError(f"MLflow cannot write to {place}: {error.message}") from error
        self._client = client
        params = [Param(name, str(value)) for name, value in _options_of(trainer).items()]
        self._client.log_batch(self.run_id, params=params)

    def on_epoch_end(self, trainer: Trainer, record: Record) -> None:
        """Write the record."""
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        metrics = [Metric(name, value, now, int(record["epoch"])) for name, value in record.items() if name != "epoch"]
        self._client.log_batch(self.run_id, metrics=metrics)

    def on_train_end(self, trainer: Trainer) -> None:
        """End the run: FINISHED, or FAILED if training broke off."""
        if self._client is not None:
            complete = trainer.stopping or len(trainer.history) == trainer.config.max_epochs
            self._client.set_terminated(self.run_id, "FINISHED" if complete else "FAILED")
            self._client = None


def tracker(text: str) -> Callback:
    """Return the tracker that a text names: ``tensorboard=FOLDER``, ``mlflow`` or ``mlflow=URI``.

    Raises
    ------
    InvalidParameterError
        Unknown, or TensorBoard without a folder.
    MissingDependencyError
        The extra ``vrae[tracking]`` is not installed.
    """
    name, _, place = text.partition("=")
    if name == "mlflow":
        return MLflowTracker(tracking_uri=place or None)
    if name == "tensorboard" and place:
        return TensorBoardTracker(place)
    raise InvalidParameterError(
        f"Unknown tracker {text!r}.{did_you_mean(text, ('tensorboard=FOLDER', 'mlflow', 'mlflow=URI'))}"
    )


def _options_of(trainer: Trainer) -> dict[str, Any]:
    return {**trainer.network.config.to_dict(), **trainer.config.to_dict()}
