"""Installation: the core works alone, messages name missing extras, and the wheel is complete."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import vrae
from vrae.exceptions import MissingDependencyError, check_installed

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
SOURCE = {path: path.read_text(encoding="utf-8") for path in Path(vrae.__file__).parent.rglob("*.py")}

# What a user without any extra does. No optional package can be imported. pandas is the user's own.
CORE = """
import sys
for name in {blocked}: sys.modules[name] = None
import numpy as np, pandas as pd, warnings
from vrae import VRAE, VRAEClusterer, load_model
warnings.simplefilter("ignore")
step = np.tile(np.arange(12), 8)
item = np.repeat([f"item{{i}}" for i in range(8)], 12)
table = pd.DataFrame({{"unique_id": item, "ds": step, "y": np.sin(step / (1 + np.repeat(np.arange(8) % 2, 12)))}})
clusterer = VRAEClusterer(2, model=VRAE(hidden_size=8, max_epochs=2), random_state=0).fit(table)
assert clusterer.labels_.shape == (8,), clusterer.labels_
clusterer.save("model")
assert (load_model("model").predict(table) == clusterer.labels_).all()
table.to_csv("X.csv", index=False)
"""
OPTIONAL = ["aeon", "jinja2", "matplotlib", "mlflow", "onnx", "plotly", "pynndescent", "ray", "statsforecast", "umap"]


def run(code: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_missing_package_is_named_with_the_command_that_installs_it():
    check_installed("numpy", "nothing", "Nothing")
    with pytest.raises(MissingDependencyError) as caught:
        check_installed("no_such_package", "some", "A thing", "Or do without.")
    assert str(caught.value) == ("A thing needs the package no_such_package: pip install 'vrae[some]'. Or do without.")


def test_every_named_extra_exists_and_all_has_everything_but_tools():
    named = {extra for text in SOURCE.values() for extra in re.findall(r'check_installed\(\s*"?\w+"?, "(\w+)"', text)}
    assert {"aeon", "report", "onnx", "tracking"} <= named <= set(EXTRAS)
    (everything,) = EXTRAS["all"]
    assert set(re.findall(r"\w+", everything)) - {"vrae"} == set(EXTRAS) - {"all", "benchmark", "dev", "docs"}


def test_what_make_calls_is_installed_by_the_extras():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    called = set(re.findall(r"\$\(BIN\)/([\w-]+)|-m (\w+)", makefile))
    tools = {first or second for first, second in called} - {"python", "pip", "venv", "vrae"}
    named = {re.findall(r"^[\w-]+", package)[0] for extra in ("dev", "docs") for package in EXTRAS[extra]}
    assert {"pip-audit", "ruff", "pytest"} <= tools
    assert {name.removesuffix("-material") for name in named} >= tools


def test_the_classifiers_name_the_supported_python_versions():
    named = [c.split(" :: ")[-1] for c in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d+$", c)]
    assert named == ["3.11", "3.12", "3.13"]
    assert PROJECT["requires-python"] == f">={named[0]}"


@pytest.mark.slow
def test_the_core_works_alone_and_a_report_without_its_packages_is_refused_at_once(tmp_path):
    blocked = [name for name in OPTIONAL if name not in PROJECT["dependencies"]]
    done = run(CORE.format(blocked=blocked), tmp_path)
    assert done.returncode == 0, done.stderr
    command = "import sys; sys.modules['plotly'] = None; sys.argv = ['vrae', 'cluster', 'X.csv', '-o', 'run', '-q']\n"
    done = run(command + "from vrae.cli import main; main()", tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "Error: The report needs the package plotly: pip install 'vrae[report]'.\n"
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_wheel_and_the_sdist_are_complete_and_work(tmp_path):
    pytest.importorskip("build", reason="the extra vrae[dev] is not installed")
    tree = tmp_path / "tree"
    for folder in ("src", "tests"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    for name in ("LICENSE", "MANIFEST.in", "README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, tree)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path / "dist"), str(tree)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    (sdist,) = (tmp_path / "dist").glob("*.tar.gz")
    info = f"vrae-{vrae.__version__}.dist-info"
    inside = set(zipfile.ZipFile(wheel).namelist())
    assets = {f"vrae/report/assets/{path.name}" for path in (ROOT / "src/vrae/report/assets").iterdir()}
    modules = {path.relative_to(ROOT / "src").as_posix() for path in SOURCE}
    assert modules | assets | {"vrae/py.typed", f"{info}/licenses/LICENSE", f"{info}/entry_points.txt"} <= inside
    assert {name.split("/")[0] for name in inside} == {"vrae", info}
    with tarfile.open(sdist) as archive:
        packed = {name.split("/", 1)[-1] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml", "src/vrae/py.typed"} <= packed
    assert [name for name in packed if name.startswith(("tests", "benchmarks"))] == []

    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(site)]
    subprocess.run([*install, str(wheel)], check=True)
    where = {"PYTHONPATH": str(site), "NUMBA_DISABLE_JIT": "1"}  # no compiled functions to cache
    done = run(f"{CORE.format(blocked=[])}\nimport vrae; print(vrae.__file__, vrae.__version__)", tmp_path, **where)
    assert done.stdout.split() == [str(site / "vrae" / "__init__.py"), vrae.__version__], done.stderr
    shown = subprocess.run(
        [site / "bin" / "vrae", "--version"], env={**os.environ, **where}, capture_output=True, text=True, check=True
    )
    assert shown.stdout == f"vrae {vrae.__version__}\n"
