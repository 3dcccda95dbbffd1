"""Small `ReportData`, including edge cases, for the tests of the report."""

from __future__ import annotations

from typing import Any

import numpy as np

from vrae import Panel
from vrae.data.calendar import Calendar
from vrae.report import DirectionCurves, ReportData

HOSTILE_IDS = (
    "</script><script>window.hacked = 1</script>",
    '"><img src=x onerror="window.hacked = 1">',
    "<b>bold</b> & <a href='javascript:window.hacked=1'>link</a>",
    "{{ 7 * 7 }} {% raw %} ${window.hacked = 1}",
    'it\'s "quoted", with a comma',
    "snow ❄️ and 🦊, line\u2028break",
    "שלום עולם",
    "=1+1",
    "\\u003cscript\\u003e",
    "%{x} %{customdata}",
)

NAMES = {0: "Peaks in December", 1: "Steady, high volume", 2: "Launched in mid-2025, growing"}


def make_report_data(n: int = 24, n_clusters: int = 3, n_channels: int = 1, seed: int = 0, **parts: Any) -> ReportData:
    """Return noisy waves, clustered by their period. ``parts`` replace the defaults."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % n_clusters
    lengths = parts.pop("lengths", np.full(n, 40))
    waves = [
        np.sin(np.arange(length) / (2 + label) + np.arange(n_channels)[:, None])
        for length, label in zip(lengths, labels, strict=True)
    ]
    series = [wave + 0.2 * rng.normal(size=wave.shape) for wave in waves]
    ids = parts.pop("ids", [f"item {row}" for row in range(n)])
    panel = parts.pop("panel", None) or Panel.from_arrays(series, ids=ids)
    data: dict[str, Any] = {
        "title": "Waves",
        "panel": panel,
        "labels": labels,
        "probabilities": rng.uniform(0.4, 1, n),
        "embedding": np.eye(max(n_clusters, 2))[labels] * 4 + rng.normal(size=(n, max(n_clusters, 2))),
        "reconstruction": panel.with_values(panel.values * np.float32(0.9)),
        "lags": rng.integers(-3, 4, n),
        "history": [
            {"epoch": e, "loss": 9.0 / e, "reconstruction": 7.0 / e, "kl": 2.0, "kl_weight": 1.0} for e in (1, 2, 3)
        ],
        "selection": [{"n_clusters": k, "score": 0.5 - 0.1 * abs(k - n_clusters)} for k in range(2, 7)],
        "metrics": {"version": "0.1.0", "seconds": 12.3, "options": {"max_epochs": 3}},
        "truth": None,
        "scores": rng.normal(size=n),
        "noise": np.full((n, panel.n_channels), 0.2),
        "traversal": make_directions(panel.n_channels),
    }
    return ReportData(**{**data, **parts})


def dated_panel() -> Panel:
    """Return the waves of `make_report_data`, one value each week from 2024-01-01 on."""
    plain = make_report_data().panel
    dates = np.tile(np.datetime64("2024-01-01", "us") + np.timedelta64(7, "D") * np.arange(40), 24)
    weekly = Calendar.from_freq("1w", dates)
    static = {"shop": np.array(["a", "b"] * 12)}
    return Panel(plain.values, plain.offsets, plain.ids, dates, static=static, calendar=weekly)


def make_directions(n_channels: int = 1) -> DirectionCurves:
    """Return waves that grow along the first direction and shift along the second."""
    place = np.linspace(-1, 1, 5)
    time = np.arange(30) / 3
    higher = np.stack([(2 + p) * np.sin(time) for p in place])
    later = np.stack([np.sin(time - p) for p in place])
    curves = np.stack([higher, later])[:, :, None].repeat(n_channels, axis=2)
    return DirectionCurves(np.stack([2.5 * place, place]), curves)


def awkward_cases() -> dict[str, ReportData]:
    """Return edge cases in which a page easily looks broken."""
    rng = np.random.default_rng(0)
    gaps = make_report_data().panel.values.copy()
    gaps[rng.random(gaps.shape) < 0.3] = np.nan
    gaps[:40] = np.nan  # the first series has no value at all
    holed = make_report_data().panel.with_values(gaps)
    no_vector = make_report_data().embedding.copy()
    no_vector[::5] = np.nan
    plain = make_report_data().panel
    return {
        "one series": make_report_data(n=1, n_clusters=1),
        "one cluster": make_report_data(n_clusters=1),
        "60 clusters": make_report_data(n=180, n_clusters=60),
        "12 channels": make_report_data(n_channels=12),
        "unequal lengths": make_report_data(lengths=np.r_[1, 5000, rng.integers(2, 90, 22)]),
        "all noise": make_report_data(labels=np.full(24, -1), probabilities=np.zeros(24)),
        "bare": make_report_data(
            history=[], selection=[], lags=None, metrics={}, scores=None, noise=None, traversal=None
        ),
        "from the model alone": make_report_data(from_model=True, scores=None, noise=None),
        "one epoch, one choice": make_report_data(
            history=[{"epoch": 1, "loss": 1.0}], selection=[{"n_clusters": 3, "score": 0.1}]
        ),
        "gaps": make_report_data(panel=holed),
        "no vectors for some": make_report_data(embedding=no_vector),
        "no probabilities": make_report_data(probabilities=np.full(24, np.nan)),
        "constant": make_report_data(panel=plain.with_values(np.ones_like(plain.values))),
        "dates and a static column": make_report_data(panel=dated_panel(), truth=np.array(["x", "y", "z"] * 8)),
    }
