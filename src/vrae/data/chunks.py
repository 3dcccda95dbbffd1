"""Regroup the record batches of a table into chunks: a number of rows, or of whole series."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["Batches", "chunk_rows", "chunk_series", "list_sizes"]

Batches = Iterator[pa.RecordBatch]
Ints = npt.NDArray[np.int64]


def chunk_rows(
    batches: Batches, max_rows: int, row_sizes: Callable[[pa.RecordBatch], Ints] | None, max_size: int
) -> Iterator[pa.Table]:
    """Regroup rows into chunks of at most ``max_rows`` rows and ``max_size`` values.

    ``row_sizes`` returns the number of values of each row. None: it does not matter. A single larger
    row is a chunk.
    """
    held: list[pa.RecordBatch] = []
    n_held, size = 0, 0
    for batch in batches:
        while batch.num_rows:
            ends = np.cumsum(row_sizes(batch)) if row_sizes else np.zeros(batch.num_rows, np.int64)
            fitting = int(np.searchsorted(ends, max_size - size, side="right"))
            taken = min(max_rows - n_held, max(fitting, not held), batch.num_rows)
            if taken:
                held.append(batch.slice(0, taken))
                n_held, size = n_held + taken, size + int(ends[taken - 1])
            if n_held == max_rows or taken < batch.num_rows:
                yield pa.Table.from_batches(held)
                held, n_held, size = [], 0, 0
            batch = batch.slice(taken)
    if held:
        yield pa.Table.from_batches(held)


def list_sizes(columns: list[str]) -> Callable[[pa.RecordBatch], Ints]:
    """Return a function for the number of values per row in columns of lists of equal lengths."""

    def row_sizes(batch: pa.RecordBatch) -> Ints:
        lengths = pc.fill_null(pc.list_value_length(batch.column(columns[0])), 0)
        return lengths.to_numpy(zero_copy_only=False).astype(np.int64) * len(columns)

    return row_sizes


def chunk_series(batches: Batches, id_column: str, max_series: int, max_rows: int) -> Iterator[pa.Table]:
    """Regroup rows into chunks of whole series. A single longer series is a chunk.

    A series is a run of rows with the same id. It may continue in the next batch, so the last
    series of a batch is held back until the next series begins.
    """
    held: list[pa.RecordBatch] = []
    starts = np.zeros(0, np.int64)  # first row of each series held
    n_held, last_id = 0, None
    for batch in batches:
        if batch.num_rows == 0:
            continue
        ids = batch.column(id_column)
        starts = np.append(starts, n_held + _run_starts(ids, last_id))
        last_id, n_held = ids[-1], n_held + batch.num_rows
        held.append(batch)
        cuts = _cut_points(starts, max_series, max_rows)
        if len(cuts):
            table, begin = pa.Table.from_batches(held), 0
            for cut in cuts:
                yield table.slice(begin, cut - begin)
                begin = cut
            held, n_held = table.slice(begin).to_batches(), n_held - begin
            starts = starts[starts >= begin] - begin
    if held:
        table, begin = pa.Table.from_batches(held), 0
        for cut in [*_cut_points(np.append(starts, n_held), max_series, max_rows), n_held]:
            if cut > begin:
                yield table.slice(begin, cut - begin)
            begin = cut


def _cut_points(starts: Ints, max_series: int, max_rows: int) -> list[int]:
    """Return the rows at which chunks end, as far as known: the last series may continue."""
    cuts: list[int] = []
    i = 0  # first series of the next chunk
    while i + 1 < len(starts):
        fitting = int(np.searchsorted(starts, starts[i] + max_rows, side="right")) - 1
        j = min(i + max_series, max(i + 1, fitting))
        full = j == i + max_series or starts[-1] > starts[i] + max_rows
        if j >= len(starts) or not full:
            break
        cuts.append(int(starts[j]))
        i = j
    return cuts


def _run_starts(ids: pa.Array, last_id: pa.Scalar | None) -> Ints:
    """Return the rows whose id differs from the row before. ``last_id`` precedes the first row."""
    if pa.types.is_dictionary(ids.type):
        ids = ids.cast(ids.type.value_type)
    changed = pc.fill_null(pc.not_equal(ids.slice(1), ids.slice(0, len(ids) - 1)), True)
    begins = last_id is None or not last_id.is_valid or last_id.as_py() != ids[0].as_py()
    return np.flatnonzero(np.concatenate([[begins], changed.to_numpy(zero_copy_only=False)])).astype(np.int64)
