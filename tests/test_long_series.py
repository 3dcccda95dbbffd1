"""LongSeriesDetector finds the stretches that were planted, wherever they are, and in a stream."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from vrae import LongSeriesDetector, Panel, load_model
from vrae.data.calendar import Calendar
from vrae.estimators import window_vectors
from vrae.estimators.series_ends import SeriesEnds
from vrae.estimators.window_cuts import cut_windows, n_kept
from vrae.exceptions import DataWarning, InvalidDataError, InvalidParameterError, ModelFileError, NotFittedError

N, PERIOD = 2400, 48
Floats = np.ndarray


def usual(seed: int = 0, n: int = N) -> Floats:
    rng, t = np.random.default_rng(seed), np.arange(n)
    x = np.sin(2 * np.pi * t / PERIOD) + 0.5 * np.sin(4 * np.pi * t / PERIOD + 1)
    return 100 + 10 * (x + 0.1 * rng.normal(size=n))


def spike(x: Floats) -> None:
    x[24] += 40


def shift(x: Floats) -> None:
    x += 12


def no_peak(x: Floats) -> None:
    np.minimum(x, np.median(x), out=x)


def noisy(x: Floats) -> None:
    x += 6 * np.random.default_rng(1).normal(size=len(x))


def flat(x: Floats) -> None:
    x[:] = x[0]


def backwards(x: Floats) -> None:
    x[:] = x[::-1].copy()


def faster(x: Floats) -> None:
    x[:] = np.tile(x[::2], 2)[: len(x)]


KINDS = (spike, shift, no_peak, noisy, flat, backwards, faster)


@pytest.fixture(scope="module")
def detector() -> LongSeriesDetector:
    x = usual()
    shift(x[1200:1260])
    return LongSeriesDetector(contamination=0.04).fit(x)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("at", [1000, N - 60], ids=["middle", "end"])
def test_every_kind_of_anomaly_is_found(kind: Callable[[Floats], None], at: int):
    x = usual(1)
    kind(x[at : at + 48])
    found = LongSeriesDetector().fit(x)
    assert found.window_ == pytest.approx(PERIOD, abs=1)
    assert at - PERIOD < found.scores_.argmax() < at + 2 * PERIOD
    first = found.stretches_[0]
    assert first.start - PERIOD <= at + 24 <= first.end + PERIOD
    labels = np.zeros(N, bool)
    labels[at : at + 48] = True
    assert roc_auc_score(labels, found.scores_) > 0.95


def test_the_highest_score_of_usual_series_is_no_more_often_at_an_end():
    at_end = 0
    for seed in range(15):
        scores = LongSeriesDetector(window=PERIOD).fit(usual(seed, 960)).scores_
        at_end += int(min(scores.argmax(), len(scores) - 1 - scores.argmax()) < PERIOD)
    assert at_end <= 5  # 1.5 are expected


def test_an_anomaly_that_happens_twice_is_found():
    x = usual(2)
    for at in (700, 1700):
        flat(x[at : at + 48])
    assert np.all([LongSeriesDetector().fit(x).scores_[at : at + 48].max() > 0 for at in (700, 1700)])


def test_results_and_stretches(detector):
    assert detector.scores_.shape == (N,)
    assert np.mean(detector.scores_ > 0) == pytest.approx(0.04, abs=0.01)
    stretch = detector.stretches_[0]
    assert (stretch.id, stretch.channel) == (0, "value")
    assert stretch.score == detector.scores_.max()
    assert stretch.start < 1230 < stretch.end
    assert str(stretch).startswith(f"0: step {stretch.start:,} to step {stretch.end:,}, score ")


def test_new_series_keep_the_level_of_the_fitted_ones(detector):
    x = usual(3)
    scores = detector.score_steps(x)
    assert np.mean(scores > 0) < 0.1
    assert (detector.score_steps(x + 30)[PERIOD:] > 0).all()
    others = Panel.from_arrays((x + 30)[None], ids=["other"])  # has its own level
    assert np.mean(detector.score_steps(others).values > 0) < 0.1
    np.testing.assert_array_equal(detector.score_steps(x[None])[0], scores.astype(np.float32))


def test_several_channels_of_an_array_have_one_score():
    X = np.stack([usual(1), usual(2)])[None]  # (1, channels, steps)
    scores = LongSeriesDetector().fit(X).score_steps(X)
    assert scores.shape == (1, 1, X.shape[2])
    assert np.isfinite(scores).all()


def test_a_stream_gives_the_same_scores_in_any_parts(detector):
    x = usual(0, N + 300)[N:]
    x[150:190] = x[150]
    whole, single = clone(detector).fit(usual()), clone(detector).fit(usual())
    scores = whole.update(x)
    parts = np.concatenate([single.update(part) for part in np.split(x, [1, 2, 90, 91, 200])])
    np.testing.assert_allclose(parts, scores, atol=1e-4)
    assert 150 < scores.argmax() < 150 + 2 * PERIOD
    assert (scores[:140] > 0).mean() < 0.1
    assert len(whole.tails_[0].values) == n_kept(2 * whole.window_) == 2 * PERIOD + 6
    assert whole.update([]).shape == (0,)


def test_many_new_steps_take_little_memory():
    found = LongSeriesDetector(window=4 * PERIOD).fit(usual())
    tracemalloc.start()
    found.update(usual(n=20_000))  # their windows of 384 steps would have 31 MB
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 25e6


def test_a_stream_has_no_score_while_its_windows_have_a_gap(detector, tmp_path):
    x = usual(0, N + 300)[N:]
    x[100:120] = np.nan
    flat(x[230:278])
    streamed = clone(detector).fit(usual())
    loaded = load_model(streamed.save(tmp_path / "m"))
    scores = streamed.update(x)
    parts = np.concatenate([loaded.update(part) for part in np.split(x, [105, 119, 121, 160])])
    np.testing.assert_allclose(parts, scores, atol=1e-4)
    assert np.isfinite(scores[:102]).all()
    assert np.isnan(scores[106 : 119 + PERIOD]).all()
    assert np.isfinite(scores[120 + PERIOD :]).all()
    assert np.nanmax(scores[:230]) < 0 < scores[250:].max()


@pytest.mark.parametrize("length", [12, 400])
def test_a_gap_is_no_anomaly(length):
    x = usual()
    x[1500 : 1500 + length] = np.nan
    noisy(x[500:548])
    found = LongSeriesDetector(contamination=0.04).fit(x)
    assert all(s.end < 1400 or s.start > 1600 + length for s in found.stretches_)
    assert found.stretches_[0].start < 524 < found.stretches_[0].end
    assert np.isnan(found.scores_[1500 : 1500 + length]).all()
    assert np.isnan(found.scores_).sum() < length + 6  # strides are of three steps
    new = usual(3)
    new[900 : 900 + length] = np.nan
    assert np.nanmax(found.score_steps(new)[800 : 1000 + length]) < 0


def test_few_missing_values_leave_no_step_without_score():
    x = usual(5)
    x[np.random.default_rng(0).random(N) < 0.2] = np.nan
    flat(x[900:948])
    scores = LongSeriesDetector().fit(x).scores_
    assert np.isfinite(scores).all()
    assert 860 < scores.argmax() < 990


@pytest.mark.parametrize("length", [20, 960])
def test_a_channel_with_a_gap_leaves_the_others_to_be_judged(length):
    X = np.stack([[usual(3 * i + c, 960) for c in range(3)] for i in range(2)])
    X[0, 1, -length:] = np.nan
    flat(X[0, 2, -60:-12])
    panel = Panel.from_arrays(X, ids=["a", "b"], channels=("load", "heat", "flow"))
    found = LongSeriesDetector(contamination=0.02).fit(panel)
    first = found.stretches_[0]
    assert (first.id, first.channel) == ("a", "flow")
    assert first.start < 948
    assert first.end > 900
    assert np.isfinite(found.scores_).all()
    assert np.isnan(found.channel_scores_[945:960, 1]).all()
    assert np.isfinite(found.channel_scores_[:, [0, 2]]).all()


def test_channels_without_a_common_window(tmp_path):
    complete = np.stack([usual(0), usual(1)])
    X = complete.copy()
    for first in range(0, N, 480):
        X[0, first : first + 240] = X[1, first + 240 : first + 480] = np.nan
    noisy(X[0, 800:848])
    found = LongSeriesDetector(window=PERIOD, contamination=0.03).fit(X[None])
    assert found.stretches_[0].start < 824 < found.stretches_[0].end
    loaded = load_model(found.save(tmp_path / "m"))
    for detector in (found, loaded):
        assert np.isfinite(detector.score_steps(complete[None])).all()
        assert np.isfinite(detector.update(complete[:, :200])[-100:]).all()


def test_windows_that_are_not_among_the_references(monkeypatch):
    monkeypatch.setattr(window_vectors, "_REFERENCES", 16)
    X = np.stack([usual(0), usual(1)])
    X[1, PERIOD + 10 :] = np.nan
    found = LongSeriesDetector(window=PERIOD).fit(X[None])
    assert np.isfinite(found.scores_).all()
    assert np.isnan(found.channel_scores_[:, 1]).all()


def test_a_channel_that_the_fit_did_not_know_has_no_scores(tmp_path):
    complete = np.stack([usual(0), usual(1)])
    X = complete.copy()
    X[1] = np.nan
    found = LongSeriesDetector(window=PERIOD).fit(X[None])
    loaded = load_model(found.save(tmp_path / "m"))
    for detector in (found, loaded):
        _, scores, by_channel = detector.score_panel(Panel.from_arrays(complete[None]))
        assert np.isfinite(scores).all()
        np.testing.assert_array_equal(by_channel[:, 0], scores)
        assert np.isnan(by_channel[:, 1]).all()


@pytest.mark.parametrize(
    "is_missing", [np.arange(N) % 24 < 8, np.arange(N) % 3 < 2], ids=["long gaps", "two of three steps"]
)
def test_series_of_which_too_much_is_missing_are_refused(is_missing):
    with pytest.raises(InvalidDataError, match="gap of more than a sixteenth of it, or lacks more than half"):
        LongSeriesDetector(window=PERIOD).fit(np.where(is_missing, np.nan, usual()))


@pytest.mark.parametrize(("size", "stride"), [(16, 1), (48, 5), (50, 3), (144, 7)])
def test_windows_begin_at_every_step_of_the_period(size, stride):
    panel = Panel.from_arrays(usual(n=20 * size)[None])
    cut = cut_windows(panel, np.isnan(panel.values), size, None)
    assert cut is not None
    assert (np.diff(cut.windows.starts)[:-1] == stride).all()  # the last window ends with the series
    assert len(np.unique(cut.windows.starts % size)) == size


def test_a_stream_of_a_sharp_period_gives_few_false_alarms():
    rng, step = np.random.default_rng(1), np.arange(60 * 144) % 144
    x = ((step >= 36) & (step < 110)) + 0.01 * rng.normal(size=len(step))
    found = LongSeriesDetector(window=144).fit(x[:-1440])
    assert np.mean(found.update(x[-1440:]) > 0) < 0.1


def irregular(seed: int, n: int) -> Floats:
    """Loads without a period, that go on and off at any time."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(5, 150, n)
    levels = rng.choice([1.0, 2, 4], n) * (np.arange(n) % 2)
    return np.repeat(levels, lengths)[:n] + 0.1 * rng.normal(size=n)


