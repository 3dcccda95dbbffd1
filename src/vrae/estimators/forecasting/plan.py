"""What a forecaster forecasts, and from what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self

from sklearn.frozen import FrozenEstimator

from vrae.estimators.forecasting.categories import Categories
from vrae.estimators.vrae import VRAE
from vrae.exceptions import InvalidParameterError

__all__ = ["ForecastPlan", "check_not_frozen", "check_template", "new_until", "past_length"]

# An item is new up to this many observed steps, or up to half of the context.
_NEW = 12
# Lowest number of steps of a context.
_MIN_CONTEXT = 16
# A member for single items may look back this many seasons.
_SEASONS = 3
# A longer season has too many steps for a distribution of courses over all of them.
_MAX_COURSE = 120
# Forecasts with a season that is learned from all items, with and without statsforecast.
_BY_COURSE = ("seasonal smoothing", "seasonal level")
# Training windows come from the last four contexts and this many horizons.
_TRAINING_HORIZONS = 8
# Upper bound of the seasons that season_length="auto" finds.
_MAX_SEASON = 366
# Options of the model that forecasts need at their defaults.
_FIXED_OPTIONS = {"max_lag": 0, "level_weight": 0, "scaling": "series"}


@dataclass(frozen=True)
class ForecastPlan:
    """The settings of all stages of a forecaster."""

    horizon: int
    n_context: int  # steps before the origin that the network sees
    n_history: int  # steps before the origin that other members may use, at least n_context
    season: int  # steps; 1 is none
    clusterer: Any
    seed: int
    model: VRAE  # template of the networks; each stage fits a clone
    members: tuple[str, ...]  # names of the forecasts that are combined
    categories: Categories | None = None  # whose items have similar seasons

    @classmethod
    def choose(cls, horizon: int, season: int, clusterer: Any, classical: bool, seed: int, model: VRAE) -> Self:
        """Return the plan for a horizon and a season."""
        n_context = max(season, 2 * horizon, _MIN_CONTEXT)
        n_history = max(_SEASONS * season, n_context)
        return cls(horizon, n_context, n_history, season, clusterer, seed, model, _members(season, classical))

    def saved(self) -> dict[str, Any]:
        """Return what is saved of a plan, in addition to the options of the forecaster."""
        own = {"season": self.season, "n_context": self.n_context, "n_history": self.n_history}
        categories = self.categories and {"column": self.categories.column, "names": list(self.categories.names)}
        return {**own, "members": list(self.members), "categories": categories}

    @classmethod
    def restore(cls, config: dict[str, Any], horizon: int, clusterer: Any, classical: bool, model: VRAE) -> Self:
        """Return the plan that was `saved` in ``config``."""
        season, n_context = config["season"], config["n_context"]
        n_history = config.get("n_history", n_context)  # models before version 7 lack it, and the members
        early = tuple(name for name in _members(season, classical) if name not in _BY_COURSE)
        members = tuple(config.get("members", early))
        if unknown := set(members) - {*_members(season=2, classical=True), *_BY_COURSE}:
            raise ValueError(f"members names forecasts that do not exist: {sorted(unknown)}")
        found = config.get("categories")
        categories = Categories(found["column"], tuple(found["names"])) if found else None
        return cls(horizon, n_context, n_history, season, clusterer, 0, model, members, categories)

    @property
    def seasonal_member(self) -> str | None:
        """Name of the forecast with a season that is learned from all items."""
        return next((name for name in _BY_COURSE if name in self.members), None)

    @property
    def new_until(self) -> int:
        """Highest number of observed steps of a new item."""
        return new_until(self.n_context)


def new_until(n_context: int) -> int:
    """Return the highest number of observed steps of a new item."""
    return min(_NEW, n_context // 2)


def _members(season: int, classical: bool) -> tuple[str, ...]:
    """Return the names of the forecasts that are combined."""
    by_season = ("seasonal naive",) if season > 1 else ()
    by_statsforecast = ("smoothing",) if classical else ()
    by_course = (_BY_COURSE[0 if classical else 1],) if 1 < season <= _MAX_COURSE else ()
    return ("level", *by_season, *by_statsforecast, *by_course, "pooled", "group", "completion")


def past_length(season_length: int | Literal["auto"], horizon: int) -> int:
    """Return the number of last steps of the calendar that are used."""
    season = _MAX_SEASON if season_length == "auto" else season_length
    return 4 * max(season, 2 * horizon) + _TRAINING_HORIZONS * horizon


def check_not_frozen(model: Any) -> None:
    """Raise if a model is fitted and frozen, since forecasts need networks of their own."""
    if isinstance(model, FrozenEstimator):
        raise InvalidParameterError(
            "GroupForecaster cannot use a frozen model: it trains several networks, each on windows of the past. "
            "Pass model=VRAE(...) with the same options."
        )


def check_template(model: VRAE) -> None:
    """Raise if an option of the model does not support forecasts."""
    for name, default in _FIXED_OPTIONS.items():
        if (found := getattr(model, name)) != default:
            raise InvalidParameterError(
                f"GroupForecaster does not support {name}={found!r} of its model: forecasts need every item on its "
                f"own scale, and every step in its place. Leave {name} at {default!r}."
            )
