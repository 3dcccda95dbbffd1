"""VRAEClusterer: groups of similar series."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import ClusterMixin, TransformerMixin

from vrae.config import check_int, check_real
from vrae.data.batching import Indices
from vrae.data.panel import Panel
from vrae.describe.portraits import Portraits
from vrae.estimators.adjusting import Adjustable
from vrae.estimators.arguments import as_numbers
from vrae.estimators.belonging import Belonging, are_among, reference_indices, tempered
from vrae.estimators.edits import Edited
from vrae.estimators.grouping import Grouping
from vrae.estimators.head import Embedded, SeriesHead, explain_model_options
from vrae.estimators.insight import Insight
from vrae.estimators.partition import LatentSpace, Partition, check_clusterer, labels_of, takes_number
from vrae.estimators.stability import Refits
from vrae.exceptions import DataWarning, InvalidDataError, InvalidParameterError, warn
from vrae.io.folder import Arrays, nested, subset
from vrae.phases import announce
from vrae.runtime import seed_of

__all__ = ["VRAEClusterer"]

# Series unlike all others get a cluster if there are this many, and this many times as many as the
# rate of false alarms.
_LEAST_NEW = 5
_MORE_THAN_CHANCE = 3

Labels = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class VRAEClusterer(
    Adjustable,
    Insight,
    ClusterMixin,  # type: ignore[misc]
    TransformerMixin,  # type: ignore[misc]
    SeriesHead,
    auto_wrap_output_keys=None,
):
    """Cluster time series by their latent vectors.

    Parameters
    ----------
    n_clusters : int or "auto", default="auto"
        Number of clusters. "auto" scores 2, 3, ... up to 60 by how well the clusters are separated,
        how well two halves of the series agree on them and how even their sizes are, and takes the
        best; see ``selection_``.
    clusterer : {"kmeans", "gmm", "ward", "hdbscan"} or scikit-learn clusterer, default="kmeans"
        Groups the latent vectors. "gmm" is a Gaussian mixture with one shared covariance.
        "hdbscan" finds its own number of clusters and leaves some series out (-1).
    false_alarm_rate : float or None, default=0.01
        `predict` says -1, no cluster, of a series that is unlike all training series. This is the
        fraction of series of a known kind of which it may say so. None: every series gets a
        cluster. A change applies to a fitted clusterer at once.
    model : VRAE, FrozenEstimator or None, default=None
        The model. None is ``VRAE()``. ``FrozenEstimator(fitted)`` uses a fitted model as it is.
    random_state : int, RandomState or None, default=None
        An int makes results reproducible. The model uses it too, unless it has its own.

    Attributes
    ----------
    labels_ : ndarray of int64, shape (n_series,)
        Cluster of every training series, by decreasing size as long as clusters are not edited. -1
        is none.
    n_clusters_ : int
        Number of clusters.
    names_ : dict of int to str
        Name of every cluster, such as "Peaks in December"; see `rename`.
    embedding_ : ndarray of float32, shape (n_series, latent_size)
        Latent vectors of the training series.
    ids_ : ndarray, shape (n_series,)
        Ids of the training series.
    selection_ : list of dict
        For "auto", one entry per number of clusters tried: ``n_clusters``, ``score``,
        ``silhouette``, ``stability``, ``evenness``, ``largest`` (share of the largest cluster) and
        ``is_peak``. The peaks are the alternatives to look at; `regroup` changes to one of them.
    tree_ : ndarray, shape (n_clusters_ - 1, 4)
        How the clusters merge, in the format of `scipy.cluster.hierarchy.linkage`.
    model_ : VRAE
        The fitted model.

    Examples
    --------
    >>> from vrae import VRAE, VRAEClusterer, load_example
    >>> X, labels = load_example("ItalyPowerDemand", split="train")
    >>> clusterer = VRAEClusterer(2, model=VRAE(max_epochs=2), random_state=0)
    >>> clusterer.fit_predict(X).shape
    (67,)
    >>> clusterer.regroup(3).n_clusters_
    3
    """

    belonging_: Belonging | None

    @explain_model_options
    def __init__(
        self,
        n_clusters: int | Literal["auto"] = "auto",
        *,
        clusterer: Any = "kmeans",
        false_alarm_rate: float | None = 0.01,
        model: Any = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.clusterer = clusterer
        self.false_alarm_rate = false_alarm_rate
        self.model = model
        self.random_state = random_state

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Train further on new series; see `VRAE.partial_fit`. Clusters keep their numbers.

        Names that you gave stay with clusters that keep most of their series. What was merged,
        split or moved is forgotten, with a warning, since clusters are found again.

        If five or more of the new series, and more than three times the ``false_alarm_rate``, are
        unlike all earlier ones, there is at least one cluster more than before, to make room for
        them. A given ``n_clusters`` is then raised by one.
        """
        if not self.__sklearn_is_fitted__():
            return self._learn(self._extend(X))
        self._check_rate(self.false_alarm_rate)
        replays = hasattr(self.model_, "replay_buffer_")  # otherwise the earlier clusters are gone
        found = self._extend(X)
        earlier = labels_of(self.embed_and_assign(found.panel, found.indices)[1])
        n_clusters, least = self.n_clusters, 1
        if replays and takes_number(self.clusterer) and self._is_new_kind(earlier[found.indices]):
            least = self.n_clusters_ + 1
            n_clusters = n_clusters if n_clusters == "auto" else n_clusters + 1
        self._learn(found, earlier, n_clusters, least)
        self.n_clusters = n_clusters
        return self

    def regroup(self, n_clusters: int | Literal["auto"] = "auto") -> Self:
        """Change the number of clusters without training again.

        Parameters
        ----------
        n_clusters : int or "auto", default="auto"
            Number of clusters. "auto" takes the number with the best score; see ``selection_``.

        Returns
        -------
        self
            With new ``n_clusters``, ``n_clusters_`` and ``labels_``. The model is unchanged.

        Raises
        ------
        NotFittedError
            If the clusterer has not been fitted.
        InvalidParameterError
            If there are fewer series than clusters, or the clusterer finds the number itself.

        Notes
        -----
        It undoes `merge`, `split`, `move` and `rename`: names that you gave belong to clusters that
        are no longer there.
        """
        self._check_fitted()
        self._check_number(n_clusters, int(np.isfinite(self.embedding_).all(axis=1).sum()))
        check_clusterer(self.clusterer, n_clusters)
        now = self.grouping_
        curve = now.selection if now.scored == self.clusterer else []  # of another clusterer: forget it
        seed = seed_of(self.random_state)
        self._take(Grouping.fit(now.embedding, now.space, n_clusters, self.clusterer, seed, selection=curve))
        self.n_clusters = n_clusters
        return self

    def predict(self, X: Any) -> npt.NDArray[np.int64]:
        """Return the cluster of every series, shape (n_series,).

        -1 is none: the series is unlike all training series (see ``false_alarm_rate``), has no
        observed value, or is what "hdbscan" calls noise.
        """
        return labels_of(self.predict_proba(X))

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Return the probability of every cluster for every series, shape (n_series, n_clusters_).

        Rows sum to 1. A row of zeros belongs to no cluster. Of a new series that is clearly shorter
        than the training series, little is known, so its probabilities are closer to each other.
        """
        self._check_fitted()
        if self.belonging_ is None and self.false_alarm_rate not in (None, self._rate):
            warn("false_alarm_rate has no effect before the next fit: it was None in the last one.", DataWarning)
        return self.embed_and_assign(*self.model_.open(X))[1]

    def transform(self, X: Any) -> Any:
        """Return the latent vectors, shape (n_series, latent_size); see `VRAE.transform`."""
        self._check_fitted()
        return self.model_.transform(X)

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Fit to series and return their latent vectors; see `transform`."""
        return self.fit(X).embedding_

    def predict_proba_from_latent(self, Z: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return the probability of every cluster for latent vectors.

        Parameters
        ----------
        Z : ndarray of shape (n, latent_size)
            As ``model_.transform`` returns them. A row of NaN belongs to no cluster.

        Returns
        -------
        ndarray of float64, shape (n, n_clusters_)
        """
        self._check_fitted()
        Z, latent_size = as_numbers("Z", Z, np.float32), self.embedding_.shape[1]
        if Z.ndim != 2 or Z.shape[1] != latent_size:
            raise InvalidDataError(f"Z must have shape (n, {latent_size}); found {Z.shape}.")
        return self.grouping_.predict_proba(Z)

    def embed_and_assign(self, panel: Panel, indices: Indices) -> tuple[npt.NDArray[np.float32], Floats, Floats]:
        """Return latent vectors, the probabilities of `predict_proba`, and how much is known.

        Parameters
        ----------
        panel : Panel
        indices : ndarray of int64
            Series with observed values, see `VRAE.open`. Rows of the others are NaN and 0.

        Returns
        -------
        Z : ndarray of float32, shape (n_series, latent_size)
        probabilities : ndarray of float64, shape (n_series, n_clusters_)
        known : ndarray of float64, shape (n_series,)
            Fraction of the steps needed to be certain of a cluster. Below 1: clearly shorter than
            the training series.
        """
        self._check_fitted()
        belonging = self._belonging_now()
        if belonging is None:
            Z, new = self.model_.inference_.embed(panel, indices), np.zeros(len(panel), np.bool_)
        else:
            Z, new = self.model_.inference_.embed_and_judge(panel, indices, belonging.is_new)
        known = np.ones(len(panel)) if self.belonging_ is None else self.belonging_.known_fraction(panel)
        return Z, self._without_certainty(self.predict_proba_from_latent(Z), Z, new, known), known

    @property
    def space_(self) -> LatentSpace:
        """The space in which latent vectors are compared."""
        return self.grouping_.space

    @property
    def partition_(self) -> Partition | Edited:
        """The rule that assigns vectors of this space to clusters, with all changes by hand."""
        return self.grouping_.rule

    # ---------------------------------------------------------------- parts

    def _check_options(self, panel: Panel, indices: Indices) -> None:
        self._check_number(self.n_clusters, len(indices))
        check_clusterer(self.clusterer)
        self._check_rate(self.false_alarm_rate)

    @staticmethod
    def _check_rate(rate: Any) -> None:
        if rate is not None:
            check_real("false_alarm_rate", rate, above=0, below=0.5)

    @staticmethod
    def _check_number(n_clusters: Any, n_series: int) -> None:
        if isinstance(n_clusters, str) and n_clusters == "auto":
            return
        if check_int("n_clusters", n_clusters, low=1, auto=True) > n_series:
            raise InvalidParameterError(
                f"n_clusters={n_clusters} is more than the {n_series} series that can be clustered. Ask for fewer."
            )

    def _learn(
        self,
        found: Embedded,
        earlier: Labels | None = None,
        n_clusters: Any = None,
        least: int = 1,
    ) -> Self:
        announce("Grouping")
        belonging, portraits = self._fit_belonging(found), Portraits.of(found.panel, found.indices)
        grouping = Grouping.fit(
            found.latent,
            LatentSpace.fit(found.latent[found.indices].astype(np.float64), found.model.network_),
            self.n_clusters if n_clusters is None else n_clusters,
            self.clusterer,
            seed_of(self.random_state),
            earlier=earlier,
            least=least,
        )
        if earlier is not None:
            grouping = grouping.following(self.grouping_, earlier)
        self.model_, self.embedding_, self.ids_ = found.model, found.latent, found.panel.ids
        self.belonging_, self.portraits_, self.refits_ = belonging, portraits, None
        self._rate = self.false_alarm_rate  # that belonging_ was fitted with
        return self._take(grouping)

    def _fit_belonging(self, found: Embedded) -> Belonging | None:
        """Learn what series of the training series' kinds look like."""
        if self.false_alarm_rate is None:
            return None
        chosen = reference_indices(found.indices, seed_of(self.random_state))
        statistics, sizes = found.model.inference_.raw_statistics(found.panel, chosen)
        return Belonging.fit(statistics, sizes, self.false_alarm_rate)

    def _belonging_now(self) -> Belonging | None:
        """Return what says which series are new, at the current rate. None: no series is."""
        rate = self.false_alarm_rate
        if rate is None or self.belonging_ is None:
            return None
        if rate != self._rate:  # changed since the fit
            self._check_rate(rate)
            self.belonging_, self._rate = self.belonging_.at(rate), rate
        return self.belonging_

    def _without_certainty(
        self, probabilities: Floats, Z: npt.NDArray[np.float32], new: npt.NDArray[np.bool_], known: Floats
    ) -> Floats:
        """Return the probabilities of clusters: 0 for new series, less certain for short ones.

        The patterns of series that are clearly shorter are those of few steps, and lie anywhere
        among those of longer series.
        """
        asked = np.flatnonzero(new | ((known < 1) & probabilities.any(axis=1)))
        asked = asked[~are_among(Z[asked], self.embedding_)]  # training series belong, references or not
        short = asked[~new[asked]]
        probabilities[asked[new[asked]]] = 0.0
        if len(short):  # none is without clusters
            probabilities[short] = tempered(probabilities[short], known[short])
        return probabilities

    def _is_new_kind(self, labels: Labels) -> bool:
        """Return whether more series than false alarms explain have no cluster."""
        n_new = int((labels < 0).sum())
        return n_new >= max(_LEAST_NEW, _MORE_THAN_CHANCE * (self.false_alarm_rate or 0) * len(labels))

    def _state(self) -> tuple[dict[str, Any], Arrays]:
        self._belonging_now()
        config, arrays = self.grouping_.state()
        parts = {"belonging": self.belonging_, "refits": self.refits_}
        arrays.update(nested({name: part.arrays() for name, part in parts.items() if part is not None}))
        config["portraits"] = None
        if self.portraits_ is not None:
            config["portraits"], own = self.portraits_.state()
            arrays.update(nested({"portraits": own}))
        return config, arrays

    def _restore(self, config: dict[str, Any], arrays: Arrays) -> None:
        belonging, network = subset(arrays, "belonging"), self.model_.network_
        n_statistics = len(network.statistics.center) if network.config.n_patterns else self.embedding_.shape[1]
        self.belonging_ = Belonging.from_arrays(belonging, n_statistics) if belonging else None
        refits = subset(arrays, "refits")
        self.refits_ = Refits.from_arrays(refits, len(self.ids_)) if refits else None
        self.portraits_ = None
        if config["portraits"] is not None:
            self.portraits_ = Portraits.from_state(config["portraits"], subset(arrays, "portraits"))
            if not np.isin(self.portraits_.rows, np.arange(len(self.ids_))).all():
                raise ValueError("the portraits are those of other series")
        self._check_rate(self.false_alarm_rate)
        self._rate = self.false_alarm_rate
        self._take(Grouping.from_state(config, arrays, self.embedding_, self.clusterer))
