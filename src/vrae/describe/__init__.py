"""Numbers about clusters, as names and sentences: arrays and panels in, plain text out."""

from __future__ import annotations

from vrae.describe.clusters import by_typicality, describe_clusters, explain_series
from vrae.describe.curves import ClusterCurve, cluster_curve, cluster_curves
from vrae.describe.naming import cluster_names
from vrae.describe.portraits import Portraits
from vrae.describe.results import (
    ClusterDescription,
    ClusterDescriptions,
    SeriesExplanation,
    Traversal,
    Window,
)
from vrae.describe.sentences import describe_traversal, sentence
from vrae.describe.traits import TRAITS, Trait, differences, series_traits

__all__ = [
    "TRAITS",
    "ClusterCurve",
    "ClusterDescription",
    "ClusterDescriptions",
    "Portraits",
    "SeriesExplanation",
    "Trait",
    "Traversal",
    "Window",
    "by_typicality",
    "cluster_curve",
    "cluster_curves",
    "cluster_names",
    "describe_clusters",
    "describe_traversal",
    "differences",
    "explain_series",
    "sentence",
    "series_traits",
]
