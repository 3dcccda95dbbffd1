"""What `VRAEClusterer.drift` returns: numbers, and what they mean in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vrae.config import check_choice
from vrae.describe.words import cluster_name, plural, whole

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "AT_THE_FIT",
    "TOO_LITTLE",
    "WITHOUT_GROUP",
    "Drift",
    "DriftItems",
    "LevelChange",
    "ShareChange",
    "levels_in_words",
    "shares_in_words",
]

_MOST_NAMED = 4  # clusters in a sentence
AT_THE_FIT, TOO_LITTLE = "at the fit", "more than chance, but too little to count"
WITHOUT_GROUP = "most series have no group"


@dataclass(frozen=True)
class ShareChange:
    """The share of a cluster among the series that have one, 0 to 1: before and now.

    New series of which too little is known do not count; see `DriftItems`. ``p_value`` is that of
    the difference, corrected for the number of clusters. ``changed`` says whether the difference is
    more than chance and large enough to matter. ``remark`` says why a difference that is more than
    chance is no finding.
    """

    cluster: int
    name: str
    n_before: int
    n_now: int
    before: float
    now: float
    p_value: float
    changed: bool
    remark: str = ""

    @property
    def difference(self) -> float:
        """Share now, less the share before."""
        return self.now - self.before

    @property
    def points(self) -> str:
        """The difference in points, as text."""
        return _signed(100 * self.difference, 1)


@dataclass(frozen=True)
class LevelChange:
    """How far the level of items in both tables changed, each counted alike.

    ``cluster`` is -1 for all items. ``change`` is a fraction: -0.4 is 40 % less. ``beside`` is what
    the change is beyond that of the other clusters and beyond the usual one. ``usual`` is the range
    in which 95 % of the changes of earlier steps would be, None if it is not known. ``p_value`` is
    not corrected. ``remark`` says why a change that is unusual on its own is no finding.
    """

    cluster: int
    name: str
    n_items: int
    change: float
    beside: float
    usual: tuple[float, float] | None
    p_value: float
    changed: bool = False
    remark: str = ""


@dataclass(frozen=True, eq=False)
class DriftItems:
    """All items, with arrays of shape (n_items,): those of the new table, then those that are gone.

    ``status`` is "same", "moved", "new", "gone" or "unlike" (of the new table, and unlike all
    training series). ``before`` and ``now`` are clusters, -1 for none. ``probability`` is that of
    the cluster now. ``sure`` marks items whose clusters, before and now, are both probable.
    ``left_out`` marks new items that count in no share: too few of their steps are known.
    """

    ids: npt.NDArray[Any]
    status: npt.NDArray[np.str_]
    before: npt.NDArray[np.int64]
    now: npt.NDArray[np.int64]
    probability: npt.NDArray[np.float64]
    sure: npt.NDArray[np.bool_]
    left_out: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Drift:
    """What changed since a fit.

    Attributes
    ----------
    shares : tuple of ShareChange
        One per cluster.
    items : DriftItems
        Every item: its cluster before and now. `to_pandas` has it as a table.
    n_series : int
        Series of the new table that have a value.
    n_unlike : int
        Those of them that are unlike all training series.
    unlike_rate : float or None
        Fraction that chance makes unlike; see ``false_alarm_rate``. None if it is not judged.
    unlike_p_value : float
        p-value of ``n_unlike``.
    pattern_effect, pattern_p_value : float
        How far the latent vectors of both tables differ, 0 to 1 (an energy distance), and its
        p-value.
    alpha : float
        Probability of a finding where nothing changed.
    findings : tuple of str
        What changed beyond chance, in words.
    caveat : str
        Why the two tables cannot be compared in full. Empty if they can.
    fit_again : str
        Why the model should be fitted again. Empty if it need not be.
    has_ids : bool
        Whether the tables have names of items, so that the same ones are known.
    levels : tuple of LevelChange
        Of all items, then one per cluster. Empty if levels are not compared.
    level_words : str
        What levels are compared with.
    n_moved_by_chance : int or None
        Items that changed cluster in as many steps just before the fit. None if it is not known.
    checks : tuple of str
        What looks wrong with the new table itself, in words: units, ids or missing rows.
    share_rule : str
        Which shares count as changed, in words.
    """

    shares: tuple[ShareChange, ...]
    items: DriftItems
    names: dict[int, str]
    n_series: int
    n_unlike: int
    unlike_rate: float | None
    unlike_p_value: float
    pattern_effect: float
    pattern_p_value: float
    alpha: float
    findings: tuple[str, ...] = ()
    caveat: str = ""
    fit_again: str = ""
    has_ids: bool = True
    levels: tuple[LevelChange, ...] = ()
    level_words: str = ""
    n_moved_by_chance: int | None = None
    checks: tuple[str, ...] = ()
    share_rule: str = ""

    @property
    def changed(self) -> bool:
        """Whether anything changed beyond chance. False if it was not ``tested``, too."""
        return bool(self.findings)

    @property
    def tested(self) -> bool:
        """Whether a change could be found: there is no ``caveat``, and nothing to check first."""
        return not self.caveat and not self.checks

    @cached_property
    def counts(self) -> dict[str, int]:
        """Number of items by status."""
        known, counts = np.unique(self.items.status, return_counts=True)
        return dict(zip(known.tolist(), counts.tolist(), strict=True))

    @property
    def verdict(self) -> str:
        """What changed, and whether to fit again, in a few sentences."""
        parts = [*self.checks, *self._unknown_ids(), *([self.caveat] if self.caveat else []), *self.findings]
        if self.tested and not self.findings:
            parts.append("Nothing changed beyond chance.")
        if self.checks:
            parts.append("Correct the table or make sure that it is right, before anything else.")
        elif self.fit_again:
            parts.append(f"Fit again: {self.fit_again}.")
        elif self.tested:
            parts.append("The model can stay in use.")
        return " ".join(parts)

    def _unknown_ids(self) -> list[str]:
        """Say that no item is in both tables, unless ids are to be checked anyway."""
        new, gone = self.items.before < 0, self.items.status == "gone"
        if not self.has_ids or self._n_both or not gone.any() or any("ids" in check for check in self.checks):
            return []
        first, other = (str(self.items.ids[np.argmax(rows)]) for rows in (new & ~gone, gone))
        return [f"No id of the table is known to the model: {first!r} is new, {other!r} is gone."]

    @cached_property
    def _n_both(self) -> int:
        is_unlike = (self.items.status == "unlike") & (self.items.before >= 0)
        return sum(self.counts.get(status, 0) for status in ("same", "moved")) + int(is_unlike.sum())

    def lines(self) -> list[str]:
        """Return the result as lines of text: verdict, shares and items."""
        lines = [self.verdict, ""]
        for share in sorted(self.shares, key=lambda share: -abs(share.difference)):
            mark = "  more than chance" if share.changed else f"  {share.remark}".rstrip()
            lines.append(
                f"  {100 * share.before:5.1f} % -> {100 * share.now:5.1f} %  ({share.points})  {share.name}{mark}"
            )
        rule = [self.share_rule] if any(share.remark == TOO_LITTLE for share in self.shares) else []
        return [*lines, "", *rule, *self.level_lines(), *self.item_lines()]

    def level_lines(self) -> list[str]:
        """Say in lines how far the level of all items changed, and that of groups if unusual."""
        if not self.levels or not self.levels[0].n_items:
            return []
        level, notes = self.levels[0], []
        if level.usual is not None:
            notes.append(
                f"95 % of earlier changes: {_signed_percent(level.usual[0])} to {_signed_percent(level.usual[1])}"
            )
        elif self.level_words != AT_THE_FIT:
            notes.append("what is usual is not known: too few steps")
        notes += [level.remark] if level.remark else []
        usual = f" ({'; '.join(notes)})" if notes else ""
        lines = [f"Level of the items: {_signed_percent(level.change)} compared with that {self.level_words}{usual}."]
        for group in self.levels[1:]:
            if group.n_items and (group.changed or group.remark):
                remark = "more than chance" if group.changed else group.remark
                lines.append(f"Level of {group.name}: {_signed_percent(group.change)} ({remark}).")
        return lines

    def level_of(self, cluster: int) -> str:
        """Return the change of the level of a cluster in words, empty if it is not known."""
        level = next((level for level in self.levels if level.cluster == cluster and level.n_items), None)
        return "" if level is None else _signed_percent(level.change) + (" more than chance" if level.changed else "")

    def item_lines(self) -> list[str]:
        """Say in lines how many items are unlike all others, moved, are new and are gone."""
        counts, lines = self.counts, []
        if self.unlike_rate is not None:
            lines.append(
                f"{self.n_unlike:,} of {self.n_series:,} series are unlike all training series "
                f"(about {self.unlike_rate * self.n_series:.0f} by chance)."
            )
        if not self.has_ids:
            return [*lines, "The series have no ids, so it is not known which are the same items.", *self._left_out()]
        n_sure = int((self.items.sure & (self.items.status == "moved")).sum())
        lines.append(
            f"{plural(self._n_both, 'item')} in both tables: {counts.get('moved', 0):,} changed cluster, "
            f"{n_sure:,} of them between clusters that are both probable."
        )
        if self.n_moved_by_chance is not None:
            lines[-1] += f" By chance about {self.n_moved_by_chance:,} do: so many did just before the fit."
        n_new = counts.get("new", 0) + self._new_unlike
        return [*lines, f"{plural(n_new, 'item')} new, {counts.get('gone', 0):,} gone.", *self._left_out()]

    def _left_out(self) -> list[str]:
        n, noun = int(self.items.left_out.sum()), "new item" if self.has_ids else "series"
        return [f"Too few steps are known of {plural(n, noun)}: the shares leave them out."] if n else []

    @cached_property
    def _new_unlike(self) -> int:
        return int(((self.items.status == "unlike") & (self.items.before < 0)).sum())

    def to_pandas(self, what: str = "items") -> pd.DataFrame:
        """Return a table.

        Parameters
        ----------
        what : {"items", "shares"}, default="items"
            "items": id, status, before, now (clusters), their names, probability, sure and
            left_out.
            "shares": one row a cluster.
        """
        import pandas as pd

        check_choice("what", what, ("items", "shares"))
        return pd.DataFrame(self.item_columns() if what == "items" else self.share_columns())

    def item_columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return the columns of the table of items."""
        items = self.items
        return {
            "id": items.ids,
            "status": items.status,
            "before": items.before,
            "now": items.now,
            "before_name": self._named(items.before),
            "now_name": self._named(items.now),
            "probability": items.probability.round(4),
            "sure": items.sure,
            "left_out": items.left_out,
        }

    def share_columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return the columns of the table of clusters."""
        names = ("cluster", "name", "n_before", "n_now", "before", "now", "difference", "p_value", "changed", "remark")
        columns = {name: np.array([getattr(share, name) for share in self.shares]) for name in names}
        columns |= {name: columns[name].round(4) for name in ("before", "now", "difference", "p_value")}
        known = [level if level.n_items else None for level in self.levels[1:]] or [None] * len(self.shares)
        columns["level_change"] = np.array([np.nan if level is None else level.change for level in known]).round(4)
        columns["level_changed"] = np.array([level is not None and level.changed for level in known])
        return columns

    def _named(self, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.object_]:
        known, place = np.unique(labels, return_inverse=True)
        texts = np.array([cluster_name(label, self.names) if label >= 0 else "" for label in known.tolist()], object)
        return texts[place] if len(known) else np.empty(0, object)

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        """Return the verdict and the shares for notebooks."""
        table = self.to_pandas("shares").to_html(index=False, justify="left")
        rest = "".join(f"<div>{escape(line)}</div>" for line in self.item_lines())
        return f"<div><b>{escape(self.verdict)}</b></div>{table}{rest}"


def shares_in_words(shares: tuple[ShareChange, ...]) -> str:
    """Say which clusters hold more or less than before. At least one did."""
    changed = sorted((share for share in shares if share.changed), key=lambda share: -abs(share.difference))
    parts = [
        f"{share.name} holds {whole(100 * share.now)} % of the series instead of {whole(100 * share.before)} %"
        for share in changed[:_MOST_NAMED]
    ]
    return f"{'; '.join(parts)}{_others(len(changed))}."


def levels_in_words(levels: Sequence[LevelChange], against: str) -> str:
    """Say which levels changed. At least one did; ``against`` says compared with what."""
    everyone, clusters = levels[0], [level for level in levels[1:] if level.changed]
    clusters.sort(key=lambda level: -abs(np.log1p(level.beside)))
    parts = [f"{level.name} is {_more_or_less(level.change)}" for level in clusters[:_MOST_NAMED]]
    more = _others(len(clusters))
    if everyone.changed:
        own = f"The level of the items is {_more_or_less(everyone.change)} than {against}"
        return f"{own}; that of {'; that of '.join(parts)}{more}." if parts else f"{own}."
    return f"Compared with that {against}, the level of {'; that of '.join(parts)}{more}."


def _others(n_changed: int) -> str:
    """Say how many clusters changed beside those that are named."""
    return f", and {plural(n_changed - _MOST_NAMED, 'other cluster')} changed" if n_changed > _MOST_NAMED else ""


def _more_or_less(change: float) -> str:
    return f"{100 * abs(change):,.0f} % {'higher' if change > 0 else 'lower'}"


def _signed_percent(change: float) -> str:
    return f"{_signed(100 * change)} %"


def _signed(number: float, digits: int = 0) -> str:
    """Return a number with its sign; 0 has none."""
    text = f"{number:+,.{digits}f}"
    return text.replace("-", "\N{MINUS SIGN}") if text.strip("+-0.") else text[1:]
