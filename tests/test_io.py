"""read_panel reads every source correctly, or raises one error that says what to do."""

from __future__ import annotations

import gzip
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vrae.data.panel import Panel
from vrae.data.reading import read_panel
from vrae.exceptions import DataWarning, InvalidDataError, InvalidParameterError, VRAEError

LONG = {
    "unique_id": ["b", "a", "b", "a", "b"],
    "ds": ["2024-01-02", "2024-01-01", "2024-01-01", "2024-01-03", "2024-01-05"],
    "y": [2.0, 10.0, 1.0, None, 5.0],
}


def series(panel: Panel) -> list[list[float]]:
    return [x.ravel().tolist() for x in panel]


def same(one: Panel, other: Panel) -> None:
    np.testing.assert_array_equal(one.values, other.values)
    np.testing.assert_array_equal(one.offsets, other.offsets)
    np.testing.assert_array_equal(one.ids, other.ids)
    assert one.ids.dtype.kind == other.ids.dtype.kind
    assert one.channels == other.channels
    assert (one.times is None) == (other.times is None)
    if one.times is not None:
        np.testing.assert_array_equal(one.times, other.times)
    assert {k: v.tolist() for k, v in one.static.items()} == {k: v.tolist() for k, v in other.static.items()}


def days(panel: Panel) -> list[str]:
    assert panel.times is not None
    return panel.times.astype("datetime64[D]").astype(str).tolist()


def sources(table: pa.Table, folder: Path) -> dict[str, object]:
    """Return the same rows in every container and file."""
    frame = table.to_pandas()
    frame.to_csv(folder / "t.csv", index=False)
    frame.to_csv(folder / "semi.csv", index=False, sep=";")
    frame.to_csv(folder / "tab.tsv", index=False, sep="\t")
    (folder / "t.csv.gz").write_bytes(gzip.compress((folder / "t.csv").read_bytes()))
    pq.write_table(table, folder / "t.parquet")
    pyarrow.feather.write_feather(table, folder / "t.feather")
    with pa.ipc.new_stream(folder / "t.arrow", table.schema) as writer:
        writer.write_table(table)
    files = ("t.csv", "semi.csv", "tab.tsv", "t.csv.gz", "t.parquet", "t.feather", "t.arrow")
    containers = {"pandas": frame, "polars": pl.DataFrame(table), "lazy": pl.LazyFrame(table)}
    return {"pyarrow": table, **containers, **{file: folder / file for file in files}}


# -------------------------------------------------------------------- long tables


def test_nixtla_names_need_no_arguments(tmp_path):
    for name, source in sources(pa.table(LONG), tmp_path).items():
        panel = read_panel(source)
        assert panel.ids.tolist() == ["b", "a"], name
        assert panel.channels == ("y",)
        np.testing.assert_array_equal(panel.values.ravel(), [1, 2, np.nan, np.nan, 5, 10])
        assert days(panel)[:2] == ["2024-01-01", "2024-01-02"]


def test_several_value_columns_are_channels_and_static_columns_stay():
    table = pa.table(
        {
            "item": [7, 7, 3],
            "week": [2, 1, 1],
            "qty": [5, 3, 4],
            "price": [0.5, 0.3, 0.4],
            "store": ["x", "x", "y"],
            "note": ["p", "q", "r"],
            "region": [1, 1, 2],
            "kind": [0, 0, 1],
        }
    )
    panel = read_panel(table, id="item", time="week", value=["qty", "pri*"], static=["store", "region"], label="kind")
    assert panel.channels == ("qty", "price")
    np.testing.assert_allclose(panel[0], [[3.0, 5.0], [0.3, 0.5]])
    assert {k: v.tolist() for k, v in panel.static.items()} == {
        "store": ["x", "y"],
        "region": [1, 2],
        "label": [0, 1],
    }
    guessed = read_panel(table, id="item", time="week", value="qty")
    assert list(guessed.static) == ["store"]  # note changes within item 7
    assert read_panel(table, id="item", time="week", value="qty", static=[]).static == {}
    with pytest.raises(InvalidDataError, match=r"'note'.*changes within 1 series, ids 7"):
        read_panel(table, id="item", time="week", value="qty", static="note")


def test_without_time_the_order_of_rows_is_kept():
    panel = read_panel(pa.table({"id": ["b", "a", "b", "a"], "x": [3, 1, 2, 4]}), id="id")
    assert series(panel) == [[3, 2], [1, 4]]
    assert panel.times is None


