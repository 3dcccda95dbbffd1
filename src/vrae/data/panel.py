"""Panel: the one container of series inside vrae.

All series lie end to end in one flat array, and ``offsets`` says where each begins: Arrow's list layout.
Unequal lengths cost nothing, a memory-mapped file serves as well as an array, and padding happens only
inside a batch (`vrae.data.batching`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.exceptions import DataTypeError, InvalidDataError, name_some

__all__ = ["Panel", "invalid_series"]

# Checks over all values run in slices of this many, so that a memory-mapped panel is never loaded whole.
_SLICE = 1 << 22


@dataclass(frozen=True, eq=False, repr=False)
class Panel:
    """Many time series of any lengths, with ids, in order.

    Parameters
    ----------
    values : ndarray of float32, shape (total_steps, n_channels)
        All series end to end; NaN is a missing value.
    offsets : ndarray of int64, shape (n_series + 1,)
        Series ``i`` is ``values[offsets[i]:offsets[i + 1]]``.
    ids : ndarray, shape (n_series,)
        A name for every series; they come back with the results, in this order.
    times : ndarray of shape (total_steps,), optional
        Time stamp of every step.
    channels : tuple of str, optional
        Names of the channels; default ``("value",)``, or ``("value0", "value1", ...)``.
    static : mapping of str to ndarray of shape (n_series,), optional
        One value a series (category, store, ...), carried along to the results.

    Raises
    ------
    InvalidDataError
        The parts do not fit together, or two series share an id.

    Examples
    --------
    >>> panel = Panel.from_arrays([[1.0, 2.0, 3.0], [4.0, 5.0]], ids=["a", "b"])
    >>> panel
    Panel(2 series, 1 channel, 2 to 3 steps, 0.0 % missing)
    >>> panel[1].tolist()
    [[4.0], [5.0]]
    """

    values: npt.NDArray[np.float32]
    offsets: npt.NDArray[np.int64]
    ids: npt.NDArray[Any]
    times: npt.NDArray[Any] | None = None
    channels: tuple[str, ...] = ()
    static: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] == 0:
            raise InvalidDataError(
                f"A panel's values must have shape (total_steps, n_channels); found {self.values.shape}."
            )
        n, steps = len(self.ids), len(self.values)
        if len(self.offsets) != n + 1 or self.offsets[0] != 0 or self.offsets[-1] != steps:
            raise InvalidDataError(
                f"A panel's parts do not fit together: offsets must rise from 0 to {steps} (the steps) in {n + 1} "
                f"entries (one more than ids); found {len(self.offsets)}, from {self.offsets[0]} to {self.offsets[-1]}."
            )
        if (np.diff(self.offsets) < 1).any():
            empty = self.ids[np.diff(self.offsets) < 1]
            raise InvalidDataError(f"Found series of 0 steps, ids {name_some(empty)}. Remove them.")
        wrong = [name for name, column in self.static.items() if len(column) != n]
        if wrong or (self.times is not None and len(self.times) != steps):
            raise InvalidDataError(
                f"A panel's parts do not fit together: times need {steps} entries and static columns {n}; not so in "
                f"{name_some(wrong or ['times'])}."
            )
        if not self.channels:
            c = self.n_channels
            names = ("value",) if c == 1 else tuple(f"value{i}" for i in range(c))
            object.__setattr__(self, "channels", names)
        self._check_ids()

    def _check_ids(self) -> None:
        if self.ids.ndim != 1:
            raise InvalidDataError(f"Each id must be one text or number; found ids of shape {self.ids.shape}.")
        if self.ids.dtype == object and any(name is None or name != name for name in self.ids):
            raise InvalidDataError("Every series needs an id of its own; found None or NaN among the ids.")
        try:
            unique, counts = np.unique(self.ids, return_counts=True)
            repeated = unique[counts > 1].tolist()
        except TypeError:  # text and numbers side by side have no order
            repeated = [name for name, count in Counter(self.ids.tolist()).items() if count > 1]
        if repeated:
            raise InvalidDataError(
                f"Every series needs an id of its own; these stand more than once: {name_some(repeated)}. "
                f"Rename or merge them."
            )

    # ---------------------------------------------------------------- building

    @classmethod
    def from_arrays(cls, X: Any, ids: Sequence[Any] | None = None, **parts: Any) -> Panel:
        """Build a panel from arrays.

        Parameters
        ----------
        X : ndarray of shape (n_series, n_steps) or (n_series, n_channels, n_steps), or list of arrays
            A list may hold series of unequal length, each ``(n_steps,)`` or ``(n_channels, n_steps)``.
        ids : sequence of length n_series, optional
            Default: 0, 1, 2, ...
        **parts
            ``times``, ``channels``, ``static`` as in `Panel`.

        Raises
        ------
        InvalidDataError
            Not numeric, wrong number of dimensions, empty series or unequal numbers of channels.
        """
        if isinstance(X, np.ndarray) and X.dtype != object:
            values, lengths = _flatten_array(X)
        else:
            values, lengths = _flatten_list(X, ids)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return cls(values, offsets, _as_ids(ids, len(lengths)), **parts)

    # ---------------------------------------------------------------- looking

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, row: int) -> npt.NDArray[np.float32]:
        """Return series ``row``, shape (n_steps, n_channels), without a copy."""
        if not -len(self) <= row < len(self):
            raise IndexError(f"series {row} of a panel of {len(self)}")
        row %= len(self)
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    def __iter__(self) -> Iterator[npt.NDArray[np.float32]]:
        return (self[row] for row in range(len(self)))

    def __repr__(self) -> str:
        channels = f"{self.n_channels} channel{'s' * (self.n_channels != 1)}"
        if len(self) == 0:
            return f"Panel(0 series, {channels})"
        low, high = self.lengths.min(), self.lengths.max()
        steps = f"{low}" if low == high else f"{low} to {high}"
        return f"Panel({len(self)} series, {channels}, {steps} steps, {100 * self.missing_share():.1f} % missing)"

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Number of steps of every series, shape (n_series,)."""
        return np.diff(self.offsets)

    @property
    def n_channels(self) -> int:
        """Number of channels, the same for every series."""
        return int(self.values.shape[1])

    @property
    def nbytes(self) -> int:
        """Bytes of the values."""
        return int(self.values.nbytes)

    def missing_share(self) -> float:
        """Return the share of values that are missing, 0 to 1."""
        missing = sum(int(np.isnan(part).sum()) for part in self.slices())
        return missing / self.values.size if self.values.size else 0.0

    def slices(self) -> Iterator[npt.NDArray[np.float32]]:
        """Yield all values in slices (steps, n_channels) of bounded size, for passes over a mapped file."""
        rows = max(1, _SLICE // self.n_channels)
        return (self.values[start : start + rows] for start in range(0, len(self.values), rows))

    def position(self, series_id: Any) -> int:
        """Return the row of the series with this id.

        Raises
        ------
        InvalidDataError
            No series has it.
        """
        found = np.flatnonzero(self.ids == series_id)
        if len(found) == 0:
            raise InvalidDataError(f"No series has the id {series_id!r}. Ids here: {name_some(self.ids)}.")
        return int(found[0])

    # ---------------------------------------------------------------- deriving

    def steps_of(self, rows: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return where the steps of these series lie in ``values``, series after series."""
        rows = np.asarray(rows)
        lengths = self.lengths[rows]
        ends = np.cumsum(lengths)
        shift = np.repeat(self.offsets[:-1][rows] - (ends - lengths), lengths)
        return np.arange(ends[-1] if len(ends) else 0) + shift

    def select(self, rows: npt.ArrayLike) -> Panel:
        """Return a panel of these series, in this order (``rows``: positions, or a boolean mask)."""
        rows = np.asarray(rows)
        if rows.dtype == bool:
            rows = np.flatnonzero(rows)
        rows = rows.astype(np.int64)
        starts, ends = self.offsets[:-1][rows].tolist(), self.offsets[1:][rows].tolist()

        def picked(steps: npt.NDArray[Any]) -> npt.NDArray[Any]:
            # By stretches: an index of every step would take several times the memory of the values.
            return np.concatenate([steps[:0], *(steps[a:b] for a, b in zip(starts, ends, strict=True))])

        return Panel(
            values=picked(self.values),
            offsets=np.concatenate([[0], np.cumsum(self.lengths[rows])]).astype(np.int64),
            ids=self.ids[rows],
            times=None if self.times is None else picked(self.times),
            channels=self.channels,
            static={name: np.asarray(column)[rows] for name, column in self.static.items()},
        )

    def with_values(self, values: npt.NDArray[np.float32]) -> Panel:
        """Return the same series with other values, shape (total_steps, n_channels)."""
        return replace(self, values=values)

    def to_padded(self) -> npt.NDArray[np.float32]:
        """Return an array (n_series, n_channels, longest); NaN after the end of a shorter series."""
        lengths = self.lengths
        padded = np.full((len(self), lengths.max(initial=0), self.n_channels), np.nan, np.float32)
        padded[np.arange(padded.shape[1]) < lengths[:, None]] = self.values
        return padded.transpose(0, 2, 1)

    def to_list(self) -> list[npt.NDArray[np.float32]]:
        """Return a list of arrays, each (n_channels, n_steps)."""
        return [series.T for series in self]


def invalid_series(panel: Panel) -> npt.NDArray[np.bool_]:
    """Mark the series without a single observed value; raise on those that hold infinities.

    Returns
    -------
    ndarray of bool, shape (n_series,)

    Raises
    ------
    InvalidDataError
        The panel is empty, or some series hold infinite values.
    """
    if len(panel) == 0:
        raise InvalidDataError("No series found: the input is empty. Pass at least two series.")
    observed = np.zeros(len(panel), bool)
    infinite = np.zeros(len(panel), bool)
    first = 0
    for part in panel.slices():
        steps = np.arange(first, first + len(part))
        owner = np.searchsorted(panel.offsets, steps, side="right") - 1
        observed[owner[~np.isnan(part).all(axis=1)]] = True
        infinite[owner[np.isinf(part).any(axis=1)]] = True
        first += len(part)
    if infinite.any():
        raise InvalidDataError(
            f"Found infinite values (inf), or values beyond float32's range of 3.4e38, in "
            f"{infinite.sum()} of {len(panel)} series, ids {name_some(panel.ids[infinite])}. "
            f"Replace them by NaN (missing) or by a finite number."
        )
    return ~observed


def _flatten_array(X: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    if X.ndim not in (2, 3):
        raise InvalidDataError(
            f"Expected an array (n_series, n_steps) or (n_series, n_channels, n_steps); found {X.ndim}D array "
            f"of shape {X.shape}. Reshape your data: one series alone is X.reshape(1, -1)."
        )
    if 0 in X.shape:
        # In scikit-learn's words too: steps are features, and series samples.
        what = "series of 0 steps, 0 feature(s)" if len(X) else "no series, 0 sample(s)"
        raise InvalidDataError(
            f"Found an empty array: {what} (shape={X.shape}) while a minimum of 1 is required. Pass at least two "
            f"series, each of two steps and more."
        )
    cube = X[:, None, :] if X.ndim == 2 else X  # (series, channel, time)
    n_series, n_channels, n_steps = cube.shape
    values = _to_float32(cube.transpose(0, 2, 1)).reshape(-1, n_channels)
    return np.ascontiguousarray(values), np.full(n_series, n_steps)


def _flatten_list(X: Any, ids: Sequence[Any] | None) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    if isinstance(X, (str, bytes, dict)) or not hasattr(X, "__iter__"):
        raise InvalidDataError(
            f"Expected an array, a list of arrays, a table or a Panel; found {type(X).__name__}: {X!r:.80}."
        )
    series = [_series_matrix(x, row, ids) for row, x in enumerate(X)]
    if not series:
        raise InvalidDataError("No series found: the list is empty. Pass at least two series.")
    names = _as_ids(ids, len(series))
    empty = [name for name, x in zip(names, series, strict=True) if x.shape[0] == 0]
    if empty:
        raise InvalidDataError(f"Found {len(empty)} series of 0 steps, ids {name_some(empty)}. Remove them.")
    channels = [x.shape[1] for x in series]
    usual = max(set(channels), key=channels.count)
    odd = [
        f"{name!r} has {c}"
        for name, c in zip(names.tolist(), channels, strict=True)
        if c != usual  # the majority is taken to be what the user meant
    ]
    if odd:
        raise InvalidDataError(
            f"All series need the same channels; most have {usual}, but {', '.join(odd[:5])}"
            f"{f' and {len(odd) - 5} more' if len(odd) > 5 else ''}. Each series is (n_steps,) or "
            f"(n_channels, n_steps); a channel that is missing for some series is a row of NaN."
        )
    return np.concatenate(series), np.array([len(x) for x in series])


def _series_matrix(x: Any, row: int, ids: Sequence[Any] | None) -> npt.NDArray[np.float32]:
    """Turn one series of a list, (n_steps,) or (n_channels, n_steps), into (n_steps, n_channels)."""
    name = ids[row] if ids is not None and row < len(ids) else row
    try:
        x = _to_float32(np.asarray(x))
    except InvalidDataError as error:
        raise type(error)(f"Series {name!r}: {error}") from None
    except (ValueError, TypeError) as error:
        raise InvalidDataError(f"Series {name!r}: {error}") from None
    if x.ndim not in (1, 2):
        raise InvalidDataError(f"Series {name!r} has shape {x.shape}; expected (n_steps,) or (n_channels, n_steps).")
    return np.ascontiguousarray(np.atleast_2d(x).T)


def _to_float32(X: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    if X.dtype.kind in "mM":
        raise InvalidDataError(
            f"Expected numbers; found dates or times ({X.dtype}). Times go into a table's time column."
        )
    if np.iscomplexobj(X):
        raise InvalidDataError(
            "Complex data not supported: found complex numbers; pass real and imaginary part as two channels."
        )
    try:
        with np.errstate(over="ignore"):  # beyond float32 becomes inf, which is then reported with its id
            return X.astype(np.float32)
    except TypeError as error:
        raise DataTypeError(f"Expected numbers; found {_first_text(X)}: {error}. Missing values are NaN.") from None
    except ValueError:
        raise InvalidDataError(f"Expected numbers; found {_first_text(X)}. Missing values are NaN.") from None


def _first_text(X: npt.NDArray[Any]) -> str:
    for value in X.ravel():
        try:
            float(value)
        except (ValueError, TypeError):
            plain = value.item() if isinstance(value, np.generic) else value
            return f"{plain!r:.60} ({type(plain).__name__})"
    return f"values of type {X.dtype}"


def _as_ids(ids: Sequence[Any] | None, n: int) -> npt.NDArray[Any]:
    if ids is None:
        return np.arange(n)
    if len(ids) != n:
        raise InvalidDataError(f"Found {len(ids)} ids for {n} series; one id a series is needed.")
    return np.asarray(ids)
