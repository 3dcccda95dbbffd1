"""Strategies that build files of each format from their parts, and break some of them."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import re
import struct
import warnings
import zipfile
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
from hypothesis import strategies as st


class Case(NamedTuple):
    """A file, the options to read it with, and whether to read it in parts."""

    name: str
    content: bytes
    options: dict[str, Any]
    in_parts: bool


# -------------------------------------------------------------------- cells, columns and options

LONG = "x" * 5000
CELLS: dict[str, list[str]] = {
    "ints": ["0", "1", "-7", "42", "007", "99999999999999999999", "1e3", "+5", "1_000", "٣"],
    "floats": ["0.5", "-1.25", "1e308", "1e999", "-inf", "nan", ".5", "5.", "1e-320", "0x1p3", "NaN"],
    "commas": ["1,5", "8,100", "1.234,5", "1,234.5", "1'000", "1 000", "12 %", "$8", "5 kg", "-,5", "1,,5"],
    "dates": ["2024-01-31", "2024-02-30", "31.01.2024", "03/04/2024", "Jan 2024", "2024-W05", "2024-Q1", "20240131",
              "0001-01-01", "9999-12-31", "2024-01-01T00:00:00Z", "2024-01-01 12:00+01:00", "2024-13-01", "24:00"],
    "missing": ["", " ", "NA", "?", "null", "#NV", "k.A.", "-"],
    "text": ["a", "b", "A ", "Total", "=cmd()", "é", "\U0001f600", "x\ty", "it's", LONG, "a" * 300, "\x00", "true"],
}  # fmt: skip
NAMES = [
    *("unique_id", "ds", "y", "id", "time", "value", "w1", "w2", "w10", "2024-01", "2024-02", "2024-03", "1", "2"),
    *("lag1", "t-1", "", " ", "é", "a" * 300, "1" * 30, "store", "qty", "price", "Total", "__index_level_0__"),
]


def one_of(*choices: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(choices)


FORMATS = ("%Y-%m-%d", "%Y-%m-%d", "%d.%m.%Y", "%Y%m%d", "%Y-%m-%dT%H:%M:%SZ", "%d/%m/%Y %H:%M", "%b %Y", "%G-W%V")


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[str]]]:
    """Draw the names and rows of a table of text: long, wide or of any columns, with few flaws."""
    n_rows, shape = draw(one_of(0, 1, 2, 4, 6, 6, 12, 12)), draw(one_of("long", "long", "wide", "wide", "any"))
    n_columns = draw(st.integers(3, 6))
    start, step, form = draw(one_of(0, 15_000, 20_000)), draw(one_of(1, 1, 7, 30)), draw(one_of(*FORMATS))
    days = [(np.datetime64("1970-01-01") + start + step * (i % 3)).item().strftime(form) for i in range(n_rows)]
    texts = [f"{draw(one_of('s', '', 'x/', '00'))}{i // 3 if shape == 'long' else i}" for i in range(n_rows)]
    usual = {"long": ["unique_id", "ds", "y", "price", "store", "qty"], "wide": ["id", "w1", "w2", "w3", "w4", "w5"]}
    names = usual.get(shape) or draw(st.lists(one_of(*NAMES), min_size=6, max_size=6, unique=draw(one_of(True, False))))
    columns = []
    for place, name in enumerate(names[:n_columns]):
        kind = draw(one_of("ints", "floats", "floats", *(CELLS if shape == "any" else ("commas", "missing"))))
        few = CELLS[kind][: draw(one_of(2, 3, 4, 20))]
        column = [few[(i * 7 + place) % len(few)] for i in range(n_rows)]
        if shape == "any" or place > 1 or (shape == "wide" and place):
            columns.append(column)
        else:
            columns.append(texts if name != "ds" else days)
    if n_rows and draw(one_of(True, False, False)):
        column = columns[draw(st.integers(0, n_columns - 1))]
        column[draw(st.integers(0, n_rows - 1))] = draw(one_of(*CELLS[draw(one_of(*CELLS))]))
    return names[:n_columns], [list(row) for row in zip(*columns, strict=True)]


def options() -> st.SearchStrategy[dict[str, Any]]:
    """Draw options of read_panel: usually few, also wrong ones."""
    name = one_of(*NAMES, "nothing", "*", "w*", "[", "?")
    several = st.one_of(name, st.lists(name, min_size=1, max_size=3))
    every = {
        "id": several, "time": name, "value": several, "static": several, "label": name,
        "layout": one_of("auto", "long", "wide"), "align": one_of("calendar", "start"),
        "freq": one_of("1d", "W-SUN", "MS", "B", "1h", "1ns", "5min", "D", 1, 0.5, 1e-9, 10**9, "1000Y", "nonsense"),
        "fill": one_of(0, -1.5, 1e300), "missing": one_of(0, -9999, 1),
        "duplicates": one_of("raise", "sum", "mean", "first", "last"),
        "decimal": one_of(".", ","), "thousands": one_of(",", ".", " ", "'"),
        "date_format": one_of("%d.%m.%Y", "%Y-%m-%d", "%Y%m%d", "%G-W%V", "%q", "", "%Y"),
        "encoding": one_of("utf-8", "cp1252", "utf-16", "latin-1", "utf-7", "nonsense"),
        "timezone": one_of("Europe/Berlin", "UTC", "+01:00", "Mars"),
    }  # fmt: skip
    some = st.lists(one_of(*every), min_size=1, max_size=3, unique=True)
    return some.flatmap(lambda keys: st.fixed_dictionaries({key: every[key] for key in keys}))


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "": lambda content: content,
    ".gz": lambda content: gzip.compress(content, mtime=0),
    ".bz2": bz2.compress,
    ".xz": lambda content: lzma.compress(content, preset=0),
    ".zst": lambda content: pa.compress(content, "zstd", asbytes=True),
}


@st.composite
def broken(draw: st.DrawFn, content: bytes, often: int = 1) -> bytes:
    """Cut, repeat, replace or move a part of the bytes; with ``often`` of 12, always."""
    if not draw(one_of(*[False] * (12 - often), *[True] * often)) or not content:
        return content
    start = draw(st.integers(0, len(content) - 1))
    end = min(len(content), start + draw(one_of(1, 1, 2, 4, 8, 100)))
    way = draw(one_of("cut", "remove", "repeat", "number", "byte", "swap"))
    part = content[start:end]
    new = {
        "cut": content[:start],
        "remove": content[:start] + content[end:],
        "repeat": content[:end] + part * draw(one_of(1, 3, 1000)) + content[end:],
        "byte": content[:start] + draw(st.binary(min_size=1, max_size=2)) + content[start + 1 :],
        "swap": content[:start] + part[::-1] + content[end:],
    }
    number = struct.pack("<q", draw(one_of(0, -1, 1, 2**31 - 1, 2**31, -(2**31), 2**40, 2**63 - 1)))
    return new.get(way, content[:start] + number[: draw(one_of(4, 8))] + content[start + 8 :])


def case(kind: str, content: st.SearchStrategy[tuple[str, bytes]], is_table: bool = True) -> st.SearchStrategy[Case]:
    """Return the cases of a format. Options are for tables; arrays with any are refused."""
    rarely = 2 if is_table else 20

    def build(found: tuple[str, bytes], chosen: int, how: dict[str, Any], in_parts: bool) -> Case:
        return Case(f"x{kind}{found[0]}", found[1], how if chosen == rarely else {}, in_parts)

    return st.builds(build, content, st.integers(0, rarely), options(), st.booleans())


# -------------------------------------------------------------------- formats of text


@st.composite
def csv(draw: st.DrawFn) -> tuple[str, bytes]:
    names, rows = draw(tables())
    separator, quote = draw(one_of(",", ",", ";", "\t", "|", " ")), draw(one_of('"', '"', '"', "'", ""))
    end = draw(one_of("\n", "\n", "\r\n", "\r", "\n\n"))
    always = draw(st.booleans())

    def cell(text: str) -> str:
        return f"{quote}{text.replace(quote, quote * 2)}{quote}" if quote and (always or separator in text) else text

    lines = [separator.join(map(cell, row)) for row in [names, *rows]]
    what = draw(
        one_of(*(["sound"] * 9), "no header", "title", "sep", "footer", "ragged", "stray", "blank", "repeat", "wide")
    )
    where = draw(st.integers(0, len(lines) - 1))
    if what == "no header":
        lines = lines[1:]
    elif what in ("title", "sep", "blank"):
        lines = [{"title": "Sales of 2024", "sep": f"sep={separator}", "blank": ""}[what], *lines]
    elif what == "footer":
        lines += [separator.join(["Total", *["9"] * (len(names) - 1)]), ""]
    elif what == "ragged":
        lines[where] += separator * draw(st.integers(1, 3))
    elif what == "stray":
        lines[where] = draw(one_of('"', '""', 'a"')) + lines[where]
    elif what == "repeat":
        lines = lines[:1] + lines[1:] * draw(one_of(2, 50, 3000))
    elif what == "wide":
        lines = [separator.join([line] + [line.split(separator)[-1]] * draw(one_of(30, 5200))) for line in lines[:3]]
    encoding = draw(one_of(*(["utf-8"] * 6), "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "latin-1"))
    packed = draw(one_of("", "", "", *PACKED))
    content = draw(broken((end.join(lines) + draw(one_of(end, ""))).encode(encoding, errors="replace")))
    return packed, draw(broken(PACKED[packed](content))) if packed else content


@st.composite
def ts(draw: st.DrawFn) -> tuple[str, bytes]:
    label = one_of("@classLabel true a b", "@classLabel false", "@targetlabel true", "@classLabel", "# no label")
    header = ["@problemName x", f"@timeStamps {draw(one_of('true', 'false'))}", "@univariate false", draw(label)]
    stamped, n_channels = "true" in header[1], draw(st.integers(1, 3))
    lines = []
    for _ in range(draw(one_of(0, 2, 2, 6))):
        n = draw(one_of(1, 2, 3, 50))
        values = st.lists(one_of("1", "2.5", "?", "NaN", "1e400", "", "x"), min_size=n, max_size=n)
        kept = [["1"] * n for _ in range(n_channels)]
        if draw(st.integers(0, 9)) == 0:
            kept = [draw(values) for _ in range(draw(st.integers(1, 3)))]
        stamp = draw(one_of(*(["0", "2024-01-01 00:00:00"] * 4), "", "a,b", "("))
        channels = [",".join(f"({stamp},{value})" if stamped else value for value in channel) for channel in kept]
        labels = draw(one_of(*([["a"]] * 5), ["1"], ["2.5"], [], [""], ["9" * 30], [LONG]))
        lines.append(":".join([*channels, *labels]))
    marks = draw(one_of(*([["@data"]] * 6), ["@DATA"], [], ["@data", "@data"]))
    return "", draw(broken("\n".join([*header, *marks, *lines]).encode(), often=2))


@st.composite
def arff(draw: st.DrawFn) -> tuple[str, bytes]:
    last = draw(
        one_of("@attribute c {x,y}", "@attribute c numeric", "@ATTRIBUTE 'c d' {'x','y z'}", "@attribute c string")
    )
    nested = draw(st.booleans())
    top = ["@relation r", "@attribute a relational" if nested else "@attribute a numeric", last, "@data"]
    lines = []
    for _ in range(draw(one_of(0, 2, 2, 6))):
        cells = one_of(*(["1", "2.5", "?"] * 5), "x", "1e999")
        values = ",".join(draw(st.lists(cells, min_size=1, max_size=5)))
        values = f"'{values}\\n{values}'" if nested else values
        lines.append(values + draw(one_of(*([",x", ",y"] * 4), ",'y z'", "", ",", ",x,x")))
    lines += draw(one_of([], [], ["{0 1, 1 x}"], ["% note"], ["'1,2"]))
    return "", draw(broken("\n".join([*top, *lines]).encode(), often=2))


@st.composite
def tsv(draw: st.DrawFn) -> tuple[str, bytes]:
    cells = one_of(*(["1", "2", "0.5", "NaN", "?"] * 4), "", "1e400", "x", " 3 ")
    rows = draw(st.lists(st.lists(cells, min_size=2, max_size=6), min_size=1, max_size=6))
    joint = draw(one_of(*(["\t"] * 4), "  ", ",", " \t"))
    return "", draw(broken("\n".join(map(joint.join, rows)).encode(), often=2))


JSON = st.recursive(
    one_of(None, True, 0, 1, -5, 2.5, 1e300, 10**25, float("nan"), "a", "b", "", "2024-01-01", "1,5", LONG, "é"),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(one_of(*NAMES), inner, max_size=2)),
    max_leaves=6,
)


@st.composite
def jsonl(draw: st.DrawFn) -> tuple[str, bytes]:
    n = draw(one_of(0, 2, 6, 6, 8))
    rows: list[dict[str, Any]] = [{"unique_id": "ab"[i // 4], "ds": i, "y": i / 2} for i in range(n)]
    if draw(st.booleans()) and rows:
        changed: Any = draw(st.sampled_from(rows))
        changed[draw(one_of(*NAMES))] = draw(JSON)
    if rows and draw(one_of(True, False, False)):
        draw(one_of(*rows)).pop(draw(one_of("unique_id", "ds", "y")), None)
    lines = [json.dumps(row, ensure_ascii=draw(st.booleans())) for row in rows]
    deep = '{"y":' + "[" * 500 + "]" * 500 + "}"
    lines += draw(one_of([], [], [""], ["[]"], ["1"], ["null"], ["{}"], ['{"y":1,"y":2}'], [deep]))
    if draw(one_of(True, False, False, False)):
        lines.insert(0, draw(one_of("null", " null", "[1]", "{}", "")))
    packed = draw(one_of("", "", "", *PACKED))
    return packed, draw(broken(PACKED[packed](draw(broken("\n".join(lines).encode()))), often=2))


# -------------------------------------------------------------------- binary formats


def arrays(n: int) -> dict[str, pa.Array]:
    """Return columns of n rows of many types."""
    ints, some = np.arange(n), [None if i % 3 == 1 else i for i in range(n)]
    texts = [f"s{i // 2}" for i in range(n)]
    floats = pa.list_(pa.float64())
    return {
        "int": pa.array(ints),
        "uint64": pa.array(ints.astype(np.uint64) + np.uint64(2**63)),
        "some": pa.array(some, pa.int32()),
        "float": pa.array(ints / 2),
        "half": pa.array((ints / 2).astype(np.float16)),
        "huge": pa.array(ints * 1e307),
        "text": pa.array(texts),
        "large": pa.array(texts, pa.large_string()),
        "coded": pa.array(texts).dictionary_encode(),
        "numbers": pa.array([str(i) for i in ints]),
        "binary": pa.array([b"\xff"] * n, pa.binary()),
        "null": pa.nulls(n),
        "bool": pa.array(ints % 2 == 0),
        "decimal": pa.array(ints.tolist(), pa.int64()).cast(pa.decimal128(38, 10)),
        "day": pa.array(ints.astype("M8[D]")),
        "us": pa.array(ints.astype("M8[us]")),
        "ns": pa.array(ints.astype("M8[ns]")),
        "zone": pa.array(ints, pa.timestamp("ms", "Europe/Berlin")),
        "mars": pa.array(ints, pa.timestamp("s", "Mars")),
        "far": pa.array(ints + 2**62, pa.timestamp("s")),
        "time": pa.array(ints.astype(np.int32)).cast(pa.time32("s")),
        "duration": pa.array(ints, pa.duration("s")),
        "list": pa.array([[1.0, i] for i in range(n)], floats),
        "ragged": pa.array([[1.0] * (i % 3) for i in range(n)], floats),
        "fixed": pa.array([[1.0, 2.0]] * n, pa.list_(pa.float64(), 2)),
        "lists": pa.array([[["a"]]] * n, pa.list_(pa.list_(pa.string()))),
        "empty": pa.array([[None]] * n, pa.list_(pa.null())),
        "struct": pa.array([{"a": i} for i in range(n)], pa.struct([("a", pa.int64())])),
        "map": pa.array([[("k", i)] for i in range(n)], pa.map_(pa.string(), pa.int64())),
    }


@st.composite
def arrow_tables(draw: st.DrawFn) -> pa.Table:
    n = draw(one_of(0, 1, 2, 6, 6, 12, 12))
    known = arrays(n)
    kinds = ["text", "int", "float"] if draw(st.booleans()) else []
    kinds += draw(st.lists(one_of(*known), min_size=0 if kinds else 2, max_size=3))
    names = ["unique_id", "ds", "y"][: len(kinds)]
    if len(kinds) > 3 or draw(st.booleans()):
        names = draw(
            st.lists(one_of(*NAMES), min_size=len(kinds), max_size=len(kinds), unique=draw(st.integers(0, 4)) > 0)
        )
    found = pa.table([known[kind] for kind in kinds], names=names)
    pandas = one_of(
        None,
        None,
        "{}",
        "[",
        '{"index_columns": ["ds"]}',
        '{"index_columns": 3}',
        '{"index_columns": [{"kind": "range"}]}',
    )
    return found if (metadata := draw(pandas)) is None else found.replace_schema_metadata({"pandas": metadata})


def refused(write: Callable[[], bytes]) -> bytes:
    """Return what was written; Arrow itself refuses some types in some formats."""
    try:
        return write()
    except (pa.ArrowException, ValueError, TypeError, OSError):
        return b"PAR1"


@st.composite
def parquet(draw: st.DrawFn) -> tuple[str, bytes]:
    table, sink = draw(arrow_tables()), io.BytesIO()
    how = {"row_group_size": draw(one_of(1, 5, 100)), "compression": draw(one_of("none", "snappy", "zstd", "gzip")),
           "use_dictionary": draw(st.booleans()), "data_page_version": draw(one_of("1.0", "2.0"))}  # fmt: skip
    refused(lambda: pq.write_table(table, sink, **how) or b"")
    content = sink.getvalue() or b"PAR1"
    body, footer = content[: -len(content) // 3], content[-len(content) // 3 :]
    return "", draw(broken(body)) + draw(broken(footer))


@st.composite
def arrow(draw: st.DrawFn) -> tuple[str, bytes]:
    table, sink = draw(arrow_tables()), io.BytesIO()
    write = pa.ipc.new_stream if draw(st.booleans()) else pa.ipc.new_file
    how = pa.ipc.IpcWriteOptions(compression=draw(one_of(None, "lz4", "zstd")))
    with write(sink, table.schema, options=how) as writer:
        writer.write_table(table, max_chunksize=draw(one_of(1, 5, 100)))
    return "", draw(broken(sink.getvalue(), often=3))


@st.composite
def npy_bytes(draw: st.DrawFn) -> bytes:
    """Draw the bytes of an array, whose header may say something else than what follows."""
    shape = draw(one_of(*([(4, 3), (2, 2, 3)] * 3), (12,), (), (0, 3), (3, 0), (2, 1)))
    kind = draw(one_of(*(["<f8"] * 8), ">f4", "<i2", "|b1", "<u8", "<U3", "|S2", "<M8[D]", "<c16", "<f2", "|O", "<U0"))
    array = np.arange(int(np.prod(shape)))
    try:
        array = array.astype(kind).reshape(shape)
    except (TypeError, ValueError):
        array = array.reshape(shape)
    said = draw(
        one_of(*([shape] * 15), (10**12,), (-1, 4), (2**62, 8), (4, 3, 2**40), (True, 12), (1.5,), "4", (2**70,))
    )
    header = {"descr": draw(one_of(*([array.dtype.str] * 12), "|O", "<U99999999", "<f8", "nonsense", [("a", "<f8")])),
              "fortran_order": draw(one_of(*([False, True] * 4), 3)), "shape": said}  # fmt: skip
    if draw(st.integers(0, 19)) == 0:
        header.pop(draw(one_of(*header)))
    text = repr(header).encode() + b" " * draw(st.integers(0, 64)) + b"\n"
    version = draw(one_of(*([b"\1\0"] * 5), b"\2\0", b"\3\0", b"\7\0"))
    length = struct.pack("<H" if version == b"\1\0" else "<I", len(text) + draw(one_of(*([0] * 12), 1, 60000)))
    return b"\x93NUMPY" + version + length + text + (b"" if array.dtype.hasobject else array.tobytes())


@st.composite
def npz(draw: st.DrawFn) -> tuple[str, bytes]:
    sound = io.BytesIO()
    np.savez(
        sound, X=np.eye(4), values=np.arange(6.0), offsets=np.array([0, 2, 6]), ids=np.array(["a", "b"]), y=np.arange(2)
    )
    with zipfile.ZipFile(sound) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    kept = draw(
        one_of(
            ["values.npy", "offsets.npy"], ["X.npy"], ["values.npy", "offsets.npy", "ids.npy", "y.npy"], list(members)
        )
    )
    parts = [(name, members[name]) for name in kept]
    for _ in range(draw(one_of(0, 1, 1, 2))):
        parts.append((draw(one_of(*members, "z.npy", "X", "a/b.npy", "../X.npy")), draw(npy_bytes())))
    sink = io.BytesIO()
    with zipfile.ZipFile(
        sink, "w", draw(one_of(zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))
    ) as archive:
        for name, content in parts if draw(st.integers(0, 9)) == 0 else dict(parts).items():
            with warnings.catch_warnings():  # of a name that is twice
                warnings.simplefilter("ignore")
                archive.writestr(name, content)
    content = sink.getvalue()
    directory = content.rfind(b"PK\1\2")
    return "", draw(broken(content[:directory])) + draw(broken(content[directory:]))


@st.composite
def npy(draw: st.DrawFn) -> tuple[str, bytes]:
    return "", draw(broken(draw(npy_bytes())))


def _plain(cell: str) -> float | str:
    return float(cell) if re.fullmatch(r"-?\d{1,9}(\.\d+)?", cell, re.ASCII) else cell


@st.composite
def xlsx(draw: st.DrawFn) -> tuple[str, bytes]:
    import datetime

    import openpyxl

    names, rows = draw(tables())
    book, sink = openpyxl.Workbook(), io.BytesIO()
    book.remove(book.active)
    odd = one_of(
        1, 2.5, True, None, datetime.date(2024, 1, 1), datetime.datetime(1900, 1, 1), datetime.time(3), "=A1", "#REF!"
    )
    for _ in range(draw(one_of(1, 1, 1, 2))):
        sheet = book.create_sheet()
        for row in draw(one_of(*([[names, *rows]] * 5), [["Title"], [], names, *rows], [names, *rows, ["Total"]], [])):
            clean = [cell.replace("\x00", "") for cell in row]
            sheet.append([draw(odd) if draw(st.integers(0, 30)) == 0 else _plain(cell) for cell in clean])
    book.save(sink)
    with zipfile.ZipFile(sink) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    place = draw(one_of(*members, "xl/worksheets/sheet1.xml", "xl/worksheets/sheet1.xml"))
    members[place] = draw(broken(members.get(place, b""), often=2))
    if draw(st.integers(0, 9)) == 0:
        del members[place]
    with zipfile.ZipFile(sink := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return "", draw(broken(sink.getvalue()))


CASES: dict[str, st.SearchStrategy[Case]] = {
    "csv": case(".csv", csv()),
    "ts": case(".ts", ts(), is_table=False),
    "arff": case(".arff", arff(), is_table=False),
    "tsv": case(".tsv", tsv()),
    "jsonl": case(".jsonl", jsonl()),
    "parquet": case(".parquet", parquet()),
    "arrow": case(".arrow", arrow()),
    "npz": case(".npz", npz(), is_table=False),
    "npy": case(".npy", npy(), is_table=False),
    "xlsx": case(".xlsx", xlsx()),
}
