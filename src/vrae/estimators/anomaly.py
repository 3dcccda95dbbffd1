"""VRAEAnomalyDetector: series that differ from the others, and the steps where they differ."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import OutlierMixin

from vrae.config import check_real
from vrae.data.batching import Batch, Indices
from vrae.data.containers import like
from vrae.data.panel import Panel
from vrae.describe.words import plain, plural
from vrae.estimators.head import Embedded, SeriesHead, explain_model_options
from vrae.estimators.head_plots import AnomalyPlots
from vrae.estimators.plotting import PlotAccessor
from vrae.estimators.scores import MIN_SCORES, ReferenceScores, quantile_threshold, tail_threshold
from vrae.estimators.vrae import VRAE
from vrae.exceptions import InvalidDataError, InvalidParameterError
from vrae.io.folder import Arrays, nested, shaped, subset
from vrae.nn.bound import ImportanceWeighted, importance_weighted, largest_window_mean
from vrae.phases import announce
from vrae.runtime import seed_of, torch_generator
from vrae.train.inference import statistics_of

__all__ = ["Band", "VRAEAnomalyDetector"]

# Samples of the latent vector of each series.
_SAMPLES = 16
# Length of a window relative to the median length; at least three steps.
_WINDOW = 1 / 20
# Fraction of the series from which a threshold with a stated false alarm rate is estimated.
_HELD_OUT = 1 / 3
# A better likelihood than expected is not anomalous, however much better.
_LEAST_SURPRISE = 1e-3

Floats = npt.NDArray[np.float64]


class Band(NamedTuple):
    """Range in which the model expects the values of series, in their own container and units.

    Attributes
    ----------
    low, middle, high
        ``middle`` is the reconstruction. NaN for a series without any observed value.
    """

    low: Any
    middle: Any
    high: Any


class VRAEAnomalyDetector(OutlierMixin, SeriesHead):  # type: ignore[misc]
    """Find anomalous series, and the steps that make them anomalous.

    The score of a series combines four features. *Likelihood*: the importance-weighted bound of log
    p(x) per value (Burda et al. 2016, 16 samples). *Window*: the largest mean squared error of a
    window of a twentieth of the length. *Patterns*: the error of the pattern head. *Distance*: the
    squared Mahalanobis distance of the latent vector from the normal ones, estimated robustly, so
    that almost half of the training series may be anomalous. The logarithm of each is standardised
    by the normal series, and the score is the mean of the four. No single feature is good on all
    data sets; see ``benchmarks/anomaly``.

    Parameters
    ----------
    contamination : float or "auto", default=0.05
        A float in (0, 0.5] is the fraction of training series to call outliers. "auto" sets the
        threshold from ``false_alarm_rate`` by extreme value theory (peaks over a threshold, with a
        generalised Pareto distribution; Siffer et al. 2017) on a third of the series, which are
        held out from training. It needs at least 60 series.
    false_alarm_rate : float, default=0.01
        For "auto": the fraction of new normal series that may be called outliers, in (0, 0.5).
    model : VRAE, FrozenEstimator or None, default=None
        The model. None is ``VRAE(beta=0.3, learning_rate=5e-3, timing="free")``: a sharper
        reconstruction finds more, slower training does not learn the anomalies, and later dates
        are not anomalies. ``FrozenEstimator(fitted)`` uses a fitted model as it is.
    random_state : int, RandomState or None, default=None
        An int makes results reproducible. The model uses it too, unless it has its own.

    Attributes
    ----------
    offset_ : float
        Threshold: outliers have ``score_samples`` below it.
    scores_ : ndarray of float64, shape (n_series,)
        ``score_samples`` of the training series.
    embedding_ : ndarray of float32, shape (n_series, latent_size)
        Latent vectors of the training series.
    ids_ : ndarray, shape (n_series,)
        Ids of the training series.
    reference_ : ReferenceScores
        Features of normal series.
    model_ : VRAE
        The fitted model.

    Examples
    --------
    >>> from vrae import VRAE, VRAEAnomalyDetector, load_example
    >>> X, labels = load_example("ItalyPowerDemand", split="train")
    >>> detector = VRAEAnomalyDetector(contamination=0.1, model=VRAE(max_epochs=2), random_state=0)
    >>> int((detector.fit_predict(X) == -1).sum())
    7
    """

    plot = PlotAccessor(AnomalyPlots)

    @explain_model_options
    def __init__(
        self,
        contamination: float | Literal["auto"] = 0.05,
        false_alarm_rate: float = 0.01,
        *,
        model: Any = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.contamination = contamination
        self.false_alarm_rate = false_alarm_rate
        self.model = model
        self.random_state = random_state

    def default_model(self) -> VRAE:
        """Return the model that ``model=None`` stands for."""
        return VRAE(beta=0.3, learning_rate=5e-3, timing="free")

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Train the model further on new series; see `VRAE.partial_fit`.

        Raises
        ------
        InvalidDataError, InvalidParameterError, TrainingError
            See `VRAE.partial_fit`. Also if ``contamination`` is "auto", which holds series out.
        """
        if self.contamination == "auto":
            raise InvalidParameterError(
                "partial_fit trains on all series, and contamination='auto' would hold some out. Pass the fraction of "
                "outliers instead, such as contamination=0.05, or call fit."
            )
        return super().partial_fit(X)

    def _learn(self, found: Embedded) -> Self:
        model, panel, held_out = found.model, found.panel, found.held_out
        training = np.setdiff1d(found.indices, held_out, assume_unique=True)
        announce("Scoring")
        Z, features = _features(model, panel, found.indices)
        weights = np.array([1.0, 1.0, model.network_.config.n_patterns > 0, 1.0])
        reference = ReferenceScores.fit(Z[training], features[training], weights)
        scores = reference(Z, features)
        if self.contamination == "auto":
            threshold = tail_threshold(scores[held_out], self.false_alarm_rate)
        else:
            threshold = quantile_threshold(scores[training], self.contamination)
        self.model_, self.reference_ = model, reference
        self.scores_, self.offset_ = -scores, -threshold
        self.embedding_, self.ids_ = Z.astype(np.float32), panel.ids
        return self

    # ---------------------------------------------------------------- which series

    def fit_predict(self, X: Any, y: Any = None) -> npt.NDArray[np.int64]:
        """Fit to series and classify each; see `fit` and `predict`."""
        return self._classify(self.fit(X).scores_)

    def predict(self, X: Any) -> npt.NDArray[np.int64]:
        """Return -1 (outlier), 1 (normal) or 0 (no observed value) for each series."""
        return self._classify(self.score_samples(X))

    def decision_function(self, X: Any) -> Floats:
        """Return ``score_samples(X) - offset_``. Negative values are outliers."""
        return self.score_samples(X) - self.offset_

    def score_samples(self, X: Any) -> Floats:
        """Return the score of every series: 0 is normal, -3 is three spreads away.

        Returns
        -------
        ndarray of float64, shape (n_series,)
            Higher is more normal. NaN for a series without any observed value.
        """
        self._check_fitted()
        panel, indices = self.model_.open(X)
        return -self.reference_(*_features(self.model_, panel, indices))

    def _classify(self, scores: Floats) -> npt.NDArray[np.int64]:
        return np.where(np.isnan(scores), 0, np.where(scores < self.offset_, -1, 1)).astype(np.int64)

    # ---------------------------------------------------------------- where in the series

    def step_scores(self, X: Any) -> Any:
        """Return the deviation of every value from its expectation.

        Parameters
        ----------
        X : array (n, steps) or (n, channels, steps), list of arrays, table or Panel

        Returns
        -------
        Same container and lengths as X
            In standard deviations, noise included: normal values are within 2 or 3. Positive above
            the expectation, negative below. NaN where the value is missing.
        """
        panel, middle, deviation = self._expect(X)
        return like(X, panel.with_values(((panel.values - middle) / deviation).astype(np.float32)))

    def expected_range(self, X: Any, width: float = 3.0) -> Band:
        """Return the range in which the model expects the values. Values outside are anomalous.

        Parameters
        ----------
        X : array (n, steps) or (n, channels, steps), list of arrays, table or Panel
        width : float, default=3.0
            Half of the width in standard deviations. Values with ``abs(step_scores)`` above it are
            outside.

        Returns
        -------
        Band
            ``low``, ``middle`` and ``high``. `vrae.plots.plot_anomalies` draws them.
        """
        check_real("width", width, above=0)
        panel, middle, deviation = self._expect(X)
        edges = (middle - width * deviation, middle, middle + width * deviation)
        return Band(*(like(X, panel.with_values(edge.astype(panel.values.dtype))) for edge in edges))

    def _expect(self, X: Any) -> tuple[Panel, Floats, Floats]:
        """Return a panel, and mean and deviation of its values (total_steps, n_channels)."""
        self._check_fitted()
        panel, indices = self.model_.open(X)
        middle, deviation = np.full((2, *panel.values.shape), np.nan)
        compute, noise_variance = _sampler(self.model_), self.model_.noise_variance_
        for batch, found in self.model_.inference_.batches(panel, indices, compute):
            level, spread = batch.level[:, None], batch.spread[:, None]  # (batch, 1, channel)
            expected = found.mean.double().cpu() * spread + level
            width = torch.sqrt(found.variance.double().cpu() + noise_variance) * spread
            inside = torch.arange(expected.shape[1]) < batch.lengths.cpu()[:, None]  # (batch, time)
            steps = panel.steps_of(batch.indices)
            middle[steps], deviation[steps] = expected[inside].numpy(), width[inside].numpy()
        return panel, middle, deviation

    # ---------------------------------------------------------------- parts

    def _result(self) -> str:
        n_outliers = int((self.scores_ < self.offset_).sum())
        return f"{plural(n_outliers, 'outlier')}, with scores below {plain(self.offset_)}"

    def _check_options(self, panel: Panel, indices: Indices) -> None:
        if self.contamination != "auto":
            check_real("contamination", self.contamination, above=0, high=0.5)
        check_real("false_alarm_rate", self.false_alarm_rate, above=0, below=0.5)

    def _held_out(self, indices: Indices) -> Indices:
        """Choose the series from which the threshold is estimated, and nothing else."""
        if self.contamination != "auto":
            return indices[:0]
        n = round(_HELD_OUT * len(indices))
        if n < MIN_SCORES:
            raise InvalidDataError(
                f"contamination='auto' holds a third of the series out to estimate the threshold, and needs at least "
                f"{3 * MIN_SCORES} series; found {len(indices)}. Pass the fraction of outliers instead, such as "
                f"contamination=0.05."
            )
        return np.sort(np.random.default_rng(seed_of(self.random_state)).permutation(indices)[:n])

    def _state(self) -> tuple[dict[str, Any], Arrays]:
        known = np.isfinite(self.scores_)
        scored = {"scores": self.scores_[known], "scored": np.flatnonzero(known)}
        return {"offset": self.offset_}, {**nested({"reference": self.reference_.arrays()}), **scored}

    def _restore(self, config: dict[str, Any], arrays: Arrays) -> None:
        self.reference_ = ReferenceScores.from_arrays(subset(arrays, "reference"), self.embedding_.shape[1])
        self.offset_ = config["offset"]
        self.scores_ = np.full(len(self.ids_), np.nan)
        self.scores_[arrays["scored"]] = shaped("scores", arrays, arrays["scored"].shape)


