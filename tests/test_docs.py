"""The documentation is true: its Python runs, its commands parse, its links and tables are right.

Blocks of a page share their names. The fixture `reader` makes the data that a page assumes. Here
training is short and examples are small, so that pages can show what a user would write.
"""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from pydoc import locate
from typing import Any

import numpy as np
import pytest
import typer

from vrae import VRAE, GroupForecaster, Panel, VRAEAnomalyDetector, VRAEClusterer, VRAENeighbors
from vrae.cli import app
from vrae.data import datasets
from vrae.data.reading import read_panel
from vrae.estimators import options

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").rglob("*.md")])
NAMES = {path: path.relative_to(ROOT).as_posix() for path in PAGES}
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
COMMANDS: Any = typer.main.get_command(app)

# A block after such a comment is not run. The comment, which the site does not show, says why.
SKIP = re.compile(r"<!-- not run: .+ -->\s*$")
_MOST_SKIPPED = 2


def blocks(path: Path, *languages: str) -> list[tuple[str, bool]]:
    """Return the fenced blocks in these languages, and whether each is marked as not run."""
    text = path.read_text(encoding="utf-8")
    return [
        (found[2], bool(SKIP.search(text[: found.start()]))) for found in FENCE.finditer(text) if found[1] in languages
    ]


def needs_data(path: Path) -> bool:
    """Return whether a page loads data sets that are not bundled."""
    code = "\n".join(code for code, skipped in blocks(path, "python") if not skipped)
    return not set(re.findall(r'load_example\("(\w+)"', code)) <= set(datasets.list_examples())


WITH_PYTHON = [path for path in PAGES if blocks(path, "python")]
WITH_COMMANDS = [path for path in PAGES if any("vrae " in code for code, _ in blocks(path, "", "bash"))]


# ---------------------------------------------------------------- data of a reader


def weekly(n: int, seed: int) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    week = np.arange(48)
    season = 1 + np.sin(2 * np.pi * week / np.array([12, 24])[np.arange(n) % 2, None])
    return (20 * season + rng.normal(0, 2, (n, len(week)))).clip(0)


def write_sales(path: Path, n: int, seed: int) -> None:
    import pandas as pd

    y = weekly(n, seed)
    table = pd.DataFrame(
        {
            "item": np.repeat([f"item{i}" for i in range(n)], y.shape[1]),
            "week": np.tile(pd.date_range("2023-01-02", periods=y.shape[1], freq="7D"), n),
            "qty": y.ravel(),
            "category": np.repeat([("garden", "kitchen")[i % 2] for i in range(n)], y.shape[1]),
        }
    )
    if path.suffix == ".parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False)


