"""Sentences for readers who have never heard of a VRAE."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.describe.phrases import ALONE, Phrase, phrases
from vrae.describe.portraits import Portraits, middle_of
from vrae.describe.results import Traversal
from vrae.describe.time_words import month_of, rough_time
from vrae.describe.traits import TRAITS, differences, series_traits
from vrae.describe.words import joined, percent, plain, plural

__all__ = ["describe_traversal", "sentence"]

Floats = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]

_NOTABLE, _CLEAR = 0.35, 0.65  # of `differences`, which runs from -1 to 1
_TELLING = 0.4  # weight of a phrase
_PHRASES = 3
_OWN_WORDS = ("gaps", "level")  # kinds of phrases that are told by numbers
_UP, _DOWN = ("growing", "rises"), ("declining", "falls")  # last words that tell a direction
_NAMELESS = ("value", "values", "x", "y", "channel", "data", "series")


def sentence(
    portraits: Portraits,
    member: Mask,
    *,
    is_noise: bool = False,
    is_true: Callable[[Phrase, int], bool] = lambda *_: True,
) -> str:
    """Describe a cluster: what its series look like and what sets them apart.

    ``portraits`` are those of all series or a sample of them; ``member`` (n_sample,) says which are
    in the cluster, at least one. ``is_noise`` means that they belong to no cluster. Phrases about a
    channel for which ``is_true`` is False are left out.
    """
    found = differences(portraits.numbers, member)
    strength = np.abs(np.array([found[name] for name in TRAITS]))  # (n_traits, n_channels)
    channel = int(strength.max(axis=0).argmax())
    found_phrases = phrases(portraits, member, channel)
    told = [phrase for phrase in found_phrases if is_true(phrase, channel)] or [Phrase("none", "", 0.0)]
    name = portraits.channels[channel]
    text = f"{f'In {name}: ' if len(portraits.channels) > 1 else ''}{_look(portraits, member, channel, told)}."
    text = text[0].upper() + text[1:]
    if is_noise:
        return f"These series fit none of the clusters. {text}"
    if member.all() or told[0].kind in ALONE:
        return text
    return f"{text} {_what_sets_apart(found, portraits.channels)}"


# ------------------------------------------------------------------------------- on their own


def _look(portraits: Portraits, member: Mask, channel: int, told: Sequence[Phrase]) -> str:
    """Describe the members on their own, in one channel."""
    inside = {name: values[member, channel] for name, values in portraits.numbers.items()}
    median = {name: middle_of(values) for name, values in inside.items()}
    if not np.isfinite(median["level"]):
        return "no observed values"
    if told[0].kind == "constant":
        at = f" at about {plain(median['level'])}" if median["level"] else ""
        return f"{_lower(told[0].text)}{at}"
    if told[0].kind == "few":
        return "; ".join([_lower(told[0].text), "too few values for a shape", *_level(portraits, inside, channel)])
    parts = [*_shape_words(portraits, told, inside, median), *_level(portraits, inside, channel)]
    if median["zeros"] >= 0.005:
        parts.append(f"{percent(median['zeros'])} zeros")
    parts += _length(portraits, inside, median, any(phrase.kind == "life" for phrase in told))
    if median["missing"] >= 0.005:
        parts.append(f"{percent(median['missing'])} of the values missing")
    return ", ".join(parts)


def _shape_words(
    portraits: Portraits, told: Sequence[Phrase], inside: Mapping[str, Floats], median: Mapping[str, float]
) -> list[str]:
    """Return phrases of different kinds, and where the highest and the lowest point are."""
    chosen: dict[str, str] = {}
    for phrase in told:
        text = _once(_lower(phrase.text), chosen.values())
        is_new = phrase.kind not in (*chosen, *_OWN_WORDS) and not any(text in other for other in chosen.values())
        if phrase.weight >= _TELLING and is_new and len(chosen) < _PHRASES:
            chosen[phrase.kind] = text
    parts = list(chosen.values()) or ["no pattern that most of the series share"]
    _tell_change(parts, median["trend"], median["change"], has_life="life" in chosen)
    if portraits.aligned:  # dates of single highest points are those of `phrases`
        return parts
    for name, what in (("peak", "highest"), ("trough", "lowest")):
        low, high = np.quantile(inside[name], (0.25, 0.75))
        if high - low <= 0.2:
            parts.append(f"{what} {_position(median[name])}")
    return parts


def _once(text: str, said: Iterable[str]) -> str:
    """Return a text without a direction that was said before; "" if nothing is left."""
    for words in (_UP, _DOWN):
        if text.endswith(words) and any(other.endswith(words) for other in said):
            return text.rpartition(", ")[0]
    return text


def _tell_change(parts: list[str], trend: float, change: float, has_life: bool) -> None:
    """Add by how much series go up or down to the part that tells the direction.

    The zeros before a start and after an end are no direction.
    """
    if not abs(trend) >= 0.5 or not trend * change > 0:
        return
    by = f"by about {plain(abs(change))} from start to end"
    place = next((i for i, part in enumerate(parts) if part.endswith(_UP if trend > 0 else _DOWN)), None)
    if place is None and not has_life:
        parts.append(f"{'up' if trend > 0 else 'down'} {by}")
    elif place is not None:
        parts[place] += f" {by}"


def _level(portraits: Portraits, inside: Mapping[str, Floats], channel: int) -> list[str]:
    """Return the usual level, unless each series was normalised."""
    level, spread = (portraits.numbers[name][:, channel].astype(np.float64) for name in ("level", "spread"))
    if not np.nanstd(level) > 0.25 * middle_of(spread):
        return []
    low, middle, high = np.nanquantile(inside["level"], (0.1, 0.5, 0.9))
    around, usual = f"around {plain(middle)}", f"(mostly {plain(low)} to {plain(high)})"
    name, unit = portraits.channels[channel], portraits.unit.removesuffix("s")
    if len(portraits.channels) > 1 or name.lower() in _NAMELESS or name.isdigit():
        return [f"at a level {around} {usual}"]
    if portraits.counts and portraits.calendar is not None and unit[0].isalpha():
        return [f"{around} {name} {'an' if unit[0] in 'aeiouh' else 'a'} {unit} {usual}"]
    return [f"{name} {around} {usual}"]


def _length(
    portraits: Portraits, inside: Mapping[str, Floats], median: Mapping[str, float], has_life: bool
) -> list[str]:
    """Return the usual length, and from when to when if most series agree on that.

    Zeros before the first sale or after the last one are no part of it. ``has_life`` says that the
    start or the end was told before.
    """
    unit = portraits.unit.removesuffix("s")
    lived = middle_of(inside["finish"] - inside["begin"] + 1)
    if portraits.aligned and has_life and lived < 0.9 * median["length"]:
        return [f"usually {plural(round(lived), unit)} from the first value other than 0 to the last"]
    if np.ptp(portraits.numbers["length"]) == 0:
        return []
    parts = [f"usually {plural(round(median['length']), unit)} long"]
    if portraits.aligned and not has_life:
        ends = [np.quantile(inside[name], (0.25, 0.5, 0.75)) for name in ("first", "last")]
        if all(rough_time(portraits, *end) for end in ends):
            start, end = (month_of(portraits.date(float(end[1]))) for end in ends)
            parts.append(f"in {start}" if start == end else f"from {start} to {end}")
    return parts


def _position(fraction: float) -> str:
    if fraction < 0.05:
        return "at the start"
    if fraction > 0.95:
        return "at the end"
    return f"about {percent(fraction)} of the way"


def _lower(text: str) -> str:
    return text[0].lower() + text[1:]


# ------------------------------------------------------------------------------- compared


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
        parts.append(f"{TRAITS[name].words(delta, is_clear=abs(delta) >= _CLEAR)}{place}")
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
