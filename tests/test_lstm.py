"""The LSTM loops of our own: the numbers of torch's layer, whoever else is in the batch, on any processor."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numba import njit
from torch import nn

from vrae import VRAE
from vrae.config import NetworkConfig
from vrae.nn.lanes import load, store, tanh
from vrae.nn.lstm import lstm, suits
from vrae.nn.recurrent import RNN
from vrae.nn.workshop import Workshop

# batch, steps, inputs, hidden: whole groups and vectors, and one more or less than that
SHAPES = [(1, 1, 1, 1), (5, 7, 3, 5), (16, 3, 2, 16), (17, 3, 1, 15), (33, 10, 28, 64), (40, 4, 9, 17), (32, 50, 1, 90)]


def layer_of(inputs, hidden, seed=0):
    cell = nn.LSTM(inputs, hidden, batch_first=True)
    generator = torch.Generator().manual_seed(seed)
    for weight in cell.parameters():
        nn.init.uniform_(weight, -0.5, 0.5, generator=generator)
    return cell


def data_of(batch, steps, inputs, hidden, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape):
        return torch.randn(shape, generator=generator).requires_grad_()

    at_end = torch.randint(steps, (batch,), generator=generator)
    kept = (torch.rand((batch, 1, hidden), generator=generator) > 0.3) / 0.7
    return drawn(batch, steps, inputs), drawn(batch, hidden), drawn(batch, hidden), at_end, kept


def theirs(cell, x, at_end, first, kept):
    outputs = cell(x, first and (first[0][None], first[1][None]))[0]
    return outputs * kept, outputs[torch.arange(len(x)), at_end]


def gradients(cell, sources, outputs, last, seed=1):
    generator = torch.Generator().manual_seed(seed)
    loss = sum((part * torch.randn(part.shape, generator=generator)).sum() for part in (outputs, last))
    return torch.autograd.grad(loss, [*sources, *cell.parameters()])


def relative(found, expected):
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-3))


def check(shape):
    cell = layer_of(shape[2], shape[3])
    x, h, c, at_end, kept = data_of(*shape)
    found = lstm(cell, x, at_end, (h, c), kept, True, Workshop())
    expected = theirs(cell, x, at_end, (h, c), kept)
    for a, b in zip(found, expected, strict=True):
        assert float((a - b).detach().abs().max()) < 1e-5
    ours, others = (gradients(cell, (x, h, c), *parts) for parts in (found, expected))
    assert max(map(relative, ours, others)) < 1e-4


@pytest.mark.parametrize("shape", SHAPES)
def test_outputs_and_gradients_are_torchs(shape):
    check(shape)


@pytest.mark.parametrize("shape", SHAPES[1:4])
def test_without_gradients_the_numbers_are_the_same(shape):
    cell, workshop = layer_of(shape[2], shape[3]), Workshop()
    x, h, c, at_end, _ = data_of(*shape)
    outputs, last = lstm(cell, x, at_end, (h, c), None, True, workshop)
    with torch.no_grad():
        same, also = lstm(cell, x, at_end, (h, c), None, True, workshop)
        nothing, only = lstm(cell, x, at_end, (h, c), None, False, workshop)
    assert torch.equal(outputs, same)
    assert torch.equal(last, also)
    assert torch.equal(last, only)
    assert nothing is None


def test_a_gradient_that_vanishes_on_the_way_back_loses_nothing():
    cell, (x, h, c, at_end, _) = layer_of(2, 20), data_of(20, 400, 2, 20)
    with torch.no_grad():
        for weight in cell.parameters():
            weight *= 0.3  # an early step is forgotten soon
    _, last = lstm(cell, x, at_end, (h, c), None, False, Workshop())
    _, expected = theirs(cell, x, at_end, (h, c), 1.0)
    ours, others = (torch.autograd.grad(end.sum(), [x, *cell.parameters()]) for end in (last, expected))
    assert max(map(relative, ours, others)) < 1e-4
    assert (ours[0] == 0).any(dim=2).sum() > (others[0] == 0).any(dim=2).sum()  # so something was left out


def test_the_first_state_is_zero_by_default():
    cell, (x, h, c, at_end, _) = layer_of(3, 5), data_of(5, 7, 3, 5)
    zeros = torch.zeros_like(h), torch.zeros_like(c)
    found, expected = (lstm(cell, x, at_end, first, None, True, Workshop())[0] for first in (None, zeros))
    assert torch.equal(found, expected)


def test_a_series_is_the_same_whoever_else_is_in_the_batch():
    cell, (x, h, c, at_end, kept) = layer_of(3, 20), data_of(37, 9, 3, 20)
    together, _ = lstm(cell, x, at_end, (h, c), kept, True, Workshop())
    for row in (0, 15, 16, 36):
        one = slice(row, row + 1)
        alone, _ = lstm(cell, x[one], at_end[one], (h[one], c[one]), kept[one], True, Workshop())
        assert torch.equal(alone[0], together[row])


def test_the_number_of_threads_changes_nothing():
    shape = (50, 120, 2, 60)
    cell, (x, h, c, at_end, kept) = layer_of(2, 60), data_of(*shape)
    results = []
    for threads in (1, 2, 3):
        found = lstm(cell, x, at_end, (h, c), kept, True, Workshop(threads))
        results.append([*found, *gradients(cell, (x, h, c), *found)])
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_memory_of_a_step_before_has_no_say():
    cell, workshop = layer_of(3, 20), Workshop(keeps=True)
    big, small = data_of(40, 30, 3, 20, seed=5), data_of(9, 4, 3, 20)
    fresh = lstm(cell, *small[:1], small[3], small[1:3], small[4], True, Workshop())
    expected = gradients(cell, small[:3], *fresh)
    poisoned = lstm(cell, big[0] * float("nan"), big[3], big[1:3], big[4], True, workshop)
    gradients(cell, big[:3], *poisoned)
    again = lstm(cell, small[0], small[3], small[1:3], small[4], True, workshop)
    found = gradients(cell, small[:3], *again)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_two_passes_before_the_way_back_do_not_mix():
    cell, workshop = layer_of(3, 20), Workshop(keeps=True)
    cases = [data_of(9, 4, 3, 20, seed=seed) for seed in (0, 1)]

    def run(case, workshop):
        return lstm(cell, case[0], case[3], case[1:3], case[4], True, workshop)

    expected = [gradients(cell, case[:3], *run(case, Workshop())) for case in cases]
    passes = [run(case, workshop) for case in cases]
    for case, outputs, one in zip(cases, passes, expected, strict=True):
        found = gradients(cell, case[:3], *outputs)
        assert all(torch.equal(a, b) for a, b in zip(found, one, strict=True))


def test_what_is_not_finite_stays_in_its_series():
    cell, (x, h, c, at_end, _) = layer_of(3, 20), data_of(20, 9, 3, 20)
    good, _ = lstm(cell, x, at_end, (h, c), None, True, Workshop())
    with torch.no_grad():
        x[4, 3] = float("nan")
    bad, _ = lstm(cell, x, at_end, (h, c), None, True, Workshop())
    others = [row for row in range(20) if row != 4]
    assert torch.equal(bad[others], good[others])
    assert torch.equal(bad[4, :3], good[4, :3])
    assert bad[4, 3:].isnan().all()


def test_the_way_back_can_be_taken_once():
    cell, (x, h, c, at_end, _) = layer_of(3, 5), data_of(5, 7, 3, 5)
    outputs, _ = lstm(cell, x, at_end, (h, c), None, True, Workshop())
    outputs.sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="run the layer again"):
        outputs.sum().backward()


def test_a_workshop_keeps_memory_only_while_somebody_works():
    rnn = RNN(NetworkConfig(n_channels=2, n_steps=7, hidden_size=5), 2, bidirectional=False)
    assert vars(rnn.workshop) == vars(Workshop())
    workshop = Workshop(threads=3, keeps=True)
    workshop.give(torch.zeros(1000))
    assert workshop.take(torch.zeros(1), (10, 100))[0].numel() == 1000
    workshop.give(torch.zeros(1000))
    assert vars(copy.deepcopy(workshop)) == vars(pickle.loads(pickle.dumps(workshop))) == vars(Workshop())
    idle = Workshop()
    idle.give(torch.zeros(1000))
    assert vars(idle) == vars(Workshop())


def test_a_fitted_network_holds_no_memory_of_its_training():
    network = VRAE(max_epochs=2, random_state=0).fit(np.random.default_rng(0).standard_normal((20, 30))).network_
    assert [vars(rnn.workshop) for rnn in (network.encoder.rnn, network.decoder.rnn)] == 2 * [vars(Workshop())]


def test_wide_layers_few_series_other_cells_and_other_numbers_are_left_to_torch():
    x = torch.zeros(5, 3, 5)
    assert suits(nn.LSTM(5, 128), x)
    assert not suits(nn.LSTM(5, 129), x)
    assert not suits(nn.LSTM(5, 8), x[1:])
    assert not suits(nn.GRU(5, 8), x)
    assert not suits(nn.LSTM(5, 8), x.double())


@njit
def _tanh(values, found):
    for at in range(0, len(values), 16):
        store(found, at, 8, tanh(load(values, at, 8, 2, 8)))


def test_tanh_is_right_everywhere():
    values = np.concatenate([np.linspace(-12, 12, 160_000), [0, -0.0, 1e-30, 1e30, -1e30, np.inf, -np.inf, np.nan] * 2])
    values = values.astype(np.float32)
    found = np.empty_like(values)
    _tanh(values, found)
    np.testing.assert_allclose(found, np.tanh(values.astype(np.float64)), rtol=0, atol=7e-7)
    assert np.abs(found[np.isfinite(found)]).max() <= 1 + 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("features", ["+avx,+avx2,+fma", "+sse2"])
def test_processors_with_fewer_registers_find_the_same(features):
    program = "import test_lstm, vrae.nn.steps as s; [test_lstm.check(shape) for shape in test_lstm.SHAPES[:5]]; "
    name = "haswell" if "avx2" in features else "nehalem"
    environment = {**os.environ, "NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features}
    command = [sys.executable, "-c", program + "assert s.LANES == 4"]
    done = subprocess.run(command, cwd=Path(__file__).parent, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
