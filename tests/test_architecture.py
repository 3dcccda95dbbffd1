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


# What would run code that lies in a file, or hand text to a shell. A network's .eval() is another thing.
_RUN_CODE = {"eval", "exec", "compile", "__import__"}
_NEVER_IMPORTED = {
    *("pickle", "cloudpickle", "joblib", "dill", "shelve", "marshal"),
    *("subprocess", "pty", "code", "runpy"),
}
_NEVER_USED = (
    *("os.system", "os.popen", "os.exec", "os.spawn", "os.posix_spawn"),
    *("torch.load", "torch.save", "torch.jit.load"),
)
_ONLY_FALSE = {"shell", "allow_pickle"}


def dotted(node: ast.expr) -> str:
    """Return ``a.b.c`` of an expression that is a name, and "" of others."""
    if isinstance(node, ast.Name):
        return node.id
    inner = dotted(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{inner}.{node.attr}" if inner else ""


def dangers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and name of all that could run what somebody else wrote."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword):
            is_false = isinstance(node.value, ast.Constant) and node.value.value is False
            if node.arg in _ONLY_FALSE and not is_false:
                yield node.value.lineno, f"{node.arg}="
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            before = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            for name in (before + alias.name for alias in node.names):
                if name.split(".")[0] in _NEVER_IMPORTED or name.startswith(_NEVER_USED):
                    yield node.lineno, name
        elif isinstance(node, (ast.Attribute, ast.Name)):
            name = dotted(node)
            if name in _RUN_CODE or name.startswith(_NEVER_USED):
                yield node.lineno, name


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_nothing_is_pickled_evaluated_or_given_to_a_shell(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert [f"{path}:{line}: {name}" for line, name in dangers(tree)] == []


@pytest.mark.parametrize(
    "code",
    [
        *("import pickle", "from marshal import loads", "import joblib.memory", "import subprocess"),
        *("eval('1')", "run = exec", "compile(a, b, c)", "__import__(name)"),
        *("import os; os.system('x')", "from os import popen", "os.execv(a, b)"),
        *("torch.load(f)", "from torch import load", "np.load(f, allow_pickle=True)"),
        *("run(x, shell=True)", "run(x, shell=given)"),
    ],
)
def test_what_must_not_be_is_seen(code):
    assert list(dangers(ast.parse(code))) != []


def test_what_may_be_is_let_pass():
    code = "network.eval(); re.compile('x'); np.load(f, allow_pickle=False); os.path.exists(p); shell = True"
    assert list(dangers(ast.parse(code))) == []
