"""One page about what changed since a fit: HTML without scripts."""

from __future__ import annotations

import numpy as np

from vrae.describe.drift_result import TOO_LITTLE, Drift
from vrae.report import page

__all__ = ["render_drift"]

_MOST_ITEMS = 200


def render_drift(drift: Drift, title: str, command: str = "") -> str:
    """Return the page. ``command`` fits the model again; it is shown if that is advised."""
    columns = drift.item_columns()
    gone_over = np.isin(columns["status"], ("moved", "unlike"))
    rows = np.flatnonzero(gone_over & (columns["sure"] | (columns["status"] == "unlike")))
    rows = rows[np.lexsort((-columns["probability"][rows], columns["status"][rows]))]
    shown = [
        (
            str(columns["id"][row]),
            columns["before_name"][row] or "new",
            "unlike all training series" if columns["status"][row] == "unlike" else columns["now_name"][row],
            float(columns["probability"][row]),
        )
        for row in rows[:_MOST_ITEMS].tolist()
    ]
    shares = sorted(drift.shares, key=lambda share: -abs(share.difference))
    rendered: str = page.template("drift.html").render(
        drift=drift,
        title=title,
        command=command if drift.fit_again else "",
        shares=shares,
        too_little=TOO_LITTLE,
        largest=max((max(share.before, share.now) for share in shares), default=1.0) or 1.0,
        moved=shown,
        n_more=len(rows) - len(shown),
        policy=page.policy([], uses_webgl=False),
        style=page.style(("look", "first", "drift")),
    )
    return rendered