def test_each_series_of_a_stream_is_compared_with_its_own_past(tmp_path):
    n = 30 * PERIOD
    X = np.stack([*(usual(seed, 2 * n) for seed in range(6)), *(irregular(seed, 2 * n) for seed in range(2))])
    found = LongSeriesDetector(window=PERIOD).fit(X[:, None, :n])
    new = X[:, None, n:].copy()
    loaded = load_model(found.save(tmp_path / "m"))
    shares = (loaded.update_panel(Panel.from_arrays(new))[1].reshape(8, -1) > 0).mean(axis=1)
    assert shares.max() < 0.08  # with one threshold for all, 16 % of an irregular series
    assert shares[:6].mean() > 0.005
    new[0, 0, 700:748] += 2.5 * np.random.default_rng(1).normal(size=48)
    scores = np.concatenate([found.update(part, 0) for part in np.split(new[0, 0], [1, 700, 720, 1000])])
    assert scores[700:790].max() > 1 > scores[:700].max()


@pytest.mark.parametrize(("contamination", "n_common"), [(0.05, 2), ("auto", 4)])
def test_a_stream_of_a_few_windows_has_the_threshold_of_all(contamination, n_common):
    X = [usual(0), usual(1), *(usual(2)[: n * PERIOD] for n in (4, 8, 9, 20, 21))]
    offsets = LongSeriesDetector(window=PERIOD, contamination=contamination).fit(X).stream_offsets_
    assert len(set(offsets[2 : 2 + n_common])) == 1
    assert len(set(offsets)) == len(X) - n_common + 1


