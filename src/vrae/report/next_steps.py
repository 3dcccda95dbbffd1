"""What a reader can do next, with the command for it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vrae.describe.alerts import Action
from vrae.report.data import ReportData

__all__ = ["Step", "next_steps"]

_HORIZON = 13  # steps of a forecast, as `vrae forecast` has it


class Step(NamedTuple):
    """Something to do next."""

    name: str
    note: str
    command: str


def next_steps(data: ReportData) -> list[Step]:
    """Return what to do next, without what no command does here."""
    series = data.panel.ids.tolist()[_example(data)]
    steps = [
        ("Assign new series to these groups", "No new training. NEW_DATA has the same columns.", Action("assign")),
        ("Read in words what each group is", "", Action("describe")),
        ("Ask why one series is in its group", "Any id will do.", Action("explain", {"series_id": series})),
        ("Merge, split and rename groups", "In the page above; then apply the edits.json that it downloads.", None),
        ("Find series that are unlike all others", "In new data, with this model.", Action("anomalies")),
        ("Use the vectors elsewhere", "One row per series, for other tools.", Action("embed")),
    ]
    if (other := _other_number(data)) is not None:
        steps.insert(3, ("Change the number of groups", "Seconds: nothing is trained.", other))
    if data.times is not None:
        steps.append(
            ("Forecast the series", "Each learns from those like it.", Action("forecast", {"horizon": _HORIZON}))
        )
    found = [Step(name, note, data.commands.text(action or Action("apply edits"))) for name, note, action in steps]
    return [step for step in found if step.command]


def _other_number(data: ReportData) -> Action | None:
    """Return the change to another number of groups, if one is worth a look or none was tried."""
    if data.edited:
        return None
    numbers: list[int | str] = [*data.verdict.others, *([] if data.selection else ["auto"])]
    return Action("regroup", {"n_clusters": numbers[0]}) if numbers else None


def _example(data: ReportData) -> int:
    """Return the position of the most doubtful series: the one that most needs an explanation."""
    known = np.where(np.isfinite(data.probabilities) & (data.labels >= 0), data.probabilities, np.inf)
    return int(np.argmin(known))
