"""What a forecaster forecasts, and from what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from vrae.estimators.vrae import VRAE
from vrae.exceptions import InvalidParameterError

__all__ = ["ForecastPlan", "check_template", "context_length", "past_length"]

# An item is new up to this many observed steps, or up to half of the context.
_NEW = 12
# Lowest number of steps of a context.
_MIN_CONTEXT = 16
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
    n_context: int  # steps before the origin to forecast from
    season: int  # steps; 1 is none
    clusterer: Any
    classical: bool
    seed: int
    model: VRAE  # template of the networks; each stage fits a clone

    @property
    def new_until(self) -> int:
        """Highest number of observed steps of a new item."""
        return min(_NEW, self.n_context // 2)

    @property
    def members(self) -> tuple[str, ...]:
        """Names of the forecasts that are combined."""
        seasonal = ("seasonal naive",) if self.season > 1 else ()
        classical = ("smoothing",) if self.classical else ()
        return ("level", *seasonal, *classical, "pooled", "group", "completion")


def context_length(season: int, horizon: int) -> int:
    """Return the number of steps before an origin to forecast from."""
    return max(season, 2 * horizon, _MIN_CONTEXT)


def past_length(season_length: int | Literal["auto"], horizon: int) -> int:
    """Return the number of last steps of the calendar that are used."""
    season = _MAX_SEASON if season_length == "auto" else season_length
    return 4 * max(season, 2 * horizon) + _TRAINING_HORIZONS * horizon


def check_template(model: VRAE) -> None:
    """Raise if an option of the model does not support forecasts."""
    for name, default in _FIXED_OPTIONS.items():
        if (found := getattr(model, name)) != default:
            raise InvalidParameterError(
                f"GroupForecaster does not support {name}={found!r} of its model: forecasts need every item on its "
                f"own scale, and every step in its place. Leave {name} at {default!r}."
            )
