"""Options and their sources; messages; what a terminal, a pipe and a shell get."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import vrae
from vrae.cli import app
from vrae.cli.app import _COMMANDS, _PHRASES, in_command_words
from vrae.cli.config_file import save_config
from vrae.cli.option_groups import with_groups
from vrae.cli.shared_options import DataOptions, ModelOptions, OutFolder
from vrae.exceptions import InvalidParameterError

COLOUR = re.compile(r"\x1b\[[\d;]*(3|4|9|10)\d[\d;]*m")
CONFIGURABLE = ("anomalies", "cluster", "compare", "forecast", "reduce", "similar")


@pytest.fixture
def probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Return ``probe(config_text, *arguments)``: what a command got, and saved in its folder."""
    for name in ("VRAE_SEED", "VRAE_DEVICE", "VRAE_QUIET", "VRAE_TRACK", "VRAE_CONFIG"):
        monkeypatch.delenv(name, raising=False)

    def run(text: str, *arguments: str) -> dict[str, Any]:
        got: dict[str, Any] = {}
        small = typer.Typer()

        @small.command()
        @with_groups()
        def command(
            context: typer.Context,
            *,
            reading: DataOptions,
            training: ModelOptions,
            folder: OutFolder = Path("runs/latest"),
            overwrite: Annotated[bool, typer.Option("--overwrite")] = False,
        ) -> None:
            got.update(vars(reading), **vars(training), folder=folder, overwrite=overwrite)
            save_config(context, tmp_path, tmp_path)

        file = tmp_path / "given.toml"
        file.write_text(text, encoding="utf-8")
        done = CliRunner().invoke(small, ["--config", str(file), *arguments])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return got

    return run


EVERYTHING = """
data = 'sales "2024".csv'
id = "item"
value = ["qty", "price"]
static = "shop"
seed = 7
epochs = 3
max-lag = 0.25
beta = 2
scaling = "robust"
on_invalid = "keep"
quiet = true
out = "runs/Größe"
"""


def test_a_file_sets_options_of_every_kind(probe):
    got = probe(EVERYTHING)
    assert (got["data"], got["id_"], got["value"]) == ('sales "2024".csv', ["item"], ["qty", "price"])
    assert (got["static"], got["seed"], got["epochs"]) == (["shop"], 7, "3")
    assert (got["on_invalid"], got["quiet"], got["folder"]) == ("keep", True, Path("runs/Größe"))
    assert (got["max_lag"], got["beta"], got["scaling"]) == ("0.25", 2.0, "robust")
    assert (got["layout"], got["latent_size"]) == ("auto", None)


def test_what_is_saved_says_the_same_again(probe, tmp_path):
    first = probe(EVERYTHING, "--overwrite")
    saved = (tmp_path / "config.toml").read_text(encoding="utf-8")
    keys = set(tomllib.loads(saved))
    assert keys >= {"data", "id", "value", "seed", "epochs", "on-invalid", "layout"}
    assert not keys & {"overwrite", "config", "time", "out"}
    again = probe(saved)
    of_the_call = {"overwrite": True, "config": None, "folder": None}
    assert {**again, **of_the_call} == {**first, **of_the_call, "data": os.path.abspath(first["data"])}


def test_what_is_saved_works_from_any_folder(probe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    probe("data = 'sub/*.csv'\ntrack = 'tensorboard=logs'")
    saved = tomllib.loads((tmp_path / "config.toml").read_text(encoding="utf-8"))
    assert saved["data"] == f"{tmp_path}/sub/*.csv"
    assert saved["track"] == f"tensorboard={tmp_path}/logs"
    for data, track in [("s3://b/x.csv", "mlflow=http://here:5000"), ("-", "mlflow"), ("/a.csv", "mlflow=databricks")]:
        probe(f"data = '{data}'\ntrack = '{track}'")
        saved = tomllib.loads((tmp_path / "config.toml").read_text(encoding="utf-8"))
        assert (saved["data"], saved["track"]) == (data, track)
    head = (tmp_path / "config.toml").read_text(encoding="utf-8").splitlines()[0]
    assert f"--config {tmp_path}/config.toml --out {tmp_path}-again" in head


def test_the_command_line_beats_the_environment_which_beats_the_file(probe, monkeypatch):
    text = 'data = "a.csv"\nseed = 1\ndevice = "cuda"\nepochs = "2"\n'
    monkeypatch.setenv("VRAE_SEED", "2")
    monkeypatch.setenv("VRAE_DEVICE", "cpu")
    got = probe(text, "b.csv", "--seed", "3")
    assert (got["data"], got["seed"], got["device"], got["epochs"]) == ("b.csv", 3, "cpu", "2")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch = 3", r"given.toml: unknown option 'epoch'. Did you mean 'epochs'\? Known: align, batch-size, "),
        ("overwrite = true", "unknown option 'overwrite'"),
        ("epochs = [1, 2]", r"given.toml: epochs must be text or a number; found \[1, 2\]."),
        ("quiet = 1", "given.toml: quiet must be true or false; found 1."),
        ("value = [true]", "value must be text, or a list of texts"),
        ("[training]\nepochs = 1", "unknown option 'training'"),
        ("epochs = ", "cannot be read as TOML: Invalid value"),
    ],
)
def test_a_file_that_is_wrong_is_refused_by_name(text, message, probe):
    with pytest.raises(InvalidParameterError, match=message):
        probe(text, "a.csv")


