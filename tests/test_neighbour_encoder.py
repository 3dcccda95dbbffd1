"""Latent vectors that keep neighbours: the graph, the loss and the training of the encoder."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from vrae import VRAE, Panel
from vrae.nn.neighbours import NeighbourEncoder, neighbour_graph, neighbour_loss, whiten_differences
from vrae.nn.views import views
from vrae.train.placement import place_neighbours


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def encoder_of(n_patterns: int, size: int, seed: int = 0) -> NeighbourEncoder:
    encoder, generator = NeighbourEncoder(n_patterns, size), seeded(seed)
    for weight in encoder.parameters():
        torch.nn.init.uniform_(weight, -0.2, 0.2, generator=generator)
    return encoder


def test_graph_has_the_weights_of_the_formulas():
    X = torch.randn(40, 3, generator=seeded(0), dtype=torch.float64)
    graph = neighbour_graph(X)  # a quarter of the others: 10
    index = NearestNeighbors(n_neighbors=11).fit(X.numpy())
    distance, neighbour = (part[:, 1:] for part in index.kneighbors(X.numpy()))
    directed = np.zeros((40, 40))
    for i in range(40):
        beyond = distance[i] - distance[i, 0]
        low, high = 1e-9, 1e3
        for _ in range(200):
            sigma = (low + high) / 2
            low, high = (low, sigma) if np.exp(-beyond / sigma).sum() > np.log2(10) else (sigma, high)
        directed[i, neighbour[i]] = np.exp(-beyond / sigma)
    expected = directed + directed.T - directed * directed.T
    found = np.zeros((40, 40))
    found[graph.first, graph.second] = graph.weight
    assert graph.n == 40
    assert (graph.first < graph.second).all()
    np.testing.assert_allclose(found + found.T, expected, atol=1e-6)


@pytest.mark.parametrize("n", [2, 3, 5, 1100])
def test_graph_of_few_or_identical_vectors_is_finite(n):
    for X in (torch.zeros(n, 4), torch.randn(n, 4, generator=seeded(0))):
        graph = neighbour_graph(X)
        assert torch.isfinite(graph.weight).all()
        assert ((graph.weight > 0) & (graph.weight <= 1 + 1e-6)).all()
        assert set(graph.first.tolist()) | set(graph.second.tolist()) == set(range(n))


def test_loss_equals_the_cross_entropy_of_the_formula():
    z = torch.randn(6, 2, generator=seeded(1), dtype=torch.float64)
    first, second = torch.tensor([0, 3]), torch.tensor([1, 4])
    others = torch.tensor([[2, 5], [0, 1]])

    def q(i: int, j: int) -> float:
        return float(1 / (1 + 1.577 * ((z[i] - z[j]) ** 2).sum() ** 0.895))

    edges = -np.mean([np.log(q(0, 1)), np.log(q(3, 4))])
    negatives = -np.mean([np.log(1 - q(0, 2)) + np.log(1 - q(0, 5)), np.log(1 - q(3, 0)) + np.log(1 - q(3, 1))])
    assert float(neighbour_loss(z, first, second, others)) == pytest.approx(edges + negatives)


def test_whitened_differences_of_neighbours_have_equal_variances():
    X = torch.randn(400, 4, generator=seeded(0), dtype=torch.float64) * torch.tensor([1.0, 3.0, 0.2, 3.0])
    X[:, 2] += 4.0 * (torch.arange(400) % 3)  # groups: neighbours differ little in this direction
    compared = X @ whiten_differences(X)
    assert float(compared.var(dim=0, correction=0).mean()) == pytest.approx(1.0)
    graph = neighbour_graph(compared)
    difference = (compared[graph.first] - compared[graph.second]).numpy()
    variance = np.linalg.eigvalsh(np.cov(difference.T, aweights=graph.weight.numpy()))
    assert variance[0] > 0.5 * variance[-1]
    assert torch.isfinite(whiten_differences(torch.ones(9, 3))).all()


def test_vectors_along_a_line_are_not_whitened():
    X = torch.randn(100, 3, generator=seeded(0)) * torch.tensor([5.0, 1.0, 0.2])
    metric = whiten_differences(X)
    torch.testing.assert_close(metric, metric[0, 0] * torch.eye(3))
    torch.testing.assert_close((X @ metric).var(dim=0, correction=0).mean(), torch.tensor(1.0))


def blobs(n: int, seed: int) -> tuple[torch.Tensor, np.ndarray]:
    """Return points of three groups along one curve in ten dimensions."""
    generator = seeded(seed)
    truth = torch.arange(n) % 3
    X = 0.3 * torch.randn(n, 10, generator=generator)
    X[:, 0] += 2.0 * truth
    X[:, 1] += 3.0 * (truth - 1) ** 2
    return X, truth.numpy()


def test_places_keep_neighbours_also_of_new_series():
    X, truth = blobs(150, 0)
    encoder = encoder_of(10, 2)
    place_neighbours(encoder, X, seed=0)
    new, new_truth = blobs(60, 1)
    index = NearestNeighbors(n_neighbors=5).fit(encoder(X).numpy())
    nearest = index.kneighbors(encoder(new).numpy(), return_distance=False)
    assert (truth[nearest] == new_truth[:, None]).mean() > 0.95
    assert not any(weight.requires_grad for weight in encoder.parameters())


def test_continued_placement_moves_earlier_series_little_and_makes_room_for_new_ones():
    X, _ = blobs(150, 0)
    encoder = encoder_of(10, 2)
    place_neighbours(encoder, X, seed=0)
    before = encoder(X)
    new = torch.randn(40, 10, generator=seeded(5)) * 0.3
    new[:, 5] += 6.0
    place_neighbours(encoder, torch.cat([X, new]), seed=1, continued=True)
    after, placed = encoder(X), encoder(new)
    correlation = np.corrcoef(torch.cdist(before, before).flatten(), torch.cdist(after, after).flatten())[0, 1]
    assert correlation > 0.9
    index = NearestNeighbors(n_neighbors=6).fit(torch.cat([after, placed]).numpy())
    nearest = index.kneighbors(placed.numpy(), return_distance=False)[:, 1:]
    assert (nearest >= 150).mean() > 0.95


def test_identical_series_get_one_place():
    encoder = encoder_of(4, 2)
    place_neighbours(encoder, torch.ones(30, 4), seed=0)
    assert encoder(torch.ones(30, 4)).abs().max() < 1e-3


def test_scaled_differences_do_not_depend_on_the_scale_of_a_series_within_it():
    x = torch.cumsum(torch.randn(5, 30, 2, generator=seeded(0)), dim=1)
    x[4] = 1.0  # differences that are all zero
    lengths = torch.tensor([30, 22, 30, 9, 30])
    inside = torch.arange(30)[None, :, None] < lengths[:, None, None]
    mask = inside.float().expand(5, 30, 2)
    _, (values, steps) = views(x * mask, mask, lengths, circular=False, scale_differences=True)
    _, (scaled, _) = views(7 * x * mask, mask, lengths, circular=False, scale_differences=True)
    torch.testing.assert_close(values, scaled, atol=1e-4, rtol=1e-4)
    for row, n in enumerate(steps.tolist()):
        own = values[row, :, :n]
        assert (values[row, :, n:] == 0).all()
        torch.testing.assert_close(own.mean(dim=1), torch.zeros(2), atol=1e-4, rtol=0)
        expected = torch.full((2,), float(row != 4))
        torch.testing.assert_close(own.square().mean(dim=1), expected, atol=1e-3, rtol=0)


def test_the_neighbour_part_of_a_fit_does_not_move_in_training():
    X = np.random.default_rng(0).standard_normal((30, 20)).cumsum(axis=1)
    short, long = (VRAE(latent_size=6, max_epochs=n, random_state=0).fit(X) for n in (1, 4))
    np.testing.assert_array_equal(short.embedding_[:, :3], long.embedding_[:, :3])
    assert not np.array_equal(short.embedding_[:, 3:], long.embedding_[:, 3:])
    panel = Panel.from_arrays(X)
    alone = VRAE(latent_size=6, max_epochs=4, random_state=0).neighbour_part(panel, np.arange(30))
    assert alone is not None
    np.testing.assert_allclose(long.embedding_[:, :3], alone.numpy(), atol=1e-5)
    assert VRAE(latent_size=1, random_state=0).neighbour_part(panel, np.arange(30)) is None


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({}, 8),
        ({"latent_size": 5}, 3),
        ({"latent_size": 2}, 1),
        ({"latent_size": 1}, 0),
        ({"pattern_weight": 0.0}, 0),
        ({"architecture": "linear"}, 0),
    ],
    ids=str,
)
def test_half_of_the_latent_vector_keeps_neighbours(options, size):
    model = VRAE(**options)
    panel = Panel.from_arrays(np.zeros((9, 20)))
    config = model.network_config(panel, np.arange(9), model.latent_size)
    assert config.neighbour_size == size
    assert config.scale_differences == (model.pattern_weight > 0)
