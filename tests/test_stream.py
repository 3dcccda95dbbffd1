"""Files larger than memory: reading in parts gives the same panels, commands write in parts."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.dataset as ds
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import make_estimator
from vrae import Panel, load_model, read_panel
from vrae.data import stream
from vrae.data.selection import join_panels
from vrae.data.stream import open_data, stream_panels
from vrae.exceptions import InvalidDataError, InvalidParameterError, VRAEWarning
from vrae.runs import cluster_stream, sample_series, table_writer
from vrae.runs.result_tables import map_panels

pytestmark = pytest.mark.filterwarnings("ignore::vrae.exceptions.VRAEWarning")


@pytest.mark.parametrize("thousands", [".", ",", " "])
@pytest.mark.parametrize("layout", ["long", "wide"])
def test_thousands_are_the_same_in_parts(thousands: str, layout: str, tmp_path: Path, in_parts: None) -> None:
    values = [f"{one}{thousands}{234 + one}" for one in range(1, 9)]
    if layout == "long":
        rows = ["item;step;sold", *(f"{name};{step};{value}" for name in "ab" for step, value in enumerate(values))]
        options: dict[str, Any] = {"id": "item", "time": "step"}
    else:
        rows = [";".join(["item", *map(str, range(8))]), *(";".join([name, *values]) for name in "ab")]
        options = {"id": "item", "layout": "wide"}
    (tmp_path / "sales.csv").write_text("\n".join(rows) + "\n")
    whole = read_panel(tmp_path / "sales.csv", thousands=thousands, **options)
    parts = join_panels(list(stream_panels(tmp_path / "sales.csv", thousands=thousands, **options)))
    assert whole[0][0].tolist() == [1000 * one + 234 + one for one in range(1, 9)]
    np.testing.assert_array_equal(parts.values, whole.values)


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read all sources in parts, even small ones."""
    monkeypatch.setattr(stream, "_WHOLE_VALUES", 0)


def assert_same(found: Panel, expected: Panel) -> None:
    np.testing.assert_array_equal(found.values, expected.values)
    np.testing.assert_array_equal(found.offsets, expected.offsets)
    assert found.ids.tolist() == expected.ids.tolist()
    assert found.channels == expected.channels
    assert (found.times is None) == (expected.times is None)
    if expected.times is not None:
        np.testing.assert_array_equal(found.times, expected.times)
    assert list(found.static) == list(expected.static)
    for name, column in expected.static.items():
        assert found.static[name].tolist() == column.tolist()


def long_table(lengths: list[int], seed: int = 0) -> pa.Table:
    """Return a long table of weekly rows with two channels, gaps in time and a static column."""
    rng = np.random.default_rng(seed)
    owners = np.repeat(np.arange(len(lengths)), lengths)
    weeks = np.concatenate([rng.integers(9) + np.cumsum(rng.integers(1, 4, n)) for n in lengths])
    y = rng.standard_normal(len(owners)).astype(np.float32)
    return pa.table(
        {
            "unique_id": [f"item{i}" for i in owners],
            "ds": np.datetime64("2024-01-03", "us") + weeks * np.timedelta64(7, "D"),
            "price": pa.array(y, mask=y > 1.5),
            "sold": y * 2,
            "store": [f"store{i % 3}" for i in owners],
        }
    )


def list_table(lengths: list[int]) -> pa.Table:
    rng = np.random.default_rng(1)
    lists = [rng.standard_normal(n).astype(np.float32).tolist() for n in lengths]
    twice = [[2 * value for value in series] for series in lists]
    return pa.table({"item": [f"i{i}" for i in range(len(lists))], "a": lists, "b": twice, "n": range(len(lists))})


def wide_table(n: int, *, ids: bool = True) -> pa.Table:
    steps = {f"w{t}": np.random.default_rng(t).standard_normal(n) for t in range(7)}
    return pa.table({**({"item": np.arange(n) * 3 + 5} if ids else {}), **steps})


