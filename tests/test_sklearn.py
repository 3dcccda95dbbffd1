"""scikit-learn's own checks of every estimator, and its tools applied to them.

Its checks pass rows of numbers. Here each row is a short series.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, clone, is_clusterer, is_outlier_detector
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks, get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from vrae import VRAE, GroupForecaster, Panel, VRAEAnomalyDetector, VRAEClusterer, VRAENeighbors, load_model
from vrae.data.batching import Indices
from vrae.exceptions import DataTypeError, InvalidDataError, InvalidParameterError, NotFittedError

pytestmark = [
    pytest.mark.filterwarnings("ignore::vrae.exceptions.PosteriorCollapseWarning"),  # an epoch teaches little
    pytest.mark.filterwarnings("ignore:Estimator's parameters changed after estimator was constructed"),
]

OPTIONS: dict[str, Any] = {
    "latent_size": 2,
    "hidden_size": 4,
    "patch_size": 2,
    "pattern_weight": 0.0,
    "max_epochs": 1,
    "batch_size": 16,
    "learning_rate": 0.03,
    "device": "cpu",
}
# The blobs of the checks differ in their level, which scaling each series on its own would remove.
MODEL = VRAE(**OPTIONS, scaling="channel")
ESTIMATORS = [
    clone(MODEL).set_params(random_state=0),
    VRAEClusterer(2, model=MODEL, random_state=0),
    VRAEAnomalyDetector(model=MODEL, random_state=0),
    VRAENeighbors(1, model=MODEL, random_state=0),
    GroupForecaster(1, 1, n_backtests=1, classical=False, model=VRAE(**OPTIONS), random_state=0),
]
ANY_LENGTH = "series may have any length, so no number of features is wrong"
NO_FORECAST = "its rows have 2 steps, and a forecast needs 3"


def known_failures(estimator: BaseEstimator) -> dict[str, str]:
    """Return the checks that contradict the design, each with the reason."""
    found = {"check_n_features_in_after_fitting": ANY_LENGTH}
    if isinstance(estimator, (VRAE, VRAEClusterer)):
        found["check_transformer_general"] = ANY_LENGTH
    if isinstance(estimator, VRAEClusterer):
        found["check_estimators_partial_fit_n_features"] = ANY_LENGTH
    if isinstance(estimator, VRAEAnomalyDetector):
        found["check_outliers_train"] = ANY_LENGTH
    if isinstance(estimator, GroupForecaster):
        found["check_estimators_overwrite_params"] = NO_FORECAST
        found["check_estimators_fit_returns_self"] = NO_FORECAST
        found["check_readonly_memmap_input"] = NO_FORECAST
        found["check_fit_idempotent"] = NO_FORECAST
        found["check_fit_check_is_fitted"] = NO_FORECAST
        found["check_n_features_in"] = NO_FORECAST
    return found


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=known_failures)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


# ---------------------------------------------------------------- what the known failures hide


class OneLengthVRAE(VRAE):
    """A model that refuses other lengths than those of fit, in scikit-learn's words."""

    def open(self, X: Any) -> tuple[Panel, Indices]:
        panel, indices = super().open(X)
        if (found := int(panel.lengths[0])) != (expected := self.n_features_in_):
            raise InvalidDataError(
                f"X has {found} features, but {type(self).__name__} is expecting {expected} features as input."
            )
        return panel, indices


def one_length(estimator: BaseEstimator) -> BaseEstimator:
    """Return an estimator with the same options whose model takes one length only."""
    if isinstance(estimator, VRAE):
        return OneLengthVRAE(**estimator.get_params())
    return clone(estimator).set_params(model=OneLengthVRAE(**MODEL.get_params()))


@pytest.mark.parametrize("estimator", ESTIMATORS[:4], ids=lambda e: type(e).__name__)
def test_only_free_lengths_fail_these_checks(estimator):
    for check, reason in known_failures(estimator).items():
        if reason is ANY_LENGTH:
            getattr(estimator_checks, check)(type(estimator).__name__, one_length(estimator))


