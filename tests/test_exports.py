"""Public names and modules: they can be imported, and they are documented."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest

import vrae
import vrae.exceptions

MODULES = ["vrae", *(m.name for m in pkgutil.walk_packages(vrae.__path__, "vrae.") if m.name != "vrae.__main__")]


def test_public_names_are_complete():
    assert len(set(vrae.__all__)) == len(vrae.__all__)
    needed = {"VRAE", "VRAEClusterer", "VRAEAnomalyDetector", "VRAENeighbors", "GroupForecaster", "Panel"}
    assert needed | {"read_panel", "load_example", "load_model", "find_cannibalization"} <= set(vrae.__all__)
    assert set(vrae._HOME) == set(vrae.__all__) - {"__version__"}
    assert set(vrae.__all__) <= set(dir(vrae))


def test_public_names_can_be_imported_and_are_documented():
    wrong = []
    for name in set(vrae.__all__) - {"__version__"}:
        thing = getattr(vrae, name)
        if thing.__name__ != name or len(inspect.getdoc(thing) or "") <= 30:
            wrong.append(name)
        if inspect.isclass(thing):
            methods = {n: m for n, m in inspect.getmembers(thing) if not n.startswith("_") and callable(m)}
            ours = {n: m for n, m in methods.items() if getattr(m, "__module__", "").startswith("vrae")}
            wrong += [f"{name}.{n}" for n, method in ours.items() if not inspect.getdoc(method)]
    assert wrong == []


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'VRAEClustrer'"):
        getattr(vrae, "VRAEClustrer")  # noqa: B009


def test_every_module_has_a_docstring_and_exports_what_it_says():
    wrong = []
    for name in MODULES:
        module = importlib.import_module(name)
        first_line = (module.__doc__ or "").strip().partition("\n")[0].rstrip()
        if not first_line.endswith((".", ":", "?")):
            wrong.append(f"{name}: docstring")
        if hasattr(module, "__path__") and name != "vrae" and not hasattr(module, "__all__"):
            continue  # a package that only holds modules
        if not hasattr(module, "__all__") or len(set(module.__all__)) != len(module.__all__):
            wrong.append(f"{name}: __all__")
        else:
            wrong += [f"{name}: {n}" for n in module.__all__ if not hasattr(module, n)]
    assert wrong == []


def test_modules_import_nothing_private_from_each_other():
    private = [
        f"{path.name}:{node.lineno}: {node.module}.{alias.name}"
        for path in Path(str(vrae.__file__)).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("vrae")
        for alias in node.names
        if alias.name.startswith("_") and not alias.name.startswith("__")
    ]
    assert private == []


def test_every_error_and_warning_is_exported_and_documented():
    classes = {
        n: c
        for n, c in vars(vrae.exceptions).items()
        if inspect.isclass(c) and issubclass(c, BaseException) and c.__module__ == "vrae.exceptions"
    }
    assert set(classes) <= set(vrae.exceptions.__all__)
    assert all(c.__doc__ for c in classes.values())
    tree = str(vrae.exceptions.__doc__)
    assert [n for n in classes if n not in tree] == []
    # Ctrl-C is a KeyboardInterrupt as everywhere, and is not caught with errors.
    assert issubclass(classes.pop("TrainingInterrupted"), KeyboardInterrupt)
    errors = [c for c in classes.values() if not issubclass(c, Warning)]
    assert all(issubclass(c, vrae.exceptions.VRAEError) for c in errors)
    warnings = [c for c in classes.values() if issubclass(c, Warning)]
    assert all(issubclass(c, vrae.exceptions.VRAEWarning) for c in warnings)
    assert issubclass(vrae.exceptions.InvalidDataError, ValueError)
    assert issubclass(vrae.exceptions.InvalidParameterError, ValueError)


def test_the_version_is_the_installed_one():
    from importlib.metadata import version

    assert vrae.__version__ == version("vrae")