def test_a_table_without_ids_is_one_series():
    panel = read_panel(pa.table({"t": [2, 1, 3], "x": [20, 10, 30]}), time="t")
    assert series(panel) == [[10, 20, 30]]


def test_duplicates_are_named_unless_a_rule_is_given():
    rows = {"unique_id": ["a"] * 3 + ["b"] * 2, "ds": [1, 2, 1, 1, 1], "y": [1.0, 5, 3, None, None]}
    table = pa.table(rows)
    with pytest.raises(InvalidDataError, match=r"2 rows .* 2 of 2 series: 'a' at 1, 'b' at 1.*duplicates="):
        read_panel(table)
    expected: dict[Any, list[float]] = {"sum": [4, 5], "mean": [2, 5], "first": [1, 5], "last": [3, 5]}
    for how, values in expected.items():
        said = f"Merged 2 rows that repeat .* in 2 of 2 series: 'a' at 1, 'b' at 1, by duplicates='{how}'"
        with pytest.warns(DataWarning, match=said):
            panel = read_panel(table, duplicates=how)
        assert series(panel)[0] == values
        assert np.isnan(series(panel)[1]).tolist() == [True]
    with pytest.raises(InvalidDataError, match="several series, name their column with id="):
        read_panel(pa.table({"t": [1, 1], "x": [1, 2]}), time="t")


@pytest.mark.parametrize(
    ("freq", "times", "cells"),
    [
        ("1d", ["2024-02-28", "2024-03-01"], [0, 2]),
        ("D", ["2024-02-28 23:00", "2024-02-29 01:00"], [0, 1]),
        ("1w", ["2024-01-01", "2024-01-08", "2024-01-29"], [0, 1, 4]),
        ("1mo", ["2024-01-31", "2024-02-01", "2024-12-15"], [0, 1, 11]),
        ("1q", ["2024-01-31", "2024-07-01"], [0, 2]),
        ("2h", ["2024-01-01 00:10", "2024-01-01 04:05"], [0, 2]),
        ("1y", ["2020-05-05", "2022-01-01"], [0, 2]),
        (5, [10, 15, 30], [0, 1, 4]),
        (0.1, [0.1, 0.2, 0.4], [0, 1, 3]),
    ],
)
def test_freq_marks_gaps_as_missing(freq, times, cells):
    table = pa.table({"unique_id": ["a"] * len(times), "ds": times, "y": np.arange(1.0, 1 + len(times))})
    panel = read_panel(table, freq=freq)
    assert np.flatnonzero(~np.isnan(panel.values[:, 0])).tolist() == cells
    assert panel.times is not None
    assert len(panel.times) == cells[-1] + 1
    if freq in ("1d", "1w"):
        steps = np.diff(panel.times.astype("datetime64[D]").astype(int))
        assert set(steps.tolist()) == {1 if freq == "1d" else 7}


def test_freq_merges_rows_of_one_step_only_on_request():
    table = pa.table({"unique_id": ["b", "a", "a", "b"], "ds": [7, 1, 2, 1], "y": [1.0, 2, 3, 4]})
    with pytest.raises(InvalidDataError, match=r"one step of the calendar: every 3"):
        read_panel(table, freq=3)
    panel = read_panel(table, freq=3, duplicates="sum")
    assert series(panel)[1] == [5]
    np.testing.assert_array_equal(series(panel)[0], [4, np.nan, 1])


@pytest.mark.parametrize("freq", ["1 fortnight", "d1", "0d", "", 3, None])
def test_freq_that_cannot_be_read(freq):
    table = pa.table({"unique_id": ["a"], "ds": ["2024-01-01"], "y": [1.0]})
    if freq is None:
        freq, table = "1d", pa.table({"unique_id": ["a"], "ds": [1], "y": [1.0]})
    with pytest.raises(InvalidParameterError, match="freq="):
        read_panel(table, freq=freq)


def test_a_freq_that_would_fill_memory_is_refused():
    table = pa.table({"unique_id": ["a", "a"], "ds": ["2000-01-01", "2024-01-01"], "y": [1.0, 2]})
    with pytest.raises(InvalidDataError, match="coarser"):
        read_panel(table, freq="1s")


