"""The engine 'ray' gives the rows of one machine, however files are divided and whatever fails."""

from __future__ import annotations

import copy
import http.server
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import tomllib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import fs
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from conftest import TINY, make_estimator, make_series
from object_store import BUCKET, MODIFIED, FsspecStore, object_store
from vrae import VRAE, Panel, VRAEClusterer, load_model, read_panel
from vrae.data.reading import table_options
from vrae.data.selection import join_panels
from vrae.data.stream import distinct_times, settled_roles, stream_panels, with_calendar
from vrae.data.table_options import TableOptions
from vrae.distributed import EngineOptions, cluster, embed, find_anomalies, fit, series
from vrae.distributed.cluster_job import _fingerprint
from vrae.distributed.engine import _start
from vrae.distributed.job import Job, PartResult, process_part
from vrae.distributed.model_jobs import make_job
from vrae.distributed.operations import Assign, AssignAndEmbed, Embed
from vrae.distributed.parts import Layout, Part, are_in_order, divide, readable_files, row_groups
from vrae.distributed.pool import _Worker, check_ids
from vrae.distributed.ray_trainer import _FinishedTrainer
from vrae.distributed.series import draw_sample
from vrae.distributed.source import open_parquet
from vrae.distributed.staging import TRAINING, SharedFolder, check_destination, publish, staging_folder
from vrae.exceptions import InvalidDataError, InvalidParameterError, MissingDependencyError, OutputError
from vrae.metrics import agreement_of_counts
from vrae.runs import ParquetTable, Tally, sample_series, write_anomalies, write_assignments, write_embeddings
from vrae.train.callbacks import Callback
from vrae.train.trainer import Trainer

ray = pytest.importorskip("ray", reason="needs vrae[ray]")

LIST = pa.list_(pa.float32())
TWO_CPUS = ray.data.ExecutionResources(cpu=2)
PARTS: dict[str, Any] = {"part_values": 60}  # small parts, so that there are many


def table_of_vrae() -> bytes:
    """Return a finished part of an earlier table."""
    file = io.BytesIO()
    with ParquetTable(pa.PythonFile(file, mode="w")) as table:
        table.write({"id": np.array(["yesterday's"])})
    return file.getvalue()


YESTERDAY = table_of_vrae()


# ---------------------------------------------------------------- series in files


def long_rows(n: int) -> pa.Table:
    """Return ``n`` series of unequal lengths, one row per time step, sorted by id."""
    series = make_series("list", n=n)
    return pa.table(
        {
            "unique_id": [f"s{i:03}" for i, x in enumerate(series) for _ in x],
            "ds": [step for x in series for step in range(len(x))],
            "y": np.concatenate(series),
            "kind": ["ab"[i % 2] for i, x in enumerate(series) for _ in x],
        }
    )


def wide_rows(n: int) -> pa.Table:
    """Return the same series, one row each."""
    series = make_series("list", n=n)
    return pa.table({"unique_id": [f"s{i:03}" for i in range(n)], "y": pa.array([x.tolist() for x in series], LIST)})


def write(table: pa.Table, folder: Path, cuts: list[int], group_rows: int) -> str:
    """Write rows into files that end at the cuts, and return a pattern for them."""
    folder.mkdir(parents=True, exist_ok=True)
    ends = sorted({min(c, len(table)) for c in cuts} | {len(table)} - {0})
    for number, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        pq.write_table(table.slice(start, end - start), folder / f"{number:03}.parquet", row_group_size=group_rows)
    return f"{folder}/*.parquet"


def layout_and_parts(source: str, part_values: int, remembered: TableOptions | None = None) -> tuple[Layout, list[Any]]:
    head, options = open_parquet(source), table_options(remembered)
    files = readable_files(head.data)
    roles = settled_roles(head, options)
    groups = row_groups(files, roles)
    assert not roles.long or are_in_order(groups)
    layout = Layout(head.data.schema, roles, options)
    if remembered is not None:  # the calendar of all parts
        times = distinct_times(layout.source(Part.of_all(groups)), roles)
        layout = replace(layout, options=with_calendar(head, roles, options, times, 1000))
    return layout, divide(groups, roles.long, part_values)


def assert_same_panel(a: Panel, b: Panel) -> None:
    assert a.ids.tolist() == b.ids.tolist()
    np.testing.assert_array_equal(a.offsets, b.offsets)
    np.testing.assert_array_equal(a.values, b.values)
    assert {k: v.tolist() for k, v in a.static.items()} == {k: v.tolist() for k, v in b.static.items()}


def assert_same_rows(folder: Path | str, local: Path, store: fs.FileSystem | None = None) -> None:
    """Assert that a table in parts has the rows of a file, in order, with numbers within 1e-5."""
    found, wanted = pq.read_table(folder, filesystem=store), pq.read_table(local)
    assert found.column_names == wanted.column_names
    for name in found.column_names:
        a, b = found[name].to_numpy(), wanted[name].to_numpy()
        if a.dtype.kind == "f":
            np.testing.assert_allclose(a, b, atol=1e-5, rtol=1e-5)
        else:
            assert a.tolist() == b.tolist()


