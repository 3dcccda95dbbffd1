"""Add the tables of the benchmarks, which are next to their scripts and not in this folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
SHOWN = ("*.md", "*.png")


def on_files(files: Any, config: Any) -> Any:
    """Add the tables and their pictures to the site's files."""
    for pattern in SHOWN:
        for path in sorted((ROOT / "benchmarks").glob(f"*/{pattern}")):
            files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Change links between the two folders from those of the repository to those of the site."""
    if page.file.src_uri.startswith("benchmarks/"):
        return markdown.replace("](../../docs/", "](../../")
    return markdown.replace("](../benchmarks/", "](benchmarks/")