def test_times_in_zones_become_utc():
    times = pd.to_datetime(["2024-01-01 01:00", "2024-01-01 02:00"]).tz_localize("Europe/Berlin")
    panel = read_panel(pd.DataFrame({"unique_id": ["a", "a"], "ds": times, "y": [1, 2]}))
    assert panel.times is not None
    assert str(panel.times[0]).startswith("2024-01-01T00:00")


# -------------------------------------------------------------------- wide tables


def test_wide_tables(tmp_path):
    rows = {"Product": ["p", "q"], "W0": [1.0, 3], "W1": [None, 4.5], "MIN": [0, 1], "shop": ["x", "y"]}
    for source in sources(pa.table(rows), tmp_path).values():
        panel = read_panel(source, value="W*")
        assert panel.ids.tolist() == ["p", "q"]
        np.testing.assert_array_equal(panel.values.ravel(), [1, np.nan, 3, 4.5])
        assert panel.static["shop"].tolist() == ["x", "y"]
        assert read_panel(source).lengths.tolist() == [3, 3]
        assert read_panel(source, static="MIN").static["MIN"].tolist() == [0, 1]


def test_wide_ids_come_from_a_named_column_a_text_column_an_index_or_the_rows():
    steps = {"0": [1.0, 2, 3], "1": [4.0, 5, 6]}
    assert read_panel(pa.table(steps)).ids.tolist() == [0, 1, 2]
    assert read_panel(pd.DataFrame(steps, index=[5, 7, 9])).ids.tolist() == [5, 7, 9]
    named = pd.DataFrame(steps, index=pd.Index([5, 7, 9], name="item"))
    assert read_panel(named).ids.tolist() == [5, 7, 9]
    assert read_panel(pd.DataFrame(steps, index=[0, 0, 1])).ids.tolist() == [0, 1, 2]
    assert read_panel(pa.table({"item_id": [30, 20, 10], **steps})).ids.tolist() == [30, 20, 10]
    codes = read_panel(pa.table({"code": ["15", "15B", "16"], **steps}))
    assert codes.ids.tolist() == ["15", "15B", "16"]
    assert codes.lengths.tolist() == [2, 2, 2]


def test_pandas_columns_may_be_numbers_and_categories():
    frame = pd.DataFrame(np.arange(6.0).reshape(2, 3))
    assert read_panel(frame).lengths.tolist() == [3, 3]
    assert read_panel(frame, id=0).ids.tolist() == [0, 3]  # type: ignore[arg-type]  # a name that is no text
    long = pd.DataFrame(LONG).astype({"unique_id": "category"})
    same(read_panel(long), read_panel(pa.table(LONG)))
    same(read_panel(long.set_index(["unique_id", "ds"])), read_panel(pa.table(LONG)))
    same(read_panel(long.set_index("ds", drop=False)), read_panel(pa.table(LONG)))
    with pytest.raises(InvalidDataError, match="same name: '1'"):
        read_panel(pd.DataFrame([[1, 2]], columns=[1, "1"]))
    with pytest.raises(InvalidDataError, match="share a name"):
        read_panel(pd.DataFrame([[1, 2]], columns=["a", "a"]))


def test_wide_columns_named_by_dates_give_times():
    panel = read_panel(pa.table({"item": ["a", "b"], "2024-01-01": [1, 2], "2024-01-08": [3, 4]}))
    assert days(panel) == ["2024-01-01", "2024-01-08"] * 2


def test_columns_of_lists_are_series_of_any_length():
    table = pa.table({"id": ["a", "b"], "x": [[1.0, None], [3.0]], "z": [[5, 6], [7]]})
    panel = read_panel(table)
    assert panel.channels == ("x", "z")
    np.testing.assert_array_equal(panel[0], [[1, np.nan], [5, 6]])
    with pytest.raises(InvalidDataError, match="different lengths in row 1"):
        read_panel(pa.table({"id": ["a", "b"], "x": [[1], [3]], "z": [[5], [6, 7]]}))
    with pytest.raises(InvalidDataError, match="0 steps"):
        read_panel(pa.table({"id": ["a", "b"], "x": [[1.0], []]}))


def test_repeated_ids_in_a_wide_table():
    steps = {f"W{w}": np.arange(4.0) for w in range(30)}
    with pytest.warns(DataWarning, match="'kind' .* row number"):
        panel = read_panel(pa.table({"kind": ["a", "a", "b", "b"], **steps}))
    assert panel.ids.tolist() == [0, 1, 2, 3]
    assert panel.static["kind"].tolist() == ["a", "a", "b", "b"]
    with pytest.raises(InvalidDataError, match=r"'a'.*more than once"):
        read_panel(pa.table({"kind": ["a", "a", "b", "b"], **steps}), id="kind")
    with pytest.raises(InvalidDataError, match="long or wide"):
        read_panel(pa.table({"kind": ["a", "a", "b", "b"], "week": [1, 2, 1, 2], "x": [1, 2, 3, 4]}))


