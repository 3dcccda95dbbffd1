"""Training of the neighbour encoder: places of series that keep neighbours together."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from vrae.nn.neighbours import NeighbourEncoder, neighbour_graph, neighbour_loss, whiten_differences
from vrae.phases import check_stopped
from vrae.runtime import torch_generator, work_threads
from vrae.train.optimizers import EagerAdam

__all__ = ["place_neighbours"]

# The graph is built from at most this many series: its time grows with the square of the number.
_MOST_SERIES = 10_000

# ... and neighbours are compared in a metric found from at most this many.
_METRIC_SERIES = 4096

_STEPS = 300
_CONTINUED_STEPS = 100  # of an encoder that has been trained before ...
_CONTINUED_RATE = 0.1  # ... at this fraction of the learning rate
_LEARNING_RATE = 1e-2
_MAX_GRAD_NORM = 5.0

_EDGES = 512  # sampled in a step ...
_NEGATIVES = 5  # ... each with as many negative samples


def place_neighbours(encoder: NeighbourEncoder, patterns: Tensor, seed: int, *, continued: bool = False) -> None:
    """Train an encoder to keep neighbours among series together.

    Parameters
    ----------
    encoder : NeighbourEncoder
    patterns : Tensor, shape (n, n_patterns)
        Pattern statistics of the series. Of more than 10,000 an evenly spaced sample is used.
    seed : int
        Of the sampled edges.
    continued : bool, default=False
        Change an encoder that is trained already, a little. Metric and scale then stay, so that
        earlier series stay near where they were.
    """
    device = encoder.metric.device
    encoder.cpu()  # small, and not every device has float64
    X = patterns[:: math.ceil(len(patterns) / _MOST_SERIES)].cpu()
    with work_threads(X.device, hidden_size=1), torch.enable_grad():
        if not continued:
            encoder.metric.copy_(whiten_differences(X[:: math.ceil(len(X) / _METRIC_SERIES)]))
        compared = X @ encoder.metric
        _train(encoder.requires_grad_(), compared, torch_generator(seed), continued)
        encoder.requires_grad_(False)
        if not continued:
            encoder.standardise(compared)
    encoder.to(device)


def _train(encoder: NeighbourEncoder, X: Tensor, generator: torch.Generator, continued: bool) -> None:
    """Train places of vectors (n, n_patterns), which are in the metric."""
    steps, rate = (_CONTINUED_STEPS, _CONTINUED_RATE) if continued else (_STEPS, 1.0)
    graph, weights = neighbour_graph(X), list(encoder.parameters())
    adam = EagerAdam(weights, lr=rate * _LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(adam, rate * _LEARNING_RATE, total_steps=steps)
    cumulated = graph.weight.double().cumsum(0)  # (edge,)
    for _ in range(steps):
        check_stopped()
        # Edges in proportion to their weights, by inversion of the cumulated weights.
        drawn = cumulated[-1] * torch.rand(_EDGES, generator=generator, dtype=torch.float64)
        edge = torch.searchsorted(cumulated, drawn).clamp(max=len(cumulated) - 1)
        others = torch.randint(graph.n, (_EDGES * _NEGATIVES,), generator=generator)
        ends = torch.cat([graph.first[edge], graph.second[edge], others])
        shown, place = torch.unique(ends, return_inverse=True)  # each series passes the encoder once
        first, second, others = place.split([_EDGES, _EDGES, _EDGES * _NEGATIVES])
        loss = neighbour_loss(encoder.place(X[shown]), first, second, others.view(_EDGES, _NEGATIVES))
        adam.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(weights, _MAX_GRAD_NORM)
        adam.step()
        schedule.step()
