"""Estimators of aeon's kinds: a clusterer, an anomaly detector and a transformer of collections.

Each is one of vrae's estimators behind aeon's checks and conversions. The fitted one is in ``model_``, for all that
aeon has no word for. The arguments are those of the estimator, and are taken from it: there is no second list of them.
"""

from __future__ import annotations

from dataclasses import field, fields, make_dataclass
from typing import Any, ClassVar, Self

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

_CAN: dict[str, Any] = {
    "X_inner_type": ["np-list", "numpy3D"],
    "capability:multivariate": True,
    "capability:unequal_length": True,
    "capability:missing_values": True,
    "algorithm_type": "deeplearning",
}
_TINY: dict[str, Any] = {"latent_size": 2, "hidden_size": 4, "max_epochs": 1, "local_patterns": 0.0, "random_state": 0}


class _Begins:
    """What follows once the arguments are stored: aeon's own constructor, which is next in line."""

    def __post_init__(self) -> None:
        super().__init__()


def _arguments_of(estimator: type) -> type:
    """Return the constructor of an estimator, as a class for an adapter to inherit first.

    aeon reads arguments from the signature, as scikit-learn does, so they have to stand there one by one; a dataclass
    with the estimator's own fields writes them. ``on_invalid`` is left out: in aeon each series has a result.
    """
    names = [f for f in fields(estimator) if f.name != "on_invalid"]
    arguments = [(f.name, f.type, field(default=f.default, kw_only=f.kw_only)) for f in names]
    return make_dataclass(f"{estimator.__name__}Arguments", arguments, bases=(_Begins,), eq=False, repr=False)


class AeonClusterer(_arguments_of(VRAEClusterer), BaseClusterer):  # type: ignore[misc]
    """`VRAEClusterer` as a clusterer of aeon, with the same arguments except ``on_invalid``.

    Attributes
    ----------
    labels_ : ndarray of int64, shape (n_cases,)
    model_ : VRAEClusterer

    Examples
    --------
    >>> from vrae.integrations.aeon import AeonClusterer
    >>> from aeon.testing.data_generation import make_example_3d_numpy_list
    >>> X = make_example_3d_numpy_list(n_cases=10, n_channels=2, random_state=0, return_y=False)
    >>> AeonClusterer(2, max_epochs=1, random_state=0).fit_predict(X).shape
    (10,)
    """

    _tags: ClassVar[dict[str, Any]] = _CAN

    def _fit(self, X: Any, y: Any = None) -> Self:
        self.model_ = VRAEClusterer(**self.get_params(deep=False)).fit(X)
        self.labels_ = self.model_.labels_
        return self

    def _predict(self, X: Any) -> npt.NDArray[np.int64]:
        return self.model_.predict(X)

    def _predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        return self.model_.predict_proba(X)

    @classmethod
    def _get_test_params(cls, parameter_set: str = "default") -> dict[str, Any]:
        return {"n_clusters": 2, **_TINY}


class AeonAnomalyDetector(_arguments_of(VRAEAnomalyDetector), BaseCollectionAnomalyDetector):  # type: ignore[misc]
    """`VRAEAnomalyDetector` as a detector of anomalous series of aeon, with the same arguments except ``on_invalid``.

    ``predict`` returns aeon's labels: 1 is an anomaly, 0 is none. ``model_.score_samples`` has the scores,
    ``model_.step_scores`` those of every step.

    Attributes
    ----------
    model_ : VRAEAnomalyDetector

    Examples
    --------
    >>> from vrae.integrations.aeon import AeonAnomalyDetector
    >>> from aeon.testing.data_generation import make_example_3d_numpy_list
    >>> X = make_example_3d_numpy_list(n_cases=10, random_state=0, return_y=False)
    >>> int(AeonAnomalyDetector(contamination=0.1, max_epochs=1, random_state=0).fit_predict(X).sum())
    1
    """

    _tags: ClassVar[dict[str, Any]] = {
        **_CAN,
        "fit_is_empty": False,
        "anomaly_output_type": "binary",
        "learning_type:unsupervised": True,
    }

    def _fit(self, X: Any, y: Any = None) -> Self:
        self.model_ = VRAEAnomalyDetector(**self.get_params(deep=False)).fit(X)
        return self

    def _predict(self, X: Any) -> npt.NDArray[np.int64]:
        return (self.model_.predict(X) == -1).astype(np.int64)

    @classmethod
    def _get_test_params(cls, parameter_set: str = "default") -> dict[str, Any]:
        return {"contamination": 0.2, **_TINY}


class AeonTransformer(_arguments_of(VRAE), BaseCollectionTransformer):  # type: ignore[misc]
    """`VRAE` as a transformer of aeon: a collection becomes a table of latent vectors.

    The arguments are the same, except ``on_invalid``.

    Attributes
    ----------
    model_ : VRAE

    Examples
    --------
    >>> from vrae.integrations.aeon import AeonTransformer
    >>> from aeon.testing.data_generation import make_example_3d_numpy_list
    >>> X = make_example_3d_numpy_list(n_cases=10, random_state=0, return_y=False)
    >>> AeonTransformer(latent_size=4, max_epochs=1, random_state=0).fit_transform(X).shape
    (10, 4)
    """

    _tags: ClassVar[dict[str, Any]] = {
        **_CAN,
        "output_data_type": "Tabular",
        "removes_unequal_length": True,
        "removes_missing_values": True,
    }

    def _fit(self, X: Any, y: Any = None) -> Self:
        self.model_ = VRAE(**self.get_params(deep=False)).fit(X)
        return self

    def _transform(self, X: Any, y: Any = None) -> npt.NDArray[np.float32]:
        return self.model_.transform(X)

    @classmethod
    def _get_test_params(cls, parameter_set: str = "default") -> dict[str, Any]:
        return dict(_TINY)
