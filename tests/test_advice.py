"""What vrae advises stands its own tests. Who follows the advice is not sent in a circle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import TINY
from vrae import VRAE, Panel, VRAEClusterer
from vrae.cli.cluster_result import show_clusters
from vrae.describe.findings import SHAKY
from vrae.describe.verdict import Verdict, peaks
from vrae.estimators import stability
from vrae.estimators.alternatives import alternatives, firm_merges, is_changed, numbers_worth_a_look
from vrae.estimators.assignment import assign
from vrae.estimators.reporting import judge
from vrae.metrics import separation

pytestmark = pytest.mark.filterwarnings("ignore::vrae.exceptions.VRAEWarning")

N, STEPS = 120, 40


def series(kind: str) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(3)
    time, noise = np.arange(STEPS), rng.normal(size=(N, STEPS))
    if kind == "noise":
        return rng.poisson(20, (N, STEPS)).astype(float)
    if kind == "continuum":
        return np.sin(time / np.linspace(2, 9, N)[:, None]) + 0.2 * noise
    group = np.arange(N) % (3 if kind == "clear" else 6)
    blur = 0.1 if kind == "clear" else 0.7
    return np.sin(time / (2 + 1.5 * group[:, None])) * (1 + group[:, None] % 2) + blur * noise


@pytest.fixture(scope="module", params=["noise", "continuum", "clear", "blurred"])
def clusterer(request: pytest.FixtureRequest) -> VRAEClusterer:
    X = series(request.param)
    model = VRAE(**{**TINY, "max_epochs": 4})
    found = VRAEClusterer("auto", model=model, random_state=0).fit(X)
    found.stability(X)
    return found


def verdict_of(clusterer: VRAEClusterer) -> Verdict:
    labels = clusterer.labels_
    sizes = np.bincount(labels[labels >= 0], minlength=clusterer.n_clusters_).tolist()
    metrics = {
        "sizes": sizes,
        "n_noise": int((labels < 0).sum()),
        "doubtful_share": 0.0,
        "silhouette": separation(clusterer.space_(clusterer.embedding_.astype(float)), labels),
        "stability": clusterer.stability(),
    }
    return judge(clusterer, metrics)


def test_each_number_that_is_suggested_passes(clusterer):
    chosen = clusterer.n_clusters_
    worth = numbers_worth_a_look(clusterer)
    assert set(worth) <= set(peaks(clusterer.selection_, chosen))
    for k in worth:
        result = verdict_of(clusterer.regroup(k))
        assert result.is_clear
        assert "o not rely" not in result.text
        assert not [alert for alert in result.alerts if alert.action.name == "regroup"]
        assert min(clusterer.stability()["clusters"]) >= SHAKY
    clusterer.regroup(chosen)


@pytest.mark.parametrize("start", ["auto", 5, 9])
def test_advice_leads_to_an_end(clusterer, start):
    chosen = clusterer.n_clusters_
    clusterer.regroup(start)
    seen: list[tuple[str, int]] = []
    for _ in range(9):
        acts = [alert.action for alert in verdict_of(clusterer).alerts if alert.action.name in ("regroup", "merge")]
        if not acts:
            break
        assert not (is_changed(clusterer) and acts[0].name == "regroup")
        if acts[0].name == "regroup":
            clusterer.regroup(acts[0].values["n_clusters"])
        else:
            clusterer.merge(acts[0].values["labels"])
        assert (acts[0].name, clusterer.n_clusters_) not in seen
        seen.append((acts[0].name, clusterer.n_clusters_))
    else:
        pytest.fail(f"no end of advice: {seen}")
    assert [name for name, _ in seen].count("regroup") <= 1
    clusterer.regroup(chosen)


def test_a_merge_that_is_advised_is_found_again(clusterer):
    chosen = clusterer.n_clusters_
    clusterer.regroup(6)
    again = clusterer.stability()["clusters"]
    for pair in firm_merges(clusterer, again):
        clusterer.merge(pair)
        after = clusterer.stability()["clusters"]
        assert after[min(pair)] >= SHAKY
        assert sum(part < SHAKY for part in after) <= sum(part < SHAKY for part in again)
        clusterer.regroup(6)
    clusterer.regroup(chosen)


@pytest.mark.parametrize("level_weight", [0, 1])
def test_a_group_of_rare_and_frequent_series_is_advised_to_let_level_count(level_weight):
    rng = np.random.default_rng(0)
    rare = np.where(rng.random((20, STEPS)) < 0.1, 3.0, 0.0)
    rare[:, 0] = 3
    X = np.concatenate([rare, rng.poisson(20, (20, STEPS))])
    model = VRAE(**{**TINY, "max_epochs": 2}, level_weight=level_weight)
    found = VRAEClusterer(2, model=model, random_state=0).fit(X).merge([0, 1])
    kinds = [alert.kind for alert in verdict_of(found).alerts]
    assert ("mostly 0 and seldom 0" in kinds) == (level_weight == 0)


def test_noise_gets_no_advice_about_numbers():
    X = series("noise")
    found = VRAEClusterer("auto", model=VRAE(**{**TINY, "max_epochs": 4}), random_state=0).fit(X)
    found.stability(X)
    result = verdict_of(found)
    assert not result.is_clear
    assert result.others == ()
    assert not [alert for alert in result.alerts if alert.action.name in ("regroup", "merge")]


def test_trust_in_other_numbers_is_that_of_refits(clusterer):
    shown = alternatives(clusterer, assign(clusterer, clusterer.model_.open(series("clear"))[0]))
    for one in shown:
        if one.n_clusters != clusterer.n_clusters_:
            expected = clusterer.regroup(one.n_clusters).stability()["clusters"]
            assert sorted(one.found_again) == pytest.approx(sorted(expected))
    clusterer.regroup(shown[0].n_clusters)


def test_after_changes_by_hand_no_number_is_suggested(clusterer):
    clusterer.rename({0: "Mine"})
    assert numbers_worth_a_look(clusterer) == ()
    clusterer.regroup(4).merge([0, 1])
    assert numbers_worth_a_look(clusterer) == ()
    assert "groups would be" not in verdict_of(clusterer).text


def test_the_terminal_shows_the_same_list_and_says_which_test_was_made(capsys):
    known = {"n_series": 9, "sizes": [5, 4], "n_noise": 0, "n_clusters": 2, "names": ["a", "b"]}
    scores = {"ari": 0.5, "nmi": 0.5, "raw_kmeans": {"ari": 0.1, "nmi": 0.2}, "alternatives": [7, 5]}
    advice = {"text": "", "alerts": [{"text": "Weak.", "command": "vrae regroup run -k 7"}]}
    metrics = {**known, **scores, "stability": {"clusters": [0.9, 0.8], "refits": 0}}
    show_clusters(metrics, Path("run"), False)
    text = capsys.readouterr().out
    assert "7 or 5 groups: vrae regroup run -k 7" in text
    assert "(k-means with 2 groups on the raw series: ARI 0.100, NMI 0.200)" in text
    assert "Clustered again: only the clustering was repeated, not the training." in text
    assert "Found again" not in text
    show_clusters(
        {**metrics, "verdict": advice, "stability": {"clusters": [0.9, 0.8], "refits": 2}}, Path("run"), False
    )
    text = capsys.readouterr().out
    assert "Found again" in text
    assert "Clustered again" not in text
    assert "5 groups: vrae regroup run -k 5" in text  # 7 is in the alert
    show_clusters({**metrics, "alternatives": [], "selection": [{"n_clusters": 7, "score": 1.0}]}, Path("run"), False)
    assert "worth a look" not in capsys.readouterr().out


def test_refits_may_choose_latent_spaces_of_different_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    X = np.sin(np.arange(20) * np.where(np.arange(40) % 2, 0.3, 1.5)[:, None]) + 0.1 * rng.standard_normal((40, 20))
    found = VRAEClusterer(2, model=VRAE(**TINY), random_state=0).fit(X)
    widths = iter([3, 2])
    again = stability._compared_after_fit

    def chosen(model: VRAE, panel: Panel, seed: int) -> Any:
        return again(model, panel, seed)[:, : next(widths)]

    monkeypatch.setattr(stability, "_compared_after_fit", chosen)
    measured = found.stability(X)
    assert measured is not None
    assert measured["refits"] == 2
