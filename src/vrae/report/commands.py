"""What to type: actions as commands or as Python, ready to paste."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vrae.describe.alerts import Action, Alert
from vrae.describe.verdict import Verdict

__all__ = ["CommandLine", "Commands", "PythonLines", "verdict_record"]


@dataclass(frozen=True)
class CommandLine:
    """Commands about a run folder.

    Attributes
    ----------
    run : str
        The folder, as the user typed it.
    source : dict
        Where the series came from, as in ``metrics.json``: ``data`` and ``options``, or
        ``example``.
    """

    run: str
    source: Mapping[str, Any] = field(default_factory=dict)

    language = "shell"

    def text(self, action: Action) -> str:
        """Return the command that does something; nothing if no command does."""
        found = getattr(self, f"_{action.name.replace(' ', '_')}")(**action.values)
        return str(found)

    def _regroup(self, n_clusters: Any) -> str:
        return self._line("regroup", self.run, "-k", n_clusters)

    def _merge(self, labels: Sequence[int]) -> str:
        return self._line("edit", self.run, "--merge", ",".join(map(str, labels)))

    def _split(self, label: int) -> str:
        return self._line("edit", self.run, "--split", label)

    def _apply_edits(self) -> str:
        return self._line("edit", self.run, "edits.json")

    def _describe(self) -> str:
        return self._line("explain", self.run)

    def _explain(self, series_id: Any) -> str:
        # Behind --, an id that begins with a dash is no option.
        dash = ["--"] if str(series_id).startswith("-") else []
        return self._line("explain", *dash, self.run, series_id)

    def _train(self, **options: Any) -> str:
        flags = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", value)]
        return self._again("longer" if "epochs" in options else "again", *flags)

    def _fill(self, fill: float) -> str:
        return self._again("filled", "--fill", f"{fill:g}")

    def _group_all(self) -> str:
        return self._again("all", "--clusterer", "kmeans")

    def _again(self, name: str, *flags: Any) -> str:
        """Cluster the same file with other options, into a folder of its own."""
        if self.source.get("data", "-") == "-":
            return ""
        config = f"{self.run.rstrip('/')}/config.toml"
        return self._line("cluster", "--config", config, *flags, "-o", f"{self.run.rstrip('/')}-{name}")

    def _assign(self) -> str:
        return self._line("assign", "NEW_DATA", "--model", self.run, "-o", "assigned.csv")

    def _embed(self) -> str:
        return self._line("embed", "NEW_DATA", "--model", self.run, "-o", "embedding.csv")

    def _anomalies(self) -> str:
        return self._line("anomalies", "NEW_DATA", "--model", self.run, "-o", "anomalies.csv")

    def _report(self) -> str:
        return self._line("report", self.run)

    def _forecast(self, horizon: int) -> str:
        data = self.source.get("data", "-")
        if data == "-":
            return ""
        options = {k: v for k, v in (self.source.get("options") or {}).items() if k != "label" and v is not None}
        flags = [part for name, value in options.items() for part in _flag(name, value)]
        return self._line("forecast", data, *flags, "--horizon", horizon, "-o", "forecast.csv")

    def _line(self, *words: Any) -> str:
        return shlex.join(["vrae", *map(str, words)])


@dataclass(frozen=True)
class PythonLines:
    """Python about a fitted clusterer, named ``clusterer``, and its series ``X``."""

    language = "python"

    def text(self, action: Action) -> str:
        """Return the line that does something."""
        found = getattr(self, f"_{action.name.replace(' ', '_')}")(**action.values)
        return str(found)

    def _regroup(self, n_clusters: Any) -> str:
        return f"clusterer.regroup({n_clusters!r})"

    def _merge(self, labels: Sequence[int]) -> str:
        return f"clusterer.merge({list(labels)})"

    def _split(self, label: int) -> str:
        return f"clusterer.split({label})"

    def _apply_edits(self) -> str:
        return "clusterer.merge([0, 1]).rename({0: 'My name'})"

    def _describe(self) -> str:
        return "print(*clusterer.describe(X), sep='\\n')"

    def _explain(self, series_id: Any) -> str:
        return f"print(clusterer.explain(X, {series_id!r}))"

    def _train(self, **options: Any) -> str:
        names = {"epochs": "max_epochs"}
        given = ", ".join(f"{names.get(name, name)}={value!r}" for name, value in options.items())
        return f"clusterer.set_params(model=clusterer.model_.set_params({given})).fit(X)"

    def _fill(self, fill: float) -> str:
        return f"X = read_panel(DATA, fill={fill:g})"

    def _group_all(self) -> str:
        return "clusterer.set_params(clusterer='kmeans', false_alarm_rate=None).fit(X)"

    def _assign(self) -> str:
        return "labels = clusterer.predict(X_new)"

    def _embed(self) -> str:
        return "Z = clusterer.transform(X_new)"

    def _anomalies(self) -> str:
        return (
            "from sklearn.frozen import FrozenEstimator\n"
            "from vrae import VRAEAnomalyDetector\n"
            "detector = VRAEAnomalyDetector(model=FrozenEstimator(clusterer.model_)).fit(X)\n"
            "found = detector.predict(X_new)"
        )

    def _report(self) -> str:
        return "clusterer.report(X, 'report.html')"

    def _forecast(self, horizon: int) -> str:
        return f"from vrae import GroupForecaster\nforecast = GroupForecaster({horizon}).fit(X).predict()"


Commands = CommandLine | PythonLines


def verdict_record(verdict: Verdict, commands: Commands) -> dict[str, Any]:
    """Return a verdict as JSON values, with the command of each alert."""
    return {"text": verdict.text, "alerts": [_alert_record(alert, commands) for alert in verdict.alerts]}


def _alert_record(alert: Alert, commands: Commands) -> dict[str, str]:
    return {
        "kind": alert.kind,
        "text": alert.text,
        "why": alert.why,
        "advice": f"{alert.advice[0].upper()}{alert.advice[1:]}.",
        "command": commands.text(alert.action),
    }


def _flag(name: str, value: Any) -> list[str]:
    """Return an option of `vrae.read_panel` as words of a command line."""
    values = value if isinstance(value, (list, tuple)) else [value]
    return [word for one in values for word in (f"--{name.replace('_', '-')}", str(one))]
