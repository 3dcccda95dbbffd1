"""Take the screenshot of a report that the README shows: docs/report.png.

    vrae demo
    python examples/report_picture.py [runs/demo/report.html] [docs/report.png]

Needs Playwright and a Chromium on the PATH.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright


def main() -> None:
    report, picture, *_ = [*sys.argv[1:], *["runs/demo/report.html", "docs/report.png"][len(sys.argv) - 1 :]]
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1400, "height": 1040})
        page.goto(Path(report).resolve().as_uri())
        page.wait_for_selector(".plotly .point", timeout=20_000)
        page.locator(".pick").nth(1).click()
        page.wait_for_selector("#table tbody tr")
        page.mouse.move(0, 0)
        page.wait_for_timeout(500)  # the map's buttons fade
        page.screenshot(path=picture)
        browser.close()
    print(picture)


if __name__ == "__main__":
    main()