def write(table: pa.Table, path: Path, rows: int) -> None:
    """Write a table in the format of the name, ``rows`` rows in a group or batch."""
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=rows)
    elif path.suffix == ".feather":
        feather.write_feather(table, path, chunksize=rows)
    elif path.suffix == ".arrow":
        with pa.ipc.new_stream(path, table.schema) as writer:
            writer.write_table(table, rows)
    else:
        arrow_csv.write_csv(table, path)


# ---------------------------------------------------------------- the same panel in parts

LAYOUTS: dict[str, tuple[Callable[[], pa.Table], dict[str, Any]]] = {
    "long": (lambda: long_table([3, 1, 8, 2, 2, 13, 1, 5] * 5), {"value": ["price", "sold"]}),
    "long on a grid": (lambda: long_table([3, 1, 8, 2, 2, 13, 1, 5] * 5), {"value": "sold", "freq": "1w"}),
    "long on a grid of its own": (lambda: long_table([3, 1, 8, 2, 2] * 5), {"value": "sold", "freq": "5d"}),
    "lists": (lambda: list_table([3, 1, 8, 2, 2, 13, 1, 5] * 5), {"id": "item", "value": ["a", "b"], "static": "n"}),
    "wide": (lambda: wide_table(53), {"id": "item"}),
    "wide without ids": (lambda: wide_table(53, ids=False), {}),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["X.parquet", "X.feather", "X.arrow", "X.csv"])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_joined_panels_equal_the_whole(layout, name, size, tmp_path, in_parts):
    build, options = LAYOUTS[layout]
    if layout == "lists" and name == "X.csv":
        pytest.skip("a csv has no lists")
    write(build(), tmp_path / name, 11)
    panels = list(stream_panels(tmp_path / name, series_per_panel=size, **options))
    expected = read_panel(tmp_path / name, **options)
    if name == "X.csv":  # names stay text
        panels = [Panel(p.values, p.offsets, p.ids.astype(expected.ids.dtype), p.times, p.channels, p.static)
                  for p in panels]  # fmt: skip
    assert_same(join_panels(panels), expected)
    assert {len(panel) for panel in panels[:-1]} <= {size}


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=25),
    rows=st.integers(1, 40),
    size=st.integers(1, 30),
    most=st.integers(1, 60),
)
def test_series_may_span_row_groups_and_files(lengths, rows, size, most, tmp_path_factory):
    folder = tmp_path_factory.mktemp("long")
    table = long_table(lengths)
    half = len(table) // 2  # mostly within a series
    for name, part in (("a", table.slice(0, half)), ("b", table.slice(half))):
        if part.num_rows:
            pq.write_table(part, folder / f"{name}.parquet", row_group_size=rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "_WHOLE_VALUES", 0)
        patch.setattr(stream, "_PANEL_VALUES", most)
        panels = list(stream_panels(folder, series_per_panel=size, value="sold"))
    assert_same(join_panels(panels), read_panel(folder, value="sold"))
    assert all(len(panel) <= size for panel in panels)
    assert all(len(panel.values) <= most or len(panel) == 1 for panel in panels)


@pytest.mark.parametrize("layout", ["lists", "wide", "long"])
def test_long_series_make_smaller_panels(layout, tmp_path, in_parts, monkeypatch):
    build, options = LAYOUTS[layout]
    monkeypatch.setattr(stream, "_PANEL_VALUES", 30)
    write(build(), tmp_path / "X.parquet", 11)
    panels = list(stream_panels(tmp_path / "X.parquet", **options))
    assert all(panel.values.size <= 30 or len(panel) == 1 for panel in panels)
    assert_same(join_panels(panels), read_panel(tmp_path / "X.parquet", **options))


@pytest.mark.parametrize("source", ["array", "table", "dataset", "npz"])
def test_data_in_memory_is_cut_into_panels_too(source, tmp_path):
    X = np.arange(30.0).reshape(10, 3)
    np.savez(tmp_path / "X.npz", X=X)
    table = pa.table({f"w{t}": X[:, t] for t in range(3)})
    sources = {"array": X, "table": table, "dataset": ds.dataset(table), "npz": tmp_path / "X.npz"}
    panels = list(stream_panels(sources[source], series_per_panel=4))
    assert [len(panel) for panel in panels] == [4, 4, 2]
    np.testing.assert_array_equal(join_panels(panels).to_padded()[:, 0], X)