def test_several_channels_and_series_name_what_differs():
    rng = np.random.default_rng(0)
    X = np.stack([np.stack([usual(2 * i), 5 * usual(2 * i + 1)]) for i in range(2)])
    flat(X[1, 1, 900:960])
    panel = Panel.from_arrays(X, ids=["a", "b"], channels=("load", "heat"))
    found = LongSeriesDetector(contamination=0.02).fit(panel)
    assert found.channel_scores_.shape == (2 * N, 2)
    stretch = found.stretches_[0]
    assert (stretch.id, stretch.channel) == ("b", "heat")
    assert stretch.start < 930 < stretch.end
    assert found.update(rng.normal(size=(2, 5)), "a").shape == (5,)
    with pytest.raises(InvalidDataError, match=r"series_id is needed\. Known ids: 'a', 'b'"):
        found.update(np.zeros((2, 5)))
    with pytest.raises(InvalidDataError, match="No fitted series has the id 'c'"):
        found.update(np.zeros((2, 5)), "c")
    with pytest.raises(InvalidDataError, match=r"or \(2, n_new\); found shape \(3, 5\)"):
        found.update(np.zeros((3, 5)), "a")


def test_dates():
    x = usual(4)
    flat(x[1000:1048])
    times = np.datetime64("2024-01-01") + np.arange(N) * np.timedelta64(30, "m")
    found = LongSeriesDetector().fit(Panel.from_arrays(x[None], ids=["m"], times=times)).stretches_[0]
    assert found.start <= times[1024] <= found.end
    assert str(found).startswith("m: 2024-01-2")


