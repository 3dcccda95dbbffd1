"""Model folders with one wrong part: refused with one clear message, or they work.

About two hundred mutations run with the other tests, the same every time. ``make fuzz`` runs many
more, and others each night (VRAE_FUZZ=nightly).
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
from sklearn.frozen import FrozenEstimator

from amount import IS_QUICK, times
from conftest import TINY, make_estimator
from model_mutations import Mutation, mutations_of_arrays, mutations_of_config
from vrae import VRAE, LongSeriesDetector, VRAEClusterer, load_model, read_panel
from vrae.data.calendar import Calendar
from vrae.estimators.saved_schema import check_config
from vrae.exceptions import InvalidParameterError, ModelFileError, VRAEError
from vrae.runs.metrics_schema import check_metrics

pytestmark = [
    pytest.mark.filterwarnings("ignore::vrae.exceptions.VRAEWarning", "ignore::RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

N_CONFIGS, N_ARRAYS = times(20, 2000), times(8, 500)
SEED = 0 if IS_QUICK else random.randrange(10**9)


def table(n: int = 12, n_steps: int = 16) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    wave = np.sin(np.arange(n_steps) / (1.5 + np.arange(n)[:, None] % 2)) + 3 + 0.1 * rng.standard_normal((n, n_steps))
    days = pd.date_range("2024-01-01", periods=n_steps, freq="D")
    ids = [f"item {i}" for i in range(n)]
    return pd.DataFrame({"item": np.repeat(ids, n_steps), "day": np.tile(days, n), "sold": wave.ravel()})


def long_table() -> Any:
    x = np.sin(np.arange(240) * np.pi / 10)
    x[100:110] = 0
    hours = pd.date_range("2024-01-01", periods=240, freq="h")
    return read_panel(
        pd.DataFrame({"id": "a", "time": hours, "u": x, "v": x[::-1]}), id="id", time="time", value=["u", "v"]
    )


def edited() -> Any:
    clusterer = make_estimator("VRAEClusterer", n_clusters=3).fit(TABLE)
    clusterer.split(0).merge([0, 1]).move([clusterer.ids_[0]], to=0).rename({0: "mine"})
    return clusterer


TABLE, LONG = table(), long_table()
STATISTICS = "model.network.statistics"
Use = Callable[[Any], Any]


def at_night(*methods: Use) -> tuple[Use, ...]:
    """Return methods that take long, if there is time."""
    return () if IS_QUICK else methods


# How a model of each kind is made, and methods to use it.
MODELS: dict[str, tuple[Callable[[], Any], tuple[Use, ...]]] = {
    "VRAE": (
        lambda: VRAE(**TINY, scaling="channel").fit(TABLE),
        (lambda e: e.transform(TABLE), lambda e: e.score_samples(TABLE), lambda e: e.sample(1, 0)),
    ),
    "VRAEClusterer": (
        edited,
        (lambda e: e.predict(TABLE), lambda e: e.names_, *at_night(lambda e: e.regroup(2), lambda e: e.stability())),
    ),
    "frozen": (
        lambda: VRAEClusterer(2, clusterer="ward", model=FrozenEstimator(VRAE(**TINY).fit(TABLE))).fit(table(9)),
        (lambda e: e.predict_proba(TABLE), *at_night(lambda e: e.describe(TABLE))),
    ),
    "VRAEAnomalyDetector": (
        lambda: make_estimator("VRAEAnomalyDetector").fit(TABLE),
        (lambda e: e.predict(TABLE), lambda e: e.step_scores(TABLE)),
    ),
    "VRAENeighbors": (
        lambda: make_estimator("VRAENeighbors", n_neighbors=2).fit(TABLE),
        (lambda e: e.kneighbors(TABLE), lambda e: e.similar(), lambda e: e.dated_series(np.arange(3))),
    ),
    "GroupForecaster": (
        lambda: make_estimator("GroupForecaster").fit(TABLE),
        (lambda e: e.predict(), lambda e: e.predict_table(TABLE), lambda e: e.predict_proba()),
    ),
    "LongSeriesDetector": (
        lambda: LongSeriesDetector(20).fit(LONG),
        (lambda e: e.score_steps(LONG), lambda e: e.update_panel(LONG)),
    ),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that gives the folder of a saved model, which nobody changes."""
    folder = tmp_path_factory.mktemp("models")

    def saved(name: str) -> Path:
        if not (folder / name).exists():
            MODELS[name][0]().save(folder / name)
        return folder / name

    return saved


