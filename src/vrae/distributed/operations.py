"""Operations on the series of a part. Each gives tables, and numbers that add up over parts."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import numpy.typing as npt

from vrae.data.panel import Panel
from vrae.estimators.anomaly import VRAEAnomalyDetector
from vrae.estimators.clusterer import VRAEClusterer
from vrae.estimators.head import Head
from vrae.estimators.vrae import VRAE
from vrae.runs import Tally, assign, embedding_columns, embedding_table, score_panel

__all__ = ["Assign", "AssignAndEmbed", "Embed", "Operation", "ScoreAnomalies", "ScoreSteps"]

Tables = dict[str, dict[str, npt.NDArray[Any]]]


class Operation(Protocol):
    """An operation that is applied to the panels of one part, one after the other.

    Attributes
    ----------
    tables : tuple of str
        Names of the tables that it computes. The first has one row per series.
    """

    tables: ClassVar[tuple[str, ...]]

    def __call__(self, panel: Panel) -> Tables:
        """Return the next rows of every table."""

    def summary(self) -> dict[str, Any]:
        """Return numbers about all panels so far, as JSON values."""


class Embed:
    """Compute the table of `vrae embed`."""

    tables: ClassVar[tuple[str, ...]] = ("embedding",)

    def __init__(self, model: VRAE | Head) -> None:
        self._model = model.model_ if isinstance(model, Head) else model

    def __call__(self, panel: Panel) -> Tables:
        """Return the next rows."""
        return {"embedding": embedding_table(self._model, panel)}

    def summary(self) -> dict[str, Any]:
        """Return nothing."""
        return {}


class Assign:
    """Compute the table of `vrae assign`."""

    tables: ClassVar[tuple[str, ...]] = ("clusters",)

    def __init__(self, clusterer: VRAEClusterer) -> None:
        self._clusterer = clusterer

    def __call__(self, panel: Panel) -> Tables:
        """Return the next rows."""
        return {"clusters": assign(self._clusterer, panel).columns()}

    def summary(self) -> dict[str, Any]:
        """Return nothing."""
        return {}


class AssignAndEmbed:
    """Compute both tables of a run folder. The summary is a `Tally`."""

    tables: ClassVar[tuple[str, ...]] = ("clusters", "embedding")

    def __init__(self, clusterer: VRAEClusterer) -> None:
        self._clusterer = clusterer
        self._tally = Tally()

    def __call__(self, panel: Panel) -> Tables:
        """Return the next rows."""
        assignment = assign(self._clusterer, panel)
        self._tally.add(panel, assignment, assignment.static.get("label"))
        return {
            "clusters": assignment.columns(),
            "embedding": embedding_columns(assignment.ids, assignment.embedding),
        }

    def summary(self) -> dict[str, Any]:
        """Return the tally."""
        return self._tally.to_dict()


class ScoreAnomalies:
    """Compute the table of `vrae anomalies`, with one row per series, and count the anomalies."""

    tables: ClassVar[tuple[str, ...]] = ("anomalies",)

    def __init__(self, detector: VRAEAnomalyDetector) -> None:
        self._detector = detector
        self._n_anomalies = 0

    def __call__(self, panel: Panel) -> Tables:
        """Return the next rows."""
        series, steps = score_panel(self._detector, panel)
        self._n_anomalies += int(series["anomaly"].sum())
        both = {"anomalies": series, "steps": steps}
        return {name: both[name] for name in self.tables}

    def summary(self) -> dict[str, Any]:
        """Return the number of anomalies."""
        return {"anomalies": self._n_anomalies}


class ScoreSteps(ScoreAnomalies):
    """Compute also the table with one row per time step."""

    tables: ClassVar[tuple[str, ...]] = ("anomalies", "steps")
