"""Sentences and tags for readers who have never heard of a VRAE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.describe.curves import quiet_nan
from vrae.describe.results import Traversal
from vrae.describe.traits import TRAITS, Traits, differences, series_traits
from vrae.describe.words import joined, plain, plural

__all__ = ["describe_traversal", "sentence", "tags"]

Floats = npt.NDArray[np.floating[Any]]

_NOTABLE, _CLEAR = 0.35, 0.65  # of `differences`, which runs from -1 to 1


def sentence(traits: Traits, member: npt.NDArray[np.bool_], channels: Sequence[str], *, is_noise: bool = False) -> str:
    """Describe a cluster: what its series look like and what sets them apart.

    ``traits`` are those of all series or a sample of them; ``member`` of shape (n_series,) says
    which are in the cluster, at least one. ``is_noise`` means that they belong to no cluster.
    """
    found = differences(traits, member)
    strength = np.abs(np.array([found[name] for name in TRAITS]))  # (n_traits, n_channels)
    channel = int(strength.max(axis=0).argmax())
    look = _look({name: values[:, channel] for name, values in traits.items()}, member)
    where = f"In {channels[channel]}: " if len(channels) > 1 else ""
    text = f"{where}{look}."
    text = text[0].upper() + text[1:]
    if is_noise:
        return f"These series fit none of the clusters. {text}"
    if member.all():
        return text
    return f"{text} {_what_sets_apart(found, channels)}"


def _look(traits: Traits, member: npt.NDArray[np.bool_]) -> str:
    """Describe the members on their own, in one channel: traits of shape (n_series,)."""
    inside = {name: values[member] for name, values in traits.items()}
    with quiet_nan():
        median = {name: float(np.nanmedian(values)) for name, values in inside.items()}
        # They do not if each series was normalised.
        levels_differ = np.nanstd(traits["level"]) > 0.25 * np.nanmedian(traits["spread"])
    if not np.isfinite(median["level"]):
        return "no observed values"
    if median["spread"] == 0:
        return f"constant series at about {plain(median['level'])}"
    words = [f"{_texture(median)}series that {_direction(median)}"]
    for name, what in (("peak", "highest"), ("trough", "lowest")):
        low, high = np.quantile(inside[name], (0.25, 0.75))
        if high - low <= 0.2:
            words.append(f"{what} {_position(median[name])}")
    if levels_differ:
        low, high = np.nanquantile(inside["level"], (0.1, 0.9))
        words.append(f"at a level around {plain(median['level'])} (mostly {plain(low)} to {plain(high)})")
    if median["zeros"] >= 0.2:
        words.append(f"with {median['zeros']:.0%} zeros".replace("%", " %"))
    if np.ptp(traits["length"]) > 0:
        words.append(f"usually {plural(round(median['length']), 'step')} long")
    if median["missing"] >= 0.005:
        words.append(f"with {100 * median['missing']:.0f} % of the values missing")
    return ", ".join(words)


def _texture(median: Mapping[str, float]) -> str:
    if median["spikiness"] > 4.5:
        return "spiky "
    if median["roughness"] < 0.2:
        return "smooth "
    return "jagged " if median["roughness"] > 0.9 else ""


def _direction(median: Mapping[str, float]) -> str:
    verb = "rise" if median["trend"] > 0 else "fall"
    if abs(median["trend"]) >= 0.5:
        return f"{verb} by about {plain(abs(median['change']))} from start to end"
    swings = f"go up and down about {plural(round(median['cycles']), 'time')}"
    if abs(median["trend"]) >= 0.25:
        return f"{verb} a little and {swings}" if median["cycles"] >= 1.5 else f"{verb} a little"
    return swings if median["cycles"] >= 1.5 else "end about where they began"


def _position(fraction: float) -> str:
    if fraction < 0.05:
        return "at the start"
    if fraction > 0.95:
        return "at the end"
    return f"about {100 * fraction:.0f} % of the way"


def tags(traits: Traits, series_labels: npt.NDArray[np.integer[Any]], labels: Sequence[int]) -> dict[int, str]:
    """Return short tags for the traits that set clusters apart most, all different.

    ``series_labels`` are the clusters of the series whose traits are given. A cluster that no trait
    sets apart has no tag.
    """
    found = [
        (float(delta), name, label)
        for label in labels
        for name, deltas in differences(traits, series_labels == label).items()
        for delta in deltas
        if abs(delta) >= _NOTABLE
    ]
    given: dict[int, str] = {}
    for delta, name, label in sorted(found, key=lambda entry: -abs(entry[0])):
        words = TRAITS[name].words(delta).removeprefix("a ").removeprefix("an ").removesuffix(" from start to end")
        if label not in given and words not in given.values():
            given[label] = words
    return given


def _what_sets_apart(found: Mapping[str, Floats], channels: Sequence[str]) -> str:
    ranked = sorted(
        ((float(delta), name, c) for name, deltas in found.items() for c, delta in enumerate(deltas)),
        key=lambda entry: -abs(entry[0]),
    )
    strongest: dict[str, tuple[float, int]] = {}  # difference and channel
    for delta, name, c in ranked:
        if abs(delta) >= _NOTABLE:
            strongest.setdefault(name, (delta, c))
    parts = []
    for name, (delta, c) in list(strongest.items())[:3]:
        place = f" in {channels[c]}" if len(channels) > 1 and name not in ("length", "missing") else ""
        parts.append(f"{'clearly ' if abs(delta) >= _CLEAR else ''}{TRAITS[name].words(delta)}{place}")
    if not parts:
        return "No single property sets it apart: its shape as a whole differs from the others."
    return f"Compared with the others: {joined(parts)}."


def describe_traversal(dimension: int, values: Floats, series: Floats, *, in_use: bool = True) -> Traversal:
    """Name up to three traits that differ between the ends of a latent dimension.

    ``series`` (n_values, n_channels, n_steps) are decoded from ``values`` (n_values,), ascending.
    ``in_use`` says whether the training series differ in this dimension.
    """
    if not in_use:
        return Traversal(dimension, values, series, "not in use: constant over all series.")
    traits = series_traits(list(series))
    mean_spread = traits["spread"].mean(axis=0)
    gains = []
    for name, trait in TRAITS.items():
        gain = (traits[name][-1] - traits[name][0]) / (trait.smallest(mean_spread) + 1e-12)  # (n_channels,)
        c = int(np.abs(gain).argmax())
        gains.append((float(gain[c]), trait, c))
    parts = [
        trait.words(gain) + (f" (channel {c})" if series.shape[1] > 1 else "")
        for gain, trait, c in sorted(gains, key=lambda entry: -abs(entry[0]))[:3]
        if abs(gain) >= 1
    ]
    words = ", ".join(parts) or "no single property changes: the shape changes as a whole"
    return Traversal(dimension, values, series, f"{words}.")
