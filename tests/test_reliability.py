"""docs/reliability.md says what is so: its tests exist, and its figures are those that were measured."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(test_\w+\.py)::(\w+)`", PAGE)))
ROWS = re.findall(r"^\| (?!promise \|)([^-|][^|]*)\| ([^|]*)\| ([^|]*)\|$", PAGE, re.MULTILINE)


def measured(name: str) -> list[dict[str, object]]:
    lines = (ROOT / "benchmarks" / "reliability" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("file", sorted({file for file, _ in NAMED}))
def test_every_test_that_is_named_exists(file):
    tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
    there = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert [name for where, name in NAMED if where == file and name not in there] == []


def test_every_promise_names_what_holds_it():
    assert len(ROWS) > 20
    assert [promise for promise, tests, _ in ROWS if not ("::test_" in tests or tests.startswith("none: "))] == []


def test_the_figures_of_kills_are_those_that_were_measured():
    *lines, total = measured("kills")
    kills = [line for line in lines if "kill" in line]
    complete = [line for line in lines if "complete_run" in line]
    assert (len(kills), len(complete)) == (total["kills"], total["complete_runs"])
    assert [line for line in complete if line["not_the_same"]] == []
    assert f"{len(kills)} kills of `vrae cluster`" in PAGE
    assert f"{len(complete)} runs came to their end" in PAGE


def test_the_figures_of_the_soak_are_those_that_were_measured():
    total = measured("soak")[-1]
    for key, words in {
        "minutes": "{:.1f} minutes",
        "rounds": "{:,} rounds",
        "mib_an_hour": "{:+.1f} MiB an hour",
        "files": "{} open files",
        "threads": "{} thread",
    }.items():
        assert words.format(total[key]).replace("-", "\N{MINUS SIGN}") in PAGE, key
    assert total["files"] == total["files_at_first"]
