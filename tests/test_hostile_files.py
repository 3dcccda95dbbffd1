"""Files made to end the process, or to take its memory, are refused in words."""

import hashlib
import json
import multiprocessing
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pytest
from safetensors.numpy import load_file, save_file

from amount import times
from vrae import LongSeriesDetector, load_model, read_panel
from vrae.exceptions import InvalidDataError, InvalidParameterError, ModelFileError

LARGE = 800 << 20  # bytes


def arrow_bytes(table: pa.Table, stream: bool) -> bytes:
    sink = pa.BufferOutputStream()
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def text_table(n: int) -> tuple[pa.Table, bytes]:
    names = [f"s{i:02d}" + "x" * (i % 3) for i in range(n)]
    lists = pa.ListArray.from_arrays(pa.array(np.arange(n + 1, dtype=np.int32) * 10), pa.array(np.arange(n * 10.0)))
    return pa.table({"id": names, "y": lists}), np.r_[0, np.cumsum([len(s) for s in names])].astype(np.int32).tobytes()


def coded_table(n: int) -> tuple[pa.Table, bytes]:
    codes = np.arange(n, dtype=np.int32)
    names = pa.DictionaryArray.from_arrays(pa.array(codes), pa.array([f"s{i}" for i in range(n)]))
    return pa.table({"id": names, "a": np.arange(n * 1.0), "b": np.arange(n * 1.0)}), codes.tobytes()


@pytest.mark.parametrize("stream", [False, True], ids=["file", "stream"])
@pytest.mark.parametrize("make", [text_table, coded_table])
@pytest.mark.parametrize("number", [2**30, -5, 2**31 - 1])
def test_offsets_and_indices_that_point_outside(make, stream, number, tmp_path):
    table, good = make(20)
    raw = arrow_bytes(table, stream)
    assert raw.count(good) == 1
    bad = np.frombuffer(good, np.int32).copy()
    bad[3:-1] = number
    path = tmp_path / "x.feather"
    path.write_bytes(raw)
    assert len(read_panel(path, id="id")) == 20
    path.write_bytes(raw.replace(good, bad.tobytes()))
    code = f"""if True:
        import vrae
        try:
            vrae.read_panel({str(path)!r}, id="id")
        except vrae.exceptions.VRAEError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "x.feather" in done.stdout
    with pytest.raises(InvalidDataError, match=r"x\.feather"):
        read_panel(path, id="id")


def add_tensor(weights: Path, name: str, n_bytes: int) -> None:
    """Add a tensor of zeros that takes no space on the disk, or make one larger."""
    raw = weights.read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    header: dict[str, Any] = json.loads(raw[8 : 8 + size])
    end = len(raw) - 8 - size
    header[name] = {"dtype": "F32", "shape": [n_bytes // 4], "data_offsets": [end, end + n_bytes]}
    text = json.dumps(header).encode()
    with weights.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + raw[8 + size :])
        file.truncate(8 + len(text) + end + n_bytes)


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory by /proc")
@pytest.mark.parametrize("name", ["extra", "model.network.extra"])
def test_a_tensor_that_does_not_belong_takes_no_memory(name, fitted, tmp_path):
    folder = fitted("VRAEClusterer", "2d").save(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    del config["weights_sha256"]
    (folder / "config.json").write_text(json.dumps(config))
    add_tensor(folder / "weights.safetensors", name, LARGE)
    code = f"""if True:
        import resource, vrae
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            vrae.load_model({str(folder)!r})
        except vrae.exceptions.ModelFileError as error:
            print(error)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    message, kilobytes = done.stdout.splitlines()
    assert name.rpartition(".")[2] in message
    assert int(kilobytes) < 600 * 1024  # torch and scikit-learn are imported meanwhile


def _save_again(folder: Path, until: float, models: list[Path]) -> None:
    estimators = [load_model(model) for model in models]
    while time.time() < until:
        for estimator in estimators:
            estimator.save(folder)


def test_a_model_is_loaded_while_another_process_saves(fitted, tmp_path, record_property):
    models = [
        fitted("VRAEClusterer", "2d").save(tmp_path / "a"),
        fitted("VRAEClusterer", "panel").save(tmp_path / "b"),
    ]
    target = fitted("VRAEClusterer", "2d").save(tmp_path / "model")
    until = time.time() + 30
    writer = multiprocessing.get_context("spawn").Process(target=_save_again, args=(target, until, models))
    before = (target / "config.json").stat().st_mtime_ns
    writer.start()
    try:
        while (target / "config.json").stat().st_mtime_ns == before and time.time() < until:
            time.sleep(0.05)
        tries = times(20, 2000)
        for _ in range(tries):
            assert load_model(target).n_clusters_ == 2
        record_property("tries", tries)
    finally:
        writer.terminate()
        writer.join()


