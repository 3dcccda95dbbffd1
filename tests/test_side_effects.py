"""vrae changes nothing outside of itself: threads, generators, warnings, signals, environment."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_limits

from conftest import HEADS, make_estimator, make_series
from vrae.exceptions import DataWarning, PosteriorCollapseWarning, Silence, unsaid, warn
from vrae.runtime import one_blas_thread

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

# Defines state(): all that a library could change for the whole process. `exec`, not an import, so
# that a fresh process can look before anything else is imported.
STATE = """
import decimal, faulthandler, gc, locale, logging, multiprocessing, os, random, signal, sys, threading, warnings
import numpy as np, torch

def state():
    numpys = np.random.get_state()
    return {
        "python's generator": random.getstate(),
        "numpy's generator": (numpys[1].tobytes(), numpys[2:]),
        "torch's generator": torch.get_rng_state().tolist(),
        "torch's threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "torch's defaults": (
            torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(), torch.get_float32_matmul_precision(),
            torch.are_deterministic_algorithms_enabled(), torch.is_anomaly_enabled(),
            torch.backends.mkldnn.enabled, torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark,
            torch.backends.cudnn.deterministic, torch.is_autocast_enabled("cpu"),
        ),
        "numpy's errors": (np.geterr(), np.geterrcall(), repr(np.get_printoptions())),
        "warnings": ([f for f in warnings.filters if f[2] is not FutureWarning], warnings.showwarning),
        "signals": {s: signal.getsignal(s) for s in signal.valid_signals()},
        "environment": {k: v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"},
        "locale": locale.setlocale(locale.LC_ALL),
        "logging": (
            logging.root.level, list(logging.root.handlers), logging.root.disabled, logging.getLoggerClass(),
            logging.root.manager.disable, logging.raiseExceptions,
        ),
        "hooks": (sys.excepthook, threading.excepthook, sys.unraisablehook, sys.displayhook, sys.gettrace()),
        "streams": (sys.stdout, sys.stderr, sys.stdin),
        "places": (os.getcwd(), list(sys.path), list(sys.meta_path), list(sys.path_hooks)),
        "the rest": (
            gc.isenabled(), gc.get_threshold(), gc.get_freeze_count(), sys.getrecursionlimit(),
            multiprocessing.get_start_method(allow_none=True), faulthandler.is_enabled(), repr(decimal.getcontext()),
        ),
    }
"""
_NAMESPACE: dict[str, Any] = {}
exec(STATE, _NAMESPACE)
state: Callable[[], dict[str, Any]] = _NAMESPACE["state"]

# scikit-learn and SciPy add filters of warnings, and rich draws a random number. A fit is the first
# one of the process: what only the first use changes is seen.
IMPORT = """
import rich.console, rich.markup, scipy.special, sklearn.base, sklearn.cluster, typer.rich_utils
torch.set_num_threads(2)
before = state()
import vrae, vrae.cli, vrae.runs
for name in vrae.__all__:
    getattr(vrae, name)
print([name for name, found in state().items() if found != before[name]])
X = np.random.default_rng(0).standard_normal((24, 40))
warnings.simplefilter("ignore", vrae.exceptions.VRAEWarning)
before = state()
clusterer = vrae.VRAEClusterer(2, model=vrae.VRAE(max_epochs=1), random_state=0).fit(X)
clusterer.predict(X)
clusterer.describe(X)
print([name for name, found in state().items() if found != before[name]])
"""

# The child of a process with threads: torch would wait for them forever.
FORK = """
import warnings
warnings.simplefilter("ignore")
from sklearn.frozen import FrozenEstimator
from vrae import VRAE, VRAEAnomalyDetector, VRAEClusterer, VRAENeighbors, LongSeriesDetector
torch.set_num_threads(2)
X = np.random.default_rng(0).standard_normal((40, 2, 120)).cumsum(2).astype(np.float32)
options = {"hidden_size": 136, "max_epochs": 1, "random_state": 0, "patch_size": 4}
clusterer = VRAEClusterer(2, model=VRAE(**options), random_state=0).fit(X)
detector = VRAEAnomalyDetector(model=FrozenEstimator(clusterer.model_)).fit(X)
near = VRAENeighbors(model=FrozenEstimator(clusterer.model_)).fit(X)
long = LongSeriesDetector(8).fit(X[:4, :1])
torch.randn(3_000_000).exp().sum()
torch.randn(800, 800) @ torch.randn(800, 800)
if os.fork() == 0:
    signal.alarm(100)  # ends it if it waits
    model = clusterer.model_
    model.inverse_transform(np.tile(model.transform(X), (4, 1)))
    model.reconstruct(X)
    model.score_samples(X)
    clusterer.predict(X)
    detector.step_scores(X)
    near.similar(X)
    long.score_steps(X[:4, :1])
    VRAE(**options).fit(X)
    os._exit(torch.get_num_threads())
print(os.waitstatus_to_exitcode(os.wait()[1]))
"""

# The child of a process that has only imported vrae keeps the number of threads.
CHILD = """
import vrae.estimators.clusterer
torch.set_num_threads(2)
if os.fork() == 0:
    os._exit(torch.get_num_threads())
