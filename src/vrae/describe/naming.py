"""Short names for clusters: what their series are, before how they differ from the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from vrae.describe.comparisons import comparisons, level_comparisons
from vrae.describe.phrases import ALONE, Phrase, phrases
from vrae.describe.portraits import Portraits

__all__ = ["cluster_names"]

Mask = npt.NDArray[np.bool_]

_LONGEST = 44  # characters of a name of two phrases
_LONGEST_CHANNEL = 20
_WEAK = 0.6  # a phrase that tells no more gets the level as well, if there is room
_COMPARED = 0.45  # weight of a comparison
_HIGH = 3.0  # times the level of the others: a high level
_CHANNELS = 6  # that are spoken of


def cluster_names(portraits: Portraits, labels: npt.ArrayLike, n_clusters: int) -> list[str]:
    """Return a short name for each cluster, all different.

    Parameters
    ----------
    portraits : Portraits
    labels : array of int, shape (n_sample,)
        Clusters of the series of the portraits. -1 is none.
    n_clusters : int

    Returns
    -------
    list of str
        Names of clusters 0, 1, ... A cluster without a series in the sample is "Cluster 3".
    """
    labels = np.asarray(labels, np.int64)
    members = [labels == k for k in range(n_clusters)]
    told = [_told(portraits, members, k) for k in range(n_clusters)]
    common = Counter(text for own in told for text in {phrase.text for phrase in own})
    ranked = [sorted(own, key=lambda phrase: -phrase.weight / np.sqrt(common[phrase.text])) for own in told]
    names = [_name(own) if own else f"Cluster {k}" for k, own in enumerate(ranked)]
    for same in _repeated(names):
        _tell_apart(names, same, ranked, portraits, members)
    for same in _repeated(names):
        for n, k in enumerate(same[1:], 2):
            names[k] = _unused(names, names[k], n)
    return names


# ------------------------------------------------------------------------------- what is true


def _told(portraits: Portraits, members: Sequence[Mask], cluster: int) -> list[Phrase]:
    """Return all phrases about a cluster, the most telling first."""
    member = members[cluster]
    if not member.any():
        return []
    if len(portraits.channels) == 1:
        own = phrases(portraits, member, 0)
        return own if own[0].kind in ALONE else [*own, *_level(portraits, members, cluster)]
    return _of_channels(portraits, member, np.any(members, axis=0) & ~member)


def _level(portraits: Portraits, members: Sequence[Mask], cluster: int) -> list[Phrase]:
    """Return "high volume" or "low volume", if the level of a cluster is clearly another."""
    others = np.any(members, axis=0) & ~members[cluster]
    if not others.any():
        return []
    found = [p for p in level_comparisons(portraits, members[cluster], others, _HIGH)[0] if p.kind == "level"]
    text = {"higher": "High", "lower": "Low"}
    return [replace(p, text=f"{text[p.text.split()[0]]} {p.text.split()[1]}", weight=_COMPARED) for p in found]


def _of_channels(portraits: Portraits, member: Mask, others: Mask) -> list[Phrase]:
    """Return phrases of the channels that set a cluster apart, with their names.

    What is true of every channel, such as the months of a peak, is said without a channel.
    """
    compared = comparisons(portraits, member, others) if others.any() else [[] for _ in portraits.channels]
    apart = [sum(phrase.weight for phrase in own[:3]) for own in compared]
    order = sorted(range(len(apart)), key=lambda c: -apart[c])
    told: dict[int, list[Phrase]] = {}
    common: set[str] = set()
    for place, c in enumerate(order):
        if place >= _CHANNELS and not common:
            break
        told[c] = phrases(portraits, member, c)
        texts = {phrase.text for phrase in told[c]}
        common = common & texts if place else texts
    found = [p for p in told[order[0]] if p.text in common and p.kind not in ("texture", "shape")]
    order = order[:_CHANNELS]
    for place, c in enumerate(order):
        share = 0.8**place
        own = [p for p in told[c] if p.text not in common or not others.any()]
        found += [_in_channel(portraits, c, p.text, p.kind, 0.9 * share * p.weight) for p in own]
        found += [
            _in_channel(portraits, c, p.text, p.kind, _COMPARED * share * min(1.0, p.weight / 4))
            for p in compared[c][:3]
        ]
    return sorted(found, key=lambda phrase: -phrase.weight) or [Phrase("none", "No common pattern", 0.1)]


def _in_channel(portraits: Portraits, channel: int, text: str, kind: str, weight: float) -> Phrase:
    name = portraits.channels[channel]
    name = name if len(name) <= _LONGEST_CHANNEL else f"{name[: _LONGEST_CHANNEL - 1]}…"
    return Phrase(f"{kind} of {channel}", f"{name}: {_lower(text)}", weight)


# ------------------------------------------------------------------------------- one name each


def _name(own: Sequence[Phrase]) -> str:
    """Return the first phrase; with the level, if it does not tell much."""
    first = own[0]
    level = next((phrase for phrase in own[1:] if phrase.kind == "level"), None)
    if level is not None and first.weight <= _WEAK and first.kind != "level":
        return _joined(first.text, level.text) or first.text
    return first.text


def _tell_apart(
    names: list[str], same: Sequence[int], ranked: Sequence[Sequence[Phrase]], portraits: Portraits,
    members: Sequence[Mask],
) -> None:  # fmt: skip
    """Add to each of several equal names something that the other clusters lack."""
    name, given = names[same[0]], set(names)
    # A cluster that is told apart leaves the others more to say.
    for k in sorted(same, key=lambda k: -_clearest(ranked, same, k)):
        rest = [j for j in same if j != k]
        for text in (*_own_phrases(ranked, k, rest), *_compared(portraits, members, k, rest)):
            longer = _joined(name, text)
            if longer and longer not in given:
                names[k] = longer
                given.add(longer)
                break


def _clearest(ranked: Sequence[Sequence[Phrase]], same: Sequence[int], k: int) -> float:
    others = {phrase.text for j in same if j != k for phrase in ranked[j]}
    return max((phrase.weight for phrase in ranked[k] if phrase.text not in others), default=0.0)


def _own_phrases(ranked: Sequence[Sequence[Phrase]], k: int, rest: Sequence[int]) -> list[str]:
    """Return phrases that are true of a cluster and of no other one of its name."""
    others = {phrase.text for j in rest for phrase in ranked[j]}
    kinds = {ranked[k][0].kind, *(("growth",) if "grow" in ranked[k][0].text else ())}
    return [p.text for p in ranked[k][1:] if p.text not in others and p.kind not in kinds and p.weight >= _COMPARED]


def _compared(portraits: Portraits, members: Sequence[Mask], k: int, rest: Sequence[int]) -> list[str]:
    others = np.any([members[j] for j in rest], axis=0)
    if not members[k].any() or not others.any():
        return []
    if len(portraits.channels) == 1:
        return [phrase.text for phrase in comparisons(portraits, members[k], others)[0]]
    return [p.text for p in _of_channels(portraits, members[k], others)]


def _joined(first: str, second: str) -> str:
    """Join two phrases; "" if they are too long for a name, or say the same twice."""
    text = f"{first}, {_lower(second)}"
    return text if len(text) <= _LONGEST and second.lower() not in first.lower() else ""


def _lower(text: str) -> str:
    return text[0].lower() + text[1:]


def _repeated(names: Sequence[str]) -> list[list[int]]:
    places: dict[str, list[int]] = {}
    for k, name in enumerate(names):
        places.setdefault(name, []).append(k)
    return [found for found in places.values() if len(found) > 1]


def _unused(names: Sequence[str], name: str, number: int) -> str:
    while f"{name} ({number})" in names:
        number += 1
    return f"{name} ({number})"
