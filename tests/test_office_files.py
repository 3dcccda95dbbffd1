"""csv files, spreadsheets and JSON lines of offices are read right, or refused in words."""

from __future__ import annotations

import gzip
import sys
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vrae.data import sources, stream
from vrae.data.panel import Panel
from vrae.data.reading import read_panel
from vrae.data.stream import stream_panels
from vrae.exceptions import DataWarning, InvalidDataError, InvalidParameterError, MissingDependencyError

LONG = ["a;2024-01-01;{}", "a;2024-01-02;{}", "b;2024-01-01;{}", "b;2024-01-02;{}"]


def values(panel: Panel) -> list[float]:
    return panel.values.ravel().tolist()


@pytest.fixture
def write(tmp_path):
    def write_text(text: str, name: str = "x.csv", encoding: str = "utf-8") -> Path:
        path = Path(tmp_path) / name
        path.write_bytes(text.encode(encoding))
        return path

    return write_text


def long_csv(numbers: list[str]) -> str:
    """Return a csv with semicolons and two series of two steps."""
    return "\n".join(["unique_id;ds;y", *(row.format(n) for row, n in zip(LONG, numbers, strict=True))]) + "\n"


# -------------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        (["1,5", "2,25", "8", "0,125"], [1.5, 2.25, 8, 0.125]),
        (["1,234,567", "8,100", "12", "950"], [1234567, 8100, 12, 950]),
        (["8,100", "12,450.5", "12", "950"], [8100, 12450.5, 12, 950]),
        (["8.100,50", "12.450", "12,1", "950"], [8100.5, 12450, 12.1, 950]),
        (["1.234.567", "8.100", "12", "950"], [1234567, 8100, 12, 950]),
        (["8 100", "12 450,5", "12", "1 000 000"], [8100, 12450.5, 12, 1e6]),
        (["8\u00a0100", "12\u202f450", "12", "950"], [8100, 12450, 12, 950]),
        (["8'100", "12\u2019450.25", "-1'000", "950"], [8100, 12450.25, -1000, 950]),
        (["8.125", "12.450", "12.5", "0.126"], [8.125, 12.45, 12.5, 0.126]),
    ],
)
def test_decimals_and_thousands_are_recognised_where_values_show_them(write, numbers, expected):
    assert values(read_panel(write(long_csv(numbers)))) == np.array(expected, np.float32).tolist()
    table = pd.DataFrame({"unique_id": list("aabb"), "ds": [1, 2, 1, 2], "y": numbers})
    assert values(read_panel(table)) == np.array(expected, np.float32).tolist()


@pytest.mark.parametrize("numbers", [["8,100", "12,450", "9,125", "1,000"], ["8,100", "950", "12450", ""]])
def test_a_comma_before_three_digits_is_never_guessed(write, numbers):
    file = write(long_csv(numbers))
    with pytest.raises(InvalidDataError, match=r"'8,100' in row 2 \(series 'a'\).*thousands=\",\" or decimal=\",\""):
        read_panel(file)
    thousands = [float(n.replace(",", "")) if n else np.nan for n in numbers]
    np.testing.assert_array_equal(values(read_panel(file, thousands=",", freq=None))[:3], thousands[:3])
    decimals = np.array([float(n.replace(",", ".")) if n else np.nan for n in numbers], np.float32)
    np.testing.assert_array_equal(values(read_panel(file, decimal=","))[:3], decimals[:3])
    with pytest.raises(InvalidDataError, match=r"row 0 \(series 'a'\), counted from 0"):
        read_panel(pd.DataFrame({"unique_id": list("aabb"), "ds": [1, 2, 1, 2], "y": numbers}))


