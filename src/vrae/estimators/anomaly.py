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
from vrae.estimators.anomaly_ends import active_ends, note_on_ends
from vrae.estimators.head import Embedded, SeriesHead, explain_model_options
from vrae.estimators.head_plots import AnomalyPlots
from vrae.estimators.local_density import LocalDensity, reference_rows
from vrae.estimators.plotting import PlotAccessor
from vrae.estimators.scores import MIN_SCORES, quantile_threshold, tail_threshold
from vrae.estimators.vrae import VRAE
from vrae.exceptions import InvalidDataError, NotFittedError
from vrae.io.folder import Arrays, nested, shaped, subset
from vrae.nn.bound import ImportanceWeighted, importance_weighted
from vrae.phases import announce
from vrae.runtime import torch_generator

__all__ = ["Band", "VRAEAnomalyDetector"]

# References that scores compare with, at most.
_MOST_REFERENCES = 2048
# Samples of the latent vector of each series.
_SAMPLES = 16
# Statistics that vary less between the training series than this are not scaled up further: what is
# constant there may be a little different in any new series.
_LEAST_SPREAD = 0.05

Floats = npt.NDArray[np.float64]

# All pattern statistics of series (batch, statistic) to their scores (batch,).
Judge = Callable[[torch.Tensor], Floats]


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

    The score of a series says how far its pattern statistics are from those of the nearest training
    series: a fifth neighbour, or a later one if many training series may be anomalies. So normal
    series may be of several kinds. Two spaces are compared, the statistics as they are, and with
    the differences between neighbours whitened, and the larger score counts. See
    `vrae.estimators.local_density`. Where a series is unusual is told by its reconstruction.

    Parameters
    ----------
    contamination : float or "auto", default=0.05
        A float in (0, 0.5] is the fraction of training series to call outliers. Alike series up to
        this fraction can be outliers together; groups of twice the size are normal. "auto" takes
        all training series for normal, and sets the threshold from ``false_alarm_rate`` by extreme
        value theory (peaks over a threshold, with a generalised Pareto distribution; Siffer et al.
        2017). It needs at least 20 series.
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
        ``score_samples`` of the training series, each compared with the others.
    embedding_ : ndarray of float32, shape (n_series, latent_size)
        Latent vectors of the training series.
    ids_ : ndarray, shape (n_series,)
        Ids of the training series.
    reference_ : LocalDensity
        Vectors of at most 2,048 training series, and the density around each.
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
    reference_: LocalDensity | None

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
            See `VRAE.partial_fit`.
        """
        return super().partial_fit(X)

    def _learn(self, found: Embedded) -> Self:
        model, panel = found.model, found.panel
        announce("Scoring")
        rows = reference_rows(found.indices, _MOST_REFERENCES)
        statistics, _ = model.inference_.raw_statistics(panel, rows)
        weights = _weights_of(model, statistics)
        is_auto = self.contamination == "auto"
        reference = LocalDensity.fit(statistics * weights, None if is_auto else float(self.contamination))
        others = np.setdiff1d(found.indices, rows, assume_unique=True)
        scores = _scores(model, _judge_by(reference, weights), panel, others)
        scores[rows] = reference.scores
        if is_auto:
            threshold = tail_threshold(reference.scores, self.false_alarm_rate)
        else:
            threshold = quantile_threshold(scores[found.indices], float(self.contamination))
        self.model_, self.reference_, self._weights = model, reference, weights
        self.scores_, self.offset_ = -scores, -threshold
        self.embedding_, self.ids_ = found.latent, panel.ids
        self._note = note_on_ends(active_ends(panel), self.scores_ < self.offset_)
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
            Higher is more normal. NaN for a series without any observed value. A training series is
            compared with the others: it has the score in ``scores_``.

        Raises
        ------
        NotFittedError
            The detector is not fitted, or was saved by a version of vrae with another score.
        """
        judge = self._judge()
        panel, indices = self.model_.open(X)
        return -_scores(self.model_, judge, panel, indices)

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
        panel, middle, deviation, _ = self._expect(X)
        return _deviations(X, panel, middle, deviation)

    def score_series_and_steps(self, X: Any) -> tuple[Floats, Any]:
        """Return ``score_samples(X)`` and ``step_scores(X)``, sooner than one after the other.

        Raises
        ------
        NotFittedError
            See `score_samples`.
        """
        panel, middle, deviation, scores = self._expect(X, self._judge())
        return -scores, _deviations(X, panel, middle, deviation)

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
        panel, middle, deviation, _ = self._expect(X)
        edges = (middle - width * deviation, middle, middle + width * deviation)
        return Band(*(like(X, panel.with_values(edge.astype(panel.values.dtype))) for edge in edges))

    def _judge(self) -> Judge:
        """Return what scores series by their pattern statistics."""
        self._check_fitted()
        if self.reference_ is None:
            raise NotFittedError(
                "This detector was saved by a version of vrae that scored series in another way. Fit it again to score "
                "series. step_scores and expected_range work as before."
            )
        return _judge_by(self.reference_, self._weights)

    def _expect(self, X: Any, judge: Judge | None = None) -> tuple[Panel, Floats, Floats, Floats]:
        """Return a panel, and mean and deviation of its values (total_steps, n_channels).

        And the scores of the series (n_series,) by ``judge``, NaN without.
        """
        self._check_fitted()
        panel, indices = self.model_.open(X)
        middle, deviation = np.full((2, *panel.values.shape), np.nan)
        scores, noise_variance = np.full(len(panel), np.nan), self.model_.noise_variance_
        for batch, (found, judged) in self.model_.inference_.batches(panel, indices, _sampler(self.model_, judge)):
            scores[batch.indices] = judged
            level, spread = batch.level[:, None], batch.spread[:, None]  # (batch, 1, channel)
            expected = found.mean.double().cpu() * spread + level
            width = torch.sqrt(found.variance.double().cpu() + noise_variance) * spread
            inside = torch.arange(expected.shape[1]) < batch.lengths.cpu()[:, None]  # (batch, time)
            steps = panel.steps_of(batch.indices)
            middle[steps], deviation[steps] = expected[inside].numpy(), width[inside].numpy()
        return panel, middle, deviation, scores

    # ---------------------------------------------------------------- parts

    def _result(self) -> str:
        n_outliers = int((self.scores_ < self.offset_).sum())
        return f"{plural(n_outliers, 'outlier')}, with scores below {plain(self.offset_)}"

    def _facts(self) -> list[str]:
        facts = super()._facts()
        return [facts[0], self._note.rstrip("."), *facts[1:]] if self._note else facts

    def _check_options(self, panel: Panel, indices: Indices) -> None:
        if self.contamination != "auto":
            check_real("contamination", self.contamination, above=0, high=0.5)
        elif len(indices) < MIN_SCORES:
            raise InvalidDataError(
                f"contamination='auto' estimates the threshold from the scores of at least {MIN_SCORES} series; found "
                f"{len(indices)}. Pass the fraction of outliers instead, such as contamination=0.05."
            )
        check_real("false_alarm_rate", self.false_alarm_rate, above=0, below=0.5)

    def _state(self) -> tuple[dict[str, Any], Arrays]:
        if self.reference_ is None:
            raise NotFittedError("This detector was saved by an older version of vrae. Fit it again to save it.")
        known = np.isfinite(self.scores_)
        scored = {"scores": self.scores_[known], "scored": np.flatnonzero(known), "weights": self._weights}
        return {"offset": self.offset_}, {**nested({"reference": self.reference_.arrays()}), **scored}

    def _restore(self, config: dict[str, Any], arrays: Arrays) -> None:
        self.reference_, self._note = None, ""  # the series are not saved
        if "weights" in arrays:  # else the score is that of format 6 and older
            self._weights = arrays["weights"]
            self.reference_ = LocalDensity.from_arrays(subset(arrays, "reference"), len(self._weights))
        self.offset_ = config["offset"]
        self.scores_ = np.full(len(self.ids_), np.nan)
        self.scores_[arrays["scored"]] = shaped("scores", arrays, arrays["scored"].shape)


