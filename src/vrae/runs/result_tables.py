"""Tables with one row per series: clusters and latent vectors. And one row per cluster or epoch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from vrae.data.panel import Panel, invalid_series
from vrae.describe import ClusterDescription
from vrae.estimators.assignment import assign
from vrae.estimators.clusterer import VRAEClusterer
from vrae.estimators.head import Head
from vrae.estimators.vrae import VRAE
from vrae.metrics import DOUBTFUL
from vrae.phases import advance, announce, listening
from vrae.runs.table_files import Columns, table_writer, write_columns
from vrae.runtime import one_blas_thread, ordered_map, work_threads

__all__ = [
    "embedding_columns",
    "embedding_table",
    "map_panels",
    "without_dropped",
    "write_assignments",
    "write_descriptions",
    "write_embeddings",
    "write_model",
]

Result = TypeVar("Result")


def map_panels(model: VRAE, work: Callable[[Panel], Result], panels: Iterable[Panel]) -> Iterator[Result]:
    """Yield ``work(panel)`` for each panel, in order.

    With a small network, several panels are computed at once in one thread each, while the next is
    read and the last is written. At most one more is in memory than there are threads. A single
    panel uses all threads.
    """
    device, hidden_size = model.inference_.device, model.network_.config.hidden_size
    panels = iter(panels)
    first = [*islice(panels, 2)]
    are_several, panels = len(first) > 1, chain(first, panels)
    del first  # or it would stay in memory

    def quietly(panel: Panel) -> Result:
        threads = work_threads(device, hidden_size) if are_several else nullcontext()
        with listening(None), threads:  # it does not tell of parts of a panel
            return work(panel)

    with one_blas_thread():  # threads of BLAS would wait for each other
        yield from ordered_map(quietly, panels, device, hidden_size)


def without_dropped(model: VRAE, panel: Panel) -> Panel:
    """Return the series that a model does not drop; see its ``on_invalid``."""
    return panel.select(~invalid_series(panel)) if model.on_invalid == "drop" else panel


def write_assignments(
    clusterer: VRAEClusterer, panels: Iterable[Panel], target: Path | None
) -> tuple[Counter[int], int]:
    """Write the clusters of all series: id, cluster, name, probability, lag and static columns.

    Return how many series each cluster has, where -1 are those without one, and how many series
    have one that is less likely than `DOUBTFUL`.
    """
    sizes: Counter[int] = Counter()
    n_doubtful = 0
    announce("Assigning")
    with table_writer(target) as write:
        for assignment in map_panels(clusterer.model_, partial(assign, clusterer), panels):
            sizes.update(assignment.labels.tolist())
            n_doubtful += int(((assignment.labels >= 0) & (assignment.probabilities < DOUBTFUL)).sum())
            write(assignment.columns())
            advance(sizes.total(), None, "series")
    return sizes, n_doubtful


def doubtful_note(n_doubtful: int, n_series: int) -> str:
    """Say how many series have a cluster that is little more than a guess; nothing if none has."""
    if not n_doubtful:
        return ""
    return (
        f"{n_doubtful:,} of {n_series:,} series have a cluster with a probability below {DOUBTFUL}: they lie between "
        f"clusters, or have far fewer steps than the training series. Take these clusters as guesses."
    )


def unassigned_note(n_unassigned: int, n_series: int) -> str:
    """Say how many series have no cluster, and why; nothing if all have one."""
    if not n_unassigned:
        return ""
    return (
        f"{n_unassigned:,} of {n_series:,} series have no cluster (-1): they are unlike all training series, or have "
        f"no values. Look at them. --all gives them their nearest cluster; for a cluster of their own, run vrae "
        f"cluster on old and new series together."
    )


def write_embeddings(model: VRAE | Head, panels: Iterable[Panel], target: Path | None) -> int:
    """Write the latent vectors of all series: id, vrae0, vrae1, ... and static columns.

    Return how many series there are.
    """
    own, n_series = model.model_ if isinstance(model, Head) else model, 0

    def work(panel: Panel) -> tuple[int, Columns]:
        return len(panel), embedding_table(own, panel)

    announce("Embedding")
    with table_writer(target) as write:
        for n_read, columns in map_panels(own, work, panels):
            write(columns)
            n_series += n_read
            advance(n_series, None, "series")
    return n_series


def embedding_table(model: VRAE | Head, panel: Panel) -> Columns:
    """Return the table of `write_embeddings` for one panel."""
    model = model.model_ if isinstance(model, Head) else model
    panel, indices = model.open(panel)
    static = {name: np.asarray(column) for name, column in panel.static.items()}
    return {**embedding_columns(panel.ids, model.inference_.embed(panel, indices)), **static}


def embedding_columns(ids: npt.NDArray[Any], Z: npt.NDArray[np.float32]) -> Columns:
    """Return latent vectors (n_series, latent_size) as columns: id, vrae0, vrae1, ..."""
    return {"id": ids, **{f"vrae{d}": column for d, column in enumerate(Z.T)}}


def write_descriptions(descriptions: Sequence[ClusterDescription], target: Path | None) -> None:
    """Write one row per cluster: its size, description, typical series and traits."""
    rows = [entry.to_dict() for entry in descriptions]
    write_columns({name: np.array([row[name] for row in rows]) for name in rows[0]}, target)


def write_model(estimator: VRAE | Head, folder: Path) -> None:
    """Write ``model/`` and ``history.csv``: one row per epoch, NaN where a record has no value."""
    estimator.save(folder / "model")
    history = (estimator.model_ if isinstance(estimator, Head) else estimator).history_
    names = dict.fromkeys(name for record in history for name in record)
    columns = {name: np.array([record.get(name, np.nan) for record in history]) for name in names}
    write_columns(columns, folder / "history.csv")
