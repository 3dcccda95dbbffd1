"""docs/reliability.md is true: the tests that it names exist, and its figures were measured."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import test_divergence
import test_errors
import test_examples
import test_saved_models
import test_saving

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(test_\w+\.py)::(\w+)`", PAGE)))
ROWS = re.findall(
    r"^\| (?!promise \|)([^-|][^|]*)\| ([^|]*)\| ([^|]*)\|$", PAGE.partition("## Attacks")[0], re.MULTILINE
)


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


def attacks() -> Any:
    """Import the command that runs the attacks."""
    spec = importlib.util.spec_from_file_location("attacks", ROOT / "benchmarks" / "reliability" / "attacks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_of_attacks_was_measured():
    command, lines = attacks(), measured("attacks")
    assert [line["attack"] for line in lines] == list(command.ATTACKS)
    assert command.START + command.table(lines) + command.END in PAGE
    assert [line for line in lines if not line["tries"]] == []


def test_every_test_of_an_attack_exists():
    named = [test for tests in attacks().ATTACKS.values() for test in tests]
    there = {file: (ROOT / "tests" / file).read_text(encoding="utf-8") for file in {t.split("::")[0] for t in named}}
    for test in named:
        file, _, name = test.partition("::")
        assert f"def {name.partition('[')[0]}(" in there[file] or not name, test


def test_what_is_counted_in_tests_is_what_the_page_says():
    assert f"| {len(test_saving.DAMAGE)} kinds; each array of a model |" in PAGE
    assert f"| {4 * len(test_divergence.HARSH)} cases |" in PAGE
    assert f"| {len(test_examples.WRONG)} faults |" in PAGE
    assert f"| {len(test_errors.CLASSES)} classes |" in PAGE
    assert f"| formats 1 to {len(test_saved_models.FOLDERS)} |" in PAGE


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