def test_next_steps_follow_those_that_were_seen(tmp_path):
    times = np.datetime64("2024-01-01T00", "h") + np.arange(1000) * np.timedelta64(1, "h")
    x = np.tile(usual(0, 1000)[None], (2, 1))

    def steps(first: int, last: int) -> Panel:
        parts = {"times": np.tile(times[first:last], 2), "calendar": Calendar.from_freq("1h", times)}
        return Panel.from_arrays(x[:, first:last], ids=["a", "b"], **parts)

    fitted = LongSeriesDetector(48).fit(steps(0, 900))
    fitted.update_panel(steps(900, 910))
    loaded = load_model(fitted.save(tmp_path / "m"))
    for found in (fitted, loaded):
        with pytest.raises(InvalidDataError, match=r"'a' \(like 1 more\) was seen up to 2024-02-07 21:00"):
            found.update_panel(steps(900, 910))
    with pytest.warns(DataWarning, match=r"begin with 2024-02-08 02:00\. The steps between count as"):
        late = loaded.update_panel(steps(914, 1000))[1]
    early = load_model(tmp_path / "m")
    early.ends_ = SeriesEnds(None, early.calendar_)
    with pytest.warns(DataWarning, match="does not know when its series ended"):
        early.update_panel(steps(914, 1000))
    fitted.update(np.full(4, np.nan), "a")  # steps without times count too
    fitted.update(np.full(4, np.nan), "b")
    np.testing.assert_array_equal(fitted.update_panel(steps(914, 1000))[1], late)


