"""What the site has in addition to the files of this folder.

- A page for each command, made from the command line's own help.
- The tutorials: notebooks, run and turned into pages.
- The tables of the benchmarks, which are next to their scripts.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs"))

from command_pages import command_pages  # noqa: E402
from tutorial_pages import tutorial_files  # noqa: E402

SHOWN = ("*.md", "*.png")


def on_config(config: Any) -> Any:
    """Add the pages of commands to the navigation, below the page about all of them."""
    section = _section(config["nav"], "commands.md")
    section += [{f"vrae {name}": f"commands/{name}.md"} for name in command_pages()]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are made, and the tables of the benchmarks with their pictures."""
    for name, text in command_pages().items():
        files.append(File.generated(config, f"commands/{name}.md", content=text))
    for uri, content in tutorial_files(ROOT / "docs" / "tutorials").items():
        files.append(File.generated(config, f"tutorials/{uri}", content=content))
    for pattern in SHOWN:
        for path in sorted((ROOT / "benchmarks").glob(f"*/{pattern}")):
            files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Change links of the repository to those of the site. Leave some pages out of the search."""
    place = page.file.src_uri
    if place.startswith(("benchmarks/", "decisions/")):  # for maintainers, and out of the reader's way
        page.meta["search"] = {"exclude": True}
    if place.startswith("benchmarks/"):
        return markdown.replace("](../../docs/", "](../../")
    if place == "commands.md":
        markdown = re.sub(r"^\| `vrae (\w+)` \|", r"| [`vrae \1`](commands/\1.md) |", markdown, flags=re.MULTILINE)
    up = "../" * place.count("/")
    return markdown.replace(f"]({up}../benchmarks/", f"]({up}benchmarks/").replace(".ipynb)", ".md)")


def _section(nav: list[Any], page: str) -> list[Any]:
    """Return the section of the navigation that has this page."""
    for entry in nav:
        for below in entry.values() if isinstance(entry, dict) else ():
            if isinstance(below, list):
                found = below if page in below else _section(below, page)
                if found:
                    return found
    return []
