"""docs/reliability.md is true: the tests that it names exist, and its figures were measured."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(test_\w+\.py)::(\w+)`", PAGE)))
ROWS = re.findall(r"^\| (?!promise \|)([^-|][^|]*)\| ([^|]*)\| ([^|]*)\|$", PAGE, re.MULTILINE)


def measured(name: str) -> list[dict[str, object]]:
    lines = (ROOT / "benchmarks" / "reliability" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_every_named_test_exists():
    there = set()
    for file in {file for file, _ in NAMED}:
        tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
        there |= {(file, node.name) for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert [f"{file}::{name}" for file, name in NAMED if (file, name) not in there] == []


def test_every_promise_names_its_tests():
    assert len(ROWS) > 20
    assert [promise for promise, tests, _ in ROWS if not ("::test_" in tests or tests.startswith("none: "))] == []


def test_the_figures_of_kills_were_measured():
    *lines, total = measured("kills")
    kills = [line for line in lines if "kill" in line]
    complete = [line for line in lines if "complete_run" in line]
    assert (len(kills), len(complete)) == (total["kills"], total["complete_runs"])
    assert [line for line in complete if line["not_the_same"]] == []
    assert f"{len(kills)} kills of `vrae cluster`" in PAGE
    assert f"{len(complete)} runs came to their end" in PAGE


def test_the_figures_of_the_soak_were_measured():
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
