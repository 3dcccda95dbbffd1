"""Clusters that a user changed: merge, split, move, rename, undo, and saved models of them."""

from __future__ import annotations

import json
import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from conftest import make_estimator
from vrae import Panel, VRAEClusterer, load_model
from vrae.estimators.edits import Edited, Merge, Move, Split
from vrae.estimators.grouping import Grouping
from vrae.estimators.partition import LatentSpace
from vrae.exceptions import (
    DataWarning,
    InvalidDataError,
    InvalidParameterError,
    ModelFileError,
    NotFittedError,
    PosteriorCollapseWarning,
)
from vrae.io.folder import CONFIG_FILE, WEIGHTS_FILE

pytestmark = pytest.mark.filterwarnings(f"ignore::{PosteriorCollapseWarning.__module__}.PosteriorCollapseWarning")


def latent(n: int = 90, seed: int = 0, spread: float = 0.5) -> np.ndarray:
    """Return latent vectors (n, 4) of six groups that overlap; one series has no value."""
    rng = np.random.default_rng(seed)
    Z = 1.5 * rng.standard_normal((6, 4))[np.arange(n) % 6] + spread * rng.standard_normal((n, 4))
    Z[7] = np.nan
    return Z.astype(np.float32)


def grouping_of(Z: np.ndarray, n_clusters: Any = 4, clusterer: Any = "kmeans", **options: Any) -> Grouping:
    space = LatentSpace(np.zeros(Z.shape[1]), np.eye(Z.shape[1]))
    return Grouping.fit(Z, space, n_clusters, clusterer, 0, **options)


def check(grouping: Grouping) -> None:
    """Check what holds for every grouping."""
    Z, labels = grouping.embedding, grouping.labels
    probabilities = grouping.predict_proba(Z)
    known = np.isfinite(Z).all(axis=1)
    np.testing.assert_array_equal(np.unique(labels[labels >= 0]), np.arange(grouping.n_clusters))
    np.testing.assert_array_equal(np.where(probabilities.any(axis=1), probabilities.argmax(axis=1), -1), labels)
    np.testing.assert_allclose(probabilities[labels >= 0].sum(axis=1), 1)
    assert (probabilities >= 0).all()
    assert (labels[~known] == -1).all()
    assert grouping.tree.shape == (max(grouping.n_clusters - 1, 0), 4)
    assert set(grouping.own_names) <= set(range(grouping.n_clusters))


# ---------------------------------------------------------------- what the changes do


@pytest.mark.parametrize("clusterer", ["kmeans", "gmm", "ward"])
def test_a_merged_cluster_has_the_series_and_the_probabilities_of_its_parts(clusterer):
    before = grouping_of(latent(), 5, clusterer)
    after = before.merged([4, 1])
    check(after)
    assert after.n_clusters == 4
    np.testing.assert_array_equal(after.labels, np.array([0, 1, 2, 3, 1, -1])[before.labels])
    old, new = before.predict_proba(latent()), after.predict_proba(latent())
    joined = np.column_stack([old[:, 0], old[:, 1] + old[:, 4], old[:, 2], old[:, 3]])
    same = joined.argmax(axis=1) == new.argmax(axis=1)
    assert same.mean() > 0.95
    np.testing.assert_allclose(new[same], joined[same])


def test_a_merge_takes_no_series_from_other_clusters():
    rng = np.random.default_rng(0)
    corners = np.array([[-1, 0], [1, 0], [0, 1.7]])
    before = grouping_of((corners[np.arange(900) % 3] + rng.standard_normal((900, 2))).astype(np.float32), 3)
    old = before.predict_proba(before.embedding)
    # Between three centres, two together are more probable than the one that wins.
    between = (before.labels == 0) & (old[:, 1] + old[:, 2] > old[:, 0])
    assert between.sum() > 5
    after = before.merged([1, 2])
    check(after)
    np.testing.assert_array_equal(after.labels == 0, before.labels == 0)
    new = after.predict_proba(before.embedding)
    assert (new[between].max(axis=1) < 0.501).all()


