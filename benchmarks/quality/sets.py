"""The data sets of the quality benchmark, as arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vrae import load_example

SETS = [
    "ArrowHead",
    "BME",
    "CBF",
    "Coffee",
    "DistalPhalanxTW",
    "ECG200",
    "ECG5000",
    "GunPoint",
    "ItalyPowerDemand",
    "Lightning2",
    "MiddlePhalanxTW",
    "OSULeaf",
    "Plane",
    "ProximalPhalanxTW",
    "Trace",
    "TwoLeadECG",
]
PROTOCOLS = ("merged", "test", "whole")


class Data(NamedTuple):
    """What a method gets, ``X`` (n, t) and perhaps ``new`` (m, t), and the true classes."""

    X: np.ndarray
    new: np.ndarray | None
    truth: np.ndarray
    k: int


def load(name: str, protocol: str, folder: str | Path | None = None) -> Data:
    """Load a set of the UCR archive, every series z-normalised.

    Parameters
    ----------
    name : str
    protocol : {"merged", "test", "whole"}
        "merged": train and test in one, clustered and scored together; of ECG5000 the train file
        only. "whole": the same without that exception. "test": fitted to the train file, scored on
        the test file.
    folder : path, optional
        See ``data_dir`` of `vrae.load_example`.
    """
    part: Any = "train" if protocol == "merged" and name == "ECG5000" else None
    panel, labels = load_example(name, data_dir=folder, split=part)
    X, truth = znorm(panel.to_padded()[:, 0]), np.unique(labels, return_inverse=True)[1]
    k = int(truth.max()) + 1
    if protocol != "test":
        return Data(X, None, truth, k)
    test = panel.static["split"] == "test"
    return Data(X[~test], X[test], truth[test], k)


def znorm(X: np.ndarray) -> np.ndarray:
    """Give every series (..., t) mean 0 and standard deviation 1; a constant one becomes 0."""
    X = X - X.mean(axis=-1, keepdims=True)
    spread = X.std(axis=-1, keepdims=True)
    return X / np.where(spread > 1e-8, spread, 1)