def _mutations(model: Path) -> Iterator[Mutation]:
    config = json.loads((model / "config.json").read_text())
    arrays = safetensors.numpy.load_file(model / "weights.safetensors")
    yield from mutations_of_config(config, N_CONFIGS, SEED)
    yield from mutations_of_arrays(config, arrays, N_ARRAYS, SEED)


def _use(name: str, estimator: Any, again: Path) -> None:
    """Call methods of a loaded estimator, and save and load it."""
    repr(estimator)
    for method in MODELS[name][1]:
        method(estimator)
    estimator.save(again)
    load_model(again)


@pytest.mark.parametrize("name", MODELS)
def test_a_mutated_model_works_or_is_refused_with_a_clear_message(name, saved, tmp_path, record_property):
    wrong: list[str] = []
    tries = 0
    shutil.copytree(saved(name), tmp_path / "model")
    weights = (tmp_path / "model" / "weights.safetensors").read_bytes()
    for mutation in _mutations(saved(name)):
        tries += 1
        mutation.write(tmp_path / "model")
        try:
            estimator = load_model(tmp_path / "model")
        except ModelFileError as error:
            if not (str(tmp_path / "model") in str(error) and 60 < len(str(error)) < 2000):
                wrong.append(f"{mutation.what}: unclear: {error}")
        except Exception as error:
            wrong.append(f"{mutation.what}: not refused but {error!r}")
        else:
            try:
                _use(name, estimator, tmp_path / "again")
            except VRAEError:  # such as a column that the table does not have
                pass
            except Exception as error:
                wrong.append(f"{mutation.what}: loaded, then {error!r}")
        if mutation.arrays is not None:
            (tmp_path / "model" / "weights.safetensors").write_bytes(weights)
    record_property("tries", tries)
    assert wrong == [], f"seed {SEED}"


@pytest.mark.parametrize("name", MODELS)
def test_the_description_is_that_of_what_is_saved(name, saved, tmp_path):
    config = json.loads((saved(name) / "config.json").read_text())
    check_config(config)
    load_model(saved(name)).save(tmp_path / "again")
    check_config(json.loads((tmp_path / "again" / "config.json").read_text()))