# -------------------------------------------------------------------- files


def test_folders_and_patterns(tmp_path):
    whole = pa.table(LONG)
    for part in range(2):
        folder = tmp_path / "sales" / f"store={part}"
        folder.mkdir(parents=True)
        pq.write_table(whole.slice(part * 2, 2 + part), folder / "part.parquet")
    (tmp_path / "sales" / "_SUCCESS").touch()
    same(read_panel(tmp_path / "sales", static=[]), read_panel(whole))
    same(read_panel(f"{tmp_path}/sales/*/*.parquet"), read_panel(whole))


def test_csv_with_only_numbers_has_no_header(tmp_path):
    np.savetxt(tmp_path / "m.csv", np.array([[1.5, 2, 3], [4, 5, 6]]), delimiter=",")
    np.testing.assert_array_equal(series(read_panel(tmp_path / "m.csv")), [[1.5, 2, 3], [4, 5, 6]])
    pd.DataFrame([[1.5, 2], [4, 5]]).to_csv(tmp_path / "h.csv", index=False)
    assert len(read_panel(tmp_path / "h.csv")) == 2
    pd.DataFrame([[1.5, 2], [4, 5]], index=[8, 9]).to_csv(tmp_path / "i.csv")
    assert read_panel(tmp_path / "i.csv").ids.tolist() == [8, 9]


