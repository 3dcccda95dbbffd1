"""Connect to Ray: join a cluster, or start Ray on this machine and stop it afterwards."""

from __future__ import annotations

import importlib
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from vrae.config import check_int, check_real
from vrae.exceptions import InvalidParameterError, MissingDependencyError, Silence, check_installed, first_line

__all__ = ["EngineOptions", "Log", "connected", "ray_module"]

Log = Callable[[str], None]

# Variables for a Ray of our own: it is silent, and does not report its use on the internet.
_PRIVATE_RAY = {"RAY_BACKEND_LOG_LEVEL": "fatal", "RAY_USAGE_STATS_ENABLED": "0"}

# What to ask a server, by the scheme of its address, and who would answer.
_ASKED = {
    "": ("/ray.rpc.NodeInfoGcsService/CheckAlive", "the head of a Ray cluster. Its port is usually 6379."),
    "ray": ("/ray.rpc.RayletDriver/ClusterInfo", "a Ray client server. Its port is usually 10001."),
}
_ANSWER_SECONDS = 15
# Creating the context warns about options of Ray that nobody has set.
_UNSET_OPTIONS = Silence(DeprecationWarning, module=r"ray\.data\.context")
_PLACE = re.compile(r"(?:\[[0-9a-fA-F:.%]+\]|[^\s:/\[\]]+):(\d{1,5})")  # HOST:PORT
_SECURED = ("RAY_USE_TLS", "RAY_grpc_enable_http_proxy")


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
        with _UNSET_OPTIONS():
            data.DataContext.get_current()
        # Messages are also in Ray's log files, and vrae reports progress itself.
        for logger in map(logging.getLogger, ("ray.data", "ray.train")):
            ending.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.ERROR)
        yield


def _start(address: str | None) -> None:
    _check_address(address)
    # A private Ray needs no dashboard, and its processes write their own log files.
    options = {} if address else {"include_dashboard": False}
    try:
        with _environment({} if address else _PRIVATE_RAY):
            ray_module().init(address, log_to_driver=False, logging_level=logging.ERROR, **options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise _not_joined(address or "this machine", f"{first_line(error)}.") from None


@contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    """Set variables of the environment that the user has not set, and remove them afterwards."""
    added = [name for name in wanted if name not in os.environ]
    os.environ.update({name: wanted[name] for name in added})
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


# -------------------------------------------------------------------- whether a cluster answers


def _check_address(address: str | None) -> None:
    """Raise if no Ray answers at an address. Ray itself would wait for minutes, or never end."""
    if address in (None, "", "auto"):
        address = os.environ.get("RAY_ADDRESS") or (None if address != "auto" else _address_of_this_machine())
    if not address or address == "local" or _is_secured():
        return
    scheme, _, place = address.rpartition("://")
    if scheme not in ("", "ray"):  # a plugin of Ray
        return
    place = place.partition("/")[0].partition("?")[0]
    known = _PLACE.fullmatch(place)
    if not known or not 0 < int(known[1]) < 1 << 16:
        raise InvalidParameterError(
            f"{address!r} is not the address of a Ray cluster. Use 'auto', 'HOST:6379' or 'ray://HOST:10001'."
        )
    if reason := _no_answer(place, *_ASKED[scheme]):
        raise _not_joined(address, reason)


def _address_of_this_machine() -> str | None:
    """Return the address that "auto" stands for, None if Ray has to say why there is none."""
    with suppress(Exception):  # this function is private to Ray
        found: str | None = ray_module("ray._private.services").canonicalize_bootstrap_address("auto")
        return found
    return None


def _is_secured() -> bool:
    """Return whether connections need certificates or a proxy, which only Ray knows."""
    return any(os.environ.get(name, "0").lower() in ("1", "true") for name in _SECURED)


def _no_answer(place: str, question: str, who: str) -> str:
    """Return why a server does not answer as Ray does; nothing if it does."""
    grpc = ray_module("grpc")
    with grpc.insecure_channel(place, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            channel.unary_unary(question)(b"", timeout=_ANSWER_SECONDS)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
                return f"it did not answer within {_ANSWER_SECONDS} seconds."
            details = str(error.details())
            if error.code() == grpc.StatusCode.UNIMPLEMENTED or "parsing HTTP/2" in details:
                return f"what answers there is not {who}"
            if error.code() == grpc.StatusCode.UNAVAILABLE:
                return f"{details.rpartition(': ')[2].rstrip(']')}."
    return ""  # also if it refuses to say more without a password


def _not_joined(place: str, reason: str) -> InvalidParameterError:
    return InvalidParameterError(
        f"No Ray cluster could be joined or started at {place}: {reason:.300} "
        f"Run `ray status` there, or leave --address out to use this machine alone."
    )
