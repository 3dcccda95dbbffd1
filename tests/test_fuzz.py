"""Random series, options and files: a valid result or one clear error.

A few examples run with the other tests. ``make fuzz`` runs over fifty thousand (VRAE_FUZZ=nightly).
"""

from __future__ import annotations

import json
import shutil
import struct
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone

from amount import cases
from file_parts import CASES
from reading_worker import Worker
from sound_files import FILES
from vrae import VRAE, GroupForecaster, Panel, VRAEAnomalyDetector, VRAEClusterer, VRAENeighbors, load_model, read_panel
from vrae.exceptions import VRAEError, VRAEWarning

pytestmark = pytest.mark.filterwarnings("ignore::vrae.exceptions.VRAEWarning", "ignore::RuntimeWarning")

# ---------------------------------------------------------------- panels

TINY: dict[str, Any] = {"latent_size": 2, "hidden_size": 6, "max_epochs": 1, "device": "cpu"}
VARIANTS: tuple[dict[str, Any], ...] = (
    {"pattern_weight": 0.0},
    {"patch_size": 3, "scaling": "robust", "pattern_weight": 0.0},
    {"max_lag": 2, "cell": "gru", "pattern_weight": 0.0},
    {"scaling": "channel", "architecture": "classic", "pattern_weight": 0.0},
    {"pattern_weight": 1.0, "level_weight": 1.0},
    {"architecture": "linear", "pattern_weight": 0.0},
    {"scaling": None, "num_layers": 2, "architecture": "classic", "pattern_weight": 0.0},
)
CLASSES: dict[str, Any] = {
    "VRAE": clone,
    "VRAEClusterer": lambda model: VRAEClusterer(2, model=model, random_state=0),
    "VRAEAnomalyDetector": lambda model: VRAEAnomalyDetector(model=model, random_state=0),
    "VRAENeighbors": lambda model: VRAENeighbors(2, model=model, random_state=0),
}
# Methods that give a row per series, which depends on this series only.
METHODS = {
    "VRAE": ("transform", "score_samples", "lags", "reconstruct"),
    "VRAEClusterer": ("predict_proba", "predict"),
    "VRAEAnomalyDetector": ("decision_function", "predict", "step_scores"),
    "VRAENeighbors": ("kneighbors",),
}
PAIRS = [(name, method) for name, methods in METHODS.items() for method in methods]