@pytest.mark.parametrize("into", [2, 3])
def test_a_split_cluster_shares_its_probability_among_its_parts(into):
    before = grouping_of(latent(), 3)
    after = before.split(1, into)
    check(after)
    assert after.n_clusters == 2 + into
    parts = [1, *range(3, 2 + into)]
    inside = before.labels == 1
    np.testing.assert_array_equal(after.labels[~inside], before.labels[~inside])
    assert set(after.labels[inside]) == set(parts)
    sizes = np.bincount(after.labels[inside])[parts]
    assert sizes[0] == sizes.max()
    old, new = before.predict_proba(latent()), after.predict_proba(latent())
    np.testing.assert_allclose(new[inside][:, parts].sum(axis=1), old[inside][:, 1], atol=0.35)
    np.testing.assert_allclose(np.median(new[inside][:, parts].sum(axis=1) - old[inside][:, 1]), 0, atol=1e-9)


def test_halves_are_what_a_split_gives():
    grouping = grouping_of(latent())
    halves = grouping.halves()
    assert halves.dtype == np.uint8
    for cluster in range(4):
        expected = grouping.split(cluster).labels == 4
        np.testing.assert_array_equal(expected, (halves == 1) & (grouping.labels == cluster))
    rows = np.array([3, 8, 9])
    np.testing.assert_array_equal(grouping.halves(latent()[rows], grouping.labels[rows]), halves[rows])


def test_a_moved_series_takes_the_probability_of_its_cluster_along():
    before = grouping_of(latent())
    row = int(np.flatnonzero(before.labels == 0)[0])
    after = before.moved(latent()[[row]], 2)
    check(after)
    changed = np.flatnonzero(after.labels != before.labels)
    assert changed.tolist() == [row]
    old, new = before.predict_proba(latent())[row], after.predict_proba(latent())[row]
    np.testing.assert_allclose(new[[2, 0]], old[[0, 2]], atol=1e-5)


def test_a_new_series_follows_the_nearest_training_series():
    before = grouping_of(latent())
    row = int(np.flatnonzero(before.labels == 0)[0])
    after = before.moved(latent()[[row]], 2)
    rng = np.random.default_rng(1)
    new = np.repeat(latent(), 20, axis=0) + 0.3 * rng.standard_normal((1800, 4)).astype(np.float32)
    new = new[np.isfinite(new).all(axis=1)]
    known = latent()
    distance = np.linalg.norm(new[:, None] - np.where(np.isfinite(known), known, 1e9)[None], axis=2)
    follows = distance.argmin(axis=1) == row
    assert follows.sum() > 3
    was, now = (g.predict_proba(new).argmax(axis=1) for g in (before, after))
    assert (now[follows] == 2).all()
    np.testing.assert_array_equal(now[~follows], was[~follows])


def test_series_without_a_cluster_can_be_moved_into_one():
    Z = np.concatenate([latent(), np.full((1, 4), 9, np.float32)])
    before = grouping_of(Z, "auto", "hdbscan")
    lost = np.flatnonzero((before.labels < 0) & np.isfinite(Z).all(axis=1))
    assert len(lost)
    after = before.moved(Z[lost], 0)
    check(after)
    assert (after.labels[lost] == 0).all()
    np.testing.assert_array_equal(after.predict_proba(Z[lost])[:, 0], 1)


def test_a_cluster_that_loses_all_series_disappears():
    before = grouping_of(latent()).renamed({1: "Lost", 3: "Kept"})
    rows = before.labels == 1
    with pytest.warns(DataWarning, match="Cluster 1 has no series left and disappears"):
        after = before.moved(latent()[rows], 3)
    check(after)
    assert after.n_clusters == 3
    assert (after.labels[rows] == 2).all()
    assert after.own_names == {2: "Kept"}


