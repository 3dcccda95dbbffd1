"""The page's own parts: template, style, script, and the policy under which only they run."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from vrae.optional import check_installed

__all__ = ["check_report", "plotly_script", "policy", "script", "style", "template"]

# One idea a file; together they are one closure, in this order.
_SCRIPTS = ("data", "look", "lines", "map", "selection", "cards", "unusual", "directions", "start")
_STYLES = ("look", "first", "explore", "cards", "rest", "print")


def policy(scripts: Sequence[str], *, uses_webgl: bool) -> str:
    """Return the Content-Security-Policy: only these scripts run, and nothing is fetched.

    plotly compiles its WebGL drawing at run time, for which a page of many points must allow
    ``unsafe-eval``; a page of few points is drawn as SVG and does without.
    """
    sources = " ".join(_hash(script) for script in scripts)
    if uses_webgl:
        sources += " 'unsafe-eval'"
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {sources}",
            "style-src 'unsafe-inline'",  # plotly writes styles as it draws
            "img-src data: blob:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def check_report() -> None:
    """Raise if a package that the report needs is not installed; ask it before the work that the report is about."""
    for package in ("jinja2", "plotly"):
        check_installed(package, "report", "The report")


@cache
def plotly_script() -> str:
    """Return plotly.js as the Python package ships it: the whole of it, 4.8 MB, there is no smaller one."""
    from plotly.offline import get_plotlyjs

    source: str = get_plotlyjs()
    return source.replace("</script", "<\\/script")


@cache
def script() -> str:
    """Return the page's own script."""
    parts = "\n".join(_asset(f"{name}.js") for name in _SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}\n}})();'


@cache
def style() -> str:
    """Return the page's style sheet."""
    return "\n".join(_asset(f"{name}.css") for name in _STYLES)


@cache
def template() -> Any:
    """Return the page's template; everything put into it is escaped."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_asset("template.html"))


def _asset(name: str) -> str:
    return files("vrae.report").joinpath("assets", name).read_text("utf-8")