@st.composite
def panels(draw: st.DrawFn, channels: int = 1, spoilt: bool = True) -> Panel:
    """Draw one to six series of 1 to 30 steps: random walks, and extreme or missing values."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    lengths = draw(st.lists(st.integers(1, 30), min_size=1, max_size=6))
    series = []
    for length in lengths:
        x = rng.standard_normal((channels, length)).cumsum(axis=1)
        if spoilt:
            x *= draw(st.sampled_from([1.0, 1.0, 0.0, 1e-30, 1e6, 1e30]))
            x += draw(st.sampled_from([0.0, 0.0, 1.0, -1e6, 1e20]))
            spot = int(rng.integers(length))
            x[0, spot] = draw(st.sampled_from([x[0, spot], 0.0, 1e30, -3e38, np.nan]))
            x[:, rng.random(length) < draw(st.sampled_from([0.0, 0.0, 0.3, 0.9]))] = np.nan
            x[0, int(rng.integers(length))] = 1.0  # at least one value
        series.append(x)
    return Panel.from_arrays(series, ids=[f"s{i}" for i in range(len(series))])


@cache
def model_of(name: str, variant: int, channels: int) -> Any:
    rng = np.random.default_rng(0)
    X = [rng.standard_normal((channels, n)).cumsum(axis=1) for n in rng.integers(8, 20, 8)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return CLASSES[name](VRAE(**TINY, **VARIANTS[variant], random_state=0)).fit(X)


def rows_of(result: Any) -> list[np.ndarray]:
    """Return the rows of a result, one per series."""
    if isinstance(result, tuple):
        return [np.concatenate([np.ravel(part[row]) for part in result]) for row in range(len(result[0]))]
    if isinstance(result, Panel):
        return [np.ravel(series) for series in result]
    return [np.ravel(row) for row in result]


def assert_close(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-4 * max(1.0, float(np.abs(other).max(initial=0))))


@pytest.mark.parametrize(("name", "method"), PAIRS)
@cases(quick=4, nightly=500)
@given(data=st.data())
def test_every_series_gets_a_finite_row(name, method, data):
    channels = data.draw(st.integers(1, 2))
    model = model_of(name, data.draw(st.integers(0, len(VARIANTS) - 1)), channels)
    panel = data.draw(panels(channels))
    before = panel.values.copy()
    result = getattr(model, method)(panel)
    rows = rows_of(result)
    assert len(rows) == len(panel)
    if isinstance(result, Panel):
        assert result.ids.tolist() == panel.ids.tolist()
        assert result.lengths.tolist() == panel.lengths.tolist()
    too_large = np.nanmax(np.abs(panel.values)) > 1e38  # the result itself may exceed float32
    has_gaps = method == "step_scores"  # NaN where the series is missing
    assert all(np.isfinite(row).all() for row in rows) or too_large or has_gaps
    np.testing.assert_array_equal(panel.values, before)


@pytest.mark.parametrize(("name", "method"), PAIRS)
@cases(quick=3, nightly=400)
@given(data=st.data())
def test_results_do_not_depend_on_other_series_and_their_order(name, method, data):
    """Permuted and repeated series give permuted and repeated results."""
    channels = data.draw(st.integers(1, 2))
    model = model_of(name, data.draw(st.integers(0, len(VARIANTS) - 1)), channels)
    panel = data.draw(panels(channels, spoilt=False))
    chosen = data.draw(st.lists(st.integers(0, len(panel) - 1), min_size=1, max_size=8))
    expected = rows_of(getattr(model, method)(panel))
    found = rows_of(getattr(model, method)(Panel.from_arrays([panel.to_list()[row] for row in chosen])))
    if method in ("predict", "kneighbors", "lags"):  # ties may be decided either way
        assert [len(row) for row in found] == [len(expected[row]) for row in chosen]
    else:
        assert_close(found, [expected[row] for row in chosen])


@pytest.mark.parametrize("variant", [0, 1, 2, 5])
@cases(quick=5, nightly=500)
@given(
    seed=st.integers(0, 2**32 - 1),
    length=st.integers(3, 30),
    scale=st.floats(0.01, 100),
    level=st.floats(-100, 100),
)
def test_level_and_spread_do_not_change_latent_vectors(variant, seed, length, scale, level):
    model = model_of("VRAE", variant, 1)
    X = np.random.default_rng(seed).standard_normal((2, length))
    np.testing.assert_allclose(model.transform(scale * X + level), model.transform(X), atol=2e-2 if scale < 1 else 2e-3)


@cases(quick=4, nightly=300)
@given(data=st.data())
def test_any_options_fit_or_are_refused_with_a_clear_message(data):
    options = {
        "latent_size": data.draw(st.sampled_from([1, 3, "auto", 0])),
        "hidden_size": data.draw(st.integers(1, 9)),
        "num_layers": data.draw(st.integers(1, 2)),
        "cell": data.draw(st.sampled_from(["lstm", "gru", "rnn"])),
        "architecture": data.draw(st.sampled_from(["default", "classic", "linear"])),
        "patch_size": data.draw(st.sampled_from([1, 2, 50, "auto"])),
        "dropout": data.draw(st.sampled_from([0.0, 0.5, 1.0])),
        "beta": data.draw(st.sampled_from([0.0, 1.0, 1e6])),
        "max_lag": data.draw(st.sampled_from([0, 1, 40, 0.3])),
        "scaling": data.draw(st.sampled_from(["series", "channel", "robust", None])),
        "max_epochs": data.draw(st.integers(1, 2)),
        "batch_size": data.draw(st.integers(1, 7)),
        "optimizer": data.draw(st.sampled_from(["adam", "sgd"])),
        "learning_rate": data.draw(st.sampled_from([1e-3, 0.1, 1e3])),
        "early_stopping": data.draw(st.sampled_from([False, 1])),
    }
    panel = data.draw(panels(data.draw(st.integers(1, 2))))
    model = VRAE(pattern_weight=0.0, device="cpu", **options)
    clusterer = VRAEClusterer(data.draw(st.sampled_from([1, 2, "auto"])), model=model, random_state=0)
    try:
        clusterer.fit(panel)
    except VRAEError as error:
        assert 20 < len(str(error)) < 700  # noqa: PT017
        assert not hasattr(clusterer, "model_")
        return
    assert clusterer.embedding_.shape == (len(panel), clusterer.model_.network_.config.latent_size)
    assert np.isfinite(clusterer.embedding_).all()
    assert clusterer.labels_.shape == (len(panel),)
    assert clusterer.ids_.tolist() == panel.ids.tolist()


@cache
def _forecaster() -> Any:
    rng = np.random.default_rng(0)
    X = [rng.poisson(5, 30).astype(float) for _ in range(12)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return GroupForecaster(3, 2, model=VRAE(**{**TINY, "latent_size": 16}), random_state=0).fit(X)


@cases(quick=3, nightly=300)
@given(panel=panels())
def test_every_item_gets_a_forecast(panel):
    try:
        forecast = _forecaster().predict(panel)
    except VRAEError as error:
        assert 20 < len(str(error)) < 700  # noqa: PT017
        return
    assert forecast.shape == (len(panel), 3)
    assert np.isfinite(forecast).all() or np.nanmax(np.abs(panel.values)) > 1e19


# ---------------------------------------------------------------- files


# What a file format may stumble over.
MARKS: tuple[bytes, ...] = (
    *(b"", b"\n", b",", b"\t", b'"', b"'", b":", b"(", b")", b"@data", b"NaN", b"?", b"\x00", b"\xff\xfe"),
    *(b"\xef\xbb\xbf", b"1e999", b"-inf", b"=cmd()", b"9" * 40, b"PK\x03\x04", b"PAR1", b"\r", b"\n\n\n"),
    "\N{SNOWMAN}".encode(),
)


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Cut, replace and insert a few bytes."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        n_removed = draw(st.sampled_from([0, 0, 1, 1, 4, 1000]))
        new = draw(st.one_of(st.sampled_from(MARKS), st.binary(max_size=6)))
        content = content[:start] + new + content[start + n_removed :]
    return content


def test_the_files_are_valid_before_damage(tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
        assert len(read_panel(tmp_path / name)) >= 2, name


@pytest.mark.parametrize("name", FILES)
@cases(quick=25, nightly=600)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_with_a_clear_message(name, data, tmp_path):
    path = Path(tmp_path) / name
    path.write_bytes(data.draw(damaged(FILES[name])))
    try:
        panel = read_panel(path)
    except VRAEError as error:
        assert len(str(error)) > 20  # noqa: PT017
        return
    assert panel.values.shape == (panel.offsets[-1], panel.n_channels)
    assert panel.values.dtype in (np.float32, np.float64)
    assert len(panel.ids) == len(panel) == len(panel.offsets) - 1
    assert (np.diff(panel.offsets) >= 0).all()


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    found = Worker()
    yield found
    found.close()


@pytest.mark.skipif(sys.platform == "win32", reason="limits and pipes of Unix")
@pytest.mark.parametrize("kind", CASES)
@cases(quick=12, nightly=4000)
@given(data=st.data())
def test_a_file_of_broken_parts_is_read_or_refused_in_time_and_memory(kind, data, worker, tmp_path):
    """The parts of a file are wrong, damaged or of unusual types, and so are the options."""
    case = data.draw(CASES[kind])
    path = Path(tmp_path) / case.name
    path.write_bytes(case.content)
    RESULTS[kind, worker.read(path, case.options, case.in_parts)] += 1


RESULTS: Counter[tuple[str, str]] = Counter()


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """Return the folder of a model whose arrays are not checked by their hash."""
    folder = model_of("VRAEClusterer", 0, 1).save(tmp_path_factory.mktemp("saved") / "model")
    config = json.loads((folder / "config.json").read_text())
    del config["weights_sha256"]
    (folder / "config.json").write_text(json.dumps(config))
    return folder


SIZES = st.sampled_from([0, 1, 2, -1, 7, 2**31, 2**40, 2**63, 2**70, 1.5, None, "4", [1]])


@st.composite
def damaged_arrays(draw: st.DrawFn, content: bytes) -> bytes:
    """Change what the header of a safetensors file says about one or two arrays, or its bytes."""
    size = struct.unpack("<Q", content[:8])[0]
    header, data = json.loads(content[8 : 8 + size]), content[8 + size :]
    for _ in range(draw(st.integers(1, 2))):
        name = draw(st.sampled_from([name for name in sorted(header) if name != "__metadata__"]))
        entry = header[name]
        what = draw(st.sampled_from(["shape", "dtype", "offsets", "name", "extra", "missing", "entry", "metadata"]))
        if not isinstance(entry, dict) or what == "missing":
            del header[name]
            break
        if what == "shape":
            entry["shape"] = draw(st.one_of(st.just(entry.get("shape", [])[::-1]), st.lists(SIZES, max_size=4)))
        elif what == "dtype":
            entry["dtype"] = draw(st.sampled_from(["F16", "BF16", "F64", "I64", "BOOL", "U8", "F8_E5M2", "X", None]))
        elif what == "offsets":
            entry["data_offsets"] = draw(st.lists(st.one_of(SIZES, st.integers(0, len(data))), max_size=3))
        elif what in ("name", "extra"):
            header[draw(st.sampled_from([f"{name}x", "", "a" * 1000, "__metadata__"]))] = entry
            header.pop(name if what == "name" else "", None)
        elif what == "entry":
            header[name] = draw(st.sampled_from([None, [], {}, "x", 3]))
        else:
            header["__metadata__"] = draw(st.sampled_from([None, {"a": 1}, [], {"format": "x" * 1000}]))
    text = json.dumps(header).encode()
    text = draw(st.sampled_from([text, text, text, text[:-1], b"[" * 5000, text + b" " * 1000]))
    length = draw(st.sampled_from([len(text)] * 6 + [0, len(text) + 1, 2**31, 2**63]))
    return struct.pack("<Q", length) + text + draw(st.sampled_from([data, data, data, data[:-4], data + b"x", b""]))


@cases(quick=40, nightly=3000)
@given(data=st.data())
def test_a_model_with_damaged_arrays_works_or_is_refused(data, saved, tmp_path):
    content = (saved / "weights.safetensors").read_bytes()
    folder = Path(tmp_path) / "model"
    folder.mkdir(exist_ok=True)
    shutil.copy(saved / "config.json", folder)
    (folder / "weights.safetensors").write_bytes(data.draw(damaged_arrays(content)))
    try:
        model = load_model(folder)
        found = model.predict(np.random.default_rng(0).standard_normal((3, 12)))
    except VRAEError as error:
        assert 20 < len(str(error)) < 1500  # noqa: PT017
        return
    assert found.shape == (3,)


def test_files_of_broken_parts_are_not_all_refused():
    """Cases that never pass the first check would test nothing else."""
    n_read = sum(count for (_, result), count in RESULTS.items() if result == "read")
    assert 20 * n_read >= RESULTS.total(), RESULTS


def test_make_fuzz_runs_fifty_thousand_examples():
    panels = len(PAIRS) * (500 + 400) + 4 * 500 + 300 + 300
    assert panels + len(FILES) * 600 + len(CASES) * 4000 >= 50_000
    assert issubclass(VRAEWarning, UserWarning)
