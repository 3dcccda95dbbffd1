"""vrae: cluster unlabelled time series with a variational recurrent auto-encoder.

Public names load on first use, so that ``import vrae`` and ``vrae --help`` answer at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vrae.data.examples import list_examples, load_example
    from vrae.data.io import read_panel
    from vrae.data.panel import Panel
    from vrae.estimators.anomaly import VRAEAnomalyDetector
    from vrae.estimators.clusterer import VRAEClusterer
    from vrae.estimators.forecaster import GroupForecaster
    from vrae.estimators.neighbors import VRAENeighbors
    from vrae.estimators.opposites import find_opposites
    from vrae.estimators.vrae import VRAE
    from vrae.persistence import load_model

__version__ = "0.1.0"

_HOME = {
    "GroupForecaster": "vrae.estimators.forecaster",
    "Panel": "vrae.data.panel",
    "VRAE": "vrae.estimators.vrae",
    "VRAEAnomalyDetector": "vrae.estimators.anomaly",
    "VRAEClusterer": "vrae.estimators.clusterer",
    "VRAENeighbors": "vrae.estimators.neighbors",
    "find_opposites": "vrae.estimators.opposites",
    "list_examples": "vrae.data.examples",
    "load_example": "vrae.data.examples",
    "load_model": "vrae.persistence",
    "read_panel": "vrae.data.io",
}

__all__ = [
    "VRAE",
    "GroupForecaster",
    "Panel",
    "VRAEAnomalyDetector",
    "VRAEClusterer",
    "VRAENeighbors",
    "__version__",
    "find_opposites",
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
    return sorted(set(globals()) | set(__all__))