@pytest.fixture(scope="module")
def clusterer() -> VRAEClusterer:
    panel = Panel.from_arrays(weekly(24, 0), ids=[f"item{i}" for i in range(24)])
    return VRAEClusterer(2, model=VRAE(max_epochs=4, device="cpu"), random_state=0).fit(panel)


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clusterer: VRAEClusterer) -> dict[str, Any]:
    """Return the variables that pages assume, in a folder with the files that they assume."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(options, "_TRAINING_STEPS", 4)
    load = datasets.load_example

    def thinned(name: str, **options: Any) -> Any:
        panel, labels = load(name, **options)
        kept = np.arange(0, len(panel), max(1, len(panel) // 40))
        return datasets.Example(panel.select(kept), None if labels is None else labels[kept])

    monkeypatch.setattr(datasets, "load_example", thinned)
    for name in ("sales.parquet", "sales.csv"):
        write_sales(tmp_path / name, 24, 0)
    for name in ("new.parquet", "new.csv"):
        write_sales(tmp_path / name, 6, 1)
    load_of_machine = np.tile(weekly(1, 2)[0], 5)
    rows = [f"machine,{at},{value}" for at, value in enumerate(load_of_machine)]
    (tmp_path / "sensor.csv").write_text("\n".join(["unique_id,ds,y", *rows, ""]))
    panel = read_panel("sales.parquet", id="item", time="week", value="qty")
    new = read_panel("new.parquet", id="item", time="week", value="qty")
    known = {"np": np, "X": panel, "sales": panel, "panel": panel, "clusterer": clusterer}
    return {**known, "X_new": new, "new": new, "new_panel": new, "new_items": new}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=pytest.mark.data if needs_data(path) else ()) for path in WITH_PYTHON],
    ids=NAMES.get,
)
def test_the_python_of_a_page_runs(path, reader, monkeypatch):
    names = {"__name__": "__main__", **reader}
    for number, (code, skipped) in enumerate(blocks(path, "python"), 1):
        if not skipped:
            exec(compile(code, f"{NAMES[path]}, block {number}", "exec"), names)


def test_almost_all_blocks_are_run():
    skipped = [NAMES[path] for path in WITH_PYTHON for _, skip in blocks(path, "python") if skip]
    assert len(skipped) <= _MOST_SKIPPED, skipped


# ---------------------------------------------------------------- commands


def commands_in(text: str) -> Iterator[list[str]]:
    """Yield the words of every `vrae` command of a shell text."""
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|>;&")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word[0] not in "|>;&":
                words.append(word)
                continue
            if words[:1] == ["vrae"]:
                yield words[1:]
            words = []


def parse(words: list[str]) -> None:
    """Parse a command without running it."""
    if words[0].startswith("-"):
        assert words[0] in ("-h", "--help", "--version", "--install-completion"), words
        return
    command = COMMANDS.commands[words[0]]
    command.make_context(words[0], [*words[1:]], parent=typer.Context(COMMANDS, info_name="vrae"))


@pytest.mark.parametrize("path", WITH_COMMANDS, ids=NAMES.get)
def test_the_commands_of_a_page_are_commands(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("run.toml", "runs/six/config.toml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text('data = "sales.csv"\n')
    found = [words for code, _ in blocks(path, "", "bash") for words in commands_in(code)]
    assert found
    for words in found:
        parse(words)


def test_the_examples_of_the_help_are_commands():
    texts = [command.help or "" for command in COMMANDS.commands.values()]
    lines = [line.partition("Example:")[2] for text in texts for line in text.splitlines() if "Example:" in line]
    found = [words for line in lines for words in commands_in(line)]
    assert len(found) >= len(texts)
    for words in found:
        parse(words)


def test_unknown_options_and_commands_are_noticed():
    with pytest.raises(Exception, match="No such option"):
        parse(["cluster", "sales.csv", "--clustres", "3"])
    with pytest.raises(KeyError):
        parse(["clutser", "sales.csv"])
    assert list(commands_in("zcat a | vrae embed - -m 'x y' > z; ls  # vrae no")) == [["embed", "-", "-m", "x y"]]


# ---------------------------------------------------------------- links


def anchors(path: Path) -> set[str]:
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    heads = re.findall(r"^#+ +(.+?)\s*$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("path", PAGES, ids=NAMES.get)
def test_links_lead_somewhere(path):
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link or link.startswith("mailto:"):
            continue
        place, _, anchor = link.partition("#")
        target = (path.parent / place).resolve() if place else path
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    records = [page for page in pages if page.startswith("decisions/0")]
    assert [page for page in pages if page not in records and f" {page}\n" not in navigation] == []
    index = (ROOT / "docs/decisions/README.md").read_text(encoding="utf-8")
    assert [record for record in records if f"]({Path(record).name})" not in index] == []


# ---------------------------------------------------------------- tables of options and commands


def section(page: str, heading: str) -> str:
    """Return the text below a heading of a page in docs/, up to the next one of any level."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.DOTALL | re.MULTILINE)
    assert found is not None, f"{page} has no heading {heading!r}"
    return found[1]


@pytest.mark.parametrize(
    "estimator", [VRAE, VRAEClusterer, VRAEAnomalyDetector, VRAENeighbors, GroupForecaster], ids=lambda e: e.__name__
)
def test_the_options_page_lists_the_options_and_their_defaults(estimator):
    rows = re.findall(r"^\| `(\w+)` \| `(.*?)` \|", section("options.md", f"`{estimator.__name__}`"), re.MULTILINE)
    listed = {name: default.replace('"', "'") for name, default in rows}
    assert listed == {name: repr(p.default) for name, p in inspect.signature(estimator).parameters.items()}


def test_the_command_line_page_lists_the_commands_and_variables():
    assert set(re.findall(r"^\| `vrae (\w+)`", section("commands.md", "Command line"), re.MULTILINE)) == set(
        COMMANDS.commands
    )
    parameters = [p for command in [COMMANDS, *COMMANDS.commands.values()] for p in command.params]
    known = {p.envvar for p in parameters if p.envvar}
    listed = set(re.findall(r"^\| `(VRAE_\w+)`", section("commands.md", "Options in the environment"), re.MULTILINE))
    assert listed == known


def test_the_members_on_the_api_page_exist():
    page = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    entries = re.findall(r"^::: ([\w.]+)\n(.*?)(?=^:::|^#|\Z)", page, re.DOTALL | re.MULTILINE)
    assert len(entries) > 20
    missing = []
    for name, settings in entries:
        documented = locate(name)
        members = re.search(r"^ +members:((?:\n? +- \w+| \[.*\])+)$", settings, re.MULTILINE)
        listed = re.findall(r"\w+", members[1]) if members else []
        missing += [f"{name}.{member}" for member in listed if not hasattr(documented, member)]
        missing += [name] * (documented is None)
    assert missing == []