def test_memory_does_not_grow_with_the_file(tmp_path, in_parts):
    """Only allocations of Python and NumPy are seen. benchmarks/scale measures the process."""

    def peak(n: int) -> int:
        table = pa.table({"item": [f"i{i}" for i in range(n)], "v": [[1.0] * 20] * n})
        write(table, tmp_path / "X.parquet", 500)
        tracemalloc.start()
        for panel in stream_panels(tmp_path / "X.parquet", series_per_panel=200, id="item"):
            assert len(panel) == 200
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(1000)
    # Each series takes 100 bytes. Only a hash of its id is kept.
    assert peak(20_000) - peak(2000) < 18_000 * 20


# ---------------------------------------------------------------- what goes wrong


def test_a_series_that_is_not_contiguous_is_named(tmp_path, in_parts):
    table = long_table([4] * 20)
    back = pa.concat_tables([table, table.slice(8, 1)])  # a row of item2
    write(back, tmp_path / "X.parquet", 10)
    with pytest.raises(InvalidDataError, match=r"'item2'.*must be contiguous.*Sort it by 'unique_id'"):
        list(stream_panels(tmp_path / "X.parquet", series_per_panel=3, value="sold"))


def test_rows_of_a_small_file_may_be_in_any_order(tmp_path):
    rows = np.random.default_rng(0).permutation(80)
    write(long_table([4] * 20).take(pa.array(rows)), tmp_path / "X.parquet", 10)
    panels = list(stream_panels(tmp_path / "X.parquet", series_per_panel=3, value="sold"))
    assert_same(join_panels(panels), read_panel(tmp_path / "X.parquet", value="sold"))


@pytest.mark.parametrize("ids", [[-1, -2, 3, 3], ["a", "b", "c", "b"], [0.5, 1.5, 2.5, 0.5]])
def test_a_repeated_id_in_a_wide_table(ids, tmp_path, in_parts):
    write(wide_table(4, ids=False).append_column("item", [ids]), tmp_path / "X.parquet", 2)
    with pytest.raises(InvalidDataError, match=f"Ids {ids[-1]!r} appear more than once"):
        list(stream_panels(tmp_path / "X.parquet", id="item", layout="wide", series_per_panel=1))


@pytest.mark.parametrize("name", ["X.parquet", "X.csv"])
def test_text_late_in_a_number_column(name, tmp_path, in_parts):
    n = 150_000 if name == "X.csv" else 300  # more than the block from which types are inferred
    table = pa.table({"item": [f"i{i}" for i in range(n)], "w0": ["1.5"] * (n - 1) + ["oops"], "w1": ["2"] * n})
    write(table, tmp_path / name, 100)
    if name == "X.csv":
        (tmp_path / name).write_text((tmp_path / name).read_text().replace('"', ""))
    with pytest.raises(InvalidDataError, match="oops"):
        list(stream_panels(tmp_path / name, id="item", value="w*", series_per_panel=100))


def test_nothing_to_read(tmp_path, in_parts):
    write(long_table([3, 3]).slice(0, 0), tmp_path / "X.parquet", 10)
    with pytest.raises(InvalidDataError, match="No series found"):
        list(stream_panels(tmp_path / "X.parquet", value="sold"))
    with pytest.raises(InvalidParameterError, match="series_per_panel"):
        stream_panels([[1.0, 2.0]], series_per_panel=0)
    with pytest.raises(InvalidDataError, match="no panel"):
        join_panels([])


def test_is_large_goes_by_series_and_values(tmp_path):
    write(list_table([5] * 40), tmp_path / "lists.parquet", 10)
    write(long_table([5] * 40), tmp_path / "long.parquet", 10)
    for name, options in (("lists", {"id": "item", "value": "a"}), ("long", {"value": "sold"})):
        path = tmp_path / f"{name}.parquet"
        opened = open_data(path, **options)
        assert opened.is_large(39, 10**6)
        assert opened.is_large(10**6, 199)
        assert not opened.is_large(40, 200)
    assert not open_data([[1.0, 2.0]]).is_large(0, 0)


