"""Run the notebooks of a folder, and turn each into a page with its pictures.

A notebook in the repository has no outputs. Run ones are kept in build/, and run again when the
notebook or vrae has changed.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

__all__ = ["run_once", "tutorial_files"]

_ROOT = Path(__file__).parents[1]
_RUN = _ROOT / "build" / "tutorials"
_SECONDS = 600  # for one cell, on a slow machine


def _run(path: Path, folder: Path) -> NotebookNode:
    """Run a notebook in a folder, where it finds and leaves its files. Errors are raised."""
    notebook = nbformat.read(path, as_version=4)
    place = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, kernel_name="python3", timeout=_SECONDS, resources=place)
    return client.execute()


def tutorial_files(folder: Path) -> dict[str, str | bytes]:
    """Return pages and pictures by their names, of all notebooks in a folder."""
    from nbconvert import MarkdownExporter  # the tests run notebooks without it

    found: dict[str, str | bytes] = {}
    for path in sorted(folder.glob("*.ipynb")):
        text, resources = MarkdownExporter().from_notebook_node(
            run_once(path), {"unique_key": path.stem, "output_files_dir": path.stem}
        )
        found[f"{path.stem}.md"] = _download(path) + text
        found.update(resources["outputs"])
    return found


def _download(path: Path) -> str:
    return f'<p class="notebook"><a href="{path.name}" download>Download this notebook</a></p>\n\n'


def run_once(path: Path) -> NotebookNode:
    """Return a notebook with its outputs. It is run unless that was done before."""
    sources = sorted((_ROOT / "src").rglob("*.py"))
    state = hashlib.sha256(b"".join(source.read_bytes() for source in [path, *sources])).hexdigest()
    kept = _RUN / f"{path.stem}-{state[:16]}.ipynb"
    if not kept.exists():
        work = _RUN / path.stem
        work.mkdir(parents=True, exist_ok=True)
        for old in _RUN.glob(f"{path.stem}-*.ipynb"):
            old.unlink()
        nbformat.write(_run(path, work), kept)
    return nbformat.read(kept, as_version=4)
