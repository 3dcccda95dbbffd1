"""The report: one self-contained HTML page about a clustering."""

from __future__ import annotations

from vrae.report.build import render_report, write_report
from vrae.report.data import DirectionCurves, ReportData
from vrae.report.page import check_report

__all__ = ["DirectionCurves", "ReportData", "check_report", "render_report", "write_report"]