def test_a_point_before_three_digits_is_unclear_in_a_german_file(write):
    for text in (long_csv(["8.100", "12.450", "950", "9.000"]), "id;w0;w1;w2\na;8.100;1,5;2\nb;950;2,5;3\n"):
        with pytest.raises(InvalidDataError, match=r"'8\.100' in row 2.*thousands=\"\.\" or decimal=\"\.\""):
            read_panel(write(text))
    assert values(read_panel(write(long_csv(["8.100", "12.450", "950", "9.000"])), decimal="."))[0] == np.float32(8.1)
    assert values(read_panel(write(long_csv(["8.100", "12.450", "950", "9.000"])), thousands="."))[1] == 12450
    # With a comma between values, the point is the decimal mark.
    assert values(read_panel(write("unique_id,ds,y\na,1,8.100\na,2,9.000\n")))[0] == np.float32(8.1)


def test_decimals_and_thousands_that_disagree_are_refused(write):
    with pytest.raises(InvalidDataError, match=r"'1,5' in row 2.*decimal comma, others a decimal point"):
        read_panel(write(long_csv(["1,5", "2.5", "3", "4"])))
    with pytest.raises(InvalidDataError, match=r"Found text.*'1\.5'"):
        read_panel(write(long_csv(["1.5", "2", "3", "4"])), decimal=",")
    wrong: list[dict[str, Any]] = [{"decimal": ";"}, {"thousands": "x"}, {"decimal": ",", "thousands": ","}]
    for options in wrong:
        with pytest.raises(InvalidParameterError, match=r"decimal|thousands"):
            read_panel(write(long_csv(["1", "2", "3", "4"])), **options)


@pytest.mark.parametrize(
    ("text", "sign"), [("12 %", "%"), ("\u20ac 8.50", "\u20ac"), ("$8", r"\$"), ("5 kg", "kg"), ("81 bpm", "bpm")]
)
def test_signs_and_units_in_cells_are_refused_by_name(write, text, sign):
    for cells in ([text] * 4, ["1", text, "2", "3"]):
        with pytest.raises(InvalidDataError, match=rf"Found '{sign}' in the number column 'y'"):
            read_panel(write(long_csv(cells)))


def test_words_and_pairs_of_numbers_in_cells_are_refused_by_name(write):
    with pytest.raises(InvalidDataError, match=r"'ERR' in row 3 .* 2 more rows hold text too, such as 'offline'\."):
        read_panel(write(long_csv(["1", "ERR", "offline", "ERR"])), value="y")
    with pytest.raises(InvalidDataError, match=r"Found two numbers in .*'120/80'.* in a column of its own"):
        read_panel(write(long_csv(["120/80", "118/76", "131/85", "125/90"])), value="y")
    with pytest.raises(InvalidDataError, match=r"Found a minus behind its number .*'4,00-'.* Write it before"):
        read_panel(write(long_csv(["3,00", "4,00-", "5,00", "6,00"])), value="y")


def test_ids_in_the_first_row_of_each_series_alone(write):
    rows = [f"{'a' if week == 0 else 'b' if week == 10 else ''};{week};1" for week in range(20)]
    with pytest.raises(InvalidDataError, match=r"id is missing in 18 rows .* has its id, fill it down\."):
        read_panel(write("\n".join(["unique_id;ds;y", *rows]) + "\n"))


def test_a_large_csv_is_read_in_parts_with_the_same_settings(write, monkeypatch):
    monkeypatch.setattr(stream, "_WHOLE_VALUES", 0)
    monkeypatch.setattr(sources, "_BLOCK", 1 << 12)
    rows = "".join(f"M\u00fcller {i};{i % 5},5;1.234.567;{i}\n" for i in range(40))
    file = write("Umsatz 2024\n\nid;w1;w2;w3\n" + rows, encoding="cp1252")
    with pytest.warns(DataWarning, match="encoding=") as said:
        panels = list(stream_panels(file, series_per_panel=16))
    assert len(said) == 1
    assert [len(panel) for panel in panels] == [16, 16, 8]
    assert panels[0].ids[3] == "M\u00fcller 3"
    assert panels[0].values[3:6].ravel().tolist() == [1.5, 1234567, 1]
    wrong = write("id;w1;w2;w3\n" + rows + "last;1,5;12;x\n")
    with pytest.raises(InvalidDataError, match="'x'"):
        list(stream_panels(wrong))


