"""Imports lead to lower rooms only, files are short, names are unique, and nothing is executed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import vrae

ROOT = Path(str(vrae.__file__)).parent
FILES = sorted(ROOT.rglob("*.py"))

# Lowest first. A module imports from its own room and from lower ones. Rooms of one line do not
# import from each other.
ROOMS = [
    ("vrae._version", "vrae.exceptions", "vrae.phases"),
    ("vrae.config",),
    ("vrae.runtime", "vrae.metrics", "vrae.io"),
    ("vrae.data",),
    ("vrae.nn",),
    ("vrae.train", "vrae.export"),
    ("vrae.describe",),
    ("vrae.plots",),
    ("vrae.report",),
    ("vrae.estimators",),
    ("vrae.runs",),
    ("vrae.distributed", "vrae.integrations"),
    ("vrae.cli",),
    ("vrae", "vrae.__main__"),
]
# Rooms that know less than their place allows.
ONLY = {
    "vrae.nn": ("vrae.config", "vrae.exceptions"),  # sees tensors only
    "vrae.export": ("vrae.data", "vrae.exceptions", "vrae.io", "vrae.nn"),
}
# Packages that would make `vrae --help` slow.
HEAVY = {"torch", "numpy", "sklearn", "scipy", "pandas", "polars", "pyarrow", "aeon", "matplotlib", "plotly", "ray"}
LONGEST_FILE = 400


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}
TREES = {module: ast.parse(path.read_text(encoding="utf-8")) for module, path in MODULES.items()}


def imports_of(module: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and name of every module of the package that a module imports.

    Imports inside functions and for type checking count, and so do modules that are imported by
    their name, as a string. The name of a module's own package, where its data files are, does not.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("vrae."):
            names = [] if module.startswith(f"{node.value}.") else [node.value]
        else:
            continue
        for name in names:
            found = name if name in MODULES else name.rpartition(".")[0]  # a module, or something in one
            if found in MODULES:
                yield node.lineno, found


def room_of(module: str) -> str:
    rooms = [room for line in ROOMS for room in line if module == room or module.startswith(f"{room}.")]
    return max(rooms, key=len)


def level_of(room: str) -> int:
    return next(level for level, line in enumerate(ROOMS) if room in line)


def test_every_module_has_a_room():
    assert [module for module in MODULES if module != "vrae" and room_of(module) == "vrae"] == []
    assert [room for line in ROOMS for room in line if room not in MODULES] == []


def test_imports_lead_to_lower_rooms_only():
    wrong = []
    for module, tree in TREES.items():
        room = room_of(module)
        for line, name in imports_of(module, tree):
            other = room_of(name)
            allowed = level_of(other) < level_of(room) and other in ONLY.get(room, (other,))
            if other != room and not allowed:
                wrong.append(f"{MODULES[module]}:{line}: {module} must not import {name}")
    assert wrong == []


def test_there_is_no_import_circle():
    graph = {module: {name for _, name in imports_of(module, tree)} for module, tree in TREES.items()}
    circle = ""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = " -> ".join(error.args[1])
    assert circle == ""


def test_imports_are_found_wherever_they_are():
    typing = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from vrae.data.panel import Panel"
    for code in (typing, "def f():\n    import vrae.data.panel", "import_module('vrae.data.panel')"):
        assert [name for _, name in imports_of("vrae.nn.model", ast.parse(code))] == ["vrae.data.panel"]


def test_no_module_name_exists_twice():
    counts = Counter(path.stem for path in FILES if path.stem != "__init__")
    assert [str(path) for path in FILES if counts[path.stem] > 1] == []


def test_no_file_is_long():
    lengths = {str(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {path: n for path, n in lengths.items() if n > LONGEST_FILE} == {}


def test_the_command_line_imports_nothing_heavy():
    code = "import sys, vrae, vrae.cli; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & HEAVY == set()


# ---------------------------------------------------------------- nothing is executed

# What would run code from a file, or pass text to a shell. The .eval() of a network is fine.
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
    """Return ``a.b.c`` for an expression that is a name, else an empty text."""
    if isinstance(node, ast.Name):
        return node.id
    inner = dotted(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{inner}.{node.attr}" if isinstance(node, ast.Attribute) and inner else ""


def dangers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and name of everything that could run foreign code."""
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


def test_nothing_is_pickled_evaluated_or_given_to_a_shell():
    found = [f"{MODULES[module]}:{line}: {name}" for module, tree in TREES.items() for line, name in dangers(tree)]
    assert found == []


def test_dangers_are_found():
    codes = [
        *("import pickle", "from marshal import loads", "import joblib.memory", "import subprocess"),
        *("eval('1')", "run = exec", "compile(a, b, c)", "__import__(name)"),
        *("import os; os.system('x')", "from os import popen", "os.execv(a, b)"),
        *("torch.load(f)", "from torch import load", "np.load(f, allow_pickle=True)"),
        *("run(x, shell=True)", "run(x, shell=given)"),
    ]
    assert [code for code in codes if not list(dangers(ast.parse(code)))] == []


def test_harmless_code_passes():
    code = "network.eval(); re.compile('x'); np.load(f, allow_pickle=False); os.path.exists(p); shell = True"
    assert list(dangers(ast.parse(code))) == []