@pytest.mark.parametrize("name", ["X.parquet", "X.csv"])
@pytest.mark.parametrize("head_rows", [1 << 20, 50])
def test_an_opened_source_is_opened_once_and_read_whole_and_in_parts(name, head_rows, tmp_path, in_parts, monkeypatch):
    write(long_table([4] * 20), tmp_path / name, 10)
    whole = read_panel(tmp_path / name, value="sold")
    opened: list[int] = []
    found: list[int] = []
    monkeypatch.setattr("vrae.data.sources._HEAD_ROWS", head_rows)
    for counted, function in ((opened, "open_source"), (found, "find_roles")):
        original = getattr(stream, function)
        monkeypatch.setattr(stream, function, lambda *a, f=original, c=counted: c.append(1) or f(*a))
    source = open_data(tmp_path / name, value="sold")
    assert source.is_large(19, 10**6)
    assert_same(source.panel(), whole)
    for _ in range(2):  # as often as needed
        assert_same(join_panels(list(source.panels(7))), whole)
    assert (len(opened), len(found)) == (1, 1)


# ---------------------------------------------------------------- a sample


def test_a_sample_is_uniform_in_order_and_depends_on_the_seed_alone(monkeypatch):
    panel = Panel.from_arrays(np.arange(2000.0).reshape(1000, 2))

    def cut(size: int) -> Iterator[Panel]:
        return stream_panels(panel, series_per_panel=size)

    first, total = sample_series(cut(7), 50, seed=0)
    again, _ = sample_series(cut(400), 50, seed=0)
    other, _ = sample_series(cut(7), 50, seed=1)
    assert (len(first), total) == (50, 1000)
    assert_same(first, again)
    assert first.ids.tolist() == sorted(first.ids.tolist()) != other.ids.tolist()
    np.testing.assert_array_equal(first.values[::2, 0], 2.0 * first.ids)
    means = [sample_series(cut(100), 50, seed)[0].ids.mean() for seed in range(40)]
    assert abs(np.mean(means) - 499.5) < 30  # 4.7 standard errors
    everything, _ = sample_series(cut(7), 5000, seed=0)
    assert_same(everything, panel)
    monkeypatch.setattr("vrae.runs.sample.MAX_VALUES", 60)
    assert len(sample_series(cut(7), 50, seed=0)[0]) == 30


# ---------------------------------------------------------------- tables, part by part


def test_later_rows_of_a_table_keep_the_types_of_the_first(tmp_path):
    for name in ("t.csv", "t.parquet"):
        with table_writer(tmp_path / name) as add:
            add({"id": np.array(["a"]), "n": np.array([1])})
            add({"id": np.array([7]), "n": np.array([np.nan])})
    assert (tmp_path / "t.csv").read_text() == "id,n\na,1\n7,\n"
    assert pq.read_table(tmp_path / "t.parquet").to_pydict() == {"id": ["a", "7"], "n": [1, None]}


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_a_table_is_written_completely_or_not_at_all(name, tmp_path, monkeypatch):
    monkeypatch.setattr("vrae.runs.table_files._ROW_GROUP", 1)
    with pytest.raises(InvalidDataError), table_writer(tmp_path / name) as add:  # noqa: PT012
        add({"n": np.array([1])})
        raise InvalidDataError("late")
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- commands


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, small_series: Any) -> Path:
    """Return a folder with a model, and 60 series as long csv and Parquet."""
    folder = tmp_path_factory.mktemp("commands")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VRAEWarning)
        make_estimator("VRAEClusterer").fit(small_series("panel", 60)).save(folder / "model")
    panel = small_series("panel", 60)
    owners = np.repeat(np.arange(60), panel.lengths)
    table = pa.table(
        {"unique_id": panel.ids[owners], "y": panel.values[:, 0], "kind": np.array(["x", "y"])[owners % 2]}
    )
    write(table, folder / "X.csv", 0)
    write(table, folder / "X.parquet", 50)
    write(table, folder / "X.arrow", 50)
    return folder