def _weights_of(model: VRAE, statistics: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return what the statistics (n, statistic) are multiplied by to be compared."""
    if not model.network_.config.n_patterns:  # they are latent vectors
        return np.ones(statistics.shape[1], np.float32)
    spread = torch.from_numpy(np.hypot(statistics.std(axis=0, dtype=np.float64), _LEAST_SPREAD))
    return model.network_.statistics.weights(spread).numpy().astype(np.float32)


def _judge_by(reference: LocalDensity, weights: npt.NDArray[np.float32]) -> Judge:
    return lambda raw: reference(raw.float().cpu().numpy() * weights)


def _scores(model: VRAE, judge: Judge, panel: Panel, indices: Indices) -> Floats:
    """Return scores of series (n_series,), higher is more anomalous. NaN outside ``indices``."""
    scores, inference = np.full(len(panel), np.nan), model.inference_
    for batch, raw in inference.batches(panel, indices, inference.raw):
        scores[batch.indices] = judge(raw)
    return scores


def _deviations(X: Any, panel: Panel, middle: Floats, deviation: Floats) -> Any:
    """Return how far values are from their expectation, in the container of X."""
    return like(X, panel.with_values(((panel.values - middle) / deviation).astype(np.float32)))


def _sampler(model: VRAE, judge: Judge | None) -> Callable[[Batch], tuple[ImportanceWeighted, Floats | float]]:
    """Return what decodes several latent samples of a batch, the same samples for every series.

    It scores the series, too, if ``judge`` tells how.
    """
    network, inference, noise_variance = model.network_, model.inference_, model.noise_variance_
    shape = (_SAMPLES, network.config.latent_size)
    noise = torch.randn(shape, generator=torch_generator(0)).to(inference.device)

    def compute(batch: Batch) -> tuple[ImportanceWeighted, Floats | float]:
        judged: Floats | float = np.nan
        if judge is not None:
            raw = inference.raw(batch)
            judged, batch = judge(raw), inference.with_raw(batch, raw)
        series = batch.values, batch.mask, batch.lengths, inference.patterns_of(batch)
        return importance_weighted(network, *series, noise, noise_variance), judged

    return compute