def test_the_last_move_of_a_series_counts_and_moves_are_kept_together():
    Z, grouping = latent(), grouping_of(latent())
    for to in (1, 2, 3, 1):
        grouping = grouping.moved(Z[[0, 6]], to).moved(Z[[12]], 0)
        assert grouping.labels[[0, 6, 12]].tolist() == [to, to, 0]
        check(grouping)
    assert [type(edit) for edit in grouping.edits] == [Move]
    (move,) = grouping.edits
    assert isinstance(move, Move)
    assert len(move.to) == 3


def test_changes_of_changes_and_names_that_move_along():
    grouping = grouping_of(latent()).renamed({0: "Zero", 2: "Two", 3: "Three"})
    assert not grouping.is_edited
    merged = grouping.merged([1, 2])
    assert merged.own_names == {0: "Zero", 1: "Two", 2: "Three"}  # the only name of the two stays
    both = merged.merged([0, 1])
    assert both.own_names == {1: "Three"}  # neither name is that of the whole
    split = both.split(0)
    assert split.own_names == {1: "Three"}
    assert split.split(1).own_names == {1: "Three"}
    assert [type(edit) for edit in split.edits] == [Merge, Merge, Split]
    assert split.is_edited
    check(split)


def test_one_cluster_can_be_split_and_merged_again():
    one = grouping_of(latent(), 1)
    check(one)
    two = one.split(0)
    check(two)
    again = two.merged([0, 1])
    check(again)
    np.testing.assert_array_equal(again.labels, one.labels)
    with pytest.raises(InvalidParameterError, match=r"there is no cluster 1\. The only cluster is 0"):
        again.merged([0, 1])


@cache
def found_by(clusterer: str) -> Grouping:
    return grouping_of(latent(), "auto" if clusterer == "hdbscan" else 4, clusterer)


STEPS = st.lists(
    st.tuples(st.sampled_from(["merge", "split", "move", "rename"]), *[st.integers(0, 10**6)] * 3), max_size=8
)


def step(grouping: Grouping, kind: str, a: int, b: int, c: int) -> Grouping:
    k, Z = grouping.n_clusters, grouping.embedding
    if kind == "merge" and k > 1:
        return grouping.merged(sorted({a % k, (a + 1 + b % (k - 1)) % k}))
    if kind == "split":
        sizes = np.bincount(grouping.labels[grouping.labels >= 0])
        into = 2 + c % 2
        return grouping.split(a % k, into) if sizes[a % k] >= into else grouping
    if kind == "move":
        rows = np.flatnonzero(np.isfinite(Z).all(axis=1))
        chosen = np.random.default_rng(c).choice(rows, 1 + b % 30, replace=False)
        return grouping.moved(Z[chosen], a % k)
    free = f"name {b}"
    return grouping if free in grouping.own_names.values() else grouping.renamed({a % k: free})


@pytest.mark.filterwarnings("ignore:Cluster:vrae.exceptions.DataWarning")
@given(STEPS, st.sampled_from(["kmeans", "gmm", "ward", "hdbscan"]))
@settings(max_examples=25)
def test_any_changes_leave_a_sound_grouping_that_is_saved_exactly(steps, clusterer):
    grouping = found_by(clusterer)
    for one in steps:
        grouping = step(grouping, *one)
        check(grouping)
    names = grouping.names(None)
    assert len(set(names.values())) == len(names) == grouping.n_clusters
    config, arrays = grouping.state()
    again = Grouping.from_state(json.loads(json.dumps(config)), arrays, grouping.embedding, clusterer)
    check(again)
    new = latent(200, seed=5)
    np.testing.assert_array_equal(again.predict_proba(new), grouping.predict_proba(new))
    assert again.own_names == grouping.own_names
    assert again.is_edited == grouping.is_edited == isinstance(grouping.rule, Edited)


# ---------------------------------------------------------------- the clusterer


@pytest.fixture
def clusterer(fitted: Any) -> VRAEClusterer:
    """Return a fitted clusterer that a test may change."""
    known = fitted("VRAEClusterer", "panel", n_clusters=3)
    copy = clone(known, safe=False)
    copy.__dict__.update(vars(known))
    return copy


