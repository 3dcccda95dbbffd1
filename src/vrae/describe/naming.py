"""Short names for clusters: what their series are, before how they differ from the others."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.describe.phrases import Phrase, phrases
from vrae.describe.portraits import Portraits

__all__ = ["cluster_names"]

Floats = npt.NDArray[np.floating[Any]]

_LONGEST = 44  # characters of a name with two phrases
_WEAK = 0.5  # a phrase that tells less gets a second one if there is room


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
    told = [_told(portraits, member, members) for member in members]
    told = [
        [*own, *_levels(portraits, members, k)] if member.any() else []
        for k, (own, member) in enumerate(zip(told, members, strict=True))
    ]
    common = Counter(phrase.text for own in told for phrase in own)
    named = [_ranked(own, common) for own in told]
    return _distinct(named)


def _told(portraits: Portraits, member: npt.NDArray[np.bool_], members: list[npt.NDArray[np.bool_]]) -> list[Phrase]:
    """Return phrases of all channels; with several, with the channel's name."""
    if not member.any():
        return []
    if len(portraits.channels) == 1:
        return phrases(portraits, member, 0)
    found = []
    for channel, name in enumerate(portraits.channels):
        apart = _apart(portraits, member, channel)
        for phrase in phrases(portraits, member, channel):
            text = f"{name}: {phrase.text[0].lower()}{phrase.text[1:]}"
            found.append(Phrase(phrase.kind, text, phrase.weight * (0.3 + 0.7 * apart)))
    return sorted(found, key=lambda phrase: -phrase.weight)


def _apart(portraits: Portraits, member: npt.NDArray[np.bool_], channel: int) -> float:
    """Return how far a cluster is from the others in one channel, 0 to 1."""
    if member.all():
        return 0.5
    shapes = portraits.shapes[:, channel]
    gap = np.median(shapes[member], axis=0) - np.median(shapes[~member], axis=0)
    return float(np.clip(np.sqrt((gap**2).mean()), 0, 1))


def _levels(portraits: Portraits, members: list[npt.NDArray[np.bool_]], cluster: int) -> list[Phrase]:
    """Return "high volume" or "low volume", if the levels of clusters differ clearly."""
    if len(portraits.channels) > 1 or len(members) < 2:
        return []
    level, spread = portraits.numbers["level"][:, 0], portraits.numbers["spread"][:, 0]
    others = ~members[cluster]
    if not others.any() or np.nanstd(level) <= 0.25 * np.nanmedian(spread):
        return []
    here, there = np.nanmedian(level[members[cluster]]), np.nanmedian(level[others])
    if np.nanmin(level) >= 0:
        far = max(here, there) >= 2 * min(here, there)
    else:
        far = abs(here - there) >= np.nanmedian(spread)
    if not far:
        return []
    text = f"{'High' if here > there else 'Low'} {'volume' if portraits.counts else 'level'}"
    return [Phrase("level", text, 0.45)]


def _ranked(own: list[Phrase], common: Counter[str]) -> list[Phrase]:
    """Sort phrases by what they tell: one that is true of many clusters tells less."""
    return sorted(own, key=lambda phrase: -phrase.weight / np.sqrt(common[phrase.text]))


def _distinct(named: list[list[Phrase]]) -> list[str]:
    """Return a name for each list of phrases, the first of which tells most."""
    names = [_first_name(own) or f"Cluster {k}" for k, own in enumerate(named)]
    for same in _same(names):
        for k in same:
            names[k] = _longer(named, same, k) or names[k]
    for same in _same(names):
        for n, k in enumerate(same[1:], 2):
            names[k] = _free(names, names[k], n)
    return names


def _first_name(own: list[Phrase]) -> str:
    if not own:
        return ""
    if own[0].weight < _WEAK:
        for other in own[1:]:
            name = _joined(own[0], other)
            if other.kind != own[0].kind and len(name) <= _LONGEST:
                return name
    return own[0].text


def _longer(named: list[list[Phrase]], same: list[int], k: int) -> str:
    """Return a name with a phrase that the other clusters of this name lack."""
    others = {phrase.text for other in same if other != k for phrase in named[other]}
    first = named[k][0] if named[k] else None
    for phrase in named[k][1:]:
        if first is not None and phrase.text not in others and phrase.kind != first.kind:
            name = _joined(first, phrase)
            if len(name) <= _LONGEST:
                return name
    return ""


def _joined(first: Phrase, second: Phrase) -> str:
    return f"{first.text}, {second.text[0].lower()}{second.text[1:]}"


def _same(names: list[str]) -> list[list[int]]:
    groups: dict[str, list[int]] = {}
    for k, name in enumerate(names):
        groups.setdefault(name, []).append(k)
    return [group for group in groups.values() if len(group) > 1]


def _free(names: list[str], name: str, number: int) -> str:
    while f"{name} ({number})" in names:
        number += 1
    return f"{name} ({number})"
