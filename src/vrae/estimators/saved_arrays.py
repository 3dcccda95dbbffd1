"""What the arrays of a model directory may be: types, shapes, and which values are possible.

Headers are compared with the config before an array is read. Weights of networks are left out:
`vrae.nn.model.load_network` knows their shapes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from vrae.io.array_shapes import check_arrays as check_shapes
from vrae.io.folder import Arrays, shape_of

__all__ = ["check_arrays"]

# n series of the model (h of the head) with c channels and d latent dimensions; see array_shapes.
_MODEL = {"model.embedding": "f4 n d", "model.typical_level": "f8 c", "model.typical_spread": "f8 c"}
_HEAD = {"embedding?": "f4 h d"}
_SPACE = {"space.center": "f8 d", "space.axes": "f8 d s"}
_MIXTURE = {"partition.weights": "f8 k", "partition.means": "f8 k e", "partition.covariance": "f8 e e"}
_VOTES = {"partition.vectors": "f8 m s", "partition.labels": "i8 m"}
# The edits of clusters: merged, split and moved series.
_EDITS = (
    {"place": "i8 _"},
    {"cluster": "i8 1", "parts.weights": "f8 k", "parts.means": "f8 k s", "parts.covariance": "f8 s s"},
    {"vectors": "f8 m s", "to": "i8 m"},
)
_BELONGING = {
    "belonging.weights": "f4 b",
    "belonging.references": "f4 r 256",
    "belonging.scales": "f8 r",
    "belonging.limits": "f8 2",
    "belonging.shortest": "f8 1",
}
_REFITS = {"refits.rows": "i8 f q", "refits.vectors": "f8 f q t"}
_PORTRAITS = {"portraits.rows": "i8 p", "portraits.numbers": "f4 u p c", "portraits.shapes": "f4 p c 40"}
_RECURRING = {"portraits.month?": "f4 p c 12", "portraits.weekday?": "f4 p c 7", "portraits.hour?": "f4 p c 24"}
# Of a portrait, what counts steps.
_COUNTS = ("length", "known", "active", "half", "first", "last", "begin", "finish")
# Of a portrait, what is known of each series in at least one channel.
_ALWAYS = ("level", "zeros", "length")
_REFERENCE = {
    "weights": "f4 p",
    "reference.center": "f4 p",
    "reference.axes": "f4 p a",
    "reference.whitening": "f4 a a",
    "reference.outside": "f8",
    "reference.vectors": "f4 m a",
    "reference.rest": "f4 m",
    "reference.around": "f4 2 m",
    "reference.scores": "f8 m",
    "reference.level": "f8 3",
    "reference.spread": "f8 3",
    "reference.n_neighbors": "i8",
    "reference.local": "f8",
}
_SERIES = {
    "series.values": "f4|f8 t c",
    "series.observed": "u1 o",
    "series.offsets": "i8 i",
    "series.starts?": "i8|i4|f8|f4|u8|u4 h",
    "patterns?": "f4 h y",
}
# g groups, l steps of the horizon, x steps of the context, v steps of
# a season, j members. Others are checked by the
# forecaster itself.
_FORECAST = {
    "items.level": "f8 h",
    "items.spread": "f8 h",
    "items.origin": "i8 h",
    "items.context": "f8 h x",
    "items.context_known": "u1 h x",
    "items.earlier?": "f8 h _",
    "items.earlier_known?": "u1 h _",
    "items.level_decay?": "f8 7",
    "items.category?": "i8 h",
    "items.typical_spread?": "f8 1",
    "empty": "u1 h",
    "nonnegative?": "u1 h",
    "groups.proportions": "f8 g",
    "groups.center": "f8 g d",
    "groups.variance": "f8 g d",
    "groups.curves": "f8 g x",
    "groups.curves_known": "u1 g x",
    "group_model.mean": "f8 z",
    "group_model.deviation": "f8 z",
    "group_model.coefficients": "f8 l z",
    "group_model.group_coefficients": "f8 g l z",
    "group_model.season": "i8 1",
    "pooled.mean": "f8 w",
    "pooled.deviation": "f8 w",
    "pooled.coefficients": "f8 l w",
    "pooled.group_coefficients": "f8 _ l w",
    "pooled.season": "i8 1",
}
_COMBINATION = {
    "combination.season_width": "f8 2 l",
    "combination.weights": "f8 5 g j",
    "combination.age_factor": "f8 13 2",
    "combination.quantiles": "f8 g l 199",
}
_EARLY_COMBINATION = {  # of early models
    "combination.weights": "f8 2 g j",
    "combination.age_factor": "f8 7",
    "combination.quantiles": "f8 g l 199",
}
_LONG = {
    "level": "f8 h c",
    "spread": "f8 h c",
    "tail_values": "f4 t c",
    "tail_missing": "b1 t c",
}
# Of the windows of each size: o columns in v views, m references.
_WINDOWS = {
    "mean": "f4 c",
    "deviation": "f4 c",
    "center": "f4 o",
    "weights": "f4 v o",
    "places": "i8 _",
    "level": "f8 v",
    "spread": "f8 v",
}


def check_arrays(config: dict[str, Any], arrays: Arrays) -> None:
    """Check the arrays of a model directory, whose config was checked.

    Raises
    ------
    ValueError
        An array is missing, has another type or shape, or has impossible values.
    """
    kind = config["class"]
    if kind == "LongSeriesDetector":
        _check_long(config, arrays)
        return
    model = config["model"]
    sizes = {"n": len(model["ids"]), "d": model["network"]["latent_size"], "c": model["network"]["n_channels"]}
    sizes["h"] = len(config.get("ids", model["ids"]))
    if ("ids" in config) != ("embedding" in arrays):
        raise ValueError("the config has ids and the arrays have no embedding of these series, or the reverse")
    known = check_shapes(arrays, {**_MODEL, **(_HEAD if kind != "VRAE" else {})}, sizes)
    for name in ("model.embedding", "embedding"):
        if name in arrays:
            _check_vectors(name, arrays)
    if (arrays["model.typical_spread"] <= 0).any():
        raise ValueError("model.typical_spread should be above 0")
    _check_pairs(arrays, "model.network.statistics.pairs", sizes["c"])
    _check_kernels(arrays, "model.network.statistics.kernels")
    if kind == "VRAEClusterer":
        _check_clusters(config, arrays, known)
    elif kind == "VRAEAnomalyDetector":
        _check_scores(arrays, known)
    elif kind == "VRAENeighbors":
        _check_series(config, arrays, known)
    elif kind == "GroupForecaster":
        _check_forecast(config, arrays, known)


def _check_vectors(name: str, arrays: Arrays) -> None:
    """Check that each row of an embedding is known or not, and not that none is."""
    known = np.isfinite(arrays[name])
    if not known.any() or (known.any(axis=1) != known.all(axis=1)).any() or np.isinf(arrays[name]).any():
        raise ValueError(f"{name} should have finite rows, and rows of NaN for series without any value")


def _check_pairs(arrays: Arrays, name: str, n_channels: int) -> None:
    """Check pairs of channels, if there are any."""
    if name in arrays:
        check_shapes(arrays, {name: "i8 _ 2"}, {})
        pairs = arrays[name]
        if pairs.min(initial=0) < 0 or pairs.max(initial=0) >= n_channels:
            raise ValueError(f"{name} should be numbers of channels, 0 to {n_channels - 1}")


def _check_kernels(arrays: Arrays, name: str) -> None:
    """Check kernels (..., channel, tap), if there are any: see `vrae.nn.ppv.proportions`."""
    if name not in arrays:
        return
    if shape_of(arrays, name)[4:] != (9,):
        raise ValueError(f"{name} should have five axes, the last of length 9")
    kernels = arrays[name].astype(np.float32)
    is_heavy = np.abs(kernels).max(axis=-2, initial=0) > 1.5
    signs = np.sign(kernels[..., 0]) * np.where(is_heavy[..., :1], 1, -1)
    expected = signs[..., None] * np.where(is_heavy, 2, -1)[..., None, :]
    if (is_heavy.sum(axis=-1) != 3).any() or (kernels != expected).any():
        raise ValueError(f"{name} should have three weights of 2 and six of -1 in a channel, or their negatives")


def _check_partition(arrays: Arrays, known: dict[str, int]) -> None:
    table = _MIXTURE if "partition.means" in arrays else _VOTES
    known = check_shapes(arrays, {**_SPACE, **table}, known)
    if table is _VOTES:
        labels = arrays["partition.labels"]
        if labels.min() < -1 or labels.max() >= len(labels):
            raise ValueError("partition.labels should be numbers of clusters")
    elif known["e"] > known["s"] or (arrays["partition.weights"] <= 0).any():
        raise ValueError("the arrays of the partition have different sizes, or weights that are not above 0")


def _check_clusters(config: dict[str, Any], arrays: Arrays, known: dict[str, int]) -> None:
    _check_partition(arrays, known)
    for number in range(config["n_edits"]):
        start = f"edits.{number}."
        table = next((each for each in _EDITS if start + next(iter(each)) in arrays), _EDITS[-1])
        sizes = {"s": shape_of(arrays, "space.axes")[1]}
        check_shapes(arrays, {start + name: description for name, description in table.items()}, sizes)
    parts = {"labels": "i8 h"}
    for table, is_there in (
        (_BELONGING, "belonging.weights" in arrays),
        (_REFITS, "refits.rows" in arrays),
        ({**_PORTRAITS, **_RECURRING}, config["portraits"] is not None),
    ):
        parts |= table if is_there else {}
    numbers = {"u": len(config["portraits"]["numbers"])} if config["portraits"] is not None else {}
    check_shapes(arrays, parts, {**known, **numbers})
    if numbers:
        rows = [row for row, name in enumerate(config["portraits"]["numbers"]) if name in _COUNTS]
        always = [row for row, name in enumerate(config["portraits"]["numbers"]) if name in _ALWAYS]
        if np.isnan(arrays["portraits.numbers"][always]).all(axis=2).any():
            raise ValueError(f"portraits.numbers should be known for {', '.join(_ALWAYS)}")
        counts = arrays["portraits.numbers"][rows]  # (count, series, channel)
        if (counts < 0).any() or (counts > 1e12).any():
            raise ValueError(f"portraits.numbers should be 0 or above for {', '.join(_COUNTS)}")


def _check_scores(arrays: Arrays, known: dict[str, int]) -> None:
    check_shapes(arrays, {"scores": "f8 j", "scored": "i8 j"}, known)
    scored = arrays["scored"]
    if scored.min() < 0 or scored.max() >= known["h"] or len(np.unique(scored)) < len(scored):
        raise ValueError("scored should be different positions of the training series")
    if "weights" not in arrays:
        return  # the score of format 6 and older
    check_shapes(arrays, _REFERENCE, known)
    for name in ("reference.spread", "reference.outside"):
        if (arrays[name] <= 0).any():
            raise ValueError(f"{name} should be above 0")
    if (arrays["reference.rest"] < 0).any():
        raise ValueError("reference.rest should be 0 or above")


def _check_series(config: dict[str, Any], arrays: Arrays, known: dict[str, int]) -> None:
    check_shapes(arrays, {**_SPACE, **_SERIES}, {**known, "i": known["h"] + 1})
    if ("series.starts" in arrays) != ("starts_type" in config):
        raise ValueError("starts_type and series.starts should be there together")
    if "series.starts" in arrays:
        starts = arrays["series.starts"].astype(config["starts_type"])
        if starts.dtype.kind == "M":
            first, last = (np.datetime64(time).astype(starts.dtype) for time in ("1677-09-22", "2262-04-10"))
            if np.isnat(starts).any() or not ((starts >= first) & (starts <= last)).all():
                raise ValueError("series.starts should be times of the years 1678 to 2262")


def _check_forecast(config: dict[str, Any], arrays: Arrays, known: dict[str, int]) -> None:
    _check_partition(arrays, known)
    sizes = {**known, "x": config["n_context"], "l": config["options"]["horizon"]}
    if "members" in config:
        sizes["j"] = len(config["members"])
    known = check_shapes(arrays, _FORECAST, sizes)
    is_early = "combination.season_width" not in arrays
    check_shapes(arrays, _EARLY_COMBINATION if is_early else _COMBINATION, known)
    _check_courses(config, arrays)
    if config.get("covariates"):
        check_shapes(arrays, _EFFECTS, {**sizes, "a": len(config["covariates"])})
        for name in ("covariates.common", "covariates.own", "covariates.recent"):
            if (np.abs(arrays[name]) > _LARGEST_EFFECT).any():
                raise ValueError(f"{name} should be effects on the log scale, from -50 to 50")
    if "items.earlier" in arrays or config.get("n_history", 0) > config["n_context"]:
        earlier = config.get("n_history", config["n_context"]) - config["n_context"]
        check_shapes(arrays, {name: f"{kind} h {earlier}" for name, kind in _EARLIER.items()}, sizes)
    for name in ("pooled.season", "group_model.season"):
        if arrays[name][0] != config["season"]:
            raise ValueError(f"{name} should be the season of the config, {config['season']}")
    for name in ("items.spread", "groups.proportions", "groups.variance", "pooled.deviation", "group_model.deviation"):
        if (arrays[name] <= 0).any():
            raise ValueError(f"{name} should be above 0")


def _check_courses(config: dict[str, Any], arrays: Arrays) -> None:
    """Check the courses of a season, of each category and of all items, if there are any."""
    n_categories = len((config.get("categories") or {}).get("names", ()))
    if "items.category" in arrays:
        category = arrays["items.category"]
        if category.min(initial=-1) < -1 or category.max(initial=-1) >= n_categories:
            raise ValueError("items.category should be numbers of the categories, or -1")
    if "courses.basis" not in arrays:
        if {"seasonal smoothing", "seasonal level"}.intersection(config.get("members", ())):
            raise ValueError("the array courses.basis is missing")
        return
    season, r = config["season"], shape_of(arrays, "courses.basis")[-1]
    check_shapes(
        arrays,
        {
            "courses.mean": f"f8 {n_categories + 1} {season}",
            "courses.basis": f"f8 {season} {r}",
            "courses.covariance": f"f8 {r} {r}",
            "courses.noise": "f8 1",
        },
        {},
    )
    for name in ("courses.mean", "courses.basis", "courses.covariance", "courses.noise"):
        if (np.abs(arrays[name]) > _LARGEST_COURSE).any():
            raise ValueError(f"{name} should be at most {_LARGEST_COURSE:,.0f}: it is relative to the level")
    covariance = arrays["courses.covariance"]
    if r and not (np.allclose(covariance, covariance.T) and np.linalg.eigvalsh(covariance).min() > _LEAST_VARIANCE):
        raise ValueError("courses.covariance should be symmetric and positive definite")
    if (arrays["courses.noise"] <= 0).any():
        raise ValueError("courses.noise should be above 0")


_LARGEST_EFFECT = 50.0
_LARGEST_COURSE = 1e6
_LEAST_VARIANCE = 1e-20
# Effects of "a" covariates.
_EFFECTS = {
    "covariates.common": "f8 a",
    **dict.fromkeys(("covariates.own", "covariates.usual", "covariates.recent"), "f8 h a"),
    "covariates.no_usual": "u1 h a",
    "covariates.future": "f8 h l a",
    "covariates.future_known": "u1 h l a",
}
_EARLIER = {"items.earlier": "f8", "items.earlier_known": "u1"}


def _check_long(config: dict[str, Any], arrays: Arrays) -> None:
    c = len(config["channels"])
    check_shapes(arrays, _LONG, {"h": len(config["ids"]), "c": c, "t": sum(config["tail_lengths"])})
    if (arrays["spread"] <= 0).any():
        raise ValueError("spread should be above 0")
    for size in config["sizes"]:
        table = {f"windows{size}.{name}": description for name, description in _WINDOWS.items()}
        check_shapes(arrays, table, {"c": c, "v": 1 if c == 1 else 1 + c})
        _check_pairs(arrays, f"windows{size}.statistics.pairs", c)
        _check_kernels(arrays, f"windows{size}.statistics.kernels")
        places = arrays[f"windows{size}.places"]
        if (np.diff(places) < 0).any() or np.abs(places).max(initial=0) >= 1 << 60:
            raise ValueError(f"windows{size}.places should ascend")
        for name in ("spread", "deviation"):
            if (arrays[f"windows{size}.{name}"] <= 0).any():
                raise ValueError(f"windows{size}.{name} should be above 0")
