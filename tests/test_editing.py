"""Changes to the clusters of a run: vrae edit, names from files, and runs that stay unchanged."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import make_series
from vrae import VRAE, Panel, VRAEClusterer, load_model, runs
from vrae.estimators.assignment import assign
from vrae.exceptions import DataWarning, InvalidDataError, InvalidParameterError, ModelFileError
from vrae.runs.editing import ClusterNames, read_edits, read_names
from vrae.runs.run_tables import positions, read_assignment

pytestmark = pytest.mark.filterwarnings("ignore::vrae.exceptions.VRAEWarning")

N = 24


def panel_of(ids: Any = None, static: dict[str, Any] | None = None) -> Panel:
    series = make_series("2d", N)
    ids = [f"s{i}" for i in range(N)] if ids is None else ids
    return Panel.from_arrays(list(series), ids=ids, static=static or {})


@pytest.fixture(scope="module")
def first(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of three clusters, with a static column that is called like a column of vrae."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    panel = panel_of(static={"name": np.array(["north", "south"] * (N // 2)), "shop": np.arange(N)})
    runs.cluster_panel(VRAEClusterer(3, model=VRAE(**tiny)), panel, None, folder, "Waves")
    return folder


@pytest.fixture
def run(first: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(first, tmp_path / "run"))


def table_of(run: Path) -> pd.DataFrame:
    return pd.read_csv(run / "clusters.csv")


def content_of(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in run.rglob("*") if path.is_file()}


def written(path: Path, edits: Any, run: Path | None = None, **others: Any) -> Path:
    sizes = runs.read_metrics(run)["sizes"] if run is not None else [1]
    content = {"format": "vrae edits", "version": 1, "sizes": sizes, "edits": edits, **others}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def one_message(done: Any, *words: str) -> None:
    assert done.code == 2, done
    assert done.out == ""
    assert "Traceback" not in done.err
    assert [word for word in words if word not in done.err] == []


# ---------------------------------------------------------------- tables


def test_a_table_of_clusters_has_names_and_keeps_columns_of_the_same_name(first):
    table = table_of(first)
    assert list(table) == ["id", "cluster", "name", "probability", "lag", "name_static", "shop"]
    names = load_model(first).names_
    assert table["name"].tolist() == [names[cluster] for cluster in table["cluster"]]
    assert runs.read_metrics(first)["names"] == list(names.values())
    assert table["name_static"].tolist() == ["north", "south"] * (N // 2)


def test_series_without_a_cluster_are_named_so(fitted):
    X = make_series("2d")
    X[4] = np.nan
    clusterer = fitted("VRAEClusterer", on_invalid="keep")
    columns = assign(clusterer, X).columns()
    assert columns["cluster"][4] == -1
    assert columns["name"][4] == "Not assigned"


# ---------------------------------------------------------------- edits


def test_edits_change_tables_model_report_and_metrics(cli, run, tmp_path):
    before = table_of(run)
    other = (run / "embedding.parquet").read_bytes()
    to = int(before["cluster"][0] == 0)
    edits = [{"move": ["s0"], "to": to}, {"rename": {str(to): "Täglich"}}, {"split": 2}, {"merge": [2, 3]}]
    done = cli("edit", run, written(tmp_path / "edits.json", edits, run), "-q", "--json")
    assert done.code == 0, done.err
    after, clusterer = table_of(run), load_model(run)
    expected = before["cluster"].where(before["id"] != "s0", to)
    assert after["cluster"].tolist() == expected.tolist() == clusterer.labels_.tolist()
    assert after["name"].tolist() == [clusterer.names_[cluster] for cluster in after["cluster"]]
    assert clusterer.names_[to] == "Täglich"
    kept = ["id", "lag", "name_static", "shop"]
    pd.testing.assert_frame_equal(after[kept], before[kept])
    metrics = runs.read_metrics(run)
    assert metrics["names"][to] == "Täglich"
    assert metrics["sizes"] == np.bincount(after["cluster"]).tolist()
    assert json.loads(done.out)["sizes"] == metrics["sizes"]
    assert "Täglich" in (run / "report.html").read_text("utf-8")
    assert (run / "embedding.parquet").read_bytes() == other


def test_regroup_undoes_edits_and_takes_names(cli, run, tmp_path):
    before, names = table_of(run), tmp_path / "names.xlsx"
    assert cli("edit", run, written(tmp_path / "e.json", [{"merge": [0, 1]}, {"rename": {"0": "x"}}], run)).code == 0
    pd.DataFrame({"Name": ["Long", "Short"], "note": ["", "?"], "Cluster": [2, 0]}).to_excel(names, index=False)
    done = cli("regroup", run, "-k", 3, "--names", names)
    assert done.code == 0
    assert "Discards 1 edit by hand and 1 name." in done.err
    assert "Discards" not in cli("regroup", run, "-k", 3, "--names", names, "-q").err
    after = table_of(run)
    assert after["cluster"].tolist() == before["cluster"].tolist()
    assert set(after["name"][after["cluster"] == 2]) == {"Long"}
    assert set(after["name"][after["cluster"] == 0]) == {"Short"}
    assert load_model(run).names_[2] == "Long"


def test_names_alone_are_an_edit_and_the_own_table_is_a_file_of_names(cli, run, tmp_path):
    names = tmp_path / "names.csv"
    names.write_text("cluster;name\n1;Ruhig, gleichmäßig\n0;\n-1;Not assigned\n", encoding="utf-8")
    automatic = load_model(run).names_
    assert cli("edit", run, "--names", names).code == 0
    assert load_model(run).names_ == {**automatic, 1: "Ruhig, gleichmäßig"}
    assert cli("edit", run, "--names", run / "clusters.csv").code == 0
    assert load_model(run).grouping_.own_names == {**automatic, 1: "Ruhig, gleichmäßig"}


def test_new_series_follow_the_edits_of_a_run(cli, run, tmp_path):
    assert cli("edit", run, written(tmp_path / "e.json", [{"merge": [0, 1]}, {"rename": {"0": "All"}}], run)).code == 0
    new = make_series("2d", 9, seed=8)
    np.savez(tmp_path / "new.npz", X=new)
    done = cli("assign", tmp_path / "new.npz", "--model", run, "--all", "-q")
    rows = list(csv.DictReader(done.out.splitlines()))
    assert list(rows[0])[:5] == ["id", "cluster", "name", "probability", "lag"]
    labels = load_model(run).set_params(false_alarm_rate=None).predict(new)
    assert [int(row["cluster"]) for row in rows] == labels.tolist()
    assert {row["name"] for row in rows if row["cluster"] == "0"} <= {"All"}


def test_a_stream_moves_series_that_the_model_was_not_fitted_to(tiny, tmp_path):
    panel = panel_of()
    clusterer = VRAEClusterer(2, model=VRAE(**tiny))
    runs.cluster_stream(clusterer, lambda: [panel], 12, 0, tmp_path / "run", "Waves")
    before = table_of(tmp_path / "run").set_index("id")["cluster"]
    fitted = set(load_model(tmp_path / "run").ids_.tolist())
    other = next(name for name in before.index if name not in fitted)
    to = int(1 - before[other])
    for series, way in ((other, "other"), (next(iter(fitted)), "fitted")):
        to = int(1 - before[series])
        edits = written(tmp_path / f"{way}.json", [{"move": [series], "to": to}], tmp_path / "run")
        runs.edit_run(tmp_path / "run", edits, None)
        assert table_of(tmp_path / "run").set_index("id")["cluster"][series] == to


def test_sizes_of_the_training_series_are_accepted_too(tiny, tmp_path):
    runs.cluster_stream(VRAEClusterer(2, model=VRAE(**tiny)), lambda: [panel_of()], 12, 0, tmp_path / "run", "Waves")
    sizes = np.bincount(load_model(tmp_path / "run").labels_).tolist()
    runs.edit_run(tmp_path / "run", written(tmp_path / "e.json", [{"merge": [0, 1]}], None, sizes=sizes), None)
    assert runs.read_metrics(tmp_path / "run")["sizes"] == [N]


# ---------------------------------------------------------------- what is refused


def deep(n: int) -> list[Any]:
    """Return lists in lists in lists."""
    lists: list[Any] = []
    for _ in range(n):
        lists = [lists]
    return lists


BAD_EDITS: dict[str, tuple[list[Any], list[str]]] = {
    "unknown cluster": ([{"merge": [0, 1]}, {"split": 7}], ["edit 2 of 2", '{"split": 7}', "no cluster 7", "0 to 1"]),
    "one cluster": ([{"merge": [1]}], ["edit 1 of 1", "two or more different clusters"]),
    "text": ([{"merge": "01"}], ["edit 1 of 1", "No cluster is named '01'"]),
    "split of text": ([{"split": "0"}], ["No cluster is named '0'"]),
    "split into many": ([{"split": 0, "into": 99}], ["cannot be split into 99 parts"]),
    "unknown ids": ([{"move": ["s1", "x", "y"], "to": 0}], ["2 of 3 ids are not in this run: 'x', 'y'"]),
    "many ids": ([{"move": [f"x{i}" for i in range(99)], "to": 0}], ["99 of 99 ids", "and 94 more", "..., is imposs"]),
    "no ids": ([{"move": [], "to": 0}], ["one or more ids"]),
    "id of text": ([{"move": "s1", "to": 0}], ["one or more ids"]),
    "unknown target": ([{"move": ["s1"], "to": 9}], ["no cluster 9"]),
    "no target": ([{"move": ["s1"]}], ["edit 1 of 1 is none", "with its target 'to'"]),
    "unknown edit": ([{"delete": 1}], ["edit 1 of 1 is none", "{'delete': 1}"]),
    "two at once": ([{"split": 1, "merge": [0, 1]}], ["edit 1 of 1 is none"]),
    "no edit": ([5], ["edit 1 of 1 is none"]),
    "unknown name": ([{"rename": {"9": "x"}}], ["no cluster 9"]),
    "name of text": ([{"rename": {"first": "x"}}], ["No cluster is named 'first'"]),
    "no names": ([{"rename": ["x"]}], ["Names must be an object"]),
    "empty name": ([{"rename": {"0": ""}}], ["1 to 80 characters"]),
    "long name": ([{"rename": {"0": "x" * 99}}], ["1 to 80 characters"]),
    "the same name": ([{"rename": {"0": "x", "1": "X"}}], ["0 and 1 would both be named 'X'"]),
    "a name of another": ([{"rename": {"0": "x"}}, {"rename": {"1": "x"}}], ["edit 2 of 2", "in one rename"]),
    "a number twice": ([{"rename": {"0": "A", "00": "B"}}], ["No cluster is named '00'"]),
    "a huge number": ([{"merge": [10**400, 0]}], ["0000..., is impossible", "0000.... The clusters are 0 to 2"]),
    "huge parts": ([{"split": 0, "into": 10**400}], ["0000... parts"]),
    "huge ids": ([{"move": ["x" * 10**5], "to": 0}], ["xxx..., is impossible", "xxx.... Nothing"]),
    "huge name": ([{"rename": {"0": "x" * 10**5}}], ["1 to 80 characters", "xxx.... Nothing"]),
    "deep": ([{"merge": deep(400)}], ["[[[[[..., is impossible", "[[[..."]),
}


@pytest.mark.parametrize("case", BAD_EDITS)
def test_impossible_edits_are_named_and_change_nothing(case, first, tmp_path):
    edits, words = BAD_EDITS[case]
    before = content_of(first)
    with pytest.raises(InvalidDataError) as caught:
        runs.edit_run(first, written(tmp_path / "edits.json", edits, first), None)
    message = str(caught.value)
    assert [word for word in ["edits.json", *words] if word not in message] == []
    assert len(message) < 600
    assert content_of(first) == before
    assert sorted(path.name for path in first.parent.iterdir()) == ["run"]


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate((1 << 26) + 1)


BAD_FILES: dict[str, tuple[Any, list[str]]] = {
    "not there": (lambda path: None, ["No such file"]),
    "a folder": (lambda path: path.mkdir(), ["No such file"]),
    "empty": (lambda path: path.write_bytes(b""), ["is not JSON"]),
    "not JSON": (lambda path: path.write_text("{"), ["is not JSON"]),
    "not text": (lambda path: path.write_bytes(b"\xff\xfe\x00"), ["is not JSON"]),
    "deep": (lambda path: path.write_text("[" * 100_000), ["is not JSON"]),
    "a list": (lambda path: path.write_text("[]"), ["no file of edits", "vrae edits"]),
    "another format": (lambda path: written(path, [], format="x"), ["no file of edits"]),
    "another version": (lambda path: written(path, [], version=2), ["has version 2; this version of vrae reads"]),
    "version of text": (lambda path: written(path, [], version="1"), ["has version '1'"]),
    "version true": (lambda path: written(path, [{"split": 0}], version=True), ["has version True"]),
    "a key twice": (
        lambda path: path.write_text('{"format": "vrae edits", "edits": [{"rename": {"0": "A", "0": "B"}}]}'),
        ["is not JSON", "a key occurs twice in one object: '0'"],
    ),
    "no edits": (lambda path: written(path, []), ['"edits" must be a list of one or more']),
    "edits of text": (lambda path: written(path, "x"), ['"edits" must be a list']),
    "sizes of text": (lambda path: written(path, [{"split": 0}], sizes="x"), ['"sizes" must be a list']),
    "sizes of fractions": (lambda path: written(path, [{"split": 0}], sizes=[1.5]), ['"sizes" must be a list']),
    "other sizes": (
        lambda path: written(path, [{"split": 0}], sizes=[20, 4]),
        ["made for 2 groups of 20, 4 series", "This run has 3 groups of"],
    ),
    "too large": (huge, ["no report writes 67,108,865 bytes"]),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_files_that_hold_no_edits_of_this_run_are_refused(case, first, tmp_path):
    write, words = BAD_FILES[case]
    before = content_of(first)
    write(tmp_path / "edits.json")
    with pytest.raises(InvalidDataError) as caught:
        runs.edit_run(first, tmp_path / "edits.json", None)
    assert [word for word in ["edits.json", *words] if word not in str(caught.value)] == []
    assert content_of(first) == before


BAD_NAMES: dict[str, tuple[str, list[str]]] = {
    "no column": ("cluster,title\n0,x\n", ["No column 'name'", "Its columns: 'cluster', 'title'"]),
    "other column": ("clusters,name\n0,x\n", ["No column 'cluster'", "Did you mean 'clusters'?"]),
    "no number": ("cluster,name\nfirst,x\n", ["'first' in row 2 is not the number of a cluster"]),
    "a fraction": ("cluster,name\n0.5,x\n", ["0.5 in row 2"]),
    "two names": ("cluster,name\n0,x\n0,y\n", ["two names for cluster 0: 'x', 'y'"]),
    "no names": ("cluster,name\n0,\n", ["holds no names"]),
    "unknown cluster": ("cluster,name\n7,x\n", ["there is no cluster 7"]),
    "the same name": ("cluster,name\n0,x\n1,x\n", ["0 and 1 would both be named 'x'"]),
    "a long name": (f"cluster,name\n0,{'x' * 81}\n", ["1 to 80 characters"]),
    "nothing": ("", ["is empty"]),
}


@pytest.mark.parametrize("case", BAD_NAMES)
def test_files_that_hold_no_names_are_refused(case, first, tmp_path):
    text, words = BAD_NAMES[case]
    (tmp_path / "names.csv").write_text(text)
    before = content_of(first)
    for change in (
        lambda: runs.edit_run(first, None, None, names=tmp_path / "names.csv"),
        lambda: runs.regroup_run(first, 3, None, names=tmp_path / "names.csv"),
    ):
        with pytest.raises((InvalidDataError, InvalidParameterError)) as caught:
            change()
        assert [word for word in words if word not in str(caught.value)] == []
    assert content_of(first) == before


def test_names_can_be_numbers_or_words_of_tables(tmp_path):
    (tmp_path / "names.csv").write_text("name,cluster\n2024,0\n007,1\nTotal,2\n")
    assert read_names(tmp_path / "names.csv") == {0: "2024", 1: "007", 2: "Total"}
    pd.DataFrame({"cluster": [0.0, 1.0], "name": ["a", None]}).to_parquet(tmp_path / "names.parquet")
    assert read_names(tmp_path / "names.parquet") == {0: "a"}


def test_the_command_says_what_is_wrong(cli, first, tmp_path):
    one_message(cli("edit", first), "Name a file with edits", "--names")
    one_message(cli("edit", first, tmp_path / "none.json"), "No such file", "none.json")
    one_message(cli("edit", tmp_path, written(tmp_path / "e.json", [{"split": 0}])), "is not a run folder")
    one_message(cli("regroup", first, "-k", 3, "--names", tmp_path / "none.csv"), "none.csv")


def test_a_byte_order_mark_is_no_error(tmp_path):
    written(tmp_path / "e.json", [{"split": 0}])
    (tmp_path / "e.json").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "e.json").read_bytes())
    assert read_edits(tmp_path / "e.json").edits == [{"split": 0}]


# ---------------------------------------------------------------- older runs, ids of other types


def without_names(run: Path) -> None:
    """Make the table of a run like those that were written before clusters had names."""
    table = pd.read_csv(run / "clusters.csv", dtype=str).drop(columns="name")
    table.rename(columns={"name_static": "name"}).to_csv(run / "clusters.csv", index=False)


def test_runs_without_names_get_them(run, tmp_path):
    expected = table_of(run)
    without_names(run)
    runs.edit_run(run, written(tmp_path / "e.json", [{"rename": {"0": "x"}}], run), None)
    found = table_of(run)
    assert list(found) == list(expected)
    assert set(found["name"][found["cluster"] == 0]) == {"x"}
    pd.testing.assert_frame_equal(found.drop(columns="name"), expected.drop(columns="name"))


def test_tables_in_parquet_get_names(run, tmp_path):
    table = table_of(run)
    table.drop(columns="name").rename(columns={"name_static": "name"}).to_parquet(run / "clusters.parquet", index=False)
    (run / "clusters.csv").unlink()
    runs.edit_run(run, written(tmp_path / "e.json", [{"rename": {"0": "x"}}], run), None)
    found = pd.read_parquet(run / "clusters.parquet")
    assert list(found) == list(table)
    assert found["name_static"].tolist() == table["name_static"].tolist()
    assert set(found["name"][found["cluster"] == 0]) == {"x"}


DAYS = np.datetime64("2024-01-01") + np.arange(N)
IDS = {
    "days": DAYS,
    "times": DAYS + np.timedelta64(90, "m"),
    "nanoseconds": (DAYS + np.timedelta64(90, "m")).astype("M8[ns]"),
    "fractions": np.arange(N) / 4,
    "whole numbers": np.arange(N) * 7,
    "formulas": [f"=A{i}" for i in range(N)],
    "mixed": [i if i % 2 else f"s{i}" for i in range(N)],
}


@pytest.mark.parametrize("kind", IDS)
def test_series_are_found_by_ids_of_every_type(kind, tiny, tmp_path):
    panel = panel_of(IDS[kind])
    runs.cluster_panel(VRAEClusterer(2, model=VRAE(**tiny)), panel, None, tmp_path / "run", "Waves")
    rows = pd.read_csv(tmp_path / "run" / "clusters.csv", dtype=str)
    shuffled = rows.sample(frac=1, random_state=0)
    shuffled.to_csv(tmp_path / "run" / "clusters.csv", index=False)
    found = read_assignment(tmp_path / "run")
    expected = load_model(tmp_path / "run")
    assert positions(expected.ids_, found.ids).tolist() == shuffled.index.tolist()
    np.testing.assert_array_equal(found.embedding, expected.embedding_[shuffled.index])
    np.testing.assert_array_equal(found.labels, expected.labels_[shuffled.index])
    to = str(1 - int(rows["cluster"][3]))
    for name in (rows["id"][3], str(panel.ids[3])):  # as in the table, and as Python prints it
        edits = written(tmp_path / "e.json", [{"move": [name], "to": int(to)}], tmp_path / "run")
        runs.edit_run(tmp_path / "run", edits, [panel])
        table = pd.read_csv(tmp_path / "run" / "clusters.csv", dtype=str).set_index("id")
        assert table["cluster"][rows["id"][3]] == to


def test_escaped_formulas_are_the_same_ids(cli, tmp_path):
    X = make_series("2d", N)
    np.savez(tmp_path / "X.npz", X=X, ids=np.array([f"=A{i}" for i in range(N)]))
    options = ["-k", 2, "--epochs", 1, "-q", "-o", tmp_path / "run"]
    assert cli("--escape-formulas", "cluster", tmp_path / "X.npz", *options).code == 0
    assert table_of(tmp_path / "run")["id"][0] == "'=A0"
    assert read_assignment(tmp_path / "run").ids[0] == "=A0"


@pytest.mark.parametrize("change", ["another id", "an id twice", "a row less"])
def test_tables_of_different_series_are_refused(change, run):
    table = pd.read_csv(run / "clusters.csv", dtype=str)
    if change == "a row less":
        table = table.iloc[:-1]
    else:
        table.loc[2, "id"] = {"another id": "x", "an id twice": "s1"}[change]
    table.to_csv(run / "clusters.csv", index=False)
    with pytest.raises(ModelFileError, match="the tables of the run cannot be read"):
        read_assignment(run)


def test_positions_compare_ids_as_text():
    assert positions(np.array(["a", "1"]), np.array(["1", "b"])).tolist() == [1, -1]
    assert positions(DAYS, np.array(["2024-01-02", "2024-01-02 00:00:00", "no day"])).tolist() == [1, 1, -1]
    with pytest.raises(ValueError, match="twice"):
        positions(np.array(["a", "a"]), np.array(["a"]))


def test_a_typed_name_means_the_cluster_that_had_it_when_it_was_typed():
    """Edits rename clusters, and the name of one of them can go to another."""

    def clusters(names: list[str], labels: list[int]) -> Any:
        return SimpleNamespace(names_=dict(enumerate(names)), labels_=np.array(labels))

    typed = ClusterNames.of(clusters(["Steady", "Peaks", "Declining"], [0, 0, 1, 1, 2, -1]))
    now = clusters(["Declining", "Declining (1)"], [0, 0, 0, 0, 1, -1])
    assert typed.in_edit({"split": "Declining"}, now) == {"split": 1}
    assert typed.in_edit({"merge": ["Peaks", "Declining"]}, now) == {"merge": [0, 1]}
    assert typed.in_edit({"merge": ["Declining (1)", 0]}, now) == {"merge": ["Declining (1)", 0]}


def test_a_cluster_that_was_emptied_is_said(run, tmp_path):
    table = table_of(run)
    ids = table["id"][table["cluster"] == 1].tolist()
    edits = written(tmp_path / "e.json", [{"move": ids, "to": 0}, {"merge": [0, 1]}], run)
    with pytest.warns(DataWarning) as told:
        runs.edit_run(run, edits, None)
    assert [str(one.message) for one in told if "Cluster 1 has no series left" in str(one.message)]
    (later,) = [str(one.message) for one in told if "edit 1 of 2" in str(one.message)]
    assert "The edits after it use these new numbers" in later
    assert runs.read_metrics(run)["sizes"] == [N]


HOSTILE = [
    "a\nb",
    "a\rb",
    "a\r\nb",
    '"',
    "'=1+1",
    "=1+1",
    "\ufeffbom",
    " sp ",
    "NaN",
    "a\0b",
    "\x1b[31m",
    "007",
    "\u2028",
    "😀",
]


@pytest.mark.parametrize("escaped", [[], ["--escape-formulas"]], ids=["as they are", "escaped"])
def test_a_run_with_hostile_ids_is_read_back(escaped, cli, small_series, tmp_path):
    ids = [*HOSTILE, "x" * 200_000, *(f"s{i}" for i in range(24 - len(HOSTILE) - 1))]
    kind = np.array(["one\ntwo", "=2"] * 12)
    table = pa.table({"\x1b[32mid": ids, "a\nkind": kind, "y": list(small_series("2d", 24))})
    pq.write_table(table, tmp_path / "X.parquet")
    out, reading = (
        tmp_path / "run",
        ["--id", "\x1b[32mid", "--value", "y", "--static", "a\nkind", "-k", 2, "--epochs", 1],
    )
    commands = [["cluster", tmp_path / "X.parquet", *reading, "--out", out], ["info", out], ["report", out]]
    commands += [["regroup", out, "-k", 3], ["edit", out, "--merge", "0,1"], ["explain", out]]
    for command in commands:
        done = cli(*escaped, *command)
        assert done.code == 0, done.said
        assert "\x1b" not in done.out + done.err  # shown, and not obeyed
        assert ("named by \\x1b[32mid" in done.out + done.err) == (command[0] in ("cluster", "info"))
    assert cli("explain", out, "a\nb").code == 0
    assert cli("explain", out, "\x1b[31m").out.startswith("Series \\x1b[31m: ")
    found = read_assignment(out)
    as_written = [f"'{name}" if escaped and name[0] in "=" else name for name in ids]
    assert found.ids.tolist() == ids
    assert set(found.static["a\nkind"].tolist()) == {"one\ntwo", "'=2" if escaped else "=2"}
    with (out / "clusters.csv").open(newline="", encoding="utf-8") as file:
        csv.field_size_limit(1 << 20)
        assert [row[0] for row in csv.reader(file)][1:] == as_written
