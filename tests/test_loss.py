"""The loss, compared with torch and scipy."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from torch import nn

from vrae.nn.loss import (
    active_units,
    evidence_lower_bound,
    kl_divergence,
    pointwise_loss,
    reconstruction_loss,
    training_loss,
)
from vrae.nn.model import Decoded


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    decoded, x = 2 * torch.randn(2, 4, 6, 2, generator=rng)
    return decoded, x, (torch.rand(4, 6, 2, generator=rng) < 0.7).float()


def decoded_of(x: torch.Tensor, patterns: torch.Tensor | None = None) -> Decoded:
    mean, log_variance = torch.randn(2, len(x), 3, generator=torch.Generator().manual_seed(1))
    parts: dict[str, Any] = {"x": x, "mean": mean, "log_variance": log_variance, "patterns": patterns}
    return Decoded(lags=torch.zeros(len(x), dtype=torch.int64), **parts)


@pytest.mark.parametrize(
    ("loss", "of_torch"),
    [
        ("mse", nn.functional.mse_loss),
        ("smooth_l1", nn.functional.smooth_l1_loss),
        (nn.L1Loss(), nn.functional.l1_loss),  # a module
        (nn.HuberLoss(delta=0.5), functools.partial(nn.functional.huber_loss, delta=0.5)),  # with an option
    ],
    ids=["mse", "smooth_l1", "module", "module with an option"],
)
def test_reconstruction_equals_the_sum_of_torch_over_observed_values(batch, loss, of_torch):
    decoded, x, mask = batch
    found = reconstruction_loss(decoded, x, mask, pointwise_loss(loss))
    seen = mask.bool()
    expected = [of_torch(decoded[i][seen[i]], x[i][seen[i]], reduction="sum") for i in range(4)]
    torch.testing.assert_close(found, torch.stack(expected))


def test_a_loss_module_of_the_user_keeps_its_reduction(batch):
    decoded, x, mask = batch
    for reduction in ("mean", "sum", "none"):
        module = nn.L1Loss(reduction=reduction)
        reconstruction_loss(decoded, x, mask, pointwise_loss(module))
        assert module.reduction == reduction


def test_a_custom_loss_module_works(batch):
    class Cubic(nn.Module):
        def forward(self, prediction, target):
            return (prediction - target).abs() ** 3

    decoded, x, mask = batch
    found = reconstruction_loss(decoded, x, mask, pointwise_loss(Cubic()))
    torch.testing.assert_close(found, ((decoded - x).abs() ** 3 * mask).sum(dim=(1, 2)))


def test_unobserved_values_may_be_anything(batch):
    decoded, x, mask = batch
    expected = reconstruction_loss(decoded, x, mask, pointwise_loss("mse"))
    for value in (float("nan"), float("inf")):
        noisy = torch.where(mask == 1, x, torch.full_like(x, value))
        assert torch.equal(reconstruction_loss(decoded, noisy, mask, pointwise_loss("mse")), expected)


def test_terms_add_up_and_patterns_weigh_as_much_as_the_series(batch):
    x_decoded, x, mask = batch
    rng = torch.Generator().manual_seed(2)
    predicted, target = torch.randn(2, 4, 5, generator=rng)
    terms = training_loss(
        decoded_of(x_decoded, predicted), x, mask, pointwise_loss("mse"), 0.3, target, pattern_weight=2.0
    )
    missed = mask.sum(dim=(1, 2)) * ((predicted - target) ** 2).mean(dim=1)
    torch.testing.assert_close(terms.patterns, missed.mean())
    torch.testing.assert_close(terms.loss, terms.reconstruction + 0.3 * terms.kl + 2 * missed.mean())
    without = training_loss(decoded_of(x_decoded), x, mask, pointwise_loss("mse"), 0.3)
    assert float(without.patterns) == 0
    torch.testing.assert_close(without.loss, terms.reconstruction + 0.3 * terms.kl)


def test_every_series_of_a_batch_has_the_same_weight(batch):
    decoded, x, mask = batch
    whole = training_loss(decoded_of(decoded), x, mask, pointwise_loss("mse"), 0.0).loss
    error = pointwise_loss("mse")
    alone = [reconstruction_loss(decoded[i : i + 1], x[i : i + 1], mask[i : i + 1], error)[0] for i in range(4)]
    torch.testing.assert_close(whole, torch.stack(alone).mean())


def test_bound_equals_the_log_density_of_scipy_minus_kl(batch):
    decoded, x, mask = batch
    parts = decoded_of(decoded)
    density = scipy.stats.norm.logpdf(x.numpy(), decoded.numpy(), np.sqrt(0.4))
    expected = (density * mask.numpy()).sum(axis=(1, 2)) - kl_divergence(parts.mean, parts.log_variance).numpy()
    np.testing.assert_allclose(evidence_lower_bound(parts, x, mask, 0.4), expected, rtol=1e-5)


def test_active_units_are_dimensions_that_vary():
    rng = np.random.default_rng(0)
    means = torch.tensor(rng.standard_normal((500, 4)) * [1.0, 0.2, 0.05, 0.0] + [0, 0, 5, 9])
    assert active_units(means) == 2
    assert active_units(means, threshold=1e-3) == 3
    assert active_units(means[:1]) == 0
