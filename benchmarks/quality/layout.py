"""Lay out numbers as Markdown."""

from __future__ import annotations

import numpy as np


def markdown(header: list[str], body: list[list[str]]) -> str:
    """Lay out a table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(line) + " |" for line in body]) + "\n"


def figure(value: float, digits: int = 3) -> str:
    """Write a number; a dash where there is none."""
    return "-" if np.isnan(value) else f"{value:.{digits}f}"
