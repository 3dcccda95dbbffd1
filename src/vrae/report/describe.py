"""Words and numbers about clusters, for readers who have never heard of a VRAE: arrays in, plain text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.plots.compute import bin_means, quiet_nan
from vrae.plots.maps import finite_rows

__all__ = [
    "TRAITS",
    "Trait",
    "by_typicality",
    "differences",
    "plain",
    "plural",
    "sentence",
    "separation_word",
    "series_traits",
    "stability_word",
    "tags",
]

Floats = npt.NDArray[np.floating[Any]]
Traits = Mapping[str, Floats]

_TRAIT_STEPS = 256  # longer series are averaged down to at most this many points before they are described
_NOTABLE, _CLEAR = 0.35, 0.65  # of `differences`, which runs from -1 to 1


@dataclass(frozen=True)
class Trait:
    """A property of a series that has a plain name.

    Attributes
    ----------
    name : str
        What it is called by itself.
    more, less : str
        How a cluster with more, or with less, of it is called.
    least : float
        The smallest difference between medians that is worth a word; where ``in_spreads``, counted in the
        usual standard deviation of a series.
    """

    name: str
    more: str
    less: str
    least: float
    in_spreads: bool = False


TRAITS: dict[str, Trait] = {
    "level": Trait("level", "a higher level", "a lower level", 0.2, in_spreads=True),
    "spread": Trait("size of swings", "larger swings", "smaller swings", 0.2, in_spreads=True),
    "trend": Trait(
        "rise from start to end", "more of a rise from start to end", "more of a fall from start to end", 0.15
    ),
    "season": Trait("regular rhythm", "a more regular rhythm", "a less regular rhythm", 0.1),
    "peak": Trait("place of the highest point", "a later highest point", "an earlier highest point", 0.08),
    "trough": Trait("place of the lowest point", "a later lowest point", "an earlier lowest point", 0.08),
    "spikiness": Trait("spikes", "sharper peaks", "flatter peaks", 0.25),
    "cycles": Trait("ups and downs", "more ups and downs", "fewer ups and downs", 0.5),
    "roughness": Trait("quick changes", "quicker changes from step to step", "a smoother course", 0.02),
    "zeros": Trait("share of zeros", "more zeros", "fewer zeros", 0.02),
    "length": Trait("length", "longer series", "shorter series", 1),
    "missing": Trait("share of missing values", "more missing values", "fewer missing values", 0.005),
}


def series_traits(series: Sequence[Floats]) -> dict[str, Floats]:
    """Measure what can be said of a series in plain words.

    Parameters
    ----------
    series : sequence of ndarray (n_channels, n_steps)

    Returns
    -------
    dict of str to ndarray of shape (n_series, n_channels)
        Keys as in `TRAITS`, and ``change``: the rise from start to end, in the data's units. Positions are
        shares of the length; ``spikiness`` and ``roughness`` count in the series' own standard deviations;
        ``cycles`` counts full swings up and down; ``season`` is the correlation of a series with itself one
        rhythm later, 0 to 1.
    """
    rows = [_traits_of(x) for x in series]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _traits_of(x: Floats) -> dict[str, Floats]:
    n_channels, n_steps = x.shape
    missing = np.isnan(x).mean(axis=1)
    zeros = (x == 0).mean(axis=1)
    x = bin_means(x, -(-n_steps // _TRAIT_STEPS))
    time = np.linspace(-1.0, 1.0, x.shape[1]) if x.shape[1] > 1 else np.zeros(1)
    with quiet_nan(), np.errstate(divide="ignore", invalid="ignore"):
        level = np.nanmean(x, axis=1)
        spread = np.nanstd(x, axis=1)
        centred = (x - level[:, None]) / np.where(spread > 0, spread, 1.0)[:, None]
        trend = np.nanmean(centred * time, axis=1) / max(np.sqrt(np.mean(time**2)), 1e-12)
        return {
            "level": level,
            "spread": spread,
            "trend": trend,
            "change": 2 * np.sqrt(3) * trend * spread,  # a straight line's rise, from its share of the spread
            "peak": np.where(np.isnan(x), -np.inf, x).argmax(axis=1) / max(x.shape[1] - 1, 1),
            "trough": np.where(np.isnan(x), np.inf, x).argmin(axis=1) / max(x.shape[1] - 1, 1),
            "spikiness": np.nanmax(np.abs(centred), axis=1),
            "roughness": np.nanmean(np.abs(np.diff(centred, axis=1)), axis=1) if x.shape[1] > 1 else 0 * level,
            "cycles": np.array([_cycles(line) for line in centred]),
            "season": np.array([_season(line) for line in centred]),
            "zeros": zeros,
            "length": np.full(n_channels, float(n_steps)),
            "missing": missing,
        }


def _cycles(line: Floats) -> float:
    """Count the swings of a line of mean 0 and standard deviation 1; small wiggles do not count."""
    sides = np.sign(line[np.abs(line) > 0.35])  # NaN is on no side
    return float((np.diff(sides) != 0).sum() / 2)


def _season(line: Floats) -> float:
    """Return how well a line of mean 0 repeats itself: its highest autocorrelation after the first fall below 0."""
    known = np.nan_to_num(line)
    n = len(known)
    power = np.abs(np.fft.rfft(known, 2 * n)) ** 2
    r = np.fft.irfft(power)[: n // 2 + 1] / max(float(known @ known), 1e-12)
    r = r * n / (n - np.arange(len(r)))  # a later copy overlaps with less of the line
    below = np.flatnonzero(r < 0)
    return float(np.clip(r[below[0] :].max(), 0, 1)) if len(below) else 0.0


def differences(traits: Traits, member: npt.NDArray[np.bool_]) -> dict[str, Floats]:
    """Compare the members of a cluster with all other series (Cliff's delta).

    Parameters
    ----------
    traits : mapping of str to ndarray of shape (n_series, n_channels)
    member : ndarray of bool, shape (n_series,)

    Returns
    -------
    dict of str to ndarray of shape (n_channels,)
        1 where every member has more than every other series, -1 where less, 0 where they do not differ or
        differ by less than is worth a word.
    """
    from scipy.stats import rankdata

    inside, outside = int(member.sum()), int((~member).sum())
    if not inside or not outside:
        return {name: np.zeros(traits[name].shape[1]) for name in TRAITS}
    with quiet_nan():
        usual_spread = np.nanmedian(traits["spread"], axis=0)
        found = {}
        for name, trait in TRAITS.items():
            values = traits[name]
            ranks = rankdata(np.nan_to_num(values), axis=0)
            delta = 2 * (ranks[member].mean(axis=0) - (inside + 1) / 2) / outside - 1
            gap = np.abs(np.nanmedian(values[member], axis=0) - np.nanmedian(values[~member], axis=0))
            least = trait.least * (usual_spread if trait.in_spreads else 1.0)
            found[name] = np.where(gap >= least, delta, 0.0)
    return found


def sentence(traits: Traits, member: npt.NDArray[np.bool_], channels: Sequence[str], *, is_noise: bool = False) -> str:
    """Say in plain words what a cluster is and what sets it apart.

    Parameters
    ----------
    traits : mapping of str to ndarray of shape (n_series, n_channels)
        From `series_traits`, of all series (or of a sample).
    member : ndarray of bool, shape (n_series,)
        Which of them form the cluster; at least one.
    channels : sequence of str, length n_channels
    is_noise : bool
        The series that belong to no cluster.

    Returns
    -------
    str
    """
    found = differences(traits, member)
    strength = np.abs(np.array([found[name] for name in TRAITS]))  # (n_traits, n_channels)
    channel = int(strength.max(axis=0).argmax())
    is_what = _what_it_is({name: values[:, channel] for name, values in traits.items()}, member)
    where = f"In {channels[channel]}: " if len(channels) > 1 else ""
    text = _capital(f"{where}{is_what}.")
    if is_noise:
        return f"These series fit none of the clusters. {text}"
    if member.all():
        return text
    return f"{text} {_what_sets_apart(found, channels)}"


def _what_it_is(traits: Traits, member: npt.NDArray[np.bool_]) -> str:
    """Describe the members by themselves, one channel: traits of shape (n_series,)."""
    inside = {name: values[member] for name, values in traits.items()}
    with quiet_nan():
        usual = {name: float(np.nanmedian(values)) for name, values in inside.items()}
    if not np.isfinite(usual["level"]):
        return "no observed values"
    if usual["spread"] == 0:
        return f"constant series at about {plain(usual['level'])}"
    words = [f"{_texture(usual)}series that {_direction(usual)}"]
    for name, what in (("peak", "highest"), ("trough", "lowest")):
        low, high = np.quantile(inside[name], (0.25, 0.75))
        if high - low <= 0.2:
            words.append(f"{what} {_position(usual[name])}")
    if _varies(traits["level"], traits["spread"]):
        low, high = np.nanquantile(inside["level"], (0.1, 0.9))
        words.append(f"at a level around {plain(usual['level'])} (mostly {plain(low)} to {plain(high)})")
    if usual["zeros"] >= 0.2:
        words.append(f"with {usual['zeros']:.0%} zeros".replace("%", " %"))
    if np.ptp(traits["length"]) > 0:
        words.append(f"usually {plural(round(usual['length']), 'step')} long")
    if usual["missing"] >= 0.005:
        words.append(f"with {100 * usual['missing']:.0f} % of the values missing")
    return ", ".join(words)


def _texture(usual: Mapping[str, float]) -> str:
    if usual["spikiness"] > 4.5:
        return "spiky "
    if usual["roughness"] < 0.2:
        return "smooth "
    return "jagged " if usual["roughness"] > 0.9 else ""


def _direction(usual: Mapping[str, float]) -> str:
    verb = "rise" if usual["trend"] > 0 else "fall"
    if abs(usual["trend"]) >= 0.5:
        return f"{verb} by about {plain(abs(usual['change']))} from start to end"
    swings = f"go up and down about {plural(round(usual['cycles']), 'time')}"
    if abs(usual["trend"]) >= 0.25:
        return f"{verb} a little and {swings}" if usual["cycles"] >= 1.5 else f"{verb} a little"
    return swings if usual["cycles"] >= 1.5 else "end about where they began"


def _position(share: float) -> str:
    if share < 0.05:
        return "at the start"
    if share > 0.95:
        return "at the end"
    return f"about {100 * share:.0f} % of the way"


def _varies(level: Floats, spread: Floats) -> bool:
    """Whether the series stand at levels of their own (and were not all brought to one beforehand)."""
    with quiet_nan():
        return bool(np.nanstd(level) > 0.25 * np.nanmedian(spread))


def tags(traits: Traits, owner: npt.NDArray[np.integer[Any]], labels: Sequence[int]) -> dict[int, str]:
    """Give each cluster two or three words for what sets it apart most; no two the same, and none where nothing does.

    Parameters
    ----------
    traits : mapping of str to ndarray of shape (n_series, n_channels)
    owner : ndarray of int, shape (n_series,)
        Cluster of each of these series.
    labels : sequence of int
        The clusters to name.
    """
    found = [
        (float(delta), name, label)
        for label in labels
        for name, deltas in differences(traits, owner == label).items()
        for delta in deltas
        if abs(delta) >= _NOTABLE
    ]
    given: dict[int, str] = {}
    for delta, name, label in sorted(found, key=lambda entry: -abs(entry[0])):
        words = TRAITS[name].more if delta > 0 else TRAITS[name].less
        words = words.removeprefix("a ").removeprefix("an ")
        words = words.removesuffix(" from step to step").removesuffix(" from start to end")
        if label not in given and words not in given.values():
            given[label] = words
    return given


def _what_sets_apart(found: Mapping[str, Floats], channels: Sequence[str]) -> str:
    ranked = sorted(
        ((float(delta), name, c) for name, deltas in found.items() for c, delta in enumerate(deltas)),
        key=lambda entry: -abs(entry[0]),
    )
    parts: list[str] = []
    named: set[str] = set()
    for delta, name, c in ranked:
        if abs(delta) < _NOTABLE or len(parts) == 3:
            break
        if name in named:
            continue
        named.add(name)
        words = TRAITS[name].more if delta > 0 else TRAITS[name].less
        place = f" in {channels[c]}" if len(channels) > 1 and name not in ("length", "missing") else ""
        parts.append(f"{'clearly ' if abs(delta) >= _CLEAR else ''}{words}{place}")
    if not parts:
        return "No single property sets it apart: it is the course as a whole that differs from the others."
    return f"Compared with the others: {_listed(parts)}."


def by_typicality(Z: Floats, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Order the series of a cluster from the most to the least typical.

    Parameters
    ----------
    Z : ndarray of shape (n_series, latent_size)
    rows : ndarray of int, shape (n_members,)

    Returns
    -------
    ndarray of int, shape (n_members,)
        ``rows`` by distance from the cluster's centre; series without a latent vector come last.
    """
    known = rows[finite_rows(Z[rows])]
    distance = np.linalg.norm(Z[known] - Z[known].mean(axis=0), axis=1) if len(known) else np.empty(0)
    return np.concatenate([known[np.argsort(distance, kind="stable")], np.setdiff1d(rows, known)])


def separation_word(score: float) -> str:
    """Return a word for a silhouette."""
    for limit, word in ((0.5, "Clear"), (0.25, "Moderate"), (0.1, "Weak")):
        if score >= limit:
            return word
    return "Hardly any"


def stability_word(agreement: float) -> str:
    """Return a word for the agreement (adjusted Rand index) of repeated groupings."""
    for limit, word in ((0.9, "High"), (0.75, "Good"), (0.5, "Fair")):
        if agreement >= limit:
            return word
    return "Low"


def plain(number: float) -> str:
    """Write a number for reading: three digits, thousands apart, a real minus."""
    if not np.isfinite(number):
        return "unknown"
    text = f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"
    if "e" in text:
        text = f"{number:.2g}"
    return text.replace("-", "\N{MINUS SIGN}") if text.strip("-0.") else "0"


def plural(number: int, noun: str) -> str:
    """Write ``1 step``, ``1,200 steps``, ``3 series``."""
    ending = "" if number == 1 or noun.endswith("s") else "s"
    return f"{number:,} {noun}{ending}"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
