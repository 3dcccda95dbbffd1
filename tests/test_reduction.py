"""Data reduction: latent sizes, axes, codes, their error, and the commands."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vrae import VRAE, Panel, load_example, load_model
from vrae.estimators.reduction import Codes
from vrae.exceptions import DataWarning, InvalidDataError, InvalidParameterError
from vrae.train.axes import choose_size, fit_axes, size_curve

QUICK: dict[str, Any] = {"max_epochs": 2, "hidden_size": 8, "random_state": 0, "device": "cpu"}


def planted(factors: int, n: int = 200, steps: int = 60, noise: float = 0.15, seed: int = 0) -> np.ndarray:
    """Return random mixtures of ``factors`` smooth curves, with random levels and spreads."""
    rng = np.random.default_rng(seed)
    time = np.linspace(0, 1, steps)
    curves = np.array([np.cos(np.pi * (j + 1) * time) for j in range(factors)])
    X = rng.standard_normal((n, factors)) @ curves + noise * rng.standard_normal((n, steps))
    return (50 + 20 * rng.standard_normal((n, 1)) + rng.uniform(2, 9, (n, 1)) * X).astype(np.float32)


def znorm(X: np.ndarray) -> np.ndarray:
    return (X - X.mean(axis=1, keepdims=True)) / X.std(axis=1, keepdims=True)


def curve_of(X: np.ndarray) -> list[dict[str, float]]:
    cube = znorm(X)[:, :, None].astype(float)
    return size_curve(cube, np.ones(cube.shape, bool), 32)


# ---------------------------------------------------------------- how many numbers


@pytest.mark.parametrize("factors", [2, 3, 5, 8])
@pytest.mark.parametrize("noise", [0.15, 0.5])
def test_auto_finds_the_planted_number_of_factors_within_one(factors, noise):
    assert abs(choose_size(curve_of(planted(factors, noise=noise))) - factors) <= 1


def test_auto_finds_at_most_two_factors_in_noise():
    assert choose_size(curve_of(np.random.default_rng(0).standard_normal((200, 60)))) <= 2


def test_the_error_falls_up_to_the_planted_number_of_factors():
    error = [entry["error"] for entry in curve_of(planted(3))]
    assert error[0] > 0.2 > error[2]
    assert error[2] - error[5] < 0.02


def test_auto_is_kept_saved_and_used(tmp_path):
    model = VRAE.for_reduction(**QUICK).fit(planted(3))
    assert model.latent_size == "auto"
    assert model.transform(planted(3)).shape == (200, model.network_.config.latent_size)
    assert 2 <= model.network_.config.latent_size <= 4
    model.save(tmp_path / "model")
    again = load_model(tmp_path / "model")
    assert again.size_curve_ == model.size_curve_
    assert again.network_.config == model.network_.config
    with pytest.warns(DataWarning, match="was loaded"):
        again.partial_fit(planted(3, seed=1))
    assert again.network_.config.latent_size == model.network_.config.latent_size


def test_two_series_give_one_latent_dimension():
    model = VRAE.for_reduction(**QUICK).fit(planted(3, n=2))
    assert model.network_.config.latent_size == 1
    assert np.isfinite(model.reconstruct(planted(3, n=2))).all()


def test_an_unknown_size_is_refused():
    with pytest.raises(InvalidParameterError, match="latent_size must be a whole number of at least 1 or 'auto'"):
        VRAE(latent_size="automatic").fit(planted(2))  # type: ignore[arg-type]


def test_axes_and_lags_exclude_each_other():
    with pytest.raises(InvalidParameterError, match="max_lag"):
        VRAE.for_reduction(max_lag=3).fit(planted(2))


# ---------------------------------------------------------------- axes


def test_many_series_have_the_axes_of_pca():
    X = znorm(planted(4, n=2000, noise=0.3)).astype(float)
    found = fit_axes(X[:, :, None], np.ones((*X.shape, 1), bool), 4)
    own = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)[2][:4]
    angles = np.linalg.svd(own @ found.vectors[:, 0])[1]
    assert angles.min() > 0.995


def test_axes_of_few_series_generalise_better_than_pca():
    X = znorm(planted(12, n=124, noise=0.02)).astype(float)
    few, new = X[:24], X[24:]
    found = fit_axes(few[:, :, None], np.ones((*few.shape, 1), bool), 12)
    center = few.mean(axis=0)
    own = np.linalg.svd(few - center, full_matrices=False)[2][:12]

    def error(axes: np.ndarray, middle: np.ndarray) -> float:
        return float(((new - middle - (new - middle) @ axes.T @ axes) ** 2).mean())

    assert error(found.vectors[:, 0].T, found.center[:, 0]) < error(own, center)


def test_axes_are_orthonormal_with_bins_channels_and_more_axes_than_values():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((6, 1500, 2)).cumsum(axis=1)
    observed = rng.random(X.shape) < 0.8
    found = fit_axes(X, observed, 9)
    flat = found.vectors.reshape(-1, 9)
    np.testing.assert_allclose(flat.T @ flat, np.eye(9), atol=1e-6)
    assert fit_axes(X[:, :3], observed[:, :3], 9).vectors.shape == (3, 2, 9)


def test_missing_values_are_reconstructed():
    X = planted(3, noise=0.05)
    holes = np.random.default_rng(1).random(X.shape) < 0.3
    model = VRAE.for_reduction(latent_size=4, **QUICK).fit(np.where(holes, np.nan, X))
    missed = model.reconstruct(np.where(holes, np.nan, X)) - X
    spread = X.std(axis=1, keepdims=True)
    assert ((missed / spread)[holes] ** 2).mean() < 0.05


def test_truncated_series_are_reconstructed():
    X = planted(3, noise=0.05)
    lengths = np.random.default_rng(2).integers(30, 61, len(X))
    series = [x[:length] for x, length in zip(X, lengths, strict=True)]
    model = VRAE.for_reduction(latent_size=5, **QUICK).fit(series)
    report = model.reduction_report(series)
    assert report.kept > 0.9
    assert report.extra_size == 3  # level, spread and length


# ---------------------------------------------------------------- codes and report


def test_restore_agrees_with_reconstruct(kind, small_series):
    X = small_series(kind)
    model = VRAE.for_reduction(latent_size=3, **QUICK).fit(X)
    codes = Codes.from_columns(model.reduce(X).to_columns())
    rebuilt = model.restore(codes)
    expected = model.reconstruct(X if isinstance(X, Panel) else Panel.from_arrays(X))
    np.testing.assert_array_equal(rebuilt.ids, expected.ids)
    np.testing.assert_array_equal(rebuilt.lengths, expected.lengths)
    np.testing.assert_allclose(rebuilt.values, expected.values, rtol=1e-4, atol=1e-4)


def test_lags_are_part_of_the_codes(small_series):
    X = small_series("2d")
    model = VRAE(latent_size=3, max_lag=0.5, patch_size=2, **QUICK).fit(X)
    codes = model.reduce(X)
    np.testing.assert_array_equal(codes.lags, model.lags(X))
    np.testing.assert_allclose(model.restore(codes).values[:, 0], model.reconstruct(X).ravel(), atol=1e-3)


def test_the_report_counts_all_numbers_that_are_kept():
    X = planted(3)
    model = VRAE.for_reduction(latent_size=3, **QUICK).fit(X)
    report = model.reduction_report(X)
    assert (report.values_in, report.latent_size, report.extra_size) == (200 * 60, 3, 2)
    assert report.numbers_out == 200 * 5
    assert report.ratio == 12
    assert report.kept == pytest.approx(1 - report.error, abs=1e-3)
    assert report.kept > 0.9
    assert "12.0 to 1" in str(report)
    assert VRAE.for_reduction(latent_size=3, **QUICK).fit(znorm(X)).reduction_report(znorm(X)).extra_size == 0


def test_a_series_without_values_keeps_its_row():
    X = planted(2, n=20)
    X[3] = np.nan
    model = VRAE.for_reduction(latent_size=2, on_invalid="keep", **QUICK).fit(X)
    codes = model.reduce(X)
    assert np.isnan(codes.latent[3]).all()
    rebuilt = model.restore(codes)
    assert len(rebuilt) == 20
    assert np.isnan(rebuilt[3]).all()
    assert np.isfinite(rebuilt[4]).all()


def test_codes_of_another_model_are_refused():
    X = planted(2, n=20)
    codes = VRAE.for_reduction(latent_size=2, **QUICK).fit(X).reduce(X)
    with pytest.raises(InvalidDataError, match="has 3 and 1"):
        VRAE.for_reduction(latent_size=3, **QUICK).fit(X).restore(codes)


@pytest.mark.parametrize(
    "name",
    ["ArrowHead", pytest.param("TwoLeadECG", marks=pytest.mark.data), pytest.param("CBF", marks=pytest.mark.data)],
)
def test_sixteen_numbers_rebuild_unseen_series_better_than_pca(name):
    from sklearn.decomposition import PCA

    train, test = (load_example(name, split=split)[0].to_padded()[:, 0] for split in ("train", "test"))
    pca = PCA(16).fit(train)
    model = VRAE.for_reduction(latent_size=16, max_epochs=2, random_state=0, device="cpu").fit(train)
    error = ((model.reconstruct(test) - test) ** 2).mean()
    assert error < 0.95 * ((pca.inverse_transform(pca.transform(test)) - test) ** 2).mean()


# ---------------------------------------------------------------- command line


@pytest.fixture
def sales(tmp_path) -> Path:
    path = tmp_path / "sales.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["item", "week", "qty"])
        for i, x in enumerate(planted(2, n=30, steps=24)):
            writer.writerows([f"item{i}", t, float(v)] for t, v in enumerate(x[: 24 - i % 3]))
    return path


def test_reduce_and_restore_from_the_command_line(cli, sales, tmp_path):
    columns = ["--id", "item", "--time", "week", "--value", "qty"]
    folder = tmp_path / "reduced"
    code, out, _ = cli("reduce", sales, *columns, "--latent-size", 3, "--epochs", 2, "--quiet", "--out", folder)
    assert code == 0
    assert "3 and 3 for level, spread, length or lag" in out
    left = {"codes.parquet", "config.toml", "history.csv", "model", "reduction.json"}
    assert {p.name for p in folder.iterdir()} == left
    code, out, _ = cli("restore", folder)
    assert code == 0
    lines = list(csv.DictReader(out.splitlines()))
    code, nothing, err = cli("restore", folder, "--out", tmp_path / "again.csv")
    assert (code, nothing) == (0, "")
    assert err.endswith(f"Wrote {tmp_path / 'again.csv'}: 30 series, {len(lines)} steps.\n")
    assert (tmp_path / "again.csv").read_text() == out
    assert cli("restore", folder, "--out", tmp_path / "again.csv", "--quiet").said == ""
    with sales.open() as file:
        rows = list(csv.DictReader(file))
    assert [(r["id"], int(r["step"])) for r in lines] == [(r["item"], int(r["week"]) + 1) for r in rows]
    missed = [float(a["value"]) - float(b["qty"]) for a, b in zip(lines, rows, strict=True)]
    assert np.std(missed) < 0.5 * np.std([float(r["qty"]) for r in rows])
    code, _, err = cli("reduce", sales, *columns, "--out", folder)
    assert code == 2
    assert "earlier reduction" in err
    code, out, _ = cli(
        "reduce", sales, *columns, "--model", folder / "model", "--out", tmp_path / "new", "--json", "-q"
    )
    assert code == 0
    assert {p.name for p in (tmp_path / "new").iterdir()} == left - {"history.csv", "model"}


@pytest.mark.filterwarnings("default::vrae.exceptions.DataWarning")
@pytest.mark.parametrize(("noise", "is_little"), [(0.1, False), (3.0, True)])
def test_a_reduction_that_keeps_little_says_so_and_what_to_do(noise, is_little, cli, tmp_path):
    np.save(tmp_path / "X.npy", planted(1, n=40, steps=24, noise=noise))
    size = ("--latent-size", 1, "--epochs", 1)
    done = cli("reduce", tmp_path / "X.npy", *size, "--out", tmp_path / "codes", "--json")
    kept = f"The codes keep {int(100 * json.loads(done.out)['kept'])} % of the variance"
    for words in (kept, "with a larger --latent-size (now 1)"):
        assert (words in done.err) == is_little, done.err


def test_restore_refuses_other_files(cli, tmp_path):
    (tmp_path / "codes.parquet").write_text("nothing")
    for place in (tmp_path, tmp_path / "nowhere"):
        code, out, err = cli("restore", place, "--model", tmp_path)
        assert (code, out) == (2, "")
        assert "Traceback" not in err
        assert "codes.parquet" in err or "nowhere" in err
