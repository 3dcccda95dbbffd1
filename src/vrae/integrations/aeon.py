"""Adapters for aeon: a clusterer, a detector of anomalous series and a transformer.

Each passes aeon's checks and conversions to one of vrae's estimators, which is in ``estimator_``
after `fit`.
"""

from __future__ import annotations

from dataclasses import field, fields, make_dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt

from vrae.estimators.anomaly import VRAEAnomalyDetector
from vrae.estimators.clusterer import VRAEClusterer
from vrae.estimators.vrae import VRAE
from vrae.exceptions import MissingDependencyError

try:
    from aeon.anomaly_detection.collection.base import BaseCollectionAnomalyDetector
    from aeon.clustering.base import BaseClusterer
    from aeon.transformations.collection.base import BaseCollectionTransformer
except ImportError:
    raise MissingDependencyError("vrae.integrations.aeon needs aeon: pip install aeon") from None

__all__ = ["AeonAnomalyDetector", "AeonClusterer", "AeonTransformer"]

_TAGS: dict[str, Any] = {
    "X_inner_type": ["np-list", "numpy3D"],
    "capability:multivariate": True,
    "capability:unequal_length": True,
    "capability:missing_values": True,
    "algorithm_type": "deeplearning",
}
# Options of the model in aeon's own checks.
_TINY: dict[str, Any] = {"latent_size": 2, "hidden_size": 4, "max_epochs": 1, "pattern_weight": 0.0, "random_state": 0}


