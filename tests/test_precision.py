"""Nothing is lost in float32: values keep float64 until their level is taken off."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from vrae import VRAE, GroupForecaster, Panel, VRAEAnomalyDetector, VRAEClusterer, VRAENeighbors, load_model, read_panel
from vrae.data.batching import Batch, collate
from vrae.data.precision import narrowed
from vrae.data.scaling import SCALINGS, Scaler
from vrae.data.selection import hide_level_ends, join_panels
from vrae.data.sliding import sliding_windows
from vrae.exceptions import DataWarning
from vrae.report.payload import pack_lines

HIGH = 3e9  # the steps of float32 are 256 there


def model(**options: Any) -> VRAE:
    return VRAE(**{"max_epochs": 2, "device": "cpu", "random_state": 0, **options})


def meters(n: int = 12, steps: int = 40) -> np.ndarray:
    """Return meters that rise in whole steps, half of them evenly and half by turns."""
    rng = np.random.default_rng(0)
    turn = np.where(np.arange(n)[:, None] % 2, np.arange(steps) % 4 == 0, 1)
    return np.cumsum(3 * turn + rng.integers(0, 2, (n, steps)), axis=1).astype(float)


def one(series: Any) -> np.dtype:
    values = np.asarray(series)[:, None]
    return narrowed(values, np.array([len(values)])).dtype


def batch_of(X: Any, scaling: str | None) -> Batch:
    panel = Panel.from_arrays(X)
    return collate(panel, np.arange(len(panel)), Scaler(scaling).fit(panel), torch.device("cpu"))


# -------------------------------------------------------------------- which type


@pytest.mark.parametrize(
    "series",
    [
        HIGH + np.arange(40.0),
        np.arange(40) + 2**40,  # an int64 counter
        1.6e7 + np.arange(10.0),  # exact in float32, but it would count as constant
        np.append(0.0, HIGH + 7 * np.arange(40.0)),  # a meter that was zero once
        [np.nan, 1e12, 1e12 + 5, 1e12 - 5, np.nan],
        1e-42 * np.arange(1.0, 9.0),
    ],
)
def test_float64_where_steps_would_be_lost(series):
    assert one(series) == np.float64


@pytest.mark.parametrize(
    "series",
    [
        np.random.default_rng(0).standard_normal(50),
        1000 + np.random.default_rng(0).standard_normal(50),
        np.arange(50),
        [0.1] * 5,
        [0.1 + 0.2, 0.3, 0.3],  # constant but for the rounding of float64
        np.full(5, 2**40),
        [np.nan, np.nan],
        1e-30 * np.arange(9.0),
        (1 + 1e-7 * np.arange(40)).astype(np.float32).astype(float),  # rounding noise of float32
        1 - np.exp(-np.arange(50.0) / 8),
        [1e39, 1.0],
        np.array([True, False]),
        (HIGH + np.arange(9)).astype(np.float32),
    ],
)
def test_float32_is_enough_for_other_series(series):
    assert one(series) == np.float32
    with np.errstate(over="ignore"):
        expected = np.asarray(series).astype(np.float32)
    np.testing.assert_array_equal(narrowed(np.asarray(series)[:, None], np.array([len(series)]))[:, 0], expected)


def test_float32_values_are_neither_checked_nor_copied():
    values = np.zeros((5, 1), np.float32)
    assert narrowed(values, np.array([5])) is values


def test_the_check_of_slices_is_that_of_the_whole(monkeypatch):
    rng = np.random.default_rng(0)
    series = [rng.standard_normal((n, 2)) + np.array([0, HIGH * (n % 3 == 0)]) for n in range(1, 30)]
    values, lengths = np.concatenate(series), np.array([len(x) for x in series])
    whole = narrowed(values, lengths)
    monkeypatch.setattr("vrae.data.precision._SLICE_VALUES", 14)
    np.testing.assert_array_equal(narrowed(values, lengths), whole)


def test_the_values_of_a_series_do_not_depend_on_the_others():
    X = np.random.default_rng(0).standard_normal((4, 20))
    alone, mixed = Panel.from_arrays(X), Panel.from_arrays([*X, 1e12 + np.arange(20)])
    assert [alone.values.dtype, mixed.values.dtype] == [np.dtype(np.float32), np.dtype(np.float64)]
    np.testing.assert_array_equal(mixed.select(range(4)).values, alone.values)
    for scaling in ("series", "robust"):
        ours, theirs = (batch_of(x, scaling) for x in (X, [*X, 1e12 + np.arange(20)]))
        np.testing.assert_array_equal(theirs.values[:4], ours.values)
    joined = join_panels([alone, Panel.from_arrays([1e12 + np.arange(20)], ids=[9])])
    np.testing.assert_array_equal(joined.values, mixed.values)


def test_values_beyond_float32_are_infinite_in_a_float64_panel_too():
    values = Panel.from_arrays([HIGH + np.arange(4), [1e39, -1e39, 1.0, 2.0]]).values[:, 0]
    assert values.dtype == np.float64
    assert values[4:].tolist() == [np.inf, -np.inf, 1, 2]


# -------------------------------------------------------------------- ways in


def long(X: np.ndarray) -> pd.DataFrame:
    n, steps = X.shape
    days = pd.date_range("2024-01-01", periods=steps)
    return pd.DataFrame({"unique_id": np.repeat(np.arange(n), steps), "ds": np.tile(days, n), "y": X.ravel()})


@pytest.mark.parametrize("kind", ["array", "channels", "list", "objects", "int64", "uint64", "long", "wide", "nested"])
def test_every_way_in_keeps_the_steps(kind):
    X = HIGH + meters(4, 20)
    source = {
        "array": X,
        "channels": X[:, None],
        "list": list(X),
        "objects": np.array([*X, None], object)[:-1],
        "int64": X.astype(np.int64),
        "uint64": X.astype(np.uint64),
        "long": long(X),
        "wide": pd.DataFrame(X, columns=[f"w{i}" for i in range(20)]),
        "nested": pd.DataFrame({"id": list("abcd"), "values": list(X)}),
    }[kind]
    panel = read_panel(source)
    np.testing.assert_array_equal(panel.to_padded()[:, 0], X)
    hidden = hide_level_ends(Panel.from_arrays(meters(4, 20)))
    np.testing.assert_array_equal(hide_level_ends(panel).values, HIGH + hidden.values.astype(float))
    np.testing.assert_array_equal(sliding_windows(panel, 10, 10).panel.values, panel.values)
    np.testing.assert_array_equal(panel.select([2]).values[:, 0], X[2])


@pytest.mark.parametrize("flat", [False, True])
def test_files_keep_the_steps(flat, tmp_path):
    X = HIGH + meters(4, 20)
    arrays = {"values": X.ravel(), "offsets": np.arange(5) * 20} if flat else {"X": X}
    np.savez(tmp_path / "x.npz", **arrays)
    np.testing.assert_array_equal(read_panel(tmp_path / "x.npz").to_padded()[:, 0], X)
    long(X).to_csv(tmp_path / "x.csv", index=False)
    np.testing.assert_array_equal(read_panel(tmp_path / "x.csv").to_padded()[:, 0], X)


def test_duplicates_are_summed_in_float64():
    table = pd.concat([long(HIGH + meters(2, 20))] * 2)
    with pytest.warns(DataWarning, match="Merged 40 rows"):
        panel = read_panel(table, duplicates="sum", freq="1d")
    np.testing.assert_array_equal(panel.to_padded()[:, 0], 2 * (HIGH + meters(2, 20)))


def test_a_panel_does_not_share_memory_with_an_array():
    for X in (HIGH + meters(4, 20), meters(4, 20).astype(np.float32)):
        panel = Panel.from_arrays(X)
        assert not np.may_share_memory(panel.values, X)


# -------------------------------------------------------------------- scaling


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("level", [HIGH, 2.0**40])
def test_scaled_values_do_not_depend_on_the_level(scaling, channels, level):
    X = np.stack([meters(6, 40)] * channels, axis=1)
    low, high = batch_of(X, scaling), batch_of(X + level, scaling)
    np.testing.assert_allclose(high.values, low.values, atol=2e-5)
    np.testing.assert_allclose(high.spread, low.spread, rtol=1e-5)


def test_a_meter_with_zeros_keeps_its_steps_where_scaling_is_robust():
    X = HIGH + meters(4, 60)
    X[:, 7] = 0
    clean, found = batch_of(meters(4, 60), "robust"), batch_of(X, "robust")
    np.testing.assert_allclose(found.spread, clean.spread, rtol=0.1)


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("size", [1e-30, 1e-42, 1e-60])
def test_tiny_values_are_scaled_like_others(scaling, size):
    X = np.random.default_rng(0).standard_normal((4, 30))
    np.testing.assert_allclose(batch_of(size * X, scaling).values, batch_of(X, scaling).values, atol=1e-3)


@pytest.mark.parametrize("scaling", SCALINGS)
def test_rounding_noise_of_a_constant_series_stays_invisible_beside_a_meter(scaling):
    noise = (0.1 + 1e-17 * np.arange(40), (1 + 1e-7 * (np.arange(40) % 2)).astype(np.float32))
    batch = batch_of([HIGH + np.arange(40), *noise], scaling)
    assert np.ptp(batch.values[1:].numpy(), axis=1).max() < 1e-5


def test_unscaled_values_that_are_too_large_are_reported():
    with pytest.warns(DataWarning, match=r"scaling=None leaves .* up to 3e\+09 .*scaling='series'"):
        Scaler(None).fit(Panel.from_arrays(HIGH + meters()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Scaler(None).fit(Panel.from_arrays(1e4 + 100 * meters()))


# -------------------------------------------------------------------- estimators


def test_clusters_and_neighbors_do_not_depend_on_the_level():
    low, high = meters(16), HIGH + meters(16)
    labels = [VRAEClusterer(2, model=model(max_epochs=4), random_state=0).fit(X).labels_ for X in (low, high)]
    assert adjusted_rand_score(*labels) == 1
    ours, theirs = (VRAENeighbors(model=model(), random_state=0).fit(X).kneighbors(X[:4], 3) for X in (low, high))
    np.testing.assert_array_equal(ours[1], theirs[1])


def test_an_anomaly_of_5_is_found_at_a_level_of_1e9():
    rng = np.random.default_rng(0)
    X = np.sin(np.arange(40) / 3) + 0.1 * rng.standard_normal((20, 40))
    X[3, 20] += 5
    low, high = (VRAEAnomalyDetector(model=model(), random_state=0).fit(x) for x in (X, 1e9 + X))
    np.testing.assert_array_equal(high.predict(1e9 + X), low.predict(X))
    assert high.predict(1e9 + X)[3] == -1
    assert np.argmax(np.abs(high.step_scores(1e9 + X)[3])) == 20
    band = high.expected_range(1e9 + X)
    assert band.middle.dtype == np.float64
    assert (np.abs(band.middle - 1e9) < 10).all()


def test_a_forecast_does_not_depend_on_the_level():
    X = meters(16, 48)
    forecasts = [
        GroupForecaster(4, 2, season_length=4, n_backtests=1, model=model(), random_state=0).fit(x).predict()
        for x in (X, 5e9 + X)
    ]
    np.testing.assert_allclose(forecasts[1] - 5e9, forecasts[0], atol=0.2 * X.std())


def test_results_in_the_units_of_the_series_are_float64(tmp_path):
    X = HIGH + meters()
    fitted = model(max_epochs=4).fit(X)
    fitted.save(tmp_path / "model")
    for found in (fitted, load_model(tmp_path / "model")):
        rebuilt, restored = found.reconstruct(X), found.restore(found.reduce(X)).to_padded()[:, 0]
        decoded, drawn = found.inverse_transform(found.transform(X)), found.sample(2, random_state=0)
        assert {a.dtype for a in (rebuilt, restored, decoded, drawn)} == {np.dtype(np.float64)}
        assert np.abs(rebuilt - X).mean() < X[0].std()
        np.testing.assert_allclose(restored, rebuilt, atol=1e-3)
        assert (np.abs(drawn - HIGH) < 1000).all()
    low = model(max_epochs=4).fit(meters())
    assert fitted.reduction_report(X).kept == pytest.approx(low.reduction_report(meters()).kept, abs=1e-3)


def test_results_of_other_series_are_float32():
    X = np.random.default_rng(0).standard_normal((8, 20))
    X[2] = 1e5  # constant
    fitted = model().fit(X)
    found = (fitted.reconstruct(X), fitted.restore(fitted.reduce(X)).values, fitted.sample())
    assert {a.dtype for a in found} == {np.dtype(np.float32)}


def test_lines_of_the_report_keep_the_steps():
    packed = pack_lines([HIGH + np.arange(9.0), np.full(3, 1e5)])
    assert packed["low"]["type"] == "f8"
    assert pack_lines([np.arange(9.0), np.full(3, 1e5)])["low"]["type"] == "f4"


def test_an_onnx_file_says_that_its_numbers_are_too_coarse(tmp_path):
    pytest.importorskip("onnx")
    with pytest.warns(DataWarning, match="too coarse for series that vary by"):
        model(max_epochs=1).fit(HIGH + meters()).export_onnx(tmp_path / "x.onnx")
