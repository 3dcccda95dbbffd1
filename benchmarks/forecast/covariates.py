"""Planted price cuts and promotions on real panels: error with and without covariates.

    VRAE_DATA=... python benchmarks/forecast/covariates.py

Each panel is multiplied by known effects: price cuts of 10 to 30 % on 15 % of the steps with an
elasticity of -1.5, and promotions on 12 % of the steps with a lift of 80 %; both differ between
items by a factor with mean 1 and standard deviation 0.3. Sales are drawn from a Poisson
distribution. ``noise`` has covariates of the same kinds without any effect, on the panels as they
are. The last horizon is held out. The error is RMSSE; "true effects" divides and multiplies by
what was planted. Rows go to results/covariates.json; the table is COVARIATES.md.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from panels import PANELS, load, one_step_changes, scores

from vrae import GroupForecaster, Panel

HERE = Path(__file__).parent
ITEMS, SEEDS = 150, (0, 1)
ELASTICITY, LIFT, SPREAD = -1.5, np.log(1.8), 0.3
NAMES = ["price", "promo"]
METHODS = {
    "plain": "without covariates",
    "covariates": "with covariates, future known",
    "without": "with covariates, future unknown",
    "truth": "true effects",
}


def covariates(shape: tuple[int, int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return prices relative to the usual one, and promotions, each (n, steps)."""
    price = np.where(rng.random(shape) < 0.15, rng.choice([0.7, 0.8, 0.9], shape), 1.0)
    return price, (rng.random(shape) < 0.12).astype(float)


def forecaster(horizon: int, season: int, names: list[str] | None = None) -> GroupForecaster:
    options = {"n_clusters": 1, "season_length": season, "n_backtests": 1, "classical": False, "random_state": 0}
    return GroupForecaster(horizon, covariates=names, **options)


def run(name: str, seed: int, is_noise: bool) -> dict[str, Any]:
    """Measure all methods on a panel."""
    horizon, season = PANELS[name]
    rng = np.random.default_rng(seed)
    values = load(name)
    values = values[np.sort(rng.permutation(len(values))[:ITEMS])]
    values = values[~np.isnan(values[:, :-horizon]).all(axis=1) & ~np.isnan(values[:, -horizon:]).all(axis=1)]
    price, promo = covariates(values.shape, rng)
    factor = np.ones(values.shape)
    if not is_noise:
        own = rng.normal(1, SPREAD, (2, len(values), 1))
        factor = np.exp(ELASTICITY * own[0] * np.log(price) + LIFT * own[1] * promo)
        unknown = np.isnan(values)
        values = np.where(unknown, np.nan, rng.poisson(np.nan_to_num(values * factor)))
    known, actual = values[:, :-horizon], values[:, -horizon:]
    sizes = one_step_changes(known)
    panel = Panel.from_arrays(
        np.stack([known, price[:, :-horizon], promo[:, :-horizon]], axis=1), channels=("y", *NAMES)
    )
    future = np.stack([price[:, -horizon:], promo[:, -horizon:]], axis=1)
    learned = forecaster(horizon, season, NAMES).fit(panel)
    table = learned.predict_table(future=future)
    mean, low, high = (table[column].reshape(-1, horizon) for column in ("mean", "lo-80", "hi-80"))
    effects = learned.covariate_effects_
    plain = mean  # if no covariate is used, the forecaster is the same
    if effects["used"].any():
        plain = forecaster(horizon, season).fit(Panel.from_arrays(known)).predict()
    found = {"plain": plain, "covariates": mean, "without": learned.predict()}
    if not is_noise:
        divided = Panel.from_arrays(known / factor[:, :-horizon])
        found["truth"] = forecaster(horizon, season).fit(divided).predict() * factor[:, -horizon:]
    seen = ~np.isnan(actual)
    return {
        "panel": name,
        "seed": seed,
        "noise": is_noise,
        "used": effects["used"].tolist(),
        "effect_percent": effects["effect_percent"].tolist(),
        "coverage_80": float(((actual >= low) & (actual <= high))[seen].mean()),
        "rmsse": {method: float(np.nanmean(scores(actual, each, *sizes)[0])) for method, each in found.items()},
    }


def main() -> None:
    warnings.simplefilter("ignore")
    path = HERE / "results" / "covariates.json"
    rows = json.loads(path.read_text()) if path.exists() else []
    for name in PANELS:
        for seed in SEEDS:
            for is_noise in (False, True):
                if any((row["panel"], row["seed"], row["noise"]) == (name, seed, is_noise) for row in rows):
                    continue
                rows.append(run(name, seed, is_noise))
                print(rows[-1], flush=True)
                path.parent.mkdir(exist_ok=True)
                path.write_text(json.dumps(rows, indent=1) + "\n")
    (HERE / "COVARIATES.md").write_text(text(rows))


def text(rows: list[dict[str, Any]]) -> str:
    """Return the tables of all results."""
    lines = [
        "# Known future covariates\n",
        f"RMSSE of the held-out horizon, mean of {len(SEEDS)} draws of up to {ITEMS} items; lower is better.",
        "Written by `benchmarks/forecast/covariates.py`, which says what is planted.\n",
    ]
    for is_noise, title in ((False, "Planted price cuts and promotions"), (True, "Covariates without any effect")):
        mine = {name: [row for row in rows if row["panel"] == name and row["noise"] == is_noise] for name in PANELS}
        lines += [f"## {title}\n", "| | " + " | ".join(PANELS) + " | mean |", "|---" * (len(PANELS) + 2) + "|"]
        for method, label in METHODS.items():
            if method in mine[next(iter(PANELS))][0]["rmsse"]:
                each = [np.mean([row["rmsse"][method] for row in mine[name]]) for name in PANELS]
                lines.append(f"| {label} | " + " | ".join(f"{value:.3f}" for value in [*each, np.mean(each)]) + " |")
        cover = [np.mean([row["coverage_80"] for row in mine[name]]) for name in PANELS]
        lines.append(
            "| 80 % interval covers | " + " | ".join(f"{100 * v:.0f} %" for v in [*cover, np.mean(cover)]) + " |"
        )
        for k, (covariate, change) in enumerate((("price", "+10 %"), ("promo", "0 to 1"))):
            used = [[row["effect_percent"][k] for row in mine[name] if row["used"][k]] for name in PANELS]
            cells = [f"{np.mean(one):+.0f} %" if one else "not used" for one in used]
            lines.append(f"| effect found of {covariate} {change} | " + " | ".join(cells) + " | |")
        lines.append("")
    lines.append(f"Planted: price +10 % makes {100 * np.expm1(ELASTICITY * np.log(1.1)):+.0f} %, promotion +80 %.")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
