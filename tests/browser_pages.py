"""Fixtures and helpers for tests that open a report in a real browser."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ARTEFACTS = Path(__file__).parents[1] / "test-artefacts"


@pytest.fixture(scope="module")
def browser():
    """Return Debian's chromium, or skip the test."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright (the Python package) is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Debian's chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, headless=True, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_report(browser, tmp_path, request):
    """Return a function that opens a report; at the end nothing may have gone wrong in any of them.

    What the last one looked like is kept in ``test-artefacts/``.
    """
    from vrae.report import write_report

    troubles: list[str] = []
    contexts = []

    def open_(data, script: str = "", **options):
        context = browser.new_context(accept_downloads=True, **options)
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        page.add_init_script(script)
        page.on("console", lambda message: note_message(message))
        page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
        page.on("dialog", lambda dialog: troubles.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: note_request(request.url))
        path = write_report(data, tmp_path / f"report{len(contexts)}.html")
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]", state="attached")
        return page

    def note_message(message) -> None:
        if "GL Driver Message" not in message.text:  # headless Chromium on its own software WebGL
            troubles.append(f"{message.type}: {message.text}")

    def note_request(url: str) -> None:
        if not url.startswith(("file:", "data:", "blob:")):
            troubles.append(f"request: {url}")

    yield open_
    if contexts and contexts[-1].pages:
        name = re.sub(r"\W+", "-", request.node.name).strip("-")
        contexts[-1].pages[-1].screenshot(path=ARTEFACTS / f"{name}.png")
    for context in contexts:
        context.close()
    assert troubles == []


def title(page) -> str:
    """Return the title of the selection, or of the typical curves where nothing is selected."""
    is_open = page.locator(".selection").is_visible()
    return page.inner_text("#selection-title" if is_open else "#overview-title")


def row_ids(page) -> list[str]:
    """Return the ids in the table of selected series."""
    return page.eval_on_selector_all("#table tbody tr td:first-child button", "all => all.map(b => b.textContent)")


def traces(page, figure: str) -> list[dict[str, Any]]:
    """Return name and number of points of every line or group of a plotly figure."""
    script = "id => document.getElementById(id).data.map(t => ({name: t.name, n: t.x.length}))"
    return page.evaluate(script, figure)


def downloaded(page) -> list[list[str]]:
    """Return the rows of the table that the page lets one download."""
    with _download(page, "#download").open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def downloaded_edits(page) -> dict[str, Any]:
    """Return the edits that the page lets one download."""
    return json.loads(_download(page, "#download-edits").read_text("utf-8"))


def _download(page, button: str) -> Path:
    with page.expect_download() as waiting:
        page.click(button)
    return Path(waiting.value.path())
