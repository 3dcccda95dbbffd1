"""Options and arguments are checked before any work: one clear message, whatever was passed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.frozen import FrozenEstimator

import vrae
from conftest import TINY, make_estimator
from vrae import VRAE, LongSeriesDetector, Panel, VRAEClusterer, load_model
from vrae.data import reading
from vrae.estimators.fitting import FittedVRAE
from vrae.estimators.option_tables import OPTIONS
from vrae.exceptions import InvalidDataError, InvalidParameterError, VRAEError
from vrae.runtime import autocast

X = np.random.default_rng(0).standard_normal((12, 16))
JUNK: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 10**9, 10**18, 10**400, 1.5, -0.5, 1e300, -1e300, float("nan"), float("inf")),
    *("", "x", "auto", "1", b"x", [], [1], {}, {1}, (1,), object(), 1 + 1j, np.array([1, 2])),
    *(np.int64(-3), np.float32("nan"), lambda: 1, KMeans, KMeans(-1)),
)


class Trained(Exception):
    """Training began."""


class NoTraining:
    def fit(self, network: Any, data: Any, task: Any) -> Any:
        raise Trained


def refused_or_begins(fit: Any) -> str:
    """Return the message of an InvalidParameterError; nothing if training would begin."""
    try:
        fit()
    except InvalidParameterError as error:
        return str(error)
    except (Trained, VRAEError):
        return ""
    return ""


@pytest.mark.parametrize("name", OPTIONS["VRAE"])
def test_any_option_of_a_model_is_refused_by_name_or_training_begins(name):
    messages = [
        refused_or_begins(lambda value=value: VRAE(**{**TINY, name: value}).fit(X, trainer=NoTraining()))
        for value in JUNK
    ]
    found = [message for message in messages if message]
    assert found, "nothing was refused"
    assert [message for message in found if name not in message and "freq" not in message] == []
    assert max(map(len, found)) < 400


@pytest.mark.filterwarnings("ignore::vrae.exceptions.VRAEWarning")
@pytest.mark.parametrize("kind", [kind for kind in OPTIONS if kind != "VRAE"])
def test_any_option_of_an_estimator_is_refused_before_training(kind, monkeypatch):
    def stop(*_: Any, **__: Any) -> Any:
        raise Trained

    monkeypatch.setattr(FittedVRAE, "fit_panel", stop)
    monkeypatch.setattr(LongSeriesDetector, "_choose", stop)
    for name in OPTIONS[kind]:
        refused = []
        for value in JUNK:
            make = LongSeriesDetector if kind == "LongSeriesDetector" else lambda **own: make_estimator(kind, **own)
            if refused_or_begins(lambda make=make, value=value, name=name: make(**{name: value}).fit(X)):
                refused.append(value)
        assert refused, name


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"beta": 1e300}, r"beta must be a finite number at least 0 and at most 1e\+09; found 1e\+300"),
        ({"hidden_size": 10**9}, "hidden_size must be at most 65,536; found 1000000000"),
        ({"hidden_size": 60_000}, r"a network of 43,[\d,]+ numbers.*Lower hidden_size=60000"),
        ({"max_epochs": 10**12}, "max_epochs must be at most 1,000,000"),
        ({"random_state": -1}, r"random_state must be a whole number from 0 to 2\*\*32 - 1"),
        ({"random_state": 2**32}, "random_state must be a whole number"),
        ({"callbacks": [print]}, "callbacks must be a list of vrae.train.callbacks.Callback"),
        ({"callbacks": "x"}, "callbacks must be a list"),
        ({"device": 10**400}, "device must be the name of a device"),
    ],
)
def test_absurd_options_take_no_memory_and_no_time(options, words):
    with pytest.raises(InvalidParameterError, match=words):
        VRAE(**{**TINY, "patch_size": 2, **options}).fit(X)


def test_the_options_of_a_head_are_checked_also_with_a_frozen_model():
    frozen = FrozenEstimator(VRAE(**{**TINY, "max_epochs": 1}).fit(X))
    with pytest.raises(InvalidParameterError, match="random_state must be"):
        VRAEClusterer(2, model=frozen, random_state=-1).fit(X)


@pytest.mark.parametrize(
    "arguments",
    [
        ("cluster", "--seed", "-1"),
        ("cluster", "-k", "1_0"),
        ("similar", "-n1_0"),
        ("cluster", "-k", "0"),
        ("cluster", "--hidden-size", "1_0"),
        ("cluster", "--learning-rate", "1_0"),
        ("cluster", "--beta", "1e300"),
        ("cluster", "--epochs", "100000000000"),
        ("cluster", "--checkpoint-every", "-1"),
        ("cluster", "--engine", "ray", "--workers", "0"),
        ("forecast", "--season", "0"),
        ("forecast", "--horizon", "0"),
        ("anomalies", "--contamination", "2"),
        ("anomalies", "--window", "1_0"),
        ("similar", "--neighbors", "0"),
        ("reduce", "--latent-size", "1_0"),
    ],
    ids=" ".join,
)
def test_the_command_line_refuses_options_before_it_reads(arguments, cli, tmp_path, monkeypatch):
    command, *options = arguments
    (tmp_path / "sales.csv").write_text("id,1,2,3,4\n" + "\n".join(f"a{i},{i},2,3,{i}" for i in range(9)))
    monkeypatch.setattr(reading, "read_source", lambda *_: pytest.fail("the series were read"))
    done = cli(command, tmp_path / "sales.csv", *options, "-o", tmp_path / "out")
    assert done.code == 2
    flag = {"-k": "--clusters"}.get(options[-2], options[-2]) if len(options) > 1 else "-n"
    assert flag in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "out").exists()


def test_a_variable_with_an_underscore_is_no_number(cli, tmp_path, monkeypatch):
    (tmp_path / "sales.csv").write_text("id,1,2,3,4\n" + "\n".join(f"a{i},{i},2,3,{i}" for i in range(9)))
    monkeypatch.setenv("VRAE_SEED", "1_0")
    done = cli("similar", tmp_path / "sales.csv", "-o", tmp_path / "out.csv")
    assert done.code == 2
    assert "VRAE_SEED must be a number; found '1_0'" in done.err


def test_arguments_of_methods_are_refused_by_name(fitted, tmp_path):
    model, clusterer = fitted("VRAE"), fitted("VRAEClusterer")
    for value in ("x", {}, object(), 10**400, 1 + 1j):
        with pytest.raises(InvalidDataError, match="Z must be an array of numbers"):
            model.inverse_transform(value)
        with pytest.raises(InvalidDataError, match="Z must be an array of numbers"):
            clusterer.predict_proba_from_latent(value)
        with pytest.raises(InvalidDataError, match="restore takes the Codes"):
            model.restore(value)
    for call in (
        lambda: model.sample(10**9),
        lambda: model.inverse_transform(model.embedding_, 10**12),
        lambda: model.traversal(0, 10**9),
        lambda: model.save(3),
        lambda: load_model(cast(Any, 3)),
        lambda: model.get_feature_names_out(3),
        lambda: clusterer.regroup([1, 2]),
    ):
        with pytest.raises(InvalidParameterError):
            call()
    for parts in ({"channels": 3}, {"static": {"a": 3}}, {"static": 3}, {"times": 3}):
        with pytest.raises(
            InvalidDataError, match=f"The {'static columns' if 'static' in parts else next(iter(parts))}"
        ):
            Panel.from_arrays(X, **parts)
    with pytest.raises(InvalidDataError, match=r"No series has the id \[1, 2\]"):
        Panel.from_arrays(X).position([1, 2])


def test_a_model_of_a_gpu_is_used_in_full_precision_on_the_cpu(fitted, tmp_path, small_series):
    folder = fitted("VRAE").save(tmp_path / "model")
    file = Path(folder) / "config.json"
    config = json.loads(file.read_text())
    config["model"]["options"]["precision"] = "float16"
    file.write_text(json.dumps(config))
    X = small_series("2d")
    np.testing.assert_array_equal(load_model(folder).transform(X), fitted("VRAE").transform(X))
    with autocast(torch.device("cpu"), "bfloat16"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_every_public_estimator_has_a_table_of_its_options():
    for kind, table in OPTIONS.items():
        names = set(getattr(vrae, kind)._get_param_names()) - {"model"}
        assert names == set(table), kind
