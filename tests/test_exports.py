"""What the package promises is there, can be imported, and is documented."""

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
    step_1 = {"VRAE", "VRAEClusterer", "read_panel", "load_example", "load_model", "Panel"}
    assert step_1 - set(vrae.__all__) == set()
    assert set(vrae._HOME) == set(vrae.__all__) - {"__version__"}
    assert set(vrae.__all__) <= set(dir(vrae))


@pytest.mark.parametrize("name", [n for n in vrae.__all__ if n != "__version__"])
def test_public_names_can_be_imported_and_are_documented(name):
    thing = getattr(vrae, name)
    assert thing.__name__ == name
    assert len(inspect.getdoc(thing)) > 30
    if inspect.isclass(thing):
        public = {n: m for n, m in inspect.getmembers(thing) if not n.startswith("_") and callable(m)}
        ours = {n: m for n, m in public.items() if getattr(m, "__module__", "").startswith("vrae")}
        assert [n for n, m in ours.items() if not inspect.getdoc(m)] == []


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'VRAEClustrer'"):
        getattr(vrae, "VRAEClustrer")  # noqa: B009


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_is_and_exports(name):
    module = importlib.import_module(name)
    assert module.__doc__
    assert module.__doc__.strip().splitlines()[0].rstrip().endswith((".", ":", "?"))
    if hasattr(module, "__path__") and name != "vrae" and not hasattr(module, "__all__"):
        return  # a package that only holds modules
    assert len(set(module.__all__)) == len(module.__all__)
    assert [n for n in module.__all__ if not hasattr(module, n)] == []


def test_modules_take_nothing_private_from_each_other():
    private = [
        f"{path.name}:{node.lineno}: {node.module}.{alias.name}"
        for path in Path(vrae.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("vrae")
        for alias in node.names
        if alias.name.startswith("_") and not alias.name.startswith("__")
    ]
    assert private == []


def test_every_error_and_warning_is_exported_and_documented():
    classes = {
        n: c for n, c in vars(vrae.exceptions).items() if inspect.isclass(c) and c.__module__ == "vrae.exceptions"
    }
    assert set(classes) <= set(vrae.exceptions.__all__)
    assert all(c.__doc__ for c in classes.values())
    tree = vrae.exceptions.__doc__
    assert [n for n in classes if n not in tree] == []
    # Ctrl-C stays what it is everywhere: no error, and not caught as one.
    assert issubclass(classes.pop("TrainingInterrupted"), KeyboardInterrupt)
    errors = [c for c in classes.values() if not issubclass(c, Warning)]
    assert all(issubclass(c, vrae.exceptions.VRAEError) for c in errors)
    warnings = [c for c in classes.values() if issubclass(c, Warning)]
    assert all(issubclass(c, vrae.exceptions.VRAEWarning) for c in warnings)
    assert issubclass(vrae.exceptions.InvalidDataError, ValueError)
    assert issubclass(vrae.exceptions.InvalidParameterError, ValueError)


def test_version_is_the_installed_one():
    from importlib.metadata import version

    assert vrae.__version__ == version("vrae")
