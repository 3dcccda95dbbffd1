"""Reading takes time and memory in proportion to a file, whatever is written in it."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import struct
import subprocess
import sys
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from vrae import read_panel
from vrae.data import stream
from vrae.data.packed import largest_size, limited, unpacked_size
from vrae.data.stream import open_data, stream_panels
from vrae.exceptions import InvalidDataError, VRAEError

pytestmark = pytest.mark.filterwarnings("ignore::vrae.exceptions.VRAEWarning")


def csv_of(names: list[str], *rows: list[str], separator: str = ",") -> bytes:
    return "".join(separator.join(row) + "\n" for row in [names, *rows]).encode()


def wide(
    n: int, name: Callable[[int], str] = lambda i: f"w{i}", cells: tuple[str, ...] = ("1", "2"), **how: Any
) -> bytes:
    rows = [[f"r{row}"] + [cell] * n for row, cell in enumerate(cells)]
    return csv_of(["id", *map(name, range(n))], *rows, **how)


def day(i: int) -> str:
    return str(np.datetime64("1900-01-01") + i)


def ts(line: bytes, stamps: bool = True) -> bytes:
    return b"@timeStamps %s\n@classLabel true a b\n@data\n" % (b"true" if stamps else b"false") + line + b"\n"


def wide_table(n: int, kind: str, text: bool = False) -> bytes:
    values = [pa.array(["1", "2"] if text else [1.0, 2.0])] * n
    table = pa.table([pa.array(["a", "b"]), *values], names=["id", *(f"w{i}" for i in range(n))])
    sink = io.BytesIO()
    if kind == "parquet":
        pq.write_table(table, sink)
    else:
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    return sink.getvalue()


# -------------------------------------------------------------------- time

# Name of the file, size, content. Each was read in quadratic time, or is close to what was.
GROWING: dict[str, tuple[str, int, Callable[[int], bytes]]] = {
    "csv without a line break": ("x.csv", 1 << 19, lambda n: b"1," * n),
    "csv of one long cell": ("x.csv", 1 << 22, lambda n: b"a" * n),
    "csv with columns named by dates": ("x.csv", 1500, lambda n: wide(n, day)),
    "csv with columns of other names": ("x.csv", 1500, lambda n: wide(n, lambda i: "x" * (i % 50) + str(i))),
    "csv with columns of text": ("x.csv", 1500, lambda n: wide(n, cells=("x", "y"))),
    "csv with columns of decimal commas": ("x.csv", 1500, lambda n: wide(n, cells=("1,5", "2.500,5"), separator=";")),
    "csv with many static columns": (
        "x.csv",
        1000,
        lambda n: csv_of(
            ["unique_id", "ds", "y", *(f"c{i}" for i in range(n))],
            *([series, step, "1", *[series] * n] for series in "ab" for step in "12"),
        ),
    ),
    "csv with empty rows at its end": ("x.csv", 20_000, lambda n: b"id,1,2\na,1,2\nb,3,4\n" + b",,\n" * n),
    ".ts with colons": ("x.ts", 1 << 14, lambda n: ts(b":" * n)),
    ".ts with open parentheses": ("x.ts", 1 << 14, lambda n: ts(b"(:" * n)),
    ".ts with one long parenthesis": ("x.ts", 1 << 16, lambda n: ts(b"(" + b",:" * n + b"):a")),
    ".ts with many channels": ("x.ts", 1 << 13, lambda n: ts(b"1:" * n + b"a", stamps=False)),
    ".arff with quotes": ("x.arff", 1 << 20, lambda n: b"@relation r\n@attribute c {x}\n@data\n" + b"'" * n + b"1,x\n"),
    ".tsv with blanks": ("x.tsv", 1 << 20, lambda n: b"1\t2" + b" " * n + b"\n2\t3\n"),
    "Parquet with many columns": ("x.parquet", 1000, lambda n: wide_table(n, "parquet")),
    "Arrow with many columns of text": ("x.arrow", 1500, lambda n: wide_table(n, "arrow", text=True)),
}  # fmt: skip


def cpu_seconds(path: Path) -> float:
    started = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            read_panel(path)
        except VRAEError as error:
            assert 20 < len(str(error)) < 1500  # noqa: PT017
    return time.process_time() - started


@pytest.mark.parametrize("name", GROWING)
def test_four_times_as_much_takes_about_four_times_as_long(name, tmp_path):
    file, n, make = GROWING[name]
    small, large = tmp_path / f"small-{file}", tmp_path / f"large-{file}"
    small.write_bytes(make(n))
    large.write_bytes(make(4 * n))
    cpu_seconds(small)  # imports
    first = cpu_seconds(small)
    assert cpu_seconds(large) < 9 * first + 0.3


# -------------------------------------------------------------------- memory

ZEROS = 5 << 24  # bytes


def save(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


def npy_header(shape: Any, kind: str) -> bytes:
    text = str({"descr": kind, "fortran_order": False, "shape": shape}).encode()
    text += b" " * (63 - (len(text) + 10) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def zipped(path: Path, members: dict[str, tuple[bytes, int]]) -> Path:
    """Write members that begin with some bytes and go on with zeros up to a size."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, (start, size) in members.items():
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(start.ljust(size and 1 << 20, b"\0"))
                for _ in range((size >> 20) - 1):
                    member.write(bytes(1 << 20))
    return path