print(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def printed(script: str) -> str:
    """Return what a script prints in a fresh process."""
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-c", STATE + script]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    return done.stdout.strip()


def test_an_import_and_the_first_fit_change_nothing():
    assert printed(IMPORT).splitlines() == ["[]", "[]"]


@forks
def test_a_forked_process_keeps_the_threads_of_torch():
    assert printed(CHILD) == "2"


@forks
def test_work_in_a_forked_process_ends_and_keeps_the_threads_of_torch():
    assert printed(FORK) == "2"


@pytest.mark.filterwarnings("ignore::vrae.exceptions.VRAEWarning")
def test_a_fit_changes_nothing(tmp_path):
    X = make_series("2d", 24)
    _work(X, tmp_path)  # the first use imports what is imported late
    before = state()
    _work(X, tmp_path)
    after = state()
    assert {name: (before[name], after[name]) for name in before if before[name] != after[name]} == {}


def _work(X: Any, folder: Path) -> None:
    for name in ("VRAE", *HEADS):
        estimator = make_estimator(name).fit(X)
        if name == "VRAE":
            estimator.transform(X)
            estimator.sample(2, random_state=0)
        if name == "VRAEClusterer":
            estimator.describe(X)
            estimator.report(X, folder / "report.html")
    estimator.predict()


def test_a_failed_fit_changes_nothing(tmp_path):
    from vrae.exceptions import TrainingError
    from vrae.train.callbacks import Callback
    from vrae.train.checkpoint import Checkpoint

    class Broken(Callback):
        def on_epoch_end(self, trainer: Any, record: Any) -> None:
            raise TrainingError("broken")

    model = make_estimator("VRAE", callbacks=[Checkpoint(tmp_path / "c"), Broken()])
    for _ in range(2):  # libraries set themselves up in the first fit of a process
        before = state()
        with pytest.raises(TrainingError, match="broken"):
            model.fit(make_series("2d"))
    changed = {name: (before[name], value) for name, value in state().items() if value != before[name]}
    assert changed == {}


def test_a_command_changes_nothing(cli, fitted, tmp_path):
    np.savetxt(tmp_path / "data.csv", make_series("2d"), delimiter=",")
    fitted("VRAEClusterer", "2d").save(tmp_path / "model")
    command = ("assign", tmp_path / "data.csv", "--model", tmp_path / "model", "--out", tmp_path / "out.csv")
    assert cli(*command).code == 0
    before = state()
    assert cli(*command).code == 0
    after = state()
    changed = {name for name, value in after.items() if value != before[name]} - {"streams", "the rest"}
    assert changed == set()  # `cli` replaces standard input, and the end of a command freezes objects


def test_threads_of_blas_are_restored_when_the_last_context_ends():
    def threads() -> list[int]:
        return [library.num_threads for library in ThreadpoolController().select(user_api="blas").lib_controllers]

    with threadpool_limits(2, user_api="blas"):
        before = threads()
        first, second = one_blas_thread(), one_blas_thread()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert set(threads()) == {1}
        second.__exit__(None, None, None)
        assert threads() == before
        lost = one_blas_thread()
        lost.__enter__()
        del lost  # as after Ctrl-C at an unlucky moment
        with one_blas_thread():
            pass
        assert threads() == before


# ---------------------------------------------------------------- warnings of several threads


def entered(context: Any) -> Any:
    context.__enter__()
    return context


def leave(context: Any) -> None:
    context.__exit__(None, None, None)


def test_a_silence_takes_out_its_own_filter_when_the_last_one_leaves():
    silence, loud = Silence(RuntimeWarning, "mean of"), ("ignore", None, BytesWarning, None, 0)
    before = list(warnings.filters)
    first, second = entered(silence()), entered(silence())
    others = entered(warnings.catch_warnings())  # a library that puts back its list when nobody is inside
    leave(first)
    warnings.warn("Mean of empty slice", RuntimeWarning, stacklevel=1)  # an error, were it not silenced
    with pytest.raises(RuntimeWarning, match="other"):
        warnings.warn("other", RuntimeWarning, stacklevel=1)
    warnings.simplefilter("ignore", BytesWarning)  # of the user
    leave(second)
    assert list(warnings.filters) == [loud, *before]
    leave(others)
    assert list(warnings.filters) == before
    lost = entered(silence())
    del lost  # as after Ctrl-C at an unlucky moment
    leave(entered(silence()))
    assert list(warnings.filters) == before


def test_warnings_are_unsaid_in_their_own_thread_alone():
    given = []

    def say() -> None:
        with pytest.warns(DataWarning, match="seen"):
            warn("seen", DataWarning)
        given.append(True)

    with unsaid(DataWarning, "se"):
        warn("seen", DataWarning)
        with pytest.warns(DataWarning, match="another"):
            warn("another", DataWarning)
        with pytest.warns(PosteriorCollapseWarning):
            warn("seen", PosteriorCollapseWarning)
        other = threading.Thread(target=say)
        other.start()
        other.join()
    say()
    assert given == [True, True]


@pytest.mark.filterwarnings("ignore::vrae.exceptions.VRAEWarning")
def test_threads_that_fit_at_once_leave_the_warnings_as_they_were():
    X = make_series("2d", 24)
    make_estimator("VRAEClusterer").fit(X)  # the first use imports what is imported late
    before = list(warnings.filters), warnings.showwarning
    threads = [threading.Thread(target=lambda: make_estimator("VRAEClusterer").fit(X)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (list(warnings.filters), warnings.showwarning) == before


def test_no_library_path_puts_back_the_filters_of_other_threads():
    package = Path(__file__).parent.parent / "src" / "vrae"
    users = {path.name for path in package.rglob("*.py") if "catch_warnings(" in path.read_text(encoding="utf-8")}
    assert users == {"app.py"}  # of the command line, whose process is its own
