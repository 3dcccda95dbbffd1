"""What a reader must know before acting on clusters, with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vrae.describe.findings import MOST, SHAKY, Found, percent_text
from vrae.describe.training_words import judge_training
from vrae.describe.words import joined

__all__ = ["ABOUT_DATA", "Action", "Alert", "alerts_of", "passes"]

_BETWEEN = 0.15  # of two clusters halfway between their centres
_ALIKE = 0.75  # of a cluster found again: above, it is not like any other
_UNGROUPED = 0.1  # of the series
_GAPS = 0.2  # of the values
_MOSTLY_GAPS = 0.5
_LISTED = 3  # groups by name
_TINY = 0.01  # of the series in a cluster
_FEW = 5  # series a cluster
_SMALL = 30  # series

ABOUT_DATA = ("gaps", "not settled", "without a group")
"""Kinds of alerts that come before all questions about the groups."""


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


def passes(found: Found) -> bool:
    """Return whether clusters may be suggested: clear, even in size and each found again."""
    if len(found.present) < 2 or len(found.present) < len(found.sizes) or not found.stability:
        return False
    few = found.n_series < _FEW * len(found.present)
    return found.is_clear and found.share <= MOST and not found.shaky and not few


def _alerts(found: Found) -> Iterator[Alert]:
    yield from _gaps(found)
    if found.missing > _MOSTLY_GAPS:
        return  # groups of such series are not worth a word
    if len(found.present) > 1:
        yield from _one_holds_most(found)
        yield from _not_found_again(found)
    if len(found.present) > 1 and found.is_clear:
        yield from _look_alike(found)
    yield from _mixed(found)
    if found.is_clear or found.n_series < _SMALL:
        yield from _small_data(found)
    yield from _unsettled(found)
    yield from _without_group(found)
    if len(found.present) > 1 and found.is_clear:
        yield from _tiny(found)


def _one_holds_most(found: Found) -> Iterator[Alert]:
    if found.share <= MOST:
        return
    name = found.numbered(found.largest)
    look = Action("describe"), "read what sets the smaller groups apart; the large one is all the rest"
    yield Alert(
        "one holds most",
        f"{name} holds {percent_text(found.share)} of the series.",
        "A group this large says little about the series in it.",
        *(_regroup(found) or look),
    )


def _not_found_again(found: Found) -> Iterator[Alert]:
    shaky = found.shaky
    if not shaky:
        return
    weakest = sorted(shaky, key=lambda label: found.stability[label])
    listed = _listed(
        [f"{percent_text(found.stability[label])} of {found.numbered(label)}" for label in weakest], "part of {} more"
    )
    yield Alert(
        "not found again",
        f"{'Found again only in part' if found.refitted else 'Only part comes back'} {found.when}: {listed}.",
        f"Below {percent_text(SHAKY)}, a group may be there by chance. Do not act on it alone.",
        *(_regroup(found) or _firmer(found, shaky) or _with_care(shaky)),
    )


def _firmer(found: Found, shaky: Sequence[int]) -> tuple[Action, str] | None:
    """Return the merge that makes a weak group firm, if there is one."""
    pair = next((pair for pair in found.merges if set(pair) & set(shaky)), None) if found.is_clear else None
    return None if pair is None else _merge(found, *pair)


def _with_care(shaky: Sequence[int]) -> tuple[Action, str]:
    them = "them" if len(shaky) > 1 else "it"
    return Action("describe"), f"read what sets the groups apart, and treat {them} with care"


def _look_alike(found: Found) -> Iterator[Alert]:
    if found.closest is None:
        return
    first, second, between = found.closest
    firm = bool(found.stability) and min(found.stability[first], found.stability[second]) >= _ALIKE
    if between >= _BETWEEN and not firm and (first, second) in found.merges:
        yield Alert(
            "look alike",
            f"{found.numbered(first)} and {found.numbered(second)} look alike: {percent_text(between)} of their "
            f"series lie halfway between.",
            "Where one ends and the other begins is arbitrary.",
            *_merge(found, first, second),
        )


def _mixed(found: Found) -> Iterator[Alert]:
    if found.mixed:
        many = len(found.mixed) > 1
        listed = _listed([found.numbered(label) for label in found.mixed], "{} more groups")
        yield Alert(
            "mostly 0 and seldom 0",
            f"{listed} {'hold' if many else 'holds'} series that are mostly 0 and others that seldom are.",
            "Level does not count, so series with few values other than 0 can be with those that have many.",
            Action("train", {"level_weight": 1}),
            "let level count, if such series are different for you",
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
    full_of_gaps = [label for label, part in enumerate(found.gaps) if part > _MOSTLY_GAPS]
    if found.missing > _GAPS:
        text = f"{percent_text(found.missing)} of the values are missing."
    elif full_of_gaps:
        parts = [
            f"{percent_text(found.gaps[label])} of the values of {found.numbered(label)}" for label in full_of_gaps
        ]
        text = f"Missing: {_listed(parts, 'most of {} more')}."
    else:
        text = ""
    if text:
        yield Alert(
            "gaps",
            text,
            "Groups can reflect where values are missing. If a missing value means 0, say so.",
            Action("fill", {"fill": 0}),
            "read missing rows as 0, if that is what they mean",
        )


def _listed(parts: Sequence[str], rest: str) -> str:
    """Join what is said of groups. ``rest`` stands for the last ones of many, with their number."""
    if len(parts) <= _LISTED + 1:  # one more name is as short as "1 more"
        return joined(parts)
    return f"{', '.join(parts[:_LISTED])}, and {rest.format(len(parts) - _LISTED)}"


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
            f"There are {k} groups for only {n} series: about {round(n / k)} series in each.",
            "A group of so few series says nothing about the next one.",
            *(_regroup(found) or (Action("describe"), "read what sets the groups apart, series by series")),
        )


def _regroup(found: Found) -> tuple[Action, str] | None:
    """Return the change to the best other number of groups, if one stands the tests."""
    if found.edited or not found.others:
        return None
    n_clusters = found.others[0]
    return Action("regroup", {"n_clusters": n_clusters}), f"look at {n_clusters} groups instead"


def _merge(found: Found, first: int, second: int) -> tuple[Action, str]:
    action = Action("merge", {"labels": (first, second)})
    return action, f"merge {found.name(first)} and {found.name(second)}"
