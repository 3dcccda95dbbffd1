"""One command turns each kind of real file into a report."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vrae.cli import app

FILES = {  # file, options, number of series
    "missing values, .tsv": ("ucr/DodgerLoopDay/DodgerLoopDay_TRAIN.tsv", [], 78),
    "many channels, .arff": ("uea/RacketSports/RacketSports_TRAIN.arff", [], 151),
    "many channels of unequal length, .ts": ("uea/JapaneseVowels/JapaneseVowels_TRAIN.ts", [], 270),
    "starts and stops, wide csv": ("demand/carparts.csv", ["--id", "Part"], 2674),
}


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.filterwarnings("ignore::vrae.exceptions.VRAEWarning")
@pytest.mark.parametrize("name", FILES)
def test_from_the_raw_file_to_a_report(name, tmp_path):
    file, options, n_series = FILES[name]
    source, out = Path(os.environ["VRAE_DATA"]) / file, tmp_path / "run"
    command = ["cluster", str(source), *options, "--clusters", "3", "--epochs", "1", "--quiet", "--out", str(out)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert (out / "report.html").stat().st_size > 100_000
    with (out / "clusters.csv").open() as table:
        assert sum(1 for _ in csv.DictReader(table)) == n_series
