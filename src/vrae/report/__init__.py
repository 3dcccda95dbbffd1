"""The report: one self-contained HTML page that shows a clustering to anyone."""

from __future__ import annotations

from vrae.report.build import render_report, write_report
from vrae.report.data import ReportData, Traversal
from vrae.report.page import check_report

__all__ = ["ReportData", "Traversal", "check_report", "render_report", "write_report"]
