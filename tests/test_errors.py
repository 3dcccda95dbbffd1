"""docs/errors.md is complete and true: every class has its section there, and can be provoked as it says."""

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
CLASSES = {name: getattr(ours, name) for name in ours.__all__}

TINY: dict[str, Any] = {"latent_size": 2, "hidden_size": 6, "local_patterns": 0, "max_epochs": 2, "random_state": 0}
X = np.sin(np.arange(20) / (1 + np.arange(12)[:, None] % 2))  # slow waves and fast ones


class PressesCtrlC(Callback):
    def on_step_end(self, trainer: Any) -> None:
        signal.raise_signal(signal.SIGINT)


class SaysNothing(torch.nn.Module):
    def forward(self, found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        return (found - wanted) * float("nan")


def with_an_empty_series() -> np.ndarray[Any, Any]:
    return np.where(np.arange(len(X))[:, None] == 3, np.nan, X)


def a_model_with_the_weights_of_another() -> None:
    other = VRAE(**{**TINY, "random_state": 1}).fit(X).save("other")
    shutil.copy(other / "weights.safetensors", VRAE(**TINY).fit(X).save("model"))
    load_model("model")


def a_model_over_a_thesis() -> None:
    Path("thesis").mkdir()
    Path("thesis/chapter.txt").write_text("years of work")
    VRAE(**TINY).fit(X).save("thesis")


def a_feature_without_its_package() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "onnx", None)
        VRAE(**TINY).fit(X).export_onnx("encoder.onnx")


# How a user comes by each of them. The two bases are never raised by themselves.
PROVOKED: dict[str, Callable[[], Any]] = {
    "VRAEError": lambda: read_panel("sale.csv"),
    "InvalidDataError": lambda: VRAE(**TINY).fit(with_an_empty_series()),
    "DataTypeError": lambda: VRAE(**TINY).fit({"a": X[0], "b": X[1]}),
    "InvalidParameterError": lambda: VRAE(**TINY, cell="lstn").fit(X),
    "NotFittedError": lambda: VRAEClusterer(2).predict(X),
    "TrainingError": lambda: VRAE(**TINY, reconstruction_loss=SaysNothing()).fit(X),
    "ModelFileError": a_model_with_the_weights_of_another,
    "OutputError": a_model_over_a_thesis,
    "DatasetUnavailableError": lambda: load_example("OSULeav"),
    "MissingDependencyError": a_feature_without_its_package,
    "TrainingInterrupted": lambda: VRAE(**TINY, callbacks=[PressesCtrlC(), Checkpoint("training")]).fit(X),
    "VRAEWarning": lambda: VRAE(**TINY, on_invalid="drop").fit(with_an_empty_series()),
    "PosteriorCollapseWarning": lambda: VRAE(**TINY, beta=1000.0).fit(X),
    "DivergenceWarning": lambda: VRAE(**{**TINY, "max_epochs": 8}, learning_rate=1000).fit(X),
    "DataWarning": lambda: VRAE(**TINY, on_invalid="drop").fit(with_an_empty_series()),
}
BASES = ("VRAEError", "VRAEWarning")


def provoke(name: str) -> BaseException:
    """Return what comes of it; warnings, but for the one that is wanted, are passed over."""
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
    """Return a text as one line, without the figures, in which machines may differ."""
    return re.sub(r"\b\d[\d.]*(e[-+]\d+)?\b", "#", " ".join(text.split()))


def test_every_class_has_its_section_and_is_provoked():
    assert set(CLASSES) == set(SECTIONS) == set(PROVOKED)
    assert [name for name in CLASSES if f"[`{name}`](#{name.lower()})" not in PAGE] == []


@pytest.mark.parametrize("name", PROVOKED)
def test_it_is_raised_and_says_what_the_page_says(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = provoke(name)
    assert type(found) is CLASSES[name] or name in BASES
    told = re.search(r"^```text\n(.*?)^```", SECTIONS[name], re.DOTALL | re.MULTILINE)
    if name in BASES:
        assert told is None
        return
    assert told is not None
    assert words(told[1]) == words(str(found))


@pytest.mark.parametrize("name", [name for name, kind in CLASSES.items() if not issubclass(kind, Warning)])
def test_the_exit_code_is_that_of_the_page(name, monkeypatch, capsys):
    def fails() -> None:
        raise CLASSES[name]("what was found, where, and what to do")

    monkeypatch.setattr(sys.modules[main.__module__], "app", fails)
    with pytest.raises(SystemExit) as stop:
        main()
    stated = re.search(r"Exit code: (\d+)", SECTIONS[name])
    assert stated is not None
    assert stop.value.code == int(stated[1])
    told = capsys.readouterr()
    assert told.out == ""
    assert "Traceback" not in told.err


@pytest.mark.parametrize("name", [name for name, kind in CLASSES.items() if issubclass(kind, Warning)])
@pytest.mark.filterwarnings("default::vrae.exceptions.VRAEWarning")
def test_a_warning_is_a_line_and_the_work_goes_on(name, monkeypatch, capsys):
    monkeypatch.setenv("NO_COLOR", "1")

    def warns() -> None:
        warnings.warn("what was found [1], where, and what to do", CLASSES[name], stacklevel=2)
        print("the result")

    monkeypatch.setattr(sys.modules[main.__module__], "app", warns)
    before = warnings.showwarning
    main()
    told = capsys.readouterr()
    assert (told.out, told.err) == ("the result\n", "Warning: what was found [1], where, and what to do\n")
    assert "Exit code: 0" in SECTIONS[name]
    assert warnings.showwarning is before