def test_a_file_that_is_not_there_is_refused(tmp_path):
    done = CliRunner().invoke(app, ["cluster", "--config", str(tmp_path / "none.toml")])
    assert isinstance(done.exception, InvalidParameterError)
    assert (
        str(done.exception) == f"--config {tmp_path / 'none.toml'} cannot be read as TOML: No such file or directory."
    )


@pytest.mark.parametrize("verb", CONFIGURABLE)
def test_every_command_that_learns_takes_a_file(verb):
    assert "--config" in CliRunner().invoke(app, [verb, "-h"], env={"COLUMNS": "200"}).output


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::vrae.exceptions.VRAEWarning")
@pytest.mark.parametrize("verb", ["cluster", "reduce"])
def test_a_run_can_be_made_again_from_its_own_config(verb, small_series, tmp_path):
    np.savez(tmp_path / "X.npz", X=small_series("2d", 16))
    (tmp_path / "run.toml").write_text(f'data = "{tmp_path}/X.npz"\nepochs = 1\nquiet = true\nseed = 3\n')
    own = {"cluster": ["--clusters", "2"], "reduce": ["--latent-size", "2"]}[verb]
    first, second = tmp_path / "first", tmp_path / "second"
    done = CliRunner().invoke(app, [verb, "--config", f"{tmp_path}/run.toml", *own, "--out", str(first)])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(app, [verb, "--config", f"{first}/config.toml", "--out", str(second), "--json"])
    assert done.exit_code == 0, done.output
    assert isinstance(json.loads(done.stdout), dict)
    table = {"cluster": "clusters.csv", "reduce": "codes.parquet"}[verb]
    assert (second / table).read_bytes() == (first / table).read_bytes()
    saved, again = (tomllib.loads((folder / "config.toml").read_text()) for folder in (first, second))
    assert saved == again


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::vrae.exceptions.VRAEWarning")
@pytest.mark.parametrize("verb", ["cluster", "reduce"])
def test_the_line_to_repeat_works_where_the_user_stood(verb, small_series, tmp_path, monkeypatch):
    (tmp_path / "my data").mkdir()
    np.savez(tmp_path / "my data" / "X.npz", X=small_series("2d", 16))
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, [verb, "my data/X.npz", "--epochs", "1", "--latent-size", "2", "--out", "my run"])
    assert done.exit_code == 0, done.output
    line = (tmp_path / "my run" / "config.toml").read_text().splitlines()[0].partition("Repeat with: vrae ")[2]
    assert CliRunner().invoke(app, shlex.split(line)).exit_code == 0
    assert (tmp_path / "my run-again" / "config.toml").exists()
    monkeypatch.chdir("/")
    elsewhere = [verb, "--config", str(tmp_path / "my run" / "config.toml"), "--out", str(tmp_path / "third")]
    assert CliRunner().invoke(app, elsewhere).exit_code == 0


# ---------------------------------------------------------------- one word, one meaning

# Words that say something else where they belong to a command of their own.
OWN = {
    "--out": {"export", "report", "compare", "explain", "reduce", "cluster", "demo", "drift"},
    "--model": {"assign", "drift", "embed", "restore", "cannibalization"},
    "--max-lag": {"cannibalization"},
    "--season": {"cannibalization"},
}


def test_an_option_means_the_same_in_every_command():
    known: dict[str, tuple[str, str]] = {}
    group: Any = typer.main.get_command(app)
    for verb, command in group.commands.items():
        for parameter in command.params:
            for flag in parameter.opts if parameter.opts[0].startswith("-") else []:
                said = str(parameter.help).partition(" [dim]")[0]
                if verb not in OWN.get(max(parameter.opts, key=len), ()):
                    assert known.setdefault(flag, (said, verb))[0] == said, (flag, verb, known[flag])
    assert {"-k", "-n", "-m", "-o", "-q"} == {flag for flag in known if not flag.startswith("--")} - {"-h"}