def test_methods_return_the_clusterer_and_new_series_are_assigned_accordingly(clusterer, small_series):
    X, Z = small_series("panel"), clusterer.embedding_.copy()
    network, options = clusterer.model_.network_, clusterer.get_params(deep=False)
    for change in (
        lambda: clusterer.split(0),
        lambda: clusterer.merge([1, 2]),
        lambda: clusterer.move(["s0", "s5"], to=1),
        lambda: clusterer.move("s1", 0),
        lambda: clusterer.rename({0: "Peaks", 1: " Slow waves "}),
    ):
        assert change() is clusterer
        np.testing.assert_array_equal(clusterer.predict(X), clusterer.labels_)
        np.testing.assert_allclose(clusterer.predict_proba(X).sum(axis=1), 1)
        assert sorted(clusterer.names_) == list(range(clusterer.n_clusters_))
    assert clusterer.names_[0] == "Peaks"
    assert clusterer.names_[1] == "Slow waves"
    assert (clusterer.labels_[[0, 5]] == 1).all()
    assert clusterer.grouping_.is_edited
    assert clusterer.tree_.shape == (clusterer.n_clusters_ - 1, 4)
    assert clusterer.predict(small_series("panel", 9, 7)).max() < clusterer.n_clusters_
    assert clusterer.model_.network_ is network
    assert clusterer.get_params(deep=False) == options
    np.testing.assert_array_equal(clusterer.embedding_, Z)


def test_regroup_and_fit_undo_everything(clusterer, small_series):
    labels, names = clusterer.labels_, clusterer.names_
    for undo in (lambda: clusterer.regroup(3), lambda: clusterer.fit(small_series("panel"))):
        clusterer.split(0).move(["s3"], to=1).rename({1: "Mine"})
        assert undo() is clusterer
        np.testing.assert_array_equal(clusterer.labels_, labels)
        assert clusterer.names_ == names
        assert not clusterer.grouping_.is_edited


def test_names_are_made_by_a_fit_and_are_unique(clusterer):
    assert len(set(clusterer.names_.values())) == 3
    assert not any(name.startswith("Cluster") for name in clusterer.names_.values())
    own = clusterer.names_[1]
    clusterer.rename({0: own})
    assert clusterer.names_[0] == own
    assert clusterer.names_[1] == f"{own} (1)"
    assert clusterer.rename({0: None}).names_[1] == own
    assert clusterer.rename({0: own.upper(), 2: f"{own} (1)"}).names_[1] == f"{own} (cluster 1)"
    swapped = clusterer.rename({0: "B", 1: "A"}).rename({0: "A", 1: "B"}).names_
    assert (swapped[0], swapped[1]) == ("A", "B")
    with pytest.raises(InvalidParameterError, match=r"Cluster 1 is named 'B' already.*in one rename: \{0: 'B', 1: "):
        clusterer.rename({0: "b"})


def test_blanks_are_plain_and_emoji_of_several_characters_stay(clusterer):
    family = "\U0001f469\u200d\U0001f467"
    clusterer.rename({0: f"\u2003{family} at\u00a0home\u200d "})
    assert clusterer.names_[0] == f"{family} at home"


def test_names_are_made_once_after_many_changes(clusterer, monkeypatch):
    made: list[int] = []

    def names(portraits: Any, labels: Any, n_clusters: int) -> list[str]:
        made.append(n_clusters)
        return list("abcdef"[:n_clusters])

    monkeypatch.setattr("vrae.estimators.grouping.cluster_names", names)
    for number in range(50):
        clusterer.rename({0: f"name {number}"}).move(["s0"], to=number % 2)
    assert made == []
    assert clusterer.names_ == clusterer.names_ == {0: "name 49", 1: "b", 2: "c"}
    assert made == [3]