def sheet(cells: str) -> dict[str, tuple[bytes, int]]:
    """Return the members of a minimal Excel file."""
    import openpyxl

    book, found = openpyxl.Workbook(), io.BytesIO()
    book.active.append(["id", "a", "b"])
    book.active.append(["x", 1, 2])
    book.save(found)
    with zipfile.ZipFile(found) as archive:
        members = {name: (archive.read(name), 0) for name in archive.namelist()}
    place = "xl/worksheets/sheet1.xml"
    members[place] = (members[place][0].replace(b"</sheetData>", cells.encode() + b"</sheetData>"), 0)
    return members


def bombs(folder: Path) -> dict[str, Path]:
    """Write small files that would take gigabytes."""
    files = {
        "npz": zipped(folder / "zeros.npz", {"X.npy": (npy_header(((ZEROS >> 3) - 16,), "<f8"), ZEROS)}),
        "npz extra": zipped(folder / "extra.npz", {
            "X.npy": (npy_header((2, 2), "<f8") + bytes(32), 0), "z.npy": (b"", ZEROS)}),
        "npz header": zipped(folder / "header.npz", {"X.npy": (npy_header((1 << 40, 4), "<f8") + bytes(64), 0)}),
        "npz ids": zipped(folder / "ids.npz", {
            "X.npy": (npy_header((2, 2), "<f8") + bytes(32), 0), "ids.npy": (npy_header((2,), "<U400000000"), 0)}),
        "xlsx": zipped(folder / "zeros.xlsx", sheet("") | {"xl/sharedStrings.xml": (b"<sst>", ZEROS)}),
        "xlsx far cell": zipped(folder / "far.xlsx", sheet(
            "".join(f'<row r="{row}"><c r="A{row}"><v>1</v></c></row>' for row in range(3, 20_000))
            + '<row r="20000">' + "".join(f'<c r="{name}20000"><v>1</v></c>' for name in columns(4000)) + "</row>")),
        "xlsx far row": zipped(folder / "row.xlsx", sheet('<row r="2000000000"><c r="A2000000000"><v>1</v></c></row>')),
    }  # fmt: skip
    (folder / "shape.npy").write_bytes(npy_header((1 << 33, 4), "<f8") + bytes(64))
    (folder / "empty.npy").write_bytes(npy_header((1 << 40,), "<U0"))
    rows = b"unique_id,ds,y\n" + b"x,1,1\n" * (ZEROS // 6)
    (folder / "rows.csv.gz").write_bytes(gzip.compress(rows))
    (folder / "rows.csv.zst").write_bytes(pa.compress(rows, "zstd", asbytes=True))
    (folder / "rows.jsonl.gz").write_bytes(gzip.compress(b'{"id":"a","y":1}\n' * (ZEROS // 16)))
    (folder / "deep.jsonl").write_bytes(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n")
    (folder / "keys.jsonl").write_bytes(b"".join(b'{"id":"s%d","w%d":1}\n' % (i, i) for i in range(20_000)))
    (folder / "id.csv").write_bytes(
        b"unique_id,ds,y\n" + b"x" * 100_000 + b",1,1\n" + b"".join(b"s%d,1,1\n" % i for i in range(60_000))
    )
    nothing = pa.table({"id": pa.nulls((1 << 31) - 2), "a": pa.nulls((1 << 31) - 2)})
    with pa.ipc.new_file(folder / "nothing.arrow", nothing.schema) as writer:
        writer.write_table(nothing)
    lists = pa.FixedSizeListArray.from_arrays(pa.nulls((1 << 31) - 2), (1 << 30) - 1)
    with pa.ipc.new_file(folder / "lists.arrow", pa.schema({"id": pa.string(), "y": lists.type})) as writer:
        writer.write_table(pa.table({"id": ["a", "b"], "y": lists}))
    same = pa.table({"unique_id": np.zeros(1 << 22, np.int8), "y": np.zeros(1 << 22, np.int8)})
    with pq.ParquetWriter(folder / "same.parquet", same.schema) as writer:
        for _ in range(10):
            writer.write_table(same)
    written = {file.name: file for file in folder.iterdir() if file not in files.values()}
    return {**files, **written}


def columns(n: int) -> list[str]:
    from openpyxl.utils import get_column_letter

    return [get_column_letter(i) for i in range(1, n + 1)]


READ = """if True:
    import json, re, sys, time, warnings
    warnings.simplefilter("ignore")
    import openpyxl, pandas, pyarrow.dataset, vrae
    from vrae.data import files, tables
    from vrae.exceptions import VRAEError

    def peak():
        return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024

    found = {}
    for name, path in json.loads(sys.argv[1]).items():
        open("/proc/self/clear_refs", "w").write("5")
        before, started = peak(), time.process_time()
        try:
            message = "read: " + repr(vrae.read_panel(path))
        except VRAEError as error:
            message = str(error)
        found[name] = [message, time.process_time() - started, peak() - before]
    print(json.dumps(found))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory by /proc")
def test_a_small_file_does_not_fill_memory(tmp_path):
    files = bombs(tmp_path)
    assert len(files) > 15
    assert max(file.stat().st_size for file in files.values()) < 12 << 20
    names = json.dumps({name: str(file) for name, file in files.items()})
    done = subprocess.run([sys.executable, "-c", READ, names], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    for name, (message, seconds, megabytes) in found.items():
        print(f"{name:16}{seconds:6.2f} s {megabytes:6.0f} MiB  {message.replace(str(tmp_path), '')[:150]}")
    for name, (message, seconds, megabytes) in found.items():
        assert str(files[name]) in message or name in ("id.csv", "xlsx far row"), (name, message)
        assert not message.startswith("read: "), (name, message)
        assert seconds < 10, name
        assert megabytes < 600, name


# -------------------------------------------------------------------- packed files

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda content: pa.compress(content, "zstd", asbytes=True),
}


@pytest.mark.parametrize("suffix", PACKERS)
def test_a_packed_file_of_many_series_is_read_in_parts(suffix, tmp_path, monkeypatch):
    content = "unique_id,ds,y\n" + "".join(f"s{i},1,1.25\ns{i},2,1.25\n" for i in range(70_000))
    plain, packed = tmp_path / "x.csv", tmp_path / f"x.csv{suffix}"
    plain.write_text(content)
    packed.write_bytes(PACKERS[suffix](content.encode()))
    assert unpacked_size(packed, 1 << 30) == len(content)
    assert unpacked_size(packed, 1000) > 1000
    monkeypatch.setattr(stream, "_WHOLE_VALUES", len(content) // 5)  # fewer than estimated from the text
    assert packed.stat().st_size < len(content) // 5
    assert open_data(packed).is_large(10**9, 10**9) == open_data(plain).is_large(10**9, 10**9) is True
    found, expected = list(stream_panels(packed)), list(stream_panels(plain))
    assert [panel.ids.tolist() for panel in found] == [panel.ids.tolist() for panel in expected]
    assert len(found) > 5


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("kind", [".tsv", ".txt", ".jsonl"])
def test_packed_files_of_all_kinds_of_text(kind, suffix, tmp_path):
    lines = {".jsonl": ['{"id":"a","w1":1,"w2":2}', '{"id":"b","w1":3,"w2":4}']}
    content = "\n".join(lines.get(kind, ["id\tw1\tw2", "a\t1\t2", "b\t3\t4"])) + "\n"
    path = tmp_path / f"x{kind}{suffix}"
    path.write_bytes(PACKERS[suffix](content.encode()))
    assert [series.ravel().tolist() for series in read_panel(path)] == [[1, 2], [3, 4]]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InvalidDataError, match="x"):
        read_panel(path)


def test_a_packed_file_may_hold_many_times_its_size_and_no_more(tmp_path, monkeypatch):
    from vrae.data import packed

    assert largest_size(10) < largest_size(1 << 24) <= 250 << 24
    path = tmp_path / "x.csv.gz"
    path.write_bytes(gzip.compress(b"1,2\n" * 100_000))
    monkeypatch.setattr(packed, "_FREE", 1000)
    monkeypatch.setattr(packed, "_RATIO", 10)
    with limited(path) as source:
        assert len(source.read(4000)) == 4000
        with pytest.raises(InvalidDataError, match="fill memory"):
            source.read(1 << 20)


# -------------------------------------------------------------------- many columns


@pytest.mark.parametrize("cells", [("1", "2"), ("1.5", "NA"), ("", "?"), ("1", "k.A."), ("true", "false")])
def test_a_table_of_many_columns_is_read_like_a_small_one(cells, tmp_path):
    small, large = tmp_path / "small.csv", tmp_path / "large.csv"
    small.write_bytes(wide(50, cells=cells))
    large.write_bytes(wide(5100, cells=cells))
    few, many = read_panel(small), read_panel(large)
    np.testing.assert_array_equal([series[0, :50] for series in many], [series[0] for series in few])


@pytest.mark.parametrize("cells", [("1,5", "2.500,5"), ("1,5", "7"), ("1.000", "1,5")])
def test_decimal_commas_in_many_columns(cells, tmp_path):
    small, large = tmp_path / "small.csv", tmp_path / "large.csv"
    small.write_bytes(wide(50, cells=cells, separator=";"))
    large.write_bytes(wide(5100, cells=cells, separator=";"))
    few, many = read_panel(small), read_panel(large)
    np.testing.assert_array_equal([series[0, :50] for series in many], [series[0] for series in few])


def test_too_many_columns_and_lines_without_an_end(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b"a," * 260_000 + b"\n" + b"1," * 260_000 + b"\n")
    with pytest.raises(InvalidDataError, match="260,001 columns"):
        read_panel(path)
    path.write_bytes(b"a" * (40 << 20))
    with pytest.raises(InvalidDataError, match="line break"):
        read_panel(path)
    path.write_bytes(b"id,w1,w2\n" + b"a,1,2\n" * 40_000 + b"b,1," + b"3" * (3 << 20))
    with pytest.raises(InvalidDataError, match=r"far longer|columns"):
        read_panel(path)


def test_lines_of_more_than_a_megabyte(tmp_path):
    path = tmp_path / "x.csv"
    names = [f"{'a_long_name_for_a_step_of_a_series_in_a_wide_table_':x<400}{i}" for i in range(3000)]
    path.write_bytes(csv_of(["id", *names], *[[row] + ["1"] * 3000 for row in "ab"]))
    assert read_panel(path).lengths.tolist() == [3000, 3000]


@pytest.mark.parametrize("line", [b"(1):a", b"(0,1):(0,2:a", b"(0,1:2):a"])
def test_stamped_values_that_are_not_a_time_and_a_value(line, tmp_path):
    path = tmp_path / "x.ts"
    path.write_bytes(ts(line))
    with pytest.raises(InvalidDataError, match=r"x\.ts, line 4"):
        read_panel(path)


def test_column_names_of_thousands_of_digits(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(csv_of(["id", "w" + "1" * 5000, "w2", "w3"], *[[row, "1", "2", "3"] for row in "ab"]))
    assert read_panel(path).lengths.tolist() == [3, 3]
