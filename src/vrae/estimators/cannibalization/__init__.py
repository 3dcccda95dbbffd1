"""Cannibalization: pairs of items that take sales from each other."""

from __future__ import annotations

from vrae.estimators.cannibalization.finding import KINDS, Cannibalization, find_cannibalization
from vrae.estimators.cannibalization.substitutes import SIMILAR_WITHIN

__all__ = ["KINDS", "SIMILAR_WITHIN", "Cannibalization", "find_cannibalization"]
