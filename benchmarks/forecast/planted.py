"""Weekly sales of departments in stores, generated: a panel whose items have categories."""

from __future__ import annotations

import numpy as np


def store_sales(seed: int, n_departments: int, n_stores: int, n_weeks: int) -> tuple[np.ndarray, np.ndarray]:
    """Return sales (n_departments * n_stores, n_weeks), and the department of each item.

    Items of a department have one course of the year, with a peak before Christmas in some, and
    smaller courses, trends and noise of their own. Sales are Poisson counts.
    """
    rng = np.random.default_rng(seed)
    week, department = np.arange(n_weeks), np.repeat(np.arange(n_departments), n_stores)
    course = np.zeros((n_departments, n_weeks))
    for own in course:
        for wave in (1, 2, 3):
            own += rng.normal(0, 0.25 / wave) * np.cos(2 * np.pi * wave * week / 52 + rng.uniform(0, 2 * np.pi))
        if rng.random() < 0.6:
            width, from_peak = rng.uniform(1, 3), (week - 48 + 26) % 52 - 26
            own += rng.uniform(0.2, 1.2) * np.exp(-0.5 * (from_peak / width) ** 2)
    n = len(department)
    log_sales = course[department]
    for wave in (1, 2):
        phase = rng.uniform(0, 2 * np.pi)
        log_sales = log_sales + rng.normal(0, 0.08, (n, 1)) * np.cos(2 * np.pi * wave * week / 52 + phase)
    log_sales = log_sales + np.cumsum(rng.normal(0, 0.012, (n, n_weeks)), axis=1)
    noise = rng.standard_normal((n, n_weeks)) * np.exp(rng.normal(-2, 0.5, (n, 1)))
    for step in range(1, n_weeks):
        noise[:, step] += 0.3 * noise[:, step - 1]
    level = rng.normal(4, 1.5, (n, 1))
    return rng.poisson(np.exp(level + log_sales + noise)).astype(float), department