def test_saved_and_loaded(detector, tmp_path):
    fresh = clone(detector).fit(usual())
    loaded = load_model(fresh.save(tmp_path / "m"))
    new = usual(5)
    np.testing.assert_array_equal(loaded.score_steps(new), fresh.score_steps(new))
    np.testing.assert_array_equal(loaded.update(new[:60]), fresh.update(new[:60]))
    assert loaded.find(new) == fresh.find(new)
    assert loaded.get_params() == fresh.get_params()


def test_early_models_have_one_threshold_for_all_streams(tmp_path):
    config = LongSeriesDetector(window=PERIOD).fit([usual(0), usual(1)]).save(tmp_path / "m") / "config.json"
    known = json.loads(config.read_text())
    for offset, wanted in ((1.5, [1.5, 1.5]), ([1.5, 2.5], [1.5, 2.5])):
        config.write_text(json.dumps({**known, "stream_offset": offset}))
        assert load_model(tmp_path / "m").stream_offsets_.tolist() == wanted
    config.write_text(json.dumps({**known, "stream_offset": [1.5]}))
    with pytest.raises(ModelFileError, match="stream_offset must be a list of 2 entries; found 1"):
        load_model(tmp_path / "m")


def test_the_false_alarm_rate():
    found = LongSeriesDetector(contamination="auto", false_alarm_rate=0.02).fit(usual(0, 8_000))
    apart = found.score_steps(usual(1, 8_000))[::PERIOD]
    assert np.mean(apart > 0) < 0.08
    with pytest.raises(InvalidDataError, match="at least 20 windows"):
        LongSeriesDetector(window=48, contamination="auto").fit(usual(0, 500))


@pytest.mark.parametrize("x", [np.full(400, 7.0), np.tile([0.0, 1, 2, 3], 200), np.zeros(300)])
def test_series_without_anything_unusual(x):
    found = LongSeriesDetector().fit(x)
    assert np.isfinite(found.scores_).all()
    assert found.stretches_ == []


@pytest.mark.parametrize(("scale", "level"), [(1e-20, 0.0), (1.0, 1e9), (1e20, 0.0)])
def test_units_do_not_matter(scale, level):
    x = usual()
    flat(x[1000:1048])
    x -= 100
    assert 960 < LongSeriesDetector().fit(x * scale + level).scores_.argmax() < 1100


def test_short_series_are_named():
    panel = Panel.from_arrays([usual(), usual()[:20]], ids=["long", "short"])
    with pytest.warns(DataWarning, match="ids 'short'"):
        found = LongSeriesDetector(window=PERIOD).fit(panel)
    assert np.isnan(found.scores_[-20:]).all()
    with pytest.raises(InvalidDataError, match="need at least 144"):
        LongSeriesDetector(window=PERIOD).fit(usual()[:100])
    with pytest.raises(InvalidDataError, match="Pass longer series"):
        found.score_steps(usual()[:20])


@pytest.mark.parametrize(
    "options", [{"window": 1}, {"stride": 0}, {"stride": 99, "window": 48}, {"contamination": 0.7}, {"window": "week"}]
)
def test_wrong_options(options):
    with pytest.raises(InvalidParameterError):
        LongSeriesDetector(**options).fit(usual())


def test_not_fitted():
    with pytest.raises(NotFittedError):
        LongSeriesDetector().update([1.0])


def test_a_hundred_thousand_steps_take_seconds():
    x, start = usual(0, 100_000), time.process_time()
    LongSeriesDetector().fit(x)
    assert time.process_time() - start < 40  # 4 when nothing else runs
