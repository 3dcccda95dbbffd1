"""Heads have a model: how it is configured, shared, trained and saved."""

from __future__ import annotations

import inspect
import re
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClusterMixin, clone
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import vrae
from conftest import HEADS, TINY, make_estimator
from vrae import VRAE, GroupForecaster, Panel, VRAEAnomalyDetector, VRAEClusterer, VRAENeighbors, load_model
from vrae.exceptions import InvalidDataError, InvalidParameterError, NotFittedError, PosteriorCollapseWarning
from vrae.nn.model import VRAENetwork
from vrae.train.callbacks import Callback
from vrae.train.trainer import Trainer

pytestmark = pytest.mark.filterwarnings("ignore::vrae.exceptions.PosteriorCollapseWarning")

# Heads that can share a model. A forecaster trains several models of its own.
SHARING = ("VRAEClusterer", "VRAEAnomalyDetector", "VRAENeighbors")


def forbid_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def trains(*args: Any) -> None:
        raise AssertionError("a network was trained")

    monkeypatch.setattr(Trainer, "fit", trains)


@pytest.fixture
def no_training(fitted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make training fail, from the test on."""
    fitted("VRAE", "2d")
    forbid_training(monkeypatch)


def result_of(estimator: Any, X: Any) -> Any:
    """Return what a head says of series."""
    if isinstance(estimator, VRAEClusterer):
        return estimator.predict_proba(X)
    return estimator.score_samples(X) if isinstance(estimator, VRAEAnomalyDetector) else estimator.kneighbors(X)[0]


def assert_unchanged(estimator: Any, before: dict[str, Any]) -> None:
    """Check that no attribute was added, removed or replaced."""
    assert set(vars(estimator)) == set(before)
    assert [name for name, value in vars(estimator).items() if value is not before[name]] == []


# ---------------------------------------------------------------- options


def test_constructors_are_short():
    assert len(inspect.signature(VRAE).parameters) <= 25
    for name in HEADS:
        parameters = inspect.signature(getattr(vrae, name)).parameters
        assert 3 <= len(parameters) <= 10
        assert list(parameters)[-2:] == ["model", "random_state"]
        # It belongs to the model. Clusterers of scikit-learn have it too.
        assert ("transform" in dir(getattr(vrae, name))) == (name == "VRAEClusterer")


def test_docstrings_list_exactly_the_options():
    for name in ("VRAE", *HEADS):
        kind = getattr(vrae, name)
        doc = inspect.cleandoc(vars(kind)["__doc__"])
        section = re.search(r"^Parameters\n-+\n(.*?)^\w+\n-+\n", doc, re.DOTALL | re.MULTILINE)
        assert section is not None
        listed = [
            option for line in re.findall(r"^(\S.*?) : ", section[1], re.MULTILINE) for option in line.split(", ")
        ]
        assert listed == list(inspect.signature(kind).parameters), name


@pytest.mark.parametrize("name", HEADS)
def test_options_of_the_model_are_reached_through_the_head(name):
    kind = getattr(vrae, name)
    head = kind(model=VRAE(latent_size=5))
    assert head.get_params()["model__latent_size"] == 5
    assert head.set_params(model__latent_size=6, model__beta=2.0).model.latent_size == 6
    assert "model__latent_size" not in head.get_params(deep=False)
    with pytest.raises(ValueError, match="latent_sizes"):
        head.set_params(model__latent_sizes=3)


@pytest.mark.parametrize("name", HEADS)
def test_options_of_the_default_model_can_be_set(name):
    head = getattr(vrae, name)()
    assert head.get_params()["model"] is None
    expected = {**head.default_model().get_params(), "latent_size": 6}
    assert head.set_params(model__latent_size=6) is head
    assert head.model.get_params() == expected
    # A search sets the model and its options in one call.
    given = {"model": None, "model__hidden_size": 7}
    assert head.set_params(**given).model.get_params() == {**head.default_model().get_params(), "hidden_size": 7}
    assert given == {"model": None, "model__hidden_size": 7}
    assert head.set_params(model=VRAE(beta=3.0), model__hidden_size=9).model.beta == 3.0


def test_options_reach_a_head_in_a_pipeline(tiny):
    pipeline = make_pipeline(FunctionTransformer(np.negative), VRAEClusterer(2))
    pipeline.set_params(vraeclusterer__model__latent_size=3)
    assert pipeline[-1].model.latent_size == 3


@pytest.mark.parametrize("name", HEADS)
def test_a_model_option_of_a_head_is_a_type_error_with_the_right_call(name):
    kind = getattr(vrae, name)
    with pytest.raises(TypeError, match=rf"no option 'latent_size'.*{name}\(model=VRAE\(latent_size=8\)\)"):
        kind(latent_size=8)
    with pytest.raises(TypeError, match=r"model=VRAE\(cell='gru', max_lag=0.5\)"):
        kind(cell="gru", max_lag=0.5, random_state=0)
    with pytest.raises(TypeError, match="unexpected keyword argument 'latent'"):
        kind(latent=8)


@pytest.mark.parametrize("name", HEADS)
def test_clone_copies_the_model_too(name):
    head = make_estimator(name, latent_size=5)
    again = clone(head)
    assert again.model is not head.model
    assert again.get_params(deep=False).keys() == head.get_params(deep=False).keys()
    assert again.model.get_params() == head.model.get_params()
    again.set_params(model__latent_size=2)
    assert head.model.latent_size == 5


@pytest.mark.parametrize("model", [VRAE(**{**TINY, "max_epochs": 1}), None], ids=["given", "default"])
def test_a_search_tries_options_of_the_model(model, small_series):
    X = small_series("2d")
    options = {"model__latent_size": [2, 3], "model__max_epochs": [1]}
    search = GridSearchCV(VRAEClusterer(2, model=model, random_state=0), options, cv=2, error_score="raise").fit(X)
    best = search.best_estimator_
    assert best.embedding_.shape == (12, search.best_params_["model__latent_size"])
    assert best.score(X) == best.model_.score(X)
    if model is not None:
        assert model.latent_size == TINY["latent_size"]


# ---------------------------------------------------------------- the model is a template


@pytest.mark.parametrize("name", HEADS)
def test_the_seed_of_a_head_is_that_of_its_model_unless_it_has_one(name, small_series):
    X = small_series("2d", 20)
    of_head = make_estimator(name, max_epochs=1, random_state=3)
    assert of_head.model.random_state is None
    of_head.fit(X)
    if name != "GroupForecaster":  # which derives one for all of its models
        assert of_head.model_.random_state == 3
    of_model = clone(of_head).set_params(model__random_state=4).fit(X)
    assert of_model.model_.random_state == 4
    assert not np.array_equal(of_head.embedding_, of_model.embedding_)
    np.testing.assert_array_equal(clone(of_head).fit(X).embedding_, of_head.embedding_)
    if name == "VRAEClusterer":
        alone = clone(of_head.model).set_params(random_state=3).fit(X)
        np.testing.assert_array_equal(of_head.embedding_, alone.embedding_)


class Counter(Callback):
    """A user's own callback."""

    def __init__(self) -> None:
        self.epochs = 0

    def on_epoch_end(self, trainer: Any, record: Any) -> None:
        self.epochs += 1


@pytest.mark.parametrize("name", HEADS)
def test_the_users_model_is_neither_fitted_nor_changed(name, small_series):
    counter = Counter()
    head = make_estimator(name, callbacks=[counter])
    model, before = head.model, dict(vars(head.model))
    for method in (head.fit, getattr(head, "partial_fit", head.fit)):
        method(small_series("2d"))
        assert head.model is model
        assert_unchanged(model, before)
        assert isinstance(head.model_, VRAE)
        assert head.model_ is not model
    assert counter.epochs >= 2 * TINY["max_epochs"]  # the callback itself was called, not a copy


@pytest.mark.parametrize("name", SHARING)
def test_a_given_trainer_trains_the_model(name, small_series):
    class Recording:
        """Something that trains, and is not vrae's own trainer."""

        def __init__(self) -> None:
            self.networks: list[Any] = []

        def fit(self, network: Any, data: Any, task: Any) -> Any:
            self.networks.append(network)
            return Trainer().fit(network, data, task)

    trainer, X = Recording(), small_series("2d")
    head = make_estimator(name)
    assert head.fit(X, trainer=trainer) is head
    assert trainer.networks == [head.model_.network_]
    assert isinstance(trainer.networks[0], VRAENetwork)
    np.testing.assert_array_equal(head.embedding_, clone(head).fit(X).embedding_)
    model = VRAE(**TINY).fit(X, trainer=trainer)
    assert trainer.networks[1] is model.network_


# ---------------------------------------------------------------- one model for several heads


@pytest.fixture
def frozen(fitted: Any) -> FrozenEstimator:
    """Return a fitted model that no head trains again."""
    return FrozenEstimator(fitted("VRAE", "2d"))


@pytest.mark.parametrize("name", SHARING)
def test_heads_share_one_fitted_model(name, frozen, small_series, no_training):
    X, model = small_series("2d"), frozen.estimator
    before = dict(vars(model))
    head = make_estimator(name, model=frozen).fit(X)
    assert head.model_ is model
    assert_unchanged(model, before)
    np.testing.assert_allclose(head.embedding_, model.embedding_, atol=1e-6)
    again = clone(head).fit(X)  # clone() keeps what is frozen
    np.testing.assert_array_equal(result_of(again, X), result_of(head, X))
    of_a_head = make_estimator(name, model=FrozenEstimator(head)).fit(X)  # the model of another head
    assert of_a_head.model_ is model


@pytest.mark.parametrize("name", SHARING)
def test_a_frozen_model_gives_the_result_of_its_own_fit(name, small_series):
    X, head = small_series("2d"), make_estimator(name)
    model = clone(head.model).set_params(random_state=0).fit(X)
    shared = clone(head).set_params(model=FrozenEstimator(model)).fit(X)
    np.testing.assert_allclose(result_of(shared, X), result_of(head.fit(X), X), atol=1e-6)


@pytest.mark.parametrize("name", SHARING)
def test_a_frozen_model_serves_other_series_saved_and_loaded(name, frozen, small_series, no_training, tmp_path):
    X = Panel.from_arrays(small_series("list", 15, seed=7), ids=[f"other{i}" for i in range(15)])
    head = make_estimator(name, model=frozen).fit(X)
    assert head.ids_.tolist() == X.ids.tolist()
    np.testing.assert_allclose(head.embedding_, frozen.estimator.transform(X), atol=1e-6)
    loaded = load_model(head.save(tmp_path / "model"))
    np.testing.assert_array_equal(loaded.ids_, head.ids_)
    np.testing.assert_array_equal(loaded.embedding_, head.embedding_)
    np.testing.assert_array_equal(result_of(loaded, X), result_of(head, X))
    np.testing.assert_array_equal(loaded.model_.ids_, frozen.estimator.ids_)  # what the model was fitted to
    np.testing.assert_array_equal(loaded.model_.embedding_, frozen.estimator.embedding_)


@pytest.mark.parametrize("name", SHARING)
def test_what_is_no_model_is_refused(name, fitted, small_series):
    X = small_series("2d")
    unfitted = FrozenEstimator(VRAE()), FrozenEstimator(VRAEClusterer()), FrozenEstimator(VRAENeighbors())
    for model in unfitted:
        with pytest.raises(NotFittedError, match=f"This {type(model.estimator).__name__} is not fitted yet"):
            make_estimator(name, model=model).fit(X)
    other = FrozenEstimator(PCA()), FrozenEstimator(fitted("GroupForecaster")), FrozenEstimator(GroupForecaster())
    for model in other:
        with pytest.raises(
            InvalidParameterError, match=f"must be a VRAE; found a frozen {type(model.estimator).__name__}"
        ):
            make_estimator(name, model=model).fit(X)
    for model in (PCA(), VRAE, "VRAE", {"latent_size": 3}, VRAEClusterer()):
        with pytest.raises(InvalidParameterError, match="model must be a VRAE, a FrozenEstimator of one, or None"):
            make_estimator(name, model=model).fit(X)


def test_a_frozen_model_is_not_trained_further(frozen, small_series):
    X = small_series("2d")
    for name in SHARING:
        with pytest.raises(InvalidParameterError, match="frozen model cannot be trained further"):
            make_estimator(name, model=frozen).partial_fit(X)
    with pytest.raises(InvalidParameterError, match="cannot use a frozen model"):
        make_estimator("GroupForecaster", model=frozen).fit(X)


# ---------------------------------------------------------------- a fit that fails


class Interrupts(Callback):
    """Ctrl-C, after the first epoch."""

    def on_epoch_end(self, trainer: Any, record: Any) -> None:
        raise KeyboardInterrupt


class Fails(ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """A user's clusterer that fails, after the network was trained."""

    def fit(self, Z, y=None):
        raise RuntimeError("on request")


@pytest.mark.parametrize("name", ["VRAE", *HEADS])
def test_ctrl_c_in_training_leaves_an_estimator_unchanged(name, small_series):
    X, option = small_series("2d"), "callbacks" if name == "VRAE" else "model__callbacks"
    for estimator in (make_estimator(name), make_estimator(name).fit(X)):
        estimator.set_params(**{option: [Interrupts()]})
        before = dict(vars(estimator))
        for method in ("fit", "partial_fit"):
            if hasattr(estimator, method):
                with pytest.raises(KeyboardInterrupt):
                    getattr(estimator, method)(small_series("2d", seed=1))
                assert_unchanged(estimator, before)


def test_a_clusterer_that_fails_after_training_leaves_the_estimator_unchanged(small_series):
    X = small_series("2d")
    for estimator in (make_estimator("VRAEClusterer"), make_estimator("VRAEClusterer").fit(X)):
        estimator.set_params(clusterer=Fails())
        before = dict(vars(estimator))
        for method in (estimator.fit, estimator.partial_fit):
            with pytest.raises(RuntimeError, match="on request"):
                method(small_series("2d", seed=1))
            assert_unchanged(estimator, before)


def test_continued_training_uses_the_current_options(small_series):
    X, counter = small_series("2d"), Counter()
    head = make_estimator("VRAEClusterer").fit(X)
    head.set_params(model__callbacks=[counter], model__max_epochs=3).partial_fit(X)
    assert counter.epochs == 3
    assert len(head.model_.history_) == TINY["max_epochs"] + 3


@pytest.mark.parametrize("name", ["VRAE", *SHARING])
def test_a_warning_raised_as_an_error_leaves_an_estimator_unchanged(name, small_series):
    X, prefix = small_series("2d"), "" if name == "VRAE" else "model__"
    for estimator in (make_estimator(name), make_estimator(name).fit(X)):
        estimator.set_params(**{f"{prefix}beta": 1e5, f"{prefix}pattern_weight": 0.0})
        before = dict(vars(estimator))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(PosteriorCollapseWarning):
                estimator.fit(X)
        assert_unchanged(estimator, before)


@pytest.mark.parametrize("name", ["VRAEClusterer", "VRAENeighbors"])
def test_ctrl_c_after_training_leaves_an_estimator_unchanged(name, small_series, monkeypatch):
    step = {"VRAEClusterer": "clusterer.Grouping.fit", "VRAENeighbors": "neighbors.choose_search"}[name]

    def interrupts(*args: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    estimator = make_estimator(name).fit(small_series("2d", seed=1))
    before = dict(vars(estimator))
    monkeypatch.setattr(f"vrae.estimators.{step}", interrupts)
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(small_series("2d"))
    assert_unchanged(estimator, before)


# ---------------------------------------------------------------- regroup


@pytest.mark.parametrize("clusterer", ["kmeans", "gmm", "ward"])
def test_regroup_gives_the_clusters_of_a_new_fit_without_training(clusterer, small_series, monkeypatch):
    X = small_series("missing", 20)
    fresh = {k: make_estimator("VRAEClusterer", n_clusters=k, clusterer=clusterer).fit(X) for k in (2, 4, "auto")}
    estimator = clone(fresh[2]).fit(X)
    network = estimator.model_.network_
    forbid_training(monkeypatch)
    for k in (4, "auto", 2):
        assert estimator.regroup(k) is estimator
        np.testing.assert_array_equal(estimator.labels_, fresh[k].labels_)
        np.testing.assert_array_equal(estimator.predict_proba(X), fresh[k].predict_proba(X))
        np.testing.assert_array_equal(estimator.tree_, fresh[k].tree_)
        assert estimator.n_clusters_ == fresh[k].n_clusters_
        assert estimator.n_clusters == k  # so that partial_fit and a new fit keep the number
    assert estimator.model_.network_ is network
    assert estimator.selection_ == fresh["auto"].selection_  # the alternatives stay in sight


def test_regroup_refuses_impossible_numbers(fitted):
    clusterer = clone(fitted("VRAEClusterer"), safe=False)
    clusterer.__dict__.update(vars(fitted("VRAEClusterer")))
    before = dict(vars(clusterer))
    for k, words in ((13, "n_clusters=13 is more than the 12 series"), (0, "at least 1"), ("two", "'two'")):
        with pytest.raises(InvalidParameterError, match=words):
            clusterer.regroup(k)
        assert_unchanged(clusterer, before)


def test_regroup_refuses_clusterers_that_find_the_number_themselves(small_series, tmp_path):
    X = small_series("2d", 20)
    by_density = make_estimator("VRAEClusterer", n_clusters="auto", clusterer="hdbscan").fit(X)
    with pytest.raises(InvalidParameterError, match="'hdbscan' finds the number of clusters itself"):
        by_density.regroup(4)
    loaded = load_model(make_estimator("VRAEClusterer", clusterer=KMeans()).fit(X).save(tmp_path / "model"))
    with pytest.raises(InvalidParameterError, match=r"clusterer: unknown value .*KMeans"):
        loaded.regroup(4)  # a clusterer object is not saved
    assert loaded.set_params(clusterer=KMeans()).regroup(4).n_clusters_ == 4


# ---------------------------------------------------------------- wrong arguments


def test_set_params_points_to_the_model_and_changes_nothing_if_it_fails():
    head = VRAEClusterer(2)
    with pytest.raises(InvalidParameterError, match=r"Write set_params\(model__latent_size=...\)"):
        head.set_params(latent_size=3)
    with pytest.raises(ValueError, match="wide"):
        head.set_params(model__wide=3)
    assert head.model is None


def test_wrong_arguments_of_fit_are_refused_before_training(small_series, no_training):
    X = small_series("2d")
    for trainer in ("x", object(), Trainer):
        with pytest.raises(InvalidParameterError, match=r"such as Trainer\(\)"):
            make_estimator("VRAE").fit(X, trainer=trainer)
    for hidden in (np.zeros(X.shape, bool), np.zeros(X.size), np.ones(X.size, bool)):
        with pytest.raises(InvalidParameterError, match=rf"hidden must be .* shape \({X.size},\)"):
            make_estimator("VRAE").fit(X, hidden=hidden)


def test_a_frozen_model_needs_two_series_too(fitted, small_series):
    for name in SHARING:
        head = make_estimator(name).set_params(model=FrozenEstimator(fitted("VRAE", "2d")))
        with pytest.raises(InvalidDataError, match="Found 1 usable series"):
            head.fit(small_series("2d")[:1])


def test_probabilities_are_of_latent_vectors_of_the_model(fitted):
    for Z in (np.zeros(3), np.zeros((2, 99))):
        with pytest.raises(InvalidDataError, match="Z must have shape"):
            fitted("VRAEClusterer").predict_proba_from_latent(Z)


@pytest.mark.parametrize("rate", [0.01, None])
def test_little_is_certain_of_a_series_that_is_clearly_shorter(rate, fitted, small_series):
    known = fitted("VRAEClusterer")
    clusterer = clone(known, safe=False)
    clusterer.__dict__.update(vars(known))
    clusterer.set_params(false_alarm_rate=rate)
    X = small_series("2d")
    n_steps, least = X.shape[1], 0.9 * X.shape[1]
    np.testing.assert_allclose(
        clusterer.predict_proba(X), clusterer.predict_proba_from_latent(clusterer.embedding_), atol=1e-5
    )
    for n_known in (1, 3, n_steps // 2, n_steps - 1):
        cut = np.where(np.arange(n_steps) < n_known, X + 0.01, np.nan)  # not the training series
        found, certain = (
            clusterer.predict_proba(cut),
            clusterer.predict_proba_from_latent(clusterer.model_.transform(cut)),
        )
        share = min(n_known / least, 1.0)
        expected = share * certain + (1 - share) / clusterer.n_clusters_
        judged = found.any(axis=1)
        np.testing.assert_allclose(found[judged], expected[judged], atol=1e-5)
        assert judged.all() or n_known >= least


# ---------------------------------------------------------------- saved


def test_the_seed_of_a_loaded_head_reaches_its_model(small_series, tmp_path):
    X = small_series("2d")
    options = {name: value for name, value in TINY.items() if name != "random_state"}
    one, two = (VRAEClusterer(2, model=VRAE(**options), random_state=seed).fit(X) for seed in (0, 1))
    loaded = load_model(one.save(tmp_path / "model")).set_params(random_state=1).fit(X)
    np.testing.assert_array_equal(loaded.embedding_, two.embedding_)


@pytest.mark.parametrize("name", HEADS)
def test_a_loaded_head_can_be_fitted_again(name, fitted, small_series, tmp_path):
    X = small_series("2d")
    head = fitted(name)
    loaded = load_model(head.save(tmp_path / "model"))
    assert isinstance(loaded.model, VRAE)
    np.testing.assert_array_equal(clone(loaded).fit(X).embedding_, head.embedding_)
