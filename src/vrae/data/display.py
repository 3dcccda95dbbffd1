"""Show series: as a small table for notebooks, as a figure, and as a table of pandas."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vrae.exceptions import InvalidDataError, MissingDependencyError, check_installed

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["draw_series", "html_table", "long_table"]

Array = npt.NDArray[Any]

_SHOWN_CHANNELS = 4
_SHOWN_VALUES = 4
_STYLES = ("-", "--", ":", "-.")
_MANY = 8  # more series than this have no legend


# -------------------------------------------------------------------- notebooks


def html_table(
    title: str, ids: Array, series: Sequence[Array], times: Sequence[Array] | None, channels: Sequence[str], total: int
) -> str:
    """Return series (n_channels, n_steps) as an HTML table, the first of ``total``.

    It has one row per series: id, steps, first and last time, missing share, and first values.
    """
    shown = channels[:_SHOWN_CHANNELS]
    heads = ["series", "steps", *(("from", "to") if times is not None else ()), "missing", *shown]
    rows = []
    for index, x in enumerate(series):
        dates = [] if times is None else [_date(times[index][0]), _date(times[index][-1])]
        values = [_first_values(channel) for channel in x[:_SHOWN_CHANNELS]]
        missing = f"{100 * np.isnan(x).mean():.0f} %"
        rows.append([str(ids[index]), f"{x.shape[1]:,}", *dates, missing, *values])
    more = [f"{total - len(rows):,} more series"] if total > len(rows) else []
    if len(channels) > len(shown):
        more.append(f"{len(channels) - len(shown)} more channels: {', '.join(channels[len(shown) :][:12])}")
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f'<div style="font:13px system-ui,sans-serif"><b>{escape(title)}</b><table><thead><tr>'
        f"{''.join(f'<th>{escape(head)}</th>' for head in heads)}</tr></thead><tbody>{body}</tbody></table>"
        f"{escape('; '.join(more))}</div>"
    )


def _date(time: Any) -> str:
    """Return a time without parts that are zero."""
    if not isinstance(time, np.datetime64):
        return str(time)
    day = time.astype("M8[D]")
    return str(day) if day == time else str(time.astype("M8[s]")).replace("T", " ")


def _first_values(x: Array) -> str:
    values = ["-" if np.isnan(value) else f"{value:.4g}" for value in x[:_SHOWN_VALUES]]
    return ", ".join(values) + (", …" if len(x) > _SHOWN_VALUES else "")


# -------------------------------------------------------------------- figures


def draw_series(
    ids: Array, series: Sequence[Array], times: Sequence[Array] | None, channels: Sequence[str], ax: Axes | None
) -> Axes:
    """Draw series (n_channels, n_steps): a colour per series, a line style per channel."""
    check_installed("matplotlib", "report", "A figure of series")
    import matplotlib.pyplot as plt

    if ax is None:
        ax = plt.subplots(figsize=(8, 3), layout="constrained")[1]
    for index, x in enumerate(series):
        steps = np.arange(x.shape[1]) if times is None else times[index]
        for number, channel in enumerate(x):
            name = f"{ids[index]}, {channels[number]}" if len(x) > 1 else str(ids[index])
            style = _STYLES[number % len(_STYLES)]
            ax.plot(steps, channel, style, color=f"C{index % 10}", linewidth=1.2, label=name)
    if len(series) == 1 and len(channels) == 1:
        ax.set_title(str(ids[0]), loc="left", fontsize=10)
    elif 0 < len(series) * len(channels) <= _MANY:
        ax.legend(frameon=False, fontsize=8)
    ax.set_xlabel("step" if times is None else "")
    ax.set_ylabel(channels[0] if len(channels) == 1 else "")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


# -------------------------------------------------------------------- pandas


def long_table(
    ids: Array,
    lengths: Array,
    times: Array | None,
    zone: str | None,
    channels: Mapping[str, Array],
    static: Mapping[str, Array],
) -> pd.DataFrame:
    """Return a table of pandas with one row per series and step. Steps are counted from 1.

    ``times`` and ``channels`` have one entry per row, ``ids``, ``lengths`` and ``static`` one per
    series. Times in UTC become times of ``zone``.
    """
    if find_spec("pandas") is None:
        raise MissingDependencyError("A table of pandas needs the package pandas: pip install pandas.")
    import pandas as pd

    first = "step" if times is None else "ds"
    names = ["unique_id", first, *channels, *static]
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise InvalidDataError(
            f"A table of this panel would have several columns {repeated[0]!r}. Rename the channel or static column."
        )
    starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
    steps = np.arange(1, len(starts) + 1) - starts if times is None else pd.Series(times)
    if zone is not None and times is not None and times.dtype.kind == "M":
        steps = pd.Series(times).dt.tz_localize("UTC").dt.tz_convert(zone)
    columns = {"unique_id": np.repeat(ids, lengths), first: steps, **channels}
    return pd.DataFrame({**columns, **{name: np.repeat(np.asarray(c), lengths) for name, c in static.items()}})