@pytest.fixture(scope="module")
def clusterer(tmp_path_factory: pytest.TempPathFactory) -> VRAEClusterer:
    source = write(long_rows(24), tmp_path_factory.mktemp("learn"), [], 1000)
    fitted: VRAEClusterer = make_estimator("VRAEClusterer").fit(read_panel(source))
    return fitted


# ---------------------------------------------------------------- parts, without Ray


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    n=st.integers(2, 12),
    cuts=st.lists(st.integers(1, 200), max_size=5),
    group_rows=st.integers(1, 60),
    part_values=st.integers(1, 200),
    long=st.booleans(),
)
def test_every_series_is_complete_in_one_part_however_rows_are_divided(
    tmp_path_factory, n, cuts, group_rows, part_values, long
):
    rows = long_rows(n) if long else wide_rows(n)
    source = write(rows, tmp_path_factory.mktemp("cut"), cuts, group_rows)
    layout, parts = layout_and_parts(source, part_values)
    panels = [panel for part in parts for panel in layout.panels(part)]
    assert_same_panel(join_panels(panels), read_panel(source))


def test_series_without_ids_are_numbered_over_all_parts(tmp_path):
    source = write(wide_rows(9).select(["y"]), tmp_path / "data", [4, 6], 2)
    layout, parts = layout_and_parts(source, 1)
    assert [layout_panel.ids.tolist() for part in parts for layout_panel in layout.panels(part)] == [
        [0, 1], [2, 3], [4, 5], [6, 7], [8],
    ]  # fmt: skip


def job_for(
    model: Any, operation: Any, source: str, folder: Path, part_values: int = 100, remembered: bool = False
) -> Job:
    """Return a job on small parts. ``remembered``: read with the options of the model."""
    layout, parts = layout_and_parts(source, part_values, model.model_.reading_ if remembered else None)
    staging = SharedFolder(fs.LocalFileSystem(), str(folder))
    staging.create()
    return make_job(operation, model, series.SeriesParts(layout, parts, 0), staging)


def results_of(job: Job) -> list[PartResult]:
    """Return the results of a finished job."""
    found = [result for result in job.results() if result is not None]
    assert len(found) == len(job.parts)
    return found


def test_the_tallies_of_parts_sum_to_the_tally_of_all_series(clusterer, tmp_path):
    source = write(long_rows(30), tmp_path / "data", [100, 200], 64)
    job = job_for(clusterer, AssignAndEmbed, source, tmp_path / "work")
    assert [process_part(job, clusterer, n) for n in range(len(job.parts))] == [None] * len(job.parts)
    total = sum((Tally.from_dict(part.summary) for part in results_of(job)), Tally())
    whole = AssignAndEmbed(clusterer)
    whole(read_panel(source))
    expected = Tally.from_dict(whole.summary())
    assert total.probability == pytest.approx(expected.probability, abs=1e-5)
    assert {**total.to_dict(), "probability": 0} == {**expected.to_dict(), "probability": 0}
    assert len(job.parts) > 3


def test_agreement_is_computed_from_counts():
    rng = np.random.default_rng(0)
    for n, classes, groups in ((200, 4, 3), (30, 1, 1), (30, 5, 1), (20, 20, 20)):
        truth, labels = rng.integers(classes, size=n), rng.integers(groups, size=n)
        counts = np.zeros((classes, groups), np.int64)
        np.add.at(counts, (truth, labels), 1)
        counts = counts[counts.any(axis=1)][:, counts.any(axis=0)]
        found = agreement_of_counts(counts)
        assert found["ari"] == pytest.approx(adjusted_rand_score(truth, labels))
        assert found["nmi"] == pytest.approx(normalized_mutual_info_score(truth, labels))


def test_a_part_whose_file_has_changed_is_processed_again(clusterer, tmp_path):
    source = write(long_rows(12), tmp_path / "data", [80], 1000)
    job = job_for(clusterer.model_, Embed, source, tmp_path / "work", 50)
    for n in range(len(job.parts)):
        assert process_part(job, clusterer.model_, n) is None
    assert job.pending() == []
    write(long_rows(12).slice(0, 80), tmp_path / "data", [], 1000)  # the first file again
    again = job_for(clusterer.model_, Embed, source, tmp_path / "work", 50)
    assert again.pending() == [0]
    other = job_for(clusterer, AssignAndEmbed, source, tmp_path / "work", 50)
    assert other.pending() == [0, 1]


def test_a_part_whose_table_a_killed_driver_moved_is_processed_again(clusterer, tmp_path):
    job = job_for(clusterer.model_, Embed, write(long_rows(12), tmp_path / "data", [80], 1000), tmp_path / "work", 50)
    for n in range(2):
        assert process_part(job, clusterer.model_, n) is None
    next((tmp_path / "work").glob("embedding-00001-*")).unlink()
    assert job.pending() == [1]


