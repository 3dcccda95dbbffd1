"""Ray: start it or join it, and leave it as it was found."""

from __future__ import annotations

import importlib
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from vrae.config import check_int, check_real
from vrae.exceptions import InvalidParameterError, MissingDependencyError
from vrae.optional import check_installed

__all__ = ["Engine", "connected", "ray_module"]


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Where the work is done, and by how many.

    Parameters
    ----------
    address : str, optional
        Of a Ray cluster: ``"auto"``, ``"host:6379"`` or ``"ray://host:10001"``. None joins the Ray that this process
        uses already, or starts one on this machine that ends with the work.
    workers : int, optional
        Processes that hold the model. Default: from one to as many as there is room for.
    gpus : float, default 0
        GPUs of each worker; a fraction shares one. 0: they run on the CPU.
    train_workers : int, default 1
        Processes that train together, see `vrae.distributed.fit`. 1: training runs in this process.

    Raises
    ------
    InvalidParameterError
        Out of range.
    MissingDependencyError
        Ray is not installed; nothing is imported to find out.
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
    """Import Ray, or a part of it.

    Raises
    ------
    MissingDependencyError
        It cannot be imported.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            f"The engine 'ray' needs Ray, which cannot be imported ({error}). Install it anew: pip install 'vrae[ray]'."
        ) from None


@contextmanager
def connected(engine: Engine) -> Iterator[None]:
    """Have Ray at hand; what was started here ends here.

    Raises
    ------
    InvalidParameterError
        No cluster answers at the address.
    MissingDependencyError
        Ray cannot be imported.
    """
    ray = ray_module()
    if ray.is_initialized():
        with _quiet():
            yield
        return
    # A Ray of our own needs no dashboard, and its processes have log files to write to.
    options = {} if engine.address else {"include_dashboard": False}
    if not engine.address:
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        ray.init(engine.address, log_to_driver=False, logging_level=logging.ERROR, **options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise InvalidParameterError(
            f"No Ray cluster could be joined or started at {engine.address or 'this machine'}: {reason[0]:.300} "
            f"Look at `ray status` there, or leave --address out to use this machine alone."
        ) from None
    try:
        with _quiet():
            yield
    finally:
        ray.shutdown()


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave it to the commands to tell how the work goes on; what Ray says is in its own log files."""
    data = ray_module("ray.data")  # it sets the level of its logger as it is imported
    with warnings.catch_warnings():
        # As the context is made, it warns of options of its own that nobody has set.
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"ray\.data\.context")
        data.DataContext.get_current()
    loggers = [logging.getLogger(name) for name in ("ray.data", "ray.train")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
