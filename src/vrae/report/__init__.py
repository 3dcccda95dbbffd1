"""The report: one self-contained HTML page about a clustering."""

from __future__ import annotations

from vrae.report.build import render_report, write_report
from vrae.report.commands import CommandLine, Commands, PythonLines, verdict_record
from vrae.report.data import Alternative, DirectionCurves, NextBest, ReportData
from vrae.report.drift_page import render_drift
from vrae.report.facts import heading
from vrae.report.page import check_report

__all__ = [
    "Alternative",
    "CommandLine",
    "Commands",
    "DirectionCurves",
    "NextBest",
    "PythonLines",
    "ReportData",
    "check_report",
    "heading",
    "render_drift",
    "render_report",
    "verdict_record",
    "write_report",
]
