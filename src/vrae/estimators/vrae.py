"""VRAE: series to latent vectors and back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn import get_config
from sklearn.base import TransformerMixin
from sklearn.utils import Tags

from vrae.config import check_choice
from vrae.data.batching import Batch, Indices
from vrae.data.containers import index_like
from vrae.data.panel import Panel
from vrae.data.precision import float_type
from vrae.estimators.decoding import GenerativeVRAE
from vrae.estimators.fitted_repr import FittedRepr
from vrae.estimators.plotting import ModelPlots, PlotAccessor
from vrae.estimators.state import save_model
from vrae.exceptions import DataWarning, InvalidParameterError, shortened, warn
from vrae.nn.loss import evidence_lower_bound

__all__ = ["VRAE"]

# The network and training of the original VRAE. With 2 sigma^2 = 1 and beta = 1 the loss is the sum
# of squared errors plus KL.
_CLASSIC: dict[str, Any] = {
    "architecture": "classic",
    "latent_size": 20,
    "hidden_size": 90,
    "patch_size": 1,
    "dropout": 0.2,
    "pattern_weight": 0.0,
    "max_epochs": 40,
    "batch_size": 32,
    "learning_rate": 5e-4,
}

# Best reconstruction of unseen series from few numbers; see benchmarks/reduction. Patterns and a
# strong KL term would spend latent dimensions on other things.
_REDUCTION: dict[str, Any] = {
    "architecture": "linear",
    "latent_size": "auto",
    "pattern_weight": 0.0,
    "beta": 1e-4,
    "learning_rate": 3e-3,
    "early_stopping": 20,
}


@dataclass(kw_only=True, eq=False, repr=False)
class VRAE(FittedRepr, TransformerMixin, GenerativeVRAE, auto_wrap_output_keys=None):  # type: ignore[misc]
    """Variational recurrent autoencoder: compresses each series into a short latent vector.

    Series may have unequal lengths, missing values (NaN) and several channels.

    Parameters
    ----------
    latent_size : int or "auto", default=16
        Length of the latent vector. "auto" takes the number of dimensions that describe left-out
        series better than noise, at most 32; the curve is in ``size_curve_``.
    hidden_size : int, default=64
        Width of the recurrent layers.
    num_layers : int, default=1
        Recurrent layers of the encoder, and of the decoder.
    cell : {"lstm", "gru"}, default="lstm"
        Recurrent cell.
    architecture : {"default", "classic", "linear"}, default="default"
        "default" encodes in both directions and averages the hidden states. "classic" is the
        original network; see `classic`. "linear" adds principal axes; see `for_reduction`.
    patch_size : int or "auto", default="auto"
        Consecutive steps that enter the recurrent network together. "auto" depends on the lengths.
        1 is the textbook network, and the slowest.
    dropout : float, default=0.0
        Fraction of recurrent outputs dropped in training, in [0, 1).
    max_lag : int or float, default=0
        Largest shift in time that does not matter: series that differ by a (circular) shift get the
        same latent vector. An int counts steps. A float is a fraction of the median length, up to
        0.5. 0 switches shifts off.
    pattern_weight : float, default=2.0
        Weight of local patterns, wherever they occur, relative to the values in their order.
        Statistics of the patterns enter the encoder, and a second head predicts them. 0 switches
        patterns off.
    level_weight : float, default=0.0
        Weight of the level and spread of a series relative to its shape. 0 compares shapes only, 1
        weighs both alike. Needs patterns, and ``scaling`` "series" or "robust".
    timing : {"calendar", "free"}, default="calendar"
        Whether it matters when a series is high, if series have dates on one calendar: at which
        hours, weekdays and months, and in which part of the calendar. Items that sell in summer and
        in winter are then different. "free" compares the patterns alone, wherever they occur, and
        so do series without dates.
    scaling : {"series", "channel", "robust"} or None, default="series"
        "series" scales each series to mean 0 and standard deviation 1, "robust" by median and
        interquartile range. "channel" scales each channel by its mean and standard deviation over
        all series. None leaves the values as they are.
    reconstruction_loss : {"mse", "smooth_l1"} or torch.nn.Module, default="mse"
        Error per value. The loss sums it over the observed values of a series.
    beta : float, default=1.0
        Weight of the KL divergence.
    max_epochs : int or "auto", default="auto"
        Passes over the series. "auto" gives about 100 training steps, up to 300 with early
        stopping.
    batch_size : int, default=64
        Series per training step.
    optimizer : {"adam", "sgd"}, default="adam"
        Optimizer.
    learning_rate : float, default=2e-2
        Highest learning rate.
    early_stopping : bool or int, default=False
        Hold out a tenth of the series, and stop when their loss has not improved for this number of
        epochs (True: 10).
    on_invalid : {"raise", "drop", "keep"}, default="raise"
        What to do with a series without any observed value: raise an error, leave it out with a
        warning, or keep its row and fill the result with NaN.
    device : str, default="auto"
        "auto" (CUDA if available, else the CPU), "cpu", "cuda" or "mps".
    precision : {"float32", "bfloat16", "float16"}, default="float32"
        Precision of matrix products on a GPU. Weights stay float32.
    random_state : int, RandomState or None, default=None
        An int makes results reproducible on the same device.
    verbose : int, default=0
        1 shows a progress bar on stderr.
    callbacks : list of Callback, optional
        See `vrae.train.callbacks.Callback`.

    Attributes
    ----------
    embedding_ : ndarray of float32, shape (n_series, latent_size)
        Latent vectors (posterior means) of the training series.
    ids_ : ndarray, shape (n_series,)
        Ids of the training series.
    history_ : list of dict
        One record per epoch; see `vrae.train.callbacks.Callback`.
    active_units_ : int
        Latent dimensions in use: their mean varies by more than 0.01 between series.
    size_curve_ : list of dict
        For ``latent_size="auto"``: the sizes tried, with their scores.
    noise_variance_ : float
        Mean squared error of the reconstruction per observed value, in scaled units.
    n_steps_ : int
        Median length of the training series.
    n_features_in_ : int
        Values per training series. Only if all have the same length.
    network_ : VRAENetwork
    scaler_ : Scaler

    References
    ----------
    Kingma & Welling, "Auto-Encoding Variational Bayes", ICLR 2014. Fabius & van Amersfoort,
    "Variational Recurrent Auto-Encoders", ICLR 2015 workshop.

    Examples
    --------
    >>> from vrae import VRAE, load_example
    >>> X, labels = load_example("ItalyPowerDemand", split="train")
    >>> model = VRAE(latent_size=4, max_epochs=2, random_state=0)
    >>> model.fit_transform(X).shape
    (67, 4)
    """

    plot = PlotAccessor(ModelPlots)

    @classmethod
    def classic(cls, **options: Any) -> Self:
        """Return the original VRAE: LSTM(90), last hidden state, 20 latent dimensions, Adam.

        Parameters
        ----------
        **options
            Options of the class that replace the classic ones.
        """
        return cls(**{**_CLASSIC, **options})

    @classmethod
    def for_reduction(cls, **options: Any) -> Self:
        """Return a model for data reduction: the fewest numbers that reconstruct series well.

        The default network gives up detail in favour of clusters. This one combines principal axes
        that generalise to unseen series with the recurrent network, and chooses ``latent_size``.

        Parameters
        ----------
        **options
            Options of the class that replace those for reduction.
        """
        return cls(**{**_REDUCTION, **options})

    # ---------------------------------------------------------------- series to latent vectors

    def transform(self, X: Any) -> Any:
        """Return the latent vector (posterior mean) of every series.

        Parameters
        ----------
        X : array (n, steps) or (n, channels, steps), list of arrays, table or Panel

        Returns
        -------
        ndarray of float32, shape (n_series, latent_size)
            Or a table; see `set_output`.
        """
        panel, indices = self.open(X)
        return self._output(self.inference_.embed(panel, indices), panel.ids, X)

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Fit to series and return their latent vectors; see `fit` and `transform`."""
        self.fit(X, y)
        return self._output(self.embedding_, self.ids_, X)

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[np.object_]:
        """Return names of the latent dimensions: vrae0, vrae1, ...

        Parameters
        ----------
        input_features : array of str, optional
            Ignored, except that its length is checked. Present for API consistency.

        Raises
        ------
        InvalidParameterError
            The length of ``input_features`` is not ``n_features_in_``.
        """
        self.check_fitted()
        known = getattr(self, "n_features_in_", None)
        if input_features is not None and not hasattr(input_features, "__len__"):
            raise InvalidParameterError(f"input_features must be an array of names; found {shortened(input_features)}.")
        if input_features is not None and known is not None and len(input_features) != known:
            raise InvalidParameterError(
                f"input_features should have length equal to number of features ({known}), got {len(input_features)}."
            )
        return np.array([f"vrae{d}" for d in range(self.network_.config.latent_size)], dtype=object)

    def set_output(self, *, transform: str | None = None) -> Self:
        """Choose the container of latent vectors.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"} or None
            "pandas" keeps the index of a pandas table with one row per series; otherwise the ids
            are the index. None leaves the choice unchanged.
        """
        if transform is not None:
            check_choice("transform", transform, ("default", "pandas", "polars"))
            self._sklearn_output_config = {"transform": transform}  # the attribute that clone() copies
        return self

    def _output(self, Z: npt.NDArray[np.float32], ids: npt.NDArray[Any], X: Any) -> Any:
        chosen = getattr(self, "_sklearn_output_config", {}).get("transform", get_config()["transform_output"])
        if chosen == "pandas":
            import pandas as pd

            return pd.DataFrame(Z, columns=self.get_feature_names_out(), index=index_like(X, ids))
        if chosen == "polars":
            import polars as pl

            return pl.DataFrame(Z, schema=list(self.get_feature_names_out()), orient="row")
        return Z

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    # ---------------------------------------------------------------- numbers about series

    def score_samples(self, X: Any) -> npt.NDArray[np.float64]:
        """Return the evidence lower bound of every series. Higher is more normal.

        Returns
        -------
        ndarray of float64, shape (n_series,)
            In nats, in scaled units. It grows in magnitude with the length: divide by the number of
            observed values to compare series of unequal length.
        """
        return self._bounds(*self.open(X))

    def _bounds(self, panel: Panel, indices: Indices) -> npt.NDArray[np.float64]:
        inference = self.inference_

        def bound(batch: Batch) -> torch.Tensor:
            return evidence_lower_bound(inference.forward(batch), batch.values, batch.mask, self.noise_variance_)

        return inference.per_series(panel, indices, bound, np.full(len(panel), np.nan))

    def score(self, X: Any, y: Any = None) -> float:
        """Return how well the model explains series, for example of a test set. Higher is better.

        scikit-learn's searches use it to compare options, except ``scaling``, which changes its
        units.

        Parameters
        ----------
        X : array (n, steps) or (n, channels, steps), list of arrays, table or Panel
        y : None
            Ignored. Present for API consistency.

        Returns
        -------
        float
            Evidence lower bound in nats, in scaled units, averaged over all observed values.
        """
        panel, indices = self.open(X)
        observed = sum(int((~np.isnan(part)).sum()) for part in panel.slices())
        return float(np.nansum(self._bounds(panel, indices)) / observed) if observed else math.nan

    def lags(self, X: Any) -> npt.NDArray[np.int64]:
        """Return the shift of every series against its reconstruction, in steps.

        Returns
        -------
        ndarray of int64, shape (n_series,)
            Positive: later; negative: earlier. Shifts are circular. All 0 if ``max_lag`` is 0.
        """
        panel, indices = self.open(X)
        inference = self.inference_
        found = inference.per_series(panel, indices, lambda b: inference.forward(b).lags, np.zeros(len(panel)))
        return found.astype(np.int64)

    # ---------------------------------------------------------------- files and notebooks

    def save(self, path: str | Path) -> Path:
        """Write the fitted model to a directory: JSON and safetensors, no pickle.

        `vrae.load_model` reads it.

        Parameters
        ----------
        path : str or Path
            An older model of that name is replaced when the new one is complete.

        Returns
        -------
        Path

        Raises
        ------
        NotFittedError, OutputError
        """
        self.check_fitted()
        return save_model(path, self, self)

    def export_onnx(self, path: str | Path) -> Path:
        """Write `transform` as an ONNX file, for programs without vrae or Python.

        The graph takes ``values``, float32 (batch, time, channel), raw, NaN where missing; and
        ``lengths``, int64 (batch,). It returns ``latent``, float32 (batch, latent_size), NaN for a
        series without any observed value. Batch and time are free. Scaling and pattern statistics
        are included.

        Parameters
        ----------
        path : str or Path
            A file of that name is replaced when the new one is complete.

        Returns
        -------
        Path

        Raises
        ------
        MissingDependencyError
            The extra ``vrae[onnx]`` is not installed.
        InvalidParameterError
            The model compares series by date; see ``timing``.
        NotFittedError, OutputError
        """
        from vrae._version import __version__
        from vrae.export import export_onnx

        self.check_fitted()
        if self.scaler_.timing is not None:
            raise InvalidParameterError(
                "An ONNX file has no dates, and this model compares series by date. Fit it with timing set to free."
            )
        if float_type(self.typical_level_, self.typical_spread_) is np.float64:
            warn(
                f"The graph takes float32 values, which are too coarse for series that vary by "
                f"{self.typical_spread_.min():.3g} around {np.abs(self.typical_level_).max():.6g}. Fit the model to "
                f"series from which you subtracted a constant, and subtract it before you run the graph.",
                DataWarning,
            )
        facts = {"vrae_version": __version__, "class": type(self).__name__, "scaling": str(self.scaler_.scaling)}
        return export_onnx(self.network_, self.scaler_, path, facts)

    def _result(self) -> str:
        return f"{self.active_units_} of {self.embedding_.shape[1]} latent dimensions in use"

    def _facts(self) -> list[str]:
        return self.facts()
