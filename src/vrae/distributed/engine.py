"""Connect to Ray: join a cluster, or start Ray on this machine and stop it afterwards."""

from __future__ import annotations

import importlib
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from vrae.config import check_int, check_real
from vrae.exceptions import InvalidParameterError, MissingDependencyError, check_installed

__all__ = ["EngineOptions", "Log", "connected", "ray_module"]

Log = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """Options of Ray: which cluster to use, and the number of its processes.

    Parameters
    ----------
    address : str, optional
        Address of a Ray cluster: ``"auto"``, ``"host:6379"`` or ``"ray://host:10001"``. None uses
        the Ray that this process is connected to, or else starts one on this machine and stops it
        afterwards.
    workers : int, optional
        Number of processes that load the model. Default: from one to as many as there are
        processors, or fractions of GPUs.
    gpus : float, default=0
        GPUs per worker. Workers share a GPU if it is a fraction. 0 runs them on the CPU.
    train_workers : int, default=1
        Number of processes that train together; see `vrae.distributed.fit`. 1 trains in the
        calling process.

    Raises
    ------
    InvalidParameterError
        An option is out of range.
    MissingDependencyError
        Ray is not installed. Ray is not imported to find out.
    """

    address: str | None = None
    workers: int | None = None
    gpus: float = 0.0
    train_workers: int = 1

    def __post_init__(self) -> None:
        check_installed("ray", "ray", "The engine 'ray'")
        if self.workers is not None:
            check_int("workers", self.workers, low=1)
        check_int("train_workers", self.train_workers, low=1)
        check_real("gpus", self.gpus, low=0)


def ray_module(name: str = "ray") -> Any:
    """Import Ray, or one of its submodules."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            f"The engine 'ray' needs Ray, which cannot be imported ({error}). "
            f"Install it again: pip install 'vrae[ray]'."
        ) from None


@contextmanager
def connected(engine: EngineOptions) -> Iterator[None]:
    """Connect to Ray, and silence it. A Ray that was started here is stopped afterwards."""
    ray = ray_module()
    with ExitStack() as ending:
        if not ray.is_initialized():
            _start(engine.address)
            ending.callback(ray.shutdown)
        data = ray_module("ray.data")  # importing it sets the level of its logger
        with warnings.catch_warnings():
            # Creating the context warns about options of Ray that nobody has set.
            warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"ray\.data\.context")
            data.DataContext.get_current()
        # Messages are also in Ray's log files, and vrae reports progress itself.
        for logger in map(logging.getLogger, ("ray.data", "ray.train")):
            ending.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.ERROR)
        yield


def _start(address: str | None) -> None:
    # A private Ray needs no dashboard, and its processes write their own log files.
    options = {} if address else {"include_dashboard": False}
    if not address:
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report its use on the internet
    try:
        ray_module().init(address, log_to_driver=False, logging_level=logging.ERROR, **options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise InvalidParameterError(
            f"No Ray cluster could be joined or started at {address or 'this machine'}: {reason[0]:.300} "
            f"Run `ray status` there, or leave --address out to use this machine alone."
        ) from None
