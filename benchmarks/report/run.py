"""How large a report is, how long it takes to make, and how soon a browser shows it.

    python benchmarks/report/run.py

Needs Playwright and a Chromium on the PATH. The series are noisy waves in eight clusters; what they
are does not change the figures. The last rows are real: the bundled demo data, where the time of
the fit stands beside that of the report.
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

from vrae import Panel, VRAEClusterer, load_example
from vrae.estimators.assignment import assign
from vrae.estimators.reporting import gather_report
from vrae.report import DirectionCurves, ReportData, write_report

STEPS, LATENT, CLUSTERS = 100, 16, 8
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
PAINT = """() => ({
  paint: performance.getEntriesByName("first-contentful-paint")[0]?.startTime,
  ready: window.readyAt,
})"""
WATCH = """new MutationObserver(() => {
  if (document.documentElement?.dataset.ready && !window.readyAt) window.readyAt = performance.now();
}).observe(document, { attributes: true, subtree: true, attributeFilter: ["data-ready"] });"""


def made_up(n: int) -> ReportData:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLUSTERS, n)
    waves = np.sin(np.arange(STEPS) / (2 + np.arange(CLUSTERS)[:, None]))
    values = (waves[labels] + 0.3 * rng.normal(size=(n, STEPS))).astype(np.float32)
    panel = Panel.from_arrays(
        values,
        ids=[f"store-{i % 97:02d}/item-{i:07d}" for i in range(n)],
        static={"region": rng.integers(0, 9, n), "year": rng.integers(2000, 2020, n)},
    )
    time_ = np.arange(STEPS) / 9
    curves = np.stack([[[np.sin(time_ * (1 + 0.1 * d) + p)] for p in np.linspace(-1, 1, 11)] for d in range(8)])
    return ReportData(
        title="Waves",
        panel=panel,
        labels=labels,
        probabilities=rng.uniform(0.4, 1, n),
        embedding=4 * np.eye(LATENT)[labels] + rng.normal(size=(n, LATENT)),
        reconstruction=panel.with_values(waves[labels].astype(np.float32).reshape(-1, 1)),
        lags=None,
        history=[
            {"epoch": e, "loss": 9 / e, "reconstruction": 7 / e, "kl": 2.0, "kl_weight": 1.0} for e in range(1, 50)
        ],
        selection=[],
        metrics={},
        truth=None,
        scores=rng.normal(size=n),
        noise=np.full((n, 1), 0.3),
        traversal=DirectionCurves(np.tile(np.linspace(-2, 2, 11), (8, 1)), curves),
    )


def shown(report: Path) -> tuple[float, float]:
    """Return seconds to first contentful paint and to a responsive page, medians of three."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    found = []
    with sync_playwright() as playwright:
        for _ in range(3):
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            page = browser.new_page(viewport={"width": 1400, "height": 900})
            page.add_init_script(WATCH)
            page.goto(report.as_uri(), timeout=120_000)
            page.wait_for_function("window.readyAt", timeout=120_000)
            times = page.evaluate(PAINT)
            found.append((times["paint"] / 1000, times["ready"] / 1000))
            browser.close()
    paint, ready = np.median(found, axis=0)
    return float(paint), float(ready)


def row(name: str, data: ReportData, fit: str, folder: Path) -> str:
    started = time.perf_counter()
    path = write_report(data, folder / "report.html")
    seconds = time.perf_counter() - started
    paint, ready = shown(path)
    print(
        name,
        f"{path.stat().st_size / 1e6:.1f} MB, {seconds:.1f} s, paint {paint:.2f} s, ready {ready:.2f} s",
        flush=True,
    )
    return f"| {name} | {path.stat().st_size / 1e6:.1f} | {fit} | {seconds:.1f} | {paint:.2f} | {ready:.2f} |"


def real(name: str, folder: Path) -> str:
    panel, labels = load_example(name)
    started = time.perf_counter()
    clusterer = VRAEClusterer(len(set(labels.tolist())), random_state=0).fit(panel)
    fit = time.perf_counter() - started
    assignment = assign(clusterer, panel)
    data = gather_report(name, clusterer, panel, assignment, {}, labels)
    return row(f"{name} ({len(panel):,} series)", data, f"{fit:.1f}", folder)


def main() -> None:
    from plotly.offline import get_plotlyjs

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [row(f"{n:,} series of {STEPS} steps", made_up(n), "", folder) for n in (50, 1000, 10_000, 200_000)]
        rows += [real(example, folder) for example in ("OSULeaf", "JapaneseVowels")]
    load = os.getloadavg()[0]
    text = f"""# The report: size, and how soon it is there

Written by `python benchmarks/report/run.py` on {platform.machine()}, {os.cpu_count()} cores, load average {load:.1f}
at the end. Of each file {len(get_plotlyjs()) / 1e6:.1f} MB are plotly.js: the Python package ships the whole of it and
no smaller part.

| | MB | fit, s | report, s | first paint, s | answers, s |
|---|---|---|---|---|---|
{chr(10).join(rows)}

Targets: under 15 MB at 200,000 series; under 3 s to the first paint at 10,000. "Answers": every chart is drawn and
buttons work. Both are medians of three openings in a fresh headless Chromium without a graphics card.
"""
    Path(__file__).with_name("RESULTS.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
