"""Draw the pictures of docs/gallery.md and others: figures and reports of several data sets.

    python examples/gallery.py [--data FOLDER] [--out docs/pictures] [--only shop leaves ...]

Screenshots of reports need Playwright and a Chromium on the PATH. FOLDER holds ucr/ECG5000; the
default is VRAE_DATA, or a download.
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from PIL import Image

from vrae import Panel, VRAEAnomalyDetector, VRAEClusterer, load_example, read_panel
from vrae.exceptions import VRAEWarning
from vrae.report import render_drift

WIDTH, HEIGHT = 1280, 1180  # of a screenshot


def shop(n_weeks: int = 130, change: bool = False) -> Panel:
    """Return made-up sales of 270 items: the table of the tutorial, or its first weeks.

    With ``change``, 25 items with a peak in December are gone, and all others sell 30 % less in the
    last eight weeks.
    """
    rng, week = np.random.default_rng(7), np.arange(130)
    days = pd.date_range("2023-07-03", periods=130, freq="7D")
    summer = np.exp(-(((days.dayofyear - 153) / 36) ** 2))
    christmas = np.exp(-(((days.dayofyear - 347) / 13) ** 2))
    kinds: tuple[tuple[int, Callable[[], Any]], ...] = (
        (40, lambda: 2 + rng.uniform(10, 30) * christmas),
        (45, lambda: 2 + rng.uniform(8, 20) * summer),
        (80, lambda: np.full(130, 12.0)),
        (35, lambda: 16 / (1 + np.exp((week - rng.uniform(50, 100)) / 8))),
        (30, lambda: 14 / (1 + np.exp((rng.uniform(85, 110) - week) / 6))),
        (40, lambda: np.full(130, 0.35)),
    )
    rows = [
        rng.poisson(rng.lognormal(0, 0.7) * typical() * rng.gamma(6, 1 / 6, 130))
        for count, typical in kinds
        for _ in range(count)
    ]
    items = np.repeat([f"A{10000 + 7 * i}" for i in range(len(rows))], 130)
    sold = pd.DataFrame({"item": items, "week": np.tile(days, len(rows)), "units": np.concatenate(rows)})
    sold = sold[sold["week"] < days[0] + pd.Timedelta(weeks=n_weeks)]
    if change:
        sold = sold[~sold["item"].isin(pd.unique(items)[:25])]
        late = sold["week"] >= sold["week"].max() - pd.Timedelta(weeks=7)
        sold = sold.assign(units=np.where(late, rng.binomial(sold["units"], 0.7), sold["units"]))
    return read_panel(sold[sold["units"] > 0], id="item", time="week", value="units", fill=0)


def save(drawn: Any, path: Path) -> None:
    """Write a figure, or the figure of Axes, as a PNG with 128 colours."""
    figure, buffer = getattr(drawn, "figure", drawn), io.BytesIO()
    figure.savefig(buffer, dpi=100, bbox_inches="tight")
    Image.open(buffer).convert("RGB").quantize(128).save(path, optimize=True)
    plt.close("all")
    print(path)


def photograph(report: Path, path: Path, scheme: str = "light", height: int = HEIGHT, is_drawn: bool = True) -> None:
    """Take a screenshot of the first screen of a report; ``is_drawn`` if it has plots of plotly."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": WIDTH, "height": height}, color_scheme=scheme)
        page.goto(report.resolve().as_uri())
        if is_drawn:
            page.wait_for_selector(".plotly .point", timeout=20_000)
            page.wait_for_timeout(1000)
        drawn = page.screenshot()
        browser.close()
    Image.open(io.BytesIO(drawn)).convert("RGB").quantize(192).save(path, optimize=True)
    print(path)


def reported(clusterer: VRAEClusterer, X: Panel, title: str, path: Path, scheme: str = "light") -> None:
    with tempfile.TemporaryDirectory() as folder:
        photograph(clusterer.report(X, Path(folder) / "report.html", title=title), path, scheme)


def draw_shop(out: Path, data: str | None) -> None:
    X = shop()
    clusterer = VRAEClusterer(random_state=0).fit(X)
    save(clusterer.plot.courses(X), out / "gallery-shop-courses.png")
    save(clusterer.plot.selection(), out / "gallery-shop-selection.png")
    save(clusterer.plot.tree(), out / "gallery-shop-tree.png")
    reported(clusterer, X, "Sales of a shop", out / "report.png")


def draw_next_month(out: Path, data: str | None) -> None:
    clusterer = VRAEClusterer(random_state=0).fit(shop(122))
    drift = clusterer.drift(shop(change=True))
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "drift.html"
        page.write_text(render_drift(drift, "What changed since runs/sales"), encoding="utf-8")
        photograph(page, out / "next-month.png", height=900, is_drawn=False)


def draw_leaves(out: Path, data: str | None) -> None:
    X, _ = load_example("OSULeaf")
    clusterer = VRAEClusterer(6, random_state=0).fit(X)
    save(clusterer.plot.map(method="tsne"), out / "gallery-leaves-map.png")
    save(clusterer.model_.plot.traversal(3), out / "gallery-leaves-traversal.png")
    reported(clusterer, X, "Leaves", out / "gallery-leaves-report.png", "dark")


def draw_motions(out: Path, data: str | None) -> None:
    X, _ = load_example("BasicMotions")
    clusterer = VRAEClusterer(random_state=0).fit(X)
    save(clusterer.plot.courses(X), out / "gallery-motions-courses.png")


def draw_days(out: Path, data: str | None) -> None:
    X, _ = load_example("ItalyPowerDemand")
    clusterer = VRAEClusterer(random_state=0).fit(X)
    save(clusterer.plot.courses(X), out / "gallery-days-courses.png")
    save(clusterer.plot.reconstructions(X, 3), out / "gallery-days-reconstructions.png")


def draw_beats(out: Path, data: str | None) -> None:
    X, kinds = load_example("ECG5000", data_dir=data, split="train")
    detector = VRAEAnomalyDetector(random_state=0).fit(X.select(kinds == 1))
    save(detector.plot.scores(), out / "gallery-beats-scores.png")
    clusterer = VRAEClusterer(5, random_state=0).fit(X)
    reported(clusterer, X, "Heartbeats", out / "gallery-beats-report.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder with ucr/ECG5000")
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    drawings = {
        "shop": draw_shop,
        "next-month": draw_next_month,
        "leaves": draw_leaves,
        "motions": draw_motions,
        "days": draw_days,
        "beats": draw_beats,
    }
    parser.add_argument("--only", nargs="*", choices=list(drawings), default=list(drawings))
    options = parser.parse_args()
    warnings.simplefilter("ignore", VRAEWarning)
    for name in options.only:
        drawings[name](options.out, options.data)


if __name__ == "__main__":
    main()
