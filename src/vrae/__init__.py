"""vrae: cluster unlabelled time series with a variational recurrent autoencoder.

Public names are imported on first use, so that ``import vrae`` and ``vrae --help`` are fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vrae._version import __version__

if TYPE_CHECKING:
    from vrae.data.datasets import list_examples, load_example
    from vrae.data.panel import Panel
    from vrae.data.reading import read_panel
    from vrae.estimators.anomaly import VRAEAnomalyDetector
    from vrae.estimators.cannibalization import find_cannibalization
    from vrae.estimators.clusterer import VRAEClusterer
    from vrae.estimators.forecaster import GroupForecaster
    from vrae.estimators.loading import load_model
    from vrae.estimators.long_series import LongSeriesDetector
    from vrae.estimators.neighbors import VRAENeighbors
    from vrae.estimators.vrae import VRAE

_HOME = {
    "GroupForecaster": "vrae.estimators.forecaster",
    "LongSeriesDetector": "vrae.estimators.long_series",
    "Panel": "vrae.data.panel",
    "VRAE": "vrae.estimators.vrae",
    "VRAEAnomalyDetector": "vrae.estimators.anomaly",
    "VRAEClusterer": "vrae.estimators.clusterer",
    "VRAENeighbors": "vrae.estimators.neighbors",
    "find_cannibalization": "vrae.estimators.cannibalization",
    "list_examples": "vrae.data.datasets",
    "load_example": "vrae.data.datasets",
    "load_model": "vrae.estimators.loading",
    "read_panel": "vrae.data.reading",
}

__all__ = [
    "VRAE",
    "GroupForecaster",
    "LongSeriesDetector",
    "Panel",
    "VRAEAnomalyDetector",
    "VRAEClusterer",
    "VRAENeighbors",
    "__version__",
    "find_cannibalization",
    "list_examples",
    "load_example",
    "load_model",
    "read_panel",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'vrae' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
