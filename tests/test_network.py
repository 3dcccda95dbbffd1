"""The network, step by step, compared with plain NumPy."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from vrae import VRAE
from vrae.config import NetworkConfig
from vrae.nn.comovement import channel_pairs, cross_correlations, n_channel_pairs
from vrae.nn.encoder import fold, unfold
from vrae.nn.loss import evidence_lower_bound, kl_divergence, pointwise_loss, training_loss
from vrae.nn.model import VRAENetwork, build_network, reparameterise
from vrae.nn.noise import BatchSlice
from vrae.nn.recurrent import RNN, dropout_mask, reverse

LENGTHS = [7, 4, 1, 6]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network_of(seed: int = 1, **options: Any) -> VRAENetwork:
    small = {"n_channels": 2, "n_steps": 7, "latent_size": 3, "hidden_size": 5}
    return build_network(NetworkConfig(**{**small, **options}), seed)


def batch_of(channels: int = 2, lengths: list[int] = LENGTHS, seed: int = 0) -> Any:
    """Return values (0 where not observed), mask and lengths; some values are missing."""
    rng = np.random.default_rng(seed)
    shape = (len(lengths), max(lengths), channels)
    inside = np.arange(shape[1])[None, :, None] < np.array(lengths)[:, None, None]
    mask = inside & (rng.random(shape) < 0.8)
    x = np.where(mask, rng.standard_normal(shape), 0.0)
    return torch.tensor(x, dtype=torch.float32), torch.tensor(mask).float(), torch.tensor(lengths)


# ---------------------------------------------------------------- NumPy, one series at a time


def sigmoid(a: Any) -> Any:
    return 1 / (1 + np.exp(-a))


def run_cell(weights: dict[str, Any], x: Any, h: Any, c: Any = None) -> Any:
    """Run an LSTM (with ``c``) or a GRU over x (time, input); torch's order of gates."""
    w, u, b, v = (weights[f"{n}_l0"] for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    outputs = []
    for step in x:
        left, right = w @ step + b, u @ h + v
        if c is not None:
            i, f, g, o = np.split(left + right, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        else:
            (lr, lz, ln), (rr, rz, rn) = np.split(left, 3), np.split(right, 3)
            z = sigmoid(lz + rz)
            h = (1 - z) * np.tanh(ln + sigmoid(lr + rr) * rn) + z * h
        outputs.append(h)
    return np.stack(outputs)


def weights_below(network: nn.Module, prefix: str) -> dict[str, Any]:
    state = network.state_dict()
    return {n.removeprefix(prefix): w.double().numpy() for n, w in state.items() if n.startswith(prefix)}


def linear(network: nn.Module, name: str, x: Any) -> Any:
    layer = weights_below(network, f"{name}.")
    return layer["weight"] @ x + layer["bias"]


def folded(x: Any, patch: int) -> Any:
    padded = np.concatenate([x, np.zeros((-len(x) % patch, x.shape[1]))])
    return padded.reshape(-1, patch * x.shape[1])


def numpy_encode(network: VRAENetwork, x: Any, mask: Any) -> tuple[Any, Any]:
    """Return mean and log-variance of one series (time, channel) without any padding."""
    config = network.config
    states = folded(x, config.patch_size)
    if config.mask_input:
        states = np.concatenate([states, folded(mask, config.patch_size)], axis=1)
    zero = np.zeros(config.hidden_size)
    start = (zero, zero) if config.cell == "lstm" else (zero,)
    for layer in range(config.num_layers):
        ahead = run_cell(weights_below(network, f"encoder.rnn.forwards.{layer}."), states, *start)
        ends, parts = [ahead[-1]], [ahead]
        if config.bidirectional:
            back = run_cell(weights_below(network, f"encoder.rnn.backwards.{layer}."), states[::-1], *start)
            ends, parts = [*ends, back[-1]], [*parts, back[::-1]]
        states = np.concatenate(parts, axis=1)
    h_end = np.concatenate(ends) if config.pooling == "last" else states.mean(axis=0)
    return (
        linear(network, "encoder_to_latent.mean", h_end),
        linear(network, "encoder_to_latent.log_variance", h_end),
    )


def numpy_decode(network: VRAENetwork, z: Any, n_steps: int) -> Any:
    config = network.config
    patches = math.ceil(n_steps / config.patch_size)
    learned = network.decoder.inputs.detach().double().numpy()
    states = np.zeros((patches, learned.shape[1]))
    states[: len(learned)] = learned[:patches]
    if config.feed_latent:
        states = np.concatenate([states, np.tile(z, (patches, 1))], axis=1)
    parts = 2 if config.cell == "lstm" else 1
    start = linear(network, "latent_to_decoder.linear", z).reshape(config.num_layers, parts, -1)
    for layer in range(config.num_layers):
        states = run_cell(weights_below(network, f"decoder.rnn.forwards.{layer}."), states, *start[layer])
    return np.stack([linear(network, "output.linear", h) for h in states]).reshape(-1, config.n_channels)[:n_steps]


def variants(cell: str) -> Iterator[dict[str, Any]]:
    """Yield every combination of the options that change the forward pass."""
    patches = ((1, False), (1, True), (3, True))
    for pooling, layers, both, (patch, masked) in itertools.product(("last", "mean"), (1, 2), (False, True), patches):
        yield {
            "cell": cell,
            "pooling": pooling,
            "num_layers": layers,
            "bidirectional": both,
            "patch_size": patch,
            "mask_input": masked,
            "feed_latent": masked,
            "n_steps": math.ceil(7 / patch),
        }


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_forward_pass_and_bound_equal_a_numpy_pass(cell):
    x, mask, lengths = batch_of()
    noise = torch.randn(4, 3, generator=seeded(3)).numpy()
    for options in variants(cell):
        network = network_of(**options)
        nn.init.normal_(network.decoder.inputs, generator=seeded(5))
        with torch.no_grad():
            decoded = network(x, mask, lengths, generator=seeded(3))
            loss = training_loss(decoded, x, mask, pointwise_loss("mse"), kl_weight=0.5)
            bound = evidence_lower_bound(decoded, x, mask, noise_variance=0.7)

        squares, kls, bounds = [], [], []
        for row, length in enumerate(LENGTHS):
            own, seen = x[row, :length].double().numpy(), mask[row, :length].double().numpy()
            mean, log_variance = numpy_encode(network, own, seen)
            z = mean + np.exp(log_variance / 2) * noise[row]
            series = numpy_decode(network, z, 7)
            np.testing.assert_allclose(decoded.mean[row], mean, atol=1e-5, err_msg=str(options))
            np.testing.assert_allclose(decoded.log_variance[row], log_variance, atol=1e-5, err_msg=str(options))
            np.testing.assert_allclose(decoded.x[row], series, atol=1e-5, err_msg=str(options))
            squares.append((seen * (own - series[:length]) ** 2).sum())
            kls.append(-0.5 * (1 + log_variance - mean**2 - np.exp(log_variance)).sum())
            bounds.append(-squares[-1] / (2 * 0.7) - seen.sum() / 2 * math.log(2 * math.pi * 0.7) - kls[-1])
        assert float(loss.reconstruction) == pytest.approx(np.mean(squares), rel=1e-5), options
        assert float(loss.kl) == pytest.approx(np.mean(kls), rel=1e-5), options
        assert float(loss.loss) == pytest.approx(np.mean(squares) + 0.5 * np.mean(kls), rel=1e-5), options
        np.testing.assert_allclose(bound, bounds, rtol=1e-5, err_msg=str(options))


def test_decoder_runs_beyond_its_learned_inputs():
    network = network_of(n_steps=3)
    nn.init.ones_(network.decoder.inputs)
    z = torch.randn(2, 3, generator=seeded(0))
    with torch.no_grad():
        longer = network.decode(z, 6)
    np.testing.assert_allclose(longer[1], numpy_decode(network, z[1].double().numpy(), 6), atol=1e-5)


# ---------------------------------------------------------------- parts


def test_kl_equals_torch_distributions():
    mean, log_variance = torch.randn(2, 6, 4, generator=seeded(0)).double()
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(mean, (log_variance / 2).exp()), normal(0.0, 1.0))
    torch.testing.assert_close(kl_divergence(mean, log_variance), expected.sum(dim=1))


def test_unfold_undoes_fold():
    for time, patch in itertools.product((1, 5, 6), (1, 2, 3, 10)):  # also longer patches than series
        x = torch.arange(2.0 * time * 3).reshape(2, time, 3)
        rows = fold(x, patch)
        assert rows.shape == (2, math.ceil(time / patch), patch * 3)
        assert torch.equal(unfold(rows, patch, time), x)


def test_reverse_reverses_within_each_length():
    x = torch.tensor([[1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4]])[:, :, None]
    turned = reverse(x, torch.tensor([4, 3, 1]))
    assert turned[:, :, 0].tolist() == [[4, 3, 2, 1], [3, 2, 1, 4], [1, 2, 3, 4]]
    assert torch.equal(reverse(turned, torch.tensor([4, 3, 1])), x)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_recurrent_stack_equals_packed_sequences_of_torch(cell):
    config = NetworkConfig(n_channels=2, n_steps=7, hidden_size=5, num_layers=2, cell=cell)
    ours = RNN(config, 2, bidirectional=True)
    theirs = {"lstm": nn.LSTM, "gru": nn.GRU}[cell](2, 5, 2, batch_first=True, bidirectional=True)
    names: dict[str, torch.Tensor] = {}
    for layer in range(2):
        for part, suffix in (("forwards", ""), ("backwards", "_reverse")):
            for name, weight in getattr(ours, part)[layer].named_parameters():
                nn.init.uniform_(weight, -0.5, 0.5, generator=seeded(len(names)))
                names[name.replace("l0", f"l{layer}{suffix}")] = weight.detach()
    theirs.load_state_dict(names)
    x, _, lengths = batch_of()
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    with torch.no_grad():
        outputs, last = ours(x, lengths)
        expected, state = theirs(packed)
    expected = nn.utils.rnn.pad_packed_sequence(expected, batch_first=True)[0]
    h = (state[0] if cell == "lstm" else state)[-2:]
    torch.testing.assert_close(last, torch.cat([h[0], h[1]], dim=1))
    for row, length in enumerate(LENGTHS):
        torch.testing.assert_close(outputs[row, :length], expected[row, :length])


def test_dropout_keeps_the_mean_and_uses_its_generator_only():
    mask = dropout_mask(100, 20, 0.25, seeded(0), torch.device("cpu"))
    assert mask is not None
    assert mask.shape == (100, 1, 20)  # the same units at every step
    assert mask.unique().tolist() == pytest.approx([0, 4 / 3])
    assert float(mask.mean()) == pytest.approx(1, abs=0.05)
    again = dropout_mask(100, 20, 0.25, seeded(0), torch.device("cpu"))
    torch.testing.assert_close(again, mask, rtol=0, atol=0)
    assert dropout_mask(100, 20, 0.25, None, torch.device("cpu")) is None


def test_a_slice_of_a_batch_gets_the_dropout_of_the_whole_batch():
    whole = dropout_mask(7, 20, 0.5, seeded(0), torch.device("cpu"))
    part = dropout_mask(3, 20, 0.5, BatchSlice(seeded(0), first=4, total=7), torch.device("cpu"))
    assert whole is not None
    torch.testing.assert_close(part, whole[4:], rtol=0, atol=0)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_dropout_applies_to_the_outputs_and_not_to_the_last_state(cell):
    rnn = RNN(NetworkConfig(n_channels=2, n_steps=7, hidden_size=5, dropout=0.5, cell=cell), 2, bidirectional=True)
    x, _, lengths = batch_of()
    plain, last = rnn(x, lengths)
    dropped, same = rnn(x, lengths, generator=seeded(0))
    torch.testing.assert_close(same, last)
    torch.testing.assert_close(dropped, plain * dropout_mask(len(x), 10, 0.5, seeded(0), x.device))


def test_latent_vector_is_sampled_only_with_a_generator():
    mean, log_variance = torch.zeros(20_000, 1), torch.full((20_000, 1), math.log(4.0))
    assert torch.equal(reparameterise(mean, log_variance, None), mean)
    z = reparameterise(mean, log_variance, seeded(0))
    assert float(z.mean()) == pytest.approx(0, abs=0.05)
    assert float(z.std()) == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize(
    "options", [{}, {"dropout": 0.5, "max_lag": 2, "num_layers": 2}], ids=["plain", "random parts"]
)
def test_without_a_generator_the_network_is_deterministic(options):
    network, (x, mask, lengths) = network_of(**options), batch_of()
    assert torch.equal(network(x, mask, lengths).x, network(x, mask, lengths).x)
    one, two = (network(x, mask, lengths, generator=seeded(s)).x for s in (1, 2))
    assert not torch.equal(one, two)


# ---------------------------------------------------------------- masks and padding

# The ways in which a padded or missing step could reach the result.
GUARDED: dict[str, dict[str, Any]] = {
    "last state": {},
    "patches with a mask": {"patch_size": 3, "mask_input": True},
    "both directions, averaged": {"pooling": "mean", "bidirectional": True},
    "shifts": {"cell": "gru", "max_lag": 2, "mask_input": True},
    "partial patches through two layers": {"patch_size": 3, "pooling": "mean", "bidirectional": True, "num_layers": 2},
}


@pytest.mark.parametrize("name", GUARDED)
def test_masked_and_padded_steps_have_no_gradient(name):
    network = network_of(**GUARDED[name])
    for generator in (None, seeded(0)):  # without and with noise
        x, mask, lengths = batch_of()
        x.requires_grad_()
        decoded = network(x, mask, lengths, generator=generator)
        training_loss(decoded, x, mask, pointwise_loss("mse"), kl_weight=1.0).loss.backward()
        assert (x.grad[mask == 0] == 0).all()
        assert (x.grad[mask == 1] != 0).all()


@pytest.mark.parametrize("name", GUARDED)
def test_values_of_unobserved_steps_do_not_matter(name):
    network, (x, mask, lengths) = network_of(**GUARDED[name]), batch_of()

    def run(values: Any) -> Any:
        network.zero_grad()
        decoded = network(values, mask, lengths, generator=seeded(0))
        loss = training_loss(decoded, values, mask, pointwise_loss("mse"), kl_weight=1.0).loss
        loss.backward()
        return loss.detach(), decoded.mean.detach(), {n: p.grad for n, p in network.named_parameters()}

    expected = run(x)
    for value in (1e30, float("inf"), float("nan")):
        torch.testing.assert_close(run(x.masked_fill(mask == 0, value)), expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", GUARDED)
def test_other_series_and_padding_do_not_change_a_series(name):
    network, (x, mask, lengths) = network_of(**GUARDED[name]), batch_of()
    together = network(x, mask, lengths)
    for row, length in enumerate(LENGTHS):
        alone = network(x[row : row + 1, :length], mask[row : row + 1, :length], lengths[row : row + 1])
        torch.testing.assert_close(alone.mean[0], together.mean[row], rtol=0, atol=1e-5)
        torch.testing.assert_close(alone.x[0], together.x[row, :length], rtol=0, atol=1e-5)


# ---------------------------------------------------------------- weights


def test_decoder_inputs_are_parameters_that_start_at_zero_and_learn():
    network, (x, mask, lengths) = network_of(), batch_of()
    inputs = network.decoder.inputs
    assert "decoder.inputs" in dict(network.named_parameters())
    assert inputs.shape == (7, 2)
    assert (inputs == 0).all()
    training_loss(network(x, mask, lengths), x, mask, pointwise_loss("mse"), 1.0).loss.backward()
    assert inputs.grad is not None
    assert (inputs.grad != 0).all()


def test_every_weight_gets_a_gradient():
    network = network_of(num_layers=2, bidirectional=True, pooling="mean", feed_latent=True, mask_input=True)
    x, mask, lengths = batch_of()
    decoded = network(x, mask, lengths, generator=seeded(0))
    training_loss(decoded, x, mask, pointwise_loss("mse"), 1.0).loss.backward()
    assert [n for n, p in network.named_parameters() if p.grad is None or (p.grad == 0).all()] == []


def test_same_seed_same_weights():
    one, same, other = (network_of(seed=s).state_dict() for s in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert [n for n in one if torch.equal(one[n], other[n])] == ["decoder.inputs"]
    assert all(torch.isfinite(w).all() for w in one.values())


@pytest.mark.filterwarnings("ignore::vrae.exceptions.PosteriorCollapseWarning")
def test_classic_network_has_the_textbook_number_of_parameters():
    X = np.random.default_rng(0).standard_normal((8, 10))
    network = VRAE.classic(max_epochs=1, random_state=0, device="cpu").fit(X).network_
    lstm = 4 * 90 * (1 + 90 + 2)  # four gates, two bias vectors as torch has them
    expected = {
        "encoder": lstm,
        "encoder_to_latent": 2 * (90 * 20 + 20),
        "latent_to_decoder": 20 * 2 * 90 + 2 * 90,
        "decoder": lstm + 10 * 1,  # and one learned input per step
        "output": 90 + 1,
    }
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in network.named_children()}
    assert {name: n for name, n in counts.items() if n} == expected


def test_patterns_ignore_missing_values_at_the_ends():
    """A series that starts late and ends early has the statistics of its own span."""
    config = NetworkConfig(n_channels=2, n_steps=30, n_patterns=4, pattern_dilations=(1, 3), mask_input=True)
    statistics = build_network(config, seed=0).statistics
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(12, 30, 2, generator=generator)
    ones, lengths = torch.ones_like(x), torch.full((12,), 30)
    statistics.fit([(x, ones, lengths)], torch.ones(12, 2, 2), generator)
    late, seen = torch.zeros(12, 50, 2), torch.zeros(12, 50, 2)
    late[:, 11:41], seen[:, 11:41] = x, 1.0
    torch.testing.assert_close(statistics(late, seen, torch.full((12,), 50)), statistics(x, ones, lengths))


def test_cross_correlations_equal_numpy():
    generator = torch.Generator().manual_seed(0)
    values, lengths = torch.randn(3, 2, 40, generator=generator), torch.tensor([40, 25, 3])
    pairs = channel_pairs(2, 1, generator)
    for circular in (False, True):
        found = cross_correlations(values, lengths, pairs, (-4, 0, 2), circular)
        for row, length in enumerate(lengths.tolist()):
            first, second = (values[row, c, :length].numpy() - values[row, c, :length].numpy().mean() for c in (0, 1))
            scale = np.sqrt((first**2).sum() * (second**2).sum())
            for place, lag in enumerate((-4, 0, 2)):
                expected = sum(
                    first[t] * second[(t + lag) % length] for t in range(length) if circular or 0 <= t + lag < length
                )
                assert found[row, place].item() == pytest.approx(expected / scale, abs=1e-5)


def test_cross_correlations_of_constant_channels_are_zero():
    values = torch.stack([torch.full((9,), 7.3), torch.arange(9.0)])[None]
    found = cross_correlations(values, torch.tensor([9]), channel_pairs(2, 1, torch.Generator()), (0, 1), False)
    assert (found == 0).all()


def test_channel_pairs_are_distinct_and_at_most_64():
    for n_channels in (1, 2, 5, 40):
        pairs = channel_pairs(n_channels, n_channel_pairs(n_channels), torch.Generator().manual_seed(0))
        assert len(pairs) == n_channel_pairs(n_channels) == len({tuple(p) for p in pairs.tolist()})
        assert (pairs[:, 0] < pairs[:, 1]).all()
        assert len(pairs) <= 64


def test_the_pattern_head_starts_as_a_ridge_regression_on_the_neighbour_part():
    from sklearn.linear_model import Ridge

    network = network_of(latent_size=4, n_patterns=5, pattern_dilations=(1,), neighbour_size=2)
    patterns = torch.randn(60, 5, generator=seeded(0)) + torch.arange(5.0)
    network.neighbours.metric.copy_(torch.eye(5))
    network.neighbours.standardise(patterns)
    z = network.neighbours(patterns)
    torch.testing.assert_close(z.mean(dim=0), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(z.var(dim=0, correction=0).mean(), torch.tensor(1.0))
    network.start_from_neighbours(patterns)
    expected = Ridge(alpha=0.01 * 60).fit(z.numpy(), patterns.numpy())
    head = network.latent_to_patterns
    np.testing.assert_allclose(head.weight[:, :2].detach(), expected.coef_, atol=1e-4)
    np.testing.assert_allclose(head.bias.detach(), expected.intercept_, atol=1e-4)
    assert head.weight[:, 2:].abs().max() < 0.1


def test_the_first_latent_means_are_the_places_of_the_neighbour_encoder():
    network = network_of(latent_size=4, n_patterns=5, pattern_dilations=(1,), neighbour_size=2)
    network.neighbours.metric.copy_(torch.eye(5))
    network.neighbours.scale.fill_(1.0)
    x, mask, lengths = batch_of()
    patterns = torch.randn(len(x), 5, generator=seeded(2))
    mean, log_variance = network.encode(x, mask, lengths, patterns)
    assert mean.shape == log_variance.shape == (len(x), 4)
    torch.testing.assert_close(mean[:, :2], network.neighbours(patterns))
    loss = mean.sum() + log_variance.sum()
    loss.backward()
    assert all(weights.grad is None for weights in network.neighbours.parameters())
