"""The same answer twice: in another process, with other threads, in other company, from many callers at once."""

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
from vrae.estimators import base

pytestmark = pytest.mark.filterwarnings("ignore::vrae.exceptions.PosteriorCollapseWarning")

METHODS = ("transform", "predict_proba", "score_samples", "reconstruct")

# Up to 128 wide, a network runs in one thread whatever torch is allowed; a wider one shares its work out.
WIDTHS = (8, 136)

FIT = """if True:
    import json, sys, warnings
    import numpy as np, torch
    from vrae import VRAEClusterer
    warnings.simplefilter("ignore")
    X, every = json.loads(sys.argv[1])
    torch.set_num_threads(2)
    models = [VRAEClusterer(**options).fit(np.array(X)) for options in every]
    print(json.dumps([[model.labels_.tolist(), model.embedding_.tolist()] for model in models]))
"""


def fitted_elsewhere(X: np.ndarray, every: list[dict[str, Any]]) -> Any:
    """Fit in a process of its own, with two threads, another hash seed and another number of OpenMP's threads."""
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
    """Let a test change how many threads torch uses."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
def test_another_process_with_other_threads_learns_the_same(small_series, tiny):
    X = small_series("2d", 8)
    every = [
        {**tiny, "n_clusters": 2, "local_patterns": 0.0, "hidden_size": width, "max_epochs": 1} for width in WIDTHS
    ]
    for options, (labels, embedding) in zip(every, fitted_elsewhere(X, every), strict=True):
        here = VRAEClusterer(**options).fit(X)
        assert labels == here.labels_.tolist()
        if options["hidden_size"] <= 128:
            np.testing.assert_array_equal(np.array(embedding, np.float32), here.embedding_)
        np.testing.assert_allclose(embedding, here.embedding_, atol=1e-5)


@pytest.mark.parametrize("n_threads", [1, 2, 5])
@pytest.mark.parametrize("method", METHODS)
def test_the_number_of_threads_does_not_matter(n_threads, method, small_series, fitted, threads, monkeypatch):
    monkeypatch.setattr(base, "_INFERENCE_BATCH", 4)  # several batches, so that there is something to share out
    model, X = fitted("VRAEClusterer"), small_series("missing", 30, seed=5)
    expected = getattr(model, method)(X)
    torch.set_num_threads(n_threads)
    np.testing.assert_array_equal(getattr(model, method)(X), expected)
    assert torch.get_num_threads() == n_threads


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize("options", [{}, {"local_patterns": 1.0, "max_lag": 2}], ids=str)
def test_the_cut_into_batches_does_not_matter(size, options, small_series, fitted, monkeypatch):
    model, X = fitted("VRAEClusterer", **options), small_series("list", 30, seed=5)
    labels, Z = model.predict(X), model.transform(X)
    monkeypatch.setattr(base, "_INFERENCE_BATCH", size)
    assert model.predict(X).tolist() == labels.tolist()
    np.testing.assert_allclose(model.transform(X), Z, atol=1e-5)


# ---------------------------------------------------------------- many callers


@pytest.mark.parametrize("method", METHODS)
def test_many_threads_get_the_answers_of_one(method, small_series, fitted, threads):
    torch.set_num_threads(2)
    model = fitted("VRAEClusterer")
    inputs = [small_series("2d", 5, seed=seed) for seed in range(24)]
    expected = [getattr(model, method)(X) for X in inputs]
    together = threading.Barrier(8)

    def ask(X: np.ndarray) -> Any:
        if not together.broken:
            together.wait(10)  # all at once
        return getattr(model, method)(X)

    with ThreadPoolExecutor(8) as pool:
        for found, wanted in zip(pool.map(ask, inputs), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)
    assert torch.get_num_threads() == 2


def test_two_fits_at_once_do_not_disturb_each_other(small_series, tiny):
    X = small_series("2d")
    expected = [VRAE(**{**tiny, "random_state": seed}).fit_transform(X) for seed in range(3)]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda seed: VRAE(**{**tiny, "random_state": seed}).fit_transform(X), range(3)))
    np.testing.assert_array_equal(found, expected)


_MODEL: Any = None


def _ask(X: np.ndarray) -> np.ndarray:
    return _MODEL.transform(X)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
def test_forked_workers_give_the_same(small_series, fitted, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "_MODEL", fitted("VRAEClusterer", local_patterns=1.0))
    inputs = [small_series("2d", 5, seed=seed) for seed in range(4)]
    expected = [_ask(X) for X in inputs]  # everything there is to start is running before the fork
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found = pool.map_async(_ask, inputs).get(timeout=60)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
def test_joblib_gives_the_same(small_series, fitted):
    from joblib import Parallel, delayed

    model = fitted("VRAEClusterer")
    inputs = [small_series("2d", 5, seed=seed) for seed in range(4)]
    found = Parallel(n_jobs=2, backend="multiprocessing", timeout=60)(delayed(model.transform)(X) for X in inputs)
    np.testing.assert_array_equal(found, [model.transform(X) for X in inputs])


class Latent(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """Latent vectors worked out by the workers of a DataLoader."""

    def __init__(self, model: Any, X: np.ndarray) -> None:
        self.model, self.X = model, X

    def __len__(self) -> int:
        return len(self.X)

    def __getitem__(self, row: int) -> np.ndarray:
        return self.model.transform(self.X[row : row + 1])[0]


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
def test_workers_of_a_data_loader_give_the_same(small_series, fitted):
    model, X = fitted("VRAEClusterer"), small_series("2d", 8, seed=5)
    loader = torch.utils.data.DataLoader(Latent(model, X), batch_size=4, num_workers=2, timeout=60)
    np.testing.assert_allclose(torch.cat(list(loader)).numpy(), model.transform(X), atol=1e-5)