def rows_of(n: int = 30, n_steps: int = 8, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.sin(np.arange(n_steps) + 3.0 * rng.random((n, 1))) + 0.1 * rng.standard_normal((n, n_steps))


def test_decisions_do_not_depend_on_the_other_series():
    X = rows_of(12)
    detector = clone(ESTIMATORS[2]).fit(X)
    alone = np.concatenate([detector.decision_function(x[None]) for x in X])
    np.testing.assert_allclose(alone, detector.decision_function(X), atol=1e-4)
    order = np.random.default_rng(0).permutation(len(X))
    np.testing.assert_allclose(detector.decision_function(X[order]), detector.decision_function(X)[order], atol=1e-4)


def test_a_forecaster_with_enough_steps_does_what_its_known_failures_check():
    X, forecaster = rows_of(), clone(ESTIMATORS[4])
    X.setflags(write=False)
    before = forecaster.get_params()
    with pytest.raises(NotFittedError):
        forecaster.predict()
    assert forecaster.fit(X) is forecaster
    assert forecaster.get_params() == before
    assert forecaster.n_features_in_ == 8
    np.testing.assert_array_equal(forecaster.predict(X), clone(forecaster).fit(X).predict(X))
    assert not hasattr(forecaster, "partial_fit")


def test_a_forecaster_says_how_many_steps_it_needs():
    for n_steps in (1, 2):
        with pytest.raises(InvalidDataError, match=r"at least 3|longer\s+series"):
            clone(ESTIMATORS[4]).fit(rows_of(n_steps=n_steps))
    two_backtests = clone(ESTIMATORS[4]).set_params(n_backtests=2)
    assert two_backtests.fit(rows_of(n_steps=3)).predict().shape == (30, 1)


# ---------------------------------------------------------------- tags, types, pickles


def test_tags_are_true():
    for estimator in ESTIMATORS:
        tags = get_tags(estimator)
        assert tags.input_tags.two_d_array
        assert tags.input_tags.three_d_array
        assert tags.input_tags.allow_nan
        assert not tags.input_tags.sparse
        assert not tags.input_tags.one_d_array
        assert tags.requires_fit
        assert not tags.non_deterministic
        assert is_clusterer(estimator) == isinstance(estimator, VRAEClusterer)
        assert is_outlier_detector(estimator) == isinstance(estimator, VRAEAnomalyDetector)
        assert (tags.transformer_tags is not None) == isinstance(estimator, (VRAE, VRAEClusterer))
    assert get_tags(ESTIMATORS[0]).transformer_tags.preserves_dtype == ["float32"]


def test_data_without_numbers_is_a_type_error_too():
    for bad in ({"a": [1.0]}, [[1.0, {"b": 2}], [1.0, 2.0]], np.array([[print, 1.0]] * 3)):
        with pytest.raises(TypeError) as raised:
            clone(ESTIMATORS[0]).fit(bad)
        assert isinstance(raised.value, DataTypeError)
        assert isinstance(raised.value, ValueError)


def test_n_features_in_is_known_if_all_series_have_one_length(tmp_path):
    model = clone(ESTIMATORS[0]).fit(rows_of())
    assert model.n_features_in_ == 8
    assert load_model(model.save(tmp_path / "same")).n_features_in_ == 8
    assert clone(model).fit(rows_of().reshape(15, 2, 8)).n_features_in_ == 16
    assert model.fit([*rows_of(5), *rows_of(5, 9)]).embedding_.shape == (10, 2)
    assert not hasattr(model, "n_features_in_")
    assert not hasattr(load_model(model.save(tmp_path / "unequal")), "n_features_in_")


def test_neighbours_can_be_pickled_after_a_search():
    model = clone(ESTIMATORS[3]).fit(rows_of())
    distances, indices = model.kneighbors(n_neighbors=2)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.kneighbors(n_neighbors=2)[1], indices)
    assert np.isfinite(distances).all()


# ---------------------------------------------------------------- tables out


def test_set_output():
    for check in (
        "check_set_output_transform",
        "check_set_output_transform_pandas",
        "check_set_output_transform_polars",
        "check_global_output_transform_pandas",
        "check_global_set_output_transform_polars",
        "check_transformer_get_feature_names_out",
    ):
        getattr(estimator_checks, check)("VRAE", ESTIMATORS[0])  # the only transformer


def test_a_pandas_index_is_kept():
    items = pd.Index([f"item {i}" for i in range(30)], name="item")
    wide = pd.DataFrame(rows_of(), index=items)
    model = clone(ESTIMATORS[0]).set_output(transform="pandas").fit(wide)
    pd.testing.assert_index_equal(model.transform(wide).index, items)
    later = wide.reset_index(drop=True).iloc[10:13]
    assert model.transform(later).index.tolist() == [10, 11, 12]
    names = np.repeat([f"s{i}" for i in range(30)], 8)
    long = pd.DataFrame({"unique_id": names, "ds": np.tile(np.arange(8), 30), "y": rows_of().ravel()})
    for table in (long, pl.from_pandas(long), long.set_index(["unique_id", "ds"])):
        Z = model.transform(table)
        assert Z.index.name == "unique_id"
        assert Z.index.tolist() == list(dict.fromkeys(names))
    named = model.fit_transform(long)
    pd.testing.assert_frame_equal(named, model.transform(long))


