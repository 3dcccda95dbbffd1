"""Latent vectors to series: decoding, sampling, reconstruction and data reduction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils.metadata_routing import UNUSED

from vrae.config import check_int
from vrae.data.containers import like
from vrae.data.panel import Panel, Values
from vrae.data.precision import float_type
from vrae.describe import Traversal, describe_traversal
from vrae.estimators.arguments import as_numbers
from vrae.estimators.fitting import FittedVRAE
from vrae.estimators.reduction import Codes, ReductionReport, reduce_panel, report_reduction, restore_panel
from vrae.exceptions import InvalidDataError, InvalidParameterError, shortened
from vrae.runtime import seed_of
from vrae.train.inference import in_units

__all__ = ["GenerativeVRAE"]

# Values that are decoded at once.
_MOST_VALUES = 1 << 30


@dataclass(kw_only=True, eq=False, repr=False)
class GenerativeVRAE(FittedVRAE):
    """A VRAE that turns latent vectors back into series."""

    # Z is an argument of its own and no metadata; scikit-learn expects an X.
    __metadata_request__inverse_transform: ClassVar[dict[str, Any]] = {"Z": UNUSED}

    def inverse_transform(self, Z: npt.ArrayLike, n_steps: int | None = None) -> Values:
        """Decode latent vectors to series.

        Parameters
        ----------
        Z : array of shape (n, latent_size)
        n_steps : int, optional
            Length of the series. Default: the median length of the training series.

        Returns
        -------
        ndarray of float32, shape (n, n_steps), or (n, n_channels, n_steps) for several channels
            A latent vector describes the shape of a series. Level and spread are the medians of the
            training series, unless ``scaling`` leaves them in. float64 if float32 is too coarse for
            this level.
        """
        self.check_fitted()
        Z = as_numbers("Z", Z, np.float32)
        latent = self.network_.config.latent_size
        if Z.ndim != 2 or Z.shape[1] != latent or not np.isfinite(Z).all():
            raise InvalidDataError(f"Z must be finite numbers of shape (n, {latent}); found shape {Z.shape}.")
        n_steps = self.n_steps_ if n_steps is None else check_int("n_steps", n_steps, low=1)
        if (count := len(Z) * n_steps * self.network_.config.n_channels) > _MOST_VALUES:
            raise InvalidParameterError(
                f"{len(Z):,} series of {shortened(n_steps)} steps are {shortened(count)} values; at most "
                f"{_MOST_VALUES:,} fit into memory. Decode fewer at a time."
            )
        with torch.inference_mode():
            decoded = self.network_.decode(torch.from_numpy(Z).to(self.inference_.device), n_steps)
        series = decoded.cpu().numpy() * self.typical_spread_ + self.typical_level_  # (n, time, channel)
        series = series.astype(float_type(self.typical_level_, self.typical_spread_)).transpose(0, 2, 1)
        return series[:, 0] if series.shape[1] == 1 else series

    def sample(self, n_samples: int = 1, random_state: int | np.random.RandomState | None = None) -> Values:
        """Draw new series from the prior. Shapes and units as in `inverse_transform`."""
        self.check_fitted()
        config = self.network_.config
        most = _MOST_VALUES // max(config.latent_size, self.n_steps_ * config.n_channels)
        check_int("n_samples", n_samples, low=1, high=most)
        rng = np.random.default_rng(seed_of(random_state))
        return self.inverse_transform(rng.standard_normal((n_samples, config.latent_size)))

    def traversal(self, dimension: int, n_values: int = 7, n_steps: int | None = None) -> Traversal:
        """Decode series along one latent dimension, with all others at their means.

        Parameters
        ----------
        dimension : int
            From 0.
        n_values : int, default=7
            Evenly spaced values, from two standard deviations below the mean to two above.
        n_steps : int, optional
            Length of the series. Default: the median length of the training series.

        Returns
        -------
        Traversal

        Raises
        ------
        InvalidParameterError
            There is no such dimension.
        """
        self.check_fitted()
        latent = self.network_.config.latent_size
        if check_int("dimension", dimension, low=0) >= latent:
            raise InvalidParameterError(
                f"dimension must be one of 0 to {latent - 1}, the model's latent dimensions; found {dimension}."
            )
        check_int("n_values", n_values, low=2, high=10_000)
        known = self.embedding_[np.isfinite(self.embedding_).all(axis=1)].astype(np.float64)
        mean, deviation = known.mean(axis=0), known.std(axis=0)
        Z = np.tile(mean, (n_values, 1))
        Z[:, dimension] += np.linspace(-2, 2, n_values) * deviation[dimension]
        decoded = self.inverse_transform(Z, n_steps)
        series = decoded.reshape(n_values, -1, decoded.shape[-1])
        return describe_traversal(dimension, Z[:, dimension], series, in_use=bool(deviation[dimension] ** 2 >= 0.01))

    def reconstruct(self, X: Any) -> Any:
        """Encode and decode every series: noise is removed and missing values are filled.

        Parameters
        ----------
        X : array (n, steps) or (n, channels, steps), list of arrays, table or Panel

        Returns
        -------
        Same container, lengths and units as X
        """
        panel, indices = self.open(X)
        inference = self.inference_
        values = np.full(panel.values.shape, np.nan, panel.values.dtype)
        for batch, decoded in inference.batches(panel, indices, inference.forward):
            values[panel.steps_of(batch.indices)] = in_units(batch, decoded.x, values.dtype)
        return like(X, panel.with_values(values))

    def reduce(self, X: Any) -> Codes:
        """Return every series as a few numbers: latent vector, level and spread.

        Parameters
        ----------
        X : array (n, steps) or (n, channels, steps), list of arrays, table or Panel

        Returns
        -------
        Codes
            Can be stored instead of the series. `restore` rebuilds them.
        """
        return reduce_panel(self, *self.open(X))

    def restore(self, codes: Codes) -> Panel:
        """Rebuild series from their codes, in their own units, lengths and order.

        Parameters
        ----------
        codes : Codes
            From `reduce` of this model.

        Raises
        ------
        InvalidDataError
            The codes belong to another model.
        """
        self.check_fitted()
        if not isinstance(codes, Codes):
            raise InvalidDataError(f"restore takes the Codes that reduce returned; found {shortened(codes)}.")
        return restore_panel(self, codes)

    def reduction_report(self, X: Any) -> ReductionReport:
        """Report the size of the codes of series, and the error of rebuilding them.

        Parameters
        ----------
        X : array (n, steps) or (n, channels, steps), list of arrays, table or Panel
            Series that the model was not fitted to say more.
        """
        panel, indices = self.open(X)
        return report_reduction(self, panel, reduce_panel(self, panel, indices))
