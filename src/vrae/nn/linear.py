"""A linear path next to the recurrent one, along principal axes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vrae.config import NetworkConfig

__all__ = ["LinearPath"]

# Smallest scale of an axis relative to the largest: a latent dimension needs a scale.
_LEAST_SCALE = 1e-3


class LinearPath(nn.Module):
    """Project series to latent vectors and back along principal axes (time, channel, latent).

    A complete series is projected. With missing values the axes are fitted to the observed ones by
    ridge regression: the prior of the latent vector (standard normal) counts more, the more is
    missing.
    """

    center: Tensor
    axes: Tensor
    scale: Tensor
    left: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        time = config.n_steps * config.patch_size
        self.register_buffer("center", torch.zeros(time, config.n_channels))
        self.register_buffer("axes", torch.zeros(time, config.n_channels, config.latent_size))
        self.register_buffer("scale", torch.ones(config.latent_size))  # in units of the series
        self.register_buffer("left", torch.ones(()))  # root mean square of the residuals

    def set_axes(self, center: Tensor, axes: Tensor, variances: Tensor) -> None:
        """Set center (t, channel), orthonormal axes (t, channel, latent), variances (latent,)."""
        late = len(self.center) - len(center)
        self.center.copy_(functional.pad(center, (0, 0, 0, late)))
        self.axes.copy_(functional.pad(axes, (0, 0, 0, 0, 0, late)))
        deviations = variances.sqrt()
        self.scale.copy_(deviations.clamp(min=_LEAST_SCALE * max(float(deviations.max()), 1e-6)))

    def encode(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return latent vectors (batch, latent) of series (batch, time, channel)."""
        t = len(self.center)
        with torch.autocast(x.device.type, enabled=False):
            x, seen = x[:, :t].float(), mask[:, :t].float()
            center, axes = self.center[: x.shape[1]], self.axes[: x.shape[1]].flatten(0, 1)  # (t * channel, latent)
            departures = ((x - center) * seen).flatten(1)  # (batch, t * channel)
            missing = 1 - seen.sum(dim=(1, 2)) / self.center.numel()  # (batch,)
            products = (axes[:, :, None] * axes[:, None, :]).flatten(1)  # (t * channel, latent * latent)
            gram = (seen.flatten(1) @ products).reshape(-1, axes.shape[1], axes.shape[1])
            prior = missing[:, None] * (self.left / self.scale) ** 2 + 1e-6  # (batch, latent)
            solve = _eliminate if torch.onnx.is_in_onnx_export() else torch.linalg.solve
            gram = gram + prior[:, :, None] * torch.eye(axes.shape[1], device=x.device)
            return solve(gram, departures @ axes) / self.scale

    def decode(self, z: Tensor, n_steps: int) -> Tensor:
        """Return series (batch, n_steps, channel), zero beyond the longest training series."""
        t = min(n_steps, len(self.center))
        with torch.autocast(z.device.type, enabled=False):
            flat = (z.float() * self.scale) @ self.axes[:t].flatten(0, 1).T  # (batch, t * channel)
            series = flat.reshape(len(z), t, -1) + self.center[:t]
        return functional.pad(series, (0, 0, 0, n_steps - t))


def _eliminate(A: Tensor, b: Tensor) -> Tensor:
    """Solve A x = b for positive definite A (batch, n, n) and b (batch, n). ONNX has no solver.

    Elimination without pivoting, which positive definite matrices do not need (Golub & Van Loan,
    "Matrix Computations", section 4.2).
    """
    rows = torch.cat([A, b[:, :, None]], dim=2)  # (batch, n, n + 1)
    for k in range(b.shape[1]):
        pivot = rows[:, k : k + 1] / rows[:, k : k + 1, k : k + 1]  # (batch, 1, n + 1)
        others = rows - rows[:, :, k : k + 1] * pivot
        rows = torch.cat([others[:, :k], pivot, others[:, k + 1 :]], dim=1)
    return rows[:, :, -1]
