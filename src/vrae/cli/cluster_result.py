"""What a terminal shows of clusters: groups with names, how far to trust them, what to do next."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from vrae.cli.clock import duration, elapsed
from vrae.cli.terminal import err, out, print_json

__all__ = ["group_table", "show_clusters"]

# Clusters and other numbers of clusters that are shown, at most.
_MOST_CLUSTERS = 20
_MOST_ALTERNATIVES = 2

Metrics = dict[str, Any]


def show_clusters(metrics: Metrics, folder: Path, as_json: bool) -> None:
    """Print the result of a run: groups, verdict, other numbers, and where the report is."""
    n_series, n_labelled = metrics["n_series"], metrics.get("n_labelled")
    if n_labelled not in (None, n_series):
        err.print(
            f"Note: {n_series - n_labelled:,} of {n_series:,} series have no known class. Scores are of the others.",
            highlight=False,
            soft_wrap=True,
        )
    report = folder / "report.html"
    if as_json:
        print_json({"report": str(report), "wall_seconds": round(elapsed(), 2), **metrics})
        return
    out.print()
    out.print(group_table(metrics), highlight=False)
    stability = metrics.get("stability") or {}
    if stability.get("clusters") and not stability.get("refits"):
        out.print(Text("Clustered again: only the clustering was repeated, not the training.", style="dim"))
    _show_verdict(metrics.get("verdict") or {})
    facts = _facts(metrics)
    if others := _alternatives(metrics):
        command = shlex.join(["vrae", "regroup", str(folder), "-k", str(others[0])])
        facts["Also worth a look"] = f"{' or '.join(map(str, others))} groups: {command}"
    facts |= {"Time": duration(elapsed()), "Report": str(report)}
    out.print()
    width = max(map(len, facts))
    for name, fact in facts.items():  # never wrapped, so that paths and commands can be copied
        out.print(Text.assemble((f"{name:<{width}}  ", "bold"), str(fact)), highlight=False, soft_wrap=True)


def group_table(metrics: Metrics) -> Table:
    """Return a table with one row per group."""
    from vrae.describe.words import percent  # numpy: when it is needed

    sizes, n_noise = metrics["sizes"], metrics["n_noise"]
    names = metrics.get("names") or [f"Cluster {label}" for label in range(len(sizes))]
    stability = metrics.get("stability") or {}
    found_again = stability.get("clusters")
    trust_head = "Found again" if stability.get("refits") else "Clustered again"
    total = max(sum(sizes) + n_noise, 1)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("", "Group", "Series", "Share", *([trust_head] if found_again else [])):
        table.add_column(head, justify="left" if head == "Group" else "right")
    for label, (name, size) in list(enumerate(zip(names, sizes, strict=True)))[:_MOST_CLUSTERS]:
        trust = [_trust(found_again[label])] if found_again else []
        table.add_row(str(label), Text(str(name)), f"{size:,}", percent(size / total), *trust)
    if len(sizes) > _MOST_CLUSTERS:
        rest = sum(sizes[_MOST_CLUSTERS:])
        words = Text(f"{len(sizes) - _MOST_CLUSTERS} more: see the report", style="dim")
        table.add_row("", words, f"{rest:,}", percent(rest / total))
    if n_noise:
        table.add_row("-1", "Not assigned", f"{n_noise:,}", percent(n_noise / total))
    return table


def _trust(share: float) -> Text:
    """Return how far a cluster was found again. Below 60 %, it should not be trusted."""
    from vrae.describe.words import percent

    return Text(percent(share), style="yellow" if share < 0.6 else "")


def _show_verdict(verdict: dict[str, Any]) -> None:
    if verdict.get("text"):
        out.print()
        out.print(Text(verdict["text"]), highlight=False)
    for number, alert in enumerate(verdict.get("alerts") or []):
        if not number:
            out.print()
        out.print(Text.assemble(("! ", "bold yellow"), alert["text"]), highlight=False)
        if alert.get("command"):
            out.print(Padding(Text(alert["command"], style="bold"), (0, 0, 0, 4)), highlight=False, soft_wrap=True)


def _facts(metrics: Metrics) -> Metrics:
    """Return facts that not every run has."""
    facts: Metrics = {}
    n_series, n_labelled = metrics["n_series"], metrics.get("n_labelled")
    if "n_trained" in metrics:
        facts["Trained on"] = f"{metrics['n_trained']:,} of {n_series:,} series"
    part = "" if n_labelled in (None, n_series) else f"{n_labelled:,} of {n_series:,} series labelled: "
    if part and "ari" not in metrics:
        facts["Agreement with the known classes"] = f"{part}too few to compare"
    if "ari" in metrics:
        scores = f"{part}ARI {metrics['ari']:.3f}, NMI {metrics['nmi']:.3f}"
        if peer := metrics.get("raw_kmeans"):
            baseline = f"k-means with {metrics['n_clusters']} groups on the raw series"
            scores += f"   ({baseline}: ARI {peer['ari']:.3f}, NMI {peer['nmi']:.3f})"
        facts["Agreement with the known classes"] = scores
    return facts


def _alternatives(metrics: Metrics) -> list[int]:
    """Return other numbers of groups that may be suggested, the best first."""
    advised = [alert["command"] for alert in (metrics.get("verdict") or {}).get("alerts") or []]
    # What an alert says already is not said again.
    found = [k for k in metrics.get("alternatives") or [] if not any(f" -k {k}" in f"{line} " for line in advised)]
    return found[:_MOST_ALTERNATIVES]
