"""Operations on the series of a part. Each gives tables, and numbers that add up over parts."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy.typing as npt

from vrae.data.panel import Panel
from vrae.estimators.anomaly import VRAEAnomalyDetector
from vrae.estimators.assignment import assign
from vrae.estimators.clusterer import VRAEClusterer
from vrae.runs import Tally, embedding_columns, embedding_table, score_panel

__all__ = ["Assign", "AssignAndEmbed", "Embed", "Operation", "ScoreAnomalies", "ScoreSteps"]

Tables = dict[str, dict[str, npt.NDArray[Any]]]


class Operation:
    """Applied to the panels of one part in turn. The first of its tables has one row per series."""

    tables: ClassVar[tuple[str, ...]]

    def __init__(self, model: Any) -> None:
        self._model = model

    def __call__(self, panel: Panel) -> Tables:
        """Return the next rows of every table."""
        raise NotImplementedError

    def summary(self) -> dict[str, Any]:
        """Return numbers about all panels so far, as JSON values."""
        return {}


class Embed(Operation):
    """Compute the table of `vrae embed`."""

    tables = ("embedding",)

    def __call__(self, panel: Panel) -> Tables:
        """Return the next rows."""
        return {"embedding": embedding_table(self._model, panel)}


class Assign(Operation):
    """Compute the table of `vrae assign`, and count the series without a cluster."""

    tables = ("clusters",)

    def __init__(self, clusterer: VRAEClusterer) -> None:
        super().__init__(clusterer)
        self._n_unassigned = 0

    def __call__(self, panel: Panel) -> Tables:
        """Return the next rows."""
        assignment = assign(self._model, panel)
        self._n_unassigned += assignment.n_unassigned
        return {"clusters": assignment.columns()}

    def summary(self) -> dict[str, Any]:
        """Return the number of series without a cluster."""
        return {"unassigned": self._n_unassigned}


class AssignAndEmbed(Operation):
    """Compute both tables of a run folder. The summary is a `Tally`."""

    tables = ("clusters", "embedding")

    def __init__(self, clusterer: VRAEClusterer) -> None:
        super().__init__(clusterer)
        self._tally = Tally()

    def __call__(self, panel: Panel) -> Tables:
        """Return the next rows."""
        assignment = assign(self._model, panel, every=True)
        self._tally.add(panel, assignment, assignment.static.get("label"))
        embedding = embedding_columns(assignment.ids, assignment.embedding)
        return {"clusters": assignment.columns(), "embedding": embedding}

    def summary(self) -> dict[str, Any]:
        """Return the tally."""
        return self._tally.to_dict()


class ScoreAnomalies(Operation):
    """Compute the table of `vrae anomalies`, with one row per series, and count the anomalies."""

    tables: ClassVar[tuple[str, ...]] = ("anomalies",)

    def __init__(self, detector: VRAEAnomalyDetector) -> None:
        super().__init__(detector)
        self._n_anomalies = 0
        self._ends: list[list[Any]] = []

    def __call__(self, panel: Panel) -> Tables:
        """Return the next rows."""
        series, steps, ends = score_panel(self._model, panel)
        self._ends += ends
        self._n_anomalies += int(series["anomaly"].sum())
        both = {"anomalies": series, "steps": steps}
        return {name: both[name] for name in self.tables}

    def summary(self) -> dict[str, Any]:
        """Return the number of anomalies, and when series begin and end."""
        return {"anomalies": self._n_anomalies, "ends": self._ends}


class ScoreSteps(ScoreAnomalies):
    """Compute also the table with one row per time step."""

    tables = ("anomalies", "steps")
