"""The code of pages that promise it runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::vrae.exceptions.PosteriorCollapseWarning")
@pytest.mark.parametrize("page", ["ecosystem.md"])
def test_the_code_of_a_page_runs(page):
    pytest.importorskip("aeon")
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, page, "exec"), names)