def test_a_folder_that_is_not_replaced_is_read_once(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    started = time.perf_counter()
    with pytest.raises(ModelFileError):
        load_model(tmp_path)
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("start", ["", "\ufeff", "\n \n"])
@pytest.mark.parametrize("line", ["null", " null", "[1]", "5", '"a": 1}', "x" * 1000])
def test_a_line_that_is_no_object(line, start, tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text(f'{start}{line}\n{{"id": "a", "value": [1, 2]}}\n', encoding="utf-8")  # null ended the process
    with pytest.raises(InvalidDataError, match=rf"a.jsonl: line {1 + start.count(chr(10))} is not a JSON object") as e:
        read_panel(file)
    assert len(str(e.value)) < 500


def test_json_objects_may_have_several_lines(tmp_path):
    file = tmp_path / "a.jsonl"
    text = '{\n  "id": "a",\n  "value": [\n    1,\n    null\n  ]\n}\n'
    file.write_text(text + "\n" + text.replace('"a"', '"b}"'), encoding="utf-8")
    panel = read_panel(file)
    assert panel.ids.tolist() == ["a", "b}"]
    file.write_text(f"{text}null\n{text}", encoding="utf-8")
    with pytest.raises(InvalidDataError, match="line 8 is not a JSON object, but begins with 'null'"):
        read_panel(file)


def test_objects_after_a_byte_order_mark_and_in_one_line(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_bytes(b'\xef\xbb\xbf\t{"id": "a", "value": [1, 2]} {"id": "b", "value": [3, 4]}\r\n\n')
    assert read_panel(file).ids.tolist() == ["a", "b"]


def test_numbers_beyond_64_bits_in_a_sheet(tmp_path):
    book = pytest.importorskip("openpyxl").Workbook()
    for row in (("id", "t0", "t1"), ("a", 10**19, 3), ("b", 10**22, 5)):
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    assert read_panel(tmp_path / "a.xlsx").values.ravel().tolist() == pytest.approx([1e19, 3, 1e22, 5])


@pytest.mark.parametrize("path", ["x" * 300 + ".csv", "x/" * 3000, "a\0b.csv"])
def test_paths_that_the_system_does_not_allow(path):
    with pytest.raises(InvalidDataError, match=r"Cannot read|No such file"):
        read_panel(path)


@pytest.mark.parametrize(
    "options",
    [
        *({name: value} for name in ("encoding", "date_format", "decimal", "thousands") for value in (5, b"x", ["x"])),
        *({name: value} for name in ("id", "value", "static") for value in (float("nan"), b"id", object())),
        *({"encoding": name} for name in ("undefined", "idna", "rot13", "nope")),
        *({"timezone": name} for name in (5, "x" * 5000, "../../etc/passwd", "")),
    ],
    ids=lambda options: f"{next(iter(options))}-{next(iter(options.values()))!r:.20}",
)
def test_options_of_another_type(options, tmp_path):
    (tmp_path / "a.csv").write_text("id,time,value\na,1,2\na,2,3\n")
    with pytest.raises((InvalidParameterError, InvalidDataError)) as caught:
        read_panel(tmp_path / "a.csv", **options)
    assert len(str(caught.value)) < 400


def test_series_without_steps_and_lazy_tables_that_fail():
    with pytest.raises(InvalidDataError, match="must have shape"):
        read_panel([np.zeros((0, 5))])
    pl = pytest.importorskip("polars")
    with pytest.raises(InvalidDataError, match=r"lazy table cannot be computed: .*nope"):
        read_panel(pl.LazyFrame({"id": ["a"], "value": [1]}).select("nope"))


@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("part", ["references", "level"])
def test_windows_that_are_infinite_are_refused(part, value, tmp_path):
    steps = np.arange(200)
    folder = LongSeriesDetector(window=20).fit(np.sin(steps / 5)[None] + steps % 3).save(tmp_path / "model")
    arrays = load_file(folder / "weights.safetensors")
    name = next(name for name in arrays if name.startswith("windows") and name.endswith(f".{part}"))
    arrays[name] = np.full_like(arrays[name], value)
    save_file(arrays, folder / "weights.safetensors")
    config = json.loads((folder / "config.json").read_text())
    config["weights_sha256"] = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelFileError, match="not finite"):
        load_model(folder)