# -------------------------------------------------------------------- encodings


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("compressed", [False, True])
def test_encodings_of_unicode_are_recognised(write, encoding, compressed):
    file = write("unique_id;ds;y\nM\u00fcller;1;1,5\nM\u00fcller;2;2,5\n", encoding=encoding)
    if compressed:
        content = gzip.compress(file.read_bytes())
        file = file.with_name("x.csv.gz")
        file.write_bytes(content)
    panel = read_panel(file)
    assert panel.ids.tolist() == ["M\u00fcller"]
    assert values(panel) == [1.5, 2.5]


def test_other_encodings_are_named_or_assumed_with_a_warning(write):
    file = write("unique_id,ds,y\nM\u00fcller \u20ac,1,1\nM\u00fcller \u20ac,2,2\n", encoding="cp1252")
    with pytest.warns(DataWarning, match="read as cp1252.*encoding="):
        assert read_panel(file).ids.tolist() == ["M\u00fcller \u20ac"]
    assert read_panel(file, encoding="cp1252").ids.tolist() == ["M\u00fcller \u20ac"]
    # The first letter that is not UTF-8 is far from the beginning.
    late = write("unique_id,ds,y\n" + "a,1,1\n" * 40_000 + "M\u00fcller,1,1\n", "late.csv", "cp1252")
    with pytest.warns(DataWarning, match="read as cp1252"), pytest.warns(DataWarning, match="Merged 39,999 rows"):
        assert read_panel(late, duplicates="first").ids.tolist() == ["a", "M\u00fcller"]
    greek = write("unique_id,ds,y\n\u0391,1,1\n\u0391,2,2\n", "greek.csv", "iso8859-7")
    assert read_panel(greek, encoding="iso8859-7").ids.tolist() == ["\u0391"]
    with pytest.raises(InvalidDataError, match="not UTF-8 text"):
        read_panel(file, encoding="utf-8")
    with pytest.raises(InvalidParameterError, match="'klingon' is unknown"):
        read_panel(file, encoding="klingon")
    with pytest.raises(InvalidDataError, match="UTF-16 text without"):
        read_panel(write("id,w0\na,1\nb,2\n", encoding="utf-16-le"))
    assert len(read_panel(write("id,w0\na,1\nb,2\n", encoding="utf-16-le"), encoding="utf-16-le")) == 2


# -------------------------------------------------------------------- titles, totals and quotes


@pytest.mark.parametrize(
    "above", ["sep=;\n", "Umsatz 2024\n\n", "Umsatz;;\n;;\n", "Stand: 31.01.2024\nFiliale 7\n", "sep=;\nUmsatz 2024\n"]
)
def test_titles_are_skipped_and_rows_are_counted_as_a_spreadsheet_does(write, above):
    file = write(above + long_csv(["1,5", "2", "3", "4"]))
    assert values(read_panel(file)) == [1.5, 2, 3, 4]
    row = above.count("\n") + 3
    with pytest.raises(InvalidDataError, match=rf"'x' in row {row} "):
        read_panel(write(above + long_csv(["1,5", "x", "3", "4"])))


def test_separators_behind_the_last_column_are_no_columns(write):
    lines = ["item;week;load;;", *(row.format(k) + ";;" for k, row in enumerate(LONG, 1))]
    options: dict[str, Any] = {"id": "item", "time": "week", "value": "load"}
    panel = read_panel(write("\n".join(lines)), **options)
    assert values(panel) == [1, 2, 3, 4]
    streamed = list(stream_panels(write("\n".join(lines)), **options))
    assert [value for part in streamed for value in values(part)] == [1, 2, 3, 4]
    wide = read_panel(write("item,w1,w2,w3,,\na,1,2,3,,\nb,4,5,6,,\n"))
    assert values(wide) == [1, 2, 3, 4, 5, 6]
    with pytest.raises(InvalidDataError, match=r"Columns 4, 5 of .* have no name. Write one row above the values"):
        read_panel(write("\n".join([*lines[:-1], lines[-1][:-1] + "7;8"])), **options)