def test_csv_details(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("item;week;qty\n007;1;1,5\n007;2;NA\n08;1;nan\n08;2;2,25\n")
    panel = read_panel(file, id="item", time="week")
    assert panel.ids.tolist() == ["007", "08"]
    np.testing.assert_array_equal(panel.values.ravel(), [1.5, np.nan, np.nan, 2.25])
    file.write_text("item,0\n" + "007,1\n" * 150_000 + "8,0.5\n")
    assert read_panel(file, id="item", layout="long").ids.tolist() == ["007", "8"]
    file.write_text(",".join(["0.250000000000000000"] * 4000) + "\n" + ",".join(["1.5"] * 4000))
    assert read_panel(file).lengths.tolist() == [4000] * 2
    # the type of a column changes after the block from which Arrow infers it
    rows = "".join(f"a,{i},{i}\n" for i in range(150_000))
    file.write_text("unique_id,ds,y\n" + rows + "a,150000,0.5\n")
    panel = read_panel(file)
    assert panel.values[-1, 0] == 0.5
    assert panel.times is not None
    assert panel.times.dtype == np.int64


def test_ucr_tsv(tmp_path):
    file = tmp_path / "X_TRAIN.tsv"
    file.write_text("1\t1.0\tNaN\t3.0\tNaN\n2\t4\t5\t6\t7\n")
    panel = read_panel(file)
    assert panel.lengths.tolist() == [3, 4]
    assert np.isnan(panel.values[1, 0])
    assert panel.static["label"].tolist() == [1, 2]
    file.write_text("1\t1.0\t2\n2\t4\tx\n")
    with pytest.raises(InvalidDataError, match=r"line 2: found 'x'"):
        read_panel(file)


TS = """# about
@problemName Toy
@timeStamps {stamps}
@univariate false
@classLabel true Sit Run
@data

"""


def test_ts(tmp_path):
    file = tmp_path / "X.ts"
    file.write_text(TS.format(stamps="false") + "1,2,?:3,4,5:Sit\n# note\n6:7:Run\n")
    panel = read_panel(file)
    assert panel.static["label"].tolist() == ["Sit", "Run"]
    np.testing.assert_array_equal(panel[0], [[1, 2, np.nan], [3, 4, 5]])
    assert panel.lengths.tolist() == [3, 1]
    file.write_text(TS.format(stamps="true") + "(2007-01-01 00:00:00,-2),(2007-01-01 00:01:00,1):(0,3),(1,4):Run\n")
    np.testing.assert_array_equal(read_panel(file)[0], [[-2, 1], [3, 4]])
    file.write_text(TS.format(stamps="false") + "1,2:3:Sit\n")
    with pytest.raises(InvalidDataError, match=r"line 8: found channels of 1 to 2 steps"):
        read_panel(file)
    with pytest.raises(InvalidParameterError, match="holds series already"):
        read_panel(file.rename(tmp_path / "Y.ts"), id="x") if file.write_text("@data\n1,2\n3,4\n") else None


def test_arff(tmp_path):
    file = tmp_path / "X.arff"
    file.write_text("@relation X\n@attribute a numeric\n@attribute c {p,q}\n@data\n1,2,p\n3,?,q\n")
    panel = read_panel(file)
    assert panel.static["label"].tolist() == ["p", "q"]
    np.testing.assert_array_equal(panel.values.ravel(), [1, 2, 3, np.nan])
    file.write_text("@relation X\n@attribute r relational\n@attribute c {p,q}\n@data\n'1,2\\n3,4',p\n'5,6\\n7,8',q\n")
    np.testing.assert_array_equal(read_panel(file)[1], [[5, 6], [7, 8]])


def test_numpy_files(tmp_path):
    file = tmp_path / "x.npz"
    np.savez(file, X=np.arange(6.0).reshape(2, 3), ids=["a", "b"], y=[0, 1])
    panel = read_panel(file)
    assert (panel.ids.tolist(), panel.static["label"].tolist()) == (["a", "b"], [0, 1])
    np.savez(file, values=np.arange(5), offsets=[0, 2, 5])
    assert series(read_panel(file)) == [[0, 1], [2, 3, 4]]
    np.savez(file, values=np.arange(5), offsets=[0, 3, 2])
    with pytest.raises(InvalidDataError, match="increasing integers"):
        read_panel(file)
    np.save(tmp_path / "x.npy", np.array([[1, 2], [3]], dtype=object))
    with pytest.raises(InvalidDataError, match="never read"):
        read_panel(tmp_path / "x.npy")
    header = b"\x93NUMPY\x01\x00\x10\x00{'descr': ((((  "
    for content in (file.read_bytes()[:60], header, b""):
        (tmp_path / "cut.npy").write_bytes(content)
        with pytest.raises(InvalidDataError, match=r"cut.npy"):
            read_panel(tmp_path / "cut.npy")
    file.write_bytes(file.read_bytes()[:60])
    with pytest.raises(InvalidDataError, match=r"Cannot read .*x.npz"):
        read_panel(file)


def test_unreadable_files_give_one_message(tmp_path):
    for name, content, message in [
        ("a.csv", b"", "is empty"),
        ("b.csv", b"id,W0\n", "no rows"),
        ("c.csv", b"id,W0\nM\x81ller,1\n", "neither UTF-8 nor cp1252"),
        ("d.csv", "id,W0\na,1\n".encode("utf-16-le"), "UTF-16"),
        ("e.csv", b"a:b:c\n1:2:3\n", "separator"),
        ("f.csv", b"id,W0\na,1\nb,2,3\n", "Expected 2 columns, got 3"),
        ("g.csv", b"id,W0,W0\na,1,2\n", "share|same name"),
        ("h.parquet", b"PAR1 no", "Cannot read"),
        ("i.xlsx", b"x", "Cannot read"),
        ("i.xlsb", b"x", "extension '.xlsb'"),
        ("j.ts", b"1,2,3:4\n", "@data"),
        ("k.arff", b"@relation x\n@data\n", "no lines of data"),
        ("l.feather", b"FEA1xxxxxxxxxx", "Cannot read"),
    ]:
        file = tmp_path / name
        file.write_bytes(content)
        with pytest.raises(InvalidDataError, match=message) as error:
            read_panel(file)
        assert name in str(error.value)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidDataError, match="No data files"):
        read_panel(tmp_path / "empty")
    with pytest.raises(InvalidDataError, match=r"No such file.*'a.csv'"):
        read_panel(tmp_path / "missing.csv")
    with pytest.raises(InvalidDataError, match="several formats"):
        read_panel(tmp_path)


