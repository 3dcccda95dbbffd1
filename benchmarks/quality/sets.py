"""The data sets of the quality benchmark, as arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vrae import Panel, load_example
from vrae.metrics import resample

# UCR sets of equal length without gaps, in alphabetical order.
SUITE = [
    "ACSF1",
    "ArrowHead",
    "BME",
    "Beef",
    "CBF",
    "Coffee",
    "Computers",
    "Crop",
    "DiatomSizeReduction",
    "DistalPhalanxOutlineAgeGroup",
    "DistalPhalanxTW",
    "ECG200",
    "ECG5000",
    "ECGFiveDays",
    "EOGHorizontalSignal",
    "Earthquakes",
    "FaceFour",
    "FiftyWords",
    "Fish",
    "GunPoint",
    "GunPointAgeSpan",
    "GunPointMaleVersusFemale",
    "GunPointOldVersusYoung",
    "Ham",
    "Haptics",
    "Herring",
    "HouseTwenty",
    "ItalyPowerDemand",
    "LargeKitchenAppliances",
    "Lightning2",
    "Lightning7",
    "Meat",
    "MedicalImages",
    "MelbournePedestrian",
    "MiddlePhalanxOutlineAgeGroup",
    "MiddlePhalanxTW",
    "MoteStrain",
    "OSULeaf",
    "PigAirwayPressure",
    "Plane",
    "ProximalPhalanxOutlineAgeGroup",
    "ProximalPhalanxTW",
    "Rock",
    "ShapesAll",
    "SmallKitchenAppliances",
    "SmoothSubspace",
    "Strawberry",
    "SwedishLeaf",
    "SyntheticControl",
    "Trace",
    "TwoLeadECG",
    "TwoPatterns",
    "UMD",
    "Wine",
    "WordSynonyms",
    "Worms",
]
HALF_A, HALF_B = SUITE[::2], SUITE[1::2]
# The sixteen sets of the first edition. Its defaults were chosen on them.
OLD = [
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
# Unequal lengths, gaps, or several channels.
OTHER = [
    "BasicMotions",
    "DodgerLoopDay",
    "GestureMidAirD1",
    "JapaneseVowels",
    "PLAID",
    "PickupGestureWiimoteZ",
    "RacketSports",
]
PROTOCOLS = {"merged": SUITE, "test": SUITE, "other": OTHER}
MOST_STEPS = 500  # of resampled series


class Data(NamedTuple):
    """What a method gets, and the true classes."""

    X: np.ndarray  # (n, t), or (n, channels, t)
    new: np.ndarray | None  # (m, t): series to assign, which are then scored instead of X
    truth: np.ndarray
    k: int
    panel: Panel | None = None  # the series as they are, for methods that take them


def load(name: str, protocol: str, folder: str | Path | None = None) -> Data:
    """Load a set of the UCR or UEA archive, every series z-normalised.

    Parameters
    ----------
    name : str
    protocol : {"merged", "whole", "test", "other"}
        "merged": train and test in one, clustered and scored together; of ECG5000 the train file
        only. "whole": the same without that exception. "test": fitted to the train file, scored on
        the test file. "other": merged; gaps are bridged and series resampled to one length.
    folder : path, optional
        See ``data_dir`` of `vrae.load_example`.
    """
    part: Any = "train" if protocol == "merged" and name == "ECG5000" else None
    panel, labels = load_example(name, data_dir=folder, split=part)
    X, truth = panel.to_padded(), np.unique(labels, return_inverse=True)[1]
    k = int(truth.max()) + 1
    if protocol == "other":
        return Data(znorm(resample(X, min(X.shape[2], MOST_STEPS))), None, truth, k, panel)
    complete = np.isfinite(X).all(axis=(1, 2))  # a few series of MelbournePedestrian have gaps
    X, truth, test = znorm(X[complete, 0]), truth[complete], panel.static["split"][complete] == "test"
    return Data(X[~test], X[test], truth[test], k) if protocol == "test" else Data(X, None, truth, k)


def znorm(X: np.ndarray) -> np.ndarray:
    """Give every series (..., t) mean 0 and standard deviation 1; a constant one becomes 0."""
    X = X - X.mean(axis=-1, keepdims=True)
    spread = X.std(axis=-1, keepdims=True)
    return X / np.where(spread > 1e-8, spread, 1)