def test_headers_that_are_missing_or_unclear(write):
    with pytest.raises(InvalidDataError, match="same name"):
        read_panel(write("w,w\nx,2\ny,3\n"))
    with pytest.warns(DataWarning, match="has no header"):
        panel = read_panel(write("a,1.5,7,0.3\nb,2,3,4\n"))
    assert panel.ids.tolist() == ["a", "b"]
    with pytest.raises(InvalidDataError, match=r"Where does the table .* begin"):
        read_panel(write("id,w\na,1.5,7,0.3,1\nb,2,3,4,5\n"))
    with pytest.warns(DataWarning, match="taken for the names of columns"):
        assert len(read_panel(write("id,7,28\na,1.5,7\nb,2,3\n"))) == 2
    for header in ("2019,2020,2021", "0,1,2", "1,2,3"):
        assert len(read_panel(write(f"{header}\n1.5,2,3\n4,5,6\n"))) == 2
    for row in ("1.0,2.0,3.0", "2,3,4", "1.5,2.5,3.5"):
        assert len(read_panel(write(f"{row}\n1.5,2,3\n4,5,6\n"))) == 3
    assert values(read_panel(write("1,5;2,5\n3,5;4,5\n"))) == [1.5, 2.5, 3.5, 4.5]
    assert read_panel(write("202401,202402,202403\n1.5,2,3\n4,5,6\n")).times is not None


def test_rows_are_counted_from_0_if_empty_lines_are_between_them(write):
    with pytest.raises(InvalidDataError, match=r"'x' in row 1 \(series 'b'\), counted from 0"):
        read_panel(write("id,w0,w1\n\na,1,2\n\nb,3,x\n"))


def test_empty_rows_and_totals_at_the_end(write):
    text = long_csv(["1", "2", "3", "4"])
    assert values(read_panel(write(text + ";;\n;;\n\n"))) == [1, 2, 3, 4]
    with pytest.raises(InvalidDataError, match=r"\(row 6\) is named 'Summe:'.*totals are no series"):
        read_panel(write(text + "Summe:;;10\n;;\n"))
    with pytest.raises(InvalidDataError, match="totals are no series"):
        read_panel(write("id,w0,w1\na,1,2\nb,3,4\nTotal,4,6\n"))
    with pytest.warns(DataWarning, match=r"row 4.*'Total'.*Remove it if it holds totals"):
        read_panel(write("id,w0,w1\na,1,2\nb,3,4\nTotal,2,1\n"))
    with pytest.warns(DataWarning, match=r"\(row 4\) holds 'Source: us' and nothing else"):
        read_panel(write("id;w0;w1\na;1;2\nb;3;4\nSource: us;;\n"))
    stations = "unique_id,ds,y\n" + "".join(f"{name},{t},{t}\n" for name in ("Shell", "Total") for t in range(3))
    assert read_panel(write(stations)).ids.tolist() == ["Shell", "Total"]


def test_a_stray_quote_is_refused_in_words(write):
    with pytest.raises(InvalidDataError, match="stray quote"):
        read_panel(write('id,w0,w1\na,1,"2\nb,3,4\nc,5,6\n'))
    said = r"in row \d.* It goes on in the next line: .* stray quote\. 2 more rows hold text too, such as 'x', 'y'\."
    with pytest.raises(InvalidDataError, match=said):
        read_panel(write('id,w0,w1\na,1,"two\nlines"\nb,3,x\nc,5,y\nd,7,8\ne,7,8\nf,7,8\ng,7,8\nh,7,8\n'))
    with pytest.raises(InvalidDataError, match=r"quote .* without its partner"):
        read_panel(write('w0,w1,w2\n1,2,3\n4,"5,6\n7,8,9\n'))
    noted = write('unique_id,ds,y,note\na,1,2,"two\nlines"\na,2,3,\n')
    assert values(read_panel(noted, static=[])) == [2, 3]


