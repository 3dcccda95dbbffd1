"""Effects of covariates: divided out of the past, and multiplied into forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from vrae.estimators.forecasting.covariate_model import EffectModel, choose_covariates
from vrae.exceptions import DataWarning, InvalidDataError, name_some, warn
from vrae.io.folder import Arrays, shaped

__all__ = ["Covariate", "CovariateEffects", "covariate_blocks"]

Floats = npt.NDArray[np.float64]
Kind = Literal["flag", "ratio", "number"]

# Steps of a block in which the level of an item counts as constant: about this many at least.
_BLOCK = 12
# A step of a number that is shown: its typical deviation, with as many digits.
_DIGITS = 2
# Effects of these fractions of the items are in the table.
_RANGE = (0.1, 0.9)


_INSTEAD = {
    "values of the past": "They count as the usual values of their series.",
    "future values": "They count as what the last steps of their series had on average.",
}


@dataclass(frozen=True)
class Covariate:
    """One covariate, and how its values enter the model.

    A flag has two values, mostly 0 and 1, and enters as these. A ratio is always above 0 and enters
    as its logarithm, so that effects belong to changes in percent. Any other number enters as it
    is, divided by ``scale``.
    """

    name: str
    kind: Kind
    low: float  # the lower of two values, else 0
    scale: float
    least: float  # range of what was seen, as deviation from the usual value of a series
    most: float
    used: bool
    gain: float  # fraction of the error on left-out steps that is avoided

    @classmethod
    def describe(cls, name: str, values: Floats) -> Self:
        """Return how the values (n, n_steps) of a covariate enter the model."""
        distinct = np.unique(values[~np.isnan(values)])
        if len(distinct) == 2 and distinct[0] <= 0:  # of two prices, the ratio is what is known elsewhere
            return cls(name, "flag", float(distinct[0]), float(np.ptp(distinct)), 0.0, 0.0, False, 0.0)
        if len(distinct) and distinct[0] > 0:
            return cls(name, "ratio", 0.0, 1.0, 0.0, 0.0, False, 0.0)
        usual = _usual(values)
        away = np.abs(values - usual[:, None])
        away = away[~np.isnan(away) & (away > 0)]
        scale = float(f"{np.median(away):.{_DIGITS}g}") if len(away) else 1.0
        return cls(name, "number", 0.0, scale if scale > 0 else 1.0, 0.0, 0.0, False, 0.0)

    def transform(self, values: Floats) -> Floats:
        """Return what enters the model; NaN if a value has no logarithm."""
        if self.kind == "ratio":
            return np.asarray(np.log(np.where(values > 0, values, np.nan)))
        return (values - self.low) / self.scale

    def usual(self, values: Floats) -> Floats:
        """Return the usual value of each item, (n,), NaN if unknown. A switch is usually off."""
        return np.zeros(len(values)) if self.kind == "flag" else _usual(values)

    @property
    def change(self) -> tuple[str, float]:
        """A change that shows the effect, in words and in units of the model."""
        if self.kind == "ratio":
            return "+10 %", float(np.log(1.1))
        if self.kind == "flag":
            return f"{self.low:g} -> {self.low + self.scale:g}", 1.0
        return f"+{self.scale:g}", 1.0


@dataclass(frozen=True)
class CovariateEffects:
    """What covariates do to each item, and what is known of their future."""

    covariates: tuple[Covariate, ...]
    ids: npt.NDArray[Any]  # (n,)
    common: Floats  # (p,), effects on the log scale; 0 of a covariate that is not used
    own: Floats  # (n, p)
    usual: Floats  # (n, p), usual values of each item in units of the model
    recent: Floats  # (n, p), mean effects of the last steps, on the log scale
    future: Floats  # (n, horizon, p), values of the future that the table of `fit` had, else NaN

    @classmethod
    def fit(
        cls, names: Sequence[str], values: Floats, raw: Floats, future: Floats, ids: npt.NDArray[Any], block: int
    ) -> Self:
        """Learn effects, and leave out covariates that lower no error.

        Parameters
        ----------
        names : sequence of str, length p
        values : ndarray, shape (n, n_steps)
            NaN where unknown.
        raw : ndarray, shape (n, n_steps, p)
            Covariates of the same steps.
        future : ndarray, shape (n, horizon, p)
            Those of the steps to forecast.
        ids : ndarray, shape (n,)
        block : int
            Steps of a block in which levels count as constant.
        """
        if (negative := (values < 0).any(axis=1)).any():
            raise InvalidDataError(
                f"Covariates need values of at least 0, since effects are percentages. Found values below 0 in "
                f"{negative.sum():,} of {len(ids):,} series: ids {name_some(ids[negative])}. Leave the covariates out, "
                f"or forecast other values."
            )
        described = [Covariate.describe(name, raw[:, :, k]) for k, name in enumerate(names)]
        x = np.stack([each.transform(raw[:, :, k]) for k, each in enumerate(described)], axis=2)
        _say_unknown(names, x, ~np.isnan(values), "values of the past")
        usual = np.stack([each.usual(x[:, :, k]) for k, each in enumerate(described)], axis=1)
        away = np.nan_to_num(x - usual[:, None])
        moving = [k for k in range(len(names)) if np.ptp(away[:, :, k]) > 0]
        kept, gain = choose_covariates(values, away[:, :, moving], block)
        kept = [moving[k] for k in kept]
        gains = dict(zip(moving, gain.tolist(), strict=True))
        _say_left_out([name for k, name in enumerate(names) if k not in moving], "constant in every series")
        useless = [names[k] for k in moving if k not in kept]
        _say_left_out(useless, "forecasts of steps that were not learned from are no better")
        model = EffectModel.fit(values, away[:, :, kept], block)
        common, own = np.zeros(len(names)), np.zeros((len(values), len(names)))
        common[kept], own[:, kept] = model.common, model.own
        seen = [(float(away[:, :, k].min()), float(away[:, :, k].max())) for k in range(len(names))]
        final = tuple(
            replace(c, least=seen[k][0], most=seen[k][1], used=k in kept, gain=gains.get(k, 0.0))
            for k, c in enumerate(described)
        )
        found = cls(final, ids, common, own, usual, np.zeros(usual.shape), future)
        return replace(found, recent=_mean_effects(found._effects(raw[:, -2 * block :])))

    @property
    def names(self) -> list[str]:
        """Names of all covariates."""
        return [covariate.name for covariate in self.covariates]

    # ---------------------------------------------------------------- past and future

    def of_past(self, raw: Floats) -> Floats:
        """Return the factors (n, n_steps) by which covariates changed the values of `fit`."""
        return np.exp(np.nan_to_num(self._effects(raw)).sum(axis=2))

    def of_items(self, ids: npt.NDArray[Any], raw: Floats, observed: npt.NDArray[np.bool_]) -> tuple[Floats, Self]:
        """Return the factors of the past (n, n_steps) of any items, and their effects.

        Known items keep their own effects and usual values; others have those of all.
        """
        known = {str(series): row for row, series in enumerate(self.ids.tolist())}
        rows = np.array([known.get(str(series), -1) for series in ids.tolist()], np.int64)
        x = np.stack([each.transform(raw[:, :, k]) for k, each in enumerate(self.covariates)], axis=2)
        used = [k for k, each in enumerate(self.covariates) if each.used]
        _say_unknown([self.names[k] for k in used], x[:, :, used], observed, "values of the past")
        usual = np.stack([each.usual(x[:, :, k]) for k, each in enumerate(self.covariates)], axis=1)
        old = (rows >= 0)[:, None]
        found = replace(
            self,
            ids=ids,
            own=np.where(old, self.own[rows], self.common),
            usual=np.where(old, self.usual[rows], usual),
            future=np.full((len(ids), *self.future.shape[1:]), np.nan),
        )
        recent = _mean_effects(found._effects(raw))
        return found.of_past(raw), replace(found, recent=np.where(old, self.recent[rows], recent))

    def of_future(self, raw: Floats, source: str | None = None) -> Floats:
        """Return the factors (n, horizon) of steps to forecast.

        Unknown values have the mean effect of the last steps. ``source`` is where the user has
        written the others, None if nowhere.
        """
        x = np.stack([each.transform(raw[:, :, k]) for k, each in enumerate(self.covariates)], axis=2)
        used = [k for k, each in enumerate(self.covariates) if each.used]
        everything = np.ones(x.shape[:2], bool)
        _say_unknown([self.names[k] for k in used], x[:, :, used], everything, "future values", raw[:, :, used], source)
        effects = self._effects(raw, say=True)
        return np.exp(np.where(np.isnan(effects), self.recent[:, None], effects).sum(axis=2))

    def _effects(self, raw: Floats, say: bool = False) -> Floats:
        """Return effects (n, n_steps, p) on the log scale, relative to usual values, or NaN."""
        effects = np.zeros(raw.shape)
        for k, covariate in enumerate(self.covariates):
            if not covariate.used:
                continue
            away = covariate.transform(raw[:, :, k]) - self.usual[:, k, None]
            inside = np.clip(away, covariate.least, covariate.most)
            if say and (beyond := np.abs(inside - away) > 1e-6 * (1 + np.abs(away))).any():
                warn(
                    f"{beyond.sum():,} future values of {covariate.name!r} are further from the usual value of their "
                    f"series than any that was seen. They count as the furthest that was.",
                    DataWarning,
                )
            effects[:, :, k] = self.own[:, k, None] * inside
        return effects

    # ---------------------------------------------------------------- words

    def table(self) -> dict[str, npt.NDArray[Any]]:
        """Return what a buyer can read: "price, +10 %, -14 %"; a row per covariate.

        Columns: ``covariate``; ``change``; ``effect`` of this change on the values, as text;
        ``effect_percent``, the same as a number, and between what it is for 80 % of the items,
        ``low_percent`` and ``high_percent``; ``used``; and ``error_avoided``, the percentage of the
        error on left-out steps that the covariate avoids.
        """
        changes = [covariate.change for covariate in self.covariates]
        units = np.array([size for _, size in changes])
        percent = 100 * np.expm1(self.common * units)
        low, high = 100 * np.expm1(np.sort(np.quantile(self.own, _RANGE, axis=0) * units, axis=0))
        return {
            "covariate": np.array(self.names, object),
            "change": np.array([text for text, _ in changes], object),
            "effect": np.array(
                [f"{p:+.0f} %" if c.used else "none" for p, c in zip(percent, self.covariates, strict=True)], object
            ),
            "effect_percent": percent.round(2),
            "low_percent": low.round(2),
            "high_percent": high.round(2),
            "used": np.array([c.used for c in self.covariates]),
            "error_avoided": np.array([round(100 * c.gain, 2) if c.used else 0.0 for c in self.covariates]),
        }

    # ---------------------------------------------------------------- model directory

    def state(self) -> tuple[list[dict[str, Any]], Arrays]:
        """Return JSON values and arrays to save."""
        known = ~np.isnan(self.future)
        usual = {name: np.nan_to_num(getattr(self, name)) for name in ("usual", "recent")}
        return [vars(covariate) for covariate in self.covariates], {
            "common": self.common,
            "own": self.own,
            **usual,
            "no_usual": np.isnan(self.usual).astype(np.uint8),
            "future": np.nan_to_num(self.future),
            "future_known": known.astype(np.uint8),
        }

    @classmethod
    def from_state(cls, config: list[dict[str, Any]], arrays: Arrays, ids: npt.NDArray[Any], horizon: int) -> Self:
        """Rebuild effects from what `state` returned."""
        n, p = len(ids), len(config)
        absent = shaped("no_usual", arrays, (n, p)) == 1
        usual, recent = (np.where(absent, np.nan, shaped(name, arrays, (n, p))) for name in ("usual", "recent"))
        shape = (n, horizon, p)
        future = np.where(shaped("future_known", arrays, shape) == 1, shaped("future", arrays, shape), np.nan)
        covariates = tuple(Covariate(**each) for each in config)
        return cls(
            covariates, ids, shaped("common", arrays, (p,)), shaped("own", arrays, (n, p)), usual, recent, future
        )


def covariate_blocks(season: int) -> int:
    """Return the steps in which the level of an item counts as constant: whole short seasons."""
    if season > 2 * _BLOCK:
        return _BLOCK + 1  # a quarter of the weeks of a year
    return season * -(-_BLOCK // season)


def _usual(values: Floats) -> Floats:
    """Return the median of the known values of each row, (n,); NaN without any."""
    known = ~np.isnan(values).all(axis=1)
    usual = np.full(len(values), np.nan)
    if known.any():
        usual[known] = np.nanmedian(values[known], axis=1)
    return usual


def _mean_effects(effects: Floats) -> Floats:
    """Return the mean over steps of effects (n, n_steps, p) on the log scale; unknown: none."""
    return np.asarray(np.log(np.exp(np.nan_to_num(effects)).mean(axis=1)))


def _say_unknown(
    names: Sequence[str],
    x: Floats,
    needed: npt.NDArray[np.bool_],
    what: str,
    raw: Floats | None = None,
    source: str | None = None,
) -> None:
    """Warn of covariates that are not known where they are needed.

    ``raw`` are the values as they were given, and ``source`` is where.
    """
    unknown = {name: int((np.isnan(x[:, :, k]) & needed).sum()) for k, name in enumerate(names)}
    found = [f"{count:,} of {name!r}" for name, count in unknown.items() if count]
    if found:
        is_refused = raw is not None and bool((np.isnan(x) & ~np.isnan(raw)).any())
        refused = ", or are 0 or less where all others are above 0" if is_refused else ""
        way = f" Add or correct them in {source}." if source else " Pass them with future=."
        warn(
            f"Of {needed.sum():,} {what} of covariates, these are not known{refused}: {', '.join(found)}. "
            f"{_INSTEAD[what]}{way if what == 'future values' else ''}",
            DataWarning,
        )


def _say_left_out(names: list[str], why: str) -> None:
    if names:
        warn(f"Left out of the covariates: {name_some(names)} ({why}). See covariate_effects_.", DataWarning)
