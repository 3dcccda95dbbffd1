"""The report: one self-contained HTML page that shows a clustering to anyone."""

from __future__ import annotations

from vrae.report.build import ReportData, render_report, write_report

__all__ = ["ReportData", "render_report", "write_report"]