@pytest.mark.parametrize("n_rows", [2, 6])
@pytest.mark.parametrize("bad", ["x", "\0"])
def test_an_error_in_the_first_step_does_not_make_it_the_id(write, n_rows, bad):
    rows = [[str(i + t / 10) for t in range(5)] for i in range(n_rows)]
    rows[1][0] = bad + rows[1][0]
    text = "\n".join(map(",".join, [[f"t{t}" for t in range(5)], *rows])) + "\n"
    with pytest.raises(InvalidDataError, match=r"number column 't0' of .* in row 3"):
        read_panel(write(text))


def test_leading_zeros_are_kept_in_the_first_column(write):
    assert read_panel(write("store,w0,w1\n007,1,2\n12,3,4\n")).ids.tolist() == ["007", "12"]
    frame = pd.DataFrame({"store": ["007", "12"], "w0": [1, 3], "w1": [2, 4]})
    assert read_panel(frame).ids.tolist() == ["007", "12"]
    assert read_panel(write("w0,w1,w2\n7,1,2\n12,3,4\n")).lengths.tolist() == [3, 3]
    stores = read_panel(write("unique_id,shop,w0,w1\na,01,1,2\nb,02,3,4\n"), static="shop")
    assert stores.static["shop"].tolist() == ["01", "02"]


def test_a_header_without_rows_is_said(tmp_path, write):
    pq.write_table(
        pa.table({"id": pa.array([], pa.string()), "w0": pa.array([], pa.float64())}), tmp_path / "x.parquet"
    )
    pd.DataFrame({"id": [], "w0": []}).to_excel(tmp_path / "x.xlsx", index=False)
    for file in (write("id,w0\n"), tmp_path / "x.parquet", tmp_path / "x.xlsx"):
        for named in (None, "id"):
            with pytest.raises(InvalidDataError, match=r"has a header \(columns 'id', 'w0'\) but no rows"):
                read_panel(file, id=named)


# -------------------------------------------------------------------- Excel


def book(path: Path, **sheets: list[list[Any]]) -> Path:
    workbook = openpyxl.Workbook()
    workbook.remove(workbook.active)
    for title, rows in sheets.items():
        sheet = workbook.create_sheet(title)
        for row in rows:
            sheet.append(row)
    workbook.save(path)
    return path


TABLE: list[list[Any]] = [
    ["shop", "day", "qty"],
    ["007", datetime(2024, 1, 1), 5],
    ["007", datetime(2024, 1, 2), 6.5],
    ["8", datetime(2024, 1, 1), None],
    ["8", datetime(2024, 1, 2), 2],
]
ROLES: dict[str, Any] = {"id": "shop", "time": "day", "value": "qty"}


def test_a_spreadsheet_with_titles_and_dates(tmp_path):
    panel = read_panel(book(tmp_path / "x.xlsx", leer=[], Tabelle=[["Umsatz"], [], *TABLE, []]), **ROLES)
    assert panel.ids.tolist() == ["007", "8"]
    assert panel.times is not None
    assert panel.times[:2].astype("M8[D]").astype(str).tolist() == ["2024-01-01", "2024-01-02"]
    assert panel.values[:2].ravel().tolist() == [5, 6.5]
    wrong: list[list[Any]] = [["Umsatz"], [], *[list(row) for row in TABLE]]
    wrong[4][2] = "six"
    with pytest.raises(InvalidDataError, match=r"'six' in row 5 \(series '007'\)"):
        read_panel(book(tmp_path / "x.xlsx", T=wrong), **ROLES)