@pytest.mark.parametrize("most", [60, 200, 10_000])
def test_the_sample_is_that_of_one_process_and_has_its_limit(most, tmp_path, monkeypatch):
    for module in ("vrae.runs.sample", "vrae.distributed.series"):
        monkeypatch.setattr(f"{module}.MAX_VALUES", most)
    drawn: list[int] = []

    def ordered_tasks(work: Callable[[int], Any], numbers: Any) -> Iterator[Any]:
        for found in map(work, numbers):
            drawn.append(0 if found[0] is None else found[0].values.size)
            yield found

    monkeypatch.setattr("vrae.distributed.series.ordered_tasks", ordered_tasks)
    source = write(long_rows(200), tmp_path / "data", [], 100)
    layout, parts = layout_and_parts(source, 100)
    found, total = draw_sample(series.SeriesParts(layout, parts, 200), 100, seed=3)
    assert_same_panel(found, sample_series(stream_panels(source), 100, seed=3)[0])
    assert total == 200
    assert (len(found) == 100) == (most == 10_000)
    if most == 60:  # hardly any that do not fit were sent
        assert sum(drawn[-len(parts) :]) < read_panel(source).values.size / 2


def test_a_fitted_model_is_reused_only_for_the_same_options_and_series():
    panel = make_series("panel")
    base = make_estimator("VRAEClusterer")
    same = make_estimator("VRAEClusterer", callbacks=[Callback()])  # callbacks change no result
    frozen = [VRAEClusterer(2, model=FrozenEstimator(VRAE(**{**TINY, "random_state": s}).fit(panel))) for s in (0, 1)]
    others = [
        make_estimator("VRAEClusterer", n_clusters=3),
        make_estimator("VRAEClusterer", latent_size=4),
        VRAEClusterer(2),
        *frozen,
    ]
    found = [_fingerprint(clusterer, panel) for clusterer in (base, *others)]
    assert len(set(found)) == len(found)
    assert _fingerprint(same, panel) == found[0]
    assert _fingerprint(VRAEClusterer(2, model=VRAE()), panel) == _fingerprint(VRAEClusterer(2), panel)
    assert _fingerprint(base, panel.select(np.arange(5))) != found[0]


class TrainsOnAnotherDevice:
    """A trainer whose generator has the state of another kind of device."""

    def fit(self, network: Any, data: Any, task: Any) -> Any:
        worker, driver = Trainer(), _FinishedTrainer()
        worker.fit(copy.deepcopy(network), data, task)
        driver.begin(network, data, task)
        driver.load_state_dict({**worker.state_dict(), "generator": torch.zeros(16, dtype=torch.uint8)})
        return driver.history


def test_the_result_of_workers_with_another_kind_of_device_is_taken_over():
    X, options = make_series("2d"), {**TINY, "early_stopping": 1}
    expected = VRAE(**options).fit(X)
    found = VRAE(**options).fit(X, trainer=TrainsOnAnotherDevice())
    np.testing.assert_array_equal(found.embedding_, expected.embedding_)
    assert [{**a, "seconds": 0} for a in found.history_] == [{**b, "seconds": 0} for b in expected.history_]


def test_a_forecaster_is_refused_by_several_processes_and_by_embed(tmp_path):
    forecaster = make_estimator("GroupForecaster")
    with pytest.raises(InvalidParameterError, match="does not embed whole series"):
        embed(forecaster, "nothing/*.parquet", str(tmp_path / "out"))
    with pytest.raises(InvalidParameterError, match="GroupForecaster trains several small networks"):
        fit(forecaster, make_series("2d"), engine=EngineOptions(train_workers=2))


def test_a_part_whose_worker_ends_each_time_is_given_up(clusterer, tmp_path):
    job = job_for(clusterer.model_, Embed, write(long_rows(6), tmp_path / "data", [], 1000), tmp_path / "work")
    assert [job.start_attempt(0) for _ in range(4)] == [True, True, True, False]
    failure = process_part(job, clusterer.model_, 0)
    assert failure is not None
    assert "3 workers ended" in failure.message
    job.clear_attempts()
    assert process_part(job, clusterer.model_, 0) is None


# ---------------------------------------------------------------- refused


def test_all_files_with_unreadable_metadata_are_named(tmp_path, clusterer):
    source = write(long_rows(20), tmp_path / "data", [60, 120, 180], 1000)
    for name in ("001", "002"):
        file = tmp_path / "data" / f"{name}.parquet"
        file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(InvalidDataError, match=r"2 of 4 files.*001\.parquet.*002\.parquet"):
        layout_and_parts(source, 100)


@pytest.mark.parametrize("name", ["ward", "hdbscan"])
def test_clusterers_that_compare_all_series_are_refused(name, tmp_path):
    with pytest.raises(InvalidParameterError, match=f"{name}.*Use 'gmm' or 'kmeans'"):
        cluster(VRAEClusterer(2, clusterer=name), "nothing/*.parquet", tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_files_is_left_alone(tmp_path, clusterer):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"precious\.txt"):
        embed(clusterer, "nothing/*.parquet", str(tmp_path / "out"))
    assert (tmp_path / "out" / "precious.txt").read_text() == "mine"