@pytest.fixture
def vrae(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, in_parts: None) -> Callable[..., Any]:
    """Return the command line, reading in parts of a few series."""
    monkeypatch.setattr(stream, "_PANEL_VALUES", 200)
    return cli


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("name", ["X.csv", "X.parquet", "X.arrow"])
def test_standard_input_gives_a_row_for_every_series_in_order(name, folder, vrae):
    options = ["--layout", "long", "--model", folder / "model"]
    done = vrae("assign", "-", *options, "--out", "-", feed=(folder / name).read_bytes())
    rows = rows_of(done.out)
    panel = read_panel(folder / name, layout="long")
    said = done.said.splitlines()
    assert (done.code, said[:-2]) == (0, panel.summary())  # the facts of all parts together
    assert said[-2].startswith("60 series (")
    assert ": 30; " in said[-2]
    assert "vrae drift NEW_DATA --model" in said[-1]  # a pipe is read once
    assert panel.summary()[0] == "60 series of 11 to 20 steps, named by unique_id"
    assert [row["id"] for row in rows] == panel.ids.tolist()
    assert [row["kind"] for row in rows] == ["x", "y"] * 30
    assert [int(row["cluster"]) for row in rows] == load_model(folder / "model").predict(panel).tolist()


def test_a_pipe_of_real_processes(folder):
    command = [sys.executable, "-m", "vrae", "embed", "-", "--layout", "long", "--quiet", "--model", folder / "model"]
    done = subprocess.run(command, input=(folder / "X.csv").read_bytes(), capture_output=True, check=True)
    assert done.stderr == b""
    assert [row["id"] for row in rows_of(done.stdout.decode())] == [f"s{i}" for i in range(60)]


def test_embedding_in_parts_is_embedding_at_once(folder, tmp_path, vrae):
    options = ["--layout", "long", "--model", folder / "model", "--out", tmp_path / "Z.parquet"]
    assert vrae("embed", folder / "X.parquet", *options).code == 0
    found = pq.read_table(tmp_path / "Z.parquet")
    panel = read_panel(folder / "X.parquet", layout="long")
    assert found.column_names == ["id", "vrae0", "vrae1", "vrae2", "kind"]
    assert found["id"].to_pylist() == panel.ids.tolist()
    Z = np.column_stack([found[f"vrae{d}"].to_numpy() for d in range(3)])
    np.testing.assert_allclose(Z, load_model(folder / "model").model_.transform(panel), atol=1e-5)


@pytest.mark.parametrize(("verb", "out"), [("assign", "new.csv"), ("assign", "new.parquet"), ("embed", "new.parquet")])
@pytest.mark.parametrize("what", ["infinite", "missing", "twice"])
def test_a_bad_series_late_leaves_nothing(verb, out, what, folder, tmp_path, vrae):
    table = pq.read_table(folder / "X.parquet").select(["unique_id", "y"])
    bad: dict[str, tuple[str, float | None]] = {"infinite": ("z", np.inf), "missing": ("z", None), "twice": ("s1", 0.0)}
    name, value = bad[what]
    row = pa.table({"unique_id": [name] * 2, "y": pa.array([value] * 2, pa.float32())})
    write(pa.concat_tables([table, row]), tmp_path / "X.parquet", 50)
    done = vrae(verb, tmp_path / "X.parquet", "--layout", "long", "--model", folder / "model", "--out", tmp_path / out)
    assert done.code == 2
    assert f"'{name}'" in done.err
    assert "Traceback" not in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["X.parquet"]


def test_bad_standard_input_is_called_by_that_name(folder, vrae):
    done = vrae("assign", "-", "--layout", "long", "--model", folder / "model", feed=b"unique_id,y\na,1\na,oops\n")
    assert (done.code, done.out) == (2, "")
    assert "standard input" in done.err
    assert "oops" in done.err
    empty = vrae("assign", "-", "--model", folder / "model")
    assert empty.code == 2
    assert "standard input" in empty.err