@pytest.mark.parametrize(
    ("case", "expected"),
    {
        "precision": (
            lambda c: c["model"]["options"].update(precision="__class__"),
            "model.options.precision: unknown",
        ),
        "nested": (
            lambda c: c["model"]["history"][1].update(loss=[1]),
            r"model.history\[1\].loss must be a finite number",
        ),
        "infinite": (lambda c: c["model"].update(noise_variance=float("inf")), "Infinity is no number of JSON"),
        "too large": (
            lambda c: c["model"]["options"].update(beta=10**400),
            "model.options.beta must be a finite number",
        ),
        "unknown": (lambda c: c["model"].update(extra=1), "model has an unknown key 'extra'"),
        "misspelt": (lambda c: c.update(edit=1), r"There is an unknown key 'edit'. Did you mean 'n_edits'"),
        "missing": (
            lambda c: c["model"]["network"].pop("cell") and c["model"].pop("history"),
            "is missing|expected the keys",
        ),
        "dilations": (
            lambda c: c["model"]["network"].update(pattern_dilations=[1, 10**9]),
            "pattern_dilations must be at most",
        ),
        "channels": (
            lambda c: c["model"].update(channels=["a", "b"]),
            "model.channels must be a list of 1 entries; found 2",
        ),
        "zone": (
            lambda c: c["model"]["calendar"].update(zone="Mars"),
            "model.calendar describes no steps of time.*Mars",
        ),
        "end": (
            lambda c: c["model"]["scaler"]["timing"].update(end="1999-01-01"),
            "model.scaler.timing.end must be later",
        ),
        "ids": (lambda c: c["model"]["ids"].__setitem__(0, 5), "model.ids must be of the type 'U'.*found 5"),
        "steps": (lambda c: c["model"].update(n_steps=10**9), "model.n_steps must be at most"),
        "numbers": (
            lambda c: c.update(selection=[{"n_clusters": 99, "score": 1.0}]),
            r"selection\[0\].n_clusters must be at most 12",
        ),
        "no version": (lambda c: c.update(format_version=True), "has format_version True"),
        "other version": (lambda c: c.update(format_version=2), "says format_version 2, but lacks"),
    }.items(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_message_names_file_key_and_what_is_allowed(case, expected, saved, tmp_path):
    shutil.copytree(saved("VRAEClusterer"), tmp_path / "model")
    file = tmp_path / "model" / "config.json"
    config = json.loads(file.read_text())
    change, words = expected
    change(config)
    file.write_text(json.dumps(config))
    with pytest.raises(ModelFileError, match=words) as caught:
        load_model(tmp_path / "model")
    assert str(tmp_path / "model") in str(caught.value)


@pytest.mark.parametrize(
    "name", ["edits.0.parts.means", "edits.0.cluster", "edits.1.place", "edits.2.vectors", "edits.2.to"]
)
def test_the_arrays_of_edits_have_their_types(name, saved, tmp_path):
    shutil.copytree(saved("VRAEClusterer"), tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    arrays = safetensors.numpy.load_file(tmp_path / "model" / "weights.safetensors")
    Mutation("", config, {**arrays, name: arrays[name].astype("f2")}).write(tmp_path / "model")
    with pytest.raises(ModelFileError, match=rf"{name} should have the type \w\d, and has f2"):
        load_model(tmp_path / "model")


def test_a_calendar_without_keys_is_one_without_steps(saved, tmp_path):
    shutil.copytree(saved("VRAENeighbors"), tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    config["model"]["reading"]["calendar"] = {}
    Mutation("", config).write(tmp_path / "model")
    assert load_model(tmp_path / "model").model_.reading_.calendar == Calendar()


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("VRAENeighbors", lambda a: a.update({"model.embedding": a["model.embedding"] * np.nan}), "finite rows"),
        ("VRAE", lambda a: a["model.embedding"].__setitem__((0, 0), np.nan), "finite rows"),
        ("VRAE", lambda a: a[f"{STATISTICS}.kernels"].__setitem__((0, 0, 0, 0), 1), "three weights of 2"),
        ("VRAE", lambda a: a.update({f"{STATISTICS}.kernels": a[f"{STATISTICS}.kernels"] > 0}), "three weights of 2"),
        ("GroupForecaster", lambda a: a.pop("combination.season_width"), "combination.weights should have the shape"),
        (
            "GroupForecaster",
            lambda a: a.update({"combination.weights": a["combination.weights"][:4]}),
            "have the shape",
        ),
        ("GroupForecaster", lambda a: a["items.category"].__setitem__(0, 3), "numbers of the categories"),
    ],
)
def test_arrays_fit_each_other(name, change, words, saved, tmp_path):
    shutil.copytree(saved(name), tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    arrays = safetensors.numpy.load_file(tmp_path / "model" / "weights.safetensors")
    change(arrays)
    Mutation("", config, arrays).write(tmp_path / "model")
    with pytest.raises(ModelFileError, match=words):
        load_model(tmp_path / "model")


def test_the_courses_of_a_forecaster(tmp_path):
    forecaster = make_estimator("GroupForecaster", season_length=7).fit(table(n_steps=40))
    forecaster.save(tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    arrays = safetensors.numpy.load_file(tmp_path / "model" / "weights.safetensors")
    courses = {name: array for name, array in arrays.items() if name.startswith("courses.")}
    assert courses["courses.basis"].size
    for name, array in courses.items():
        own = {"courses.covariance": [array * 1e-30, -array], "courses.noise": [-array]}.get(name, [])
        for changed in (None, array + 1e9, array[..., None], array.astype("f2"), *own):
            others = {other: kept for other, kept in arrays.items() if other != name}
            Mutation("", config, others if changed is None else {**others, name: changed}).write(tmp_path / "model")
            with pytest.raises(ModelFileError, match=r"courses\."):
                load_model(tmp_path / "model")


def test_a_forecaster_needs_its_horizon(saved, tmp_path):
    shutil.copytree(saved("GroupForecaster"), tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    del config["options"]["horizon"]
    Mutation("", config).write(tmp_path / "model")
    with pytest.raises(ModelFileError, match=r"options.horizon is missing"):
        load_model(tmp_path / "model")


def test_a_large_config_is_refused_before_it_is_parsed(saved, tmp_path, monkeypatch):
    shutil.copytree(saved("VRAE"), tmp_path / "model")
    file = tmp_path / "model" / "config.json"
    text = file.read_text().rstrip().removesuffix("}")
    file.write_text(f'{text}, "more": [{"0," * (19 << 20)}0]}}')
    monkeypatch.setattr("json.loads", lambda *_, **__: pytest.fail("it was parsed"))
    with pytest.raises(ModelFileError, match=r"no model needs 39,\d+,\d+ bytes"):
        load_model(tmp_path / "model")


def test_the_longest_history_is_thinned(saved, tmp_path):
    model = load_model(saved("VRAE"))
    model.history_ = [{**model.history_[-1], "epoch": epoch} for epoch in range(1, 50_001)]
    epochs = [record["epoch"] for record in load_model(model.save(tmp_path / "model")).history_]
    assert (len(epochs), epochs[0], epochs[-1]) == (20_000, 1, 50_000)


# ---------------------------------------------------------------- metrics of a run

METRICS: dict[str, Any] = {
    "version": "0.1.0",
    "n_series": 12,
    "n_channels": 1,
    "missing_share": 0.0,
    "n_clusters": 2,
    "sizes": [7, 4],
    "names": ["up", "down"],
    "n_noise": 1,
    "silhouette": 0.5,
    "doubtful_share": 0.1,
    "selection": [{"n_clusters": 2, "score": 0.4, "is_peak": True}],
    "seconds": 1.5,
    "options": {"n_clusters": "auto", "model": {"beta": 1.0}},
    "data": ["12 series"],
    "stability": {"ari": 0.9, "clusters": [0.9, 0.8], "rounds": 10, "refits": 0},
    "source": {"data": "/data/sales.csv", "options": {"id": "item", "value": ["sold"]}, "fingerprint": None},
    "verdict": {"text": "Two groups.", "alerts": []},
    "alternatives": [3],
}


def test_mutated_metrics_are_refused_by_name_or_are_those_of_a_run(record_property):
    check_metrics(METRICS)
    record_property("tries", 10 * N_CONFIGS)
    for mutation in mutations_of_config(METRICS, 10 * N_CONFIGS, SEED):
        try:
            check_metrics(mutation.config)
        except InvalidParameterError as error:
            assert len(str(error)) > 15, mutation.what  # noqa: PT017
        else:
            assert len(mutation.config["sizes"]) == mutation.config["n_clusters"]
            assert sum(mutation.config["sizes"]) + mutation.config["n_noise"] == mutation.config["n_series"]
    with pytest.raises(InvalidParameterError, match=r"unknown key 'size'. Did you mean 'sizes'"):
        check_metrics({**METRICS, "size": 1})
    with pytest.raises(InvalidParameterError, match=r"source.options has an unknown key 'series_per_panel'"):
        check_metrics({**METRICS, "source": {"options": {"series_per_panel": 0}}})
