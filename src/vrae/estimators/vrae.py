"""VRAE: series to latent vectors and back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn import get_config
from sklearn.base import TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.metadata_routing import UNUSED

from vrae.config import check_choice, check_int
from vrae.data.batching import Batch, Rows
from vrae.data.containers import index_like, like
from vrae.data.panel import Panel
from vrae.estimators.explain import traverse
from vrae.estimators.explanations import Traversal
from vrae.estimators.memory import LearnsOn
from vrae.estimators.reduction import Codes, ReductionReport, reduce_panel, report_reduction, restore_panel
from vrae.estimators.summary import summary_html
from vrae.exceptions import InvalidDataError, InvalidParameterError
from vrae.nn.loss import evidence_lower_bound
from vrae.runtime import seed_of

__all__ = ["VRAE", "in_units"]

# The network and training of the seed, as its text and defaults have them. 2 sigma^2 = 1 and beta = 1 make the
# loss the sum of squared errors plus KL.
_CLASSIC: dict[str, Any] = {
    "latent_size": 20,
    "hidden_size": 90,
    "num_layers": 1,
    "cell": "lstm",
    "bidirectional": False,
    "pooling": "last",
    "patch_size": 1,
    "dropout": 0.2,
    "feed_latent": False,
    "reconstruction_loss": "mse",
    "beta": 1.0,
    "kl_warmup": 0.0,
    "max_lag": 0,
    "local_patterns": 0.0,
    "max_epochs": 40,
    "batch_size": 32,
    "optimizer": "adam",
    "learning_rate": 5e-4,
    "lr_schedule": "constant",
    "max_grad_norm": 5.0,
}

# What reconstructs series not seen before best from few numbers, see benchmarks/reduction: principal axes carry what
# they can, and the network learns what they leave as long as series held out gain by it. Patterns and a strong KL
# would take numbers for other things than the course.
_REDUCTION: dict[str, Any] = {
    "latent_size": "auto",
    "linear_path": True,
    "local_patterns": 0.0,
    "beta": 1e-4,
    "kl_warmup": 0.0,
    "learning_rate": 3e-3,
    "early_stopping": 20,
}


@dataclass(kw_only=True, eq=False, repr=False)
class VRAE(TransformerMixin, LearnsOn, auto_wrap_output_keys=None):  # type: ignore[misc, call-arg]
    """Variational recurrent auto-encoder: sums up every series in a small latent vector, and back.

    Series may be of unequal length, have missing values (NaN) and many channels. The options are those of
    `BaseVRAE`.

    References
    ----------
    Kingma & Welling, "Auto-Encoding Variational Bayes", ICLR 2014. Fabius & van Amersfoort, "Variational
    Recurrent Auto-Encoders", ICLR 2015 workshop.

    Examples
    --------
    >>> from vrae import VRAE, load_example
    >>> X, labels = load_example("ItalyPowerDemand", split="train")
    >>> model = VRAE(latent_size=4, max_epochs=2, random_state=0)
    >>> model.fit_transform(X).shape
    (67, 4)
    """

    @classmethod
    def classic(cls, **options: Any) -> Self:
        """Return the seed's network by its own words: LSTM(90), last hidden state, 20 latent dimensions, Adam.

        Parameters
        ----------
        **options
            Any option of `BaseVRAE` (and of the class) takes the place of the classic one.
        """
        return cls(**{**_CLASSIC, **options})

    @classmethod
    def for_reduction(cls, **options: Any) -> Self:
        """Return a model for data reduction: the fewest numbers from which series can be rebuilt.

        The default network is made for clusters and gives up detail. This one has a linear path, principal axes that
        hold for series not seen yet, beside the recurrent one, and chooses ``latent_size`` by itself.

        Parameters
        ----------
        **options
            Any option of `BaseVRAE` (and of the class) takes the place of the one for reduction.
        """
        return cls(**{**_REDUCTION, **options})

    def _html_repr(self) -> str:
        """Return what a notebook shows: a summary of what was learned, above scikit-learn's table of options."""
        options: str = super()._html_repr()
        return summary_html(self) + options if self.__sklearn_is_fitted__() else options

    # ---------------------------------------------------------------- series to latent vectors

    def transform(self, X: Any) -> Any:
        """Return the latent vector (posterior mean) of every series.

        Parameters
        ----------
        X : array (n, steps) or (n, channels, steps), list of arrays, table or Panel

        Returns
        -------
        ndarray of float32, shape (n_series, latent_size)
            Or a table, see `set_output`.
        """
        panel, rows = self._open(X)
        return self._output(self._embed(panel, rows), panel.ids, X)

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Fit to series and return their latent vectors; see `fit` and `transform`."""
        self.fit(X, y)
        return self._output(self.embedding_, self.ids_, X)

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[np.object_]:
        """Return names of the latent dimensions: vrae0, vrae1, ...

        Parameters
        ----------
        input_features : array of str, optional
            There for scikit-learn's sake: the names do not depend on it.

        Raises
        ------
        InvalidParameterError
            They are not as many as the steps that were learned from.
        """
        self._check_fitted()
        known = getattr(self, "n_features_in_", None)
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
            "pandas": a DataFrame with the index of a pandas table that has a row for each series, else with the ids as
            its index. "polars": a DataFrame, whose rows are in order of the series. None leaves the choice as it is.
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

    # ---------------------------------------------------------------- and back

    # Z is what the method is about, and no metadata; scikit-learn expects an X.
    __metadata_request__inverse_transform: ClassVar[dict[str, Any]] = {"Z": UNUSED}

    def inverse_transform(self, Z: npt.ArrayLike, n_steps: int | None = None) -> npt.NDArray[np.float32]:
        """Turn latent vectors into series.

        Parameters
        ----------
        Z : array of shape (n, latent_size)
        n_steps : int, optional
            Length of the series; default: the median length of the training series.

        Returns
        -------
        ndarray of float32, shape (n, n_steps), or (n, n_channels, n_steps) for several channels
            A latent vector knows the shape of a series, not its level and spread (unless ``scaling`` leaves
            them in): these are the training series' median ones.
        """
        self._check_fitted()
        Z = np.asarray(Z, np.float32)
        latent = self.network_.config.latent_size
        if Z.ndim != 2 or Z.shape[1] != latent or not np.isfinite(Z).all():
            raise InvalidDataError(f"Z must be finite numbers of shape (n, {latent}); found shape {Z.shape}.")
        n_steps = self.n_steps_ if n_steps is None else check_int("n_steps", n_steps, low=1)
        device = next(self.network_.parameters()).device
        with torch.inference_mode():
            decoded = self.network_.decode(torch.from_numpy(Z).to(device), n_steps)  # (n, time, channel)
        series = decoded.cpu().numpy() * self.typical_spread_ + self.typical_level_
        series = series.astype(np.float32).transpose(0, 2, 1)
        return series[:, 0] if series.shape[1] == 1 else series

    def sample(
        self, n_samples: int = 1, random_state: int | np.random.RandomState | None = None
    ) -> npt.NDArray[np.float32]:
        """Draw new series from the prior; shapes and units as in `inverse_transform`."""
        self._check_fitted()
        check_int("n_samples", n_samples, low=1)
        rng = np.random.default_rng(seed_of(random_state))
        return self.inverse_transform(rng.standard_normal((n_samples, self.network_.config.latent_size)))

    def traversal(self, dimension: int, n_values: int = 7, n_steps: int | None = None) -> Traversal:
        """Show what a latent dimension does: series decoded along it, all other dimensions at their means.

        Parameters
        ----------
        dimension : int
            From 0.
        n_values : int
            Evenly spaced, from two standard deviations of the training series below their mean to two above.
        n_steps : int, optional
            Length of the series; default: the median length of the training series.

        Returns
        -------
        Traversal

        Raises
        ------
        InvalidParameterError
            There is no such dimension.
        """
        self._check_fitted()
        return traverse(self, dimension, n_values, n_steps)

    def reconstruct(self, X: Any) -> Any:
        """Return the model's version of every series: noise is left out and missing values are filled.

        Parameters
        ----------
        X : array (n, steps) or (n, channels, steps), list of arrays, table or Panel

        Returns
        -------
        Same container, lengths and units as X
        """
        panel, rows = self._open(X)
        return like(X, self._reconstruct(panel, rows))

    def _reconstruct(self, panel: Panel, rows: npt.NDArray[np.int64]) -> Panel:
        values = np.full(panel.values.shape, np.nan, np.float32)
        for batch, decoded in self._visit(panel, rows, self._decode):
            values[panel.steps_of(batch.rows)] = in_units(batch, decoded.x)
        return panel.with_values(values)

    # ---------------------------------------------------------------- data reduction

    def reduce(self, X: Any) -> Codes:
        """Return every series as a few numbers: its latent vector, and the level and spread that scaling took out.

        Parameters
        ----------
        X : array (n, steps) or (n, channels, steps), list of arrays, table or Panel

        Returns
        -------
        Codes
            Small enough to keep in place of the series; `restore` rebuilds them.
        """
        panel, rows = self._open(X)
        return reduce_panel(self, panel, rows)

    def restore(self, codes: Codes) -> Panel:
        """Rebuild series from their codes, in their own units, lengths and order; what was missing is filled.

        Parameters
        ----------
        codes : Codes
            Of this model's `reduce`.

        Raises
        ------
        InvalidDataError
            The codes are another model's.
        """
        self._check_fitted()
        return restore_panel(self, codes)

    def reduction_report(self, X: Any) -> ReductionReport:
        """Tell how many numbers series come to, and what rebuilding them loses.

        Parameters
        ----------
        X : array (n, steps) or (n, channels, steps), list of arrays, table or Panel
            Series that the model was not fitted to tell more.
        """
        panel, rows = self._open(X)
        return report_reduction(self, panel, reduce_panel(self, panel, rows))

    # ---------------------------------------------------------------- numbers about series

    def score_samples(self, X: Any) -> npt.NDArray[np.float64]:
        """Return the evidence lower bound of every series: higher is more usual.

        Returns
        -------
        ndarray of float64, shape (n_series,)
            Nats, in scaled units. Longer series have larger magnitudes: divide by the number of observed
            values to compare unequal lengths.
        """
        return self._bounds(*self._open(X))

    def _bounds(self, panel: Panel, rows: Rows) -> npt.NDArray[np.float64]:
        def bound(batch: Batch) -> torch.Tensor:
            return evidence_lower_bound(self._decode(batch), batch.values, batch.mask, self.noise_variance_)

        return self._per_series(panel, rows, bound, np.full(len(panel), np.nan))

    def score(self, X: Any, y: Any = None) -> float:
        """Return how well the network explains series, those of a test set for example; higher is better.

        It is about the network, not about clusters, outliers or neighbours, in every class: it tells nothing of
        ``n_clusters``. scikit-learn's searches compare options by it, but for ``scaling``, which changes its units.

        Parameters
        ----------
        X : array (n, steps) or (n, channels, steps), list of arrays, table or Panel
        y : ignored

        Returns
        -------
        float
            Evidence lower bound in nats, in scaled units, the mean over all observed values.
        """
        panel, rows = self._open(X)
        observed = sum(int((~np.isnan(part)).sum()) for part in panel.slices())
        return float(np.nansum(self._bounds(panel, rows)) / observed) if observed else math.nan

    def lags(self, X: Any) -> npt.NDArray[np.int64]:
        """Return how many steps every series runs behind the model's own course of it.

        Returns
        -------
        ndarray of int64, shape (n_series,)
            Positive: later; negative: earlier; circular. All 0 if ``max_lag`` is 0.
        """
        panel, rows = self._open(X)
        found = self._per_series(panel, rows, lambda b: self._decode(b).lags, np.zeros(len(panel)))
        return found.astype(np.int64)

    # ---------------------------------------------------------------- for programs without vrae

    def export_onnx(self, path: str | Path) -> Path:
        """Write what ``transform`` does as an ONNX file, for programs without vrae or Python.

        The graph has two inputs, of any batch and length: ``values``, float32 (batch, time, channel), raw, NaN where
        missing; and ``lengths``, int64 (batch,). Its output is ``latent``, float32 (batch, latent_size), a row of NaN
        for a series without any observed value. Scaling and pattern statistics are inside.

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
        NotFittedError, OutputError
        """
        from vrae import __version__
        from vrae.export import export_onnx

        self._check_fitted()
        facts = {"vrae_version": __version__, "class": type(self).__name__, "scaling": str(self.scaler_.scaling)}
        return export_onnx(self.network_, self.scaler_, path, facts)

    # ---------------------------------------------------------------- for those that work on latent vectors

    def _generated(self) -> npt.NDArray[np.float64]:
        """Return what a step along each latent dimension changes, (latent, m): in patterns if they are learned."""
        if not self.network_.config.n_patterns:
            return np.eye(self.network_.config.latent_size)
        weight = self.network_.latent_to_patterns.weight.detach()  # (n_patterns, latent)
        return weight.double().cpu().numpy().T


def in_units(batch: Batch, x: torch.Tensor) -> npt.NDArray[np.float32]:
    """Return decoded series (batch, time, channel) in the user's units, end to end: (steps, channel)."""
    series = x.double().cpu() * batch.spread[:, None] + batch.level[:, None]
    inside = torch.arange(series.shape[1]) < batch.lengths.cpu()[:, None]  # (batch, time)
    return series[inside].float().numpy()
