"""Latent vectors that keep neighbours: series whose patterns are alike get similar vectors.

Vectors of pattern statistics p are compared as ``p M``, where M whitens the differences between
neighbours: with C their covariance, ``M = C^(-1/2)``. Directions in which neighbours differ little
then count as much as those in which they differ a lot (relevant component analysis, Bar-Hillel,
Hertz, Shental & Weinshall, JMLR 2005, with neighbours for equivalent points).

A graph joins every vector to its nearest neighbours. With d(i, j) the distance and rho_i the
distance to the nearest, the edge from i to j has the weight

    w(j | i) = exp(-(d(i, j) - rho_i) / sigma_i),    sum over j of w(j | i) = log2(n_neighbors),

and the undirected edge has ``w(j | i) + w(i | j) - w(j | i) w(i | j)`` (McInnes, Healy & Melville,
"UMAP", 2018, section 3.1). A small network places the vectors such that the model probability of an
edge,

    q(i, j) = 1 / (1 + a |z_i - z_j|^(2 b)),

is high for edges and low for other pairs: a cross-entropy with negative samples (section 3.2). A
network, unlike a table of places, also has a place for new series (Sainburg, McInnes & Gentner,
"Parametric UMAP", Neural Computation 2021).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["NeighbourEncoder", "NeighbourGraph", "neighbour_graph", "neighbour_loss", "whiten_differences"]

# Neighbours of a vector: this many, and of few vectors at most a quarter.
_N_NEIGHBORS = 15

# Of q, for neighbours that are at least 0.1 apart: UMAP's default.
_A, _B = 1.577, 0.895

_HIDDEN = 128

# Whitening changes who is a neighbour, so it is repeated. This fraction of the mean eigenvalue is
# added to all eigenvalues of C, and d / n of it: C of few vectors is poorly known.
_WHITENINGS = 3
_RIDGE = 0.01

# Vectors of which the leading principal axis has more than this share of the variance lie along a
# line. Whitening would hide the line, so they are compared as they are.
_LINE = 0.5

# Vectors whose distances to all others are in memory at once.
_BLOCK = 1024

# A smaller spread of places is that of rounding: nearly identical series.
_SMALLEST_VARIANCE = 1e-4


@dataclass(frozen=True)
class NeighbourGraph:
    """Undirected edges between ``n`` vectors."""

    first: Tensor  # (edge,), int64: one end
    second: Tensor  # (edge,), int64: the other
    weight: Tensor  # (edge,), in (0, 1]
    n: int


class NeighbourEncoder(nn.Module):
    """Pattern statistics to the neighbour part of the latent mean.

    `vrae.train.placement.place_neighbours` trains it before the rest of the network, which then
    leaves it as it is.
    """

    def __init__(self, n_patterns: int, size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_patterns, size, bias=False)
        self.inner = nn.Linear(n_patterns, _HIDDEN)
        self.middle = nn.Linear(_HIDDEN, _HIDDEN)
        self.outer = nn.Linear(_HIDDEN, size)
        self.metric: Tensor
        self.center: Tensor
        self.scale: Tensor
        self.register_buffer("metric", torch.zeros(n_patterns, n_patterns))
        self.register_buffer("center", torch.zeros(size))
        self.register_buffer("scale", torch.zeros(1))
        self.requires_grad_(False)

    def forward(self, patterns: Tensor) -> Tensor:
        """Return standardised places: patterns (batch, n_patterns) -> (batch, size)."""
        return (self.place(patterns @ self.metric) - self.center) * self.scale

    def place(self, compared: Tensor) -> Tensor:
        """Return the places that `neighbour_loss` judges, of patterns in the metric."""
        hidden = functional.silu(self.middle(functional.silu(self.inner(compared))))
        return self.linear(compared) + self.outer(hidden)

    @torch.no_grad()
    def standardise(self, compared: Tensor) -> None:
        """Set mean 0 and mean variance 1 over series (n, n_patterns) in the metric.

        All dimensions are scaled alike, so that distances keep their ratios.
        """
        places = self.place(compared)  # (n, size)
        variance, mean = torch.var_mean(places, dim=0, correction=0)
        self.center.copy_(mean)
        self.scale.copy_(variance.mean().clamp(min=_SMALLEST_VARIANCE).rsqrt())


def neighbour_graph(X: Tensor) -> NeighbourGraph:
    """Join vectors (n, d) to their nearest neighbours, exactly. Time grows with n squared."""
    n = len(X)
    n_neighbors = min(_N_NEIGHBORS, max(2, n // 4), n - 1)
    distance, neighbour = _nearest(X, n_neighbors)  # both (n, n_neighbors)
    weight = _local_weights(distance)  # (n, k)
    own = torch.arange(n, device=X.device)[:, None].expand_as(neighbour)
    edge = (torch.minimum(own, neighbour) * n + torch.maximum(own, neighbour)).flatten()
    edge, place = torch.unique(edge, return_inverse=True)
    # At most two directed edges meet in an undirected one: their sum less their product.
    total = torch.zeros_like(edge, dtype=weight.dtype).index_add_(0, place, weight.flatten())
    squares = torch.zeros_like(total).index_add_(0, place, weight.flatten() ** 2)
    return NeighbourGraph(edge // n, edge % n, total - (total**2 - squares) / 2, n)


def whiten_differences(X: Tensor) -> Tensor:
    """Return the matrix M (d, d) for vectors X (n, d). ``X @ M`` has a mean variance of 1.

    M is a multiple of 1 if the vectors lie along a line.
    """
    metric = torch.eye(X.shape[1], dtype=torch.float64, device=X.device)
    total = torch.linalg.eigvalsh(X.double().T.cov(correction=0))  # ascending
    if total.mean() < _SMALLEST_VARIANCE**2:  # nothing but rounding
        return metric.to(X.dtype)
    metric /= total.mean().sqrt()
    if total[-1] > _LINE * total.sum():
        return metric.to(X.dtype)
    ridge = _RIDGE + X.shape[1] / len(X)
    for _ in range(_WHITENINGS):
        compared = (X.double() @ metric).to(X.dtype)
        graph = neighbour_graph(compared)
        difference = (compared[graph.first] - compared[graph.second]).double()  # (edge, d)
        covariance = (difference * graph.weight[:, None]).T @ difference / graph.weight.sum()
        variance, axes = torch.linalg.eigh(covariance)
        variance = variance.clamp(min=0.0) + ridge * variance.mean() + _SMALLEST_VARIANCE**2
        metric = metric @ (axes * variance.rsqrt()) @ axes.T
        metric /= (X.double() @ metric).var(dim=0, correction=0).mean().sqrt()
    return metric.to(X.dtype)


def neighbour_loss(z: Tensor, first: Tensor, second: Tensor, others: Tensor) -> Tensor:
    """Return the mean cross-entropy of sampled edges, each with its negative samples.

    Parameters
    ----------
    z : Tensor, shape (n, size)
        Places.
    first, second : Tensor of int64, shape (edge,)
        Ends of edges, sampled in proportion to their weights.
    others : Tensor of int64, shape (edge, negative)
        Random vectors, taken for unrelated to the first ends.
    """
    near = (z[first] - z[second]).square().sum(dim=1)  # (edge,)
    far = (z[first][:, None] - z[others]).square().sum(dim=2)  # (edge, negative)
    attraction = torch.log1p(_A * near.clamp(min=1e-8) ** _B)  # -log q
    power = _A * far.clamp(min=1e-8) ** _B
    repulsion = torch.log1p(power) - power.clamp(min=1e-4).log()  # -log(1 - q)
    return attraction.mean() + repulsion.sum(dim=1).mean()


def _nearest(X: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return distances to the k nearest other vectors, and their indices, nearest first."""
    distances, indices = [], []
    for start in range(0, len(X), _BLOCK):
        distance = torch.cdist(X[start : start + _BLOCK], X)  # (block, n)
        distance[:, start : start + _BLOCK].fill_diagonal_(math.inf)
        found = distance.topk(k, largest=False)
        distances.append(found.values)
        indices.append(found.indices)
    return torch.cat(distances), torch.cat(indices)


def _local_weights(distance: Tensor) -> Tensor:
    """Return w(j | i) for distances (n, k), nearest first. Sigma is found by bisection."""
    beyond = distance - distance[:, :1]
    target = math.log2(max(distance.shape[1], 2))
    low = torch.zeros_like(beyond[:, :1])
    high = torch.full_like(low, math.inf)
    sigma = distance.mean(dim=1, keepdim=True).clamp(min=1e-12)
    for _ in range(40):
        wide = (-beyond / sigma).exp().sum(dim=1, keepdim=True) > target
        high, low = torch.where(wide, sigma, high), torch.where(wide, low, sigma)
        sigma = torch.where(high.isinf(), 2 * sigma, (low + high) / 2).clamp(min=1e-12)
    return (-beyond / sigma).exp()
