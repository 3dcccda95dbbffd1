"""Anomalies that are series which begin later or end earlier than most: it is said."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest

from vrae import VRAE, Panel, VRAEAnomalyDetector, load_model
from vrae.distributed import find_anomalies, model_jobs
from vrae.distributed.job import PartResult
from vrae.estimators.anomaly_ends import active_ends, count_ends, note_of_counts, note_on_ends
from vrae.exceptions import DataWarning
from vrae.runs import write_anomalies


def items(n_begun: int) -> list[np.ndarray]:
    """Return 60 waves, of which the last ones begin late, with something else."""
    rng = np.random.default_rng(0)
    waves = list(3 + np.sin(2 * np.pi * np.arange(40) / 8) + 0.1 * rng.standard_normal((60, 40)))
    return [wave if i < 60 - n_begun else 9 * rng.random(12) + 1 for i, wave in enumerate(waves)]


def test_ends_are_those_of_values_other_than_0() -> None:
    times = np.datetime64("2024-01-01", "us") + np.arange(5) * np.timedelta64(1, "D")
    series = [np.array([0.0, np.nan, 2, 3, 0]), np.array([1.0, 2, 3, 4, 5]), np.zeros(5)]
    found = active_ends(Panel.from_arrays(series, ids=list("abc"), times=np.tile(times, 3)))
    expected = times[[2, 3, 0, 4]].astype(np.int64).reshape(2, 2).T
    np.testing.assert_array_equal(found, np.column_stack([expected, [np.nan, np.nan]]))
    np.testing.assert_array_equal(active_ends(Panel.from_arrays(series))[:, :2], [[2, 0], [3, 4]])


def test_most_and_clearly_more_than_of_all_series_are_said() -> None:
    ends = np.array([np.zeros(100), np.full(100, 50.0)])
    ends[0, :10], ends[1, 10:20] = 30.0, 20.0
    anomaly = np.arange(100) < 6
    assert note_on_ends(ends, anomaly) == (
        "6 of the 6 anomalies begin later or end earlier than most series; of all series, 20 % do."
    )
    assert note_on_ends(ends, np.arange(100) % 50 < 3) == ""  # half of them
    assert note_on_ends(ends, np.arange(100) < 2) == ""  # too few
    ends[0, :50], ends[1, 50:55] = 30.0, 20.0
    assert note_on_ends(ends, anomaly) == ""  # as many series begin then


def test_series_of_zeros_neither_begin_later_nor_end_earlier() -> None:
    ends, anomaly = np.array([np.zeros(100), np.full(100, 50.0)]), np.arange(100) < 9
    ends[:, :5] = np.nan
    assert note_on_ends(ends, anomaly) == ""
    ends[0, 4:9] = 30.0
    ends[1, 4] = 50.0
    assert note_on_ends(ends, anomaly).startswith("5 of the 9 anomalies")
    assert note_on_ends(ends, anomaly).endswith("of all series, 5 % do.")


@pytest.mark.filterwarnings("ignore::vrae.exceptions.VRAEWarning")
def test_the_terminal_and_notebooks_say_it(cli, tmp_path) -> None:
    said = "3 of the 3 anomalies begin later or end earlier than most series; of all series, 7 % do"
    detector = VRAEAnomalyDetector(model=VRAE(max_epochs=1), random_state=0).fit(items(4))
    assert said in detector._repr_html_()
    detector.save(tmp_path / "detector")
    assert "begin later" not in load_model(tmp_path / "detector")._repr_html_()
    rows = [f"i{i},{t + 40 - len(x)},{v:.3f}" for i, x in enumerate(items(4)) for t, v in enumerate(x)]
    (tmp_path / "sales.csv").write_text("\n".join(["id,t,y", *rows, ""]))
    command = ("anomalies", tmp_path / "sales.csv", "--id", "id", "--time", "t", "--model", tmp_path / "detector")
    code, _, err = cli(*command, "--out", tmp_path / "out.csv")
    assert (code, f"{said}.\n" in err) == (0, True), err


def test_series_that_are_left_out_are_said_with_the_anomalies(tmp_path) -> None:
    detector = VRAEAnomalyDetector(model=VRAE(max_epochs=1, on_invalid="drop"), random_state=0).fit(items(4))
    notes: list[str] = []
    panel = Panel.from_arrays([np.full(40, np.nan), *items(4)])
    with pytest.warns(DataWarning, match="Left out 1 of 61 series without any observed value"):
        found = write_anomalies(detector, [panel], tmp_path / "out.csv", tell=notes.append)
    assert found == (3, 60)
    assert notes[0].startswith("3 of the 3 anomalies begin later or end earlier")


def test_counts_of_parts_say_the_same_as_all_series() -> None:
    rng = np.random.default_rng(0)
    said = set()
    for n, n_late in product((7, 60, 61), (2, 5)):
        ends = np.array([rng.integers(0, 3, n), rng.integers(48, 51, n)], float)
        anomaly = np.arange(n) < 4
        ends[0, :n_late] = 30.0
        ends[:, n // 2] = np.nan
        parts = [count_ends(ends[:, part], anomaly[part]) for part in (slice(0, 20), slice(20, 21), slice(21, None))]
        begin, end = np.nanmedian(ends, axis=1)
        differs = (ends[0] > begin + 0.1 * (end - begin)) | (ends[1] < end - 0.1 * (end - begin))
        note = note_of_counts(json.loads(json.dumps([row for part in parts for row in part])))
        assert note == note_on_ends(ends, anomaly)
        assert bool(note) == (differs[:4].sum() > 2 and differs[:4].mean() >= 2 * differs.mean())
        said.add(bool(note))
    assert said == {False, True}


@pytest.mark.filterwarnings("ignore::vrae.exceptions.VRAEWarning")
def test_workers_say_it_too(monkeypatch) -> None:
    detector = VRAEAnomalyDetector(model=VRAE(max_epochs=1), random_state=0).fit(items(4))

    def run_here(operation, model, *_):
        results = []
        for part in (items(4)[:30], items(4)[30:58], items(4)[58:]):
            work = operation(model)
            n_series = len(work(Panel.from_arrays(part))["anomalies"]["id"])
            results.append(PartResult({}, n_series, json.loads(json.dumps(work.summary()))))
        return results

    monkeypatch.setattr(model_jobs, "_run_job", run_here)
    told: list[str] = []
    assert find_anomalies(detector, "series/*.parquet", "out", log=told.append) == (3, 60)
    assert told == ["3 of the 3 anomalies begin later or end earlier than most series; of all series, 7 % do."]