def test_dates_and_numbers_as_ids(small_series):
    X = small_series("2d")
    days = np.datetime64("2024-01-01") + np.arange(12)
    keys = [UUID(int=row) for row in range(12)]
    cases: list[tuple[Any, Any]] = [(days, ["2024-01-03"]), (days, [days[2]]), (days, days[2:3].astype("M8[ns]"))]
    cases += [(None, 2), (None, ["2"]), (np.arange(12) / 4, "0.5"), (np.arange(12) * 7, [14.0])]
    cases += [(keys, keys[2:3]), (keys, str(keys[2])), ([1, "x", 3, *range(10, 19)], ["3", "x"])]
    for ids, wanted in cases:
        clusterer = make_estimator("VRAEClusterer").fit(Panel.from_arrays(list(X), ids=ids) if ids is not None else X)
        to = int(1 - clusterer.labels_[2])
        assert clusterer.move(wanted, to).labels_[2] == to


def test_identical_series_move_together_with_a_warning(small_series):
    X = small_series("2d", 14)
    X[9] = X[2]
    clusterer = make_estimator("VRAEClusterer").fit(X)
    to = int(1 - clusterer.labels_[2])
    with pytest.warns(DataWarning, match=r"same latent vectors move too: ids 9\."):
        clusterer.move([2], to)
    assert clusterer.labels_[[2, 9]].tolist() == [to, to]
    np.testing.assert_array_equal(clusterer.predict(X), clusterer.labels_)


def test_groups_of_series_that_move_together():
    Z = latent()
    Z[[20, 40]] = Z[2] + np.float32(1e-6)
    grouping = grouping_of(Z)
    groups, sizes = grouping.groups_of_same(Z)
    assert np.flatnonzero(groups).tolist() == [2, 20, 40]
    assert sizes.tolist() == [0, 3]
    for rows in ([2], [20, 3], [40, 20]):
        alike = np.union1d(rows, np.flatnonzero(groups & np.isin(groups, groups[rows])))
        assert grouping.alike(Z[rows]).tolist() == alike.tolist()
    some = np.array([7, 20, 5])  # in a sample, one of a group moves others that are not in it
    assert [part.tolist() for part in grouping.groups_of_same(Z[some])] == [[0, 1, 0], [0, 3]]
    chain = (np.arange(90)[:, None] * np.full((1, 2), 5e-5)).astype(np.float32)
    assert not grouping_of(chain).groups_of_same(chain)[0].any()


def test_many_identical_series_are_grouped_at_once():
    Z = np.repeat(latent()[:6], 20_000, axis=0)
    groups, sizes = grouping_of(Z, 3).groups_of_same(Z)
    assert sizes.tolist() == [0] + 6 * [20_000]
    assert (np.bincount(groups)[1:] == 20_000).all()