def _features(model: VRAE, panel: Panel, indices: Indices) -> tuple[Floats, Floats]:
    """Return latent vectors, and likelihood, window, patterns (n, 3). NaN outside ``indices``."""
    best = 0.5 * np.log(2 * np.pi * model.noise_variance_)  # nats per value of a perfect reconstruction
    Z = np.full((len(panel), model.network_.config.latent_size), np.nan)
    features = np.full((len(panel), 3), np.nan)
    width = max(3, round(_WINDOW * model.n_steps_))
    for batch, found in model.inference_.batches(panel, indices, _sampler(model)):
        at = batch.indices
        Z[at] = found.latent.double().cpu().numpy()
        observed = batch.mask.sum(dim=(1, 2)).double().cpu().numpy()
        features[at, 0] = np.maximum(-found.bound.double().cpu().numpy() / observed - best, _LEAST_SURPRISE)
        squares = ((found.mean - batch.values) ** 2 * batch.mask).sum(dim=2)  # (batch, time)
        features[at, 1] = largest_window_mean(squares, batch.lengths, width).cpu().numpy()
        features[at, 2] = found.pattern_error.double().cpu().numpy()
    return Z, features


def _sampler(model: VRAE) -> Callable[[Batch], ImportanceWeighted]:
    """Return what decodes several latent samples of a batch, the same samples for every series."""
    network, noise_variance = model.network_, model.noise_variance_
    shape = (_SAMPLES, network.config.latent_size)
    noise = torch.randn(shape, generator=torch_generator(0)).to(model.inference_.device)

    def compute(batch: Batch) -> ImportanceWeighted:
        patterns = batch.patterns
        if patterns is None and network.config.n_patterns:
            patterns = statistics_of(network.statistics, batch)
        return importance_weighted(network, batch.values, batch.mask, batch.lengths, patterns, noise, noise_variance)

    return compute
