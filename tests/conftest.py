"""Small series, and estimators with tiny models, that many tests share."""

from __future__ import annotations

import io
import os
import random
import re
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import settings

import vrae
from vrae import VRAE, Panel
from vrae.exceptions import PosteriorCollapseWarning
from vrae.train import placement

pytest_plugins = ["browser_pages"]

# Every kind of input that an estimator takes as X.
KINDS = ("2d", "3d", "list", "list of channels", "missing", "panel")

# Options of a VRAE that trains in a moment. Patches of 2 exercise folding.
TINY: dict[str, Any] = {
    "latent_size": 3,
    "hidden_size": 8,
    "patch_size": 2,
    "max_epochs": 2,
    "batch_size": 8,
    "learning_rate": 0.02,
    "device": "cpu",
    "random_state": 0,
}

# Options of every head, and options of its model in addition to `TINY`.
HEADS: dict[str, dict[str, Any]] = {
    "VRAEClusterer": {"n_clusters": 2},
    "VRAEAnomalyDetector": {},
    "VRAENeighbors": {},
    "GroupForecaster": {"horizon": 2, "n_clusters": 1, "season_length": 1, "n_backtests": 1, "classical": False},
}
# A forecaster without groups, season and classical models, for what does not depend on them.
TINY_FORECASTER: dict[str, Any] = {
    "n_clusters": 1,
    "n_backtests": 1,
    "classical": False,
    "season_length": 1,
    "random_state": 0,
    "model": VRAE(hidden_size=8, latent_size=3, pattern_weight=0.0, max_epochs=1, device="cpu"),
}
_OF_MODEL: dict[str, dict[str, Any]] = {"VRAEAnomalyDetector": {"beta": 0.3}}


def pytest_configure() -> None:
    settings.register_profile("without deadlines", deadline=None)  # a busy machine makes every test slow
    settings.load_profile("without deadlines")
    torch.set_num_threads(1)  # on tensors this small, threads only wait for each other
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what runs in its background
        signal.signal(signal.SIGINT, signal.default_int_handler)


# Steps in which the places of series are learned. Most of a small fit is this, and most tests need
# some places, not good ones. Tests marked `full_training` take as many steps as a user's fit.
SHORT = {"_STEPS": 20, "_CONTINUED_STEPS": 10}
FULL = {name: getattr(placement, name) for name in SHORT}


def _set_steps(node: Any, patch: pytest.MonkeyPatch) -> None:
    marked = any(node.get_closest_marker(name) for name in ("full_training", "data"))
    is_full = marked or isinstance(node, pytest.DoctestItem)
    for name, steps in (FULL if is_full else SHORT).items():
        patch.setattr(placement, name, steps)


@pytest.fixture(scope="module", autouse=True)
def steps_of_module_fixtures(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        _set_steps(request.node, patch)
        yield


@pytest.fixture(autouse=True)
def steps_of_test(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    _set_steps(request.node, monkeypatch)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("data") and not os.environ.get("VRAE_DATA"):
        pytest.skip("VRAE_DATA is not set: it names the folder with the data sets")


def wait_for(words: bytes, terminal: int) -> None:
    """Read from the end of a terminal until these words were written, which may come in parts."""
    said = b""
    while words not in said:
        said += os.read(terminal, 1 << 16)


def make_series(kind: str, n: int = 12, seed: int = 0) -> Any:
    """Return ``n`` noisy waves, slow and fast in turn, as one of `KINDS`."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(11, 21, n) if "list" in kind or kind == "panel" else np.full(n, 16)
    channels = 2 if kind in ("3d", "list of channels") else 1
    series = []
    for row, length in enumerate(lengths):
        period = (12, 4)[row % 2]
        wave = np.sin(2 * np.pi * (np.arange(length) + rng.uniform(0, 2)) / period)
        series.append(5 + 3 * wave + 0.3 * rng.standard_normal((channels, length)))
    if kind == "list of channels":
        return series
    if kind in ("list", "panel"):
        series = [x[0] for x in series]
        return series if kind == "list" else Panel.from_arrays(series, ids=[f"s{i}" for i in range(n)])
    array = np.stack(series) if kind == "3d" else np.stack(series)[:, 0]
    if kind == "missing":
        array[rng.random(array.shape) < 0.2] = np.nan
        array[:, 3] = 5.0  # at least one value each
    return array


def make_estimator(name: str, **options: Any) -> Any:
    """Return an estimator, unfitted, with a tiny model.

    Options that the class does not have itself go to its model: ``n_clusters=3, latent_size=4``
    make ``VRAEClusterer(n_clusters=3, model=VRAE(latent_size=4, ...))``. The ``random_state`` of a
    head reaches its model.
    """
    if name == "VRAE":
        return VRAE(**{**TINY, **options})
    head = getattr(vrae, name)
    own = {"random_state": TINY["random_state"], **HEADS[name]}
    own |= {option: options.pop(option) for option in list(options) if option in head._get_param_names()}
    of_model = {**TINY, **_OF_MODEL.get(name, {}), "random_state": None, **options}
    return head(**{"model": VRAE(**of_model), **own})


@pytest.fixture(scope="session")
def small_series() -> Callable[..., Any]:
    return make_series


@pytest.fixture(scope="session")
def tiny() -> dict[str, Any]:
    return dict(TINY)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


_PHASE = re.compile(r"\[[\d.]+ (s|min|h)[^\]]*\] [A-Z]")


class Done(NamedTuple):
    """Exit code and output of a command."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """What the command said on stderr, without the lines of its phases."""
        return "".join(line for line in self.err.splitlines(keepends=True) if not _PHASE.match(line))


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Return ``cli("cluster", path, ..., feed=bytes)``, which runs `vrae.cli.main` here."""
    from vrae.cli import main

    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*arguments: Any, feed: bytes = b"") -> Done:
        monkeypatch.setattr(sys, "argv", ["vrae", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(feed)))
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        return Done(code, *capsys.readouterr())

    return run


@cache
def _fitted(name: str, kind: str, options: tuple[tuple[str, Any], ...]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PosteriorCollapseWarning)  # two epochs teach little
        return make_estimator(name, **dict(options)).fit(make_series(kind))


@pytest.fixture(scope="session")
def fitted() -> Callable[..., Any]:
    """Return ``fitted(class_name, kind, **options)``, trained once per session: do not change it.

    `make_estimator` explains the options.
    """

    def fit(name: str = "VRAE", kind: str = "2d", **options: Any) -> Any:
        return _fitted(name, kind, tuple(sorted(options.items())))

    return fit


@pytest.fixture
def global_random_state() -> Callable[[], Any]:
    """Return a function for the state of python's, numpy's and torch's global generators."""

    def state() -> Any:
        numpys: Any = np.random.get_state()  # noqa: NPY002
        return random.getstate(), numpys[1].tobytes(), numpys[2], torch.get_rng_state().tolist()

    return state