def test_a_wide_spreadsheet_with_dates_as_names(tmp_path):
    header = [None, "item", datetime(2024, 1, 1), datetime(2024, 2, 1)]
    panel = read_panel(book(tmp_path / "x.xlsx", T=[header, [None, "a", 1, 2], [None, "b", 3, 4]]))
    assert panel.ids.tolist() == ["a", "b"]
    assert panel.times is not None
    assert panel.times.astype("M8[M]").astype(str).tolist() == ["2024-01", "2024-02"] * 2


def test_which_sheet_is_read_is_said(tmp_path):
    file = book(tmp_path / "x.xlsx", one=TABLE, two=TABLE)
    with pytest.warns(DataWarning, match="first, 'one', is read, and not 'two'"):
        assert len(read_panel(file, **ROLES)) == 2
    with pytest.raises(InvalidDataError, match="no sheet with data"):
        read_panel(book(tmp_path / "x.xlsx", one=[]))


def test_spreadsheets_that_cannot_be_read(tmp_path, monkeypatch):
    formula = [*TABLE[:-1], ["8", datetime(2024, 1, 2), "=1+1"]]
    with pytest.raises(InvalidDataError, match=r"Cell C5 of .* formula without its result"):
        read_panel(book(tmp_path / "f.xlsx", T=formula), **ROLES)
    with pytest.raises(InvalidDataError, match="totals are no series"):
        read_panel(book(tmp_path / "t.xlsx", T=[*TABLE, ["Total", None, 13.5]]), **ROLES)
    for name in ("x.xlsx", "x.xls"):
        (tmp_path / name).write_bytes(b"PK\x03\x04 no")
        with pytest.raises((InvalidDataError, MissingDependencyError), match=rf"(Cannot read|Reading) .*{name}"):
            read_panel(tmp_path / name)
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(MissingDependencyError, match=r"vrae\[excel\]"):
        read_panel(tmp_path / "f.xlsx")


# -------------------------------------------------------------------- JSON lines


def test_json_lines(tmp_path):
    lines = '{"unique_id": "007", "ds": "2024-01-01", "y": 1}\n{"unique_id": "007", "ds": "2024-01-02", "y": 2.5}\n'
    (tmp_path / "x.jsonl").write_text(lines)
    (tmp_path / "x.ndjson.gz").write_bytes(gzip.compress(lines.encode()))
    for name in ("x.jsonl", "x.ndjson.gz"):
        panel = read_panel(tmp_path / name)
        assert (panel.ids.tolist(), values(panel)) == (["007"], [1, 2.5])
    (tmp_path / "l.jsonl").write_text('{"id": "a", "v": [1, 2, 3]}\n{"id": "b", "v": [4]}\n')
    assert read_panel(tmp_path / "l.jsonl").lengths.tolist() == [3, 1]
    (tmp_path / "x.jsonl").write_text(lines.replace("2.5", '"x"').replace(": 1}", ': "1"}'))
    with pytest.raises(InvalidDataError, match=r"'x' in row 2 \(series '007'\)"):
        read_panel(tmp_path / "x.jsonl")
    for damaged in (lines[:-9].encode(), lines.encode("utf-16"), lines.replace("ds", "d\u00e4").encode("cp1252")):
        (tmp_path / "x.jsonl").write_bytes(damaged)
        with pytest.raises(InvalidDataError, match=r"Cannot read .*x\.jsonl"):
            read_panel(tmp_path / "x.jsonl")


def test_standard_input_may_be_a_spreadsheet_or_json_lines(tmp_path, monkeypatch):
    (tmp_path / "x.jsonl").write_text('{"id": "a", "v": [1, 2, 3]}\n{"id": "b", "v": [4]}\n')
    for file in (book(tmp_path / "x.xlsx", T=[["id", "w0"], ["a", 1], ["b", 2]]), tmp_path / "x.jsonl"):
        with file.open("rb") as stdin:
            monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=stdin))
            assert [panel.ids.tolist() for panel in stream_panels("-")] == [["a", "b"]]
