"""Imports go one way: what stands lower knows nothing of what stands above it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import vrae

ROOT = Path(vrae.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

# Lowest first; a module imports from its own layer and from those below.
LAYERS = [
    ("vrae.exceptions",),
    ("vrae.formulas", "vrae.optional", "vrae.storage"),
    ("vrae.config", "vrae.runtime", "vrae.persistence", "vrae.evaluate"),
    # Arrays in, words out: estimators explain themselves in the words of the report.
    ("vrae.data", "vrae.nn", "vrae.plots", "vrae.report.describe"),
    ("vrae.train", "vrae.export"),
    ("vrae.estimators",),
    ("vrae.report", "vrae.integrations"),
    ("vrae.runs",),
    ("vrae.distributed",),
    ("vrae.cli",),
    ("vrae.__main__",),
]
# Neighbours of one layer that do not know each other, and modules that see tensors or arrays only.
STRANGERS = {
    "vrae.config": ("vrae.runtime", "vrae.persistence", "vrae.evaluate"),
    "vrae.nn": ("vrae.data", "vrae.plots", "vrae.runtime", "vrae.persistence"),
    "vrae.data": ("vrae.nn", "vrae.plots", "vrae.persistence"),
    "vrae.evaluate": ("vrae.config", "vrae.runtime", "vrae.persistence"),
    "vrae.plots": ("vrae.data", "vrae.nn", "vrae.persistence"),
}
# Done inside a function only, so that the class to load can be looked up.
LAZY = {("vrae.persistence", "vrae.estimators")}
# Packages that would make `vrae --help` wait.
HEAVY = {"torch", "numpy", "sklearn", "scipy", "pandas", "polars", "pyarrow", "aeon", "matplotlib", "plotly", "ray"}


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> Iterator[tuple[int, str, bool]]:
    """Yield line, imported module and whether it runs on import; type-checking imports count as well."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    lazy = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        for inner in ast.walk(node)
    }
    typing = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            yield node.lineno, name, node not in lazy and node not in typing


def below(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def layer_of(module: str) -> int | None:
    found = [i for i, names in enumerate(LAYERS) if any(below(module, name) for name in names)]
    return found[0] if found else None


def test_every_module_has_its_layer():
    assert [module_of(p) for p in FILES if layer_of(module_of(p)) is None] == ["vrae"]


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_go_down_only(path):
    module = module_of(path)
    layer = layer_of(module)
    offending = []
    for line, name, eager in imports_of(path):
        target = layer_of(name)
        if target is None or layer is None:
            continue
        lazily = not eager and any(below(module, a) and below(name, b) for a, b in LAZY)
        strange = any(
            below(module, package) and any(below(name, other) for other in others)
            for package, others in STRANGERS.items()
        )
        if (target > layer and not lazily) or strange:
            offending.append(f"{path}:{line}: {module} must not import {name}")
    assert offending == []


@pytest.mark.parametrize("module", ["vrae", "vrae.cli", "vrae.__main__"])
def test_the_command_line_imports_nothing_heavy(module):
    path = next(p for p in FILES if module_of(p) == module)
    eager = [(line, name) for line, name, now in imports_of(path) if now]
    assert [f"{path}:{n}: {m}" for n, m in eager if m.split(".")[0] in HEAVY] == []
    assert [f"{path}:{n}: {m}" for n, m in eager if below(m, "vrae") and not below(m, "vrae.cli")] == []


def test_no_file_is_long():
    lengths = {str(p): len(p.read_text(encoding="utf-8").splitlines()) for p in FILES}
    assert {path: n for path, n in lengths.items() if n > 500} == {}


def test_nothing_is_pickled():
    words = ("pickle", "joblib", "dill", "shelve", "marshal")
    assert [
        f"{path}:{line}: {name}" for path in FILES for line, name, _ in imports_of(path) if name.split(".")[0] in words
    ] == []
    calls = ("torch.load(", "torch.save(", "allow_pickle=True", "eval(", "exec(")
    assert [
        f"{path}:{number}: {line.strip()}"
        for path in FILES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if any(call in line.replace(".eval(", "") for call in calls)
    ] == []