# ---------------------------------------------------------------- pipelines, searches, workers


def test_a_search_compares_models_by_their_score():
    X = rows_of()
    search = GridSearchCV(ESTIMATORS[0], {"max_epochs": [1, 20]}, cv=2).fit(X)
    assert search.best_params_ == {"max_epochs": 20}  # a trained model explains held-out series better
    model = search.best_estimator_
    assert model.score(X) == pytest.approx(model.score_samples(X).sum() / X.size)
    holes = X.copy()
    holes[:, 3] = np.nan
    assert model.score(holes) == pytest.approx(model.score_samples(holes).sum() / (X.size - len(X)))
    kept = clone(model).set_params(on_invalid="keep").fit(X)
    assert np.isnan(kept.score(np.full((2, 8), np.nan)))
    assert kept.score(np.vstack([X, np.full((1, 8), np.nan)])) == pytest.approx(kept.score(X))


def test_a_search_for_clusters_takes_a_scorer_with_labels():
    y = np.arange(40) % 2
    X = rows_of(40) + 5 * y[:, None]
    assert clone(ESTIMATORS[1]).fit(X).score(X) == pytest.approx(clone(ESTIMATORS[0]).fit(X).score(X))
    estimator = clone(ESTIMATORS[1]).set_params(model__max_epochs=15)
    search = GridSearchCV(estimator, {"n_clusters": [1, 2]}, scoring="adjusted_rand_score", cv=2).fit(X, y)
    assert search.best_params_ == {"n_clusters": 2}


def test_pipelines_end_in_a_classifier_and_name_their_columns():
    y = np.array(["low", "high"] * 20)
    X = rows_of(40) + 5 * (y == "high")[:, None]
    negative = FunctionTransformer(np.negative, feature_names_out="one-to-one")
    pipeline = make_pipeline(negative, clone(ESTIMATORS[0]).set_params(max_epochs=10), LogisticRegression())
    assert cross_val_score(pipeline, X, y, cv=2).mean() > 0.9
    assert pipeline.fit(X, y)[:-1].get_feature_names_out().tolist() == ["vrae0", "vrae1"]
    assert pipeline[:-1].set_output(transform="pandas").transform(X).columns.tolist() == ["vrae0", "vrae1"]


def test_metadata_is_routed_to_methods_that_take_it():
    X = rows_of()
    with config_context(enable_metadata_routing=True):
        model = clone(ESTIMATORS[0])
        routing = model.get_metadata_routing()
        assert routing.inverse_transform.requests == {"n_steps": None}
        assert not routing.fit.requests | routing.partial_fit.requests | routing.score.requests
        pipeline = make_pipeline(model.set_inverse_transform_request(n_steps=True))
        Z = pipeline.fit_transform(X)
        assert pipeline.inverse_transform(Z, n_steps=5).shape == (30, 5)


@pytest.mark.slow
def test_worker_processes_find_what_one_process_finds():
    X = rows_of()
    one, two = (
        GridSearchCV(ESTIMATORS[0], {"latent_size": [1, 2]}, cv=2, n_jobs=n, error_score="raise").fit(X) for n in (1, 2)
    )
    np.testing.assert_allclose(one.cv_results_["mean_test_score"], two.cv_results_["mean_test_score"], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_workers_do_not_wait_for_threads_of_their_parent():
    code = (
        "import numpy as np, torch\n"
        "from joblib import Parallel, delayed\n"
        "from vrae import VRAE\n"
        "torch.set_num_threads(2)\n"
        "X = np.random.default_rng(0).standard_normal((8, 20))\n"
        "def fit():\n"
        "    return VRAE(hidden_size=160, max_epochs=1, patch_size=10, random_state=0).fit(X).embedding_\n"
        "here = fit()\n"
        "there = Parallel(2, backend='multiprocessing')(delayed(fit)() for _ in range(2))\n"
        "print(all(np.allclose(here, other, atol=1e-4) for other in there), torch.get_num_threads())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=180, check=True)
    assert done.stdout.split() == ["True", "2"]


def test_a_wrong_number_of_feature_names_is_refused():
    model = clone(ESTIMATORS[0]).fit(rows_of())
    with pytest.raises(InvalidParameterError, match="length equal to number of features"):
        model.get_feature_names_out(["a"])
