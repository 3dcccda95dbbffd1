"""Lay out promises.jsonl as Markdown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import numpy as np
import rows

Markdown = Callable[[list[str], list[list[str]]], str]
Figure = Callable[..., str]
_LAGS = """\
`lags()` of `VRAE(max_lag=0.5)` after circular shifts, median error in steps: between a series and a shifted
copy of it, and between different series of a cluster, after the cluster's own offset (this one includes how far the
originals are from being in line).
"""


def markdown(promises: list[rows.Row], table: Markdown, figure: Figure) -> str:
    """Return the section on promises; empty without rows."""
    sections = {"lag": _lag, "joint": _joint, "motions": _motions, "number": _number, "robustness": _robustness}
    parts = []
    for name, lay_out in sections.items():
        found = [row for row in promises if row["promise"] == name]
        if found:
            parts.append(lay_out(found, table, figure))
    return "\n".join(["# Promises, measured\n", *parts]) if parts else ""


def _mean(found: list[rows.Row], field: str = "ari", **where: str) -> float:
    values = [
        row[field] for row in found if all(row.get(k) == v for k, v in where.items()) and row.get(field) is not None
    ]
    return float(np.mean(values)) if values else np.nan


def _names(found: list[rows.Row], field: str) -> list[str]:
    return list(dict.fromkeys(row[field] for row in found))


def _seeds(found: list[rows.Row]) -> str:
    count = len({row["seed"] for row in found})
    return f"{count} seed{'s' if count > 1 else ''}"


def _lag(found: list[rows.Row], table: Markdown, figure: Figure) -> str:
    sets, methods = _names(found, "set"), _names(found, "method")
    body = []
    for name in sets:
        cells = [[_mean(found, set=name, shift=s, method=m) for s in ("none", "circular", "linear")] for m in methods]
        body.append([name, *(" / ".join(figure(v) for v in three) for three in cells)])
    means = np.array(
        [
            [[_mean(found, set=n, shift=s, method=m) for s in ("none", "circular", "linear")] for m in methods]
            for n in sets
        ]
    ).mean(axis=0)  # (method, shift)
    body.append(["**mean**", *(" / ".join(figure(v) for v in three) for three in means)])
    body.append(["kept", *(f"{figure(c / n, 2)} / {figure(s / n, 2)}" for n, c, s in means)])
    lags = []
    for name in sets:
        own = [r for r in found if r["set"] == name and r["shift"] == "circular" and "copies" in r]
        if own:
            both = [figure(_mean(own, field), 1) for field in ("copies", "cluster")]
            lags.append([name, str(own[0]["length"]), str(own[0]["patch_size"]), *both])
    return "\n".join(
        [
            f"## Shifted in time ({_seeds(found)})\n",
            "ARI of the series as they are / each shifted in a circle by any number of steps / each shifted by up to a "
            "quarter of its length, the ends continued level. kept: share of the mean ARI as they are.\n",
            table(["", *methods], body),
            _LAGS,
            table(["", "steps", "patch", "copies", "within a cluster"], lags),
        ]
    )


def _by_set(found: list[rows.Row], table: Markdown, figure: Figure) -> str:
    methods = _names(found, "method")
    return table(
        ["ARI", *methods],
        [[name, *(figure(_mean(found, set=name, method=m)) for m in methods)] for name in _names(found, "set")],
    )


def _joint(found: list[rows.Row], table: Markdown, figure: Figure) -> str:
    text = (
        f"## Channels that move together ({_seeds(found)})\n\nTwo channels; clusters differ only in how the two move "
        "together (`synthetic.py`).\n"
    )
    return "\n".join([text, _by_set(found, table, figure)])


def _motions(found: list[rows.Row], table: Markdown, figure: Figure) -> str:
    text = (
        f"## Real series of many channels ({_seeds(found)})\n\nJapaneseVowels is of unequal length; all but VRAE get "
        "it resampled to the longest. k-means-DTW: one start, at most 10 rounds.\n"
    )
    return "\n".join([text, _by_set(found, table, figure)])


def _number(found: list[rows.Row], table: Markdown, figure: Figure) -> str:
    methods, chosen = _names(found, "method"), defaultdict(list)
    body = []
    for name in _names(found, "set"):
        here = [row for row in found if row["set"] == name]
        line = [name, str(here[0]["k"])]
        for m in methods:
            own = [row for row in here if row["method"] == m]
            line += [", ".join(str(row["chosen"]) for row in own), figure(_mean(own))]
            chosen[m] += [abs(row["chosen"] - row["k"]) for row in own]
        body.append(line)
    near = [
        f"{m}: exact {np.mean(np.array(off) == 0):.0%}, at most one off {np.mean(np.array(off) <= 1):.0%} of runs, "
        f"mean ARI {figure(_mean(found, method=m))}"
        for m, off in chosen.items()
    ]
    header = ["", "classes", *(cell for m in methods for cell in (m, "ARI"))]
    return "\n".join([f"## Number of clusters ({_seeds(found)})\n", table(header, body), "; ".join(near) + ".\n"])


def _robustness(found: list[rows.Row], table: Markdown, figure: Figure) -> str:
    methods, damages = _names(found, "method"), _names(found, "damage")
    # Sets that every method has finished with every damage it is run on.
    wanted = len({(row["damage"], row["method"], row["seed"]) for row in found})
    sets = [name for name in _names(found, "set") if sum(row["set"] == name for row in found) == wanted]
    found = [row for row in found if row["set"] in sets]
    body = []
    for damage in damages:
        line = [damage]
        for m in methods:
            clean, ari, nmi = (
                _mean(found, field, damage=d, method=m)
                for field, d in (("ari", "none"), ("ari", damage), ("nmi", damage))
            )
            line += [f"{figure(ari)} / {figure(nmi)}" if ari == ari else "", f"{ari / clean:.0%}" if ari == ari else ""]
        body.append(line)
    header = ["", *(cell for m in methods for cell in (m, "kept"))]
    text = (
        f"## Damaged series ({_seeds(found)}, {len(sets)} sets)\n\nMean ARI / NMI after damage to every series "
        "(`robustness.py`); kept: share of the clean mean ARI. VRAE gets the series as they are, with gaps and of "
        "unequal length; the others get gaps bridged by straight lines and short series stretched.\n"
    )
    return "\n".join([text, table(header, body)])
