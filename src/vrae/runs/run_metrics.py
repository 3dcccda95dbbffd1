"""The numbers of a run, as in ``metrics.json``: counts, quality and stability of clusters."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from vrae._version import __version__
from vrae.data.panel import Panel
from vrae.describe.verdict import Verdict
from vrae.estimators.assignment import Assignment
from vrae.estimators.clusterer import VRAEClusterer
from vrae.estimators.head import Head
from vrae.estimators.long_series import LongSeriesDetector
from vrae.estimators.reporting import judge
from vrae.estimators.vrae import VRAE
from vrae.exceptions import InvalidParameterError, ModelFileError
from vrae.metrics import DOUBTFUL, agreement_of_counts, labelled, separation
from vrae.report import CommandLine, verdict_record
from vrae.runs.metrics_schema import check_metrics

__all__ = ["Tally", "add_verdict", "describe_model", "read_metrics", "write_metrics"]

# Bytes of the metrics of a run: some ten thousand clusters.
_LARGEST = 1 << 24


@dataclass
class Tally:
    """Counts over assigned series. Tallies of parts add up to the tally of all series."""

    n_series: int = 0
    n_values: int = 0
    n_missing: int = 0
    shortest: int = 0
    longest: int = 0
    n_channels: int = 0
    probability: float = 0.0
    n_doubtful: int = 0
    sizes: Counter[int] = field(default_factory=Counter)
    known: Counter[tuple[str, int]] = field(default_factory=Counter)  # series per class and cluster
    n_blank: int = 0  # series without a class, though there are known classes

    def add(self, panel: Panel, assignment: Assignment, truth: npt.NDArray[Any] | None = None) -> None:
        """Count the series of one panel, their clusters and their known classes (n_series,)."""
        self.shortest = min(self.shortest or int(panel.lengths.min()), int(panel.lengths.min()))
        self.longest = max(self.longest, int(panel.lengths.max()))
        self.n_channels = panel.n_channels
        self.n_values += panel.values.size
        self.n_missing += sum(int(np.isnan(part).sum()) for part in panel.slices())
        self.add_clusters(assignment, truth)

    def add_clusters(self, assignment: Assignment, truth: npt.NDArray[Any] | None = None) -> None:
        """Count clusters and known classes only."""
        self.n_series += len(assignment)
        self.probability += float(assignment.probabilities.sum())
        self.n_doubtful += int((assignment.probabilities < DOUBTFUL).sum())
        self.sizes.update(assignment.labels.tolist())
        if truth is not None:
            has_class = labelled(truth)
            classes = map(str, truth[has_class].tolist())
            self.known.update(zip(classes, assignment.labels[has_class].tolist(), strict=True))
            self.n_blank += int((~has_class).sum())

    def __add__(self, other: Tally) -> Tally:
        if not self.n_series or not other.n_series:
            return self if self.n_series else other
        total = {name: count + getattr(other, name) for name, count in vars(self).items()}
        total |= {"shortest": min(self.shortest, other.shortest), "longest": max(self.longest, other.longest)}
        return Tally(**{**total, "n_channels": self.n_channels})

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as JSON values."""
        known = [[*pair, count] for pair, count in self.known.items()]
        return {**vars(self), "sizes": [*self.sizes.items()], "known": known}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Self:
        """Return the counts that `to_dict` returned."""
        known = Counter({(name, label): count for name, label, count in state["known"]})
        return cls(**{**state, "sizes": Counter(dict(state["sizes"])), "known": known})

    def metrics(self, clusterer: VRAEClusterer, seconds: float) -> dict[str, Any]:
        """Return the metrics of a run as JSON values."""
        model = clusterer.model_
        last = model.history_[-1]
        return {
            "version": __version__,
            "n_series": self.n_series,
            "n_channels": self.n_channels,
            "shortest": self.shortest,
            "longest": self.longest,
            "missing_share": round(self.n_missing / self.n_values, 6),
            **self.cluster_metrics(clusterer),
            "latent_size": model.network_.config.latent_size,
            "active_units": model.active_units_,
            "epochs": len(model.history_),
            "reconstruction": last["reconstruction"],
            "kl": last["kl"],
            "noise_variance": model.noise_variance_,
            "seconds": round(seconds, 2),
            "options": _plain_options(clusterer),
        }

    def cluster_metrics(self, clusterer: VRAEClusterer) -> dict[str, Any]:
        """Return the metrics that depend on the clusters as JSON values."""
        metrics: dict[str, Any] = {
            "n_clusters": clusterer.n_clusters_,
            "sizes": [self.sizes.get(label, 0) for label in range(clusterer.n_clusters_)],
            "names": [clusterer.names_[label] for label in range(clusterer.n_clusters_)],
            "n_noise": self.sizes.get(-1, 0),
            "silhouette": separation(clusterer.space_(clusterer.embedding_.astype(np.float64)), clusterer.labels_),
            "mean_probability": self.probability / self.n_series,
            "doubtful_share": self.n_doubtful / self.n_series,
            "selection": clusterer.selection_,
        }
        if self.known or self.n_blank:
            metrics["n_labelled"] = self.known.total()
        if self.known:
            classes, labels = (sorted(set(names)) for names in zip(*self.known, strict=True))
            counts = [[self.known[name, label] for label in labels] for name in classes]
            metrics |= agreement_of_counts(np.array(counts, np.int64))
        return metrics


