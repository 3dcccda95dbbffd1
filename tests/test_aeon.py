"""The adapters pass aeon's checks, and give the results of the estimators behind them."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from vrae import VRAE, VRAEAnomalyDetector, VRAEClusterer
from vrae.exceptions import InvalidDataError

aeon = pytest.importorskip("aeon")

from aeon.pipeline import make_pipeline  # noqa: E402
from aeon.testing.estimator_checking import parametrize_with_checks  # noqa: E402

from vrae.integrations.aeon import AeonAnomalyDetector, AeonClusterer, AeonTransformer  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::vrae.exceptions.PosteriorCollapseWarning"),
    pytest.mark.filterwarnings("ignore:.*very little variation:UserWarning"),
]

ADAPTERS: dict[Any, Any] = {
    AeonClusterer: VRAEClusterer,
    AeonAnomalyDetector: VRAEAnomalyDetector,
    AeonTransformer: VRAE,
}
TINY: dict[str, Any] = {"latent_size": 2, "hidden_size": 4, "max_epochs": 2, "pattern_weight": 0.0, "random_state": 0}


def tiny_options(adapter):
    return TINY if adapter is AeonTransformer else {"model": VRAE(**TINY), "random_state": 0}


@parametrize_with_checks(list(ADAPTERS))
def test_aeons_checks(check):
    check()


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_parameters_are_those_of_the_estimator(adapter):
    theirs = dict(inspect.signature(ADAPTERS[adapter]).parameters)
    theirs.pop("on_invalid", None)
    ours = inspect.signature(adapter).parameters
    assert {n: (p.kind, p.default) for n, p in ours.items()} == {n: (p.kind, p.default) for n, p in theirs.items()}
    assert list(ours) == list(theirs)


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_series_of_any_length_with_gaps_and_channels(adapter):
    rng = np.random.default_rng(0)
    X = [rng.standard_normal((2, n)) for n in rng.integers(8, 15, 20)]
    X[3][1, 2:5] = np.nan
    fitted = adapter(**tiny_options(adapter)).fit(X)
    model = ADAPTERS[adapter](**tiny_options(adapter)).fit(X)
    if adapter is AeonTransformer:
        np.testing.assert_array_equal(fitted.transform(X), model.transform(X))
    elif adapter is AeonClusterer:
        np.testing.assert_array_equal(fitted.labels_, model.labels_)
        np.testing.assert_array_equal(fitted.predict_proba(X), model.predict_proba(X))
    else:
        found = fitted.predict(X)
        np.testing.assert_array_equal(found == 1, model.predict(X) == -1)
        assert found.sum() == 1  # a twentieth of 20


@pytest.mark.filterwarnings("ignore:All-NaN slice:RuntimeWarning", "ignore:Degrees of freedom:RuntimeWarning")
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_series_without_values_is_named(adapter):
    X = np.random.default_rng(0).standard_normal((5, 1, 8))
    X[3] = np.nan
    with pytest.raises(InvalidDataError, match=r"without any observed value.* ids 3"):
        adapter(**tiny_options(adapter)).fit(X)


def test_a_clusterer_of_scikit_learn_is_passed_on():
    from sklearn.cluster import BisectingKMeans

    inner = BisectingKMeans()
    X = np.random.default_rng(0).standard_normal((20, 1, 12))
    fitted = AeonClusterer(3, clusterer=inner, model=VRAE(**TINY)).fit(X)
    assert fitted.get_params()["clusterer__n_init"] == 1
    assert len(np.unique(fitted.labels_)) == 3
    assert not hasattr(inner, "labels_")


def test_the_transformer_removes_missing_values_in_a_pipeline():
    rng = np.random.default_rng(0)
    y = np.arange(30) % 2
    X = rng.standard_normal((30, 1, 16)) + 6 * y[:, None, None]
    X[rng.random(X.shape) < 0.2] = np.nan
    transformer = AeonTransformer(**{**TINY, "max_epochs": 20, "scaling": "channel", "learning_rate": 0.03})
    pipeline = make_pipeline(transformer, LogisticRegression())
    assert (pipeline.fit(X, y).predict(X) == y).mean() > 0.9


def test_without_aeon_one_line_says_what_is_missing():
    code = (
        "import sys; sys.modules['aeon'] = None\n"
        "import vrae\n"
        "vrae.VRAEClusterer\n"
        "try:\n"
        "    import vrae.integrations.aeon\n"
        "except ImportError as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "MissingDependencyError vrae.integrations.aeon needs aeon: pip install aeon\n"
