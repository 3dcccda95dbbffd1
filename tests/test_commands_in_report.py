"""Every command that a report prints can be pasted: from the folder where the run was made."""

from __future__ import annotations

import html
import json
import re
import shlex
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from vrae import VRAE, VRAEClusterer, load_model
from vrae.cli import app
from vrae.describe.alerts import Action
from vrae.exceptions import VRAEWarning
from vrae.report import CommandLine, PythonLines

pytestmark = [pytest.mark.filterwarnings("ignore::vrae.exceptions.VRAEWarning")]

RUN = "runs/my sales"
_COMMAND = re.compile(r'<div class="command"><pre[^>]*><code>(.*?)</code>', re.DOTALL)


def run(command: list[str]) -> str:
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, (command, done.output, done.exception)
    return done.output


def commands_of(report: Path) -> list[str]:
    return [html.unescape(text) for text in _COMMAND.findall(report.read_text("utf-8"))]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Return a folder with a table of dated sales, columns of odd names, and a run about it."""
    folder = tmp_path_factory.mktemp("office")
    rng = np.random.default_rng(0)
    weeks = np.datetime64("2024-01-01") + 7 * np.arange(60)
    lines = ["the item,on week,shop,net qty"]
    for item in range(40):
        wave = np.sin(np.arange(60) / (3 + 9 * (item % 2)))
        values = 20 + 9 * wave + rng.normal(size=60)
        lines += [
            f"-item {item},{week},{'ab'[item % 2]},{value:.3f}" for week, value in zip(weeks, values, strict=True)
        ]
    (folder / "sales.csv").write_text("\n".join([*lines, ""]))
    columns = ["--id", "the item", "--time", "on week", "--value", "net qty", "--static", "shop"]
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore", VRAEWarning)
        patch.chdir(folder)
        run(["cluster", "sales.csv", *columns, "--epochs", "2", "-q", "-o", RUN])
    return folder


@pytest.mark.slow
def test_every_command_of_a_report_works(place, tmp_path, monkeypatch):
    shutil.copytree(place, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    found = commands_of(Path(RUN) / "report.html")
    shutil.copytree(RUN, "kept")
    verbs = {re.search(r"vrae (\w+)", command)[1] for command in found}  # type: ignore[index]
    assert {"assign", "explain", "regroup", "anomalies", "embed", "forecast", "edit"} <= verbs
    assert any("'runs/my sales'" in command for command in found)
    for command in found:
        shutil.rmtree(RUN)
        shutil.copytree("kept", RUN)  # each starts from the run as the report shows it
        if command == f"vrae edit {shlex.quote(RUN)} edits.json":
            continue  # of the file that the page downloads
        words = shlex.split(command.replace("NEW_DATA", "sales.csv"))
        assert words[0] == "vrae"
        run([*words[1:], *(["--epochs", "1", "--no-classical"] if words[1] == "forecast" else [])])
    written = {path.name for path in tmp_path.iterdir()}
    assert {"assigned.csv", "anomalies.csv", "embedding.csv", "forecast.csv"} <= written
    assert (tmp_path / "assigned.csv").read_text().startswith("id,cluster,")


@pytest.mark.slow
def test_actions_of_alerts_work(place, tmp_path, monkeypatch):
    shutil.copytree(place, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    commands = CommandLine(RUN, {"data": "sales.csv"})
    for action in (Action("train", {"epochs": 3}), Action("fill", {"fill": 0}), Action("group all")):
        words = shlex.split(commands.text(action))
        run([*words[1:], "-q"])
    assert {path.name for path in (tmp_path / "runs").iterdir()} >= {
        "my sales-longer",
        "my sales-filled",
        "my sales-all",
    }
    assert len(load_model(tmp_path / "runs" / "my sales-longer" / "model").model_.history_) == 3


@pytest.mark.slow
def test_clusters_are_merged_and_split_by_options(place, tmp_path, monkeypatch):
    shutil.copytree(place, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    run(["regroup", RUN, "-k", "4", "-q"])
    sizes = json.loads(run(["edit", RUN, "--merge", "1,3", "--split", "0", "-q", "--json"]))["sizes"]
    assert (len(sizes), sum(sizes)) == (4, 40)
    for wrong in ("1;2", "1", "1,99"):
        assert CliRunner().invoke(app, ["edit", RUN, "--merge", wrong]).exit_code != 0
    assert json.loads((tmp_path / RUN / "metrics.json").read_text())["sizes"] == sizes
    names = json.loads((tmp_path / RUN / "metrics.json").read_text())["names"]
    named = [*names[:2], "1"] if names[0].isdecimal() else names[:2]
    merged = json.loads(run(["edit", RUN, "--merge", ",".join(named), "--split", names[3], "-q", "--json"]))["sizes"]
    assert (len(merged), merged[0]) == (4, sizes[0] + sizes[1])


def test_names_with_commas_are_clusters():
    from vrae.cli.run_commands import _clusters

    names = ["Launched in 2024, growing", "Steady", "growing"]
    assert _clusters("Launched in 2024, growing,Steady", names) == ["Launched in 2024, growing", "Steady"]
    assert _clusters("growing, 2", names) == ["growing", 2]
    assert _clusters("Stedy,0", names) == ["Stedy", 0]


def test_names_of_a_shell_are_quoted():
    commands = CommandLine("a b; rm -rf ~", {"data": "it's.csv", "options": {"id": ["a", "b"], "label": None}})
    assert shlex.split(commands.text(Action("regroup", {"n_clusters": 3})))[2] == "a b; rm -rf ~"
    words = shlex.split(commands.text(Action("forecast", {"horizon": 4})))
    assert words[2:7] == ["it's.csv", "--id", "a", "--id", "b"]
    assert shlex.split(commands.text(Action("explain", {"series_id": "-7 $x"})))[2] == "--"


def test_where_no_command_can_do_it_there_is_none():
    for source in ({}, {"data": "-"}, {"example": "OSULeaf"}):
        commands = CommandLine("run", source)
        assert commands.text(Action("train", {"epochs": 9})) == ""
        assert commands.text(Action("forecast", {"horizon": 4})) == ""
    assert commands.text(Action("regroup", {"n_clusters": "auto"})) == "vrae regroup run -k auto"


@pytest.mark.slow
def test_lines_of_python_run(tiny, small_series):
    X = small_series("2d", 24)
    clusterer = VRAEClusterer(3, model=VRAE(**tiny), random_state=0).fit(X)
    names: dict[str, Any] = {"clusterer": clusterer, "X": X, "X_new": X}
    actions = [
        Action("describe"),
        Action("explain", {"series_id": 3}),
        Action("assign"),
        Action("embed"),
        Action("anomalies"),
        Action("regroup", {"n_clusters": 2}),
        Action("train", {"epochs": 1}),
        Action("group all"),
    ]
    for action in actions:
        exec(PythonLines().text(action), names)
    assert names["Z"].shape == (24, 3)
    assert len(clusterer.model_.history_) == 1