def add_verdict(metrics: dict[str, Any], clusterer: VRAEClusterer, run: Path) -> Verdict:
    """Add to complete metrics what to think of the clusters, and other numbers worth a look.

    Commands name the folder ``run``, as the user typed it. Returns the verdict, for the report.
    """
    commands = CommandLine(str(run), metrics.get("source") or {})
    found = judge(clusterer, metrics)
    metrics |= {"verdict": verdict_record(found, commands), "alternatives": list(found.others)}
    return found


def describe_model(estimator: VRAE | Head | LongSeriesDetector) -> dict[str, Any]:
    """Return facts about a fitted model, or about an estimator that has one, as JSON values."""
    if isinstance(estimator, LongSeriesDetector):
        return {
            "class": type(estimator).__name__,
            "fitted to": f"{len(estimator.ids_)} series, {len(estimator.channels_)} channel(s)",
            "windows": f"{estimator.window_} steps: {estimator.window_reason_}",
            "options": estimator.get_params(),
        }
    model = estimator.model_ if isinstance(estimator, Head) else estimator
    config = model.network_.config
    sees_parts = hasattr(estimator, "next_times_")  # the network of a forecaster sees parts of its items
    length = "" if sees_parts else f"median length {model.n_steps_}, "
    facts: dict[str, Any] = {
        "class": type(estimator).__name__,
        "fitted to": f"{len(model.ids_)} series, {length}{config.n_channels} channel(s)",
        "epochs": len(model.history_),
        "latent dimensions in use": f"{model.active_units_} of {config.latent_size}",
        "parameters": sum(p.numel() for p in model.network_.parameters()),
    }
    labels = getattr(estimator, "labels_", None)
    if labels is not None:
        facts["clusters"] = estimator.n_clusters_
        facts["sizes"] = np.bincount(labels[labels >= 0], minlength=estimator.n_clusters_).tolist()
    facts["network"] = config.to_dict()
    facts["options"] = _plain_options(estimator)
    return facts


def read_metrics(run: Path) -> dict[str, Any]:
    """Return the content of a run folder's ``metrics.json``, after a check."""
    file = run / "metrics.json"
    try:
        if (size := file.stat().st_size) > _LARGEST:
            raise ValueError(f"no run writes {size:,} bytes")
        metrics: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = error if type(error) is ValueError else type(error).__name__
        raise InvalidParameterError(
            f"{run} is not a run folder: it has no readable metrics.json ({reason}). Pass the folder that "
            f"`vrae cluster` or `vrae demo` wrote."
        ) from None
    try:
        check_metrics(metrics)
    except InvalidParameterError as error:
        raise ModelFileError(f"{file} is not as vrae writes it. {error} Was it edited? Cluster again.") from None
    return metrics


def write_metrics(metrics: dict[str, Any], run: Path) -> None:
    """Write ``metrics.json`` into a run folder."""
    (run / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")


def _plain_options(estimator: VRAE | Head) -> dict[str, Any]:
    """Return the options that are JSON values, with those of a fitted model under ``model``."""
    plain = (type(None), bool, int, float, str)
    options: dict[str, Any] = {
        name: value for name, value in estimator.get_params(deep=False).items() if isinstance(value, plain)
    }
    if isinstance(estimator, Head):
        options["model"] = _plain_options(estimator.model_)
    return options
