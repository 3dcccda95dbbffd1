"""The documentation is true: its Python runs, its commands parse, its links and tables are right.

Blocks of a page share their names. The fixture `reader` makes the data that a page assumes. Here
training is short and examples are small, so that pages can show what a user would write.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from pydoc import locate
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import typer

import vrae
from vrae import VRAE, GroupForecaster, LongSeriesDetector, Panel, VRAEAnomalyDetector, VRAEClusterer, VRAENeighbors
from vrae.cli import app
from vrae.data import datasets
from vrae.data.reading import read_panel
from vrae.estimators import options

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").rglob("*.md")])
NAMES = {path: path.relative_to(ROOT).as_posix() for path in PAGES}
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
COMMANDS: Any = typer.main.get_command(app)

NOTEBOOKS = sorted((ROOT / "docs" / "tutorials").glob("*.ipynb"))

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
    pages += [f"tutorials/{path.stem}.md" for path in NOTEBOOKS]  # made of the notebooks
    records = [page for page in pages if page.startswith("decisions/0")]
    missing = [page for page in pages if page not in records and not re.search(rf" {page}( #.*)?\n", navigation)]
    assert missing == []
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
    "estimator",
    [VRAE, VRAEClusterer, VRAEAnomalyDetector, LongSeriesDetector, VRAENeighbors, GroupForecaster],
    ids=lambda e: e.__name__,
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


# ---------------------------------------------------------------- the API

API = sorted((ROOT / "docs/api").glob("*.md"))

# Methods that scikit-learn and vrae itself call.
_OF_FRAMEWORKS = {
    *("default_model", "embed_and_assign", "embeds_series", "from_state", "get_metadata_routing", "get_params"),
    *("n_features_in_", "partition_", "space_", "predict_proba_from_latent", "move_vectors", "dated_series"),
    *("set_output",),
}


def entries_of(path: Path) -> list[tuple[str, list[str] | None]]:
    """Return what a page documents, and the members that it lists."""
    found = re.findall(
        r"^::: ([\w.]+)\n(.*?)(?=^:::|^#|\Z)", path.read_text(encoding="utf-8") + "\n", re.DOTALL | re.MULTILINE
    )
    entries = []
    for name, settings in found:
        members = re.search(r"^ +members:((?:\n +- \w+)+| \[.*\]| false)$", settings, re.MULTILINE)
        listed = None if members is None else [word for word in re.findall(r"\w+", members[1]) if word != "false"]
        entries.append((name, listed))
    return entries


def test_what_the_api_pages_document_exists():
    missing = []
    for name, members in (entry for path in API for entry in entries_of(path)):
        documented = locate(name)
        missing += [name] * (documented is None)
        missing += [f"{name}.{member}" for member in members or [] if not hasattr(documented, member)]
    assert missing == []


def test_every_public_name_has_an_api_page():
    documented = {name for path in API for name, _ in entries_of(path)}
    public = [f"vrae.{name}" for name in vrae.__all__ if name != "__version__"]
    assert [name for name in public if name not in documented] == []
    pages = [
        path.stem
        for path in API
        if any(locate(name) in map(vars(vrae).get, vrae.__all__) for name, _ in entries_of(path))
    ]
    assert len(pages) == len(set(pages))


def type_name(of: type) -> str:
    return f"{of.__module__}.{of.__qualname__}"


@pytest.mark.parametrize("estimator", [VRAEClusterer, VRAEAnomalyDetector, VRAENeighbors, GroupForecaster])
def test_every_method_of_an_estimator_is_documented_once(estimator):
    by_name = {name: members for path in API for name, members in entries_of(path)}
    shared = by_name["vrae.estimators.head.SeriesHead"]
    own = by_name[f"vrae.{estimator.__name__}"]
    assert shared is not None
    assert own is not None
    methods = {name for name in dir(estimator) if not name.startswith("_")}
    methods -= {name for name in methods if re.fullmatch(r"set_\w+_request", name)}
    methods -= {name for name in methods if name.endswith("_")}  # results of a fit, listed with the class
    assert methods - _OF_FRAMEWORKS - {*own, *shared} == {"plot"}
    assert type_name(estimator.plot) in by_name


# ---------------------------------------------------------------- pages that are made


def module_of(name: str) -> ModuleType:
    """Import a module of docs/."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_command_has_a_page_with_all_of_its_options():
    module = module_of("command_pages")
    pages = module.command_pages()
    assert set(pages) == set(COMMANDS.commands)
    for name, command in COMMANDS.commands.items():
        options = {option for p in command.params if p.param_type_name == "option" for option in p.opts}
        listed = set(re.findall(r"`(--?[a-z][\w-]*)`", pages[name]))
        assert options - {"--help", "-h"} <= listed, name
        examples = [
            words for code in re.findall(r"```\n(.*?)```", pages[name], re.DOTALL) for words in commands_in(code)
        ]
        assert len(examples) >= 2, name  # the usage, and an example
    targets = [ROOT / "docs" / page for page in module._IN_USE.values()]
    assert [path for path in targets if not path.exists()] == []


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_tutorials_run(path, tmp_path, monkeypatch):
    monkeypatch.delenv("VRAE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    run = module_of("tutorial_pages").run_once(path)  # kept for `make docs`
    assert [cell for cell in run["cells"] if cell["cell_type"] == "code" and not cell["execution_count"]] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_tutorials_are_kept_without_outputs(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    links = re.findall(r"\]\(([^)\s#]+)", "".join("".join(cell["source"]) for cell in notebook["cells"]))
    assert [link for link in links if "://" not in link and not (path.parent / link).exists()] == []


# ---------------------------------------------------------------- what a reader's browser gets


@pytest.mark.parametrize("path", [*PAGES, *NOTEBOOKS], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_page_names_a_place_on_a_machine(path):
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"(?<![\w.:/])(?:/home/|/root/|/tmp/|/work/|/Users/|[A-Z]:\\)[\w./\\-]*", text) == []


def test_pictures_are_used_and_small():
    pages = [*PAGES, *NOTEBOOKS]
    used = {
        Path(link).name for path in pages for link in re.findall(r"\(([^)\s]+\.(?:png|svg))\)", path.read_text("utf-8"))
    }
    pictures = [path for path in (ROOT / "docs").rglob("*") if path.suffix in (".png", ".svg")]
    assert [path.name for path in pictures if path.name not in used] == []
    assert [path.name for path in pictures if path.stat().st_size > 400_000] == []


def test_the_site_loads_nothing_from_elsewhere():
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert "font: false" in settings
    assert "extra_javascript" not in settings
    assert "polyfills: [assets/iframe-worker.js]" in settings  # without one, the plugin `offline` loads another
    for path in [*PAGES, *(ROOT / "docs").rglob("*.css")]:
        assert not re.search(r"(?:src=\"|!\[[^\]]*\]\(|url\()https?:", path.read_text(encoding="utf-8")), path.name
