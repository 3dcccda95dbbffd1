"""The variational recurrent autoencoder: encoder, latent vector, decoder, from top to bottom."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vrae.config import NetworkConfig
from vrae.nn.decoder import Decoder, LatentToDecoder, Output
from vrae.nn.encoder import Encoder, EncoderToLatent
from vrae.nn.lag import best_lags, random_lags, shift
from vrae.nn.linear import LinearPath
from vrae.nn.neighbours import NeighbourEncoder
from vrae.nn.noise import RandomSource, normal
from vrae.nn.patterns import PatternStatistics

__all__ = ["Decoded", "VRAENetwork", "build_network", "load_network", "reparameterise"]

# With a linear path the network adds a correction to the latent mean: damped, and zero at first.
_CORRECTION = 0.3
_FIRST_LOG_VARIANCE = -6.0

# Relative size of weights that start next to weights known in closed form.
_FAINT = 0.1

# The neighbour part has a mean variance of 1 between series. Its own uncertainty starts well below.
_NEIGHBOUR_LOG_VARIANCE = -4.0
_RIDGE = 0.01


@dataclass(frozen=True)
class Decoded:
    """Result of a forward pass."""

    x: Tensor  # (batch, time, channel), reconstruction, shifted to fit the series
    mean: Tensor  # (batch, latent), of the latent vector given the series
    log_variance: Tensor  # (batch, latent)
    lags: Tensor  # (batch,), steps by which the series runs behind the decoder's output
    patterns: Tensor | None  # (batch, n_patterns), output of the pattern head


class VRAENetwork(nn.Module):
    """Encoder, encoder-to-latent, reparameterisation, latent-to-decoder, decoder, output.

    With ``n_patterns``, pattern statistics join ``h_end``, and a second head predicts them from the
    latent vector. With ``neighbour_size``, the first latent dimensions come from the statistics
    alone, and keep neighbours together. With ``linear_path``, principal axes carry what they can
    from the series to the latent vector and back, and the network carries the rest.

    All randomness comes from the ``generator`` argument. With one, the network samples, drops and
    shifts as in training. Without one, it is a deterministic function of its input.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.encoder_to_latent = EncoderToLatent(
            self.encoder.rnn.output_size + config.n_patterns, config.latent_size, config.neighbour_size
        )
        self.latent_to_decoder = LatentToDecoder(config)
        self.decoder = Decoder(config)
        self.output = Output(config)
        if config.n_patterns:
            self.statistics = PatternStatistics(config)
            self.latent_to_patterns = nn.Linear(config.latent_size, config.n_patterns)
        if config.neighbour_size:
            self.neighbours = NeighbourEncoder(config.n_patterns, config.neighbour_size)
        if config.linear_path:
            self.linear = LinearPath(config)

    def forward(
        self,
        x: Tensor,
        mask: Tensor,
        lengths: Tensor,
        patterns: Tensor | None = None,
        generator: RandomSource | None = None,
        visible: Tensor | None = None,
    ) -> Decoded:
        """Encode series and decode them again.

        Parameters
        ----------
        x, mask : Tensor, shape (batch, time, channel)
            The mask is 1 where observed.
        lengths : Tensor of int64, shape (batch,)
        patterns : Tensor of shape (batch, n_patterns), optional
            Statistics of the series, if already computed.
        generator : RandomSource, optional
            Makes this a training pass.
        visible : Tensor, shape (batch, time, channel), optional
            1 for what the encoder may see, default: everything observed. ``patterns`` must then be
            those of the visible part.
        """
        x = x.masked_fill(mask == 0, 0.0)  # unobserved values may be anything
        if patterns is None and self.config.n_patterns:
            patterns = self.statistics(x, mask, lengths)
        seen, seen_mask = self._augment(x, mask if visible is None else visible, lengths, generator)
        mean, log_variance = self.encode(seen, seen_mask, lengths, patterns, generator)
        z = reparameterise(mean, log_variance, generator)  # (batch, latent)
        decoded, lags = self.reconstruct(z, x, mask, lengths, generator)
        predicted = self.latent_to_patterns(z) if self.config.n_patterns else None
        return Decoded(decoded, mean, log_variance, lags, predicted)

    def encode(
        self,
        x: Tensor,
        mask: Tensor,
        lengths: Tensor,
        patterns: Tensor | None = None,
        generator: RandomSource | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance of the latent vectors, each (batch, latent)."""
        x = x.masked_fill(mask == 0, 0.0)
        h_end = self.encoder(x, mask, lengths, generator)  # (batch, hidden * directions)
        if self.config.n_patterns:
            if patterns is None:
                patterns = self.statistics(x, mask, lengths)  # (batch, n_patterns)
            h_end = torch.cat([h_end, patterns], dim=1)
        mean, log_variance = self.encoder_to_latent(h_end)
        if self.config.neighbour_size:
            mean = torch.cat([self.neighbours(patterns), mean], dim=1)  # (batch, latent)
        if self.config.linear_path:
            mean = self.linear.encode(x, mask) + _CORRECTION * mean
        return mean, log_variance

    def decode(self, z: Tensor, n_steps: int, generator: RandomSource | None = None) -> Tensor:
        """Decode latent vectors (batch, latent) to series (batch, n_steps, channel)."""
        patches = math.ceil(n_steps / self.config.patch_size)
        hidden = self.decoder(z, self.latent_to_decoder(z), patches, generator)  # (batch, patch, hidden)
        series = self.output(hidden, n_steps)  # (batch, n_steps, channel)
        if self.config.linear_path:
            series = self.linear.decode(z, n_steps) + self.linear.left * series
        return series

    def reconstruct(
        self, z: Tensor, x: Tensor, mask: Tensor, lengths: Tensor, generator: RandomSource | None = None
    ) -> tuple[Tensor, Tensor]:
        """Decode latent vectors (batch, latent), and shift the result to fit the series.

        Return series (batch, time, channel) and lags (batch,).
        """
        decoded = self.decode(z, x.shape[1], generator)  # (batch, time, channel)
        if not self.config.max_lag:
            return decoded, torch.zeros_like(lengths)
        lags = best_lags(x, mask, decoded, lengths, self.config.max_lag)
        return shift(decoded, lags, lengths), lags

    @torch.no_grad()
    def start_from_neighbours(self, patterns: Tensor) -> None:
        """Let the pattern head start with what the neighbour part says about the patterns.

        That is a ridge regression of patterns (n, n_patterns) on the neighbour part. The other
        latent dimensions start faint, so that they do not blur it.
        """
        size = self.config.neighbour_size
        latent, back = self.encoder_to_latent, self.latent_to_patterns
        z = self.neighbours(patterns).cpu().double()  # (n, size); not every device has float64
        target = patterns.cpu().double()
        mean = target.mean(dim=0)
        ridge = _RIDGE * len(z) * torch.eye(size, dtype=z.dtype)
        slope = torch.linalg.solve(z.T @ z + ridge, z.T @ (target - mean))  # (size, n_patterns)
        back.weight.mul_(_FAINT)
        back.weight[:, :size] = slope.T
        back.bias.copy_(mean)
        latent.mean.weight[:, -self.config.n_patterns :] *= _FAINT
        latent.log_variance.weight[:size] = 0
        latent.log_variance.bias[:size] = _NEIGHBOUR_LOG_VARIANCE

    def _augment(
        self, x: Tensor, mask: Tensor, lengths: Tensor, generator: RandomSource | None
    ) -> tuple[Tensor, Tensor]:
        """Shift the input of the encoder at random in training: z must ignore the lag."""
        if not self.config.max_lag or generator is None:
            return x, mask
        lags = random_lags(lengths, self.config.max_lag, generator)
        return shift(x, lags, lengths), shift(mask, lags, lengths)


def reparameterise(mean: Tensor, log_variance: Tensor, generator: RandomSource | None) -> Tensor:
    """Sample z = mean + std * noise in training (Kingma & Welling 2014, 2.4), else the mean."""
    if generator is None:
        return mean
    noise = normal(mean.shape, generator, mean.device)
    return mean + torch.exp(0.5 * log_variance) * noise


def build_network(config: NetworkConfig, seed: int) -> VRAENetwork:
    """Build a network with weights drawn from ``seed``.

    Linear and recurrent weights are uniform in +-1/sqrt(fan-in) and +-1/sqrt(hidden), as in torch.
    The decoder's inputs start at zero.
    """
    with torch.device("meta"):  # no memory and no random numbers yet
        network = VRAENetwork(config)
    network.load_state_dict(_empty(network.state_dict()), assign=True)
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, (nn.LSTM, nn.GRU, nn.Linear)):
            fan = module.in_features if isinstance(module, nn.Linear) else module.hidden_size
            for weight in module.parameters(recurse=False):
                nn.init.uniform_(weight, -1 / math.sqrt(fan), 1 / math.sqrt(fan), generator=generator)
    for buffer in network.buffers():  # set by PatternStatistics.fit and LinearPath.set_axes
        nn.init.zeros_(buffer)
    nn.init.zeros_(network.decoder.inputs)
    if config.linear_path:  # the network starts as the principal axes alone
        for layer in (network.output.linear, network.encoder_to_latent.mean, network.encoder_to_latent.log_variance):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        nn.init.constant_(network.encoder_to_latent.log_variance.bias, _FIRST_LOG_VARIANCE)
    return network


def load_network(
    config: NetworkConfig, shapes: Mapping[str, tuple[int, ...]], read: Callable[[str], Tensor]
) -> VRAENetwork:
    """Build a network from stored weights, which are read once all of their shapes fit.

    Raises
    ------
    ValueError
        If a weight is missing, unknown or of another shape.
    """
    if config.num_layers > len(shapes):
        raise ValueError(f"num_layers is {config.num_layers}, and there are {len(shapes)} tensors")
    with torch.device("meta"):
        network = VRAENetwork(config)
    expected = network.state_dict()
    for name in sorted(expected.keys() | shapes.keys()):
        found = shapes.get(name)
        wanted = tuple(expected[name].shape) if name in expected else None
        if found != wanted and not (wanted == () and found == (1,)):  # scalars were once saved as (1,)
            raise ValueError(f"{name} should have the shape {wanted}, and has {found}")
    network.load_state_dict(_empty(expected), assign=True)
    network.load_state_dict({name: read(name) for name in expected})
    return network


def _empty(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return memory for tensors without memory. `Module.to_empty` would import sympy, slowly."""
    return {name: torch.empty(like.shape, dtype=like.dtype, device="cpu") for name, like in state.items()}