def test_without_ray_the_message_says_what_to_install(monkeypatch, tmp_path, clusterer):
    from vrae.cli import app

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependencyError, match=r"vrae\[ray\]"):
        embed(clusterer, "nothing/*.parquet", str(tmp_path / "out"))
    with pytest.raises(MissingDependencyError, match=r"vrae\[ray\]"):
        app(["cluster", "x.parquet", "--engine", "ray", "--out", str(tmp_path / "run")], standalone_mode=False)
    assert list(tmp_path.iterdir()) == []  # no folder was claimed


def test_a_csv_is_refused(tmp_path):
    (tmp_path / "x.csv").write_text("a,1,2\nb,3,4\n")
    with pytest.raises(InvalidParameterError, match="reads Parquet"):
        open_parquet(tmp_path / "x.csv")


@pytest.mark.parametrize(
    "options",
    [
        ["--engine", "ray", "--out", "-"],
        ["--workers", "2"],
        ["--address", "auto"],
        ["--engine", "ray", "--out", "x.csv"],
    ],
)
def test_the_command_line_refuses_options_that_do_not_fit_together(options, clusterer, tmp_path, monkeypatch):
    from vrae.cli import app

    monkeypatch.chdir(tmp_path)
    clusterer.save("model")
    with pytest.raises(InvalidParameterError, match="--engine ray"):
        app(["embed", "x.parquet", "--model", "model", *options], standalone_mode=False)


@pytest.mark.parametrize(
    ("command", "destination", "words"),
    [
        ("assign", "memory://out", "memory of one process"),
        ("assign", "nope://out", "Protocol not known: nope"),
        ("cluster", "s3://bucket/run", "s3:/bucket/run is the URL of a store"),
        ("cluster", "file:///run", "file:/run is the URL of a store"),
    ],
)
def test_an_unsuitable_destination_is_refused(command, destination, words, clusterer, tmp_path, monkeypatch, cli):
    monkeypatch.chdir(tmp_path)
    clusterer.save("model")
    source = write(wide_rows(4), tmp_path / "data", [], 4)
    model = ["--model", "model"] if command == "assign" else []
    code, _, message = cli(command, source, *model, "--engine", "ray", "--out", destination)
    assert code == 2
    assert words in message
    assert {path.name for path in tmp_path.iterdir()} == {"model", "data"}


@pytest.mark.parametrize("command", ["assign", "embed"])
def test_without_ray_a_url_is_refused_as_destination(command, clusterer, tmp_path, monkeypatch, cli):
    monkeypatch.chdir(tmp_path)
    clusterer.save("model")
    code, _, message = cli(command, write(wide_rows(4), tmp_path / "data", [], 4), "-m", "model", "-o", "s3://bucket/x")
    assert code == 2
    assert "--engine ray" in message
    assert {path.name for path in tmp_path.iterdir()} == {"model", "data"}


@pytest.mark.parametrize("form", ["ray://127.0.0.1:{}", "127.0.0.1:{}", "localhost:{}", "auto", None])
def test_an_address_that_does_not_answer_is_one_message(form, monkeypatch):
    monkeypatch.setattr("vrae.distributed.engine._ANSWER_SECONDS", 0.5)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts and says nothing
        address = form and form.format(silent.getsockname()[1])
        if form in ("auto", None):
            monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(InvalidParameterError, match=r"it did not answer within 0\.5 seconds"):
            _start(address)


@pytest.mark.parametrize("scheme", ["ray://", ""])
def test_an_address_of_something_else_is_one_message(scheme):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(InvalidParameterError, match="Connection refused"):
        _start(f"{scheme}127.0.0.1:{port}")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as site:
        threading.Thread(target=site.serve_forever).start()
        with pytest.raises(InvalidParameterError, match="what answers there is not"):
            _start(f"{scheme}127.0.0.1:{site.server_port}")
        site.shutdown()


class Quiet(http.server.BaseHTTPRequestHandler):
    """A web server that keeps no log."""

    def log_message(self, *words: Any) -> None:
        """Say nothing."""


@pytest.mark.parametrize(
    "address", ["nonsense", "host", "host:", "host:99999", "ray://", "ray://host", "a b:1", "[::1]"]
)
def test_what_is_no_address_is_refused_at_once(address):
    with pytest.raises(InvalidParameterError, match="is not the address of a Ray cluster"):
        _start(address)


# ---------------------------------------------------------------- with Ray


