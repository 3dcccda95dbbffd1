"""The same results in other processes, with other numbers of threads, and from many callers."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch

from vrae import VRAE, VRAEClusterer
from vrae.train import inference

pytestmark = [
    pytest.mark.filterwarnings("ignore::vrae.exceptions.PosteriorCollapseWarning"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),  # Python 3.12
]

METHODS = ("transform", "predict_proba", "score_samples", "reconstruct")

# Up to a width of 128, a network runs in one thread. A wider one uses as many as torch has.
WIDTHS = (8, 136)

FIT = """if True:
    import json, sys, warnings
    import numpy as np, torch
    from vrae import VRAE, VRAEClusterer
    warnings.simplefilter("ignore")
    X, every = json.loads(sys.argv[1])
    torch.set_num_threads(2)
    fits = [VRAEClusterer(2, model=VRAE(**options), random_state=0).fit(np.array(X)) for options in every]
    print(json.dumps([[c.labels_.tolist(), c.embedding_.tolist()] for c in fits]))
"""


def fit_in_another_process(X: np.ndarray, every: list[dict[str, Any]]) -> Any:
    """Fit in another process, with two threads and another hash seed."""
    environment = {"PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive"}
    done = subprocess.run(
        [sys.executable, "-c", FIT, json.dumps([X.tolist(), every])],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    return json.loads(done.stdout)


@pytest.fixture
def threads() -> Iterator[None]:
    """Restore the number of torch's threads after a test."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def ask(clusterer: Any, method: str, X: Any) -> Any:
    owner = clusterer if method == "predict_proba" else clusterer.model_
    return getattr(owner, method)(X)


@pytest.mark.slow
@pytest.mark.full_training
def test_another_process_with_other_threads_gives_the_same_fit(small_series, tiny):
    X = small_series("2d", 8)
    wide = [{**tiny, "pattern_weight": 0.0, "hidden_size": width, "max_epochs": 1} for width in WIDTHS]
    every = [{}, *wide]  # the first is the default estimator
    for options, (labels, embedding) in zip(every, fit_in_another_process(X, every), strict=True):
        here = VRAEClusterer(2, model=VRAE(**options), random_state=0).fit(X)
        assert labels == here.labels_.tolist()
        if here.model_.hidden_size <= 128:
            np.testing.assert_array_equal(np.array(embedding, np.float32), here.embedding_)
        np.testing.assert_allclose(embedding, here.embedding_, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_results_do_not_depend_on_the_number_of_threads(method, small_series, fitted, threads, monkeypatch):
    monkeypatch.setattr(inference, "BATCH_SIZE", 4)  # several batches to distribute
    clusterer, X = fitted("VRAEClusterer"), small_series("missing", 30, seed=5)
    expected = ask(clusterer, method, X)
    for n_threads in (1, 2, 5):
        torch.set_num_threads(n_threads)
        np.testing.assert_array_equal(ask(clusterer, method, X), expected)
        assert torch.get_num_threads() == n_threads


@pytest.mark.parametrize("options", [{}, {"pattern_weight": 1.0, "max_lag": 2}], ids=["default", "shifts"])
def test_results_do_not_depend_on_the_batches(options, small_series, fitted, monkeypatch):
    clusterer, X = fitted("VRAEClusterer", **options), small_series("list", 30, seed=5)
    labels, Z = clusterer.predict(X), clusterer.model_.transform(X)
    for size in (1, 2, 7, 1000):
        monkeypatch.setattr(inference, "BATCH_SIZE", size)
        assert clusterer.predict(X).tolist() == labels.tolist()
        np.testing.assert_allclose(clusterer.model_.transform(X), Z, atol=1e-5)


# ---------------------------------------------------------------- many callers


@pytest.mark.parametrize("method", METHODS)
def test_many_threads_get_the_results_of_one(method, small_series, fitted, threads):
    torch.set_num_threads(2)
    clusterer = fitted("VRAEClusterer")
    inputs = [small_series("2d", 5, seed=seed) for seed in range(24)]
    expected = [ask(clusterer, method, X) for X in inputs]
    together = threading.Barrier(8)

    def ask_together(X: np.ndarray) -> Any:
        if not together.broken:
            together.wait(10)  # all at once
        return ask(clusterer, method, X)

    with ThreadPoolExecutor(8) as pool:
        for found, wanted in zip(pool.map(ask_together, inputs), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)
    assert torch.get_num_threads() == 2


def test_concurrent_fits_do_not_disturb_each_other(small_series, tiny):
    X = small_series("2d")
    expected = [VRAE(**{**tiny, "random_state": seed}).fit_transform(X) for seed in range(3)]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda seed: VRAE(**{**tiny, "random_state": seed}).fit_transform(X), range(3)))
    np.testing.assert_array_equal(found, expected)


_MODEL: Any = None


def _transform(X: np.ndarray) -> Any:
    return _MODEL.transform(X)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
def test_forked_workers_give_the_same(small_series, fitted, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "_MODEL", fitted("VRAE", pattern_weight=1.0))
    inputs = [small_series("2d", 5, seed=seed) for seed in range(4)]
    expected = [_transform(X) for X in inputs]  # starts torch's threads before the fork
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found = pool.map_async(_transform, inputs).get(timeout=60)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
def test_joblib_gives_the_same(small_series, fitted):
    from joblib import Parallel, delayed  # type: ignore[import-untyped]

    model = fitted("VRAE")
    inputs = [small_series("2d", 5, seed=seed) for seed in range(4)]
    found = Parallel(n_jobs=2, backend="multiprocessing", timeout=60)(delayed(model.transform)(X) for X in inputs)
    np.testing.assert_array_equal(found, [model.transform(X) for X in inputs])


class Latent(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """Latent vectors that the workers of a DataLoader compute."""

    def __init__(self, model: Any, X: np.ndarray) -> None:
        self.model, self.X = model, X

    def __len__(self) -> int:
        return len(self.X)

    def __getitem__(self, row: int) -> np.ndarray:
        Z: np.ndarray = self.model.transform(self.X[row : row + 1])
        return Z[0]


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
def test_workers_of_a_data_loader_give_the_same(small_series, fitted):
    model, X = fitted("VRAE"), small_series("2d", 8, seed=5)
    loader = torch.utils.data.DataLoader(Latent(model, X), batch_size=4, num_workers=2, timeout=60)
    np.testing.assert_allclose(torch.cat(list(loader)).numpy(), model.transform(X), atol=1e-5)
