"""Changes by hand from files: the edits that a report offers for download, and names of clusters.

``edits.json``: ``{"format": "vrae edits", "version": 1, "sizes": [130, 82], "edits": [...]}``.
``sizes`` are those of the clusters before the edits. Each edit is ``{"merge": [2, 5]}``,
``{"split": 3}``, ``{"move": ["id1", "id2"], "to": 1}`` or ``{"rename": {"0": "Christmas"}}``, with
the numbers that hold after the edits before it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from vrae.data.columns import Table
from vrae.data.files import open_path
from vrae.data.table_options import TableOptions
from vrae.describe.words import NOISE, cluster_name
from vrae.estimators.assignment import Assignment
from vrae.estimators.clusterer import VRAEClusterer
from vrae.exceptions import DataWarning, InvalidDataError, VRAEError, name_some, shortened, warn
from vrae.runs.run_tables import positions

__all__ = ["ClusterNames", "Edits", "apply_edit", "read_edits", "read_names"]

_FORMAT, _VERSION = "vrae edits", 1
_LARGEST = 1 << 26  # bytes: some million ids
_AGAIN = "Download it again from the report of this run."

# Keys of each kind of edit: those that it has, and those that it can have.
_KEYS = {
    "merge": ({"merge"}, {"merge"}),
    "split": ({"split"}, {"split", "into"}),
    "move": ({"move", "to"}, {"move", "to"}),
    "rename": ({"rename"}, {"rename"}),
}


@dataclass(frozen=True)
class Edits:
    """Edits of the clusters of a run, and the sizes that its clusters had before."""

    file: Path
    sizes: list[int]
    edits: list[dict[str, Any]]

    def apply(self, clusterer: VRAEClusterer, assignment: Assignment) -> None:
        """Change the clusters of a run. ``assignment`` has all of its series.

        Raises
        ------
        InvalidDataError
            The edits were made for other clusters, or one of them is impossible. It says which.
        """
        n_clusters = clusterer.n_clusters_
        known = [_sizes(labels, n_clusters) for labels in (assignment.labels, clusterer.labels_)]
        if self.sizes not in known:
            raise InvalidDataError(
                f"{self.file} was made for {_told(self.sizes)}. This run has {_told(known[0])}. {_AGAIN}"
            )
        for number, edit in enumerate(self.edits, 1):
            n_before, place = clusterer.n_clusters_, f"{self.file}: edit {number} of {len(self.edits)}, {_json(edit)},"
            try:
                apply_edit(edit, clusterer, assignment)
            except (VRAEError, ValueError, TypeError, RecursionError) as error:
                raise InvalidDataError(f"{place} is impossible. {error} Nothing was changed.") from None
            if "move" in edit and clusterer.n_clusters_ < n_before and number < len(self.edits):
                warn(
                    f"{place} leaves a cluster without series, so higher numbers move up. The edits after it use "
                    f"these new numbers. If they were meant for others, undo them with `vrae regroup`.",
                    DataWarning,
                )


def read_edits(file: Path) -> Edits:
    """Read a file of edits, and check everything that does not depend on a run."""
    if not file.is_file():
        raise InvalidDataError(f"No such file: {file}. Download edits.json from the report of a run.")
    if (size := file.stat().st_size) > _LARGEST:
        raise InvalidDataError(f"{file} is no file of edits: no report writes {size:,} bytes.")
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"), object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise InvalidDataError(f"{file} is not JSON ({error}). {_AGAIN}") from None
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise InvalidDataError(f'{file} is no file of edits: it has no "format": "{_FORMAT}". {_AGAIN}')
    if type(content.get("version")) is not int or content["version"] != _VERSION:
        raise InvalidDataError(
            f"{file} has version {content.get('version')!r:.40}; this version of vrae reads version {_VERSION}. Use "
            f"the version of vrae that wrote the report."
        )
    sizes, edits = content.get("sizes"), content.get("edits")
    if not isinstance(sizes, list) or not all(type(size) is int for size in sizes):
        raise InvalidDataError(f'{file}: "sizes" must be a list with the size of every cluster. {_AGAIN}')
    if not isinstance(edits, list) or not edits:
        raise InvalidDataError(f'{file}: "edits" must be a list of one or more edits. {_AGAIN}')
    for number, edit in enumerate(edits, 1):
        if not isinstance(edit, dict) or not any(own <= set(edit) <= most for own, most in _KEYS.values()):
            raise InvalidDataError(
                f"{file}: edit {number} of {len(edits)} is none: {shortened(edit)}. An edit is a merge, a split, a "
                f"move with its target 'to', or a rename."
            )
    return Edits(file, sizes, edits)


def read_names(file: Path) -> dict[int, str]:
    """Read names from any table with the columns ``cluster`` and ``name``, in any order and case.

    A cluster without a name, and "Not assigned", are left out. A cluster can occur in many rows, as
    in the table of clusters of a run, always with the same name.
    """
    table = open_path(file, TableOptions(id="name"))
    if not isinstance(table, Table):
        raise InvalidDataError(f"{file} holds arrays. Names are read from a table with the columns cluster and name.")
    by_case = {name.casefold(): name for name in reversed(table.columns)}
    wanted = [table.require(by_case.get(name, name)) for name in ("cluster", "name")]
    columns = table.read(wanted)
    labels, names = (columns[name].to_pylist() for name in wanted)
    found: dict[int, str] = {}
    for row, (label, name) in enumerate(zip(labels, names, strict=True)):
        number, text = _whole(label), "" if name is None else str(name).strip()
        if number is None:
            raise InvalidDataError(
                f"{file}: {shortened(label, 40)} in {table.row(row)} is not the number of a cluster."
            )
        if not text or (number == NOISE and text == cluster_name(NOISE)):
            continue
        if found.setdefault(number, text) != text:
            raise InvalidDataError(f"{file} has two names for cluster {number}: {name_some([found[number], text])}.")
    if not found:
        raise InvalidDataError(f"{file} holds no names. Fill the column {wanted[1]!r}.")
    return found


@dataclass(frozen=True)
class ClusterNames:
    """The names of clusters before the edits that a user types, who knows them by these names.

    An edit gives its clusters other names, and can give the name of one cluster to another.
    """

    numbers: dict[str, int]
    labels: npt.NDArray[np.int64]

    @classmethod
    def of(cls, clusterer: VRAEClusterer) -> Self:
        """Return the present names."""
        return cls({name: number for number, name in clusterer.names_.items()}, clusterer.labels_.copy())

    def in_edit(self, edit: dict[str, Any], clusterer: VRAEClusterer) -> dict[str, Any]:
        """Return an edit with the number of what has most of its series now for each name."""

        def now(cluster: Any) -> Any:
            if isinstance(cluster, list):
                return [now(one) for one in cluster]
            if not isinstance(cluster, str) or cluster not in self.numbers:
                return cluster
            labels = clusterer.labels_[self.labels == self.numbers[cluster]]
            labels = labels[labels >= 0]
            return int(np.bincount(labels).argmax()) if len(labels) else cluster

        return {kind: now(value) if kind in ("merge", "split") else value for kind, value in edit.items()}


def apply_edit(edit: dict[str, Any], clusterer: VRAEClusterer, assignment: Assignment) -> None:
    """Change the clusters of a run by one edit. ``assignment`` has all of its series."""
    if "merge" in edit:
        clusterer.merge(edit["merge"])
    elif "split" in edit:
        clusterer.split(edit["split"], edit.get("into", 2))
    elif "move" in edit:
        _move(edit["move"], edit["to"], clusterer, assignment)
    elif isinstance(edit["rename"], dict):
        clusterer.rename({_number(key): name for key, name in edit["rename"].items()})
    else:
        raise InvalidDataError('Names must be an object, such as {"0": "Christmas"}.')


def _move(ids: Any, to: Any, clusterer: VRAEClusterer, assignment: Assignment) -> None:
    """Move series by ids as text, also those of a run that the model was not fitted to."""
    if not isinstance(ids, list) or not ids:
        raise InvalidDataError("A move must list one or more ids.")
    names = np.empty(len(ids), object)
    names[:] = ids
    rows = positions(assignment.ids, names)
    if (rows < 0).any():
        unknown = names[rows < 0]
        raise InvalidDataError(f"{len(unknown)} of {len(ids)} ids are not in this run: {name_some(unknown)}.")
    fitted = positions(clusterer.ids_, names)
    if (fitted >= 0).all():
        clusterer.move(clusterer.ids_[fitted], to)
        return
    others = np.setdiff1d(clusterer.grouping_.alike(assignment.embedding[rows]), fitted)
    clusterer.move_vectors(assignment.embedding[rows], to)
    if len(others):
        warn(f"{len(others)} more series with the same latent vectors move too.", DataWarning)


def _sizes(labels: npt.NDArray[np.int64], n_clusters: int) -> list[int]:
    found: list[int] = np.bincount(labels[labels >= 0], minlength=n_clusters).tolist()
    return found


def _told(sizes: Sequence[int]) -> str:
    shown = ", ".join(f"{size:,}" for size in sizes[:12]) + (", ..." if len(sizes) > 12 else "")
    return f"{len(sizes)} group{'s' * (len(sizes) != 1)} of {shown} series"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON. Raise if a key occurs twice: one of its values would be lost."""
    repeated = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
    if repeated:
        raise ValueError(f"a key occurs twice in one object: {name_some(repeated)}")
    return dict(pairs)


def _json(edit: dict[str, Any]) -> str:
    """Return an edit as in the file, shortened."""
    try:
        text = json.dumps(edit, ensure_ascii=False)
    except RecursionError:
        return shortened(edit)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _number(key: str) -> Any:
    """Return a key of JSON as the number of a cluster, or as it is: a name."""
    return int(key) if key.isascii() and key.isdecimal() and len(key) < 10 and str(int(key)) == key else key


def _whole(label: Any) -> int | None:
    """Return a cell as a whole number, None if it is none."""
    try:
        number = float(label)
    except (TypeError, ValueError):
        return None
    return int(number) if number.is_integer() else None
