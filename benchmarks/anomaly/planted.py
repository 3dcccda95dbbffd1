"""Long series with planted anomalies: synthetic and real bases, nine kinds of anomalies.

Each series has three anomalies. `all_series` names them all; a name, a base and a seed always give
the same series. Real bases are days, beats or recordings of UCR sets, one after another, in the
order of their files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

N_ANOMALIES = 3
WIDE = 0.1  # NAB's way: the labelled stretches together are this part of the series

Floats = np.ndarray
Base = Callable[[np.random.Generator, Path], tuple[Floats, int, Floats | None]]


@dataclass(frozen=True)
class Planted:
    """A series, its true anomalous steps, and the wide stretches around them."""

    name: str
    values: Floats  # (n_steps,)
    stretches: list[tuple[int, int]]  # first and last + 1

    @property
    def labels(self) -> Floats:
        return self._mark(self.stretches)

    @property
    def wide(self) -> Floats:
        """Steps of stretches that are widened to both sides, as in NAB."""
        half = int(WIDE * len(self.values) / len(self.stretches) / 2)
        middles = [(first + last) // 2 for first, last in self.stretches]
        return self._mark(
            [(min(m - half, a), max(m + half, b)) for m, (a, b) in zip(middles, self.stretches, strict=True)]
        )

    def _mark(self, stretches: list[tuple[int, int]]) -> Floats:
        marked = np.zeros(len(self.values), bool)
        for first, last in stretches:
            marked[max(0, first) : last] = True
        return marked


# ------------------------------------------------ bases: values, period, foreign pieces


def ar(rng: np.random.Generator, n: int, rho: float) -> Floats:
    noise = rng.normal(size=n) * np.sqrt(1 - rho**2)
    x = np.empty(n)
    x[0] = rng.normal()
    for t in range(1, n):
        x[t] = rho * x[t - 1] + noise[t]
    return x


def taxi(rng: np.random.Generator, _: Path) -> tuple[Floats, int, Floats | None]:
    """Half hours: a course of the day, other at weekends."""
    hour = np.arange(48) / 2
    week = np.exp(-(((hour - 8.5) / 1.5) ** 2)) + 1.3 * np.exp(-(((hour - 19) / 2.5) ** 2)) + 0.5 * (hour > 7)
    weekend = 0.9 * np.exp(-(((hour - 15) / 4) ** 2)) + 1.1 * np.exp(-(((hour - 1) / 1.5) ** 2))
    days = [(week if day % 7 < 5 else weekend) * (1 + 0.06 * rng.normal()) for day in range(105)]
    x = np.concatenate(days)
    return 15000 * (x + 0.05 * ar(rng, len(x), 0.8)), 48, weekend


def processor(rng: np.random.Generator, _: Path) -> tuple[Floats, int, Floats | None]:
    """A busy processor: a level, noise, short jobs at random."""
    x = 40 + 2 * rng.normal(size=4032)
    for start in rng.integers(0, 4000, 40):
        x[start : start + rng.integers(2, 12)] += rng.uniform(3, 10)
    return x, 60, None


def temperature(rng: np.random.Generator, _: Path) -> tuple[Floats, int, Floats | None]:
    """Slow and without a clear period."""
    n = 6000
    return 85 + 6 * ar(rng, n, 0.995) + 0.7 * rng.normal(size=n) + np.sin(np.arange(n) * 2 * np.pi / 288), 144, None


def tweets(rng: np.random.Generator, _: Path) -> tuple[Floats, int, Floats | None]:
    """Counts with a course of the day and bursts."""
    n, t = 6000, np.arange(6000)
    rate = np.exp(2.3 + 0.8 * np.sin(2 * np.pi * t / 288) + 0.3 * ar(rng, n, 0.9))
    for start in rng.integers(0, n - 50, 15):
        rate[start : start + 40] *= 1 + rng.pareto(2.5) * np.exp(-np.arange(40) / 8)
    return rng.poisson(rate).astype(float), 288, None


def clicks(rng: np.random.Generator, _: Path) -> tuple[Floats, int, Floats | None]:
    """Hours: prices with heavy tails and a weak course of the day."""
    n, t = 1650, np.arange(1650)
    return np.exp(0.2 * np.sin(2 * np.pi * t / 24) + 0.25 * ar(rng, n, 0.5) + 0.1 * rng.standard_t(3, n)), 24, None


def pump(rng: np.random.Generator, _: Path) -> tuple[Floats, int, Floats | None]:
    """On and off, for times that vary by a little."""
    parts = []
    while sum(map(len, parts)) < 5000:
        parts += [np.ones(rng.integers(18, 23)), np.zeros(rng.integers(28, 33))]
    x = np.concatenate(parts)[:5000]
    return 3 * np.convolve(x, np.ones(3) / 3, "same") + 0.1 * rng.normal(size=5000), 50, None


def pieces(name: str, wanted: int, other: int, most: int) -> Base:
    """Return a base of the series of one class, and pieces of another."""

    def base(rng: np.random.Generator, folder: Path) -> tuple[Floats, int, Floats | None]:
        rows = np.concatenate(
            [np.loadtxt(folder / "ucr" / name / f"{name}_{part}.tsv", delimiter="\t") for part in ("TRAIN", "TEST")]
        )
        labels, X = rows[:, 0].astype(int), rows[:, 1:]
        own, foreign = X[labels == wanted], X[labels == other]
        start = int(rng.integers(0, max(1, len(own) - most)))
        return own[start : start + most].ravel(), X.shape[1], foreign[int(rng.integers(len(foreign)))]

    return base


def traffic(rng: np.random.Generator, folder: Path) -> tuple[Floats, int, Floats | None]:
    """Days of DodgerLoopDay, Monday to Sunday in turn."""
    rows = np.concatenate(
        [
            np.loadtxt(folder / "ucr/DodgerLoopDay" / f"DodgerLoopDay_{part}.tsv", delimiter="\t")
            for part in ("TRAIN", "TEST")
        ]
    )
    labels = rows[:, 0].astype(int)
    order = [rng.permutation(np.flatnonzero(labels == day)) for day in np.unique(labels)]
    days = [rows[order[day % 7][day // 7], 1:] for day in range(21)]
    return np.concatenate(days), 288, rows[order[6][-1], 1:]


def pressure(rng: np.random.Generator, folder: Path) -> tuple[Floats, int, Floats | None]:
    """Blood pressure of the UCR anomaly archive, before its own anomaly."""
    read = np.genfromtxt(folder / "anomaly/135_UCR_Anomaly_InternalBleeding16_TEST.csv", delimiter=",", names=True)
    return read["value"][:4100], 184, None


BASES: dict[str, Base] = {
    "beats": pieces("ECG5000", 1, 2, 35),
    "breath": pieces("PigAirwayPressure", 1, 2, 3),
    "clicks": clicks,
    "eyes": pieces("EOGHorizontalSignal", 1, 2, 4),
    "house": pieces("HouseTwenty", 1, 2, 3),
    "italy": pieces("ItalyPowerDemand", 1, 2, 170),
    "pressure": pressure,
    "processor": processor,
    "pump": pump,
    "street": pieces("MelbournePedestrian", 1, 5, 170),
    "taxi": taxi,
    "temperature": temperature,
    "traffic": traffic,
    "tweets": tweets,
}

# ---------------------------------------------------------------- kinds of anomalies

Kind = Callable[[np.random.Generator, Floats, int, int, Floats | None], int]  # changes x; returns its length


def spread(x: Floats) -> float:
    low, high = np.nanquantile(x, (0.1, 0.9))
    return float(high - low) or float(np.nanstd(x)) or 1.0


def spike(rng: np.random.Generator, x: Floats, at: int, period: int, _: Floats | None) -> int:
    x[at : at + 3] += rng.choice([-1, 1]) * rng.uniform(0.9, 1.6) * spread(x)
    return 3


def shift(rng: np.random.Generator, x: Floats, at: int, period: int, _: Floats | None) -> int:
    length = int(rng.uniform(0.8, 2.5) * period)
    x[at : at + length] += rng.choice([-1, 1]) * rng.uniform(0.4, 0.8) * spread(x)
    return length


def no_peak(rng: np.random.Generator, x: Floats, at: int, period: int, _: Floats | None) -> int:
    """A period whose upper half is missing."""
    part = x[at : at + period]
    part[:] = np.minimum(part, np.nanquantile(part, 0.4))
    return period


def noisy(rng: np.random.Generator, x: Floats, at: int, period: int, _: Floats | None) -> int:
    length = int(rng.uniform(0.8, 2) * period)
    x[at : at + length] += 0.25 * spread(x) * rng.normal(size=len(x[at : at + length]))
    return length


def flat(rng: np.random.Generator, x: Floats, at: int, period: int, _: Floats | None) -> int:
    length = int(rng.uniform(0.6, 1.5) * period)
    x[at : at + length] = np.nan_to_num(x[at], nan=float(np.nanmedian(x)))
    return length


def drift(rng: np.random.Generator, x: Floats, at: int, period: int, _: Floats | None) -> int:
    length = int(rng.uniform(2, 4) * period)
    part = x[at : at + length]
    part += rng.choice([-1, 1]) * rng.uniform(0.7, 1.2) * spread(x) * np.linspace(0, 1, len(part))
    return length


def frequency(rng: np.random.Generator, x: Floats, at: int, period: int, _: Floats | None) -> int:
    """Time runs faster or slower for two periods."""
    length, factor = 2 * period, rng.choice([0.6, 1.5])
    known = x.copy()
    known[np.isnan(known)] = np.nanmedian(x)
    steps = np.minimum(at + factor * np.arange(len(x[at : at + length])), len(x) - 1)
    x[at : at + length] = np.interp(steps, np.arange(len(x)), known)
    return length


def holiday(rng: np.random.Generator, x: Floats, at: int, period: int, foreign: Floats | None) -> int:
    """A period of another class at the local level and size, or at half of the size."""
    part = x[at : at + period]
    if foreign is None or len(foreign) != period:
        part[:] = np.nanmin(part) + 0.5 * (part - np.nanmin(part))
        return period
    known = (foreign - np.nanmean(foreign)) / (np.nanstd(foreign) or 1.0)
    part[:] = (known * np.nanstd(part) + np.nanmean(part))[: len(part)]
    return period


def reverse(rng: np.random.Generator, x: Floats, at: int, period: int, _: Floats | None) -> int:
    x[at : at + period] = x[at : at + period][::-1].copy()
    return period


KINDS: dict[str, Kind] = {
    kind.__name__: kind for kind in (spike, shift, no_peak, noisy, flat, drift, frequency, holiday, reverse)
}


def all_series(folder: Path, variants: int = 3) -> Iterator[Planted]:
    """Yield every series: each base with its own triples of kinds."""
    kinds = list(KINDS)
    for position, base in enumerate(BASES):
        for variant in range(variants):
            rng = np.random.default_rng([position, variant])
            x, period, foreign = BASES[base](rng, folder)
            x = x.astype(float).copy()
            period = min(period, len(x) // 25)  # a recording of one long piece has no period
            chosen = [kinds[(3 * variant + position + i) % len(kinds)] for i in range(N_ANOMALIES)]
            parts = np.linspace(0.12, 0.98, N_ANOMALIES + 1) * len(x)  # one anomaly in each part
            stretches = []
            for i, kind in enumerate(chosen):
                last = int(parts[i + 1]) - 4 * period
                at = int(rng.integers(int(parts[i]), max(int(parts[i]) + 1, last)))
                if kind in ("holiday", "no_peak") and len(x) % period == 0:
                    at -= at % period  # a whole day
                length = KINDS[kind](rng, x, at, period, foreign)
                stretches.append((at, at + length))
            yield Planted(f"{base}: {', '.join(chosen)}", x, stretches)


def several_channels(seed: int, n_channels: int) -> tuple[Floats, Planted]:
    """Return channels (n_channels, n_steps), and three anomalies of one channel each.

    One kind more: a channel that is late by half of its period.
    """
    n, period, rng = 4000, 50, np.random.default_rng([99, seed])
    t, common = np.arange(n), ar(rng, n, 0.9)
    X = np.stack([channel(rng, t, period) + 0.5 * common for _ in range(n_channels)])
    X = X * rng.uniform(1, 100, (n_channels, 1)) + rng.uniform(0, 1000, (n_channels, 1))
    kinds, stretches = [*KINDS, "late"], []
    for i in range(N_ANOMALIES):
        kind = kinds[(3 * seed + i) % len(kinds)]
        at, x, length = 500 + 1100 * i + int(rng.integers(0, 600)), X[int(rng.integers(n_channels))], 2 * period
        if kind == "late":
            x[at : at + length] = x[at - 8 * period + period // 2 :][:length]
        else:
            length = KINDS[kind](rng, x, at, period, None)
        stretches.append((at, at + length))
    return X, Planted(f"{n_channels} channels", X[0], stretches)


def channel(rng: np.random.Generator, t: Floats, period: int) -> Floats:
    first, second = (np.sin(2 * np.pi * k * t / period + rng.uniform(0, 6)) for k in (1, 2))
    return first * (1 + 0.2 * ar(rng, len(t), 0.95)) + 0.5 * second + 0.2 * rng.normal(size=len(t))
