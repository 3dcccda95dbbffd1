"""docs/errors.md is complete and true: it has a section on every class, with a real message."""

from __future__ import annotations

import re
import shutil
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vrae import VRAE, VRAEClusterer, load_example, load_model, read_panel
from vrae import exceptions as ours
from vrae.cli import main
from vrae.train.callbacks import Callback
from vrae.train.checkpoint import Checkpoint

PAGE = (Path(__file__).parents[1] / "docs" / "errors.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## `(\w+)`\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))
CLASSES: dict[str, type[BaseException]] = {
    name: kind
    for name in ours.__all__
    if isinstance(kind := getattr(ours, name), type) and issubclass(kind, BaseException)
}
WARNINGS = {name: kind for name, kind in CLASSES.items() if issubclass(kind, Warning)}

TINY: dict[str, Any] = {"latent_size": 2, "hidden_size": 6, "pattern_weight": 0, "max_epochs": 2, "random_state": 0}
X = np.sin(np.arange(20) / (1 + np.arange(12)[:, None] % 2))  # slow waves and fast ones


class CtrlC(Callback):
    def on_step_end(self, trainer: Any) -> None:
        signal.raise_signal(signal.SIGINT)


class NaNLoss(torch.nn.Module):
    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return (prediction - target) * float("nan")


def with_an_empty_series() -> np.ndarray[Any, Any]:
    return np.where(np.arange(len(X))[:, None] == 3, np.nan, X)


def load_weights_of_another_model() -> None:
    other = VRAE(**{**TINY, "random_state": 1}).fit(X).save("other")
    shutil.copy(other / "weights.safetensors", VRAE(**TINY).fit(X).save("model"))
    load_model("model")


def save_a_model_over_a_thesis() -> None:
    Path("thesis").mkdir()
    Path("thesis/chapter.txt").write_text("years of work")
    VRAE(**TINY).fit(X).save("thesis")


def export_without_onnx() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "onnx", None)
        VRAE(**TINY).fit(X).export_onnx("encoder.onnx")


# How a user provokes each class. The two bases are never raised themselves.
PROVOKED: dict[str, Callable[[], Any]] = {
    "VRAEError": lambda: read_panel("sale.csv"),
    "InvalidDataError": lambda: VRAE(**TINY).fit(with_an_empty_series()),
    "DataTypeError": lambda: VRAE(**TINY).fit({"a": X[0], "b": X[1]}),
    "InvalidParameterError": lambda: VRAE(**TINY, cell="lstn").fit(X),
    "NotFittedError": lambda: VRAEClusterer(2).predict(X),
    "TrainingError": lambda: VRAE(**TINY, reconstruction_loss=NaNLoss()).fit(X),
    "ModelFileError": load_weights_of_another_model,
    "OutputError": save_a_model_over_a_thesis,
    "DatasetUnavailableError": lambda: load_example("OSULeav"),
    "MissingDependencyError": export_without_onnx,
    "TrainingInterrupted": lambda: VRAE(**TINY, callbacks=[CtrlC(), Checkpoint("training")]).fit(X),
    "VRAEWarning": lambda: VRAE(**TINY, on_invalid="drop").fit(with_an_empty_series()),
    "PosteriorCollapseWarning": lambda: VRAE(**TINY, beta=1000.0).fit(X),
    "DivergenceWarning": lambda: VRAE(**{**TINY, "max_epochs": 8}, learning_rate=1000).fit(X),
    "DataWarning": lambda: VRAE(**TINY, on_invalid="drop").fit(with_an_empty_series()),
}
BASES = ("VRAEError", "VRAEWarning")


def provoke(name: str) -> BaseException:
    """Return the error or warning that a user would see. Other warnings are ignored."""
    kind = CLASSES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ours.VRAEWarning)
        if issubclass(kind, Warning):
            warnings.simplefilter("error", kind)
        try:
            PROVOKED[name]()
        except kind as found:
            return found
    pytest.fail(f"{name} was not raised")


def words(text: str) -> str:
    """Return a text as one line without its numbers, in which machines may differ."""
    return re.sub(r"\b\d[\d.]*(e[-+]\d+)?\b", "#", " ".join(text.split()))


def test_every_class_has_its_section_and_is_provoked():
    assert set(CLASSES) == set(SECTIONS) == set(PROVOKED)
    assert [name for name in CLASSES if f"[`{name}`](#{name.lower()})" not in PAGE] == []


@pytest.mark.parametrize("name", PROVOKED)
def test_the_message_is_the_one_on_the_page(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = provoke(name)
    assert type(found) is CLASSES[name] or name in BASES
    shown = re.search(r"^```text\n(.*?)^```", SECTIONS[name], re.DOTALL | re.MULTILINE)
    if name in BASES:
        assert shown is None
        return
    assert shown is not None
    assert words(shown[1]) == words(str(found))


def test_the_exit_codes_are_those_on_the_page(monkeypatch, capsys):
    for name in set(CLASSES) - set(WARNINGS):

        def fails(kind: type[BaseException] = CLASSES[name]) -> None:
            raise kind("what was found, where, and what to do")

        monkeypatch.setattr(sys.modules[main.__module__], "app", fails)
        with pytest.raises(SystemExit) as stop:
            main()
        stated = re.search(r"Exit code: (\d+)", SECTIONS[name])
        assert stated is not None
        assert stop.value.code == int(stated[1]), name
        written = capsys.readouterr()
        assert written.out == ""
        assert "Traceback" not in written.err


@pytest.mark.filterwarnings("default::vrae.exceptions.VRAEWarning")
def test_a_warning_is_one_line_and_the_command_continues(monkeypatch, capsys):
    monkeypatch.setenv("NO_COLOR", "1")
    for name, kind in WARNINGS.items():

        def warns(kind: type[Warning] = kind) -> None:
            warnings.warn("what was found [1], where, and what to do", kind, stacklevel=2)
            print("the result")

        monkeypatch.setattr(sys.modules[main.__module__], "app", warns)
        before = warnings.showwarning
        main()
        written = capsys.readouterr()
        assert (written.out, written.err) == ("the result\n", "Warning: what was found [1], where, and what to do\n")
        assert "Exit code: 0" in SECTIONS[name]
        assert warnings.showwarning is before


def test_of_errors_of_others_the_first_line_is_said():
    said = [ours.first_line(error) for error in (ValueError("\nno array.\nsee above"), KeyError(), OSError("x" * 999))]
    assert said == ["no array", "KeyError", "x" * 300]