class AeonClusterer(BaseClusterer):  # type: ignore[misc]
    """`VRAEClusterer` as an aeon clusterer.

    Parameters
    ----------
    n_clusters : int or "auto", default="auto"
    clusterer : {"kmeans", "gmm", "ward", "hdbscan"} or scikit-learn clusterer, default="kmeans"
    false_alarm_rate : float or None, default=0.01
    model : VRAE, FrozenEstimator or None, default=None
    random_state : int, RandomState or None, default=None
        See `VRAEClusterer` for all parameters.

    Attributes
    ----------
    labels_ : ndarray of int64, shape (n_cases,)
        Cluster of every training series.
    estimator_ : VRAEClusterer
        The fitted clusterer.

    Examples
    --------
    >>> from vrae import VRAE
    >>> from vrae.integrations.aeon import AeonClusterer
    >>> from aeon.testing.data_generation import make_example_3d_numpy_list
    >>> X = make_example_3d_numpy_list(n_cases=10, n_channels=2, random_state=0, return_y=False)
    >>> AeonClusterer(2, model=VRAE(max_epochs=1), random_state=0).fit_predict(X).shape
    (10,)
    """

    _tags: ClassVar[dict[str, Any]] = _TAGS

    def __init__(
        self,
        n_clusters: int | Literal["auto"] = "auto",
        *,
        clusterer: Any = "kmeans",
        false_alarm_rate: float | None = 0.01,
        model: Any = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.clusterer = clusterer
        self.false_alarm_rate = false_alarm_rate
        self.model = model
        self.random_state = random_state
        super().__init__()

    def _fit(self, X: Any, y: Any = None) -> Self:
        self.estimator_ = VRAEClusterer(**self.get_params(deep=False)).fit(X)
        for name in ("names_", "partition_", "tree_"):  # made when first read, and aeon's checks see any change
            getattr(self.estimator_, name)
        self.labels_ = self.estimator_.labels_
        return self

    def _predict(self, X: Any) -> npt.NDArray[np.int64]:
        return self.estimator_.predict(X)

    def _predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        return self.estimator_.predict_proba(X)

    @classmethod
    def _get_test_params(cls, parameter_set: str = "default") -> dict[str, Any]:
        return {"n_clusters": 2, "model": VRAE(**_TINY)}


class AeonAnomalyDetector(BaseCollectionAnomalyDetector):  # type: ignore[misc]
    """`VRAEAnomalyDetector` as an aeon detector of anomalous series.

    ``predict`` returns aeon's labels: 1 for an anomaly, 0 for a normal series.
    ``estimator_.score_samples`` returns the scores, ``estimator_.step_scores`` those of each step.

    Parameters
    ----------
    contamination : float or "auto", default=0.05
    false_alarm_rate : float, default=0.01
    model : VRAE, FrozenEstimator or None, default=None
    random_state : int, RandomState or None, default=None
        See `VRAEAnomalyDetector` for all parameters.

    Attributes
    ----------
    estimator_ : VRAEAnomalyDetector
        The fitted detector.

    Examples
    --------
    >>> from vrae import VRAE
    >>> from vrae.integrations.aeon import AeonAnomalyDetector
    >>> from aeon.testing.data_generation import make_example_3d_numpy_list
    >>> X = make_example_3d_numpy_list(n_cases=10, random_state=0, return_y=False)
    >>> detector = AeonAnomalyDetector(contamination=0.1, model=VRAE(max_epochs=1), random_state=0)
    >>> int(detector.fit_predict(X).sum())
    1
    """

    _tags: ClassVar[dict[str, Any]] = {
        **_TAGS,
        "fit_is_empty": False,
        "anomaly_output_type": "binary",
        "learning_type:unsupervised": True,
    }

    def __init__(
        self,
        contamination: float | Literal["auto"] = 0.05,
        false_alarm_rate: float = 0.01,
        *,
        model: Any = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.contamination = contamination
        self.false_alarm_rate = false_alarm_rate
        self.model = model
        self.random_state = random_state
        super().__init__()

    def _fit(self, X: Any, y: Any = None) -> Self:
        self.estimator_ = VRAEAnomalyDetector(**self.get_params(deep=False)).fit(X)
        return self

    def _predict(self, X: Any) -> npt.NDArray[np.int64]:
        return (self.estimator_.predict(X) == -1).astype(np.int64)

    @classmethod
    def _get_test_params(cls, parameter_set: str = "default") -> dict[str, Any]:
        return {"contamination": 0.2, "model": VRAE(**_TINY)}


class _CallsNextConstructor:
    def __post_init__(self) -> None:
        super().__init__()


# aeon reads options from the signature of the constructor. A dataclass with the fields of VRAE has
# that signature. It lacks ``on_invalid``, since in aeon every series has a result.
_VRAEOptions: Any = make_dataclass(
    "_VRAEOptions",
    [(f.name, f.type, field(default=f.default, kw_only=True)) for f in fields(VRAE) if f.name != "on_invalid"],
    bases=(_CallsNextConstructor,),
    eq=False,
    repr=False,
)


class AeonTransformer(_VRAEOptions, BaseCollectionTransformer):  # type: ignore[misc]
    """`VRAE` as an aeon transformer: from a collection to a table of latent vectors.

    It has the parameters of `VRAE`, except ``on_invalid``.

    Attributes
    ----------
    estimator_ : VRAE
        The fitted model.

    Examples
    --------
    >>> from vrae.integrations.aeon import AeonTransformer
    >>> from aeon.testing.data_generation import make_example_3d_numpy_list
    >>> X = make_example_3d_numpy_list(n_cases=10, random_state=0, return_y=False)
    >>> AeonTransformer(latent_size=4, max_epochs=1, random_state=0).fit_transform(X).shape
    (10, 4)
    """

    _tags: ClassVar[dict[str, Any]] = {
        **_TAGS,
        "output_data_type": "Tabular",
        "removes_unequal_length": True,
        "removes_missing_values": True,
    }

    def _fit(self, X: Any, y: Any = None) -> Self:
        self.estimator_ = VRAE(**self.get_params(deep=False)).fit(X)
        return self

    def _transform(self, X: Any, y: Any = None) -> npt.NDArray[np.float32]:
        return self.estimator_.transform(X)

    @classmethod
    def _get_test_params(cls, parameter_set: str = "default") -> dict[str, Any]:
        return dict(_TINY)
