"""VRAEAnomalyDetector: series that do what the others do not, and where they do it."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import OutlierMixin
from torch import Tensor

from vrae.config import check_real
from vrae.data.batching import Batch, Rows
from vrae.data.containers import like
from vrae.data.panel import Panel, invalid_series
from vrae.estimators.threshold import FEWEST_SCORES, share_threshold, tail_threshold
from vrae.estimators.unusual import Surprise, Yardstick
from vrae.estimators.vrae import VRAE
from vrae.exceptions import InvalidDataError
from vrae.nn.bound import Judged, judge, worst_stretch
from vrae.runtime import seed_of, torch_generator

__all__ = ["Band", "VRAEAnomalyDetector"]

# Draws of the latent vector that a series is judged by.
_DRAWS = 16
# A stretch is this share of a series of median length, and three steps at least.
_STRETCH = 1 / 20
# Share of the series that a threshold with a stated false alarm rate is worked out on; nothing else is fitted to them.
_HELD_OUT = 1 / 3
# A course that is better than expected is no surprise, however much better.
_LEAST_SURPRISE = 1e-3

Floats = npt.NDArray[np.float64]


class Band(NamedTuple):
    """Where a model expects the values of series; each part in the container and the units of the series.

    Attributes
    ----------
    low, middle, high
        ``middle`` is the reconstruction. NaN for a series without any observed value.
    """

    low: Any
    middle: Any
    high: Any


@dataclass(eq=False, repr=False)
class VRAEAnomalyDetector(OutlierMixin, VRAE):  # type: ignore[misc]
    """Find series that are unlike the others, and the steps that make them so.

    The score has four parts. *Course*: the importance-weighted bound of log p(x) (Burda et al. 2016, 16 draws) a value,
    beside the best possible. *Stretch*: the largest mean squared error of a stretch of a twentieth of the length.
    *Patterns*: the error of the head that gives back the local patterns (where these are learned). *Place*: the squared
    Mahalanobis distance of the latent vector from the majority, found robustly (minimum covariance determinant), so
    that nearly half of the training series may be anomalies. The logarithm of each is put in spreads above its median
    in the majority, and the score is the mean of the four. ``benchmarks/anomaly`` measures this against other ways, on
    many data sets with one setting: no part alone is good on all of them.

    All options of `BaseVRAE` can be set too, by name; ``beta`` is .3 here: a sharper reconstruction finds more;
    ``learning_rate`` is 5e-3: what learns fast learns the odd ones too.

    Parameters
    ----------
    contamination : float or "auto", default=0.05
        A float in (0, .5]: the share of the training series that are to be called outliers. "auto": the threshold is
        one that usual series pass with probability ``false_alarm_rate``, by extreme-value theory (peaks over a
        threshold). A third of the series is then held out from training to learn it; takes 60 series at least.
    false_alarm_rate : float, default=0.01
        In (0, .5), for "auto": the share of usual, new series that may be called outliers.

    Attributes
    ----------
    offset_ : float
        Threshold: outliers have ``score_samples`` below it.
    scores_ : ndarray of float64, shape (n_series,)
        ``score_samples`` of the training series.
    yardstick_ : Yardstick
        What is usual.

    Examples
    --------
    >>> from vrae import VRAEAnomalyDetector, load_example
    >>> X, labels = load_example("ItalyPowerDemand", split="train")
    >>> detector = VRAEAnomalyDetector(contamination=0.1, max_epochs=2, random_state=0)
    >>> verdict = detector.fit_predict(X)
    >>> int((verdict == -1).sum())
    7
    """

    contamination: float | Literal["auto"] = 0.05
    false_alarm_rate: float = 0.01
    _: KW_ONLY
    beta: float = 0.3
    learning_rate: float = 5e-3

    @classmethod
    def of(
        cls,
        model: VRAE,
        X: Any,
        contamination: float | Literal["auto"] = 0.05,
        false_alarm_rate: float = 0.01,
    ) -> Self:
        """Return a detector with the network of a model that is fitted already, a clusterer for example.

        Parameters
        ----------
        model : VRAE
            Its network is shared, not copied.
        X : array (n, steps) or (n, channels, steps), list of arrays, table or Panel
            The series that say what is usual, and where the threshold lies; the model's own, or others.
        contamination, false_alarm_rate
            See the class. For "auto" the threshold comes from a third of X, which ``model`` should not have learned.

        Raises
        ------
        NotFittedError, InvalidDataError, InvalidParameterError
        """
        panel, rows = model._open(X)
        self = cls._sharing(model, contamination, false_alarm_rate)
        self._check_own_options(len(rows))
        learned = np.setdiff1d(rows, self._held_out(rows), assume_unique=True)
        self._describe_training_series(panel, learned, None)
        return self

    # ---------------------------------------------------------------- which series

    def fit_predict(self, X: Any, y: Any = None) -> npt.NDArray[np.int64]:
        """Fit to series and return the verdict on each; see `fit` and `predict`."""
        return self._verdict(self.fit(X).scores_)

    def predict(self, X: Any) -> npt.NDArray[np.int64]:
        """Return -1 for outliers, 1 for usual series, shape (n_series,); 0 for a series without any observed value."""
        return self._verdict(self.score_samples(X))

    def decision_function(self, X: Any) -> Floats:
        """Return how far every series is on the usual side of the threshold, shape (n_series,): negative = outlier."""
        return self.score_samples(X) - self.offset_

    def score_samples(self, X: Any) -> Floats:
        """Return how usual every series is: 0 is the middle of the usual, -3 is three spreads away from it.

        Returns
        -------
        ndarray of float64, shape (n_series,)
            Higher is more usual. NaN for a series without any observed value.
        """
        panel, rows = self._open(X)
        return -self.yardstick_(self._surprise(panel, rows))

    def _verdict(self, scores: Floats) -> npt.NDArray[np.int64]:
        return np.where(np.isnan(scores), 0, np.where(scores < self.offset_, -1, 1)).astype(np.int64)

    # ---------------------------------------------------------------- where in the series

    def step_scores(self, X: Any) -> Any:
        """Return how far every value is from where the model expects it.

        Parameters
        ----------
        X : array (n, steps) or (n, channels, steps), list of arrays, table or Panel

        Returns
        -------
        Same container and lengths as X
            In standard deviations of the values expected, noise included: usual ones are within 2 or 3; above them
            positive, below negative. NaN where the value is missing.
        """
        panel, rows = self._open(X)
        middle, deviation = self._expect(panel, rows)
        return like(X, panel.with_values(((panel.values - middle) / deviation).astype(np.float32)))

    def explain(self, X: Any, width: float = 3.0) -> Band:
        """Return where the model expects the values of every series; what is outside is what is unusual about it.

        Parameters
        ----------
        X : array (n, steps) or (n, channels, steps), list of arrays, table or Panel
        width : float, default=3.0
            Standard deviations from the middle to the edges; ``abs(step_scores)`` above it lies outside.

        Returns
        -------
        Band
            ``low``, ``middle`` and ``high``; `vrae.plots.plot_anomalies` draws them.
        """
        check_real("width", width, above=0)
        panel, rows = self._open(X)
        middle, deviation = self._expect(panel, rows)
        edges = (middle - width * deviation, middle, middle + width * deviation)
        return Band(*(like(X, panel.with_values(edge.astype(np.float32))) for edge in edges))

    def _expect(self, panel: Panel, rows: Rows) -> tuple[Floats, Floats]:
        """Return mean and standard deviation of all values, (total_steps, n_channels), in the units of X."""
        middle, deviation = np.full((2, *panel.values.shape), np.nan)
        for batch, judged in self._visit(panel, rows, self._judgement()):
            level, spread = batch.level[:, None], batch.spread[:, None]  # (batch, 1, channel)
            expected = judged.mean.double().cpu() * spread + level
            width = torch.sqrt(judged.variance.double().cpu() + self.noise_variance_) * spread
            inside = torch.arange(expected.shape[1]) < batch.lengths.cpu()[:, None]  # (batch, time)
            steps = panel.steps_of(batch.rows)
            middle[steps], deviation[steps] = expected[inside].numpy(), width[inside].numpy()
        return middle, deviation

    # ---------------------------------------------------------------- learning

    def _check_own_options(self, n_series: int) -> None:
        if self.contamination != "auto":
            check_real("contamination", self.contamination, above=0, high=0.5)
        check_real("false_alarm_rate", self.false_alarm_rate, above=0, below=0.5)

    def _learn(self, panel: Panel, rows: Rows, anew: bool) -> Self:
        return super()._learn(panel, np.setdiff1d(rows, self._held_out(rows), assume_unique=True), anew)

    def _held_out(self, rows: Rows) -> Rows:
        """Choose the series that nothing but the threshold is fitted to."""
        if not isinstance(self.contamination, str) or self.contamination != "auto":
            return rows[:0]
        n = round(_HELD_OUT * len(rows))
        if n < FEWEST_SCORES:
            raise InvalidDataError(
                f"contamination='auto' holds a third of the series out to learn the threshold from, and needs "
                f"{3 * FEWEST_SCORES} series at least; found {len(rows)}. Give the share of outliers instead, such as "
                f"contamination=0.05."
            )
        return np.sort(np.random.default_rng(seed_of(self.random_state)).permutation(rows)[:n])

    def _describe_training_series(self, panel: Panel, rows: Rows, patterns: Tensor | None) -> None:
        super()._describe_training_series(panel, rows, patterns)
        usable = np.flatnonzero(~invalid_series(panel))
        held_out = np.setdiff1d(usable, rows, assume_unique=True)
        surprise = self._surprise(panel, usable)
        self.embedding_[held_out] = surprise.Z[held_out]
        weights = np.array([1.0, 1.0, self.network_.config.n_patterns > 0, 1.0])
        self.yardstick_ = Yardstick.fit(surprise.take(rows), weights)
        self.scores_ = -self.yardstick_(surprise)
        if self.contamination == "auto":
            self.offset_ = -tail_threshold(-self.scores_[held_out], self.false_alarm_rate)
        else:
            self.offset_ = -share_threshold(-self.scores_[rows], self.contamination)

    def _surprise(self, panel: Panel, rows: Rows) -> Surprise:
        """Return what there is to be surprised by in every series; NaN but for those at ``rows``."""
        compute = self._judgement()
        least = 0.5 * np.log(2 * np.pi * self.noise_variance_)  # nats a value, of a perfect reconstruction
        Z = np.full((len(panel), self.network_.config.latent_size), np.nan)
        course, stretch, patterns = np.full((3, len(panel)), np.nan)
        for batch, judged in self._visit(panel, rows, compute):
            Z[batch.rows] = judged.latent.double().cpu().numpy()
            observed = batch.mask.sum(dim=(1, 2)).double().cpu().numpy()
            bound = judged.bound.double().cpu().numpy()
            course[batch.rows] = np.maximum(-bound / observed - least, _LEAST_SURPRISE)
            squares = ((judged.mean - batch.values) ** 2 * batch.mask).sum(dim=2)  # (batch, time)
            width = max(3, round(_STRETCH * self.n_steps_))
            stretch[batch.rows] = worst_stretch(squares, batch.lengths, width).cpu().numpy()
            patterns[batch.rows] = judged.pattern_error.double().cpu().numpy()
        return Surprise(Z, course, stretch, patterns)

    def _judgement(self) -> Any:
        """Return what judges a batch."""
        config = self.network_.config
        device = next(self.network_.parameters()).device
        noise = torch.randn(_DRAWS, config.latent_size, generator=torch_generator(0)).to(device)

        def compute(batch: Batch) -> Judged:
            patterns = batch.patterns
            if patterns is None and config.n_patterns:
                patterns = self.network_.statistics(batch.values, batch.mask, batch.lengths, batch.scale)
            return judge(self.network_, batch.values, batch.mask, batch.lengths, patterns, noise, self.noise_variance_)

        return compute

    # ---------------------------------------------------------------- model directory

    def _state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        known = np.isfinite(self.scores_)
        arrays = {f"yardstick.{name}": a for name, a in self.yardstick_.arrays().items()}
        scored = {"scores": self.scores_[known], "scored": np.flatnonzero(known)}
        return {"offset": self.offset_}, {**arrays, **scored}

    def _restore(self, config: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> None:
        prefix = "yardstick."
        own = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
        self.yardstick_ = Yardstick.from_arrays(own)
        self.offset_ = config["offset"]
        self.scores_ = np.full(len(self.ids_), np.nan)
        self.scores_[arrays["scored"]] = arrays["scores"]
