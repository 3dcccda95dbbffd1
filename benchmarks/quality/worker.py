"""A second process that does the work on one thread and can be stopped when it takes too long."""

from __future__ import annotations

import multiprocessing
import os
import time
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any

ONE_THREAD = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class Worker:
    """Runs methods on sets; started when first needed, and again after a job was stopped."""

    def __init__(self, folder: str | None) -> None:
        self.folder = folder
        self.process: Any = None

    def run(self, job: tuple[str, str, str, int], limit: float) -> dict[str, Any]:
        """Return the results of (set, protocol, method, seed), or the ``reason`` of a failure."""
        if self.process is None:
            os.environ.update(dict.fromkeys(ONE_THREAD, "1"))  # read when the new process imports its libraries
            context = multiprocessing.get_context("spawn")
            self.connection, theirs = context.Pipe()
            self.process = context.Process(target=_serve, args=(theirs, self.folder), daemon=True)
            self.process.start()
        self.connection.send(job)
        if self.connection.poll(limit):
            try:
                return self.connection.recv()
            except EOFError:
                reason = "the process died"
        else:
            reason = "timeout"
        self.stop()
        return {"ari": None, "nmi": None, "seconds": limit if reason == "timeout" else None, "reason": reason}

    def stop(self) -> None:
        """End the process, whatever it does."""
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None


def labels_to_text(labels: Any) -> str:
    """Write labels of up to 36 groups as one character each; "-" is none."""
    return "".join(_DIGITS[label] if label >= 0 else "-" for label in labels)


def _serve(connection: Connection, folder: str | None) -> None:
    import torch

    torch.set_num_threads(1)
    warm: set[str] = set()
    while True:
        try:
            job = connection.recv()
        except EOFError:
            return
        try:
            connection.send(_run(*job, folder, warm))
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"[:300]
            connection.send({"ari": None, "nmi": None, "seconds": None, "reason": reason})


def _run(name: str, protocol: str, method: str, seed: int, folder: str | None, warm: set[str]) -> dict[str, Any]:
    import numpy as np

    from vrae.metrics import agreement

    load, methods = import_module("sets").load, import_module("methods")
    data = load(name, protocol, folder)
    function = methods.METHODS[method]
    more = {} if data.new is None else {"new": data.new}
    if method not in warm and method in methods.LIBRARY:
        # Numba compiles on the first call, for half a minute: that is no part of the method.
        function(np.random.default_rng(0).standard_normal((12, 32)), 2, 0)
    warm.add(method)
    started = time.process_time()  # one thread: what a clock would show if the machine had nothing else to do
    labels = function(data.X, data.k, seed, **more)
    seconds = time.process_time() - started
    return {
        **agreement(data.truth, labels),
        "seconds": round(seconds, 3),
        "n": len(data.X),
        "length": data.X.shape[1],
        "k": data.k,
        "labels": labels_to_text(labels),
    }
