"""Device, precision, threads and random generators."""

from __future__ import annotations

import functools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from inspect import isfunction
from threading import Event
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch
from sklearn.utils import check_random_state
from threadpoolctl import LibController, ThreadpoolController, threadpool_limits

from vrae.exceptions import InvalidParameterError, SharedContext, did_you_mean
from vrae.phases import stoppable

__all__ = [
    "SafeInForks",
    "autocast",
    "one_blas_thread",
    "one_thread",
    "ordered_map",
    "resolve_device",
    "safe_in_forks",
    "seed_of",
    "torch_generator",
    "work_threads",
]

Item = TypeVar("Item")
Result = TypeVar("Result")
Given = ParamSpec("Given")

# Up to this width of the recurrent layers, one thread is fastest.
_SMALL_HIDDEN = 128

# The process that imported this. Another one was forked from it.
_PROCESS = os.getpid()


def resolve_device(device: str | torch.device, precision: str = "float32") -> torch.device:
    """Return the device for ``"auto"`` (CUDA if available, else the CPU) or for a name.

    Raises
    ------
    InvalidParameterError
        The device is unknown or not available, or does not support the precision.
    """
    if isinstance(device, str) and device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError):
        known = ("auto", "cpu", "cuda", "mps")
        raise InvalidParameterError(f"device: unknown value {device!r}.{did_you_mean(str(device), known)}") from None
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(resolved.type, False):
        raise InvalidParameterError(
            f"device={str(device)!r} is not available on this machine. Use device='auto' or device='cpu'."
        )
    if resolved.type == "cpu" and precision in ("float16", "bfloat16"):
        raise InvalidParameterError(f"precision={precision!r} needs a GPU; found {device!r}. Use precision='float32'.")
    return resolved


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """Return a context in which matrix products run at ``precision``. Weights stay float32."""
    if precision == "float32" or device.type == "cpu":  # a model from a GPU may be used on the CPU
        return nullcontext()
    return torch.autocast(device.type, dtype=getattr(torch, precision))


@contextmanager
def work_threads(device: torch.device, hidden_size: int) -> Iterator[None]:
    """Run the kernels of a small network in one thread, then restore torch's number of threads.

    A step of a small network takes microseconds. Threads gain almost nothing, and on a busy machine
    they wait for each other: four processes on two cores were twenty times slower.
    """
    with _one_torch_thread() if _is_small(device, hidden_size) or _is_forked() else nullcontext():
        yield


@functools.cache
def _libraries() -> ThreadpoolController:
    """Return the libraries with threads that the first call finds, in some milliseconds."""
    return ThreadpoolController()


class _OneBlasThread(SharedContext):
    """Limits BLAS while any thread of the process is inside; the last one restores it."""

    def __init__(self) -> None:
        super().__init__()
        self._before: list[tuple[LibController, int]] = []  # libraries, and their threads outside

    def _hold(self) -> None:
        if not self._before:
            blas = _libraries().select(user_api="blas").lib_controllers
            self._before = [(library, library.num_threads) for library in blas]
        for library, _ in self._before:
            library.set_num_threads(1)

    def _end(self) -> None:
        for library, threads in self._before:
            library.set_num_threads(threads)
        self._before = []


# A context in which NumPy and SciPy multiply matrices in one thread. Ours are small, and threads
# would wait for each other longer than they work.
one_blas_thread = _OneBlasThread()


@contextmanager
def one_thread() -> Iterator[None]:
    """Run NumPy, SciPy and scikit-learn in one thread, then restore their number of threads."""
    with one_blas_thread(), _libraries().limit(limits=1, user_api="openmp"):
        yield


def safe_in_forks(work: Callable[Given, Result]) -> Callable[Given, Result]:
    """Make a function run with one BLAS thread, and in one thread at all in a forked process.

    A forked process, such as a worker of joblib's "multiprocessing" backend, lacks the threads of
    its parent. torch and scikit-learn would wait for them forever. The threads are restored
    afterwards.
    """

    @functools.wraps(work)
    def safely(*args: Given.args, **options: Given.kwargs) -> Result:
        if not _is_forked():
            with one_blas_thread():
                return work(*args, **options)
        with _one_torch_thread(), threadpool_limits(1):
            return work(*args, **options)

    return safely


class SafeInForks:
    """Base of classes whose public methods run as `safe_in_forks` says."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, method in list(vars(cls).items()):
            if isfunction(method) and not name.startswith("_"):
                setattr(cls, name, safe_in_forks(method))


def _is_small(device: torch.device, hidden_size: int) -> bool:
    return device.type == "cpu" and hidden_size <= _SMALL_HIDDEN


def _is_forked() -> bool:
    return os.getpid() != _PROCESS


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    if before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def ordered_map(
    work: Callable[[Item], Result], items: Iterable[Item], device: torch.device, hidden_size: int
) -> Iterator[Result]:
    """Yield ``work(item)`` for each item, in order.

    On the CPU, small networks process several items in parallel, one thread each: as many as torch
    has threads. The number of waiting results is bounded by the same number. Until the last item,
    torch runs in one thread in the caller too: its threads would wait on cores that others work on.

    If the caller stops, as after Ctrl-C, items that wait are not begun, and the others end at their
    next `vrae.phases.check_stopped`.
    """
    workers = torch.get_num_threads() if _is_small(device, hidden_size) and not _is_forked() else 1
    if workers == 1:
        yield from map(work, items)
        return
    waiting: deque[Future[Result]] = deque()
    stop = Event()
    work = stoppable(work, stop)
    with _one_torch_thread(), ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            stop.set()
            for future in waiting:
                future.cancel()


def seed_of(random_state: int | np.random.RandomState | None) -> int:
    """Return a seed for scikit-learn's ``random_state``. An int always gives the same seed."""
    if random_state is None:  # scikit-learn would advance numpy's global state
        return int(np.random.default_rng().integers(2**31))
    try:
        return int(check_random_state(random_state).randint(2**31))
    except ValueError as error:
        raise InvalidParameterError(
            f"random_state must be a whole number from 0 to 2**32 - 1, a RandomState or None; found {random_state!r} "
            f"({error})."
        ) from None


def torch_generator(seed: int, device: torch.device | None = None) -> torch.Generator:
    """Return a new generator. torch's global random state is never touched."""
    return torch.Generator(device=device or torch.device("cpu")).manual_seed(seed)