def test_only_given_options_replace_those_of_a_head():
    from vrae import VRAE, VRAEAnomalyDetector

    given = ModelOptions(latent_size="auto", max_lag="0.5", scaling="none", early_stopping=0, epochs="3")
    model = given.model(VRAEAnomalyDetector().default_model(), on_invalid="keep")
    assert (model.beta, model.learning_rate, model.on_invalid) == (0.3, 5e-3, "keep")
    assert (model.latent_size, model.max_lag, model.scaling) == ("auto", 0.5, None)
    assert (model.early_stopping, model.max_epochs) == (False, 3)
    default = ModelOptions().model()
    assert {**default.get_params(), "callbacks": None, "verbose": 0} == VRAE().get_params()


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("Name the column with time='ds time', or pass id=.", "Name the column with --time 'ds time', or pass --id."),
        ("n_clusters=25 is more than 24.", "--clusters 25 is more than 24."),
        ("Bad. beta must be above 0; see pattern_weight.", "Bad. --beta must be above 0; see --pattern-weight."),
        ("'max_lag' is a column, patch_size=3 no option.", "'max_lag' is a column, patch_size=3 no option."),
        ("Use value=['a', 'b'] for time series.", "Use value=['a', 'b'] for time series."),
        ("Pass layout='long'; resume=False (--overwrite).", "Pass --layout long; --overwrite."),
        ('Pass value="sum", "mean" or "last".', "Pass --value sum, mean or last."),
        ('Pass value="a b" or "c" in \'x\'.', "Pass --value 'a b' or c in 'x'."),
        ("runs/may is a VRAEClusterer, no forecaster.", "runs/may is a model of `vrae cluster`, no forecaster."),
        ("Constant. See covariate_effects_.", "Constant."),
        ("Fit again, or with timing set to free.", "Fit again, or with --timing free."),
        ("Slow, or pass algorithm='exact' to silence this warning.", "Slow."),
        (
            "For one long series, use LongSeriesDetector, or cut it into windows.",
            "For one long series, use `vrae anomalies --window auto`, or cut it into windows.",
        ),
        ("overwrite=True or overwrite=False", "--overwrite or --no-overwrite"),
    ],
)
def test_messages_speak_the_language_of_the_command_line(message, words):
    options = ["time", "id", "clusters", "beta", "pattern-weight", "max-lag", "value", "layout", "overwrite"]
    assert in_command_words(message, options) == words


def test_what_is_replaced_for_the_command_line_occurs_in_messages():
    """Otherwise, a message that was changed would name what only Python has."""
    files = [file for file in Path(str(vrae.__file__)).parent.rglob("*.py") if file.name != "app.py"]
    code = "\n".join(file.read_text(encoding="utf-8") for file in files)
    texts = re.sub(r'"\n\s*f?"', "", code)  # a text that stands in several lines
    assert [phrase for phrase in _PHRASES if phrase not in texts] == []
    assert [name for name in _COMMANDS if not hasattr(vrae, name)] == []


# ---------------------------------------------------------------- terminal, pipe, shell

VRAE = [sys.executable, "-m", "vrae"]


def coloured_environment(**more: str) -> dict[str, str]:
    plain = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR", "TERM")}
    return {**plain, "TERM": "xterm-256color", **more}


@pytest.mark.parametrize(
    "arguments", [["-h"], ["cluster", "-h"], ["cluster", "--config", "/nowhere"], ["cluster", "--nonsense"]]
)
def test_a_pipe_gets_no_colour(arguments):
    done = subprocess.run([*VRAE, *arguments], env=coloured_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == (2 if "-h" not in arguments else 0)
    assert done.stdout + done.stderr != ""
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize(("setting", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_terminal_gets_colour_unless_it_does_not_want_any(setting, coloured):
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        process = subprocess.Popen(
            [*VRAE, "cluster", "--config", "/nowhere"], env=coloured_environment(**setting), stderr=theirs
        )
        os.close(theirs)
        said = b""
        try:
            while part := terminal.read(4096):
                said += part
        except OSError:  # how Linux says that the other end is closed
            pass
        assert process.wait() == 2
    assert "cannot be read as TOML" in said.decode()
    assert bool(COLOUR.search(said.decode())) is coloured


def test_a_shell_completes_commands():
    words = {"_VRAE_COMPLETE": "complete_bash", "COMP_WORDS": "vrae cl", "COMP_CWORD": "1"}
    code = "import sys; sys.argv = ['vrae']; from vrae.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **words}, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["cluster"]


def test_options_of_data_are_words_again():
    from vrae.cli.shared_options import DataOptions
    from vrae.data.table_options import TableOptions

    given = DataOptions("x.csv", id_=["store", "item"], missing=-9.0, date_format="%d/%m/%Y")
    assert given.words() == ["--id=store", "--id=item", "--missing=-9.0", "--date-format=%d/%m/%Y"]
    model = TableOptions(id="a/b", id_parts=("a", "b"), time="week", static=("kind",), freq="1w")
    assert given.words(model)[:3] == ["--id=store", "--id=item", "--time=week"]
    assert DataOptions("x.csv").words(model) == ["--id=a", "--id=b", "--time=week", "--static=kind", "--freq=1w"]
    assert DataOptions("x.csv").words() == []
