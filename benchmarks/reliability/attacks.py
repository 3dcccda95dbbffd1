"""Run every attack, and count its tries and failures: `python benchmarks/reliability/attacks.py`.

An attack is a group of tests, and they are run as they are, with more random cases than usual.
A try is one case: a kill, a damaged file, a set of options. A failure is a test that did not end as
it must. Results go to attacks.jsonl, next to this file, and into the table of docs/reliability.md.

Hypothesis counts the cases that it draws. A test with a loop of its own says how often it tried,
with pytest's fixture `record_property("tries", n)`. Every other test is one try.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from sound_files import FILES  # noqa: E402

PAGE = ROOT / "docs" / "reliability.md"
START, END = "<!-- attacks: begin -->\n", "<!-- attacks: end -->\n"
TABLE_HEAD = "\n| attack | tries | failures |\n|---|--:|--:|\n"

# What each attack tries, and the tests that do. Names are those of docs/reliability.md, and a file
# alone stands for all of its tests.
ATTACKS: dict[str, list[str]] = {
    "`kill -9` in training, then the same call again": [
        "test_checkpoint.py::test_twenty_kills_at_random_moments_give_the_same_weights",
        "test_checkpoint.py::test_resumed_training_gives_the_weights_of_uninterrupted_training",
    ],
    "`kill -9` of `vrae cluster` at a random moment, then `--resume` or `--overwrite`": [
        "test_attacks.py::test_a_command_that_is_killed_at_random_moments_resumes_to_the_same"
    ],
    "a wrong part of `config.json`, of the arrays of a model or of `metrics.json`": [
        "test_mutated_models.py",
        "test_saving.py::test_damaged_directories_are_refused",
        "test_saving.py::test_arrays_of_another_shape_are_refused",
    ],
    "a damaged checkpoint, or one of another training": [
        "test_checkpoint.py::test_a_damaged_checkpoint_is_refused",
        "test_checkpoint.py::test_the_checkpoint_of_another_training_is_refused",
    ],
    **{
        f"a damaged {name.removeprefix('x')} file": [
            f"test_fuzz.py::test_a_damaged_file_is_read_or_refused_with_a_clear_message[{name}]"
        ]
        for name in FILES
    },
    "files that claim more than they hold": ["test_hostile_files.py"],
    "an output over the input, over foreign files, devices, pipes, links and mount points": [
        "test_outputs.py",
        "test_cli.py::test_a_folder_of_something_else_is_never_touched",
        "test_saving.py::test_other_files_and_folders_are_not_overwritten",
    ],
    "a disk that is full at a random byte": [
        "test_attacks.py::test_a_disk_that_is_full_at_a_random_byte_keeps_what_was_there",
        "test_atomic.py::test_a_full_disk_leaves_what_was_there",
        "test_atomic.py::test_a_full_disk_leaves_the_old_table",
    ],
    "a model that another process saves while it is loaded": [
        "test_hostile_files.py::test_a_model_is_loaded_while_another_process_saves"
    ],
    "forks, threads, joblib and data loaders": ["test_determinism.py", "test_side_effects.py"],
    "the default estimator in two processes, bit by bit": [
        "test_attacks.py::test_the_default_estimator_learns_the_same_bits_in_other_processes"
    ],
    "hostile names in the report": [
        "test_attacks.py::test_names_stay_text_in_the_report",
        "test_report.py::test_hostile_names_stay_text",
        "test_report_browser.py::test_hostile_names_are_shown_and_never_run",
    ],
    "random options": ["test_fuzz.py::test_any_options_fit_or_are_refused_with_a_clear_message"],
    "random series": [
        "test_fuzz.py::test_every_series_gets_a_finite_row",
        "test_fuzz.py::test_results_do_not_depend_on_other_series_and_their_order",
        "test_fuzz.py::test_every_item_gets_a_forecast",
        "test_divergence.py::test_extreme_series_do_not_give_nan",
    ],
}


class Counts:
    """A plugin of pytest that counts tries and failures."""

    def __init__(self) -> None:
        self.tries = 0
        self.failed: list[str] = []
        self.skipped: list[str] = []
        self._drawn: dict[str, int] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Count the calls of every test whose cases Hypothesis draws."""
        wrapped = set()
        for item in items:
            test = getattr(getattr(item, "obj", None), "hypothesis", None)
            if test is not None and id(test) not in wrapped:
                wrapped.add(id(test))
                test.inner_test = self._counted(test.inner_test)

    def _counted(self, test: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            name = os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0]
            self._drawn[name] = self._drawn.get(name, 0) + 1
            return test(*arguments, **named)

        return call

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add what a test tried."""
        if report.failed:
            self.failed.append(f"{report.nodeid} ({report.when})")
        if report.when == "setup" and report.skipped:
            self.skipped.append(report.nodeid)
        if report.when == "call" and not report.skipped:
            said = dict(report.user_properties).get("tries", 1)
            self.tries += self._drawn.get(report.nodeid, 0) or int(str(said))


def run(name: str) -> dict[str, Any]:
    """Run the tests of an attack in this process."""
    counts, began = Counts(), time.monotonic()
    where = [str(ROOT / "tests" / test) for test in ATTACKS[name]]
    code = pytest.main([*where, "-q", "--no-header", "-p", "no:cacheprovider", f"--rootdir={ROOT}"], [counts])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        counts.failed.append(f"pytest ended with {code!r}")
    line = {"attack": name, "tries": counts.tries, "failures": len(counts.failed)}
    line |= {key: found for key, found in (("failed", counts.failed), ("skipped", counts.skipped)) if found}
    return {**line, "seconds": round(time.monotonic() - began, 1)}


def run_apart(name: str) -> dict[str, Any]:
    """Run an attack in a process of its own, which it may end."""
    done = subprocess.run([sys.executable, __file__, "--attack", name], stdout=subprocess.PIPE, text=True)
    try:
        line: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        line = {"attack": name, "tries": 1, "failures": 1, "failed": [f"exit code {done.returncode}"]}
    return line


def table(lines: list[dict[str, Any]]) -> str:
    """Return the table of docs/reliability.md."""
    rows = [f"| {line['attack']} | {line['tries']:,} | {line['failures']:,} |\n" for line in lines]
    return TABLE_HEAD + "".join(rows) + "\n"


def save(lines: list[dict[str, Any]], results: Path) -> None:
    """Write the results and the table: after each attack, since a run can be stopped."""
    results.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    PAGE.write_text(before + START + table(lines) + END + rest.partition(END)[2], encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--factor", type=int, default=10, help="random cases, as multiples of the usual number")
    parser.add_argument("--only", default="", help="attacks whose name this regular expression finds; others stay")
    parser.add_argument("--attack", choices=ATTACKS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.attack:
        print("\n" + json.dumps(run(arguments.attack)))
        return
    os.environ["VRAE_FUZZ"] = str(arguments.factor)
    results = HERE / "attacks.jsonl"
    earlier = map(json.loads, results.read_text(encoding="utf-8").splitlines() if results.exists() else ())
    lines = {line["attack"]: line for line in earlier if line["attack"] in ATTACKS}
    for name in ATTACKS:
        if re.search(arguments.only, name):
            lines[name] = run_apart(name)
            print(json.dumps(lines[name]), flush=True)
            save([lines[each] for each in ATTACKS if each in lines], results)
    raise SystemExit(any(line["failures"] for line in lines.values()))


if __name__ == "__main__":
    main()
