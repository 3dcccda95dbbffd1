"""A second process that does the work on one thread and can be stopped when it takes too long."""

from __future__ import annotations

import multiprocessing
import os
import time
import warnings
from collections.abc import Callable
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any

ONE_THREAD = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
Job = tuple[str, str, str, int]  # set, protocol, method, seed
_NOTHING = {"ari": None, "nmi": None, "seconds": None}


class Worker:
    """Runs methods on sets; started when first needed, and again after a job was stopped."""

    def __init__(self, folder: str | None) -> None:
        self.folder = folder
        self.process: Any = None

    def run(self, job: Job, limit: float) -> dict[str, Any]:
        """Return the results of a job, or the ``reason`` of a failure."""
        if self.process is None:
            os.environ.update(dict.fromkeys(ONE_THREAD, "1"))  # read when the new process imports its libraries
            context = multiprocessing.get_context("spawn")
            self.connection, theirs = context.Pipe()
            self.process = context.Process(target=_serve, args=(theirs, self.folder), daemon=True)
            self.process.start()
            theirs.close()  # so that the end of the process is seen here
        self.connection.send(job)
        reason = f"longer than {limit:.0f} s"
        try:
            failed = self.connection.recv()  # None: the data is loaded, and the method compiled
            if failed or self.connection.poll(limit):
                return failed or self.connection.recv()
        except EOFError:
            reason = "the process died"
        self.stop()
        return {**_NOTHING, "reason": reason}

    def stop(self) -> None:
        """End the process, whatever it does."""
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None


def labels_to_text(labels: Any) -> str:
    """Write labels as one character each, from "0" on in the order of Unicode; "-" is none."""
    return "".join(chr(ord("0") + label) if label >= 0 else "-" for label in labels)


def _serve(connection: Connection, folder: str | None) -> None:
    import torch

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    warm: set[str] = set()
    while True:
        try:
            job = connection.recv()
        except EOFError:
            return
        try:
            run = _prepare(job, folder, warm)
            connection.send(None)
            connection.send(run())
        except Exception as error:
            connection.send({**_NOTHING, "reason": f"{type(error).__name__}: {error}"[:300]})


def _prepare(job: Job, folder: str | None, warm: set[str]) -> Callable[[], dict[str, Any]]:
    """Load the data, compile the method, and return what runs it."""
    import numpy as np

    name, protocol, method, seed = job
    load, methods = import_module("sets").load, import_module("methods")
    data, function = load(name, protocol, folder), methods.METHODS[method]
    more = {} if data.new is None else {"new": data.new}
    X = data.panel if data.panel is not None and method in methods.AS_THEY_ARE else data.X
    if method not in warm:
        # Numba compiles on the first call, for half a minute: that is no part of the method.
        function(np.random.default_rng(0).standard_normal((60, 32)), 2, 0)
    warm.add(method)
    return lambda: _run(lambda: function(X, data.k, seed, **more), data, protocol)


def _run(cluster: Callable[[], Any], data: Any, protocol: str) -> dict[str, Any]:
    from vrae.metrics import agreement

    started = time.process_time()  # one thread: what a clock would show if the machine had nothing else to do
    labels = cluster()
    seconds = time.process_time() - started
    return {
        **agreement(data.truth, labels),
        "seconds": round(seconds, 3),
        "n": len(data.X),
        "length": data.X.shape[-1],
        "k": data.k,
        **({"labels": labels_to_text(labels)} if protocol == "merged" else {}),
    }