# ---------------------------------------------------------------- several panels at once


@pytest.mark.parametrize("n_panels", [1, 2, 9])
def test_panels_are_computed_at_once_in_order_and_few_are_in_memory(n_panels, fitted, small_series):
    clusterer, panel = fitted("VRAEClusterer", "panel"), small_series("panel", 9)
    read: list[int] = []
    written: list[int] = []
    before = torch.get_num_threads()

    def panels() -> Iterator[Panel]:
        for number in range(n_panels):
            read.append(number)
            assert len(read) - len(written) <= 3  # two threads, and the next
            yield panel.select(np.array([number]))

    torch.set_num_threads(2)
    try:
        for found in map_panels(clusterer.model_, clusterer.predict, panels()):
            written.append(int(found[0]))
    finally:
        torch.set_num_threads(before)
    assert written == clusterer.predict(panel)[:n_panels].tolist()


def test_ids_seen_before_are_found_wherever_they_are():
    rng, known, seen = np.random.default_rng(0), stream._KnownIds(), set()
    for _ in range(30):
        ids = rng.permutation(200)[: rng.integers(1, 20)]
        assert known.add(ids).tolist() == [i in seen for i in ids.tolist()]
        seen |= set(ids.tolist())


# ---------------------------------------------------------------- clustering by a sample


def test_clustering_by_a_sample_of_all_is_clustering(folder, tmp_path, monkeypatch):
    """With all series in the sample, clustering in parts equals clustering whole."""
    from vrae.runs import cluster_panel

    monkeypatch.setattr(stream, "_WHOLE_VALUES", 0)
    options: dict[str, Any] = {"layout": "long", "label": "kind"}
    panel = read_panel(folder / "X.parquet", **options)
    whole = cluster_panel(make_estimator("VRAEClusterer"), panel, panel.static["label"], tmp_path / "whole", "whole")

    def panels() -> Iterator[Panel]:
        return stream_panels(folder / "X.parquet", series_per_panel=9, **options)

    parts = cluster_stream(make_estimator("VRAEClusterer"), panels, 60, 0, tmp_path / "parts", "parts")
    rows = {name: rows_of((tmp_path / name / "clusters.csv").read_text()) for name in ("whole", "parts")}
    for column in ("id", "cluster", "lag", "label"):
        assert [row[column] for row in rows["parts"]] == [row[column] for row in rows["whole"]]
    assert {path.name for path in (tmp_path / "parts").iterdir()} == {p.name for p in (tmp_path / "whole").iterdir()}
    assert parts.pop("n_trained") == 60
    for name in ("n_series", "sizes", "n_noise", "shortest", "longest", "missing_share", "ari", "nmi", "raw_kmeans"):
        assert parts[name] == whole[name]
    for name in ("mean_probability", "doubtful_share", "silhouette"):
        assert parts[name] == pytest.approx(whole[name], abs=1e-4)


def test_cluster_trains_on_a_sample_and_places_all(folder, tmp_path, vrae):
    def cluster(out: str) -> Any:
        return vrae("cluster", folder / "X.parquet", "--layout", "long", "-k", 2, "--epochs", 1, "--train-sample", 20,
                    "--out", tmp_path / out)  # fmt: skip

    done = cluster("a")
    assert done.code == 0, done
    assert "Training on 20 of 60 series" in done.err
    assert "20 of 60 series" in done.out
    rows = rows_of((tmp_path / "a" / "clusters.csv").read_text())
    assert [row["id"] for row in rows] == [f"s{i}" for i in range(60)]
    metrics = json.loads((tmp_path / "a" / "metrics.json").read_text())
    assert (metrics["n_series"], sum(metrics["sizes"]), metrics["n_trained"]) == (60, 60, 20)
    assert pq.read_table(tmp_path / "a" / "embedding.parquet")["id"].to_pylist() == [row["id"] for row in rows]
    assert len(load_model(tmp_path / "a" / "model").ids_) == 20
    assert "This page shows 20 of them" in (tmp_path / "a" / "report.html").read_text(encoding="utf-8")
    cluster("b")
    assert (tmp_path / "b" / "clusters.csv").read_bytes() == (tmp_path / "a" / "clusters.csv").read_bytes()