def test_wrong_arguments_and_columns():
    table = pa.table({"item": ["a", "b"], "week": [1, 1], "qty": [1.0, 2]})
    for key in ("id", "time", "value", "static", "label"):
        wrong: dict[str, Any] = {key: "itme"}
        with pytest.raises(InvalidDataError, match=r"No column 'itme'.*Did you mean 'item'"):
            read_panel(table, **wrong)
    with pytest.raises(InvalidParameterError, match="Did you mean 'long'"):
        read_panel(table, layout="lon")  # type: ignore[arg-type]  # misspelt on purpose
    with pytest.raises(InvalidParameterError, match="duplicates: unknown value 'drop'"):
        read_panel(table, duplicates="drop")  # type: ignore[arg-type]  # no such rule
    with pytest.raises(InvalidParameterError, match="needs times"):
        read_panel(table, freq="1d")
    with pytest.raises(InvalidParameterError, match="needs a time column"):
        read_panel(table, id="item", layout="long", freq="1d")
    for nonsense in (3, None, object(), {"a": 1}):
        with pytest.raises(InvalidDataError):
            read_panel(nonsense)


def test_text_among_numbers_is_named_with_its_row_and_series():
    for text, hint in (("twelve", ""), ("1,5", "decimal comma")):
        table = pd.DataFrame({"unique_id": list("aabb"), "ds": [1, 2, 1, 2], "y": [1, 2.5, text, None]})
        with pytest.raises(
            InvalidDataError, match=rf"'y' of the pandas table: '{text}' in row 2 \(series 'b'\).*{hint}"
        ):
            read_panel(table)
    with pytest.raises(InvalidDataError, match=r"'W1'.*'oops' in row 0"):
        read_panel(pl.DataFrame({"item": ["a", "b", "c"], "W0": [1, 2, 3], "W1": ["oops", "2", "3"]}))
    with pytest.raises(InvalidDataError, match=r"timestamp.* not numbers"):
        read_panel(pd.DataFrame({"i": ["a"], "d": pd.to_datetime(["2024-01-01"])}), id="i", time="d", value="d")


def test_missing_ids_and_times_are_named():
    with pytest.raises(InvalidDataError, match=r"id is missing in 1 row of .* row 1,"):
        read_panel(pa.table({"unique_id": ["a", None], "ds": [1, 2], "y": [1, 2]}))
    with pytest.raises(InvalidDataError, match=r"time is missing in 1 row of .* row 0,"):
        read_panel(pa.table({"unique_id": ["a", "a"], "ds": [None, 2.0], "y": [1, 2]}))
    with pytest.raises(InvalidDataError, match="'in July'"):
        read_panel(pa.table({"unique_id": ["a"], "ds": ["in July"], "y": [1]}))
    with pytest.raises(InvalidDataError, match="long or wide"):
        read_panel(pd.DataFrame({"a": [1.0, 2]}, index=pd.date_range("2024-01-01", periods=2)))


def test_infinities_are_kept_for_the_estimators_to_name():
    assert np.isinf(read_panel(pa.table({"i": ["a"], "x": [np.inf]})).values).all()


# -------------------------------------------------------------------- properties

CELLS = st.one_of(
    st.none(),
    st.integers(-5, 2**70),
    st.floats(),
    st.sampled_from(["", "NA", "nan", "x", "1.5", "1,5", " 2 ", "\u00e9", "a;b", '"', "inf", "2024-01-01", "-"]),
    st.booleans(),
    st.dates(),
)
NAMES = st.sampled_from(["unique_id", "ds", "y", "W0", "W1", "a", "", "item_id", "2024-01-01"])
COLUMNS = st.dictionaries(NAMES, st.lists(CELLS, min_size=4, max_size=4), max_size=5)
ARGUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["unique_id", "a", "none"]),
        "time": st.sampled_from(["ds", "W0"]),
        "value": st.sampled_from(["y", "W*", ["a", "y"], "?"]),
        "layout": st.sampled_from(["long", "wide", "odd"]),
        "static": st.sampled_from(["a", []]),
        "freq": st.sampled_from(["1d", 1, "1mo", 0.3, "x"]),
        "duplicates": st.sampled_from(["sum", "mean", "first", "last"]),
    },
)
FUZZ = settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])


def right_or_vrae_error(source, **arguments) -> None:
    with suppress(VRAEError):
        panel = read_panel(source, **arguments)
        assert len(panel) > 0
        assert (panel.lengths > 0).all()
        assert panel.values.dtype == np.float32
        assert panel.offsets[-1] == len(panel.values)


@pytest.mark.filterwarnings("ignore::vrae.exceptions.DataWarning")
@FUZZ
@given(columns=COLUMNS, arguments=ARGUMENTS, as_polars=st.booleans())
def test_fuzz_tables(columns, arguments, as_polars):
    frame = pd.DataFrame({name: pd.Series(cells, dtype=object) for name, cells in columns.items()})
    if as_polars:
        frame = pl.DataFrame({name: [None if c is None else str(c) for c in cells] for name, cells in columns.items()})
    right_or_vrae_error(frame, **arguments)


