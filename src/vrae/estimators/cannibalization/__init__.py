"""Cannibalization: pairs of items that take sales from each other."""

from __future__ import annotations

from vrae.estimators.cannibalization.finding import KINDS, Cannibalization, find_cannibalization

__all__ = ["KINDS", "Cannibalization", "find_cannibalization"]