@pytest.fixture(scope="module")
def local_ray() -> Iterator[str]:
    """Start Ray on this machine once, yield its address, and stop it.

    It has its own ports and folder, and long timeouts, so that other tests can run meanwhile.
    """
    settings = {
        "RAY_BACKEND_LOG_LEVEL": "fatal",
        "RAY_worker_niceness": "0",  # by default Ray's processes have low priority
        "RAY_worker_register_timeout_seconds": "300",
        "RAY_idle_worker_killing_time_threshold_ms": "600000",  # a worker has imported what the next test needs
        "RAY_num_workers_soft_limit": "4",
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
        "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "300",
        "RAY_TRAIN_METRICS_ENABLED": "0",
        "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    }
    # The path of a socket has at most about 100 characters, so pytest's folders are too deep.
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        for name, value in settings.items():
            patch.setenv(name, value)
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)  # for `FsspecStore`
        ray.init(
            "local",
            num_cpus=2,
            object_store_memory=80 * 2**20,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="error",
            _temp_dir=folder,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of Ray, about its own context
            context = ray.data.DataContext.get_current()
        context.execution_options.resource_limits = ray.data.ExecutionResources(cpu=1)  # each worker imports much
        yield ray.get_runtime_context().gcs_address
        ray.shutdown()


@pytest.fixture
def many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make commands divide a small table into many parts, and look only at its first rows."""
    monkeypatch.setattr(series.find_series, "__defaults__", tuple(PARTS.values()))
    monkeypatch.setattr("vrae.data.sources._HEAD_ROWS", 100)
    monkeypatch.setattr("vrae.data.columns._SAMPLE", 100)


def damage(file: Path) -> Callable[[], None]:
    """Overwrite the first half of a file, but not its end. Return a function that repairs it."""
    whole, stamp = file.read_bytes(), file.stat().st_mtime_ns

    def write(content: bytes) -> None:
        file.write_bytes(content)
        os.utime(file, ns=(stamp, stamp))  # or parts that are finished would count as changed

    write(whole[:4] + bytes(len(whole) // 2) + whole[4 + len(whole) // 2 :])
    return lambda: write(whole)


def records(partial: Path) -> dict[str, str]:
    """Return the records of finished parts."""
    return {file.name: file.read_text() for file in partial.glob("part-*.json")}


def wait_for(what: Callable[[], Any], seconds: float = 300) -> Any:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError("timed out")


def fragile(operation: Any, killed: Path, last: str) -> Any:
    """Return an operation that kills its worker at the series ``last``, once."""

    class FragileOperation(operation):  # type: ignore[misc]  # sent to workers by value
        def __call__(self, panel: Panel) -> Any:
            if last in panel.ids and not killed.exists():
                killed.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return super().__call__(panel)

    return FragileOperation


@pytest.mark.slow
def test_a_damaged_file_is_named_by_the_command_itself(local_ray, clusterer, tmp_path):
    source = write(long_rows(40), tmp_path / "data", [200, 400], 64)
    damage(tmp_path / "data" / "001.parquet")
    clusterer.save(tmp_path / "model")
    command = ["embed", source, "--model", tmp_path / "model", "--engine", "ray", "--address", local_ray]
    done = subprocess.run(
        [sys.executable, "-m", "vrae", *map(str, command), "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "Error: Cannot read" in done.stderr
    assert "001.parquet" in done.stderr
    assert "Traceback" not in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"model", "data"}


@pytest.mark.slow
def test_a_killed_worker_and_a_damaged_part_lose_no_other_row(
    local_ray, clusterer, tmp_path, monkeypatch, cli, many_parts
):
    source = write(long_rows(40), tmp_path / "data", [200, 400], 64)
    out, partial, earlier = tmp_path / "out", tmp_path / "out.partial", tmp_path / "out" / "part-00000.parquet"
    clusterer.save(tmp_path / "model")
    out.mkdir()
    earlier.write_bytes(YESTERDAY)
    operation = fragile(Assign, tmp_path / "killed", last="s008")
    monkeypatch.setattr("vrae.distributed.model_jobs.Assign", operation)
    job = job_for(load_model(tmp_path / "model"), operation, source, partial, remembered=True, **PARTS)
    repair = damage(tmp_path / "data" / "001.parquet")
    monkeypatch.setattr(ray.data.DataContext.get_current().execution_options, "resource_limits", TWO_CPUS)
    command = ["assign", source, "--model", tmp_path / "model", "--engine", "ray", "--out", f"file://{out}"]

    code, _, message = cli(*command, "--workers", "2")
    assert code == 2
    assert (tmp_path / "killed").exists()
    kept, n_parts = records(partial), len(job.parts)
    assert 0 < len(kept) < n_parts - 1
    assert f"Error: {n_parts - len(kept)} of {n_parts} parts could not be processed." in message
    assert re.search(r"Cannot read \S*001\.parquet", message)
    assert f"kept in {partial}" in message
    assert "Traceback" not in message
    assert [file.read_bytes() for file in out.iterdir()] == [YESTERDAY]
    tables = {json.loads(entry)["files"]["clusters"] for entry in kept.values()}
    assert tables <= {file.name for file in partial.iterdir()}  # and the incomplete table of the killed worker

    repair()
    waiting = job.pending()
    assert len(waiting) == n_parts - len(kept)  # finished parts are not processed again
    assert [process_part(job, clusterer, n) for n in waiting] == [None] * len(waiting)
    assert records(partial).items() > kept.items()
    assert cli(*command, "--quiet")[::2] == (0, "")
    write_assignments(clusterer, stream_panels(source), tmp_path / "local.parquet")
    assert_same_rows(out, tmp_path / "local.parquet")
    assert not partial.exists()


@pytest.mark.slow
def test_a_killed_driver_is_resumed(local_ray, tmp_path):
    source = write(wide_rows(40), tmp_path / "data", [20], 2)
    detector = make_estimator("VRAEAnomalyDetector", contamination=0.1).fit(read_panel(source))
    detector.save(tmp_path / "model")
    script = (
        "import sys, time\n"
        "from vrae import load_model\n"
        "from vrae.distributed import EngineOptions, find_anomalies\n"
        "model, source, out, steps, address = sys.argv[1:]\n"
        "engine = EngineOptions(address=address, workers=1)\n"
        "wait = lambda line: time.sleep(600)\n"
        "find_anomalies(load_model(model), source, out, steps, engine=engine, log=wait, part_values=60)\n"
    )
    out, steps, partial = (tmp_path / name for name in ("out", "steps", "out.partial"))
    places = [str(tmp_path / "model"), source, str(out), str(steps)]
    driver = subprocess.Popen([sys.executable, "-c", script, *places, local_ray])
    try:
        wait_for(lambda: len(records(partial)) >= 2)
    finally:
        driver.kill()
        driver.wait()
    assert not out.exists()
    before = records(partial)
    after: dict[str, str] = {}

    def log(line: str) -> None:
        after.update(records(partial))

    found = find_anomalies(detector, source, str(out), str(steps), engine=EngineOptions(workers=1), log=log, **PARTS)
    assert {name: after[name] for name in before} == before  # not processed again
    local, local_steps = tmp_path / "local.parquet", tmp_path / "local-steps.parquet"
    assert found == write_anomalies(detector, stream_panels(source), local, local_steps, tell=print)
    assert found[1] == 40
    assert_same_rows(out, local)
    assert_same_rows(steps, local_steps)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 40 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40k", "none", disk], capture_output=True).returncode:
        pytest.skip("no permission to mount a small disk")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.slow
def test_a_full_disk_is_named_and_finished_parts_are_kept(
    local_ray, small_disk, clusterer, tmp_path, monkeypatch, cli, many_parts
):
    source = write(long_rows(30), tmp_path / "data", [150, 300], 1000)
    clusterer.save(tmp_path / "model")
    out, partial, filler = small_disk / "out", small_disk / "out.partial", small_disk / "filler"
    out.mkdir()
    (out / "part-00000.parquet").write_bytes(YESTERDAY)
    filler.write_bytes(bytes(24_000))
    command = ["assign", source, "--model", tmp_path / "model", "--engine", "ray", "--workers", "1", "--out", out]
    code, _, message = cli(*command, "--quiet")
    assert code == 2
    assert f"could not write to {partial}" in message
    assert "No space left" in message
    assert "Traceback" not in message
    assert [file.read_bytes() for file in out.iterdir()] == [YESTERDAY]
    kept = records(partial)
    assert kept
    assert re.search(r"(\d+) of (\d+) parts could not be processed", message)
    tables = {json.loads(entry)["files"]["clusters"] for entry in kept.values()}
    written = {file.name for file in partial.iterdir() if ".attempt-" not in file.name}
    assert written == tables | set(kept)  # nothing incomplete

    job = job_for(load_model(tmp_path / "model"), Assign, source, partial, remembered=True, **PARTS)
    assert len(job.pending()) == len(job.parts) - len(kept)
    monkeypatch.setattr("vrae.distributed.pool._PAUSE", 0)
    with monkeypatch.context() as patch:  # a worker without space to unpack the model
        patch.setattr("tempfile.tempdir", str(small_disk))
        filler.unlink()
        filler.write_bytes(bytes(shutil.disk_usage(small_disk).free))
        failed = _Worker(ray.put(job))({"part": job.pending()[0]})
    assert "No space left" in failed["message"]
    assert str(small_disk) in failed["message"]
    code, _, message = cli(
        "cluster", source, "--engine", "ray", "-k", "2", "--epochs", "1", "--out", small_disk / "run"
    )
    assert code == 2
    assert "No space left" in message
    assert "Traceback" not in message
    assert {file.name for file in small_disk.iterdir()} == {"out", "out.partial", "filler"}

    subprocess.run(["mount", "-o", "remount,size=400k", small_disk], check=True)
    assert [process_part(job, clusterer, n) for n in job.pending()] == [None] * (len(job.parts) - len(kept))
    assert cli(*command, "--quiet")[::2] == (0, "")
    write_assignments(clusterer, stream_panels(source), tmp_path / "local.parquet")
    assert_same_rows(out, tmp_path / "local.parquet")
    assert not partial.exists()


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """Return the URL of a folder that fsspec knows and Arrow does not."""
    fsspec.register_implementation(FsspecStore.protocol, FsspecStore, clobber=True)
    return f"{FsspecStore.protocol}://{tmp_path}"


def test_fsspec_holds_series_and_results(clusterer, tmp_path, store_url):
    local = write(long_rows(20), tmp_path / "data", [100, 200], 64)
    layout, parts = layout_and_parts(f"{store_url}/data/00?.parquet", 100)
    with staging_folder(f"{store_url}/out") as staging:
        job = make_job(Embed, clusterer.model_, series.SeriesParts(layout, parts, 20), staging)
        assert [process_part(job, clusterer.model_, n) for n in job.pending()] == [None] * len(parts)
        assert job.pending() == []
        publish(staging, [part.files["embedding"] for part in results_of(job)], f"{store_url}/out")
    write_embeddings(clusterer.model_, stream_panels(local), tmp_path / "local.parquet")
    assert_same_rows(tmp_path / "out", tmp_path / "local.parquet")
    assert not (tmp_path / "out.partial").exists()
    os.utime(tmp_path / "data" / "001.parquet", ns=(1, 1))  # as if it was replaced
    _, again = layout_and_parts(f"{store_url}/data/00?.parquet", 100)
    assert [a.digest("") == b.digest("") for a, b in zip(parts, again, strict=True)] == [
        not any("001" in piece.group.file.path for piece in part.pieces) for part in parts
    ]


@pytest.mark.slow
def test_series_from_one_store_and_results_in_two(local_ray, tmp_path, store_url, cli, many_parts):
    local = write(long_rows(20), tmp_path / "data", [100, 200], 64)
    detector = make_estimator("VRAEAnomalyDetector", contamination=0.1).fit(read_panel(local))
    detector.save(tmp_path / "model")
    with object_store() as (host, objects):
        url = f"s3://me:secret@{BUCKET}/{{}}?scheme=http&endpoint_override={host}&region=us-east-1"
        objects |= {f"{BUCKET}/in/{file.name}": (file.read_bytes(), MODIFIED) for file in (tmp_path / "data").iterdir()}
        objects |= {f"{BUCKET}/out/part-00099.parquet": (YESTERDAY, MODIFIED)}
        given = set(objects) - {f"{BUCKET}/out/part-00099.parquet"}
        command = ["anomalies", url.format("in/*.parquet"), "--model", tmp_path / "model", "--engine", "ray"]
        command += ["--workers", "1", "--quiet", "--out", url.format("out"), "--step-scores", f"{store_url}/steps"]
        assert cli(*command)[::2] == (0, "")
        places = (tmp_path / "local.parquet", tmp_path / "local-steps.parquet")
        write_anomalies(detector, stream_panels(local), *places, tell=print)
        store, out = fs.FileSystem.from_uri(url.format("out"))
        assert_same_rows(out, tmp_path / "local.parquet", store)
        assert_same_rows(tmp_path / "steps", tmp_path / "local-steps.parquet")
        kept = {key for key in objects if not key.startswith(f"{BUCKET}/out/")}
        assert kept == given
        assert f"{BUCKET}/out/part-00099.parquet" not in objects


@pytest.mark.slow
def test_unsorted_rows_are_sorted_first(local_ray, clusterer, tmp_path, monkeypatch):
    monkeypatch.setattr(series, "_SMALL_VALUES", 0)
    rows = long_rows(20)
    shuffled = rows.take(np.random.default_rng(0).permutation(len(rows)))
    source = write(shuffled, tmp_path / "data", [100, 200], 50)
    staging, lines = SharedFolder(fs.LocalFileSystem(), str(tmp_path / "work")), list[str]()
    for _ in range(2):  # the second time, the sorted rows exist
        found = series.find_series(source, staging, lines.append, part_values=100)
        panels = [panel for part in found.parts for panel in found.layout.panels(part)]
        assert_same_panel(join_panels(panels), read_panel(write(rows, tmp_path / "ordered", [], 1000)))
    assert len(found.parts) > 1
    assert all("not sorted" in line for line in lines)
    (tmp_path / "data" / "002.parquet").unlink()
    monkeypatch.setattr("vrae.distributed.series.sort_by_id", lambda *given: pytest.fail("sorted again"))
    with pytest.raises(pytest.fail.Exception, match="sorted again"):  # the rows have changed
        series.find_series(source, staging, lines.append, part_values=100)
    with pytest.raises(InvalidParameterError, match="lose the order"):
        embed(clusterer, source, str(tmp_path / "no"), time=None, duplicates="first")
    assert not (tmp_path / "no.partial").exists()


@pytest.mark.slow
def test_an_id_in_two_files_is_named(local_ray, tmp_path, monkeypatch):
    clusterer = make_estimator("VRAEClusterer").fit(make_series("list", 24))
    rows = wide_rows(12)
    source = write(pa.concat_tables([rows, rows.slice(7, 1)]), tmp_path / "data", [5], 3)
    with pytest.raises(InvalidDataError, match="'s007' appear more than once"):
        embed(clusterer, source, str(tmp_path / "out"))
    damage(tmp_path / "data" / "001.parquet")
    monkeypatch.setattr("vrae.distributed.pool.ordered_tasks", map)  # Ray has failed by then
    with pytest.raises(InvalidDataError, match=r"Cannot read \S*001\.parquet"):
        check_ids(open_parquet(source).data, "unique_id")
    assert list(tmp_path.iterdir()) == [tmp_path / "data"]


@pytest.mark.slow
def test_a_clustering_is_that_of_one_machine(local_ray, tmp_path, cli, many_parts):
    source = write(long_rows(40), tmp_path / "data", [200, 400], 64)
    options = ["-k", "2", "--epochs", "2", "--train-sample", "25", "--label", "kind", "--quiet"]
    assert cli("cluster", source, *options, "--out", tmp_path / "local")[::2] == (0, "")
    (tmp_path / "ray.toml").write_text('engine = "ray"\nworkers = 1\n')
    options = [f"file://{source}", *options, "--config", tmp_path / "ray.toml", "--out", tmp_path / "ray"]
    repairs = [damage(tmp_path / "data" / f"{name}.parquet") for name in ("001", "002")]
    code, _, message = cli("cluster", *options)
    assert code == 2
    assert re.search(r"(?s)Cannot read \S*001\.parquet.*Cannot read \S*002\.parquet", message)
    assert "Traceback" not in message
    assert {path.name for path in tmp_path.iterdir()} == {"data", "local", "ray.toml"}
    for repair in repairs:
        repair()
    assert cli("cluster", *options)[::2] == (0, "")
    config = tomllib.loads((tmp_path / "ray" / "config.toml").read_text())
    assert (config["engine"], config["workers"]) == ("ray", 1)
    local, run = (tmp_path / name for name in ("local", "ray"))
    assert (run / "clusters.csv").read_text() == (local / "clusters.csv").read_text()
    assert_same_rows(run / "embedding.parquet", local / "embedding.parquet")
    assert {f.name for f in run.iterdir()} == {f.name for f in local.iterdir()}
    numbers = [json.loads((folder / "metrics.json").read_text()) for folder in (run, local)]
    for name in ("sizes", "ari", "nmi", "n_series", "n_trained", "missing_share", "shortest", "longest", "epochs"):
        assert numbers[0][name] == numbers[1][name]
    assert not (tmp_path / "ray.partial").exists()


class KillsItself(Callback):
    """Kill its own process after the second epoch, once. ``killed`` is the file that says so."""

    def __init__(self, killed: Path) -> None:
        self.killed = killed

    def on_epoch_end(self, trainer: Any, record: Any) -> None:
        if record["epoch"] == 2 and not self.killed.exists():
            self.killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_several_processes_train_the_same_model_as_one_though_one_is_killed(local_ray, tmp_path):
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    options = {**TINY, "max_epochs": 4, "early_stopping": 2, "pattern_weight": 1.0, "max_lag": 2, "batch_size": 7}
    source = write(long_rows(60), tmp_path / "data", [300, 600], 64)
    X, _ = sample_series(stream_panels(source), 40, seed=1)
    alone = VRAE(**options).fit(X)
    model = VRAE(**options, callbacks=[KillsItself(tmp_path / "killed")])
    engine, handler = EngineOptions(train_workers=2), signal.getsignal(signal.SIGINT)
    clusterer = VRAEClusterer(2, model=model, random_state=0)
    given: dict[str, Any] = {
        "checkpoint_seconds": 0,
        "n_train": 40,
        "seed": 1,
        "storage": str(tmp_path / "out.partial"),
    }
    together = fit(clusterer, source, engine=engine, **given, **PARTS).model_
    with staging_folder(str(tmp_path / "out")) as staging:  # a job that failed after its training resumes
        assert staging.names() == [TRAINING]
    assert signal.getsignal(signal.SIGINT) is handler  # Ray Train would keep Ctrl-C to itself
    assert (tmp_path / "killed").exists()
    assert [record.keys() for record in together.history_] == [record.keys() for record in alone.history_]
    for a, b in zip(together.history_, alone.history_, strict=True):
        assert {**a, "seconds": 0} == pytest.approx({**b, "seconds": 0}, rel=1e-5)
    np.testing.assert_allclose(together.embedding_, alone.embedding_, atol=1e-5)
    np.testing.assert_allclose(together.score_samples(X), alone.score_samples(X), rtol=1e-4)
    together.save(tmp_path / "model")
    np.testing.assert_array_equal(load_model(tmp_path / "model").transform(X), together.transform(X))


def test_the_destination_holds_an_earlier_table_of_vrae_or_nothing(tmp_path):
    rows, out = pa.table({"id": ["a"], "y": [1.0]}), tmp_path / "out"
    out.mkdir()
    (out / "part-00000.parquet").write_bytes(YESTERDAY)
    check_destination(str(out), str(tmp_path / "data"))
    for source in (out, f"{out}/*.parquet", out / "part-00000.parquet", f"file://{out}", tmp_path / "link"):
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to(out)
        with pytest.raises(OutputError, match="which is read"):
            check_destination(str(out), str(source))
    for name in ("part-00001.parquet", "part-00000-5c1e0a0d-c000.snappy.parquet"):  # as those of Spark
        pq.write_table(rows, out / name)
        with pytest.raises(OutputError, match=re.escape(name)):
            check_destination(str(out))
        (out / name).unlink()


def test_a_folder_of_others_is_not_used_for_unfinished_work(tmp_path):
    mine = tmp_path / "out.partial" / "notes.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(OutputError, match=r"holds something else: .notes\.txt"), staging_folder(str(tmp_path / "out")):
        pytest.fail("is not used")
    assert mine.read_text() == "mine"
    mine.rename(tmp_path / "file.partial")
    with pytest.raises(OutputError, match=r"Could not write .*file"), staging_folder(str(tmp_path / "file")):
        pytest.fail("is not used")
