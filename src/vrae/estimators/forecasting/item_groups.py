"""Groups of items, and what is known of an item from its group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vrae.estimators.forecasting.pooled import PooledModel, seasonal_change
from vrae.estimators.partition import LatentSpace, Partition

__all__ = ["ItemGroups", "group_membership"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ItemGroups:
    """Groups of items with similar latent vectors.

    Attributes
    ----------
    space : LatentSpace
        The space in which latent vectors are compared.
    partition : Partition
        The rule that assigns latent vectors to groups.
    proportions : ndarray of shape (n_groups,)
        Fractions of the items.
    center, variance : ndarray of shape (n_groups, latent)
        Mean and variance of the members' latent vectors.
    curves : ndarray of shape (n_groups, n_context)
        Mean scaled curves before the origin.
    model : PooledModel
        The linear model, with coefficients for each group.
    """

    space: LatentSpace
    partition: Partition
    proportions: Floats
    center: Floats
    variance: Floats
    curves: Floats
    model: PooledModel

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return len(self.proportions)

    def membership(self, Z: Floats) -> Floats:
        """Return the probability of each group, (n, n_groups), for latent vectors (n, latent)."""
        return group_membership(self.partition.predict_proba(self.space(Z)), self.proportions)

    def seasonal_change(self, membership: Floats, season: int, horizon: int, shift: int = 0) -> Floats:
        """Return how the groups of items changed a season ago, (n, horizon).

        The horizon starts ``shift`` steps after the origin.
        """
        later = np.full((len(self.curves), shift), np.nan)
        curves = np.concatenate([self.curves, later], axis=1)[:, shift:]
        return np.asarray(membership @ seasonal_change(curves, season, horizon))

    def posterior_mean(self, mean: Floats, variance: Floats, membership: Floats) -> Floats:
        """Return latent vectors with the distribution of the group as prior, instead of N(0, 1).

        The group then fills in what a short context leaves open.

        Parameters
        ----------
        mean, variance : ndarray of shape (n, latent)
            Of the latent vectors given the contexts.
        membership : ndarray of shape (n, n_groups)
            Probabilities of the groups.

        Returns
        -------
        ndarray of float64, shape (n, latent)
        """
        prior_mean, prior_variance = membership @ self.center, membership @ self.variance
        evidence = np.maximum(1 / variance - 1, 0)  # precision that the context adds to the prior N(0, 1)
        # mean / variance is the evidence times its own mean, since the mean of the prior is 0.
        return np.asarray((mean / variance + prior_mean / prior_variance) / (evidence + 1 / prior_variance))


def group_membership(probabilities: Floats, proportions: Floats) -> Floats:
    """Normalise the rows of (n, n_groups). An item of no group gets the groups' proportions."""
    has_group = probabilities.sum(axis=1, keepdims=True) > 0
    membership = np.where(has_group, probabilities, proportions)
    return np.asarray(membership / membership.sum(axis=1, keepdims=True))