WRONG = {
    "one cluster": (lambda c: c.merge([1]), InvalidParameterError, "two or more different clusters; found [1]"),
    "the same twice": (lambda c: c.merge([1, 1]), InvalidParameterError, "two or more different clusters"),
    "no list": (lambda c: c.merge(1), InvalidParameterError, "two or more different clusters"),
    "unknown": (lambda c: c.merge([0, 3]), InvalidParameterError, "no cluster 3. The clusters are 0 to 2."),
    "noise": (lambda c: c.merge([0, -1]), InvalidParameterError, "no cluster -1"),
    "true": (lambda c: c.merge([0, True]), InvalidParameterError, "no cluster True"),
    "text": (lambda c: c.split("1"), InvalidParameterError, "No cluster is named '1'"),
    "into one": (lambda c: c.split(0, into=1), InvalidParameterError, "into must be a whole number of at least 2"),
    "too many parts": (lambda c: c.split(2, into=9), InvalidDataError, "Cluster 2 cannot be split into 9 parts"),
    "unknown ids": (lambda c: c.move(["s1", "x", "y"], 0), InvalidDataError, "2 of 3 ids are not those of training"),
    "ids named": (lambda c: c.move(["x"], 0), InvalidDataError, "'x'. Known ids: 's0', 's1'"),
    "a mask": (lambda c: c.move(c.labels_ == 0, 1), InvalidDataError, "ids_[mask]"),
    "no ids": (lambda c: c.move([], 0), InvalidDataError, "ids is empty"),
    "unknown target": (lambda c: c.move(["s1"], 7), InvalidParameterError, "move: there is no cluster 7"),
    "to noise": (lambda c: c.move(["s1"], -1), InvalidParameterError, "move: there is no cluster -1"),
    "vectors": (lambda c: c.move_vectors(np.zeros((2, 9)), 0), InvalidDataError, "Z must have shape (n, 3)"),
    "NaN": (lambda c: c.move_vectors(np.full((1, 3), np.nan), 0), InvalidDataError, "cannot be moved"),
    "vectors of text": (
        lambda c: c.move_vectors([["a", "b", "c"]], 0),
        InvalidDataError,
        "Z must be an array of numbers",
    ),
    "a table": (lambda c: c.split(np.zeros((2, 2))), InvalidParameterError, "no cluster array([[0., 0.], [0., 0.]])"),
    "no dict": (lambda c: c.rename(["a"]), InvalidParameterError, "must be a dict"),
    "empty": (lambda c: c.rename({0: "  "}), InvalidParameterError, "1 to 80 characters"),
    "long": (lambda c: c.rename({0: 81 * "x"}), InvalidParameterError, "1 to 80 characters"),
    "lines": (lambda c: c.rename({0: "a\nb"}), InvalidParameterError, "contains U+000A"),
    "bell": (lambda c: c.rename({0: "a\x07"}), InvalidParameterError, "contains U+0007, which cannot be shown"),
    "no width": (lambda c: c.rename({0: "A\u200bB"}), InvalidParameterError, "contains U+200B"),
    "only joiners": (lambda c: c.rename({0: "\u00a0\u200d"}), InvalidParameterError, "1 to 80 characters"),
    "number": (lambda c: c.rename({0: 5}), InvalidParameterError, "1 to 80 characters"),
    "reserved": (lambda c: c.rename({0: "Not assigned"}), InvalidParameterError, "not 'Not assigned'"),
    "reserved, in lower case": (lambda c: c.rename({0: "not assigned"}), InvalidParameterError, "not 'Not assigned'"),
    "the same name": (lambda c: c.rename({0: "a", 1: "a"}), InvalidParameterError, "0 and 1 would both be named 'a'"),
    "another case": (lambda c: c.rename({0: "Ä", 1: "A\u0308".lower()}), InvalidParameterError, "would both be named"),
    "huge numbers": (lambda c: c.merge([10**9999, 0]), InvalidParameterError, "no cluster a int that is too long"),
    "large numbers": (lambda c: c.split(10**400), InvalidParameterError, "0000.... The clusters are 0 to 2."),
    "no such cluster": (lambda c: c.rename({3: "a"}), InvalidParameterError, "rename: there is no cluster 3"),
}


@pytest.mark.parametrize("case", WRONG)
def test_impossible_changes_are_refused_and_change_nothing(case, clusterer):
    change, kind, words = WRONG[case]
    before = dict(vars(clusterer))
    with pytest.raises(kind, match=re.escape(words)):
        change(clusterer)
    assert vars(clusterer) == before


def test_changes_need_a_fit():
    for change in ("merge([0, 1])", "split(0)", "move([1], 0)", "rename({0: 'a'})"):
        with pytest.raises(NotFittedError):
            eval(f"clusterer.{change}", {"clusterer": VRAEClusterer(2)})


def test_identical_series_cannot_be_split():
    Z = np.repeat(np.array([[0, 0], [1, 1], [5, 5]], np.float32), 6, axis=0)
    grouping = grouping_of(Z, 3)
    with pytest.raises(InvalidDataError, match="fewer distinct series"):
        grouping.split(0)
    assert not grouping.halves().any()


def test_a_series_without_values_cannot_be_moved(small_series):
    X = small_series("2d")
    X[4] = np.nan
    clusterer = make_estimator("VRAEClusterer", on_invalid="keep").fit(X)
    with pytest.raises(InvalidDataError, match="cannot be moved: ids 4"):
        clusterer.move([3, 4], 0)


