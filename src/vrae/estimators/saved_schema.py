"""What a model directory holds: a description of ``config.json`` and of the arrays of each class.

`check_config` and `check_arrays` run before anything is built. What the parts of a file must have
in common, such as the number of channels, is checked here too. docs/models.md explains the keys.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from vrae.config import LARGEST, NetworkConfig
from vrae.data.calendar import Calendar
from vrae.data.scaling import SCALINGS
from vrae.data.table_options import TableOptions
from vrae.data.timing import Timing
from vrae.estimators.option_tables import saved_options
from vrae.exceptions import InvalidParameterError
from vrae.io.plain import ID_TYPE, times_from_json
from vrae.io.schema import (
    Check,
    choice,
    flag,
    list_of,
    mapping,
    maybe,
    plain,
    real,
    record,
    refuse,
    scalars,
    text,
    whole,
)

__all__ = ["check_config"]

Config = dict[str, Any]

_NAME = text(1000)
_TIME = text(40)
_NAMES = list_of(_NAME)
_COUNT = whole(0, 1 << 31)
_IDS: dict[str, Check] = {
    "ids": scalars((str, int, float, bool)),
    "ids_type": text(30, ID_TYPE, "a type of ids"),
}


_ID_TYPES: dict[str, set[type]] = {"U": {str}, "O": {str, int, float, bool}, "M": {str}, "b": {bool}, "f": {int, float}}

# -------------------------------------------------------------------- times


def _calendar(place: str, value: Any) -> None:
    """Describe a `Calendar`: the fields one by one, and that they give steps together."""
    known: dict[str, Check] = {
        "freq": maybe(_time_or_number),
        "zone": maybe(text(100)),
        "origin": maybe(_time_or_number),
        "aligned": flag,
        "absent": real(low=0, high=1),
        "ends": flag,
        "nearest": flag,
    }
    record({}, {f.name: known.get(f.name, plain(3)) for f in fields(Calendar)})(place, value)
    calendar = Calendar(**value)
    try:
        TableOptions(timezone=calendar.zone)
        if calendar.freq is not None:
            real(above=0)("freq", 1 if isinstance(calendar.freq, str) else calendar.freq)
            first = np.array([_time(calendar.origin)] if isinstance(calendar.freq, str) else [float(calendar.origin)])
            calendar.times(calendar.cells(first) + np.arange(3), first)
            calendar.describe()
    except Exception as error:  # of pandas, whatever its version raises
        raise InvalidParameterError(f"{place} describes no steps of time ({error}).") from None


def _number(place: str, value: Any) -> None:
    real(low=-(2.0**63), below=2.0**63)(place, value)


def _offsets(place: str, value: Any) -> None:
    """Describe a number for each series. Early models have one for all."""
    (list_of(real(), 1) if isinstance(value, (list, tuple)) else real())(place, value)


def _time_or_number(place: str, value: Any) -> None:
    (_TIME if isinstance(value, str) else _number)(place, value)


def _time(value: Any) -> np.datetime64:
    """Return a time that pandas can hold, or raise a ValueError."""
    time = np.datetime64(str(value), "us")
    if np.isnat(time) or not np.datetime64("0001-01-01") <= time < np.datetime64("9999-01-01"):
        raise ValueError(f"{value!r:.40} is no time of the years 1 to 9998")
    return time


def _timing(place: str, value: Any) -> None:
    """Describe a `Timing`."""
    views = choice("hour", "weekday", "month", "part")
    needed: dict[str, Check] = {"views": list_of(views, 1, 4), "start": _TIME, "end": _TIME}
    record(needed, {"zone": maybe(text(100))})(place, value)
    if len(set(value["views"])) < len(value["views"]):
        raise refuse(f"{place}.views", "a list of different entries", value["views"])
    try:
        TableOptions(timezone=value.get("zone"))
        in_order = _time(value["start"]) < _time(value["end"])
    except ValueError as error:
        raise InvalidParameterError(f"{place} has no start, end and zone of a calendar ({error}).") from None
    if not in_order:
        raise refuse(f"{place}.end", f"later than the start {value['start']}", value["end"])


def _reading(place: str, value: Any) -> None:
    """Describe `TableOptions`."""
    known: dict[str, Check] = {
        **dict.fromkeys(("id", "time", "encoding", "date_format"), maybe(_NAME)),
        **dict.fromkeys(("value", "static"), maybe(_NAMES)),
        **dict.fromkeys(("decimal", "thousands"), maybe(text(1))),
        **dict.fromkeys(("fill", "missing"), maybe(_number)),
        "id_parts": _NAMES,
        "layout": choice("auto", "long", "wide"),
        "freq": maybe(_time_or_number),
        "align": maybe(choice("calendar", "start")),
        "duplicates": choice("raise", "sum", "mean", "first", "last"),
        "timezone": maybe(text(100)),
        "calendar": maybe(_calendar),
    }
    names = {f.name for f in fields(TableOptions)} - {"label", "end", "written", "given"}
    needed = {name: known[name] for name in ("id_parts", "value", "static", "calendar")}  # that `from_dict` reads
    record(needed, {name: known.get(name, plain(3)) for name in names})(place, value)
    TableOptions.from_dict(value)


# -------------------------------------------------------------------- the model


def _network(place: str, value: Any) -> None:
    try:
        NetworkConfig.from_dict(value)
    except InvalidParameterError as error:
        raise InvalidParameterError(f"{place}: {error}") from None


def _scaler(place: str, value: Any) -> None:
    numbers = maybe(list_of(_number, 1))
    needed: dict[str, Check] = {"scaling": maybe(choice(*SCALINGS)), "level": numbers, "spread": numbers}
    record({**needed, "bridges_gaps": flag, "timing": maybe(_timing)})(place, value)
    if (value["level"] is None) != (value["spread"] is None):
        raise refuse(f"{place}.spread", "null if and only if the level is", value["spread"])
    if value["scaling"] == "channel" and value["level"] is None:
        raise refuse(f"{place}.level", "a list, for scaling by channel", None)
    for index, spread in enumerate(value["spread"] or ()):
        real(above=0)(f"{place}.spread[{index}]", spread)


_EPOCH = record({"epoch": whole(1), **dict.fromkeys(("loss", "reconstruction", "kl"), real())}, others=real())
_SIZE = record({"latent_size": whole(1, LARGEST["latent_size"]), "score": real()}, others=real())
_MODEL = record(
    {
        "options": record({}, saved_options("VRAE")),
        "network": _network,
        "scaler": _scaler,
        "history": list_of(_EPOCH, 1),
        "noise_variance": real(above=0, high=1e30),
        "n_steps": whole(1, 1 << 31),
        "active_units": _COUNT,
        "reading": maybe(_reading),
        "channels": maybe(_NAMES),
        "calendar": maybe(_calendar),
        **_IDS,
    },
    {"size_curve": list_of(_SIZE), "n_features_in": maybe(whole(1))},
)


def _check_ids(place: str, config: Config) -> None:
    """Check that ids are of their type; there are any number of them."""
    ids, kind = config["ids"], config["ids_type"]
    types = _ID_TYPES.get(kind.strip("<>|")[0], {int})
    if not set(map(type, ids)) <= types:
        wrong = next(name for name in ids if type(name) not in types)
        raise refuse(f"{place}ids", f"of the type {kind!r} that ids_type says", wrong)
    try:
        if kind not in ("O", "U"):
            np.array(list(map(_time, ids)) if types == {str} else ids, kind)
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidParameterError(f"{place}ids are not of the type {kind!r} that ids_type says ({error}).") from None


def _check_model(place: str, model: Config) -> None:
    """Check what the parts of a model have in common."""
    _check_ids(f"{place}.", model)
    network, scaler, channels = NetworkConfig.from_dict(model["network"]), model["scaler"], model["channels"]
    c, longest = network.n_channels, network.n_steps * network.patch_size
    if channels:
        _names_of(f"{place}.channels", channels, c)
    if scaler["timing"] is not None and not isinstance((model["calendar"] or {}).get("freq"), str):
        raise refuse(f"{place}.calendar", "one of dates, as the scaler has a timing", model["calendar"])
    if scaler["level"] is not None:
        for name in ("level", "spread"):
            list_of(real(), c, c)(f"{place}.scaler.{name}", scaler[name])
    n_bins = 0 if scaler["timing"] is None else Timing.from_dict(scaler["timing"]).n_bins
    if network.n_timing != n_bins * c:
        raise refuse(f"{place}.network.n_timing", f"{n_bins * c}, as the scaler says", network.n_timing)
    whole(0, network.latent_size)(f"{place}.active_units", model["active_units"])
    # Continued training may see longer series than those that the network was built for.
    whole(1, max(1_000_000, longest))(f"{place}.n_steps", model["n_steps"])


def _names_of(place: str, names: Any, count: int) -> None:
    """Describe a list of so many different names."""
    list_of(_NAME, count, count)(place, names)
    if len(set(names)) < len(names):
        raise refuse(place, "a list of different names", names)


# -------------------------------------------------------------------- the heads


def _score(place: str, value: Any) -> None:
    if not isinstance(value, bool):
        real()(place, value)


_SELECTION = list_of(record({"n_clusters": whole(1, 1 << 31), "score": real()}, others=_score))
_PORTRAITS = record(
    {
        "channels": list_of(_NAME, 1),
        "numbers": list_of(text(40), 1, 200),
        "counts": flag,
        "n_steps": whole(1, 1 << 40),
        "calendar": maybe(_calendar),
        "start": text(40),
    }
)
_PLAIN_TYPE = text(20, r"[<>|](M8\[\w+\]|[iuf][1248])", "a type of times")
_TABLE = record({"library": text(40), "id": maybe(_NAME), "time": maybe(_NAME)}, others=plain(3))
_STEPS = whole(1, 1 << 20)
_COVARIATE = record(
    {
        "name": _NAME,
        "kind": choice("flag", "ratio", "number"),
        **dict.fromkeys(("low", "least", "most", "gain"), real()),
        "scale": real(above=0),
        "used": flag,
    }
)

_FILE: dict[str, Check] = {"format_version": whole(1), "class": text(40)}
_ALWAYS_LATER: dict[str, Check] = {"vrae_version": text(100), "weights_sha256": text(64)}
# Keys that a class needs, and those that it may lack.
_CLASSES: dict[str, tuple[dict[str, Check], dict[str, Check]]] = {
    "VRAE": ({}, {}),
    "VRAEClusterer": (
        {
            "selection": _SELECTION,
            "n_edits": whole(0, 1_000_000),
            "names": mapping(text(10, r"\d+", "the number of a cluster"), text(1000)),
            "portraits": maybe(_PORTRAITS),
        },
        {},
    ),
    "VRAEAnomalyDetector": ({"offset": real()}, {}),
    "VRAENeighbors": (
        {"channels": list_of(_NAME, 1), "algorithm": choice("exact", "approximate")},
        {"starts_type": _PLAIN_TYPE},
    ),
    "GroupForecaster": (
        {
            "selection": _SELECTION,
            "levels": list_of(real(above=0, below=100), most=100),
            "nonnegative": flag,
            "season": _STEPS,
            "n_context": _STEPS,
            "variation": real(above=0, high=1e30),
            "next_times": maybe(list_of(_time_or_number)),
            "next_times_type": maybe(_PLAIN_TYPE),
        },
        {
            "last_time": maybe(list_of(_time_or_number)),
            "last_time_type": maybe(_PLAIN_TYPE),
            "table": maybe(_TABLE),
            "n_history": _STEPS,
            "members": list_of(text(100), 1, 100),
            "open_steps": maybe(record({"per_day": _STEPS, "closed": list_of(whole(0, 7 << 20))})),
            "date_notes": list_of(text(4000), most=10),
            "covariates": maybe(list_of(_COVARIATE, 1, 1000)),
            "static": mapping(_NAME, list_of(maybe(text(10_000)))),
            "categories": maybe(record({"column": _NAME, "names": list_of(text(10_000), 1)})),
        },
    ),
    "LongSeriesDetector": (
        {
            "window": whole(2, 1 << 31),
            "window_reason": text(1000),
            "offset": real(),
            "stream_offset": _offsets,
            "sizes": list_of(whole(2, 1 << 32), 1, 10),
            "channels": list_of(_NAME, 1),
            "calendar": maybe(_calendar),
            "reading": maybe(_reading),
            "tail_lengths": list_of(whole(1, 1 << 33), 1),
            **_IDS,
        },
        {"last_times": maybe(list_of(_time_or_number)), "last_times_type": maybe(_PLAIN_TYPE)},
    ),
}


def check_config(config: Config, *, others: bool = False) -> None:
    """Check the config of a model directory of the newest format.

    ``others`` allows keys that this version does not know, which older versions may have written.

    Raises
    ------
    InvalidParameterError
        It names the first wrong value, what was found and what is allowed.
    """
    kind = config["class"]
    needed, later = _CLASSES[kind]
    needed = {**_FILE, **needed}
    if kind == "LongSeriesDetector":
        needed["options"] = record(saved_options(kind))
    else:
        needed["model"] = _MODEL
        later = {**later, "digest": maybe(text(64)), **(_IDS if kind != "VRAE" else {})}
        if kind != "VRAE":
            options = saved_options(kind)
            shaping = {name: options[name] for name in ("horizon",) if name in options}  # arrays have its length
            needed["options"] = record(shaping, options, plain() if others else None)
    record(needed, {**_ALWAYS_LATER, **later}, plain() if others else None)("", config)
    _check_whole(kind, config)


def _check_whole(kind: str, config: Config) -> None:
    """Check what the parts of a config have in common."""
    if kind == "LongSeriesDetector":
        _check_ids("", config)
        _names_of("channels", config["channels"], len(config["channels"]))
        list_of(plain(), len(config["ids"]), len(config["ids"]))("tail_lengths", config["tail_lengths"])
        if isinstance(offsets := config["stream_offset"], (list, tuple)):
            list_of(plain(), len(config["ids"]), len(config["ids"]))("stream_offset", offsets)
        _check_times(config, "last_times", len(config["ids"]))
        allowed = [config["window"], 2 * config["window"]]
        for index, size in enumerate(config["sizes"]):
            if size not in allowed or config["sizes"].count(size) > 1:
                raise refuse(f"sizes[{index}]", f"{allowed[0]} or {allowed[1]}, and not twice", size)
        return
    _check_model("model", config["model"])
    if kind == "VRAENeighbors":
        _names_of("channels", config["channels"], config["model"]["network"]["n_channels"])
    if kind == "VRAEClusterer" and config["portraits"] is not None:
        _names_of("portraits.channels", config["portraits"]["channels"], config["model"]["network"]["n_channels"])
    if ("ids" in config) != ("ids_type" in config):
        raise InvalidParameterError("ids and ids_type are not there together.")
    if "ids" in config:
        _check_ids("", config)
    ids = config.get("ids", config["model"]["ids"])
    for index, tried in enumerate(config.get("selection") or ()):
        whole(1, max(len(ids), 1))(f"selection[{index}].n_clusters", tried["n_clusters"])
    if kind == "GroupForecaster":
        _check_forecaster(config, ids)


def _check_times(config: Config, name: str, count: int) -> None:
    """Check a list of so many times, and their type. Both are null without times."""
    times, type_ = config.get(name), config.get(f"{name}_type")
    if (times is None) != (type_ is None):
        raise refuse(f"{name}_type", f"null if and only if {name} is", type_)
    if times is not None:
        list_of(plain(), count, count)(name, times)
        try:
            found = np.asarray(times_from_json(name, config))
            if found.dtype.kind == "M" and np.isnat(found).any():
                raise ValueError("a time is missing")
        except (ValueError, TypeError, OverflowError) as error:
            raise InvalidParameterError(f"{name} are not of the type {type_!r} ({error}).") from None


def _check_forecaster(config: Config, ids: list[Any]) -> None:
    _check_times(config, "next_times", config["options"]["horizon"])
    _check_times(config, "last_time", 1)
    if (steps := config.get("open_steps")) is not None:
        week = 7 * steps["per_day"]
        list_of(whole(0, week - 1), most=week - 1)("open_steps.closed", steps["closed"])
    for name, column in config.get("static", {}).items():
        list_of(plain(), len(ids), len(ids))(f"static.{name}", column)
    names = [covariate["name"] for covariate in config.get("covariates") or ()]
    if len(set(names)) < len(names):
        raise refuse("covariates", "covariates of different names", names)