def test_standard_input_can_be_clustered(folder, tmp_path, vrae):
    options = ["--layout", "long", "-k", 2, "--epochs", 1, "--quiet", "--out", tmp_path / "run"]
    assert vrae("cluster", "-", *options, feed=(folder / "X.csv").read_bytes()).code == 0
    rows = rows_of((tmp_path / "run" / "clusters.csv").read_text())
    assert [row["id"] for row in rows] == [f"s{i}" for i in range(60)]
    assert "<title>Series: 2 groups" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_a_large_file_is_clustered_by_a_sample_by_default(folder, tmp_path, monkeypatch, vrae):
    monkeypatch.setattr("vrae.cli.cluster_command._MAX_SERIES", 59)
    monkeypatch.setattr("vrae.cli.cluster_command._TRAIN_SAMPLE", 25)
    monkeypatch.setattr("vrae.runs.run_folder._CSV_ROWS", 59)
    monkeypatch.setattr("vrae.runs.run_folder.MAX_REPORT_SERIES", 10)
    done = vrae("cluster", folder / "X.parquet", "--layout", "long", "-k", 2, "--epochs", 1, "--out", tmp_path / "run")
    assert done.code == 0, done
    assert "Training on 25 of 60 series" in done.err
    table = pq.read_table(tmp_path / "run" / "clusters.parquet")
    assert table["id"].to_pylist() == [f"s{i}" for i in range(60)]
    assert not (tmp_path / "run" / "clusters.csv").exists()
    assert "This page shows 9 of them" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_a_bad_series_late_leaves_no_run_folder(folder, tmp_path, vrae):
    table = pq.read_table(folder / "X.parquet").select(["unique_id", "y"])
    row = pa.table({"unique_id": ["z", "z"], "y": pa.array([None, None], pa.float32())})
    write(pa.concat_tables([table, row]), tmp_path / "X.parquet", 50)
    done = vrae("cluster", tmp_path / "X.parquet", "--layout", "long", "-k", 2, "--epochs", 1, "--train-sample", 5,
                "--out", tmp_path / "run")  # fmt: skip
    assert done.code == 2
    assert "'z'" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["X.parquet"]


@pytest.mark.parametrize("text", ["some", "1", "0"])
def test_an_invalid_sample_size_is_one_message(text, folder, tmp_path, vrae):
    done = vrae("cluster", folder / "X.parquet", "--layout", "long", "--train-sample", text, "--out", tmp_path / "run")
    assert done.code == 2
    assert "--train-sample" in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_model_of_a_large_table_reads_a_later_one_with_other_times(tmp_path, in_parts):
    table = long_table([4, 5, 6, 4, 5] * 4)
    texts = [str(time)[:10] for time in table["ds"].to_pylist()]
    table = table.set_column(1, "ds", pa.array(texts))
    pq.write_table(table, tmp_path / "X.parquet")
    reading = next(iter(stream_panels(tmp_path / "X.parquet", value="sold"))).reading
    assert reading is not None
    later = [str(np.datetime64(text) + np.timedelta64(700, "D")) for text in texts]
    pq.write_table(table.set_column(1, "ds", pa.array(later)), tmp_path / "Y.parquet")
    assert join_panels(list(stream_panels(tmp_path / "Y.parquet", remembered=reading))).ids.tolist()[0] == "item0"


def test_a_table_without_rows_and_texts_with_null_characters_have_columns_of_text(tmp_path):
    for ids in ([], ["a\0b"]):
        with table_writer(tmp_path / "table.parquet") as write:
            write({"id": np.array(ids, "U3")})
        table = pq.read_table(tmp_path / "table.parquet")
        assert (table["id"].type, table["id"].to_pylist()) == (pa.string(), ids)