def test_a_saved_clusterer_keeps_changes_and_names(clusterer, small_series, tmp_path):
    clusterer.split(0).merge([1, 2]).move(["s2"], to=1).rename({1: "=SUM(1)"})
    again = load_model(clusterer.save(tmp_path / "model"))
    X = small_series("panel", 30, seed=3)
    np.testing.assert_array_equal(again.predict_proba(X), clusterer.predict_proba(X))
    np.testing.assert_array_equal(again.labels_, clusterer.labels_)
    np.testing.assert_array_equal(again.tree_, clusterer.tree_)
    assert again.names_ == clusterer.names_
    assert again.grouping_.is_edited
    np.testing.assert_array_equal(again.split(0).labels_, clusterer.split(0).labels_)
    assert again.regroup(3).names_ == clusterer.regroup(3).names_


def test_partial_fit_keeps_names_of_clusters_that_stay(small_series):
    clusterer = make_estimator("VRAEClusterer").fit(small_series("panel", 24))
    clusterer.rename({0: "First", 1: "Second"})
    later = Panel.from_arrays([x[0] for x in small_series("panel", 8, seed=4)], ids=[f"t{i}" for i in range(8)])
    clusterer.partial_fit(later)
    assert set(clusterer.names_.values()) >= {"First", "Second"} or len(clusterer.grouping_.own_names) < 2
    clusterer.split(0)
    with pytest.warns(DataWarning, match="merged, split or moved before is forgotten"):
        clusterer.partial_fit(later)
    assert not clusterer.grouping_.is_edited


def test_names_follow_the_series_of_their_cluster():
    before = grouping_of(latent()).renamed({0: "Zero", 3: "Three"})
    moved = np.array([3, 1, 2, 0, -1])[before.labels]  # the same clusters with other numbers
    again = grouping_of(latent(), earlier=np.where(moved < 0, -1, moved))
    assert again.following(before, before.labels).own_names == {3: "Zero", 0: "Three"}
    two = grouping_of(latent(), 1)
    with pytest.warns(DataWarning, match="No cluster shares most series with 'Zero', 'Three'"):
        assert two.following(before, before.labels).own_names == {}


