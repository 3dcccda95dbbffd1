"""What a reader must know before acting on clusters, with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vrae.describe.findings import MOST, SHAKY, Found, percent_text
from vrae.describe.training_words import judge_training
from vrae.describe.words import joined
from vrae.metrics import is_useful

__all__ = ["Action", "Alert", "alerts_of"]

_BETWEEN = 0.15  # of two clusters halfway between their centres
_ALIKE = 0.75  # of a cluster found again: above, it is not like any other
_UNGROUPED = 0.1  # of the series
_GAPS = 0.2  # of the values
_TINY = 0.01  # of the series in a cluster
_FEW = 5  # series a cluster
_SMALL = 30  # series


@dataclass(frozen=True)
class Action:
    """Something to do, by name, with its arguments: "regroup" with ``n_clusters``, and so on."""

    name: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Alert:
    """Something that a reader must know before acting: what, why it matters, and what to do."""

    kind: str
    text: str
    why: str
    action: Action
    advice: str


def alerts_of(found: Found) -> tuple[Alert, ...]:
    """Return what a reader must know, the gravest first."""
    told: list[Alert] = []
    for alert in _alerts(found):
        if alert.kind != "look alike" or alert.action not in [earlier.action for earlier in told]:
            told.append(alert)
    return tuple(told)


def _alerts(found: Found) -> Iterator[Alert]:
    if len(found.present) > 1:
        yield from _one_holds_most(found)
        yield from _not_found_again(found)
        yield from _look_alike(found)
    yield from _small_data(found)
    yield from _unsettled(found)
    yield from _without_group(found)
    yield from _gaps(found)
    if len(found.present) > 1:
        yield from _tiny(found)


def _one_holds_most(found: Found) -> Iterator[Alert]:
    share = found.sizes[found.largest] / found.n_series
    if share <= MOST:
        return
    kept = [row for row in found.selection if row.get("largest", 0) <= MOST]
    best = max(kept, key=lambda row: row["score"], default=None)
    n_clusters = len(found.sizes) + 2 if best is None else int(best["n_clusters"])
    name = found.numbered(found.largest)
    yield Alert(
        "one holds most",
        f"{name} holds {percent_text(share)} of the series.",
        "A group this large says little about the series in it.",
        *_regroup(n_clusters),
    )


def _not_found_again(found: Found) -> Iterator[Alert]:
    shaky = found.shaky
    if not shaky:
        return
    several = len(shaky) > 3  # a long list without numbers
    names = [found.name(label) if several else found.numbered(label) for label in shaky]
    parts = [percent_text(found.stability[label]) for label in shaky]
    if several:
        listed = joined([f"{name} {part}" for name, part in zip(names, parts, strict=True)])
    else:
        listed = joined([f"{part} of {name}" for name, part in zip(names, parts, strict=True)])
    yield Alert(
        "not found again",
        f"Found again only in part {found.again}: {listed}.",
        f"Below {percent_text(SHAKY)}, a group may be there by chance. Do not act on it alone.",
        *_steadier(found, shaky),
    )


def _steadier(found: Found, shaky: Sequence[int]) -> tuple[Action, str]:
    """Return what makes groups firmer: fewer of them, or a longer look at the weak ones."""
    k = len(found.sizes)
    rows = {int(row["n_clusters"]): row.get("stability", 0.0) for row in found.selection if is_useful(row)}
    fewer = {number: part for number, part in rows.items() if 2 <= number < k and part > rows.get(k, 0.0)}
    if fewer:
        return _regroup(max(fewer, key=lambda number: fewer[number]))
    if found.closest and set(found.closest[:2]) & set(shaky) and _can_merge(found):
        return _merge(found, *found.closest[:2])
    if k > 2:
        return _regroup(k - 1)
    return Action("describe"), "read what sets the groups apart, and treat them as a rough overview"


def _look_alike(found: Found) -> Iterator[Alert]:
    if found.closest is None:
        return
    first, second, between = found.closest
    firm = bool(found.stability) and min(found.stability[first], found.stability[second]) >= _ALIKE
    if between >= _BETWEEN and not firm and _can_merge(found):
        yield Alert(
            "look alike",
            f"{found.numbered(first)} and {found.numbered(second)} look alike: {percent_text(between)} of their "
            f"series lie halfway between.",
            "Where one ends and the other begins is arbitrary.",
            *_merge(found, first, second),
        )


def _unsettled(found: Found) -> Iterator[Alert]:
    judged = judge_training(found.history)
    if not judged.settled:
        epochs = judged.epochs or 2 * len(found.history)
        action = Action("train", {"epochs": epochs} if judged.epochs else {"learning_rate": 0.002, "epochs": epochs})
        advice = f"train again with {epochs} passes{'' if judged.epochs else ' and a lower learning rate'}"
        yield Alert("not settled", judged.words, "The groups may change with another training.", action, advice)


def _without_group(found: Found) -> Iterator[Alert]:
    share = found.n_noise / max(found.n_series, 1)
    if share > _UNGROUPED:
        yield Alert(
            "without a group",
            f"{found.n_noise:,} series ({percent_text(share)}) have no group.",
            "What you do for the groups leaves them out. They are unlike all others, or have no values.",
            Action("group all"),
            "give every series a group",
        )


def _gaps(found: Found) -> Iterator[Alert]:
    if found.missing > _GAPS:
        yield Alert(
            "gaps",
            f"{percent_text(found.missing)} of the values are missing.",
            "Groups can reflect where values are missing. If a missing value means 0, say so.",
            Action("fill", {"fill": 0}),
            "read missing rows as 0, if that is what they mean",
        )


def _tiny(found: Found) -> Iterator[Alert]:
    tiny = [label for label, size in enumerate(found.sizes) if 0 < size < _TINY * found.n_series]
    if tiny:
        listed = joined([f"{found.numbered(label)} with {found.sizes[label]:,}" for label in tiny])
        several = len(tiny) > 1
        yield Alert(
            "tiny groups",
            f"{'Tiny groups' if several else 'A tiny group'}: {listed} series, less than {percent_text(_TINY)} of all.",
            "Few series can be errors in the data, or the ones that matter most.",
            Action("describe"),
            f"look at the series of the tiny group{'s' * several}",
        )


def _small_data(found: Found) -> Iterator[Alert]:
    n, k = found.n_series, len(found.present)
    if n < _SMALL:
        yield Alert(
            "few series",
            f"There {'is' if n == 1 else 'are'} only {n} series.",
            "With so few, groups are examples and no rule.",
            Action("describe"),
            "read what sets the groups apart, series by series",
        )
    elif k > 1 and n / k < _FEW:
        yield Alert(
            "few series",
            f"{k} groups of {n} series are {n / k:.1f} series a group.",
            "A group of so few series says nothing about the next one.",
            *_regroup(max(2, n // (2 * _FEW))),
        )


def _can_merge(found: Found) -> bool:
    """Return whether merging the closest two leaves groups that say something."""
    size = sum(found.sizes[label] for label in found.closest[:2]) if found.closest else found.n_series
    return len(found.present) > 2 and size <= MOST * found.n_series


def _regroup(n_clusters: int) -> tuple[Action, str]:
    return Action("regroup", {"n_clusters": n_clusters}), f"look at {n_clusters} groups instead"


def _merge(found: Found, first: int, second: int) -> tuple[Action, str]:
    action = Action("merge", {"labels": (first, second)})
    return action, f"merge {found.name(first)} and {found.name(second)}"
