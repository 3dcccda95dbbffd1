"""When each cluster is high, and who is in it: the numbers of two sections of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.describe.phrases import Phrase
from vrae.describe.season_words import season_sentence, standing_out
from vrae.describe.seasons import Levels, Seasons, when_high
from vrae.describe.tables_of_clusters import CrossTable, cross_table
from vrae.describe.time_bins import MONTHS, Bins
from vrae.metrics import labelled
from vrae.report.data import Floats, ReportData

__all__ = ["Profiles", "gather_profiles"]

Told = Mapping[int, Sequence[Mapping[str, Phrase]]]

_MAX_COLUMNS = 20
_NAMES_SERIES = 0.5  # a column with more different values per series is a name, not a group
_MOST_TICKS = 9
# Distances of ticks on the axis of a calendar, in units of datetime64.
_TICKS = (
    *(("h", hours) for hours in (1, 3, 6, 12)),
    *(("D", days) for days in (1, 2, 7)),
    *(("M", months) for months in (1, 3)),
    *(("Y", years) for years in (1, 2, 5, 10)),
)

# A level this far from the mean has the full colour; the least that holds almost all levels.
_REACHES = {True: (1.25, 1.5, 2.0, 3.0, 4.0), False: (0.5, 1.0, 2.0)}
_ENDS = {
    1.25: ("20 % less", "25 % more"),
    1.5: ("a third less", "50 % more"),
    2.0: ("half or less", "double or more"),
    3.0: ("a third or less", "3 times or more"),
    4.0: ("a quarter or less", "4 times or more"),
}
_TITLES = {"month": "Month", "weekday": "Weekday", "hour": "Hour", "hour of the week": "Weekday and hour"}


@dataclass(frozen=True)
class Profiles:
    """What the page shows of seasons and columns: for its template, and for its script.

    ``findings`` are sentences about the columns, each with the number of its table.
    """

    seasons: dict[str, Any] | None
    tables: list[dict[str, Any]]
    findings: list[tuple[int, str]]

    def payload(self) -> dict[str, Any]:
        """Return the data for the script of the page."""
        return {"seasons": self.seasons, "tables": self.tables}


def gather_profiles(data: ReportData, seasons: Seasons | None = None, told: Told | None = None) -> Profiles:
    """Gather seasons and cross-tables for the page.

    ``seasons`` are those of the data if they are known. ``told`` is what the description of each
    cluster says of months and weekdays, by channel.
    """
    seasons = when_high(data.panel, data.labels) if seasons is None else seasons
    found = [cross_table(name, column, data.labels, data.names) for name, column in _columns(data)]
    tables = sorted((table for table in found if len(table.categories) > 1), key=lambda t: -t.association)
    findings = [(number, text) for number, table in enumerate(tables) for text in table.sentences()]
    return Profiles(
        seasons=None if seasons is None else _seasons(data, seasons, told or {}),
        tables=[_table(table) for table in tables],
        findings=findings,
    )


# -------------------------------------------------------------------- seasons


def _seasons(data: ReportData, seasons: Seasons, told: Told) -> dict[str, Any] | None:
    calendar = None if seasons.calendar is None else _levels(seasons, seasons.calendar, told)
    if calendar is not None and seasons.calendar is not None:
        calendar["ticks"] = _ticks(seasons.calendar.bins)
    profiles = {levels.bins.view: _levels(seasons, levels, told) for levels in seasons.profiles}
    if "hour of the week" in profiles:  # in words: the weekdays, and the hours
        parts = [profiles[view]["sentences"] for view in ("weekday", "hour") if view in profiles]
        joined = [[" ".join(words) for words in zip(*channel, strict=True)] for channel in zip(*parts, strict=True)]
        profiles["hour of the week"]["sentences"] = joined
    if calendar is None and not profiles:
        return None
    contrast = [_contrast(levels) for levels in seasons.profiles]
    return {
        "labels": seasons.labels,
        "channels": [str(name) for name in data.panel.channels[: len(seasons.is_ratio)]],
        "ratio": list(seasons.is_ratio),
        "calendar": calendar,
        "profiles": list(profiles.values()),
        "first": int(np.argmax(contrast)) if contrast else 0,
        "note": _note(seasons),
    }


def _levels(seasons: Seasons, levels: Levels, told: Told) -> dict[str, Any]:
    """Return levels by channel and cluster, with a sentence for each and the bins it names high."""
    rows, channels = range(len(seasons.labels)), range(len(seasons.is_ratio))

    def words(row: int, channel: int) -> str:
        known = told.get(seasons.labels[row]) or [{}]
        phrase = known[channel].get(levels.bins.view) if channel < len(known) else None
        return season_sentence(levels, row, channel, seasons.is_ratio[channel], phrase)

    def stands(row: int, channel: int) -> list[int]:
        high, _ = standing_out(levels, row, channel, seasons.is_ratio[channel])
        return [int(place in high) for place in range(len(levels.bins.names))]

    reaches = [_reach(levels.values[:, c], seasons.is_ratio[c]) for c in channels]
    return {
        "view": levels.bins.view,
        "title": _TITLES.get(levels.bins.view, levels.bins.view),
        "names": list(levels.bins.names),
        "values": [[_numbers(levels.values[r, c]) for r in rows] for c in channels],
        "sentences": [[words(r, c) for r in rows] for c in channels],
        "stands": [[stands(r, c) for r in rows] for c in channels],
        "reach": reaches,
        "legend": [_legend(reach, ratio) for reach, ratio in zip(reaches, seasons.is_ratio, strict=True)],
    }


def _numbers(line: Floats) -> list[float | None]:
    return [round(value, 3) if value == value else None for value in line.tolist()]


def _reach(values: Floats, is_ratio: bool) -> float:
    """Return the level that has the full colour."""
    known = values[np.isfinite(values)]
    size = np.exp(np.abs(np.log(np.maximum(known, 0.01)))) if is_ratio else np.abs(known)
    most = float(np.quantile(size, 0.95)) if len(size) else 0.0
    return next((reach for reach in _REACHES[is_ratio] if reach >= most), _REACHES[is_ratio][-1])


def _legend(reach: float, is_ratio: bool) -> list[str]:
    """Return the words for the lower end, the middle and the upper end of the colours."""
    if is_ratio:
        return [_ENDS[reach][0], "its average", _ENDS[reach][1]]
    return [f"{reach:g} standard deviation{'s' * (reach > 1)} below", "its average", f"{reach:g} above"]


def _contrast(levels: Levels) -> float:
    """Return how much certain levels differ over the bins, on average over clusters."""
    known = np.where(levels.certain, levels.values, np.nan)
    spread = [np.nanmax(row) - np.nanmin(row) for row in known[:, 0] if np.isfinite(row).any()]
    detail = 0.8 if levels.bins.view == "hour of the week" else 1.0  # read last: it is harder
    return detail * float(np.mean(spread)) if spread else 0.0


def _note(seasons: Seasons) -> str:
    views = [levels.bins.view for levels in seasons.profiles]
    if "month" in views and not seasons.repeats:
        return "The dates cover each month about once, so growth or decline can look like a season."
    return ""


def _ticks(bins: Bins) -> list[tuple[float, str]]:
    """Return positions, 0 to 1, and texts for the time axis of a calendar."""
    starts = np.asarray(bins.starts)
    for unit, every in _TICKS:
        number = starts.astype(f"M8[{unit}]").astype(np.int64) + (3 if unit == "D" and every == 7 else 0)
        part = number // every
        places = np.flatnonzero(np.diff(part, prepend=part[0] - 1))
        if len(places) <= _MOST_TICKS:
            break
    else:
        places = places[:: -(-len(places) // _MOST_TICKS)]
    if len(places) > 2 and places[1] * 2 < places[2] - places[1]:
        places = places[1:]  # a first part that is cut short would collide with the next
    texts = [_tick_text(starts[place], unit) for place in places]
    if unit in "hD":
        texts[0] += f" {starts[places[0]].astype('M8[Y]')}"
    return [(round(int(place) / len(starts), 4), text) for place, text in zip(places, texts, strict=True)]


def _tick_text(start: npt.NDArray[Any], unit: str) -> str:
    year = str(start.astype("M8[Y]"))
    if unit == "Y":
        return year
    if start != start.astype("M8[D]"):
        return str(start.astype("M8[m]"))[11:]
    month = MONTHS[int(start.astype("M8[M]").astype(int)) % 12][:3]
    return f"{month} {year}" if unit == "M" else f"{int(str(start.astype('M8[D]'))[8:])} {month}"


# -------------------------------------------------------------------- tables


def _columns(data: ReportData) -> Sequence[tuple[str, npt.NDArray[Any]]]:
    """Return the known labels and the static columns that say something about groups."""
    named = {} if data.truth is None else {"known label": np.asarray(data.truth)}
    for name, column in data.panel.static.items():
        if name != "label" or data.truth is None:  # else it is the known label
            named[str(name)] = np.asarray(column)
    return [(name, column) for name, column in named.items() if _groups_series(column)][:_MAX_COLUMNS]


def _groups_series(column: npt.NDArray[Any]) -> bool:
    """Return whether a column divides the series into groups, unlike one name for each series."""
    values = column[labelled(column)]
    if values.dtype.kind in "iufM":
        return True
    listed = values.tolist()
    if all(isinstance(value, (int, float)) for value in listed):
        return True
    return len(set(map(str, listed))) <= max(2, _NAMES_SERIES * len(listed))


def _table(table: CrossTable) -> dict[str, Any]:
    return {
        "name": table.column,
        "labels": table.labels,
        "categories": list(table.categories),
        "counts": table.counts.tolist(),
        "residuals": table.residuals.round(1).tolist(),
        "medians": table.medians,
    }
