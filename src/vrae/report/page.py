"""The parts of the page: template, style, scripts and Content-Security-Policy."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from vrae.exceptions import check_installed

__all__ = ["check_report", "plotly_script", "policy", "script", "style", "template"]

# One topic per file. Together, in this order, they form one closure.
_SCRIPTS = (
    *("data", "axes", "look", "lines", "groups", "state", "names", "map", "selection", "overview", "list", "cards"),
    *("editing", "profiles", "anomalous", "directions", "choice", "start"),
)
_STYLES = ("look", "first", "explore", "editing", "cards", "profiles", "rest", "choice", "narrow", "print")


def policy(scripts: Sequence[str], *, uses_webgl: bool) -> str:
    """Return the Content-Security-Policy: only these scripts run, and nothing is fetched.

    plotly compiles its WebGL code at run time, so a page with many points must allow
    ``unsafe-eval``. A page with few points is drawn as SVG and does not need it.
    """
    sources = " ".join(_hash(script) for script in scripts) or "'none'"
    if uses_webgl:
        sources += " 'unsafe-eval'"
    styles = "style-src 'unsafe-inline'"  # plotly writes styles as it draws
    rest = "img-src data: blob:; base-uri 'none'; form-action 'none'"
    return f"default-src 'none'; script-src {sources}; {styles}; {rest}"


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def check_report() -> None:
    """Raise if a package that the report needs is not installed. Call it before long work."""
    for package in ("jinja2", "plotly"):
        check_installed(package, "report", "The report")


@cache
def plotly_script() -> str:
    """Return plotly.js from the Python package: the full bundle, 4.8 MB, the only one it ships."""
    from plotly.offline import get_plotlyjs

    source: str = get_plotlyjs()
    return source.replace("</script", "<\\/script")


@cache
def script() -> str:
    """Return the page's own script."""
    parts = "\n".join(_asset(f"{name}.js") for name in _SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}\n}})();'


@cache
def style(parts: tuple[str, ...] = _STYLES) -> str:
    """Return the page's style sheet, made of these parts."""
    return "\n".join(_asset(f"{name}.css") for name in parts)


@cache
def template(name: str = "template.html") -> Any:
    """Return a page's template, which escapes everything put into it."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(_asset), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["unbroken"] = lambda text: str(text).replace(" %", "\u00a0%")  # number and sign on one line
    return environment.get_template(name)


def _asset(name: str) -> str:
    return files("vrae.report").joinpath("assets", name).read_text("utf-8")
