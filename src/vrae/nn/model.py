"""The variational recurrent auto-encoder: encoder, latent vector, decoder, read from top to bottom."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vrae.config import NetworkConfig
from vrae.nn.decoder import Decoder, LatentToDecoder, Output
from vrae.nn.draws import Draws, normal
from vrae.nn.encoder import Encoder, EncoderToLatent
from vrae.nn.lag import best_lags, random_lags, shift
from vrae.nn.linear import LinearPath
from vrae.nn.patterns import PatternStatistics
from vrae.nn.workshop import Workshop

__all__ = ["Decoded", "VRAENetwork", "build_network", "network_of", "reparameterise"]

# Beside a linear path the network corrects: its say on the latent mean is damped, and starts at nothing.
_CORRECTION = 0.3
_SURE = -6.0  # first log-variance there

# Share of their usual size at which weights begin that stand beside known ones.
_FAINT = 0.1


@dataclass(frozen=True)
class Decoded:
    """What one forward pass gives.

    Attributes
    ----------
    x : Tensor, shape (batch, time, channel)
        Reconstruction, shifted to fit the series.
    mean, log_variance : Tensor, shape (batch, latent)
        Of the latent vector given the series.
    lags : Tensor of int64, shape (batch,)
        Steps by which the series runs behind the decoder's own course.
    patterns : Tensor of shape (batch, n_patterns), or None
        What the second head says about the series' local patterns.
    """

    x: Tensor
    mean: Tensor
    log_variance: Tensor
    lags: Tensor
    patterns: Tensor | None


class VRAENetwork(nn.Module):
    """Encoder, encoder-to-latent, reparameterisation, latent-to-decoder, decoder, output.

    With ``linear_path``, principal axes carry what they can from the series to the latent vector and back, and the
    network what they leave. With ``n_patterns``, statistics of local patterns stand beside ``h_end``, and a second
    head gives them back from the latent vector.

    Everything random comes from the ``generator`` that is passed in: with one, the network samples, drops and
    shifts as in training; without one, it is a fixed function of its input.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.encoder_to_latent = EncoderToLatent(self.encoder.rnn.output_size + config.n_patterns, config.latent_size)
        self.latent_to_decoder = LatentToDecoder(config)
        self.decoder = Decoder(config)
        self.output = Output(config)
        if config.n_patterns:
            self.statistics = PatternStatistics(config)
            self.latent_to_patterns = nn.Linear(config.latent_size, config.n_patterns)
        if config.linear_path:
            self.linear = LinearPath(config)

    def forward(
        self,
        x: Tensor,
        mask: Tensor,
        lengths: Tensor,
        patterns: Tensor | None = None,
        generator: Draws | None = None,
        seen: Tensor | None = None,
    ) -> Decoded:
        """Encode series and decode them again.

        Parameters
        ----------
        x, mask : Tensor, shape (batch, time, channel)
            The mask is 1 where observed.
        lengths : Tensor of int64, shape (batch,)
        patterns : Tensor of shape (batch, n_patterns), optional
            The series' statistics, if they are known already.
        generator : torch.Generator or Share, optional
            Makes this a training pass.
        seen : Tensor, shape (batch, time, channel), optional
            1 for what the encoder may see, default: all that was observed. The patterns that are given are then those
            of the visible part.
        """
        x = x.masked_fill(mask == 0, 0.0)  # whatever stands where nothing was observed has no say
        seen, seen_mask = self._view(x, mask if seen is None else seen, lengths, generator)
        if patterns is None and self.config.n_patterns:
            patterns = self.statistics(x, mask, lengths)
        mean, log_variance = self.encode(seen, seen_mask, lengths, patterns, generator)
        z = reparameterise(mean, log_variance, generator)  # (batch, latent)
        decoded = self.decode(z, x.shape[1], generator)  # (batch, time, channel)
        lags = torch.zeros_like(lengths)
        if self.config.max_lag:
            lags = best_lags(x, mask, decoded, lengths, self.config.max_lag)
            decoded = shift(decoded, lags, lengths)
        given_back = self.latent_to_patterns(z) if self.config.n_patterns else None
        return Decoded(decoded, mean, log_variance, lags, given_back)

    def encode(
        self,
        x: Tensor,
        mask: Tensor,
        lengths: Tensor,
        patterns: Tensor | None = None,
        generator: Draws | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance, each (batch, latent), of the latent vector given the series."""
        x = x.masked_fill(mask == 0, 0.0)
        h_end = self.encoder(x, mask, lengths, generator)  # (batch, hidden * directions)
        if self.config.n_patterns:
            if patterns is None:
                patterns = self.statistics(x, mask, lengths)  # (batch, n_patterns)
            h_end = torch.cat([h_end, patterns], dim=1)
        mean, log_variance = self.encoder_to_latent(h_end)
        if self.config.linear_path:
            mean = self.linear.encode(x, mask) + _CORRECTION * mean
        return mean, log_variance

    def decode(self, z: Tensor, n_steps: int, generator: Draws | None = None) -> Tensor:
        """Turn latent vectors (batch, latent) into series (batch, n_steps, channel)."""
        patches = math.ceil(n_steps / self.config.patch_size)
        hidden = self.decoder(z, self.latent_to_decoder(z), patches, generator)  # (batch, patch, hidden)
        series = self.output(hidden, n_steps)  # (batch, n_steps, channel)
        if self.config.linear_path:
            series = self.linear.decode(z, n_steps) + self.linear.left * series
        return series

    @torch.no_grad()
    def begin_with_patterns(self, patterns: Tensor, weight: float, beta: float) -> None:
        """Let half of the latent vector begin as what is best for the patterns alone.

        Patterns (n, n_patterns) do not correlate, and both of their paths are linear. So the weights are known that
        minimise ``weight * squared error + beta * KL``, one pattern a latent dimension: those of probabilistic
        principal components with noise of variance ``beta / (2 * weight)`` (Tipping & Bishop 1999; Lucas et al. 2019,
        section 4). The other half is left to the course of the series, and training may change all of it.
        """
        variance, mean = torch.var_mean(patterns, dim=0, correction=0)  # (n_patterns,)
        noise = beta / (2 * max(weight, 1e-12))
        variance = variance.clamp(min=noise + 1e-6)  # what varies less than the noise is not worth telling
        gain = (variance - noise).sqrt()
        latent, back = self.encoder_to_latent, self.latent_to_patterns
        first = latent.mean.in_features - len(variance)  # the patterns' place beside h_end
        kept = variance.argsort(descending=True, stable=True)[: self.config.latent_size // 2]
        rows = torch.arange(len(kept), device=kept.device)
        latent.mean.weight[rows] = 0
        latent.mean.weight[rows, first + kept] = (gain / variance)[kept]
        latent.mean.bias[rows] = -(gain / variance * mean)[kept]
        latent.log_variance.weight[rows] = 0
        latent.log_variance.bias[rows] = (noise / variance[kept]).clamp(min=1e-5).log()
        # What is not in these dimensions begins small, so that it does not blur them.
        latent.mean.weight[len(kept) :, first:] *= _FAINT
        back.weight.mul_(_FAINT)
        back.weight[:, rows] = 0
        back.weight[kept] = 0
        back.weight[kept, rows] = gain[kept]
        back.bias.copy_(mean)

    @contextmanager
    def at_work(self, threads: int) -> Iterator[None]:
        """Let so many threads share a training step, where they can, and keep a step's memory for the next one.

        The results do not depend on it.
        """
        layers = (self.encoder.rnn, self.decoder.rnn)
        for rnn in layers:
            rnn.workshop = Workshop(threads, keeps=True)
        try:
            yield
        finally:
            for rnn in layers:
                rnn.workshop = Workshop()

    def _view(self, x: Tensor, mask: Tensor, lengths: Tensor, generator: Draws | None) -> tuple[Tensor, Tensor]:
        """Shift what the encoder sees at random in training: the latent vector has to forget the lag."""
        if not self.config.max_lag or generator is None:
            return x, mask
        lags = random_lags(lengths, self.config.max_lag, generator)
        return shift(x, lags, lengths), shift(mask, lags, lengths)


def reparameterise(mean: Tensor, log_variance: Tensor, generator: Draws | None) -> Tensor:
    """Sample z = mean + std * noise in training (Kingma & Welling 2014, section 2.4); the mean otherwise."""
    if generator is None:
        return mean
    noise = normal(mean.shape, generator, mean.device)
    return mean + torch.exp(0.5 * log_variance) * noise


def build_network(config: NetworkConfig, seed: int) -> VRAENetwork:
    """Build a network with weights drawn from ``seed``; torch's global random state is not touched.

    Linear and recurrent weights are uniform in +-1/sqrt(fan-in) and +-1/sqrt(hidden), torch's own rule; the
    decoder's inputs start at zero.
    """
    with torch.device("meta"):  # no memory and no random numbers yet
        network = VRAENetwork(config)
    network.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, (nn.LSTM, nn.GRU, nn.Linear)):
            fan = module.in_features if isinstance(module, nn.Linear) else module.hidden_size
            for weight in module.parameters(recurse=False):
                nn.init.uniform_(weight, -1 / math.sqrt(fan), 1 / math.sqrt(fan), generator=generator)
    for buffer in network.buffers():  # set by PatternStatistics.fit, or loaded
        nn.init.zeros_(buffer)
    nn.init.zeros_(network.decoder.inputs)
    if config.linear_path:  # the network begins as the axes alone
        for layer in (network.output.linear, network.encoder_to_latent.mean, network.encoder_to_latent.log_variance):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        nn.init.constant_(network.encoder_to_latent.log_variance.bias, _SURE)
    return network


def network_of(config: NetworkConfig, weights: dict[str, Tensor]) -> VRAENetwork:
    """Build a network with given weights and buffers; no memory is taken before they are known to fit.

    Raises
    ------
    ValueError
        Some are missing, not known, or of another shape.
    """
    if config.num_layers > len(weights):
        raise ValueError(f"num_layers is {config.num_layers}, and there are {len(weights)} tensors")
    with torch.device("meta"):
        network = VRAENetwork(config)
    expected = network.state_dict()
    for name in sorted(expected.keys() | weights.keys()):
        found = tuple(weights[name].shape) if name in weights else None
        wanted = tuple(expected[name].shape) if name in expected else None
        if found != wanted and not (wanted == () and found == (1,)):  # numbers were saved as arrays of one once
            raise ValueError(f"{name} should have the shape {wanted}, and has {found}")
    network.to_empty(device="cpu")
    network.load_state_dict(weights)
    return network