@pytest.mark.filterwarnings("ignore::vrae.exceptions.DataWarning")
@FUZZ
@given(
    columns=COLUMNS,
    arguments=ARGUMENTS,
    separator=st.sampled_from([",", ";", "\t", "|", " "]),
    encoding=st.sampled_from(["utf-8", "latin-1", "utf-16"]),
    cut=st.integers(0, 400),
    suffix=st.sampled_from([".csv", ".tsv", ".ts", ".arff", ".npz", ".parquet", ".feather"]),
)
def test_fuzz_text_files(tmp_path, columns, arguments, separator, encoding, cut, suffix):
    text = pd.DataFrame(columns).to_csv(index=False, sep=separator)
    file = tmp_path / f"t{suffix}"
    file.write_bytes(text.encode(encoding, errors="replace")[:cut])
    right_or_vrae_error(file, **arguments)


def test_truncated_parquet_is_an_error_at_every_length(tmp_path):
    pq.write_table(pa.table(LONG), tmp_path / "whole.parquet")
    content = (tmp_path / "whole.parquet").read_bytes()
    for length in range(1, len(content), 97):
        (tmp_path / "cut.parquet").write_bytes(content[:length])
        with pytest.raises(InvalidDataError, match=r"cut.parquet"):
            read_panel(tmp_path / "cut.parquet")


@pytest.mark.filterwarnings("ignore:The times follow no regular step")
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(
            st.integers(0, 3),
            st.integers(0, 10_000),
            st.one_of(st.none(), st.floats(-1e6, 1e6)),
            st.one_of(st.none(), st.integers(-9, 9)),
        ),
        min_size=1,
        max_size=12,
        unique_by=lambda row: row[:2],
    ),
    text_ids=st.booleans(),
    dates=st.booleans(),
)
def test_same_rows_same_panel_whatever_the_source(tmp_path, rows, text_ids, dates):
    ids, days, x, z = zip(*rows, strict=True)
    table = pa.table(
        {
            "item": [f"n {i}" for i in ids] if text_ids else pa.array(ids, pa.int32()),
            "day": np.array(days, "M8[D]") if dates else pa.array(days, pa.int32()),
            "x": pa.array(x, pa.float64()),
            "z": pa.array(z, pa.int16()),
            "shop": [f"s{i % 2}" for i in ids],
        }
    )
    read = {
        name: read_panel(source, id="item", time="day", value=["x", "z"])
        for name, source in sources(table, tmp_path).items()
    }
    for panel in read.values():
        same(panel, read["pyarrow"])
    panel = read["pyarrow"]
    owners = np.repeat(panel.ids.astype(str), panel.lengths)
    times = np.asarray(panel.times).astype("M8[D]").astype(np.int64) if dates else np.asarray(panel.times)
    values = panel.values[:, 0].astype(np.float32)  # float64 where a series has finer steps
    found = {(i, t): v for i, t, v in zip(owners, times.tolist(), values, strict=True) if v == v}
    assert found == {(f"n {r[0]}" if text_ids else str(r[0]), r[1]): np.float32(r[2]) for r in rows if r[2] is not None}


# -------------------------------------------------------------------- real data


@pytest.mark.data
@pytest.mark.parametrize(
    ("path", "arguments", "n_series", "lengths"),
    [
        ("ucr/PLAID/PLAID_TRAIN.ts", {}, 537, (100, 1344)),
        ("ucr/GestureMidAirD1/GestureMidAirD1_TRAIN.tsv", {}, 208, (80, 360)),
        ("uea/RacketSports/RacketSports_TRAIN.arff", {}, 151, (30, 30)),
        ("demand/carparts.csv", {}, 2674, (12, 51)),  # from the first to the last value
        ("demand/online_retail_weekly.csv", {}, 4707, (1, 106)),
        ("demand/sales_transactions_weekly.csv", {"value": "W*"}, 811, (52, 52)),
    ],
)
def test_real_files(path, arguments, n_series, lengths):
    panel = read_panel(Path(os.environ["VRAE_DATA"]) / path, **arguments)
    assert len(panel) == n_series
    assert (panel.lengths.min(), panel.lengths.max()) == lengths