DAMAGE: dict[str, Any] = {
    "edits missing": (lambda config, arrays: arrays.pop("edits.1.place")),
    "fewer edits": (lambda config, arrays: config.update(n_edits=2)),
    "many edits": (lambda config, arrays: config.update(n_edits=10**9)),
    "edits of text": (lambda config, arrays: config.update(n_edits="3")),
    "no edits": (lambda config, arrays: config.pop("n_edits")),
    "merge of others": (lambda config, arrays: arrays.update({"edits.1.place": np.arange(9)})),
    "merge with a gap": (lambda config, arrays: arrays["edits.1.place"].__setitem__(0, 7)),
    "split of none": (lambda config, arrays: arrays.update({"edits.0.cluster": np.array([5])})),
    "split of many": (lambda config, arrays: arrays.update({"edits.0.parts.means": np.zeros((9, 2))})),
    "moved to none": (lambda config, arrays: arrays.update({"edits.2.to": np.array([9])})),
    "moved vectors": (lambda config, arrays: arrays.update({"edits.2.vectors": np.zeros((1, 9))})),
    "labels": (lambda config, arrays: arrays["labels"].__setitem__(0, 9)),
    "labels of numbers": (lambda config, arrays: arrays.update(labels=arrays["labels"].astype(float))),
    "names of none": (lambda config, arrays: config.update(names={"9": "x"})),
    "names of text": (lambda config, arrays: config.update(names={"first": "x"})),
    "names list": (lambda config, arrays: config.update(names=["x"])),
    "names of numbers": (lambda config, arrays: config.update(names={"0": 5})),
    "portraits": (lambda config, arrays: config.update(portraits=5)),
    "portraits of others": (lambda config, arrays: arrays["portraits.rows"].__setitem__(0, 99)),
    "portraits missing": (lambda config, arrays: arrays.pop("portraits.rows")),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damaged_changes_are_refused(case, clusterer, tmp_path):
    folder = clusterer.split(0).merge([1, 2]).move(["s2"], to=1).rename({1: "x"}).save(tmp_path / "model")
    config = json.loads((folder / CONFIG_FILE).read_text())
    arrays = {name: array.copy() for name, array in safetensors.numpy.load_file(folder / WEIGHTS_FILE).items()}
    DAMAGE[case](config, arrays)
    config.pop("weights_sha256")
    (folder / CONFIG_FILE).write_text(json.dumps(config))
    safetensors.numpy.save_file(arrays, folder / WEIGHTS_FILE)
    with pytest.raises(ModelFileError, match=r"do not fit together|is not as vrae writes it"):
        load_model(folder)


def test_models_of_older_formats_have_plain_names_and_can_be_changed(tmp_path):
    saved = Path(__file__).parent / "saved_models" / "v5" / "model"
    shutil.copytree(saved, tmp_path / "model")
    clusterer = load_model(tmp_path / "model")
    assert clusterer.names_ == {0: "Cluster 0", 1: "Cluster 1"}
    assert clusterer.split(0).rename({2: "New"}).names_ == {0: "Cluster 0", 1: "Cluster 1", 2: "New"}
    again = load_model(clusterer.save(tmp_path / "again"))
    assert again.names_ == clusterer.names_


# ---------------------------------------------------------------- the rate of false alarms


def test_another_rate_of_false_alarms_applies_at_once(small_series, tmp_path):
    X = small_series("2d", 60)
    clusterer = make_estimator("VRAEClusterer", false_alarm_rate=0.001).fit(X)
    new = X + np.random.default_rng(1).normal(0, 1.2, X.shape)
    few = (clusterer.predict(new) < 0).sum()
    many = (clusterer.set_params(false_alarm_rate=0.4).predict(new) < 0).sum()
    assert few < many
    fresh = make_estimator("VRAEClusterer", false_alarm_rate=0.4).fit(X)
    np.testing.assert_array_equal(clusterer.belonging_.limits, fresh.belonging_.limits)
    assert (clusterer.set_params(false_alarm_rate=None).predict(new) >= 0).all()
    with pytest.raises(InvalidParameterError, match="false_alarm_rate must be"):
        clusterer.set_params(false_alarm_rate=0.7).predict(new)
    again = load_model(clusterer.set_params(false_alarm_rate=0.2).save(tmp_path / "model"))
    np.testing.assert_array_equal(again.predict(new), clusterer.predict(new))
    without = make_estimator("VRAEClusterer", false_alarm_rate=None).fit(X).set_params(false_alarm_rate=0.1)
    with pytest.warns(DataWarning, match="no effect before the next fit"):
        without.predict(new)


def test_clusters_are_known_by_their_names_too(clusterer):
    by_name = clusterer.rename({0: "Zero", 1: "One, too"})
    assert by_name.rename({"Zero": "Nil"}).names_[0] == "Nil"
    rows = np.flatnonzero(by_name.labels_ == 0)[:2]
    assert (by_name.move(by_name.ids_[rows], to="One, too").labels_[rows] == 1).all()
    n_clusters = by_name.n_clusters_
    assert by_name.split("Nil").n_clusters_ == n_clusters + 1
    before = dict(by_name.names_)
    with pytest.raises(InvalidParameterError, match=r"No cluster is named 'Nill'\. Did you mean 'Nil'\?"):
        by_name.split("Nill")
    with pytest.raises(InvalidParameterError, match="two or more"):
        by_name.merge("Nil")
    with pytest.raises(InvalidParameterError, match="No cluster is named 'x'"):
        by_name.rename({"x": "y"})
    with pytest.raises(InvalidParameterError, match="named twice"):
        by_name.rename({0: "A", by_name.names_[0]: "B"})
    assert by_name.names_ == before
    assert by_name.merge(["Nil", "One, too"]).n_clusters_ == n_clusters
