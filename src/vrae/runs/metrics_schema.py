"""What ``metrics.json`` of a run may hold. Later commands read it back, whoever edited it."""

from __future__ import annotations

import math
from typing import Any

from vrae._version import __version__
from vrae.exceptions import InvalidParameterError
from vrae.io.schema import Check, list_of, maybe, plain, real, record, text, whole

__all__ = ["check_metrics"]


def _score(place: str, value: Any) -> None:
    """Describe a number, or NaN for a score that is not defined."""
    if not (isinstance(value, float) and math.isnan(value)) and not isinstance(value, bool):
        real()(place, value)


_SHARE = real(low=0, high=1)
_TEXT = text(10_000)
_PLACE = text(100_000)
_VALUES = maybe(list_of(_TEXT))


def _names(place: str, value: Any) -> None:
    """Describe the name of a column, or a list of names."""
    (_TEXT if isinstance(value, str) else _VALUES)(place, value)


# Options of `vrae.read_panel`.
_READING = record(
    {},
    {
        **dict.fromkeys(("id", "value", "static"), _names),
        **dict.fromkeys(("time", "layout", "label", "align", "duplicates", "decimal", "thousands"), maybe(_TEXT)),
        **dict.fromkeys(("date_format", "encoding", "timezone"), maybe(_TEXT)),
        **dict.fromkeys(("fill", "missing"), maybe(real())),
        "freq": maybe(lambda place, freq: (_TEXT if isinstance(freq, str) else real(above=0))(place, freq)),
        "id_parts": _VALUES,
    },
)
_FINGERPRINT = record({"files": whole(), "bytes": whole(), "blake2b": text(64)})
_SOURCE = record(
    {}, {"example": text(100), "data": _PLACE, "options": maybe(_READING), "fingerprint": maybe(_FINGERPRINT)}
)
_ALERT = record(dict.fromkeys(("kind", "text", "why", "advice", "command"), _PLACE))
_STABILITY = record({"ari": _score, "clusters": list_of(_SHARE)}, {"rounds": whole(), "refits": whole()})

_NEEDED: dict[str, Check] = {
    "n_series": whole(1),
    "n_clusters": whole(),
    "sizes": list_of(whole()),
    "n_noise": whole(),
}
_LATER: dict[str, Check] = {
    "version": text(100),
    **dict.fromkeys(("title", "advice"), text(1000)),
    **dict.fromkeys(("n_channels", "shortest", "longest", "n_labelled", "n_trained"), whole()),
    **dict.fromkeys(("latent_size", "active_units", "epochs"), whole()),
    **dict.fromkeys(("missing_share", "doubtful_share"), _SHARE),
    **dict.fromkeys(("mean_probability", "silhouette", "ari", "nmi"), maybe(_score)),
    **dict.fromkeys(("reconstruction", "kl", "noise_variance", "seconds"), maybe(_score)),
    "names": list_of(text(1000)),
    "data": list_of(_TEXT),
    "selection": list_of(record({"n_clusters": whole(1), "score": real()}, others=plain(1))),
    "options": maybe(record({}, others=plain(3))),
    "filled_in": record({"share": _SHARE, "value": real()}),
    "stability": maybe(_STABILITY),
    "source": maybe(_SOURCE),
    "raw_kmeans": record({}, others=_score),
    "verdict": record({"text": _TEXT, "alerts": list_of(_ALERT)}),
    "alternatives": list_of(whole(1)),
}


def check_metrics(metrics: Any) -> None:
    """Check the metrics of a run.

    Raises
    ------
    InvalidParameterError
        It names the first wrong value, what was found and what is allowed.
    """
    is_own = isinstance(metrics, dict) and metrics.get("version") == __version__
    record(_NEEDED, _LATER, None if is_own else plain())("", metrics)
    k = metrics["n_clusters"]
    stability = metrics.get("stability") or {}
    found = {"sizes": metrics["sizes"], "names": metrics.get("names"), "stability.clusters": stability.get("clusters")}
    for place, entries in found.items():
        if entries is not None:
            list_of(plain(), k, k)(place, entries)
    if sum(metrics["sizes"]) + metrics["n_noise"] != metrics["n_series"]:
        raise InvalidParameterError(
            f"n_series must be the sum of the sizes and n_noise, {sum(metrics['sizes']) + metrics['n_noise']}; found "
            f"{metrics['n_series']}."
        )
