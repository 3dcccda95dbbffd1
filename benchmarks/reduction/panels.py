"""The data sets of the reduction benchmark: series to fit to, and series to rebuild."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import sets

# Real demand, complete series of one length. The setting was chosen without a look at these.
DEMAND = ["sales_transactions_weekly", "hospital"]


def load(name: str, folder: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return z-normalised series (n, t) to fit to, and others (m, t) to rebuild."""
    if name not in DEMAND:
        data = sets.load(name, "test", folder)
        return data.X, data.new
    path = Path(folder or os.environ["VRAE_DATA"]) / "demand" / f"{name}.csv"
    with path.open(newline="") as file:
        header, *lines = csv.reader(file)
    steps = [i for i, column in enumerate(header) if column.removeprefix("W").isdigit()]
    X = np.array([[float(line[i]) for i in steps] for line in lines])
    X = sets.znorm(X[X.std(axis=1) > 0])
    return X[::2], X[1::2]
