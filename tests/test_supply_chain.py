"""Locked versions, workflows and SECURITY.md agree with the project."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from vrae.distributed import engine
from vrae.estimators import loading

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
SECURITY = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
WORKFLOWS = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / ".github/workflows").glob("*.yml")}
ENTRY = re.compile(
    r"^([\w.-]+(?:\[[\w,-]+\])?==\S+(?: ; [^\\\n]+)?) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.M
)


def versions(text: str) -> dict[str, set[str]]:
    """Return the versions of each package in lines like ``name==1.0; marker``."""
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        if re.match(r"[\w.-]+(\[.*\])?==", line):
            given = Requirement(line.removesuffix(" \\"))
            found.setdefault(canonicalize_name(given.name), set()).update(s.version for s in given.specifier)
    return found


def direct() -> list[Requirement]:
    texts = [*PROJECT["dependencies"], *(text for texts in PROJECT["optional-dependencies"].values() for text in texts)]
    return [given for given in map(Requirement, texts) if given.name != "vrae"]


@pytest.mark.parametrize("name", ["requirements.lock", ".github/build.lock"])
def test_every_locked_file_has_its_hash_and_no_place(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    entries = ENTRY.findall(text)
    assert len(entries) == sum(map(len, versions(text).values())) > 4
    assert re.findall(r"://|--(?:extra-)?index|--find-links|(?<![\w.])/\w+", text) == []


def test_the_lock_has_the_versions_that_the_tests_ran_with():
    locked, tested = versions(LOCK), versions((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    assert {name: (locked[name], tested[name]) for name in locked.keys() & tested if locked[name] != tested[name]} == {}
    assert len(locked.keys() & tested) > 0.9 * len(tested)


def test_the_lock_has_every_direct_dependency_in_a_version_that_is_allowed():
    locked = versions(LOCK)
    for given in direct():
        assert all(Version(version) in given.specifier for version in locked[canonicalize_name(given.name)]), given


def test_what_builds_a_release_is_locked_as_the_rest_is():
    builds, locked = versions((ROOT / ".github/build.lock").read_text(encoding="utf-8")), versions(LOCK)
    assert {"build", "setuptools"} <= builds.keys()
    assert {name: builds[name] for name in builds.keys() & locked if builds[name] != locked[name]} == {}


# ---------------------------------------------------------------- workflows


def test_actions_of_others_are_pinned_to_a_commit_and_the_version_is_named():
    used = [line.split("uses: ")[1] for text in WORKFLOWS.values() for line in text.splitlines() if "uses: " in line]
    foreign = [name for name in used if not name.startswith("./")]
    assert len(foreign) > 8
    assert [name for name in foreign if not re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", name)] == []
    assert len(set(foreign)) == len({name.split("@")[0] for name in foreign})  # one version each


def test_workflows_may_only_read_but_for_the_one_that_publishes():
    for name, text in WORKFLOWS.items():
        assert "\npermissions:\n  contents: read\n" in text, name
        given = re.findall(r"([\w-]+): write", text)
        assert given == (["id-token", "attestations"] if name == "release.yml" else []), name
        assert "secrets." not in text


def test_the_lock_is_audited_and_releases_are_attested():
    assert "pip-audit --require-hashes --disable-pip --desc off -r requirements.lock" in WORKFLOWS["audit.yml"]
    assert "schedule:" in WORKFLOWS["audit.yml"]
    release = WORKFLOWS["release.yml"]
    assert "--require-hashes -r .github/build.lock" in release
    assert release.index("attest-build-provenance") < release.index("gh-action-pypi-publish")
    assert "attestations: true" in release
    assert "needs: [test, build]" in release
    assert "workflow_call:" in WORKFLOWS["tests.yml"]


# ---------------------------------------------------------------- SECURITY.md

NUMBERS = {"six": 6, "ten": 10, "eleven": 11, "twelve": 12}


def test_security_names_the_classes_that_a_model_folder_can_create():
    sentence = re.search(r"Only (\w+) classes can be created: (.*?)\.\s", SECURITY, re.DOTALL)
    assert sentence is not None
    assert set(re.findall(r"`(\w+)`", sentence[2])) == set(loading._CLASSES)
    assert NUMBERS[sentence[1]] == len(loading._CLASSES)


def test_security_counts_the_dependencies():
    count = re.search(r"The core has (\w+) direct dependencies", SECURITY)
    assert count is not None
    assert NUMBERS[count[1]] == len(PROJECT["dependencies"])


def test_a_ray_that_vrae_starts_reports_no_use(monkeypatch):
    seen = []

    def init(*_: Any, **__: Any) -> None:
        seen.append(os.environ.get("RAY_USAGE_STATS_ENABLED"))

    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
    monkeypatch.setattr(engine, "ray_module", lambda *_: SimpleNamespace(init=init))
    engine._start(None)
    assert seen == ["0"]
