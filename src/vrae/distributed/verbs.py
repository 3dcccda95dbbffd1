"""What can be done with the series of a part: each verb gives tables, and numbers that add up over parts."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import numpy.typing as npt

from vrae.data.panel import Panel
from vrae.estimators.anomaly import VRAEAnomalyDetector
from vrae.estimators.clusterer import VRAEClusterer
from vrae.estimators.vrae import VRAE
from vrae.runs import Tally, assign, embedding_table, judge_panel
from vrae.runs.tables import embedding_columns

__all__ = ["Assign", "Embed", "Judge", "JudgeSteps", "Place", "Verb"]

Tables = dict[str, dict[str, npt.NDArray[Any]]]


class Verb(Protocol):
    """Something done to the panels of one part, one after the other."""

    tables: ClassVar[tuple[str, ...]]

    def __call__(self, panel: Panel) -> Tables:
        """Return the next rows of every table."""

    def summary(self) -> dict[str, Any]:
        """Return what is to be known of all panels together, JSON-ready."""


class Embed:
    """The table of `vrae embed`."""

    tables: ClassVar = ("embedding",)

    def __init__(self, model: VRAE) -> None:
        self._model = model

    def __call__(self, panel: Panel) -> Tables:
        """Return the next rows."""
        return {"embedding": embedding_table(self._model, panel)}

    def summary(self) -> dict[str, Any]:
        """Return nothing: the rows say it all."""
        return {}


class Assign:
    """The table of `vrae assign`."""

    tables: ClassVar = ("clusters",)

    def __init__(self, model: VRAEClusterer) -> None:
        self._model = model

    def __call__(self, panel: Panel) -> Tables:
        """Return the next rows."""
        return {"clusters": assign(self._model, panel).columns()}

    def summary(self) -> dict[str, Any]:
        """Return nothing: the rows say it all."""
        return {}


class Place:
    """Both tables of a run folder; the numbers are a `Tally`."""

    tables: ClassVar = ("clusters", "embedding")

    def __init__(self, model: VRAEClusterer) -> None:
        self._model = model
        self._tally = Tally()

    def __call__(self, panel: Panel) -> Tables:
        """Return the next rows."""
        assignment = assign(self._model, panel)
        self._tally.add(panel, assignment, panel.static.get("label"))
        vectors = embedding_columns(self._model, panel.ids, assignment.embedding)
        return {"clusters": assignment.columns(), "embedding": vectors}

    def summary(self) -> dict[str, Any]:
        """Return the tally."""
        return self._tally.to_dict()


class Judge:
    """The table of `vrae anomalies`; the number is that of anomalies."""

    tables: ClassVar[tuple[str, ...]] = ("anomalies",)

    def __init__(self, model: VRAEAnomalyDetector) -> None:
        self._model = model
        self._found = 0

    def __call__(self, panel: Panel) -> Tables:
        """Return the next rows."""
        series, steps = judge_panel(self._model, panel)
        self._found += int(series["anomaly"].sum())
        both = {"anomalies": series, "steps": steps}
        return {name: both[name] for name in self.tables}

    def summary(self) -> dict[str, Any]:
        """Return how many anomalies there were."""
        return {"anomalies": self._found}


class JudgeSteps(Judge):
    """The same, with a row a step as well."""

    tables: ClassVar[tuple[str, ...]] = ("anomalies", "steps")
