"""Find pairs of items in which one sells more when the other sells less."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from vrae.config import check_int, check_real
from vrae.data.calendar import zoned_times
from vrae.data.panel import invalid_series
from vrae.data.reading import as_panel
from vrae.estimators.cannibalization.comparing import Comparison
from vrae.estimators.cannibalization.pair_table import control_fdr
from vrae.estimators.cannibalization.residuals import align
from vrae.estimators.cannibalization.substitutes import Similarity, encode_groups
from vrae.estimators.head_plots import PairPlots
from vrae.estimators.plotting import PlotAccessor
from vrae.exceptions import InvalidDataError, InvalidParameterError
from vrae.phases import announce

__all__ = ["KINDS", "Cannibalization", "find_cannibalization"]

KINDS = ("movement", "introduction", "withdrawal")

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Cannibalization:
    """Pairs of items that take sales from each other, most significant first.

    Attributes
    ----------
    group : ndarray of shape (n_found,)
        Group of the two items.
    item, other : ndarray of shape (n_found,)
        Ids of the two items. Of an introduction or a withdrawal, ``item`` is the one that was
        introduced or withdrawn.
    kind : ndarray of str, shape (n_found,)
        "movement": the items move in opposite directions. "introduction": ``other`` falls when
        ``item`` is introduced. "withdrawal": ``other`` rises when ``item`` is withdrawn.
    when : ndarray of shape (n_found,)
        First step with ``item`` of an introduction, last step with it of a withdrawal: dates or
        other time stamps, or else numbers that start at 1. NaT, NaN or 0 for movements.
    lag : ndarray of int64, shape (n_found,)
        Number of steps by which ``other`` lags ``item``. Negative if it leads.
    strength : ndarray of float64, shape (n_found,)
        Correlation, between -1 and 0. Of a movement: between the two items. Of an introduction or
        a withdrawal: between ``other`` and the presence of ``item``.
    taken : ndarray of float64, shape (n_found,)
        Fraction of its level that ``other`` loses while ``item`` is present, relative to the rest
        of the group. Above 0 for a loss. NaN for movements, in which neither item is the cause, and
        with a warning if ``other`` sells nothing on balance without ``item``.
    units : ndarray of float64, shape (n_found,)
        The same loss in units a step. NaN for movements. Both are NaN for pairs that were never
        observed together, which only ``fdr=1`` returns.
    p_value : ndarray of float64, shape (n_found,)
        p-value of the pair, corrected for the number of lags.
    q_value : ndarray of float64, shape (n_found,)
        Expected proportion of false discoveries among the pairs up to this one (Benjamini &
        Hochberg). Corrected for all pairs of the same kind of test and for the number of tests.
    n_pairs : tuple of int
        Number of pairs tested for opposite movements, and number of pairs tested for level shifts.
    """

    group: npt.NDArray[Any]
    item: npt.NDArray[Any]
    other: npt.NDArray[Any]
    kind: npt.NDArray[np.str_]
    when: npt.NDArray[Any]
    lag: Ints
    strength: Floats
    taken: Floats
    units: Floats
    p_value: Floats
    q_value: Floats
    n_pairs: tuple[int, int]
    zone: str | None = None

    plot = PlotAccessor(PairPlots)

    def __len__(self) -> int:
        return len(self.item)

    def columns(self) -> dict[str, Any]:
        """Return the columns of a table by name, for example for ``pandas.DataFrame``."""
        columns = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("n_pairs", "zone")}
        columns["when"] = zoned_times(self.when, self.zone)
        return columns | {name: columns[name].round(4) for name in ("strength", "taken", "units")}


def find_cannibalization(
    X: Any,
    groups: Any = None,
    *,
    similar: str | Sequence[str] | Mapping[str, float] | None = None,
    max_lag: int = 0,
    season: int | None = None,
    fdr: float = 0.05,
) -> Cannibalization:
    """Find pairs of items that take sales from each other.

    All pairs of items that can replace each other are tested, in two ways. The *level shift* test
    looks for items that fall when another one is introduced, or rise when it is withdrawn. How
    often items do so by chance is seen at other dates. The *movement* test looks for items that go
    up and down in opposition. Level, spread and the common factors of the items are removed first,
    and autocorrelation is accounted for.

    Parameters
    ----------
    X : array of shape (n_series, n_steps), list of arrays, table or Panel
        Series with one channel. They are aligned by their time stamps. Series without time stamps
        all start at the first step.
    groups : array of shape (n_series,), str or list of str, optional
        Group of every series, or the names of columns of ``Panel.static``, such as a category. Only
        items of the same group are compared. Series whose group is None or NaN are left out. By
        default, all series are one group.
    similar : str, list of str or mapping of str to float, optional
        Numeric columns of ``Panel.static``, such as a price. Only items with similar values are
        compared: the difference is at most half of the larger value, or the fraction of it that a
        mapping names, as in ``{"price": 0.2}``.
    max_lag : int, default=0
        Largest lag between two items, in steps. Every additional lag costs statistical power.
    season : int, optional
        Length in steps of a season that differs between items, for example 52 weeks. None or 1 for
        none. A season that the items share is removed without this option.
    fdr : float, default=0.05
        False discovery rate, between 0 and 1. Pairs with a ``q_value`` up to this are returned.

    Returns
    -------
    Cannibalization

    Raises
    ------
    InvalidDataError
        If there are several channels or infinite values, or ``groups`` has the wrong shape.
    InvalidParameterError
        If a column is unknown or an option is out of range.

    References
    ----------
    Haugh, "Checking the independence of two covariance-stationary time series", JASA 1976.
    Benjamini & Hochberg, "Controlling the false discovery rate", JRSS B 1995.
    Abadie, Diamond & Hainmueller, "Synthetic control methods for comparative case studies",
    JASA 2010 (placebo tests).

    Examples
    --------
    >>> import numpy as np
    >>> from vrae import find_cannibalization
    >>> sales = np.random.default_rng(0).poisson(50, (20, 60)).astype(float)
    >>> sales[0, :30] = 0  # introduced in week 31
    >>> sales[1, 30:] *= 0.4
    >>> found = find_cannibalization(sales)
    >>> int(found.item[0]), int(found.other[0]), str(found.kind[0]), float(found.taken[0].round(1))
    (0, 1, 'introduction', 0.6)
    """
    panel = as_panel(X)
    check_int("max_lag", max_lag, low=0)
    check_real("fdr", fdr, low=0, high=1)
    if panel.n_channels != 1:
        raise InvalidDataError(
            f"Cannibalization is found between series with one channel; these have {panel.n_channels}. Select one."
        )
    names, codes = encode_groups(panel, groups)
    similarity = Similarity.of(panel, similar)
    codes = np.where(invalid_series(panel) | ~similarity.known(), -1, codes)
    aligned, stamps = align(panel)
    season = _checked_season(season, aligned.shape[1])
    if max_lag and max_lag >= aligned.shape[1]:
        raise InvalidParameterError(
            f"max_lag={max_lag} is not shorter than the series ({aligned.shape[1]} steps). Lower it."
        )
    comparison = Comparison(aligned, codes, similarity, max_lag, season, fdr)
    announce("Comparing")
    candidates, n_pairs = comparison.candidates(len(names))
    pairs = control_fdr(candidates, n_pairs, fdr)
    units, taken = comparison.losses(pairs, panel.ids)
    return Cannibalization(
        group=names[codes[pairs["item"]]],
        item=panel.ids[pairs["item"]],
        other=panel.ids[pairs["other"]],
        kind=np.array(KINDS)[pairs["kind"]],
        when=comparison.event_times(pairs, stamps),
        lag=pairs["lag"],
        strength=pairs["strength"],
        taken=taken,
        units=units,
        p_value=pairs["p"],
        q_value=pairs["q"],
        n_pairs=(int(n_pairs[0]), int(n_pairs[1])),
        zone=panel.zone,
    )


def _checked_season(season: int | None, n_steps: int) -> int | None:
    """Return the season, None for none. A season must be seen twice."""
    if season is None or check_int("season", season, low=1) == 1:
        return None
    if n_steps < 2 * season:
        raise InvalidParameterError(
            f"season={season} is seen less than twice in {n_steps} steps, so it cannot be removed. Leave it out."
        )
    return season
